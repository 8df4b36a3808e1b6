/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that guests chain, through real cells: what stays in the cell, and what is asked
 * of whoever has the worker.
 */
#include "../../tests/testing.h"

#include "../../tests/chain_guest.h"
#include "base/fault.h"
#include "hostcall/hostcall.h"
#include "net/net.h"
#include "worker/worker_testing.h"

enum { WASI_EAGAIN = 6, WASI_E2BIG = 1, WASI_ENOENT = 44, WASI_ENOSYS = 52 };

static int image_fd;

/* Whoever has the worker: keeps the last that was asked for, and answers at once if it
 * is told what. */
struct owner {
    struct worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct worker_chain chain; /* with copies of what it points to */
    char reference[256];
    uint8_t input[256];
    unsigned asked, cancelled;
    uint64_t cancelled_id;
    const struct worker_end *answer; /* or NULL */
    const struct worker_end *ends_cancelled;
    struct worker_function *function; /* it is to run there, or NULL */
};

static void
answer_with(void *context, const struct worker_end *end)
{
    struct owner *owner = context;

    assert_int_equal(worker_chain_end(owner->worker, owner->chain.id, end), 0);
}

static void
on_chain(void *context, const struct worker_chain *chain)
{
    struct owner *owner = context;
    uint64_t id;

    (void)pthread_mutex_lock(&owner->lock);
    owner->asked++;
    owner->chain = *chain;
    (void)snprintf(owner->reference, sizeof(owner->reference), "%s", chain->reference);
    if (chain->input_bytes > 0 && chain->input_bytes <= sizeof(owner->input))
        (void)memcpy(owner->input, chain->input, chain->input_bytes);
    (void)pthread_cond_broadcast(&owner->changed);
    (void)pthread_mutex_unlock(&owner->lock);
    if (owner->answer != NULL)
        assert_int_equal(worker_chain_end(owner->worker, chain->id, owner->answer), 0);
    if (owner->function != NULL) {
        const struct worker_call call = {.input = chain->input,
                                         .input_bytes = chain->input_bytes,
                                         .on_end = answer_with,
                                         .context = owner};

        assert_int_equal(worker_call(owner->function, &call, &id), 0);
    }
}

static void
on_chain_cancel(void *context, uint64_t id)
{
    struct owner *owner = context;

    if (owner->ends_cancelled != NULL)
        assert_int_equal(worker_chain_end(owner->worker, id, owner->ends_cancelled), 0);
    (void)pthread_mutex_lock(&owner->lock);
    owner->cancelled++;
    owner->cancelled_id = id;
    (void)pthread_cond_broadcast(&owner->changed);
    (void)pthread_mutex_unlock(&owner->lock);
}

static void
owner_start_with(struct owner *owner, const char *program)
{
    (void)memset(owner, 0, sizeof(*owner));
    (void)pthread_mutex_init(&owner->lock, NULL);
    (void)pthread_cond_init(&owner->changed, NULL);
    owner->worker = testing_worker_with((struct worker_config){.ready = 1,
                                                               .on_chain = on_chain,
                                                               .on_chain_cancel = on_chain_cancel,
                                                               .chain_context = owner},
                                        program);
}

static void
owner_start(struct owner *owner)
{
    owner_start_with(owner, "weft-cell");
}

static void
owner_await(struct owner *owner, const unsigned *count, unsigned wanted)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    (void)pthread_mutex_lock(&owner->lock);
    while (*count < wanted)
        if (pthread_cond_timedwait(&owner->changed, &owner->lock, &until) != 0)
            fail_msg("nobody asks");
    (void)pthread_mutex_unlock(&owner->lock);
}

static struct worker_function *
add(struct worker_tenant *tenant, const char *entry)
{
    const struct worker_function_config config = {
        .image_fd = image_fd, .proto_fd = -1, .entry = entry, .name = entry, .version = "1"};

    return testing_function_with(tenant, &config);
}

static void
begin(struct worker_function *function, uint32_t value, const char *name, struct testing_end *end)
{
    uint8_t input[68];
    size_t bytes = strlen(name);

    (void)memcpy(input, &value, sizeof(value));
    (void)memcpy(input + sizeof(value), name, bytes);
    testing_begin(function,
                  (struct worker_call){.input = input, .input_bytes = sizeof(value) + bytes}, end);
}

/* What "tell" tells: chain's error, status, code, bytes of result and of message. */
static void
expect_told(struct testing_end *end, uint32_t status, uint32_t code, const char *message)
{
    uint32_t told[5];

    testing_await(end);
    if (end->end.kind != WORKER_DONE)
        fail_msg("tell ended as %d: %s", (int)end->end.kind, end->message);
    assert_true(end->end.result_bytes >= sizeof(told));
    (void)memcpy(told, end->result, sizeof(told));
    assert_int_equal(told[0], 0);
    assert_int_equal(told[1], status);
    assert_int_equal(told[2], code);
    if (strstr(end->result + sizeof(told), message) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", end->result + sizeof(told), message);
}

static void
test_functions_of_a_cell_know_each_other_by_name(void **state)
{
    struct worker *worker = testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
    struct worker_tenant *tenant = testing_tenant(worker, "a");
    struct testing_end end;
    uint64_t value;

    (void)state;
    begin(add(tenant, "leaf"), 41, "", &end); /* the cell has it from now on */
    testing_await(&end);
    assert_int_equal(end.end.result_bytes, 8);
    (void)memcpy(&value, end.result, 8);
    assert_int_equal(value, 42);
    begin(add(tenant, "fan_all"), 100, "", &end);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_DONE);
    assert_int_equal(end.end.chained, 100);
    (void)memcpy(&value, end.result, 8);
    assert_int_equal(value, 5050);
    worker_destroy(worker);
}

static void
test_without_an_owner_there_is_no_other_function(void **state)
{
    struct worker *worker = testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
    struct testing_end end;

    (void)state;
    begin(add(testing_tenant(worker, "a"), "tell"), 0, "b/leaf", &end);
    expect_told(&end, HOSTCALL_FAILED, WASI_ENOENT, "there is no function \"b/leaf\"");
    worker_destroy(worker);
}

static void
test_the_owner_is_asked_and_answers(void **state)
{
    static const struct {
        struct worker_end end;
        uint32_t status, code;
    } cases[] = {
        {{.kind = WORKER_DONE, .message = "fine"}, HOSTCALL_DONE, 0},
        {{.kind = WORKER_EXIT, .exit_code = 9, .message = "nine"}, HOSTCALL_EXIT, 9},
        {{.kind = WORKER_EXIT, .message = "zero"}, HOSTCALL_DONE, 0},
        {{.kind = WORKER_TRAP, .trap = 4, .message = "ouch"}, HOSTCALL_TRAP, 4},
        {{.kind = WORKER_LIMIT, .limit = WORKER_LIMIT_CPU, .message = "cpu"}, HOSTCALL_LIMIT, 2},
        {{.kind = WORKER_CANCELLED, .message = "no"}, HOSTCALL_CANCELLED, 0},
        {{.kind = WORKER_FAILED, .err = -ENOSYS, .message = "how"}, HOSTCALL_FAILED, WASI_ENOSYS},
        {{.kind = WORKER_LOST, .message = "gone"}, HOSTCALL_LOST, 0},
    };
    struct worker_tenant *tenant;
    struct worker_function *tell;
    struct testing_end end;
    struct owner owner;

    (void)state;
    owner_start(&owner);
    tenant = testing_tenant(owner.worker, "a");
    tell = add(tenant, "tell");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        owner.answer = &cases[i].end;
        begin(tell, 7, "leaf:stable", &end);
        expect_told(&end, cases[i].status, cases[i].code, cases[i].end.message);
        assert_string_equal(owner.reference, "leaf:stable");
        assert_ptr_equal(owner.chain.tenant, tenant);
        assert_int_equal(owner.chain.parent, end.id);
        assert_int_equal(owner.chain.depth, 1);
        assert_int_equal(owner.chain.input_bytes, 4);
        assert_int_equal(owner.input[0], 7);
        assert_int_equal(worker_chain_end(owner.worker, owner.chain.id, &cases[i].end), -ESRCH);
    }
    assert_int_equal(owner.asked, ARRAY_COUNT(cases));
    worker_destroy(owner.worker);
}

static void
test_a_chained_call_may_run_in_another_tenants_cell(void **state)
{
    struct testing_end end;
    struct owner owner;
    uint32_t told[5];
    uint64_t value;

    (void)state;
    owner_start(&owner);
    owner.function = add(testing_tenant(owner.worker, "b"), "leaf");
    begin(add(testing_tenant(owner.worker, "a"), "tell"), 99, "b/leaf", &end);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_DONE);
    (void)memcpy(told, end.result, sizeof(told));
    assert_int_equal(told[1], HOSTCALL_DONE);
    assert_int_equal(told[3], sizeof(value));
    worker_destroy(owner.worker);
}

static void
test_who_is_cancelled_takes_his_wish_back(void **state)
{
    const struct worker_end late = {.kind = WORKER_DONE, .message = ""};
    struct worker_function *tell;
    struct testing_end end;
    struct owner owner;

    (void)state;
    owner_start(&owner);
    tell = add(testing_tenant(owner.worker, "a"), "tell");
    begin(tell, 0, "elsewhere", &end);
    owner_await(&owner, &owner.asked, 1);
    assert_int_equal(worker_cancel(owner.worker, end.id), 0);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_CANCELLED);
    owner_await(&owner, &owner.cancelled, 1);
    assert_int_equal(owner.cancelled_id, owner.chain.id);
    assert_int_equal(worker_chain_end(owner.worker, owner.chain.id, &late), 0);
    owner.answer = &late; /* and the cell is well */
    begin(tell, 0, "elsewhere", &end);
    expect_told(&end, HOSTCALL_DONE, 0, "");
    worker_destroy(owner.worker);
}

/* A cell may have so many at one time: those that were cancelled do not count. */
static void
test_nothing_is_left_of_what_was_cancelled(void **state)
{
    const struct worker_end end = {.kind = WORKER_CANCELLED, .message = ""};
    struct worker_function *tell;
    struct testing_end call;
    struct owner owner;

    (void)state;
    owner_start(&owner);
    owner.ends_cancelled = &end;
    tell = add(testing_tenant(owner.worker, "a"), "tell");
    for (unsigned i = 1; i <= 20; i++) {
        begin(tell, 0, "elsewhere", &call);
        owner_await(&owner, &owner.asked, i);
        assert_int_equal(worker_cancel(owner.worker, call.id), 0);
        testing_await(&call);
        owner_await(&owner, &owner.cancelled, i);
        assert_int_equal(worker_chain_end(owner.worker, owner.cancelled_id, &end), -ESRCH);
    }
    worker_destroy(owner.worker);
}

static void
test_a_refusal_that_cannot_be_sent_is_sent_again(void **state)
{
    struct worker *worker = testing_worker_with((struct worker_config){.ready = 1}, "weft-cell");
    struct worker_function *tell = add(testing_tenant(worker, "a"), "tell");
    struct testing_end end;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        fault_arm("worker.chain_end", 1, -ENOBUFS);
        begin(tell, 0, "b/leaf", &end);
        expect_told(&end, HOSTCALL_FAILED, WASI_ENOENT, "there is no function of this name");
        assert_true(fault_disarm());
    }
    worker_destroy(worker);
}

static void
test_a_cell_that_dies_takes_its_wishes_back(void **state)
{
    const struct worker_end late = {.kind = WORKER_DONE, .message = ""};
    struct worker_tenant *tenant;
    struct testing_end end;
    struct owner owner;

    (void)state;
    owner_start(&owner);
    tenant = testing_tenant(owner.worker, "a");
    begin(add(tenant, "tell"), 0, "elsewhere", &end);
    owner_await(&owner, &owner.asked, 1);
    testing_kill_cell(tenant);
    testing_await(&end);
    assert_int_equal(end.end.kind, WORKER_LOST);
    owner_await(&owner, &owner.cancelled, 1);
    assert_int_equal(owner.cancelled_id, owner.chain.id);
    assert_int_equal(worker_chain_end(owner.worker, owner.chain.id, &late), -ESRCH);
    worker_destroy(owner.worker);
}

static void
test_an_end_that_cannot_be_sent_is_sent_again_or_shorter(void **state)
{
    struct worker_end answer = {.kind = WORKER_DONE, .message = "well"};
    struct worker_function *tell;
    struct testing_end end;
    struct owner owner;
    uint8_t *much = calloc(1, NET_FRAME_BYTES_MAX);

    (void)state;
    owner_start(&owner);
    tell = add(testing_tenant(owner.worker, "a"), "tell");
    begin(tell, 0, "elsewhere", &end);
    owner_await(&owner, &owner.asked, 1);
    fault_arm("worker.chain_end", 1, -ENOBUFS);
    assert_int_equal(worker_chain_end(owner.worker, owner.chain.id, &answer), -EAGAIN);
    assert_true(fault_disarm());
    assert_int_equal(worker_chain_end(owner.worker, owner.chain.id, &answer), 0);
    expect_told(&end, HOSTCALL_DONE, 0, "well");
    answer.result = much;
    answer.result_bytes = NET_FRAME_BYTES_MAX;
    owner.answer = &answer;
    begin(tell, 0, "elsewhere", &end);
    expect_told(&end, HOSTCALL_FAILED, WASI_E2BIG, "too large");
    worker_destroy(owner.worker);
    free(much);
}

/* The owner answers nothing. */
static void
test_a_cell_that_chains_as_no_cell_does_is_ended(void **state)
{
    static const struct {
        const char *entry, *message;
        unsigned cancelled;
    } cases[] = {{"chain-twice", "it chained a call twice", 1},
                 {"chain-many", "it chained more calls than it may", 65536}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct testing_end end;
        struct owner owner;

        owner_start_with(&owner, "test/worker/double");
        assert_int_equal(
            testing_ask(testing_function(testing_tenant(owner.worker, "a")), cases[i].entry, &end),
            WORKER_LOST);
        assert_non_null(strstr(end.message, cases[i].message));
        worker_destroy(owner.worker);
        assert_int_equal(owner.cancelled, cases[i].cancelled);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_of_a_cell_know_each_other_by_name),
        cmocka_unit_test(test_without_an_owner_there_is_no_other_function),
        cmocka_unit_test(test_the_owner_is_asked_and_answers),
        cmocka_unit_test(test_a_chained_call_may_run_in_another_tenants_cell),
        cmocka_unit_test(test_who_is_cancelled_takes_his_wish_back),
        cmocka_unit_test(test_nothing_is_left_of_what_was_cancelled),
        cmocka_unit_test(test_a_refusal_that_cannot_be_sent_is_sent_again),
        cmocka_unit_test(test_a_cell_that_dies_takes_its_wishes_back),
        cmocka_unit_test(test_an_end_that_cannot_be_sent_is_sent_again_or_shorter),
        cmocka_unit_test(test_a_cell_that_chains_as_no_cell_does_is_ended),
    };

    image_fd = testing_compile(chain_guest, ABI_STANDALONE, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
