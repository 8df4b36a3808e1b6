/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as memory: mapping, pushing what was written, pulling what others have pushed.
 */
#include <stdio.h>

#include "base/fault.h"
#include "state/state_testing.h"

#define KIB64 STATE_CHUNK_BYTES

static struct fake fake;

FAKE_SETUP_AND_TEARDOWN(fake)

static int
try_map(unsigned cell, uint64_t offset, uint64_t count, uint32_t flags, struct state_mapping *out)
{
    struct state_request request = {.key = "m", .offset = offset, .count = count};

    return fake_map(&fake, cell, &request, flags, out);
}

static void
map(unsigned cell, uint64_t count, uint32_t flags, struct fake_guest *guest)
{
    struct state_mapping mapping;

    assert_int_equal(try_map(cell, 0, count, flags, &mapping), 0);
    fake_guest_init(&fake, cell, &mapping, (flags & STATE_MAP_WRITE) != 0, guest);
}

static int
push(unsigned cell, struct state_result *result)
{
    struct state_request request = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};

    return fake_do(&fake, cell, &request, result);
}

static int
pull(unsigned cell)
{
    struct state_request request = {.kind = STATE_PULL, .key = "m"};

    return fake_try(&fake, cell, &request);
}

static const uint8_t *
global(void)
{
    return fake_value(&fake, "m")->bytes;
}

static int
under_lock(unsigned cell, enum state_kind kind)
{
    struct state_request request = {
        .kind = kind, .key = "m", .owner = 3, .is_write = true, .version = UINT64_MAX};

    return fake_try(&fake, cell, &request);
}

/* Another call's push, under a lock that it has, does not bring what the first may not write. */
static void
check_taken_back(struct fake_guest *one)
{
    struct state_result result;

    assert_int_equal(pull(0), 0);
    assert_int_equal(one->bytes[0], 'B');
    one->bytes[200] = 'c';
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(global()[0], 'B');
    assert_int_equal(global()[200], 'c');
}

static void
test_what_was_written_under_a_lost_lock_is_taken_back(void **state)
{
    struct fake_guest one;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &one);
    assert_int_equal(under_lock(0, STATE_LOCK), 0);
    one.bytes[0] = 'A';
    fake_value(&fake, "m")->fence += 10; /* it has gone to another, who wrote */
    fake_value(&fake, "m")->bytes[0] = 'B';
    fake_value(&fake, "m")->version++;
    assert_int_equal(under_lock(0, STATE_PUSH), -ESTALE);
    fake_value(&fake, "m")->fence -= 10;
    check_taken_back(&one);
    fake_guest_fini(&one);
}

static void
test_so_it_is_when_the_session_was_lost(void **state)
{
    struct fake_guest one;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &one);
    assert_int_equal(under_lock(0, STATE_LOCK), 0);
    one.bytes[0] = 'A';
    fake_break(&fake, &fake.cells[0]);
    fake_value(&fake, "m")->bytes[0] = 'B';
    fake_value(&fake, "m")->version++;
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_int_equal(under_lock(0, STATE_PUSH), -ESTALE);
    check_taken_back(&one);
    fake_guest_fini(&one);
}

/* ------------------------------------------------------------------------------- mapping */

static void
test_a_value_is_made_mapped_written_and_pushed(void **state)
{
    struct state_result result;
    struct fake_guest one, other;

    (void)state;
    map(0, 3 * KIB64, STATE_MAP_WRITE | STATE_MAP_CREATE, &one);
    assert_int_equal(one.bytes[0], 0);
    (void)memcpy(one.bytes + KIB64 - 4, "12345678", 8);
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(result.version, 2);
    assert_memory_equal(global() + KIB64 - 4, "12345678", 8);
    assert_int_equal(fake.pushed_bytes, 8);
    map(1, 3 * KIB64, STATE_MAP_CREATE, &other);
    assert_memory_equal(other.bytes + KIB64 - 4, "12345678", 8);
    assert_int_equal(push(0, &result), 0); /* nothing, and nobody is asked */
    assert_int_equal(fake.pushes, 2);
    fake_guest_fini(&one);
    fake_guest_fini(&other);
}

static void
test_calls_of_a_cell_see_the_same_memory(void **state)
{
    struct fake_guest one, other;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &one);
    map(0, 0, 0, &other);
    one.bytes[100] = 9;
    assert_int_equal(((volatile uint8_t *)other.bytes)[100], 9);
    assert_int_equal(fake.pulls, 1);
    fake_guest_fini(&one);
    fake_guest_fini(&other);
}

static void
test_what_cannot_be_mapped_is_refused(void **state)
{
    struct state_mapping mapping;
    struct fake_guest guest;
    uint64_t op = 77;
    struct state_request request = {.key = "m"};

    (void)state;
    assert_int_equal(try_map(0, 0, 0, 0, &mapping), -ENOENT);
    assert_int_equal(try_map(0, 0, 0, STATE_MAP_CREATE, &mapping), -EINVAL);
    fake_put(&fake, "m", NULL, KIB64 + 5);
    assert_int_equal(try_map(0, 100, 1, 0, &mapping), -EINVAL);
    assert_int_equal(try_map(0, 0, 1, 64, &mapping), -EINVAL);
    assert_int_equal(try_map(0, 0, KIB64, STATE_MAP_CREATE, &mapping), -EMSGSIZE);
    assert_int_equal(try_map(0, KIB64, 6, 0, &mapping), -EMSGSIZE);
    assert_int_equal(try_map(0, 2 * KIB64, 1, 0, &mapping), -EMSGSIZE);
    assert_int_equal(try_map(0, 2 * KIB64, 1, STATE_MAP_LAZY, &mapping), -EMSGSIZE);
    assert_int_equal(state_map(fake.cells[0].state, &request, 0, 1, &op, &mapping), -EBADF);
    fake_put(&fake, "m", NULL, 0);
    fake_take(&fake, fake_value(&fake, "m"), 0);
    fake_run(&fake);
    assert_int_equal(try_map(0, 0, 0, 0, &mapping), -EMSGSIZE);
    fake_put(&fake, "m", NULL, KIB64);
    fake_take(&fake, fake_value(&fake, "m"), 0);
    fake_run(&fake);
    map(0, 0, 0, &guest);
    fake_guest_fini(&guest);
    assert_int_equal(fake.cells[0].state->ops.count, 0);
}

static void
test_of_two_that_make_it_one_does(void **state)
{
    struct state_request request = {.key = "m", .count = KIB64};
    struct state_mapping mapping[2];
    uint64_t ops[2] = {0, 0};

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            state_map(fake.cells[i].state, &request, STATE_MAP_CREATE, 1, &ops[i], &mapping[i]),
            -EAGAIN);
    fake_run(&fake);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            state_map(fake.cells[i].state, &request, STATE_MAP_CREATE, 1, &ops[i], &mapping[i]), 0);
        mem_share_put(mapping[i].share);
        state_unmap(fake.cells[i].state, mapping[i].entry, mapping[i].is_writable);
    }
    assert_int_equal(fake_value(&fake, "m")->version, 1);
}

static void
test_a_value_of_another_size_is_not_mixed_with_what_is_mapped(void **state)
{
    struct state_request request = {.kind = STATE_SET, .key = "m", .bytes = "new", .count = 3};
    struct state_result result;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    assert_int_equal(fake_try(&fake, 1, &request), 0);
    assert_int_equal(pull(0), -EMSGSIZE);
    guest.bytes[5] = 1;
    assert_int_equal(push(0, &result), -EMSGSIZE);
    request = (struct state_request){.kind = STATE_GET, .key = "m", .offset = 1, .count = 9};
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.count, 2);
    assert_memory_equal(result.bytes, "ew", 2);
    state_result_fini(&result);
    assert_int_equal(guest.bytes[5], 1);
    fake_guest_fini(&guest);
}

/* --------------------------------------------------------------------------------- lazy */

static void
test_absent_chunks_come_when_they_are_touched(void **state)
{
    const uint64_t size = 4 * KIB64 + 10;
    uint8_t *bytes = calloc(1, size);
    struct state *here = fake.cells[0].state;
    struct state_usage usage;
    struct fake_guest guest;
    struct state_result result;
    uint64_t entry;

    (void)state;
    bytes[2 * KIB64 + 1] = 3;
    bytes[4 * KIB64 + 9] = 4;
    fake_put(&fake, "m", bytes, size);
    map(0, 0, STATE_MAP_LAZY | STATE_MAP_WRITE, &guest);
    entry = guest.mapping.entry;
    assert_int_equal(mem_share_absent(guest.mapping.share, 0, size), 0);
    assert_int_equal(state_touch(here, entry, 2 * KIB64 + 77, 5), -EAGAIN);
    assert_int_equal(state_touch(here, entry, 2 * KIB64 + 78, 6), -EAGAIN);
    assert_int_equal(state_touch(here, entry, 4 * KIB64 + 3, 5), -EAGAIN);
    assert_int_equal(state_touch(here, entry, 2 * KIB64 + 77, 5), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(fake.cells[0].wakes, 1 + 3);
    assert_int_equal(state_touch(here, entry, 2 * KIB64 + 77, 5), 0);
    assert_int_equal(state_touch(here, entry, 4 * KIB64, 5), 0);
    assert_int_equal(state_touch(here, entry, size, 5), -EINVAL);
    assert_int_equal(guest.bytes[2 * KIB64 + 1], 3);
    assert_int_equal(guest.bytes[4 * KIB64 + 9], 4);
    state_usage(here, &usage);
    assert_int_equal(usage.bytes_pulled, KIB64 + 10);
    guest.bytes[2 * KIB64] = 8;
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(global()[2 * KIB64], 8);
    assert_int_equal(here->ops.count, 0);
    fake_guest_fini(&guest);
    free(bytes);
}

static void
test_a_touch_of_what_is_not_to_be_had_says_so(void **state)
{
    struct state_request request = {.kind = STATE_REMOVE, .key = "m"};
    struct state *here = fake.cells[0].state;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, 2 * KIB64);
    map(0, 0, STATE_MAP_LAZY, &guest);
    assert_int_equal(fake_try(&fake, 1, &request), 0);
    assert_int_equal(state_touch(here, guest.mapping.entry, 0, 5), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(state_touch(here, guest.mapping.entry, 0, 5), -ENOENT);
    assert_int_equal(state_touch(here, guest.mapping.entry, 0, 5), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(here->ops.count, 1);
    fake_guest_fini(&guest); /* and with it what nobody asked for */
    assert_int_equal(here->ops.count, 0);
    assert_int_equal(state_touch(here, guest.mapping.entry, 0, 5), -EINVAL);
}

/* ------------------------------------------------------------------------ pull and push */

static void
test_a_pull_brings_what_was_not_written_here(void **state)
{
    struct state_result result;
    struct fake_guest one, other;

    (void)state;
    fake_put(&fake, "m", NULL, 2 * KIB64);
    map(0, 0, STATE_MAP_WRITE, &one);
    map(1, 0, STATE_MAP_WRITE, &other);
    one.bytes[10] = 1;
    one.bytes[11] = 1;
    other.bytes[11] = 2;
    other.bytes[12] = 2;
    assert_int_equal(push(1, &result), 0);
    assert_int_equal(one.bytes[12], 0);
    assert_int_equal(pull(0), 0);
    assert_int_equal(one.bytes[10], 1);
    assert_int_equal(one.bytes[11], 1); /* its own is not overwritten */
    assert_int_equal(one.bytes[12], 2);
    assert_int_equal(push(0, &result), 0);
    assert_memory_equal(global() + 10, "\1\1\2", 3);
    assert_int_equal(pull(1), 0);
    assert_memory_equal(other.bytes + 10, "\1\1\2", 3);
    fake_guest_fini(&one);
    fake_guest_fini(&other);
}

static void
test_get_tells_what_is_global_and_not_what_was_not_pushed(void **state)
{
    struct state_result result;
    struct fake_guest guest;
    uint8_t byte = 9;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[3] = 7;
    assert_int_equal(state_read_current(fake.cells[0].state, "m", 3, &byte, 1), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(state_read_current(fake.cells[0].state, "m", 3, &byte, 1), 0);
    assert_int_equal(byte, 7);
    fake_guest_fini(&guest);
}

/* The base becomes what was sent, not what is there by then. */
static void
test_what_is_written_during_a_push_is_found_by_the_next(void **state)
{
    struct state_request request = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};
    struct state_result result;
    struct fake_guest guest;
    uint64_t op;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[0] = 1;
    assert_int_equal(state_start(fake.cells[0].state, &request, 1, &op, &result), -EAGAIN);
    guest.bytes[0] = 2;
    guest.bytes[5000] = 3;
    fake_run(&fake);
    assert_int_equal(state_finish(fake.cells[0].state, op, &result), 0);
    assert_int_equal(global()[0], 1);
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(global()[0], 2);
    assert_int_equal(global()[5000], 3);
    fake_guest_fini(&guest);
}

/* A pull beside a push would bring back what the push replaces. */
static void
test_a_pull_waits_for_a_push_and_a_push_for_a_pull(void **state)
{
    struct state_request pushing = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};
    struct state_request pulling = {.kind = STATE_PULL, .key = "m"};
    struct state *here = fake.cells[0].state;
    struct state_result result;
    struct fake_guest guest;
    uint64_t ops[3];

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    fake_take(&fake, fake_value(&fake, "m"), 0);
    fake_run(&fake);
    guest.bytes[0] = 1;
    assert_int_equal(state_start(here, &pulling, 1, &ops[0], &result), -EAGAIN);
    assert_int_equal(state_start(here, &pushing, 1, &ops[1], &result), -EAGAIN);
    assert_int_equal(state_start(here, &pulling, 1, &ops[2], &result), -EAGAIN);
    state_forget(here, ops[0]); /* what it asked for comes all the same */
    fake_hear(&fake);
    assert_int_equal(fake.pushes, 0);
    fake_run(&fake);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(state_finish(here, ops[i], &result), 0);
    assert_int_equal(guest.bytes[0], 1);
    assert_int_equal(global()[0], 1);
    assert_int_equal(fake.pulls, 2); /* the last was current by the push */
    fake_guest_fini(&guest);
}

static void
test_a_push_that_is_refused_is_found_again(void **state)
{
    struct state_request request = {.kind = STATE_PUSH, .key = "m", .version = 7};
    struct state_result result;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, 2 * KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[70000] = 1;
    assert_int_equal(fake_do(&fake, 0, &request, &result), -STATE_EREFUSED);
    assert_int_equal(fake.pushes, 0); /* it was current: that is known here */
    fake.fail = -EDQUOT;
    assert_int_equal(push(0, &result), -EDQUOT);
    assert_int_equal(global()[70000], 0);
    request.version = 9;
    assert_int_equal(fake_do(&fake, 0, &request, &result), -STATE_EREFUSED);
    request.version = 1;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(result.version, 2);
    assert_int_equal(global()[70000], 1);
    fake_guest_fini(&guest);
}

static void
test_a_part_is_pushed_and_the_rest_later(void **state)
{
    struct state_request request = {
        .kind = STATE_PUSH, .key = "m", .version = UINT64_MAX, .offset = 100, .count = 50};
    struct state_result result;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[99] = guest.bytes[100] = guest.bytes[149] = guest.bytes[150] = 1;
    assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
    assert_int_equal(global()[99], 0);
    assert_int_equal(global()[100], 1);
    assert_int_equal(global()[149], 1);
    assert_int_equal(global()[150], 0);
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(global()[99], 1);
    assert_int_equal(global()[150], 1);
    fake_guest_fini(&guest);
}

static void
test_a_large_push_goes_in_pieces_and_moves_what_changed(void **state)
{
    const uint64_t size = 64 * KIB64;
    struct state_result result;
    struct fake_guest guest;
    struct fake_value *value;

    (void)state;
    fake_put(&fake, "m", NULL, size);
    map(0, 0, STATE_MAP_WRITE, &guest);
    for (uint64_t i = 0; i < size; i += 1000)
        guest.bytes[i] = (uint8_t)(i / 1000 + 1);
    assert_int_equal(push(0, &result), 0);
    value = fake_value(&fake, "m");
    assert_memory_equal(value->bytes, guest.bytes, size);
    assert_true(fake.pushed_bytes < size / 500);
    for (uint64_t i = 0; i < size; i += 2)
        guest.bytes[i] = (uint8_t)(i * 31 + 1);
    fake.pieces = 0;
    assert_int_equal(push(0, &result), 0);
    assert_memory_equal(value->bytes, guest.bytes, size);
    assert_true(fake.pieces >= 16);
    fake_guest_fini(&guest);
}

static void
test_what_was_not_pushed_survives_unmapping_and_shortness_of_room(void **state)
{
    struct state_request request = {.kind = STATE_GET, .count = 1};
    struct state_result result;
    struct fake_guest guest;
    char key[8];

    (void)state;
    fake_fini(&fake);
    fake_init(&fake, 6 * KIB64);
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[1] = 5;
    fake_guest_fini(&guest);
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        fake_put(&fake, key, NULL, KIB64);
        request.key = key;
        assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
        state_result_fini(&result);
    }
    assert_int_equal(push(0, &result), 0);
    assert_int_equal(global()[1], 5);
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(key, sizeof(key), "l%u", i);
        fake_put(&fake, key, NULL, KIB64);
        request.key = key;
        assert_int_equal(fake_do(&fake, 0, &request, &result), 0);
        state_result_fini(&result);
    }
    assert_null(entry_find(fake.cells[0].state, "m")); /* now it may go */
}

/* Of what the cell has, when it has looked at the time so much later. */
static uint64_t
bytes_after(uint64_t ns)
{
    struct state *here = fake.cells[0].state;
    struct state_usage usage;

    (void)state_tick(here, here->now() + ns);
    state_usage(here, &usage);
    return usage.bytes;
}

static void
test_a_second_copy_goes_when_nobody_maps_and_all_is_pushed(void **state)
{
    const uint64_t size = 32 * KIB64, second = UINT64_C(1000000000);
    struct state_result result;
    struct fake_guest guest;
    uint64_t both;

    (void)state;
    fake_put(&fake, "m", NULL, size);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[7] = 1;
    assert_int_equal(push(0, &result), 0);
    both = bytes_after(2 * second);
    assert_true(both >= 2 * size);
    guest.bytes[8] = 2;
    fake_guest_fini(&guest);
    assert_int_equal(bytes_after(second / 2), both);
    assert_int_equal(bytes_after(2 * second), both); /* not pushed */
    assert_int_equal(push(0, &result), 0);
    map(0, 0, STATE_MAP_WRITE, &guest);
    fake_guest_fini(&guest);
    assert_int_equal(bytes_after(2 * second), both - size);
    map(0, 0, STATE_MAP_WRITE, &guest);
    assert_int_equal(bytes_after(2 * second), both);
    guest.bytes[9] = 3;
    assert_int_equal(push(0, &result), 0);
    assert_memory_equal(global() + 7, "\1\2\3", 3);
    assert_int_equal(fake.pushed_bytes, 3);
    fake_guest_fini(&guest);
}

static void
test_more_than_there_is_room_for_is_refused(void **state)
{
    struct state_mapping mapping;

    (void)state;
    fake_fini(&fake);
    fake_init(&fake, 4 * KIB64);
    fake_put(&fake, "m", NULL, 5 * KIB64);
    assert_int_equal(try_map(0, 0, 0, 0, &mapping), -ENOMEM);
    fake_put(&fake, "m", NULL, 3 * KIB64);
    assert_int_equal(try_map(0, 0, 0, STATE_MAP_WRITE, &mapping), -ENOMEM);
    assert_int_equal(try_map(0, 0, 0, 0, &mapping), 0);
    mem_share_put(mapping.share);
    state_unmap(fake.cells[0].state, mapping.entry, mapping.is_writable);
}

static void
test_others_sets_and_sums_come_into_what_is_mapped(void **state)
{
    struct state_request request = {.kind = STATE_ADD,
                                    .key = "m",
                                    .number = RPC__STATE_NUMBER__STATE_NUMBER_I64,
                                    .operand = 5,
                                    .offset = 8};
    uint8_t *bytes = calloc(1, KIB64);
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, 0, STATE_MAP_WRITE, &guest);
    guest.bytes[0] = 1;
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    assert_int_equal(guest.bytes[8], 5); /* at once: it is this cell's own */
    bytes[0] = bytes[1] = 6;
    request = (struct state_request){.kind = STATE_SET, .key = "m", .bytes = bytes, .count = KIB64};
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    assert_int_equal(guest.bytes[0], 1);
    assert_int_equal(guest.bytes[1], 6);
    assert_int_equal(guest.bytes[8], 0);
    fake_guest_fini(&guest);
    free(bytes);
}

/* ------------------------------------------------------------------------------- faults */

static void
test_every_failure_of_a_mapping_and_a_push_is_told(void **state)
{
    static const char *const points[] = {"state.op",   "state.ask",        "state.entry",
                                         "state.base", "mem.share.create", "mem.share.fill",
                                         "state.push"};

    (void)state;
    for (size_t p = 0; p < ARRAY_COUNT(points); p++)
        for (unsigned n = 1; n < 12; n++) {
            struct state_mapping mapping;
            struct state_result result;
            struct fake_guest guest;
            int err;

            fake_put(&fake, "m", NULL, 3 * KIB64);
            fake_take(&fake, fake_value(&fake, "m"), 0);
            fake_run(&fake);
            fault_arm(points[p], n, -ENOMEM);
            err = try_map(0, 0, 0, STATE_MAP_WRITE, &mapping);
            if (err == 0) {
                fake_guest_init(&fake, 0, &mapping, true, &guest);
                guest.bytes[KIB64] = 1;
                guest.bytes[0] = 1;
                err = push(0, &result);
                assert_int_equal(global()[KIB64], err == 0 ? 1 : 0);
                if (!fault_disarm())
                    n = 12;
                if (err != 0)
                    assert_int_equal(push(0, &result), 0);
                assert_int_equal(global()[KIB64], 1);
                fake_guest_fini(&guest);
            } else {
                assert_int_equal(err, -ENOMEM);
                assert_true(fault_disarm());
            }
            assert_int_equal(fake.cells[0].state->ops.count, 0);
            assert_int_equal(fake.cells[0].state->asks.count, 0);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_what_was_written_under_a_lost_lock_is_taken_back),
    TEST(test_so_it_is_when_the_session_was_lost),
    TEST(test_a_value_is_made_mapped_written_and_pushed),
    TEST(test_calls_of_a_cell_see_the_same_memory),
    TEST(test_what_cannot_be_mapped_is_refused),
    TEST(test_of_two_that_make_it_one_does),
    TEST(test_a_value_of_another_size_is_not_mixed_with_what_is_mapped),
    TEST(test_absent_chunks_come_when_they_are_touched),
    TEST(test_a_touch_of_what_is_not_to_be_had_says_so),
    TEST(test_a_pull_brings_what_was_not_written_here),
    TEST(test_get_tells_what_is_global_and_not_what_was_not_pushed),
    TEST(test_what_is_written_during_a_push_is_found_by_the_next),
    TEST(test_a_pull_waits_for_a_push_and_a_push_for_a_pull),
    TEST(test_a_push_that_is_refused_is_found_again),
    TEST(test_a_part_is_pushed_and_the_rest_later),
    TEST(test_a_large_push_goes_in_pieces_and_moves_what_changed),
    TEST(test_what_was_not_pushed_survives_unmapping_and_shortness_of_room),
    TEST(test_a_second_copy_goes_when_nobody_maps_and_all_is_pushed),
    TEST(test_more_than_there_is_room_for_is_refused),
    TEST(test_others_sets_and_sums_come_into_what_is_mapped),
    TEST(test_every_failure_of_a_mapping_and_a_push_is_told),
};

int
main(void)
{
    return fake_run_both_ways("maps", tests, ARRAY_COUNT(tests));
}
