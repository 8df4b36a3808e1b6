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

#include "rpc/rpc.h"

static struct net_connection *a, *b;

static int
open_pair(void **state)
{
    static const struct net_limits limits = {0, 4, 0};
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

static void
receive(struct net_frame *frame)
{
    int err;

    while ((err = net_receive(b, frame)) == -EAGAIN)
        assert_int_equal(net_flush(a), 0);
    assert_int_equal(err, 0);
}

static void
test_a_request_arrives_with_all_its_fields(void **state)
{
    char *args[] = {(char *)"prog", (char *)"gr\xc3\xbc\xc3\x9f"};
    uint64_t values[] = {1, UINT64_MAX};
    uint8_t input[5000];
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT, *read;
    struct net_frame frame;
    const int fds[] = {2, 2, 2};

    (void)state;
    (void)memset(input, 7, sizeof(input));
    call.call = 5;
    call.function = UINT64_C(1) << 40;
    call.args = args;
    call.n_args = 2;
    call.values = values;
    call.n_values = 2;
    call.has_stdio = true;
    call.input = (ProtobufCBinaryData){sizeof(input), input};
    request.is_case = RPC__CELL_REQUEST__IS_CALL;
    request.call = &call;
    assert_int_equal(rpc_send(a, &request.base, fds, 3), 0);
    receive(&frame);
    assert_int_equal(frame.fd_count, 3);
    read = rpc_cell_request(&frame);
    assert_non_null(read);
    assert_int_equal(read->is_case, RPC__CELL_REQUEST__IS_CALL);
    assert_int_equal(read->call->call, 5);
    assert_true(read->call->function == UINT64_C(1) << 40);
    assert_int_equal(read->call->n_args, 2);
    assert_string_equal(read->call->args[1], args[1]);
    assert_true(read->call->values[1] == UINT64_MAX);
    assert_string_equal(read->call->entry, "");
    assert_int_equal(read->call->input.len, sizeof(input));
    assert_memory_equal(read->call->input.data, input, sizeof(input));
    protobuf_c_message_free_unpacked(&read->base, NULL);
    net_frame_fini(&frame);
}

static void
test_a_reply_arrives(void **state)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;
    Rpc__CellReply reply = RPC__CELL_REPLY__INIT, *read;
    struct net_frame frame;

    (void)state;
    end.call = 9;
    end.kind = RPC__CELL_END_KIND__CELL_END_TRAP;
    end.message = (char *)"unreachable";
    reply.is_case = RPC__CELL_REPLY__IS_END;
    reply.end = &end;
    assert_int_equal(rpc_send(a, &reply.base, NULL, 0), 0);
    receive(&frame);
    read = rpc_cell_reply(&frame);
    assert_non_null(read);
    assert_int_equal(read->end->kind, RPC__CELL_END_KIND__CELL_END_TRAP);
    assert_string_equal(read->end->message, "unreachable");
    protobuf_c_message_free_unpacked(&read->base, NULL);
    net_frame_fini(&frame);
}

static void
test_a_message_that_is_too_long_is_not_sent(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    struct net_frame frame;

    (void)state;
    call.input.len = NET_FRAME_BYTES_MAX;
    call.input.data = calloc(1, NET_FRAME_BYTES_MAX);
    request.is_case = RPC__CELL_REQUEST__IS_CALL;
    request.call = &call;
    assert_int_equal(rpc_send(a, &request.base, NULL, 0), -EMSGSIZE);
    assert_int_equal(net_receive(b, &frame), -EAGAIN);
    free(call.input.data);
}

/* ------------------------------------------------------------------------- refused */

static bool
is_request(const void *bytes, size_t count)
{
    struct net_frame frame = {.bytes = (uint8_t *)(uintptr_t)bytes, .count = count};
    Rpc__CellRequest *request = rpc_cell_request(&frame);

    if (request != NULL)
        protobuf_c_message_free_unpacked(&request->base, NULL);
    return request != NULL;
}

static bool
is_reply(const void *bytes, size_t count)
{
    struct net_frame frame = {.bytes = (uint8_t *)(uintptr_t)bytes, .count = count};
    Rpc__CellReply *reply = rpc_cell_reply(&frame);

    if (reply != NULL)
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    return reply != NULL;
}

static void
test_what_is_no_message_is_refused(void **state)
{
    (void)state;
    assert_false(is_request("", 0));
    assert_false(is_request("\x0a", 1));
    assert_false(is_request("\x0a\x05\x08", 3));
    assert_false(is_request("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11));
    assert_false(is_reply("", 0));
}

static void
test_a_message_without_content_is_refused(void **state)
{
    (void)state;
    assert_true(is_request("\x32\x00", 2));      /* ask */
    assert_false(is_request("\x4a\x00", 2));     /* a member that is not known here */
    assert_false(is_request("\xa0\x06\x01", 3)); /* nor is this field */
    assert_true(is_request("\x32\x00\x4a\x00", 4));
    assert_false(is_reply("\x42\x00", 2));
}

/* CellReady.error (field 3) of a reply with these bytes. */
static bool
is_text(const char *text)
{
    uint8_t bytes[64] = {0x0a, (uint8_t)(strlen(text) + 2), 0x1a, (uint8_t)strlen(text)};

    (void)memcpy(bytes + 4, text, strlen(text));
    return is_reply(bytes, 4 + strlen(text));
}

static void
test_strings_are_utf8(void **state)
{
    static const char *const good[] = {"", "plain", "\xc2\x80\xdf\xbf",
                                       "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf x",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "ok \xe2\x82\xac \xe2\x28\xa1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(is_text(good[i]));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(is_text(bad[i]));
}

static void
test_a_text_is_made_utf8(void **state)
{
    char *text = rpc_text("gr\xc3\xbc\xc3\x9f \xff\xe2\x82");

    (void)state;
    assert_string_equal(text, "gr\xc3\xbc\xc3\x9f ???");
    assert_true(is_text(text));
    free(text);
}

static void
test_repeated_strings_are_checked_each(void **state)
{
    (void)state;
    assert_true(is_request("\x22\x06\x22\x01x\x22\x01y", 8)); /* call.args */
    assert_false(is_request("\x22\x06\x22\x01x\x22\x01\xff", 8));
    assert_false(is_request("\x12\x06\x42\x04\x0a\x02\xc3x", 8)); /* put.directories.guest_path */
}

static void
test_an_enum_has_a_known_value(void **state)
{
    (void)state;
    assert_true(is_reply("\x1a\x02\x10\x06", 4)); /* end.kind */
    assert_false(is_reply("\x1a\x02\x10\x08", 4));
    assert_false(is_reply("\x1a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13));
}

/* Two bytes for each field that is not known would be sixty-four and more in memory. */
static void
test_a_message_does_not_take_much_more_than_its_frame(void **state)
{
    size_t count = 32u << 20;
    uint8_t *bytes = malloc(count);

    (void)state;
    for (size_t i = 0; i + 4 <= count; i += 4)
        (void)memcpy(bytes + i, i % 8 == 0 ? "\x32\x00\x32\x00" : "\x7a\x00\x7a\x00", 4);
    assert_false(is_request(bytes, count));
    assert_true(is_request(bytes, 4000));
    free(bytes);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_request_arrives_with_all_its_fields, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(test_a_reply_arrives, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_a_message_that_is_too_long_is_not_sent, open_pair,
                                        close_pair),
        cmocka_unit_test(test_what_is_no_message_is_refused),
        cmocka_unit_test(test_a_message_without_content_is_refused),
        cmocka_unit_test(test_strings_are_utf8),
        cmocka_unit_test(test_a_text_is_made_utf8),
        cmocka_unit_test(test_repeated_strings_are_checked_each),
        cmocka_unit_test(test_an_enum_has_a_known_value),
        cmocka_unit_test(test_a_message_does_not_take_much_more_than_its_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
