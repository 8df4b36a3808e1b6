/* SPDX-License-Identifier: Apache-2.0
 *
 * For processes that are sealed.
 */
#include "faaslet/faaslet_internal.h"

int
faaslet_prepare(void)
{
    mem_prepare();
    return faaslet_thread_init();
}
