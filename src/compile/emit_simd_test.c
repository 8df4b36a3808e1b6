/* SPDX-License-Identifier: Apache-2.0
 *
 * Every vector and atomic instruction is there and becomes code on every CPU. What
 * the code computes is tested by the specification's own suite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "compile/compile_internal.h"

struct instruction {
    uint32_t opcode;
    enum wasm_immediate immediate;
    const char *signature;
    const char *text;
};

static const struct instruction instructions[] = {
#define WASM_OPCODE(name, code, immediate, signature, feature, text) \
    {code, WASM_IMM_##immediate, signature, text},
#include "wasm/opcodes.def"
#undef WASM_OPCODE
};

#define PREFIX_VECTOR 0xfdu
#define PREFIX_ATOMIC 0xfeu

static bool
is_ours(const struct instruction *instruction)
{
    uint32_t prefix = instruction->opcode >> 16;

    return prefix == PREFIX_VECTOR || prefix == PREFIX_ATOMIC;
}

/* ----------------------------------------------- a module with all instructions */

static void
put_byte(struct buffer *out, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    buffer_append(out, &byte, 1);
}

static void
put_number(struct buffer *out, size_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(out, 0x80 | (value & 0x7f));
    put_byte(out, (unsigned)value);
}

/* Appends the contents with their size before them, and frees them. */
static void
put_sized(struct buffer *out, struct buffer *contents)
{
    put_number(out, contents->count);
    buffer_append(out, contents->bytes, contents->count);
    assert_int_equal(contents->err, 0);
    buffer_fini(contents);
    *contents = (struct buffer){0};
}

static unsigned
type_of(char letter)
{
    static const char letters[] = "iIfFv";
    static const uint8_t types[] = {WASM_I32, WASM_I64, WASM_F32, WASM_F64, WASM_V128};
    const char *place = strchr(letters, letter);

    assert_true(place != NULL && letter != '\0');
    return types[place - letters];
}

static void
put_types(struct buffer *out, const char *letters, size_t count)
{
    put_number(out, count);
    for (size_t i = 0; i < count; i++)
        put_byte(out, type_of(letters[i]));
}

static size_t
param_count(const struct instruction *instruction)
{
    return strcspn(instruction->signature, ":");
}

/* log2 of the bytes that an atomic instruction accesses; vectors may be unaligned. */
static unsigned
alignment(const char *text)
{
    const char *word = strstr(text, ".atomic.");
    long bits;

    if (word == NULL)
        return 0;
    word += strlen(".atomic.");
    bits = strtol(word + strspn(word, "abcdefghijklmnopqrstuvwxyz"), NULL, 10);
    if (bits == 0)
        bits = text[1] == '6' ? 64 : 32;
    return (unsigned)__builtin_ctzl((unsigned long)bits / 8);
}

static void
put_immediate(struct buffer *out, const struct instruction *instruction)
{
    static const uint8_t lanes[16] = {0, 17, 2, 19, 4, 21, 6, 23, 31, 30, 9, 8, 15, 14, 1, 16};

    switch (instruction->immediate) {
    case WASM_IMM_NONE:
        break;
    case WASM_IMM_MEMARG:
    case WASM_IMM_MEMARG_LANE:
        put_number(out, alignment(instruction->text));
        put_number(out, 1000);
        if (instruction->immediate == WASM_IMM_MEMARG_LANE)
            put_byte(out, 1);
        break;
    case WASM_IMM_LANE:
        put_byte(out, 1);
        break;
    case WASM_IMM_V128:
        buffer_append(out, lanes, sizeof(lanes));
        break;
    case WASM_IMM_FENCE:
        put_byte(out, 0);
        break;
    default:
        fail_msg("%s: unexpected immediate", instruction->text);
    }
}

static void
put_body(struct buffer *out, const struct instruction *instruction)
{
    struct buffer body = {0};

    put_number(&body, 0); /* no locals */
    for (size_t i = 0; i < param_count(instruction); i++) {
        put_byte(&body, WASM_LOCAL_GET);
        put_number(&body, i);
    }
    put_byte(&body, instruction->opcode >> 16);
    put_number(&body, instruction->opcode & 0xffff);
    put_immediate(&body, instruction);
    put_byte(&body, WASM_END);
    put_sized(out, &body);
}

enum section {
    SECTION_TYPE = 1,
    SECTION_FUNCTION = 3,
    SECTION_MEMORY = 5,
    SECTION_EXPORT = 7,
    SECTION_CODE = 10,
    SECTION_COUNT
};

/* A function per instruction, each of a type of its own and exported by its name. */
static void
put_function(struct buffer sections[SECTION_COUNT], const struct instruction *instruction,
             size_t index)
{
    size_t params = param_count(instruction);
    const char *results = instruction->signature + params + 1;
    size_t name_bytes = strlen(instruction->text);

    put_byte(&sections[SECTION_TYPE], 0x60);
    put_types(&sections[SECTION_TYPE], instruction->signature, params);
    put_types(&sections[SECTION_TYPE], results, strlen(results));
    put_number(&sections[SECTION_FUNCTION], index);
    put_number(&sections[SECTION_EXPORT], name_bytes);
    buffer_append(&sections[SECTION_EXPORT], instruction->text, name_bytes);
    put_byte(&sections[SECTION_EXPORT], WASM_KIND_FUNCTION);
    put_number(&sections[SECTION_EXPORT], index);
    put_body(&sections[SECTION_CODE], instruction);
}

static size_t
our_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(instructions); i++)
        count += is_ours(&instructions[i]);
    return count;
}

static void
build_module(struct buffer *out)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    static const uint8_t memory[] = {1, 3, 1, 1}; /* one, shared, one page */
    static const enum section per_function[] = {SECTION_TYPE, SECTION_FUNCTION, SECTION_EXPORT,
                                                SECTION_CODE};
    struct buffer sections[SECTION_COUNT] = {0};
    size_t index = 0;

    for (size_t i = 0; i < ARRAY_COUNT(per_function); i++)
        put_number(&sections[per_function[i]], our_count());
    buffer_append(&sections[SECTION_MEMORY], memory, sizeof(memory));
    for (size_t i = 0; i < ARRAY_COUNT(instructions); i++)
        if (is_ours(&instructions[i]))
            put_function(sections, &instructions[i], index++);

    buffer_append(out, header, sizeof(header));
    for (unsigned i = 0; i < SECTION_COUNT; i++) {
        if (sections[i].count == 0)
            continue;
        put_byte(out, i);
        put_sized(out, &sections[i]);
    }
    assert_int_equal(out->err, 0);
}

/* ----------------------------------------------------------------------- tests */

static void
test_every_vector_and_atomic_instruction_has_a_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(instructions); i++)
        if (is_ours(&instructions[i]) && emit_rule_find(instructions[i].opcode) == NULL)
            fail_msg("%s has no rule", instructions[i].text);
}

/* An instruction that became a call of the C library would fail to link. */
static void
expect_image(const char *cpu, enum abi_mode mode, unsigned level)
{
    struct compile_options options;
    struct buffer module = {0};
    struct diag diag;
    int fd = memfd_create("image", MFD_CLOEXEC);

    assert_true(fd >= 0);
    diag_init(&diag);
    compile_options_init(&options);
    options.cpu = cpu;
    options.mode = mode;
    options.level = level;
    options.jobs = 1;
    build_module(&module);
    if (compile_image(module.bytes, module.count, &options, fd, &diag) != 0)
        fail_msg("%s: %s", cpu, diag_text(&diag));
    buffer_fini(&module);
    (void)close(fd);
}

static void
test_each_cpu_gets_code_without_library_calls(void **state)
{
    (void)state;
    expect_image("x86-64-v2", ABI_STANDALONE, 3);
    expect_image("x86-64-v3", ABI_STANDALONE, 3);
    expect_image("x86-64-v4", ABI_STANDALONE, 3);
    expect_image("nehalem", ABI_STANDALONE, 3);
}

static void
test_a_linked_image_gets_the_same_instructions(void **state)
{
    (void)state;
    expect_image("x86-64-v3", ABI_LINKED, 3);
}

static void
test_code_without_optimisation_links_too(void **state)
{
    (void)state;
    expect_image("x86-64-v2", ABI_STANDALONE, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector_and_atomic_instruction_has_a_rule),
        cmocka_unit_test(test_each_cpu_gets_code_without_library_calls),
        cmocka_unit_test(test_a_linked_image_gets_the_same_instructions),
        cmocka_unit_test(test_code_without_optimisation_links_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
