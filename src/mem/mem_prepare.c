/* SPDX-License-Identifier: Apache-2.0
 *
 * For processes that are sealed.
 */
#include "mem/mem_internal.h"

void
mem_prepare(void)
{
    (void)mem_track_way();     /* userfaultfd, where the kernel has it */
    (void)mem_share_way();     /* another one */
    (void)mem_scan_is_quick(); /* pagemap */
}
