/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "compile/compile.h"
#include "spec_script.h"
#include "wasm/wasm.h"

#define FILE_BYTES_MAX   (64u << 20)
#define RUN_DEADLINE_NS  (UINT64_C(30) * CLOCK_NS_PER_SECOND)
#define IMAGE_BYTES_NAME "spec-image"

int
spec_read_file(const char *path, uint8_t **bytes, size_t *count)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *block;
    size_t have;

    if (file == NULL)
        return -errno;
    block = malloc(FILE_BYTES_MAX);
    if (block == NULL) {
        (void)fclose(file);
        return -ENOMEM;
    }
    have = fread(block, 1, FILE_BYTES_MAX, file);
    (void)fclose(file);
    if (have == FILE_BYTES_MAX) {
        free(block);
        return -EFBIG;
    }
    *bytes = block;
    *count = have;
    return 0;
}

int
spec_run_tool(const char *const argv[], bool is_loud)
{
    posix_spawn_file_actions_t actions;
    int err, status;
    pid_t pid;

    err = posix_spawn_file_actions_init(&actions);
    if (err != 0)
        return -err;
    if (!is_loud) {
        (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    /* posix_spawnp does not change the arguments, whatever its type says. */
    err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return -err;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static bool
file_imports(const struct spec_script *script, const char *file)
{
    struct wasm_module *module;
    char path[PATH_MAX];
    uint8_t *bytes;
    size_t count;
    bool imports;

    (void)snprintf(path, sizeof(path), "%s/%s", script->directory, file);
    if (spec_read_file(path, &bytes, &count) != 0)
        return false;
    if (wasm_module_create(bytes, count, &module, NULL, NULL) != 0) {
        free(bytes);
        return false;
    }
    imports = module->import_count > 0;
    wasm_module_destroy(module);
    free(bytes);
    return imports;
}

bool
spec_script_imports(const struct spec_script *script, const json_t *commands)
{
    static const char *const kinds[] = {"module", "assert_unlinkable", "assert_uninstantiable"};
    size_t index;
    json_t *command;

    json_array_foreach(commands, index, command)
    {
        const char *type = json_string_value(json_object_get(command, "type"));
        const char *file = json_string_value(json_object_get(command, "filename"));

        for (size_t i = 0; i < ARRAY_COUNT(kinds) && type != NULL && file != NULL; i++)
            if (strcmp(type, kinds[i]) == 0 && file_imports(script, file))
                return true;
    }
    return false;
}

/* ----------------------------------------------------------------------- images */

static int
load_bytes(struct spec_script *script, const uint8_t *bytes, size_t count,
           struct faaslet_image **image, struct diag *diag)
{
    struct compile_options options;
    int err, fd;

    compile_options_init(&options);
    options.level = script->options->level;
    options.strict_traps = script->options->is_strict;
    options.mode = script->mode;
    options.jobs = 1;
    options.address = ABI_IMAGE_ADDRESS_FIRST + script->image_count++ * ABI_IMAGE_ADDRESS_UNIT;
    fd = memfd_create(IMAGE_BYTES_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return diag_set(diag, -errno, "memfd_create: %s", strerror(errno));
    err = compile_image(bytes, count, &options, fd, diag);
    if (err == 0)
        err = faaslet_image_load(fd, image, diag);
    (void)close(fd);
    /* An import that is missing is -ENOENT of faaslet_create and _add alone. */
    return err == -ENOENT ? -EIO : err;
}

static int
load_file(struct spec_script *script, const char *path, struct faaslet_image **image,
          struct diag *diag)
{
    uint8_t *bytes;
    size_t count;
    int err;

    err = spec_read_file(path, &bytes, &count);
    if (err != 0)
        return diag_set(diag, -EIO, "%s: %s", path, strerror(-err));
    err = load_bytes(script, bytes, count, image, diag);
    free(bytes);
    return err;
}

/* The host call of spectest. */
static enum faaslet_verdict
pause_call(struct faaslet_call *call)
{
    (void)call;
    return FAASLET_CALL_DONE;
}

static const struct faaslet_host_function *
resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    static const struct faaslet_host_function pause_function = {
        .name = "pause", .type = ":", .function = pause_call};

    if (module_bytes == 8 && memcmp(module, "spec-run", 8) == 0 && name_bytes == 5 &&
        memcmp(name, "pause", 5) == 0)
        return &pause_function;
    return NULL;
}

static const struct faaslet_config config = {.resolve = resolve};

/* ----------------------------------------------------------------------- moving */

static void
follow(struct spec_script *script, const struct faaslet *old, struct faaslet *moved)
{
    for (size_t i = 0; i < script->module_count; i++)
        if (script->modules[i].faaslet == old)
            script->modules[i].faaslet = moved;
    for (size_t i = 0; i < script->retired_count; i++)
        if (script->retired[i] == old)
            script->retired[i] = moved;
    if (script->linked == old)
        script->linked = moved;
}

int
spec_faaslet_move(struct spec_script *script, struct faaslet *faaslet, struct diag *diag)
{
    struct faaslet_frozen *frozen;
    struct faaslet *moved;
    int err;

    err = faaslet_freeze(faaslet, &frozen, diag);
    if (err != 0)
        return err;
    /* The copy is made first, so that it cannot come to the same place. */
    err = faaslet_thaw(frozen, &config, &moved, diag);
    faaslet_frozen_destroy(frozen);
    if (err != 0)
        return err;
    follow(script, faaslet, moved);
    faaslet_destroy(faaslet);
    script->moves++;
    return 0;
}

/* ---------------------------------------------------------------------- running */

static void
wait_for(const struct faaslet_wait *wait, uint64_t deadline_ns)
{
    struct pollfd fds[FAASLET_WAIT_FDS_MAX];
    uint64_t now_ns = clock_now_ns();
    uint64_t until_ns = wait->deadline_ns < deadline_ns ? wait->deadline_ns : deadline_ns;
    struct timespec timeout = {0};

    for (uint32_t i = 0; i < wait->fd_count; i++)
        fds[i] = (struct pollfd){.fd = wait->fds[i].fd, .events = wait->fds[i].events};
    if (until_ns > now_ns) {
        timeout.tv_sec = (time_t)((until_ns - now_ns) / CLOCK_NS_PER_SECOND);
        timeout.tv_nsec = (long)((until_ns - now_ns) % CLOCK_NS_PER_SECOND);
    }
    (void)ppoll(fds, wait->fd_count, &timeout, NULL);
}

void
spec_run_to_end(struct faaslet *faaslet, struct faaslet_outcome *outcome)
{
    uint64_t deadline_ns = clock_now_ns() + RUN_DEADLINE_NS;

    faaslet_run(faaslet, deadline_ns, outcome);
    while (outcome->kind == FAASLET_PENDING) {
        wait_for(&outcome->wait, deadline_ns);
        faaslet_run(faaslet, deadline_ns, outcome);
    }
}

static int
initialise(struct faaslet *faaslet, uint32_t instance, struct faaslet_outcome *outcome,
           struct diag *diag)
{
    int err = faaslet_invoke_init(faaslet, instance);

    if (err != 0)
        return diag_set(diag, -EIO, "faaslet_invoke_init: %s", strerror(-err));
    spec_run_to_end(faaslet, outcome);
    if (outcome->kind == FAASLET_DONE)
        return 0;
    if (outcome->kind != FAASLET_TRAP)
        return diag_set(diag, -EIO, "initialisation ended with outcome %d", outcome->kind);
    return diag_set(diag, -ECANCELED, "initialisation trapped: %s", abi_trap_text(outcome->trap));
}

static int
add_linked(struct spec_script *script, struct faaslet_image *image, uint32_t *instance,
           struct faaslet_outcome *outcome, struct diag *diag)
{
    int err = faaslet_add(script->linked, image, instance, diag);

    if (err != 0)
        return err;
    script->instance_count = *instance + 1;
    return initialise(script->linked, *instance, outcome, diag);
}

static int
create_standalone(struct faaslet_image *image, struct faaslet **out,
                  struct faaslet_outcome *outcome, struct diag *diag)
{
    struct faaslet *faaslet;
    int err;

    err = faaslet_create(image, &config, &faaslet, diag);
    if (err != 0)
        return err;
    err = initialise(faaslet, 0, outcome, diag);
    if (err != 0) {
        faaslet_destroy(faaslet);
        return err;
    }
    *out = faaslet;
    return 0;
}

/* "shared_memory" is in an instance of its own; the one that a module wants is
 * given the name while the module is linked. */
static int
name_spectest(struct spec_script *script, const char *file)
{
    static const char wanted[] = "shared_memory";
    uint32_t instance = script->spectest;
    struct wasm_module *module;
    char path[PATH_MAX];
    uint8_t *bytes;
    size_t count;

    (void)snprintf(path, sizeof(path), "%s/%s", script->directory, file);
    if (spec_read_file(path, &bytes, &count) != 0)
        return -EIO;
    if (wasm_module_create(bytes, count, &module, NULL, NULL) == 0) {
        for (uint32_t i = 0; i < module->import_count; i++)
            if (module->imports[i].name.count == sizeof(wanted) - 1 &&
                memcmp(module->imports[i].name.bytes, wanted, sizeof(wanted) - 1) == 0)
                instance = script->spectest_shared;
        wasm_module_destroy(module);
    }
    free(bytes);
    return faaslet_register(script->linked, instance, "spectest");
}

int
spec_module_create(struct spec_script *script, const char *file, struct spec_module *out,
                   struct faaslet_outcome *outcome, struct diag *diag)
{
    struct faaslet_image *image;
    char path[PATH_MAX];
    int err;

    (void)snprintf(path, sizeof(path), "%s/%s", script->directory, file);
    err = load_file(script, path, &image, diag);
    if (err != 0)
        return err;
    *out = (struct spec_module){.faaslet = script->linked};
    if (script->mode != ABI_LINKED)
        err = create_standalone(image, &out->faaslet, outcome, diag);
    else if (name_spectest(script, file) != 0)
        err = diag_set(diag, -EIO, "spectest cannot be registered");
    else
        err = add_linked(script, image, &out->instance, outcome, diag);
    faaslet_image_put(image);
    return err;
}

static int
add_support(struct spec_script *script, const char *name, uint32_t *instance, struct diag *diag)
{
    struct faaslet_outcome outcome;
    struct faaslet_image *image;
    char wat[PATH_MAX], wasm[PATH_MAX];
    int err;

    (void)snprintf(wat, sizeof(wat), "%s/%s.wat", script->options->support, name);
    (void)snprintf(wasm, sizeof(wasm), "%s/%s.%d.wasm", script->options->out, name, (int)getpid());
    err = spec_run_tool((const char *const[]){"wat2wasm", SPEC_TOOL_FLAGS, wat, "-o", wasm, NULL},
                        true);
    if (err != 0)
        return diag_set(diag, -EIO, "wat2wasm refuses %s", wat);
    err = load_file(script, wasm, &image, diag);
    (void)unlink(wasm);
    if (err != 0)
        return err;
    err = add_linked(script, image, instance, &outcome, diag);
    faaslet_image_put(image);
    return err;
}

int
spec_linked_create(struct spec_script *script, struct diag *diag)
{
    int err;

    if (script->linked != NULL) {
        if (script->retired_count == SPEC_RETIRED_MAX)
            return diag_set(diag, -E2BIG, "more modules than fit");
        script->retired[script->retired_count++] = script->linked;
        script->linked = NULL;
        script->instance_count = 0;
    }
    err = faaslet_create_empty(&config, &script->linked);
    if (err != 0)
        return diag_set(diag, err, "faaslet_create_empty: %s", strerror(-err));
    err = add_support(script, "spectest", &script->spectest, diag);
    if (err != 0)
        return err;
    return add_support(script, "spectest_shared", &script->spectest_shared, diag);
}
