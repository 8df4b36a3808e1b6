/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's line table. DWARF in WebAssembly is ordinary DWARF in custom
 * sections, with addresses that count from the code section's contents; libdw
 * reads it from an ELF file that is made of these sections in memory.
 */
#include <elfutils/libdw.h>
#include <errno.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compile/compile_internal.h"

#define SECTIONS_MAX 32u
#define ROWS_MAX     20000000u
#define PREFIX       ".debug_"

struct elf_names {
    char text[SECTIONS_MAX * 64];
    size_t bytes;
};

static size_t
add_name(struct elf_names *names, const char *name, size_t count)
{
    size_t at = names->bytes;

    if (at + count + 1 > sizeof(names->text))
        return 0;
    (void)memcpy(names->text + at, name, count);
    names->text[at + count] = '\0';
    names->bytes = at + count + 1;
    return at;
}

static bool
add_section(Elf *elf, struct elf_names *names, const char *name, size_t name_count,
            const void *bytes, size_t count, Elf32_Word type)
{
    Elf_Scn *section = elf_newscn(elf);
    Elf_Data *data = section != NULL ? elf_newdata(section) : NULL;
    Elf32_Shdr *header = section != NULL ? elf32_getshdr(section) : NULL;

    if (data == NULL || header == NULL)
        return false;
    header->sh_name = (Elf32_Word)add_name(names, name, name_count);
    header->sh_type = type;
    data->d_buf = (void *)(uintptr_t)bytes;
    data->d_size = count;
    data->d_align = 1;
    data->d_type = ELF_T_BYTE;
    return true;
}

/* Whether there was anything to add; the file is then complete. */
static bool
write_elf(const struct wasm_module *module, Elf *elf)
{
    struct elf_names names;
    Elf32_Ehdr *header = elf32_newehdr(elf);
    bool has_lines = false;
    unsigned count = 0;

    if (header == NULL)
        return false;
    names = (struct elf_names){.bytes = 1};
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_type = ET_REL;
    header->e_machine = EM_386; /* 32-bit, little endian: all that matters */
    header->e_version = EV_CURRENT;
    for (uint32_t i = 0; i < module->custom_count && count < SECTIONS_MAX - 1; i++) {
        const struct wasm_custom *custom = &module->customs[i];

        if (custom->name.count < sizeof(PREFIX) - 1 || custom->name.count > 40 ||
            memcmp(custom->name.bytes, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        if (!add_section(elf, &names, custom->name.bytes, custom->name.count, custom->bytes,
                         custom->byte_count, SHT_PROGBITS))
            return false;
        has_lines |= custom->name.count == 11 && memcmp(custom->name.bytes, ".debug_line", 11) == 0;
        count++;
    }
    if (!has_lines)
        return false;
    (void)add_name(&names, ".shstrtab", 9);
    if (!add_section(elf, &names, ".shstrtab", 9, names.text, sizeof(names.text), SHT_STRTAB))
        return false;
    header->e_shstrndx = (Elf32_Half)(count + 1);
    return elf_update(elf, ELF_C_WRITE) > 0;
}

static uint32_t
find_file(struct compile_source *source, const char *name)
{
    /* Rows of one file follow each other. */
    for (uint32_t i = source->file_count; i-- > 0;)
        if (strcmp(source->files[i], name) == 0)
            return i;
    if (source->file_count == source->file_capacity) {
        uint32_t capacity = source->file_capacity == 0 ? 16 : source->file_capacity * 2;
        char **files = realloc(source->files, capacity * sizeof(char *));

        if (files == NULL)
            return UINT32_MAX;
        source->files = files;
        source->file_capacity = capacity;
    }
    source->files[source->file_count] = strdup(name);
    return source->files[source->file_count] != NULL ? source->file_count++ : UINT32_MAX;
}

static bool
add_row(struct compile_source *source, Dwarf_Line *line)
{
    struct compile_row row = {0};
    const char *name = dwarf_linesrc(line, NULL, NULL);
    Dwarf_Addr address = 0;
    int number = 0, column = 0;
    bool is_end = false;

    if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0 ||
        dwarf_linecol(line, &column) != 0 || dwarf_lineendsequence(line, &is_end) != 0 ||
        name == NULL || address > UINT32_MAX)
        return true; /* a row that says nothing */
    if (source->row_count == source->row_capacity) {
        uint32_t capacity = source->row_capacity == 0 ? 4096 : source->row_capacity * 2;
        struct compile_row *rows;

        if (capacity > ROWS_MAX)
            return false;
        rows = realloc(source->rows, capacity * sizeof(*rows));
        if (rows == NULL)
            return false;
        source->rows = rows;
        source->row_capacity = capacity;
    }
    row.address = (uint32_t)address;
    row.line = is_end ? 0 : (uint32_t)number;
    row.column = (uint32_t)column;
    row.file = find_file(source, name);
    if (row.file == UINT32_MAX)
        return false;
    source->rows[source->row_count++] = row;
    return true;
}

static int
compare_rows(const void *left, const void *right)
{
    const struct compile_row *a = left;
    const struct compile_row *b = right;

    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    /* The end of one sequence comes before the start of the next. */
    return (a->line != 0) - (b->line != 0);
}

static void
read_rows(struct compile_source *source, Dwarf *dwarf)
{
    Dwarf_Off offset = 0, next;
    size_t header_bytes;

    while (dwarf_nextcu(dwarf, offset, &next, &header_bytes, NULL, NULL, NULL) == 0) {
        Dwarf_Lines *lines;
        Dwarf_Die die;
        size_t count;

        if (dwarf_offdie(dwarf, offset + header_bytes, &die) != NULL &&
            dwarf_getsrclines(&die, &lines, &count) == 0)
            for (size_t i = 0; i < count; i++)
                if (!add_row(source, dwarf_onesrcline(lines, i)))
                    return;
        offset = next;
    }
}

void
compile_source_read(const struct wasm_module *module, struct compile_source *source)
{
    int fd = memfd_create("dwarf", MFD_CLOEXEC);
    Elf *elf;
    Dwarf *dwarf;

    *source = (struct compile_source){0};
    (void)elf_version(EV_CURRENT);
    elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_WRITE, NULL);
    if (elf != NULL) {
        bool is_written = write_elf(module, elf);

        (void)elf_end(elf);
        dwarf = is_written ? dwarf_begin(fd, DWARF_C_READ) : NULL;
        if (dwarf != NULL) {
            read_rows(source, dwarf);
            (void)dwarf_end(dwarf);
        }
    }
    if (fd >= 0)
        (void)close(fd);
    if (source->row_count > 0)
        qsort(source->rows, source->row_count, sizeof(*source->rows), compare_rows);
}

void
compile_source_fini(struct compile_source *source)
{
    for (uint32_t i = 0; i < source->file_count; i++)
        free(source->files[i]);
    free(source->files);
    free(source->rows);
}

uint32_t
compile_source_find(const struct compile_source *source, uint32_t address)
{
    uint32_t first = 0, end = source->row_count;

    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (source->rows[middle].address <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first == 0 ? UINT32_MAX : first - 1;
}
