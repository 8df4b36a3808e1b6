/* SPDX-License-Identifier: Apache-2.0
 *
 * net in a guest: calls of the host. A program that was started as a member of no group is a world
 * of one, whose messages to itself are kept here.
 */
#include "net.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------- the host */

#define HOST(name) __attribute__((import_module("weft_group"), import_name(#name)))

/* -1: in no group. */
HOST(enter) int mpi_host_enter(uint32_t *member, uint32_t *count);
HOST(leave) void mpi_host_leave(void);
HOST(abort) void mpi_host_abort(int code, const char *reason, uint32_t bytes);
HOST(send)
int mpi_host_send(uint32_t to, const void *head, uint32_t head_bytes, const void *body,
                  uint32_t body_bytes);
/* 0: none; 1: it stays until it is taken; 2: its body had room behind the head, and is taken. */
HOST(receive)
int mpi_host_receive(uint32_t *from, void *head, uint32_t head_bytes, uint32_t *body_bytes,
                     uint32_t room);
HOST(take) void mpi_host_take(void *to, uint32_t bytes);
HOST(wait)
void mpi_host_wait(const char *what, uint32_t bytes, const volatile uint32_t *progress,
                   uint32_t seen);
HOST(get) void mpi_host_get(uint32_t from, uint64_t address, void *to, uint64_t bytes);
HOST(put) void mpi_host_put(uint32_t to, uint64_t address, const void *from, uint64_t bytes);
HOST(change)
uint64_t mpi_host_change(uint32_t member, uint64_t address, uint32_t bytes, uint32_t change,
                         uint64_t value, uint64_t expected);
HOST(share) void *mpi_host_share(uint64_t key, uint64_t bytes);
HOST(unshare) void mpi_host_unshare(uint64_t key, void *address);
HOST(is_near) int mpi_host_is_near(uint32_t member);
HOST(time) double mpi_host_time(void);

/* Of several threads of a member one may receive what another waits for, or send it: who calls
 * send and take holds the library's lock, counts, and the host wakes the others then. A thread that
 * has seen less than there is by now does not wait. */
static volatile uint32_t progress;
static _Thread_local uint32_t seen;

/* What is small comes in one call: it lies here until it is taken. */
#define SMALL_BYTES 512u
_Alignas(16) static unsigned char small[SMALL_BYTES];
static uint32_t small_head; /* bytes of it, and 1; 0: nothing is there */

/* ---------------------------------------------------------------------------- world of one */

struct note {
    struct note *next;
    uint32_t head_bytes, bytes;
    char text[];
};

static bool is_alone;
static struct note *first_note, **last_note = &first_note;

static bool
own_send(const void *head, uint32_t head_bytes, const void *body, uint32_t body_bytes)
{
    struct note *note = malloc(sizeof(*note) + head_bytes + body_bytes);

    if (note == NULL)
        return false;
    *note = (struct note){.head_bytes = head_bytes, .bytes = head_bytes + body_bytes};
    memcpy(note->text, head, head_bytes);
    memcpy(note->text + head_bytes, body, body_bytes);
    *last_note = note;
    last_note = &note->next;
    return true;
}

static bool
own_receive(uint32_t *from, void *head, uint32_t head_bytes, uint32_t *body_bytes)
{
    if (first_note == NULL)
        return false;
    first_note->head_bytes = head_bytes;
    memcpy(head, first_note->text, head_bytes);
    *from = 0;
    *body_bytes = first_note->bytes - head_bytes;
    return true;
}

static void
own_take(void *to, uint32_t bytes)
{
    struct note *note = first_note;

    memcpy(to, note->text + note->head_bytes, bytes);
    first_note = note->next;
    if (first_note == NULL)
        last_note = &first_note;
    free(note);
}

/* ------------------------------------------------------------------------------------- net */

bool
mpi_net_enter(uint32_t *member, uint32_t *count)
{
    if (mpi_host_enter(member, count) == 0)
        return true;
    is_alone = true;
    *member = 0;
    *count = 1;
    return false;
}

void
mpi_net_leave(void)
{
    if (!is_alone)
        mpi_host_leave();
}

/* Where there is a group, who runs it tells the reason. */
void
mpi_net_abort(int code, const char *reason)
{
    if (is_alone)
        (void)fprintf(stderr, "%s\n", reason);
    mpi_host_abort(code, reason, (uint32_t)strlen(reason));
    abort(); /* not reached */
}

bool
mpi_net_send(uint32_t to, const void *head, uint32_t head_bytes, const void *body,
             uint32_t body_bytes)
{
    uint32_t now = progress;

    if (is_alone)
        return own_send(head, head_bytes, body, body_bytes);
    progress = now + 1; /* before the others are woken */
    if (mpi_host_send(to, head, head_bytes, body, body_bytes) != 0)
        return true;
    seen = now + 1;
    return false;
}

bool
mpi_net_receive(uint32_t *from, void *head, uint32_t head_bytes, uint32_t *body_bytes)
{
    if (is_alone)
        return own_receive(from, head, head_bytes, body_bytes);
    switch (mpi_host_receive(from, small, head_bytes, body_bytes, SMALL_BYTES - head_bytes)) {
    case 0:
        seen = progress;
        return false;
    case 1:
        small_head = 0;
        break;
    default:
        small_head = head_bytes + 1;
        break;
    }
    memcpy(head, small, head_bytes);
    return true;
}

void
mpi_net_take(void *to, uint32_t bytes)
{
    if (is_alone) {
        own_take(to, bytes);
        return;
    }
    progress = progress + 1;
    if (small_head == 0) {
        mpi_host_take(to, bytes);
        return;
    }
    if (bytes > 0)
        memcpy(to, small + small_head - 1, bytes);
    small_head = 0;
}

/* Alone, only another thread of this program can have something to say. */
void
mpi_net_wait(const char *what)
{
    if (is_alone)
        (void)sched_yield();
    else
        mpi_host_wait(what, (uint32_t)strlen(what), &progress, seen);
}

void
mpi_net_get(uint32_t from, uint64_t address, void *to, uint64_t bytes)
{
    if (is_alone)
        memmove(to, (const void *)(uintptr_t)address, (size_t)bytes);
    else
        mpi_host_get(from, address, to, bytes);
}

void
mpi_net_put(uint32_t to, uint64_t address, const void *from, uint64_t bytes)
{
    if (is_alone)
        memmove((void *)(uintptr_t)address, from, (size_t)bytes);
    else
        mpi_host_put(to, address, from, bytes);
}

/* Alone: only threads of this program change it. */
static uint64_t
own_change(void *address, uint32_t bytes, enum mpi_net_change change, uint64_t value,
           uint64_t expected)
{
    uint32_t *word = address, old = (uint32_t)expected;
    uint64_t *wide = address;

    if (bytes == sizeof(*wide)) {
        if (change == MPI_NET_SET)
            return __atomic_exchange_n(wide, value, __ATOMIC_SEQ_CST);
        if (change == MPI_NET_ADD)
            return __atomic_fetch_add(wide, value, __ATOMIC_SEQ_CST);
        (void)__atomic_compare_exchange_n(wide, &expected, value, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST);
        return expected;
    }
    if (change == MPI_NET_SET)
        return __atomic_exchange_n(word, (uint32_t)value, __ATOMIC_SEQ_CST);
    if (change == MPI_NET_ADD)
        return __atomic_fetch_add(word, (uint32_t)value, __ATOMIC_SEQ_CST);
    (void)__atomic_compare_exchange_n(word, &old, (uint32_t)value, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST);
    return old;
}

uint64_t
mpi_net_change(uint32_t member, uint64_t address, uint32_t bytes, enum mpi_net_change change,
               uint64_t value, uint64_t expected)
{
    if (is_alone)
        return own_change((void *)(uintptr_t)address, bytes, change, value, expected);
    return mpi_host_change(member, address, bytes, change, value, expected);
}

/* Alone, nobody else can have the key. */
void *
mpi_net_share(uint64_t key, uint64_t bytes)
{
    return is_alone ? calloc(1, (size_t)bytes) : mpi_host_share(key, bytes);
}

void
mpi_net_unshare(uint64_t key, void *address)
{
    if (is_alone)
        free(address);
    else
        mpi_host_unshare(key, address);
}

bool
mpi_net_is_near(uint32_t member)
{
    return mpi_host_is_near(member) != 0;
}

double
mpi_net_time(void)
{
    return mpi_host_time();
}
