/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: the first line of its input, "VERB REST", says what to do; the
 * environment's VERB does where a version has one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#define LINE_BYTES 4096u

static volatile int sink;

static void
answer(const char *text)
{
    if (weft_output(text, (uint32_t)strlen(text)) != 0)
        exit(90);
}

static __attribute__((noinline)) void
poke(volatile int *address)
{
    *address = 1;
}

static int
allocate(void)
{
    for (int i = 0; i < 200; i++) {
        char *volatile memory = malloc(1 << 20);

        if (memory == NULL) {
            (void)fprintf(stderr, "no memory after %d MiB\n", i);
            return 3;
        }
        (void)memset(memory, 1, 1 << 20);
    }
    answer("all of it");
    return 0;
}

/* All of the input, as it is. */
static void
echo_input(void)
{
    static char bytes[65536];
    uint32_t offset = 0, done = 0;

    while (weft_input_read(offset, bytes, sizeof(bytes), &done) == 0 && done > 0) {
        if (weft_output(bytes, done) != 0)
            exit(90);
        offset += done;
    }
}

/* Of a variable, such that it can be compared and is not told: FNV-1a. */
static void
sum_of(const char *value)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    char text[32];

    for (; value != NULL && *value != '\0'; value++)
        sum = (sum ^ (uint8_t)*value) * UINT64_C(0x100000001b3);
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    answer(text);
}

static void
count_input(void)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%u", weft_input_size());
    answer(text);
}

static void
tell_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        answer(i > 1 ? " " : "");
        answer(argv[i]);
    }
}

static void
read_file(const char *path)
{
    char text[256];
    FILE *file = fopen(path, "r");

    if (file == NULL || fgets(text, sizeof(text), file) == NULL)
        exit(91);
    answer(text);
    (void)fclose(file);
}

static int
act(const char *verb, const char *rest)
{
    if (strcmp(verb, "echo") == 0)
        answer(rest);
    else if (strcmp(verb, "exit") == 0) {
        (void)fprintf(stderr, "it leaves with %s\n", rest);
        return atoi(rest);
    } else if (strcmp(verb, "trap") == 0)
        poke((volatile int *)0xfffffff0);
    else if (strcmp(verb, "loop") == 0)
        for (;;)
            sink++;
    else if (strcmp(verb, "sleep") == 0) {
        (void)usleep((useconds_t)atoi(rest) * 1000);
        answer("slept");
    } else if (strcmp(verb, "allocate") == 0)
        return allocate();
    else if (strcmp(verb, "env") == 0)
        answer(getenv(rest) != NULL ? getenv(rest) : "(none)");
    else if (strcmp(verb, "sum") == 0)
        sum_of(getenv(rest));
    else if (strcmp(verb, "log") == 0)
        (void)fprintf(stderr, "%s\n", rest);
    else if (strcmp(verb, "file") == 0)
        read_file(rest);
    else
        return 92;
    return 0;
}

int
main(int argc, char **argv)
{
    static char line[LINE_BYTES + 1];
    const char *verb = getenv("VERB");
    char *rest;
    uint32_t done = 0;

    if (weft_input_read(0, line, LINE_BYTES, &done) != 0)
        return 93;
    line[done] = '\0';
    line[strcspn(line, "\n")] = '\0';
    rest = strchr(line, ' ');
    if (rest != NULL)
        *rest++ = '\0';
    verb = verb != NULL ? verb : line;
    if (strcmp(verb, "input") == 0)
        echo_input();
    else if (strcmp(verb, "size") == 0)
        count_input();
    else if (strcmp(verb, "arguments") == 0)
        tell_arguments(argc, argv);
    else
        return act(verb, rest != NULL ? rest : "");
    return 0;
}
