/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: members of an attempt of a call that the planner has started here. They are begun
 * and stopped on the link; what comes of them is end.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"

#define UPLOADS_A_TURN 16u

/* -------------------------------------------------------------------------------- table */

static bool
is_key(const struct agent_key *key, const Rpc__HostRun *words)
{
    return key->call == words->call && key->attempt == words->attempt &&
           key->first_member == words->first_member && key->members == words->members;
}

/* With the lock. */
static struct agent_run *
find(const struct agent *agent, const Rpc__HostRun *words)
{
    struct agent_run *run = agent->runs[words->call % AGENT_BUCKETS];

    while (run != NULL && !is_key(&run->key, words))
        run = run->next;
    return run;
}

static struct agent_member **
member_bucket(struct agent *agent, uint64_t id)
{
    return &agent->members[id % AGENT_BUCKETS];
}

uint64_t
agent_run_parent(struct agent *agent, uint64_t id, const char **tenant)
{
    const struct agent_member *member = *member_bucket(agent, id);

    while (member != NULL && member->id != id)
        member = member->by_id;
    if (member == NULL || id == 0)
        return 0;
    *tenant = member->run->function->tenant->name;
    return member->run->key.call;
}

int
agent_run_list(struct agent *agent, Rpc__HostRun ***out, size_t *count)
{
    Rpc__HostRun **list, *words;
    size_t room, used = 0;
    int err = fault_point("agent.register");

    /* Only this thread adds any. */
    (void)pthread_mutex_lock(&agent->lock);
    room = agent->run_count;
    (void)pthread_mutex_unlock(&agent->lock);
    list = err != 0 ? NULL : calloc(room + 1, sizeof(*list) + sizeof(*words));
    if (list == NULL)
        return -ENOMEM;
    words = (Rpc__HostRun *)(void *)(list + room + 1);
    (void)pthread_mutex_lock(&agent->lock);
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (const struct agent_run *run = agent->runs[i]; run != NULL; run = run->next) {
            ASSERT(used < room);
            list[used] = &words[used];
            rpc__host_run__init(list[used]);
            list[used]->call = run->key.call;
            list[used]->attempt = run->key.attempt;
            list[used]->first_member = run->key.first_member;
            list[used++]->members = run->key.members;
        }
    (void)pthread_mutex_unlock(&agent->lock);
    *out = list;
    *count = used;
    return 0;
}

/* -------------------------------------------------------------------------------- starts */

/* A process that starts from a Proto-Faaslet has the arguments that it was made with: those
 * of the function, which may be a whole program's text, are not sent with each call. */
static int
fill_args(const Rpc__HostFunction *function, const Rpc__HostStart *start, const char ***out,
          size_t *count)
{
    size_t used = 0, own = function->proto.len > 0 && function->n_args > 0 ? 1 : function->n_args;

    *count = own + start->n_args;
    *out = fault_point("agent.start") != 0 ? NULL : calloc(*count + 1, sizeof(**out));
    if (*out == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < own; i++)
        (*out)[used++] = function->args[i];
    for (size_t i = 0; i < start->n_args; i++)
        (*out)[used++] = start->args[i];
    return 0;
}

/* Until it can be found by its number, who looks for it waits. */
static int
call_member(struct agent *agent, struct agent_function *function, struct agent_member *member,
            struct worker_call *call)
{
    struct agent_member **head;
    int err = fault_point("agent.start");

    call->on_end = agent_end_heard;
    call->context = member;
    (void)pthread_mutex_lock(&agent->start_lock);
    if (err == 0)
        err = worker_call(function->handle, call, &member->id);
    if (err == 0) {
        (void)pthread_mutex_lock(&agent->lock);
        if (!member->is_over) {
            head = member_bucket(agent, member->id);
            member->by_id = *head;
            *head = member;
            member->is_listed = true;
        }
        (void)pthread_mutex_unlock(&agent->lock);
    }
    (void)pthread_mutex_unlock(&agent->start_lock);
    return err;
}

void
agent_run_cancel(struct agent_run *run)
{
    for (uint32_t i = 0; i < run->key.members; i++)
        if (run->members[i].is_listed && !run->members[i].is_over)
            (void)!worker_cancel(run->agent->worker, run->members[i].id);
}

/* From this member on: those before it are of no use alone. */
static void
fail_members(struct agent_run *run, uint32_t first, int err)
{
    bool is_room = err == -EAGAIN || err == -ENOMEM || err == -EMFILE || err == -ENFILE;
    char text[128];
    const struct worker_end end = {
        .kind = is_room ? WORKER_LOST : WORKER_FAILED, .err = err, .message = text, .saved_fd = -1};

    (void)snprintf(text, sizeof(text), "this host cannot begin it: %s", strerror(-err));
    (void)pthread_mutex_lock(&run->agent->lock);
    agent_run_cancel(run);
    (void)pthread_mutex_unlock(&run->agent->lock);
    for (uint32_t i = first; i < run->key.members; i++)
        agent_end_heard(&run->members[i], &end);
}

/* A world that has ended meanwhile needs no more members. */
static bool
is_doomed(struct agent_run *run)
{
    bool is_doomed;

    (void)pthread_mutex_lock(&run->agent->lock);
    is_doomed = run->is_doomed;
    (void)pthread_mutex_unlock(&run->agent->lock);
    return is_doomed;
}

static void
call_members(struct agent_run *run, struct agent_function *function, struct worker_call *call)
{
    const uint32_t members = run->key.members, first = run->key.first_member;
    char texts[2][40];
    const char *env[2] = {texts[0], texts[1]};
    int err = 0;

    if (members > 1) {
        call->env = env;
        call->env_count = 2;
        call->world = ++run->agent->next_world;
        call->members = members;
        (void)snprintf(texts[1], sizeof(texts[1]), "WEFT_MEMBERS=%u", first + members);
    }
    for (uint32_t i = 0; i < members && err == 0; i++) {
        (void)snprintf(texts[0], sizeof(texts[0]), "WEFT_MEMBER=%u", first + i);
        call->member = i;
        err =
            is_doomed(run) ? -ECANCELED : call_member(run->agent, function, &run->members[i], call);
        if (err != 0)
            fail_members(run, i, err);
    }
}

/* With the lock. A cell without calls ends after a while. */
static void
note_begin(struct agent_run *run, struct agent_function *function, uint64_t now_ns)
{
    struct agent_tenant *tenant = function->tenant;

    if (tenant->runs++ == 0 && tenant->last_end_ns != 0 &&
        now_ns - tenant->last_end_ns >= AGENT_IDLE_NS)
        tenant->cells++;
    run->was_cold = function->cells != tenant->cells || function->was_fetched;
    function->cells = tenant->cells;
    function->was_fetched = false;
    run->accepted_ns = now_ns;
    run->state = RUN_RUNNING;
    run->running = run->key.members;
    run->references++;
}

/* Its function is ready. */
static void
begin(struct agent *agent, struct agent_run *run)
{
    struct agent_function *function = run->function;
    Rpc__HostDown *down = run->down;
    const Rpc__HostStart *start = down->start;
    uint64_t now_ns = clock_now_ns(), waited_ns = now_ns - run->arrived_ns;
    struct worker_call call = {.entry = start->entry[0] != '\0' ? start->entry : NULL,
                               .input = start->input.data,
                               .input_bytes = start->input.len,
                               .depth = start->depth,
                               .save_at = start->has_save ? start->save_at : NULL};
    const char **args = NULL;
    int err;

    if (start->wall_ns != 0 && start->wall_ns <= waited_ns) {
        agent_end_run(run, WORKER_LIMIT, 0, "its time was up before its function was there");
        return;
    }
    call.wall_ns = start->wall_ns != 0 ? start->wall_ns - waited_ns : 0;
    err = fill_args(function->down->function, start, &args, &call.arg_count);
    call.args = args;
    (void)pthread_mutex_lock(&agent->lock);
    note_begin(run, function, now_ns);
    run->down = NULL;
    (void)pthread_mutex_unlock(&agent->lock);
    if (err == 0)
        call_members(run, function, &call);
    else
        fail_members(run, 0, err);
    free(args);
    protobuf_c_message_free_unpacked(&down->base, NULL);
    (void)pthread_mutex_lock(&agent->lock);
    agent_run_put(run);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* ------------------------------------------------------------------------------- waiting */

static void
wait_for(struct agent *agent, struct agent_function *function, struct agent_run *run)
{
    run->waiting_bytes = protobuf_c_message_get_packed_size(&run->down->base);
    if (run->waiting_bytes > AGENT_WAITING_BYTES - agent->waiting_bytes) {
        run->waiting_bytes = 0;
        agent_end_run(run, WORKER_LOST, -ENOBUFS, "too much waits for functions on this host");
        return;
    }
    agent->waiting_bytes += run->waiting_bytes;
    run->waits = NULL;
    *function->waiting_end = run;
    function->waiting_end = &run->waits;
}

static void
unwait(struct agent *agent, struct agent_run *run)
{
    struct agent_function *function = run->function;
    struct agent_run **at = &function->waiting;

    while (*at != run)
        at = &(*at)->waits;
    *at = run->waits;
    if (*at == NULL)
        function->waiting_end = at;
    agent->waiting_bytes -= run->waiting_bytes;
}

void
agent_run_release(struct agent *agent, struct agent_function *function, enum worker_end_kind kind,
                  const char *reason)
{
    char text[AGENT_REASON_MAX + 64];

    if (reason != NULL)
        (void)snprintf(text, sizeof(text), "its function is not to be had: %s", reason);
    while (function->waiting != NULL) {
        struct agent_run *run = function->waiting;

        unwait(agent, run);
        if (reason != NULL)
            agent_end_run(run, kind, kind == WORKER_CANCELLED ? 0 : -ENOENT, text);
        else
            begin(agent, run);
    }
}

/* ------------------------------------------------------------------------------- hearing */

/* One that is not even kept. Where this is lost, the planner does not find it among those
 * that the host says it has. */
static void
refuse(struct agent *agent, Rpc__HostRun *words, int err, const char *message)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    Rpc__HostUp up = RPC__HOST_UP__INIT;

    end.run = words;
    end.kind = RPC__HOST_END_KIND__HOST_END_LOST;
    end.err = err;
    end.message = (char *)(uintptr_t)message;
    up.is_case = RPC__HOST_UP__IS_END;
    up.end = &end;
    (void)!agent_send(agent, agent->epoch, &up);
}

static struct agent_run *
make_run(struct agent *agent, const Rpc__HostStart *start)
{
    const Rpc__HostRun *words = start->run;
    struct agent_run *run = fault_point("agent.run") != 0 ? NULL : calloc(1, sizeof(*run));

    if (run == NULL)
        return NULL;
    run->saved_fd = -1;
    run->members =
        fault_point("agent.run") != 0 ? NULL : calloc(words->members, sizeof(*run->members));
    if (run->members == NULL) {
        free(run);
        return NULL;
    }
    run->agent = agent;
    run->key = (struct agent_key){.call = words->call,
                                  .attempt = words->attempt,
                                  .first_member = words->first_member,
                                  .members = words->members};
    for (uint32_t i = 0; i < words->members; i++)
        run->members[i].run = run;
    run->references = 2;
    run->arrived_ns = clock_now_ns();
    run->is_save = start->has_save;
    rpc__host_end__init(&run->end);
    return run;
}

static void
enter(struct agent *agent, struct agent_run *run, struct agent_function *function)
{
    struct agent_run **head = &agent->runs[run->key.call % AGENT_BUCKETS];

    (void)pthread_mutex_lock(&agent->lock);
    run->next = *head;
    *head = run;
    agent->run_count++;
    agent->calls++;
    agent->members_used += run->key.members;
    run->function = function;
    if (function != NULL)
        agent_function_get(function);
    (void)pthread_mutex_unlock(&agent->lock);
}

static const char *
no_room(struct agent *agent, const Rpc__HostRun *words)
{
    bool is_full;

    if (words->members > agent->slots)
        return "it has more members than this host has slots";
    (void)pthread_mutex_lock(&agent->lock);
    /* The planner may know of an end before this host is done with it. */
    is_full = agent->members_used + words->members > 2 * agent->slots ||
              agent->run_count >= 2 * agent->slots + AGENT_RUNS_MORE;
    (void)pthread_mutex_unlock(&agent->lock);
    return is_full ? "this host has no slots left" : NULL;
}

/* Whether it is known already; if it has ended, that is told again. */
static bool
is_known(struct agent *agent, const Rpc__HostRun *words)
{
    bool is_ended = false;
    struct agent_run *run;
    uint64_t epoch;

    (void)pthread_mutex_lock(&agent->lock);
    run = find(agent, words);
    if (run != NULL && run->state == RUN_ENDED) {
        run->references++;
        is_ended = true;
    }
    epoch = agent_epoch(agent);
    (void)pthread_mutex_unlock(&agent->lock);
    if (is_ended)
        agent_end_tell(run, epoch);
    return run != NULL;
}

static void
start_run(struct agent *agent, struct agent_run *run, struct agent_function *function)
{
    if (function == NULL)
        agent_end_run(run, WORKER_FAILED, -ENOENT, "its function is not known on this host");
    else if (run->is_save && run->key.members > 1)
        agent_end_run(run, WORKER_FAILED, -EINVAL, "only a single call can be frozen");
    else if (run->down->start->n_args > AGENT_STRINGS_MAX)
        agent_end_run(run, WORKER_FAILED, -E2BIG, "it has too many arguments");
    else if (function->state == FUNCTION_READY)
        begin(agent, run);
    else
        wait_for(agent, function, run);
    /* What is broken says so at once. */
    if (function != NULL && function->state == FUNCTION_BROKEN)
        agent_run_release(agent, function, WORKER_FAILED, function->reason);
}

void
agent_hear_start(struct agent *agent, Rpc__HostDown *down)
{
    const Rpc__HostStart *start = down->start;
    struct agent_function *function;
    struct agent_run *run = NULL;
    const char *full;

    if (start->run == NULL || start->run->members == 0 || is_known(agent, start->run)) {
        protobuf_c_message_free_unpacked(&down->base, NULL);
        return;
    }
    full = no_room(agent, start->run);
    if (full == NULL)
        run = make_run(agent, start);
    if (run == NULL) {
        refuse(agent, start->run, full != NULL ? -EAGAIN : -ENOMEM,
               full != NULL ? full : "this host has no memory for it");
        protobuf_c_message_free_unpacked(&down->base, NULL);
        return;
    }
    run->down = down;
    function = agent_function_find(agent, start->function);
    enter(agent, run, function);
    start_run(agent, run, function);
}

void
agent_hear_stop(struct agent *agent, const Rpc__HostRun *words)
{
    struct agent_run *run;
    bool is_waiting;

    if (words == NULL)
        return;
    (void)pthread_mutex_lock(&agent->lock);
    run = find(agent, words);
    is_waiting = run != NULL && run->state == RUN_WAITING;
    if (run != NULL && run->state == RUN_RUNNING)
        agent_run_cancel(run);
    (void)pthread_mutex_unlock(&agent->lock);
    if (!is_waiting)
        return;
    unwait(agent, run);
    agent_end_run(run, WORKER_CANCELLED, 0, "cancelled");
}

void
agent_hear_heard(struct agent *agent, const Rpc__HostHeard *heard)
{
    (void)pthread_mutex_lock(&agent->lock);
    for (size_t i = 0; i < heard->n_ends; i++) {
        struct agent_run *run = find(agent, heard->ends[i]);

        if (run != NULL && run->state == RUN_ENDED)
            agent_run_forget(run);
    }
    (void)pthread_mutex_unlock(&agent->lock);
}

/* ------------------------------------------------------------------------------ dropping */

/* With the lock: it is not told of, and ends. */
static void
drop(struct agent *agent, struct agent_run *run)
{
    run->is_dropped = true;
    if (run->state == RUN_WAITING) {
        unwait(agent, run);
        agent->calls--;
        agent->members_used -= run->key.members;
        agent_function_put(agent, run->function);
        run->function = NULL;
        agent_run_put(run);
    } else if (run->state == RUN_RUNNING) {
        agent_run_cancel(run);
    }
    agent_run_forget(run);
}

static void
mark_kept(struct agent *agent, Rpc__HostRun *const *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct agent_run *run = find(agent, keep[i]);

        if (run != NULL)
            run->kept_epoch = agent->epoch;
    }
}

/* With the lock. What it made goes up once more, for the planner may not have it. */
static void
begin_upload(struct agent *agent, struct agent_run *run)
{
    if (run->state == RUN_ENDED) {
        agent->unheard--;
        agent->end_bytes -= run->packed.count;
    }
    if (run->state != RUN_UPLOADING)
        agent->uploads++;
    run->state = RUN_UPLOADING;
    run->uploaded = 0;
}

void
agent_run_keep(struct agent *agent, Rpc__HostRun *const *keep, size_t count)
{
    (void)pthread_mutex_lock(&agent->lock);
    mark_kept(agent, keep, count);
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (struct agent_run *run = agent->runs[i], *next; run != NULL; run = next) {
            next = run->next;
            if (run->kept_epoch != agent->epoch)
                drop(agent, run);
            else if (run->saved_fd >= 0 && run->state >= RUN_UPLOADING)
                begin_upload(agent, run);
        }
    (void)pthread_mutex_unlock(&agent->lock);
}

void
agent_run_give_up(struct agent *agent)
{
    (void)pthread_mutex_lock(&agent->lock);
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        for (struct agent_run *run = agent->runs[i], *next; run != NULL; run = next) {
            next = run->next;
            if (run->state != RUN_ENDED)
                drop(agent, run);
        }
    (void)pthread_mutex_unlock(&agent->lock);
}

/* With the lock; of one bucket. */
static struct agent_run *
find_untold(struct agent *agent, unsigned index)
{
    struct agent_run *run = agent->runs[index];

    while (run != NULL && (run->state != RUN_ENDED || run->told_epoch == agent->epoch))
        run = run->next;
    return run;
}

/* Until one cannot be told: that is tried again later. */
void
agent_run_tell_all(struct agent *agent)
{
    struct agent_run *run;
    bool is_told = true;
    uint64_t epoch;

    for (unsigned i = 0; i < AGENT_BUCKETS && is_told; i++)
        do {
            (void)pthread_mutex_lock(&agent->lock);
            epoch = agent_epoch(agent);
            run = epoch != 0 ? find_untold(agent, i) : NULL;
            if (run != NULL)
                run->references += 2; /* of telling, and of looking after that */
            (void)pthread_mutex_unlock(&agent->lock);
            if (run == NULL)
                break;
            agent_end_tell(run, epoch);
            (void)pthread_mutex_lock(&agent->lock);
            is_told = run->told_epoch == epoch;
            agent_run_put(run);
            (void)pthread_mutex_unlock(&agent->lock);
        } while (is_told);
}

/* ----------------------------------------------------------------------- Proto-Faaslets */

/* The disk has it, or says why not. Gives the reference of the work back. */
void
agent_run_saved(struct agent *agent, struct agent_run *run)
{
    uint64_t epoch = 0;
    bool is_ended = false;

    agent_end_pack_saved(run, run->save_err == 0 ? NULL : "its Proto-Faaslet cannot be kept");
    (void)pthread_mutex_lock(&agent->lock);
    if (!run->is_dropped && run->save_err == 0) {
        begin_upload(agent, run);
    } else if (!run->is_dropped) {
        run->state = RUN_ENDED;
        agent->unheard++;
        agent->end_bytes += run->packed.count;
        epoch = agent_epoch(agent);
        is_ended = true;
    }
    if (!is_ended)
        agent_run_put(run);
    (void)pthread_mutex_unlock(&agent->lock);
    if (is_ended)
        agent_end_tell(run, epoch);
}

/* Its next piece. 0: more follow; 1: that was the last; -ENOBUFS, -EPIPE. */
static int
send_piece(struct agent *agent, struct agent_run *run, uint8_t *room)
{
    ssize_t count = pread(run->saved_fd, room, AGENT_PIECE_BYTES, (off_t)run->uploaded);
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    int err;

    blob.hash = (ProtobufCBinaryData){STORE_HASH_BYTES, run->saved.bytes};
    blob.bytes = (ProtobufCBinaryData){count > 0 ? (size_t)count : 0, room};
    blob.is_last = count < (ssize_t)AGENT_PIECE_BYTES;
    if (count < 0)
        blob.error = (char *)(uintptr_t)"the host cannot read it";
    up.is_case = RPC__HOST_UP__IS_BLOB;
    up.blob = &blob;
    err = agent_send(agent, agent->epoch, &up);
    if (err != 0)
        return err;
    run->uploaded += blob.bytes.len;
    return blob.is_last ? 1 : 0;
}

/* With the lock, and a reference. */
static struct agent_run *
find_upload(struct agent *agent)
{
    struct agent_run *run = NULL;

    for (unsigned i = 0; i < AGENT_BUCKETS && run == NULL && agent->uploads > 0; i++)
        for (run = agent->runs[i]; run != NULL && run->state != RUN_UPLOADING; run = run->next)
            continue;
    if (run != NULL)
        run->references++;
    return run;
}

static void
end_upload(struct agent *agent, struct agent_run *run)
{
    uint64_t epoch;

    (void)pthread_mutex_lock(&agent->lock);
    run->state = RUN_ENDED;
    agent->uploads--;
    agent->unheard++;
    agent->end_bytes += run->packed.count;
    epoch = agent_epoch(agent);
    (void)pthread_mutex_unlock(&agent->lock);
    agent_end_tell(run, epoch);
}

/* A file that is as long as a number of pieces ends with an empty one. */
static int
upload_some(struct agent *agent, struct agent_run *run, uint8_t *room)
{
    int done = 0;

    for (unsigned i = 0; i < UPLOADS_A_TURN && done == 0; i++) {
        if (net_queued(agent->connection) > AGENT_UPLOAD_QUEUE)
            return -ENOBUFS;
        done = send_piece(agent, run, room);
    }
    return done;
}

void
agent_run_upload(struct agent *agent)
{
    struct agent_run *run;
    uint8_t *room;
    int done;

    (void)pthread_mutex_lock(&agent->lock);
    run = find_upload(agent);
    (void)pthread_mutex_unlock(&agent->lock);
    if (run == NULL)
        return;
    room = fault_point("agent.upload") != 0 ? NULL : malloc(AGENT_PIECE_BYTES);
    done = room != NULL ? upload_some(agent, run, room) : -ENOMEM;
    free(room);
    if (done == 1) {
        end_upload(agent, run);
        return;
    }
    agent->retry_at_ns = clock_now_ns() + (done == 0 ? 0 : AGENT_RETRY_NS);
    (void)pthread_mutex_lock(&agent->lock);
    agent_run_put(run);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* -------------------------------------------------------------------------------- ending */

/* What the disk had not done: nobody waits for it. */
static void
free_saving(struct agent *agent)
{
    struct agent_jobs *const lists[] = {&agent->todo, &agent->done};

    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        for (struct agent_job *job = lists[i]->first, *next; job != NULL; job = next) {
            next = job->next;
            if (job->kind == JOB_SAVE)
                agent_run_put(job->about);
        }
}

/* The worker has ended all calls. Those that waited for functions still have their work. */
void
agent_run_free_all(struct agent *agent)
{
    free_saving(agent);
    for (unsigned i = 0; i < AGENT_BUCKETS; i++)
        while (agent->runs[i] != NULL) {
            struct agent_run *run = agent->runs[i];

            if (run->state == RUN_WAITING)
                agent_run_put(run);
            agent_run_forget(run);
        }
}
