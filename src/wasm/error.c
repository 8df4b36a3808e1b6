/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "wasm/wasm_internal.h"

struct missing {
    const char *name;
    const char *advice;
};

static const struct missing missing_table[WASM_MISSING_COUNT] = {
    [WASM_MISSING_GC] = {"garbage collection",
                         "compile for linear memory, without the compiler's GC target"},
    [WASM_MISSING_FUNCTION_REFERENCES] = {"typed function references",
                                          "compile without -mgc or function references"},
    [WASM_MISSING_MEMORY64] = {"memory64", "compile for wasm32 instead of wasm64"},
    [WASM_MISSING_MULTI_MEMORY] = {"multi-memory",
                                   "compile with -mno-multimemory, or merge the "
                                   "memories with wasm-opt --multi-memory-lowering"},
    [WASM_MISSING_EXNREF] = {"exception references (try_table, throw_ref, exnref)",
                             "compile with -mllvm -wasm-use-legacy-eh=true, which gives the "
                             "exceptions that Weft has"},
    [WASM_MISSING_COMPONENT] = {"the component model",
                                "compile to a core module (wasm32-wasip1), or extract it with "
                                "wasm-tools component unbundle"},
    [WASM_MISSING_STACK_SWITCHING] = {"stack switching", "compile without it"},
    [WASM_MISSING_WIDE_ARITHMETIC] = {"wide arithmetic", "compile with -mno-wide-arithmetic"},
    [WASM_MISSING_HALF_PRECISION] = {"half precision vectors", "compile with -mno-fp16"},
    [WASM_MISSING_SHARED_EVERYTHING] = {"shared-everything threads",
                                        "compile with -pthread for shared linear memory"},
    [WASM_MISSING_CUSTOM_PAGE_SIZES] = {"custom page sizes", "use pages of 64 KiB"},
    [WASM_MISSING_RELAXED_BFLOAT16] = {"the bfloat16 dot product of relaxed SIMD",
                                       "compile without that intrinsic"},
};

static int PRINTF_LIKE(4, 0)
    fail_at(struct wasm_fail *fail, int err, uint32_t position, const char *format, va_list args)
{
    char text[DIAG_TEXT_MAX];

    if (fail == NULL)
        return err;
    (void)vsnprintf(text, sizeof(text), format, args);
    return diag_set(&fail->diag, err, "at byte 0x%x: %.900s", position, text);
}

int
wasm_malformed(struct wasm_fail *fail, uint32_t position, const char *format, ...)
{
    va_list args;

    if (fail != NULL && !fail->diag.is_set)
        fail->is_malformed = true;
    va_start(args, format);
    (void)fail_at(fail, -EINVAL, position, format, args);
    va_end(args);
    return -EINVAL;
}

int
wasm_invalid(struct wasm_fail *fail, uint32_t position, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fail_at(fail, -EINVAL, position, format, args);
    va_end(args);
    return -EINVAL;
}

int
wasm_too_big(struct wasm_fail *fail, uint32_t position, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fail_at(fail, -E2BIG, position, format, args);
    va_end(args);
    return -E2BIG;
}

int
wasm_no_memory(struct wasm_fail *fail)
{
    return diag_set(fail == NULL ? NULL : &fail->diag, -ENOMEM, "out of memory");
}

int
wasm_unsupported(struct wasm_fail *fail, uint32_t position, enum wasm_missing missing,
                 bool is_malformed, const char *text)
{
    const struct missing *entry = &missing_table[missing];

    if (fail == NULL)
        return -ENOTSUP;
    if (!fail->diag.is_set)
        fail->is_malformed = is_malformed;
    return diag_set(&fail->diag, -ENOTSUP, "at byte 0x%x: %s: Weft does not have %s; %s", position,
                    text, entry->name, entry->advice);
}
