/* SPDX-License-Identifier: Apache-2.0
 *
 * Error handlers (MPI 3.1, 8.3): of communicators; those of windows and files are made here, too,
 * and set where these are. They can be had before MPI_Init.
 */
#include "errhandler.h"

#include <stdlib.h>

struct mpi_errhandler mpi_errors_are_fatal = {.handle = MPI_ERRORS_ARE_FATAL, .references = 1};
struct mpi_errhandler mpi_errors_return = {.handle = MPI_ERRORS_RETURN, .references = 1};

static bool
is_static(const struct mpi_errhandler *errhandler)
{
    return errhandler == &mpi_errors_are_fatal || errhandler == &mpi_errors_return;
}

void
mpi_errhandlers_init(void)
{
    mpi_handle_define(MPI_KIND_ERRHANDLER, MPI_ERRORS_ARE_FATAL, &mpi_errors_are_fatal);
    mpi_handle_define(MPI_KIND_ERRHANDLER, MPI_ERRORS_RETURN, &mpi_errors_return);
}

struct mpi_errhandler *
mpi_errhandler_get(struct mpi_errhandler *errhandler)
{
    if (!is_static(errhandler))
        errhandler->references++;
    return errhandler;
}

void
mpi_errhandler_put(struct mpi_errhandler *errhandler)
{
    if (errhandler == NULL || is_static(errhandler) || --errhandler->references > 0)
        return;
    if (errhandler->handle != NULL)
        mpi_handle_free(MPI_KIND_ERRHANDLER, errhandler->handle);
    free(errhandler);
}

int
mpi_errhandler_find(MPI_Errhandler handle, enum mpi_kind kind, struct mpi_errhandler **out)
{
    struct mpi_errhandler *found;

    mpi_errhandlers_init();
    found = mpi_handle_find(MPI_KIND_ERRHANDLER, handle);
    if (found == NULL || (found->kind != 0 && kind != 0 && found->kind != kind))
        return MPI_ERR_ARG;
    *out = found;
    return 0;
}

int
mpi_errhandler_create(enum mpi_kind kind, void (*function)(void *, int *, ...), MPI_Errhandler *out)
{
    struct mpi_errhandler *made;

    if (function == NULL || out == NULL)
        return MPI_ERR_ARG;
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return MPI_ERR_NO_MEM;
    *made = (struct mpi_errhandler){.references = 1, .kind = kind, .function = function};
    made->handle = mpi_handle_make(MPI_KIND_ERRHANDLER, made);
    if (made->handle == NULL) {
        free(made);
        return MPI_ERR_NO_MEM;
    }
    *out = made->handle;
    return 0;
}

void
mpi_errhandler_set(struct mpi_errhandler **place, struct mpi_errhandler *errhandler)
{
    struct mpi_errhandler *old = *place;

    *place = mpi_errhandler_get(errhandler);
    mpi_errhandler_put(old);
}

int
mpi_errhandler_export(struct mpi_errhandler *errhandler, MPI_Errhandler *out)
{
    if (errhandler->handle == NULL)
        errhandler->handle = mpi_handle_make(MPI_KIND_ERRHANDLER, errhandler);
    if (errhandler->handle == NULL)
        return MPI_ERR_NO_MEM;
    *out = mpi_errhandler_get(errhandler)->handle;
    return 0;
}

/* ------------------------------------------------------------------- of communicators */

int
PMPI_Comm_create_errhandler(MPI_Comm_errhandler_function *function, MPI_Errhandler *errhandler)
{
    int err;

    mpi_lock();
    err = mpi_errhandler_create(MPI_KIND_COMM, (void (*)(void *, int *, ...))function, errhandler);
    return mpi_leave(NULL, "MPI_Comm_create_errhandler", err);
}
MPI_NAMES(Comm_create_errhandler);

int
PMPI_Errhandler_create(MPI_Handler_function *function, MPI_Errhandler *errhandler)
{
    return PMPI_Comm_create_errhandler(function, errhandler);
}
MPI_NAMES(Errhandler_create);

int
PMPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler errhandler)
{
    struct mpi_comm *c = NULL;
    struct mpi_errhandler *e;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = mpi_errhandler_find(errhandler, MPI_KIND_COMM, &e);
    if (err == 0)
        mpi_errhandler_set(&c->errhandler, e);
    return mpi_leave(c, "MPI_Comm_set_errhandler", err);
}
MPI_NAMES(Comm_set_errhandler);

int
PMPI_Errhandler_set(MPI_Comm comm, MPI_Errhandler errhandler)
{
    return PMPI_Comm_set_errhandler(comm, errhandler);
}
MPI_NAMES(Errhandler_set);

int
PMPI_Comm_get_errhandler(MPI_Comm comm, MPI_Errhandler *errhandler)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0)
        err = errhandler != NULL ? mpi_errhandler_export(c->errhandler, errhandler) : MPI_ERR_ARG;
    return mpi_leave(c, "MPI_Comm_get_errhandler", err);
}
MPI_NAMES(Comm_get_errhandler);

int
PMPI_Errhandler_get(MPI_Comm comm, MPI_Errhandler *errhandler)
{
    return PMPI_Comm_get_errhandler(comm, errhandler);
}
MPI_NAMES(Errhandler_get);

int
PMPI_Comm_call_errhandler(MPI_Comm comm, int errorcode)
{
    struct mpi_comm *c = NULL;
    int err;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    mpi_unlock();
    if (err != 0)
        return mpi_error_of_comm(NULL, "MPI_Comm_call_errhandler", err);
    (void)mpi_error_of_comm(c, "MPI_Comm_call_errhandler", errorcode);
    return MPI_SUCCESS;
}
MPI_NAMES(Comm_call_errhandler);

/* MPI 3.1 8.3.4: the predefined ones may be freed, and stay. */
int
PMPI_Errhandler_free(MPI_Errhandler *errhandler)
{
    struct mpi_errhandler *e;
    int err = MPI_ERR_ARG;

    mpi_lock();
    if (errhandler != NULL)
        err = mpi_errhandler_find(*errhandler, 0, &e);
    if (err == 0) {
        if (!is_static(e) && e->references == 1) {
            mpi_errhandler_put(e);
        } else if (!is_static(e)) {
            e->references--;
        }
        *errhandler = MPI_ERRHANDLER_NULL;
    }
    return mpi_leave(NULL, "MPI_Errhandler_free", err);
}
MPI_NAMES(Errhandler_free);
