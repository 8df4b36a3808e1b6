/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "net/net.h"

static unsigned
open_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static int
listen_at(const char *address, char text[NET_ADDRESS_MAX])
{
    struct diag diag;
    int fd = -1;

    diag_init(&diag);
    assert_int_equal(net_listen(address, &fd, &diag), 0);
    assert_int_equal(net_address_of(fd, text), 0);
    return fd;
}

static int
wait_dialled(int fd, struct diag *diag)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};

    assert_int_equal(poll(&ready, 1, 10000), 1);
    return net_dialled(fd, diag);
}

static int
accept_one(int listening)
{
    struct pollfd ready = {.fd = listening, .events = POLLIN};
    int fd = -1;

    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(net_accept(listening, &fd), 0);
    return fd;
}

static int
option_of(int fd, int level, int name)
{
    socklen_t bytes = sizeof(int);
    int value = -1;

    assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
    return value;
}

static void
assert_flags(int fd)
{
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void
assert_tuned(int fd)
{
    assert_flags(fd);
    assert_true(option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 0);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), NET_SILENCE_MS);
    assert_int_equal(1000 * (option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                             option_of(fd, IPPROTO_TCP, TCP_KEEPCNT) *
                                 option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL)),
                     NET_SILENCE_MS);
}

/* Dials, accepts, and sends one frame each way. Returns the two descriptors' address as
 * the dialling side and the accepting side see it. */
static void
talk(int listening, const char *address, bool is_tcp)
{
    char near[NET_ADDRESS_MAX], far[NET_ADDRESS_MAX];
    static const struct net_limits limits = {0, 0, 0};
    struct net_connection *client, *server;
    struct net_frame frame;
    int fd = -1, accepted, err;

    assert_int_equal(net_accept(listening, &accepted), -EAGAIN);
    assert_int_equal(net_dial(address, 0, &fd, NULL), 0);
    assert_int_equal(wait_dialled(fd, NULL), 0);
    assert_int_equal(net_dialled(fd, NULL), 0);
    accepted = accept_one(listening);
    assert_flags(accepted);
    if (is_tcp) {
        assert_tuned(fd);
        assert_tuned(accepted);
        assert_int_equal(net_address_of(fd, near), 0);
        assert_int_equal(net_peer_address_of(accepted, far), 0);
        assert_string_equal(near, far);
    }
    assert_int_equal(net_peer_address_of(fd, far), 0);
    assert_string_equal(far, address);
    assert_int_equal(net_connection_create(fd, &limits, &client), 0);
    assert_int_equal(net_connection_create(accepted, &limits, &server), 0);
    assert_int_equal(net_send(client, "there", 5, NULL, 0), 0);
    while ((err = net_receive(server, &frame)) == -EAGAIN)
        (void)poll(&(struct pollfd){.fd = accepted, .events = POLLIN}, 1, 1000);
    assert_int_equal(err, 0);
    assert_memory_equal(frame.bytes, "there", 5);
    net_frame_fini(&frame);
    net_connection_destroy(client);
    net_connection_destroy(server);
}

/* ------------------------------------------------------------------------ addresses */

static void
test_what_is_no_address_is_refused_with_the_reason(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        "host",
        "host:",
        "host:x",
        "host:80x",
        "host:65536",
        "host:-1",
        "host:123456",
        "::1:80",
        "fe80::1",
        "[::1]",
        ":80",
        "[]:80",
        "unix:",
        "unix:relative",
        "host: 80",
        "host:+80",
        "unix:/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    unsigned before = open_count();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct diag diag;
        int fd = -7;

        diag_init(&diag);
        assert_int_equal(net_listen(bad[i], &fd, &diag), -EINVAL);
        assert_non_null(strstr(diag_text(&diag), "unix:/path"));
        assert_int_equal(net_dial(bad[i], 0, &fd, NULL), -EINVAL);
        assert_int_equal(fd, -7);
    }
    assert_int_equal(open_count(), before);
}

static void
test_a_host_name_may_be_long_but_not_longer(void **state)
{
    char address[400];
    struct diag diag;
    int fd;

    (void)state;
    (void)memset(address, 'a', sizeof(address));
    (void)strncpy(address + 300, ":80", 4);
    diag_init(&diag);
    assert_int_equal(net_dial(address, 0, &fd, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "too long"));
}

static void
test_port_0_is_a_free_port_to_listen_at_and_none_to_dial(void **state)
{
    char one[NET_ADDRESS_MAX], two[NET_ADDRESS_MAX];
    int a = listen_at("127.0.0.1:0", one), b = listen_at("127.0.0.1:0", two), fd;
    struct diag diag;

    (void)state;
    assert_flags(a);
    assert_string_not_equal(one, two);
    assert_int_equal(strncmp(one, "127.0.0.1:", 10), 0);
    assert_true(atoi(one + 10) > 0);
    assert_int_equal(net_dial("127.0.0.1:0", 0, &fd, NULL), -EINVAL);
    diag_init(&diag);
    assert_int_equal(net_listen(one, &fd, &diag), -EADDRINUSE);
    assert_non_null(strstr(diag_text(&diag), one));
    (void)close(a);
    (void)close(b);
}

static void
test_a_port_can_be_listened_at_again_at_once(void **state)
{
    char address[NET_ADDRESS_MAX], again[NET_ADDRESS_MAX];
    int listening = listen_at("127.0.0.1:0", address), fd, accepted;

    (void)state;
    assert_int_equal(net_dial(address, 0, &fd, NULL), 0);
    accepted = accept_one(listening);
    (void)close(accepted); /* this side first: it keeps the port in TIME_WAIT */
    (void)close(listening);
    (void)close(fd);
    listening = listen_at(address, again);
    assert_string_equal(address, again);
    (void)close(listening);
}

/* -------------------------------------------------------------------------- talking */

static void
test_sides_talk_over_each_kind_of_address(void **state)
{
    char text[NET_ADDRESS_MAX], folder[] = "/tmp/weft-net-XXXXXX", path[NET_ADDRESS_MAX];
    int listening = listen_at("127.0.0.1:0", text);

    (void)state;
    talk(listening, text, true);
    (void)close(listening);

    assert_non_null(mkdtemp(folder));
    assert_non_null(realpath(folder, path));
    (void)snprintf(text, sizeof(text), "unix:%.80s/s", path);
    listening = listen_at(text, path);
    assert_string_equal(path, text);
    talk(listening, text, false);
    (void)close(listening);
    (void)unlink(text + 5);
    (void)rmdir(folder);
}

static void
test_sides_talk_over_version_6(void **state)
{
    char text[NET_ADDRESS_MAX];
    int listening, probe = -1;

    (void)state;
    if (net_listen("[::1]:0", &probe, NULL) != 0)
        skip(); /* a machine without version 6 */
    (void)close(probe);
    listening = listen_at("[::1]:0", text);
    assert_int_equal(strncmp(text, "[::1]:", 6), 0);
    talk(listening, text, true);
    (void)close(listening);
}

static void
test_a_name_is_looked_up(void **state)
{
    char text[NET_ADDRESS_MAX], name[NET_ADDRESS_MAX];
    int listening = listen_at("127.0.0.1:0", text), connected = 0, fd;
    struct diag diag;

    (void)state;
    (void)snprintf(name, sizeof(name), "localhost:%s", strchr(text, ':') + 1);
    /* It may have two addresses, and nobody listens at one of them: the other is tried
     * by the next attempt. */
    for (unsigned attempt = 0; attempt < 4; attempt++) {
        if (net_dial(name, attempt, &fd, NULL) != 0)
            continue;
        connected += wait_dialled(fd, NULL) == 0;
        (void)close(fd);
    }
    assert_true(connected == 4 || connected == 2);
    (void)close(listening);

    diag_init(&diag);
    assert_int_not_equal(net_dial("no-such-host.invalid:80", 0, &fd, &diag), 0);
    assert_non_null(strstr(diag_text(&diag), "no-such-host.invalid"));
}

static void
test_nobody_there_is_told_with_the_reason(void **state)
{
    char text[NET_ADDRESS_MAX];
    int listening = listen_at("127.0.0.1:0", text), fd = -1, err;
    struct diag diag;

    (void)state;
    (void)close(listening);
    diag_init(&diag);
    assert_int_equal(net_dial(text, 0, &fd, NULL), 0);
    err = wait_dialled(fd, &diag);
    assert_int_equal(err, -ECONNREFUSED);
    assert_non_null(strstr(diag_text(&diag), strerror(ECONNREFUSED)));
    assert_int_equal(net_dialled(fd, NULL), -ENOTCONN);
    assert_int_equal(net_peer_address_of(fd, text), -ENOTCONN);
    (void)close(fd);
    assert_int_equal(net_dial("unix:/no/such/socket", 0, &fd, &diag), -ENOENT);
    assert_int_equal(net_address_of(-1, text), -EBADF);
    assert_int_equal(net_dialled(-1, NULL), -EBADF);
}

/* A socket that takes no more than one connection, filled: what is dialled then hangs. */
static void
test_one_who_does_not_answer_is_not_connected_yet(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[8], last;
    static const struct net_limits limits = {0, 0, 0};
    struct net_connection *connection;
    char text[NET_ADDRESS_MAX];
    struct net_frame frame;

    (void)state;
    assert_int_equal(bind(listening, (struct sockaddr *)(void *)&name, sizeof(name)), 0);
    assert_int_equal(listen(listening, 0), 0);
    assert_int_equal(net_address_of(listening, text), 0);
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        assert_int_equal(net_dial(text, 0, &fds[i], NULL), 0);
    last = fds[ARRAY_COUNT(fds) - 1];
    assert_int_equal(net_dialled(last, NULL), -EAGAIN);
    assert_int_equal(net_connection_create(last, &limits, &connection), 0);
    assert_int_equal(net_send(connection, "waits", 5, NULL, 0), 0);
    assert_int_equal(net_queued(connection), 9);
    assert_int_equal(net_flush(connection), 0);
    assert_int_equal(net_receive(connection, &frame), -EAGAIN);
    net_connection_destroy(connection);
    for (size_t i = 0; i + 1 < ARRAY_COUNT(fds); i++)
        (void)close(fds[i]);
    (void)close(listening);
}

static void
test_an_abandoned_socket_file_is_replaced_and_no_other(void **state)
{
    char folder[] = "/tmp/weft-net-XXXXXX", path[NET_ADDRESS_MAX], text[NET_ADDRESS_MAX];
    int listening, again, file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_non_null(realpath(folder, path));
    (void)snprintf(text, sizeof(text), "unix:%.80s/s", path);
    listening = listen_at(text, path);
    assert_int_equal(net_listen(text, &again, NULL), -EADDRINUSE);
    (void)close(listening);
    listening = listen_at(text, path);
    (void)close(listening);
    (void)unlink(text + 5);
    file = open(text + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(net_listen(text, &again, NULL), -EADDRINUSE);
    assert_int_equal(access(text + 5, F_OK), 0);
    (void)unlink(text + 5);
    (void)rmdir(folder);
}

/* Over a listening socket, with nothing left open after any failure. */
static void
test_no_descriptor_for_a_socket_leaves_nothing(void **state)
{
    char text[NET_ADDRESS_MAX];
    int listening = listen_at("127.0.0.1:0", text), fd = -7;
    unsigned before = open_count();

    (void)state;
    fault_arm("net.socket", 1, -EMFILE);
    assert_int_equal(net_listen("127.0.0.1:0", &fd, NULL), -EMFILE);
    assert_true(fault_disarm());
    fault_arm("net.socket", 1, -EMFILE);
    assert_int_equal(net_dial(text, 0, &fd, NULL), -EMFILE);
    assert_true(fault_disarm());
    fault_arm("net.accept", 1, -EMFILE);
    assert_int_equal(net_accept(listening, &fd), -EMFILE);
    assert_true(fault_disarm());
    assert_int_equal(fd, -7);
    assert_int_equal(open_count(), before);
    (void)close(listening);
}

/* -------------------------------------------------------------------------- backoff */

static void
test_delays_double_up_to_the_longest(void **state)
{
    static const uint64_t expected[] = {100, 200, 400, 800, 1000, 1000};
    struct net_backoff backoff;

    (void)state;
    net_backoff_init(&backoff, 100, 1000, 0, 1);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
            assert_int_equal(backoff.attempts, i);
            assert_int_equal(net_backoff_next(&backoff), expected[i]);
        }
        net_backoff_reset(&backoff);
    }
}

static void
test_delays_do_not_overflow(void **state)
{
    struct net_backoff backoff;
    uint64_t before = 0;

    (void)state;
    net_backoff_init(&backoff, 1, UINT64_MAX, 0, 1);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t delay = net_backoff_next(&backoff);

        assert_true(delay >= before);
        before = delay;
    }
    backoff.attempts = UINT32_MAX;
    assert_true(net_backoff_next(&backoff) >= UINT64_C(1) << 63);
    assert_int_equal(backoff.attempts, UINT32_MAX);
}

static void
test_jitter_takes_off_its_part_and_no_more(void **state)
{
    const uint64_t second = CLOCK_NS_PER_SECOND;
    struct net_backoff backoff, other;
    uint64_t least = UINT64_MAX, most = 0;
    unsigned same = 0;

    (void)state;
    net_backoff_init(&backoff, second, second, 25, 1);
    net_backoff_init(&other, second, second, 25, 2);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t delay = net_backoff_next(&backoff);

        assert_true(delay <= second && delay >= second / 100 * 75);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
        same += delay == net_backoff_next(&other);
    }
    assert_true(least < second / 100 * 76 && most > second / 100 * 99);
    assert_true(same < 5);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_address_is_refused_with_the_reason),
        cmocka_unit_test(test_a_host_name_may_be_long_but_not_longer),
        cmocka_unit_test(test_port_0_is_a_free_port_to_listen_at_and_none_to_dial),
        cmocka_unit_test(test_a_port_can_be_listened_at_again_at_once),
        cmocka_unit_test(test_sides_talk_over_each_kind_of_address),
        cmocka_unit_test(test_sides_talk_over_version_6),
        cmocka_unit_test(test_a_name_is_looked_up),
        cmocka_unit_test(test_nobody_there_is_told_with_the_reason),
        cmocka_unit_test(test_one_who_does_not_answer_is_not_connected_yet),
        cmocka_unit_test(test_an_abandoned_socket_file_is_replaced_and_no_other),
        cmocka_unit_test(test_no_descriptor_for_a_socket_leaves_nothing),
        cmocka_unit_test(test_delays_double_up_to_the_longest),
        cmocka_unit_test(test_delays_do_not_overflow),
        cmocka_unit_test(test_jitter_takes_off_its_part_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
