/* SPDX-License-Identifier: Apache-2.0
 *
 * What guest code calls for helpers: leaves the guest stack, calls the function
 * on the executor's, comes back. rdi is the context's offset.
 *
 * A helper that touches memory may find that it cannot now (HELPER_LEAVES): the guest
 * leaves as weft_call does, from where it called, and finds a zero when it goes on.
 */
#include "abi/abi_offsets.h"

#define HELPER_LEAVES 2

.macro thunk name, leaves=0
    .globl faaslet_thunk_\name
    .type faaslet_thunk_\name, @function
    .p2align 4
faaslet_thunk_\name:
    movq %rsp, %gs:ABI_OFFSET_GUEST_SP(%rdi)
    movq %gs:ABI_OFFSET_HOST_SP(%rdi), %rsp
    pushq %rdi
    pushq %rdi
    callq faaslet_helper_\name
    popq %rdi
    movq %gs:ABI_OFFSET_GUEST_SP(%rdi), %rsp
    .if \leaves
    cmpl $HELPER_LEAVES, %eax
    je .Lleave
    .endif
    /* As in abi_enter: nothing of the host gets onto a guest stack by chance. */
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    pxor %xmm\n, %xmm\n
    .endr
    ret
    .size faaslet_thunk_\name, . - faaslet_thunk_\name
.endm

    .text
    thunk memory_grow
    thunk memory_copy, 1
    thunk memory_fill, 1
    thunk memory_init, 1
    thunk table_grow
    thunk table_fill
    thunk table_copy
    thunk table_init

    /* The return address is on top of the guest stack: with these it is a struct abi_frame. */
    .globl faaslet_thunk_leave
    .type faaslet_thunk_leave, @function
faaslet_thunk_leave:
.Lleave:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %gs:ABI_OFFSET_GUEST_SP(%rdi)
    movq %gs:ABI_OFFSET_HOST_SP(%rdi), %rsp
    ret
    .globl faaslet_thunk_end
faaslet_thunk_end:
    .size faaslet_thunk_leave, . - faaslet_thunk_leave

    .section .note.GNU-stack, "", @progbits
