/* SPDX-License-Identifier: Apache-2.0
 *
 * diff: Weft against Node's V8 on modules that neither has seen.
 */
#ifndef WEFT_FUZZ_DIFF_INTERNAL_H
#define WEFT_FUZZ_DIFF_INTERNAL_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "peer.h"
#include "side.h"

/* One comparison. */
struct diff_case {
    uint64_t seed;
    bool has_variant; /* else the seed decides */
    struct side_variant variant;
    struct buffer module;
    struct buffer script; /* text, terminated */
    struct buffer v8_log, weft_log;
    char path[256]; /* of the module's file */

    /* Reducing a module of our own: see generate.h. */
    uint8_t *cuts; /* owned */
    size_t cut_count;
    uint32_t node_count; /* 0: binaryen's module */
};

void diff_case_fini(struct diff_case *it);

/* Leaves out of a case that differs what does not matter to that, trying again and
 * again. The case ends up with the reduced module and logs. */
int diff_case_reduce(struct diff_case *it, struct peer *peer, struct diag *diag) MUST_CHECK;

/* Decides variant, module and script by the seed alone. -EAGAIN: this seed gives
 * no module (binaryen failed). */
int diff_case_make(struct diff_case *it, uint64_t seed, bool may_spawn,
                   struct diag *diag) MUST_CHECK;

/* The script: every export an embedder can call, with several arguments. */
int diff_case_script(struct diff_case *it, struct diag *diag) MUST_CHECK;

/* Weft's log, made in a child so that what crashes is seen as a difference. */
int diff_case_run_weft(struct diff_case *it, bool in_child, struct diag *diag) MUST_CHECK;

enum diff_verdict {
    DIFF_SAME,
    DIFF_CUT, /* the same as far as it can be compared */
    DIFF_DIFFERENT,
};

/* Line by line. From where an engine ran out of stack or time on nothing
 * compares; nor, unless traps are strict, after an access out of bounds. text is
 * the first difference. */
enum diff_verdict diff_logs(const struct diff_case *it, struct buffer *text);

#endif
