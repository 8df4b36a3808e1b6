/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "wasm/wasm_internal.h"

#include "base/assert.h"

/* A module may be invalid in one place and malformed in a later one. Malformed
 * comes first in the specification, so after a failed validation the bodies are
 * read once more for their structure alone. */
static void
look_for_malformed_body(const struct wasm_module *module, struct wasm_fail *fail)
{
    struct wasm_fail second = {0};
    struct wasm_code code;
    int err = 0;

    for (uint32_t i = module->imported_function_count; i < module->function_count && err == 0;
         i++) {
        struct wasm_reader reader = {.bytes = module->bytes, .fail = &second};

        reader.position = module->functions[i].code.first;
        reader.end = module->functions[i].code.end;
        err = wasm_code_scan(&reader, &code);
        if (err == 0 && reader.position != reader.end)
            err = wasm_malformed(&second, reader.position,
                                 "section size mismatch: %u bytes after the end of the function",
                                 wasm_reader_left(&reader));
    }
    if (err == -EINVAL && second.is_malformed)
        *fail = second;
}

static int
build(struct wasm_module *module, struct wasm_fail *fail)
{
    struct wasm_decoder decoder = {
        .module = module,
        .reader = {.bytes = module->bytes, .end = (uint32_t)module->byte_count, .fail = fail},
    };
    int err;

    err = wasm_sections_decode(&decoder, (uint32_t)module->byte_count);
    if (err != 0)
        return err;
    err = wasm_validate(&decoder);
    if (err == -EINVAL && !fail->is_malformed)
        look_for_malformed_body(module, fail);
    if (err == 0)
        wasm_names_decode(module);
    return err;
}

int
wasm_module_create(const uint8_t *bytes, size_t count, struct wasm_module **out, bool *is_malformed,
                   struct diag *diag)
{
    struct wasm_fail fail = {0};
    struct wasm_module *module;
    int err;

    if (is_malformed != NULL)
        *is_malformed = false;
    if (count > WASM_MODULE_BYTES_MAX)
        return diag_set(diag, -E2BIG, "the module has %zu bytes, the limit is %zu", count,
                        (size_t)WASM_MODULE_BYTES_MAX);
    module = calloc(1, sizeof(*module));
    if (module == NULL)
        return diag_set(diag, -ENOMEM, "out of memory");
    module->bytes = bytes;
    module->byte_count = count;
    err = build(module, &fail);
    if (err != 0) {
        ASSERT(fail.diag.is_set);
        wasm_module_destroy(module);
        if (is_malformed != NULL)
            *is_malformed = fail.is_malformed;
        return diag_set(diag, err, "%s", diag_text(&fail.diag));
    }
    *out = module;
    return 0;
}

static void
free_const(const void *array)
{
    /* The module owns it; const is for those who read. */
    free((void *)(uintptr_t)array);
}

void
wasm_module_destroy(struct wasm_module *module)
{
    if (module == NULL)
        return;
    for (uint32_t i = 0; i < module->function_count; i++)
        free_const(module->functions[i].locals);
    for (uint32_t i = 0; i < module->element_count; i++) {
        free_const(module->elements[i].exprs);
        free_const(module->elements[i].functions);
    }
    free(module->types);
    free(module->functions);
    free(module->tables);
    free(module->memories);
    free(module->globals);
    free(module->tags);
    free(module->imports);
    free(module->exports);
    free(module->data);
    free(module->elements);
    free(module->customs);
    free(module);
}
