/* SPDX-License-Identifier: Apache-2.0
 *
 * Others than the other side: who has no key or another one, who listens on the wire
 * and changes it, who says anything.
 */
#include "net/secret_testing.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

/* Drives both until each has an end or neither has more to say. No frame may come. */
static void
drive(struct wired *wired, int ends[2])
{
    struct net_connection *sides[2] = {wired->client, wired->server};

    ends[0] = ends[1] = -EAGAIN;
    for (unsigned i = 0; i < 20; i++) {
        for (int side = 0; side < 2; side++) {
            struct net_frame frame;

            (void)!net_flush(sides[side]);
            ends[side] = net_receive(sides[side], &frame);
            assert_int_not_equal(ends[side], 0);
            (void)wire_pass(wired, side, SIZE_MAX);
        }
    }
}

static void
expect_refusal(const uint8_t *key, const char *label)
{
    struct wired wired = wired_open(key, label);
    int ends[2];

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(net_send(wired.client, "a well-kept word", 16, NULL, 0), 0);
        assert_int_equal(net_send(wired.server, "a well-kept word", 16, NULL, 0), 0);
    }
    drive(&wired, ends);
    assert_int_equal(ends[0], -EACCES);
    assert_int_equal(ends[1], -EACCES);
    assert_false(net_is_open(wired.client));
    assert_false(net_is_open(wired.server));
    assert_int_equal(net_queued(wired.client), 0);
    assert_int_equal(net_send(wired.client, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_send(wired.server, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_flush(wired.client), -EPIPE);
    for (int side = 0; side < 2; side++) {
        (void)wire_hear(&wired, side);
        assert_null(memmem(wired.said[side].bytes, wired.said[side].count, "well-kept", 9));
    }
    wired_close(&wired);
}

static void
test_another_key_is_refused_on_both_sides(void **state)
{
    (void)state;
    expect_refusal(bad_key, "test");
}

static void
test_another_purpose_is_another_key(void **state)
{
    (void)state;
    expect_refusal(good_key, "test2");
    expect_refusal(good_key, "tes");
    expect_refusal(bad_key, "other");
}

static void
test_labels_are_short_and_printable(void **state)
{
    char label[NET_SECRET_LABEL_MAX + 2] = "";
    struct net_secret *secret = NULL;

    (void)state;
    (void)memset(label, 'x', NET_SECRET_LABEL_MAX + 1);
    assert_int_equal(net_secret_create(good_key, label, &secret), -EINVAL);
    assert_int_equal(net_secret_create(good_key, "", &secret), -EINVAL);
    assert_int_equal(net_secret_create(good_key, "a\nb", &secret), -EINVAL);
    assert_int_equal(net_secret_create(good_key, "gr\xc3\xbc", &secret), -EINVAL);
    assert_null(secret);
    label[NET_SECRET_LABEL_MAX] = '\0';
    assert_int_equal(net_secret_create(good_key, label, &secret), 0);
    net_secret_destroy(secret);
}

/* Two clients: neither answers, and each is told so. */
static void
test_two_sides_in_one_role_do_not_come_together(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        int sockets[2], err[2] = {-EAGAIN, -EAGAIN};
        struct net_connection *sides[2];
        struct net_frame frame;

        open_sockets(sockets, 0);
        for (int i = 0; i < 2; i++)
            sides[i] = secret_side(sockets[i], good_key, "test", role == 1);
        for (unsigned i = 0; i < 10; i++) {
            (void)!net_flush(sides[i % 2]);
            err[i % 2] = net_receive(sides[i % 2], &frame);
            assert_int_not_equal(err[i % 2], 0);
        }
        assert_false(net_is_open(sides[0]));
        assert_true(role == 1 ? err[0] == -EAGAIN : err[0] == -EPROTO || err[0] == -EPIPE);
        net_connection_destroy(sides[0]);
        net_connection_destroy(sides[1]);
    }
}

/* -------------------------------------------------------------------------- the wire */

/* What a client said once, said again to a server that draws other numbers. */
static void
test_a_conversation_that_is_said_again_opens_nothing(void **state)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_connection *server;
    struct net_frame frame;
    int ends[2], err;

    (void)state;
    make_known(&wired);
    assert_int_equal(net_send(wired.client, "pay ten", 7, NULL, 0), 0);
    (void)wire_pass(&wired, 0, SIZE_MAX);
    assert_int_equal(net_receive(wired.server, &frame), 0);
    net_frame_fini(&frame);

    open_sockets(ends, 0);
    server = secret_side(ends[0], good_key, "test", true);
    assert_int_equal(write(ends[1], wired.said[0].bytes, wired.said[0].count), wired.said[0].count);
    err = net_receive(server, &frame);
    assert_int_equal(err, -EACCES);
    assert_false(net_is_open(server));
    (void)close(ends[1]);
    net_connection_destroy(server);
    wired_close(&wired);
}

enum tamper { TAMPER_AGAIN, TAMPER_DROP, TAMPER_SWAP, TAMPER_FLIP, TAMPER_REFLECT, TAMPERS };

static void
say(struct wired *wired, int side, size_t from, size_t to)
{
    assert_int_equal(write(wired->wire[1 - side], wired->said[side].bytes + from, to - from),
                     to - from);
}

/* Two frames were said, a record each: at first, middle and end of what was said. */
static void
tamper(struct wired *wired, enum tamper what, const size_t at[3], size_t flip)
{
    if (what == TAMPER_FLIP)
        wired->said[0].bytes[at[0] + flip] ^= 1;
    if (what == TAMPER_AGAIN || what == TAMPER_FLIP)
        say(wired, 0, at[0], at[1]);
    if (what == TAMPER_FLIP) /* whatever length it has now */
        for (unsigned i = 0; i < 20; i++)
            say(wired, 0, at[1], at[2]);
    if (what == TAMPER_AGAIN)
        say(wired, 0, at[0], at[1]);
    if (what == TAMPER_DROP || what == TAMPER_SWAP)
        say(wired, 0, at[1], at[2]);
    if (what == TAMPER_SWAP)
        say(wired, 0, at[0], at[1]);
    if (what == TAMPER_REFLECT) {
        assert_int_equal(net_send(wired->server, "back", 4, NULL, 0), 0);
        at = (const size_t[]){wired->said[1].count};
        (void)wire_hear(wired, 1);
        assert_int_equal(
            write(wired->wire[1], wired->said[1].bytes + at[0], wired->said[1].count - at[0]),
            wired->said[1].count - at[0]);
    }
}

static void
expect_tampering_ends_it(enum tamper what, size_t flip)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;
    unsigned frames = 0;
    size_t at[3];
    int err;

    make_known(&wired);
    for (unsigned i = 0; i < 2; i++) {
        at[i] = wired.said[0].count;
        assert_int_equal(net_send(wired.client, i == 0 ? "one" : "two", 3, NULL, 0), 0);
        (void)wire_hear(&wired, 0);
    }
    at[2] = wired.said[0].count;
    tamper(&wired, what, at, flip);
    while ((err = net_receive(wired.server, &frame)) == 0) {
        assert_memory_equal(frame.bytes, "one", 3);
        net_frame_fini(&frame);
        frames++;
    }
    assert_int_equal(frames, what == TAMPER_AGAIN);
    assert_int_equal(err, -EPROTO);
    assert_int_equal(net_send(wired.server, "x", 1, NULL, 0), -EPIPE);
    wired_close(&wired);
}

static void
test_what_is_changed_on_the_wire_ends_the_connection(void **state)
{
    (void)state;
    for (unsigned what = 0; what < TAMPERS; what++)
        if (what != TAMPER_FLIP)
            expect_tampering_ends_it(what, 0);
    for (size_t flip = 0; flip < 5 + 4 + 3 + 1 + 16; flip++)
        if (flip != 1 && flip != 2) /* a version that nobody reads any more */
            expect_tampering_ends_it(TAMPER_FLIP, flip);
}

/* Lets a client say a word to a server, with one bit of what a side says at this place
 * changed, if it says so much. Returns whether the word came. */
static bool
talk_with_a_flip(int side, size_t place, bool *is_changed)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;
    bool has_come = false;

    *is_changed = false;
    assert_int_equal(net_send(wired.client, "word", 4, NULL, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        (void)!net_flush(wired.client);
        assert_int_not_equal(net_receive(wired.client, &frame), 0);
        (void)wire_hear(&wired, side);
        if (!*is_changed && wired.said[side].count > place) {
            wired.said[side].bytes[place] ^= 0x10;
            *is_changed = true;
        }
        (void)wire_pass(&wired, side, SIZE_MAX);
        (void)wire_pass(&wired, 1 - side, SIZE_MAX);
        if (net_receive(wired.server, &frame) != 0)
            continue;
        assert_int_equal(frame.count, 4);
        assert_memory_equal(frame.bytes, "word", 4);
        net_frame_fini(&frame);
        has_come = true;
    }
    wired_close(&wired);
    return has_come;
}

/* No word comes, but for the two bytes of each record that nobody reads any more (its
 * version), and then it is the word that was said. */
static void
test_a_handshake_that_is_changed_gives_out_nothing_else(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        unsigned changed = 0, come = 0;
        bool is_changed = true;

        for (size_t place = 0; is_changed; place++) {
            come += talk_with_a_flip(side, place, &is_changed);
            changed += is_changed;
        }
        assert_true(changed > 150);
        assert_true(come <= 2 * 3 + 1); /* the last was not changed */
    }
}

/* -------------------------------------------------------------------------- garbage */

static int
hear_bytes(bool is_server, const void *bytes, size_t count, bool is_end)
{
    struct net_connection *side;
    struct net_frame frame;
    int ends[2], err;

    open_sockets(ends, 0);
    side = secret_side(ends[0], good_key, "test", is_server);
    if (count > 0)
        assert_int_equal(write(ends[1], bytes, count), count);
    if (is_end)
        assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    (void)!net_flush(side);
    err = net_receive(side, &frame);
    assert_int_equal(net_receive(side, &frame), err);
    assert_false(net_is_open(side));
    if (err != -EAGAIN)
        assert_int_equal(net_send(side, "x", 1, NULL, 0), -EPIPE);
    net_connection_destroy(side);
    (void)close(ends[1]);
    return err;
}

static void
test_garbage_instead_of_a_handshake_is_an_end(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const uint8_t plain[] = {5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    uint8_t noise[3000];

    (void)state;
    fill_pattern(noise, sizeof(noise), 77);
    for (int is_server = 0; is_server < 2; is_server++) {
        assert_int_equal(hear_bytes(is_server, http, sizeof(http) - 1, false), -EPROTO);
        assert_int_equal(hear_bytes(is_server, plain, sizeof(plain), false), -EPROTO);
        assert_int_equal(hear_bytes(is_server, noise, sizeof(noise), false), -EPROTO);
        assert_int_equal(hear_bytes(is_server, "", 0, false), -EAGAIN);
        assert_int_equal(hear_bytes(is_server, "\x16\x03\x01", 3, false), -EAGAIN);
        assert_int_equal(hear_bytes(is_server, "", 0, true), -EPIPE);
        assert_int_equal(hear_bytes(is_server, "\x16\x03\x01", 3, true), -EPIPE);
    }
}

/* ---------------------------------------------------------------- others that speak TLS */

/* A side that has not the key, but speaks TLS as most do: a certificate, tickets, old
 * versions where it is asked to. */
struct other {
    SSL_CTX *context;
    SSL *ssl;
};

static void
make_certificate(SSL_CTX *context)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();

    assert_non_null(key);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_not_equal(X509_sign(certificate, key, EVP_sha256()), 0);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static struct other
other_open(int fd, bool is_server, int version)
{
    struct other other = {.context = SSL_CTX_new(TLS_method())};

    make_certificate(other.context);
    assert_int_equal(SSL_CTX_set_max_proto_version(other.context, version), 1);
    other.ssl = SSL_new(other.context);
    assert_int_equal(SSL_set_fd(other.ssl, fd), 1);
    if (is_server)
        SSL_set_accept_state(other.ssl);
    else
        SSL_set_connect_state(other.ssl);
    return other;
}

static void
other_close(struct other *other)
{
    SSL_free(other->ssl);
    SSL_CTX_free(other->context);
}

static int
meet_other(bool is_server, int version)
{
    struct net_connection *side;
    struct net_frame frame;
    struct other other;
    int ends[2], err = -EAGAIN;

    (void)signal(SIGPIPE, SIG_IGN); /* the other's sockets */
    open_sockets(ends, 0);
    side = secret_side(ends[0], good_key, "test", is_server);
    other = other_open(ends[1], !is_server, version);
    assert_int_equal(net_send(side, "a well-kept word", 16, NULL, 0), 0);
    for (unsigned i = 0; i < 10 && err == -EAGAIN; i++) {
        char heard[100];

        assert_true(SSL_read(other.ssl, heard, sizeof(heard)) <= 0);
        (void)!net_flush(side);
        err = net_receive(side, &frame);
        assert_int_not_equal(err, 0);
        (void)SSL_write(other.ssl, "\4\0\0\0word", 8);
    }
    assert_false(net_is_open(side));
    other_close(&other);
    net_connection_destroy(side);
    (void)close(ends[1]);
    return err;
}

static void
test_a_side_with_a_certificate_and_no_key_is_refused(void **state)
{
    (void)state;
    assert_int_equal(meet_other(true, TLS1_3_VERSION), -EACCES);
    assert_int_equal(meet_other(false, TLS1_3_VERSION), -EACCES);
}

static void
test_an_older_version_is_refused(void **state)
{
    (void)state;
    assert_int_equal(meet_other(true, TLS1_2_VERSION), -EPROTO);
    assert_int_equal(meet_other(false, TLS1_2_VERSION), -EPROTO);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_key_is_refused_on_both_sides),
        cmocka_unit_test(test_another_purpose_is_another_key),
        cmocka_unit_test(test_labels_are_short_and_printable),
        cmocka_unit_test(test_two_sides_in_one_role_do_not_come_together),
        cmocka_unit_test(test_a_conversation_that_is_said_again_opens_nothing),
        cmocka_unit_test(test_what_is_changed_on_the_wire_ends_the_connection),
        cmocka_unit_test(test_a_handshake_that_is_changed_gives_out_nothing_else),
        cmocka_unit_test(test_garbage_instead_of_a_handshake_is_an_end),
        cmocka_unit_test(test_a_side_with_a_certificate_and_no_key_is_refused),
        cmocka_unit_test(test_an_older_version_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
