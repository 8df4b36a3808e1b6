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
    assert_true(testing_header(&answer, "Weft-Queue-Us")[0] != '\0');
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
    assert_non_null(
        strstr((char *)answer.body.bytes, "unreachable; it was refused more by its memory limit"));
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

static void
test_one_key_is_one_call(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const struct testing_ask ask = {.method = "POST",
                                    .path = "/v1/invoke/echo",
                                    .token = t->acme,
                                    .body = "x",
                                    .count = 1,
                                    .header = "Idempotency-Key: once"};
    struct testing_ask first = ask;
    char id[32];

    first.path = "/v1/invoke/echo?async=1";
    testing_expect(t, &first, 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    testing_expect(t, &first, 200, &answer);
    assert_string_equal(testing_text(answer.json, "call"), id);
    assert_true(json_is_true(json_object_get(answer.json, "existing")));
    testing_expect(t, &ask, 200, &answer); /* a synchronous one has no key */
    assert_string_equal((char *)answer.body.bytes, "x");
    first.header = "Prefer: respond-async";
    first.path = "/v1/invoke/echo";
    testing_expect(t, &first, 202, &answer);
    testing_forget_answer(&answer);
}

static void
test_many_calls_are_asked_for_at_once(void **state)
{
    static const char body[] =
        "[{\"function\":\"echo\",\"input\":\"one\"},{\"function\":\"nobody\"},{\"function\":"
        "\"echo\",\"input_base64\":\"dHdv\",\"key\":\"k\"},{\"function\":\"echo\",\"input\":"
        "\"two\",\"key\":\"k\"},"
        "{\"function\":\"echo\",\"input_base64\":\"!\"},7]";
    struct testing *t = *state;
    struct testing_answer answer = {0};
    json_t *calls, *kept;
    char line[128];

    testing_send(t, "POST /v1/batch", body, 202, &answer);
    calls = json_object_get(answer.json, "calls");
    assert_int_equal(json_array_size(calls), 6);
    assert_true(json_is_string(json_array_get(calls, 0)));
    assert_string_equal(testing_text(json_object_get(json_array_get(calls, 1), "error"), "code"),
                        "function_unknown");
    assert_true(json_is_string(json_array_get(calls, 2)));
    assert_true(json_equal(json_array_get(calls, 2), json_array_get(calls, 3)));
    for (size_t i = 4; i < 6; i++)
        assert_string_equal(
            testing_text(json_object_get(json_array_get(calls, i), "error"), "code"), "invalid");
    kept = json_incref(calls);
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result?wait_ms=60000",
                   json_string_value(json_array_get(kept, 2)));
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "two");
    json_decref(kept);
    testing_send(t, "POST /v1/batch", "[]", 202, &answer);
    testing_send(t, "POST /v1/batch", "{}", 400, &answer);
    testing_send(t, "POST /v1/batch", "[1", 400, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_thousand_calls_are_asked_for_at_once_and_no_more(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct buffer body = {0};

    buffer_append_format(&body, "[");
    for (unsigned i = 0; i < 1000; i++)
        buffer_append_format(&body, "%s{\"function\":\"echo\"}", i > 0 ? "," : "");
    buffer_append(&body, "]", 2);
    testing_send(t, "POST /v1/batch", (char *)body.bytes, 202, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "calls")), 1000);
    body.count -= 2;
    buffer_append_format(&body, ",{\"function\":\"echo\"}]");
    buffer_append(&body, "", 1);
    testing_send(t, "POST /v1/batch", (char *)body.bytes, 400, &answer);
    buffer_fini(&body);
    testing_forget_answer(&answer);
}

/* A connection of its own, with a request sent. */
static int
open_raw(struct testing *t, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const char *port = strrchr(gateway_address(t->gateway), ':') + 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[512];
    int count;

    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    count = snprintf(text, sizeof(text),
                     "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                     "Content-Length: 0\r\n\r\n",
                     path, t->acme);
    assert_int_equal(write(fd, text, (size_t)count), count);
    return fd;
}

static void
test_a_client_that_goes_away_cancels_its_call(void **state)
{
    struct testing *t = *state;
    int fd = open_raw(t, "POST /v1/invoke/stuck");

    testing_await_held(&t->host, 1);
    (void)close(fd);
    testing_await_stopped(&t->host, 1);
}

static void
test_a_call_is_cancelled_by_its_number(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char id[32], line[128];

    testing_send(t, "POST /v1/invoke/stuck?async=1", NULL, 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    testing_await_held(&t->host, 1);
    (void)snprintf(line, sizeof(line), "POST /v1/calls/%s/cancel", id);
    testing_send(t, line, NULL, 200, &answer);
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result?wait_ms=60000", id);
    testing_send(t, line, NULL, 502, &answer);
    assert_string_equal(testing_code(&answer), "cancelled");
    (void)snprintf(line, sizeof(line), "POST /v1/calls/%s/cancel", id);
    testing_send(t, line, NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static size_t
listed(struct testing *t, const char *line, struct testing_answer *answer)
{
    testing_send(t, line, NULL, 200, answer);
    return json_array_size(json_object_get(answer->json, "calls"));
}

static void
test_calls_are_listed_durable_ones_and_recent_ones(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char line[128];

    testing_send(t, "POST /v1/invoke/echo", "x", 200, &answer);
    testing_send(t, "POST /v1/invoke/fail", NULL, 502, &answer);
    testing_send(t, "POST /v1/invoke/echo?async=1", "x", 202, &answer);
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s?wait_ms=60000",
                   testing_text(answer.json, "call"));
    testing_send(t, line, NULL, 200, &answer);
    testing_send(t, "POST /v1/invoke/slow?async=1", NULL, 202, &answer);
    assert_int_equal(listed(t, "GET /v1/calls", &answer), 4);
    assert_true(json_is_null(json_object_get(answer.json, "next")));
    assert_int_equal(listed(t, "GET /v1/calls?function=echo", &answer), 2);
    assert_int_equal(listed(t, "GET /v1/calls?state=open", &answer), 1);
    assert_int_equal(listed(t, "GET /v1/calls?state=over", &answer), 3);
    assert_int_equal(listed(t, "GET /v1/calls?state=dead", &answer), 0);
    assert_int_equal(listed(t, "GET /v1/calls?count=3", &answer), 3);
    (void)snprintf(line, sizeof(line), "GET /v1/calls?count=3&after=%s",
                   testing_text(answer.json, "next"));
    assert_int_equal(listed(t, line, &answer), 1);
    assert_true(json_is_null(json_object_get(answer.json, "next")));
    testing_send(t, "GET /v1/calls?state=maybe", NULL, 400, &answer);
    testing_send(t, "GET /v1/calls?count=x", NULL, 400, &answer);
    testing_forget_answer(&answer);
}

static void
test_pages_of_calls_miss_none_and_double_none(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char line[128] = "GET /v1/calls?count=3";
    size_t count = 0;

    for (unsigned i = 0; i < 10; i++) {
        bool is_async = i % 3 == 0;

        testing_send(t, is_async ? "POST /v1/invoke/echo?async=1" : "POST /v1/invoke/echo", "x",
                     is_async ? 202 : 200, &answer);
    }
    for (const char *next = line; next != NULL;) {
        count += listed(t, line, &answer);
        next = json_string_value(json_object_get(answer.json, "next"));
        if (next != NULL)
            (void)snprintf(line, sizeof(line), "GET /v1/calls?count=3&after=%s", next);
    }
    assert_int_equal(count, 10);
    testing_forget_answer(&answer);
}

static void
test_a_recent_synchronous_call_is_remembered(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char id[32], line[128];

    testing_send(t, "POST /v1/invoke/echo", "x", 200, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_header(&answer, "Weft-Call"));
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result?wait_ms=60000", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "x");
    testing_send(t, "POST /v1/invoke/big", NULL, 200, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_header(&answer, "Weft-Call"));
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/result", id);
    testing_send(t, line, NULL, 410, &answer);
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_int_equal(json_integer_value(json_object_get(answer.json, "output_bytes")), 400000);
    testing_send(t, "GET /v1/logs?function=big", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "logs")), 1);
    assert_string_equal(
        testing_text(json_array_get(json_object_get(answer.json, "logs"), 0), "log"),
        "said something");
    testing_forget_answer(&answer);
}

/* Reads until the text is there. */
static void
read_until(int fd, const char *text)
{
    char bytes[16384];
    size_t count = 0;

    bytes[0] = '\0';
    while (strstr(bytes, text) == NULL) {
        ssize_t now = read(fd, bytes + count, sizeof(bytes) - 1 - count);

        if (now <= 0)
            fail_msg("\"%s\" does not come, but: %s", text, bytes);
        count += (size_t)now;
        bytes[count] = '\0';
    }
}

static void
test_a_call_is_followed_to_its_end(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char id[32], line[128];
    int fd;

    testing_send(t, "POST /v1/invoke/slow?async=1", "x", 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s/events", id);
    fd = open_raw(t, line);
    read_until(fd, "event: state");
    testing_release(&t->host);
    read_until(fd, "event: end");
    (void)close(fd);
    fd = open_raw(t, line); /* and one that is over */
    read_until(fd, "event: end");
    (void)close(fd);
    testing_forget_answer(&answer);
}

static void
test_logs_are_followed(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    int all = open_raw(t, "GET /v1/logs?follow=1");
    int some = open_raw(t, "GET /v1/logs?follow=1&function=fail");

    read_until(all, "text/event-stream");
    read_until(some, "text/event-stream");
    testing_send(t, "POST /v1/invoke/echo", "x", 200, &answer);
    read_until(all, "\"function\":\"echo\"");
    testing_send(t, "POST /v1/invoke/fail", "x", 502, &answer);
    read_until(some, "data: {\"call\":\"");
    (void)close(all);
    (void)close(some);
    testing_forget_answer(&answer);
}

/* It fails in all its attempts. */
static void
deploy_letter(struct testing *t)
{
    const struct catalog_version version = {.tenant = "acme",
                                            .function = "fail",
                                            .module = t->blob,
                                            .image = t->blob,
                                            .retry = {.attempts = 1, .pause_ns = 1}};
    uint32_t number;

    assert_int_equal(catalog_version_put(t->catalog, &version, &number, NULL), 0);
}

static void
test_dead_letters_are_tried_again_or_buried(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char id[32], line[128], look[128];

    deploy_letter(t);
    testing_send(t, "POST /v1/invoke/fail?async=1", NULL, 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    (void)snprintf(look, sizeof(look), "GET /v1/calls/%s?wait_ms=60000", id);
    testing_send(t, look, NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "state"), "dead");
    assert_int_equal(json_integer_value(json_object_get(answer.json, "attempts")), 2);
    assert_int_equal(listed(t, "GET /v1/calls?state=dead", &answer), 1);
    (void)snprintf(line, sizeof(line), "POST /v1/calls/%s/retry", id);
    testing_send(t, line, NULL, 202, &answer);
    testing_send(t, look, NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "state"), "dead");
    (void)snprintf(line, sizeof(line), "DELETE /v1/calls/%s", id);
    testing_send(t, line, NULL, 200, &answer);
    assert_int_equal(listed(t, "GET /v1/calls?state=dead", &answer), 0);
    assert_int_equal(listed(t, "GET /v1/calls", &answer), 0);
    testing_send(t, look, NULL, 404, &answer);
    testing_send(t, line, NULL, 404, &answer);
    (void)snprintf(line, sizeof(line), "POST /v1/calls/%s/retry", id);
    testing_send(t, line, NULL, 404, &answer);
    assert_string_equal(testing_code(&answer), "call_unknown");
    testing_forget_answer(&answer);
}

static void
test_a_granted_function_of_another_tenant_is_called_without_its_secrets(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "POST",
                              .path = "/v1/invoke/acme/echo",
                              .token = t->other,
                              .body = "x",
                              .count = 1};

    testing_expect(t, &ask, 404, &answer);
    testing_send(t, "PUT /v1/functions/echo/grants/other", NULL, 200, &answer);
    testing_send(t, "PUT /v1/functions/fail/grants/other", NULL, 200, &answer);
    testing_expect(t, &ask, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "x");
    ask.path = "/v1/invoke/acme/echo?async=1";
    testing_expect(t, &ask, 400, &answer);
    assert_string_equal(testing_code(&answer), "sync_only");
    ask.path = "/v1/invoke/acme/fail";
    testing_expect(t, &ask, 502, &answer);
    assert_null(strstr((char *)answer.body.bytes, "said something"));
    testing_forget_answer(&answer);
}

static void
test_the_end_of_the_gateway_answers_those_who_wait(void **state)
{
    struct testing *t = *state;
    int one = open_raw(t, "POST /v1/invoke/stuck"), two;
    char id[64], line[128];
    struct testing_answer answer = {0};
    int three;

    testing_send(t, "POST /v1/invoke/stuck?async=1", NULL, 202, &answer);
    (void)snprintf(id, sizeof(id), "%s", testing_text(answer.json, "call"));
    (void)snprintf(line, sizeof(line), "GET /v1/calls/%s?wait_ms=600000", id);
    two = open_raw(t, line);
    three = open_raw(t, "GET /v1/logs?follow=1");
    read_until(three, "text/event-stream");
    testing_await_held(&t->host, 2);
    testing_forget_answer(&answer);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    t->gateway = NULL;
    read_until(one, "503 ");
    (void)close(one);
    (void)close(two);
    (void)close(three);
}

static const struct CMUnitTest tests[] = {
    TEST(test_health_is_told_to_everybody_and_nothing_else),
    TEST(test_a_call_answers_with_its_result_and_what_it_cost),
    TEST(test_a_call_that_fails_says_how),
    TEST(test_a_call_that_takes_too_long_is_cancelled),
    TEST(test_an_asynchronous_call_is_asked_for_later),
    TEST(test_one_key_is_one_call),
    TEST(test_many_calls_are_asked_for_at_once),
    TEST(test_a_thousand_calls_are_asked_for_at_once_and_no_more),
    TEST(test_a_client_that_goes_away_cancels_its_call),
    TEST(test_a_call_is_cancelled_by_its_number),
    TEST(test_calls_are_listed_durable_ones_and_recent_ones),
    TEST(test_pages_of_calls_miss_none_and_double_none),
    TEST(test_a_recent_synchronous_call_is_remembered),
    TEST(test_a_call_is_followed_to_its_end),
    TEST(test_logs_are_followed),
    TEST(test_dead_letters_are_tried_again_or_buried),
    TEST(test_a_granted_function_of_another_tenant_is_called_without_its_secrets),
    TEST(test_the_end_of_the_gateway_answers_those_who_wait),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
