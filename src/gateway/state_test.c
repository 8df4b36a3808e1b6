/* SPDX-License-Identifier: Apache-2.0
 *
 * State over HTTP: values, conditions, keys, logs, numbers, watches; who sees what, and what
 * is refused.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>

#include "gateway/gateway_testing.h"

#define WATCHERS 24u /* more than the pool has threads */

static json_int_t
number(const json_t *json, const char *key)
{
    assert_true(json_is_integer(json_object_get(json, key)));
    return json_integer_value(json_object_get(json, key));
}

static void
ask(struct testing *t, const char *line, const char *header, const char *body, long status,
    struct testing_answer *answer)
{
    const char *space = strchr(line, ' ');
    char method[16];

    (void)snprintf(method, sizeof(method), "%.*s", (int)(space - line), line);
    testing_expect(t,
                   &(struct testing_ask){.method = method,
                                         .path = space + 1,
                                         .token = t->acme,
                                         .body = body,
                                         .count = body != NULL ? strlen(body) : 0,
                                         .header = header},
                   status, answer);
}

static void
refused(struct testing *t, const char *line, const char *header, const char *body, long status,
        const char *code)
{
    struct testing_answer answer = {0};

    ask(t, line, header, body, status, &answer);
    assert_string_equal(testing_code(&answer), code);
    assert_true(testing_text(json_object_get(answer.json, "error"), "message")[0] != '\0');
    assert_true(testing_text(json_object_get(answer.json, "error"), "hint")[0] != '\0');
    testing_forget_answer(&answer);
}

static void
expect_bytes(struct testing *t, const char *line, const char *bytes)
{
    struct testing_answer answer = {0};

    testing_send(t, line, NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, bytes);
    testing_forget_answer(&answer);
}

/* ------------------------------------------------------------------------------ values */

static void
test_a_value_is_put_read_and_removed(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char tag[64], header[128];

    testing_send(t, "PUT /v1/state/weights", "0123456789", 200, &answer);
    assert_string_equal(testing_text(answer.json, "key"), "weights");
    assert_int_equal(number(answer.json, "bytes"), 10);
    (void)snprintf(tag, sizeof(tag), "\"%lld\"", number(answer.json, "version"));
    assert_string_equal(testing_header(&answer, "ETag"), tag);
    testing_send(t, "GET /v1/state/weights", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "0123456789");
    assert_string_equal(testing_header(&answer, "ETag"), tag);
    assert_string_equal(testing_header(&answer, "Weft-Size"), "10");
    assert_string_equal(testing_header(&answer, "Content-Type"), "application/octet-stream");
    assert_string_equal(testing_header(&answer, "X-Content-Type-Options"), "nosniff");
    testing_send(t, "HEAD /v1/state/weights", NULL, 200, &answer);
    assert_string_equal(testing_header(&answer, "Content-Length"), "10");
    assert_string_equal(testing_header(&answer, "ETag"), tag);
    assert_string_equal(testing_header(&answer, "Weft-Kind"), "value");
    assert_string_equal(testing_header(&answer, "Weft-Lives"), "");
    (void)snprintf(header, sizeof(header), "If-None-Match: %s", tag);
    ask(t, "GET /v1/state/weights", header, NULL, 304, &answer);
    testing_send(t, "PUT /v1/state/weights", "", 200, &answer);
    assert_int_equal(number(answer.json, "bytes"), 0);
    ask(t, "GET /v1/state/weights", header, NULL, 200, &answer);
    assert_int_equal(answer.body.count, 0);
    testing_send(t, "DELETE /v1/state/weights", NULL, 200, &answer);
    refused(t, "GET /v1/state/weights", NULL, NULL, 404, "state_unknown");
    refused(t, "DELETE /v1/state/weights", NULL, NULL, 404, "state_unknown");
    testing_send(t, "HEAD /v1/state/weights", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_part_of_a_value_is_read(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send_as(t, t->acme, "PUT /v1/state/v", "0123456789", 200);
    expect_bytes(t, "GET /v1/state/v?offset=3&count=4", "3456");
    expect_bytes(t, "GET /v1/state/v?offset=8&count=400", "89");
    expect_bytes(t, "GET /v1/state/v?offset=10", "");
    ask(t, "GET /v1/state/v", "Range: bytes=2-4", NULL, 206, &answer);
    assert_string_equal((char *)answer.body.bytes, "234");
    assert_string_equal(testing_header(&answer, "Content-Range"), "bytes 2-4/10");
    ask(t, "GET /v1/state/v", "Range: bytes=7-", NULL, 206, &answer);
    assert_string_equal((char *)answer.body.bytes, "789");
    ask(t, "GET /v1/state/v", "Range: bytes=7-100", NULL, 206, &answer);
    assert_string_equal(testing_header(&answer, "Content-Range"), "bytes 7-9/10");
    ask(t, "GET /v1/state/v", "Range: lines=1-2", NULL, 200, &answer);
    ask(t, "GET /v1/state/v", "Range: bytes=5-2", NULL, 200, &answer);
    ask(t, "GET /v1/state/v", "Range: bytes=10-", NULL, 416, &answer);
    assert_string_equal(testing_header(&answer, "Content-Range"), "bytes */10");
    refused(t, "GET /v1/state/v", "Range: bytes=11-12", NULL, 416, "range_invalid");
    refused(t, "GET /v1/state/v?offset=11", NULL, NULL, 416, "range_invalid");
    refused(t, "GET /v1/state/v?offset=-1", NULL, NULL, 400, "query_invalid");
    testing_forget_answer(&answer);
}

static void
test_a_large_value_comes_back_as_it_was(void **state)
{
    struct testing *t = *state;
    const size_t count = 3000001;
    struct testing_answer answer = {0};
    uint8_t *bytes = malloc(count);

    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    testing_expect(t,
                   &(struct testing_ask){.method = "PUT",
                                         .path = "/v1/state/large",
                                         .token = t->acme,
                                         .body = bytes,
                                         .count = count},
                   200, &answer);
    testing_send(t, "GET /v1/state/large", NULL, 200, &answer);
    assert_int_equal(answer.body.count, count);
    assert_memory_equal(answer.body.bytes, bytes, count);
    testing_forget_answer(&answer);
    while (atomic_load(&t->gateway->heap_bytes) > 0) /* what is sent is counted, and given back */
        (void)sched_yield();
    free(bytes);
}

static void
test_what_is_too_large_for_one_answer_is_read_in_parts(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/state/zeros/add", "{\"add\":1,\"size\":300000000}", 200, &answer);
    testing_send(t, "HEAD /v1/state/zeros", NULL, 200, &answer);
    assert_string_equal(testing_header(&answer, "Content-Length"), "300000000");
    refused(t, "GET /v1/state/zeros", NULL, NULL, 413, "too_large");
    refused(t, "GET /v1/state/zeros", "Range: bytes=1-", NULL, 413, "too_large");
    ask(t, "GET /v1/state/zeros", "Range: bytes=299999990-", NULL, 206, &answer);
    assert_int_equal(answer.body.count, 10);
    assert_string_equal(testing_header(&answer, "Content-Range"),
                        "bytes 299999990-299999999/300000000");
    testing_send(t, "GET /v1/state/zeros?count=2", NULL, 200, &answer);
    assert_int_equal(answer.body.count, 2);
    assert_int_equal(answer.body.bytes[0], 1);
    testing_forget_answer(&answer);
}

static void
test_a_change_has_the_condition_that_its_header_names(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char match[64], wrong[64];

    refused(t, "PUT /v1/state/c", "If-Match: *", "no", 412, "version_differs");
    refused(t, "PUT /v1/state/c", "If-Match: \"7\"", "no", 412, "version_differs");
    refused(t, "GET /v1/state/c", NULL, NULL, 404, "state_unknown");
    ask(t, "PUT /v1/state/c", "If-None-Match: *", "one", 200, &answer);
    (void)snprintf(match, sizeof(match), "If-Match: \"%lld\"", number(answer.json, "version"));
    (void)snprintf(wrong, sizeof(wrong), "If-Match: %lld", number(answer.json, "version") + 1);
    refused(t, "PUT /v1/state/c", "If-None-Match: *", "no", 412, "version_differs");
    refused(t, "PUT /v1/state/c", wrong, "no", 412, "version_differs");
    refused(t, "DELETE /v1/state/c", wrong, NULL, 412, "version_differs");
    expect_bytes(t, "GET /v1/state/c", "one");
    ask(t, "PUT /v1/state/c", match, "two", 200, &answer);
    refused(t, "PUT /v1/state/c", match, "no", 412, "version_differs");
    ask(t, "PUT /v1/state/c", "If-Match: *", "three", 200, &answer);
    expect_bytes(t, "GET /v1/state/c", "three");
    refused(t, "PUT /v1/state/c", "If-Match: \"x\"", "no", 400, "condition_invalid");
    refused(t, "PUT /v1/state/c", "If-None-Match: \"1\"", "no", 400, "condition_invalid");
    refused(t, "PUT /v1/state/c?lives_s=x", NULL, "no", 400, "query_invalid");
    expect_bytes(t, "GET /v1/state/c", "three");
    testing_forget_answer(&answer);
}

/* -------------------------------------------------------------------------------- keys */

static void
test_a_key_may_have_any_character_that_is_escaped(void **state)
{
    static const char *const keys[][2] = {{"a%2Fb", "a/b"},
                                          {"a%2Fappend", "a/append"},
                                          {"..", ".."},
                                          {"%2E%2E%2Fx", "../x"},
                                          {"100%25", "100%"},
                                          {"%252F", "%2F"},
                                          {"%C3%A4%3F%23", "\xc3\xa4?#"},
                                          {"watch", "watch"}};
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char line[128];

    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        (void)snprintf(line, sizeof(line), "PUT /v1/state/%s", keys[i][0]);
        testing_send(t, line, keys[i][1], 200, &answer);
        assert_string_equal(testing_text(answer.json, "key"), keys[i][1]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        (void)snprintf(line, sizeof(line), "GET /v1/state/%s", keys[i][0]);
        expect_bytes(t, line, keys[i][1]);
    }
    testing_send(t, "GET /v1/state", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "state")), ARRAY_COUNT(keys));
    testing_forget_answer(&answer);
}

static void
test_a_key_that_is_none_is_refused(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char line[512] = "PUT /v1/state/";
    size_t first = strlen(line);

    (void)memset(line + first, 'k', 255);
    line[first + 255] = '\0';
    testing_send(t, line, "v", 200, &answer);
    line[first + 255] = 'k';
    line[first + 256] = '\0';
    refused(t, line, NULL, "v", 400, "key_invalid");
    refused(t, "PUT /v1/state/a%00b", NULL, "v", 400, "state_invalid");
    refused(t, "PUT /v1/state/a%FFb", NULL, "v", 400, "state_invalid");
    refused(t, "GET /v1/state/a%00b", NULL, NULL, 400, "state_invalid");
    refused(t, "GET /v1/state/a/b", NULL, NULL, 404, "path_unknown");
    refused(t, "GET /v1/state/", NULL, NULL, 404, "path_unknown");
    refused(t, "GET /v1/state/a", NULL, NULL, 404, "state_unknown");
    testing_forget_answer(&answer);
}

static void
test_keys_are_listed_page_by_page(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *list, *item;

    testing_send_as(t, t->acme, "PUT /v1/state/a%2F1", "1", 200);
    testing_send_as(t, t->acme, "PUT /v1/state/a%2F2?lives_s=1000", "22", 200);
    testing_send_as(t, t->acme, "POST /v1/state/a%2F3/append", "333", 200);
    testing_send_as(t, t->acme, "PUT /v1/state/b", "4", 200);
    testing_send(t, "HEAD /v1/state/a%2F2", NULL, 200, &answer);
    assert_true(atof(testing_header(&answer, "Weft-Lives")) > 0);
    testing_send(t, "GET /v1/state?prefix=a/&limit=2", NULL, 200, &answer);
    list = json_object_get(answer.json, "state");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(testing_text(answer.json, "next"), "a/2");
    item = json_array_get(list, 1);
    assert_int_equal(number(item, "bytes"), 2);
    assert_string_equal(testing_text(item, "kind"), "value");
    assert_true(json_number_value(json_object_get(item, "lives_s")) > 0);
    testing_send(t, "GET /v1/state?prefix=a/&limit=2&after=a/2", NULL, 200, &answer);
    list = json_object_get(answer.json, "state");
    assert_int_equal(json_array_size(list), 1);
    assert_true(json_is_null(json_object_get(answer.json, "next")));
    item = json_array_get(list, 0);
    assert_string_equal(testing_text(item, "kind"), "log");
    assert_true(json_is_null(json_object_get(item, "lives_s")));
    testing_send(t, "GET /v1/state?limit=0", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "state")), 4);
    refused(t, "GET /v1/state?limit=1001", NULL, NULL, 400, "query_invalid");
    refused(t, "GET /v1/state?prefix=%FF", NULL, NULL, 400, "state_invalid");
    testing_forget_answer(&answer);
}

/* The unescaping of paths is not to be seen elsewhere. */
static void
test_what_looks_like_a_path_of_state_is_unescaped_in_a_query(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/invoke/args?arg=/v1/state/a%2Fb%2525", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "/v1/state/a/b%25");
    testing_forget_answer(&answer);
}

/* ------------------------------------------------------------------------ logs, numbers */

static void
test_a_log_has_records(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *records;

    refused(t, "GET /v1/state/log/records", NULL, NULL, 404, "state_unknown");
    testing_send(t, "POST /v1/state/log/append", "one", 200, &answer);
    assert_int_equal(number(answer.json, "index"), 0);
    testing_send(t, "POST /v1/state/log/append", "", 200, &answer);
    testing_send(t, "POST /v1/state/log/append", "three", 200, &answer);
    assert_int_equal(number(answer.json, "index"), 2);
    testing_send(t, "HEAD /v1/state/log", NULL, 200, &answer);
    assert_string_equal(testing_header(&answer, "Weft-Kind"), "log");
    assert_string_equal(testing_header(&answer, "Weft-Version"), "3");
    assert_string_equal(testing_header(&answer, "Weft-Size"), "8");
    testing_send(t, "GET /v1/state/log/records", NULL, 200, &answer);
    records = json_object_get(answer.json, "records");
    assert_int_equal(json_array_size(records), 3);
    assert_string_equal(testing_text(json_array_get(records, 0), "base64"), "b25l");
    assert_string_equal(testing_text(json_array_get(records, 1), "base64"), "");
    assert_int_equal(number(answer.json, "next"), 3);
    testing_send(t, "GET /v1/state/log/records?from=1&limit=1", NULL, 200, &answer);
    records = json_object_get(answer.json, "records");
    assert_int_equal(json_array_size(records), 1);
    assert_int_equal(number(json_array_get(records, 0), "index"), 1);
    assert_int_equal(number(answer.json, "count"), 3);
    testing_send(t, "GET /v1/state/log/records?from=3", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "records")), 0);
    assert_int_equal(number(answer.json, "next"), 3);
    expect_bytes(t, "GET /v1/state/log/records?raw=1&from=2", "three");
    refused(t, "GET /v1/state/log/records?raw=1&from=3", NULL, NULL, 404, "record_unknown");
    testing_send(t, "DELETE /v1/state/log?before=2", NULL, 200, &answer);
    refused(t, "GET /v1/state/log/records?raw=1&from=1", NULL, NULL, 404, "record_unknown");
    testing_send(t, "GET /v1/state/log/records", NULL, 200, &answer);
    assert_int_equal(number(json_array_get(json_object_get(answer.json, "records"), 0), "index"),
                     2);
    testing_forget_answer(&answer);
}

static void
test_a_log_of_which_nothing_is_left_tells_where_to_go_on(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    for (unsigned i = 0; i < 3; i++)
        testing_send_as(t, t->acme, "POST /v1/state/log/append", "one", 200);
    testing_send(t, "DELETE /v1/state/log?before=3", NULL, 200, &answer);
    testing_send(t, "GET /v1/state/log/records?from=1", NULL, 200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "records")), 0);
    assert_int_equal(number(answer.json, "next"), 3);
    testing_forget_answer(&answer);
}

static void
test_a_log_is_no_value_and_a_value_no_log(void **state)
{
    struct testing *t = *state;

    testing_send_as(t, t->acme, "POST /v1/state/log/append", "one", 200);
    testing_send_as(t, t->acme, "PUT /v1/state/value", "12345678", 200);
    refused(t, "GET /v1/state/log", NULL, NULL, 409, "state_is_log");
    refused(t, "PUT /v1/state/log", NULL, "v", 409, "state_is_log");
    refused(t, "POST /v1/state/log/add", NULL, "{\"add\":1}", 409, "state_is_log");
    refused(t, "POST /v1/state/value/append", NULL, "r", 409, "state_is_value");
    refused(t, "GET /v1/state/value/records", NULL, NULL, 409, "state_is_value");
    refused(t, "DELETE /v1/state/value?before=1", NULL, NULL, 409, "state_is_value");
    expect_bytes(t, "GET /v1/state/value", "12345678");
    expect_bytes(t, "GET /v1/state/log/records?raw=1", "one");
}

static void
test_a_record_that_is_too_large_is_refused(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char *record = calloc(1, TIER_RECORD_BYTES_MAX + 2);

    assert_non_null(record);
    (void)memset(record, 'r', TIER_RECORD_BYTES_MAX + 1);
    refused(t, "POST /v1/state/log/append", NULL, record, 413, "too_large");
    refused(t, "GET /v1/state/log/records", NULL, NULL, 404, "state_unknown");
    record[TIER_RECORD_BYTES_MAX] = '\0';
    testing_send(t, "POST /v1/state/log/append", record, 200, &answer);
    testing_send(t, "GET /v1/state/log/records?raw=1", NULL, 200, &answer);
    assert_int_equal(answer.body.count, TIER_RECORD_BYTES_MAX);
    testing_forget_answer(&answer);
    free(record);
}

static void
test_numbers_are_added_to(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    int64_t found;

    testing_send(t, "POST /v1/state/n/add", "{\"add\":5}", 200, &answer);
    assert_int_equal(number(answer.json, "sum"), 5);
    testing_send(t, "POST /v1/state/n/add", "{\"add\":-7}", 200, &answer);
    assert_int_equal(number(answer.json, "sum"), -2);
    testing_send(t, "GET /v1/state/n", NULL, 200, &answer);
    assert_int_equal(answer.body.count, 8);
    (void)memcpy(&found, answer.body.bytes, sizeof(found));
    assert_int_equal(found, -2);
    testing_send(t, "POST /v1/state/f/add", "{\"add\":0.1,\"as\":\"f64\",\"size\":16}", 200,
                 &answer);
    assert_true(json_real_value(json_object_get(answer.json, "sum")) == 0.1);
    testing_send(t, "POST /v1/state/f/add", "{\"add\":1,\"as\":\"f64\",\"offset\":8}", 200,
                 &answer);
    assert_true(json_number_value(json_object_get(answer.json, "sum")) == 1);
    testing_send(t, "POST /v1/state/f/add", "{\"add\":1e308,\"as\":\"f64\",\"size\":0}", 200,
                 &answer);
    testing_send(t, "POST /v1/state/f/add", "{\"add\":1e308,\"as\":\"f64\",\"size\":0}", 200,
                 &answer);
    assert_string_equal(testing_text(answer.json, "sum"), "inf");
    testing_forget_answer(&answer);
}

static void
test_what_cannot_be_added_is_refused(void **state)
{
    struct testing *t = *state;

    testing_send_as(t, t->acme, "PUT /v1/state/v", "0123456789abcdef", 200);
    refused(t, "POST /v1/state/v/add", NULL, "{}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/add", NULL, "{\"add\":\"1\"}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/add", NULL, "{\"add\":1.5}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/add", NULL, "{\"add\":1,\"as\":\"u8\"}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/add", NULL, "{\"add\":1}", 409, "size_differs");
    refused(t, "POST /v1/state/v/add", NULL, "{\"add\":1,\"offset\":9}", 400, "state_invalid");
    refused(t, "POST /v1/state/w/add", NULL, "{\"add\":1,\"size\":0}", 404, "state_unknown");
    refused(t, "POST /v1/state/w/add", NULL, "{\"add\":1,\"size\":7}", 400, "state_invalid");
    refused(t, "POST /v1/state/w/add", NULL, "{\"add\":1,\"size\":9007199254740992}", 413,
            "too_large");
    expect_bytes(t, "GET /v1/state/v", "0123456789abcdef");
    refused(t, "GET /v1/state/w", NULL, NULL, 404, "state_unknown");
}

/* --------------------------------------------------------------------------- lifetimes */

static void
test_how_long_it_lives_is_changed_alone(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    json_int_t version;

    testing_send(t, "PUT /v1/state/v", "bytes", 200, &answer);
    version = number(answer.json, "version");
    testing_send(t, "POST /v1/state/v/expire", "{\"lives_s\":1000}", 200, &answer);
    assert_int_equal(number(answer.json, "lives_s"), 1000);
    assert_int_equal(number(answer.json, "version"), version);
    testing_send(t, "HEAD /v1/state/v", NULL, 200, &answer);
    assert_true(atoi(testing_header(&answer, "Weft-Lives")) > 900);
    expect_bytes(t, "GET /v1/state/v", "bytes");
    testing_send(t, "POST /v1/state/v/expire", "{\"lives_s\":0}", 200, &answer);
    assert_true(json_is_null(json_object_get(answer.json, "lives_s")));
    testing_send(t, "HEAD /v1/state/v", NULL, 200, &answer);
    assert_string_equal(testing_header(&answer, "Weft-Lives"), "");
    testing_send(t, "POST /v1/state/log/append", "r", 200, &answer);
    testing_send(t, "POST /v1/state/log/expire", "{\"lives_s\":7}", 200, &answer);
    testing_forget_answer(&answer);
    refused(t, "POST /v1/state/none/expire", NULL, "{\"lives_s\":7}", 404, "state_unknown");
    refused(t, "POST /v1/state/v/expire", NULL, "{}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/expire", NULL, "{\"lives_s\":-1}", 400, "field_invalid");
    refused(t, "POST /v1/state/v/expire", NULL, "{\"lives_s\":1000000001}", 400, "field_invalid");
}

/* ----------------------------------------------------------------------------- watches */

struct watcher {
    struct testing *t;
    pthread_t thread;
    char path[128];
    struct testing_answer answer;
};

static void *
watch(void *object)
{
    struct watcher *watcher = object;
    CURL *curl = curl_easy_init();

    testing_ask_with(
        curl, watcher->t->url,
        &(struct testing_ask){.method = "GET", .path = watcher->path, .token = watcher->t->acme},
        &watcher->answer);
    curl_easy_cleanup(curl);
    return NULL;
}

static void
start_watch(struct testing *t, struct watcher *watcher, const char *key, json_int_t version)
{
    *watcher = (struct watcher){.t = t};
    (void)snprintf(watcher->path, sizeof(watcher->path),
                   "/v1/state/%s/watch?wait_ms=100000&version=%lld", key, version);
    assert_int_equal(pthread_create(&watcher->thread, NULL, watch, watcher), 0);
}

static void
await_waiting(struct testing *t, uint32_t count)
{
    struct tier_usage usage;

    do {
        (void)sched_yield();
        tier_usage(t->tier, &usage);
    } while (usage.waiting != count);
}

static void
expect_watch(struct watcher *watcher, const char *what, json_int_t version)
{
    (void)pthread_join(watcher->thread, NULL);
    assert_int_equal(watcher->answer.status, 200);
    assert_string_equal(testing_text(watcher->answer.json, "what"), what);
    assert_int_equal(number(watcher->answer.json, "version"), version);
    testing_forget_answer(&watcher->answer);
}

static void
test_those_who_watch_hold_no_thread_and_are_told(void **state)
{
    struct testing *t = *state;
    struct watcher watchers[WATCHERS];
    struct testing_answer answer = {0};
    json_int_t version;

    testing_send(t, "PUT /v1/state/w", "one", 200, &answer);
    version = number(answer.json, "version");
    for (unsigned i = 0; i < WATCHERS; i++)
        start_watch(t, &watchers[i], "w", version);
    await_waiting(t, WATCHERS);
    testing_send(t, "PUT /v1/state/other", "x", 200, &answer);
    testing_send(t, "PUT /v1/state/w", "two", 200, &answer);
    assert_int_equal(number(answer.json, "version"), version + 1);
    for (unsigned i = 0; i < WATCHERS; i++)
        expect_watch(&watchers[i], "changed", version + 1);
    testing_forget_answer(&answer);
}

/* A client that goes away in the middle. */
static int
connect_to(const struct testing *t)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;

    assert_int_equal(sscanf(t->url, "http://127.0.0.1:%u", &port), 1);
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
test_who_goes_away_is_not_watched_for(void **state)
{
    struct testing *t = *state;
    char text[512];
    int fd = connect_to(t);

    (void)snprintf(text, sizeof(text),
                   "GET /v1/state/nothing/watch?wait_ms=300000 HTTP/1.1\r\nHost: x\r\n"
                   "Authorization: Bearer %s\r\n\r\n",
                   t->acme);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    await_waiting(t, 1);
    assert_int_equal(close(fd), 0);
    await_waiting(t, 0);
}

static void
test_a_watch_tells_what_is_there_what_comes_and_what_goes(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct watcher watcher;
    json_int_t version;

    start_watch(t, &watcher, "new", 0);
    await_waiting(t, 1);
    testing_send(t, "PUT /v1/state/new", "one", 200, &answer);
    version = number(answer.json, "version");
    expect_watch(&watcher, "changed", version);
    start_watch(t, &watcher, "new", 0);
    expect_watch(&watcher, "changed", version);
    start_watch(t, &watcher, "new", version);
    await_waiting(t, 1);
    testing_send(t, "DELETE /v1/state/new", NULL, 200, &answer);
    expect_watch(&watcher, "gone", 0);
    testing_send(t, "POST /v1/state/log/append", "r", 200, &answer);
    testing_send(t, "GET /v1/state/log/watch?version=1&wait_ms=0", NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "what"), "same");
    assert_int_equal(number(answer.json, "version"), 1);
    testing_send(t, "GET /v1/state/log/watch?version=1&wait_ms=5", NULL, 200, &answer);
    assert_string_equal(testing_text(answer.json, "what"), "same");
    refused(t, "GET /v1/state/log/watch?wait_ms=300001", NULL, NULL, 400, "query_invalid");
    refused(t, "GET /v1/state/log/watch?version=x", NULL, NULL, 400, "query_invalid");
    testing_forget_answer(&answer);
}

static void
test_the_end_of_the_gateway_ends_a_watch(void **state)
{
    struct testing *t = *state;
    struct watcher watcher;

    start_watch(t, &watcher, "w", 0);
    await_waiting(t, 1);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    t->gateway = NULL;
    (void)pthread_join(watcher.thread, NULL);
    assert_int_equal(watcher.answer.status, 503);
    assert_string_equal(testing_code(&watcher.answer), "ending");
    testing_forget_answer(&watcher.answer);
}

/* The tier answers a request that is gone. */
static void
test_a_client_that_goes_is_forgotten_before_its_answer(void **state)
{
    struct testing *t = *state;
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *port = strrchr(t->url, ':');
    char text[512];
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)atoi(port + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)snprintf(text, sizeof(text),
                   "GET /v1/state/w/watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
                   t->acme);
    assert_int_equal(write(client, text, strlen(text)), strlen(text));
    await_waiting(t, 1);
    (void)close(client);
    while (atomic_load(&t->gateway->requests) > 0)
        (void)sched_yield();
    testing_send_as(t, t->acme, "PUT /v1/state/w", "v", 200);
    await_waiting(t, 0);
}

/* ------------------------------------------------------------------------------ tenants */

static void
test_a_tenant_has_keys_of_its_own(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send_as(t, t->acme, "PUT /v1/state/shared", "acme's", 200);
    testing_send_as(t, t->other, "GET /v1/state/shared", NULL, 404);
    testing_send_as(t, t->other, "PUT /v1/state/shared", "other's", 200);
    testing_send_as(t, t->other, "DELETE /v1/state/shared", NULL, 200);
    expect_bytes(t, "GET /v1/state/shared", "acme's");
    testing_send_as(t, t->other, "GET /v1/state/shared?tenant=acme", NULL, 404);
    testing_send_as(t, t->other, "PUT /v1/state/..%2Facme%2Fshared", "v", 200);
    testing_send_as(t, t->other, "PUT /v1/state/acme%00shared", "v", 400);
    expect_bytes(t, "GET /v1/state/shared", "acme's");
    testing_expect(t,
                   &(struct testing_ask){.method = "GET", .path = "/v1/state", .token = t->other},
                   200, &answer);
    assert_int_equal(json_array_size(json_object_get(answer.json, "state")), 1);
    testing_send_as(t, t->reader, "GET /v1/state/shared", NULL, 200);
    testing_send_as(t, t->reader, "PUT /v1/state/shared", "v", 403);
    testing_send_as(t, t->reader, "POST /v1/state/shared/add", "{\"add\":1}", 403);
    testing_send_as(t, t->admin, "GET /v1/state/shared?tenant=acme", NULL, 200);
    testing_send_as(t, t->admin, "PUT /v1/state/shared?tenant=*", "v", 400);
    testing_forget_answer(&answer);
}

static void
test_a_tenant_that_is_removed_has_no_state_when_it_comes_back(void **state)
{
    struct testing *t = *state;

    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{}", 200);
    testing_send_as(t, t->admin, "PUT /v1/state/mine?tenant=new", "v", 200);
    testing_send_as(t, t->admin, "POST /v1/state/log/append?tenant=new", "v", 200);
    testing_send_as(t, t->acme, "PUT /v1/state/mine", "acme's", 200);
    testing_send_as(t, t->admin, "DELETE /v1/tenants/new", NULL, 200);
    testing_send_as(t, t->admin, "GET /v1/state/mine?tenant=new", NULL, 404);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{}", 200);
    testing_send_as(t, t->admin, "GET /v1/state/mine?tenant=new", NULL, 404);
    testing_send_as(t, t->admin, "GET /v1/state/log/records?tenant=new", NULL, 404);
    expect_bytes(t, "GET /v1/state/mine", "acme's");
}

static void
test_a_new_tenant_has_nothing_of_one_whose_removal_broke_off(void **state)
{
    struct testing *t = *state;
    char line[1100] = "PUT /v1/tenants/";

    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{}", 200);
    testing_send_as(t, t->admin, "PUT /v1/state/mine?tenant=new", "v", 200);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{\"priority\":1}", 200);
    testing_send_as(t, t->admin, "GET /v1/state/mine?tenant=new", NULL, 200);
    (void)memset(line + strlen(line), 'n', 1000);
    testing_send_as(t, t->admin, line, "{}", 400);
    assert_int_equal(catalog_tenant_remove(t->catalog, "new", NULL), 0);
    testing_send_as(t, t->admin, "PUT /v1/tenants/new", "{}", 200);
    testing_send_as(t, t->admin, "GET /v1/state/mine?tenant=new", NULL, 404);
}

static void
test_more_than_the_tenant_may_have_is_refused_and_changes_nothing(void **state)
{
    struct testing *t = *state;

    t->limits = (struct tier_limits){.keys = 2, .bytes = 20};
    testing_send_as(t, t->acme, "PUT /v1/state/a", "0123456789", 200);
    refused(t, "PUT /v1/state/b", NULL, "0123456789x", 409, "limit_reached");
    refused(t, "GET /v1/state/b", NULL, NULL, 404, "state_unknown");
    refused(t, "PUT /v1/state/a", NULL, "0123456789abcdefghijk", 409, "limit_reached");
    expect_bytes(t, "GET /v1/state/a", "0123456789");
    testing_send_as(t, t->acme, "POST /v1/state/b/append", "01", 200);
    refused(t, "PUT /v1/state/c", NULL, "", 409, "limit_reached");
    refused(t, "POST /v1/state/c/add", NULL, "{\"add\":1}", 409, "limit_reached");
    testing_send_as(t, t->acme, "DELETE /v1/state/b", NULL, 200);
    testing_send_as(t, t->acme, "PUT /v1/state/c", "0123456789", 200);
}

static void
test_a_cluster_without_a_tier_says_so(void **state)
{
    struct testing *t = *state;
    struct tier *tier = t->tier;

    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    t->tier = NULL;
    testing_open_gateway(t, NULL, NULL);
    refused(t, "GET /v1/state", NULL, NULL, 404, "state_unavailable");
    refused(t, "GET /v1/state/k", NULL, NULL, 404, "state_unavailable");
    refused(t, "PUT /v1/state/k", NULL, "v", 404, "state_unavailable");
    refused(t, "POST /v1/state/k/add", NULL, "{\"add\":1}", 404, "state_unavailable");
    testing_send_as(t, t->admin, "GET /metrics", NULL, 200);
    t->tier = tier;
}

static void
test_metrics_count_state_for_who_runs_the_cluster(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send_as(t, t->acme, "PUT /v1/state/k", "0123456789", 200);
    testing_send_as(t, t->acme, "GET /v1/state/k", NULL, 200);
    testing_send_as(t, t->acme, "POST /v1/state/l/append", "r", 200);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/metrics", .token = t->admin},
                   200, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "\nweft_state_pushes_total 1\n"));
    assert_non_null(strstr((char *)answer.body.bytes, "\nweft_state_pushed_bytes_total 10\n"));
    assert_non_null(strstr((char *)answer.body.bytes, "\nweft_state_pulled_bytes_total 10\n"));
    assert_non_null(strstr((char *)answer.body.bytes, "\nweft_state_appends_total 1\n"));
    assert_non_null(strstr((char *)answer.body.bytes, "# TYPE weft_state_locks gauge\n"));
    testing_send(t, "GET /metrics", NULL, 200, &answer);
    assert_null(strstr((char *)answer.body.bytes, "weft_state_pushes"));
    testing_forget_answer(&answer);
}

static bool
has_line(const struct testing_answer *answer, const char *line)
{
    return strstr((char *)answer->body.bytes, line) != NULL;
}

static void
test_metrics_tell_what_a_tenant_has_to_it_alone(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};

    testing_send_as(t, t->acme, "PUT /v1/state/k", "0123456789", 200);
    testing_send_as(t, t->acme, "POST /v1/state/l/append", "rec", 200);
    testing_send_as(t, t->other, "PUT /v1/state/k", "x", 200);
    testing_expect(t, &(struct testing_ask){.method = "GET", .path = "/metrics", .token = t->admin},
                   200, &answer);
    assert_true(has_line(&answer, "\nweft_state_bytes{tenant=\"acme\"} 13\n"));
    assert_true(has_line(&answer, "\nweft_state_keys{tenant=\"acme\"} 2\n"));
    assert_true(has_line(&answer, "\nweft_state_bytes{tenant=\"other\"} 1\n"));
    assert_true(has_line(&answer, "\nweft_state_local_entries{tenant=\"acme\"} 0\n"));
    assert_true(has_line(&answer, "\n# TYPE weft_state_local_hits_total counter\n"));
    testing_send(t, "DELETE /v1/state/k", NULL, 200, &answer);
    testing_send(t, "GET /metrics", NULL, 200, &answer);
    assert_true(has_line(&answer, "\nweft_state_bytes{tenant=\"acme\"} 3\n"));
    assert_true(has_line(&answer, "\nweft_state_keys{tenant=\"acme\"} 1\n"));
    assert_false(has_line(&answer, "tenant=\"other\""));
    testing_forget_answer(&answer);
}

static const struct CMUnitTest tests[] = {
    TEST(test_a_value_is_put_read_and_removed),
    TEST(test_a_part_of_a_value_is_read),
    TEST(test_a_large_value_comes_back_as_it_was),
    TEST(test_what_is_too_large_for_one_answer_is_read_in_parts),
    TEST(test_a_change_has_the_condition_that_its_header_names),
    TEST(test_a_key_may_have_any_character_that_is_escaped),
    TEST(test_a_key_that_is_none_is_refused),
    TEST(test_keys_are_listed_page_by_page),
    TEST(test_what_looks_like_a_path_of_state_is_unescaped_in_a_query),
    TEST(test_a_log_has_records),
    TEST(test_a_log_of_which_nothing_is_left_tells_where_to_go_on),
    TEST(test_a_log_is_no_value_and_a_value_no_log),
    TEST(test_a_record_that_is_too_large_is_refused),
    TEST(test_numbers_are_added_to),
    TEST(test_what_cannot_be_added_is_refused),
    TEST(test_how_long_it_lives_is_changed_alone),
    TEST(test_who_goes_away_is_not_watched_for),
    TEST(test_metrics_tell_what_a_tenant_has_to_it_alone),
    TEST(test_those_who_watch_hold_no_thread_and_are_told),
    TEST(test_a_watch_tells_what_is_there_what_comes_and_what_goes),
    TEST(test_the_end_of_the_gateway_ends_a_watch),
    TEST(test_a_client_that_goes_is_forgotten_before_its_answer),
    TEST(test_a_tenant_has_keys_of_its_own),
    TEST(test_a_tenant_that_is_removed_has_no_state_when_it_comes_back),
    TEST(test_a_new_tenant_has_nothing_of_one_whose_removal_broke_off),
    TEST(test_more_than_the_tenant_may_have_is_refused_and_changes_nothing),
    TEST(test_a_cluster_without_a_tier_says_so),
    TEST(test_metrics_count_state_for_who_runs_the_cluster),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
