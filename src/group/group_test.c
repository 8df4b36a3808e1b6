/* SPDX-License-Identifier: Apache-2.0
 *
 * Members as threads of this process: order, full rings, waking, copies, ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "group/group_internal.h"

#define MANY      100u /* more than have rings for each pair */
#define SOAK      20000u
#define PAGE      65536u
#define SOAK_LESS 3000u /* messages of each member where there are many */

/* --------------------------------------------------------------------- members as threads */

struct runner {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool is_woken;
};

struct world {
    struct group *group;
    struct runner *runners;
    uint32_t count;
    atomic_bool may_spin;
    atomic_uint woken;
};

static void
on_wake(void *context, uint32_t member)
{
    struct world *world = context;
    struct runner *runner = &world->runners[member];

    atomic_fetch_add(&world->woken, 1);
    (void)pthread_mutex_lock(&runner->lock);
    runner->is_woken = true;
    (void)pthread_cond_signal(&runner->woken);
    (void)pthread_mutex_unlock(&runner->lock);
}

static bool
on_may_spin(void *context, uint32_t member)
{
    const struct world *world = context;

    (void)member;
    return atomic_load(&world->may_spin);
}

static struct world *
world_create(uint32_t count)
{
    struct world *world = calloc(1, sizeof(*world));
    struct group_owner owner = {on_wake, on_may_spin, world};

    assert_non_null(world);
    world->count = count;
    world->runners = calloc(count, sizeof(*world->runners));
    assert_non_null(world->runners);
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_mutex_init(&world->runners[i].lock, NULL);
        (void)pthread_cond_init(&world->runners[i].woken, NULL);
    }
    assert_int_equal(group_create(count, &owner, &world->group), 0);
    return world;
}

static struct world *
world_of(uint32_t count)
{
    struct world *world = world_create(count);

    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(group_enter(world->group, i, NULL, 0), 0);
    return world;
}

static void
world_destroy(struct world *world)
{
    group_destroy(world->group);
    for (uint32_t i = 0; i < world->count; i++) {
        (void)pthread_mutex_destroy(&world->runners[i].lock);
        (void)pthread_cond_destroy(&world->runners[i].woken);
    }
    free(world->runners);
    free(world);
}

/* As a Faaslet does it: told to wait, the thread sleeps until its owner hears of it. It may also be
 * called again for nothing, while somebody just wakes it. */
static void
await(struct world *world, uint32_t me, const char *what)
{
    const struct group_wait wait = {what, (uint32_t)strlen(what), true};
    struct runner *runner = &world->runners[me];

    while (!group_wait(world->group, me, &wait) && !group_wait(world->group, me, &wait)) {
        (void)pthread_mutex_lock(&runner->lock);
        while (!runner->is_woken)
            (void)pthread_cond_wait(&runner->woken, &runner->lock);
        runner->is_woken = false;
        (void)pthread_mutex_unlock(&runner->lock);
    }
}

static int
say(struct world *world, uint32_t me, uint32_t to, const void *head, uint32_t head_bytes,
    const void *body, uint32_t body_bytes)
{
    const struct group_message message = {head, body, head_bytes, body_bytes};

    return group_send(world->group, me, to, &message);
}

static bool
hear(struct world *world, uint32_t me, uint32_t *from, void *to, uint32_t *bytes)
{
    if (!group_peek(world->group, me, from, bytes))
        return false;
    group_read(world->group, me, 0, to, *bytes);
    assert_true(group_drop(world->group, me));
    return true;
}

/* ------------------------------------------------------------------------------- messages */

static void
test_a_group_has_one_to_4096_members(void **state)
{
    struct group_owner owner = {on_wake, NULL, NULL};
    struct group *group = NULL;

    (void)state;
    assert_int_equal(group_create(0, &owner, &group), -EINVAL);
    assert_int_equal(group_create(GROUP_MEMBERS_MAX + 1, &owner, &group), -EINVAL);
    fault_arm("group.create", 1, -ENOMEM);
    assert_int_equal(group_create(1, &owner, &group), -ENOMEM);
    assert_true(fault_disarm());
    assert_null(group);
    assert_int_equal(group_create(GROUP_MEMBERS_MAX, &owner, &group), 0);
    assert_int_equal(group_count(group), GROUP_MEMBERS_MAX);
    group_destroy(group);
    group_destroy(NULL);
}

static void
test_a_message_arrives_whole_and_stays_until_it_is_dropped(void **state)
{
    struct world *world = world_of(2);
    char head[4] = "head", body[5] = "body", got[16] = "";
    uint32_t from = 9, bytes = 9;

    (void)state;
    assert_false(group_peek(world->group, 1, &from, &bytes));
    assert_false(group_drop(world->group, 1));
    assert_int_equal(say(world, 0, 1, head, 4, body, 5), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(group_peek(world->group, 1, &from, &bytes));
        assert_int_equal(from, 0);
        assert_int_equal(bytes, 9);
        group_read(world->group, 1, 4, got, 5);
        assert_string_equal(got, "body");
    }
    assert_true(group_drop(world->group, 1));
    assert_false(group_drop(world->group, 1));
    assert_false(group_peek(world->group, 1, &from, &bytes));
    world_destroy(world);
}

static void
test_a_message_may_be_to_oneself_and_of_no_bytes(void **state)
{
    struct world *world = world_of(1);
    uint32_t from = 9, bytes = 9;

    (void)state;
    assert_int_equal(say(world, 0, 0, NULL, 0, NULL, 0), 0);
    assert_true(group_peek(world->group, 0, &from, &bytes));
    assert_int_equal(from, 0);
    assert_int_equal(bytes, 0);
    assert_true(group_drop(world->group, 0));
    world_destroy(world);
}

/* Sizes that are no multiple of anything, so that they end everywhere in the ring. */
static void
go_round(uint32_t count, uint32_t sender)
{
    static uint8_t sent[GROUP_MESSAGE_BYTES_MAX], got[GROUP_MESSAGE_BYTES_MAX];
    struct world *world = world_of(count);
    uint32_t from, bytes;

    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t size = i * 797 % (GROUP_MESSAGE_BYTES_MAX + 1), head = size < 48 ? size : 48;

        for (uint32_t k = 0; k < size; k++)
            sent[k] = (uint8_t)(k * 7 + i);
        assert_int_equal(say(world, sender, 0, sent, head, sent + head, size - head), 0);
        assert_true(hear(world, 0, &from, got, &bytes));
        assert_int_equal(from, sender);
        assert_int_equal(bytes, size);
        assert_memory_equal(sent, got, size);
    }
    world_destroy(world);
}

static void
test_messages_go_round_a_ring(void **state)
{
    (void)state;
    go_round(2, 1);
}

static void
test_messages_go_round_a_lane(void **state)
{
    (void)state;
    go_round(MANY, MANY - 1);
}

static void
test_senders_come_in_turn_and_each_in_its_order(void **state)
{
    struct world *world = world_of(4);
    uint32_t next[4] = {0}, from, bytes, number, order[12];

    (void)state;
    for (uint32_t member = 1; member < 4; member++)
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(say(world, member, 0, &i, 4, NULL, 0), 0);
    for (uint32_t i = 0; i < 12; i++) {
        assert_true(hear(world, 0, &from, &number, &bytes));
        assert_int_equal(number, next[from]++);
        order[i] = from;
    }
    for (uint32_t i = 3; i < 12; i++)
        assert_int_equal(order[i], order[i - 3]);
    assert_false(group_peek(world->group, 0, &from, &bytes));
    world_destroy(world);
}

static void
test_senders_of_one_lane_keep_their_order(void **state)
{
    struct world *world = world_of(MANY);
    uint32_t next[MANY] = {0}, from, bytes, number;

    (void)state;
    for (uint32_t i = 0; i < 50; i++) /* 1, 17 and 33 share one */
        for (uint32_t member = 1; member <= 33; member += LANES)
            assert_int_equal(say(world, member, 0, &i, 4, NULL, 0), 0);
    for (uint32_t i = 0; i < 150; i++) {
        assert_true(hear(world, 0, &from, &number, &bytes));
        assert_int_equal(from % LANES, 1);
        assert_int_equal(number, next[from]++);
    }
    world_destroy(world);
}

static uint32_t
fill(struct world *world, uint32_t sender, uint32_t to)
{
    static const char body[GROUP_MESSAGE_BYTES_MAX];
    uint32_t sent = 0;
    int err;

    while ((err = say(world, sender, to, NULL, 0, body, sizeof(body))) == 0)
        sent++;
    assert_int_equal(err, -EAGAIN);
    assert_true(sent < RING_ELEMENTS);
    return sent;
}

/* Who found a ring full is told as soon as there is room, by its number in the lane, too. */
static void
test_a_full_ring_refuses_and_tells_of_room(void **state)
{
    static const struct {
        uint32_t count, sender;
    } cases[] = {{2, 1}, {GROUP_DIRECT_MAX, GROUP_DIRECT_MAX - 1}, {MANY, 1}, {MANY, MANY - 1}};
    const struct group_wait wait = {"room", 4, false};
    char got[GROUP_MESSAGE_BYTES_MAX];
    uint32_t from, bytes, sent;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world *world = world_of(cases[i].count);
        uint32_t sender = cases[i].sender;

        sent = fill(world, sender, 0);
        assert_false(group_wait(world->group, sender, &wait));
        assert_int_equal(atomic_load(&world->woken), 0);
        assert_true(hear(world, 0, &from, got, &bytes));
        assert_int_equal(atomic_load(&world->woken), 1);
        assert_true(world->runners[sender].is_woken);
        assert_true(group_wait(world->group, sender, &wait));
        assert_false(group_wait(world->group, sender, &wait)); /* only once */
        assert_true(fill(world, sender, 0) <= sent);
        world_destroy(world);
    }
}

/* -------------------------------------------------------------------------------- waiting */

static void
test_what_came_before_the_wait_ends_it(void **state)
{
    const struct group_wait wait = {"message", 7, true};
    struct world *world = world_of(2);

    (void)state;
    assert_int_equal(say(world, 0, 1, NULL, 0, NULL, 0), 0);
    assert_int_equal(atomic_load(&world->woken), 0);
    assert_true(group_wait(world->group, 1, &wait));
    world_destroy(world);
}

static void
test_a_message_wakes_once(void **state)
{
    const struct group_wait wait = {"message", 7, true};
    struct world *world = world_of(3);

    (void)state;
    assert_false(group_wait(world->group, 1, &wait));
    assert_false(group_wait(world->group, 1, &wait)); /* waits on */
    assert_int_equal(say(world, 0, 1, NULL, 0, NULL, 0), 0);
    assert_int_equal(say(world, 2, 1, NULL, 0, NULL, 0), 0);
    assert_int_equal(atomic_load(&world->woken), 1);
    assert_true(group_wait(world->group, 1, &wait));
    world_destroy(world);
}

struct soak {
    struct world *world;
    uint32_t me, rounds, bytes_max;
};

struct soak_head {
    uint32_t number, bytes;
};

/* Takes what there is, which must be the next of its sender. */
static void
take_all(struct soak *soak, uint32_t *next, uint64_t *heard)
{
    static _Thread_local uint8_t got[GROUP_MESSAGE_BYTES_MAX];
    uint32_t from, bytes;
    struct soak_head head;

    while (hear(soak->world, soak->me, &from, got, &bytes)) {
        (void)memcpy(&head, got, sizeof(head));
        assert_int_equal(head.number, next[from]);
        assert_int_equal(bytes, head.bytes);
        for (uint32_t k = sizeof(head); k < bytes; k++)
            assert_int_equal(got[k], (uint8_t)(from + head.number));
        next[from]++;
        ++*heard;
    }
}

/* Each sends to the others in turn so many messages, and hears as many. */
static void *
soak_member(void *context)
{
    static _Thread_local uint8_t sent[GROUP_MESSAGE_BYTES_MAX];
    struct soak *soak = context;
    struct world *world = soak->world;
    uint32_t *next = calloc(world->count, sizeof(*next));
    uint32_t *count = calloc(world->count, sizeof(*count)), to = soak->me;
    uint64_t heard = 0, wanted = soak->rounds;
    unsigned seed = soak->me + 1;

    assert_true(next != NULL && count != NULL);
    for (uint32_t i = 0; i < soak->rounds; i++) {
        struct soak_head head = {.bytes = (uint32_t)sizeof(head)};

        to = (to + 1) % world->count;
        head.number = count[to]++;
        head.bytes += (uint32_t)rand_r(&seed) % (soak->bytes_max - (uint32_t)sizeof(head) + 1);
        (void)memset(sent, (uint8_t)(soak->me + head.number), sizeof(sent));
        while (say(world, soak->me, to, &head, sizeof(head), sent,
                   head.bytes - (uint32_t)sizeof(head)) != 0) {
            take_all(soak, next, &heard);
            await(world, soak->me, "room");
        }
        if (rand_r(&seed) % 4 == 0)
            take_all(soak, next, &heard);
    }
    for (take_all(soak, next, &heard); heard < wanted; take_all(soak, next, &heard))
        await(world, soak->me, "message");
    group_leave(world->group, soak->me);
    free(next);
    free(count);
    return NULL;
}

/* rounds is a multiple of the members, so that each hears as many as it says. */
static void
soak(uint32_t count, uint32_t rounds, uint32_t bytes_max, bool may_spin)
{
    struct world *world = world_of(count);
    struct soak *soaks = calloc(count, sizeof(*soaks));
    pthread_t *threads = calloc(count, sizeof(*threads));

    assert_true(soaks != NULL && threads != NULL);
    atomic_store(&world->may_spin, may_spin);
    rounds = rounds / count * count;
    for (uint32_t i = 0; i < count; i++) {
        soaks[i] = (struct soak){world, i, rounds, bytes_max};
        assert_int_equal(pthread_create(&threads[i], NULL, soak_member, &soaks[i]), 0);
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(group_ended(world->group, NULL), GROUP_GOES_ON);
    free(soaks);
    free(threads);
    world_destroy(world);
}

static void
test_two_that_wait_for_each_other_lose_nothing(void **state)
{
    (void)state;
    soak(2, SOAK, 64, false);
    soak(2, SOAK, 64, true);
}

static void
test_several_with_full_rings_lose_nothing(void **state)
{
    (void)state;
    soak(5, SOAK, GROUP_MESSAGE_BYTES_MAX, false);
    soak(3, SOAK, GROUP_MESSAGE_BYTES_MAX, true);
}

static void
test_many_on_lanes_lose_nothing(void **state)
{
    (void)state;
    soak(MANY, SOAK_LESS, 512, false);
}

/* One message at a time between two, so that each wait is a real one. */
static void *
pass(void *context)
{
    struct soak *soak = context;
    uint32_t from, bytes, number;

    for (uint32_t i = 0; i < soak->rounds; i++) {
        if (soak->me == 0)
            assert_int_equal(say(soak->world, 0, 1, &i, 4, NULL, 0), 0);
        while (!hear(soak->world, soak->me, &from, &number, &bytes))
            await(soak->world, soak->me, "the other");
        assert_int_equal(number, i);
        if (soak->me == 1)
            assert_int_equal(say(soak->world, 1, 0, &i, 4, NULL, 0), 0);
    }
    group_leave(soak->world->group, soak->me);
    return NULL;
}

static void
test_a_message_that_is_passed_on_is_never_a_deadlock(void **state)
{
    struct world *world = world_of(2);
    struct soak soaks[2] = {{world, 0, SOAK, 0}, {world, 1, SOAK, 0}};
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass, &soaks[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(group_ended(world->group, NULL), GROUP_GOES_ON);
    world_destroy(world);
}

/* ------------------------------------------------------------------------------- deadlock */

static void
test_all_that_wait_end_the_group_and_say_for_what(void **state)
{
    const struct group_wait first = {"MPI_Recv from 1", 15, true};
    struct world *world = world_of(3);
    char longer[1000];
    const struct group_wait second = {longer, sizeof(longer), true};
    struct group_end end;

    (void)state;
    (void)memset(longer, 'x', sizeof(longer));
    group_leave(world->group, 2);
    assert_false(group_wait(world->group, 0, &first));
    assert_null(group_waited_for(world->group, 0));
    assert_true(group_wait(world->group, 1, &second));
    assert_int_equal(group_ended(world->group, &end), GROUP_DEADLOCK);
    assert_int_equal(end.member, 1);
    assert_string_equal(group_waited_for(world->group, 0), "MPI_Recv from 1");
    assert_int_equal(strlen(group_waited_for(world->group, 1)), GROUP_TEXT_BYTES_MAX);
    assert_null(group_waited_for(world->group, 2));
    assert_true(world->runners[0].is_woken);
    assert_true(group_wait(world->group, 0, &first));
    world_destroy(world);
}

static void
test_the_last_that_leaves_leaves_those_that_wait_in_a_deadlock(void **state)
{
    const struct group_wait wait = {"MPI_Recv from 1", 15, true};
    struct world *world = world_of(2);
    struct group_end end;

    (void)state;
    assert_false(group_wait(world->group, 0, &wait));
    group_leave(world->group, 1);
    group_leave(world->group, 1);
    assert_int_equal(group_ended(world->group, &end), GROUP_DEADLOCK);
    assert_int_equal(end.member, 0);
    assert_true(world->runners[0].is_woken);
    world_destroy(world);
}

static void
test_all_that_left_are_no_deadlock(void **state)
{
    struct world *world = world_of(2);

    (void)state;
    group_leave(world->group, 0);
    group_leave(world->group, 1);
    assert_int_equal(group_ended(world->group, NULL), GROUP_GOES_ON);
    world_destroy(world);
}

static void
test_one_whose_other_threads_could_go_on_is_not_stuck(void **state)
{
    const struct group_wait alone = {"a", 1, true}, beside = {"b", 1, false};
    struct world *world = world_of(2);

    (void)state;
    assert_false(group_wait(world->group, 0, &beside));
    assert_false(group_wait(world->group, 1, &alone));
    assert_int_equal(group_ended(world->group, NULL), GROUP_GOES_ON);
    assert_int_equal(say(world, 0, 1, NULL, 0, NULL, 0), 0);
    assert_true(world->runners[1].is_woken);
    world_destroy(world);
}

/* -------------------------------------------------------------------------------- the end */

static void
test_the_first_end_counts_and_wakes_all(void **state)
{
    const struct group_end abort = {.kind = GROUP_ABORTED, .member = 1, .code = 7};
    const struct group_end stop = {.kind = GROUP_STOPPED};
    const struct group_wait wait = {"x", 1, true};
    struct world *world = world_of(3);
    struct group_end end;

    (void)state;
    assert_false(group_wait(world->group, 0, &wait));
    assert_int_equal(group_ended(world->group, &end), GROUP_GOES_ON);
    assert_true(group_finish(world->group, &abort, "no\nway", 6));
    assert_false(group_finish(world->group, &stop, "", 0));
    assert_false(group_gone(world->group, 2, 1, "trap"));
    assert_true(world->runners[0].is_woken);
    assert_true(group_wait(world->group, 0, &wait));
    assert_int_equal(group_ended(world->group, &end), GROUP_ABORTED);
    assert_int_equal(end.member, 1);
    assert_int_equal(end.code, 7);
    assert_string_equal(end.reason, "no way");
    world_destroy(world);
}

static void
test_one_that_is_gone_without_leaving_ends_the_group(void **state)
{
    struct world *world = world_of(2);
    struct group_end end;

    (void)state;
    group_leave(world->group, 0);
    assert_false(group_gone(world->group, 0, 0, "returned"));
    assert_int_equal(group_ended(world->group, &end), GROUP_GOES_ON);
    assert_true(group_gone(world->group, 1, 3, "it trapped"));
    assert_int_equal(group_ended(world->group, &end), GROUP_LOST);
    assert_int_equal(end.member, 1);
    assert_string_equal(end.reason, "it trapped");
    world_destroy(world);
}

static void
test_what_is_sent_to_one_that_left_is_lost_and_holds_up_nobody(void **state)
{
    const struct group_wait wait = {"room", 4, true};
    struct world *world = world_of(3);
    uint32_t sent;

    (void)state;
    sent = fill(world, 1, 0);
    assert_true(sent > 0);
    assert_false(group_wait(world->group, 1, &wait));
    group_leave(world->group, 0);
    assert_true(world->runners[1].is_woken);
    assert_true(group_wait(world->group, 1, &wait));
    assert_int_equal(say(world, 1, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(group_presence(world->group, 0), GROUP_LEFT);
    world_destroy(world);
}

static void
test_nobody_enters_twice(void **state)
{
    struct world *world = world_of(1);

    (void)state;
    assert_int_equal(group_enter(world->group, 0, NULL, 0), -EALREADY);
    group_leave(world->group, 0);
    assert_int_equal(group_enter(world->group, 0, NULL, 0), -EALREADY);
    world_destroy(world);
}

/* --------------------------------------------------------------------------------- copies */

static void
test_copies_are_of_what_the_member_told(void **state)
{
    struct world *world = world_create(2);
    uint8_t memory[64] = "of member zero", mine[64] = "";

    (void)state;
    assert_int_equal(group_get(world->group, 0, 0, mine, 1), -ESRCH);
    assert_int_equal(group_enter(world->group, 0, memory, 32), 0);
    assert_int_equal(group_get(world->group, 0, 3, mine, 11), 0);
    assert_string_equal((char *)mine, "member zero");
    assert_int_equal(group_put(world->group, 0, 30, mine, 2), 0);
    assert_memory_equal(memory + 30, "me", 2);
    assert_int_equal(group_put(world->group, 0, 31, mine, 2), -EFAULT);
    assert_int_equal(group_put(world->group, 0, 33, mine, 0), -EFAULT);
    assert_int_equal(group_get(world->group, 0, 32, mine, 0), 0);
    assert_int_equal(group_get(world->group, 0, UINT64_MAX, mine, 1), -EFAULT);
    assert_int_equal(group_get(world->group, 0, 1, mine, UINT64_MAX), -EFAULT);
    group_grown(world->group, 0, 64);
    assert_int_equal(group_put(world->group, 0, 31, mine, 2), 0);
    group_away(world->group, 0);
    assert_int_equal(group_get(world->group, 0, 0, mine, 1), -EAGAIN);
    group_settle(world->group, 0, memory + 3, 32);
    assert_int_equal(group_get(world->group, 0, 0, mine, 1), 0);
    assert_int_equal(mine[0], 'm');
    group_leave(world->group, 0);
    assert_int_equal(group_get(world->group, 0, 0, mine, 1), -ESRCH);
    assert_int_equal(group_enter(world->group, 1, NULL, 0), 0);
    assert_int_equal(group_get(world->group, 1, 0, mine, 1), -EFAULT);
    world_destroy(world);
}

struct moving {
    struct group *group;
    uint32_t rounds;
    atomic_bool is_over;
    atomic_uint copied;
};

/* Its memory is somewhere else each time, and where it was is gone. */
static void *
move_on(void *context)
{
    struct moving *moving = context;
    uint8_t *base = NULL, *next;

    for (uint32_t i = 0; i < moving->rounds || atomic_load(&moving->copied) < 100; i++) {
        next = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(next != MAP_FAILED);
        (void)memset(next, 'w', PAGE);
        if (base == NULL) {
            assert_int_equal(group_enter(moving->group, 0, next, PAGE), 0);
        } else {
            group_away(moving->group, 0);
            assert_int_equal(munmap(base, PAGE), 0);
            group_settle(moving->group, 0, next, PAGE);
        }
        base = next;
    }
    group_leave(moving->group, 0);
    assert_int_equal(munmap(base, PAGE), 0);
    atomic_store(&moving->is_over, true);
    return NULL;
}

static void *
copy_on(void *context)
{
    static _Thread_local uint8_t mine[PAGE];
    struct moving *moving = context;

    while (!atomic_load(&moving->is_over)) {
        int err = group_get(moving->group, 0, 0, mine, sizeof(mine));

        assert_true(err == 0 || err == -EAGAIN || err == -ESRCH);
        if (err != 0)
            continue;
        atomic_fetch_add(&moving->copied, 1);
        for (size_t i = 0; i < sizeof(mine); i += 1000)
            assert_int_equal(mine[i], 'w');
    }
    return NULL;
}

static void
test_copies_go_on_while_the_memory_moves(void **state)
{
    struct world *world = world_create(3);
    struct moving moving = {.group = world->group, .rounds = 2000};
    pthread_t threads[3];

    (void)state;
    assert_int_equal(pthread_create(&threads[0], NULL, copy_on, &moving), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, copy_on, &moving), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, move_on, &moving), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    world_destroy(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_has_one_to_4096_members),
        cmocka_unit_test(test_a_message_arrives_whole_and_stays_until_it_is_dropped),
        cmocka_unit_test(test_a_message_may_be_to_oneself_and_of_no_bytes),
        cmocka_unit_test(test_messages_go_round_a_ring),
        cmocka_unit_test(test_messages_go_round_a_lane),
        cmocka_unit_test(test_senders_come_in_turn_and_each_in_its_order),
        cmocka_unit_test(test_senders_of_one_lane_keep_their_order),
        cmocka_unit_test(test_a_full_ring_refuses_and_tells_of_room),
        cmocka_unit_test(test_what_came_before_the_wait_ends_it),
        cmocka_unit_test(test_a_message_wakes_once),
        cmocka_unit_test(test_two_that_wait_for_each_other_lose_nothing),
        cmocka_unit_test(test_several_with_full_rings_lose_nothing),
        cmocka_unit_test(test_many_on_lanes_lose_nothing),
        cmocka_unit_test(test_a_message_that_is_passed_on_is_never_a_deadlock),
        cmocka_unit_test(test_all_that_wait_end_the_group_and_say_for_what),
        cmocka_unit_test(test_the_last_that_leaves_leaves_those_that_wait_in_a_deadlock),
        cmocka_unit_test(test_all_that_left_are_no_deadlock),
        cmocka_unit_test(test_one_whose_other_threads_could_go_on_is_not_stuck),
        cmocka_unit_test(test_the_first_end_counts_and_wakes_all),
        cmocka_unit_test(test_one_that_is_gone_without_leaving_ends_the_group),
        cmocka_unit_test(test_what_is_sent_to_one_that_left_is_lost_and_holds_up_nobody),
        cmocka_unit_test(test_nobody_enters_twice),
        cmocka_unit_test(test_copies_are_of_what_the_member_told),
        cmocka_unit_test(test_copies_go_on_while_the_memory_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
