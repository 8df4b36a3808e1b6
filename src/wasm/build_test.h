/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of this room: builds modules from bytes and asks what the
 * decoder says.
 */
#ifndef WEFT_WASM_BUILD_TEST_H
#define WEFT_WASM_BUILD_TEST_H

/* cmocka wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "wasm/wasm.h"

#define UNUSED_OK __attribute__((unused))

#define I32       0x7f
#define I64       0x7e
#define F32       0x7d
#define F64       0x7c
#define V128      0x7b
#define FUNCREF   0x70
#define EXTERNREF 0x6f
#define END       0x0b

/* Appends the bytes that are written out. */
#define PUT(out, ...) \
    buffer_append(out, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Appends a section with the bytes that are written out. */
#define SECTION(out, id, ...) \
    build_section(out, id, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static UNUSED_OK void
build_u32(struct buffer *out, uint32_t value)
{
    while (value >= 0x80) {
        PUT(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    PUT(out, (uint8_t)value);
}

static UNUSED_OK void
build_header(struct buffer *out)
{
    PUT(out, 0, 'a', 's', 'm', 1, 0, 0, 0);
}

static UNUSED_OK void
build_section(struct buffer *out, uint8_t id, const void *bytes, size_t count)
{
    PUT(out, id);
    build_u32(out, (uint32_t)count);
    buffer_append(out, bytes, count);
}

/* The last of many items differ only in number: section id with `count` times
 * the same item. */
static UNUSED_OK void
build_repeated(struct buffer *out, uint8_t id, uint32_t count, const void *item, size_t bytes)
{
    struct buffer content = {0};

    build_u32(&content, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_append(&content, item, bytes);
    build_section(out, id, content.bytes, content.count);
    buffer_fini(&content);
}

struct verdict {
    int err;
    bool is_malformed;
    struct diag diag;
    struct wasm_module *module;
};

/* Decodes a copy in a block of its own, so that a read past its end is seen. */
static UNUSED_OK struct verdict
decode_bytes(const uint8_t *bytes, size_t count, uint8_t **copy)
{
    struct verdict verdict = {0};

    *copy = malloc(count == 0 ? 1 : count);
    assert_non_null(*copy);
    if (count > 0)
        (void)memcpy(*copy, bytes, count);
    diag_init(&verdict.diag);
    verdict.err =
        wasm_module_create(*copy, count, &verdict.module, &verdict.is_malformed, &verdict.diag);
    if (verdict.err != 0) {
        assert_null(verdict.module);
        assert_true(verdict.diag.is_set);
    }
    return verdict;
}

/* Decodes and takes the buffer; the module must not be needed. */
static UNUSED_OK struct verdict
decode_and_free(struct buffer *in)
{
    struct verdict verdict;
    uint8_t *copy;

    assert_int_equal(in->err, 0);
    verdict = decode_bytes(in->bytes, in->count, &copy);
    wasm_module_destroy(verdict.module);
    verdict.module = NULL;
    free(copy);
    buffer_fini(in);
    return verdict;
}

/* Takes the buffer. text must be in the message; NULL where err is 0. */
static UNUSED_OK void
expect_verdict(struct buffer *in, int err, bool is_malformed, const char *text, const char *where)
{
    struct verdict verdict = decode_and_free(in);

    if (verdict.err != err || verdict.is_malformed != is_malformed ||
        (text != NULL && strstr(diag_text(&verdict.diag), text) == NULL))
        fail_msg("%s: error %d, malformed %d, \"%s\"; wanted %d, %d, \"%s\"", where, verdict.err,
                 verdict.is_malformed, diag_text(&verdict.diag), err, is_malformed,
                 text == NULL ? "" : text);
}

#define EXPECT_VALID(in)           expect_verdict(in, 0, false, NULL, __func__)
#define EXPECT_INVALID(in, text)   expect_verdict(in, -EINVAL, false, text, __func__)
#define EXPECT_MALFORMED(in, text) expect_verdict(in, -EINVAL, true, text, __func__)
#define EXPECT_TOO_BIG(in, text)   expect_verdict(in, -E2BIG, false, text, __func__)

/* Types of build_context. */
enum context_type {
    TYPE_NONE, /* () -> () */
    TYPE_I_I,  /* (i32) -> (i32) */
    TYPE_II_,  /* (i32 i64) -> () */
    TYPE__II,  /* () -> (i32 i64) */
    TYPE__REF, /* () -> (externref) */
    TYPE__I,   /* () -> (i32) */
};

/* A module with one of everything, whose function 2 has this type and code.
 * Functions: 0 imported () -> (); 1 (i32) -> (i32), declared; 2 the code, with
 * locals (after its parameters) i32, f64; 3 () -> (), not declared. Tables: 0
 * funcref, 1 externref. Globals: 0 imported i32, 1 mutable i64, 2 f32. Tag 0:
 * (i32 i64). Element segments: 0 funcref, 1 externref. Data segments: 0. */
static UNUSED_OK void
build_context(struct buffer *out, uint8_t type, const uint8_t *code, size_t count)
{
    struct buffer body = {0};

    build_header(out);
    SECTION(out, 1, 6, 0x60, 0, 0, 0x60, 1, I32, 1, I32, 0x60, 2, I32, I64, 0, 0x60, 0, 2, I32, I64,
            0x60, 0, 1, EXTERNREF, 0x60, 0, 1, I32);
    SECTION(out, 2, 2, 1, 'm', 1, 'f', 0, 0, 1, 'm', 1, 'g', 3, I32, 0);
    SECTION(out, 3, 3, 1, type, 0);
    SECTION(out, 4, 2, FUNCREF, 0, 4, EXTERNREF, 1, 4, 8);
    SECTION(out, 5, 1, 3, 1, 2);
    SECTION(out, 13, 1, 0, 2);
    SECTION(out, 6, 2, I64, 1, 0x42, 0, END, F32, 0, 0x43, 0, 0, 0, 0, END);
    SECTION(out, 7, 1, 1, 'e', 0, 2);
    SECTION(out, 9, 2, 0, 0x41, 0, END, 1, 1, 5, EXTERNREF, 1, 0xd0, EXTERNREF, END);
    SECTION(out, 12, 1);
    PUT(&body, 3, 4, 0, 0x41, 7, END);
    build_u32(&body, (uint32_t)count + 5);
    PUT(&body, 2, 1, I32, 1, F64);
    buffer_append(&body, code, count);
    PUT(&body, 2, 0, END);
    build_section(out, 10, body.bytes, body.count);
    SECTION(out, 11, 1, 0, 0x41, 0, END, 2, 'h', 'i');
    buffer_fini(&body);
}

#endif
