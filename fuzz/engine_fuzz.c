/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes: a valid module, compiled, its machine code searched for a way out of
 * the sandbox, every export run under limits. libFuzzer target for crashes and
 * broken promises; what comes out is compared by fuzz/diff.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "diff_internal.h"
#include "generate.h"

#define OPTION_BYTES 3u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* The first bytes decide how, the others what. */
static void
make_module(struct diff_case *it, const uint8_t *bytes, size_t count)
{
    struct generate_options options = {
        .bytes = bytes + OPTION_BYTES,
        .count = count - OPTION_BYTES,
        .may_trap = (bytes[0] & 1) != 0,
        .has_shared = (bytes[0] & 2) != 0,
        .has_relaxed = (bytes[0] & 4) != 0,
        .has_try = (bytes[0] & 8) != 0,
        .has_tail = (bytes[0] & 16) != 0,
        .has_simd = (bytes[0] & 32) != 0,
        .size = 20 + bytes[1],
    };

    it->seed = bytes[2];
    it->variant = (struct side_variant){.level = bytes[2] & 3,
                                        .is_linked = (bytes[2] & 4) != 0,
                                        .is_strict = (bytes[2] & 8) != 0,
                                        .is_moved = (bytes[2] & 16) != 0};
    generate_module(&options, &it->module);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct diff_case it = {0};
    struct diag diag;
    int err;

    if (count <= OPTION_BYTES)
        return 0;
    diag_init(&diag);
    make_module(&it, bytes, count);
    ASSERT(it.module.err == 0);
    err = diff_case_script(&it, &diag);
    if (err == 0)
        err = diff_case_run_weft(&it, false, &diag);
    if (err != 0) { /* what the generator makes is valid, and Weft has all of it */
        (void)fprintf(stderr, "engine_fuzz: %s\n", diag_text(&diag));
        abort();
    }
    diff_case_fini(&it);
    return 0;
}
