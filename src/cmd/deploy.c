/* SPDX-License-Identifier: Apache-2.0
 *
 * weft deploy: from a source file, a project or a module to a new version of a function.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/api.h"
#include "faaslet/faaslet.h"
#include "group/group.h"

#define FLAGS_MAX 64u /* of -O */
#define HEX_BYTES 65u

extern char **environ;

static const char help[] =
    "usage: weft deploy FILE|DIRECTORY [options]\n\n"
    "Makes a new version of a function and calls go to it from then on. FILE is a module\n"
    "(.wasm), C, C++ or Rust (.c, .cc, .cpp, .rs), compiled here first, or Python or JavaScript\n"
    "(.py, .js); a DIRECTORY has one of them that is named main, or as the directory is.\n\n"
    "  --name NAME          of the function (default the file's)\n"
    "  --entry NAME         exported function to call, of a library\n"
    "  --arg TEXT           argument of every call (repeat it)\n"
    "  --env NAME=VALUE     environment variable (repeat it)\n"
    "  --secret NAME        a secret of the tenant in its environment (weft secret)\n"
    "  --file [PATH=]FILE   a file that calls can read, at /PATH (default /FILE)\n"
    "  --snapshot[=POINT]   start every call from there: weft_snapshot, or a host call such as\n"
    "                       fd_read:0 (the first read of standard input)\n"
    "  --memory SIZE, --time SECONDS, --cpu SECONDS, --output SIZE   limits of a call\n"
    "  --threads N          threads of a call at one time (default 64)\n"
    "  --mpi N              each call is a world of N ranks, of an MPI program (weft mpicc)\n"
    "  --attempts N         tries of an asynchronous call beside the first\n"
    "  --only-if-lost       ... but only where a host was lost\n"
    "  --note TEXT          for people\n"
    "  --python MODULE      CPython as WebAssembly (default weft config python)\n"
    "  --javascript MODULE  QuickJS with Weft's runtime (default weft config javascript, or the\n"
    "                       one that was built with weft)\n"
    "  -O FLAGS             more options for the guest's compiler, e.g. \"-fopenmp -g\"\n";

struct deploy {
    struct api api;
    const char *source, *name, *entry, *snapshot, *note, *language, *compiler_flags;
    const char *python, *javascript;
    const char *engine; /* what runs the source; NULL: it is compiled */
    bool only_if_lost;
    struct cmd_list args, env, secrets, files;
    uint64_t memory, output, attempts, threads, ranks;
    double wall_s, cpu_s;
    char function[64], path[4096], module[4096]; /* module: to be removed, or "" */
    char engine_path[4096];
};

/* ---------------------------------------------------------------------------- options */

static int
parse(struct deploy *deploy, int argc, char **argv)
{
    const struct cmd_option options[] = {
        {"name", CMD_TEXT, &deploy->name, 0},
        {"entry", CMD_TEXT, &deploy->entry, 0},
        {"arg", CMD_LIST, &deploy->args, 0},
        {"env", CMD_LIST, &deploy->env, 0},
        {"secret", CMD_LIST, &deploy->secrets, 0},
        {"file", CMD_LIST, &deploy->files, 0},
        {"snapshot", CMD_MAYBE, &deploy->snapshot, 0},
        {"memory", CMD_SIZE, &deploy->memory, 0},
        {"time", CMD_SECONDS, &deploy->wall_s, 0},
        {"cpu", CMD_SECONDS, &deploy->cpu_s, 0},
        {"output", CMD_SIZE, &deploy->output, 0},
        {"threads", CMD_NUMBER, &deploy->threads, FAASLET_THREADS_MAX},
        {"mpi", CMD_NUMBER, &deploy->ranks, GROUP_MEMBERS_MAX},
        {"attempts", CMD_NUMBER, &deploy->attempts, 1000},
        {"only-if-lost", CMD_FLAG, &deploy->only_if_lost, 0},
        {"note", CMD_TEXT, &deploy->note, 0},
        {"python", CMD_TEXT, &deploy->python, 0},
        {"javascript", CMD_TEXT, &deploy->javascript, 0},
        {"O", CMD_TEXT, &deploy->compiler_flags, 0},
    };
    int code = cmd_options(argc, argv, help, &deploy->api, options, ARRAY_COUNT(options));

    if (code != CMD_EXIT_OK)
        return code;
    if (optind + 1 != argc)
        return cmd_usage("deploy", optind == argc ? "no file" : "one file or directory at a time");
    for (size_t i = 0; i < deploy->env.count; i++)
        if (strchr(deploy->env.items[i], '=') == NULL)
            return cmd_usage("deploy", "--env %s: NAME=VALUE", deploy->env.items[i]);
    deploy->source = argv[optind];
    return CMD_EXIT_OK;
}

/* ------------------------------------------------------------------------- the source */

static const struct {
    const char *ending, *language;
} languages[] = {{".wasm", ""},     {".c", "c"},           {".cc", "cpp"},
                 {".cpp", "cpp"},   {".cxx", "cpp"},       {".rs", "rust"},
                 {".py", "python"}, {".js", "javascript"}, {".mjs", "javascript"}};

static const char *
language_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < ARRAY_COUNT(languages); i++)
        if (strcmp(dot, languages[i].ending) == 0)
            return languages[i].language;
    return NULL;
}

static void
name_of(const char *path, char out[64])
{
    char copy[4096];
    const char *name;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    while (strlen(copy) > 1 && copy[strlen(copy) - 1] == '/')
        copy[strlen(copy) - 1] = '\0';
    name = strrchr(copy, '/') != NULL ? strrchr(copy, '/') + 1 : copy;
    (void)snprintf(out, 64, "%.*s", (int)strcspn(name, "."), name);
}

/* In a directory: main.* or as the directory is named. */
static int
find_source(struct deploy *deploy, struct diag *diag)
{
    struct stat status;

    if (stat(deploy->source, &status) != 0)
        return diag_set(diag, -errno, "%s: %s", deploy->source, strerror(errno));
    if (!S_ISDIR(status.st_mode)) {
        name_of(deploy->source, deploy->function);
        (void)snprintf(deploy->path, sizeof(deploy->path), "%s", deploy->source);
    } else {
        char *real = realpath(deploy->source, NULL);

        name_of(real != NULL ? real : deploy->source, deploy->function);
        free(real);
        for (size_t i = 0; i < 2 * ARRAY_COUNT(languages) && deploy->path[0] == '\0'; i++) {
            (void)snprintf(deploy->path, sizeof(deploy->path), "%.3900s/%s%s", deploy->source,
                           i % 2 == 0 ? "main" : deploy->function, languages[i / 2].ending);
            if (access(deploy->path, R_OK) != 0)
                deploy->path[0] = '\0';
        }
    }
    if (deploy->name != NULL)
        (void)snprintf(deploy->function, sizeof(deploy->function), "%s", deploy->name);
    deploy->language = language_of(deploy->path);
    if (deploy->language == NULL)
        return diag_set(diag, -EINVAL,
                        "%s: not a module, nor C, C++, Rust, Python or JavaScript (.wasm, .c, .cc, "
                        ".cpp, .rs, .py, .js; main.* in a directory)",
                        deploy->source);
    return 0;
}

/* Runs a compiler; what it says is for the user. */
static int
compile(struct deploy *deploy, const char *const *args, struct diag *diag)
{
    const char *program = strcmp(args[0], "weft") == 0 ? "/proc/self/exe" : args[0];
    pid_t pid;
    int status, err;

    api_progress(&deploy->api, "compiling %s", deploy->path);
    err = posix_spawnp(&pid, program, NULL, NULL, (char *const *)(uintptr_t)args, environ);
    if (err != 0)
        return diag_set(diag, -err, "cannot run %s: %s: is it installed?", args[0], strerror(err));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    api_progress_end(&deploy->api);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return diag_set(diag, -EINVAL, "%s does not compile (above)", deploy->path);
    return 0;
}

static int
compile_rust(struct deploy *deploy, struct diag *diag)
{
    struct cmd_rust rust;
    int err = cmd_rust_find(&rust, diag);

    return err != 0 ? err
                    : compile(deploy,
                              (const char *const[]){rust.compiler, "--target", rust.target,
                                                    "-Copt-level=3", "--edition=2021", "-o",
                                                    deploy->module, deploy->path, NULL},
                              diag);
}

/* -O "-fopenmp -g": in words, as a shell would give them. */
static int
compile_c(struct deploy *deploy, struct diag *diag)
{
    static const char *const drivers[2][2] = {{"cc", "c++"}, {"mpicc", "mpicxx"}};
    bool is_cxx = strcmp(deploy->language, "cpp") == 0;
    const char *args[FLAGS_MAX + 8] = {"weft", drivers[deploy->ranks > 0][is_cxx], "-O2"};
    char *words = strdup(deploy->compiler_flags != NULL ? deploy->compiler_flags : "");
    char *rest = NULL;
    size_t count = 3;
    int err;

    if (words == NULL)
        return diag_set(diag, -ENOMEM, "no memory for the compiler's options");
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        args[count < FLAGS_MAX + 3 ? count++ : count] = word;
    args[count++] = "-o";
    args[count++] = deploy->module;
    args[count] = deploy->path;
    err = count > FLAGS_MAX + 4 ? diag_set(diag, -E2BIG, "-O: more than %u options", FLAGS_MAX - 1)
                                : compile(deploy, args, diag);
    free(words);
    return err;
}

static int
make_module(struct deploy *deploy, struct diag *diag)
{
    int fd;

    (void)snprintf(deploy->module, sizeof(deploy->module),
                   "/tmp/weft-deploy-XX"
                   "XX"
                   "XX");
    fd = mkstemp(deploy->module);
    if (fd < 0)
        return diag_set(diag, -errno, "cannot make a file in /tmp: %s", strerror(errno));
    (void)close(fd);
    return strcmp(deploy->language, "rust") == 0 ? compile_rust(deploy, diag)
                                                 : compile_c(deploy, diag);
}

/* ---------------------------------------------------------------------------- uploading */

static int
hash_file(int fd, char hex[HEX_BYTES], struct diag *diag)
{
    uint8_t bytes[65536], digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned count = 0;
    ssize_t done = 0;
    bool is_fine = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

    while (is_fine && (done = read(fd, bytes, sizeof(bytes))) > 0)
        is_fine = EVP_DigestUpdate(context, bytes, (size_t)done) == 1;
    is_fine = is_fine && done == 0 && EVP_DigestFinal_ex(context, digest, &count) == 1 &&
              lseek(fd, 0, SEEK_SET) == 0;
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < 32 && i < count; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return is_fine ? 0 : diag_set(diag, -EIO, "cannot read all of it");
}

/* Unless the gateway has it from this tenant. The exit code. */
static int
upload(struct deploy *deploy, const char *path, char hex[HEX_BYTES])
{
    struct api_request head = API_REQUEST("HEAD", NULL), post = API_REQUEST("POST", "/v1/blobs");
    struct api_answer answer = {0};
    char url[128];
    struct diag diag;
    int code = CMD_EXIT_OK, err = 0;

    diag_init(&diag);
    post.body_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (post.body_fd < 0)
        return cmd_fail(diag_set(&diag, -errno, "%s: %s", path, strerror(errno)), &diag);
    err = hash_file(post.body_fd, hex, &diag);
    (void)snprintf(url, sizeof(url), "/v1/blobs/%s", hex);
    head.path = url;
    if (err == 0)
        err = api_send(&deploy->api, &head, &answer, &diag);
    if (err == 0 && answer.status != 200) {
        api_answer_fini(&answer);
        post.type = "application/octet-stream";
        post.progress = path;
        err = api_send(&deploy->api, &post, &answer, &diag);
    }
    if (err != 0)
        code = cmd_fail(err, &diag);
    else if (answer.status >= 300)
        code = api_fail(&answer);
    api_answer_fini(&answer);
    file_close(&post.body_fd);
    return code;
}

/* ------------------------------------------------------------------------- the version */

static json_t *
texts(const struct cmd_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(array, json_string(list->items[i]));
    return array;
}

/* The first is the program's name, as for main; that of an engine is there already. */
static json_t *
make_args(const struct deploy *deploy)
{
    json_t *args = texts(&deploy->args);

    if (deploy->engine == NULL)
        (void)json_array_insert_new(args, 0, json_string(deploy->function));
    return args;
}

static json_t *
make_env(const struct cmd_list *list)
{
    json_t *env = json_object();

    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        char *name = strndup(list->items[i], (size_t)(equals - list->items[i]));

        (void)json_object_set_new(env, name, json_string(equals + 1));
        free(name);
    }
    return env;
}

/* Each is a blob first. NULL: said why. */
static json_t *
make_files(struct deploy *deploy, int *code)
{
    json_t *files = json_object();

    for (size_t i = 0; i < deploy->files.count && *code == CMD_EXIT_OK; i++) {
        const char *item = deploy->files.items[i], *equals = strchr(item, '=');
        const char *path = equals != NULL ? equals + 1 : item;
        char at[4096], hex[HEX_BYTES];

        (void)snprintf(at, sizeof(at), "%s%.*s", item[0] == '/' ? "" : "/",
                       equals != NULL ? (int)(equals - item) : (int)strlen(item), item);
        *code = upload(deploy, path, hex);
        if (*code == CMD_EXIT_OK)
            (void)json_object_set_new(files, at, json_string(hex));
    }
    return files;
}

static void
set_number(json_t *object, const char *name, double value)
{
    if (value > 0)
        (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *
make_version(struct deploy *deploy, const char *hex, int *code)
{
    json_t *version = json_object(), *limits = json_object(), *retry = json_object();

    set_number(limits, "memory_bytes", (double)deploy->memory);
    set_number(limits, "output_bytes", (double)deploy->output);
    set_number(limits, "wall_ms", deploy->wall_s * 1e3);
    set_number(limits, "cpu_ms", deploy->cpu_s * 1e3);
    set_number(limits, "threads", (double)deploy->threads);
    set_number(version, "ranks", (double)deploy->ranks);
    set_number(retry, "attempts", (double)deploy->attempts);
    (void)json_object_set_new(retry, "only_if_lost", json_boolean(deploy->only_if_lost));
    (void)json_object_set_new(version, "module", json_string(hex));
    (void)json_object_set_new(version, "language", json_string(deploy->language));
    (void)json_object_set_new(version, "limits", limits);
    (void)json_object_set_new(version, "retry", retry);
    (void)json_object_set_new(version, "env", make_env(&deploy->env));
    (void)json_object_set_new(version, "secrets", texts(&deploy->secrets));
    (void)json_object_set_new(version, "files", make_files(deploy, code));
    if (deploy->args.count > 0)
        (void)json_object_set_new(version, "args", make_args(deploy));
    if (deploy->entry != NULL)
        (void)json_object_set_new(version, "entry", json_string(deploy->entry));
    if (deploy->note != NULL)
        (void)json_object_set_new(version, "note", json_string(deploy->note));
    if (deploy->snapshot != NULL)
        (void)json_object_set_new(version, "snapshot", json_string(deploy->snapshot));
    return version;
}

/* The module of a language's engine: as the option says, the environment, the settings, or
 * as it was built with weft. */
static int
find_engine(struct deploy *deploy, const char *option, struct diag *diag)
{
    bool is_python = strcmp(deploy->language, "python") == 0;
    const char *path =
        option != NULL ? option : getenv(is_python ? "WEFT_PYTHON" : "WEFT_JAVASCRIPT");
    json_t *settings = api_settings_load(diag);

    if (path == NULL)
        path = json_string_value(json_object_get(settings, deploy->language));
    if (path != NULL && path[0] != '\0')
        (void)snprintf(deploy->engine_path, sizeof(deploy->engine_path), "%s", path);
    else if (is_python ||
             !cmd_share_find("javascript.wasm", deploy->engine_path, sizeof(deploy->engine_path)))
        deploy->engine_path[0] = '\0';
    json_decref(settings);
    deploy->engine = deploy->engine_path;
    if (deploy->engine[0] != '\0')
        return 0;
    return is_python
               ? diag_set(diag, -ENOENT,
                          "no CPython: give --python MODULE, WEFT_PYTHON, or weft config python "
                          "MODULE: a build for WASI, such as the npm package python-wasi has")
               : diag_set(diag, -ENOENT,
                          "no QuickJS: make javascript builds it; or give --javascript MODULE, "
                          "WEFT_JAVASCRIPT, or weft config javascript MODULE");
}

/* The engine goes to its first read of standard input once, with the user's module imported;
 * every call begins there. */
static int
prepare_python(struct deploy *deploy, struct buffer *text, struct diag *diag)
{
    int err = find_engine(deploy, deploy->python, diag);

    if (err == 0)
        err = cmd_python_source(deploy->path, text, diag);
    if (err != 0)
        return err;
    buffer_append(text, "", 1);
    deploy->args =
        (struct cmd_list){.items = {"python", "-c", (const char *)text->bytes}, .count = 3};
    deploy->snapshot = "fd_read:0";
    return text->err;
}

static int
prepare_javascript(struct deploy *deploy, struct buffer *text, struct diag *diag)
{
    const char *slash = strrchr(deploy->path, '/');
    int err = find_engine(deploy, deploy->javascript, diag);

    if (err == 0)
        err = cmd_source_read(deploy->path, text, diag);
    if (err != 0)
        return err;
    buffer_append(text, "", 1);
    deploy->args =
        (struct cmd_list){.items = {"javascript", slash != NULL ? slash + 1 : deploy->path,
                                    (const char *)text->bytes},
                          .count = 3};
    deploy->snapshot = "fd_read:0";
    return text->err;
}

static int
put(struct deploy *deploy, const char *hex)
{
    char *path = api_path("/v1/functions/%s", deploy->function), *body;
    struct api_request request = API_REQUEST("PUT", path);
    int code = CMD_EXIT_OK, err;
    json_t *version = make_version(deploy, hex, &code), *result = NULL;
    struct api_answer answer = {0};
    struct diag diag;

    diag_init(&diag);
    body = json_dumps(version, JSON_COMPACT);
    request.body = body;
    request.count = body != NULL ? strlen(body) : 0;
    request.progress = deploy->function;
    err = body == NULL ? diag_set(&diag, -EINVAL, "a text is not UTF-8") : 0;
    if (err == 0 && code == CMD_EXIT_OK)
        err = api_send(&deploy->api, &request, &answer, &diag);
    if (err != 0)
        code = cmd_fail(err, &diag);
    else if (code == CMD_EXIT_OK && answer.status >= 300)
        code = api_fail(&answer);
    if (code == CMD_EXIT_OK) {
        result = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
        api_print(&deploy->api, result);
        if (!deploy->api.is_json)
            (void)printf("%s version %lld  (compiled in %.1f s%s)\n", deploy->function,
                         json_integer_value(json_object_get(result, "version")),
                         json_number_value(json_object_get(result, "compile_ms")) / 1e3,
                         json_is_true(json_object_get(result, "was_cached")) ? ", kept from before"
                                                                             : "");
    }
    json_decref(result);
    json_decref(version);
    free(body);
    free(path);
    api_answer_fini(&answer);
    return code;
}

static int
deploy_source(struct deploy *deploy)
{
    struct buffer text = {0};
    char hex[HEX_BYTES] = "";
    struct diag diag;
    int code, err;

    diag_init(&diag);
    err = find_source(deploy, &diag);
    if (err == 0 && strcmp(deploy->language, "python") == 0)
        err = prepare_python(deploy, &text, &diag);
    else if (err == 0 && strcmp(deploy->language, "javascript") == 0)
        err = prepare_javascript(deploy, &text, &diag);
    else if (err == 0 && deploy->language[0] != '\0')
        err = make_module(deploy, &diag);
    code = err != 0 ? cmd_fail(err, &diag)
                    : upload(deploy,
                             deploy->module[0] != '\0' ? deploy->module
                             : deploy->engine != NULL  ? deploy->engine
                                                       : deploy->path,
                             hex);
    if (code == CMD_EXIT_OK)
        code = put(deploy, hex);
    if (deploy->module[0] != '\0')
        (void)unlink(deploy->module);
    buffer_fini(&text);
    return code;
}

int
cmd_deploy(int argc, char **argv)
{
    static struct deploy deploy; /* large */
    int code = parse(&deploy, argc, argv);

    if (code == CMD_EXIT_OK && api_open(&deploy.api, &code))
        code = deploy_source(&deploy);
    api_close(&deploy.api);
    return code < 0 ? CMD_EXIT_OK : code;
}
