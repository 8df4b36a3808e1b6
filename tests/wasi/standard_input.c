/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads lines of standard input as they come, waiting with poll for each.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
    struct pollfd fds = {.fd = STDIN_FILENO, .events = POLLIN};
    char text[4096];
    size_t used = 0;
    long sum = 0;
    int lines = 0, polls = 0;

    for (;;) {
        ssize_t got;

        if (poll(&fds, 1, 10000) != 1) {
            printf("poll failed\n");
            return 1;
        }
        polls++;
        got = read(STDIN_FILENO, text + used, sizeof(text) - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    for (char *line = text; *line != '\0'; lines++) {
        sum += strtol(line, &line, 10);
        line += *line == '\n';
    }
    printf("%d lines, sum %ld\n", lines, sum);
    printf("polled: %d\n", polls >= 1);
    printf("terminal: %d\n", isatty(STDIN_FILENO));
    fprintf(stderr, "to standard error\n");
    return 0;
}
