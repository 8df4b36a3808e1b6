/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that a guest starts: everything about them is in the hands of the record's
 * hostcall_chain; here are only numbers, and guest memory.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define FLAG_DETACHED 1u
#define POLL_AT_ONCE  256u
#define AWAIT_ALL     1u

int
hostcall_chain_register(struct hostcall_chain *chain)
{
    return registry_add(&chain->registered, HOSTCALL_REGISTERED_CHAIN);
}

void
hostcall_chain_unregister(struct hostcall_chain *chain)
{
    registry_remove(&chain->registered);
}

const struct hostcall_chain *
chain_find(uint64_t number)
{
    struct hostcall_registered *found = registry_find(number, HOSTCALL_REGISTERED_CHAIN);

    return found == NULL ? NULL : HOSTCALL_OF(found, struct hostcall_chain);
}

/* ------------------------------------------------------------------------ starting */

/* What the guest cannot name ends where it is printed. */
static int
read_reference(const struct faaslet_call *call, char out[HOSTCALL_NAME_BYTES_MAX + 1])
{
    uint32_t bytes = wasi_arg(call, 1);
    const char *from = faaslet_call_view(call, wasi_arg(call, 0), bytes);

    if (from == NULL)
        return -EFAULT;
    if (bytes == 0 || bytes > HOSTCALL_NAME_BYTES_MAX)
        return bytes == 0 ? -EINVAL : -ENAMETOOLONG;
    (void)memcpy(out, from, bytes); /* first: other threads may change it */
    out[bytes] = '\0';
    for (uint32_t i = 0; i < bytes; i++)
        if (out[i] <= ' ' || out[i] > '~')
            return -EINVAL;
    return 0;
}

int
chain_start(struct faaslet_call *call, const struct hostcall_chain_start *wanted, uint64_t *handle)
{
    const struct hostcall_process *process = wasi_process(call);
    int err;

    if (process->chain == NULL)
        return -ENOSYS;
    if (wanted->input_bytes > HOSTCALL_INPUT_BYTES_MAX)
        return -E2BIG;
    err = process->chain->ops->start(process->chain->context, process->call, wanted, handle);
    if ((err == -EMFILE || err == -ELOOP || err == -EAGAIN) && call->refused != NULL)
        *call->refused |= 1u << FAASLET_LIMIT_CALLS;
    return err;
}

/* Arguments from `at` on: input, its bytes, flags, time, where the handle goes. */
static enum faaslet_verdict
start(struct faaslet_call *call, struct hostcall_chain_start *wanted, unsigned at)
{
    uint32_t flags = wasi_arg(call, at + 2), handle_at = wasi_arg(call, at + 4);
    uint64_t handle = 0;
    int err = wasi_check(call, handle_at, sizeof(handle));

    wanted->input_bytes = wasi_arg(call, at + 1);
    wanted->input = faaslet_call_view(call, wasi_arg(call, at), wanted->input_bytes);
    wanted->is_detached = (flags & FLAG_DETACHED) != 0;
    wanted->wall_ns = call->args[at + 3];
    if (err == 0 && wanted->input == NULL)
        err = -EFAULT;
    if (err == 0 && (flags & ~FLAG_DETACHED) != 0)
        err = -EINVAL;
    if (err == 0)
        err = chain_start(call, wanted, &handle);
    if (err == 0)
        wasi_store_u64(call, handle_at, handle);
    return wasi_done(call, err);
}

enum faaslet_verdict
weft_chain(struct faaslet_call *call)
{
    char reference[HOSTCALL_NAME_BYTES_MAX + 1];
    struct hostcall_chain_start wanted = {.reference = reference};
    int err = read_reference(call, reference);

    return err != 0 ? wasi_done(call, err) : start(call, &wanted, 2);
}

enum faaslet_verdict
weft_chain_pointer(struct faaslet_call *call)
{
    struct hostcall_chain_start wanted = {.pointer = wasi_arg(call, 0)};

    return wanted.pointer == 0 ? wasi_done(call, -EINVAL) : start(call, &wanted, 1);
}

/* ------------------------------------------------------------------------ awaiting */

struct guest_end {
    uint32_t status;
    int32_t code;
    uint32_t output_bytes, message_bytes;
};
static_assert(sizeof(struct guest_end) == 16, "weft_end");

/* Arguments, once they are checked. */
struct awaiting {
    struct faaslet_call *call;
    const struct hostcall_chain *chain;
    uint64_t number; /* of the call */
    const uint8_t *handles;
    uint32_t count, ends_at, place_at;
};

static uint64_t
handle_of(const struct awaiting *awaiting, uint32_t place)
{
    uint64_t handle;

    (void)memcpy(&handle, awaiting->handles + place * sizeof(handle), sizeof(handle));
    return handle;
}

static int
store_end(const struct awaiting *awaiting, uint32_t from, uint32_t to)
{
    struct hostcall_chain_end end = {.kind = HOSTCALL_RUNNING};
    int err = awaiting->chain->ops->end(awaiting->chain->context, awaiting->number,
                                        handle_of(awaiting, from), &end);
    const struct guest_end out = {
        .status = end.kind,
        .code = end.kind == HOSTCALL_FAILED ? wasi_errno(end.code) : end.code,
        .output_bytes = end.bytes[HOSTCALL_STREAM_RESULT],
        .message_bytes = end.bytes[HOSTCALL_STREAM_MESSAGE],
    };

    if (err == 0)
        wasi_store(awaiting->call, awaiting->ends_at + to * (uint32_t)sizeof(out), &out,
                   sizeof(out));
    return err;
}

/* The place of the first that is over; count; or -errno. */
static int64_t
poll_any(const struct awaiting *awaiting)
{
    uint64_t handles[POLL_AT_ONCE];

    for (uint32_t at = 0; at < awaiting->count; at += POLL_AT_ONCE) {
        uint32_t left = awaiting->count - at;
        size_t count = left < POLL_AT_ONCE ? left : POLL_AT_ONCE;
        int64_t place;

        (void)memcpy(handles, awaiting->handles + at * sizeof(*handles), count * sizeof(*handles));
        place =
            awaiting->chain->ops->poll(awaiting->chain->context, awaiting->number, handles, count);
        if (place < 0 || (size_t)place < count)
            return place < 0 ? place : place + at;
    }
    return awaiting->count;
}

/* The place of the first that is not over, from where it was the last time: one that is
 * over stays so. */
static int64_t
poll_all(const struct awaiting *awaiting)
{
    uint64_t *progress = &awaiting->call->scratch[1];

    for (; *progress < awaiting->count; ++*progress) {
        uint64_t handle = handle_of(awaiting, (uint32_t)*progress);
        int64_t place =
            awaiting->chain->ops->poll(awaiting->chain->context, awaiting->number, &handle, 1);

        if (place != 0)
            return place < 0 ? place : (int64_t)*progress;
    }
    return awaiting->count;
}

/* False: it goes on waiting. A time counts from the first call; it is kept inverted, as
 * it could look like a host address. */
static bool
is_time_up(struct faaslet_call *call)
{
    int64_t timeout = (int64_t)call->args[3];
    uint64_t now = clock_now_ns(), deadline = CLOCK_NEVER_NS;

    if (timeout == 0)
        return true;
    if (call->scratch[0] == 0 && timeout > 0)
        call->scratch[0] = ~(now + (uint64_t)timeout);
    if (timeout > 0)
        deadline = ~call->scratch[0];
    call->wait->deadline_ns = deadline;
    call->wait->fd_count = 0;
    return now >= deadline;
}

static enum faaslet_verdict
await_any(const struct awaiting *awaiting)
{
    int64_t place = poll_any(awaiting);
    int err = place < 0 ? (int)place : 0;

    if (place == awaiting->count) {
        if (!is_time_up(awaiting->call))
            return FAASLET_CALL_PENDING;
        return wasi_done(awaiting->call, -ETIMEDOUT);
    }
    if (err == 0)
        err = store_end(awaiting, (uint32_t)place, 0);
    if (err == 0)
        wasi_store_u32(awaiting->call, awaiting->place_at, (uint32_t)place);
    return wasi_done(awaiting->call, err);
}

/* What is over by then is told also when the time is up. */
static enum faaslet_verdict
await_all(const struct awaiting *awaiting)
{
    int64_t place = poll_all(awaiting);
    int err = place < 0 ? (int)place : 0;

    if (err == 0 && place < awaiting->count && !is_time_up(awaiting->call))
        return FAASLET_CALL_PENDING;
    for (uint32_t i = 0; i < awaiting->count && err == 0; i++)
        err = store_end(awaiting, i, i);
    if (err == 0)
        wasi_store_u32(awaiting->call, awaiting->place_at, (uint32_t)place);
    return wasi_done(awaiting->call, err == 0 && place < awaiting->count ? -ETIMEDOUT : err);
}

enum faaslet_verdict
weft_await(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    uint32_t mode = wasi_arg(call, 2);
    struct awaiting awaiting = {
        .call = call,
        .chain = process->chain,
        .number = process->call,
        .count = wasi_arg(call, 1),
        .ends_at = wasi_arg(call, 4),
        .place_at = wasi_arg(call, 5),
    };
    uint64_t ends = mode == AWAIT_ALL ? awaiting.count : 1;

    awaiting.handles =
        faaslet_call_view(call, wasi_arg(call, 0), (uint64_t)awaiting.count * sizeof(uint64_t));
    if (awaiting.handles == NULL || wasi_check(call, awaiting.place_at, 4) != 0 ||
        wasi_check(call, awaiting.ends_at, ends * sizeof(struct guest_end)) != 0)
        return wasi_done(call, -EFAULT);
    if (mode > AWAIT_ALL || awaiting.count > HOSTCALL_HANDLES_MAX ||
        (awaiting.count == 0 && mode != AWAIT_ALL))
        return wasi_done(call, -EINVAL);
    if (process->chain == NULL)
        return wasi_done(call, -ENOSYS);
    return mode == AWAIT_ALL ? await_all(&awaiting) : await_any(&awaiting);
}

/* --------------------------------------------------------------- what came of a call */

enum faaslet_verdict
weft_read(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    uint32_t stream = wasi_arg(call, 1), bytes = wasi_arg(call, 4), done_at = wasi_arg(call, 5);
    struct hostcall_chain_read read = {
        .offset = wasi_arg(call, 2),
        .to = faaslet_call_range(call, wasi_arg(call, 3), bytes),
        .bytes = bytes,
    };
    int err = wasi_check(call, done_at, sizeof(uint32_t));

    if (err == 0 && read.to == NULL)
        err = -EFAULT;
    if (err == 0 && stream >= HOSTCALL_STREAM_COUNT)
        err = -EINVAL;
    if (err == 0)
        err = process->chain == NULL
                  ? -ENOSYS
                  : process->chain->ops->read(process->chain->context, process->call, call->args[0],
                                              (enum hostcall_stream)stream, &read);
    if (err == 0)
        wasi_store_u32(call, done_at, (uint32_t)read.done);
    return wasi_done(call, err);
}

enum faaslet_verdict
weft_cancel(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    const struct hostcall_chain *chain = process->chain;

    return wasi_done(call, chain == NULL
                               ? -ENOSYS
                               : chain->ops->cancel(chain->context, process->call, call->args[0]));
}

enum faaslet_verdict
weft_forget(struct faaslet_call *call)
{
    const struct hostcall_process *process = wasi_process(call);
    const struct hostcall_chain *chain = process->chain;

    return wasi_done(call, chain == NULL
                               ? -ENOSYS
                               : chain->ops->forget(chain->context, process->call, call->args[0]));
}
