/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing and merging, by units: bytes, or elements of 4 or 8 bytes.
 *
 * Blocks are compared into a bit a byte, all bits of an element set where one is. Processors with
 * AVX2 have loops of their own, chosen by a table at the first call; each loop is compiled for each
 * unit.
 */
#include <immintrin.h>
#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "mem/mem_internal.h"

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

/* Of bits for bytes: all of an element's where one is set. */
INLINE uint64_t
whole(uint64_t bits, uint32_t unit)
{
    if (unit == 1)
        return bits;
    bits |= bits >> 1;
    bits |= bits >> 2;
    if (unit == 4)
        return (bits & UINT64_C(0x1111111111111111)) * 0xf;
    bits |= bits >> 4;
    return (bits & UINT64_C(0x0101010101010101)) * 0xff;
}

/* Whether an element, or what is left at the end, differs. */
INLINE bool
is_other(const uint8_t *a, const uint8_t *b, uint64_t count)
{
    uint8_t other = 0;

    for (uint64_t i = 0; i < count; i++)
        other |= a[i] ^ b[i];
    return other != 0;
}

/* ---------------------------------------------------------------------------- compare */

struct telling {
    mem_run_fn visit;
    void *context;
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
    if (telling->first < telling->end && first == telling->end) {
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
    while (bits != 0) {
        unsigned first = (unsigned)__builtin_ctzll(bits);
        uint64_t rest = ~(bits >> first);
        unsigned count = rest == 0 ? BLOCK : (unsigned)__builtin_ctzll(rest);

        add_run(telling, at + first, at + first + count);
        bits = first + count >= BLOCK ? 0 : bits >> (first + count) << (first + count);
    }
}

INLINE void
compare_plain(const uint8_t *now, const uint8_t *base, uint64_t bytes, struct telling *telling,
              uint32_t unit)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        uint64_t bits = 0;

        if (memcmp(now + at, base + at, BLOCK) == 0)
            continue;
        for (unsigned i = 0; i < BLOCK; i += WORD)
            bits |= nonzero_bytes(word_at(now + at + i) ^ word_at(base + at + i)) << i;
        add_bits(telling, at, whole(bits, unit));
    }
}

/* A bit a byte of 32: set where their elements are the same. */
__attribute__((target("avx2"))) INLINE uint32_t
same_bits(__m256i a, __m256i b, uint32_t unit)
{
    __m256i same = unit == 8   ? _mm256_cmpeq_epi64(a, b)
                   : unit == 4 ? _mm256_cmpeq_epi32(a, b)
                               : _mm256_cmpeq_epi8(a, b);

    return (uint32_t)_mm256_movemask_epi8(same);
}

__attribute__((target("avx2"))) INLINE __m256i
vector_at(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

__attribute__((target("avx2"))) INLINE void
compare_vectors(const uint8_t *now, const uint8_t *base, uint64_t bytes, struct telling *telling,
                uint32_t unit)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        uint64_t low = same_bits(vector_at(now + at), vector_at(base + at), unit);
        uint64_t high = same_bits(vector_at(now + at + 32), vector_at(base + at + 32), unit);
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
merge_word(uint8_t *now, const uint8_t *base, const uint8_t *theirs, uint32_t unit)
{
    uint64_t b = word_at(base), change = word_at(theirs) ^ b, own;

    if (change == 0)
        return;
    own = __atomic_load_n((const uint64_t *)(const void *)now, __ATOMIC_RELAXED) ^ b;
    store_bytes(now, theirs, whole(nonzero_bytes(change), unit) & ~whole(nonzero_bytes(own), unit));
}

/* One that is not in an aligned word: at a beginning or an end. */
RACY static void
merge_one(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t count)
{
    if (is_other(theirs, base, count) && !is_other(now, base, count))
        store_bytes(now, theirs, (UINT64_C(1) << count) - 1);
    (void)memcpy(base, theirs, count);
}

INLINE void
merge_plain(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes, uint32_t unit)
{
    for (uint64_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        if (memcmp(base + at, theirs + at, BLOCK) == 0)
            continue;
        for (uint64_t i = at; i < at + BLOCK; i += WORD)
            merge_word(now + i, base + i, theirs + i, unit);
        (void)memcpy(base + at, theirs + at, BLOCK);
    }
}

__attribute__((target("avx2"))) INLINE void
merge_vectors(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes, uint32_t unit)
{
    for (uint64_t at = 0; at < bytes; at += BLOCK / 2) {
        __m256i t = vector_at(theirs + at), b = vector_at(base + at);
        uint32_t stores = ~same_bits(t, b, unit);

        if (stores == 0)
            continue;
        stores &= same_bits(vector_at(now + at), b, unit);
        _mm256_storeu_si256((__m256i *)(void *)(base + at), t);
        if (stores == UINT32_MAX)
            _mm256_storeu_si256((__m256i *)(void *)(now + at), t);
        else
            for (unsigned i = 0; i < BLOCK / 2; i += WORD)
                store_bytes(now + at + i, theirs + at + i, stores >> i & 0xff);
    }
}

/* ------------------------------------------------------------------------- which code */

typedef void (*compare_fn)(const uint8_t *now, const uint8_t *base, uint64_t bytes,
                           struct telling *telling);
typedef void (*merge_fn)(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes);

#define LOOPS(attribute, how, unit) \
    attribute static void compare_##how##unit(const uint8_t *now, const uint8_t *base, \
                                              uint64_t bytes, struct telling *telling) \
    { \
        compare_##how(now, base, bytes, telling, unit); \
    } \
    attribute static void merge_##how##unit(uint8_t *now, uint8_t *base, const uint8_t *theirs, \
                                            uint64_t bytes) \
    { \
        merge_##how(now, base, theirs, bytes, unit); \
    }
LOOPS(RACY, plain, 1)
LOOPS(RACY, plain, 4)
LOOPS(RACY, plain, 8)
LOOPS(AVX2, vectors, 1)
LOOPS(AVX2, vectors, 4)
LOOPS(AVX2, vectors, 8)

struct operations { /* of units of 1, 4 and 8 bytes */
    compare_fn compare[3];
    merge_fn merge[3];
};

static const struct operations any_processor = {
    {compare_plain1, compare_plain4, compare_plain8},
    {merge_plain1, merge_plain4, merge_plain8},
};
static const struct operations with_avx2 = {
    {compare_vectors1, compare_vectors4, compare_vectors8},
    {merge_vectors1, merge_vectors4, merge_vectors8},
};
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

void
mem_bytes_choose_plain(void)
{
    (void)choose();
    operations = &any_processor;
}

static unsigned
index_of(uint32_t unit)
{
    ASSERT(unit == 1 || unit == 4 || unit == 8);
    return unit == 1 ? 0 : unit / 4;
}

/* --------------------------------------------------------------------------- the door */

RACY void
mem_compare(const uint8_t *now, const uint8_t *base, uint64_t bytes, uint32_t unit,
            mem_run_fn visit, void *context)
{
    struct telling telling = {.visit = visit, .context = context};
    uint64_t at = bytes / BLOCK * BLOCK;

    choose()->compare[index_of(unit)](now, base, at, &telling);
    for (; at < bytes; at += unit) {
        uint64_t count = bytes - at < unit ? bytes - at : unit;

        if (is_other(now + at, base + at, count))
            add_run(&telling, at, at + count);
    }
    tell(&telling);
}

RACY void
mem_merge(uint8_t *now, uint8_t *base, const uint8_t *theirs, uint64_t bytes, uint32_t unit)
{
    uint64_t at = 0;

    ASSERT((uintptr_t)now % unit == 0);
    /* Up to a word's start of what others see. */
    for (; bytes - at >= unit && (uintptr_t)(now + at) % WORD != 0; at += unit)
        merge_one(now + at, base + at, theirs + at, unit);
    choose()->merge[index_of(unit)](now + at, base + at, theirs + at, (bytes - at) / BLOCK * BLOCK);
    at += (bytes - at) / BLOCK * BLOCK;
    for (; bytes - at >= WORD; at += WORD) { /* numbers at the end are not written in pieces */
        merge_word(now + at, base + at, theirs + at, unit);
        (void)memcpy(base + at, theirs + at, WORD);
    }
    while (at < bytes) {
        uint64_t count = bytes - at < unit ? bytes - at : unit;

        merge_one(now + at, base + at, theirs + at, count);
        at += count;
    }
}
