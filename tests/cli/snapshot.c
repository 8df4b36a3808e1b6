/* SPDX-License-Identifier: Apache-2.0
 *
 * Initialises, stands at its snapshot point, reads a line.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static char table[1 << 20];

int
main(int argc, char **argv)
{
    char line[100];
    int starts;

    (void)argv;
    memset(table, 'x', sizeof(table));
    printf("initialised\n");
    fflush(stdout);
    starts = weft_snapshot();
    printf("start %d, table %c, %d arguments, read %s", starts, table[99999], argc - 1,
           fgets(line, sizeof(line), stdin) != NULL ? line : "nothing\n");
    return 3;
}
