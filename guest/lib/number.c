/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters, and what is built on a number: barriers and semaphores.
 */
#include "objects_internal.h"

int
number_read(const char *key, int64_t *value, uint64_t *version)
{
    struct weft_state_info info;
    int err = weft_state_stat(key, &info);

    *value = 0;
    *version = 0;
    if (err == 0)
        err = weft_state_get(key, 0, value, sizeof(*value));
    if (err == 0)
        *version = info.version;
    return err == ENOENT ? 0 : err;
}

int
weft_counter_get(const char *key, int64_t *value)
{
    int64_t found;
    int err = weft_state_get(key, 0, &found, sizeof(found));

    if (err == 0)
        *value = found;
    if (err == ENOENT)
        *value = 0;
    return err == ENOENT ? 0 : err;
}

/* --------------------------------------------------------------------------- barrier
 *
 * How many ever came. The n-th to come belongs to the round of n / parties, and passes when the
 * number is at that round's end. */

int
weft_barrier_come(const char *key, uint32_t parties, int64_t *ticket)
{
    int64_t came;
    int err;

    if (parties == 0)
        return EINVAL;
    err = weft_state_add(key, 0, 1, sizeof(came), &came);
    if (err == 0)
        *ticket = (came + parties - 1) / parties * parties;
    return err;
}

/* Each who comes makes the version larger by one, so it can be waited for the last of them
 * alone: with `left` missing, the version must still grow by as many. */
int
weft_barrier_pass(const char *key, int64_t ticket, int64_t timeout_ns)
{
    struct wait wait = wait_begin(timeout_ns);
    uint64_t version;
    int64_t came;
    int err;

    for (;;) {
        err = number_read(key, &came, &version);
        if (err != 0 || came >= ticket)
            return err;
        if (version == 0)
            return ENOENT; /* it was removed */
        version += (uint64_t)(ticket - came) - 1;
        err = weft_state_watch(key, version, wait_left(&wait), NULL);
        if (err != 0)
            return err == EAGAIN ? ETIMEDOUT : err;
    }
}

int
weft_barrier_wait(const char *key, uint32_t parties, int64_t timeout_ns)
{
    int64_t ticket = 0;
    int err = weft_barrier_come(key, parties, &ticket);

    return err != 0 ? err : weft_barrier_pass(key, ticket, timeout_ns);
}

/* ------------------------------------------------------------------------- semaphore */

int
weft_semaphore_create(const char *key, uint32_t count)
{
    int64_t value = count;
    int err = weft_state_cas(key, 0, &value, sizeof(value), NULL);

    return err == EAGAIN ? 0 : err;
}

int
weft_semaphore_acquire(const char *key, int64_t timeout_ns)
{
    struct wait wait = wait_begin(timeout_ns);
    uint64_t version;
    int64_t value;
    int err;

    for (;;) {
        err = number_read(key, &value, &version);
        if (err == 0 && version == 0)
            err = ENOENT;
        if (err != 0)
            return err;
        if (value > 0) {
            value--;
            err = weft_state_cas(key, version, &value, sizeof(value), NULL);
            if (err != EAGAIN)
                return err;
            continue; /* another was faster: somebody has gone on */
        }
        err = weft_state_watch(key, version, wait_left(&wait), NULL);
        if (err != 0)
            return err == EAGAIN ? ETIMEDOUT : err;
    }
}

int
weft_semaphore_release(const char *key)
{
    return weft_state_add(key, 0, 1, 0, NULL);
}
