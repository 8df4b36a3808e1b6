/* SPDX-License-Identifier: Apache-2.0
 *
 * int64_t abi_enter(int64_t context, abi_dispatch_fn dispatch,
 *                   const int64_t *others, uint64_t other_count)
 *
 * The host stack while the guest runs, from host_sp upwards:
 *   continuation, padding, dispatch, r15, r14, r13, r12, rbx, rbp, return address
 *
 * int64_t abi_enter_at(context, dispatch, others, other_count, machine)
 *
 * The same, but the guest goes on with the whole machine state of a signal frame
 * (a kernel's struct ucontext, its floating point part somewhere in memory).
 *
 * The loop is here and not in C so that calls and returns pair up: the guest's
 * call of weft_call is the return address that the processor expects at our ret.
 */
#include "abi/abi_offsets.h"

/* What the host left in registers must not get onto a guest stack by chance
 * (padding that is pushed, vector lanes that do not matter). */
.macro clear_registers
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
.endm

    .text
    .globl abi_enter_at
    .type abi_enter_at, @function
    .p2align 4
abi_enter_at:
    .cfi_startproc
    movq %r8, %rax
    jmp .Lenter
    .cfi_endproc
    .size abi_enter_at, . - abi_enter_at

    .globl abi_enter
    .type abi_enter, @function
    .p2align 4
abi_enter:
    .cfi_startproc
    xorl %eax, %eax
.Lenter:
    movq %rax, %r8
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    leaq .Lleft(%rip), %rax
    pushq %rax
    .cfi_adjust_cfa_offset 8
    pushq %rax
    .cfi_adjust_cfa_offset 8
    movq %rsp, %gs:ABI_OFFSET_HOST_SP(%rdi)
    testq %rcx, %rcx
    jz .Lready
.Lothers:
    movq -8(%rdx,%rcx,8), %rax
    movq %rsp, %gs:ABI_OFFSET_HOST_SP(%rax)
    decq %rcx
    jnz .Lothers
.Lready:
    testq %r8, %r8
    jnz .Lmachine
.Lresume:
    movq %gs:ABI_OFFSET_GUEST_SP(%rdi), %rsp
    clear_registers
    xorl %eax, %eax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

.Lmachine:
    movq %r8, %rsp
    movl $15, %eax /* rt_sigreturn */
    syscall
    ud2

    .p2align 4
.Lleft:
    /* The continuation was popped, its word is still there. */
    subq $8, %rsp
    movq %rdi, %rbx
    cld
    callq *16(%rsp)
    movq %rbx, %rdi
    testl %eax, %eax
    jnz .Lresume
    movq %rbx, %rax
    movq $0, %gs:ABI_OFFSET_HOST_SP(%rbx)
    addq $24, %rsp
    .cfi_adjust_cfa_offset -24
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size abi_enter, . - abi_enter

    .section .note.GNU-stack, "", @progbits
