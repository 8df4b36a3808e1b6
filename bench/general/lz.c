/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte-oriented LZ77 compressor with a hash chain, and its decompressor.
 */
#include "../kernels/kernel.h"

#define BYTES     300000
#define HASH_BITS 14
#define WINDOW    32768
#define MATCH_MIN 4
#define MATCH_MAX (MATCH_MIN + 254)
#define CHAIN_MAX 8

static uint8_t original[BYTES], packed[BYTES + BYTES / 8 + 64], unpacked[BYTES];
static int32_t head[1 << HASH_BITS], previous[BYTES];
static size_t packed_bytes;

static void
init(void)
{
    static const char *const words[] = {"thread ",         "loom ", "the ", "weave, ",
                                        "warp and weft. ", "\n",    "42 ",  "of "};
    uint32_t state = 41;
    size_t n = 0;

    while (n < BYTES) {
        const char *word = words[bench_random(&state) % COUNT(words)];

        while (*word != '\0' && n < BYTES)
            original[n++] = (uint8_t)*word++;
        if (bench_random(&state) % 5 == 0 && n < BYTES)
            original[n++] = (uint8_t)bench_random(&state);
    }
}

static uint32_t
hash_at(size_t i)
{
    uint32_t four = (uint32_t)original[i] | (uint32_t)original[i + 1] << 8 |
                    (uint32_t)original[i + 2] << 16 | (uint32_t)original[i + 3] << 24;

    return four * 2654435761u >> (32 - HASH_BITS);
}

static int
match_length(size_t a, size_t b)
{
    int n = 0;

    while (n < MATCH_MAX && b + (size_t)n < BYTES &&
           original[a + (size_t)n] == original[b + (size_t)n])
        n++;
    return n;
}

static int
longest_match(size_t i, size_t *from)
{
    int best = 0, tries = CHAIN_MAX;

    for (int32_t p = head[hash_at(i)]; p >= 0 && i - (size_t)p < WINDOW && tries > 0; tries--) {
        int length = match_length((size_t)p, i);

        if (length > best) {
            best = length;
            *from = (size_t)p;
        }
        p = previous[p];
    }
    return best;
}

static void
remember(size_t i)
{
    uint32_t h = hash_at(i);

    previous[i] = head[h];
    head[h] = (int32_t)i;
}

/* One flag byte says for each of eight items: literal, or {length, distance}. */
static size_t
compress(void)
{
    size_t out = 0, flags = 0, i = 0;
    int item = 8;

    for (int h = 0; h < 1 << HASH_BITS; h++)
        head[h] = -1;
    while (i < BYTES) {
        size_t from = 0;
        int length = i + MATCH_MIN < BYTES ? longest_match(i, &from) : 0;

        if (item == 8) {
            flags = out++;
            packed[flags] = 0;
            item = 0;
        }
        if (length >= MATCH_MIN) {
            packed[flags] |= (uint8_t)(1 << item);
            packed[out++] = (uint8_t)(length - MATCH_MIN);
            packed[out++] = (uint8_t)(i - from);
            packed[out++] = (uint8_t)((i - from) >> 8);
        } else {
            length = 1;
            packed[out++] = original[i];
        }
        item++;
        for (; length > 0; length--, i++)
            if (i + MATCH_MIN < BYTES)
                remember(i);
    }
    return out;
}

static size_t
decompress(size_t bytes)
{
    size_t out = 0, i = 0;

    while (i < bytes) {
        uint8_t flags = packed[i++];

        for (int item = 0; item < 8 && i < bytes; item++) {
            if (flags >> item & 1) {
                int length = packed[i] + MATCH_MIN;
                size_t distance = packed[i + 1] | (size_t)packed[i + 2] << 8;

                i += 3;
                for (; length > 0; length--, out++)
                    unpacked[out] = unpacked[out - distance];
            } else {
                unpacked[out++] = packed[i++];
            }
        }
    }
    return out;
}

KERNEL
kernel(void)
{
    packed_bytes = compress();
    if (decompress(packed_bytes) != BYTES)
        packed_bytes = 0;
}

static int64_t
checksum(void)
{
    uint64_t sum = packed_bytes;

    for (int i = 0; i < BYTES; i++) {
        if (original[i] != unpacked[i])
            return -1;
        sum = sum * 31 + packed[(size_t)i % (packed_bytes + 1)];
    }
    return (int64_t)sum;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 40);
}
