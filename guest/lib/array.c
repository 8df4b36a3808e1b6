/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed and HOGWILD arrays.
 */
#include "objects_internal.h"

static int
begin(struct weft_array *array, const char *key, enum weft_type type, uint32_t flags)
{
    int err;

    *array = (struct weft_array){.type = type, .flags = flags};
    err = copy_key(array->key, key);
    if (err == 0 && (!is_type(type) || (flags & ~(ARRAY_FLAGS | WEFT_FIXED))))
        err = EINVAL;
    if (err == 0 && (flags & WEFT_FIXED) && (flags & ~(WEFT_FIXED | WEFT_STATE_LAZY)))
        err = EINVAL;
    return err;
}

static int
find_length(struct weft_array *array)
{
    struct weft_state_info info;
    int err = weft_state_stat(array->key, &info);

    if (err != 0)
        return err;
    if (info.size % weft_type_bytes(array->type) != 0)
        return EMSGSIZE;
    array->length = info.size / weft_type_bytes(array->type);
    return 0;
}

static int
open_range(struct weft_array *array, struct weft_range range)
{
    uint64_t item = weft_type_bytes(array->type);
    struct window window;
    int err;

    if (range.first > array->length || range.count > array->length - range.first)
        return EMSGSIZE;
    err = window_open(array->key, range.first * item, range.count * item,
                      (array->flags & ARRAY_FLAGS) | WEFT_STATE_OF(array->type), &window);
    if (err != 0)
        return err;
    array->items = window.at;
    array->mapped = window.mapped;
    array->first = range.first;
    array->count = range.count;
    return 0;
}

int
weft_array_open(struct weft_array *array, const char *key, enum weft_type type, uint64_t length,
                uint32_t flags)
{
    int err = begin(array, key, type, flags);
    bool is_made = (flags & WEFT_STATE_CREATE) != 0;

    if (err == 0 && is_made && length == 0)
        err = EINVAL;
    array->length = length;
    if (err == 0 && !is_made)
        err = find_length(array);
    if (err == 0 && length != 0 && array->length != length)
        err = EMSGSIZE;
    return err != 0 ? err : open_range(array, (struct weft_range){0, array->length});
}

int
weft_array_open_part(struct weft_array *array, const char *key, enum weft_type type,
                     struct weft_range range, uint32_t flags)
{
    int err = begin(array, key, type, flags);

    if (err == 0 && (flags & WEFT_STATE_CREATE))
        err = EINVAL;
    if (err == 0)
        err = find_length(array);
    return err != 0 ? err : open_range(array, range);
}

void
weft_array_close(struct weft_array *array)
{
    window_close(&array->mapped);
    array->items = NULL;
    array->first = array->count = 0;
}

static int
check_part(const struct weft_array *array, uint64_t first, uint64_t count)
{
    bool is_in = first >= array->first && first - array->first <= array->count &&
                 count <= array->count - (first - array->first);

    return is_in ? 0 : EINVAL;
}

int
weft_array_pull_part(struct weft_array *array, uint64_t first, uint64_t count)
{
    uint64_t item = weft_type_bytes(array->type);
    int err = check_part(array, first, count);

    if (err != 0 || count == 0 || (array->flags & WEFT_FIXED))
        return err;
    return weft_state_pull_part(array->key, first * item, count * item);
}

int
weft_array_push_part(struct weft_array *array, uint64_t first, uint64_t count)
{
    uint64_t item = weft_type_bytes(array->type);
    int err = check_part(array, first, count);

    if (err == 0 && !(array->flags & WEFT_STATE_WRITE))
        err = EINVAL;
    if (err != 0 || count == 0)
        return err;
    return weft_state_push_part(array->key, first * item, count * item);
}

int
weft_array_pull(struct weft_array *array)
{
    return weft_array_pull_part(array, array->first, array->count);
}

int
weft_array_push(struct weft_array *array)
{
    return weft_array_push_part(array, array->first, array->count);
}

int
weft_array_publish(const char *key, enum weft_type type, const void *items, uint64_t length)
{
    uint64_t bytes = length * weft_type_bytes(type);
    int err;

    if (!is_type(type) || length == 0)
        return EINVAL;
    if (length > UINT32_MAX || bytes > UINT32_MAX)
        return EMSGSIZE;
    err = weft_state_cas(key, 0, items, (uint32_t)bytes, NULL);
    return err == EAGAIN ? EEXIST : err;
}

/* In this order: what was not pushed is kept by a pull, but would keep others' changes of the
 * same elements out. */
int
weft_hogwild_sync(struct weft_array *array)
{
    int err = weft_array_push(array);

    return err != 0 ? err : weft_array_pull(array);
}
