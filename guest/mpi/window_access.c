/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to windows (MPI 3.1, 11.3). Data goes straight between the origin's buffer and the
 * target's memory, run of bytes by run of bytes; through a packed buffer where the origin's is not
 * one run. What accumulates holds a word of the target meanwhile, so it is atomic, and in order.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "window.h"

struct origin {
    void *buffer;
    int64_t count;
    struct mpi_type *type;
};

struct target {
    struct mpi_window *window;
    const struct mpi_window_peer *peer; /* NULL: MPI_PROC_NULL */
    uint64_t address;                   /* of displacement 0 of the first element */
    int64_t count;
    struct mpi_type *type;
};

/* -------------------------------------------------------------------------- arguments */

/* Whether an epoch allows it. */
static int
check_epoch(struct mpi_window *window, int rank)
{
    switch (window->access) {
    case MPI_ACCESS_FENCE:
        window->is_fence_used = true;
        return 0;
    case MPI_ACCESS_START:
        return rank == MPI_PROC_NULL ||
                       mpi_group_place(window->opened, window->peers[rank].owner) != MPI_UNDEFINED
                   ? 0
                   : MPI_ERR_RMA_SYNC;
    case MPI_ACCESS_LOCK:
        return rank == MPI_PROC_NULL || window->peers[rank].is_locked ? 0 : MPI_ERR_RMA_SYNC;
    case MPI_ACCESS_LOCK_ALL:
        return 0;
    default:
        return MPI_ERR_RMA_SYNC;
    }
}

static int
check_range(const struct target *target, MPI_Aint disp)
{
    const struct mpi_type *type = target->type;
    int64_t first, end;

    if (target->window->flavor == MPI_WIN_FLAVOR_DYNAMIC)
        return 0;
    if (disp < 0)
        return MPI_ERR_DISP;
    if (target->count == 0 || type->size == 0)
        return 0;
    first = (int64_t)disp * target->peer->unit + type->true_lb;
    end = first + type->true_extent;
    if (type->extent > 0)
        end += (target->count - 1) * type->extent;
    else
        first += (target->count - 1) * type->extent;
    return first >= 0 && end <= (int64_t)target->peer->size ? 0 : MPI_ERR_RMA_RANGE;
}

static int
find_target(struct mpi_window *window, int rank, MPI_Aint disp, int count, MPI_Datatype type,
            struct target *out)
{
    int err = mpi_type_use(type, count, &out->type);

    if (err == 0 && rank != MPI_PROC_NULL && (rank < 0 || rank >= window->comm->size))
        err = MPI_ERR_RANK;
    if (err == 0)
        err = check_epoch(window, rank);
    if (err != 0)
        return err;
    out->window = window;
    out->count = count;
    out->peer = rank != MPI_PROC_NULL ? &window->peers[rank] : NULL;
    if (out->peer == NULL)
        return 0;
    out->address = out->peer->base + (uint64_t)((int64_t)disp * out->peer->unit);
    return check_range(out, disp);
}

static int
find_origin(const void *buffer, int count, MPI_Datatype type, struct origin *out)
{
    out->buffer = (void *)(uintptr_t)buffer;
    out->count = count;
    return mpi_type_use(type, count, &out->type);
}

/* --------------------------------------------------------------------------- movement */

struct move {
    const struct target *target;
    uint8_t *bytes; /* the packed form's next */
    bool is_put;
};

static void
move_run(const struct move *move, uint64_t address, void *here, uint64_t bytes)
{
    uint32_t member = move->target->peer->member;

    if (member == mpi_member() && move->is_put)
        (void)memmove((void *)(uintptr_t)address, here, bytes);
    else if (member == mpi_member())
        (void)memmove(here, (const void *)(uintptr_t)address, bytes);
    else if (move->is_put)
        mpi_net_put(member, address, here, bytes);
    else
        mpi_net_get(member, address, here, bytes);
}

static bool
visit(void *context, int64_t offset, uint64_t bytes)
{
    struct move *move = context;

    move_run(move, move->target->address + (uint64_t)offset, move->bytes, bytes);
    move->bytes += bytes;
    return true;
}

/* Between the target and its packed form. */
static void
move_packed(const struct target *target, void *packed, uint64_t bytes, bool is_put)
{
    struct move move = {target, packed, is_put};
    const void *run = mpi_type_run(target->type, NULL, target->count);

    if (target->type->is_dense || (target->count == 1 && run != NULL))
        move_run(&move, target->address + (uint64_t)target->type->true_lb, packed, bytes);
    else
        mpi_type_runs(target->type, target->count, 0, bytes, visit, &move);
}

static uint64_t
bytes_of(int64_t count, const struct mpi_type *type)
{
    return (uint64_t)(count * type->size);
}

static int
put(const struct origin *origin, const struct target *target)
{
    uint64_t bytes = bytes_of(origin->count, origin->type);
    void *run, *packed;

    if (target->peer == NULL || bytes == 0)
        return 0;
    if (bytes != bytes_of(target->count, target->type))
        return MPI_ERR_TRUNCATE;
    run = mpi_type_run(origin->type, origin->buffer, origin->count);
    packed = run != NULL ? run : malloc(bytes);
    if (packed == NULL)
        return MPI_ERR_NO_MEM;
    if (run == NULL)
        mpi_type_pack(origin->type, origin->buffer, origin->count, 0, packed, bytes);
    move_packed(target, packed, bytes, true);
    if (run == NULL)
        free(packed);
    return 0;
}

static int
get(const struct origin *origin, const struct target *target)
{
    uint64_t bytes = bytes_of(origin->count, origin->type);
    void *run, *packed;

    if (target->peer == NULL || bytes == 0)
        return 0;
    if (bytes != bytes_of(target->count, target->type))
        return MPI_ERR_TRUNCATE;
    run = mpi_type_run(origin->type, origin->buffer, origin->count);
    packed = run != NULL ? run : malloc(bytes);
    if (packed == NULL)
        return MPI_ERR_NO_MEM;
    move_packed(target, packed, bytes, false);
    if (run == NULL) {
        mpi_type_unpack(origin->type, origin->buffer, origin->count, 0, packed, bytes);
        free(packed);
    }
    return 0;
}

/* --------------------------------------------------------------------------- updates */

/* The target's elements while they are changed: packed, and as an array that operators take
 * (elements of MPI_DOUBLE_INT and the like have gaps). */
struct update {
    struct mpi_type *element;
    int64_t count;
    uint64_t bytes; /* packed */
    uint8_t *packed, *array;
};

static bool
has_gaps(const struct update *update)
{
    return !update->element->is_dense;
}

static int
update_init(struct update *update, const struct target *target)
{
    struct mpi_type *element = (struct mpi_type *)(uintptr_t)target->type->element;

    *update = (struct update){.element = element};
    if (element == NULL)
        return MPI_ERR_TYPE; /* of several basic types (11.3.4) */
    update->bytes = bytes_of(target->count, target->type);
    update->count = (int64_t)(update->bytes / (uint64_t)element->size);
    update->packed = malloc(update->bytes + 1);
    update->array =
        has_gaps(update) ? calloc((size_t)update->count + 1, (size_t)element->extent) : NULL;
    return update->packed != NULL && (update->array != NULL || !has_gaps(update)) ? 0
                                                                                  : MPI_ERR_NO_MEM;
}

static void
update_fini(struct update *update)
{
    free(update->packed);
    free(update->array);
}

/* What the origin gives, as an array of elements: *own is to be freed. */
static const void *
operand(const struct update *update, const struct origin *origin, void **own)
{
    const struct mpi_type *element = update->element;
    const void *run = mpi_type_run(origin->type, origin->buffer, origin->count);
    uint8_t *packed;

    *own = NULL;
    if (origin->type == element || (run != NULL && !has_gaps(update)))
        return origin->type == element ? origin->buffer : run;
    packed = malloc(update->bytes + 1);
    *own = has_gaps(update) ? calloc((size_t)update->count + 1, (size_t)element->extent) : packed;
    if (packed != NULL && *own != NULL) {
        mpi_type_pack(origin->type, origin->buffer, origin->count, 0, packed, update->bytes);
        if (has_gaps(update))
            mpi_type_unpack(element, *own, update->count, 0, packed, update->bytes);
    }
    if (*own != packed)
        free(packed);
    return *own;
}

static void
apply(const struct update *update, const struct mpi_op *op, const void *in)
{
    if (!has_gaps(update)) {
        mpi_op_apply(op, update->element, in, update->packed, update->count);
        return;
    }
    mpi_type_unpack(update->element, update->array, update->count, 0, update->packed,
                    update->bytes);
    mpi_op_apply(op, update->element, in, update->array, update->count);
    mpi_type_pack(update->element, update->array, update->count, 0, update->packed, update->bytes);
}

static uint64_t
update_word(const struct target *target)
{
    return target->peer->words + offsetof(struct mpi_window_words, update);
}

static bool
is(const struct mpi_op *op, MPI_Op handle)
{
    return op->handle == handle;
}

/* origin NULL: with MPI_NO_OP. result NULL: nobody wants what was there. */
static int
accumulate(const struct origin *origin, const struct origin *result, const struct target *target,
           const struct mpi_op *op)
{
    struct update update;
    void *own = NULL;
    const void *in = NULL;
    int err;

    if (target->peer == NULL || bytes_of(target->count, target->type) == 0)
        return 0;
    err = update_init(&update, target);
    if (err == 0 && !is(op, MPI_NO_OP)) {
        err = bytes_of(origin->count, origin->type) == update.bytes ? 0 : MPI_ERR_TRUNCATE;
        if (err == 0) {
            in = operand(&update, origin, &own);
            err = in != NULL ? 0 : MPI_ERR_NO_MEM;
        }
    }
    if (err == 0 && result != NULL && bytes_of(result->count, result->type) != update.bytes)
        err = MPI_ERR_TRUNCATE;
    if (err == 0) {
        mpi_turn_take(target->peer->owner, update_word(target), true, "an accumulate");
        move_packed(target, update.packed, update.bytes, false);
        if (result != NULL)
            mpi_type_unpack(result->type, result->buffer, result->count, 0, update.packed,
                            update.bytes);
        if (!is(op, MPI_NO_OP)) {
            apply(&update, op, in);
            move_packed(target, update.packed, update.bytes, true);
        }
        mpi_turn_give(target->peer->owner, update_word(target), true);
    }
    free(own);
    update_fini(&update);
    return err;
}

/* Predefined ones only (11.3.4). */
static int
find_op(MPI_Op handle, const struct mpi_type *type, struct mpi_op **out)
{
    int err = mpi_op_find(handle, out);

    if (err == 0 && (*out)->function != NULL)
        err = MPI_ERR_OP;
    if (err == 0 && !is(*out, MPI_REPLACE) && !is(*out, MPI_NO_OP))
        err = type->element != NULL ? mpi_op_check(*out, type->element) : MPI_ERR_TYPE;
    return err;
}

/* --------------------------------------------------------------------------- requests */

/* Those of MPI_Rput and the like are complete when they are made. */
static void
destroy_request(struct mpi_request *request)
{
    mpi_comm_put(request->comm);
    free(request);
}

static const struct mpi_request_ops done_ops = {.destroy = destroy_request};

/* Only in a passive epoch (11.3.5). */
static int
check_passive(const struct mpi_window *window)
{
    return window->access == MPI_ACCESS_LOCK || window->access == MPI_ACCESS_LOCK_ALL
               ? 0
               : MPI_ERR_RMA_SYNC;
}

static int
make_request(struct mpi_window *window, MPI_Request *out)
{
    struct mpi_request *request = calloc(1, sizeof(*request));
    int err;

    if (request == NULL)
        return MPI_ERR_NO_MEM;
    request->ops = &done_ops;
    request->comm = mpi_comm_get(window->comm);
    request->is_complete = request->is_active = true;
    request->source = MPI_ANY_SOURCE;
    request->tag = MPI_ANY_TAG;
    err = mpi_request_export(request, out);
    if (err != 0)
        destroy_request(request);
    return err;
}

/* ------------------------------------------------------------------- functions of MPI */

/* Put and get, with a request or without. */
struct transfer {
    const char *name;
    bool is_put;
    MPI_Request *request; /* NULL: none */
};

static int
transfer(const struct transfer *how, const void *buffer, int count, MPI_Datatype type, int rank,
         MPI_Aint disp, int target_count, MPI_Datatype target_type, MPI_Win win)
{
    struct mpi_window *window = NULL;
    struct origin origin;
    struct target target;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = find_origin(buffer, count, type, &origin);
    if (err == 0 && how->request != NULL)
        err = check_passive(window);
    if (err == 0)
        err = find_target(window, rank, disp, target_count, target_type, &target);
    if (err == 0)
        err = how->is_put ? put(&origin, &target) : get(&origin, &target);
    if (err == 0 && how->request != NULL)
        err = make_request(window, how->request);
    return mpi_window_leave(window, how->name, err);
}

int
PMPI_Put(const void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp,
         int target_count, MPI_Datatype target_type, MPI_Win win)
{
    const struct transfer how = {"MPI_Put", true, NULL};

    return transfer(&how, buffer, count, type, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Put);

int
PMPI_Get(void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp, int target_count,
         MPI_Datatype target_type, MPI_Win win)
{
    const struct transfer how = {"MPI_Get", false, NULL};

    return transfer(&how, buffer, count, type, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Get);

int
PMPI_Rput(const void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp,
          int target_count, MPI_Datatype target_type, MPI_Win win, MPI_Request *request)
{
    const struct transfer how = {"MPI_Rput", true, request};

    return transfer(&how, buffer, count, type, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Rput);

int
PMPI_Rget(void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp, int target_count,
          MPI_Datatype target_type, MPI_Win win, MPI_Request *request)
{
    const struct transfer how = {"MPI_Rget", false, request};

    return transfer(&how, buffer, count, type, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Rget);

/* The accumulate family. */
struct accumulation {
    const char *name;
    MPI_Request *request; /* NULL: none */
    const void *buffer;
    int count;
    MPI_Datatype type;
    void *result; /* with result_count and result_type */
    int result_count;
    MPI_Datatype result_type; /* MPI_DATATYPE_NULL: nobody wants it */
    MPI_Op op;
};

static int
update_target(const struct accumulation *how, int rank, MPI_Aint disp, int target_count,
              MPI_Datatype target_type, MPI_Win win)
{
    struct mpi_window *window = NULL;
    struct origin origin, result;
    struct target target;
    struct mpi_op *op;
    bool has_result = how->result_type != MPI_DATATYPE_NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && how->request != NULL)
        err = check_passive(window);
    if (err == 0 && (!has_result || how->op != MPI_NO_OP))
        err = find_origin(how->buffer, how->count, how->type, &origin);
    if (err == 0 && has_result)
        err = find_origin(how->result, how->result_count, how->result_type, &result);
    if (err == 0)
        err = find_target(window, rank, disp, target_count, target_type, &target);
    if (err == 0)
        err = find_op(how->op, target.type, &op);
    if (err == 0 && !has_result && how->op == MPI_NO_OP)
        err = MPI_ERR_OP;
    if (err == 0)
        err = accumulate(&origin, has_result ? &result : NULL, &target, op);
    if (err == 0 && how->request != NULL)
        err = make_request(window, how->request);
    return mpi_window_leave(window, how->name, err);
}

int
PMPI_Accumulate(const void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp,
                int target_count, MPI_Datatype target_type, MPI_Op op, MPI_Win win)
{
    const struct accumulation how = {.name = "MPI_Accumulate",
                                     .buffer = buffer,
                                     .count = count,
                                     .type = type,
                                     .result_type = MPI_DATATYPE_NULL,
                                     .op = op};

    return update_target(&how, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Accumulate);

int
PMPI_Raccumulate(const void *buffer, int count, MPI_Datatype type, int rank, MPI_Aint disp,
                 int target_count, MPI_Datatype target_type, MPI_Op op, MPI_Win win,
                 MPI_Request *request)
{
    const struct accumulation how = {.name = "MPI_Raccumulate",
                                     .request = request,
                                     .buffer = buffer,
                                     .count = count,
                                     .type = type,
                                     .result_type = MPI_DATATYPE_NULL,
                                     .op = op};

    return update_target(&how, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Raccumulate);

int
PMPI_Get_accumulate(const void *buffer, int count, MPI_Datatype type, void *result,
                    int result_count, MPI_Datatype result_type, int rank, MPI_Aint disp,
                    int target_count, MPI_Datatype target_type, MPI_Op op, MPI_Win win)
{
    const struct accumulation how = {.name = "MPI_Get_accumulate",
                                     .buffer = buffer,
                                     .count = count,
                                     .type = type,
                                     .result = result,
                                     .result_count = result_count,
                                     .result_type = result_type,
                                     .op = op};

    return update_target(&how, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Get_accumulate);

int
PMPI_Rget_accumulate(const void *buffer, int count, MPI_Datatype type, void *result,
                     int result_count, MPI_Datatype result_type, int rank, MPI_Aint disp,
                     int target_count, MPI_Datatype target_type, MPI_Op op, MPI_Win win,
                     MPI_Request *request)
{
    const struct accumulation how = {.name = "MPI_Rget_accumulate",
                                     .request = request,
                                     .buffer = buffer,
                                     .count = count,
                                     .type = type,
                                     .result = result,
                                     .result_count = result_count,
                                     .result_type = result_type,
                                     .op = op};

    return update_target(&how, rank, disp, target_count, target_type, win);
}
MPI_NAMES(Rget_accumulate);

int
PMPI_Fetch_and_op(const void *buffer, void *result, MPI_Datatype type, int rank, MPI_Aint disp,
                  MPI_Op op, MPI_Win win)
{
    const struct accumulation how = {.name = "MPI_Fetch_and_op",
                                     .buffer = buffer,
                                     .count = 1,
                                     .type = type,
                                     .result = result,
                                     .result_count = 1,
                                     .result_type = type,
                                     .op = op};

    return update_target(&how, rank, disp, 1, type, win);
}
MPI_NAMES(Fetch_and_op);

static int
compare_and_swap(const struct origin *origin, const void *compare, void *result,
                 const struct target *target)
{
    uint8_t now[16];
    uint64_t bytes = (uint64_t)target->type->size;

    if (!target->type->is_predefined || !target->type->is_dense || bytes > sizeof(now))
        return MPI_ERR_TYPE; /* integers, logicals, bytes (11.3.4) */
    if (target->peer == NULL)
        return 0;
    mpi_turn_take(target->peer->owner, update_word(target), true, "an accumulate");
    move_packed(target, now, bytes, false);
    if (memcmp(now, compare, bytes) == 0)
        move_packed(target, origin->buffer, bytes, true);
    mpi_turn_give(target->peer->owner, update_word(target), true);
    (void)memcpy(result, now, bytes);
    return 0;
}

int
PMPI_Compare_and_swap(const void *buffer, const void *compare, void *result, MPI_Datatype type,
                      int rank, MPI_Aint disp, MPI_Win win)
{
    struct mpi_window *window = NULL;
    struct origin origin;
    struct target target;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = find_origin(buffer, 1, type, &origin);
    if (err == 0 && (compare == NULL || result == NULL))
        err = MPI_ERR_BUFFER;
    if (err == 0)
        err = find_target(window, rank, disp, 1, type, &target);
    if (err == 0)
        err = compare_and_swap(&origin, compare, result, &target);
    return mpi_window_leave(window, "MPI_Compare_and_swap", err);
}
MPI_NAMES(Compare_and_swap);
