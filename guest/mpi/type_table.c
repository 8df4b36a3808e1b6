/* SPDX-License-Identifier: Apache-2.0
 *
 * type_table: the predefined types: a row for each, and the objects that are made of them.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <wchar.h>

#include "type_internal.h"

struct row {
    MPI_Datatype handle;
    const char *name;
    uint32_t bytes, alignment;
    enum mpi_format format;
    uint32_t external; /* bytes in external32: MPI 3.1, table 13.2 */
};

#define ROW(name, c_type, format, external) \
    {MPI_##name, "MPI_" #name, sizeof(c_type), _Alignof(c_type), MPI_FORMAT_##format, external}

/* Those of C whose format is their size. */
#define SIGNED(c_type) \
    (sizeof(c_type) == 8 ? MPI_FORMAT_I64 : sizeof(c_type) == 4 ? MPI_FORMAT_I32 : MPI_FORMAT_I16)
#define UNSIGNED(c_type) (sizeof(c_type) == 8 ? MPI_FORMAT_U64 : MPI_FORMAT_U32)
#define MPI_FORMAT_LONG  SIGNED(long)
#define MPI_FORMAT_ULONG UNSIGNED(unsigned long)
#define MPI_FORMAT_AINT  SIGNED(MPI_Aint)

struct bytes16 {
    _Alignas(16) char bytes[16];
};

/* Formats of C's types as the guest and the machines of tests have them. */
static_assert(sizeof(short) == 2 && sizeof(int) == 4 && sizeof(long long) == 8, "integers");
static_assert(sizeof(float) == 4 && sizeof(double) == 8 && sizeof(long double) == 16, "reals");
static_assert(sizeof(wchar_t) == 4 && sizeof(bool) == 1, "others");

static const struct row rows[] = {
    ROW(AINT, MPI_Aint, AINT, 8),
    ROW(COUNT, MPI_Count, I64, 8),
    ROW(OFFSET, MPI_Offset, I64, 8),
    ROW(PACKED, char, BYTE, 1),
    ROW(SHORT, short, I16, 2),
    ROW(INT, int, I32, 4),
    ROW(LONG, long, LONG, 4),
    {MPI_LONG_LONG, "MPI_LONG_LONG_INT", 8, _Alignof(long long), MPI_FORMAT_I64, 8},
    ROW(UNSIGNED_SHORT, unsigned short, U16, 2),
    ROW(UNSIGNED, unsigned, U32, 4),
    ROW(UNSIGNED_LONG, unsigned long, ULONG, 4),
    ROW(UNSIGNED_LONG_LONG, unsigned long long, U64, 8),
    ROW(FLOAT, float, F32, 4),
    {MPI_C_FLOAT_COMPLEX, "MPI_C_COMPLEX", 8, _Alignof(float), MPI_FORMAT_C32, 8},
    ROW(CXX_FLOAT_COMPLEX, float _Complex, C32, 8),
    ROW(DOUBLE, double, F64, 8),
    ROW(C_DOUBLE_COMPLEX, double _Complex, C64, 16),
    ROW(CXX_DOUBLE_COMPLEX, double _Complex, C64, 16),
    ROW(LOGICAL, int32_t, L32, 4),
    ROW(INTEGER, int32_t, I32, 4),
    ROW(REAL, float, F32, 4),
    ROW(COMPLEX, float _Complex, C32, 8),
    ROW(DOUBLE_PRECISION, double, F64, 8),
    ROW(DOUBLE_COMPLEX, double _Complex, C64, 16),
    ROW(CHARACTER, char, BYTE, 1),
    ROW(LONG_DOUBLE, long double, FLONG, 16),
    ROW(C_LONG_DOUBLE_COMPLEX, long double _Complex, CLONG, 32),
    ROW(CXX_LONG_DOUBLE_COMPLEX, long double _Complex, CLONG, 32),
    ROW(C_BOOL, bool, L8, 4),
    ROW(CXX_BOOL, bool, L8, 4),
    ROW(WCHAR, wchar_t, WCHAR, 2),
    ROW(INT8_T, int8_t, I8, 1),
    ROW(UINT8_T, uint8_t, U8, 1),
    ROW(CHAR, char, I8, 1),
    ROW(SIGNED_CHAR, signed char, I8, 1),
    ROW(UNSIGNED_CHAR, unsigned char, U8, 1),
    ROW(BYTE, char, BITS, 1),
    ROW(INT16_T, int16_t, I16, 2),
    ROW(UINT16_T, uint16_t, U16, 2),
    ROW(INT32_T, int32_t, I32, 4),
    ROW(UINT32_T, uint32_t, U32, 4),
    ROW(INT64_T, int64_t, I64, 8),
    ROW(UINT64_T, uint64_t, U64, 8),
    ROW(LOGICAL1, int8_t, L8, 1),
    ROW(INTEGER1, int8_t, I8, 1),
    ROW(LOGICAL2, int16_t, L16, 2),
    ROW(INTEGER2, int16_t, I16, 2),
    ROW(REAL2, int16_t, F16, 2),
    ROW(LOGICAL4, int32_t, L32, 4),
    ROW(INTEGER4, int32_t, I32, 4),
    ROW(REAL4, float, F32, 4),
    ROW(COMPLEX4, int16_t[2], C16, 4),
    ROW(LOGICAL8, int64_t, L64, 8),
    ROW(INTEGER8, int64_t, I64, 8),
    ROW(REAL8, double, F64, 8),
    ROW(COMPLEX8, float _Complex, C32, 8),
    ROW(LOGICAL16, struct bytes16, L128, 16),
    ROW(INTEGER16, struct bytes16, I128, 16),
    ROW(REAL16, long double, FLONG, 16),
    ROW(COMPLEX16, double _Complex, C64, 16),
    ROW(COMPLEX32, long double _Complex, CLONG, 32),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Pairs of a value and an index, as a struct of C has them. */
struct pair_row {
    MPI_Datatype handle;
    const char *name;
    MPI_Datatype first, second;
    uint32_t offset; /* of the second */
    uint32_t bytes, alignment;
    enum mpi_format format;
};

#define PAIR(name, first, second, c_first, c_second, format) \
    {MPI_##name, \
     "MPI_" #name, \
     MPI_##first, \
     MPI_##second, \
     offsetof( \
         struct { \
             c_first a; \
             c_second b; \
         }, \
         b), \
     sizeof(struct { \
         c_first a; \
         c_second b; \
     }), \
     _Alignof(c_first) > _Alignof(c_second) ? _Alignof(c_first) : _Alignof(c_second), \
     MPI_FORMAT_##format}

static const struct pair_row pair_rows[] = {
    PAIR(FLOAT_INT, FLOAT, INT, float, int, FLOAT_INT),
    PAIR(DOUBLE_INT, DOUBLE, INT, double, int, DOUBLE_INT),
    PAIR(LONG_INT, LONG, INT, long, int, LONG_INT),
    PAIR(2INT, INT, INT, int, int, 2INT),
    PAIR(SHORT_INT, SHORT, INT, short, int, SHORT_INT),
    PAIR(LONG_DOUBLE_INT, LONG_DOUBLE, INT, long double, int, LONG_DOUBLE_INT),
    PAIR(2REAL, REAL, REAL, float, float, 2REAL),
    PAIR(2DOUBLE_PRECISION, DOUBLE_PRECISION, DOUBLE_PRECISION, double, double, 2DOUBLE),
    PAIR(2INTEGER, INTEGER, INTEGER, int32_t, int32_t, 2INT),
};
#define PAIRS (sizeof(pair_rows) / sizeof(pair_rows[0]))

static struct mpi_type types[ROWS + PAIRS];
static struct mpi_type_map maps[ROWS + PAIRS];
static struct mpi_layout layouts[ROWS + PAIRS];
static struct mpi_layout_block blocks[PAIRS][3];
static struct mpi_type_piece pieces[PAIRS][2];

struct mpi_type *
mpi_type_predefined(MPI_Datatype handle)
{
    return mpi_handle_find(MPI_KIND_TYPE, handle);
}

/* Of a row; the reference that they begin with is never put. */
static struct mpi_type *
define(size_t i, MPI_Datatype handle, const char *name, uint32_t extent, uint32_t alignment,
       enum mpi_format format)
{
    struct mpi_type *type = &types[i];

    type->handle = handle;
    type->references = maps[i].references = layouts[i].references = 1;
    type->extent = extent;
    type->element = type;
    type->is_committed = type->is_predefined = true;
    memcpy(type->name, name, strlen(name) + 1);
    type->map = &maps[i];
    type->map->combiner = MPI_COMBINER_NAMED;
    type->map->layout = &layouts[i];
    type->map->alignment = alignment;
    type->map->format = format;
    mpi_handle_define(MPI_KIND_TYPE, handle, type);
    return type;
}

static void
measure(struct mpi_type *type, uint32_t size, uint32_t true_extent)
{
    type->size = size;
    type->true_extent = true_extent;
    type->is_run = size == true_extent;
    type->is_dense = type->is_run && size == type->extent;
    type->map->layout->kind = MPI_LAYOUT_RUN;
    type->map->layout->size = size;
}

static void
define_row(size_t i)
{
    const struct row *row = &rows[i];
    struct mpi_type *type =
        define(i, row->handle, row->name, row->bytes, row->alignment, row->format);

    measure(type, row->bytes, row->bytes);
    type->map->unit = type;
    type->map->units = 1;
    type->map->external_bytes = row->external;
}

static void
define_pair(size_t i)
{
    const struct pair_row *row = &pair_rows[i];
    struct mpi_type *first = mpi_type_predefined(row->first);
    struct mpi_type *second = mpi_type_predefined(row->second);
    struct mpi_type *type =
        define(ROWS + i, row->handle, row->name, row->bytes, row->alignment, row->format);
    const uint32_t first_size = (uint32_t)first->size, second_size = (uint32_t)second->size;

    measure(type, first_size + second_size, row->offset + second_size);
    pieces[i][0] = (struct mpi_type_piece){0, 1, first};
    pieces[i][1] = (struct mpi_type_piece){row->offset, 1, second};
    type->map->pieces = pieces[i];
    type->map->pieces_count = 2;
    type->map->unit = first == second ? first : NULL;
    type->map->units = 2;
    if (type->is_run)
        return;
    blocks[i][1] = (struct mpi_layout_block){row->offset, first_size};
    blocks[i][2] = (struct mpi_layout_block){0, first_size + second_size};
    type->map->layout->kind = MPI_LAYOUT_BLOCKS;
    type->map->layout->count = 2;
    type->map->layout->blocks = blocks[i];
}

void
mpi_types_init(void)
{
    static bool is_done;

    if (is_done)
        return;
    is_done = true;
    for (size_t i = 0; i < ROWS; i++)
        define_row(i);
    for (size_t i = 0; i < PAIRS; i++)
        define_pair(i);
    mpi_ops_init();
}
