/* SPDX-License-Identifier: Apache-2.0
 *
 * type_count: how many elements so many bytes are (MPI_Get_count, MPI_Get_elements), and the
 * signature of a type: its predefined types in order.
 */
#include <limits.h>

#include "message.h"
#include "type_internal.h"

/* --------------------------------------------------------------------- signature */

static void
signature_one(const struct mpi_type *type, mpi_signature_fn visit, void *context)
{
    const struct mpi_type_map *map = type->map;

    if (map->inner != NULL)
        mpi_type_signature(map->inner, map->loop.count * map->loop.block, visit, context);
    for (int64_t i = 0; i < map->pieces_count; i++)
        mpi_type_signature(map->pieces[i].type, map->pieces[i].count, visit, context);
}

void
mpi_type_signature(const struct mpi_type *type, int64_t count, mpi_signature_fn visit,
                   void *context)
{
    if (type->size == 0 || count == 0)
        return;
    if (type->map->unit != NULL) {
        visit(context, type->map->unit, count * type->map->units);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        signature_one(type, visit, context);
}

/* ------------------------------------------------------------------------- units */

/* Of less than one element. */
static int64_t
units_within(const struct mpi_type *type, int64_t bytes)
{
    const struct mpi_type_map *map = type->map;
    int64_t units = 0;

    if (map->inner != NULL)
        return mpi_type_units(map->inner, bytes);
    for (int64_t i = 0; i < map->pieces_count && bytes > 0; i++) {
        const struct mpi_type *part = map->pieces[i].type;
        const int64_t all = map->pieces[i].count * part->size;
        const int64_t some = mpi_type_units(part, bytes < all ? bytes : all);

        if (some < 0)
            return -1;
        units += some;
        bytes -= bytes < all ? bytes : all;
    }
    return units;
}

int64_t
mpi_type_units(const struct mpi_type *type, int64_t bytes)
{
    int64_t whole, rest;

    if (type->size == 0)
        return bytes == 0 ? 0 : -1;
    if (type->map->unit != NULL)
        return bytes % type->map->unit->size == 0 ? bytes / type->map->unit->size : -1;
    whole = bytes / type->size;
    rest = units_within(type, bytes % type->size);
    return rest < 0 ? -1 : whole * type->map->units + rest;
}

static int64_t
bytes_within(const struct mpi_type *type, int64_t units)
{
    const struct mpi_type_map *map = type->map;
    int64_t bytes = 0;

    if (map->inner != NULL)
        return mpi_type_unit_bytes(map->inner, units);
    for (int64_t i = 0; i < map->pieces_count && units > 0; i++) {
        const struct mpi_type *type_of = map->pieces[i].type;
        const int64_t all = map->pieces[i].count * type_of->map->units;
        const int64_t n = units < all ? units : all;

        bytes += mpi_type_unit_bytes(type_of, n);
        units -= n;
    }
    return bytes;
}

int64_t
mpi_type_unit_bytes(const struct mpi_type *type, int64_t units)
{
    __int128 bytes;

    if (units == 0 || type->map->units == 0)
        return units == 0 ? 0 : -1;
    if (type->map->unit != NULL)
        bytes = (__int128)units * type->map->unit->size;
    else
        bytes = (__int128)(units / type->map->units) * type->size +
                bytes_within(type, units % type->map->units);
    return bytes <= INT64_MAX ? (int64_t)bytes : -1;
}

/* ------------------------------------------------------------- of what was received */

/* MPI_UNDEFINED: no whole number of them. */
static int64_t
count_of(const struct mpi_type *type, int64_t bytes)
{
    if (type->size == 0)
        return bytes == 0 ? 0 : MPI_UNDEFINED;
    return bytes % type->size == 0 ? bytes / type->size : MPI_UNDEFINED;
}

static int
status_find(const MPI_Status *status, MPI_Datatype handle, const void *out, struct mpi_type **type)
{
    if (status == NULL || out == NULL)
        return MPI_ERR_ARG;
    return mpi_type_use(handle, 0, type);
}

int
PMPI_Get_count(const MPI_Status *status, MPI_Datatype datatype, int *count)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = status_find(status, datatype, count, &type);
    if (err == 0) {
        const int64_t n = count_of(type, mpi_status_bytes(status));

        *count = n <= INT_MAX ? (int)n : MPI_UNDEFINED;
    }
    return mpi_leave(NULL, "MPI_Get_count", err);
}
MPI_NAMES(Get_count);

static int
get_elements(const MPI_Status *status, MPI_Datatype handle, MPI_Count *count)
{
    struct mpi_type *type;
    int err = status_find(status, handle, count, &type);

    if (err != 0)
        return err;
    *count = mpi_type_units(type, mpi_status_bytes(status));
    if (*count < 0)
        *count = MPI_UNDEFINED;
    return 0;
}

int
PMPI_Get_elements_x(const MPI_Status *status, MPI_Datatype datatype, MPI_Count *count)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Get_elements_x", get_elements(status, datatype, count));
}
MPI_NAMES(Get_elements_x);

int
PMPI_Get_elements(const MPI_Status *status, MPI_Datatype datatype, int *count)
{
    MPI_Count n;
    int err;

    mpi_lock();
    err = count != NULL ? get_elements(status, datatype, &n) : MPI_ERR_ARG;
    if (err == 0)
        *count = n <= INT_MAX ? (int)n : MPI_UNDEFINED;
    return mpi_leave(NULL, "MPI_Get_elements", err);
}
MPI_NAMES(Get_elements);

static int
set_elements(MPI_Status *status, MPI_Datatype handle, MPI_Count count, bool is_cancelled)
{
    struct mpi_type *type;
    int64_t bytes;
    int err = status_find(status, handle, status, &type);

    if (err != 0)
        return err;
    bytes = count < 0 ? -1 : mpi_type_unit_bytes(type, count);
    if (bytes < 0)
        return MPI_ERR_COUNT;
    mpi_status_set(status, status->MPI_SOURCE, status->MPI_TAG, bytes, is_cancelled);
    return 0;
}

static bool
is_cancelled(const MPI_Status *status)
{
    int flag = 0;

    return status != NULL && PMPI_Test_cancelled(status, &flag) == MPI_SUCCESS && flag != 0;
}

int
PMPI_Status_set_elements_x(MPI_Status *status, MPI_Datatype datatype, MPI_Count count)
{
    const bool was_cancelled = is_cancelled(status);

    mpi_lock();
    return mpi_leave(NULL, "MPI_Status_set_elements_x",
                     set_elements(status, datatype, count, was_cancelled));
}
MPI_NAMES(Status_set_elements_x);

int
PMPI_Status_set_elements(MPI_Status *status, MPI_Datatype datatype, int count)
{
    const bool was_cancelled = is_cancelled(status);

    mpi_lock();
    return mpi_leave(NULL, "MPI_Status_set_elements",
                     set_elements(status, datatype, count, was_cancelled));
}
MPI_NAMES(Status_set_elements);
