/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table with open addressing. No slot between a value's home and its place is ever
 * empty, so a search ends at the first empty one; removing moves what follows back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "catalog/catalog_internal.h"

#define CAPACITY_MIN 16u
#define FACTOR       UINT64_C(0x9e3779b97f4a7c15)

struct catalog_map_slot {
    uint64_t hash;
    void *value; /* NULL: empty */
};

static uint64_t
mix(uint64_t one, uint64_t other)
{
    unsigned __int128 product = (unsigned __int128)one * other;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash_of(const struct catalog_map *map, const void *key, size_t count)
{
    const uint8_t *at = key;
    uint64_t hash = mix(map->seed ^ count, FACTOR), word;

    for (; count >= sizeof(word); count -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = mix(hash ^ word, FACTOR ^ map->seed);
    }
    word = 0;
    if (count > 0)
        memcpy(&word, at, count);
    return mix(hash ^ word, FACTOR ^ map->seed);
}

void
catalog_map_init(struct catalog_map *map, uint64_t seed, catalog_map_key_fn key_of)
{
    *map = (struct catalog_map){.seed = seed, .key_of = key_of};
}

void
catalog_map_fini(struct catalog_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->count = map->capacity = 0;
}

static void
insert(struct catalog_map *map, uint64_t hash, void *value)
{
    size_t at = hash & (map->capacity - 1);

    while (map->slots[at].value != NULL)
        at = (at + 1) & (map->capacity - 1);
    map->slots[at] = (struct catalog_map_slot){hash, value};
}

int
catalog_map_reserve(struct catalog_map *map, size_t more)
{
    struct catalog_map old = *map;
    size_t capacity = map->capacity == 0 ? CAPACITY_MIN : map->capacity;

    while ((map->count + more) * 2 > capacity)
        capacity *= 2;
    if (capacity == map->capacity)
        return 0;
    map->slots = calloc(capacity, sizeof(*map->slots));
    if (map->slots == NULL) {
        *map = old;
        return -ENOMEM;
    }
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value != NULL)
            insert(map, old.slots[i].hash, old.slots[i].value);
    free(old.slots);
    return 0;
}

/* The slot of the key, or of the end of its search. */
static size_t
find(const struct catalog_map *map, const void *key, size_t count, uint64_t hash)
{
    size_t at = hash & (map->capacity - 1);

    for (; map->slots[at].value != NULL; at = (at + 1) & (map->capacity - 1)) {
        const void *other;
        size_t other_count;

        if (map->slots[at].hash != hash)
            continue;
        other = map->key_of(map->slots[at].value, &other_count);
        if (other_count == count && (count == 0 || memcmp(other, key, count) == 0))
            break;
    }
    return at;
}

void *
catalog_map_get(const struct catalog_map *map, const void *key, size_t count)
{
    if (map->count == 0)
        return NULL;
    return map->slots[find(map, key, count, hash_of(map, key, count))].value;
}

void
catalog_map_set(struct catalog_map *map, void *value)
{
    size_t count;
    const void *key = map->key_of(value, &count);

    ASSERT((map->count + 1) * 2 <= map->capacity);
    insert(map, hash_of(map, key, count), value);
    map->count++;
}

void
catalog_map_remove(struct catalog_map *map, const void *key, size_t count)
{
    size_t mask = map->capacity - 1, hole, at;

    if (map->count == 0)
        return;
    hole = find(map, key, count, hash_of(map, key, count));
    if (map->slots[hole].value == NULL)
        return;
    map->count--;
    for (at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;

        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* its home is behind the hole */
        map->slots[hole] = map->slots[at];
        hole = at;
    }
    map->slots[hole].value = NULL;
}

void *
catalog_map_next(const struct catalog_map *map, size_t *position)
{
    while (*position < map->capacity) {
        void *value = map->slots[(*position)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}
