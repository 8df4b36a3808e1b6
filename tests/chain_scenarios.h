/* SPDX-License-Identifier: Apache-2.0
 *
 * What guests of a served cell do that start calls, wherever the cell runs.
 */
#ifndef WEFT_TESTS_CHAIN_SCENARIOS_H
#define WEFT_TESTS_CHAIN_SCENARIOS_H

#include "cell_client.h"
#include "chain_guest.h"

#include "hostcall/hostcall.h"

enum {
    GUEST_EAGAIN = 6,
    GUEST_EBADF = 8,
    GUEST_ELOOP = 32,
    GUEST_EMFILE = 33,
    GUEST_ENOENT = 44,
    GUEST_ENOSYS = 52
};

static inline int
chain_image(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = testing_compile(chain_guest, ABI_STANDALONE, 1);
    return fd;
}

static inline uint64_t
chain_function(const char *entry)
{
    for (size_t i = 0; i < ARRAY_COUNT(chain_entries); i++)
        if (strcmp(entry, chain_entries[i]) == 0)
            return i + 1;
    fail_msg("no entry %s", entry);
    return 0;
}

static inline void
chain_put(struct client *client, uint64_t number, const char *name, const char *entry,
          Rpc__CellLimits *limits)
{
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    int image = chain_image();

    put.function = number;
    put.name = (char *)(uintptr_t)name;
    put.entry = (char *)(uintptr_t)entry;
    put.limits = limits;
    client_put(client, put, &image, 1);
    client_expect_put(client, number);
}

static inline void
chain_open(struct client *client, Rpc__CellSetup setup)
{
    client_connect(client);
    client_setup(client, setup);
    for (size_t i = 0; i < ARRAY_COUNT(chain_entries); i++)
        chain_put(client, i + 1, chain_entries[i], chain_entries[i], NULL);
}

static inline void
chain_open_with(struct client *client, uint32_t executors)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;

    setup.executors = executors;
    chain_open(client, setup);
}

static inline uint64_t
chain_call_with(struct client *client, const char *function, const void *input, size_t bytes)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;

    call.function = chain_function(function);
    call.input = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)input};
    return client_call(client, call, NULL);
}

static inline uint64_t
chain_call(struct client *client, const char *function, uint32_t value)
{
    return chain_call_with(client, function, &value, sizeof(value));
}

/* A number that comes as the result. */
static inline uint64_t
chain_answer(struct client *client, uint64_t call)
{
    Rpc__CellReply *reply = client_end(client, call);
    uint64_t value;

    if (reply->end->kind != RPC__CELL_END_KIND__CELL_END_DONE)
        fail_msg("kind %d, error %d, exit code %d: %s\n%s", (int)reply->end->kind, reply->end->err,
                 reply->end->exit_code, reply->end->message, reply->end->backtrace);
    assert_int_equal(reply->end->result.len, sizeof(value));
    (void)memcpy(&value, reply->end->result.data, sizeof(value));
    reply_free(reply);
    return value;
}

/* What "tell" tells. */
struct told {
    uint32_t err, status;
    int32_t code;
    uint32_t output_bytes, message_bytes;
    char message[301];
};

static inline struct told
chain_told(struct client *client, uint64_t call)
{
    Rpc__CellReply *reply = client_end(client, call);
    struct told told = {0};

    assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
    assert_in_range(reply->end->result.len, 4, sizeof(told) - 1);
    (void)memcpy(&told, reply->end->result.data, reply->end->result.len);
    reply_free(reply);
    return told;
}

static inline uint64_t
chain_tell(struct client *client, const char *function, uint32_t value)
{
    char input[128];

    (void)memcpy(input, &value, 4);
    (void)snprintf(input + 4, sizeof(input) - 4, "%s", function);
    return chain_call_with(client, "tell", input, 4 + strlen(function));
}

/* Until the cell has no calls any more. */
static inline void
chain_await_none(struct client *client)
{
    for (unsigned i = 0; client_usage(client).calls > 0; i++) {
        assert_true(i < 10000);
        (void)usleep(1000);
    }
}

/* ------------------------------------------------------------------------- scenarios */

static void
test_a_thousand_calls_are_awaited_by_all_and_by_any(void **state)
{
    static const char *const ways[] = {"fan_all", "fan_any"};
    enum { COUNT = 1000 };
    struct client client;

    (void)state;
    chain_open_with(&client, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t call = chain_call(&client, ways[i], COUNT);
        Rpc__CellReply *reply = client_end(&client, call);
        uint64_t sum;

        assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
        assert_int_equal(reply->end->chained, COUNT);
        assert_int_equal(reply->end->result.len, 8);
        (void)memcpy(&sum, reply->end->result.data, 8);
        assert_int_equal(sum, COUNT * (COUNT + 1) / 2);
        reply_free(reply);
    }
    chain_await_none(&client);
    assert_int_equal(client_close(&client), 0);
}

static void
test_recursion_by_chaining(void **state)
{
    struct client client;

    (void)state;
    chain_open_with(&client, 2);
    assert_int_equal(chain_answer(&client, chain_call(&client, "fib", 10)), 55);
    assert_int_equal(client_close(&client), 0);
}

/* The parents that wait have all slots: they are parked. */
static void
test_recursion_on_few_slots(void **state)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;

    (void)state;
    setup.executors = 1;
    setup.slots_max = 2;
    chain_open(&client, setup);
    assert_int_equal(chain_answer(&client, chain_call(&client, "fib", 8)), 21);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_function_pointer_runs_in_a_faaslet_of_its_own(void **state)
{
    uint32_t ends[12];
    struct client client;
    Rpc__CellReply *reply;
    uint64_t square;

    (void)state;
    chain_open_with(&client, 1);
    reply = client_end(&client, chain_call(&client, "by_pointer", 12));
    assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
    assert_int_equal(reply->end->result.len, 56);
    (void)memcpy(ends, reply->end->result.data, sizeof(ends));
    (void)memcpy(&square, reply->end->result.data + 48, 8);
    assert_int_equal(ends[0], HOSTCALL_DONE);
    assert_int_equal(square, 144);
    assert_int_equal(ends[4], HOSTCALL_TRAP); /* unreachable */
    assert_int_equal(ends[5], ABI_TRAP_UNREACHABLE);
    assert_int_equal(ends[8], HOSTCALL_TRAP); /* no function there */
    assert_int_equal(ends[9], ABI_TRAP_UNINITIALIZED_ELEMENT);
    reply_free(reply);
    assert_int_equal(client_close(&client), 0);
}

static void
test_how_a_child_ended_is_told(void **state)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    struct client client;
    struct told told;

    (void)state;
    chain_open_with(&client, 1);
    told = chain_told(&client, chain_tell(&client, "bad", 0));
    assert_int_equal(told.status, HOSTCALL_TRAP);
    assert_int_equal(told.code, ABI_TRAP_UNREACHABLE);
    assert_string_equal(told.message, "unreachable");
    told = chain_told(&client, chain_tell(&client, "quit", 7));
    assert_int_equal(told.status, HOSTCALL_EXIT);
    assert_int_equal(told.code, 7);
    told = chain_told(&client, chain_tell(&client, "quit", 0));
    assert_int_equal(told.status, HOSTCALL_DONE);
    told = chain_told(&client, chain_tell(&client, "leaf", 41));
    assert_int_equal(told.status, HOSTCALL_DONE);
    assert_int_equal(told.output_bytes, 8);
    limits.wall_ns = 20 * MS;
    chain_put(&client, 100, "impatient", "hang", &limits);
    told = chain_told(&client, chain_tell(&client, "impatient", 0));
    assert_int_equal(told.status, HOSTCALL_LIMIT);
    assert_int_equal(told.code, HOSTCALL_LIMIT_TIME);
    assert_non_null(strstr(told.message, "time limit of 0.02 s"));
    assert_int_equal(client_close(&client), 0);
}

static void
test_the_newest_put_of_a_name_is_called(void **state)
{
    struct client client;

    (void)state;
    chain_open_with(&client, 1);
    chain_put(&client, 100, "leaf", "quit", NULL);
    assert_int_equal(chain_told(&client, chain_tell(&client, "leaf", 5)).code, 5);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, 100);
    assert_int_equal(chain_told(&client, chain_tell(&client, "leaf", 5)).output_bytes, 8);
    assert_int_equal(client_close(&client), 0);
}

/* The function is gone from the table before the child's end. */
static void
test_children_of_a_dropped_function_go_on(void **state)
{
    struct client client;
    uint64_t call;

    (void)state;
    chain_open_with(&client, 1);
    call = chain_call(&client, "fan_all", 200);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, chain_function("fan_all"));
    assert_int_equal(chain_answer(&client, call), 200 * 201 / 2);
    call = chain_call(&client, "by_pointer", 3);
    client_number(&client, RPC__CELL_REQUEST__IS_DROP, chain_function("by_pointer"));
    {
        Rpc__CellReply *reply = client_end(&client, call);

        assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_depth_has_a_limit(void **state)
{
    struct client client;
    Rpc__CellReply *reply;
    uint64_t answer;

    (void)state;
    chain_open_with(&client, 1);
    reply = client_end(&client, chain_call(&client, "deep", 0));
    assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
    (void)memcpy(&answer, reply->end->result.data, 8);
    assert_int_equal(answer >> 32, GUEST_ELOOP);
    assert_int_equal(answer & UINT32_MAX, 256);
    reply_free(reply);
    assert_int_equal(client_close(&client), 0);
}

/* It goes on counting where the worker says that the call is a chained one. */
static void
test_depth_counts_what_was_chained_elsewhere(void **state)
{
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    struct client client;
    uint64_t answer;

    (void)state;
    chain_open_with(&client, 1);
    call.function = chain_function("deep");
    call.depth = 250;
    answer = chain_answer(&client, client_call(&client, call, NULL));
    assert_int_equal(answer >> 32, GUEST_ELOOP);
    assert_int_equal(answer & UINT32_MAX, 6);
    assert_int_equal(client_close(&client), 0);
}

/* A parent that uses up all calls is refused more, and told which limit it met. */
static void
test_the_number_of_calls_has_a_limit(void **state)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;
    Rpc__CellReply *reply;
    uint64_t answer;

    (void)state;
    setup.executors = 1; /* no child ends while the parent runs */
    setup.calls_max = 10;
    chain_open(&client, setup);
    reply = client_end(&client, chain_call(&client, "greedy", 0));
    assert_int_equal(reply->end->kind, RPC__CELL_END_KIND__CELL_END_DONE);
    assert_int_equal(reply->end->refused, RPC__CELL_LIMIT__CELL_LIMIT_CALLS);
    (void)memcpy(&answer, reply->end->result.data, 8);
    assert_int_equal(answer >> 32, GUEST_EAGAIN);
    assert_true((answer & UINT32_MAX) >= 9);
    reply_free(reply);
    chain_await_none(&client);
    assert_int_equal(chain_answer(&client, chain_call(&client, "fan_all", 9)), 45);
    assert_int_equal(client_close(&client), 0);
}

static void
test_the_number_of_handles_has_a_limit(void **state)
{
    struct client client;
    uint64_t answer;

    (void)state;
    if (getenv("WEFT_STRESS") != NULL)
        skip(); /* all moves with each of them */
    chain_open_with(&client, 1);
    answer = chain_answer(&client, chain_call(&client, "greedy", 0));
    assert_int_equal(answer >> 32, GUEST_EMFILE);
    assert_int_equal(answer & UINT32_MAX, HOSTCALL_HANDLES_MAX);
    chain_await_none(&client);
    assert_int_equal(client_close(&client), 0);
}

static void
test_children_have_no_more_time_than_their_parent(void **state)
{
    Rpc__CellLimits limits = RPC__CELL_LIMITS__INIT;
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    uint32_t count = 10;
    struct client client;

    (void)state;
    chain_open_with(&client, 1);
    limits.wall_ns = 50 * MS;
    chain_put(&client, 100, "brief", "parent", &limits);
    call.function = 100;
    call.input = (ProtobufCBinaryData){sizeof(count), (uint8_t *)&count};
    expect_end(&client, client_call(&client, call, NULL), RPC__CELL_END_KIND__CELL_END_LIMIT,
               "time limit of 0.05 s");
    chain_await_none(&client);
    assert_int_equal(client_close(&client), 0);
}

/* A circle of calls ends by its depth, also where one thread runs all of it. */
static void
test_a_circle_of_calls_ends(void **state)
{
    Rpc__CellSetup setup = RPC__CELL_SETUP__INIT;
    struct client client;
    uint64_t answer;

    (void)state;
    setup.executors = 1;
    setup.calls_max = 5;
    chain_open(&client, setup);
    answer = chain_answer(&client, chain_call(&client, "deep", 0));
    assert_int_equal(answer >> 32, GUEST_EAGAIN);
    assert_int_equal(answer & UINT32_MAX, 4);
    assert_int_equal(client_close(&client), 0);
}

static void
test_children_that_nobody_can_await_are_cancelled(void **state)
{
    struct client client;

    (void)state;
    chain_open_with(&client, 2);
    assert_int_equal(chain_answer(&client, chain_call(&client, "orphans", 20)), HOSTCALL_CANCELLED);
    chain_await_none(&client);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_parent_that_is_cancelled_takes_its_children_along(void **state)
{
    struct client client;
    uint64_t call;

    (void)state;
    chain_open_with(&client, 2);
    call = chain_call(&client, "parent", 50);
    for (unsigned i = 0; client_usage(&client).calls < 51; i++) {
        assert_true(i < 10000);
        (void)usleep(1000);
    }
    client_number(&client, RPC__CELL_REQUEST__IS_CANCEL, call);
    expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_CANCELLED, "");
    chain_await_none(&client);
    assert_int_equal(client_close(&client), 0);
}

static void
test_a_child_that_is_detached_goes_on_alone(void **state)
{
    struct client client;

    (void)state;
    chain_open_with(&client, 1);
    expect_end(&client, chain_call(&client, "detach", 0), RPC__CELL_END_KIND__CELL_END_DONE, "");
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(client_usage(&client).calls, 1);
        (void)usleep(1000);
    }
    assert_int_equal(client_close(&client), 0); /* which ends it */
}

static void
test_a_cell_ends_with_children_of_all_kinds(void **state)
{
    struct client client;

    (void)state;
    chain_open_with(&client, 2);
    (void)chain_call(&client, "parent", 100);
    (void)chain_call(&client, "fan_all", 1000);
    (void)chain_call(&client, "detach", 0);
    (void)chain_tell(&client, "elsewhere", 0);
    (void)chain_call(&client, "fib", 12);
    (void)usleep(2000);
    assert_int_equal(client_close(&client), 0);
}

/* A Faaslet of the guest that stands in the middle of "resume", in a file. */
static int
chain_saved(void)
{
    static const struct hostcall_config nothing = {.stdio = {-1, -1, -1}};
    struct faaslet_image *image;
    struct faaslet_config config = {.resolve = hostcall_resolve, .ops = &hostcall_process_ops};
    struct hostcall_process *process = NULL;
    struct faaslet_frozen *frozen;
    struct faaslet_outcome outcome;
    struct faaslet *faaslet;
    struct buffer bytes = {0};
    int fd = memfd_create("test-saved", MFD_CLOEXEC);

    assert_int_equal(faaslet_thread_init(), 0);
    assert_int_equal(faaslet_image_load(chain_image(), &image, NULL), 0);
    assert_int_equal(hostcall_process_create(&nothing, &process, NULL), 0);
    config.process = process;
    faaslet = testing_create(image, &config);
    testing_init(faaslet, 0);
    assert_int_equal(faaslet_invoke(faaslet, 0, "resume", NULL, 0), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_SNAPSHOT);
    assert_int_equal(faaslet_freeze(faaslet, &frozen, NULL), 0);
    assert_int_equal(faaslet_frozen_save(frozen, &bytes, NULL), 0);
    assert_int_equal(write(fd, bytes.bytes, bytes.count), (ssize_t)bytes.count);
    buffer_fini(&bytes);
    faaslet_frozen_destroy(frozen);
    faaslet_destroy(faaslet);
    hostcall_process_destroy(process);
    faaslet_image_put(image);
    return fd;
}

/* Parent and child go on where the saved one stands, and know themselves apart. */
static void
test_a_function_pointer_of_a_saved_faaslet(void **state)
{
    Rpc__CellPut put = RPC__CELL_PUT__INIT;
    Rpc__CellCall call = RPC__CELL_CALL__INIT;
    int fds[2] = {chain_image(), chain_saved()};
    uint32_t number = 15;
    struct client client;

    (void)state;
    chain_open_with(&client, 1);
    put.function = 100;
    put.has_proto = true;
    client_put(&client, put, fds, 2);
    client_expect_put(&client, 100);
    call.function = 100;
    call.input = (ProtobufCBinaryData){sizeof(number), (uint8_t *)&number};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(chain_answer(&client, client_call(&client, call, NULL)), 225);
    assert_int_equal(client_close(&client), 0);
    (void)close(fds[1]);
}

/* ------------------------------------------------------- functions that are not here */

static Rpc__CellReply *
expect_chain(struct client *client, uint64_t call, const char *reference)
{
    Rpc__CellReply *reply = client_await(client, RPC__CELL_REPLY__IS_CHAIN);

    assert_string_equal(reply->chain->reference, reference);
    assert_int_equal(reply->chain->call, call);
    assert_true(reply->chain->chain != 0);
    return reply;
}

static void
say_chain_end(struct client *client, Rpc__CellChainEnd end)
{
    Rpc__CellRequest request = RPC__CELL_REQUEST__INIT;

    request.is_case = RPC__CELL_REQUEST__IS_CHAIN_END;
    request.chain_end = &end;
    client_say(client, &request, NULL, 0);
}

static void
test_what_the_cell_does_not_have_is_asked_of_the_worker(void **state)
{
    static const char *const references[] = {"unknown", "leaf:stable", "bob/leaf"};
    struct client client;

    (void)state;
    chain_open_with(&client, 1);
    for (size_t i = 0; i < ARRAY_COUNT(references); i++) {
        uint64_t call = chain_tell(&client, references[i], 9);
        Rpc__CellReply *reply = expect_chain(&client, call, references[i]);
        Rpc__CellChainEnd end = RPC__CELL_CHAIN_END__INIT;
        struct told told;

        assert_int_equal(reply->chain->input.len, 4);
        assert_int_equal(reply->chain->depth, 1);
        assert_int_equal(reply->chain->input.data[0], 9);
        end.chain = reply->chain->chain;
        end.kind = RPC__CELL_END_KIND__CELL_END_TRAP;
        end.trap = 4;
        end.message = (char *)(uintptr_t)"far away";
        end.result = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t)"abc"};
        say_chain_end(&client, end);
        told = chain_told(&client, call);
        assert_int_equal(told.status, HOSTCALL_TRAP);
        assert_int_equal(told.code, 4);
        assert_int_equal(told.output_bytes, 3);
        assert_string_equal(told.message, "far away");
        reply_free(reply);
    }
    assert_int_equal(client_close(&client), 0);
}

static void
test_the_workers_refusal_is_the_guests_error(void **state)
{
    struct client client;
    Rpc__CellReply *reply;
    Rpc__CellChainEnd end = RPC__CELL_CHAIN_END__INIT;
    struct told told;
    uint64_t call;

    (void)state;
    chain_open_with(&client, 1);
    call = chain_tell(&client, "unknown", 0);
    reply = expect_chain(&client, call, "unknown");
    end.chain = reply->chain->chain;
    end.kind = RPC__CELL_END_KIND__CELL_END_FAILED;
    end.err = -ENOSYS;
    say_chain_end(&client, end);
    told = chain_told(&client, call);
    assert_int_equal(told.status, HOSTCALL_FAILED);
    assert_int_equal(told.code, GUEST_ENOSYS);
    reply_free(reply);
    say_chain_end(&client, end); /* no such chained call any more */
    assert_null(client_hear(&client));
    assert_int_not_equal(client_close(&client), 0);
}

/* Its end comes all the same, and nobody is there to hear of it. */
static void
test_who_is_over_takes_back_what_the_worker_was_asked(void **state)
{
    Rpc__CellChainEnd end = RPC__CELL_CHAIN_END__INIT;
    Rpc__CellReply *asked, *cancelled;
    struct client client;
    uint64_t call;

    (void)state;
    chain_open_with(&client, 1);
    call = chain_tell(&client, "unknown", 0);
    asked = expect_chain(&client, call, "unknown");
    client_number(&client, RPC__CELL_REQUEST__IS_CANCEL, call);
    cancelled = client_await(&client, RPC__CELL_REPLY__IS_CHAIN_CANCEL);
    assert_int_equal(cancelled->chain_cancel->chain, asked->chain->chain);
    expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_CANCELLED, "");
    end.chain = asked->chain->chain;
    end.kind = RPC__CELL_END_KIND__CELL_END_CANCELLED;
    say_chain_end(&client, end);
    assert_int_equal(chain_answer(&client, chain_call(&client, "leaf", 1)), 2);
    reply_free(asked);
    reply_free(cancelled);
    assert_int_equal(client_close(&client), 0);
}

#define CHAIN_SCENARIOS \
    cmocka_unit_test(test_a_thousand_calls_are_awaited_by_all_and_by_any), \
        cmocka_unit_test(test_recursion_by_chaining), \
        cmocka_unit_test(test_recursion_on_few_slots), \
        cmocka_unit_test(test_a_function_pointer_runs_in_a_faaslet_of_its_own), \
        cmocka_unit_test(test_a_function_pointer_of_a_saved_faaslet), \
        cmocka_unit_test(test_how_a_child_ended_is_told), \
        cmocka_unit_test(test_the_newest_put_of_a_name_is_called), \
        cmocka_unit_test(test_children_of_a_dropped_function_go_on), \
        cmocka_unit_test(test_depth_has_a_limit), \
        cmocka_unit_test(test_depth_counts_what_was_chained_elsewhere), \
        cmocka_unit_test(test_the_number_of_calls_has_a_limit), \
        cmocka_unit_test(test_the_number_of_handles_has_a_limit), \
        cmocka_unit_test(test_children_have_no_more_time_than_their_parent), \
        cmocka_unit_test(test_a_circle_of_calls_ends), \
        cmocka_unit_test(test_children_that_nobody_can_await_are_cancelled), \
        cmocka_unit_test(test_a_parent_that_is_cancelled_takes_its_children_along), \
        cmocka_unit_test(test_a_child_that_is_detached_goes_on_alone), \
        cmocka_unit_test(test_a_cell_ends_with_children_of_all_kinds), \
        cmocka_unit_test(test_what_the_cell_does_not_have_is_asked_of_the_worker), \
        cmocka_unit_test(test_the_workers_refusal_is_the_guests_error), \
        cmocka_unit_test(test_who_is_over_takes_back_what_the_worker_was_asked)

#endif
