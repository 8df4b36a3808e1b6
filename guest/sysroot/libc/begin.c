/* SPDX-License-Identifier: Apache-2.0
 *
 * A host that starts threads by itself calls this first. They are not counted, so locks are
 * taken for good. weft cc -pthread links it.
 */
#include "weft_threads.h"

__attribute__((export_name("weft_threads_begin"))) void weft_threads_begin(void);

void
weft_threads_begin(void)
{
    __weft_first_thread();
    __tl_lock();
    libc.threads_minus_1++;
    libc.need_locks = 1;
    __tl_unlock();
}
