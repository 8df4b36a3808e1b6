/* SPDX-License-Identifier: Apache-2.0
 *
 * What assembly and compiled code take for granted about the structures.
 */
#include <assert.h>

#include "abi/abi.h"
#include "abi/abi_offsets.h"

static_assert(offsetof(struct abi_context, guest_sp) == ABI_OFFSET_GUEST_SP, "abi_switch.S");
static_assert(offsetof(struct abi_context, host_sp) == ABI_OFFSET_HOST_SP, "abi_switch.S");
static_assert(offsetof(struct abi_context, call) == ABI_OFFSET_CALL, "weft_call");
static_assert(sizeof(struct abi_frame) == ABI_FRAME_BYTES, "abi_switch.S");
static_assert(offsetof(struct abi_frame, r15) == 0, "pushed last");
static_assert(offsetof(struct abi_frame, rbx) == 32, "pushed second");
static_assert(offsetof(struct abi_frame, pc) == 48, "pushed by the call");
static_assert(offsetof(struct abi_header, helpers) == 0, "compiled code calls through it");
static_assert(sizeof(struct abi_header) + sizeof(struct abi_function) <= ABI_HEADER_BYTES,
              "the null record is at the header's end");
static_assert(sizeof(struct abi_function) == 16, "a reference's record");
static_assert(sizeof(struct abi_memory) == 32, "a memory's record");
static_assert(sizeof(struct abi_table) == 16, "a table's record");
static_assert(offsetof(struct abi_table, count) == 8, "bounds checks");
static_assert(offsetof(struct abi_memory, pages) == 8, "memory.size");
static_assert(offsetof(struct abi_context, wrapper) == 32, "weft_start");
static_assert(offsetof(struct abi_context, args) % 16 == 0, "v128 arguments");
