/* SPDX-License-Identifier: Apache-2.0
 *
 * external32: data as files and other machines have it (MPI 3.1, 13.5.2): big-endian, integers of
 * fixed sizes, long double as IEEE's quadruple.
 */
#include <assert.h>
#include <string.h>

#include "type_internal.h"

#define PART_BYTES 1024u /* that are converted at once; no unit is larger */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are turned around here");

/* In the guest that is long double; the machines of tests have both. */
#if __LDBL_MANT_DIG__ == 113
typedef long double quad;
#else
typedef __float128 quad;
#endif
static_assert(sizeof(quad) == 16, "as in external32");

/* How numbers of a type are converted: complex ones are two. */
struct numbers {
    size_t bytes, external; /* of a number */
    size_t each;            /* numbers of an element */
    bool is_signed, is_long_double;
};

static struct numbers
numbers_of(const struct mpi_type *unit)
{
    const enum mpi_format format = unit->map->format;
    const bool is_complex = format >= MPI_FORMAT_C16 && format <= MPI_FORMAT_CLONG;
    const size_t each = is_complex ? 2 : 1;

    return (struct numbers){
        .bytes = (size_t)unit->size / each,
        .external = unit->map->external_bytes / each,
        .each = each,
        .is_signed = format >= MPI_FORMAT_I8 && format <= MPI_FORMAT_I128,
        .is_long_double = format == MPI_FORMAT_FLONG || format == MPI_FORMAT_CLONG,
    };
}

/* ------------------------------------------------------------------------ numbers */

static void
turn_4(char *to, const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t value;

        memcpy(&value, from + 4 * i, 4);
        value = __builtin_bswap32(value);
        memcpy(to + 4 * i, &value, 4);
    }
}

static void
turn_8(char *to, const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, from + 8 * i, 8);
        value = __builtin_bswap64(value);
        memcpy(to + 8 * i, &value, 8);
    }
}

/* Of other lengths: missing bytes are the sign's. */
static void
put_number(const struct numbers *numbers, char *to, const char *from)
{
    const bool is_negative = numbers->is_signed && (from[numbers->bytes - 1] & 0x80) != 0;

    for (size_t i = 0; i < numbers->external; i++)
        to[numbers->external - 1 - i] =
            i < numbers->bytes ? from[i] : (char)(is_negative ? 0xff : 0);
}

static void
get_number(const struct numbers *numbers, char *to, const char *from)
{
    const bool is_negative = numbers->is_signed && (from[0] & 0x80) != 0;

    for (size_t i = 0; i < numbers->bytes; i++)
        to[i] = i < numbers->external ? from[numbers->external - 1 - i]
                                      : (char)(is_negative ? 0xff : 0);
}

static void
put_long_double(const struct numbers *numbers, char *to, const char *from)
{
    long double value;
    quad wide;

    memcpy(&value, from, sizeof(value));
    wide = (quad)value;
    put_number(numbers, to, (const char *)&wide);
}

static void
get_long_double(const struct numbers *numbers, char *to, const char *from)
{
    long double value = 0;
    quad wide;

    get_number(numbers, (char *)&wide, from);
    value = (long double)wide;
    memcpy(to, &value, sizeof(value));
}

typedef void (*number_fn)(const struct numbers *numbers, char *to, const char *from);

static void
put_numbers(const struct numbers *numbers, char *to, const char *from, size_t count)
{
    const number_fn put = numbers->is_long_double ? put_long_double : put_number;

    if (numbers->bytes == 4 && numbers->external == 4) {
        turn_4(to, from, count);
    } else if (numbers->bytes == 8 && numbers->external == 8) {
        turn_8(to, from, count);
    } else {
        for (size_t i = 0; i < count; i++)
            put(numbers, to + i * numbers->external, from + i * numbers->bytes);
    }
}

static void
get_numbers(const struct numbers *numbers, char *to, const char *from, size_t count)
{
    const number_fn get = numbers->is_long_double ? get_long_double : get_number;

    if (numbers->bytes == 4 && numbers->external == 4) {
        turn_4(to, from, count);
    } else if (numbers->bytes == 8 && numbers->external == 8) {
        turn_8(to, from, count);
    } else {
        for (size_t i = 0; i < count; i++)
            get(numbers, to + i * numbers->bytes, from + i * numbers->external);
    }
}

/* -------------------------------------------------------------------------- types */

struct converter {
    const struct mpi_type *type;
    void *buffer;
    int64_t count;
    uint64_t at; /* in the packed form of this machine */
    char *external;
};

static void
pack_units(void *context, const struct mpi_type *unit, int64_t count)
{
    struct converter *converter = context;
    const struct numbers numbers = numbers_of(unit);
    const int64_t step = (int64_t)PART_BYTES / unit->size;
    char part[PART_BYTES];

    for (int64_t done = 0; done < count; done += step) {
        const size_t n = (size_t)(count - done < step ? count - done : step);
        const size_t bytes = n * (size_t)unit->size;

        mpi_type_pack(converter->type, converter->buffer, converter->count, converter->at, part,
                      bytes);
        put_numbers(&numbers, converter->external, part, n * numbers.each);
        converter->at += bytes;
        converter->external += n * unit->map->external_bytes;
    }
}

static void
unpack_units(void *context, const struct mpi_type *unit, int64_t count)
{
    struct converter *converter = context;
    const struct numbers numbers = numbers_of(unit);
    const int64_t step = (int64_t)PART_BYTES / unit->size;
    char part[PART_BYTES];

    for (int64_t done = 0; done < count; done += step) {
        const size_t n = (size_t)(count - done < step ? count - done : step);
        const size_t bytes = n * (size_t)unit->size;

        get_numbers(&numbers, part, converter->external, n * numbers.each);
        mpi_type_unpack(converter->type, converter->buffer, converter->count, converter->at, part,
                        bytes);
        converter->at += bytes;
        converter->external += n * unit->map->external_bytes;
    }
}

void
mpi_type_pack_external(const struct mpi_type *type, const void *buffer, int64_t count, void *to)
{
    struct converter converter = {type, mpi_type_at(buffer, 0), count, 0, to};

    mpi_type_signature(type, count, pack_units, &converter);
}

void
mpi_type_unpack_external(const struct mpi_type *type, void *buffer, int64_t count, const void *from)
{
    struct converter converter = {type, buffer, count, 0, mpi_type_at(from, 0)};

    mpi_type_signature(type, count, unpack_units, &converter);
}

/* Products are as small as those of sizes, but for what is longer here: at most four times. */
int64_t
mpi_type_external_size(const struct mpi_type *type)
{
    const struct mpi_type_map *map = type->map;
    int64_t bytes = 0;

    if (type->size == 0)
        return 0;
    if (map->unit != NULL)
        return map->units * map->unit->map->external_bytes;
    if (map->inner != NULL)
        return map->loop.count * map->loop.block * mpi_type_external_size(map->inner);
    for (int64_t i = 0; i < map->pieces_count; i++)
        bytes += map->pieces[i].count * mpi_type_external_size(map->pieces[i].type);
    return bytes;
}
