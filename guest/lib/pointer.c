/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of function pointers, from the inside: the new Faaslet is entered here, or where
 * its Proto-Faaslet stands in weft_snapshot, and asks which function it is to run.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "weft.h"

#pragma weak fflush

typedef void (*function)(void);

WEFT_IMPORT("snapshot") int weft_snapshot_here(void);
WEFT_IMPORT("pointer") function weft_pointer(void);
WEFT_IMPORT("chain_pointer")
int weft_chain_index(function pointer, const void *input, uint32_t count, uint32_t flags,
                     uint64_t timeout_ns, weft_handle *call);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void
weft_exit(uint32_t code);

void __wasm_call_ctors(void);
__attribute__((weak)) void __wasm_call_dtors(void);
void weft_pointer_entry(void);

/* Initialisation runs constructors in a reactor; in a command _start would. */
static bool is_constructed;
__attribute__((constructor(101))) static void
note(void)
{
    is_constructed = true;
}

static void
run(void)
{
    weft_pointer()();
    if (__wasm_call_dtors != NULL)
        __wasm_call_dtors(); /* what is buffered is written */
    else if (fflush != NULL)
        (void)fflush(NULL);
}

__attribute__((export_name("weft_pointer_entry"))) void
weft_pointer_entry(void)
{
    if (!is_constructed)
        __wasm_call_ctors();
    run();
}

int
weft_snapshot(void)
{
    int starts = weft_snapshot_here();

    if (weft_pointer() != NULL) {
        run();
        weft_exit(0);
    }
    return starts;
}

int
weft_chain_pointer(void (*pointer)(void), const void *input, uint32_t count, uint32_t flags,
                   uint64_t timeout_ns, weft_handle *call)
{
    return weft_chain_index(pointer, input, count, flags, timeout_ns, call);
}
