/* SPDX-License-Identifier: Apache-2.0
 *
 * What bodies of weft/objects.h share.
 */
#ifndef OBJECTS_INTERNAL_H
#define OBJECTS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "weft/objects.h"

#define CHUNK_BYTES 65536u
#define PLAIN_FLAGS (WEFT_STATE_WRITE | WEFT_STATE_LAZY)
#define ARRAY_FLAGS (PLAIN_FLAGS | WEFT_STATE_CREATE | WEFT_STATE_SUM)

static inline uint64_t
round_up(uint64_t bytes)
{
    return (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
}

static inline int
copy_key(char to[WEFT_KEY_BYTES], const char *key)
{
    size_t count = strlen(key);

    if (count >= WEFT_KEY_BYTES)
        return ENAMETOOLONG;
    memcpy(to, key, count + 1);
    return count == 0 ? EINVAL : 0;
}

static inline bool
is_type(enum weft_type type)
{
    return type >= WEFT_INT32 && type <= WEFT_DOUBLE;
}

/* Bytes of a value at any offset, as memory that begins at a multiple of 64 KiB. */
struct window {
    void *mapped, *at;
};
static inline int
window_open(const char *key, uint64_t offset, uint64_t bytes, uint32_t flags, struct window *out)
{
    uint64_t from = offset / CHUNK_BYTES * CHUNK_BYTES;
    int err;

    *out = (struct window){NULL, NULL};
    if (bytes == 0)
        return 0;
    err = weft_state_map(key, from, offset - from + bytes, flags, &out->mapped);
    if (err == 0)
        out->at = (char *)out->mapped + (offset - from);
    return err;
}

static inline void
window_close(void **mapped)
{
    if (*mapped != NULL)
        (void)weft_state_unmap(*mapped);
    *mapped = NULL;
}

/* ------------------------------------------------------------------- until when to wait */

static inline int64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct wait {
    int64_t timeout_ns, begun_ns;
};
static inline struct wait
wait_begin(int64_t timeout_ns)
{
    return (struct wait){timeout_ns, timeout_ns > 0 ? now_ns() : 0};
}

/* What is left of it: 0: nothing. */
static inline int64_t
wait_left(const struct wait *wait)
{
    int64_t gone;

    if (wait->timeout_ns <= 0)
        return wait->timeout_ns < 0 ? WEFT_FOR_EVER : 0;
    gone = now_ns() - wait->begun_ns;
    return gone < wait->timeout_ns ? wait->timeout_ns - gone : 0;
}

/* A number of 8 bytes with the version that it is of; where there is none, 0 and 0. A change
 * between the two reads makes the version too small, and what is built on it is refused or
 * looks again: never wrong. */
int number_read(const char *key, int64_t *value, uint64_t *version);

#endif
