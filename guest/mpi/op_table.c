/* SPDX-License-Identifier: Apache-2.0
 *
 * op_table: what the predefined operators do (MPI 3.1, 5.9.2): a function for each operator and
 * format, plain loops over arrays that do not overlap, which the compiler makes vectors of.
 */
#include <string.h>

#include "type_internal.h"

/* Elements lie where a program put them, which may be in the midst of a packed message. */
#define ANYWHERE __attribute__((aligned(1), may_alias))
typedef int8_t i8 ANYWHERE;
typedef int16_t i16 ANYWHERE;
typedef int32_t i32 ANYWHERE;
typedef int64_t i64 ANYWHERE;
typedef __int128 i128 ANYWHERE;
typedef uint8_t u8 ANYWHERE;
typedef uint16_t u16 ANYWHERE;
typedef uint32_t u32 ANYWHERE;
typedef uint64_t u64 ANYWHERE;
typedef float f32 ANYWHERE;
typedef double f64 ANYWHERE;
typedef long double flong ANYWHERE;
typedef unsigned __int128 uint128;

/* inout[i] = expression of a (in[i]) and b (inout[i]) */
#define OP(name, type, expression) \
    static void name(const void *in, void *inout, size_t count) \
    { \
        const type *restrict from = in; \
        type *restrict to = inout; \
        for (size_t i = 0; i < count; i++) { \
            const type a = from[i], b = to[i]; \
            to[i] = (type)(expression); \
        } \
    }

/* Integers wrap: sums are those of an unsigned type that is no shorter than int. */
#define OPS_ORDER(type) \
    OP(max_##type, type, a > b ? a : b) \
    OP(min_##type, type, a < b ? a : b)
#define OPS_INTEGER(type, wide) \
    OPS_ORDER(type) \
    OP(sum_##type, type, (wide)a + (wide)b) \
    OP(prod_##type, type, (wide)a *(wide)b) \
    OP(land_##type, type, (a != 0) & (b != 0)) \
    OP(lor_##type, type, (a != 0) | (b != 0)) \
    OP(lxor_##type, type, (a != 0) ^ (b != 0)) \
    OP(band_##type, type, a &b) \
    OP(bor_##type, type, a | b) \
    OP(bxor_##type, type, a ^ b)
OPS_INTEGER(i8, uint32_t)
OPS_INTEGER(i16, uint32_t)
OPS_INTEGER(i32, uint32_t)
OPS_INTEGER(i64, uint64_t)
OPS_INTEGER(i128, uint128)
OPS_INTEGER(u8, uint32_t)
OPS_INTEGER(u16, uint32_t)
OPS_INTEGER(u32, uint32_t)
OPS_INTEGER(u64, uint64_t)

/* Logical operators of reals are more than the standard asks for: others have them too. */
#define OPS_REAL(type) \
    OPS_ORDER(type) \
    OP(sum_##type, type, a + b) \
    OP(prod_##type, type, a *b) \
    OP(land_##type, type, (a != 0) & (b != 0)) \
    OP(lor_##type, type, (a != 0) | (b != 0)) \
    OP(lxor_##type, type, (a != 0) ^ (b != 0))
OPS_REAL(f32)
OPS_REAL(f64)
OPS_REAL(flong)

/* Half precision by way of float, whose sums and products round to the same half as exact ones. Not
 * all compilers have the type, nor a library for it. */
static inline float
float_of_bits(uint32_t bits)
{
    float value;

    (void)memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t
bits_of_float(float value)
{
    uint32_t bits;

    (void)memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline float
float_of(uint16_t half)
{
    const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;

    if (rest >= 0x7c00) /* infinite, or no number */
        return float_of_bits(sign | 0x7f800000 | rest << 13);
    return float_of_bits(sign | bits_of_float(float_of_bits(rest << 13) * 0x1p112f));
}

/* To the nearest, or the even one of two. Below 2^-14 that is what adding a half does, whose last
 * digit is that of the smallest numbers. */
static inline uint16_t
half_of(float value)
{
    const uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000;
    const uint32_t rest = bits & 0x7fffffff;

    if (rest > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (rest >= 0x477ff000) /* 65520 */
        return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000)
        return (uint16_t)(sign | (bits_of_float(float_of_bits(rest) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
}

OP(max_f16, u16, float_of(a) > float_of(b) ? a : b)
OP(min_f16, u16, float_of(a) < float_of(b) ? a : b)
OP(sum_f16, u16, half_of(float_of(a) + float_of(b)))
OP(prod_f16, u16, half_of(float_of(a) * float_of(b)))
/* Both zeros are false. */
OP(land_f16, u16, (a & 0x7fff) != 0 && (b & 0x7fff) != 0 ? 0x3c00 : 0)
OP(lor_f16, u16, ((a | b) & 0x7fff) != 0 ? 0x3c00 : 0)
OP(lxor_f16, u16, ((a & 0x7fff) != 0) != ((b & 0x7fff) != 0) ? 0x3c00 : 0)

static void
sum_complex_f16(const void *in, void *inout, size_t count)
{
    sum_f16(in, inout, 2 * count);
}

static void
prod_complex_f16(const void *in, void *inout, size_t count)
{
    const u16 *restrict from = in;
    u16 *restrict to = inout;

    for (size_t i = 0; i < 2 * count; i += 2) {
        const float a = float_of(from[i]), b = float_of(from[i + 1]);
        const float c = float_of(to[i]), d = float_of(to[i + 1]);

        to[i] = half_of(a * c - b * d);
        to[i + 1] = half_of(a * d + b * c);
    }
}

/* Complex numbers as two parts: without the care for infinities that C takes with its own. */
#define OPS_COMPLEX(part) \
    struct complex_##part { \
        part real, imaginary; \
    }; \
    static void sum_complex_##part(const void *in, void *inout, size_t count) \
    { \
        sum_##part(in, inout, 2 * count); \
    } \
    static void prod_complex_##part(const void *in, void *inout, size_t count) \
    { \
        const struct complex_##part *restrict from = in; \
        struct complex_##part *restrict to = inout; \
        for (size_t i = 0; i < count; i++) { \
            const struct complex_##part a = from[i], b = to[i]; \
            to[i].real = a.real * b.real - a.imaginary * b.imaginary; \
            to[i].imaginary = a.real * b.imaginary + a.imaginary * b.real; \
        } \
    }
OPS_COMPLEX(f32)
OPS_COMPLEX(f64)
OPS_COMPLEX(flong)

/* Of equal values the one with the lower index. */
#define OP_LOC(name, pair, better) \
    static void name(const void *in, void *inout, size_t count) \
    { \
        const pair *restrict from = in; \
        pair *restrict to = inout; \
        for (size_t i = 0; i < count; i++) { \
            const bool is_equal = from[i].value == to[i].value; \
            if (from[i].value better to[i].value || (is_equal && from[i].at < to[i].at)) \
                to[i] = from[i]; \
        } \
    }
#define OPS_LOC(name, value_type, at_type) \
    struct pair_##name { \
        value_type value; \
        at_type at; \
    }; \
    typedef struct pair_##name name##_anywhere ANYWHERE; \
    OP_LOC(minloc_##name, name##_anywhere, <) \
    OP_LOC(maxloc_##name, name##_anywhere, >)
OPS_LOC(float_int, float, int)
OPS_LOC(double_int, double, int)
OPS_LOC(long_int, long, int)
OPS_LOC(two_int, int, int)
OPS_LOC(short_int, short, int)
OPS_LOC(long_double_int, long double, int)
OPS_LOC(two_real, float, float)
OPS_LOC(two_double, double, double)

#define ROW_INTEGERS(op) \
    [MPI_FORMAT_I8] = op##_i8, [MPI_FORMAT_I16] = op##_i16, [MPI_FORMAT_I32] = op##_i32, \
    [MPI_FORMAT_I64] = op##_i64, [MPI_FORMAT_I128] = op##_i128, [MPI_FORMAT_U8] = op##_u8, \
    [MPI_FORMAT_U16] = op##_u16, [MPI_FORMAT_U32] = op##_u32, [MPI_FORMAT_U64] = op##_u64
#define ROW_REALS(op) \
    [MPI_FORMAT_F16] = op##_f16, [MPI_FORMAT_F32] = op##_f32, [MPI_FORMAT_F64] = op##_f64, \
    [MPI_FORMAT_FLONG] = op##_flong
#define ROW_COMPLEX(op) \
    [MPI_FORMAT_C16] = op##_complex_f16, [MPI_FORMAT_C32] = op##_complex_f32, \
    [MPI_FORMAT_C64] = op##_complex_f64, [MPI_FORMAT_CLONG] = op##_complex_flong
#define ROW_LOGICALS(op) \
    [MPI_FORMAT_L8] = op##_u8, [MPI_FORMAT_L16] = op##_u16, [MPI_FORMAT_L32] = op##_u32, \
    [MPI_FORMAT_L64] = op##_u64, [MPI_FORMAT_L128] = op##_i128
#define ROW_BITS(op) [MPI_FORMAT_BITS] = op##_u8
#define ROW_PAIRS(op) \
    [MPI_FORMAT_FLOAT_INT] = op##_float_int, [MPI_FORMAT_DOUBLE_INT] = op##_double_int, \
    [MPI_FORMAT_LONG_INT] = op##_long_int, [MPI_FORMAT_2INT] = op##_two_int, \
    [MPI_FORMAT_SHORT_INT] = op##_short_int, [MPI_FORMAT_LONG_DOUBLE_INT] = op##_long_double_int, \
    [MPI_FORMAT_2REAL] = op##_two_real, [MPI_FORMAT_2DOUBLE] = op##_two_double

const mpi_op_fn mpi_op_table[MPI_OPS][MPI_FORMATS] = {
    [MPI_OP_MAX] = {ROW_INTEGERS(max), ROW_REALS(max)},
    [MPI_OP_MIN] = {ROW_INTEGERS(min), ROW_REALS(min)},
    [MPI_OP_SUM] = {ROW_INTEGERS(sum), ROW_REALS(sum), ROW_COMPLEX(sum)},
    [MPI_OP_PROD] = {ROW_INTEGERS(prod), ROW_REALS(prod), ROW_COMPLEX(prod)},
    [MPI_OP_LAND] = {ROW_INTEGERS(land), ROW_REALS(land), ROW_LOGICALS(land)},
    [MPI_OP_LOR] = {ROW_INTEGERS(lor), ROW_REALS(lor), ROW_LOGICALS(lor)},
    [MPI_OP_LXOR] = {ROW_INTEGERS(lxor), ROW_REALS(lxor), ROW_LOGICALS(lxor)},
    [MPI_OP_BAND] = {ROW_INTEGERS(band), ROW_BITS(band)},
    [MPI_OP_BOR] = {ROW_INTEGERS(bor), ROW_BITS(bor)},
    [MPI_OP_BXOR] = {ROW_INTEGERS(bxor), ROW_BITS(bxor)},
    [MPI_OP_MINLOC] = {ROW_PAIRS(minloc)},
    [MPI_OP_MAXLOC] = {ROW_PAIRS(maxloc)},
};
