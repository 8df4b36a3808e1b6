/* SPDX-License-Identifier: Apache-2.0
 *
 * What of WASI preview 1 the runtime calls; all return an error of WASI, or 0.
 */
#ifndef WEFT_JAVASCRIPT_WASI_H
#define WEFT_JAVASCRIPT_WASI_H

#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

enum { WASI_BADF = 8, WASI_NOENT = 44 };
enum { WASI_CREATE = 1, WASI_TRUNCATE = 8, WASI_APPEND = 1 };

/* No more than /dev/weft gives: fd_read; fd_write and fd_sync. */
#define WASI_RIGHT_READ  (UINT64_C(1) << 1)
#define WASI_RIGHT_WRITE (UINT64_C(1) << 6 | UINT64_C(1) << 4)

struct wasi_bytes {
    void *bytes;
    size_t count;
};
struct wasi_prestat {
    uint32_t kind, name_bytes;
};

WASI(args_sizes_get) uint32_t wasi_args_sizes_get(size_t *count, size_t *bytes);
WASI(args_get) uint32_t wasi_args_get(char **args, char *bytes);
WASI(fd_prestat_get) uint32_t wasi_fd_prestat_get(uint32_t fd, struct wasi_prestat *out);
WASI(fd_prestat_dir_name) uint32_t wasi_fd_prestat_dir_name(uint32_t fd, char *name, size_t bytes);
WASI(path_open)
uint32_t wasi_path_open(uint32_t fd, uint32_t follow, const char *path, size_t bytes, uint32_t how,
                        uint64_t rights, uint64_t inherited, uint32_t flags, uint32_t *out);
WASI(fd_read)
uint32_t wasi_fd_read(uint32_t fd, const struct wasi_bytes *to, size_t count, size_t *done);
WASI(fd_write)
uint32_t wasi_fd_write(uint32_t fd, const struct wasi_bytes *from, size_t count, size_t *done);
WASI(fd_sync) uint32_t wasi_fd_sync(uint32_t fd);
WASI(fd_close) uint32_t wasi_fd_close(uint32_t fd);
WASI(random_get) uint32_t wasi_random_get(void *bytes, size_t count);
WASI(proc_exit) _Noreturn void wasi_proc_exit(uint32_t code);

#endif
