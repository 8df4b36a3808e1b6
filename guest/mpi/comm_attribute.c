/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of communicators and types; those that the library itself sets (MPI 3.1, 8.1.2), on
 * all communicators alike.
 */
#include "attribute.h"
#include "errhandler.h"
#include "type.h"

static int tag_max = MPI_TAG_MAX, host = MPI_PROC_NULL, io = MPI_ANY_SOURCE, is_global = 1,
           number = 0, universe;

/* NULL: it is none of the library's. */
static int *
predefined(int keyval)
{
    switch (keyval) {
    case MPI_TAG_UB:
        return &tag_max;
    case MPI_HOST:
        return &host;
    case MPI_IO:
        return &io;
    case MPI_WTIME_IS_GLOBAL:
        return &is_global;
    case MPI_APPNUM:
        return &number;
    case MPI_UNIVERSE_SIZE:
        universe = (int)mpi_members();
        return &universe;
    case MPI_LASTUSEDCODE:
        return &mpi_last_used_code;
    default:
        return NULL;
    }
}

/* ------------------------------------------------------------------- of communicators */

int
PMPI_Comm_create_keyval(MPI_Comm_copy_attr_function *copy, MPI_Comm_delete_attr_function *delete,
                        int *keyval, void *extra)
{
    int err;

    mpi_lock();
    err = mpi_keyval_create(MPI_KIND_COMM, (mpi_attribute_copy_fn)copy,
                            (mpi_attribute_delete_fn) delete, extra, keyval);
    return mpi_leave(NULL, "MPI_Comm_create_keyval", err);
}
MPI_NAMES(Comm_create_keyval);

int
PMPI_Comm_free_keyval(int *keyval)
{
    int err;

    mpi_lock();
    err = mpi_keyval_free(MPI_KIND_COMM, keyval);
    return mpi_leave(NULL, "MPI_Comm_free_keyval", err);
}
MPI_NAMES(Comm_free_keyval);

int
PMPI_Comm_set_attr(MPI_Comm comm, int keyval, void *value)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_attribute_set(MPI_KIND_COMM, comm, &c->attributes, keyval, value);
    return mpi_leave(c, "MPI_Comm_set_attr", err);
}
MPI_NAMES(Comm_set_attr);

int
PMPI_Comm_get_attr(MPI_Comm comm, int keyval, void *value, int *flag)
{
    struct mpi_comm *c = NULL;
    int *own = predefined(keyval);
    bool is_set = own != NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && own == NULL)
        err = mpi_attribute_get(&c->attributes, keyval, value, &is_set);
    else if (err == 0)
        *(int **)value = own;
    if (err == 0)
        *flag = is_set;
    return mpi_leave(c, "MPI_Comm_get_attr", err);
}
MPI_NAMES(Comm_get_attr);

int
PMPI_Comm_delete_attr(MPI_Comm comm, int keyval)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_attribute_remove(MPI_KIND_COMM, comm, &c->attributes, keyval);
    return mpi_leave(c, "MPI_Comm_delete_attr", err);
}
MPI_NAMES(Comm_delete_attr);

/* The names of MPI 1 (15.2). */
int
PMPI_Keyval_create(MPI_Copy_function *copy, MPI_Delete_function *delete, int *keyval, void *extra)
{
    return PMPI_Comm_create_keyval(copy, delete, keyval, extra);
}
MPI_NAMES(Keyval_create);

int
PMPI_Keyval_free(int *keyval)
{
    return PMPI_Comm_free_keyval(keyval);
}
MPI_NAMES(Keyval_free);

int
PMPI_Attr_put(MPI_Comm comm, int keyval, void *value)
{
    return PMPI_Comm_set_attr(comm, keyval, value);
}
MPI_NAMES(Attr_put);

int
PMPI_Attr_get(MPI_Comm comm, int keyval, void *value, int *flag)
{
    return PMPI_Comm_get_attr(comm, keyval, value, flag);
}
MPI_NAMES(Attr_get);

int
PMPI_Attr_delete(MPI_Comm comm, int keyval)
{
    return PMPI_Comm_delete_attr(comm, keyval);
}
MPI_NAMES(Attr_delete);

/* ----------------------------------------------------------------------- of types */

int
PMPI_Type_create_keyval(MPI_Type_copy_attr_function *copy, MPI_Type_delete_attr_function *delete,
                        int *keyval, void *extra)
{
    int err;

    mpi_lock();
    err = mpi_keyval_create(MPI_KIND_TYPE, (mpi_attribute_copy_fn)copy,
                            (mpi_attribute_delete_fn) delete, extra, keyval);
    return mpi_leave(NULL, "MPI_Type_create_keyval", err);
}
MPI_NAMES(Type_create_keyval);

int
PMPI_Type_free_keyval(int *keyval)
{
    int err;

    mpi_lock();
    err = mpi_keyval_free(MPI_KIND_TYPE, keyval);
    return mpi_leave(NULL, "MPI_Type_free_keyval", err);
}
MPI_NAMES(Type_free_keyval);

int
PMPI_Type_set_attr(MPI_Datatype type, int keyval, void *value)
{
    struct mpi_type *t;
    int err;

    mpi_lock();
    err = mpi_type_find(type, &t);
    if (err == 0)
        err = mpi_attribute_set(MPI_KIND_TYPE, type, &t->attributes, keyval, value);
    return mpi_leave(NULL, "MPI_Type_set_attr", err);
}
MPI_NAMES(Type_set_attr);

int
PMPI_Type_get_attr(MPI_Datatype type, int keyval, void *value, int *flag)
{
    struct mpi_type *t;
    bool is_set = false;
    int err;

    mpi_lock();
    err = mpi_type_find(type, &t);
    if (err == 0)
        err = mpi_attribute_get(&t->attributes, keyval, value, &is_set);
    if (err == 0)
        *flag = is_set;
    return mpi_leave(NULL, "MPI_Type_get_attr", err);
}
MPI_NAMES(Type_get_attr);

int
PMPI_Type_delete_attr(MPI_Datatype type, int keyval)
{
    struct mpi_type *t;
    int err;

    mpi_lock();
    err = mpi_type_find(type, &t);
    if (err == 0)
        err = mpi_attribute_remove(MPI_KIND_TYPE, type, &t->attributes, keyval);
    return mpi_leave(NULL, "MPI_Type_delete_attr", err);
}
MPI_NAMES(Type_delete_attr);
