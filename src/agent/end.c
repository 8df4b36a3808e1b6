/* SPDX-License-Identifier: Apache-2.0
 *
 * How runs end: what the members' ends come to, packed once, sent by whoever has it, and
 * kept until the planner has heard it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

static const Rpc__HostEndKind kinds[] = {
    [WORKER_DONE] = RPC__HOST_END_KIND__HOST_END_DONE,
    [WORKER_EXIT] = RPC__HOST_END_KIND__HOST_END_EXIT,
    [WORKER_TRAP] = RPC__HOST_END_KIND__HOST_END_TRAP,
    [WORKER_LIMIT] = RPC__HOST_END_KIND__HOST_END_LIMIT,
    [WORKER_CANCELLED] = RPC__HOST_END_KIND__HOST_END_CANCELLED,
    [WORKER_FAILED] = RPC__HOST_END_KIND__HOST_END_FAILED,
    [WORKER_LOST] = RPC__HOST_END_KIND__HOST_END_LOST,
};

/* ------------------------------------------------------------------------- references */

static void
free_run(struct agent_run *run)
{
    for (uint32_t i = 0; run->members != NULL && i < run->key.members; i++) {
        buffer_fini(&run->members[i].output);
        buffer_fini(&run->members[i].log);
    }
    free(run->members);
    free(run->message);
    free(run->backtrace);
    if (run->down != NULL)
        protobuf_c_message_free_unpacked(&run->down->base, NULL);
    file_close(&run->saved_fd);
    buffer_fini(&run->packed);
    free(run);
}

void
agent_run_put(struct agent_run *run)
{
    ASSERT(run->references > 0);
    if (--run->references == 0)
        free_run(run);
}

void
agent_run_forget(struct agent_run *run)
{
    struct agent *agent = run->agent;
    struct agent_run **at = &agent->runs[run->key.call % AGENT_BUCKETS];

    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    agent->run_count--;
    if (run->state == RUN_ENDED) {
        agent->unheard--;
        agent->end_bytes -= run->packed.count;
    } else if (run->state == RUN_UPLOADING) {
        agent->uploads--;
    }
    agent_run_put(run);
}

/* ---------------------------------------------------------------------------- merging */

/* How bad it is, of several members. */
static unsigned
rank_of(Rpc__HostEndKind kind, int exit_code)
{
    static const unsigned ranks[] = {
        [RPC__HOST_END_KIND__HOST_END_DONE] = 0,   [RPC__HOST_END_KIND__HOST_END_EXIT] = 1,
        [RPC__HOST_END_KIND__HOST_END_TRAP] = 5,   [RPC__HOST_END_KIND__HOST_END_LIMIT] = 4,
        [RPC__HOST_END_KIND__HOST_END_FAILED] = 6, [RPC__HOST_END_KIND__HOST_END_CANCELLED] = 3,
        [RPC__HOST_END_KIND__HOST_END_LOST] = 7,
    };
    bool is_failure = kind == RPC__HOST_END_KIND__HOST_END_EXIT && exit_code != 0;

    return is_failure ? 2 : ranks[kind];
}

static void
replace_text(char **text, const char *with)
{
    free(*text);
    *text = with != NULL && with[0] != '\0' ? rpc_text(with) : NULL;
}

/* Of two that are as bad, the first that came stays; and that of a world by which all others
 * ended. */
static void
merge_kind(struct agent_run *run, const struct worker_end *end)
{
    Rpc__HostEnd *sum = &run->end;
    Rpc__HostEndKind kind = kinds[end->kind];

    if (run->has_end && !end->is_world_end &&
        (run->is_doomed || rank_of(kind, end->exit_code) <= rank_of(sum->kind, sum->exit_code)))
        return;
    run->has_end = true;
    sum->kind = kind;
    sum->exit_code = end->exit_code;
    sum->err = end->err;
    sum->limit = end->limit;
    sum->trap = end->trap;
    replace_text(&run->message, end->message);
    replace_text(&run->backtrace, end->backtrace);
}

/* With the lock. */
static void
merge(struct agent_run *run, const struct worker_end *end)
{
    uint64_t around_ns = end->total_ns > end->wall_ns ? end->total_ns - end->wall_ns : 0;
    Rpc__HostEnd *sum = &run->end;

    merge_kind(run, end);
    sum->refused |= end->refused;
    sum->cpu_ns += end->cpu_ns + end->chained_cpu_ns;
    sum->memory_bytes += end->memory_bytes;
    sum->chained += end->chained;
    if (end->wall_ns > sum->wall_ns)
        sum->wall_ns = end->wall_ns;
    if (run->accepted_ns != 0)
        around_ns += run->accepted_ns - run->arrived_ns;
    if (around_ns > sum->start_ns)
        sum->start_ns = around_ns;
}

static ProtobufCBinaryData
output_of(const struct worker_end *end)
{
    if (end->result_bytes > 0)
        return (ProtobufCBinaryData){end->result_bytes, (uint8_t *)(uintptr_t)end->result};
    return (ProtobufCBinaryData){end->output_bytes, (uint8_t *)(uintptr_t)end->output};
}

static ProtobufCBinaryData
log_of(const struct worker_end *end)
{
    size_t skipped =
        end->log_bytes > AGENT_LOG_BYTES_MAX ? end->log_bytes - AGENT_LOG_BYTES_MAX : 0;

    if (end->log_bytes == 0)
        return (ProtobufCBinaryData){0, NULL};
    return (ProtobufCBinaryData){end->log_bytes - skipped,
                                 (uint8_t *)(uintptr_t)end->log + skipped};
}

/* ---------------------------------------------------------------------------- packing */

static Rpc__HostRun
run_of(const struct agent_key *key)
{
    Rpc__HostRun run = RPC__HOST_RUN__INIT;

    run.call = key->call;
    run.attempt = key->attempt;
    run.first_member = key->first_member;
    run.members = key->members;
    return run;
}

static int
pack_up(struct agent_run *run, Rpc__HostEnd *end)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    struct buffer packed = {0};
    size_t count;
    int err = fault_point("agent.end");

    up.is_case = RPC__HOST_UP__IS_END;
    up.end = end;
    count = rpc__host_up__get_packed_size(&up);
    if (err == 0 && count > NET_FRAME_BYTES_MAX)
        err = -E2BIG;
    if (err == 0)
        buffer_append(&packed, NULL, count);
    err = err != 0 ? err : packed.err;
    if (err != 0) {
        buffer_fini(&packed);
        return err;
    }
    (void)rpc__host_up__pack(&up, packed.bytes);
    buffer_fini(&run->packed);
    run->packed = packed;
    return 0;
}

/* What it left is more than can be sent or kept. Without memory even for this the end is
 * made when it is told. */
static void
pack_without(struct agent_run *run, Rpc__HostEnd *end, int err)
{
    bool is_large = err == -E2BIG;

    end->kind = is_large ? RPC__HOST_END_KIND__HOST_END_FAILED : RPC__HOST_END_KIND__HOST_END_LOST;
    end->err = err;
    end->message = (char *)(uintptr_t)(is_large ? "its result is too large to be sent"
                                                : "there was no room to keep its result");
    end->backtrace = (char *)(uintptr_t)"";
    end->output = end->log = end->proto = (ProtobufCBinaryData){0, NULL};
    buffer_fini(&run->packed);
    run->packed = (struct buffer){0};
    (void)!pack_up(run, end);
}

static void
pack(struct agent_run *run, ProtobufCBinaryData output, ProtobufCBinaryData log)
{
    struct agent *agent = run->agent;
    Rpc__HostRun words = run_of(&run->key);
    Rpc__HostEnd end = run->end;
    uint64_t kept;
    int err;

    end.run = &words;
    end.message = run->message != NULL ? run->message : (char *)(uintptr_t)"";
    end.backtrace = run->backtrace != NULL ? run->backtrace : (char *)(uintptr_t)"";
    end.output = output;
    end.log = log;
    end.was_cold = run->was_cold;
    (void)pthread_mutex_lock(&agent->lock);
    kept = agent->end_bytes;
    (void)pthread_mutex_unlock(&agent->lock);
    err = kept + output.len + log.len > AGENT_END_BYTES_MAX ? -ENOBUFS : pack_up(run, &end);
    if (err != 0)
        pack_without(run, &end, err);
}

/* Of several members: one after the other. */
static void
pack_all(struct agent_run *run)
{
    struct buffer output = {0}, log = {0};
    size_t cut;

    for (uint32_t i = 0; i < run->key.members; i++) {
        const struct agent_member *member = &run->members[i];

        buffer_append(&output, member->output.bytes, member->output.count);
        buffer_append(&log, member->log.bytes, member->log.count);
        output.err = output.err != 0 ? output.err : member->output.err;
    }
    if (output.err != 0) {
        run->end.kind = RPC__HOST_END_KIND__HOST_END_LOST;
        run->end.err = -ENOMEM;
        output.count = 0;
    }
    cut = log.count > AGENT_LOGS_BYTES_MAX ? log.count - AGENT_LOGS_BYTES_MAX : 0;
    pack(run, (ProtobufCBinaryData){output.count, output.bytes},
         (ProtobufCBinaryData){log.count - cut, log.count > 0 ? log.bytes + cut : NULL});
    buffer_fini(&output);
    buffer_fini(&log);
}

void
agent_end_pack_saved(struct agent_run *run, const char *reason)
{
    Rpc__HostUp *up =
        (void *)rpc_read(run->packed.bytes, run->packed.count, &rpc__host_up__descriptor);
    char *old;

    if (up == NULL) {
        buffer_fini(&run->packed);
        run->packed = (struct buffer){0};
        return;
    }
    ASSERT(up->is_case == RPC__HOST_UP__IS_END && up->end->proto.len == 0);
    old = up->end->message;
    if (reason == NULL) {
        up->end->proto = (ProtobufCBinaryData){STORE_HASH_BYTES, run->saved.bytes};
    } else {
        up->end->kind = RPC__HOST_END_KIND__HOST_END_FAILED;
        up->end->err = run->save_err;
        up->end->message = (char *)(uintptr_t)reason;
    }
    if (pack_up(run, up->end) != 0) {
        buffer_fini(&run->packed);
        run->packed = (struct buffer){0};
    }
    up->end->proto = (ProtobufCBinaryData){0, NULL};
    up->end->message = old;
    rpc__host_up__free_unpacked(up, NULL);
}

/* ---------------------------------------------------------------------------- telling */

static int
send_end(struct agent_run *run, uint64_t epoch)
{
    Rpc__HostRun words = run_of(&run->key);
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    Rpc__HostUp up = RPC__HOST_UP__INIT;

    if (run->packed.count > 0)
        return agent_send_bytes(run->agent, epoch, run->packed.bytes, run->packed.count);
    end.run = &words;
    end.kind = RPC__HOST_END_KIND__HOST_END_LOST;
    end.err = -ENOMEM;
    end.message = (char *)(uintptr_t)"there was no memory for its end";
    up.is_case = RPC__HOST_UP__IS_END;
    up.end = &end;
    return agent_send(run->agent, epoch, &up);
}

/* One that is lost with the connection is told on the next. */
void
agent_end_tell(struct agent_run *run, uint64_t epoch)
{
    struct agent *agent = run->agent;
    int err = epoch != 0 ? send_end(run, epoch) : -EPIPE;

    if (err != 0 && err != -EPIPE)
        agent_retry(agent);
    (void)pthread_mutex_lock(&agent->lock);
    if (err == 0)
        run->told_epoch = epoch;
    agent_run_put(run);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* ----------------------------------------------------------------------------- ending */

/* With the lock: its work is done, what it used is free. */
static void
give_back(struct agent_run *run)
{
    struct agent *agent = run->agent;
    struct agent_function *function = run->function;

    agent->calls--;
    agent->members_used -= run->key.members;
    agent->ended++;
    run->function = NULL;
    if (function == NULL)
        return;
    if (run->accepted_ns != 0) {
        function->tenant->runs--;
        function->tenant->last_end_ns = clock_now_ns();
        if (run->end.kind == RPC__HOST_END_KIND__HOST_END_LOST)
            function->tenant->cells++;
    }
    agent_function_put(agent, function);
}

/* All its members are over: nobody else has its end now. Gives the reference of the work
 * back. */
static void
finish(struct agent_run *run)
{
    struct agent *agent = run->agent;
    uint64_t epoch = 0;
    bool is_told = false;

    (void)pthread_mutex_lock(&agent->lock);
    give_back(run);
    if (!run->is_dropped && run->saved_fd >= 0) {
        run->state = RUN_SAVING;
        agent_disk_push(agent, &run->job, JOB_SAVE, run);
    } else if (!run->is_dropped) {
        run->state = RUN_ENDED;
        agent->unheard++;
        agent->end_bytes += run->packed.count;
        epoch = agent_epoch(agent);
        is_told = true;
    } else {
        agent_run_put(run);
    }
    (void)pthread_mutex_unlock(&agent->lock);
    if (is_told)
        agent_end_tell(run, epoch);
}

/* Of a call that was to be frozen. */
static void
keep_saved(struct agent_run *run, struct worker_end *end)
{
    if (!run->is_save || end->kind != WORKER_DONE)
        return;
    if (end->saved_fd >= 0)
        run->saved_fd = fcntl(end->saved_fd, F_DUPFD_CLOEXEC, 3);
    if (run->saved_fd >= 0)
        return;
    end->kind = WORKER_FAILED;
    end->err = end->saved_fd >= 0 ? -errno : -ENOTSUP;
    end->message = "its cell gave no Proto-Faaslet";
}

/* With the lock. Whether it was the last. */
static bool
end_member(struct agent_member *member, const struct worker_end *end)
{
    struct agent_run *run = member->run;
    struct agent_member **at = &run->agent->members[member->id % AGENT_BUCKETS];
    ProtobufCBinaryData output = output_of(end), log = log_of(end);

    ASSERT(!member->is_over && run->running > 0);
    member->is_over = true;
    if (member->is_listed) {
        while (*at != member)
            at = &(*at)->by_id;
        *at = member->by_id;
    }
    merge(run, end);
    if (end->is_world_end) {
        run->is_doomed = true;
        agent_run_cancel(run);
    }
    if (run->key.members > 1) {
        buffer_append(&member->output, output.data, output.len);
        buffer_append(&member->log, log.data, log.len);
    }
    return --run->running == 0;
}

void
agent_end_heard(void *context, const struct worker_end *given)
{
    struct agent_member *member = context;
    struct agent_run *run = member->run;
    struct worker_end end = *given;
    bool is_last;

    keep_saved(run, &end);
    (void)pthread_mutex_lock(&run->agent->lock);
    is_last = end_member(member, &end);
    (void)pthread_mutex_unlock(&run->agent->lock);
    if (!is_last)
        return;
    if (run->key.members > 1)
        pack_all(run);
    else
        pack(run, output_of(&end), log_of(&end));
    finish(run);
}

void
agent_end_run(struct agent_run *run, enum worker_end_kind kind, int err, const char *message)
{
    const struct worker_end end = {.kind = kind,
                                   .err = err,
                                   .message = message,
                                   .limit = kind == WORKER_LIMIT ? WORKER_LIMIT_TIME : 0};

    (void)pthread_mutex_lock(&run->agent->lock);
    ASSERT(run->state == RUN_WAITING && run->running == 0);
    merge(run, &end);
    (void)pthread_mutex_unlock(&run->agent->lock);
    pack(run, (ProtobufCBinaryData){0, NULL}, (ProtobufCBinaryData){0, NULL});
    protobuf_c_message_free_unpacked(&run->down->base, NULL);
    run->down = NULL;
    finish(run);
}
