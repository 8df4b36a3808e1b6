/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of the library: worlds of processes of this machine.
 */
#ifndef WEFT_MPI_TESTING_H
#define WEFT_MPI_TESTING_H

#include <stdbool.h>
#include <stdint.h>

/* Runs body in so many processes, the members of one world for net.h; each is to call MPI_Init
 * itself. True: all returned from it, left, and none failed (CHECK), crashed, or took more than a
 * minute. Within a test of cmocka: assert_true(mpi_testing_run(3, body)). */
bool mpi_testing_run(uint32_t members, void (*body)(void));

/* Of this member, in body. Ends the member, and with it the run, saying where. */
#define CHECK(condition) \
    do { \
        if (!(condition)) \
            mpi_testing_fail(__FILE__, __LINE__, #condition); \
    } while (0)
_Noreturn void mpi_testing_fail(const char *file, int line, const char *condition);

/* The code that mpi_net_abort of the last run was called with; -1: nobody called it. A run that was
 * aborted is not true. */
int mpi_testing_abort_code(void);

#endif
