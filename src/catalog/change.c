/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes: decided on the newest that there is, committed on condition that it still is,
 * decided again where it is not.
 *
 * Claim: changes of a tenant happen one after the other, whoever makes them; each was
 * decided on what the one before it left. None is lost, none is seen half.
 *
 * Argument: sync.c makes the space that of a generation G; decide looks at nothing else;
 * the commit puts G + 1 on condition that the record of G has not changed. All that can
 * fail for want of memory is done before the commit, so what is committed is in the index.
 * A commit that failed and has happened all the same (its answer was lost for good) is
 * found by the next sync.
 *
 * Who lost must read what the winner wrote, and may lose again to one who has it already and
 * never stops. So whoever lost often leaves a claim in the store, and whoever begins a
 * change lets a claim pass: waits until it is gone, or for a moment. That is politeness: no
 * promise rests on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "base/assert.h"
#include "base/fault.h"
#include "catalog/catalog_internal.h"

#define ATTEMPTS_MAX 256u
#define CLAIM_AFTER  8u /* attempts */
#define CLAIM_POLLS  50u
#define CLAIM_NS     UINT64_C(1000000) /* of each poll */

/* What one commit needs beside its delta. */
struct commit {
    struct catalog_space *space;
    Catalog__Generation *next; /* owned */
    struct buffer generation;
    struct store_change *changes; /* owned */
    size_t count;
};

/* ---------------------------------------------------------------- what decide calls */

int
catalog_change_put(struct catalog_change *change, const struct catalog_key *key,
                   const ProtobufCMessage *message)
{
    struct catalog_item *item = NULL;
    struct buffer value = {0};
    int err = catalog_message_pack(message, &value);

    if (err == -E2BIG)
        err = diag_set(change->diag, -EINVAL, "all of it together: more than %u bytes",
                       CATALOG_RECORD_BYTES_MAX);
    if (err == 0)
        err = catalog_item_build(key, value.bytes, value.count, &item, change->diag);
    if (err == 0)
        err = catalog_delta_add(&change->delta, key, item);
    if (err == 0)
        change->delta.entries[change->delta.count - 1].value = value;
    else
        buffer_fini(&value);
    return err;
}

int
catalog_change_remove(struct catalog_change *change, const struct catalog_key *key)
{
    return catalog_delta_add(&change->delta, key, NULL);
}

struct catalog_item *
catalog_change_find(const struct catalog_change *change, enum catalog_record kind, const char *name)
{
    return catalog_index_find(change->catalog, change->tenant, kind, name);
}

/* ------------------------------------------------------------------ the next generation */

static size_t
keys_of(const Catalog__Generation *generation, size_t from)
{
    size_t keys = 0;

    for (size_t i = from; i < generation->n_log; i++)
        keys += generation->log[i]->n_keys;
    return keys;
}

/* The last of the log that there was, and what this change does. */
static size_t
make_log(const struct catalog_change *change, const Catalog__Generation *old, Catalog__Commit *last,
         Catalog__Commit *log[CATALOG_LOG_COMMITS])
{
    size_t from = 0, count = 0;

    if (change->is_removal || change->delta.count > CATALOG_LOG_KEYS)
        return 0;
    while (from < old->n_log && (old->n_log - from >= CATALOG_LOG_COMMITS ||
                                 keys_of(old, from) + change->delta.count > CATALOG_LOG_KEYS))
        from++;
    while (from < old->n_log)
        log[count++] = old->log[from++];
    log[count++] = last;
    for (size_t i = 0; i < change->delta.count; i++)
        last->keys[i] = (ProtobufCBinaryData){change->delta.entries[i].key.count,
                                              change->delta.entries[i].key.bytes};
    last->n_keys = change->delta.count;
    return count;
}

static int
make_generation(const struct catalog_change *change, struct commit *commit)
{
    ProtobufCBinaryData keys[CATALOG_LOG_KEYS];
    Catalog__Commit last = CATALOG__COMMIT__INIT, *log[CATALOG_LOG_COMMITS];
    Catalog__Generation next = CATALOG__GENERATION__INIT, old = CATALOG__GENERATION__INIT;
    int err = 0;

    if (change->space != NULL && change->space->generation != NULL)
        next = old = *change->space->generation;
    else if (RAND_bytes((unsigned char *)&next.incarnation, sizeof(next.incarnation)) != 1)
        return diag_set(change->diag, -EIO, "no random numbers");
    last.keys = keys;
    last.number = ++next.number;
    next.is_removed = change->is_removal;
    next.n_log = make_log(change, &old, &last, log);
    next.log = log;
    err = catalog_message_pack(&next.base, &commit->generation);
    if (err == 0)
        err = catalog_generation_decode(commit->generation.bytes, commit->generation.count,
                                        &commit->next);
    return err;
}

/* ---------------------------------------------------------------------------- commit */

static void
add(struct commit *commit, const char *table, const struct catalog_key *key,
    const struct buffer *value)
{
    commit->changes[commit->count++] = (struct store_change){
        .key = {table, key->bytes, key->count},
        .is_removal = value->bytes == NULL,
        .value = value->bytes,
        .count = value->count,
    };
}

static int
make_changes(const struct catalog_change *change, const struct catalog_key *generation_key,
             struct commit *commit)
{
    static const struct catalog_key mark = {.bytes = "*", .count = 1};
    static uint8_t nothing[1];
    struct store_change *first;

    commit->changes = calloc(change->delta.count + 2, sizeof(struct store_change));
    if (commit->changes == NULL)
        return -ENOMEM;
    add(commit, CATALOG_TABLE_GENERATION, generation_key, &commit->generation);
    first = &commit->changes[0];
    first->condition = STORE_ABSENT;
    if (change->space != NULL && change->space->version != 0) {
        first->condition = STORE_VERSION;
        first->version = change->space->version;
    }
    add(commit, CATALOG_TABLE_GENERATION, &mark, &(struct buffer){.bytes = nothing});
    for (size_t i = 0; i < change->delta.count; i++)
        add(commit, CATALOG_TABLE, &change->delta.entries[i].key, &change->delta.entries[i].value);
    return 0;
}

static int
prepare(struct catalog_change *change, struct commit *commit)
{
    int err = make_generation(change, commit);

    if (err == 0)
        err = catalog_delta_link(change->catalog, &change->delta, change->diag);
    if (err == 0)
        err = catalog_space_make(change->catalog, change->tenant, &commit->space);
    if (err == 0)
        err = catalog_index_reserve(change->catalog, commit->space, &change->delta);
    return err;
}

static int
commit_change(struct catalog_change *change)
{
    struct catalog_key generation_key;
    struct commit commit = {0};
    uint64_t version;
    int err = prepare(change, &commit);

    catalog_generation_key(&generation_key, change->tenant);
    if (err == 0)
        err = make_changes(change, &generation_key, &commit);
    if (err == 0)
        err = fault_point("catalog.commit");
    if (err == 0)
        err = store_commit(change->catalog->store, commit.changes, commit.count, &version, NULL,
                           change->diag);
    if (err == 0 && change->is_removal) {
        catalog_space_drop(change->catalog, commit.space);
    } else if (err == 0) {
        catalog_index_apply(change->catalog, commit.space, &change->delta, commit.next, version);
        commit.next = NULL;
    }
    if (commit.next != NULL)
        catalog__generation__free_unpacked(commit.next, NULL);
    buffer_fini(&commit.generation);
    free(commit.changes);
    return err;
}

/* ---------------------------------------------------------------------------- claims */

/* What fails here is not needed. */
static void
commit_claim(struct catalog *catalog, const char *tenant, struct store_change change)
{
    struct catalog_key key;
    int err;

    catalog_generation_key(&key, tenant);
    change.key = (struct store_key){CATALOG_TABLE_CLAIM, key.bytes, key.count};
    err = store_commit(catalog->store, &change, 1, NULL, NULL, NULL);
    (void)err;
}

static void
let_claim_pass(struct catalog *catalog, const char *tenant)
{
    const struct timespec pause = {.tv_nsec = CLAIM_NS};
    struct buffer nothing = {0};
    struct catalog_key key;
    uint64_t version = 0;
    int err = 0;

    catalog_generation_key(&key, tenant);
    for (unsigned i = 0; err == 0 && i < CLAIM_POLLS; i++) {
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        err = store_get(catalog->store,
                        &(struct store_key){CATALOG_TABLE_CLAIM, key.bytes, key.count}, &nothing,
                        &version, NULL);
    }
    if (err == 0) /* whose it was has ended, or is slow */
        commit_claim(catalog, tenant,
                     (struct store_change){
                         .condition = STORE_VERSION, .version = version, .is_removal = true});
    buffer_fini(&nothing);
}

/* ------------------------------------------------------------------------------ runs */

struct run {
    struct catalog *catalog;
    const char *tenant;
    bool is_any;
    catalog_decide_fn decide;
    void *context;
};

static int
run_once(const struct run *run, struct diag *diag)
{
    struct catalog_change change = {.catalog = run->catalog, .tenant = run->tenant, .diag = diag};
    int err = catalog_sync(run->catalog, run->tenant, diag);

    if (err != 0)
        return err;
    change.space = catalog_space_find(run->catalog, run->tenant);
    if (!run->is_any &&
        (change.space == NULL || change.space->counts[CATALOG_RECORD_SETTINGS] == 0))
        return diag_set(diag, -ENOENT, "there is no tenant %s", run->tenant);
    err = run->decide(&change, run->context);
    ASSERT(err != -EAGAIN);
    if (err == 0 && change.delta.count > 0)
        err = commit_change(&change);
    catalog_delta_fini(&change.delta);
    return err;
}

static int
run_all(const struct run *run, struct diag *diag)
{
    struct diag attempt;
    bool has_claim = false;
    int err = -EAGAIN;

    let_claim_pass(run->catalog, run->tenant);
    (void)pthread_mutex_lock(&run->catalog->changing);
    for (unsigned i = 0; i < ATTEMPTS_MAX && err == -EAGAIN; i++) {
        if (i > 0 && i % CLAIM_AFTER == 0) {
            commit_claim(run->catalog, run->tenant, (struct store_change){.value = ""});
            has_claim = true;
        }
        diag_init(&attempt);
        err = run_once(run, &attempt);
    }
    if (has_claim)
        commit_claim(run->catalog, run->tenant, (struct store_change){.is_removal = true});
    (void)pthread_mutex_unlock(&run->catalog->changing);
    if (err == -EAGAIN)
        return diag_set(diag, err, "tenant %s: others were faster %u times: read it, try again",
                        run->tenant, ATTEMPTS_MAX);
    return err == 0
               ? 0
               : diag_set(diag, err, "%s", attempt.is_set ? diag_text(&attempt) : strerror(-err));
}

int
catalog_change(struct catalog *catalog, const char *tenant, catalog_decide_fn decide, void *context,
               struct diag *diag)
{
    struct run run = {.catalog = catalog, .tenant = tenant, .decide = decide, .context = context};
    int err = catalog_check_name("tenant", tenant, diag);

    return err != 0 ? err : run_all(&run, diag);
}

int
catalog_change_any(struct catalog *catalog, const char *tenant, catalog_decide_fn decide,
                   void *context, struct diag *diag)
{
    struct run run = {
        .catalog = catalog, .tenant = tenant, .is_any = true, .decide = decide, .context = context};
    int err = tenant != NULL && tenant[0] == '\0' ? 0 : catalog_check_name("tenant", tenant, diag);

    return err != 0 ? err : run_all(&run, diag);
}
