/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators (MPI 3.1, 5.9): every predefined one with every type, and those of the program.
 */
#include <stdbool.h>
#include <stdint.h>

#include "check.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum group { INTEGER = 1, REAL = 2, LOGICAL = 4, COMPLEX = 8, BYTE = 16, PAIR = 32, NONE = 64 };

/* 5.9.2; and what other libraries have, too: logical operators of reals. */
static const struct {
    MPI_Op op;
    int groups;
    int of_six_and_three, of_three_and_zero; /* of integers */
} ops[] = {
    {MPI_MAX, INTEGER | REAL, 6, 3},
    {MPI_MIN, INTEGER | REAL, 3, 0},
    {MPI_SUM, INTEGER | REAL | COMPLEX, 9, 3},
    {MPI_PROD, INTEGER | REAL | COMPLEX, 18, 0},
    {MPI_LAND, INTEGER | REAL | LOGICAL, 1, 0},
    {MPI_LOR, INTEGER | REAL | LOGICAL, 1, 1},
    {MPI_LXOR, INTEGER | REAL | LOGICAL, 0, 1},
    {MPI_BAND, INTEGER | BYTE, 2, 0},
    {MPI_BOR, INTEGER | BYTE, 7, 3},
    {MPI_BXOR, INTEGER | BYTE, 5, 3},
    {MPI_MINLOC, PAIR, 0, 0},
    {MPI_MAXLOC, PAIR, 0, 0},
};

#define VALUES(type) {sizeof(type), &(type){6}, &(type){3}, &(type){0}}
static const struct c_type {
    size_t bytes;
    const void *six, *three, *zero;
} c_types[] = {VALUES(int8_t),   VALUES(int16_t), VALUES(int32_t), VALUES(int64_t),
               VALUES(__int128), VALUES(float),   VALUES(double),  VALUES(long double)};
enum c_index { C8, C16, C32, C64, C128, CF, CD, CL };

static int
of_bytes(size_t bytes)
{
    for (int i = 0; i < CF; i++)
        if (c_types[i].bytes == bytes)
            return i;
    return -1;
}

static const struct {
    MPI_Datatype type;
    int group;
} types[] = {
    {MPI_INT, INTEGER},
    {MPI_CHAR, INTEGER},
    {MPI_LONG, INTEGER},
    {MPI_SHORT, INTEGER},
    {MPI_UNSIGNED_SHORT, INTEGER},
    {MPI_UNSIGNED, INTEGER},
    {MPI_UNSIGNED_LONG, INTEGER},
    {MPI_LONG_LONG_INT, INTEGER},
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
    {MPI_LOGICAL1, LOGICAL},
    {MPI_LOGICAL2, LOGICAL},
    {MPI_LOGICAL4, LOGICAL},
    {MPI_LOGICAL8, LOGICAL},
    {MPI_COMPLEX, COMPLEX},
    {MPI_C_FLOAT_COMPLEX, COMPLEX},
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
    {MPI_CHARACTER, NONE},
    {MPI_WCHAR, NONE},
    {MPI_PACKED, NONE},
};

/* The value of C that a type of this group has: integers by their size, reals by theirs. */
static int
c_of(MPI_Datatype type, int group)
{
    int bytes;

    OK(MPI_Type_size(type, &bytes));
    if (group == INTEGER || group == BYTE || group == LOGICAL)
        return of_bytes(bytes);
    if (group != REAL || bytes == 2)
        return -1;
    return bytes == 4 ? CF : bytes == 8 ? CD : CL;
}

static bool
is_value(const struct c_type *c, const void *got, int wanted)
{
    _Alignas(16) char bytes[16] = {0};
    long double real;

    memcpy(bytes, got, c->bytes);
    if (c >= &c_types[CF]) {
        real = c == &c_types[CF]   ? *(float *)(void *)bytes
               : c == &c_types[CD] ? *(double *)(void *)bytes
                                   : *(long double *)(void *)bytes;
        return real == wanted;
    }
    for (size_t i = 1; i < c->bytes; i++)
        if (bytes[i] != 0)
            return false;
    return bytes[0] == wanted;
}

/* 6 with 3, and 3 with 0; logical values: 1, whatever was not 0. */
static void
check_result(int op, int type)
{
    const int index = c_of(types[type].type, types[type].group);
    const struct c_type *c = &c_types[index];
    _Alignas(16) char in[32], inout[32];

    if (index < 0)
        return;
    memcpy(in, c->six, c->bytes);
    memcpy(in + c->bytes, c->three, c->bytes);
    memcpy(inout, c->three, c->bytes);
    memcpy(inout + c->bytes, c->zero, c->bytes);
    OK(MPI_Reduce_local(in, inout, 2, types[type].type, ops[op].op));
    CHECK(is_value(c, inout, ops[op].of_six_and_three));
    CHECK(is_value(c, inout + c->bytes, ops[op].of_three_and_zero));
}

/* Every operator with every type, here and through all members. */
static void
check_operators(void)
{
    _Alignas(16) char in[32] = {0}, inout[32] = {0};

    for (int op = 0; op < COUNT(ops); op++)
        for (int type = 0; type < COUNT(types); type++) {
            if ((ops[op].groups & types[type].group) == 0) {
                REFUSED(MPI_Reduce_local(in, inout, 1, types[type].type, ops[op].op), MPI_ERR_OP);
                REFUSED(MPI_Allreduce(in, inout, 1, types[type].type, ops[op].op, MPI_COMM_WORLD),
                        MPI_ERR_OP);
                continue;
            }
            OK(MPI_Reduce_local(in, inout, 1, types[type].type, ops[op].op));
            check_result(op, type);
        }
}

static void
check_together(void)
{
    const int pair[] = {rank % 3, rank}, largest = size < 3 ? size - 1 : 2;
    int got[2], number = rank + 1, some[2] = {0};
    double _Complex sum, one = rank + 1.0i;

    OK(MPI_Allreduce(pair, got, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD));
    CHECK(got[0] == largest && got[1] == largest);
    OK(MPI_Allreduce(pair, got, 1, MPI_2INT, MPI_MINLOC, MPI_COMM_WORLD));
    CHECK(got[0] == 0 && got[1] == 0);
    OK(MPI_Allreduce(&one, &sum, 1, MPI_C_DOUBLE_COMPLEX, MPI_SUM, MPI_COMM_WORLD));
    CHECK(sum == size * (size - 1) / 2 + size * 1.0i);
    OK(MPI_Allreduce(&number, got, 1, MPI_INT, MPI_BOR, MPI_COMM_WORLD));
    for (int i = 1; i <= size; i++)
        some[0] |= i;
    CHECK(got[0] == some[0]);
}

static void
compose(void *in, void *inout, int *count, MPI_Datatype *type)
{
    int *first = in, *second = inout; /* x -> a x + b, the first one last */
    int bytes;

    OK(MPI_Type_size(*type, &bytes));
    CHECK(bytes == 8);
    for (int i = 0; i < 2 * *count; i += 2) {
        const unsigned a = second[i], b = second[i + 1];

        second[i] = (int)(first[i] * a);
        second[i + 1] = (int)(first[i + 1] * a + b);
    }
}

/* Members are taken in their order, whoever the root is. */
static void
check_own_operator(void)
{
    int in[] = {rank % 3 + 1, rank}, got[2] = {0}, wanted[] = {1, 0}, is_commutative = 1;
    MPI_Datatype type;
    MPI_Op op, old;

    for (int i = 0; i < size; i++) {
        wanted[0] = (int)((unsigned)wanted[0] * (i % 3 + 1));
        wanted[1] = (int)((unsigned)wanted[1] * (i % 3 + 1) + i);
    }
    OK(MPI_Type_contiguous(2, MPI_INT, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Op_create(compose, 0, &op));
    OK(MPI_Op_commutative(op, &is_commutative));
    CHECK(!is_commutative);
    for (int root = 0; root < size; root++) {
        OK(MPI_Reduce(in, got, 1, type, op, root, MPI_COMM_WORLD));
        CHECK(rank != root || (got[0] == wanted[0] && got[1] == wanted[1]));
    }
    OK(MPI_Allreduce(in, got, 1, type, op, MPI_COMM_WORLD));
    CHECK(got[0] == wanted[0] && got[1] == wanted[1]);
    REFUSED(MPI_Reduce_local(in, got, -1, type, op), MPI_ERR_COUNT);
    old = op;
    OK(MPI_Op_free(&op));
    CHECK(op == MPI_OP_NULL);
    REFUSED(MPI_Reduce_local(in, got, 1, type, old), MPI_ERR_OP);
    REFUSED(MPI_Op_free(&old), MPI_ERR_OP);
    OK(MPI_Type_free(&type));
}

static void
check_wrong_operators(void)
{
    int in = 1, inout = 2, flag;
    MPI_Op op = MPI_SUM;

    OK(MPI_Op_commutative(MPI_SUM, &flag));
    CHECK(flag);
    REFUSED(MPI_Op_free(&op), MPI_ERR_OP);
    REFUSED(MPI_Op_commutative(MPI_OP_NULL, &flag), MPI_ERR_OP);
    REFUSED(MPI_Op_create(NULL, 1, &op), MPI_ERR_ARG);
    REFUSED(MPI_Op_create(compose, 1, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Reduce_local(&in, &inout, 1, MPI_INT, MPI_OP_NULL), MPI_ERR_OP);
    REFUSED(MPI_Reduce_local(&in, &inout, 1, MPI_INT, MPI_REPLACE), MPI_ERR_OP);
    REFUSED(MPI_Reduce_local(&in, &inout, 1, MPI_INT, MPI_NO_OP), MPI_ERR_OP);
    REFUSED(MPI_Reduce_local(&in, &inout, 1, MPI_DATATYPE_NULL, MPI_SUM), MPI_ERR_TYPE);
    REFUSED(MPI_Reduce_local(&in, &in, 1, MPI_INT, MPI_SUM), MPI_ERR_BUFFER);
    REFUSED(MPI_Reduce_local(MPI_IN_PLACE, &inout, 1, MPI_INT, MPI_SUM), MPI_ERR_BUFFER);
    CHECK(inout == 2);
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    check_operators();
    check_together();
    check_own_operator();
    check_wrong_operators();
    return end();
}
