/* SPDX-License-Identifier: Apache-2.0
 *
 * collective: what the files of the collectives share: their arguments, the checks of these, and
 * algorithms that others are made of. A kind of collective is a check and a function that writes
 * the schedule; MPI_X and MPI_Ix are both made of it.
 */
#ifndef WEFT_MPI_COLLECTIVE_H
#define WEFT_MPI_COLLECTIVE_H

#include "meeting.h"
#include "schedule.h"

/* One side (send or receive) of a collective as the program gave it: one block, one for each
 * member, or blocks with counts, places and types of their own. */
struct mpi_side {
    const void *buffer;
    int count;
    MPI_Datatype datatype;
    const int *counts;             /* NULL: count is that of each block */
    const int *displs;             /* NULL: blocks follow one another. In elements */
    const int *offsets;            /* w: instead of displs, in bytes */
    const MPI_Aint *long_offsets;  /* neighbours' w: the same */
    const MPI_Datatype *datatypes; /* w: instead of datatype */
    struct mpi_type *type;         /* of datatype, borrowed: the checks set it */
};

static inline struct mpi_side
mpi_side(const void *buffer, int count, MPI_Datatype datatype)
{
    return (struct mpi_side){.buffer = buffer, .count = count, .datatype = datatype};
}
static inline struct mpi_side
mpi_side_v(const void *buffer, const int *counts, const int *displs, MPI_Datatype datatype)
{
    return (struct mpi_side){
        .buffer = buffer, .counts = counts, .displs = displs, .datatype = datatype};
}
static inline struct mpi_side
mpi_side_w(const void *buffer, const int *counts, const int *offsets, const MPI_Datatype *datatypes)
{
    return (struct mpi_side){
        .buffer = buffer, .counts = counts, .offsets = offsets, .datatypes = datatypes};
}

struct mpi_collective {
    struct mpi_side send, receive;
    int root;
    MPI_Op operator;
    struct mpi_op *op; /* borrowed: the checks set it */
};

struct mpi_collective_kind {
    /* An error class; sets types and op. */
    int (*check)(struct mpi_collective *call, const struct mpi_comm *comm);
    void (*write)(const struct mpi_collective *call, struct mpi_schedule *schedule,
                  const struct mpi_comm *comm);
    /* NULL both, or: the bytes that a member brings to a meeting (meeting.h: negative: none is
     * held), the same for all; and what it does there in place of the steps. */
    int64_t (*part)(const struct mpi_collective *call, const struct mpi_comm *comm);
    int (*meet)(const struct mpi_collective *call, const struct mpi_meeting *meeting);
};

/* MPI_X and MPI_Ix: all that they do. name: "MPI_X". */
int mpi_collective_run(struct mpi_collective *call, const struct mpi_collective_kind *kind,
                       MPI_Comm comm, const char *name);
int mpi_collective_begin(struct mpi_collective *call, const struct mpi_collective_kind *kind,
                         MPI_Comm comm, MPI_Request *request, const char *name);

/* A run of elements. */
struct mpi_block {
    void *buffer;
    int64_t count;
    struct mpi_type *type;
};

/* Some bytes, or elements, behind a buffer: which may be MPI_BOTTOM. */
static inline void *
mpi_at_byte(const void *buffer, int64_t bytes)
{
    return (void *)((uintptr_t)buffer + (uintptr_t)bytes);
}
static inline void *
mpi_at(const void *buffer, int64_t elements, const struct mpi_type *type)
{
    return mpi_at_byte(buffer, elements * type->extent);
}
static inline int64_t
mpi_block_bytes(struct mpi_block block)
{
    return block.count * block.type->size;
}
/* The block for (or from) a member, and count blocks from there on of a side without counts. */
struct mpi_block mpi_side_block(const struct mpi_side *side, int index);
struct mpi_block mpi_side_blocks(const struct mpi_side *side, int index, int count);
static inline bool
mpi_is_in_place(const struct mpi_side *side)
{
    return side->buffer == MPI_IN_PLACE;
}

/* ------------------------------------------------------------------------- checks
 *
 * All return an error class. */

/* count and datatype of one block, which lies in buffer. */
int mpi_side_check(struct mpi_side *side);
/* The same for the blocks of so many members. */
int mpi_sides_check(struct mpi_side *side, int blocks);
/* count, datatype and operator of a reduction, which are in send. */
int mpi_reduction_check(struct mpi_collective *call);
/* Its buffers where it has both: only send may be in place, in an intra-communicator. */
int mpi_reduction_buffers_check(const struct mpi_collective *call, const struct mpi_comm *comm);
int mpi_root_check(const struct mpi_comm *comm, int root);
/* MPI_ERR_BUFFER: in place where that may not be. */
int mpi_not_in_place(const struct mpi_side *side);
/* MPI_ERR_BUFFER: both are the same memory, and there is something in it. */
int mpi_not_aliased(struct mpi_block one, struct mpi_block other);
/* Of an inter-communicator too: whether this member is where the data is, or comes from. */
static inline bool
mpi_is_root(const struct mpi_comm *comm, int root)
{
    return root == (comm->remote != NULL ? MPI_ROOT : comm->rank);
}

/* ------------------------------------------------------- writing parts of a schedule
 *
 * comm is an intra-communicator, whose messages the schedule uses (mpi_schedule_use). What is
 * written after an algorithm begins when that is done. */

static inline void
mpi_write_send(struct mpi_schedule *schedule, struct mpi_block block, int to)
{
    mpi_schedule_send(schedule, block.buffer, block.count, block.type, to);
}
static inline void
mpi_write_receive(struct mpi_schedule *schedule, struct mpi_block block, int from)
{
    mpi_schedule_receive(schedule, block.buffer, block.count, block.type, from);
}
static inline void
mpi_write_copy(struct mpi_schedule *schedule, struct mpi_block from, struct mpi_block to)
{
    if (mpi_block_bytes(from) > 0 && mpi_block_bytes(to) > 0)
        mpi_schedule_copy(schedule, from.buffer, from.count, from.type, to.buffer, to.count,
                          to.type);
}
/* The same where a block without bytes is no message: both sides know. */
void mpi_write_send_some(struct mpi_schedule *schedule, struct mpi_block block, int to);
void mpi_write_receive_some(struct mpi_schedule *schedule, struct mpi_block block, int from);

/* Memory of the schedule for so many bytes, as a block of them. */
struct mpi_block mpi_write_bytes(struct mpi_schedule *schedule, int64_t bytes);
/* A part of a block of bytes. */
static inline struct mpi_block
mpi_block_part(struct mpi_block bytes, int64_t from, int64_t count)
{
    return (struct mpi_block){mpi_at_byte(bytes.buffer, from), count, bytes.type};
}

struct mpi_reduction {
    const void *from;
    void *to; /* may be from */
    int64_t count;
    struct mpi_type *type;
    struct mpi_op *op;
};

void mpi_write_barrier(struct mpi_schedule *schedule, const struct mpi_comm *comm);
void mpi_write_bcast(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                     struct mpi_block block, int root);
/* Each member's block is where it belongs in receive. */
void mpi_write_allgather(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                         const struct mpi_side *receive);
void mpi_write_allgatherv(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                          const struct mpi_side *receive);
/* Block i goes from send, which only the root has, to member i's block. */
void mpi_write_scatter(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                       const struct mpi_side *send, struct mpi_block block, int root);
/* to: only at the root. */
void mpi_write_reduce(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                      const struct mpi_reduction *reduction, int root);
void mpi_write_allreduce(struct mpi_schedule *schedule, const struct mpi_comm *comm,
                         const struct mpi_reduction *reduction);

/* A binomial tree. Places are members from the root on: place 0. The members of a subtree follow
 * one another, from the child that is `distance` further than its parent: 1, 2, 4, ... below span.
 */
struct mpi_tree {
    int size, root;
    int place;  /* this member's */
    int parent; /* a rank; -1: the root has none */
    int span;   /* a power of two */
    int places; /* of this member's subtree: span, or what is there of it */
};
struct mpi_tree mpi_tree_of(const struct mpi_comm *comm, int root);
/* The rank so many places further than this member; and how many places that child has. */
static inline int
mpi_tree_child(const struct mpi_tree *tree, int distance)
{
    return (tree->place + distance + tree->root) % tree->size;
}
static inline int
mpi_tree_below(const struct mpi_tree *tree, int distance)
{
    int rest = tree->size - tree->place - distance;

    return rest < 0 ? 0 : rest < distance ? rest : distance;
}

/* A value that grows by what comes from others, in order, with the fewest copies. */
struct mpi_fold {
    struct mpi_schedule *schedule;
    const struct mpi_reduction *reduction;
    const void *have; /* the value so far: first reduction->from */
    void *to;         /* where it belongs in the end */
    void *spare;      /* memory, once it is needed */
};
/* to: NULL: in memory of the schedule. */
struct mpi_fold mpi_fold_of(struct mpi_schedule *schedule, const struct mpi_reduction *reduction,
                            void *to);
/* Where the next value is received. */
void *mpi_fold_place(struct mpi_fold *fold);
void mpi_fold_before(struct mpi_fold *fold, void *come); /* have = come op have */
void mpi_fold_behind(struct mpi_fold *fold, void *come); /* have = have op come */
void mpi_fold_end(struct mpi_fold *fold);                /* to = have */

/* Members of a power of two among all: each even one below 2 * extra has given its values to the
 * one behind it, and waits. */
struct mpi_power {
    int ranks;
    int rank; /* among them; -1: this is one of those that wait */
    int extra;
};
struct mpi_power mpi_power_of(const struct mpi_comm *comm);
int mpi_power_member(const struct mpi_power *power, int rank);

/* A vector that is cut into parts; starts: parts + 1, in elements. */
struct mpi_parts {
    void *vector;
    const int64_t *starts;
};
/* Even ones; starts NULL: no memory, a failure of the schedule. */
struct mpi_parts mpi_parts_of(struct mpi_schedule *schedule, const struct mpi_reduction *reduction,
                              int parts, void *vector);
struct mpi_block mpi_parts_block(const struct mpi_parts *parts,
                                 const struct mpi_reduction *reduction, int from, int to);
/* Recursive halving: the vector has this member's values, and a part for each of the power's; part
 * `rank` of it is reduced in the end. The operator is commutative. */
void mpi_write_halving(struct mpi_schedule *schedule, const struct mpi_power *power,
                       const struct mpi_parts *parts, const struct mpi_reduction *reduction,
                       int rank);

#endif
