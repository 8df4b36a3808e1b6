/* SPDX-License-Identifier: CC0-1.0 */
/* NAME: what it is given, in capital letters. */
#include <ctype.h>
#include <stdio.h>

int
main(void)
{
    int c;

    while ((c = getchar()) != EOF)
        putchar(toupper(c)); /* what is printed is the answer */
    return ferror(stdin) || fflush(stdout) != 0;
}
