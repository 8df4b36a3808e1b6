/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/element.h"

static void
test_integers_wrap(void **state)
{
    int32_t small[2] = {INT32_MAX, -5}, more[2] = {1, 7};
    int64_t large = INT64_MIN, one = 1, out;

    (void)state;
    element_add(ELEMENT_INT32, small, more, sizeof(small));
    assert_int_equal(small[0], INT32_MIN);
    assert_int_equal(small[1], 2);
    element_subtract(ELEMENT_INT64, &out, &large, &one, sizeof(out));
    assert_int_equal(out, INT64_MAX);
    element_add(ELEMENT_INT64, &out, &one, sizeof(out));
    assert_int_equal(out, INT64_MIN);
}

static void
test_numbers_are_added_at_any_address(void **state)
{
    uint8_t bytes[2 * sizeof(double) + 1];
    const double more[2] = {0.25, INFINITY};
    double found[2] = {1.5, 1};
    const float a = 3, b = 0.5f;
    float out;

    (void)state;
    (void)memcpy(bytes + 1, found, sizeof(found));
    element_add(ELEMENT_DOUBLE, bytes + 1, more, sizeof(more));
    (void)memcpy(found, bytes + 1, sizeof(found));
    assert_true(found[0] == 1.75 && isinf(found[1]));
    element_subtract(ELEMENT_FLOAT, &out, &a, &b, sizeof(out));
    assert_true(out == 2.5f);
}

static void
test_elements_have_their_size(void **state)
{
    (void)state;
    assert_int_equal(element_bytes(ELEMENT_BYTE), 1);
    assert_int_equal(element_bytes(ELEMENT_INT32), sizeof(int32_t));
    assert_int_equal(element_bytes(ELEMENT_INT64), sizeof(int64_t));
    assert_int_equal(element_bytes(ELEMENT_FLOAT), sizeof(float));
    assert_int_equal(element_bytes(ELEMENT_DOUBLE), sizeof(double));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_wrap),
        cmocka_unit_test(test_numbers_are_added_at_any_address),
        cmocka_unit_test(test_elements_have_their_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
