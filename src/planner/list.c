/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store has of calls: lists, and what becomes of dead letters.
 */
#include <errno.h>
#include <string.h>

#include "planner/planner_internal.h"

int
planner_list(struct planner *planner, const char *tenant, uint64_t after, uint32_t count,
             planner_visit_fn visit, void *context, struct diag *diag)
{
    return ledger_list(planner->ledger, tenant, after, count, visit, context, diag);
}

int
planner_retry(struct planner *planner, const char *tenant, uint64_t id, struct diag *diag)
{
    Ledger__Call *record = NULL;
    int err = ledger_revive(planner->ledger, tenant, id, &record, diag);

    if (err != 0)
        return err;
    (void)pthread_mutex_lock(&planner->lock);
    /* Where this fails it is open in the store, and goes on when the planner starts anew. */
    err = !planner->is_leading || planner->is_ending ? -ESHUTDOWN : planner_resume(planner, record);
    planner_turn(planner);
    planner_unlock(planner);
    ledger__call__free_unpacked(record, NULL);
    return err == 0 ? 0 : diag_set(diag, err, "call %llu cannot be tried again now: %s",
                                   (unsigned long long)id, strerror(-err));
}

int
planner_bury(struct planner *planner, const char *tenant, uint64_t id, struct diag *diag)
{
    return ledger_bury(planner->ledger, tenant, id, diag);
}
