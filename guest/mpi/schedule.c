/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule: steps in an array, and how far they are. A step that is a message has a request; the
 * schedule looks only at the first that is not complete, for a round is over when all are. What is
 * over goes to a list and is used again, with its array: a collective that others like it went
 * before asks for no memory.
 */
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_INSIDE 12u
#define BYTES_INSIDE 512u /* of memory that is there without asking */
#define FREE_MAX     16u
#define STEPS_KEPT   256u /* a longer array is not kept for the next */

enum step_kind { STEP_SEND, STEP_RECEIVE, STEP_REDUCE, STEP_COPY, STEP_CALL };

struct step {
    enum step_kind kind;
    int peer;
    bool is_local; /* a message of the local communicator */
    bool is_last;  /* of its round */
    const void *from;
    void *to;
    int64_t from_count, to_count;
    struct mpi_type *from_type, *to_type; /* references */
    struct mpi_op *op;                    /* a reference */
    mpi_schedule_fn function;
    struct mpi_request *request; /* of a message that was begun; owned */
};

struct block {
    struct block *next;
    _Alignas(16) unsigned char bytes[];
};

struct mpi_schedule {
    struct mpi_request request; /* first: the schedule is a request */
    struct mpi_task task;
    int tags[2];        /* of the communicator, and of its local one */
    int err;            /* the first; steps go on, others wait for them */
    bool is_local;      /* what is written now */
    bool is_void;       /* a message was not what was expected */
    bool is_busy;       /* some thread is at its steps */
    struct step *steps; /* inside, or owned */
    uint32_t count, room;
    uint32_t waiting; /* the first step of the round that may not be done */
    uint32_t end;     /* of the round */
    uint32_t used;    /* of memory */
    struct block *blocks;
    struct mpi_schedule *next_free;
    struct step steps_inside[STEPS_INSIDE];
    _Alignas(16) unsigned char memory[BYTES_INSIDE];
};

static struct mpi_schedule *free_list;
static uint32_t free_count;

/* --------------------------------------------------------------------------- life */

static struct mpi_schedule *
schedule_take(void)
{
    struct mpi_schedule *schedule = free_list;

    if (schedule != NULL) {
        free_list = schedule->next_free;
        free_count--;
        return schedule;
    }
    schedule = malloc(sizeof(*schedule));
    if (schedule == NULL)
        return NULL;
    schedule->steps = schedule->steps_inside;
    schedule->room = STEPS_INSIDE;
    return schedule;
}

static void
steps_drop(struct mpi_schedule *schedule)
{
    if (schedule->steps != schedule->steps_inside)
        free(schedule->steps);
    schedule->steps = schedule->steps_inside;
    schedule->room = STEPS_INSIDE;
}

/* The one that is given stays allocated until the next is: who runs it as a task still looks at it
 * when its request was nobody's any more. */
static void
schedule_give(struct mpi_schedule *schedule)
{
    struct mpi_schedule *last = free_list;

    if (schedule->room > STEPS_KEPT)
        steps_drop(schedule);
    if (free_count == FREE_MAX) {
        free_list = last->next_free;
        free_count--;
        steps_drop(last);
        free(last);
    }
    schedule->next_free = free_list;
    free_list = schedule;
    free_count++;
}

static void
step_fini(struct step *step)
{
    if (step->from_type != NULL)
        mpi_type_put(step->from_type);
    if (step->to_type != NULL)
        mpi_type_put(step->to_type);
    if (step->op != NULL)
        mpi_op_put(step->op);
}

void
mpi_schedule_destroy(struct mpi_schedule *schedule)
{
    struct block *next;

    for (uint32_t i = 0; i < schedule->count; i++)
        step_fini(&schedule->steps[i]);
    for (struct block *block = schedule->blocks; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    mpi_comm_put(schedule->request.comm);
    schedule_give(schedule);
}

static void
request_destroy(struct mpi_request *request)
{
    mpi_schedule_destroy((struct mpi_schedule *)request);
}

static const struct mpi_request_ops request_ops = {.destroy = request_destroy};

int
mpi_collective_tag(struct mpi_comm *comm)
{
    return (int)(comm->collectives++ & MPI_TAG_MAX);
}

struct mpi_schedule *
mpi_schedule_create(struct mpi_comm *comm, const char *what)
{
    struct mpi_schedule *schedule = schedule_take();
    int tag = mpi_collective_tag(comm);
    int local_tag = comm->local != NULL ? mpi_collective_tag(comm->local) : 0;

    if (schedule == NULL)
        return NULL;
    schedule->request = (struct mpi_request){
        .ops = &request_ops,
        .comm = mpi_comm_get(comm),
        .what = what,
        .is_active = true,
        .source = MPI_ANY_SOURCE,
        .tag = MPI_ANY_TAG,
    };
    schedule->tags[0] = tag;
    schedule->tags[1] = local_tag;
    schedule->err = MPI_SUCCESS;
    schedule->is_local = schedule->is_void = schedule->is_busy = false;
    schedule->count = schedule->waiting = schedule->end = schedule->used = 0;
    schedule->blocks = NULL;
    return schedule;
}

/* ------------------------------------------------------------------------ writing */

void
mpi_schedule_use(struct mpi_schedule *schedule, const struct mpi_comm *comm)
{
    schedule->is_local = comm != schedule->request.comm;
}

static bool
steps_grow(struct mpi_schedule *schedule)
{
    uint32_t room = schedule->room * 2;
    struct step *steps = malloc(room * sizeof(*steps));

    if (steps == NULL)
        return false;
    memcpy(steps, schedule->steps, schedule->count * sizeof(*steps));
    steps_drop(schedule);
    schedule->steps = steps;
    schedule->room = room;
    return true;
}

static void
fail(struct mpi_schedule *schedule, int err)
{
    if (schedule->err == MPI_SUCCESS)
        schedule->err = err;
}

static struct step *
step_add(struct mpi_schedule *schedule, enum step_kind kind)
{
    struct step *step;

    if (schedule->count == schedule->room && !steps_grow(schedule)) {
        fail(schedule, MPI_ERR_NO_MEM);
        return NULL;
    }
    step = &schedule->steps[schedule->count++];
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    step->is_local = schedule->is_local;
    return step;
}

void
mpi_schedule_send(struct mpi_schedule *schedule, const void *buffer, int64_t count,
                  struct mpi_type *type, int to)
{
    struct step *step = step_add(schedule, STEP_SEND);

    if (step == NULL)
        return;
    step->from = buffer;
    step->from_count = count;
    step->from_type = mpi_type_get(type);
    step->peer = to;
}

void
mpi_schedule_receive(struct mpi_schedule *schedule, void *buffer, int64_t count,
                     struct mpi_type *type, int from)
{
    struct step *step = step_add(schedule, STEP_RECEIVE);

    if (step == NULL)
        return;
    step->from = buffer;
    step->from_count = count;
    step->from_type = mpi_type_get(type);
    step->peer = from;
}

void
mpi_schedule_reduce(struct mpi_schedule *schedule, const void *in, void *inout, int64_t count,
                    struct mpi_type *type, struct mpi_op *op)
{
    struct step *step = step_add(schedule, STEP_REDUCE);

    if (step == NULL)
        return;
    step->from = in;
    step->to = inout;
    step->from_count = count;
    step->from_type = mpi_type_get(type);
    step->op = mpi_op_get(op);
}

void
mpi_schedule_copy(struct mpi_schedule *schedule, const void *from, int64_t from_count,
                  struct mpi_type *from_type, void *to, int64_t to_count, struct mpi_type *to_type)
{
    struct step *step = step_add(schedule, STEP_COPY);

    if (step == NULL)
        return;
    step->from = from;
    step->from_count = from_count;
    step->from_type = mpi_type_get(from_type);
    step->to = to;
    step->to_count = to_count;
    step->to_type = mpi_type_get(to_type);
}

void
mpi_schedule_call(struct mpi_schedule *schedule, mpi_schedule_fn function, void *context)
{
    struct step *step = step_add(schedule, STEP_CALL);

    if (step == NULL)
        return;
    step->function = function;
    step->to = context;
}

void
mpi_schedule_round(struct mpi_schedule *schedule)
{
    if (schedule->count > 0)
        schedule->steps[schedule->count - 1].is_last = true;
}

static void *
memory_block(struct mpi_schedule *schedule, uint64_t bytes)
{
    struct block *block =
        bytes <= SIZE_MAX - sizeof(*block) ? malloc(sizeof(*block) + (size_t)bytes) : NULL;

    if (block == NULL) {
        fail(schedule, MPI_ERR_NO_MEM);
        return NULL;
    }
    block->next = schedule->blocks;
    schedule->blocks = block;
    return block->bytes;
}

void *
mpi_schedule_memory(struct mpi_schedule *schedule, uint64_t bytes)
{
    uint64_t whole = (bytes + 15) & ~(uint64_t)15;
    void *memory;

    if (bytes > BYTES_INSIDE || whole > BYTES_INSIDE - schedule->used)
        return memory_block(schedule, bytes);
    memory = schedule->memory + schedule->used;
    schedule->used += (uint32_t)whole;
    return memory;
}

void *
mpi_schedule_elements(struct mpi_schedule *schedule, int64_t count, const struct mpi_type *type)
{
    int64_t others = count > 0 ? (count - 1) * type->extent : 0;
    int64_t first = type->true_lb + (others < 0 ? others : 0);
    int64_t span = count > 0 ? type->true_extent + (others < 0 ? -others : others) : 0;
    void *memory = mpi_schedule_memory(schedule, (uint64_t)span);

    return memory != NULL ? (void *)((uintptr_t)memory - (uintptr_t)first) : NULL;
}

/* ------------------------------------------------------------------------ running */

/* A member that did not get what it should has nothing true to say, and says nothing: who awaits
 * data of it finds that it is not what was expected, and so on. */
static void
message_begin(struct mpi_schedule *schedule, struct step *step)
{
    struct mpi_comm *comm = schedule->request.comm;
    struct mpi_comm *used = step->is_local ? comm->local : comm;
    const bool is_void = step->kind == STEP_SEND && schedule->is_void;
    struct mpi_part part = {
        .comm = used,
        .context = used->context + 1,
        .rank = step->peer,
        .tag = schedule->tags[step->is_local],
        .buffer = step->from,
        .count = is_void ? 0 : step->from_count,
        .type = step->from_type,
    };
    int err = step->kind == STEP_SEND ? mpi_message_send(&part, MPI_SEND_STANDARD, &step->request)
                                      : mpi_message_receive(&part, &step->request);

    if (err != MPI_SUCCESS) {
        step->request = NULL;
        fail(schedule, err);
    }
}

static void
step_begin(struct mpi_schedule *schedule, struct step *step)
{
    int err;

    switch (step->kind) {
    case STEP_SEND:
    case STEP_RECEIVE:
        message_begin(schedule, step);
        break;
    case STEP_REDUCE:
        mpi_op_apply(step->op, step->from_type, step->from, step->to, step->from_count);
        break;
    case STEP_COPY:
        mpi_type_copy(step->from_type, step->from, step->from_count, step->to_type, step->to,
                      step->to_count);
        break;
    case STEP_CALL:
        err = step->function(step->to);
        if (err != MPI_SUCCESS)
            fail(schedule, err);
        break;
    }
}

static void
round_begin(struct mpi_schedule *schedule)
{
    struct step *step;

    schedule->waiting = schedule->end;
    do {
        step = &schedule->steps[schedule->end++];
        step_begin(schedule, step);
    } while (!step->is_last && schedule->end < schedule->count);
}

/* What came must be what was expected: all members know how much that is. */
static int
message_end(struct step *step)
{
    int64_t came = step->request->bytes, expected = step->from_count * step->from_type->size;
    int err = mpi_request_finish(step->request);

    step->request = NULL;
    if (err == MPI_SUCCESS && step->kind == STEP_RECEIVE && came != expected)
        return MPI_ERR_TRUNCATE;
    return err;
}

static bool
round_is_done(struct mpi_schedule *schedule)
{
    struct step *step;
    int err;

    for (; schedule->waiting < schedule->end; schedule->waiting++) {
        step = &schedule->steps[schedule->waiting];
        if (step->request == NULL)
            continue;
        if (!step->request->is_complete)
            return false;
        err = message_end(step);
        if (err != MPI_SUCCESS) {
            fail(schedule, err);
            schedule->is_void = true;
        }
    }
    return true;
}

/* True: all is done. An operator of the program runs without the lock, so another thread may come
 * by here meanwhile. */
static bool
schedule_advance(struct mpi_schedule *schedule)
{
    bool is_over;

    if (schedule->is_busy)
        return false;
    schedule->is_busy = true;
    is_over = round_is_done(schedule);
    while (is_over && schedule->end < schedule->count) {
        round_begin(schedule);
        is_over = round_is_done(schedule);
    }
    schedule->is_busy = false;
    if (is_over)
        schedule->request.error = schedule->err;
    return is_over;
}

static bool
task_run(struct mpi_task *task)
{
    struct mpi_schedule *schedule =
        (struct mpi_schedule *)((char *)task - offsetof(struct mpi_schedule, task));

    if (!schedule_advance(schedule))
        return true;
    mpi_request_complete(&schedule->request);
    return false;
}

int
mpi_schedule_start(struct mpi_schedule *schedule, struct mpi_request **out)
{
    int err = schedule->err;

    if (err != MPI_SUCCESS) {
        mpi_schedule_destroy(schedule);
        return err;
    }
    *out = &schedule->request;
    if (schedule_advance(schedule)) {
        mpi_request_complete(&schedule->request);
        return MPI_SUCCESS;
    }
    schedule->task = (struct mpi_task){.run = task_run};
    mpi_task_add(&schedule->task);
    return MPI_SUCCESS;
}

int
mpi_schedule_run(struct mpi_schedule *schedule)
{
    struct mpi_request *request;
    int err = mpi_schedule_start(schedule, &request);

    if (err != MPI_SUCCESS)
        return err;
    if (!request->is_complete)
        mpi_await(&request->is_complete, request->what);
    err = request->error;
    mpi_schedule_destroy(schedule);
    return err;
}
