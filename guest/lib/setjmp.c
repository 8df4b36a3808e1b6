/* SPDX-License-Identifier: Apache-2.0
 *
 * What clang's setjmp lowering calls. A setjmp is a label in one activation of
 * a function; longjmp throws, and each function on the way asks whether the
 * jump is to a label of its own activation.
 */
#include <stdint.h>

/* Lives in the program's jmp_buf, which has room for eight words. */
struct jump {
    const void *activation;
    uint32_t label;
    struct thrown {
        void *buffer;
        int value;
    } thrown; /* what the exception carries, read by compiled code */
};

/* The number of the exception's tag in clang: 0 is C++, 1 is longjmp. */
#define TAG_LONGJMP 1

void __wasm_setjmp(void *buffer, uint32_t label, const void *activation);
uint32_t __wasm_setjmp_test(const void *buffer, const void *activation);
_Noreturn void __wasm_longjmp(void *buffer, int value);

void
__wasm_setjmp(void *buffer, uint32_t label, const void *activation)
{
    struct jump *jump = buffer;

    jump->activation = activation;
    jump->label = label;
}

/* The label to continue at, or 0: the jump goes further up. */
uint32_t
__wasm_setjmp_test(const void *buffer, const void *activation)
{
    const struct jump *jump = buffer;

    return jump->activation == activation ? jump->label : 0;
}

_Noreturn void
__wasm_longjmp(void *buffer, int value)
{
    struct jump *jump = buffer;

    jump->thrown.buffer = buffer;
    jump->thrown.value = value != 0 ? value : 1;
    __builtin_wasm_throw(TAG_LONGJMP, &jump->thrown);
}
