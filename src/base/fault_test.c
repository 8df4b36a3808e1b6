/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

#define THREADS 8u
#define PASSES  10000u

static atomic_uint failed_passes;

static void
test_only_the_armed_pass_of_the_armed_name_fails(void **state)
{
    (void)state;
    fault_arm("here", 3, -EIO);
    assert_int_equal(fault_point("here"), 0);
    assert_int_equal(fault_point("there"), 0);
    assert_int_equal(fault_point("here"), 0);
    assert_int_equal(fault_point("here"), -EIO);
    assert_int_equal(fault_point("here"), 0);
    assert_int_equal(fault_point("here"), 0);
    assert_true(fault_disarm());
}

static void
test_a_pass_that_was_not_reached_is_told(void **state)
{
    (void)state;
    fault_arm("here", 2, -EIO);
    assert_int_equal(fault_point("here"), 0);
    assert_false(fault_disarm());
    assert_int_equal(fault_point("here"), 0);
}

static void
test_without_an_armed_pass_none_was_reached(void **state)
{
    (void)state;
    assert_false(fault_disarm());
    fault_arm("here", 1, -EIO);
    assert_int_equal(fault_point("here"), -EIO);
    assert_true(fault_disarm());
    assert_false(fault_disarm());
}

static void
test_arming_again_replaces_name_pass_and_error(void **state)
{
    (void)state;
    fault_arm("here", 1, -EIO);
    fault_arm("there", 2, -ENOMEM);
    assert_int_equal(fault_point("here"), 0);
    assert_int_equal(fault_point("there"), 0);
    assert_int_equal(fault_point("there"), -ENOMEM);
    assert_true(fault_disarm());
}

static void *
pass_often(void *unused)
{
    for (unsigned i = 0; i < PASSES; i++)
        if (fault_point("here") != 0)
            atomic_fetch_add(&failed_passes, 1);
    return unused;
}

static void
test_one_pass_of_all_threads_fails(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    atomic_store(&failed_passes, 0);
    fault_arm("here", PASSES, -EIO);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_often, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&failed_passes), 1);
    assert_true(fault_disarm());
}

static void
test_a_pass_counts_from_one_and_errors_are_negative(void **state)
{
    static const struct {
        unsigned nth;
        int err;
    } wrong[] = {{0, -EIO}, {1, 0}, {1, EIO}};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        int status = 0;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGABRT, SIG_DFL);
            (void)fclose(stderr);
            fault_arm("here", wrong[i].nth, wrong[i].err);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_armed_pass_of_the_armed_name_fails),
        cmocka_unit_test(test_a_pass_that_was_not_reached_is_told),
        cmocka_unit_test(test_without_an_armed_pass_none_was_reached),
        cmocka_unit_test(test_arming_again_replaces_name_pass_and_error),
        cmocka_unit_test(test_one_pass_of_all_threads_fails),
        cmocka_unit_test(test_a_pass_counts_from_one_and_errors_are_negative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
