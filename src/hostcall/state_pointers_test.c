/* SPDX-License-Identifier: Apache-2.0
 *
 * State for guests: every call with every argument that is none, and what comes back of it. The
 * tier is that of state's own tests.
 */
#include "hostcall/hostcall_test.h"

#include <stdatomic.h>

#include "state/state_testing.h"

#define SELF      77u
#define KEY       GUEST_PATH
#define KEY_2     GUEST_PATH_2
#define END       (GUEST_MEMORY_BYTES - 4u) /* of memory: four bytes are left */
#define PAST      UINT32_MAX
#define INFO      512u
#define E_MSGSIZE 35
#define E_NOBUFS  42
#define E_NOSYS   52
#define E_DEADLK  16

static struct fake fake;
static struct hostcall_chain chain;

static const int in_memory[3] = {HOSTCALL_MEMORY, HOSTCALL_MEMORY, HOSTCALL_MEMORY};

static void
use(struct guest *guest, struct hostcall_chain *with)
{
    struct hostcall_config config = {.call = SELF, .function = "f", .tenant = "t", .chain = with};
    int stdio[3];

    hostcall_process_ops.destroy(guest->process);
    (void)memcpy(stdio, guest->stdio, sizeof(stdio));
    (void)memcpy(guest->stdio, in_memory, sizeof(stdio));
    assert_int_equal(guest_create_with(guest, &config), 0);
    (void)memcpy(guest->stdio, stdio, sizeof(stdio));
    guest->module = "weft";
}

static int
setup(void **state)
{
    int err = guest_setup(state);

    fake_init(&fake, 0);
    chain = (struct hostcall_chain){.state = fake.cells[0].state};
    assert_int_equal(hostcall_chain_register(&chain), 0);
    use(*state, &chain);
    return err;
}

static int
teardown(void **state)
{
    int err = guest_teardown(state);

    hostcall_chain_unregister(&chain);
    fake_fini(&fake);
    return err;
}

/* To its end: the tier talks while it is pending. */
static int
end(struct guest *guest, int result)
{
    while (guest->verdict == FAASLET_CALL_PENDING) {
        fake_run(&fake);
        result = guest_again(guest);
    }
    return result;
}
#define DO(guest, name, ...) end(guest, CALL(guest, name, __VA_ARGS__))

static uint32_t
key(struct guest *guest, const char *text)
{
    (void)memcpy(guest->memory + KEY, text, strlen(text) + 1);
    return KEY;
}

/* -------------------------------------------------------------------------------- keys */

static const struct {
    const char *name;
    size_t count;
    uint64_t args[7]; /* the first is the key */
} calls[] = {
    {"state_stat", 2, {0, INFO}},
    {"state_get", 4, {0, 0, GUEST_BUFFER, 8}},
    {"state_set", 3, {0, GUEST_BUFFER, 8}},
    {"state_cas", 5, {0, 0, GUEST_BUFFER, 8, GUEST_RESULT}},
    {"state_add", 5, {0, 0, 1, 8, GUEST_RESULT}},
    {"state_add_double", 5, {0, 0, 0, 8, GUEST_RESULT}},
    {"state_remove", 1, {0}},
    {"state_expire", 2, {0, 1000}},
    {"state_watch", 4, {0, 0, 0, GUEST_RESULT}},
    {"state_map", 5, {0, 0, 0, 4, GUEST_RESULT}},
    {"state_pull", 3, {0}},
    {"state_push", 3, {0}},
    {"state_push_if", 3, {0, 1, GUEST_RESULT}},
    {"state_lock", 3, {0, 1, 0}},
    {"state_unlock", 2, {0, 1}},
    {"state_append", 4, {0, GUEST_BUFFER, 8, GUEST_RESULT}},
    {"state_trim", 2, {0, 1}},
};

/* With this key; nothing may be said to the tier. */
static void
all_refuse(struct guest *guest, uint32_t at, int wanted)
{
    uint64_t says = atomic_load(&fake.cells[0].says);

    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        uint64_t args[7];

        (void)memcpy(args, calls[i].args, sizeof(args));
        args[0] = at;
        assert_int_equal(guest_call_array(guest, calls[i].name, args, calls[i].count), wanted);
        assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    }
    assert_int_equal(atomic_load(&fake.cells[0].says), says);
}

static void
test_a_key_that_is_none_is_refused_by_every_call(void **state)
{
    struct guest *guest = *state;
    char text[260];

    (void)memset(text, 'k', sizeof(text));
    text[256] = '\0';
    all_refuse(guest, key(guest, ""), E_INVAL);
    all_refuse(guest, key(guest, "\xff"), E_INVAL);
    all_refuse(guest, key(guest, "a\xc3"), E_INVAL);
    all_refuse(guest, key(guest, text), E_NAMETOOLONG);
    (void)memset(guest->memory + END, 'k', 4); /* without a NUL to the end */
    all_refuse(guest, END, E_FAULT);
    all_refuse(guest, GUEST_MEMORY_BYTES, E_FAULT);
    all_refuse(guest, PAST, E_FAULT);
    text[255] = '\0';
    assert_int_equal(DO(guest, "state_set", key(guest, text), GUEST_BUFFER, 8), 0);
}

static void
test_without_state_every_call_says_so(void **state)
{
    struct guest *guest = *state;

    use(guest, NULL);
    all_refuse(guest, key(guest, "k"), E_NOSYS);
}

/* ---------------------------------------------------------------------------- pointers */

static void
test_what_is_outside_of_memory_is_refused_and_nothing_has_changed(void **state)
{
    struct guest *guest = *state;
    uint64_t k = key(guest, "k");
    uint32_t text = guest_text(guest, GUEST_BUFFER, "12345678");
    uint64_t says;

    assert_int_equal(DO(guest, "state_set", k, GUEST_BUFFER, text), 0);
    says = atomic_load(&fake.cells[0].says);
    assert_int_equal(CALL(guest, "state_stat", k, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_get", k, 0, END, 8), E_FAULT);
    assert_int_equal(CALL(guest, "state_get", k, 0, GUEST_BUFFER, PAST), E_FAULT);
    assert_int_equal(CALL(guest, "state_set", k, END, 8), E_FAULT);
    assert_int_equal(CALL(guest, "state_set", k, GUEST_BUFFER, PAST), E_FAULT);
    assert_int_equal(CALL(guest, "state_cas", k, 1, END, 8, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "state_cas", k, 1, GUEST_BUFFER, 8, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_add", k, 0, 1, 8, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_add", k, 0, 1, 8, PAST), E_FAULT);
    assert_int_equal(CALL(guest, "state_add_double", k, 0, 1, 8, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_watch", k, 0, 0, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_map", k, 0, 0, 0, END + 1), E_FAULT);
    assert_int_equal(CALL(guest, "state_push_if", k, 1, END), E_FAULT);
    assert_int_equal(CALL(guest, "state_append", k, END, 8, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "state_append", k, GUEST_BUFFER, 8, END), E_FAULT);
    assert_int_equal(atomic_load(&fake.cells[0].says), says);
    assert_int_equal(fake_value(&fake, "k")->version, 1);
}

static void
test_a_list_needs_room_for_all_it_writes(void **state)
{
    struct guest *guest = *state;
    uint64_t prefix, after = KEY_2;

    assert_int_equal(DO(guest, "state_set", key(guest, "long key"), GUEST_BUFFER, 8), 0);
    prefix = key(guest, "");
    assert_int_equal(CALL(guest, "state_list", prefix, after, END, 8, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "state_list", prefix, after, GUEST_BUFFER, 64, END + 1), E_FAULT);
    assert_int_equal(CALL(guest, "state_list", prefix, PAST, GUEST_BUFFER, 64, GUEST_RESULT),
                     E_FAULT);
    assert_int_equal(DO(guest, "state_list", prefix, after, GUEST_BUFFER, 8, GUEST_RESULT),
                     E_NOBUFS);
    assert_int_equal(DO(guest, "state_list", prefix, after, GUEST_BUFFER, 9, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
    assert_string_equal(guest->memory + GUEST_BUFFER, "long key");
    (void)guest_text(guest, KEY_2, "\xff");
    assert_int_equal(CALL(guest, "state_list", prefix, after, GUEST_BUFFER, 9, GUEST_RESULT),
                     E_INVAL);
}

/* ----------------------------------------------------------------------- what is wrong */

static void
test_sizes_and_offsets_that_do_not_match_are_named(void **state)
{
    struct guest *guest = *state;
    uint64_t k = key(guest, "k");

    assert_int_equal(DO(guest, "state_get", k, 0, GUEST_BUFFER, 8), E_NOENT);
    assert_int_equal(DO(guest, "state_set", k, GUEST_BUFFER, 8), 0);
    assert_int_equal(DO(guest, "state_get", k, 1, GUEST_BUFFER, 8), E_MSGSIZE);
    assert_int_equal(DO(guest, "state_get", k, 9, GUEST_BUFFER, 1), E_MSGSIZE);
    assert_int_equal(DO(guest, "state_get", k, UINT64_MAX, GUEST_BUFFER, 8), E_MSGSIZE);
    assert_int_equal(DO(guest, "state_get", k, UINT64_MAX - 3, GUEST_BUFFER, 8), E_MSGSIZE);
    assert_int_equal(DO(guest, "state_get", k, 0, GUEST_BUFFER, 8), 0);
    assert_int_equal(DO(guest, "state_map", k, 1, 0, 0, GUEST_RESULT), E_INVAL);
    assert_int_equal(DO(guest, "state_map", k, 0, 0, 8, GUEST_RESULT), E_INVAL);
    assert_int_equal(DO(guest, "state_map", k, 0, 9, 4, GUEST_RESULT), E_MSGSIZE);
    assert_int_equal(DO(guest, "state_map", k, 65536, 8, 0, GUEST_RESULT), E_MSGSIZE);
    assert_int_not_equal(DO(guest, "state_map", k, 0, UINT64_MAX, 4, GUEST_RESULT), 0);
    assert_int_not_equal(DO(guest, "state_map", k, UINT64_MAX - 65535, 65536, 4, GUEST_RESULT), 0);
    assert_int_equal(DO(guest, "state_unmap", 65536), E_INVAL);
    assert_int_equal(DO(guest, "state_cas", k, 9, GUEST_BUFFER, 8, 0), E_AGAIN);
    assert_int_equal(fake_value(&fake, "k")->version, 1);
    assert_int_equal(fake_value(&fake, "k")->size, 8);
}

static void
test_locks_are_of_the_kinds_that_there_are_and_their_times_end(void **state)
{
    struct guest *guest = *state;
    uint64_t k = key(guest, "k");
    struct state_request other = {.kind = STATE_LOCK, .key = "k", .owner = 5, .is_write = true};

    assert_int_equal(CALL(guest, "state_lock", k, 4, 0), E_INVAL);
    assert_int_equal(CALL(guest, "state_unlock", k, UINT32_MAX), E_INVAL);
    assert_int_equal(DO(guest, "state_unlock", k, 1), E_INVAL);              /* it has none */
    assert_int_equal(DO(guest, "state_lock", k, 1, (uint64_t)INT64_MIN), 0); /* for ever */
    assert_int_equal(DO(guest, "state_lock", k, 1, 0), E_DEADLK);
    assert_int_equal(DO(guest, "state_unlock", k, 1), 0);
    assert_int_equal(fake_try(&fake, 1, &other), 0);
    assert_int_equal(DO(guest, "state_lock", k, 1, 0), E_AGAIN);
    other.kind = STATE_UNLOCK;
    assert_int_equal(fake_try(&fake, 1, &other), 0);
    assert_int_equal(DO(guest, "state_lock", k, 3, 0), 0); /* here */
    assert_int_equal(DO(guest, "state_unlock", k, 3), 0);
}

static void
test_a_stat_says_what_it_is_and_how_long_it_lives(void **state)
{
    struct guest *guest = *state;
    uint64_t k = key(guest, "k");

    assert_int_equal(DO(guest, "state_stat", k, INFO), E_NOENT);
    assert_int_equal(DO(guest, "state_set", k, GUEST_BUFFER, 8), 0);
    assert_int_equal(DO(guest, "state_stat", k, INFO), 0);
    assert_int_equal(guest_u64(guest, INFO), 8);
    assert_int_equal(guest_u64(guest, INFO + 8), 1);
    assert_int_equal(guest_u64(guest, INFO + 16), 0); /* for ever */
    assert_int_equal(guest_u32(guest, INFO + 24), 0); /* no log */
    assert_int_equal(DO(guest, "state_expire", k, 5000), 0);
    assert_int_equal(DO(guest, "state_stat", k, INFO), 0);
    assert_int_equal(guest_u64(guest, INFO + 16), 5000);
    k = key(guest, "log");
    assert_int_equal(DO(guest, "state_append", k, GUEST_BUFFER, 3, GUEST_RESULT), 0);
    assert_int_equal(DO(guest, "state_stat", k, INFO), 0);
    assert_int_equal(guest_u64(guest, INFO), 3);
    assert_int_equal(guest_u64(guest, INFO + 8), 1);
    assert_int_equal(guest_u32(guest, INFO + 24), 1);
}

static void
test_a_number_goes_nowhere_where_none_is_wanted(void **state)
{
    struct guest *guest = *state;
    uint64_t k = key(guest, "k");

    (void)memset(guest->memory, 0x5a, 8);
    assert_int_equal(DO(guest, "state_add", k, 0, 5, 8, 0), 0);
    assert_int_equal(DO(guest, "state_add", k, 0, (uint64_t)-2, 8, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 3);
    assert_int_equal(guest->memory[0], 0x5a);
    assert_int_not_equal(DO(guest, "state_add", k, UINT64_MAX, 1, 8, GUEST_RESULT), 0);
    assert_int_not_equal(DO(guest, "state_add", k, 1, 1, 8, GUEST_RESULT), 0);
    assert_int_equal(DO(guest, "state_add", k, 0, 0, 8, GUEST_RESULT), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_that_is_none_is_refused_by_every_call),
        TEST(test_without_state_every_call_says_so),
        TEST(test_what_is_outside_of_memory_is_refused_and_nothing_has_changed),
        TEST(test_a_list_needs_room_for_all_it_writes),
        TEST(test_sizes_and_offsets_that_do_not_match_are_named),
        TEST(test_locks_are_of_the_kinds_that_there_are_and_their_times_end),
        TEST(test_a_stat_says_what_it_is_and_how_long_it_lives),
        TEST(test_a_number_goes_nowhere_where_none_is_wanted),
    };

    mem_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
