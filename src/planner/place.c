/* SPDX-License-Identifier: Apache-2.0
 *
 * Policies of placement.
 *
 * A policy is an order of hosts: first among those that take the whole gang, of which the
 * best one gets it; else among all, which are filled one after the other. Only spread
 * gives one member at a time.
 */
#include "planner/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define WARM_MAX 255u

/* A host in its place of the order. */
struct seat {
    uint64_t score; /* higher first; equal ones by index, so that the answer is one */
    uint32_t index, room;
};

/* is_whole: among hosts that take the whole gang. */
typedef uint64_t (*score_fn)(const struct place_host *host, uint32_t room, bool is_whole);

static uint32_t
room_of(const struct place_host *host, const struct place_request *request, bool is_empty)
{
    uint32_t used = is_empty ? 0 : host->used;
    uint64_t memory_used = is_empty ? 0 : host->memory_used;
    uint32_t by_slots = host->slots > used ? host->slots - used : 0;
    uint64_t left = host->memory > memory_used ? host->memory - memory_used : 0;

    if (request->memory_each == 0 || left / request->memory_each >= by_slots)
        return by_slots;
    return (uint32_t)(left / request->memory_each);
}

static int
by_score(const void *a, const void *b)
{
    const struct seat *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* What the largest hosts would take if they were empty. */
static bool
could_ever_fit(const struct place_host *hosts, size_t count, const struct place_request *request,
               struct seat *seats)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < count; i++) {
        seats[i] = (struct seat){room_of(&hosts[i], request, true), i, 0};
        if (seats[i].score >= request->members)
            return true;
    }
    qsort(seats, count, sizeof(*seats), by_score);
    for (size_t i = 0; i < count && (request->hosts_max == 0 || i < request->hosts_max); i++)
        total += seats[i].score;
    return total >= request->members;
}

/* The hosts that have room, as they come; how many members they take together. */
static size_t
find_seats(const struct place_host *hosts, size_t count, const struct place_request *request,
           struct seat *seats, uint64_t *total)
{
    size_t found = 0;

    *total = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t room = hosts[i].is_draining ? 0 : room_of(&hosts[i], request, false);

        if (room == 0)
            continue;
        seats[found++] = (struct seat){.index = i, .room = room};
        *total += room;
    }
    return found;
}

static void
sort_seats(const struct place_host *hosts, struct seat *seats, size_t count, score_fn score)
{
    for (size_t i = 0; i < count; i++)
        seats[i].score = score(&hosts[seats[i].index], seats[i].room, false);
    qsort(seats, count, sizeof(*seats), by_score);
}

/* The whole gang on the best host that takes it; of equal ones the first. Most requests end
 * here, so nothing is sorted. */
static bool
fill_one(const struct place_host *hosts, size_t count, const struct place_request *request,
         score_fn score, uint32_t *members)
{
    uint32_t best = UINT32_MAX;
    uint64_t best_score = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t room = hosts[i].is_draining ? 0 : room_of(&hosts[i], request, false);
        uint64_t mine;

        if (room < request->members)
            continue;
        mine = score(&hosts[i], room, true);
        if (best == UINT32_MAX || mine > best_score) {
            best = i;
            best_score = mine;
        }
    }
    if (best != UINT32_MAX)
        members[best] = request->members;
    return best != UINT32_MAX;
}

static bool
fill_in_order(const struct seat *seats, size_t count, const struct place_request *request,
              uint32_t *members)
{
    uint32_t left = request->members;

    if (request->hosts_max != 0 && count > request->hosts_max)
        count = request->hosts_max;
    for (size_t i = 0; i < count && left > 0; i++) {
        uint32_t part = left < seats[i].room ? left : seats[i].room;

        members[seats[i].index] = part;
        left -= part;
    }
    return left == 0;
}

/* Largest first takes the fewest hosts, where the order of a policy would take too many. */
static uint64_t
score_room(const struct place_host *host, uint32_t room, bool is_whole)
{
    (void)host;
    (void)is_whole;
    return room;
}

static bool
fill(const struct place_host *hosts, struct seat *seats, size_t count,
     const struct place_request *request, score_fn score, uint32_t *members, size_t host_count)
{
    sort_seats(hosts, seats, count, score);
    if (fill_in_order(seats, count, request, members))
        return true;
    (void)memset(members, 0, host_count * sizeof(*members));
    sort_seats(hosts, seats, count, score_room);
    return fill_in_order(seats, count, request, members);
}

static int
place(const struct place_host *hosts, size_t count, const struct place_request *request,
      score_fn score, uint32_t *members)
{
    struct seat *seats;
    uint64_t total;
    size_t found;
    int err = 0;

    ASSERT(request->members > 0 && count <= PLACE_HOSTS_MAX);
    if (count > 0)
        (void)memset(members, 0, count * sizeof(*members));
    if (fill_one(hosts, count, request, score, members))
        return 0;
    seats = malloc((count + 1) * sizeof(*seats));
    if (seats == NULL)
        return -ENOMEM;
    found = find_seats(hosts, count, request, seats, &total);
    if (total < request->members || !fill(hosts, seats, found, request, score, members, count)) {
        if (count > 0)
            (void)memset(members, 0, count * sizeof(*members));
        err = could_ever_fit(hosts, count, request, seats) ? -EAGAIN : -E2BIG;
    }
    free(seats);
    return err;
}

/* ------------------------------------------------------------------------- policies */

/* The gang on the host where it leaves least room; else on few. */
static uint64_t
score_binpack(const struct place_host *host, uint32_t room, bool is_whole)
{
    uint64_t near = host->peers > 0 ? UINT64_C(1) << 40 : 0;
    uint64_t ready = (host->has_image ? 2u : 0u) + (host->has_cell ? 1u : 0u);

    return near + ((uint64_t)(is_whole ? UINT32_MAX - room : room) << 4) + ready;
}

/* Hosts that hold something already, and nothing of others; the fullest first. */
static uint64_t
score_compact(const struct place_host *host, uint32_t room, bool is_whole)
{
    uint64_t alone = host->strangers == 0 ? UINT64_C(1) << 41 : 0;
    uint64_t busy = host->used > 0 ? UINT64_C(1) << 40 : 0;

    return alone + busy + (is_whole || host->used > 0 ? UINT32_MAX - room : room);
}

/* Peers, then state, then warm Faaslets, then what has to be brought first. */
static uint64_t
score_locality(const struct place_host *host, uint32_t room, bool is_whole)
{
    uint64_t state = host->state_bytes >> 12, warm = host->warm;

    state = state < UINT32_MAX ? state : UINT32_MAX;
    if (!is_whole) /* few hosts are few links */
        return ((host->peers > 0 ? UINT64_C(1) : 0) << 60) + ((uint64_t)room << 20) +
               (state < (1u << 19) ? state : (1u << 19));
    return ((host->peers > 0 ? UINT64_C(1) : 0) << 60) + (state << 16) +
           ((warm < WARM_MAX ? warm : WARM_MAX) << 4) + (host->has_image ? 2u : 0u) +
           (host->has_cell ? 1u : 0u);
}

/* Leaving hosts only when there is no other way. */
static uint64_t
score_spot(const struct place_host *host, uint32_t room, bool is_whole)
{
    return (host->is_leaving ? 0 : UINT64_C(1) << 50) + score_binpack(host, room, is_whole);
}

static int
place_binpack(const struct place_host *hosts, size_t count, const struct place_request *request,
              uint32_t *members)
{
    return place(hosts, count, request, score_binpack, members);
}

static int
place_compact(const struct place_host *hosts, size_t count, const struct place_request *request,
              uint32_t *members)
{
    return place(hosts, count, request, score_compact, members);
}

static int
place_locality(const struct place_host *hosts, size_t count, const struct place_request *request,
               uint32_t *members)
{
    return place(hosts, count, request, score_locality, members);
}

static int
place_spot(const struct place_host *hosts, size_t count, const struct place_request *request,
           uint32_t *members)
{
    return place(hosts, count, request, score_spot, members);
}

/* Whether a is less busy than b, with what they were given so far. */
static bool
is_less_busy(const struct place_host *hosts, const uint32_t *members, uint32_t a, uint32_t b)
{
    uint64_t busy_a = (uint64_t)hosts[a].used + members[a], busy_b = hosts[b].used + members[b];

    return busy_a * hosts[b].slots < busy_b * hosts[a].slots;
}

/* One member to the least busy host. A first time binpack tells whether it fits at all. */
static int
place_spread(const struct place_host *hosts, size_t count, const struct place_request *request,
             uint32_t *members)
{
    uint32_t used_hosts = 0;
    int err = place_binpack(hosts, count, request, members);

    if (err != 0)
        return err;
    (void)memset(members, 0, count * sizeof(*members));
    for (uint32_t left = request->members; left > 0; left--) {
        uint32_t best = UINT32_MAX;

        for (uint32_t i = 0; i < count; i++) {
            uint32_t room = hosts[i].is_draining ? 0 : room_of(&hosts[i], request, false);
            bool is_allowed =
                members[i] > 0 || request->hosts_max == 0 || used_hosts < request->hosts_max;

            if (members[i] < room && is_allowed &&
                (best == UINT32_MAX || is_less_busy(hosts, members, i, best)))
                best = i;
        }
        if (best == UINT32_MAX) /* the least busy hosts are too small together */
            return place_binpack(hosts, count, request, members);
        used_hosts += members[best]++ == 0;
    }
    return 0;
}

static const struct {
    const char *name;
    place_fn place;
} policies[] = {
    {"binpack", place_binpack},   {"spread", place_spread}, {"compact", place_compact},
    {"locality", place_locality}, {"spot", place_spot},
};

place_fn
place_policy(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(policies); i++)
        if (strcmp(policies[i].name, name) == 0)
            return policies[i].place;
    return NULL;
}

const char *
place_policy_name(size_t number)
{
    return number < ARRAY_COUNT(policies) ? policies[number].name : NULL;
}
