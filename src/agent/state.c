/* SPDX-License-Identifier: Apache-2.0
 *
 * State on its way through: what cells say to the global tier, and are said. Nothing is kept
 * here. A word that cannot be passed on is a hole in what the other side hears: the cell is told
 * that its connection is new, and begins anew.
 */
#include <errno.h>

#include "agent/agent_internal.h"
#include "base/fault.h"

void
agent_state_heard(void *context, const struct worker_state *words)
{
    struct agent *agent = context;
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostState state = RPC__HOST_STATE__INIT;
    uint64_t epoch;
    int err = fault_point("agent.state");

    (void)pthread_mutex_lock(&agent->lock);
    epoch = agent_epoch(agent);
    (void)pthread_mutex_unlock(&agent->lock);
    state.session = words->session;
    state.tenant = (char *)(uintptr_t)words->tenant;
    state.frame = (ProtobufCBinaryData){words->count, (uint8_t *)(uintptr_t)words->bytes};
    state.is_over = words->is_over;
    up.is_case = RPC__HOST_UP__IS_STATE;
    up.state = &state;
    /* Without a planner there is nobody to hear it: who has one again is told so. */
    if (err == 0 && epoch != 0)
        err = agent_send(agent, epoch, &up);
    if (err != 0 && err != -EPIPE && !words->is_over)
        (void)!worker_state_say(agent->worker, words->session, NULL, 0);
}

void
agent_hear_state(struct agent *agent, const Rpc__HostState *state)
{
    int err = fault_point("agent.state");

    if (err == 0)
        err = worker_state_say(agent->worker, state->session, state->frame.data,
                               state->is_over ? 0 : state->frame.len);
    /* It does not read. With its next word it begins anew, or its lease ends. */
    if (err == -EAGAIN)
        (void)!worker_state_say(agent->worker, state->session, NULL, 0);
}
