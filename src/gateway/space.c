/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateway keeps of each tenant: the ring of calls that ended lately, bounded in
 * bytes, and its share, which the planner is told of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/gateway_internal.h"

#define RING_BYTES_MAX       (1u << 20)            /* of a tenant */
#define RING_BYTES_SMALL     (64u << 10)           /* where all together have too much */
#define RINGS_BYTES_MAX      (UINT64_C(256) << 20) /* of all */
#define RECENT_OUTPUT_MAX    (64u << 10)
#define RECENT_LOG_MAX       (32u << 10)
#define RECENT_BACKTRACE_MAX (16u << 10)

static uint32_t
bucket_of(const char *name)
{
    return (uint32_t)(hash_text(HASH_SEED, name) >> 32) % GATEWAY_BUCKETS;
}

static struct gateway_space *
find(struct gateway_space *space, const char *name)
{
    while (space != NULL && strcmp(space->name, name) != 0)
        space = space->next;
    return space;
}

/* Buckets only grow, at their head: who reads them needs no lock. */
struct gateway_space *
gateway_space_get(struct gateway *gateway, const char *tenant)
{
    struct gateway_space *_Atomic *bucket = &gateway->spaces[bucket_of(tenant)];
    struct gateway_space *head = atomic_load_explicit(bucket, memory_order_acquire);
    struct gateway_space *space = find(head, tenant), *fresh;

    if (space != NULL || strlen(tenant) > CATALOG_NAME_BYTES_MAX)
        return space;
    fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL)
        return NULL;
    (void)snprintf(fresh->name, sizeof(fresh->name), "%s", tenant);
    (void)pthread_mutex_init(&fresh->lock, NULL);
    fresh->last = &fresh->first;
    do {
        space = find(head, tenant);
        if (space != NULL) {
            (void)pthread_mutex_destroy(&fresh->lock);
            free(fresh);
            return space;
        }
        fresh->next = head;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &head, fresh, memory_order_acq_rel,
                                                    memory_order_acquire));
    return fresh;
}

static void
free_recent(struct gateway_recent *recent)
{
    while (recent != NULL) {
        struct gateway_recent *next = recent->next;

        free(recent);
        recent = next;
    }
}

void
gateway_spaces_destroy(struct gateway *gateway)
{
    for (size_t i = 0; i < GATEWAY_BUCKETS; i++) {
        struct gateway_space *space = gateway->spaces[i];

        while (space != NULL) {
            struct gateway_space *next = space->next;

            free_recent(space->first);
            (void)pthread_mutex_destroy(&space->lock);
            free(space);
            space = next;
        }
    }
}

/* ----------------------------------------------------------------------- the ring */

/* The end of a text of which only so much is kept. */
static ProtobufCBinaryData
end_of(ProtobufCBinaryData data, size_t max)
{
    if (data.len > max) {
        data.data += data.len - max;
        data.len = max;
    }
    return data;
}

static struct gateway_recent *
recent_create(const Ledger__Call *call)
{
    Ledger__Call copy = *call;
    Ledger__Result result = LEDGER__RESULT__INIT;
    char backtrace[RECENT_BACKTRACE_MAX];
    struct gateway_recent *recent;
    size_t count;

    copy.request = NULL;
    if (call->result != NULL) {
        result = *call->result;
        result.log = end_of(result.log, RECENT_LOG_MAX);
        if (result.output.len > RECENT_OUTPUT_MAX || strchr(call->token, '/') != NULL)
            result.output = (ProtobufCBinaryData){0};
        if (strlen(result.backtrace) >= sizeof(backtrace)) {
            (void)memcpy(backtrace, result.backtrace, sizeof(backtrace) - 1);
            backtrace[sizeof(backtrace) - 1] = '\0';
            result.backtrace = backtrace;
        }
        copy.result = &result;
    }
    count = ledger__call__get_packed_size(&copy);
    recent = malloc(sizeof(*recent) + count);
    if (recent == NULL)
        return NULL;
    recent->next = NULL;
    recent->id = call->id;
    recent->output_bytes = call->result != NULL ? call->result->output.len : 0;
    recent->count = ledger__call__pack(&copy, recent->bytes);
    return recent;
}

static size_t
size_of(const struct gateway_recent *recent)
{
    return sizeof(*recent) + recent->count;
}

/* The planner tells of an end twice, one after the other on one thread: to who asked, and to
 * gateway_over. */
static _Thread_local uint64_t early_id;

void
gateway_recent_add_early(struct gateway *gateway, const Ledger__Call *call)
{
    gateway_recent_add(gateway, call);
    early_id = call->id;
}

void
gateway_recent_add(struct gateway *gateway, const Ledger__Call *call)
{
    struct gateway_space *space = gateway_space_get(gateway, call->tenant);
    struct gateway_recent *recent, *old = NULL;
    size_t max = atomic_load_explicit(&gateway->ring_bytes, memory_order_relaxed) > RINGS_BYTES_MAX
                     ? RING_BYTES_SMALL
                     : RING_BYTES_MAX;
    uint64_t before, after;

    if (call->id == early_id) {
        early_id = 0;
        return;
    }
    recent = space != NULL ? recent_create(call) : NULL;
    if (recent == NULL)
        return;
    (void)pthread_mutex_lock(&space->lock);
    before = space->bytes;
    *space->last = recent;
    space->last = &recent->next;
    space->bytes += size_of(recent);
    space->count++;
    while ((space->bytes > max || space->count > GATEWAY_RECENT_MAX) && space->first != recent) {
        struct gateway_recent *first = space->first;

        space->first = first->next;
        space->bytes -= size_of(first);
        space->count--;
        first->next = old;
        old = first;
    }
    after = space->bytes;
    (void)pthread_mutex_unlock(&space->lock);
    (void)atomic_fetch_add_explicit(&gateway->ring_bytes, after - before, memory_order_relaxed);
    free_recent(old);
}

void
gateway_tenant_forget(struct gateway *gateway, const char *tenant)
{
    struct gateway_space *space = gateway_space_get(gateway, tenant);
    struct gateway_recent *recent;

    if (space == NULL)
        return;
    (void)pthread_mutex_lock(&space->lock);
    recent = space->first;
    (void)atomic_fetch_sub_explicit(&gateway->ring_bytes, space->bytes, memory_order_relaxed);
    space->first = NULL;
    space->last = &space->first;
    space->bytes = space->count = 0;
    (void)pthread_mutex_unlock(&space->lock);
    free_recent(recent);
}

void
gateway_recent_remove(struct gateway *gateway, const char *tenant, uint64_t id)
{
    struct gateway_space *space = gateway_space_get(gateway, tenant);
    struct gateway_recent **at, *removed = NULL;

    if (space == NULL)
        return;
    (void)pthread_mutex_lock(&space->lock);
    for (at = &space->first; *at != NULL;) { /* once for each time that it ended */
        struct gateway_recent *recent = *at;

        if (recent->id != id) {
            at = &recent->next;
            continue;
        }
        *at = recent->next;
        space->bytes -= size_of(recent);
        space->count--;
        (void)atomic_fetch_sub_explicit(&gateway->ring_bytes, size_of(recent),
                                        memory_order_relaxed);
        recent->next = removed;
        removed = recent;
    }
    space->last = at;
    (void)pthread_mutex_unlock(&space->lock);
    free_recent(removed);
}

/* What is not kept has a length and no bytes. */
static Ledger__Call *
unpack(const struct gateway_recent *recent)
{
    Ledger__Call *call = ledger__call__unpack(NULL, recent->count, recent->bytes);

    if (call != NULL && call->result != NULL && call->result->output.len != recent->output_bytes) {
        free(call->result->output.data);
        call->result->output.data = NULL;
        call->result->output.len = recent->output_bytes;
    }
    return call;
}

int
gateway_recent_find(struct gateway *gateway, const char *tenant, uint64_t id, Ledger__Call **out)
{
    struct gateway_space *space = gateway_space_get(gateway, tenant);
    struct gateway_recent *recent;
    int err = -ENOENT;

    if (space == NULL)
        return -ENOMEM;
    (void)pthread_mutex_lock(&space->lock);
    recent = space->first;
    while (recent != NULL && recent->id != id)
        recent = recent->next;
    if (recent != NULL) {
        *out = unpack(recent);
        err = *out != NULL ? 0 : -ENOMEM;
    }
    (void)pthread_mutex_unlock(&space->lock);
    return err;
}

static Ledger__Call **
copy_all(struct gateway_space *space, size_t *count)
{
    Ledger__Call **calls;

    *count = 0;
    (void)pthread_mutex_lock(&space->lock);
    calls = calloc(space->count + 1, sizeof(Ledger__Call *));
    for (struct gateway_recent *recent = space->first; calls != NULL && recent != NULL;
         recent = recent->next) {
        calls[*count] = unpack(recent);
        *count += calls[*count] != NULL;
    }
    (void)pthread_mutex_unlock(&space->lock);
    return calls;
}

void
gateway_recent_list(struct gateway *gateway, const char *tenant, gateway_recent_fn visit,
                    void *context)
{
    struct gateway_space *space = gateway_space_get(gateway, tenant);
    bool goes_on = true;
    size_t count;
    Ledger__Call **calls = space != NULL ? copy_all(space, &count) : NULL;

    for (size_t i = 0; calls != NULL && i < count; i++) {
        goes_on = goes_on && visit(context, calls[i]);
        ledger__call__free_unpacked(calls[i], NULL);
    }
    free(calls);
}

/* --------------------------------------------------------------------------- shares */

static bool
tell_share(void *context, const struct catalog_tenant *tenant)
{
    struct gateway *gateway = context;
    struct gateway_space *space = gateway_space_get(gateway, tenant->name);
    const struct planner_share share = {.weight = tenant->cpu_share,
                                        .running_max = tenant->calls_max,
                                        .waiting_max = tenant->queue_max};

    if (space != NULL)
        atomic_store_explicit(&space->priority, tenant->priority, memory_order_relaxed);
    (void)!planner_tenant_set(gateway->config.planner, tenant->name, &share);
    return true;
}

void
gateway_shares(struct gateway *gateway, const char *tenant)
{
    (void)!catalog_tenant_list(gateway->config.catalog, tenant, tell_share, gateway, NULL);
}
