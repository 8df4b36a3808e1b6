/* SPDX-License-Identifier: Apache-2.0
 *
 * args_*, environ_*, clock_*, random_get, sched_yield, proc_*, and the resolver.
 */
#include "hostcall/hostcall_test.h"

#include <time.h>

static void
test_arguments_and_environment_are_laid_out_as_c_has_them(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "args_sizes_get", GUEST_RESULT, GUEST_RESULT_2), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
    assert_int_equal(guest_u32(guest, GUEST_RESULT_2), 10);
    assert_int_equal(CALL(guest, "args_get", GUEST_RESULT, GUEST_BUFFER), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), GUEST_BUFFER);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 4), GUEST_BUFFER + 5);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 8), GUEST_BUFFER + 9);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "prog\0one\0", 10);
    assert_int_equal(CALL(guest, "environ_sizes_get", GUEST_RESULT, GUEST_RESULT_2), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_int_equal(guest_u32(guest, GUEST_RESULT_2), 7);
    assert_int_equal(CALL(guest, "environ_get", GUEST_RESULT, GUEST_BUFFER), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT + 4), GUEST_BUFFER + 4);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "A=1\0B=", 7);
}

static void
test_clocks_tell_the_hosts_time(void **state)
{
    struct guest *guest = *state;
    uint64_t before;

    for (uint32_t clock = 0; clock < 4; clock++) {
        assert_int_equal(CALL(guest, "clock_time_get", clock, 0, GUEST_RESULT), 0);
        assert_true(guest_u64(guest, GUEST_RESULT) > 0);
        assert_int_equal(CALL(guest, "clock_res_get", clock, GUEST_RESULT), 0);
        assert_true(guest_u64(guest, GUEST_RESULT) > 0);
        assert_true(guest_u64(guest, GUEST_RESULT) <= 1000000000u);
    }
    before = clock_now_ns();
    assert_int_equal(CALL(guest, "clock_time_get", WASI_MONOTONIC, 0, GUEST_RESULT), 0);
    assert_true(guest_u64(guest, GUEST_RESULT) >= before);
    assert_true(guest_u64(guest, GUEST_RESULT) <= clock_now_ns());
    assert_int_equal(CALL(guest, "clock_time_get", WASI_REALTIME, 0, GUEST_RESULT), 0);
    assert_true(guest_u64(guest, GUEST_RESULT) / 1000000000u + 1 >= (uint64_t)time(NULL));
    assert_int_equal(CALL(guest, "clock_time_get", 4, 0, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "clock_res_get", 4, GUEST_RESULT), E_INVAL);
}

static void
test_random_bytes_fill_exactly_what_is_asked(void **state)
{
    struct guest *guest = *state;
    static const uint8_t zeros[64];

    assert_int_equal(CALL(guest, "random_get", GUEST_BUFFER, 64), 0);
    assert_memory_not_equal(guest->memory + GUEST_BUFFER, zeros, 64);
    assert_memory_equal(guest->memory + GUEST_BUFFER + 64, zeros, 64);
    assert_int_equal(CALL(guest, "random_get", GUEST_MEMORY_BYTES, 0), 0);
    assert_int_equal(CALL(guest, "random_get", GUEST_MEMORY_BYTES - 64, 64), 0);
}

static void
test_exit_and_signals_end_the_process(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "proc_exit", 7), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_EXIT);
    assert_int_equal(guest->call.exit_code, 7);
    assert_int_equal(CALL(guest, "proc_raise", 6), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_EXIT);
    assert_int_equal(guest->call.exit_code, 134);
    assert_int_equal(CALL(guest, "proc_raise", 30), -1); /* SIGSYS, 31 on the host */
    assert_int_equal(guest->call.exit_code, 159);
    assert_int_equal(CALL(guest, "proc_raise", 0), 0);
    assert_int_equal(CALL(guest, "proc_raise", 16), 0);
    assert_int_equal(CALL(guest, "proc_raise", 18), E_NOTSUP);
    assert_int_equal(CALL(guest, "proc_raise", 31), E_INVAL);
}

static void
test_yield_lets_others_go_first_once(void **state)
{
    struct guest *guest = *state;

    (void)guest_call_array(guest, "sched_yield", NULL, 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.deadline_ns, 0);
    assert_int_equal(guest->wait.fd_count, 0);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
}

static const char *const all_functions[] = {
    "args_get",
    "args_sizes_get",
    "environ_get",
    "environ_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_get",
    "fd_prestat_dir_name",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "sched_yield",
    "random_get",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
};

static const struct faaslet_host_function *
resolve(const char *module, const char *name)
{
    return hostcall_resolve(module, strlen(module), name, strlen(name));
}

static void
test_every_function_is_provided_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(all_functions); i++) {
        const struct faaslet_host_function *one =
            resolve("wasi_snapshot_preview1", all_functions[i]);
        const struct faaslet_host_function *zero = resolve("wasi_unstable", all_functions[i]);

        assert_non_null(one);
        assert_non_null(zero);
        assert_string_equal(one->name, all_functions[i]);
        assert_string_equal(one->type, zero->type);
    }
    assert_non_null(resolve("wasi_snapshot_preview1", "sock_accept"));
    assert_null(resolve("wasi_unstable", "sock_accept"));
    assert_null(resolve("wasi_snapshot_preview1", "sock_open"));
    assert_null(resolve("wasi_snapshot_preview1", "args_ge"));
    assert_null(resolve("wasi_snapshot_preview1", "args_gett"));
    assert_null(resolve("wasi_snapshot_preview2", "args_get"));
    assert_null(resolve("", ""));
    assert_null(hostcall_resolve("wasi_unstable", 13, "fd_read\0", 8));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_arguments_and_environment_are_laid_out_as_c_has_them),
        GUEST_TEST(test_clocks_tell_the_hosts_time),
        GUEST_TEST(test_random_bytes_fill_exactly_what_is_asked),
        GUEST_TEST(test_exit_and_signals_end_the_process),
        GUEST_TEST(test_yield_lets_others_go_first_once),
        cmocka_unit_test(test_every_function_is_provided_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
