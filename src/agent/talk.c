/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said to the planner by itself, and who hears what it says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/version.h"

#define FEATURES_MAX 32u
#define STAT_BYTES   512u

/* ------------------------------------------------------------------------------ register */

static size_t
list_missing(char *out[FEATURES_MAX])
{
    uint32_t missing = (uint32_t)JAIL_FEATURES_ALL & ~jail_features();
    size_t count = 0;

    for (uint32_t bit = 1; bit < JAIL_FEATURES_ALL && count < FEATURES_MAX; bit <<= 1)
        if ((missing & bit) != 0)
            out[count++] = (char *)(uintptr_t)jail_feature_name((enum jail_feature)bit);
    return count;
}

int
agent_register(struct agent *agent)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostRegister words = RPC__HOST_REGISTER__INIT;
    char *missing[FEATURES_MAX];
    int err = agent_run_list(agent, &words.runs, &words.n_runs);

    if (err != 0)
        return err;
    words.slots = agent->slots;
    words.memory_bytes = agent->memory_bytes;
    words.zone = agent->zone;
    words.planner = agent->planner;
    words.n_missing = list_missing(missing);
    words.missing = missing;
    words.version = (char *)(uintptr_t)VERSION_TEXT;
    words.cores = agent->cores;
    up.is_case = RPC__HOST_UP__IS_REGISTER;
    up.register_ = &words;
    err = agent_send(agent, agent->epoch, &up);
    free(words.runs);
    return err;
}

/* ---------------------------------------------------------------------------------- beat */

/* Of all processors since the last time; 0 where the machine does not say. */
static uint32_t
busy_percent(struct agent *agent)
{
    unsigned long long user, nice, system, idle, waits, irq, softirq, steal;
    char text[STAT_BYTES];
    ssize_t count = pread(agent->stat_fd, text, sizeof(text) - 1, 0);
    uint64_t busy, all, busy_before = agent->stat_busy, all_before = agent->stat_all;

    text[count > 0 ? count : 0] = '\0';
    if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &waits, &irq, &softirq, &steal) != 8)
        return 0;
    busy = user + nice + system + irq + softirq + steal;
    all = busy + idle + waits;
    agent->stat_busy = busy;
    agent->stat_all = all;
    if (all_before == 0 || all <= all_before || busy < busy_before)
        return 0;
    return (uint32_t)((busy - busy_before) * 100 / (all - all_before));
}

/* Of cells it tells what the disk saw last: a disk that is slow does not make it silent. */
void
agent_beat(struct agent *agent, uint64_t now_ns)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostBeat words = RPC__HOST_BEAT__INIT;

    (void)pthread_mutex_lock(&agent->lock);
    words.cpu_ns = agent->usage.cpu_ns;
    words.memory_bytes = agent->usage.memory_bytes;
    words.cells = agent->usage.cells;
    words.ready_cells = agent->usage.ready_cells;
    words.cells_lost = agent->usage.cells_lost;
    words.is_leaving = agent->is_leaving;
    (void)pthread_mutex_unlock(&agent->lock);
    words.busy_percent = busy_percent(agent);
    up.is_case = RPC__HOST_UP__IS_BEAT;
    up.beat = &words;
    /* Where the queue is full the planner hears enough of us. */
    if (agent_send(agent, agent->epoch, &up) == 0)
        agent->is_told_leaving = words.is_leaving;
    agent->beat_at_ns = now_ns + agent->beat_ns;
    if (!agent->is_usage_busy) {
        agent->is_usage_busy = true;
        agent_disk_push(agent, &agent->usage_job, JOB_USAGE, NULL);
    }
    agent_tenant_sweep(agent, now_ns);
}

/* --------------------------------------------------------------------------------- words */

static void
hear_gone(struct agent *agent, const Rpc__HostDown *down)
{
    if (down->is_case == RPC__HOST_DOWN__IS_TENANT_GONE)
        agent_hear_tenant_gone(agent, down->tenant_gone->name);
    else
        agent_hear_function_gone(agent, down->function_gone->number);
}

void
agent_hear(struct agent *agent, Rpc__HostDown *down)
{
    switch (down->is_case) {
    case RPC__HOST_DOWN__IS_FUNCTION:
        agent_hear_function(agent, down);
        return;
    case RPC__HOST_DOWN__IS_START:
        agent_hear_start(agent, down);
        return;
    case RPC__HOST_DOWN__IS_CHAIN_END:
        agent_hear_chain_end(agent, down);
        return;
    case RPC__HOST_DOWN__IS_TENANT:
        agent_hear_tenant(agent, down->tenant);
        break;
    case RPC__HOST_DOWN__IS_TENANT_GONE:
    case RPC__HOST_DOWN__IS_FUNCTION_GONE:
        hear_gone(agent, down);
        break;
    case RPC__HOST_DOWN__IS_STOP:
        agent_hear_stop(agent, down->stop->run);
        break;
    case RPC__HOST_DOWN__IS_HEARD:
        agent_hear_heard(agent, down->heard);
        break;
    case RPC__HOST_DOWN__IS_BLOB:
        agent_hear_blob(agent, down->blob);
        break;
    case RPC__HOST_DOWN__IS_STATE:
        agent_hear_state(agent, down->state);
        break;
    case RPC__HOST_DOWN__IS_DRAIN:
        agent->is_draining = down->drain->is_draining;
        break;
    default: /* a welcome is the link's */
        break;
    }
    protobuf_c_message_free_unpacked(&down->base, NULL);
}
