/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether promises were kept; what is left of a cluster that is idle.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define INPUT_MAX      4096u
#define SHOWN_MAX      10u /* complaints of one kind */
#define WAIT_MS        60000u
#define MEMORY_MORE_KB ((uint64_t)96 << 10) /* an allocator's, caches', of what has ended */
#define MORE           8u                   /* descriptors, processes */

struct tally {
    size_t done, lost, open, failed, wrong, changed, twice;
    size_t shown;
};

static void
show(struct tally *tally, const struct crash_item *item, const char *what, const char *detail)
{
    if (tally->shown++ < SHOWN_MAX)
        crash_say("call %" PRIu64 " (%s): %s: %.200s", item->id, item->is_once ? "once" : "digest",
                  what, detail);
}

/* Its state in words, from /v1/calls/ID. */
static void
state_of(struct crash_client *client, const struct crash_item *item, char *out, size_t size)
{
    char path[96];
    json_t *call;
    const char *state, *kind;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64, item->id);
    call = crash_get(client, false, path);
    state = json_string_value(json_object_get(call, "state"));
    kind = json_string_value(json_object_get(call, "kind"));
    (void)snprintf(out, size, "%s %s", state != NULL ? state : "?", kind != NULL ? kind : "?");
    json_decref(call);
}

static bool
is_lost(const struct buffer *body)
{
    return strstr((const char *)body->bytes, "\"function_lost\"") != NULL;
}

/* Its result now against what it must be, and what it was. */
static void
judge(struct tally *tally, struct crash_item *item, const struct crash_load *load,
      const struct crash_answer *answer)
{
    const char *text = (const char *)answer->body.bytes;
    char wanted[CRASH_RESULT], found[CRASH_RESULT] = "lost";
    uint8_t input[INPUT_MAX];

    if (answer->status == 202 || answer->status == 0) {
        tally->open++;
        show(tally, item, "not over", text);
        return;
    }
    crash_digest(input, crash_input(item->seed, load->sleep_ms_max, input), wanted);
    if (answer->status == 200)
        (void)snprintf(found, sizeof(found), "%.20s", text);
    if (answer->status == 200 && strcmp(found, wanted) != 0) {
        tally->wrong++;
        show(tally, item, "another result than it must have", text);
    } else if (answer->status == 200) {
        tally->done++;
    } else if (item->is_once && is_lost(&answer->body)) {
        tally->lost++;
    } else {
        tally->failed++;
        show(tally, item, "failed", text);
    }
    if (item->result[0] != '\0' && strcmp(item->result, found) != 0) {
        tally->changed++;
        show(tally, item, "it had another result before", item->result);
    }
    (void)snprintf(item->result, sizeof(item->result), "%s", found);
}

static void
verify_one(struct tally *tally, struct crash_client *client, struct crash_item *item,
           const struct crash_load *load)
{
    char path[96], state[64];
    struct crash_request request = {.method = "GET", .path = path};
    struct crash_answer answer;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64 "/result?wait_ms=%u", item->id,
                   WAIT_MS);
    for (unsigned i = 0; i < 3; i++) { /* what was in the way may be gone */
        crash_ask(client, &request, &answer);
        if (answer.status != 0 && answer.status != 202 && answer.status != 503)
            break;
        buffer_fini(&answer.body);
        answer = (struct crash_answer){0};
        buffer_append(&answer.body, "", 1);
        crash_sleep_ms(500);
    }
    judge(tally, item, load, &answer);
    state_of(client, item, state, sizeof(state));
    if (answer.status == 200 && strcmp(state, "over done") != 0 &&
        strcmp(state, "over exit") != 0) {
        tally->failed++;
        show(tally, item, "it has a result, but its state is", state);
    }
    buffer_fini(&answer.body);
}

/* Two keys may not have got one call. */
static int
by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static size_t
count_doubles(const struct crash_load *loads, size_t count)
{
    uint64_t *ids = calloc(count + 1, sizeof(*ids));
    size_t at = 0, doubles = 0;

    if (ids == NULL)
        abort();
    for (size_t i = 0; i < CRASH_LOADS; i++)
        for (size_t k = 0; k < loads[i].item_count && at < count; k++)
            if (loads[i].items[k].id != 0)
                ids[at++] = loads[i].items[k].id;
    qsort(ids, at, sizeof(*ids), by_id);
    for (size_t i = 1; i < at; i++)
        doubles += ids[i] == ids[i - 1] ? 1 : 0;
    free(ids);
    return doubles;
}

void
crash_verify(struct crash_load *loads, const char *when)
{
    size_t count = crash_loads_acknowledged(loads);
    struct tally tally = {.twice = count_doubles(loads, count)};
    struct crash_client client;

    crash_client_open(&client, loads[0].cluster);
    for (size_t i = 0; i < CRASH_LOADS; i++)
        for (size_t k = 0; k < loads[i].item_count && !crash_is_interrupted(); k++)
            if (loads[i].items[k].id != 0)
                verify_one(&tally, &client, &loads[i].items[k], &loads[i]);
    crash_client_close(&client);
    crash_check(count > 0 && tally.open == 0, "%s: all %zu acknowledged calls are over (%zu not)",
                when, count, tally.open);
    crash_check(tally.failed == 0 && tally.done + tally.lost > 0,
                "%s: none has failed (%zu done, %zu lost that may be, %zu failed)", when,
                tally.done, tally.lost, tally.failed);
    crash_check(tally.wrong == 0, "%s: every result is right (%zu wrong)", when, tally.wrong);
    crash_check(tally.changed == 0, "%s: no call has two results (%zu have)", when, tally.changed);
    crash_check(tally.twice == 0, "%s: no two keys are one call (%zu are)", when, tally.twice);
}

/* ------------------------------------------------------------------------------- idle */

static json_int_t
number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_number(value) ? (json_int_t)json_number_value(value) : -1;
}

static bool
is_idle(struct crash_client *client, char *why, size_t size)
{
    json_t *cluster = crash_get(client, true, "/v1/cluster");
    json_t *hosts = crash_get(client, true, "/v1/hosts"), *host;
    json_int_t running = number(cluster, "running"), waiting = number(cluster, "waiting");
    json_int_t used = number(cluster, "used");
    bool is_so = running == 0 && waiting == 0 && used == 0;
    size_t i;

    (void)snprintf(why, size, "%lld running, %lld waiting, %lld slots used, %zu hosts", running,
                   waiting, used, json_array_size(json_object_get(hosts, "hosts")));
    json_array_foreach(json_object_get(hosts, "hosts"), i, host) is_so =
        is_so && number(host, "used") == 0;
    json_decref(cluster);
    json_decref(hosts);
    return is_so;
}

void
crash_verify_idle(struct crash_cluster *cluster, unsigned seconds)
{
    uint64_t until_ns = clock_now_ns() + seconds * (uint64_t)CLOCK_NS_PER_SECOND;
    struct crash_client client;
    char why[160] = "";
    bool is_so = false;

    crash_client_open(&client, cluster);
    while (!is_so && clock_now_ns() < until_ns && !crash_is_interrupted()) {
        is_so = is_idle(&client, why, sizeof(why));
        if (!is_so)
            crash_sleep_ms(200);
    }
    crash_client_close(&client);
    crash_check(is_so, "nothing runs or waits, and all slots are free (%s)", why);
}

struct crash_held
crash_cluster_held(struct crash_cluster *cluster)
{
    struct crash_held sum = {0};

    for (size_t i = 0; i < CRASH_PLANNERS_MAX + CRASH_WORKERS; i++) {
        const struct crash_process *process = i < CRASH_PLANNERS_MAX
                                                  ? &cluster->planners[i]
                                                  : &cluster->workers[i - CRASH_PLANNERS_MAX];
        struct crash_held one = crash_held(process->pid);

        sum.processes += one.processes;
        sum.descriptors += one.descriptors;
        sum.groups += one.groups;
        sum.anonymous_kb += one.anonymous_kb;
    }
    return sum;
}

static bool
is_near(const struct crash_held *now, const struct crash_held *before)
{
    return now->processes <= before->processes + MORE &&
           now->descriptors <= before->descriptors + 2 * (size_t)MORE &&
           now->groups <= before->groups + 2 * (size_t)MORE &&
           now->anonymous_kb <= before->anonymous_kb + MEMORY_MORE_KB;
}

/* What descriptors are of, by kinds. */
static void
show_held(struct crash_cluster *cluster)
{
    char command[256];
    const char *words[] = {"sh", "-c", command, NULL};

    for (size_t i = 0; i < CRASH_PLANNERS_MAX + CRASH_WORKERS; i++) {
        const struct crash_process *process = i < CRASH_PLANNERS_MAX
                                                  ? &cluster->planners[i]
                                                  : &cluster->workers[i - CRASH_PLANNERS_MAX];

        if (process->pid <= 0)
            continue;
        (void)snprintf(command, sizeof(command),
                       "{ echo %s; for f in /proc/%d/fd/*; do readlink $f; done | sed "
                       "'s/[0-9]\\{3,\\}/N/g' | sort | uniq -c | sort -n; } >&2",
                       process->name, process->pid);
        (void)crash_run(words);
    }
}

void
crash_verify_held(struct crash_cluster *cluster, const struct crash_held *before)
{
    struct crash_held now = crash_cluster_held(cluster);

    for (unsigned i = 0; i < 100 && !is_near(&now, before) && !crash_is_interrupted(); i++) {
        crash_sleep_ms(200);
        now = crash_cluster_held(cluster);
    }
    if (!is_near(&now, before))
        show_held(cluster);
    crash_check(is_near(&now, before),
                "it holds what it held: %zu processes (%zu before), %zu descriptors (%zu), %zu "
                "control groups (%zu), %" PRIu64 " MiB (%" PRIu64 ")",
                now.processes, before->processes, now.descriptors, before->descriptors, now.groups,
                before->groups, now.anonymous_kb >> 10, before->anonymous_kb >> 10);
}
