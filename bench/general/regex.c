/* SPDX-License-Identifier: Apache-2.0
 *
 * A backtracking matcher for patterns with classes, stars and alternatives.
 */
#include "../kernels/kernel.h"

#define TEXT_BYTES 60000

static char text[TEXT_BYTES + 1];
static uint64_t digest;

static const char *const patterns[] = {"^warp",   "w[a-m]*p", "th.*d$", "[0-9][0-9]*",
                                       "l.*m.*r", "a*a*a*b",  "[xyz]"};

static void
init(void)
{
    static const char *const words[] = {"warp ", "weaver ", "thread", "\n",
                                        "1024 ", "loom ",   "aaaa ",  "or "};
    uint32_t state = 47;
    int n = 0;

    while (n < TEXT_BYTES - 16)
        for (const char *p = words[bench_random(&state) % COUNT(words)]; *p != '\0'; p++)
            text[n++] = *p;
    text[n++] = '\n';
    text[n] = '\0';
    digest = 0;
}

/* The end of the one-character item at p: a class, or a character. */
static const char *
item_end(const char *p)
{
    if (*p == '[')
        while (*p != ']')
            p++;
    return p + 1;
}

static int
item_matches(const char *p, char c)
{
    if (c == '\n' || c == '\0')
        return 0;
    if (*p == '.')
        return 1;
    if (*p != '[')
        return *p == c;
    for (p++; *p != ']'; p++) {
        if (p[1] == '-' && p[2] != ']') {
            if (c >= p[0] && c <= p[2])
                return 1;
            p += 2;
        } else if (*p == c) {
            return 1;
        }
    }
    return 0;
}

static int
match_here(const char *p, const char *s)
{
    const char *after;

    if (*p == '\0')
        return 1;
    if (p[0] == '$' && p[1] == '\0')
        return *s == '\n';
    after = item_end(p);
    if (*after == '*') {
        const char *far = s;

        while (item_matches(p, *far))
            far++;
        for (; far >= s; far--)
            if (match_here(after + 1, far))
                return 1;
        return 0;
    }
    return item_matches(p, *s) && match_here(after, s + 1);
}

static int
match_line(const char *p, const char *s)
{
    if (*p == '^')
        return match_here(p + 1, s);
    for (; *s != '\n'; s++)
        if (match_here(p, s))
            return 1;
    return 0;
}

KERNEL
kernel(void)
{
    for (size_t i = 0; i < COUNT(patterns); i++) {
        const char *s = text;

        while (*s != '\0') {
            digest = digest * 3 + (uint64_t)match_line(patterns[i], s);
            while (*s++ != '\n')
                continue;
        }
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
    return bench_integer(init, kernel, checksum, 40);
}
