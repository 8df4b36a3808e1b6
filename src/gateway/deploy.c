/* SPDX-License-Identifier: Apache-2.0
 *
 * From a module to a version that can be called, on a thread of the compilers:
 *
 *   module -> store -> (image of it in the store? else weft-compiler) -> store
 *          -> (snapshot: a worker runs it up to there, and stores that) -> catalog
 *
 *   table image    module's hash, compiler's    image's hash
 *
 * The compiler is ended when the client has gone, or the gateway ends.
 */
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "abi/abi.h"
#include "base/clock.h"
#include "base/file.h"
#include "compile/compile.h"
#include "gateway/gateway_internal.h"
#include "hostcall/hostcall.h"
#include "wasm/wasm.h"

#define SPEC_BYTES_MAX      (UINT64_C(4) << 20)
#define COMPILER_BYTES_MAX  ((size_t)256 << 20)
#define DEPLOYS_MAX         32u   /* of a tenant, waiting or under way */
#define COMPILE_SECONDS_MAX 3600u /* with others that compile beside it */
#define MS_NS               UINT64_C(1000000)

struct deploy {
    struct gateway_request *request;
    struct gateway_spec spec;
    uint8_t *bytes; /* the module, mapped; owned where is_mapped */
    size_t count;
    bool is_mapped, was_cached;
    uint64_t compile_ns;
    uint32_t number;
    struct diag diag;
};

/* ----------------------------------------------------------------- whose image is it */

static void
find_compiler(struct gateway *gateway)
{
    ssize_t length;
    char *slash;

    if (gateway->config.compiler != NULL) {
        (void)snprintf(gateway->compiler, sizeof(gateway->compiler), "%s",
                       gateway->config.compiler);
        return;
    }
    length = readlink("/proc/self/exe", gateway->compiler, PATH_MAX - 32);
    gateway->compiler[length > 0 ? length : 0] = '\0';
    slash = strrchr(gateway->compiler, '/');
    if (slash != NULL)
        (void)snprintf(slash + 1, 32, "weft-compiler");
}

/* Its own bytes and all that shapes the code. Without a compiler nothing is compiled here,
 * and what others compiled is not found. */
int
gateway_compiler_name(struct gateway *gateway, struct diag *diag)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    struct compile_options options;
    struct buffer bytes = {0};
    unsigned count = sizeof(gateway->compiler_id);
    char shape[128];
    int length;

    if (hash == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a hash");
    find_compiler(gateway);
    compile_options_init(&options);
    length = snprintf(shape, sizeof(shape), "weft %u %u %.64s %d %d", (unsigned)ABI_VERSION,
                      options.level, options.cpu, options.strict_traps, (int)options.mode);
    (void)EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    (void)EVP_DigestUpdate(hash, shape, (size_t)length + 1);
    if (file_read_all(gateway->compiler, COMPILER_BYTES_MAX, &bytes, NULL) == 0)
        (void)EVP_DigestUpdate(hash, bytes.bytes, bytes.count);
    (void)EVP_DigestFinal_ex(hash, gateway->compiler_id, &count);
    EVP_MD_CTX_free(hash);
    buffer_fini(&bytes);
    return 0;
}

/* ---------------------------------------------------------------------------- module */

static enum gateway_next
fail_deploy(struct deploy *deploy, int err, const char *missing)
{
    return gateway_refuse(deploy->request, err, missing, &deploy->diag);
}

static bool
fail_module(struct deploy *deploy, const char *text)
{
    (void)gateway_fail(deploy->request, MHD_HTTP_BAD_REQUEST, "module_invalid",
                       "compile it again, for WebAssembly as weft cc does", "%s", text);
    return false;
}

static bool
is_text(const struct wasm_string *string, const char *text)
{
    return string->count == strlen(text) && memcmp(string->bytes, text, string->count) == 0;
}

static bool
has_export(const struct wasm_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->export_count; i++)
        if (module->exports[i].kind == WASM_KIND_FUNCTION &&
            is_text(&module->exports[i].name, name))
            return true;
    return false;
}

static bool
check_exports(struct deploy *deploy, const struct wasm_module *module)
{
    struct catalog_version *version = &deploy->spec.version;
    bool has_start = has_export(module, "_start");
    char text[256];

    if (!deploy->spec.has_kind)
        version->kind = has_start ? CATALOG_COMMAND : CATALOG_LIBRARY;
    if (version->kind == CATALOG_COMMAND && !has_start)
        return fail_module(deploy, "a command exports _start, and this module does not");
    if (version->entry == NULL || version->entry[0] == '\0' || has_export(module, version->entry))
        return true;
    (void)snprintf(text, sizeof(text), "the module exports no function %.128s", version->entry);
    return fail_module(deploy, text);
}

static bool
starts_threads(const struct wasm_module *module)
{
    static const char *const names[] = {"wasi", "thread-spawn"};

    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_import *import = &module->imports[i];

        if (import->kind == WASM_KIND_FUNCTION && is_text(&import->module, names[0]) &&
            is_text(&import->name, names[1]))
            return true;
    }
    return false;
}

/* As a cell would say when the first call starts. */
static bool
check_threads(struct deploy *deploy, const struct wasm_module *module)
{
    if (!starts_threads(module))
        return true;
    if (module->memory_count == 0 || !module->memories[0].limits.is_shared)
        return fail_module(deploy, "it starts threads (it imports thread-spawn), but has no shared "
                                   "memory: compile and link with -pthread");
    if (!has_export(module, "wasi_thread_start"))
        return fail_module(deploy, "it starts threads (it imports thread-spawn), but does not "
                                   "export wasi_thread_start");
    return true;
}

/* What a cell would not find when it links it. */
static bool
check_imports(struct deploy *deploy, const struct wasm_module *module)
{
    char text[400];

    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_import *import = &module->imports[i];

        if (import->kind != WASM_KIND_FUNCTION ||
            hostcall_resolve(import->module.bytes, import->module.count, import->name.bytes,
                             import->name.count) != NULL)
            continue;
        (void)snprintf(
            text, sizeof(text), "it imports %.*s.%.*s, which Weft does not provide",
            (int)(import->module.count < 128 ? import->module.count : 128), import->module.bytes,
            (int)(import->name.count < 128 ? import->name.count : 128), import->name.bytes);
        return fail_module(deploy, text);
    }
    return true;
}

static bool
imports_group(const struct wasm_module *module)
{
    for (uint32_t i = 0; i < module->import_count; i++)
        if (is_text(&module->imports[i].module, HOSTCALL_GROUP_MODULE))
            return true;
    return false;
}

/* Ranks need something by which they can speak to each other. */
static bool
check_ranks(struct deploy *deploy, const struct wasm_module *module)
{
    const struct catalog_version *version = &deploy->spec.version;

    if (version->ranks > GATEWAY_RANKS_MAX)
        return fail_module(deploy, "it is to have more ranks than a world can have (4096)");
    if (version->ranks <= 1 || imports_group(module))
        return true;
    return fail_module(deploy, "it is to have several ranks, but is no MPI program: it imports "
                               "nothing of weft_group; link it with weft mpicc");
}

static bool
check_module(struct deploy *deploy)
{
    struct wasm_module *module;
    bool is_good;
    int err = wasm_module_create(deploy->bytes, deploy->count, &module, NULL, &deploy->diag);

    if (err == -ENOMEM) {
        (void)fail_deploy(deploy, err, "");
        return false;
    }
    if (err != 0)
        return fail_module(deploy, diag_text(&deploy->diag));
    is_good = check_exports(deploy, module) && check_imports(deploy, module) &&
              check_threads(deploy, module) && check_ranks(deploy, module);
    wasm_module_destroy(module);
    return is_good;
}

/* A module that was put before. */
static bool
open_module(struct deploy *deploy)
{
    struct store *store = deploy->request->gateway->config.store;
    struct stat status;
    int fd = -1, err;
    void *bytes = MAP_FAILED;

    err = store_blob_get(store, &deploy->spec.version.module, &fd, &deploy->diag);
    if (err == 0 && fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    file_close(&fd);
    if (bytes == MAP_FAILED) {
        (void)fail_deploy(deploy, err != 0 ? err : -EIO, "blob_unknown");
        return false;
    }
    deploy->bytes = bytes;
    deploy->count = (size_t)status.st_size;
    deploy->is_mapped = true;
    return true;
}

static bool
take_newest(void *context, const struct catalog_version *version)
{
    *(struct store_hash *)context = version->module;
    return false;
}

/* The blobs that a description names are the tenant's. */
static int
check_blobs(struct deploy *deploy)
{
    struct gateway_request *request = deploy->request;
    const struct catalog_version *version = &deploy->spec.version;
    int err = 0;

    if (deploy->spec.has_module)
        err =
            gateway_blob_check(request->gateway, request->tenant, &version->module, &deploy->diag);
    else
        err = catalog_version_list(request->gateway->config.catalog, request->tenant,
                                   request->part[0], take_newest, &deploy->spec.version.module,
                                   &deploy->diag);
    for (size_t i = 0; err == 0 && i < version->file_count; i++)
        err = gateway_blob_check(request->gateway, request->tenant, &version->files[i].hash,
                                 &deploy->diag);
    return err;
}

static bool
read_description(struct deploy *deploy)
{
    struct gateway_request *request = deploy->request;
    int err;

    if (!gateway_body_map(request, SPEC_BYTES_MAX))
        return false;
    err = gateway_spec_read(request->body.bytes, request->body.count, &deploy->spec, &deploy->diag);
    if (err == -EINVAL) {
        (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                           "send JSON as /openapi.json describes it", "%s",
                           diag_text(&deploy->diag));
        return false;
    }
    if (err == 0)
        err = check_blobs(deploy);
    if (err != 0) {
        (void)fail_deploy(deploy, err, "blob_unknown");
        return false;
    }
    return open_module(deploy);
}

static bool
read_query(struct deploy *deploy)
{
    struct gateway_request *request = deploy->request;
    struct catalog_version *version = &deploy->spec.version;
    uint64_t wall_ms = 0, cpu_ms = 0, attempts = 0;

    version->entry = gateway_query(request, "entry");
    if (!gateway_query_number(request, "wall_ms", UINT32_MAX, &wall_ms) ||
        !gateway_query_number(request, "cpu_ms", UINT32_MAX, &cpu_ms) ||
        !gateway_query_number(request, "memory", GATEWAY_NUMBER_MAX,
                              &version->limits.memory_bytes) ||
        !gateway_query_number(request, "output", GATEWAY_NUMBER_MAX,
                              &version->limits.output_bytes) ||
        !gateway_query_number(request, "attempts", UINT32_MAX, &attempts))
        return false;
    version->limits.wall_ns = wall_ms * MS_NS;
    version->limits.cpu_ns = cpu_ms * MS_NS;
    version->retry.attempts = (uint32_t)attempts;
    return true;
}

/* The body is the module: checked before it is kept. */
static bool
read_module(struct deploy *deploy)
{
    struct gateway_request *request = deploy->request;
    struct gateway *gateway = request->gateway;
    struct gateway_body *body = &request->body;
    int err;

    if (!read_query(deploy) || !gateway_body_map(request, GATEWAY_BODY_BYTES_MAX))
        return false;
    deploy->bytes = body->bytes;
    deploy->count = body->count;
    if (!check_module(deploy))
        return false;
    err = gateway_storage_check(gateway, request->tenant, body->count, &deploy->diag);
    if (err == 0 && lseek(body->fd, 0, SEEK_SET) != 0)
        err = -errno;
    if (err == 0)
        err = store_blob_put(gateway->config.store, body->fd, &deploy->spec.version.module,
                             &deploy->diag);
    if (err == 0)
        err = gateway_blob_own(gateway, request->tenant, &deploy->spec.version.module, body->count,
                               &deploy->diag);
    if (err != 0)
        (void)fail_deploy(deploy, err, "blob_unknown");
    return err == 0;
}

/* ----------------------------------------------------------------------------- image */

static void
image_key(const struct deploy *deploy, uint8_t key[64])
{
    (void)memcpy(key, deploy->spec.version.module.bytes, 32);
    (void)memcpy(key + 32, deploy->request->gateway->compiler_id, 32);
}

/* Compiled before, by this or another planner of the same compiler. */
static bool
find_image(struct deploy *deploy)
{
    struct store *store = deploy->request->gateway->config.store;
    struct store_hash *image = &deploy->spec.version.image;
    struct buffer value = {0};
    uint64_t version, bytes;
    uint8_t key[64];
    bool is_there;

    image_key(deploy, key);
    is_there = store_get(store, &(struct store_key){GATEWAY_TABLE_IMAGE, key, sizeof(key)}, &value,
                         &version, NULL) == 0 &&
               value.count == sizeof(image->bytes);
    if (is_there) {
        (void)memcpy(image->bytes, value.bytes, sizeof(image->bytes));
        is_there = store_blob_stat(store, image, &bytes, NULL) == 0;
    }
    buffer_fini(&value);
    return is_there;
}

/* The image is known from then on, at the address that is its own. */
static int
keep_image(struct deploy *deploy, int fd, const struct compile_report *report)
{
    struct gateway *gateway = deploy->request->gateway;
    struct store_hash *image = &deploy->spec.version.image;
    uint8_t key[64];
    const struct store_change change = {.key = {GATEWAY_TABLE_IMAGE, key, sizeof(key)},
                                        .value = image->bytes,
                                        .count = sizeof(image->bytes)};
    int err = store_blob_put(gateway->config.store, fd, image, &deploy->diag);

    image_key(deploy, key);
    return err != 0
               ? err
               : gateway_address_take(gateway, report->id, report->range, &change, &deploy->diag);
}

static int
take_address(void *context, const char *id, struct compile_range range, struct diag *diag)
{
    const struct deploy *deploy = context;

    return gateway_address_take(deploy->request->gateway, id, range, NULL, diag);
}

/* Unless another planner has compiled it in the meantime. */
static void
give_address_back(void *context, const char *id, struct compile_range range)
{
    const struct deploy *deploy = context;
    uint8_t key[64];
    const struct store_change unless = {.key = {GATEWAY_TABLE_IMAGE, key, sizeof(key)},
                                        .condition = STORE_ABSENT};

    image_key(deploy, key);
    gateway_address_give_back(deploy->request->gateway, id, range, &unless);
}

static bool
is_unwanted(void *context)
{
    const struct deploy *deploy = context;

    return gateway_is_ending(deploy->request->gateway) || gateway_is_gone(deploy->request);
}

static bool
fail_image(struct deploy *deploy, int err)
{
    struct gateway_request *request = deploy->request;
    const char *text = diag_text(&deploy->diag);

    if (err == -EINVAL || err == -ENOTSUP || err == -E2BIG)
        return fail_module(deploy, text);
    if (err == -ECANCELED)
        (void)gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again", "%s",
                           text);
    else
        (void)gateway_fail(request,
                           err == -ETIMEDOUT || err == -ENOMEM ? MHD_HTTP_BAD_REQUEST
                                                               : MHD_HTTP_INTERNAL_SERVER_ERROR,
                           "compile_failed", "make the module smaller, or ask whoever runs this",
                           "%s", text);
    return false;
}

static bool
make_image(struct deploy *deploy)
{
    static const struct compile_addresses addresses = {take_address, give_address_back};
    struct gateway *gateway = deploy->request->gateway;
    struct compile_request wanted = {.bytes = deploy->bytes,
                                     .count = deploy->count,
                                     .cache_directory = gateway->config.cache,
                                     .compiler = gateway->compiler,
                                     .seconds_max = COMPILE_SECONDS_MAX,
                                     .addresses = &addresses,
                                     .is_unwanted = is_unwanted,
                                     .context = deploy};
    struct compile_report report = {0};
    int fd = -1, err;

    deploy->was_cached = find_image(deploy);
    if (deploy->was_cached)
        return true;
    compile_options_init(&wanted.options);
    err = compile_get(&wanted, &fd, &report, &deploy->diag);
    if (err != 0)
        return fail_image(deploy, err);
    deploy->was_cached = report.was_cached;
    deploy->compile_ns = report.wall_ns;
    err = keep_image(deploy, fd, &report);
    file_close(&fd);
    if (err != 0)
        (void)fail_deploy(deploy, err, "blob_unknown");
    return err == 0;
}

/* ----------------------------------------------------------------------------- route */

static void
answer(struct deploy *deploy)
{
    const struct catalog_version *version = &deploy->spec.version;
    struct buffer out = {0};

    gateway_json_open(&out, NULL, '{');
    gateway_json_text(&out, "function", version->function);
    gateway_json_number(&out, "version", deploy->number);
    gateway_json_hash(&out, "module", version->module.bytes);
    gateway_json_hash(&out, "image", version->image.bytes);
    if (version->has_proto)
        gateway_json_hash(&out, "proto", version->proto.bytes);
    else
        gateway_json_null(&out, "proto");
    gateway_json_decimal(&out, "compile_ms", (double)(deploy->compile_ns / 1000) / 1e3);
    gateway_json_bool(&out, "was_cached", deploy->was_cached);
    gateway_json_close(&out, '}');
    (void)gateway_answer_json(deploy->request, MHD_HTTP_CREATED, &out);
}

static void
publish(struct deploy *deploy)
{
    struct gateway_request *request = deploy->request;
    struct gateway *gateway = request->gateway;
    struct catalog_version *version = &deploy->spec.version;
    int err;

    version->created_by = request->who.token;
    err = catalog_version_put(gateway->config.catalog, version, &deploy->number, &deploy->diag);
    if (err != 0) {
        (void)fail_deploy(deploy, err, "secret_unknown");
        return;
    }
    hosts_changed(gateway->config.hosts, request->tenant, request->part[0]);
    answer(deploy);
}

static void
run(struct deploy *deploy, bool is_module)
{
    struct gateway_request *request = deploy->request;
    struct catalog_version *version = &deploy->spec.version;
    bool goes_on =
        is_module ? read_module(deploy) : read_description(deploy) && check_module(deploy);

    version->tenant = request->tenant;
    version->function = request->part[0];
    goes_on = goes_on && make_image(deploy);
    if (goes_on && deploy->spec.snapshot != NULL)
        goes_on = gateway_prepare(request, version, deploy->spec.snapshot);
    if (goes_on)
        publish(deploy);
    if (deploy->is_mapped)
        (void)munmap(deploy->bytes, deploy->count);
    gateway_spec_fini(&deploy->spec);
}

static enum gateway_next
deploy_function(struct gateway_request *request)
{
    const char *type = gateway_header(request, MHD_HTTP_HEADER_CONTENT_TYPE);
    struct deploy deploy = {.request = request};
    bool is_module = type != NULL && strncmp(type, "application/wasm", 16) == 0;

    diag_init(&deploy.diag);
    if (!is_module && (type == NULL || strncmp(type, "application/json", 16) != 0))
        return gateway_fail(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "type_unknown",
                            "send Content-Type: application/wasm, or application/json",
                            "a function is a module, or a description of a version");
    run(&deploy, is_module);
    return GATEWAY_ANSWERED;
}

static void
leave_queue(void *state)
{
    struct gateway_space *space = state;

    (void)atomic_fetch_sub_explicit(&space->deploys, 1, memory_order_relaxed);
}

/* One tenant cannot keep the others from compiling. */
enum gateway_next
gateway_function_put(struct gateway_request *request)
{
    struct gateway_space *space = request->space;

    if (atomic_fetch_add_explicit(&space->deploys, 1, memory_order_relaxed) >= DEPLOYS_MAX) {
        leave_queue(space);
        return gateway_fail(request, MHD_HTTP_TOO_MANY_REQUESTS, "too_many_deploys",
                            "wait for some of them", "%u deployments of the tenant wait already",
                            DEPLOYS_MAX);
    }
    request->state = space;
    request->state_free = leave_queue;
    return gateway_defer(request, GATEWAY_COMPILE, deploy_function);
}
