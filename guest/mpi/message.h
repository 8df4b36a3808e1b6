/* SPDX-License-Identifier: Apache-2.0
 *
 * message: requests, matching and progress (MPI 3.1, chapter 3).
 *
 * A small message goes as it is (eager). Of a larger one goes where it lies; the receiver gets it
 * from there, one copy, and says so (rendezvous). What came before its receive was posted is kept,
 * in the order in which it came. Nothing is done by anybody else: all progress is made within
 * functions of MPI (mpi_progress).
 */
#ifndef WEFT_MPI_MESSAGE_H
#define WEFT_MPI_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "type.h"

#define MPI_EAGER_BYTES 1024u /* of a body that is sent as it is */

/* ------------------------------------------------------------------------ requests */

struct mpi_request;
struct mpi_request_ops {
    /* Of a persistent one: begins again. An error class. */
    int (*start)(struct mpi_request *request);
    void (*cancel)(struct mpi_request *request); /* NULL: cannot be, it ends by itself */
    /* When it is complete and asked for (wait, test): fills in what the status says of it, and
     * returns the error of the operation (generalized requests: query). NULL: fields below. */
    int (*query)(struct mpi_request *request, MPI_Status *status);
    /* The last that is heard of it: frees what it has, and itself. */
    void (*destroy)(struct mpi_request *request);
    /* Where that can fail (generalized requests: free), in place of destroy at the end of a wait;
     * the same, and the error that the wait returns. NULL: destroy. */
    int (*release)(struct mpi_request *request);
};

/* The first field of whatever is waited for: sends, receives, collectives, files, windows. */
struct mpi_request {
    const struct mpi_request_ops *ops;
    MPI_Request handle;    /* NULL: the program has none (internal, or freed by it) */
    struct mpi_comm *comm; /* a reference; its error handler; or NULL */
    const char *what;      /* "MPI_Irecv": who waits for it, in reports */
    bool is_complete;      /* or not active */
    bool is_persistent, is_active;
    bool is_orphan; /* MPI_Request_free: destroyed when complete */
    /* What its status says: */
    bool is_cancelled;
    int source, tag, error;
    int64_t bytes;
    bool *noticed; /* of who waits for any of several, set when it completes; NULL at first */
};

/* A handle for the program. MPI_ERR_NO_MEM. */
int mpi_request_export(struct mpi_request *request, MPI_Request *out);
int mpi_request_find(MPI_Request handle, struct mpi_request **out); /* MPI_ERR_REQUEST */
/* It is done: wakes who waits; destroys it where it is an orphan. */
void mpi_request_complete(struct mpi_request *request);
/* Waits until it is complete; lets the lock go meanwhile. */
void mpi_request_wait(struct mpi_request *request);
/* Waits for it, takes its error, destroys it: the end of a blocking operation. */
int mpi_request_finish(struct mpi_request *request);

/* Status (3.2.5): what is kept of a message in it, so that Get_count and Get_elements find it. */
void mpi_status_set(MPI_Status *status, int source, int tag, int64_t bytes, bool is_cancelled);
void mpi_status_empty(MPI_Status *status); /* 3.7.3 */
int64_t mpi_status_bytes(const MPI_Status *status);

/* ---------------------------------------------------------------- sends and receives */

enum mpi_send_mode {
    MPI_SEND_STANDARD,
    MPI_SEND_SYNCHRONOUS,
    MPI_SEND_READY,
    MPI_SEND_BUFFERED, /* MPI_ERR_BUFFER: it does not fit into what the program attached */
};

/* A message within the library or for the program. context: comm->context or + 1. Ranks may be
 * MPI_PROC_NULL. The buffer, type and comm are held until it is complete. Errors: MPI_ERR_NO_MEM,
 * nothing begun; arguments are valid (mpi_type_use and the like were asked). */
struct mpi_part {
    struct mpi_comm *comm;
    uint32_t context;
    int rank, tag; /* MPI_ANY_SOURCE, MPI_ANY_TAG in receives */
    const void *buffer;
    int64_t count;
    struct mpi_type *type;
};
int mpi_message_send(const struct mpi_part *part, enum mpi_send_mode mode,
                     struct mpi_request **out);
int mpi_message_receive(const struct mpi_part *part, struct mpi_request **out);

/* Blocking, for the library's own small matters (contexts, addresses): whole bytes. */
int mpi_message_send_bytes(struct mpi_comm *comm, uint32_t context, int to, int tag,
                           const void *bytes, uint32_t count);
int mpi_message_receive_bytes(struct mpi_comm *comm, uint32_t context, int from, int tag,
                              void *bytes, uint32_t count);

/* ------------------------------------------------------------------------ progress */

/* Takes what came, and lets whoever is due go on. True: something happened. */
bool mpi_progress(void);
/* Progress until *is_done; waits in between, without the lock. what: as mpi_net_wait has it. */
void mpi_await(const bool *is_done, const char *what);
/* Something that another thread may wait for has happened. */
void mpi_progress_wake(void);

/* Called at each progress while it is in the list, until it says that it is over (false). */
struct mpi_task {
    bool (*run)(struct mpi_task *task);
    struct mpi_task *next, **link;
};
void mpi_task_add(struct mpi_task *task);

/* Messages of other parts (windows, files): kinds from MPI_MESSAGE_OTHER on. What handle is given
 * is valid while it runs; it may send, but not wait. */
#define MPI_MESSAGE_OTHER       16u
#define MPI_MESSAGE_OTHER_BYTES 3072u /* of a body */
typedef void (*mpi_message_fn)(uint32_t from, const void *body, uint32_t bytes);
void mpi_message_handle(uint32_t kind, mpi_message_fn handle);
/* Sent in order with all others to that member; kept where there is no room, so it never waits.
 * MPI_ERR_NO_MEM. */
int mpi_message_say(uint32_t to, uint32_t kind, const void *body, uint32_t bytes);

/* Begins and ends with the library. MPI_Finalize: what others wait for of us has gone out. */
void mpi_messages_init(void);
void mpi_messages_fini(void);

#endif
