/* SPDX-License-Identifier: Apache-2.0
 *
 * State: memory that all calls of a tenant share, on one host in place, between hosts by pull
 * and push. For C; weft/state.hpp has classes, weft/objects.h what is built on it.
 *
 *     double *weights;
 *     weft_state_map("weights", 0, N * sizeof(*weights), WEFT_STATE_WRITE | WEFT_STATE_CREATE,
 *                    (void **)&weights);                          it is memory
 *     weights[i] += step;                                         others here see it at once
 *     weft_state_push("weights");                                 and everywhere, from now on
 *     weft_state_pull("weights");                                 what others have pushed
 *
 * A key has 1 to 255 bytes of UTF-8. A value has a size and a version, which grows with every
 * change. Reads (get, pull, stat) see every change that was over before they began; changes
 * (set, cas, add, append, push, remove) are whole, and lost by no crash once they have
 * returned 0. What is written to mapped memory is this host's until it is pushed.
 *
 * Functions return 0 or a number of <errno.h>:
 *   EINVAL        a key that is none, an offset that is not a multiple of 64 KiB where it must be
 *   ENAMETOOLONG  the key             ENOENT   there is none
 *   EMSGSIZE      it has another size, or the bytes are outside of it
 *   EAGAIN        another version (cas, push_if), a lock that is taken (timeout 0); of a push also:
 *                 the tier has no room for it now
 *   ETIMEDOUT     the lock or the change did not come in time
 *   ESTALE        the lock was lost: this host was cut off for too long
 *   EDQUOT        more than the tenant may have, ENOLCK: of locks
 *   EISDIR, ENOTDIR  a log where a value is wanted, and the other way
 *   EIO           the tier is not to be had; a change may have happened, or not
 *   E2BIG         a push that touches more than 1 GiB in pieces of 64 KiB, or has more than
 *                 64 million runs of bytes: push parts
 *   ENOMEM, ENOSYS
 */
#ifndef WEFT_STATE_H
#define WEFT_STATE_H

#include <stdint.h>
#include <string.h>

#include "weft.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_STATE_ANY UINT64_MAX /* whatever the version is */

struct weft_state_info {
    uint64_t size;    /* of a log: its bytes */
    uint64_t version; /* of a log: the number of its records */
    uint64_t lives_ns;
    uint32_t is_log, is_current; /* current: a read asks nobody */
};

/* --------------------------------------------------------------------- whole values */

WEFT_IMPORT("state_stat")
int weft_state_stat(const char *key, struct weft_state_info *info);
/* Bytes at an offset, as they are globally. */
WEFT_IMPORT("state_get")
int weft_state_get(const char *key, uint64_t offset, void *to, uint32_t count);
/* The value becomes these bytes, whatever it was. */
WEFT_IMPORT("state_set")
int weft_state_set(const char *key, const void *bytes, uint32_t count);
/* The same, only where its version is this (0: there is none). version: the new one. */
WEFT_IMPORT("state_cas")
int weft_state_cas(const char *key, uint64_t expected, const void *bytes, uint32_t count,
                   uint64_t *version);
/* Adds to a number in a value, at an offset; *sum may be NULL. size: of the value that is made
 * of zeros where there is none; 0: ENOENT then. */
WEFT_IMPORT("state_add")
int weft_state_add(const char *key, uint64_t offset, int64_t value, uint64_t size, int64_t *sum);
WEFT_IMPORT("state_add_double")
int weft_state_add_double(const char *key, uint64_t offset, double value, uint64_t size,
                          double *sum);
WEFT_IMPORT("state_remove")
int weft_state_remove(const char *key);
/* It is removed after so long; 0: not by itself. */
WEFT_IMPORT("state_expire")
int weft_state_expire(const char *key, uint64_t ns);
/* Keys with this prefix that come after `after` ("": from the first), each with its NUL, as many
 * as fit; *count of them. */
WEFT_IMPORT("state_list")
int weft_state_list(const char *prefix, const char *after, char *to, uint32_t bytes,
                    uint32_t *count);
/* Waits until the version is above this, or until there is none; version: what it is then. */
WEFT_IMPORT("state_watch")
int weft_state_watch(const char *key, uint64_t above, int64_t timeout_ns, uint64_t *version);

/* -------------------------------------------------------------------------- memory */

#define WEFT_STATE_READ   0u
#define WEFT_STATE_WRITE  1u /* else writing to it is a trap */
#define WEFT_STATE_LAZY   2u /* bytes come when they are touched, in pieces of 64 KiB */
#define WEFT_STATE_CREATE 4u /* of this size, with zeros, where there is none */
#define WEFT_STATE_SUM    8u /* pushes add; with WEFT_STATE_OF */

/* What the bytes are. Elements are pulled and pushed whole: hosts that write different elements
 * lose nothing when both push, and none becomes half of what one host wrote and half of what
 * another did. None said: bytes. A program without races in C's model of memory loses nothing with
 * any of them, as long as no two hosts write to one element between their pushes.
 *
 * With WEFT_STATE_SUM a push adds what was added here since the last one to what the value is by
 * then, element by element, and a pull adds what others have pushed to what is here: no addition
 * of any host is lost. The value is then whole elements, else EMSGSIZE. A push that ends with EIO
 * counts as done; the next pull tells what is. On a host it is memory: of two stores to one element
 * at one moment, by two calls, or by a call and a pull that brings others' additions, one stays,
 * unless they are atomic additions. Integers wrap.
 *
 * On one host a value is of one kind (elements, sum or not) while it is mapped or has bytes that
 * are not pushed: to map it as another then is EINVAL. Who says none takes what it has. */
enum weft_type { WEFT_INT32 = 1, WEFT_INT64 = 2, WEFT_FLOAT = 3, WEFT_DOUBLE = 4 };
#define WEFT_STATE_OF(type) ((uint32_t)(type) << 8)

/* Bytes [offset, offset + bytes) as memory, at an address that is a multiple of 64 KiB; offset is
 * one too. bytes 0: to the end. The size of the value must be offset + bytes with CREATE. It
 * stays mapped until it is unmapped or the call is over; it counts against the limit of memory.
 *
 * LAZY: what is not here comes when it is touched, never older than it was when it was mapped. What
 * this host has of an older version is forgotten first, unless a call has it mapped here or
 * has not pushed what it wrote: then that is as it was pulled last, until it is pulled. */
WEFT_IMPORT("state_map")
int weft_state_map(const char *key, uint64_t offset, uint64_t bytes, uint32_t flags, void **to);
/* Of an address that map gave; what was written is not lost, nor pushed. */
WEFT_IMPORT("state_unmap")
int weft_state_unmap(void *at);
/* What others have pushed is here, but where it was written here and not pushed. All of it, or
 * the part that is said. */
WEFT_IMPORT("state_pull")
int weft_state_pull_part(const char *key, uint64_t offset, uint64_t bytes);
/* What was written here since the last push, by whomever on this host, in one change. A part is of
 * whole elements, else EINVAL. */
WEFT_IMPORT("state_push")
int weft_state_push_part(const char *key, uint64_t offset, uint64_t bytes);
/* The same, only where nobody has changed it since this version: else EAGAIN. */
WEFT_IMPORT("state_push_if")
int weft_state_push_if(const char *key, uint64_t expected, uint64_t *version);
static inline int
weft_state_pull(const char *key)
{
    return weft_state_pull_part(key, 0, 0);
}
static inline int
weft_state_push(const char *key)
{
    return weft_state_push_part(key, 0, 0);
}

/* --------------------------------------------------------------------------- locks */

#define WEFT_STATE_LOCK_READ  0u
#define WEFT_STATE_LOCK_WRITE 1u
#define WEFT_STATE_LOCK_HERE  2u /* among the calls of this host only */

/* One lock of a key for each call; let go at its end. timeout_ns: WEFT_FOR_EVER; 0: now or
 * EAGAIN. Changes of the key that are made under a write lock are refused with ESTALE where it
 * was lost. */
WEFT_IMPORT("state_lock")
int weft_state_lock(const char *key, uint32_t how, int64_t timeout_ns);
WEFT_IMPORT("state_unlock")
int weft_state_unlock(const char *key, uint32_t how);

/* ---------------------------------------------------------------------------- logs */

/* One record of at most 1 MiB; its index. */
WEFT_IMPORT("state_append")
int weft_state_append(const char *key, const void *bytes, uint32_t count, uint64_t *index);
/* Records from *index on: their bytes one after the other, their lengths in counts; *records
 * how many. *index becomes that of the first, which is a later one where those before it were
 * forgotten (also where no record is left). The first that does not fit is left out; ENOBUFS
 * where not even one fits. */
WEFT_IMPORT("state_read")
int weft_state_read(const char *key, uint64_t *index, void *to, uint32_t bytes, uint32_t *counts,
                    uint32_t count_max, uint32_t *records);
/* Forgets the records before this index. */
WEFT_IMPORT("state_trim")
int weft_state_trim(const char *key, uint64_t index);

#ifdef __cplusplus
}
#endif

#endif
