/* SPDX-License-Identifier: Apache-2.0 */
#include "hostcall/hostcall_test.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

struct listening {
    int fd;
    struct sockaddr_un address;
};

/* Gives the guest a listening socket as descriptor 4. */
static struct listening
listen_for(struct guest *guest)
{
    struct listening listening = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct hostcall_config config = {.sockets = &listening.fd, .socket_count = 1};

    assert_true(listening.fd >= 0);
    listening.address.sun_family = AF_UNIX;
    (void)snprintf(listening.address.sun_path, sizeof(listening.address.sun_path), "%s/s",
                   guest->root);
    assert_int_equal(
        bind(listening.fd, (struct sockaddr *)&listening.address, sizeof(listening.address)), 0);
    assert_int_equal(listen(listening.fd, 4), 0);
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    return listening;
}

static int
connect_to(const struct listening *listening)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(
        connect(fd, (const struct sockaddr *)&listening->address, sizeof(listening->address)), 0);
    return fd;
}

static int
receive(struct guest *guest, uint32_t fd, uint32_t bytes, uint32_t flags)
{
    return CALL(guest, "sock_recv", fd, guest_iovec(guest, 0, GUEST_BUFFER, bytes), 1, flags,
                GUEST_RESULT, GUEST_RESULT_2);
}

static int
send_text(struct guest *guest, uint32_t fd, const char *text)
{
    uint32_t bytes = guest_text(guest, GUEST_BUFFER, text);

    return CALL(guest, "sock_send", fd, guest_iovec(guest, 0, GUEST_BUFFER, bytes), 1, 0,
                GUEST_RESULT);
}

/* A connected stream socket as the guest's next descriptor. */
static uint32_t
adopt_pair(struct guest *guest, int pair[2], int type)
{
    struct files_table *files = &((struct hostcall_process *)guest->process)->files;
    uint32_t number;

    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(files_table_adopt(files, pair[0], &number), 0);
    wasi_rights_adopted(files_table_get(files, number));
    return number;
}

static void
test_accept_is_pending_until_someone_connects(void **state)
{
    struct guest *guest = *state;
    struct listening listening = listen_for(guest);
    uint32_t fd;
    int peer;

    assert_int_equal(CALL(guest, "sock_accept", 4, 0, GUEST_RESULT), -1);
    assert_int_equal(guest->wait.fds[0].fd, listening.fd);
    assert_int_equal(guest->wait.fds[0].events, POLLIN);
    peer = connect_to(&listening);
    assert_int_equal(guest_again(guest), 0);
    fd = guest_u32(guest, GUEST_RESULT);
    assert_int_equal(fd, 5);
    assert_int_equal(CALL(guest, "fd_fdstat_get", fd, GUEST_RESULT), 0);
    assert_int_equal(guest->memory[GUEST_RESULT], WASI_SOCKET_STREAM);
    assert_int_equal(send_text(guest, fd, "hi"), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_int_equal(write(peer, "yes", 3), 3);
    assert_read(guest, fd, "yes");
    assert_int_equal(CALL(guest, "sock_accept", 4, FILES_NONBLOCK, GUEST_RESULT), -1);
    assert_int_equal(CALL(guest, "fd_fdstat_set_flags", 4, FILES_NONBLOCK), 0);
    assert_int_equal(CALL(guest, "sock_accept", 4, 0, GUEST_RESULT), E_AGAIN);
    assert_int_equal(CALL(guest, "sock_accept", 4, FILES_APPEND, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "sock_accept", 0, 0, GUEST_RESULT), E_NOTSOCK);
    assert_int_equal(CALL(guest, "sock_accept", 99, 0, GUEST_RESULT), E_BADF);
    (void)close(peer);
    (void)close(listening.fd);
}

static void
test_receive_waits_peeks_and_takes(void **state)
{
    struct guest *guest = *state;
    int pair[2];
    uint32_t fd = adopt_pair(guest, pair, SOCK_STREAM);

    assert_int_equal(receive(guest, fd, 10, 0), -1);
    assert_int_equal(write(pair[1], "abc", 3), 3);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
    assert_int_equal(write(pair[1], "def", 3), 3);
    assert_int_equal(receive(guest, fd, 10, WASI_RIFLAG_PEEK), 0);
    assert_int_equal(receive(guest, fd, 10, 0), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "def", 3);
    assert_int_equal(receive(guest, fd, 10, 4), E_INVAL);
    assert_int_equal(receive(guest, GUEST_DIRECTORY, 10, 0), E_ISDIR);
    assert_int_equal(receive(guest, 0, 10, 0), E_NOTSOCK);
    assert_int_equal(receive(guest, 99, 10, 0), E_BADF);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void
test_waiting_for_all_collects_over_calls(void **state)
{
    struct guest *guest = *state;
    int pair[2];
    uint32_t fd = adopt_pair(guest, pair, SOCK_STREAM);

    assert_int_equal(write(pair[1], "abc", 3), 3);
    assert_int_equal(receive(guest, fd, 6, WASI_RIFLAG_WAITALL), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(write(pair[1], "d", 1), 1);
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(write(pair[1], "efgh", 4), 4);
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 6);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "abcdef", 6);
    (void)close(pair[1]); /* the end comes before all: what there is */
    assert_int_equal(receive(guest, fd, 6, WASI_RIFLAG_WAITALL), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    (void)close(pair[0]);
}

static void
test_a_cut_datagram_says_so(void **state)
{
    struct guest *guest = *state;
    int pair[2];
    uint32_t fd = adopt_pair(guest, pair, SOCK_DGRAM);

    assert_int_equal(write(pair[1], "abcdef", 6), 6);
    assert_int_equal(receive(guest, fd, 4, 0), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 4);
    assert_int_equal(guest->memory[GUEST_RESULT_2], WASI_ROFLAG_DATA_TRUNCATED);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void
test_a_full_socket_is_pending(void **state)
{
    struct guest *guest = *state;
    int pair[2], err = 0;
    uint32_t fd = adopt_pair(guest, pair, SOCK_STREAM);

    for (int i = 0; i < 1000 && err == 0; i++)
        err = CALL(guest, "sock_send", fd, guest_iovec(guest, 0, GUEST_BUFFER, GUEST_BUFFER_BYTES),
                   1, 0, GUEST_RESULT);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.fds[0].events, POLLOUT);
    assert_int_equal(CALL(guest, "sock_send", fd, GUEST_IOVECS, 1, 1, GUEST_RESULT), E_INVAL);
    assert_int_equal(send_text(guest, 1, "x"), E_NOTSOCK);
    assert_int_equal(send_text(guest, 99, "x"), E_BADF);
    (void)close(pair[1]);
    assert_int_equal(send_text(guest, fd, "x"), E_PIPE);
    (void)close(pair[0]);
}

static void
test_shutdown_ends_one_direction(void **state)
{
    struct guest *guest = *state;
    int pair[2];
    uint32_t fd = adopt_pair(guest, pair, SOCK_STREAM);
    char byte;

    assert_int_equal(CALL(guest, "sock_shutdown", fd, 0), E_INVAL);
    assert_int_equal(CALL(guest, "sock_shutdown", fd, 4), E_INVAL);
    assert_int_equal(CALL(guest, "sock_shutdown", fd, WASI_SDFLAG_WR), 0);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    assert_int_equal(CALL(guest, "sock_shutdown", fd, WASI_SDFLAG_RD), 0);
    assert_int_equal(receive(guest, fd, 1, 0), 0);
    assert_int_equal(CALL(guest, "sock_shutdown", 0, 1), E_NOTSOCK);
    assert_int_equal(CALL(guest, "sock_shutdown", 99, 1), E_BADF);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void
set_output_limit(struct guest *guest, uint64_t bytes)
{
    ((struct hostcall_process *)guest->process)->output_max = bytes;
}

static void
test_the_output_limit_holds_for_a_socket_of_the_host(void **state)
{
    struct guest *guest = *state;
    int pair[2];
    uint32_t fd = adopt_pair(guest, pair, SOCK_STREAM);

    set_output_limit(guest, 10);
    assert_int_equal(send_text(guest, fd, "123456"), 0);
    assert_int_equal(send_text(guest, fd, "12345"), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(guest->call.limit, FAASLET_LIMIT_OUTPUT);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void
test_the_output_limit_spares_a_connection_that_was_accepted(void **state)
{
    struct guest *guest = *state;
    struct listening listening = listen_for(guest);
    int peer = connect_to(&listening);
    struct buffer frozen = {0};
    void *thawed = NULL;
    uint32_t fd;

    assert_int_equal(CALL(guest, "sock_accept", 4, 0, GUEST_RESULT), 0);
    fd = guest_u32(guest, GUEST_RESULT);
    set_output_limit(guest, 10);
    assert_int_equal(send_text(guest, fd, "more than ten"), 0);
    assert_int_equal(guest_write(guest, fd, "more than ten"), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &frozen), 0);
    assert_int_equal(hostcall_process_ops.thaw(frozen.bytes, frozen.count, &thawed), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = thawed;
    assert_int_equal(send_text(guest, fd, "more than ten"), 0);
    buffer_fini(&frozen);
    (void)close(peer);
    (void)close(listening.fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(test_accept_is_pending_until_someone_connects),
        GUEST_TEST(test_receive_waits_peeks_and_takes),
        GUEST_TEST(test_waiting_for_all_collects_over_calls),
        GUEST_TEST(test_a_cut_datagram_says_so),
        GUEST_TEST(test_a_full_socket_is_pending),
        GUEST_TEST(test_shutdown_ends_one_direction),
        GUEST_TEST(test_the_output_limit_holds_for_a_socket_of_the_host),
        GUEST_TEST(test_the_output_limit_spares_a_connection_that_was_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
