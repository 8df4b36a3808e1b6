/* SPDX-License-Identifier: Apache-2.0
 *
 * place: on which hosts the members of a gang go. Pure functions over a table: no clock,
 * no I/O, nothing kept; the same table gives the same answer.
 *
 * A gang is placed whole or not at all. What is told is how many members each host gets;
 * who numbers them does so host by host, so that neighbours in rank are neighbours.
 */
#ifndef WEFT_PLANNER_PLACE_H
#define WEFT_PLANNER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define PLACE_HOSTS_MAX 4096u

/* A host as it looks to one request. */
struct place_host {
    uint32_t slots, used;         /* members that it may hold, and holds */
    uint64_t memory, memory_used; /* bytes */
    bool is_draining;             /* takes none */
    bool is_leaving;              /* will be gone soon (a spot machine that was told so) */
    bool has_cell, has_image;     /* of the tenant; of the function */
    uint32_t warm;                /* Faaslets of the function without a call */
    uint32_t peers;               /* members of the same application */
    uint32_t strangers;           /* members of other tenants */
    uint64_t state_bytes;         /* of the state that the request names */
};

struct place_request {
    uint32_t members;     /* at least 1 */
    uint64_t memory_each; /* bytes */
    uint32_t hosts_max;   /* over how many hosts it may be spread; 0: any */
};

/* Fills members[i] for host i; their sum is request->members. -EAGAIN: it does not fit now,
 * and nothing is filled in. -E2BIG: it would not fit were every host empty. */
typedef int (*place_fn)(const struct place_host *hosts, size_t count,
                        const struct place_request *request, uint32_t *members);

/* binpack    few hosts, each as full as may be
 * spread     every host equally busy
 * compact    as many empty hosts as may be, and tenants kept apart
 * locality   few links between hosts; where the function is warm and its state is
 * spot       binpack that avoids hosts about to leave
 * NULL: none of that name. */
place_fn place_policy(const char *name);
/* The names, by number from 0; NULL after the last. */
const char *place_policy_name(size_t number);

#endif
