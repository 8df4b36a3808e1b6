/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier on a real Redis, on loopback.
 */
#include "tier/crash_testing.h"
#include "tier/elements_testing.h"
#include "tier/history_testing.h"

static char directory[64], address[80];
static unsigned port;
static pid_t server;

static int
start_all(void **state)
{
    (void)state;
    testing_directory(directory);
    port = testing_port();
    server = testing_redis_start(directory, port, NULL);
    (void)snprintf(address, sizeof(address), "redis://127.0.0.1:%u/3", port);
    testing_config = (struct store_config){.records = address, .is_durable = true};
    testing_store = testing_open(&testing_config);
    return 0;
}

static int
stop_all(void **state)
{
    (void)state;
    store_close(testing_store);
    testing_stop(server);
    testing_remove(directory);
    return 0;
}

/* Redis is killed, too: what it acknowledged is in its file. */
static void
restart(void)
{
    testing_stop(server);
    server = testing_redis_start(directory, port, NULL);
}

static void
test_killed_at_random_tier_and_redis_lose_nothing(void **state)
{
    char own_address[80];
    struct store_config config = {.records = own_address, .is_durable = true};

    (void)state;
    (void)snprintf(own_address, sizeof(own_address), "redis://127.0.0.1:%u/5", port);
    crash_rounds(&config, restart);
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
        cmocka_unit_test(test_killed_at_random_tier_and_redis_lose_nothing),
    };

    if (testing_shell("command -v redis-server >/dev/null") != 0) {
        (void)printf("redis-server is not installed\n");
        return TESTING_SKIPPED;
    }
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
