/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends of calls: what a thread came to, as the caller is told.
 */
#include <errno.h>

#include "base/clock.h"
#include "cell/cell_internal.h"

static const char deadlock_text[] =
    "deadlock: every thread waits for memory that nobody can change";

static void
tell_failed(struct cell *cell, struct task *first, int err, const char *message)
{
    struct cell_end end = {.kind = CELL_FAILED, .err = err, .message = message, .backtrace = ""};

    task_end(cell, first, &end);
}

static void
tell_stopped(struct cell *cell, struct task *first, enum cell_end_kind kind)
{
    struct cell_end end = {
        .kind = kind, .limit = FAASLET_LIMIT_TIME, .message = "", .backtrace = ""};

    task_end(cell, first, &end);
}

/* The text is its backtrace, and freed. */
static void
tell_with(struct cell *cell, struct task *first, struct cell_end *end, struct buffer *text)
{
    buffer_append(text, "", 1);
    if (text->err == 0)
        end->backtrace = (const char *)text->bytes;
    task_end(cell, first, end);
    buffer_fini(text);
}

/* Of a thread that is not the first it says so. */
static void
tell_trapped(struct cell *cell, struct task *first, const struct ending *ending)
{
    uint32_t id = faaslet_thread_id(ending->task->faaslet);
    struct buffer text = {0};
    struct cell_end end = {
        .kind = CELL_TRAP, .trap = ending->trap, .message = ending->message, .backtrace = ""};

    if (end.message[0] == '\0')
        end.message = abi_trap_text(ending->trap);
    if (id != 0)
        buffer_append_format(&text, "thread %u:\n", id);
    faaslet_backtrace(ending->task->faaslet, &text);
    tell_with(cell, first, &end, &text);
}

/* With where each of them waits. */
static void
tell_deadlock(struct cell *cell, struct task *first)
{
    struct cell_end end = {
        .kind = CELL_TRAP, .trap = ABI_TRAP_HOST, .message = deadlock_text, .backtrace = ""};
    struct task *task = first;
    struct buffer text = {0};

    do {
        buffer_append_format(&text, "thread %u waits:\n", faaslet_thread_id(task->faaslet));
        faaslet_backtrace(task->faaslet, &text);
        task = task->next;
    } while (task != first);
    tell_with(cell, first, &end, &text);
}

static void
tell_done(struct cell *cell, struct task *first)
{
    uint64_t results[CELL_RESULTS_MAX];
    struct cell_end end = {.kind = CELL_DONE,
                           .message = "",
                           .backtrace = "",
                           .results = results,
                           .result_slots = first->result_slots};
    int err = faaslet_results(first->faaslet, 0, results, first->result_slots);

    if (err != 0)
        tell_failed(cell, first, err, "the function has results of other types");
    else
        task_end(cell, first, &end);
}

void
end_leave(struct cell *cell, struct task *first, enum cell_end_kind kind)
{
    const struct faaslet_wait wait = {.deadline_ns = CLOCK_NEVER_NS};

    first->has_returned = true;
    if (kind != CELL_DONE) {
        tell_stopped(cell, first, kind);
        return;
    }
    if (cell->on_done == NULL || cell->on_done(faaslet_process(first->faaslet)) != -EINPROGRESS) {
        tell_done(cell, first);
        return;
    }
    (void)pthread_mutex_lock(&cell->lock);
    if (wait_begin(cell, first, &wait))
        cell_feed(cell); /* it is not parked: there is no run that goes on */
    else
        task_queue(cell, first);
    (void)pthread_mutex_unlock(&cell->lock);
}

static void
tell_outcome(struct cell *cell, struct task *first, const struct ending *ending)
{
    struct cell_end end = {.message = ending->message, .backtrace = ""};

    if (first->save_at != NULL && ending->kind != FAASLET_KILLED) {
        save_end_before(cell, first, ending);
        return;
    }
    switch (ending->kind) {
    case FAASLET_DONE:
        end_leave(cell, first, CELL_DONE);
        return;
    case FAASLET_TRAP:
        tell_trapped(cell, first, ending);
        return;
    case FAASLET_EXIT:
        end.kind = CELL_EXIT;
        end.exit_code = ending->exit_code;
        break;
    default:
        end.kind = ending->limit == FAASLET_LIMIT_KILL ? CELL_CANCELLED : CELL_KILLED;
        end.limit = ending->limit;
        break;
    }
    task_end(cell, first, &end);
}

void
end_conclude(struct cell *cell, struct task *first)
{
    const struct ending ending = first->ending;

    if (first->has_threads)
        first->memory_bytes = faaslet_memory_bytes(first->faaslet);
    switch (ending.how) {
    case ENDING_FAILED:
        tell_failed(cell, first, ending.err, ending.message);
        return;
    case ENDING_STOPPED:
        tell_stopped(cell, first, ending.stopped);
        return;
    case ENDING_SAVED:
        save_end_there(cell, first);
        return;
    case ENDING_DEADLOCK:
        tell_deadlock(cell, first);
        return;
    default:
        tell_outcome(cell, first, &ending);
    }
}
