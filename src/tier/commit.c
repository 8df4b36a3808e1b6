/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits to the store, each with the condition that the term is still ours.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "tier/tier_internal.h"

int
tier_commit_init(struct commit *commit, struct tier *tier, size_t capacity)
{
    *commit = (struct commit){.tier = tier, .capacity = capacity};
    ASSERT(capacity <= STORE_CHANGES_MAX);
    commit->list = tier_alloc(capacity * sizeof(*commit->list));
    commit->keys = tier_alloc(capacity * sizeof(*commit->keys));
    if (commit->list == NULL || commit->keys == NULL) {
        tier_commit_fini(commit);
        return -ENOMEM;
    }
    if (tier->lease != NULL)
        commit->list[commit->count++] = (struct store_change){
            .key = {STORE_TERM_TABLE, tier->lease, strlen(tier->lease)},
            .condition = STORE_VERSION,
            .version = tier->config.term,
        };
    return 0;
}

void
tier_commit_fini(struct commit *commit)
{
    free(commit->list);
    free(commit->keys);
    commit->list = NULL;
    commit->keys = NULL;
}

struct store_change *
tier_commit_add(struct commit *commit, const char *table, const struct folder *key)
{
    struct store_change *one = &commit->list[commit->count];

    ASSERT(commit->count < commit->capacity);
    commit->keys[commit->count] = *key;
    *one = (struct store_change){.key = {table, commit->keys[commit->count].bytes, key->count}};
    commit->count++;
    return one;
}

int
tier_commit(struct commit *commit, uint64_t *version, size_t *failed, struct diag *diag)
{
    struct tier *tier = commit->tier;
    size_t index = 0;
    int err = fault_point("tier.commit");

    if (err == 0)
        err = store_commit(tier->config.store, commit->list, commit->count, version, &index, diag);
    if (err == 0)
        err = fault_point("tier.committed"); /* an answer that is lost */
    if (err == -EAGAIN && tier->lease != NULL && index == 0) {
        tier_lose(tier);
        return diag_set(diag, -ESHUTDOWN, "another planner leads: this tier writes nothing");
    }
    if (failed != NULL)
        *failed = index;
    return err;
}

bool
tier_is_unknown(int err)
{
    return err == -EIO || err == -ETIMEDOUT || err == -EAGAIN || err == -EBADMSG;
}
