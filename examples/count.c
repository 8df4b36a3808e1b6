/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts bytes, lines and words of its input, as JSON, with weft.h: the input at any
 * offset, and a result that is apart from what is printed.
 *
 *     weft deploy examples/count.c
 *     weft invoke count --input-file README.md
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

struct counts {
    unsigned bytes, lines, words;
    bool is_in_word;
};

static void
count(struct counts *counts, const char *text, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        bool is_space = isspace((unsigned char)text[i]) != 0;

        counts->words += !is_space && !counts->is_in_word;
        counts->lines += text[i] == '\n';
        counts->is_in_word = !is_space;
    }
    counts->bytes += bytes;
}

int
main(void)
{
    char buffer[4096], result[128];
    struct counts counts = {0};
    uint32_t done = 0;

    do {
        if (weft_input_read(counts.bytes, buffer, sizeof(buffer), &done) != 0)
            return 1;
        count(&counts, buffer, done);
    } while (done > 0);
    (void)snprintf(result, sizeof(result), "{\"bytes\":%u,\"lines\":%u,\"words\":%u}\n",
                   counts.bytes, counts.lines, counts.words);
    (void)fprintf(stderr, "counted %u bytes\n", counts.bytes);
    return weft_output(result, (uint32_t)strlen(result)) != 0;
}
