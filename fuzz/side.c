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
#define IMAGE_BYTES    (2 * ABI_IMAGE_ADDRESS_UNIT)

struct side {
    struct wasm_module *modules[SIDE_MODULES_MAX];  /* owned */
    struct faaslet_image *images[SIDE_MODULES_MAX]; /* owned: references */
    uint32_t module_count;
    struct faaslet *faaslet;
    struct buffer *log;
    struct side_process process;
    bool is_moved;
    bool is_stopped;
};

/* ---------------------------------------------------------------------- variants */

void
side_variant_print(const struct side_variant *variant, char *text, size_t size)
{
    char cpu[16] = "";

    if (variant->cpu != 0)
        (void)snprintf(cpu, sizeof(cpu), ",v%u", variant->cpu);
    (void)snprintf(text, size, "O%u%s%s%s%s%s", variant->level, variant->is_linked ? ",linked" : "",
                   variant->is_strict ? ",strict" : "", variant->is_moved ? ",move" : "",
                   variant->is_parted ? ",parts" : "", cpu);
}

int
side_variant_parse(const char *text, struct side_variant *out)
{
    if (text[0] != 'O' || text[1] < '0' || text[1] > '3' || (text[2] != '\0' && text[2] != ','))
        return -EINVAL;
    *out = (struct side_variant){.level = (unsigned)(text[1] - '0'),
                                 .is_linked = strstr(text, ",linked") != NULL,
                                 .is_strict = strstr(text, ",strict") != NULL,
                                 .is_moved = strstr(text, ",move") != NULL,
                                 .is_parted = strstr(text, ",parts") != NULL,
                                 .cpu = strstr(text, ",v2") != NULL   ? 2
                                        : strstr(text, ",v4") != NULL ? 4
                                                                      : 0};
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

static struct faaslet_config
config_of(struct side *side)
{
    return (struct faaslet_config){.resolve = side_resolve, .process = &side->process};
}

/* A clone goes on, and the original is no more. */
static void
replace_by_clone(struct side *side)
{
    struct faaslet_config config = config_of(side);
    struct faaslet *clone;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = faaslet_clone(side->faaslet, &config, &clone, &diag);
    if (err != 0) {
        buffer_append_format(side->log, "not cloned: %s\n", diag_text(&diag));
        return;
    }
    faaslet_destroy(side->faaslet);
    side->faaslet = clone;
}

/* Runs until there is an outcome that is not a wait. */
static void
run_to_end(struct side *side, struct faaslet_outcome *outcome)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)SIDE_CALL_SECONDS * CLOCK_NS_PER_SECOND;

    for (unsigned waits = 0; waits < PENDING_MAX; waits++) {
        faaslet_run(side->faaslet, deadline, outcome);
        if (outcome->kind != FAASLET_PENDING)
            return;
        if (side->is_moved)
            replace_by_clone(side);
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
put_results(struct side *side, uint32_t instance, const struct wasm_func_type *type)
{
    uint64_t slots[SIDE_SLOTS_MAX];
    size_t count = 0;
    int err;

    for (uint32_t i = 0; i < type->result_count; i++)
        count += abi_value_slots(type->results[i]);
    ASSERT(count <= SIDE_SLOTS_MAX);
    err = faaslet_results(side->faaslet, instance, slots, count);
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

/* "1:fa" is fa of the second module. */
static uint32_t
split_name(const struct side *side, const char **name)
{
    uint32_t instance = 0;

    if (strncmp(*name, "1:", 2) == 0 && side->module_count > 1) {
        *name += 2;
        instance = 1;
    }
    return instance;
}

static int
run_call(struct side *side, const char *line_name, const char *arguments, struct diag *diag)
{
    const char *name = line_name;
    uint32_t instance = split_name(side, &name);
    const struct wasm_func_type *type = exported_type(side->modules[instance], name);
    uint64_t slots[SIDE_SLOTS_MAX];
    struct faaslet_outcome outcome;
    size_t count;
    int err;

    if (type == NULL || parse_arguments(arguments, slots, &count) != 0)
        return diag_set(diag, -EINVAL, "script: cannot call %s with%s", name, arguments);
    err = faaslet_invoke(side->faaslet, instance, name, slots, count);
    if (err != 0)
        return diag_set(diag, err, "%s: cannot be invoked: %s", name, strerror(-err));
    run_to_end(side, &outcome);
    put_outcome(side, line_name, &outcome);
    return outcome.kind == FAASLET_DONE ? put_results(side, instance, type) : 0;
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
put_globals(struct side *side, uint32_t instance)
{
    const struct wasm_module *module = side->modules[instance];

    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];
        char name[NAME_MAX_BYTES];
        uint64_t slots[2];
        uint8_t type;

        if (export->kind != WASM_KIND_GLOBAL || export->name.count >= NAME_MAX_BYTES)
            continue;
        (void)memcpy(name, export->name.bytes, export->name.count);
        name[export->name.count] = '\0';
        if (faaslet_global(side->faaslet, instance, name, slots, &type) != 0 || type == WASM_V128)
            continue;
        buffer_append_format(side->log, "global %s%s", instance > 0 ? "1:" : "", name);
        side_put_value(side->log, letter_of_type(type), slots);
        buffer_append_format(side->log, "\n");
    }
}

/* *is_alive: whether the instance can be used. */
static int
run_init(struct side *side, uint32_t instance, bool *is_alive, struct diag *diag)
{
    struct faaslet_outcome outcome;
    int err = faaslet_invoke_init(side->faaslet, instance);

    if (err != 0)
        return diag_set(diag, err, "cannot be initialised: %s", strerror(-err));
    side->process.is_starting = instance == 0;
    run_to_end(side, &outcome);
    side->process.is_starting = false;
    put_outcome(side, "init", &outcome);
    *is_alive = outcome.kind == FAASLET_DONE;
    if (*is_alive)
        buffer_append_format(side->log, "\n");
    return 0;
}

/* ----------------------------------------------------------------- putting together */

static int
compile_at(const struct side_module *module, const struct side_variant *variant, uint64_t address,
           int *image, struct diag *diag)
{
    struct compile_options options;
    int err, fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0)
        return diag_set(diag, -errno, "memfd: %s", strerror(errno));
    compile_options_init(&options);
    options.level = variant->level;
    options.strict_traps = variant->is_strict;
    options.mode = variant->is_linked ? ABI_LINKED : ABI_STANDALONE;
    if (variant->cpu != 0)
        options.cpu = variant->cpu == 2 ? "x86-64-v2" : "x86-64-v4";
    options.address = address;
    options.jobs = variant->is_parted ? 2 : 1;
    err = compile_image(module->bytes, module->count, &options, fd, diag);
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *image = fd;
    return 0;
}

/* Adds an instance, runs its INIT, and lets later ones import from the first. */
static int
add_instance(struct side *side, uint32_t index, bool *is_alive, struct diag *diag)
{
    uint32_t instance;
    int err = faaslet_add(side->faaslet, side->images[index], &instance, diag);

    if (err != 0)
        return err;
    ASSERT(instance == index);
    err = run_init(side, index, is_alive, diag);
    if (err != 0 || !*is_alive || index > 0)
        return err;
    err = faaslet_register(side->faaslet, 0, "a");
    return err == 0 ? 0 : diag_set(diag, err, "cannot be registered: %s", strerror(-err));
}

static int
start_instances(struct side *side, bool is_linked, bool *is_alive, struct diag *diag)
{
    struct faaslet_config config = config_of(side);
    int err;

    *is_alive = true;
    if (!is_linked) {
        err = faaslet_create(side->images[0], &config, &side->faaslet, diag);
        return err != 0 ? err : run_init(side, 0, is_alive, diag);
    }
    err = faaslet_create_empty(&config, &side->faaslet);
    if (err != 0)
        return diag_set(diag, err, "cannot make a Faaslet: %s", strerror(-err));
    for (uint32_t i = 0; err == 0 && *is_alive && i < side->module_count; i++)
        err = add_instance(side, i, is_alive, diag);
    return err;
}

static int
run_instances(struct side *side, bool is_linked, const char *script, struct diag *diag)
{
    bool is_alive;
    int err = start_instances(side, is_linked, &is_alive, diag);

    if (err != 0 || !is_alive)
        return err;
    err = run_script(side, script, diag);
    for (uint32_t i = 0; err == 0 && !side->is_stopped && i < side->module_count; i++)
        put_globals(side, i);
    return err;
}

/* Every image has an address of its own. */
static int
load_image(struct side *side, uint32_t index, const struct side_module *module,
           const struct side_variant *variant, struct diag *diag)
{
    int fd CLEANUP(file_close) = -1;
    int err = wasm_module_create(module->bytes, module->count, &side->modules[index], NULL, diag);

    if (err == 0)
        err = compile_at(module, variant, ABI_IMAGE_ADDRESS_FIRST + index * IMAGE_BYTES, &fd, diag);
    if (err == 0)
        err = side_scan(fd, diag);
    if (err == 0)
        err = faaslet_image_load(fd, &side->images[index], diag);
    return err;
}

int
side_run(const struct side_module *modules, uint32_t module_count,
         const struct side_variant *variant, const char *script, struct buffer *log,
         struct diag *diag)
{
    struct side side = {.log = log,
                        .process = {.log = log},
                        .module_count = module_count,
                        .is_moved = variant->is_moved};
    int err = faaslet_thread_init();

    ASSERT(module_count <= SIDE_MODULES_MAX && (module_count == 1 || variant->is_linked));
    for (uint32_t i = 0; err == 0 && i < module_count; i++)
        err = load_image(&side, i, &modules[i], variant, diag);
    if (err == 0) {
        faaslet_stress(variant->is_moved ? 1 : 0);
        err = run_instances(&side, variant->is_linked, script, diag);
        faaslet_stress(0);
    }
    faaslet_destroy(side.faaslet);
    for (uint32_t i = 0; i < module_count; i++) {
        faaslet_image_put(side.images[i]);
        wasm_module_destroy(side.modules[i]);
    }
    return err != 0 ? err : log->err;
}
