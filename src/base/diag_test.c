/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/diag.h"

static char long_text[3 * DIAG_TEXT_MAX];

static void
test_a_new_diag_has_no_text(void **state)
{
    struct diag diag;

    (void)state;
    (void)memset(&diag, 0xff, sizeof(diag));
    diag_init(&diag);
    assert_false(diag.is_set);
    assert_string_equal(diag_text(&diag), "");
}

static void
test_the_first_report_wins(void **state)
{
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(diag_set(&diag, -EINVAL, "byte %d", 7), -EINVAL);
    assert_int_equal(diag_set(&diag, -EIO, "something failed"), -EIO);
    assert_string_equal(diag_text(&diag), "byte 7");
}

static void
test_an_empty_report_is_a_report(void **state)
{
    struct diag diag;

    (void)state;
    diag_init(&diag);
    (void)diag_set(&diag, -EINVAL, "%s", "");
    (void)diag_set(&diag, -EINVAL, "later");
    assert_true(diag.is_set);
    assert_string_equal(diag_text(&diag), "");
}

static void
test_nobody_has_to_ask_for_the_text(void **state)
{
    (void)state;
    assert_int_equal(diag_set(NULL, -ENOMEM, "out of memory"), -ENOMEM);
    diag_prefix(NULL, "a");
    assert_string_equal(diag_text(NULL), "");
}

static void
test_a_text_that_is_too_long_is_cut(void **state)
{
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(diag_set(&diag, -E2BIG, "%s", long_text), -E2BIG);
    assert_int_equal(strlen(diag_text(&diag)), DIAG_TEXT_MAX - 1);
}

static void
test_a_prefix_comes_before_the_text(void **state)
{
    struct diag diag;

    (void)state;
    diag_init(&diag);
    diag_prefix(&diag, "lost");
    assert_string_equal(diag_text(&diag), "");
    (void)diag_set(&diag, -EIO, "cannot read");
    diag_prefix(&diag, "file %d", 3);
    diag_prefix(&diag, "cache");
    assert_string_equal(diag_text(&diag), "cache: file 3: cannot read");
}

static void
test_a_prefix_that_is_too_long_leaves_room_for_the_text(void **state)
{
    struct diag diag;

    (void)state;
    diag_init(&diag);
    (void)diag_set(&diag, -EIO, "the reason");
    diag_prefix(&diag, "%s", long_text);
    assert_non_null(strstr(diag_text(&diag), ": the reason"));
    (void)diag_set(&diag, -EIO, "ignored");
    diag_init(&diag);
    (void)diag_set(&diag, -EIO, "%s", long_text);
    diag_prefix(&diag, "where");
    assert_true(strlen(diag_text(&diag)) < DIAG_TEXT_MAX);
    assert_memory_equal(diag_text(&diag), "where: xxx", 10);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_diag_has_no_text),
        cmocka_unit_test(test_the_first_report_wins),
        cmocka_unit_test(test_an_empty_report_is_a_report),
        cmocka_unit_test(test_nobody_has_to_ask_for_the_text),
        cmocka_unit_test(test_a_text_that_is_too_long_is_cut),
        cmocka_unit_test(test_a_prefix_comes_before_the_text),
        cmocka_unit_test(test_a_prefix_that_is_too_long_leaves_room_for_the_text),
    };

    (void)memset(long_text, 'x', sizeof(long_text) - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
