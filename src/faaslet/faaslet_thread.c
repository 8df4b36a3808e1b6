/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of a process (docs/threads.md): their contexts, stacks and numbers.
 *
 * A struct of a thread that ended is kept for a later one: whoever is about to tell its owner
 * that it woke may still do so, and finds a Faaslet, not freed memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/apart.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "faaslet/faaslet_internal.h"

#define THREAD_ID_MAX ((UINT32_C(1) << 29) - 1)
#define ARGS_CLEARED \
    32u /* of a context that is used again; no code reads what it did not write \
         */
#define START_NAME      "wasi_thread_start"
#define START_LETTERS   "ii:"
#define PLACES_PER_WORD 64u

/* ------------------------------------------------------------------------- places */

uint64_t
space_below_bytes(const struct instance *instance, uint32_t threads_max)
{
    const struct abi_meta *meta = instance->image->abi.meta;
    uint64_t count = threads_max == 0 ? FAASLET_THREADS_DEFAULT : threads_max;
    uint64_t room = (ABI_BELOW_BYTES_MAX - instance->below_bytes) / meta->layout.context_bytes;

    if (meta->mode != ABI_THREADED)
        return instance->below_bytes;
    count = count < FAASLET_THREADS_MAX ? count - 1 : FAASLET_THREADS_MAX - 1;
    return instance->below_bytes + (count < room ? count : room) * meta->layout.context_bytes;
}

int64_t
space_context(const struct space *space, uint32_t place)
{
    const struct instance *instance = space->threads[0]->instances[0];

    if (place == 0)
        return instance->context;
    return -(int64_t)instance->below_bytes -
           (int64_t)place * instance->image->abi.meta->layout.context_bytes;
}

/* Places count from 1. */
static bool
is_used(const struct space *space, uint32_t place)
{
    return (space->used[place / PLACES_PER_WORD] >> place % PLACES_PER_WORD & 1) != 0;
}

static void
set_used(struct space *space, uint32_t place, bool is)
{
    uint64_t bit = UINT64_C(1) << place % PLACES_PER_WORD;

    if (is)
        space->used[place / PLACES_PER_WORD] |= bit;
    else
        space->used[place / PLACES_PER_WORD] &= ~bit;
}

static uint32_t
free_place(const struct space *space)
{
    for (uint32_t word = 0; word <= space->places / PLACES_PER_WORD; word++) {
        uint64_t free = ~space->used[word];

        if (word == 0)
            free &= ~UINT64_C(1);
        if (free != 0) {
            uint32_t place = word * PLACES_PER_WORD + (uint32_t)__builtin_ctzll(free);

            return place <= space->places ? place : 0;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------- life of a space */

/* What a new thread runs. */
static void
find_start(struct space *space, const struct abi_image *image)
{
    const struct abi_meta_export *export =
        link_find_export(image, START_NAME, sizeof(START_NAME) - 1);
    const struct abi_meta_function *functions = abi_image_range(image, image->meta->functions);
    struct buffer letters = {0};
    uint32_t found;

    if (export == NULL || export->kind != ABI_KIND_FUNCTION)
        return;
    found = link_find_function(image, export->index);
    if (found == UINT32_MAX)
        return;
    link_type_letters(image, functions[found].type, &letters);
    if (letters.err == 0 && strcmp((const char *)letters.bytes, START_LETTERS) == 0) {
        space->start_code = image->code[functions[found].code];
        space->start_wrapper = image->code[abi_code_wrapper(functions[found].type)];
    }
    buffer_fini(&letters);
}

int
space_create(struct faaslet *first, uint64_t below_bytes)
{
    const struct instance *instance = first->instances[0];
    const struct abi_meta *meta = instance->image->abi.meta;
    uint32_t wanted = first->config.threads_max;
    struct space *space;

    if (meta->mode != ABI_THREADED)
        return 0;
    space = calloc(1, sizeof(*space));
    if (space == NULL)
        return -ENOMEM;
    space->places = (uint32_t)((below_bytes - instance->below_bytes) / meta->layout.context_bytes);
    space->threads_max = wanted == 0 ? FAASLET_THREADS_DEFAULT : wanted;
    if (space->threads_max > space->places + 1)
        space->threads_max = space->places + 1;
    space->threads = calloc(space->places + 1u, sizeof(struct faaslet *));
    space->used = calloc(space->places / PLACES_PER_WORD + 1u, sizeof(uint64_t));
    if (space->threads == NULL || space->used == NULL) {
        free(space->threads);
        free(space->used);
        free(space);
        return -ENOMEM;
    }
    (void)pthread_mutex_init(&space->lock, NULL);
    (void)pthread_mutex_init(&space->host_lock, NULL);
    (void)pthread_mutex_init(&space->wait_lock, NULL);
    (void)pthread_mutex_init(&space->move_lock, NULL);
    space->threads[0] = first;
    atomic_init(&space->count, 1);
    find_start(space, &instance->image->abi);
    first->space = space;
    return 0;
}

static void
thread_free(struct faaslet *thread)
{
    mem_stack_destroy(&thread->stack);
    free(thread->machine);
    free(thread->kept);
    free(thread);
}

void
space_clear(struct space *space)
{
    if (space == NULL)
        return;
    waiter_forget(space->threads[0]);
    while (atomic_load(&space->count) > 1)
        faaslet_thread_end(space->threads[atomic_load(&space->count) - 1]);
}

void
space_destroy(struct space *space)
{
    if (space == NULL)
        return;
    space_clear(space);
    while (space->idle != NULL) {
        struct faaslet *thread = space->idle;

        space->idle = thread->wait_next;
        thread_free(thread);
    }
    while (space->spare_count > 0)
        mem_stack_destroy(&space->spares[--space->spare_count]);
    (void)pthread_mutex_destroy(&space->lock);
    (void)pthread_mutex_destroy(&space->host_lock);
    (void)pthread_mutex_destroy(&space->wait_lock);
    (void)pthread_mutex_destroy(&space->move_lock);
    free(space->threads);
    free(space->used);
    free(space);
}

/* ------------------------------------------------------------------------- a thread */

/* Under the lock. */
static struct faaslet *
take_idle(struct space *space)
{
    struct faaslet *thread = space->idle;

    if (thread == NULL) {
        thread = apart_calloc(sizeof(*thread));
        return thread;
    }
    space->idle = thread->wait_next;
    if (space->idle == NULL)
        space->idle_last = NULL;
    return thread;
}

/* Under the lock. */
static void
give_idle(struct space *space, struct faaslet *thread)
{
    thread->wait_next = NULL;
    if (space->idle_last != NULL)
        space->idle_last->wait_next = thread;
    else
        space->idle = thread;
    space->idle_last = thread;
}

/* Under the lock. */
static int
take_stack(struct space *space, struct mem_stack *out)
{
    if (space->spare_count > 0) {
        *out = space->spares[--space->spare_count];
        return 0;
    }
    return mem_stack_create(space->threads[0]->config.stack_bytes, false, out);
}

static void
fill_thread(struct faaslet *thread, struct faaslet *first, uint32_t place)
{
    struct kept_call *kept = thread->kept;

    /* Its list and lock words are its own: somebody may be looking at them. */
    thread->config = first->config;
    thread->process_is_own = false;
    thread->mode = first->mode;
    thread->slot = first->slot;
    thread->origin = first->origin;
    thread->instances = first->instances;
    thread->contexts = first->contexts;
    thread->is_dead = first->is_dead;
    thread->instance_count = first->instance_count;
    thread->space = first->space;
    thread->stand = (struct stand){.stop_at = UINT32_MAX, .place = place};
    thread->trap = ABI_TRAP_NONE;
    thread->absent = (struct faaslet_absent){0};
    thread->call = (struct faaslet_call){.has_shares = first->call.has_shares,
                                         .may_lack = first->call.may_lack};
    thread->kept = kept;
    thread->has_registers = false;
    thread->holds_host = false;
    atomic_store(&thread->held, 0);
    atomic_store(&thread->stop, STOP_NONE);
    atomic_store(&thread->runner, 0);
}

int
space_thread_new(struct space *space, uint32_t place, struct faaslet **out)
{
    struct faaslet *first = space->threads[0];
    uint32_t count = atomic_load(&space->count);
    struct mem_stack stack = {0};
    struct faaslet *thread;
    int err;

    if (place == 0)
        place = count < space->threads_max ? free_place(space) : 0;
    if (place == 0)
        return -EAGAIN;
    if (place > space->places || is_used(space, place))
        return -EINVAL;
    thread = fault_point("faaslet.thread") == 0 ? take_idle(space) : NULL;
    if (thread == NULL)
        return -ENOMEM;
    if (first->call.has_shares && thread->kept == NULL)
        thread->kept = calloc(1, sizeof(*thread->kept));
    err = first->call.has_shares && thread->kept == NULL ? -ENOMEM : take_stack(space, &stack);
    if (err != 0) {
        give_idle(space, thread);
        return err;
    }
    fill_thread(thread, first, place);
    thread->stack = stack;
    set_used(space, place, true);
    space->threads[count] = thread;
    thread->stand.stop_context = thread->stand.call_context = space_context(space, place);
    atomic_store(&space->count, count + 1);
    *out = thread;
    return 0;
}

void
faaslet_thread_end(struct faaslet *thread)
{
    struct space *space = thread->space;
    uint32_t number = 0, count;

    ASSERT(!is_first(thread) && atomic_load(&thread->runner) == 0);
    waiter_forget(thread);
    (void)pthread_mutex_lock(&space->lock);
    count = atomic_load(&space->count);
    while (number < count && space->threads[number] != thread)
        number++;
    ASSERT(number > 0 && number < count);
    /* No address stays there. Before it is gone: who is alone then moves without the lock. */
    context_at(thread, thread->stand.stop_context)->guest_sp = 0;
    (void)memmove(&space->threads[number], &space->threads[number + 1],
                  (count - number - 1) * sizeof(struct faaslet *));
    atomic_store(&space->count, count - 1);
    set_used(space, thread->stand.place, false);
    free(thread->machine);
    thread->machine = NULL;
    thread->stand.state = STATE_OVER;
    if (space->spare_count < SPARE_STACKS)
        space->spares[space->spare_count++] = thread->stack;
    else
        mem_stack_destroy(&thread->stack);
    thread->stack = (struct mem_stack){0};
    give_idle(space, thread);
    (void)pthread_mutex_unlock(&space->lock);
}

void
space_follow(struct space *space)
{
    struct faaslet *first = space->threads[0];

    for (uint32_t i = 1; i < atomic_load(&space->count); i++) {
        space->threads[i]->slot = first->slot;
        space->threads[i]->origin = first->origin;
        space->threads[i]->config.process = first->config.process;
    }
}

/* -------------------------------------------------------------------------- spawning */

/* The context as linking made it; tables and segments in it are never looked at. */
static void
fill_context(const struct faaslet *thread, int64_t offset)
{
    const struct instance *instance = thread->instances[0];
    const struct abi_meta *meta = instance->image->abi.meta;
    const struct abi_layout *layout = &meta->layout;
    struct abi_context *context = context_at(thread, offset);

    (void)memcpy(context, instance->template, offsetof(struct abi_context, args));
    (void)memset(context->args, 0, ARGS_CLEARED * sizeof(context->args[0]));
    context->self = offset;
    if (meta->globals.count > 0)
        (void)memcpy((uint8_t *)context + layout->globals, instance->template + layout->globals,
                     (size_t)meta->globals.count * ABI_GLOBAL_BYTES);
}

/* Under the lock. */
static uint32_t
take_id(struct space *space)
{
    uint32_t id = space->next_id < THREAD_ID_MAX ? space->next_id + 1 : 1;

    /* They come around after half a milliard: by then one may still be there. */
    for (uint32_t i = 1; i < atomic_load(&space->count); i++)
        if (space->threads[i]->stand.id == id) {
            id = id < THREAD_ID_MAX ? id + 1 : 1;
            i = 0;
        }
    space->next_id = id;
    return id;
}

static int
make_thread(struct space *space, uint32_t argument, struct faaslet **out)
{
    const struct instance *instance = space->threads[0]->instances[0];
    struct faaslet *thread;
    int64_t context;
    int err;

    (void)pthread_mutex_lock(&space->lock);
    err = space_thread_new(space, 0, &thread);
    if (err == 0)
        thread->stand.id = take_id(space);
    (void)pthread_mutex_unlock(&space->lock);
    if (err != 0)
        return err;
    context = space_context(space, thread->stand.place);
    fill_context(thread, context);
    thread->stand.argument = argument;
    thread->stand.is_init = true;
    run_prepare(thread, context, instance->image->abi.code[ABI_CODE_INIT], 0);
    *out = thread;
    return 0;
}

int
faaslet_call_spawn(struct faaslet_call *call, uint32_t argument, uint32_t *id)
{
    struct faaslet *caller = call->faaslet, *thread;
    const struct faaslet_owner *owner = caller->config.owner;
    struct space *space = caller->space;
    uint32_t number;
    int err;

    if (space == NULL || space->start_code == 0)
        return -ENOENT;
    if (owner == NULL)
        return -EAGAIN;
    if (!caller->holds_host) { /* it was alone, and is no more */
        (void)pthread_mutex_lock(&space->host_lock);
        caller->holds_host = true;
    }
    err = make_thread(space, argument, &thread);
    if (err != 0)
        return err;
    number = thread->stand.id; /* it may run and end at once */
    err = owner->on_thread(thread);
    if (err != 0) {
        faaslet_thread_end(thread);
        return err;
    }
    *id = number;
    return 0;
}

/* ---------------------------------------------------------------------------- asking */

struct faaslet *
faaslet_thread(const struct faaslet *faaslet, uint32_t number)
{
    const struct space *space = faaslet->space;

    if (space == NULL)
        return number == 0 ? first_of(faaslet) : NULL;
    return number < atomic_load(&space->count) ? space->threads[number] : NULL;
}

struct faaslet *
faaslet_first(struct faaslet *faaslet)
{
    return first_of(faaslet);
}

uint32_t
faaslet_thread_id(const struct faaslet *faaslet)
{
    return faaslet->stand.id;
}

bool
faaslet_is_plain(const struct faaslet *thread)
{
    return thread->machine == NULL || machine_is_plain(thread);
}

bool
faaslet_is_deadlocked(const struct faaslet *faaslet)
{
    struct space *space = faaslet->space;
    bool is_dead = true;

    if (space == NULL)
        return waiter_is_for_ever(faaslet);
    (void)pthread_mutex_lock(&space->lock);
    (void)pthread_mutex_lock(&space->wait_lock);
    for (uint32_t i = 0; i < atomic_load(&space->count) && is_dead; i++)
        is_dead = waiter_is_for_ever(space->threads[i]);
    (void)pthread_mutex_unlock(&space->wait_lock);
    (void)pthread_mutex_unlock(&space->lock);
    return is_dead;
}

/* -------------------------------------------------------------------- standing still */

void
thread_hold(struct faaslet *thread, unsigned who)
{
    unsigned none = STOP_NONE;
    int tid;

    /* Pairs with faaslet_run, which says who runs it and then looks whether it may. */
    (void)atomic_fetch_or(&thread->held, who);
    (void)atomic_compare_exchange_strong(&thread->stop, &none, STOP_PREEMPT);
    tid = atomic_load(&thread->runner);
    if (tid != 0)
        runner_interrupt(tid);
}

void
thread_release(struct faaslet *thread, unsigned who)
{
    (void)atomic_fetch_and(&thread->held, ~who);
}

void
faaslet_stand_still(struct faaslet *thread)
{
    thread_hold(thread, HELD_BY_OWNER);
}

void
faaslet_go_on(struct faaslet *thread)
{
    thread_release(thread, HELD_BY_OWNER);
}
