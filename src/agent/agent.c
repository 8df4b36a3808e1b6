/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent from its start to its end.
 */
#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

#define DIAL_BASE_NS      UINT64_C(50000000)
#define DIAL_MAX_NS       UINT64_C(3000000000)
#define DIAL_JITTER       50u
#define WORKER_NAME_BYTES 40u
#define NAME_LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

void
agent_wake(struct agent *agent)
{
    const uint64_t one = 1;

    /* Full is as good: it will wake. */
    (void)!write(agent->wake_fd, &one, sizeof(one));
}

void
agent_reason(char reason[AGENT_REASON_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, AGENT_REASON_MAX, format, args);
    va_end(args);
}

/* ------------------------------------------------------------------- what was asked for */

static bool
is_name(const char *name, size_t bytes_max)
{
    size_t count = strlen(name);

    return count > 0 && count <= bytes_max && strspn(name, NAME_LETTERS) == count;
}

static int
read_names(struct agent *agent, const struct agent_config *config, struct diag *diag)
{
    char machine[AGENT_NAME_BYTES_MAX + 1] = "";
    const char *name = config->name;

    if (name == NULL) {
        if (gethostname(machine, sizeof(machine) - 1) != 0)
            return diag_set(diag, -errno, "cannot tell the machine's name: %s; give one",
                            strerror(errno));
        name = machine;
    }
    if (!is_name(name, AGENT_NAME_BYTES_MAX))
        return diag_set(diag, -EINVAL, "a host's name is 1 to %u letters, digits, - . and _",
                        AGENT_NAME_BYTES_MAX);
    if (config->zone != NULL && !is_name(config->zone, AGENT_NAME_BYTES_MAX))
        return diag_set(diag, -EINVAL, "a zone's name is 1 to %u letters, digits, - . and _",
                        AGENT_NAME_BYTES_MAX);
    (void)snprintf(agent->name, sizeof(agent->name), "%s", name);
    (void)snprintf(agent->zone, sizeof(agent->zone), "%s",
                   config->zone != NULL ? config->zone : "");
    return 0;
}

/* Whether net_dial may understand it: what it says otherwise comes too late. */
static bool
is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    unsigned long port;
    char *end;

    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/' && strlen(text) < NET_ADDRESS_MAX;
    if (colon == NULL || colon == text || colon[1] < '0' || colon[1] > '9' ||
        strlen(text) >= NET_ADDRESS_MAX)
        return false;
    port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port > 0 && port <= 65535;
}

static int
read_addresses(struct agent *agent, const char *text, struct diag *diag)
{
    char *rest = NULL;

    agent->addresses = strdup(text != NULL ? text : "");
    if (agent->addresses == NULL)
        return diag_set(diag, -ENOMEM, "no memory for the planner's address");
    for (char *part = strtok_r(agent->addresses, ", ", &rest); part != NULL;
         part = strtok_r(NULL, ", ", &rest)) {
        if (agent->address_count == AGENT_ADDRESSES_MAX || !is_address(part))
            return diag_set(diag, -EINVAL,
                            "planner %.200s: give host:port or unix:/path, at most %u with commas "
                            "between",
                            part, AGENT_ADDRESSES_MAX);
        agent->address[agent->address_count++] = part;
    }
    if (agent->address_count == 0)
        return diag_set(diag, -EINVAL, "the planner's address is missing: host:port");
    return 0;
}

static int
read_sizes(struct agent *agent, const struct agent_config *config, struct diag *diag)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);

    agent->cores = cores > 0 ? (uint32_t)cores : 1;
    agent->slots = config->slots != 0 ? config->slots : agent->cores * AGENT_SLOTS_A_CPU;
    if (agent->slots > AGENT_SLOTS_MAX)
        return diag_set(diag, -EINVAL, "%u slots: at most %u", agent->slots, AGENT_SLOTS_MAX);
    agent->memory_bytes = config->memory_bytes;
    if (agent->memory_bytes == 0 && pages > 0)
        agent->memory_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) / 4 * 3;
    return 0;
}

/* ----------------------------------------------------------------------- the directory */

static int
make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int err;

        *slash = '\0';
        err = mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -errno;
        *slash = '/';
        if (err != 0)
            return err;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

/* One agent has it; names beneath are built from its real path. */
static int
open_data(struct agent *agent, const char *given, struct diag *diag)
{
    char path[AGENT_PATH_MAX + 16], *real;
    int err;

    if (given == NULL || given[0] == '\0' || strlen(given) >= AGENT_PATH_MAX)
        return diag_set(diag, -EINVAL, "the directory for what the agent keeps is missing");
    (void)snprintf(path, sizeof(path), "%s", given);
    err = make_directories(path);
    real = err == 0 ? realpath(path, NULL) : NULL;
    if (err == 0 && real == NULL)
        err = -errno;
    if (err == 0 && strlen(real) >= AGENT_PATH_MAX - 256)
        err = -ENAMETOOLONG;
    if (err == 0)
        (void)snprintf(agent->data, sizeof(agent->data), "%s", real);
    free(real);
    if (err != 0)
        return diag_set(diag, err, "cannot make the directory %.256s: %s", given, strerror(-err));
    (void)snprintf(path, sizeof(path), "%s/agent.lock", agent->data);
    agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (agent->lock_fd < 0)
        return diag_set(diag, -errno, "cannot open %.256s: %s", path, strerror(errno));
    if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return diag_set(diag, -EBUSY, "another agent has the directory %.256s", agent->data);
    err = agent_files_open(agent, diag);
    return err == 0 ? agent_cache_open(agent, diag) : err;
}

/* ---------------------------------------------------------------------- worker, threads */

static int
start_worker(struct agent *agent, const struct agent_config *config, struct diag *diag)
{
    char name[WORKER_NAME_BYTES + 1] = "weft-";
    const struct worker_config worker = {.cell_program = config->cell_program,
                                         .name = name,
                                         .ready = config->ready,
                                         .is_strict = config->is_strict,
                                         .on_chain = agent_chain_heard,
                                         .on_chain_cancel = agent_chain_cancelled,
                                         .on_state = agent_state_heard,
                                         .chain_context = agent};
    size_t at = strlen(name);

    /* A jail's name has fewer letters than a host's. */
    for (const char *from = agent->name; *from != '\0' && at < WORKER_NAME_BYTES / 2; from++)
        name[at++] = (char)(*from == '.' || *from == '_' ? '-' : *from);
    name[at] = '\0';
    return worker_create(&worker, &agent->worker, diag);
}

static int
open_descriptors(struct agent *agent)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    int err = fault_point("agent.create");

    agent->epoll_fd = err != 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (agent->epoll_fd < 0)
        return err != 0 ? err : -errno;
    err = fault_point("agent.create");
    agent->wake_fd = err != 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (agent->wake_fd < 0)
        return err != 0 ? err : -errno;
    /* Without it nobody is told how busy the machine is, no more. */
    agent->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    return epoll_ctl(agent->epoll_fd, EPOLL_CTL_ADD, agent->wake_fd, &event) == 0 ? 0 : -errno;
}

/* Signals are for the threads of who uses us. */
static int
start_thread(struct agent *agent, pthread_t *thread, void *(*run)(void *), const char *name)
{
    sigset_t all, old;
    int err = fault_point("agent.create");

    if (err != 0)
        return err;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = -pthread_create(thread, NULL, run, agent);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err == 0)
        (void)pthread_setname_np(*thread, name);
    return err;
}

static int
start_threads(struct agent *agent)
{
    int err = start_thread(agent, &agent->disk, agent_disk_run, "agent-disk");

    agent->has_disk = err == 0;
    if (err != 0)
        return err;
    err = start_thread(agent, &agent->link, agent_link_run, "agent-link");
    agent->has_link = err == 0;
    return err;
}

static struct agent *
allocate(void)
{
    struct agent *agent = fault_point("agent.create") != 0 ? NULL : calloc(1, sizeof(*agent));
    uint64_t seed = 0;

    if (agent == NULL)
        return NULL;
    agent->lock_fd = agent->epoll_fd = agent->wake_fd = agent->stat_fd = -1;
    agent->dialling_fd = -1;
    agent->todo.end = &agent->todo.first;
    agent->done.end = &agent->done.first;
    agent->next_serial = 1;
    agent->retry_at_ns = CLOCK_NEVER_NS;
    (void)!getrandom(&seed, sizeof(seed), 0);
    net_backoff_init(&agent->backoff, DIAL_BASE_NS, DIAL_MAX_NS, DIAL_JITTER, seed);
    (void)pthread_mutex_init(&agent->start_lock, NULL);
    (void)pthread_mutex_init(&agent->lock, NULL);
    (void)pthread_mutex_init(&agent->send_lock, NULL);
    (void)pthread_mutex_init(&agent->disk_lock, NULL);
    (void)pthread_cond_init(&agent->disk_work, NULL);
    agent_reason(agent->reason, "it has not tried to connect yet");
    return agent;
}

/* ------------------------------------------------------------------------------ ending */

static void
stop_threads(struct agent *agent)
{
    if (agent->has_link) {
        (void)pthread_mutex_lock(&agent->lock);
        agent->is_stopping = true;
        (void)pthread_mutex_unlock(&agent->lock);
        agent_wake(agent);
        (void)pthread_join(agent->link, NULL);
    }
    if (agent->has_disk) {
        (void)pthread_mutex_lock(&agent->disk_lock);
        agent->is_disk_stopping = true;
        (void)pthread_cond_signal(&agent->disk_work);
        (void)pthread_mutex_unlock(&agent->disk_lock);
        (void)pthread_join(agent->disk, NULL);
    }
}

/* The worker ends all calls, and with them all that our threads have left of runs. */
void
agent_destroy(struct agent *agent)
{
    if (agent == NULL)
        return;
    stop_threads(agent);
    worker_destroy(agent->worker);
    agent_want_free_all(agent);
    agent_run_free_all(agent);
    agent_chain_free_all(agent);
    agent_function_free_all(agent);
    agent_cache_close(agent);
    net_secret_destroy(agent->secret);
    file_close(&agent->lock_fd);
    file_close(&agent->epoll_fd);
    file_close(&agent->wake_fd);
    file_close(&agent->stat_fd);
    free(agent->addresses);
    (void)pthread_cond_destroy(&agent->disk_work);
    (void)pthread_mutex_destroy(&agent->disk_lock);
    (void)pthread_mutex_destroy(&agent->send_lock);
    (void)pthread_mutex_destroy(&agent->lock);
    (void)pthread_mutex_destroy(&agent->start_lock);
    free(agent);
}

int
agent_create(const struct agent_config *config, struct agent **out, struct diag *diag)
{
    struct agent *agent = allocate();
    int err;

    if (agent == NULL)
        return diag_set(diag, -ENOMEM, "no memory for an agent");
    err = config->key == NULL ? diag_set(diag, -EINVAL, "the cluster's key is missing")
                              : read_names(agent, config, diag);
    if (err == 0)
        err = read_addresses(agent, config->planner, diag);
    if (err == 0)
        err = read_sizes(agent, config, diag);
    if (err == 0)
        err = net_secret_create(config->key, HOST_LABEL, &agent->secret);
    if (err == 0)
        err = open_data(agent, config->data, diag);
    if (err == 0)
        err = open_descriptors(agent);
    if (err == 0)
        err = start_worker(agent, config, diag);
    if (err == 0)
        err = start_threads(agent);
    if (err != 0) {
        agent_destroy(agent);
        return diag_set(diag, err, "cannot start an agent: %s", strerror(-err));
    }
    *out = agent;
    return 0;
}

/* ------------------------------------------------------------------------------ looking */

void
agent_leave(struct agent *agent)
{
    (void)pthread_mutex_lock(&agent->lock);
    agent->is_leaving = true;
    (void)pthread_mutex_unlock(&agent->lock);
    agent_wake(agent);
}

void
agent_look(struct agent *agent, struct agent_view *out)
{
    (void)pthread_mutex_lock(&agent->lock);
    *out = (struct agent_view){.is_registered = agent->is_registered,
                               .calls = agent->calls,
                               .ended = agent->ended,
                               .unheard = agent->unheard,
                               .functions = agent->view_functions,
                               .blobs_wanted = agent->view_wants};
    if (!agent->is_registered)
        (void)memcpy(out->reason, agent->reason, sizeof(out->reason));
    (void)pthread_mutex_unlock(&agent->lock);
}
