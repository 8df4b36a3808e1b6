/* SPDX-License-Identifier: Apache-2.0
 *
 * Atomic operations on what the machine has no instruction for, 16 bytes or 3, say, as libatomic
 * has them: with a lock, chosen by the address. What is aligned and of 1 to 8 bytes needs none.
 */
#include <string.h>

#include "lock.h"
#include "weft_threads.h"

#define LOCKS 64u

static volatile int locks[LOCKS];

static volatile int *
lock_of(const volatile void *place)
{
    return &locks[(uintptr_t)place / 16 % LOCKS];
}

/* Without a lock: what is done sees the place as an integer. */
#define CASE(bytes, type, ...) \
    case bytes: { \
        typedef type number; \
        if ((uintptr_t)place % bytes == 0) { \
            __VA_ARGS__ \
        } \
        break; \
    }
#define WITHOUT_LOCK(...) \
    switch (size) { \
        CASE(1, uint8_t, __VA_ARGS__) \
        CASE(2, uint16_t, __VA_ARGS__) \
        CASE(4, uint32_t, __VA_ARGS__) \
        CASE(8, uint64_t, __VA_ARGS__) \
    }

void load(size_t, const void *, void *, int) __asm__("__atomic_load");
void store(size_t, void *, const void *, int) __asm__("__atomic_store");
void exchange(size_t, void *, const void *, void *, int) __asm__("__atomic_exchange");
bool compare_exchange(size_t, void *, void *, const void *, int,
                      int) __asm__("__atomic_compare_exchange");
bool is_lock_free(size_t, const void *) __asm__("__atomic_is_lock_free");

bool
is_lock_free(size_t size, const void *place)
{
    return size > 0 && size <= 8 && (size & (size - 1)) == 0 && (uintptr_t)place % size == 0;
}

void
load(size_t size, const void *place, void *out, int order)
{
    (void)order;
    WITHOUT_LOCK(number value = __atomic_load_n((const number *)place, __ATOMIC_SEQ_CST);
                 memcpy(out, &value, sizeof(value)); return;)
    LOCK(lock_of(place));
    memcpy(out, place, size);
    UNLOCK(lock_of(place));
}

void
store(size_t size, void *place, const void *in, int order)
{
    (void)order;
    WITHOUT_LOCK(number value; memcpy(&value, in, sizeof(value));
                 __atomic_store_n((number *)place, value, __ATOMIC_SEQ_CST); return;)
    LOCK(lock_of(place));
    memcpy(place, in, size);
    UNLOCK(lock_of(place));
}

void
exchange(size_t size, void *place, const void *in, void *out, int order)
{
    (void)order;
    WITHOUT_LOCK(number value; memcpy(&value, in, sizeof(value));
                 value = __atomic_exchange_n((number *)place, value, __ATOMIC_SEQ_CST);
                 memcpy(out, &value, sizeof(value)); return;)
    LOCK(lock_of(place));
    for (size_t i = 0; i < size; i++) { /* in and out may be one */
        char value = ((const char *)in)[i];

        ((char *)out)[i] = ((char *)place)[i];
        ((char *)place)[i] = value;
    }
    UNLOCK(lock_of(place));
}

bool
compare_exchange(size_t size, void *place, void *expected, const void *wanted, int success,
                 int failure)
{
    bool is_same;

    (void)success;
    (void)failure;
    WITHOUT_LOCK(number old, value; memcpy(&old, expected, sizeof(old));
                 memcpy(&value, wanted, sizeof(value));
                 is_same = __atomic_compare_exchange_n((number *)place, &old, value, false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
                 memcpy(expected, &old, sizeof(old)); return is_same;)
    LOCK(lock_of(place));
    is_same = memcmp(place, expected, size) == 0;
    if (is_same)
        memcpy(place, wanted, size);
    else
        memcpy(expected, place, size);
    UNLOCK(lock_of(place));
    return is_same;
}

/* ------------------------------------------------- what is called by its size: 16 bytes */

typedef unsigned __int128 wide;

wide load_16(const wide *, int) __asm__("__atomic_load_16");
void store_16(wide *, wide, int) __asm__("__atomic_store_16");
wide exchange_16(wide *, wide, int) __asm__("__atomic_exchange_16");
bool compare_exchange_16(wide *, wide *, wide, int, int) __asm__("__atomic_compare_exchange_16");

wide
load_16(const wide *place, int order)
{
    wide value;

    load(sizeof(value), place, &value, order);
    return value;
}

void
store_16(wide *place, wide value, int order)
{
    store(sizeof(value), place, &value, order);
}

wide
exchange_16(wide *place, wide value, int order)
{
    wide old;

    exchange(sizeof(value), place, &value, &old, order);
    return old;
}

bool
compare_exchange_16(wide *place, wide *expected, wide wanted, int success, int failure)
{
    return compare_exchange(sizeof(wanted), place, expected, &wanted, success, failure);
}

#define FETCH(name, expression) \
    wide fetch_##name##_16(wide *, wide, int) __asm__("__atomic_fetch_" #name "_16"); \
    wide fetch_##name##_16(wide *place, wide value, int order) \
    { \
        wide old; \
\
        (void)order; \
        LOCK(lock_of(place)); \
        old = *place; \
        *place = expression; \
        UNLOCK(lock_of(place)); \
        return old; \
    }
FETCH(add, old + value)
FETCH(sub, old - value)
FETCH(and, old &value)
FETCH(or, old | value)
FETCH(xor, old ^ value)
FETCH(nand, ~(old &value))
