/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing and merging.
 *
 * Processors with AVX2 have loops of their own, chosen by a table at the first call.
 */
#include <immintrin.h>
#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "mem/mem.h"

#define BLOCK 64u /* bytes; as many bits as a word */
#define WORD  8u

/* Guests write meanwhile, and are meant to: whoever compares or merges gets what is there. */
#define RACY   __attribute__((no_sanitize("thread")))
#define INLINE static inline RACY __attribute__((always_inline))
#define AVX2   RACY __attribute__((target("avx2")))

/* A bit a byte of a word: set where it is not zero. */
INLINE uint64_t
nonzero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t high = (((word & low) + low) | word) & ~low;

    /* The high bits of the eight bytes, gathered in the top byte. */
    return (high >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

INLINE uint64_t
word_at(const uint8_t *bytes)
{
    uint64_t word;

    (void)memcpy(&word, bytes, sizeof(word));
    return word;
}

/* ---------------------------------------------------------------------------- compare */

struct telling {
    mem_run_fn visit;
    void *context;
    uint64_t gap;
    uint64_t first, end; /* the run that may still grow; empty: none */
};

static void
tell(struct telling *telling)
{
    if (telling->first < telling->end)
        telling->visit(telling->context, telling->first, telling->end - telling->first);
}

static void
add_run(struct telling *telling, uint64_t first, uint64_t end)
{
    if (telling->first < telling->end &&
        (first == telling->end || first - telling->end < telling->gap)) {
        telling->end = end;
        return;
    }
    tell(telling);
    telling->first = first;
    telling->end = end;
}

/* The runs of a block's differing bytes. */
static void
add_bits(struct telling *telling, uint64_t at, uint64_t bits)
{
    if (bits == 0)
        return;
    if (telling->gap >= BLOCK) { /* all its runs are near enough to each other */
        add_run(telling, at + (uint64_t)__builtin_ctzll(bits),
                at + BLOCK - (uint64_t)__builtin_clzll(bits));
        return;
    }
    while (bits != 0) {
        unsigned first = (unsigned)__builtin_ctzll(bits);
        uint64_t rest = ~(bits >> first);
        unsigned count = rest == 0 ? BLOCK : (unsigned)__builtin_ctzll(rest);

        add_run(telling, at + first, at + first + count);
        bits = first + count >= BLOCK ? 0 : bits >> (first + count) << (first + count);
    }
}

RACY static void
compare_any(const uint8_t *now, const uint8_t *base, uint64_t bytes, struct telling *telling)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        uint64_t bits = 0;

        if (memcmp(now + at, base + at, BLOCK) == 0)
            continue;
        for (unsigned i = 0; i < BLOCK; i += WORD)
            bits |= nonzero_bytes(word_at(now + at + i) ^ word_at(base + at + i)) << i;
        add_bits(telling, at, bits);
    }
}

/* A bit a byte of 32: set where they are the same. */
__attribute__((target("avx2"))) INLINE uint32_t
same_bits(__m256i a, __m256i b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
}

/* The same by words of 4 bytes: all bits of a word, or none. A number must not become half of
 * what was written here and half of what is there. */
__attribute__((target("avx2"))) INLINE uint32_t
same_words(__m256i a, __m256i b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi32(a, b));
}

__attribute__((target("avx2"))) INLINE __m256i
vector_at(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

AVX2 static void
compare_avx2(const uint8_t *now, const uint8_t *base, uint64_t bytes, struct telling *telling)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        uint64_t low = same_bits(vector_at(now + at), vector_at(base + at));
        uint64_t high = same_bits(vector_at(now + at + 32), vector_at(base + at + 32));
        uint64_t bits = ~(low | high << 32);

        if (bits != 0)
            add_bits(telling, at, bits);
    }
}

/* ------------------------------------------------------------------------------ merge */

/* Only bytes that become others are written, each piece at once: what somebody writes beside
 * them at this moment is not overwritten. */
RACY static void
store_bytes(uint8_t *to, const uint8_t *from, uint64_t mask)
{
    while (mask != 0) {
        unsigned at = (unsigned)__builtin_ctzll(mask);

        if (at == 0 && mask == 0xff) {
            __atomic_store_n((uint64_t *)(void *)to, word_at(from), __ATOMIC_RELAXED);
            return;
        }
        if (at % 4 == 0 && (mask >> at & 0xf) == 0xf) {
            uint32_t half;

            (void)memcpy(&half, from + at, sizeof(half));
            __atomic_store_n((uint32_t *)(void *)(to + at), half, __ATOMIC_RELAXED);
            mask &= ~(UINT64_C(0xf) << at);
        } else if (at % 2 == 0 && (mask >> at & 3) == 3) {
            uint16_t pair;

            (void)memcpy(&pair, from + at, sizeof(pair));
            __atomic_store_n((uint16_t *)(void *)(to + at), pair, __ATOMIC_RELAXED);
            mask &= ~(UINT64_C(3) << at);
        } else {
            __atomic_store_n(to + at, from[at], __ATOMIC_RELAXED);
            mask &= mask - 1;
        }
    }
}

/* Of a word: where theirs is another than base, and now is base. */
INLINE void
merge_word(uint8_t *now, const uint8_t *base, const uint8_t *theirs)
{
    uint64_t b = word_at(base), change = word_at(theirs) ^ b;
    uint64_t n;

    if (change == 0)
        return;
    n = __atomic_load_n((const uint64_t *)(const void *)now, __ATOMIC_RELAXED);
    n ^= b;
    store_bytes(now, theirs,
                ((uint32_t)change != 0 && (uint32_t)n == 0 ? UINT64_C(0x0f) : 0) |
                    (change >> 32 != 0 && n >> 32 == 0 ? UINT64_C(0xf0) : 0));
}

RACY static void
merge_any(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        if (memcmp(base + at, theirs + at, BLOCK) == 0)
            continue;
        for (uint64_t i = at; i < at + BLOCK; i += WORD)
            merge_word(now + i, base + i, theirs + i);
        (void)memcpy(base + at, theirs + at, BLOCK);
    }
}

AVX2 static void
merge_avx2(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += BLOCK / 2) {
        __m256i t = vector_at(theirs + at), b = vector_at(base + at);
        uint32_t stores = ~same_words(t, b);

        if (stores == 0)
            continue;
        stores &= same_words(vector_at(now + at), b);
        _mm256_storeu_si256((__m256i *)(void *)(base + at), t);
        if (stores == UINT32_MAX)
            _mm256_storeu_si256((__m256i *)(void *)(now + at), t);
        else
            for (unsigned i = 0; i < BLOCK / 2; i += WORD)
                store_bytes(now + at + i, theirs + at + i, stores >> i & 0xff);
    }
}

/* ------------------------------------------------------------------------- which code */

struct operations {
    void (*compare)(const uint8_t *now, const uint8_t *base, uint64_t bytes,
                    struct telling *telling);
    void (*merge)(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes);
};

static const struct operations any_processor = {compare_any, merge_any};
static const struct operations with_avx2 = {compare_avx2, merge_avx2};
static const struct operations *operations;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
choose_once(void)
{
    __builtin_cpu_init();
    operations = __builtin_cpu_supports("avx2") ? &with_avx2 : &any_processor;
}

static const struct operations *
choose(void)
{
    (void)pthread_once(&once, choose_once);
    return operations;
}

/* --------------------------------------------------------------------------- the door */

RACY void
mem_compare(const uint8_t *now, const uint8_t *base, uint64_t bytes, uint64_t gap, mem_run_fn visit,
            void *context)
{
    struct telling telling = {.visit = visit, .context = context, .gap = gap};
    uint64_t at = bytes / BLOCK * BLOCK;

    choose()->compare(now, base, at, &telling);
    for (; at < bytes; at++)
        if (now[at] != base[at])
            add_run(&telling, at, at + 1);
    tell(&telling);
}

RACY void
mem_merge(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes)
{
    uint64_t at = 0;

    /* Up to a word's start of what others see. */
    for (; at < bytes && (uintptr_t)(now + at) % WORD != 0; at++) {
        store_bytes(now + at, theirs + at, now[at] == base[at] && theirs[at] != base[at]);
        base[at] = theirs[at];
    }
    choose()->merge(now + at, base + at, theirs + at, (bytes - at) / BLOCK * BLOCK);
    at += (bytes - at) / BLOCK * BLOCK;
    for (; bytes - at >= WORD; at += WORD) { /* numbers at the end are not written in pieces */
        merge_word(now + at, base + at, theirs + at);
        (void)memcpy(base + at, theirs + at, WORD);
    }
    for (; at < bytes; at++) {
        store_bytes(now + at, theirs + at, now[at] == base[at] && theirs[at] != base[at]);
        base[at] = theirs[at];
    }
}
