/* SPDX-License-Identifier: Apache-2.0
 *
 * type: the life of a type, its sizes and bounds (from its shape), and its commitment (its layout).
 */
#include <stdlib.h>
#include <string.h>

#include "type_internal.h"

#define SIZE_LIMIT ((__int128)1 << 62) /* of sizes and bounds: sums of two do not overflow */

/* ------------------------------------------------------------------------- life */

struct mpi_type *
mpi_type_get(struct mpi_type *type)
{
    type->references++;
    return type;
}

static void
pieces_free(struct mpi_type_map *map)
{
    for (int64_t i = 0; i < map->pieces_count; i++)
        mpi_type_put(map->pieces[i].type);
    free(map->pieces);
}

static void
map_put(struct mpi_type_map *map)
{
    if (--map->references > 0)
        return;
    mpi_layout_put(map->layout);
    mpi_type_put(map->inner);
    pieces_free(map);
    for (int i = 0; map->types != NULL && i < map->types_count; i++)
        mpi_type_put(map->types[i]);
    free(map->types);
    free(map->integers);
    free(map->addresses);
    free(map);
}

void
mpi_type_put(struct mpi_type *type)
{
    if (type == NULL || --type->references > 0)
        return;
    map_put(type->map);
    free(type);
}

/* One that is empty yet. */
static struct mpi_type *
type_create(void)
{
    struct mpi_type *type = calloc(1, sizeof(*type));

    if (type == NULL)
        return NULL;
    type->references = 1;
    type->map = calloc(1, sizeof(*type->map));
    if (type->map == NULL) {
        free(type);
        return NULL;
    }
    type->map->references = 1;
    type->map->alignment = 1;
    return type;
}

struct mpi_type *
mpi_type_clone(const struct mpi_type *type)
{
    struct mpi_type *clone = malloc(sizeof(*clone));

    if (clone == NULL)
        return NULL;
    *clone = *type;
    clone->references = 1;
    clone->handle = NULL;
    clone->is_predefined = false;
    clone->attributes.first = NULL;
    clone->name[0] = '\0';
    clone->map->references++;
    return clone;
}

int
mpi_type_find(MPI_Datatype handle, struct mpi_type **out)
{
    struct mpi_type *type;

    mpi_types_init();
    type = mpi_handle_find(MPI_KIND_TYPE, handle);
    if (type == NULL)
        return MPI_ERR_TYPE;
    *out = type;
    return 0;
}

int
mpi_type_use(MPI_Datatype handle, int64_t count, struct mpi_type **out)
{
    struct mpi_type *type;
    int err;

    if (count < 0)
        return MPI_ERR_COUNT;
    err = mpi_type_find(handle, &type);
    if (err != 0)
        return err;
    if (!type->is_committed)
        return MPI_ERR_TYPE;
    *out = type;
    return 0;
}

/* ------------------------------------------------------------------------ bounds */

/* What is known of a type while its parts are added up; 128 bits hold every sum of products. */
struct bounds {
    __int128 size, units;
    __int128 lb, ub, true_lb, true_ub;
    __int128 marked_lb, marked_ub;
    bool has_bytes, has_lb, has_ub;
};

static void
span_add(bool *is_there, __int128 *low, __int128 *high, __int128 from, __int128 to)
{
    if (!*is_there || from < *low)
        *low = from;
    if (!*is_there || to > *high)
        *high = to;
    *is_there = true;
}

/* One of a part at a place; where there are many in a row, the first and the last are enough. */
static void
bounds_place(struct bounds *bounds, const struct mpi_type *part, __int128 at)
{
    const __int128 lb = at + part->lb, ub = lb + part->extent, true_lb = at + part->true_lb;
    bool has_bytes = bounds->has_bytes;

    if (part->map->has_lb) {
        if (!bounds->has_lb || lb < bounds->marked_lb)
            bounds->marked_lb = lb;
        bounds->has_lb = true;
    }
    if (part->map->has_ub) {
        if (!bounds->has_ub || ub > bounds->marked_ub)
            bounds->marked_ub = ub;
        bounds->has_ub = true;
    }
    if (part->size == 0)
        return;
    span_add(&has_bytes, &bounds->lb, &bounds->ub, lb, ub);
    span_add(&bounds->has_bytes, &bounds->true_lb, &bounds->true_ub, true_lb,
             true_lb + part->true_extent);
}

/* count of a part in a row. */
static void
bounds_row(struct bounds *bounds, const struct mpi_type *part, __int128 at, int64_t count)
{
    if (count == 0)
        return;
    bounds_place(bounds, part, at);
    bounds_place(bounds, part, at + (__int128)(count - 1) * part->extent);
}

static void
bounds_amount(struct bounds *bounds, const struct mpi_type *part, __int128 count)
{
    bounds->size += count * part->size;
    bounds->units += count * part->map->units;
}

static bool
is_small(__int128 value)
{
    return value < SIZE_LIMIT && value > -SIZE_LIMIT;
}

/* Of what is not too large: compilers' libraries may lack division of 128 bits. */
static int64_t
round_up(int64_t value, uint32_t alignment)
{
    const int64_t over = value % alignment;

    return over > 0 ? value + alignment - over : value;
}

/* A type has the results, where they are not too large. */
static int
bounds_finish(const struct bounds *bounds, bool is_rounded, struct mpi_type *type)
{
    const __int128 lb = bounds->has_lb ? bounds->marked_lb : bounds->lb;
    const __int128 ub = bounds->has_ub ? bounds->marked_ub : bounds->ub;
    const __int128 extent = ub - lb;

    if (!is_small(bounds->size) || !is_small(lb) || !is_small(extent) ||
        !is_small(bounds->true_lb) || !is_small(bounds->true_ub))
        return MPI_ERR_COUNT;
    type->size = (int64_t)bounds->size;
    type->lb = (int64_t)lb;
    type->extent = (int64_t)extent;
    if (is_rounded && !bounds->has_ub)
        type->extent = round_up(type->extent, type->map->alignment);
    type->true_lb = (int64_t)bounds->true_lb;
    type->true_extent = (int64_t)(bounds->true_ub - bounds->true_lb);
    type->map->units = (int64_t)bounds->units;
    type->map->has_lb = bounds->has_lb;
    type->map->has_ub = bounds->has_ub;
    return 0;
}

/* What a type has of a part that is in it. */
static int
inherit(struct mpi_type *type, const struct mpi_type *part, bool is_first)
{
    struct mpi_type_map *map = type->map;

    type->element = is_first || type->element == part->element ? part->element : NULL;
    map->unit = is_first || map->unit == part->map->unit ? part->map->unit : NULL;
    if (part->map->alignment > map->alignment)
        map->alignment = part->map->alignment;
    if (part->map->depth + 1 > map->depth)
        map->depth = part->map->depth + 1;
    return map->depth <= MPI_TYPE_DEPTH_MAX ? 0 : MPI_ERR_COUNT;
}

/* ------------------------------------------------------------------------ shapes */

int
mpi_type_make_loop(struct mpi_type *inner, const struct mpi_type_loop *loop, struct mpi_type **out)
{
    const __int128 count = (__int128)loop->count * loop->block;
    const __int128 last = loop->offset + (__int128)(loop->count - 1) * loop->stride;
    struct bounds bounds = {0};
    struct mpi_type *type = type_create();
    int err;

    if (type == NULL)
        return MPI_ERR_NO_MEM;
    type->map->inner = mpi_type_get(inner);
    type->map->loop = *loop;
    if (count > 0) {
        bounds_row(&bounds, inner, loop->offset, loop->block);
        bounds_row(&bounds, inner, last, loop->block);
        bounds_amount(&bounds, inner, count);
    }
    err = inherit(type, inner, true);
    if (err == 0)
        err = is_small(count) ? bounds_finish(&bounds, false, type) : MPI_ERR_COUNT;
    if (err != 0) {
        mpi_type_put(type);
        return err;
    }
    *out = type;
    return 0;
}

/* Pieces of none are left out: they are nothing, wherever they lie. */
static void
pieces_copy(struct mpi_type_map *map, const struct mpi_type_piece *pieces, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (pieces[i].count == 0)
            continue;
        map->pieces[map->pieces_count] = pieces[i];
        (void)mpi_type_get(pieces[i].type);
        map->pieces_count++;
    }
}

static int
pieces_measure(struct mpi_type *type, bool is_struct)
{
    const struct mpi_type_map *map = type->map;
    struct bounds bounds = {0};
    bool is_first = true;

    for (int64_t i = 0; i < map->pieces_count; i++) {
        const struct mpi_type_piece *piece = &map->pieces[i];

        bounds_row(&bounds, piece->type, piece->displacement, piece->count);
        bounds_amount(&bounds, piece->type, piece->count);
        if (piece->type->size == 0)
            continue;
        if (inherit(type, piece->type, is_first) != 0)
            return MPI_ERR_COUNT;
        is_first = false;
    }
    return bounds_finish(&bounds, is_struct, type);
}

int
mpi_type_make_list(const struct mpi_type_piece *pieces, int64_t count, bool is_struct,
                   struct mpi_type **out)
{
    struct mpi_type *type = type_create();
    int err = MPI_ERR_NO_MEM;

    if (type == NULL)
        return MPI_ERR_NO_MEM;
    type->map->pieces = calloc((size_t)count + 1, sizeof(*pieces));
    if (type->map->pieces != NULL) {
        pieces_copy(type->map, pieces, count);
        err = pieces_measure(type, is_struct);
    }
    if (err != 0) {
        mpi_type_put(type);
        return err;
    }
    *out = type;
    return 0;
}

int
mpi_type_bound(struct mpi_type *type, int64_t lb, int64_t extent)
{
    if (!is_small(lb) || !is_small(extent))
        return MPI_ERR_ARG;
    type->lb = lb;
    type->extent = extent;
    type->map->has_lb = true;
    type->map->has_ub = true;
    return 0;
}

/* ---------------------------------------------------------------------- layouts */

static int
compile_loop(struct mpi_type_map *map)
{
    const struct mpi_type_loop *loop = &map->loop;
    const struct mpi_type *inner = map->inner;
    struct mpi_layout *block;

    if (loop->count == 0 || loop->block == 0 || inner->size == 0) {
        map->layout = mpi_layout_run(0);
        return map->layout != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    block = mpi_layout_repeat(inner->map->layout, (uint64_t)loop->block, inner->extent);
    if (block == NULL)
        return MPI_ERR_NO_MEM;
    map->layout = mpi_layout_repeat(block, (uint64_t)loop->count, loop->stride);
    map->layout_offset = loop->offset + inner->map->layout_offset;
    mpi_layout_put(block);
    return map->layout != NULL ? 0 : MPI_ERR_NO_MEM;
}

static void
compile_piece(struct mpi_layout_builder *builder, const struct mpi_type_piece *piece)
{
    const struct mpi_type *type = piece->type;
    const int64_t at = piece->displacement + type->map->layout_offset;
    struct mpi_layout *row;

    if (type->size == 0)
        return;
    if (type->map->layout->kind == MPI_LAYOUT_RUN && type->size == type->extent) {
        mpi_layout_add_run(builder, at, (uint64_t)(type->size * piece->count));
        return;
    }
    row = mpi_layout_repeat(type->map->layout, (uint64_t)piece->count, type->extent);
    if (row == NULL)
        builder->is_failed = true;
    else
        mpi_layout_add(builder, at, row);
    mpi_layout_put(row);
}

static int
compile_list(struct mpi_type_map *map)
{
    struct mpi_layout_builder builder = {0};
    int err = 0;

    for (int64_t i = 0; i < map->pieces_count && err == 0; i++) {
        err = mpi_type_compile(map->pieces[i].type);
        if (err == 0)
            compile_piece(&builder, &map->pieces[i]);
    }
    builder.is_failed |= err != 0;
    map->layout = mpi_layout_finish(&builder, &map->layout_offset);
    return map->layout != NULL ? 0 : MPI_ERR_NO_MEM;
}

int
mpi_type_compile(struct mpi_type *type)
{
    struct mpi_type_map *map = type->map;
    int err;

    if (map->layout != NULL)
        return 0;
    if (map->inner == NULL)
        return compile_list(map);
    err = mpi_type_compile(map->inner);
    return err != 0 ? err : compile_loop(map);
}

int
mpi_type_finish(struct mpi_type *type)
{
    int err = mpi_type_compile(type);

    if (err != 0)
        return err;
    type->is_run = type->map->layout->kind == MPI_LAYOUT_RUN;
    type->is_dense = type->is_run && type->size == type->extent;
    type->is_committed = true;
    return 0;
}

/* ---------------------------------------------------------------------- handles */

int
mpi_type_handle(struct mpi_type *type, MPI_Datatype *out)
{
    type->handle = mpi_handle_make(MPI_KIND_TYPE, type);
    if (type->handle == NULL) {
        mpi_type_put(type);
        return MPI_ERR_NO_MEM;
    }
    *out = type->handle;
    return 0;
}

static bool
integers_copy(struct mpi_type_map *map, const struct mpi_type_contents *contents)
{
    const size_t lists = sizeof(contents->integers) / sizeof(contents->integers[0]);
    int64_t count = 0;
    int *to;

    for (size_t i = 0; i < lists; i++)
        count += contents->integers[i].count;
    if (count > INT32_MAX)
        return false;
    to = map->integers = calloc((size_t)count + 1, sizeof(int));
    if (to == NULL)
        return false;
    map->integers_count = (int)count;
    for (size_t i = 0; i < lists; i++) {
        const size_t n = (size_t)contents->integers[i].count;

        if (n > 0)
            memcpy(to, contents->integers[i].values, n * sizeof(int));
        to += n;
    }
    return true;
}

static bool
contents_copy(struct mpi_type_map *map, const struct mpi_type_contents *contents)
{
    const size_t addresses = (size_t)contents->addresses_count;

    if (!integers_copy(map, contents))
        return false;
    map->addresses = calloc(addresses + 1, sizeof(MPI_Aint));
    map->types = calloc((size_t)contents->types_count + 1, sizeof(struct mpi_type *));
    if (map->addresses == NULL || map->types == NULL)
        return false;
    if (addresses > 0)
        memcpy(map->addresses, contents->addresses, addresses * sizeof(MPI_Aint));
    map->addresses_count = contents->addresses_count;
    for (int i = 0; i < contents->types_count; i++)
        map->types[i] = mpi_type_get(contents->types[i]);
    map->types_count = contents->types_count;
    map->combiner = contents->combiner;
    return true;
}

int
mpi_type_export(struct mpi_type *type, const struct mpi_type_contents *contents, MPI_Datatype *out)
{
    if (!contents_copy(type->map, contents)) {
        mpi_type_put(type);
        return MPI_ERR_NO_MEM;
    }
    return mpi_type_handle(type, out);
}
