/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait for calls. A ticket is in a bucket until it is taken: by the end of
 * its call, or by the watch's sweep. is_taken decides between them; the lock of a bucket
 * only guards its list.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "gateway/gateway_internal.h"

#define POLLS   256
#define NO_CALL UINT64_MAX /* the number of none */

static pthread_mutex_t *
lock_of(struct gateway *gateway, uint32_t bucket)
{
    return &gateway->ticket_locks[bucket % GATEWAY_LOCKS];
}

static uint32_t
bucket_of_id(uint64_t id)
{
    return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 52) % GATEWAY_BUCKETS;
}

void
gateway_ticket_put(struct gateway_ticket *ticket)
{
    if (atomic_fetch_sub_explicit(&ticket->references, 1, memory_order_acq_rel) == 1)
        free(ticket);
}

static void
unlink_ticket(struct gateway_ticket *ticket)
{
    *ticket->at = ticket->next;
    if (ticket->next != NULL)
        ticket->next->at = ticket->at;
}

static bool
win(struct gateway_ticket *ticket)
{
    bool expected = false;

    return atomic_compare_exchange_strong_explicit(&ticket->is_taken, &expected, true,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* Only the winner may look at the gateway: it waits for its requests, not for tickets. */
bool
gateway_ticket_take(struct gateway_ticket *ticket)
{
    pthread_mutex_t *lock;

    if (!win(ticket))
        return false;
    lock = lock_of(ticket->gateway, ticket->bucket);
    (void)pthread_mutex_lock(lock);
    unlink_ticket(ticket);
    (void)pthread_mutex_unlock(lock);
    gateway_ticket_put(ticket);
    return true;
}

static struct gateway_ticket *
park(struct gateway_request *request, uint64_t id, bool is_poll, uint64_t wait_ms,
     gateway_handler wake)
{
    struct gateway *gateway = request->gateway;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct gateway_ticket *ticket = calloc(1, sizeof(*ticket)), **head;

    if (ticket == NULL)
        return NULL;
    ticket->gateway = gateway;
    ticket->request = request;
    ticket->references = 2;
    ticket->is_poll = is_poll;
    ticket->id = id;
    ticket->due_ns = clock_now_ns() + wait_ms * 1000000u;
    ticket->bucket = bucket_of_id(id != 0 ? id : (uint64_t)(uintptr_t)ticket >> 4);
    ticket->fd = info != NULL ? info->connect_fd : -1;
    ticket->wake = wake;
    (void)snprintf(ticket->tenant, sizeof(ticket->tenant), "%s", request->tenant);
    if (!request->is_suspended)
        gateway_suspend(request);
    head = &gateway->tickets[ticket->bucket];
    (void)pthread_mutex_lock(lock_of(gateway, ticket->bucket));
    ticket->next = *head;
    ticket->at = head;
    if (*head != NULL)
        (*head)->at = &ticket->next;
    *head = ticket;
    (void)pthread_mutex_unlock(lock_of(gateway, ticket->bucket));
    return ticket;
}

struct gateway_ticket *
gateway_park(struct gateway_request *request, uint64_t id, uint64_t wait_ms, gateway_handler wake)
{
    return park(request, id, id != 0, wait_ms, wake);
}

struct gateway_ticket *
gateway_park_other(struct gateway_request *request, uint64_t wait_ms, gateway_handler wake)
{
    return park(request, 0, true, wait_ms, wake);
}

void
gateway_park_begin(struct gateway_ticket *ticket)
{
    atomic_store_explicit(&ticket->id, NO_CALL, memory_order_release);
}

/* To the end of a list of tickets that were won and are in no bucket. */
static void
collect(struct gateway_ticket *ticket, struct gateway_ticket **list)
{
    unlink_ticket(ticket);
    ticket->next = *list;
    *list = ticket;
}

static void
wake_all(struct gateway_ticket *list, bool is_late)
{
    while (list != NULL) {
        struct gateway_ticket *next = list->next;
        struct gateway_request *request = list->request;

        request->is_late = is_late;
        if (list->wake(request) == GATEWAY_ANSWERED)
            gateway_resume(request);
        gateway_ticket_put(list);
        list = next;
    }
}

void
gateway_park_wake(struct gateway *gateway, uint64_t id)
{
    uint32_t bucket = bucket_of_id(id);
    struct gateway_ticket *list = NULL, *next;

    (void)pthread_mutex_lock(lock_of(gateway, bucket));
    for (struct gateway_ticket *ticket = gateway->tickets[bucket]; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (ticket->is_poll && ticket->id == id && win(ticket))
            collect(ticket, &list);
    }
    (void)pthread_mutex_unlock(lock_of(gateway, bucket));
    wake_all(list, false);
}

/* ---------------------------------------------------------------------------- sweep */

struct gone {
    struct pollfd polls[POLLS];
    struct gateway_ticket *tickets[POLLS];
    nfds_t count;
};

/* Those whose clients have closed. */
static void
take_gone(struct gone *gone, struct gateway_ticket **list)
{
    int ready = gone->count > 0 ? poll(gone->polls, gone->count, 0) : 0;

    for (nfds_t i = 0; ready > 0 && i < gone->count; i++)
        if ((gone->polls[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 &&
            win(gone->tickets[i]))
            collect(gone->tickets[i], list);
    gone->count = 0;
}

static void
sweep_bucket(struct gateway *gateway, uint32_t bucket, uint64_t now_ns, bool looks,
             struct gateway_ticket **list)
{
    struct gateway_ticket *next;
    struct gone gone;

    gone.count = 0;
    for (struct gateway_ticket *ticket = gateway->tickets[bucket]; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (atomic_load_explicit(&ticket->id, memory_order_acquire) == 0)
            continue; /* its call is being submitted */
        if (now_ns >= ticket->due_ns && win(ticket)) {
            collect(ticket, list);
        } else if (looks && gone.count < POLLS) {
            gone.polls[gone.count] = (struct pollfd){.fd = ticket->fd, .events = POLLRDHUP};
            gone.tickets[gone.count++] = ticket;
        }
    }
    take_gone(&gone, list);
}

/* Their calls are not wanted any more. */
static void
cancel(struct gateway *gateway, struct gateway_ticket *list)
{
    for (struct gateway_ticket *ticket = list; ticket != NULL; ticket = ticket->next)
        if (ticket->cancel != NULL)
            ticket->cancel(ticket);
        else if (!ticket->is_poll)
            (void)!planner_cancel(gateway->config.planner, ticket->tenant, ticket->id);
}

void
gateway_park_sweep(struct gateway *gateway, uint64_t now_ns, bool looks)
{
    for (uint32_t i = 0; i < GATEWAY_LOCKS; i++) {
        struct gateway_ticket *list = NULL;

        (void)pthread_mutex_lock(&gateway->ticket_locks[i]);
        for (uint32_t bucket = i; bucket < GATEWAY_BUCKETS; bucket += GATEWAY_LOCKS)
            if (gateway->tickets[bucket] != NULL)
                sweep_bucket(gateway, bucket, now_ns, looks, &list);
        (void)pthread_mutex_unlock(&gateway->ticket_locks[i]);
        cancel(gateway, list);
        wake_all(list, true);
    }
}
