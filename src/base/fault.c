/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"

static _Atomic(const char *) armed_name;
static atomic_uint armed_passes_left;
static atomic_int armed_err;

int
fault_point(const char *name)
{
    const char *armed = atomic_load_explicit(&armed_name, memory_order_acquire);
    unsigned left;

    if (armed == NULL || strcmp(armed, name) != 0)
        return 0;
    left = atomic_load(&armed_passes_left);
    while (left > 0 && !atomic_compare_exchange_weak(&armed_passes_left, &left, left - 1))
        continue;
    return left == 1 ? atomic_load(&armed_err) : 0;
}

void
fault_arm(const char *name, unsigned nth, int err)
{
    ASSERT(nth >= 1 && err < 0);
    atomic_store(&armed_err, err);
    atomic_store(&armed_passes_left, nth);
    atomic_store_explicit(&armed_name, name, memory_order_release);
}

bool
fault_disarm(void)
{
    const char *armed = atomic_exchange(&armed_name, NULL);

    return atomic_exchange(&armed_passes_left, 0) == 0 && armed != NULL;
}
