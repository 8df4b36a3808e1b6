/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways in which a world ends, and what is no way to use net.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

static uint32_t me, count;
static volatile uint32_t zero;

static void
hear_one(const char *what)
{
    uint32_t from, bytes;
    char head;

    while (!mpi_net_receive(&from, &head, 0, &bytes))
        mpi_net_wait(what);
    mpi_net_take(NULL, 0);
}

static void __attribute__((noinline))
divide(void)
{
    zero = 100 / zero;
}

static void
end_in_one(const char *how)
{
    if (strcmp(how, "trap") == 0)
        divide();
    else if (strcmp(how, "exit") == 0)
        exit(7);
    else if (strcmp(how, "abort") == 0)
        mpi_net_abort(9, "this is\nno good");
    else if (strcmp(how, "far") == 0)
        mpi_net_get(0, UINT64_C(1) << 32, &me, 4);
    else if (strcmp(how, "far-put") == 0)
        mpi_net_put(0, 0xfffffff0u, &me, 4);
    else if (strcmp(how, "nobody") == 0)
        mpi_net_get(count, 0, &me, 4);
    else if (strcmp(how, "send-nobody") == 0)
        (void)mpi_net_send(count, NULL, 0, NULL, 0);
    else if (strcmp(how, "large") == 0)
        (void)mpi_net_send(0, &me, 4, &me, MPI_NET_BYTES_MAX - 3);
    else if (strcmp(how, "take") == 0)
        mpi_net_take(NULL, 0);
    else if (strcmp(how, "again") == 0)
        (void)mpi_net_enter(&me, &count);
}

/* Who sleeps comes back. */
static int
end_after_sleep(void)
{
    if (me == 0) {
        (void)usleep(100000);
        for (uint32_t to = 1; to < count; to++)
            (void)mpi_net_send(to, NULL, 0, NULL, 0);
    } else {
        hear_one("one that sleeps");
    }
    mpi_net_leave();
    return 0;
}

static int
end_by_stdin(void)
{
    int c;

    (void)setvbuf(stdin, NULL, _IONBF, 0);
    c = getchar();
    mpi_net_leave();
    if (me == 0 || c != EOF)
        printf("%u read %d\n", me, c);
    return 0;
}

static int
end_after_leaving(const char *how)
{
    mpi_net_leave();
    if (strcmp(how, "left") == 0)
        (void)mpi_net_send(0, NULL, 0, NULL, 0);
    else if (strcmp(how, "late-trap") == 0 && me == count - 1)
        divide();
    return strcmp(how, "code") == 0 && me == count - 1 ? 5 : 0;
}

/* The last is about to: the others wait, or compute. */
static int
end_by_last(const char *how, bool others_compute)
{
    if (strncmp(how, "far", 3) == 0) { /* that one is there */
        if (me == 0)
            (void)mpi_net_send(count - 1, NULL, 0, NULL, 0);
        else
            hear_one("that it is there");
    }
    if (me == count - 1) {
        if (strcmp(how, "return") == 0)
            return 0;
        end_in_one(how);
    }
    while (others_compute) /* it is ended where it computes */
        zero = zero + 1;
    hear_one("MPI_Recv from 1");
    return 0;
}

int
main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    if (strcmp(how, "none") == 0)
        return 0;
    (void)mpi_net_enter(&me, &count);
    if (strcmp(how, "deadlock") == 0)
        hear_one(me == 0 ? "MPI_Recv from 1" : "MPI_Barrier");
    if (strcmp(how, "sleep") == 0)
        return end_after_sleep();
    if (strcmp(how, "stdin") == 0)
        return end_by_stdin();
    if (strcmp(how, "code") == 0 || strcmp(how, "late-trap") == 0 || strcmp(how, "left") == 0 ||
        (strcmp(how, "one-leaves") == 0 && me == 0))
        return end_after_leaving(how);
    return end_by_last(how, argc > 2);
}
