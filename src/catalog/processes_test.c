/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes that share one catalog in a real Redis, as planners and gateways do. Skipped
 * where there is none.
 */
#include "catalog/catalog.h"
#include "store/store_testing.h"

#define PROCESSES   3u
#define DEPLOYMENTS 25u

static const uint8_t key[CATALOG_KEY_BYTES] = "a key";

static char directory[64], blobs[80], address[80];
static pid_t server;
static struct store_config config = {.records = address, .blobs = blobs};

static int
start_all(void **state)
{
    unsigned port = testing_port();

    (void)state;
    testing_directory(directory);
    server = testing_redis_start(directory, port, NULL);
    (void)snprintf(address, sizeof(address), "redis://127.0.0.1:%u/0", port);
    return 0;
}

static int
stop_all(void **state)
{
    (void)state;
    testing_stop(server);
    testing_remove(directory);
    return 0;
}

struct opened {
    struct store *store;
    struct catalog *catalog;
    struct store_hash blob;
};

/* Each process has blobs of its own: a directory is one process's. */
static void
open_all(struct opened *out, unsigned index)
{
    struct diag diag;

    diag_init(&diag);
    (void)snprintf(blobs, sizeof(blobs), "dir:%s/blobs%u", directory, index);
    if (store_open(&config, &out->store, &diag) != 0 ||
        store_blob_put_bytes(out->store, "module", 6, &out->blob, &diag) != 0 ||
        catalog_open(out->store, key, &out->catalog, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
}

static void
close_all(struct opened *opened)
{
    catalog_close(opened->catalog);
    store_close(opened->store);
}

static int
deploy(struct opened *opened, uint32_t *number, struct diag *diag)
{
    struct catalog_version version = {
        .tenant = "acme", .function = "f", .module = opened->blob, .image = opened->blob};

    return catalog_version_put(opened->catalog, &version, number, diag);
}

/* Writes the numbers that it was given; the status to end with. */
static int
hammer(unsigned index, int out)
{
    struct opened opened;
    struct diag diag;

    diag_init(&diag);
    open_all(&opened, index);
    for (unsigned i = 0; i < DEPLOYMENTS; i++) {
        char name[32];
        uint32_t number;

        (void)snprintf(name, sizeof(name), "V_%u_%u", index, i);
        if (deploy(&opened, &number, &diag) != 0 ||
            catalog_variable_put(opened.catalog, "acme", name, "x", i % 2 == 0, &diag) != 0) {
            (void)fprintf(stderr, "%s\n", diag_text(&diag));
            return 1;
        }
        if (write(out, &number, sizeof(number)) != (ssize_t)sizeof(number))
            return 1;
    }
    close_all(&opened);
    return 0;
}

static bool
count_variable(void *context, const struct catalog_variable *variable)
{
    (void)variable;
    ++*(unsigned *)context;
    return true;
}

static void
test_processes_never_lose_each_others_changes(void **state)
{
    bool seen[PROCESSES * DEPLOYMENTS + 1] = {false};
    struct opened opened;
    unsigned variables = 0;
    pid_t pids[PROCESSES];
    uint32_t number;
    int ends[2], status;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    open_all(&opened, PROCESSES);
    assert_int_equal(
        catalog_tenant_put(opened.catalog, &(struct catalog_tenant){.name = "acme"}, NULL), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(hammer(i, ends[1]));
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    (void)close(ends[1]);
    while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        assert_in_range(number, 1, PROCESSES * DEPLOYMENTS);
        assert_false(seen[number]);
        seen[number] = true;
    }
    for (unsigned i = 1; i <= PROCESSES * DEPLOYMENTS; i++)
        assert_true(seen[i]);
    assert_int_equal(catalog_refresh(opened.catalog, NULL), 0);
    assert_int_equal(
        catalog_variable_list(opened.catalog, "acme", count_variable, &variables, NULL), 0);
    assert_int_equal(variables, PROCESSES * DEPLOYMENTS);
    assert_int_equal(deploy(&opened, &number, NULL), 0);
    assert_int_equal(number, PROCESSES * DEPLOYMENTS + 1);
    (void)close(ends[0]);
    close_all(&opened);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes_never_lose_each_others_changes),
    };

    if (testing_shell("command -v redis-server >/dev/null") != 0) {
        (void)printf("skipped: there is no redis-server\n");
        return TESTING_SKIPPED;
    }
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
