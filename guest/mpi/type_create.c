/* SPDX-License-Identifier: Apache-2.0
 *
 * type_create: types made of others: repetitions and lists of blocks (MPI 3.1, 4.1.2).
 */
#include <stdlib.h>

#include "type_internal.h"

/* Arguments that all have in common. */
static int
old_find(int count, MPI_Datatype old_handle, const MPI_Datatype *new_handle, struct mpi_type **old)
{
    if (count < 0)
        return MPI_ERR_COUNT;
    if (new_handle == NULL)
        return MPI_ERR_ARG;
    return mpi_type_find(old_handle, old);
}

/* --------------------------------------------------------------------- repetitions */

static int
make_loop(struct mpi_type *old, const struct mpi_type_loop *loop,
          const struct mpi_type_contents *contents, MPI_Datatype *out)
{
    struct mpi_type *type;
    int err = mpi_type_make_loop(old, loop, &type);

    return err != 0 ? err : mpi_type_export(type, contents, out);
}

static int
make_contiguous(int count, MPI_Datatype old_handle, MPI_Datatype *out)
{
    struct mpi_type *old;
    int err = old_find(count, old_handle, out, &old);

    if (err != 0)
        return err;
    return make_loop(old, &(struct mpi_type_loop){.count = 1, .block = count},
                     &(struct mpi_type_contents){.combiner = MPI_COMBINER_CONTIGUOUS,
                                                 .integers = {{&count, 1}},
                                                 .types = &old,
                                                 .types_count = 1},
                     out);
}

int
PMPI_Type_contiguous(int count, MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_contiguous", make_contiguous(count, oldtype, newtype));
}
MPI_NAMES(Type_contiguous);

static int
make_vector(int count, int block, int stride, MPI_Datatype old_handle, MPI_Datatype *out)
{
    const int integers[] = {count, block, stride};
    struct mpi_type *old;
    int64_t bytes;
    int err = old_find(count, old_handle, out, &old);

    if (err != 0)
        return err;
    if (block < 0)
        return MPI_ERR_ARG;
    if (__builtin_mul_overflow(stride, old->extent, &bytes))
        return MPI_ERR_COUNT;
    return make_loop(old, &(struct mpi_type_loop){0, count, bytes, block},
                     &(struct mpi_type_contents){.combiner = MPI_COMBINER_VECTOR,
                                                 .integers = {{integers, 3}},
                                                 .types = &old,
                                                 .types_count = 1},
                     out);
}

int
PMPI_Type_vector(int count, int blocklength, int stride, MPI_Datatype oldtype,
                 MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_vector",
                     make_vector(count, blocklength, stride, oldtype, newtype));
}
MPI_NAMES(Type_vector);

static int
make_hvector(int count, int block, MPI_Aint stride, MPI_Datatype old_handle, MPI_Datatype *out)
{
    const int integers[] = {count, block};
    struct mpi_type *old;
    int err = old_find(count, old_handle, out, &old);

    if (err != 0)
        return err;
    if (block < 0)
        return MPI_ERR_ARG;
    return make_loop(old, &(struct mpi_type_loop){0, count, stride, block},
                     &(struct mpi_type_contents){.combiner = MPI_COMBINER_HVECTOR,
                                                 .integers = {{integers, 2}},
                                                 .addresses = &stride,
                                                 .addresses_count = 1,
                                                 .types = &old,
                                                 .types_count = 1},
                     out);
}

int
PMPI_Type_create_hvector(int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype,
                         MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_hvector",
                     make_hvector(count, blocklength, stride, oldtype, newtype));
}
MPI_NAMES(Type_create_hvector);

int
PMPI_Type_hvector(int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype,
                  MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_hvector",
                     make_hvector(count, blocklength, stride, oldtype, newtype));
}
MPI_NAMES(Type_hvector);

/* ------------------------------------------------------------------- lists of blocks */

/* Blocks as the functions have them: where a length or a place is not of an array, that is NULL,
 * and there is one length, one type for all. */
struct blocks {
    int combiner;
    int count;
    const int *lengths;
    int length;
    const int *places;             /* in extents of old */
    const MPI_Aint *displacements; /* in bytes */
    struct mpi_type *const *types;
    struct mpi_type *old;
};

static int
piece_set(const struct blocks *blocks, int i, struct mpi_type_piece *piece)
{
    piece->type = blocks->types != NULL ? blocks->types[i] : blocks->old;
    piece->count = blocks->lengths != NULL ? blocks->lengths[i] : blocks->length;
    if (piece->count < 0)
        return MPI_ERR_ARG;
    if (blocks->displacements != NULL)
        piece->displacement = blocks->displacements[i];
    else if (__builtin_mul_overflow(blocks->places[i], piece->type->extent, &piece->displacement))
        return MPI_ERR_COUNT;
    return 0;
}

static void
blocks_describe(const struct blocks *blocks, struct mpi_type_contents *contents)
{
    const bool is_even = blocks->lengths == NULL;

    *contents = (struct mpi_type_contents){.combiner = blocks->combiner};
    contents->integers[0].values = &blocks->count;
    contents->integers[0].count = 1;
    contents->integers[1].values = is_even ? &blocks->length : blocks->lengths;
    contents->integers[1].count = is_even ? 1 : blocks->count;
    contents->integers[2].values = blocks->places;
    contents->integers[2].count = blocks->places != NULL ? blocks->count : 0;
    contents->addresses = blocks->displacements;
    contents->addresses_count = blocks->displacements != NULL ? blocks->count : 0;
    contents->types = blocks->types != NULL ? blocks->types : &blocks->old;
    contents->types_count = blocks->types != NULL ? blocks->count : 1;
}

static int
make_blocks(const struct blocks *blocks, MPI_Datatype *out)
{
    struct mpi_type_piece *pieces = calloc((size_t)blocks->count + 1, sizeof(*pieces));
    const bool is_struct = blocks->types != NULL;
    struct mpi_type_contents contents;
    struct mpi_type *type;
    int err = pieces != NULL ? 0 : MPI_ERR_NO_MEM;

    for (int i = 0; i < blocks->count && err == 0; i++)
        err = piece_set(blocks, i, &pieces[i]);
    if (err == 0)
        err = mpi_type_make_list(pieces, blocks->count, is_struct, &type);
    free(pieces);
    if (err != 0)
        return err;
    blocks_describe(blocks, &contents);
    return mpi_type_export(type, &contents, out);
}

/* Where a list is empty its arrays may be anything: then they are never looked at. */
static const int none_int;
static const MPI_Aint none_aint;

static int
make_indexed(int count, const int *lengths, const int *places, MPI_Datatype old_handle,
             MPI_Datatype *out)
{
    struct blocks blocks = {.combiner = MPI_COMBINER_INDEXED, .count = count};
    int err = old_find(count, old_handle, out, &blocks.old);

    if (err != 0)
        return err;
    if (count > 0 && (lengths == NULL || places == NULL))
        return MPI_ERR_ARG;
    blocks.lengths = count > 0 ? lengths : &none_int;
    blocks.places = count > 0 ? places : &none_int;
    return make_blocks(&blocks, out);
}

int
PMPI_Type_indexed(int count, const int lengths[], const int displacements[], MPI_Datatype oldtype,
                  MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_indexed",
                     make_indexed(count, lengths, displacements, oldtype, newtype));
}
MPI_NAMES(Type_indexed);

static int
make_hindexed(int count, const int *lengths, const MPI_Aint *displacements, MPI_Datatype old_handle,
              MPI_Datatype *out)
{
    struct blocks blocks = {.combiner = MPI_COMBINER_HINDEXED, .count = count};
    int err = old_find(count, old_handle, out, &blocks.old);

    if (err != 0)
        return err;
    if (count > 0 && (lengths == NULL || displacements == NULL))
        return MPI_ERR_ARG;
    blocks.lengths = count > 0 ? lengths : &none_int;
    blocks.displacements = count > 0 ? displacements : &none_aint;
    return make_blocks(&blocks, out);
}

int
PMPI_Type_create_hindexed(int count, const int lengths[], const MPI_Aint displacements[],
                          MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_hindexed",
                     make_hindexed(count, lengths, displacements, oldtype, newtype));
}
MPI_NAMES(Type_create_hindexed);

int
PMPI_Type_hindexed(int count, int lengths[], MPI_Aint displacements[], MPI_Datatype oldtype,
                   MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_hindexed",
                     make_hindexed(count, lengths, displacements, oldtype, newtype));
}
MPI_NAMES(Type_hindexed);

static int
make_indexed_block(int count, int length, const int *places, MPI_Datatype old_handle,
                   MPI_Datatype *out)
{
    struct blocks blocks = {
        .combiner = MPI_COMBINER_INDEXED_BLOCK, .count = count, .length = length};
    int err = old_find(count, old_handle, out, &blocks.old);

    if (err != 0)
        return err;
    if (length < 0 || (count > 0 && places == NULL))
        return MPI_ERR_ARG;
    blocks.places = count > 0 ? places : &none_int;
    return make_blocks(&blocks, out);
}

int
PMPI_Type_create_indexed_block(int count, int blocklength, const int displacements[],
                               MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_indexed_block",
                     make_indexed_block(count, blocklength, displacements, oldtype, newtype));
}
MPI_NAMES(Type_create_indexed_block);

static int
make_hindexed_block(int count, int length, const MPI_Aint *displacements, MPI_Datatype old_handle,
                    MPI_Datatype *out)
{
    struct blocks blocks = {
        .combiner = MPI_COMBINER_HINDEXED_BLOCK, .count = count, .length = length};
    int err = old_find(count, old_handle, out, &blocks.old);

    if (err != 0)
        return err;
    if (length < 0 || (count > 0 && displacements == NULL))
        return MPI_ERR_ARG;
    blocks.displacements = count > 0 ? displacements : &none_aint;
    return make_blocks(&blocks, out);
}

int
PMPI_Type_create_hindexed_block(int count, int blocklength, const MPI_Aint displacements[],
                                MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_hindexed_block",
                     make_hindexed_block(count, blocklength, displacements, oldtype, newtype));
}
MPI_NAMES(Type_create_hindexed_block);

/* ----------------------------------------------------------------------- structs */

static int
find_all(int count, const MPI_Datatype *handles, struct mpi_type **types)
{
    int err = 0;

    for (int i = 0; i < count && err == 0; i++)
        err = mpi_type_find(handles[i], &types[i]);
    return err;
}

static int
make_struct(int count, const int *lengths, const MPI_Aint *displacements,
            const MPI_Datatype *handles, MPI_Datatype *out)
{
    struct blocks blocks = {.combiner = MPI_COMBINER_STRUCT, .count = count};
    struct mpi_type **types;
    int err;

    if (count < 0)
        return MPI_ERR_COUNT;
    if (out == NULL || (count > 0 && (lengths == NULL || displacements == NULL || handles == NULL)))
        return MPI_ERR_ARG;
    types = calloc((size_t)count + 1, sizeof(struct mpi_type *));
    if (types == NULL)
        return MPI_ERR_NO_MEM;
    blocks.lengths = count > 0 ? lengths : &none_int;
    blocks.displacements = count > 0 ? displacements : &none_aint;
    blocks.types = types;
    err = find_all(count, handles, types);
    if (err == 0)
        err = make_blocks(&blocks, out);
    free(types);
    return err;
}

int
PMPI_Type_create_struct(int count, const int lengths[], const MPI_Aint displacements[],
                        const MPI_Datatype types[], MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_struct",
                     make_struct(count, lengths, displacements, types, newtype));
}
MPI_NAMES(Type_create_struct);

int
PMPI_Type_struct(int count, int lengths[], MPI_Aint displacements[], MPI_Datatype types[],
                 MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_struct",
                     make_struct(count, lengths, displacements, types, newtype));
}
MPI_NAMES(Type_struct);

/* ------------------------------------------------------------------ of one alone */

static const struct mpi_type_loop once = {.count = 1, .block = 1};

static int
make_resized(MPI_Datatype old_handle, MPI_Aint lb, MPI_Aint extent, MPI_Datatype *out)
{
    const MPI_Aint addresses[] = {lb, extent};
    struct mpi_type *old, *type;
    int err = old_find(1, old_handle, out, &old);

    if (err == 0)
        err = mpi_type_make_loop(old, &once, &type);
    if (err != 0)
        return err;
    err = mpi_type_bound(type, lb, extent);
    if (err != 0) {
        mpi_type_put(type);
        return err;
    }
    return mpi_type_export(type,
                           &(struct mpi_type_contents){.combiner = MPI_COMBINER_RESIZED,
                                                       .addresses = addresses,
                                                       .addresses_count = 2,
                                                       .types = &old,
                                                       .types_count = 1},
                           out);
}

int
PMPI_Type_create_resized(MPI_Datatype oldtype, MPI_Aint lb, MPI_Aint extent, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_create_resized", make_resized(oldtype, lb, extent, newtype));
}
MPI_NAMES(Type_create_resized);

/* Its attributes are copied by functions of the program, to which it has no handle yet. */
static int
make_dup(MPI_Datatype old_handle, MPI_Datatype *out)
{
    struct mpi_type *old, *type;
    MPI_Datatype handle;
    int err = old_find(1, old_handle, out, &old);

    if (err == 0)
        err = mpi_type_make_loop(old, &once, &type);
    if (err != 0)
        return err;
    err = old->is_committed ? mpi_type_finish(type) : 0;
    if (err == 0)
        err = mpi_attributes_copy(MPI_KIND_TYPE, old_handle, &old->attributes, &type->attributes);
    if (err != 0) {
        mpi_type_put(type);
        return err;
    }
    err = mpi_type_export(
        type,
        &(struct mpi_type_contents){.combiner = MPI_COMBINER_DUP, .types = &old, .types_count = 1},
        &handle);
    if (err == 0)
        *out = handle;
    return err;
}

int
PMPI_Type_dup(MPI_Datatype oldtype, MPI_Datatype *newtype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_dup", make_dup(oldtype, newtype));
}
MPI_NAMES(Type_dup);
