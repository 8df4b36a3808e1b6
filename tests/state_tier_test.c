/* SPDX-License-Identifier: Apache-2.0
 *
 * Two cells' local tiers against one global tier with its store, in one process: what was
 * acknowledged is seen by all, sums and locks are exact, also while connections break.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "state/state.h"
#include "tier/tier.h"

#define CELLS    2u
#define THREADS  4u /* of a cell */
#define ROUNDS   200u
#define SHORT_NS UINT64_C(200000000) /* a lease that is waited for */

struct word {
    STAILQ_ENTRY(word) next;
    size_t count;
    uint8_t bytes[];
};

struct cell {
    struct state *state;
    struct tier_session *session; /* guarded by open; NULL: no connection */
    pthread_rwlock_t open;
    pthread_mutex_t lock;
    pthread_cond_t change;
    STAILQ_HEAD(, word) words; /* that the tier has said; guarded by lock */
    _Atomic bool is_over;
    pthread_t thread;
    sem_t woken[THREADS];
};

static struct store *store;
static struct tier *tier;
static struct cell cells[CELLS];
static char directory[64];
static _Atomic uint64_t acknowledged;
static _Atomic uint64_t failures, progress;

/* ------------------------------------------------------------------------- connections */

static void
hear_tier(void *context, const Rpc__StateDown *down)
{
    struct cell *cell = context;
    size_t count = protobuf_c_message_get_packed_size(&down->base);
    struct word *word = malloc(sizeof(*word) + count);

    assert_non_null(word);
    word->count = count;
    (void)protobuf_c_message_pack(&down->base, word->bytes);
    (void)pthread_mutex_lock(&cell->lock);
    STAILQ_INSERT_TAIL(&cell->words, word, next);
    (void)pthread_cond_signal(&cell->change);
    (void)pthread_mutex_unlock(&cell->lock);
}

static void
say_tier(void *context, const Rpc__StateUp *up)
{
    struct cell *cell = context;

    (void)pthread_rwlock_rdlock(&cell->open);
    if (cell->session != NULL)
        assert_true(tier_session_hear(cell->session, up));
    (void)pthread_rwlock_unlock(&cell->open);
}

static void
wake(void *context, uint64_t waiter)
{
    struct cell *cell = context;

    (void)sem_post(&cell->woken[waiter]);
}

static struct word *
next_word(struct cell *cell)
{
    struct word *word;
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(SHORT_NS / 16);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&cell->lock);
    while (STAILQ_EMPTY(&cell->words) && !cell->is_over)
        if (pthread_cond_timedwait(&cell->change, &cell->lock, &until) != 0)
            break;
    word = STAILQ_FIRST(&cell->words);
    if (word != NULL)
        STAILQ_REMOVE_HEAD(&cell->words, next);
    (void)pthread_mutex_unlock(&cell->lock);
    return word;
}

/* As the thread of a cell's connection: hears, and ticks. */
static void *
serve(void *context)
{
    struct cell *cell = context;
    uint64_t next = 0;

    while (!cell->is_over) {
        struct word *word = next_word(cell);
        uint64_t now = clock_now_ns();

        if (word != NULL) {
            Rpc__StateDown *down = rpc__state_down__unpack(NULL, word->count, word->bytes);

            assert_non_null(down);
            assert_true(state_hear(cell->state, down));
            rpc__state_down__free_unpacked(down, NULL);
            free(word);
        }
        if (now >= next)
            next = state_tick(cell->state, now);
        if (next > now + SHORT_NS / 8)
            next = now + SHORT_NS / 8;
    }
    return NULL;
}

static void
start_serving(struct cell *cell)
{
    cell->is_over = false;
    assert_int_equal(pthread_create(&cell->thread, NULL, serve, cell), 0);
}

static void
stop_serving(struct cell *cell)
{
    (void)pthread_mutex_lock(&cell->lock);
    cell->is_over = true;
    (void)pthread_cond_signal(&cell->change);
    (void)pthread_mutex_unlock(&cell->lock);
    assert_int_equal(pthread_join(cell->thread, NULL), 0);
}

static void
connect_cell(struct cell *cell)
{
    struct tier_session *session;

    assert_int_equal(tier_session_open(tier, "tenant", hear_tier, cell, &session), 0);
    (void)pthread_rwlock_wrlock(&cell->open);
    cell->session = session;
    (void)pthread_rwlock_unlock(&cell->open);
    start_serving(cell);
}

/* What was said and not heard is lost. Where the tier learns of it before the cell does, it has
 * to wait for the lease; is_told: the cell has let go of all before. */
static void
break_cell(struct cell *cell, bool is_told)
{
    struct tier_session *session;
    struct word *word;

    (void)pthread_rwlock_wrlock(&cell->open);
    session = cell->session;
    cell->session = NULL;
    (void)pthread_rwlock_unlock(&cell->open);
    if (!is_told)
        tier_session_close(session, false);
    stop_serving(cell);
    state_lost(cell->state);
    if (is_told)
        tier_session_close(session, true);
    while ((word = STAILQ_FIRST(&cell->words)) != NULL) {
        STAILQ_REMOVE_HEAD(&cell->words, next);
        free(word);
    }
}

static void
create_tier(uint64_t lease_ns)
{
    char address[80];
    struct store_config store_config = {.records = address};
    struct tier_config tier_config = {.is_first = true, .lease_ns = lease_ns};
    struct diag diag;

    diag_init(&diag);
    (void)snprintf(directory, sizeof(directory), "/tmp/weft-state-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(address, sizeof(address), "dir:%s", directory);
    assert_int_equal(store_open(&store_config, &store, &diag), 0);
    tier_config.store = store;
    assert_int_equal(tier_create(&tier_config, &tier, &diag), 0);
}

static int
set_up(uint64_t lease_ns)
{
    create_tier(lease_ns);
    for (unsigned i = 0; i < CELLS; i++) {
        struct cell *cell = &cells[i];
        struct state_config config = {.say = say_tier, .wake = wake, .context = cell};

        (void)pthread_rwlock_init(&cell->open, NULL);
        (void)pthread_mutex_init(&cell->lock, NULL);
        (void)pthread_cond_init(&cell->change, NULL);
        STAILQ_INIT(&cell->words);
        for (unsigned n = 0; n < THREADS; n++)
            (void)sem_init(&cell->woken[n], 0, 0);
        assert_int_equal(state_create(&config, &cell->state), 0);
        connect_cell(cell);
    }
    acknowledged = failures = progress = 0;
    return 0;
}

static int
setup(void **state)
{
    (void)state;
    return set_up(0);
}

static int
setup_short(void **state)
{
    (void)state;
    return set_up(SHORT_NS);
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

static int
teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CELLS; i++) {
        break_cell(&cells[i], true);
        state_destroy(cells[i].state);
    }
    tier_destroy(tier);
    store_close(store);
    return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ------------------------------------------------------------------------------- asking */

struct caller {
    struct cell *cell;
    unsigned waiter;
    pthread_t thread;
};

static int
finish(const struct caller *caller, uint64_t op, struct state_result *result)
{
    int err;

    do
        (void)sem_wait(&caller->cell->woken[caller->waiter]);
    while ((err = state_finish(caller->cell->state, op, result)) == -EAGAIN);
    return err;
}

static int
ask(const struct caller *caller, const struct state_request *request, struct state_result *result)
{
    uint64_t op;
    int err = state_start(caller->cell->state, request, caller->waiter, &op, result);

    return err == -EAGAIN ? finish(caller, op, result) : err;
}

static void
run(void *(*const bodies[])(void *), const unsigned *of_cells, unsigned count,
    void (*meanwhile)(void))
{
    struct caller callers[CELLS * THREADS];
    unsigned waiters[CELLS] = {0};

    for (unsigned i = 0; i < count; i++) {
        callers[i].cell = &cells[of_cells[i]];
        callers[i].waiter = waiters[of_cells[i]]++;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, bodies[i], &callers[i]), 0);
    }
    if (meanwhile != NULL)
        meanwhile();
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
}

/* -------------------------------------------------------------------------------- tests */

static void *
set_often(void *context)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        struct state_request request = {
            .kind = STATE_SET, .key = "v", .bytes = &i, .count = sizeof(i)};
        struct state_result result;

        assert_int_equal(ask(context, &request, &result), 0);
        acknowledged = i;
        progress++;
    }
    return NULL;
}

/* Current or asked for: never older than what was acknowledged before, or than the last. */
static void *
read_often(void *context)
{
    const struct caller *caller = context;
    struct state_request request = {.kind = STATE_GET, .key = "v", .count = 8};
    uint64_t last = 0;

    while (acknowledged < ROUNDS) {
        uint64_t floor = acknowledged, value = 0;
        struct state_result result = {0};
        int err = state_read_current(caller->cell->state, "v", 0, &value, sizeof(value));

        if (err != 0) {
            err = ask(caller, &request, &result);
            assert_true(err == 0 || (err == -ENOENT && floor == 0));
            if (err == 0)
                (void)memcpy(&value, result.bytes, sizeof(value));
            state_result_fini(&result);
        }
        assert_true(value >= floor && value >= last);
        last = value;
    }
    return NULL;
}

static void
test_what_was_acknowledged_is_seen_by_all(void **state)
{
    static void *(*const bodies[])(void *) = {set_often, read_often, read_often, read_often};
    static const unsigned of_cells[] = {0, 0, 1, 1};

    (void)state;
    run(bodies, of_cells, 4, NULL);
}

/* Ten times while something goes on. */
static void
break_and_come_back(void)
{
    for (unsigned i = 0; i < 10; i++) {
        while (progress < i * ROUNDS / 12)
            (void)sched_yield();
        break_cell(&cells[i % CELLS], i % 4 != 3);
        connect_cell(&cells[i % CELLS]);
    }
}

static void
test_it_is_also_while_connections_break(void **state)
{
    static void *(*const bodies[])(void *) = {set_often, read_often, read_often};
    static const unsigned of_cells[] = {0, 0, 1};

    (void)state;
    run(bodies, of_cells, 3, break_and_come_back);
}

static void *
add_often(void *context)
{
    struct state_request request = {.kind = STATE_ADD,
                                    .key = "n",
                                    .number = RPC__STATE_NUMBER__STATE_NUMBER_I64,
                                    .operand = 1,
                                    .size = 8};
    struct state_result result;

    for (unsigned i = 0; i < ROUNDS; i++) {
        int err = ask(context, &request, &result);

        assert_true(err == 0 || err == -EIO);
        failures += err != 0;
        progress++;
    }
    return NULL;
}

static uint64_t
sum_of(unsigned cell)
{
    struct caller caller = {.cell = &cells[cell]};
    struct state_request request = {.kind = STATE_GET, .key = "n", .count = 8};
    struct state_result result;
    uint64_t sum;

    assert_int_equal(ask(&caller, &request, &result), 0);
    (void)memcpy(&sum, result.bytes, sizeof(sum));
    state_result_fini(&result);
    return sum;
}

static void
test_sums_are_exact(void **state)
{
    static void *(*const bodies[])(void *) = {add_often, add_often, add_often, add_often};
    static const unsigned of_cells[] = {0, 0, 1, 1};

    (void)state;
    run(bodies, of_cells, 4, NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(sum_of(0), 4 * ROUNDS);
    assert_int_equal(sum_of(1), 4 * ROUNDS);
}

/* What ended with EIO has happened once or not at all. */
static void
test_sums_are_as_exact_as_was_said_while_connections_break(void **state)
{
    static void *(*const bodies[])(void *) = {add_often, add_often, add_often};
    static const unsigned of_cells[] = {0, 1, 1};
    uint64_t sum;

    (void)state;
    run(bodies, of_cells, 3, break_and_come_back);
    sum = sum_of(0);
    assert_true(sum <= 3 * ROUNDS && sum + failures >= 3 * ROUNDS);
    assert_int_equal(sum_of(1), sum);
}

/* ------------------------------------------------------------------------------- memory */

static void
map(const struct caller *caller, uint64_t count, struct state_mapping *mapping)
{
    const uint32_t flags = STATE_MAP_WRITE | STATE_MAP_CREATE;
    struct state_request request = {.key = "m", .count = count};
    uint64_t op = 0;
    int err;

    while ((err = state_map(caller->cell->state, &request, flags, caller->waiter, &op, mapping)) ==
           -EAGAIN)
        (void)sem_wait(&caller->cell->woken[caller->waiter]);
    assert_int_equal(err, 0);
}

/* A guest's memory. */
static volatile uint64_t *
show(const struct state_mapping *mapping, struct mem_slot **slot)
{
    uint64_t bytes = mem_share_size(mapping->share);

    assert_int_equal(mem_slot_create(4096, 1, false, slot), 0);
    assert_int_equal(mem_window_grow(*slot, 0, bytes), 0);
    assert_int_equal(mem_window_share(*slot, 0, 0, bytes, mapping->share, 0, true), 0);
    return (volatile uint64_t *)(void *)(mem_slot_origin(*slot) + mem_window_offset(0));
}

/* Under the lock: pull, count, push. One call of each cell: in a cell the memory is one. */
static void *
count_under_lock(void *context)
{
    const struct caller *caller = context;
    struct state_request request = {
        .key = "m", .owner = 5, .is_write = true, .wait_ns = UINT64_MAX, .version = UINT64_MAX};
    static const enum state_kind kinds[] = {STATE_LOCK, STATE_PULL, STATE_PUSH, STATE_UNLOCK};
    struct state_mapping mapping;
    struct state_result result;
    volatile uint64_t *words;
    struct mem_slot *slot;

    map(caller, 4096, &mapping);
    words = show(&mapping, &slot);
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned k = 0; k < 4; k++) {
            if (kinds[k] == STATE_PUSH)
                words[10]++;
            request.kind = kinds[k];
            assert_int_equal(ask(caller, &request, &result), 0);
        }
    mem_slot_destroy(slot);
    mem_share_put(mapping.share);
    state_unmap(caller->cell->state, mapping.entry, mapping.is_writable);
    return NULL;
}

static void
test_who_counts_under_the_lock_loses_nothing(void **state)
{
    static void *(*const bodies[])(void *) = {count_under_lock, count_under_lock};
    static const unsigned of_cells[] = {0, 1};
    struct caller caller = {.cell = &cells[1]};
    struct state_request request = {.kind = STATE_GET, .key = "m", .offset = 80, .count = 8};
    struct state_result result;
    uint64_t count;

    (void)state;
    run(bodies, of_cells, 2, NULL);
    assert_int_equal(ask(&caller, &request, &result), 0);
    (void)memcpy(&count, result.bytes, sizeof(count));
    state_result_fini(&result);
    assert_int_equal(count, 2 * ROUNDS);
}

/* ---------------------------------------------------------------------------- the rest */

static void
test_logs_are_understood(void **state)
{
    struct caller caller = {.cell = &cells[0]}, other = {.cell = &cells[1]};
    struct state_request request = {.kind = STATE_APPEND, .key = "log", .bytes = "abc", .count = 3};
    struct state_result result;

    (void)state;
    assert_int_equal(ask(&caller, &request, &result), 0);
    request = (struct state_request){.kind = STATE_READ, .key = "log"};
    assert_int_equal(ask(&other, &request, &result), 0);
    assert_int_equal(result.item_count, 1);
    assert_memory_equal(result.bytes, "abc", 3);
    state_result_fini(&result);
    request = (struct state_request){.kind = STATE_GET, .key = "log", .count = 1};
    assert_int_equal(ask(&caller, &request, &result), -EISDIR);
}

static void
test_values_are_understood(void **state)
{
    static uint8_t large[3 * (256 << 10) + 77];
    struct caller caller = {.cell = &cells[0]}, other = {.cell = &cells[1]};
    struct state_request request = {
        .kind = STATE_SET, .key = "k1", .bytes = large, .count = sizeof(large)};
    struct state_result result;

    (void)state;
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(ask(&caller, &request, &result), 0);
    request = (struct state_request){.kind = STATE_GET, .key = "k1", .count = UINT64_MAX};
    assert_int_equal(ask(&other, &request, &result), 0);
    assert_int_equal(result.count, sizeof(large));
    assert_memory_equal(result.bytes, large, sizeof(large));
    state_result_fini(&result);
    request = (struct state_request){
        .kind = STATE_CAS, .key = "k1", .bytes = "x", .count = 1, .version = 77};
    assert_int_equal(ask(&other, &request, &result), -STATE_EREFUSED);
    request = (struct state_request){.kind = STATE_LIST, .key = "k"};
    assert_int_equal(ask(&other, &request, &result), 0);
    assert_int_equal(result.item_count, 1);
    assert_string_equal((char *)result.bytes, "k1");
    state_result_fini(&result);
    request =
        (struct state_request){.kind = STATE_EXPIRE, .key = "k1", .wait_ns = UINT64_C(1) << 50};
    assert_int_equal(ask(&caller, &request, &result), 0);
    request = (struct state_request){
        .kind = STATE_WATCH, .key = "k1", .version = UINT64_C(1) << 40, .wait_ns = 1000000};
    assert_int_equal(ask(&caller, &request, &result), -ETIMEDOUT);
    request = (struct state_request){.kind = STATE_REMOVE, .key = "k1"};
    assert_int_equal(ask(&caller, &request, &result), 0);
    request = (struct state_request){.kind = STATE_STAT, .key = "k1"};
    assert_int_equal(ask(&other, &request, &result), -ENOENT);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_SHORT(name) cmocka_unit_test_setup_teardown(name, setup_short, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values_are_understood),
        TEST(test_logs_are_understood),
        TEST(test_what_was_acknowledged_is_seen_by_all),
        TEST_SHORT(test_it_is_also_while_connections_break),
        TEST(test_sums_are_exact),
        TEST_SHORT(test_sums_are_as_exact_as_was_said_while_connections_break),
        TEST(test_who_counts_under_the_lock_loses_nothing),
    };

    mem_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
