/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cli: one word chooses how it ends badly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int sink;

static __attribute__((noinline)) void
poke(volatile int *address)
{
    *address = 1;
}

static __attribute__((noinline)) int
recurse(int depth)
{
    /* Two calls, so that no compiler makes a loop of it; nothing on the stack
     * of linear memory, which would end first. */
    return depth < 0 ? depth : recurse(depth + 1) * 3 + recurse(depth + 2);
}

static int
allocate(void)
{
    for (int i = 0; i < 100; i++) {
        char *volatile memory = malloc(1 << 20);

        if (memory == NULL) {
            printf("no memory after %d\n", i);
            return 3;
        }
        (void)memset(memory, 1, 1 << 20);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "memory") == 0)
        poke((volatile int *)0xfffffff0);
    if (strcmp(word, "divide") == 0)
        sink = argc / (argc - 2);
    if (strcmp(word, "abort") == 0)
        abort();
    if (strcmp(word, "recurse") == 0)
        sink = recurse(1);
    if (strcmp(word, "sleep") == 0)
        (void)sleep(30);
    if (strcmp(word, "allocate") == 0)
        return allocate();
    while (strcmp(word, "loop") == 0)
        sink++;
    return 0;
}
