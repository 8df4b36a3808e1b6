/* SPDX-License-Identifier: Apache-2.0
 *
 * Every route of the table: without a token, without the role, for another tenant, with
 * what it cannot read; and docs/openapi.json, which must have them all.
 */
#include "gateway/gateway_testing.h"

/* The pattern with a name for each of its parts. */
static void
fill_path(const struct gateway_route *route, char *out, size_t size)
{
    size_t count = 0;

    for (const char *at = route->pattern; *at != '\0'; at++) {
        if (*at != '{') {
            out[count++] = *at;
            continue;
        }
        count += (size_t)snprintf(out + count, size - count, "%s",
                                  strncmp(at, "{tenant}", 8) == 0 ? "acme" : "nobody");
        at = strchr(at, '}');
    }
    out[count] = '\0';
}

static const char *
method_of(const struct gateway_route *route)
{
    return route->method[0] == '*' ? "POST" : route->method;
}

static void
expect(struct testing *t, const struct gateway_route *route, const char *token, const char *query,
       const char *body, long status, const char *code)
{
    struct testing_answer answer = {0};
    char path[256], whole[512];

    fill_path(route, path, sizeof(path));
    (void)snprintf(whole, sizeof(whole), "%s%s", path, query);
    testing_expect(t,
                   &(struct testing_ask){.method = method_of(route),
                                         .path = whole,
                                         .token = token,
                                         .body = body,
                                         .count = strlen(body)},
                   status, &answer);
    if (strcmp(method_of(route), "HEAD") != 0) {
        assert_string_equal(testing_header(&answer, "Content-Type"), "application/json");
        assert_string_equal(testing_code(&answer), code);
        assert_true(testing_text(json_object_get(answer.json, "error"), "message")[0] != '\0');
        assert_true(testing_text(json_object_get(answer.json, "error"), "hint")[0] != '\0');
    }
    testing_forget_answer(&answer);
}

static void
test_without_a_token_no_route_answers(void **state)
{
    struct testing *t = *state;

    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];

        if (route->scope == GATEWAY_OPEN && strncmp(route->pattern, "/t/", 3) != 0)
            continue;
        expect(t, route, NULL, "", "", 401, "token_needed");
        expect(t, route, "weft_0000000000000000000000000000000000000000000", "", "", 401,
               "token_needed");
        expect(t, route, "", "", "", 401, "token_needed");
    }
}

static void
test_without_its_role_no_route_answers(void **state)
{
    struct testing *t = *state;

    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];
        const char *token = (route->roles & CATALOG_READ) != 0 ? t->manager : t->reader;

        if (route->scope == GATEWAY_ADMIN)
            expect(t, route, t->acme, "", "", 403, "role_needed");
        else if (route->roles != 0)
            expect(t, route, token, "", "", 403, "role_needed");
    }
}

static void
test_another_tenant_is_as_if_it_were_not_there(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0}, nobody = {0};

    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];

        if (route->scope == GATEWAY_OPEN || route->scope == GATEWAY_ADMIN)
            continue;
        expect(t, route, t->other, "?tenant=acme", "", 404, "tenant_unknown");
        expect(t, route, t->admin, "?tenant=nobody", "", 404, "tenant_unknown");
        if (route->scope == GATEWAY_TENANT)
            expect(t, route, t->admin, "", "", 400, "tenant_needed");
    }
    testing_expect(t,
                   &(struct testing_ask){.method = "GET",
                                         .path = "/v1/functions",
                                         .token = t->other,
                                         .header = "Weft-Tenant: acme"},
                   404, &answer);
    testing_expect(t,
                   &(struct testing_ask){.method = "GET",
                                         .path = "/v1/functions",
                                         .token = t->other,
                                         .header = "Weft-Tenant: nope"},
                   404, &nobody);
    assert_string_equal(strstr((char *)answer.body.bytes, "acme") + 4,
                        strstr((char *)nobody.body.bytes, "nope") + 4);
    testing_forget_answer(&answer);
    testing_forget_answer(&nobody);
}

static void
check_same(struct testing *t, const char *method, const char *there, const char *absent)
{
    struct testing_answer one = {0}, two = {0};
    char *at;

    testing_expect(t, &(struct testing_ask){.method = method, .path = there, .token = t->other},
                   404, &one);
    testing_expect(t, &(struct testing_ask){.method = method, .path = absent, .token = t->other},
                   404, &two);
    for (at = (char *)one.body.bytes; (at = strstr(at, "echo")) != NULL;)
        (void)memcpy(at, "nope", 4);
    for (at = (char *)one.body.bytes; (at = strstr(at, "SECRETS")) != NULL;)
        (void)memcpy(at, "NOTHING", 7);
    assert_string_equal((char *)one.body.bytes, (char *)two.body.bytes);
    testing_forget_answer(&one);
    testing_forget_answer(&two);
}

static void
test_what_another_tenant_has_answers_as_what_is_not_there(void **state)
{
    struct testing *t = *state;

    testing_send_as(t, t->acme, "PUT /v1/secrets/SECRETS", "{\"value\":\"v\"}", 200);
    testing_send_as(t, t->acme, "PUT /v1/variables/VSECRETS", "{\"value\":\"v\"}", 200);
    testing_send_as(t, t->acme, "PUT /v1/files/echo", "content", 201);
    testing_send_as(t, t->acme, "PUT /v1/state/echo", "12345678", 200);
    testing_send_as(t, t->acme, "POST /v1/state/SECRETS/append", "a record", 200);
    testing_send_as(t, t->acme, "PUT /v1/triggers/echo",
                    "{\"kind\":\"http\",\"function\":\"echo\",\"path\":\"/echo\"}", 200);
    check_same(t, "GET", "/v1/functions/echo", "/v1/functions/nope");
    check_same(t, "DELETE", "/v1/functions/echo", "/v1/functions/nope");
    check_same(t, "DELETE", "/v1/functions/echo/versions/1", "/v1/functions/nope/versions/1");
    check_same(t, "DELETE", "/v1/functions/echo/aliases/latest",
               "/v1/functions/nope/aliases/latest");
    check_same(t, "POST", "/v1/functions/echo/rollback", "/v1/functions/nope/rollback");
    check_same(t, "PUT", "/v1/functions/echo/grants/other", "/v1/functions/nope/grants/other");
    check_same(t, "POST", "/v1/invoke/echo", "/v1/invoke/nope");
    check_same(t, "POST", "/v1/invoke/acme/echo", "/v1/invoke/acme/nope");
    check_same(t, "GET", "/v1/files/echo", "/v1/files/nope");
    check_same(t, "DELETE", "/v1/files/echo", "/v1/files/nope");
    check_same(t, "GET", "/v1/state/echo", "/v1/state/nope");
    check_same(t, "GET", "/v1/state/SECRETS/records", "/v1/state/NOTHING/records");
    check_same(t, "DELETE", "/v1/state/echo", "/v1/state/nope");
    check_same(t, "DELETE", "/v1/state/SECRETS", "/v1/state/NOTHING");
    check_same(t, "DELETE", "/v1/triggers/echo", "/v1/triggers/nope");
    check_same(t, "POST", "/t/acme/echo", "/t/acme/nope");
    check_same(t, "DELETE", "/v1/secrets/SECRETS", "/v1/secrets/NOTHING");
    check_same(t, "DELETE", "/v1/variables/VSECRETS", "/v1/variables/VNOTHING");
}

static void
test_calls_of_another_tenant_are_not_there(void **state)
{
    static const char *const lines[] = {"GET /v1/calls/%s",         "GET /v1/calls/%s/result",
                                        "GET /v1/calls/%s/log",     "GET /v1/calls/%s/events",
                                        "POST /v1/calls/%s/cancel", "POST /v1/calls/%s/retry",
                                        "DELETE /v1/calls/%s"};
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char ids[2][32], line[128];

    testing_send(t, "POST /v1/invoke/echo", "x", 200, &answer);
    (void)snprintf(ids[0], 32, "%s", testing_header(&answer, "Weft-Call"));
    testing_send(t, "POST /v1/invoke/slow?async=1", "x", 202, &answer);
    (void)snprintf(ids[1], 32, "%s", testing_text(answer.json, "call"));
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        for (size_t k = 0; k < 2; k++) {
            (void)snprintf(line, sizeof(line), lines[i], ids[k]);
            testing_send_as(t, t->other, line, NULL, 404);
        }
    testing_send_as(t, t->other, "GET /v1/calls/0", NULL, 404);
    testing_send_as(t, t->other, "GET /v1/calls/x", NULL, 404);
    testing_expect(t,
                   &(struct testing_ask){.method = "GET", .path = "/v1/calls", .token = t->other},
                   200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "calls")), 0);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/v1/logs", .token = t->other},
                   200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "logs")), 0);
    testing_forget_answer(&answer);
}

static bool
reads_json(const struct gateway_route *route)
{
    return route->intake == GATEWAY_JSON && strstr(route->pattern, "/calls/") == NULL &&
           strstr(route->pattern, "/grants/") == NULL;
}

static void
test_what_is_no_json_is_refused(void **state)
{
    struct testing *t = *state;

    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];
        const char *token = route->scope == GATEWAY_ADMIN ? t->admin : t->acme;

        if (!reads_json(route))
            continue;
        expect(t, route, token, "", "{\"a\":", 400, "json_invalid");
        expect(t, route, token, "", "{\"a\":1,\"a\":2}", 400, "json_invalid");
        expect(t, route, token, "", "[]", 400, "field_invalid");
        expect(t, route, token, "", "{\"surprise\":1}", 400, "field_invalid");
    }
}

static void
test_what_is_too_large_is_refused(void **state)
{
    static const uint64_t most[] = {[GATEWAY_NOTHING] = GATEWAY_NOTHING_BYTES_MAX,
                                    [GATEWAY_JSON] = GATEWAY_JSON_BYTES_MAX,
                                    [GATEWAY_INPUT] = GATEWAY_INPUT_BYTES_MAX,
                                    [GATEWAY_BATCH] = GATEWAY_BATCH_BYTES_MAX};
    struct testing *t = *state;
    char *body = malloc(GATEWAY_INPUT_BYTES_MAX + 2);

    assert_non_null(body);
    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct gateway_route *route = &gateway_routes[i];
        const char *token = route->scope == GATEWAY_ADMIN ? t->admin : t->acme;

        if (route->intake == GATEWAY_UPLOAD || strcmp(route->method, "HEAD") == 0)
            continue;
        (void)memset(body, ' ', most[route->intake] + 1);
        body[most[route->intake] + 1] = '\0';
        expect(t, route, token, "", body, 413, "too_large");
    }
    (void)memset(body, ' ', GATEWAY_ASYNC_BYTES_MAX + 1);
    body[GATEWAY_ASYNC_BYTES_MAX + 1] = '\0';
    expect(t, &gateway_routes[0], t->acme, "?async=1", body, 413, "too_large");
    free(body);
}

/* Nobody knows it before it is there. */
static void
test_what_is_far_too_large_without_a_length_is_refused_too(void **state)
{
    struct testing *t = *state;
    struct testing_ask ask = {.method = "PUT",
                              .path = "/v1/triggers/much",
                              .token = t->acme,
                              .count = 70u << 20,
                              .header = "Transfer-Encoding: chunked"};
    struct testing_answer answer = {0};
    char *body = calloc(1, ask.count);

    assert_non_null(body);
    ask.body = body;
    testing_expect(t, &ask, 413, &answer);
    assert_string_equal(testing_code(&answer), "too_large");
    testing_forget_answer(&answer);
    free(body);
}

/* --------------------------------------------------------------------------- openapi */

static bool
is_same_path(const char *pattern, const char *path)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*')
            continue;
        if (*pattern != *path++)
            return false;
    }
    return *path == '\0';
}

static bool
is_described(json_t *paths, const struct gateway_route *route)
{
    const char *path, *method;
    json_t *item, *operation;

    json_object_foreach(paths, path, item) json_object_foreach(
        item, method, operation) if (is_same_path(route->pattern, path) &&
                                     (route->method[0] == '*' ||
                                      strcasecmp(route->method, method) == 0)) return true;
    return false;
}

static bool
is_routed(const char *path, const char *method)
{
    for (size_t i = 0; i < gateway_route_count; i++)
        if (is_same_path(gateway_routes[i].pattern, path) &&
            (gateway_routes[i].method[0] == '*' ||
             strcasecmp(gateway_routes[i].method, method) == 0))
            return true;
    return false;
}

static void
test_the_description_has_every_route_and_no_other(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const char *path, *method;
    json_t *paths, *item, *operation;

    testing_send(t, "GET /openapi.json", NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "openapi"), "3.1.0");
    paths = json_object_get(answer.json, "paths");
    assert_true(json_is_object(paths));
    for (size_t i = 0; i < gateway_route_count; i++)
        if (!is_described(paths, &gateway_routes[i]))
            fail_msg("%s %s is not described", gateway_routes[i].method, gateway_routes[i].pattern);
    json_object_foreach(paths, path, item) json_object_foreach(item, method, operation)
    {
        if (!is_routed(path, method))
            fail_msg("%s %s is described, and there is none", method, path);
        assert_true(json_is_object(json_object_get(operation, "responses")));
        assert_true(testing_text(operation, "operationId")[0] != '\0');
    }
    testing_forget_answer(&answer);
}

static const struct CMUnitTest tests[] = {
    TEST(test_without_a_token_no_route_answers),
    TEST(test_without_its_role_no_route_answers),
    TEST(test_another_tenant_is_as_if_it_were_not_there),
    TEST(test_what_another_tenant_has_answers_as_what_is_not_there),
    TEST(test_calls_of_another_tenant_are_not_there),
    TEST(test_what_is_no_json_is_refused),
    TEST(test_what_is_too_large_is_refused),
    TEST(test_what_is_far_too_large_without_a_length_is_refused_too),
    TEST(test_the_description_has_every_route_and_no_other),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
