/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker is told of tenants and functions, and when it is taken back.
 *
 * Numbers are a worker's own and never used again: what was said on a connection that broke
 * may have been heard or not, so it is taken back and said anew, under another number.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/utf8.h"

#define REFERENCE_MAX (CATALOG_NAME_BYTES_MAX + 16)
#define DICE_FIRST    0u
#define DICE_LAST     99u

/* --------------------------------------------------------------------------- tables */

static uint64_t
bucket(const char *tenant, const char *function, uint32_t version)
{
    return (hosts_hash(hosts_hash(0, tenant), function) + version) % HOSTS_KNOWN_BUCKETS;
}

static struct known *
find(const struct host *host, const Ledger__Call *call)
{
    struct known *known = host->known[bucket(call->tenant, call->function, call->version)];

    while (known != NULL &&
           (known->version != call->version || strcmp(known->function, call->function) != 0 ||
            strcmp(known->tenant, call->tenant) != 0))
        known = known->next;
    return known;
}

static void
unlink_age(struct host *host, struct known *known)
{
    *(known->newer != NULL ? &known->newer->older : &host->newest) = known->older;
    *(known->older != NULL ? &known->older->newer : &host->oldest) = known->newer;
}

static void
make_newest(struct host *host, struct known *known)
{
    known->newer = NULL;
    known->older = host->newest;
    *(host->newest != NULL ? &host->newest->newer : &host->oldest) = known;
    host->newest = known;
}

static void
enter(struct host *host, struct known *known)
{
    struct known **at = &host->known[bucket(known->tenant, known->function, known->version)];

    known->next = *at;
    *at = known;
    make_newest(host, known);
    host->known_count++;
}

static void
forget(struct host *host, struct known *known)
{
    struct known **at = &host->known[bucket(known->tenant, known->function, known->version)];

    while (*at != known)
        at = &(*at)->next;
    *at = known->next;
    unlink_age(host, known);
    host->known_count--;
    free(known);
}

void
hosts_function_gone(struct host *host, uint64_t number)
{
    Rpc__HostFunctionGone message = RPC__HOST_FUNCTION_GONE__INIT;

    message.number = number;
    if (host->peer != NULL)
        hosts_say(host->peer, RPC__HOST_DOWN__IS_FUNCTION_GONE, &message);
}

static void
take_back(struct host *host, struct known *known)
{
    hosts_function_gone(host, known->number);
    forget(host, known);
}

/* -------------------------------------------------------------------------- tenants */

static struct known_tenant **
find_tenant(struct host *host, const char *name)
{
    struct known_tenant **at = &host->tenants[hosts_hash(0, name) % HOSTS_KNOWN_BUCKETS];

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

bool
hosts_function_has_tenant(const struct host *host, const char *tenant)
{
    return *find_tenant((struct host *)(uintptr_t)host, tenant) != NULL;
}

static int
say_tenant(struct host *host, const char *name, const struct catalog_tenant *tenant)
{
    Rpc__HostTenant message = RPC__HOST_TENANT__INIT;

    message.name = (char *)(uintptr_t)name;
    message.cpu_share = tenant->cpu_share;
    message.cpu_percent = tenant->cpu_percent;
    message.memory_bytes = tenant->memory_bytes;
    message.files = tenant->files;
    message.network_rate = tenant->network_rate;
    return hosts_send(host->peer, RPC__HOST_DOWN__IS_TENANT, &message);
}

static bool
copy_tenant(void *context, const struct catalog_tenant *tenant)
{
    *(struct catalog_tenant *)context = *tenant;
    return false;
}

static int
tell_tenant(struct host *host, const char *name, struct diag *diag)
{
    struct known_tenant **at = find_tenant(host, name), *known;
    struct catalog_tenant tenant;
    int err;

    if (*at != NULL)
        return 0;
    err = catalog_tenant_list(host->hosts->config.catalog, name, copy_tenant, &tenant, diag);
    if (err != 0)
        return diag_set(diag, err, "there is no tenant %s any more", name);
    known = host->tenant_count < HOSTS_KNOWN_MAX ? hosts_alloc(sizeof(*known)) : NULL;
    if (known == NULL)
        return -ENOMEM;
    (void)strncpy(known->name, name, sizeof(known->name) - 1);
    err = say_tenant(host, name, &tenant);
    if (err != 0) {
        free(known);
        return err;
    }
    known->next = NULL;
    *at = known; /* at the end of its bucket, where the search ended */
    host->tenant_count++;
    return 0;
}

static void
tenant_changed(struct host *host, const char *name, const struct catalog_tenant *now)
{
    struct known_tenant **at = find_tenant(host, name), *known = *at;
    Rpc__HostTenantGone gone = RPC__HOST_TENANT_GONE__INIT;

    if (known == NULL || host->peer == NULL)
        return;
    if (now->name != NULL) {
        if (say_tenant(host, name, now) != 0)
            hosts_peer_fail(host->peer);
        return;
    }
    gone.name = (char *)(uintptr_t)name;
    hosts_say(host->peer, RPC__HOST_DOWN__IS_TENANT_GONE, &gone);
    *at = known->next;
    free(known);
    host->tenant_count--;
}

/* ------------------------------------------------------------------------- functions */

static bool
are_texts(char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!utf8_is_valid(texts[i], strlen(texts[i])))
            return false;
    return true;
}

/* It has secrets: what was packed is wiped. */
static int
send_function(struct host *host, Rpc__HostFunction *message, struct diag *diag)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    size_t count;
    uint8_t *bytes;
    int err;

    if (!are_texts(message->args, message->n_args) || !are_texts(message->env, message->n_env))
        return diag_set(diag, -EINVAL, "arguments or environment of %s are not UTF-8",
                        message->name[0] != '\0' ? message->name : "the function");
    down.is_case = RPC__HOST_DOWN__IS_FUNCTION;
    down.function = message;
    count = rpc__host_down__get_packed_size(&down);
    bytes = hosts_alloc(count + 1);
    if (bytes == NULL)
        return -ENOMEM;
    (void)rpc__host_down__pack(&down, bytes);
    err = fault_point("hosts.send");
    if (err == 0)
        err = net_send(host->peer->connection, bytes, count, NULL, 0);
    explicit_bzero(bytes, count);
    free(bytes);
    return err;
}

static ProtobufCBinaryData
hash_bytes(const struct store_hash *hash)
{
    return (ProtobufCBinaryData){sizeof(hash->bytes), (uint8_t *)(uintptr_t)hash->bytes};
}

/* Whether the function's name alone is always this version. */
static bool
is_by_name(const struct hosts *hosts, const struct catalog_version *version)
{
    static const unsigned dice[] = {DICE_FIRST, DICE_LAST};
    bool is_same = true;

    for (size_t i = 0; is_same && i < ARRAY_COUNT(dice); i++) {
        struct catalog_callable *callable;

        is_same = catalog_resolve(hosts->config.catalog, version->tenant, version->function,
                                  dice[i], &callable, NULL) == 0;
        if (!is_same)
            break;
        is_same = catalog_callable_version(callable)->version == version->version;
        catalog_callable_put(callable);
    }
    return is_same;
}

static void
fill_limits(Rpc__HostLimits *out, const struct catalog_limits *limits)
{
    rpc__host_limits__init(out);
    out->wall_ns = limits->wall_ns;
    out->cpu_ns = limits->cpu_ns;
    out->memory_bytes = limits->memory_bytes;
    out->output_bytes = limits->output_bytes;
    out->files = limits->files;
    out->threads = limits->threads;
}

/* Lists of a message, in memory of one piece: the environment's texts stay where they are. */
struct lists {
    char **texts; /* owned */
    Rpc__HostFile *files, **file_list;
};

static void
lists_free(struct lists *lists)
{
    free(lists->texts);
    free(lists->files);
    free(lists->file_list);
}

static int
lists_make(struct lists *lists, const struct catalog_version *version, char *env, size_t env_count)
{
    lists->texts = hosts_alloc((env_count + 1) * sizeof(*lists->texts));
    lists->files = hosts_alloc((version->file_count + 1) * sizeof(*lists->files));
    lists->file_list = hosts_alloc((version->file_count + 1) * sizeof(*lists->file_list));
    if (lists->texts == NULL || lists->files == NULL || lists->file_list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < env_count; i++, env += strlen(env) + 1)
        lists->texts[i] = env;
    for (size_t i = 0; i < version->file_count; i++) {
        rpc__host_file__init(&lists->files[i]);
        lists->files[i].path = (char *)(uintptr_t)version->files[i].path;
        lists->files[i].hash = hash_bytes(&version->files[i].hash);
        lists->file_list[i] = &lists->files[i];
    }
    return 0;
}

static int
say_version(struct host *host, const struct catalog_version *version, uint64_t number,
            struct diag *diag)
{
    Rpc__HostFunction message = RPC__HOST_FUNCTION__INIT;
    char *name = (char *)(uintptr_t)version->function;
    struct buffer env = {0};
    struct lists lists = {0};
    Rpc__HostLimits limits;
    int err = catalog_environment(host->hosts->config.catalog, version, &env, &message.n_env, diag);

    if (err == 0)
        err = lists_make(&lists, version, (char *)env.bytes, message.n_env);
    if (err == 0) {
        fill_limits(&limits, &version->limits);
        message.number = number;
        message.tenant = (char *)(uintptr_t)version->tenant;
        if (version->ranks <= 1 && is_by_name(host->hosts, version))
            message.name = name;
        message.version = version->version;
        message.image = hash_bytes(&version->image);
        if (version->has_proto)
            message.proto = hash_bytes(&version->proto);
        message.entry = (char *)(uintptr_t)version->entry;
        message.limits = &limits;
        message.n_args = version->arg_count > 0 ? version->arg_count : 1;
        message.args = version->arg_count > 0 ? (char **)(uintptr_t)version->args : &name;
        message.env = lists.texts;
        message.n_files = version->file_count;
        message.files = lists.file_list;
        err = send_function(host, &message, diag);
    }
    lists_free(&lists);
    if (env.bytes != NULL)
        explicit_bzero(env.bytes, env.count);
    buffer_fini(&env);
    return err;
}

static int
resolve(const struct hosts *hosts, const Ledger__Call *call, struct catalog_callable **out,
        struct diag *diag)
{
    char reference[REFERENCE_MAX];

    if (strlen(call->function) > CATALOG_NAME_BYTES_MAX)
        return diag_set(diag, -ENOENT, "there is no such function");
    if (call->version != 0)
        (void)snprintf(reference, sizeof(reference), "%s:%u", call->function, call->version);
    else
        (void)snprintf(reference, sizeof(reference), "%s", call->function);
    return catalog_resolve(hosts->config.catalog, call->tenant, reference, DICE_FIRST, out, diag);
}

static int
make_known(struct host *host, const Ledger__Call *call, struct known **out, struct diag *diag)
{
    struct catalog_callable *callable;
    struct known *known;
    int err = resolve(host->hosts, call, &callable, diag);

    if (err != 0)
        return diag_set(diag, err, "there is no version %u of function %s any more", call->version,
                        call->function);
    known = hosts_alloc(sizeof(*known));
    if (known == NULL) {
        catalog_callable_put(callable);
        return -ENOMEM;
    }
    known->number = host->hosts->next_number++;
    known->version = call->version;
    (void)strncpy(known->tenant, call->tenant, sizeof(known->tenant) - 1);
    (void)strncpy(known->function, call->function, sizeof(known->function) - 1);
    err = say_version(host, catalog_callable_version(callable), known->number, diag);
    catalog_callable_put(callable);
    if (err != 0) {
        free(known);
        return err;
    }
    if (host->known_count >= HOSTS_KNOWN_MAX)
        take_back(host, host->oldest);
    enter(host, known);
    *out = known;
    return 0;
}

int
hosts_function(struct host *host, const Ledger__Call *call, uint64_t *number, struct diag *diag)
{
    struct known *known = find(host, call);
    int err = known != NULL ? 0 : tell_tenant(host, call->tenant, diag);

    if (err == 0 && known == NULL)
        err = make_known(host, call, &known, diag);
    if (err != 0)
        return err;
    if (known != host->newest) {
        unlink_age(host, known);
        make_newest(host, known);
    }
    *number = known->number;
    return 0;
}

static int
list_files(struct lists *lists, const Ledger__Prepare *prepare)
{
    lists->files = hosts_alloc((prepare->n_files + 1) * sizeof(*lists->files));
    lists->file_list = hosts_alloc((prepare->n_files + 1) * sizeof(*lists->file_list));
    if (lists->files == NULL || lists->file_list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < prepare->n_files; i++) {
        rpc__host_file__init(&lists->files[i]);
        lists->files[i].path = prepare->files[i]->path;
        lists->files[i].hash = prepare->files[i]->hash;
        lists->file_list[i] = &lists->files[i];
    }
    return 0;
}

int
hosts_function_prepare(struct host *host, const Ledger__Call *call, uint64_t *number,
                       struct diag *diag)
{
    const Ledger__Prepare *prepare = call->request->prepare;
    Rpc__HostFunction message = RPC__HOST_FUNCTION__INIT;
    Rpc__HostLimits limits = RPC__HOST_LIMITS__INIT;
    int err = tell_tenant(host, call->tenant, diag);
    struct lists lists = {0};

    if (err != 0)
        return err;
    if (prepare->image.len != STORE_HASH_BYTES)
        return diag_set(diag, -EINVAL, "the image of what is to be prepared is no hash");
    limits.memory_bytes = prepare->memory_bytes;
    limits.threads = prepare->threads;
    limits.wall_ns = prepare->wall_ns;
    message.number = host->hosts->next_number++;
    message.tenant = call->tenant;
    message.version = call->version;
    message.image = prepare->image;
    message.limits = &limits;
    message.n_args = prepare->n_args;
    message.args = prepare->args;
    message.n_env = prepare->n_env;
    message.env = prepare->env;
    err = list_files(&lists, prepare);
    message.files = lists.file_list;
    message.n_files = prepare->n_files;
    if (err == 0)
        err = send_function(host, &message, diag);
    lists_free(&lists);
    if (err == 0)
        *number = message.number;
    return err;
}

/* -------------------------------------------------------------------------- changes */

void
hosts_function_changed(struct host *host, const char *tenant, const char *function,
                       const struct catalog_tenant *now)
{
    struct known *older;

    for (struct known *known = host->newest; known != NULL; known = older) {
        older = known->older;
        if (strcmp(known->tenant, tenant) == 0 &&
            (function == NULL || strcmp(known->function, function) == 0))
            take_back(host, known);
    }
    if (function == NULL)
        tenant_changed(host, tenant, now);
}

void
hosts_function_forget(struct host *host, bool is_told)
{
    while (host->newest != NULL) {
        if (is_told)
            hosts_function_gone(host, host->newest->number);
        forget(host, host->newest);
    }
    for (size_t i = 0; i < HOSTS_KNOWN_BUCKETS; i++)
        while (host->tenants[i] != NULL) {
            struct known_tenant *known = host->tenants[i];

            host->tenants[i] = known->next;
            free(known);
            host->tenant_count--;
        }
}
