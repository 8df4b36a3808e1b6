/* SPDX-License-Identifier: Apache-2.0
 *
 * file: whole files and whole writes.
 */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"

/* Writes all bytes at the descriptor's offset. -errno. */
int file_write_all(int fd, const void *bytes, size_t count) MUST_CHECK;

/* Appends the whole file to out. -EFBIG past bytes_max; diag names path and
 * reason. out may hold a part on failure. */
int file_read_all(const char *path, size_t bytes_max, struct buffer *out,
                  struct diag *diag) MUST_CHECK;

/* Makes these bytes the whole file: written beside it, then put in its place, so
 * that others see the old or the new. Nothing is left beside on failure. */
int file_replace(const char *path, const void *bytes, size_t count, struct diag *diag) MUST_CHECK;

/* The seals that make a file in memory what it is for ever: nobody, its maker included, can
 * write to it, change its size or take a seal away. */
#define FILE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Puts FILE_SEALS on a file in memory (MFD_ALLOW_SEALING). Waits up to a second for pages that
 * the kernel has in its hands (reclaim, compaction, a pipe). -EBUSY: they stay there, or
 * somebody has mapped it for writing; -EINVAL: not
 * such a file. */
int file_seal(int fd) MUST_CHECK;

/* For CLEANUP(file_close): closes a descriptor unless negative. */
void file_close(int *fd);

#endif
