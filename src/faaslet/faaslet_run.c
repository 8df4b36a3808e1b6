/* SPDX-License-Identifier: Apache-2.0
 *
 * Preparing calls, running them, and what host calls come to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "faaslet/faaslet_internal.h"

#define LIKELY(condition) __builtin_expect((condition), 1)

/* -------------------------------------------------------------------- preparing */

/* Builds the first frame: weft_start, with the context's offset in rbx. The
 * stack pointer is 16-byte aligned there. */
static void
prepare_stack(struct faaslet *faaslet, int64_t context, uint64_t start)
{
    uintptr_t sp = faaslet->stack.top - 16 - sizeof(struct abi_frame);
    struct abi_frame *frame = (struct abi_frame *)sp;

    *frame = (struct abi_frame){.rbx = (uint64_t)context, .pc = start};
    ((uint64_t *)(frame + 1))[0] = 0;
    ((uint64_t *)(frame + 1))[1] = 0;
    context_at(faaslet, context)->guest_sp = sp;
}

void
run_prepare(struct faaslet *faaslet, int64_t offset, uint64_t wrapper, uint64_t target)
{
    struct abi_context *context = context_at(faaslet, offset);
    const struct instance *instance = faaslet->instances[context->instance];

    context->wrapper = wrapper;
    context->target = target;
    prepare_stack(faaslet, offset, instance->image->abi.code[ABI_CODE_START]);
    faaslet->stand.call_context = faaslet->stand.stop_context = offset;
    faaslet->has_registers = false;
    faaslet->stand.state = STATE_READY;
}

/* A thread whose globals are set begins with what it is for. */
static void
begin_thread(struct faaslet *faaslet)
{
    const struct space *space = faaslet->space;
    struct abi_context *context = context_at(faaslet, faaslet->stand.call_context);

    run_prepare(faaslet, faaslet->stand.call_context, space->start_wrapper, space->start_code);
    context->args[0] = faaslet->stand.id;
    context->args[1] = faaslet->stand.argument;
    faaslet->stand.is_init = false;
}

int
faaslet_invoke_init(struct faaslet *faaslet, uint32_t instance)
{
    const struct instance *i = faaslet_instance(faaslet, instance);

    if (i == NULL)
        return -ENOENT;
    if (faaslet->stand.state != STATE_IDLE)
        return -EBUSY;
    space_hold(faaslet->space);
    run_prepare(faaslet, i->context, i->image->abi.code[ABI_CODE_INIT], 0);
    faaslet->stand.call_slots = 0;
    faaslet->stand.is_init = true;
    space_release(faaslet->space);
    return 0;
}

/* The type of a function record in the instance that it belongs to. */
static const struct abi_meta_type *
type_of_record(const struct faaslet *faaslet, const struct instance *owner,
               const struct abi_function *record, uint32_t *index)
{
    const struct abi_image *image = &owner->image->abi;
    const struct abi_meta_type *types = abi_image_range(image, image->meta->types);
    const uint32_t *ids = (const void *)((uint8_t *)offset_at(faaslet, owner->context) +
                                         image->meta->layout.type_ids);

    if (faaslet->mode != ABI_LINKED) {
        *index = record->type - 1;
        return &types[*index];
    }
    for (*index = 0; *index < image->meta->types.count; (*index)++)
        if (ids[*index] == record->type)
            return &types[*index];
    return NULL;
}

/* The record of an exported function; it may be another instance's. */
static const struct abi_function *
find_record(const struct faaslet *faaslet, const struct instance *instance, uint32_t number)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_layout *layout = &image->meta->layout;
    const uint8_t *context = offset_at(faaslet, instance->context);
    const struct abi_meta_export *export;
    uint32_t found;

    if (number >= image->meta->exports.count)
        return NULL;
    export = (const struct abi_meta_export *)abi_image_range(image, image->meta->exports) + number;
    if (export->kind != ABI_KIND_FUNCTION)
        return NULL;
    found = link_find_function(image, export->index);
    if (found == UINT32_MAX)
        return NULL;
    if (faaslet->mode == ABI_LINKED && export->index < image->meta->imported_function_count)
        return offset_at(faaslet,
                         ((const int64_t *)(context + layout->import_functions))[export->index]);
    return (const struct abi_function *)(context + layout->functions) + found;
}

int
faaslet_export_find(const struct faaslet *faaslet, uint32_t instance, const char *name,
                    size_t name_bytes, uint32_t *number)
{
    const struct instance *i = faaslet_instance(faaslet, instance);
    const struct abi_image *image = i != NULL ? &i->image->abi : NULL;
    const struct abi_meta_export *export =
        image != NULL ? link_find_export(image, name, name_bytes) : NULL;

    if (export == NULL)
        return -ENOENT;
    *number = (uint32_t)(export - (const struct abi_meta_export *)abi_image_range(
                                      image, image->meta->exports));
    return 0;
}

int
faaslet_invoke(struct faaslet *faaslet, uint32_t instance, const char *name, const uint64_t *args,
               size_t slot_count)
{
    uint32_t number;
    int err = faaslet_export_find(faaslet, instance, name, strlen(name), &number);

    return err != 0 ? err : faaslet_invoke_export(faaslet, instance, number, args, slot_count);
}

static int
invoke_export(struct faaslet *faaslet, uint32_t instance, uint32_t number, const uint64_t *args,
              size_t slot_count)
{
    const struct instance *i = faaslet_instance(faaslet, instance);
    const struct abi_function *record;
    const struct abi_meta_type *type;
    uint32_t index;

    if (i == NULL || faaslet->is_dead[instance])
        return -ENOENT;
    record = find_record(faaslet, i, number);
    if (record == NULL)
        return -ENOENT;
    i = faaslet->instances[context_at(faaslet, record->context)->instance];
    type = type_of_record(faaslet, i, record, &index);
    if (type == NULL || i->image->abi.code[abi_code_wrapper(index)] == 0)
        return -ENOENT;
    if (slot_count != link_value_slots(&i->image->abi, type->params))
        return -EINVAL;
    if (faaslet->stand.state != STATE_IDLE)
        return -EBUSY;
    run_prepare(faaslet, i->context, i->image->abi.code[abi_code_wrapper(index)], record->code);
    if (slot_count > 0)
        (void)memcpy(context_at(faaslet, i->context)->args, args, slot_count * sizeof(*args));
    faaslet->stand.call_slots = link_value_slots(&i->image->abi, type->results);
    faaslet->stand.is_init = false;
    return 0;
}

/* Its other threads may run, and move the process. */
int
faaslet_invoke_export(struct faaslet *faaslet, uint32_t instance, uint32_t number,
                      const uint64_t *args, size_t slot_count)
{
    int err;

    space_hold(faaslet->space);
    err = invoke_export(faaslet, instance, number, args, slot_count);
    space_release(faaslet->space);
    return err;
}

int
faaslet_results(const struct faaslet *faaslet, uint32_t instance, uint64_t *slots,
                size_t slot_count)
{
    if (faaslet_instance(faaslet, instance) == NULL)
        return -ENOENT;
    if (faaslet->stand.state != STATE_IDLE || faaslet->stand.last != FAASLET_DONE ||
        slot_count != faaslet->stand.call_slots)
        return -EINVAL;
    space_hold(faaslet->space);
    if (slot_count > 0)
        (void)memcpy(slots, context_at(faaslet, faaslet->stand.call_context)->args,
                     slot_count * sizeof(*slots));
    space_release(faaslet->space);
    return 0;
}

/* ---------------------------------------------------------------------- outcomes */

static void
end_with(struct faaslet *faaslet, enum faaslet_outcome_kind kind, enum state state)
{
    faaslet->outcome.kind = faaslet->stand.last = kind;
    faaslet->outcome.message = "";
    faaslet->outcome.at_named = false;
    faaslet->has_said = true;
    faaslet->stand.state = state;
}

static void
end_with_trap(struct faaslet *faaslet, enum abi_trap trap, const char *message)
{
    end_with(faaslet, FAASLET_TRAP, STATE_IDLE);
    faaslet->outcome.trap = trap;
    faaslet->outcome.message = message == NULL ? "" : message;
    faaslet->has_registers = true;
    if (faaslet->stand.is_init && is_first(faaslet))
        faaslet->is_dead[context_at(faaslet, faaslet->stand.call_context)->instance] = 1;
}

static void
end_with_absent(struct faaslet *faaslet, enum state state)
{
    ASSERT(faaslet->absent.share != NULL);
    end_with(faaslet, FAASLET_ABSENT, state);
    faaslet->outcome.absent = faaslet->absent;
    faaslet->absent = (struct faaslet_absent){0};
}

static void
end_with_stop(struct faaslet *faaslet, unsigned stop)
{
    waiter_forget(faaslet);
    end_with(faaslet, FAASLET_KILLED, STATE_OVER);
    faaslet->outcome.limit = stop == STOP_TIME  ? FAASLET_LIMIT_TIME
                             : stop == STOP_CPU ? FAASLET_LIMIT_CPU
                                                : FAASLET_LIMIT_KILL;
}

/* ------------------------------------------------------------------- host calls */

/* What a host call that is not simply done comes to. True: the guest goes on. */
static bool
apply_verdict(struct faaslet *faaslet, enum faaslet_verdict verdict)
{
    switch (verdict) {
    case FAASLET_CALL_DONE:
        faaslet->stand.state = STATE_READY;
        return true;
    case FAASLET_CALL_TRAP:
        registers_of_frame(faaslet, faaslet->stand.stop_context, &faaslet->stopped);
        end_with_trap(faaslet, faaslet->call.trap, faaslet->call.message);
        return false;
    case FAASLET_CALL_PENDING:
        end_with(faaslet, FAASLET_PENDING, STATE_CALLING);
        return false;
    case FAASLET_CALL_EXIT:
        end_with(faaslet, FAASLET_EXIT, STATE_OVER);
        faaslet->outcome.exit_code = faaslet->call.exit_code;
        return false;
    case FAASLET_CALL_SNAPSHOT:
        end_with(faaslet, FAASLET_SNAPSHOT, STATE_CALLING);
        return false;
    case FAASLET_CALL_ABSENT:
        end_with_absent(faaslet, STATE_CALLING);
        return false;
    case FAASLET_CALL_LIMIT:
        registers_of_frame(faaslet, faaslet->stand.stop_context, &faaslet->stopped);
        faaslet->has_registers = true;
        end_with(faaslet, FAASLET_KILLED, STATE_OVER);
        faaslet->outcome.limit = faaslet->call.limit;
        return false;
    }
    ASSERT(verdict <= FAASLET_CALL_ABSENT);
    return false;
}

/* With shares: the function may come upon pages that are not there. */
static enum faaslet_verdict
call_host_again_if_absent(struct faaslet *faaslet, struct abi_context *context,
                          faaslet_host_fn function)
{
    enum faaslet_verdict verdict;

    share_keep_call(faaslet, context);
    verdict = function(&faaslet->call);
    return share_undo_call(faaslet, context) ? FAASLET_CALL_ABSENT : verdict;
}

/* Of a process that may have several threads: host functions are called one at a time. One
 * that is alone needs no lock; where its call makes another thread, that takes it. */
static enum faaslet_verdict
call_host_in_turn(struct faaslet *faaslet, struct abi_context *context, faaslet_host_fn function)
{
    struct faaslet_call *call = &faaslet->call;
    struct space *space = faaslet->space;
    enum faaslet_verdict verdict;

    faaslet->holds_host = atomic_load(&space->count) > 1;
    if (faaslet->holds_host)
        (void)pthread_mutex_lock(&space->host_lock);
    call->process = space->threads[0]->config.process;
    call->has_shares = space->threads[0]->call.has_shares;
    call->may_lack = space->threads[0]->call.may_lack;
    verdict =
        call->may_lack ? call_host_again_if_absent(faaslet, context, function) : function(call);
    if (faaslet->holds_host) {
        faaslet->holds_host = false;
        (void)pthread_mutex_unlock(&space->host_lock);
    }
    return verdict;
}

static inline enum faaslet_verdict
call_host(struct faaslet *faaslet, struct abi_context *context, faaslet_host_fn function)
{
    struct faaslet_call *call = &faaslet->call;
    const struct abi_memory *memory = memory_of(faaslet, context);

    call->args = context->args;
    call->trap = ABI_TRAP_HOST;
    call->message = NULL;
    call->wait->deadline_ns = CLOCK_NEVER_NS;
    call->wait->fd_count = 0;
    call->memory = memory == NULL ? NULL : base_of(faaslet, memory);
    call->memory_bytes = memory == NULL ? 0 : pages_of(memory) * ABI_PAGE_BYTES;
    if (!LIKELY(faaslet->space == NULL))
        return call_host_in_turn(faaslet, context, function);
    if (!LIKELY(!call->may_lack))
        return call_host_again_if_absent(faaslet, context, function);
    return function(call);
}

static void
clear_scratch(struct faaslet *faaslet)
{
    (void)memset(faaslet->stand.scratch, 0, sizeof(faaslet->stand.scratch));
}

/* Makes the host call at which the Faaslet stands (again). */
static bool
call_again(struct faaslet *faaslet)
{
    struct abi_context *context = context_at(faaslet, faaslet->stand.stop_context);
    const struct instance *instance = faaslet->instances[context->instance];
    enum faaslet_verdict verdict;

    faaslet->absent = (struct faaslet_absent){0};
    if (context->call < instance->host_count)
        verdict = call_host(faaslet, context, instance->hosts[context->call]);
    else if (context->call >= CALL_HELPER(0) && context->call < CALL_HELPER(ABI_HELPER_COUNT))
        verdict = helper_call(faaslet, context->call - CALL_HELPER(0));
    else
        verdict = wait_call(faaslet, context->call);
    return apply_verdict(faaslet, verdict);
}

/* Its quantum is over. */
static void
preempt(struct faaslet *faaslet)
{
    unsigned wish = STOP_PREEMPT;

    (void)atomic_compare_exchange_strong(&faaslet->stop, &wish, STOP_NONE);
    end_with(faaslet, FAASLET_PREEMPTED, faaslet->stand.state);
}

/* The handler left all registers in this thread's record; another takes its place. */
static void
take_machine(struct faaslet *faaslet)
{
    struct runner *runner = runner_here();

    ASSERT(faaslet->machine == NULL && runner->machine != NULL);
    faaslet->machine = runner->machine;
    runner->machine = NULL;
    faaslet->stand.state = STATE_READY;
}

/* A signal handler made the guest leave. */
static void
stopped_in_code(struct faaslet *faaslet)
{
    unsigned stop = atomic_load(&faaslet->stop);

    faaslet->has_registers = true;
    if (faaslet->trap != ABI_TRAP_NONE) {
        end_with_trap(faaslet, faaslet->trap, faaslet->trap_message);
    } else if (stop != STOP_NONE && stop != STOP_PREEMPT) {
        faaslet->absent = (struct faaslet_absent){0};
        end_with_stop(faaslet, stop);
    } else if (faaslet->absent.share != NULL) {
        take_machine(faaslet);
        end_with_absent(faaslet, STATE_READY);
    } else {
        take_machine(faaslet);
        preempt(faaslet);
    }
}

/* The guest left for another reason than a host function. */
static int
dispatch_special(struct faaslet *faaslet, int64_t context, uint32_t call)
{
    unsigned stop = atomic_load(&faaslet->stop);

    faaslet->stand.stop_context = context;
    switch (call) {
    case ABI_CALL_DONE:
        if (faaslet->stand.is_init && !is_first(faaslet)) {
            begin_thread(faaslet);
            return 0;
        }
        end_with(faaslet, FAASLET_DONE, STATE_IDLE);
        return 0;
    case ABI_CALL_THROW:
        registers_of_frame(faaslet, context, &faaslet->stopped);
        if (throw_exception(faaslet, context))
            return stop == STOP_NONE;
        end_with_trap(faaslet, ABI_TRAP_UNCAUGHT_EXCEPTION, NULL);
        return 0;
    case CALL_STOPPED:
        stopped_in_code(faaslet);
        return 0;
    default:
        clear_scratch(faaslet);
        faaslet->stand.state = STATE_CALLING;
        return 0;
    }
}

/* The path that must be short: one look at each thing, one call. */
static int
dispatch(int64_t offset)
{
    struct faaslet *faaslet = runner_here()->current;
    struct abi_context *context = context_at(faaslet, offset);
    const struct instance *instance = faaslet->instances[context->instance];
    uint32_t number = context->call;
    enum faaslet_verdict verdict;

    if (!LIKELY(number < instance->host_count))
        return dispatch_special(faaslet, offset, number);
    clear_scratch(faaslet);
    faaslet->stand.stop_context = offset;
    if (!LIKELY(number != faaslet->stand.stop_at)) {
        faaslet->stand.stop_at = UINT32_MAX;
        end_with(faaslet, FAASLET_SNAPSHOT, STATE_CALLING);
        faaslet->outcome.at_named = true;
        return 0;
    }
    if (!LIKELY(stress_every == 0)) {
        faaslet->stand.state = STATE_CALLING;
        return 0;
    }
    verdict = call_host(faaslet, context, instance->hosts[number]);
    if (LIKELY(verdict == FAASLET_CALL_DONE))
        return atomic_load_explicit(&faaslet->stop, memory_order_relaxed) == STOP_NONE;
    return apply_verdict(faaslet, verdict);
}

/* ----------------------------------------------------------------------- running */

static bool
is_text(const struct abi_image *image, struct abi_range range, const char *text)
{
    return strlen(text) == range.count &&
           memcmp(abi_image_range(image, range), text, range.count) == 0;
}

static int64_t
enter(struct faaslet *faaslet, uint64_t others)
{
    struct machine *machine = faaslet->machine;
    int64_t context = faaslet->stand.stop_context;

    if (LIKELY(machine == NULL))
        return abi_enter(context, dispatch, faaslet->contexts, others);
    faaslet->machine = NULL;
    context = abi_enter_at(context, dispatch, faaslet->contexts, others,
                           machine_ready(machine, context_at(faaslet, context)));
    free(machine);
    return context;
}

static void
run_until_said(struct faaslet *faaslet)
{
    const uint64_t others = faaslet->mode == ABI_LINKED ? faaslet->instance_count : 0;

    for (;;) {
        unsigned stop = atomic_load(&faaslet->stop);

        if (stop == STOP_PREEMPT) {
            preempt(faaslet);
            return;
        }
        if (stop != STOP_NONE) {
            registers_of_frame(faaslet, faaslet->stand.stop_context, &faaslet->stopped);
            faaslet->has_registers = true;
            end_with_stop(faaslet, stop);
            return;
        }
        if (faaslet->stand.state == STATE_CALLING) {
            if (stress_every != 0 && stress_is_due())
                stress_move(faaslet);
            if (!call_again(faaslet))
                return;
            continue;
        }
        faaslet->stand.stop_context = enter(faaslet, others);
        if (faaslet->has_said)
            return;
    }
}

/* What is the same for all host calls of a run. */
static void
set_call(struct faaslet *faaslet)
{
    faaslet->call.faaslet = faaslet;
    faaslet->call.process = first_of(faaslet)->config.process;
    faaslet->call.scratch = faaslet->stand.scratch;
    faaslet->call.refused = &first_of(faaslet)->stand.refused;
    faaslet->call.wait = &faaslet->outcome.wait;
}

/* Programs without host calls, as most of the specification's tests are, move between their calls.
 * A move may last longer than a quantum: if its ticks ended this one, the guest would never run. */
static void
move_first(struct faaslet *faaslet)
{
    unsigned stop = STOP_PREEMPT, none = STOP_NONE;

    if (stress_every == 0 || faaslet->stand.state != STATE_READY || faaslet->machine != NULL ||
        !stress_is_due())
        return;
    stress_move(faaslet);
    if (atomic_compare_exchange_strong(&faaslet->stop, &stop, STOP_NONE) &&
        atomic_load(&faaslet->held) != 0)
        (void)atomic_compare_exchange_strong(&faaslet->stop, &none, STOP_PREEMPT);
}

/* It is to stand still. */
static bool
is_held(struct faaslet *faaslet, struct faaslet_outcome *out)
{
    if (LIKELY(atomic_load(&faaslet->held) == 0))
        return false;
    atomic_store(&faaslet->runner, 0);
    *out = (struct faaslet_outcome){.kind = FAASLET_PREEMPTED, .message = ""};
    return true;
}

void
faaslet_run(struct faaslet *faaslet, uint64_t deadline_ns, struct faaslet_outcome *out)
{
    struct runner *runner = runner_here();
    struct faaslet *outer = runner->current;
    unsigned stop = atomic_load(&faaslet->stop);

    ASSERT(runner->is_ready);
    ASSERT(faaslet->stand.state == STATE_READY || faaslet->stand.state == STATE_CALLING);
    faaslet->deadline_ns = deadline_ns;
    faaslet->has_said = false;
    /* Those were of the run before; a kill that comes meanwhile stays. */
    if (stop == STOP_TIME || stop == STOP_PREEMPT)
        (void)atomic_compare_exchange_strong(&faaslet->stop, &stop, STOP_NONE);
    runner->run_count++;
    if ((runner->tick_ns != 0 || faaslet->call.has_shares || faaslet->space != NULL) &&
        runner->machine == NULL)
        (void)runner_can_preempt(runner); /* without one it runs on */
    /* Pairs with faaslet_kill: either it sees this thread, or we see its wish. */
    atomic_store(&faaslet->runner, (int)runner->tid);
    if (is_held(faaslet, out))
        return;
    runner->current = faaslet;
    set_call(faaslet);
    runner_arm(runner, deadline_ns);
    runner_set_gs(faaslet->origin);
    move_first(faaslet);
    run_until_said(faaslet);
    runner_disarm(runner);
    runner->current = outer;
    atomic_store(&faaslet->runner, 0);
    if (outer != NULL) {
        runner_set_gs(outer->origin);
        runner_arm(runner, outer->deadline_ns);
    }
    *out = faaslet->outcome;
}

const uint64_t *
faaslet_args(const struct faaslet *faaslet)
{
    return context_at(faaslet, faaslet->stand.stop_context)->args;
}

uint32_t
faaslet_refused(const struct faaslet *faaslet)
{
    return first_of(faaslet)->stand.refused;
}

uint64_t
faaslet_memory_bytes(const struct faaslet *faaslet)
{
    const struct abi_memory *memory;

    if (faaslet->mode == ABI_LINKED)
        return 0;
    memory = memory_of(faaslet, context_at(faaslet, faaslet->instances[0]->context));
    return memory == NULL ? 0 : pages_of(memory) * ABI_PAGE_BYTES;
}

uint8_t *
faaslet_memory(const struct faaslet *faaslet)
{
    const struct abi_memory *memory;

    if (faaslet->mode == ABI_LINKED)
        return NULL;
    memory = memory_of(faaslet, context_at(faaslet, faaslet->instances[0]->context));
    return memory == NULL ? NULL : base_of(faaslet, memory);
}

uint64_t
faaslet_cpu_ns(const struct faaslet *faaslet)
{
    return __atomic_load_n(&first_of(faaslet)->stand.cpu_ns, __ATOMIC_RELAXED);
}

int
faaslet_stop_at(struct faaslet *faaslet, const char *module, const char *name)
{
    const struct abi_image *image;
    const struct abi_meta_import *imports;

    if (faaslet->mode == ABI_LINKED)
        return -ENOENT;
    image = &faaslet->instances[0]->image->abi;
    imports = abi_image_range(image, image->meta->imports);
    for (uint32_t i = 0; i < image->meta->imports.count; i++)
        if (imports[i].kind == ABI_KIND_FUNCTION && is_text(image, imports[i].module, module) &&
            is_text(image, imports[i].name, name)) {
            faaslet->stand.stop_at = imports[i].index;
            return 0;
        }
    return -ENOENT;
}

void
faaslet_kill(struct faaslet *faaslet)
{
    int tid;

    atomic_store(&faaslet->stop, STOP_KILL);
    tid = atomic_load(&faaslet->runner);
    if (tid != 0)
        runner_interrupt(tid);
}
