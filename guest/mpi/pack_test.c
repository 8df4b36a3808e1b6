/* SPDX-License-Identifier: Apache-2.0
 *
 * Types that look random, nested in one another, beside an interpreter that knows nothing but lists
 * of bytes; and MPI_Pack and external32 by themselves. A seed may be given as the argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "type_testing.h"

#define MEMORY   (1 << 20) /* bytes that elements may lie in, around its middle */
#define MAP_MAX  6000      /* bytes of data of a type */
#define NEST_MAX 4
#define ROUNDS   1500

static uint64_t seed = 20240229;

static uint32_t
pick(uint32_t below)
{
    return type_testing_random(&seed, below);
}

/* ------------------------------------------------------------------ the interpreter */

/* Where each byte of one element lies, in the order of the type map. */
struct naive {
    int64_t lb, ub;
    bool has_lb, has_ub;
    uint32_t alignment;
    uint32_t count;
    int32_t *at;
};

static struct naive
naive_empty(void)
{
    return (struct naive){.alignment = 1, .at = calloc(MAP_MAX, sizeof(int32_t))};
}

/* Appends what lies at a displacement. */
static void
naive_append(struct naive *to, const struct naive *part, int64_t displacement)
{
    const int64_t lb = displacement + part->lb, ub = displacement + part->ub;
    const bool is_first = to->count == 0;

    assert_true(to->count + part->count <= MAP_MAX);
    if (part->count > 0 || part->has_lb) {
        if (part->has_lb && !to->has_lb)
            to->lb = lb;
        else if (part->has_lb == to->has_lb && ((is_first && !to->has_lb) || lb < to->lb))
            to->lb = lb;
        if (part->has_ub && !to->has_ub)
            to->ub = ub;
        else if (part->has_ub == to->has_ub && ((is_first && !to->has_ub) || ub > to->ub))
            to->ub = ub;
        to->has_lb |= part->has_lb;
        to->has_ub |= part->has_ub;
    }
    for (uint32_t i = 0; i < part->count; i++)
        to->at[to->count + i] = part->at[i] + (int32_t)displacement;
    to->count += part->count;
    if (part->count > 0 && part->alignment > to->alignment)
        to->alignment = part->alignment;
}

static void
naive_row(struct naive *to, const struct naive *part, int64_t displacement, int count)
{
    for (int i = 0; i < count; i++)
        naive_append(to, part, displacement + i * (part->ub - part->lb));
}

/* -------------------------------------------------------------------- random types */

struct sample {
    MPI_Datatype type;
    struct naive naive;
};

static void
sample_free(struct sample *sample)
{
    struct mpi_type *type;

    assert_int_equal(mpi_type_find(sample->type, &type), 0);
    if (!type->is_predefined)
        assert_int_equal(MPI_Type_free(&sample->type), 0);
    free(sample->naive.at);
}

static struct sample
sample_element(void)
{
    static const MPI_Datatype types[] = {MPI_CHAR,  MPI_SHORT,     MPI_INT,       MPI_DOUBLE,
                                         MPI_FLOAT, MPI_SHORT_INT, MPI_DOUBLE_INT};
    static const uint32_t first[] = {1, 2, 4, 8, 4, 2, 8}, second[] = {0, 0, 0, 0, 0, 4, 4};
    static const uint32_t gap[] = {0, 0, 0, 0, 0, 2, 0}, extent[] = {1, 2, 4, 8, 4, 8, 16};
    static const uint32_t alignment[] = {1, 2, 4, 8, 4, 4, 8};
    const uint32_t n = pick(7);
    struct sample sample = {types[n], naive_empty()};

    for (uint32_t i = 0; i < first[n] + second[n]; i++)
        sample.naive.at[i] = (int32_t)(i < first[n] ? i : i + gap[n]);
    sample.naive.count = first[n] + second[n];
    sample.naive.ub = extent[n];
    sample.naive.alignment = alignment[n];
    return sample;
}

/* Not more of a part than there is room for. */
static int
pick_count(const struct naive *part, uint32_t room, uint32_t below)
{
    const uint32_t n = pick(below);

    return (int)(part->count > 0 && n * part->count > room ? room / part->count : n);
}

static MPI_Aint
pick_place(void)
{
    return (MPI_Aint)pick(400) - 150;
}

static struct sample
sample_vector(struct sample *old, bool in_bytes)
{
    const int count = pick_count(&old->naive, MAP_MAX, 6);
    const int block = pick_count(&old->naive, MAP_MAX / 6, 5);
    const int stride = (int)pick(9) - 2;
    const int64_t extent = old->naive.ub - old->naive.lb;
    const int64_t bytes = in_bytes ? stride * 5 : stride * extent;
    struct sample sample = {NULL, naive_empty()};

    for (int i = 0; i < count; i++)
        naive_row(&sample.naive, &old->naive, i * bytes, block);
    if (in_bytes)
        assert_int_equal(MPI_Type_create_hvector(count, block, bytes, old->type, &sample.type), 0);
    else
        assert_int_equal(MPI_Type_vector(count, block, stride, old->type, &sample.type), 0);
    return sample;
}

static struct sample
sample_indexed(struct sample *old, unsigned form)
{
    struct sample sample = {NULL, naive_empty()};
    const int64_t extent = old->naive.ub - old->naive.lb;
    const int count = (int)pick(9), same = pick_count(&old->naive, MAP_MAX / 10, 4);
    int lengths[9], places[9];
    MPI_Aint displacements[9];

    for (int i = 0; i < count; i++) {
        lengths[i] = form < 2 ? pick_count(&old->naive, MAP_MAX / 10, 4) : same;
        places[i] = (int)pick(12) - 3;
        displacements[i] = pick_place();
        naive_row(&sample.naive, &old->naive, form % 2 == 0 ? places[i] * extent : displacements[i],
                  lengths[i]);
    }
    if (form == 0)
        assert_int_equal(MPI_Type_indexed(count, lengths, places, old->type, &sample.type), 0);
    else if (form == 1)
        assert_int_equal(
            MPI_Type_create_hindexed(count, lengths, displacements, old->type, &sample.type), 0);
    else if (form == 2)
        assert_int_equal(
            MPI_Type_create_indexed_block(count, same, places, old->type, &sample.type), 0);
    else
        assert_int_equal(
            MPI_Type_create_hindexed_block(count, same, displacements, old->type, &sample.type), 0);
    return sample;
}

static struct sample sample_make(unsigned nest);

static struct sample
sample_struct(unsigned nest)
{
    struct sample sample = {NULL, naive_empty()}, parts[4];
    MPI_Datatype types[4];
    MPI_Aint displacements[4];
    const int count = (int)pick(5);
    int lengths[4];

    for (int i = 0; i < count; i++) {
        parts[i] = sample_make(nest);
        types[i] = parts[i].type;
        lengths[i] = pick_count(&parts[i].naive, MAP_MAX / 4, 4);
        displacements[i] = pick_place();
        naive_row(&sample.naive, &parts[i].naive, displacements[i], lengths[i]);
    }
    if (!sample.naive.has_ub) {
        while ((sample.naive.ub - sample.naive.lb) % sample.naive.alignment != 0)
            sample.naive.ub++;
    }
    assert_int_equal(MPI_Type_create_struct(count, lengths, displacements, types, &sample.type), 0);
    for (int i = 0; i < count; i++)
        sample_free(&parts[i]);
    return sample;
}

static struct sample
sample_resized(struct sample *old)
{
    struct sample sample = {NULL, naive_empty()};
    const MPI_Aint lb = pick_place() / 8, extent = (MPI_Aint)pick(100);

    naive_append(&sample.naive, &old->naive, 0);
    sample.naive.lb = lb;
    sample.naive.ub = lb + extent;
    sample.naive.has_lb = sample.naive.has_ub = true;
    assert_int_equal(MPI_Type_create_resized(old->type, lb, extent, &sample.type), 0);
    return sample;
}

/* Two dimensions, in either order. */
static struct sample
sample_subarray(struct sample *old)
{
    struct sample sample = {NULL, naive_empty()};
    const int64_t extent = old->naive.ub - old->naive.lb;
    const int sizes[] = {1 + (int)pick(5), 1 + (int)pick(5)};
    const int subsizes[] = {1 + (int)pick((uint32_t)sizes[0]), 1 + (int)pick((uint32_t)sizes[1])};
    const int starts[] = {(int)pick((uint32_t)(sizes[0] - subsizes[0] + 1)),
                          (int)pick((uint32_t)(sizes[1] - subsizes[1] + 1))};
    const bool is_c = pick(2) == 0;
    const int fast = is_c ? 1 : 0, slow = 1 - fast;

    for (int i = 0; i < subsizes[slow]; i++) {
        for (int k = 0; k < subsizes[fast]; k++)
            naive_append(&sample.naive, &old->naive,
                         ((starts[slow] + i) * sizes[fast] + starts[fast] + k) * extent);
    }
    sample.naive.lb = 0;
    sample.naive.ub = sizes[0] * sizes[1] * extent;
    sample.naive.has_lb = sample.naive.has_ub = true;
    assert_int_equal(MPI_Type_create_subarray(2, sizes, subsizes, starts,
                                              is_c ? MPI_ORDER_C : MPI_ORDER_FORTRAN, old->type,
                                              &sample.type),
                     0);
    return sample;
}

static struct sample
sample_of(struct sample *old, unsigned how)
{
    if (how < 2)
        return sample_vector(old, how == 1);
    if (how < 6)
        return sample_indexed(old, how - 2);
    if (how == 6 && old->naive.count * 25 <= MAP_MAX)
        return sample_subarray(old);
    return sample_resized(old);
}

static struct sample
sample_make(unsigned nest)
{
    struct sample old, sample;

    if (nest == 0)
        return sample_element();
    if (pick(4) == 0)
        return sample_struct(nest - 1);
    old = sample_make(nest - 1);
    sample = sample_of(&old, pick(8));
    sample_free(&old);
    return sample;
}

/* -------------------------------------------------------------------- comparisons */

static uint8_t memory[MEMORY], other_memory[MEMORY], expected[MEMORY];
static uint8_t packed[4 * MAP_MAX], naive_packed[4 * MAP_MAX];

static uint8_t *
middle(uint8_t *of)
{
    return of + MEMORY / 2;
}

static uint32_t
naive_pack(const struct naive *naive, const uint8_t *buffer, int count, uint8_t *to)
{
    uint32_t n = 0;

    for (int i = 0; i < count; i++) {
        for (uint32_t k = 0; k < naive->count; k++)
            to[n++] = buffer[naive->at[k] + i * (naive->ub - naive->lb)];
    }
    return n;
}

static void
naive_unpack(const struct naive *naive, uint8_t *buffer, int count, const uint8_t *from)
{
    uint32_t n = 0;

    for (int i = 0; i < count; i++) {
        for (uint32_t k = 0; k < naive->count; k++)
            buffer[naive->at[k] + i * (naive->ub - naive->lb)] = from[n++];
    }
}

static void
compare_bounds(const struct mpi_type *type, const struct naive *naive)
{
    int64_t low = 0, high = 0;

    for (uint32_t i = 0; i < naive->count; i++) {
        low = i == 0 || naive->at[i] < low ? naive->at[i] : low;
        high = i == 0 || naive->at[i] + 1 > high ? naive->at[i] + 1 : high;
    }
    assert_int_equal(type->size, naive->count);
    assert_int_equal(type->lb, naive->lb);
    assert_int_equal(type->lb + type->extent, naive->ub);
    assert_int_equal(type->true_lb, low);
    assert_int_equal(type->true_extent, high - low);
}

/* In pieces of any length. */
static void
compare_moves(const struct mpi_type *type, const struct naive *naive, int count)
{
    const uint32_t bytes = naive_pack(naive, middle(memory), count, naive_packed);

    memset(packed, 0xee, sizeof(packed));
    memset(other_memory, 0x11, MEMORY);
    memset(expected, 0x11, MEMORY);
    for (uint32_t at = 0; at < bytes;) {
        const uint32_t n = 1 + pick(pick(2) == 0 ? 7 : bytes - at);
        const uint32_t some = at + n > bytes ? bytes - at : n;

        mpi_type_pack(type, middle(memory), count, at, packed + at, some);
        mpi_type_unpack(type, middle(other_memory), count, at, packed + at, some);
        at += some;
    }
    assert_memory_equal(packed, naive_packed, bytes);
    naive_unpack(naive, middle(expected), count, naive_packed);
    assert_memory_equal(other_memory, expected, MEMORY);
}

struct runs {
    int64_t end;
    uint32_t count, at;
};

static bool
run_seen(void *context, int64_t offset, uint64_t bytes)
{
    struct runs *runs = context;

    assert_true(bytes > 0);
    assert_true(runs->count == 0 || offset != runs->end);
    memcpy(packed + runs->at, middle(memory) + offset, bytes);
    runs->at += (uint32_t)bytes;
    runs->end = offset + (int64_t)bytes;
    runs->count++;
    return true;
}

static void
compare_runs(const struct mpi_type *type, int count, uint32_t bytes)
{
    const uint32_t from = bytes > 0 ? pick(bytes) : 0, n = bytes > 0 ? pick(bytes - from + 1) : 0;
    struct runs runs = {0};

    mpi_type_runs(type, count, from, n, run_seen, &runs);
    assert_int_equal(runs.at, n);
    assert_memory_equal(packed, naive_packed + from, n);
}

/* Elements that so many bytes are must be so many bytes. */
static void
compare_units(const struct mpi_type *type)
{
    const int64_t bytes = type->size > 0 ? (int64_t)pick((uint32_t)type->size * 3) : 0;
    const int64_t units = mpi_type_units(type, bytes);

    assert_int_equal(mpi_type_units(type, type->size), type->map->units);
    assert_int_equal(mpi_type_unit_bytes(type, type->map->units), type->size);
    if (units >= 0)
        assert_int_equal(mpi_type_unit_bytes(type, units), bytes);
}

static void
compare_run(const struct mpi_type *type, int count, uint32_t bytes)
{
    const void *run = mpi_type_run(type, middle(memory), count);

    if (run != NULL)
        assert_memory_equal(run, naive_packed, bytes);
}

static void
compare_wire(const struct mpi_type *type, int count, uint32_t bytes)
{
    static uint8_t wire[200000];
    const uint32_t n = mpi_type_encode(type, wire, sizeof(wire));
    struct mpi_type *again;

    assert_true(n > 0);
    assert_int_equal(mpi_type_encode(type, wire, n - 1), 0);
    (void)mpi_type_encode(type, wire, sizeof(wire));
    again = mpi_type_decode(wire, n);
    assert_non_null(again);
    assert_int_equal(again->size, type->size);
    assert_int_equal(again->extent, type->extent);
    assert_ptr_equal(again->element, type->element);
    mpi_type_pack(again, middle(memory), count, 0, packed, bytes);
    assert_memory_equal(packed, naive_packed, bytes);
    mpi_type_put(again);
    for (unsigned i = 0; i < 20; i++) { /* damaged: anything but a crash */
        wire[pick(n)] ^= (uint8_t)(1 + pick(255));
        mpi_type_put(mpi_type_decode(wire, 1 + pick(n)));
    }
}

/* Bytes overlap in some types, so only what came out of them is compared. */
static void
compare_external(const struct mpi_type *type, int count, uint32_t bytes)
{
    static char external[4 * MAP_MAX];

    assert_int_equal(mpi_type_external_size(type), type->size);
    mpi_type_pack_external(type, middle(memory), count, external);
    memset(other_memory, 0x11, MEMORY);
    memset(expected, 0x11, MEMORY);
    mpi_type_unpack_external(type, middle(other_memory), count, external);
    mpi_type_unpack(type, middle(expected), count, 0, naive_packed, bytes);
    assert_memory_equal(other_memory, expected, MEMORY);
}

/* A few lie farther apart than there is memory. */
static bool
fits(const struct naive *naive, int count)
{
    const int64_t extent = naive->ub - naive->lb;

    for (uint32_t i = 0; i < naive->count; i++) {
        const int64_t last = naive->at[i] + (count - 1) * extent;

        if (llabs(naive->at[i]) >= MEMORY / 2 || llabs(last) >= MEMORY / 2)
            return false;
    }
    return true;
}

static void
compare(struct sample *sample)
{
    const int count = sample->naive.count > MAP_MAX ? 1 : (int)pick(4);
    const uint32_t bytes = (uint32_t)count * sample->naive.count;
    struct mpi_type *type;

    assert_int_equal(MPI_Type_commit(&sample->type), 0);
    assert_int_equal(mpi_type_use(sample->type, count, &type), 0);
    compare_bounds(type, &sample->naive);
    compare_units(type);
    if (count == 0 || !fits(&sample->naive, count))
        return;
    compare_moves(type, &sample->naive, count);
    compare_runs(type, count, bytes);
    compare_run(type, count, bytes);
    compare_wire(type, count, bytes);
    compare_external(type, count, bytes);
    memset(other_memory, 0x11, MEMORY);
    mpi_type_copy(type, middle(memory), count, type, middle(other_memory), count);
    memset(expected, 0x11, MEMORY);
    naive_unpack(&sample->naive, middle(expected), count, naive_packed);
    assert_memory_equal(other_memory, expected, MEMORY);
}

static void
test_any_type_moves_what_its_map_says(void **state)
{
    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < MEMORY; i++)
        memory[i] = (uint8_t)pick(256);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct sample sample = sample_make(pick(NEST_MAX + 1));

        compare(&sample);
        sample_free(&sample);
    }
}

static MPI_Datatype
columns(int rows, int count, MPI_Datatype of)
{
    MPI_Datatype type;

    assert_int_equal(MPI_Type_vector(rows, 1, count, of, &type), 0);
    assert_int_equal(MPI_Type_commit(&type), 0);
    return type;
}

/* ----------------------------------------------------------------- functions of MPI */

static void
test_pack_puts_one_after_the_other_and_unpack_takes_them(void **state)
{
    double matrix[4][3], back[4][3] = {{0}};
    int number = 42, number_back = 0, position = 0, size;
    char buffer[64];
    MPI_Datatype column = columns(4, 3, MPI_DOUBLE);

    (void)state;
    for (int i = 0; i < 12; i++)
        matrix[i / 3][i % 3] = i;
    assert_int_equal(MPI_Pack_size(1, column, MPI_COMM_WORLD, &size), 0);
    assert_int_equal(size, 32);
    assert_int_equal(MPI_Pack(&number, 1, MPI_INT, buffer, 36, &position, MPI_COMM_WORLD), 0);
    assert_int_equal(MPI_Pack(&matrix[0][1], 1, column, buffer, 36, &position, MPI_COMM_WORLD), 0);
    assert_int_equal(position, 36);
    position = 0;
    assert_int_equal(MPI_Unpack(buffer, 36, &position, &number_back, 1, MPI_INT, MPI_COMM_WORLD),
                     0);
    assert_int_equal(MPI_Unpack(buffer, 36, &position, &back[0][2], 1, column, MPI_COMM_WORLD), 0);
    assert_int_equal(position, 36);
    assert_int_equal(number_back, 42);
    for (int i = 0; i < 4; i++)
        assert_true(back[i][2] == matrix[i][1] && back[i][1] == 0);
    MPI_Type_free(&column);
}

static void
test_pack_refuses_what_does_not_fit(void **state)
{
    int number = 1, position = 0, before = -1, size;
    char buffer[8];
    MPI_Datatype open;

    (void)state;
    MPI_Type_contiguous(2, MPI_INT, &open);
    assert_int_equal(MPI_Pack(&number, 1, MPI_INT, buffer, 3, &position, MPI_COMM_WORLD),
                     MPI_ERR_TRUNCATE);
    assert_int_equal(MPI_Unpack(buffer, 3, &position, &number, 1, MPI_INT, MPI_COMM_WORLD),
                     MPI_ERR_TRUNCATE);
    assert_int_equal(position, 0);
    assert_int_equal(MPI_Pack(&number, -1, MPI_INT, buffer, 8, &position, MPI_COMM_WORLD),
                     MPI_ERR_COUNT);
    assert_int_equal(MPI_Pack(NULL, 1, MPI_INT, buffer, 8, &position, MPI_COMM_WORLD),
                     MPI_ERR_BUFFER);
    assert_int_equal(MPI_Pack(&number, 1, open, buffer, 8, &position, MPI_COMM_WORLD),
                     MPI_ERR_TYPE);
    assert_int_equal(MPI_Pack(&number, 1, MPI_INT, buffer, 8, &position, MPI_COMM_NULL),
                     MPI_ERR_COMM);
    assert_int_equal(MPI_Pack(&number, 1, MPI_INT, buffer, 8, &before, MPI_COMM_WORLD),
                     MPI_ERR_ARG);
    assert_int_equal(MPI_Pack(&number, 1, MPI_INT, buffer, 8, NULL, MPI_COMM_WORLD), MPI_ERR_ARG);
    assert_int_equal(MPI_Pack(NULL, 0, MPI_INT, NULL, 0, &position, MPI_COMM_WORLD), 0);
    assert_int_equal(MPI_Pack_size(1, MPI_INT, MPI_COMM_WORLD, NULL), MPI_ERR_ARG);
    assert_int_equal(MPI_Pack_size(1 << 30, MPI_DOUBLE, MPI_COMM_WORLD, &size), 0);
    assert_int_equal(size, MPI_UNDEFINED);
    MPI_Type_free(&open);
}

static void
test_absolute_addresses_are_packed_from_bottom(void **state)
{
    int a = 7, b = 9, position = 0, got[2];
    const int lengths[] = {1, 1};
    MPI_Aint displacements[2];
    MPI_Datatype type;

    (void)state;
    MPI_Get_address(&a, &displacements[0]);
    MPI_Get_address(&b, &displacements[1]);
    assert_int_equal(
        MPI_Aint_add(displacements[0], MPI_Aint_diff(displacements[1], displacements[0])),
        displacements[1]);
    MPI_Type_create_hindexed(2, lengths, displacements, MPI_INT, &type);
    MPI_Type_commit(&type);
    assert_int_equal(MPI_Pack(MPI_BOTTOM, 1, type, got, sizeof(got), &position, MPI_COMM_WORLD), 0);
    assert_int_equal(got[0], 7);
    assert_int_equal(got[1], 9);
    MPI_Type_free(&type);
}

static void
test_external_numbers_are_big_endian_and_of_fixed_size(void **state)
{
    const long longs[] = {1, -2};
    const wchar_t letter = 0x20ac;
    const MPI_Aint address = -3;
    const double one = 1.0;
    const uint8_t bytes[] = {0,    0,    0,    1,    0xff, 0xff, 0xff, 0xfe, 0x20,
                             0xac, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd,
                             0x3f, 0xf0, 0,    0,    0,    0,    0,    0};
    uint8_t buffer[26];
    long back[2];
    MPI_Aint position = 0, size;

    (void)state;
    assert_int_equal(MPI_Pack_external_size("external32", 3, MPI_LONG, &size), 0);
    assert_int_equal(size, 12);
    assert_int_equal(MPI_Pack_external("external32", longs, 2, MPI_LONG, buffer, 26, &position), 0);
    assert_int_equal(MPI_Pack_external("external32", &letter, 1, MPI_WCHAR, buffer, 26, &position),
                     0);
    assert_int_equal(MPI_Pack_external("external32", &address, 1, MPI_AINT, buffer, 26, &position),
                     0);
    assert_int_equal(MPI_Pack_external("external32", &one, 1, MPI_DOUBLE, buffer, 26, &position),
                     0);
    assert_int_equal(position, 26);
    assert_memory_equal(buffer, bytes, 26);
    position = 0;
    assert_int_equal(MPI_Unpack_external("external32", buffer, 26, &position, back, 2, MPI_LONG),
                     0);
    assert_memory_equal(back, longs, sizeof(longs));
}

static void
test_external_long_doubles_are_quadruple(void **state)
{
    const long double values[] = {1.0L, -0.1L};
    long double back[2];
    uint8_t buffer[32];
    MPI_Aint position = 0;

    (void)state;
    assert_int_equal(
        MPI_Pack_external("external32", values, 2, MPI_LONG_DOUBLE, buffer, 32, &position), 0);
    assert_int_equal(buffer[0], 0x3f);
    assert_int_equal(buffer[1], 0xff);
    assert_int_equal(buffer[2], 0);
    position = 0;
    assert_int_equal(
        MPI_Unpack_external("external32", buffer, 32, &position, back, 2, MPI_LONG_DOUBLE), 0);
    assert_true(back[0] == values[0] && back[1] == values[1]);
}

static void
test_other_representations_are_refused(void **state)
{
    int number = 0;
    char buffer[8];
    MPI_Aint position = 0, size;

    (void)state;
    assert_int_equal(MPI_Pack_external("native", &number, 1, MPI_INT, buffer, 8, &position),
                     MPI_ERR_ARG);
    assert_int_equal(MPI_Pack_external_size(NULL, 1, MPI_INT, &size), MPI_ERR_ARG);
    assert_int_equal(MPI_Unpack_external("external32", buffer, 3, &position, &number, 1, MPI_INT),
                     MPI_ERR_TRUNCATE);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_type_moves_what_its_map_says),
        cmocka_unit_test(test_pack_puts_one_after_the_other_and_unpack_takes_them),
        cmocka_unit_test(test_pack_refuses_what_does_not_fit),
        cmocka_unit_test(test_absolute_addresses_are_packed_from_bottom),
        cmocka_unit_test(test_external_numbers_are_big_endian_and_of_fixed_size),
        cmocka_unit_test(test_external_long_doubles_are_quadruple),
        cmocka_unit_test(test_other_representations_are_refused),
    };

    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
