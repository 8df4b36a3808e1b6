/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/cell_scenarios.h"
#include "../../tests/cell_thread.h"
#include "../../tests/save_scenarios.h"

#include <sys/resource.h>
#include <time.h>

#include "base/fault.h"
#include "cell/cell.h"

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

static void
test_descriptors_without_room_fail_what_they_are_for(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    struct rlimit before, now;
    struct client client;
    Rpc__CellReply *reply;
    int lowest, image = client_image();

    (void)state;
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    lowest = dup(2);
    (void)close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    call.function = 1;
    call.entry = (char *)(uintptr_t)"echo";
    reply = client_end(&client, client_call(&client, call, (int[]){0, 1, 2}));
    assert_int_equal(reply->end->err, -EMFILE);
    assert_non_null(strstr(reply->end->message, "open files"));
    reply_free(reply);
    put.function = 2;
    client_put(&client, put, &image, 1);
    reply = client_await(&client, RPC__CELL_REPLY__IS_PUT_DONE);
    assert_int_equal(reply->put_done->err, -EMFILE);
    reply_free(reply);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_end(&client, call_add(&client, 2, 1, 1), (Rpc__CellEndKind)FAILED, "open files");
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_setup_that_fails_is_told_and_is_the_end(void **state)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;
    Rpc__CellReply *reply;

    (void)state;
    client_connect(&client);
    setup.version = RPC__CELL_VERSION__CELL_VERSION;
    request.is_case = RPC__CELL_REQUEST__IS_SETUP;
    request.setup = &setup;
    fault_arm("cell.threads", 1, -EAGAIN);
    client_say(&client, &request, NULL, 0);
    reply = client_await(&client, RPC__CELL_REPLY__IS_READY);
    assert_true(fault_disarm());
    assert_false(reply->ready->is_set_up);
    assert_non_null(strstr(reply->ready->error, "cannot start a cell"));
    reply_free(reply);
    assert_null(client_hear(&client));
    assert_int_equal(client_close(&client), -EAGAIN);
}

/* Until the cell, a thread of this process, has most likely said all. */
static void
await_idle(void)
{
    clock_t before, now = clock();

    do {
        before = now;
        (void)usleep(30000);
        now = clock();
    } while (now - before > CLOCKS_PER_SEC / 500);
}

/* Nobody listens until all is said: more than the queue takes. Each call has its end. */
static void
test_outputs_that_nobody_takes_do_not_end_the_cell(void **state)
{
    enum { COUNT = 12, CHUNKS = 350, BYTES = CHUNKS * 60000 };
    unsigned whole = 0, lost = 0;
    struct client client;

    (void)state;
    if (getenv("WEFT_STRESS") != NULL)
        skip(); /* all that was written moves at each write */
    client_open(&client, 1);
    client_put_guest(&client, 1, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        (void)client_call_entry(&client, 1, "pour", CHUNKS);
    await_idle();
    for (unsigned i = 0; i < COUNT; i++) {
        Rpc__CellReply *reply = client_end(&client, i + 1);

        whole += reply->end->kind == (Rpc__CellEndKind)DONE && reply->end->output.len == BYTES;
        lost += reply->end->kind == (Rpc__CellEndKind)FAILED && reply->end->err == -ENOBUFS;
        reply_free(reply);
    }
    print_message("%u outputs whole, %u lost\n", whole, lost);
    assert_int_equal(whole + lost, COUNT);
    assert_true(whole >= 8);
    expect_result(&client, call_add(&client, 1, 1, 1), 2);
    assert_int_equal(client_close(&client), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        CELL_SCENARIOS,
        SAVE_SCENARIOS,
        cmocka_unit_test(test_a_cell_that_cannot_be_prepared_says_so),
        cmocka_unit_test(test_a_seal_that_fails_is_told),
        cmocka_unit_test(test_a_put_without_a_thread_or_memory_fails_alone),
        cmocka_unit_test(test_descriptors_without_room_fail_what_they_are_for),
        cmocka_unit_test(test_a_setup_that_fails_is_told_and_is_the_end),
        cmocka_unit_test(test_outputs_that_nobody_takes_do_not_end_the_cell),
        cmocka_unit_test(test_a_call_without_memory_fails_alone),
        cmocka_unit_test(test_an_end_that_cannot_be_sent_is_told_without_its_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
