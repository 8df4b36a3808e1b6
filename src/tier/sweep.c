/* SPDX-License-Identifier: Apache-2.0
 *
 * What is due goes; and what is there is counted at the beginning.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

/* -------------------------------------------------------------------------- beginning */

struct scan {
    struct tier *tier;
    int err;
};

static struct tenant *
tenant_of(struct tier *tier, const uint8_t *bytes, size_t count)
{
    char name[TIER_TENANT_BYTES_MAX + 1] = "";
    const uint8_t *end = memchr(bytes, '\0', count);

    if (end != NULL)
        count = (size_t)(end - bytes);
    if (count > TIER_TENANT_BYTES_MAX)
        return NULL;
    memcpy(name, bytes, count);
    return tier_tenant(tier, name);
}

static bool
scan_head(void *context, const struct store_record *record)
{
    struct scan *scan = context;
    struct tenant *tenant = tenant_of(scan->tier, record->key, record->key_count);
    struct head head = {0};

    scan->err =
        tenant == NULL ? -ENOMEM : tier_head_read(record->value, record->value_count, &head);
    if (scan->err != 0)
        return false;
    tenant->keys++;
    tenant->bytes += head.size;
    return true;
}

static bool
scan_tenant(void *context, const struct store_record *record)
{
    struct scan *scan = context;
    struct tenant *tenant = tenant_of(scan->tier, record->key, record->key_count);

    if (tenant == NULL || record->value_count != sizeof(tenant->floor)) {
        scan->err = tenant == NULL ? -ENOMEM : -EBADMSG;
        return false;
    }
    tenant->floor = tenant->floor_stored = tier_number_read(record->value);
    return true;
}

static bool
scan_due(void *context, const struct store_record *record)
{
    struct scan *scan = context;

    if (record->key_count > sizeof(uint64_t))
        tier_sweep_due(scan->tier, tier_number_read(record->key));
    return false;
}

int
tier_scan(struct tier *tier, struct diag *diag)
{
    static const struct {
        const char *table;
        store_visit_fn visit;
    } scans[] = {
        {tier_table_head, scan_head}, {tier_table_tenant, scan_tenant}, {tier_table_due, scan_due}};
    struct scan scan = {.tier = tier};
    int err = 0;

    for (size_t i = 0; i < ARRAY_COUNT(scans) && err == 0; i++) {
        const struct store_range range = {.table = scans[i].table};

        err = store_list(tier->config.store, &range, scans[i].visit, &scan, diag);
        if (err == 0 && scan.err != 0)
            err = diag_set(diag, scan.err, "table %s cannot be read", scans[i].table);
    }
    return err;
}

/* ------------------------------------------------------------------------------- sweep */

static void
set_timer(struct tier *tier)
{
    uint64_t now = tier_now(tier), real = tier_real(tier);
    uint64_t wait = tier->sweep_ns > real ? tier->sweep_ns - real : 0;

    if (wait < UINT64_MAX - now)
        tier_timer_set(tier, &tier->sweep, now + wait);
}

void
tier_sweep_due(struct tier *tier, uint64_t expires_ns)
{
    if (expires_ns == 0 || (tier->sweep_ns != 0 && tier->sweep_ns <= expires_ns))
        return;
    tier->sweep_ns = expires_ns;
    if (tier->sweeping == 0)
        set_timer(tier);
}

void
tier_sweep_fire(struct tier *tier, struct timer *timer)
{
    (void)timer;
    if (tier->sweeping == 0 && !tier->is_ending && !tier->is_lost)
        tier_job_add(tier, &tier->sweep_job);
}

static void
sweep_later(struct tier *tier)
{
    tier->is_sweep_late = false;
    tier_timer_set(tier, &tier->sweep, tier_now(tier) + TIER_SWEEP_AGAIN_NS);
}

void
tier_sweep_done(struct tier *tier, int err)
{
    ASSERT(tier->sweeping > 0);
    tier->is_sweep_late |= err != 0;
    if (--tier->sweeping > 0 || tier->is_ending || tier->is_lost)
        return;
    if (tier->is_sweep_late)
        sweep_later(tier);
    else
        tier_job_add(tier, &tier->sweep_job);
}

struct due {
    uint64_t real_ns, next_ns; /* next: the first that is not due yet; 0: none */
    struct folder *names;
    size_t count;
};

static bool
add_due(void *context, const struct store_record *record)
{
    struct due *due = context;
    const uint8_t *key = record->key;
    size_t count = record->key_count - sizeof(uint64_t);

    if (record->key_count <= sizeof(uint64_t) || count > TIER_FOLDER_BYTES_MAX)
        return true;
    if (tier_number_read(key) > due->real_ns) {
        due->next_ns = tier_number_read(key);
        return false;
    }
    if (due->count == TIER_SWEEP_PAGE)
        return false;
    memcpy(due->names[due->count].bytes, key + sizeof(uint64_t), count);
    due->names[due->count++].count = count;
    return true;
}

static int
start_removal(struct tier *tier, const struct folder *name)
{
    struct tenant *tenant = tenant_of(tier, name->bytes, name->count);
    size_t skip = tenant == NULL ? 0 : strlen(tenant->name) + 1;
    struct op *op;

    if (tenant == NULL || skip >= name->count)
        return tenant == NULL ? -ENOMEM : 0;
    op = tier_op_new(RPC__STATE_ASK__IS__NOT_SET);
    if (op == NULL)
        return -ENOMEM;
    op->tenant = tenant;
    op->key = tier_key_get(tier, tenant, (const char *)name->bytes + skip, name->count - skip);
    if (op->key == NULL) {
        tier_op_free(op);
        return -ENOMEM;
    }
    tier->sweeping++;
    TAILQ_INSERT_TAIL(&op->key->queue, op, next);
    tier_key_poke(tier, op->key);
    return 0;
}

/* With the lock: the removals are begun, or the next time is set. */
static void
sweep_on(struct tier *tier, const struct due *due, int err)
{
    tier->sweeping++; /* this one */
    for (size_t i = 0; i < due->count && err == 0; i++)
        err = start_removal(tier, &due->names[i]);
    tier->sweeping--;
    if (tier->sweeping > 0) {
        tier->is_sweep_late |= err != 0;
    } else if (err != 0) {
        sweep_later(tier);
    } else if (due->count == 0 && due->next_ns != 0) {
        /* What came meanwhile may be earlier. */
        if (tier->sweep_ns == 0 || tier->sweep_ns <= due->real_ns || due->next_ns < tier->sweep_ns)
            tier->sweep_ns = due->next_ns;
        set_timer(tier);
    } else if (due->count == 0 && tier->sweep_ns != 0 && tier->sweep_ns <= due->real_ns) {
        tier->sweep_ns = 0;
    }
}

void
tier_sweep_run(struct tier *tier, struct job *job)
{
    const struct store_range range = {.table = tier_table_due};
    struct due due = {.real_ns = tier_real(tier)};
    int err;

    (void)job;
    if (tier->is_ending || tier->is_lost || tier->sweeping > 0)
        return;
    tier_unlock(tier);
    due.names = tier_alloc(TIER_SWEEP_PAGE * sizeof(*due.names));
    err = due.names == NULL ? -ENOMEM : store_list(tier->config.store, &range, add_due, &due, NULL);
    tier_lock(tier);
    sweep_on(tier, &due, err);
    free(due.names);
}
