/* SPDX-License-Identifier: Apache-2.0
 *
 * clock_*, random_get, sched_yield, proc_*, thread-spawn.
 */
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "hostcall/hostcall_internal.h"

#define SIGNAL_CHLD  16u
#define SIGNAL_CONT  17u
#define SIGNAL_TTOU  21u
#define SIGNAL_URG   22u
#define SIGNAL_WINCH 27u
#define SIGNAL_LAST  30u

static const clockid_t clocks[] = {
    [WASI_REALTIME] = CLOCK_REALTIME,
    [WASI_MONOTONIC] = CLOCK_MONOTONIC,
    [WASI_PROCESS_CPUTIME] = CLOCK_PROCESS_CPUTIME_ID,
    [WASI_THREAD_CPUTIME] = CLOCK_THREAD_CPUTIME_ID,
};

typedef int (*clock_fn)(clockid_t clock, struct timespec *out);

static enum faaslet_verdict
clock_call(struct faaslet_call *call, uint32_t result_at, clock_fn function)
{
    uint32_t clock = wasi_arg(call, 0);
    struct timespec time;
    int err = wasi_check(call, result_at, 8);

    if (err == 0 && clock >= ARRAY_COUNT(clocks))
        err = -EINVAL;
    if (err == 0 && function(clocks[clock], &time) != 0)
        err = -errno;
    if (err == 0)
        wasi_store_u64(call, result_at,
                       (uint64_t)time.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)time.tv_nsec);
    return wasi_done(call, err);
}

/* Those that the kernel has to be asked about, who is sealed cannot: they are counted
 * in nanoseconds. */
static int
resolution(clockid_t clock, struct timespec *out)
{
    if (clock_getres(clock, out) == 0)
        return 0;
    if (errno != ENOSYS)
        return -1;
    *out = (struct timespec){.tv_nsec = 1};
    return 0;
}

enum faaslet_verdict
wasi_clock_res_get(struct faaslet_call *call)
{
    return clock_call(call, wasi_arg(call, 1), resolution);
}

enum faaslet_verdict
wasi_clock_time_get(struct faaslet_call *call)
{
    return clock_call(call, wasi_arg(call, 2), clock_gettime);
}

enum faaslet_verdict
wasi_random_get(struct faaslet_call *call)
{
    uint32_t bytes = wasi_arg(call, 1);
    uint8_t *at = faaslet_call_range(call, wasi_arg(call, 0), bytes);
    size_t done = 0;

    if (at == NULL)
        return wasi_done(call, -EFAULT);
    while (done < bytes) {
        ssize_t got = getrandom(at + done, bytes - done, 0);

        if (got < 0 && errno != EINTR)
            return wasi_done(call, -errno);
        if (got > 0)
            done += (size_t)got;
    }
    return wasi_done(call, 0);
}

/* It goes on at once, but after all others that could: those of its own process, for which it
 * may spin, too. */
enum faaslet_verdict
wasi_sched_yield(struct faaslet_call *call)
{
    if (call->scratch[0]++ != 0)
        return wasi_done(call, 0);
    call->wait->deadline_ns = 0;
    return FAASLET_CALL_PENDING;
}

/* The thread's number, or one of WASI's errors, negative. */
enum faaslet_verdict
wasi_thread_spawn(struct faaslet_call *call)
{
    uint32_t id = 0;
    int err = faaslet_call_spawn(call, wasi_arg(call, 0), &id);

    if (err == -EAGAIN && call->refused != NULL)
        *call->refused |= 1u << FAASLET_LIMIT_THREADS;
    call->args[0] = err == 0 ? id : (uint32_t)-(int32_t)wasi_errno(err);
    return FAASLET_CALL_DONE;
}

enum faaslet_verdict
wasi_proc_exit(struct faaslet_call *call)
{
    if (keys_save_all(call) == -EINPROGRESS)
        return FAASLET_CALL_PENDING;
    call->exit_code = (int)wasi_arg(call, 0);
    return FAASLET_CALL_EXIT;
}

/* A guest has no handlers here (its libc emulates them), so a signal does what it
 * does by default: nothing, or the end with the status a shell would show. */
enum faaslet_verdict
wasi_proc_raise(struct faaslet_call *call)
{
    uint32_t signal = wasi_arg(call, 0);

    if (signal > SIGNAL_LAST)
        return wasi_done(call, -EINVAL);
    if (signal == 0 || signal == SIGNAL_CHLD || signal == SIGNAL_CONT || signal == SIGNAL_URG ||
        signal == SIGNAL_WINCH)
        return wasi_done(call, 0);
    if (signal > SIGNAL_CONT && signal <= SIGNAL_TTOU) /* would stop the process */
        return wasi_done(call, -EOPNOTSUPP);
    /* From 16 on the host has one more number (SIGSTKFLT). */
    call->exit_code = 128 + (int)(signal < SIGNAL_CHLD ? signal : signal + 1);
    return FAASLET_CALL_EXIT;
}
