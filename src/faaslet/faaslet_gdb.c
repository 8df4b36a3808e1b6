/* SPDX-License-Identifier: Apache-2.0
 *
 * gdb's interface for code that appears at run time ("JIT Compilation
 * Interface" in its manual): a list of symbol files in memory, and a function
 * in which gdb stops to read it. An image is an ELF file with symbols and lines,
 * linked for where it is mapped, so it is its own symbol file.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "faaslet/faaslet_internal.h"

enum jit_action {
    JIT_NOTHING,
    JIT_REGISTER,
    JIT_UNREGISTER,
};

struct image_symbols { /* gdb's struct jit_code_entry */
    struct image_symbols *next, *previous;
    const uint8_t *file;
    uint64_t file_bytes;
};

struct jit_descriptor {
    uint32_t version;
    uint32_t action; /* enum jit_action */
    struct image_symbols *relevant;
    struct image_symbols *first;
};

/* Names that gdb looks for. */
extern struct jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code(void);

struct jit_descriptor __jit_debug_descriptor = {.version = 1};

__attribute__((noinline)) void
__jit_debug_register_code(void)
{
    __asm__ volatile("" ::: "memory");
}

static void
tell(struct image_symbols *symbols, enum jit_action action)
{
    __jit_debug_descriptor.relevant = symbols;
    __jit_debug_descriptor.action = action;
    __jit_debug_register_code();
}

struct image_symbols *
image_symbols_register(const struct faaslet_image *image)
{
    struct image_symbols *symbols = calloc(1, sizeof(*symbols));

    if (symbols == NULL)
        return NULL; /* a debugger would see less; nothing else changes */
    symbols->file = image->file;
    symbols->file_bytes = image->file_bytes;
    symbols->next = __jit_debug_descriptor.first;
    if (symbols->next != NULL)
        symbols->next->previous = symbols;
    __jit_debug_descriptor.first = symbols;
    tell(symbols, JIT_REGISTER);
    return symbols;
}

void
image_symbols_unregister(struct image_symbols *symbols)
{
    if (symbols == NULL)
        return;
    if (symbols->previous != NULL)
        symbols->previous->next = symbols->next;
    else
        __jit_debug_descriptor.first = symbols->next;
    if (symbols->next != NULL)
        symbols->next->previous = symbols->previous;
    tell(symbols, JIT_UNREGISTER);
    free(symbols);
}
