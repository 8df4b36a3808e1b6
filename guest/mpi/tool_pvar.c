/* SPDX-License-Identifier: Apache-2.0
 *
 * Performance variables (MPI 3.1, 14.3.7): what the library counts. A counter is one for all
 * (mpi_message_counts) and never goes back; each handle has what was added while it ran.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "message_internal.h"
#include "tool.h"

/* All are MPI_UNSIGNED_LONG_LONG. A level is what it is; a counter starts and stops. */
static const struct pvar {
    const char *name, *description;
    int verbosity, var_class;
    const uint64_t *value;
} pvars[MPI_TOOL_PVARS] = {
    [MPI_TOOL_KEPT] = {"messages_kept", "Messages here that no receive has asked for yet",
                       MPI_T_VERBOSITY_USER_BASIC, MPI_T_PVAR_CLASS_LEVEL,
                       &mpi_message_counts.kept},
    [MPI_TOOL_UNEXPECTED] = {"messages_unexpected", "Messages that came before their receive",
                             MPI_T_VERBOSITY_USER_BASIC, MPI_T_PVAR_CLASS_COUNTER,
                             &mpi_message_counts.unexpected},
    [MPI_TOOL_RECEIVED] = {"messages_received", "Messages that came, with the library's own",
                           MPI_T_VERBOSITY_TUNER_BASIC, MPI_T_PVAR_CLASS_COUNTER,
                           &mpi_message_counts.received},
    [MPI_TOOL_WAITS] = {"waits", "Times that the rank had nothing to do but to wait",
                        MPI_T_VERBOSITY_TUNER_BASIC, MPI_T_PVAR_CLASS_COUNTER,
                        &mpi_message_counts.waits},
};

/* An MPI_T_pvar_handle, and an MPI_T_pvar_session, are the addresses of these. */
struct handle {
    const struct pvar *pvar;
    struct handle *next;
    bool is_running;
    uint64_t before; /* it has of earlier runs */
    uint64_t from;   /* the counter when it began to run */
};

struct session {
    struct session *next;
    struct handle *handles;
};
static struct session *sessions;

static void
session_destroy(struct session *session)
{
    while (session->handles != NULL) {
        struct handle *gone = session->handles;

        session->handles = gone->next;
        free(gone);
    }
    free(session);
}

void
mpi_tool_pvars_fini(void)
{
    while (sessions != NULL) {
        struct session *gone = sessions;

        sessions = gone->next;
        session_destroy(gone);
    }
}

/* Where they are in their lists; what is there is NULL where the program made them up. */
static struct session **
find_session(MPI_T_pvar_session wanted)
{
    struct session **at = &sessions;

    while (*at != NULL && (const void *)*at != (const void *)wanted)
        at = &(*at)->next;
    return at;
}

static struct handle **
find_handle(struct session *session, MPI_T_pvar_handle wanted)
{
    struct handle **at = &session->handles;

    while (*at != NULL && (const void *)*at != (const void *)wanted)
        at = &(*at)->next;
    return at;
}

/* As mpi_tool_enter; then both are there, and otherwise nothing is to be left. */
static int
enter(MPI_T_pvar_session session, MPI_T_pvar_handle handle, struct handle **out)
{
    struct session *found;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    found = *find_session(session);
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_SESSION);
    *out = *find_handle(found, handle);
    return *out != NULL ? MPI_SUCCESS : mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
}

/* -------------------------------------------------------------------------- what there is */

static bool
is_level(const struct pvar *pvar)
{
    return pvar->var_class == MPI_T_PVAR_CLASS_LEVEL;
}

int
PMPI_T_pvar_get_num(int *num_pvar)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    mpi_tool_set(num_pvar, MPI_TOOL_PVARS);
    return mpi_tool_leave(num_pvar != NULL ? MPI_SUCCESS : MPI_T_ERR_INVALID);
}
MPI_NAMES(T_pvar_get_num);

int
PMPI_T_pvar_get_info(int pvar_index, char *name, int *name_len, int *verbosity, int *var_class,
                     MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len,
                     int *bind, int *readonly, int *continuous, int *atomic)
{
    const struct pvar *pvar;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (pvar_index < 0 || pvar_index >= MPI_TOOL_PVARS)
        return mpi_tool_leave(MPI_T_ERR_INVALID_INDEX);
    pvar = &pvars[pvar_index];
    mpi_tool_text(pvar->name, name, name_len);
    mpi_tool_text(pvar->description, desc, desc_len);
    mpi_tool_set(verbosity, pvar->verbosity);
    mpi_tool_set(var_class, pvar->var_class);
    mpi_tool_set(bind, MPI_T_BIND_NO_OBJECT);
    mpi_tool_set(readonly, is_level(pvar));
    mpi_tool_set(continuous, is_level(pvar));
    mpi_tool_set(atomic, !is_level(pvar));
    if (datatype != NULL)
        *datatype = MPI_UNSIGNED_LONG_LONG;
    if (enumtype != NULL)
        *enumtype = MPI_T_ENUM_NULL;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_get_info);

int
PMPI_T_pvar_get_index(const char *name, int var_class, int *pvar_index)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (name == NULL || pvar_index == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    for (int i = 0; i < MPI_TOOL_PVARS; i++)
        if (pvars[i].var_class == var_class && strcmp(pvars[i].name, name) == 0) {
            *pvar_index = i;
            return mpi_tool_leave(MPI_SUCCESS);
        }
    return mpi_tool_leave(MPI_T_ERR_INVALID_NAME);
}
MPI_NAMES(T_pvar_get_index);

/* ------------------------------------------------------------------- sessions and handles */

int
PMPI_T_pvar_session_create(MPI_T_pvar_session *session)
{
    struct session *made;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (session == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return mpi_tool_leave(MPI_T_ERR_OUT_OF_SESSIONS);
    made->next = sessions;
    sessions = made;
    *session = (MPI_T_pvar_session)(void *)made;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_session_create);

int
PMPI_T_pvar_session_free(MPI_T_pvar_session *session)
{
    struct session **at, *gone;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (session == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    at = find_session(*session);
    gone = *at;
    if (gone == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_SESSION);
    *at = gone->next;
    session_destroy(gone);
    *session = MPI_T_PVAR_SESSION_NULL;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_session_free);

/* They are of no object. */
int
PMPI_T_pvar_handle_alloc(MPI_T_pvar_session session, int pvar_index, void *obj_handle,
                         MPI_T_pvar_handle *handle, int *count)
{
    struct session *found;
    struct handle *made;
    int err = mpi_tool_enter();

    (void)obj_handle;
    if (err != MPI_SUCCESS)
        return err;
    found = *find_session(session);
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_SESSION);
    if (pvar_index < 0 || pvar_index >= MPI_TOOL_PVARS)
        return mpi_tool_leave(MPI_T_ERR_INVALID_INDEX);
    if (handle == NULL || count == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    made = malloc(sizeof(*made));
    if (made == NULL)
        return mpi_tool_leave(MPI_T_ERR_OUT_OF_HANDLES);
    *made = (struct handle){.pvar = &pvars[pvar_index], .next = found->handles};
    found->handles = made;
    *handle = (MPI_T_pvar_handle)(void *)made;
    *count = 1;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_handle_alloc);

int
PMPI_T_pvar_handle_free(MPI_T_pvar_session session, MPI_T_pvar_handle *handle)
{
    struct session *found;
    struct handle **at, *gone;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (handle == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    found = *find_session(session);
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_SESSION);
    at = find_handle(found, *handle);
    gone = *at;
    if (gone == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_HANDLE);
    *at = gone->next;
    free(gone);
    *handle = MPI_T_PVAR_HANDLE_NULL;
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_handle_free);

/* ------------------------------------------------------------------------------- values */

/* Threads that are in the library count on meanwhile. */
static uint64_t
now(const struct handle *handle)
{
    return __atomic_load_n(handle->pvar->value, __ATOMIC_RELAXED);
}

static uint64_t
value_of(const struct handle *handle)
{
    if (is_level(handle->pvar))
        return now(handle);
    return handle->before + (handle->is_running ? now(handle) - handle->from : 0);
}

static void
set_value(struct handle *handle, uint64_t value)
{
    handle->before = value;
    handle->from = now(handle);
}

static int
start(struct handle *handle)
{
    if (is_level(handle->pvar))
        return MPI_T_ERR_PVAR_NO_STARTSTOP;
    if (!handle->is_running)
        handle->from = now(handle);
    handle->is_running = true;
    return MPI_SUCCESS;
}

static int
stop(struct handle *handle)
{
    if (is_level(handle->pvar))
        return MPI_T_ERR_PVAR_NO_STARTSTOP;
    handle->before = value_of(handle);
    handle->is_running = false;
    return MPI_SUCCESS;
}

static int
reset(struct handle *handle)
{
    if (is_level(handle->pvar))
        return MPI_T_ERR_PVAR_NO_WRITE;
    set_value(handle, 0);
    return MPI_SUCCESS;
}

/* One, or all of the session: those that cannot are left out then (14.3.7). */
static int
each(MPI_T_pvar_session session, MPI_T_pvar_handle handle, int (*what)(struct handle *handle))
{
    struct session *found;
    struct handle *one;
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    found = *find_session(session);
    if (found == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID_SESSION);
    if (handle != MPI_T_PVAR_ALL_HANDLES) {
        one = *find_handle(found, handle);
        return mpi_tool_leave(one != NULL ? what(one) : MPI_T_ERR_INVALID_HANDLE);
    }
    for (one = found->handles; one != NULL; one = one->next)
        (void)what(one);
    return mpi_tool_leave(MPI_SUCCESS);
}

int
PMPI_T_pvar_start(MPI_T_pvar_session session, MPI_T_pvar_handle handle)
{
    return each(session, handle, start);
}
MPI_NAMES(T_pvar_start);

int
PMPI_T_pvar_stop(MPI_T_pvar_session session, MPI_T_pvar_handle handle)
{
    return each(session, handle, stop);
}
MPI_NAMES(T_pvar_stop);

int
PMPI_T_pvar_reset(MPI_T_pvar_session session, MPI_T_pvar_handle handle)
{
    return each(session, handle, reset);
}
MPI_NAMES(T_pvar_reset);

int
PMPI_T_pvar_read(MPI_T_pvar_session session, MPI_T_pvar_handle handle, void *buf)
{
    struct handle *found;
    int err = enter(session, handle, &found);

    if (err != MPI_SUCCESS)
        return err;
    if (buf == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    *(unsigned long long *)buf = value_of(found);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_read);

int
PMPI_T_pvar_readreset(MPI_T_pvar_session session, MPI_T_pvar_handle handle, void *buf)
{
    struct handle *found;
    int err = enter(session, handle, &found);

    if (err != MPI_SUCCESS)
        return err;
    if (is_level(found->pvar))
        return mpi_tool_leave(MPI_T_ERR_PVAR_NO_ATOMIC);
    if (buf == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    *(unsigned long long *)buf = value_of(found);
    set_value(found, 0);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_readreset);

int
PMPI_T_pvar_write(MPI_T_pvar_session session, MPI_T_pvar_handle handle, const void *buf)
{
    struct handle *found;
    int err = enter(session, handle, &found);

    if (err != MPI_SUCCESS)
        return err;
    if (is_level(found->pvar))
        return mpi_tool_leave(MPI_T_ERR_PVAR_NO_WRITE);
    if (buf == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    set_value(found, *(const unsigned long long *)buf);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_pvar_write);
