/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor and the table of instructions; and input nobody meant: cut short,
 * or changed at random.
 */
#include "wasm/build_test.h"

static struct wasm_module *
decode_context(uint8_t type, const uint8_t *code, size_t count, uint8_t **copy)
{
    struct buffer bytes = {0};
    struct verdict verdict;

    build_context(&bytes, type, code, count);
    verdict = decode_bytes(bytes.bytes, bytes.count, copy);
    if (verdict.err != 0)
        fail_msg("%s", diag_text(&verdict.diag));
    buffer_fini(&bytes);
    return verdict.module;
}

/* A cursor over function 2 of the context, and what it is made of. */
struct walk {
    struct wasm_module *module;
    uint8_t *copy;
    struct wasm_cursor cursor;
    struct wasm_instr instr;
};

static void
walk_begin(struct walk *walk, uint8_t type, const uint8_t *code, size_t count)
{
    walk->module = decode_context(type, code, count, &walk->copy);
    wasm_cursor_init(&walk->cursor, walk->module, walk->module->functions[2].code);
}

static void
walk_end(struct walk *walk)
{
    assert_int_equal(walk->instr.opcode, WASM_END);
    assert_int_equal(wasm_cursor_next(&walk->cursor, &walk->instr), 0);
    assert_int_equal(wasm_cursor_next(&walk->cursor, &walk->instr), 0);
    wasm_cursor_fini(&walk->cursor);
    wasm_module_destroy(walk->module);
    free(walk->copy);
}

/* The next instruction, which must be this one. */
static const struct wasm_instr *
step(struct walk *walk, uint32_t opcode)
{
    assert_int_equal(wasm_cursor_next(&walk->cursor, &walk->instr), 1);
    assert_int_equal(walk->instr.opcode, opcode);
    return &walk->instr;
}

static void
test_the_cursor_gives_constants(void **state)
{
    static const uint8_t code[] = {
        0x41, 0x7f, 0x1a,                            /* i32.const -1, drop */
        0x42, 0x7e, 0x1a,                            /* i64.const -2, drop */
        0x43, 1,    2,    3, 4, 0x1a,                /* f32.const, drop */
        0x44, 1,    2,    3, 4, 5,    6, 7, 8, 0x1a, /* f64.const, drop */
        END,
    };
    struct walk walk = {0};
    const struct wasm_instr *instr;

    (void)state;
    walk_begin(&walk, TYPE_NONE, code, sizeof(code));
    instr = step(&walk, WASM_I32_CONST);
    assert_int_equal(instr->position, walk.module->functions[2].code.first);
    assert_int_equal(instr->value.i32, -1);
    (void)step(&walk, WASM_DROP);
    assert_int_equal(step(&walk, WASM_I64_CONST)->value.i64, -2);
    (void)step(&walk, WASM_DROP);
    assert_int_equal(step(&walk, WASM_F32_CONST)->value.i32, 0x04030201);
    (void)step(&walk, WASM_DROP);
    assert_int_equal(step(&walk, WASM_F64_CONST)->value.i64, 0x0807060504030201);
    (void)step(&walk, WASM_DROP);
    (void)step(&walk, WASM_END);
    walk_end(&walk);
}

static void
test_the_cursor_resolves_block_types(void **state)
{
    static const uint8_t code[] = {
        0x02, TYPE__II, 0x00, END, 0x1a, 0x1a,          /* block (type), two drops */
        0x02, I32,      0x00, END, 0x0e, 2,    0, 0, 0, /* block i32, br_table */
        END,
    };
    struct walk walk = {0};
    const struct wasm_instr *instr;

    (void)state;
    walk_begin(&walk, TYPE_NONE, code, sizeof(code));
    instr = step(&walk, WASM_BLOCK);
    assert_int_equal(instr->block.param_count, 0);
    assert_int_equal(instr->block.result_count, 2);
    assert_int_equal(instr->block.results[1], I64);
    (void)step(&walk, WASM_UNREACHABLE);
    (void)step(&walk, WASM_END);
    (void)step(&walk, WASM_DROP);
    (void)step(&walk, WASM_DROP);
    instr = step(&walk, WASM_BLOCK);
    assert_int_equal(instr->block.result_count, 1);
    assert_int_equal(instr->block.results[0], I32);
    (void)step(&walk, WASM_UNREACHABLE);
    (void)step(&walk, WASM_END);
    instr = step(&walk, WASM_BR_TABLE);
    assert_int_equal(instr->target_count, 3);
    assert_int_equal(instr->targets[2], 0);
    (void)step(&walk, WASM_END);
    walk_end(&walk);
}

static void
test_the_cursor_gives_pairs_memargs_and_lanes(void **state)
{
    static const uint8_t code[] = {
        0x20, 0,    0x20, 0,    0x11, 1,    0, /* call_indirect (type 1) of table 0 */
        0x00, 0xfc, 12,   1,    1,             /* table.init: segment 1, table 1 */
        0x28, 2,    0x80, 1,    0x1a,          /* i32.load align 4, offset 128 */
        0xfd, 86,   1,    7,    3,    0x1a,    /* v128.load32_lane align 2, offset 7 */
        0x1c, 1,    F64,  0x1a, 0x00, END,     /* select f64 */
    };
    struct walk walk = {0};
    const struct wasm_instr *instr;

    (void)state;
    walk_begin(&walk, TYPE_I_I, code, sizeof(code));
    (void)step(&walk, WASM_LOCAL_GET);
    (void)step(&walk, WASM_LOCAL_GET);
    instr = step(&walk, WASM_CALL_INDIRECT);
    assert_int_equal(instr->index, 1);
    assert_int_equal(instr->index2, 0);
    (void)step(&walk, WASM_UNREACHABLE);
    instr = step(&walk, WASM_TABLE_INIT);
    assert_int_equal(instr->index, 1);
    assert_int_equal(instr->index2, 1);
    instr = step(&walk, WASM_I32_LOAD);
    assert_int_equal(instr->align, 2);
    assert_int_equal(instr->offset, 128);
    (void)step(&walk, WASM_DROP);
    instr = step(&walk, WASM_V128_LOAD32_LANE);
    assert_int_equal(instr->align, 1);
    assert_int_equal(instr->offset, 7);
    assert_int_equal(instr->lane, 3);
    (void)step(&walk, WASM_DROP);
    assert_int_equal(step(&walk, WASM_SELECT_T)->type, F64);
    (void)step(&walk, WASM_DROP);
    (void)step(&walk, WASM_UNREACHABLE);
    (void)step(&walk, WASM_END);
    walk_end(&walk);
}

static void
expect_opcode(uint32_t opcode, enum wasm_immediate immediate, const char *text)
{
    assert_int_equal(wasm_opcode_info(opcode)->immediate, immediate);
    assert_string_equal(wasm_opcode_info(opcode)->text, text);
}

static void
test_opcodes_are_found(void **state)
{
    unsigned count = 0;

    (void)state;
    for (uint32_t prefix = 0; prefix < 0x200; prefix++)
        for (uint32_t low = 0; low < (prefix == 0 ? 0x10000u : 0x400u); low++) {
            const struct wasm_opcode_info *info = wasm_opcode_info(prefix << 16 | low);

            if (info != NULL)
                assert_int_equal(info->opcode, prefix << 16 | low);
            count += info != NULL;
        }
#define WASM_OPCODE(name, code, operand, sign, feature, string) \
    expect_opcode(WASM_##name, WASM_IMM_##operand, string); \
    count--;
#include "wasm/opcodes.def"
#undef WASM_OPCODE
    assert_int_equal(count, 0);
    assert_null(wasm_opcode_info(0xff));
    assert_null(wasm_opcode_info(UINT32_MAX));
}

/* -------------------------------------------------------------- broken input */

/* Decodes, and walks all code of what is valid. */
static int
try_bytes(const uint8_t *bytes, size_t count)
{
    struct wasm_cursor cursor;
    struct wasm_instr instr;
    struct verdict verdict;
    uint8_t *copy;

    verdict = decode_bytes(bytes, count, &copy);
    if (verdict.err == 0)
        for (uint32_t i = verdict.module->imported_function_count;
             i < verdict.module->function_count; i++) {
            wasm_cursor_init(&cursor, verdict.module, verdict.module->functions[i].code);
            while (wasm_cursor_next(&cursor, &instr) == 1)
                assert_non_null(wasm_opcode_info(instr.opcode));
            assert_int_equal(instr.opcode, WASM_END);
            wasm_cursor_fini(&cursor);
        }
    wasm_module_destroy(verdict.module);
    free(copy);
    return verdict.err;
}

static void
build_rich(struct buffer *out)
{
    static const uint8_t code[] = {
        0x06, 0x40, 0x41, 1,    0x42, 2,   0x08, 0,    0x07, 0, 0x1a, 0x1a, 0x19, 0x09,
        0,    END,                                                                   /* try */
        0x41, 0,    0x0e, 2,    0,    0,   0,                                        /* br_table */
        0x41, 0,    0xfd, 17,   0xfd, 27,  3,    0x1a,                               /* lanes */
        0x41, 0,    0xfe, 0x10, 2,    0,   0x1a,                                     /* atomics */
        0x41, 0,    0x04, 0x40, 0x05, END, 0x03, 0x40, END,                          /* if, loop */
        0xd2, 1,    0xd1, 0x1a, 0x41, 0,   0x41, 0,    0x41, 0, 0xfc, 8,    0,    0, /* init */
        END,
    };

    build_context(out, TYPE_NONE, code, sizeof(code));
    SECTION(out, 0, 4, 'n', 'a', 'm', 'e', 1, 6, 1, 1, 3, 'o', 'n', 'e');
}

static void
test_a_module_cut_anywhere_is_refused_or_a_shorter_module(void **state)
{
    struct buffer bytes = {0};
    unsigned valid = 0;

    (void)state;
    build_rich(&bytes);
    assert_int_equal(try_bytes(bytes.bytes, bytes.count), 0);
    for (size_t count = 0; count < bytes.count; count++) {
        int err = try_bytes(bytes.bytes, count);

        assert_true(err == 0 || err == -EINVAL);
        valid += err == 0;
    }
    /* The header alone; after types, imports; all but the names. After the
     * function section and after the data count something is owed; between, and
     * before the data section, too. */
    assert_int_equal(valid, 4);
    buffer_fini(&bytes);
}

static uint32_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void
mutate(uint8_t *bytes, size_t count, uint64_t *random)
{
    static const uint8_t interesting[] = {0,    1,    0x7f, 0x80, 0xff, 0x0b,
                                          0x41, 0x70, 0xfc, 0xfd, 0xfe};
    uint32_t changes = 1 + next_random(random) % 4;

    for (uint32_t i = 0; i < changes; i++) {
        uint8_t *byte = &bytes[8 + next_random(random) % (count - 8)];

        switch (next_random(random) % 3) {
        case 0:
            *byte = (uint8_t)next_random(random);
            break;
        case 1:
            *byte ^= (uint8_t)(1u << next_random(random) % 8);
            break;
        default:
            *byte = interesting[next_random(random) % ARRAY_COUNT(interesting)];
        }
    }
}

static void
test_random_changes_are_survived(void **state)
{
    enum { ROUNDS = 60000 };
    const char *seed = getenv("WEFT_SEED");
    uint64_t random = seed != NULL ? strtoull(seed, NULL, 10) : 20240601;
    struct buffer bytes = {0};
    unsigned valid = 0;
    uint8_t *copy;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)random);
    build_rich(&bytes);
    copy = malloc(bytes.count);
    assert_non_null(copy);
    for (int i = 0; i < ROUNDS; i++) {
        (void)memcpy(copy, bytes.bytes, bytes.count);
        mutate(copy, bytes.count, &random);
        valid += try_bytes(copy, bytes.count) == 0;
    }
    /* Some changes do not matter, most do. */
    assert_in_range(valid, 1, ROUNDS / 2);
    free(copy);
    buffer_fini(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cursor_gives_constants),
        cmocka_unit_test(test_the_cursor_resolves_block_types),
        cmocka_unit_test(test_the_cursor_gives_pairs_memargs_and_lanes),
        cmocka_unit_test(test_opcodes_are_found),
        cmocka_unit_test(test_a_module_cut_anywhere_is_refused_or_a_shorter_module),
        cmocka_unit_test(test_random_changes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
