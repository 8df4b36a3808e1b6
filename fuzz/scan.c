/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: reads the machine code of an image and looks for an instruction that
 * could touch memory outside the guest's segment and stack.
 *
 * Every memory operand must be off GS, off the stack pointer (an index beside it
 * picks a lane of a vector: LLVM clamps it), or a constant of the image.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>

#include "abi/abi.h"
#include "side.h"

#define TEXT_MAX 256u

#define REGISTERS 16u

#define NEAR_BYTES 65536u /* an interpreter's loop is long */

/* Where the code read so far put the address of a constant of the image into a
 * register. Code is read in its order in memory, which is not the order in which
 * it runs, so what happened to the register since is not known: that it was near
 * must do. */
struct knowledge {
    uint64_t at; /* the instruction looked at */
    uint64_t constant_at[REGISTERS];
};

static bool
may_hold_constant(const struct knowledge *knowledge, unsigned number)
{
    return number < REGISTERS && knowledge->constant_at[number] != 0 &&
           knowledge->at - knowledge->constant_at[number] < NEAR_BYTES;
}

/* The number of the register whose name begins here, whatever its width; REGISTERS
 * for none. */
static unsigned
register_at(const char *name)
{
    static const char *const families[][4] = {
        {"rax", "eax", "ax", "al"},  {"rcx", "ecx", "cx", "cl"},  {"rdx", "edx", "dx", "dl"},
        {"rbx", "ebx", "bx", "bl"},  {"rsi", "esi", "si", "sil"}, {"rdi", "edi", "di", "dil"},
        {"rbp", "ebp", "bp", "bpl"}, {"rsp", "esp", "sp", "spl"},
    };

    if (name[0] == 'r' && name[1] >= '0' && name[1] <= '9')
        return name[1] == '1' && name[2] >= '0' && name[2] <= '5' ? 10u + (unsigned)(name[2] - '0')
                                                                  : (unsigned)(name[1] - '0');
    for (unsigned i = 0; i < ARRAY_COUNT(families); i++)
        for (unsigned k = 0; k < 4; k++) {
            size_t count = strlen(families[i][k]);

            if (strncmp(name, families[i][k], count) == 0 &&
                (name[count] == ',' || name[count] == ' ' || name[count] == '\0' ||
                 name[count] == ']'))
                return i;
        }
    return REGISTERS;
}

/* Learns from an instruction that was read. */
static void
learn(struct knowledge *knowledge, const char *mnemonic)
{
    const char *operand = strpbrk(mnemonic, " \t");
    unsigned number;

    if (operand == NULL)
        return;
    number = register_at(operand + strspn(operand, " \t"));
    if (number < REGISTERS && strncmp(mnemonic, "lea", 3) == 0 && strstr(operand, "[rip") != NULL)
        knowledge->constant_at[number] = knowledge->at;
}

/* The operand that begins at `bracket`, in Intel syntax. Tables of constants, which
 * a select or br_table indexes, are read off a register. */
static bool
is_operand_confined(const struct knowledge *knowledge, const char *text, const char *bracket)
{
    const char *plus = strstr(bracket, " + ");
    unsigned base = register_at(bracket + 1);
    unsigned index = plus != NULL ? register_at(plus + 3) : REGISTERS;

    if (bracket - text >= 3 && strncmp(bracket - 3, "gs:", 3) == 0)
        return true;
    if (may_hold_constant(knowledge, base) || may_hold_constant(knowledge, index))
        return true;
    return strncmp(bracket, "[rsp", 4) == 0 || strncmp(bracket, "[rip", 4) == 0 ||
           strncmp(bracket, "[rbp", 4) == 0;
}

static bool
is_confined(const struct knowledge *knowledge, const char *text)
{
    static const char *const harmless[] = {"lea", "nop", "ud1", "data16"};
    const char *mnemonic = text + strspn(text, " \t");

    for (size_t i = 0; i < ARRAY_COUNT(harmless); i++)
        if (strncmp(mnemonic, harmless[i], strlen(harmless[i])) == 0)
            return true;
    for (const char *bracket = strchr(text, '['); bracket != NULL;
         bracket = strchr(bracket + 1, '['))
        if (!is_operand_confined(knowledge, text, bracket))
            return false;
    return true;
}

static int
scan_code(LLVMDisasmContextRef disassembler, const struct abi_image *image, const uint8_t *code,
          struct diag *diag)
{
    struct knowledge knowledge = {0};
    uint64_t at = image->text_first;
    char text[TEXT_MAX];

    while (at < image->text_end) {
        uint8_t *bytes = (uint8_t *)code + (at - image->text_first); /* LLVM's type, not written */
        size_t count = LLVMDisasmInstruction(disassembler, bytes, image->text_end - at, at, text,
                                             sizeof(text));

        knowledge.at = at;
        if (count == 0)
            return diag_set(diag, -EINVAL, "at 0x%llx: no instruction", (unsigned long long)at);
        if (!is_confined(&knowledge, text))
            return diag_set(diag, -EACCES, "at 0x%llx: not confined:%s", (unsigned long long)at,
                            text);
        learn(&knowledge, text + strspn(text, " \t"));
        at += count;
    }
    return 0;
}

/* The bytes of an address in the file. */
static const uint8_t *
file_bytes_at(const struct abi_image *image, uint64_t address)
{
    const Elf64_Ehdr *header = (const void *)image->file;
    const Elf64_Phdr *segments = (const void *)(image->file + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && address >= segments[i].p_vaddr &&
            address < segments[i].p_vaddr + segments[i].p_filesz)
            return image->file + segments[i].p_offset + (address - segments[i].p_vaddr);
    return NULL;
}

static int
scan_parsed(const struct abi_image *image, struct diag *diag)
{
    const uint8_t *code = file_bytes_at(image, image->text_first);
    LLVMDisasmContextRef disassembler;
    int err;

    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    disassembler = LLVMCreateDisasm("x86_64-unknown-linux-gnu", NULL, 0, NULL, NULL);
    if (disassembler == NULL || code == NULL)
        return diag_set(diag, -EINVAL, "no disassembler, or no code");
    (void)LLVMSetDisasmOptions(disassembler, LLVMDisassembler_Option_AsmPrinterVariant);
    err = scan_code(disassembler, image, code, diag);
    LLVMDisasmDispose(disassembler);
    return err;
}

int
side_scan(int fd, struct diag *diag)
{
    struct abi_image image;
    struct stat status;
    void *bytes;
    int err;

    if (fstat(fd, &status) != 0)
        return diag_set(diag, -errno, "fstat: %s", strerror(errno));
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return diag_set(diag, -errno, "mmap: %s", strerror(errno));
    err = abi_image_parse(bytes, (size_t)status.st_size, &image, diag);
    if (err == 0)
        err = scan_parsed(&image, diag);
    (void)munmap(bytes, (size_t)status.st_size);
    return err;
}
