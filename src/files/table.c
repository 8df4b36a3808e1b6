/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of descriptors: numbers, names, lifetime.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "files/files_internal.h"

#define NAMES_BYTES_MAX (16u << 20)
#define NAMES_SLACK_MIN (64u << 10)
#define ENTRIES_FIRST   16u
#define PROC_PATH_BYTES 32
#define TTYAUX_MAJOR    5
#define PTMX_MINOR      2

static const struct files_range no_name = {0, 0};

/* ---------------------------------------------------------------------- names */

static void
name_move(const struct buffer *from, struct buffer *to, struct files_range *name)
{
    uint32_t offset = (uint32_t)to->count;

    if (name->bytes == 0)
        return;
    buffer_append(to, from->bytes + name->offset, (size_t)name->bytes + 1);
    name->offset = offset;
}

/* Names are only appended; when half of them may be dead, the living are moved
 * together. */
static int
names_compact(struct files_table *table)
{
    struct buffer names = {0};
    struct files_table moved = *table;
    size_t bytes = sizeof(*table->entries) * table->entry_count;
    size_t root_bytes = sizeof(*table->roots) * table->root_count;

    moved.entries = malloc(bytes + 1);
    moved.roots = malloc(root_bytes + 1);
    if (moved.entries == NULL || moved.roots == NULL)
        goto fail;
    if (bytes != 0)
        (void)memcpy(moved.entries, table->entries, bytes);
    if (root_bytes != 0)
        (void)memcpy(moved.roots, table->roots, root_bytes);
    for (uint32_t i = 0; i < table->entry_count; i++)
        if (moved.entries[i].kind != FILES_FREE)
            name_move(&table->names, &names, &moved.entries[i].path);
    for (uint32_t i = 0; i < table->root_count; i++) {
        name_move(&table->names, &names, &moved.roots[i].host_path);
        name_move(&table->names, &names, &moved.roots[i].guest_path);
    }
    if (names.err != 0)
        goto fail;
    if (bytes != 0)
        (void)memcpy(table->entries, moved.entries, bytes);
    if (root_bytes != 0)
        (void)memcpy(table->roots, moved.roots, root_bytes);
    free(moved.entries);
    free(moved.roots);
    buffer_fini(&table->names);
    table->names = names;
    return 0;

fail:
    free(moved.entries);
    free(moved.roots);
    buffer_fini(&names);
    return -ENOMEM;
}

static size_t
names_living(const struct files_table *table)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < table->entry_count; i++)
        if (table->entries[i].kind != FILES_FREE)
            bytes += (size_t)table->entries[i].path.bytes + 1;
    for (uint32_t i = 0; i < table->root_count; i++)
        bytes += (size_t)table->roots[i].host_path.bytes + table->roots[i].guest_path.bytes + 2;
    return bytes;
}

int
files_table_keep_name(struct files_table *table, const char *name, size_t bytes,
                      struct files_range *out)
{
    int err;

    if (bytes == 0) {
        *out = no_name;
        return 0;
    }
    if (table->names.count > NAMES_SLACK_MIN && table->names.count > 2 * names_living(table)) {
        err = names_compact(table);
        if (err != 0)
            return err;
    }
    if (bytes > FILES_PATH_BYTES_MAX || table->names.count + bytes + 1 > NAMES_BYTES_MAX)
        return -ENOMEM;
    *out = (struct files_range){(uint32_t)table->names.count, (uint32_t)bytes};
    buffer_append(&table->names, name, bytes);
    buffer_append(&table->names, "", 1);
    return table->names.err;
}

const char *
files_table_name(const struct files_table *table, struct files_range range)
{
    if (range.bytes == 0)
        return "";
    ASSERT(range.offset + (size_t)range.bytes < table->names.count);
    return (const char *)table->names.bytes + range.offset;
}

/* -------------------------------------------------------------------- numbers */

static int
table_grow(struct files_table *table)
{
    uint32_t count = table->entry_count == 0 ? ENTRIES_FIRST : table->entry_count * 2;
    struct files_entry *entries;

    if (table->entry_count >= FILES_DESCRIPTORS_MAX)
        return -EMFILE;
    entries = realloc(table->entries, count * sizeof(*entries));
    if (entries == NULL)
        return -ENOMEM;
    (void)memset(entries + table->entry_count, 0, (count - table->entry_count) * sizeof(*entries));
    table->entries = entries;
    table->entry_count = count;
    return 0;
}

static uint32_t
count_open(const struct files_table *table)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->entry_count; i++)
        count += table->entries[i].kind != FILES_FREE && table->entries[i].kind != KIND_SKIPPED;
    return count;
}

int
files_table_reserve(struct files_table *table, uint32_t *number)
{
    uint32_t i = 0;
    int err = fault_point("files.reserve");

    if (err != 0)
        return err;
    if (table->open_max != 0 && count_open(table) >= table->open_max)
        return -EMFILE;
    while (i < table->entry_count && table->entries[i].kind != FILES_FREE)
        i++;
    if (i == table->entry_count) {
        err = table_grow(table);
        if (err != 0)
            return err;
    }
    (void)memset(&table->entries[i], 0, sizeof(table->entries[i]));
    table->entries[i].fd = -1;
    table->entries[i].root = -1;
    *number = i;
    return 0;
}

struct files_entry *
files_table_get(const struct files_table *table, uint32_t number)
{
    if (number >= table->entry_count || table->entries[number].kind == FILES_FREE ||
        table->entries[number].kind == KIND_SKIPPED)
        return NULL;
    return &table->entries[number];
}

/* A skipped number is occupied without being open. */
int
files_table_skip(struct files_table *table)
{
    uint32_t number;
    int err = files_table_reserve(table, &number);

    if (err == 0)
        table->entries[number].kind = KIND_SKIPPED;
    return err;
}

void
files_table_unskip(struct files_table *table, uint32_t number)
{
    if (number < table->entry_count && table->entries[number].kind == KIND_SKIPPED)
        table->entries[number].kind = FILES_FREE;
}

static void
entry_close(struct files_entry *entry)
{
    if (entry->fd >= 0 && !entry->is_borrowed)
        (void)close(entry->fd);
    (void)memset(entry, 0, sizeof(*entry));
    entry->fd = -1;
}

int
files_table_close(struct files_table *table, uint32_t number)
{
    struct files_entry *entry = files_table_get(table, number);

    if (entry == NULL)
        return -EBADF;
    entry_close(entry);
    return 0;
}

int
files_table_renumber(struct files_table *table, uint32_t from, uint32_t to)
{
    struct files_entry *source = files_table_get(table, from);
    struct files_entry *target = files_table_get(table, to);

    if (source == NULL || target == NULL)
        return -EBADF;
    if (source == target)
        return 0;
    entry_close(target);
    *target = *source;
    (void)memset(source, 0, sizeof(*source));
    return 0;
}

void
files_table_fini(struct files_table *table)
{
    for (uint32_t i = 0; i < table->entry_count; i++)
        if (table->entries[i].kind != FILES_FREE && table->entries[i].kind != KIND_SKIPPED)
            entry_close(&table->entries[i]);
    free(table->entries);
    free(table->roots);
    buffer_fini(&table->names);
    (void)memset(table, 0, sizeof(*table));
}

/* -------------------------------------------------------------------- entries */

static enum files_kind
kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return FILES_REGULAR;
    if (S_ISDIR(mode))
        return FILES_DIRECTORY;
    return S_ISSOCK(mode) ? FILES_SOCKET : FILES_STREAM;
}

int
files_entry_classify(struct files_entry *entry, int fd)
{
    struct stat stat;
    int flags = fcntl(fd, F_GETFL);
    int type = 0;
    socklen_t bytes = sizeof(type);

    if (flags < 0 || fstat(fd, &stat) != 0)
        return -errno;
    if (S_ISSOCK(stat.st_mode) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0) {
        if (errno != ENOSYS)
            return -errno;
        type = SOCK_STREAM; /* sealed: as good as all are */
    }
    entry->kind = (uint8_t)kind_of(stat.st_mode);
    entry->mode = stat.st_mode;
    entry->device = stat.st_dev;
    entry->inode = stat.st_ino;
    entry->access = (uint16_t)(flags & O_ACCMODE);
    entry->socket_type = (uint16_t)type;
    entry->is_terminal = S_ISCHR(stat.st_mode) && isatty(fd) == 1;
    entry->fd = fd;
    return 0;
}

/* A terminal is opened once more, without waiting: no question that can be asked
 * beforehand tells how much it will take. Not so the master of a pseudo-terminal,
 * for which opening again makes another one. */
static void
open_terminal_again(struct files_entry *entry)
{
    char path[PROC_PATH_BYTES];
    struct stat stat;
    int fd;

    if (!entry->is_terminal || fstat(entry->fd, &stat) != 0 ||
        stat.st_rdev == makedev(TTYAUX_MAJOR, PTMX_MINOR))
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", entry->fd);
    fd = open(path, entry->access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return; /* the host's own will do, with poll before every transfer */
    entry->fd = fd;
    entry->is_borrowed = 0;
}

int
files_table_adopt(struct files_table *table, int fd, uint32_t *number)
{
    uint32_t index;
    int err = files_table_reserve(table, &index);

    if (err != 0)
        return err;
    err = files_entry_classify(&table->entries[index], fd);
    if (err != 0) {
        table->entries[index].kind = FILES_FREE;
        return err;
    }
    table->entries[index].is_borrowed = 1;
    open_terminal_again(&table->entries[index]);
    *number = index;
    return 0;
}

int
files_table_adopt_at(struct files_table *table, uint32_t number, int fd)
{
    struct files_entry entry = {.fd = -1, .root = -1};
    int err = 0;

    if (number >= FILES_DESCRIPTORS_MAX)
        return -EMFILE;
    if (fd >= 0)
        err = files_entry_classify(&entry, fd);
    while (err == 0 && number >= table->entry_count)
        err = table_grow(table);
    if (err != 0)
        return err;
    if (files_table_get(table, number) != NULL)
        entry_close(&table->entries[number]);
    if (fd < 0)
        return 0;
    table->entries[number] = entry;
    table->entries[number].is_borrowed = 1;
    open_terminal_again(&table->entries[number]);
    return 0;
}

int
files_table_adopt_memory(struct files_table *table, uint32_t number, uint32_t memory,
                         bool is_written)
{
    int err = files_table_adopt_at(table, number, -1);

    if (err != 0)
        return err;
    table->entries[number] = (struct files_entry){
        .fd = -1,
        .root = -1,
        .mode = S_IFIFO | S_IRUSR | S_IWUSR,
        .kind = FILES_MEMORY,
        .access = is_written ? O_WRONLY : O_RDONLY,
        .memory = memory,
    };
    return 0;
}

int
files_table_add_memory(struct files_table *table, uint32_t memory, uint32_t *number)
{
    int err = files_table_reserve(table, number);

    if (err != 0)
        return err;
    table->entries[*number].kind = FILES_MEMORY;
    table->entries[*number].memory = memory;
    return 0;
}

static int
roots_append(struct files_table *table, const char *host_path, const char *guest_path,
             bool is_read_only)
{
    struct files_root *roots, root = {.is_read_only = is_read_only};
    int err;

    if (table->root_count >= FILES_ROOTS_MAX)
        return -EMFILE;
    err = files_table_keep_name(table, host_path, strlen(host_path), &root.host_path);
    if (err == 0)
        err = files_table_keep_name(table, guest_path, strlen(guest_path), &root.guest_path);
    if (err != 0)
        return err;
    roots = realloc(table->roots, (table->root_count + 1) * sizeof(*roots));
    if (roots == NULL)
        return -ENOMEM;
    roots[table->root_count] = root;
    table->roots = roots;
    table->root_count++;
    return 0;
}

/* The last root as an entry, which then owns fd. */
static int
root_enter(struct files_table *table, int fd)
{
    const struct files_root *root = &table->roots[table->root_count - 1];
    struct files_entry *entry;
    uint32_t number;
    int err = files_table_reserve(table, &number);

    if (err != 0)
        return err;
    entry = &table->entries[number];
    err = files_entry_classify(entry, fd);
    if (err != 0) {
        entry->kind = FILES_FREE;
        return err;
    }
    entry->path = root->guest_path;
    entry->root = (int32_t)table->root_count - 1;
    entry->is_root = 1;
    entry->is_read_only = root->is_read_only != 0;
    return 0;
}

/* Takes fd, on success only. */
static int
add_root(struct files_table *table, int fd, const char *host_path, const char *guest_path,
         bool is_read_only)
{
    int err = roots_append(table, host_path, guest_path, is_read_only);

    if (err != 0)
        return err;
    err = root_enter(table, fd);
    if (err != 0)
        table->root_count--;
    return err;
}

int
files_table_add_root_fd(struct files_table *table, int fd, const char *guest_path,
                        bool is_read_only, struct diag *diag)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = own < 0 ? -errno : add_root(table, own, "", guest_path, is_read_only);

    if (err == 0)
        return 0;
    if (own >= 0)
        (void)close(own);
    return diag_set(diag, err, "directory %s: %s", guest_path, strerror(-err));
}

int
files_table_add_root(struct files_table *table, const char *host_path, const char *guest_path,
                     bool is_read_only, struct diag *diag)
{
    char absolute[PATH_MAX];
    int fd = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;

    if (err != 0)
        return diag_set(diag, err, "directory %s: %s", host_path, strerror(-err));
    err = realpath(host_path, absolute) == NULL
              ? -errno
              : add_root(table, fd, absolute, guest_path, is_read_only);
    if (err == 0)
        return 0;
    (void)close(fd);
    return diag_set(diag, err, "directory %s as %s: %s", host_path, guest_path, strerror(-err));
}
