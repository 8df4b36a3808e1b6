/* SPDX-License-Identifier: Apache-2.0
 *
 * The tool interface: its life, strings and enumerations (MPI 3.1, 14.3.3 to 14.3.5).
 */
#include "tool.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users; /* MPI_T_init_thread that were not followed by MPI_T_finalize */

int
mpi_tool_enter(void)
{
    (void)pthread_mutex_lock(&lock);
    if (users > 0)
        return MPI_SUCCESS;
    (void)pthread_mutex_unlock(&lock);
    return MPI_T_ERR_NOT_INITIALIZED;
}

int
mpi_tool_leave(int err)
{
    (void)pthread_mutex_unlock(&lock);
    return err;
}

/* Any level will do: all functions take the lock. */
int
PMPI_T_init_thread(int required, int *provided)
{
    if (provided == NULL)
        return MPI_T_ERR_INVALID;
    (void)pthread_mutex_lock(&lock);
    users++;
    *provided = required <= MPI_THREAD_SINGLE       ? MPI_THREAD_SINGLE
                : required <= MPI_THREAD_FUNNELED   ? MPI_THREAD_FUNNELED
                : required <= MPI_THREAD_SERIALIZED ? MPI_THREAD_SERIALIZED
                                                    : MPI_THREAD_MULTIPLE;
    (void)pthread_mutex_unlock(&lock);
    return MPI_SUCCESS;
}
MPI_NAMES(T_init_thread);

int
PMPI_T_finalize(void)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (--users == 0) {
        mpi_tool_cvars_fini();
        mpi_tool_pvars_fini();
    }
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_finalize);

void
mpi_tool_text(const char *text, char *out, int *length)
{
    size_t bytes = strlen(text) + 1, room;

    if (length == NULL)
        return;
    room = *length > 0 ? (size_t)*length : 0;
    if (out != NULL && room > 0) {
        size_t copied = bytes <= room ? bytes - 1 : room - 1;

        (void)memcpy(out, text, copied);
        out[copied] = '\0';
    }
    *length = (int)bytes;
}

/* -------------------------------------------------------------------------- enumerations */

static const struct mpi_tool_item thread_levels[] = {
    {"MPI_THREAD_SINGLE", MPI_THREAD_SINGLE},
    {"MPI_THREAD_FUNNELED", MPI_THREAD_FUNNELED},
    {"MPI_THREAD_SERIALIZED", MPI_THREAD_SERIALIZED},
    {"MPI_THREAD_MULTIPLE", MPI_THREAD_MULTIPLE},
};
const struct mpi_tool_enum mpi_tool_thread_levels = {
    "thread_level", sizeof(thread_levels) / sizeof(*thread_levels), thread_levels};

/* NULL: it is none. */
static const struct mpi_tool_enum *
enum_of(MPI_T_enum handle)
{
    const struct mpi_tool_enum *all[] = {&mpi_tool_thread_levels};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if ((const void *)handle == all[i])
            return all[i];
    return NULL;
}

int
PMPI_T_enum_get_info(MPI_T_enum enumtype, int *num, char *name, int *name_len)
{
    const struct mpi_tool_enum *found = enum_of(enumtype);
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
    mpi_tool_set(num, found->count);
    mpi_tool_text(found->name, name, name_len);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_enum_get_info);

int
PMPI_T_enum_get_item(MPI_T_enum enumtype, int indx, int *value, char *name, int *name_len)
{
    const struct mpi_tool_enum *found = enum_of(enumtype);
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
    if (indx < 0 || indx >= found->count)
        return mpi_tool_leave(MPI_T_ERR_INVALID_ITEM);
    mpi_tool_set(value, found->items[indx].value);
    mpi_tool_text(found->items[indx].name, name, name_len);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_enum_get_item);
