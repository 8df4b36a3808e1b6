/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/cell_scenarios.h"

#include <pthread.h>

#include "base/fault.h"
#include "cell/cell.h"

/* ------------------------------------------------- the cell is a thread of this one */

struct serving {
    pthread_t thread;
    int socket, err;
    char text[DIAG_TEXT_MAX];
};

static void *
serve_main(void *object)
{
    struct serving *serving = object;
    struct diag diag;

    diag_init(&diag);
    serving->err = cell_serve(serving->socket, NULL, &diag);
    (void)snprintf(serving->text, sizeof(serving->text), "%s", diag_text(&diag));
    return NULL;
}

static void
client_begin(struct client *client, int socket)
{
    struct serving *serving = calloc(1, sizeof(*serving));

    assert_non_null(serving);
    serving->socket = socket;
    client->cell = serving;
    assert_int_equal(pthread_create(&serving->thread, NULL, serve_main, serving), 0);
}

static int
client_finish(struct client *client)
{
    struct serving *serving = client->cell;
    int err;

    assert_int_equal(pthread_join(serving->thread, NULL), 0);
    err = serving->err;
    assert_true(err == 0 || serving->text[0] != '\0');
    free(serving);
    return err;
}

/* --------------------------------------------------------------------------- faults */

static void
test_a_cell_that_cannot_be_prepared_says_so(void **state)
{
    struct client client = {0};
    Rpc__CellReply *reply;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(
        net_connection_create(ends[0], &(struct net_limits){0, 0, 0}, &client.connection), 0);
    fault_arm("serve.prepare", 1, -EMFILE);
    client_begin(&client, ends[1]);
    reply = client_await(&client, RPC__CELL_REPLY__IS_READY);
    assert_non_null(strstr(reply->ready->error, "Too many open files"));
    reply_free(reply);
    assert_int_equal(client_close(&client), -EMFILE);
    assert_true(fault_disarm());
}

static int
refuse_seal(struct diag *diag)
{
    return diag_set(diag, -EPERM, "no wax");
}

static void
test_a_seal_that_fails_is_told(void **state)
{
    Rpc__CellReply *reply;
    struct client client = {0};
    struct diag diag;
    int ends[2];

    (void)state;
    diag_init(&diag);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(
        net_connection_create(ends[0], &(struct net_limits){0, 0, 0}, &client.connection), 0);
    assert_int_equal(cell_serve(ends[1], refuse_seal, &diag), -EPERM);
    assert_string_equal(diag_text(&diag), "no wax");
    reply = client_hear(&client);
    assert_string_equal(reply->ready->error, "no wax");
    reply_free(reply);
    assert_null(client_hear(&client));
    net_connection_destroy(client.connection);
}

static void
test_a_put_without_a_thread_or_memory_fails_alone(void **state)
{
    static const char *const points[] = {"serve.thread", "serve.put", "cell.function"};
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct client client;
    int image = client_image();

    (void)state;
    client_open(&client, 1);
    for (unsigned i = 0; i < 3; i++) {
        Rpc__CellReply *reply;

        fault_arm(points[i], 1, -EAGAIN);
        put.function = i + 1;
        client_put(&client, put, &image, 1);
        reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
        assert_true(fault_disarm());
        assert_int_not_equal(reply->put_done->err, 0);
        assert_string_not_equal(reply->put_done->message, "");
        reply_free(reply);
        expect_end(&client, call_add(&client, i + 1, 1, 1), (Rpc__CellEndKind)FAILED, "");
    }
    client_put_guest(&client, 9, NULL);
    expect_result(&client, call_add(&client, 9, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_call_without_memory_fails_alone(void **state)
{
    static const char *const points[] = {"serve.call", "cell.start"};
    struct client client;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t call;

        fault_arm(points[i], 1, -ENOMEM);
        call = call_add(&client, 1, 1, 1);
        expect_end(&client, call, (Rpc__CellEndKind)FAILED, "");
        assert_true(fault_disarm());
    }
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

static void
test_an_end_that_cannot_be_sent_is_told_without_its_output(void **state)
{
    struct client client;
    uint64_t call;

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    fault_arm("serve.reply", 1, -ENOMEM);
    call = client_call_entry(&client, 1, "", NO_VALUE);
    expect_end(&client, call, (Rpc__CellEndKind)FAILED, "could not be sent");
    assert_true(fault_disarm());
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    fault_arm("serve.reply", 1, -ENOMEM); /* anything else is the end of the cell */
    {
        Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
        Rpc__CellAsk ask = RPC__CELL_ASK__INIT;

        request.is_case = RPC__CELL_REQUEST__IS_ASK;
        request.ask = &ask;
        client_say(&client, &request, NULL, 0);
    }
    assert_null(client_hear(&client));
    assert_int_equal(client_close(&client), -ENOMEM);
    assert_true(fault_disarm());
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        CELL_SCENARIOS,
        cmocka_unit_test(test_a_cell_that_cannot_be_prepared_says_so),
        cmocka_unit_test(test_a_seal_that_fails_is_told),
        cmocka_unit_test(test_a_put_without_a_thread_or_memory_fails_alone),
        cmocka_unit_test(test_a_call_without_memory_fails_alone),
        cmocka_unit_test(test_an_end_that_cannot_be_sent_is_told_without_its_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
