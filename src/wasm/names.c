/* SPDX-License-Identifier: Apache-2.0
 *
 * The "name" section. Names are decoration: a broken section is as good as none.
 */
#include <string.h>

#include "wasm/wasm_internal.h"

#define SUBSECTION_FUNCTIONS 1

static int
read_function_names(struct wasm_module *module, struct wasm_reader *reader)
{
    struct wasm_string name;
    uint32_t count, index;
    int err;

    err = wasm_read_count(reader, 2, UINT32_MAX, "function names", &count);
    for (uint32_t i = 0; i < count && err == 0; i++) {
        err = wasm_read_u32(reader, &index);
        if (err == 0)
            err = wasm_read_name(reader, &name);
        if (err == 0 && index < module->function_count)
            module->functions[index].name = name;
    }
    return err;
}

static int
read_subsection(struct wasm_module *module, struct wasm_reader *reader)
{
    struct wasm_reader inner = *reader;
    const uint8_t *bytes = NULL;
    uint32_t size;
    uint8_t id;
    int err;

    err = wasm_read_byte(reader, &id);
    if (err == 0)
        err = wasm_read_u32(reader, &size);
    if (err != 0)
        return err;
    inner.position = reader->position;
    err = wasm_read_bytes(reader, size, &bytes);
    if (err != 0 || id != SUBSECTION_FUNCTIONS)
        return err;
    inner.end = reader->position;
    return read_function_names(module, &inner);
}

static int
read_names(struct wasm_module *module, const struct wasm_custom *custom)
{
    struct wasm_reader reader = {.bytes = module->bytes};
    int err = 0;

    reader.position = (uint32_t)(custom->bytes - module->bytes);
    reader.end = reader.position + custom->byte_count;
    while (err == 0 && reader.position < reader.end)
        err = read_subsection(module, &reader);
    return err;
}

void
wasm_names_decode(struct wasm_module *module)
{
    for (uint32_t i = 0; i < module->custom_count; i++) {
        const struct wasm_custom *custom = &module->customs[i];

        if (custom->name.count != 4 || memcmp(custom->name.bytes, "name", 4) != 0)
            continue;
        if (read_names(module, custom) != 0)
            for (uint32_t k = 0; k < module->function_count; k++)
                module->functions[k].name = (struct wasm_string){0};
        return;
    }
}
