/* SPDX-License-Identifier: Apache-2.0
 *
 * type_internal: what the files of datatypes share.
 *
 * A type is kept as its program made it (contents), as loops or pieces over other types (shape),
 * and, once committed, as a layout: what bytes lie where, in as few nodes as there can be.
 *
 *      contents  what MPI_Type_get_contents says
 *      shape     signature, size and bounds are computed from it
 *      layout    what pack, unpack and runs walk
 */
#ifndef WEFT_MPI_TYPE_INTERNAL_H
#define WEFT_MPI_TYPE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "type.h"

#define MPI_TYPE_DEPTH_MAX 128u /* of types made of types: all recursion over them */

/* ------------------------------------------------------------------- layouts */

enum mpi_layout_kind {
    MPI_LAYOUT_RUN,     /* size bytes */
    MPI_LAYOUT_STRIDED, /* count times unit bytes, each stride after the other */
    MPI_LAYOUT_BLOCKS,  /* count runs of bytes; unit: of that many each, or 0 */
    MPI_LAYOUT_LOOP,    /* count times child, each stride after the other */
    MPI_LAYOUT_LIST,    /* count children */
    MPI_LAYOUT_KINDS
};

struct mpi_layout_block {
    int64_t offset;
    uint64_t from; /* its first byte in the packed form */
};

/* Never changed once made. Only a run may be empty, so there is nothing to divide by zero. */
struct mpi_layout {
    enum mpi_layout_kind kind;
    uint32_t references;
    uint64_t size, count, unit;
    int64_t stride;
    struct mpi_layout *child;        /* owned */
    struct mpi_layout_block *blocks; /* count + 1 of them: the last one is where it ends */
    struct mpi_layout **children;    /* owned, each */
};

struct mpi_layout *mpi_layout_run(uint64_t bytes); /* NULL: no memory */
struct mpi_layout *mpi_layout_get(struct mpi_layout *layout);
void mpi_layout_put(struct mpi_layout *layout); /* NULL is fine */
/* count of child; NULL: no memory. */
struct mpi_layout *mpi_layout_repeat(struct mpi_layout *child, uint64_t count, int64_t stride);
/* The same in the caller's memory, without a reference to child. */
void mpi_layout_repeat_init(struct mpi_layout *layout, struct mpi_layout *child, uint64_t count,
                            int64_t stride);

/* One after the other, joined where they touch. Zero is a builder. A failure is kept. */
struct mpi_layout_builder {
    struct mpi_layout_block *blocks;
    struct mpi_layout **children; /* NULL in it: a run */
    uint64_t count, room, size;
    bool is_failed;
};
void mpi_layout_add_run(struct mpi_layout_builder *builder, int64_t offset, uint64_t bytes);
void mpi_layout_add(struct mpi_layout_builder *builder, int64_t offset, struct mpi_layout *child);
/* The end of the builder. offset: where the layout lies. NULL: no memory. */
struct mpi_layout *mpi_layout_finish(struct mpi_layout_builder *builder, int64_t *offset);

/* Calls run and strided for bytes of a layout that lies at `at`, in order, until one is false. */
struct mpi_walk {
    bool (*run)(struct mpi_walk *walk, int64_t at, uint64_t bytes);
    bool (*strided)(struct mpi_walk *walk, int64_t at, uint64_t unit, int64_t stride,
                    uint64_t count);
    bool (*blocks)(struct mpi_walk *walk, int64_t at, uint64_t unit,
                   const struct mpi_layout_block *blocks, uint64_t count);
};
bool mpi_layout_walk(struct mpi_walk *walk, const struct mpi_layout *layout, int64_t at,
                     uint64_t from, uint64_t bytes);

/* --------------------------------------------------------------------- types */

/* What an element is to operators and to external32. */
enum mpi_format {
    MPI_FORMAT_BYTE, /* no arithmetic: MPI_PACKED, MPI_CHARACTER, ... */
    MPI_FORMAT_BITS, /* MPI_BYTE */
    MPI_FORMAT_I8,
    MPI_FORMAT_I16,
    MPI_FORMAT_I32,
    MPI_FORMAT_I64,
    MPI_FORMAT_I128,
    MPI_FORMAT_U8,
    MPI_FORMAT_U16,
    MPI_FORMAT_U32,
    MPI_FORMAT_U64,
    MPI_FORMAT_L8, /* logical */
    MPI_FORMAT_L16,
    MPI_FORMAT_L32,
    MPI_FORMAT_L64,
    MPI_FORMAT_L128,
    MPI_FORMAT_F16,
    MPI_FORMAT_F32,
    MPI_FORMAT_F64,
    MPI_FORMAT_FLONG, /* long double */
    MPI_FORMAT_C16,   /* complex, of parts so long */
    MPI_FORMAT_C32,
    MPI_FORMAT_C64,
    MPI_FORMAT_CLONG,
    MPI_FORMAT_FLOAT_INT,
    MPI_FORMAT_DOUBLE_INT,
    MPI_FORMAT_LONG_INT,
    MPI_FORMAT_2INT,
    MPI_FORMAT_SHORT_INT,
    MPI_FORMAT_LONG_DOUBLE_INT,
    MPI_FORMAT_2REAL,
    MPI_FORMAT_2DOUBLE,
    MPI_FORMAT_WCHAR,
    MPI_FORMATS
};

struct mpi_type_piece {
    int64_t displacement, count;
    struct mpi_type *type; /* owned */
};

/* count times block of inner, each block stride (bytes) after the other, the first at offset. */
struct mpi_type_loop {
    int64_t offset, count, stride, block;
};

struct mpi_type_map {
    uint32_t references;
    int combiner;
    int integers_count, addresses_count, types_count;
    int *integers;
    MPI_Aint *addresses;
    struct mpi_type **types; /* owned, each */
    /* The shape: a loop over inner (owned), or else pieces. Predefined: neither, but pairs are
     * two pieces. */
    struct mpi_type *inner;
    struct mpi_type_loop loop;
    struct mpi_type_piece *pieces;
    int64_t pieces_count;
    /* Of one: */
    const struct mpi_type *unit; /* the only predefined type in it that is no pair, or NULL */
    int64_t units;               /* predefined types in it; of pairs both */
    uint32_t depth, alignment;
    bool has_lb, has_ub; /* markers: MPI 3.1, 4.1.7 */
    enum mpi_format format;
    uint32_t external_bytes; /* predefined, no pair: in external32 */
    /* Once committed, or where one that was made of it is: */
    struct mpi_layout *layout;
    int64_t layout_offset;
};

/* New types of one reference, without handle and contents. MPI_ERR_COUNT: larger than 2^62 bytes,
 * or too deep; MPI_ERR_NO_MEM. */
int mpi_type_make_loop(struct mpi_type *inner, const struct mpi_type_loop *loop,
                       struct mpi_type **out);
/* is_struct: its extent is rounded up to its alignment. */
int mpi_type_make_list(const struct mpi_type_piece *pieces, int64_t count, bool is_struct,
                       struct mpi_type **out);
/* Puts both markers. Of one that was just made. MPI_ERR_ARG: the sum is too large. */
int mpi_type_bound(struct mpi_type *type, int64_t lb, int64_t extent);
/* Another type with the same map: no name, no attributes, no handle. NULL: no memory. */
struct mpi_type *mpi_type_clone(const struct mpi_type *type);
/* Makes the layout. MPI_ERR_NO_MEM. */
int mpi_type_compile(struct mpi_type *type);
int mpi_type_finish(struct mpi_type *type); /* compile, and is_run, is_dense, is_committed */

/* What a type was made with, and of; borrowed. */
struct mpi_type_contents {
    int combiner;
    struct {
        const int *values;
        int count;
    } integers[6];
    const MPI_Aint *addresses;
    int addresses_count;
    struct mpi_type *const *types;
    int types_count;
};
/* Gives a new type its contents and a handle. Takes the reference, also on failure. */
int mpi_type_export(struct mpi_type *type, const struct mpi_type_contents *contents,
                    MPI_Datatype *out);
/* A handle alone; takes the reference, also on failure. */
int mpi_type_handle(struct mpi_type *type, MPI_Datatype *out);

/* The predefined one with that handle, which is one. */
struct mpi_type *mpi_type_predefined(MPI_Datatype handle);

/* Predefined types in so many bytes of count elements' data; -1: they end within one. */
int64_t mpi_type_units(const struct mpi_type *type, int64_t bytes);
/* How many bytes the first so many predefined types are; -1: 2^63 or more. */
int64_t mpi_type_unit_bytes(const struct mpi_type *type, int64_t units);
/* The predefined types of count elements, in order, without pairs. */
typedef void (*mpi_signature_fn)(void *context, const struct mpi_type *unit, int64_t count);
void mpi_type_signature(const struct mpi_type *type, int64_t count, mpi_signature_fn visit,
                        void *context);

/* ------------------------------------------------------------------ operators */

#define MPI_OPS 14u

typedef void (*mpi_op_fn)(const void *in, void *inout, size_t count);
/* By number of the operator, and format; NULL: the standard knows none. */
extern const mpi_op_fn mpi_op_table[MPI_OPS][MPI_FORMATS];
enum mpi_op_number {
    MPI_OP_MAX,
    MPI_OP_MIN,
    MPI_OP_SUM,
    MPI_OP_PROD,
    MPI_OP_LAND,
    MPI_OP_LOR,
    MPI_OP_LXOR,
    MPI_OP_BAND,
    MPI_OP_BOR,
    MPI_OP_BXOR,
    MPI_OP_MINLOC,
    MPI_OP_MAXLOC,
    MPI_OP_REPLACE, /* these two go with all types, and are not in the table */
    MPI_OP_NO_OP,
};
void mpi_ops_init(void); /* registers them */

static inline void *
mpi_type_at(const void *buffer, int64_t offset)
{
    return (void *)((uintptr_t)buffer + (uintptr_t)offset);
}

#endif
