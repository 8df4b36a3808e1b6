/* SPDX-License-Identifier: Apache-2.0
 *
 * Backtraces for people: names from the image's symbols, lines from its DWARF.
 */
#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>
#include <stdlib.h>
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

/* Symbols end in the function's index, which keeps them apart: "main.12". */
static int
name_length(const char *name, size_t count)
{
    size_t end = count;

    while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
        end--;
    if (end < 2 || end == count || name[end - 1] != '.')
        end = count + 1;
    return (int)(end - 1 < NAME_BYTES_MAX ? end - 1 : NAME_BYTES_MAX);
}

/* A place in a source file; line 0: not known. */
struct place {
    const char *file;
    int line;
};

static void
append_place(struct place place, struct buffer *out)
{
    if (place.file != NULL && place.line > 0)
        buffer_append_format(out, " (%s:%d)", base_name(place.file), place.line);
    buffer_append_format(out, "\n");
}

static bool
find_unit(Dwarf *dwarf, uint64_t pc, Dwarf_Die *unit)
{
    Dwarf_Off offset = 0, next;
    size_t header_bytes;

    while (dwarf != NULL &&
           dwarf_nextcu(dwarf, offset, &next, &header_bytes, NULL, NULL, NULL) == 0) {
        if (dwarf_offdie(dwarf, offset + header_bytes, unit) != NULL && dwarf_haspc(unit, pc) > 0)
            return true;
        offset = next;
    }
    return false;
}

static struct place
place_of(Dwarf_Die *unit, uint64_t pc)
{
    Dwarf_Line *line = dwarf_getsrc_die(unit, pc);
    struct place place = {0};

    if (line != NULL && dwarf_lineno(line, &place.line) == 0)
        place.file = dwarf_linesrc(line, NULL, NULL);
    return place;
}

/* Where an inlined function was called from. */
static struct place
place_of_call(Dwarf_Die *unit, Dwarf_Die *inlined)
{
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    struct place place = {0};
    Dwarf_Files *files;

    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) != 0 ||
        dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) != 0 ||
        dwarf_getsrcfiles(unit, &files, NULL) != 0)
        return place;
    place.line = (int)line;
    place.file = dwarf_filesrc(files, file, NULL, NULL);
    return place;
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

/* The functions that were inlined at pc, innermost first, each with its place.
 * Gives the place in the function that they were inlined into. */
static struct place
append_inlined(Dwarf *dwarf, uint64_t pc, unsigned *number, struct buffer *out)
{
    struct place place = {0};
    Dwarf_Die *innermost = NULL, *scopes = NULL;
    Dwarf_Die unit;
    int count;

    if (!find_unit(dwarf, pc, &unit))
        return place;
    place = place_of(&unit, pc);
    /* Beyond the innermost, dwarf_getscopes tells where functions are written;
     * wanted is where they were inlined. */
    count = dwarf_getscopes(&unit, pc, &innermost);
    count = count > 0 ? dwarf_getscopes_die(innermost, &scopes) : 0;
    for (int i = 0; i < count; i++) {
        const char *name = dwarf_diename(&scopes[i]);

        if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine || name == NULL)
            continue;
        buffer_append_format(out, "  #%u %.*s", (*number)++, (int)NAME_BYTES_MAX, name);
        append_place(place, out);
        place = place_of_call(&unit, &scopes[i]);
    }
    free(innermost);
    free(scopes);
    return place;
}

static void
append_frame(const struct faaslet *faaslet, const struct guest_registers *registers,
             unsigned *number, struct lines *lines, struct buffer *out)
{
    uint64_t pc = registers->is_exact ? registers->pc : registers->pc - 1;
    const struct faaslet_image *image = faaslet_image_at(faaslet, pc);
    struct symbol symbol;
    struct place place;

    if (image == NULL) {
        buffer_append_format(out, "  #%u ?\n", (*number)++);
        return;
    }
    lines_open(lines, image);
    place = append_inlined(lines->dwarf, pc, number, out);
    if (find_symbol(image, pc, &symbol))
        buffer_append_format(out, "  #%u %.*s+0x%llx", (*number)++,
                             name_length(symbol.name, symbol.name_bytes), symbol.name,
                             (unsigned long long)symbol.offset);
    else
        buffer_append_format(out, "  #%u 0x%llx", (*number)++, (unsigned long long)pc);
    append_place(place, out);
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
        if (faaslet->stand.state != STATE_READY && faaslet->stand.state != STATE_CALLING)
            return;
        registers_of_frame(faaslet, faaslet->stand.stop_context, &registers);
    }
    if (faaslet_image_at(faaslet, registers.pc) == NULL)
        return;
    do {
        if (is_glue(faaslet, &registers))
            continue;
        if (shown >= FRAMES_SHOWN_MAX) {
            buffer_append_format(out, "  ... and more\n");
            break;
        }
        append_frame(faaslet, &registers, &shown, &lines, out);
    } while (unwind_step(faaslet, &registers));
    lines_close(&lines);
}
