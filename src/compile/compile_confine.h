/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEFT_COMPILE_CONFINE_H
#define WEFT_COMPILE_CONFINE_H

#include <stdint.h>

#include "base/macros.h"

/* Confines this process, which is about to compile: memory in bytes of address
 * space, processor time, no privileges, no network, no writing to the file
 * system, an allow-list of system calls. Inherited by the linker. -errno. */
int compile_confine(uint64_t memory_bytes, unsigned seconds) MUST_CHECK;

#endif
