/* SPDX-License-Identifier: Apache-2.0 */
#include "hostcall/hostcall_test.h"

#include <poll.h>
#include <time.h>

#define SUBSCRIPTIONS GUEST_BUFFER
#define EVENTS        (GUEST_BUFFER + 8192)
#define HOUR_NS       UINT64_C(3600000000000)

static void
subscribe_fd(struct guest *guest, uint32_t index, uint8_t type, uint32_t fd)
{
    struct wasi_subscription subscription = {.userdata = 100 + index, .type = type};

    subscription.fd = fd;
    (void)memcpy(guest->memory + SUBSCRIPTIONS + index * sizeof(subscription), &subscription,
                 sizeof(subscription));
}

static void
subscribe_clock(struct guest *guest, uint32_t index, uint32_t id, uint64_t timeout, uint16_t flags)
{
    struct wasi_subscription subscription = {.userdata = 100 + index, .type = WASI_EVENT_CLOCK};

    subscription.clock.id = id;
    subscription.clock.timeout = timeout;
    subscription.clock.flags = flags;
    (void)memcpy(guest->memory + SUBSCRIPTIONS + index * sizeof(subscription), &subscription,
                 sizeof(subscription));
}

static struct wasi_event
event_at(const struct guest *guest, uint32_t index)
{
    struct wasi_event event;

    (void)memcpy(&event, guest->memory + EVENTS + index * sizeof(event), sizeof(event));
    return event;
}

static int
poll_now(struct guest *guest, uint32_t count)
{
    return CALL(guest, "poll_oneoff", SUBSCRIPTIONS, EVENTS, count, GUEST_RESULT);
}

static void
test_a_relative_time_is_kept_over_calls(void **state)
{
    struct guest *guest = *state;
    uint64_t deadline;

    subscribe_clock(guest, 0, WASI_MONOTONIC, HOUR_NS, 0);
    subscribe_clock(guest, 1, WASI_REALTIME, 2 * HOUR_NS, 0);
    assert_int_equal(poll_now(guest, 2), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.fd_count, 0);
    deadline = guest->wait.deadline_ns;
    assert_true(deadline > clock_now_ns() + HOUR_NS / 2 && deadline <= clock_now_ns() + HOUR_NS);
    (void)usleep(1000);
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(guest->wait.deadline_ns, deadline);
    assert_true((guest->scratch[0] >> 48) == 0xffff); /* never like an address */
}

static void
test_a_time_that_has_come_is_an_event(void **state)
{
    struct guest *guest = *state;
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    subscribe_clock(guest, 0, WASI_MONOTONIC, 0, 0);
    subscribe_clock(guest, 1, WASI_MONOTONIC, HOUR_NS, 0);
    subscribe_clock(guest, 2, WASI_REALTIME, (uint64_t)now.tv_sec * 1000000000u, 1);
    subscribe_clock(guest, 3, WASI_MONOTONIC, 1, 1);
    subscribe_clock(guest, 4, WASI_REALTIME, UINT64_MAX, 1);
    assert_int_equal(poll_now(guest, 5), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
    assert_int_equal(event_at(guest, 0).userdata, 100);
    assert_int_equal(event_at(guest, 1).userdata, 102);
    assert_int_equal(event_at(guest, 2).userdata, 103);
    assert_int_equal(event_at(guest, 0).type, WASI_EVENT_CLOCK);
    assert_int_equal(event_at(guest, 0).error, 0);
}

static void
test_a_short_sleep_ends(void **state)
{
    struct guest *guest = *state;

    subscribe_clock(guest, 0, WASI_MONOTONIC, 2000000, 0);
    assert_int_equal(poll_now(guest, 1), -1);
    while (clock_now_ns() < guest->wait.deadline_ns)
        (void)usleep(500);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
}

static void
test_bad_subscriptions_are_events_with_errors(void **state)
{
    struct guest *guest = *state;

    subscribe_clock(guest, 0, 9, 0, 0);
    subscribe_clock(guest, 1, WASI_PROCESS_CPUTIME, 0, 0);
    subscribe_clock(guest, 2, WASI_MONOTONIC, HOUR_NS, 2);
    subscribe_fd(guest, 3, WASI_EVENT_FD_READ, 99);
    subscribe_fd(guest, 4, WASI_EVENT_FD_READ, 1); /* may only be written */
    subscribe_fd(guest, 5, 3, 0);
    assert_int_equal(poll_now(guest, 6), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 6);
    assert_int_equal(event_at(guest, 0).error, E_INVAL);
    assert_int_equal(event_at(guest, 1).error, E_NOTSUP);
    assert_int_equal(event_at(guest, 2).error, E_INVAL);
    assert_int_equal(event_at(guest, 3).error, E_BADF);
    assert_int_equal(event_at(guest, 4).error, E_NOTCAPABLE);
    assert_int_equal(event_at(guest, 5).error, E_INVAL);
}

static void
test_counts_are_limited(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(poll_now(guest, 0), E_INVAL);
    assert_int_equal(poll_now(guest, 0x08000000), E_FAULT);
    assert_int_equal(poll_now(guest, UINT32_MAX), E_FAULT);
}

static void
test_a_pipe_becomes_ready(void **state)
{
    struct guest *guest = *state;

    subscribe_fd(guest, 0, WASI_EVENT_FD_READ, 0);
    subscribe_clock(guest, 1, WASI_MONOTONIC, HOUR_NS, 0);
    assert_int_equal(poll_now(guest, 2), -1);
    assert_int_equal(guest->wait.fd_count, 1);
    assert_int_equal(guest->wait.fds[0].fd, guest->stdio[0]);
    assert_int_equal(guest->wait.fds[0].events, POLLIN);
    assert_true(guest->wait.deadline_ns != CLOCK_NEVER_NS);
    assert_int_equal(write(guest->peer[0], "12345", 5), 5);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
    assert_int_equal(event_at(guest, 0).userdata, 100);
    assert_int_equal(event_at(guest, 0).type, WASI_EVENT_FD_READ);
    assert_int_equal(event_at(guest, 0).nbytes, 5);
    assert_int_equal(event_at(guest, 0).flags, 0);
}

static void
test_a_closed_pipe_hangs_up(void **state)
{
    struct guest *guest = *state;

    (void)close(guest->peer[0]);
    guest->peer[0] = -1;
    subscribe_fd(guest, 0, WASI_EVENT_FD_READ, 0);
    subscribe_fd(guest, 1, WASI_EVENT_FD_WRITE, 1);
    assert_int_equal(poll_now(guest, 2), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_int_equal(event_at(guest, 0).flags, WASI_EVENT_HANGUP);
    assert_int_equal(event_at(guest, 0).nbytes, 0);
    assert_int_equal(event_at(guest, 1).type, WASI_EVENT_FD_WRITE);
    assert_int_equal(event_at(guest, 1).flags, 0);
    assert_true(event_at(guest, 1).nbytes > 0);
}

static void
test_files_are_always_ready_with_what_is_left(void **state)
{
    struct guest *guest = *state;
    uint32_t fd = guest_open(guest, "f", WASI_OFLAG_CREAT);

    assert_int_equal(guest_write(guest, fd, "0123456789"), 0);
    assert_int_equal(CALL(guest, "fd_seek", fd, 4, 0, GUEST_RESULT), 0);
    subscribe_fd(guest, 0, WASI_EVENT_FD_READ, fd);
    subscribe_fd(guest, 1, WASI_EVENT_FD_WRITE, fd);
    subscribe_clock(guest, 2, WASI_MONOTONIC, HOUR_NS, 0);
    assert_int_equal(poll_now(guest, 3), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_int_equal(event_at(guest, 0).nbytes, 6);
    assert_true(event_at(guest, 1).nbytes > 0);
}

static void
test_more_descriptors_than_a_wait_holds_poll_again_soon(void **state)
{
    struct guest *guest = *state;

    for (uint32_t i = 0; i < FAASLET_WAIT_FDS_MAX + 10; i++)
        subscribe_fd(guest, i, WASI_EVENT_FD_READ, 0);
    assert_int_equal(poll_now(guest, FAASLET_WAIT_FDS_MAX + 10), -1);
    assert_int_equal(guest->wait.fd_count, FAASLET_WAIT_FDS_MAX);
    assert_true(guest->wait.deadline_ns < clock_now_ns() + HOUR_NS);
}

static void
test_unstable_subscriptions_have_an_identifier(void **state)
{
    struct guest *guest = *state;
    struct wasi_unstable_subscription subscription = {.userdata = 7, .type = WASI_EVENT_CLOCK};

    guest->module = "wasi_unstable";
    subscription.clock.identifier = 0x1111;
    subscription.clock.id = WASI_MONOTONIC;
    subscription.clock.timeout = HOUR_NS;
    (void)memcpy(guest->memory + SUBSCRIPTIONS, &subscription, sizeof(subscription));
    assert_int_equal(poll_now(guest, 1), -1);
    assert_true(guest->wait.deadline_ns > clock_now_ns() + HOUR_NS / 2);
    subscription = (struct wasi_unstable_subscription){.userdata = 8, .type = WASI_EVENT_FD_WRITE};
    subscription.fd = 1;
    (void)memcpy(guest->memory + SUBSCRIPTIONS + 56, &subscription, sizeof(subscription));
    assert_int_equal(poll_now(guest, 2), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
    assert_int_equal(event_at(guest, 0).userdata, 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_a_relative_time_is_kept_over_calls),
        GUEST_TEST(test_a_time_that_has_come_is_an_event),
        GUEST_TEST(test_a_short_sleep_ends),
        GUEST_TEST(test_bad_subscriptions_are_events_with_errors),
        GUEST_TEST(test_counts_are_limited),
        GUEST_TEST(test_a_pipe_becomes_ready),
        GUEST_TEST(test_a_closed_pipe_hangs_up),
        GUEST_TEST(test_files_are_always_ready_with_what_is_left),
        GUEST_TEST(test_more_descriptors_than_a_wait_holds_poll_again_soon),
        GUEST_TEST(test_unstable_subscriptions_have_an_identifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
