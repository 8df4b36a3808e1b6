/* SPDX-License-Identifier: Apache-2.0
 *
 * Weft's own imports.
 */
#include "hostcall/hostcall_internal.h"

enum faaslet_verdict
weft_snapshot(struct faaslet_call *call)
{
    const struct hostcall_process *process = call->process;

    if (call->scratch[0]++ == 0)
        return FAASLET_CALL_SNAPSHOT;
    call->args[0] = process->starts < INT32_MAX ? (uint32_t)process->starts : INT32_MAX;
    return FAASLET_CALL_DONE;
}
