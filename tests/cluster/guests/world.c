/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranks add their numbers; the first tells the sum and what it was given as input, which the others
 * are not. Its snapshot point is before MPI_Init.
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

int
main(int argc, char **argv)
{
    int me, count, sum = 0, failures = 0;
    char input[64] = "", bad;

    weft_snapshot();
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS)
        return 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    bad = (fgets(input, sizeof(input), stdin) != NULL) != (me == 0);
    failures = bad;
    MPI_Allreduce(MPI_IN_PLACE, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Reduce(&me, &sum, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    input[strcspn(input, "\n")] = '\0';
    if (me == 0)
        printf("%d ranks, sum %d, input %s\n", count, sum, input);
    MPI_Finalize();
    return failures > 0;
}
