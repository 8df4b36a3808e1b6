/* SPDX-License-Identifier: Apache-2.0
 *
 * Mappings of Faaslets that were thawed: nobody may wait there, so what is not here is absent,
 * and is brought when it is touched.
 */
#include <errno.h>
#include <string.h>

#include "state/state_internal.h"

static int
map_again(struct state *state, struct entry *entry, uint64_t size, uint32_t flags,
          struct state_mapping *out)
{
    if (entry->versions == NULL)
        entry->size = size;
    if (entry->size != size)
        return -EMSGSIZE;
    return map_entry(state, entry, flags, out);
}

int
state_map_again(struct state *state, const char *key, uint64_t size, uint32_t flags,
                struct state_mapping *out)
{
    struct entry *entry;
    int err;

    if (size == 0 || size > STATE_VALUE_BYTES_MAX || strlen(key) > STATE_KEY_BYTES_MAX)
        return -EINVAL;
    state_enter(state);
    err = entry_get(state, key, &entry);
    if (err == 0) {
        err = map_again(state, entry, size, flags, out);
        entry_put(state, entry);
    }
    state_leave(state);
    return err;
}
