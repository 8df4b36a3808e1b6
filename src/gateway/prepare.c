/* SPDX-License-Identifier: Apache-2.0
 *
 * A Proto-Faaslet for a version that is to be: a worker runs its image up to a host call.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gateway/gateway_internal.h"

#define WALL_NS UINT64_C(120000000000)
#define ROOM_NS UINT64_C(60000000000) /* until a host has room for it */
#define LOOK_NS UINT64_C(200000000)

struct waiting { /* kept by who waits and by the planner */
    pthread_mutex_t lock;
    pthread_cond_t change;
    _Atomic uint32_t references;
    bool is_over, has_proto;
    uint8_t proto[32];
    char text[DIAG_TEXT_MAX];
    Ledger__Kind kind;
};

static void
waiting_put(struct waiting *waiting)
{
    if (atomic_fetch_sub_explicit(&waiting->references, 1, memory_order_acq_rel) != 1)
        return;
    (void)pthread_mutex_destroy(&waiting->lock);
    (void)pthread_cond_destroy(&waiting->change);
    free(waiting);
}

static void
take_result(struct waiting *waiting, const Ledger__Result *result)
{
    int log = result->log.len > 400 ? 400 : (int)result->log.len;
    const char *refused = gateway_limit_name(result->refused);

    waiting->kind = result->kind;
    waiting->has_proto = result->kind == LEDGER__KIND__KIND_DONE && result->proto.len == 32;
    if (waiting->has_proto)
        (void)memcpy(waiting->proto, result->proto.data, 32);
    else
        (void)snprintf(waiting->text, sizeof(waiting->text), "%s (%.400s%s%s%s)%s%.*s",
                       gateway_kind_name(result->kind), result->message,
                       refused != NULL ? "; it was refused more by its " : "",
                       refused != NULL ? refused : "", refused != NULL ? " limit" : "",
                       log > 0 ? "; log: " : "", log,
                       (const char *)result->log.data + (result->log.len - (size_t)log));
}

static void
on_end(void *context, const Ledger__Call *call)
{
    struct waiting *waiting = context;

    (void)pthread_mutex_lock(&waiting->lock);
    if (call->result != NULL)
        take_result(waiting, call->result);
    waiting->is_over = true;
    (void)pthread_cond_signal(&waiting->change);
    (void)pthread_mutex_unlock(&waiting->lock);
    waiting_put(waiting);
}

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* The files of the version, in memory of one piece; NULL: none of that. */
static Ledger__PrepareFile **
list_files(const struct catalog_version *version)
{
    size_t count = version->file_count;
    Ledger__PrepareFile **list = calloc(count + 1, sizeof(*list) + sizeof(**list));
    Ledger__PrepareFile *files = (Ledger__PrepareFile *)(void *)(list + count + 1);

    for (size_t i = 0; list != NULL && i < count; i++) {
        const struct catalog_file *file = &version->files[i];

        ledger__prepare_file__init(&files[i]);
        files[i].path = (char *)(uintptr_t)file->path;
        files[i].hash.data = (uint8_t *)(uintptr_t)file->hash.bytes;
        files[i].hash.len = sizeof(file->hash.bytes);
        list[i] = &files[i];
    }
    return list;
}

static int
ask(struct gateway *gateway, const struct catalog_version *version, const char *save_at,
    struct waiting *waiting, uint64_t *id)
{
    Ledger__Call call = LEDGER__CALL__INIT;
    Ledger__Request request = LEDGER__REQUEST__INIT;
    Ledger__Prepare prepare = LEDGER__PREPARE__INIT;
    int err;

    prepare.files = list_files(version);
    if (prepare.files == NULL)
        return -ENOMEM;
    prepare.n_files = version->file_count;
    call.tenant = (char *)(uintptr_t)version->tenant;
    call.function = (char *)(uintptr_t)version->function;
    call.request = &request;
    request.prepare = &prepare;
    request.members = 1;
    request.memory_each = version->limits.memory_bytes;
    request.wall_ns = prepare.wall_ns =
        version->limits.wall_ns > 0 ? version->limits.wall_ns : WALL_NS;
    request.start_by_ns = clock_ns(CLOCK_REALTIME) + ROOM_NS;
    prepare.image.data = (uint8_t *)(uintptr_t)version->image.bytes;
    prepare.image.len = sizeof(version->image.bytes);
    prepare.save_at = (char *)(uintptr_t)save_at;
    prepare.args = (char **)(uintptr_t)version->args;
    prepare.n_args = version->arg_count;
    prepare.env = (char **)(uintptr_t)version->env;
    prepare.n_env = version->env_count;
    prepare.memory_bytes = version->limits.memory_bytes;
    prepare.threads = version->limits.threads;
    err = planner_call(gateway->config.planner, &call, on_end, waiting, id);
    free(prepare.files);
    return err;
}

/* Until it is over, or the gateway ends. */
static bool
await(struct gateway *gateway, struct waiting *waiting)
{
    bool is_over;

    (void)pthread_mutex_lock(&waiting->lock);
    while (!waiting->is_over && !gateway_is_ending(gateway)) {
        uint64_t until_ns = clock_ns(CLOCK_REALTIME) + LOOK_NS;
        const struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_SECOND),
                                       .tv_nsec = (long)(until_ns % CLOCK_NS_PER_SECOND)};

        (void)pthread_cond_timedwait(&waiting->change, &waiting->lock, &until);
    }
    is_over = waiting->is_over;
    (void)pthread_mutex_unlock(&waiting->lock);
    return is_over;
}

static bool
explain(struct gateway_request *request, const struct waiting *waiting, bool is_over)
{
    if (!is_over)
        (void)gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again",
                           "this gateway ends");
    else if (waiting->kind == LEDGER__KIND__KIND_LATE || waiting->kind == LEDGER__KIND__KIND_MISFIT)
        (void)gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no_hosts", "add hosts",
                           "no host had room to make the snapshot");
    else
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "snapshot_failed",
                           "look at the message: the program must come to that host call",
                           "the snapshot could not be made: %s", waiting->text);
    return false;
}

bool
gateway_prepare(struct gateway_request *request, struct catalog_version *version,
                const char *save_at)
{
    struct gateway *gateway = request->gateway;
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    bool is_over, has_proto;
    uint64_t id = 0;
    int err = -ENOMEM;

    if (waiting != NULL) {
        (void)pthread_mutex_init(&waiting->lock, NULL);
        (void)pthread_cond_init(&waiting->change, NULL);
        waiting->references = 2;
        err = ask(gateway, version, save_at, waiting, &id);
        if (err != 0) {
            waiting->references = 1;
            waiting_put(waiting);
        }
    }
    if (err != 0) {
        (void)gateway_refuse(request, err, "function_unknown", NULL);
        return false;
    }
    is_over = await(gateway, waiting);
    if (!is_over)
        (void)!planner_cancel(gateway->config.planner, version->tenant, id);
    has_proto = is_over && waiting->has_proto;
    if (has_proto) {
        (void)memcpy(version->proto.bytes, waiting->proto, 32);
        version->has_proto = true;
    } else {
        (void)explain(request, waiting, is_over);
    }
    waiting_put(waiting);
    return has_proto;
}
