/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bytes of an entry are: bytes, elements that are taken whole, or elements that are
 * added to.
 *
 * Of those that are added to, here - base is what was added here and not pushed, always: a push
 * sends it and puts what it has looked at into the base; a pull adds what others have pushed
 * (theirs - base) to what is here and makes theirs the base.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "state/state_internal.h"

bool
elements_are_free(struct entry *entry)
{
    return entry->mappings == 0 && entry->push == NULL && !bytes_has_unpushed(entry);
}

uint32_t
elements_flags(const struct entry *entry)
{
    return STATE_MAP_OF(entry->element) | (entry->is_sum ? STATE_MAP_SUM : 0);
}

int
elements_check(struct entry *entry, uint32_t flags)
{
    uint32_t said = flags & (STATE_MAP_ELEMENTS | STATE_MAP_SUM), has = elements_flags(entry);
    enum element element;

    if (said != has && !elements_are_free(entry)) {
        if (said != 0)
            return -EINVAL;
        said = has;
    }
    element = (enum element)((said & STATE_MAP_ELEMENTS) >> STATE_MAP_SHIFT);
    if ((said & STATE_MAP_SUM) != 0 && entry->size % element_bytes(element) != 0)
        return -EMSGSIZE;
    return 0;
}

int
elements_take(struct entry *entry, uint32_t flags)
{
    uint32_t said = flags & (STATE_MAP_ELEMENTS | STATE_MAP_SUM);
    int err = elements_check(entry, flags);

    if (err != 0 || said == elements_flags(entry) || !elements_are_free(entry))
        return err;
    entry->element = (enum element)(said >> STATE_MAP_SHIFT);
    entry->is_sum = (said & STATE_MAP_SUM) != 0;
    return 0;
}

void
elements_merge(struct entry *entry, uint64_t offset, const uint8_t *theirs, uint64_t count)
{
    uint8_t *now = mem_share_bytes(entry->share) + offset, *base = entry->base + offset;

    if (entry->is_sum)
        mem_merge_sums(now, base, theirs, count, entry->element);
    else
        mem_merge(now, base, theirs, count, element_bytes(entry->element));
}

/* Of one chunk. What was sent is in the base; where the base was the tier's before, it is again,
 * rounded as the tier has rounded it. */
static void
added(struct entry *entry, struct ask *ask, uint64_t offset, uint64_t at, uint64_t count,
      bool is_next)
{
    uint8_t *base = entry->base + offset, *theirs = ask->bytes + at;
    uint64_t *version = &entry->versions[offset / STATE_CHUNK_BYTES];

    if (is_next && *version == ask->version_before)
        element_add(ask->adds, theirs, base, count);
    else
        theirs = NULL;
    (void)memcpy(base, ask->kept + at, count);
    if (theirs != NULL)
        elements_merge(entry, offset, theirs, count);
    else
        *version = STATE_VERSION_OLD; /* no version has these bytes */
}

void
elements_added(struct entry *entry, struct ask *ask, bool is_next)
{
    uint64_t at = 0;

    ASSERT(entry->is_sum && entry->element == ask->adds);
    for (size_t i = 0; i < ask->run_count; i++) {
        uint64_t offset = ask->runs[i].offset, end = offset + ask->runs[i].count;

        while (offset < end) {
            uint64_t left = STATE_CHUNK_BYTES - offset % STATE_CHUNK_BYTES;
            uint64_t count = left < end - offset ? left : end - offset;

            added(entry, ask, offset, at, count, is_next);
            offset += count;
            at += count;
        }
    }
}
