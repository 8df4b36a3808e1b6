/* SPDX-License-Identifier: Apache-2.0
 *
 * Data representations of files (MPI 3.1, 13.5): "native" and "internal", which are memory's bytes;
 * "external32"; and those of the program, whose functions convert.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "type_internal.h"

struct mpi_datarep {
    struct mpi_datarep *next;
    int64_t number;
    bool is_external;
    MPI_Datarep_conversion_function *read, *write;
    MPI_Datarep_extent_function *extent; /* NULL: not the program's */
    void *extra;
    char name[MPI_MAX_DATAREP_STRING];
};

static struct mpi_datarep internal = {.number = 1, .name = "internal"};
static struct mpi_datarep external32 = {
    .next = &internal, .number = 2, .is_external = true, .name = "external32"};
static struct mpi_datarep native = {.next = &external32, .name = "native"};
static int64_t next_number = 3;

const struct mpi_datarep *
mpi_datarep_find(const char *name)
{
    const struct mpi_datarep *datarep = &native;

    while (datarep != NULL && strcmp(datarep->name, name) != 0)
        datarep = datarep->next;
    return datarep;
}

const char *
mpi_datarep_name(const struct mpi_datarep *datarep)
{
    return datarep->name;
}

int64_t
mpi_datarep_number(const struct mpi_datarep *datarep)
{
    return datarep->number;
}

bool
mpi_datarep_converts(const struct mpi_datarep *datarep, bool is_write)
{
    return datarep->is_external || (is_write ? datarep->write : datarep->read) != NULL;
}

/* -------------------------------------------------------------------------- lengths */

/* Of a predefined type that is no pair; negative: the program does not know. */
static int64_t
unit_bytes(const struct mpi_datarep *datarep, const struct mpi_type *unit)
{
    MPI_Aint extent = -1;
    int err;

    if (datarep->is_external)
        return mpi_type_external_size(unit);
    if (datarep->extent == NULL)
        return unit->size;
    mpi_unlock();
    err = datarep->extent(unit->handle, &extent, datarep->extra);
    mpi_lock();
    return err == MPI_SUCCESS ? extent : -1;
}

struct sum {
    const struct mpi_datarep *datarep;
    int64_t bytes;
    bool is_failed, is_other; /* some unit's length is not that in memory */
};

static void
sum_units(void *context, const struct mpi_type *unit, int64_t count)
{
    struct sum *sum = context;
    int64_t each = unit_bytes(sum->datarep, unit), bytes;

    sum->is_other = sum->is_other || each != unit->size;
    sum->is_failed = sum->is_failed || each < 0 || __builtin_mul_overflow(each, count, &bytes) ||
                     __builtin_add_overflow(sum->bytes, bytes, &sum->bytes);
}

int64_t
mpi_datarep_bytes(const struct mpi_datarep *datarep, const struct mpi_type *type)
{
    struct sum sum = {.datarep = datarep};

    if (datarep->is_external)
        return mpi_type_external_size(type);
    if (datarep->extent == NULL)
        return type->size;
    mpi_type_signature(type, 1, sum_units, &sum);
    return sum.is_failed ? -1 : sum.bytes;
}

/* How many predefined ones are whole in the first bytes. */
struct fit {
    const struct mpi_datarep *datarep;
    int64_t left, units, native;
};

static void
fit_units(void *context, const struct mpi_type *unit, int64_t count)
{
    struct fit *fit = context;
    int64_t each = fit->left > 0 ? unit_bytes(fit->datarep, unit) : 0, whole;

    if (each <= 0)
        return;
    whole = fit->left / each < count ? fit->left / each : count;
    fit->units += whole;
    fit->native += whole * unit->size;
    fit->left = whole < count ? 0 : fit->left - whole * each;
}

static struct fit
fit_into(const struct mpi_datarep *datarep, const struct mpi_type *type, int64_t count,
         int64_t file_bytes)
{
    struct fit fit = {datarep, file_bytes, 0, 0};

    if (file_bytes >= mpi_datarep_bytes(datarep, type) * count)
        return (struct fit){datarep, 0, type->map->units * count, type->size * count};
    mpi_type_signature(type, count, fit_units, &fit);
    return fit;
}

int64_t
mpi_datarep_native(const struct mpi_datarep *datarep, const struct mpi_type *type, int64_t count,
                   int64_t file_bytes)
{
    return fit_into(datarep, type, count, file_bytes).native;
}

/* ----------------------------------------------------------------------- conversion */

/* Elements that are there in part: the rest is written over itself. */
static int
read_external(struct mpi_type *type, void *buffer, int64_t count, const void *from,
              int64_t file_bytes)
{
    int64_t all = mpi_type_external_size(type) * count;
    void *copy;

    if (file_bytes >= all) {
        mpi_type_unpack_external(type, buffer, count, from);
        return 0;
    }
    copy = malloc((size_t)all);
    if (copy == NULL)
        return MPI_ERR_NO_MEM;
    mpi_type_pack_external(type, buffer, count, copy);
    (void)memcpy(copy, from, (size_t)file_bytes);
    mpi_type_unpack_external(type, buffer, count, copy);
    free(copy);
    return 0;
}

/* count and position of the program's functions are of predefined types (13.5.3). */
static int
convert(const struct mpi_datarep *datarep, MPI_Datarep_conversion_function *function,
        struct mpi_type *type, void *buffer, int64_t units, void *bytes)
{
    MPI_Datatype handle = type->handle;
    int err;

    if (units > INT_MAX)
        return MPI_ERR_COUNT;
    if (units == 0)
        return 0;
    mpi_unlock();
    err = function(buffer, handle, (int)units, bytes, 0, datarep->extra);
    mpi_lock();
    return err == MPI_SUCCESS ? 0 : MPI_ERR_CONVERSION;
}

int
mpi_datarep_read(const struct mpi_datarep *datarep, struct mpi_type *type, void *buffer,
                 int64_t count, const void *from, int64_t file_bytes)
{
    if (datarep->is_external)
        return read_external(type, buffer, count, from, file_bytes);
    return convert(datarep, datarep->read, type, buffer,
                   fit_into(datarep, type, count, file_bytes).units, (void *)(uintptr_t)from);
}

int
mpi_datarep_write(const struct mpi_datarep *datarep, struct mpi_type *type, const void *buffer,
                  int64_t count, void *to)
{
    if (datarep->is_external) {
        mpi_type_pack_external(type, buffer, count, to);
        return 0;
    }
    return convert(datarep, datarep->write, type, (void *)(uintptr_t)buffer,
                   type->map->units * count, to);
}

/* ----------------------------------------------------------------- types in the file */

/* The same constructor over other types. Displacements in bytes are the program's own affair: types
 * that have them are not portable (2.4). Without the lock. */
static int
construct(const struct mpi_type_map *map, const MPI_Datatype *types, MPI_Datatype *out)
{
    const int *n = map->integers;
    const MPI_Aint *a = map->addresses;

    switch (map->combiner) {
    case MPI_COMBINER_DUP:
        return PMPI_Type_dup(types[0], out);
    case MPI_COMBINER_CONTIGUOUS:
        return PMPI_Type_contiguous(n[0], types[0], out);
    case MPI_COMBINER_VECTOR:
        return PMPI_Type_vector(n[0], n[1], n[2], types[0], out);
    case MPI_COMBINER_HVECTOR:
        return PMPI_Type_create_hvector(n[0], n[1], a[0], types[0], out);
    case MPI_COMBINER_INDEXED:
        return PMPI_Type_indexed(n[0], n + 1, n + 1 + n[0], types[0], out);
    case MPI_COMBINER_HINDEXED:
        return PMPI_Type_create_hindexed(n[0], n + 1, a, types[0], out);
    case MPI_COMBINER_INDEXED_BLOCK:
        return PMPI_Type_create_indexed_block(n[0], n[1], n + 2, types[0], out);
    case MPI_COMBINER_HINDEXED_BLOCK:
        return PMPI_Type_create_hindexed_block(n[0], n[1], a, types[0], out);
    case MPI_COMBINER_STRUCT:
        return PMPI_Type_create_struct(n[0], n + 1, a, types, out);
    case MPI_COMBINER_SUBARRAY:
        return PMPI_Type_create_subarray(n[0], n + 1, n + 1 + n[0], n + 1 + 2 * n[0],
                                         n[1 + 3 * n[0]], types[0], out);
    case MPI_COMBINER_DARRAY:
        return PMPI_Type_create_darray(n[0], n[1], n[2], n + 3, n + 3 + n[2], n + 3 + 2 * n[2],
                                       n + 3 + 3 * n[2], n[3 + 4 * n[2]], types[0], out);
    case MPI_COMBINER_RESIZED:
        return PMPI_Type_create_resized(types[0], a[0], a[1], out);
    default:
        return MPI_ERR_TYPE;
    }
}

static int
element(const struct mpi_datarep *datarep, const struct mpi_type *type, MPI_Datatype *out)
{
    int64_t bytes;

    mpi_lock();
    bytes = mpi_datarep_bytes(datarep, type);
    mpi_unlock();
    if (bytes < 0 || bytes > INT_MAX)
        return MPI_ERR_CONVERSION;
    return PMPI_Type_contiguous((int)bytes, MPI_BYTE, out);
}

/* As deep as types are made of types: MPI_TYPE_DEPTH_MAX. */
static int
rebuild(const struct mpi_datarep *datarep, const struct mpi_type *type, MPI_Datatype *out)
{
    const struct mpi_type_map *map = type->map;
    MPI_Datatype *types;
    int made = 0, err = 0;

    if (map->types_count == 0)
        return element(datarep, type, out);
    types = calloc((size_t)map->types_count, sizeof(*types));
    if (types == NULL)
        return MPI_ERR_NO_MEM;
    while (err == 0 && made < map->types_count) {
        err = rebuild(datarep, map->types[made], &types[made]);
        made += err == 0;
    }
    if (err == 0)
        err = construct(map, types, out);
    while (made > 0)
        (void)PMPI_Type_free(&types[--made]);
    free(types);
    return err;
}

/* Takes the handle away again: the type is the library's. */
static int
keep(MPI_Datatype *handle, struct mpi_type **out)
{
    struct mpi_type *type;
    int err = mpi_type_find(*handle, &type);

    if (err == 0 && !type->is_committed)
        err = mpi_type_finish(type);
    if (err == 0)
        *out = mpi_type_get(type);
    mpi_unlock();
    (void)PMPI_Type_free(handle);
    mpi_lock();
    return err;
}

int
mpi_datarep_type(const struct mpi_datarep *datarep, struct mpi_type *type, struct mpi_type **out)
{
    struct sum sum = {.datarep = datarep};
    MPI_Datatype handle;
    int err;

    if (datarep->is_external || datarep->extent != NULL)
        mpi_type_signature(type, 1, sum_units, &sum);
    if (sum.is_failed)
        return MPI_ERR_CONVERSION;
    (void)mpi_type_get(type);
    if (!sum.is_other) {
        *out = type;
        return 0;
    }
    mpi_unlock();
    err = rebuild(datarep, type, &handle);
    mpi_lock();
    if (err == 0)
        err = keep(&handle, out);
    mpi_type_put(type);
    return err;
}

/* ------------------------------------------------------------------------- register */

static int
check(const char *name, MPI_Datarep_extent_function *extent)
{
    if (name == NULL || name[0] == '\0' || extent == NULL || strlen(name) >= MPI_MAX_DATAREP_STRING)
        return MPI_ERR_ARG;
    return mpi_datarep_find(name) != NULL ? MPI_ERR_DUP_DATAREP : 0;
}

int
PMPI_Register_datarep(const char *name, MPI_Datarep_conversion_function *read_function,
                      MPI_Datarep_conversion_function *write_function,
                      MPI_Datarep_extent_function *extent_function, void *extra_state)
{
    struct mpi_datarep *made = NULL;
    int err;

    mpi_lock();
    err = check(name, extent_function);
    if (err == 0) {
        made = calloc(1, sizeof(*made));
        err = made != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    if (err == 0) {
        made->next = native.next;
        made->number = next_number++;
        made->read = read_function;
        made->write = write_function;
        made->extent = extent_function;
        made->extra = extra_state;
        (void)memcpy(made->name, name, strlen(name) + 1);
        native.next = made;
    }
    return mpi_file_leave(NULL, "MPI_Register_datarep", err);
}
MPI_NAMES(Register_datarep);
