/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buffer.h"

static void
test_bytes_follow_each_other_and_null_appends_zeros(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, "abc", 3);
    buffer_append(&buffer, NULL, 2);
    buffer_append(&buffer, "d", 1);
    assert_int_equal(buffer.err, 0);
    assert_int_equal(buffer.count, 6);
    assert_memory_equal(buffer.bytes, "abc\0\0d", 6);
    buffer_fini(&buffer);
}

static void
test_a_buffer_grows_without_losing_bytes(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++)
        buffer_append(&buffer, (uint8_t[]){(uint8_t)(i % 251)}, 1);
    assert_int_equal(buffer.err, 0);
    assert_int_equal(buffer.count, 100000);
    assert_true(buffer.capacity >= buffer.count);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(buffer.bytes[i], i % 251);
    buffer_fini(&buffer);
}

static void
test_appending_nothing_changes_nothing(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, NULL, 0);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.count, 0);
    assert_int_equal(buffer.err, 0);
    buffer_fini(&buffer);
}

static void
test_the_first_failure_is_kept_and_stops_all_later_appends(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, "abc", 3);
    buffer_append(&buffer, NULL, SIZE_MAX - 2); /* the sum does not fit */
    assert_int_equal(buffer.err, -ENOMEM);
    buffer_append(&buffer, "d", 1);
    buffer_append_format(&buffer, "%d", 7);
    buffer_align(&buffer, 64);
    assert_int_equal(buffer.err, -ENOMEM);
    assert_int_equal(buffer.count, 3);
    assert_memory_equal(buffer.bytes, "abc", 3);
    buffer_fini(&buffer);
}

static void
test_a_finished_buffer_is_empty_and_can_be_used_again(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, NULL, SIZE_MAX);
    buffer_fini(&buffer);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.err, 0);
    buffer_append(&buffer, "x", 1);
    assert_int_equal(buffer.count, 1);
    buffer_fini(&buffer);
    buffer_fini(&buffer);
}

static void
test_formatted_text_has_no_terminator(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append_format(&buffer, "%s-%d", "a", 12);
    buffer_append_format(&buffer, "%s", "");
    buffer_append_format(&buffer, "%c", '!');
    assert_int_equal(buffer.count, 5);
    assert_memory_equal(buffer.bytes, "a-12!", 5);
    buffer_fini(&buffer);
}

static void
test_formatted_text_may_be_long(void **state)
{
    struct buffer buffer = {0};
    char text[5000];

    (void)state;
    (void)memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buffer_append_format(&buffer, "<%s>", text);
    assert_int_equal(buffer.err, 0);
    assert_int_equal(buffer.count, sizeof(text) - 1 + 2);
    assert_memory_equal(buffer.bytes + 1, text, sizeof(text) - 1);
    assert_int_equal(buffer.bytes[buffer.count - 1], '>');
    buffer_fini(&buffer);
}

static void
test_alignment_fills_with_zeros_up_to_the_unit(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_align(&buffer, 16);
    assert_int_equal(buffer.count, 0);
    buffer_append(&buffer, "a", 1);
    buffer_align(&buffer, 8);
    assert_int_equal(buffer.count, 8);
    assert_memory_equal(buffer.bytes, "a\0\0\0\0\0\0\0", 8);
    buffer_align(&buffer, 8);
    assert_int_equal(buffer.count, 8);
    buffer_align(&buffer, 1);
    assert_int_equal(buffer.count, 8);
    buffer_fini(&buffer);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_follow_each_other_and_null_appends_zeros),
        cmocka_unit_test(test_a_buffer_grows_without_losing_bytes),
        cmocka_unit_test(test_appending_nothing_changes_nothing),
        cmocka_unit_test(test_the_first_failure_is_kept_and_stops_all_later_appends),
        cmocka_unit_test(test_a_finished_buffer_is_empty_and_can_be_used_again),
        cmocka_unit_test(test_formatted_text_has_no_terminator),
        cmocka_unit_test(test_formatted_text_may_be_long),
        cmocka_unit_test(test_alignment_fills_with_zeros_up_to_the_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
