/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash maps: a value for each entry.
 */
#include "objects_internal.h"

static int
join(char to[WEFT_KEY_BYTES], const char *key, const char *name)
{
    size_t first = strlen(key), second = strlen(name);

    if (first == 0 || second == 0)
        return EINVAL;
    if (first >= WEFT_KEY_BYTES || second >= WEFT_KEY_BYTES || first + 1 + second >= WEFT_KEY_BYTES)
        return ENAMETOOLONG;
    memcpy(to, key, first);
    to[first] = '/';
    memcpy(to + first + 1, name, second + 1);
    return 0;
}

int
weft_map_put(const char *key, const char *name, const void *bytes, uint32_t count)
{
    char entry[WEFT_KEY_BYTES];
    int err = join(entry, key, name);

    return err != 0 ? err : weft_state_set(entry, bytes, count);
}

int
weft_map_put_new(const char *key, const char *name, const void *bytes, uint32_t count)
{
    char entry[WEFT_KEY_BYTES];
    int err = join(entry, key, name);

    if (err == 0)
        err = weft_state_cas(entry, 0, bytes, count, NULL);
    return err == EAGAIN ? EEXIST : err;
}

/* Its size and its bytes are asked for apart: they are of one moment where the version is the
 * same before and after. */
int
weft_map_get(const char *key, const char *name, void *to, uint32_t room, uint32_t *count)
{
    struct weft_state_info before, after;
    char entry[WEFT_KEY_BYTES];
    int err = join(entry, key, name);

    if (err == 0)
        err = weft_state_stat(entry, &before);
    while (err == 0) {
        *count = before.size > UINT32_MAX ? UINT32_MAX : (uint32_t)before.size;
        if (before.size > room)
            return ENOBUFS;
        err = weft_state_get(entry, 0, to, *count);
        if (err == EINVAL || err == EMSGSIZE) /* it became smaller */
            err = 0;
        if (err == 0)
            err = weft_state_stat(entry, &after);
        if (err == 0 && after.version == before.version)
            return 0;
        before = after;
    }
    return err;
}

int
weft_map_add(const char *key, const char *name, int64_t value, int64_t *sum)
{
    char entry[WEFT_KEY_BYTES];
    int err = join(entry, key, name);

    return err != 0 ? err : weft_state_add(entry, 0, value, sizeof(value), sum);
}

int
weft_map_remove(const char *key, const char *name)
{
    char entry[WEFT_KEY_BYTES];
    int err = join(entry, key, name);

    return err != 0 ? err : weft_state_remove(entry);
}

int
weft_map_next(const char *key, char name[WEFT_KEY_BYTES])
{
    char prefix[WEFT_KEY_BYTES], after[WEFT_KEY_BYTES], found[WEFT_KEY_BYTES];
    size_t skipped = strlen(key) + 1;
    uint32_t count = 0;
    int err = join(prefix, key, "x");

    if (err == 0) {
        prefix[skipped] = '\0';
        err = name[0] == '\0' ? copy_key(after, prefix) : join(after, key, name);
    }
    if (err == 0) /* ENOBUFS: the next does not fit, which cannot be */
        err = weft_state_list(prefix, after, found, sizeof(found), &count);
    if (err != 0)
        return err;
    if (count == 0)
        return ENOENT;
    memcpy(name, found + skipped, strlen(found + skipped) + 1);
    return 0;
}
