/* SPDX-License-Identifier: Apache-2.0
 *
 * HPCC calls two functions that MPI 3.0 removed. Weft has them; OpenMPI's header has not.
 */
#ifndef WEFT_TESTS_MPI_OPENMPI_H
#define WEFT_TESTS_MPI_OPENMPI_H

#include <mpi.h>
#ifdef OPEN_MPI
#undef MPI_Address
#undef MPI_Type_struct
#define MPI_Address     MPI_Get_address
#define MPI_Type_struct MPI_Type_create_struct
#endif

#endif
