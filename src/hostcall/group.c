/* SPDX-License-Identifier: Apache-2.0
 *
 * Module "weft_group": what a member of a group can do. guest/mpi/net.h says what each is for;
 * all about messages and waiting is in the room group. A guest that uses it as nobody should ends
 * as a trap that says so.
 */
#include <errno.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define MISSES_MAX 8u /* messages that were not there, in a row, without waiting */

static const char no_member[] = "there is no such member of the group";

int
hostcall_group_register(struct hostcall_group *group)
{
    return registry_add(&group->registered, HOSTCALL_REGISTERED_GROUP);
}

void
hostcall_group_unregister(struct hostcall_group *group)
{
    registry_remove(&group->registered);
}

const struct hostcall_group *
member_group_find(uint64_t number)
{
    struct hostcall_registered *found = registry_find(number, HOSTCALL_REGISTERED_GROUP);

    return found == NULL ? NULL : HOSTCALL_OF(found, struct hostcall_group);
}

bool
member_has_others(const struct hostcall_process *process)
{
    return process->group != NULL && group_count(process->group->group) > 1;
}

/* ------------------------------------------------------------------------- being moved */

void
member_away(void *object)
{
    const struct hostcall_process *process = object;

    if (process->group != NULL)
        group_away(process->group->group, process->member);
}

void
member_settle(void *object, const struct faaslet *faaslet)
{
    const struct hostcall_process *process = object;

    if (process->group != NULL)
        group_settle(process->group->group, process->member, faaslet_memory(faaslet),
                     faaslet_memory_bytes(faaslet));
}

/* ------------------------------------------------------------------------------- verdicts */

static enum faaslet_verdict
trap(struct faaslet_call *call, const char *message)
{
    call->trap = ABI_TRAP_HOST;
    call->message = message;
    return FAASLET_CALL_TRAP;
}

static enum faaslet_verdict
trap_bounds(struct faaslet_call *call)
{
    call->trap = ABI_TRAP_MEMORY_BOUNDS;
    return FAASLET_CALL_TRAP;
}

/* What one that did not end the group comes to. */
static enum faaslet_verdict
end_with_group(struct faaslet_call *call)
{
    call->limit = FAASLET_LIMIT_KILL;
    return FAASLET_CALL_LIMIT;
}

static enum faaslet_verdict
done_with(struct faaslet_call *call, uint32_t result)
{
    call->args[0] = result;
    return FAASLET_CALL_DONE;
}

/* The group of a member that is in it. NULL: *verdict. */
static struct group *
group_of(struct faaslet_call *call, enum faaslet_verdict *verdict)
{
    const struct hostcall_process *process = wasi_process(call);
    struct group *group = process->group != NULL ? process->group->group : NULL;

    if (group == NULL || group_presence(group, process->member) != GROUP_ENTERED)
        *verdict = trap(call, "it is in no group, or has left it");
    else if (group_ended(group, NULL) != GROUP_GOES_ON)
        *verdict = end_with_group(call);
    else
        return group;
    return NULL;
}

/* ------------------------------------------------------------------------ enter and leave */

enum faaslet_verdict
weft_group_enter(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    uint32_t member_at = wasi_arg(call, 0), count_at = wasi_arg(call, 1);
    struct group *group;

    if (wasi_check(call, member_at, 4) != 0 || wasi_check(call, count_at, 4) != 0)
        return trap_bounds(call);
    if (process->group == NULL)
        return done_with(call, UINT32_MAX);
    group = process->group->group;
    if (call->has_shares && member_has_others(process))
        return trap(call, "it has mapped state: it cannot be one of several members of a group");
    if (group_enter(group, process->member, call->memory, call->memory_bytes) != 0)
        return trap(call, "it has entered its group before");
    wasi_store_u32(call, member_at, process->member);
    wasi_store_u32(call, count_at, group_count(group));
    return done_with(call, 0);
}

enum faaslet_verdict
weft_group_leave(struct faaslet_call *call)
{
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);

    if (group == NULL)
        return verdict;
    group_leave(group, wasi_process(call)->member);
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
weft_group_abort(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    const struct group_end end = {
        .kind = GROUP_ABORTED, .member = process->member, .code = (int32_t)wasi_arg(call, 0)};
    uint32_t bytes = wasi_arg(call, 2);
    const char *reason = faaslet_call_view(call, wasi_arg(call, 1), bytes);

    if (reason == NULL)
        return trap_bounds(call);
    if (process->group != NULL && !group_finish(process->group->group, &end, reason, bytes))
        return end_with_group(call);
    call->exit_code = end.code;
    return FAASLET_CALL_EXIT;
}

/* ------------------------------------------------------------------------------- messages */

static bool
is_alone(const struct faaslet_call *call)
{
    return call->faaslet == NULL || faaslet_thread(call->faaslet, 1) == NULL;
}

/* What it did may be what another thread of it waits for. */
static void
tell_threads(struct faaslet_call *call, struct group *group)
{
    if (!is_alone(call))
        group_poke(group, wasi_process(call)->member);
}

enum faaslet_verdict
weft_group_send(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    uint32_t to = wasi_arg(call, 0), head_bytes = wasi_arg(call, 2), body_bytes = wasi_arg(call, 4);
    const struct group_message message = {
        .head = faaslet_call_view(call, wasi_arg(call, 1), head_bytes),
        .body = faaslet_call_view(call, wasi_arg(call, 3), body_bytes),
        .head_bytes = head_bytes,
        .body_bytes = body_bytes,
    };
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);

    if (group == NULL)
        return verdict;
    if (message.head == NULL || message.body == NULL)
        return trap_bounds(call);
    if ((uint64_t)head_bytes + body_bytes > GROUP_MESSAGE_BYTES_MAX)
        return trap(call, "a message to a member of the group is too large");
    if (to >= group_count(group))
        return trap(call, no_member);
    group_grown(group, process->member, call->memory_bytes);
    if (group_send(group, process->member, to, &message) != 0)
        return done_with(call, 0);
    tell_threads(call, group);
    return done_with(call, 1);
}

/* What it says of a message. */
enum { RECEIVED_NOTHING, RECEIVED_STAYS, RECEIVED_TAKEN };

/* There is none. Who asks again and again instead of waiting (MPI_Test, MPI_Iprobe) lets others of
 * its cell run, which may have something to say. */
static enum faaslet_verdict
miss(struct faaslet_call *call, struct hostcall_process *process, struct group *group)
{
    bool is_back = call->scratch[0] != 0;

    if (!is_back && ++process->misses >= MISSES_MAX && !group_may_look(group, process->member)) {
        process->misses = 0;
        call->scratch[0] = 1;
        call->wait->deadline_ns = 0;
        call->wait->fd_count = 0;
        return FAASLET_CALL_PENDING;
    }
    return done_with(call, RECEIVED_NOTHING);
}

/* Copies the head, or, where the body has room behind it and no other thread is to hear of it, all
 * of the message, which is gone then. */
static uint32_t
receive(struct faaslet_call *call, struct group *group, uint8_t *to, uint32_t head_bytes,
        uint32_t bytes, uint32_t room)
{
    struct hostcall_process *process = wasi_process(call);
    bool is_taken = bytes - head_bytes <= room && is_alone(call);

    group_read(group, process->member, 0, to, is_taken ? bytes : head_bytes);
    process->received = is_taken ? 0 : head_bytes + 1;
    if (!is_taken)
        return RECEIVED_STAYS;
    (void)group_drop(group, process->member);
    return RECEIVED_TAKEN;
}

enum faaslet_verdict
weft_group_receive(struct faaslet_call *call)
{
    struct hostcall_process *process = wasi_process(call);
    uint32_t from_at = wasi_arg(call, 0), head_bytes = wasi_arg(call, 2);
    uint32_t body_at = wasi_arg(call, 3), room = wasi_arg(call, 4), from, bytes;
    void *to = faaslet_call_range(call, wasi_arg(call, 1), (uint64_t)head_bytes + room);
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);

    if (group == NULL)
        return verdict;
    if (to == NULL || wasi_check(call, from_at, 4) != 0 || wasi_check(call, body_at, 4) != 0)
        return trap_bounds(call);
    if (!group_peek(group, process->member, &from, &bytes))
        return miss(call, process, group);
    process->misses = 0;
    if (head_bytes > bytes)
        return trap(call, "a message of the group is shorter than its head");
    wasi_store_u32(call, from_at, from);
    wasi_store_u32(call, body_at, bytes - head_bytes);
    return done_with(call, receive(call, group, to, head_bytes, bytes, room));
}

enum faaslet_verdict
weft_group_take(struct faaslet_call *call)
{
    struct hostcall_process *process = wasi_process(call);
    uint32_t wanted = wasi_arg(call, 1), head_bytes = process->received - 1, from, bytes;
    void *to = faaslet_call_range(call, wasi_arg(call, 0), wanted);
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);

    if (group == NULL)
        return verdict;
    if (to == NULL)
        return trap_bounds(call);
    if (process->received == 0 || !group_peek(group, process->member, &from, &bytes))
        return trap(call, "there is no message of the group to be taken");
    if (wanted > bytes - head_bytes)
        return trap(call, "a message of the group is shorter than what is taken of it");
    group_read(group, process->member, head_bytes, to, wanted);
    process->received = 0;
    (void)group_drop(group, process->member);
    tell_threads(call, group);
    return FAASLET_CALL_DONE;
}

/* -------------------------------------------------------------------------------- waiting */

/* One of those that wait for each other tells of it, with where it stands. */
static enum faaslet_verdict
end_waiting(struct faaslet_call *call, struct group *group)
{
    struct group_end end;

    switch (group_ended(group, &end)) {
    case GROUP_GOES_ON:
        return FAASLET_CALL_DONE;
    case GROUP_DEADLOCK:
        if (end.member == wasi_process(call)->member)
            return trap(call, "deadlock: every rank waits");
        return end_with_group(call);
    default:
        return end_with_group(call);
    }
}

/* The group of one that waits, also where it has ended: it may have by its own deadlock. */
static struct group *
group_of_waiting(struct faaslet_call *call, enum faaslet_verdict *verdict)
{
    const struct hostcall_process *process = wasi_process(call);

    if (process->group != NULL &&
        group_presence(process->group->group, process->member) == GROUP_ENTERED)
        return process->group->group;
    return group_of(call, verdict);
}

static enum faaslet_verdict
pend_until(struct faaslet_call *call, uint64_t deadline_ns)
{
    call->wait->deadline_ns = deadline_ns;
    call->wait->fd_count = 0;
    return FAASLET_CALL_PENDING;
}

/* Of several threads one looks between others' calls of the host, which are one at a time. The
 * time is kept inverted, as it could look like a host address. */
static bool
looks_on(struct faaslet_call *call, struct group *group)
{
    uint64_t now_ns;

    if (is_alone(call) || !group_may_look(group, wasi_process(call)->member))
        return false;
    now_ns = clock_now_ns();
    if (call->scratch[0] == 0)
        call->scratch[0] = ~(now_ns + GROUP_SPIN_NS);
    return now_ns < ~call->scratch[0];
}

enum faaslet_verdict
weft_group_wait(struct faaslet_call *call)
{
    uint32_t bytes = wasi_arg(call, 1), word_at = wasi_arg(call, 2);
    const struct group_wait wait = {
        .what = faaslet_call_view(call, wasi_arg(call, 0), bytes),
        .bytes = bytes,
        .is_alone = is_alone(call),
    };
    const uint32_t *word = faaslet_call_view(call, word_at, sizeof(*word));
    struct hostcall_process *process = wasi_process(call);
    enum faaslet_verdict verdict;
    struct group *group = group_of_waiting(call, &verdict);

    if (group == NULL)
        return verdict;
    process->misses = 0;
    if (wait.what == NULL || word == NULL || word_at % sizeof(*word) != 0)
        return trap_bounds(call);
    /* Another thread, which told before this began to wait, counted before it did. */
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != wasi_arg(call, 3))
        return end_waiting(call, group);
    if (looks_on(call, group))
        return pend_until(call, 0);
    return group_wait(group, wasi_process(call)->member, &wait) ? end_waiting(call, group)
                                                                : pend_until(call, CLOCK_NEVER_NS);
}

/* --------------------------------------------------------------------------------- copies */

/* One that is being moved is there again soon. */
static enum faaslet_verdict
copied(struct faaslet_call *call, int err)
{
    switch (err) {
    case 0:
        return FAASLET_CALL_DONE;
    case -EAGAIN:
        return pend_until(call, 0);
    case -EFAULT:
        return trap_bounds(call);
    default:
        return trap(call, "the member of the group whose memory is to be copied is not there");
    }
}

/* Within the caller's own memory. */
static enum faaslet_verdict
copy_own(struct faaslet_call *call, uint64_t to_at, uint64_t from_at, uint64_t bytes)
{
    void *to = faaslet_call_range(call, to_at, bytes);
    const void *from = faaslet_call_view(call, from_at, bytes);

    if (to == NULL || from == NULL)
        return trap_bounds(call);
    if (bytes > 0)
        (void)memmove(to, from, bytes);
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
weft_group_get(struct faaslet_call *call)
{
    uint64_t address = call->args[1], bytes = call->args[3];
    uint32_t from = wasi_arg(call, 0), local = wasi_arg(call, 2);
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);
    void *to;

    if (group == NULL)
        return verdict;
    if (from == wasi_process(call)->member)
        return copy_own(call, local, address, bytes);
    to = faaslet_call_range(call, local, bytes);
    if (to == NULL)
        return trap_bounds(call);
    if (from >= group_count(group))
        return trap(call, no_member);
    return copied(call, group_get(group, from, address, to, bytes));
}

enum faaslet_verdict
weft_group_put(struct faaslet_call *call)
{
    uint64_t address = call->args[1], bytes = call->args[3];
    uint32_t to = wasi_arg(call, 0), local = wasi_arg(call, 2);
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);
    const void *from;

    if (group == NULL)
        return verdict;
    if (to == wasi_process(call)->member)
        return copy_own(call, address, local, bytes);
    from = faaslet_call_view(call, local, bytes);
    if (from == NULL)
        return trap_bounds(call);
    if (to >= group_count(group))
        return trap(call, no_member);
    return copied(call, group_put(group, to, address, from, bytes));
}

/* One that has not this memory any more, or yet, has none that could be changed. */
enum faaslet_verdict
weft_group_change(struct faaslet_call *call)
{
    uint32_t member = wasi_arg(call, 0);
    const struct group_change change = {
        .kind = wasi_arg(call, 3),
        .bytes = wasi_arg(call, 2),
        .address = call->args[1],
        .value = call->args[4],
        .expected = call->args[5],
    };
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);
    uint64_t old;
    int err;

    if (group == NULL)
        return verdict;
    if (member >= group_count(group))
        return trap(call, no_member);
    if (member == wasi_process(call)->member) /* its own, which it need not have told of */
        group_grown(group, member, call->memory_bytes);
    err = group_change(group, member, &change, &old);
    if (err == -EINVAL)
        return trap(call, "a change of a member's memory is not of 4 or 8 aligned bytes");
    if (err == 0)
        call->args[0] = old;
    return copied(call, err);
}

/* ----------------------------------------------------------------------------------- shares */

/* 0: it cannot be had. */
enum faaslet_verdict
weft_group_share(struct faaslet_call *call)
{
    uint64_t key = call->args[0], bytes = call->args[1], offset;
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);
    struct mem_share *share;

    if (group == NULL)
        return verdict;
    if (group_share(group, key, bytes, &share) != 0)
        return done_with(call, 0);
    if (faaslet_call_share(call, share, 0, bytes, true, &offset) != 0) {
        (void)group_unshare(group, key);
        return done_with(call, 0);
    }
    group_grown(group, wasi_process(call)->member, call->memory_bytes);
    return done_with(call, (uint32_t)offset);
}

enum faaslet_verdict
weft_group_unshare(struct faaslet_call *call)
{
    uint64_t key = call->args[0];
    enum faaslet_verdict verdict;
    struct group *group = group_of(call, &verdict);

    if (group == NULL)
        return verdict;
    if (faaslet_call_unshare(call, wasi_arg(call, 1)) != 0 || !group_unshare(group, key))
        return trap(call, "nothing of the group is shared there");
    return FAASLET_CALL_DONE;
}

/* ----------------------------------------------------------------------------------- rest */

/* A group is in one process. */
enum faaslet_verdict
weft_group_is_near(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    uint32_t count = process->group != NULL ? group_count(process->group->group) : 1;

    return done_with(call, wasi_arg(call, 0) < count);
}

enum faaslet_verdict
weft_group_time(struct faaslet_call *call)
{
    double seconds = (double)clock_now_ns() / CLOCK_NS_PER_SECOND;

    (void)memcpy(&call->args[0], &seconds, sizeof(seconds));
    return FAASLET_CALL_DONE;
}
