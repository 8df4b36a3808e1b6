/* SPDX-License-Identifier: Apache-2.0
 *
 * core: what all parts of the library share: handles, objects, errors.
 *
 *   mpi.h      what programs see
 *   core.h     handles, communicators, groups, errors, attributes (this)
 *   type.h     datatypes and operators; pack and unpack
 *   message.h  requests, matching, progress
 *   schedule.h collectives as steps
 *   net.h      messages and memory of members
 *
 * The library is in the guest, so an MPI process is plain data like any other (law 3), and nothing
 * of it is trusted by the host. It keeps one lock (mpi_lock); every function of MPI takes it for
 * its duration (MPI_CALL) and lets it go where it waits.
 *
 * Each function is defined as PMPI_X, and MPI_NAMES(X) after it gives it the name MPI_X, weakly.
 */
#ifndef WEFT_MPI_CORE_H
#define WEFT_MPI_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mpi.h"

#define MPI_NAMES(name) \
    extern __typeof__(PMPI_##name) MPI_##name __attribute__((weak, alias("PMPI_" #name)))

#define MPI_WORLD_MAX 4096u /* members */
#define MPI_TAG_MAX   0x3fffffff

/* ------------------------------------------------------------------------- handles
 *
 * A handle of an object that was made is not its address but a place in a table with a count of how
 * often that was used, so that any value whatever can be looked up. Those of mpi.h are below
 * 0x1000.
 */
enum mpi_kind {
    MPI_KIND_COMM = 1,
    MPI_KIND_GROUP,
    MPI_KIND_TYPE,
    MPI_KIND_OP,
    MPI_KIND_REQUEST,
    MPI_KIND_MESSAGE,
    MPI_KIND_ERRHANDLER,
    MPI_KIND_INFO,
    MPI_KIND_WIN,
    MPI_KIND_FILE,
    MPI_KIND_KEYVAL,
    MPI_KIND_COUNT
};

/* A new handle of an object; NULL: no memory, or too many (2^20 of a kind). */
void *mpi_handle_make(enum mpi_kind kind, void *object);
/* Its object, or NULL where it is none of that kind. Predefined ones: registered below. */
void *mpi_handle_find(enum mpi_kind kind, const void *handle);
void mpi_handle_free(enum mpi_kind kind, void *handle);
/* A predefined one: value below 0x1000. object is static, or lives as long as the library. */
void mpi_handle_define(enum mpi_kind kind, const void *handle, void *object);

/* -------------------------------------------------------------------------- errors
 *
 * Functions within the library return an error class (MPI_SUCCESS: 0). A function of MPI hands it
 * to the error handler of the object it was called with, which returns, or ends the world. */

struct mpi_errhandler;
struct mpi_comm;

/* What a function of MPI returns: err, or what the communicator's error handler made of it (it may
 * not return: MPI_ERRORS_ARE_FATAL ends the world, naming function and class). comm NULL: that of
 * MPI_COMM_WORLD. name: "MPI_Send". MPI_SUCCESS costs nothing. Without the lock. */
int mpi_error_of_comm(struct mpi_comm *comm, const char *name, int err);
/* The same with any object's own error handler: handle is what the handler's function is given. */
int mpi_error_of(struct mpi_errhandler *errhandler, void *handle, const char *name, int err);

struct mpi_errhandler *mpi_errhandler_get(struct mpi_errhandler *errhandler);
void mpi_errhandler_put(struct mpi_errhandler *errhandler);
extern struct mpi_errhandler mpi_errors_are_fatal, mpi_errors_return;

/* ---------------------------------------------------------------------------- lock
 *
 * All below and in the other doors is called with it, unless said otherwise. */
void mpi_lock(void);
void mpi_unlock(void);
int mpi_thread_level(void); /* MPI_THREAD_...; lock and unlock do nothing below MULTIPLE */

bool mpi_is_running(void); /* between MPI_Init and MPI_Finalize */

/* -------------------------------------------------------------------- what an object carries */

/* Attributes (MPI 3.1, 6.7), by key. Zero is none. */
struct mpi_attribute;
struct mpi_attributes {
    struct mpi_attribute *first;
};
/* Copies those whose key says so (MPI_Comm_dup, Type_dup); deletes all, in the order of the
 * standard: last set first. Callbacks are called without the lock. An error of a callback is
 * returned; copy: nothing is kept then. kind is that of the object. */
int mpi_attributes_copy(enum mpi_kind kind, void *from_handle, const struct mpi_attributes *from,
                        struct mpi_attributes *to);
int mpi_attributes_delete(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes);
/* Those of the program: for the four functions of each kind of object. */
int mpi_attribute_set(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes,
                      int keyval, void *value);
int mpi_attribute_get(struct mpi_attributes *attributes, int keyval, void **value, bool *is_set);
int mpi_attribute_remove(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes,
                         int keyval);

struct mpi_info;                                             /* (key, value) pairs in order */
struct mpi_info *mpi_info_create(void);                      /* NULL: no memory */
struct mpi_info *mpi_info_copy(const struct mpi_info *info); /* NULL of NULL; NULL: no memory */
void mpi_info_destroy(struct mpi_info *info);                /* NULL is fine */
/* What from (or NULL) says, too; into is the same as before after a failure, or has some of it.
 * MPI_ERR_NO_MEM. */
int mpi_info_merge(struct mpi_info *into, const struct mpi_info *from);
int mpi_info_put(struct mpi_info *info, const char *key, const char *value); /* MPI_ERR_NO_MEM */
/* NULL where the key is not there. */
const char *mpi_info_value(const struct mpi_info *info, const char *key);
/* A handle's: MPI_INFO_NULL is NULL and MPI_SUCCESS; MPI_ERR_INFO. */
int mpi_info_find(MPI_Info handle, struct mpi_info **out);
/* A new handle for a copy of it, the program's (MPI_Comm_get_info and the like). */
int mpi_info_export(const struct mpi_info *info, MPI_Info *out);

/* -------------------------------------------------------------------------- groups */

struct mpi_group {
    MPI_Group handle; /* NULL where the program has none */
    uint32_t references;
    int size, rank; /* rank: this member's place, or MPI_UNDEFINED */
    uint32_t members[];
};
/* members are set by the caller, then mpi_group_finish finds rank. NULL: no memory. */
struct mpi_group *mpi_group_create(int size);
void mpi_group_finish(struct mpi_group *group);
struct mpi_group *mpi_group_get(struct mpi_group *group);
void mpi_group_put(struct mpi_group *group);                         /* NULL is fine */
int mpi_group_place(const struct mpi_group *group, uint32_t member); /* MPI_UNDEFINED: not in it */
/* MPI_ERR_GROUP. Borrowed. */
int mpi_group_find(MPI_Group handle, struct mpi_group **out);
/* A handle for a group that the program gets; takes the reference, also on failure. */
int mpi_group_export(struct mpi_group *group, MPI_Group *out);

/* ------------------------------------------------------------------- communicators
 *
 * A context is a number that no other communicator's messages have: (member who chose it, its
 * count). Two follow one another: point to point, and + 1 for collectives. */

/* Where near members meet: meeting.h. Zero is none yet. */
struct mpi_meetings {
    unsigned char *places; /* shared by all; NULL: they do not meet */
    uint32_t held;
    bool is_open; /* the first meeting was asked for */
};

struct mpi_topology; /* of topology.c; NULL: none */
struct mpi_comm {
    MPI_Comm handle;
    uint32_t references;      /* the handle; pending requests; windows and files made of it */
    uint32_t context;         /* even */
    int rank, size;           /* in the local group */
    struct mpi_group *group;  /* local */
    struct mpi_group *remote; /* of an inter-communicator; else NULL */
    struct mpi_comm *local;   /* of an inter-communicator: an intra-communicator of its own group */
    uint32_t collectives;     /* begun so far: tags of their messages */
    struct mpi_meetings meetings;
    struct mpi_errhandler *errhandler;
    struct mpi_attributes attributes;
    struct mpi_topology *topology;
    struct mpi_info *info;
    char name[MPI_MAX_OBJECT_NAME];
};
extern struct mpi_comm mpi_world, mpi_self;

/* Of a handle: MPI_ERR_COMM. Borrowed. */
int mpi_comm_find(MPI_Comm handle, struct mpi_comm **out);
/* A new one with one reference and a handle; takes both groups, also on failure; errhandler of
 * parent (NULL: the default). local: MPI_ERR_NO_MEM. */
int mpi_comm_create(uint32_t context, struct mpi_group *group, struct mpi_group *remote,
                    const struct mpi_comm *parent, struct mpi_comm **out);
struct mpi_comm *mpi_comm_get(struct mpi_comm *comm);
/* The last one frees it; attributes went when its handle was freed. */
void mpi_comm_put(struct mpi_comm *comm);
/* A context that this member chooses, unlike all others it or others choose; 0: none is left. */
uint32_t mpi_context_new(void);
/* The member that a rank of the communicator is: of the remote group in an inter-communicator. */
static inline uint32_t
mpi_comm_member(const struct mpi_comm *comm, int rank)
{
    return (comm->remote != NULL ? comm->remote : comm->group)->members[rank];
}
static inline int
mpi_comm_peers(const struct mpi_comm *comm) /* ranks that can be sent to */
{
    return comm->remote != NULL ? comm->remote->size : comm->size;
}

/* This member, and how many there are. */
uint32_t mpi_member(void);
uint32_t mpi_members(void);

/* --------------------------------------------------------------- begin of a function of MPI
 *
 *   int
 *   PMPI_Barrier(MPI_Comm comm)
 *   {
 *       struct mpi_comm *c = NULL;
 *       int err;
 *
 *       mpi_lock();
 *       err = mpi_comm_find(comm, &c);
 *       if (err == 0)
 *           err = barrier(c);
 *       return mpi_leave(c, "MPI_Barrier", err);
 *   }
 *   MPI_NAMES(Barrier);
 *
 * mpi_leave unlocks, and is mpi_error_of_comm. Before MPI_Init and after MPI_Finalize mpi_comm_find
 * finds nothing. */
int mpi_leave(struct mpi_comm *comm, const char *name, int err);

#endif
