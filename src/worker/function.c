/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions: what a cell needs of one, kept so that each new cell of the tenant can
 * have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"
#include "worker/worker_internal.h"

static_assert(WORKER_DIRECTORIES_MAX + 2 <= NET_FRAME_FDS_MAX,
              "a function's descriptors go in one frame");

struct worker_function *
worker_function_find(const struct worker_tenant *tenant, uint64_t number)
{
    struct worker_function *function = tenant->functions;

    while (function != NULL && function->number != number)
        function = function->next;
    return function;
}

static void
free_function(struct worker_function *function)
{
    for (size_t i = 0; i < function->fd_count; i++)
        file_close(&function->fds[i]);
    buffer_fini(&function->put);
    free(function);
}

/* The cell that has it need not keep it. Its calls are over, so nothing about it is
 * under way. */
static void
send_drop(const struct worker_function *function)
{
    struct worker_cell *cell = function->tenant->cell;
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellDrop drop = RPC__CELL_DROP__INIT;

    if (cell == NULL || cell->state != CELL_OPEN || cell->serial != function->put_serial)
        return;
    drop.function = function->number;
    request.is_case = RPC__CELL_REQUEST__IS_DROP;
    request.drop = &drop;
    /* A queue that is full costs the cell some memory, no more. */
    (void)!rpc_send(cell->connection, &request.base, NULL, 0);
}

void
worker_function_put(struct worker_function *function)
{
    struct worker_tenant *tenant = function->tenant;

    ASSERT(function->references > 0);
    if (--function->references > 0)
        return;
    ASSERT(function->is_removed);
    send_drop(function);
    free_function(function);
    tenant->function_count--;
    worker_tenant_put(tenant);
}

/* Its tenant lists only those that are the user's. */
void
worker_function_dismiss(struct worker_function *function)
{
    struct worker_function **at = &function->tenant->functions;

    while (*at != function)
        at = &(*at)->next;
    *at = function->next;
    function->is_removed = true;
    worker_function_put(function);
}

void
worker_function_remove(struct worker_function *function)
{
    struct worker *worker;

    if (function == NULL)
        return;
    worker = function->tenant->worker;
    (void)pthread_mutex_lock(&worker->lock);
    worker_function_dismiss(function);
    (void)pthread_mutex_unlock(&worker->lock);
}

/* ------------------------------------------------------------------------------ adding */

static bool
is_valid(const struct worker_function_config *config)
{
    if (config->image_fd < 0 || config->directory_count > WORKER_DIRECTORIES_MAX ||
        (config->directory_count > 0 && config->directories == NULL) ||
        !worker_is_text(config->entry) || !worker_is_text(config->name) ||
        !worker_is_text(config->version) || !worker_are_texts(config->env, config->env_count))
        return false;
    for (size_t i = 0; i < config->directory_count; i++)
        if (config->directories[i].fd < 0 || config->directories[i].guest_path == NULL ||
            !worker_is_text(config->directories[i].guest_path))
            return false;
    return true;
}

/* Takes a duplicate, so that the user may close his. */
static int
keep_fd(struct worker_function *function, int fd)
{
    int err = fault_point("worker.function");
    int own = err != 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (own < 0)
        return err != 0 ? err : errno == EBADF ? -EINVAL : -errno;
    ASSERT(function->fd_count < NET_FRAME_FDS_MAX);
    function->fds[function->fd_count++] = own;
    return 0;
}

static int
keep_fds(struct worker_function *function, const struct worker_function_config *config)
{
    int err = keep_fd(function, config->image_fd);

    if (err == 0 && config->proto_fd >= 0)
        err = keep_fd(function, config->proto_fd);
    for (size_t i = 0; i < config->directory_count && err == 0; i++)
        err = keep_fd(function, config->directories[i].fd);
    return err;
}

static void
fill(Rpc__CellPut *put, Rpc__CellLimits *limits, const struct worker_function_config *config)
{
    rpc__cell_limits__init(limits);
    limits->wall_ns = config->limits.wall_ns;
    limits->cpu_ns = config->limits.cpu_ns;
    limits->memory_bytes = config->limits.memory_bytes;
    limits->output_bytes = config->limits.output_bytes;
    limits->files = config->limits.files;
    limits->threads = config->limits.threads;
    rpc__cell_put__init(put);
    put->has_proto = config->proto_fd >= 0;
    put->entry = (char *)(uintptr_t)(config->entry != NULL ? config->entry : "_start");
    put->limits = limits;
    put->stack_bytes = config->stack_bytes;
    put->init_ns_max = config->init_ns_max;
    put->warm_max = config->warm_max;
    if (config->name != NULL)
        put->name = (char *)(uintptr_t)config->name;
    if (config->version != NULL)
        put->version = (char *)(uintptr_t)config->version;
    put->n_env = config->env_count;
    put->env = (char **)(uintptr_t)config->env;
}

static int
pack(struct worker_function *function, const struct worker_function_config *config)
{
    Rpc__CellDirectory directories[WORKER_DIRECTORIES_MAX], *pointers[WORKER_DIRECTORIES_MAX];
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellLimits limits;
    Rpc__CellPut put;
    size_t count;
    int err = fault_point("worker.function");

    fill(&put, &limits, config);
    put.function = function->number;
    for (size_t i = 0; i < config->directory_count; i++) {
        rpc__cell_directory__init(&directories[i]);
        directories[i].guest_path = (char *)(uintptr_t)config->directories[i].guest_path;
        directories[i].is_read_only = config->directories[i].is_read_only;
        pointers[i] = &directories[i];
    }
    put.n_directories = config->directory_count;
    put.directories = pointers;
    request.is_case = RPC__CELL_REQUEST__IS_PUT;
    request.put = &put;
    count = rpc__cell_request__get_packed_size(&request);
    if (err != 0 || count > NET_FRAME_BYTES_MAX)
        return err != 0 ? err : -E2BIG;
    buffer_append(&function->put, NULL, count);
    if (function->put.err != 0)
        return function->put.err;
    (void)rpc__cell_request__pack(&request, function->put.bytes);
    return 0;
}

/* With the lock. */
static int
enter(struct worker_tenant *tenant, struct worker_function *function)
{
    if (tenant->is_removed || tenant->worker->is_stopping)
        return -ESHUTDOWN;
    if (tenant->function_count == WORKER_FUNCTIONS_MAX)
        return -ENOSPC;
    function->next = tenant->functions;
    tenant->functions = function;
    tenant->function_count++;
    tenant->references++;
    return 0;
}

int
worker_function_add(struct worker_tenant *tenant, const struct worker_function_config *config,
                    struct worker_function **out, struct diag *diag)
{
    struct worker *worker = tenant->worker;
    struct worker_function *function;
    int err;

    if (!is_valid(config))
        return diag_set(diag, -EINVAL,
                        "a function has an image, at most %u directories, and text in UTF-8",
                        WORKER_DIRECTORIES_MAX);
    err = fault_point("worker.function");
    function = err != 0 ? NULL : calloc(1, sizeof(*function));
    if (function == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a function");
    function->tenant = tenant;
    function->references = 1;
    function->wall_ns = config->limits.wall_ns;
    (void)pthread_mutex_lock(&worker->lock);
    function->number = worker->next_function++;
    (void)pthread_mutex_unlock(&worker->lock);
    err = pack(function, config);
    if (err == 0)
        err = keep_fds(function, config);
    if (err == 0) {
        (void)pthread_mutex_lock(&worker->lock);
        err = enter(tenant, function);
        (void)pthread_mutex_unlock(&worker->lock);
    }
    if (err != 0) {
        free_function(function);
        return diag_set(diag, err, "cannot keep a function: %s", strerror(-err));
    }
    *out = function;
    return 0;
}
