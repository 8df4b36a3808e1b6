/* SPDX-License-Identifier: Apache-2.0
 *
 * Control variables (MPI 3.1, 14.3.6): what the library goes by. None of them can be changed while
 * it runs.
 */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "net.h"
#include "tool.h"

static int
eager_bytes(void)
{
    return (int)MPI_EAGER_BYTES;
}

static int
message_bytes(void)
{
    return (int)MPI_NET_BYTES_MAX;
}

static const struct cvar {
    const char *name, *description;
    const struct mpi_tool_enum *enumeration;
    int verbosity, scope;
    int (*value)(void);
} cvars[MPI_TOOL_CVARS] = {
    [MPI_TOOL_EAGER_BYTES] = {"eager_bytes", "A message of more bytes is fetched by its receiver",
                              NULL, MPI_T_VERBOSITY_TUNER_BASIC, MPI_T_SCOPE_CONSTANT, eager_bytes},
    [MPI_TOOL_MESSAGE_BYTES] = {"message_bytes",
                                "The most that goes from one rank to another at once", NULL,
                                MPI_T_VERBOSITY_MPIDEV_BASIC, MPI_T_SCOPE_CONSTANT, message_bytes},
    [MPI_TOOL_THREAD_LEVEL] = {"thread_level", "What MPI_Init_thread provided",
                               &mpi_tool_thread_levels, MPI_T_VERBOSITY_USER_BASIC,
                               MPI_T_SCOPE_READONLY, mpi_thread_level},
};

/* An MPI_T_cvar_handle is the address of one of these. */
struct handle {
    const struct cvar *cvar;
    struct handle *next;
};
static struct handle *handles;

void
mpi_tool_cvars_fini(void)
{
    while (handles != NULL) {
        struct handle *gone = handles;

        handles = gone->next;
        free(gone);
    }
}

/* Where it is in the list; what is there is NULL where the program made it up. */
static struct handle **
find(MPI_T_cvar_handle wanted)
{
    struct handle **at = &handles;

    while (*at != NULL && (const void *)*at != (const void *)wanted)
        at = &(*at)->next;
    return at;
}

/* -------------------------------------------------------------------------- what there is */

int
PMPI_T_cvar_get_num(int *num_cvar)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    mpi_tool_set(num_cvar, MPI_TOOL_CVARS);
    return mpi_tool_leave(num_cvar != NULL ? MPI_SUCCESS : MPI_T_ERR_INVALID);
}
MPI_NAMES(T_cvar_get_num);

int
PMPI_T_cvar_get_info(int cvar_index, char *name, int *name_len, int *verbosity,
                     MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len,
                     int *bind, int *scope)
{
    const struct cvar *cvar;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (cvar_index < 0 || cvar_index >= MPI_TOOL_CVARS)
        return mpi_tool_leave(MPI_T_ERR_INVALID_INDEX);
    cvar = &cvars[cvar_index];
    mpi_tool_text(cvar->name, name, name_len);
    mpi_tool_text(cvar->description, desc, desc_len);
    mpi_tool_set(verbosity, cvar->verbosity);
    mpi_tool_set(bind, MPI_T_BIND_NO_OBJECT);
    mpi_tool_set(scope, cvar->scope);
    if (datatype != NULL)
        *datatype = MPI_INT;
    if (enumtype != NULL)
        *enumtype = (MPI_T_enum)(uintptr_t)cvar->enumeration;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_cvar_get_info);

int
PMPI_T_cvar_get_index(const char *name, int *cvar_index)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (name == NULL || cvar_index == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    for (int i = 0; i < MPI_TOOL_CVARS; i++)
        if (strcmp(cvars[i].name, name) == 0) {
            *cvar_index = i;
            return mpi_tool_leave(MPI_SUCCESS);
        }
    return mpi_tool_leave(MPI_T_ERR_INVALID_NAME);
}
MPI_NAMES(T_cvar_get_index);

/* -------------------------------------------------------------------------------- handles */

/* They are of no object. */
int
PMPI_T_cvar_handle_alloc(int cvar_index, void *obj_handle, MPI_T_cvar_handle *handle, int *count)
{
    struct handle *made;
    int err = mpi_tool_enter();

    (void)obj_handle;
    if (err != MPI_SUCCESS)
        return err;
    if (cvar_index < 0 || cvar_index >= MPI_TOOL_CVARS)
        return mpi_tool_leave(MPI_T_ERR_INVALID_INDEX);
    if (handle == NULL || count == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    made = malloc(sizeof(*made));
    if (made == NULL)
        return mpi_tool_leave(MPI_T_ERR_OUT_OF_HANDLES);
    *made = (struct handle){&cvars[cvar_index], handles};
    handles = made;
    *handle = (MPI_T_cvar_handle)(void *)made;
    *count = 1;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_cvar_handle_alloc);

int
PMPI_T_cvar_handle_free(MPI_T_cvar_handle *handle)
{
    struct handle **at, *gone;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (handle == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    at = find(*handle);
    gone = *at;
    if (gone == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
    *at = gone->next;
    free(gone);
    *handle = MPI_T_CVAR_HANDLE_NULL;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_cvar_handle_free);

int
PMPI_T_cvar_read(MPI_T_cvar_handle handle, void *buf)
{
    const struct handle *found;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    found = *find(handle);
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
    if (buf == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    *(int *)buf = found->cvar->value();
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_cvar_read);

int
PMPI_T_cvar_write(MPI_T_cvar_handle handle, const void *buf)
{
    int err = mpi_tool_enter();

    (void)buf;
    if (err != MPI_SUCCESS)
        return err;
    return mpi_tool_leave(*find(handle) != NULL ? MPI_T_ERR_CVAR_SET_NEVER
                                                : MPI_T_ERR_INVALID_HANDLE);
}
MPI_NAMES(T_cvar_write);
