/* SPDX-License-Identifier: Apache-2.0
 *
 * What one operation of MPI costs, in nanoseconds: the least of PARTS parts of a run, each long
 * enough for the clock. Who else uses the cores makes some parts longer, and those of ranks that
 * look for messages all the time most of all: the least is what is compared.
 *
 *      micro OPERATION BYTES
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS        200
#define PART_SECONDS 0.002
#define WINDOW       16 /* messages on their way at one time, of bandwidth */

static int rank, size, bytes;
static char *in, *out;

/* There and back. */
static void
latency(void)
{
    if (rank == 0) {
        MPI_Send(out, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(in, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (rank == 1) {
        MPI_Recv(in, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(out, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    }
}

/* Many one way, and a word back. */
static void
bandwidth(void)
{
    MPI_Request requests[WINDOW];

    if (rank > 1)
        return;
    for (int i = 0; i < WINDOW; i++)
        if (rank == 0)
            MPI_Isend(out, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD, &requests[i]);
        else
            MPI_Irecv(in, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD, &requests[i]);
    MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
    if (rank == 0)
        MPI_Recv(in, 0, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(out, 0, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
}

static void
barrier(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

static void
bcast(void)
{
    MPI_Bcast(out, bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static void
allreduce(void)
{
    MPI_Allreduce(out, in, bytes / (int)sizeof(double), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void
alltoall(void)
{
    MPI_Alltoall(out, bytes, MPI_BYTE, in, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

static const struct {
    const char *name;
    void (*run)(void);
    int count; /* of what one call does */
} operations[] = {
    {"latency", latency, 2}, {"bandwidth", bandwidth, WINDOW}, {"barrier", barrier, 1},
    {"bcast", bcast, 1},     {"allreduce", allreduce, 1},      {"alltoall", alltoall, 1},
};

static double
measure(void (*run)(void), long times)
{
    double begin;

    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime();
    for (long i = 0; i < times; i++)
        run();
    MPI_Barrier(MPI_COMM_WORLD); /* a root is done before those it sent to are */
    return MPI_Wtime() - begin;
}

/* The same for all ranks: rank 0's. */
static long
calibrate(void (*run)(void))
{
    long times = 1;
    int is_enough = 0;

    while (!is_enough) {
        times *= 2;
        is_enough = measure(run, times) > PART_SECONDS;
        MPI_Bcast(&is_enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
    return times;
}

int
main(int argc, char **argv)
{
    double part, least = 0;
    size_t room;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    bytes = argc > 2 ? atoi(argv[2]) : 0;
    room = (size_t)bytes * (size_t)size + 64;
    in = malloc(room);
    out = malloc(room);
    memset(in, 1, room);
    memset(out, 0, room);
    for (size_t o = 0; argc > 1 && o < sizeof(operations) / sizeof(*operations); o++) {
        long times;

        if (strcmp(operations[o].name, argv[1]) != 0)
            continue;
        times = calibrate(operations[o].run);
        for (int i = 0; i < PARTS; i++) {
            part = measure(operations[o].run, times) / (double)times;
            least = i == 0 || part < least ? part : least;
        }
        if (rank == 0)
            printf("%.1f\n", least / operations[o].count * 1e9);
    }
    MPI_Finalize();
    return 0;
}
