/* SPDX-License-Identifier: Apache-2.0
 *
 * type_wire: a type as bytes: a predefined one is its number; of another go its bounds, its element
 * and its layout. Numbers are of seven bits a byte, those with a sign folded; places count from
 * where the one before ended, so most of a list are a byte or two each.
 */
#include <stdlib.h>
#include <string.h>

#include "type_internal.h"

#define LAYOUT_DEPTH_MAX (2 * MPI_TYPE_DEPTH_MAX + 2)

/* ----------------------------------------------------------------------- numbers */

struct writer {
    uint8_t *to;
    uint32_t at, max;
    bool is_full;
};

static void
put(struct writer *writer, uint64_t value)
{
    do {
        if (writer->at == writer->max) {
            writer->is_full = true;
            return;
        }
        writer->to[writer->at] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        writer->at++;
        value >>= 7;
    } while (value > 0);
}

static void
put_signed(struct writer *writer, int64_t value)
{
    put(writer, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

struct reader {
    const uint8_t *from;
    uint32_t at, count;
    bool is_bad;
};

static uint64_t
get(struct reader *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (reader->at == reader->count)
            break;
        byte = reader->from[reader->at];
        reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->is_bad = true;
    return 0;
}

/* Sums of two of them do not overflow. */
static int64_t
get_signed(struct reader *reader)
{
    const uint64_t folded = get(reader);
    const int64_t value = (int64_t)((folded >> 1) ^ (0 - (folded & 1)));

    if (value < INT64_MAX / 2 && value > INT64_MIN / 2)
        return value;
    reader->is_bad = true;
    return 0;
}

/* ----------------------------------------------------------------------- layouts */

static void
put_layout(struct writer *writer, const struct mpi_layout *layout)
{
    int64_t end = 0;

    if (writer->is_full)
        return;
    put(writer, layout->kind);
    if (layout->kind == MPI_LAYOUT_RUN) {
        put(writer, layout->size);
        return;
    }
    put(writer, layout->count);
    if (layout->kind == MPI_LAYOUT_STRIDED || layout->kind == MPI_LAYOUT_LOOP)
        put_signed(writer, layout->stride);
    if (layout->kind == MPI_LAYOUT_STRIDED || layout->kind == MPI_LAYOUT_BLOCKS)
        put(writer, layout->unit);
    if (layout->kind == MPI_LAYOUT_LOOP)
        put_layout(writer, layout->child);
    for (uint64_t i = 0; layout->blocks != NULL && i < layout->count && !writer->is_full; i++) {
        const uint64_t bytes = layout->blocks[i + 1].from - layout->blocks[i].from;

        put_signed(writer, layout->blocks[i].offset - end);
        end = layout->blocks[i].offset + (int64_t)bytes;
        if (layout->children != NULL)
            put_layout(writer, layout->children[i]);
        else if (layout->unit == 0)
            put(writer, bytes);
    }
}

static bool
multiply(uint64_t count, uint64_t bytes, uint64_t *size)
{
    return !__builtin_mul_overflow(count, bytes, size) && *size > 0 && *size < INT64_MAX / 2;
}

static struct mpi_layout *get_layout(struct reader *reader, unsigned depth);

static bool
get_strided(struct reader *reader, struct mpi_layout *layout)
{
    layout->stride = get_signed(reader);
    layout->unit = get(reader);
    return multiply(layout->count, layout->unit, &layout->size);
}

static bool
get_loop(struct reader *reader, struct mpi_layout *layout, unsigned depth)
{
    layout->stride = get_signed(reader);
    layout->child = get_layout(reader, depth + 1);
    return layout->child != NULL && multiply(layout->count, layout->child->size, &layout->size);
}

/* The bytes of one of a list, of which it may be a child; 0: damaged. */
static uint64_t
get_block(struct reader *reader, struct mpi_layout *layout, uint64_t i, unsigned depth)
{
    if (layout->kind == MPI_LAYOUT_BLOCKS)
        return layout->unit != 0 ? layout->unit : get(reader);
    layout->children[i] = get_layout(reader, depth + 1);
    return layout->children[i] != NULL ? layout->children[i]->size : 0;
}

/* A block takes at least a byte, so no count makes us take more memory than some times theirs. */
static bool
get_list(struct reader *reader, struct mpi_layout *layout, unsigned depth)
{
    const size_t count = (size_t)layout->count;
    int64_t end = 0;

    if (layout->kind == MPI_LAYOUT_BLOCKS)
        layout->unit = get(reader);
    if (reader->is_bad || layout->count > reader->count - reader->at)
        return false;
    layout->blocks = calloc(count + 1, sizeof(*layout->blocks));
    if (layout->kind == MPI_LAYOUT_LIST)
        layout->children = calloc(count, sizeof(struct mpi_layout *));
    if (layout->blocks == NULL || (layout->kind == MPI_LAYOUT_LIST && layout->children == NULL))
        return false;
    for (uint64_t i = 0; i < layout->count; i++) {
        const int64_t gap = get_signed(reader);
        const uint64_t bytes = get_block(reader, layout, i, depth);

        if (reader->is_bad || bytes == 0 || bytes >= INT64_MAX / 4 ||
            __builtin_add_overflow(end, gap, &layout->blocks[i].offset) ||
            __builtin_add_overflow(layout->blocks[i].offset, (int64_t)bytes, &end))
            return false;
        layout->blocks[i].from = layout->size;
        layout->size += bytes;
        if (layout->size >= INT64_MAX / 2)
            return false;
    }
    layout->blocks[count].from = layout->size;
    return true;
}

static struct mpi_layout *
get_layout(struct reader *reader, unsigned depth)
{
    const uint64_t kind = get(reader), count = get(reader);
    struct mpi_layout *layout;
    bool is_good = false;

    if (reader->is_bad || kind >= MPI_LAYOUT_KINDS || depth > LAYOUT_DEPTH_MAX ||
        count >= INT64_MAX / 2)
        return NULL;
    layout = mpi_layout_run(kind == MPI_LAYOUT_RUN ? count : 0);
    if (layout == NULL || kind == MPI_LAYOUT_RUN)
        return layout;
    layout->kind = (enum mpi_layout_kind)kind;
    layout->count = count;
    if (count == 0)
        is_good = false;
    else if (kind == MPI_LAYOUT_STRIDED)
        is_good = get_strided(reader, layout);
    else if (kind == MPI_LAYOUT_LOOP)
        is_good = get_loop(reader, layout, depth);
    else
        is_good = get_list(reader, layout, depth);
    if (is_good && !reader->is_bad)
        return layout;
    mpi_layout_put(layout);
    return NULL;
}

/* ------------------------------------------------------------------------- types */

/* Numbers of handles of predefined types are not zero, which is "derived". */
uint32_t
mpi_type_encode(const struct mpi_type *type, void *to, uint32_t bytes_max)
{
    struct writer writer = {to, 0, bytes_max, false};
    const bool is_named = type->map->combiner == MPI_COMBINER_NAMED;

    put(&writer, is_named ? (uintptr_t)type->handle : 0);
    if (!is_named) {
        put(&writer, type->element != NULL ? (uintptr_t)type->element->handle : 0);
        put_signed(&writer, type->lb);
        put_signed(&writer, type->extent);
        put_signed(&writer, type->true_lb);
        put_signed(&writer, type->true_extent);
        put_signed(&writer, type->map->layout_offset);
        put_layout(&writer, type->map->layout);
    }
    return writer.is_full ? 0 : writer.at;
}

static struct mpi_type *
named_find(uint64_t number)
{
    struct mpi_type *type;

    if (number == 0 || number >= 0x1000 ||
        mpi_type_find(MPI_HANDLE(MPI_Datatype, number), &type) != 0)
        return NULL;
    return type;
}

static bool
get_type(struct reader *reader, struct mpi_type *type)
{
    const uint64_t element = get(reader);

    type->element = named_find(element);
    type->lb = get_signed(reader);
    type->extent = get_signed(reader);
    type->true_lb = get_signed(reader);
    type->true_extent = get_signed(reader);
    type->map->layout_offset = get_signed(reader);
    mpi_layout_put(type->map->layout);
    type->map->layout = get_layout(reader, 0);
    if (type->map->layout == NULL || reader->is_bad || reader->at != reader->count ||
        (element != 0 && type->element == NULL))
        return false;
    if (type->map->layout->kind == MPI_LAYOUT_RUN && type->map->layout_offset != type->true_lb)
        return false;
    type->size = (int64_t)type->map->layout->size;
    type->map->unit = NULL;
    return type->element == NULL || type->size % type->element->size == 0;
}

struct mpi_type *
mpi_type_decode(const void *bytes, uint32_t count)
{
    struct reader reader = {bytes, 0, count, false};
    const uint64_t number = get(&reader);
    struct mpi_type *type = NULL;

    mpi_types_init();
    if (reader.is_bad)
        return NULL;
    if (number != 0) {
        type = reader.at == count ? named_find(number) : NULL;
        return type != NULL ? mpi_type_get(type) : NULL;
    }
    if (mpi_type_make_list(NULL, 0, false, &type) != 0)
        return NULL;
    if (!get_type(&reader, type) || mpi_type_finish(type) != 0) {
        mpi_type_put(type);
        return NULL;
    }
    return type;
}
