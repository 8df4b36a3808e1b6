/* SPDX-License-Identifier: Apache-2.0
 *
 * window: one-sided communication (MPI 3.1, chapter 11). Members reach each other's memory directly
 * (mpi_net_put, get), so an operation is over when its function returns, at the target too, and
 * what the chapter calls synchronisation only orders: counts of messages for post and start, words
 * in the target's memory for locks. The target need not be in a function of MPI.
 */
#ifndef WEFT_MPI_WINDOW_H
#define WEFT_MPI_WINDOW_H

#include "message.h"
#include "turn.h"

/* What members say to each other; the body is the context of the window's communicator. */
#define MPI_WINDOW_POST     (MPI_MESSAGE_OTHER + 0)
#define MPI_WINDOW_COMPLETE (MPI_MESSAGE_OTHER + 1)

/* Of a member: what others take there. */
struct mpi_window_words {
    mpi_turn lock;   /* MPI_Win_lock: alone where it is exclusive */
    mpi_turn update; /* alone during an accumulate */
};

/* What a member knows of each rank. */
struct mpi_window_peer {
    uint64_t base; /* in the memory of `member`; 0 in dynamic windows */
    uint64_t size;
    uint64_t words;  /* in the memory of the rank's own member */
    uint32_t member; /* whose memory it is: this one's, where it is shared */
    uint32_t owner;  /* the rank's own */
    int32_t unit;
    bool is_locked;              /* by this member: MPI_Win_lock */
    bool is_exclusive;           /* and nobody else */
    uint32_t posts, completions; /* that came and were not awaited yet */
};

enum mpi_access {
    MPI_ACCESS_NONE,
    MPI_ACCESS_FENCE,
    MPI_ACCESS_START,
    MPI_ACCESS_LOCK,
    MPI_ACCESS_LOCK_ALL
};

struct mpi_region { /* of MPI_Win_attach */
    struct mpi_region *next;
    uintptr_t base;
    uint64_t size;
};

struct mpi_window {
    struct mpi_window *next;
    MPI_Win handle;
    struct mpi_comm *comm; /* a clone; its context names the window in messages */
    int flavor, unit, model;
    void *base;
    MPI_Aint size;
    bool owns_base;                /* MPI_Win_allocate */
    void *shared;                  /* of all ranks together, as mpi_net_share gave it; or NULL */
    struct mpi_window_words words; /* of this member; others have its address */
    enum mpi_access access;
    bool is_fence_used;       /* something was done since the fence */
    unsigned locks;           /* ranks that are locked */
    struct mpi_group *opened; /* of MPI_Win_start */
    struct mpi_group *posted; /* of MPI_Win_post */
    struct mpi_region *regions;
    struct mpi_info *info;
    struct mpi_attributes attributes;
    struct mpi_errhandler *errhandler;
    char name[MPI_MAX_OBJECT_NAME];
    struct mpi_window_peer peers[];
};

int mpi_window_find(MPI_Win handle, struct mpi_window **out); /* MPI_ERR_WIN */
/* As mpi_leave, with the window's error handler; window NULL: that of the world. */
int mpi_window_leave(struct mpi_window *window, const char *name, int err);

/* Of MPI_Init: messages of post and complete. */
void mpi_windows_init(void);

#endif
