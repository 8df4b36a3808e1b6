/* SPDX-License-Identifier: Apache-2.0
 *
 * Sparse matrices: header, starts, indices, elements, each from a multiple of 64 KiB on.
 */
#include <stdlib.h>

#include "objects_internal.h"

#define MAGIC UINT64_C(0x1065737261707377) /* "wsparse", 0x10 */

struct header {
    uint64_t magic;
    uint32_t order, type, rows, columns;
    uint64_t nonzeros;
};

struct layout {
    uint64_t starts, indices, elements, end; /* offsets */
};

static uint32_t
line_count(const struct weft_sparse_shape *shape)
{
    return shape->order == WEFT_CSC ? shape->columns : shape->rows;
}

static struct layout
lay_out(const struct weft_sparse_shape *shape, uint64_t nonzeros)
{
    struct layout at = {.starts = CHUNK_BYTES};

    at.indices = at.starts + round_up(((uint64_t)line_count(shape) + 1) * sizeof(uint32_t));
    at.elements = at.indices + round_up(nonzeros * sizeof(uint32_t));
    at.end = at.elements + nonzeros * weft_type_bytes(shape->type);
    return at;
}

static int
check_shape(const struct weft_sparse_shape *shape)
{
    bool is_order = shape->order == WEFT_CSC || shape->order == WEFT_CSR;

    return is_order && is_type(shape->type) && shape->rows > 0 && shape->columns > 0 &&
                   line_count(shape) < UINT32_MAX
               ? 0
               : EINVAL;
}

/* --------------------------------------------------------------------------- storing */

struct place {
    const char *key;
    char *at; /* the whole value */
    struct layout layout;
};

/* A value of zeros that has no header yet is one that somebody began and did not end, or is
 * still making: then both write, and the one whose push is last has made it. */
static int
make_place(struct place *place, const struct weft_sparse_shape *shape, uint64_t nonzeros)
{
    uint64_t magic = 0;
    int err = weft_state_get(place->key, 0, &magic, sizeof(magic));

    if (err == 0 && magic != 0)
        return EEXIST;
    if (err != 0 && err != ENOENT)
        return err;
    place->layout = lay_out(shape, nonzeros);
    if (place->layout.end > UINT32_MAX)
        return EMSGSIZE;
    return weft_state_map(place->key, 0, place->layout.end, WEFT_STATE_WRITE | WEFT_STATE_CREATE,
                          (void **)&place->at);
}

/* The header goes with the rest in one change; on this host nobody sees it before the rest
 * is written. */
static int
end_place(struct place *place, const struct weft_sparse_shape *shape, uint64_t nonzeros)
{
    struct header header = {0, shape->order, shape->type, shape->rows, shape->columns, nonzeros};
    int err;

    memcpy(place->at, &header, sizeof(header));
    __atomic_store_n((uint64_t *)(void *)place->at, MAGIC, __ATOMIC_RELEASE);
    err = weft_state_push(place->key);
    (void)weft_state_unmap(place->at);
    return err;
}

int
weft_sparse_store(const char *key, const struct weft_sparse_shape *shape, const uint32_t *starts,
                  const uint32_t *indices, const void *elements)
{
    struct place place = {.key = key};
    uint64_t lines, nonzeros;
    int err = check_shape(shape);

    if (err != 0)
        return err;
    lines = line_count(shape);
    nonzeros = starts[lines];
    err = make_place(&place, shape, nonzeros);
    if (err != 0)
        return err;
    memcpy(place.at + place.layout.starts, starts, (lines + 1) * sizeof(uint32_t));
    memcpy(place.at + place.layout.indices, indices, nonzeros * sizeof(uint32_t));
    memcpy(place.at + place.layout.elements, elements, nonzeros * weft_type_bytes(shape->type));
    return end_place(&place, shape, nonzeros);
}

/* -------------------------------------------------------------------------- building */

static int
by_column(const void *left, const void *right)
{
    const struct weft_triplet *a = left, *b = right;

    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static int
by_row(const void *left, const void *right)
{
    const struct weft_triplet *a = left, *b = right;

    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

/* Those of one place become one; how many there are then. */
static uint32_t
add_up(struct weft_triplet *triplets, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (kept > 0 && by_row(&triplets[kept - 1], &triplets[i]) == 0)
            triplets[kept - 1].value += triplets[i].value;
        else
            triplets[kept++] = triplets[i];
    }
    return kept;
}

static void
put_element(void *to, enum weft_type type, uint64_t index, double value)
{
    switch (type) {
    case WEFT_INT32:
        ((int32_t *)to)[index] = (int32_t)value;
        break;
    case WEFT_INT64:
        ((int64_t *)to)[index] = (int64_t)value;
        break;
    case WEFT_FLOAT:
        ((float *)to)[index] = (float)value;
        break;
    case WEFT_DOUBLE:
        ((double *)to)[index] = value;
        break;
    }
}

static void
fill(struct place *place, const struct weft_sparse_shape *shape,
     const struct weft_triplet *triplets, uint32_t count)
{
    uint32_t *starts = (uint32_t *)(void *)(place->at + place->layout.starts);
    uint32_t *indices = (uint32_t *)(void *)(place->at + place->layout.indices);
    uint32_t line = 0, lines = line_count(shape);

    starts[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_csc = shape->order == WEFT_CSC;
        uint32_t own = is_csc ? triplets[i].column : triplets[i].row;

        while (line < own)
            starts[++line] = i;
        indices[i] = is_csc ? triplets[i].row : triplets[i].column;
        put_element(place->at + place->layout.elements, shape->type, i, triplets[i].value);
    }
    while (line < lines)
        starts[++line] = count;
}

int
weft_sparse_build(const char *key, const struct weft_sparse_shape *shape,
                  struct weft_triplet *triplets, uint32_t count)
{
    struct place place = {.key = key};
    int err = check_shape(shape);

    for (uint32_t i = 0; i < count && err == 0; i++)
        if (triplets[i].row >= shape->rows || triplets[i].column >= shape->columns)
            err = ERANGE;
    if (err != 0)
        return err;
    qsort(triplets, count, sizeof(*triplets), shape->order == WEFT_CSC ? by_column : by_row);
    count = add_up(triplets, count);
    err = make_place(&place, shape, count);
    if (err != 0)
        return err;
    fill(&place, shape, triplets, count);
    return end_place(&place, shape, count);
}

/* --------------------------------------------------------------------------- reading */

static int
read_header(struct weft_sparse *sparse)
{
    struct header header = {0};
    int err = weft_state_get(sparse->key, 0, &header, sizeof(header));

    if (err == EINVAL || err == EMSGSIZE || err == EISDIR)
        return EPROTO;
    if (err == 0 && header.magic == 0)
        return EAGAIN;
    if (err == 0 && header.magic != MAGIC)
        return EPROTO;
    sparse->shape = (struct weft_sparse_shape){
        (enum weft_order)header.order, (enum weft_type)header.type, header.rows, header.columns};
    sparse->lines = line_count(&sparse->shape);
    sparse->nonzeros = header.nonzeros;
    return err;
}

static int
open_window(struct weft_sparse *sparse, unsigned which, struct weft_range bytes, uint32_t flags,
            const void **at)
{
    struct window window;
    int err = window_open(sparse->key, bytes.first, bytes.count, flags, &window);

    if (err != 0)
        return err;
    sparse->mapped[which] = window.mapped;
    *at = window.at;
    return 0;
}

static int
open_lines(struct weft_sparse *sparse, struct weft_range lines, uint32_t flags)
{
    struct layout at = lay_out(&sparse->shape, sparse->nonzeros);
    uint64_t element = weft_type_bytes(sparse->shape.type), first, count;
    struct weft_range bytes = {at.starts, ((uint64_t)sparse->lines + 1) * sizeof(uint32_t)};
    const void *starts, *indices, *elements;
    int err;

    if (lines.first > sparse->lines || lines.count > sparse->lines - lines.first)
        return EMSGSIZE;
    err = open_window(sparse, 0, bytes, flags, &starts);
    if (err != 0)
        return err;
    sparse->starts = starts;
    sparse->open = lines;
    first = sparse->starts[lines.first];
    count = sparse->starts[lines.first + lines.count] - first;
    bytes = (struct weft_range){at.indices + first * sizeof(uint32_t), count * sizeof(uint32_t)};
    err = open_window(sparse, 1, bytes, flags, &indices);
    bytes = (struct weft_range){at.elements + first * element, count * element};
    if (err == 0)
        err = open_window(sparse, 2, bytes, flags, &elements);
    if (err != 0) {
        weft_sparse_close(sparse);
        return err;
    }
    sparse->indices = indices;
    sparse->elements = elements;
    return 0;
}

static int
begin(struct weft_sparse *sparse, const char *key, uint32_t flags)
{
    int err;

    *sparse = (struct weft_sparse){0};
    err = copy_key(sparse->key, key);
    if (err == 0 && (flags & ~(WEFT_STATE_LAZY | WEFT_FIXED)) != 0)
        err = EINVAL;
    return err != 0 ? err : read_header(sparse);
}

int
weft_sparse_open_lines(struct weft_sparse *sparse, const char *key, struct weft_range lines,
                       uint32_t flags)
{
    int err = begin(sparse, key, flags);

    return err != 0 ? err : open_lines(sparse, lines, flags & WEFT_STATE_LAZY);
}

int
weft_sparse_open(struct weft_sparse *sparse, const char *key, uint32_t flags)
{
    int err = begin(sparse, key, flags);

    return err != 0
               ? err
               : open_lines(sparse, (struct weft_range){0, sparse->lines}, flags & WEFT_STATE_LAZY);
}

void
weft_sparse_close(struct weft_sparse *sparse)
{
    for (unsigned i = 0; i < 3; i++)
        window_close(&sparse->mapped[i]);
    sparse->starts = sparse->indices = NULL;
    sparse->elements = NULL;
    sparse->open = (struct weft_range){0, 0};
}
