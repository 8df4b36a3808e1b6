/* SPDX-License-Identifier: Apache-2.0
 *
 * What is looked at and changed: functions, variables, tokens, tenants, files, hosts, usage,
 * metrics.
 */
#include "gateway/gateway_testing.h"

static json_t *
at(const struct testing_answer *answer, const char *key, size_t index)
{
    json_t *item = json_array_get(json_object_get(answer->json, key), index);

    assert_non_null(item);
    return item;
}

static size_t
count_of(const struct testing_answer *answer, const char *key)
{
    return json_array_size(json_object_get(answer->json, key));
}

static json_int_t
number(const json_t *json, const char *key)
{
    assert_true(json_is_integer(json_object_get(json, key)));
    return json_integer_value(json_object_get(json, key));
}

static unsigned
changes(void)
{
    unsigned count;

    (void)pthread_mutex_lock(&testing_doubles.lock);
    count = testing_doubles.changes;
    (void)pthread_mutex_unlock(&testing_doubles.lock);
    return count;
}

static void
test_functions_are_listed_shown_and_removed(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    unsigned before = changes();

    testing_send(t, "GET /v1/functions", NULL, 200, &answer);
    assert_int_equal(count_of(&answer, "functions"), 8);
    assert_string_equal(testing_text(at(&answer, "functions", 0), "name"), "args");
    assert_string_equal(testing_text(at(&answer, "functions", 0), "kind"), "command");
    assert_int_equal(testing_deploy(t, "acme", "echo"), 2);
    testing_send(t, "GET /v1/functions/echo", NULL, 200, &answer);
    assert_int_equal(count_of(&answer, "versions"), 2);
    assert_int_equal(number(at(&answer, "versions", 0), "version"), 2);
    assert_int_equal(strlen(testing_text(at(&answer, "versions", 0), "module")), 64);
    assert_true(json_is_null(json_object_get(at(&answer, "versions", 0), "proto")));
    assert_string_equal(testing_text(at(&answer, "aliases", 0), "name"), "latest");
    testing_send(t, "DELETE /v1/functions/echo/versions/2", NULL, 409, &answer);
    assert_string_equal(testing_code(&answer), "in_use");
    testing_send(t, "DELETE /v1/functions/echo/versions/1", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/functions/echo/versions/x", NULL, 404, &answer);
    testing_send(t, "DELETE /v1/functions/echo", NULL, 200, &answer);
    testing_send(t, "GET /v1/functions/echo", NULL, 404, &answer);
    assert_int_equal(changes(), before + 2);
    assert_string_equal(testing_doubles.changed_tenant, "acme");
    assert_string_equal(testing_doubles.changed_function, "echo");
    testing_forget_answer(&answer);
}

static void
test_an_alias_splits_calls_between_versions(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    unsigned count[3] = {0};

    (void)testing_deploy(t, "acme", "version");
    (void)testing_deploy(t, "acme", "version");
    testing_send(t, "PUT /v1/functions/version/aliases/live",
                 "{\"version\":1,\"other\":2,\"other_percent\":50}", 200, &answer);
    for (unsigned i = 0; i < 200; i++) {
        testing_send(t, "POST /v1/invoke/version:live", NULL, 200, &answer);
        count[answer.body.bytes[0] - '0']++;
    }
    assert_true(count[1] > 20 && count[2] > 20); /* in one of 10^30 worlds it is not */
    testing_send(t, "POST /v1/invoke/version:1", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "1");
    testing_send(t, "PUT /v1/functions/version/aliases/live", "{\"version\":7}", 404, &answer);
    testing_send(t, "PUT /v1/functions/version/aliases/live", "{\"version\":-1}", 400, &answer);
    testing_send(t, "PUT /v1/functions/version/aliases/live",
                 "{\"version\":1,\"other\":2,\"other_percent\":101}", 400, &answer);
    testing_send(t, "DELETE /v1/functions/version/aliases/live", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/functions/version/aliases/live", NULL, 404, &answer);
    testing_send(t, "POST /v1/invoke/version:live", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_function_is_rolled_back(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    for (unsigned i = 0; i < 3; i++)
        (void)testing_deploy(t, "acme", "version");
    testing_send(t, "POST /v1/functions/version/rollback", NULL, 200, &answer);
    assert_int_equal(number(answer.json, "version"), 2);
    testing_send(t, "POST /v1/functions/version/rollback", "{}", 200, &answer);
    assert_int_equal(number(answer.json, "version"), 1);
    testing_send(t, "POST /v1/invoke/version", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "1");
    testing_send(t, "POST /v1/functions/version/rollback", NULL, 404, &answer);
    testing_send(t, "POST /v1/functions/version/rollback", "{\"to\":3}", 200, &answer);
    testing_send(t, "POST /v1/functions/version/rollback", "{\"to\":9}", 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_grants_are_shown_and_taken_back(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "PUT /v1/functions/echo/grants/other", NULL, 200, &answer);
    testing_send(t, "GET /v1/functions/echo", NULL, 200, &answer);
    assert_string_equal(json_string_value(at(&answer, "grants", 0)), "other");
    testing_send(t, "DELETE /v1/functions/echo/grants/other", NULL, 200, &answer);
    testing_send(t, "GET /v1/functions/echo", NULL, 200, &answer);
    assert_int_equal(count_of(&answer, "grants"), 0);
    testing_forget_answer(&answer);
}

static void
test_secrets_are_never_told(void **state)
{
    static const char secret[] = "correct horse battery staple";
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "PUT /v1/secrets/KEY", "{\"value\":\"correct horse battery staple\"}", 200,
                 &answer);
    assert_null(strstr((char *)answer.body.bytes, secret));
    testing_send(t, "PUT /v1/variables/PLACE", "{\"value\":\"here\"}", 200, &answer);
    testing_send(t, "GET /v1/variables", NULL, 200, &answer);
    assert_null(strstr((char *)answer.body.bytes, secret));
    assert_int_equal(count_of(&answer, "variables"), 2);
    assert_true(json_is_true(json_object_get(at(&answer, "variables", 0), "secret")));
    assert_true(json_is_null(json_object_get(at(&answer, "variables", 0), "value")));
    assert_string_equal(testing_text(at(&answer, "variables", 1), "value"), "here");
    testing_send(t, "PUT /v1/secrets/KEY", "{\"value\":\"correct horse battery staple", 400,
                 &answer);
    assert_null(strstr((char *)answer.body.bytes, secret));
    testing_send(t, "PUT /v1/secrets/1KEY", "{\"value\":\"correct horse battery staple\"}", 400,
                 &answer);
    assert_null(strstr((char *)answer.body.bytes, secret));
    testing_send(t, "PUT /v1/secrets/KEY", "{}", 400, &answer);
    testing_send(t, "DELETE /v1/secrets/KEY", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/variables/PLACE", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/variables/PLACE", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_token_is_made_used_and_taken_back(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char secret[CATALOG_TOKEN_BYTES_MAX];

    testing_send(t, "POST /v1/tokens", "{\"name\":\"ci\",\"roles\":[\"read\",\"deploy\"]}", 201,
                 &answer);
    (void)snprintf(secret, sizeof(secret), "%s", testing_text(answer.json, "token"));
    assert_int_equal(strncmp(secret, "weft_", 5), 0);
    testing_send_as(t, secret, "GET /v1/functions", NULL, 200);
    testing_send_as(t, secret, "POST /v1/invoke/echo", NULL, 403);
    testing_send(t, "GET /v1/tokens", NULL, 200, &answer);
    assert_null(strstr((char *)answer.body.bytes, secret));
    assert_int_equal(count_of(&answer, "tokens"), 4);
    testing_send(t, "POST /v1/tokens", "{\"name\":\"ci\",\"roles\":[\"read\"]}", 409, &answer);
    testing_send(t, "POST /v1/tokens", "{\"name\":\"x\",\"roles\":[\"king\"]}", 400, &answer);
    testing_send(t, "POST /v1/tokens", "{\"name\":\"x\",\"roles\":[]}", 400, &answer);
    testing_send(t, "POST /v1/tokens", "{\"name\":\"x\",\"roles\":[\"admin\"]}", 403, &answer);
    testing_send(t, "DELETE /v1/tokens/ci", NULL, 200, &answer);
    testing_send_as(t, secret, "GET /v1/functions", NULL, 401);
    testing_send(t, "DELETE /v1/tokens/ci", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_an_admin_makes_admins_and_acts_for_tenants(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "POST",
                              .path = "/v1/tokens",
                              .token = t->admin,
                              .body = "{\"name\":\"two\",\"roles\":[\"admin\"]}"};

    ask.count = strlen(ask.body);
    testing_expect(t, &ask, 201, &answer);
    testing_send_as(t, testing_text(answer.json, "token"), "GET /v1/tenants", NULL, 200);
    ask.body = "{\"name\":\"three\",\"roles\":[\"read\"],\"expires_s\":100}";
    ask.count = strlen(ask.body);
    testing_expect(t, &ask, 400, &answer);
    assert_string_equal(testing_code(&answer), "tenant_needed");
    ask.path = "/v1/tokens?tenant=acme";
    testing_expect(t, &ask, 201, &answer);
    testing_send_as(t, t->admin, "GET /v1/tokens", NULL, 200);
    testing_send_as(t, t->admin, "DELETE /v1/tokens/two", NULL, 200);
    testing_send_as(t, t->admin, "GET /v1/functions?tenant=acme", NULL, 200);
    testing_send_as(t, t->admin, "POST /v1/invoke/echo?tenant=acme", NULL, 200);
    testing_forget_answer(&answer);
}

static void
test_tenants_are_made_changed_and_removed_with_all_they_have(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char secret[CATALOG_TOKEN_BYTES_MAX];

    testing_send_as(t, t->admin, "PUT /v1/tenants/new",
                    "{\"cpu_share\":50,\"calls_max\":3,\"queue_max\":7,\"priority\":2}", 200);
    testing_expect(t,
                   &(struct testing_ask){.method = "GET", .path = "/v1/tenants", .token = t->admin},
                   200, &answer);
    assert_int_equal(count_of(&answer, "tenants"), 3);
    assert_string_equal(testing_text(at(&answer, "tenants", 1), "name"), "new");
    assert_int_equal(number(at(&answer, "tenants", 1), "queue_max"), 7);
    testing_token(t, "new", "all", CATALOG_READ | CATALOG_DEPLOY, secret);
    testing_send_as(t, secret, "PUT /v1/files/mine", "content", 201);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{\"priority\":10}", 400);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{\"priority\":\"high\"}", 400);
    testing_send_as(t, t->admin, "PUT /v1/tenants/a%20b", "{}", 400);
    testing_send_as(t, t->admin, "DELETE /v1/tenants/new", NULL, 200);
    testing_send_as(t, secret, "GET /v1/files", NULL, 401);
    testing_send_as(t, t->admin, "DELETE /v1/tenants/new", NULL, 404);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{}", 200);
    testing_expect(
        t,
        &(struct testing_ask){.method = "GET", .path = "/v1/files?tenant=new", .token = t->admin},
        200, &answer);
    assert_int_equal(count_of(&answer, "files"), 0);
    testing_forget_answer(&answer);
}

static void
test_a_full_queue_is_told(void **state)
{
    struct testing *t = *state;
    struct planner_usage usage;
    struct testing_answer answer = {0};

    testing_send_as(t, t->admin, "PUT /v1/tenants/acme", "{\"calls_max\":1,\"queue_max\":1}", 200);
    testing_send(t, "POST /v1/invoke/stuck?async=1", NULL, 202, &answer);
    testing_await_held(&t->host, 1);
    testing_send(t, "POST /v1/invoke/stuck?async=1", NULL, 202, &answer);
    do /* accepted is before queued */
        planner_usage(t->planner, &usage);
    while (usage.waiting == 0);
    testing_send(t, "POST /v1/invoke/echo", NULL, 503, &answer);
    assert_string_equal(testing_code(&answer), "queue_full");
    assert_string_equal(testing_header(&answer, "Retry-After"), "1");
    testing_forget_answer(&answer);
}

static void
test_blobs_are_seen_by_who_put_them(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char line[128], path[128];

    testing_send(t, "POST /v1/blobs", "content", 201, &answer);
    assert_int_equal(number(answer.json, "bytes"), 7);
    (void)snprintf(path, sizeof(path), "/v1/blobs/%s", testing_text(answer.json, "hash"));
    testing_expect(t, &(struct testing_ask){.method = "HEAD", .path = path, .token = t->acme}, 200,
                   &answer);
    testing_expect(t, &(struct testing_ask){.method = "HEAD", .path = path, .token = t->other}, 404,
                   &answer);
    path[strlen(path) - 1] ^= 1;
    testing_expect(t, &(struct testing_ask){.method = "HEAD", .path = path, .token = t->acme}, 404,
                   &answer);
    (void)snprintf(line, sizeof(line), "/v1/blobs/xyz");
    testing_expect(t, &(struct testing_ask){.method = "HEAD", .path = line, .token = t->acme}, 404,
                   &answer);
    testing_forget_answer(&answer);
}

static void
test_files_are_kept_listed_and_removed(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "PUT /v1/files/a/b.txt", "hello", 201, &answer);
    assert_string_equal(testing_text(answer.json, "path"), "a/b.txt");
    testing_send(t, "PUT /v1/files/a/c.txt", "", 201, &answer);
    testing_send(t, "PUT /v1/files/d%20e", "world", 201, &answer);
    testing_send(t, "GET /v1/files/a/b.txt", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "hello");
    testing_send(t, "GET /v1/files/a/c.txt", NULL, 200, &answer);
    assert_int_equal(answer.body.count, 0);
    testing_send(t, "HEAD /v1/files/a/b.txt", NULL, 200, &answer);
    assert_string_equal(testing_header(&answer, "Content-Length"), "5");
    testing_send(t, "GET /v1/files", NULL, 200, &answer);
    assert_int_equal(count_of(&answer, "files"), 3);
    assert_string_equal(testing_text(at(&answer, "files", 2), "path"), "d e");
    testing_send(t, "GET /v1/files?prefix=a/", NULL, 200, &answer);
    assert_int_equal(count_of(&answer, "files"), 2);
    testing_send(t, "DELETE /v1/files/a/b.txt", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/files/a/b.txt", NULL, 404, &answer);
    testing_send(t, "GET /v1/files/a/b.txt", NULL, 404, &answer);
    testing_send(t, "PUT /v1/files/a/../b", "x", 400, &answer);
    testing_send(t, "PUT /v1/files/a//b", "x", 400, &answer);
    testing_send(t, "PUT /v1/files/a%00b", "x", 400, &answer);
    testing_send(t, "PUT /v1/files/a/", "x", 400, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_tenant_stores_no_more_than_it_may(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send_as(t, t->admin, "PUT /v1/tenants/acme", "{\"storage_bytes\":10}", 200);
    testing_send(t, "PUT /v1/files/one", "12345678", 201, &answer);
    testing_send(t, "PUT /v1/files/two", "123", 409, &answer);
    assert_string_equal(testing_code(&answer), "limit_reached");
    testing_send(t, "POST /v1/blobs", "123", 409, &answer);
    testing_forget_answer(&answer);
}

static void
test_hosts_are_listed_and_drained(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "GET", .path = "/v1/hosts", .token = t->admin};

    testing_expect(t, &ask, 200, &answer);
    assert_string_equal(testing_text(at(&answer, "hosts", 0), "name"), "one");
    assert_int_equal(number(at(&answer, "hosts", 0), "heard_ms_ago"), 5);
    testing_send_as(t, t->admin, "POST /v1/hosts/one/drain", "{\"drain\":true}", 200);
    assert_true(testing_doubles.is_draining);
    testing_send_as(t, t->admin, "POST /v1/hosts/one/drain", "{\"drain\":false}", 200);
    assert_false(testing_doubles.is_draining);
    testing_send_as(t, t->admin, "POST /v1/hosts/two/drain", "{\"drain\":false}", 404);
    testing_send_as(t, t->admin, "POST /v1/hosts/one/drain", "{\"drain\":1}", 400);
    ask.path = "/v1/cluster";
    testing_expect(t, &ask, 200, &answer);
    assert_true(json_is_true(json_object_get(answer.json, "leading")));
    assert_int_equal(number(answer.json, "hosts"), 1);
    assert_int_equal(number(answer.json, "slots"), 1000);
    testing_forget_answer(&answer);
}

static void
test_usage_is_of_the_tenant_or_of_all(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {
        .method = "GET", .path = "/v1/usage?from=20261101&to=20261130", .token = t->acme};

    testing_expect(t, &ask, 200, &answer);
    assert_int_equal(count_of(&answer, "usage"), 1);
    assert_int_equal(number(json_object_get(answer.json, "total"), "calls"), 3);
    ask.token = t->admin;
    testing_expect(t, &ask, 200, &answer);
    assert_int_equal(count_of(&answer, "usage"), 2);
    assert_int_equal(number(json_object_get(answer.json, "total"), "calls"), 7);
    ask.path = "/v1/usage?tenant=*&from=20261123&to=20261123";
    testing_expect(t, &ask, 200, &answer);
    assert_int_equal(count_of(&answer, "usage"), 2);
    ask.path = "/v1/usage?tenant=other&from=20261123&to=20261123";
    testing_expect(t, &ask, 200, &answer);
    assert_int_equal(count_of(&answer, "usage"), 1);
    ask.token = t->acme;
    ask.path = "/v1/usage?tenant=*";
    testing_expect(t, &ask, 404, &answer);
    ask.path = "/v1/usage?from=yesterday";
    testing_expect(t, &ask, 400, &answer);
    testing_forget_answer(&answer);
}

/* Each line is a comment, or a name, labels in braces, and a number. */
static void
check_metrics(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        const char *rest = line + name;
        char *behind;

        assert_non_null(end);
        if (*line != '#') {
            assert_true(name > 0);
            if (*rest == '{')
                rest = strchr(rest, '}') + 1;
            assert_int_equal(*rest, ' ');
            (void)strtod(rest + 1, &behind);
            assert_ptr_equal(behind, end);
        }
        line = end + 1;
    }
}

static void
test_metrics_are_text_that_counts_calls(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "GET", .path = "/metrics", .token = t->admin};

    testing_send(t, "POST /v1/invoke/echo", NULL, 200, &answer);
    testing_send(t, "POST /v1/invoke/echo", NULL, 200, &answer);
    testing_send(t, "POST /v1/invoke/fail", NULL, 502, &answer);
    /* The last call is counted after it is answered: its log is there when it is. */
    do
        testing_send(t, "GET /v1/logs", NULL, 200, &answer);
    while (count_of(&answer, "logs") < 3);
    testing_expect(t, &ask, 200, &answer);
    check_metrics((char *)answer.body.bytes);
    assert_non_null(
        strstr((char *)answer.body.bytes,
               "weft_calls_total{tenant=\"acme\",function=\"echo\",kind=\"done\"} 2\n"));
    assert_non_null(
        strstr((char *)answer.body.bytes,
               "weft_calls_total{tenant=\"acme\",function=\"fail\",kind=\"exit\"} 1\n"));
    assert_non_null(strstr((char *)answer.body.bytes,
                           "weft_start_seconds_count{tenant=\"acme\",function=\"echo\","
                           "temperature=\"cold\"} 2\n"));
    assert_non_null(strstr((char *)answer.body.bytes, "weft_hosts 1\n"));
    assert_non_null(
        strstr((char *)answer.body.bytes, "weft_http_requests_total{code=\"502\"} 1\n"));
    ask.token = t->other;
    testing_expect(t, &ask, 200, &answer);
    check_metrics((char *)answer.body.bytes);
    assert_null(strstr((char *)answer.body.bytes, "acme"));
    assert_null(strstr((char *)answer.body.bytes, "weft_hosts"));
    testing_forget_answer(&answer);
}

static const struct CMUnitTest tests[] = {
    TEST(test_functions_are_listed_shown_and_removed),
    TEST(test_an_alias_splits_calls_between_versions),
    TEST(test_a_function_is_rolled_back),
    TEST(test_grants_are_shown_and_taken_back),
    TEST(test_secrets_are_never_told),
    TEST(test_a_token_is_made_used_and_taken_back),
    TEST(test_an_admin_makes_admins_and_acts_for_tenants),
    TEST(test_tenants_are_made_changed_and_removed_with_all_they_have),
    TEST(test_a_full_queue_is_told),
    TEST(test_blobs_are_seen_by_who_put_them),
    TEST(test_files_are_kept_listed_and_removed),
    TEST(test_a_tenant_stores_no_more_than_it_may),
    TEST(test_hosts_are_listed_and_drained),
    TEST(test_usage_is_of_the_tenant_or_of_all),
    TEST(test_metrics_are_text_that_counts_calls),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
