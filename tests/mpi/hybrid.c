/* SPDX-License-Identifier: Apache-2.0
 *
 * MPI and OpenMP together: a team of threads in each rank, of which only the first calls MPI
 * (MPI_THREAD_FUNNELED), and then all (MPI_THREAD_MULTIPLE allows both). Any number of ranks.
 */
#include <omp.h>

#include "check.h"

#define TEAM   4
#define COUNT  1000
#define ROUNDS 20

static int
next_of(int step)
{
    return (rank + step + size) % size;
}

/* Threads compute, the first one says what came of it. */
static void
funneled(void)
{
    double sum = 0, all = 0;
    int count = 0;

    for (int round = 0; round < ROUNDS; round++) {
        sum = 0;
#pragma omp parallel num_threads(TEAM)
        {
#pragma omp for reduction(+ : sum)
            for (int i = 0; i < COUNT; i++)
                sum += rank * COUNT + i;
#pragma omp master
            OK(MPI_Allreduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
#pragma omp barrier
#pragma omp atomic
            count += all == (double)size * COUNT * ((double)size * COUNT - 1) / 2;
        }
    }
    CHECK(count == ROUNDS * TEAM);
}

/* Each thread talks with its like of the next rank, all at one time; the longer ones are fetched
 * from where they lie. */
static void
talk(int thread)
{
    static const int counts[] = {1, 100, 3000};
    int out[3000], in[3000], words;

    for (int round = 0; round < ROUNDS; round++) {
        MPI_Status status;

        words = counts[round % 3];
        for (int i = 0; i < words; i++)
            out[i] = rank * 1000000 + thread * 10000 + round + i;
        OK(MPI_Sendrecv(out, words, MPI_INT, next_of(1), thread, in, 3000, MPI_INT, next_of(-1),
                        thread, MPI_COMM_WORLD, &status));
        OK(MPI_Get_count(&status, MPI_INT, &words));
        CHECK(words == counts[round % 3]);
        for (int i = 0; i < words; i++)
            CHECK(in[i] == next_of(-1) * 1000000 + thread * 10000 + round + i);
    }
}

/* A communicator for each thread: collectives of all at one time. */
static void
agree(MPI_Comm comm, int thread)
{
    for (int round = 0; round < ROUNDS; round++) {
        int one = thread + round, all, parts[64];

        OK(MPI_Allreduce(&one, &all, 1, MPI_INT, MPI_SUM, comm));
        CHECK(all == size * one);
        OK(MPI_Barrier(comm));
        if (size > 64)
            continue;
        one += rank;
        OK(MPI_Allgather(&one, 1, MPI_INT, parts, 1, MPI_INT, comm));
        for (int i = 0; i < size; i++)
            CHECK(parts[i] == thread + round + i);
    }
}

static void
multiple(void)
{
    MPI_Comm comms[TEAM];

    for (int i = 0; i < TEAM; i++)
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &comms[i]));
#pragma omp parallel num_threads(TEAM)
    {
        int thread = omp_get_thread_num();

        CHECK(omp_get_num_threads() == TEAM);
        talk(thread);
        agree(comms[thread], thread);
    }
    for (int i = 0; i < TEAM; i++)
        OK(MPI_Comm_free(&comms[i]));
}

int
main(int argc, char **argv)
{
    int level, is_main;

    OK(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level));
    CHECK(level == MPI_THREAD_MULTIPLE);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    OK(MPI_Is_thread_main(&is_main));
    CHECK(is_main);
    funneled();
    multiple();
    return end();
}
