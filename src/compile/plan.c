/* SPDX-License-Identifier: Apache-2.0
 *
 * What all partitions of a module must agree on.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

/* Bytes of guest code: below the first a module is one partition and the
 * optimiser sees all of it; no partition is larger than the second. */
#define PARTITION_ALONE_BYTES (160u << 10)
#define PARTITION_BYTES_MAX   (384u << 10)

bool
compile_constant_offset(const struct wasm_module *module, struct wasm_code code, uint32_t *value)
{
    struct wasm_cursor cursor;
    struct wasm_instr first, second;
    bool is_constant = false;

    wasm_cursor_init(&cursor, module, code);
    if (wasm_cursor_next(&cursor, &first) == 1 && first.opcode == WASM_I32_CONST &&
        wasm_cursor_next(&cursor, &second) == 1 && second.opcode == WASM_END) {
        *value = (uint32_t)first.value.i32;
        is_constant = true;
    }
    wasm_cursor_fini(&cursor);
    return is_constant;
}

/* Whether every active data segment has a fixed place inside the first pages, so
 * that memory can begin as a picture of them. */
static bool
is_data_fixed(const struct wasm_module *module)
{
    uint64_t bytes;

    if (module->memory_count == 0)
        return false;
    bytes = module->memories[0].limits.min * ABI_PAGE_BYTES;
    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct wasm_data *data = &module->data[i];
        uint32_t offset;

        if (data->mode != WASM_SEGMENT_ACTIVE)
            continue;
        if (!compile_constant_offset(module, data->offset, &offset) ||
            offset + (uint64_t)data->byte_count > bytes)
            return false;
    }
    return true;
}

static int
plan_references(struct compile_plan *plan)
{
    const struct wasm_module *module = plan->module;
    uint32_t count = module->function_count;

    plan->references = malloc((count + 1u) * sizeof(uint32_t));
    plan->referenced = malloc((count + 1u) * sizeof(uint32_t));
    if (plan->references == NULL || plan->referenced == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        plan->references[i] = PLAN_NO_REFERENCE;
        if (!module->functions[i].is_declared && !module->functions[i].is_imported)
            continue;
        plan->referenced[plan->reference_count] = i;
        plan->references[i] = plan->reference_count++;
    }
    return 0;
}

#define CACHE_LINE_BYTES 64u

static uint32_t
take(uint64_t *end, uint64_t count, uint64_t size, uint64_t align)
{
    uint64_t offset = ROUND_UP(*end, align);

    *end = offset + count * size;
    return (uint32_t)offset;
}

static int
plan_layout(struct compile_plan *plan, struct diag *diag)
{
    const struct wasm_module *module = plan->module;
    struct abi_layout *layout = &plan->layout;
    uint64_t linked = plan->mode == ABI_LINKED ? 1 : 0;
    uint64_t end = sizeof(struct abi_context);

    layout->globals = take(&end, module->global_count, ABI_GLOBAL_BYTES, 16);
    /* The first thread writes its stack pointer all the time, and all threads look at tables. */
    layout->tables = take(&end, module->table_count, sizeof(struct abi_table), CACHE_LINE_BYTES);
    layout->data_bytes = take(&end, module->data_count, 4, 4);
    layout->element_counts = take(&end, module->element_count, 4, 4);
    layout->functions = take(&end, plan->reference_count, sizeof(struct abi_function), 16);
    layout->global_offsets = take(&end, linked * module->global_count, 8, 8);
    layout->table_offsets = take(&end, linked * module->table_count, 8, 8);
    layout->import_functions = take(&end, linked * module->imported_function_count, 8, 8);
    layout->type_ids = take(&end, linked * module->type_count, 4, 4);
    layout->tag_offsets = take(&end, module->tag_count, 8, 8);
    layout->tags = take(&end, module->tag_count, 8, 8);
    end = ROUND_UP(end, (uint64_t)ABI_HOST_PAGE_BYTES);
    if (end > ABI_BELOW_BYTES_MAX / 2)
        return diag_set(diag, -E2BIG, "the module's globals, tables and functions need %llu bytes",
                        (unsigned long long)end);
    layout->context_bytes = (uint32_t)end;
    return 0;
}

static int
plan_tables(struct compile_plan *plan, struct diag *diag)
{
    const struct wasm_module *module = plan->module;
    uint64_t reserve = 0;

    plan->table_base = calloc(module->table_count + 1u, sizeof(int64_t));
    if (plan->table_base == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct wasm_limits *limits = &module->tables[i].limits;
        uint64_t max = limits->has_max ? limits->max : UINT32_MAX;

        if (limits->min > ABI_TABLE_ENTRIES_MAX)
            return diag_set(diag, -E2BIG, "table %u begins with %llu entries; the limit is %u", i,
                            (unsigned long long)limits->min, ABI_TABLE_ENTRIES_MAX);
        reserve += abi_table_reserve((uint32_t)max);
        plan->table_base[i] = abi_main_table(plan->layout.context_bytes, reserve);
    }
    if (ABI_HEADER_BYTES + plan->layout.context_bytes + reserve > ABI_BELOW_BYTES_MAX)
        return diag_set(diag, -E2BIG,
                        "the module's tables need %llu bytes of reserve; give them a maximum size",
                        (unsigned long long)reserve);
    return 0;
}

static int
plan_exceptions(struct compile_plan *plan, struct diag *diag)
{
    const struct wasm_module *module = plan->module;

    plan->has_exceptions = (module->features & WASM_FEATURE_EXCEPTIONS) != 0;
    for (uint32_t i = 0; i < module->tag_count; i++) {
        const struct wasm_func_type *type = &module->types[module->tags[i].type];
        uint32_t slots = 0;

        for (uint32_t k = 0; k < type->param_count; k++)
            slots += abi_value_slots(type->params[k]);
        if (slots > ABI_PAYLOAD_MAX)
            return diag_set(diag, -E2BIG, "tag %u carries %u slots of values; the limit is %u", i,
                            slots, ABI_PAYLOAD_MAX);
        if (slots > plan->payload_slots)
            plan->payload_slots = slots;
    }
    /* Another instance may throw more than this module knows. */
    if (plan->has_exceptions && plan->mode == ABI_LINKED)
        plan->payload_slots = ABI_PAYLOAD_MAX;
    return 0;
}

static uint64_t
body_bytes(const struct wasm_module *module, uint32_t index)
{
    return module->functions[index].code.end - module->functions[index].code.first + 8u;
}

/* Cuts the functions into runs of about the same size. */
static int
plan_partitions(struct compile_plan *plan)
{
    const struct wasm_module *module = plan->module;
    uint64_t total = 0, share, taken = 0;
    unsigned jobs = plan->options->jobs;
    uint32_t next = 0;

    if (jobs == 0)
        jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    for (uint32_t i = module->imported_function_count; i < module->function_count; i++)
        total += body_bytes(module, i);
    plan->partition_count = 1;
    if (total > PARTITION_ALONE_BYTES && jobs > 1)
        plan->partition_count = jobs;
    if (total / plan->partition_count > PARTITION_BYTES_MAX)
        plan->partition_count = (uint32_t)(total / PARTITION_BYTES_MAX + 1);
    plan->partition_first = calloc(plan->partition_count + 1u, sizeof(uint32_t));
    if (plan->partition_first == NULL)
        return -ENOMEM;
    share = total / plan->partition_count + 1;
    for (uint32_t i = module->imported_function_count; i < module->function_count; i++) {
        if (taken >= share * next && next < plan->partition_count)
            plan->partition_first[next++] = i;
        taken += body_bytes(module, i);
    }
    while (next <= plan->partition_count)
        plan->partition_first[next++] = module->function_count;
    plan->partition_first[0] = module->imported_function_count;
    return 0;
}

static enum abi_mode
choose_mode(const struct wasm_module *module, enum abi_mode wanted)
{
    bool is_shared = module->memory_count > 0 && module->memories[0].limits.is_shared;

    return wanted == ABI_STANDALONE && is_shared ? ABI_THREADED : wanted;
}

int
compile_plan_create(const struct wasm_module *module, const struct compile_options *options,
                    struct compile_plan **out, struct diag *diag)
{
    struct compile_plan *plan = calloc(1, sizeof(*plan));
    int err = -ENOMEM;

    if (plan == NULL)
        goto fail;
    plan->module = module;
    plan->options = options;
    plan->has_tail_calls = (module->features & WASM_FEATURE_TAIL_CALL) != 0;
    plan->mode = choose_mode(module, options->mode);
    plan->use_tailcc = plan->has_tail_calls || plan->mode == ABI_LINKED;
    plan->is_memory_mapped = plan->mode != ABI_LINKED && is_data_fixed(module);
    err = plan_references(plan);
    if (err == 0)
        err = plan_layout(plan, diag);
    if (err == 0)
        err = plan_tables(plan, diag);
    if (err == 0)
        err = plan_exceptions(plan, diag);
    if (err == 0)
        err = plan_partitions(plan);
    if (err != 0)
        goto fail;
    compile_source_read(module, &plan->source);
    *out = plan;
    return 0;

fail:
    compile_plan_destroy(plan);
    return diag_set(diag, err, "out of memory");
}

void
compile_plan_destroy(struct compile_plan *plan)
{
    if (plan == NULL)
        return;
    compile_source_fini(&plan->source);
    free(plan->references);
    free(plan->referenced);
    free(plan->table_base);
    free(plan->partition_first);
    free(plan);
}

const struct wasm_string *
compile_function_name(const struct wasm_module *module, uint32_t function)
{
    const struct wasm_function *named = &module->functions[function];

    for (uint32_t i = 0; named->name.count == 0 && named->is_declared && i < module->export_count;
         i++)
        if (module->exports[i].kind == WASM_KIND_FUNCTION && module->exports[i].index == function)
            return &module->exports[i].name;
    return &named->name;
}

/* Names that mean something to LLVM (intrinsics, symbols that stay in their
 * object) or are of our own kind, so that no guest function may have them. */
static bool
is_reserved(const char *name)
{
    return name[0] == '.' || strncmp(name, "llvm.", 5) == 0 || strncmp(name, "weft_", 5) == 0;
}

void
compile_symbol(const struct compile_plan *plan, uint32_t function, char *out, size_t size)
{
    const struct wasm_string *name = compile_function_name(plan->module, function);
    int length = name->count < 200 ? (int)name->count : 200;

    if (length == 0)
        (void)snprintf(out, size, "function.%u", function);
    else
        (void)snprintf(out, size, "%.*s.%u", length, name->bytes, function);
    if (is_reserved(out))
        (void)snprintf(out, size, "_%.*s.%u", length, name->bytes, function);
    /* '@' would be a version to the linker. */
    for (char *c = out; *c != '\0'; c++)
        if (!isgraph((unsigned char)*c) || *c == '@' || *c == '"')
            *c = '_';
}
