/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors and their handlers (MPI 3.1, 8.3 to 8.5). A code is its class, or one of the program's
 * own: classes and codes that it adds are numbers above MPI_ERR_LASTCODE, each code with its class.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "errhandler.h"
#include "net.h"

#define ADDED_FIRST (MPI_ERR_LASTCODE + 1)
#define ADDED_MAX   4096

/* What the program added. A class is a code of its own class. */
static struct added {
    int error_class; /* 0: removed */
    char *text;      /* or NULL */
} *added;
static int added_count, added_room;
int mpi_last_used_code = MPI_ERR_LASTCODE;

static const char *const texts[] = {
    [MPI_SUCCESS] = "No error",
    [MPI_ERR_BUFFER] = "Invalid buffer pointer",
    [MPI_ERR_COUNT] = "Invalid count argument",
    [MPI_ERR_TYPE] = "Invalid datatype argument",
    [MPI_ERR_TAG] = "Invalid tag argument",
    [MPI_ERR_COMM] = "Invalid communicator",
    [MPI_ERR_RANK] = "Invalid rank",
    [MPI_ERR_REQUEST] = "Invalid request (handle)",
    [MPI_ERR_ROOT] = "Invalid root",
    [MPI_ERR_GROUP] = "Invalid group",
    [MPI_ERR_OP] = "Invalid operation, or not one for this datatype",
    [MPI_ERR_TOPOLOGY] = "Invalid topology",
    [MPI_ERR_DIMS] = "Invalid dimension argument",
    [MPI_ERR_ARG] = "Invalid argument of some other kind",
    [MPI_ERR_UNKNOWN] = "Unknown error",
    [MPI_ERR_TRUNCATE] = "Message is longer than the buffer of its receive",
    [MPI_ERR_OTHER] = "Known error not in this list: not allowed now",
    [MPI_ERR_INTERN] = "Internal error of the library",
    [MPI_ERR_PENDING] = "Pending request",
    [MPI_ERR_IN_STATUS] = "Error code is in status",
    [MPI_ERR_ACCESS] = "Permission denied",
    [MPI_ERR_AMODE] = "Error related to the amode of MPI_File_open",
    [MPI_ERR_ASSERT] = "Invalid assert argument",
    [MPI_ERR_BAD_FILE] = "Invalid file name",
    [MPI_ERR_BASE] = "Invalid base passed to MPI_Free_mem",
    [MPI_ERR_CONVERSION] = "An error occurred in a user supplied data conversion function",
    [MPI_ERR_DISP] = "Invalid displacement",
    [MPI_ERR_DUP_DATAREP] = "Data representation is already defined",
    [MPI_ERR_FILE_EXISTS] = "File exists",
    [MPI_ERR_FILE_IN_USE] = "File is in use",
    [MPI_ERR_FILE] = "Invalid file handle",
    [MPI_ERR_INFO_KEY] = "Key is longer than MPI_MAX_INFO_KEY",
    [MPI_ERR_INFO_NOKEY] = "No such key in this info object",
    [MPI_ERR_INFO_VALUE] = "Value is longer than MPI_MAX_INFO_VAL",
    [MPI_ERR_INFO] = "Invalid info object",
    [MPI_ERR_IO] = "Other I/O error",
    [MPI_ERR_KEYVAL] = "Invalid key value",
    [MPI_ERR_LOCKTYPE] = "Invalid lock type",
    [MPI_ERR_NAME] = "Service name is not published",
    [MPI_ERR_NO_MEM] = "Out of memory",
    [MPI_ERR_NOT_SAME] = "Collective argument differs between processes",
    [MPI_ERR_NO_SPACE] = "Not enough space",
    [MPI_ERR_NO_SUCH_FILE] = "File does not exist",
    [MPI_ERR_PORT] = "Invalid port name",
    [MPI_ERR_QUOTA] = "Quota exceeded",
    [MPI_ERR_READ_ONLY] = "Read-only file or file system",
    [MPI_ERR_RMA_ATTACH] = "Memory cannot be attached",
    [MPI_ERR_RMA_CONFLICT] = "Conflicting accesses to window",
    [MPI_ERR_RMA_RANGE] = "Target memory is not part of the window",
    [MPI_ERR_RMA_SHARED] = "Memory cannot be shared",
    [MPI_ERR_RMA_SYNC] = "Wrong synchronization of RMA calls",
    [MPI_ERR_SERVICE] = "Service is not published",
    [MPI_ERR_SIZE] = "Invalid size argument",
    [MPI_ERR_SPAWN] = "Error in spawning processes",
    [MPI_ERR_UNSUPPORTED_DATAREP] = "Unsupported data representation",
    [MPI_ERR_UNSUPPORTED_OPERATION] = "Unsupported operation",
    [MPI_ERR_WIN] = "Invalid window",
    [MPI_ERR_RMA_FLAVOR] = "Wrong flavor of window",
    [MPI_ERR_PROC_ABORTED] = "A peer process has aborted",
    [MPI_ERR_VALUE_TOO_LARGE] = "Value is too large to be stored",
};
#define TEXT_COUNT ((int)(sizeof(texts) / sizeof(*texts)))

/* Of the tool interface, from MPI_T_ERR_CANNOT_INIT on. */
static const char *const tool_texts[] = {
    "The tool interface cannot be initialised now",
    "Value is not accessible now",
    "The tool interface is not initialised",
    "Not supported",
    "Out of memory",
    "Invalid use of the tool interface",
    "Index is out of range",
    "Index of the item is out of range",
    "Invalid session",
    "Invalid handle",
    "No variable of this name",
    "No more handles",
    "No more sessions",
    "Variable cannot be set now",
    "Variable cannot be set until the end of the program",
    "Variable cannot be written or reset",
    "Variable cannot be started or stopped",
    "Variable cannot be read and changed at once",
};
static_assert(sizeof(tool_texts) / sizeof(*tool_texts) ==
                  MPI_T_ERR_PVAR_NO_ATOMIC - MPI_T_ERR_CANNOT_INIT + 1,
              "each has a text");

/* ------------------------------------------------------------------- codes and classes */

static struct added *
find_added(int code)
{
    int at = code - ADDED_FIRST;

    return at >= 0 && at < added_count && added[at].error_class != 0 ? &added[at] : NULL;
}

/* NULL: no such code. */
static const char *
text_of(int code)
{
    const struct added *own = find_added(code);

    if (own != NULL)
        return own->text != NULL ? own->text : "";
    if (code >= MPI_T_ERR_CANNOT_INIT && code <= MPI_T_ERR_PVAR_NO_ATOMIC)
        return tool_texts[code - MPI_T_ERR_CANNOT_INIT];
    return code >= 0 && code < TEXT_COUNT ? texts[code] : NULL;
}

int
PMPI_Error_string(int errorcode, char *string, int *resultlen)
{
    const char *text = text_of(errorcode);

    if (text == NULL)
        return mpi_error_of_comm(NULL, "MPI_Error_string", MPI_ERR_ARG);
    *resultlen = (int)strlen(text);
    (void)memcpy(string, text, (size_t)*resultlen + 1);
    return MPI_SUCCESS;
}
MPI_NAMES(Error_string);

int
PMPI_Error_class(int errorcode, int *errorclass)
{
    const struct added *own = find_added(errorcode);

    if (own == NULL && text_of(errorcode) == NULL)
        return mpi_error_of_comm(NULL, "MPI_Error_class", MPI_ERR_ARG);
    *errorclass = own != NULL ? own->error_class : errorcode;
    return MPI_SUCCESS;
}
MPI_NAMES(Error_class);

static int
add(int error_class, int *out)
{
    if (added_count == ADDED_MAX)
        return MPI_ERR_OTHER;
    if (added_count == added_room) {
        int room = added_room == 0 ? 16 : 2 * added_room;
        struct added *more = realloc(added, (size_t)room * sizeof(*more));

        if (more == NULL)
            return MPI_ERR_NO_MEM;
        added = more;
        added_room = room;
    }
    mpi_last_used_code = *out = ADDED_FIRST + added_count;
    added[added_count++] = (struct added){error_class != 0 ? error_class : *out, NULL};
    return 0;
}

int
PMPI_Add_error_class(int *errorclass)
{
    int err;

    mpi_lock();
    err = add(0, errorclass);
    return mpi_leave(NULL, "MPI_Add_error_class", err);
}
MPI_NAMES(Add_error_class);

int
PMPI_Add_error_code(int errorclass, int *errorcode)
{
    const struct added *own;
    int err;

    mpi_lock();
    own = find_added(errorclass);
    if (own != NULL ? own->error_class != errorclass : text_of(errorclass) == NULL)
        err = MPI_ERR_ARG;
    else
        err = add(errorclass, errorcode);
    return mpi_leave(NULL, "MPI_Add_error_code", err);
}
MPI_NAMES(Add_error_code);

/* Of what the program added only (8.5). */
int
PMPI_Add_error_string(int errorcode, const char *string)
{
    struct added *own;
    char *text = NULL;
    int err = MPI_ERR_ARG;

    mpi_lock();
    own = find_added(errorcode);
    if (own != NULL && string != NULL && strlen(string) < MPI_MAX_ERROR_STRING) {
        text = strdup(string);
        err = text != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    if (err == 0) {
        free(own->text);
        own->text = text;
    }
    return mpi_leave(NULL, "MPI_Add_error_string", err);
}
MPI_NAMES(Add_error_string);

static int
take_away(int code, bool is_class)
{
    struct added *own = find_added(code);

    if (own == NULL || (own->error_class == code) != is_class)
        return MPI_ERR_ARG;
    free(own->text);
    *own = (struct added){0};
    return 0;
}

int
PMPI_Remove_error_class(int errorclass)
{
    int err;

    mpi_lock();
    err = take_away(errorclass, true);
    return mpi_leave(NULL, "MPI_Remove_error_class", err);
}
MPI_NAMES(Remove_error_class);

int
PMPI_Remove_error_code(int errorcode)
{
    int err;

    mpi_lock();
    err = take_away(errorcode, false);
    return mpi_leave(NULL, "MPI_Remove_error_code", err);
}
MPI_NAMES(Remove_error_code);

int
PMPI_Remove_error_string(int errorcode)
{
    struct added *own;
    int err = MPI_ERR_ARG;

    mpi_lock();
    own = find_added(errorcode);
    if (own != NULL && own->text != NULL) {
        free(own->text);
        own->text = NULL;
        err = 0;
    }
    return mpi_leave(NULL, "MPI_Remove_error_string", err);
}
MPI_NAMES(Remove_error_string);

/* ------------------------------------------------------------------- what handlers do */

static _Noreturn void
end_world(const char *name, int err)
{
    const char *text = text_of(err);
    char reason[MPI_MAX_ERROR_STRING + 128];

    (void)snprintf(reason, sizeof(reason), "rank %u: %s: %s (error %d)", mpi_member(), name,
                   text != NULL ? text : "unknown", err);
    mpi_net_abort(err, reason);
}

int
mpi_error_of(struct mpi_errhandler *errhandler, void *handle, const char *name, int err)
{
    if (err == MPI_SUCCESS || errhandler == &mpi_errors_return)
        return err;
    if (errhandler == &mpi_errors_are_fatal || errhandler->function == NULL)
        end_world(name, err);
    errhandler->function(handle, &err);
    return err;
}

int
mpi_error_of_comm(struct mpi_comm *comm, const char *name, int err)
{
    struct mpi_comm *at = comm != NULL ? comm : &mpi_world;
    MPI_Comm handle = comm != NULL ? comm->handle : MPI_COMM_WORLD;

    if (err == MPI_SUCCESS)
        return err;
    return mpi_error_of(at->errhandler != NULL ? at->errhandler : &mpi_errors_are_fatal, &handle,
                        name, err);
}

int
mpi_leave(struct mpi_comm *comm, const char *name, int err)
{
    mpi_unlock();
    return mpi_error_of_comm(comm, name, err);
}
