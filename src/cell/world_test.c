/* SPDX-License-Identifier: Apache-2.0 */
#include "cell/cell_testing.h"

#include <errno.h>

#include "group/group.h"
#include "hostcall/hostcall.h"

#define MEMBERS 3u

/* All enter but in "stranger". The parameter is whether it is this one that does what the entry is
 * called after; the others wait for a message that nobody sends, or spin. */
static const char text[] =
    "(module\n"
    "  (import \"weft_group\" \"enter\" (func $enter (param i32 i32) (result i32)))\n"
    "  (import \"weft_group\" \"leave\" (func $leave))\n"
    "  (import \"weft_group\" \"wait\" (func $wait (param i32 i32 i32 i32)))\n"
    "  (import \"weft_group\" \"abort\" (func $abort (param i32 i32 i32)))\n"
    "  (memory (export \"memory\") 1)\n"
    "  (data (i32.const 32) \"no reason\")\n"
    "  (func $others (param $spins i64)\n"
    "    (loop $again (br_if $again (i64.ne (local.get $spins) (i64.const 0)))\n"
    "      (call $wait (i32.const 32) (i32.const 9) (i32.const 16) (i32.const 0))\n"
    "      (br $again)))\n"
    "  (func $begin (drop (call $enter (i32.const 0) (i32.const 4))))\n"
    "  (func (export \"good\") (param i64 i64) (call $begin) (call $leave))\n"
    "  (func (export \"stranger\") (param i64 i64))\n"
    "  (func (export \"return\") (param i64 i64) (call $begin)\n"
    "    (if (i64.eqz (local.get 0)) (then (call $others (local.get 1)))))\n"
    "  (func (export \"trap\") (param i64 i64) (call $begin)\n"
    "    (if (i64.eqz (local.get 0)) (then (call $others (local.get 1)))) unreachable)\n"
    "  (func (export \"abort\") (param i64 i64) (call $begin)\n"
    "    (if (i64.eqz (local.get 0)) (then (call $others (local.get 1))))\n"
    "    (call $abort (i32.const 9) (i32.const 32) (i32.const 9)))\n"
    "  (func (export \"stuck\") (param i64 i64) (call $begin) (call $others (i64.const 0)))\n"
    ")\n";

static struct faaslet_image *image;

TESTING_IMAGE_GROUP(text)

/* One member's end. */
struct told {
    struct answer *answer;
    struct cell_end end;
    char story[256];
};

struct world_of_three {
    struct cell *cell;
    struct cell_function *function;
    struct cell_world *world;
    struct hostcall_process *processes[MEMBERS];
    struct answer answer;
    struct told told[MEMBERS];
};

static int
three_setup(void **state)
{
    struct world_of_three *w = calloc(1, sizeof(*w));
    const struct cell_config config = {.executors = 2};
    const struct cell_function_config function = {
        .image = image, .faaslet = {.resolve = hostcall_resolve, .ops = &hostcall_process_ops}};
    struct diag diag = {0};

    assert_non_null(w);
    answer_init(&w->answer);
    if (cell_create(&config, &w->cell, &diag) != 0 ||
        cell_function_create(w->cell, &function, &w->function, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(cell_world_create(w->cell, MEMBERS, &w->world), 0);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct hostcall_config record = {
            .stdio = {-1, -1, -1}, .group = cell_world_group(w->world), .member = i};

        assert_int_equal(hostcall_process_create(&record, &w->processes[i], &diag), 0);
        w->told[i].answer = &w->answer;
    }
    *state = w;
    return 0;
}

static int
three_teardown(void **state)
{
    struct world_of_three *w = *state;

    cell_function_drop(w->function);
    cell_destroy(w->cell);
    for (uint32_t i = 0; i < MEMBERS; i++)
        hostcall_process_destroy(w->processes[i]);
    cell_world_destroy(w->world);
    free(w);
    return 0;
}

static void
on_member_end(void *context, const struct cell_end *end)
{
    struct told *told = context;

    told->end = *end;
    (void)snprintf(told->story, sizeof(told->story), "%s", end->story);
    on_end(told->answer, end);
}

static void
start(struct world_of_three *w, uint32_t member, const char *entry, bool others_spin)
{
    const uint64_t args[] = {member == MEMBERS - 1, others_spin};
    const struct cell_call call = {.entry = entry,
                                   .args = args,
                                   .slot_count = 2,
                                   .process = w->processes[member],
                                   .on_end = on_member_end,
                                   .context = &w->told[member]};
    uint64_t id = 0;

    assert_int_equal(cell_world_start(w->world, member, w->function, &call, &id), 0);
    assert_true(id != 0);
}

static void
run(struct world_of_three *w, const char *entry, bool others_spin)
{
    for (uint32_t i = 0; i < MEMBERS; i++)
        start(w, i, entry, others_spin);
    answer_wait(&w->answer, MEMBERS);
}

/* The last ended so, and by that all others. */
static void
assert_ended_by_last(const struct world_of_three *w, enum cell_end_kind kind, const char *story)
{
    const struct told *last = &w->told[MEMBERS - 1];

    assert_int_equal(last->end.kind, kind);
    assert_int_equal(last->end.member, MEMBERS - 1);
    assert_true(last->end.is_world_end);
    assert_string_equal(last->story, story);
    for (uint32_t i = 0; i < MEMBERS - 1; i++) {
        assert_int_equal(w->told[i].end.kind, CELL_CANCELLED);
        assert_false(w->told[i].end.is_world_end);
    }
}

static void
test_members_that_leave_end_by_themselves(void **state)
{
    struct world_of_three *w = *state;

    run(w, "good", false);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(w->told[i].end.kind, CELL_DONE);
        assert_false(w->told[i].end.is_world_end);
        assert_string_equal(w->told[i].story, "");
    }
}

static void
test_members_that_never_enter_end_by_themselves(void **state)
{
    struct world_of_three *w = *state;

    run(w, "stranger", false);
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_false(w->told[i].end.is_world_end);
}

static void
test_one_that_returns_without_leaving_ends_those_that_wait(void **state)
{
    run(*state, "return", false);
    assert_ended_by_last(*state, CELL_DONE, "ended before MPI_Finalize\n");
}

static void
test_one_that_returns_without_leaving_ends_those_that_compute(void **state)
{
    if (!HAS_PREEMPTION)
        skip();
    run(*state, "return", true);
    assert_ended_by_last(*state, CELL_DONE, "ended before MPI_Finalize\n");
}

static void
test_a_trap_is_the_end_of_all(void **state)
{
    run(*state, "trap", false);
    assert_ended_by_last(*state, CELL_TRAP, "");
}

static void
test_an_abort_says_its_code_and_why(void **state)
{
    struct world_of_three *w = *state;

    run(w, "abort", false);
    assert_ended_by_last(w, CELL_EXIT, "aborted with 9: no reason\n");
    assert_int_equal(w->told[MEMBERS - 1].end.exit_code, 9);
}

static void
test_a_deadlock_is_told_by_one(void **state)
{
    struct world_of_three *w = *state;
    unsigned told = 0;

    run(w, "stuck", false);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (!w->told[i].end.is_world_end) {
            assert_int_equal(w->told[i].end.kind, CELL_CANCELLED);
            continue;
        }
        told++;
        assert_int_equal(w->told[i].end.kind, CELL_TRAP);
        assert_non_null(strstr(w->told[i].story, "  rank 0: no reason\n"));
        assert_non_null(strstr(w->told[i].story, "  rank 2: no reason\n"));
    }
    assert_int_equal(told, 1);
}

static void
test_one_that_comes_when_the_world_has_ended_ends_too(void **state)
{
    struct world_of_three *w = *state;

    start(w, MEMBERS - 1, "trap", false);
    answer_wait(&w->answer, 1);
    start(w, 0, "trap", true);
    start(w, 1, "trap", false);
    answer_wait(&w->answer, MEMBERS);
    assert_ended_by_last(w, CELL_TRAP, "");
}

static void
test_worlds_that_cannot_be(void **state)
{
    struct world_of_three *w = *state;
    struct cell_world *world = NULL;

    assert_int_equal(cell_world_create(w->cell, 0, &world), -EINVAL);
    assert_int_equal(cell_world_create(w->cell, GROUP_MEMBERS_MAX + 1, &world), -EINVAL);
    assert_null(world);
    cell_world_destroy(NULL);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, three_setup, three_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_members_that_leave_end_by_themselves),
        WORLD_TEST(test_members_that_never_enter_end_by_themselves),
        WORLD_TEST(test_one_that_returns_without_leaving_ends_those_that_wait),
        WORLD_TEST(test_one_that_returns_without_leaving_ends_those_that_compute),
        WORLD_TEST(test_a_trap_is_the_end_of_all),
        WORLD_TEST(test_an_abort_says_its_code_and_why),
        WORLD_TEST(test_a_deadlock_is_told_by_one),
        WORLD_TEST(test_one_that_comes_when_the_world_has_ended_ends_too),
        WORLD_TEST(test_worlds_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
