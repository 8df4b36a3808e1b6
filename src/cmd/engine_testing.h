/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of languages that an engine runs: a file becomes a function of a worker as weft
 * deploy makes it one, saved at its first read of standard input, and is called.
 */
#ifndef WEFT_CMD_ENGINE_TESTING_H
#define WEFT_CMD_ENGINE_TESTING_H

#include "worker/worker_testing.h"

#include "base/buffer.h"
#include "cmd/cmd_internal.h"

#define ENGINE_ARGS 3u

struct engine {
    const char *ending; /* of files */
    int (*make_args)(const char *path, struct buffer *text, const char *args[ENGINE_ARGS],
                     struct diag *diag);
};

static const struct engine *engine_used;
static int image_fd;
static struct worker *worker;
static struct worker_directory files; /* of functions; guest_path NULL: none */
static struct worker_tenant *tenant;

/* ----------------------------------------------------------------------- deploying */

struct saved {
    struct testing_end end;
    int fd;
};

static inline void
on_saved(void *context, const struct worker_end *end)
{
    struct saved *saved = context;

    saved->fd = end->saved_fd >= 0 ? fcntl(end->saved_fd, F_DUPFD_CLOEXEC, 0) : -1;
    testing_on_end(&saved->end, end);
}

/* The engine at its first read of standard input, with this file as its program. */
static inline void
save_file(const char *path, struct saved *saved)
{
    struct buffer text = {0};
    struct diag diag;
    const struct worker_function_config config = {.image_fd = image_fd,
                                                  .proto_fd = -1,
                                                  .directories = &files,
                                                  .directory_count = files.guest_path != NULL};
    struct worker_function *maker = testing_function_with(tenant, &config);
    const char *args[ENGINE_ARGS];
    struct worker_call call = {.args = args,
                               .arg_count = ENGINE_ARGS,
                               .save_at = "fd_read:0",
                               .on_end = on_saved,
                               .context = saved};

    diag_init(&diag);
    if (engine_used->make_args(path, &text, args, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    testing_end_init(&saved->end);
    assert_int_equal(worker_call(maker, &call, &saved->end.id), 0);
    testing_await(&saved->end);
    worker_function_remove(maker);
    buffer_fini(&text);
}

static inline void
write_file(const char *name, const void *source, size_t bytes, char path[64])
{
    FILE *file;

    (void)snprintf(path, 64, "/tmp/weft-%d-%s.%s", (int)getpid(), name, engine_used->ending);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(source, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void
save(const char *name, const char *source, struct saved *saved)
{
    char path[64];

    write_file(name, source, strlen(source), path);
    save_file(path, saved);
    (void)unlink(path);
}

static inline struct worker_function *
add(const char *name, const struct saved *saved)
{
    const struct worker_function_config config = {.image_fd = image_fd,
                                                  .proto_fd = saved->fd,
                                                  .name = name,
                                                  .version = "1",
                                                  .directories = &files,
                                                  .directory_count = files.guest_path != NULL};
    struct worker_function *function;

    if (saved->end.end.kind != WORKER_DONE)
        fail_msg("%s: %s\n%s", name, saved->end.message, saved->end.log);
    function = testing_function_with(tenant, &config);
    (void)close(saved->fd);
    return function;
}

static inline struct worker_function *
deploy(const char *name, const char *source)
{
    struct saved saved;

    save(name, source, &saved);
    return add(name, &saved);
}

static inline struct worker_function *
deploy_file(const char *name, const char *path)
{
    struct saved saved;

    save_file(path, &saved);
    return add(name, &saved);
}

static inline const struct worker_end *
ask(struct worker_function *function, const char *input, struct testing_end *end)
{
    const struct worker_call call = {.args = (const char *const[]){"engine"},
                                     .arg_count = 1,
                                     .input = (const uint8_t *)input,
                                     .input_bytes = strlen(input)};

    testing_ask_with(function, call, end);
    return &end->end;
}

static inline void
expect(struct worker_function *function, const char *input, const char *result)
{
    struct testing_end end;

    (void)ask(function, input, &end);
    if (end.end.kind != WORKER_EXIT || end.end.exit_code != 0 || strcmp(end.result, result) != 0)
        fail_msg("kind %d, code %d: %s\nresult: %s\nlog: %s", (int)end.end.kind, end.end.exit_code,
                 end.message, end.result, end.log);
}

/* With the plain build where there is one: it is cached, and CPython is more than a
 * sanitized compiler has memory for. */
static inline bool
engine_open(const struct engine *engine, const char *module, const char *image)
{
    char command[512];
    FILE *pipe;

    (void)snprintf(command, sizeof(command), "mkdir -p build/programs && %s compile %s -o %s",
                   access("build/weft", X_OK) == 0 ? "build/weft" : testing_program("weft"), module,
                   image);
    pipe = popen(command, "w");
    if (pipe == NULL || pclose(pipe) != 0) {
        (void)fprintf(stderr, "%s cannot be compiled\n", module);
        return false;
    }
    engine_used = engine;
    image_fd = open(image, O_RDONLY | O_CLOEXEC);
    worker = testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
    tenant = testing_tenant(worker, "a");
    return true;
}

static inline void
engine_close(void)
{
    worker_destroy(worker);
}

/* ------------------------------------------------------------------- bad files */

struct bad_file {
    const char *source, *log; /* log: has this in it */
};

/* None of them comes to where it would be saved, and each says why. */
static inline void
expect_bad_files(const struct bad_file *rows, size_t count)
{
    struct saved saved;

    for (size_t i = 0; i < count; i++) {
        save("bad", rows[i].source, &saved);
        assert_int_equal(saved.end.end.kind, WORKER_FAILED);
        assert_non_null(strstr(saved.end.message, "before it came to fd_read:0"));
        if (strstr(saved.end.log, rows[i].log) == NULL)
            fail_msg("%s: %s", rows[i].log, saved.end.log);
        assert_int_equal(saved.fd, -1);
    }
}

#endif
