/* SPDX-License-Identifier: Apache-2.0 */
#include "spec_script.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "spec_value.h"
#include "wasm/wasm.h"

/* Assertions of proposals' folders that are older than WebAssembly 2.0 and that
 * it reverses: the module must be valid. */
static const char *const superseded_texts[] = {
    "multiple tables", /* reference types allow them */
};

struct command {
    struct spec_script *script;
    const json_t *json;
    const char *type;
};

static const char *
text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

/* Says what failed and returns false. */
static bool PRINTF_LIKE(2, 3) failed(const struct command *command, const char *format, ...)
{
    const json_t *action = json_object_get(command->json, "action");
    va_list args;

    (void)printf("%s.wast:%lld: %s", command->script->name,
                 (long long)json_integer_value(json_object_get(command->json, "line")),
                 command->type);
    if (action != NULL)
        (void)printf(" %s \"%s\"", text_of(action, "type"), text_of(action, "field"));
    (void)printf(": ");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
    return false;
}

/* ----------------------------------------------------------------------- modules */

static struct spec_module *
find_module(struct spec_script *script, const json_t *json, const char *key)
{
    const char *name = json_string_value(json_object_get(json, key));

    if (name == NULL)
        return script->current;
    /* A later module of the same name hides an earlier one. */
    for (size_t i = script->module_count; i > 0; i--) {
        struct spec_module *module = &script->modules[i - 1];

        if (module->name != NULL && strcmp(module->name, name) == 0)
            return module;
    }
    return NULL;
}

static bool
do_module(const struct command *command)
{
    struct spec_script *script = command->script;
    const char *name = json_string_value(json_object_get(command->json, "name"));
    struct faaslet_outcome outcome;
    struct spec_module module;
    struct diag diag;

    diag_init(&diag);
    /* What follows is about this module, even if it fails. Without a name nothing
     * can refer to the one before, unless others link to it. */
    if (script->current != NULL && script->current->name == NULL && script->mode != ABI_LINKED) {
        faaslet_destroy(script->current->faaslet);
        script->module_count--;
    }
    script->current = NULL;
    if (script->module_count == SPEC_MODULES_MAX)
        return failed(command, "more than %u modules", SPEC_MODULES_MAX);
    if (script->mode == ABI_LINKED && script->instance_count == FAASLET_INSTANCES_MAX &&
        spec_linked_create(script, &diag) != 0)
        return failed(command, "%s", diag_text(&diag));
    if (spec_module_create(script, text_of(command->json, "filename"), &module, &outcome, &diag) !=
        0)
        return failed(command, "%s", diag_text(&diag));
    module.name = name != NULL ? strdup(name) : NULL;
    script->modules[script->module_count] = module;
    script->current = &script->modules[script->module_count++];
    return true;
}

static bool
do_register(const struct command *command)
{
    struct spec_script *script = command->script;
    const struct spec_module *module = find_module(script, command->json, "name");
    int err;

    if (module == NULL)
        return failed(command, "no such module");
    if (script->mode != ABI_LINKED)
        return true; /* nothing of this script imports */
    err = faaslet_register(module->faaslet, module->instance, text_of(command->json, "as"));
    if (err != 0)
        return failed(command, "%s", strerror(-err));
    return true;
}

static bool
text_begins(const char *message, const char *text)
{
    size_t message_count = strlen(message), text_count = strlen(text);

    /* "uninitialized" stands for "uninitialized element", and the other way. */
    return strncmp(message, text, message_count < text_count ? message_count : text_count) == 0;
}

static bool
do_assert_uninstantiable(const struct command *command)
{
    struct faaslet_outcome outcome;
    struct spec_module module;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = spec_module_create(command->script, text_of(command->json, "filename"), &module, &outcome,
                             &diag);
    if (err == 0 && command->script->mode != ABI_LINKED)
        faaslet_destroy(module.faaslet);
    if (err != -ECANCELED)
        return failed(command, "expected a trap, found: %s",
                      err == 0 ? "success" : diag_text(&diag));
    if (!text_begins(abi_trap_text(outcome.trap), text_of(command->json, "text")))
        return failed(command, "expected \"%s\", found \"%s\"", text_of(command->json, "text"),
                      abi_trap_text(outcome.trap));
    return true;
}

static bool
do_assert_unlinkable(const struct command *command)
{
    struct faaslet_outcome outcome;
    struct spec_module module;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = spec_module_create(command->script, text_of(command->json, "filename"), &module, &outcome,
                             &diag);
    if (err == 0 && command->script->mode != ABI_LINKED)
        faaslet_destroy(module.faaslet);
    if (err != -ENOENT)
        return failed(command, "expected \"%s\", found: %s", text_of(command->json, "text"),
                      err == 0 ? "success" : diag_text(&diag));
    return true;
}

/* ---------------------------------------------------------------- refused modules */

/* Text must be refused by wat2wasm, which stands for a text parser here. */
static bool
check_text(const struct command *command, const char *path)
{
    int status = spec_run_tool(
        (const char *const[]){"wat2wasm", SPEC_TOOL_FLAGS, path, "-o", "/dev/null", NULL}, false);

    if (status < 0)
        return failed(command, "wat2wasm: %s", strerror(-status));
    if (status == 0)
        return failed(command, "wat2wasm accepts it");
    return true;
}

static bool
is_superseded(const struct command *command)
{
    for (size_t i = 0; i < ARRAY_COUNT(superseded_texts); i++)
        if (strcmp(text_of(command->json, "text"), superseded_texts[i]) == 0)
            return true;
    return false;
}

/* assert_malformed and assert_invalid. wat2wasm writes some text modules that are
 * invalid in a way that is malformed in binary, so "invalid" asks for refusal only. */
static bool
do_assert_refused(const struct command *command)
{
    bool wants_malformed = strcmp(command->type, "assert_malformed") == 0;
    struct wasm_module *module = NULL;
    bool is_malformed;
    char path[PATH_MAX];
    uint8_t *bytes;
    size_t count;
    int err;

    (void)snprintf(path, sizeof(path), "%s/%s", command->script->directory,
                   text_of(command->json, "filename"));
    if (strcmp(text_of(command->json, "module_type"), "text") == 0)
        return check_text(command, path);
    err = spec_read_file(path, &bytes, &count);
    if (err != 0)
        return failed(command, "%s: %s", path, strerror(-err));
    err = wasm_module_create(bytes, count, &module, &is_malformed, NULL);
    wasm_module_destroy(module);
    free(bytes);
    if (is_superseded(command)) {
        command->script->superseded++;
        return err == 0 || failed(command, "WebAssembly 2.0 allows it, but it was refused");
    }
    if (err == 0)
        return failed(command, "expected \"%s\", but it was accepted",
                      text_of(command->json, "text"));
    if (wants_malformed && !is_malformed)
        return failed(command, "expected \"%s\", but it was refused as invalid only",
                      text_of(command->json, "text"));
    return true;
}

/* ----------------------------------------------------------------------- actions */

/* With the call prepared and nothing of it run: arguments, memory, tables and
 * globals must all come along. */
static int
move_if_asked(const struct command *command, struct faaslet *faaslet)
{
    struct diag diag;
    int err;

    if (!command->script->options->is_moved)
        return 0;
    diag_init(&diag);
    err = spec_faaslet_move(command->script, faaslet, &diag);
    if (err != 0)
        (void)failed(command, "the Faaslet cannot move: %s", diag_text(&diag));
    return err;
}

/* module is an element of script->modules: it follows its Faaslet. */
static int
invoke(const struct command *command, const json_t *action, const struct spec_module *module,
       struct faaslet_outcome *outcome)
{
    struct spec_value values[SPEC_VALUES_MAX];
    uint64_t slots[2 * SPEC_VALUES_MAX];
    size_t count, used = 0;
    uint32_t number;
    int err;

    err = spec_values_parse(json_object_get(action, "args"), values, &count);
    if (err != 0) {
        (void)failed(command, "arguments that cannot be read");
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        spec_value_store(&values[i], slots + used);
        used += spec_value_slots(&values[i]);
    }
    /* By number: the suite has names with NUL in them. */
    err = faaslet_export_find(module->faaslet, module->instance, text_of(action, "field"),
                              json_string_length(json_object_get(action, "field")), &number);
    if (err == 0)
        err = faaslet_invoke_export(module->faaslet, module->instance, number, slots, used);
    if (err != 0) {
        (void)failed(command, "faaslet_invoke: %s", strerror(-err));
        return err;
    }
    err = move_if_asked(command, module->faaslet);
    if (err == 0)
        spec_run_to_end(module->faaslet, outcome);
    return err;
}

static const char *
outcome_text(const struct faaslet_outcome *outcome)
{
    switch (outcome->kind) {
    case FAASLET_DONE:
        return "success";
    case FAASLET_EXIT:
        return "an exit";
    case FAASLET_TRAP:
        return abi_trap_text(outcome->trap);
    case FAASLET_PENDING:
    case FAASLET_PREEMPTED:
    case FAASLET_SNAPSHOT:
    case FAASLET_ABSENT:
        return "pending";
    case FAASLET_KILLED:
        return "killed by a limit";
    }
    return "?";
}

/* Runs the command's action to success. is_get: it reads a global into slots. */
static bool
run_action(const struct command *command, const struct spec_module **module, bool *is_get,
           uint64_t slots[2])
{
    const json_t *action = json_object_get(command->json, "action");
    struct faaslet_outcome outcome;
    uint8_t type;
    int err;

    *module = find_module(command->script, action, "module");
    if (*module == NULL)
        return failed(command, "no module");
    *is_get = strcmp(text_of(action, "type"), "get") == 0;
    if (*is_get) {
        err = faaslet_global((*module)->faaslet, (*module)->instance, text_of(action, "field"),
                             slots, &type);
        return err == 0 || failed(command, "faaslet_global: %s", strerror(-err));
    }
    if (invoke(command, action, *module, &outcome) != 0)
        return false;
    if (outcome.kind != FAASLET_DONE)
        return failed(command, "expected success, found: %s", outcome_text(&outcome));
    return true;
}

static bool
do_action(const struct command *command)
{
    const struct spec_module *module;
    uint64_t slots[2];
    bool is_get;

    return run_action(command, &module, &is_get, slots);
}

static bool
wrong_value(const struct command *command, const struct spec_value *value, const uint64_t *slots)
{
    struct buffer expected = {0}, found = {0};

    spec_value_describe(value, &expected);
    spec_value_describe_slots(value, slots, &found);
    (void)failed(command, "expected %.*s, found %.*s", (int)expected.count, (char *)expected.bytes,
                 (int)found.count, (char *)found.bytes);
    buffer_fini(&expected);
    buffer_fini(&found);
    return false;
}

/* "either": one result, any of these. */
static bool
compare_either(const struct command *command, const struct spec_value *values, size_t count,
               const uint64_t *slots)
{
    for (size_t i = 0; i < count; i++)
        if (spec_value_matches(&values[i], slots))
            return true;
    return wrong_value(command, &values[0], slots);
}

static bool
compare_all(const struct command *command, const struct spec_value *values, size_t count,
            const uint64_t *slots)
{
    for (size_t i = 0; i < count; i++) {
        if (!spec_value_matches(&values[i], slots))
            return wrong_value(command, &values[i], slots);
        slots += spec_value_slots(&values[i]);
    }
    return true;
}

static bool
do_assert_return(const struct command *command)
{
    const json_t *either = json_object_get(command->json, "either");
    const json_t *json = either != NULL ? either : json_object_get(command->json, "expected");
    struct spec_value values[SPEC_VALUES_MAX];
    uint64_t slots[2 * SPEC_VALUES_MAX] = {0};
    const struct spec_module *module;
    size_t count, wanted = 0;
    bool is_get;
    int err;

    if (!json_is_array(json) || spec_values_parse(json, values, &count) != 0 ||
        (either != NULL && count == 0))
        return failed(command, "an expectation that cannot be read");
    if (!run_action(command, &module, &is_get, slots))
        return false;
    for (size_t i = 0; i < (either != NULL ? 1 : count); i++)
        wanted += spec_value_slots(&values[i]);
    if (!is_get) {
        err = faaslet_results(module->faaslet, module->instance, slots, wanted);
        if (err != 0)
            return failed(command, "faaslet_results: %s", strerror(-err));
    }
    return either != NULL ? compare_either(command, values, count, slots)
                          : compare_all(command, values, count, slots);
}

/* The action must end with a trap. */
static bool
run_to_trap(const struct command *command, struct faaslet_outcome *outcome)
{
    const json_t *action = json_object_get(command->json, "action");
    const struct spec_module *module = find_module(command->script, action, "module");

    if (module == NULL)
        return failed(command, "no module");
    if (invoke(command, action, module, outcome) != 0)
        return false;
    if (outcome->kind != FAASLET_TRAP)
        return failed(command, "expected \"%s\", found: %s", text_of(command->json, "text"),
                      outcome_text(outcome));
    return true;
}

static bool
do_assert_trap(const struct command *command)
{
    struct faaslet_outcome outcome;

    if (!run_to_trap(command, &outcome))
        return false;
    if (!text_begins(abi_trap_text(outcome.trap), text_of(command->json, "text")))
        return failed(command, "expected \"%s\", found: %s", text_of(command->json, "text"),
                      abi_trap_text(outcome.trap));
    return true;
}

static bool
expect_trap(const struct command *command, enum abi_trap trap)
{
    struct faaslet_outcome outcome;

    if (!run_to_trap(command, &outcome))
        return false;
    if (outcome.trap != trap)
        return failed(command, "expected \"%s\", found: %s", abi_trap_text(trap),
                      abi_trap_text(outcome.trap));
    return true;
}

static bool
do_assert_exhaustion(const struct command *command)
{
    return expect_trap(command, ABI_TRAP_STACK_EXHAUSTED);
}

static bool
do_assert_exception(const struct command *command)
{
    return expect_trap(command, ABI_TRAP_UNCAUGHT_EXCEPTION);
}

/* ---------------------------------------------------------------------- the script */

static const struct {
    const char *type;
    bool (*run)(const struct command *command);
} verbs[] = {
    {"module", do_module},
    {"register", do_register},
    {"action", do_action},
    {"assert_return", do_assert_return},
    {"assert_trap", do_assert_trap},
    {"assert_exhaustion", do_assert_exhaustion},
    {"assert_exception", do_assert_exception},
    {"assert_malformed", do_assert_refused},
    {"assert_invalid", do_assert_refused},
    {"assert_unlinkable", do_assert_unlinkable},
    {"assert_uninstantiable", do_assert_uninstantiable},
};

static bool
run_command(struct spec_script *script, const json_t *json)
{
    struct command command = {.script = script, .json = json, .type = text_of(json, "type")};

    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        if (strcmp(verbs[i].type, command.type) == 0)
            return verbs[i].run(&command);
    return failed(&command, "a command that is not known");
}

int
spec_script_run(struct spec_script *script, const json_t *commands)
{
    struct diag diag;
    json_t *command;
    size_t index;
    int err;

    diag_init(&diag);
    script->total = (unsigned)json_array_size(commands);
    script->mode = script->options->is_threaded ? ABI_THREADED : ABI_STANDALONE;
    if (script->options->is_linked || spec_script_imports(script, commands))
        script->mode = ABI_LINKED;
    if (script->mode == ABI_LINKED) {
        err = spec_linked_create(script, &diag);
        if (err != 0) {
            (void)printf("%s: %s\n", script->name, diag_text(&diag));
            return err;
        }
    }
    json_array_foreach(commands, index, command) script->passed += run_command(script, command);
    return 0;
}

void
spec_script_fini(struct spec_script *script)
{
    for (size_t i = 0; i < script->module_count; i++) {
        free(script->modules[i].name);
        if (script->mode != ABI_LINKED)
            faaslet_destroy(script->modules[i].faaslet);
    }
    faaslet_destroy(script->linked);
    for (size_t i = 0; i < script->retired_count; i++)
        faaslet_destroy(script->retired[i]);
}
