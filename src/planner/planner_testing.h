/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of the planner: hosts that are made of a queue and some threads, and calls
 * whose ends can be awaited.
 */
#ifndef WEFT_PLANNER_PLANNER_TESTING_H
#define WEFT_PLANNER_PLANNER_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "planner/planner.h"

#define SECOND    UINT64_C(1000000000)
#define RUNS      4096u
#define TEST_CODE 42 /* exit code that a run of an even call has */

/* -------------------------------------------------------------------------- a host */

/* Runs wait in it until somebody ends them: the test, or a thread of its own. */
struct host {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct planner_host *planner;
    struct planner_run runs[RUNS];
    unsigned first, end, stops;
    bool is_ending, fails;
    pthread_t thread;
};

static inline void
host_start(void *context, const struct planner_run *run, const Ledger__Call *call)
{
    struct host *host = context;

    (void)pthread_mutex_lock(&host->lock);
    assert_int_equal(call->id, run->call);
    host->runs[host->end++ % RUNS] = *run;
    (void)pthread_cond_broadcast(&host->change);
    (void)pthread_mutex_unlock(&host->lock);
}

static inline void
host_stop(void *context, const struct planner_run *run)
{
    struct host *host = context;

    (void)run;
    (void)pthread_mutex_lock(&host->lock);
    host->stops++;
    (void)pthread_cond_broadcast(&host->change);
    (void)pthread_mutex_unlock(&host->lock);
}

static const struct planner_host_ops host_ops = {host_start, host_stop};

static inline void
host_up(struct host *host, struct planner *planner, const char *name, uint32_t slots)
{
    const struct planner_host_config config = {
        .name = name, .slots = slots, .memory = 1000, .ops = &host_ops, .context = host};

    (void)memset(host, 0, sizeof(*host));
    (void)pthread_mutex_init(&host->lock, NULL);
    (void)pthread_cond_init(&host->change, NULL);
    assert_int_equal(planner_host_up(planner, &config, &host->planner, NULL), 0);
}

/* The next run; false: the host ends. */
static inline bool
host_take(struct host *host, struct planner_run *run)
{
    bool is_there;

    (void)pthread_mutex_lock(&host->lock);
    while (host->first == host->end && !host->is_ending)
        (void)pthread_cond_wait(&host->change, &host->lock);
    is_there = host->first != host->end;
    if (is_there)
        *run = host->runs[host->first++ % RUNS];
    (void)pthread_mutex_unlock(&host->lock);
    return is_there;
}

static inline void
host_end_run(struct host *host, const struct planner_run *run, Ledger__Kind kind, int exit_code)
{
    Ledger__Result result = LEDGER__RESULT__INIT;
    uint8_t output[] = "output";

    result.kind = kind;
    result.exit_code = exit_code;
    result.output.data = output;
    result.output.len = sizeof(output);
    planner_run_ended(host->planner, run, &result);
}

static inline void *
host_main(void *object)
{
    struct host *host = object;
    struct planner_run run;
    unsigned count = 0;

    while (host_take(host, &run)) {
        if (host->fails && ++count % 7 == 0)
            planner_run_lost(host->planner, &run, "its cell died");
        else if (run.call % 2 == 0)
            host_end_run(host, &run, LEDGER__KIND__KIND_EXIT, TEST_CODE);
        else
            host_end_run(host, &run, LEDGER__KIND__KIND_DONE, 0);
    }
    return NULL;
}

static inline void
host_live(struct host *host)
{
    assert_int_equal(pthread_create(&host->thread, NULL, host_main, host), 0);
}

static inline void
host_die(struct host *host)
{
    (void)pthread_mutex_lock(&host->lock);
    host->is_ending = true;
    (void)pthread_cond_broadcast(&host->change);
    (void)pthread_mutex_unlock(&host->lock);
    (void)pthread_join(host->thread, NULL);
}

/* -------------------------------------------------------------------------- a world */

struct world {
    char path[64], address[80];
    struct store *store;
    struct planner *planner;
    _Atomic unsigned lost;
    void (*on_over)(void *context, const Ledger__Call *call);
    void *over_context;
    uint64_t kept_s;
};

static inline void
note_over(void *context, const Ledger__Call *call)
{
    struct world *w = context;

    if (w->on_over != NULL)
        w->on_over(w->over_context, call);
}

static inline void
note_lost(void *context)
{
    struct world *w = context;

    w->lost++;
}

static inline struct planner_config
config_of(struct world *w, const char *holder)
{
    return (struct planner_config){.store = w->store,
                                   .holder = holder,
                                   .lease_ns = SECOND,
                                   .silence_ns = 20 * SECOND,
                                   .kept_s = w->kept_s,
                                   .on_lost = note_lost,
                                   .on_over = note_over,
                                   .context = w};
}

static inline void
world_start(struct world *w, const char *holder)
{
    const struct store_config config = {.records = w->address, .bytes_max = 256u << 20};
    struct planner_config planner;
    uint64_t until = clock_now_ns() + 30 * SECOND;
    struct diag diag;
    int err;

    diag_init(&diag);
    if (store_open(&config, &w->store, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    planner = config_of(w, holder);
    do { /* whoever led before may have died with its lease */
        diag_init(&diag);
        err = planner_create(&planner, &w->planner, &diag);
        if (err == -EBUSY)
            (void)usleep(20000);
    } while (err == -EBUSY && clock_now_ns() < until);
    if (err != 0)
        fail_msg("%s", diag_text(&diag));
}

static inline void
world_stop(struct world *w)
{
    planner_destroy(w->planner);
    store_close(w->store);
}

static inline void
world_init(struct world *w)
{
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";

    (void)memset(w, 0, sizeof(*w));
    (void)snprintf(w->path, sizeof(w->path), "%.30s/weft-planner-%s", folder,
                   "XX"
                   "XX"
                   "XX");
    assert_non_null(mkdtemp(w->path));
    (void)snprintf(w->address, sizeof(w->address), "dir:%s", w->path);
    world_start(w, "first");
}

static inline int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void
world_fini(struct world *w)
{
    world_stop(w);
    assert_int_equal(nftw(w->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* -------------------------------------------------------------------------- a call */

struct asked {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_accepted;
    int err;
    uint64_t id;
    unsigned ends;
    Ledger__Kind kind;
    int exit_code;
    char host[32], message[64];
};

static inline void
asked_init(struct asked *asked)
{
    (void)memset(asked, 0, sizeof(*asked));
    (void)pthread_mutex_init(&asked->lock, NULL);
    (void)pthread_cond_init(&asked->change, NULL);
}

static inline void
on_end(void *context, const Ledger__Call *call)
{
    struct asked *asked = context;

    (void)pthread_mutex_lock(&asked->lock);
    asked->ends++;
    asked->kind = call->result->kind;
    asked->exit_code = call->result->exit_code;
    (void)snprintf(asked->host, sizeof(asked->host), "%s", call->result->host);
    (void)snprintf(asked->message, sizeof(asked->message), "%s", call->result->message);
    (void)pthread_cond_broadcast(&asked->change);
    (void)pthread_mutex_unlock(&asked->lock);
}

static inline void
on_accepted(void *context, int err, uint64_t id)
{
    struct asked *asked = context;

    (void)pthread_mutex_lock(&asked->lock);
    assert_false(asked->is_accepted);
    assert_int_equal(asked->ends, 0);
    asked->is_accepted = true;
    asked->err = err;
    asked->id = id;
    (void)pthread_cond_broadcast(&asked->change);
    (void)pthread_mutex_unlock(&asked->lock);
}

static inline void
await_end(struct asked *asked)
{
    (void)pthread_mutex_lock(&asked->lock);
    while (asked->ends == 0)
        (void)pthread_cond_wait(&asked->change, &asked->lock);
    (void)pthread_mutex_unlock(&asked->lock);
}

static inline int
await_accepted(struct asked *asked)
{
    (void)pthread_mutex_lock(&asked->lock);
    while (!asked->is_accepted)
        (void)pthread_cond_wait(&asked->change, &asked->lock);
    (void)pthread_mutex_unlock(&asked->lock);
    return asked->err;
}

struct wanted {
    Ledger__Call call;
    Ledger__Request request;
};

static inline struct wanted *
wanted_init(struct wanted *wanted, const char *tenant, const char *key, uint32_t attempts)
{
    ledger__call__init(&wanted->call);
    ledger__request__init(&wanted->request);
    wanted->call.tenant = (char *)(uintptr_t)tenant;
    wanted->call.key = (char *)(uintptr_t)key;
    wanted->call.request = &wanted->request;
    wanted->request.attempts = attempts;
    return wanted;
}

static uint64_t
ask(struct world *w, struct asked *asked, uint32_t attempts)
{
    struct wanted wanted;
    uint64_t id;

    asked_init(asked);
    assert_int_equal(planner_call(w->planner, &wanted_init(&wanted, "t", "", attempts)->call,
                                  on_end, asked, &id),
                     0);
    return id;
}

static uint64_t
ask_async(struct world *w, struct asked *asked, const char *key, uint32_t attempts)
{
    struct wanted wanted;

    asked_init(asked);
    assert_int_equal(planner_call_async(w->planner, &wanted_init(&wanted, "t", key, attempts)->call,
                                        on_accepted, on_end, asked),
                     0);
    (void)await_accepted(asked);
    return asked->id;
}

static inline Ledger__State
state_of(struct world *w, uint64_t id)
{
    Ledger__State state;
    Ledger__Call *call;

    if (planner_get(w->planner, "t", id, &call, NULL) != 0)
        return LEDGER__STATE__STATE_NONE;
    state = call->state;
    ledger__call__free_unpacked(call, NULL);
    return state;
}

#endif
