/* SPDX-License-Identifier: Apache-2.0
 *
 * setjmp and longjmp for guests, through WebAssembly exceptions: part of their C library, which
 * has guest/lib/setjmp.c. weft cc says to clang what files that call them need.
 */
#ifndef WEFT_GUEST_SETJMP_H
#define WEFT_GUEST_SETJMP_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct __jmp_buf_tag {
    unsigned long words[8];
} jmp_buf[1];

typedef jmp_buf sigjmp_buf;

int setjmp(jmp_buf buffer) __attribute__((__returns_twice__));
__attribute__((__noreturn__)) void longjmp(jmp_buf buffer, int value);

/* There are no signals in a guest, so there is no mask to keep. */
#define _setjmp(buffer)           setjmp(buffer)
#define _longjmp(buffer, value)   longjmp(buffer, value)
#define sigsetjmp(buffer, mask)   setjmp(buffer)
#define siglongjmp(buffer, value) longjmp(buffer, value)

#ifdef __cplusplus
}
#endif

#endif
