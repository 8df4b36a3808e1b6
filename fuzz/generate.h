/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: a valid WebAssembly module from any bytes, or from a seed.
 *
 * The module is rich in what compilers get wrong: deep control, blocks with
 * several values, calls through tables, every vector and atomic instruction,
 * bulk operations, exceptions, loops that a vectoriser likes. Its exports:
 *   fuel    () -> ()   call it first: every function and loop burns fuel, so
 *                      that each call ends
 *   left               the global that the fuel is in
 *   memory, table
 *   hash    () -> ()   calls fuzz.hash, so that the host may look at memory
 *   fa, fb ...         functions
 *   gb, gc ...         globals
 *   ea, eb ...         tags
 * Its imports are functions of module "fuzz": log-i32, log-i64, log-f32,
 * log-f64, log-ref, hash, mix (i32, i64, f64) -> (i64), and twist (i32) -> (i32).
 *
 * What the specification leaves open cannot be observed: a NaN is replaced
 * before anything can look at its bits, and whether memory or a table may grow
 * does not depend on the host. Two engines must therefore agree on everything.
 */
#ifndef WEFT_FUZZ_GENERATE_H
#define WEFT_FUZZ_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/macros.h"

#define GENERATE_FUEL 100u

struct generate_options {
    const uint8_t *bytes; /* decide everything; zeros follow the last */
    size_t count;
    uint64_t seed;    /* decides where bytes is NULL */
    bool may_trap;    /* accesses of memory may be out of bounds */
    bool has_shared;  /* memory is shared */
    bool has_relaxed; /* relaxed SIMD: results may differ between engines */
    bool has_try;     /* exceptions */
    bool has_tail;    /* tail calls */
    bool has_simd;
    unsigned size; /* instructions of a function, about */

    /* Makes a module that imports what the module of these other options exports,
     * from "a": its memory, first table, globals (the fuel too), tags and
     * functions. Has no effect on the other options. NULL: nothing. */
    const struct generate_options *from;

    /* For reducing: expressions and statements are numbered as they are made, and
     * those whose byte here is not zero are left out, or replaced by zero; all
     * else stays as it would be. */
    const uint8_t *cuts; /* NULL: none */
    size_t cut_count;
    uint32_t *node_count; /* how many there were; NULL: not asked */
};

/* Appends the module. out->err says whether memory sufficed. */
void generate_module(const struct generate_options *options, struct buffer *out);

#endif
