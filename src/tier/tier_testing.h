/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of tier: a tier on a store that the suite has opened, with a clock that tests
 * move, and cells that speak to it.
 */
#ifndef WEFT_TIER_TIER_TESTING_H
#define WEFT_TIER_TIER_TESTING_H

#include <time.h>

#include "store/store_testing.h"
#include "tier/tier_internal.h"

#define PATIENCE_S 60
#define LEASE      TIER_LEASE_NS
#define LAPSE      (LEASE + LEASE / 10)

static struct store_config testing_config;
__attribute__((unused)) static struct tier *testing_tier;
static atomic_uint_fast64_t testing_mono = 1000000000, testing_real = UINT64_C(1) << 60;

static inline uint64_t
testing_clock_mono(void *context)
{
    (void)context;
    return atomic_load(&testing_mono);
}

static inline uint64_t
testing_clock_real(void *context)
{
    (void)context;
    return atomic_load(&testing_real);
}

static const struct tier_clock testing_clock = {testing_clock_mono, testing_clock_real, NULL, true};

static inline struct tier *
testing_tier_create(const struct tier_config *config)
{
    struct tier *tier = NULL;
    struct diag diag;

    diag_init(&diag);
    if (tier_create_clocked(config, &testing_clock, &tier, &diag) != 0)
        fail_msg("cannot create a tier: %s", diag_text(&diag));
    return tier;
}

static inline void
testing_pass(struct tier *tier, uint64_t ns)
{
    atomic_fetch_add(&testing_mono, ns);
    atomic_fetch_add(&testing_real, ns);
    tier_tick(tier);
}

/* ------------------------------------------------------------------------------- cells */

struct heard {
    struct heard *next;
    Rpc__StateDown *down;
};

struct cell {
    struct tier_session *session;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct heard *first, **last;
    atomic_bool yields; /* at once, when it is told to */
    atomic_uint takes, speaking;
    uint64_t serial; /* of the last take */
    uint64_t number;
    bool is_welcome;

    /* The last answer. */
    int err;
    uint64_t size, version, result, offset;
    bool is_held;
    struct buffer bytes;
    uint32_t counts[64];
    size_t count, items;
    char keys[64][TIER_KEY_BYTES_MAX + 1];
    uint64_t lives_ns;
    char message[256];
};

static inline Rpc__StateDown *
down_copy(const Rpc__StateDown *down)
{
    size_t count = rpc__state_down__get_packed_size(down);
    uint8_t *bytes = malloc(count + 1);
    Rpc__StateDown *copy;

    (void)rpc__state_down__pack(down, bytes);
    copy = rpc__state_down__unpack(NULL, count, bytes);
    free(bytes);
    return copy;
}

static inline void
cell_yield(struct cell *cell, uint64_t serial)
{
    Rpc__StateYield yield = RPC__STATE_YIELD__INIT;
    Rpc__StateUp up = RPC__STATE_UP__INIT;

    yield.serial = serial;
    up.is_case = RPC__STATE_UP__IS_YIELD;
    up.yield = &yield;
    if (!tier_session_hear(cell->session, &up))
        abort();
}

static inline void
cell_said(void *context, const Rpc__StateDown *down)
{
    struct cell *cell = context;
    struct heard *heard = malloc(sizeof(*heard));

    if (atomic_fetch_add(&cell->speaking, 1) != 0)
        abort(); /* one at a time */
    *heard = (struct heard){.down = down_copy(down)};
    (void)pthread_mutex_lock(&cell->lock);
    *cell->last = heard;
    cell->last = &heard->next;
    if (down->is_case == RPC__STATE_DOWN__IS_TAKE)
        cell->serial = down->take->serial;
    cell->is_welcome |= down->is_case == RPC__STATE_DOWN__IS_WELCOME;
    (void)pthread_cond_broadcast(&cell->change);
    (void)pthread_mutex_unlock(&cell->lock);
    if (down->is_case == RPC__STATE_DOWN__IS_TAKE) {
        atomic_fetch_add(&cell->takes, 1);
        if (atomic_load(&cell->yields))
            cell_yield(cell, down->take->serial);
        (void)pthread_mutex_lock(&cell->lock);
        (void)pthread_cond_broadcast(&cell->change);
        (void)pthread_mutex_unlock(&cell->lock);
    }
    atomic_fetch_sub(&cell->speaking, 1);
}

static inline void
cell_open_for(struct cell *cell, struct tier *tier, const char *tenant)
{
    *cell = (struct cell){.yields = true};
    (void)pthread_mutex_init(&cell->lock, NULL);
    (void)pthread_cond_init(&cell->change, NULL);
    cell->last = &cell->first;
    assert_int_equal(tier_session_open(tier, tenant, cell_said, cell, &cell->session), 0);
}

static inline void
cell_open(struct cell *cell, struct tier *tier)
{
    cell_open_for(cell, tier, "acme");
}

static inline void
cell_close(struct cell *cell, bool is_gone)
{
    struct heard *heard;

    tier_session_close(cell->session, is_gone);
    while ((heard = cell->first) != NULL) {
        cell->first = heard->next;
        rpc__state_down__free_unpacked(heard->down, NULL);
        free(heard);
    }
    buffer_fini(&cell->bytes);
}

static inline bool
cell_wait(struct cell *cell)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return pthread_cond_timedwait(&cell->change, &cell->lock, &until) == 0;
}

/* Takes the first piece of the answer out of what was heard; NULL: none yet. */
static inline Rpc__StateDown *
cell_find(struct cell *cell, uint64_t number)
{
    struct heard **link = &cell->first, *heard;
    Rpc__StateDown *down;

    for (; (heard = *link) != NULL; link = &heard->next)
        if (heard->down->is_case == RPC__STATE_DOWN__IS_ANSWER &&
            heard->down->answer->number == number)
            break;
    if (heard == NULL)
        return NULL;
    *link = heard->next;
    if (cell->last == &heard->next)
        cell->last = link;
    down = heard->down;
    free(heard);
    return down;
}

static inline void
cell_note(struct cell *cell, const Rpc__StateAnswer *answer)
{
    cell->err = answer->err;
    cell->size = answer->size;
    cell->version = answer->version;
    cell->result = answer->result;
    cell->offset = answer->offset;
    cell->is_held = answer->is_held;
    buffer_append(&cell->bytes, answer->bytes.data, answer->bytes.len);
    for (size_t i = 0; i < answer->n_counts && cell->count < 64; i++)
        cell->counts[cell->count++] = answer->counts[i];
    for (size_t i = 0; i < answer->n_items; i++, cell->items++) {
        if (cell->items < 64)
            (void)snprintf(cell->keys[cell->items], sizeof(cell->keys[0]), "%s",
                           answer->items[i]->key);
        cell->lives_ns = answer->items[i]->lives_ns;
    }
    (void)snprintf(cell->message, sizeof(cell->message), "%.250s", answer->message);
}

static inline int
cell_answer(struct cell *cell, uint64_t number)
{
    bool is_over = false;

    cell->bytes.count = 0;
    cell->count = cell->items = 0;
    (void)pthread_mutex_lock(&cell->lock);
    while (!is_over) {
        Rpc__StateDown *down = cell_find(cell, number);

        if (down == NULL) {
            if (!cell_wait(cell))
                abort(); /* no answer */
            continue;
        }
        cell_note(cell, down->answer);
        is_over = !down->answer->has_more;
        rpc__state_down__free_unpacked(down, NULL);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    return cell->err;
}

static inline bool
cell_has_answer(struct cell *cell, uint64_t number)
{
    bool is_there = false;

    (void)pthread_mutex_lock(&cell->lock);
    for (struct heard *heard = cell->first; heard != NULL; heard = heard->next)
        is_there |= heard->down->is_case == RPC__STATE_DOWN__IS_ANSWER &&
                    heard->down->answer->number == number;
    (void)pthread_mutex_unlock(&cell->lock);
    return is_there;
}

static inline void
cell_await_take(struct cell *cell, unsigned count)
{
    (void)pthread_mutex_lock(&cell->lock);
    while (atomic_load(&cell->takes) < count)
        if (!cell_wait(cell))
            abort();
    (void)pthread_mutex_unlock(&cell->lock);
}

static inline bool
cell_hear(struct cell *cell, Rpc__StateAsk *ask)
{
    Rpc__StateUp up = RPC__STATE_UP__INIT;

    up.is_case = RPC__STATE_UP__IS_ASK;
    up.ask = ask;
    return tier_session_hear(cell->session, &up);
}

static inline bool
cell_beat(struct cell *cell, uint64_t number)
{
    Rpc__StateBeat beat = RPC__STATE_BEAT__INIT;
    Rpc__StateUp up = RPC__STATE_UP__INIT;

    beat.number = number;
    up.is_case = RPC__STATE_UP__IS_BEAT;
    up.beat = &beat;
    return tier_session_hear(cell->session, &up);
}

static inline void
cell_cancel(struct cell *cell, uint64_t number)
{
    Rpc__StateCancel cancel = RPC__STATE_CANCEL__INIT;
    Rpc__StateUp up = RPC__STATE_UP__INIT;

    cancel.number = number;
    up.is_case = RPC__STATE_UP__IS_CANCEL;
    up.cancel = &cancel;
    assert_true(tier_session_hear(cell->session, &up));
}

/* -------------------------------------------------------------------------------- asks */

static inline uint64_t
cell_send(struct cell *cell, const char *key, Rpc__StateAsk *ask)
{
    ask->number = ++cell->number;
    ask->key = (char *)(uintptr_t)key;
    if (!cell_hear(cell, ask))
        fail_msg("the rules were broken");
    return ask->number;
}

struct put {
    const void *bytes;
    uint64_t offset, count;
    uint64_t size; /* 0: where the bytes end */
    bool creates, replaces, has_condition, hold;
    uint64_t version, fence, lives_ns;
    Rpc__StateElement adds;
};

static inline void
put_fill(const struct put *put, Rpc__StatePush *push)
{
    push->size = put->size == 0 ? put->offset + put->count : put->size;
    push->may_create = put->creates;
    push->replaces = put->replaces;
    push->has_condition = put->has_condition;
    push->version = put->version;
    push->fence = put->fence;
    push->lives_ns = put->lives_ns;
    push->hold = put->hold;
    push->adds = put->adds;
}

/* In pieces where it has to be. */
static inline uint64_t
push_send(struct cell *cell, const char *key, struct put put)
{
    uint64_t number = ++cell->number, done = 0;

    do {
        Rpc__StateRun run = RPC__STATE_RUN__INIT, *runs[] = {&run};
        Rpc__StatePush push = RPC__STATE_PUSH__INIT;
        Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
        uint64_t now = put.count - done < TIER_PIECE_BYTES ? put.count - done : TIER_PIECE_BYTES;

        put_fill(&put, &push);
        run.offset = put.offset + done;
        run.count = now;
        push.n_runs = now > 0;
        push.runs = runs;
        push.bytes = (ProtobufCBinaryData){now, (uint8_t *)(uintptr_t)put.bytes + done};
        done += now;
        ask.number = number;
        ask.key = (char *)(uintptr_t)key;
        ask.is_case = RPC__STATE_ASK__IS_PUSH;
        ask.push = &push;
        ask.has_more = done < put.count;
        if (!cell_hear(cell, &ask))
            fail_msg("the rules were broken");
    } while (done < put.count);
    return number;
}

#define PUSH(cell, key, ...) cell_answer(cell, push_send(cell, key, (struct put){__VA_ARGS__}))

#define ASK_FUNCTION(name, Type, CASE) \
    static inline uint64_t name##_send(struct cell *cell, const char *key, \
                                       Rpc__State##Type message) \
    { \
        Rpc__StateAsk ask = RPC__STATE_ASK__INIT; \
        ask.is_case = RPC__STATE_ASK__IS_##CASE; \
        ask.name = &message; \
        return cell_send(cell, key, &ask); \
    }
ASK_FUNCTION(stat, Stat, STAT)
ASK_FUNCTION(pull, Pull, PULL)
ASK_FUNCTION(add, Add, ADD)
ASK_FUNCTION(append, Append, APPEND)
ASK_FUNCTION(read, Read, READ)
ASK_FUNCTION(remove, Remove, REMOVE)
ASK_FUNCTION(list, List, LIST)
ASK_FUNCTION(lock, Lock, LOCK)
ASK_FUNCTION(unlock, Unlock, UNLOCK)
ASK_FUNCTION(watch, Watch, WATCH)
ASK_FUNCTION(expire, Expire, EXPIRE)

#define MESSAGE(kind, Type, ...) \
    (Rpc__State##Type) \
    { \
        .base = PROTOBUF_C_MESSAGE_INIT(&rpc__state_##kind##__descriptor), __VA_ARGS__ \
    }
#define SEND_PULL(cell, key, ...)  pull_send(cell, key, MESSAGE(pull, Pull, __VA_ARGS__))
#define SEND_LOCK(cell, key, ...)  lock_send(cell, key, MESSAGE(lock, Lock, __VA_ARGS__))
#define SEND_WATCH(cell, key, ...) watch_send(cell, key, MESSAGE(watch, Watch, __VA_ARGS__))
#define SEND_ADD(cell, key, ...)   add_send(cell, key, MESSAGE(add, Add, __VA_ARGS__))
#define STAT(cell, key)            cell_answer(cell, stat_send(cell, key, MESSAGE(stat, Stat, )))
#define PULL(cell, key, ...)       cell_answer(cell, SEND_PULL(cell, key, __VA_ARGS__))
#define ADD(cell, key, ...)        cell_answer(cell, SEND_ADD(cell, key, __VA_ARGS__))
#define LOCK(cell, key, ...)       cell_answer(cell, SEND_LOCK(cell, key, __VA_ARGS__))
#define WATCH(cell, key, ...)      cell_answer(cell, SEND_WATCH(cell, key, __VA_ARGS__))
#define READ(cell, key, ...) \
    cell_answer(cell, read_send(cell, key, MESSAGE(read, Read, __VA_ARGS__)))
#define REMOVE(cell, key, ...) \
    cell_answer(cell, remove_send(cell, key, MESSAGE(remove, Remove, __VA_ARGS__)))
#define EXPIRE(cell, key, ...) \
    cell_answer(cell, expire_send(cell, key, MESSAGE(expire, Expire, __VA_ARGS__)))
#define UNLOCK(cell, key, held) \
    cell_answer(cell, unlock_send(cell, key, MESSAGE(unlock, Unlock, .fence = (held))))
#define LIST(cell, key, last, max) \
    cell_answer(cell, list_send(cell, key, \
                                MESSAGE(list, List, .after = (char *)(uintptr_t)(last), \
                                        .count_max = (max))))
#define APPEND(cell, key, text, n) \
    cell_answer( \
        cell, append_send(cell, key, \
                          MESSAGE(append, Append, .bytes = {(n), (uint8_t *)(uintptr_t)(text)})))

#define READING RPC__STATE_LOCK_MODE__STATE_LOCK_READ
#define WRITING RPC__STATE_LOCK_MODE__STATE_LOCK_WRITE
#define I64     RPC__STATE_NUMBER__STATE_NUMBER_I64
#define F64     RPC__STATE_NUMBER__STATE_NUMBER_F64

static inline void
cell_expect(struct cell *cell, const char *key, const void *bytes, size_t count)
{
    assert_int_equal(PULL(cell, key, .count = UINT64_MAX), 0);
    assert_int_equal(cell->size, count);
    assert_int_equal(cell->bytes.count, count);
    if (count > 0)
        assert_int_equal(memcmp(cell->bytes.bytes, bytes, count), 0);
}

#endif
