/* SPDX-License-Identifier: Apache-2.0
 *
 * There are no system calls. Those that musl's thread objects make are functions.
 */
#ifndef _INTERNAL_SYSCALL_H
#define _INTERNAL_SYSCALL_H

#include <errno.h>
#include <features.h>

hidden long __weft_futex(volatile void *, int, ...); /* libc/futex.c */
int sched_yield(void);

#define __weft_SYS_futex(...)           __weft_futex(__VA_ARGS__)
#define __weft_SYS_sched_yield()        (sched_yield(), 0L)
#define __weft_SYS_get_robust_list(...) 0L /* pthread_exit lets go of robust mutexes */
#define __weft_SYS_set_robust_list(...) 0L
#define __syscall(n, ...)               __weft_##n(__VA_ARGS__)

#endif
