/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares of a group, by key.
 */
#include <errno.h>
#include <stdlib.h>

#include "group/group_internal.h"
#include "mem/mem.h"

struct group_share {
    struct group_share *next;
    uint64_t key;
    uint32_t holders;
    struct mem_share *share; /* owned */
};

/* With the lock: where it is linked, or would be. */
static struct group_share **
place_of(struct group *group, uint64_t key)
{
    struct group_share **at = &group->shares;

    while (*at != NULL && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

static int
make(struct group_share **at, uint64_t key, uint64_t bytes)
{
    struct group_share *made = calloc(1, sizeof(*made));
    int err = made != NULL ? mem_share_create(bytes, false, &made->share) : -ENOMEM;

    if (err != 0) {
        free(made);
        return err;
    }
    made->key = key;
    *at = made;
    return 0;
}

int
group_share(struct group *group, uint64_t key, uint64_t bytes, struct mem_share **share)
{
    struct group_share **at;
    int err = 0;

    (void)pthread_mutex_lock(&group->lock);
    at = place_of(group, key);
    if (*at == NULL)
        err = make(at, key, bytes);
    if (err == 0) {
        (*at)->holders++;
        *share = (*at)->share;
    }
    (void)pthread_mutex_unlock(&group->lock);
    return err;
}

static void
drop(struct group_share **at)
{
    struct group_share *gone = *at;

    *at = gone->next;
    mem_share_put(gone->share);
    free(gone);
}

bool
group_unshare(struct group *group, uint64_t key)
{
    struct group_share **at;
    bool is_known;

    (void)pthread_mutex_lock(&group->lock);
    at = place_of(group, key);
    is_known = *at != NULL;
    if (is_known && --(*at)->holders == 0)
        drop(at);
    (void)pthread_mutex_unlock(&group->lock);
    return is_known;
}

void
group_shares_destroy(struct group *group)
{
    while (group->shares != NULL)
        drop(&group->shares);
}
