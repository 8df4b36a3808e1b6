/* SPDX-License-Identifier: Apache-2.0
 *
 * op: operators: those of the standard (op_table.c) and of the program (MPI 3.1, 5.9).
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "type_internal.h"

#define PART_BYTES 2048u /* of elements that do not lie in a row, at once */

static struct mpi_op ops[] = {
    {.handle = MPI_MAX, .number = MPI_OP_MAX},
    {.handle = MPI_MIN, .number = MPI_OP_MIN},
    {.handle = MPI_SUM, .number = MPI_OP_SUM},
    {.handle = MPI_PROD, .number = MPI_OP_PROD},
    {.handle = MPI_LAND, .number = MPI_OP_LAND},
    {.handle = MPI_LOR, .number = MPI_OP_LOR},
    {.handle = MPI_LXOR, .number = MPI_OP_LXOR},
    {.handle = MPI_BAND, .number = MPI_OP_BAND},
    {.handle = MPI_BOR, .number = MPI_OP_BOR},
    {.handle = MPI_BXOR, .number = MPI_OP_BXOR},
    {.handle = MPI_MINLOC, .number = MPI_OP_MINLOC},
    {.handle = MPI_MAXLOC, .number = MPI_OP_MAXLOC},
    {.handle = MPI_REPLACE, .number = MPI_OP_REPLACE},
    {.handle = MPI_NO_OP, .number = MPI_OP_NO_OP},
};

void
mpi_ops_init(void)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        ops[i].references = 1;
        ops[i].is_of_windows = ops[i].number == MPI_OP_REPLACE || ops[i].number == MPI_OP_NO_OP;
        ops[i].is_commutative = !ops[i].is_of_windows;
        mpi_handle_define(MPI_KIND_OP, ops[i].handle, &ops[i]);
    }
}

int
mpi_op_find(MPI_Op handle, struct mpi_op **out)
{
    struct mpi_op *op;

    mpi_types_init();
    op = mpi_handle_find(MPI_KIND_OP, handle);
    if (op == NULL)
        return MPI_ERR_OP;
    *out = op;
    return 0;
}

struct mpi_op *
mpi_op_get(struct mpi_op *op)
{
    op->references++;
    return op;
}

void
mpi_op_put(struct mpi_op *op)
{
    if (op != NULL && --op->references == 0)
        free(op);
}

static bool
is_for_all(const struct mpi_op *op)
{
    return op->function != NULL || op->is_of_windows;
}

int
mpi_op_check(const struct mpi_op *op, const struct mpi_type *type)
{
    if (is_for_all(op))
        return 0;
    if (type->element == NULL)
        return MPI_ERR_OP;
    return mpi_op_table[op->number][type->element->map->format] != NULL ? 0 : MPI_ERR_OP;
}

/* ------------------------------------------------------------------------- apply */

/* The program is given the type's handle, or another one while it has freed that. */
static void
apply_function(const struct mpi_op *op, const struct mpi_type *type, const void *in, void *inout,
               int64_t count)
{
    struct mpi_type *object = (struct mpi_type *)mpi_type_at(type, 0);
    const bool is_freed = type->handle == NULL;
    MPI_Datatype handle = is_freed ? mpi_handle_make(MPI_KIND_TYPE, object) : type->handle;
    MPI_Datatype given = handle != NULL ? handle : MPI_DATATYPE_NULL;

    mpi_unlock();
    for (int64_t done = 0; done < count; done += INT_MAX) {
        int n = count - done < INT_MAX ? (int)(count - done) : INT_MAX;
        MPI_Datatype handle_again = given;

        op->function(mpi_type_at(in, done * type->extent), mpi_type_at(inout, done * type->extent),
                     &n, &handle_again);
    }
    mpi_lock();
    if (is_freed && handle != NULL)
        mpi_handle_free(MPI_KIND_TYPE, handle);
}

/* Packs parts of both, and puts the result back; an element that has gaps keeps what is in them. */
static void
apply_in_parts(mpi_op_fn apply, const struct mpi_type *type, const void *in, void *inout,
               int64_t count)
{
    const struct mpi_type *element = type->element;
    const uint64_t size = (uint64_t)element->size, extent = (uint64_t)element->extent;
    const uint64_t bytes = (uint64_t)count * (uint64_t)type->size;
    const uint64_t step = PART_BYTES / extent;
    _Alignas(16) char a[PART_BYTES], b[PART_BYTES], packed[PART_BYTES];

    for (uint64_t done = 0; done < bytes; done += step * size) {
        const uint64_t left = (bytes - done) / size, n = left < step ? left : step;

        mpi_type_pack(type, in, count, done, packed, n * size);
        mpi_type_unpack(element, a, (int64_t)n, 0, packed, n * size);
        mpi_type_pack(type, inout, count, done, packed, n * size);
        mpi_type_unpack(element, b, (int64_t)n, 0, packed, n * size);
        apply(a, b, (size_t)n);
        mpi_type_pack(element, b, (int64_t)n, 0, packed, n * size);
        mpi_type_unpack(type, inout, count, done, packed, n * size);
    }
}

/* Whether elements of the type follow each other as in an array of C. */
static bool
is_array(const struct mpi_type *type)
{
    return type == type->element || (type->is_dense && type->element->is_dense);
}

static void
apply_predefined(const struct mpi_op *op, const struct mpi_type *type, const void *in, void *inout,
                 int64_t count)
{
    const mpi_op_fn apply = mpi_op_table[op->number][type->element->map->format];

    if (is_array(type))
        apply(mpi_type_at(in, type->true_lb), mpi_type_at(inout, type->true_lb),
              (size_t)(count * (type->size / type->element->size)));
    else
        apply_in_parts(apply, type, in, inout, count);
}

void
mpi_op_apply(const struct mpi_op *op, const struct mpi_type *type, const void *in, void *inout,
             int64_t count)
{
    if (count == 0 || op->number == MPI_OP_NO_OP)
        return;
    if (op->function != NULL)
        apply_function(op, type, in, inout, count);
    else if (type->size == 0)
        return;
    else if (op->number == MPI_OP_REPLACE)
        mpi_type_copy(type, in, count, type, inout, count);
    else
        apply_predefined(op, type, in, inout, count);
}

/* ------------------------------------------------------------------- of the program */

static int
op_create(MPI_User_function *function, int commute, MPI_Op *out)
{
    struct mpi_op *op;

    if (function == NULL || out == NULL)
        return MPI_ERR_ARG;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return MPI_ERR_NO_MEM;
    op->references = 1;
    op->is_commutative = commute != 0;
    op->function = function;
    op->handle = mpi_handle_make(MPI_KIND_OP, op);
    if (op->handle == NULL) {
        free(op);
        return MPI_ERR_NO_MEM;
    }
    *out = op->handle;
    return 0;
}

int
PMPI_Op_create(MPI_User_function *user_fn, int commute, MPI_Op *op)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Op_create", op_create(user_fn, commute, op));
}
MPI_NAMES(Op_create);

static int
op_free(MPI_Op *handle)
{
    struct mpi_op *op;
    int err = handle != NULL ? mpi_op_find(*handle, &op) : MPI_ERR_ARG;

    if (err == 0 && op->function == NULL)
        err = MPI_ERR_OP;
    if (err != 0)
        return err;
    mpi_handle_free(MPI_KIND_OP, *handle);
    op->handle = NULL;
    mpi_op_put(op);
    *handle = MPI_OP_NULL;
    return 0;
}

int
PMPI_Op_free(MPI_Op *op)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Op_free", op_free(op));
}
MPI_NAMES(Op_free);

int
PMPI_Op_commutative(MPI_Op op, int *commute)
{
    struct mpi_op *o;
    int err;

    mpi_lock();
    err = commute != NULL ? mpi_op_find(op, &o) : MPI_ERR_ARG;
    if (err == 0)
        *commute = o->is_commutative;
    return mpi_leave(NULL, "MPI_Op_commutative", err);
}
MPI_NAMES(Op_commutative);

static int
reduce_local(const void *in, void *inout, int count, MPI_Datatype handle, MPI_Op op_handle)
{
    struct mpi_type *type;
    struct mpi_op *op;
    int err = mpi_type_use(handle, count, &type);

    if (err == 0)
        err = mpi_op_find(op_handle, &op);
    if (err == 0)
        err = op->is_of_windows ? MPI_ERR_OP : mpi_op_check(op, type);
    if (err != 0)
        return err;
    if (in == MPI_IN_PLACE || inout == MPI_IN_PLACE || (in == inout && count > 0))
        return MPI_ERR_BUFFER;
    mpi_op_get(op);
    mpi_type_get(type);
    mpi_op_apply(op, type, in, inout, count);
    mpi_type_put(type);
    mpi_op_put(op);
    return 0;
}

int
PMPI_Reduce_local(const void *inbuf, void *inoutbuf, int count, MPI_Datatype datatype, MPI_Op op)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Reduce_local", reduce_local(inbuf, inoutbuf, count, datatype, op));
}
MPI_NAMES(Reduce_local);
