/* SPDX-License-Identifier: Apache-2.0
 *
 * What nobody needs any more is removed: blobs, and the records that lead to them.
 *
 *   version --> module, image, proto, files            (catalog)
 *   tenant-file record --> blob                        of a tenant that is there
 *   tenant-blob record: the tenant may name the blob   needed where a version or file has it
 *   image record: module --> image                     needed where a version has the image
 *
 * Claim: what is named by a version that is deployed is never removed.
 *
 * Argument: a round removes only what this process has seen unneeded for as long as the
 * grace, in every round since. A record counts as a need of its blob until it is removed
 * itself, on condition that nobody wrote it meanwhile; so a blob goes a whole grace after
 * the last record by which a deployment could have found it, and a deployment ends within
 * that. Whoever puts a blob makes it new: store_blob_remove_old leaves it then. Another
 * planner that takes over begins to count anew.
 *
 * Calls of tenants that are not there any more go, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "gateway/gateway_internal.h"

#define SUSPECT_BUCKETS 4096u
#define SUSPECTS_MAX    (1u << 20) /* the others have their turn later */
#define GRACE_NS        (UINT64_C(3600) * CLOCK_NS_PER_SECOND)
#define ROUND_NS_MAX    (UINT64_C(900) * CLOCK_NS_PER_SECOND)
#define ROUND_NS_MIN    UINT64_C(100000000)
#define NEED_BYTES      (sizeof(uint64_t) + STORE_HASH_BYTES)

/* Seen unneeded, and since when. */
struct suspect {
    struct suspect *next;
    uint64_t since_ns, version, round;
    size_t count;
    uint8_t key[]; /* the table's first letters, NUL, and the record's key */
};

struct gateway_collector {
    struct suspect *suspects[SUSPECT_BUCKETS];
    uint32_t suspect_count;
    uint64_t round;
};

struct round {
    struct gateway *gateway;
    struct gateway_collector *collector;
    uint64_t now_ns, grace_ns;
    struct buffer tenants; /* names, each with a NUL, in order */
    struct buffer owned;   /* NEED_BYTES each: a tenant's number and a hash */
    struct buffer needed;  /* hashes */
    const char *tenant;
    char last[CATALOG_NAME_BYTES_MAX + 1]; /* records of one tenant come together */
    bool has_last;
    struct buffer functions;
    int err;
    struct diag *diag;
};

/* ------------------------------------------------------------------------------ sets */

static int
compare_needs(const void *one, const void *other)
{
    return memcmp(one, other, NEED_BYTES);
}

static int
compare_hashes(const void *one, const void *other)
{
    return memcmp(one, other, STORE_HASH_BYTES);
}

static void
sort(struct buffer *set, size_t size, int (*compare)(const void *, const void *))
{
    if (set->count > 0)
        qsort(set->bytes, set->count / size, size, compare);
}

static bool
has(const struct buffer *set, const void *wanted, size_t size,
    int (*compare)(const void *, const void *))
{
    return set->count > 0 && bsearch(wanted, set->bytes, set->count / size, size, compare) != NULL;
}

static void
need(struct round *round, const struct store_hash *hash)
{
    buffer_append(&round->needed, hash->bytes, STORE_HASH_BYTES);
}

/* Tenants are told apart by 64 bits: where that fails, a record stays too long. */
static void
fill_need(uint8_t out[NEED_BYTES], const char *tenant, const void *hash)
{
    uint64_t number = hash_text(HASH_SEED, tenant);

    (void)memcpy(out, &number, sizeof(number));
    (void)memcpy(out + sizeof(number), hash, STORE_HASH_BYTES);
}

static void
own(struct round *round, const char *tenant, const struct store_hash *hash)
{
    uint8_t entry[NEED_BYTES];

    fill_need(entry, tenant, hash->bytes);
    buffer_append(&round->owned, entry, sizeof(entry));
    need(round, hash);
}

static bool
has_tenant(struct round *round, const char *tenant)
{
    const char *name = (const char *)round->tenants.bytes;
    const char *end = name + round->tenants.count;

    if (strcmp(round->last, tenant) == 0)
        return round->has_last;
    while (name < end && strcmp(name, tenant) != 0)
        name += strlen(name) + 1;
    round->has_last = name < end;
    (void)snprintf(round->last, sizeof(round->last), "%s", tenant);
    return round->has_last;
}

/* -------------------------------------------------------------------------- suspects */

static struct suspect *
find_suspect(struct gateway_collector *collector, const struct suspect *wanted)
{
    uint64_t hash = hash_bytes(HASH_SEED, wanted->key, wanted->count);
    struct suspect **bucket = &collector->suspects[(hash >> 32) % SUSPECT_BUCKETS];
    struct suspect *suspect = *bucket;

    while (suspect != NULL && (suspect->count != wanted->count ||
                               memcmp(suspect->key, wanted->key, wanted->count) != 0))
        suspect = suspect->next;
    if (suspect != NULL || collector->suspect_count >= SUSPECTS_MAX)
        return suspect;
    suspect = malloc(sizeof(*suspect) + wanted->count);
    if (suspect == NULL)
        return NULL;
    (void)memcpy(suspect, wanted, sizeof(*suspect) + wanted->count);
    suspect->next = *bucket;
    *bucket = suspect;
    collector->suspect_count++;
    return suspect;
}

/* Nobody needs it: whether that has been so for as long as the grace. */
static bool
is_due(struct round *round, const struct store_key *key, uint64_t version)
{
    struct gateway_collector *collector = round->collector;
    union {
        struct suspect suspect;
        uint8_t room[sizeof(struct suspect) + STORE_TABLE_BYTES_MAX + 1 + STORE_KEY_BYTES_MAX];
    } wanted = {.suspect = {.since_ns = round->now_ns, .version = version}};
    size_t table = strlen(key->table) + 1;
    struct suspect *suspect;

    (void)memcpy(wanted.suspect.key, key->table, table);
    (void)memcpy(wanted.suspect.key + table, key->bytes, key->count);
    wanted.suspect.count = table + key->count;
    suspect = find_suspect(collector, &wanted.suspect);
    if (suspect == NULL)
        return false;
    suspect->round = collector->round;
    if (suspect->version != version) {
        suspect->version = version;
        suspect->since_ns = round->now_ns;
    }
    return round->now_ns - suspect->since_ns >= round->grace_ns;
}

/* Those that this round did not see are needed, or gone. */
static void
forget_suspects(struct gateway_collector *collector, uint64_t round)
{
    for (size_t i = 0; i < SUSPECT_BUCKETS; i++)
        for (struct suspect **at = &collector->suspects[i]; *at != NULL;) {
            struct suspect *suspect = *at;

            if (suspect->round == round) {
                at = &suspect->next;
                continue;
            }
            *at = suspect->next;
            collector->suspect_count--;
            free(suspect);
        }
}

/* ------------------------------------------------------------------------------ mark */

static bool
note_tenant(void *context, const struct catalog_tenant *tenant)
{
    struct round *round = context;

    buffer_append(&round->tenants, tenant->name, strlen(tenant->name) + 1);
    return round->tenants.err == 0;
}

static bool
note_function(void *context, const struct catalog_version *version)
{
    struct round *round = context;

    buffer_append(&round->functions, version->function, strlen(version->function) + 1);
    return round->functions.err == 0;
}

static bool
mark_version(void *context, const struct catalog_version *version)
{
    struct round *round = context;

    own(round, round->tenant, &version->module);
    need(round, &version->image);
    if (version->has_proto)
        need(round, &version->proto);
    for (size_t i = 0; i < version->file_count; i++)
        own(round, round->tenant, &version->files[i].hash);
    return true;
}

/* What is removed meanwhile has no versions. */
static int
mark_tenant(struct round *round, const char *tenant)
{
    struct catalog *catalog = round->gateway->config.catalog;
    int err;

    round->tenant = tenant;
    round->functions.count = 0;
    err = catalog_version_list(catalog, tenant, NULL, note_function, round, round->diag);
    for (size_t at = 0; (err == 0 || err == -ENOENT) && at < round->functions.count;
         at += strlen((const char *)round->functions.bytes + at) + 1)
        err = catalog_version_list(catalog, tenant, (const char *)round->functions.bytes + at,
                                   mark_version, round, round->diag);
    return err == -ENOENT ? 0 : err;
}

static int
mark_versions(struct round *round)
{
    struct catalog *catalog = round->gateway->config.catalog;
    int err = catalog_refresh(catalog, round->diag);

    if (err == 0)
        err = catalog_tenant_list(catalog, NULL, note_tenant, round, round->diag);
    for (size_t at = 0; err == 0 && at < round->tenants.count;
         at += strlen((const char *)round->tenants.bytes + at) + 1)
        err = mark_tenant(round, (const char *)round->tenants.bytes + at);
    return err;
}

/* --------------------------------------------------------------------------- records */

/* -EAGAIN: somebody wrote it meanwhile: it is needed. */
static int
remove_record(struct round *round, const char *table, const struct store_record *record)
{
    const struct store_change change = {.key = {table, record->key, record->key_count},
                                        .condition = STORE_VERSION,
                                        .version = record->version,
                                        .is_removal = true};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = store_commit(round->gateway->config.store, &change, 1, NULL, NULL, &diag);
    return err == 0 || err == -EAGAIN ? err : diag_set(round->diag, err, "%s", diag_text(&diag));
}

/* Of one that is not needed by itself: it is, with what it names, until it is removed. */
static bool
look_at_record(struct round *round, const char *table, const struct store_record *record,
               const void *hash)
{
    const struct store_key key = {table, record->key, record->key_count};
    int err = -EAGAIN;

    if (is_due(round, &key, record->version))
        err = remove_record(round, table, record);
    if (err == -EAGAIN)
        buffer_append(&round->needed, hash, STORE_HASH_BYTES);
    else
        round->err = err;
    return round->err == 0;
}

/* The tenant at the beginning of a key, which is not longer than it may be. NULL: none is. */
static const char *
tenant_of(const struct store_record *record)
{
    const char *key = record->key;
    size_t length = strnlen(key, record->key_count);

    return length > 0 && length < record->key_count && length <= CATALOG_NAME_BYTES_MAX ? key
                                                                                        : NULL;
}

static bool
mark_file(void *context, const struct store_record *record)
{
    struct round *round = context;
    const char *tenant = tenant_of(record);
    struct store_hash hash;

    if (tenant == NULL || record->value_count < sizeof(hash))
        return true;
    (void)memcpy(&hash, record->value, sizeof(hash)); /* its first field */
    if (!has_tenant(round, tenant))
        return look_at_record(round, GATEWAY_TABLE_FILE, record, &hash);
    own(round, tenant, &hash);
    return true;
}

static bool
mark_owned(void *context, const struct store_record *record)
{
    struct round *round = context;
    const char *tenant = tenant_of(record);
    const uint8_t *hash = record->key;
    uint8_t entry[NEED_BYTES];

    if (tenant == NULL || record->key_count != strlen(tenant) + 1 + STORE_HASH_BYTES)
        return true;
    hash += record->key_count - STORE_HASH_BYTES;
    fill_need(entry, tenant, hash);
    return has(&round->owned, entry, NEED_BYTES, compare_needs) ||
           look_at_record(round, GATEWAY_TABLE_BLOB, record, hash);
}

/* Appends to what is sorted so far: what it looks for are versions' images. */
struct image_marks {
    struct round *round;
    struct buffer versions; /* a view */
};

static bool
mark_image(void *context, const struct store_record *record)
{
    struct image_marks *marks = context;

    if (record->value_count != STORE_HASH_BYTES)
        return true;
    return has(&marks->versions, record->value, STORE_HASH_BYTES, compare_hashes) ||
           look_at_record(marks->round, GATEWAY_TABLE_IMAGE, record, record->value);
}

static int
walk(struct round *round, const char *table, store_visit_fn visit, void *context)
{
    const struct store_range range = {.table = table};
    int err = store_list(round->gateway->config.store, &range, visit, context, round->diag);

    return err != 0 ? err : round->err;
}

static int
mark_images(struct round *round)
{
    struct image_marks marks = {.round = round};
    int err;

    sort(&round->needed, STORE_HASH_BYTES, compare_hashes);
    buffer_append(&marks.versions, round->needed.bytes, round->needed.count);
    err = marks.versions.err != 0 ? marks.versions.err
                                  : walk(round, GATEWAY_TABLE_IMAGE, mark_image, &marks);
    buffer_fini(&marks.versions);
    return err;
}

static int
mark(struct round *round)
{
    int err = mark_versions(round);

    if (err == 0)
        err = walk(round, GATEWAY_TABLE_FILE, mark_file, round);
    sort(&round->owned, NEED_BYTES, compare_needs);
    if (err == 0)
        err = walk(round, GATEWAY_TABLE_BLOB, mark_owned, round);
    if (err == 0)
        err = mark_images(round);
    sort(&round->needed, STORE_HASH_BYTES, compare_hashes);
    /* What was not noted for want of memory would be taken for unneeded. */
    if (err == 0)
        err = round->tenants.err | round->owned.err | round->needed.err | round->functions.err;
    return err;
}

/* ----------------------------------------------------------------------------- sweep */

static uint64_t
realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static bool
sweep_blob(void *context, const struct store_hash *hash, uint64_t bytes, uint64_t changed_ns)
{
    struct round *round = context;
    const struct store_key key = {"blob", hash->bytes, STORE_HASH_BYTES};
    uint64_t before_ns = realtime_ns() - round->grace_ns;
    struct diag diag;
    int err;

    (void)bytes;
    if (gateway_is_ending(round->gateway) || !planner_is_leading(round->gateway->config.planner))
        return false;
    if (has(&round->needed, hash->bytes, STORE_HASH_BYTES, compare_hashes) ||
        changed_ns >= before_ns || !is_due(round, &key, changed_ns))
        return true;
    diag_init(&diag);
    err = store_blob_remove_old(round->gateway->config.store, hash, before_ns, &diag);
    if (err != 0 && err != -EAGAIN)
        round->err = diag_set(round->diag, err, "%s", diag_text(&diag));
    return round->err == 0;
}

static int
forget_calls(struct round *round)
{
    struct planner *planner = round->gateway->config.planner;
    char tenant[PLANNER_TENANT_BYTES_MAX + 1] = "";
    int err;

    while ((err = planner_tenant_next(planner, tenant, round->diag)) == 0) {
        const struct store_key key = {"calls", tenant, strlen(tenant)};

        /* One that has just been made may be unknown to this round. */
        if (!has_tenant(round, tenant) && is_due(round, &key, 0))
            err = planner_forget(planner, tenant, round->diag);
        if (err != 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

int
gateway_collect(struct gateway *gateway, uint64_t now_ns, struct diag *diag)
{
    struct round round = {.gateway = gateway,
                          .collector = gateway->collector,
                          .now_ns = now_ns,
                          .grace_ns = gateway->config.grace_ns,
                          .diag = diag};
    int err = fault_point("gateway.collect");

    if (!planner_is_leading(gateway->config.planner))
        return -ESHUTDOWN;
    round.collector->round++;
    if (err == 0)
        err = mark(&round);
    if (err == 0)
        err = store_blob_list(gateway->config.store, sweep_blob, &round, diag);
    if (err == 0)
        err = round.err;
    if (err == 0)
        err = forget_calls(&round);
    /* A round that did not see all has nothing to say of what it did not see. */
    if (err == 0)
        forget_suspects(round.collector, round.collector->round);
    buffer_fini(&round.tenants);
    buffer_fini(&round.owned);
    buffer_fini(&round.needed);
    buffer_fini(&round.functions);
    return err;
}

/* ---------------------------------------------------------------------------- thread */

static void *
collect_main(void *object)
{
    struct gateway *gateway = object;
    uint64_t pause_ns = gateway->config.grace_ns / 4;

    pause_ns = pause_ns > ROUND_NS_MAX ? ROUND_NS_MAX : pause_ns;
    pause_ns = pause_ns < ROUND_NS_MIN ? ROUND_NS_MIN : pause_ns;
    /* What fails is tried again the next time. */
    while (gateway_tick(gateway, pause_ns))
        (void)!gateway_collect(gateway, clock_now_ns(), NULL);
    return NULL;
}

int
gateway_collect_start(struct gateway *gateway, struct diag *diag)
{
    int err;

    gateway->collector = calloc(1, sizeof(*gateway->collector));
    if (gateway->collector == NULL)
        return diag_set(diag, -ENOMEM, "no memory to collect what nobody needs");
    if (gateway->config.grace_ns == GATEWAY_GRACE_NEVER)
        return 0;
    if (gateway->config.grace_ns == 0)
        gateway->config.grace_ns = GRACE_NS;
    err = pthread_create(&gateway->collecting, NULL, collect_main, gateway);
    gateway->has_collecting = err == 0;
    return err == 0 ? 0 : diag_set(diag, -err, "cannot start a thread: %s", strerror(err));
}

void
gateway_collect_stop(struct gateway *gateway)
{
    if (gateway->has_collecting)
        (void)pthread_join(gateway->collecting, NULL);
    gateway->has_collecting = false;
    if (gateway->collector != NULL)
        forget_suspects(gateway->collector, gateway->collector->round + 1);
    free(gateway->collector);
    gateway->collector = NULL;
}
