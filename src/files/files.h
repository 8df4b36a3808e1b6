/* SPDX-License-Identifier: Apache-2.0
 *
 * files: the guest's file system: a table of descriptors over confined trees.
 *
 *   root (a host directory) --files_path_*--> descriptor --files_read ...
 *
 * Confinement: a path is resolved by the kernel beneath the directory it starts
 * from (openat2, RESOLVE_BENEATH), or, where the kernel lacks that, component by
 * component without following a link unseen. "..", absolute paths and links that
 * would leave are refused with -EPERM, also while others rename and relink.
 *
 * The table holds no pointers: entries are numbers, paths lie in a pool of bytes,
 * so a frozen record is plain data (law 3). A regular file that the guest opened
 * keeps its offset here, not in the kernel, so that clones do not disturb each
 * other; borrowed descriptors (standard input and output) share the kernel's.
 *
 * Nothing here waits for another party (law 2): reading an empty pipe is -EAGAIN.
 * All functions return 0 or -errno. A table is used by one thread at a time.
 */
#ifndef WEFT_FILES_H
#define WEFT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"

#define FILES_DESCRIPTORS_MAX 1024u
#define FILES_ROOTS_MAX       256u
#define FILES_PATH_BYTES_MAX  4095u
#define FILES_IOVECS_MAX      1024u

enum files_kind {
    FILES_FREE,
    FILES_REGULAR,
    FILES_DIRECTORY,
    FILES_STREAM, /* pipe, terminal, character device */
    FILES_SOCKET,
    FILES_MEMORY, /* of the caller's; here it only has a number, and no descriptor */
};

/* What the guest may set with a descriptor; kept here, never in the kernel's
 * open file description, which others may share. */
enum files_flag {
    FILES_APPEND = 1,
    FILES_DSYNC = 2,
    FILES_NONBLOCK = 4,
    FILES_RSYNC = 8,
    FILES_SYNC = 16,
    FILES_FLAGS_ALL = 31,
};

struct files_range {
    uint32_t offset, bytes; /* in the table's names; every name ends with a NUL besides */
};

struct files_entry {
    uint64_t offset;             /* of a regular file with is_own_offset */
    uint64_t rights, inheriting; /* the caller's; carried along */
    uint64_t device, inode;      /* to know the object again when thawed */
    struct files_range path;     /* beneath its root; of a root: the guest's name for it */
    int32_t fd;                  /* the kernel's; -1 where thawing found it gone */
    int32_t root;                /* index of its root, or -1 */
    uint32_t mode;               /* st_mode when opened */
    uint16_t flags;              /* enum files_flag */
    uint8_t kind;                /* enum files_kind */
    uint8_t is_root, is_read_only, is_borrowed, is_own_offset, is_terminal;
    uint16_t socket_type; /* SOCK_STREAM ... */
    uint16_t access;      /* O_RDONLY, O_WRONLY or O_RDWR */
    uint32_t memory;      /* of FILES_MEMORY: the caller's number for it */
    uint8_t is_accepted;  /* a socket that the guest took; else without a root: the host's */
    uint8_t pad[7];
};

struct files_root {
    struct files_range host_path; /* empty where it was given as a descriptor */
    struct files_range guest_path;
    uint32_t is_read_only;
};

struct files_table {
    struct files_entry *entries; /* owned; entry_count of them, free ones too */
    uint32_t entry_count;
    uint32_t root_count;
    uint32_t open_max;        /* entries; 0: FILES_DESCRIPTORS_MAX */
    struct files_root *roots; /* owned */
    struct buffer names;
};

/* ----------------------------------------------------------------- the table */

/* A zero-initialised table is empty. fini closes what is not borrowed. */
void files_table_fini(struct files_table *table);

/* Enters a descriptor of the host at the lowest free number. It is borrowed: the
 * host keeps it open as long as the table lives and closes it. Its flags are not
 * changed. -EBADF: not open. -EMFILE. */
int files_table_adopt(struct files_table *table, int fd, uint32_t *number) MUST_CHECK;

/* The same at a number of the caller's choice; what was open there is closed. A
 * negative fd: nothing is open there then. */
int files_table_adopt_at(struct files_table *table, uint32_t number, int fd) MUST_CHECK;

/* The same with something in the caller's memory: what is read and written there is
 * his matter (files_read and files_write are -ESPIPE); else it is like a pipe. is_written:
 * open for writing, else for reading. */
int files_table_adopt_memory(struct files_table *table, uint32_t number, uint32_t memory,
                             bool is_written) MUST_CHECK;

/* The same at the lowest free number; mode, access and rights are for the caller to set. */
int files_table_add_memory(struct files_table *table, uint32_t memory, uint32_t *number) MUST_CHECK;

/* Keeps the lowest free number from being given out (a closed standard stream). */
int files_table_skip(struct files_table *table) MUST_CHECK;
void files_table_unskip(struct files_table *table, uint32_t number);

/* Opens a host directory as a root. -ENOENT, -ENOTDIR ...: diag names the path. */
int files_table_add_root(struct files_table *table, const char *host_path, const char *guest_path,
                         bool is_read_only, struct diag *diag) MUST_CHECK;

/* The same with an open directory, which is duplicated. */
int files_table_add_root_fd(struct files_table *table, int fd, const char *guest_path,
                            bool is_read_only, struct diag *diag) MUST_CHECK;

/* The entry, or NULL where the number is not open. Valid until the next call that
 * opens, closes or renumbers. */
struct files_entry *files_table_get(const struct files_table *table, uint32_t number);
const char *files_table_name(const struct files_table *table, struct files_range range);

/* -EBADF. */
int files_table_close(struct files_table *table, uint32_t number) MUST_CHECK;

/* What was `to` is closed; `from` moves there. -EBADF: either is not open. */
int files_table_renumber(struct files_table *table, uint32_t from, uint32_t to) MUST_CHECK;

/* Appends the table as plain bytes, a multiple of 8 (out is one before, too).
 * Kernel descriptors go along by number. */
void files_table_freeze(const struct files_table *table, struct buffer *out);

/* A table of its own from such bytes. Descriptors are duplicated where the number
 * still stands for the same object, else opened again by path: beneath the root of
 * `given` that has the same name for the guest, else of the host path that it had; what
 * can be neither (a pipe that is closed) stays with fd -1, and every use of it is -EIO.
 * given: a table with roots, or NULL. *used: bytes consumed. -EINVAL: not such bytes.
 * -EMFILE. */
int files_table_thaw(const uint8_t *bytes, size_t count, const struct files_table *given,
                     struct files_table *table, size_t *used) MUST_CHECK;

/* Text as it goes into frozen records: inverted, filled up to whole words, so that
 * no word of it looks like an address. thaw: count is the text's own. -ENOMEM. */
void files_text_freeze(const struct buffer *text, struct buffer *out);
int files_text_thaw(const uint8_t *bytes, size_t count, struct buffer *text) MUST_CHECK;

/* -------------------------------------------------------------- descriptors */

/* *done: bytes moved; 0 at the end of file. -EAGAIN: nothing to be had now (poll
 * the entry's fd). Writing to a stream may be short. */
int files_read(struct files_entry *entry, const struct iovec *iov, size_t count,
               size_t *done) MUST_CHECK;
int files_write(struct files_entry *entry, const struct iovec *iov, size_t count,
                size_t *done) MUST_CHECK;
int files_read_at(const struct files_entry *entry, const struct iovec *iov, size_t count,
                  uint64_t offset, size_t *done) MUST_CHECK;
int files_write_at(const struct files_entry *entry, const struct iovec *iov, size_t count,
                   uint64_t offset, size_t *done) MUST_CHECK;

/* whence: SEEK_SET, SEEK_CUR, SEEK_END. -ESPIPE, -EINVAL, -EOVERFLOW. */
int files_seek(struct files_entry *entry, int64_t delta, int whence, uint64_t *out) MUST_CHECK;
int files_stat(const struct files_entry *entry, struct stat *out) MUST_CHECK;
int files_sync(const struct files_entry *entry, bool data_only) MUST_CHECK;
int files_allocate(const struct files_entry *entry, uint64_t offset, uint64_t bytes) MUST_CHECK;
int files_advise(const struct files_entry *entry, uint64_t offset, uint64_t bytes,
                 int advice) MUST_CHECK; /* POSIX_FADV_* */
int files_resize(const struct files_entry *entry, uint64_t bytes) MUST_CHECK;
int files_set_times(const struct files_entry *entry, const struct timespec times[2]) MUST_CHECK;

struct files_item {
    uint64_t next; /* cookie of what follows */
    uint64_t inode;
    uint32_t name_bytes;
    uint32_t mode; /* S_IFMT part, 0: unknown */
    const char *name;
};

/* Calls visit for every item from the cookie on (0: from the start), "." and ".."
 * included, until it returns false. Names are valid during the visit. */
typedef bool (*files_visit_fn)(void *context, const struct files_item *item);
int files_list(const struct files_entry *entry, uint64_t cookie, files_visit_fn visit,
               void *context) MUST_CHECK;

/* Takes one connection. -EAGAIN: none is waiting. A listening socket that several
 * processes accept from should be non-blocking. */
int files_accept(struct files_table *table, uint32_t number, uint16_t flags,
                 uint32_t *out) MUST_CHECK;

/* -------------------------------------------------------------------- paths */

struct files_open {
    bool want_read, want_write;
    bool create, exclusive, truncate, directory;
    bool follow; /* a symbolic link as last component; else -ELOOP */
    uint16_t flags;
    uint64_t rights, inheriting;
};

/* Opens a path beneath an open directory, at the lowest free number. Devices and
 * sockets are refused (-EACCES), but for the harmless memory devices. */
int files_path_open(struct files_table *table, uint32_t directory, const char *path,
                    const struct files_open *how, uint32_t *number) MUST_CHECK;

int files_path_stat(const struct files_entry *directory, const char *path, bool follow,
                    struct stat *out) MUST_CHECK;
int files_path_set_times(const struct files_entry *directory, const char *path, bool follow,
                         const struct timespec times[2]) MUST_CHECK;
/* *bytes: how many were written to target; cut at bytes_max, no NUL. */
int files_path_readlink(const struct files_entry *directory, const char *path, char *target,
                        size_t bytes_max, size_t *bytes) MUST_CHECK;
int files_path_make_directory(const struct files_entry *directory, const char *path) MUST_CHECK;
int files_path_remove_directory(const struct files_entry *directory, const char *path) MUST_CHECK;
int files_path_unlink(const struct files_entry *directory, const char *path) MUST_CHECK;
/* -EPERM: an absolute target. */
int files_path_symlink(const struct files_entry *directory, const char *target,
                       const char *path) MUST_CHECK;
int files_path_rename(const struct files_entry *old_directory, const char *old_path,
                      const struct files_entry *new_directory, const char *new_path) MUST_CHECK;

struct files_link {
    const struct files_entry *old_directory;
    const char *old_path;
    const struct files_entry *new_directory;
    const char *new_path;
    bool follow; /* old_path, where it is a symbolic link */
};

int files_path_link(const struct files_link *link) MUST_CHECK;

/* Resolve without openat2, as on a kernel that has none. For tests. */
void files_use_portable_walk(bool is_on);

#endif
