/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_FILES_INTERNAL_H
#define WEFT_FILES_INTERNAL_H

#include "files/files.h"

#define KIND_SKIPPED UINT8_MAX /* a number that is taken, with nothing open */

/* Opens path beneath directory_fd with open(2)'s flags. Without O_NOFOLLOW a link
 * as last component is followed, confined. A descriptor, or -errno; -EPERM where
 * the path would leave the directory. */
int files_resolve_open(int directory_fd, const char *path, int flags, mode_t mode) MUST_CHECK;

/* Opens the directory that holds path's last component. *name points into path at
 * that component, its trailing slashes included. The descriptor is O_PATH. */
int files_resolve_parent(int directory_fd, const char *path, const char **name) MUST_CHECK;

/* The walk that needs no openat2; same promise as files_resolve_open. */
int files_walk_open(int directory_fd, const char *path, int flags, mode_t mode) MUST_CHECK;

/* A number for a new entry, zeroed, kind still FILES_FREE: the caller fills it in
 * before anything else is opened. -EMFILE, -ENOMEM. */
int files_table_reserve(struct files_table *table, uint32_t *number) MUST_CHECK;

/* Appends a name with its NUL. -ENOMEM. */
int files_table_keep_name(struct files_table *table, const char *name, size_t bytes,
                          struct files_range *out) MUST_CHECK;

/* Fills kind, mode, device, inode, access and so on in from the descriptor. */
int files_entry_classify(struct files_entry *entry, int fd) MUST_CHECK;

#endif
