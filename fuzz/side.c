/* SPDX-License-Identifier: Apache-2.0
 *
 * side: compile, run a script, write the log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "side_internal.h"

#define NAME_MAX_BYTES 128u
#define PENDING_MAX    100000u

struct side {
    const struct wasm_module *module;
    struct faaslet *faaslet;
    struct buffer *log;
    struct side_process process;
    bool is_stopped;
};

/* ---------------------------------------------------------------------- variants */

void
side_variant_print(const struct side_variant *variant, char *text, size_t size)
{
    (void)snprintf(text, size, "O%u%s%s%s", variant->level, variant->is_linked ? ",linked" : "",
                   variant->is_strict ? ",strict" : "", variant->is_moved ? ",move" : "");
}

int
side_variant_parse(const char *text, struct side_variant *out)
{
    if (text[0] != 'O' || text[1] < '0' || text[1] > '3' || (text[2] != '\0' && text[2] != ','))
        return -EINVAL;
    *out = (struct side_variant){.level = (unsigned)(text[1] - '0'),
                                 .is_linked = strstr(text, ",linked") != NULL,
                                 .is_strict = strstr(text, ",strict") != NULL,
                                 .is_moved = strstr(text, ",move") != NULL};
    return 0;
}

/* ------------------------------------------------------------------------ values */

static char
letter_of_type(uint8_t type)
{
    switch (type) {
    case WASM_I32:
        return 'i';
    case WASM_I64:
        return 'I';
    case WASM_F32:
        return 'f';
    case WASM_F64:
        return 'F';
    case WASM_EXTERNREF:
        return 'x';
    case WASM_FUNCREF:
        return 'r';
    default:
        return 'v';
    }
}

static const char *
trap_word(enum abi_trap trap)
{
    static const char *const words[ABI_TRAP_COUNT] = {
        [ABI_TRAP_UNREACHABLE] = "unreachable",
        [ABI_TRAP_INTEGER_DIVIDE_BY_ZERO] = "divide",
        [ABI_TRAP_INTEGER_OVERFLOW] = "overflow",
        [ABI_TRAP_INVALID_CONVERSION] = "overflow",
        [ABI_TRAP_MEMORY_BOUNDS] = "memory",
        [ABI_TRAP_TABLE_BOUNDS] = "table",
        [ABI_TRAP_UNDEFINED_ELEMENT] = "table",
        [ABI_TRAP_UNINITIALIZED_ELEMENT] = "signature",
        [ABI_TRAP_INDIRECT_CALL_TYPE] = "signature",
        [ABI_TRAP_UNALIGNED_ATOMIC] = "unaligned",
        [ABI_TRAP_EXPECTED_SHARED_MEMORY] = "shared",
        [ABI_TRAP_UNCAUGHT_EXCEPTION] = "exception",
        [ABI_TRAP_HOST] = "host",
    };

    return (unsigned)trap < ABI_TRAP_COUNT && words[trap] != NULL ? words[trap] : "?";
}

/* ----------------------------------------------------------------------- running */

/* Runs until there is an outcome that is not a wait. */
static void
run_to_end(struct side *side, struct faaslet_outcome *outcome)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)SIDE_CALL_SECONDS * CLOCK_NS_PER_SECOND;

    for (unsigned waits = 0; waits < PENDING_MAX; waits++) {
        faaslet_run(side->faaslet, deadline, outcome);
        if (outcome->kind != FAASLET_PENDING)
            return;
        while (outcome->wait.deadline_ns > clock_now_ns())
            (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static void
put_outcome(struct side *side, const char *name, const struct faaslet_outcome *outcome)
{
    switch (outcome->kind) {
    case FAASLET_DONE:
        buffer_append_format(side->log, "%s ok", name);
        return;
    case FAASLET_TRAP:
        if (outcome->trap != ABI_TRAP_STACK_EXHAUSTED) {
            buffer_append_format(side->log, "%s trap %s\n", name, trap_word(outcome->trap));
            return;
        }
        buffer_append_format(side->log, "%s stopped stack\n", name);
        break;
    case FAASLET_KILLED:
        buffer_append_format(side->log, "%s stopped time\n", name);
        break;
    default:
        buffer_append_format(side->log, "%s stopped?\n", name);
    }
    side->is_stopped = true;
}

static int
put_results(struct side *side, const struct wasm_func_type *type)
{
    uint64_t slots[SIDE_SLOTS_MAX];
    size_t count = 0;
    int err;

    for (uint32_t i = 0; i < type->result_count; i++)
        count += abi_value_slots(type->results[i]);
    ASSERT(count <= SIDE_SLOTS_MAX);
    err = faaslet_results(side->faaslet, 0, slots, count);
    if (err != 0)
        return err;
    for (uint32_t i = 0, at = 0; i < type->result_count; i++) {
        side_put_value(side->log, letter_of_type(type->results[i]), &slots[at]);
        at += abi_value_slots(type->results[i]);
    }
    buffer_append_format(side->log, "\n");
    return 0;
}

static const struct wasm_func_type *
exported_type(const struct wasm_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        if (export->kind == WASM_KIND_FUNCTION && export->name.count == strlen(name) &&
            memcmp(export->name.bytes, name, export->name.count) == 0)
            return &module->types[module->functions[export->index].type];
    }
    return NULL;
}

/* Reads " i:00000001 x:null ..." into slots. */
static int
parse_arguments(const char *text, uint64_t *slots, size_t *count)
{
    *count = 0;
    while (*text == ' ') {
        char *end;
        bool is_external = text[1] == 'x';

        if (text[1] == '\0' || text[2] != ':' || *count == SIDE_SLOTS_MAX)
            return -EINVAL;
        text += 3;
        if (strncmp(text, "null", 4) == 0) {
            slots[(*count)++] = (uint64_t)ABI_REF_NULL;
            text += 4;
            continue;
        }
        slots[(*count)++] = strtoull(text, &end, is_external ? 10 : 16);
        text = end;
    }
    return *text == '\0' ? 0 : -EINVAL;
}

static int
run_call(struct side *side, const char *name, const char *arguments, struct diag *diag)
{
    const struct wasm_func_type *type = exported_type(side->module, name);
    uint64_t slots[SIDE_SLOTS_MAX];
    struct faaslet_outcome outcome;
    size_t count;
    int err;

    if (type == NULL || parse_arguments(arguments, slots, &count) != 0)
        return diag_set(diag, -EINVAL, "script: cannot call %s with%s", name, arguments);
    err = faaslet_invoke(side->faaslet, 0, name, slots, count);
    if (err != 0)
        return diag_set(diag, err, "%s: cannot be invoked: %s", name, strerror(-err));
    run_to_end(side, &outcome);
    put_outcome(side, name, &outcome);
    return outcome.kind == FAASLET_DONE ? put_results(side, type) : 0;
}

static int
run_script(struct side *side, const char *script, struct diag *diag)
{
    char line[1024], name[NAME_MAX_BYTES];
    int err = 0, at;

    while (err == 0 && !side->is_stopped && *script != '\0') {
        size_t count = strcspn(script, "\n");

        if (count >= sizeof(line))
            return diag_set(diag, -EINVAL, "script: line is too long");
        (void)memcpy(line, script, count);
        line[count] = '\0';
        if (sscanf(line, "call %127s%n", name, &at) != 1)
            return diag_set(diag, -EINVAL, "script: not a call: %s", line);
        err = run_call(side, name, line + at, diag);
        script += count + (script[count] == '\n');
    }
    return err;
}

static void
put_globals(struct side *side)
{
    for (uint32_t i = 0; i < side->module->export_count; i++) {
        const struct wasm_export *export = &side->module->exports[i];
        char name[NAME_MAX_BYTES];
        uint64_t slots[2];
        uint8_t type;

        if (export->kind != WASM_KIND_GLOBAL || export->name.count >= NAME_MAX_BYTES)
            continue;
        (void)memcpy(name, export->name.bytes, export->name.count);
        name[export->name.count] = '\0';
        if (faaslet_global(side->faaslet, 0, name, slots, &type) != 0 || type == WASM_V128)
            continue;
        buffer_append_format(side->log, "global %s", name);
        side_put_value(side->log, letter_of_type(type), slots);
        buffer_append_format(side->log, "\n");
    }
}

static int
run_instance(struct side *side, const char *script, struct diag *diag)
{
    struct faaslet_outcome outcome;
    int err = faaslet_invoke_init(side->faaslet, 0);

    if (err != 0)
        return diag_set(diag, err, "cannot be initialised: %s", strerror(-err));
    side->process.is_starting = true;
    run_to_end(side, &outcome);
    side->process.is_starting = false;
    put_outcome(side, "init", &outcome);
    if (outcome.kind != FAASLET_DONE)
        return 0;
    buffer_append_format(side->log, "\n");
    err = run_script(side, script, diag);
    if (err == 0 && !side->is_stopped)
        put_globals(side);
    return err;
}

/* ----------------------------------------------------------------- putting together */

int
side_compile(const uint8_t *bytes, size_t count, const struct side_variant *variant, int *image,
             struct diag *diag)
{
    struct compile_options options;
    int err, fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0)
        return diag_set(diag, -errno, "memfd: %s", strerror(errno));
    compile_options_init(&options);
    options.level = variant->level;
    options.strict_traps = variant->is_strict;
    options.mode = variant->is_linked ? ABI_LINKED : ABI_STANDALONE;
    options.jobs = 1;
    err = compile_image(bytes, count, &options, fd, diag);
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *image = fd;
    return 0;
}

static int
create_faaslet(struct faaslet_image *image, bool is_linked, struct side *side, struct diag *diag)
{
    struct faaslet_config config = {.resolve = side_resolve, .process = &side->process};
    struct faaslet *faaslet;
    uint32_t instance;
    int err;

    if (!is_linked)
        return faaslet_create(image, &config, &side->faaslet, diag);
    err = faaslet_create_empty(&config, &faaslet);
    if (err != 0)
        return diag_set(diag, err, "cannot make a Faaslet: %s", strerror(-err));
    err = faaslet_add(faaslet, image, &instance, diag);
    if (err != 0) {
        faaslet_destroy(faaslet);
        return err;
    }
    ASSERT(instance == 0);
    side->faaslet = faaslet;
    return 0;
}

int
side_run(const uint8_t *bytes, size_t count, const struct side_variant *variant, const char *script,
         struct buffer *log, struct diag *diag)
{
    struct side side = {.log = log, .process = {.log = log}};
    struct faaslet_image *image = NULL;
    struct wasm_module *module;
    int fd CLEANUP(file_close) = -1;
    int err;

    err = wasm_module_create(bytes, count, &module, NULL, diag);
    if (err != 0)
        return err;
    side.module = module;
    err = side_compile(bytes, count, variant, &fd, diag);
    if (err == 0)
        err = side_scan(fd, diag);
    if (err == 0)
        err = faaslet_thread_init();
    if (err == 0)
        err = faaslet_image_load(fd, &image, diag);
    if (err == 0)
        err = create_faaslet(image, variant->is_linked, &side, diag);
    if (err == 0) {
        faaslet_stress(variant->is_moved ? 1 : 0);
        err = run_instance(&side, script, diag);
        faaslet_stress(0);
    }
    faaslet_destroy(side.faaslet);
    faaslet_image_put(image);
    wasm_module_destroy(module);
    return err != 0 ? err : log->err;
}
