/* SPDX-License-Identifier: Apache-2.0
 *
 * musl's atomic operations: each is one instruction.
 */
#ifndef WEFT_SYSROOT_ATOMIC_ARCH_H
#define WEFT_SYSROOT_ATOMIC_ARCH_H

#define a_barrier()    (__sync_synchronize())
#define a_cas(p, t, s) (__sync_val_compare_and_swap((p), (t), (s)))
#define a_crash()      (__builtin_trap())
#define a_clz_32       __builtin_clz
#define a_clz_64       __builtin_clzll
#define a_ctz_32       __builtin_ctz
#define a_ctz_64       __builtin_ctzll

#define a_swap a_swap
static inline int
a_swap(volatile int *p, int v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

#define a_store a_store
static inline void
a_store(volatile int *p, int v)
{
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

#define a_fetch_add a_fetch_add
static inline int
a_fetch_add(volatile int *p, int v)
{
    return __sync_fetch_and_add(p, v);
}

#define a_fetch_and a_fetch_and
static inline int
a_fetch_and(volatile int *p, int v)
{
    return __sync_fetch_and_and(p, v);
}

#define a_fetch_or a_fetch_or
static inline int
a_fetch_or(volatile int *p, int v)
{
    return __sync_fetch_and_or(p, v);
}

#endif
