/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bodies of hostcall share: the process record, and the facts of the
 * WASI specification (witx) as structures and numbers.
 */
#ifndef WEFT_HOSTCALL_INTERNAL_H
#define WEFT_HOSTCALL_INTERNAL_H

#include <assert.h> /* static_assert */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "files/files.h"
#include "group/group.h"
#include "hostcall/hostcall.h"
#include "state/state.h"

/* --------------------------------------------------------------- the process */

/* NUL-terminated strings, one after the other. */
struct hostcall_strings {
    struct buffer bytes;
    uint32_t count;
};

/* A call of /dev/weft (device.c). */
enum device_call_state {
    DEVICE_CALL_FREE,
    DEVICE_CALL_OPEN, /* its input is being written */
    DEVICE_CALL_STARTED,
    DEVICE_CALL_STATE_COUNT
};

struct device_call {
    uint8_t state;
    bool is_detached;
    uint32_t tag;                   /* the guest's number for it; 0: none */
    uint64_t handle;                /* of DEVICE_CALL_STARTED */
    struct buffer reference, input; /* owned */
};

struct hostcall_device {
    struct device_call *calls; /* owned */
    uint32_t count;
    uint64_t input_bytes; /* of those that are not started */
};

/* A file that is open beneath /state, or /dev/weft/state (keys.c). */
enum keys_kind {
    KEYS_FREE,
    KEYS_VALUE,  /* a copy of all of it */
    KEYS_LARGE,  /* only read, and too large for that */
    KEYS_LOG,    /* bytes: of records that were not read yet */
    KEYS_FOLDER, /* bytes: names, each with a letter before and a NUL after */
    KEYS_TALK,   /* /dev/weft/state; bytes: the answer */
    KEYS_KIND_COUNT
};

struct keys_file {
    uint8_t kind;
    bool is_gone;            /* its key was removed: it is not saved */
    bool is_whole;           /* of KEYS_FOLDER: the last names are there */
    uint64_t changes, saved; /* of the copy, since it was opened; and of these */
    uint64_t next; /* of KEYS_LOG: the record; of KEYS_FOLDER: the number of the first name; of
                    * KEYS_LARGE: the size */
    uint64_t version;
    uint64_t taken;                      /* of KEYS_LOG, KEYS_TALK: bytes that were read */
    struct buffer bytes;                 /* owned */
    char key[STATE_KEY_BYTES_MAX + 2];   /* of KEYS_FOLDER: with its slash, or "" */
    char after[STATE_KEY_BYTES_MAX + 1]; /* of KEYS_FOLDER: the last key that was seen */
};

struct hostcall_keys {
    struct keys_file *files; /* owned; the first is the root */
    uint32_t count;
    uint64_t leaving;   /* what is under way when it has returned; 0: nothing */
    struct buffer made; /* names of directories that hold nothing, each with its NUL */
};

/* What is left of frozen bytes. */
struct hostcall_reading {
    const uint8_t *bytes;
    size_t count;
};

struct hostcall_process {
    struct hostcall_strings args;
    struct hostcall_strings env;
    struct files_table files;
    uint64_t starts;               /* how often it was started from a frozen one */
    uint64_t output_max;           /* bytes to what the host gave, not as a root; 0: no limit */
    uint64_t output_bytes;         /* so far */
    struct buffer streams[4];      /* the input; what 1 and 2 wrote in memory; the result */
    uint64_t input_at;             /* read by 0 */
    struct hostcall_strings names; /* of the function, of the tenant; the version */
    uint64_t call, deadline_ns;
    uint32_t pointer;
    uint32_t processors;                /* 0: what the host has */
    const struct hostcall_chain *chain; /* registered; NULL: none */
    const struct hostcall_group *group; /* likewise */
    uint32_t member;
    uint32_t received; /* of the group's message that is to be taken: bytes of its head, and 1 */
    uint32_t misses;   /* messages that were not there, in a row */
    struct hostcall_device device;
    struct hostcall_keys keys;
    struct hostcall_map *maps; /* owned */
    uint32_t map_count;
};

/* State that is mapped. */
struct hostcall_map {
    uint64_t entry;
    struct mem_share *share; /* a reference; NULL: not mapped now */
    uint64_t at, bytes;      /* in linear memory */
    uint64_t offset, size;   /* in the value; of the value */
    uint32_t flags;
    char key[STATE_KEY_BYTES_MAX + 1];
};
void state_map_fini(const struct hostcall_process *process, struct hostcall_map *map);
void state_maps_fini(struct hostcall_process *process);
void state_maps_freeze(const struct hostcall_process *process, struct buffer *out);
/* Of so many; they are not mapped yet. */
int state_maps_thaw(struct hostcall_reading *reading, uint64_t count,
                    struct hostcall_process *process) MUST_CHECK;

/* One step of a host call: starts the request, or looks what came of it; scratch[0] is its number.
 * -EINPROGRESS: the call is to be pending. */
int state_ask(struct faaslet_call *call, const struct state_request *request,
              struct state_result *result) MUST_CHECK;

int registry_add(struct hostcall_registered *entry, enum hostcall_registered_kind kind) MUST_CHECK;
void registry_remove(struct hostcall_registered *entry); /* one that is not there is fine */
/* The registered one of this number and kind, or NULL. */
struct hostcall_registered *registry_find(uint64_t number, enum hostcall_registered_kind kind);
/* Of what it is a part of. */
#define HOSTCALL_OF(entry, type) ((type *)(void *)((char *)(entry) - offsetof(type, registered)))
const struct hostcall_chain *chain_find(uint64_t number);
const struct hostcall_group *member_group_find(uint64_t number);

/* Whether it is in a group with others: its memory may be copied by them. */
bool member_has_others(const struct hostcall_process *process);
void member_away(void *process);
void member_settle(void *process, const struct faaslet *faaslet);

/* The next record of frozen bytes, copied. False: there is not so much. */
bool hostcall_take(struct hostcall_reading *reading, void *to, size_t bytes) MUST_CHECK;

/* The next text of frozen bytes; NULL: there is not so much. */
const uint8_t *hostcall_take_text(struct hostcall_reading *reading, uint64_t bytes);

/* The list with twice as many descriptors (8 at first), the new ones zero. *err is -EMFILE or
 * -ENOMEM: it is as it was. */
void *hostcall_grow(void *list, uint32_t *count, size_t bytes, int *err) MUST_CHECK;

/* Starts a call for the guest, whose refusals it notes. -ENOSYS: it can start none. */
int chain_start(struct faaslet_call *call, const struct hostcall_chain_start *wanted,
                uint64_t *handle) MUST_CHECK;

/* Whether so much may be written to the result. False: the process is to end
 * (FAASLET_CALL_LIMIT). */
bool weft_output_allows(struct faaslet_call *call, uint64_t bytes);

/* fd_write's ways: what is written to an entry, whatever it is. */
int wasi_write_entry(struct hostcall_process *process, struct files_entry *entry,
                     const struct iovec *iov, size_t count, size_t *done) MUST_CHECK;

/* What files_read and files_write are for an entry that is FILES_MEMORY. Reading never
 * waits: after the last byte is the end. -ENOMEM. */
int memory_read(struct hostcall_process *process, const struct iovec *iov, size_t count,
                size_t *done) MUST_CHECK;
int memory_write(struct hostcall_process *process, const struct files_entry *entry,
                 const struct iovec *iov, size_t count, size_t *done) MUST_CHECK;

/* ------------------------------------------------- numbers of the specification */

enum wasi_errno {
    WASI_EFAULT = 21,
    WASI_EINVAL = 28,
    WASI_EIO = 29,
    WASI_ENOTCAPABLE = 76,
};

/* -errno of a missing right; the host has no such number. */
#define HOSTCALL_ENOTCAPABLE 1076

#define WASI_RIGHT(bit) (UINT64_C(1) << (bit))
enum wasi_right {
    WASI_FD_DATASYNC,
    WASI_FD_READ,
    WASI_FD_SEEK,
    WASI_FD_FDSTAT_SET_FLAGS,
    WASI_FD_SYNC,
    WASI_FD_TELL,
    WASI_FD_WRITE,
    WASI_FD_ADVISE,
    WASI_FD_ALLOCATE,
    WASI_PATH_CREATE_DIRECTORY,
    WASI_PATH_CREATE_FILE,
    WASI_PATH_LINK_SOURCE,
    WASI_PATH_LINK_TARGET,
    WASI_PATH_OPEN,
    WASI_FD_READDIR,
    WASI_PATH_READLINK,
    WASI_PATH_RENAME_SOURCE,
    WASI_PATH_RENAME_TARGET,
    WASI_PATH_FILESTAT_GET,
    WASI_PATH_FILESTAT_SET_SIZE,
    WASI_PATH_FILESTAT_SET_TIMES,
    WASI_FD_FILESTAT_GET,
    WASI_FD_FILESTAT_SET_SIZE,
    WASI_FD_FILESTAT_SET_TIMES,
    WASI_PATH_SYMLINK,
    WASI_PATH_REMOVE_DIRECTORY,
    WASI_PATH_UNLINK_FILE,
    WASI_POLL_FD_READWRITE,
    WASI_SOCK_SHUTDOWN,
    WASI_SOCK_ACCEPT,
    WASI_RIGHT_COUNT,
    WASI_NO_RIGHT = 64, /* only that the descriptor is open */
};
#define WASI_RIGHTS_ALL (WASI_RIGHT(WASI_RIGHT_COUNT) - 1)

enum wasi_filetype {
    WASI_UNKNOWN,
    WASI_BLOCK_DEVICE,
    WASI_CHARACTER_DEVICE,
    WASI_DIRECTORY,
    WASI_REGULAR_FILE,
    WASI_SOCKET_DGRAM,
    WASI_SOCKET_STREAM,
    WASI_SYMBOLIC_LINK,
};

enum wasi_clock { WASI_REALTIME, WASI_MONOTONIC, WASI_PROCESS_CPUTIME, WASI_THREAD_CPUTIME };
enum wasi_eventtype { WASI_EVENT_CLOCK, WASI_EVENT_FD_READ, WASI_EVENT_FD_WRITE };

#define WASI_SYMLINK_FOLLOW        1u
#define WASI_OFLAG_CREAT           1u
#define WASI_OFLAG_DIRECTORY       2u
#define WASI_OFLAG_EXCL            4u
#define WASI_OFLAG_TRUNC           8u
#define WASI_FSTFLAG_ATIM          1u
#define WASI_FSTFLAG_ATIM_NOW      2u
#define WASI_FSTFLAG_MTIM          4u
#define WASI_FSTFLAG_MTIM_NOW      8u
#define WASI_EVENT_HANGUP          1u
#define WASI_SUBCLOCK_ABSTIME      1u
#define WASI_RIFLAG_PEEK           1u
#define WASI_RIFLAG_WAITALL        2u
#define WASI_ROFLAG_DATA_TRUNCATED 1u
#define WASI_SDFLAG_RD             1u
#define WASI_SDFLAG_WR             2u

/* The flags of descriptors are the specification's bits. */
static_assert(FILES_APPEND == 1 && FILES_DSYNC == 2 && FILES_NONBLOCK == 4 && FILES_RSYNC == 8 &&
                  FILES_SYNC == 16,
              "fdflags");

/* ------------------------------------------------------------------- layouts */

struct wasi_iovec { /* and ciovec */
    uint32_t buf, buf_len;
};
static_assert(sizeof(struct wasi_iovec) == 8, "iovec");

struct wasi_fdstat {
    uint8_t filetype, pad0;
    uint16_t flags;
    uint32_t pad1;
    uint64_t rights_base, rights_inheriting;
};
static_assert(sizeof(struct wasi_fdstat) == 24 && offsetof(struct wasi_fdstat, flags) == 2 &&
                  offsetof(struct wasi_fdstat, rights_base) == 8,
              "fdstat");

struct wasi_filestat {
    uint64_t dev, ino;
    uint8_t filetype, pad[7];
    uint64_t nlink, size, atim, mtim, ctim;
};
static_assert(sizeof(struct wasi_filestat) == 64 && offsetof(struct wasi_filestat, nlink) == 24 &&
                  offsetof(struct wasi_filestat, ctim) == 56,
              "filestat");

struct wasi_unstable_filestat {
    uint64_t dev, ino;
    uint8_t filetype, pad[3];
    uint32_t nlink;
    uint64_t size, atim, mtim, ctim;
};
static_assert(sizeof(struct wasi_unstable_filestat) == 56 &&
                  offsetof(struct wasi_unstable_filestat, nlink) == 20 &&
                  offsetof(struct wasi_unstable_filestat, ctim) == 48,
              "unstable filestat");

struct wasi_dirent {
    uint64_t next, ino;
    uint32_t namlen;
    uint8_t type, pad[3];
};
static_assert(sizeof(struct wasi_dirent) == 24 && offsetof(struct wasi_dirent, namlen) == 16 &&
                  offsetof(struct wasi_dirent, type) == 20,
              "dirent");

struct wasi_prestat {
    uint8_t tag, pad[3];
    uint32_t name_len;
};
static_assert(sizeof(struct wasi_prestat) == 8, "prestat");

struct wasi_subscription {
    uint64_t userdata;
    uint8_t type, pad0[7];
    union {
        struct {
            uint32_t id, pad;
            uint64_t timeout, precision;
            uint16_t flags;
        } clock;
        uint32_t fd;
    };
};
static_assert(sizeof(struct wasi_subscription) == 48 &&
                  offsetof(struct wasi_subscription, clock.timeout) == 24 &&
                  offsetof(struct wasi_subscription, clock.flags) == 40 &&
                  offsetof(struct wasi_subscription, fd) == 16,
              "subscription");

struct wasi_unstable_subscription {
    uint64_t userdata;
    uint8_t type, pad0[7];
    union {
        struct {
            uint64_t identifier;
            uint32_t id, pad;
            uint64_t timeout, precision;
            uint16_t flags;
        } clock;
        uint32_t fd;
    };
};
static_assert(sizeof(struct wasi_unstable_subscription) == 56 &&
                  offsetof(struct wasi_unstable_subscription, clock.timeout) == 32 &&
                  offsetof(struct wasi_unstable_subscription, clock.flags) == 48 &&
                  offsetof(struct wasi_unstable_subscription, fd) == 16,
              "unstable subscription");

struct wasi_event {
    uint64_t userdata;
    uint16_t error;
    uint8_t type, pad0[5];
    uint64_t nbytes;
    uint16_t flags;
    uint8_t pad1[6];
};
static_assert(sizeof(struct wasi_event) == 32 && offsetof(struct wasi_event, type) == 10 &&
                  offsetof(struct wasi_event, nbytes) == 16 &&
                  offsetof(struct wasi_event, flags) == 24,
              "event");

/* -------------------------------------------------------------------- helpers */

static inline uint32_t
wasi_arg(const struct faaslet_call *call, unsigned index)
{
    return (uint32_t)call->args[index];
}

static inline struct hostcall_process *
wasi_process(const struct faaslet_call *call)
{
    return call->process;
}

/* Ends a call: 0 or -errno becomes the guest's errno. */
enum faaslet_verdict wasi_done(struct faaslet_call *call, int err);
uint16_t wasi_errno(int err);

/* The function is called again when fd may be ready for events (as poll(2)). */
enum faaslet_verdict wasi_wait_fd(struct faaslet_call *call, int fd, short events);

/* wasi_done; but -EAGAIN waits for the descriptor unless the guest asked not to. */
enum faaslet_verdict wasi_done_or_wait(struct faaslet_call *call, int err,
                                       const struct files_entry *entry, short events);

/* Opening something failed so: where too much was open, that is remembered. */
void wasi_note_refusal(struct faaslet_call *call, int err);

/* Whether the guest may use these bytes: 0, or -EFAULT. */
int wasi_check(const struct faaslet_call *call, uint32_t offset, uint64_t bytes) MUST_CHECK;

/* Writes a result to bytes that wasi_check has passed in this call. */
void wasi_store(struct faaslet_call *call, uint32_t offset, const void *value, size_t bytes);
void wasi_store_u32(struct faaslet_call *call, uint32_t offset, uint32_t value);
void wasi_store_u64(struct faaslet_call *call, uint32_t offset, uint64_t value);

/* The descriptor, if it is open and has the right; else *err is -errno. */
struct files_entry *wasi_descriptor(const struct faaslet_call *call, uint32_t number,
                                    enum wasi_right right, int *err);

/* Rights of what the host hands in; and of what a path opens, at most. */
void wasi_rights_adopted(struct files_entry *entry);
uint64_t wasi_rights_possible(const struct files_entry *entry);
uint8_t wasi_filetype(uint32_t mode, uint16_t socket_type);

struct wasi_buffers {
    struct iovec iov[FILES_IOVECS_MAX];
    size_t count;
    uint64_t total;
};

/* Reads the guest's vector once and checks every buffer in it; is_for_reading: the host will
 * only read them. */
int wasi_buffers_read(const struct faaslet_call *call, uint32_t offset, uint32_t count,
                      bool is_for_reading, struct wasi_buffers *out) MUST_CHECK;

/* The limit of output, before and after writing to a descriptor. False: the process is
 * to end (FAASLET_CALL_LIMIT). */
bool wasi_output_allows(struct faaslet_call *call, const struct files_entry *entry, uint64_t bytes);
void wasi_output_count(struct faaslet_call *call, const struct files_entry *entry, size_t bytes);

struct wasi_path {
    char text[FILES_PATH_BYTES_MAX + 1];
};

/* -EFAULT, -ENAMETOOLONG, -EINVAL (a NUL inside). */
int wasi_path_read(const struct faaslet_call *call, uint32_t offset, uint32_t bytes,
                   struct wasi_path *out) MUST_CHECK;

/* The two times of *_filestat_set_times. -EINVAL: flags that contradict. */
int wasi_times(uint64_t atim, uint64_t mtim, uint32_t flags, struct timespec out[2]) MUST_CHECK;
void wasi_filestat_from(const struct stat *stat, uint16_t socket_type, struct wasi_filestat *out);
void wasi_unstable_filestat_from(const struct wasi_filestat *from,
                                 struct wasi_unstable_filestat *out);

/* --------------------------------------------------------------------- /dev/weft */

#define DEVICE_PATH    "/dev/weft"
#define DEVICE_STREAMS 4u

/* Numbers of FILES_MEMORY: up to 2 the standard streams; from DEVICE_CALLS on
 * DEVICE_STREAMS for each call, enum device_stream. */
enum {
    DEVICE_ROOT = 16,
    DEVICE_RESULT,
    DEVICE_IDENTITY,
    DEVICE_DEADLINE,
    DEVICE_TALK, /* "state": a record of /state when it is open */
    DEVICE_CALLS = 32
};
enum device_stream {
    DEVICE_STREAM_CALL,
    DEVICE_STREAM_END,
    DEVICE_STREAM_OUTPUT,
    DEVICE_STREAM_LOG
};

bool device_is(const struct files_entry *entry);
struct device_call *device_call_of(const struct hostcall_process *process,
                                   const struct files_entry *entry);
enum device_stream device_stream_of(const struct files_entry *entry);
/* Starts it unless it is; what weft_chain may say. */
int device_start(struct faaslet_call *host, struct device_call *call) MUST_CHECK;

/* The directory, at the lowest free number. */
int device_add(struct hostcall_process *process) MUST_CHECK;
/* As files_path_open and files_path_stat, of a path beneath the directory. */
int device_open(struct hostcall_process *process, const char *path, const struct files_open *how,
                uint32_t *number) MUST_CHECK;
int device_stat(const char *path, struct stat *out) MUST_CHECK;
/* A descriptor with this number of FILES_MEMORY was closed. */
void device_closed(struct hostcall_process *process, uint32_t memory);
void device_fini(struct hostcall_device *device);

/* The bodies of host calls, with what they have checked. */
enum faaslet_verdict device_read(struct faaslet_call *call, struct files_entry *entry,
                                 const struct wasi_buffers *buffers, uint32_t result_at);
enum faaslet_verdict device_write(struct faaslet_call *call, const struct files_entry *entry,
                                  const struct wasi_buffers *buffers, uint32_t result_at);
enum faaslet_verdict device_sync(struct faaslet_call *call, const struct files_entry *entry);

void device_freeze(const struct hostcall_device *device, struct buffer *out);
int device_thaw(struct hostcall_reading *reading, uint64_t count,
                struct hostcall_device *device) MUST_CHECK;

/* ------------------------------------------------------------------------ /state */

#define KEYS_PATH       "/state"
#define KEYS_COPY_BYTES (1u << 20)  /* what is only read is copied up to so much */
#define KEYS_BYTES_MAX  (32u << 20) /* of all copies of a process */
#define KEYS_TALK_BYTES (32u << 20) /* of one request */

/* Numbers of FILES_MEMORY, after those of the device: the root, then other records. */
#define KEYS_ROOT (1u << 20)

bool keys_is(const struct files_entry *entry);
struct keys_file *keys_file_of(const struct hostcall_process *process,
                               const struct files_entry *entry);
/* How many bytes there may be besides those of all copies. */
uint64_t keys_room(const struct hostcall_process *process);

/* The directory, at the lowest free number. */
int keys_add(struct hostcall_process *process) MUST_CHECK;
/* At the lowest free number. */
int keys_enter(struct hostcall_process *process, enum keys_kind kind, const char *key,
               const struct files_open *how, uint32_t *number) MUST_CHECK;
void keys_file_free(struct keys_file *file);
void keys_fini(struct hostcall_keys *keys);
void keys_freeze(const struct hostcall_keys *keys, struct buffer *out);
int keys_thaw(struct hostcall_reading *reading, uint64_t count, uint64_t made_bytes,
              struct hostcall_keys *keys) MUST_CHECK;

/* The key that a path beneath an open directory names, without a slash at its end; *is_folder:
 * it had one, or is the root. -EPERM: it leaves the directory. */
int keys_resolve(const struct hostcall_process *process, const struct files_entry *directory,
                 const char *path, char key[STATE_KEY_BYTES_MAX + 1], bool *is_folder) MUST_CHECK;
/* One that this call has written, not saved and not removed, or NULL. */
bool keys_is_dirty(const struct keys_file *file);
struct keys_file *keys_unsaved(const struct hostcall_process *process, const char *key);
/* Steps of calls: 0, -errno, or -EINPROGRESS: called again, at the same step. */
int keys_ask(struct faaslet_call *call, enum state_kind kind, const char *key,
             struct state_result *result) MUST_CHECK;
int keys_save(struct faaslet_call *call, struct keys_file *file) MUST_CHECK;
/* The same of whichever file has a copy of this key that is not saved. */
int keys_save_key(struct faaslet_call *call, const char *key) MUST_CHECK;
int keys_is_folder(struct faaslet_call *call, const char *key, bool *is) MUST_CHECK;
/* What was not saved is saved, of what can be. */
int keys_save_all(struct faaslet_call *call) MUST_CHECK;
enum faaslet_verdict keys_done(struct faaslet_call *call, int err);
uint64_t keys_inode(const char *key);
void keys_stat_of(mode_t mode, const char *key, uint64_t size, uint64_t version, struct stat *out);

/* Bodies of host calls. scratch[1] is the step that they are at. */
int keys_open(struct faaslet_call *call, const struct files_entry *directory, const char *path,
              const struct files_open *how, uint32_t *number) MUST_CHECK;
int keys_path_stat(struct faaslet_call *call, const struct files_entry *directory, const char *path,
                   struct stat *out) MUST_CHECK;
int keys_make_directory(struct faaslet_call *call, const struct files_entry *directory,
                        const char *path) MUST_CHECK;
int keys_remove_directory(struct faaslet_call *call, const struct files_entry *directory,
                          const char *path) MUST_CHECK;
int keys_unlink(struct faaslet_call *call, const struct files_entry *directory,
                const char *path) MUST_CHECK;
struct keys_names {
    const struct files_entry *old_directory, *new_directory;
    const char *old_path, *new_path;
};
int keys_rename(struct faaslet_call *call, const struct keys_names *names) MUST_CHECK;

int keys_read(struct faaslet_call *call, const struct files_entry *entry, uint64_t offset,
              const struct wasi_buffers *buffers, size_t *done) MUST_CHECK;
int keys_write(struct faaslet_call *call, const struct files_entry *entry, uint64_t *offset,
               const struct wasi_buffers *buffers, size_t *done) MUST_CHECK;
int keys_seek(struct faaslet_call *call, struct files_entry *entry, int64_t delta, int whence,
              uint64_t *out) MUST_CHECK;
int keys_resize(struct faaslet_call *call, const struct files_entry *entry, uint64_t bytes,
                bool only_grows) MUST_CHECK;
int keys_file_stat(struct faaslet_call *call, const struct files_entry *entry,
                   struct stat *out) MUST_CHECK;
int keys_sync(struct faaslet_call *call, const struct files_entry *entry) MUST_CHECK;
/* Its descriptor is about to be closed: saves it. Then keys_closed. */
void keys_closed(struct hostcall_process *process, uint32_t memory);
int keys_list(struct faaslet_call *call, const struct files_entry *entry, uint64_t cookie,
              uint32_t bytes) MUST_CHECK;
/* What keys_list has brought. */
void keys_visit(const struct hostcall_process *process, const struct files_entry *entry,
                uint64_t cookie, files_visit_fn visit, void *context);
int keys_talk(struct faaslet_call *call, struct keys_file *file,
              const struct wasi_buffers *buffers) MUST_CHECK;

/* ------------------------------------------------------------------ functions */

enum faaslet_verdict wasi_args_get(struct faaslet_call *call);
enum faaslet_verdict wasi_args_sizes_get(struct faaslet_call *call);
enum faaslet_verdict wasi_environ_get(struct faaslet_call *call);
enum faaslet_verdict wasi_environ_sizes_get(struct faaslet_call *call);
enum faaslet_verdict wasi_clock_res_get(struct faaslet_call *call);
enum faaslet_verdict wasi_clock_time_get(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_advise(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_allocate(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_close(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_datasync(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_fdstat_get(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_fdstat_set_flags(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_fdstat_set_rights(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_filestat_get(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_filestat_get_unstable(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_filestat_set_size(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_filestat_set_times(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_pread(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_prestat_get(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_prestat_dir_name(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_pwrite(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_read(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_readdir(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_renumber(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_seek(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_seek_unstable(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_sync(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_tell(struct faaslet_call *call);
enum faaslet_verdict wasi_fd_write(struct faaslet_call *call);
enum faaslet_verdict wasi_path_create_directory(struct faaslet_call *call);
enum faaslet_verdict wasi_path_filestat_get(struct faaslet_call *call);
enum faaslet_verdict wasi_path_filestat_get_unstable(struct faaslet_call *call);
enum faaslet_verdict wasi_path_filestat_set_times(struct faaslet_call *call);
enum faaslet_verdict wasi_path_link(struct faaslet_call *call);
enum faaslet_verdict wasi_path_open(struct faaslet_call *call);
enum faaslet_verdict wasi_path_readlink(struct faaslet_call *call);
enum faaslet_verdict wasi_path_remove_directory(struct faaslet_call *call);
enum faaslet_verdict wasi_path_rename(struct faaslet_call *call);
enum faaslet_verdict wasi_path_symlink(struct faaslet_call *call);
enum faaslet_verdict wasi_path_unlink_file(struct faaslet_call *call);
enum faaslet_verdict wasi_poll_oneoff(struct faaslet_call *call);
enum faaslet_verdict wasi_poll_oneoff_unstable(struct faaslet_call *call);
enum faaslet_verdict wasi_proc_exit(struct faaslet_call *call);
enum faaslet_verdict wasi_proc_raise(struct faaslet_call *call);
enum faaslet_verdict wasi_random_get(struct faaslet_call *call);
enum faaslet_verdict wasi_sched_yield(struct faaslet_call *call);
enum faaslet_verdict wasi_thread_spawn(struct faaslet_call *call);
enum faaslet_verdict wasi_sock_accept(struct faaslet_call *call);
enum faaslet_verdict wasi_sock_recv(struct faaslet_call *call);
enum faaslet_verdict wasi_sock_send(struct faaslet_call *call);
enum faaslet_verdict wasi_sock_shutdown(struct faaslet_call *call);
enum faaslet_verdict weft_snapshot(struct faaslet_call *call);
enum faaslet_verdict weft_input_size(struct faaslet_call *call);
enum faaslet_verdict weft_input_read(struct faaslet_call *call);
enum faaslet_verdict weft_output(struct faaslet_call *call);
enum faaslet_verdict weft_call_id(struct faaslet_call *call);
enum faaslet_verdict weft_identity(struct faaslet_call *call);
enum faaslet_verdict weft_deadline_left(struct faaslet_call *call);
enum faaslet_verdict weft_log(struct faaslet_call *call);
enum faaslet_verdict weft_chain(struct faaslet_call *call);
enum faaslet_verdict weft_chain_pointer(struct faaslet_call *call);
enum faaslet_verdict weft_pointer(struct faaslet_call *call);
enum faaslet_verdict weft_processors(struct faaslet_call *call);
enum faaslet_verdict weft_await(struct faaslet_call *call);
enum faaslet_verdict weft_read(struct faaslet_call *call);
enum faaslet_verdict weft_cancel(struct faaslet_call *call);
enum faaslet_verdict weft_forget(struct faaslet_call *call);
enum faaslet_verdict weft_state_stat(struct faaslet_call *call);
enum faaslet_verdict weft_state_get(struct faaslet_call *call);
enum faaslet_verdict weft_state_set(struct faaslet_call *call);
enum faaslet_verdict weft_state_cas(struct faaslet_call *call);
enum faaslet_verdict weft_state_add(struct faaslet_call *call);
enum faaslet_verdict weft_state_add_double(struct faaslet_call *call);
enum faaslet_verdict weft_state_remove(struct faaslet_call *call);
enum faaslet_verdict weft_state_expire(struct faaslet_call *call);
enum faaslet_verdict weft_state_list(struct faaslet_call *call);
enum faaslet_verdict weft_state_watch(struct faaslet_call *call);
enum faaslet_verdict weft_state_map(struct faaslet_call *call);
enum faaslet_verdict weft_state_unmap(struct faaslet_call *call);
enum faaslet_verdict weft_state_pull(struct faaslet_call *call);
enum faaslet_verdict weft_state_push(struct faaslet_call *call);
enum faaslet_verdict weft_state_push_if(struct faaslet_call *call);
enum faaslet_verdict weft_state_lock(struct faaslet_call *call);
enum faaslet_verdict weft_state_unlock(struct faaslet_call *call);
enum faaslet_verdict weft_state_append(struct faaslet_call *call);
enum faaslet_verdict weft_state_read(struct faaslet_call *call);
enum faaslet_verdict weft_state_trim(struct faaslet_call *call);

enum faaslet_verdict weft_group_enter(struct faaslet_call *call);
enum faaslet_verdict weft_group_leave(struct faaslet_call *call);
enum faaslet_verdict weft_group_abort(struct faaslet_call *call);
enum faaslet_verdict weft_group_send(struct faaslet_call *call);
enum faaslet_verdict weft_group_receive(struct faaslet_call *call);
enum faaslet_verdict weft_group_take(struct faaslet_call *call);
enum faaslet_verdict weft_group_wait(struct faaslet_call *call);
enum faaslet_verdict weft_group_get(struct faaslet_call *call);
enum faaslet_verdict weft_group_put(struct faaslet_call *call);
enum faaslet_verdict weft_group_change(struct faaslet_call *call);
enum faaslet_verdict weft_group_share(struct faaslet_call *call);
enum faaslet_verdict weft_group_unshare(struct faaslet_call *call);
enum faaslet_verdict weft_group_is_near(struct faaslet_call *call);
enum faaslet_verdict weft_group_time(struct faaslet_call *call);

#endif
