/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

/* Bytes of the one form that a code point has; 0: it has none. */
static size_t
encode(uint32_t point, uint8_t out[4])
{
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    for (size_t i = count; i-- > 1; point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    out[0] = (uint8_t)(leads[count] | point);
    return count;
}

static void
test_every_code_point_is_valid_and_nothing_of_it(void **state)
{
    uint8_t bytes[4];

    (void)state;
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        size_t count = encode(point, bytes);

        if (count == 0)
            continue;
        assert_int_equal(utf8_character(bytes, count), count);
        for (size_t part = 1; part < count; part++)
            assert_int_equal(utf8_character(bytes, part), 0);
    }
}

/* All that three bytes can be, against what encoding gives. */
static void
test_nothing_else_is_valid(void **state)
{
    unsigned valid = 0;

    (void)state;
    for (uint32_t all = 0; all < 1u << 24; all++) {
        const uint8_t bytes[3] = {(uint8_t)(all >> 16), (uint8_t)(all >> 8), (uint8_t)all};

        valid += utf8_character(bytes, 3) == 3;
    }
    assert_int_equal(valid, 0x10000 - 0x800 - 0x800); /* those above 7ff, without surrogates */
}

static void
test_four_bytes_end_at_the_last_plane(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("\xf4\x8f\xbf\xbf", 4));
    assert_false(utf8_is_valid("\xf4\x90\x80\x80", 4));
    assert_false(utf8_is_valid("\xf0\x8f\xbf\xbf", 4));
    assert_false(utf8_is_valid("\xf5\x80\x80\x80", 4));
}

static void
test_a_text_is_valid_to_its_end(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0\xc3\xa9", 4));
    assert_false(utf8_is_valid("a\xc3", 2));
    assert_false(utf8_is_valid("\xc3\xa9\xff", 3));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_is_valid_and_nothing_of_it),
        cmocka_unit_test(test_nothing_else_is_valid),
        cmocka_unit_test(test_four_bytes_end_at_the_last_plane),
        cmocka_unit_test(test_a_text_is_valid_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
