/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before dialling again. Pure.
 */
#include "base/assert.h"
#include "net/net.h"

/* splitmix64: neighbouring seeds give unlike numbers. */
static uint64_t
random_next(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void
net_backoff_init(struct net_backoff *backoff, uint64_t base_ns, uint64_t max_ns, uint32_t jitter,
                 uint64_t seed)
{
    ASSERT(base_ns > 0 && base_ns <= max_ns && jitter <= 100);
    *backoff = (struct net_backoff){
        .base_ns = base_ns, .max_ns = max_ns, .jitter = jitter, .random = seed};
}

uint64_t
net_backoff_next(struct net_backoff *backoff)
{
    uint32_t doublings = backoff->attempts < 63 ? backoff->attempts : 63;
    bool is_longest = backoff->base_ns > backoff->max_ns >> doublings;
    uint64_t delay = is_longest ? backoff->max_ns : backoff->base_ns << doublings;
    uint64_t percent_ns = delay / 100, span = percent_ns * backoff->jitter;

    if (backoff->attempts < UINT32_MAX)
        backoff->attempts++;
    return span > 0 ? delay - random_next(&backoff->random) % (span + 1) : delay;
}

void
net_backoff_reset(struct net_backoff *backoff)
{
    backoff->attempts = 0;
}
