/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments (after the program's name) and environment.
 */
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    const char *name = getenv("GREETING"), *empty = getenv("EMPTY");

    printf("%d arguments\n", argc - 1);
    for (int i = 1; i < argc; i++)
        printf("%d: [%s]\n", i, argv[i]);
    printf("end: %d\n", argv[argc] == NULL);
    printf("GREETING=[%s]\n", name != NULL ? name : "(none)");
    printf("EMPTY=[%s]\n", empty != NULL ? empty : "(none)");
    printf("UNSET: %d\n", getenv("UNSET_IN_EVERY_TEST") == NULL);
    setenv("UNSET_IN_EVERY_TEST", "set now", 1);
    printf("%s\n", getenv("UNSET_IN_EVERY_TEST"));
    return 0;
}
