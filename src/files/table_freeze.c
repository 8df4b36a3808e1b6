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

#define TABLE_MAGIC 0x32534c49u /* "ILS2" */
#define NAMES_MAX   (16u << 20)

struct frozen_table {
    uint64_t magic, entry_count, root_count, names_bytes, open_max;
};

/* One value in each word, so that nothing looks like an address: what may have
 * any value (offsets of the guest, numbers of the kernel, text) is inverted. */
struct frozen_entry {
    uint64_t inverse_offset, rights, inheriting, inverse_device, inverse_inode;
    uint64_t path_offset, path_bytes, fd, root, mode, flags, kind, is_root, is_read_only;
    uint64_t is_own_offset, is_terminal, socket_type, access, memory, is_accepted;
};

struct frozen_root {
    uint64_t host_offset, host_bytes, guest_offset, guest_bytes, is_read_only;
};

static struct frozen_entry
entry_freeze(const struct files_entry *entry)
{
    return (struct frozen_entry){
        .inverse_offset = ~entry->offset,
        .rights = entry->rights,
        .inheriting = entry->inheriting,
        .inverse_device = ~entry->device,
        .inverse_inode = ~entry->inode,
        .path_offset = entry->path.offset,
        .path_bytes = entry->path.bytes,
        .fd = (uint32_t)entry->fd,
        .root = (uint32_t)entry->root,
        .mode = entry->mode,
        .flags = entry->flags,
        .kind = entry->kind,
        .is_root = entry->is_root,
        .is_read_only = entry->is_read_only,
        .is_own_offset = entry->is_own_offset,
        .is_terminal = entry->is_terminal,
        .socket_type = entry->socket_type,
        .access = entry->access,
        .memory = entry->memory,
        .is_accepted = entry->is_accepted,
    };
}

static struct files_entry
entry_read(const struct frozen_entry *frozen)
{
    return (struct files_entry){
        .offset = ~frozen->inverse_offset,
        .rights = frozen->rights,
        .inheriting = frozen->inheriting,
        .device = ~frozen->inverse_device,
        .inode = ~frozen->inverse_inode,
        .path = {(uint32_t)frozen->path_offset, (uint32_t)frozen->path_bytes},
        .fd = (int32_t)frozen->fd,
        .root = (int32_t)frozen->root,
        .mode = (uint32_t)frozen->mode,
        .flags = (uint16_t)frozen->flags,
        .kind = (uint8_t)frozen->kind,
        .is_root = frozen->is_root != 0,
        .is_read_only = frozen->is_read_only != 0,
        .is_own_offset = frozen->is_own_offset != 0,
        .is_terminal = frozen->is_terminal != 0,
        .socket_type = (uint16_t)frozen->socket_type,
        .access = (uint16_t)frozen->access,
        .memory = (uint32_t)frozen->memory,
        .is_accepted = frozen->is_accepted != 0,
    };
}

void
files_text_freeze(const struct buffer *text, struct buffer *out)
{
    size_t first = out->count, count = text->count, room = ROUND_UP(count, sizeof(uint64_t));
    const uint8_t *from = text->bytes;
    uint8_t *to;

    buffer_append(out, NULL, room);
    if (out->err != 0 || room == 0)
        return;
    to = out->bytes + first;
    for (size_t i = 0; i < count; i++)
        to[i] = (uint8_t)~from[i];
    for (size_t i = count; i < room; i++)
        to[i] = UINT8_MAX;
}

int
files_text_thaw(const uint8_t *bytes, size_t count, struct buffer *text)
{
    size_t first = text->count;
    uint8_t *to;

    buffer_append(text, bytes, count);
    if (text->err != 0 || count == 0)
        return text->err;
    to = text->bytes + first;
    for (size_t i = 0; i < count; i++)
        to[i] = (uint8_t)~bytes[i];
    return 0;
}

void
files_table_freeze(const struct files_table *table, struct buffer *out)
{
    struct frozen_table header = {TABLE_MAGIC, table->entry_count, table->root_count,
                                  table->names.count, table->open_max};

    buffer_append(out, &header, sizeof(header));
    for (uint32_t i = 0; i < table->entry_count; i++) {
        struct frozen_entry entry = entry_freeze(&table->entries[i]);

        buffer_append(out, &entry, sizeof(entry));
    }
    for (uint32_t i = 0; i < table->root_count; i++) {
        const struct files_root *from = &table->roots[i];
        struct frozen_root root = {from->host_path.offset, from->host_path.bytes,
                                   from->guest_path.offset, from->guest_path.bytes,
                                   from->is_read_only};

        buffer_append(out, &root, sizeof(root));
    }
    files_text_freeze(&table->names, out);
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
    return entry->kind <= FILES_MEMORY && range_is_valid(table, entry->path) && entry->root >= -1 &&
           entry->root < (int32_t)table->root_count && (entry->root >= 0 || entry->is_root == 0) &&
           (entry->flags & ~FILES_FLAGS_ALL) == 0;
}

static bool
table_is_valid(const struct files_table *table)
{
    for (uint32_t i = 0; i < table->root_count; i++)
        if (!range_is_valid(table, table->roots[i].host_path) ||
            !range_is_valid(table, table->roots[i].guest_path))
            return false;
    for (uint32_t i = 0; i < table->entry_count; i++)
        if (!entry_is_valid(table, &table->entries[i]))
            return false;
    return true;
}

static void
entries_read(const uint8_t *bytes, struct files_table *table)
{
    for (uint32_t i = 0; i < table->entry_count; i++) {
        struct frozen_entry entry;

        (void)memcpy(&entry, bytes + i * sizeof(entry), sizeof(entry));
        table->entries[i] = entry_read(&entry);
    }
}

static void
roots_read(const uint8_t *bytes, struct files_table *table)
{
    for (uint32_t i = 0; i < table->root_count; i++) {
        struct frozen_root root;

        (void)memcpy(&root, bytes + i * sizeof(root), sizeof(root));
        table->roots[i] = (struct files_root){
            .host_path = {(uint32_t)root.host_offset, (uint32_t)root.host_bytes},
            .guest_path = {(uint32_t)root.guest_offset, (uint32_t)root.guest_bytes},
            .is_read_only = root.is_read_only != 0,
        };
    }
}

/* Reads the arrays; the entries' descriptors are still the original's. */
static int
table_read(const uint8_t *bytes, size_t count, struct files_table *table, size_t *used)
{
    struct frozen_table header;
    size_t entries, roots;

    if (count < sizeof(header))
        return -EINVAL;
    (void)memcpy(&header, bytes, sizeof(header));
    if (header.magic != TABLE_MAGIC || header.entry_count > FILES_DESCRIPTORS_MAX ||
        header.root_count > FILES_ROOTS_MAX || header.names_bytes > NAMES_MAX ||
        header.open_max > FILES_DESCRIPTORS_MAX)
        return -EINVAL;
    entries = header.entry_count * sizeof(struct frozen_entry);
    roots = header.root_count * sizeof(struct frozen_root);
    *used = sizeof(header) + entries + roots + ROUND_UP(header.names_bytes, sizeof(uint64_t));
    if (count < *used)
        return -EINVAL;
    table->entries = calloc(header.entry_count + 1, sizeof(*table->entries));
    table->roots = calloc(header.root_count + 1, sizeof(*table->roots));
    if (table->entries == NULL || table->roots == NULL)
        return -ENOMEM;
    table->entry_count = (uint32_t)header.entry_count;
    table->root_count = (uint32_t)header.root_count;
    table->open_max = (uint32_t)header.open_max;
    entries_read(bytes + sizeof(header), table);
    roots_read(bytes + sizeof(header) + entries, table);
    if (files_text_thaw(bytes + sizeof(header) + entries + roots, header.names_bytes,
                        &table->names) != 0)
        return -ENOMEM;
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

/* The directory of a root: given under the guest's name for it, or by its path. */
static int
reopen_root(const struct files_table *table, const struct files_table *given,
            const struct files_root *root)
{
    const char *host_path = files_table_name(table, root->host_path);
    const char *guest_path = files_table_name(table, root->guest_path);

    for (uint32_t i = 0; given != NULL && i < given->entry_count; i++) {
        const struct files_entry *entry = &given->entries[i];

        if (entry->kind == FILES_DIRECTORY && entry->is_root &&
            strcmp(files_table_name(given, entry->path), guest_path) == 0 &&
            entry->is_read_only == (root->is_read_only != 0))
            return openat(entry->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return root->host_path.bytes == 0 ? -1 : open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
reopen(const struct files_table *table, const struct files_table *given,
       const struct files_entry *entry)
{
    int root_fd, fd;

    if (entry->root < 0 || (!entry->is_root && entry->path.bytes == 0))
        return -ENOENT;
    root_fd = reopen_root(table, given, &table->roots[entry->root]);
    if (root_fd < 0 || entry->is_root)
        return root_fd;
    fd = files_resolve_open(root_fd, files_table_name(table, entry->path), open_flags(entry), 0);
    (void)close(root_fd);
    return fd;
}

/* A descriptor for the same object that shares as little as may be with the old
 * one: directories get their own position. */
static int
entry_thaw(const struct files_table *table, const struct files_table *given,
           struct files_entry *entry, int old)
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
        fd = reopen(table, given, entry);
    }
    entry->is_borrowed = 0;
    entry->fd = fd < 0 ? -1 : fd;
    return 0;
}

static int
table_thaw_descriptors(struct files_table *table, const struct files_table *given)
{
    int err = 0;

    for (uint32_t i = 0; i < table->entry_count; i++) {
        struct files_entry *entry = &table->entries[i];
        int old = entry->fd;

        if (entry->kind == FILES_FREE || entry->kind == KIND_SKIPPED)
            continue;
        entry->fd = -1; /* so that fini closes only what is ours */
        if (err == 0 && entry->kind != FILES_MEMORY)
            err = entry_thaw(table, given, entry, old);
    }
    return err;
}

int
files_table_thaw(const uint8_t *bytes, size_t count, const struct files_table *given,
                 struct files_table *table, size_t *used)
{
    struct files_table thawed = {0};
    int err = table_read(bytes, count, &thawed, used);

    if (err == 0)
        err = table_thaw_descriptors(&thawed, given);
    else
        thawed.entry_count = 0; /* descriptors in it are not ours */
    if (err != 0) {
        files_table_fini(&thawed);
        return err;
    }
    *table = thawed;
    return 0;
}
