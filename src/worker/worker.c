/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker from its start to its end.
 */
#include "worker/worker.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/utf8.h"
#include "worker/worker_internal.h"

#define PROGRAM_NAME     "weft-cell"
#define TABLE_SIZE_FIRST 1024u
#define NAME_LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
/* What a jail that has all limits, but no network, is made of. */
#define STRICT_FEATURES ((uint32_t)JAIL_FEATURES_ALL & ~(uint32_t)JAIL_NETWORK_RATE)

void
worker_wake(struct worker *worker)
{
    const uint64_t one = 1;

    /* Full is as good: it will wake. */
    (void)!write(worker->wake_fd, &one, sizeof(one));
}

static _Thread_local const struct worker *loop_of;

bool
worker_is_loop(const struct worker *worker)
{
    return loop_of == worker;
}

void
worker_set_loop(const struct worker *worker)
{
    loop_of = worker;
}

static bool
is_made_of(const char *name, const char *allowed, size_t bytes_max)
{
    return name != NULL && name[0] != '\0' && strlen(name) <= bytes_max &&
           name[strspn(name, allowed)] == '\0';
}

bool
worker_is_name(const char *name)
{
    return is_made_of(name, NAME_LETTERS "-", WORKER_NAME_MAX);
}

bool
worker_is_tenant_name(const char *name)
{
    return is_made_of(name, NAME_LETTERS "-_", WORKER_TENANT_NAME_MAX);
}

bool
worker_is_text(const char *text)
{
    return text == NULL || utf8_is_valid(text, strlen(text));
}

bool
worker_are_texts(const char *const *texts, size_t count)
{
    if (count > WORKER_STRINGS_MAX || (count > 0 && texts == NULL))
        return false;
    for (size_t i = 0; i < count; i++)
        if (texts[i] == NULL || !worker_is_text(texts[i]))
            return false;
    return true;
}

void
worker_look_at(struct worker *worker, uint64_t at_ns)
{
    if (at_ns >= worker->look_at_ns)
        return;
    worker->look_at_ns = at_ns;
    if (!worker_is_loop(worker))
        worker_wake(worker);
}

uint64_t
worker_retry_ns(uint32_t failures)
{
    uint64_t wait_ns = WORKER_RETRY_NS;

    for (uint32_t i = 1; i < failures && wait_ns < WORKER_RETRY_NS_MAX; i++)
        wait_ns *= 2;
    return wait_ns < WORKER_RETRY_NS_MAX ? wait_ns : WORKER_RETRY_NS_MAX;
}

void
worker_reason(char reason[WORKER_REASON_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, WORKER_REASON_MAX, format, args);
    va_end(args);
}

/* ------------------------------------------------------------------------- creating */

/* Beside the program that runs. */
static int
find_program(char path[4096])
{
    ssize_t length = readlink("/proc/self/exe", path, 4096 - sizeof(PROGRAM_NAME));
    char *slash;

    if (length < 0)
        return -errno;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return -ENOENT;
    (void)snprintf(slash + 1, sizeof(PROGRAM_NAME), PROGRAM_NAME);
    return 0;
}

/* Whether it is an ELF file that another program must load. -ENOEXEC: no ELF file. */
static int
read_is_dynamic(int fd, bool *is_dynamic)
{
    Elf64_Ehdr header;
    Elf64_Phdr part;

    *is_dynamic = false;
    if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(part))
        return -ENOEXEC;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        if (pread(fd, &part, sizeof(part), (off_t)(header.e_phoff + i * sizeof(part))) !=
            sizeof(part))
            return -ENOEXEC;
        *is_dynamic |= part.p_type == PT_INTERP;
    }
    return 0;
}

static int
open_program(struct worker *worker, const char *given, struct diag *diag)
{
    char path[4096];
    int err = given != NULL ? 0 : find_program(path);
    const char *name = given != NULL ? given : path;

    if (err == 0) {
        worker->program_fd = open(name, O_RDONLY | O_CLOEXEC);
        err = worker->program_fd < 0 ? -errno : 0;
    }
    if (err == 0)
        err = read_is_dynamic(worker->program_fd, &worker->is_dynamic);
    if (err != 0)
        return diag_set(diag, err, "cannot use the program of cells %s: %s", name, strerror(-err));
    return 0;
}

static int
check_strict(struct diag *diag)
{
    uint32_t missing = STRICT_FEATURES & ~jail_features();

    for (uint32_t bit = 1; bit < JAIL_FEATURES_ALL; bit <<= 1)
        if ((missing & bit) != 0)
            return diag_set(diag, -EPERM, "missing on this machine: %s: %s",
                            jail_feature_name((enum jail_feature)bit),
                            jail_feature_advice((enum jail_feature)bit));
    return 0;
}

static int
open_loop(struct worker *worker)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    int err = fault_point("worker.create");

    worker->epoll_fd = err != 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll_fd < 0)
        return err != 0 ? err : -errno;
    err = fault_point("worker.create");
    worker->wake_fd = err != 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake_fd < 0)
        return err != 0 ? err : -errno;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) != 0)
        return -errno;
    worker->table_size = TABLE_SIZE_FIRST;
    err = fault_point("worker.create");
    worker->table = err != 0 ? NULL : calloc(worker->table_size, sizeof(struct worker_record *));
    return worker->table != NULL ? 0 : -ENOMEM;
}

/* Signals are for the threads of who uses us. */
static int
start_thread(pthread_t *thread, void *(*run)(void *), struct worker *worker, const char *name)
{
    sigset_t all, old;
    int err = fault_point("worker.create");

    if (err != 0)
        return err;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = -pthread_create(thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err == 0)
        (void)pthread_setname_np(*thread, name);
    return err;
}

/* As many descriptors as there may be, and a tenant's limit lowers it. */
static uint32_t
files_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > WORKER_FILES_MAX)
        return WORKER_FILES_MAX;
    return (uint32_t)limit.rlim_max;
}

static struct worker *
allocate(const struct worker_config *config)
{
    struct worker *worker = fault_point("worker.create") != 0 ? NULL : calloc(1, sizeof(*worker));
    pthread_condattr_t monotonic;
    pthread_mutexattr_t brief;

    if (worker == NULL)
        return NULL;
    (void)snprintf(worker->name, sizeof(worker->name), "%s", config->name);
    worker->program_fd = worker->epoll_fd = worker->wake_fd = -1;
    worker->is_strict = config->is_strict;
    worker->pool_size = config->ready == 0                ? WORKER_READY_DEFAULT
                        : config->ready == WORKER_NO_POOL ? 0
                                                          : config->ready;
    worker->files = files_max();
    worker->idle_ns = config->idle_ns == 0 ? WORKER_IDLE_NS_DEFAULT : config->idle_ns;
    worker->on_chain = config->on_chain;
    worker->on_chain_cancel = config->on_chain_cancel;
    worker->on_state = config->on_state;
    worker->refuse_at_ns = CLOCK_NEVER_NS;
    worker->chain_context = config->chain_context;
    (void)!getrandom(&worker->chain_key, sizeof(worker->chain_key), 0);
    worker->chain_key |= 1;
    worker->waiting_end = &worker->waiting;
    worker->next_id = worker->next_serial = worker->next_function = 1;
    worker->look_at_ns = CLOCK_NEVER_NS;
    /* Held for moments: who finds it taken does better not to sleep. */
    (void)pthread_mutexattr_init(&brief);
    (void)pthread_mutexattr_settype(&brief, PTHREAD_MUTEX_ADAPTIVE_NP);
    (void)pthread_mutex_init(&worker->lock, &brief);
    (void)pthread_mutexattr_destroy(&brief);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&worker->work, &monotonic);
    (void)pthread_cond_init(&worker->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return worker;
}

static void
release(struct worker *worker)
{
    file_close(&worker->program_fd);
    file_close(&worker->epoll_fd);
    file_close(&worker->wake_fd);
    free(worker->table);
    (void)pthread_cond_destroy(&worker->work);
    (void)pthread_cond_destroy(&worker->changed);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker);
}

static void
stop_loop(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->is_stopping = true;
    (void)pthread_mutex_unlock(&worker->lock);
    worker_wake(worker);
    (void)pthread_join(worker->loop, NULL);
}

int
worker_create(const struct worker_config *config, struct worker **out, struct diag *diag)
{
    struct worker *worker;
    int err;

    if (!worker_is_name(config->name))
        return diag_set(diag, -EINVAL, "a worker's name is 1 to %u letters, digits and -",
                        WORKER_NAME_MAX);
    if (config->ready > WORKER_POOL_MAX && config->ready != WORKER_NO_POOL)
        return diag_set(diag, -EINVAL, "a pool has at most %u cells", WORKER_POOL_MAX);
    /* Tried out once, in children that allocate memory: while no thread of ours can hold
     * an allocator's lock, which not every allocator (a sanitizer's) frees in a child. */
    (void)jail_features();
    err = config->is_strict ? check_strict(diag) : 0;
    if (err != 0)
        return err;
    worker = allocate(config);
    if (worker == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a worker");
    err = open_program(worker, config->cell_program, diag);
    if (err == 0)
        err = open_loop(worker);
    if (err == 0)
        err = start_thread(&worker->loop, worker_loop_run, worker, "weft-loop");
    if (err != 0)
        goto release_worker;
    err = start_thread(&worker->starter, worker_starter_run, worker, "weft-starter");
    if (err != 0)
        goto end_loop;
    *out = worker;
    return 0;

end_loop:
    stop_loop(worker);
release_worker:
    release(worker);
    return diag_set(diag, err, "cannot start a worker: %s", strerror(-err));
}

/* --------------------------------------------------------------------------- ending */

/* What its user has not removed. */
static void
free_tenants(struct worker *worker)
{
    while (worker->tenants != NULL) {
        struct worker_tenant *tenant = worker->tenants;

        ASSERT(tenant->calls == 0 && tenant->cell == NULL);
        if (!tenant->is_removed) {
            tenant->is_removed = true;
            while (tenant->functions != NULL)
                worker_function_dismiss(tenant->functions);
            worker_tenant_put(tenant);
        }
        ASSERT(worker->tenants != tenant);
    }
}

void
worker_destroy(struct worker *worker)
{
    if (worker == NULL)
        return;
    ASSERT(!worker_is_loop(worker));
    stop_loop(worker);
    (void)pthread_mutex_lock(&worker->lock);
    (void)pthread_cond_broadcast(&worker->work);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->starter, NULL);
    (void)pthread_mutex_lock(&worker->lock);
    ASSERT(worker->cells == NULL && worker->leaving == NULL && worker->down == NULL);
    ASSERT(worker->call_count == 0);
    free_tenants(worker);
    (void)pthread_mutex_unlock(&worker->lock);
    release(worker);
}

uint32_t
worker_ready_cells(struct worker *worker)
{
    uint32_t count;

    (void)pthread_mutex_lock(&worker->lock);
    count = worker->ready;
    (void)pthread_mutex_unlock(&worker->lock);
    return count;
}

int
worker_await_ready(struct worker *worker, uint64_t deadline_ns, struct diag *diag)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_SECOND),
                                   .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_SECOND)};
    int err = 0;

    (void)pthread_mutex_lock(&worker->lock);
    while (err == 0 && worker->ready < worker->pool_size && worker->failures == 0)
        err = deadline_ns == CLOCK_NEVER_NS
                  ? pthread_cond_wait(&worker->changed, &worker->lock)
                  : pthread_cond_timedwait(&worker->changed, &worker->lock, &until);
    if (worker->failures > 0)
        err = diag_set(diag, -EIO, "cannot start cells: %s", worker->reason);
    else if (err != 0)
        err = diag_set(diag, -err, "%" PRIu32 " of %" PRIu32 " cells are ready", worker->ready,
                       worker->pool_size);
    (void)pthread_mutex_unlock(&worker->lock);
    return err;
}
