/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in a real Redis, on loopback.
 */
#include "store/crash_testing.h"
#include "store/records_testing.h"

static char directory[64], address[80];
static unsigned port;
static pid_t server;
static struct store_config config = {.is_durable = true};

static int
start_all(void **state)
{
    (void)state;
    testing_directory(directory);
    port = testing_port();
    server = testing_redis_start(directory, port, NULL);
    (void)snprintf(address, sizeof(address), "redis://127.0.0.1:%u/3", port);
    config.records = address;
    testing_store = testing_open(&config);
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

/* A server of the test's own. */
struct own_redis {
    char directory[64], address[128];
    unsigned port;
    pid_t pid;
};

static void
own_start(struct own_redis *own, const char *before_host, const char *const *more)
{
    testing_directory(own->directory);
    own->port = testing_port();
    own->pid = testing_redis_start(own->directory, own->port, more);
    (void)snprintf(own->address, sizeof(own->address), "redis://%s127.0.0.1:%u/0", before_host,
                   own->port);
}

static void
own_stop(struct own_redis *own)
{
    testing_stop(own->pid);
    testing_remove(own->directory);
}

static void
test_databases_are_apart_and_all_is_there_when_opened_again(void **state)
{
    char other_address[80];
    struct store_config other_config = config;
    struct store *other, *again;

    (void)state;
    (void)snprintf(other_address, sizeof(other_address), "redis://127.0.0.1:%u/4", port);
    other_config.records = other_address;
    other = testing_open(&other_config);
    (void)testing_commit(testing_store, testing_put("apart", "key", "1"));
    testing_expect(other, "apart", "key", NULL);
    store_close(other);
    again = testing_open(&config);
    testing_expect(again, "apart", "key", "1");
    store_close(again);
}

static void
test_a_password_is_needed_and_never_repeated(void **state)
{
    static const char *const more[] = {"--requirepass", "s3cret@x", NULL};
    struct own_redis own;
    struct store_config own_config = config;
    struct store *store;
    struct diag diag;

    (void)state;
    own_start(&own, ":s3cret%40x@", more);
    own_config.records = own.address;
    store = testing_open(&own_config);
    (void)testing_commit(store, testing_put("table", "key", "1"));
    store_close(store);
    (void)snprintf(own.address, sizeof(own.address), "redis://127.0.0.1:%u/0", own.port);
    testing_open_fails(&own_config, -EACCES, "password");
    (void)snprintf(own.address, sizeof(own.address), "redis://:wr0ng@127.0.0.1:%u/0", own.port);
    testing_open_fails(&own_config, -EACCES, "password");
    diag_init(&diag);
    assert_int_equal(store_open(&own_config, &store, &diag), -EACCES);
    assert_null(strstr(diag_text(&diag), "wr0ng"));
    own_stop(&own);
    (void)snprintf(own.address, sizeof(own.address), "redis://:needless@127.0.0.1:%u/0", port);
    testing_open_fails(&own_config, -EACCES, "no password");
    (void)snprintf(own.address, sizeof(own.address), "redis://127.0.0.1:%u/999", port);
    testing_open_fails(&own_config, -EINVAL, "fewer databases");
}

static void
test_a_server_that_forgets_is_refused_where_durable(void **state)
{
    static const char *const weak[][4] = {
        {"--appendonly", "no", NULL},
        {"--appendfsync", "everysec", NULL},
        {"--no-appendfsync-on-rewrite", "yes", NULL},
        {"--maxmemory-policy", "allkeys-lru", NULL},
        {"--rename-command", "CONFIG", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(weak); i++) {
        struct store_config own_config = config;
        struct own_redis own;
        struct store *store;

        own_start(&own, "", weak[i]);
        own_config.records = own.address;
        testing_open_fails(&own_config, -ENOTSUP, "appendfsync always");
        own_config.is_durable = false;
        store = testing_open(&own_config);
        (void)testing_commit(store, testing_put("table", "key", "1"));
        store_close(store);
        own_stop(&own);
    }
}

static void
test_nobody_there_is_said_when_patience_is_over(void **state)
{
    struct store_config own_config = config;
    char nowhere[80];

    (void)state;
    (void)snprintf(nowhere, sizeof(nowhere), "redis://127.0.0.1:%u/0", testing_port());
    own_config.records = nowhere;
    own_config.patience_ns = 200000000;
    testing_open_fails(&own_config, -ETIMEDOUT, "refused");
    own_config.records = "redis://no-such-host.invalid:1/0";
    testing_open_fails(&own_config, -ETIMEDOUT, "no-such-host.invalid");
}

/* Listens and never answers. */
static void
test_a_server_that_does_not_answer_is_given_up(void **state)
{
    struct sockaddr_in silent = {.sin_family = AF_INET,
                                 .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(silent);
    struct store_config own_config = config;
    char silent_address[80];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&silent, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&silent, &size), 0);
    (void)snprintf(silent_address, sizeof(silent_address), "redis://127.0.0.1:%u/0",
                   ntohs(silent.sin_port));
    own_config.records = silent_address;
    own_config.patience_ns = 500000000;
    testing_open_fails(&own_config, -ETIMEDOUT, "attempts");
    (void)close(fd);
}

static void
test_what_others_wrote_is_not_taken_for_a_record(void **state)
{
    const struct store_key key = testing_key("foreign", "key");
    struct store_change change = testing_put("foreign", "key", "1");
    struct store_range range = {.table = "foreign"};
    struct buffer value = {0};
    char command[200];
    uint64_t version;
    unsigned count = 0;

    (void)state;
    (void)snprintf(command, sizeof(command),
                   "redis-cli -p %u -n 3 hset 'weft:{foreign}' key short >/dev/null; "
                   "redis-cli -p %u -n 3 zadd 'weft:{foreign}:keys' 0 key >/dev/null",
                   port, port);
    assert_int_equal(testing_shell(command), 0);
    assert_int_equal(store_get(testing_store, &key, &value, &version, NULL), -EBADMSG);
    assert_int_equal(store_list(testing_store, &range, count_records, &count, NULL), -EBADMSG);
    /* The wrong kind of key is found before the first write. */
    (void)snprintf(command, sizeof(command),
                   "redis-cli -p %u -n 3 del 'weft:{foreign}:keys' >/dev/null; "
                   "redis-cli -p %u -n 3 set 'weft:{foreign}:keys' text >/dev/null",
                   port, port);
    assert_int_equal(testing_shell(command), 0);
    assert_int_equal(store_commit(testing_store, &change, 1, &version, NULL, NULL), -EIO);
    assert_int_equal(store_get(testing_store, &key, &value, &version, NULL), -EBADMSG);
    buffer_fini(&value);
}

/* ------------------------------------------------------------------- connections that break */

static void
test_a_commit_whose_answer_was_lost_happens_once(void **state)
{
    struct store_config own_config = config;
    struct testing_proxy proxy;
    char through[80];
    struct store *store;

    (void)state;
    testing_proxy_start(&proxy, port);
    (void)snprintf(through, sizeof(through), "redis://127.0.0.1:%u/5", proxy.port);
    own_config.records = through;
    store = testing_open(&own_config);
    atomic_store(&proxy.cut_one_of, 25);
    bank_run(store);
    assert_true(atomic_load(&proxy.cuts) > 20);
    atomic_store(&proxy.cut_one_of, 0);
    store_close(store);
    testing_proxy_stop(&proxy);
}

/* The first answer is cut for certain: the condition holds once only. */
static void
test_an_answer_cut_for_certain(void **state)
{
    struct store_change change = testing_put("certain", "key", "1");
    struct store_config own_config = config;
    struct testing_proxy proxy;
    char through[80];
    struct store *store;
    uint64_t version, found;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    testing_proxy_start(&proxy, port);
    (void)snprintf(through, sizeof(through), "redis://127.0.0.1:%u/3", proxy.port);
    own_config.records = through;
    own_config.patience_ns = 300000000;
    store = testing_open(&own_config);
    change.condition = STORE_ABSENT;
    atomic_store(&proxy.cut_one_of, 1);
    assert_int_equal(store_commit(store, &change, 1, &version, NULL, &diag), -ETIMEDOUT);
    assert_non_null(strstr(diag_text(&diag), "attempts"));
    assert_int_equal(testing_number(testing_store, "certain", "key", &found), 1);
    atomic_store(&proxy.cut_one_of, 0);
    assert_int_equal(store_commit(store, &change, 1, &version, NULL, NULL), -EAGAIN);
    store_close(store);
    testing_proxy_stop(&proxy);
}

static void
test_a_lost_connection_is_made_anew(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        uint64_t version;

        fault_arm("store.redis.run", nth, -EIO);
        (void)testing_commit(testing_store, testing_put("anew", "key", "1"));
        assert_int_equal(testing_number(testing_store, "anew", "key", &version), 1);
        (void)testing_commit(testing_store, testing_put("anew", "key", "2"));
        assert_true(fault_disarm());
    }
}

/* A late copy of a commit that was given up: the slot has gone on. */
static void
test_a_commit_that_arrives_late_does_nothing(void **state)
{
    static const char fetch[] =
        "redis-cli -p %u -n 3 --raw keys 'weft:done:*' | while read -r k; do "
        "redis-cli -p %u -n 3 set \"$k\" '99999999 7' >/dev/null; done";
    struct store_change change = testing_put("late", "key", "1");
    struct store *store = testing_open(&config);
    char command[300];
    uint64_t version;

    (void)state;
    (void)testing_commit(store, testing_put("late", "other", "1"));
    (void)snprintf(command, sizeof(command), fetch, port, port);
    assert_int_equal(testing_shell(command), 0);
    assert_int_equal(store_commit(store, &change, 1, &version, NULL, NULL), -EIO);
    testing_expect(store, "late", "key", NULL);
    store_close(store);
}

/* ----------------------------------------------------------------------------- crashes */

static void
test_killed_at_random_a_client_leaves_nothing_half(void **state)
{
    uint64_t first = 1;

    (void)state;
    for (int round = 0; round < 5; round++) {
        uint64_t committed[CRASH_THREADS] = {0}, put[CRASH_THREADS] = {0};

        crash_once(&config, first, 1 + testing_random() % 500, committed, put);
        crash_check_records(testing_store, committed);
        first += 1000000;
    }
}

struct killer {
    struct own_redis *own;
    atomic_uint kills;
    atomic_bool is_over;
};

/* The server goes when the thread that started it does: so this one stays. */
static void *
killer_run(void *context)
{
    struct killer *killer = context;

    while (atomic_load(&killer->kills) < 3) {
        (void)usleep((useconds_t)(20000 + testing_random() % 100000));
        testing_stop(killer->own->pid);
        killer->own->pid = testing_redis_start(killer->own->directory, killer->own->port, NULL);
        atomic_fetch_add(&killer->kills, 1);
    }
    while (!atomic_load(&killer->is_over))
        (void)usleep(1000);
    return NULL;
}

/* Nobody sees an error, and all that was answered is there, once. */
static void
test_redis_is_killed_and_started_under_load(void **state)
{
    struct store_config own_config = config;
    struct own_redis own;
    struct killer killer = {.own = &own};
    struct store *store;
    pthread_t thread;

    (void)state;
    own_start(&own, "", NULL);
    own_config.records = own.address;
    own_config.patience_ns = UINT64_C(60) * CLOCK_NS_PER_SECOND;
    store = testing_open(&own_config);
    assert_int_equal(pthread_create(&thread, NULL, killer_run, &killer), 0);
    do
        bank_run(store);
    while (atomic_load(&killer.kills) < 3);
    assert_int_equal(bank_sum(store), ACCOUNTS * BALANCE);
    store_close(store);
    atomic_store(&killer.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    own_stop(&own);
}

/* Memory that is used up is said, and nothing is written. */
static void
test_a_full_server_is_said(void **state)
{
    static const char *const more[] = {"--maxmemory", "3mb", NULL};
    static uint8_t big[1000000];
    struct store_change last = {.key = testing_key("full", "last")};
    struct store_config own_config = config;
    struct own_redis own;
    struct store *store;
    int err = 0;

    (void)state;
    own_start(&own, "", more);
    own_config.records = own.address;
    store = testing_open(&own_config);
    for (unsigned i = 0; i < 1000 && err == 0; i++) {
        static uint8_t value[100000];
        char key[16];
        struct store_change change = {.value = value, .count = sizeof(value)};

        (void)snprintf(key, sizeof(key), "%u", i);
        change.key = testing_key("full", key);
        err = store_commit(store, &change, 1, NULL, NULL, NULL);
    }
    assert_int_equal(err, -ENOSPC);
    testing_expect(store, "full", "none", NULL);
    /* Where an answer was lost before, it may have been done. */
    fault_arm("store.redis.run", 1, -EIO);
    last.value = big;
    last.count = sizeof(big);
    assert_int_equal(store_commit(store, &last, 1, NULL, NULL, NULL), -EIO);
    assert_true(fault_disarm());
    store_close(store);
    own_stop(&own);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDS_TESTS,
        cmocka_unit_test(test_databases_are_apart_and_all_is_there_when_opened_again),
        cmocka_unit_test(test_a_password_is_needed_and_never_repeated),
        cmocka_unit_test(test_a_server_that_forgets_is_refused_where_durable),
        cmocka_unit_test(test_nobody_there_is_said_when_patience_is_over),
        cmocka_unit_test(test_a_server_that_does_not_answer_is_given_up),
        cmocka_unit_test(test_what_others_wrote_is_not_taken_for_a_record),
        cmocka_unit_test(test_a_commit_whose_answer_was_lost_happens_once),
        cmocka_unit_test(test_an_answer_cut_for_certain),
        cmocka_unit_test(test_a_lost_connection_is_made_anew),
        cmocka_unit_test(test_a_commit_that_arrives_late_does_nothing),
        cmocka_unit_test(test_killed_at_random_a_client_leaves_nothing_half),
        cmocka_unit_test(test_redis_is_killed_and_started_under_load),
        cmocka_unit_test(test_a_full_server_is_said),
    };

    if (testing_shell("command -v redis-server >/dev/null") != 0) {
        (void)printf("redis-server is not installed\n");
        return TESTING_SKIPPED;
    }
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
