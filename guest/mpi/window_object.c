/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows as objects: groups, names, info, attributes and error handlers.
 */
#include <stdlib.h>
#include <string.h>

#include "attribute.h"
#include "errhandler.h"
#include "window.h"

int
PMPI_Win_get_group(MPI_Win win, MPI_Group *group)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = group != NULL ? mpi_group_export(mpi_group_get(window->comm->group), group)
                            : MPI_ERR_ARG;
    return mpi_window_leave(window, "MPI_Win_get_group", err);
}
MPI_NAMES(Win_get_group);

int
PMPI_Win_set_name(MPI_Win win, const char *name)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && name == NULL)
        err = MPI_ERR_ARG;
    if (err == 0) {
        (void)strncpy(window->name, name, sizeof(window->name) - 1);
        window->name[sizeof(window->name) - 1] = '\0';
    }
    return mpi_window_leave(window, "MPI_Win_set_name", err);
}
MPI_NAMES(Win_set_name);

int
PMPI_Win_get_name(MPI_Win win, char *name, int *length)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0) {
        *length = (int)strlen(window->name);
        (void)memcpy(name, window->name, (size_t)*length + 1);
    }
    return mpi_window_leave(window, "MPI_Win_get_name", err);
}
MPI_NAMES(Win_get_name);

int
PMPI_Win_set_info(MPI_Win win, MPI_Info info)
{
    struct mpi_window *window = NULL;
    struct mpi_info *hints = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0)
        err = mpi_info_merge(window->info, hints);
    return mpi_window_leave(window, "MPI_Win_set_info", err);
}
MPI_NAMES(Win_set_info);

int
PMPI_Win_get_info(MPI_Win win, MPI_Info *info)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_info_export(window->info, info);
    return mpi_window_leave(window, "MPI_Win_get_info", err);
}
MPI_NAMES(Win_get_info);

/* -------------------------------------------------------------------------- attributes */

/* What MPI_Win_get_attr gives of the library's own (11.2.6). NULL: it is none. */
static void *
predefined(struct mpi_window *window, int keyval)
{
    switch (keyval) {
    case MPI_WIN_SIZE:
        return &window->size;
    case MPI_WIN_DISP_UNIT:
        return &window->unit;
    case MPI_WIN_CREATE_FLAVOR:
        return &window->flavor;
    case MPI_WIN_MODEL:
        return &window->model;
    default:
        return NULL;
    }
}

int
PMPI_Win_get_attr(MPI_Win win, int keyval, void *value, int *flag)
{
    struct mpi_window *window = NULL;
    bool is_set = true;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0) {
        if (keyval == MPI_WIN_BASE)
            *(void **)value = window->base;
        else if (predefined(window, keyval) != NULL)
            *(void **)value = predefined(window, keyval);
        else
            err = mpi_attribute_get(&window->attributes, keyval, value, &is_set);
    }
    if (err == 0)
        *flag = is_set;
    return mpi_window_leave(window, "MPI_Win_get_attr", err);
}
MPI_NAMES(Win_get_attr);

int
PMPI_Win_set_attr(MPI_Win win, int keyval, void *value)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_attribute_set(MPI_KIND_WIN, win, &window->attributes, keyval, value);
    return mpi_window_leave(window, "MPI_Win_set_attr", err);
}
MPI_NAMES(Win_set_attr);

int
PMPI_Win_delete_attr(MPI_Win win, int keyval)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_attribute_remove(MPI_KIND_WIN, win, &window->attributes, keyval);
    return mpi_window_leave(window, "MPI_Win_delete_attr", err);
}
MPI_NAMES(Win_delete_attr);

int
PMPI_Win_create_keyval(MPI_Win_copy_attr_function *copy, MPI_Win_delete_attr_function *delete,
                       int *keyval, void *extra)
{
    int err;

    mpi_lock();
    err = mpi_keyval_create(MPI_KIND_WIN, (mpi_attribute_copy_fn)copy,
                            (mpi_attribute_delete_fn) delete, extra, keyval);
    return mpi_leave(NULL, "MPI_Win_create_keyval", err);
}
MPI_NAMES(Win_create_keyval);

int
PMPI_Win_free_keyval(int *keyval)
{
    int err;

    mpi_lock();
    err = mpi_keyval_free(MPI_KIND_WIN, keyval);
    return mpi_leave(NULL, "MPI_Win_free_keyval", err);
}
MPI_NAMES(Win_free_keyval);

/* ---------------------------------------------------------------------- error handlers */

int
PMPI_Win_create_errhandler(MPI_Win_errhandler_function *function, MPI_Errhandler *errhandler)
{
    int err;

    mpi_lock();
    err = mpi_errhandler_create(MPI_KIND_WIN, (void (*)(void *, int *, ...))function, errhandler);
    return mpi_leave(NULL, "MPI_Win_create_errhandler", err);
}
MPI_NAMES(Win_create_errhandler);

int
PMPI_Win_set_errhandler(MPI_Win win, MPI_Errhandler errhandler)
{
    struct mpi_window *window = NULL;
    struct mpi_errhandler *e;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_errhandler_find(errhandler, MPI_KIND_WIN, &e);
    if (err == 0)
        mpi_errhandler_set(&window->errhandler, e);
    return mpi_window_leave(window, "MPI_Win_set_errhandler", err);
}
MPI_NAMES(Win_set_errhandler);

int
PMPI_Win_get_errhandler(MPI_Win win, MPI_Errhandler *errhandler)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = mpi_errhandler_export(window->errhandler, errhandler);
    return mpi_window_leave(window, "MPI_Win_get_errhandler", err);
}
MPI_NAMES(Win_get_errhandler);

int
PMPI_Win_call_errhandler(MPI_Win win, int errorcode)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err != 0)
        return mpi_window_leave(NULL, "MPI_Win_call_errhandler", err);
    (void)mpi_window_leave(window, "MPI_Win_call_errhandler", errorcode);
    return MPI_SUCCESS;
}
MPI_NAMES(Win_call_errhandler);
