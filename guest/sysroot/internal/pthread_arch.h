/* SPDX-License-Identifier: Apache-2.0
 *
 * How musl finds a thread's own record, which is made at its first use (libc/self.c).
 */
#ifndef WEFT_SYSROOT_PTHREAD_ARCH_H
#define WEFT_SYSROOT_PTHREAD_ARCH_H

#include <stdint.h>

extern hidden _Thread_local struct __pthread *__weft_self;
hidden struct __pthread *__weft_self_make(void);

static inline uintptr_t
__get_tp(void)
{
    struct __pthread *self = __weft_self;

    return (uintptr_t)(__builtin_expect(self != 0, 1) ? self : __weft_self_make());
}

#define TP_ADJ(p)     (p)
#define tls_mod_off_t unsigned long long

#endif
