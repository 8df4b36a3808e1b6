/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger: what is asked is packed, queued, and committed by one of some threads, whose
 * commits share a sync.
 */
#include "planner/ledger.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"

#define TABLE_CALL  "call"
#define TABLE_OPEN  "call-open"
#define TABLE_KEY   "call-key"
#define TABLE_AGE   "call-age"
#define ID_BYTES    8u
#define KEY_MAX     (LEDGER_TENANT_MAX + 1 + LEDGER_KEY_BYTES_MAX)
#define CHANGES_MAX 5u

/* A key as bytes: tenant NUL id, and the like. */
struct key {
    uint8_t bytes[KEY_MAX];
    size_t count;
};

enum op_kind { OP_ACCEPT, OP_ATTEMPT, OP_END };

struct op {
    struct op *next;
    enum op_kind kind;
    uint64_t id, expires_s;
    struct key call, key; /* key.count 0: no idempotency key */
    char tenant[LEDGER_TENANT_MAX + 1];
    ledger_done_fn done;
    void *context;
    size_t count;
    uint8_t bytes[]; /* the call, packed */
};

struct ledger {
    struct ledger_config config;
    char *lease;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct op *first, **last;
    struct op *busy; /* those that threads carry out: one of a call at a time, in order */
    size_t queued;
    bool is_ending;
    pthread_t *threads;
    uint32_t thread_count;
};

/* ----------------------------------------------------------------------------- keys */

static void
key_append(struct key *key, const void *bytes, size_t count)
{
    ASSERT(count <= sizeof(key->bytes) - key->count);
    (void)memcpy(key->bytes + key->count, bytes, count);
    key->count += count;
}

/* Highest byte first, so that keys are in the order of the numbers. */
static void
key_append_number(struct key *key, uint64_t number)
{
    uint8_t bytes[ID_BYTES];

    for (unsigned i = 0; i < ID_BYTES; i++)
        bytes[i] = (uint8_t)(number >> (8 * (ID_BYTES - 1 - i)));
    key_append(key, bytes, sizeof(bytes));
}

static uint64_t
number_at(const uint8_t *bytes)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < ID_BYTES; i++)
        number = number << 8 | bytes[i];
    return number;
}

static struct key
key_of_call(const char *tenant, uint64_t id)
{
    struct key key = {.count = 0};

    key_append(&key, tenant, strlen(tenant) + 1);
    key_append_number(&key, id);
    return key;
}

static struct key
key_of_number(uint64_t number)
{
    struct key key = {.count = 0};

    key_append_number(&key, number);
    return key;
}

static struct key
key_of_age(uint64_t expires_s, uint64_t id)
{
    struct key key = key_of_number(expires_s);

    key_append_number(&key, id);
    return key;
}

static struct key
key_of_key(const char *tenant, const char *name)
{
    struct key key = {.count = 0};

    if (name[0] == '\0')
        return key;
    key_append(&key, tenant, strlen(tenant) + 1);
    key_append(&key, name, strlen(name));
    return key;
}

static struct store_key
in(const char *table, const struct key *key)
{
    return (struct store_key){table, key->bytes, key->count};
}

/* -------------------------------------------------------------------------- changes */

/* The first change is always the term. */
struct changes {
    struct store_change list[CHANGES_MAX];
    size_t count;
};

static void
changes_init(const struct ledger *ledger, struct changes *changes)
{
    changes->count = 1;
    changes->list[0] = (struct store_change){
        .key = {STORE_TERM_TABLE, ledger->lease, strlen(ledger->lease)},
        .condition = STORE_VERSION,
        .version = ledger->config.term,
    };
}

static struct store_change *
change(struct changes *changes, const char *table, const struct key *key)
{
    struct store_change *one = &changes->list[changes->count++];

    ASSERT(changes->count <= CHANGES_MAX);
    *one = (struct store_change){.key = in(table, key)};
    return one;
}

static void
put(struct store_change *one, const void *value, size_t count)
{
    one->value = value;
    one->count = count;
}

/* -ESTALE: the term is over; else as store_commit. */
static int
commit(const struct ledger *ledger, const struct changes *changes, size_t *failed,
       struct diag *diag)
{
    int err = store_commit(ledger->config.store, changes->list, changes->count, NULL, failed, diag);

    return err == -EAGAIN && *failed == 0 ? -ESTALE : err;
}

/* ------------------------------------------------------------------------ operations */

static int
read_number(const struct ledger *ledger, const char *table, const struct key *key, uint64_t *number,
            struct diag *diag)
{
    const struct store_key at = in(table, key);
    struct buffer value = {0};
    uint64_t version;
    int err = store_get(ledger->config.store, &at, &value, &version, diag);

    if (err == 0 && value.count != ID_BYTES)
        err = diag_set(diag, -EBADMSG, "a record of table %s has %zu bytes, not %u", table,
                       value.count, ID_BYTES);
    if (err == 0)
        *number = number_at(value.bytes);
    buffer_fini(&value);
    return err;
}

/* The version of the mark that a call is open. -ENOENT: it is not. */
static int
read_open(const struct ledger *ledger, const struct key *open, uint64_t *version, struct diag *diag)
{
    const struct store_key at = in(TABLE_OPEN, open);
    struct buffer value = {0};
    int err = store_get(ledger->config.store, &at, &value, version, diag);

    buffer_fini(&value);
    return err;
}

static int
accept(const struct ledger *ledger, const struct op *op, uint64_t *existing, struct diag *diag)
{
    const struct key open = key_of_number(op->id);
    struct changes changes;
    struct store_change *one;
    size_t failed = 0;
    int err;

    changes_init(ledger, &changes);
    one = change(&changes, TABLE_OPEN, &open);
    one->condition = STORE_ABSENT;
    put(one, op->tenant, strlen(op->tenant));
    put(change(&changes, TABLE_CALL, &op->call), op->bytes, op->count);
    if (op->key.count > 0) {
        one = change(&changes, TABLE_KEY, &op->key);
        one->condition = STORE_ABSENT;
        put(one, open.bytes, open.count);
    }
    err = commit(ledger, &changes, &failed, diag);
    if (err != -EAGAIN)
        return err;
    *existing = op->id;
    if (failed == changes.count - 1 && op->key.count > 0)
        err = read_number(ledger, TABLE_KEY, &op->key, existing, diag);
    return err == 0 || err == -EAGAIN ? -EEXIST : err;
}

static int
change_open(const struct ledger *ledger, const struct op *op, struct diag *diag)
{
    const struct key open = key_of_number(op->id), age = key_of_age(op->expires_s, op->id);
    struct changes changes;
    struct store_change *one;
    uint64_t version;
    size_t failed = 0;
    int err = read_open(ledger, &open, &version, diag);

    if (err != 0)
        return err;
    changes_init(ledger, &changes);
    one = change(&changes, TABLE_OPEN, &open);
    one->condition = STORE_VERSION;
    one->version = version;
    one->is_removal = op->kind == OP_END;
    put(change(&changes, TABLE_CALL, &op->call), op->bytes, op->count);
    if (op->kind == OP_END && op->expires_s != 0)
        put(change(&changes, TABLE_AGE, &age), op->tenant, strlen(op->tenant));
    err = commit(ledger, &changes, &failed, diag);
    return err == -EAGAIN ? -ENOENT : err;
}

static void
carry_out(const struct ledger *ledger, const struct op *op)
{
    uint64_t existing = 0;
    struct diag diag;
    int err = fault_point("ledger.commit");

    diag_init(&diag);
    if (err == 0)
        err = op->kind == OP_ACCEPT ? accept(ledger, op, &existing, &diag)
                                    : change_open(ledger, op, &diag);
    if (op->done != NULL)
        op->done(op->context, err, existing);
}

/* -------------------------------------------------------------------------- threads */

static bool
is_busy(const struct ledger *ledger, uint64_t id)
{
    const struct op *op = ledger->busy;

    while (op != NULL && op->id != id)
        op = op->next;
    return op != NULL;
}

/* With the lock: the first whose call no thread is at. Who is at it takes what is left. */
static struct op *
take(struct ledger *ledger)
{
    struct op **at = &ledger->first, *op;

    while (*at != NULL && is_busy(ledger, (*at)->id))
        at = &(*at)->next;
    op = *at;
    if (op == NULL)
        return NULL;
    *at = op->next;
    if (op->next == NULL)
        ledger->last = at;
    ledger->queued--;
    op->next = ledger->busy;
    ledger->busy = op;
    return op;
}

static void
put_away(struct ledger *ledger, struct op *op)
{
    struct op **at = &ledger->busy;

    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    free(op);
}

static void *
work(void *object)
{
    struct ledger *ledger = object;

    (void)pthread_mutex_lock(&ledger->lock);
    for (;;) {
        struct op *op = take(ledger);

        if (op == NULL && ledger->first == NULL && ledger->is_ending)
            break;
        if (op == NULL) {
            (void)pthread_cond_wait(&ledger->work, &ledger->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&ledger->lock);
        carry_out(ledger, op);
        (void)pthread_mutex_lock(&ledger->lock);
        put_away(ledger, op);
    }
    /* Those that found only what another was at. */
    (void)pthread_cond_broadcast(&ledger->work);
    (void)pthread_mutex_unlock(&ledger->lock);
    return NULL;
}

void
ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    (void)pthread_mutex_lock(&ledger->lock);
    ledger->is_ending = true;
    (void)pthread_cond_broadcast(&ledger->work);
    (void)pthread_mutex_unlock(&ledger->lock);
    for (uint32_t i = 0; i < ledger->thread_count; i++)
        (void)pthread_join(ledger->threads[i], NULL);
    (void)pthread_mutex_destroy(&ledger->lock);
    (void)pthread_cond_destroy(&ledger->work);
    free(ledger->threads);
    free(ledger->lease);
    free(ledger);
}

static int
start_threads(struct ledger *ledger)
{
    uint32_t wanted = ledger->config.threads;
    int err = 0;

    while (err == 0 && ledger->thread_count < wanted) {
        err = fault_point("ledger.thread");
        if (err == 0)
            err = -pthread_create(&ledger->threads[ledger->thread_count], NULL, work, ledger);
        ledger->thread_count += err == 0;
    }
    return ledger->thread_count > 0 ? 0 : err;
}

int
ledger_open(const struct ledger_config *config, struct ledger **out, struct diag *diag)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    int err;

    if (ledger == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a ledger");
    ledger->config = *config;
    ledger->last = &ledger->first;
    if (config->threads == 0)
        ledger->config.threads = LEDGER_THREADS_DEFAULT;
    (void)pthread_mutex_init(&ledger->lock, NULL);
    (void)pthread_cond_init(&ledger->work, NULL);
    ledger->lease = strdup(config->lease);
    ledger->threads = calloc(ledger->config.threads, sizeof(*ledger->threads));
    err = ledger->lease == NULL || ledger->threads == NULL ? -ENOMEM : start_threads(ledger);
    if (err != 0) {
        ledger_close(ledger);
        return diag_set(diag, err, "cannot start the ledger's threads: %s", strerror(-err));
    }
    *out = ledger;
    return 0;
}

/* --------------------------------------------------------------------------- asking */

static bool
is_sound(const Ledger__Call *call)
{
    return call->tenant[0] != '\0' && strlen(call->tenant) <= LEDGER_TENANT_MAX &&
           strlen(call->key) <= LEDGER_KEY_BYTES_MAX && call->id != 0;
}

static struct op *
op_create(enum op_kind kind, const Ledger__Call *call)
{
    size_t count = ledger__call__get_packed_size(call);
    struct op *op = fault_point("ledger.ask") == 0 ? calloc(1, sizeof(*op) + count) : NULL;

    if (op == NULL)
        return NULL;
    op->kind = kind;
    op->id = call->id;
    op->expires_s = call->expires_s;
    op->call = key_of_call(call->tenant, call->id);
    op->key = key_of_key(call->tenant, call->key);
    (void)memcpy(op->tenant, call->tenant, strlen(call->tenant));
    op->count = ledger__call__pack(call, op->bytes);
    return op;
}

static int
ask(struct ledger *ledger, enum op_kind kind, const Ledger__Call *call, ledger_done_fn done,
    void *context)
{
    struct op *op = is_sound(call) ? op_create(kind, call) : NULL;
    bool is_full;

    if (op == NULL)
        return is_sound(call) ? -ENOMEM : -EINVAL;
    op->done = done;
    op->context = context;
    (void)pthread_mutex_lock(&ledger->lock);
    /* An end is never refused for being one too many: it makes room elsewhere. */
    is_full = kind == OP_ACCEPT && ledger->queued >= LEDGER_QUEUE_MAX;
    if (!is_full) {
        *ledger->last = op;
        ledger->last = &op->next;
        ledger->queued++;
        (void)pthread_cond_signal(&ledger->work);
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    if (is_full)
        free(op);
    return is_full ? -EAGAIN : 0;
}

int
ledger_accept(struct ledger *ledger, Ledger__Call *call, ledger_done_fn done, void *context)
{
    call->state = LEDGER__STATE__STATE_OPEN;
    call->expires_s = 0;
    return ask(ledger, OP_ACCEPT, call, done, context);
}

int
ledger_attempt(struct ledger *ledger, Ledger__Call *call, uint32_t attempts_used,
               ledger_done_fn done, void *context)
{
    if (call->request == NULL)
        return -EINVAL;
    call->request->attempts_used = attempts_used;
    return ask(ledger, OP_ATTEMPT, call, done, context);
}

int
ledger_end(struct ledger *ledger, const Ledger__Call *call, bool is_dead, uint64_t now_s,
           ledger_done_fn done, void *context)
{
    Ledger__Call ended = *call; /* the call may be gone when this returns */

    if (call->result == NULL)
        return -EINVAL;
    ended.state = is_dead ? LEDGER__STATE__STATE_DEAD : LEDGER__STATE__STATE_OVER;
    ended.expires_s = is_dead ? 0 : now_s + ledger->config.kept_s;
    if (!is_dead)
        ended.request = NULL; /* nobody needs the input any more */
    return ask(ledger, OP_END, &ended, done, context);
}

/* -------------------------------------------------------------------------- reading */

static int
unpack(const void *bytes, size_t count, const char *tenant, uint64_t id, Ledger__Call **out,
       struct diag *diag)
{
    Ledger__Call *call = ledger__call__unpack(NULL, count, bytes);

    if (call == NULL || call->id != id || strcmp(call->tenant, tenant) != 0) {
        if (call != NULL)
            ledger__call__free_unpacked(call, NULL);
        return diag_set(diag, -EBADMSG, "the record of call %llu of tenant %s is damaged",
                        (unsigned long long)id, tenant);
    }
    *out = call;
    return 0;
}

static int
get(const struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
    uint64_t *version, struct diag *diag)
{
    struct buffer value = {0};
    struct store_key at;
    struct key key;
    int err;

    if (strlen(tenant) > LEDGER_TENANT_MAX)
        return -ENOENT;
    key = key_of_call(tenant, id);
    at = in(TABLE_CALL, &key);
    err = store_get(ledger->config.store, &at, &value, version, diag);
    if (err == 0)
        err = unpack(value.bytes, value.count, tenant, id, out, diag);
    buffer_fini(&value);
    return err;
}

int
ledger_get(struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
           struct diag *diag)
{
    uint64_t version;

    return get(ledger, tenant, id, out, &version, diag);
}

struct visiting {
    const struct ledger *ledger;
    const char *tenant;
    ledger_visit_fn visit;
    void *context;
    uint64_t last;
    int err;
    struct diag *diag;
};

static bool
visit_call(void *context, const struct store_record *record)
{
    struct visiting *visiting = context;
    const uint8_t *key = record->key;
    Ledger__Call *call;
    bool goes_on;

    if (record->key_count != strlen(visiting->tenant) + 1 + ID_BYTES)
        return true;
    visiting->err = unpack(record->value, record->value_count, visiting->tenant,
                           number_at(key + record->key_count - ID_BYTES), &call, visiting->diag);
    if (visiting->err != 0)
        return false;
    goes_on = visiting->visit(visiting->context, call);
    ledger__call__free_unpacked(call, NULL);
    return goes_on;
}

int
ledger_list(struct ledger *ledger, const char *tenant, uint64_t after, uint32_t count,
            ledger_visit_fn visit, void *context, struct diag *diag)
{
    struct visiting visiting = {ledger, tenant, visit, context, 0, 0, diag};
    struct key from;
    struct store_range range = {.table = TABLE_CALL, .count_max = count};
    int err;

    if (strlen(tenant) > LEDGER_TENANT_MAX || tenant[0] == '\0')
        return -EINVAL;
    from = key_of_call(tenant, after);
    range.prefix = from.bytes;
    range.prefix_count = from.count - ID_BYTES;
    range.after = from.bytes;
    range.after_count = from.count;
    err = store_list(ledger->config.store, &range, visit_call, &visiting, diag);
    return visiting.err != 0 ? visiting.err : err;
}

/* A mark without its call cannot be: both are of one commit. */
static bool
visit_open(void *context, const struct store_record *record)
{
    struct visiting *visiting = context;
    char tenant[LEDGER_TENANT_MAX + 1] = "";
    Ledger__Call *call = NULL;
    bool goes_on;

    if (record->key_count != ID_BYTES || record->value_count > LEDGER_TENANT_MAX) {
        visiting->err =
            diag_set(visiting->diag, -EBADMSG, "a record of table %s is damaged", TABLE_OPEN);
        return false;
    }
    (void)memcpy(tenant, record->value, record->value_count);
    visiting->last = number_at(record->key);
    visiting->err = ledger_get((struct ledger *)(uintptr_t)visiting->ledger, tenant, visiting->last,
                               &call, visiting->diag);
    if (visiting->err != 0)
        return false;
    goes_on = visiting->visit(visiting->context, call);
    ledger__call__free_unpacked(call, NULL);
    return goes_on;
}

int
ledger_restore(struct ledger *ledger, ledger_visit_fn visit, void *context, uint64_t *last,
               struct diag *diag)
{
    struct visiting visiting = {ledger, NULL, visit, context, 0, 0, diag};
    const struct store_range range = {.table = TABLE_OPEN};
    int err = store_list(ledger->config.store, &range, visit_open, &visiting, diag);

    *last = visiting.last;
    return visiting.err != 0 ? visiting.err : err;
}

/* --------------------------------------------------------------------- dead letters */

static int
get_dead(const struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
         uint64_t *version, struct diag *diag)
{
    int err = get(ledger, tenant, id, out, version, diag);

    if (err == 0 && (*out)->state != LEDGER__STATE__STATE_DEAD) {
        ledger__call__free_unpacked(*out, NULL);
        err = -ENOENT;
    }
    return err == -ENOENT
               ? diag_set(diag, err, "there is no dead letter %llu", (unsigned long long)id)
               : err;
}

static void
make_open(Ledger__Call *call)
{
    call->state = LEDGER__STATE__STATE_OPEN;
    if (call->request != NULL)
        call->request->attempts_used = 0;
    if (call->result != NULL)
        protobuf_c_message_free_unpacked(&call->result->base, NULL);
    call->result = NULL;
}

int
ledger_revive(struct ledger *ledger, const char *tenant, uint64_t id, Ledger__Call **out,
              struct diag *diag)
{
    const struct key key = key_of_call(tenant, id), open = key_of_number(id);
    struct changes changes;
    struct store_change *one;
    uint64_t version;
    size_t failed = 0;
    Ledger__Call *call;
    uint8_t *bytes;
    int err = get_dead(ledger, tenant, id, &call, &version, diag);

    if (err != 0)
        return err;
    make_open(call);
    bytes = malloc(ledger__call__get_packed_size(call) + 1);
    if (bytes == NULL) {
        ledger__call__free_unpacked(call, NULL);
        return -ENOMEM;
    }
    changes_init(ledger, &changes);
    one = change(&changes, TABLE_CALL, &key);
    one->condition = STORE_VERSION;
    one->version = version;
    put(one, bytes, ledger__call__pack(call, bytes));
    put(change(&changes, TABLE_OPEN, &open), tenant, strlen(tenant));
    err = commit(ledger, &changes, &failed, diag);
    free(bytes);
    if (err == 0)
        *out = call;
    else
        ledger__call__free_unpacked(call, NULL);
    return err == -EAGAIN ? -ENOENT : err; /* somebody else was quicker */
}

/* Removes a call that is over or dead, with what names it. */
static int
remove_call(const struct ledger *ledger, const Ledger__Call *call, uint64_t version,
            struct diag *diag)
{
    const struct key at = key_of_call(call->tenant, call->id);
    const struct key name = key_of_key(call->tenant, call->key);
    const struct key age = key_of_age(call->expires_s, call->id);
    struct changes changes;
    struct store_change *one;
    uint64_t named = 0;
    size_t failed = 0;
    int err;

    changes_init(ledger, &changes);
    one = change(&changes, TABLE_CALL, &at);
    one->condition = STORE_VERSION;
    one->version = version;
    one->is_removal = true;
    change(&changes, TABLE_AGE, &age)->is_removal = true;
    if (name.count > 0 && read_number(ledger, TABLE_KEY, &name, &named, NULL) == 0 &&
        named == call->id)
        change(&changes, TABLE_KEY, &name)->is_removal = true;
    err = commit(ledger, &changes, &failed, diag);
    return err == -EAGAIN ? 0 : err; /* it is another by now */
}

int
ledger_bury(struct ledger *ledger, const char *tenant, uint64_t id, struct diag *diag)
{
    Ledger__Call *call;
    uint64_t version;
    int err = get_dead(ledger, tenant, id, &call, &version, diag);

    if (err != 0)
        return err;
    err = remove_call(ledger, call, version, diag);
    ledger__call__free_unpacked(call, NULL);
    return err;
}

/* ------------------------------------------------------------------ removed tenants */

struct forgetting {
    struct ledger *ledger;
    const char *tenant;
    size_t count;
    int err;
    struct diag *diag;
};

/* One that is damaged stays: who reads it says so. */
static bool
forget_one(void *context, const struct store_record *record)
{
    struct forgetting *forgetting = context;
    const uint8_t *key = record->key;
    Ledger__Call *call;

    if (record->key_count != strlen(forgetting->tenant) + 1 + ID_BYTES ||
        unpack(record->value, record->value_count, forgetting->tenant,
               number_at(key + record->key_count - ID_BYTES), &call, NULL) != 0)
        return true;
    if (call->state != LEDGER__STATE__STATE_OPEN) {
        forgetting->err = remove_call(forgetting->ledger, call, record->version, forgetting->diag);
        forgetting->count += forgetting->err == 0;
    }
    ledger__call__free_unpacked(call, NULL);
    return forgetting->err == 0 && forgetting->count < LEDGER_COLLECT_MAX;
}

int
ledger_forget(struct ledger *ledger, const char *tenant, size_t *count, struct diag *diag)
{
    struct forgetting forgetting = {.ledger = ledger, .tenant = tenant, .diag = diag};
    struct store_range range = {.table = TABLE_CALL};
    struct key from;
    int err;

    if (strlen(tenant) > LEDGER_TENANT_MAX || tenant[0] == '\0')
        return -EINVAL;
    from = key_of_call(tenant, 0);
    range.prefix = from.bytes;
    range.prefix_count = from.count - ID_BYTES;
    err = store_list(ledger->config.store, &range, forget_one, &forgetting, diag);
    *count = forgetting.count;
    return err != 0 ? err : forgetting.err;
}

static bool
note_tenant(void *context, const struct store_record *record)
{
    char *tenant = context;
    const char *key = record->key;

    if (record->key_count > ID_BYTES + 1 && record->key_count <= LEDGER_TENANT_MAX + 1 + ID_BYTES &&
        key[record->key_count - ID_BYTES - 1] == '\0')
        (void)memcpy(tenant, key, record->key_count - ID_BYTES);
    return false;
}

int
ledger_tenant_next(struct ledger *ledger, char tenant[LEDGER_TENANT_MAX + 1], struct diag *diag)
{
    struct key last = key_of_call(tenant, UINT64_MAX);
    const struct store_range range = {.table = TABLE_CALL,
                                      .after = tenant[0] != '\0' ? last.bytes : NULL,
                                      .after_count = tenant[0] != '\0' ? last.count : 0,
                                      .count_max = 1};
    char next[LEDGER_TENANT_MAX + 1] = "";
    int err = store_list(ledger->config.store, &range, note_tenant, next, diag);

    if (err == 0)
        (void)memcpy(tenant, next, sizeof(next));
    return err != 0 ? err : next[0] != '\0' ? 0 : -ENOENT;
}

/* ----------------------------------------------------------------------- collecting */

struct collecting {
    struct ledger *ledger;
    uint64_t now_s;
    size_t count;
    int err;
    bool is_damaged;
    struct diag *diag;
};

static bool
collect_one(void *context, const struct store_record *record)
{
    struct collecting *collecting = context;
    const uint8_t *key = record->key;
    char tenant[LEDGER_TENANT_MAX + 1] = "";
    Ledger__Call *call;
    uint64_t version;
    int err;

    if (record->key_count != 2 * ID_BYTES || record->value_count > LEDGER_TENANT_MAX ||
        number_at(key) > collecting->now_s)
        return false;
    (void)memcpy(tenant, record->value, record->value_count);
    err = get(collecting->ledger, tenant, number_at(key + ID_BYTES), &call, &version,
              collecting->diag);
    if (err == -ENOENT)
        err = diag_set(collecting->diag, -EBADMSG, "table %s names call %llu, which is not there",
                       TABLE_AGE, (unsigned long long)number_at(key + ID_BYTES));
    if (err == -EBADMSG) { /* the others must not be kept for it */
        collecting->is_damaged = true;
        return true;
    }
    collecting->err = err;
    if (err != 0)
        return false;
    collecting->err = remove_call(collecting->ledger, call, version, collecting->diag);
    collecting->count += collecting->err == 0;
    ledger__call__free_unpacked(call, NULL);
    return collecting->err == 0;
}

int
ledger_collect(struct ledger *ledger, uint64_t now_s, size_t *count, struct diag *diag)
{
    struct collecting collecting = {.ledger = ledger, .now_s = now_s, .diag = diag};
    const struct store_range range = {.table = TABLE_AGE, .count_max = LEDGER_COLLECT_MAX};
    int err = store_list(ledger->config.store, &range, collect_one, &collecting, diag);

    *count = collecting.count;
    if (err == 0)
        err = collecting.err != 0 ? collecting.err : collecting.is_damaged ? -EBADMSG : 0;
    return err;
}
