/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: the planner's starts and stops on their way to workers, and their ends on the way
 * back.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

/* ---------------------------------------------------------------------------- table */

static struct run **
bucket(struct host *host, uint64_t call)
{
    return &host->runs[call % HOSTS_RUN_BUCKETS];
}

struct run *
hosts_run_find(const struct host *host, uint64_t call, uint32_t attempt)
{
    struct run *run = host->runs[call % HOSTS_RUN_BUCKETS];

    while (run != NULL && (run->run.call != call || (attempt != 0 && run->run.attempt != attempt)))
        run = run->next;
    return run;
}

static struct run *
enter(struct host *host, const struct planner_run *what, const Ledger__Call *call)
{
    struct run *run = hosts_alloc(sizeof(*run)), **at = bucket(host, what->call);

    if (run == NULL)
        return NULL;
    run->run = *what;
    run->left = what->members;
    run->is_prepare = call->request->prepare != NULL;
    run->priority = call->request->priority;
    (void)strncpy(run->tenant, call->tenant, sizeof(run->tenant) - 1);
    run->next = *at;
    *at = run;
    host->used += run->left;
    return run;
}

static void
run_free(struct run *run)
{
    free(run->reason);
    free(run->unsent);
    free(run);
}

/* With the lock. Out of the table. */
static void
leave(struct host *host, struct run *run)
{
    struct run **at = bucket(host, run->run.call);

    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    host->used -= run->left;
    if (run->is_prepare && run->number != 0)
        hosts_function_gone(host, run->number);
}

void
hosts_run_free_all(struct host *host)
{
    for (size_t i = 0; i < HOSTS_RUN_BUCKETS; i++)
        while (host->runs[i] != NULL) {
            struct run *run = host->runs[i];

            host->runs[i] = run->next;
            run_free(run);
        }
}

/* ---------------------------------------------------------------------------- fates */

/* With the lock: the loop tells the planner. */
static void
doom(struct host *host, struct run *run, enum fate fate, int err, const char *reason)
{
    if (run->fate != FATE_NONE)
        return;
    run->fate = fate;
    run->err = err;
    run->reason = strdup(reason);
    run->next_fated = host->fated;
    host->fated = run;
    hosts_wake(host->hosts);
}

static void
tell_fate(struct host *host, const struct run *run)
{
    const char *reason = run->reason != NULL ? run->reason : "no memory for the reason";
    struct planner_run what = run->run;
    Ledger__Result result = LEDGER__RESULT__INIT;

    what.members = run->left;
    if (run->fate == FATE_LOST) {
        planner_run_lost(host->planner, &what, reason);
        return;
    }
    result.kind =
        run->fate == FATE_FAILED ? LEDGER__KIND__KIND_FAILED : LEDGER__KIND__KIND_CANCELLED;
    result.err = run->err;
    result.message = (char *)(uintptr_t)reason;
    planner_run_ended(host->planner, &what, &result);
}

void
hosts_run_tell_fates(struct host *host)
{
    for (;;) {
        struct run *run;

        (void)pthread_mutex_lock(&host->hosts->lock);
        run = host->fated;
        if (run != NULL) {
            host->fated = run->next_fated;
            leave(host, run);
        }
        (void)pthread_mutex_unlock(&host->hosts->lock);
        if (run == NULL)
            return;
        tell_fate(host, run);
        run_free(run);
    }
}

/* --------------------------------------------------------------------------- starts */

static bool
is_text(const Ledger__Request *request)
{
    bool is_valid = utf8_is_valid(request->entry, strlen(request->entry));

    for (size_t i = 0; is_valid && i < request->n_args; i++)
        is_valid = utf8_is_valid(request->args[i], strlen(request->args[i]));
    return is_valid;
}

static Rpc__HostRun
word_of(const struct planner_run *run)
{
    Rpc__HostRun word = RPC__HOST_RUN__INIT;

    word.call = run->call;
    word.attempt = run->attempt;
    word.first_member = run->first_member;
    word.members = run->members;
    return word;
}

static int
send_start(struct host *host, struct run *run, const Ledger__Call *call)
{
    const Ledger__Request *request = call->request;
    const Ledger__Prepare *prepare = request->prepare;
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostRun word = word_of(&run->run);

    start.run = &word;
    start.function = run->number;
    start.depth = request->depth;
    if (prepare != NULL) {
        start.wall_ns = prepare->wall_ns;
        start.has_save = true;
        start.save_at = prepare->save_at;
    } else {
        start.entry = request->entry;
        start.n_args = request->n_args;
        start.args = request->args;
        start.input = request->input;
        start.wall_ns = request->wall_ns;
    }
    return hosts_send(host->peer, RPC__HOST_DOWN__IS_START, &start);
}

/* Kept until the worker is back. */
static int
keep_unsent(struct run *run, const Ledger__Call *call)
{
    size_t count = ledger__call__get_packed_size(call);

    if (run->unsent != NULL)
        return 0;
    run->unsent = hosts_alloc(count + 1);
    if (run->unsent == NULL)
        return -ENOMEM;
    run->unsent_count = ledger__call__pack(call, run->unsent);
    return 0;
}

static void
mark_sent(struct run *run)
{
    free(run->unsent);
    run->unsent = NULL;
}

/* With the lock. What the world refuses for now (the connection is over, or its queue is
 * full) waits for the worker to come anew; what cannot be is the call's end. */
static void
begin(struct host *host, struct run *run, const Ledger__Call *call)
{
    int err = is_text(call->request) ? 0 : -EINVAL;
    struct diag why;

    diag_init(&why);
    if (err != 0)
        (void)diag_set(&why, err, "the call's entry or arguments are not UTF-8");
    if (err == 0 && host->peer == NULL)
        err = -EPIPE;
    if (err == 0 && call->request->prepare != NULL)
        err = hosts_function_prepare(host, call, &run->number, &why);
    else if (err == 0)
        err = hosts_function(host, call, &run->number, &why);
    if (err == 0)
        err = send_start(host, run, call);
    if (err == 0) {
        mark_sent(run);
        return;
    }
    if (err == -EPIPE || err == -ENOBUFS) {
        if (host->peer != NULL)
            hosts_peer_fail(host->peer);
        err = keep_unsent(run, call);
    }
    if (err == -ENOMEM)
        doom(host, run, FATE_LOST, err, "the planner had no memory to start it");
    else if (err != 0)
        doom(host, run, FATE_FAILED, err,
             why.is_set ? diag_text(&why) : "its input is larger than can be sent");
}

static void
start(void *context, const struct planner_run *what, const Ledger__Call *call)
{
    struct host *host = context;
    struct run *run;

    (void)pthread_mutex_lock(&host->hosts->lock);
    run = enter(host, what, call);
    if (run == NULL) { /* nothing can be noted of it: all of the host is lost */
        host->is_hopeless = true;
        hosts_wake(host->hosts);
    } else {
        begin(host, run, call);
    }
    (void)pthread_mutex_unlock(&host->hosts->lock);
}

static void
stop(void *context, const struct planner_run *what)
{
    struct host *host = context;
    Rpc__HostStop message = RPC__HOST_STOP__INIT;
    Rpc__HostRun word = word_of(what);
    struct run *run;

    message.run = &word;
    (void)pthread_mutex_lock(&host->hosts->lock);
    run = hosts_run_find(host, what->call, what->attempt);
    if (run != NULL) {
        run->is_stopped = true;
        if (run->unsent != NULL)
            doom(host, run, FATE_CANCELLED, -ECANCELED, "cancelled before it started");
        else if (host->peer != NULL)
            hosts_say(host->peer, RPC__HOST_DOWN__IS_STOP, &message);
    }
    (void)pthread_mutex_unlock(&host->hosts->lock);
}

const struct planner_host_ops hosts_run_ops = {start, stop};

/* ------------------------------------------------------------------------ coming back */

static void
start_unsent(struct host *host, struct run *run)
{
    Ledger__Call *call = ledger__call__unpack(NULL, run->unsent_count, run->unsent);

    if (call == NULL) {
        doom(host, run, FATE_LOST, -ENOMEM, "the planner had no memory to start it");
        return;
    }
    begin(host, run, call);
    ledger__call__free_unpacked(call, NULL);
}

static void
resume(struct host *host, struct run *run)
{
    if (run->fate != FATE_NONE || run->is_named)
        run->is_named = false;
    else if (run->unsent != NULL)
        start_unsent(host, run);
    else if (run->is_stopped)
        doom(host, run, FATE_CANCELLED, -ECANCELED, "cancelled");
    else
        doom(host, run, FATE_LOST, -EPIPE, "its host lost its connection, and it with that");
}

void
hosts_run_resume(struct host *host)
{
    for (size_t i = 0; i < HOSTS_RUN_BUCKETS; i++)
        for (struct run *run = host->runs[i]; run != NULL; run = run->next)
            resume(host, run);
}

/* ----------------------------------------------------------------------------- ends */

/* An exit with 0 is how most programs say that they are done. */
static Ledger__Kind
kind_of(const Rpc__HostEnd *end)
{
    if (end->kind == RPC__HOST_END_KIND__HOST_END_EXIT && end->exit_code == 0)
        return LEDGER__KIND__KIND_DONE;
    return end->kind != RPC__HOST_END_KIND__HOST_END_NONE ? (Ledger__Kind)end->kind
                                                          : LEDGER__KIND__KIND_FAILED;
}

static void
fill_result(Ledger__Result *result, const Rpc__HostEnd *end)
{
    size_t cut = end->log.len > HOSTS_LOG_BYTES_MAX ? end->log.len - HOSTS_LOG_BYTES_MAX : 0;

    ledger__result__init(result);
    result->kind = kind_of(end);
    result->exit_code = end->exit_code;
    result->err = end->err;
    result->limit = end->limit;
    result->refused = end->refused;
    result->trap = end->trap;
    result->message = end->message;
    result->backtrace = end->backtrace;
    result->output = end->output;
    if (end->log.len > 0)
        result->log = (ProtobufCBinaryData){end->log.len - cut, end->log.data + cut};
    result->proto = end->proto;
    result->start_ns = end->start_ns;
    result->wall_ns = end->wall_ns;
    result->cpu_ns = end->cpu_ns;
    result->memory_bytes = end->memory_bytes;
    result->chained = end->chained;
    result->was_cold = end->was_cold;
}

static void
note_heard(struct peer *peer, const Rpc__HostRun *run)
{
    if (peer->end_count == 0) {
        peer->answer_at_ns = clock_now_ns() + HOSTS_ANSWER_NS;
        if (peer->answer_at_ns < peer->hosts->look_at_ns)
            peer->hosts->look_at_ns = peer->answer_at_ns;
    }
    if (peer->end_count == peer->end_capacity) {
        size_t capacity = peer->end_capacity > 0 ? 2 * peer->end_capacity : 16;
        Rpc__HostRun *ends = realloc(peer->ends, capacity * sizeof(*ends));

        if (ends == NULL)
            return; /* it says it again after a reconnect */
        peer->ends = ends;
        peer->end_capacity = capacity;
    }
    rpc__host_run__init(&peer->ends[peer->end_count]);
    peer->ends[peer->end_count].call = run->call;
    peer->ends[peer->end_count].attempt = run->attempt;
    peer->ends[peer->end_count].first_member = run->first_member;
    peer->ends[peer->end_count].members = run->members;
    peer->end_count++;
}

/* With the lock: how many members are over by this word; all of them where its host lost
 * them. What leaves is the caller's in *gone. */
static uint32_t
take(struct host *host, struct run *run, const Rpc__HostEnd *end, struct run **gone)
{
    uint32_t members = end->run->members;

    if (members == 0 || members > run->left || end->kind == RPC__HOST_END_KIND__HOST_END_LOST)
        members = run->left;
    run->left -= members;
    host->used -= members;
    *gone = run->left == 0 ? run : NULL;
    if (run->left == 0)
        leave(host, run);
    return members;
}

static void
tell_end(struct host *host, const struct planner_run *what, const Rpc__HostEnd *end)
{
    Ledger__Result result;

    if (end->kind == RPC__HOST_END_KIND__HOST_END_LOST) {
        planner_run_lost(host->planner, what, end->message);
        return;
    }
    fill_result(&result, end);
    planner_run_ended(host->planner, what, &result);
}

/* What was prepared is in the store before its end is told; *kept: not yet, it is told later. */
static bool
is_in_store(struct peer *peer, Rpc__HostEnd *end, struct diag *why, bool *is_later)
{
    int err = hosts_upload_ask(peer, end, why);

    *is_later = err == -EAGAIN;
    if (err == 0 || *is_later)
        return true;
    end->kind = RPC__HOST_END_KIND__HOST_END_FAILED;
    end->err = err;
    end->message = (char *)(uintptr_t)diag_text(why);
    end->proto = (ProtobufCBinaryData){0, NULL};
    return false;
}

void
hosts_run_end(struct peer *peer, const Rpc__HostEnd *heard)
{
    struct host *host = peer->host;
    struct planner_run what = {heard->run->call, heard->run->attempt, heard->run->first_member, 0};
    struct run *run, *gone = NULL;
    Rpc__HostEnd end = *heard;
    bool is_prepare, is_later = false;
    struct diag why;

    diag_init(&why);
    (void)pthread_mutex_lock(&host->hosts->lock);
    run = hosts_run_find(host, what.call, what.attempt);
    if (run != NULL && (run->fate != FATE_NONE || run->unsent != NULL || what.attempt == 0))
        run = NULL; /* it has another end */
    is_prepare = run != NULL && run->is_prepare;
    (void)pthread_mutex_unlock(&host->hosts->lock);
    if (is_prepare && end.kind == RPC__HOST_END_KIND__HOST_END_DONE)
        (void)is_in_store(peer, &end, &why, &is_later);
    if (is_later)
        return;
    if (run != NULL) {
        (void)pthread_mutex_lock(&host->hosts->lock);
        run = hosts_run_find(host, what.call, what.attempt);
        if (run != NULL)
            what.members = take(host, run, &end, &gone);
        (void)pthread_mutex_unlock(&host->hosts->lock);
    }
    note_heard(peer, heard->run);
    if (run != NULL)
        tell_end(host, &what, &end);
    if (gone != NULL)
        run_free(gone);
}
