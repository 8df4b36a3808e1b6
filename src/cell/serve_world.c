/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's worlds: there as long as calls are that are members of it. One that comes when the
 * others are over is in a new one of the same number, alone: the worker cancels it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "cell/serve_internal.h"

struct serve_world {
    struct serve_world *next;
    uint64_t number;
    uint32_t members;
    uint32_t calls;           /* that hold a reference */
    struct cell_world *world; /* owned */
};

struct cell_world *
serve_world_of(const struct serve_call *call)
{
    return call->world != NULL ? call->world->world : NULL;
}

/* With the lock. All its members are to have a slot at one time. */
static int
create(struct serve *serve, const Rpc__CellWorld *words, struct serve_world **out,
       struct diag *diag)
{
    struct serve_world *world;
    int err = fault_point("serve.world");

    if (words->members > serve->slots_max - serve->world_slots)
        return diag_set(diag, -EAGAIN,
                        "the cell has no room for %u ranks: at most %u at one time, and %u are "
                        "there",
                        words->members, serve->slots_max, serve->world_slots);
    world = err == 0 ? calloc(1, sizeof(*world)) : NULL;
    if (world == NULL)
        return diag_set(diag, -ENOMEM, "no memory for %u ranks", words->members);
    err = cell_world_create(serve->cell, words->members, &world->world);
    if (err != 0) {
        free(world);
        return diag_set(diag, err, "there cannot be a group of %u ranks", words->members);
    }
    world->number = words->number;
    world->members = words->members;
    world->next = serve->worlds;
    serve->worlds = world;
    serve->world_slots += words->members;
    *out = world;
    return 0;
}

/* With the lock. */
static int
find(struct serve *serve, const Rpc__CellWorld *words, struct serve_world **out, struct diag *diag)
{
    struct serve_world *world = serve->worlds;

    while (world != NULL && world->number != words->number)
        world = world->next;
    if (world == NULL)
        return create(serve, words, out, diag);
    if (world->members != words->members)
        return diag_set(diag, -EPROTO, "a world has %u ranks, not %u", world->members,
                        words->members);
    *out = world;
    return 0;
}

int
serve_world_join(struct serve_call *call, struct diag *diag)
{
    struct serve *serve = call->serve;
    const Rpc__CellWorld *words = call->request != NULL ? call->request->call->world : NULL;
    struct serve_world *world = NULL;
    int err;

    if (words == NULL || !call->served->has_group)
        return 0;
    if (words->member >= words->members)
        return diag_set(diag, -EPROTO, "rank %u of a world of %u", words->member, words->members);
    (void)pthread_mutex_lock(&serve->lock);
    err = find(serve, words, &world, diag);
    if (err == 0) {
        world->calls++;
        call->world = world;
        call->member = words->member;
    }
    (void)pthread_mutex_unlock(&serve->lock);
    return err;
}

void
serve_world_leave(struct serve_call *call)
{
    struct serve *serve = call->serve;
    struct serve_world *world = call->world, **at = &serve->worlds;
    bool is_last;

    if (world == NULL)
        return;
    (void)pthread_mutex_lock(&serve->lock);
    is_last = --world->calls == 0;
    if (is_last) {
        while (*at != world)
            at = &(*at)->next;
        *at = world->next;
        serve->world_slots -= world->members;
    }
    (void)pthread_mutex_unlock(&serve->lock);
    if (!is_last)
        return;
    cell_world_destroy(world->world);
    free(world);
}
