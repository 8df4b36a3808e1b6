/* SPDX-License-Identifier: Apache-2.0
 *
 * type_move: pack, unpack, copy and runs: walks over the layout of a type. Places are 64-bit
 * numbers (a file may be larger than memory), made pointers where bytes are moved.
 */
#include <string.h>

#include "type_internal.h"

#define COPY_BYTES 4096u /* of what goes from one layout to another at once */

/* ----------------------------------------------------------------------- copies */

/* Copies of n bytes each, which the compiler knows and makes one load and one store. */
#define STRIDED(n) \
    static void strided_##n(char *to, ptrdiff_t to_stride, const char *from, \
                            ptrdiff_t from_stride, size_t count, size_t unit) \
    { \
        (void)unit; \
        for (size_t i = 0; i < count; i++) \
            memcpy(to + (ptrdiff_t)i * to_stride, from + (ptrdiff_t)i * from_stride, n); \
    }
STRIDED(1)
STRIDED(2)
STRIDED(4)
STRIDED(8)
STRIDED(16)

/* A few words: a call of memcpy would take longer. */
static inline void
copy_words(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8)
        memcpy(to + i, from + i, 8);
}

static void
strided_words(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, size_t count,
              size_t unit)
{
    for (size_t i = 0; i < count; i++)
        copy_words(to + (ptrdiff_t)i * to_stride, from + (ptrdiff_t)i * from_stride, unit);
}

static void
strided_any(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, size_t count,
            size_t unit)
{
    for (size_t i = 0; i < count; i++)
        memcpy(to + (ptrdiff_t)i * to_stride, from + (ptrdiff_t)i * from_stride, unit);
}

typedef void (*strided_fn)(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride,
                           size_t count, size_t unit);

static strided_fn
strided_for(uint64_t unit)
{
    static const strided_fn small[17] = {
        [1] = strided_1, [2] = strided_2, [4] = strided_4, [8] = strided_8, [16] = strided_16};

    if (unit <= 16 && small[unit] != NULL)
        return small[unit];
    return unit % 8 == 0 && unit <= 128 ? strided_words : strided_any;
}

/* The same for blocks whose places are a list. */
#define GATHER(n) \
    static void gather_##n(char *packed, char *at, const struct mpi_layout_block *blocks, \
                           size_t count) \
    { \
        for (size_t i = 0; i < count; i++) \
            memcpy(packed + i * n, at + blocks[i].offset, n); \
    } \
    static void scatter_##n(char *packed, char *at, const struct mpi_layout_block *blocks, \
                            size_t count) \
    { \
        for (size_t i = 0; i < count; i++) \
            memcpy(at + blocks[i].offset, packed + i * n, n); \
    }
GATHER(1)
GATHER(2)
GATHER(4)
GATHER(8)
GATHER(16)

typedef void (*gather_fn)(char *packed, char *at, const struct mpi_layout_block *blocks,
                          size_t count);
static const gather_fn gathers[17] = {
    [1] = gather_1, [2] = gather_2, [4] = gather_4, [8] = gather_8, [16] = gather_16};
static const gather_fn scatters[17] = {
    [1] = scatter_1, [2] = scatter_2, [4] = scatter_4, [8] = scatter_8, [16] = scatter_16};

static inline void
copy(char *to, const char *from, uint64_t bytes)
{
    if (bytes == 8)
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, (size_t)bytes);
}

/* -------------------------------------------------------------- pack and unpack */

struct mover {
    struct mpi_walk walk;
    char *packed;
};

static bool
pack_run(struct mpi_walk *walk, int64_t at, uint64_t bytes)
{
    struct mover *mover = (struct mover *)walk;

    copy(mover->packed, mpi_type_at(NULL, at), bytes);
    mover->packed += bytes;
    return true;
}

static bool
pack_strided(struct mpi_walk *walk, int64_t at, uint64_t unit, int64_t stride, uint64_t count)
{
    struct mover *mover = (struct mover *)walk;

    strided_for(unit)(mover->packed, (ptrdiff_t)unit, mpi_type_at(NULL, at), (ptrdiff_t)stride,
                      (size_t)count, (size_t)unit);
    mover->packed += unit * count;
    return true;
}

static bool
pack_blocks(struct mpi_walk *walk, int64_t at, uint64_t unit, const struct mpi_layout_block *blocks,
            uint64_t count)
{
    struct mover *mover = (struct mover *)walk;

    if (unit <= 16 && gathers[unit] != NULL) {
        gathers[unit](mover->packed, mpi_type_at(NULL, at), blocks, (size_t)count);
        mover->packed += unit * count;
        return true;
    }
    for (uint64_t i = 0; i < count; i++)
        (void)pack_run(walk, at + blocks[i].offset, unit);
    return true;
}

static bool
unpack_run(struct mpi_walk *walk, int64_t at, uint64_t bytes)
{
    struct mover *mover = (struct mover *)walk;

    copy(mpi_type_at(NULL, at), mover->packed, bytes);
    mover->packed += bytes;
    return true;
}

static bool
unpack_strided(struct mpi_walk *walk, int64_t at, uint64_t unit, int64_t stride, uint64_t count)
{
    struct mover *mover = (struct mover *)walk;

    strided_for(unit)(mpi_type_at(NULL, at), (ptrdiff_t)stride, mover->packed, (ptrdiff_t)unit,
                      (size_t)count, (size_t)unit);
    mover->packed += unit * count;
    return true;
}

static bool
unpack_blocks(struct mpi_walk *walk, int64_t at, uint64_t unit,
              const struct mpi_layout_block *blocks, uint64_t count)
{
    struct mover *mover = (struct mover *)walk;

    if (unit <= 16 && scatters[unit] != NULL) {
        scatters[unit](mover->packed, mpi_type_at(NULL, at), blocks, (size_t)count);
        mover->packed += unit * count;
        return true;
    }
    for (uint64_t i = 0; i < count; i++)
        (void)unpack_run(walk, at + blocks[i].offset, unit);
    return true;
}

/* Walks count elements at `at`, as the repetition that they are. */
static void
walk_elements(struct mpi_walk *walk, const struct mpi_type *type, int64_t at, int64_t count,
              uint64_t from, uint64_t bytes)
{
    struct mpi_layout *one = type->map->layout, all;

    at += type->map->layout_offset;
    if (count == 1) {
        (void)mpi_layout_walk(walk, one, at, from, bytes);
        return;
    }
    mpi_layout_repeat_init(&all, one, (uint64_t)count, type->extent);
    (void)mpi_layout_walk(walk, &all, at, from, bytes);
}

void
mpi_type_pack(const struct mpi_type *type, const void *buffer, int64_t count, uint64_t from,
              void *to, uint64_t bytes)
{
    struct mover mover = {{pack_run, pack_strided, pack_blocks}, to};

    walk_elements(&mover.walk, type, (int64_t)(uintptr_t)buffer, count, from, bytes);
}

void
mpi_type_unpack(const struct mpi_type *type, void *buffer, int64_t count, uint64_t from,
                const void *packed, uint64_t bytes)
{
    struct mover mover = {{unpack_run, unpack_strided, unpack_blocks}, mpi_type_at(packed, 0)};

    walk_elements(&mover.walk, type, (int64_t)(uintptr_t)buffer, count, from, bytes);
}

/* ------------------------------------------------------------------------- runs */

struct runner {
    struct mpi_walk walk;
    mpi_type_visit_fn visit;
    void *context;
    int64_t offset; /* seen, but not told: more may touch it */
    uint64_t bytes;
};

static bool
runs_run(struct mpi_walk *walk, int64_t at, uint64_t bytes)
{
    struct runner *runner = (struct runner *)walk;
    bool goes_on = true;

    if (runner->bytes > 0 && runner->offset + (int64_t)runner->bytes == at) {
        runner->bytes += bytes;
        return true;
    }
    if (runner->bytes > 0)
        goes_on = runner->visit(runner->context, runner->offset, runner->bytes);
    runner->offset = at;
    runner->bytes = goes_on ? bytes : 0;
    return goes_on;
}

static bool
runs_strided(struct mpi_walk *walk, int64_t at, uint64_t unit, int64_t stride, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!runs_run(walk, at + (int64_t)i * stride, unit))
            return false;
    }
    return true;
}

static bool
runs_blocks(struct mpi_walk *walk, int64_t at, uint64_t unit, const struct mpi_layout_block *blocks,
            uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!runs_run(walk, at + blocks[i].offset, unit))
            return false;
    }
    return true;
}

void
mpi_type_runs(const struct mpi_type *type, int64_t count, uint64_t from, uint64_t bytes,
              mpi_type_visit_fn visit, void *context)
{
    struct runner runner = {{runs_run, runs_strided, runs_blocks}, visit, context, 0, 0};

    walk_elements(&runner.walk, type, 0, count, from, bytes);
    if (runner.bytes > 0)
        (void)visit(context, runner.offset, runner.bytes);
}

/* ------------------------------------------------------------------------- copy */

static void
copy_in_parts(const struct mpi_type *from_type, const void *from, int64_t from_count,
              const struct mpi_type *to_type, void *to, int64_t to_count, uint64_t bytes)
{
    char part[COPY_BYTES];

    for (uint64_t done = 0; done < bytes; done += COPY_BYTES) {
        const uint64_t n = bytes - done < COPY_BYTES ? bytes - done : COPY_BYTES;

        mpi_type_pack(from_type, from, from_count, done, part, n);
        mpi_type_unpack(to_type, to, to_count, done, part, n);
    }
}

void
mpi_type_copy(const struct mpi_type *from_type, const void *from, int64_t from_count,
              const struct mpi_type *to_type, void *to, int64_t to_count)
{
    const uint64_t from_bytes = (uint64_t)from_type->size * (uint64_t)from_count;
    const uint64_t to_bytes = (uint64_t)to_type->size * (uint64_t)to_count;
    const uint64_t bytes = from_bytes < to_bytes ? from_bytes : to_bytes;
    const void *from_run = mpi_type_run(from_type, from, from_count);
    void *to_run = mpi_type_run(to_type, to, to_count);

    if (bytes == 0)
        return;
    if (from_run != NULL)
        mpi_type_unpack(to_type, to, to_count, 0, from_run, bytes);
    else if (to_run != NULL)
        mpi_type_pack(from_type, from, from_count, 0, to_run, bytes);
    else
        copy_in_parts(from_type, from, from_count, to_type, to, to_count, bytes);
}
