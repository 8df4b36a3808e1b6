/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls over HTTP: synchronous, asynchronous, many; what they came to; who may.
 */
#include "gateway/gateway_testing.h"

static void
test_health_is_told_to_everybody_and_nothing_else(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/health"}, 200, &answer);
    assert_string_equal(testing_text(answer.json, "status"), "ok");
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/ready"}, 200, &answer);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/nothing"}, 401, &answer);
    assert_string_equal(testing_code(&answer), "token_needed");
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/openapi.json"}, 401,
                   &answer);
    testing_send(t, "GET /nothing", NULL, 404, &answer);
    assert_string_equal(testing_code(&answer), "path_unknown");
    testing_send(t, "PATCH /v1/functions", NULL, 405, &answer);
    assert_string_equal(testing_header(&answer, "Allow"), "GET");
    testing_forget_answer(&answer);
}

static void
test_a_call_answers_with_its_result_and_what_it_cost(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/invoke/echo", "hello", 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "hello");
    assert_string_equal(testing_header(&answer, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(testing_header(&answer, "Weft-Host"), "one");
    assert_string_equal(testing_header(&answer, "Weft-Version"), "1");
    assert_string_equal(testing_header(&answer, "Weft-Queue-Us"), "1");
    assert_string_equal(testing_header(&answer, "Weft-Start-Us"), "2");
    assert_string_equal(testing_header(&answer, "Weft-Run-Us"), "3");
    assert_string_equal(testing_header(&answer, "Weft-Cpu-Us"), "4");
    assert_string_equal(testing_header(&answer, "Weft-Cold"), "1");
    assert_true(strtoull(testing_header(&answer, "Weft-Call"), NULL, 10) > 0);
    testing_send(t, "POST /v1/invoke/echo", "{\"a\":[1,2]}", 200, &answer);
    assert_string_equal(testing_header(&answer, "Content-Type"), "application/json");
    testing_send(t, "POST /v1/invoke/echo", "\xff\xfe", 200, &answer);
    assert_string_equal(testing_header(&answer, "Content-Type"), "application/octet-stream");
    testing_send(t, "POST /v1/invoke/echo", NULL, 200, &answer);
    assert_int_equal(answer.body.count, 0);
    testing_send(t, "POST /v1/invoke/big", NULL, 200, &answer);
    assert_int_equal(answer.body.count, 400000);
    testing_send(t, "POST /v1/invoke/args?arg=a&arg=b+c", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "b c");
    testing_forget_answer(&answer);
}

static void
test_a_call_that_fails_says_how(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *error;

    testing_send(t, "POST /v1/invoke/fail", NULL, 502, &answer);
    error = json_object_get(answer.json, "error");
    assert_string_equal(testing_text(error, "code"), "function_exit");
    assert_int_equal(json_integer_value(json_object_get(error, "exit_code")), 3);
    assert_string_equal(testing_text(error, "log"), "said something");
    assert_true(testing_text(error, "call")[0] != '\0');
    testing_send(t, "POST /v1/invoke/trap", NULL, 502, &answer);
    error = json_object_get(answer.json, "error");
    assert_string_equal(testing_text(error, "code"), "function_trap");
    assert_string_equal(testing_text(error, "backtrace"), "#0 main");
    testing_send(t, "POST /v1/invoke/late", NULL, 504, &answer);
    error = json_object_get(answer.json, "error");
    assert_string_equal(testing_text(error, "code"), "function_limit");
    assert_string_equal(testing_text(error, "limit"), "time");
    testing_send(t, "POST /v1/invoke/nobody", NULL, 404, &answer);
    assert_string_equal(testing_code(&answer), "function_unknown");
    testing_send(t, "POST /v1/invoke/a%20b", NULL, 400, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_call_that_takes_too_long_is_cancelled(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/invoke/stuck?wait_ms=50", NULL, 504, &answer);
    assert_string_equal(testing_code(&answer), "wait_over");
    testing_await_stopped(&t->host, 1);
    testing_forget_answer(&answer);
}

static void
test_an_asynchronous_call_is_asked_for_later(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char id[32], line[128];

    testing_send(t, "POST /v1/invoke/slow?async=1", "later", 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "state"), "open");
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result", id);
    testing_send(t, line, NULL, 202, &answer);
    testing_release(&t->host);
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result?wait_ms=60000", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "later");
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s?wait_ms=10", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "state"), "over");
    assert_string_equal(testing_text(answer.json, "kind"), "done");
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/log", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "said something");
    testing_forget_answer(&answer);
}

static const struct CMUnitTest tests[] = {
    TEST(test_health_is_told_to_everybody_and_nothing_else),
    TEST(test_a_call_answers_with_its_result_and_what_it_cost),
    TEST(test_a_call_that_fails_says_how),
    TEST(test_a_call_that_takes_too_long_is_cancelled),
    TEST(test_an_asynchronous_call_is_asked_for_later),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
