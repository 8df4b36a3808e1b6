/* SPDX-License-Identifier: Apache-2.0
 *
 * Python functions, all the way: the text that is made of a file, CPython saved at its
 * first read of standard input by a cell, calls from there, calls of calls.
 */
#include "cmd/engine_testing.h"

#include <sys/stat.h>

#define PYTHON_MODULE "build/npm/python-wasi-3.12.0/package/dist/python.wasm"
#define PYTHON_IMAGE  "build/programs/python.image"

/* CPython's arguments: -c and the text that is made of a file. */
static int
make_args(const char *path, struct buffer *text, const char *args[ENGINE_ARGS], struct diag *diag)
{
    int err = cmd_python_source(path, text, diag);

    buffer_append(text, "", 1);
    args[0] = "python";
    args[1] = "-c";
    args[2] = (const char *)text->bytes;
    return err != 0 ? err : text->err;
}

static const struct engine engine = {"py", make_args};

/* --------------------------------------------------------------------------- tests */

static void
test_a_file_runs_once_and_its_handler_in_every_call(void **state)
{
    struct worker_function *function = deploy("count", "import weft\n"
                                                       "loads = []\n"
                                                       "loads.append('once')\n"
                                                       "def handler(data):\n"
                                                       "    loads.append(data.decode())\n"
                                                       "    assert data == weft.input()\n"
                                                       "    return ' '.join(loads) + ' \\u00fc'\n");

    (void)state;
    expect(function, "a", "once a \u00fc");
    expect(function, "b", "once b \u00fc"); /* nothing of a is left */
    expect(function, "", "once  \u00fc");
}

static void
test_what_a_handler_returns_is_the_result(void **state)
{
    struct worker_function *function =
        deploy("kinds", "import weft\n"
                        "def handler(data):\n"
                        "    if data == b'bytes': return b'\\x41\\x42'\n"
                        "    if data == b'text': return 'gr\\u00fc\\u00df \U0001f40d'\n"
                        "    if data == b'json': return {'a': [1, None]}\n"
                        "    if data == b'both': weft.output('one '); return 'two'\n"
                        "    if data == b'print': print('printed'); return None\n");
    struct testing_end end;

    (void)state;
    expect(function, "bytes", "AB");
    expect(function, "text", "gr\u00fc\u00df \U0001f40d");
    expect(function, "json", "{\"a\": [1, null]}");
    expect(function, "both", "one two");
    expect(function, "print", "");
    (void)ask(function, "print", &end);
    assert_string_equal(end.output, "printed\n");
}

static void
test_json_goes_in_and_out(void **state)
{
    struct worker_function *function = deploy(
        "json", "def handle_json(value):\n    return {k: v * 2 for k, v in value.items()}\n");

    (void)state;
    expect(function, "{\"a\": 1, \"b\": \"x\"}", "{\"a\": 2, \"b\": \"xx\"}");
}

static void
test_what_fails_is_told_with_the_lines_of_the_file(void **state)
{
    struct worker_function *function =
        deploy("fails", "import sys, weft\n"
                        "def handler(data):\n"
                        "    weft.log('begins\\nhere')\n"
                        "    if data == b'exit': sys.exit(3)\n"
                        "    if data == b'words': sys.exit('no')\n"
                        "    raise ValueError('bad ' + data.decode())\n");
    struct testing_end end;

    (void)state;
    assert_int_equal(ask(function, "luck", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "info: begins here\n"));
    assert_non_null(strstr(end.log, "fails.py\", line 6, in handler\n    raise ValueError("));
    assert_non_null(strstr(end.log, "ValueError: bad luck\n"));
    assert_null(strstr(end.log, "weft.py"));
    assert_int_equal(ask(function, "exit", &end)->exit_code, 3);
    assert_int_equal(ask(function, "words", &end)->exit_code, 1);
    assert_non_null(strstr(end.log, "no\n"));
}

static void
test_a_file_that_cannot_be_loaded_says_why(void **state)
{
    static const struct bad_file rows[] = {
        {"def handler(data)\n    pass\n", "SyntaxError: expected ':'"},
        {"import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"},
        {"x = 1\n", "has neither handler(data) nor handle_json(value)"},
        {"raise SystemExit(4)\n", ""},
    };

    (void)state;
    expect_bad_files(rows, ARRAY_COUNT(rows));
}

static void
test_no_two_calls_draw_the_same_numbers(void **state)
{
    struct worker_function *function = deploy(
        "draw", "import random, os, uuid\n"
                "random.random()\n"
                "def handler(data):\n"
                "    return f'{random.getrandbits(64)} {os.urandom(8).hex()} {uuid.uuid4()}'\n");
    struct testing_end one, two;

    (void)state;
    (void)ask(function, "", &one);
    (void)ask(function, "", &two);
    assert_true(strlen(one.result) > 60);
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
        deploy("square", "def handler(data):\n    return str(int(data) ** 2)\n");
    struct worker_function *fan =
        deploy("fan", "import weft\n"
                      "def handler(data):\n"
                      "    calls = [weft.chain('square', str(n)) for n in range(int(data))]\n"
                      "    return str(sum(int(r) for r in weft.gather(calls)))\n");

    (void)state;
    expect(square, "12", "144");
    expect(fan, "0", "0");
    expect(fan, "3", "5");
    expect(fan, "300", "8955050");
}

static void
test_how_other_calls_fail_is_an_exception(void **state)
{
    struct worker_function *function = deploy(
        "asks", "import weft\n"
                "def attempt(name, data=b''):\n"
                "    try:\n"
                "        return weft.chain(name, data).result()\n"
                "    except weft.WeftError as error:\n"
                "        return f'{error.status} {error.code}'\n"
                "def handler(data):\n"
                "    if data == b'say':\n"
                "        print('said'); return\n"
                "    with weft.chain('asks', 'say') as call:\n"
                "        said = call.start().result(60)\n"
                "    many = weft.gather([weft.chain('square', n) for n in ('2', 'x', '3')], True)\n"
                "    return [attempt('square', 'x'), attempt('bad name'), attempt('nobody'),\n"
                "            said.decode(), [type(one).__name__ for one in many]]\n");
    struct testing_end end;

    (void)state;
    (void)ask(function, "", &end);
    assert_string_equal(end.result, "[\"exit 1\", \"failed 28\", \"failed 44\", \"said\\n\", "
                                    "[\"bytes\", \"WeftError\", \"bytes\"]]");
}

static void
test_a_call_knows_who_it_is_and_how_long_it_may_run(void **state)
{
    struct worker_function *function = deploy(
        "who", "import weft, time\n"
               "def handler(data):\n"
               "    if data == b'sleep':\n"
               "        time.sleep(30)\n"
               "    who = weft.identity()\n"
               "    left = weft.deadline_left()\n"
               "    try:\n"
               "        weft.chain('who', 'sleep').result(0.01)\n"
               "    except TimeoutError as error:\n"
               "        late = str(error)\n"
               "    return [who['function'], who['tenant'], who['version'], left is None, late]\n");

    (void)state;
    expect(function, "", "[\"who\", \"a\", \"1\", true, \"who has not ended after 0.01 s\"]");
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
    write_into(files.fd, "helper.py", "def shout(text):\n    return text.upper() + '!'\n");
    write_into(files.fd, "late.py", "value = 7\n");
    write_into(files.fd, "words.txt", "some words");
    function = deploy("files", "import helper\n"
                               "def handler(data):\n"
                               "    import late\n"
                               "    with open('/words.txt') as file: words = file.read()\n"
                               "    return [helper.shout(data.decode()), late.value, words]\n");
    for (unsigned i = 0; i < 2; i++)
        expect(function, "hey", "[\"HEY!\", 7, \"some words\"]");
    (void)unlinkat(files.fd, "helper.py", 0);
    (void)unlinkat(files.fd, "late.py", 0);
    (void)unlinkat(files.fd, "words.txt", 0);
    (void)close(files.fd);
    (void)rmdir(folder);
    files.guest_path = NULL;
}

static void
test_the_examples_do_what_they_say(void **state)
{
    struct worker_function *words = deploy_file("wordcount", "examples/wordcount.py");

    (void)state;
    expect(deploy_file("hello", "examples/hello.py"), "weft", "hello weft");
    expect(words, "one two. Two, three TWO!", "{\"two\": 3, \"one\": 1, \"three\": 1}");
    expect(deploy_file("fanout", "examples/fanout.py"), "{\"below\": 10000, \"calls\": 100}",
           "1229");
    expect(deploy_file("NAME", "guest/templates/python/main.py"), "{\"name\": \"you\"}",
           "{\"greeting\": \"hello you\"}");
}

/* ------------------------------------------------------------------- the text alone */

static int
source_of(const void *source, size_t bytes, struct diag *diag)
{
    struct buffer text = {0};
    char path[64];
    int err;

    write_file("source", source, bytes, path);
    diag_init(diag);
    err = cmd_python_source(path, &text, diag);
    for (size_t i = 0; err == 0 && i < text.count; i++)
        assert_true(text.bytes[i] == '\n' || (text.bytes[i] >= ' ' && text.bytes[i] < 0x7f));
    buffer_fini(&text);
    (void)unlink(path);
    return err;
}

static void
test_a_file_becomes_text_of_ascii(void **state)
{
    static const char good[] = "x = '\\t\"\t\r\n\x7f \u00e4 \u20ac \U0001f40d'\n";

    struct diag diag;

    (void)state;
    assert_int_equal(source_of(good, sizeof(good) - 1, &diag), 0);
    assert_int_equal(source_of("", 0, &diag), 0);
}

static void
test_what_is_no_python_is_refused(void **state)
{
    char *large = malloc((1u << 20) + 1);
    struct diag diag;

    (void)state;
    assert_non_null(large);
    (void)memset(large, 'x', (1u << 20) + 1);
    assert_int_equal(source_of("x\0y", 3, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "zero"));
    assert_int_equal(source_of("x\xff", 2, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "UTF-8"));
    assert_int_equal(source_of(large, (1u << 20) + 1, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "too large"));
    assert_int_equal(source_of(large, (1u << 20) - 1000, &diag), -EINVAL); /* with the module */
    assert_int_equal(source_of(large, (1u << 20) - 50000, &diag), 0);
    free(large);
    assert_int_equal(cmd_python_source("/nowhere/f.py", &(struct buffer){0}, &diag), -ENOENT);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_runs_once_and_its_handler_in_every_call),
        cmocka_unit_test(test_what_a_handler_returns_is_the_result),
        cmocka_unit_test(test_json_goes_in_and_out),
        cmocka_unit_test(test_what_fails_is_told_with_the_lines_of_the_file),
        cmocka_unit_test(test_a_file_that_cannot_be_loaded_says_why),
        cmocka_unit_test(test_no_two_calls_draw_the_same_numbers),
        cmocka_unit_test(test_functions_call_functions),
        cmocka_unit_test(test_how_other_calls_fail_is_an_exception),
        cmocka_unit_test(test_a_call_knows_who_it_is_and_how_long_it_may_run),
        cmocka_unit_test(test_a_file_imports_the_functions_other_files),
        cmocka_unit_test(test_the_examples_do_what_they_say),
    };
    static const struct CMUnitTest texts[] = {
        cmocka_unit_test(test_a_file_becomes_text_of_ascii),
        cmocka_unit_test(test_what_is_no_python_is_refused),
    };
    int failed;

    engine_used = &engine;
    failed = cmocka_run_group_tests(texts, NULL, NULL);
    if (failed != 0)
        return failed;
    if (access(PYTHON_MODULE, R_OK) != 0) {
        (void)fprintf(stderr, "skipped: there is no CPython (make programs-fetch)\n");
        return 77;
    }
    if (!engine_open(&engine, PYTHON_MODULE, PYTHON_IMAGE))
        return 1;
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    engine_close();
    return failed;
}
