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
#include <weft/objects.h>

#include "history.h"

#define LOCK_NS   INT64_C(20000000000)
#define SHORT_NS  INT64_C(300000000)
#define INSIDE_US 10000

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
    int err = weft_counter_add(key, 1, &sum);

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
map_op(struct history_op *op, uint64_t mark)
{
    const char *entry = op->reg == 0 ? "a" : "b";
    uint32_t count = 0;
    char key[64];
    int err;

    name(key, "map");
    if (op->kind == HISTORY_TAKE) {
        err = weft_map_get(key, entry, &op->value, sizeof(op->value), &count);
        return err == ENOENT ? 0 : err;
    }
    if (op->kind == HISTORY_DROP) {
        err = weft_map_remove(key, entry);
        op->value = err == 0;
        return err == ENOENT ? 0 : err;
    }
    op->value = mark;
    return weft_map_put(key, entry, &mark, sizeof(mark));
}

static int
queue_op(struct history_op *op, uint64_t mark)
{
    struct weft_queue queue;
    uint32_t count = 0;
    char key[64];
    int err;

    name(key, "queue");
    err = weft_queue_open(&queue, key);
    if (err != 0)
        return err;
    if (op->kind == HISTORY_POP)
        return weft_queue_pop(&queue, &op->value, sizeof(op->value), &count, SHORT_NS);
    return weft_queue_push(&queue, &mark, sizeof(mark));
}

static int
meet(struct history_op *op, const char *key)
{
    int64_t ticket = 0;
    int err = weft_barrier_come(key, 2, &ticket);

    op->version = (uint64_t)ticket;
    op->value = err == 0 ? (uint64_t)weft_barrier_pass(key, ticket, SHORT_NS) : 0;
    return err;
}

static int
permit(struct history_op *op, const char *key)
{
    int err = weft_semaphore_create(key, 2);

    if (err != 0 && err != EIO)
        return err;
    err = weft_semaphore_acquire(key, SHORT_NS);
    if (err != 0)
        return err;
    op->entered = now();
    (void)usleep(INSIDE_US);
    op->leaving = now();
    op->value = (uint64_t)weft_semaphore_release(key);
    return 0;
}

static int
step(struct history_op *op, uint64_t mark)
{
    static const char *const names[] = {"count", "log",   "locked", "mapped",
                                        "queue", "queue", "meet",   "permit"};
    char key[64];

    if (op->kind >= HISTORY_PUT)
        return map_op(op, mark);
    if (op->kind >= HISTORY_SET)
        return register_op(op, mark);
    name(key, names[op->kind]);
    switch (op->kind) {
    case HISTORY_ADD:
        return add(op, key);
    case HISTORY_APPEND:
        return weft_list_append(key, &mark, 8, &op->value);
    case HISTORY_LOCKED:
        return locked(op, key);
    case HISTORY_MAPPED:
        return mapped(op, key);
    case HISTORY_MEET:
        return meet(op, key);
    case HISTORY_PERMIT:
        return permit(op, key);
    default:
        return queue_op(op, mark);
    }
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
