/* SPDX-License-Identifier: Apache-2.0
 *
 * topology: what a communicator has of chapter 7 of MPI 3.1.
 */
#ifndef WEFT_MPI_TOPOLOGY_H
#define WEFT_MPI_TOPOLOGY_H

#include "core.h"

/* NULL of NULL. MPI_ERR_NO_MEM. */
int mpi_topology_copy(const struct mpi_topology *topology, struct mpi_topology **out);
void mpi_topology_destroy(struct mpi_topology *topology); /* NULL is fine */

#endif
