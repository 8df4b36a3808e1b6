/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks in memory, the ones that were used last. A chunk that somebody reads stays until he
 * has read it, also when the cache has forgotten it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

#define BUCKETS_MIN    1024u
#define CHUNK_OVERHEAD 192u
#define BUCKET_SHARE   16384u

int
tier_cache_init(struct cache *cache, uint64_t bytes_max)
{
    cache->bytes_max = bytes_max;
    cache->bucket_count = BUCKETS_MIN;
    while (cache->bucket_count < bytes_max / BUCKET_SHARE && cache->bucket_count < (1u << 24))
        cache->bucket_count *= 2;
    cache->buckets = tier_alloc(cache->bucket_count * sizeof(struct chunk *));
    if (cache->buckets == NULL)
        return -ENOMEM;
    TAILQ_INIT(&cache->by_use);
    (void)pthread_mutex_init(&cache->lock, NULL);
    return 0;
}

static struct chunk **
bucket(const struct cache *cache, const struct key *key, uint64_t number)
{
    uint64_t hash = ((uint64_t)(uintptr_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15) +
                    number * UINT64_C(0xd6e8feb86659fd93);

    hash ^= hash >> 32;
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static void
release(struct chunk *chunk)
{
    ASSERT(chunk->refs > 0);
    if (--chunk->refs > 0)
        return;
    free(chunk->bytes);
    free(chunk);
}

/* Out of the cache, which had a reference. */
static void
forget(struct cache *cache, struct chunk *chunk)
{
    struct chunk **link = bucket(cache, chunk->key, chunk->number);

    while (*link != chunk)
        link = &(*link)->next;
    *link = chunk->next;
    LIST_REMOVE(chunk, of_key);
    TAILQ_REMOVE(&cache->by_use, chunk, by_use);
    cache->bytes -= chunk->count + CHUNK_OVERHEAD;
    chunk->key = NULL;
    release(chunk);
}

static struct chunk *
find(const struct cache *cache, const struct key *key, uint64_t number)
{
    struct chunk *chunk = *bucket(cache, key, number);

    while (chunk != NULL && (chunk->key != key || chunk->number != number))
        chunk = chunk->next;
    return chunk;
}

void
tier_cache_fini(struct cache *cache)
{
    struct chunk *chunk;

    if (cache->buckets == NULL)
        return;
    while ((chunk = TAILQ_FIRST(&cache->by_use)) != NULL)
        forget(cache, chunk);
    free(cache->buckets);
    (void)pthread_mutex_destroy(&cache->lock);
}

struct chunk *
tier_cache_get(struct cache *cache, const struct key *key, uint64_t number)
{
    struct chunk *chunk;

    (void)pthread_mutex_lock(&cache->lock);
    chunk = find(cache, key, number);
    if (chunk != NULL) {
        chunk->refs++;
        TAILQ_REMOVE(&cache->by_use, chunk, by_use);
        TAILQ_INSERT_HEAD(&cache->by_use, chunk, by_use);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return chunk;
}

static void
insert(struct cache *cache, struct key *key, struct chunk *chunk)
{
    struct chunk **link = bucket(cache, key, chunk->number);

    chunk->key = key;
    chunk->next = *link;
    *link = chunk;
    LIST_INSERT_HEAD(&key->chunks, chunk, of_key);
    TAILQ_INSERT_HEAD(&cache->by_use, chunk, by_use);
    cache->bytes += chunk->count + CHUNK_OVERHEAD;
    while (cache->bytes > cache->bytes_max && TAILQ_FIRST(&cache->by_use) != NULL)
        forget(cache, TAILQ_LAST(&cache->by_use, chunk_list));
}

struct chunk *
tier_cache_put(struct cache *cache, struct key *key, uint64_t number, uint8_t *bytes,
               uint32_t count)
{
    struct chunk *chunk = tier_alloc(sizeof(*chunk));
    struct chunk *old;

    if (chunk == NULL)
        free(bytes);
    else
        *chunk = (struct chunk){.number = number, .refs = 2, .count = count, .bytes = bytes};
    (void)pthread_mutex_lock(&cache->lock);
    old = find(cache, key, number);
    if (old != NULL)
        forget(cache, old);
    if (chunk != NULL)
        insert(cache, key, chunk);
    (void)pthread_mutex_unlock(&cache->lock);
    return chunk;
}

void
tier_cache_release(struct cache *cache, struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    (void)pthread_mutex_lock(&cache->lock);
    release(chunk);
    (void)pthread_mutex_unlock(&cache->lock);
}

void
tier_cache_forget(struct cache *cache, struct key *key)
{
    struct chunk *chunk;

    (void)pthread_mutex_lock(&cache->lock);
    while ((chunk = LIST_FIRST(&key->chunks)) != NULL)
        forget(cache, chunk);
    (void)pthread_mutex_unlock(&cache->lock);
}
