/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that a served cell does not run to their end, but keeps at a host call.
 */
#ifndef WEFT_TESTS_SAVE_SCENARIOS_H
#define WEFT_TESTS_SAVE_SCENARIOS_H

#include "cell_client.h"

#include <sys/mman.h>

/* Saves the guest's entry at a host call; *fd: to which. */
static uint64_t
save_call(struct client *client, uint64_t function, const char *entry, const char *at, int *fd)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellCall call = RPC__CELL_CALL__INIT;

    *fd = memfd_create("saved", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(*fd >= 0);
    call.call = ++client->calls;
    call.function = function;
    call.entry = (char *)(uintptr_t)entry;
    call.has_save = true;
    call.save_at = (char *)(uintptr_t)at;
    call.result_slots = strcmp(entry, "echo") == 0;
    request.is_case = RPC__CELL_REQUEST__IS_CALL;
    request.call = &call;
    client_say(client, &request, fd, 1);
    return call.call;
}

static void
save_put(struct client *client, uint64_t function, int proto)
{
    const int fds[] = {client_image(), proto};
    Rpc__CellPut put = RPC__CELL_PUT__INIT;

    put.function = function;
    put.has_proto = true;
    client_put(client, put, fds, 2);
    client_expect_put(client, function);
}

static void
test_a_call_is_saved_at_a_host_call_and_others_go_on_there(void **state)
{
    static const char *const inputs[] = {"one", "two and a half", ""};
    struct client client;
    Rpc__CellReply *reply;
    int fd;

    (void)state;
    client_open(&client, 2);
    client_put_guest(&client, 1, NULL);
    reply = client_end(&client, save_call(&client, 1, "echo", "fd_read:0", &fd));
    if (reply->end->kind != RPC__CELL_END_KIND__CELL_END_DONE)
        fail_msg("%s", reply->end->message);
    assert_int_equal(reply->end->n_results, 0);
    assert_int_equal(reply->end->memory_bytes, 65536);
    reply_free(reply);
    /* Nobody writes to it any more: it can be sealed. */
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
    save_put(&client, 2, fd);
    (void)close(fd);
    for (size_t i = 0; i < ARRAY_COUNT(inputs); i++) {
        Rpc__CellCall call = RPC__CELL_CALL__INIT;

        call.function = 2;
        call.result_slots = 1;
        call.input = (ProtobufCBinaryData){strlen(inputs[i]), (uint8_t *)(uintptr_t)inputs[i]};
        reply = client_end(&client, client_call(&client, call, NULL));
        assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
        assert_int_equal(reply->end->n_results, 1);
        assert_int_equal(reply->end->results[0], strlen(inputs[i]));
        assert_int_equal(reply->end->output.len, strlen(inputs[i]));
        if (reply->end->output.len > 0)
            assert_memory_equal(reply->end->output.data, inputs[i], strlen(inputs[i]));
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_call_is_saved_at_its_snapshot_point(void **state)
{
    struct client client;
    int fd;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    expect_end(&client, save_call(&client, 1, "resume", "", &fd), RPC__CELL_END_KIND__CELL_END_DONE,
               "");
    save_put(&client, 2, fd);
    (void)close(fd);
    for (unsigned i = 0; i < 3; i++) {
        Rpc__CellReply *reply = client_end(&client, client_call_entry(&client, 2, "", UINT64_MAX));

        assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_EXIT);
        assert_int_equal(reply->end->exit_code, 82);
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_what_ends_before_it_can_be_saved_says_how(void **state)
{
    static const struct {
        const char *entry, *at, *message;
    } rows[] = {
        {"_start", "fd_read:0", "it returned before it came to fd_read:0"},
        {"echo", "fd_read:5", "it returned before it came to fd_read:5"},
        {"echo", "", "it returned before it came to a snapshot point"},
        {"bad", "fd_write", "it trapped before it came to fd_write: "},
        {"resume", "poll_oneoff", "it ended with exit code 82 before it came to poll_oneoff"},
        {"_start", "path_open", "it does not import what it is to be saved at"},
    };
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    struct client client;
    int fd;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t call = save_call(&client, 1, rows[i].entry, rows[i].at, &fd);

        expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_FAILED, rows[i].message);
        assert_int_equal(lseek(fd, 0, SEEK_END), 0);
        (void)close(fd);
    }
    limits.output_bytes = 100;
    client_put_guest(&client, 2, &limits);
    expect_end(&client, save_call(&client, 2, "flood", "fd_read:0", &fd),
               RPC__CELL_END_KIND__CELL_END_LIMIT, "output limit of 100 bytes");
    (void)close(fd);
    expect_end(&client, client_call_entry(&client, 1, "_start", UINT64_MAX),
               RPC__CELL_END_KIND__CELL_END_DONE, "");
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_saved_one_that_cannot_be_written_fails_alone(void **state)
{
    struct client client;
    uint64_t call;
    int fd;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    call = save_call(&client, 1, "sleep", "poll_oneoff", &fd); /* it lacks its argument */
    expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_FAILED, "arguments");
    (void)close(fd);
    call = client.calls + 1;
    {
        Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
        Rpc__CellCall message = RPC__CELL_CALL__INIT;

        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        message.call = ++client.calls;
        message.function = 1;
        message.entry = (char *)(uintptr_t)"resume";
        message.has_save = true;
        request.is_case = RPC__CELL_REQUEST__IS_CALL;
        request.call = &message;
        client_say(&client, &request, &fd, 1);
        (void)close(fd);
    }
    expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_FAILED, "cannot be kept");
    assert_int_equal(client_close(&client), 0);
}

#define SAVE_SCENARIOS \
    cmocka_unit_test(test_a_call_is_saved_at_a_host_call_and_others_go_on_there), \
        cmocka_unit_test(test_a_call_is_saved_at_its_snapshot_point), \
        cmocka_unit_test(test_what_ends_before_it_can_be_saved_says_how), \
        cmocka_unit_test(test_a_saved_one_that_cannot_be_written_fails_alone)

#endif
