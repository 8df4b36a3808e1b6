/* SPDX-License-Identifier: Apache-2.0
 *
 * String work: search, split, format, and compare words of a text.
 */
#include "../kernels/kernel.h"

#define TEXT_BYTES 400000
#define OUT_BYTES  64
#define WORDS_MAX  120000

static char text[TEXT_BYTES + 1];
static int32_t word_at[WORDS_MAX];
static uint64_t digest;

static const char *const vocabulary[] = {
    "the", "thread",  "loom", "weft",  "warp",   "of", "and",    "shuttle", "fabric", "selvedge",
    "a",   "pattern", "in",   "twill", "weaver", "to", "heddle", "reed",    "is",     "yarn",
};

static void
init(void)
{
    uint32_t state = 37;
    int n = 0;

    while (n < TEXT_BYTES - 16) {
        for (const char *p = vocabulary[bench_random(&state) % COUNT(vocabulary)]; *p != '\0'; p++)
            text[n++] = *p;
        text[n++] = bench_random(&state) % 9 == 0 ? '\n' : ' ';
    }
    text[n] = '\0';
    digest = 0;
}

static int
length_of(const char *s)
{
    int n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

/* Horspool's search: how often the pattern stands in the text. */
static int
count_matches(const char *pattern, int bytes)
{
    uint8_t skip[256];
    int length = length_of(pattern), count = 0, i = 0;

    for (int c = 0; c < 256; c++)
        skip[c] = (uint8_t)length;
    for (int j = 0; j < length - 1; j++)
        skip[(uint8_t)pattern[j]] = (uint8_t)(length - 1 - j);
    while (i + length <= bytes) {
        int j = length - 1;

        while (j >= 0 && text[i + j] == pattern[j])
            j--;
        count += j < 0;
        i += skip[(uint8_t)text[i + length - 1]];
    }
    return count;
}

static int
split(void)
{
    int count = 0, inside = 0;

    for (int i = 0; text[i] != '\0'; i++) {
        int is_letter = text[i] >= 'a' && text[i] <= 'z';

        if (is_letter && !inside && count < WORDS_MAX)
            word_at[count++] = i;
        inside = is_letter;
    }
    return count;
}

static int
put_number(char *out, uint32_t value, int width)
{
    char digits[12];
    int n = 0, length = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (; length < width - n; length++)
        out[length] = '0';
    while (n > 0)
        out[length++] = digits[--n];
    return length;
}

/* "%u: %s (%05u)" without a C library. */
static int
format(char *out, uint32_t number, const char *word)
{
    int n = put_number(out, number, 0);

    out[n++] = ':';
    out[n++] = ' ';
    for (; *word >= 'a' && *word <= 'z'; word++, n++)
        out[n] = (char)(n % 3 == 0 ? *word - 'a' + 'A' : *word);
    out[n++] = ' ';
    out[n++] = '(';
    n += put_number(out + n, number * 7919 % 100000, 5);
    out[n++] = ')';
    out[n] = '\0';
    return n;
}

static int
compare(const char *a, const char *b)
{
    while (*a == *b && *a >= 'a') {
        a++;
        b++;
    }
    return *a - *b;
}

KERNEL
kernel(void)
{
    char out[OUT_BYTES];
    int bytes = length_of(text), words = split();

    for (size_t v = 0; v < COUNT(vocabulary); v++)
        digest = digest * 31 + (uint64_t)count_matches(vocabulary[v], bytes);
    for (int i = 1; i < words; i++) {
        int order = compare(text + word_at[i - 1], text + word_at[i]);
        int length = format(out, (uint32_t)i, text + word_at[i]);

        digest = digest * 31 + (uint64_t)(order + 256) + (uint8_t)out[length / 2];
    }
}

static int64_t
checksum(void)
{
    return (int64_t)digest;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 8);
}
