/* SPDX-License-Identifier: Apache-2.0
 *
 * pack: MPI_Pack and its like (MPI 3.1, 4.2 and 4.3). What is packed has no head: bytes as they
 * are, or as external32 has them.
 */
#include <limits.h>
#include <string.h>

#include "type_internal.h"

/* What both forms and both directions have in common: a place in a packed buffer. */
struct packing {
    const void *packed;
    int64_t room, at;
};

/* count elements of so many bytes must fit; a buffer is needed where there is anything. */
static int
packing_check(const struct packing *packing, const struct mpi_type *type, const void *buffer,
              int64_t count, int64_t size)
{
    const __int128 bytes = (__int128)size * count;

    if (packing->room < 0 || packing->at < 0)
        return MPI_ERR_ARG;
    if (bytes == 0)
        return packing->at <= packing->room ? 0 : MPI_ERR_TRUNCATE;
    if (packing->packed == NULL || (buffer == NULL && type->true_lb == 0))
        return MPI_ERR_BUFFER;
    return packing->at + bytes <= packing->room ? 0 : MPI_ERR_TRUNCATE;
}

/* ------------------------------------------------------------------ of this machine */

static int
pack_find(MPI_Comm comm_handle, MPI_Datatype handle, int count, struct mpi_comm **comm,
          struct mpi_type **type)
{
    int err = mpi_comm_find(comm_handle, comm);

    return err != 0 ? err : mpi_type_use(handle, count, type);
}

int
PMPI_Pack(const void *inbuf, int incount, MPI_Datatype datatype, void *outbuf, int outsize,
          int *position, MPI_Comm comm)
{
    struct packing packing = {outbuf, outsize, position != NULL ? *position : -1};
    struct mpi_comm *c = NULL;
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = pack_find(comm, datatype, incount, &c, &type);
    if (err == 0)
        err = packing_check(&packing, type, inbuf, incount, type->size);
    if (err == 0) {
        const int64_t bytes = type->size * incount;

        mpi_type_pack(type, inbuf, incount, 0, mpi_type_at(outbuf, packing.at), (uint64_t)bytes);
        *position += (int)bytes;
    }
    return mpi_leave(c, "MPI_Pack", err);
}
MPI_NAMES(Pack);

int
PMPI_Unpack(const void *inbuf, int insize, int *position, void *outbuf, int outcount,
            MPI_Datatype datatype, MPI_Comm comm)
{
    struct packing packing = {inbuf, insize, position != NULL ? *position : -1};
    struct mpi_comm *c = NULL;
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = pack_find(comm, datatype, outcount, &c, &type);
    if (err == 0)
        err = packing_check(&packing, type, outbuf, outcount, type->size);
    if (err == 0) {
        const int64_t bytes = type->size * outcount;

        mpi_type_unpack(type, outbuf, outcount, 0, mpi_type_at(inbuf, packing.at), (uint64_t)bytes);
        *position += (int)bytes;
    }
    return mpi_leave(c, "MPI_Unpack", err);
}
MPI_NAMES(Unpack);

int
PMPI_Pack_size(int incount, MPI_Datatype datatype, MPI_Comm comm, int *size)
{
    struct mpi_comm *c = NULL;
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = pack_find(comm, datatype, incount, &c, &type);
    if (err == 0 && size == NULL)
        err = MPI_ERR_ARG;
    if (err == 0) {
        const __int128 bytes = (__int128)type->size * incount;

        *size = bytes <= INT_MAX ? (int)bytes : MPI_UNDEFINED;
    }
    return mpi_leave(c, "MPI_Pack_size", err);
}
MPI_NAMES(Pack_size);

/* --------------------------------------------------------------------- external32 */

static int
external_find(const char *representation, MPI_Datatype handle, int count, struct mpi_type **type)
{
    if (representation == NULL || strcmp(representation, "external32") != 0)
        return MPI_ERR_ARG;
    return mpi_type_use(handle, count, type);
}

int
PMPI_Pack_external(const char *datarep, const void *inbuf, int incount, MPI_Datatype datatype,
                   void *outbuf, MPI_Aint outsize, MPI_Aint *position)
{
    struct packing packing = {outbuf, outsize, position != NULL ? *position : -1};
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = external_find(datarep, datatype, incount, &type);
    if (err == 0)
        err = packing_check(&packing, type, inbuf, incount, mpi_type_external_size(type));
    if (err == 0) {
        mpi_type_pack_external(type, inbuf, incount, mpi_type_at(outbuf, packing.at));
        *position += (MPI_Aint)(mpi_type_external_size(type) * incount);
    }
    return mpi_leave(NULL, "MPI_Pack_external", err);
}
MPI_NAMES(Pack_external);

int
PMPI_Unpack_external(const char datarep[], const void *inbuf, MPI_Aint insize, MPI_Aint *position,
                     void *outbuf, int outcount, MPI_Datatype datatype)
{
    struct packing packing = {inbuf, insize, position != NULL ? *position : -1};
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = external_find(datarep, datatype, outcount, &type);
    if (err == 0)
        err = packing_check(&packing, type, outbuf, outcount, mpi_type_external_size(type));
    if (err == 0) {
        mpi_type_unpack_external(type, outbuf, outcount, mpi_type_at(inbuf, packing.at));
        *position += (MPI_Aint)(mpi_type_external_size(type) * outcount);
    }
    return mpi_leave(NULL, "MPI_Unpack_external", err);
}
MPI_NAMES(Unpack_external);

int
PMPI_Pack_external_size(const char *datarep, int incount, MPI_Datatype datatype, MPI_Aint *size)
{
    struct mpi_type *type;
    int err;

    mpi_lock();
    err = external_find(datarep, datatype, incount, &type);
    if (err == 0 && size == NULL)
        err = MPI_ERR_ARG;
    if (err == 0) {
        const __int128 bytes = (__int128)mpi_type_external_size(type) * incount;

        *size = bytes <= INTPTR_MAX ? (MPI_Aint)bytes : MPI_UNDEFINED;
    }
    return mpi_leave(NULL, "MPI_Pack_external_size", err);
}
MPI_NAMES(Pack_external_size);
