/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread for what may take long: blobs, files, and what of the worker waits for cells.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"

/* -------------------------------------------------------------------------------- jobs */

static void
append(struct agent_jobs *jobs, struct agent_job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

static struct agent_job *
take(struct agent_jobs *jobs)
{
    struct agent_job *job = jobs->first;

    if (job == NULL)
        return NULL;
    jobs->first = job->next;
    if (jobs->first == NULL)
        jobs->end = &jobs->first;
    return job;
}

void
agent_disk_push(struct agent *agent, struct agent_job *job, enum agent_job_kind kind, void *about)
{
    job->kind = kind;
    job->about = about;
    (void)pthread_mutex_lock(&agent->disk_lock);
    append(&agent->todo, job);
    (void)pthread_cond_signal(&agent->disk_work);
    (void)pthread_mutex_unlock(&agent->disk_lock);
}

struct agent_job *
agent_disk_take(struct agent *agent)
{
    struct agent_job *job;

    (void)pthread_mutex_lock(&agent->disk_lock);
    job = take(&agent->done);
    (void)pthread_mutex_unlock(&agent->disk_lock);
    return job;
}

/* ----------------------------------------------------------------------------- tenants */

static int
open_tenant(struct agent *agent, struct agent_tenant *tenant, struct diag *diag)
{
    struct worker_tenant_config config = {.name = tenant->name};
    struct worker_tenant *handle;
    int err;

    if (tenant->handle != NULL)
        return 0;
    (void)pthread_mutex_lock(&agent->lock);
    config.limits = tenant->limits;
    (void)pthread_mutex_unlock(&agent->lock);
    err = worker_tenant_add(agent->worker, &config, &handle, diag);
    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&agent->lock);
    tenant->handle = handle;
    (void)pthread_mutex_unlock(&agent->lock);
    tenant->disk_next = agent->disk_tenants;
    agent->disk_tenants = tenant;
    return 0;
}

/* Limits that the machine refuses are for its next cell; that one says why. */
static void
limit_tenant(struct agent *agent, struct agent_tenant *tenant)
{
    struct jail_limits limits;

    (void)pthread_mutex_lock(&agent->lock);
    tenant->is_limit_queued = false;
    limits = tenant->limits;
    (void)pthread_mutex_unlock(&agent->lock);
    if (tenant->handle != NULL)
        (void)!worker_tenant_limit(tenant->handle, &limits, NULL);
}

static void
look_at(struct agent *agent, struct agent_tenant *tenant, struct agent_usage *sum)
{
    struct worker_usage usage;

    worker_tenant_usage(tenant->handle, &usage);
    if (usage.pid != tenant->pid || usage.now.cpu_ns < tenant->cpu_ns) {
        agent->past.cpu_ns += tenant->cpu_ns;
        tenant->cpu_ns = 0;
        tenant->pid = usage.pid;
    }
    if (usage.pid != 0)
        tenant->cpu_ns = usage.now.cpu_ns;
    tenant->cells_lost = usage.cells_lost;
    if (usage.pid == 0 && usage.calls == 0) {
        (void)pthread_mutex_lock(&agent->lock);
        tenant->cells += tenant->runs == 0 ? 1 : 0;
        (void)pthread_mutex_unlock(&agent->lock);
    }
    sum->cpu_ns += tenant->cpu_ns;
    sum->memory_bytes += usage.now.memory_bytes;
    sum->cells += usage.pid != 0 ? 1 : 0;
    sum->cells_lost += tenant->cells_lost;
}

static void
look_at_all(struct agent *agent)
{
    struct agent_usage sum = {0};

    for (struct agent_tenant *tenant = agent->disk_tenants; tenant != NULL;
         tenant = tenant->disk_next)
        look_at(agent, tenant, &sum);
    sum.ready_cells = worker_ready_cells(agent->worker);
    sum.cpu_ns += agent->past.cpu_ns;
    sum.cells_lost += agent->past.cells_lost;
    (void)pthread_mutex_lock(&agent->lock);
    agent->usage = sum;
    (void)pthread_mutex_unlock(&agent->lock);
}

static void
remove_tenant(struct agent *agent, struct agent_tenant *tenant)
{
    struct agent_tenant **at = &agent->disk_tenants;
    struct worker_tenant *handle = tenant->handle;
    struct agent_usage last = {0};

    if (handle == NULL)
        return;
    look_at(agent, tenant, &last);
    agent->past.cpu_ns += tenant->cpu_ns;
    agent->past.cells_lost += tenant->cells_lost;
    while (*at != tenant)
        at = &(*at)->disk_next;
    *at = tenant->disk_next;
    /* Whoever chains meanwhile still finds its name. */
    worker_tenant_remove(handle);
    (void)pthread_mutex_lock(&agent->lock);
    tenant->handle = NULL;
    (void)pthread_mutex_unlock(&agent->lock);
}

/* --------------------------------------------------------------------------- functions */

static const Rpc__HostFunction *
words_of(const struct agent_function *function)
{
    return function->down->function;
}

/* Its blobs in order: image, Proto-Faaslet, files. false: no more. */
static bool
blob_at(const Rpc__HostFunction *words, size_t index, struct store_hash *out)
{
    bool has_proto = words->proto.len > 0;

    if (index == 0)
        return agent_hash_of(&words->image, out);
    if (index == 1 && has_proto)
        return agent_hash_of(&words->proto, out);
    index -= has_proto ? 2 : 1;
    return index < words->n_files && agent_hash_of(&words->files[index]->hash, out);
}

static void
release_blobs(struct agent *agent, const struct agent_function *function, size_t count)
{
    struct store_hash hash;

    for (size_t i = 0; i < count && blob_at(words_of(function), i, &hash); i++)
        agent_cache_release(agent, &hash);
}

static void
note_lack(struct agent_function *function, const struct store_hash *hash)
{
    for (size_t i = 0; i < function->lack_count; i++)
        if (memcmp(&function->lacks[i], hash, sizeof(*hash)) == 0)
            return;
    function->lacks[function->lack_count++] = *hash;
}

/* Whether it is there and whole. */
static bool
is_whole(struct agent *agent, const struct store_hash *hash)
{
    int fd = -1, err = agent_cache_get(agent, hash, &fd, NULL);

    file_close(&fd);
    return err != -ENOENT;
}

/* What is missing; is_thorough: or damaged. */
static int
list_lacks(struct agent *agent, struct agent_function *function, bool is_thorough)
{
    const Rpc__HostFunction *words = words_of(function);
    struct store_hash hash;

    if (function->lacks == NULL)
        function->lacks = fault_point("agent.prepare") != 0
                              ? NULL
                              : calloc(words->n_files + 2, sizeof(*function->lacks));
    if (function->lacks == NULL)
        return -ENOMEM;
    function->lack_count = 0;
    for (size_t i = 0; blob_at(words, i, &hash); i++)
        if (!agent_cache_has(agent, &hash) || (is_thorough && !is_whole(agent, &hash)))
            note_lack(function, &hash);
    return function->lack_count > 0 ? -ENOENT : 0;
}

static int
hold_blobs(struct agent *agent, struct agent_function *function)
{
    struct store_hash hash;

    for (size_t i = 0; blob_at(words_of(function), i, &hash); i++)
        if (agent_cache_hold(agent, &hash) != 0) {
            release_blobs(agent, function, i);
            return -ENOENT;
        }
    function->has_blobs = true;
    return 0;
}

static void
fill_limits(struct worker_limits *out, const Rpc__HostLimits *limits)
{
    if (limits == NULL)
        return;
    *out = (struct worker_limits){.wall_ns = limits->wall_ns,
                                  .cpu_ns = limits->cpu_ns,
                                  .memory_bytes = limits->memory_bytes,
                                  .output_bytes = limits->output_bytes,
                                  .files = limits->files,
                                  .threads = limits->threads};
}

/* A guest's "/data/model" is data/model of its only directory, "/". */
static int
add_function(struct agent_function *function, const int fds[3], struct diag *diag)
{
    const Rpc__HostFunction *words = words_of(function);
    const struct worker_directory root = {.fd = fds[2], .guest_path = "/", .is_read_only = true};
    struct worker_function_config config = {.image_fd = fds[0],
                                            .proto_fd = fds[1],
                                            .entry = words->entry[0] != '\0' ? words->entry : NULL,
                                            .directories = &root,
                                            .directory_count = fds[2] >= 0 ? 1 : 0,
                                            .env = (const char *const *)words->env,
                                            .env_count = words->n_env};
    char version[16];

    fill_limits(&config.limits, words->limits);
    if (words->name[0] != '\0') {
        (void)snprintf(version, sizeof(version), "%u", words->version);
        config.name = words->name;
        config.version = version;
    }
    return worker_function_add(function->tenant->handle, &config, &function->handle, diag);
}

static int
build_function(struct agent *agent, struct agent_function *function, struct diag *diag)
{
    const Rpc__HostFunction *words = words_of(function);
    int fds[3] = {-1, -1, -1};
    struct store_hash hash;
    int err = agent_hash_of(&words->image, &hash) ? 0 : -EINVAL;

    if (err == 0)
        err = agent_cache_get_sealed(agent, &hash, &fds[0], diag);
    if (err == 0 && agent_hash_of(&words->proto, &hash))
        err = agent_cache_get(agent, &hash, &fds[1], diag);
    if (err == 0 && words->n_files > 0) {
        err = agent_files_make(agent, function->serial, words, &fds[2], diag);
        function->has_files = err == 0;
    }
    if (err == 0)
        err = add_function(function, fds, diag);
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        file_close(&fds[i]);
    return err;
}

static void
undo_function(struct agent *agent, struct agent_function *function)
{
    if (function->has_files)
        agent_files_remove(agent, function->serial);
    if (function->has_blobs)
        release_blobs(agent, function, SIZE_MAX);
    function->has_files = function->has_blobs = false;
}

/* handle, or lacks, or reason says what came of it. */
static void
prepare_function(struct agent *agent, struct agent_function *function)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = list_lacks(agent, function, false);
    if (err == 0)
        err = open_tenant(agent, function->tenant, &diag);
    if (err == 0)
        err = hold_blobs(agent, function);
    if (err == 0)
        err = build_function(agent, function, &diag);
    if (err == 0)
        return;
    undo_function(agent, function);
    if (err == -ENOENT && function->lack_count == 0)
        err = list_lacks(agent, function, true);
    if (err == -ENOENT && function->lack_count > 0)
        return;
    function->lack_count = 0;
    agent_reason(function->reason, "%.400s",
                 diag_text(&diag)[0] != '\0' ? diag_text(&diag) : strerror(err != 0 ? -err : EIO));
}

/* ---------------------------------------------------------------------------- the thread */

static void
put_want(struct agent *agent, struct agent_want *want)
{
    struct store_hash found;
    struct diag diag;

    diag_init(&diag);
    want->err = agent_cache_put(agent, want->fd, &found, &diag);
    if (want->err == 0 && memcmp(&found, &want->hash, sizeof(found)) != 0)
        want->err = diag_set(&diag, -EBADMSG, "what came has another hash: damaged on its way");
    file_close(&want->fd);
    want->fd = -1;
    if (want->err != 0)
        agent_reason(want->reason, "%.400s", diag_text(&diag));
}

static void
save_run(struct agent *agent, struct agent_run *run)
{
    struct diag diag;

    diag_init(&diag);
    run->save_err = agent_cache_put(agent, run->saved_fd, &run->saved, &diag);
}

static void
do_job(struct agent *agent, struct agent_job *job)
{
    switch (job->kind) {
    case JOB_LIMIT:
        limit_tenant(agent, job->about);
        return;
    case JOB_REMOVE:
        remove_tenant(agent, job->about);
        break;
    case JOB_PREPARE:
        prepare_function(agent, job->about);
        break;
    case JOB_DROP:
        undo_function(agent, job->about);
        break;
    case JOB_PUT:
        put_want(agent, job->about);
        break;
    case JOB_SAVE:
        save_run(agent, job->about);
        break;
    case JOB_USAGE:
        look_at_all(agent);
        break;
    }
    (void)pthread_mutex_lock(&agent->disk_lock);
    append(&agent->done, job);
    (void)pthread_mutex_unlock(&agent->disk_lock);
    agent_wake(agent);
}

void *
agent_disk_run(void *context)
{
    struct agent *agent = context;

    (void)pthread_mutex_lock(&agent->disk_lock);
    while (!agent->is_disk_stopping) {
        struct agent_job *job = take(&agent->todo);

        if (job == NULL) {
            (void)pthread_cond_wait(&agent->disk_work, &agent->disk_lock);
            continue;
        }
        (void)pthread_mutex_unlock(&agent->disk_lock);
        do_job(agent, job);
        (void)pthread_mutex_lock(&agent->disk_lock);
    }
    (void)pthread_mutex_unlock(&agent->disk_lock);
    return NULL;
}
