/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of threads: an owner that runs each guest thread on a host thread of its own, and
 * a guest whose threads do what they are told.
 */
#ifndef WEFT_FAASLET_THREAD_TESTING_H
#define WEFT_FAASLET_THREAD_TESTING_H

#include "../../tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define CREW_MAX 2048u

struct crew_member {
    struct faaslet *faaslet; /* NULL: nobody's any more */
    pthread_t host;
    pthread_cond_t woken;
    bool is_awake, is_over;
    struct faaslet_outcome outcome;
};

/* Who runs the threads of one process. */
static struct crew {
    pthread_mutex_t lock;
    struct crew_member members[CREW_MAX];
    unsigned count, limit;
    atomic_bool is_ending;
    atomic_bool is_leaving;        /* host threads leave, guest threads stay as they are */
    struct faaslet_outcome failed; /* the first that ended otherwise than DONE */
    bool has_failed;
} crew;

static void
crew_sleep(struct crew_member *member, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&crew.lock);
    while (!member->is_awake && !atomic_load(&crew.is_ending) && !atomic_load(&crew.is_leaving)) {
        struct timespec until = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_SECOND),
                                 .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_SECOND)};

        if (deadline_ns == CLOCK_NEVER_NS)
            (void)pthread_cond_wait(&member->woken, &crew.lock);
        else if (pthread_cond_clockwait(&member->woken, &crew.lock, CLOCK_MONOTONIC, &until) ==
                 ETIMEDOUT)
            break;
    }
    member->is_awake = false;
    (void)pthread_mutex_unlock(&crew.lock);
}

static void
crew_run(struct crew_member *member)
{
    struct faaslet_outcome *outcome = &member->outcome;

    do {
        if (atomic_load(&crew.is_ending))
            faaslet_kill(member->faaslet);
        faaslet_run(member->faaslet, CLOCK_NEVER_NS, outcome);
        if (outcome->kind == FAASLET_PENDING)
            crew_sleep(member, outcome->wait.deadline_ns);
        else if (outcome->kind == FAASLET_PREEMPTED)
            (void)sched_yield();
    } while ((outcome->kind == FAASLET_PENDING || outcome->kind == FAASLET_PREEMPTED) &&
             !atomic_load(&crew.is_leaving));
}

static void *
crew_thread(void *context)
{
    struct crew_member *member = context;
    struct faaslet *faaslet = member->faaslet;

    assert_int_equal(faaslet_thread_init(), 0);
    crew_run(member);
    (void)pthread_mutex_lock(&crew.lock);
    member->is_over = true;
    if (member->outcome.kind != FAASLET_DONE && !crew.has_failed && !atomic_load(&crew.is_ending)) {
        crew.has_failed = true;
        crew.failed = member->outcome;
    }
    member->faaslet = NULL;
    (void)pthread_mutex_unlock(&crew.lock);
    if (member->outcome.kind == FAASLET_DONE)
        faaslet_thread_end(faaslet);
    return NULL;
}

static int
crew_on_thread(struct faaslet *thread)
{
    struct crew_member *member;

    (void)pthread_mutex_lock(&crew.lock);
    if (crew.count == crew.limit) {
        (void)pthread_mutex_unlock(&crew.lock);
        return -EAGAIN;
    }
    member = &crew.members[crew.count++];
    *member = (struct crew_member){.faaslet = thread};
    (void)pthread_cond_init(&member->woken, NULL);
    assert_int_equal(pthread_create(&member->host, NULL, crew_thread, member), 0);
    (void)pthread_mutex_unlock(&crew.lock);
    return 0;
}

static void
crew_on_wake(struct faaslet *thread)
{
    (void)pthread_mutex_lock(&crew.lock);
    for (unsigned i = 0; i < crew.count; i++)
        if (crew.members[i].faaslet == thread) {
            crew.members[i].is_awake = true;
            (void)pthread_cond_signal(&crew.members[i].woken);
        }
    (void)pthread_mutex_unlock(&crew.lock);
}

static const struct faaslet_owner crew_owner = {crew_on_thread, crew_on_wake};

/* The first thread's place in the crew; its run is the caller's. */
static void
crew_begin(struct faaslet *first, unsigned limit)
{
    (void)memset(&crew, 0, sizeof(crew));
    (void)pthread_mutex_init(&crew.lock, NULL);
    crew.limit = limit < CREW_MAX ? limit : CREW_MAX;
    crew.count = 1;
    crew.members[0].faaslet = first;
    (void)pthread_cond_init(&crew.members[0].woken, NULL);
}

/* All but the first are killed and joined. */
static void
crew_end(void)
{
    unsigned count;

    atomic_store(&crew.is_ending, true);
    (void)pthread_mutex_lock(&crew.lock);
    count = crew.count;
    for (unsigned i = 1; i < count; i++) {
        if (crew.members[i].faaslet != NULL)
            faaslet_kill(crew.members[i].faaslet);
        (void)pthread_cond_signal(&crew.members[i].woken);
    }
    (void)pthread_mutex_unlock(&crew.lock);
    for (unsigned i = 1; i < count; i++)
        if (crew.members[i].host != 0)
            (void)pthread_join(crew.members[i].host, NULL);
}

/* --------------------------------------------------------------------------- the guest */

static enum faaslet_verdict
host_spawn(struct faaslet_call *call)
{
    uint32_t id = 0;
    int err = faaslet_call_spawn(call, (uint32_t)call->args[0], &id);

    call->args[0] = err == 0 ? id : (uint32_t)err;
    return FAASLET_CALL_DONE;
}

static atomic_uint hosts_inside, hosts_together;

/* Says whether two host calls of a process are ever made at one time. */
static enum faaslet_verdict
host_count(struct faaslet_call *call)
{
    uint32_t *cell = faaslet_call_range(call, call->args[0], sizeof(*cell));

    if (cell == NULL)
        return FAASLET_CALL_TRAP;
    if (atomic_fetch_add(&hosts_inside, 1) != 0)
        atomic_store(&hosts_together, 1);
    (*cell)++;
    (void)atomic_fetch_sub(&hosts_inside, 1);
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function crew_functions[] = {
    {"thread-spawn", "i:i", host_spawn},
    {"count", "i:", host_count},
    {"exit", "i:", testing_exit},
};

static const struct faaslet_host_function *
crew_resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    (void)module;
    (void)module_bytes;
    return faaslet_host_find(crew_functions, ARRAY_COUNT(crew_functions), name, name_bytes);
}

/* Cells: 0 what threads do; 4 threads alive; 8 how many began; 12 a flag to wait for; 16 a sum;
 * 20 what host calls counted; 24 turn of the ping-pong. */
#define CELL_FLAG  12u
#define CELL_SUM   16u
#define CELL_HOSTS 20u

enum {
    DO_ADD,
    DO_WAIT,
    DO_SPIN,
    DO_TRAP,
    DO_EXIT,
    DO_GROW,
    DO_HOST,
    DO_SLEEP,
    DO_PINGPONG,
    DO_FOREVER,
    DO_SPIN_PLAINLY,
};

static const char crew_text[] =
    "(module\n"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))\n"
    "  (import \"wasi\" \"count\" (func $count (param i32)))\n"
    "  (import \"wasi\" \"exit\" (func $exit (param i32)))\n"
    "  (import \"env\" \"memory\" (memory 2 400 shared))\n"
    "  (export \"memory\" (memory 0))\n"
    "  (global $own (mut i32) (i32.const 5))\n"
    "  (global $limit i32 (i32.const 1000))\n"
    "  (table funcref (elem $add $wait $spin $trap $bye $grow $host $sleep $pingpong $forever\n"
    "    $plain))\n"
    "  (type $work (func (param i32)))\n"
    "  (func $add (param i32)\n"
    "    (drop (i32.atomic.rmw.add (i32.const 16) (global.get $own))))\n"
    "  (func $wait (param i32)\n"
    "    (block $out (loop $again\n"
    "      (br_if $out (i32.atomic.load (i32.const 12)))\n"
    "      (drop (memory.atomic.wait32 (i32.const 12) (i32.const 0) (i64.const -1)))\n"
    "      (br $again)))\n"
    "    (call $add (i32.const 0)))\n"
    "  (func $spin (param i32)\n"
    "    (loop $again (br_if $again (i32.eqz (i32.atomic.load (i32.const 12)))))\n"
    "    (call $add (i32.const 0)))\n"
    "  (func $trap (param i32) unreachable)\n"
    "  (func $bye (param i32) (call $exit (i32.const 7)))\n"
    "  (func $grow (param i32) (local $page i32)\n"
    "    (local.set $page (memory.grow (i32.const 1)))\n"
    "    (if (i32.ne (local.get $page) (i32.const -1)) (then\n"
    "      (i32.store offset=8 (i32.shl (local.get $page) (i32.const 16)) (i32.const 1))\n"
    "      (memory.fill (i32.shl (local.get $page) (i32.const 16)) (i32.const 1)\n"
    "        (i32.const 65536))\n"
    "      (drop (i32.atomic.rmw.add (i32.const 16)\n"
    "        (i32.load8_u offset=8 (i32.shl (local.get $page) (i32.const 16))))))))\n"
    "  (func $host (param i32) (local $i i32)\n"
    "    (loop $again\n"
    "      (call $count (i32.const 20))\n"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
    "      (br_if $again (i32.lt_u (local.get $i) (global.get $limit)))))\n"
    "  (func $sleep (param i32)\n"
    "    (drop (i32.atomic.rmw.add (i32.const 16)\n"
    "      (memory.atomic.wait32 (i32.const 12) (i32.const 0) (i64.const 2000000)))))\n"
    "  (func $pingpong (param $me i32) (local $i i32)\n"
    "    (loop $again\n"
    "      (block $mine (loop $look\n"
    "        (br_if $mine (i32.eq (i32.and (i32.atomic.load (i32.const 24)) (i32.const 1))\n"
    "          (i32.and (local.get $me) (i32.const 1))))\n"
    "        (drop (memory.atomic.wait32 (i32.const 24)\n"
    "          (i32.xor (i32.and (local.get $me) (i32.const 1)) (i32.const 1)) (i64.const -1)))\n"
    "        (br $look)))\n"
    "      (drop (i32.atomic.rmw.xor (i32.const 24) (i32.const 1)))\n"
    "      (drop (memory.atomic.notify (i32.const 24) (i32.const 1)))\n"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
    "      (br_if $again (i32.lt_u (local.get $i) (global.get $limit))))\n"
    "    (call $add (i32.const 0)))\n"
    "  (func $forever (param i32)\n"
    "    (drop (memory.atomic.wait32 (i32.const 28) (i32.const 0) (i64.const -1))))\n"
    "  (func $plain (param i32) (local $i i64)\n"
    "    (block $seen (loop $again\n"
    "      (br_if $seen (i32.load (i32.const 12)))\n"
    "      (local.set $i (i64.add (local.get $i) (i64.const 1)))\n"
    "      (br_if $again (i64.lt_u (local.get $i) (i64.const 0x1000000000)))\n"
    "      (return)))\n"
    "    (call $add (i32.const 0)))\n"
    "  (func (export \"wasi_thread_start\") (param $id i32) (param $argument i32)\n"
    "    (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 1)))\n"
    "    (call_indirect (type $work) (local.get $argument) (i32.atomic.load (i32.const 0)))\n"
    "    (global.set $own (i32.const 1000))\n"
    "    (drop (i32.atomic.rmw.sub (i32.const 4) (i32.const 1)))\n"
    "    (drop (memory.atomic.notify (i32.const 4) (i32.const 1))))\n"
    "  (func (export \"spawn\") (param $what i32) (param $count i32) (result i32) (local $id i32)\n"
    "    (i32.atomic.store (i32.const 0) (local.get $what))\n"
    "    (block $out (loop $again\n"
    "      (br_if $out (i32.eqz (local.get $count)))\n"
    "      (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))\n"
    "      (local.set $id (call $spawn (local.get $count)))\n"
    "      (if (i32.le_s (local.get $id) (i32.const 0)) (then\n"
    "        (drop (i32.atomic.rmw.sub (i32.const 4) (i32.const 1))) (return (local.get $id))))\n"
    "      (local.set $count (i32.sub (local.get $count) (i32.const 1)))\n"
    "      (br $again)))\n"
    "    (local.get $id))\n"
    "  (func $join (export \"join\") (result i32) (local $alive i32)\n"
    "    (block $out (loop $again\n"
    "      (br_if $out (i32.eqz (local.tee $alive (i32.atomic.load (i32.const 4)))))\n"
    "      (drop (memory.atomic.wait32 (i32.const 4) (local.get $alive) (i64.const -1)))\n"
    "      (br $again)))\n"
    "    (i32.atomic.load (i32.const 16)))\n"
    "  (func (export \"began\") (result i32) (i32.atomic.load (i32.const 8)))\n"
    "  (func (export \"load\") (param i32) (result i32) (i32.atomic.load (local.get 0)))\n"
    "  (func (export \"size\") (result i32) (memory.size))\n"
    "  (func (export \"raise\") (param $wanted i32) (result i32)\n"
    "    (i32.atomic.store (i32.const 12) (i32.const 1))\n"
    "    (memory.atomic.notify (i32.const 12) (local.get $wanted)))\n"
    "  (func (export \"notify\") (param i32 i32) (result i32)\n"
    "    (memory.atomic.notify (local.get 0) (local.get 1)))\n"
    ")\n";

static const struct faaslet_config crew_config = {
    .resolve = crew_resolve, .owner = &crew_owner, .stack_bytes = 64u << 10, .threads_max = 1100};

/* Runs a call of the first thread to its end. */
static uint64_t
crew_call(const char *name, const uint64_t *args, size_t count)
{
    struct crew_member *first = &crew.members[0];
    uint64_t result = 0;

    assert_int_equal(faaslet_invoke(first->faaslet, 0, name, args, count), 0);
    crew_run(first);
    assert_int_equal(first->outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(first->faaslet, 0, &result, 1), 0);
    return result;
}

static uint64_t
crew_spawn(uint32_t what, uint32_t count)
{
    const uint64_t args[] = {what, count};

    return crew_call("spawn", args, 2);
}

/* Until so many have begun what they are to do. */
static void
crew_wait_began(uint64_t count)
{
    while (crew_call("began", NULL, 0) < count)
        (void)sched_yield();
}

static struct faaslet *
crew_create(struct faaslet_image *image, const struct faaslet_config *config)
{
    struct faaslet *faaslet = testing_create(image, config);

    testing_init(faaslet, 0);
    crew_begin(faaslet, CREW_MAX);
    return faaslet;
}

#endif
