/* SPDX-License-Identifier: Apache-2.0
 *
 * The starter: one thread that starts jails and takes them down. Either may take
 * tens of milliseconds, and more where the machine is short of something, so
 * nobody else waits for it.
 *
 * Takes down before it starts: a tenant's network has a name that only one jail at
 * a time can use.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "worker/worker_internal.h"

#define STRESS_MAX 64

/* Names of jails are unique in a process, of which each may have several workers. */
static _Atomic uint64_t names = 1;

/* What is to be done next. */
struct task {
    struct worker_cell *cell;     /* to take down */
    struct worker_tenant *tenant; /* to start a cell for, with a reference; NULL: for the pool */
    struct jail_limits limits;
};

/* Handed over to the new process, which is a copy of this one. */
struct start {
    char *environment[2];
    char stress[STRESS_MAX];
};

/* In the new process: becomes the program of cells. A session of its own, so that
 * keys at a terminal are for us, and we end the cell. */
static int
become_cell(void *context, const int *descriptors, size_t count)
{
    static char name[] = "weft-cell";
    char *const args[] = {name, NULL};
    struct start *start = context;

    (void)descriptors;
    if (count != 2 || fcntl(WORKER_PROGRAM_FD, F_SETFD, FD_CLOEXEC) != 0)
        return 126;
    (void)setsid();
    (void)fexecve(WORKER_PROGRAM_FD, args, start->environment);
    return 127;
}

static void
start_init(struct start *start)
{
    const char *stress = getenv("WEFT_STRESS");

    (void)memset(start, 0, sizeof(*start));
    if (stress == NULL || strlen(stress) + sizeof("WEFT_STRESS=") > STRESS_MAX)
        return;
    (void)snprintf(start->stress, sizeof(start->stress), "WEFT_STRESS=%s", stress);
    start->environment[0] = start->stress;
}

/* The libraries of a cell that is not one file. Some systems have two of them as
 * links into the third, or not at all. */
static size_t
list_libraries(struct jail_path paths[3])
{
    static const char *const folders[] = {"/usr/lib", "/lib", "/lib64"};
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        if (access(folders[i], X_OK) == 0)
            paths[count++] = (struct jail_path){folders[i], folders[i], false};
    return count;
}

static int
start_jail(struct worker *worker, const struct task *task, int ends[2], struct jail **jail,
           struct diag *diag)
{
    const int descriptors[] = {ends[1], worker->program_fd};
    struct jail_path paths[3];
    struct start start;
    char name[2 * WORKER_NAME_MAX];
    struct jail_config config = {.name = name,
                                 .main = become_cell,
                                 .context = &start,
                                 .descriptors = descriptors,
                                 .descriptor_count = ARRAY_COUNT(descriptors),
                                 .stdio = {-1, -1, -1},
                                 .limits = task->limits,
                                 .is_strict = worker->is_strict,
                                 .paths = paths};

    (void)snprintf(name, sizeof(name), "%s-%" PRIu64, worker->name,
                   atomic_fetch_add_explicit(&names, 1, memory_order_relaxed));
    start_init(&start);
    config.path_count = worker->is_dynamic ? list_libraries(paths) : 0;
    /* Builds for testing report there what they find. */
    if (worker->is_dynamic && fcntl(STDERR_FILENO, F_GETFD) >= 0)
        config.stdio[2] = STDERR_FILENO;
    if (task->tenant != NULL)
        config.network = task->tenant->network;
    return jail_start(&config, jail, diag);
}

static int
start_cell(struct worker *worker, const struct task *task, struct diag *diag)
{
    struct jail *jail = NULL;
    int ends[2] = {-1, -1};
    int err = fault_point("worker.start");

    if (err == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        err = -errno;
    if (err != 0)
        return diag_set(diag, err, "cannot make a socket pair: %s", strerror(-err));
    err = start_jail(worker, task, ends, &jail, diag);
    file_close(&ends[1]);
    if (err == 0)
        return worker_place_add(worker, task->tenant, jail, ends[0]);
    file_close(&ends[0]);
    return err;
}

/* ------------------------------------------------------------------- what to do next */

/* The first tenant that waits for a cell of its own, and has none that still is there. At
 * again_ns at the latest there may be another: who waits in a pause has its calls ended by
 * the loop, but by another reading of the clock. */
static struct worker_tenant *
own_wanted(const struct worker *worker, uint64_t now_ns, uint64_t *again_ns)
{
    for (struct worker_tenant *tenant = worker->waiting; tenant != NULL; tenant = tenant->waits) {
        if (!tenant->is_own || tenant->is_starting || tenant->is_removed || tenant->own_cells > 0)
            continue;
        if (now_ns >= tenant->retry_at_ns)
            return tenant;
        *again_ns = tenant->retry_at_ns < *again_ns ? tenant->retry_at_ns : *again_ns;
    }
    return NULL;
}

/* Whether there is something at this time, else when to look again; with the lock. */
static bool
choose(struct worker *worker, struct task *task, uint64_t now_ns, uint64_t *again_ns)
{
    *again_ns = now_ns < worker->retry_at_ns ? worker->retry_at_ns : CLOCK_NEVER_NS;
    *task = (struct task){.limits = {.files = worker->files}};
    task->cell = worker->down;
    if (task->cell != NULL) {
        worker->down = task->cell->next;
        return true;
    }
    if (worker->is_stopping)
        return false;
    task->tenant = own_wanted(worker, now_ns, again_ns);
    if (task->tenant == NULL &&
        (worker->ready + worker->greeting >= worker->pool_size + worker->waiting_pool ||
         now_ns < worker->retry_at_ns))
        return false;
    if (task->tenant == NULL) {
        worker->greeting++;
        return true;
    }
    task->limits = task->tenant->limits;
    if (task->limits.files == 0)
        task->limits.files = worker->files;
    task->tenant->is_starting = true;
    task->tenant->references++;
    return true;
}

/* With the lock: for the next task, or until then. */
static void
await_work(struct worker *worker, uint64_t again_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(again_ns / CLOCK_NS_PER_SECOND),
                                   .tv_nsec = (long)(again_ns % CLOCK_NS_PER_SECOND)};

    if (again_ns != CLOCK_NEVER_NS)
        (void)pthread_cond_timedwait(&worker->work, &worker->lock, &until);
    else
        (void)pthread_cond_wait(&worker->work, &worker->lock);
}

/* With the lock. */
static void
note_failure(struct worker *worker, const struct task *task, const struct diag *diag)
{
    struct worker_tenant *tenant = task->tenant;
    uint64_t now_ns = clock_now_ns();

    if (tenant != NULL) {
        tenant->is_starting = false;
        tenant->early_deaths++;
        tenant->retry_at_ns = now_ns + worker_retry_ns(tenant->early_deaths);
        worker_reason(tenant->reason, "%s", diag_text(diag));
    } else {
        worker->greeting--;
        worker->failures++;
        worker->retry_at_ns = now_ns + worker_retry_ns(worker->failures);
        worker_reason(worker->reason, "%s", diag_text(diag));
        (void)pthread_cond_broadcast(&worker->changed);
    }
    worker_wake(worker);
}

/* Without the lock. */
static void
take_down(struct worker_cell *cell)
{
    struct worker *worker = cell->worker;

    jail_destroy(cell->jail);
    (void)pthread_mutex_lock(&worker->lock);
    if (cell->owner != NULL) {
        cell->owner->own_cells--;
        worker_tenant_put(cell->owner);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    worker_place_destroy(cell);
}

static void
start(struct worker *worker, const struct task *task)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = start_cell(worker, task, &diag);
    if (err != 0)
        (void)diag_set(&diag, err, "cannot start a cell: %s", strerror(-err));
    (void)pthread_mutex_lock(&worker->lock);
    if (err != 0)
        note_failure(worker, task, &diag);
    if (task->tenant != NULL)
        worker_tenant_put(task->tenant);
    (void)pthread_mutex_unlock(&worker->lock);
}

void *
worker_starter_run(void *context)
{
    struct worker *worker = context;
    struct task task;

    (void)!jail_sweep();
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->is_stopping || !worker->is_loop_over || worker->down != NULL) {
        uint64_t again_ns;

        if (!choose(worker, &task, clock_now_ns(), &again_ns)) {
            await_work(worker, again_ns);
            continue;
        }
        (void)pthread_mutex_unlock(&worker->lock);
        if (task.cell != NULL)
            take_down(task.cell);
        else
            start(worker, &task);
        (void)pthread_mutex_lock(&worker->lock);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}
