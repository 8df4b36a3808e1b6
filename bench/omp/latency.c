/* SPDX-License-Identifier: Apache-2.0
 *
 * Says how long a core waits for a cache line of another: once for people, once as a row.
 *
 *      latency ROWS
 */
#include <stdio.h>

#include "../latency.h"

int
main(int argc, char **argv)
{
    struct latency latency = latency_measure();
    FILE *rows = argc > 1 ? fopen(argv[1], "w") : NULL;

    latency_print(&latency);
    if (rows == NULL)
        return 1;
    latency_write(&latency, rows);
    return fclose(rows) == 0 ? 0 : 1;
}
