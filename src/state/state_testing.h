/* SPDX-License-Identifier: Apache-2.0
 *
 * A tier for tests, in memory: it hears and says when the test lets it, and can be told to say
 * what is of one key first, to take a hold away, and to lose a connection.
 *
 *     cell --say--> ups --fake_hear--> what there is, downs --fake_tell--> state_hear
 */
#ifndef WEFT_STATE_TESTING_H
#define WEFT_STATE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "state/state_internal.h"

#define FAKE_CELLS    2u
#define FAKE_WAITERS  8u
#define FAKE_LEASE_NS UINT64_C(2000000000)
#define FAKE_PIECE    (256u << 10)

struct fake_word {
    TAILQ_ENTRY(fake_word) next;
    struct fake_cell *cell;
    size_t count;
    char key[STATE_KEY_BYTES_MAX + 1];
    uint8_t bytes[];
};
TAILQ_HEAD(fake_words, fake_word);

struct fake_cell {
    struct fake *fake;
    struct state *state;
    _Atomic uint64_t wakes, last_waker, says;
    sem_t woken[FAKE_WAITERS]; /* by the number of the waiter */
    bool is_deaf;              /* beats are not answered */
};

struct fake_record {
    TAILQ_ENTRY(fake_record) next;
    size_t count;
    uint8_t bytes[];
};

struct fake_value {
    TAILQ_ENTRY(fake_value) next;
    char key[STATE_KEY_BYTES_MAX + 1];
    bool is_there;
    uint8_t *bytes;
    uint64_t size, version, lives_ns;
    bool holds[FAKE_CELLS];
    uint64_t takes[FAKE_CELLS]; /* serials that are not answered */
    struct fake_cell *locker;
    uint64_t fence;
    TAILQ_HEAD(, fake_record) records;
};

/* A push whose pieces come, or an ask that waits: packed. */
struct fake_ask {
    TAILQ_ENTRY(fake_ask) next;
    struct fake_cell *cell;
    Rpc__StateUp *up;
    struct buffer bytes, runs;
};
TAILQ_HEAD(fake_asks, fake_ask);

struct fake {
    pthread_mutex_t lock; /* of the ups */
    sem_t said;           /* there may be some */
    struct fake_cell cells[FAKE_CELLS];
    struct fake_words ups, downs;
    struct fake_asks gathered, waiting;
    TAILQ_HEAD(, fake_value) values;
    uint64_t serial, fence, floor;
    uint64_t pulls, pushes, pushed_bytes, pieces, beats, yields;
    uint64_t hits, entries; /* as beats say: all, the last */
    int fail;               /* the next ask */
};

/* -------------------------------------------------------------------------------- words */

static struct fake_word *
fake_pack(struct fake_cell *cell, const ProtobufCMessage *message, const char *key)
{
    size_t count = protobuf_c_message_get_packed_size(message);
    struct fake_word *word = calloc(1, sizeof(*word) + count);

    assert_non_null(word);
    word->cell = cell;
    word->count = count;
    (void)strncpy(word->key, key, STATE_KEY_BYTES_MAX);
    (void)protobuf_c_message_pack(message, word->bytes);
    return word;
}

static void
fake_say(void *context, const Rpc__StateUp *up)
{
    struct fake_cell *cell = context;
    struct fake_word *word = fake_pack(cell, &up->base, "");

    cell->says++;
    (void)pthread_mutex_lock(&cell->fake->lock);
    TAILQ_INSERT_TAIL(&cell->fake->ups, word, next);
    (void)pthread_mutex_unlock(&cell->fake->lock);
    (void)sem_post(&cell->fake->said);
}

static void
fake_wake(void *context, uint64_t waiter)
{
    struct fake_cell *cell = context;

    cell->wakes++;
    cell->last_waker = waiter;
    (void)sem_post(&cell->woken[waiter % FAKE_WAITERS]);
}

static void
fake_down(struct fake_cell *cell, const Rpc__StateDown *down, const char *key)
{
    struct fake_word *word = fake_pack(cell, &down->base, key);

    TAILQ_INSERT_TAIL(&cell->fake->downs, word, next);
}

static void
fake_answer(struct fake_cell *cell, Rpc__StateAnswer *answer, const Rpc__StateAsk *ask)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;

    answer->number = ask->number;
    down.is_case = RPC__STATE_DOWN__IS_ANSWER;
    down.answer = answer;
    fake_down(cell, &down, ask->key);
}

static void
fake_error(struct fake_cell *cell, const Rpc__StateAsk *ask, int err)
{
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    answer.err = err;
    fake_answer(cell, &answer, ask);
}

/* ------------------------------------------------------------------------------- values */

static struct fake_value *
fake_value(struct fake *fake, const char *key)
{
    struct fake_value *value;

    TAILQ_FOREACH(value, &fake->values, next)
    if (strcmp(value->key, key) == 0)
        return value;
    value = calloc(1, sizeof(*value));
    assert_non_null(value);
    (void)strncpy(value->key, key, STATE_KEY_BYTES_MAX);
    TAILQ_INIT(&value->records);
    TAILQ_INSERT_TAIL(&fake->values, value, next);
    return value;
}

static void
fake_resize(struct fake_value *value, uint64_t size)
{
    free(value->bytes);
    value->bytes = calloc(1, size > 0 ? size : 1);
    assert_non_null(value->bytes);
    value->size = size;
}

/* As if somebody who is not here had set it, with nobody holding it. */
static inline void
fake_put(struct fake *fake, const char *key, const void *bytes, uint64_t size)
{
    struct fake_value *value = fake_value(fake, key);

    fake_resize(value, size);
    if (bytes != NULL)
        (void)memcpy(value->bytes, bytes, size);
    value->version = (value->is_there ? value->version : fake->floor) + 1;
    value->is_there = true;
}

static void
fake_take(struct fake *fake, struct fake_value *value, unsigned cell)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    Rpc__StateTake take = RPC__STATE_TAKE__INIT;

    value->holds[cell] = false;
    value->takes[cell] = take.serial = ++fake->serial;
    take.key = value->key;
    down.is_case = RPC__STATE_DOWN__IS_TAKE;
    down.take = &take;
    fake_down(&fake->cells[cell], &down, value->key);
}

/* False: another has it still, and was told to let go. */
static bool
fake_may_change(struct fake *fake, struct fake_value *value, const struct fake_cell *changer)
{
    bool may = true;

    for (unsigned i = 0; i < FAKE_CELLS; i++) {
        if (&fake->cells[i] == changer) {
            value->holds[i] = false;
            continue;
        }
        if (value->holds[i])
            fake_take(fake, value, i);
        may = may && value->takes[i] == 0;
    }
    return may;
}

/* --------------------------------------------------------------------------------- asks */

static unsigned
fake_index(const struct fake_cell *cell)
{
    return (unsigned)(cell - cell->fake->cells);
}

static void
fake_pull(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    const Rpc__StatePull *pull = ask->pull;
    uint64_t at = pull->offset, left;

    fake->pulls++;
    if (!value->is_there || at > value->size) {
        fake_error(cell, ask, value->is_there ? -EINVAL : -ENOENT);
        return;
    }
    left = value->size - at < pull->count ? value->size - at : pull->count;
    if (pull->known != 0 && pull->known == value->version)
        left = 0;
    value->holds[fake_index(cell)] |= pull->hold;
    do {
        Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;
        uint64_t now = left < FAKE_PIECE ? left : FAKE_PIECE;

        answer.size = value->size;
        answer.version = value->version;
        answer.offset = at;
        answer.bytes = (ProtobufCBinaryData){now, value->bytes + at};
        answer.is_held = pull->hold;
        answer.has_more = now < left;
        fake_answer(cell, &answer, ask);
        at += now;
        left -= now;
    } while (left > 0);
}

static bool
fake_is_stale(const struct fake_value *value, uint64_t fence)
{
    return fence != 0 && fence != value->fence;
}

static int
fake_check_push(const struct fake_value *value, const Rpc__StatePush *push)
{
    if (fake_is_stale(value, push->fence))
        return -ESTALE;
    if (push->has_condition && push->version != (value->is_there ? value->version : 0))
        return -EAGAIN;
    if (!value->is_there)
        return push->may_create ? 0 : -ENOENT;
    return push->size != value->size && !push->replaces ? -EMSGSIZE : 0;
}

static void
fake_changed(struct fake_cell *cell, struct fake_value *value, const Rpc__StateAsk *ask,
             uint64_t result, bool hold)
{
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    value->version = (value->is_there ? value->version : cell->fake->floor) + 1;
    value->is_there = true;
    value->holds[fake_index(cell)] = hold;
    answer.size = value->size;
    answer.version = value->version;
    answer.result = result;
    answer.is_held = hold;
    fake_answer(cell, &answer, ask);
}

static void
fake_push(struct fake *fake, struct fake_ask *whole)
{
    const Rpc__StateAsk *ask = whole->up->ask;
    struct fake_value *value = fake_value(fake, ask->key);
    const struct run *runs = (const struct run *)(const void *)whole->runs.bytes;
    const uint8_t *from = whole->bytes.bytes;
    int err = fake_check_push(value, ask->push);

    fake->pushes++;
    fake->pushed_bytes += whole->bytes.count;
    if (err != 0) {
        fake_error(whole->cell, ask, err);
        return;
    }
    if (!value->is_there || ask->push->replaces)
        fake_resize(value, ask->push->size);
    for (size_t i = 0; i < whole->runs.count / sizeof(*runs); i++) {
        assert_true(runs[i].offset + runs[i].count <= value->size);
        if (ask->push->adds != 0)
            element_add((enum element)ask->push->adds, value->bytes + runs[i].offset, from,
                        runs[i].count);
        else
            (void)memcpy(value->bytes + runs[i].offset, from, runs[i].count);
        from += runs[i].count;
    }
    fake_changed(whole->cell, value, ask, 0, ask->push->hold);
}

static void
fake_add(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    uint64_t sum;

    if (fake_is_stale(value, ask->add->fence)) {
        fake_error(cell, ask, -ESTALE);
        return;
    }
    if (!value->is_there && ask->add->size == 0) {
        fake_error(cell, ask, -ENOENT);
        return;
    }
    if (!value->is_there)
        fake_resize(value, ask->add->size);
    if (ask->add->offset + 8 > value->size) {
        fake_error(cell, ask, -EINVAL);
        return;
    }
    (void)memcpy(&sum, value->bytes + ask->add->offset, 8);
    sum += ask->add->operand;
    (void)memcpy(value->bytes + ask->add->offset, &sum, 8);
    fake_changed(cell, value, ask, sum, true);
}

static void
fake_remove(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    if (!value->is_there || fake_is_stale(value, ask->remove->fence)) {
        fake_error(cell, ask, value->is_there ? -ESTALE : -ENOENT);
        return;
    }
    fake->floor = value->version > fake->floor ? value->version : fake->floor;
    value->is_there = false;
    fake_answer(cell, &answer, ask);
}

static void
fake_append(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    const ProtobufCBinaryData *bytes = &ask->append->bytes;
    struct fake_record *record = calloc(1, sizeof(*record) + bytes->len);
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    assert_non_null(record);
    record->count = bytes->len;
    if (bytes->len > 0)
        (void)memcpy(record->bytes, bytes->data, bytes->len);
    TAILQ_INSERT_TAIL(&value->records, record, next);
    answer.result = value->version++;
    answer.version = value->version;
    fake_answer(cell, &answer, ask);
}

static void
fake_read(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;
    struct fake_record *record;
    struct buffer bytes = {0};
    uint32_t counts[16];
    uint64_t index = 0;

    answer.counts = counts;
    TAILQ_FOREACH(record, &value->records, next)
    if (index++ >= ask->read->index && answer.n_counts < ask->read->count_max &&
        answer.n_counts < 16) {
        buffer_append(&bytes, record->bytes, record->count);
        counts[answer.n_counts++] = (uint32_t)record->count;
    }
    answer.bytes = (ProtobufCBinaryData){bytes.count, bytes.bytes};
    answer.version = value->version;
    fake_answer(cell, &answer, ask);
    buffer_fini(&bytes);
}

static void
fake_list(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;
    Rpc__StateItem items[16], *list[16];
    struct fake_value *value;

    answer.items = list;
    TAILQ_FOREACH(value, &fake->values, next)
    if (value->is_there && strncmp(value->key, ask->key, strlen(ask->key)) == 0 &&
        strcmp(value->key, ask->list->after) > 0 && answer.n_items < ask->list->count_max) {
        rpc__state_item__init(&items[answer.n_items]);
        items[answer.n_items].key = value->key;
        list[answer.n_items] = &items[answer.n_items];
        answer.n_items++;
    }
    fake_answer(cell, &answer, ask);
}

static void
fake_stat(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;
    const struct fake_record *record;

    if (ask->is_case == RPC__STATE_ASK__IS_EXPIRE)
        value->lives_ns = ask->expire->lives_ns;
    answer.size = value->size;
    TAILQ_FOREACH(record, &value->records, next)
    answer.size += record->count;
    answer.is_log = !TAILQ_EMPTY(&value->records);
    answer.lives_ns = value->lives_ns;
    answer.version = value->version;
    answer.err = value->is_there || answer.is_log ? 0 : -ENOENT;
    fake_answer(cell, &answer, ask);
}

static void
fake_unlock(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);

    if (value->fence != ask->unlock->fence || value->locker == NULL) {
        fake_error(cell, ask, -ESTALE);
        return;
    }
    value->locker = NULL;
    value->fence = 0;
    fake_error(cell, ask, 0);
}

/* False: it has to wait. */
static bool
fake_lock(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);
    Rpc__StateAnswer answer = RPC__STATE_ANSWER__INIT;

    if (value->locker != NULL && ask->lock->wait_ns == 0)
        fake_error(cell, ask, -EAGAIN);
    else if (value->locker != NULL)
        return false;
    else {
        value->locker = cell;
        answer.result = value->fence = ++fake->fence;
        fake_answer(cell, &answer, ask);
    }
    return true;
}

static bool
fake_watch(struct fake *fake, struct fake_cell *cell, const Rpc__StateAsk *ask)
{
    struct fake_value *value = fake_value(fake, ask->key);

    if (value->is_there && value->version <= ask->watch->version)
        return false;
    fake_stat(fake, cell, ask);
    return true;
}

static void
fake_do_now(struct fake *fake, struct fake_ask *whole)
{
    static void (*const bodies[])(struct fake *, struct fake_cell *, const Rpc__StateAsk *) = {
        [RPC__STATE_ASK__IS_PULL] = fake_pull,     [RPC__STATE_ASK__IS_ADD] = fake_add,
        [RPC__STATE_ASK__IS_REMOVE] = fake_remove, [RPC__STATE_ASK__IS_APPEND] = fake_append,
        [RPC__STATE_ASK__IS_READ] = fake_read,     [RPC__STATE_ASK__IS_LIST] = fake_list,
        [RPC__STATE_ASK__IS_UNLOCK] = fake_unlock, [RPC__STATE_ASK__IS_STAT] = fake_stat,
        [RPC__STATE_ASK__IS_EXPIRE] = fake_stat,
    };
    const Rpc__StateAsk *ask = whole->up->ask;

    if (ask->is_case == RPC__STATE_ASK__IS_PUSH)
        fake_push(fake, whole);
    else
        bodies[ask->is_case](fake, whole->cell, ask);
}

/* False: it waits. */
static bool
fake_ask(struct fake *fake, struct fake_ask *whole)
{
    const Rpc__StateAsk *ask = whole->up->ask;
    bool is_change = ask->is_case == RPC__STATE_ASK__IS_PUSH ||
                     ask->is_case == RPC__STATE_ASK__IS_ADD ||
                     ask->is_case == RPC__STATE_ASK__IS_REMOVE;

    if (is_change && !fake_may_change(fake, fake_value(fake, ask->key), whole->cell))
        return false;
    if (ask->is_case == RPC__STATE_ASK__IS_LOCK)
        return fake_lock(fake, whole->cell, ask);
    if (ask->is_case == RPC__STATE_ASK__IS_WATCH)
        return fake_watch(fake, whole->cell, ask);
    fake_do_now(fake, whole);
    return true;
}

static void
fake_ask_free(struct fake_ask *ask)
{
    rpc__state_up__free_unpacked(ask->up, NULL);
    buffer_fini(&ask->bytes);
    buffer_fini(&ask->runs);
    free(ask);
}

/* Those that wait are tried again whenever something happened. */
static void
fake_retry(struct fake *fake)
{
    struct fake_ask *ask, *next;

    for (ask = TAILQ_FIRST(&fake->waiting); ask != NULL; ask = next) {
        next = TAILQ_NEXT(ask, next);
        if (!fake_ask(fake, ask))
            continue;
        TAILQ_REMOVE(&fake->waiting, ask, next);
        fake_ask_free(ask);
        next = TAILQ_FIRST(&fake->waiting);
    }
}

static struct fake_ask *
fake_find(struct fake_asks *asks, const struct fake_cell *cell, uint64_t number)
{
    struct fake_ask *ask;

    TAILQ_FOREACH(ask, asks, next)
    if (ask->cell == cell && ask->up->ask->number == number)
        return ask;
    return NULL;
}

static void
fake_gather(struct fake_ask *whole, const Rpc__StateAsk *ask)
{
    if (ask->is_case != RPC__STATE_ASK__IS_PUSH)
        return;
    assert_true(ask->push->bytes.len <= FAKE_PIECE);
    whole->cell->fake->pieces++;
    buffer_append(&whole->bytes, ask->push->bytes.data, ask->push->bytes.len);
    for (size_t i = 0; i < ask->push->n_runs; i++) {
        struct run run = {ask->push->runs[i]->offset, ask->push->runs[i]->count};

        buffer_append(&whole->runs, &run, sizeof(run));
    }
}

static void
fake_hear_ask(struct fake *fake, struct fake_cell *cell, Rpc__StateUp *up)
{
    struct fake_ask *whole = fake_find(&fake->gathered, cell, up->ask->number);

    if (whole == NULL) {
        assert_null(fake_find(&fake->waiting, cell, up->ask->number));
        whole = calloc(1, sizeof(*whole));
        assert_non_null(whole);
        whole->cell = cell;
        whole->up = up;
        TAILQ_INSERT_TAIL(&fake->gathered, whole, next);
        fake_gather(whole, up->ask);
    } else {
        fake_gather(whole, up->ask);
        whole->up->ask->has_more = up->ask->has_more;
        rpc__state_up__free_unpacked(up, NULL);
    }
    if (whole->up->ask->has_more)
        return;
    TAILQ_REMOVE(&fake->gathered, whole, next);
    if (fake->fail != 0) {
        fake_error(cell, whole->up->ask, fake->fail);
        fake->fail = 0;
        fake_ask_free(whole);
    } else if (fake_ask(fake, whole)) {
        fake_ask_free(whole);
    } else {
        TAILQ_INSERT_TAIL(&fake->waiting, whole, next);
    }
}

static void
fake_hear_cancel(struct fake *fake, struct fake_cell *cell, uint64_t number)
{
    struct fake_ask *ask = fake_find(&fake->waiting, cell, number);

    if (ask == NULL)
        return;
    fake_error(cell, ask->up->ask, -ECANCELED);
    TAILQ_REMOVE(&fake->waiting, ask, next);
    fake_ask_free(ask);
}

static void
fake_hear_beat(struct fake_cell *cell, const Rpc__StateBeat *beat)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    Rpc__StateHeard heard = RPC__STATE_HEARD__INIT;

    cell->fake->beats++;
    cell->fake->hits += beat->hits;
    cell->fake->entries = beat->entries;
    heard.number = beat->number;
    down.is_case = RPC__STATE_DOWN__IS_HEARD;
    down.heard = &heard;
    if (!cell->is_deaf)
        fake_down(cell, &down, "");
}

static void
fake_hear_yield(struct fake_cell *cell, uint64_t serial)
{
    struct fake_value *value;

    cell->fake->yields++;
    TAILQ_FOREACH(value, &cell->fake->values, next)
    if (value->takes[fake_index(cell)] == serial)
        value->takes[fake_index(cell)] = 0;
}

/* One word of a cell's; false: there is none. */
static bool
fake_hear_one(struct fake *fake)
{
    struct fake_word *word;
    Rpc__StateUp *up;

    (void)pthread_mutex_lock(&fake->lock);
    word = TAILQ_FIRST(&fake->ups);
    if (word != NULL)
        TAILQ_REMOVE(&fake->ups, word, next);
    (void)pthread_mutex_unlock(&fake->lock);
    if (word == NULL)
        return false;
    up = rpc__state_up__unpack(NULL, word->count, word->bytes);
    assert_non_null(up);
    if (up->is_case == RPC__STATE_UP__IS_ASK) {
        fake_hear_ask(fake, word->cell, up);
        up = NULL;
    } else if (up->is_case == RPC__STATE_UP__IS_BEAT) {
        fake_hear_beat(word->cell, up->beat);
    } else if (up->is_case == RPC__STATE_UP__IS_YIELD) {
        fake_hear_yield(word->cell, up->yield->serial);
    } else {
        fake_hear_cancel(fake, word->cell, up->cancel->number);
    }
    if (up != NULL)
        rpc__state_up__free_unpacked(up, NULL);
    free(word);
    fake_retry(fake);
    return true;
}

static inline void
fake_hear(struct fake *fake)
{
    while (fake_hear_one(fake))
        ;
}

static void
fake_tell_word(struct fake *fake, struct fake_word *word)
{
    Rpc__StateDown *down = rpc__state_down__unpack(NULL, word->count, word->bytes);

    assert_non_null(down);
    TAILQ_REMOVE(&fake->downs, word, next);
    assert_true(state_hear(word->cell->state, down));
    rpc__state_down__free_unpacked(down, NULL);
    free(word);
}

/* The next answers of a key, or of any where it is NULL. */
static inline bool
fake_tell_one(struct fake *fake, const char *key)
{
    struct fake_word *word;

    TAILQ_FOREACH(word, &fake->downs, next)
    if (key == NULL || strcmp(word->key, key) == 0) {
        fake_tell_word(fake, word);
        return true;
    }
    return false;
}

/* Until nobody has anything to say. */
static inline void
fake_run(struct fake *fake)
{
    while (fake_hear_one(fake) || fake_tell_one(fake, NULL))
        ;
}

/* --------------------------------------------------------------------------------- life */

static inline void
fake_welcome(struct fake_cell *cell)
{
    Rpc__StateDown down = RPC__STATE_DOWN__INIT;
    Rpc__StateWelcome welcome = RPC__STATE_WELCOME__INIT;

    welcome.version = RPC__STATE_VERSION__STATE_VERSION;
    welcome.lease_ns = FAKE_LEASE_NS;
    down.is_case = RPC__STATE_DOWN__IS_WELCOME;
    down.welcome = &welcome;
    fake_down(cell, &down, "");
}

static void
fake_drop_words(struct fake_words *words, const struct fake_cell *cell)
{
    struct fake_word *word, *next;

    for (word = TAILQ_FIRST(words); word != NULL; word = next) {
        next = TAILQ_NEXT(word, next);
        if (cell != NULL && word->cell != cell)
            continue;
        TAILQ_REMOVE(words, word, next);
        free(word);
    }
}

static void
fake_drop_asks(struct fake_asks *asks, const struct fake_cell *cell)
{
    struct fake_ask *ask, *next;

    for (ask = TAILQ_FIRST(asks); ask != NULL; ask = next) {
        next = TAILQ_NEXT(ask, next);
        if (cell != NULL && ask->cell != cell)
            continue;
        TAILQ_REMOVE(asks, ask, next);
        fake_ask_free(ask);
    }
}

/* What was said on either side and not heard is lost; the tier lets go of all it had. */
static inline void
fake_break(struct fake *fake, struct fake_cell *cell)
{
    struct fake_value *value;

    fake_drop_words(&fake->ups, cell);
    fake_drop_words(&fake->downs, cell);
    fake_drop_asks(&fake->gathered, cell);
    fake_drop_asks(&fake->waiting, cell);
    TAILQ_FOREACH(value, &fake->values, next)
    {
        value->holds[fake_index(cell)] = false;
        value->takes[fake_index(cell)] = 0;
        if (value->locker == cell) {
            value->locker = NULL;
            value->fence = 0;
        }
    }
    state_lost(cell->state);
}

static inline void
fake_init(struct fake *fake, uint64_t bytes_max)
{
    *fake = (struct fake){0};
    (void)pthread_mutex_init(&fake->lock, NULL);
    (void)sem_init(&fake->said, 0, 0);
    TAILQ_INIT(&fake->ups);
    TAILQ_INIT(&fake->downs);
    TAILQ_INIT(&fake->gathered);
    TAILQ_INIT(&fake->waiting);
    TAILQ_INIT(&fake->values);
    for (unsigned i = 0; i < FAKE_CELLS; i++) {
        struct fake_cell *cell = &fake->cells[i];
        struct state_config config = {
            .say = fake_say, .wake = fake_wake, .context = cell, .bytes_max = bytes_max};

        cell->fake = fake;
        for (unsigned n = 0; n < FAKE_WAITERS; n++)
            (void)sem_init(&cell->woken[n], 0, 0);
        assert_int_equal(state_create(&config, &cell->state), 0);
        fake_welcome(cell);
    }
    fake_run(fake);
}

static inline void
fake_fini(struct fake *fake)
{
    struct fake_value *value;
    struct fake_record *record;

    for (unsigned i = 0; i < FAKE_CELLS; i++)
        state_destroy(fake->cells[i].state);
    fake_drop_words(&fake->ups, NULL);
    fake_drop_words(&fake->downs, NULL);
    fake_drop_asks(&fake->gathered, NULL);
    fake_drop_asks(&fake->waiting, NULL);
    while ((value = TAILQ_FIRST(&fake->values)) != NULL) {
        while ((record = TAILQ_FIRST(&value->records)) != NULL) {
            TAILQ_REMOVE(&value->records, record, next);
            free(record);
        }
        TAILQ_REMOVE(&fake->values, value, next);
        free(value->bytes);
        free(value);
    }
    (void)pthread_mutex_destroy(&fake->lock);
}

/* Of tests that use one tier, `fake`. */
#define FAKE_SETUP_AND_TEARDOWN(fake) \
    static int setup(void **state) \
    { \
        (void)state; \
        fake_init(&(fake), 0); \
        return 0; \
    } \
\
    static int teardown(void **state) \
    { \
        (void)state; \
        fake_fini(&(fake)); \
        return 0; \
    }

/* All of them in both ways of shares, where the kernel has both. */
static inline int
fake_run_both_ways(const char *what, const struct CMUnitTest *tests, size_t count)
{
    static const char *const ways[] = {
        [MEM_SHARE_UFFD] = "userfaultfd", [MEM_SHARE_PROTECT] = "protection"};
    int failed = 0;

    mem_prepare();
    for (unsigned way = 0; way < ARRAY_COUNT(ways); way++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%s, shares by %s", what, ways[way]);
        if (mem_share_choose((enum mem_share_way)way) != 0)
            (void)printf("skipped: %s: the kernel has it not\n", name);
        else
            failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed != 0;
}

/* ------------------------------------------------------------------------------ asking */

/* Starts it, lets everybody talk, finishes it. */
static inline int
fake_do(struct fake *fake, unsigned cell, const struct state_request *request,
        struct state_result *result)
{
    struct state *state = fake->cells[cell].state;
    uint64_t op;
    int err = state_start(state, request, 7, &op, result);

    if (err != -EAGAIN)
        return err;
    fake_run(fake);
    return state_finish(state, op, result);
}

/* The same, of what is over then; the result is of no interest. */
static inline int
fake_try(struct fake *fake, unsigned cell, const struct state_request *request)
{
    struct state_result result = {0};
    int err = fake_do(fake, cell, request, &result);

    state_result_fini(&result);
    return err;
}

static inline int
fake_map(struct fake *fake, unsigned cell, const struct state_request *request, uint32_t flags,
         struct state_mapping *mapping)
{
    struct state *state = fake->cells[cell].state;
    uint64_t op = 0;
    int err = state_map(state, request, flags, 9, &op, mapping);

    if (err != -EAGAIN)
        return err;
    fake_run(fake);
    return state_map(state, request, flags, 9, &op, mapping);
}

/* ----------------------------------------------------------------- a guest that has mapped */

struct fake_guest {
    struct mem_slot *slot;
    struct state *state;
    struct state_mapping mapping;
    uint8_t *bytes; /* as the guest sees it */
};

static inline void
fake_guest_init(struct fake *fake, unsigned cell, const struct state_mapping *mapping,
                bool is_writable, struct fake_guest *guest)
{
    uint64_t bytes = mem_share_size(mapping->share);

    guest->state = fake->cells[cell].state;
    guest->mapping = *mapping;
    assert_int_equal(mem_slot_create(4096, 1, false, &guest->slot), 0);
    assert_int_equal(mem_window_grow(guest->slot, 0, bytes), 0);
    assert_int_equal(mem_window_share(guest->slot, 0, 0, bytes, mapping->share, 0, is_writable), 0);
    guest->bytes = mem_slot_origin(guest->slot) + mem_window_offset(0);
}

static inline void
fake_guest_fini(struct fake_guest *guest)
{
    mem_slot_destroy(guest->slot);
    mem_share_put(guest->mapping.share);
    state_unmap(guest->state, guest->mapping.entry, guest->mapping.is_writable);
}

#endif
