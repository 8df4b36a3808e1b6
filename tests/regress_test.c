/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules that were wrong once: each .wat of tests/regress says in comments what
 * is called and what must come of it, in the words of fuzz/side.h:
 *   ;; wat2wasm: options of the translator
 *   ;; variants: O0 O3,linked ...        (without: those below)
 *   ;; > a line of the script
 *   ;; < a line of the log
 * Beside NAME.wat, NAME.second is a module that imports from the first as "a".
 * The machine code of each is also searched for a way out of the sandbox.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../fuzz/side.h"
#include "base/file.h"

#define DIRECTORY      "tests/regress"
#define FILE_BYTES_MAX (1u << 20)
#define LINE_MAX_BYTES 1000u
#define WORDS_MAX      16u
#define VARIANTS       "O0 O1 O2,linked O3 O3,linked O3,strict O0,linked,strict O3,move"

struct regress_case {
    char wat2wasm[LINE_MAX_BYTES], variants[LINE_MAX_BYTES];
    struct buffer script, log; /* what is called, what is expected; terminated */
    struct buffer modules[SIDE_MODULES_MAX];
    uint32_t module_count;
};

/* ------------------------------------------------------------------------ reading */

static void
read_line(struct regress_case *it, const char *line)
{
    if (strncmp(line, ";; > ", 5) == 0)
        buffer_append_format(&it->script, "%s\n", line + 5);
    else if (strncmp(line, ";; < ", 5) == 0)
        buffer_append_format(&it->log, "%s\n", line + 5);
    else if (strncmp(line, ";; wat2wasm: ", 13) == 0)
        (void)snprintf(it->wat2wasm, sizeof(it->wat2wasm), "%s", line + 13);
    else if (strncmp(line, ";; variants: ", 13) == 0)
        (void)snprintf(it->variants, sizeof(it->variants), "%s", line + 13);
}

static void
read_comments(struct regress_case *it, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[LINE_MAX_BYTES];

    assert_non_null(file);
    (void)snprintf(it->variants, sizeof(it->variants), "%s", VARIANTS);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        read_line(it, line);
    }
    (void)fclose(file);
    buffer_append(&it->script, "", 1);
    buffer_append(&it->log, "", 1);
    assert_int_equal(it->script.err, 0);
}

/* Splits at blanks, in place. */
static unsigned
split(char *text, char **words)
{
    unsigned count = 0;

    for (; count < WORDS_MAX && *(text += strspn(text, " ")) != '\0'; count++) {
        words[count] = text;
        text += strcspn(text, " ");
        if (*text != '\0')
            *text++ = '\0';
    }
    return count;
}

static void
translate(struct regress_case *it, const char *path)
{
    char output[] = "/tmp/weft-regress-XXXXXX", options[LINE_MAX_BYTES];
    char *argv[WORDS_MAX + 5] = {(char *)"wat2wasm", (char *)path, (char *)"-o", output};
    struct diag diag;
    int status, fd = mkstemp(output);
    pid_t pid;

    assert_true(fd >= 0);
    (void)close(fd);
    (void)memcpy(options, it->wat2wasm, sizeof(options));
    argv[4 + split(options, argv + 4)] = NULL;
    pid = fork();
    if (pid == 0) {
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s: wat2wasm: status %d", path, status);
    diag_init(&diag);
    assert_int_equal(file_read_all(output, FILE_BYTES_MAX, &it->modules[it->module_count++], &diag),
                     0);
    (void)unlink(output);
}

/* ------------------------------------------------------------------------- running */

static void
run_variant(const struct regress_case *it, const char *path, const char *text)
{
    const struct side_module modules[SIDE_MODULES_MAX] = {
        {it->modules[0].bytes, it->modules[0].count},
        {it->modules[1].bytes, it->modules[1].count},
    };
    struct side_variant variant;
    struct buffer log = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    assert_int_equal(side_variant_parse(text, &variant), 0);
    err =
        side_run(modules, it->module_count, &variant, (const char *)it->script.bytes, &log, &diag);
    if (err != 0)
        fail_msg("%s, %s: %s", path, text, diag_text(&diag));
    buffer_append(&log, "", 1);
    if (strcmp((const char *)log.bytes, (const char *)it->log.bytes) != 0)
        fail_msg("%s, %s: wanted\n%swas\n%s", path, text, (const char *)it->log.bytes,
                 (const char *)log.bytes);
    buffer_fini(&log);
}

static void
run_file(const char *path)
{
    struct regress_case it = {0};
    char *variants[WORDS_MAX], second[LINE_MAX_BYTES];
    unsigned count;

    read_comments(&it, path);
    translate(&it, path);
    (void)snprintf(second, sizeof(second), "%.*s.second", (int)(strlen(path) - strlen(".wat")),
                   path);
    if (access(second, R_OK) == 0)
        translate(&it, second);
    count = split(it.variants, variants);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++)
        run_variant(&it, path, variants[i]);
    buffer_fini(&it.script);
    buffer_fini(&it.log);
    for (unsigned i = 0; i < SIDE_MODULES_MAX; i++)
        buffer_fini(&it.modules[i]);
}

static void
test_what_was_wrong_once_stays_right(void **state)
{
    glob_t found;

    (void)state;
    assert_int_equal(glob(DIRECTORY "/*.wat", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        run_file(found.gl_pathv[i]);
    globfree(&found);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_wrong_once_stays_right),
    };

    return cmocka_run_group_tests_name("regress", tests, NULL, NULL);
}
