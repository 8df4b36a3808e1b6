/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "rpc/rpc.h"

static const struct rpc_hello alice = {"weft test", 1, 3, "alice"},
                              bob = {"weft test", 2, 5, "bob"};
static struct net_connection *a, *b;

static int
open_pair(void **state)
{
    static const struct net_limits limits = {0, 0, 0};
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(net_connection_create(ends[0], &limits, &a), 0);
    assert_int_equal(net_connection_create(ends[1], &limits, &b), 0);
    return 0;
}

static int
close_pair(void **state)
{
    (void)state;
    net_connection_destroy(a);
    net_connection_destroy(b);
    return 0;
}

static Rpc__Envelope *
receive(struct net_connection *to)
{
    struct net_connection *from = to == a ? b : a;
    Rpc__Envelope *envelope;
    struct net_frame frame;
    int err;

    while ((err = net_receive(to, &frame)) == -EAGAIN)
        assert_int_equal(net_flush(from), 0);
    assert_int_equal(err, 0);
    envelope = rpc_envelope(&frame);
    net_frame_fini(&frame);
    return envelope;
}

static void
drop(Rpc__Envelope *envelope)
{
    protobuf_c_message_free_unpacked(&envelope->base, NULL);
}

/* ------------------------------------------------------------------------ envelopes */

/* Of all lengths whose count takes another byte, and empty. */
static void
test_a_reply_carries_its_message(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 125, 126, 127, 128, 4000, 5000, 20000, 3u << 20};
    uint8_t *input = malloc(4u << 20);

    (void)state;
    (void)memset(input, 7, 4u << 20);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        Rpc__CellCall call = RPC__CELL_CALL__INIT, *read;
        Rpc__Envelope *envelope;

        call.input = (ProtobufCBinaryData){sizes[i], input};
        assert_int_equal(rpc_reply(a, (UINT64_C(1) << 60) + i, &call.base), 0);
        envelope = receive(b);
        assert_non_null(envelope);
        assert_int_equal(envelope->kind, RPC__ENVELOPE_KIND__ENVELOPE_REPLY);
        assert_true(envelope->number == (UINT64_C(1) << 60) + i);
        assert_int_equal(envelope->err, 0);
        read = (void *)rpc_read(envelope->payload.data, envelope->payload.len,
                                &rpc__cell_call__descriptor);
        assert_non_null(read);
        assert_int_equal(read->input.len, sizes[i]);
        assert_true(sizes[i] == 0 || memcmp(read->input.data, input, sizes[i]) == 0);
        protobuf_c_message_free_unpacked(&read->base, NULL);
        drop(envelope);
    }
    free(input);
}

static void
test_an_error_carries_its_number_and_its_text(void **state)
{
    Rpc__Envelope *envelope;

    (void)state;
    assert_int_equal(rpc_reply_error(a, 9, -ENOENT, "no function \xff"), 0);
    envelope = receive(b);
    assert_non_null(envelope);
    assert_int_equal(envelope->err, -ENOENT);
    assert_string_equal(envelope->error, "no function ?");
    assert_int_equal(envelope->payload.len, 0);
    drop(envelope);
}

static void
test_a_message_that_is_too_long_is_not_sent(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct net_frame frame;

    (void)state;
    call.input.len = NET_FRAME_BYTES_MAX - 8;
    call.input.data = calloc(1, call.input.len);
    assert_int_equal(rpc_reply(a, 1, &call.base), -EMSGSIZE);
    call.input.len = 5000;
    fault_arm("rpc.pack", 1, -ENOMEM);
    assert_int_equal(rpc_reply(a, 1, &call.base), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(net_receive(b, &frame), -EAGAIN);
    free(call.input.data);
}

static bool
is_envelope(const void *bytes, size_t count)
{
    struct net_frame frame = {.bytes = (uint8_t *)(uintptr_t)bytes, .count = count};
    Rpc__Envelope *envelope = rpc_envelope(&frame);

    if (envelope != NULL)
        drop(envelope);
    return envelope != NULL;
}

static void
test_what_is_no_envelope_is_refused(void **state)
{
    (void)state;
    assert_true(is_envelope("\x08\x04", 2));
    assert_true(is_envelope("\x08\x01\x2a\x00", 4));      /* a hello */
    assert_false(is_envelope("", 0));                     /* no kind */
    assert_false(is_envelope("\x08\x00", 2));             /* nor here */
    assert_false(is_envelope("\x08\x06", 2));             /* a kind that is not known */
    assert_false(is_envelope("\x08\x01", 2));             /* a hello without one */
    assert_false(is_envelope("\x08\x04\x2a\x00", 4));     /* something else with one */
    assert_false(is_envelope("\x08\x02\x22\x01\xff", 5)); /* no text */
    assert_false(is_envelope("\x08\x04\x32\x05x", 5));    /* cut */
    assert_false(is_envelope("\x08\x01\x2a\x03\x22\x01\x80", 7));
}

/* ---------------------------------------------------------------------------- hello */

/* What a says is heard by b. */
static int
meet(const struct rpc_hello *mine, const struct rpc_hello *theirs, struct rpc_peer *peer,
     struct diag *diag)
{
    struct net_frame frame;
    int err;

    assert_int_equal(rpc_hello_send(a, theirs), 0);
    assert_int_equal(net_receive(b, &frame), 0);
    err = rpc_hello_hear(b, &frame, mine, peer, diag);
    net_frame_fini(&frame);
    return err;
}

static void
test_two_sides_agree_on_the_highest_version_that_both_speak(void **state)
{
    struct rpc_peer peer;
    struct net_frame frame;
    char who[RPC_WHO_MAX + 1];
    struct rpc_hello longest = {"weft test", 3, 3, who};

    (void)state;
    assert_int_equal(meet(&bob, &alice, &peer, NULL), 0);
    assert_int_equal(peer.version, 3);
    assert_string_equal(peer.who, "alice");
    assert_int_equal(meet(&alice, &bob, &peer, NULL), 0);
    assert_int_equal(peer.version, 3);
    (void)memset(who, 'x', RPC_WHO_MAX);
    who[RPC_WHO_MAX] = '\0';
    assert_int_equal(meet(&alice, &longest, &peer, NULL), 0);
    assert_string_equal(peer.who, who);
    assert_int_equal(net_receive(a, &frame), -EAGAIN); /* nobody was refused */
}

/* And the other side is told in the same words. */
static void
expect_refusal(const struct rpc_hello *theirs, int expected, const char *words)
{
    struct rpc_peer peer = {.version = 77};
    struct diag diag, told;
    Rpc__Envelope *refusal;

    diag_init(&diag);
    diag_init(&told);
    assert_int_equal(meet(&bob, theirs, &peer, &diag), expected);
    assert_non_null(strstr(diag_text(&diag), words));
    assert_int_equal(peer.version, 77);
    refusal = receive(a);
    assert_non_null(refusal);
    assert_int_equal(refusal->kind, RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL);
    assert_int_equal(rpc_refused(refusal, &told), -ECONNREFUSED);
    assert_non_null(strstr(diag_text(&told), diag_text(&diag)));
    drop(refusal);
}

static void
test_a_hello_is_refused_with_a_reason_that_reaches_the_other_side(void **state)
{
    static const struct rpc_hello other = {"http", 1, 9, "carol"},
                                  old = {"weft test", 1, 1, "carol"},
                                  young = {"weft test", 6, 9, "carol"},
                                  twin = {"weft test", 2, 2, "bob"};

    (void)state;
    expect_refusal(&other, -EPROTONOSUPPORT, "bob speaks \"weft test\", not what carol speaks");
    expect_refusal(&old, -EPROTONOSUPPORT, "versions 2 to 5");
    expect_refusal(&young, -EPROTONOSUPPORT, "carol speaks 6 to 9");
    expect_refusal(&twin, -ELOOP, "both sides are called bob");
}

static void
expect_no_hello(const void *bytes, size_t count)
{
    struct net_frame frame = {.bytes = (uint8_t *)(uintptr_t)bytes, .count = count};
    struct rpc_peer peer = {.version = 77};
    Rpc__Envelope *refusal;

    assert_int_equal(rpc_hello_hear(b, &frame, &bob, &peer, NULL), -EPROTO);
    assert_int_equal(peer.version, 77);
    refusal = receive(a);
    assert_non_null(refusal);
    assert_int_equal(refusal->kind, RPC__ENVELOPE_KIND__ENVELOPE_REFUSAL);
    assert_true(strlen(refusal->error) > 0);
    drop(refusal);
}

/* A hello (field 5) of protocol "p", versions 1 to 1, and this name. */
static void
expect_no_name(const char *who)
{
    uint8_t bytes[200] = {0x08, 1, 0x2a, 0, 0x0a, 1, 'p', 0x10, 1, 0x18, 1, 0x22};
    size_t count = strlen(who);

    bytes[3] = (uint8_t)(9 + count);
    bytes[12] = (uint8_t)count;
    (void)memcpy(bytes + 13, who, count);
    expect_no_hello(bytes, 13 + count);
}

static void
test_what_is_no_hello_is_refused(void **state)
{
    char who[RPC_WHO_MAX + 2] = "";

    (void)state;
    expect_no_hello("", 0);
    expect_no_hello("\xff\xff", 2);
    expect_no_hello("\x08\x03\x10\x01", 4);                              /* a request */
    expect_no_hello("\x08\x01\x2a\x05\x22\x03\x62\x6f\x62", 9);          /* no version */
    expect_no_hello("\x08\x01\x2a\x07\x10\x05\x18\x04\x22\x01\x78", 11); /* 5 to 4 */
    expect_no_name("");
    expect_no_name("a\nb");
    expect_no_name("a\x7f");
    (void)memset(who, 'x', RPC_WHO_MAX + 1);
    expect_no_name(who);
}

static void
test_a_refusal_instead_of_a_hello_tells_why(void **state)
{
    struct rpc_peer peer;
    struct net_frame frame;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    rpc_refuse(a, "host alice is fenced\n\x1b[31m\xff");
    assert_int_equal(net_receive(b, &frame), 0);
    assert_int_equal(rpc_hello_hear(b, &frame, &bob, &peer, &diag), -ECONNREFUSED);
    assert_string_equal(diag_text(&diag), "the other side refuses: host alice is fenced??[31m?");
    net_frame_fini(&frame);
    assert_int_equal(net_receive(a, &frame), -EAGAIN); /* no refusal of a refusal */
}

#define PAIR_TEST(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_reply_carries_its_message),
        PAIR_TEST(test_an_error_carries_its_number_and_its_text),
        PAIR_TEST(test_a_message_that_is_too_long_is_not_sent),
        cmocka_unit_test(test_what_is_no_envelope_is_refused),
        PAIR_TEST(test_two_sides_agree_on_the_highest_version_that_both_speak),
        PAIR_TEST(test_a_hello_is_refused_with_a_reason_that_reaches_the_other_side),
        PAIR_TEST(test_what_is_no_hello_is_refused),
        PAIR_TEST(test_a_refusal_instead_of_a_hello_tells_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
