/* SPDX-License-Identifier: Apache-2.0
 *
 * For fuzzing agents.
 */
#ifndef WEFT_AGENT_LINK_TESTING_H
#define WEFT_AGENT_LINK_TESTING_H

#include "agent/agent_internal.h"

/* It dials again after a lost connection without the pauses that it makes for others' sake. */
static inline void
testing_dial_at_once(struct agent *agent)
{
    agent->backoff.base_ns = agent->backoff.max_ns = 100000;
}

#endif
