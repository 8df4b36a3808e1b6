/* SPDX-License-Identifier: Apache-2.0
 *
 * turn: a word in a member's memory that one of all members holds alone, or several together. It is
 * changed there (mpi_net_change), so its member need not be in a function of MPI. Who has to wait
 * leaves its name in the word, and is told by a message when it is to look again.
 */
#ifndef WEFT_MPI_TURN_H
#define WEFT_MPI_TURN_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t mpi_turn; /* at first 0: nobody has it */

/* Waits until it is the caller's: alone, or with others who want it together. Others with whom it
 * could be shared are not held up by somebody who waits to have it alone. what: as mpi_net_wait. */
void mpi_turn_take(uint32_t member, uint64_t word, bool is_alone, const char *what);
/* As it was taken. */
void mpi_turn_give(uint32_t member, uint64_t word, bool is_alone);

/* Of MPI_Init. */
void mpi_turns_init(void);

#endif
