/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators: which go with which types, what they do, and those of the program.
 */
#include <complex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "type_testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The kinds of 5.9.2. */
enum kind { INTEGER = 1, REAL = 2, LOGICAL = 4, COMPLEX = 8, BYTE = 16, PAIR = 32, NONE = 64 };

static const struct {
    MPI_Datatype type;
    unsigned kinds;
} types[] = {
    {MPI_INT, INTEGER},
    {MPI_CHAR, INTEGER}, /* like logical operators of reals: more than the standard asks for */
    {MPI_LONG, INTEGER},
    {MPI_SHORT, INTEGER},
    {MPI_UNSIGNED_SHORT, INTEGER},
    {MPI_UNSIGNED, INTEGER},
    {MPI_UNSIGNED_LONG, INTEGER},
    {MPI_LONG_LONG, INTEGER},
    {MPI_UNSIGNED_LONG_LONG, INTEGER},
    {MPI_SIGNED_CHAR, INTEGER},
    {MPI_UNSIGNED_CHAR, INTEGER},
    {MPI_INT8_T, INTEGER},
    {MPI_INT16_T, INTEGER},
    {MPI_INT32_T, INTEGER},
    {MPI_INT64_T, INTEGER},
    {MPI_UINT8_T, INTEGER},
    {MPI_UINT16_T, INTEGER},
    {MPI_UINT32_T, INTEGER},
    {MPI_UINT64_T, INTEGER},
    {MPI_INTEGER, INTEGER},
    {MPI_INTEGER1, INTEGER},
    {MPI_INTEGER2, INTEGER},
    {MPI_INTEGER4, INTEGER},
    {MPI_INTEGER8, INTEGER},
    {MPI_INTEGER16, INTEGER},
    {MPI_AINT, INTEGER},
    {MPI_OFFSET, INTEGER},
    {MPI_COUNT, INTEGER},
    {MPI_FLOAT, REAL},
    {MPI_DOUBLE, REAL},
    {MPI_LONG_DOUBLE, REAL},
    {MPI_REAL, REAL},
    {MPI_DOUBLE_PRECISION, REAL},
    {MPI_REAL2, REAL},
    {MPI_REAL4, REAL},
    {MPI_REAL8, REAL},
    {MPI_REAL16, REAL},
    {MPI_LOGICAL, LOGICAL},
    {MPI_C_BOOL, LOGICAL},
    {MPI_CXX_BOOL, LOGICAL},
    {MPI_COMPLEX, COMPLEX},
    {MPI_C_COMPLEX, COMPLEX},
    {MPI_C_DOUBLE_COMPLEX, COMPLEX},
    {MPI_C_LONG_DOUBLE_COMPLEX, COMPLEX},
    {MPI_CXX_FLOAT_COMPLEX, COMPLEX},
    {MPI_CXX_DOUBLE_COMPLEX, COMPLEX},
    {MPI_CXX_LONG_DOUBLE_COMPLEX, COMPLEX},
    {MPI_DOUBLE_COMPLEX, COMPLEX},
    {MPI_COMPLEX4, COMPLEX},
    {MPI_COMPLEX8, COMPLEX},
    {MPI_COMPLEX16, COMPLEX},
    {MPI_COMPLEX32, COMPLEX},
    {MPI_BYTE, BYTE},
    {MPI_FLOAT_INT, PAIR},
    {MPI_DOUBLE_INT, PAIR},
    {MPI_LONG_INT, PAIR},
    {MPI_2INT, PAIR},
    {MPI_SHORT_INT, PAIR},
    {MPI_LONG_DOUBLE_INT, PAIR},
    {MPI_2REAL, PAIR},
    {MPI_2DOUBLE_PRECISION, PAIR},
    {MPI_2INTEGER, PAIR},
    {MPI_WCHAR, NONE},
    {MPI_CHARACTER, NONE},
    {MPI_PACKED, NONE},
};

static const struct {
    MPI_Op op;
    unsigned kinds;
} ops[] = {
    {MPI_MAX, INTEGER | REAL},
    {MPI_MIN, INTEGER | REAL},
    {MPI_SUM, INTEGER | REAL | COMPLEX},
    {MPI_PROD, INTEGER | REAL | COMPLEX},
    {MPI_LAND, INTEGER | LOGICAL | REAL},
    {MPI_LOR, INTEGER | LOGICAL | REAL},
    {MPI_LXOR, INTEGER | LOGICAL | REAL},
    {MPI_BAND, INTEGER | BYTE},
    {MPI_BOR, INTEGER | BYTE},
    {MPI_BXOR, INTEGER | BYTE},
    {MPI_MINLOC, PAIR},
    {MPI_MAXLOC, PAIR},
};

static void
test_operators_go_with_their_types_and_no_others(void **state)
{
    _Alignas(16) char a[32], b[32];

    (void)state;
    for (size_t i = 0; i < COUNT(ops); i++) {
        for (size_t k = 0; k < COUNT(types); k++) {
            const bool is_good = (ops[i].kinds & types[k].kinds) != 0;

            memset(a, 0, sizeof(a));
            memset(b, 0, sizeof(b));
            assert_int_equal(MPI_Reduce_local(a, b, 1, types[k].type, ops[i].op),
                             is_good ? MPI_SUCCESS : MPI_ERR_OP);
        }
    }
}

/* ----------------------------------------------------------------------- results */

#define INTEGERS(c_type, type) \
    do { \
        const c_type in[] = {3, 0, 7, 100}, other[] = {5, 0, 2, 100}; \
        static const MPI_Op all[] = {MPI_MAX, MPI_MIN,  MPI_SUM,  MPI_PROD, MPI_LAND, \
                                     MPI_LOR, MPI_LXOR, MPI_BAND, MPI_BOR,  MPI_BXOR}; \
        for (size_t o = 0; o < COUNT(all); o++) { \
            c_type got[4]; \
            memcpy(got, other, sizeof(got)); \
            assert_int_equal(MPI_Reduce_local(in, got, 4, type, all[o]), 0); \
            for (int i = 0; i < 4; i++) { \
                const c_type a = in[i], b = other[i]; \
                const c_type want[] = {a > b ? a : b,   a < b ? a : b,   (c_type)(a + b), \
                                       (c_type)(a * b), a && b,          a || b, \
                                       !a != !b,        (c_type)(a & b), (c_type)(a | b), \
                                       (c_type)(a ^ b)}; \
                assert_true(got[i] == want[o]); \
            } \
        } \
    } while (0)

static void
test_integers_of_all_lengths_are_reduced(void **state)
{
    (void)state;
    INTEGERS(int8_t, MPI_INT8_T);
    INTEGERS(uint8_t, MPI_UINT8_T);
    INTEGERS(int16_t, MPI_SHORT);
    INTEGERS(uint16_t, MPI_UNSIGNED_SHORT);
    INTEGERS(int, MPI_INT);
    INTEGERS(unsigned, MPI_UNSIGNED);
    INTEGERS(long, MPI_LONG);
    INTEGERS(unsigned long, MPI_UNSIGNED_LONG);
    INTEGERS(long long, MPI_LONG_LONG);
    INTEGERS(__int128, MPI_INTEGER16);
}

static void
test_integers_wrap(void **state)
{
    const int in[] = {INT32_MAX, INT32_MIN};
    int sum[] = {1, -1}, product[] = {2, 2};
    const uint16_t large = 65535;
    uint16_t square = 65535;

    (void)state;
    assert_int_equal(MPI_Reduce_local(in, sum, 2, MPI_INT, MPI_SUM), 0);
    assert_int_equal(sum[0], INT32_MIN);
    assert_int_equal(sum[1], INT32_MAX);
    assert_int_equal(MPI_Reduce_local(in, product, 2, MPI_INT, MPI_PROD), 0);
    assert_int_equal(product[0], -2);
    assert_int_equal(MPI_Reduce_local(&large, &square, 1, MPI_UINT16_T, MPI_PROD), 0);
    assert_int_equal(square, 1);
}

static void
test_signs_matter_to_the_largest(void **state)
{
    const int8_t in = -1;
    int8_t largest = 1;
    const uint8_t in_unsigned = 255;
    uint8_t largest_unsigned = 1;

    (void)state;
    assert_int_equal(MPI_Reduce_local(&in, &largest, 1, MPI_INT8_T, MPI_MAX), 0);
    assert_int_equal(largest, 1);
    assert_int_equal(MPI_Reduce_local(&in_unsigned, &largest_unsigned, 1, MPI_UINT8_T, MPI_MAX), 0);
    assert_int_equal(largest_unsigned, 255);
}

static uint16_t
half(uint16_t in, uint16_t inout, MPI_Op op)
{
    assert_int_equal(MPI_Reduce_local(&in, &inout, 1, MPI_REAL2, op), 0);
    return inout;
}

static void
test_reals_of_two_bytes_are_reduced_and_rounded(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const bool is_number = (bits & 0x7fff) <= 0x7c00;
        const uint16_t value = (uint16_t)bits, once = half(0x3c00, value, MPI_PROD);

        assert_true(is_number ? once == value : (once & 0x7e00) == 0x7e00);
    }
    assert_int_equal(half(0x3c00, 0x4000, MPI_SUM), 0x4200);  /* 1 + 2 */
    assert_int_equal(half(0xc000, 0x3c00, MPI_PROD), 0xc000); /* -2 * 1 */
    assert_int_equal(half(0x6800, 0x3c00, MPI_SUM), 0x6800);  /* 2049 is not there */
    assert_int_equal(half(0x6801, 0x3c00, MPI_SUM), 0x6802);
    assert_int_equal(half(0x7bff, 0x4c00, MPI_SUM), 0x7c00); /* 65504 + 16 */
    assert_int_equal(half(0x7bff, 0x4bff, MPI_SUM), 0x7bff);
    assert_int_equal(half(0x0001, 0x03ff, MPI_SUM), 0x0400);
    assert_int_equal(half(0x0001, 0x3800, MPI_PROD), 0); /* to the even one */
    assert_int_equal(half(0x0003, 0x3800, MPI_PROD), 0x0002);
    assert_int_equal(half(0x7c00, 0xfc00, MPI_SUM) & 0x7fff, 0x7e00);
    assert_int_equal(half(0xbc00, 0x3800, MPI_MAX), 0x3800);
    assert_int_equal(half(0xbc00, 0x3800, MPI_MIN), 0xbc00);
    assert_int_equal(half(0x8000, 0x3800, MPI_LOR), 0x3c00);
    assert_int_equal(half(0x8000, 0x3800, MPI_LAND), 0);
    assert_int_equal(half(0x8000, 0x3800, MPI_LXOR), 0x3c00);
}

static void
test_complex_numbers_of_four_bytes_are_reduced(void **state)
{
    const uint16_t in[] = {0x3c00, 0x4000}; /* 1 + 2i */
    uint16_t sum[] = {0x4200, 0xbc00}, product[] = {0x4200, 0xbc00};

    (void)state;
    assert_int_equal(MPI_Reduce_local(in, sum, 1, MPI_COMPLEX4, MPI_SUM), 0);
    assert_int_equal(sum[0], 0x4400);
    assert_int_equal(sum[1], 0x3c00);
    assert_int_equal(MPI_Reduce_local(in, product, 1, MPI_COMPLEX4, MPI_PROD), 0);
    assert_int_equal(product[0], 0x4500); /* 5 + 5i */
    assert_int_equal(product[1], 0x4500);
}

static void
test_many_reals_are_summed_wherever_they_lie(void **state)
{
    static char in[8 * 1001 + 1], inout[8 * 1001 + 3];

    (void)state;
    for (int i = 0; i < 1001; i++) {
        const double a = i, b = 0.5 * i;

        memcpy(in + 1 + 8 * i, &a, 8);
        memcpy(inout + 3 + 8 * i, &b, 8);
    }
    assert_int_equal(MPI_Reduce_local(in + 1, inout + 3, 1001, MPI_DOUBLE, MPI_SUM), 0);
    for (int i = 0; i < 1001; i++) {
        double sum;

        memcpy(&sum, inout + 3 + 8 * i, 8);
        assert_true(sum == 1.5 * i);
    }
}

static void
test_complex_numbers_are_multiplied(void **state)
{
    const double _Complex in = 1 + 2 * I;
    double _Complex product = 3 - 1 * I;
    const float _Complex in_float = 2 + 1 * I;
    float _Complex sum = 1 + 1 * I;
    const long double _Complex in_long = 1 * I;
    long double _Complex square = 1 * I;

    (void)state;
    assert_int_equal(MPI_Reduce_local(&in, &product, 1, MPI_C_DOUBLE_COMPLEX, MPI_PROD), 0);
    assert_true(creal(product) == 5 && cimag(product) == 5);
    assert_int_equal(MPI_Reduce_local(&in_float, &sum, 1, MPI_C_COMPLEX, MPI_SUM), 0);
    assert_true(crealf(sum) == 3 && cimagf(sum) == 2);
    assert_int_equal(MPI_Reduce_local(&in_long, &square, 1, MPI_C_LONG_DOUBLE_COMPLEX, MPI_PROD),
                     0);
    assert_true(creall(square) == -1 && cimagl(square) == 0);
}

struct double_int {
    double value;
    int at;
};

static void
test_of_equal_values_the_lower_index_is_kept(void **state)
{
    const struct double_int in[] = {{1, 5}, {2, 1}, {3, 9}};
    struct double_int least[] = {{1, 3}, {1, 7}, {4, 2}}, most[] = {{1, 7}, {1, 7}, {4, 2}};

    (void)state;
    assert_int_equal(MPI_Reduce_local(in, least, 3, MPI_DOUBLE_INT, MPI_MINLOC), 0);
    assert_true(least[0].at == 3 && least[1].at == 7 && least[2].at == 9);
    assert_true(least[2].value == 3);
    assert_int_equal(MPI_Reduce_local(in, most, 3, MPI_DOUBLE_INT, MPI_MAXLOC), 0);
    assert_true(most[0].at == 5 && most[1].at == 1 && most[2].at == 2);
    assert_true(most[1].value == 2);
}

/* ------------------------------------------------------------------- derived types */

static void
apply(MPI_Op op_handle, MPI_Datatype handle, const void *in, void *inout, int count)
{
    struct mpi_type *type;
    struct mpi_op *op;

    assert_int_equal(mpi_type_use(handle, count, &type), 0);
    assert_int_equal(mpi_op_find(op_handle, &op), 0);
    assert_int_equal(mpi_op_check(op, type), 0);
    mpi_op_apply(op, type, in, inout, count);
}

static void
test_elements_of_derived_types_are_reduced_where_they_lie(void **state)
{
    static int in[3000], inout[3000];
    struct double_int pairs[4] = {{4, 0}, {3, 1}, {2, 2}, {1, 3}}, least[4];
    MPI_Datatype every_other, some_pairs;

    (void)state;
    MPI_Type_vector(1500, 1, 2, MPI_INT, &every_other);
    MPI_Type_commit(&every_other);
    MPI_Type_vector(2, 1, 2, MPI_DOUBLE_INT, &some_pairs);
    MPI_Type_commit(&some_pairs);
    for (int i = 0; i < 3000; i++)
        in[i] = inout[i] = i;
    for (int i = 0; i < 4; i++)
        least[i] = (struct double_int){2.5, 10};
    apply(MPI_SUM, every_other, in, inout, 1);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(inout[i], i % 2 == 0 ? 2 * i : i);
    apply(MPI_MINLOC, some_pairs, pairs, least, 1);
    assert_int_equal(least[0].at, 10);
    assert_int_equal(least[1].at, 10);
    assert_int_equal(least[2].at, 2);
    assert_int_equal(least[3].at, 10);
    MPI_Type_free(&every_other);
    MPI_Type_free(&some_pairs);
}

static void
test_operators_of_windows_replace_or_do_nothing(void **state)
{
    const int in[] = {1, 2};
    int inout[] = {3, 4};

    (void)state;
    apply(MPI_NO_OP, MPI_INT, in, inout, 2);
    assert_int_equal(inout[1], 4);
    apply(MPI_REPLACE, MPI_INT, in, inout, 2);
    assert_int_equal(inout[0], 1);
    assert_int_equal(inout[1], 2);
    assert_int_equal(MPI_Reduce_local(in, inout, 2, MPI_INT, MPI_REPLACE), MPI_ERR_OP);
    assert_int_equal(MPI_Reduce_local(in, inout, 2, MPI_INT, MPI_NO_OP), MPI_ERR_OP);
}

static void
test_mixed_types_have_no_predefined_operators(void **state)
{
    const int lengths[] = {1, 1};
    const MPI_Aint displacements[] = {0, 8};
    const MPI_Datatype of[] = {MPI_INT, MPI_DOUBLE};
    char in[16] = {0}, inout[16] = {0};
    MPI_Datatype mixed;

    (void)state;
    MPI_Type_create_struct(2, lengths, displacements, of, &mixed);
    MPI_Type_commit(&mixed);
    assert_int_equal(MPI_Reduce_local(in, inout, 1, mixed, MPI_SUM), MPI_ERR_OP);
    MPI_Type_free(&mixed);
}

/* ------------------------------------------------------------------ of the program */

static MPI_Datatype seen_type;

static void
subtract(void *in, void *inout, int *count, MPI_Datatype *type)
{
    const int *a = in;
    int *b = inout;

    seen_type = *type;
    for (int i = 0; i < *count; i++)
        b[i] = a[i] - b[i];
}

static void
test_the_program_has_operators_of_its_own(void **state)
{
    const int in[] = {10, 20};
    int inout[] = {1, 2}, commutes = -1;
    MPI_Op op, freed;

    (void)state;
    assert_int_equal(MPI_Op_create(subtract, 0, &op), 0);
    assert_int_equal(MPI_Op_commutative(op, &commutes), 0);
    assert_int_equal(commutes, 0);
    assert_int_equal(MPI_Op_commutative(MPI_SUM, &commutes), 0);
    assert_int_equal(commutes, 1);
    assert_int_equal(MPI_Reduce_local(in, inout, 2, MPI_INT, op), 0);
    assert_int_equal(inout[0], 9);
    assert_int_equal(inout[1], 18);
    assert_ptr_equal(seen_type, MPI_INT);
    freed = op;
    assert_int_equal(MPI_Op_free(&op), 0);
    assert_ptr_equal(op, MPI_OP_NULL);
    assert_int_equal(MPI_Op_free(&freed), MPI_ERR_OP);
}

static void
test_a_freed_type_still_has_a_handle_for_the_function(void **state)
{
    const int in[] = {10, 20};
    int inout[] = {1, 2};
    struct mpi_type *type;
    struct mpi_op *op;
    MPI_Datatype handle;
    MPI_Op op_handle;

    (void)state;
    MPI_Type_contiguous(1, MPI_INT, &handle);
    MPI_Type_commit(&handle);
    assert_int_equal(mpi_type_use(handle, 2, &type), 0);
    mpi_type_get(type);
    MPI_Type_free(&handle);
    MPI_Op_create(subtract, 1, &op_handle);
    assert_int_equal(mpi_op_find(op_handle, &op), 0);
    mpi_op_get(op);
    MPI_Op_free(&op_handle);
    mpi_op_apply(op, type, in, inout, 2);
    assert_int_equal(inout[1], 18);
    assert_ptr_not_equal(seen_type, MPI_DATATYPE_NULL);
    assert_int_equal(mpi_type_find(seen_type, &type), MPI_ERR_TYPE);
    mpi_op_put(op);
    mpi_type_put(type);
}

static void
test_what_is_no_operator_is_refused(void **state)
{
    int in = 1, inout = 1, commutes;
    MPI_Op op = MPI_SUM, none = MPI_OP_NULL;

    (void)state;
    assert_int_equal(MPI_Op_free(&op), MPI_ERR_OP);
    assert_ptr_equal(op, MPI_SUM);
    assert_int_equal(MPI_Op_free(&none), MPI_ERR_OP);
    assert_int_equal(MPI_Op_free(NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Op_create(NULL, 1, &op), MPI_ERR_ARG);
    assert_int_equal(MPI_Op_create(subtract, 1, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Op_commutative(MPI_OP_NULL, &commutes), MPI_ERR_OP);
    assert_int_equal(MPI_Op_commutative(MPI_SUM, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Reduce_local(&in, &inout, 1, MPI_INT, MPI_OP_NULL), MPI_ERR_OP);
    assert_int_equal(MPI_Reduce_local(&in, &inout, -1, MPI_INT, MPI_SUM), MPI_ERR_COUNT);
    assert_int_equal(MPI_Reduce_local(&in, &inout, 1, MPI_DATATYPE_NULL, MPI_SUM), MPI_ERR_TYPE);
    assert_int_equal(MPI_Reduce_local(&in, &in, 1, MPI_INT, MPI_SUM), MPI_ERR_BUFFER);
    assert_int_equal(MPI_Reduce_local(MPI_IN_PLACE, &in, 1, MPI_INT, MPI_SUM), MPI_ERR_BUFFER);
    assert_int_equal(MPI_Reduce_local(NULL, NULL, 0, MPI_INT, MPI_SUM), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators_go_with_their_types_and_no_others),
        cmocka_unit_test(test_integers_of_all_lengths_are_reduced),
        cmocka_unit_test(test_integers_wrap),
        cmocka_unit_test(test_signs_matter_to_the_largest),
        cmocka_unit_test(test_reals_of_two_bytes_are_reduced_and_rounded),
        cmocka_unit_test(test_complex_numbers_of_four_bytes_are_reduced),
        cmocka_unit_test(test_many_reals_are_summed_wherever_they_lie),
        cmocka_unit_test(test_complex_numbers_are_multiplied),
        cmocka_unit_test(test_of_equal_values_the_lower_index_is_kept),
        cmocka_unit_test(test_elements_of_derived_types_are_reduced_where_they_lie),
        cmocka_unit_test(test_operators_of_windows_replace_or_do_nothing),
        cmocka_unit_test(test_mixed_types_have_no_predefined_operators),
        cmocka_unit_test(test_the_program_has_operators_of_its_own),
        cmocka_unit_test(test_a_freed_type_still_has_a_handle_for_the_function),
        cmocka_unit_test(test_what_is_no_operator_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
