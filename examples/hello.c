/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest function there is: what it prints is the answer.
 *
 *     weft deploy examples/hello.c
 *     weft invoke hello --input weft
 */
#include <stdio.h>
#include <string.h>

int
main(void)
{
    char name[256] = "";

    (void)fgets(name, sizeof(name), stdin);
    name[strcspn(name, "\n")] = '\0';
    (void)printf("hello %s\n", name[0] != '\0' ? name : "world");
    return 0;
}
