/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

struct pair {
    struct net_connection *a, *b;
    int epoll; /* watches a */
};

static void
pair_open(struct pair *pair, bool is_small)
{
    const struct net_limits limits = {0, NET_FRAME_FDS_MAX, 0};
    int ends[2], bytes = 1;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    if (is_small)
        assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    assert_int_equal(net_connection_create(ends[0], &limits, &pair->a), 0);
    assert_int_equal(net_connection_create(ends[1], &limits, &pair->b), 0);
    pair->epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(pair->epoll >= 0);
    assert_int_equal(net_watch(pair->a, pair->epoll, 42), 0);
}

static void
pair_close(struct pair *pair)
{
    net_connection_destroy(pair->a);
    net_connection_destroy(pair->b);
    (void)close(pair->epoll);
}

static uint32_t
events_of(const struct pair *pair)
{
    struct epoll_event event;
    int count = epoll_wait(pair->epoll, &event, 1, 0);

    if (count == 0)
        return 0;
    assert_int_equal(event.data.u64, 42);
    return event.events;
}

static int
arrived(const struct pair *pair)
{
    int bytes = 0;

    assert_int_equal(ioctl(net_fd(pair->b), FIONREAD, &bytes), 0);
    return bytes;
}

static void
expect(struct net_connection *connection, const char *text)
{
    struct net_frame frame;

    assert_int_equal(net_receive(connection, &frame), 0);
    assert_int_equal(frame.count, strlen(text));
    assert_memory_equal(frame.bytes, text, frame.count);
    net_frame_fini(&frame);
}

static void
test_what_a_turn_says_goes_out_at_its_end(void **state)
{
    struct pair pair;

    (void)state;
    pair_open(&pair, false);
    net_turn_begin();
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    assert_int_equal(net_send(pair.a, "two", 3, NULL, 0), 0);
    assert_int_equal(arrived(&pair), 0);
    assert_int_equal(net_queued(pair.a), 14);
    net_turn_flush();
    assert_int_equal(arrived(&pair), 14);
    assert_int_equal(net_send(pair.a, "three", 5, NULL, 0), 0);
    assert_int_equal(arrived(&pair), 14);
    net_turn_end();
    expect(pair.b, "one");
    expect(pair.b, "two");
    expect(pair.b, "three");
    assert_int_equal(net_queued(pair.a), 0);
    assert_int_equal(net_send(pair.a, "now", 3, NULL, 0), 0);
    expect(pair.b, "now");
    pair_close(&pair);
}

static void
test_descriptors_go_at_once_behind_what_was_gathered(void **state)
{
    const int fd = 2;
    struct pair pair;
    struct net_frame frame;

    (void)state;
    pair_open(&pair, false);
    net_turn_begin();
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    assert_int_equal(net_send(pair.a, "two", 3, &fd, 1), 0);
    expect(pair.b, "one");
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_int_equal(frame.fd_count, 1);
    net_frame_fini(&frame);
    net_turn_end();
    pair_close(&pair);
}

static void *
send_two(void *object)
{
    struct pair *pair = object;

    return (void *)(intptr_t)net_send(pair->a, "two", 3, NULL, 0);
}

static void
test_a_thread_without_a_turn_waits_for_nobodys(void **state)
{
    struct pair pair;
    pthread_t thread;
    void *err;

    (void)state;
    pair_open(&pair, false);
    net_turn_begin();
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_two, &pair), 0);
    assert_int_equal(pthread_join(thread, &err), 0);
    assert_null(err);
    expect(pair.b, "one");
    expect(pair.b, "two");
    net_turn_end();
    pair_close(&pair);
}

static void
test_what_is_gathered_is_said_before_the_connection_closes(void **state)
{
    struct pair pair;
    struct net_frame frame;

    (void)state;
    pair_open(&pair, false);
    net_turn_begin();
    assert_int_equal(net_send(pair.a, "why", 3, NULL, 0), 0);
    net_connection_destroy(pair.a);
    pair.a = NULL;
    expect(pair.b, "why");
    assert_int_equal(net_receive(pair.b, &frame), -EPIPE);
    net_turn_end();
    pair_close(&pair);
}

static void
test_much_does_not_wait_for_the_end(void **state)
{
    static uint8_t bytes[100000];
    struct pair pair;
    unsigned count = 0;

    (void)state;
    pair_open(&pair, false);
    net_turn_begin();
    while (arrived(&pair) == 0 && count < 100) {
        assert_int_equal(net_send(pair.a, bytes, sizeof(bytes), NULL, 0), 0);
        count++;
    }
    assert_in_range(count, 2, 4);
    net_turn_end();
    pair_close(&pair);
}

static void
test_that_a_socket_takes_more_is_told_only_where_something_waits(void **state)
{
    static uint8_t bytes[100000];
    struct pair pair;
    struct net_frame frame;
    int err;

    (void)state;
    pair_open(&pair, true);
    assert_int_equal(events_of(&pair), 0);
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    expect(pair.b, "one");
    assert_int_equal(events_of(&pair), 0);
    assert_int_equal(net_send(pair.a, bytes, sizeof(bytes), NULL, 0), 0);
    assert_true(net_queued(pair.a) > 0);
    while ((err = net_receive(pair.b, &frame)) == -EAGAIN) {
        assert_int_equal(events_of(&pair) & EPOLLOUT, EPOLLOUT);
        assert_int_equal(net_flush(pair.a), 0);
    }
    assert_int_equal(err, 0);
    assert_int_equal(frame.count, sizeof(bytes));
    net_frame_fini(&frame);
    (void)events_of(&pair);
    assert_int_equal(net_send(pair.b, "back", 4, NULL, 0), 0);
    assert_int_equal(events_of(&pair), EPOLLIN);
    pair_close(&pair);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_turn_says_goes_out_at_its_end),
        cmocka_unit_test(test_descriptors_go_at_once_behind_what_was_gathered),
        cmocka_unit_test(test_a_thread_without_a_turn_waits_for_nobodys),
        cmocka_unit_test(test_what_is_gathered_is_said_before_the_connection_closes),
        cmocka_unit_test(test_much_does_not_wait_for_the_end),
        cmocka_unit_test(test_that_a_socket_takes_more_is_told_only_where_something_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
