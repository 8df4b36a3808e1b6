/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "abi/abi.h"

static const char *const trap_texts[] = {
    [ABI_TRAP_NONE] = "no trap",
    [ABI_TRAP_UNREACHABLE] = "unreachable",
    [ABI_TRAP_INTEGER_DIVIDE_BY_ZERO] = "integer divide by zero",
    [ABI_TRAP_INTEGER_OVERFLOW] = "integer overflow",
    [ABI_TRAP_INVALID_CONVERSION] = "invalid conversion to integer",
    [ABI_TRAP_MEMORY_BOUNDS] = "out of bounds memory access",
    [ABI_TRAP_TABLE_BOUNDS] = "out of bounds table access",
    [ABI_TRAP_UNDEFINED_ELEMENT] = "undefined element",
    [ABI_TRAP_UNINITIALIZED_ELEMENT] = "uninitialized element",
    [ABI_TRAP_INDIRECT_CALL_TYPE] = "indirect call type mismatch",
    [ABI_TRAP_UNALIGNED_ATOMIC] = "unaligned atomic",
    [ABI_TRAP_EXPECTED_SHARED_MEMORY] = "expected shared memory",
    [ABI_TRAP_STACK_EXHAUSTED] = "call stack exhausted",
    [ABI_TRAP_UNCAUGHT_EXCEPTION] = "uncaught exception",
    [ABI_TRAP_HOST] = "host function refused",
};
static_assert(ARRAY_COUNT(trap_texts) == ABI_TRAP_COUNT, "a text for every trap");

const char *
abi_trap_text(enum abi_trap trap)
{
    if ((unsigned)trap >= ABI_TRAP_COUNT)
        return "unknown trap";
    return trap_texts[trap];
}
