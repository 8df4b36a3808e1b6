/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "planner/place.h"

#define HOSTS 4u
#define GIB   (UINT64_C(1) << 30)

struct example {
    const char *policy;
    struct place_host hosts[HOSTS];
    struct place_request request;
    int err;
    uint32_t expected[HOSTS];
};

#define HOST(slots_, used_, ...) {.slots = (slots_), .used = (used_), __VA_ARGS__}
#define FREE(slots_, used_)      HOST(slots_, used_, .memory = GIB)

static const struct example examples[] = {
    /* binpack: the host where least room is left; else as few as may be. */
    {"binpack", {FREE(8, 0), FREE(8, 5), FREE(8, 8), FREE(8, 4)}, {.members = 3}, 0, {0, 3, 0, 0}},
    {"binpack", {FREE(8, 0), FREE(8, 5), FREE(8, 8), FREE(8, 4)}, {.members = 4}, 0, {0, 0, 0, 4}},
    {"binpack", {FREE(8, 0), FREE(8, 5), FREE(8, 8), FREE(8, 4)}, {.members = 11}, 0, {8, 0, 0, 3}},
    {"binpack", {FREE(4, 0), FREE(4, 0), FREE(4, 0), FREE(4, 0)}, {.members = 16}, 0, {4, 4, 4, 4}},
    {"binpack", {FREE(4, 0), FREE(4, 0), FREE(4, 0), FREE(4, 1)}, {.members = 16}, -EAGAIN, {0}},
    {"binpack", {FREE(4, 0), FREE(4, 0), FREE(4, 0), FREE(4, 1)}, {.members = 17}, -E2BIG, {0}},
    {"binpack",
     {HOST(8, 0, .memory = GIB, .is_draining = true), FREE(2, 0)},
     {.members = 3},
     -EAGAIN,
     {0}},
    {"binpack",
     {HOST(8, 0, .memory = GIB, .is_draining = true), FREE(2, 0)},
     {.members = 2},
     0,
     {0, 2}},
    /* members of the same application are near each other */
    {"binpack", {FREE(8, 5), HOST(8, 1, .memory = GIB, .peers = 1)}, {.members = 2}, 0, {0, 2}},
    /* memory is a limit as slots are */
    {"binpack", {FREE(8, 0), HOST(8, 0, .memory = 4 * GIB)}, {2, GIB, 0}, 0, {0, 2}},
    {"binpack",
     {HOST(8, 0, .memory = GIB, .memory_used = GIB),
      HOST(8, 0, .memory = 4 * GIB, .memory_used = 3 * GIB)},
     {2, GIB, 0},
     -EAGAIN,
     {0}},
    {"binpack",
     {HOST(8, 0, .memory = GIB, .memory_used = GIB),
      HOST(8, 0, .memory = 4 * GIB, .memory_used = 3 * GIB)},
     {6, GIB, 0},
     -E2BIG,
     {0}},
    /* on at most so many hosts */
    {"binpack", {FREE(2, 0), FREE(2, 0), FREE(3, 0)}, {.members = 5, .hosts_max = 2}, 0, {2, 0, 3}},
    {"binpack", {FREE(2, 0), FREE(2, 0), FREE(3, 0)}, {.members = 6, .hosts_max = 2}, -E2BIG, {0}},
    {"binpack", {FREE(2, 0), FREE(2, 1), FREE(3, 2)}, {.members = 4, .hosts_max = 2}, -EAGAIN, {0}},

    {"spread", {FREE(4, 0), FREE(4, 2), FREE(4, 4), FREE(4, 0)}, {.members = 5}, 0, {3, 0, 0, 2}},
    {"spread", {FREE(2, 0), FREE(8, 0)}, {.members = 5}, 0, {1, 4}},
    {"spread", {FREE(4, 0), FREE(4, 0), FREE(4, 0)}, {.members = 4, .hosts_max = 2}, 0, {2, 2}},
    {"spread", {FREE(1, 0), FREE(1, 0), FREE(9, 3)}, {.members = 6, .hosts_max = 1}, 0, {0, 0, 6}},

    /* compact: busy hosts of one's own, the fullest first; strangers last of all */
    {"compact", {FREE(8, 0), FREE(8, 6), FREE(8, 2)}, {.members = 2}, 0, {0, 2, 0}},
    {"compact", {HOST(8, 6, .memory = GIB, .strangers = 6), FREE(8, 0)}, {.members = 2}, 0, {0, 2}},
    {"compact",
     {HOST(8, 6, .memory = GIB, .strangers = 6), FREE(8, 7), FREE(8, 7)},
     {.members = 3},
     0,
     {1, 1, 1}},

    /* locality: state before warm Faaslets before images, and the gang together */
    {"locality", {FREE(8, 0), HOST(8, 0, .memory = GIB, .warm = 3)}, {.members = 1}, 0, {0, 1}},
    {"locality",
     {HOST(8, 0, .memory = GIB, .state_bytes = GIB), HOST(8, 0, .memory = GIB, .warm = 9)},
     {.members = 1},
     0,
     {1, 0}},
    {"locality",
     {FREE(8, 0), HOST(8, 0, .memory = GIB, .has_image = true)},
     {.members = 1},
     0,
     {0, 1}},
    {"locality", {HOST(2, 0, .memory = GIB, .warm = 9), FREE(8, 0)}, {.members = 4}, 0, {0, 4}},
    {"locality", {FREE(8, 0), HOST(8, 7, .memory = GIB, .peers = 7)}, {.members = 1}, 0, {0, 1}},

    {"spot",
     {HOST(8, 6, .memory = GIB, .is_leaving = true), FREE(8, 0)},
     {.members = 2},
     0,
     {0, 2}},
    {"spot",
     {HOST(8, 6, .memory = GIB, .is_leaving = true), FREE(2, 0)},
     {.members = 3},
     0,
     {1, 2}},
};

static void
test_each_policy_does_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const struct example *example = &examples[i];
        uint32_t members[HOSTS] = {99, 99, 99, 99};
        place_fn place = place_policy(example->policy);

        assert_non_null(place);
        if (place(example->hosts, HOSTS, &example->request, members) != example->err ||
            memcmp(members, example->expected, sizeof(members)) != 0)
            fail_msg("example %zu (%s): %u %u %u %u", i, example->policy, members[0], members[1],
                     members[2], members[3]);
    }
}

static void
random_world(struct place_host *hosts, size_t count, struct place_request *request)
{
    for (size_t i = 0; i < count; i++) {
        hosts[i] = (struct place_host){
            .slots = (uint32_t)random() % 9,
            .memory = (uint64_t)(random() % 9),
            .is_draining = random() % 6 == 0,
            .is_leaving = random() % 4 == 0,
            .warm = (uint32_t)random() % 4,
            .peers = random() % 4 == 0,
            .state_bytes = (uint64_t)random() % 3 << 13,
        };
        hosts[i].used = hosts[i].slots > 0 ? (uint32_t)random() % (hosts[i].slots + 1) : 0;
        hosts[i].memory_used = hosts[i].memory > 0 ? (uint64_t)random() % hosts[i].memory : 0;
        hosts[i].strangers = hosts[i].used > 0 ? (uint32_t)random() % (hosts[i].used + 1) : 0;
    }
    *request = (struct place_request){.members = 1 + (uint32_t)random() % 20,
                                      .memory_each = (uint64_t)random() % 3,
                                      .hosts_max = (uint32_t)random() % 4};
}

static uint32_t
room_of(const struct place_host *host, const struct place_request *request, bool is_empty)
{
    uint32_t slots = host->slots - (is_empty ? 0 : host->used);
    uint64_t memory = host->memory - (is_empty ? 0 : host->memory_used);

    if (host->is_draining && !is_empty)
        return 0;
    if (request->memory_each > 0 && memory / request->memory_each < slots)
        return (uint32_t)(memory / request->memory_each);
    return slots;
}

/* The most members that hosts_max hosts take: all subsets, the slow way. */
static uint32_t
most_members(const struct place_host *hosts, size_t count, const struct place_request *request,
             bool is_empty)
{
    uint32_t most = 0;

    for (uint32_t set = 0; set < 1u << count; set++) {
        uint32_t sum = 0;

        if (request->hosts_max != 0 && (uint32_t)__builtin_popcount(set) > request->hosts_max)
            continue;
        for (size_t i = 0; i < count; i++)
            sum += (set >> i & 1) != 0 ? room_of(&hosts[i], request, is_empty) : 0;
        most = sum > most ? sum : most;
    }
    return most;
}

static void
test_every_policy_places_whole_gangs_where_they_fit_and_only_there(void **state)
{
    struct place_host hosts[7];
    struct place_request request;
    uint32_t members[7], again[7];

    (void)state;
    srandom(7);
    for (unsigned round = 0; round < 4000; round++) {
        size_t count = (size_t)random() % 8;

        random_world(hosts, count, &request);
        for (size_t p = 0; place_policy_name(p) != NULL; p++) {
            place_fn place = place_policy(place_policy_name(p));
            int err = place(hosts, count, &request, members);
            uint32_t sum = 0, used_hosts = 0;

            assert_int_equal(place(hosts, count, &request, again), err);
            assert_memory_equal(members, again, count * sizeof(*members));
            for (size_t i = 0; i < count; i++) {
                assert_true(members[i] <= room_of(&hosts[i], &request, false));
                sum += members[i];
                used_hosts += members[i] > 0;
            }
            assert_int_equal(sum, err == 0 ? request.members : 0);
            assert_true(request.hosts_max == 0 || used_hosts <= request.hosts_max);
            if (most_members(hosts, count, &request, false) >= request.members)
                assert_int_equal(err, 0);
            else if (most_members(hosts, count, &request, true) >= request.members)
                assert_int_equal(err, -EAGAIN);
            else
                assert_int_equal(err, -E2BIG);
        }
    }
}

static void
test_there_is_no_policy_of_another_name(void **state)
{
    (void)state;
    assert_null(place_policy("best"));
    assert_null(place_policy(""));
    assert_string_equal(place_policy_name(0), "binpack");
    assert_null(place_policy_name(5));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_policy_does_what_it_says),
        cmocka_unit_test(test_every_policy_places_whole_gangs_where_they_fit_and_only_there),
        cmocka_unit_test(test_there_is_no_policy_of_another_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
