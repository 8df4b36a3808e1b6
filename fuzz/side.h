/* SPDX-License-Identifier: Apache-2.0
 *
 * side: one engine's side of a comparison, here Weft's: a module and a script go
 * in, a log comes out. fuzz/peer.mjs is the other side and writes the same log.
 *
 * A script has one call a line: "call NAME ARGUMENT...", an argument being
 * i:00000001 I:0000000000000001 f:3f800000 F:3ff0000000000000 x:5 (external
 * reference) r:null x:null. The log has, in order:
 *   init ok | init trap KIND
 *   import NAME VALUE...       a host function was called
 *   hash 0badcafe 131072       memory at that moment, and its bytes
 *   NAME ok VALUE...           a call came back (a NaN is f:nan or F:nan)
 *   NAME trap KIND             unreachable divide overflow memory table signature
 *                              unaligned shared exception host
 *   NAME stopped WHY           out of time or of stack: nothing after this compares
 *   global NAME VALUE          of every exported global, at the end
 */
#ifndef WEFT_FUZZ_SIDE_H
#define WEFT_FUZZ_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"
#include "compile/compile.h"
#include "wasm/wasm.h"

#define SIDE_CALL_SECONDS 10u

/* How Weft compiles and runs a module: written as "O3,linked,strict,move". */
struct side_variant {
    unsigned level;
    bool is_linked;
    bool is_strict;
    bool is_moved; /* at every host call to another slot */
};

void side_variant_print(const struct side_variant *variant, char *text, size_t size);
/* -EINVAL: not a variant. */
int side_variant_parse(const char *text, struct side_variant *out) MUST_CHECK;

/* Compiles and runs; appends to log. -errno where Weft refuses the module, with
 * the reason. A script that does not fit the module is -EINVAL. */
int side_run(const uint8_t *bytes, size_t count, const struct side_variant *variant,
             const char *script, struct buffer *log, struct diag *diag) MUST_CHECK;

/* Compiles only, to a memory file that the caller closes. */
int side_compile(const uint8_t *bytes, size_t count, const struct side_variant *variant, int *image,
                 struct diag *diag) MUST_CHECK;

/* Looks for machine code that could leave the sandbox. -EACCES: found, and where. */
int side_scan(int image, struct diag *diag) MUST_CHECK;

#endif
