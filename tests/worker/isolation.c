/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants of one worker, from end to end: the processor is shared as their limits say,
 * measured in guest work done; a process in the place of a cell sees nothing of the
 * host and of other tenants; and no call of a guest finds anything of another, for
 * longer than the test of guests takes.
 */
#include "../testing.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>

#include "../worker/guests.h"
#include "worker/worker_testing.h"

#define TOLERANCE   0.10
#define SETTLE_NS   500000000u
#define MEASURE_NS  4000000000u
#define TRIES       3
#define AT_ONCE     8u
#define COUNT       1000000u
#define CHECK_NS    10000000000u
#define CHECKS      16u
#define CHECK_SLOTS 3u

static int image_fd, large_image_fd;

static void
need(uint32_t features)
{
    if ((jail_features() & features) == features)
        return;
    print_message("skipped: this machine or user lacks what the test is about\n");
    skip();
}

static struct worker_function *
add_guest(struct worker_tenant *tenant)
{
    const struct worker_function_config config = {.image_fd = image_fd, .proto_fd = -1};

    return testing_function_with(tenant, &config);
}

static void
sleep_ns(uint64_t ns)
{
    uint64_t end_ns = clock_now_ns() + ns;

    while (clock_now_ns() < end_ns)
        (void)usleep(10000);
}

/* ------------------------------------------------------------------------ the processor */

struct load {
    struct worker_function *function;
    _Atomic uint64_t done; /* calls */
    atomic_bool is_over;
    atomic_uint left;
};

static void load_call(struct load *load);

static void
load_on_end(void *context, const struct worker_end *end)
{
    struct load *load = context;

    if (end->kind == WORKER_DONE && !atomic_load(&load->is_over)) {
        (void)atomic_fetch_add(&load->done, 1);
        load_call(load);
    } else {
        (void)atomic_fetch_sub(&load->left, 1);
    }
}

static void
load_call(struct load *load)
{
    static const uint64_t count = COUNT;
    const struct worker_call call = {.entry = "count",
                                     .values = &count,
                                     .value_count = 1,
                                     .result_slots = 1,
                                     .on_end = load_on_end,
                                     .context = load};
    uint64_t id;

    assert_int_equal(worker_call(load->function, &call, &id), 0);
}

static void
load_start(struct load *load, struct worker *worker, const char *name, uint32_t share)
{
    const struct worker_tenant_config config = {.name = name, .limits.cpu_share = share};

    load->function = add_guest(testing_tenant_with(worker, &config));
    atomic_store(&load->left, AT_ONCE);
    for (unsigned i = 0; i < AT_ONCE; i++)
        load_call(load);
}

/* The last core: all that this process starts computes there. */
static void
use_one_core(const cpu_set_t *cores)
{
    cpu_set_t one;
    size_t last = 0;

    for (size_t i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, cores) ? i : last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* All threads of this process, so that they do not compete with the cells. */
static void
use_all_cores(const cpu_set_t *cores)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *entry;

    assert_non_null(threads);
    while ((entry = readdir(threads)) != NULL)
        if (entry->d_name[0] != '.')
            assert_int_equal(sched_setaffinity(atoi(entry->d_name), sizeof(*cores), cores), 0);
    (void)closedir(threads);
}

static double
measure_shares(void)
{
    struct load large = {0}, small = {0};
    struct worker *worker;
    uint64_t before[2];
    cpu_set_t cores;
    double ratio;

    assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
    use_one_core(&cores);
    worker = testing_worker_with((struct worker_config){.ready = 2}, "weft-cell");

    load_start(&large, worker, "large", 300);
    load_start(&small, worker, "small", 100);
    while (atomic_load(&large.done) == 0 || atomic_load(&small.done) == 0)
        (void)usleep(1000);
    use_all_cores(&cores);
    sleep_ns(SETTLE_NS);
    before[0] = atomic_load(&large.done);
    before[1] = atomic_load(&small.done);
    sleep_ns(MEASURE_NS);
    ratio = (double)(atomic_load(&large.done) - before[0]) /
            (double)(atomic_load(&small.done) - before[1]);
    atomic_store(&large.is_over, true);
    atomic_store(&small.is_over, true);
    worker_destroy(worker);
    return ratio;
}

static void
test_shares_of_three_to_one_give_guests_three_to_one(void **state)
{
    double ratio = 0;
    bool is_near = false;

    (void)state;
    need(JAIL_CPU);
    for (int i = 0; i < TRIES && !is_near; i++) {
        ratio = measure_shares();
        print_message("processor shares 3:1 measure %.3f:1 in calls of guests\n", ratio);
        is_near = ratio > 3 * (1 - TOLERANCE) && ratio < 3 * (1 + TOLERANCE);
    }
    assert_true(is_near);
}

/* --------------------------------------------------------------------- a look from inside */

static void
look(struct worker_tenant *tenant, const char *const *paths, size_t count, struct testing_end *end)
{
    testing_ask_with(testing_function(tenant),
                     (struct worker_call){.entry = "look", .args = paths, .arg_count = count}, end);
    if (end->end.kind != WORKER_DONE)
        fail_msg("look ended as %d: %s", (int)end->end.kind, end->message);
}

static void
expect_line(const char *output, const char *line)
{
    if (strstr(output, line) == NULL)
        fail_msg("no \"%s\" in:\n%s", line, output);
}

static void
test_a_cell_sees_nothing_of_the_host_and_of_other_tenants(void **state)
{
    static const char *const paths[] = {"/etc/passwd", "/usr", "/home",  "/tmp",
                                        "/dev/null",   "/sys", "/proc/2"};
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 1}, "test/worker/double");
    struct worker_tenant *tenants[2] = {testing_tenant(worker, "a"), testing_tenant(worker, "b")};

    (void)state;
    need(JAIL_MOUNT_NAMESPACE | JAIL_PID_NAMESPACE | JAIL_NET_NAMESPACE);
#ifdef WEFT_SANITIZE
    print_message("skipped: a program with sanitizers needs libraries and descriptors\n");
    worker_destroy(worker);
    skip();
#endif
    (void)setenv("SECRET", "of the host", 1);
    for (int i = 0; i < 2; i++) {
        struct testing_end end;

        look(tenants[i], paths, ARRAY_COUNT(paths), &end);
        expect_line(end.output, "pid 1, processes 1\n");
        expect_line(end.output, "interfaces: lo\n");
        expect_line(end.output, "environment:\n");
        expect_line(end.output, "descriptors 4 of ");
        if (strstr(end.output, ": there\n") != NULL)
            fail_msg("a file is there:\n%s", end.output);
        if (geteuid() == 0)
            expect_line(end.output, "user 65534,");
    }
    worker_destroy(worker);
}

static void
test_a_tenant_with_a_network_has_that_and_no_other(void **state)
{
    const struct worker_tenant_config config = {
        .name = "net",
        .network = {"weft-iso1", "10.250.6.2/30", "10.250.6.1/30"},
        .limits = {.network_rate = 10 << 20}};
    struct worker_tenant *tenant, *other;
    struct worker *worker;
    struct testing_end end;

    (void)state;
    need(JAIL_NETWORK_RATE);
    worker = testing_worker_with((struct worker_config){.ready = 1}, "test/worker/double");
    tenant = testing_tenant_with(worker, &config);
    other = testing_tenant(worker, "other");
    for (int i = 0; i < 3; i++) {
        look(tenant, NULL, 0, &end);
        expect_line(end.output, "interfaces: lo eth0\n");
        look(other, NULL, 0, &end);
        expect_line(end.output, "interfaces: lo\n");
        /* The next cell of the tenant has the same link. */
        assert_int_equal(testing_ask(testing_function(tenant), "leave", &end), WORKER_LOST);
    }
    assert_int_equal(testing_usage(tenant).cells, 3);
    worker_destroy(worker);
}

static void
test_limits_of_files_hold_in_a_cell_of_the_pool(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 1}, "test/worker/double");
    const struct worker_tenant_config config = {.name = "files", .limits = {.files = 33}};
    struct testing_end end;

    (void)state;
    testing_await_ready(worker);
    look(testing_tenant_with(worker, &config), NULL, 0, &end);
    expect_line(end.output, "of 33\n");
    worker_destroy(worker);
}

/* -------------------------------------------------------------------------- silent cells */

/* It takes the worker's patience of 10 s. */
static void
test_a_cell_that_does_not_end_a_call_in_its_time_is_killed(void **state)
{
    struct worker *worker =
        testing_worker_with((struct worker_config){.ready = 1}, "test/worker/double");
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = testing_function(tenant);
    struct testing_end ends[2];

    (void)state;
    testing_begin(function, (struct worker_call){.entry = "nothing"}, &ends[0]);
    testing_begin(function, (struct worker_call){.entry = "nothing", .wall_ns = 1}, &ends[1]);
    for (int i = 0; i < 2; i++) {
        testing_await(&ends[i]);
        assert_int_equal(ends[i].end.kind, WORKER_LOST);
        assert_string_equal(ends[i].message, "its cell did not end a call in its time");
    }
    assert_int_equal(testing_usage(tenant).cells_lost, 1);
    worker_destroy(worker);
}

/* -------------------------------------------------------------------- nothing left behind */

static void
test_no_call_finds_anything_of_another_for_long(void **state)
{
    struct worker *worker = testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
    const struct worker_tenant_config config = {.name = "a", .slots_max = CHECK_SLOTS};
    struct worker_function *functions[2];
    struct testing_end ends[CHECKS];
    struct worker_tenant *tenant = testing_tenant_with(worker, &config);
    uint64_t seed = clock_now_ns() | 1, end_ns = clock_now_ns() + CHECK_NS, calls = 0;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    functions[0] = add_guest(tenant);
    functions[1] = testing_function_with(
        tenant, &(struct worker_function_config){.image_fd = large_image_fd, .proto_fd = -1});
    while (clock_now_ns() < end_ns) {
        for (unsigned i = 0; i < CHECKS; i++) {
            uint64_t value;

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            value = seed | 1;
            testing_begin(
                functions[(seed >> 33) % 8 == 0],
                (struct worker_call){
                    .entry = "check", .values = &value, .value_count = 1, .result_slots = 1},
                &ends[i]);
        }
        for (unsigned i = 0; i < CHECKS; i++, calls++) {
            testing_await(&ends[i]);
            if (ends[i].end.kind != WORKER_DONE)
                fail_msg("check ended as %d: %s", (int)ends[i].end.kind, ends[i].message);
            assert_true(ends[i].results[0] == 0);
        }
    }
    print_message("%llu calls in %u slots found nothing that was not theirs\n",
                  (unsigned long long)calls, CHECK_SLOTS);
    assert_int_equal(testing_usage(tenant).cells, 1);
    worker_destroy(worker);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_of_three_to_one_give_guests_three_to_one),
        cmocka_unit_test(test_a_cell_sees_nothing_of_the_host_and_of_other_tenants),
        cmocka_unit_test(test_a_tenant_with_a_network_has_that_and_no_other),
        cmocka_unit_test(test_limits_of_files_hold_in_a_cell_of_the_pool),
        cmocka_unit_test(test_a_cell_that_does_not_end_a_call_in_its_time_is_killed),
        cmocka_unit_test(test_no_call_finds_anything_of_another_for_long),
    };

    (void)unshare(CLONE_NEWNET);
    image_fd = guest_image(GUEST_PAGES);
    large_image_fd = guest_image(GUEST_PAGES_LARGE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
