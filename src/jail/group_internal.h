/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files about control groups share.
 */
#ifndef WEFT_JAIL_GROUP_INTERNAL_H
#define WEFT_JAIL_GROUP_INTERNAL_H

#include "jail/jail_internal.h"

/* Writes text to folder/file, opened with these flags too. -errno. */
int group_file_write(const char *folder, const char *file, const char *text, int flags) MUST_CHECK;
/* Reads the beginning of folder/file, NUL-terminated. -errno. */
int group_file_read(const char *folder, const char *file, char *text, size_t text_bytes) MUST_CHECK;

/* Whether this place is there and no earlier one is the same folder: controllers
 * may share a tree, always so in version 2. */
bool group_place_is_first(const struct group_tree *tree, unsigned index);

#endif
