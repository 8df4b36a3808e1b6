/* SPDX-License-Identifier: Apache-2.0
 *
 * State of a cell that is a process of its own: the local tier's words go to the worker, and the
 * worker's to it. A session with the global tier is asked for when a guest first wants one, and
 * anew whenever the connection is.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cell/serve_internal.h"

/* An empty word asks for a session. */
static void
say_bytes(struct serve *serve, uint8_t *bytes, size_t count)
{
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT;

    reply.is_case = RPC__CELL_REPLY__IS_STATE;
    reply.state = (ProtobufCBinaryData){count, bytes};
    serve_reply(serve, &reply);
}

/* Words in order come one at a time; without memory for one the connection is of no use. */
static void
say(void *context, const Rpc__StateUp *up)
{
    struct serve *serve = context;
    size_t count = rpc__state_up__get_packed_size(up);
    uint8_t *bytes = malloc(count + 1);

    if (bytes != NULL)
        say_bytes(serve, bytes, rpc__state_up__pack(up, bytes));
    else
        say_bytes(serve, NULL, 0);
    free(bytes);
}

/* The socket's thread looks at the time from now on. */
static void
want(void *context)
{
    struct serve *serve = context;
    const uint64_t one = 1;

    say_bytes(serve, NULL, 0);
    (void)!write(serve->event, &one, sizeof(one));
}

/* The waiter is the call's number. */
static void
wake(void *context, uint64_t waiter)
{
    struct serve *serve = context;
    struct serve_call *call;

    (void)pthread_mutex_lock(&serve->lock);
    call = serve_call_find(serve, waiter);
    if (call != NULL && call->id != 0)
        (void)cell_wake(serve->cell, call->id); /* it may be over by now */
    (void)pthread_mutex_unlock(&serve->lock);
}

int
serve_state_start(struct serve *serve)
{
    const struct state_config config = {.say = say, .want = want, .wake = wake, .context = serve};

    return state_create(&config, &serve->chain.state);
}

/* A tier that breaks the rules is begun anew with, too. */
void
serve_state_hear(struct serve *serve, const ProtobufCBinaryData *word)
{
    struct state *state = serve->chain.state;
    Rpc__StateDown *down;

    if (word->len == 0) {
        state_lost(state);
        return;
    }
    down = (void *)rpc_read(word->data, word->len, &rpc__state_down__descriptor);
    if (down == NULL || !state_hear(state, down))
        state_lost(state);
    if (down != NULL)
        rpc__state_down__free_unpacked(down, NULL);
}

int
serve_state_timeout_ms(const struct serve *serve)
{
    uint64_t now_ns, at_ns;

    if (serve->chain.state == NULL)
        return -1;
    now_ns = clock_now_ns();
    at_ns = state_tick(serve->chain.state, now_ns);
    if (at_ns == CLOCK_NEVER_NS)
        return -1;
    return at_ns <= now_ns
               ? 0
               : (int)((at_ns - now_ns) / 1000000 < 1000 ? (at_ns - now_ns) / 1000000 + 1 : 1000);
}

int
serve_state_absent(void *process, const struct mem_share *share, uint64_t offset)
{
    return hostcall_process_touch(process, share, offset);
}

int
serve_state_done(void *process)
{
    return hostcall_process_leave(process);
}

int
serve_state_attach(void *process, struct faaslet *faaslet)
{
    return hostcall_process_attach(process, faaslet);
}
