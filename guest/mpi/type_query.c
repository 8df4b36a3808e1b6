/* SPDX-License-Identifier: Apache-2.0
 *
 * type_query: commit and free, and what can be asked of a type: sizes, bounds, contents, name.
 */
#include <limits.h>
#include <string.h>

#include "type_internal.h"

/* ------------------------------------------------------------------ commit and free */

static int
commit(const MPI_Datatype *handle)
{
    struct mpi_type *type;
    int err = handle != NULL ? mpi_type_find(*handle, &type) : MPI_ERR_ARG;

    if (err != 0 || type->is_committed)
        return err;
    return mpi_type_finish(type);
}

int
PMPI_Type_commit(MPI_Datatype *datatype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_commit", commit(datatype));
}
MPI_NAMES(Type_commit);

static int
type_free(MPI_Datatype *handle)
{
    struct mpi_type *type;
    int err = handle != NULL ? mpi_type_find(*handle, &type) : MPI_ERR_ARG;

    if (err == 0 && type->is_predefined)
        err = MPI_ERR_TYPE;
    if (err == 0)
        err = mpi_attributes_delete(MPI_KIND_TYPE, *handle, &type->attributes);
    if (err != 0)
        return err;
    mpi_handle_free(MPI_KIND_TYPE, *handle);
    type->handle = NULL;
    mpi_type_put(type);
    *handle = MPI_DATATYPE_NULL;
    return 0;
}

int
PMPI_Type_free(MPI_Datatype *datatype)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_free", type_free(datatype));
}
MPI_NAMES(Type_free);

/* ----------------------------------------------------------------- sizes and bounds */

static int
to_int(int64_t value)
{
    return value <= INT_MAX && value >= INT_MIN ? (int)value : MPI_UNDEFINED;
}

static MPI_Aint
to_aint(int64_t value)
{
    return value <= INTPTR_MAX && value >= INTPTR_MIN ? (MPI_Aint)value : MPI_UNDEFINED;
}

/* A type, of whom something is asked for that goes to all of these. */
static int
ask(MPI_Datatype handle, const void *out, const void *other_out, struct mpi_type **type)
{
    return out != NULL && other_out != NULL ? mpi_type_find(handle, type) : MPI_ERR_ARG;
}

int
PMPI_Type_size(MPI_Datatype datatype, int *size)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, size, size, &type);
    if (err == 0)
        *size = to_int(type->size);
    return mpi_leave(NULL, "MPI_Type_size", err);
}
MPI_NAMES(Type_size);

int
PMPI_Type_size_x(MPI_Datatype datatype, MPI_Count *size)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, size, size, &type);
    if (err == 0)
        *size = type->size;
    return mpi_leave(NULL, "MPI_Type_size_x", err);
}
MPI_NAMES(Type_size_x);

int
PMPI_Type_get_extent(MPI_Datatype datatype, MPI_Aint *lb, MPI_Aint *extent)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, lb, extent, &type);
    if (err == 0) {
        *lb = to_aint(type->lb);
        *extent = to_aint(type->extent);
    }
    return mpi_leave(NULL, "MPI_Type_get_extent", err);
}
MPI_NAMES(Type_get_extent);

int
PMPI_Type_get_extent_x(MPI_Datatype datatype, MPI_Count *lb, MPI_Count *extent)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, lb, extent, &type);
    if (err == 0) {
        *lb = type->lb;
        *extent = type->extent;
    }
    return mpi_leave(NULL, "MPI_Type_get_extent_x", err);
}
MPI_NAMES(Type_get_extent_x);

int
PMPI_Type_get_true_extent(MPI_Datatype datatype, MPI_Aint *true_lb, MPI_Aint *true_extent)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, true_lb, true_extent, &type);
    if (err == 0) {
        *true_lb = to_aint(type->true_lb);
        *true_extent = to_aint(type->true_extent);
    }
    return mpi_leave(NULL, "MPI_Type_get_true_extent", err);
}
MPI_NAMES(Type_get_true_extent);

int
PMPI_Type_get_true_extent_x(MPI_Datatype datatype, MPI_Count *true_lb, MPI_Count *true_extent)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, true_lb, true_extent, &type);
    if (err == 0) {
        *true_lb = type->true_lb;
        *true_extent = type->true_extent;
    }
    return mpi_leave(NULL, "MPI_Type_get_true_extent_x", err);
}
MPI_NAMES(Type_get_true_extent_x);

int
PMPI_Type_extent(MPI_Datatype datatype, MPI_Aint *extent)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, extent, extent, &type);
    if (err == 0)
        *extent = to_aint(type->extent);
    return mpi_leave(NULL, "MPI_Type_extent", err);
}
MPI_NAMES(Type_extent);

int
PMPI_Type_lb(MPI_Datatype datatype, MPI_Aint *displacement)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, displacement, displacement, &type);
    if (err == 0)
        *displacement = to_aint(type->lb);
    return mpi_leave(NULL, "MPI_Type_lb", err);
}
MPI_NAMES(Type_lb);

int
PMPI_Type_ub(MPI_Datatype datatype, MPI_Aint *displacement)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, displacement, displacement, &type);
    if (err == 0)
        *displacement = to_aint(type->lb + type->extent);
    return mpi_leave(NULL, "MPI_Type_ub", err);
}
MPI_NAMES(Type_ub);

/* ---------------------------------------------------------------------- contents */

int
PMPI_Type_get_envelope(MPI_Datatype datatype, int *integers, int *addresses, int *types,
                       int *combiner)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, integers, addresses, &type);
    if (err == 0 && (types == NULL || combiner == NULL))
        err = MPI_ERR_ARG;
    if (err == 0) {
        *integers = type->map->integers_count;
        *addresses = type->map->addresses_count;
        *types = type->map->types_count;
        *combiner = type->map->combiner;
    }
    return mpi_leave(NULL, "MPI_Type_get_envelope", err);
}
MPI_NAMES(Type_get_envelope);

/* The program frees what it is given, so derived types are given as types of their own. */
static int
give_types(const struct mpi_type_map *map, MPI_Datatype *handles)
{
    int err = 0;

    for (int i = 0; i < map->types_count && err == 0; i++) {
        struct mpi_type *clone;

        if (map->types[i]->is_predefined) {
            handles[i] = map->types[i]->handle;
            continue;
        }
        clone = mpi_type_clone(map->types[i]);
        err = clone != NULL ? mpi_type_handle(clone, &handles[i]) : MPI_ERR_NO_MEM;
    }
    return err;
}

struct contents_room {
    int integers_max, addresses_max, types_max;
    int *integers;
    MPI_Aint *addresses;
    MPI_Datatype *types;
};

static bool
has_room(const void *array, int max, int count)
{
    return max >= count && (count == 0 || array != NULL);
}

static int
get_contents(MPI_Datatype handle, const struct contents_room *room)
{
    const struct mpi_type_map *map;
    struct mpi_type *type;
    int err = mpi_type_find(handle, &type);

    if (err != 0)
        return err;
    map = type->map;
    if (map->combiner == MPI_COMBINER_NAMED)
        return MPI_ERR_TYPE;
    if (!has_room(room->integers, room->integers_max, map->integers_count) ||
        !has_room(room->addresses, room->addresses_max, map->addresses_count) ||
        !has_room(room->types, room->types_max, map->types_count))
        return MPI_ERR_ARG;
    for (int i = 0; i < map->integers_count; i++)
        room->integers[i] = map->integers[i];
    for (int i = 0; i < map->addresses_count; i++)
        room->addresses[i] = map->addresses[i];
    return give_types(map, room->types);
}

int
PMPI_Type_get_contents(MPI_Datatype datatype, int max_integers, int max_addresses,
                       int max_datatypes, int integers[], MPI_Aint addresses[],
                       MPI_Datatype datatypes[])
{
    const struct contents_room room = {max_integers, max_addresses, max_datatypes,
                                       integers,     addresses,     datatypes};

    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_get_contents", get_contents(datatype, &room));
}
MPI_NAMES(Type_get_contents);

/* -------------------------------------------------------------------------- name */

int
PMPI_Type_set_name(MPI_Datatype datatype, const char *name)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = ask(datatype, name, name, &type);
    if (err == 0) {
        const size_t length = strnlen(name, MPI_MAX_OBJECT_NAME - 1);

        memmove(type->name, name, length);
        type->name[length] = '\0';
    }
    return mpi_leave(NULL, "MPI_Type_set_name", err);
}
MPI_NAMES(Type_set_name);

static int
get_name(MPI_Datatype handle, char *name, int *length)
{
    const char *from = "MPI_DATATYPE_NULL";
    struct mpi_type *type;
    int err;

    if (name == NULL || length == NULL)
        return MPI_ERR_ARG;
    if (handle != MPI_DATATYPE_NULL) {
        err = mpi_type_find(handle, &type);
        if (err != 0)
            return err;
        from = type->name;
    }
    *length = (int)strlen(from);
    memcpy(name, from, (size_t)*length + 1);
    return 0;
}

int
PMPI_Type_get_name(MPI_Datatype datatype, char *name, int *length)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Type_get_name", get_name(datatype, name, length));
}
MPI_NAMES(Type_get_name);
