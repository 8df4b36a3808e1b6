# SPDX-License-Identifier: Apache-2.0
#
# Where there is no shared memory, lld 19 gives thread-local variables absolute addresses and
# has compiled code add the begin of their segment to them once more. Then the begin is 0. In
# programs with shared memory lld defines it itself, and this is not linked.

	.globaltype	__tls_base, i32
	.globl	__tls_base
__tls_base:
