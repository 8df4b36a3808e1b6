/* SPDX-License-Identifier: Apache-2.0
 *
 * tool: what the library tells of itself (MPI 3.1, 14.3). It may be asked before MPI_Init and after
 * MPI_Finalize, by any thread, and has a lock of its own; nothing here goes to an error handler.
 *
 *   tool.c           its life, strings, enumerations
 *   tool_category.c  which variables belong together
 *   tool_cvar.c      control variables
 *   tool_pvar.c      performance variables
 */
#ifndef WEFT_MPI_TOOL_H
#define WEFT_MPI_TOOL_H

#include "core.h"

/* A function of the interface begins with enter, and where that is not an error ends with leave,
 * which returns err. MPI_T_ERR_NOT_INITIALIZED. */
int mpi_tool_enter(void);
int mpi_tool_leave(int err);

/* Gives the text as 14.3.3 has it: as much of it as *length says that there is room for, and in
 * *length what all of it takes. Either may be NULL. */
void mpi_tool_text(const char *text, char *out, int *length);
/* Where the program wants to know it. */
static inline void
mpi_tool_set(int *out, int value)
{
    if (out != NULL)
        *out = value;
}

/* An MPI_T_enum is the address of one of these. */
struct mpi_tool_item {
    const char *name;
    int value;
};
struct mpi_tool_enum {
    const char *name;
    int count;
    const struct mpi_tool_item *items;
};
extern const struct mpi_tool_enum mpi_tool_thread_levels;

/* Control variables, by index. */
enum { MPI_TOOL_EAGER_BYTES, MPI_TOOL_MESSAGE_BYTES, MPI_TOOL_THREAD_LEVEL, MPI_TOOL_CVARS };
/* Performance variables. */
enum { MPI_TOOL_KEPT, MPI_TOOL_UNEXPECTED, MPI_TOOL_RECEIVED, MPI_TOOL_WAITS, MPI_TOOL_PVARS };

/* Handles and sessions that the program did not free. */
void mpi_tool_cvars_fini(void);
void mpi_tool_pvars_fini(void);

#endif
