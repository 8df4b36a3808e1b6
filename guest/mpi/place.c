/* SPDX-License-Identifier: Apache-2.0
 *
 * place: addresses as numbers (MPI 3.1, 4.1.5).
 */
#include "core.h"

static int
get_address(const void *location, MPI_Aint *address)
{
    if (address == NULL)
        return MPI_ERR_ARG;
    *address = (MPI_Aint)location;
    return 0;
}

int
PMPI_Get_address(const void *location, MPI_Aint *address)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Get_address", get_address(location, address));
}
MPI_NAMES(Get_address);

int
PMPI_Address(void *location, MPI_Aint *address)
{
    mpi_lock();
    return mpi_leave(NULL, "MPI_Address", get_address(location, address));
}
MPI_NAMES(Address);

/* Addresses have no sign, and wrap. */
MPI_Aint
PMPI_Aint_add(MPI_Aint base, MPI_Aint disp)
{
    return (MPI_Aint)((uintptr_t)base + (uintptr_t)disp);
}
MPI_NAMES(Aint_add);

MPI_Aint
PMPI_Aint_diff(MPI_Aint addr1, MPI_Aint addr2)
{
    return (MPI_Aint)((uintptr_t)addr1 - (uintptr_t)addr2);
}
MPI_NAMES(Aint_diff);
