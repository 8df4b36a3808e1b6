/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-cell: the process of one tenant. A worker starts it in a jail, with nothing but a
 * socket as descriptor 3. It is linked without shared libraries, for its root is empty.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "cell/cell.h"
#include "jail/jail.h"

#define WORKER_SOCKET 3

/* As many descriptors as the jail allows. */
static void
raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(void)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_files();
    err = cell_serve(WORKER_SOCKET, jail_seal, &diag);
    if (err != 0)
        (void)fprintf(stderr, "weft-cell: %s\n", diag_text(&diag));
    return err == 0 ? 0 : 1;
}
