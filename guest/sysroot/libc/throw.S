# SPDX-License-Identifier: Apache-2.0
#
# The exception that ends a thread. Its tag is no other's, so that nothing but cleanups and
# the thread's start catch it.

	.globl	__weft_thread_exit
	.tagtype	__weft_thread_exit
__weft_thread_exit:

	.hidden	__weft_throw_exit
	.globl	__weft_throw_exit
	.type	__weft_throw_exit,@function
__weft_throw_exit:
	.functype	__weft_throw_exit () -> ()
	throw	__weft_thread_exit
	end_function
