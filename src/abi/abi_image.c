/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing of images: first the ELF container, then the metadata. Everything that
 * the runtime follows later is checked here; nothing is dereferenced before its
 * bounds are known.
 */
#include "abi/abi.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SEGMENTS_MAX    32u
#define TABLES_MAX      100000u
#define IMAGE_ALIGN     8u
#define VALUE_TYPE_V128 0x7b

struct reader {
    const uint8_t *bytes;
    size_t size;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections;
    const char *names;
    size_t names_size;
    struct abi_image *out;
    struct diag *diag;
};

static bool
is_inside(uint64_t offset, uint64_t count, uint64_t size)
{
    return offset <= size && count <= size - offset;
}

static int
refuse(const struct reader *reader, const char *what)
{
    return diag_set(reader->diag, -EINVAL, "not a usable image: %s; compile the module again",
                    what);
}

/* ------------------------------------------------------------------------- ELF */

static int
read_header(struct reader *reader)
{
    const Elf64_Ehdr *header = (const void *)reader->bytes;

    if ((uintptr_t)reader->bytes % IMAGE_ALIGN != 0 || reader->size < sizeof(*header))
        return refuse(reader, "too short for an ELF header");
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(reader, "no ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64 || header->e_type != ET_EXEC)
        return refuse(reader, "no executable for x86-64");
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > SEGMENTS_MAX || header->e_phoff % IMAGE_ALIGN != 0 ||
        !is_inside(header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr), reader->size))
        return refuse(reader, "bad program headers");
    if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum == 0 ||
        header->e_shoff % IMAGE_ALIGN != 0 ||
        !is_inside(header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr), reader->size) ||
        header->e_shstrndx >= header->e_shnum)
        return refuse(reader, "bad section headers");
    reader->header = header;
    reader->segments = (const void *)(reader->bytes + header->e_phoff);
    reader->sections = (const void *)(reader->bytes + header->e_shoff);
    return 0;
}

static int
read_load_segment(struct reader *reader, const Elf64_Phdr *segment)
{
    struct abi_image *out = reader->out;
    uint64_t end = segment->p_vaddr + segment->p_memsz;

    if (!is_inside(segment->p_offset, segment->p_filesz, reader->size) ||
        segment->p_memsz != segment->p_filesz)
        return refuse(reader, "a segment is not in the file");
    if (segment->p_vaddr < ABI_IMAGE_ADDRESS_FIRST || end < segment->p_vaddr ||
        end > ABI_IMAGE_ADDRESS_END ||
        (segment->p_vaddr - segment->p_offset) % ABI_HOST_PAGE_BYTES != 0)
        return refuse(reader, "a segment has an address that images may not have");
    if ((segment->p_flags & PF_X) != 0 && (segment->p_flags & PF_W) != 0)
        return refuse(reader, "a segment is writable and executable");
    if (out->load_end != 0 && segment->p_vaddr < out->load_end)
        return refuse(reader, "segments overlap or are not in order");
    if (out->load_end == 0)
        out->load_first = segment->p_vaddr;
    out->load_end = end;
    if ((segment->p_flags & PF_X) != 0) {
        if (out->text_end == 0)
            out->text_first = segment->p_vaddr;
        out->text_end = end;
    }
    return 0;
}

static int
read_segments(struct reader *reader)
{
    struct abi_image *out = reader->out;
    uint64_t unwind_bytes = 0;
    int err;

    for (unsigned i = 0; i < reader->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &reader->segments[i];

        if (segment->p_type == PT_LOAD && segment->p_memsz != 0) {
            err = read_load_segment(reader, segment);
            if (err != 0)
                return err;
        }
        if (segment->p_type == PT_GNU_EH_FRAME) {
            out->eh_frame_hdr = segment->p_vaddr;
            unwind_bytes = segment->p_memsz;
        }
    }
    if (out->text_end == 0)
        return refuse(reader, "it has no code");
    if (out->eh_frame_hdr != 0 && (out->eh_frame_hdr < out->load_first ||
                                   !is_inside(out->eh_frame_hdr - out->load_first, unwind_bytes,
                                              out->load_end - out->load_first)))
        return refuse(reader, "its unwind table is not inside");
    return 0;
}

static int
read_section_names(struct reader *reader)
{
    const Elf64_Shdr *section = &reader->sections[reader->header->e_shstrndx];

    if (section->sh_type != SHT_STRTAB || section->sh_size == 0 ||
        !is_inside(section->sh_offset, section->sh_size, reader->size) ||
        reader->bytes[section->sh_offset + section->sh_size - 1] != '\0')
        return refuse(reader, "bad section names");
    reader->names = (const char *)reader->bytes + section->sh_offset;
    reader->names_size = section->sh_size;
    return 0;
}

/* The section's header, or NULL where there is none. Its bytes are in the file. */
static const Elf64_Shdr *
find_section(const struct reader *reader, const char *name)
{
    for (unsigned i = 1; i < reader->header->e_shnum; i++) {
        const Elf64_Shdr *section = &reader->sections[i];

        if (section->sh_name >= reader->names_size ||
            strcmp(reader->names + section->sh_name, name) != 0)
            continue;
        if (section->sh_type != SHT_PROGBITS ||
            !is_inside(section->sh_offset, section->sh_size, reader->size))
            return NULL;
        return section;
    }
    return NULL;
}

static int
read_code(struct reader *reader)
{
    const Elf64_Shdr *section = find_section(reader, ABI_CODE_SECTION);
    struct abi_image *out = reader->out;

    if (section == NULL || section->sh_offset % sizeof(uint64_t) != 0 ||
        section->sh_size % sizeof(uint64_t) != 0 ||
        section->sh_size / sizeof(uint64_t) > UINT32_MAX)
        return refuse(reader, "no list of code");
    out->code = (const void *)(reader->bytes + section->sh_offset);
    out->code_count = (uint32_t)(section->sh_size / sizeof(uint64_t));
    if (out->code_count < ABI_CODE_FIXED || out->code[ABI_CODE_START] == 0 ||
        out->code[ABI_CODE_INIT] == 0)
        return refuse(reader, "it has no start");
    for (uint32_t i = 0; i < out->code_count; i++) {
        if (out->code[i] != 0 && (out->code[i] < out->text_first || out->code[i] >= out->text_end))
            return refuse(reader, "a code address is outside its code");
    }
    return 0;
}

static int
read_memory(struct reader *reader)
{
    const Elf64_Shdr *section = find_section(reader, ABI_MEMORY_SECTION);

    if (section == NULL || section->sh_size == 0)
        return 0;
    if (section->sh_offset % ABI_HOST_PAGE_BYTES != 0)
        return refuse(reader, "its initial memory is not page-aligned");
    reader->out->memory_file_offset = section->sh_offset;
    reader->out->memory_bytes = section->sh_size;
    return 0;
}

static int
read_meta(struct reader *reader)
{
    const Elf64_Shdr *section = find_section(reader, ABI_META_SECTION);
    struct abi_image *out = reader->out;

    if (section == NULL || section->sh_offset % IMAGE_ALIGN != 0 ||
        section->sh_size < sizeof(struct abi_meta))
        return refuse(reader, "no metadata");
    out->meta_bytes = reader->bytes + section->sh_offset;
    out->meta = (const void *)out->meta_bytes;
    out->meta_size = section->sh_size;
    if (out->meta->magic != ABI_META_MAGIC || out->meta->version != ABI_VERSION)
        return refuse(reader, "made by another version of weft");
    if (out->meta->mode > ABI_THREADED || out->meta->has_tail_calls > 1 ||
        out->meta->strict_traps > 1)
        return refuse(reader, "unknown mode");
    return 0;
}

/* -------------------------------------------------------------------- metadata */

static bool
is_range(const struct abi_image *image, struct abi_range range, size_t unit, size_t align)
{
    return range.offset % align == 0 && range.offset <= image->meta_size &&
           range.count <= (image->meta_size - range.offset) / unit;
}

static int
check_ranges(const struct reader *reader)
{
    const struct abi_image *image = reader->out;
    const struct abi_meta *meta = image->meta;
    const struct {
        struct abi_range range;
        size_t unit, align;
    } checks[] = {
        {meta->cpu, 1, 1},
        {meta->source_id, 1, 1},
        {meta->features, 1, 1},
        {meta->types, sizeof(struct abi_meta_type), 4},
        {meta->imports, sizeof(struct abi_meta_import), 4},
        {meta->exports, sizeof(struct abi_meta_export), 4},
        {meta->functions, sizeof(struct abi_meta_function), 4},
        {meta->memories, sizeof(struct abi_meta_memory), 8},
        {meta->tables, sizeof(struct abi_meta_table), 4},
        {meta->globals, sizeof(struct abi_meta_global), 1},
        {meta->tags, sizeof(struct abi_meta_tag), 4},
        {meta->data, sizeof(struct abi_meta_data), 4},
        {meta->elements, sizeof(struct abi_meta_element), 4},
        {meta->runs, sizeof(struct abi_meta_run), 4},
    };

    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        if (!is_range(image, checks[i].range, checks[i].unit, checks[i].align))
            return refuse(reader, "a list in its metadata is not inside");
    }
    if (meta->memories.count > 1 || meta->tables.count > TABLES_MAX ||
        meta->imported_function_count > meta->imports.count ||
        meta->max_exception_slots > ABI_PAYLOAD_MAX)
        return refuse(reader, "a count in its metadata is too large");
    return 0;
}

static int
check_values(const struct reader *reader, struct abi_range range)
{
    static const char known[] = {0x7f, 0x7e, 0x7d, 0x7c, VALUE_TYPE_V128, 0x70, 0x6f};
    const uint8_t *types;

    if (!is_range(reader->out, range, 1, 1) || range.count > ABI_VALUES_MAX)
        return refuse(reader, "bad value types");
    types = abi_image_range(reader->out, range);
    for (uint32_t i = 0; i < range.count; i++) {
        if (memchr(known, types[i], sizeof(known)) == NULL)
            return refuse(reader, "unknown value type");
    }
    return 0;
}

static int
check_types(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_type *types = abi_image_range(reader->out, meta->types);

    if (reader->out->code_count - ABI_CODE_FIXED < meta->types.count)
        return refuse(reader, "it has too few wrappers");
    for (uint32_t i = 0; i < meta->types.count; i++) {
        int err = check_values(reader, types[i].params);

        if (err == 0)
            err = check_values(reader, types[i].results);
        if (err != 0)
            return err;
        if (types[i].canonical > i)
            return refuse(reader, "bad canonical type");
    }
    return 0;
}

static uint32_t
kind_count(const struct abi_meta *meta, uint32_t kind)
{
    switch (kind) {
    case ABI_KIND_TABLE:
        return meta->tables.count;
    case ABI_KIND_MEMORY:
        return meta->memories.count;
    case ABI_KIND_GLOBAL:
        return meta->globals.count;
    case ABI_KIND_TAG:
        return meta->tags.count;
    default:
        return 0;
    }
}

/* Imported functions are numbered as they come; others are in their lists. */
static int
check_imports(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_import *imports = abi_image_range(reader->out, meta->imports);
    uint32_t counts[ABI_KIND_TAG + 1] = {0};

    for (uint32_t i = 0; i < meta->imports.count; i++) {
        uint32_t kind = imports[i].kind;

        if (!is_range(reader->out, imports[i].module, 1, 1) ||
            !is_range(reader->out, imports[i].name, 1, 1) || kind > ABI_KIND_TAG ||
            imports[i].index != counts[kind]++)
            return refuse(reader, "bad import");
        if (kind != ABI_KIND_FUNCTION && imports[i].index >= kind_count(meta, kind))
            return refuse(reader, "an import is not in its list");
    }
    if (counts[ABI_KIND_FUNCTION] != meta->imported_function_count)
        return refuse(reader, "wrong count of imported functions");
    return 0;
}

static int
check_exports(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_export *exports = abi_image_range(reader->out, meta->exports);

    for (uint32_t i = 0; i < meta->exports.count; i++) {
        uint32_t kind = exports[i].kind;

        if (!is_range(reader->out, exports[i].name, 1, 1) || kind > ABI_KIND_TAG)
            return refuse(reader, "bad export");
        if (kind != ABI_KIND_FUNCTION && exports[i].index >= kind_count(meta, kind))
            return refuse(reader, "an export is not in its list");
    }
    return 0;
}

/* Increasing index, so that a function is found by bisection; every imported
 * function is there, so import k is entry k. */
static int
check_functions(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_function *functions = abi_image_range(reader->out, meta->functions);

    if (meta->functions.count < meta->imported_function_count)
        return refuse(reader, "an imported function is not in its list");
    for (uint32_t i = 0; i < meta->functions.count; i++) {
        if (functions[i].type >= meta->types.count ||
            functions[i].code >= reader->out->code_count ||
            (i > 0 && functions[i].index <= functions[i - 1].index) ||
            (i < meta->imported_function_count && functions[i].index != i))
            return refuse(reader, "bad function list");
    }
    return 0;
}

static int
check_objects(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_memory *memories = abi_image_range(reader->out, meta->memories);
    const struct abi_meta_table *tables = abi_image_range(reader->out, meta->tables);
    const struct abi_meta_global *globals = abi_image_range(reader->out, meta->globals);
    const struct abi_meta_tag *tags = abi_image_range(reader->out, meta->tags);

    for (uint32_t i = 0; i < meta->memories.count; i++) {
        if (memories[i].pages_min > memories[i].pages_max ||
            memories[i].pages_max > ABI_MEMORY_RESERVE_BYTES / ABI_PAGE_BYTES)
            return refuse(reader, "bad memory limits");
    }
    for (uint32_t i = 0; i < meta->tables.count; i++) {
        if (tables[i].count_min > tables[i].count_max)
            return refuse(reader, "bad table limits");
    }
    for (uint32_t i = 0; i < meta->globals.count; i++) {
        if (globals[i].is_mutable > 1 || globals[i].is_imported > 1)
            return refuse(reader, "bad global");
    }
    for (uint32_t i = 0; i < meta->tags.count; i++) {
        if (tags[i].type >= meta->types.count || tags[i].is_imported > 1)
            return refuse(reader, "bad tag");
    }
    return 0;
}

static int
check_element(const struct reader *reader, struct abi_range range)
{
    const struct abi_meta *meta = reader->out->meta;
    const uint32_t *entries;

    if (!is_range(reader->out, range, sizeof(uint32_t), 4))
        return refuse(reader, "an element segment is not inside");
    entries = abi_image_range(reader->out, range);
    for (uint32_t i = 0; i < range.count; i++) {
        if (entries[i] == ABI_ELEMENT_NULL)
            continue;
        if ((entries[i] & ABI_ELEMENT_GLOBAL) != 0
                ? (entries[i] & ~ABI_ELEMENT_GLOBAL) >= meta->globals.count
                : entries[i] >= meta->functions.count)
            return refuse(reader, "bad element segment");
    }
    return 0;
}

static int
check_segments(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_meta_data *data = abi_image_range(reader->out, meta->data);
    const struct abi_meta_element *elements = abi_image_range(reader->out, meta->elements);

    for (uint32_t i = 0; i < meta->data.count; i++) {
        if (!is_range(reader->out, data[i].bytes, 1, 1))
            return refuse(reader, "a data segment is not inside");
    }
    for (uint32_t i = 0; i < meta->elements.count; i++) {
        int err = check_element(reader, elements[i].entries);

        if (err != 0)
            return err;
    }
    return 0;
}

static int
check_runs(const struct reader *reader)
{
    const struct abi_image *image = reader->out;
    const struct abi_meta *meta = image->meta;
    const struct abi_meta_memory *memories = abi_image_range(image, meta->memories);
    const struct abi_meta_run *runs = abi_image_range(image, meta->runs);
    uint64_t memory_pages, file_pages, end = 0;

    if (meta->runs.count == 0)
        return 0;
    if (meta->memories.count == 0 || (memories[0].is_imported && meta->mode == ABI_LINKED))
        return refuse(reader, "initial memory without a memory");
    memory_pages = memories[0].pages_min * (ABI_PAGE_BYTES / ABI_HOST_PAGE_BYTES);
    file_pages = image->memory_bytes / ABI_HOST_PAGE_BYTES;
    for (uint32_t i = 0; i < meta->runs.count; i++) {
        if (runs[i].page_count == 0 || runs[i].memory_page < end ||
            !is_inside(runs[i].memory_page, runs[i].page_count, memory_pages) ||
            !is_inside(runs[i].file_page, runs[i].page_count, file_pages))
            return refuse(reader, "bad initial memory");
        end = (uint64_t)runs[i].memory_page + runs[i].page_count;
    }
    return 0;
}

static int
check_layout(const struct reader *reader)
{
    const struct abi_meta *meta = reader->out->meta;
    const struct abi_layout *layout = &meta->layout;
    const bool is_linked = meta->mode == ABI_LINKED;
    const struct {
        uint32_t offset, count, unit;
    } arrays[] = {
        {layout->globals, meta->globals.count, ABI_GLOBAL_BYTES},
        {layout->tables, meta->tables.count, sizeof(struct abi_table)},
        {layout->data_bytes, meta->data.count, sizeof(uint32_t)},
        {layout->element_counts, meta->elements.count, sizeof(uint32_t)},
        {layout->functions, meta->functions.count, sizeof(struct abi_function)},
        {layout->global_offsets, is_linked ? meta->globals.count : 0, sizeof(int64_t)},
        {layout->table_offsets, is_linked ? meta->tables.count : 0, sizeof(int64_t)},
        {layout->import_functions, is_linked ? meta->imported_function_count : 0, sizeof(int64_t)},
        {layout->type_ids, is_linked ? meta->types.count : 0, sizeof(uint32_t)},
        {layout->tag_offsets, meta->tags.count, sizeof(int64_t)},
        {layout->tags, meta->tags.count, sizeof(uint64_t)},
    };

    if (layout->context_bytes < sizeof(struct abi_context) ||
        layout->context_bytes > ABI_BELOW_BYTES_MAX / 2 ||
        layout->context_bytes % ABI_HOST_PAGE_BYTES != 0)
        return refuse(reader, "bad context size");
    for (size_t i = 0; i < ARRAY_COUNT(arrays); i++) {
        uint32_t align = arrays[i].unit < 8 ? 4 : 8;

        if (arrays[i].count == 0)
            continue;
        if (arrays[i].offset < sizeof(struct abi_context) || arrays[i].offset % align != 0 ||
            !is_inside(arrays[i].offset, (uint64_t)arrays[i].count * arrays[i].unit,
                       layout->context_bytes))
            return refuse(reader, "bad context layout");
    }
    return 0;
}

int
abi_image_parse(const uint8_t *bytes, size_t size, struct abi_image *out, struct diag *diag)
{
    static int (*const steps[])(struct reader *) = {
        read_header, read_segments, read_section_names, read_code, read_memory, read_meta,
    };
    static int (*const checks[])(const struct reader *) = {
        check_ranges,  check_types,    check_imports, check_exports, check_functions,
        check_objects, check_segments, check_runs,    check_layout,
    };
    struct abi_image image = {.file = bytes, .file_bytes = size};
    struct reader reader = {.bytes = bytes, .size = size, .out = &image, .diag = diag};
    int err = 0;

    for (size_t i = 0; i < ARRAY_COUNT(steps) && err == 0; i++)
        err = steps[i](&reader);
    for (size_t i = 0; i < ARRAY_COUNT(checks) && err == 0; i++)
        err = checks[i](&reader);
    if (err == 0)
        *out = image;
    return err;
}
