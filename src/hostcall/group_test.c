/* SPDX-License-Identifier: Apache-2.0
 *
 * weft_group as guests call it: two members of a group, and one of none.
 */
#include "hostcall/hostcall_test.h"

#include "group/group.h"

#define OUT   GUEST_RESULT   /* where numbers are written */
#define OUT_2 GUEST_RESULT_2 /* and the second of them */
#define FAR   GUEST_MEMORY_BYTES
#define HEAD  2048u
#define WORD  4096u /* what threads count, 0 */

struct pair {
    struct group *group;
    struct hostcall_group registered;
    struct guest *guests[2];
    unsigned woken[2];
};

static void
on_wake(void *context, uint32_t member)
{
    struct pair *pair = context;

    pair->woken[member]++;
}

static void
become(struct guest *guest, struct hostcall_config config)
{
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    guest->module = "weft_group";
}

static int
pair_setup(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    const struct group_owner owner = {on_wake, NULL, pair};

    assert_non_null(pair);
    assert_int_equal(group_create(2, &owner, &pair->group), 0);
    pair->registered.group = pair->group;
    assert_int_equal(hostcall_group_register(&pair->registered), 0);
    for (uint32_t i = 0; i < 2; i++) {
        void *guest;

        assert_int_equal(guest_setup(&guest), 0);
        pair->guests[i] = guest;
        become(guest, (struct hostcall_config){.group = &pair->registered, .member = i});
    }
    *state = pair;
    return 0;
}

static int
pair_teardown(void **state)
{
    struct pair *pair = *state;

    for (int i = 0; i < 2; i++) {
        void *guest = pair->guests[i];

        assert_int_equal(guest_teardown(&guest), 0);
    }
    hostcall_group_unregister(&pair->registered);
    group_destroy(pair->group);
    free(pair);
    return 0;
}

static void
enter_both(struct pair *pair)
{
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(CALL(pair->guests[i], "enter", OUT, OUT_2), 0);
        assert_int_equal(guest_u32(pair->guests[i], OUT), i);
        assert_int_equal(guest_u32(pair->guests[i], OUT_2), 2);
    }
}

static void
assert_trap(const struct guest *guest, const char *message)
{
    assert_int_equal(guest->verdict, FAASLET_CALL_TRAP);
    assert_int_equal(guest->call.trap, ABI_TRAP_HOST);
    assert_non_null(strstr(guest->call.message, message));
}

static void
assert_out_of_bounds(const struct guest *guest)
{
    assert_int_equal(guest->verdict, FAASLET_CALL_TRAP);
    assert_int_equal(guest->call.trap, ABI_TRAP_MEMORY_BOUNDS);
}

/* head "abc", body "defg" */
static int
send_one(struct guest *guest, uint32_t to)
{
    (void)guest_text(guest, GUEST_BUFFER, "abcdefg");
    return CALL(guest, "send", to, GUEST_BUFFER, 3, GUEST_BUFFER + 3, 4);
}

/* As a move of stress mode does it. */
static void
move(struct guest *guest)
{
    struct buffer frozen = {0};
    void *thawed;

    hostcall_process_ops.away(guest->process);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &frozen), 0);
    assert_int_equal(hostcall_process_ops.thaw(frozen.bytes, frozen.count, &thawed), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = thawed;
    buffer_fini(&frozen);
}

/* What settle does, without a Faaslet. */
static void
settle(struct pair *pair, uint32_t member)
{
    struct guest *guest = pair->guests[member];
    uint8_t *memory = malloc(GUEST_MEMORY_BYTES);

    assert_non_null(memory);
    (void)memcpy(memory, guest->memory, GUEST_MEMORY_BYTES);
    free(guest->memory);
    guest->memory = memory;
    group_settle(pair->group, member, memory, GUEST_MEMORY_BYTES);
}

/* ------------------------------------------------------------------------------- entering */

static void
test_who_is_in_no_group_hears_so_and_can_do_nothing(void **state)
{
    struct guest *guest = *state;
    double seconds;

    guest->module = "weft_group";
    assert_int_equal(CALL(guest, "enter", OUT, OUT_2), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_int_equal(send_one(guest, 0), -1);
    assert_trap(guest, "in no group");
    (void)CALL(guest, "wait", 0, 0, WORD, 0);
    assert_trap(guest, "in no group");
    assert_int_equal(CALL(guest, "is_near", 0), 1);
    assert_int_equal(CALL(guest, "is_near", 1), 0);
    (void)CALL(guest, "abort", 7, 0, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_EXIT);
    assert_int_equal(guest->call.exit_code, 7);
    guest->function = hostcall_resolve("weft_group", 10, "time", 4);
    (void)guest_again(guest);
    (void)memcpy(&seconds, guest->args, sizeof(seconds));
    assert_true(seconds > 0);
}

static void
test_nobody_says_anything_before_entering_or_after_leaving(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[0];

    assert_int_equal(send_one(guest, 1), -1);
    assert_trap(guest, "in no group, or has left it");
    enter_both(pair);
    (void)CALL(guest, "enter", OUT, OUT_2);
    assert_trap(guest, "entered its group before");
    (void)CALL(guest, "enter", FAR, OUT_2);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "enter", OUT, FAR - 3);
    assert_out_of_bounds(guest);
    guest->function = hostcall_resolve("weft_group", 10, "leave", 5);
    (void)guest_again(guest);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    (void)guest_again(guest);
    assert_trap(guest, "has left");
    assert_int_equal(send_one(pair->guests[1], 0), 1); /* it is lost */
}

/* ------------------------------------------------------------------------------- messages */

static void
test_a_message_is_received_and_taken_also_after_a_move(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 0), 0);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 0), 1);
    assert_int_equal(guest_u32(guest, OUT), 0);
    assert_int_equal(guest_u32(guest, OUT_2), 4);
    assert_memory_equal(guest->memory + HEAD, "abc", 3);
    move(guest);
    settle(pair, 1);
    (void)CALL(guest, "take", HEAD, 3);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_memory_equal(guest->memory + HEAD, "def", 3);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 0, OUT_2, 0), 0);
    (void)CALL(guest, "take", HEAD, 0);
    assert_trap(guest, "no message");
}

static void
test_a_message_that_has_room_comes_whole(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    (void)CALL(guest, "receive", OUT, FAR - 6, 3, OUT_2, 4);
    assert_out_of_bounds(guest);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 4), 2);
    assert_int_equal(guest_u32(guest, OUT_2), 4);
    assert_memory_equal(guest->memory + HEAD, "abcdefg", 7);
    (void)CALL(guest, "take", HEAD, 0);
    assert_trap(guest, "no message");
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 3), 1);
    (void)CALL(guest, "take", HEAD, 0);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 4), 0);
}

static void
test_a_message_that_cannot_be_is_not_sent(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[0];

    enter_both(pair);
    (void)CALL(guest, "send", 2, 0, 0, 0, 0);
    assert_trap(guest, "no such member");
    (void)CALL(guest, "send", UINT32_MAX, 0, 0, 0, 0);
    assert_trap(guest, "no such member");
    (void)CALL(guest, "send", 1, GUEST_BUFFER, 4, GUEST_BUFFER, GROUP_MESSAGE_BYTES_MAX - 3);
    assert_trap(guest, "too large");
    (void)CALL(guest, "send", 1, FAR - 3, 4, 0, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "send", 1, 0, 0, FAR, 1);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "send", 1, 0, UINT32_MAX, 0, UINT32_MAX);
    assert_out_of_bounds(guest);
    assert_int_equal(CALL(pair->guests[1], "receive", OUT, HEAD, 0, OUT_2, 0), 0);
    assert_int_equal(CALL(guest, "send", 1, 0, 48, 0, GROUP_MESSAGE_BYTES_MAX - 48), 1);
}

static void
test_more_than_a_message_has_is_not_received(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    (void)CALL(guest, "receive", OUT, HEAD, 8, OUT_2, 0);
    assert_trap(guest, "shorter than its head");
    (void)CALL(guest, "receive", OUT, FAR - 2, 3, OUT_2, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "receive", FAR, HEAD, 3, OUT_2, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "receive", OUT, HEAD, 3, FAR, 0);
    assert_out_of_bounds(guest);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 3, OUT_2, 0), 1);
    (void)CALL(guest, "take", HEAD, 5);
    assert_trap(guest, "shorter than what is taken");
    (void)CALL(guest, "take", FAR - 3, 4);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "take", HEAD, 4);
    assert_memory_equal(guest->memory + HEAD, "defg", 4);
}

static void
test_who_finds_no_room_waits_until_there_is_some(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[0];

    enter_both(pair);
    while (CALL(guest, "send", 1, 0, 48, 0, 4000) == 1)
        ;
    assert_int_equal(guest->args[0], 0);
    (void)CALL(guest, "wait", 0, 0, WORD, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_true(guest->wait.deadline_ns == CLOCK_NEVER_NS);
    assert_int_equal(CALL(pair->guests[1], "receive", OUT, HEAD, 48, OUT_2, 0), 1);
    (void)CALL(pair->guests[1], "take", HEAD, 0);
    assert_int_equal(pair->woken[0], 1);
    assert_int_equal(CALL(guest, "send", 1, 0, 48, 0, 4000), 1);
}

/* --------------------------------------------------------------------- waiting, and the end */

static void
test_a_wait_is_pending_until_a_message_comes(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    (void)CALL(guest, "wait", FAR, 1, WORD, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "wait", HEAD, 4, WORD, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    (void)guest_again(guest);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    assert_int_equal(pair->woken[1], 1);
    (void)guest_again(guest);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
}

static void
test_who_asks_again_and_again_lets_others_run_and_then_gets_its_answer(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];
    unsigned asked = 1;

    enter_both(pair);
    while (CALL(guest, "receive", OUT, HEAD, 48, OUT_2, 0) == 0 &&
           guest->verdict == FAASLET_CALL_DONE)
        assert_true(++asked <= 100);
    assert_true(asked > 1);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.deadline_ns, 0);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 48, OUT_2, 0), 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_int_equal(send_one(pair->guests[0], 1), 1);
    assert_int_equal(CALL(guest, "receive", OUT, HEAD, 4, OUT_2, 0), 1);
}

static void
test_who_has_not_seen_what_another_thread_did_does_not_wait(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    (void)CALL(guest, "wait", HEAD, 4, WORD, 1);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    (void)CALL(guest, "wait", HEAD, 4, WORD + 2, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "wait", HEAD, 4, FAR, 0);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "wait", HEAD, 4, WORD, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    guest->memory[WORD] = 1;
    group_poke(pair->group, 1);
    group_poke(pair->group, 1);
    assert_int_equal(pair->woken[1], 1);
    (void)guest_again(guest);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
}

static void
test_a_deadlock_is_the_trap_of_one_and_the_end_of_all(void **state)
{
    struct pair *pair = *state;
    uint32_t bytes = guest_text(pair->guests[0], HEAD, "MPI_Recv from 1");
    struct group_end end;

    enter_both(pair);
    (void)CALL(pair->guests[0], "wait", HEAD, bytes, WORD, 0);
    assert_int_equal(pair->guests[0]->verdict, FAASLET_CALL_PENDING);
    (void)CALL(pair->guests[1], "wait", HEAD, 0, WORD, 0);
    assert_trap(pair->guests[1], "deadlock");
    assert_int_equal(pair->woken[0], 1);
    (void)guest_again(pair->guests[0]);
    assert_int_equal(pair->guests[0]->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(pair->guests[0]->call.limit, FAASLET_LIMIT_KILL);
    assert_int_equal(group_ended(pair->group, &end), GROUP_DEADLOCK);
    assert_int_equal(end.member, 1);
    assert_string_equal(group_waited_for(pair->group, 0), "MPI_Recv from 1");
}

static void
test_an_abort_ends_all(void **state)
{
    struct pair *pair = *state;
    uint32_t bytes = guest_text(pair->guests[0], HEAD, "no\tway");
    struct group_end end;

    enter_both(pair);
    (void)CALL(pair->guests[0], "abort", 3, FAR - 1, 2);
    assert_out_of_bounds(pair->guests[0]);
    (void)CALL(pair->guests[0], "abort", 3, HEAD, bytes);
    assert_int_equal(pair->guests[0]->verdict, FAASLET_CALL_EXIT);
    assert_int_equal(pair->guests[0]->call.exit_code, 3);
    assert_int_equal(group_ended(pair->group, &end), GROUP_ABORTED);
    assert_string_equal(end.reason, "no way");
    (void)CALL(pair->guests[1], "abort", 4, HEAD, 0);
    assert_int_equal(pair->guests[1]->verdict, FAASLET_CALL_LIMIT);
    (void)send_one(pair->guests[1], 0);
    assert_int_equal(pair->guests[1]->verdict, FAASLET_CALL_LIMIT);
    (void)CALL(pair->guests[1], "receive", OUT, HEAD, 0, OUT_2, 0);
    assert_int_equal(pair->guests[1]->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(group_ended(pair->group, &end), GROUP_ABORTED);
    assert_int_equal(end.code, 3);
}

/* --------------------------------------------------------------------------------- copies */

static void
test_memory_of_another_is_copied_wherever_it_is(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    (void)guest_text(pair->guests[0], HEAD, "of the other");
    (void)CALL(guest, "get", 0, HEAD, GUEST_BUFFER, 12);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "of the other", 12);
    move(pair->guests[0]);
    (void)CALL(guest, "put", 0, FAR - 12, GUEST_BUFFER, 12);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.deadline_ns, 0); /* at once, after others */
    settle(pair, 0);
    (void)guest_again(guest);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_memory_equal(pair->guests[0]->memory + FAR - 12, "of the other", 12);
    assert_int_equal(CALL(guest, "is_near", 0), 1);
    assert_int_equal(CALL(guest, "is_near", 2), 0);
}

static void
test_ones_own_memory_is_copied_too(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    (void)guest_text(guest, HEAD, "abcdef");
    (void)CALL(guest, "put", 1, HEAD + 1, HEAD, 5); /* they overlap */
    assert_memory_equal(guest->memory + HEAD, "aabcde", 6);
    (void)CALL(guest, "get", 1, HEAD + 1, HEAD, 5);
    assert_memory_equal(guest->memory + HEAD, "abcdee", 6);
    (void)CALL(guest, "get", 1, FAR, HEAD, 1);
    assert_out_of_bounds(guest);
    (void)CALL(guest, "put", 1, UINT64_MAX, HEAD, 1);
    assert_out_of_bounds(guest);
}

static void
test_what_is_no_memory_is_not_copied(void **state)
{
    static const char *const names[] = {"get", "put"};
    struct pair *pair = *state;
    struct guest *guest = pair->guests[1];

    enter_both(pair);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        (void)CALL(guest, names[i], 0, FAR, HEAD, 1);
        assert_out_of_bounds(guest);
        (void)CALL(guest, names[i], 0, 0, FAR, 1);
        assert_out_of_bounds(guest);
        (void)CALL(guest, names[i], 0, UINT64_MAX - 3, HEAD, 8);
        assert_out_of_bounds(guest);
        (void)CALL(guest, names[i], 0, 8, HEAD, UINT64_MAX - 3);
        assert_out_of_bounds(guest);
        (void)CALL(guest, names[i], 2, 0, HEAD, 1);
        assert_trap(guest, "no such member");
    }
    group_leave(pair->group, 0);
    (void)CALL(guest, "get", 0, 0, HEAD, 1);
    assert_trap(guest, "is not there");
}

/* ------------------------------------------------------------------------------- the record */

static void
test_a_member_knows_its_group_by_a_number_while_it_is_registered(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[0];
    struct diag diag;

    diag_init(&diag);
    assert_int_equal(hostcall_process_can_move(guest->process, &diag), -ENOTSUP);
    assert_non_null(strstr(diag_text(&diag), "group"));
    move(guest);
    assert_int_equal(CALL(guest, "enter", OUT, OUT_2), 0);
    hostcall_group_unregister(&pair->registered);
    move(guest);
    assert_int_equal(CALL(guest, "enter", OUT, OUT_2), -1);
    hostcall_group_unregister(&pair->registered);
}

/* What it was told of last is what another may change. */
static void
test_a_word_of_ones_own_is_changed_where_memory_has_grown_too(void **state)
{
    struct pair *pair = *state;
    struct guest *guest = pair->guests[0];

    enter_both(pair);
    group_grown(pair->group, 0, WORD);
    (void)CALL(pair->guests[1], "change", 0, WORD, 4, GROUP_ADD, 3, 0);
    assert_out_of_bounds(pair->guests[1]);
    (void)CALL(guest, "change", 0, WORD, 4, GROUP_ADD, 3, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    assert_int_equal(guest_u32(guest, WORD), 3);
    (void)CALL(guest, "change", 0, FAR, 4, GROUP_ADD, 3, 0);
    assert_out_of_bounds(guest);
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        GUEST_TEST(test_who_is_in_no_group_hears_so_and_can_do_nothing),
        PAIR_TEST(test_nobody_says_anything_before_entering_or_after_leaving),
        PAIR_TEST(test_a_message_is_received_and_taken_also_after_a_move),
        PAIR_TEST(test_a_message_that_cannot_be_is_not_sent),
        PAIR_TEST(test_a_message_that_has_room_comes_whole),
        PAIR_TEST(test_more_than_a_message_has_is_not_received),
        PAIR_TEST(test_who_finds_no_room_waits_until_there_is_some),
        PAIR_TEST(test_a_wait_is_pending_until_a_message_comes),
        PAIR_TEST(test_who_asks_again_and_again_lets_others_run_and_then_gets_its_answer),
        PAIR_TEST(test_who_has_not_seen_what_another_thread_did_does_not_wait),
        PAIR_TEST(test_a_deadlock_is_the_trap_of_one_and_the_end_of_all),
        PAIR_TEST(test_an_abort_ends_all),
        PAIR_TEST(test_memory_of_another_is_copied_wherever_it_is),
        PAIR_TEST(test_ones_own_memory_is_copied_too),
        PAIR_TEST(test_what_is_no_memory_is_not_copied),
        PAIR_TEST(test_a_word_of_ones_own_is_changed_where_memory_has_grown_too),
        PAIR_TEST(test_a_member_knows_its_group_by_a_number_while_it_is_registered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
