/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest without an engine, for the tests of this room: memory, a process over a
 * scratch directory, and calls by name.
 */
#ifndef WEFT_HOSTCALL_TEST_H
#define WEFT_HOSTCALL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define GUEST_MEMORY_BYTES 131072u
#define GUEST_RESULT       64u /* small results */
#define GUEST_RESULT_2     128u
#define GUEST_IOVECS       256u
#define GUEST_PATH         1024u
#define GUEST_PATH_2       6144u
#define GUEST_BUFFER       16384u
#define GUEST_BUFFER_BYTES 65536u
#define GUEST_DIRECTORY    3u /* the scratch directory, named "." */
#define ALL_RIGHTS         WASI_RIGHTS_ALL

/* The specification's errno numbers that tests name. */
enum {
    NO_ERROR = 0,
    E_ACCES = 2,
    E_AGAIN = 6,
    E_BADF = 8,
    E_EXIST = 20,
    E_FAULT = 21,
    E_INVAL = 28,
    E_IO = 29,
    E_ISDIR = 31,
    E_LOOP = 32,
    E_MFILE = 33,
    E_NAMETOOLONG = 37,
    E_NOENT = 44,
    E_NOTDIR = 54,
    E_NOTEMPTY = 55,
    E_NOTSOCK = 57,
    E_NOTSUP = 58,
    E_NXIO = 60,
    E_PERM = 63,
    E_PIPE = 64,
    E_ROFS = 69,
    E_SPIPE = 70,
    E_NOTCAPABLE = 76,
};

struct guest {
    uint8_t *memory;
    void *process;
    const char *module;
    char root[64]; /* the scratch directory, removed at the end */
    int stdio[3];  /* the guest's ends */
    int peer[3];   /* ours: written, read, read */
    uint64_t args[16], passed[16];
    uint64_t scratch[FAASLET_SCRATCH_COUNT];
    struct faaslet_wait wait;
    uint32_t refused;
    struct faaslet_call call;
    const struct faaslet_host_function *function;
    enum faaslet_verdict verdict;
};

static inline int
guest_create_with(struct guest *guest, struct hostcall_config *config)
{
    static const char *const args[] = {"prog", "one", ""};
    static const char *const env[] = {"A=1", "B="};
    struct hostcall_directory directory = {guest->root, ".", false, -1};
    struct hostcall_process *process;
    struct diag diag;
    int err;

    diag_init(&diag);
    if (config->args == NULL) {
        config->args = args;
        config->arg_count = 3;
        config->env = env;
        config->env_count = 2;
    }
    if (config->directories == NULL) {
        config->directories = &directory;
        config->directory_count = 1;
    }
    (void)memcpy(config->stdio, guest->stdio, sizeof(guest->stdio));
    err = hostcall_process_create(config, &process, &diag);
    if (err != 0)
        print_message("%s\n", diag_text(&diag));
    guest->process = process;
    return err;
}

static inline void
guest_open_pipes(struct guest *guest)
{
    for (int i = 0; i < 3; i++) {
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        guest->stdio[i] = i == 0 ? ends[0] : ends[1];
        guest->peer[i] = i == 0 ? ends[1] : ends[0];
    }
}

static inline int
guest_setup(void **state)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    struct hostcall_config config = {0};

    assert_non_null(guest);
    guest->memory = calloc(1, GUEST_MEMORY_BYTES);
    assert_non_null(guest->memory);
    guest->module = "wasi_snapshot_preview1";
    (void)snprintf(guest->root, sizeof(guest->root),
                   "%s/weft-test-XX"
                   "XX"
                   "XX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(guest->root));
    guest_open_pipes(guest);
    assert_int_equal(guest_create_with(guest, &config), 0);
    *state = guest;
    return 0;
}

static inline int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int
guest_teardown(void **state)
{
    struct guest *guest = *state;

    hostcall_process_ops.destroy(guest->process);
    for (int i = 0; i < 3; i++) {
        (void)close(guest->stdio[i]);
        if (guest->peer[i] >= 0)
            (void)close(guest->peer[i]);
    }
    assert_int_equal(nftw(guest->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(guest->memory);
    free(guest);
    return 0;
}

/* The result: the guest's errno, or -1 while pending or at the end. */
static inline int
guest_again(struct guest *guest)
{
    uint64_t before[16];

    (void)memcpy(before, guest->args, sizeof(before));
    guest->call = (struct faaslet_call){
        .args = guest->args,
        .memory = guest->memory,
        .memory_bytes = GUEST_MEMORY_BYTES,
        .process = guest->process,
        .scratch = guest->scratch,
        .wait = &guest->wait,
        .refused = &guest->refused,
    };
    guest->verdict = guest->function->function(&guest->call);
    if (guest->verdict == FAASLET_CALL_PENDING) /* to be called again with the same */
        assert_memory_equal(before, guest->args, sizeof(before));
    return guest->verdict == FAASLET_CALL_DONE ? (int)guest->args[0] : -1;
}

static inline int
guest_call_array(struct guest *guest, const char *name, const uint64_t *args, size_t count)
{
    guest->function = hostcall_resolve(guest->module, strlen(guest->module), name, strlen(name));
    assert_non_null(guest->function);
    assert_int_equal(strcspn(guest->function->type, ":"), count);
    (void)memset(guest->args, 0, sizeof(guest->args));
    if (count != 0)
        (void)memcpy(guest->args, args, count * sizeof(*args));
    (void)memcpy(guest->passed, guest->args, sizeof(guest->args));
    (void)memset(guest->scratch, 0, sizeof(guest->scratch));
    return guest_again(guest);
}

#define CALL(guest, name, ...) \
    guest_call_array(guest, name, (const uint64_t[]){__VA_ARGS__}, \
                     sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

static inline uint32_t
guest_u32(const struct guest *guest, uint32_t at)
{
    uint32_t value;

    (void)memcpy(&value, guest->memory + at, sizeof(value));
    return value;
}

static inline uint64_t
guest_u64(const struct guest *guest, uint32_t at)
{
    uint64_t value;

    (void)memcpy(&value, guest->memory + at, sizeof(value));
    return value;
}

static inline uint32_t
guest_text(struct guest *guest, uint32_t at, const char *text)
{
    uint32_t bytes = (uint32_t)strlen(text);

    (void)memcpy(guest->memory + at, text, bytes);
    return bytes;
}

/* path: address and length, as two arguments. */
#define PATH(guest, text)   GUEST_PATH, guest_text(guest, GUEST_PATH, text)
#define PATH_2(guest, text) GUEST_PATH_2, guest_text(guest, GUEST_PATH_2, text)

static inline uint32_t
guest_iovec(struct guest *guest, uint32_t index, uint32_t buf, uint32_t bytes)
{
    struct wasi_iovec iovec = {buf, bytes};

    (void)memcpy(guest->memory + GUEST_IOVECS + index * 8, &iovec, sizeof(iovec));
    return GUEST_IOVECS;
}

static inline int
guest_open_with(struct guest *guest, const char *path, uint32_t oflags, uint32_t fdflags,
                uint64_t rights, uint32_t *fd)
{
    int err = CALL(guest, "path_open", GUEST_DIRECTORY, 0, PATH(guest, path), oflags, rights,
                   ALL_RIGHTS, fdflags, GUEST_RESULT);

    *fd = guest_u32(guest, GUEST_RESULT);
    return err;
}

static inline uint32_t
guest_open(struct guest *guest, const char *path, uint32_t oflags)
{
    uint32_t fd;

    assert_int_equal(guest_open_with(guest, path, oflags, 0, ALL_RIGHTS, &fd), 0);
    return fd;
}

static inline int
guest_write(struct guest *guest, uint32_t fd, const char *text)
{
    uint32_t bytes = guest_text(guest, GUEST_BUFFER, text);

    return CALL(guest, "fd_write", fd, guest_iovec(guest, 0, GUEST_BUFFER, bytes), 1, GUEST_RESULT);
}

/* Reads into GUEST_BUFFER; the count is at GUEST_RESULT. */
static inline int
guest_read(struct guest *guest, uint32_t fd, uint32_t bytes)
{
    return CALL(guest, "fd_read", fd, guest_iovec(guest, 0, GUEST_BUFFER, bytes), 1, GUEST_RESULT);
}

static inline void
assert_read(struct guest *guest, uint32_t fd, const char *text)
{
    assert_int_equal(guest_read(guest, fd, 4096), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), strlen(text));
    assert_memory_equal(guest->memory + GUEST_BUFFER, text, strlen(text));
}

static inline void
host_path(const struct guest *guest, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", guest->root, name);
}

static inline void
host_write(const struct guest *guest, const char *name, const char *text)
{
    char path[256];
    int fd;

    host_path(guest, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static inline void
host_mkdir(const struct guest *guest, const char *name)
{
    char path[256];

    host_path(guest, name, path);
    assert_int_equal(mkdir(path, 0755), 0);
}

static inline bool
host_exists(const struct guest *guest, const char *name)
{
    char path[256];
    struct stat stat;

    host_path(guest, name, path);
    return lstat(path, &stat) == 0;
}

#define GUEST_TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

#endif
