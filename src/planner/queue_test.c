/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "planner/queue.h"

#define HOLD    1000u
#define TENANTS 3u
#define ITEMS   512u
#define NOTHING UINT32_MAX

/* A machine of so many slots, and the calls that it runs. */
struct world {
    struct queue *queue;
    struct queue_tenant *tenants[TENANTS];
    struct queue_item items[ITEMS];
    bool is_running[ITEMS];
    unsigned item_count;
    uint32_t slots, used, used_short;
    uint32_t started; /* number of the item that queue_next started */
    uint32_t drop;    /* number of one that is to be dropped */
    uint64_t now_ns;
};

static enum queue_try
try_start(void *context, struct queue_item *item)
{
    struct world *w = context;
    uint32_t number = (uint32_t)(item - w->items);

    assert_null(item->tenant);
    if (number == w->drop)
        return QUEUE_DROPPED;
    if (item->members > w->slots - w->used)
        return item->members > w->slots - w->used + w->used_short ? QUEUE_WAIT_LONG
                                                                  : QUEUE_WAIT_SHORT;
    w->used += item->members;
    w->used_short += item->is_short ? item->members : 0;
    w->is_running[number] = true;
    w->started = number;
    return QUEUE_STARTED;
}

static void
world_init(struct world *w, uint32_t slots, const uint32_t weights[TENANTS])
{
    (void)memset(w, 0, sizeof(*w));
    w->slots = slots;
    w->drop = NOTHING;
    w->now_ns = 1;
    assert_int_equal(queue_create(HOLD, &w->queue), 0);
    for (unsigned i = 0; i < TENANTS; i++) {
        const struct queue_share share = {.weight = weights != NULL ? weights[i] : 1};

        assert_int_equal(queue_tenant_add(w->queue, &share, &w->tenants[i]), 0);
    }
}

static uint32_t
push(struct world *w, unsigned tenant, uint32_t members, uint32_t priority, bool is_short)
{
    struct queue_item *item = &w->items[w->item_count];

    assert_true(w->item_count < ITEMS);
    *item = (struct queue_item){.members = members, .priority = priority, .is_short = is_short};
    assert_int_equal(queue_push(w->tenants[tenant], item, w->now_ns), 0);
    return w->item_count++;
}

/* The item that starts next. */
static uint32_t
next(struct world *w)
{
    return queue_next(w->queue, w->now_ns, try_start, w) ? w->started : NOTHING;
}

static void
finish(struct world *w, unsigned tenant, uint32_t number)
{
    assert_true(w->is_running[number]);
    w->is_running[number] = false;
    w->used -= w->items[number].members;
    w->used_short -= w->items[number].is_short ? w->items[number].members : 0;
    queue_finished(w->tenants[tenant], w->items[number].members);
}

static void
world_fini(struct world *w)
{
    for (unsigned i = 0; i < w->item_count; i++)
        queue_remove(&w->items[i]);
    queue_destroy(w->queue);
}

static void
test_who_came_first_starts_first_but_for_priority(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 10, NULL);
    (void)push(&w, 0, 1, 5, false);
    (void)push(&w, 0, 1, 5, false);
    (void)push(&w, 0, 1, 9, false);
    (void)push(&w, 0, 1, 0, false);
    assert_int_equal(queue_waiting(w.tenants[0]), 4);
    assert_int_equal(next(&w), 2);
    assert_int_equal(next(&w), 0);
    assert_int_equal(next(&w), 1);
    assert_int_equal(next(&w), 3);
    assert_int_equal(next(&w), NOTHING);
    assert_int_equal(queue_running(w.tenants[0]), 4);
    world_fini(&w);
}

/* Members started of each tenant, while all have something to do. */
static void
test_tenants_get_what_their_weights_say(void **state)
{
    static const uint32_t weights[TENANTS] = {1, 2, 5};
    uint32_t counts[TENANTS] = {0}, number;
    struct world w;

    (void)state;
    world_init(&w, 8, weights);
    for (unsigned i = 0; i < 100; i++)
        for (unsigned t = 0; t < TENANTS; t++) /* gangs of different sizes */
            (void)push(&w, t, t == 0 ? 4 : 1, 0, false);
    for (unsigned i = 0; i < 120; i++) {
        number = next(&w);
        assert_true(number != NOTHING);
        counts[number % TENANTS] += w.items[number].members;
        finish(&w, number % TENANTS, number);
    }
    assert_in_range(counts[1] * 100 / counts[0], 150, 260);
    assert_in_range(counts[2] * 100 / counts[0], 380, 640);
    world_fini(&w);
}

static void
test_a_tenant_that_was_away_has_nothing_saved_up(void **state)
{
    struct world w;
    uint32_t number, first = 0;

    (void)state;
    world_init(&w, 1, NULL);
    for (unsigned i = 0; i < 40; i++)
        (void)push(&w, 0, 1, 0, false);
    for (unsigned i = 0; i < 20; i++)
        finish(&w, 0, next(&w));
    for (unsigned i = 0; i < 20; i++)
        (void)push(&w, 1, 1, 0, false);
    for (unsigned i = 0; i < 10; i++) {
        number = next(&w);
        first += number < 40;
        finish(&w, number < 40 ? 0 : 1, number);
    }
    assert_in_range(first, 4, 6);
    world_fini(&w);
}

static void
test_limits_of_a_tenant_hold_and_others_go_on(void **state)
{
    const struct queue_share tight = {.weight = 100, .running_max = 2, .waiting_max = 3};
    struct queue_item more = {.members = 1};
    struct world w;

    (void)state;
    world_init(&w, 10, NULL);
    queue_tenant_change(w.tenants[0], &tight);
    for (unsigned i = 0; i < 3; i++)
        (void)push(&w, 0, 1, 0, false);
    assert_int_equal(queue_push(w.tenants[0], &more, 0), -EAGAIN);
    (void)push(&w, 1, 1, 0, false);
    for (unsigned i = 0; i < 3; i++)
        assert_true(next(&w) != NOTHING);
    assert_true(w.is_running[3]);
    assert_int_equal(next(&w), NOTHING);
    finish(&w, 0, 0);
    assert_int_equal(next(&w), 2);
    world_fini(&w);
}

static void
test_a_gang_above_the_limit_of_its_tenant_runs_alone(void **state)
{
    const struct queue_share tight = {.weight = 1, .running_max = 2};
    struct world w;

    (void)state;
    world_init(&w, 10, NULL);
    queue_tenant_change(w.tenants[0], &tight);
    (void)push(&w, 0, 1, 0, false);
    (void)push(&w, 0, 4, 0, false);
    assert_int_equal(next(&w), 0);
    assert_int_equal(next(&w), NOTHING);
    finish(&w, 0, 0);
    assert_int_equal(next(&w), 1);
    world_fini(&w);
}

static void
test_small_calls_pass_a_gang_only_for_a_while(void **state)
{
    uint32_t gang, small[3];
    struct world w;

    (void)state;
    world_init(&w, 4, NULL);
    (void)push(&w, 0, 3, 0, false);
    assert_int_equal(next(&w), 0);
    gang = push(&w, 1, 4, 0, false);
    for (unsigned i = 0; i < 3; i++)
        small[i] = push(&w, 2, 1, 0, false);
    assert_int_equal(next(&w), small[0]); /* it passes */
    finish(&w, 2, small[0]);
    w.now_ns += HOLD;
    assert_int_equal(next(&w), NOTHING); /* what is free is kept */
    finish(&w, 0, 0);
    assert_int_equal(next(&w), gang);
    finish(&w, 1, gang);
    assert_int_equal(next(&w), small[1]);
    world_fini(&w);
}

static void
test_short_calls_pass_a_held_gang_until_only_they_are_in_its_way(void **state)
{
    uint32_t gang, quick[4];
    struct world w;

    (void)state;
    world_init(&w, 4, NULL);
    (void)push(&w, 0, 2, 0, false); /* for hours */
    assert_int_equal(next(&w), 0);
    gang = push(&w, 1, 4, 0, false);
    for (unsigned i = 0; i < 4; i++)
        quick[i] = push(&w, 2, 1, 0, true);
    w.now_ns += HOLD;
    assert_int_equal(next(&w), quick[0]);
    assert_int_equal(next(&w), quick[1]);
    finish(&w, 2, quick[0]);
    assert_int_equal(next(&w), quick[2]);
    finish(&w, 0, 0); /* now the gang waits for short ones only */
    assert_int_equal(next(&w), NOTHING);
    finish(&w, 2, quick[1]);
    assert_int_equal(next(&w), NOTHING);
    finish(&w, 2, quick[2]);
    assert_int_equal(next(&w), gang);
    world_fini(&w);
}

static void
test_a_held_gang_stays_within_the_limit_of_its_tenant(void **state)
{
    const struct queue_share tight = {.weight = 1, .running_max = 4};
    uint32_t gang, quick, other;
    struct world w;

    (void)state;
    world_init(&w, 8, NULL);
    queue_tenant_change(w.tenants[1], &tight);
    (void)push(&w, 0, 6, 0, false);
    assert_int_equal(next(&w), 0);
    gang = push(&w, 1, 4, 0, false);
    quick = push(&w, 1, 1, 0, true);
    w.now_ns += HOLD;
    assert_int_equal(next(&w), quick); /* its own, while others are in its way */
    finish(&w, 0, 0);
    other = push(&w, 2, 7, 0, false);
    assert_int_equal(next(&w), other); /* what it lacks is not hosts */
    assert_int_equal(queue_running(w.tenants[1]), 1);
    finish(&w, 1, quick);
    finish(&w, 2, other);
    assert_int_equal(next(&w), gang);
    world_fini(&w);
}

static void
test_a_gang_is_passed_only_for_a_while_by_its_own_tenants_calls(void **state)
{
    const struct queue_share tight = {.weight = 1, .running_max = 4};
    uint32_t gang, small[3];
    struct world w;

    (void)state;
    world_init(&w, 8, NULL);
    queue_tenant_change(w.tenants[0], &tight);
    small[0] = push(&w, 0, 1, 0, true);
    assert_int_equal(next(&w), small[0]);
    gang = push(&w, 0, 4, 0, false);
    for (unsigned i = 1; i < 3; i++)
        small[i] = push(&w, 0, 1, 0, true);
    assert_int_equal(next(&w), small[1]); /* it passes */
    finish(&w, 0, small[0]);
    w.now_ns += HOLD;
    assert_int_equal(next(&w), NOTHING);
    finish(&w, 0, small[1]);
    assert_int_equal(next(&w), gang);
    finish(&w, 0, gang);
    assert_int_equal(next(&w), small[2]);
    world_fini(&w);
}

static void
test_pauses_keep_an_item_from_its_turn(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 4, NULL);
    (void)push(&w, 0, 1, 0, false);
    (void)push(&w, 0, 1, 0, false);
    w.items[0].not_before_ns = 500;
    assert_int_equal(next(&w), 1);
    assert_int_equal(next(&w), NOTHING);
    w.now_ns = 500;
    assert_int_equal(next(&w), 0);
    world_fini(&w);
}

static void
test_what_is_dropped_or_removed_is_nobodys_turn(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 1, NULL);
    for (unsigned i = 0; i < 4; i++)
        (void)push(&w, 0, 1, 0, false);
    w.drop = 0;
    queue_remove(&w.items[1]);
    queue_remove(&w.items[1]);
    assert_int_equal(next(&w), 2);
    assert_int_equal(queue_waiting(w.tenants[0]), 1);
    finish(&w, 0, 2);
    queue_push_back(w.tenants[0], &w.items[2]); /* it goes before 3 again */
    assert_int_equal(next(&w), 2);
    finish(&w, 0, 2);
    assert_int_equal(next(&w), 3);
    finish(&w, 0, 3);
    assert_int_equal(queue_waiting(w.tenants[0]), 0);
    queue_tenant_remove(w.tenants[0]);
    world_fini(&w);
}

/* Whatever comes and ends, nothing is lost, no slot is used twice, and each call starts. */
static void
test_a_random_day_ends_with_everything_done(void **state)
{
    static struct world w;
    static unsigned owner[ITEMS];
    unsigned done = 0;

    (void)state;
    srandom(11);
    world_init(&w, 6, (const uint32_t[]){1, 3, 9});
    for (unsigned step = 0; done < ITEMS; step++) {
        unsigned tenant = (unsigned)random() % TENANTS;

        assert_true(step < 200000);
        w.now_ns += (uint64_t)random() % 100;
        if (w.item_count < ITEMS && random() % 3 == 0) {
            owner[w.item_count] = tenant;
            (void)push(&w, tenant, 1 + (uint32_t)random() % 6, (uint32_t)random() % 10,
                       random() % 2 == 0);
        }
        while (random() % 2 == 0 && next(&w) != NOTHING)
            assert_true(w.used <= w.slots);
        for (unsigned i = 0; i < w.item_count; i++)
            if (w.is_running[i] && random() % 8 == 0) {
                finish(&w, owner[i], i);
                done++;
            }
    }
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_came_first_starts_first_but_for_priority),
        cmocka_unit_test(test_tenants_get_what_their_weights_say),
        cmocka_unit_test(test_a_tenant_that_was_away_has_nothing_saved_up),
        cmocka_unit_test(test_limits_of_a_tenant_hold_and_others_go_on),
        cmocka_unit_test(test_a_gang_above_the_limit_of_its_tenant_runs_alone),
        cmocka_unit_test(test_small_calls_pass_a_gang_only_for_a_while),
        cmocka_unit_test(test_short_calls_pass_a_held_gang_until_only_they_are_in_its_way),
        cmocka_unit_test(test_a_held_gang_stays_within_the_limit_of_its_tenant),
        cmocka_unit_test(test_a_gang_is_passed_only_for_a_while_by_its_own_tenants_calls),
        cmocka_unit_test(test_pauses_keep_an_item_from_its_turn),
        cmocka_unit_test(test_what_is_dropped_or_removed_is_nobodys_turn),
        cmocka_unit_test(test_a_random_day_ends_with_everything_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
