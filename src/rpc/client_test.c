/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "rpc/rpc.h"

enum { CALLS_MAX = 4 };

static struct net_connection *a, *b;
static struct rpc_client *client;

/* What came of one call. */
struct heard {
    unsigned times;
    int err;
    bool is_theirs;
    uint64_t value; /* of a CellAsk's answer, a CellUsage */
    char error[64];
    struct heard *again; /* called by the callback, where not NULL */
    int again_err;
};

static int
open_client(void **state)
{
    static const struct net_limits limits = {0, 0, 50000};
    int ends[2], bytes = 1;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    assert_int_equal(net_connection_create(ends[0], &limits, &a), 0);
    assert_int_equal(net_connection_create(ends[1], &limits, &b), 0);
    assert_int_equal(rpc_client_create(a, CALLS_MAX, &client), 0);
    return 0;
}

static int
close_client(void **state)
{
    (void)state;
    rpc_client_destroy(client);
    net_connection_destroy(a);
    net_connection_destroy(b);
    return 0;
}

static int ask(struct heard *heard, uint64_t deadline_ns, uint64_t *number);

static void
hear(void *context, const struct rpc_result *result)
{
    struct heard *heard = context;

    heard->times++;
    heard->err = result->err;
    heard->is_theirs = result->is_theirs;
    (void)snprintf(heard->error, sizeof(heard->error), "%s", result->error);
    if (result->err == 0) {
        Rpc__CellUsage *usage =
            (void *)rpc_read(result->bytes, result->count, &rpc__cell_usage__descriptor);

        assert_non_null(usage);
        heard->value = usage->calls;
        protobuf_c_message_free_unpacked(&usage->base, NULL);
    }
    if (heard->again != NULL)
        heard->again_err = ask(heard->again, 1, NULL);
}

static int
ask(struct heard *heard, uint64_t deadline_ns, uint64_t *number)
{
    Rpc__CellAsk request = RPC__CELL_ASK__INIT;

    return rpc_client_call(client, &(struct rpc_call){&request.base, deadline_ns, hear, heard},
                           number);
}

/* The other side's next frame. */
static Rpc__Envelope *
other_hears(void)
{
    Rpc__Envelope *envelope;
    struct net_frame frame;

    assert_int_equal(net_flush(a), 0);
    assert_int_equal(net_receive(b, &frame), 0);
    envelope = rpc_envelope(&frame);
    assert_non_null(envelope);
    net_frame_fini(&frame);
    return envelope;
}

static void
expect_at_other(Rpc__EnvelopeKind kind, uint64_t number)
{
    Rpc__Envelope *envelope = other_hears();

    assert_int_equal(envelope->kind, kind);
    assert_true(envelope->number == number);
    protobuf_c_message_free_unpacked(&envelope->base, NULL);
}

/* All that has come goes to the client. */
static int
client_hears(void)
{
    struct net_frame frame;
    int err = 0;

    while (err == 0 && net_receive(a, &frame) == 0) {
        Rpc__Envelope *envelope = rpc_envelope(&frame);

        assert_non_null(envelope);
        err = rpc_client_hear(client, envelope);
        protobuf_c_message_free_unpacked(&envelope->base, NULL);
        net_frame_fini(&frame);
    }
    return err;
}

static void
answer(uint64_t number, uint64_t value)
{
    Rpc__CellUsage usage = RPC__CELL_USAGE__INIT;

    usage.calls = value;
    assert_int_equal(rpc_reply(b, number, &usage.base), 0);
}

/* -------------------------------------------------------------------------- answers */

static void
test_answers_find_their_calls_in_any_order(void **state)
{
    struct heard heard[CALLS_MAX] = {{0}};
    uint64_t numbers[CALLS_MAX];

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < CALLS_MAX; i++) {
            assert_int_equal(ask(&heard[i], CLOCK_NEVER_NS, &numbers[i]), 0);
            expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_REQUEST, numbers[i]);
        }
        assert_int_equal(rpc_client_count(client), CALLS_MAX);
        for (unsigned i = 0; i < CALLS_MAX; i++) {
            unsigned at = (i * 3 + round) % CALLS_MAX;

            answer(numbers[at], round * 10 + at);
        }
        assert_int_equal(client_hears(), 0);
        for (unsigned i = 0; i < CALLS_MAX; i++) {
            assert_int_equal(heard[i].times, round + 1);
            assert_int_equal(heard[i].err, 0);
            assert_true(heard[i].is_theirs);
            assert_int_equal(heard[i].value, round * 10 + i);
        }
        assert_int_equal(rpc_client_count(client), 0);
    }
    assert_true(rpc_client_next_ns(client) == CLOCK_NEVER_NS);
}

static void
test_an_error_of_the_other_side_is_given_with_its_text(void **state)
{
    struct heard heard = {0};
    uint64_t number;

    (void)state;
    assert_int_equal(ask(&heard, CLOCK_NEVER_NS, &number), 0);
    assert_int_equal(rpc_reply_error(b, number, -ENOENT, "no such function"), 0);
    assert_int_equal(client_hears(), 0);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.err, -ENOENT);
    assert_true(heard.is_theirs);
    assert_string_equal(heard.error, "no such function");
}

static void
test_an_answer_that_nobody_asked_for_is_an_error(void **state)
{
    static const uint64_t never[] = {
        0, 1, 65536 + CALLS_MAX, 65536 + 65536, UINT64_MAX, UINT64_C(1) << 63};
    struct heard heard = {0};
    uint64_t number;

    (void)state;
    answer(1 << 16, 1);
    assert_int_equal(client_hears(), -EPROTO); /* before any call */
    assert_int_equal(ask(&heard, CLOCK_NEVER_NS, &number), 0);
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        answer(never[i], 1);
        assert_int_equal(client_hears(), -EPROTO);
    }
    assert_int_equal(rpc_reply_error(b, number, -5000, "no errno"), 0);
    assert_int_equal(client_hears(), -EPROTO);
    assert_int_equal(heard.times, 0);
    answer(number, 5);
    answer(number, 6); /* the second is late: forgotten */
    assert_int_equal(client_hears(), 0);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.value, 5);
}

/* ------------------------------------------------------------------------- deadlines */

static void
test_a_call_ends_at_its_deadline_and_a_late_answer_is_forgotten(void **state)
{
    struct heard early = {0}, late = {0}, next = {0};
    uint64_t numbers[3];

    (void)state;
    assert_int_equal(ask(&late, 200, &numbers[1]), 0);
    assert_int_equal(ask(&early, 100, &numbers[0]), 0);
    expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_REQUEST, numbers[1]);
    expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_REQUEST, numbers[0]);
    assert_int_equal(rpc_client_next_ns(client), 100);
    rpc_client_tick(client, 99);
    assert_int_equal(early.times, 0);
    rpc_client_tick(client, 100);
    assert_int_equal(early.times, 1);
    assert_int_equal(early.err, -ETIMEDOUT);
    assert_false(early.is_theirs);
    assert_int_equal(late.times, 0);
    assert_int_equal(rpc_client_next_ns(client), 200);
    expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_CANCEL, numbers[0]);

    /* In the same place of the table. */
    assert_int_equal(ask(&next, CLOCK_NEVER_NS, &numbers[2]), 0);
    answer(numbers[0], 1);
    answer(numbers[1], 2);
    assert_int_equal(client_hears(), 0);
    assert_int_equal(early.times, 1);
    assert_int_equal(next.times, 0);
    assert_int_equal(late.value, 2);
    rpc_client_tick(client, UINT64_MAX - 1);
    assert_int_equal(late.times, 1);
    assert_int_equal(next.times, 0);
    answer(numbers[2], 3);
    assert_int_equal(client_hears(), 0);
    assert_int_equal(next.value, 3);
}

static void
test_a_callback_may_call_again(void **state)
{
    struct heard heard[CALLS_MAX] = {{0}}, again[CALLS_MAX] = {{0}};

    (void)state;
    for (unsigned i = 0; i < CALLS_MAX; i++) {
        heard[i].again = &again[i];
        assert_int_equal(ask(&heard[i], 10 + i, NULL), 0);
    }
    rpc_client_tick(client, 11);
    for (unsigned i = 0; i < CALLS_MAX; i++) {
        assert_int_equal(heard[i].times, i < 2);
        assert_int_equal(heard[i].again_err, 0);
    }
    assert_int_equal(rpc_client_next_ns(client), 1); /* their deadline, gone already */
    rpc_client_tick(client, 11);
    assert_int_equal(again[0].times, 1);
    assert_int_equal(again[1].times, 1);
    assert_int_equal(rpc_client_count(client), 2);
    rpc_client_end(client);
    assert_int_equal(heard[3].times, 1);
    assert_int_equal(again[3].times, 0);
}

static void
test_a_cancelled_call_ends_at_once_and_once(void **state)
{
    struct heard heard = {0};
    uint64_t number;

    (void)state;
    assert_int_equal(ask(&heard, 100, &number), 0);
    expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_REQUEST, number);
    assert_int_equal(rpc_client_cancel(client, number), 0);
    assert_int_equal(heard.err, -ECANCELED);
    expect_at_other(RPC__ENVELOPE_KIND__ENVELOPE_CANCEL, number);
    assert_int_equal(rpc_client_cancel(client, number), -ENOENT);
    assert_int_equal(rpc_client_cancel(client, 0), -ENOENT);
    assert_int_equal(rpc_client_cancel(client, UINT64_MAX), -ENOENT);
    answer(number, 1);
    assert_int_equal(client_hears(), 0);
    rpc_client_tick(client, 1000);
    assert_int_equal(heard.times, 1);
}

/* --------------------------------------------------------------------------- bounds */

static void
test_no_more_calls_than_agreed_are_under_way(void **state)
{
    struct heard heard[CALLS_MAX + 1] = {{0}};
    uint64_t number;

    (void)state;
    for (unsigned i = 0; i < CALLS_MAX; i++)
        assert_int_equal(ask(&heard[i], 100, &number), 0);
    assert_int_equal(ask(&heard[CALLS_MAX], 100, NULL), -EAGAIN);
    answer(number, 1);
    assert_int_equal(client_hears(), 0);
    assert_int_equal(ask(&heard[CALLS_MAX], 100, &number), 0);
    assert_int_equal(ask(&heard[0], 100, NULL), -EAGAIN);
    assert_int_equal(heard[CALLS_MAX].times, 0);
    rpc_client_end(client);
    assert_int_equal(heard[CALLS_MAX].times, 1);
}

static void
test_a_full_queue_takes_no_call(void **state)
{
    Rpc__CellCall request = RPC__CELL_CALL__INIT;
    struct heard heard = {0};
    struct rpc_call call = {&request.base, 100, hear, &heard};
    unsigned asked = 0;
    int err;

    (void)state;
    request.input.len = 20000;
    request.input.data = calloc(1, request.input.len);
    while ((err = rpc_client_call(client, &call, NULL)) == 0)
        asked++;
    assert_int_equal(err, -EAGAIN);
    assert_true(asked >= 2 && asked < CALLS_MAX); /* else the table was full */
    assert_int_equal(rpc_client_count(client), asked);
    assert_int_equal(heard.times, 0);
    fault_arm("rpc.pack", 1, -ENOMEM);
    assert_int_equal(rpc_client_call(client, &call, NULL), -ENOMEM);
    assert_true(fault_disarm());
    free(request.input.data);
    rpc_client_end(client);
    assert_int_equal(heard.times, asked);
}

/* ------------------------------------------------------------------------------ end */

static void
test_the_end_of_the_connection_ends_every_call_once(void **state)
{
    struct heard heard[3] = {{0}}, again = {0};

    (void)state;
    heard[0].again = &again;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask(&heard[i], 100, NULL), 0);
    rpc_client_end(client);
    rpc_client_end(client);
    rpc_client_tick(client, 1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(heard[i].times, 1);
        assert_int_equal(heard[i].err, -EPIPE);
    }
    assert_int_equal(heard[0].again_err, -EPIPE);
    assert_int_equal(again.times, 0);
    assert_int_equal(ask(&again, 100, NULL), -EPIPE);
    assert_int_equal(rpc_client_count(client), 0);
}

static void
test_destroying_a_client_ends_its_calls(void **state)
{
    struct heard heard = {0};

    (void)state;
    assert_int_equal(ask(&heard, 100, NULL), 0);
    rpc_client_destroy(client);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.err, -EPIPE);
    client = NULL;
    rpc_client_destroy(client);
    fault_arm("rpc.client", 1, -ENOMEM);
    assert_int_equal(rpc_client_create(a, 1, &client), -ENOMEM);
    assert_true(fault_disarm());
    assert_null(client);
}

#define CLIENT_TEST(test) cmocka_unit_test_setup_teardown(test, open_client, close_client)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        CLIENT_TEST(test_answers_find_their_calls_in_any_order),
        CLIENT_TEST(test_an_error_of_the_other_side_is_given_with_its_text),
        CLIENT_TEST(test_an_answer_that_nobody_asked_for_is_an_error),
        CLIENT_TEST(test_a_call_ends_at_its_deadline_and_a_late_answer_is_forgotten),
        CLIENT_TEST(test_a_callback_may_call_again),
        CLIENT_TEST(test_a_cancelled_call_ends_at_once_and_once),
        CLIENT_TEST(test_no_more_calls_than_agreed_are_under_way),
        CLIENT_TEST(test_a_full_queue_takes_no_call),
        CLIENT_TEST(test_the_end_of_the_connection_ends_every_call_once),
        CLIENT_TEST(test_destroying_a_client_ends_its_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
