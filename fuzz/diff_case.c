/* SPDX-License-Identifier: Apache-2.0
 *
 * diff: from a seed to a module, its script, and Weft's log.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "diff_internal.h"
#include "generate.h"

#define CASE_SECONDS     120u
#define CALLS_OF_EACH    3u
#define LARGE_ONE_IN     200u /* cases: so large that they are compiled in parts */
#define RELAXED_ONE_IN   12u
#define LARGE_SIZE       12000u
#define TTF_BYTES        3000u
#define MODULE_BYTES_MAX (16u << 20)

/* ---------------------------------------------------------------------- decisions */

static uint64_t
random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t
choose(uint64_t *state, uint32_t count)
{
    return (uint32_t)(random_next(state) >> 32) % count;
}

/* The newest is left out where this machine is older. */
static unsigned
choose_cpu(uint64_t *state)
{
    switch (choose(state, 6)) {
    case 0:
        return 2;
    case 1:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512cd")
                   ? 4
                   : 0;
    default:
        return 0;
    }
}

static struct side_variant
choose_variant(uint64_t *state)
{
    static const uint8_t levels[] = {3, 3, 3, 0, 2, 1};

    return (struct side_variant){.level = levels[choose(state, ARRAY_COUNT(levels))],
                                 .is_linked = choose(state, 4) == 0,
                                 .is_strict = choose(state, 3) == 0,
                                 .is_moved = choose(state, 4) == 0,
                                 .is_parted = choose(state, LARGE_ONE_IN) == 0,
                                 .cpu = choose_cpu(state)};
}

void
diff_case_init(struct diff_case *it, const char *directory)
{
    *it = (struct diff_case){.module_count = 1};
    for (unsigned i = 0; i < SIDE_MODULES_MAX; i++)
        (void)snprintf(it->paths[i], sizeof(it->paths[i]), "%s/case-%d-%u.wasm", directory,
                       (int)getpid(), i);
}

void
diff_case_fini(struct diff_case *it)
{
    for (unsigned i = 0; i < SIDE_MODULES_MAX; i++)
        buffer_fini(&it->modules[i]);
    buffer_fini(&it->script);
    buffer_fini(&it->v8_log);
    buffer_fini(&it->weft_log);
    free(it->cuts);
}

/* ------------------------------------------------------------------------ modules */

/* The cuts are of the nodes of all modules, one after the other. */
static void
make_module(struct diff_case *it, uint32_t index, struct generate_options *options)
{
    uint32_t before = it->node_count, count = 0;

    options->cuts = it->cut_count > before ? it->cuts + before : NULL;
    options->cut_count = it->cut_count > before ? it->cut_count - before : 0;
    options->node_count = &count;
    generate_module(options, &it->modules[index]);
    it->node_count += count;
}

static void
make_own(struct diff_case *it, uint64_t *state, const struct side_variant *variant)
{
    struct generate_options options = {
        .has_relaxed = it->is_relaxed,
        .seed = random_next(state),
        .may_trap = variant->is_strict,
        .has_shared = choose(state, 4) == 0,
        .has_try = choose(state, 3) == 0,
        .has_tail = choose(state, 4) == 0,
        .has_simd = choose(state, 3) != 0,
        .size = variant->is_parted ? LARGE_SIZE : 40u << choose(state, 5),
    };
    struct generate_options second = options;

    it->node_count = 0;
    make_module(it, 0, &options);
    it->module_count = variant->is_linked && choose(state, 2) == 0 ? 2 : 1;
    if (it->module_count == 1)
        return;
    second.seed = random_next(state);
    second.has_try = choose(state, 3) == 0;
    second.from = &options;
    make_module(it, 1, &second);
}

static int
spawn(char *const argv[])
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)dup2(null_fd, STDERR_FILENO);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return -ENOENT;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

static int
write_file(const char *path, const void *bytes, size_t count)
{
    int fd CLEANUP(file_close) = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    return fd < 0 ? -errno : file_write_all(fd, bytes, count);
}

/* Binaryen makes a module of random bytes. Reference types stay off: with them
 * version 108 writes types of later proposals. */
static int
make_ttf(struct diff_case *it, uint64_t *state, bool may_trap, struct diag *diag)
{
    char input[sizeof(it->paths[0]) + 8], *argv[20];
    uint64_t words[TTF_BYTES / 8];
    unsigned count = 0;
    int err;

    (void)snprintf(input, sizeof(input), "%s.input", it->paths[0]);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        words[i] = random_next(state);
    err = write_file(input, words, 500 + choose(state, TTF_BYTES - 500));
    if (err != 0)
        return diag_set(diag, err, "%s: %s", input, strerror(-err));
    for (const char *const *word =
             (const char *const[]){"wasm-opt", "-ttf", "--denan", "--enable-sign-ext",
                                   "--enable-mutable-globals", "--enable-nontrapping-float-to-int",
                                   "--enable-bulk-memory", "--enable-multivalue", NULL};
         *word != NULL; word++)
        argv[count++] = (char *)*word;
    if (choose(state, 2) == 0)
        argv[count++] = (char *)"--enable-simd";
    if (choose(state, 3) == 0)
        argv[count++] = (char *)"--enable-threads";
    if (!may_trap)
        argv[count++] = (char *)"--no-fuzz-oob";
    argv[count++] = input;
    argv[count++] = (char *)"-o";
    argv[count++] = it->paths[0];
    argv[count] = NULL;
    err = spawn(argv);
    (void)unlink(input);
    if (err == -ENOENT)
        return diag_set(diag, err, "wasm-opt: not found: install binaryen");
    if (err != 0)
        return err;
    it->module_count = 1;
    it->node_count = 0;
    return file_read_all(it->paths[0], MODULE_BYTES_MAX, &it->modules[0], diag);
}

int
diff_case_make(struct diff_case *it, uint64_t seed, bool may_spawn, struct diag *diag)
{
    uint64_t state = seed;
    struct side_variant variant;
    int err = 0;

    it->seed = seed;
    (void)random_next(&state);
    variant = choose_variant(&state);
    it->modules[0].count = it->modules[1].count = 0;
    it->script.count = it->v8_log.count = it->weft_log.count = 0;
    if (!it->has_variant)
        it->variant = variant;
    if (choose(&state, 4) == 0 && may_spawn) {
        err = make_ttf(it, &state, variant.is_strict, diag);
    } else {
        it->is_relaxed = choose(&state, RELAXED_ONE_IN) == 0;
        make_own(it, &state, &variant);
        for (uint32_t i = 0; err == 0 && i < it->module_count; i++) {
            err = it->modules[i].err;
            if (err == 0)
                err = write_file(it->paths[i], it->modules[i].bytes, it->modules[i].count);
        }
    }
    if (err != 0)
        return diag_set(diag, err, "%s: %s", it->paths[0], strerror(-err));
    return diff_case_script(it, diag);
}

/* ------------------------------------------------------------------------- script */

static uint64_t
choose_bits(uint64_t *state)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     7,
                                     31,
                                     63,
                                     100,
                                     0xffffffffffffffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xfffffffe,
                                     0x7fffffffffffffff,
                                     0x8000000000000000};

    return choose(state, 3) == 0 ? random_next(state) : edges[choose(state, ARRAY_COUNT(edges))];
}

static double
choose_number(uint64_t *state)
{
    static const double edges[] = {0.0, -0.0, 1.0, -1.0, 0.5, 3.75, -1e10, 2147483648.0, 1e300};

    return edges[choose(state, ARRAY_COUNT(edges))];
}

static void
put_argument(struct buffer *script, uint8_t type, uint64_t *state)
{
    uint64_t bits = choose_bits(state);
    double number = choose_number(state);
    float narrow = (float)number;

    switch (type) {
    case WASM_I32:
        buffer_append_format(script, " i:%08x", (uint32_t)bits);
        break;
    case WASM_I64:
        buffer_append_format(script, " I:%016llx", (unsigned long long)bits);
        break;
    case WASM_F32:
        if (choose(state, 2) == 0)
            (void)memcpy(&bits, &narrow, 4);
        buffer_append_format(script, " f:%08x", (uint32_t)bits);
        break;
    case WASM_F64:
        if (choose(state, 2) == 0)
            (void)memcpy(&bits, &number, 8);
        buffer_append_format(script, " F:%016llx", (unsigned long long)bits);
        break;
    case WASM_EXTERNREF:
        if (choose(state, 2) == 0) {
            buffer_append_format(script, " x:%u", 1 + choose(state, 9));
            break;
        }
        buffer_append_format(script, " x:null");
        break;
    default:
        buffer_append_format(script, " r:null");
    }
}

static bool
is_callable(const struct wasm_module *module, const struct wasm_export *export)
{
    const struct wasm_func_type *type;

    if (export->kind != WASM_KIND_FUNCTION)
        return false;
    for (uint32_t i = 0; i < export->name.count; i++)
        if (export->name.bytes[i] <= ' ' || export->name.bytes[i] > '~')
            return false;
    type = &module->types[module->functions[export->index].type];
    return (type->param_count == 0 || memchr(type->params, WASM_V128, type->param_count) == NULL) &&
           (type->result_count == 0 ||
            memchr(type->results, WASM_V128, type->result_count) == NULL);
}

static bool
is_named(const struct wasm_export *export, const char *name)
{
    return export->name.count == strlen(name) &&
           memcmp(export->name.bytes, name, export->name.count) == 0;
}

/* What the calls of one module have in common. */
struct call_writer {
    struct buffer *script;
    const struct wasm_module *module;
    const char *prefix; /* "", or "1:" */
    uint64_t *state;
};

static void
put_call(const struct call_writer *writer, const struct wasm_export *export)
{
    const struct wasm_func_type *type =
        &writer->module->types[writer->module->functions[export->index].type];

    buffer_append_format(writer->script, "call %s%.*s", writer->prefix, (int)export->name.count,
                         export->name.bytes);
    for (uint32_t i = 0; i < type->param_count; i++)
        put_argument(writer->script, type->params[i], writer->state);
    buffer_append_format(writer->script, "\n");
}

static void
put_calls(const struct call_writer *writer, const struct wasm_export *export,
          const struct wasm_export *fuel)
{
    const struct wasm_func_type *type =
        &writer->module->types[writer->module->functions[export->index].type];
    uint32_t count = type->param_count == 0 ? 1 : CALLS_OF_EACH;

    for (uint32_t i = 0; i < count; i++) {
        if (fuel != NULL)
            put_call(writer, fuel);
        put_call(writer, export);
    }
}

/* Every function an embedder can call. */
static void
put_module_calls(const struct call_writer *writer)
{
    const struct wasm_module *module = writer->module;
    const struct wasm_export *fuel = NULL, *hash = NULL;

    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        if (is_named(export, "fuel") || is_named(export, "hangLimitInitializer"))
            fuel = export;
        if (is_named(export, "hash"))
            hash = export;
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        if (!is_callable(module, export) || export == fuel || export == hash)
            continue;
        put_calls(writer, export, fuel);
        if (hash != NULL)
            put_call(writer, hash);
    }
}

int
diff_case_script(struct diff_case *it, struct diag *diag)
{
    uint64_t state = it->seed ^ 0x5eed;

    for (uint32_t i = it->module_count; i-- > 0;) { /* the one that imports first */
        struct call_writer writer = {&it->script, NULL, i == 0 ? "" : "1:", &state};
        struct wasm_module *module;
        int err =
            wasm_module_create(it->modules[i].bytes, it->modules[i].count, &module, NULL, diag);

        if (err != 0)
            return err;
        writer.module = module;
        put_module_calls(&writer);
        wasm_module_destroy(module);
    }
    buffer_append(&it->script, "", 1);
    return it->script.err;
}

/* --------------------------------------------------------------------------- Weft */

static int
run_modules(const struct diff_case *it, struct buffer *log, struct diag *diag)
{
    struct side_module modules[SIDE_MODULES_MAX];

    for (uint32_t i = 0; i < it->module_count; i++)
        modules[i] = (struct side_module){it->modules[i].bytes, it->modules[i].count};
    return side_run(modules, it->module_count, &it->variant, (const char *)it->script.bytes, log,
                    diag);
}

static NORETURN void
run_as_child(const struct diff_case *it, int fd)
{
    struct buffer log = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    (void)alarm(CASE_SECONDS);
    err = run_modules(it, &log, &diag);
    if (err != 0)
        buffer_append_format(&log, "refused: %s: %s\n", strerror(-err), diag_text(&diag));
    _exit(file_write_all(fd, log.bytes, log.count) == 0 ? 0 : 3);
}

static int
read_log(int fd, struct buffer *log)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return -errno;
    buffer_append(log, NULL, (size_t)status.st_size);
    if (log->err == 0 && pread(fd, log->bytes, (size_t)status.st_size, 0) != status.st_size)
        return -EIO;
    return log->err;
}

int
diff_case_run_weft(struct diff_case *it, bool in_child, struct diag *diag)
{
    int fd CLEANUP(file_close) = -1;
    int status, err;
    pid_t pid;

    if (!in_child)
        return run_modules(it, &it->weft_log, diag);
    fd = memfd_create("log", MFD_CLOEXEC);
    pid = fd < 0 ? -1 : fork();
    if (pid < 0)
        return diag_set(diag, -errno, "child: %s", strerror(errno));
    if (pid == 0)
        run_as_child(it, fd);
    (void)waitpid(pid, &status, 0);
    err = read_log(fd, &it->weft_log);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return diag_set(diag, -ETIMEDOUT, "Weft took more than %u s", CASE_SECONDS);
    if (WIFSIGNALED(status))
        buffer_append_format(&it->weft_log, "crashed: signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        buffer_append_format(&it->weft_log, "crashed: exit %d\n", WEXITSTATUS(status));
    return err;
}

int
diff_case_run_v8(const struct diff_case *it, struct peer *peer, struct buffer *log)
{
    const char *paths[SIDE_MODULES_MAX + 1] = {0};

    for (uint32_t i = 0; i < it->module_count; i++)
        paths[i] = it->paths[i];
    return peer_run(peer, paths, (const char *)it->script.bytes, log);
}

int
diff_case_run_reference(struct diff_case *it, struct peer *peer, struct diag *diag)
{
    struct side_variant variant = it->variant;
    struct buffer log = it->weft_log;
    int err;

    if (!it->is_relaxed)
        return diff_case_run_v8(it, peer, &it->v8_log);
    it->variant = (struct side_variant){
        .level = 0, .is_strict = variant.is_strict, .is_linked = it->module_count > 1};
    it->weft_log = it->v8_log;
    err = diff_case_run_weft(it, true, diag);
    it->v8_log = it->weft_log;
    it->weft_log = log;
    it->variant = variant;
    return err;
}
