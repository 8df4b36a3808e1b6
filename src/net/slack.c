/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of large frames, back to the system. The allocator keeps what is freed: after a large
 * value went through a process, as much as the value. Frames come all the time, at least beats, so
 * whoever frees one looks whether much was freed since the last time.
 */
#include <malloc.h>

#include "base/clock.h"
#include "net/net_internal.h"

#define LARGE_BYTES (16u << 10)
#define SLACK_BYTES (UINT64_C(8) << 20)
#define SLACK_NS    UINT64_C(500000000) /* between two times: it walks what is free */

static _Atomic uint64_t freed_bytes, next_ns;

void
slack_note(size_t bytes)
{
    uint64_t now_ns, due_ns;

    if (bytes >= LARGE_BYTES)
        (void)atomic_fetch_add_explicit(&freed_bytes, bytes, memory_order_relaxed);
    if (atomic_load_explicit(&freed_bytes, memory_order_relaxed) < SLACK_BYTES)
        return;
    now_ns = clock_now_ns();
    due_ns = atomic_load_explicit(&next_ns, memory_order_relaxed);
    if (now_ns < due_ns || !atomic_compare_exchange_strong(&next_ns, &due_ns, now_ns + SLACK_NS))
        return;
    atomic_store_explicit(&freed_bytes, 0, memory_order_relaxed);
    (void)malloc_trim(0);
}
