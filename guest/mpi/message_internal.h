/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files behind message.h share.
 *
 *   progress.c  who takes what came, and who waits
 *   outbox.c    what found no room with its receiver yet
 *   match.c     which receive a message is for
 *   transfer.c  one send or receive as a request
 *   send.c, buffered.c, receive.c, probe.c, cancel.c, persistent.c, sendrecv.c
 *   request.c, wait.c, status.c, generalized.c
 *
 * A receive is either posted or complete, never in between: what it gets is there when it is
 * matched. A send may be in want of several things at once (enum mpi_awaits).
 */
#ifndef WEFT_MPI_MESSAGE_INTERNAL_H
#define WEFT_MPI_MESSAGE_INTERNAL_H

#include "message.h"
#include "net.h"

/* ------------------------------------------------------------------- what is said */

enum mpi_message_kind {
    MPI_MESSAGE_EAGER,  /* the body is with it; id: 0, or who is to be told that it is received */
    MPI_MESSAGE_OFFER,  /* it lies at address, to be fetched; id is to be told */
    MPI_MESSAGE_DONE,   /* to id: it is received */
    MPI_MESSAGE_CANCEL, /* of id, whose sequence is address */
    MPI_MESSAGE_ANSWER, /* to id: bytes is 1 where it was taken back, 0 where it was too late */
    MPI_MESSAGE_WAKE,   /* to oneself: look again */
};

/* Of all messages, also those of other parts. */
struct mpi_message_head {
    uint32_t context;
    int32_t tag;
    int32_t source; /* rank of the sender */
    uint32_t kind;
    uint64_t bytes;
    uint64_t address; /* EAGER: its sequence: its name where it is to be taken back */
    uint64_t id;      /* of a transfer, as its member knows it; nobody else looks into it */
};
_Static_assert(sizeof(struct mpi_message_head) == 40, "head of a message");

/* -------------------------------------------------------------------------- outbox.c */

/* A message that waits for room. */
struct mpi_outgoing {
    struct mpi_outgoing *next;
    struct mpi_message_head head;
    const void *body;            /* borrowed */
    const struct mpi_part *part; /* where body is NULL: packed from it when it goes */
    uint32_t body_bytes;
    void (*gone)(struct mpi_outgoing *outgoing);
};

struct mpi_outbox {
    struct mpi_outgoing *first, *last;
    bool is_listed;
};
extern struct mpi_outbox *mpi_outboxes; /* by member */

void mpi_outbox_init(void);
void mpi_outbox_fini(void);
bool mpi_outbox_is_empty(void);
/* Sends what has room now. True: something went. */
bool mpi_outbox_flush(void);
void mpi_outbox_add(uint32_t to, struct mpi_outgoing *outgoing);
/* False: it is not there. */
bool mpi_outbox_remove(uint32_t to, struct mpi_outgoing *outgoing);

/* Sends it at once; false: no room, or others are before it. */
static inline bool
mpi_outbox_try(uint32_t to, const struct mpi_message_head *head, const void *body, uint32_t bytes)
{
    return mpi_outboxes[to].first == NULL && mpi_net_send(to, head, sizeof(*head), body, bytes);
}

/* The same of a message without a body that has to go, now or later. */
void mpi_message_tell(uint32_t to, const struct mpi_message_head *head);

/* ------------------------------------------------------------------------ progress.c */

/* What a tool may want to know (tool_pvar.c). */
struct mpi_message_counts {
    uint64_t received, unexpected, waits;
    uint64_t kept; /* now */
};
extern struct mpi_message_counts mpi_message_counts;

/* Some progress, or a wait until there may be. *is_done (or NULL) ends it early. */
void mpi_pause(const bool *is_done, const char *what);
_Noreturn void mpi_message_no_memory(void);

/* --------------------------------------------------------------------------- match.c */

struct mpi_match_key {
    uint32_t context;
    int source, tag;
};

struct mpi_match_queue;
struct mpi_match_link {
    struct mpi_match_link *next, *previous;
    struct mpi_match_queue *queue; /* NULL: in none */
    void *item;
};

/* Specific or not, in source and tag. */
#define MPI_MATCH_KINDS 4u

struct mpi_transfer;

/* A message that nobody has received yet. */
struct mpi_arrival {
    struct mpi_message_head head;
    uint32_t from; /* member */
    uint32_t body_max;
    struct mpi_transfer *sender; /* of this member, who has the data still; or NULL */
    struct mpi_comm *comm;       /* of MPI_Mprobe: a reference */
    MPI_Message handle;
    struct mpi_match_link links[MPI_MATCH_KINDS];
    struct mpi_arrival *next, *previous; /* as they came; next: also of the free ones */
    _Alignas(16) unsigned char body[];
};

/* Who waits until there is a message for it. In the list while it does. */
struct mpi_prober {
    struct mpi_match_key key;
    bool is_found;
    struct mpi_prober *next;
};

void mpi_match_init(void);
void mpi_match_fini(void);

/* Takes the receive that was posted first of those that fit; NULL: none. */
struct mpi_transfer *mpi_match_take_posted(const struct mpi_message_head *head);
/* MPI_ERR_NO_MEM. */
int mpi_match_post(struct mpi_transfer *receive);
/* False: it is posted no more. */
bool mpi_match_unpost(struct mpi_transfer *receive);

/* A new one with so much room for a body; to be filled in and kept, or freed. */
struct mpi_arrival *mpi_arrival_create(uint32_t body_bytes);
void mpi_arrival_destroy(struct mpi_arrival *arrival);
void mpi_arrivals_fini(void);
void mpi_match_keep(struct mpi_arrival *arrival);
/* The first of those that fit, which stays; NULL: none. */
struct mpi_arrival *mpi_match_find(struct mpi_match_key key);
void mpi_match_remove(struct mpi_arrival *arrival);
/* The one that a cancel means; NULL: it is not there. */
struct mpi_arrival *mpi_match_find_sent(uint32_t from, const struct mpi_message_head *cancel);

void mpi_prober_add(struct mpi_prober *prober);
void mpi_prober_remove(struct mpi_prober *prober);

/* ------------------------------------------------------------------------ transfer.c */

enum mpi_awaits {
    MPI_AWAITS_ROOM = 1,   /* it is in an outbox */
    MPI_AWAITS_DONE = 2,   /* to be received */
    MPI_AWAITS_ANSWER = 4, /* whether it is cancelled */
};

struct mpi_transfer {
    struct mpi_request request;
    struct mpi_part part;
    bool is_send;
    enum mpi_send_mode mode;
    unsigned awaits;
    uint32_t peer; /* member */
    uint64_t sequence;
    void *packed; /* owned, of a send whose data is no run */
    /* Of one that is part of something larger: called when it is destroyed. */
    void (*ended)(struct mpi_transfer *transfer);
    void *owner;
    struct mpi_transfer *carrier; /* of a buffered send: the one that moves it still */
    struct mpi_transfer *next_free;
    uint64_t order; /* of being posted */
    struct mpi_match_link link;
    struct mpi_outgoing outgoing;
};

/* With references, on the heap; NULL: no memory. */
struct mpi_transfer *mpi_transfer_create(const struct mpi_part *part, bool is_send,
                                         const char *what);
/* In the caller's memory, for the time of a blocking call: no references. */
void mpi_transfer_init(struct mpi_transfer *transfer, const struct mpi_part *part, bool is_send,
                       const char *what);
void mpi_transfer_destroy(struct mpi_transfer *transfer);
/* Begins, again where it is persistent; nothing is begun on failure. MPI_ERR_NO_MEM. */
int mpi_transfer_begin(struct mpi_transfer *transfer);
/* It is in want of these no more; complete when of none. */
void mpi_transfer_settle(struct mpi_transfer *transfer, unsigned awaits);
extern const struct mpi_request_ops mpi_transfer_ops;
/* Creates and begins. MPI_ERR_NO_MEM, MPI_ERR_BUFFER. */
int mpi_transfer_start(const struct mpi_part *part, enum mpi_send_mode mode, const char *what,
                       struct mpi_transfer **out);
void mpi_transfers_fini(void);

static inline uint64_t
mpi_part_bytes(const struct mpi_part *part)
{
    return (uint64_t)part->count * (uint64_t)part->type->size;
}

static inline bool
mpi_part_is_null(const struct mpi_part *part)
{
    return part->rank == MPI_PROC_NULL;
}

/* ------------------------------------------------------- send.c, receive.c and so on */

int mpi_send_begin(struct mpi_transfer *send);
int mpi_buffered_begin(struct mpi_transfer *send);
int mpi_receive_begin(struct mpi_transfer *receive);
void mpi_transfer_cancel(struct mpi_request *request);

/* A blocking send and receive. */
int mpi_send(const struct mpi_part *part, enum mpi_send_mode mode, const char *what);
int mpi_receive(const struct mpi_part *part, MPI_Status *status, const char *what);

/* The receive gets what a send of this member has. */
void mpi_receive_from_self(struct mpi_transfer *receive, struct mpi_transfer *send);
/* The receive gets it, which is gone then. */
void mpi_receive_arrival(struct mpi_transfer *receive, struct mpi_arrival *arrival);

/* What progress.c hands on. They take the body. */
void mpi_message_arrive(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes);
void mpi_message_done(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes);
void mpi_message_cancel(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes);
void mpi_message_answer(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes);

void mpi_buffered_fini(void);

/* ------------------------------------------------------------------------- arguments */

struct mpi_arguments {
    const void *buffer;
    int count;
    MPI_Datatype type;
    int rank, tag;
    MPI_Comm comm;
};
/* As part->context of point to point; part->comm is set (NULL: none) also on failure. */
int mpi_part_to(struct mpi_part *part, const struct mpi_arguments *arguments);
int mpi_part_from(struct mpi_part *part, const struct mpi_arguments *arguments);
/* Of a probe: without data. */
int mpi_part_probed(struct mpi_part *part, int source, int tag, MPI_Comm comm);
/* The data of a part whose rest is known. */
int mpi_part_data(struct mpi_part *part, const void *buffer, int count, MPI_Datatype type);

/* ------------------------------------------------------------------------- request.c */

/* One that the program has: NULL for none, or one that is not active. MPI_ERR_REQUEST. */
int mpi_request_active(MPI_Request handle, struct mpi_request **out);
/* What is said of one that is complete. */
int mpi_request_status(struct mpi_request *request, MPI_Status *status);
/* A handle for the program; without memory for it the request completes by itself. */
int mpi_request_give(struct mpi_request *request, MPI_Request *out);
/* The end of one that is complete, for the program: its status (or MPI_STATUS_IGNORE), its handle.
 * Its error; then *failed is its communicator, a reference, if it has one. */
int mpi_request_take(MPI_Request *handle, struct mpi_request *request, MPI_Status *status,
                     struct mpi_comm **failed);
/* mpi_leave with what mpi_request_take said. */
int mpi_request_leave(struct mpi_comm *failed, const char *name, int err);
/* It completes by itself; nobody else asks for it. */
void mpi_request_orphan(struct mpi_request *request);
/* Sends among them that are not complete. */
extern uint32_t mpi_orphan_sends;

#endif
