/* SPDX-License-Identifier: Apache-2.0
 *
 * The table as plain bytes, and back.
 *
 *   header | entries | roots | names
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "files/files_internal.h"

#define TABLE_MAGIC  0x31534c49u /* "ILS1" */
#define NAMES_MAX    (16u << 20)
#define KIND_SKIPPED UINT8_MAX

struct frozen_table {
    uint32_t magic, entry_count, root_count, names_bytes;
};

void
files_table_freeze(const struct files_table *table, struct buffer *out)
{
    struct frozen_table header = {TABLE_MAGIC, table->entry_count, table->root_count,
                                  (uint32_t)table->names.count};

    buffer_append(out, &header, sizeof(header));
    if (table->entry_count != 0)
        buffer_append(out, table->entries, table->entry_count * sizeof(*table->entries));
    if (table->root_count != 0)
        buffer_append(out, table->roots, table->root_count * sizeof(*table->roots));
    if (table->names.count != 0)
        buffer_append(out, table->names.bytes, table->names.count);
}

/* -------------------------------------------------------------------- checking */

static bool
range_is_valid(const struct files_table *table, struct files_range range)
{
    return range.bytes == 0 ||
           (range.offset < table->names.count && range.bytes < table->names.count - range.offset &&
            table->names.bytes[range.offset + range.bytes] == 0);
}

static bool
entry_is_valid(const struct files_table *table, const struct files_entry *entry)
{
    if (entry->kind == FILES_FREE || entry->kind == KIND_SKIPPED)
        return true;
    return entry->kind <= FILES_SOCKET && range_is_valid(table, entry->path) && entry->root >= -1 &&
           entry->root < (int32_t)table->root_count && (entry->root >= 0 || entry->is_root == 0) &&
           (entry->flags & ~FILES_FLAGS_ALL) == 0;
}

static bool
table_is_valid(const struct files_table *table)
{
    for (uint32_t i = 0; i < table->root_count; i++)
        if (!range_is_valid(table, table->roots[i].host_path))
            return false;
    for (uint32_t i = 0; i < table->entry_count; i++)
        if (!entry_is_valid(table, &table->entries[i]))
            return false;
    return true;
}

/* Copies the arrays; the entries' descriptors are still the original's. */
static int
table_copy(const uint8_t *bytes, size_t count, struct files_table *table, size_t *used)
{
    struct frozen_table header;
    size_t entries, roots;

    if (count < sizeof(header))
        return -EINVAL;
    (void)memcpy(&header, bytes, sizeof(header));
    if (header.magic != TABLE_MAGIC || header.entry_count > FILES_DESCRIPTORS_MAX ||
        header.root_count > FILES_ROOTS_MAX || header.names_bytes > NAMES_MAX)
        return -EINVAL;
    entries = header.entry_count * sizeof(struct files_entry);
    roots = header.root_count * sizeof(struct files_root);
    *used = sizeof(header) + entries + roots + header.names_bytes;
    if (count < *used)
        return -EINVAL;
    table->entries = malloc(entries + 1);
    table->roots = malloc(roots + 1);
    if (table->entries == NULL || table->roots == NULL)
        return -ENOMEM;
    (void)memcpy(table->entries, bytes + sizeof(header), entries);
    (void)memcpy(table->roots, bytes + sizeof(header) + entries, roots);
    table->root_count = header.root_count;
    if (header.names_bytes != 0)
        buffer_append(&table->names, bytes + sizeof(header) + entries + roots, header.names_bytes);
    if (table->names.err != 0)
        return -ENOMEM;
    table->entry_count = header.entry_count;
    return table_is_valid(table) ? 0 : -EINVAL;
}

/* ------------------------------------------------------------------ descriptors */

static int
open_flags(const struct files_entry *entry)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    if (entry->kind == FILES_DIRECTORY)
        return flags | O_RDONLY | O_DIRECTORY;
    return flags | entry->access;
}

static bool
is_same_object(const struct files_entry *entry, int fd)
{
    struct files_entry now = {0};

    return files_entry_classify(&now, fd) == 0 && now.device == entry->device &&
           now.inode == entry->inode && now.kind == entry->kind && now.access == entry->access;
}

static int
reopen(const struct files_table *table, const struct files_entry *entry)
{
    const char *host_path;
    int root_fd, fd;

    if (entry->root < 0 || (!entry->is_root && entry->path.bytes == 0))
        return -ENOENT;
    host_path = files_table_name(table, table->roots[entry->root].host_path);
    root_fd = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0 || entry->is_root)
        return root_fd;
    fd = files_resolve_open(root_fd, files_table_name(table, entry->path), open_flags(entry), 0);
    (void)close(root_fd);
    return fd;
}

/* A descriptor for the same object that shares as little as may be with the old
 * one: directories get their own position. */
static int
entry_thaw(const struct files_table *table, struct files_entry *entry, int old)
{
    int fd = -1;

    if (fault_point("files.thaw") != 0)
        return -EMFILE;
    if (old >= 0 && is_same_object(entry, old)) {
        if (entry->kind == FILES_DIRECTORY)
            fd = openat(old, ".", open_flags(entry));
        if (fd < 0)
            fd = fcntl(old, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -errno;
    } else {
        fd = reopen(table, entry);
    }
    entry->is_borrowed = 0;
    entry->fd = fd < 0 ? -1 : fd;
    return 0;
}

static int
table_thaw_descriptors(struct files_table *table)
{
    int err = 0;

    for (uint32_t i = 0; i < table->entry_count; i++) {
        struct files_entry *entry = &table->entries[i];
        int old = entry->fd;

        if (entry->kind == FILES_FREE || entry->kind == KIND_SKIPPED)
            continue;
        entry->fd = -1; /* so that fini closes only what is ours */
        if (err == 0)
            err = entry_thaw(table, entry, old);
    }
    return err;
}

int
files_table_thaw(const uint8_t *bytes, size_t count, struct files_table *table, size_t *used)
{
    struct files_table thawed = {0};
    int err = table_copy(bytes, count, &thawed, used);

    if (err == 0)
        err = table_thaw_descriptors(&thawed);
    else
        thawed.entry_count = 0; /* descriptors in it are not ours */
    if (err != 0) {
        files_table_fini(&thawed);
        return err;
    }
    *table = thawed;
    return 0;
}
