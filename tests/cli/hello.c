/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cli: one word of the command line chooses what it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
cat(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        printf("cannot open %s\n", path);
        return 1;
    }
    while (fgets(line, sizeof(line), file) != NULL)
        (void)fputs(line, stdout);
    return fclose(file);
}

static int
put(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        printf("cannot write %s\n", path);
        return 1;
    }
    (void)fputs("written\n", file);
    return fclose(file);
}

int
main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "nobody";
    char line[256];

    if (strcmp(word, "exit") == 0 && argc > 2)
        return atoi(argv[2]);
    if (strcmp(word, "env") == 0)
        return printf("COLOUR=%s\n", getenv("COLOUR")) < 0;
    if (strcmp(word, "cat") == 0 && argc > 2)
        return cat(argv[2]);
    if (strcmp(word, "put") == 0 && argc > 2)
        return put(argv[2]);
    if (strcmp(word, "read") == 0)
        return fgets(line, sizeof(line), stdin) == NULL || printf("read: %s", line) < 0;
    printf("hello, %s\n", word);
    return 0;
}
