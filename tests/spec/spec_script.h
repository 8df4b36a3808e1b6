/* SPDX-License-Identifier: Apache-2.0
 *
 * spec_script: one .wast file, executed.
 *
 * Modules are compiled in this process and run in Faaslets: all of the script
 * in one Faaslet where any module imports something (LINKED), otherwise each in
 * its own (STANDALONE).
 */
#ifndef WEFT_SPEC_SCRIPT_H
#define WEFT_SPEC_SCRIPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "base/diag.h"
#include "base/macros.h"
#include "faaslet/faaslet.h"

struct spec_options {
    const char *directory; /* of the tests */
    const char *out;       /* where converted files go */
    const char *support;   /* where spectest.wat is */
    unsigned jobs;
    unsigned level;
    bool is_linked;   /* always */
    bool is_threaded; /* those that are not linked */
    bool is_strict;   /* strict_traps */
    bool is_moved;    /* every Faaslet moves before each of its calls */
};

/* An instantiated module. */
struct spec_module {
    char *name;              /* owned, or NULL */
    struct faaslet *faaslet; /* owned in STANDALONE scripts */
    uint32_t instance;
};

#define SPEC_MODULES_MAX 1024u
#define SPEC_RETIRED_MAX 16u

/* What wabt's tools are to accept: the proposals that Weft has. --enable-all is
 * more than that, and gives ref.func another type. */
#define SPEC_TOOL_FLAGS \
    "--enable-exceptions", "--enable-threads", "--enable-tail-call", "--enable-extended-const", \
        "--enable-relaxed-simd"

struct spec_script {
    const struct spec_options *options;
    const char *name;      /* "core/i32" */
    const char *directory; /* of the converted files */
    enum abi_mode mode;
    uint64_t image_count; /* gives each image an address of its own */
    struct faaslet *linked;
    uint32_t spectest, spectest_shared;        /* instances in linked */
    uint32_t instance_count;                   /* in linked */
    struct faaslet *retired[SPEC_RETIRED_MAX]; /* full ones; modules may be in use */
    size_t retired_count;
    struct spec_module modules[SPEC_MODULES_MAX];
    size_t module_count;
    struct spec_module *current; /* or NULL: the last one failed */
    unsigned passed, total;
    unsigned superseded; /* assertions that WebAssembly 2.0 reverses */
    uint64_t moves;      /* between calls; those at host calls are faaslet's */
};

/* Runs all commands of the converted script. Failures go to standard output. */
int spec_script_run(struct spec_script *script, const json_t *commands) MUST_CHECK;
void spec_script_fini(struct spec_script *script);

/* ------------------------------------------------------------ spec_module.c */

/* Reads the whole file; the caller frees. */
int spec_read_file(const char *path, uint8_t **bytes, size_t *count) MUST_CHECK;

/* Runs a tool to its end; its status, or -errno. Silent unless is_loud. */
int spec_run_tool(const char *const argv[], bool is_loud) MUST_CHECK;

/* Whether any module of the script imports anything. */
bool spec_script_imports(const struct spec_script *script, const json_t *commands);

/* Makes the Faaslet of a LINKED script, and spectest in it. A script of which
 * nothing imports may go on in a new one when one is full. */
int spec_linked_create(struct spec_script *script, struct diag *diag) MUST_CHECK;

/* Compiles, creates and initialises. -ENOENT: cannot be linked; -ECANCELED: it
 * trapped, *outcome says how. */
int spec_module_create(struct spec_script *script, const char *file, struct spec_module *out,
                       struct faaslet_outcome *outcome, struct diag *diag) MUST_CHECK;

/* Freezes a Faaslet that is not running, destroys it and thaws it elsewhere; all
 * that refers to it follows. */
int spec_faaslet_move(struct spec_script *script, struct faaslet *faaslet,
                      struct diag *diag) MUST_CHECK;

/* Runs what was invoked, waiting where it waits. */
void spec_run_to_end(struct faaslet *faaslet, struct faaslet_outcome *outcome);

#endif
