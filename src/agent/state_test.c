/* SPDX-License-Identifier: Apache-2.0
 *
 * State on its way through an agent: between its cells, which are doubles that say back what they
 * are told, and a planner; and what becomes of words that are lost on the way.
 */
#include "agent/agent_testing.h"

#include "base/fault.h"

static struct planner planner;

/* A cell that has said "ping" to the tier; its session. */
static uint64_t
begin(void)
{
    Rpc__HostUp *up;
    uint64_t session;

    planner_call(&planner, 1, 1, "state");
    up = planner_hear(&planner, RPC__HOST_UP__IS_STATE);
    session = up->state->session;
    assert_string_equal(up->state->tenant, "a");
    assert_int_equal(up->state->frame.len, 4);
    assert_memory_equal(up->state->frame.data, "ping", 4);
    assert_false(up->state->is_over);
    rpc__host_up__free_unpacked(up, NULL);
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 1), NULL);
    planner_heard(&planner, 1);
    return session;
}

static int
setup(void **state)
{
    (void)state;
    planner_open_function(&planner);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    planner_stop(&planner);
    return 0;
}

static void
tell(uint64_t session, const char *text, bool is_over)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostState words = RPC__HOST_STATE__INIT;

    words.session = session;
    words.frame = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    words.is_over = is_over;
    down.is_case = RPC__HOST_DOWN__IS_STATE;
    down.state = &words;
    planner_send(&planner, &down);
}

static void
expect(uint64_t session, const char *text)
{
    Rpc__HostUp *up = planner_hear(&planner, RPC__HOST_UP__IS_STATE);

    assert_true(up->state->session == session);
    assert_int_equal(up->state->frame.len, strlen(text));
    assert_memory_equal(up->state->frame.data, text, strlen(text));
    assert_false(up->state->is_over);
    rpc__host_up__free_unpacked(up, NULL);
}

/* ------------------------------------------------------------------------------- tests */

static void
test_words_go_both_ways(void **state)
{
    uint64_t session = begin();

    (void)state;
    tell(session, "to the cell", false);
    expect(session, "to the cell");
    tell(session, "again", false);
    expect(session, "again");
}

/* A session that the tier ends begins anew: its cell hears that its connection is. */
static void
test_a_session_that_is_refused_is_told_to_its_cell(void **state)
{
    uint64_t session = begin();

    (void)state;
    tell(session, "not to be read", true);
    expect(session, "");
}

static void
test_words_to_cells_that_are_not_there_go_nowhere(void **state)
{
    uint64_t session = begin();

    (void)state;
    tell(session + 1, "nobody", false);
    tell(0, "nobody", true);
    tell(UINT64_MAX, "", false);
    tell(session, "somebody", false);
    expect(session, "somebody");
}

static void
test_a_cell_that_ends_is_told_to_the_planner(void **state)
{
    uint64_t session = begin();
    Rpc__HostUp *up;

    (void)state;
    planner_call(&planner, 2, 1, "leave");
    up = planner_hear(&planner, RPC__HOST_UP__IS_STATE);
    assert_true(up->state->session == session);
    assert_true(up->state->is_over);
    rpc__host_up__free_unpacked(up, NULL);
    rpc__host_up__free_unpacked(planner_hear_end(&planner, 2), NULL);
    tell(session, "too late", false);
    planner_heard(&planner, 2);
    assert_true(begin() != session); /* a new cell is a new session */
}

/* Every cell that had a session wants one of the new connection. */
static void
test_a_new_connection_is_told_to_the_cells(void **state)
{
    uint64_t session = begin();

    (void)state;
    planner_cut(&planner);
    planner_register(&planner, true);
    expect(session, "");
    tell(session, "as before", false);
    expect(session, "as before");
}

static void
test_a_word_that_is_lost_on_its_way_up_is_told_to_its_cell(void **state)
{
    uint64_t session = begin();

    (void)state;
    fault_arm("agent.state", 2, -ENOMEM); /* the first is that of the word down */
    tell(session, "lost on its way back", false);
    expect(session, ""); /* and it begins anew */
    assert_true(fault_disarm());
}

static void
test_a_word_that_is_lost_on_its_way_down_is_told_to_its_cell(void **state)
{
    uint64_t session = begin();

    (void)state;
    fault_arm("agent.state", 1, -EAGAIN);
    tell(session, "lost", false);
    expect(session, "");
    assert_true(fault_disarm());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_words_go_both_ways),
        TEST(test_a_session_that_is_refused_is_told_to_its_cell),
        TEST(test_words_to_cells_that_are_not_there_go_nowhere),
        TEST(test_a_cell_that_ends_is_told_to_the_planner),
        TEST(test_a_new_connection_is_told_to_the_cells),
        TEST(test_a_word_that_is_lost_on_its_way_up_is_told_to_its_cell),
        TEST(test_a_word_that_is_lost_on_its_way_down_is_told_to_its_cell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
