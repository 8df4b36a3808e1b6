/* SPDX-License-Identifier: Apache-2.0
 *
 * The program weft-cell, sealed in a jail with an empty root: all that a served cell
 * does, and the guest programs of tests/wasi in a directory that it has as a descriptor.
 */
#include "cell_scenarios.h"
#include "chain_scenarios.h"
#include "device_scenarios.h"
#include "save_scenarios.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include "jail/jail.h"

#define PROGRAM_FD  4 /* after the socket */
#define GUEST_CLANG "clang-19 --target=wasm32-wasi --sysroot=build/sysroot "

static char program[4096];

/* --------------------------------------------------- the cell is a process in a jail */

/* As on machines that allow no fresh /proc in a jail: something else lies over it. */
static bool has_no_proc;

static void
hide_proc(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount("nothing", "/proc", "tmpfs", MS_RDONLY, NULL) != 0)
        (void)fprintf(stderr, "cannot hide /proc: %s\n", strerror(errno));
}

static int
become_cell(void *context, const int *descriptors, size_t count)
{
    char *argv[] = {(char *)(uintptr_t)"weft-cell", NULL};

    (void)context;
    (void)descriptors;
    (void)count;
    if (has_no_proc)
        hide_proc();
    (void)fcntl(PROGRAM_FD, F_SETFD, FD_CLOEXEC);
    /* Looking for leaks at its end traces the process, which the seal is deadly for. */
    (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    (void)fexecve(PROGRAM_FD, argv, environ);
    return 120;
}

/* With sanitizers the program needs its libraries; without, nothing. */
static const struct jail_path libraries[] = {
    {"/usr/lib", "/usr/lib", false},
    {"/usr/lib", "/lib", false},
    {"/lib64", "/lib64", false},
};
#ifdef WEFT_SANITIZE
#define LIBRARY_COUNT ARRAY_COUNT(libraries)
#else
#define LIBRARY_COUNT 0
#endif

static void
client_begin(struct client *client, int socket)
{
    static unsigned number;
    char name[32];
    int descriptors[2] = {socket, open(program, O_RDONLY | O_CLOEXEC)};
    struct jail_config config = {.name = name,
                                 .main = become_cell,
                                 .descriptors = descriptors,
                                 .descriptor_count = 2,
                                 .paths = libraries,
                                 .path_count = LIBRARY_COUNT,
                                 .stdio = {-1, -1, 2}};
    struct jail *jail = NULL;
    struct diag diag;

    diag_init(&diag);
    (void)snprintf(name, sizeof(name), "cell-test-%u-%u", (unsigned)getpid(), ++number);
    assert_true(descriptors[1] >= 0);
    if (jail_start(&config, &jail, &diag) != 0)
        fail_msg("cannot start a jail: %s", diag_text(&diag));
    (void)close(socket);
    (void)close(descriptors[1]);
    client->cell = jail;
}

static int
client_finish(struct client *client)
{
    struct jail *jail = client->cell;
    struct pollfd end = {.fd = jail_pidfd(jail), .events = POLLIN};
    struct jail_end how;

    assert_int_equal(poll(&end, 1, CLIENT_WAIT_MS), 1);
    assert_int_equal(jail_poll(jail, &how), 0);
    jail_destroy(jail);
    if (how.kind != JAIL_EXITED)
        fail_msg("the cell died: kind %d, %d", (int)how.kind, how.code);
    return how.code;
}

/* ------------------------------------------------------------- programs with files */

static void
read_file(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t block[4096];
    ssize_t count;

    while (fd >= 0 && (count = read(fd, block, sizeof(block))) > 0)
        buffer_append(out, block, (size_t)count);
    if (fd >= 0)
        (void)close(fd);
    buffer_append(out, "", 1);
    out->count--;
}

static void
run_command(const char *format, const char *a, const char *b)
{
    char command[1024];
    FILE *pipe;

    (void)snprintf(command, sizeof(command), format, a, b);
    pipe = popen(command, "w");
    if (pipe == NULL || pclose(pipe) != 0)
        fail_msg("%s", command);
}

/* The image of tests/wasi/NAME.c. */
static int
compile_program(const char *folder, const char *name)
{
    struct compile_options options;
    struct buffer module = {0};
    struct diag diag;
    char path[256];
    int fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    diag_init(&diag);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    run_command(GUEST_CLANG "-O1 -c tests/wasi/%s.c -o %s.o", name, path);
    run_command(GUEST_CLANG "%s.o -o %s.wasm", path, path);
    (void)strncat(path, ".wasm", sizeof(path) - strlen(path) - 1);
    read_file(path, &module);
    compile_options_init(&options);
    options.level = 1;
    options.jobs = 1;
    options.address = testing_next_address();
    if (compile_image(module.bytes, module.count, &options, fd, &diag) != 0)
        fail_msg("cannot compile: %s", diag_text(&diag));
    buffer_fini(&module);
    return fd;
}

static void
expected_of(const char *name, const char *kind, struct buffer *out)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "tests/wasi/%s.%s", name, kind);
    read_file(path, out);
}

static void
call_program(struct client *client, const char *name)
{
    static char *args[] = {(char *)(uintptr_t)"program", (char *)(uintptr_t)"one",
                           (char *)(uintptr_t)"two words", (char *)(uintptr_t)""};
    struct buffer input = {0}, output = {0}, status = {0};
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellReply *reply;
    int code;

    expected_of(name, "in", &input);
    expected_of(name, "out", &output);
    expected_of(name, "status", &status);
    call.args = args;
    call.n_args = ARRAY_COUNT(args);
    call.input = (ProtobufCBinaryData){input.count, input.bytes};
    reply = client_end(client, client_call(client, call, NULL));
    code = reply->end->kind == (Rpc__CellEndKind)EXIT ? reply->end->exit_code : 0;
    if ((reply->end->kind != (Rpc__CellEndKind)EXIT &&
         reply->end->kind != (Rpc__CellEndKind)DONE) ||
        code != atoi((const char *)status.bytes) || reply->end->output.len != output.count ||
        (output.count > 0 && memcmp(reply->end->output.data, output.bytes, output.count) != 0))
        fail_msg("%s: kind %d, exit code %d: %s\n%.*s\n%.*s", name, (int)reply->end->kind, code,
                 reply->end->message, (int)reply->end->output.len,
                 (const char *)reply->end->output.data, (int)reply->end->log.len,
                 (const char *)reply->end->log.data);
    reply_free(reply);
    buffer_fini(&input);
    buffer_fini(&output);
    buffer_fini(&status);
}

static void
run_program(const char *build, const char *name)
{
    char *env[] = {(char *)(uintptr_t)"GREETING=hello world", (char *)(uintptr_t)"EMPTY="};
    Rpc__CellDirectory directory = RPC__CELL_DIRECTORY__INIT, *directories = &directory;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    char folder[64] = "/tmp/weft-files-XXXXXX";
    struct client client;
    int fds[2];

    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0777), 0);
    fds[0] = compile_program(build, name);
    fds[1] = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fds[1] >= 0);
    client_open(&client, 2);
    directory.guest_path = (char *)(uintptr_t)".";
    put.directories = &directories;
    put.n_directories = 1;
    put.env = env;
    put.n_env = 2;
    client_put(&client, put, fds, 2);
    client_expect_put(&client, 0);
    call_program(&client, name);
    assert_int_equal(client_close(&client), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    run_command("rm -rf %s%s", folder, "");
}

static void
test_programs_find_their_files_as_ever(void **state)
{
    char build[64] = "/tmp/weft-programs-XXXXXX", name[64];
    DIR *folder = opendir("tests/wasi");
    const struct dirent *item;

    (void)state;
    assert_non_null(folder);
    assert_non_null(mkdtemp(build));
    while ((item = readdir(folder)) != NULL) {
        size_t count = strlen(item->d_name);

        if (count < 3 || count >= sizeof(name) || strcmp(item->d_name + count - 2, ".c") != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(count - 2), item->d_name);
        run_program(build, name);
        print_message("%s: as expected\n", name);
    }
    (void)closedir(folder);
    run_command("rm -rf %s%s", build, "");
}

#ifndef WEFT_SANITIZE /* whose library reads /proc */
static void
test_all_this_goes_without_proc_too(void **state)
{
    has_no_proc = true;
    test_more_calls_wait_than_there_are_slots(state);
    test_memory_grows(state);
    test_each_end_is_told_with_its_reason(state);
    test_programs_find_their_files_as_ever(state);
    has_no_proc = false;
}
#endif

/* build/test/tests/cell_process_test -> build/weft-cell */
static void
find_program(const char *self)
{
    const char *end = strstr(self, "/test/tests/");

    (void)snprintf(program, sizeof(program), "%.*s/weft-cell", end != NULL ? (int)(end - self) : 5,
                   end != NULL ? self : "build");
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        CELL_SCENARIOS,
        CHAIN_SCENARIOS,
        DEVICE_SCENARIOS,
        SAVE_SCENARIOS,
        cmocka_unit_test(test_programs_find_their_files_as_ever),
#ifndef WEFT_SANITIZE
        cmocka_unit_test(test_all_this_goes_without_proc_too),
#endif
    };

    (void)argc;
    find_program(argv[0]);
    if (access(program, X_OK) != 0) {
        (void)fprintf(stderr, "skipped: there is no %s (make)\n", program);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
