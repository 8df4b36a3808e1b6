/* SPDX-License-Identifier: Apache-2.0
 *
 * A base is what others see beside what was written here: of a value that nobody writes to and of
 * which everything is pushed it is a second copy of the same bytes. It goes after a while, and is
 * made again by the next who maps the value to write.
 */
#include "state/state_internal.h"

#define IDLE_NS        UINT64_C(1000000000)
#define IDLE_BYTES_MIN (UINT64_C(1) << 20)

void
idle_begin(struct state *state, struct entry *entry)
{
    if (entry->base == NULL || entry->share == NULL || entry->size < IDLE_BYTES_MIN)
        return;
    entry->idle_ns = state->now();
    TAILQ_INSERT_TAIL(&state->idle, entry, idle);
}

void
idle_end(struct state *state, struct entry *entry)
{
    if (entry->idle_ns == 0)
        return;
    TAILQ_REMOVE(&state->idle, entry, idle);
    entry->idle_ns = 0;
}

void
idle_tick(struct state *state, uint64_t now_ns)
{
    struct entry *entry;

    while ((entry = TAILQ_FIRST(&state->idle)) != NULL && now_ns >= entry->idle_ns + IDLE_NS) {
        idle_end(state, entry);
        if (entry->push == NULL && TAILQ_EMPTY(&entry->pulls) && !bytes_has_unpushed(entry))
            bytes_drop_base(state, entry);
    }
}
