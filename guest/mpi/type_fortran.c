/* SPDX-License-Identifier: Apache-2.0
 *
 * type_fortran: types by size, or by precision and range (MPI 3.1, 17.1.9). What they are is a
 * predefined type; those by precision remember what was asked for, and are made once each.
 */
#include <stdlib.h>

#include "type_internal.h"

#define F90_TYPES_MAX 256u /* that a program may ask for */

/* ------------------------------------------------------------------------- by size */

struct sized {
    int type_class, size;
    MPI_Datatype handle;
};

static const struct sized sized[] = {
    {MPI_TYPECLASS_REAL, 2, MPI_REAL2},         {MPI_TYPECLASS_REAL, 4, MPI_REAL4},
    {MPI_TYPECLASS_REAL, 8, MPI_REAL8},         {MPI_TYPECLASS_REAL, 16, MPI_REAL16},
    {MPI_TYPECLASS_INTEGER, 1, MPI_INTEGER1},   {MPI_TYPECLASS_INTEGER, 2, MPI_INTEGER2},
    {MPI_TYPECLASS_INTEGER, 4, MPI_INTEGER4},   {MPI_TYPECLASS_INTEGER, 8, MPI_INTEGER8},
    {MPI_TYPECLASS_INTEGER, 16, MPI_INTEGER16}, {MPI_TYPECLASS_COMPLEX, 4, MPI_COMPLEX4},
    {MPI_TYPECLASS_COMPLEX, 8, MPI_COMPLEX8},   {MPI_TYPECLASS_COMPLEX, 16, MPI_COMPLEX16},
    {MPI_TYPECLASS_COMPLEX, 32, MPI_COMPLEX32},
};

int
PMPI_Type_match_size(int typeclass, int size, MPI_Datatype *datatype)
{
    int err = MPI_ERR_ARG;

    mpi_lock();
    for (size_t i = 0; datatype != NULL && i < sizeof(sized) / sizeof(sized[0]); i++) {
        if (sized[i].type_class == typeclass && sized[i].size == size) {
            *datatype = sized[i].handle;
            err = 0;
        }
    }
    return mpi_leave(NULL, "MPI_Type_match_size", err);
}
MPI_NAMES(Type_match_size);

/* ----------------------------------------------------------- by precision and range */

/* The first that has both is taken. */
struct kind {
    int digits, range;
    MPI_Datatype real, complex;
};
static const struct kind reals[] = {
    {6, 37, MPI_REAL, MPI_COMPLEX},
    {15, 307, MPI_DOUBLE_PRECISION, MPI_DOUBLE_COMPLEX},
    {33, 4931, MPI_REAL16, MPI_COMPLEX32},
};
static const struct kind integers[] = {
    {0, 2, MPI_INTEGER1, NULL},  {0, 4, MPI_INTEGER2, NULL},   {0, 9, MPI_INTEGER4, NULL},
    {0, 18, MPI_INTEGER8, NULL}, {0, 38, MPI_INTEGER16, NULL},
};

static struct mpi_type *made[F90_TYPES_MAX];
static unsigned made_count;

static bool
is_asked(const struct mpi_type *type, int combiner, const int *values, int count)
{
    const struct mpi_type_map *map = type->map;

    return map->combiner == combiner && map->integers[0] == values[0] &&
           (count == 1 || map->integers[1] == values[1]);
}

/* One over base, which the program cannot free. */
static int
make_f90(MPI_Datatype base, int combiner, const int *values, int count, MPI_Datatype *out)
{
    const struct mpi_type_loop once = {.count = 1, .block = 1};
    struct mpi_type_contents contents = {.combiner = combiner, .integers = {{values, count}}};
    struct mpi_type *of, *type;
    int err = mpi_type_find(base, &of);

    for (unsigned i = 0; i < made_count; i++) {
        if (is_asked(made[i], combiner, values, count)) {
            *out = made[i]->handle;
            return 0;
        }
    }
    if (err == 0)
        err = made_count < F90_TYPES_MAX ? mpi_type_make_loop(of, &once, &type) : MPI_ERR_NO_MEM;
    if (err != 0)
        return err;
    err = mpi_type_finish(type);
    if (err != 0) {
        mpi_type_put(type);
        return err;
    }
    err = mpi_type_export(type, &contents, out);
    if (err != 0)
        return err;
    type->is_predefined = true;
    made[made_count] = type;
    made_count++;
    return 0;
}

static const struct kind *
kind_find(const struct kind *kinds, size_t count, int digits, int range)
{
    for (size_t i = 0; i < count; i++) {
        if ((digits == MPI_UNDEFINED || digits <= kinds[i].digits) &&
            (range == MPI_UNDEFINED || range <= kinds[i].range))
            return &kinds[i];
    }
    return NULL;
}

static const struct kind *
real_find(int p, int r, const MPI_Datatype *out)
{
    if (out == NULL || (p == MPI_UNDEFINED && r == MPI_UNDEFINED))
        return NULL;
    return kind_find(reals, sizeof(reals) / sizeof(reals[0]), p, r);
}

int
PMPI_Type_create_f90_real(int p, int r, MPI_Datatype *newtype)
{
    const int values[] = {p, r};
    const struct kind *kind;
    int err = MPI_ERR_ARG;

    mpi_lock();
    kind = real_find(p, r, newtype);
    if (kind != NULL)
        err = make_f90(kind->real, MPI_COMBINER_F90_REAL, values, 2, newtype);
    return mpi_leave(NULL, "MPI_Type_create_f90_real", err);
}
MPI_NAMES(Type_create_f90_real);

int
PMPI_Type_create_f90_complex(int p, int r, MPI_Datatype *newtype)
{
    const int values[] = {p, r};
    const struct kind *kind;
    int err = MPI_ERR_ARG;

    mpi_lock();
    kind = real_find(p, r, newtype);
    if (kind != NULL)
        err = make_f90(kind->complex, MPI_COMBINER_F90_COMPLEX, values, 2, newtype);
    return mpi_leave(NULL, "MPI_Type_create_f90_complex", err);
}
MPI_NAMES(Type_create_f90_complex);

int
PMPI_Type_create_f90_integer(int r, MPI_Datatype *newtype)
{
    const struct kind *kind = NULL;
    int err = MPI_ERR_ARG;

    mpi_lock();
    if (newtype != NULL)
        kind = kind_find(integers, sizeof(integers) / sizeof(integers[0]), MPI_UNDEFINED, r);
    if (kind != NULL)
        err = make_f90(kind->real, MPI_COMBINER_F90_INTEGER, &r, 1, newtype);
    return mpi_leave(NULL, "MPI_Type_create_f90_integer", err);
}
MPI_NAMES(Type_create_f90_integer);
