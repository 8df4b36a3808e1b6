/* SPDX-License-Identifier: Apache-2.0
 *
 * side: one engine's side of a comparison, here Weft's: a module and a script go
 * in, a log comes out. fuzz/peer.mjs is the other side and writes the same log.
 *
 * A script has one call a line: "call NAME ARGUMENT...", NAME being an export of the
 * first module, or 1:NAME of the second, an argument being
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

/* How Weft compiles and runs a module: written as "O3,linked,strict,move,parts,v2". */
struct side_variant {
    unsigned level;
    bool is_linked;
    bool is_strict;
    bool is_moved;  /* at every host call to another slot */
    bool is_parted; /* two compile at a time, where the module is large enough */
    unsigned cpu;   /* x86-64-vN; 0: the default */
};

void side_variant_print(const struct side_variant *variant, char *text, size_t size);
/* -EINVAL: not a variant. */
int side_variant_parse(const char *text, struct side_variant *out) MUST_CHECK;

#define SIDE_MODULES_MAX 2u

/* Bytes are borrowed. */
struct side_module {
    const uint8_t *bytes;
    size_t count;
};

/* Compiles and runs; appends to log. Each module may import from the first as
 * "a"; more than one need variant->is_linked. -errno where Weft refuses one, with
 * the reason. A script that does not fit the modules is -EINVAL. */
int side_run(const struct side_module *modules, uint32_t module_count,
             const struct side_variant *variant, const char *script, struct buffer *log,
             struct diag *diag) MUST_CHECK;

/* Looks for machine code that could leave the sandbox. -EACCES: found, and where. */
int side_scan(int image, struct diag *diag) MUST_CHECK;

#endif
