/* SPDX-License-Identifier: Apache-2.0
 *
 * Using a Faaslet's place again: reset to a frozen one, and parking.
 *
 * Nothing is mapped or unmapped: the slot's written pages are copied back, the part
 * of the stack that a frozen Faaslet had in use is copied in. What earlier calls left
 * deeper on the stack stays there: compiled code reads no word of its stack that it
 * has not written, and a frozen stack ends at its stack pointer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "faaslet/faaslet_internal.h"

struct faaslet_parked {
    struct mem_delta *delta;       /* owned; or, where the slot is not of the frozen one: */
    struct faaslet_frozen *frozen; /* owned; all of it */
    struct buffer stack;           /* from guest_sp to the top */
    void *process;                 /* owned where process_is_own */
    const struct faaslet_process_ops *ops;
    bool process_is_own;
    struct stand stand;
};

/* ------------------------------------------------------------------------- reset */

/* Plain values; the arrays of instances are those of the frozen one already, as
 * they never change in a STANDALONE Faaslet. */
static void
state_reset(struct faaslet *faaslet, const struct faaslet *from)
{
    free(faaslet->machine);
    faaslet->machine = NULL;
    share_forget(faaslet);
    faaslet->stand = from->stand;
    faaslet->is_dead[0] = from->is_dead[0];
    faaslet->trap = ABI_TRAP_NONE;
    faaslet->has_registers = false;
    atomic_store(&faaslet->stop, STOP_NONE);
}

/* The slot was restored from another snapshot (stress mode moves Faaslets), or the
 * Faaslet is LINKED and has other instances now: everything anew, in another slot. */
static int
replace_all(struct faaslet *faaslet, const struct faaslet_frozen *frozen)
{
    struct faaslet_config config = faaslet->config;
    bool process_is_own = faaslet->process_is_own;
    int err;

    space_destroy(faaslet->space);
    mem_slot_destroy(faaslet->slot);
    mem_stack_destroy(&faaslet->stack);
    faaslet->slot = NULL;
    free(faaslet->machine);
    faaslet->machine = NULL;
    share_forget(faaslet);
    state_fini(faaslet);
    err = state_copy(&frozen->state, faaslet);
    faaslet->config = config;
    faaslet->process_is_own = process_is_own;
    atomic_store(&faaslet->stop, STOP_NONE);
    if (err == 0 && faaslet->instance_count > 0)
        err = space_create(faaslet, mem_snapshot_below_bytes(frozen->memory));
    return err != 0 ? err : frozen_restore(frozen, stress_every != 0, faaslet);
}

static int
memory_reset(struct faaslet *faaslet, const struct faaslet_frozen *frozen)
{
    int err;

    space_clear(faaslet->space); /* before: their contexts are the frozen one's then */
    err = faaslet->mode != ABI_LINKED ? mem_reset(faaslet->slot, frozen->memory) : -EINVAL;
    if (err == -EINVAL)
        return replace_all(faaslet, frozen);
    if (err != 0)
        return err;
    state_reset(faaslet, &frozen->state);
    faaslet_header_fill(faaslet);
    return threads_restore(faaslet, frozen, stress_every != 0);
}

int
faaslet_reset(struct faaslet *faaslet, const struct faaslet_frozen *frozen, void *process,
              struct diag *diag)
{
    int err = fault_point("faaslet.reset");

    if (err == 0)
        err = memory_reset(faaslet, frozen);
    if (err == 0 && process != NULL) {
        faaslet_process_set(faaslet, process);
    } else if (err == 0 && frozen->has_process && faaslet->config.ops != NULL) {
        err = process_restore(faaslet, &frozen->process);
    }
    return err == 0 ? 0 : diag_set(diag, err, "cannot reset: %s", strerror(-err));
}

/* ----------------------------------------------------------------------- parking */

static int
park_memory(struct faaslet *faaslet, const struct faaslet_frozen *frozen,
            struct faaslet_parked *parked)
{
    int err;

    freeze_pointers(faaslet);
    err = mem_delta_take(faaslet->slot, frozen->memory, &parked->delta);
    thaw_pointers(faaslet);
    if (err == 0 && has_stack(&faaslet->stand)) {
        stack_append(faaslet, &parked->stack);
        buffer_trim(&parked->stack);
        err = parked->stack.err;
    }
    return err;
}

/* All of it, without the process record, which is handed over. */
static int
park_whole(struct faaslet *faaslet, struct faaslet_parked *parked, struct diag *diag)
{
    const struct faaslet_process_ops *ops = faaslet->config.ops;
    int err;

    faaslet->config.ops = NULL;
    err = faaslet_freeze(faaslet, &parked->frozen, diag);
    faaslet->config.ops = ops;
    return err;
}

static void
park_values(struct faaslet *faaslet, struct faaslet_parked *parked)
{
    parked->stand = faaslet->stand;
    parked->ops = faaslet->config.ops;
    parked->process = faaslet->config.process;
    parked->process_is_own = faaslet->process_is_own;
    faaslet->config.process = NULL;
    faaslet->process_is_own = false;
}

int
faaslet_park(struct faaslet *faaslet, const struct faaslet_frozen *frozen,
             struct faaslet_parked **out, struct diag *diag)
{
    struct faaslet_parked *parked;
    int err;

    if (thread_count(faaslet) > 1)
        return diag_set(diag, -EBUSY, "cannot park: it has several threads");
    if (faaslet->machine != NULL)
        return diag_set(diag, -EBUSY, "cannot park: it was preempted while it computed");
    parked = calloc(1, sizeof(*parked));
    err = parked == NULL ? -ENOMEM : fault_point("faaslet.park");
    if (err == 0)
        err = faaslet->mode != ABI_LINKED ? park_memory(faaslet, frozen, parked) : -EINVAL;
    if (err == -EINVAL)
        err = park_whole(faaslet, parked, diag);
    if (err != 0) {
        faaslet_parked_destroy(parked);
        return diag_set(diag, err, "cannot park: %s", strerror(-err));
    }
    park_values(faaslet, parked);
    *out = parked;
    return 0;
}

static void
unpark_values(struct faaslet *faaslet, struct faaslet_parked *parked)
{
    faaslet->stand = parked->stand;
    if (faaslet->process_is_own)
        faaslet->config.ops->destroy(faaslet->config.process);
    faaslet->config.process = parked->process;
    faaslet->process_is_own = parked->process_is_own;
    parked->process = NULL;
    parked->process_is_own = false;
}

int
faaslet_unpark(struct faaslet *faaslet, struct faaslet_parked *parked, struct diag *diag)
{
    int err = fault_point("faaslet.unpark");

    if (err == 0 && parked->frozen != NULL)
        err = replace_all(faaslet, parked->frozen);
    else if (err == 0)
        err = mem_delta_apply(faaslet->slot, parked->delta);
    if (err != 0)
        return diag_set(diag, err, "cannot unpark: %s", strerror(-err));
    unpark_values(faaslet, parked);
    if (parked->frozen != NULL)
        return 0;
    faaslet_header_fill(faaslet);
    err = stack_restore(faaslet, &parked->stack, false);
    return err == 0 ? 0 : diag_set(diag, err, "cannot unpark: its stack does not fit");
}

uint64_t
faaslet_parked_bytes(const struct faaslet_parked *parked)
{
    return sizeof(*parked) + parked->stack.capacity +
           (parked->delta != NULL ? mem_delta_bytes(parked->delta) : 0) +
           (parked->frozen != NULL ? mem_snapshot_stored_bytes(parked->frozen->memory) : 0);
}

void *
faaslet_parked_process(const struct faaslet_parked *parked)
{
    return parked->process;
}

void
faaslet_parked_destroy(struct faaslet_parked *parked)
{
    if (parked == NULL)
        return;
    mem_delta_destroy(parked->delta);
    faaslet_frozen_destroy(parked->frozen);
    buffer_fini(&parked->stack);
    if (parked->process_is_own)
        parked->ops->destroy(parked->process);
    free(parked);
}
