/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static uint64_t
monotonic_ns(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
test_the_clock_is_the_monotonic_one_in_nanoseconds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t before = monotonic_ns();
        uint64_t now = clock_now_ns();

        assert_in_range(now, before, monotonic_ns());
        assert_true(now < CLOCK_NEVER_NS);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_clock_is_the_monotonic_one_in_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
