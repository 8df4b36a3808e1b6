/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns. The word has who holds it and who waits last:
 *
 *   [ member + 1: 13 bits | its ticket: 19 bits | alone: 1 bit | together: 31 bits ]
 *
 * Who finds it taken puts itself in the upper half, and keeps what was there: those who wait are a
 * chain. Both happen in one change, while it is taken, so whoever gives it back sees the chain. Who
 * brings the lower half to 0 takes the chain out and calls its first, who calls the next, and so
 * on; all look again. Nobody can wait for those who have it together but who wants it alone; so no
 * other moment is one to call at.
 */
#include "turn.h"

#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "message.h"
#include "net.h"

#define MESSAGE_CALL (MPI_MESSAGE_OTHER + 2) /* the body is the ticket */

#define ALONE         UINT64_C(0x80000000)
#define HELD          UINT64_C(0xffffffff)
#define CHAIN_SHIFT   32
#define TICKET_BITS   19
#define TICKET_MASK   ((1u << TICKET_BITS) - 1)
#define PATIENT_LOOKS 4 /* before it waits: most hold it for a moment only */

_Static_assert(MPI_WORLD_MAX < 1u << (32 - TICKET_BITS), "a member and its ticket are 32 bits");

/* One that waits, on its stack. */
struct ticket {
    struct ticket *next;
    uint32_t number;
    uint32_t chain; /* who waited before it: member + 1, ticket; or 0 */
    bool is_called;
};
static struct ticket *tickets;
static uint32_t last_number;

/* -------------------------------------------------------------------------------- calls */

/* One of this member: who waited before it. */
static uint32_t
call_own(uint32_t number)
{
    struct ticket **at = &tickets, *called;

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    called = *at;
    if (called == NULL)
        return 0;
    *at = called->next;
    called->is_called = true;
    mpi_progress_wake();
    return called->chain;
}

static void
call(uint32_t chain)
{
    uint32_t number;

    while (chain != 0 && chain >> TICKET_BITS == mpi_member() + 1)
        chain = call_own(chain & TICKET_MASK);
    number = chain & TICKET_MASK;
    if (chain != 0 && mpi_message_say((chain >> TICKET_BITS) - 1, MESSAGE_CALL, &number,
                                      sizeof(number)) != MPI_SUCCESS)
        mpi_net_abort(MPI_ERR_NO_MEM, "no memory for a turn");
}

/* The next one before it goes on itself: it may be long until it calls again. */
static void
on_call(uint32_t from, const void *body, uint32_t bytes)
{
    uint32_t number = TICKET_MASK;

    (void)from;
    if (bytes == sizeof(number))
        (void)memcpy(&number, body, sizeof(number));
    call(call_own(number));
}

void
mpi_turns_init(void)
{
    mpi_message_handle(MESSAGE_CALL, on_call);
}

/* ------------------------------------------------------------------------------- tickets */

static bool
is_used(uint32_t number)
{
    for (const struct ticket *ticket = tickets; ticket != NULL; ticket = ticket->next)
        if (ticket->number == number)
            return true;
    return false;
}

static uint32_t
new_number(void)
{
    do
        last_number = (last_number + 1) & TICKET_MASK;
    while (is_used(last_number));
    return last_number;
}

/* --------------------------------------------------------------------------------- turns */

/* *now: what the word is thought to be; then what it was. True: it is as wanted. */
static bool
replace(uint32_t member, uint64_t word, uint64_t *now, uint64_t wanted)
{
    uint64_t expected = *now;

    *now = mpi_net_change(member, word, sizeof(mpi_turn), MPI_NET_SET_IF, wanted, expected);
    return *now == expected;
}

static bool
is_taken(uint64_t now, bool is_alone)
{
    return is_alone ? (now & HELD) != 0 : (now & ALONE) != 0;
}

/* False: it is taken, as *now. */
static bool
try(uint32_t member, uint64_t word, bool is_alone, uint64_t *now)
{
    *now = 0;
    do
        if (is_taken(*now, is_alone))
            return false;
    while (!replace(member, word, now, *now + (is_alone ? ALONE : 1)));
    return true;
}

/* Into the chain, while it is taken. False: it is no more. */
static bool
join(uint32_t member, uint64_t word, bool is_alone, uint64_t now, struct ticket *ticket)
{
    uint64_t me = (uint64_t)(mpi_member() + 1) << TICKET_BITS | ticket->number;

    do
        if (!is_taken(now, is_alone))
            return false;
    while (!replace(member, word, &now, me << CHAIN_SHIFT | (now & HELD)));
    ticket->chain = (uint32_t)(now >> CHAIN_SHIFT);
    return true;
}

static void
look_away(void)
{
    (void)mpi_progress();
    mpi_unlock();
    (void)sched_yield();
    mpi_lock();
}

void
mpi_turn_take(uint32_t member, uint64_t word, bool is_alone, const char *what)
{
    uint64_t now;

    for (unsigned looks = 1; !try(member, word, is_alone, &now); looks++) {
        if (looks % PATIENT_LOOKS != 0) {
            look_away();
        } else {
            struct ticket ticket = {.number = new_number()};

            if (!join(member, word, is_alone, now, &ticket))
                continue;
            ticket.next = tickets;
            tickets = &ticket;
            mpi_await(&ticket.is_called, what);
        }
    }
}

void
mpi_turn_give(uint32_t member, uint64_t word, bool is_alone)
{
    uint64_t mine = is_alone ? ALONE : 1;
    uint64_t now = mpi_net_change(member, word, sizeof(mpi_turn), MPI_NET_ADD, -mine, 0) - mine;

    if ((now & HELD) != 0 || now == 0)
        return;
    /* Others may take it, and join the chain, meanwhile. */
    while (!replace(member, word, &now, now & HELD))
        continue;
    call((uint32_t)(now >> CHAIN_SHIFT));
}
