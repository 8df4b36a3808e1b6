/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier on a directory.
 */
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        VALUES_TESTS,
        SESSIONS_TESTS,
        HISTORY_TESTS,
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
