/* SPDX-License-Identifier: Apache-2.0
 *
 * Backtraces for people: names from the image's symbols, lines from its DWARF.
 */
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>
#include <string.h>

#include "faaslet/faaslet_internal.h"

#define FRAMES_SHOWN_MAX 64u
#define NAME_BYTES_MAX   200u

/* The symbol that covers pc, from the image's symbol table. */
struct symbol {
    const char *name;
    size_t name_bytes;
    uint64_t offset;
};

static bool
is_section_inside(const struct faaslet_image *image, const Elf64_Shdr *section)
{
    return section->sh_offset <= image->file_bytes &&
           section->sh_size <= image->file_bytes - section->sh_offset;
}

static bool
find_in_table(const struct faaslet_image *image, const Elf64_Shdr *table, const Elf64_Shdr *names,
              uint64_t pc, struct symbol *out)
{
    const Elf64_Sym *symbols = (const void *)(image->file + table->sh_offset);
    size_t count = table->sh_size / sizeof(*symbols);
    const char *text = (const char *)image->file + names->sh_offset;

    for (size_t i = 0; i < count; i++) {
        if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC || pc < symbols[i].st_value ||
            pc - symbols[i].st_value >= symbols[i].st_size || symbols[i].st_name >= names->sh_size)
            continue;
        out->name = text + symbols[i].st_name;
        out->name_bytes = strnlen(out->name, names->sh_size - symbols[i].st_name);
        out->offset = pc - symbols[i].st_value;
        return true;
    }
    return false;
}

static bool
find_symbol(const struct faaslet_image *image, uint64_t pc, struct symbol *out)
{
    const Elf64_Ehdr *header = (const void *)image->file;
    const Elf64_Shdr *sections = (const void *)(image->file + header->e_shoff);

    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header->e_shnum ||
            sections[i].sh_offset % sizeof(uint64_t) != 0 ||
            !is_section_inside(image, &sections[i]) ||
            !is_section_inside(image, &sections[sections[i].sh_link]))
            continue;
        return find_in_table(image, &sections[i], &sections[sections[i].sh_link], pc, out);
    }
    return false;
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static void
append_line(Dwarf *dwarf, uint64_t pc, struct buffer *out)
{
    Dwarf_Die unit;
    Dwarf_Line *line;
    const char *file;
    int number;

    if (dwarf == NULL || dwarf_addrdie(dwarf, pc, &unit) == NULL)
        return;
    line = dwarf_getsrc_die(&unit, pc);
    if (line == NULL || dwarf_lineno(line, &number) != 0 || number <= 0)
        return;
    file = dwarf_linesrc(line, NULL, NULL);
    if (file != NULL)
        buffer_append_format(out, " (%s:%d)", base_name(file), number);
}

/* The image whose lines are open; frames mostly are of one image. */
struct lines {
    const struct faaslet_image *image;
    Elf *elf;
    Dwarf *dwarf;
};

static void
lines_close(struct lines *lines)
{
    if (lines->dwarf != NULL)
        (void)dwarf_end(lines->dwarf);
    if (lines->elf != NULL)
        (void)elf_end(lines->elf);
    *lines = (struct lines){0};
}

static void
lines_open(struct lines *lines, const struct faaslet_image *image)
{
    if (lines->image == image)
        return;
    lines_close(lines);
    lines->image = image;
    (void)elf_version(EV_CURRENT);
    /* libelf only reads it, its type does not say so. */
    lines->elf = elf_memory((char *)(uintptr_t)image->file, image->file_bytes);
    if (lines->elf != NULL)
        lines->dwarf = dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL);
}

static void
append_frame(const struct faaslet *faaslet, const struct guest_registers *registers,
             unsigned number, struct lines *lines, struct buffer *out)
{
    uint64_t pc = registers->is_exact ? registers->pc : registers->pc - 1;
    const struct faaslet_image *image = faaslet_image_at(faaslet, pc);
    struct symbol symbol;

    if (image == NULL) {
        buffer_append_format(out, "  #%u ?\n", number);
        return;
    }
    if (find_symbol(image, pc, &symbol))
        buffer_append_format(
            out, "  #%u %.*s+0x%llx", number,
            (int)(symbol.name_bytes < NAME_BYTES_MAX ? symbol.name_bytes : NAME_BYTES_MAX),
            symbol.name, (unsigned long long)symbol.offset);
    else
        buffer_append_format(out, "  #%u 0x%llx", number, (unsigned long long)pc);
    lines_open(lines, image);
    append_line(lines->dwarf, pc, out);
    buffer_append_format(out, "\n");
}

/* Frames that carry a call, not the program's: weft_start and the wrappers. */
static bool
is_glue(const struct faaslet *faaslet, const struct guest_registers *registers)
{
    const struct faaslet_image *image = faaslet_image_at(faaslet, registers->pc - 1);
    struct symbol symbol;

    return image != NULL && !registers->is_exact &&
           find_symbol(image, registers->pc - 1, &symbol) && symbol.name_bytes > 5 &&
           memcmp(symbol.name, "weft_", 5) == 0;
}

void
faaslet_backtrace(const struct faaslet *faaslet, struct buffer *out)
{
    struct guest_registers registers = faaslet->stopped;
    struct lines lines = {0};
    unsigned shown = 0;

    if (!faaslet->has_registers) {
        if (faaslet->state != STATE_READY && faaslet->state != STATE_CALLING)
            return;
        registers_of_frame(faaslet, faaslet->stop_context, &registers);
    }
    if (faaslet_image_at(faaslet, registers.pc) == NULL)
        return;
    do {
        if (is_glue(faaslet, &registers))
            continue;
        if (shown == FRAMES_SHOWN_MAX) {
            buffer_append_format(out, "  ... and more\n");
            break;
        }
        append_frame(faaslet, &registers, shown++, &lines, out);
    } while (unwind_step(faaslet, &registers));
    lines_close(&lines);
}
