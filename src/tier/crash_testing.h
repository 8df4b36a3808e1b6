/* SPDX-License-Identifier: Apache-2.0
 *
 * A child with a tier that changes keys, says after each change what was acknowledged, and is
 * killed in the middle of it. What it said must be there, and nothing half.
 *
 * Its commits hold few parts, so that its large pushes go by redo records of several commits.
 */
#ifndef WEFT_TIER_CRASH_TESTING_H
#define WEFT_TIER_CRASH_TESTING_H

#include "tier/failures_testing.h"

#define CRASH_KINDS   5
#define CRASH_ROUNDS  8
#define CRASH_CHUNKS  16u
#define CRASH_FEWER   11u
#define CRASH_RECORDS 40u

enum crash_kind { CRASH_SMALL, CRASH_LARGE, CRASH_SIZES, CRASH_LOG, CRASH_SUMS };

struct tier_note {
    uint64_t kind, number;
};

struct crash_cell {
    struct tier *tier;
    int report;
    enum crash_kind kind;
    uint64_t first;
};

static inline struct tier *
crash_tier(struct store *store)
{
    const struct tier_config config = {.store = store, .is_first = true};
    struct tier *tier = NULL;

    if (tier_create_clocked(&config, &testing_clock, &tier, NULL) != 0)
        return NULL;
    tier->commit_parts_max = 4;
    tier->redo_changes_max = 6;
    return tier;
}

/* The number at the beginning of each chunk. */
static inline int
crash_push(struct cell *cell, const char *key, unsigned chunks, uint64_t number)
{
    Rpc__StateRun runs[CRASH_CHUNKS], *list[CRASH_CHUNKS];
    uint64_t bytes[CRASH_CHUNKS];
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    for (unsigned i = 0; i < chunks; i++) {
        rpc__state_run__init(&runs[i]);
        runs[i].offset = i * TIER_CHUNK_BYTES;
        runs[i].count = sizeof(number);
        list[i] = &runs[i];
        bytes[i] = number;
    }
    push.size = chunks * TIER_CHUNK_BYTES;
    push.may_create = push.replaces = chunks != CRASH_CHUNKS || number < 3;
    push.replaces |= strcmp(key, "sizes") == 0;
    push.may_create |= push.replaces;
    push.n_runs = chunks;
    push.runs = list;
    push.bytes = (ProtobufCBinaryData){chunks * sizeof(number), (uint8_t *)bytes};
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    return cell_answer(cell, cell_send(cell, key, &ask));
}

/* One more to the number at the beginning of each chunk. */
static inline int
crash_add(struct cell *cell, const char *key)
{
    uint64_t ones[CRASH_CHUNKS];
    Rpc__StateRun runs[CRASH_CHUNKS], *list[CRASH_CHUNKS];
    Rpc__StatePush push = RPC__STATE_PUSH__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;

    for (unsigned i = 0; i < CRASH_CHUNKS; i++) {
        rpc__state_run__init(&runs[i]);
        runs[i].offset = i * TIER_CHUNK_BYTES;
        runs[i].count = sizeof(ones[i]);
        list[i] = &runs[i];
        ones[i] = 1;
    }
    push.size = CRASH_CHUNKS * TIER_CHUNK_BYTES;
    push.may_create = true;
    push.adds = RPC__STATE_ELEMENT__STATE_ELEMENT_INT64;
    push.n_runs = CRASH_CHUNKS;
    push.runs = list;
    push.bytes = (ProtobufCBinaryData){sizeof(ones), (uint8_t *)ones};
    ask.is_case = RPC__STATE_ASK__IS_PUSH;
    ask.push = &push;
    return cell_answer(cell, cell_send(cell, key, &ask));
}

/* Record i of the log is i; from time to time the old ones go, or all. */
static inline int
crash_log(struct cell *cell, uint64_t number)
{
    int err = APPEND(cell, "log", &number, sizeof(number));

    if (err == 0 && cell->result % CRASH_RECORDS == CRASH_RECORDS - 1)
        err = REMOVE(cell, "log", .before = cell->result - 10);
    return err;
}

static inline void *
crash_cell_run(void *context)
{
    const struct crash_cell *one = context;
    struct cell cell;

    cell_open_for(&cell, one->tier, "crash");
    for (uint64_t number = one->first;; number++) {
        const struct tier_note note = {one->kind, number};
        int err;

        if (one->kind == CRASH_SMALL)
            err = PUSH(&cell, "small", &number, .count = 8, .creates = true);
        else if (one->kind == CRASH_LARGE)
            err = crash_push(&cell, "large", CRASH_CHUNKS, number);
        else if (one->kind == CRASH_SIZES)
            err = crash_push(&cell, "sizes", number % 2 == 0 ? CRASH_CHUNKS : CRASH_FEWER, number);
        else if (one->kind == CRASH_SUMS)
            err = crash_add(&cell, "sums");
        else
            err = crash_log(&cell, number);
        if (err != 0 || write(one->report, &note, sizeof(note)) != sizeof(note))
            _exit(1);
    }
}

/* Never returns. */
static inline void
tier_crash_child(const struct store_config *config, int report, const uint64_t first[CRASH_KINDS])
{
    struct crash_cell cells[CRASH_KINDS];
    struct store *store = NULL;
    struct tier *tier;
    pthread_t thread;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (store_open(config, &store, NULL) != 0)
        _exit(2);
    tier = crash_tier(store);
    if (tier == NULL)
        _exit(3);
    for (unsigned i = 0; i < CRASH_KINDS; i++) {
        cells[i] = (struct crash_cell){tier, report, (enum crash_kind)i, first[i]};
        if (pthread_create(&thread, NULL, crash_cell_run, &cells[i]) != 0)
            _exit(4);
    }
    for (;;)
        (void)pause();
}

static inline void
tier_crash_once(const struct store_config *config, const uint64_t first[CRASH_KINDS],
                size_t notes_max, uint64_t said[CRASH_KINDS])
{
    struct tier_note note;
    size_t count = 0;
    int ends[2], status;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        tier_crash_child(config, ends[1], first);
    }
    (void)close(ends[1]);
    while (read(ends[0], &note, sizeof(note)) == sizeof(note)) {
        if (++count == notes_max) {
            (void)usleep((useconds_t)(testing_random() % 5000));
            (void)kill(pid, SIGKILL);
        }
        assert_true(note.kind < CRASH_KINDS);
        said[note.kind] = note.number;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(ends[0]);
}

/* The number that is in all chunks. */
static inline uint64_t
crash_number(struct cell *cell, const char *key)
{
    uint64_t number = 0, other;

    if (PULL(cell, key, .count = UINT64_MAX) == -ENOENT)
        return 0;
    assert_int_equal(cell->err, 0);
    memcpy(&number, cell->bytes.bytes, sizeof(number));
    if (strcmp(key, "sizes") == 0)
        assert_int_equal(cell->size,
                         (number % 2 == 0 ? CRASH_CHUNKS : CRASH_FEWER) * TIER_CHUNK_BYTES);
    for (uint64_t at = 0; at < cell->bytes.count; at += TIER_CHUNK_BYTES) {
        memcpy(&other, cell->bytes.bytes + at, sizeof(other));
        assert_int_equal(other, number);
    }
    return number;
}

static inline uint64_t
crash_last_record(struct cell *cell)
{
    uint64_t number, bytes = 0, at = 0;

    if (STAT(cell, "log") == -ENOENT)
        return 0;
    bytes = cell->size;
    number = cell->version;
    assert_int_equal(READ(cell, "log", .index = 0, .bytes_max = 1 << 20), 0);
    assert_int_equal(cell->bytes.count, bytes);
    assert_int_equal(cell->result + bytes / 8, number);
    for (uint64_t i = 0; i < bytes / 8; i++) {
        memcpy(&at, cell->bytes.bytes + 8 * i, sizeof(at));
        if (i > 0)
            assert_true(at > number);
        number = at;
    }
    return number;
}

/* What was counted at the beginning is what there is, and nothing of the redo is left. */
static inline bool
crash_none(void *context, const struct store_record *record)
{
    (void)record;
    (*(unsigned *)context)++;
    return true;
}

static inline void
crash_check(struct store *store, const uint64_t said[CRASH_KINDS], uint64_t found[CRASH_KINDS])
{
    static const char *const tables[] = {tier_table_redo, tier_table_part};
    struct tier *tier = crash_tier(store);
    struct cell cell;
    unsigned left = 0;

    assert_non_null(tier);
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        const struct store_range range = {.table = tables[i]};

        assert_int_equal(store_list(store, &range, crash_none, &left, NULL), 0);
        assert_int_equal(left, 0);
    }
    cell_open_for(&cell, tier, "crash");
    found[CRASH_SMALL] = crash_number(&cell, "small");
    found[CRASH_LARGE] = crash_number(&cell, "large");
    found[CRASH_SIZES] = crash_number(&cell, "sizes");
    found[CRASH_LOG] = crash_last_record(&cell);
    found[CRASH_SUMS] = crash_number(&cell, "sums");
    for (unsigned i = 0; i < CRASH_KINDS; i++) {
        assert_true(found[i] >= said[i]);
        assert_true(found[i] <= said[i] + 1);
    }
    cell_close(&cell, true);
    tier_destroy(tier);
}

static inline void
crash_rounds(const struct store_config *config, void (*between)(void))
{
    uint64_t said[CRASH_KINDS] = {0}, first[CRASH_KINDS], found[CRASH_KINDS] = {0};
    unsigned was_ahead = 0;

    for (unsigned round = 0; round < CRASH_ROUNDS; round++) {
        struct store *store;

        for (unsigned i = 0; i < CRASH_KINDS; i++) {
            said[i] = found[i];
            first[i] = found[i] + 1;
        }
        tier_crash_once(config, first, 20 + testing_random() % 200, said);
        if (between != NULL)
            between();
        store = testing_open(config);
        crash_check(store, said, found);
        for (unsigned i = 0; i < CRASH_KINDS; i++)
            was_ahead += found[i] > said[i];
        store_close(store);
    }
    (void)printf("%u times more had happened than was said\n", was_ahead);
}

/* ---------------------------------------------------------------------- each step fails */

static uint64_t
redo_now(struct cell *cell, const char *key)
{
    uint64_t number = crash_number(cell, key);

    assert_true(number > 0);
    return number;
}

/* The next tier, on what the one before has left. */
static void
crash_renew(struct cell *cell)
{
    cell_close(cell, true);
    tier_destroy(testing_tier);
    testing_tier = crash_tier(testing_store);
    cell_open_for(cell, testing_tier, "crash");
}

/* A redo that breaks off after each of its commits is ended by the next who asks, or by the next
 * tier, or was never begun. */
static void
test_a_large_change_that_breaks_off_is_whole_or_not_at_all(void **state)
{
    bool is_reached = true;
    unsigned done = 0, undone = 0;

    (void)state;
    tier_destroy(testing_tier);
    for (unsigned nth = 1; is_reached; nth++) {
        const char *point = nth % 2 == 0 ? "tier.commit" : "tier.committed";
        struct cell cell;
        uint64_t before, after;
        int err;

        testing_tier = crash_tier(testing_store);
        cell_open_for(&cell, testing_tier, "crash");
        assert_int_equal(crash_push(&cell, "sizes", CRASH_FEWER, 1), 0);
        before = redo_now(&cell, "sizes");
        fault_arm(point, (nth + 1) / 2, -EIO);
        err = crash_push(&cell, "sizes", CRASH_CHUNKS, 2);
        is_reached = fault_disarm() || nth % 2 == 1;
        assert_true(err == 0 || err == -EIO);
        if (nth % 4 < 2)
            crash_renew(&cell);
        after = redo_now(&cell, "sizes");
        assert_true(after == 2 || (after == before && err != 0));
        done += after == 2;
        undone += after != 2;
        assert_int_equal(tier_tenant(testing_tier, "crash")->bytes, cell.size);
        assert_int_equal(REMOVE(&cell, "sizes", .fence = 0), 0);
        assert_int_equal(tier_tenant(testing_tier, "crash")->bytes, 0);
        cell_close(&cell, true);
        tier_destroy(testing_tier);
    }
    assert_true(done > 3 && undone > 1);
    testing_tier = crash_tier(testing_store);
}

/* Doing it again must not add again: whatever breaks off, it was added once or not at all, and
 * where it is said that nothing has happened, nothing has. */
static void
test_a_large_addition_that_breaks_off_is_added_once_or_not_at_all(void **state)
{
    static const int errs[] = {-EIO, -ENOMEM};
    unsigned done = 0, undone = 0;

    (void)state;
    tier_destroy(testing_tier);
    for (unsigned round = 0; round < 120; round++) {
        static const char *const points[] = {"tier.commit", "tier.committed", "tier.redo"};
        int wanted = errs[round % 2], err;
        const char *point = points[round / 2 % 3];
        uint64_t before, after;
        struct cell cell;

        if (wanted == -ENOMEM && strcmp(point, "tier.committed") == 0)
            wanted = -EIO; /* a store that has committed does not say so */
        testing_tier = crash_tier(testing_store);
        cell_open_for(&cell, testing_tier, "crash");
        assert_int_equal(crash_add(&cell, "sums"), 0);
        before = redo_now(&cell, "sums");
        fault_arm(point, 1 + round / 6, wanted);
        err = crash_add(&cell, "sums");
        (void)fault_disarm();
        if (round % 4 < 2)
            crash_renew(&cell);
        after = redo_now(&cell, "sums");
        assert_true(after == before || after == before + 1);
        if (err == 0)
            assert_int_equal(after, before + 1);
        else if (err != -EIO)
            assert_int_equal(after, before);
        done += err != 0 && after != before;
        undone += after == before;
        cell_close(&cell, true);
        tier_destroy(testing_tier);
    }
    assert_true(done > 3 && undone > 3);
    testing_tier = crash_tier(testing_store);
}

#define CRASH_TESTS \
    VALUES_TEST(test_a_large_change_that_breaks_off_is_whole_or_not_at_all), \
        VALUES_TEST(test_a_large_addition_that_breaks_off_is_added_once_or_not_at_all)

#endif
