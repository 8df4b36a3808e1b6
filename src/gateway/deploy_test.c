/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules become versions: through weft-compiler, with what is said of them.
 */
#include "gateway/gateway_testing.h"

static const char command[] = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
static const char library[] = "(module (memory (export \"memory\") 1)"
                              " (func (export \"handle\")) (func (export \"other\")))";

static void
assemble(const char *text, struct buffer *out)
{
    char source[] = "/tmp/weft-test-XXXXXX", line[256];
    uint8_t block[4096];
    size_t count;
    FILE *pipe;
    int fd = mkstemp(source);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)snprintf(line, sizeof(line), "wat2wasm --output=- %s", source);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    while ((count = fread(block, 1, sizeof(block), pipe)) > 0)
        buffer_append(out, block, count);
    assert_int_equal(pclose(pipe), 0);
    (void)close(fd);
    (void)unlink(source);
}

static void
put_module(struct testing *t, const char *path, const char *text, long status,
           struct testing_answer *answer)
{
    struct buffer module = {0};

    assemble(text, &module);
    testing_expect(t,
                   &(struct testing_ask){.method = "PUT",
                                         .path = path,
                                         .token = t->acme,
                                         .type = "application/wasm",
                                         .body = module.bytes,
                                         .count = module.count},
                   status, answer);
    buffer_fini(&module);
}

static void
put_description(struct testing *t, const char *path, const char *text, long status,
                struct testing_answer *answer)
{
    testing_expect(
        t,
        &(struct testing_ask){
            .method = "PUT", .path = path, .token = t->acme, .body = text, .count = strlen(text)},
        status, answer);
}

static bool
has_compiler(const struct testing *t)
{
    if (access(t->gateway->compiler, X_OK) == 0)
        return true;
    print_message("skipped: there is no %s; run make\n", t->gateway->compiler);
    return false;
}

static const json_t *
newest(struct testing *t, const char *function, struct testing_answer *answer)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "GET /v1/functions/%s", function);
    testing_send(t, line, NULL, 200, answer);
    return json_array_get(json_object_get(answer->json, "versions"), 0);
}

static void
test_a_module_becomes_a_version_that_is_called(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *version;

    if (!has_compiler(t))
        skip();
    put_module(t, "/v1/functions/hello?wall_ms=1500&memory=65536&attempts=2", command, 201,
               &answer);
    assert_string_equal(testing_text(answer.json, "function"), "hello");
    assert_int_equal(json_integer_value(json_object_get(answer.json, "version")), 1);
    assert_false(json_is_true(json_object_get(answer.json, "was_cached")));
    assert_int_equal(strlen(testing_text(answer.json, "image")), 64);
    assert_string_equal(testing_doubles.changed_function, "hello");
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    assert_int_equal(json_integer_value(json_object_get(answer.json, "version")), 2);
    assert_true(json_is_true(json_object_get(answer.json, "was_cached")));
    testing_send(t, "POST /v1/invoke/hello", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "hello");
    testing_send(t, "GET /v1/functions/hello", NULL, 200, &answer);
    version = json_array_get(json_object_get(answer.json, "versions"), 1);
    assert_string_equal(testing_text(version, "kind"), "command");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(version, "limits"), "wall_ms")), 1500);
    assert_string_equal(testing_text(version, "created_by"), "all");
    put_module(t, "/v1/functions/part?entry=handle", library, 201, &answer);
    assert_string_equal(testing_text(newest(t, "part", &answer), "kind"), "library");
    testing_forget_answer(&answer);
}

static void
test_a_module_that_is_none_is_told_why(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "PUT",
                              .path = "/v1/functions/bad",
                              .token = t->acme,
                              .type = "application/wasm",
                              .body = "not a module",
                              .count = 12};

    testing_expect(t, &ask, 400, &answer);
    assert_string_equal(testing_code(&answer), "module_invalid");
    ask.count = 0;
    testing_expect(t, &ask, 400, &answer);
    ask.type = "text/plain";
    testing_expect(t, &ask, 415, &answer);
    put_module(t, "/v1/functions/bad?entry=nothing", library, 400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "nothing"));
    put_module(t, "/v1/functions/bad?wall_ms=soon", command, 400, &answer);
    testing_send(t, "GET /v1/functions/bad", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

/* The hash of a blob that this tenant puts. */
static void
put_blob(struct testing *t, const char *text, char hash[65])
{
    struct testing_answer answer = {0};
    struct buffer module = {0};

    assemble(text, &module);
    testing_expect(t,
                   &(struct testing_ask){.method = "POST",
                                         .path = "/v1/blobs",
                                         .token = t->acme,
                                         .body = module.bytes,
                                         .count = module.count},
                   201, &answer);
    (void)snprintf(hash, 65, "%s", testing_text(answer.json, "hash"));
    buffer_fini(&module);
    testing_forget_answer(&answer);
}

static void
test_a_description_becomes_a_version_with_all_it_says(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *version;
    char hash[65], text[1024];

    if (!has_compiler(t))
        skip();
    put_blob(t, command, hash);
    (void)snprintf(
        text, sizeof(text),
        "{\"module\":\"%s\",\"args\":[\"p\",\"-v\"],\"language\":\"c\",\"note\":\"first\","
        "\"env\":{\"K\":\"V\"},\"files\":{\"/data/m\":\"%s\"},\"ranks\":2,"
        "\"retry\":{\"attempts\":3,\"pause_ms\":10}}",
        hash, hash);
    put_description(t, "/v1/functions/told", text, 201, &answer);
    version = newest(t, "told", &answer);
    assert_string_equal(testing_text(version, "note"), "first");
    assert_string_equal(testing_text(version, "module"), hash);
    assert_string_equal(testing_text(json_object_get(version, "env"), "K"), "V");
    assert_string_equal(testing_text(json_object_get(version, "files"), "/data/m"), hash);
    assert_string_equal(json_string_value(json_array_get(json_object_get(version, "args"), 1)),
                        "-v");
    put_description(t, "/v1/functions/told", "{\"note\":\"same module\"}", 201, &answer);
    assert_string_equal(testing_text(newest(t, "told", &answer), "module"), hash);
    put_description(t, "/v1/functions/untold", "{\"note\":\"of nothing\"}", 404, &answer);
    put_description(t, "/v1/functions/told", "{\"secrets\":[\"NOBODY\"]}", 404, &answer);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"kind\":\"king\"}", hash);
    put_description(t, "/v1/functions/told", text, 400, &answer);
    assert_string_equal(testing_code(&answer), "field_invalid");
    /* Its blob is another tenant's: nobody's. */
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\"}", hash);
    testing_send_as(t, t->other, "PUT /v1/functions/told", text, 404);
    testing_forget_answer(&answer);
}

static void
test_a_snapshot_is_made_by_a_host_and_kept(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char hash[65], text[256];
    const json_t *version;

    if (!has_compiler(t))
        skip();
    put_blob(t, command, hash);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"snapshot\":\"fd_read:0\"}", hash);
    put_description(t, "/v1/functions/frozen", text, 201, &answer);
    assert_int_equal(strlen(testing_text(answer.json, "proto")), 64);
    version = newest(t, "frozen", &answer);
    assert_string_equal(testing_text(version, "kind"), "snapshot");
    put_description(t, "/v1/functions/fail", text, 400, &answer);
    assert_string_equal(testing_code(&answer), "snapshot_failed");
    assert_non_null(strstr((char *)answer.body.bytes, "it never came there"));
    testing_forget_answer(&answer);
}

static void
test_what_one_planner_compiled_another_finds(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char cache[96], gone[96];

    if (!has_compiler(t))
        skip();
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    (void)snprintf(cache, sizeof(cache), "%s/cache", t->directory);
    (void)snprintf(gone, sizeof(gone), "%s/gone", t->directory);
    assert_int_equal(rename(cache, gone), 0);
    testing_open_gateway(t, NULL, NULL);
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    assert_true(json_is_true(json_object_get(answer.json, "was_cached")));
    assert_true(json_number_value(json_object_get(answer.json, "compile_ms")) == 0);
    testing_forget_answer(&answer);
}

static const struct CMUnitTest tests[] = {
    TEST(test_a_module_becomes_a_version_that_is_called),
    TEST(test_a_module_that_is_none_is_told_why),
    TEST(test_a_description_becomes_a_version_with_all_it_says),
    TEST(test_a_snapshot_is_made_by_a_host_and_kept),
    TEST(test_what_one_planner_compiled_another_finds),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
