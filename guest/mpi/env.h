/* SPDX-License-Identifier: Apache-2.0
 *
 * env: what MPI_Init and MPI_Finalize ask of communicators.
 */
#ifndef WEFT_MPI_ENV_H
#define WEFT_MPI_ENV_H

/* MPI_COMM_WORLD and MPI_COMM_SELF, groups and predefined attributes. MPI_ERR_NO_MEM. */
int mpi_comms_init(void);
void mpi_comms_fini(void);

#endif
