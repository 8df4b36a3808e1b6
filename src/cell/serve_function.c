/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's functions. To put one runs its initialisation, so it has a thread; a few
 * at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "cell/serve_internal.h"

/* ------------------------------------------------------------------- the table */

static struct served **
bucket(struct serve *serve, uint64_t number)
{
    return &serve->functions[number % SERVE_FUNCTION_BUCKETS];
}

struct served *
served_find(struct serve *serve, uint64_t number)
{
    struct served *served = *bucket(serve, number);

    while (served != NULL && served->request->put->function != number)
        served = served->chain;
    return served;
}

static struct served **
name_bucket(struct serve *serve, const char *name)
{
    return &serve->names[hash_text(HASH_SEED, name) % SERVE_FUNCTION_BUCKETS];
}

struct served *
served_named(struct serve *serve, const char *name)
{
    struct served *served = name[0] != '\0' ? *name_bucket(serve, name) : NULL;

    while (served != NULL && strcmp(served->request->put->name, name) != 0)
        served = served->named;
    return served;
}

static void
table_enter(struct serve *serve, struct served *served)
{
    struct served **at = bucket(serve, served->request->put->function);

    served->chain = *at;
    *at = served;
    at = name_bucket(serve, served->request->put->name);
    served->named = *at;
    *at = served;
    served->references++;
    serve->function_count++;
}

static void
table_leave(struct serve *serve, struct served *served)
{
    struct served **at = bucket(serve, served->request->put->function);

    while (*at != served)
        at = &(*at)->chain;
    *at = served->chain;
    at = name_bucket(serve, served->request->put->name);
    while (*at != served)
        at = &(*at)->named;
    *at = served->named;
    served->is_dropped = true;
    serve->function_count--;
}

static void
close_fds(struct served *served, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (served->fds[i] >= 0)
            (void)close(served->fds[i]);
        served->fds[i] = -1;
    }
}

static void
served_free(struct served *served)
{
    cell_function_drop(served->function);
    close_fds(served, 0, served->fd_count);
    protobuf_c_message_free_unpacked(&served->request->base, NULL);
    free(served->message);
    free(served);
}

void
served_put(struct serve *serve, struct served *served)
{
    bool is_last;

    (void)pthread_mutex_lock(&serve->lock);
    ASSERT(served->references > 0);
    is_last = --served->references == 0;
    (void)pthread_mutex_unlock(&serve->lock);
    if (is_last)
        served_free(served);
}

/* ------------------------------------------------------------------- the record */

static size_t
directory_first(const struct served *served)
{
    return served->request->put->has_proto ? 2 : 1;
}

static int
join_env(const Rpc__CellPut *put, const Rpc__CellCall *call, const char ***out, size_t *count)
{
    size_t more = call != NULL ? call->n_env : 0;
    const char **env = calloc(put->n_env + more + 1, sizeof(*env));

    if (env == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < put->n_env; i++)
        env[i] = put->env[i];
    for (size_t i = 0; i < more; i++)
        env[put->n_env + i] = call->env[i];
    *out = env;
    *count = put->n_env + more;
    return 0;
}

static size_t
list_directories(const struct served *served, struct hostcall_directory *out)
{
    const Rpc__CellPut *put = served->request->put;

    for (size_t i = 0; i < put->n_directories; i++)
        out[i] = (struct hostcall_directory){
            .guest_path = put->directories[i]->guest_path,
            .is_read_only = put->directories[i]->is_read_only,
            .fd = served->fds[directory_first(served) + i],
        };
    return put->n_directories;
}

/* What is this call's own. */
static void
add_call(const struct serve_call *call, struct hostcall_config *config, const char **name)
{
    const Rpc__CellCall *request = call->request != NULL ? call->request->call : NULL;

    config->call = call->number;
    config->pointer = call->pointer;
    config->deadline_ns = serve_call_deadline(call);
    config->chain = &call->serve->chain;
    (void)memcpy(config->stdio, call->stdio, sizeof(config->stdio));
    if (request != NULL) {
        config->args = (const char *const *)request->args;
        config->arg_count = request->n_args;
        config->input = request->input.data;
        config->input_bytes = call->world == NULL || call->member == 0 ? request->input.len : 0;
    } else {
        config->args = name;
        config->arg_count = 1;
        config->input = call->start->input;
        config->input_bytes = call->start->input_bytes;
    }
}

/* What it can make use of. */
static uint32_t
processors_of(const struct serve *serve, const Rpc__CellLimits *limits)
{
    uint32_t threads =
        limits != NULL && limits->threads != 0 ? limits->threads : FAASLET_THREADS_DEFAULT;

    return threads < serve->executors ? threads : serve->executors;
}

int
served_process(struct serve *serve, const struct served *served, const struct serve_call *call,
               struct hostcall_process **out, struct diag *diag)
{
    const Rpc__CellLimits *limits = served->request->put->limits;
    const Rpc__CellCall *request =
        call != NULL && call->request != NULL ? call->request->call : NULL;
    struct hostcall_directory directories[SERVE_DIRECTORIES_MAX];
    struct hostcall_config config = {
        .directories = directories,
        .directory_count = list_directories(served, directories),
        .stdio = {HOSTCALL_MEMORY, HOSTCALL_MEMORY, HOSTCALL_MEMORY},
        .files_max = limits != NULL ? limits->files : 0,
        .output_max = limits != NULL ? limits->output_bytes : 0,
        .function = served->request->put->name,
        .tenant = serve->tenant,
        .version = served->request->put->version,
        .processors = processors_of(serve, limits),
        .has_device = true,
    };
    const struct cell_world *world = call != NULL ? serve_world_of(call) : NULL;
    const char **env = NULL, *name = served->request->put->name;
    int err = join_env(served->request->put, request, &env, &config.env_count);

    if (err != 0)
        return diag_set(diag, err, "no memory for a process record");
    config.env = env;
    if (call != NULL)
        add_call(call, &config, &name);
    if (world != NULL) {
        config.group = cell_world_group(world);
        config.member = call->member;
    }
    err = hostcall_process_create(&config, out, diag);
    free(env);
    return err;
}

/* ------------------------------------------------------------------- putting it */

static int
read_proto(int fd, uint8_t **out, size_t *count, struct diag *diag)
{
    struct stat stat;
    uint8_t *bytes;
    size_t at = 0;

    if (fstat(fd, &stat) != 0 || stat.st_size <= 0 || stat.st_size > SERVE_PROTO_BYTES_MAX)
        return diag_set(diag, -EINVAL, "the Proto-Faaslet is no file that can be read");
    bytes = malloc((size_t)stat.st_size);
    if (bytes == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a Proto-Faaslet of %lld bytes",
                        (long long)stat.st_size);
    while (at < (size_t)stat.st_size) {
        ssize_t got = pread(fd, bytes + at, (size_t)stat.st_size - at, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(bytes);
            return diag_set(diag, got < 0 ? -errno : -EIO, "cannot read the Proto-Faaslet: %s",
                            got < 0 ? strerror(errno) : "it became shorter");
        }
        at += (size_t)got;
    }
    *out = bytes;
    *count = at;
    return 0;
}

static int
load_proto(const struct served *served, struct faaslet_image *image, struct faaslet_frozen **out,
           struct diag *diag)
{
    const struct faaslet_load load = {&image, 1, hostcall_resolve};
    uint8_t *bytes = NULL;
    size_t count = 0;
    int err = read_proto(served->fds[1], &bytes, &count, diag);

    if (err != 0)
        return err;
    err = faaslet_frozen_load(bytes, count, &load, out, diag);
    free(bytes);
    return err;
}

static int
create_function(struct serve *serve, struct served *served, struct cell_function_config *config,
                struct diag *diag)
{
    const Rpc__CellPut *put = served->request->put;
    const Rpc__CellLimits *limits = put->limits;
    struct hostcall_process *process = NULL;
    int err = config->frozen != NULL ? 0 : served_process(serve, served, NULL, &process, diag);

    if (err != 0)
        return err;
    config->faaslet = (struct faaslet_config){.resolve = hostcall_resolve,
                                              .process = process,
                                              .ops = &hostcall_process_ops,
                                              .stack_bytes = put->stack_bytes};
    config->warm_max = put->warm_max;
    config->init_ns_max = put->init_ns_max;
    if (limits != NULL) {
        config->faaslet.memory_bytes_max = limits->memory_bytes;
        config->faaslet.cpu_ns_max = limits->cpu_ns;
        config->faaslet.threads_max = limits->threads;
        config->wall_ns_max = limits->wall_ns;
    }
    err = cell_function_create(serve->cell, config, &served->function, diag);
    hostcall_process_destroy(process);
    if (err == 0)
        served->is_mid_run = faaslet_frozen_is_running(cell_function_proto(served->function));
    return err;
}

static int
make_function(struct serve *serve, struct served *served, struct diag *diag)
{
    struct cell_function_config config = {.image = NULL};
    struct faaslet_frozen *frozen = NULL;
    struct faaslet_image *image;
    int err = fault_point("serve.put");

    if (err != 0)
        return diag_set(diag, err, "cannot put the function: %s", strerror(-err));
    err = faaslet_image_load(served->fds[0], &image, diag);
    if (err != 0)
        return err;
    served->has_group = faaslet_image_imports(image, HOSTCALL_GROUP_MODULE);
    if (served->request->put->has_proto)
        err = load_proto(served, image, &frozen, diag);
    if (err == 0) {
        config.frozen = frozen;
        config.image = frozen == NULL ? image : NULL;
        err = create_function(serve, served, &config, diag);
    }
    faaslet_frozen_destroy(frozen);
    faaslet_image_put(image);
    return err;
}

/* With the lock. */
static void
tell_put(struct serve *serve, const struct served *served)
{
    Rpc__CellPutDone done = RPC__CELL_PUT_DONE__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;

    if (served->is_dropped)
        return;
    done.function = served->request->put->function;
    done.err = served->err;
    if (served->message != NULL)
        done.message = served->message;
    reply.is_case = RPC__CELL_REPLY__IS_PUT_DONE;
    reply.put_done = &done;
    serve_reply(serve, &reply);
}

/* With the lock. It is known now what comes of it; the calls that waited begin. */
static void
end_put(struct serve *serve, struct served *served, int err, const struct diag *diag)
{
    served->state = err == 0 ? SERVED_READY : SERVED_FAILED;
    served->err = err;
    served->message = err != 0 ? rpc_text(diag_text(diag)) : NULL;
    tell_put(serve, served);
    while (served->waiting.first != NULL) {
        struct serve_call *call = (struct serve_call *)served->waiting.first;

        list_remove(&call->link);
        (void)pthread_mutex_unlock(&serve->lock);
        serve_call_start(call);
        (void)pthread_mutex_lock(&serve->lock);
    }
}

/* With the lock. NULL: none. */
static struct served *
next_put(struct serve *serve)
{
    struct served *served = serve->first_put;

    if (served == NULL)
        return NULL;
    serve->first_put = served->next;
    if (serve->first_put == NULL)
        serve->last_put = NULL;
    return served;
}

static void *
put_main(void *object)
{
    struct serve *serve = object;
    struct served *served;

    (void)pthread_mutex_lock(&serve->lock);
    while ((served = next_put(serve)) != NULL) {
        bool is_wanted = !serve->is_ending && !(served->is_dropped && !served->waiting.first);
        struct diag diag;
        int err = -ECANCELED;

        (void)pthread_mutex_unlock(&serve->lock);
        diag_init(&diag);
        if (is_wanted)
            err = make_function(serve, served, &diag);
        close_fds(served, 0, directory_first(served));
        (void)pthread_mutex_lock(&serve->lock);
        end_put(serve, served, err, &diag);
        (void)pthread_mutex_unlock(&serve->lock);
        served_put(serve, served);
        (void)pthread_mutex_lock(&serve->lock);
    }
    if (--serve->put_threads == 0)
        (void)pthread_cond_broadcast(&serve->quiet);
    (void)pthread_mutex_unlock(&serve->lock);
    return NULL;
}

/* With the lock. */
static void
fail_put(struct serve *serve, struct served *served, int err, const char *reason)
{
    struct diag diag;

    diag_init(&diag);
    (void)diag_set(&diag, err, "cannot put the function: %s", reason);
    end_put(serve, served, err, &diag);
}

/* With the lock. */
static int
start_put_thread(struct serve *serve)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int err = fault_point("serve.thread");

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (err == 0)
        err = -pthread_create(&thread, &attributes, put_main, serve);
    (void)pthread_attr_destroy(&attributes);
    serve->put_threads += err == 0;
    return err;
}

/* With the lock. */
static void
queue_put(struct serve *serve, struct served *served)
{
    int err = 0;

    served->references++;
    if (serve->last_put != NULL)
        serve->last_put->next = served;
    else
        serve->first_put = served;
    serve->last_put = served;
    if (serve->put_threads < SERVE_PUT_THREADS_MAX)
        err = start_put_thread(serve);
    if (err == 0 || serve->put_threads > 0)
        return; /* one of those that there are takes it */
    ASSERT(next_put(serve) == served);
    fail_put(serve, served, err, "no thread for it");
    served->references--;
}

/* -------------------------------------------------------------------- requests */

static int
check_put(struct serve *serve, const Rpc__CellPut *put, const struct net_frame *frame,
          struct diag *diag)
{
    size_t wanted = 1u + (put->has_proto ? 1 : 0) + put->n_directories;

    if (put->n_directories > SERVE_DIRECTORIES_MAX)
        return diag_set(diag, -EPROTO, "%zu directories: at most %u", put->n_directories,
                        SERVE_DIRECTORIES_MAX);
    if (frame->fd_count > wanted || (frame->fd_count < wanted && !frame->is_short))
        return diag_set(diag, -EPROTO, "function %llu came with %zu descriptors",
                        (unsigned long long)put->function, frame->fd_count);
    if (serve->function_count >= SERVE_FUNCTIONS_MAX)
        return diag_set(diag, -EPROTO, "more than %u functions", SERVE_FUNCTIONS_MAX);
    if (served_find(serve, put->function) != NULL)
        return diag_set(diag, -EPROTO, "function %llu is there already",
                        (unsigned long long)put->function);
    return 0;
}

int
serve_put(struct serve *serve, Rpc__CellRequest **request, struct net_frame *frame,
          struct diag *diag)
{
    struct served *served;
    int err;

    (void)pthread_mutex_lock(&serve->lock);
    err = check_put(serve, (*request)->put, frame, diag);
    served = err == 0 ? calloc(1, sizeof(*served)) : NULL;
    if (err == 0 && served == NULL)
        err = diag_set(diag, -ENOMEM, "no memory for a function");
    if (err == 0) {
        served->request = *request;
        *request = NULL;
        served->fd_count = frame->fd_count;
        (void)memcpy(served->fds, frame->fds, frame->fd_count * sizeof(int));
        frame->fd_count = 0;
        table_enter(serve, served);
        if (frame->is_short)
            fail_put(serve, served, -EMFILE, "descriptors of it: " SERVE_NO_ROOM);
        else
            queue_put(serve, served);
    }
    (void)pthread_mutex_unlock(&serve->lock);
    return err;
}

int
serve_drop(struct serve *serve, uint64_t number, struct diag *diag)
{
    struct served *served;

    (void)pthread_mutex_lock(&serve->lock);
    served = served_find(serve, number);
    if (served != NULL)
        table_leave(serve, served);
    (void)pthread_mutex_unlock(&serve->lock);
    if (served == NULL)
        return diag_set(diag, -EPROTO, "no function %llu to drop", (unsigned long long)number);
    served_put(serve, served);
    return 0;
}

void
serve_stop_functions(struct serve *serve)
{
    (void)pthread_mutex_lock(&serve->lock);
    serve->is_ending = true;
    while (serve->put_threads > 0)
        (void)pthread_cond_wait(&serve->quiet, &serve->lock);
    for (size_t i = 0; i < SERVE_FUNCTION_BUCKETS; i++)
        while (serve->functions[i] != NULL) {
            struct served *served = serve->functions[i];

            table_leave(serve, served);
            (void)pthread_mutex_unlock(&serve->lock);
            served_put(serve, served);
            (void)pthread_mutex_lock(&serve->lock);
        }
    (void)pthread_mutex_unlock(&serve->lock);
}
