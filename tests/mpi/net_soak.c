/* SPDX-License-Identifier: Apache-2.0
 *
 * All members send messages of all sizes to all, say where large things of theirs are, and copy
 * those of others, in and out, while their own memory grows. Over net.h alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

#define LARGE 100000u

enum kind { SMALL, PLACE, COPIED, KINDS };

struct head {
    uint32_t kind, number, bytes;
    uint64_t address;
};

static uint32_t me, count, all_heard, copied, places_said;
static uint32_t *heard, *said; /* of each: messages */
static unsigned char **places;
static unsigned seed;
static unsigned char body[4096], got[4096], copy[LARGE];

static unsigned char
fill_of(uint32_t member, uint32_t number)
{
    return (unsigned char)(member * 31 + number * 7 + 1);
}

static void
check(int is_right, const char *what)
{
    if (!is_right)
        mpi_net_abort(1, what);
}

static void say(uint32_t to, const struct head *head, const void *bytes);

/* What another has is copied, looked at, and written over at its end. */
static void
use_place(uint32_t from, const struct head *head)
{
    struct head answer = {COPIED, head->number, 0, 0};
    uint32_t mark = head->number + me;

    check(mpi_net_is_near(from), "it is not near");
    mpi_net_get(from, head->address, copy, head->bytes);
    for (uint32_t i = 0; i < head->bytes; i += 97)
        check(copy[i] == fill_of(from, head->number), "not what was said to be there");
    mpi_net_put(from, head->address + head->bytes, &mark, sizeof(mark));
    say(from, &answer, NULL);
}

static void
hear_all(void)
{
    struct head head;
    uint32_t from, bytes;

    while (mpi_net_receive(&from, &head, sizeof(head), &bytes)) {
        mpi_net_take(got, bytes);
        check(bytes == (head.kind == SMALL ? head.bytes : 0), "of another length");
        if (head.kind == COPIED) {
            copied++;
            continue;
        }
        check(head.number == heard[from]++, "not in order");
        for (uint32_t i = 0; head.kind == SMALL && i < bytes; i++)
            check(got[i] == fill_of(from, head.number), "not what was sent");
        if (head.kind == PLACE)
            use_place(from, &head);
        all_heard++;
    }
}

/* Who waits for room makes some: else all might. use_place comes here from hear_all. */
static void
say(uint32_t to, const struct head *head, const void *bytes)
{
    uint32_t body_bytes = head->kind == SMALL ? head->bytes : 0;

    while (!mpi_net_send(to, head, sizeof(*head), bytes, body_bytes)) {
        hear_all();
        mpi_net_wait("room");
    }
}

/* A large thing of this member, kept until the end. */
static void
offer_place(struct head *head, uint32_t bytes)
{
    unsigned char *place = malloc(bytes + 4);

    check(place != NULL, "no memory");
    memset(place, fill_of(me, head->number), bytes);
    head->kind = PLACE;
    head->bytes = bytes;
    head->address = (uintptr_t)place;
    places[places_said++] = place;
}

static void
say_one(uint32_t to)
{
    struct head head = {SMALL, said[to]++, 0, 0};

    seed = seed * 1103515245u + 12345u;
    if ((seed >> 16) % 8 == 0) {
        offer_place(&head, (seed >> 8) % (LARGE - 4));
    } else {
        head.bytes = (seed >> 8) % (4096 - (uint32_t)sizeof(head));
        memset(body, fill_of(me, head.number), head.bytes);
    }
    say(to, &head, body);
    if ((seed >> 20) % 4 == 0)
        hear_all();
}

int
main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 200;

    (void)mpi_net_enter(&me, &count);
    heard = calloc(count, sizeof(*heard));
    said = calloc(count, sizeof(*said));
    places = calloc((size_t)rounds * count, sizeof(*places));
    seed = me + 1;
    for (uint32_t i = 0; i < rounds; i++)
        for (uint32_t to = 0; to < count; to++)
            say_one(to);
    for (hear_all(); all_heard < rounds * count || copied < places_said; hear_all())
        mpi_net_wait("the last messages");
    for (uint32_t i = 0; i < places_said; i++)
        free(places[i]);
    mpi_net_leave();
    if (me == 0)
        printf("ok\n");
    return 0;
}
