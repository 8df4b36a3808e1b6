/* SPDX-License-Identifier: Apache-2.0
 *
 * The core in a world made by the test: first by hand, then a random one with hosts that
 * die and words that come late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "planner/core.h"

#define CALLS  4000u
#define HOSTS  6u
#define WORDS  65536u
#define SECOND UINT64_C(1000000000)

/* Members that a host runs, or words about them that are on their way. */
struct word {
    bool is_there, is_stop;
    uint64_t at_ns;
    unsigned host, call;
    uint64_t host_life;
    uint32_t attempt, members;
};

struct world {
    struct core *core;
    struct core_tenant *tenants[3];
    struct core_host *hosts[HOSTS];
    uint64_t lives[HOSTS]; /* grows when one comes up anew */
    bool is_mute[HOSTS];   /* it runs, but nobody hears it */
    struct core_call *calls[CALLS];
    unsigned call_count;
    unsigned ends[CALLS], starts[CALLS];
    enum core_end end[CALLS];
    struct word words[WORDS];
    unsigned word_count;
    uint32_t gone; /* hosts */
    uint64_t now_ns;
    bool is_random;
};

static void
say(struct world *w, const struct core_action *action, bool is_stop, uint64_t after_ns)
{
    struct word *word = &w->words[w->word_count++];

    assert_true(w->word_count < WORDS);
    *word = (struct word){
        .is_there = true,
        .is_stop = is_stop,
        .at_ns = w->now_ns + after_ns,
        .host = (unsigned)(uintptr_t)core_host_owner(action->host),
        .call = (unsigned)core_call_id(action->call),
        .attempt = action->attempt,
        .members = action->members,
    };
    word->host_life = w->lives[word->host];
}

static void
act(void *context, const struct core_action *action)
{
    struct world *w = context;
    unsigned call;

    if (action->kind == CORE_GONE) {
        w->gone++;
        return;
    }
    call = (unsigned)core_call_id(action->call);
    assert_int_equal(w->ends[call], 0);
    switch (action->kind) {
    case CORE_START:
        assert_true(action->members > 0);
        w->starts[call]++;
        say(w, action, false, w->is_random ? (uint64_t)random() % SECOND : 0);
        break;
    case CORE_STOP:
        say(w, action, true, w->is_random ? (uint64_t)random() % (SECOND / 10) : 0);
        break;
    default:
        w->ends[call]++;
        w->end[call] = action->end;
        w->calls[call] = NULL;
        break;
    }
}

static void
world_init(struct world *w, const char *policy)
{
    const struct core_config config = {.policy = policy,
                                       .hold_ns = SECOND,
                                       .short_ns = SECOND / 10,
                                       .silence_ns_max = 5 * SECOND,
                                       .misfit_ns = 20 * SECOND,
                                       .retry_ns_max = 10 * SECOND};

    (void)memset(w, 0, sizeof(*w));
    w->now_ns = SECOND;
    assert_int_equal(core_create(&config, &w->core), 0);
    core_set_actor(w->core, act, w);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            core_tenant_add(w->core, &(struct queue_share){.weight = i + 1}, &w->tenants[i]), 0);
}

static void
host_up(struct world *w, unsigned host, uint32_t slots)
{
    const struct core_capacity capacity = {slots, slots * 100};

    w->lives[host]++;
    w->is_mute[host] = false;
    assert_int_equal(
        core_host_up(w->core, &capacity, (void *)(uintptr_t)host, w->now_ns, &w->hosts[host]), 0);
}

static unsigned
submit(struct world *w, unsigned tenant, struct core_submit what)
{
    unsigned call = w->call_count++;

    assert_true(call < CALLS);
    what.id = call;
    what.members = what.members > 0 ? what.members : 1;
    what.deadline_ns = what.deadline_ns > 0 ? what.deadline_ns : UINT64_MAX;
    assert_int_equal(core_submit(w->tenants[tenant], &what, w->now_ns, &w->calls[call]), 0);
    return call;
}

static void
tick(struct world *w, uint64_t after_ns)
{
    w->now_ns += after_ns;
    for (unsigned i = 0; i < HOSTS; i++)
        if (w->hosts[i] != NULL && !w->is_mute[i])
            core_host_heard(w->hosts[i], w->now_ns);
    core_tick(w->core, w->now_ns);
}

static void
members_ended(struct world *w, unsigned call, unsigned host, uint32_t members, bool is_failure)
{
    core_ended(w->calls[call], w->hosts[host], core_call_attempt(w->calls[call]), members,
               is_failure, w->now_ns);
}

/* --------------------------------------------------------------------------- by hand */

static void
test_a_call_starts_where_there_is_room_and_ends_once(void **state)
{
    static struct world w;
    unsigned a, b;

    (void)state;
    world_init(&w, "binpack");
    a = submit(&w, 0, (struct core_submit){.memory_each = 10});
    tick(&w, 0);
    assert_int_equal(w.starts[a], 0);
    host_up(&w, 0, 1);
    b = submit(&w, 1, (struct core_submit){0});
    tick(&w, 0);
    assert_int_equal(w.starts[a] + w.starts[b], 1);
    members_ended(&w, w.starts[a] > 0 ? a : b, 0, 1, false);
    tick(&w, 0);
    assert_int_equal(w.starts[a] + w.starts[b], 2);
    members_ended(&w, w.calls[a] != NULL ? a : b, 0, 1, true);
    assert_true(w.ends[a] == 1 && w.ends[b] == 1);
    assert_true(w.end[a] == CORE_ENDED && w.end[b] == CORE_ENDED);
    assert_int_equal(core_host_used(w.hosts[0]), 0);
    core_destroy(w.core);
}

/* A pause that is over is nothing to wake up for, also where there is no room. */
static void
test_what_is_due_is_a_pause_then_a_deadline_then_nothing(void **state)
{
    static struct world w;
    unsigned first, second, paused;

    (void)state;
    world_init(&w, "compact");
    assert_true(core_due_ns(w.core) == UINT64_MAX);
    host_up(&w, 0, 1);
    assert_int_equal(core_due_ns(w.core), w.now_ns + 5 * SECOND); /* its silence */
    paused =
        submit(&w, 0, (struct core_submit){.attempts = 1, .pause_ns = SECOND / 100, .dice = 1});
    tick(&w, 0);
    first = submit(&w, 0, (struct core_submit){.priority = 9});
    members_ended(&w, paused, 0, 1, true);
    assert_true(core_due_ns(w.core) > w.now_ns);
    assert_true(core_due_ns(w.core) <= w.now_ns + SECOND / 100);
    tick(&w, SECOND / 100); /* the other has the room */
    assert_int_equal(w.starts[first], 1);
    assert_int_equal(w.starts[paused], 1);
    assert_true(core_due_ns(w.core) > w.now_ns + SECOND);
    second = submit(&w, 0, (struct core_submit){.deadline_ns = w.now_ns + SECOND / 2});
    assert_int_equal(core_due_ns(w.core), w.now_ns + SECOND / 2);
    tick(&w, SECOND / 2);
    assert_int_equal(w.end[second], CORE_LATE);
    assert_true(core_due_ns(w.core) > w.now_ns + SECOND);
    core_destroy(w.core);
}

static void
test_a_dead_host_loses_its_calls_and_those_that_may_start_again(void **state)
{
    static struct world w;
    unsigned once, twice;

    (void)state;
    world_init(&w, "binpack");
    host_up(&w, 0, 2);
    once = submit(&w, 0, (struct core_submit){0});
    twice = submit(&w, 0, (struct core_submit){.attempts = 1, .pause_ns = SECOND});
    tick(&w, 0);
    w.is_mute[0] = true;
    tick(&w, 5 * SECOND);
    assert_int_equal(w.gone, 1);
    w.hosts[0] = NULL;
    assert_int_equal(w.end[once], CORE_LOST);
    assert_int_equal(w.ends[once], 1);
    assert_int_equal(w.ends[twice], 0);
    host_up(&w, 1, 2);
    tick(&w, SECOND / 2);
    assert_int_equal(w.starts[twice], 1); /* its pause */
    assert_true(core_due_ns(w.core) <= w.now_ns + SECOND / 2);
    tick(&w, SECOND / 2);
    assert_int_equal(w.starts[twice], 2);
    core_ended(w.calls[twice], w.hosts[1], 1, 1, false, w.now_ns); /* of the first attempt */
    assert_int_equal(w.ends[twice], 0);
    members_ended(&w, twice, 1, 1, false);
    assert_int_equal(w.ends[twice], 1);
    core_destroy(w.core);
}

static void
test_failures_are_tried_again_where_that_is_wanted(void **state)
{
    static struct world w;
    unsigned lost_only, any;

    (void)state;
    world_init(&w, "spread");
    host_up(&w, 0, 4);
    lost_only = submit(&w, 0, (struct core_submit){.attempts = 3, .only_if_lost = true});
    any = submit(&w, 0, (struct core_submit){.attempts = 1});
    tick(&w, 0);
    members_ended(&w, lost_only, 0, 1, true);
    members_ended(&w, any, 0, 1, true);
    assert_int_equal(w.ends[lost_only], 1);
    assert_int_equal(w.ends[any], 0);
    tick(&w, 0);
    assert_int_equal(w.starts[any], 2);
    members_ended(&w, any, 0, 1, true);
    assert_int_equal(w.ends[any], 1);
    assert_int_equal(w.end[any], CORE_ENDED);
    core_destroy(w.core);
}

static void
test_a_gang_is_one_call_on_many_hosts(void **state)
{
    static struct world w;
    unsigned gang, stops = 0;

    (void)state;
    world_init(&w, "binpack");
    host_up(&w, 0, 3);
    host_up(&w, 1, 3);
    gang = submit(&w, 0, (struct core_submit){.members = 5, .memory_each = 100});
    tick(&w, 0);
    assert_int_equal(w.starts[gang], 2);
    assert_int_equal(core_host_used(w.hosts[0]) + core_host_used(w.hosts[1]), 5);
    members_ended(&w, gang, 0, 1, true); /* the others are stopped */
    for (unsigned i = 0; i < w.word_count; i++)
        stops += w.words[i].is_stop;
    assert_int_equal(stops, 2);
    assert_int_equal(w.ends[gang], 0);
    members_ended(&w, gang, 0, 99, false);
    members_ended(&w, gang, 1, 99, false);
    assert_int_equal(w.ends[gang], 1);
    assert_int_equal(core_host_used(w.hosts[0]) + core_host_used(w.hosts[1]), 0);
    core_destroy(w.core);
}

static void
test_deadlines_cancelling_and_what_never_fits(void **state)
{
    static struct world w;
    unsigned late, running, cancelled, huge;

    (void)state;
    world_init(&w, "binpack");
    host_up(&w, 0, 1);
    running = submit(&w, 0, (struct core_submit){0});
    tick(&w, 0);
    late = submit(&w, 0, (struct core_submit){.deadline_ns = w.now_ns + SECOND});
    cancelled = submit(&w, 0, (struct core_submit){0});
    huge = submit(&w, 1, (struct core_submit){.members = 2});
    core_cancel(w.calls[cancelled], w.now_ns);
    assert_int_equal(w.end[cancelled], CORE_CANCELLED);
    tick(&w, SECOND);
    assert_int_equal(w.ends[late], 1);
    assert_int_equal(w.end[late], CORE_LATE);
    core_cancel(w.calls[running], w.now_ns);
    assert_int_equal(w.ends[running], 0); /* its host has to say so */
    members_ended(&w, running, 0, 1, true);
    assert_int_equal(w.end[running], CORE_CANCELLED);
    assert_int_equal(w.ends[huge], 0);
    tick(&w, 20 * SECOND);
    assert_int_equal(w.end[huge], CORE_MISFIT);
    core_destroy(w.core);
}

static void
test_a_draining_host_takes_nothing_and_a_removed_tenant_has_nothing(void **state)
{
    static struct world w;
    unsigned a, b;

    (void)state;
    world_init(&w, "binpack");
    host_up(&w, 0, 2);
    a = submit(&w, 0, (struct core_submit){0});
    tick(&w, 0);
    core_host_drain(w.hosts[0], true, w.now_ns);
    b = submit(&w, 0, (struct core_submit){0});
    tick(&w, 0);
    assert_int_equal(w.starts[b], 0);
    core_tenant_remove(w.tenants[0], w.now_ns);
    assert_int_equal(w.end[b], CORE_CANCELLED);
    members_ended(&w, a, 0, 1, false);
    assert_int_equal(w.end[a], CORE_CANCELLED);
    core_destroy(w.core);
}

/* ---------------------------------------------------------------------- a random world */

static void
hear(struct world *w, struct word *word)
{
    struct core_call *call = w->calls[word->call];

    word->is_there = false;
    if (w->lives[word->host] != word->host_life || w->hosts[word->host] == NULL || call == NULL)
        return; /* of a host that died, or about a call that is over */
    if (random() % 20 == 0)
        core_lost(call, w->hosts[word->host], word->attempt, w->now_ns);
    else
        core_ended(call, w->hosts[word->host], word->attempt, word->members, random() % 10 == 0,
                   w->now_ns);
    if (random() % 10 == 0 && w->calls[word->call] != NULL) /* once more, late */
        core_ended(w->calls[word->call], w->hosts[word->host], word->attempt, word->members, false,
                   w->now_ns);
}

static void
hear_due(struct world *w)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < w->word_count; i++)
        if (w->words[i].is_there && w->words[i].at_ns <= w->now_ns && !w->is_mute[w->words[i].host])
            hear(w, &w->words[i]);
    for (unsigned i = 0; i < w->word_count; i++)
        if (w->words[i].is_there && w->lives[w->words[i].host] == w->words[i].host_life)
            w->words[kept++] = w->words[i];
    w->word_count = kept;
}

static void
shake_hosts(struct world *w, unsigned down_in)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        if (w->hosts[i] == NULL) {
            if (random() % 10 == 0)
                host_up(w, i, 1 + (uint32_t)random() % 8);
        } else if (random() % down_in == 0) {
            core_host_down(w->hosts[i], w->now_ns);
            w->hosts[i] = NULL;
        } else if (random() % 100 == 0) {
            core_host_drain(w->hosts[i], random() % 2 == 0, w->now_ns);
        }
    }
}

static void
submit_some(struct world *w)
{
    for (unsigned i = 0; i < 4 && w->call_count < CALLS; i++)
        (void)submit(w, (unsigned)random() % 3,
                     (struct core_submit){
                         .members = random() % 4 == 0 ? 1 + (uint32_t)random() % 12 : 1,
                         .priority = (uint32_t)random() % 10,
                         .hosts_max = (uint32_t)random() % 3,
                         .memory_each = (uint64_t)random() % 150,
                         .wall_ns = random() % 2 == 0 ? SECOND / 20 : 0,
                         .deadline_ns =
                             random() % 4 == 0 ? w->now_ns + (uint64_t)random() % (10 * SECOND) : 0,
                         .attempts = (uint32_t)random() % 4,
                         .pause_ns = SECOND / 4,
                         .only_if_lost = random() % 2 == 0,
                     });
}

static void
live(struct world *w, unsigned seed)
{
    unsigned over = 0;

    srandom(seed);
    w->is_random = true;
    for (unsigned step = 0; over < CALLS; step++) {
        assert_true(step < 100000);
        w->now_ns += (uint64_t)random() % (SECOND / 5);
        submit_some(w);
        shake_hosts(w, w->call_count < CALLS ? 60 : 2000);
        hear_due(w);
        if (random() % 50 == 0) {
            unsigned call = (unsigned)random() % w->call_count;

            if (w->calls[call] != NULL)
                core_cancel(w->calls[call], w->now_ns);
        }
        tick(w, 0);
        over = 0;
        for (unsigned i = 0; i < w->call_count; i++)
            over += w->ends[i];
    }
}

static void
test_whatever_happens_each_call_ends_once_and_every_slot_comes_back(void **state)
{
    static struct world w;

    (void)state;
    for (unsigned p = 0; place_policy_name(p) != NULL; p++) {
        world_init(&w, place_policy_name(p));
        live(&w, 100 + p);
        for (unsigned i = 0; i < CALLS; i++)
            assert_int_equal(w.ends[i], 1);
        for (unsigned i = 0; i < HOSTS; i++)
            if (w.hosts[i] != NULL)
                assert_int_equal(core_host_used(w.hosts[i]), 0);
        core_destroy(w.core);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_starts_where_there_is_room_and_ends_once),
        cmocka_unit_test(test_what_is_due_is_a_pause_then_a_deadline_then_nothing),
        cmocka_unit_test(test_a_dead_host_loses_its_calls_and_those_that_may_start_again),
        cmocka_unit_test(test_failures_are_tried_again_where_that_is_wanted),
        cmocka_unit_test(test_a_gang_is_one_call_on_many_hosts),
        cmocka_unit_test(test_deadlines_cancelling_and_what_never_fits),
        cmocka_unit_test(test_a_draining_host_takes_nothing_and_a_removed_tenant_has_nothing),
        cmocka_unit_test(test_whatever_happens_each_call_ends_once_and_every_slot_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
