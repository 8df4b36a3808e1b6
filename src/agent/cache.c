/* SPDX-License-Identifier: Apache-2.0
 *
 * The blobs that are kept: a store in the agent's directory, and what is known of it: how
 * much there is, which of it functions hold, what was used last. Of what nobody holds the
 * oldest goes where there is no room. The disk's alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"

#define COPY_BYTES ((size_t)1 << 30)

struct blob {
    struct blob *next; /* of its bucket */
    struct store_hash hash;
    uint64_t bytes, used; /* when: a count, from the time when the cache was opened */
    uint32_t holds;       /* by functions */
    int sealed_fd;        /* or -1 */
};

struct agent_cache {
    struct store *store;
    struct blob *blobs[AGENT_BUCKETS];
    uint64_t bytes, uses;
};

static struct blob **
bucket(struct agent_cache *cache, const struct store_hash *hash)
{
    return &cache->blobs[(hash->bytes[0] | (unsigned)hash->bytes[1] << 8) % AGENT_BUCKETS];
}

static struct blob *
find(const struct agent *agent, const struct store_hash *hash)
{
    struct blob *blob = *bucket(agent->cache, hash);

    while (blob != NULL && memcmp(&blob->hash, hash, sizeof(*hash)) != 0)
        blob = blob->next;
    return blob;
}

static int
enter(struct agent_cache *cache, const struct store_hash *hash, uint64_t bytes, uint64_t used)
{
    struct blob *blob = fault_point("agent.cache") != 0 ? NULL : calloc(1, sizeof(*blob));
    struct blob **head = bucket(cache, hash);

    if (blob == NULL)
        return -ENOMEM;
    blob->hash = *hash;
    blob->bytes = bytes;
    blob->used = used;
    blob->sealed_fd = -1;
    blob->next = *head;
    *head = blob;
    cache->bytes += bytes;
    return 0;
}

static void
forget(struct agent_cache *cache, struct blob *blob)
{
    struct blob **at = bucket(cache, &blob->hash);

    while (*at != blob)
        at = &(*at)->next;
    *at = blob->next;
    cache->bytes -= blob->bytes;
    file_close(&blob->sealed_fd);
    free(blob);
}

/* ----------------------------------------------------------------------- open and close */

struct listing {
    struct agent_cache *cache;
    int err;
};

static bool
list_one(void *context, const struct store_hash *hash, uint64_t bytes, uint64_t changed_ns)
{
    struct listing *listing = context;

    /* What this process uses comes after what others have used. */
    if (changed_ns > listing->cache->uses)
        listing->cache->uses = changed_ns;
    listing->err = enter(listing->cache, hash, bytes, changed_ns);
    return listing->err == 0;
}

int
agent_cache_open(struct agent *agent, struct diag *diag)
{
    char address[AGENT_PATH_MAX + 8];
    const struct store_config config = {.blobs = address};
    struct listing listing = {0};
    int err;

    agent->cache = fault_point("agent.create") != 0 ? NULL : calloc(1, sizeof(*agent->cache));
    if (agent->cache == NULL)
        return diag_set(diag, -ENOMEM, "no memory for an agent");
    (void)snprintf(address, sizeof(address), "dir:%s", agent->data);
    err = store_open(&config, &agent->cache->store, diag);
    if (err != 0)
        return err;
    listing.cache = agent->cache;
    err = store_blob_list(agent->cache->store, list_one, &listing, diag);
    return err != 0 ? err : listing.err;
}

void
agent_cache_close(struct agent *agent)
{
    struct agent_cache *cache = agent->cache;

    if (cache == NULL)
        return;
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        while (cache->blobs[i] != NULL)
            forget(cache, cache->blobs[i]);
    store_close(cache->store);
    free(cache);
    agent->cache = NULL;
}

/* --------------------------------------------------------------------------- making room */

static struct blob *
oldest(struct agent_cache *cache)
{
    struct blob *found = NULL;

    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (struct blob *blob = cache->blobs[i]; blob != NULL; blob = blob->next)
            if (blob->holds == 0 && (found == NULL || blob->used < found->used))
                found = blob;
    return found;
}

/* What cannot be removed is not counted any more, and found again at the next start. */
static void
make_room(struct agent_cache *cache, const struct store_hash *spared)
{
    struct blob *blob, *kept = NULL;

    for (blob = *bucket(cache, spared); blob != NULL && kept == NULL; blob = blob->next)
        kept = memcmp(&blob->hash, spared, sizeof(*spared)) == 0 ? blob : NULL;
    if (kept != NULL)
        kept->holds++;
    while (cache->bytes > AGENT_CACHE_BYTES_MAX && (blob = oldest(cache)) != NULL) {
        (void)!store_blob_remove(cache->store, &blob->hash, NULL);
        forget(cache, blob);
    }
    if (kept != NULL)
        kept->holds--;
}

/* ------------------------------------------------------------------------------ get, put */

bool
agent_cache_has(const struct agent *agent, const struct store_hash *hash)
{
    return find(agent, hash) != NULL;
}

/* One that is damaged is as one that is missing: it is fetched anew, and mended. */
int
agent_cache_get(struct agent *agent, const struct store_hash *hash, int *fd, struct diag *diag)
{
    struct agent_cache *cache = agent->cache;
    struct blob *blob = find(agent, hash);
    struct diag unused;
    int err;

    if (blob == NULL)
        return -ENOENT;
    diag_init(&unused);
    err = store_blob_get(cache->store, hash, fd, &unused);
    if (err == 0) {
        blob->used = ++cache->uses;
        return 0;
    }
    if (err == -ENOENT || err == -EBADMSG) {
        if (blob->holds == 0)
            forget(cache, blob);
        return -ENOENT;
    }
    return diag_set(diag, err, "%s", diag_text(&unused));
}

static int
seal_copy(int from, int *out)
{
    int err = fault_point("agent.cache");
    int fd = err != 0 ? -1 : memfd_create("weft-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ssize_t done;

    if (fd < 0)
        return err != 0 ? err : -errno;
    do
        done = sendfile(fd, from, NULL, COPY_BYTES);
    while (done > 0 || (done < 0 && errno == EINTR));
    err = done < 0 || lseek(fd, 0, SEEK_SET) != 0 ? -errno : file_seal(fd);
    if (err != 0)
        (void)close(fd);
    else
        *out = fd;
    return err;
}

int
agent_cache_get_sealed(struct agent *agent, const struct store_hash *hash, int *fd,
                       struct diag *diag)
{
    struct blob *blob = find(agent, hash);
    int file = -1, err = 0;

    ASSERT(blob != NULL && blob->holds > 0);
    if (blob->sealed_fd < 0) {
        err = agent_cache_get(agent, hash, &file, diag);
        if (err == 0)
            err = seal_copy(file, &blob->sealed_fd);
        file_close(&file);
    }
    if (err == 0) {
        *fd = fcntl(blob->sealed_fd, F_DUPFD_CLOEXEC, 3);
        err = *fd < 0 ? -errno : 0;
    }
    if (err != 0 && err != -ENOENT)
        return diag_set(diag, err, "cannot keep an image in memory: %s", strerror(-err));
    return err;
}

int
agent_cache_put(struct agent *agent, int fd, struct store_hash *hash, struct diag *diag)
{
    struct agent_cache *cache = agent->cache;
    uint64_t bytes = 0;
    int err = fault_point("agent.put");

    if (err == 0 && lseek(fd, 0, SEEK_SET) != 0)
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot keep a blob: %s", strerror(-err));
    err = store_blob_put(cache->store, fd, hash, diag);
    if (err == 0)
        err = store_blob_stat(cache->store, hash, &bytes, diag);
    if (err == 0 && find(agent, hash) == NULL)
        err = enter(cache, hash, bytes, ++cache->uses);
    if (err != 0)
        return diag_set(diag, err, "cannot keep a blob: %s", strerror(-err));
    make_room(cache, hash);
    return 0;
}

int
agent_cache_hold(struct agent *agent, const struct store_hash *hash)
{
    struct blob *blob = find(agent, hash);

    if (blob == NULL)
        return -ENOENT;
    blob->holds++;
    return 0;
}

void
agent_cache_release(struct agent *agent, const struct store_hash *hash)
{
    struct blob *blob = find(agent, hash);

    ASSERT(blob != NULL && blob->holds > 0);
    if (--blob->holds > 0)
        return;
    file_close(&blob->sealed_fd);
    blob->sealed_fd = -1;
}
