/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of an entry: its base, its share, and of which version each chunk is.
 *
 * A value that nobody has mapped has a base alone: small ones cost no file and no mapping. With
 * the first mapping there is a share, and no base until the first that may write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/fault.h"
#include "state/state_internal.h"

#define MAPPED_BYTES (256u << 10) /* what is as large is not from the heap */
#define BITS         64u

uint64_t
chunk_count(uint64_t size)
{
    return size / STATE_CHUNK_BYTES + (size % STATE_CHUNK_BYTES != 0);
}

uint64_t
chunk_bytes(const struct entry *entry, uint64_t chunk)
{
    uint64_t left = entry->size - chunk * STATE_CHUNK_BYTES;

    return left < STATE_CHUNK_BYTES ? left : STATE_CHUNK_BYTES;
}

const uint8_t *
bytes_of(const struct entry *entry)
{
    if (entry->base != NULL || entry->share == NULL)
        return entry->base;
    return mem_share_bytes(entry->share);
}

static uint64_t
stores_of(const struct entry *entry)
{
    return (entry->base != NULL) + (uint64_t)(entry->share != NULL);
}

/* ------------------------------------------------------------------------------ making */

static uint8_t *
allocate(uint64_t size)
{
    void *bytes;

    if (fault_point("state.base") != 0)
        return NULL;
    if (size < MAPPED_BYTES)
        return calloc(1, size > 0 ? size : 1);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static void
release(uint8_t *bytes, uint64_t size)
{
    if (size < MAPPED_BYTES)
        free(bytes);
    else if (bytes != NULL)
        (void)munmap(bytes, size);
}

static int
make_versions(struct entry *entry)
{
    uint64_t count = chunk_count(entry->size);

    if (entry->versions != NULL)
        return 0;
    entry->versions = calloc(count > 0 ? count : 1, sizeof(*entry->versions));
    return entry->versions == NULL ? -ENOMEM : 0;
}

static uint64_t
page_count(const struct entry *entry)
{
    return (entry->size + STATE_PAGE_BYTES - 1) / STATE_PAGE_BYTES;
}

/* What is there goes into a store that is new. */
static int
fill_share(struct entry *entry, struct mem_share *share)
{
    int err = 0;

    for (uint64_t i = 0; i < chunk_count(entry->size) && err == 0; i++)
        if (entry->versions[i] != 0)
            err = mem_share_fill(share, i * STATE_CHUNK_BYTES, entry->base + i * STATE_CHUNK_BYTES,
                                 chunk_bytes(entry, i));
    return err;
}

static void
fill_base(const struct entry *entry, uint8_t *base)
{
    const uint8_t *from = mem_share_bytes(entry->share);

    for (uint64_t i = 0; i < chunk_count(entry->size); i++)
        if (entry->versions[i] != 0)
            (void)memcpy(base + i * STATE_CHUNK_BYTES, from + i * STATE_CHUNK_BYTES,
                         chunk_bytes(entry, i));
}

static int
make_share(struct state *state, struct entry *entry, bool has_zeros)
{
    struct mem_share *share;
    int err = entry->base != NULL ? entry_make_room(state, entry->present) : 0;

    if (err == 0)
        err = mem_share_create(entry->size, !has_zeros, &share);
    if (err != 0)
        return err;
    if (entry->base != NULL && !has_zeros)
        err = fill_share(entry, share);
    if (err != 0) {
        mem_share_put(share);
        return err;
    }
    entry->share = share;
    state->bytes += entry->base != NULL ? entry->present : 0;
    return 0;
}

static int
make_base(struct state *state, struct entry *entry)
{
    uint8_t *base;
    int err = entry->share != NULL ? entry_make_room(state, entry->present) : 0;

    if (err != 0)
        return err;
    base = allocate(entry->size);
    if (base == NULL)
        return -ENOMEM;
    if (entry->share != NULL)
        fill_base(entry, base);
    entry->base = base;
    state->bytes += entry->share != NULL ? entry->present : 0;
    return 0;
}

/* A base that only held what a share holds now is of no use until somebody may write. */
static void
drop_base(struct state *state, struct entry *entry)
{
    release(entry->base, entry->size);
    entry->base = NULL;
    state->bytes -= entry->present;
}

static int
make_dirty(struct entry *entry)
{
    if (entry->dirty == NULL && entry->share != NULL && entry->base != NULL)
        entry->dirty = calloc(page_count(entry) / BITS + 1, sizeof(*entry->dirty));
    return entry->dirty == NULL && entry->share != NULL && entry->base != NULL ? -ENOMEM : 0;
}

static void
note_zeros(struct state *state, struct entry *entry)
{
    state->bytes += (entry->size - entry->present) * stores_of(entry);
    entry->present = entry->size;
    for (uint64_t i = 0; i < chunk_count(entry->size); i++)
        entry->versions[i] = entry->version;
}

int
bytes_make(struct state *state, struct entry *entry, struct bytes_wanted wanted)
{
    bool had_base = entry->base != NULL, had_share = entry->share != NULL;
    int err = entry->size == 0 && wanted.with_share ? -EINVAL : make_versions(entry);

    ASSERT(!wanted.has_zeros || (!had_base && !had_share));
    if (err == 0 && wanted.has_zeros)
        err =
            entry_make_room(state, entry->size * (wanted.with_share + (uint64_t)wanted.with_base));
    if (err == 0 && wanted.with_share && !had_share)
        err = make_share(state, entry, wanted.has_zeros);
    if (err == 0 && wanted.with_base && !had_base)
        err = make_base(state, entry);
    if (err == 0 && !wanted.with_base && wanted.with_share && had_base && !had_share)
        drop_base(state, entry);
    if (err == 0 && wanted.has_zeros)
        note_zeros(state, entry);
    if (err == 0)
        err = make_dirty(entry);
    if (err != 0 && !had_base && !had_share)
        bytes_free(state, entry);
    return err;
}

void
bytes_free(struct state *state, struct entry *entry)
{
    ASSERT(entry->mappings == 0);
    state->bytes -= entry->present * stores_of(entry);
    release(entry->base, entry->size);
    mem_share_put(entry->share);
    free(entry->versions);
    free(entry->dirty);
    entry->base = NULL;
    entry->share = NULL;
    entry->versions = NULL;
    entry->dirty = NULL;
    entry->present = 0;
    entry->element = ELEMENT_BYTE;
    entry->is_sum = false;
    entry->sequence++;
}

/* ------------------------------------------------------------------------------ hearing */

static int
hear_absent(struct state *state, struct entry *entry, uint64_t chunk, const uint8_t *bytes)
{
    uint64_t offset = chunk * STATE_CHUNK_BYTES, count = chunk_bytes(entry, chunk);
    int err = entry_make_room(state, count * stores_of(entry));

    if (err == 0 && entry->base != NULL)
        (void)memcpy(entry->base + offset, bytes, count);
    if (err == 0 && entry->share != NULL)
        err = mem_share_fill(entry->share, offset, bytes, count);
    if (err != 0)
        return err;
    entry->present += count;
    state->bytes += count * stores_of(entry);
    return 0;
}

/* Never over what was written here and not pushed. */
static void
hear_present(struct entry *entry, uint64_t chunk, const uint8_t *bytes)
{
    uint64_t offset = chunk * STATE_CHUNK_BYTES, count = chunk_bytes(entry, chunk);
    uint8_t *now = entry->share != NULL ? mem_share_bytes(entry->share) + offset : NULL;

    if (now != NULL && entry->base != NULL)
        elements_merge(entry, offset, bytes, count);
    else
        (void)memcpy(now != NULL ? now : entry->base + offset, bytes, count);
}

int
bytes_hear(struct state *state, struct entry *entry, uint64_t offset, const uint8_t *bytes,
           uint64_t count, uint64_t version)
{
    uint64_t done = 0;

    ASSERT(offset % STATE_CHUNK_BYTES == 0 && offset + count <= entry->size);
    entry->sequence++;
    while (done < count) {
        uint64_t chunk = (offset + done) / STATE_CHUNK_BYTES;
        uint64_t has = entry->versions[chunk];
        int err = 0;

        if (has == 0)
            err = hear_absent(state, entry, chunk, bytes + done);
        else if (has == STATE_VERSION_OLD || has <= version)
            hear_present(entry, chunk, bytes + done);
        if (err != 0)
            return err;
        if (has == STATE_VERSION_OLD || has < version)
            entry->versions[chunk] = version;
        done += chunk_bytes(entry, chunk);
    }
    return 0;
}

void
bytes_renew(struct entry *entry, uint64_t from, uint64_t to)
{
    if (entry->versions == NULL)
        return;
    for (uint64_t i = 0; i < chunk_count(entry->size); i++)
        if (entry->versions[i] != 0 && (from == 0 || entry->versions[i] == from))
            entry->versions[i] = to;
}

/* Where all of it is in one chunk that is of the version before. */
void
bytes_patch(struct entry *entry, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    uint8_t *now = entry->share != NULL ? mem_share_bytes(entry->share) + offset : NULL;

    entry->sequence++;
    if (now != NULL && entry->base != NULL)
        elements_merge(entry, offset, bytes, count);
    else
        (void)memcpy(now != NULL ? now : entry->base + offset, bytes, count);
}

/* ------------------------------------------------------------------------ written here */

static void
note_dirty(void *context, int64_t offset, uint64_t bytes)
{
    struct entry *entry = context;
    uint64_t end = ((uint64_t)offset + bytes + STATE_PAGE_BYTES - 1) / STATE_PAGE_BYTES;

    for (uint64_t page = (uint64_t)offset / STATE_PAGE_BYTES; page < end; page++)
        if (page < page_count(entry))
            entry->dirty[page / BITS] |= UINT64_C(1) << page % BITS;
}

int
bytes_note_written(struct entry *entry)
{
    ASSERT(entry->dirty != NULL);
    return mem_share_written(entry->share, note_dirty, entry);
}

uint64_t
bytes_next_dirty(const struct entry *entry, uint64_t page, uint64_t end)
{
    end = end < page_count(entry) ? end : page_count(entry);
    while (page < end) {
        uint64_t word = entry->dirty[page / BITS] >> page % BITS;

        if (word != 0) {
            page += (uint64_t)__builtin_ctzll(word);
            return page < end ? page : end;
        }
        page += BITS - page % BITS;
    }
    return end;
}

void
bytes_clean(struct entry *entry, uint64_t page)
{
    entry->dirty[page / BITS] &= ~(UINT64_C(1) << page % BITS);
}

/* Of a page that is not there nothing can have been written. */
bool
bytes_has_unpushed(struct entry *entry)
{
    uint64_t page = 0, end = page_count(entry);

    if (entry->dirty == NULL)
        return false;
    if (bytes_note_written(entry) != 0)
        return true;
    while ((page = bytes_next_dirty(entry, page, end)) < end) {
        uint64_t offset = page * STATE_PAGE_BYTES, left = entry->size - offset;
        uint64_t count = left < STATE_PAGE_BYTES ? left : STATE_PAGE_BYTES;

        if (entry->versions[offset / STATE_CHUNK_BYTES] != 0 &&
            memcmp(mem_share_bytes(entry->share) + offset, entry->base + offset, count) != 0)
            return true;
        bytes_clean(entry, page++);
    }
    return false;
}
