/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster/crash: random operations on state, and what came of each (history.h).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft.h>
#include <weft/state.h>

#include "history.h"

#define LOCK_NS INT64_C(20000000000)

static struct history_call call;
static struct history_op ops[HISTORY_OPS_MAX];
static uint64_t known[2]; /* versions of the registers, as they were last seen */

static uint64_t
now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void
name(char out[64], const char *what)
{
    (void)snprintf(out, 64, HISTORY_KEY, call.group, what);
}

static int
add(struct history_op *op, const char *key)
{
    int64_t sum = 0;
    int err = weft_state_add(key, 0, 1, 8, &sum);

    op->value = (uint64_t)sum;
    return err;
}

/* Between lock and unlock; what unlock says does not matter: a change that was made under the lock
 * was made. */
static int
locked(struct history_op *op, const char *key)
{
    uint64_t value = 0;
    int err = weft_state_lock(key, WEFT_STATE_LOCK_WRITE, LOCK_NS);

    if (err != 0)
        return err == EIO ? EAGAIN : err; /* nothing was changed */
    op->entered = now();
    err = weft_state_get(key, 0, &value, sizeof(value));
    value = err == ENOENT ? 0 : value;
    if (err != 0 && err != ENOENT) {
        (void)weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
        return EAGAIN;
    }
    op->value = ++value;
    op->leaving = now();
    err = weft_state_set(key, &value, sizeof(value));
    (void)weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
    return err;
}

static int
mapped(struct history_op *op, const char *key)
{
    uint64_t *value;
    int err = weft_state_map(key, 0, 8, WEFT_STATE_WRITE | WEFT_STATE_CREATE, (void **)&value);

    if (err == 0)
        err = weft_state_lock(key, WEFT_STATE_LOCK_WRITE, LOCK_NS);
    if (err != 0)
        return err == EIO ? EAGAIN : err;
    op->entered = now();
    err = weft_state_pull(key);
    if (err != 0) {
        (void)weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
        return EAGAIN;
    }
    op->value = ++*value;
    op->leaving = now();
    err = weft_state_push(key);
    (void)weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
    return err;
}

static int
stat_of(struct history_op *op, const char *key)
{
    struct weft_state_info info;
    int err = weft_state_stat(key, &info);

    if (err == 0)
        op->version = info.version;
    if (err == 0 || err == ENOENT)
        known[op->reg] = op->version;
    return err == ENOENT ? 0 : err;
}

static int
register_op(struct history_op *op, uint64_t mark)
{
    char key[64];
    int err;

    name(key, op->reg == 0 ? "reg0" : "reg1");
    if (op->kind == HISTORY_STAT)
        return stat_of(op, key);
    if (op->kind == HISTORY_GET) {
        err = weft_state_get(key, 0, &op->value, 8);
        return err == ENOENT ? 0 : err;
    }
    op->value = mark;
    if (op->kind == HISTORY_SET)
        return weft_state_set(key, &mark, 8);
    op->version = known[op->reg];
    return weft_state_cas(key, op->version, &mark, 8, &known[op->reg]);
}

static int
step(struct history_op *op, uint64_t mark)
{
    static const char *const names[] = {"count", "log", "locked", "mapped"};
    char key[64];

    if (op->kind >= HISTORY_SET)
        return register_op(op, mark);
    name(key, names[op->kind]);
    if (op->kind == HISTORY_ADD)
        return add(op, key);
    if (op->kind == HISTORY_APPEND)
        return weft_state_append(key, &mark, 8, &op->value);
    return op->kind == HISTORY_LOCKED ? locked(op, key) : mapped(op, key);
}

/* A call whose planner dies runs again, and who asked hears of the last run only: so there is
 * but one that does anything. */
static bool
is_first(void)
{
    char what[32], key[64];
    uint64_t version;

    (void)snprintf(what, sizeof(what), "call-%llu", (unsigned long long)call.number);
    name(key, what);
    return weft_state_cas(key, 0, "", 0, &version) == 0;
}

int
main(void)
{
    uint32_t count = 0;

    if (weft_input_read(0, &call, sizeof(call), &count) != 0 || count != sizeof(call) ||
        call.ops > HISTORY_OPS_MAX)
        return 1;
    if (!is_first())
        return weft_output(HISTORY_AGAIN, sizeof(HISTORY_AGAIN) - 1) == 0 ? 0 : 2;
    for (uint32_t i = 0; i < call.ops; i++) {
        uint64_t random = history_random(&call, i) >> 16;

        history_pick(&call, i, &ops[i]);
        (void)usleep((useconds_t)(random % (call.pause_us_max + 1)));
        ops[i].begun = now();
        ops[i].err = step(&ops[i], history_mark(&call, i));
        ops[i].over = now();
    }
    return weft_output(ops, call.ops * (uint32_t)sizeof(ops[0])) == 0 ? 0 : 2;
}
