/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of a guest's source, from its DWARF to a backtrace of its trap. Guests
 * are made by clang; without it these tests are skipped.
 */
#include "../../tests/testing.h"

#include <fcntl.h>

#include "base/file.h"
#include "compile/compile_internal.h"

#define MODULE_BYTES_MAX (1u << 20)
#define SEEDS            40u

static const char source[] = "__attribute__((noinline)) static int\n"      /* 1 */
                             "divide(int a, int b)\n"                      /* 2 */
                             "{\n"                                         /* 3 */
                             "    return a / b;\n"                         /* 4 */
                             "}\n"                                         /* 5 */
                             "__attribute__((noinline)) static int\n"      /* 6 */
                             "outer(int a)\n"                              /* 7 */
                             "{\n"                                         /* 8 */
                             "    int sum = a + 1;\n"                      /* 9 */
                             "    sum += divide(sum, a);\n"                /* 10 */
                             "    return sum * 3;\n"                       /* 11 */
                             "}\n"                                         /* 12 */
                             "__attribute__((export_name(\"run\"))) int\n" /* 13 */
                             "run(int a)\n"                                /* 14 */
                             "{\n"                                         /* 15 */
                             "    return outer(a) + 1;\n"                  /* 16 */
                             "}\n"
                             "__attribute__((export_name(\"once\"))) int\n" /* 18 */
                             "once(int a)\n"
                             "{\n"
                             "    return divide(9, a) - 1;\n" /* 21 */
                             "}\n"
                             "__attribute__((export_name(\"other\"))) void\n"
                             "other(void)\n"
                             "{\n"
                             "#line 300 \"some/where/other.inc\"\n"
                             "    __builtin_trap();\n" /* other.inc:300 */
                             "}\n";

static char directory[] = "/tmp/weft-lines-XXXXXX";

/* The exit code of a shell command. */
static int
shell(const char *command)
{
    FILE *pipe = popen(command, "we");

    return pipe == NULL ? -1 : pclose(pipe);
}

static void
build(const char *flags, struct buffer *out)
{
    char path[64], command[512];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/lines.c", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, source, sizeof(source) - 1), 0);
    file_close(&fd);
    /* Two steps: clang would have the result optimised by whatever wasm-opt is
     * installed. */
    (void)snprintf(command, sizeof(command),
                   "cd %s && clang-19 --target=wasm32-wasi -O1 %s -c -o lines.o lines.c && "
                   "wasm-ld-19 --no-entry -o lines.wasm lines.o",
                   directory, flags);
    assert_int_equal(shell(command), 0);
    (void)snprintf(path, sizeof(path), "%s/lines.wasm", directory);
    assert_int_equal(file_read_all(path, MODULE_BYTES_MAX, out, NULL), 0);
}

static int
setup_all(void **state)
{
    (void)state;
    if (shell("command -v clang-19 wasm-ld-19 >/dev/null 2>&1") != 0) {
        print_message("skipped: there is no clang-19 with wasm-ld-19\n");
        exit(77);
    }
    if (mkdtemp(directory) == NULL)
        return -1;
    return faaslet_thread_init();
}

static int
teardown_all(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return shell(command);
}

static struct faaslet *
start(const struct buffer *module, unsigned level)
{
    static const struct faaslet_config config;
    struct faaslet_image *image = NULL;
    struct compile_options options;
    struct faaslet *faaslet;
    struct diag diag;
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    diag_init(&diag);
    compile_options_init(&options);
    options.level = level;
    options.jobs = 1;
    options.address = testing_next_address();
    if (compile_image(module->bytes, module->count, &options, fd, &diag) != 0 ||
        faaslet_image_load(fd, &image, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(close(fd), 0);
    faaslet = testing_create(image, &config);
    faaslet_image_put(image);
    testing_init(faaslet, 0);
    return faaslet;
}

/* The backtrace of the trap that a call with 0, or of `other`, must end in. */
static void
trace(const struct buffer *module, unsigned level, const char *name, struct buffer *out)
{
    struct faaslet *faaslet = start(module, level);
    struct faaslet_outcome outcome = testing_call(faaslet, name, (uint64_t[]){0}, name[1] != 't');

    assert_int_equal(outcome.kind, FAASLET_TRAP);
    faaslet_backtrace(faaslet, out);
    buffer_append(out, NULL, 1);
    assert_int_equal(out->err, 0);
    faaslet_destroy(faaslet);
}

/* That these texts are there, each after the one before. */
static void
expect_in_order(const struct buffer *text, const char *const wanted[])
{
    const char *at = (const char *)text->bytes;

    for (; *wanted != NULL; wanted++) {
        at = strstr(at, *wanted);
        if (at == NULL)
            fail_msg("\"%s\" is not at its place in:\n%s", *wanted, (const char *)text->bytes);
        at += strlen(*wanted);
    }
}

/* -------------------------------------------------------------------------- tests */

static void
test_every_frame_has_its_file_and_line(void **state)
{
    struct buffer module = {0}, text = {0};

    (void)state;
    build("-g", &module);
    trace(&module, 0, "run", &text);
    expect_in_order(&text,
                    (const char *const[]){"#0 divide", " (lines.c:4)\n", "#1 outer",
                                          " (lines.c:10)\n", "#2 run", " (lines.c:16)\n", NULL});
    buffer_fini(&module);
    buffer_fini(&text);
}

static void
test_a_function_that_was_inlined_has_a_frame_too(void **state)
{
    struct buffer module = {0}, text = {0};

    (void)state;
    build("-g", &module);
    trace(&module, 3, "once", &text);
    expect_in_order(&text, (const char *const[]){"#0 divide (lines.c:4)\n", "#1 once+",
                                                 " (lines.c:21)\n", NULL});
    buffer_fini(&module);
    buffer_fini(&text);
}

static void
test_a_line_of_another_file_names_that_file(void **state)
{
    struct buffer module = {0}, text = {0};

    (void)state;
    build("-g", &module);
    for (unsigned level = 0; level <= 3; level++) {
        trace(&module, level, "other", &text);
        expect_in_order(&text, (const char *const[]){"#0 other", " (other.inc:300)\n", NULL});
        buffer_fini(&text);
    }
    buffer_fini(&module);
}

static void
test_without_debug_information_there_are_names_and_no_lines(void **state)
{
    struct buffer module = {0}, text = {0};

    (void)state;
    build("-g0", &module);
    trace(&module, 0, "run", &text);
    expect_in_order(&text, (const char *const[]){"#0 divide", "#1 outer", "#2 run", NULL});
    assert_null(strchr((const char *)text.bytes, '('));
    buffer_fini(&module);
    buffer_fini(&text);
}

/* Compiles and says what run(1) gives: (2 + 2 / 1) * 3 + 1. */
static void
expect_it_works(const struct buffer *module)
{
    struct faaslet *faaslet = start(module, 0);

    assert_int_equal(testing_result(faaslet, "run", (uint64_t[]){1}, 1), 13);
    faaslet_destroy(faaslet);
}

/* The contents of the custom section of this name; it goes on to the next. */
static uint8_t *
find_section(const struct buffer *module, const char *name)
{
    uint8_t *at = memmem(module->bytes, module->count, name, strlen(name));

    assert_non_null(at);
    return at + strlen(name);
}

static void
test_a_broken_line_table_costs_the_lines_and_nothing_else(void **state)
{
    struct buffer module = {0}, text = {0};
    uint8_t *table;

    (void)state;
    build("-g", &module);
    table = find_section(&module, ".debug_line");
    (void)memset(table, 0xff, 40);
    expect_it_works(&module);
    trace(&module, 3, "run", &text);
    expect_in_order(&text, (const char *const[]){"#0 ", "run", NULL});
    assert_null(strstr((const char *)text.bytes, "lines.c"));
    buffer_fini(&module);
    buffer_fini(&text);
}

static void
test_debug_information_with_any_wrong_bytes_compiles(void **state)
{
    static const char *const names[] = {".debug_line", ".debug_info", ".debug_abbrev"};
    struct buffer module = {0};

    (void)state;
    build("-g", &module);
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct buffer wrong = {0};
        uint32_t random = seed * 2654435761u;
        uint8_t *table;

        buffer_append(&wrong, module.bytes, module.count);
        table = find_section(&wrong, names[seed % 3]);
        for (unsigned i = 0; i < 4; i++) {
            random = random * 1664525u + 1013904223u;
            table[(random >> 8) % 64] = (uint8_t)(random >> 24);
        }
        print_message("seed %u\n", seed);
        expect_it_works(&wrong);
        buffer_fini(&wrong);
    }
    buffer_fini(&module);
}

static void
test_the_row_that_holds_is_the_last_at_or_before_an_address(void **state)
{
    struct compile_row rows[] = {{.address = 4}, {.address = 4}, {.address = 9}, {.address = 20}};
    struct compile_source rows_of = {.rows = rows, .row_count = ARRAY_COUNT(rows)};
    const struct compile_source empty = {0};

    (void)state;
    assert_int_equal(compile_source_find(&empty, 0), UINT32_MAX);
    assert_int_equal(compile_source_find(&rows_of, 3), UINT32_MAX);
    assert_int_equal(compile_source_find(&rows_of, 4), 1);
    assert_int_equal(compile_source_find(&rows_of, 8), 1);
    assert_int_equal(compile_source_find(&rows_of, 9), 2);
    assert_int_equal(compile_source_find(&rows_of, 19), 2);
    assert_int_equal(compile_source_find(&rows_of, UINT32_MAX), 3);
}

static void
test_rows_are_in_order_and_of_known_files(void **state)
{
    struct wasm_module *module = NULL;
    struct compile_source read;
    struct buffer bytes = {0};

    (void)state;
    build("-g", &bytes);
    assert_int_equal(wasm_module_create(bytes.bytes, bytes.count, &module, NULL, NULL), 0);
    compile_source_read(module, &read);
    assert_true(read.row_count > 8);
    assert_int_equal(read.file_count, 2);
    for (uint32_t i = 0; i < read.row_count; i++) {
        assert_true(i == 0 || read.rows[i].address >= read.rows[i - 1].address);
        assert_true(read.rows[i].file < read.file_count);
        assert_true(read.rows[i].line < 30 || read.rows[i].line / 2 == 150);
    }
    assert_int_equal(read.rows[read.row_count - 1].line, 0); /* the end of a sequence */
    compile_source_fini(&read);
    wasm_module_destroy(module);
    buffer_fini(&bytes);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_frame_has_its_file_and_line),
        cmocka_unit_test(test_a_function_that_was_inlined_has_a_frame_too),
        cmocka_unit_test(test_a_line_of_another_file_names_that_file),
        cmocka_unit_test(test_without_debug_information_there_are_names_and_no_lines),
        cmocka_unit_test(test_a_broken_line_table_costs_the_lines_and_nothing_else),
        cmocka_unit_test(test_debug_information_with_any_wrong_bytes_compiles),
        cmocka_unit_test(test_the_row_that_holds_is_the_last_at_or_before_an_address),
        cmocka_unit_test(test_rows_are_in_order_and_of_known_files),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
