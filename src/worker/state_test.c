/* SPDX-License-Identifier: Apache-2.0
 *
 * State on its way through a worker: whose cell it is, what reaches which, and what is said when
 * one ends. The cells are doubles, which say back what they are told.
 */
#include "worker/worker_testing.h"

#define HEARD_MAX 64u

struct heard {
    uint64_t session;
    char tenant[64], text[64];
    bool is_over;
};

struct scene {
    struct worker *worker;
    struct worker_tenant *one, *other;
    struct worker_function *of_one, *of_other;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct heard heard[HEARD_MAX];
    size_t count;
};

static void
on_state(void *context, const struct worker_state *words)
{
    struct scene *s = context;

    (void)pthread_mutex_lock(&s->lock);
    if (s->count < HEARD_MAX) {
        struct heard *heard = &s->heard[s->count++];

        *heard = (struct heard){.session = words->session, .is_over = words->is_over};
        testing_copy(heard->tenant, sizeof(heard->tenant), words->tenant, strlen(words->tenant));
        testing_copy(heard->text, sizeof(heard->text), words->bytes, words->count);
    }
    (void)pthread_cond_broadcast(&s->change);
    (void)pthread_mutex_unlock(&s->lock);
}

static int
setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->change, NULL);
    s->worker = testing_worker_with(
        (struct worker_config){.ready = 1, .on_state = on_state, .chain_context = s},
        "test/worker/double");
    s->one = testing_tenant(s->worker, "one");
    s->other = testing_tenant(s->worker, "other");
    s->of_one = testing_function(s->one);
    s->of_other = testing_function(s->other);
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *s = *state;

    worker_destroy(s->worker);
    free(s);
    return 0;
}

/* The n-th word that came. */
static struct heard
hear(struct scene *s, size_t n)
{
    struct timespec until;
    struct heard heard;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(TESTING_PATIENCE_NS / CLOCK_NS_PER_SECOND);
    (void)pthread_mutex_lock(&s->lock);
    while (s->count <= n)
        if (pthread_cond_timedwait(&s->change, &s->lock, &until) != 0)
            fail_msg("nothing comes");
    heard = s->heard[n];
    (void)pthread_mutex_unlock(&s->lock);
    return heard;
}

/* A cell of the function's tenant says it. */
static void
say(struct worker_function *function, const char *text)
{
    struct testing_end end;

    testing_ask_with(function,
                     (struct worker_call){.entry = "state",
                                          .input = (const uint8_t *)text,
                                          .input_bytes = strlen(text)},
                     &end);
    assert_int_equal(end.end.kind, WORKER_DONE);
}

static int
tell(struct scene *s, uint64_t session, const char *text)
{
    return worker_state_say(s->worker, session, (const uint8_t *)text, strlen(text));
}

/* -------------------------------------------------------------------------------- tests */

static void
test_words_go_through_with_whose_they_are(void **state)
{
    struct scene *s = *state;
    struct heard one, other;

    say(s->of_one, "");
    say(s->of_other, "");
    one = hear(s, 0);
    other = hear(s, 1);
    assert_string_equal(one.tenant, "one");
    assert_string_equal(other.tenant, "other");
    assert_int_not_equal(one.session, other.session);
    assert_string_equal(one.text, "");
    say(s->of_one, "from one");
    assert_string_equal(hear(s, 2).text, "from one");
    assert_true(hear(s, 2).session == one.session);
    assert_int_equal(tell(s, other.session, "to the other"), 0);
    assert_string_equal(hear(s, 3).text, "to the other");
    assert_true(hear(s, 3).session == other.session);
    assert_string_equal(hear(s, 3).tenant, "other");
}

static void
test_words_to_no_session_are_refused(void **state)
{
    struct scene *s = *state;
    struct testing_end end;

    assert_int_equal(tell(s, 12345, "x"), -ESRCH);
    /* A cell that never wanted a session has none. */
    assert_int_equal(testing_ask(s->of_one, "echo", &end), WORKER_DONE);
    for (uint64_t session = 0; session < 16; session++)
        assert_int_equal(tell(s, session, "x"), -ESRCH);
    worker_state_renew(s->worker);
    say(s->of_one, "");
    assert_string_equal(hear(s, 0).text, "");
    assert_int_equal(tell(s, hear(s, 0).session + 1, "x"), -ESRCH);
    assert_int_equal(s->count, 1);
}

static void
test_a_cell_that_ends_says_so_once_and_is_not_spoken_to(void **state)
{
    struct scene *s = *state;
    struct heard first;

    say(s->of_one, "");
    first = hear(s, 0);
    testing_kill_cell(s->one);
    assert_true(hear(s, 1).is_over);
    assert_true(hear(s, 1).session == first.session);
    assert_int_equal(tell(s, first.session, "x"), -ESRCH);
    say(s->of_one, ""); /* another cell, another session */
    assert_false(hear(s, 2).is_over);
    assert_true(hear(s, 2).session != first.session);
    assert_int_equal(s->count, 3);
}

static void
test_all_that_wanted_a_session_are_told_that_their_connection_is_new(void **state)
{
    struct scene *s = *state;
    bool is_one, is_other;

    say(s->of_one, "a");
    say(s->of_other, "b");
    worker_state_renew(s->worker);
    assert_string_equal(hear(s, 2).text, "");
    assert_string_equal(hear(s, 3).text, "");
    is_one = hear(s, 2).session == hear(s, 0).session || hear(s, 3).session == hear(s, 0).session;
    is_other = hear(s, 2).session == hear(s, 1).session || hear(s, 3).session == hear(s, 1).session;
    assert_true(is_one && is_other);
}

/* What it does not read is bounded, and another tenant's cell is spoken to meanwhile. */
static void
test_a_cell_that_does_not_read_is_not_waited_for(void **state)
{
    static uint8_t bytes[1 << 16];
    struct scene *s = *state;
    struct testing_end end;
    unsigned said = 0;
    int err = 0;

    say(s->of_one, "");
    say(s->of_other, "");
    testing_begin(s->of_one, (struct worker_call){.entry = "deaf"}, &end);
    for (; err == 0 && said < 65536; said++)
        err = worker_state_say(s->worker, hear(s, 0).session, bytes, sizeof(bytes));
    assert_int_equal(err, -EAGAIN);
    assert_int_equal(tell(s, hear(s, 1).session, "still"), 0);
    assert_string_equal(hear(s, 2).text, "still");
    testing_kill_cell(s->one);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_LOST);
    assert_true(hear(s, 3).is_over);
}

static void
test_a_cell_that_speaks_before_it_is_set_up_is_none(void **state)
{
    struct scene *s = *state;
    struct testing_end end;

    worker_destroy(s->worker);
    assert_int_equal(setenv("WEFT_STRESS", "early-state", 1), 0);
    s->worker = testing_worker_with(
        (struct worker_config){.ready = WORKER_NO_POOL, .on_state = on_state, .chain_context = s},
        "test/worker/double");
    s->one = testing_tenant(s->worker, "one");
    assert_int_not_equal(testing_ask(testing_function(s->one), "echo", &end), WORKER_DONE);
    assert_int_equal(unsetenv("WEFT_STRESS"), 0);
    assert_int_equal(s->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_words_go_through_with_whose_they_are),
        TEST(test_words_to_no_session_are_refused),
        TEST(test_a_cell_that_ends_says_so_once_and_is_not_spoken_to),
        TEST(test_all_that_wanted_a_session_are_told_that_their_connection_is_new),
        TEST(test_a_cell_that_does_not_read_is_not_waited_for),
        TEST(test_a_cell_that_speaks_before_it_is_set_up_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
