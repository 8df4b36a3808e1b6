/* SPDX-License-Identifier: Apache-2.0
 *
 * Many ranks: a ring, and collectives of all and of groups of them. Any number.
 */
#include "check.h"

#define BLOCK 64

/* Each adds its number to what came from the one before, twice round. */
static void
ring(void)
{
    int next = (rank + 1) % size, before = (rank - 1 + size) % size, sum = 0, came;

    for (int round = 0; round < 2; round++) {
        if (rank == 0)
            OK(MPI_Send(&sum, 1, MPI_INT, next, round, MPI_COMM_WORLD));
        OK(MPI_Recv(&came, 1, MPI_INT, before, round, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        sum = came + rank;
        if (rank != 0)
            OK(MPI_Send(&sum, 1, MPI_INT, next, round, MPI_COMM_WORLD));
    }
    if (rank == 0)
        CHECK(sum == size * (size - 1));
}

static void
reduce(MPI_Comm comm)
{
    long one[3] = {1, rank, -rank}, all[3], last, first;
    int members;

    OK(MPI_Comm_size(comm, &members));
    OK(MPI_Allreduce(one, all, 3, MPI_LONG, MPI_SUM, comm));
    OK(MPI_Allreduce(&one[1], &last, 1, MPI_LONG, MPI_MAX, comm));
    OK(MPI_Allreduce(&one[1], &first, 1, MPI_LONG, MPI_MIN, comm));
    CHECK(all[0] == members && all[1] == -all[2]);
    CHECK(first <= rank && rank <= last && last - first >= members - 1);
    OK(MPI_Barrier(comm));
}

static unsigned char
byte_of(int from, int to, int at)
{
    return (unsigned char)(from * 7 + to * 13 + at);
}

static void
exchange(void)
{
    unsigned char *out = malloc((size_t)size * BLOCK), *in = malloc((size_t)size * BLOCK);

    CHECK(out != NULL && in != NULL);
    for (int i = 0; i < size * BLOCK; i++)
        out[i] = byte_of(rank, i / BLOCK, i % BLOCK);
    OK(MPI_Alltoall(out, BLOCK, MPI_BYTE, in, BLOCK, MPI_BYTE, MPI_COMM_WORLD));
    for (int i = 0; i < size * BLOCK; i++)
        CHECK(in[i] == byte_of(i / BLOCK, rank, i % BLOCK));
    OK(MPI_Allgather(&rank, 1, MPI_INT, in, 1, MPI_INT, MPI_COMM_WORLD));
    for (int i = 0; i < size; i++)
        CHECK(((int *)(void *)in)[i] == i);
    free(in);
    free(out);
}

/* Groups of different sizes, side by side. */
static void
groups(void)
{
    MPI_Comm comm;
    int root = 0;

    OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 3 == 0 ? 0 : rank % 3 + rank / 50, rank, &comm));
    for (int i = 0; i < 3; i++)
        reduce(comm);
    root = rank;
    OK(MPI_Bcast(&root, 1, MPI_INT, 0, comm));
    CHECK(root <= rank);
    OK(MPI_Comm_free(&comm));
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    ring();
    reduce(MPI_COMM_WORLD);
    exchange();
    groups();
    return end();
}
