/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of a module: preamble, and sections in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "wasm/wasm_internal.h"

struct section {
    const char *name;
    uint32_t order; /* where it may stand; 0: custom, anywhere */
    int (*decode)(struct wasm_decoder *decoder);
};

static int section_custom(struct wasm_decoder *decoder);

static const struct section section_table[WASM_SECTION_COUNT] = {
    [WASM_SECTION_CUSTOM] = {"custom", 0, section_custom},
    [WASM_SECTION_TYPE] = {"type", 1, wasm_section_type},
    [WASM_SECTION_IMPORT] = {"import", 2, wasm_section_import},
    [WASM_SECTION_FUNCTION] = {"function", 3, wasm_section_function},
    [WASM_SECTION_TABLE] = {"table", 4, wasm_section_table},
    [WASM_SECTION_MEMORY] = {"memory", 5, wasm_section_memory},
    [WASM_SECTION_TAG] = {"tag", 6, wasm_section_tag},
    [WASM_SECTION_GLOBAL] = {"global", 7, wasm_section_global},
    [WASM_SECTION_EXPORT] = {"export", 8, wasm_section_export},
    [WASM_SECTION_START] = {"start", 9, wasm_section_start},
    [WASM_SECTION_ELEMENT] = {"element", 10, wasm_section_element},
    [WASM_SECTION_DATA_COUNT] = {"data count", 11, wasm_section_data_count},
    [WASM_SECTION_CODE] = {"code", 12, wasm_section_code},
    [WASM_SECTION_DATA] = {"data", 13, wasm_section_data},
};

static int
section_custom(struct wasm_decoder *decoder)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    struct wasm_custom *customs;
    struct wasm_custom custom;
    int err;

    err = wasm_read_name(reader, &custom.name);
    if (err != 0)
        return err;
    if (module->custom_count == WASM_CUSTOMS_MAX)
        return wasm_too_big(reader->fail, reader->position,
                            "too many custom sections, the limit is %u", WASM_CUSTOMS_MAX);
    customs = wasm_array_append(module->customs, module->custom_count, sizeof(*customs));
    if (customs == NULL)
        return wasm_no_memory(reader->fail);
    custom.byte_count = wasm_reader_left(reader);
    custom.bytes = reader->bytes + reader->position;
    reader->position = reader->end;
    module->customs = customs;
    customs[module->custom_count++] = custom;
    return 0;
}

static int
check_preamble(struct wasm_reader *reader)
{
    static const uint8_t magic[4] = {0, 'a', 's', 'm'};
    static const uint8_t version[4] = {1, 0, 0, 0};
    const uint8_t *bytes = NULL;
    int err;

    err = wasm_read_bytes(reader, 4, &bytes);
    if (err != 0)
        return err;
    if (memcmp(bytes, magic, 4) != 0)
        return wasm_malformed(reader->fail, 0,
                              "magic header not detected: not a WebAssembly binary");
    err = wasm_read_bytes(reader, 4, &bytes);
    if (err != 0)
        return err;
    if (memcmp(bytes, version, 4) == 0)
        return 0;
    if (bytes[2] == 1 && bytes[3] == 0)
        return wasm_unsupported(reader->fail, 4, WASM_MISSING_COMPONENT, true,
                                "unknown binary version");
    return wasm_malformed(reader->fail, 4, "unknown binary version %02x %02x %02x %02x", bytes[0],
                          bytes[1], bytes[2], bytes[3]);
}

static int
decode_section(struct wasm_decoder *decoder, const struct section *section, uint32_t position)
{
    struct wasm_reader *reader = &decoder->reader;
    int err;

    if (section->order != 0) {
        if (section->order <= decoder->section_order)
            return wasm_malformed(reader->fail, position,
                                  "unexpected content after last section: the %s section is twice "
                                  "or out of order",
                                  section->name);
        decoder->section_order = section->order;
    }
    err = section->decode(decoder);
    if (err != 0)
        return err;
    if (reader->position != reader->end)
        return wasm_malformed(reader->fail, reader->position,
                              "section size mismatch: %u bytes left in the %s section",
                              wasm_reader_left(reader), section->name);
    return 0;
}

static int
next_section(struct wasm_decoder *decoder, uint32_t end)
{
    struct wasm_reader *reader = &decoder->reader;
    uint32_t first = reader->position;
    uint32_t size;
    uint8_t id;
    int err;

    err = wasm_read_byte(reader, &id);
    if (err != 0)
        return err;
    if (id >= WASM_SECTION_COUNT)
        return wasm_malformed(reader->fail, first, "malformed section id %u", id);
    err = wasm_read_u32(reader, &size);
    if (err != 0)
        return err;
    if (size > wasm_reader_left(reader))
        return wasm_malformed(
            reader->fail, first,
            "length out of bounds, unexpected end: the %s section wants %u bytes, "
            "%u are left",
            section_table[id].name, size, wasm_reader_left(reader));
    reader->end = reader->position + size;
    decoder->section_first[id] = reader->position;
    err = decode_section(decoder, &section_table[id], first);
    reader->end = end;
    return err;
}

int
wasm_sections_decode(struct wasm_decoder *decoder, uint32_t end)
{
    struct wasm_module *module = decoder->module;
    struct wasm_reader *reader = &decoder->reader;
    int err;

    err = check_preamble(reader);
    while (err == 0 && reader->position < end)
        err = next_section(decoder, end);
    if (err != 0)
        return err;
    if (decoder->defined_count != decoder->body_count)
        return wasm_malformed(reader->fail, end,
                              "function and code section have inconsistent lengths: %u and %u",
                              decoder->defined_count, decoder->body_count);
    if (decoder->has_data_count && decoder->data_count != module->data_count)
        return wasm_malformed(reader->fail, end,
                              "data count and data section have inconsistent lengths: %u and %u",
                              decoder->data_count, module->data_count);
    return 0;
}

void *
wasm_array_extend(void *array, uint32_t count, uint32_t extra, size_t size)
{
    size_t total = (size_t)count + extra;
    uint8_t *bytes;

    bytes = reallocarray(array, total == 0 ? 1 : total, size);
    if (bytes != NULL)
        (void)memset(bytes + count * size, 0, extra * size);
    return bytes;
}

void *
wasm_array_append(void *array, uint32_t count, size_t size)
{
    /* Full at every power of two. */
    bool is_full = (count & (count - 1)) == 0;

    if (!is_full)
        return array;
    return wasm_array_extend(array, count, count == 0 ? 1 : count, size);
}
