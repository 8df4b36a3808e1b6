/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "net/net.h"

static const struct net_limits wide_limits = {0, NET_FRAME_FDS_MAX, 0};

struct pair {
    struct net_connection *a, *b;
};

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

/* small: as little room in the sockets as the kernel gives. */
static void
open_sockets(int ends[2], bool small)
{
    int bytes = 1;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (int i = 0; i < 2 && small; i++)
        assert_int_equal(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static struct pair
pair_open(const struct net_limits *limits, bool small)
{
    struct pair pair;
    int ends[2];

    open_sockets(ends, small);
    assert_int_equal(net_connection_create(ends[0], limits, &pair.a), 0);
    assert_int_equal(net_connection_create(ends[1], limits, &pair.b), 0);
    return pair;
}

static void
pair_close(struct pair *pair)
{
    net_connection_destroy(pair->a);
    net_connection_destroy(pair->b);
}

/* One connection, and a socket that says whatever the test likes. */
static struct net_connection *
half_open(const struct net_limits *limits, int *peer)
{
    struct net_connection *connection;
    int ends[2];

    open_sockets(ends, false);
    assert_int_equal(net_connection_create(ends[0], limits, &connection), 0);
    *peer = ends[1];
    return connection;
}

static ssize_t
say_with(int socket, const void *bytes, size_t count, const int *fds, size_t fd_count)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(200 * sizeof(int))] = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    struct cmsghdr *rights = (struct cmsghdr *)(void *)control;

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    (void)memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static void
fill_pattern(uint8_t *bytes, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static void
assert_same_object(int a, int b)
{
    struct stat stat_a, stat_b;

    assert_int_equal(fstat(a, &stat_a), 0);
    assert_int_equal(fstat(b, &stat_b), 0);
    assert_int_equal(stat_a.st_ino, stat_b.st_ino);
    assert_true((fcntl(a, F_GETFD) & FD_CLOEXEC) != 0);
}

/* -------------------------------------------------------------------------- frames */

static void
test_frames_arrive_whole_and_in_order(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 4, 5, 100, 8187, 8188, 8189, 0, 65536, 65537, 100000};
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t *bytes = malloc(sizes[i] + 1), *expected = bytes;

        fill_pattern(bytes, sizes[i], (unsigned)i);
        assert_int_equal(net_receive(pair.b, &frame), -EAGAIN);
        assert_int_equal(net_send(pair.a, bytes, sizes[i], NULL, 0), 0);
        assert_int_equal(net_receive(pair.b, &frame), 0);
        assert_int_equal(frame.count, sizes[i]);
        assert_memory_equal(frame.bytes, expected, sizes[i]);
        assert_int_equal(frame.fd_count, 0);
        net_frame_fini(&frame);
        free(bytes);
    }
    pair_close(&pair);
}

static void
test_many_frames_in_one_read_come_apart(void **state)
{
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;
    uint8_t bytes[64];

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        fill_pattern(bytes, i, i);
        assert_int_equal(net_send(pair.a, bytes, i, NULL, 0), 0);
    }
    for (unsigned i = 0; i < 60; i++) {
        fill_pattern(bytes, i, i);
        assert_int_equal(net_receive(pair.b, &frame), 0);
        assert_int_equal(frame.count, i);
        assert_memory_equal(frame.bytes, bytes, i);
        net_frame_fini(&frame);
    }
    assert_int_equal(net_receive(pair.b, &frame), -EAGAIN);
    pair_close(&pair);
}

/* Byte by byte, so that every place in header and body is once the end of a read. */
static void
test_a_frame_may_come_in_single_bytes(void **state)
{
    static const uint8_t wire[] = {3, 0, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 1, 0, 0, 0, 'd'};
    struct net_frame frame;
    unsigned frames = 0;
    int peer;
    struct net_connection *connection = half_open(&wide_limits, &peer);

    (void)state;
    for (size_t i = 0; i < sizeof(wire); i++) {
        int err;

        assert_int_equal(write(peer, &wire[i], 1), 1);
        err = net_receive(connection, &frame);
        if (err == -EAGAIN)
            continue;
        assert_int_equal(err, 0);
        assert_true(i == 6 || i == 10 || i == 15);
        assert_int_equal(frame.count, i == 6 ? 3 : i == 10 ? 0 : 1);
        net_frame_fini(&frame);
        frames++;
    }
    assert_int_equal(frames, 3);
    (void)close(peer);
    net_connection_destroy(connection);
}

static void
test_what_the_socket_does_not_take_is_queued_and_flushed(void **state)
{
    enum { COUNT = 40, BYTES = 30000 };
    struct pair pair = pair_open(&wide_limits, true);
    uint8_t *bytes = malloc(BYTES);
    struct net_frame frame;
    unsigned frames = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        fill_pattern(bytes, BYTES, i);
        assert_int_equal(net_send(pair.a, bytes, BYTES - i, NULL, 0), 0);
    }
    assert_true(net_queued(pair.a) > (uint64_t)(COUNT - 10) * (BYTES - COUNT));
    while (frames < COUNT) {
        int err = net_receive(pair.b, &frame);

        assert_int_equal(net_flush(pair.a), 0);
        if (err == -EAGAIN)
            continue;
        assert_int_equal(err, 0);
        fill_pattern(bytes, BYTES, frames);
        assert_int_equal(frame.count, BYTES - frames);
        assert_memory_equal(frame.bytes, bytes, frame.count);
        net_frame_fini(&frame);
        frames++;
    }
    assert_int_equal(net_queued(pair.a), 0);
    free(bytes);
    pair_close(&pair);
}

/* --------------------------------------------------------------------- descriptors */

static void
test_descriptors_belong_to_their_frame(void **state)
{
    struct pair pair = pair_open(&wide_limits, false);
    unsigned before = open_count();
    struct net_frame frame;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    assert_int_equal(net_send(pair.a, "two", 3, ends, 2), 0);
    assert_int_equal(net_send(pair.a, "", 0, &ends[1], 1), 0);
    assert_int_equal(net_send(pair.a, "four", 4, NULL, 0), 0);
    assert_int_equal(net_send(pair.a, "five5", 5, &ends[0], 1), 0);
    for (size_t i = 0; i < 5; i++) {
        static const size_t fds[] = {0, 2, 1, 0, 1}, bytes[] = {3, 3, 0, 4, 5};

        assert_int_equal(net_receive(pair.b, &frame), 0);
        assert_int_equal(frame.count, bytes[i]);
        assert_int_equal(frame.fd_count, fds[i]);
        if (i == 1 || i == 4)
            assert_same_object(frame.fds[0], ends[0]);
        if (i == 2)
            assert_same_object(frame.fds[0], ends[1]);
        net_frame_fini(&frame);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(open_count(), before);
    pair_close(&pair);
}

/* So many ends of a pipe that nobody else has any more then. */
static void
send_pipe(struct net_connection *connection, const uint8_t *bytes, size_t count, size_t fd_count,
          struct stat *stat)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fstat(ends[0], stat), 0);
    assert_int_equal(net_send(connection, bytes, count, ends, fd_count), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void
test_queued_descriptors_are_duplicates_and_go_with_their_frame(void **state)
{
    enum { COUNT = 30, BYTES = 20000 };
    struct pair pair = pair_open(&wide_limits, true);
    uint8_t *bytes = calloc(1, BYTES);
    unsigned before = open_count(), frames = 0;
    struct stat pipes[COUNT];
    struct net_frame frame;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        send_pipe(pair.a, bytes, BYTES, i % 3, &pipes[i]);
    assert_true(open_count() > before);
    while (frames < COUNT) {
        int err = net_receive(pair.b, &frame);
        struct stat stat;

        assert_int_equal(net_flush(pair.a), 0);
        if (err == -EAGAIN)
            continue;
        assert_int_equal(err, 0);
        assert_int_equal(frame.count, BYTES);
        assert_int_equal(frame.fd_count, frames % 3);
        if (frame.fd_count > 0) {
            assert_int_equal(fstat(frame.fds[0], &stat), 0);
            assert_int_equal(stat.st_ino, pipes[frames].st_ino);
        }
        net_frame_fini(&frame);
        frames++;
    }
    assert_int_equal(open_count(), before);
    free(bytes);
    pair_close(&pair);
}

static void
test_as_many_descriptors_as_allowed_and_not_one_more(void **state)
{
    int fds[NET_FRAME_FDS_MAX + 1], taken;
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        fds[i] = 2;
    assert_int_equal(net_send(pair.a, "x", 1, fds, ARRAY_COUNT(fds)), -EMSGSIZE);
    assert_int_equal(net_send(pair.a, "x", 1, fds, NET_FRAME_FDS_MAX), 0);
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_int_equal(frame.fd_count, NET_FRAME_FDS_MAX);
    taken = frame.fds[5];
    frame.fds[5] = -1;
    net_frame_fini(&frame);
    assert_true(fcntl(taken, F_GETFD) >= 0);
    (void)close(taken);
    pair_close(&pair);
}

static void
expect_refused(const struct net_limits *limits, const void *bytes, size_t count, size_t fd_count,
               int expected)
{
    unsigned before = open_count();
    int fds[200], peer;
    struct net_connection *connection = half_open(limits, &peer);
    struct net_frame frame;
    int err;

    for (size_t i = 0; i < fd_count; i++)
        fds[i] = 2;
    assert_true(say_with(peer, bytes, count, fds, fd_count) > 0);
    while ((err = net_receive(connection, &frame)) == 0)
        net_frame_fini(&frame);
    assert_int_equal(err, expected);
    if (expected != -EAGAIN)
        assert_int_equal(net_receive(connection, &frame), expected);
    assert_int_equal(open_count(), before + 2);
    (void)close(peer);
    net_connection_destroy(connection);
}

static void
test_descriptors_that_nobody_announced_are_closed(void **state)
{
    static const struct net_limits no_fds = {0, 0, 0}, two_fds = {0, 2, 0};
    static const uint8_t frame[] = {1, 0, 0, 0, 'x', 2, 0, 0, 0, 'y', 'z'};

    (void)state;
    expect_refused(&no_fds, frame, 5, 1, -EPROTO);
    expect_refused(&two_fds, frame, 5, 3, -EPROTO);
    expect_refused(&two_fds, frame, 5, 2, -EAGAIN);
    expect_refused(&wide_limits, frame, 5, NET_FRAME_FDS_MAX + 1, -EPROTO);
    expect_refused(&wide_limits, frame, 5, 200, -EPROTO);
    expect_refused(&wide_limits, frame, sizeof(frame), 3, -EAGAIN);
}

/* Lets this process open no more than it has; returns what was allowed before. */
static struct rlimit
limit_files(void)
{
    struct rlimit before, now;
    int lowest = dup(2);

    (void)close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)lowest + 2; /* two more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static void
test_descriptors_without_room_are_missed_and_nothing_else(void **state)
{
    struct pair pair = pair_open(&wide_limits, false);
    const int fds[] = {2, 2, 2, 2, 2};
    struct rlimit before;
    struct net_frame frame;

    (void)state;
    assert_int_equal(net_send(pair.a, "one", 3, NULL, 0), 0);
    assert_int_equal(net_send(pair.a, "two", 3, fds, 5), 0);
    before = limit_files();
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_false(frame.is_short);
    net_frame_fini(&frame);
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_memory_equal(frame.bytes, "two", 3);
    assert_true(frame.is_short);
    assert_int_equal(frame.fd_count, 2);
    net_frame_fini(&frame);
    assert_int_equal(net_send(pair.a, "three", 5, fds, 5), 0);
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_false(frame.is_short);
    assert_int_equal(frame.fd_count, 5);
    net_frame_fini(&frame);
    pair_close(&pair);
}

static void
test_descriptors_in_the_middle_of_a_frame_end_the_connection(void **state)
{
    unsigned before = open_count();
    struct net_frame frame;
    int peer, fds[2] = {2, 2};
    struct net_connection *connection = half_open(&wide_limits, &peer);

    (void)state;
    assert_int_equal(write(peer, "\5\0\0\0ab", 6), 6);
    assert_int_equal(net_receive(connection, &frame), -EAGAIN);
    assert_int_equal(say_with(peer, "cde", 3, fds, 2), 3);
    assert_int_equal(net_receive(connection, &frame), -EPROTO);
    assert_int_equal(net_receive(connection, &frame), -EPROTO);
    (void)close(peer);
    net_connection_destroy(connection);
    assert_int_equal(open_count(), before);
}

static void
test_descriptors_of_a_frame_that_never_becomes_whole_are_closed(void **state)
{
    unsigned before = open_count();
    struct net_frame frame;
    int peer, fds[2] = {2, 2};
    struct net_connection *connection = half_open(&wide_limits, &peer);

    (void)state;
    assert_int_equal(say_with(peer, "\5\0\0\0ab", 6, fds, 2), 6);
    assert_int_equal(net_receive(connection, &frame), -EAGAIN);
    assert_int_equal(open_count(), before + 4);
    (void)close(peer);
    assert_int_equal(net_receive(connection, &frame), -EPIPE);
    assert_int_equal(open_count(), before + 1);
    net_connection_destroy(connection);
    assert_int_equal(open_count(), before);
}

/* A frame of which one part was read: its descriptors were taken with that part. */
static void
test_descriptors_come_with_the_first_byte(void **state)
{
    uint8_t *wire = calloc(1, 4 + 70000);
    struct net_frame frame;
    int peer, fds[1] = {2}, err;
    struct net_connection *connection = half_open(&wide_limits, &peer);

    (void)state;
    (void)memcpy(wire, "\x70\x11\x01\0", 4);
    assert_int_equal(say_with(peer, wire, 1, fds, 1), 1);
    assert_int_equal(net_receive(connection, &frame), -EAGAIN);
    assert_int_equal(write(peer, wire + 1, 70003), 70003);
    err = net_receive(connection, &frame);
    assert_int_equal(err, 0);
    assert_int_equal(frame.count, 70000);
    assert_int_equal(frame.fd_count, 1);
    net_frame_fini(&frame);
    free(wire);
    (void)close(peer);
    net_connection_destroy(connection);
}

/* -------------------------------------------------------------------------- limits */

static void
test_a_frame_that_is_too_long_ends_the_connection(void **state)
{
    static const struct net_limits small = {100, 0, 0};
    struct net_frame frame;
    int peer;
    struct net_connection *connection = half_open(&small, &peer);

    (void)state;
    assert_int_equal(write(peer, "\1\0\0\0x\x65\0\0\0", 9), 9);
    assert_int_equal(net_receive(connection, &frame), 0);
    net_frame_fini(&frame);
    assert_int_equal(net_receive(connection, &frame), -EPROTO);
    (void)close(peer);
    net_connection_destroy(connection);
    connection = half_open(&wide_limits, &peer);
    assert_int_equal(write(peer, "\1\0\0\4", 4), 4);
    assert_int_equal(net_receive(connection, &frame), -EPROTO);
    (void)close(peer);
    net_connection_destroy(connection);
}

static void
test_a_full_queue_refuses_and_sends_nothing_of_the_frame(void **state)
{
    static const struct net_limits limits = {0, 1, 100000};
    struct pair pair = pair_open(&limits, true);
    uint8_t *bytes = calloc(1, 90000);
    unsigned sent = 0, received = 0, fds = open_count();
    struct net_frame frame;
    const int fd = 2;
    int err;

    (void)state;
    assert_int_equal(net_send(pair.a, bytes, 100000, NULL, 0), -ENOBUFS);
    while ((err = net_send(pair.a, bytes, 9000, NULL, 0)) == 0)
        sent++;
    assert_int_equal(err, -ENOBUFS);
    assert_true(sent >= 10);
    assert_true(net_queued(pair.a) <= 100000);
    assert_int_equal(net_send(pair.a, bytes, 90000, &fd, 1), -ENOBUFS);
    assert_int_equal(open_count(), fds);
    while (received < sent) {
        err = net_receive(pair.b, &frame);
        assert_int_equal(net_flush(pair.a), 0);
        if (err == -EAGAIN)
            continue;
        assert_int_equal(err, 0);
        assert_int_equal(frame.count, 9000);
        net_frame_fini(&frame);
        received++;
    }
    assert_int_equal(net_receive(pair.b, &frame), -EAGAIN);
    assert_int_equal(net_send(pair.a, "x", 1, NULL, 0), 0);
    free(bytes);
    pair_close(&pair);
}

static long
reserved_kb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pages), 1);
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
test_a_length_alone_reserves_little(void **state)
{
    struct net_connection *connections[64];
    int peers[64];
    long before;

    (void)state;
    for (size_t i = 0; i < 64; i++)
        connections[i] = half_open(&wide_limits, &peers[i]);
    before = reserved_kb();
    for (size_t i = 0; i < 64; i++) {
        struct net_frame frame;

        assert_int_equal(write(peers[i], "\0\0\0\4abc", 7), 7);
        assert_int_equal(net_receive(connections[i], &frame), -EAGAIN);
    }
    assert_true(reserved_kb() - before < 64L * 1024); /* address space; 4 GiB were announced */
    for (size_t i = 0; i < 64; i++) {
        (void)close(peers[i]);
        net_connection_destroy(connections[i]);
    }
}

/* ----------------------------------------------------------------------------- end */

static void
test_the_other_side_gone_is_an_end_on_both_ways(void **state)
{
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;

    (void)state;
    assert_int_equal(net_send(pair.a, "last", 4, NULL, 0), 0);
    net_connection_destroy(pair.a);
    pair.a = NULL;
    assert_int_equal(net_receive(pair.b, &frame), 0);
    assert_memory_equal(frame.bytes, "last", 4);
    net_frame_fini(&frame);
    assert_int_equal(net_receive(pair.b, &frame), -EPIPE);
    assert_int_equal(net_send(pair.b, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_send(pair.b, "x", 1, NULL, 0), -EPIPE);
    assert_int_equal(net_flush(pair.b), -EPIPE);
    pair_close(&pair);
}

static void
test_the_other_side_gone_with_a_queue_drops_it(void **state)
{
    unsigned before = open_count();
    struct pair pair = pair_open(&wide_limits, true);
    uint8_t *bytes = calloc(1, 50000);
    const int fd = 2;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(net_send(pair.a, bytes, 50000, &fd, 1), 0);
    assert_true(open_count() > before + 3);
    net_connection_destroy(pair.b);
    pair.b = NULL;
    assert_int_equal(net_flush(pair.a), -EPIPE);
    assert_int_equal(net_queued(pair.a), 0);
    assert_int_equal(open_count(), before + 1);
    free(bytes);
    pair_close(&pair);
    net_connection_destroy(NULL);
}

/* ---------------------------------------------------------------------- edge triggers */

struct counter {
    struct net_connection *connection;
    unsigned thread;
};

enum { THREADS = 4, PER_THREAD = 400 };

static void *
send_numbers(void *object)
{
    struct counter *counter = object;
    uint32_t words[500] = {counter->thread};

    for (uint32_t i = 0; i < PER_THREAD; i++) {
        words[1] = i;
        if (net_send(counter->connection, words, (i % 7 + 1) * 200, NULL, 0) != 0)
            return (void *)1;
    }
    return NULL;
}

static void
test_each_threads_frames_stay_in_order(void **state)
{
    struct pair pair = pair_open(&wide_limits, true);
    struct counter counters[THREADS];
    pthread_t threads[THREADS];
    uint32_t next[THREADS] = {0};
    struct net_frame frame;
    unsigned received = 0;
    void *failed;

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){pair.a, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_numbers, &counters[i]), 0);
    }
    while (received < THREADS * PER_THREAD) {
        struct pollfd fd = {.fd = net_fd(pair.b), .events = POLLIN};
        uint32_t words[2];
        int err = net_receive(pair.b, &frame);

        if (err == -EAGAIN) {
            assert_int_equal(net_flush(pair.a), 0);
            (void)poll(&fd, 1, 10);
            continue;
        }
        assert_int_equal(err, 0);
        (void)memcpy(words, frame.bytes, sizeof(words));
        assert_true(words[0] < THREADS);
        assert_int_equal(words[1], next[words[0]]++);
        net_frame_fini(&frame);
        received++;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    pair_close(&pair);
}

/* -------------------------------------------------------------------------- faults */

static void
test_no_memory_for_a_connection_closes_the_socket(void **state)
{
    unsigned before = open_count();
    struct net_connection *connection = NULL;
    int ends[2];

    (void)state;
    open_sockets(ends, false);
    fault_arm("net.create", 1, -ENOMEM);
    assert_int_equal(net_connection_create(ends[0], &wide_limits, &connection), -ENOMEM);
    assert_true(fault_disarm());
    assert_null(connection);
    (void)close(ends[1]);
    assert_int_equal(open_count(), before);
    assert_int_equal(net_connection_create(-1, &wide_limits, &connection), -EBADF);
}

static void
test_a_frame_that_cannot_be_queued_is_not_sent_at_all(void **state)
{
    static const char *const points[] = {"net.queue", "net.dup", "net.dup"};
    struct pair pair = pair_open(&wide_limits, true);
    uint8_t *bytes = calloc(1, 300000);
    const int fds[2] = {2, 2};
    unsigned before, whole = 0;
    struct net_frame frame;

    (void)state;
    assert_int_equal(net_send(pair.a, bytes, 300000, NULL, 0), 0);
    before = open_count();
    for (unsigned i = 0; i < 3; i++) {
        fault_arm(points[i], i < 2 ? 1 : 2, -EMFILE);
        assert_int_equal(net_send(pair.a, "lost", 4, fds, 2), i == 0 ? -ENOMEM : -EMFILE);
        assert_true(fault_disarm());
        assert_int_equal(open_count(), before);
    }
    assert_int_equal(net_send(pair.a, "kept", 4, fds, 2), 0);
    while (whole < 2) {
        int err = net_receive(pair.b, &frame);

        assert_int_equal(net_flush(pair.a), 0);
        if (err == -EAGAIN)
            continue;
        assert_int_equal(err, 0);
        assert_int_equal(frame.count, whole == 0 ? 300000 : 4);
        assert_int_equal(frame.fd_count, whole == 0 ? 0 : 2);
        if (whole == 1)
            assert_memory_equal(frame.bytes, "kept", 4);
        net_frame_fini(&frame);
        whole++;
    }
    free(bytes);
    pair_close(&pair);
}

static void
test_no_memory_for_a_received_frame_ends_the_connection(void **state)
{
    unsigned before = open_count();
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;
    const int fd = 2;

    (void)state;
    assert_int_equal(net_send(pair.a, "x", 1, &fd, 1), 0);
    fault_arm("net.receive", 1, -ENOMEM);
    assert_int_equal(net_receive(pair.b, &frame), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(net_receive(pair.b, &frame), -ENOMEM);
    assert_int_equal(open_count(), before + 2);
    pair_close(&pair);
}

static void
test_bad_descriptors_are_said_and_nothing_is_sent(void **state)
{
    struct pair pair = pair_open(&wide_limits, false);
    struct net_frame frame;
    const int fd = 9999;

    (void)state;
    assert_int_equal(net_send(pair.a, "x", 1, &fd, 1), -EBADF);
    assert_int_equal(net_receive(pair.b, &frame), -EAGAIN);
    assert_int_equal(net_send(pair.a, "y", 1, NULL, 0), 0);
    assert_int_equal(net_receive(pair.b, &frame), 0);
    net_frame_fini(&frame);
    pair_close(&pair);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_arrive_whole_and_in_order),
        cmocka_unit_test(test_many_frames_in_one_read_come_apart),
        cmocka_unit_test(test_a_frame_may_come_in_single_bytes),
        cmocka_unit_test(test_what_the_socket_does_not_take_is_queued_and_flushed),
        cmocka_unit_test(test_descriptors_belong_to_their_frame),
        cmocka_unit_test(test_queued_descriptors_are_duplicates_and_go_with_their_frame),
        cmocka_unit_test(test_as_many_descriptors_as_allowed_and_not_one_more),
        cmocka_unit_test(test_descriptors_that_nobody_announced_are_closed),
        cmocka_unit_test(test_descriptors_without_room_are_missed_and_nothing_else),
        cmocka_unit_test(test_descriptors_in_the_middle_of_a_frame_end_the_connection),
        cmocka_unit_test(test_descriptors_of_a_frame_that_never_becomes_whole_are_closed),
        cmocka_unit_test(test_descriptors_come_with_the_first_byte),
        cmocka_unit_test(test_a_frame_that_is_too_long_ends_the_connection),
        cmocka_unit_test(test_a_full_queue_refuses_and_sends_nothing_of_the_frame),
        cmocka_unit_test(test_a_length_alone_reserves_little),
        cmocka_unit_test(test_the_other_side_gone_is_an_end_on_both_ways),
        cmocka_unit_test(test_the_other_side_gone_with_a_queue_drops_it),
        cmocka_unit_test(test_each_threads_frames_stay_in_order),
        cmocka_unit_test(test_no_memory_for_a_connection_closes_the_socket),
        cmocka_unit_test(test_a_frame_that_cannot_be_queued_is_not_sent_at_all),
        cmocka_unit_test(test_no_memory_for_a_received_frame_ends_the_connection),
        cmocka_unit_test(test_bad_descriptors_are_said_and_nothing_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
