# SPDX-License-Identifier: Apache-2.0
#
# Where a thread begins and ends. It has no stack before its first and none after its last
# instruction: whoever waits for the store to `gone` may free all of it.
#
# struct weft_block: stack at 0, tls at 4, gone at 8.

	.globaltype	__stack_pointer, i32
	.tagtype	__weft_thread_exit
	.functype	__wasm_init_tls (i32) -> ()
	.functype	__weft_thread_run (i32) -> ()
	.functype	__weft_thread_end (i32) -> ()

	.hidden	wasi_thread_start
	.globl	wasi_thread_start
	.type	wasi_thread_start,@function
	.export_name	wasi_thread_start, wasi_thread_start
wasi_thread_start:			# (the host's number of it, its block)
	.functype	wasi_thread_start (i32, i32) -> ()
	local.get	1
	i32.load	0
	global.set	__stack_pointer
	local.get	1
	i32.load	4
	call	__wasm_init_tls
	try
	local.get	1
	call	__weft_thread_run
	catch	__weft_thread_exit
	end_try
	local.get	1
	i32.load	0
	global.set	__stack_pointer
	local.get	1
	call	__weft_thread_end
	local.get	1
	i32.const	1
	i32.atomic.store	8
	local.get	1
	i32.const	-1
	memory.atomic.notify	8
	drop
	end_function

	# What create.c refers to, so that this file is linked.
	.hidden	__weft_link_start
	.globl	__weft_link_start
	.type	__weft_link_start,@function
__weft_link_start:
	.functype	__weft_link_start () -> ()
	end_function
