/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense matrices: a header in the first 64 KiB, then columns.
 */
#include "objects_internal.h"

#define MAGIC     UINT64_C(0x1078697274616d77) /* "wmatrix", 0x10 */
#define SIDE_MAX  (UINT64_C(1) << 32)
#define VALUE_MAX (UINT64_C(1) << 40)

struct header {
    uint64_t magic, type, rows, columns, leading;
    uint64_t makers; /* how often it was begun */
};

static uint64_t
column_bytes(const struct header *header)
{
    return header->leading * weft_type_bytes((enum weft_type)header->type);
}

static uint64_t
value_bytes(const struct header *header)
{
    return CHUNK_BYTES + column_bytes(header) * header->columns;
}

/* EAGAIN: it is being made; EPROTO: it is something else. */
static int
read_header(const char *key, struct header *header)
{
    int err = weft_state_get(key, 0, header, sizeof(*header));

    if (err == EINVAL || err == EMSGSIZE || err == EISDIR)
        return EPROTO;
    if (err == 0 && header->magic == 0)
        return EAGAIN;
    return err == 0 && header->magic != MAGIC ? EPROTO : err;
}

/* ---------------------------------------------------------------------------- making */

static int
check_shape(const struct weft_shape *shape, struct header *header)
{
    uint64_t leading = shape->leading != 0 ? shape->leading : shape->rows;

    if (!is_type(shape->type) || shape->rows == 0 || shape->columns == 0 || leading < shape->rows)
        return EINVAL;
    if (leading > SIDE_MAX || shape->columns > SIDE_MAX)
        return EMSGSIZE;
    *header = (struct header){MAGIC, shape->type, shape->rows, shape->columns, leading, 0};
    return column_bytes(header) > (VALUE_MAX - CHUNK_BYTES) / shape->columns ? EMSGSIZE : 0;
}

static bool
is_same(const struct header *a, const struct header *b)
{
    return a->type == b->type && a->rows == b->rows && a->columns == b->columns &&
           a->leading == b->leading;
}

/* All who make it write the same bytes, so it does not matter who is first, nor if one dies. */
static int
write_header(const char *key, const struct header *header)
{
    struct window window;
    int err =
        window_open(key, 0, CHUNK_BYTES, WEFT_STATE_WRITE | WEFT_STATE_OF(header->type), &window);

    if (err != 0)
        return err;
    memcpy(window.at, header, offsetof(struct header, makers));
    err = weft_state_push_part(key, 0, CHUNK_BYTES);
    window_close(&window.mapped);
    return err;
}

int
weft_matrix_create(const char *key, const struct weft_shape *shape)
{
    struct weft_state_info info;
    struct header wanted, found;
    int err = check_shape(shape, &wanted);

    if (err != 0)
        return err;
    err = read_header(key, &found);
    if (err == 0)
        return is_same(&wanted, &found) ? 0 : EMSGSIZE;
    if (err == ENOENT) /* an addition makes it without that anybody maps all of it */
        err = weft_state_add(key, offsetof(struct header, makers), 1, value_bytes(&wanted), NULL);
    else if (err == EAGAIN)
        err = 0;
    if (err == 0)
        err = weft_state_stat(key, &info);
    if (err == 0 && info.size != value_bytes(&wanted))
        err = EMSGSIZE;
    return err != 0 ? err : write_header(key, &wanted);
}

/* --------------------------------------------------------------------------- opening */

static int
begin(struct weft_matrix *matrix, const char *key, uint32_t flags)
{
    struct header header = {0};
    int err;

    *matrix = (struct weft_matrix){.flags = flags};
    err = copy_key(matrix->key, key);
    if (err == 0 && ((flags & ~(PLAIN_FLAGS | WEFT_FIXED)) != 0 ||
                     (flags & (WEFT_FIXED | WEFT_STATE_WRITE)) == (WEFT_FIXED | WEFT_STATE_WRITE)))
        err = EINVAL;
    if (err == 0)
        err = read_header(key, &header);
    matrix->rows = header.rows;
    matrix->columns = header.columns;
    matrix->leading = header.leading;
    matrix->type = (enum weft_type)header.type;
    return err;
}

static uint64_t
offset_of(const struct weft_matrix *matrix, uint64_t row, uint64_t column)
{
    return CHUNK_BYTES + (column * matrix->leading + row) * weft_type_bytes(matrix->type);
}

static int
open_columns(struct weft_matrix *matrix, struct weft_range columns)
{
    uint64_t from = offset_of(matrix, 0, columns.first);
    struct window window;
    int err;

    if (columns.first > matrix->columns || columns.count > matrix->columns - columns.first)
        return EMSGSIZE;
    err = window_open(matrix->key, from, offset_of(matrix, 0, columns.first + columns.count) - from,
                      (matrix->flags & PLAIN_FLAGS) | WEFT_STATE_OF(matrix->type), &window);
    if (err != 0)
        return err;
    matrix->items = window.at;
    matrix->mapped = window.mapped;
    matrix->open = columns;
    return 0;
}

int
weft_matrix_open_columns(struct weft_matrix *matrix, const char *key, struct weft_range columns,
                         uint32_t flags)
{
    int err = begin(matrix, key, flags);

    return err != 0 ? err : open_columns(matrix, columns);
}

int
weft_matrix_open(struct weft_matrix *matrix, const char *key, uint32_t flags)
{
    int err = begin(matrix, key, flags);

    return err != 0 ? err : open_columns(matrix, (struct weft_range){0, matrix->columns});
}

void
weft_matrix_close(struct weft_matrix *matrix)
{
    window_close(&matrix->mapped);
    matrix->items = NULL;
    matrix->open = (struct weft_range){0, 0};
}

/* -------------------------------------------------------------------- pulls and pushes */

static int
find_block(const struct weft_matrix *matrix, struct weft_range rows, struct weft_range columns,
           struct weft_range *bytes)
{
    const struct weft_range *open = &matrix->open;

    if (rows.first > matrix->rows || rows.count > matrix->rows - rows.first ||
        columns.first < open->first || columns.first - open->first > open->count ||
        columns.count > open->count - (columns.first - open->first))
        return EINVAL;
    bytes->count = 0;
    if (rows.count == 0 || columns.count == 0)
        return 0;
    bytes->first = offset_of(matrix, rows.first, columns.first);
    bytes->count = offset_of(matrix, rows.first + rows.count, columns.first + columns.count - 1) -
                   bytes->first;
    return 0;
}

int
weft_matrix_pull_block(struct weft_matrix *matrix, struct weft_range rows,
                       struct weft_range columns)
{
    struct weft_range bytes;
    int err = find_block(matrix, rows, columns, &bytes);

    if (err != 0 || bytes.count == 0 || (matrix->flags & WEFT_FIXED))
        return err;
    return weft_state_pull_part(matrix->key, bytes.first, bytes.count);
}

int
weft_matrix_push_block(struct weft_matrix *matrix, struct weft_range rows,
                       struct weft_range columns)
{
    struct weft_range bytes;
    int err = find_block(matrix, rows, columns, &bytes);

    if (err == 0 && !(matrix->flags & WEFT_STATE_WRITE))
        err = EINVAL;
    if (err != 0 || bytes.count == 0)
        return err;
    return weft_state_push_part(matrix->key, bytes.first, bytes.count);
}

int
weft_matrix_pull(struct weft_matrix *matrix)
{
    return weft_matrix_pull_block(matrix, (struct weft_range){0, matrix->rows}, matrix->open);
}

int
weft_matrix_push(struct weft_matrix *matrix)
{
    return weft_matrix_push_block(matrix, (struct weft_range){0, matrix->rows}, matrix->open);
}
