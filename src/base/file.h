/* SPDX-License-Identifier: Apache-2.0
 *
 * file: whole files and whole writes.
 */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H

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

/* For CLEANUP(file_close): closes a descriptor unless negative. */
void file_close(int *fd);

#endif
