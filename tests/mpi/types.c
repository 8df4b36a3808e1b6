/* SPDX-License-Identifier: Apache-2.0
 *
 * Datatypes (MPI 3.1, chapter 4): every constructor, what is said of it, and where its bytes go;
 * packed forms; how much has come.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "check.h"

static int next, last;

/* ------------------------------------------------------------------- where bytes lie
 *
 * A type map of pieces of `unit` bytes, and all that can be asked of the type. Data goes from one
 * member to the next as the type, and as bytes. */

#define AREA   1024
#define MIDDLE 512 /* where the first element lies, as types may begin before it */

struct map {
    int unit, count, offsets[24];
    int lb, extent;
};

static void
check_bounds(MPI_Datatype type, const struct map *map)
{
    int bytes = -1, first = INT_MAX, after = INT_MIN;
    MPI_Count size_x, lb_x, extent_x;
    MPI_Aint lb, extent, ub;

    for (int i = 0; i < map->count; i++) {
        first = map->offsets[i] < first ? map->offsets[i] : first;
        after = map->offsets[i] + map->unit > after ? map->offsets[i] + map->unit : after;
    }
    OK(MPI_Type_size(type, &bytes));
    OK(MPI_Type_size_x(type, &size_x));
    CHECK(bytes == map->unit * map->count && size_x == bytes);
    OK(MPI_Type_get_extent(type, &lb, &extent));
    OK(MPI_Type_get_extent_x(type, &lb_x, &extent_x));
    CHECK(lb == map->lb && extent == map->extent && lb_x == lb && extent_x == extent);
    OK(MPI_Type_get_true_extent(type, &lb, &extent));
    OK(MPI_Type_get_true_extent_x(type, &lb_x, &extent_x));
    CHECK(lb == first && extent == after - first && lb_x == lb && extent_x == extent);
    OK(MPI_Type_lb(type, &lb));
    OK(MPI_Type_ub(type, &ub));
    OK(MPI_Type_extent(type, &extent));
    CHECK(lb == map->lb && ub == lb + extent && extent == map->extent);
}

/* What two of them are, packed. */
static int
gather_bytes(const struct map *map, const unsigned char *area, unsigned char *packed)
{
    int at = 0;

    for (int element = 0; element < 2; element++)
        for (int i = 0; i < map->count; i++, at += map->unit)
            memcpy(packed + at, area + MIDDLE + element * map->extent + map->offsets[i], map->unit);
    return at;
}

static void
fill(unsigned char *area, int seed)
{
    for (int i = 0; i < AREA; i++)
        area[i] = (unsigned char)(i * 7 + i / 256 + seed);
}

/* Only what belongs to the type was written. */
static void
check_written(const struct map *map, const unsigned char *area, const unsigned char *packed)
{
    unsigned char wanted[AREA];
    int at = 0;

    memset(wanted, 0xee, sizeof(wanted));
    for (int element = 0; element < 2; element++)
        for (int i = 0; i < map->count; i++, at += map->unit)
            memcpy(wanted + MIDDLE + element * map->extent + map->offsets[i], packed + at,
                   map->unit);
    CHECK(memcmp(area, wanted, AREA) == 0);
}

static void
check_packed(MPI_Datatype type, const struct map *map)
{
    unsigned char area[AREA], wanted[AREA], packed[AREA];
    int bytes, room, at = 0;

    fill(area, rank);
    bytes = gather_bytes(map, area, wanted);
    OK(MPI_Pack_size(2, type, MPI_COMM_WORLD, &room));
    CHECK(room >= bytes);
    OK(MPI_Pack(area + MIDDLE, 2, type, packed, AREA, &at, MPI_COMM_WORLD));
    CHECK(at == bytes && memcmp(packed, wanted, bytes) == 0);
    memset(area, 0xee, sizeof(area));
    at = 0;
    OK(MPI_Unpack(packed, bytes, &at, area + MIDDLE, 2, type, MPI_COMM_WORLD));
    CHECK(at == bytes);
    check_written(map, area, wanted);
}

static void
check_sent(MPI_Datatype type, const struct map *map)
{
    unsigned char area[AREA], wanted[AREA], got[AREA];
    MPI_Status status;
    int bytes, count;

    fill(area, last);
    bytes = gather_bytes(map, area, wanted);
    fill(area, rank);
    OK(MPI_Sendrecv(area + MIDDLE, 2, type, next, 1, got, bytes, MPI_BYTE, last, 1, MPI_COMM_WORLD,
                    &status));
    OK(MPI_Get_count(&status, MPI_BYTE, &count));
    CHECK(count == bytes && memcmp(got, wanted, bytes) == 0);
    (void)gather_bytes(map, area, got);
    memset(area, 0xee, sizeof(area));
    OK(MPI_Sendrecv(got, bytes, MPI_BYTE, next, 2, area + MIDDLE, 2, type, last, 2, MPI_COMM_WORLD,
                    &status));
    OK(MPI_Get_count(&status, type, &count));
    CHECK(count == (bytes > 0 ? 2 : 0));
    check_written(map, area, wanted);
}

/* The end of the type. */
static void
check_map(MPI_Datatype type, const struct map *map)
{
    char byte = 0;

    check_bounds(type, map);
    REFUSED(MPI_Send(&byte, 1, type, MPI_PROC_NULL, 0, MPI_COMM_WORLD), MPI_ERR_TYPE);
    OK(MPI_Type_commit(&type));
    OK(MPI_Type_commit(&type));
    check_packed(type, map);
    check_sent(type, map);
    OK(MPI_Type_free(&type));
    CHECK(type == MPI_DATATYPE_NULL);
}

/* ---------------------------------------------------------------- what it was made with */

struct contents {
    int combiner;
    int integers[24], integers_count;
    MPI_Aint addresses[8];
    int addresses_count;
    MPI_Datatype types[8];
    int types_count;
};

static void
check_contents(MPI_Datatype type, const struct contents *contents)
{
    int integers_count, addresses_count, types_count, combiner, integers[24];
    MPI_Aint addresses[8];
    MPI_Datatype types[8];

    OK(MPI_Type_get_envelope(type, &integers_count, &addresses_count, &types_count, &combiner));
    CHECK(combiner == contents->combiner && integers_count == contents->integers_count);
    CHECK(addresses_count == contents->addresses_count && types_count == contents->types_count);
    OK(MPI_Type_get_contents(type, 24, 8, 8, integers, addresses, types));
    for (int i = 0; i < integers_count; i++)
        CHECK(integers[i] == contents->integers[i]);
    for (int i = 0; i < addresses_count; i++)
        CHECK(addresses[i] == contents->addresses[i]);
    for (int i = 0; i < types_count; i++)
        CHECK(types[i] == contents->types[i]);
    if (integers_count > 0)
        REFUSED(MPI_Type_get_contents(type, integers_count - 1, 8, 8, integers, addresses, types),
                MPI_ERR_ARG);
    REFUSED(MPI_Type_get_contents(type, 24, 8, types_count - 1, integers, addresses, types),
            MPI_ERR_ARG);
}

/* ------------------------------------------------------------------------ constructors */

static void
check_contiguous(void)
{
    MPI_Datatype type;

    OK(MPI_Type_contiguous(3, MPI_SHORT, &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_CONTIGUOUS, {3}, 1, {0}, 0, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 3, {0, 2, 4}, 0, 6});
    OK(MPI_Type_contiguous(0, MPI_INT, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Send(NULL, 5, type, MPI_PROC_NULL, 0, MPI_COMM_WORLD));
    OK(MPI_Type_free(&type));
    REFUSED(MPI_Type_contiguous(-1, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_contiguous(1, MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
    REFUSED(MPI_Type_contiguous(1, MPI_INT, NULL), MPI_ERR_ARG);
}

static void
check_vectors(void)
{
    MPI_Datatype type;

    OK(MPI_Type_vector(2, 2, 3, MPI_INT, &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_VECTOR, {2, 2, 3}, 3, {0}, 0, {MPI_INT}, 1});
    check_map(type, &(struct map){4, 4, {0, 4, 12, 16}, 0, 20});
    OK(MPI_Type_vector(3, 1, -2, MPI_CHAR, &type));
    check_map(type, &(struct map){1, 3, {0, -2, -4}, -4, 5});
    OK(MPI_Type_create_hvector(2, 2, 11, MPI_SHORT, &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_HVECTOR, {2, 2}, 2, {11}, 1, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 4, {0, 2, 11, 13}, 0, 15});
    OK(MPI_Type_hvector(2, 1, 5, MPI_CHAR, &type));
    check_map(type, &(struct map){1, 2, {0, 5}, 0, 6});
    REFUSED(MPI_Type_vector(-1, 1, 1, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_vector(1, -1, 1, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_vector(1, 1, 1, MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
    REFUSED(MPI_Type_create_hvector(-1, 1, 1, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_create_hvector(1, 1, 1, MPI_INT, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Type_hvector(1, 1, 1, MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
}

static void
check_indexed(void)
{
    static const int lengths[] = {2, 0, 1}, places[] = {3, 9, -1};
    static const MPI_Aint displacements[] = {7, 50, -3};
    static const struct map in_bytes = {2, 3, {7, 9, -3}, -3, 14};
    MPI_Datatype type;

    OK(MPI_Type_indexed(3, lengths, places, MPI_SHORT, &type));
    check_contents(type,
                   &(struct contents){
                       MPI_COMBINER_INDEXED, {3, 2, 0, 1, 3, 9, -1}, 7, {0}, 0, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 3, {6, 8, -2}, -2, 12});
    OK(MPI_Type_create_hindexed(3, lengths, displacements, MPI_SHORT, &type));
    check_contents(
        type,
        &(struct contents){MPI_COMBINER_HINDEXED, {3, 2, 0, 1}, 4, {7, 50, -3}, 3, {MPI_SHORT}, 1});
    check_map(type, &in_bytes);
    OK(MPI_Type_hindexed(3, (int *)lengths, (MPI_Aint *)displacements, MPI_SHORT, &type));
    check_map(type, &in_bytes);
    OK(MPI_Type_indexed(0, NULL, NULL, MPI_INT, &type));
    OK(MPI_Type_free(&type));
    REFUSED(MPI_Type_indexed(-1, lengths, places, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_indexed(1, &places[2], places, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_indexed(1, lengths, NULL, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_create_hindexed(-1, lengths, displacements, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_create_hindexed(1, NULL, displacements, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_hindexed(1, NULL, NULL, MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
}

static void
check_blocks(void)
{
    static const int places[] = {4, 0};
    static const MPI_Aint displacements[] = {13, 0};
    MPI_Datatype type;

    OK(MPI_Type_create_indexed_block(2, 2, places, MPI_SHORT, &type));
    check_contents(type, &(struct contents){
                             MPI_COMBINER_INDEXED_BLOCK, {2, 2, 4, 0}, 4, {0}, 0, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 4, {8, 10, 0, 2}, 0, 12});
    OK(MPI_Type_create_hindexed_block(2, 2, displacements, MPI_SHORT, &type));
    check_contents(type, &(struct contents){
                             MPI_COMBINER_HINDEXED_BLOCK, {2, 2}, 2, {13, 0}, 2, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 4, {13, 15, 0, 2}, 0, 17});
    REFUSED(MPI_Type_create_indexed_block(-1, 1, places, MPI_INT, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_create_indexed_block(1, -1, places, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_create_hindexed_block(1, 1, NULL, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_create_hindexed_block(1, 1, displacements, MPI_DATATYPE_NULL, &type),
            MPI_ERR_TYPE);
}

static void
check_structs(void)
{
    static const int lengths[] = {1, 2};
    static const MPI_Aint displacements[] = {8, 0};
    static const MPI_Datatype types[] = {MPI_INT, MPI_SHORT};
    MPI_Datatype wrong[] = {MPI_INT, MPI_DATATYPE_NULL}, type;
    MPI_Aint lb, extent;

    OK(MPI_Type_create_struct(2, lengths, displacements, types, &type));
    check_contents(
        type,
        &(struct contents){MPI_COMBINER_STRUCT, {2, 1, 2}, 3, {8, 0}, 2, {MPI_INT, MPI_SHORT}, 2});
    OK(MPI_Type_free(&type));
    OK(MPI_Type_create_struct(1, lengths, displacements, types, &type));
    check_map(type, &(struct map){4, 1, {8}, 8, 4});
    OK(MPI_Type_struct(2, (int *)lengths, (MPI_Aint *)displacements, (MPI_Datatype *)types, &type));
    OK(MPI_Type_get_extent(type, &lb, &extent));
    CHECK(lb == 0 && extent == 12);
    OK(MPI_Type_free(&type));
    REFUSED(MPI_Type_create_struct(-1, lengths, displacements, types, &type), MPI_ERR_COUNT);
    REFUSED(MPI_Type_create_struct(2, lengths, displacements, wrong, &type), MPI_ERR_TYPE);
    REFUSED(MPI_Type_create_struct(2, NULL, displacements, types, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_struct(2, NULL, NULL, NULL, &type), MPI_ERR_ARG);
}

static void
check_subarrays(void)
{
    static const int sizes[] = {3, 4}, parts[] = {2, 2}, starts[] = {1, 1}, late[] = {2, 1};
    MPI_Datatype type;

    OK(MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_C, MPI_SHORT, &type));
    check_contents(
        type,
        &(struct contents){
            MPI_COMBINER_SUBARRAY, {2, 3, 4, 2, 2, 1, 1, MPI_ORDER_C}, 8, {0}, 0, {MPI_SHORT}, 1});
    check_map(type, &(struct map){2, 4, {10, 12, 18, 20}, 0, 24});
    OK(MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_FORTRAN, MPI_SHORT, &type));
    check_map(type, &(struct map){2, 4, {8, 10, 14, 16}, 0, 24});
    REFUSED(MPI_Type_create_subarray(2, sizes, parts, late, MPI_ORDER_C, MPI_INT, &type),
            MPI_ERR_ARG);
    REFUSED(MPI_Type_create_subarray(0, sizes, parts, starts, MPI_ORDER_C, MPI_INT, &type),
            MPI_ERR_ARG);
    REFUSED(MPI_Type_create_subarray(2, sizes, parts, starts, 5, MPI_INT, &type), MPI_ERR_ARG);
    REFUSED(
        MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_C, MPI_DATATYPE_NULL, &type),
        MPI_ERR_TYPE);
}

/* Member 1 of 2 x 2, which has column blocks of 2 by turns, and the upper rows. */
static void
check_darrays(void)
{
    static const int sizes[] = {3, 6}, places[] = {2, 2},
                     arguments[] = {MPI_DISTRIBUTE_DFLT_DARG, 2};
    static const int how[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC}, few[] = {1, 2};
    MPI_Datatype type;

    OK(MPI_Type_create_darray(4, 1, 2, sizes, how, arguments, places, MPI_ORDER_C, MPI_CHAR,
                              &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_DARRAY,
                                      {4, 1, 2, 3, 6, MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC,
                                       MPI_DISTRIBUTE_DFLT_DARG, 2, 2, 2, MPI_ORDER_C},
                                      12,
                                      {0},
                                      0,
                                      {MPI_CHAR},
                                      1});
    check_map(type, &(struct map){1, 4, {2, 3, 8, 9}, 0, 18});
    OK(MPI_Type_create_darray(4, 2, 2, sizes, how, arguments, places, MPI_ORDER_C, MPI_CHAR,
                              &type));
    check_map(type, &(struct map){1, 4, {12, 13, 16, 17}, 0, 18});
    REFUSED(MPI_Type_create_darray(4, 4, 2, sizes, how, arguments, places, MPI_ORDER_C, MPI_CHAR,
                                   &type),
            MPI_ERR_ARG);
    REFUSED(
        MPI_Type_create_darray(4, 0, 2, sizes, how, arguments, few, MPI_ORDER_C, MPI_CHAR, &type),
        MPI_ERR_ARG);
    REFUSED(MPI_Type_create_darray(4, 0, 2, sizes, how, arguments, places, MPI_ORDER_C,
                                   MPI_DATATYPE_NULL, &type),
            MPI_ERR_TYPE);
}

static void
check_resized(void)
{
    MPI_Datatype type, copy;

    OK(MPI_Type_create_resized(MPI_SHORT, -4, 16, &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_RESIZED, {0}, 0, {-4, 16}, 2, {MPI_SHORT}, 1});
    OK(MPI_Type_dup(type, &copy));
    REFUSED(MPI_Type_create_resized(MPI_DATATYPE_NULL, 0, 1, &type), MPI_ERR_TYPE);
    REFUSED(MPI_Type_create_resized(MPI_INT, 0, 1, NULL), MPI_ERR_ARG);
    check_map(type, &(struct map){2, 1, {0}, -4, 16});
    check_map(copy, &(struct map){2, 1, {0}, -4, 16});
    OK(MPI_Type_dup(MPI_INT, &copy)); /* of one that is committed: it is, too */
    check_contents(copy, &(struct contents){MPI_COMBINER_DUP, {0}, 0, {0}, 0, {MPI_INT}, 1});
    OK(MPI_Send(NULL, 0, copy, MPI_PROC_NULL, 0, MPI_COMM_WORLD));
    OK(MPI_Type_free(&copy));
    REFUSED(MPI_Type_dup(MPI_DATATYPE_NULL, &copy), MPI_ERR_TYPE);
}

/* Contents that are derived types are new handles, which the program frees. */
static void
check_nested(void)
{
    static const struct map map = {1, 8, {0, 2, 5, 7, 11, 13, 16, 18}, 0, 19};
    int integers[2];
    MPI_Aint addresses[1];
    MPI_Datatype inner, middle, outer, got;

    OK(MPI_Type_vector(2, 1, 2, MPI_CHAR, &inner));
    OK(MPI_Type_create_hvector(2, 1, 5, inner, &middle));
    OK(MPI_Type_create_hvector(2, 1, 11, middle, &outer));
    OK(MPI_Type_free(&inner));
    OK(MPI_Type_get_contents(outer, 2, 1, 1, integers, addresses, &got));
    CHECK(integers[0] == 2 && integers[1] == 1 && addresses[0] == 11);
    check_bounds(got, &(struct map){1, 4, {0, 2, 5, 7}, 0, 8});
    OK(MPI_Type_free(&got));
    OK(MPI_Type_free(&middle));
    check_map(outer, &map);
}

/* ------------------------------------------------------------------ asking, and asking wrongly */

static void
check_wrong_questions(void)
{
    MPI_Datatype none = MPI_DATATYPE_NULL, kept = MPI_INT;
    int number, combiner;
    MPI_Count large;
    MPI_Aint lb, extent;

    OK(MPI_Type_get_envelope(MPI_INT, &number, &number, &number, &combiner));
    CHECK(combiner == MPI_COMBINER_NAMED && number == 0);
    REFUSED(MPI_Type_get_contents(MPI_INT, 1, 1, 1, &number, &lb, &none), MPI_ERR_TYPE);
    none = MPI_DATATYPE_NULL;
    REFUSED(MPI_Type_get_envelope(none, &number, &number, &number, &combiner), MPI_ERR_TYPE);
    REFUSED(MPI_Type_get_envelope(MPI_INT, &number, &number, &number, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Type_size(none, &number), MPI_ERR_TYPE);
    REFUSED(MPI_Type_size(MPI_INT, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Type_size_x(none, &large), MPI_ERR_TYPE);
    REFUSED(MPI_Type_get_extent(none, &lb, &extent), MPI_ERR_TYPE);
    REFUSED(MPI_Type_get_extent(MPI_INT, NULL, &extent), MPI_ERR_ARG);
    REFUSED(MPI_Type_get_extent_x(none, &large, &large), MPI_ERR_TYPE);
    REFUSED(MPI_Type_get_true_extent(none, &lb, &extent), MPI_ERR_TYPE);
    REFUSED(MPI_Type_get_true_extent_x(none, &large, &large), MPI_ERR_TYPE);
    REFUSED(MPI_Type_lb(none, &lb), MPI_ERR_TYPE);
    REFUSED(MPI_Type_ub(none, &lb), MPI_ERR_TYPE);
    REFUSED(MPI_Type_extent(none, &lb), MPI_ERR_TYPE);
    REFUSED(MPI_Type_commit(&none), MPI_ERR_TYPE);
    REFUSED(MPI_Type_commit(NULL), MPI_ERR_ARG);
    REFUSED(MPI_Type_free(&none), MPI_ERR_TYPE);
    REFUSED(MPI_Type_free(&kept), MPI_ERR_TYPE);
    CHECK(kept == MPI_INT);
}

/* A type that was freed is nobody's handle any more, but lives on in those made of it. */
static void
check_freed(void)
{
    MPI_Datatype type, made, old;
    int size_bytes;

    OK(MPI_Type_contiguous(2, MPI_INT, &type));
    OK(MPI_Type_contiguous(2, type, &made));
    old = type;
    OK(MPI_Type_free(&type));
    REFUSED(MPI_Type_size(old, &size_bytes), MPI_ERR_TYPE);
    REFUSED(MPI_Type_free(&old), MPI_ERR_TYPE);
    check_map(made, &(struct map){4, 4, {0, 4, 8, 12}, 0, 16});
}

/* Sizes that no int has. */
static void
check_large(void)
{
    MPI_Datatype type, larger, many;
    MPI_Count size_x;
    int bytes;

    OK(MPI_Type_contiguous(INT_MAX, MPI_INT, &type));
    OK(MPI_Type_size(type, &bytes));
    OK(MPI_Type_size_x(type, &size_x));
    CHECK(bytes == MPI_UNDEFINED && size_x == 4 * (MPI_Count)INT_MAX);
    OK(MPI_Type_contiguous(INT_MAX / 16, type, &larger));
    REFUSED(MPI_Type_contiguous(INT_MAX, larger, &many), MPI_ERR_COUNT);
    OK(MPI_Type_free(&larger));
    OK(MPI_Type_free(&type));
}

static void
check_names(void)
{
    char name[MPI_MAX_OBJECT_NAME] = "x";
    MPI_Datatype type;
    int length;

    OK(MPI_Type_get_name(MPI_DOUBLE, name, &length));
    CHECK(strcmp(name, "MPI_DOUBLE") == 0 && length == 10);
    OK(MPI_Type_dup(MPI_DOUBLE, &type));
    OK(MPI_Type_get_name(type, name, &length));
    CHECK(name[0] == '\0' && length == 0);
    OK(MPI_Type_set_name(type, "a row"));
    OK(MPI_Type_get_name(type, name, &length));
    CHECK(strcmp(name, "a row") == 0 && length == 5);
    REFUSED(MPI_Type_set_name(type, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Type_get_name(type, name, NULL), MPI_ERR_ARG);
    OK(MPI_Type_free(&type));
    REFUSED(MPI_Type_set_name(MPI_DATATYPE_NULL, "none"), MPI_ERR_TYPE);
}

static int copied, deleted;

static int
copy_attribute(MPI_Datatype type, int key, void *extra, void *in, void *out, int *flag)
{
    (void)type;
    (void)key;
    copied += extra == &copied;
    *(void **)out = in;
    *flag = 1;
    return MPI_SUCCESS;
}

static int
delete_attribute(MPI_Datatype type, int key, void *value, void *extra)
{
    (void)type;
    (void)key;
    (void)value;
    deleted += extra == &copied;
    return MPI_SUCCESS;
}

static void
check_attributes(void)
{
    MPI_Datatype type, copy;
    int key, is_set, place, *value = NULL;

    OK(MPI_Type_create_keyval(copy_attribute, delete_attribute, &key, &copied));
    OK(MPI_Type_contiguous(2, MPI_INT, &type));
    OK(MPI_Type_set_attr(type, key, &place));
    OK(MPI_Type_dup(type, &copy));
    OK(MPI_Type_get_attr(copy, key, &value, &is_set));
    CHECK(copied == 1 && is_set && value == &place);
    OK(MPI_Type_delete_attr(copy, key));
    CHECK(deleted == 1);
    OK(MPI_Type_get_attr(copy, key, &value, &is_set));
    CHECK(!is_set);
    REFUSED(MPI_Type_delete_attr(copy, key), MPI_ERR_KEYVAL);
    OK(MPI_Type_free(&copy));
    OK(MPI_Type_free(&type));
    CHECK(deleted == 2);
    OK(MPI_Type_free_keyval(&key));
    REFUSED(MPI_Type_free_keyval(&key), MPI_ERR_KEYVAL);
    REFUSED(MPI_Type_set_attr(MPI_INT, key, &place), MPI_ERR_KEYVAL);
    REFUSED(MPI_Type_get_attr(MPI_DATATYPE_NULL, key, &value, &is_set), MPI_ERR_TYPE);
    REFUSED(MPI_Type_create_keyval(copy_attribute, delete_attribute, NULL, NULL), MPI_ERR_ARG);
}

static void
check_fortran(void)
{
    MPI_Datatype type, again;
    int bytes;

    OK(MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, &type));
    CHECK(type == MPI_REAL8);
    OK(MPI_Type_match_size(MPI_TYPECLASS_INTEGER, 2, &type));
    CHECK(type == MPI_INTEGER2);
    OK(MPI_Type_match_size(MPI_TYPECLASS_COMPLEX, 16, &type));
    CHECK(type == MPI_COMPLEX16);
    REFUSED(MPI_Type_match_size(MPI_TYPECLASS_REAL, 7, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_match_size(0, 4, &type), MPI_ERR_ARG);
    OK(MPI_Type_create_f90_integer(9, &type));
    check_contents(type, &(struct contents){MPI_COMBINER_F90_INTEGER, {9}, 1, {0}, 0, {NULL}, 0});
    OK(MPI_Type_create_f90_integer(9, &again));
    CHECK(again == type);
    OK(MPI_Type_create_f90_real(15, MPI_UNDEFINED, &type));
    check_contents(
        type, &(struct contents){MPI_COMBINER_F90_REAL, {15, MPI_UNDEFINED}, 2, {0}, 0, {NULL}, 0});
    OK(MPI_Type_size(type, &bytes));
    CHECK(bytes == 8);
    REFUSED(MPI_Type_free(&type), MPI_ERR_TYPE);
    OK(MPI_Type_create_f90_complex(6, 37, &type));
    check_contents(type,
                   &(struct contents){MPI_COMBINER_F90_COMPLEX, {6, 37}, 2, {0}, 0, {NULL}, 0});
    REFUSED(MPI_Type_create_f90_integer(99, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_create_f90_real(99, 1, &type), MPI_ERR_ARG);
    REFUSED(MPI_Type_create_f90_complex(MPI_UNDEFINED, MPI_UNDEFINED, &type), MPI_ERR_ARG);
}

static void
check_addresses(void)
{
    int numbers[4];
    MPI_Aint first, third;

    OK(MPI_Get_address(&numbers[0], &first));
    OK(MPI_Address(&numbers[2], &third));
    CHECK(MPI_Aint_diff(third, first) == 8 && MPI_Aint_add(first, 8) == third);
    REFUSED(MPI_Get_address(numbers, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Address(numbers, NULL), MPI_ERR_ARG);
}

/* An address in the type, and nothing in the buffer. */
static void
check_absolute(void)
{
    static const int lengths[] = {1, 2};
    int first = rank, others[] = {rank + 1, rank + 2}, got[3];
    MPI_Aint addresses[2];
    MPI_Datatype type;

    OK(MPI_Get_address(&first, &addresses[0]));
    OK(MPI_Get_address(others, &addresses[1]));
    OK(MPI_Type_create_hindexed(2, lengths, addresses, MPI_INT, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Sendrecv(MPI_BOTTOM, 1, type, next, 3, got, 3, MPI_INT, last, 3, MPI_COMM_WORLD,
                    MPI_STATUS_IGNORE));
    CHECK(got[0] == last && got[1] == last + 1 && got[2] == last + 2);
    OK(MPI_Type_free(&type));
}

/* ------------------------------------------------------------------------ packed forms */

static void
check_packing(void)
{
    int numbers[] = {rank, rank + 1}, got[2] = {0}, at = 0, room;
    char letter = 'w', packed[64], incoming[64];

    OK(MPI_Pack(numbers, 2, MPI_INT, packed, 64, &at, MPI_COMM_WORLD));
    OK(MPI_Pack(&letter, 1, MPI_CHAR, packed, 64, &at, MPI_COMM_WORLD));
    OK(MPI_Sendrecv(packed, at, MPI_PACKED, next, 4, incoming, 64, MPI_PACKED, last, 4,
                    MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    at = 0;
    letter = 'x';
    OK(MPI_Unpack(incoming, 64, &at, got, 2, MPI_INT, MPI_COMM_WORLD));
    OK(MPI_Unpack(incoming, 64, &at, &letter, 1, MPI_CHAR, MPI_COMM_WORLD));
    CHECK(got[0] == last && got[1] == last + 1 && letter == 'w' && at == 9);
    at = 60;
    REFUSED(MPI_Pack(numbers, 2, MPI_INT, packed, 64, &at, MPI_COMM_WORLD), MPI_ERR_TRUNCATE);
    REFUSED(MPI_Unpack(packed, 64, &at, got, 2, MPI_INT, MPI_COMM_WORLD), MPI_ERR_TRUNCATE);
    CHECK(at == 60);
    REFUSED(MPI_Pack(numbers, 2, MPI_INT, packed, -1, &at, MPI_COMM_WORLD), MPI_ERR_ARG);
    REFUSED(MPI_Pack(numbers, -1, MPI_INT, packed, 64, &at, MPI_COMM_WORLD), MPI_ERR_COUNT);
    REFUSED(MPI_Pack(numbers, 1, MPI_INT, packed, 64, &at, MPI_COMM_NULL), MPI_ERR_COMM);
    REFUSED(MPI_Unpack(packed, 64, &at, got, 1, MPI_DATATYPE_NULL, MPI_COMM_WORLD), MPI_ERR_TYPE);
    REFUSED(MPI_Unpack(packed, 64, NULL, got, 1, MPI_INT, MPI_COMM_WORLD), MPI_ERR_ARG);
    REFUSED(MPI_Pack_size(1, MPI_DATATYPE_NULL, MPI_COMM_WORLD, &room), MPI_ERR_TYPE);
    REFUSED(MPI_Pack_size(-1, MPI_INT, MPI_COMM_WORLD, &room), MPI_ERR_COUNT);
    REFUSED(MPI_Pack_size(1, MPI_INT, MPI_COMM_NULL, &room), MPI_ERR_COMM);
}

/* One of each format, and its bytes by the standard: the first one first, negative ones in two's
 * complement, IEEE reals, all with the highest byte first. */
static void
check_external(const char *wanted, int bytes, const void *value, MPI_Datatype type)
{
    char packed[32] = {0}, back[32];
    MPI_Aint at = 0, room;
    int value_bytes;

    OK(MPI_Type_size(type, &value_bytes));
    OK(MPI_Pack_external_size("external32", 1, type, &room));
    CHECK(room == bytes);
    OK(MPI_Pack_external("external32", value, 1, type, packed, 32, &at));
    CHECK(at == bytes && memcmp(packed, wanted, bytes) == 0);
    at = 0;
    memset(back, 0xee, sizeof(back));
    OK(MPI_Unpack_external("external32", packed, bytes, &at, back, 1, type));
    CHECK(at == bytes && memcmp(back, value, value_bytes) == 0);
}

static void
check_externals(void)
{
    check_external("\xfe", 1, &(signed char){-2}, MPI_SIGNED_CHAR);
    check_external("a", 1, "a", MPI_CHAR);
    check_external("\xff\xfe", 2, &(short){-2}, MPI_SHORT);
    check_external("\x01\x02", 2, &(unsigned short){0x102}, MPI_UNSIGNED_SHORT);
    check_external("\x01\x02\x03\x04", 4, &(int){0x1020304}, MPI_INT);
    check_external("\xff\xff\xff\xfe", 4, &(int){-2}, MPI_INTEGER);
    check_external("\xff\xff\xff\xfe", 4, &(long){-2}, MPI_LONG);
    check_external("\0\0\0\0\0\0\x01\0", 8, &(long long){256}, MPI_LONG_LONG);
    check_external("\0\0\0\0\0\0\x01\0", 8, &(uint64_t){256}, MPI_UINT64_T);
    check_external("\0\0\0\0\0\0\x01\0", 8, &(MPI_Aint){256}, MPI_AINT);
    check_external("\x3f\x80\0\0", 4, &(float){1}, MPI_FLOAT);
    check_external("\xc0\0\0\0\0\0\0\0", 8, &(double){-2}, MPI_DOUBLE);
    check_external("\x3f\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, &(long double){1}, MPI_LONG_DOUBLE);
    check_external("\x3f\x80\0\0\xc0\0\0\0", 8, (float[]){1, -2}, MPI_C_FLOAT_COMPLEX);
    check_external("\0\0\0\x01", 4, &(bool){true}, MPI_C_BOOL);
    check_external("\0\0\0\x05\0\0\0\x06", 8, (int[]){5, 6}, MPI_2INT);
    check_external("abc", 1, "a", MPI_BYTE);
}

static void
check_wrong_externals(void)
{
    char packed[16];
    MPI_Aint at = 12;
    int numbers[2] = {0};

    REFUSED(MPI_Pack_external("internal", numbers, 1, MPI_INT, packed, 16, &at), MPI_ERR_ARG);
    REFUSED(MPI_Pack_external(NULL, numbers, 1, MPI_INT, packed, 16, &at), MPI_ERR_ARG);
    REFUSED(MPI_Pack_external("external32", numbers, 2, MPI_INT, packed, 16, &at),
            MPI_ERR_TRUNCATE);
    REFUSED(MPI_Pack_external("external32", numbers, -1, MPI_INT, packed, 16, &at), MPI_ERR_COUNT);
    REFUSED(MPI_Unpack_external("external32", packed, 16, &at, numbers, 2, MPI_INT),
            MPI_ERR_TRUNCATE);
    REFUSED(MPI_Unpack_external("external32", packed, 16, NULL, numbers, 1, MPI_INT), MPI_ERR_ARG);
    REFUSED(MPI_Unpack_external("external32", packed, 16, &at, numbers, 1, MPI_DATATYPE_NULL),
            MPI_ERR_TYPE);
    REFUSED(MPI_Pack_external_size("external32", 1, MPI_DATATYPE_NULL, &at), MPI_ERR_TYPE);
    REFUSED(MPI_Pack_external_size("native", 1, MPI_INT, &at), MPI_ERR_ARG);
    CHECK(at == 12);
}

/* -------------------------------------------------------------------- how much has come */

static void
check_elements(void)
{
    static const int lengths[] = {2, 1};
    static const MPI_Aint displacements[] = {0, 8};
    static const MPI_Datatype types[] = {MPI_INT, MPI_SHORT};
    int out[12] = {0}, in[12], count;
    MPI_Count count_x;
    MPI_Datatype type;
    MPI_Status status;

    OK(MPI_Type_create_struct(2, lengths, displacements, types, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Sendrecv(out, 14, MPI_BYTE, next, 5, in, 3, type, last, 5, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, type, &count));
    CHECK(count == MPI_UNDEFINED); /* one, and an int of the second */
    OK(MPI_Get_elements(&status, type, &count));
    OK(MPI_Get_elements_x(&status, type, &count_x));
    CHECK(count == 4 && count_x == 4);
    OK(MPI_Get_elements(&status, MPI_INT, &count));
    CHECK(count == MPI_UNDEFINED);
    OK(MPI_Status_set_elements(&status, type, 3));
    OK(MPI_Get_count(&status, type, &count));
    CHECK(count == 1);
    OK(MPI_Status_set_elements_x(&status, MPI_INT, (MPI_Count)INT_MAX + 1));
    OK(MPI_Get_elements(&status, MPI_INT, &count));
    OK(MPI_Get_elements_x(&status, MPI_INT, &count_x));
    CHECK(count == MPI_UNDEFINED && count_x == (MPI_Count)INT_MAX + 1);
    REFUSED(MPI_Get_elements(&status, MPI_DATATYPE_NULL, &count), MPI_ERR_TYPE);
    REFUSED(MPI_Get_elements(&status, type, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Get_elements_x(&status, MPI_DATATYPE_NULL, &count_x), MPI_ERR_TYPE);
    REFUSED(MPI_Get_count(&status, MPI_DATATYPE_NULL, &count), MPI_ERR_TYPE);
    REFUSED(MPI_Status_set_elements(&status, type, -1), MPI_ERR_COUNT);
    REFUSED(MPI_Status_set_elements_x(&status, MPI_DATATYPE_NULL, 1), MPI_ERR_TYPE);
    OK(MPI_Type_free(&type));
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    next = (rank + 1) % size;
    last = (rank + size - 1) % size;
    check_contiguous();
    check_vectors();
    check_indexed();
    check_blocks();
    check_structs();
    check_subarrays();
    check_darrays();
    check_resized();
    check_nested();
    check_wrong_questions();
    check_freed();
    check_large();
    check_names();
    check_attributes();
    check_fortran();
    check_addresses();
    check_absolute();
    check_packing();
    check_externals();
    check_wrong_externals();
    check_elements();
    return end();
}
