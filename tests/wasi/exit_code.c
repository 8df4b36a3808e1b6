/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaves with a status of its own, after what was registered has run.
 */
#include <stdio.h>
#include <stdlib.h>

static void
last_words(void)
{
    printf("at exit\n");
}

int
main(void)
{
    atexit(last_words);
    printf("before exit, not flushed");
    printf("\n");
    exit(42);
}
