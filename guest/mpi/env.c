/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's life and its lock (MPI 3.1, 8.6 to 8.8 and 12.4): MPI_Init to MPI_Finalize,
 * threads, versions, time, memory.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "message.h"
#include "net.h"
#include "schedule.h"
#include "turn.h"
#include "window.h"

#define TICK_SECONDS 1e-9

static enum { STATE_NEW, STATE_RUNNING, STATE_OVER } state;
static uint32_t member, members = 1;
static int level;
static pthread_t main_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---------------------------------------------------------------------------- lock */

/* Below MULTIPLE no two threads are in the library. */
void
mpi_lock(void)
{
    if (level == MPI_THREAD_MULTIPLE)
        (void)pthread_mutex_lock(&lock);
}

void
mpi_unlock(void)
{
    if (level == MPI_THREAD_MULTIPLE)
        (void)pthread_mutex_unlock(&lock);
}

int
mpi_thread_level(void)
{
    return level;
}

bool
mpi_is_running(void)
{
    return state == STATE_RUNNING;
}

uint32_t
mpi_member(void)
{
    return member;
}

uint32_t
mpi_members(void)
{
    return members;
}

/* ----------------------------------------------------------------- begin and end */

static int
begin(int required, int *provided)
{
    if (state != STATE_NEW)
        return MPI_ERR_OTHER; /* once only */
    if (!mpi_net_enter(&member, &members))
        members = 1;
    mpi_types_init();
    mpi_messages_init();
    mpi_windows_init();
    mpi_turns_init();
    if (mpi_comms_init() != 0)
        mpi_net_abort(MPI_ERR_NO_MEM, "MPI_Init: no memory for MPI_COMM_WORLD");
    main_thread = pthread_self();
    level = required <= MPI_THREAD_SINGLE       ? MPI_THREAD_SINGLE
            : required <= MPI_THREAD_FUNNELED   ? MPI_THREAD_FUNNELED
            : required <= MPI_THREAD_SERIALIZED ? MPI_THREAD_SERIALIZED
                                                : MPI_THREAD_MULTIPLE;
    state = STATE_RUNNING;
    if (provided != NULL)
        *provided = level;
    return 0;
}

int
PMPI_Init(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return mpi_error_of_comm(NULL, "MPI_Init", begin(MPI_THREAD_SINGLE, NULL));
}
MPI_NAMES(Init);

int
PMPI_Init_thread(int *argc, char ***argv, int required, int *provided)
{
    (void)argc;
    (void)argv;
    if (provided == NULL)
        return mpi_error_of_comm(NULL, "MPI_Init_thread", MPI_ERR_ARG);
    return mpi_error_of_comm(NULL, "MPI_Init_thread", begin(required, provided));
}
MPI_NAMES(Init_thread);

/* 8.7.1: attributes of MPI_COMM_SELF are deleted first, while all still works. */
int
PMPI_Finalize(void)
{
    int err = MPI_ERR_OTHER;

    if (state == STATE_RUNNING) {
        mpi_lock();
        err = mpi_attributes_delete(MPI_KIND_COMM, MPI_COMM_SELF, &mpi_self.attributes);
        if (err == 0)
            err = mpi_collective_barrier(&mpi_world);
        mpi_messages_fini();
        mpi_comms_fini();
        state = STATE_OVER;
        mpi_net_leave();
        mpi_unlock();
    }
    return mpi_error_of_comm(NULL, "MPI_Finalize", err);
}
MPI_NAMES(Finalize);

int
PMPI_Initialized(int *flag)
{
    *flag = state != STATE_NEW;
    return MPI_SUCCESS;
}
MPI_NAMES(Initialized);

int
PMPI_Finalized(int *flag)
{
    *flag = state == STATE_OVER;
    return MPI_SUCCESS;
}
MPI_NAMES(Finalized);

int
PMPI_Query_thread(int *provided)
{
    *provided = level;
    return mpi_error_of_comm(NULL, "MPI_Query_thread", mpi_is_running() ? 0 : MPI_ERR_OTHER);
}
MPI_NAMES(Query_thread);

int
PMPI_Is_thread_main(int *flag)
{
    *flag = pthread_equal(main_thread, pthread_self()) != 0;
    return mpi_error_of_comm(NULL, "MPI_Is_thread_main", mpi_is_running() ? 0 : MPI_ERR_OTHER);
}
MPI_NAMES(Is_thread_main);

int
PMPI_Abort(MPI_Comm comm, int errorcode)
{
    char reason[96];

    (void)comm; /* all of the world, as 8.7 allows */
    (void)fflush(NULL);
    (void)snprintf(reason, sizeof(reason), "rank %u called MPI_Abort with %d", member, errorcode);
    mpi_net_abort(errorcode, reason);
}
MPI_NAMES(Abort);

int
PMPI_Pcontrol(const int profile_level, ...)
{
    (void)profile_level;
    return MPI_SUCCESS;
}
MPI_NAMES(Pcontrol);

/* ------------------------------------------------------------------- the environment */

int
PMPI_Get_version(int *version, int *subversion)
{
    *version = MPI_VERSION;
    *subversion = MPI_SUBVERSION;
    return MPI_SUCCESS;
}
MPI_NAMES(Get_version);

static void
answer(char *out, int *length, const char *text)
{
    *length = (int)strlen(text);
    (void)memcpy(out, text, (size_t)*length + 1);
}

int
PMPI_Get_library_version(char *version, int *resultlen)
{
    answer(version, resultlen, "Weft, MPI 3.1");
    return MPI_SUCCESS;
}
MPI_NAMES(Get_library_version);

/* Placement is nothing that a program sees (DESIGN: law 5): all are on one. */
int
PMPI_Get_processor_name(char *name, int *resultlen)
{
    answer(name, resultlen, "weft");
    return MPI_SUCCESS;
}
MPI_NAMES(Get_processor_name);

double
PMPI_Wtime(void)
{
    return mpi_net_time();
}
MPI_NAMES(Wtime);

double
PMPI_Wtick(void)
{
    return TICK_SECONDS;
}
MPI_NAMES(Wtick);

/* -------------------------------------------------------------------------- memory */

int
PMPI_Alloc_mem(MPI_Aint size, MPI_Info info, void *baseptr)
{
    struct mpi_info *hints;
    void *memory = NULL;
    int err = mpi_info_find(info, &hints);

    if (err == 0 && (size < 0 || baseptr == NULL))
        err = MPI_ERR_ARG;
    if (err == 0) {
        memory = malloc(size > 0 ? (size_t)size : 1);
        err = memory != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    if (err == 0)
        *(void **)baseptr = memory;
    return mpi_error_of_comm(NULL, "MPI_Alloc_mem", err);
}
MPI_NAMES(Alloc_mem);

int
PMPI_Free_mem(void *base)
{
    free(base);
    return MPI_SUCCESS;
}
MPI_NAMES(Free_mem);
