/* SPDX-License-Identifier: Apache-2.0
 *
 * The compiler as a process of its own, seen from both ends. No LLVM here.
 */
#ifndef WEFT_COMPILE_PROCESS_H
#define WEFT_COMPILE_PROCESS_H

#include "compile/compile.h"

/* Descriptors of the compiler process. */
enum {
    COMPILE_FD_MODULE = 3,
    COMPILE_FD_IMAGE = 4,
    COMPILE_FD_REPORT = 5, /* on failure: the errno in decimal, newline, text */
};

/* Exit codes of the compiler process. */
enum {
    COMPILE_EXIT_DONE = 0,
    COMPILE_EXIT_REFUSED = 1, /* see the report */
    COMPILE_EXIT_MEMORY = 3,
};

/* The path of the compiler: the request's, or weft-compiler beside this program. */
void compile_find_compiler(const struct compile_request *request, char *out, size_t size);

/* Runs the compiler on request->bytes; the image goes to image_fd. Fills wall
 * and processor time and peak memory of the report. */
int compile_in_child(const struct compile_request *request, int image_fd,
                     struct compile_report *report, struct diag *diag) MUST_CHECK;

#endif
