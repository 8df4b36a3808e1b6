/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of instructions: each line a body, and what must be said of it.
 */
#include "wasm/build_test.h"

struct body_case {
    const char *name;
    uint8_t type;
    uint8_t count;
    uint8_t code[40];
    const char *text; /* NULL: valid */
};

#define CODE(...) \
    sizeof((uint8_t[]){__VA_ARGS__}), \
    { \
        __VA_ARGS__ \
    }

static void
expect_bodies(const struct body_case *cases, size_t count, int err, bool is_malformed)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer module = {0};

        build_context(&module, cases[i].type, cases[i].code, cases[i].count);
        expect_verdict(&module, cases[i].text == NULL ? 0 : err, is_malformed, cases[i].text,
                       cases[i].name);
    }
}

static const struct body_case valid_bodies[] = {
    {"nothing", TYPE_NONE, CODE(END), NULL},
    {"constant and drop", TYPE_NONE, CODE(0x41, 1, 0x1a, END), NULL},
    {"locals in turn", TYPE_I_I, CODE(0x20, 0, 0x22, 1, 0x21, 0, 0x20, 1, END), NULL},
    {"block with a result", TYPE__I, CODE(0x02, I32, 0x41, 1, END, END), NULL},
    {"block with parameters", TYPE_I_I, CODE(0x20, 0, 0x02, TYPE_I_I, END, END), NULL},
    {"block with two results", TYPE__II, CODE(0x02, TYPE__II, 0x41, 1, 0x42, 2, END, END), NULL},
    {"branch out of a loop with parameters", TYPE_I_I,
     CODE(0x20, 0, 0x03, TYPE_I_I, 0x0c, 0, END, END), NULL},
    {"if and else", TYPE__I, CODE(0x41, 1, 0x04, I32, 0x41, 1, 0x05, 0x41, 2, END, END), NULL},
    {"if without else keeps its parameters", TYPE_I_I,
     CODE(0x20, 0, 0x41, 1, 0x04, TYPE_I_I, END, END), NULL},
    {"br_table over labels of one type", TYPE_NONE,
     CODE(0x02, 0x40, 0x02, 0x40, 0x41, 0, 0x0e, 2, 0, 1, 2, END, END, END), NULL},
    {"any type after unreachable", TYPE__I, CODE(0x00, 0x6a, END), NULL},
    {"any type to any label after unreachable", TYPE__I,
     CODE(0x02, F32, 0x02, I32, 0x00, 0x41, 1, 0x0e, 1, 0, 1, END, 0x1a, 0x00, END, 0x1a, 0x41, 0,
          END),
     NULL},
    {"select of the unknown", TYPE_NONE, CODE(0x00, 0x1b, 0x1a, END), NULL},
    {"select of the half known", TYPE_NONE,
     CODE(0x00, 0x43, 0, 0, 0, 0, 0x41, 1, 0x1b, 0x43, 0, 0, 0, 0, 0x92, 0x1a, END), NULL},
    {"select of references, typed", TYPE_NONE,
     CODE(0xd0, FUNCREF, 0xd0, FUNCREF, 0x41, 1, 0x1c, 1, FUNCREF, 0x1a, END), NULL},
    {"reference of a declared function", TYPE_NONE, CODE(0xd2, 1, 0xd1, 0x1a, END), NULL},
    {"call with a tail", TYPE_I_I, CODE(0x20, 0, 0x12, 1, END), NULL},
    {"indirect call with a tail", TYPE_I_I, CODE(0x20, 0, 0x41, 0, 0x13, TYPE_I_I, 0, END), NULL},
    {"indirect call", TYPE_I_I, CODE(0x20, 0, 0x41, 0, 0x11, TYPE_I_I, 0, END), NULL},
    {"tables", TYPE__REF,
     CODE(0x41, 0, 0xd0, EXTERNREF, 0x26, 1, 0xd0, EXTERNREF, 0x41, 1, 0xfc, 15, 1, 0x1a, 0xfc, 16,
          1, 0x25, 1, END),
     NULL},
    {"table.fill, init, copy, drop", TYPE_NONE,
     CODE(0x41, 0, 0xd0, EXTERNREF, 0x41, 0, 0xfc, 17, 1, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 12, 0, 0,
          0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 14, 1, 1, 0xfc, 13, 1, END),
     NULL},
    {"memory.size, grow, fill, copy, init, drop", TYPE_NONE,
     CODE(0x3f, 0, 0x40, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0,
          0, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 8, 0, 0, 0xfc, 9, 0, END),
     NULL},
    {"a load aligned as it is", TYPE__I, CODE(0x41, 0, 0x28, 2, 0, END), NULL},
    {"an atomic load aligned as it is", TYPE__I, CODE(0x41, 0, 0xfe, 0x10, 2, 0, END), NULL},
    {"a fence", TYPE_NONE, CODE(0xfe, 3, 0, END), NULL},
    {"a lane", TYPE__I, CODE(0x41, 1, 0xfd, 17, 0xfd, 27, 3, END), NULL},
    {"relaxed swizzle", TYPE_NONE,
     CODE(0x41, 1, 0xfd, 17, 0x41, 1, 0xfd, 17, 0xfd, 0x80, 2, 0x1a, END), NULL},
    {"try, catch, catch_all", TYPE_NONE,
     CODE(0x06, 0x40, 0x41, 1, 0x42, 2, 0x08, 0, 0x07, 0, 0x1a, 0x1a, 0x19, 0x09, 0, END, END),
     NULL},
    {"try alone", TYPE_NONE, CODE(0x06, 0x40, END, END), NULL},
    {"rethrow from within a block of a catch", TYPE_NONE,
     CODE(0x06, 0x40, 0x19, 0x02, 0x40, 0x09, 1, END, END, END), NULL},
    {"delegate to the caller", TYPE_NONE, CODE(0x06, 0x40, 0x18, 0, END), NULL},
    {"delegate with a result", TYPE__I, CODE(0x06, I32, 0x41, 1, 0x18, 0, END), NULL},
    {"catch gives the payload", TYPE__II, CODE(0x06, TYPE__II, 0x00, 0x07, 0, END, END), NULL},
};

static void
test_valid_bodies_are_valid(void **state)
{
    (void)state;
    expect_bodies(valid_bodies, ARRAY_COUNT(valid_bodies), 0, false);
}

static const struct body_case mismatched_bodies[] = {
    {"both types are named", TYPE_NONE, CODE(0x41, 0, 0x43, 0, 0, 0, 0, 0x6a, 0x1a, END),
     "type mismatch: i32.add expected i32, found f32"},
    {"nothing is there", TYPE_NONE, CODE(0x1a, END),
     "type mismatch: drop expected a value, found an empty stack"},
    {"a result is missing", TYPE__I, CODE(END), "expected i32, found an empty stack"},
    {"a value too many", TYPE_NONE, CODE(0x41, 0, END), "values remaining on stack"},
    {"a block cannot see below", TYPE_NONE, CODE(0x41, 0, 0x02, 0x40, 0x1a, END, 0x1a, END),
     "found an empty stack"},
    {"if without else makes a value", TYPE__I, CODE(0x41, 1, 0x04, I32, 0x41, 1, END, END),
     "has no else"},
    {"known values stay known after unreachable", TYPE_NONE,
     CODE(0x00, 0x43, 0, 0, 0, 0, 0x45, 0x1a, END), "expected i32, found f32"},
    {"too many values after unreachable", TYPE_NONE, CODE(0x00, 0x41, 1, END),
     "values remaining on stack"},
    {"br_if leaves the label's type", TYPE_NONE,
     CODE(0x02, I32, 0x00, 0x0d, 0, 0x43, 0, 0, 0, 0, 0x92, 0x1a, 0x41, 0, END, 0x1a, END),
     "expected f32, found i32"},
    {"br_table with arities that differ", TYPE__I,
     CODE(0x02, 0x40, 0x41, 1, 0x41, 1, 0x0e, 1, 0, 1, END, 0x41, 1, END), "labels of 1 values"},
    {"br_table with types that differ", TYPE__I,
     CODE(0x02, F32, 0x41, 1, 0x41, 1, 0x0e, 1, 0, 1, END, 0x1a, 0x41, 1, END),
     "br_table expected f32, found i32"},
    {"select of two types", TYPE_NONE, CODE(0x41, 1, 0x42, 1, 0x41, 1, 0x1b, 0x1a, END),
     "select expected i64, found i32"},
    {"select of references without a type", TYPE_NONE,
     CODE(0xd0, FUNCREF, 0xd0, FUNCREF, 0x41, 1, 0x1b, 0x1a, END), "number or vector"},
    {"a tail call with other results", TYPE_NONE, CODE(0x41, 1, 0x12, 1, END), "return_call"},
    {"an indirect call through a table of another type", TYPE_NONE,
     CODE(0x41, 0, 0x11, TYPE_NONE, 1, END), "a table of funcref"},
    {"table.copy between types", TYPE_NONE, CODE(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 14, 0, 1, END),
     "table.copy expected funcref"},
    {"table.init of another type", TYPE_NONE, CODE(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 12, 0, 1, END),
     "table.init expected externref"},
    {"is_null of a number", TYPE_NONE, CODE(0x41, 0, 0xd1, 0x1a, END), "expected a reference"},
    {"throw without a payload", TYPE_NONE, CODE(0x08, 0, END), "throw expected i64"},
    {"catch of another result", TYPE__I, CODE(0x06, I32, 0x41, 1, 0x07, 0, END, END),
     "expected i32, found i64"},
    {"delegate without the result", TYPE__I, CODE(0x06, I32, 0x18, 0, END),
     "expected i32, found an empty stack"},
};

static void
test_type_mismatches_are_named(void **state)
{
    (void)state;
    expect_bodies(mismatched_bodies, ARRAY_COUNT(mismatched_bodies), -EINVAL, false);
}

static const struct body_case unknown_bodies[] = {
    {"local", TYPE_I_I, CODE(0x20, 3, END), "unknown local 3"},
    {"global", TYPE_NONE, CODE(0x23, 3, END), "unknown global 3"},
    {"function", TYPE_NONE, CODE(0x10, 4, END), "unknown function 4"},
    {"table", TYPE_NONE, CODE(0x41, 0, 0x25, 2, END), "unknown table 2"},
    {"type of an indirect call", TYPE_NONE, CODE(0x41, 0, 0x11, 6, 0, END), "unknown type 6"},
    {"type of a block", TYPE_NONE, CODE(0x02, 6, END, END), "unknown type 6"},
    {"label", TYPE_NONE, CODE(0x02, 0x40, 0x0c, 2, END, END), "unknown label 2"},
    {"label in br_table", TYPE_NONE, CODE(0x41, 0, 0x0e, 1, 7, 0, END), "unknown label 7"},
    {"label of delegate, which does not see its try", TYPE_NONE, CODE(0x06, 0x40, 0x18, 1, END),
     "unknown label 1"},
    {"tag", TYPE_NONE, CODE(0x08, 1, END), "unknown tag 1"},
    {"data segment", TYPE_NONE, CODE(0xfc, 9, 1, END), "unknown data segment 1"},
    {"elem segment", TYPE_NONE, CODE(0xfc, 13, 2, END), "unknown elem segment 2"},
    {"undeclared function", TYPE_NONE, CODE(0xd2, 3, 0x1a, END), "undeclared function reference"},
    {"immutable global", TYPE_NONE, CODE(0x43, 0, 0, 0, 0, 0x24, 2, END), "global is immutable"},
    {"alignment", TYPE__I, CODE(0x41, 0, 0x28, 3, 0, END),
     "alignment must not be larger than natural"},
    {"alignment of a lane", TYPE_NONE,
     CODE(0x41, 0, 0x41, 0, 0xfd, 17, 0xfd, 84, 1, 0, 0, 0x1a, END),
     "alignment must not be larger than natural"},
    {"alignment of an atomic, too small", TYPE__I, CODE(0x41, 0, 0xfe, 0x10, 1, 0, END),
     "alignment must be equal to natural"},
    {"lane", TYPE__I, CODE(0x41, 1, 0xfd, 17, 0xfd, 27, 4, END), "invalid lane index 4"},
    {"lane of a load", TYPE_NONE, CODE(0x41, 0, 0x41, 0, 0xfd, 17, 0xfd, 87, 0, 0, 2, 0x1a, END),
     "invalid lane index 2"},
    {"lane of shuffle", TYPE_NONE,
     CODE(0x00, 0xfd, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0x1a, END),
     "invalid lane index 32"},
    {"select of two types at once", TYPE_NONE, CODE(0x00, 0x1c, 2, I32, I32, 0x1a, END),
     "invalid result arity"},
    {"select of no type", TYPE_NONE, CODE(0x00, 0x1c, 0, 0x1a, END), "invalid result arity"},
    {"rethrow of what is not a catch", TYPE_NONE, CODE(0x06, 0x40, 0x09, 0, 0x19, END, END),
     "invalid rethrow label"},
};

static void
test_what_does_not_exist_is_named(void **state)
{
    (void)state;
    expect_bodies(unknown_bodies, ARRAY_COUNT(unknown_bodies), -EINVAL, false);
}

static const struct body_case malformed_bodies[] = {
    {"no end", TYPE_NONE, CODE(0x01), "END opcode expected"},
    {"a block is open", TYPE_NONE, CODE(0x02, 0x40, END), "END opcode expected"},
    {"after the end", TYPE_NONE, CODE(END, 0x01), "after the end of the function"},
    {"else alone", TYPE_NONE, CODE(0x05, END), "misplaced else"},
    {"two elses", TYPE_NONE, CODE(0x41, 1, 0x04, 0x40, 0x05, 0x05, END, END), "misplaced else"},
    {"catch after catch_all", TYPE_NONE, CODE(0x06, 0x40, 0x19, 0x07, 0, END, END),
     "misplaced catch"},
    {"delegate after catch_all", TYPE_NONE, CODE(0x06, 0x40, 0x19, 0x18, 0, END),
     "misplaced delegate"},
    {"no such opcode", TYPE_NONE, CODE(0xff, END), "illegal opcode 0xff"},
    {"no such opcode after a prefix", TYPE_NONE, CODE(0xfc, 0x7f, END), "illegal opcode 0xfc 0x7f"},
    {"an opcode past 16 bits", TYPE_NONE, CODE(0xfd, 0xff, 0xff, 0x7f, END), "illegal opcode"},
    {"a number too long", TYPE_NONE, CODE(0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x1a, END),
     "integer representation too long"},
    {"a number too large", TYPE_NONE, CODE(0x41, 0xff, 0xff, 0xff, 0xff, 0x4f, 0x1a, END),
     "integer too large"},
    {"an index too long", TYPE_NONE, CODE(0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x1a, END),
     "integer representation too long"},
    {"an index too large", TYPE_NONE, CODE(0x20, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a, END),
     "integer too large"},
    {"memop flags", TYPE__I, CODE(0x41, 0, 0x28, 0x20, 0, END), "malformed memop flags"},
    {"a block type", TYPE_NONE, CODE(0x02, 0x41, END, END), "malformed value type"},
    {"a reference type", TYPE_NONE, CODE(0xd0, I32, 0x1a, END), "malformed reference type"},
    {"a fence with an operand", TYPE_NONE, CODE(0xfe, 3, 1, END), "zero byte expected"},
    {"invalid first, malformed later", TYPE_NONE, CODE(0x1a, 0xff, END), "illegal opcode"},
};

static void
test_broken_code_is_malformed(void **state)
{
    (void)state;
    expect_bodies(malformed_bodies, ARRAY_COUNT(malformed_bodies), -EINVAL, true);
}

static const struct body_case foreign_bodies[] = {
    {"call_ref", TYPE_NONE, CODE(0x14, 0, END), "typed function references"},
    {"return_call_ref", TYPE_NONE, CODE(0x15, 0, END), "typed function references"},
    {"ref.as_non_null", TYPE_NONE, CODE(0xd4, END), "typed function references"},
    {"a typed reference", TYPE_NONE, CODE(0x02, 0x63, 0, END, END), "typed function references"},
    {"ref.eq", TYPE_NONE, CODE(0xd3, END), "garbage collection"},
    {"struct.new", TYPE_NONE, CODE(0xfb, 0, 0, END), "garbage collection"},
    {"anyref", TYPE_NONE, CODE(0xd0, 0x6e, END), "garbage collection"},
    {"try_table", TYPE_NONE, CODE(0x1f, 0x40, 0, END, END), "-wasm-use-legacy-eh"},
    {"throw_ref", TYPE_NONE, CODE(0x0a, END), "exception references"},
    {"exnref", TYPE_NONE, CODE(0x02, 0x69, END, END), "exception references"},
    {"a second memory", TYPE__I, CODE(0x41, 0, 0x28, 0x42, 1, 0, END), "multi-memory"},
    {"the size of a second memory", TYPE__I, CODE(0x3f, 1, END), "multi-memory"},
    {"resume", TYPE_NONE, CODE(0xe3, 0, 0, END), "stack switching"},
    {"i64.add128", TYPE_NONE, CODE(0xfc, 0x13, END), "wide arithmetic"},
    {"f16x8.splat", TYPE_NONE, CODE(0xfd, 0xa0, 2, END), "half precision"},
    {"shared atomics", TYPE_NONE, CODE(0xfe, 0x4f, 0, 0, END), "shared-everything"},
    {"bfloat16 dot product", TYPE_NONE, CODE(0xfd, 0x94, 2, END), "bfloat16"},
};

static void
test_proposals_are_refused_by_name(void **state)
{
    (void)state;
    expect_bodies(foreign_bodies, ARRAY_COUNT(foreign_bodies), -ENOTSUP, true);
}

static void
test_the_position_is_that_of_the_instruction(void **state)
{
    static const uint8_t code[] = {0x41, 0, 0x43, 0, 0, 0, 0, 0x6a, 0x1a, END};
    struct buffer module = {0};
    struct verdict verdict;
    uint32_t where = 0;
    char text[32];

    (void)state;
    build_context(&module, TYPE_NONE, code, sizeof(code));
    for (uint32_t i = 0; i + sizeof(code) <= module.count; i++)
        if (memcmp(module.bytes + i, code, sizeof(code)) == 0)
            where = i + 7;
    assert_int_not_equal(where, 0);
    (void)snprintf(text, sizeof(text), "at byte 0x%x: ", where);
    verdict = decode_and_free(&module);
    assert_int_equal(strncmp(diag_text(&verdict.diag), text, strlen(text)), 0);
}

static void
test_nesting_is_limited_and_needs_no_stack(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        /* The body is a block too. */
        uint32_t depth = WASM_BLOCK_DEPTH_MAX - 1 + extra;
        struct buffer code = {0};
        struct buffer module = {0};

        for (uint32_t i = 0; i < depth; i++)
            PUT(&code, 0x02, 0x40);
        for (uint32_t i = 0; i <= depth; i++)
            PUT(&code, END);
        build_header(&module);
        SECTION(&module, 1, 1, 0x60, 0, 0);
        SECTION(&module, 3, 1, 0);
        PUT(&module, 10);
        build_u32(&module, (uint32_t)code.count + 1 + 3 + 1);
        PUT(&module, 1);
        assert_in_range(code.count + 1, 1 << 14, (1 << 21) - 1); /* three bytes of LEB128 */
        build_u32(&module, (uint32_t)code.count + 1);
        PUT(&module, 0);
        buffer_append(&module, code.bytes, code.count);
        buffer_fini(&code);
        if (extra == 0)
            EXPECT_VALID(&module);
        else
            EXPECT_TOO_BIG(&module, "nested too deeply");
    }
}

/* Each call leaves 1000 values; nothing takes them. */
static void
test_operands_are_limited(void **state)
{
    struct buffer module = {0}, type = {0}, code = {0};

    (void)state;
    PUT(&type, 1, 0x60, 0);
    build_u32(&type, WASM_VALUES_MAX);
    for (uint32_t i = 0; i < WASM_VALUES_MAX; i++)
        PUT(&type, I32);
    PUT(&code, 0);
    for (uint32_t i = 0; i < 4 * WASM_STACK_VALUES_MAX / WASM_VALUES_MAX; i++)
        PUT(&code, 0x10, 0);
    PUT(&code, END);
    build_header(&module);
    build_section(&module, 1, type.bytes, type.count);
    SECTION(&module, 3, 1, 0);
    PUT(&module, 10);
    build_u32(&module, (uint32_t)code.count + 1 + 2);
    PUT(&module, 1);
    build_u32(&module, (uint32_t)code.count);
    buffer_append(&module, code.bytes, code.count);
    buffer_fini(&type);
    buffer_fini(&code);
    EXPECT_TOO_BIG(&module, "too many operands");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_bodies_are_valid),
        cmocka_unit_test(test_type_mismatches_are_named),
        cmocka_unit_test(test_what_does_not_exist_is_named),
        cmocka_unit_test(test_broken_code_is_malformed),
        cmocka_unit_test(test_proposals_are_refused_by_name),
        cmocka_unit_test(test_the_position_is_that_of_the_instruction),
        cmocka_unit_test(test_nesting_is_limited_and_needs_no_stack),
        cmocka_unit_test(test_operands_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
