/* SPDX-License-Identifier: Apache-2.0
 *
 * type: datatypes (MPI 3.1, chapter 4) and operators (5.9). One engine knows where the bytes of a
 * type lie; sends, receives, files, windows and MPI_Pack all move data by mpi_type_pack and
 * _unpack.
 */
#ifndef WEFT_MPI_TYPE_H
#define WEFT_MPI_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"

/* Type maps are kept as a tree of constructors over elements, and committed as loops (count, block,
 * stride) and lists of blocks, as few as there can be. The rest is type_internal.h's. */
struct mpi_type {
    MPI_Datatype handle;
    uint32_t references; /* the handle, types made of it, requests that use it */
    int64_t size;        /* bytes of data */
    int64_t lb, extent, true_lb, true_extent;
    bool is_committed;
    bool is_predefined;
    bool is_run;   /* committed, and its data is one run of bytes, in order, from true_lb */
    bool is_dense; /* and extent == size: count of them are one run too */
    /* The only predefined type that it is made of, or NULL: what accumulate and reductions take. */
    const struct mpi_type *element;
    struct mpi_attributes attributes;
    char name[MPI_MAX_OBJECT_NAME];
    struct mpi_type_map *map; /* type_internal.h */
};

/* Of a handle: MPI_ERR_TYPE. Borrowed. Also before MPI_Init. */
int mpi_type_find(MPI_Datatype handle, struct mpi_type **out);
/* The same for a communication: committed, and count is not negative: MPI_ERR_COUNT. */
int mpi_type_use(MPI_Datatype handle, int64_t count, struct mpi_type **out);
struct mpi_type *mpi_type_byte(void); /* MPI_BYTE, borrowed */
struct mpi_type *mpi_type_get(struct mpi_type *type);
void mpi_type_put(struct mpi_type *type); /* NULL is fine */

/* Where the count * size bytes of count of them begin, if these are one run; else NULL. */
static inline void *
mpi_type_run(const struct mpi_type *type, const void *buffer, int64_t count)
{
    return type->is_dense || (count == 1 && type->is_run)
               ? (void *)((uintptr_t)buffer + (uintptr_t)type->true_lb)
               : NULL;
}

/* Of the packed form of count elements (count * size bytes), bytes from `from` on, which must lie
 * within it. Quick where one call goes on where the last one ended. */
void mpi_type_pack(const struct mpi_type *type, const void *buffer, int64_t count, uint64_t from,
                   void *to, uint64_t bytes);
void mpi_type_unpack(const struct mpi_type *type, void *buffer, int64_t count, uint64_t from,
                     const void *packed, uint64_t bytes);
/* From one place to another, which do not overlap, through no buffer where one side is a run;
 * bytes: the smaller of both sizes. */
void mpi_type_copy(const struct mpi_type *from_type, const void *from, int64_t from_count,
                   const struct mpi_type *to_type, void *to, int64_t to_count);

/* The runs of bytes of count elements that lie in [from, from + bytes) of the packed form, in
 * order, joined where they touch: for files and windows. Stops when visit says false. */
typedef bool (*mpi_type_visit_fn)(void *context, int64_t offset, uint64_t bytes);
void mpi_type_runs(const struct mpi_type *type, int64_t count, uint64_t from, uint64_t bytes,
                   mpi_type_visit_fn visit, void *context);

/* As bytes, for a member that does not have it (windows): bytes written, at most bytes_max, or 0.
 */
uint32_t mpi_type_encode(const struct mpi_type *type, void *to, uint32_t bytes_max);
/* Committed, with one reference; NULL: damaged, or no memory. */
struct mpi_type *mpi_type_decode(const void *bytes, uint32_t count);

/* What each predefined element of a type means in external32 (13.5.2). Sizes are those of
 * external32 on that side. */
int64_t mpi_type_external_size(const struct mpi_type *type);
void mpi_type_pack_external(const struct mpi_type *type, const void *buffer, int64_t count,
                            void *to);
void mpi_type_unpack_external(const struct mpi_type *type, void *buffer, int64_t count,
                              const void *from);

/* ----------------------------------------------------------------------- operators */

struct mpi_op {
    MPI_Op handle;
    uint32_t references;
    bool is_commutative;
    bool is_of_windows;          /* REPLACE, NO_OP: for accumulate and its like alone */
    MPI_User_function *function; /* of the program; NULL: predefined */
    unsigned number;             /* predefined: its row in op.c's table */
};
int mpi_op_find(MPI_Op handle, struct mpi_op **out); /* MPI_ERR_OP */
struct mpi_op *mpi_op_get(struct mpi_op *op);
void mpi_op_put(struct mpi_op *op);
/* Whether it goes with the type (a predefined operator with its elements): MPI_ERR_OP. */
int mpi_op_check(const struct mpi_op *op, const struct mpi_type *type);
/* inout[i] = in[i] op inout[i]. The program's function is called without the lock. */
void mpi_op_apply(const struct mpi_op *op, const struct mpi_type *type, const void *in, void *inout,
                  int64_t count);
/* REPLACE and NO_OP are operators here too and go with all types, as accumulate has them: a
 * collective refuses those that are of windows (is_of_windows). */

/* Registers predefined types and operators; at first use, and idempotent. */
void mpi_types_init(void);

#endif
