/* SPDX-License-Identifier: Apache-2.0
 *
 * side, inside.
 */
#ifndef WEFT_FUZZ_SIDE_INTERNAL_H
#define WEFT_FUZZ_SIDE_INTERNAL_H

#include "faaslet/faaslet.h"
#include "side.h"

#define SIDE_SLOTS_MAX 64u

/* What host functions get as the Faaslet's process. */
struct side_process {
    struct buffer *log;
    bool is_starting; /* JavaScript has no memory to look at yet */
};

/* letter: i I f F, x for an external and r for a function reference. */
void side_put_value(struct buffer *log, char letter, const uint64_t *slots);

/* Host functions; the Faaslet's process is a struct side_process. */
const struct faaslet_host_function *side_resolve(const char *module, size_t module_bytes,
                                                 const char *name, size_t name_bytes);

#endif
