/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to the planner: dialled again and again, greeted, registered, kept alive,
 * and given up when it is silent. One thread, which owns all that is called "the link's".
 *
 *   DOWN --time--> DIALLING --connected--> GREETING --hello--> REGISTERING --welcome-->
 *   REGISTERED; from each back to DOWN, with the reason
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/agent_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

#define FRAMES_A_TURN  64u
#define SILENCE_NS_MIN UINT64_C(1000000)
#define SILENCE_NS_MAX UINT64_C(3600000000000)
#define TIMEOUT_MS_MAX 3600000

/* ------------------------------------------------------------------------------- sending */

uint64_t
agent_epoch(const struct agent *agent)
{
    return agent->is_registered ? agent->epoch : 0;
}

int
agent_send_bytes(struct agent *agent, uint64_t epoch, const void *bytes, size_t count)
{
    int err = -EPIPE;

    (void)pthread_mutex_lock(&agent->send_lock);
    if (agent->connection != NULL && agent->epoch == epoch) {
        err = fault_point("agent.send");
        if (err == 0)
            err = net_send(agent->connection, bytes, count, NULL, 0);
    }
    (void)pthread_mutex_unlock(&agent->send_lock);
    return err;
}

int
agent_send(struct agent *agent, uint64_t epoch, Rpc__HostUp *up)
{
    int err = -EPIPE;

    (void)pthread_mutex_lock(&agent->send_lock);
    if (agent->connection != NULL && agent->epoch == epoch) {
        err = fault_point("agent.send");
        if (err == 0)
            err = rpc_send(agent->connection, &up->base, NULL, 0);
    }
    (void)pthread_mutex_unlock(&agent->send_lock);
    return err;
}

void
agent_retry(struct agent *agent)
{
    (void)pthread_mutex_lock(&agent->lock);
    agent->is_retry_due = true;
    (void)pthread_mutex_unlock(&agent->lock);
    agent_wake(agent);
}

/* ---------------------------------------------------------------------- up, down, forgotten */

/* With both locks: what is read under either. */
static void
set_connection(struct agent *agent, struct net_connection *connection)
{
    (void)pthread_mutex_lock(&agent->lock);
    (void)pthread_mutex_lock(&agent->send_lock);
    agent->connection = connection;
    agent->epoch++;
    agent->is_registered = false;
    (void)pthread_mutex_unlock(&agent->send_lock);
    (void)pthread_mutex_unlock(&agent->lock);
}

static void
set_reason(struct agent *agent, const char *reason)
{
    (void)pthread_mutex_lock(&agent->lock);
    agent_reason(agent->reason, "%s", reason);
    (void)pthread_mutex_unlock(&agent->lock);
}

/* Whatever its state is. */
static void
hang_up(struct agent *agent, const char *reason)
{
    struct net_connection *connection = agent->connection;
    bool was_registered = agent->state == LINK_REGISTERED;

    set_connection(agent, NULL);
    set_reason(agent, reason);
    net_connection_destroy(connection);
    file_close(&agent->dialling_fd);
    agent->state = LINK_DOWN;
    agent->is_unread = false;
    agent->dial_at_ns = clock_now_ns() + net_backoff_next(&agent->backoff);
    if (was_registered) {
        agent_want_reset(agent);
        agent_chain_lose_all(agent);
    }
}

static void
hang_up_as(struct agent *agent, int err, const struct diag *diag)
{
    hang_up(agent, diag_text(diag)[0] != '\0' ? diag_text(diag) : strerror(-err));
}

/* The planner has not been heard for as long as it said: what runs may run elsewhere. */
static void
fall_silent(struct agent *agent)
{
    agent->heard_ns = CLOCK_NEVER_NS;
    agent_run_give_up(agent);
    if (agent->state == LINK_REGISTERED)
        hang_up(agent, "the planner was silent for too long");
}

static uint64_t
silence_at(const struct agent *agent)
{
    if (agent->silence_ns == 0 || agent->heard_ns == CLOCK_NEVER_NS)
        return CLOCK_NEVER_NS;
    return agent->heard_ns + agent->silence_ns;
}

/* ------------------------------------------------------------------------------- dialling */

static void
dial(struct agent *agent)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = agent};
    unsigned attempts = agent->backoff.attempts;
    const char *address = agent->address[attempts % agent->address_count];
    struct diag diag;
    int err;

    diag_init(&diag);
    err = net_dial(address, attempts / agent->address_count, &agent->dialling_fd, &diag);
    if (err == 0 && epoll_ctl(agent->epoll_fd, EPOLL_CTL_ADD, agent->dialling_fd, &event) != 0)
        err = -errno;
    agent->deadline_ns = clock_now_ns() + AGENT_GREETING_NS;
    if (err != 0)
        hang_up_as(agent, err, &diag);
    else
        agent->state = LINK_DIALLING;
}

static struct rpc_hello
hello_of(const struct agent *agent)
{
    return (struct rpc_hello){.protocol = HOST_PROTOCOL,
                              .version_min = RPC__HOST_VERSION__HOST_VERSION,
                              .version_max = RPC__HOST_VERSION__HOST_VERSION,
                              .who = agent->name};
}

static int
greet(struct agent *agent)
{
    static const struct net_limits limits = {0};
    const struct rpc_hello hello = hello_of(agent);
    struct net_connection *connection;
    int fd = agent->dialling_fd, err;

    agent->dialling_fd = -1;
    (void)epoll_ctl(agent->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    err = net_connection_create_secret(fd, agent->secret, false, &limits, &connection);
    if (err != 0)
        return err;
    set_connection(agent, connection);
    err = net_watch(connection, agent->epoll_fd, (uint64_t)(uintptr_t)agent);
    if (err != 0)
        return err;
    agent->state = LINK_GREETING;
    return rpc_hello_send(connection, &hello);
}

static void
dialled(struct agent *agent)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = net_dialled(agent->dialling_fd, &diag);
    if (err == -EAGAIN)
        return;
    if (err == 0)
        err = greet(agent);
    if (err != 0)
        hang_up_as(agent, err, &diag);
}

/* ---------------------------------------------------------------------------- first words */

static int
hear_hello(struct agent *agent, const struct net_frame *frame, struct diag *diag)
{
    const struct rpc_hello hello = hello_of(agent);
    struct rpc_peer peer;
    int err = rpc_hello_hear(agent->connection, frame, &hello, &peer, diag);

    if (err == 0)
        err = agent_register(agent);
    if (err == 0)
        agent->state = LINK_REGISTERING;
    return err;
}

static void
set_registered(struct agent *agent)
{
    (void)pthread_mutex_lock(&agent->lock);
    (void)pthread_mutex_lock(&agent->send_lock);
    agent->is_registered = true;
    (void)pthread_mutex_unlock(&agent->send_lock);
    (void)pthread_mutex_unlock(&agent->lock);
    agent->state = LINK_REGISTERED;
}

static bool
is_welcome(const Rpc__HostWelcome *welcome)
{
    return welcome->planner != 0 && welcome->beat_ns >= SILENCE_NS_MIN &&
           welcome->beat_ns <= welcome->silence_ns && welcome->silence_ns <= SILENCE_NS_MAX;
}

/* Runs that are not kept go before others can be started. */
static int
hear_welcome(struct agent *agent, const Rpc__HostDown *down, struct diag *diag)
{
    const Rpc__HostWelcome *welcome = down->welcome;
    uint64_t now_ns = clock_now_ns();

    if (down->is_case != RPC__HOST_DOWN__IS_WELCOME || !is_welcome(welcome))
        return diag_set(diag, -EPROTO, "the planner's first word is no welcome");
    agent_run_keep(agent, welcome->keep, welcome->n_keep);
    if (welcome->planner != agent->planner) {
        agent_function_forget_all(agent);
        agent_want_forget_all(agent);
        agent->is_draining = false;
    }
    agent->planner = welcome->planner;
    agent->beat_ns = welcome->beat_ns;
    agent->silence_ns = welcome->silence_ns;
    agent->heard_ns = agent->welcome_ns = now_ns;
    agent->is_told_leaving = false;
    net_backoff_reset(&agent->backoff);
    set_registered(agent);
    worker_state_renew(agent->worker);
    agent_beat(agent, now_ns);
    agent_run_tell_all(agent);
    return 0;
}

/* What is no word of the conversation may say why there is none. */
static int
hear_other(const struct net_frame *frame, struct diag *diag)
{
    Rpc__Envelope *envelope = rpc_envelope(frame);
    int err = -EPROTO;

    if (envelope != NULL && envelope->kind == RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL)
        err = rpc_refused(envelope, diag);
    if (envelope != NULL)
        rpc__envelope__free_unpacked(envelope, NULL);
    return err != -EPROTO ? err : diag_set(diag, err, "the planner says what no planner says");
}

static int
hear_frame(struct agent *agent, const struct net_frame *frame, struct diag *diag)
{
    Rpc__HostDown *down;
    int err;

    if (agent->state == LINK_GREETING)
        return hear_hello(agent, frame, diag);
    down = (void *)rpc_read(frame->bytes, frame->count, &rpc__host_down__descriptor);
    if (down == NULL)
        return hear_other(frame, diag);
    if (agent->state == LINK_REGISTERING) {
        err = hear_welcome(agent, down, diag);
        rpc__host_down__free_unpacked(down, NULL);
        return err;
    }
    if (down->is_case == RPC__HOST_DOWN__IS_FUNCTION)
        explicit_bzero(frame->bytes, frame->count); /* it has secrets */
    agent->heard_ns = clock_now_ns();
    agent_hear(agent, down);
    return 0;
}

/* --------------------------------------------------------------------------------- events */

static const char *
why_over(int err)
{
    return err == -EPIPE    ? "the planner has closed the connection"
           : err == -EACCES ? "the planner has another key than this host"
           : err == -EPROTO ? "the planner breaks the rules of the connection"
                            : strerror(-err);
}

/* What came before the end counts. */
static void
hear_some(struct agent *agent)
{
    struct net_frame frame;
    struct diag diag;
    unsigned count = 0;
    int err;

    diag_init(&diag);
    (void)!net_flush(agent->connection);
    do {
        err = net_receive(agent->connection, &frame);
        if (err == 0) {
            err = hear_frame(agent, &frame, &diag);
            net_frame_fini(&frame);
        } else if (err != -EAGAIN) {
            (void)diag_set(&diag, err, "%s", why_over(err));
        }
    } while (err == 0 && ++count < FRAMES_A_TURN);
    agent->is_unread = err == 0;
    if (err != 0 && err != -EAGAIN)
        hang_up_as(agent, err, &diag);
}

static void
connection_event(struct agent *agent)
{
    if (agent->state == LINK_DIALLING)
        dialled(agent);
    /* What came meanwhile has had its edge. */
    if (agent->connection != NULL)
        hear_some(agent);
}

static void
drain_wakes(struct agent *agent)
{
    uint64_t count;

    (void)!read(agent->wake_fd, &count, sizeof(count));
}

static void
hear_disk(struct agent *agent)
{
    struct agent_job *job;

    while ((job = agent_disk_take(agent)) != NULL)
        switch (job->kind) {
        case JOB_PREPARE:
            agent_function_prepared(agent, job->about);
            break;
        case JOB_DROP:
            agent_function_dropped(agent, job->about);
            break;
        case JOB_REMOVE:
            agent_tenant_removed(agent, job->about);
            break;
        case JOB_PUT:
            agent_want_put(agent, job->about);
            break;
        case JOB_SAVE:
            agent_run_saved(agent, job->about);
            break;
        case JOB_USAGE:
            agent->is_usage_busy = false;
            break;
        case JOB_LIMIT:
            break;
        }
}

/* --------------------------------------------------------------------------------- times */

static void
retry(struct agent *agent, uint64_t now_ns)
{
    bool is_due;

    (void)pthread_mutex_lock(&agent->lock);
    is_due = agent->is_retry_due;
    agent->is_retry_due = false;
    (void)pthread_mutex_unlock(&agent->lock);
    if (is_due && agent->retry_at_ns == CLOCK_NEVER_NS)
        agent->retry_at_ns = now_ns + AGENT_RETRY_NS;
    if (now_ns < agent->retry_at_ns)
        return;
    agent->retry_at_ns = CLOCK_NEVER_NS;
    agent_chain_retry(agent);
    if (agent->state == LINK_REGISTERED)
        agent_run_tell_all(agent);
}

static void
beat_and_leave(struct agent *agent, uint64_t now_ns)
{
    bool is_leaving;

    (void)pthread_mutex_lock(&agent->lock);
    is_leaving = agent->is_leaving;
    (void)pthread_mutex_unlock(&agent->lock);
    if (now_ns >= agent->beat_at_ns || (is_leaving && !agent->is_told_leaving))
        agent_beat(agent, now_ns);
}

static void
keep_time(struct agent *agent)
{
    uint64_t now_ns = clock_now_ns();

    if (now_ns >= silence_at(agent))
        fall_silent(agent);
    if (agent->state == LINK_DOWN && now_ns >= agent->dial_at_ns)
        dial(agent);
    if (agent->state != LINK_DOWN && agent->state != LINK_REGISTERED &&
        now_ns >= agent->deadline_ns)
        hang_up(agent, agent->state == LINK_DIALLING ? "the planner does not answer"
                                                     : "the planner says nothing");
    retry(agent, now_ns);
    if (agent->state != LINK_REGISTERED)
        return;
    beat_and_leave(agent, now_ns);
    agent_want_ask(agent, now_ns);
    agent_run_upload(agent);
}

static uint64_t
next_ns(const struct agent *agent)
{
    uint64_t at_ns = silence_at(agent);
    uint64_t own_ns = agent->state == LINK_DOWN         ? agent->dial_at_ns
                      : agent->state == LINK_REGISTERED ? agent->beat_at_ns
                                                        : agent->deadline_ns;

    at_ns = own_ns < at_ns ? own_ns : at_ns;
    return agent->retry_at_ns < at_ns ? agent->retry_at_ns : at_ns;
}

static int
timeout_ms(const struct agent *agent)
{
    uint64_t now_ns = clock_now_ns(), at_ns = next_ns(agent);

    if (agent->is_unread || at_ns <= now_ns)
        return 0;
    at_ns = (at_ns - now_ns) / 1000000 + 1;
    return at_ns < TIMEOUT_MS_MAX ? (int)at_ns : TIMEOUT_MS_MAX;
}

static bool
is_stopping(struct agent *agent)
{
    bool is;

    (void)pthread_mutex_lock(&agent->lock);
    is = agent->is_stopping;
    (void)pthread_mutex_unlock(&agent->lock);
    return is;
}

void *
agent_link_run(void *context)
{
    struct agent *agent = context;
    struct epoll_event events[2];

    agent->dial_at_ns = 0;
    net_turn_begin();
    while (!is_stopping(agent)) {
        bool is_heard = agent->is_unread;
        int count;

        net_turn_end();
        count = epoll_wait(agent->epoll_fd, events, 2, timeout_ms(agent));
        net_turn_begin();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                drain_wakes(agent);
            else
                is_heard = true;
        }
        if (is_heard)
            connection_event(agent);
        hear_disk(agent);
        keep_time(agent);
    }
    hang_up(agent, "it ends");
    net_turn_end();
    return NULL;
}
