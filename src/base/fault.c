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

    if (armed == NULL || strcmp(armed, name) != 0)
        return 0;
    if (atomic_load(&armed_passes_left) == 0)
        return 0;
    if (atomic_fetch_sub(&armed_passes_left, 1) != 1)
        return 0;
    return atomic_load(&armed_err);
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
    atomic_store_explicit(&armed_name, NULL, memory_order_release);
    return atomic_exchange(&armed_passes_left, 0) == 0;
}
