/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of WASI functions in random order with random arguments, over a scratch
 * directory that has another beside it. What must hold whatever is called:
 * guest memory is the only memory touched (the sanitizer sees to it), every
 * result is an errno of the specification, nothing blocks (the fuzzer's timeout),
 * and the directory beside is neither read nor changed. It has /dev/weft too, with calls
 * that are over when they are asked about the second time, and /state, with few keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "files/files.h"
#include "hostcall/hostcall.h"
#include "wasi_state.h"

#define MEMORY_BYTES 65536u
#define CALLS_MAX    64u
#define FILE_MAX     (1u << 20)
#define RIGHTS_ALL   ((1u << 30) - 1) /* of the specification */
#define ERRNO_LAST   76u
#define SECRET       "secret-8c1f5a0e7d"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char top[64];

struct input {
    const uint8_t *bytes;
    size_t count;
};

struct world {
    uint8_t *memory;
    void *process;
    int pipes[3][2];
};

static const char *const names[] = {
    "args_get",
    "args_sizes_get",
    "environ_get",
    "environ_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_get",
    "fd_prestat_dir_name",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "sched_yield",
    "random_get",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
    "sock_accept",
    "path_open",
    "path_open",
};

/* Where paths lie in guest memory; 32 bytes each. */
static const char *const paths[] = {
    "f",
    "d",
    "d/e",
    "d/e/g",
    "l",
    "up",
    "absolute",
    "climb/x",
    "../x",
    "d/../f",
    "d/../../x",
    "../beside/s",
    ".",
    "..",
    "",
    "new",
    "d/",
    "f/",
    "up/beside/s",
    "loop",
    "/etc/passwd",
    "d/./e",
    "new/x",
    "dangling",
    "d//e/..",
    "fifo",
    "climb/s",
    "l/e",
    /* of /dev/weft */
    "call/f",
    "call:1/a/b",
    "end:1",
    "end:1/0",
    "output:1",
    "log:1",
    "detached:2/x",
    "end:2",
    "result",
    "identity",
    "deadline",
    "call/..",
    "call:0/x",
    "end:1/99999999999999999999",
    "state",
    /* of /state; requests */
    "k",
    "k/a",
    "k/a/b",
    "k/c",
    "log",
    "set 1\nkvalue",
    "cas 1 0\nkvalue",
    "get 1 0 9\nk",
    "stat 3\nk/a",
    "append 3\nlogr",
    "read 3 0 9 99\nlog",
    "list 1 0\nk",
    "lock 1 1 -1\nk",
    "add 1 0 8 -1\nn",
};

/* ------------------------------------------------------------ calls that it starts */

enum { HANDLES_MAX = 256, DEVICE_PATHS = 15, STATE_PATHS = 14 };
static uint8_t asked[HANDLES_MAX]; /* by handle: 0: none; else how often, and one */

static int
pretend_start(void *context, uint64_t number, const struct hostcall_chain_start *start,
              uint64_t *handle)
{
    (void)context;
    (void)number;
    ASSERT(start->reference[0] != '\0' && strlen(start->reference) < 32);
    ASSERT(start->input_bytes == 0 ||
           memmem(start->input, start->input_bytes, SECRET, strlen(SECRET)) == NULL);
    for (uint64_t i = 1; i < HANDLES_MAX; i++)
        if (asked[i] == 0) {
            asked[i] = 1;
            *handle = i;
            return 0;
        }
    return -EMFILE;
}

static int64_t
pretend_poll(void *context, uint64_t number, const uint64_t *handles, size_t count)
{
    (void)context;
    (void)number;
    ASSERT(count == 1 && handles[0] < HANDLES_MAX && asked[handles[0]] != 0);
    asked[handles[0]] = asked[handles[0]] < 3 ? asked[handles[0]] + 1 : 3;
    return asked[handles[0]] < 3;
}

static int
pretend_end(void *context, uint64_t number, uint64_t handle, struct hostcall_chain_end *end)
{
    (void)context;
    (void)number;
    ASSERT(handle < HANDLES_MAX && asked[handle] != 0);
    if (asked[handle] == 3)
        *end = (struct hostcall_chain_end){
            .kind = handle % 2 == 0 ? HOSTCALL_DONE : HOSTCALL_FAILED, .code = -ENOENT};
    return 0;
}

static int
pretend_read(void *context, uint64_t number, uint64_t handle, enum hostcall_stream stream,
             struct hostcall_chain_read *read)
{
    static const char text[] = "a \"result\" that is \xff not UTF-8";

    (void)context;
    (void)number;
    ASSERT(handle < HANDLES_MAX && asked[handle] == 3 && stream < HOSTCALL_STREAM_COUNT);
    read->done = read->offset < sizeof(text) ? sizeof(text) - read->offset : 0;
    read->done = read->done < read->bytes ? read->done : read->bytes;
    if (read->done > 0)
        (void)memcpy(read->to, text + read->offset, read->done);
    return 0;
}

static int
pretend_cancel(void *context, uint64_t number, uint64_t handle)
{
    (void)context;
    (void)number;
    (void)handle;
    return 0;
}

static int
pretend_forget(void *context, uint64_t number, uint64_t handle)
{
    (void)context;
    (void)number;
    ASSERT(handle < HANDLES_MAX && asked[handle] != 0);
    asked[handle] = 0;
    return 0;
}

static const struct hostcall_chain_ops pretending = {pretend_start, pretend_poll,   pretend_end,
                                                     pretend_read,  pretend_cancel, pretend_forget};
static struct state keys;
static struct hostcall_chain chain = {.ops = &pretending, .state = &keys};

/* ----------------------------------------------------------------------- the world */

static uint8_t
take_byte(struct input *input)
{
    if (input->count == 0)
        return 0;
    input->count--;
    return *input->bytes++;
}

static uint64_t
take_value(struct input *input)
{
    uint64_t value = 0;
    uint8_t how = take_byte(input);

    switch (how % 8) {
    case 0:
    case 1:
        return how / 8; /* small: numbers, counts, flags */
    case 2:
        return 32u * (take_byte(input) % ARRAY_COUNT(paths));
    case 3:
        return 4096u + 64u * take_byte(input);
    case 4:
        return take_byte(input) % 2 == 0 ? UINT64_MAX : MEMORY_BYTES - take_byte(input);
    case 5:
        return RIGHTS_ALL;
    default:
        for (int i = 0; i < how / 32; i++)
            value = value << 8 | take_byte(input);
        return value;
    }
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    return ftw->level == 0 ? 0 : remove(path);
}

static void
make_file(const char *directory, const char *name, const char *text)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s/%s", top, directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ASSERT(fd >= 0);
    ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void
make_tree(void)
{
    static const char *const links[][2] = {{"d", "l"},      {"..", "up"},     {"/etc", "absolute"},
                                           {"..", "climb"}, {"loop", "loop"}, {"no", "dangling"}};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/root", top);
    ASSERT(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
        (void)snprintf(path, sizeof(path), "%s/root/%s", top, links[i][1]);
        ASSERT(symlink(links[i][0], path) == 0);
    }
    (void)snprintf(path, sizeof(path), "%s/root/d", top);
    ASSERT(mkdir(path, 0755) == 0);
    (void)snprintf(path, sizeof(path), "%s/root/d/e", top);
    ASSERT(mkdir(path, 0755) == 0);
    (void)snprintf(path, sizeof(path), "%s/root/fifo", top);
    ASSERT(mkfifo(path, 0600) == 0);
    make_file("root", "f", "the text of a file");
}

static void
world_open(struct world *world, bool is_read_only)
{
    static const char *const args[] = {"prog", "arg"};
    char root[80];
    struct hostcall_directory directory = {root, "/", is_read_only};
    struct hostcall_config config = {.args = args,
                                     .arg_count = 2,
                                     .directories = &directory,
                                     .directory_count = 1,
                                     .chain = &chain,
                                     .has_device = true};
    struct hostcall_process *process;
    struct diag diag;

    diag_init(&diag);
    make_tree();
    (void)memset(asked, 0, sizeof(asked));
    keys_reset(&keys);
    (void)snprintf(root, sizeof(root), "%s/root", top);
    for (int i = 0; i < 3; i++) {
        ASSERT(pipe2(world->pipes[i], O_CLOEXEC) == 0);
        config.stdio[i] = world->pipes[i][i == 0 ? 0 : 1];
    }
    ASSERT(hostcall_process_create(&config, &process, &diag) == 0);
    world->process = process;
    world->memory = calloc(1, MEMORY_BYTES);
    ASSERT(world->memory != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        (void)memcpy(world->memory + 32 * i, paths[i], strlen(paths[i]));
}

static void
world_close(struct world *world)
{
    ASSERT(memmem(world->memory, MEMORY_BYTES, SECRET, strlen(SECRET)) == NULL);
    hostcall_process_ops.destroy(world->process);
    for (int i = 0; i < 3; i++) {
        (void)close(world->pipes[i][0]);
        (void)close(world->pipes[i][1]);
    }
    free(world->memory);
}

/* The directory beside has its one file, unchanged. */
static void
check_beside(void)
{
    char path[128], text[64] = "";
    struct stat stat;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/beside/s", top);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT(fd >= 0);
    ASSERT(read(fd, text, sizeof(text)) == (ssize_t)strlen(SECRET));
    ASSERT(strcmp(text, SECRET) == 0);
    ASSERT(fstat(fd, &stat) == 0 && stat.st_nlink == 1);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/x", top);
    ASSERT(access(path, F_OK) != 0);
}

/* The process goes on as a thawed copy of itself. */
static void
freeze_and_thaw(struct world *world, bool is_old_first)
{
    struct buffer bytes = {0};
    void *process;

    ASSERT(hostcall_process_ops.freeze(world->process, &bytes) == 0);
    if (is_old_first)
        hostcall_process_ops.destroy(world->process);
    ASSERT(hostcall_process_ops.thaw(bytes.bytes, bytes.count, &process) == 0);
    if (!is_old_first)
        hostcall_process_ops.destroy(world->process);
    world->process = process;
    buffer_fini(&bytes);
}

/* Puts a value somewhere in memory: vectors and subscriptions come to be. */
static void
poke(struct world *world, struct input *input)
{
    uint32_t value = (uint32_t)take_value(input);

    (void)memcpy(world->memory + 4096u + 4u * take_byte(input), &value, sizeof(value));
}

static void
invoke(struct world *world, const struct faaslet_host_function *function, uint64_t args[16])
{
    uint64_t scratch[FAASLET_SCRATCH_COUNT] = {0};
    struct faaslet_wait wait = {0};
    struct faaslet_call call = {.args = args,
                                .memory = world->memory,
                                .memory_bytes = MEMORY_BYTES,
                                .process = world->process,
                                .scratch = scratch,
                                .wait = &wait};
    enum faaslet_verdict verdict = function->function(&call);

    for (int i = 0; i < 4 && verdict == FAASLET_CALL_PENDING; i++) {
        ASSERT(wait.fd_count <= FAASLET_WAIT_FDS_MAX);
        if (i % 2 == 1 && wait.fd_count == 0) { /* where it waits it may be moved */
            freeze_and_thaw(world, false);
            call.process = world->process;
        }
        verdict = function->function(&call);
    }
    ASSERT(verdict == FAASLET_CALL_DONE || verdict == FAASLET_CALL_PENDING ||
           verdict == FAASLET_CALL_EXIT || verdict == FAASLET_CALL_LIMIT);
    ASSERT(verdict != FAASLET_CALL_DONE || args[0] <= ERRNO_LAST);
}

static const struct faaslet_host_function *
find(const char *module, const char *name)
{
    return hostcall_resolve(module, strlen(module), name, strlen(name));
}

static void
run_call(struct world *world, struct input *input, uint8_t which)
{
    const struct faaslet_host_function *function =
        find(which >= 128 ? "wasi_unstable" : "wasi_snapshot_preview1",
             names[which % ARRAY_COUNT(names)]);
    uint64_t args[16] = {0};

    if (function == NULL)
        return;
    for (size_t i = 0; function->type[i] != ':'; i++)
        args[i] = function->type[i] == 'i' ? (uint32_t)take_value(input) : take_value(input);
    invoke(world, function, args);
}

enum { FIRST_STATE = ARRAY_COUNT(paths) - STATE_PATHS, FIRST_DEVICE = FIRST_STATE - DEVICE_PATHS };

/* Calls that chance seldom makes: a path of the table is opened, with all rights that there
 * are, or some bytes go to a descriptor or come from it. */
static void
run_good_call(struct world *world, struct input *input)
{
    static const char *const ways[] = {"path_open",  "fd_read",   "fd_write",   "fd_sync",
                                       "fd_close",   "path_open", "fd_read",    "fd_write",
                                       "fd_readdir", "fd_pwrite", "path_rename"};
    const char *way = ways[take_byte(input) % ARRAY_COUNT(ways)];
    uint32_t number = 3 + take_byte(input) % 8, at = take_byte(input) % ARRAY_COUNT(paths);
    const uint32_t vector[] = {32u * at, (uint32_t)strlen(paths[at])};
    const uint32_t room[] = {8192, take_byte(input) * 4u};
    bool is_write = strcmp(way, "fd_write") == 0 || strcmp(way, "fd_pwrite") == 0;
    uint64_t args[16] = {number, 4000, 1, 4032, 4032};

    if (strcmp(way, "path_open") == 0) {
        args[0] = 3 + number % 3;
        if (args[0] == 4)
            at = FIRST_DEVICE + at % DEVICE_PATHS;
        if (args[0] == 5)
            at = FIRST_STATE + at % STATE_PATHS;
        args[1] = 0;
        args[2] = 32u * at;
        args[3] = strlen(paths[at]);
        args[4] = args[0] == 5 ? room[1] / 4 % 16 : 0;
        args[5] = (UINT64_C(1) << 4) | (number < 9 ? 2 : 0) | (number > 4 ? 64 : 0);
        args[7] = args[0] == 5 ? number % 2 : 0; /* O_APPEND */
        args[8] = 4032;
    } else if (strcmp(way, "path_rename") == 0) {
        at = FIRST_STATE + at % STATE_PATHS;
        args[0] = args[3] = 5;
        args[1] = args[4] = 32u * at;
        args[2] = args[5] = strlen(paths[at]);
        args[4] = 32u * (FIRST_STATE + number % 4);
        args[5] = strlen(paths[FIRST_STATE + number % 4]);
    } else if (strcmp(way, "fd_readdir") == 0) {
        args[1] = 8192;
        args[2] = room[1];
        args[3] = at % 8;
    }
    (void)memcpy(world->memory + 4000, is_write && number % 4 != 0 ? vector : room, sizeof(room));
    invoke(world, find("wasi_snapshot_preview1", way), args);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {bytes, count};
    struct world world;
    uint8_t mode = take_byte(&input);

    files_use_portable_walk((mode & 1) != 0);
    world_open(&world, (mode & 14) == 14);
    for (unsigned i = 0; i < CALLS_MAX && input.count > 0; i++) {
        uint8_t which = take_byte(&input);

        if (which >= 224)
            poke(&world, &input);
        else if (which >= 218)
            freeze_and_thaw(&world, which % 2 == 0);
        else if (which >= 160)
            run_good_call(&world, &input);
        else
            run_call(&world, &input, which);
    }
    world_close(&world);
    check_beside();
    return 0;
}

static void
remove_top(void)
{
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(top);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct rlimit limit = {FILE_MAX, FILE_MAX}; /* fd_allocate takes real room */
    char path[128];

    (void)argc;
    (void)argv;
    (void)signal(SIGXFSZ, SIG_IGN);
    ASSERT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    (void)snprintf(top, sizeof(top),
                   "%s/weft-fuzz-XX"
                   "XX"
                   "XX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    ASSERT(mkdtemp(top) != NULL);
    (void)snprintf(path, sizeof(path), "%s/root", top);
    ASSERT(mkdir(path, 0755) == 0);
    (void)snprintf(path, sizeof(path), "%s/beside", top);
    ASSERT(mkdir(path, 0755) == 0);
    make_file("beside", "s", SECRET);
    ASSERT(atexit(remove_top) == 0);
    ASSERT(hostcall_chain_register(&chain) == 0);
    return 0;
}
