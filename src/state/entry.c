/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries: found by their key, forgotten when room is short.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

#define OVERHEAD_BYTES sizeof(struct entry)

struct entry *
entry_find(const struct state *state, const char *key)
{
    size_t count = strlen(key);
    struct item *item = table_find(&state->keys, state_hash(state, key, count));

    while (item != NULL && strcmp(((struct entry *)item)->key, key) != 0)
        item = table_next(item);
    return (struct entry *)item;
}

struct entry *
entry_by_number(const struct state *state, uint64_t number)
{
    struct item *item = table_find(&state->entry_numbers, number);

    if (item == NULL)
        return NULL;
    return (struct entry *)((char *)item - offsetof(struct entry, by_number));
}

static struct entry *
create(struct state *state, const char *key)
{
    struct entry *entry;
    size_t count = strlen(key);

    if (fault_point("state.entry") != 0 || entry_make_room(state, OVERHEAD_BYTES) != 0)
        return NULL;
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    (void)memcpy(entry->key, key, count + 1);
    TAILQ_INIT(&entry->waiting);
    TAILQ_INIT(&entry->pulls);
    table_add(&state->keys, &entry->by_key, state_hash(state, key, count));
    table_add(&state->entry_numbers, &entry->by_number, ++state->numbers);
    TAILQ_INSERT_HEAD(&state->by_use, entry, by_use);
    state->bytes += OVERHEAD_BYTES;
    state->usage.entries++;
    return entry;
}

int
entry_get(struct state *state, const char *key, struct entry **out)
{
    struct entry *entry = entry_find(state, key);

    if (entry == NULL)
        entry = create(state, key);
    if (entry == NULL)
        return -ENOMEM;
    entry_use(state, entry);
    *out = entry_pin(entry);
    return 0;
}

struct entry *
entry_pin(struct entry *entry)
{
    entry->pins++;
    return entry;
}

static void
destroy(struct state *state, struct entry *entry)
{
    ASSERT(entry->pins == 0 && TAILQ_EMPTY(&entry->waiting) && TAILQ_EMPTY(&entry->pulls));
    bytes_free(state, entry);
    table_remove(&state->keys, &entry->by_key);
    table_remove(&state->entry_numbers, &entry->by_number);
    TAILQ_REMOVE(&state->by_use, entry, by_use);
    state->bytes -= OVERHEAD_BYTES;
    state->usage.entries--;
    free(entry);
}

/* One of which nothing is known is not worth its place. */
void
entry_put(struct state *state, struct entry *entry)
{
    if (entry == NULL)
        return;
    ASSERT(entry->pins > 0);
    if (--entry->pins == 0 && entry->mappings == 0 && entry->versions == NULL)
        destroy(state, entry);
}

void
entry_use(struct state *state, struct entry *entry)
{
    if (TAILQ_FIRST(&state->by_use) == entry)
        return;
    TAILQ_REMOVE(&state->by_use, entry, by_use);
    TAILQ_INSERT_HEAD(&state->by_use, entry, by_use);
}

void
entry_let_go(struct entry *entry)
{
    entry->is_held = false;
    entry->sequence++;
}

void
entry_drop_bytes(struct state *state, struct entry *entry)
{
    entry_let_go(entry);
    bytes_free(state, entry);
    entry->size = entry->version = 0;
    entry->is_mismatched = false;
}

void
entry_free_all(struct state *state)
{
    struct entry *entry;

    while ((entry = TAILQ_FIRST(&state->by_use)) != NULL) {
        ASSERT(entry->mappings == 0);
        destroy(state, entry);
    }
}

/* ---------------------------------------------------------------------------- currency */

bool
entry_is_held(const struct state *state, const struct entry *entry)
{
    return entry->is_held && entry->hold_epoch == state->hold_epoch &&
           state->now() < state->lease_until_ns;
}

/* The clock is read last: what was copied before was current then. */
bool
entry_is_current(const struct state *state, const struct entry *entry, uint64_t offset,
                 uint64_t count)
{
    uint64_t end = count < entry->size ? count : entry->size;

    if (!entry->is_held || entry->versions == NULL || entry->is_mismatched)
        return false;
    if (offset > entry->size)
        offset = entry->size;
    end = end < entry->size - offset ? offset + end : entry->size;
    for (uint64_t chunk = offset / STATE_CHUNK_BYTES; chunk * STATE_CHUNK_BYTES < end; chunk++)
        if (entry->versions[chunk] != entry->version)
            return false;
    return entry_is_held(state, entry);
}

/* -------------------------------------------------------------------------------- room */

static bool
may_go(struct entry *entry)
{
    return entry->pins == 0 && entry->mappings == 0 && !bytes_has_unpushed(entry);
}

int
entry_make_room(struct state *state, uint64_t bytes)
{
    struct entry *entry = TAILQ_LAST(&state->by_use, entries), *newer;

    if (bytes > state->config.bytes_max)
        return -ENOMEM;
    while (entry != NULL && state->bytes > state->config.bytes_max - bytes) {
        newer = TAILQ_PREV(entry, entries, by_use);
        if (may_go(entry))
            destroy(state, entry);
        entry = newer;
    }
    return state->bytes > state->config.bytes_max - bytes ? -ENOMEM : 0;
}
