/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole path: a worker, jails, weft-cell, guests.
 */
#include "../../tests/testing.h"

#include <sys/stat.h>

#include "../../tests/worker/guests.h"
#include "worker/worker_testing.h"

/* Sanitizers take many times the memory. */
#ifdef WEFT_SANITIZE
#define MEMORY_LIMIT (UINT64_C(1) << 30)
#else
#define MEMORY_LIMIT (UINT64_C(128) << 20)
#endif

static int image_fd, large_image_fd;

static struct worker *
start_worker(void)
{
    return testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
}

static struct worker_function *
add_guest(struct worker_tenant *tenant, struct worker_limits limits)
{
    const struct worker_function_config config = {
        .image_fd = image_fd, .proto_fd = -1, .limits = limits};

    return testing_function_with(tenant, &config);
}

static void
expect_sum(struct worker_function *function, uint64_t first)
{
    const uint64_t values[] = {first, 1000};
    struct testing_end end;

    testing_ask_with(
        function,
        (struct worker_call){.entry = "add", .values = values, .value_count = 2, .result_slots = 1},
        &end);
    if (end.end.kind != WORKER_DONE)
        fail_msg("add ended as %d: %s", (int)end.end.kind, end.message);
    assert_int_equal(end.end.result_slots, 1);
    assert_true(end.results[0] == first + 1000);
}

static void
test_a_guest_returns_results(void **state)
{
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){0});

    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        expect_sum(function, i);
    worker_destroy(worker);
}

static void
test_a_program_exits_with_its_code(void **state)
{
    const uint64_t code = 42;
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){0});
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(function, NULL, &end), WORKER_EXIT);
    assert_int_equal(end.end.exit_code, 3);
    testing_ask_with(
        function, (struct worker_call){.entry = "leave", .values = &code, .value_count = 1}, &end);
    assert_int_equal(end.end.kind, WORKER_EXIT);
    assert_int_equal(end.end.exit_code, 42);
    worker_destroy(worker);
}

static void
test_a_trap_comes_with_message_and_backtrace(void **state)
{
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){0});
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(function, "trap", &end), WORKER_TRAP);
    assert_non_null(strstr(end.message, "unreachable"));
    assert_non_null(strstr(end.backtrace, "deep"));
    expect_sum(function, 1);
    worker_destroy(worker);
}

static void
test_input_and_output_go_through_memory_or_descriptors(void **state)
{
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){0});
    struct worker_call call = {
        .entry = "copy", .input = (const uint8_t *)"some words", .input_bytes = 10};
    int in[2], out[2], stdio[3];
    struct testing_end end;
    char text[16] = "";

    (void)state;
    testing_ask_with(function, call, &end);
    assert_int_equal(end.end.kind, WORKER_DONE);
    assert_string_equal(end.output, "some words");

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    stdio[0] = in[0];
    stdio[1] = stdio[2] = out[1];
    call = (struct worker_call){.entry = "copy", .stdio = stdio};
    testing_begin(function, call, &end);
    assert_int_equal(write(in[1], "a pipe", 6), 6);
    (void)close(in[0]);
    (void)close(in[1]);
    (void)close(out[1]);
    assert_int_equal(read(out[0], text, sizeof(text)), 6);
    assert_string_equal(text, "a pipe");
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_DONE);
    /* Nobody keeps the descriptors of a call that is over. */
    assert_int_equal(read(out[0], text, sizeof(text)), 0);
    (void)close(out[0]);
    worker_destroy(worker);
}

/* ----------------------------------------------------------------------------- saving */

struct keeper {
    struct testing_end end; /* first: testing_on_end's */
    int fd;                 /* ours */
};

static void
keep(void *context, const struct worker_end *end)
{
    struct keeper *keeper = context;

    keeper->fd = end->saved_fd >= 0 ? fcntl(end->saved_fd, F_DUPFD_CLOEXEC, 0) : -1;
    testing_on_end(&keeper->end, end);
}

static void
save_at(struct worker_function *function, const char *entry, const char *at, struct keeper *keeper)
{
    const struct worker_call call = {
        .entry = entry, .save_at = at, .on_end = keep, .context = keeper};

    testing_end_init(&keeper->end);
    assert_int_equal(worker_call(function, &call, &keeper->end.id), 0);
    testing_await(&keeper->end);
}

static void
test_calls_of_another_cell_start_from_a_saved_one(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = add_guest(tenant, (struct worker_limits){0});
    struct worker_function_config config = {.image_fd = image_fd};
    struct keeper keeper;
    struct testing_end end;

    (void)state;
    for (unsigned i = 0; i < 2; i++) { /* from the queue, and to a cell that is there */
        save_at(function, "copy", "fd_read:0", &keeper);
        if (keeper.end.end.kind != WORKER_DONE)
            fail_msg("saving ended as %d: %s", (int)keeper.end.end.kind, keeper.end.message);
        assert_true(keeper.fd >= 0);
        assert_true(keeper.end.end.memory_bytes == UINT64_C(65536) * GUEST_PAGES);
        assert_true(pwrite(keeper.fd, "x", 1, 0) < 0); /* it is as it is */
        if (i == 0)
            (void)close(keeper.fd);
    }
    config.proto_fd = keeper.fd;
    function = testing_function_with(tenant, &config);
    (void)close(keeper.fd);
    testing_begin(add_guest(tenant, (struct worker_limits){0}),
                  (struct worker_call){.entry = "spin"}, &end);
    testing_kill_cell(tenant);
    testing_await(&end);
    for (unsigned i = 0; i < 3; i++) {
        const struct worker_call call = {.input = (const uint8_t *)"some words",
                                         .input_bytes = 10 - i};

        testing_ask_with(function, call, &end);
        assert_int_equal(end.end.kind, WORKER_DONE);
        assert_int_equal(end.end.output_bytes, 10 - i);
        assert_memory_equal(end.output, "some words", 10 - i);
        assert_int_equal(end.end.saved_fd, -1);
    }
    worker_destroy(worker);
}

static void
test_a_call_that_ends_before_it_is_saved_has_no_descriptor(void **state)
{
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){0});
    struct worker_call call = {.save_at = "fd_read:0", .on_end = keep};
    struct keeper keeper;
    char text[200];
    uint64_t id;

    (void)state;
    save_at(function, NULL, "fd_read:0", &keeper);
    assert_int_equal(keeper.end.end.kind, WORKER_FAILED);
    assert_string_equal(keeper.end.message,
                        "it ended with exit code 3 before it came to fd_read:0");
    assert_int_equal(keeper.fd, -1);
    save_at(function, "trap", "fd_read:0", &keeper);
    assert_int_equal(keeper.end.end.kind, WORKER_FAILED);
    assert_non_null(strstr(keeper.end.backtrace, "deep"));
    (void)memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    call.save_at = text;
    assert_int_equal(worker_call(function, &call, &id), -EINVAL);
    call.save_at = "\xff";
    assert_int_equal(worker_call(function, &call, &id), -EINVAL);
    worker_destroy(worker);
}

/* --------------------------------------------------------------------------- refusals */

static void
test_what_is_no_image_fails_with_the_reason(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const struct worker_function_config config = {.image_fd = fd, .proto_fd = -1};
    struct worker_function *bad = testing_function_with(tenant, &config);
    struct worker_function *good = add_guest(tenant, (struct worker_limits){0});
    struct testing_end end;

    (void)state;
    (void)close(fd);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(testing_ask(bad, "add", &end), WORKER_FAILED);
        assert_true(end.message[0] != '\0');
        assert_true(end.end.err < 0);
    }
    expect_sum(good, 5);
    assert_int_equal(testing_usage(tenant).cells, 1);
    worker_destroy(worker);
}

static void
test_an_entry_that_is_not_there_fails(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *function = add_guest(tenant, (struct worker_limits){0});
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(function, "nonexistent", &end), WORKER_FAILED);
    expect_sum(function, 5);
    assert_int_equal(testing_usage(tenant).cells, 1);
    worker_destroy(worker);
}

/* ----------------------------------------------------------------------------- limits */

static void
test_a_guest_that_spins_is_ended_at_its_limits(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_function *slow =
        add_guest(tenant, (struct worker_limits){.wall_ns = 50 * 1000000});
    struct worker_function *busy =
        add_guest(tenant, (struct worker_limits){.cpu_ns = 50 * 1000000});
    struct worker_function *free_one = add_guest(tenant, (struct worker_limits){0});
    struct testing_end end;

    (void)state;
    assert_int_equal(testing_ask(slow, "spin", &end), WORKER_LIMIT);
    assert_int_equal(end.end.limit, WORKER_LIMIT_TIME);
    assert_non_null(strstr(end.message, "time limit"));
    assert_int_equal(testing_ask(busy, "spin", &end), WORKER_LIMIT);
    assert_int_equal(end.end.limit, WORKER_LIMIT_CPU);
    assert_non_null(strstr(end.message, "processor time"));
    testing_ask_with(free_one, (struct worker_call){.entry = "spin", .wall_ns = 50 * 1000000},
                     &end);
    assert_int_equal(end.end.kind, WORKER_LIMIT);
    testing_begin(free_one, (struct worker_call){.entry = "spin"}, &end);
    expect_sum(free_one, 3);
    assert_int_equal(worker_cancel(worker, end.id), 0);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
    assert_int_equal(testing_usage(tenant).cells, 1);
    worker_destroy(worker);
}

static void
test_more_output_than_the_limit_ends_a_call(void **state)
{
    struct worker *worker = start_worker();
    struct worker_function *function =
        add_guest(testing_tenant(worker, "a"), (struct worker_limits){.output_bytes = 1000});
    static const uint8_t input[5000];
    struct testing_end end;

    (void)state;
    testing_ask_with(
        function,
        (struct worker_call){.entry = "copy", .input = input, .input_bytes = sizeof(input)}, &end);
    assert_int_equal(end.end.kind, WORKER_LIMIT);
    assert_int_equal(end.end.limit, WORKER_LIMIT_OUTPUT);
    assert_true(end.end.output_bytes <= 1000);
    worker_destroy(worker);
}

/* A guest may only have 4 GiB: several together reach the tenant's limit. */
static void
test_guests_at_the_memory_limit_harm_only_their_tenant(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *large = testing_tenant_with(
        worker, &(struct worker_tenant_config){.name = "a", .limits.memory_bytes = MEMORY_LIMIT});
    struct worker_tenant *small = testing_tenant(worker, "b");
    struct worker_function *hog = add_guest(large, (struct worker_limits){0});
    struct worker_function *other = add_guest(small, (struct worker_limits){0});
    struct testing_end ends[8];
    char wanted[128];

    (void)state;
    if ((jail_features() & JAIL_MEMORY) == 0) {
        worker_destroy(worker);
        print_message("skipped: no control group for memory\n");
        skip();
    }
    expect_sum(other, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(ends); i++)
        testing_begin(hog, (struct worker_call){.entry = "hog"}, &ends[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(ends); i++) {
        expect_sum(other, i);
        testing_await(&ends[i]);
        assert_int_equal(ends[i].end.kind, WORKER_LOST);
        (void)snprintf(wanted, sizeof(wanted), "the tenant's memory limit of %u MiB was reached",
                       (unsigned)(MEMORY_LIMIT >> 20));
        assert_string_equal(ends[i].message, wanted);
    }
    expect_sum(hog, 1);
    expect_sum(other, 1);
    assert_int_equal(testing_usage(small).cells, 1);
    assert_int_equal(testing_usage(large).cells, 2);
    worker_destroy(worker);
}

/* ------------------------------------------------------------------------------ killed */

static void
test_callers_of_a_killed_cell_hear_of_it_and_the_next_call_works(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct worker_tenant *neighbour = testing_tenant(worker, "b");
    struct worker_function *function = add_guest(tenant, (struct worker_limits){0});
    struct worker_function *other = add_guest(neighbour, (struct worker_limits){0});
    struct testing_end ends[20];

    (void)state;
    for (int round = 0; round < 3; round++) {
        expect_sum(function, 1);
        expect_sum(other, 1);
        for (unsigned i = 0; i < ARRAY_COUNT(ends); i++)
            testing_begin(function, (struct worker_call){.entry = "spin"}, &ends[i]);
        testing_kill_cell(tenant);
        for (unsigned i = 0; i < ARRAY_COUNT(ends); i++) {
            testing_await(&ends[i]);
            assert_int_equal(ends[i].end.kind, WORKER_LOST);
            assert_string_equal(ends[i].message, "its cell was killed by signal 9");
        }
    }
    expect_sum(function, 1);
    assert_int_equal(testing_usage(tenant).cells_lost, 3);
    assert_int_equal(testing_usage(neighbour).cells, 1);
    worker_destroy(worker);
}

/* ------------------------------------------------------------------------------- files */

static uint64_t
open_in(struct worker_function *function, const char *name)
{
    struct testing_end end;

    testing_ask_with(function,
                     (struct worker_call){.entry = "open",
                                          .input = (const uint8_t *)name,
                                          .input_bytes = strlen(name),
                                          .result_slots = 1},
                     &end);
    if (end.end.kind != WORKER_DONE)
        fail_msg("open ended as %d: %s", (int)end.end.kind, end.message);
    return end.results[0];
}

static struct worker_function *
add_with_folder(struct worker_tenant *tenant, const char *path)
{
    const struct worker_directory folder = {open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), "/data",
                                            true};
    const struct worker_function_config config = {
        .image_fd = image_fd, .proto_fd = -1, .directories = &folder, .directory_count = 1};
    struct worker_function *function = testing_function_with(tenant, &config);

    (void)close(folder.fd);
    return function;
}

static void
make_file(const char *folder, const char *name)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void
test_a_guest_sees_its_tenants_directory_and_no_other(void **state)
{
    char base[] = "/tmp/weft-test-XXXXXX", folders[2][64], path[128];
    struct worker *worker = start_worker();
    struct worker_function *functions[2];

    (void)state;
    assert_non_null(mkdtemp(base));
    assert_int_equal(chmod(base, 0755), 0);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(folders[i], sizeof(folders[i]), "%s/%c", base, "ab"[i]);
        assert_int_equal(mkdir(folders[i], 0755), 0);
        make_file(folders[i], i == 0 ? "mine" : "yours");
    }
    (void)snprintf(path, sizeof(path), "%s/link", folders[0]);
    assert_int_equal(symlink("../b/yours", path), 0);
    functions[0] = add_with_folder(testing_tenant(worker, "a"), folders[0]);
    functions[1] = add_with_folder(testing_tenant(worker, "b"), folders[1]);
    assert_int_equal(open_in(functions[0], "mine"), 0);
    assert_int_equal(open_in(functions[1], "yours"), 0);
    assert_int_not_equal(open_in(functions[0], "yours"), 0);
    assert_int_not_equal(open_in(functions[0], "../b/yours"), 0);
    assert_int_not_equal(open_in(functions[0], "link"), 0);
    assert_int_not_equal(open_in(functions[0], "/etc/passwd"), 0);
    assert_int_not_equal(open_in(functions[1], "mine"), 0);
    worker_destroy(worker);
    (void)snprintf(path, sizeof(path), "rm -r %s", base);
    FILE *pipe = popen(path, "r");

    assert_non_null(pipe);
    assert_int_equal(pclose(pipe), 0);
}

/* --------------------------------------------------------------- nothing is left behind */

#define AT_ONCE 12u
#define ROUNDS  25u

/* Fewer slots than calls, so that Faaslets are parked, woken elsewhere, and used again
 * after every kind of reset. */
static void
test_no_call_finds_anything_of_another(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant_with(
        worker, &(struct worker_tenant_config){.name = "a", .slots_max = 3, .executors = 2});
    struct worker_function *functions[2];
    struct testing_end ends[AT_ONCE];
    uint64_t seed = clock_now_ns() | 1;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    functions[0] = add_guest(tenant, (struct worker_limits){0});
    functions[1] = testing_function_with(
        tenant, &(struct worker_function_config){.image_fd = large_image_fd, .proto_fd = -1});
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint64_t value = seed | 1;

            testing_begin(
                functions[(seed >> 33) % 8 == 0],
                (struct worker_call){
                    .entry = "check", .values = &value, .value_count = 1, .result_slots = 1},
                &ends[i]);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            testing_await(&ends[i]);
            if (ends[i].end.kind != WORKER_DONE)
                fail_msg("check ended as %d: %s", (int)ends[i].end.kind, ends[i].message);
            assert_true(ends[i].results[0] == 0);
        }
    }
    assert_int_equal(testing_usage(tenant).cells, 1);
    worker_destroy(worker);
}

/* One Faaslet, used again. */
static void
test_memory_that_a_call_added_is_out_of_bounds_for_the_next(void **state)
{
    struct worker *worker = start_worker();
    struct worker_tenant *tenant = testing_tenant_with(
        worker, &(struct worker_tenant_config){.name = "a", .slots_max = 1, .executors = 1});
    struct worker_function *function = add_guest(tenant, (struct worker_limits){0});
    const uint64_t behind = GUEST_PAGES * UINT64_C(65536);
    struct worker_call call = {.values = &behind, .value_count = 1, .result_slots = 1};
    struct testing_end end;

    (void)state;
    for (int i = 0; i < 5; i++) {
        call.entry = "grow";
        testing_ask_with(function, call, &end);
        assert_int_equal(end.end.kind, WORKER_DONE);
        assert_true(end.results[0] == 5);
        call.entry = "peek";
        testing_ask_with(function, call, &end);
        assert_int_equal(end.end.kind, WORKER_TRAP);
        assert_non_null(strstr(end.message, "out of bounds"));
    }
    worker_destroy(worker);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_guest_returns_results),
        cmocka_unit_test(test_a_program_exits_with_its_code),
        cmocka_unit_test(test_a_trap_comes_with_message_and_backtrace),
        cmocka_unit_test(test_input_and_output_go_through_memory_or_descriptors),
        cmocka_unit_test(test_calls_of_another_cell_start_from_a_saved_one),
        cmocka_unit_test(test_a_call_that_ends_before_it_is_saved_has_no_descriptor),
        cmocka_unit_test(test_what_is_no_image_fails_with_the_reason),
        cmocka_unit_test(test_an_entry_that_is_not_there_fails),
        cmocka_unit_test(test_a_guest_that_spins_is_ended_at_its_limits),
        cmocka_unit_test(test_more_output_than_the_limit_ends_a_call),
        cmocka_unit_test(test_guests_at_the_memory_limit_harm_only_their_tenant),
        cmocka_unit_test(test_callers_of_a_killed_cell_hear_of_it_and_the_next_call_works),
        cmocka_unit_test(test_a_guest_sees_its_tenants_directory_and_no_other),
        cmocka_unit_test(test_no_call_finds_anything_of_another),
        cmocka_unit_test(test_memory_that_a_call_added_is_out_of_bounds_for_the_next),
    };

/* ThreadSanitizer hands signals on when it likes, with the registers of another moment:
 * no Faaslet can be taken off its executor. */
#ifdef __SANITIZE_THREAD__
    print_message("skipped: no preemption under ThreadSanitizer\n");
    return 77;
#endif
    image_fd = guest_image(GUEST_PAGES);
    large_image_fd = guest_image(GUEST_PAGES_LARGE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
