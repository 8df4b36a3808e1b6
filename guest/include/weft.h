/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program can ask of Weft, beside what the C library gives. For C and C++;
 * `weft cc` and `weft c++` find it and the little library behind it.
 *
 *     uint32_t count;
 *     char name[64];
 *     struct weft_end end;
 *     weft_handle call;
 *
 *     weft_input_read(0, name, sizeof(name), &count);          read what one was given
 *     weft_chain("greet", name, count, 0, 0, &call);           let another function work
 *     weft_await(call, WEFT_FOR_EVER, &end);                   wait for it
 *     if (end.status == WEFT_DONE)                             take what it answers
 *         weft_read(call, WEFT_RESULT, 0, name, sizeof(name), &count);
 *     weft_output(name, count);                                and answer oneself
 *
 * Functions that return int return 0, or a number of <errno.h>. Nothing here is ever
 * interrupted, and nothing but weft_await* waits.
 */
#ifndef WEFT_H
#define WEFT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_IMPORT(name) __attribute__((import_module("weft"), import_name(name)))

/* ------------------------------------------------------------------ input and result */

/* The bytes that this call was given; the same that standard input has, but at any
 * offset and as often as wanted. Reading past the end reads less, or nothing. */
WEFT_IMPORT("input_size") uint32_t weft_input_size(void);
WEFT_IMPORT("input_read")
int weft_input_read(uint32_t offset, void *to, uint32_t count, uint32_t *done);

/* Appends to the result, which is what the caller gets. It is apart from standard output
 * and standard error, but counts with them against the call's limit of output, at which the
 * call ends. ENOMEM. */
WEFT_IMPORT("output") int weft_output(const void *bytes, uint32_t count);

/* ------------------------------------------------------------------------- oneself */

/* The number of this call, that no other has in this place. */
WEFT_IMPORT("call_id") uint64_t weft_call_id(void);

/* The name of this function, of whose it is, or its version: as much as there is room for,
 * without a NUL, and the length of all of it. Length 0: not known, as under `weft run`. */
#define WEFT_FUNCTION 0u
#define WEFT_TENANT   1u
#define WEFT_VERSION  2u
WEFT_IMPORT("identity")
int weft_identity(uint32_t which, char *to, uint32_t count, uint32_t *length);

/* Nanoseconds until this call is stopped; INT64_MAX: it is not. */
WEFT_IMPORT("deadline_left") int64_t weft_deadline_left(void);

/* One line of the log (standard error), "info: text", whatever is in the text. EMSGSIZE:
 * more than 8192 bytes. */
#define WEFT_DEBUG   0u
#define WEFT_INFO    1u
#define WEFT_WARNING 2u
#define WEFT_ERROR   3u
WEFT_IMPORT("log") int weft_log(uint32_t level, const char *text, uint32_t count);

/* A good place to start from: after initialisation, before the first input. Where the
 * host makes a Proto-Faaslet (weft snapshot), every later start begins here. Returns 0
 * in the process that came here by itself, else a number that is not 0: open what must
 * be one's own, seed random numbers anew. Elsewhere it does nothing and returns 0. In a
 * call of weft_chain_pointer it does not return: the function runs, and the process ends. */
int weft_snapshot(void);

/* ------------------------------------------------------------------------- chaining */

/* A call that this call has started. It means something to this call only, is never 0,
 * and is good until it is forgotten. */
typedef uint64_t weft_handle;

#define WEFT_HANDLES_MAX 65536u      /* not forgotten, of one call */
#define WEFT_INPUT_MAX   (32u << 20) /* bytes */

/* Starts a call of a function: "name", the newest of that name; "name:alias" or
 * "name:version"; "tenant/name" where that tenant allows it. It runs in a Faaslet of its
 * own, with this input. timeout_ns: after which it is stopped, 0: as its function says; it
 * never runs longer than this call.
 *
 * When this call ends, those that it started and that run still are cancelled, unless they
 * were started WEFT_DETACHED.
 *
 * ENOENT: there is no such function. EINVAL, ENAMETOOLONG: that is no name. EMFILE: more
 * than WEFT_HANDLES_MAX. ELOOP: calls that started calls that started ... 256 deep.
 * EAGAIN: all calls that the tenant may have at a time exist; some may end. E2BIG: too much
 * input. ENOSYS: here nobody starts calls (weft run). What can be known only elsewhere comes
 * as WEFT_FAILED. */
#define WEFT_DETACHED 1u
WEFT_IMPORT("chain")
int weft_chain_bytes(const char *function, uint32_t function_count, const void *input,
                     uint32_t input_count, uint32_t flags, uint64_t timeout_ns, weft_handle *call);
static inline int
weft_chain(const char *function, const void *input, uint32_t count, uint32_t flags,
           uint64_t timeout_ns, weft_handle *call)
{
    return weft_chain_bytes(function, (uint32_t)__builtin_strlen(function), input, count, flags,
                            timeout_ns, call);
}

/* The same for a function of this program, in a new Faaslet: it begins where every call of
 * this program begins (globals have the values that initialisation gave them, not those of
 * now), and ends when the function returns. */
int weft_chain_pointer(void (*function)(void), const void *input, uint32_t count, uint32_t flags,
                       uint64_t timeout_ns, weft_handle *call);

enum weft_status {
    WEFT_RUNNING = 0,
    WEFT_DONE = 1,      /* returned, or exited with 0 */
    WEFT_EXIT = 2,      /* code: another exit code */
    WEFT_TRAP = 3,      /* code: which trap; the message says it in words */
    WEFT_LIMIT = 4,     /* code: 1 time, 2 processor time, 4 output */
    WEFT_CANCELLED = 5, /* by weft_cancel, or by somebody outside */
    WEFT_FAILED = 6,    /* it could not be run; code: a number of <errno.h> */
    WEFT_LOST = 7       /* the process that ran it died */
};

struct weft_end {
    uint32_t status; /* enum weft_status */
    int32_t code;
    uint32_t result_bytes, message_bytes;
};

/* Wait until a call is over; any of these; all of these. timeout_ns: ETIMEDOUT after it;
 * 0: do not wait; WEFT_FOR_EVER. A call that is over may be awaited again. EBADF: a handle
 * is none, or was forgotten.
 *
 * any: the first in the array that is over; *place is where. all: ends has room for every
 * one, also where it fails with ETIMEDOUT (some are WEFT_RUNNING then); *done is how many
 * at the beginning of the array are over. */
#define WEFT_FOR_EVER (-INT64_C(1))
WEFT_IMPORT("await")
int weft_await_many(const weft_handle *calls, uint32_t count, uint32_t is_all, int64_t timeout_ns,
                    struct weft_end *ends, uint32_t *place);
static inline int
weft_await_any(const weft_handle *calls, uint32_t count, int64_t timeout_ns, struct weft_end *end,
               uint32_t *place)
{
    return weft_await_many(calls, count, 0, timeout_ns, end, place);
}
static inline int
weft_await_all(const weft_handle *calls, uint32_t count, int64_t timeout_ns, struct weft_end *ends,
               uint32_t *done)
{
    return weft_await_many(calls, count, 1, timeout_ns, ends, done);
}
static inline int
weft_await(weft_handle call, int64_t timeout_ns, struct weft_end *end)
{
    uint32_t place;

    return weft_await_many(&call, 1, 0, timeout_ns, end, &place);
}

/* What a call that is over left: its result, what it wrote to standard output and standard
 * error, and what happened to it in words. At any offset, as weft_input_read. EAGAIN: it is
 * not over. EBADF. */
#define WEFT_RESULT  0u
#define WEFT_STDOUT  1u
#define WEFT_STDERR  2u
#define WEFT_MESSAGE 3u
WEFT_IMPORT("read")
int weft_read(weft_handle call, uint32_t which, uint32_t offset, void *to, uint32_t count,
              uint32_t *done);

/* Ends it soon, as WEFT_CANCELLED, unless it is over. EBADF. */
WEFT_IMPORT("cancel") int weft_cancel(weft_handle call);

/* The handle, and what it keeps, is not wanted any more. A call that runs still is
 * cancelled, unless it is detached. EBADF. */
WEFT_IMPORT("forget") int weft_forget(weft_handle call);

#ifdef __cplusplus
}
#endif

#endif
