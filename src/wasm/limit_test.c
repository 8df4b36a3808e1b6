/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit: what is at it passes (or fails for another reason), what is past
 * it is refused by name.
 */
#include "wasm/build_test.h"

struct limit_case {
    const char *name;
    uint8_t section;
    uint8_t item_count;
    uint8_t item[12];
    uint32_t limit;
    const char *text; /* past the limit */
    int at_err;       /* at the limit */
};

#define ITEM(...) \
    sizeof((uint8_t[]){__VA_ARGS__}), \
    { \
        __VA_ARGS__ \
    }

static const struct limit_case limit_cases[] = {
    {"types", 1, ITEM(0x60, 0, 0), WASM_TYPES_MAX, "too many types", 0},
    {"imports", 2, ITEM(0, 0, 3, I32, 0), WASM_IMPORTS_MAX, "too many imports", -E2BIG},
    {"imported globals", 2, ITEM(0, 0, 3, I32, 0), WASM_GLOBALS_MAX, "too many globals", 0},
    {"imported tables", 2, ITEM(0, 0, 1, FUNCREF, 0, 0), WASM_TABLES_MAX, "too many tables", 0},
    {"imported tags", 2, ITEM(0, 0, 4, 0, 0), WASM_TAGS_MAX, "too many tags", 0},
    {"functions", 3, ITEM(0), WASM_FUNCTIONS_MAX, "too many functions", -EINVAL},
    {"tables", 4, ITEM(FUNCREF, 0, 0), WASM_TABLES_MAX, "too many tables", 0},
    {"tags", 13, ITEM(0, 0), WASM_TAGS_MAX, "too many tags", 0},
    {"globals", 6, ITEM(I32, 0, 0x41, 0, END), WASM_GLOBALS_MAX, "too many globals", 0},
    {"exports", 7, ITEM(0, 0, 0), WASM_EXPORTS_MAX, "too many exports", -EINVAL},
    {"element segments", 9, ITEM(1, 0, 0), WASM_SEGMENTS_MAX, "too many element segments", 0},
    {"data segments", 11, ITEM(1, 0), WASM_SEGMENTS_MAX, "too many data segments", 0},
};

static void
build_limit(struct buffer *out, const struct limit_case *item, uint32_t count)
{
    build_header(out);
    if (item->section != 1)
        SECTION(out, 1, 1, 0x60, 0, 0);
    build_repeated(out, item->section, count, item->item, item->item_count);
}

static void
test_counts_of_sections_are_limited(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(limit_cases); i++) {
        const struct limit_case *item = &limit_cases[i];
        struct buffer module = {0};
        struct verdict verdict;

        build_limit(&module, item, item->limit + 1);
        expect_verdict(&module, -E2BIG, false, item->text, item->name);
        build_limit(&module, item, item->limit);
        verdict = decode_and_free(&module);
        if (verdict.err != item->at_err || strstr(diag_text(&verdict.diag), item->text) != NULL)
            fail_msg("%s at the limit: %d, %s", item->name, verdict.err, diag_text(&verdict.diag));
    }
}

static void
test_functions_count_with_imported_ones(void **state)
{
    struct buffer module = {0};

    (void)state;
    build_header(&module);
    SECTION(&module, 1, 1, 0x60, 0, 0);
    SECTION(&module, 2, 1, 0, 0, 0, 0);
    build_repeated(&module, 3, WASM_FUNCTIONS_MAX, (const uint8_t[]){0}, 1);
    EXPECT_TOO_BIG(&module, "with the imported ones");
}

static void
test_parameters_and_results_are_limited(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++)
        for (int is_result = 0; is_result < 2; is_result++) {
            struct buffer module = {0}, type = {0};

            PUT(&type, 1, 0x60);
            if (is_result)
                PUT(&type, 0);
            build_u32(&type, WASM_VALUES_MAX + extra);
            for (uint32_t i = 0; i < WASM_VALUES_MAX + extra; i++)
                PUT(&type, I32);
            if (!is_result)
                PUT(&type, 0);
            build_header(&module);
            build_section(&module, 1, type.bytes, type.count);
            buffer_fini(&type);
            if (extra == 0)
                EXPECT_VALID(&module);
            else
                EXPECT_TOO_BIG(&module, is_result ? "too many results" : "too many parameters");
        }
}

static void
test_names_are_limited(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct buffer module = {0}, custom = {0};

        build_u32(&custom, WASM_NAME_BYTES_MAX + extra);
        for (uint32_t i = 0; i < WASM_NAME_BYTES_MAX + extra; i++)
            PUT(&custom, 'n');
        build_header(&module);
        build_section(&module, 0, custom.bytes, custom.count);
        buffer_fini(&custom);
        if (extra == 0)
            EXPECT_VALID(&module);
        else
            EXPECT_TOO_BIG(&module, "too many bytes of a name");
    }
}

static void
test_custom_sections_are_limited(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct buffer module = {0};

        build_header(&module);
        for (uint32_t i = 0; i < WASM_CUSTOMS_MAX + extra; i++)
            PUT(&module, 0, 1, 0);
        if (extra == 0)
            EXPECT_VALID(&module);
        else
            EXPECT_TOO_BIG(&module, "too many custom sections");
    }
}

static void
test_elements_of_a_segment_are_limited(void **state)
{
    struct buffer module = {0}, section = {0};

    (void)state;
    PUT(&section, 1, 1, 0);
    build_u32(&section, WASM_ELEMENTS_MAX + 1);
    buffer_append(&section, NULL, WASM_ELEMENTS_MAX + 1);
    build_header(&module);
    build_section(&module, 9, section.bytes, section.count);
    buffer_fini(&section);
    EXPECT_TOO_BIG(&module, "too many elements");
}

/* A function whose body is `count` bytes of code after no locals. */
static void
build_body(struct buffer *out, const uint8_t *code, size_t count, size_t padding)
{
    struct buffer body = {0};

    build_u32(&body, (uint32_t)(count + padding + 1));
    PUT(&body, 0);
    buffer_append(&body, code, count);
    buffer_append(&body, NULL, padding);
    build_header(out);
    SECTION(out, 1, 1, 0x60, 0, 0);
    SECTION(out, 3, 1, 0);
    PUT(out, 10);
    build_u32(out, (uint32_t)body.count + 1);
    PUT(out, 1);
    buffer_append(out, body.bytes, body.count);
    buffer_fini(&body);
}

static void
test_bodies_are_limited(void **state)
{
    static const uint8_t code[] = {END};
    struct buffer module = {0};

    (void)state;
    build_body(&module, code, 1, WASM_BODY_BYTES_MAX);
    EXPECT_TOO_BIG(&module, "too many bytes of a function body");
}

static void
test_targets_of_br_table_are_limited(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct buffer module = {0}, code = {0};

        PUT(&code, 0x41, 0, 0x0e);
        build_u32(&code, WASM_BR_TABLE_MAX + extra);
        buffer_append(&code, NULL, WASM_BR_TABLE_MAX + extra + 1);
        PUT(&code, END);
        build_body(&module, code.bytes, code.count, 0);
        buffer_fini(&code);
        if (extra == 0)
            EXPECT_VALID(&module);
        else
            EXPECT_TOO_BIG(&module, "too many targets of br_table");
    }
}

static void
test_a_module_is_limited(void **state)
{
    /* Refused before a byte is read. */
    struct wasm_module *module = NULL;
    struct diag diag;
    uint8_t byte = 0;
    bool is_malformed = true;

    (void)state;
    diag_init(&diag);
    assert_int_equal(
        wasm_module_create(&byte, WASM_MODULE_BYTES_MAX + 1, &module, &is_malformed, &diag),
        -E2BIG);
    assert_false(is_malformed);
    assert_non_null(strstr(diag_text(&diag), "the limit is"));
}

static void
test_constants_nest_no_deeper_than_code(void **state)
{
    struct buffer module = {0}, section = {0};

    (void)state;
    PUT(&section, 1, I32, 0);
    for (uint32_t i = 0; i < WASM_BLOCK_DEPTH_MAX; i++)
        PUT(&section, 0x02, 0x40);
    build_header(&module);
    build_section(&module, 6, section.bytes, section.count);
    buffer_fini(&section);
    EXPECT_TOO_BIG(&module, "nested too deeply");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_sections_are_limited),
        cmocka_unit_test(test_functions_count_with_imported_ones),
        cmocka_unit_test(test_parameters_and_results_are_limited),
        cmocka_unit_test(test_names_are_limited),
        cmocka_unit_test(test_custom_sections_are_limited),
        cmocka_unit_test(test_elements_of_a_segment_are_limited),
        cmocka_unit_test(test_bodies_are_limited),
        cmocka_unit_test(test_targets_of_br_table_are_limited),
        cmocka_unit_test(test_a_module_is_limited),
        cmocka_unit_test(test_constants_nest_no_deeper_than_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
