/* SPDX-License-Identifier: Apache-2.0
 *
 * hostcall: what a guest may import.
 *
 * Module "weft": snapshot () -> i32: a good place to make a Proto-Faaslet; 0 in the
 * process that came here by itself, else how often it was started from a frozen one:
 * the time to seed random numbers anew.
 *
 * Module "wasi_*": WASI preview 1 (wasi_snapshot_preview1) in full and wasi_unstable with
 * its own layouts. Every function checks guest pointers before anything else,
 * never waits (faaslet.h: PENDING), and keeps nothing on a stack in between.
 *
 * One hostcall_process is the host-side record of one guest process: arguments,
 * environment, descriptors. It freezes to plain data.
 */
#ifndef WEFT_HOSTCALL_H
#define WEFT_HOSTCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "faaslet/faaslet.h"

/* In stdio: what is read is config.input, what is written is kept. */
#define HOSTCALL_MEMORY           (-2)
#define HOSTCALL_OUTPUT_BYTES_MAX (32u << 20) /* kept of 1 and 2 together */

struct hostcall_directory {
    const char *host_path;  /* or NULL */
    const char *guest_path; /* "/", "/data", "." */
    bool is_read_only;
    int fd; /* where host_path is NULL: a directory, borrowed during create only */
};

struct hostcall_config {
    const char *const *args; /* argv, with the program's name; arg_count of them */
    size_t arg_count;
    const char *const *env; /* "NAME=value" */
    size_t env_count;
    const struct hostcall_directory *directories;
    size_t directory_count;
    int stdio[3];      /* borrowed descriptors for 0, 1, 2; -1: closed; HOSTCALL_MEMORY */
    const void *input; /* copied */
    size_t input_bytes;
    uint32_t files_max;  /* open at one time, the standard streams included; 0: as many as can be */
    uint64_t output_max; /* bytes that may be written to stdio in all, whatever numbers
                          * the guest gives it later; 0: no limit */
    const int *sockets;  /* borrowed listening sockets, next after the directories */
    size_t socket_count;
};

struct hostcall_process;

/* Copies everything it needs; opens the directories. -ENOENT, -ENOTDIR: diag
 * names the path. */
int hostcall_process_create(const struct hostcall_config *config, struct hostcall_process **out,
                            struct diag *diag) MUST_CHECK;
void hostcall_process_destroy(struct hostcall_process *process); /* NULL is fine */

/* What was written to 1 or 2 in memory so far; valid until the process goes on. */
const uint8_t *hostcall_process_output(const struct hostcall_process *process, unsigned stream,
                                       size_t *count);

/* For faaslet_config: the import resolver, and how a process record freezes. */
const struct faaslet_host_function *hostcall_resolve(const char *module, size_t module_bytes,
                                                     const char *name, size_t name_bytes);
extern const struct faaslet_process_ops hostcall_process_ops;

#endif
