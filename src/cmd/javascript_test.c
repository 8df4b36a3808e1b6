/* SPDX-License-Identifier: Apache-2.0
 *
 * JavaScript functions, all the way: a file as the text of an argument, QuickJS saved at its
 * first read of standard input by a cell, calls from there, calls of calls.
 */
#include "cmd/engine_testing.h"

#include <sys/stat.h>

#define JAVASCRIPT_MODULE "build/share/javascript.wasm"
#define JAVASCRIPT_IMAGE  "build/programs/javascript.image"

static int
make_args(const char *path, struct buffer *text, const char *args[ENGINE_ARGS], struct diag *diag)
{
    int err = cmd_source_read(path, text, diag);

    buffer_append(text, "", 1);
    args[0] = "javascript";
    args[1] = strrchr(path, '/') + 1;
    args[2] = (const char *)text->bytes;
    return err != 0 ? err : text->err;
}

static const struct engine engine = {"js", make_args};

/* --------------------------------------------------------------------------- tests */

static void
test_a_file_runs_once_and_its_handler_in_every_call(void **state)
{
    struct worker_function *function =
        deploy("count", "import * as weft from 'weft';\n"
                        "const loads = [];\n"
                        "loads.push('once');\n"
                        "export function handler(data) {\n"
                        "    loads.push(weft.text(data));\n"
                        "    if (data !== weft.input()) throw new Error('another');\n"
                        "    return loads.join(' ') + ' \u00fc';\n"
                        "}\n");

    (void)state;
    expect(function, "a", "once a \u00fc");
    expect(function, "b", "once b \u00fc"); /* nothing of a is left */
    expect(function, "", "once  \u00fc");
}

static void
test_what_a_handler_returns_is_the_result(void **state)
{
    struct worker_function *function =
        deploy("kinds", "import * as weft from 'weft';\n"
                        "export default (data) => {\n"
                        "    switch (weft.text(data)) {\n"
                        "    case 'bytes': return new Uint8Array([0x41, 0x42]);\n"
                        "    case 'buffer': return new Uint8Array([0x41, 0x42]).buffer;\n"
                        "    case 'text': return 'gr\u00fc\u00df \U0001f40d';\n"
                        "    case 'json': return {a: [1, null]};\n"
                        "    case 'null': return null;\n"
                        "    case 'both': weft.output('one '); return 'two';\n"
                        "    case 'print': print('printed', 1, [2]);\n"
                        "    }\n"
                        "};\n");
    struct testing_end end;

    (void)state;
    expect(function, "bytes", "AB");
    expect(function, "buffer", "AB");
    expect(function, "text", "gr\u00fc\u00df \U0001f40d");
    expect(function, "json", "{\"a\":[1,null]}");
    expect(function, "null", "null");
    expect(function, "both", "one two");
    expect(function, "print", "");
    (void)ask(function, "print", &end);
    assert_string_equal(end.output, "printed 1 [2]\n");
}

static void
test_json_goes_in_and_out_and_handlers_may_be_async(void **state)
{
    struct worker_function *json = deploy(
        "json",
        "export async function handleJson(value) {\n"
        "    await null;\n"
        "    return Object.fromEntries(Object.entries(value ?? {}).map(([k, v]) => [k, v + v]));\n"
        "}\n");
    struct worker_function *never =
        deploy("never", "export const handler = () => new Promise(() => {});\n");
    struct testing_end end;

    (void)state;
    expect(json, "{\"a\": 1, \"b\": \"x\"}", "{\"a\":2,\"b\":\"xx\"}");
    expect(json, "", "{}");
    assert_int_equal(ask(never, "", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "its promise is not settled"));
}

static void
test_what_fails_is_told_with_the_lines_of_the_file(void **state)
{
    struct worker_function *function =
        deploy("fails",
               "import * as weft from 'weft';\n"
               "export function handler(data) {\n"
               "    weft.log('begins\\nhere');\n"
               "    console.error('and', {on: true});\n"
               "    if (weft.text(data) === 'exit') weft.exit(3);\n"
               "    if (weft.text(data) === 'deep') return (function f() { return f() + 1; })();\n"
               "    if (weft.text(data) === 'json') JSON.parse('{');\n"
               "    throw new TypeError('bad ' + weft.text(data));\n"
               "}\n");
    struct testing_end end;

    (void)state;
    assert_int_equal(ask(function, "luck", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "info: begins here\nand {\"on\":true}\n"));
    assert_non_null(strstr(end.log, "TypeError: bad luck\n"));
    assert_non_null(strstr(end.log, "fails.js:8:"));
    assert_null(strstr(end.log, "weft:"));
    assert_int_equal(ask(function, "exit", &end)->exit_code, 3);
    assert_int_equal(ask(function, "json", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "SyntaxError"));
    assert_int_equal(ask(function, "deep", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "RangeError: Maximum call stack size exceeded"));
}

static void
test_a_file_that_cannot_be_loaded_says_why(void **state)
{
    static const struct bad_file rows[] = {
        {"export function handler(data {\n}\n", "SyntaxError"},
        {"import * as nothing from './nothing.js';\n", "there is no module nothing.js"},
        {"const x = 1;\n", "exports neither handler(data) nor handleJson(value)"},
        {"import { missing } from 'weft';\nexport const handler = missing;\n", "missing"},
        {"throw new Error('at once');\n", "Error: at once"},
        {"await new Promise(() => {});\n", "awaits what never comes"},
    };

    (void)state;
    expect_bad_files(rows, ARRAY_COUNT(rows));
}

static void
test_no_two_calls_draw_the_same_numbers(void **state)
{
    struct worker_function *function =
        deploy("draw",
               "Math.random();\n"
               "export const handler = () =>\n"
               "    `${Math.random()} ${crypto.getRandomValues(new Uint32Array(2)).join(' ')}`;\n");
    struct testing_end one, two;

    (void)state;
    (void)ask(function, "", &one);
    (void)ask(function, "", &two);
    assert_true(strlen(one.result) > 20);
    for (const char *at = one.result; at[0] != '\0'; at += strspn(at, " ")) {
        char word[64];

        (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, " "), at);
        assert_null(strstr(two.result, word));
        at += strlen(word);
    }
}

static void
test_functions_call_functions(void **state)
{
    struct worker_function *square =
        deploy("square", "import { text } from 'weft';\n"
                         "export function handler(data) {\n"
                         "    const n = Number(text(data));\n"
                         "    if (Number.isNaN(n)) throw new Error('no number');\n"
                         "    return String(n * n);\n"
                         "}\n");
    struct worker_function *fan = deploy(
        "fan",
        "import * as weft from 'weft';\n"
        "export function handler(data) {\n"
        "    const calls = [];\n"
        "    for (let n = 0; n < Number(weft.text(data)); n++)\n"
        "        calls.push(weft.chain('square', String(n)));\n"
        "    return String(weft.gather(calls).reduce((sum, r) => sum + Number(weft.text(r)), 0));\n"
        "}\n");

    (void)state;
    expect(square, "12", "144");
    expect(fan, "0", "0");
    expect(fan, "3", "5");
    expect(fan, "300", "8955050");
}

static void
test_how_other_calls_fail_is_an_exception(void **state)
{
    struct worker_function *function =
        deploy("asks",
               "import * as weft from 'weft';\n"
               "function attempt(name, data) {\n"
               "    try {\n"
               "        return weft.text(weft.await(weft.chain(name, data)));\n"
               "    } catch (error) {\n"
               "        return error instanceof weft.WeftError ? `${error.status} ${error.code}` : "
               "`${error}`;\n"
               "    }\n"
               "}\n"
               "export function handler(data) {\n"
               "    if (weft.text(data) === 'say') return void print('said');\n"
               "    const call = weft.chain('asks', 'say');\n"
               "    const said = call.start().text(60);\n"
               "    call.close();\n"
               "    const many = weft.gather(['2', 'x', '3'].map((n) => weft.chain('square', n)),\n"
               "                             {returnErrors: true});\n"
               "    return [attempt('square', '5'), attempt('square', 'x'), attempt('bad name'),\n"
               "            attempt('nobody'), said, many.map((one) => one.constructor.name)];\n"
               "}\n");
    struct testing_end end;

    (void)state;
    (void)ask(function, "", &end);
    assert_string_equal(end.result, "[\"25\",\"exit 1\",\"failed 28\",\"failed 44\",\"said\\n\","
                                    "[\"Uint8Array\",\"WeftError\",\"Uint8Array\"]]");
}

static void
test_a_call_knows_who_it_is_and_how_long_it_may_run(void **state)
{
    struct worker_function *function = deploy(
        "who", "import * as weft from 'weft';\n"
               "export function handler(data) {\n"
               "    if (weft.text(data) === 'sleep') for (;;);\n"
               "    const who = weft.identity();\n"
               "    let late = '';\n"
               "    const call = weft.chain('who', 'sleep');\n"
               "    try { call.result(0.01); } catch (error) { late = error.message; }\n"
               "    call.close();\n"
               "    return [who.function, who.tenant, who.version, weft.deadlineLeft(), late];\n"
               "}\n");

    (void)state;
    expect(function, "", "[\"who\",\"a\",\"1\",null,\"who has not ended after 0.01 s\"]");
}

static void
write_into(int folder, const char *name, const char *text)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static void
test_a_file_imports_the_functions_other_files(void **state)
{
    char folder[] = "/tmp/weft-files-XX"
                    "XX"
                    "XX";
    struct worker_function *function;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    files = (struct worker_directory){open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "/", true};
    assert_true(files.fd >= 0);
    write_into(files.fd, "helper.js", "export const shout = (text) => text.toUpperCase() + '!';\n");
    write_into(files.fd, "late.js", "export const value = 7;\n");
    write_into(files.fd, "words.txt", "some words");
    function = deploy(
        "files", "import * as weft from 'weft';\n"
                 "import { shout } from './helper.js';\n"
                 "export async function handler(data) {\n"
                 "    const late = await import('./late.js');\n"
                 "    let refused = '';\n"
                 "    try { weft.readFile('/none'); } catch (error) { refused = error.errno; }\n"
                 "    return [shout(weft.text(data)), late.value,\n"
                 "            weft.text(weft.readFile('/words.txt')), refused];\n"
                 "}\n");
    for (unsigned i = 0; i < 2; i++)
        expect(function, "hey", "[\"HEY!\",7,\"some words\",44]");
    (void)unlinkat(files.fd, "helper.js", 0);
    (void)unlinkat(files.fd, "late.js", 0);
    (void)unlinkat(files.fd, "words.txt", 0);
    (void)close(files.fd);
    (void)rmdir(folder);
    files.guest_path = NULL;
}

static void
test_inputs_and_results_may_be_large(void **state)
{
    static const char source[] = "export const handler = (data) => String(data.length);\n";
    static char input[1000001];

    (void)state;
    (void)memset(input, 'x', sizeof(input) - 1);
    expect(deploy("large", source), input, "1000000");
}

static void
test_the_examples_do_what_they_say(void **state)
{
    (void)state;
    expect(deploy_file("hello", "examples/hello.js"), "weft", "hello weft");
    expect(deploy_file("fanout", "examples/fanout.js"), "{\"below\": 10000, \"calls\": 100}",
           "1229");
    expect(deploy_file("NAME", "guest/templates/javascript/main.js"), "{\"name\": \"you\"}",
           "{\"greeting\":\"hello you\"}");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_runs_once_and_its_handler_in_every_call),
        cmocka_unit_test(test_what_a_handler_returns_is_the_result),
        cmocka_unit_test(test_json_goes_in_and_out_and_handlers_may_be_async),
        cmocka_unit_test(test_what_fails_is_told_with_the_lines_of_the_file),
        cmocka_unit_test(test_a_file_that_cannot_be_loaded_says_why),
        cmocka_unit_test(test_no_two_calls_draw_the_same_numbers),
        cmocka_unit_test(test_functions_call_functions),
        cmocka_unit_test(test_how_other_calls_fail_is_an_exception),
        cmocka_unit_test(test_a_call_knows_who_it_is_and_how_long_it_may_run),
        cmocka_unit_test(test_a_file_imports_the_functions_other_files),
        cmocka_unit_test(test_inputs_and_results_may_be_large),
        cmocka_unit_test(test_the_examples_do_what_they_say),
    };
    int failed;

    if (access(JAVASCRIPT_MODULE, R_OK) != 0) {
        (void)fprintf(stderr, "skipped: there is no QuickJS (make javascript)\n");
        return 77;
    }
    if (!engine_open(&engine, JAVASCRIPT_MODULE, JAVASCRIPT_IMAGE))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    engine_close();
    return failed;
}
