/* SPDX-License-Identifier: Apache-2.0
 *
 * Offsets that assembly needs; abi_switch.c checks them against abi.h.
 *
 * While a guest runs, host_sp points at the address where the host goes on,
 * inside abi_enter. To leave the guest, set rdi to the context's offset and rsp
 * to host_sp + 8, and continue at that address.
 */
#ifndef WEFT_ABI_OFFSETS_H
#define WEFT_ABI_OFFSETS_H

#define ABI_OFFSET_GUEST_SP 0
#define ABI_OFFSET_HOST_SP  8
#define ABI_OFFSET_CALL     16
#define ABI_FRAME_BYTES     56

#endif
