/* SPDX-License-Identifier: Apache-2.0
 *
 * A token goes round all members several times; each adds itself. Over net.h alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net.h"

static uint64_t
await_token(uint32_t wanted_from)
{
    uint32_t from, bytes;
    uint64_t token;

    while (!mpi_net_receive(&from, &token, sizeof(token), &bytes))
        mpi_net_wait("a token from the one before");
    mpi_net_take(NULL, 0);
    if (from != wanted_from || bytes != 0)
        mpi_net_abort(1, "a token of somebody else");
    return token;
}

static void
pass_token(uint32_t to, uint64_t token)
{
    while (!mpi_net_send(to, &token, sizeof(token), NULL, 0))
        mpi_net_wait("room for a token");
}

int
main(int argc, char **argv)
{
    uint32_t me, count, rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 3;
    uint64_t token = 0;

    (void)mpi_net_enter(&me, &count);
    for (uint32_t i = 0; i < rounds; i++) {
        if (me == 0)
            pass_token((me + 1) % count, token);
        token = await_token((me + count - 1) % count);
        token += me + 1;
        if (me != 0)
            pass_token((me + 1) % count, token);
    }
    if (me == 0)
        printf("%u members: %llu\n", count, (unsigned long long)token);
    mpi_net_leave();
    return 0;
}
