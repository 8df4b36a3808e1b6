/* SPDX-License-Identifier: Apache-2.0
 *
 * What strangers send, without a gateway: JSON, base64, escapes, descriptions, answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/json.h"
#include "gateway/parse.h"

static bool
is_valid(const char *text)
{
    return gateway_json_is_valid((const uint8_t *)text, strlen(text));
}

static void
test_what_is_json_is_known_from_what_is_not(void **state)
{
    static const char *const good[] = {
        "null",
        " true ",
        "false",
        "0",
        "-0.5e+10",
        "12E-3",
        "\"\"",
        "\"a\\u00e9\\n\\\"\"",
        "[]",
        "{}",
        "[1,[2,{}],{\"a\":[]}]",
        "{\"a\":{\"b\":null},\"c\":[1, 2 ]}\n",
        "\"\xc3\xa9\"",
    };
    static const char *const bad[] = {
        "",         " ",          "nul",       "01",      "1.",          ".5",        "-",
        "1e",       "+1",         "\"",        "\"\\x\"", "\"\\u12g4\"", "\"\n\"",    "[",
        "]",        "[1,]",       "[,1]",      "[1 2]",   "{",           "{a:1}",     "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}", "[}",      "{]",          "1 2",       "[] []",
        "\"\xff\"", "\"\xc3\"",   "NaN",       "'a'",     "[1}",         "{\"a\":1]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        if (!is_valid(good[i]))
            fail_msg("%s is JSON", good[i]);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (is_valid(bad[i]))
            fail_msg("%s is none", bad[i]);
    assert_false(gateway_json_is_valid((const uint8_t *)"1\0", 2));
}

static void
test_json_that_is_too_deep_is_none(void **state)
{
    char *text = malloc(2 * (GATEWAY_JSON_DEPTH_MAX + 2));

    (void)state;
    assert_non_null(text);
    for (size_t depth = GATEWAY_JSON_DEPTH_MAX - 1; depth <= GATEWAY_JSON_DEPTH_MAX + 1; depth++) {
        (void)memset(text, '[', depth);
        text[depth] = '1';
        (void)memset(text + depth + 1, ']', depth);
        assert_int_equal(gateway_json_is_valid((uint8_t *)text, 2 * depth + 1),
                         depth <= GATEWAY_JSON_DEPTH_MAX);
    }
    free(text);
}

static void
test_what_is_written_is_read_again(void **state)
{
    struct buffer out = {0};
    json_t *json;

    (void)state;
    gateway_json_open(&out, NULL, '{');
    gateway_json_text(&out, "te\"xt", "a\"b\\c\n\x01\x7f\xc3\xa9");
    gateway_json_bytes(&out, "bytes",
                       "a\xff"
                       "b\x00",
                       4);
    gateway_json_number(&out, "n", UINT64_C(1) << 60);
    gateway_json_integer(&out, "i", -5);
    gateway_json_decimal(&out, "d", 1763985600.123);
    gateway_json_id(&out, "id", UINT64_MAX);
    gateway_json_open(&out, "a", '[');
    gateway_json_bool(&out, NULL, true);
    gateway_json_null(&out, NULL);
    gateway_json_close(&out, ']');
    gateway_json_base64(&out, "b", "abcd", 4);
    gateway_json_close(&out, '}');
    assert_true(gateway_json_is_valid(out.bytes, out.count));
    json = json_loadb((char *)out.bytes, out.count, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "te\"xt")),
                        "a\"b\\c\n\x01\x7f\xc3\xa9");
    assert_int_equal(json_string_length(json_object_get(json, "bytes")), 6);
    assert_string_equal(json_string_value(json_object_get(json, "id")), "18446744073709551615");
    assert_string_equal(json_string_value(json_object_get(json, "b")), "YWJjZA==");
    assert_true(json_real_value(json_object_get(json, "d")) == 1763985600.123);
    assert_int_equal(json_array_size(json_object_get(json, "a")), 2);
    json_decref(json);
    buffer_fini(&out);
}

static void
check_base64(const char *text, int err, const char *wanted)
{
    struct buffer out = {0};

    assert_int_equal(gateway_base64_decode(text, strlen(text), &out), err);
    if (err == 0) {
        assert_int_equal(out.count, strlen(wanted));
        if (out.count > 0)
            assert_memory_equal(out.bytes, wanted, out.count);
    }
    buffer_fini(&out);
}

static void
test_base64_is_read_strictly(void **state)
{
    (void)state;
    check_base64("", 0, "");
    check_base64("YQ==", 0, "a");
    check_base64("YWI=", 0, "ab");
    check_base64("YWJj", 0, "abc");
    check_base64("YWJjZA==", 0, "abcd");
    check_base64("YQ", -EINVAL, "");
    check_base64("YQ=", -EINVAL, "");
    check_base64("Y===", -EINVAL, "");
    check_base64("YQ==YQ==", -EINVAL, "");
    check_base64("Y Q=", -EINVAL, "");
    check_base64("YW-_", -EINVAL, "");
}

static void
check_unescaped(const char *text, const char *wanted)
{
    char copy[64];

    (void)snprintf(copy, sizeof(copy), "%s", text);
    assert_int_equal(gateway_unescape(copy), strlen(wanted));
    assert_string_equal(copy, wanted);
}

static void
test_escapes_cut_nothing_off(void **state)
{
    (void)state;
    check_unescaped("a%20b%2Fc", "a b/c");
    check_unescaped("%41%zz%4", "A%zz%4");
    check_unescaped("%", "%");
    check_unescaped("a%00b", "a\xff"
                             "b");
}

static void
test_paths_stay_in_their_tree(void **state)
{
    static const char *const bad[] = {"",   "/",      "/a",  "a/",   "a//b", ".",
                                      "..", "a/../b", "a/.", "a\nb", "\xff", "./a"};

    (void)state;
    assert_true(gateway_path_is_good("a"));
    assert_true(gateway_path_is_good("a/b.txt"));
    assert_true(gateway_path_is_good("...a/..b/\xc3\xa9"));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (gateway_path_is_good(bad[i]))
            fail_msg("\"%s\" is no good path", bad[i]);
}

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
test_a_description_is_read_whole(void **state)
{
    static const char text[] =
        "{\"module\":\"" HASH "\",\"args\":[\"p\",\"-x\"],\"snapshot\":\"fd_read:0\","
        "\"kind\":\"snapshot\",\"entry\":\"\",\"language\":\"python\",\"note\":\"n\","
        "\"limits\":{\"wall_ms\":1500,\"cpu_ms\":2,\"memory_bytes\":3,\"output_bytes\":4,\"files\":"
        "5,"
        "\"threads\":6},\"retry\":{\"attempts\":7,\"pause_ms\":8,\"only_if_lost\":true},\"ranks\":"
        "9,"
        "\"threads\":10,\"env\":{\"K\":\"V=W\"},\"secrets\":[\"S\"],\"files\":{\"/m\":\"" HASH
        "\"}}";
    struct gateway_spec spec;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(gateway_spec_read(text, strlen(text), &spec, &diag), 0);
    assert_true(spec.has_module && spec.version.module.bytes[1] == 0x11);
    assert_int_equal(spec.version.kind, CATALOG_SNAPSHOT);
    assert_string_equal(spec.snapshot, "fd_read:0");
    assert_int_equal(spec.version.arg_count, 2);
    assert_string_equal(spec.version.args[1], "-x");
    assert_string_equal(spec.version.env[0], "K=V=W");
    assert_string_equal(spec.version.secrets[0], "S");
    assert_string_equal(spec.version.files[0].path, "/m");
    assert_int_equal(spec.version.limits.wall_ns, 1500000000);
    assert_int_equal(spec.version.limits.threads, 6);
    assert_int_equal(spec.version.retry.pause_ns, 8000000);
    assert_true(spec.version.retry.only_if_lost);
    assert_int_equal(spec.version.ranks, 9);
    gateway_spec_fini(&spec);
}

static void
test_a_description_that_is_wrong_names_its_field(void **state)
{
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"", "no JSON"},
        {"[]", "object"},
        {"{\"surprise\":1}", "surprise"},
        {"{\"module\":\"12\"}", "module"},
        {"{\"module\":7}", "module"},
        {"{\"kind\":\"thing\"}", "kind"},
        {"{\"kind\":\"snapshot\"}", "snapshot"},
        {"{\"kind\":\"command\",\"snapshot\":\"\"}", "snapshot"},
        {"{\"args\":[1]}", "args"},
        {"{\"args\":{}}", "args"},
        {"{\"env\":{\"A\":1}}", "env"},
        {"{\"env\":{\"A=B\":\"x\"}}", "env"},
        {"{\"secrets\":\"S\"}", "secrets"},
        {"{\"files\":{\"/a\":\"x\"}}", "/a"},
        {"{\"files\":{\"/a\":\"" HASH "\",\"/b\":7}}", "/b"},
        {"{\"limits\":{\"wall\":1}}", "wall"},
        {"{\"limits\":{\"wall_ms\":-1}}", "wall_ms"},
        {"{\"limits\":{\"wall_ms\":1.5}}", "wall_ms"},
        {"{\"limits\":{\"files\":4294967296}}", "files"},
        {"{\"retry\":{\"only_if_lost\":1}}", "only_if_lost"},
        {"{\"ranks\":1,\"ranks\":2}", "duplicate"},
    };
    struct gateway_spec spec;
    struct diag diag;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        diag_init(&diag);
        assert_int_equal(gateway_spec_read(wrong[i].text, strlen(wrong[i].text), &spec, &diag),
                         -EINVAL);
        if (strstr(diag_text(&diag), wrong[i].part) == NULL)
            fail_msg("%s: \"%s\" does not name %s", wrong[i].text, diag_text(&diag), wrong[i].part);
    }
}

static void
check_reply(const char *text, int err)
{
    struct gateway_reply reply;
    int got = gateway_reply_read(text, strlen(text), &reply, NULL);

    if (got != err)
        fail_msg("%s: %d, not %d", text, got, err);
    if (got == 0)
        gateway_reply_fini(&reply);
}

static void
test_an_answer_of_a_trigger_cannot_break_the_wire(void **state)
{
    (void)state;
    check_reply("{\"status\":200,\"body\":\"x\"}", 0);
    check_reply("{\"status\":404,\"body_base64\":\"eA==\",\"headers\":{\"X-A\":\"b\"}}", 0);
    check_reply("hello", -ENOENT);
    check_reply("[1]", -ENOENT);
    check_reply("{\"status\":200}", -ENOENT);
    check_reply("{\"body\":\"x\"}", -ENOENT);
    check_reply("{\"status\":100,\"body\":\"x\"}", -EINVAL);
    check_reply("{\"status\":600,\"body\":\"x\"}", -EINVAL);
    check_reply("{\"status\":\"200\",\"body\":\"x\"}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"body_base64\":\"eA==\"}", -EINVAL);
    check_reply("{\"status\":200,\"body_base64\":\"!\"}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"headers\":{\"A\":\"b\\r\\nC: d\"}}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"headers\":{\"A: b\":\"c\"}}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"headers\":{\"\":\"c\"}}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"headers\":{\"Content-Length\":\"9\"}}", -EINVAL);
    check_reply("{\"status\":200,\"body\":\"x\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
                -EINVAL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_is_json_is_known_from_what_is_not),
    cmocka_unit_test(test_json_that_is_too_deep_is_none),
    cmocka_unit_test(test_what_is_written_is_read_again),
    cmocka_unit_test(test_base64_is_read_strictly),
    cmocka_unit_test(test_escapes_cut_nothing_off),
    cmocka_unit_test(test_paths_stay_in_their_tree),
    cmocka_unit_test(test_a_description_is_read_whole),
    cmocka_unit_test(test_a_description_that_is_wrong_names_its_field),
    cmocka_unit_test(test_an_answer_of_a_trigger_cannot_break_the_wire),
};

int
main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
