/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules as a whole: sections, index spaces, what the decoder keeps.
 */
#include "wasm/build_test.h"

static const uint8_t code_nothing[] = {END};

/* What each section says in a module that breaks it. */
struct section_case {
    const char *name;
    uint8_t count;
    uint8_t bytes[48]; /* after the header */
    int err;
    bool is_malformed;
    const char *text;
};

#define BYTES(...) \
    sizeof((uint8_t[]){__VA_ARGS__}), \
    { \
        __VA_ARGS__ \
    }
#define MALFORMED -EINVAL, true
#define INVALID   -EINVAL, false
#define MISSING   -ENOTSUP, true
#define VALID     0, false, NULL

static const struct section_case section_cases[] = {
    /* frame */
    {"a custom section", BYTES(0, 3, 1, 'x', 9), VALID},
    {"a section id", BYTES(14, 0), MALFORMED, "malformed section id 14"},
    {"a section past the end", BYTES(1, 5, 0), MALFORMED, "length out of bounds"},
    {"a section without length", BYTES(1), MALFORMED, "unexpected end"},
    {"a length too long", BYTES(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0), MALFORMED,
     "integer representation too long"},
    {"two type sections", BYTES(1, 1, 0, 1, 1, 0), MALFORMED,
     "unexpected content after last section"},
    {"import after function", BYTES(3, 1, 0, 2, 1, 0), MALFORMED, "out of order"},
    {"tag between memory and global", BYTES(5, 1, 0, 13, 1, 0, 6, 1, 0), VALID},
    {"tag before memory", BYTES(13, 1, 0, 5, 1, 0), MALFORMED, "out of order"},
    {"data count between element and code", BYTES(9, 1, 0, 12, 1, 0, 10, 1, 0), VALID},
    {"data count after code", BYTES(10, 1, 0, 12, 1, 0), MALFORMED, "out of order"},
    {"bytes left", BYTES(1, 2, 0, 0), MALFORMED, "section size mismatch"},
    {"a custom name past the end", BYTES(0, 2, 5, 'x'), MALFORMED, "length out of bounds"},
    {"a custom name not UTF-8", BYTES(0, 2, 1, 0xff), MALFORMED, "malformed UTF-8 encoding"},
    /* type */
    {"a count that cannot be", BYTES(1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), MALFORMED,
     "length out of bounds"},
    {"a form", BYTES(1, 4, 1, 0x61, 0, 0), MALFORMED, "malformed type form"},
    {"a value type", BYTES(1, 5, 1, 0x60, 1, 0x40, 0), MALFORMED, "malformed value type"},
    {"a struct type", BYTES(1, 4, 1, 0x5f, 0, 0), MISSING, "garbage collection"},
    {"a recursion group", BYTES(1, 4, 1, 0x4e, 0, 0), MISSING, "garbage collection"},
    {"a continuation type", BYTES(1, 4, 1, 0x5d, 0, 0), MISSING, "stack switching"},
    {"a typed reference", BYTES(1, 6, 1, 0x60, 1, 0x64, 0, 0), MISSING, "function references"},
    {"an exnref", BYTES(1, 5, 1, 0x60, 1, 0x69, 0), MISSING, "-wasm-use-legacy-eh"},
    {"an anyref", BYTES(1, 5, 1, 0x60, 1, 0x6e, 0), MISSING, "garbage collection"},
    /* import */
    {"an import kind", BYTES(2, 5, 1, 0, 0, 5, 0), MALFORMED, "malformed import kind"},
    {"an import's type", BYTES(2, 5, 1, 0, 0, 0, 0), INVALID, "unknown type 0 of function 0"},
    {"an import name", BYTES(2, 7, 1, 1, 0xc0, 1, 'x', 3, I32), MALFORMED, "malformed UTF-8"},
    {"a mutable global", BYTES(2, 6, 1, 0, 0, 3, I32, 1), VALID},
    {"mutability", BYTES(2, 6, 1, 0, 0, 3, I32, 2), MALFORMED, "malformed mutability"},
    {"a tag attribute", BYTES(2, 6, 1, 0, 0, 4, 1, 0), MALFORMED, "malformed tag attribute"},
    {"an imported memory and another", BYTES(2, 6, 1, 0, 0, 2, 0, 1, 5, 3, 1, 0, 1), -ENOTSUP,
     false, "multi-memory"},
    /* function and code */
    {"functions without code", BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0), MALFORMED,
     "inconsistent lengths"},
    {"code without functions", BYTES(10, 4, 1, 2, 0, END), MALFORMED, "inconsistent lengths"},
    {"a function's type", BYTES(3, 2, 1, 0, 10, 4, 1, 2, 0, END), INVALID,
     "unknown type 0 of function 0"},
    {"an empty body", BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 3, 1, 1, 0), MALFORMED,
     "END opcode expected"},
    {"a body past its section", BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 4, 1, 3, 0, END),
     MALFORMED, "length out of bounds"},
    {"2^32 locals",
     BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 16, 1, 14, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, I32,
           0xff, 0xff, 0xff, 0xff, 0x0f, I32, END),
     MALFORMED, "too many locals"},
    {"50001 locals",
     BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 8, 1, 6, 1, 0xd1, 0x86, 3, I32, END), -E2BIG, false,
     "too many locals: 50001"},
    {"50000 locals and a parameter",
     BYTES(1, 5, 1, 0x60, 1, I32, 0, 3, 2, 1, 0, 10, 8, 1, 6, 1, 0xd0, 0x86, 3, I32, END), -E2BIG,
     false, "too many locals: 50001 with parameters"},
    {"50000 locals",
     BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 8, 1, 6, 1, 0xd0, 0x86, 3, I32, END), VALID},
    /* table and memory */
    {"a table of numbers", BYTES(4, 4, 1, I32, 0, 0), MALFORMED, "malformed reference type"},
    {"a table's limits", BYTES(4, 5, 1, FUNCREF, 1, 2, 1), INVALID, "size minimum"},
    {"a table with an initial value", BYTES(4, 7, 1, 0x40, 0, FUNCREF, 0, 0, END), MISSING,
     "function references"},
    {"a table of 64 bits", BYTES(4, 4, 1, FUNCREF, 4, 0), MISSING, "memory64"},
    {"a table's flags", BYTES(4, 4, 1, FUNCREF, 2, 0), MALFORMED, "malformed limits flags"},
    {"two memories", BYTES(5, 5, 2, 0, 0, 0, 0), -ENOTSUP, false, "multiple memories"},
    {"a memory of 64 bits", BYTES(5, 3, 1, 4, 0), MISSING, "memory64"},
    {"a page size", BYTES(5, 4, 1, 8, 0, 0), MISSING, "custom page sizes"},
    {"memory flags", BYTES(5, 3, 1, 0x10, 0), MALFORMED, "malformed limits flags"},
    {"memory flags too long", BYTES(5, 4, 1, 0x80, 0, 0), MALFORMED, "too long"},
    {"65537 pages", BYTES(5, 5, 1, 0, 0x81, 0x80, 4), INVALID, "at most 65536 pages"},
    {"65537 pages at most", BYTES(5, 6, 1, 1, 0, 0x81, 0x80, 4), INVALID, "at most 65536 pages"},
    {"65536 pages", BYTES(5, 5, 1, 0, 0x80, 0x80, 4), VALID},
    {"a memory's limits", BYTES(5, 4, 1, 1, 2, 1), INVALID, "size minimum"},
    {"shared without a maximum", BYTES(5, 3, 1, 2, 1), MALFORMED,
     "shared memory must have maximum"},
    {"shared", BYTES(5, 4, 1, 3, 1, 1), VALID},
    /* tag and global */
    {"a tag with results", BYTES(1, 5, 1, 0x60, 0, 1, I32, 13, 3, 1, 0, 0), INVALID,
     "non-empty tag result type"},
    {"a tag's type", BYTES(13, 3, 1, 0, 0), INVALID, "unknown type 0 of tag 0"},
    {"a global's type", BYTES(6, 6, 1, I32, 0, 0x42, 0, END), INVALID, "type mismatch"},
    {"a global from itself", BYTES(6, 6, 1, I32, 0, 0x23, 0, END), INVALID, "unknown global"},
    {"a global from a mutable one", BYTES(2, 6, 1, 0, 0, 3, I32, 1, 6, 6, 1, I32, 0, 0x23, 0, END),
     INVALID, "constant expression required"},
    {"a global from an imported one, and sums",
     BYTES(2, 6, 1, 0, 0, 3, I32, 0, 6, 12, 1, I32, 0, 0x23, 0, 0x41, 5, 0x6c, 0x23, 0, 0x6a, END),
     VALID},
    {"a division", BYTES(6, 9, 1, I32, 0, 0x41, 1, 0x41, 1, 0x6d, END), INVALID,
     "constant expression required: i32.div_s"},
    {"two values", BYTES(6, 8, 1, I32, 0, 0x41, 1, 0x41, 1, END), INVALID, "type mismatch"},
    {"no value", BYTES(6, 4, 1, I32, 0, END), INVALID, "type mismatch"},
    {"no end", BYTES(6, 5, 1, I32, 0, 0x41, 1), MALFORMED, "END opcode expected"},
    /* export and start */
    {"an export kind", BYTES(7, 4, 1, 0, 5, 0), MALFORMED, "malformed export kind"},
    {"an export of nothing", BYTES(7, 4, 1, 0, 2, 0), INVALID, "unknown memory 0"},
    {"an export of no tag", BYTES(7, 4, 1, 0, 4, 0), INVALID, "unknown tag 0"},
    {"one name twice", BYTES(5, 3, 1, 0, 0, 7, 9, 2, 1, 'a', 2, 0, 1, 'a', 2, 0), INVALID,
     "duplicate export name \"a\""},
    {"the empty name twice", BYTES(5, 3, 1, 0, 0, 7, 7, 2, 0, 2, 0, 0, 2, 0), INVALID,
     "duplicate export name \"\""},
    {"a start of nothing", BYTES(8, 1, 0), INVALID, "unknown function 0"},
    {"a start with a parameter", BYTES(1, 5, 1, 0x60, 1, I32, 0, 2, 5, 1, 0, 0, 0, 0, 8, 1, 0),
     INVALID, "start function 0"},
    /* element and data */
    {"an element kind", BYTES(9, 4, 1, 1, 1, 0), MALFORMED, "malformed element kind"},
    {"element flags", BYTES(9, 3, 1, 8, 0), MALFORMED, "malformed elements segment kind"},
    {"an element without a table", BYTES(9, 6, 1, 0, 0x41, 0, END, 0), INVALID, "unknown table 0"},
    {"an element's function", BYTES(9, 5, 1, 1, 0, 1, 0), INVALID, "unknown function 0"},
    {"an element's offset", BYTES(4, 4, 1, FUNCREF, 0, 0, 9, 6, 1, 0, 0x42, 0, END, 0), INVALID,
     "type mismatch"},
    {"an element of another type", BYTES(4, 4, 1, EXTERNREF, 0, 0, 9, 6, 1, 0, 0x41, 0, END, 0),
     INVALID, "type mismatch"},
    {"an element's expression", BYTES(9, 7, 1, 5, FUNCREF, 1, 0x41, 0, END), INVALID,
     "type mismatch"},
    {"elements that cannot be", BYTES(9, 8, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), MALFORMED,
     "length out of bounds"},
    {"a data count that lies", BYTES(12, 1, 1, 11, 1, 0), MALFORMED, "inconsistent lengths"},
    {"a data count without data", BYTES(12, 1, 1), MALFORMED, "inconsistent lengths"},
    {"data flags", BYTES(11, 3, 1, 3, 0), MALFORMED, "malformed data segment kind"},
    {"data without a memory", BYTES(11, 6, 1, 0, 0x41, 0, END, 0), INVALID, "unknown memory 0"},
    {"data of a second memory", BYTES(5, 3, 1, 0, 0, 11, 7, 1, 2, 1, 0x41, 0, END, 0), INVALID,
     "unknown memory 1"},
    {"data past the end", BYTES(5, 3, 1, 0, 0, 11, 6, 1, 0, 0x41, 0, END, 1), MALFORMED,
     "length out of bounds"},
    {"passive data without a memory", BYTES(11, 4, 1, 1, 1, 'x'), VALID},
    {"memory.init without a data count",
     BYTES(1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 0, 10, 7, 1, 5, 0, 0xfc, 9, 0, END, 11, 3,
           1, 1, 0),
     MALFORMED, "data count section required"},
};

static void
test_every_section_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(section_cases); i++) {
        const struct section_case *item = &section_cases[i];
        struct buffer module = {0};

        build_header(&module);
        buffer_append(&module, item->bytes, item->count);
        expect_verdict(&module, item->err, item->is_malformed, item->text, item->name);
    }
}

static void
test_the_preamble_is_checked(void **state)
{
    struct buffer module = {0};

    (void)state;
    EXPECT_MALFORMED(&module, "unexpected end");
    PUT(&module, 0, 'a', 's');
    EXPECT_MALFORMED(&module, "unexpected end");
    PUT(&module, 0, 'a', 's', 'n', 1, 0, 0, 0);
    EXPECT_MALFORMED(&module, "magic header not detected");
    PUT(&module, 0, 'a', 's', 'm', 2, 0, 0, 0);
    EXPECT_MALFORMED(&module, "unknown binary version");
    PUT(&module, 0, 'a', 's', 'm', 0x0d, 0, 1, 0);
    expect_verdict(&module, -ENOTSUP, true, "component model", "component");
    build_header(&module);
    EXPECT_VALID(&module);
}

static void
test_utf8_is_strict(void **state)
{
    static const struct {
        uint8_t count;
        uint8_t bytes[4];
        bool is_valid;
    } cases[] = {
        {2, {0xc2, 0x80}, true},
        {2, {0xc1, 0xbf}, false}, /* overlong */
        {3, {0xe0, 0xa0, 0x80}, true},
        {3, {0xe0, 0x9f, 0xbf}, false},
        {3, {0xed, 0x9f, 0xbf}, true},
        {3, {0xed, 0xa0, 0x80}, false}, /* surrogate */
        {4, {0xf0, 0x90, 0x80, 0x80}, true},
        {4, {0xf0, 0x8f, 0xbf, 0xbf}, false},
        {4, {0xf4, 0x8f, 0xbf, 0xbf}, true},
        {4, {0xf4, 0x90, 0x80, 0x80}, false}, /* past U+10FFFF */
        {1, {0x80}, false},
        {2, {0xc2, 0x41}, false},
        {3, {0xe1, 0x80, 0xc0}, false},
        {2, {0xe1, 0x80}, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct buffer module = {0};

        build_header(&module);
        PUT(&module, 0, (uint8_t)(cases[i].count + 1), cases[i].count);
        buffer_append(&module, cases[i].bytes, cases[i].count);
        if (cases[i].is_valid)
            EXPECT_VALID(&module);
        else
            EXPECT_MALFORMED(&module, "malformed UTF-8 encoding");
    }
}

/* ------------------------------------------------------------- what is kept */

struct kept {
    struct buffer bytes;
    struct verdict verdict;
    uint8_t *copy;
};

static struct wasm_module *
keep(struct kept *kept)
{
    kept->verdict = decode_bytes(kept->bytes.bytes, kept->bytes.count, &kept->copy);
    if (kept->verdict.err != 0)
        fail_msg("%s", diag_text(&kept->verdict.diag));
    return kept->verdict.module;
}

static void
forget(struct kept *kept)
{
    wasm_module_destroy(kept->verdict.module);
    free(kept->copy);
    buffer_fini(&kept->bytes);
}

static void
test_index_spaces_begin_with_imports(void **state)
{
    struct kept kept = {0};
    struct wasm_module *module;

    (void)state;
    build_context(&kept.bytes, 1, (const uint8_t[]){0x20, 0, END}, 3);
    PUT(&kept.bytes, 0, 3, 1, 'x', 42);
    module = keep(&kept);

    assert_int_equal(module->function_count, 4);
    assert_int_equal(module->imported_function_count, 1);
    assert_true(module->functions[0].is_imported);
    assert_false(module->functions[1].is_imported);
    assert_int_equal(module->functions[2].local_count, 3);
    assert_int_equal(module->functions[2].local_group_count, 2);
    assert_int_equal(module->functions[2].locals[1].type, F64);
    assert_int_equal(module->global_count, 3);
    assert_int_equal(module->imported_global_count, 1);
    assert_true(module->globals[1].is_mutable);
    assert_int_equal(module->globals[2].init.end - module->globals[2].init.first, 6);
    assert_int_equal(module->imports[1].kind, WASM_KIND_GLOBAL);
    assert_int_equal(module->imports[1].index, 0);
    assert_memory_equal(module->imports[1].name.bytes, "g", 1);
    assert_int_equal(module->tables[1].limits.max, 8);
    assert_int_equal(module->memories[0].limits.max, 2);
    assert_int_equal(module->elements[0].functions[0], 1);
    assert_null(module->elements[0].exprs);
    assert_non_null(module->elements[1].exprs);
    assert_int_equal(module->elements[1].mode, WASM_SEGMENT_PASSIVE);
    assert_int_equal(module->data[0].byte_count, 2);
    assert_memory_equal(module->data[0].bytes, "hi", 2);
    assert_int_equal(module->custom_count, 1);
    assert_int_equal(module->customs[0].bytes[0], 42);
    assert_int_equal(module->bytes[module->code_section_first], 3);
    forget(&kept);
}

static void
test_declared_are_exports_elements_and_globals(void **state)
{
    struct kept kept = {0};
    struct wasm_module *module;

    (void)state;
    build_header(&kept.bytes);
    SECTION(&kept.bytes, 1, 1, 0x60, 0, 0);
    SECTION(&kept.bytes, 3, 5, 0, 0, 0, 0, 0);
    SECTION(&kept.bytes, 6, 1, FUNCREF, 0, 0xd2, 1, END);
    SECTION(&kept.bytes, 7, 1, 1, 'e', 0, 2);
    SECTION(&kept.bytes, 8, 4);
    SECTION(&kept.bytes, 9, 1, 7, FUNCREF, 1, 0xd2, 3, END);
    build_repeated(&kept.bytes, 10, 5, (const uint8_t[]){2, 0, END}, 3);
    module = keep(&kept);

    assert_false(module->functions[0].is_declared);
    assert_true(module->functions[1].is_declared);
    assert_true(module->functions[2].is_declared);
    assert_true(module->functions[3].is_declared);
    assert_false(module->functions[4].is_declared); /* the start function is not a value */
    assert_true(module->has_start);
    assert_int_equal(module->elements[0].mode, WASM_SEGMENT_DECLARATIVE);
    forget(&kept);
}

static void
test_equal_types_have_one_canonical_index(void **state)
{
    struct kept kept = {0};
    struct wasm_module *module;
    const uint32_t expected[] = {0, 1, 0, 3, 1, 3};

    (void)state;
    build_header(&kept.bytes);
    SECTION(&kept.bytes, 1, 6, 0x60, 1, I32, 0, 0x60, 0, 1, I32, 0x60, 1, I32, 0, 0x60, 0, 0, 0x60,
            0, 1, I32, 0x60, 0, 0);
    module = keep(&kept);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(module->types[i].canonical, expected[i]);
    forget(&kept);
}

static void
test_function_names_are_read(void **state)
{
    struct kept kept = {0};
    struct wasm_module *module;

    (void)state;
    build_context(&kept.bytes, 0, code_nothing, 1);
    SECTION(&kept.bytes, 0, 4, 'n', 'a', 'm', 'e', 0, 2, 1, 'm', 1, 9, 2, 1, 3, 'o', 'n', 'e', 9, 1,
            '?');
    module = keep(&kept);
    assert_int_equal(module->functions[0].name.count, 0);
    assert_int_equal(module->functions[1].name.count, 3);
    assert_memory_equal(module->functions[1].name.bytes, "one", 3);
    forget(&kept);
}

static void
test_a_broken_name_section_is_as_good_as_none(void **state)
{
    struct kept kept = {0};
    struct wasm_module *module;

    (void)state;
    build_context(&kept.bytes, 0, code_nothing, 1);
    SECTION(&kept.bytes, 0, 4, 'n', 'a', 'm', 'e', 1, 9, 2, 1, 3, 'o', 'n', 'e', 2, 9, '?');
    module = keep(&kept);
    assert_int_equal(module->functions[1].name.count, 0);
    assert_int_equal(module->custom_count, 1);
    forget(&kept);
}

static void
test_features_are_those_used(void **state)
{
    struct buffer bytes = {0};
    struct kept kept = {0};
    struct wasm_module *module;

    (void)state;
    build_header(&kept.bytes);
    SECTION(&kept.bytes, 1, 1, 0x60, 0, 0);
    SECTION(&kept.bytes, 3, 1, 0);
    SECTION(&kept.bytes, 5, 1, 0, 1);
    SECTION(&kept.bytes, 10, 1, 5, 0, 0x41, 0, 0x1a, END);
    module = keep(&kept);
    assert_int_equal(module->features, 0);
    forget(&kept);

    kept = (struct kept){0};
    build_header(&kept.bytes);
    SECTION(&kept.bytes, 1, 2, 0x60, 0, 0, 0x60, 0, 2, I32, I32);
    SECTION(&kept.bytes, 3, 1, 0);
    SECTION(&kept.bytes, 5, 1, 3, 1, 1);
    SECTION(&kept.bytes, 13, 1, 0, 0);
    SECTION(&kept.bytes, 6, 1, I32, 0, 0x41, 1, 0x41, 1, 0x6a, END);
    PUT(&bytes, 0x41, 0, 0xc0, 0x1a);                    /* i32.extend8_s */
    PUT(&bytes, 0x43, 0, 0, 0, 0, 0xfc, 0, 0x1a);        /* i32.trunc_sat_f32_s */
    PUT(&bytes, 0x41, 0, 0xfd, 17, 0x41, 0, 0xfd, 17);   /* i32x4.splat */
    PUT(&bytes, 0xfd, 0x80, 2, 0x1a);                    /* relaxed_swizzle */
    PUT(&bytes, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0); /* memory.fill */
    PUT(&bytes, 0xd0, EXTERNREF, 0x1a, 0x12, 0, END);    /* return_call */
    PUT(&kept.bytes, 10, (uint8_t)(bytes.count + 3), 1, (uint8_t)(bytes.count + 1), 0);
    buffer_append(&kept.bytes, bytes.bytes, bytes.count);
    buffer_fini(&bytes);
    module = keep(&kept);
    assert_int_equal(module->features, (WASM_FEATURE_EXCEPTIONS << 1) - 1);
    forget(&kept);
    assert_string_equal(wasm_feature_name(WASM_FEATURE_SIMD), "simd");
    assert_string_equal(wasm_feature_name(WASM_FEATURE_EXCEPTIONS), "exceptions");
    assert_string_equal(wasm_feature_name(0x80000000), "unknown feature");
}

static void
test_types_have_names(void **state)
{
    (void)state;
    assert_string_equal(wasm_type_name(WASM_I32), "i32");
    assert_string_equal(wasm_type_name(WASM_EXTERNREF), "externref");
    assert_string_equal(wasm_type_name(0x12), "unknown type");
}

static void
test_destroying_nothing_is_fine(void **state)
{
    (void)state;
    wasm_module_destroy(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_preamble_is_checked),
        cmocka_unit_test(test_every_section_is_checked),
        cmocka_unit_test(test_utf8_is_strict),
        cmocka_unit_test(test_index_spaces_begin_with_imports),
        cmocka_unit_test(test_declared_are_exports_elements_and_globals),
        cmocka_unit_test(test_equal_types_have_one_canonical_index),
        cmocka_unit_test(test_function_names_are_read),
        cmocka_unit_test(test_a_broken_name_section_is_as_good_as_none),
        cmocka_unit_test(test_features_are_those_used),
        cmocka_unit_test(test_types_have_names),
        cmocka_unit_test(test_destroying_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
