/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezing and thawing. Frozen, a Faaslet is: a snapshot of its slot with the
 * header zero, the bytes of its stack in use, the record of its host functions,
 * and plain values. Stack pointers are kept as distance from the stack's top.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/apart.h"
#include "base/assert.h"
#include "base/fault.h"
#include "faaslet/faaslet_internal.h"

static void *
copy_array(const void *from, size_t count, size_t unit)
{
    void *copy = calloc(count + 1, unit);

    if (copy != NULL && count > 0)
        (void)memcpy(copy, from, count * unit);
    return copy;
}

static int
copy_names(const struct faaslet *from, struct faaslet *to)
{
    to->names = calloc(from->name_count + 1u, sizeof(*to->names));
    if (to->names == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->name_count; i++) {
        to->names[i].instance = from->names[i].instance;
        to->names[i].name = strdup(from->names[i].name);
        if (to->names[i].name == NULL)
            return -ENOMEM;
        to->name_count++;
    }
    return 0;
}

/* What belongs to one place or one run. */
static void
forget_place(struct faaslet *faaslet)
{
    faaslet->slot = NULL;
    faaslet->origin = NULL;
    faaslet->stack = (struct mem_stack){0};
    faaslet->process_is_own = false;
    faaslet->call = (struct faaslet_call){0};
    faaslet->has_registers = false;
    faaslet->machine = NULL;
    faaslet->kept = NULL;
    faaslet->absent = (struct faaslet_absent){0};
    faaslet->stand.cpu_ns = 0;
    faaslet->stand.refused = 0;
    faaslet->deadline_ns = 0;
    faaslet->mark = NULL;
    faaslet->space = NULL;
    faaslet->wait_next = faaslet->wait_previous = NULL;
    faaslet->is_listed = faaslet->holds_host = false;
    atomic_init(&faaslet->held, 0);
    atomic_init(&faaslet->runner, 0);
}

int
state_copy(const struct faaslet *from, struct faaslet *to)
{
    *to = *from;
    forget_place(to);
    to->instance_count = 0;
    to->name_count = 0;
    to->names = NULL;
    to->types = (struct buffer){0};
    to->instance_capacity = from->instance_count + 1;
    to->instances = copy_array(from->instances, from->instance_count, sizeof(*to->instances));
    to->contexts = copy_array(from->contexts, from->instance_count, sizeof(*to->contexts));
    to->is_dead = copy_array(from->is_dead, from->instance_count, sizeof(*to->is_dead));
    if (to->instances == NULL || to->contexts == NULL || to->is_dead == NULL ||
        fault_point("faaslet.state") != 0)
        goto fail;
    buffer_append(&to->types, from->types.bytes, from->types.count);
    if (to->types.err != 0 || copy_names(from, to) != 0)
        goto fail;
    for (; to->instance_count < from->instance_count; to->instance_count++)
        (void)instance_get(to->instances[to->instance_count]);
    return 0;

fail:
    state_fini(to);
    return -ENOMEM;
}

bool
has_stack(const struct stand *stand)
{
    return stand->state == STATE_READY || stand->state == STATE_CALLING;
}

static uint64_t
stack_first(const struct faaslet *faaslet)
{
    return faaslet->machine != NULL ? machine_stack_first(faaslet->machine) : faaslet->kept_sp;
}

/* Stack pointers are distances from the top. One that was preempted may be about to leave, between
 * writing its stack pointer there and taking the host's: so that one is kept, too. */
static void
freeze_thread_pointers(struct faaslet *faaslet)
{
    struct abi_context *stopped = context_at(faaslet, faaslet->stand.stop_context);
    uint64_t sp = stopped->guest_sp;
    bool is_one = sp >= faaslet->stack.first && sp <= faaslet->stack.top;

    faaslet->kept_sp = sp;
    stopped->host_sp = 0;
    stopped->guest_sp = has_stack(&faaslet->stand) && is_one ? faaslet->stack.top - sp : 0;
}

/* The slot must look the same from anywhere: no host addresses. */
void
freeze_pointers(struct faaslet *faaslet)
{
    (void)memset(offset_at(faaslet, -(int64_t)ABI_HEADER_BYTES), 0, sizeof(struct abi_header));
    if (faaslet->instance_count > 0)
        faaslet->kept_sp = context_at(faaslet, faaslet->stand.stop_context)->guest_sp;
    for (uint32_t i = 0; i < faaslet->instance_count; i++) {
        if (faaslet->contexts[i] == faaslet->stand.stop_context)
            continue;
        context_at(faaslet, faaslet->contexts[i])->guest_sp = 0;
        context_at(faaslet, faaslet->contexts[i])->host_sp = 0;
    }
    for (uint32_t i = 0; faaslet->instance_count > 0 && i < thread_count(faaslet); i++)
        freeze_thread_pointers(faaslet_thread(faaslet, i));
}

void
thaw_pointers(struct faaslet *faaslet)
{
    for (uint32_t i = 0; faaslet->instance_count > 0 && i < thread_count(faaslet); i++) {
        struct faaslet *thread = faaslet_thread(faaslet, i);

        context_at(thread, thread->stand.stop_context)->guest_sp = thread->kept_sp;
    }
    faaslet_header_fill(faaslet);
}

void
stack_append(const struct faaslet *faaslet, struct buffer *out)
{
    uint64_t first = stack_first(faaslet);

    if (has_stack(&faaslet->stand))
        buffer_append(out, (const void *)first, faaslet->stack.top - first);
}

static int
freeze_threads(struct faaslet *first, struct faaslet_frozen *frozen)
{
    uint32_t count = thread_count(first);
    int err = 0;

    frozen->threads = calloc(count, sizeof(*frozen->threads));
    if (frozen->threads == NULL)
        return -ENOMEM;
    for (uint32_t i = 1; i < count && err == 0; i++) {
        const struct faaslet *thread = faaslet_thread(first, i);
        struct frozen_thread *out = &frozen->threads[i - 1];

        out->stand = thread->stand;
        stack_append(thread, &out->stack);
        if (thread->machine != NULL)
            machine_freeze(thread->machine, thread->stack.top, &out->machine);
        err = out->stack.err != 0 ? out->stack.err : out->machine.err;
        frozen->thread_count = i;
    }
    return err;
}

static int
freeze_memory(struct faaslet *faaslet, struct faaslet_frozen *frozen)
{
    int err;

    freeze_pointers(faaslet);
    err = mem_freeze(faaslet->slot, &frozen->memory);
    thaw_pointers(faaslet);
    if (err != 0)
        return err;
    stack_append(faaslet, &frozen->stack);
    if (faaslet->machine != NULL)
        machine_freeze(faaslet->machine, faaslet->stack.top, &frozen->machine);
    err = frozen->stack.err != 0 ? frozen->stack.err : frozen->machine.err;
    if (err == 0 && thread_count(faaslet) > 1)
        err = freeze_threads(faaslet, frozen);
    return err;
}

static int
freeze_process(const struct faaslet *faaslet, struct faaslet_frozen *frozen)
{
    const struct faaslet_process_ops *ops = faaslet->config.ops;
    int err;

    if (ops == NULL || faaslet->config.process == NULL)
        return 0;
    frozen->has_process = true;
    err = ops->freeze(faaslet->config.process, &frozen->process);
    return err != 0 ? err : frozen->process.err;
}

/* Shares are mapped again where it stands in a host call only. */
static bool
is_freezable(const struct faaslet *first)
{
    for (uint32_t i = 0; i < thread_count(first); i++) {
        const struct faaslet *thread = faaslet_thread(first, i);

        if (thread->machine != NULL && (first->call.has_shares || !faaslet_is_plain(thread)))
            return false;
    }
    return true;
}

int
faaslet_freeze(struct faaslet *faaslet, struct faaslet_frozen **out, struct diag *diag)
{
    struct faaslet_frozen *frozen;
    int err;

    faaslet = first_of(faaslet);
    if (!is_freezable(faaslet))
        return diag_set(diag, -EBUSY, "cannot freeze: it was preempted where it cannot be");
    frozen = calloc(1, sizeof(*frozen));
    if (frozen == NULL)
        return diag_set(diag, -ENOMEM, "cannot freeze: out of memory");
    atomic_init(&frozen->references, 1);
    err = state_copy(faaslet, &frozen->state);
    if (err != 0)
        goto free_frozen;
    err = freeze_process(faaslet, frozen);
    if (err == 0)
        err = freeze_memory(faaslet, frozen);
    if (err != 0)
        goto free_state;
    *out = frozen;
    return 0;

free_state:
    faaslet_frozen_destroy(frozen);
    return diag_set(diag, err, "cannot freeze: %s", strerror(-err));
free_frozen:
    free(frozen);
    return diag_set(diag, err, "cannot freeze: %s", strerror(-err));
}

struct faaslet_frozen *
faaslet_frozen_get(struct faaslet_frozen *frozen)
{
    (void)atomic_fetch_add_explicit(&frozen->references, 1, memory_order_relaxed);
    return frozen;
}

void
faaslet_frozen_destroy(struct faaslet_frozen *frozen)
{
    if (frozen == NULL ||
        atomic_fetch_sub_explicit(&frozen->references, 1, memory_order_acq_rel) != 1)
        return;
    mem_snapshot_destroy(frozen->memory);
    buffer_fini(&frozen->stack);
    buffer_fini(&frozen->machine);
    buffer_fini(&frozen->process);
    for (uint32_t i = 0; i < frozen->thread_count; i++) {
        buffer_fini(&frozen->threads[i].stack);
        buffer_fini(&frozen->threads[i].machine);
    }
    free(frozen->threads);
    state_fini(&frozen->state);
    free(frozen);
}

const uint8_t *
faaslet_frozen_process(const struct faaslet_frozen *frozen, size_t *count)
{
    *count = frozen->process.count;
    return frozen->has_process ? frozen->process.bytes : NULL;
}

bool
faaslet_frozen_is_running(const struct faaslet_frozen *frozen)
{
    return has_stack(&frozen->state.stand);
}

void
faaslet_process_set(struct faaslet *faaslet, void *process)
{
    if (faaslet->process_is_own)
        faaslet->config.ops->destroy(faaslet->config.process);
    faaslet->config.process = process;
    faaslet->process_is_own = false;
}

int
frozen_restore(const struct faaslet_frozen *frozen, bool random_place, struct faaslet *faaslet)
{
    struct mem_stack stack = {0};
    struct mem_slot *slot;
    int err = mem_slot_create(mem_snapshot_below_bytes(frozen->memory),
                              mem_snapshot_window_count(frozen->memory), random_place, &slot);

    if (err != 0)
        return err;
    err = mem_stack_create(faaslet->config.stack_bytes, random_place, &stack);
    if (err == 0)
        err = mem_restore(slot, frozen->memory);
    if (err != 0) {
        mem_stack_destroy(&stack);
        mem_slot_destroy(slot);
        return err;
    }
    faaslet->slot = slot;
    faaslet->origin = mem_slot_origin(slot);
    faaslet->stack = stack;
    faaslet_header_fill(faaslet);
    return threads_restore(faaslet, frozen, random_place);
}

int
stack_restore(struct faaslet *faaslet, const struct buffer *bytes, bool is_preempted)
{
    uint64_t room = faaslet->stack.top - faaslet->stack.first;
    struct abi_context *context;

    if (bytes->count == 0)
        return 0;
    context = context_at(faaslet, faaslet->stand.stop_context);
    if (bytes->count > room || context->guest_sp > room ||
        (!is_preempted && context->guest_sp != bytes->count))
        return -EINVAL;
    (void)memcpy((void *)(faaslet->stack.top - bytes->count), bytes->bytes, bytes->count);
    context->guest_sp = faaslet->stack.top - context->guest_sp;
    return 0;
}

static int
thread_restore(struct faaslet *faaslet, const struct buffer *stack, const struct buffer *machine)
{
    int err = stack_restore(faaslet, stack, machine->count > 0);

    free(faaslet->machine);
    faaslet->machine = NULL;
    if (err == 0 && machine->count > 0)
        err = machine_thaw(machine, faaslet->stack.top, &faaslet->machine);
    return err;
}

/* One that is there keeps its place, and gets another stack. */
static int
thread_take(struct space *space, uint32_t number, const struct frozen_thread *frozen,
            bool random_place)
{
    struct faaslet *thread;
    int err;

    if (number < atomic_load(&space->count)) {
        thread = space->threads[number];
        mem_stack_destroy(&thread->stack);
        err = mem_stack_create(thread->config.stack_bytes, random_place, &thread->stack);
    } else {
        err = space_thread_new(space, frozen->stand.place, &thread);
    }
    if (err != 0)
        return err;
    thread->stand = frozen->stand;
    return thread_restore(thread, &frozen->stack, &frozen->machine);
}

int
threads_restore(struct faaslet *first, const struct faaslet_frozen *frozen, bool random_place)
{
    int err = thread_restore(first, &frozen->stack, &frozen->machine);

    if (first->space == NULL)
        return err;
    space_follow(first->space);
    for (uint32_t i = 0; i < frozen->thread_count && err == 0; i++)
        err = thread_take(first->space, i + 1, &frozen->threads[i], random_place);
    for (uint32_t i = 0; i < frozen->thread_count; i++)
        if (frozen->threads[i].stand.id > first->space->next_id)
            first->space->next_id = frozen->threads[i].stand.id;
    if (err == 0)
        waiter_list_all(first->space);
    return err;
}

int
process_restore(struct faaslet *faaslet, const struct buffer *bytes)
{
    const struct faaslet_process_ops *ops = faaslet->config.ops;
    void *process;
    int err = ops->thaw(bytes->bytes, bytes->count, &process);

    if (err != 0)
        return err;
    if (faaslet->process_is_own)
        ops->destroy(faaslet->config.process);
    faaslet->config.process = process;
    faaslet->process_is_own = true;
    return 0;
}

static int
check_threads(const struct faaslet_frozen *frozen, uint32_t max, struct diag *diag)
{
    uint32_t count = frozen->thread_count + 1;

    if (max == 0)
        max = FAASLET_THREADS_DEFAULT;
    return count <= max || count == 1
               ? 0
               : diag_set(diag, -EAGAIN, "it has %u threads, and may have %u: raise the limit",
                          count, max);
}

int
faaslet_thaw(const struct faaslet_frozen *frozen, const struct faaslet_config *config,
             struct faaslet **out, struct diag *diag)
{
    struct faaslet *faaslet;
    int err = check_threads(frozen, config->threads_max, diag);

    if (err != 0)
        return err;
    faaslet = apart_calloc(sizeof(*faaslet));
    if (faaslet == NULL)
        return diag_set(diag, -ENOMEM, "cannot thaw: out of memory");
    err = state_copy(&frozen->state, faaslet);
    if (err != 0) {
        free(faaslet);
        return diag_set(diag, err, "cannot thaw: %s", strerror(-err));
    }
    faaslet->config = *config;
    /* A stack that was as large fits; the guest was promised what it had. */
    faaslet->config.stack_bytes = frozen->state.config.stack_bytes;
    err = space_create(faaslet, mem_snapshot_below_bytes(frozen->memory));
    if (err == 0)
        err = frozen_restore(frozen, false, faaslet);
    if (err == 0 && frozen->has_process && config->ops != NULL && !config->process_is_given)
        err = process_restore(faaslet, &frozen->process);
    if (err != 0) {
        faaslet_destroy(faaslet);
        return diag_set(diag, err, "cannot thaw: %s", strerror(-err));
    }
    *out = faaslet;
    return 0;
}

int
faaslet_clone(struct faaslet *faaslet, const struct faaslet_config *config, struct faaslet **out,
              struct diag *diag)
{
    struct faaslet_frozen *frozen;
    int err = faaslet_freeze(faaslet, &frozen, diag);

    if (err != 0)
        return err;
    err = faaslet_thaw(frozen, config, out, diag);
    faaslet_frozen_destroy(frozen);
    return err;
}
