/* SPDX-License-Identifier: Apache-2.0
 *
 * type_layout: layouts: trees of runs, loops and lists; how they are made small, and walked.
 *
 * A byte of the packed form is found by a division in a loop and a binary search in a list, so a
 * walk may begin anywhere at once, and nothing is kept between two.
 */
#include <stdlib.h>
#include <string.h>

#include "type_internal.h"

#define FLAT_BLOCKS_MAX 32u /* of a child that becomes part of its parent's list */

static struct mpi_layout *
layout_create(enum mpi_layout_kind kind, uint64_t size)
{
    struct mpi_layout *layout = calloc(1, sizeof(*layout));

    if (layout == NULL)
        return NULL;
    layout->kind = kind;
    layout->references = 1;
    layout->size = size;
    return layout;
}

struct mpi_layout *
mpi_layout_run(uint64_t bytes)
{
    return layout_create(MPI_LAYOUT_RUN, bytes);
}

struct mpi_layout *
mpi_layout_get(struct mpi_layout *layout)
{
    layout->references++;
    return layout;
}

void
mpi_layout_put(struct mpi_layout *layout)
{
    if (layout == NULL || --layout->references > 0)
        return;
    mpi_layout_put(layout->child);
    for (uint64_t i = 0; layout->children != NULL && i < layout->count; i++)
        mpi_layout_put(layout->children[i]);
    free(layout->children);
    free(layout->blocks);
    free(layout);
}

/* ------------------------------------------------------------------- repetition */

void
mpi_layout_repeat_init(struct mpi_layout *layout, struct mpi_layout *child, uint64_t count,
                       int64_t stride)
{
    const int64_t child_span = (int64_t)child->count * child->stride;

    *layout = (struct mpi_layout){.references = 1, .size = child->size * count};
    if (layout->size == 0) {
        layout->kind = MPI_LAYOUT_RUN;
    } else if (child->kind == MPI_LAYOUT_RUN && (int64_t)child->size == stride) {
        layout->kind = MPI_LAYOUT_RUN;
    } else if (child->kind == MPI_LAYOUT_RUN) {
        layout->kind = MPI_LAYOUT_STRIDED;
        layout->unit = child->size;
        layout->count = count;
        layout->stride = stride;
    } else if (child->kind == MPI_LAYOUT_STRIDED && child_span == stride) {
        layout->kind = MPI_LAYOUT_STRIDED;
        layout->unit = child->unit;
        layout->count = child->count * count;
        layout->stride = child->stride;
    } else if (child->kind == MPI_LAYOUT_LOOP && child_span == stride) {
        layout->kind = MPI_LAYOUT_LOOP;
        layout->child = child->child;
        layout->count = child->count * count;
        layout->stride = child->stride;
    } else {
        layout->kind = MPI_LAYOUT_LOOP;
        layout->child = child;
        layout->count = count;
        layout->stride = stride;
    }
}

struct mpi_layout *
mpi_layout_repeat(struct mpi_layout *child, uint64_t count, int64_t stride)
{
    struct mpi_layout *layout;

    if (count == 1)
        return mpi_layout_get(child);
    layout = layout_create(MPI_LAYOUT_RUN, 0);
    if (layout == NULL)
        return NULL;
    mpi_layout_repeat_init(layout, child, count, stride);
    if (layout->child != NULL)
        (void)mpi_layout_get(layout->child);
    return layout;
}

/* ------------------------------------------------------------------------ lists */

static bool
resize(void **array, uint64_t count, size_t bytes)
{
    void *larger = count < SIZE_MAX / bytes ? realloc(*array, (size_t)count * bytes) : NULL;

    if (larger == NULL)
        return false;
    *array = larger;
    return true;
}

/* Room for one more, and the end. */
static bool
builder_grow(struct mpi_layout_builder *builder)
{
    const uint64_t room = builder->room * 2 + 8;

    if (builder->is_failed)
        return false;
    if (builder->count + 1 < builder->room)
        return true;
    builder->is_failed = !resize((void **)&builder->blocks, room, sizeof(*builder->blocks)) ||
                         !resize((void **)&builder->children, room, sizeof(struct mpi_layout *));
    if (!builder->is_failed)
        builder->room = room;
    return !builder->is_failed;
}

static void
builder_push(struct mpi_layout_builder *builder, int64_t offset, uint64_t bytes,
             struct mpi_layout *child)
{
    if (!builder_grow(builder))
        return;
    builder->blocks[builder->count] = (struct mpi_layout_block){offset, builder->size};
    builder->children[builder->count] = child != NULL ? mpi_layout_get(child) : NULL;
    builder->count++;
    builder->size += bytes;
}

/* Whether a run at offset goes on where the last one ends. */
static bool
builder_touches(const struct mpi_layout_builder *builder, int64_t offset)
{
    const struct mpi_layout_block *last;

    if (builder->count == 0 || builder->children[builder->count - 1] != NULL)
        return false;
    last = &builder->blocks[builder->count - 1];
    return last->offset + (int64_t)(builder->size - last->from) == offset;
}

void
mpi_layout_add_run(struct mpi_layout_builder *builder, int64_t offset, uint64_t bytes)
{
    if (bytes == 0 || builder->is_failed)
        return;
    if (builder_touches(builder, offset))
        builder->size += bytes;
    else
        builder_push(builder, offset, bytes, NULL);
}

void
mpi_layout_add(struct mpi_layout_builder *builder, int64_t offset, struct mpi_layout *child)
{
    const bool is_small = child->count <= FLAT_BLOCKS_MAX;

    if (child->kind == MPI_LAYOUT_RUN) {
        mpi_layout_add_run(builder, offset, child->size);
    } else if (child->kind == MPI_LAYOUT_STRIDED && is_small) {
        for (uint64_t i = 0; i < child->count; i++)
            mpi_layout_add_run(builder, offset + (int64_t)i * child->stride, child->unit);
    } else if (child->kind == MPI_LAYOUT_BLOCKS && is_small) {
        for (uint64_t i = 0; i < child->count; i++)
            mpi_layout_add_run(builder, offset + child->blocks[i].offset,
                               child->blocks[i + 1].from - child->blocks[i].from);
    } else {
        builder_push(builder, offset, child->size, child);
    }
}

static void
builder_clear(struct mpi_layout_builder *builder)
{
    for (uint64_t i = 0; i < builder->count; i++)
        mpi_layout_put(builder->children[i]);
    free(builder->children);
    free(builder->blocks);
    *builder = (struct mpi_layout_builder){0};
}

/* The bytes of each block where all have as many, and 0. */
static uint64_t
even_unit(const struct mpi_layout_block *blocks, uint64_t count)
{
    const uint64_t unit = blocks[1].from - blocks[0].from;

    for (uint64_t i = 1; i < count; i++) {
        if (blocks[i + 1].from - blocks[i].from != unit)
            return 0;
    }
    return unit;
}

static bool
is_regular(const struct mpi_layout_block *blocks, uint64_t count)
{
    const int64_t stride = blocks[1].offset - blocks[0].offset;

    for (uint64_t i = 1; i + 1 < count; i++) {
        if (blocks[i + 1].offset - blocks[i].offset != stride)
            return false;
    }
    return true;
}

/* Takes the blocks, of which there are at least two. */
static void
blocks_take(struct mpi_layout *layout, struct mpi_layout_builder *builder)
{
    layout->count = builder->count;
    layout->unit = even_unit(builder->blocks, builder->count);
    if (layout->unit != 0 && is_regular(builder->blocks, builder->count)) {
        layout->kind = MPI_LAYOUT_STRIDED;
        layout->stride = builder->blocks[1].offset - builder->blocks[0].offset;
        return;
    }
    layout->kind = MPI_LAYOUT_BLOCKS;
    layout->blocks = builder->blocks;
    builder->blocks = NULL;
}

/* Runs among children become nodes of their own. */
static bool
list_take(struct mpi_layout *layout, struct mpi_layout_builder *builder)
{
    for (uint64_t i = 0; i < builder->count; i++) {
        if (builder->children[i] == NULL)
            builder->children[i] =
                mpi_layout_run(builder->blocks[i + 1].from - builder->blocks[i].from);
        if (builder->children[i] == NULL)
            return false;
    }
    layout->kind = MPI_LAYOUT_LIST;
    layout->count = builder->count;
    layout->blocks = builder->blocks;
    layout->children = builder->children;
    *builder = (struct mpi_layout_builder){0};
    return true;
}

static bool
has_children(const struct mpi_layout_builder *builder)
{
    for (uint64_t i = 0; i < builder->count; i++) {
        if (builder->children[i] != NULL)
            return true;
    }
    return false;
}

/* Offsets count from the first, so that a list of one is its child. */
static struct mpi_layout *
builder_take(struct mpi_layout_builder *builder, int64_t *offset)
{
    struct mpi_layout *layout;

    *offset = builder->count > 0 ? builder->blocks[0].offset : 0;
    if (builder->count == 1 && builder->children[0] != NULL)
        return mpi_layout_get(builder->children[0]);
    layout = mpi_layout_run(builder->size);
    if (layout == NULL || builder->count <= 1)
        return layout;
    for (uint64_t i = 0; i < builder->count; i++)
        builder->blocks[i].offset -= *offset;
    builder->blocks[builder->count] = (struct mpi_layout_block){0, builder->size};
    if (!has_children(builder)) {
        blocks_take(layout, builder);
    } else if (!list_take(layout, builder)) {
        mpi_layout_put(layout);
        return NULL;
    }
    return layout;
}

struct mpi_layout *
mpi_layout_finish(struct mpi_layout_builder *builder, int64_t *offset)
{
    struct mpi_layout *layout = builder->is_failed ? NULL : builder_take(builder, offset);

    builder_clear(builder);
    return layout;
}

/* ------------------------------------------------------------------------ walks */

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The block that a byte of the packed form is in. */
static uint64_t
block_find(const struct mpi_layout *layout, uint64_t from)
{
    uint64_t low = 0, high = layout->count;

    if (from == 0)
        return 0;
    if (layout->unit != 0)
        return from / layout->unit;
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;

        if (layout->blocks[middle].from <= from)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool
walk_run(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
         uint64_t bytes)
{
    (void)layout;
    return walk->run(walk, at + (int64_t)from, bytes);
}

static bool
walk_strided(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
             uint64_t bytes)
{
    const uint64_t unit = layout->unit, first = from == 0 ? 0 : from / unit;
    const uint64_t skip = from - first * unit;
    uint64_t whole;

    at += (int64_t)first * layout->stride;
    if (skip != 0) {
        const uint64_t head = smaller(unit - skip, bytes);

        if (!walk->run(walk, at + (int64_t)skip, head))
            return false;
        at += layout->stride;
        bytes -= head;
    }
    whole = bytes / unit;
    if (whole > 0 && !walk->strided(walk, at, unit, layout->stride, whole))
        return false;
    at += (int64_t)whole * layout->stride;
    bytes -= whole * unit;
    return bytes == 0 || walk->run(walk, at, bytes);
}

/* Blocks of the same size, whole ones. */
static uint64_t
blocks_whole(const struct mpi_layout *layout, uint64_t i, uint64_t skip, uint64_t bytes)
{
    return layout->unit != 0 && skip == 0 ? smaller(bytes / layout->unit, layout->count - i) : 0;
}

static bool
walk_blocks(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
            uint64_t bytes)
{
    const struct mpi_layout_block *blocks = layout->blocks;
    uint64_t i = block_find(layout, from), skip = from - blocks[i].from;

    while (bytes > 0) {
        const uint64_t whole = blocks_whole(layout, i, skip, bytes);
        uint64_t n;

        if (whole > 0) {
            n = whole * layout->unit;
            if (!walk->blocks(walk, at, layout->unit, blocks + i, whole))
                return false;
            i += whole;
        } else {
            n = smaller(blocks[i + 1].from - blocks[i].from - skip, bytes);
            if (!walk->run(walk, at + blocks[i].offset + (int64_t)skip, n))
                return false;
            i++;
        }
        skip = 0;
        bytes -= n;
    }
    return true;
}

static bool
walk_loop(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
          uint64_t bytes)
{
    const uint64_t size = layout->child->size, first = from == 0 ? 0 : from / size;
    uint64_t skip = from - first * size;

    for (at += (int64_t)first * layout->stride; bytes > 0; at += layout->stride) {
        const uint64_t n = smaller(size - skip, bytes);

        if (!mpi_layout_walk(walk, layout->child, at, skip, n))
            return false;
        skip = 0;
        bytes -= n;
    }
    return true;
}

static bool
walk_list(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
          uint64_t bytes)
{
    const struct mpi_layout_block *blocks = layout->blocks;
    uint64_t i = block_find(layout, from), skip = from - blocks[i].from;

    for (; bytes > 0; i++) {
        const uint64_t n = smaller(layout->children[i]->size - skip, bytes);

        if (!mpi_layout_walk(walk, layout->children[i], at + blocks[i].offset, skip, n))
            return false;
        skip = 0;
        bytes -= n;
    }
    return true;
}

typedef bool (*walk_fn)(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at,
                        uint64_t from, uint64_t bytes);
static const walk_fn walks[MPI_LAYOUT_KINDS] = {
    [MPI_LAYOUT_RUN] = walk_run,       [MPI_LAYOUT_STRIDED] = walk_strided,
    [MPI_LAYOUT_BLOCKS] = walk_blocks, [MPI_LAYOUT_LOOP] = walk_loop,
    [MPI_LAYOUT_LIST] = walk_list,
};

bool
mpi_layout_walk(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at, uint64_t from,
                uint64_t bytes)
{
    return bytes == 0 || walks[layout->kind](walk, layout, at, from, bytes);
}
