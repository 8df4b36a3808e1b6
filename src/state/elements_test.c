/* SPDX-License-Identifier: Apache-2.0
 *
 * Elements that are taken whole, elements that are added to, and what lazy mappings forget. All
 * of it in both ways (mem_share_way), where the kernel has both.
 */
#include "base/fault.h"
#include "state/state_testing.h"

#define KIB64   STATE_CHUNK_BYTES
#define SUMS(t) (STATE_MAP_WRITE | STATE_MAP_SUM | STATE_MAP_OF(t))

static struct fake fake;
static uint64_t seed;

static uint64_t
next(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return seed >> 33;
}

FAKE_SETUP_AND_TEARDOWN(fake)

static int
try_map(unsigned cell, uint64_t count, uint32_t flags, struct fake_guest *guest)
{
    struct state_request request = {.key = "m", .count = count};
    struct state_mapping mapping;
    int err = fake_map(&fake, cell, &request, flags, &mapping);

    if (err == 0)
        fake_guest_init(&fake, cell, &mapping, (flags & STATE_MAP_WRITE) != 0, guest);
    return err;
}

static void
map(unsigned cell, uint32_t flags, struct fake_guest *guest)
{
    assert_int_equal(try_map(cell, 0, flags, guest), 0);
}

static int
push_part(unsigned cell, uint64_t offset, uint64_t count)
{
    struct state_request request = {
        .kind = STATE_PUSH, .key = "m", .version = UINT64_MAX, .offset = offset, .count = count};

    return fake_try(&fake, cell, &request);
}

static int
push(unsigned cell)
{
    return push_part(cell, 0, 0);
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

static double
global_number(uint64_t index)
{
    double number;

    (void)memcpy(&number, global() + index * sizeof(number), sizeof(number));
    return number;
}

static double *
numbers(const struct fake_guest *guest)
{
    return (double *)(void *)guest->bytes;
}

/* -------------------------------------------------------------------------- whole elements */

/* Of 2.0 and 1.5 some bytes are the same. */
static void
test_an_element_is_of_one_host(void **state)
{
    const uint32_t flags = STATE_MAP_WRITE | STATE_MAP_OF(ELEMENT_DOUBLE);
    struct fake_guest one, other;
    double first = 0x1.9p0;
    uint64_t word = UINT64_C(0x4000000000000001), found;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    (void)memcpy(fake_value(&fake, "m")->bytes, &first, sizeof(first));
    map(0, flags, &one);
    map(1, flags, &other);
    one.bytes[6] ^= 1;                              /* one byte of the element here */
    (void)memcpy(other.bytes, &word, sizeof(word)); /* all of it there */
    assert_int_equal(push(1), 0);
    assert_int_equal(pull(0), 0);
    (void)memcpy(&found, one.bytes, sizeof(found));
    assert_true(found != word && one.bytes[0] == 0); /* its own, whole */
    assert_int_equal(push(0), 0);
    assert_memory_equal(global(), one.bytes, sizeof(found));
    assert_int_equal(fake.pushed_bytes, 16);
    fake_guest_fini(&one);
    fake_guest_fini(&other);
}

static void
test_some_of_an_element_is_not_pushed(void **state)
{
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64 + 3);
    map(0, STATE_MAP_WRITE | STATE_MAP_OF(ELEMENT_INT64), &guest);
    guest.bytes[8] = guest.bytes[17] = guest.bytes[KIB64 + 2] = 1;
    assert_int_equal(push_part(0, 4, 8), -EINVAL);
    assert_int_equal(push_part(0, 8, 4), -EINVAL);
    assert_int_equal(fake.pushes, 0);
    assert_int_equal(push_part(0, 8, 8), 0);
    assert_int_equal(global()[8], 1);
    assert_int_equal(global()[17], 0);
    assert_int_equal(push_part(0, 16, 0), 0); /* what is no element at the end is its own */
    assert_int_equal(global()[17], 1);
    assert_int_equal(global()[KIB64 + 2], 1);
    assert_int_equal(fake.pushed_bytes, 8 + 8 + 3);
    fake_guest_fini(&guest);
}

static void
test_a_value_is_of_one_kind_while_it_is_mapped_or_unpushed(void **state)
{
    const uint32_t floats = STATE_MAP_WRITE | STATE_MAP_OF(ELEMENT_FLOAT);
    struct fake_guest one, other;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, floats, &one);
    assert_int_equal(try_map(0, 0, STATE_MAP_OF(ELEMENT_DOUBLE), &other), -EINVAL);
    assert_int_equal(try_map(0, 0, SUMS(ELEMENT_FLOAT), &other), -EINVAL);
    map(0, 0, &other); /* none said */
    assert_int_equal(other.mapping.elements, STATE_MAP_OF(ELEMENT_FLOAT));
    fake_guest_fini(&other);
    one.bytes[4] = 1;
    fake_guest_fini(&one);
    assert_int_equal(try_map(0, 0, SUMS(ELEMENT_FLOAT), &other), -EINVAL);
    map(0, 0, &other);
    assert_int_equal(other.mapping.elements, STATE_MAP_OF(ELEMENT_FLOAT));
    fake_guest_fini(&other);
    assert_int_equal(push(0), 0);
    map(0, SUMS(ELEMENT_DOUBLE), &one);
    assert_int_equal(one.mapping.elements, STATE_MAP_SUM | STATE_MAP_OF(ELEMENT_DOUBLE));
    fake_guest_fini(&one);
    map(0, 0, &one);
    assert_int_equal(one.mapping.elements, 0);
    assert_int_equal(try_map(0, 0, floats, &other), -EINVAL);
    fake_guest_fini(&one);
    assert_int_equal(fake.cells[0].state->ops.count, 0);
}

static void
test_flags_that_make_no_sense_are_refused(void **state)
{
    struct fake_guest guest;

    (void)state;
    assert_int_equal(try_map(0, 8, STATE_MAP_CREATE | STATE_MAP_SUM, &guest), -EINVAL);
    assert_int_equal(try_map(0, 8, STATE_MAP_CREATE | STATE_MAP_OF(5), &guest), -EINVAL);
    assert_int_equal(try_map(0, 12, STATE_MAP_CREATE | SUMS(ELEMENT_DOUBLE), &guest), -EMSGSIZE);
    assert_int_equal(fake.pushes, 0);
    fake_put(&fake, "m", NULL, 12);
    assert_int_equal(try_map(0, 0, SUMS(ELEMENT_DOUBLE), &guest), -EMSGSIZE);
    map(0, SUMS(ELEMENT_FLOAT), &guest);
    fake_guest_fini(&guest);
}

static void
test_who_is_thawed_has_the_same_elements(void **state)
{
    struct state_mapping mapping;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, SUMS(ELEMENT_DOUBLE), &guest);
    assert_int_equal(state_map_again(fake.cells[1].state, "m", KIB64,
                                     STATE_MAP_WRITE | guest.mapping.elements, &mapping),
                     0);
    assert_int_equal(mapping.elements, guest.mapping.elements);
    mem_share_put(mapping.share);
    assert_int_equal(
        state_map_again(fake.cells[1].state, "m", KIB64, STATE_MAP_OF(ELEMENT_FLOAT), &mapping),
        -EINVAL);
    state_unmap(fake.cells[1].state, mapping.entry, mapping.is_writable);
    fake_guest_fini(&guest);
}

/* ----------------------------------------------------------------------------------- sums */

static void
test_what_two_hosts_add_is_added_up(void **state)
{
    struct fake_guest one, other;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, SUMS(ELEMENT_DOUBLE), &one);
    map(1, SUMS(ELEMENT_DOUBLE), &other);
    numbers(&one)[3] += 1;
    numbers(&other)[3] += 2;
    numbers(&other)[4] += 5;
    assert_int_equal(push(0), 0);
    assert_int_equal(push(1), 0);
    assert_true(global_number(3) == 3 && global_number(4) == 5);
    numbers(&one)[3] += 10;
    assert_int_equal(pull(0), 0);
    assert_true(numbers(&one)[3] == 13 && numbers(&one)[4] == 5);
    assert_true(global_number(3) == 3);
    assert_int_equal(push(0), 0);
    assert_int_equal(pull(1), 0);
    assert_true(numbers(&other)[3] == 13);
    fake.pushes = 0;
    assert_int_equal(push(0), 0);
    assert_int_equal(push(1), 0);
    assert_int_equal(fake.pushes, 0); /* nothing is left */
    fake_guest_fini(&one);
    fake_guest_fini(&other);
}

/* Numbers of which base + (now - base) is rounded to another than now. */
static void
find_rounded(double *base, double *now)
{
    for (unsigned i = 0; i < 1000000; i++) {
        *base = (double)next() / 7e3;
        *now = -(double)next() / 3e7;
        if (*base + (*now - *base) != *now)
            return;
    }
    fail_msg("there are none");
}

/* What was pushed by one host alone is current there, also where adding has rounded it. */
static void
test_who_adds_alone_has_what_the_tier_has(void **state)
{
    struct fake_guest guest;
    double base, now, found = 0;

    (void)state;
    find_rounded(&base, &now);
    fake_put(&fake, "m", NULL, KIB64);
    (void)memcpy(fake_value(&fake, "m")->bytes, &base, sizeof(base));
    map(0, SUMS(ELEMENT_DOUBLE), &guest);
    assert_true(numbers(&guest)[0] == base);
    numbers(&guest)[0] = now;
    assert_int_equal(push(0), 0);
    fake.pulls = 0;
    assert_int_equal(pull(0), 0);
    assert_int_equal(state_read_current(fake.cells[0].state, "m", 0, &found, sizeof(found)), 0);
    assert_int_equal(fake.pulls, 0);
    assert_true(global_number(0) != now);
    assert_true(found == global_number(0) && numbers(&guest)[0] == found);
    fake_guest_fini(&guest);
}

#define ELEMENTS 600u

static void
sync_all(struct fake_guest guests[FAKE_CELLS])
{
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        assert_int_equal(push(i), 0);
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        assert_int_equal(pull(i), 0);
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        assert_memory_equal(guests[i].bytes, global(), fake_value(&fake, "m")->size);
}

/* Whoever adds, pushes and pulls when: in the end all have the same, to the bit. */
static void
test_hosts_that_add_at_random_end_with_the_same_numbers(void **state)
{
    struct fake_guest guests[FAKE_CELLS];
    double wanted[ELEMENTS] = {0};

    (void)state;
    fake_put(&fake, "m", NULL, 3 * KIB64);
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        map(i, SUMS(ELEMENT_DOUBLE), &guests[i]);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned cell = (unsigned)(next() % FAKE_CELLS), element = (unsigned)(next() % ELEMENTS);
        uint64_t place = element * 3 * KIB64 / 8 / ELEMENTS;
        double value = ((double)(next() % 2000) - 1000) / 7;

        numbers(&guests[cell])[place] += value;
        wanted[element] += value;
        if (next() % 20 == 0)
            assert_int_equal(push(cell), 0);
        if (next() % 20 == 0)
            assert_int_equal(pull(cell), 0);
    }
    sync_all(guests);
    for (unsigned i = 0; i < ELEMENTS; i++) {
        double off = global_number(i * 3 * KIB64 / 8 / ELEMENTS) - wanted[i];

        assert_true(off < 1e-9 && off > -1e-9);
    }
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        fake_guest_fini(&guests[i]);
}

static void
test_integers_are_added_exactly_also_in_many_pieces(void **state)
{
    const uint64_t size = 20 * KIB64, count = size / sizeof(uint32_t);
    struct fake_guest guests[FAKE_CELLS];

    (void)state;
    fake_put(&fake, "m", NULL, size);
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        map(i, SUMS(ELEMENT_INT32), &guests[i]);
    for (uint64_t i = 0; i < count; i++) {
        ((uint32_t *)(void *)guests[0].bytes)[i] += UINT32_MAX - (uint32_t)i;
        if (i % 3 == 0)
            ((uint32_t *)(void *)guests[1].bytes)[i] += 5;
    }
    sync_all(guests);
    assert_true(fake.pieces > 2 * size / FAKE_PIECE / 2);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(((const uint32_t *)(const void *)guests[1].bytes)[i],
                         UINT32_MAX - (uint32_t)i + (i % 3 == 0 ? 5u : 0u));
    for (unsigned i = 0; i < FAKE_CELLS; i++)
        fake_guest_fini(&guests[i]);
}

/* It has happened once or not at all; it is not done again, and the next pull tells. */
static void
test_an_unanswered_addition_is_not_added_twice(void **state)
{
    struct state_request request = {.kind = STATE_PUSH, .key = "m", .version = UINT64_MAX};
    struct state *here = fake.cells[0].state;
    struct state_result result;
    struct fake_guest guest;

    (void)state;
    for (unsigned has_happened = 0; has_happened < 2; has_happened++) {
        double wanted = has_happened ? 7 : 0;
        uint64_t op;

        fake_put(&fake, "m", NULL, KIB64);
        fake_take(&fake, fake_value(&fake, "m"), 0);
        fake_run(&fake);
        map(0, SUMS(ELEMENT_DOUBLE), &guest);
        numbers(&guest)[9] += 7;
        assert_int_equal(state_start(here, &request, 1, &op, &result), -EAGAIN);
        numbers(&guest)[9] += 0.5; /* after it was found */
        if (has_happened)
            fake_hear(&fake);
        fake_break(&fake, &fake.cells[0]);
        assert_int_equal(state_finish(here, op, &result), -EIO);
        fake_welcome(&fake.cells[0]);
        fake_run(&fake);
        assert_true(global_number(9) == wanted);
        assert_int_equal(pull(0), 0);
        assert_true(numbers(&guest)[9] == wanted + 0.5);
        assert_int_equal(push(0), 0);
        assert_true(global_number(9) == wanted + 0.5);
        fake_guest_fini(&guest);
    }
}

/* Of a push under a lock that is lost with the connection nobody knows either. */
static void
test_an_unanswered_addition_under_a_lock_is_not_added_twice(void **state)
{
    struct state_request lock = {
        .kind = STATE_LOCK, .key = "m", .is_write = true, .wait_ns = UINT64_MAX, .owner = 3};
    struct state_request request = {
        .kind = STATE_PUSH, .key = "m", .version = UINT64_MAX, .owner = 3};
    struct state *here = fake.cells[0].state;
    struct state_result result;
    struct fake_guest guest;
    uint64_t op;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, SUMS(ELEMENT_DOUBLE), &guest);
    assert_int_equal(fake_try(&fake, 0, &lock), 0);
    numbers(&guest)[1] = 3;
    assert_int_equal(state_start(here, &request, 1, &op, &result), -EAGAIN);
    fake_hear(&fake);
    assert_true(global_number(1) == 3);
    fake_break(&fake, &fake.cells[0]);
    assert_int_equal(state_finish(here, op, &result), -EIO);
    state_call_over(here, 3);
    fake_welcome(&fake.cells[0]);
    fake_run(&fake);
    assert_int_equal(push(0), 0);
    assert_int_equal(pull(0), 0);
    assert_true(global_number(1) == 3 && numbers(&guest)[1] == 3);
    fake_guest_fini(&guest);
}

static void
test_an_addition_that_was_never_said_is_not_forgotten(void **state)
{
    struct state *here = fake.cells[0].state;
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, SUMS(ELEMENT_INT64), &guest);
    guest.bytes[0] = 1;
    fake.fail = -EDQUOT;
    assert_int_equal(push(0), -EDQUOT); /* nothing has happened */
    assert_int_equal(global()[0], 0);
    fault_arm("state.push", 2, -ENOMEM); /* of the second copy */
    assert_int_equal(push(0), -ENOMEM);
    assert_int_equal(push(0), 0);
    assert_int_equal(global()[0], 1);
    assert_int_equal(here->ops.count, 0);
    fake.fail = -EIO; /* the store: it may have happened */
    guest.bytes[0] = 3;
    assert_int_equal(push(0), -EIO);
    assert_int_equal(pull(0), 0);
    assert_int_equal(guest.bytes[0], 1);
    fake_guest_fini(&guest);
}

static void
test_a_condition_and_a_part_of_what_was_added(void **state)
{
    struct state_request request = {.kind = STATE_PUSH, .key = "m", .version = 5};
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, KIB64);
    map(0, SUMS(ELEMENT_DOUBLE), &guest);
    numbers(&guest)[0] = numbers(&guest)[1] = 4;
    assert_int_equal(fake_try(&fake, 0, &request), -STATE_EREFUSED);
    assert_int_equal(push_part(0, 4, 8), -EINVAL);
    assert_int_equal(push_part(0, 8, 8), 0);
    assert_true(global_number(0) == 0 && global_number(1) == 4);
    request.version = fake_value(&fake, "m")->version;
    assert_int_equal(fake_try(&fake, 0, &request), 0);
    assert_true(global_number(0) == 4 && global_number(1) == 4);
    fake_guest_fini(&guest);
}

/* state_add and state_set of the same key, at offsets that are none of an element's too. */
static void
test_sums_and_sets_of_the_value_come_into_what_is_added_to(void **state)
{
    struct state_request adding = {.kind = STATE_ADD,
                                   .key = "m",
                                   .number = RPC__STATE_NUMBER__STATE_NUMBER_I64,
                                   .operand = 5,
                                   .offset = 8};
    uint8_t bytes[32] = {9};
    struct state_request setting = {
        .kind = STATE_SET, .key = "m", .bytes = bytes, .count = sizeof(bytes)};
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, sizeof(bytes));
    map(0, SUMS(ELEMENT_INT64), &guest);
    guest.bytes[8] = 100;
    assert_int_equal(fake_try(&fake, 0, &adding), 0);
    assert_int_equal(guest.bytes[8], 105);
    adding.offset = 18;
    assert_int_equal(fake_try(&fake, 0, &adding), 0);
    assert_int_equal(pull(0), 0);
    assert_int_equal(guest.bytes[18], 5);
    assert_int_equal(fake_try(&fake, 0, &setting), 0);
    assert_int_equal(guest.bytes[0], 9);
    assert_int_equal(guest.bytes[8], 100); /* not pushed */
    assert_int_equal(push(0), 0);
    assert_int_equal(global()[8], 100);
    fake_guest_fini(&guest);
}

/* ------------------------------------------------------------------------------------ lazy */

static uint64_t
absent(const struct fake_guest *guest)
{
    return mem_share_absent(guest->mapping.share, 0, mem_share_size(guest->mapping.share));
}

static void
touch(const struct fake_guest *guest, uint64_t offset)
{
    assert_int_equal(state_touch(guest->state, guest->mapping.entry, offset, 5), -EAGAIN);
    fake_run(&fake);
    assert_int_equal(state_touch(guest->state, guest->mapping.entry, offset, 5), 0);
}

/* As another host has it. */
static void
change(uint8_t value)
{
    struct fake_guest other;

    map(1, STATE_MAP_WRITE, &other);
    assert_int_equal(pull(1), 0);
    other.bytes[5] = other.bytes[KIB64 + 5] = value;
    assert_int_equal(push(1), 0);
    fake_guest_fini(&other);
}

static void
test_a_lazy_mapping_shows_nothing_old(void **state)
{
    struct fake_guest guest;

    (void)state;
    fake_put(&fake, "m", NULL, 2 * KIB64);
    for (uint8_t round = 1; round <= 3; round++) {
        map(0, round % 2 == 0 ? STATE_MAP_WRITE : 0, &guest); /* has all of it */
        fake_guest_fini(&guest);
        change(round);
        map(0, STATE_MAP_LAZY | (round == 3 ? 0 : STATE_MAP_WRITE), &guest);
        assert_int_equal(absent(&guest), 0);
        touch(&guest, 5);
        assert_int_equal(guest.bytes[5], round);
        assert_int_equal(absent(&guest), KIB64);
        fake_guest_fini(&guest);
        fake.pulls = 0;
        map(0, STATE_MAP_LAZY, &guest); /* what is current stays */
        assert_int_equal(absent(&guest), KIB64);
        assert_int_equal(fake.pulls, 0);
        fake_guest_fini(&guest);
    }
}

static void
test_a_lazy_mapping_shows_nothing_of_what_was_removed(void **state)
{
    struct state_request request = {.kind = STATE_REMOVE, .key = "m"};
    struct fake_guest guest, other;

    (void)state;
    assert_int_equal(try_map(0, 2 * KIB64, STATE_MAP_WRITE | STATE_MAP_CREATE, &guest), 0);
    guest.bytes[5] = 1;
    assert_int_equal(push(0), 0);
    fake_guest_fini(&guest);
    assert_int_equal(fake_try(&fake, 1, &request), 0);
    assert_int_equal(try_map(1, 2 * KIB64, STATE_MAP_WRITE | STATE_MAP_CREATE, &other), 0);
    map(0, STATE_MAP_LAZY, &guest);
    assert_int_equal(absent(&guest), 0);
    touch(&guest, 5);
    assert_int_equal(guest.bytes[5], 0);
    fake_guest_fini(&guest);
    fake_guest_fini(&other);
}

static void
test_what_is_mapped_or_not_pushed_is_kept_by_a_lazy_mapping(void **state)
{
    struct fake_guest guest, lazy;

    (void)state;
    fake_put(&fake, "m", NULL, 2 * KIB64);
    map(0, STATE_MAP_WRITE, &guest);
    change(1);
    map(0, STATE_MAP_LAZY, &lazy);
    assert_int_equal(absent(&lazy), UINT64_MAX);
    assert_int_equal(lazy.bytes[5], 0);
    assert_int_equal(pull(0), 0);
    assert_int_equal(lazy.bytes[5], 1);
    fake_guest_fini(&lazy);
    guest.bytes[9] = 9;
    fake_guest_fini(&guest);
    change(2);
    map(0, STATE_MAP_LAZY, &lazy);
    assert_int_equal(lazy.bytes[9], 9);
    assert_int_equal(pull(0), 0);
    assert_int_equal(lazy.bytes[5], 2);
    assert_int_equal(lazy.bytes[9], 9);
    fake_guest_fini(&lazy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_an_element_is_of_one_host),
    TEST(test_some_of_an_element_is_not_pushed),
    TEST(test_a_value_is_of_one_kind_while_it_is_mapped_or_unpushed),
    TEST(test_flags_that_make_no_sense_are_refused),
    TEST(test_who_is_thawed_has_the_same_elements),
    TEST(test_what_two_hosts_add_is_added_up),
    TEST(test_who_adds_alone_has_what_the_tier_has),
    TEST(test_hosts_that_add_at_random_end_with_the_same_numbers),
    TEST(test_integers_are_added_exactly_also_in_many_pieces),
    TEST(test_an_unanswered_addition_is_not_added_twice),
    TEST(test_an_unanswered_addition_under_a_lock_is_not_added_twice),
    TEST(test_an_addition_that_was_never_said_is_not_forgotten),
    TEST(test_a_condition_and_a_part_of_what_was_added),
    TEST(test_sums_and_sets_of_the_value_come_into_what_is_added_to),
    TEST(test_a_lazy_mapping_shows_nothing_old),
    TEST(test_a_lazy_mapping_shows_nothing_of_what_was_removed),
    TEST(test_what_is_mapped_or_not_pushed_is_kept_by_a_lazy_mapping),
};

int
main(void)
{
    return fake_run_both_ways("elements", tests, ARRAY_COUNT(tests));
}
