/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier on a directory.
 */
#include "tier/crash_testing.h"
#include "tier/elements_testing.h"
#include "tier/history_testing.h"

static char directory[64], address[80];

static int
start_all(void **state)
{
    (void)state;
    testing_directory(directory);
    (void)snprintf(address, sizeof(address), "dir:%s", directory);
    testing_config.records = address;
    testing_store = testing_open(&testing_config);
    return 0;
}

static int
stop_all(void **state)
{
    (void)state;
    store_close(testing_store);
    testing_remove(directory);
    return 0;
}

static void
test_killed_at_random_a_tier_loses_nothing(void **state)
{
    char own[64], own_address[80];
    struct store_config config = {.records = own_address};

    (void)state;
    testing_directory(own);
    (void)snprintf(own_address, sizeof(own_address), "dir:%s", own);
    crash_rounds(&config, NULL);
    testing_remove(own);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        VALUES_TESTS,
        ELEMENTS_TESTS,
        SESSIONS_TESTS,
        FAILURES_TESTS,
        HISTORY_TESTS,
        CRASH_TESTS,
        cmocka_unit_test(test_killed_at_random_a_tier_loses_nothing),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
