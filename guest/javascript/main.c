/* SPDX-License-Identifier: Apache-2.0
 *
 * QuickJS as a program: what is linked with its WebAssembly (link), which has no main.
 *
 *     javascript NAME.js [TEXT]    the file, or the text by that name
 *
 * The file is a module; it may import "weft" (weft.js, which is part of this) and other
 * files. weft.js finds its handler, reads the input and tells the result. Its functions
 * below are natives: an error of WASI as a negative number, or what was asked for.
 */
#include "quickjs.h"
#include "wasi.h"
#include "weft_module.h" /* generated: static const char weft_module[] */

#define STACK_BYTES  (900u << 10) /* of the MiB that QuickJS was linked with */
#define PREOPENS_MAX 32u
#define READ_BYTES   65536u

static JSRuntime *runtime;

static struct preopen {
    uint32_t fd;
    size_t bytes;
    char *name;
} preopens[PREOPENS_MAX];
static unsigned preopen_count;

/* ------------------------------------------------------------------------------- errors */

static void
say(const char *text, size_t bytes)
{
    size_t done;

    for (; bytes > 0; text += done, bytes -= done) {
        const struct wasi_bytes part = {(void *)(uintptr_t)text, bytes};

        if (wasi_fd_write(2, &part, 1, &done) != 0)
            return;
    }
}

static _Noreturn void
die(const char *text)
{
    say(text, strlen(text));
    say("\n", 1);
    wasi_proc_exit(1);
}

static void
say_value(JSContext *ctx, JSValue value)
{
    size_t bytes;
    const char *text = JS_ToCStringLen2(ctx, &bytes, value, false);

    if (text != NULL)
        say(text, bytes);
    JS_FreeCString(ctx, text);
}

/* The error and where it was thrown. */
static _Noreturn void
die_of(JSContext *ctx, JSValue error)
{
    JSValue stack = JS_GetPropertyStr(ctx, error, "stack");

    say_value(ctx, error);
    say("\n", 1);
    if ((uint32_t)(stack >> 32) != JS_TAG_UNDEFINED)
        say_value(ctx, stack);
    wasi_proc_exit(1);
}

/* -------------------------------------------------------------------------------- files */

static void
find_preopens(void)
{
    struct wasi_prestat stat;

    for (uint32_t fd = 3; preopen_count < PREOPENS_MAX; fd++) {
        struct preopen *one = &preopens[preopen_count];

        if (wasi_fd_prestat_get(fd, &stat) != 0)
            return;
        one->name = malloc(stat.name_bytes + 1);
        if (one->name == NULL || wasi_fd_prestat_dir_name(fd, one->name, stat.name_bytes) != 0)
            die("cannot read the names of directories");
        one->fd = fd;
        one->bytes = stat.name_bytes;
        while (one->bytes > 0 && one->name[one->bytes - 1] == '/')
            one->bytes--;
        preopen_count++;
    }
}

/* The longest directory that the path is in; names are from /, or, at the command line,
 * "." is where it starts. */
static const struct preopen *
find_directory(const char **path)
{
    const struct preopen *best = NULL;

    for (unsigned i = 0; i < preopen_count; i++) {
        const struct preopen *one = &preopens[i];

        if ((best == NULL || one->bytes > best->bytes) && strlen(*path) > one->bytes &&
            memcmp(*path, one->name, one->bytes) == 0 && (*path)[one->bytes] == '/')
            best = one;
    }
    *path += best != NULL ? best->bytes : 0;
    while (best != NULL && **path == '/')
        (*path)++;
    return best;
}

static int64_t
open_path(const char *path, char mode)
{
    const bool is_read = mode == 'r' || mode == '+';
    const uint32_t how = mode == 'w' ? WASI_CREATE | WASI_TRUNCATE : mode == 'a' ? WASI_CREATE : 0;
    uint64_t rights = (is_read ? WASI_RIGHT_READ : 0) | (mode != 'r' ? WASI_RIGHT_WRITE : 0);
    const struct preopen *directory = find_directory(&path);
    uint32_t fd, err;

    if (directory == NULL)
        return -WASI_NOENT;
    err = wasi_path_open(directory->fd, 1, path[0] != '\0' ? path : ".",
                         path[0] != '\0' ? strlen(path) : 1, how, rights, 0,
                         mode == 'a' ? WASI_APPEND : 0, &fd);
    return err != 0 ? -(int64_t)err : fd;
}

/* All of it, with a zero after it; NULL: there is none. */
static char *
read_all(const char *path, size_t *count)
{
    int64_t fd = open_path(path, 'r');
    char *bytes = NULL;
    size_t done = 0;

    if (fd < 0)
        return NULL;
    *count = 0;
    do {
        char *more = realloc(bytes, *count + READ_BYTES + 1);
        struct wasi_bytes part = {more + *count, READ_BYTES};

        if (more == NULL || wasi_fd_read((uint32_t)fd, &part, 1, &done) != 0) {
            free(more != NULL ? more : bytes);
            (void)wasi_fd_close((uint32_t)fd);
            return NULL;
        }
        bytes = more;
        *count += done;
    } while (done > 0);
    (void)wasi_fd_close((uint32_t)fd);
    bytes[*count] = '\0';
    return bytes;
}

/* ------------------------------------------------------------------------------ natives */

static JSValue
of_number(int64_t number)
{
    return JS_VALUE(JS_TAG_INT, (int32_t)number);
}

static int32_t
number_of(JSContext *ctx, JSValue value)
{
    int32_t number = -1;

    (void)JS_ToInt32(ctx, &number, value);
    return number;
}

/* open(path, mode): "r", "w", "a" or "+" (both ways, of what is there). */
static JSValue
native_open(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    size_t bytes, mode_bytes;
    const char *path = JS_ToCStringLen2(ctx, &bytes, argv[0], false);
    const char *mode = JS_ToCStringLen2(ctx, &mode_bytes, argv[1], false);
    int64_t fd = -WASI_NOENT;

    (void)self;
    (void)argc;
    if (path != NULL && mode != NULL && strlen(path) == bytes)
        fd = open_path(path, mode[0]);
    JS_FreeCString(ctx, path);
    JS_FreeCString(ctx, mode);
    return of_number(fd);
}

/* read(fd): some bytes, none at the end. */
static JSValue
native_read(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    static uint8_t room[READ_BYTES];
    const struct wasi_bytes part = {room, sizeof(room)};
    size_t done = 0;
    uint32_t err = wasi_fd_read((uint32_t)number_of(ctx, argv[0]), &part, 1, &done);

    (void)self;
    (void)argc;
    return err != 0 ? of_number(-(int64_t)err) : JS_NewUint8ArrayCopy(ctx, room, done);
}

/* write(fd, Uint8Array): all of it. */
static JSValue
native_write(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    size_t count = 0, done = 0;
    uint8_t *bytes = JS_GetUint8Array(ctx, &count, argv[1]);
    uint32_t fd = (uint32_t)number_of(ctx, argv[0]), err = 0;

    (void)self;
    (void)argc;
    if (bytes == NULL && count == 0)
        return JS_EXCEPTION;
    for (; err == 0 && count > 0; bytes += done, count -= done) {
        const struct wasi_bytes part = {bytes, count};

        err = wasi_fd_write(fd, &part, 1, &done);
    }
    return of_number(-(int64_t)err);
}

static JSValue
native_sync(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    (void)self;
    (void)argc;
    return of_number(-(int64_t)wasi_fd_sync((uint32_t)number_of(ctx, argv[0])));
}

static JSValue
native_close(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    (void)self;
    (void)argc;
    return of_number(-(int64_t)wasi_fd_close((uint32_t)number_of(ctx, argv[0])));
}

static JSValue
native_exit(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    (void)self;
    (void)argc;
    wasi_proc_exit((uint32_t)number_of(ctx, argv[0]) & 0xff);
}

/* fill(Uint8Array): with random bytes. */
static JSValue
native_fill(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    size_t count = 0;
    uint8_t *bytes = JS_GetUint8Array(ctx, &count, argv[0]);

    (void)self;
    (void)argc;
    return of_number(bytes != NULL ? -(int64_t)wasi_random_get(bytes, count) : -WASI_BADF);
}

static JSValue
native_encode(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    size_t bytes;
    const char *text = JS_ToCStringLen2(ctx, &bytes, argv[0], false);
    JSValue out;

    (void)self;
    (void)argc;
    if (text == NULL)
        return JS_EXCEPTION;
    out = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, bytes);
    JS_FreeCString(ctx, text);
    return out;
}

static JSValue
native_decode(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    size_t count = 0;
    const uint8_t *bytes = JS_GetUint8Array(ctx, &count, argv[0]);

    (void)self;
    (void)argc;
    return bytes == NULL ? JS_EXCEPTION : JS_NewStringLen(ctx, (const char *)bytes, count);
}

static JSValue
native_collect(JSContext *ctx, JSValue self, int argc, JSValue *argv)
{
    (void)ctx;
    (void)self;
    (void)argc;
    (void)argv;
    JS_RunGC(runtime);
    return JS_UNDEFINED;
}

/* weft.js takes them over and leaves nothing global of them. */
static void
add_natives(JSContext *ctx)
{
    static const struct {
        const char *name;
        JSCFunction *function;
        int length;
    } natives[] = {
        {"__weft_open", native_open, 2},     {"__weft_read", native_read, 1},
        {"__weft_write", native_write, 2},   {"__weft_sync", native_sync, 1},
        {"__weft_close", native_close, 1},   {"__weft_exit", native_exit, 1},
        {"__weft_fill", native_fill, 1},     {"__weft_encode", native_encode, 1},
        {"__weft_decode", native_decode, 1}, {"__weft_collect", native_collect, 0},
    };
    JSValue global = JS_GetGlobalObject(ctx);

    for (size_t i = 0; i < sizeof(natives) / sizeof(natives[0]); i++)
        (void)JS_SetPropertyStr(
            ctx, global, natives[i].name,
            JS_NewCFunction2(ctx, natives[i].function, natives[i].name, natives[i].length, 0, 0));
    JS_FreeValue(ctx, global);
}

/* ------------------------------------------------------------------------------ modules */

static JSModuleDef *
compile(JSContext *ctx, const char *text, size_t bytes, const char *name, JSValue *out)
{
    *out = JS_Eval(ctx, text, bytes, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    return JS_IS_EXCEPTION(*out) ? NULL : JS_POINTER(*out);
}

/* "weft", or a file: names that begin with a dot are made so that they do not, from that of
 * the importing file; all are looked for from the root, and beside the file. */
static JSModuleDef *
load(JSContext *ctx, const char *name, void *folder)
{
    size_t bytes = 0, before = strlen(folder);
    JSModuleDef *module;
    JSValue ignored;
    char *path, *text;

    if (strcmp(name, "weft") == 0)
        return compile(ctx, weft_module, sizeof(weft_module) - 1, name, &ignored);
    path = malloc(before + strlen(name) + 2);
    if (path == NULL)
        return NULL;
    memcpy(path, folder, before);
    memcpy(path + before, "/", 1);
    memcpy(path + before + 1, name, strlen(name) + 1);
    text = read_all(name[0] == '/' ? name : path, &bytes);
    free(path);
    if (text == NULL) {
        (void)JS_ThrowReferenceError(ctx, "there is no module %s among the function's files", name);
        return NULL;
    }
    module = compile(ctx, text, bytes, name, &ignored);
    free(text);
    return module;
}

/* All that can go on does; there are no other events. */
static void
finish(JSContext *ctx, JSValue promise, const char *pending)
{
    JSContext *of;
    int state;

    while (JS_ExecutePendingJob(runtime, &of) > 0)
        continue;
    state = JS_PromiseState(ctx, promise);
    if (state == JS_PROMISE_REJECTED)
        die_of(ctx, JS_PromiseResult(ctx, promise));
    if (state == JS_PROMISE_PENDING)
        die(pending);
}

/* Its namespace, when its code has run. */
static JSValue
run(JSContext *ctx, const char *text, size_t bytes, const char *name)
{
    JSValue function, promise;
    JSModuleDef *module = compile(ctx, text, bytes, name, &function);

    if (module == NULL)
        die_of(ctx, JS_GetException(ctx));
    promise = JS_EvalFunction(ctx, function);
    if (JS_IS_EXCEPTION(promise))
        die_of(ctx, JS_GetException(ctx));
    finish(ctx, promise, "the file awaits what never comes");
    return JS_GetModuleNamespace(ctx, module);
}

/* -------------------------------------------------------------------------------- main */

static char **
read_args(size_t *count)
{
    size_t bytes = 0;
    char **args, *text;

    (void)wasi_args_sizes_get(count, &bytes);
    args = malloc((*count + 1) * sizeof(*args));
    text = malloc(bytes + 1);
    if (args == NULL || text == NULL || wasi_args_get(args, text) != 0 || *count < 2)
        die("usage: javascript NAME.js [TEXT]");
    return args;
}

static void
run_handler(JSContext *ctx, JSValue weft, JSValue module, const char *name)
{
    JSValue argv[] = {module, JS_NewStringLen(ctx, name, strlen(name))};
    JSValue main = JS_GetPropertyStr(ctx, weft, "_main");
    JSValue promise = JS_Call(ctx, main, JS_UNDEFINED, 2, argv);

    if (JS_IS_EXCEPTION(promise))
        die_of(ctx, JS_GetException(ctx));
    finish(ctx, promise, "the handler awaits what never comes: its promise is not settled");
}

__attribute__((export_name("_start"))) void
start(void)
{
    static char root[1] = "";
    char **args, *folder = root, *text, *name;
    size_t count = 0, bytes = 0;
    JSContext *ctx;
    JSValue weft;

    _initialize();
    find_preopens();
    args = read_args(&count);
    name = strrchr(args[1], '/') != NULL ? strrchr(args[1], '/') + 1 : args[1];
    text = count > 2 ? args[2] : read_all(args[1], &bytes);
    if (text == NULL)
        die("javascript: the file cannot be read: is its directory given with --dir?");
    if (count > 2) {
        bytes = strlen(text);
    } else if (name != args[1]) {
        name[-1] = '\0';
        folder = args[1];
    }
    runtime = JS_NewRuntime();
    ctx = runtime != NULL ? JS_NewContext(runtime) : NULL;
    if (ctx == NULL)
        die("no memory for a runtime");
    JS_SetMaxStackSize(runtime, STACK_BYTES);
    JS_SetModuleLoaderFunc(runtime, NULL, load, folder);
    add_natives(ctx);
    weft = run(ctx, "export * from 'weft'", 20, "weft:start");
    run_handler(ctx, weft, run(ctx, text, bytes, name), name);
    wasi_proc_exit(0);
}

/* What QuickJS's own wrapper imports, which nobody calls here. */
#define HOST(name) __attribute__((export_name(#name)))

HOST(host_get_timezone_offset) int32_t host_get_timezone_offset(int32_t high, int32_t low);
HOST(host_interrupt) int32_t host_interrupt(void);
HOST(host_promise_rejection) void host_promise_rejection(int32_t a, int32_t b, int32_t c);
HOST(host_module_normalize) int32_t host_module_normalize(int32_t a, int32_t b);
HOST(host_module_load) int32_t host_module_load(int32_t a, int32_t b);
HOST(host_call) int32_t host_call(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e);

int32_t
host_get_timezone_offset(int32_t high, int32_t low)
{
    (void)high;
    (void)low;
    return 0; /* UTC */
}

int32_t
host_interrupt(void)
{
    return 0;
}

void
host_promise_rejection(int32_t a, int32_t b, int32_t c)
{
    (void)a;
    (void)b;
    (void)c;
}

int32_t
host_module_normalize(int32_t a, int32_t b)
{
    (void)a;
    (void)b;
    return 0;
}

int32_t
host_module_load(int32_t a, int32_t b)
{
    (void)a;
    (void)b;
    return 0;
}

int32_t
host_call(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    return 0;
}
