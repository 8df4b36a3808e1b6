/* SPDX-License-Identifier: Apache-2.0 */
#include "net/secret_testing.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/fault.h"
#include "net/net_internal.h"
#include "net/secret.h"

/* -------------------------------------------------------------------------- frames */

static void
test_frames_arrive_whole_and_in_order(void **state)
{
    static const size_t sizes[] = {0,     1,     100,   8188,  8192,   16379,
                                   16380, 16381, 16384, 32764, 100000, 1u << 20};
    struct wired pair = pair_open(0);
    struct net_frame frame;

    (void)state;
    make_known(&pair);
    for (unsigned i = 0; i < 2 * ARRAY_COUNT(sizes); i++) {
        struct net_connection *from = i % 2 == 0 ? pair.client : pair.server;
        struct net_connection *to = i % 2 == 0 ? pair.server : pair.client;
        int err;

        send_pattern(from, sizes[i / 2], i);
        while ((err = net_receive(to, &frame)) == -EAGAIN)
            assert_int_equal(net_flush(from), 0);
        assert_int_equal(err, 0);
        assert_int_equal(frame.fd_count, 0);
        assert_pattern(&frame, sizes[i / 2], i);
        net_frame_fini(&frame);
    }
    wired_close(&pair);
}

static void
test_what_is_sent_before_the_proof_waits_and_arrives(void **state)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;
    unsigned frames[2] = {0, 0};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        send_pattern(wired.client, 5 + i, i);
        send_pattern(wired.server, 20000 + i, i);
    }
    assert_false(net_is_open(wired.client));
    assert_false(net_is_open(wired.server));
    assert_int_equal(net_queued(wired.client), 4 * 3 + 5 + 6 + 7);
    while (frames[0] < 3 || frames[1] < 3) {
        (void)wire_pass(&wired, 0, SIZE_MAX);
        (void)wire_pass(&wired, 1, SIZE_MAX);
        if (net_receive(wired.server, &frame) == 0) {
            assert_pattern(&frame, 5 + frames[0], frames[0]);
            net_frame_fini(&frame);
            frames[0]++;
        }
        if (net_receive(wired.client, &frame) == 0) {
            assert_pattern(&frame, 20000 + frames[1], frames[1]);
            net_frame_fini(&frame);
            frames[1]++;
        }
    }
    assert_true(net_is_open(wired.client));
    assert_int_equal(net_queued(wired.client), 0);
    wired_close(&wired);
}

static void
test_bytes_may_come_one_at_a_time(void **state)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;
    unsigned frames[2] = {0, 0};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        send_pattern(wired.client, 50 * i, i);
        send_pattern(wired.server, 60 * i, i);
    }
    while (frames[0] < 4 || frames[1] < 4) {
        (void)!net_flush(wired.client);
        (void)!net_flush(wired.server);
        (void)wire_pass(&wired, 0, 1);
        (void)wire_pass(&wired, 1, 1);
        if (net_receive(wired.server, &frame) == 0) {
            assert_pattern(&frame, 50 * frames[0], frames[0]);
            net_frame_fini(&frame);
            frames[0]++;
        }
        if (net_receive(wired.client, &frame) == 0) {
            assert_pattern(&frame, 60 * frames[1], frames[1]);
            net_frame_fini(&frame);
            frames[1]++;
        }
    }
    wired_close(&wired);
}

static bool
contains(const struct buffer *said, const char *text)
{
    return memmem(said->bytes, said->count, text, strlen(text)) != NULL;
}

static void
test_nothing_goes_over_the_wire_in_clear_but_the_label(void **state)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;

    (void)state;
    assert_int_equal(net_send(wired.client, "a well-kept word", 16, NULL, 0), 0);
    for (unsigned i = 0; i < 6; i++) {
        (void)wire_pass(&wired, 0, SIZE_MAX);
        (void)wire_pass(&wired, 1, SIZE_MAX);
        receive_nothing(wired.client);
        if (net_receive(wired.server, &frame) == 0) {
            assert_memory_equal(frame.bytes, "a well-kept word", 16);
            assert_int_equal(net_send(wired.server, frame.bytes, frame.count, NULL, 0), 0);
            net_frame_fini(&frame);
            break;
        }
    }
    (void)wire_hear(&wired, 1);
    assert_true(wired.said[0].count > 100 && wired.said[1].count > 100);
    assert_true(contains(&wired.said[0], "test"));
    for (unsigned i = 0; i < 2; i++) {
        assert_false(contains(&wired.said[i], "well-kept"));
        assert_null(memmem(wired.said[i].bytes, wired.said[i].count, good_key, 9));
    }
    wired_close(&wired);
}

static void
test_descriptors_do_not_go_with_a_secret(void **state)
{
    static const struct net_limits two_fds = {0, 2, 0};
    struct wired pair = pair_open(0);
    struct net_connection *none;
    struct net_secret *secret;
    unsigned before;
    const int fd = 2;
    int ends[2];

    (void)state;
    assert_int_equal(net_send(pair.client, "x", 1, &fd, 1), -EMSGSIZE);
    assert_int_equal(net_queued(pair.client), 0);
    before = open_count();
    open_sockets(ends, 0);
    assert_int_equal(net_secret_create(good_key, "test", &secret), 0);
    assert_int_equal(net_connection_create_secret(ends[0], secret, true, &two_fds, &none), -EINVAL);
    (void)close(ends[1]);
    assert_int_equal(open_count(), before);
    net_secret_destroy(secret);
    wired_close(&pair);
}

/* ------------------------------------------------------------------------- back-pressure */

/* So little room that no record goes through at once, both ways at the same time. */
static void
test_sockets_without_room_carry_all_both_ways(void **state)
{
    enum { COUNT = 30, BYTES = 40000 };
    struct wired pair = pair_open(1);
    struct net_connection *sides[2] = {pair.client, pair.server};
    unsigned received[2] = {0, 0};
    struct net_frame frame;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned side = 0; side < 2; side++)
            send_pattern(sides[side], BYTES - i * 37 - side, i);
    while (received[0] < COUNT || received[1] < COUNT) {
        for (unsigned side = 0; side < 2; side++) {
            assert_int_equal(net_flush(sides[side]), 0);
            if (net_receive(sides[side], &frame) != 0)
                continue;
            assert_pattern(&frame, BYTES - received[side] * 37 - (1 - side), received[side]);
            net_frame_fini(&frame);
            received[side]++;
        }
    }
    assert_int_equal(net_queued(pair.client), 0);
    assert_int_equal(net_queued(pair.server), 0);
    wired_close(&pair);
}

static void
test_a_side_that_stops_reading_fills_the_queue_and_no_more(void **state)
{
    static const struct net_limits narrow = {0, 0, 100000};
    struct net_connection *client, *server;
    struct net_secret *secret;
    struct net_frame frame;
    unsigned sent = 0, received = 0;
    uint8_t bytes[10000] = {0};
    int ends[2], err;

    (void)state;
    open_sockets(ends, 1);
    assert_int_equal(net_secret_create(good_key, "test", &secret), 0);
    assert_int_equal(net_connection_create_secret(ends[0], secret, false, &narrow, &client), 0);
    assert_int_equal(net_connection_create_secret(ends[1], secret, true, &narrow, &server), 0);
    while ((err = net_send(client, bytes, sizeof(bytes), NULL, 0)) == 0)
        assert_true(++sent < 1000);
    assert_int_equal(err, -ENOBUFS);
    assert_true(net_queued(client) <= 100000);
    while (received < sent) {
        (void)!net_flush(client);
        (void)!net_flush(server);
        assert_int_equal(net_receive(client, &frame), -EAGAIN);
        if (net_receive(server, &frame) != 0)
            continue;
        assert_int_equal(frame.count, sizeof(bytes));
        net_frame_fini(&frame);
        received++;
    }
    assert_int_equal(net_send(client, bytes, sizeof(bytes), NULL, 0), 0);
    net_connection_destroy(client);
    net_connection_destroy(server);
    net_secret_destroy(secret);
}

/* --------------------------------------------------------------------- edge triggers */

struct edge_side {
    struct net_connection *connection;
    unsigned sent, received, wanted;
    unsigned updates; /* that were begun */
    bool asks;        /* the other side for new keys: it has to write while it reads */
};

static void
edge_add(int epoll, struct edge_side *side)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = side};

    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, net_fd(side->connection), &event), 0);
}

static void
ask_for_keys(struct edge_side *side)
{
    struct session *session = side->connection->carrier_data;

    side->updates += SSL_key_update(session->ssl, SSL_KEY_UPDATE_REQUESTED) == 1;
}

/* What the door tells an owner to do at each event, and nothing at any other time; each
 * frame that is received is answered by one until enough have been. */
static void
edge_handle(struct edge_side *side)
{
    struct net_frame frame;
    int err;

    assert_int_equal(net_flush(side->connection), 0);
    while ((err = net_receive(side->connection, &frame)) == 0) {
        assert_pattern(&frame, 1 + side->received * 997 % 70000, side->received);
        net_frame_fini(&frame);
        side->received++;
        if (side->asks)
            ask_for_keys(side);
        if (side->sent < side->wanted) {
            send_pattern(side->connection, 1 + side->sent * 997 % 70000, side->sent);
            side->sent++;
        }
    }
    assert_int_equal(err, -EAGAIN);
}

/* The client's side is made while it connects. */
static struct wired
pair_open_tcp(void)
{
    struct wired pair = {.wire = {-1, -1}};
    struct pollfd ready = {.events = POLLIN};
    char address[NET_ADDRESS_MAX];
    int client, server;

    assert_int_equal(net_listen("127.0.0.1:0", &ready.fd, NULL), 0);
    assert_int_equal(net_address_of(ready.fd, address), 0);
    assert_int_equal(net_dial(address, 0, &client, NULL), 0);
    pair.client = secret_side(client, good_key, "test", false);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(net_accept(ready.fd, &server), 0);
    pair.server = secret_side(server, good_key, "test", true);
    (void)close(ready.fd);
    return pair;
}

static void
run_edges(struct wired pair, unsigned at_once, unsigned wanted, bool asks)
{
    struct edge_side sides[2] = {{.connection = pair.client, .wanted = wanted, .asks = asks},
                                 {.connection = pair.server, .wanted = wanted, .asks = asks}};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    for (unsigned i = 0; i < at_once; i++) {
        send_pattern(sides[0].connection, 1 + i * 997 % 70000, i);
        sides[0].sent++;
    }
    edge_add(epoll, &sides[0]);
    edge_add(epoll, &sides[1]);
    while (sides[0].received < wanted || sides[1].received < wanted) {
        struct epoll_event events[2];
        int count = epoll_wait(epoll, events, 2, 5000);

        assert_true(count > 0); /* else an edge was lost */
        for (int i = 0; i < count; i++)
            edge_handle(events[i].data.ptr);
    }
    assert_true(!asks || sides[0].updates + sides[1].updates > 10);
    (void)close(epoll);
    wired_close(&pair);
}

static void
test_edges_are_enough(void **state)
{
    (void)state;
    for (unsigned at_once = 1; at_once <= 64; at_once *= 4) {
        run_edges(pair_open(1), at_once, 150, false);
        run_edges(pair_open(0), at_once, 150, false);
        run_edges(pair_open_tcp(), at_once, 150, false);
    }
}

static void
test_edges_are_enough_where_reading_has_to_write(void **state)
{
    (void)state;
    for (unsigned at_once = 1; at_once <= 64; at_once *= 4) {
        run_edges(pair_open(1), at_once, 150, true);
        run_edges(pair_open(0), at_once, 150, true);
        run_edges(pair_open_tcp(), at_once, 150, true);
    }
}

static int
waiting_bytes(const struct net_connection *connection)
{
    int bytes = -1;

    assert_int_equal(ioctl(net_fd(connection), FIONREAD, &bytes), 0);
    return bytes;
}

/* Else an edge of EPOLLIN could be gone before the owner has seen it. */
static void
test_only_receiving_takes_bytes_off_the_socket(void **state)
{
    struct wired pair = pair_open(0);
    struct net_frame frame;
    int bytes;

    (void)state;
    assert_int_equal(net_send(pair.client, "word", 4, NULL, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        bytes = waiting_bytes(pair.server);
        assert_true(bytes > 0);
        assert_int_equal(net_send(pair.server, "word", 4, NULL, 0), 0);
        assert_int_equal(net_flush(pair.server), 0);
        assert_int_equal(waiting_bytes(pair.server), bytes);
        while (net_receive(pair.server, &frame) == 0)
            net_frame_fini(&frame);
        assert_int_equal(waiting_bytes(pair.server), 0);
        bytes = waiting_bytes(pair.client);
        assert_true(bytes > 0);
        assert_int_equal(net_send(pair.client, "word", 4, NULL, 0), 0);
        assert_int_equal(waiting_bytes(pair.client), bytes);
        while (net_receive(pair.client, &frame) == 0)
            net_frame_fini(&frame);
    }
    assert_true(net_is_open(pair.server));
    wired_close(&pair);
}

struct counter {
    struct net_connection *connection;
    unsigned thread;
};

enum { THREADS = 4, PER_THREAD = 300 };

static void *
send_numbers(void *object)
{
    struct counter *counter = object;
    uint32_t words[6000] = {counter->thread};

    for (uint32_t i = 0; i < PER_THREAD; i++) {
        words[1] = i;
        if (net_send(counter->connection, words, i % 50 == 0 ? sizeof(words) : 8 + i % 7, NULL,
                     0) != 0)
            return (void *)1;
    }
    return NULL;
}

static void
expect_number(struct net_frame *frame, uint32_t next[THREADS])
{
    uint32_t words[2];

    assert_true(frame->count >= sizeof(words));
    (void)memcpy(words, frame->bytes, sizeof(words));
    assert_true(words[0] < THREADS);
    assert_int_equal(words[1], next[words[0]]++);
    net_frame_fini(frame);
}

/* Threads that send while the owner's thread comes to know the other side, with edges
 * alone: none may be used up by a thread that sends. */
static void
test_each_threads_frames_stay_in_order(void **state)
{
    struct wired pair = pair_open(1);
    struct edge_side sides[2] = {{.connection = pair.client}, {.connection = pair.server}};
    struct counter counters[THREADS];
    pthread_t threads[THREADS];
    uint32_t next[THREADS] = {0};
    struct net_frame frame;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned received = 0;
    void *failed;

    (void)state;
    edge_add(epoll, &sides[0]);
    edge_add(epoll, &sides[1]);
    for (unsigned i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){pair.client, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_numbers, &counters[i]), 0);
    }
    while (received < THREADS * PER_THREAD) {
        struct epoll_event events[2];
        int count = epoll_wait(epoll, events, 2, 20000);

        assert_true(count > 0);
        for (int i = 0; i < count; i++) {
            const struct edge_side *side = events[i].data.ptr;

            assert_int_equal(net_flush(side->connection), 0);
            for (; net_receive(side->connection, &frame) == 0; received++)
                expect_number(&frame, next);
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    (void)close(epoll);
    wired_close(&pair);
}

/* ----------------------------------------------------------------------------- end */

static void
test_the_other_side_gone_is_an_end_on_both_ways(void **state)
{
    struct wired pair = pair_open(0);
    struct net_frame frame;

    (void)state;
    make_known(&pair);
    assert_int_equal(net_send(pair.client, "last", 4, NULL, 0), 0);
    net_connection_destroy(pair.client);
    pair.client = NULL;
    assert_int_equal(net_receive(pair.server, &frame), 0);
    assert_memory_equal(frame.bytes, "last", 4);
    net_frame_fini(&frame);
    assert_int_equal(net_receive(pair.server, &frame), -EPIPE);
    assert_int_equal(net_send(pair.server, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_flush(pair.server), -EPIPE);
    assert_int_equal(net_receive(pair.server, &frame), -EPIPE);
    wired_close(&pair);
}

/* Who has heard the end of one direction may go on to speak in the other. */
static void
test_one_direction_may_end_before_the_other(void **state)
{
    struct wired wired = wired_open(good_key, "test");
    struct net_frame frame;

    (void)state;
    make_known(&wired);
    assert_int_equal(net_send(wired.client, "last", 4, NULL, 0), 0);
    (void)wire_pass(&wired, 0, SIZE_MAX);
    assert_int_equal(shutdown(wired.wire[1], SHUT_WR), 0);
    assert_int_equal(net_receive(wired.server, &frame), 0);
    net_frame_fini(&frame);
    assert_int_equal(net_receive(wired.server, &frame), -EPIPE);
    for (unsigned i = 0; i < 3; i++)
        send_pattern(wired.server, 50000, i);
    for (unsigned i = 0; i < 3;) {
        assert_int_equal(net_flush(wired.server), 0);
        (void)wire_pass(&wired, 1, SIZE_MAX);
        if (net_receive(wired.client, &frame) != 0)
            continue;
        assert_pattern(&frame, 50000, i++);
        net_frame_fini(&frame);
    }
    wired_close(&wired);
}

/* In the middle of the handshake, or of a frame: after any byte. */
static void
test_an_end_may_come_after_any_byte(void **state)
{
    size_t count = SIZE_MAX;

    (void)state;
    for (size_t cut = 0; cut < count; cut += 13) {
        struct wired wired = wired_open(good_key, "test");
        struct net_frame frame;
        int err;

        send_pattern(wired.client, 200, 1);
        for (unsigned i = 0; i < 6; i++) {
            (void)wire_pass(&wired, 0, cut - wired.gone[0]);
            err = net_receive(wired.server, &frame);
            if (err == 0)
                net_frame_fini(&frame);
            (void)wire_pass(&wired, 1, SIZE_MAX);
            assert_int_equal(net_receive(wired.client, &frame), -EAGAIN);
        }
        assert_int_equal(shutdown(wired.wire[1], SHUT_WR), 0);
        assert_int_equal(net_receive(wired.server, &frame), -EPIPE);
        if (!net_is_open(wired.server))
            assert_int_equal(net_send(wired.server, "x", 1, NULL, 0), -EPIPE);
        if (wired.gone[0] < cut)
            count = cut;
        wired_close(&wired);
    }
    assert_true(count > 300 && count < 2000);
}

/* -------------------------------------------------------------------------- faults */

static void
test_no_memory_for_a_secret_leaves_nothing(void **state)
{
    struct net_secret *secret = NULL;
    unsigned nth = 1;

    (void)state;
    for (;; nth++) {
        int err;

        fault_arm("net.secret", nth, -ENOMEM);
        err = net_secret_create(good_key, "test", &secret);
        if (!fault_disarm())
            break;
        assert_int_equal(err, -ENOMEM);
        assert_null(secret);
    }
    assert_int_equal(nth, 4);
    net_secret_destroy(secret);
    net_secret_destroy(NULL);
}

static void
test_no_memory_for_a_connection_closes_the_socket(void **state)
{
    static const char *const points[] = {"net.create", "net.session", "net.session", "net.session"};
    struct net_connection *connection = NULL;
    unsigned before = open_count();
    struct net_secret *secret;

    (void)state;
    assert_int_equal(net_secret_create(good_key, "test", &secret), 0);
    for (unsigned i = 0; i < ARRAY_COUNT(points); i++) {
        int ends[2];

        open_sockets(ends, 0);
        fault_arm(points[i], i == 0 ? 1 : i, -ENOMEM);
        assert_int_equal(
            net_connection_create_secret(ends[0], secret, true, &plain_limits, &connection),
            -ENOMEM);
        assert_true(fault_disarm());
        assert_null(connection);
        (void)close(ends[1]);
        assert_int_equal(open_count(), before);
    }
    assert_int_equal(net_connection_create_secret(-1, secret, true, &plain_limits, &connection),
                     -EBADF);
    net_secret_destroy(secret);
}

static void
test_no_memory_for_the_key_ends_the_handshake(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct wired pair = pair_open(0);
        struct net_frame frame;
        int err = -EAGAIN;

        assert_int_equal(net_send(pair.server, "word", 4, NULL, 0), 0);
        fault_arm("net.psk", nth, -ENOMEM);
        for (unsigned i = 0; i < 10 && err == -EAGAIN; i++) {
            err = net_receive(nth == 1 ? pair.client : pair.server, &frame);
            if (err == -EAGAIN)
                (void)!net_receive(nth == 1 ? pair.server : pair.client, &frame);
        }
        assert_true(fault_disarm());
        assert_true(err == -EPROTO || err == -EACCES || err == -ENOMEM);
        assert_false(net_is_open(pair.client));
        assert_false(net_is_open(pair.server));
        wired_close(&pair);
    }
}

static void
test_no_memory_for_a_frame_is_as_without_a_secret(void **state)
{
    struct wired pair = pair_open(0);
    struct net_frame frame;

    (void)state;
    make_known(&pair);
    fault_arm("net.queue", 1, -ENOMEM);
    assert_int_equal(net_send(pair.client, "lost", 4, NULL, 0), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(net_send(pair.client, "kept", 4, NULL, 0), 0);
    fault_arm("net.receive", 1, -ENOMEM);
    assert_int_equal(net_receive(pair.server, &frame), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(net_receive(pair.server, &frame), -ENOMEM);
    wired_close(&pair);
}

static void
test_no_memory_for_what_the_socket_does_not_take_is_an_end(void **state)
{
    struct wired pair = pair_open(1);
    uint8_t bytes[60000] = {0};
    struct net_frame frame;

    (void)state;
    make_known(&pair);
    fault_arm("net.rest", 1, -ENOMEM);
    assert_int_equal(net_send(pair.client, bytes, sizeof(bytes), NULL, 0), -EPIPE);
    assert_true(fault_disarm());
    assert_int_equal(net_send(pair.client, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_receive(pair.client, &frame), -ENOMEM);
    wired_close(&pair);
}

/* Which each want a word from this side. */
static void
test_a_side_that_asks_for_keys_and_does_not_read_is_not_kept(void **state)
{
    struct wired pair = pair_open(1);
    struct edge_side client = {.connection = pair.client};
    struct net_frame frame;
    uint64_t queued = 0;
    int err = 0;

    (void)state;
    make_known(&pair);
    send_pattern(pair.server, 60000, 1);
    for (unsigned i = 0; i < 10000 && err != -EPROTO; i++) {
        ask_for_keys(&client);
        (void)!net_send(pair.client, "", 0, NULL, 0);
        err = net_receive(pair.server, &frame);
        if (err == 0)
            net_frame_fini(&frame);
        queued = err == 0 ? net_queued(pair.server) : queued;
    }
    assert_int_equal(err, -EPROTO);
    assert_true(queued > (60u << 10) && queued < (60u << 10) + 65536);
    assert_int_equal(net_send(pair.server, "x", 1, NULL, 0), -EPIPE);
    wired_close(&pair);
}

/* At every nth record, so that all states meet a change of keys: also a full socket. */
static void
test_keys_change_in_between(void **state)
{
    struct wired pair = pair_open(1);
    struct net_frame frame;

    (void)state;
    make_known(&pair);
    for (unsigned i = 0; i < 60; i++) {
        int err;

        fault_arm("net.rekey", 1 + i % 3, -EAGAIN);
        send_pattern(pair.client, 60000, i);
        while ((err = net_receive(pair.server, &frame)) == -EAGAIN)
            assert_int_equal(net_flush(pair.client), 0);
        assert_int_equal(err, 0);
        assert_true(fault_disarm());
        assert_pattern(&frame, 60000, i);
        net_frame_fini(&frame);
        send_pattern(pair.server, 10, i);
        assert_int_equal(net_receive(pair.client, &frame), 0);
        net_frame_fini(&frame);
    }
    wired_close(&pair);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_arrive_whole_and_in_order),
        cmocka_unit_test(test_what_is_sent_before_the_proof_waits_and_arrives),
        cmocka_unit_test(test_bytes_may_come_one_at_a_time),
        cmocka_unit_test(test_nothing_goes_over_the_wire_in_clear_but_the_label),
        cmocka_unit_test(test_descriptors_do_not_go_with_a_secret),
        cmocka_unit_test(test_sockets_without_room_carry_all_both_ways),
        cmocka_unit_test(test_a_side_that_stops_reading_fills_the_queue_and_no_more),
        cmocka_unit_test(test_edges_are_enough),
        cmocka_unit_test(test_edges_are_enough_where_reading_has_to_write),
        cmocka_unit_test(test_only_receiving_takes_bytes_off_the_socket),
        cmocka_unit_test(test_each_threads_frames_stay_in_order),
        cmocka_unit_test(test_the_other_side_gone_is_an_end_on_both_ways),
        cmocka_unit_test(test_one_direction_may_end_before_the_other),
        cmocka_unit_test(test_an_end_may_come_after_any_byte),
        cmocka_unit_test(test_no_memory_for_a_secret_leaves_nothing),
        cmocka_unit_test(test_no_memory_for_a_connection_closes_the_socket),
        cmocka_unit_test(test_no_memory_for_the_key_ends_the_handshake),
        cmocka_unit_test(test_no_memory_for_a_frame_is_as_without_a_secret),
        cmocka_unit_test(test_no_memory_for_what_the_socket_does_not_take_is_an_end),
        cmocka_unit_test(test_a_side_that_asks_for_keys_and_does_not_read_is_not_kept),
        cmocka_unit_test(test_keys_change_in_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
