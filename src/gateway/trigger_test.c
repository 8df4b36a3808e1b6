/* SPDX-License-Identifier: Apache-2.0
 *
 * Triggers: requests that call functions, and minutes that do.
 */
#include "gateway/gateway_testing.h"

#define NOON UINT64_C(1763985600) /* 2025-11-24 12:00:00 UTC */

static void
test_triggers_are_made_listed_and_removed(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *one;

    testing_send(t, "PUT /v1/triggers/web",
                 "{\"kind\":\"http\",\"function\":\"echo\",\"method\":\"GET\",\"path\":\"/x/*\","
                 "\"public\":true}",
                 200, &answer);
    testing_send(
        t, "PUT /v1/triggers/often",
        "{\"kind\":\"cron\",\"function\":\"echo\",\"schedule\":\"* * * * *\",\"input\":\"i\","
        "\"paused\":true}",
        200, &answer);
    testing_send(t, "GET /v1/triggers", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "triggers")), 2);
    one = json_array_get(json_object_get(answer.json, "triggers"), 1);
    assert_string_equal(testing_text(one, "name"), "web");
    assert_string_equal(testing_text(one, "path"), "/x/*");
    assert_true(json_is_true(json_object_get(one, "public")));
    testing_send(t, "PUT /v1/triggers/again",
                 "{\"kind\":\"http\",\"function\":\"echo\",\"method\":\"GET\",\"path\":\"/x/*\"}",
                 409, &answer);
    testing_send(t, "PUT /v1/triggers/bad", "{\"kind\":\"tcp\",\"function\":\"echo\"}", 400,
                 &answer);
    testing_send(t, "PUT /v1/triggers/bad",
                 "{\"kind\":\"cron\",\"function\":\"echo\",\"schedule\":\"61 * * * *\"}", 400,
                 &answer);
    testing_send(t, "PUT /v1/triggers/bad", "{\"kind\":\"http\"}", 400, &answer);
    testing_send(t, "DELETE /v1/triggers/web", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/triggers/web", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static void
put_web(struct testing *t, bool is_public)
{
    struct testing_answer answer = {0};

    testing_send(t, "PUT /v1/triggers/web",
                 is_public ? "{\"kind\":\"http\",\"function\":\"echo\",\"path\":\"/x/*\","
                             "\"public\":true}"
                           : "{\"kind\":\"http\",\"function\":\"echo\",\"path\":\"/x/*\"}",
                 200, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_public_trigger_tells_its_function_of_the_request(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "POST",
                              .path = "/t/acme/x/y%20z?a=1&b=two",
                              .type = "text/css",
                              .body = "hello",
                              .count = 5,
                              .header = "X-Own: value"};

    put_web(t, true);
    testing_expect(t, &ask, 200, &answer);
    assert_string_equal(testing_text(answer.json, "method"), "POST");
    assert_string_equal(testing_text(answer.json, "path"), "/x/y z");
    assert_string_equal(testing_text(answer.json, "body"), "hello");
    assert_string_equal(testing_text(json_object_get(answer.json, "query"), "b"), "two");
    assert_string_equal(testing_text(json_object_get(answer.json, "headers"), "X-Own"), "value");
    ask.body = "\xff\x00\x01";
    ask.count = 3;
    ask.token = t->acme;
    testing_expect(t, &ask, 200, &answer);
    assert_string_equal(testing_text(answer.json, "body_base64"), "/wAB");
    assert_null(strstr((char *)answer.body.bytes, "weft_")); /* the token is not passed on */
    ask.path = "/t/acme/z";
    ask.token = NULL;
    testing_expect(t, &ask, 401, &answer);
    ask.token = t->acme;
    testing_expect(t, &ask, 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_large_request_goes_through_a_trigger(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char *body = malloc(3000000);

    assert_non_null(body);
    (void)memset(body, 'x', 3000000);
    put_web(t, true);
    testing_expect(t,
                   &(struct testing_ask){
                       .method = "PUT", .path = "/t/acme/x/y", .body = body, .count = 3000000},
                   200, &answer);
    assert_int_equal(strlen(testing_text(answer.json, "body")), 3000000);
    free(body);
    testing_forget_answer(&answer);
}

static void
test_a_trigger_that_is_not_public_wants_a_token_of_its_tenant(void **state)
{
    struct testing *t = *state;

    put_web(t, false);
    testing_send_as(t, NULL, "GET /t/acme/x/y", NULL, 401);
    testing_send_as(t, t->other, "GET /t/acme/x/y", NULL, 404);
    testing_send_as(t, t->reader, "GET /t/acme/x/y", NULL, 403);
    testing_send_as(t, t->acme, "GET /t/acme/x/y", NULL, 200);
    testing_send_as(t, t->admin, "GET /t/acme/x/y", NULL, 200);
    testing_send_as(t, NULL, "GET /t/nobody/x/y", NULL, 401);
    testing_send_as(t, NULL, "GET /t/acme/x/../y", NULL, 401);
}

/* The function answers with its input; so the body is the answer that is meant. */
static void
test_what_a_function_says_is_the_answer(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    static const char script[] =
        "{\"status\":201,\"body_base64\":\"aGk=\",\"headers\":{\"Content-Type\":\"text/html\","
        "\"X-Own\":\"v\"}}";
    struct gateway_reply reply;

    assert_int_equal(gateway_reply_read(script, strlen(script), &reply, NULL), 0);
    assert_int_equal(reply.status, 201);
    assert_memory_equal(reply.body.bytes, "hi", 2);
    gateway_reply_fini(&reply);
    (void)testing_deploy(t, "acme", "answer");
    testing_send(t, "PUT /v1/triggers/web",
                 "{\"kind\":\"http\",\"function\":\"answer\",\"path\":\"/a\",\"public\":true}", 200,
                 &answer);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/t/acme/a"}, 201, &answer);
    assert_string_equal((char *)answer.body.bytes, "hi");
    assert_string_equal(testing_header(&answer, "Content-Type"), "text/html");
    assert_string_equal(testing_header(&answer, "X-Own"), "v");
    (void)testing_deploy(t, "acme", "answerless");
    testing_send(t, "PUT /v1/triggers/web",
                 "{\"kind\":\"http\",\"function\":\"answerless\",\"path\":\"/a\",\"public\":true}",
                 200, &answer);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/t/acme/a"}, 502, &answer);
    assert_string_equal(testing_code(&answer), "answer_invalid");
    testing_send(t, "PUT /v1/triggers/web",
                 "{\"kind\":\"http\",\"function\":\"fail\",\"path\":\"/a\",\"public\":true}", 200,
                 &answer);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/t/acme/a"}, 502, &answer);
    assert_string_equal(testing_code(&answer), "function_exit");
    testing_forget_answer(&answer);
}

/* ------------------------------------------------------------------------------- cron */

static size_t
count_calls(struct testing *t, const char *function)
{
    struct testing_answer answer = {0};
    char line[128];
    size_t count;

    (void)snprintf(line, sizeof(line), "GET /v1/calls?function=%s", function);
    testing_send(t, line, NULL, 200, &answer);
    count = json_array_size(json_object_get(answer.json, "calls"));
    testing_forget_answer(&answer);
    return count;
}

static void
await_calls(struct testing *t, const char *function, size_t count)
{
    while (count_calls(t, function) < count)
        continue;
}

static void
test_each_minute_that_fits_starts_one_call(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    gateway_cron_step(t->gateway, NOON - 30);
    testing_send(
        t, "PUT /v1/triggers/often",
        "{\"kind\":\"cron\",\"function\":\"echo\",\"schedule\":\"* * * * *\",\"input\":\"i\"}", 200,
        &answer);
    testing_send(t, "PUT /v1/triggers/hourly",
                 "{\"kind\":\"cron\",\"function\":\"args\",\"schedule\":\"0 * * * *\"}", 200,
                 &answer);
    testing_send(
        t, "PUT /v1/triggers/paused",
        "{\"kind\":\"cron\",\"function\":\"big\",\"schedule\":\"* * * * *\",\"paused\":true}", 200,
        &answer);
    testing_send(t, "PUT /v1/triggers/nothing",
                 "{\"kind\":\"cron\",\"function\":\"nobody\",\"schedule\":\"* * * * *\"}", 200,
                 &answer);
    gateway_cron_step(t->gateway, NOON - 29); /* the same minute */
    gateway_cron_step(t->gateway, NOON + 1);
    gateway_cron_step(t->gateway, NOON + 2);
    await_calls(t, "echo", 1);
    await_calls(t, "args", 1);
    gateway_cron_step(t->gateway, NOON + 61);
    await_calls(t, "echo", 2);
    gateway_cron_step(t->gateway, NOON + 240); /* late: three minutes are made good */
    await_calls(t, "echo", 5);
    gateway_cron_step(t->gateway, NOON + 36000); /* too late for all but ten, on the hour one */
    await_calls(t, "echo", 15);
    await_calls(t, "args", 2);
    assert_int_equal(count_calls(t, "echo"), 15);
    assert_int_equal(count_calls(t, "args"), 2);
    assert_int_equal(count_calls(t, "big"), 0);
    testing_forget_answer(&answer);
}

/* Whoever does it again: another planner, or this one after its restart. */
static void
test_a_minute_that_is_done_twice_starts_nothing_twice(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "PUT /v1/triggers/often",
                 "{\"kind\":\"cron\",\"function\":\"echo\",\"schedule\":\"* * * * *\"}", 200,
                 &answer);
    gateway_cron_step(t->gateway, NOON);
    await_calls(t, "echo", 1);
    t->gateway->cron_minute_s = NOON - 60;
    gateway_cron_step(t->gateway, NOON);
    gateway_cron_step(t->gateway, NOON + 60);
    await_calls(t, "echo", 2);
    assert_int_equal(count_calls(t, "echo"), 2);
    testing_forget_answer(&answer);
}

static int
setup_cron(void **state)
{
    struct testing *t;

    if (testing_setup(state) != 0)
        return -1;
    t = *state;
    (void)pthread_mutex_lock(&t->gateway->cron_lock);
    t->gateway->cron_is_off = true;
    t->gateway->cron_minute_s = 0;
    (void)pthread_mutex_unlock(&t->gateway->cron_lock);
    return 0;
}

#define CRON(name) cmocka_unit_test_setup_teardown(name, setup_cron, testing_teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_triggers_are_made_listed_and_removed),
    TEST(test_a_public_trigger_tells_its_function_of_the_request),
    TEST(test_a_large_request_goes_through_a_trigger),
    TEST(test_a_trigger_that_is_not_public_wants_a_token_of_its_tenant),
    TEST(test_what_a_function_says_is_the_answer),
    CRON(test_each_minute_that_fits_starts_one_call),
    CRON(test_a_minute_that_is_done_twice_starts_nothing_twice),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
