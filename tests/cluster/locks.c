/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a lock whose holder's host dies, stands still or is cut off, for longer than a
 * session of state lives: another has it, and the holder writes nothing any more.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define ASK_MS       30000u
#define HOLD_MS      6000u
#define STILL_MS     3500u
#define CUT_MS       2800u /* longer than a lease and a tenth, shorter than silence */
#define LEASE_MS     2000u
#define MOVED_MS_MAX (LEASE_MS + LEASE_MS / 10 + 2000u) /* and what is slow */
#define GUEST_ESTALE 72
#define TAKEN        222
#define TOUCHED      333

struct holding {
    struct crash_cluster *cluster;
    struct crash_client client;
    char key[32];
};

/* ------------------------------------------------------------------------------ asking */

static void
drain(struct holding *holding, unsigned worker, bool is_drained)
{
    char path[64], token[128] = "";
    const char *body = is_drained ? "{\"drain\":true}" : "{\"drain\":false}";
    struct crash_request request = {
        .method = "POST", .path = path, .token = token, .body = body, .count = strlen(body)};
    struct crash_answer answer;

    (void)crash_read_token(holding->cluster, token);
    (void)snprintf(path, sizeof(path), "/v1/hosts/crash-%u/drain", worker + 1);
    crash_ask(&holding->client, &request, &answer);
    if (answer.status != 200)
        crash_check(false, "%s is drained: %ld %.200s", path, answer.status,
                    (const char *)answer.body.bytes);
    buffer_fini(&answer.body);
}

/* A call that runs on this worker; its number. */
static uint64_t
start(struct holding *holding, unsigned worker, const char *verb)
{
    char input[128], text[32] = "";
    const struct crash_request request = {
        .method = "POST",
        .path = "/v1/invoke/holder?async=1",
        .body = input,
        .count = (size_t)snprintf(input, sizeof(input), "%s %s %u", verb, holding->key, HOLD_MS)};
    struct crash_answer answer;
    json_t *json;

    drain(holding, 1 - worker, true);
    crash_ask(&holding->client, &request, &answer);
    json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
    if (json_is_string(json_object_get(json, "call")))
        (void)snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(json, "call")));
    json_decref(json);
    buffer_fini(&answer.body);
    return strtoull(text, NULL, 10);
}

/* What it answered: two numbers; false: it did not. */
static bool
end(struct holding *holding, uint64_t call, long long out[2])
{
    char path[96];
    const struct crash_request request = {.method = "GET", .path = path, .timeout_ms = ASK_MS};
    struct crash_answer answer;
    bool is_fine;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64 "/result?wait_ms=20000", call);
    crash_ask(&holding->client, &request, &answer);
    is_fine = answer.status == 200 &&
              sscanf((const char *)answer.body.bytes, "%lld %lld", &out[0], &out[1]) == 2;
    if (!is_fine)
        crash_say("call %" PRIu64 ": %ld %.300s", call, answer.status,
                  (const char *)answer.body.bytes);
    buffer_fini(&answer.body);
    return is_fine;
}

static bool
is_over(struct holding *holding, uint64_t call)
{
    char path[96];
    json_t *json;
    const char *state;
    bool is_so;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64, call);
    json = crash_get(&holding->client, false, path);
    state = json_string_value(json_object_get(json, "state"));
    is_so = state != NULL && strcmp(state, "over") == 0;
    json_decref(json);
    return is_so;
}

/* The words of the value; false: it has not so many. */
static bool
look(struct holding *holding, const char *suffix, int64_t words[2])
{
    char path[96];
    const struct crash_request request = {.method = "GET", .path = path, .timeout_ms = ASK_MS};
    struct crash_answer answer;
    bool is_there;

    (void)snprintf(path, sizeof(path), "/v1/state/%s%s", holding->key, suffix);
    crash_ask(&holding->client, &request, &answer);
    is_there = answer.status == 200;
    if (is_there && words != NULL) {
        is_there = answer.body.count == 2 * sizeof(words[0]);
        if (is_there)
            (void)memcpy(words, answer.body.bytes, 2 * sizeof(words[0]));
    }
    buffer_fini(&answer.body);
    return is_there;
}

static bool
await_here(struct holding *holding)
{
    uint64_t until_ns = clock_now_ns() + 20 * (uint64_t)CLOCK_NS_PER_SECOND;

    while (clock_now_ns() < until_ns && !crash_is_interrupted()) {
        if (look(holding, ".here", NULL))
            return true;
        crash_sleep_ms(20);
    }
    return false;
}

/* ------------------------------------------------------------------------------ hosts */

static void
strike(struct crash_process *worker, enum crash_blow blow)
{
    pid_t below[256];
    size_t count = crash_processes_below(worker->pid, below, ARRAY_COUNT(below));

    if (blow == CRASH_KILLED)
        crash_process_kill(worker);
    else if (blow == CRASH_STOPPED)
        crash_pause(worker->pid, below, count, true);
    else
        crash_check(crash_network_cut(worker->number, true), "its link is down");
}

static void
mend(struct crash_process *worker, enum crash_blow blow)
{
    pid_t below[256];
    size_t count = crash_processes_below(worker->pid, below, ARRAY_COUNT(below));

    if (blow == CRASH_KILLED)
        crash_check(crash_process_start(worker), "%s starts again", worker->name);
    else if (blow == CRASH_STOPPED)
        crash_pause(worker->pid, below, count, false);
    else
        crash_check(crash_network_cut(worker->number, false), "its link is up");
}

/* ---------------------------------------------------------------------------- the story */

/* The lock goes to who waits for it on the other host. */
static void
move(struct holding *holding, enum crash_blow blow, uint64_t taker)
{
    struct crash_process *worker = &holding->cluster->workers[0];
    uint64_t began_ns, took_ms, still_ms = blow == CRASH_CUT ? CUT_MS : STILL_MS;
    long long took[2] = {-1, -1};

    crash_check(!is_over(holding, taker), "another waits for the lock");
    began_ns = clock_now_ns();
    strike(worker, blow);
    while (!is_over(holding, taker) && clock_now_ns() < began_ns + still_ms * 1000000)
        crash_sleep_ms(10);
    took_ms = (clock_now_ns() - began_ns) / 1000000;
    crash_check(is_over(holding, taker) && took_ms <= MOVED_MS_MAX,
                "the other has the lock after %" PRIu64 " ms", took_ms);
    (void)end(holding, taker, took);
    crash_check(took[0] == 0, "and sees nothing of the first (%lld)", took[0]);
    if (clock_now_ns() < began_ns + still_ms * 1000000)
        crash_sleep_ms((unsigned)(still_ms - took_ms));
    mend(worker, blow);
}

static void
refuse(struct holding *holding, uint64_t holder)
{
    long long errors[2] = {-1, -1}, seen[2] = {-1, -1};
    int64_t words[2] = {-1, -1};

    crash_check(end(holding, holder, errors), "the first holder goes on");
    crash_check(errors[0] == GUEST_ESTALE && errors[1] == GUEST_ESTALE,
                "its push and its set are refused with ESTALE (%lld, %lld)", errors[0], errors[1]);
    (void)look(holding, "", words);
    crash_check(words[0] == TAKEN, "the other's bytes stay (%" PRId64 ")", words[0]);
    (void)end(holding, start(holding, 0, "touch"), seen);
    crash_check(seen[0] == TAKEN, "on its host the next holder sees them, too (%lld)", seen[0]);
    (void)look(holding, "", words);
    crash_check(words[0] == TAKEN && words[1] == TOUCHED,
                "and pushes nothing that was refused (%" PRId64 ", %" PRId64 ")", words[0],
                words[1]);
}

void
crash_lock_moves(struct crash_cluster *cluster, enum crash_blow blow)
{
    static const char *const names[] = {"dies", "stands still", "is cut off"};
    static unsigned count;
    struct holding holding = {.cluster = cluster};
    int64_t words[2] = {-1, -1};
    uint64_t holder, taker;

    crash_say("the host of a lock's holder %s", names[blow]);
    (void)snprintf(holding.key, sizeof(holding.key), "held-%u", count++);
    crash_client_open(&holding.client, cluster);
    drain(&holding, 0, false);
    holder = start(&holding, 0, "hold");
    crash_check(await_here(&holding), "a call has the lock");
    drain(&holding, 1, false);
    taker = start(&holding, 1, "take");
    drain(&holding, 0, false);
    crash_sleep_ms(500);
    move(&holding, blow, taker);
    crash_check(crash_cluster_await_hosts(cluster, 30), "both hosts are there");
    if (blow != CRASH_KILLED)
        refuse(&holding, holder);
    crash_check(look(&holding, "", words) && words[0] == TAKEN, "nothing of it is lost");
    drain(&holding, 0, false);
    drain(&holding, 1, false);
    crash_client_close(&holding.client);
}
