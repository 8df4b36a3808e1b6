/* SPDX-License-Identifier: Apache-2.0
 *
 * What an image says of its module, read back as the runtime does.
 */
#include "../../tests/testing.h"

#include <openssl/sha.h>

#include "wasm/wasm.h"

static struct abi_image image;
static uint8_t *image_bytes;

static int
teardown(void **state)
{
    (void)state;
    free(image_bytes);
    image_bytes = NULL;
    return 0;
}

static void
parse_bytes(const struct buffer *module, enum abi_mode mode)
{
    struct compile_options options;
    struct diag diag;
    int fd = memfd_create("image", MFD_CLOEXEC);
    off_t size;

    diag_init(&diag);
    compile_options_init(&options);
    options.level = 0;
    options.mode = mode;
    options.jobs = 1;
    if (compile_image(module->bytes, module->count, &options, fd, &diag) != 0)
        fail_msg("cannot compile: %s", diag_text(&diag));
    size = lseek(fd, 0, SEEK_END);
    assert_true(size > 0);
    free(image_bytes);
    image_bytes = aligned_alloc(4096, ROUND_UP((size_t)size, (size_t)4096));
    assert_non_null(image_bytes);
    assert_int_equal(pread(fd, image_bytes, (size_t)size, 0), size);
    if (abi_image_parse(image_bytes, (size_t)size, &image, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(close(fd), 0);
}

static void
parse_mode(const char *text, enum abi_mode mode)
{
    struct buffer module = {0};

    testing_assemble(text, &module);
    parse_bytes(&module, mode);
    buffer_fini(&module);
}

static void
parse(const char *text)
{
    parse_mode(text, ABI_STANDALONE);
}

static void
expect_text(struct abi_range range, const char *text, size_t count)
{
    assert_int_equal(range.count, count);
    assert_memory_equal(abi_image_range(&image, range), text, count);
}

#define EXPECT_TEXT(range, text) expect_text(range, text, sizeof(text) - 1)

/* ------------------------------------------------------------- the first memory */

/* The byte of linear memory that the image's pages begin with. */
static uint8_t
mapped_byte(uint64_t address)
{
    const struct abi_meta_run *runs = abi_image_range(&image, image.meta->runs);
    uint64_t page = address / ABI_HOST_PAGE_BYTES;

    for (uint32_t i = 0; i < image.meta->runs.count; i++)
        if (page >= runs[i].memory_page && page - runs[i].memory_page < runs[i].page_count) {
            uint64_t file_page = runs[i].file_page + page - runs[i].memory_page;

            assert_true((file_page + 1) * ABI_HOST_PAGE_BYTES <= image.memory_bytes);
            return image.file[image.memory_file_offset + file_page * ABI_HOST_PAGE_BYTES +
                              address % ABI_HOST_PAGE_BYTES];
        }
    return 0;
}

static const struct abi_meta_data *
data_segments(uint32_t count)
{
    assert_int_equal(image.meta->data.count, count);
    return abi_image_range(&image, image.meta->data);
}

static void
test_active_segments_are_mapped_and_passive_ones_kept(void **state)
{
    const struct abi_meta_data *data;

    (void)state;
    parse("(module (memory 2) (data (i32.const 8) \"abc\") (data \"passive\")\n"
          "  (data (i32.const 65535) \"de\"))");
    data = data_segments(3);
    assert_int_equal(data[0].bytes.count, 0);
    EXPECT_TEXT(data[1].bytes, "passive");
    assert_int_equal(data[2].bytes.count, 0);
    assert_int_equal(mapped_byte(7), 0);
    assert_int_equal(mapped_byte(8), 'a');
    assert_int_equal(mapped_byte(10), 'c');
    assert_int_equal(mapped_byte(11), 0);
    assert_int_equal(mapped_byte(65535), 'd');
    assert_int_equal(mapped_byte(65536), 'e');
}

static void
test_of_overlapping_segments_the_later_wins(void **state)
{
    (void)state;
    parse("(module (memory 1) (data (i32.const 4094) \"aaaaaa\") (data (i32.const 4095) \"bb\")\n"
          "  (data (i32.const 4096) \"c\"))");
    assert_int_equal(mapped_byte(4094), 'a');
    assert_int_equal(mapped_byte(4095), 'b');
    assert_int_equal(mapped_byte(4096), 'c');
    assert_int_equal(mapped_byte(4097), 'a');
    assert_int_equal(mapped_byte(4099), 'a');
    assert_int_equal(mapped_byte(4100), 0);
}

static void
test_pages_far_apart_are_runs_of_their_own(void **state)
{
    const struct abi_meta_run *runs;

    (void)state;
    /* Pages 0 and 3 are near each other, page 200 is not; the last is the end. */
    parse("(module (memory 16) (data (i32.const 0x000c8000) \"far\")\n"
          "  (data (i32.const 0x3fff) \"n\") (data (i32.const 0) \"first\")\n"
          "  (data (i32.const 0xfffff) \"z\"))");
    assert_int_equal(image.meta->runs.count, 3);
    runs = abi_image_range(&image, image.meta->runs);
    assert_int_equal(runs[0].memory_page, 0);
    assert_int_equal(runs[0].page_count, 4);
    assert_int_equal(runs[0].file_page, 0);
    assert_int_equal(runs[1].memory_page, 200);
    assert_int_equal(runs[1].page_count, 1);
    assert_int_equal(runs[1].file_page, 4);
    assert_int_equal(runs[2].memory_page, 255);
    assert_int_equal(runs[2].file_page, 5);
    assert_int_equal(image.memory_bytes, 6 * ABI_HOST_PAGE_BYTES);
    assert_int_equal(image.memory_file_offset % ABI_HOST_PAGE_BYTES, 0);
    assert_int_equal(mapped_byte(0x3fff), 'n');
    assert_int_equal(mapped_byte(0xc8002), 'r');
    assert_int_equal(mapped_byte(0xfffff), 'z');
}

/* INIT must trap for it, after the segments before it were written: so no segment
 * is in the first pages. */
static void
test_with_a_segment_past_the_memory_nothing_is_mapped(void **state)
{
    const struct abi_meta_data *data;

    (void)state;
    parse("(module (memory 1) (data (i32.const 0) \"abc\") (data (i32.const 65535) \"de\"))");
    assert_int_equal(image.meta->runs.count, 0);
    assert_int_equal(image.memory_bytes, 0);
    data = data_segments(2);
    EXPECT_TEXT(data[0].bytes, "abc");
    EXPECT_TEXT(data[1].bytes, "de");
    parse("(module (memory 1) (data (i32.const -1) \"\"))");
    assert_int_equal(image.meta->runs.count, 0);
    parse("(module (memory 0) (data (i32.const 0) \"a\"))");
    assert_int_equal(image.meta->runs.count, 0);
}

static void
test_a_segment_may_end_where_the_memory_ends(void **state)
{
    (void)state;
    parse("(module (memory 1) (data (i32.const 65535) \"d\") (data (i32.const 65536) \"\"))");
    assert_int_equal(image.meta->runs.count, 1);
    assert_int_equal(mapped_byte(65535), 'd');
    assert_int_equal(data_segments(2)[0].bytes.count, 0);
    parse("(module (memory 0) (data (i32.const 0) \"\"))");
    assert_int_equal(image.meta->runs.count, 0);
}

static void
test_a_segment_whose_place_is_not_known_is_kept(void **state)
{
    static const char text[] = "(module (import \"m\" \"g\" (global i32)) (memory 1)\n"
                               "  (data (global.get 0) \"there\") (data (i32.const 3) \"here\"))";

    (void)state;
    parse(text);
    assert_int_equal(image.meta->runs.count, 0);
    EXPECT_TEXT(data_segments(2)[0].bytes, "there");
    EXPECT_TEXT(data_segments(2)[1].bytes, "here");
}

static void
test_in_linked_images_all_segments_are_kept(void **state)
{
    (void)state;
    parse_mode("(module (memory 1) (data (i32.const 3) \"here\"))", ABI_LINKED);
    assert_int_equal(image.meta->runs.count, 0);
    EXPECT_TEXT(data_segments(1)[0].bytes, "here");
}

static void
test_memories_are_as_declared(void **state)
{
    const struct abi_meta_memory *memory;

    (void)state;
    parse("(module)");
    assert_int_equal(image.meta->memories.count, 0);
    assert_int_equal(image.meta->runs.count, 0);
    assert_int_equal(image.memory_bytes, 0);
    parse("(module (memory 3))");
    memory = abi_image_range(&image, image.meta->memories);
    assert_int_equal(image.meta->memories.count, 1);
    assert_int_equal(memory->pages_min, 3);
    assert_int_equal(memory->pages_max, 65536);
    assert_int_equal(memory->has_max, 0);
    assert_int_equal(memory->is_shared, 0);
    parse("(module (import \"m\" \"m\" (memory 0 7 shared)))");
    memory = abi_image_range(&image, image.meta->memories);
    assert_int_equal(memory->pages_min, 0);
    assert_int_equal(memory->pages_max, 7);
    assert_int_equal(memory->has_max, 1);
    assert_int_equal(memory->is_imported, 1);
    assert_int_equal(memory->is_shared, 1);
}

/* ------------------------------------------------------ imports, exports, elements */

static const char world_text[] =
    "(module\n"
    "  (import \"one\" \"f\" (func (param i32 v128) (result f64)))\n"
    "  (import \"\" \"\\c3\\a4\\00b\" (global (mut i64)))\n"
    "  (import \"one\" \"t\" (table 1 2 externref))\n"
    "  (import \"one\" \"f\" (func)) (import \"x\" \"tag\" (tag (param i32)))\n"
    "  (memory 1) (global $own i32 (i32.const 1))\n"
    "  (func $inner) (func $e (param i32 v128) (result f64) (f64.const 0))\n"
    "  (export \"e\" (func $e)) (export \"e2\" (func $e)) (export \"import\" (func 0))\n"
    "  (export \"m\" (memory 0)) (export \"\" (table 0)) (export \"g\" (global $own))\n"
    "  (export \"tag\" (tag 0)))";

static void
test_imports_keep_names_kinds_and_indices(void **state)
{
    static const struct {
        uint32_t kind, index;
    } expected[] = {{ABI_KIND_FUNCTION, 0},
                    {ABI_KIND_GLOBAL, 0},
                    {ABI_KIND_TABLE, 0},
                    {ABI_KIND_FUNCTION, 1},
                    {ABI_KIND_TAG, 0}};
    const struct abi_meta_import *imports;

    (void)state;
    parse(world_text);
    assert_int_equal(image.meta->imports.count, ARRAY_COUNT(expected));
    assert_int_equal(image.meta->imported_function_count, 2);
    imports = abi_image_range(&image, image.meta->imports);
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(imports[i].kind, expected[i].kind);
        assert_int_equal(imports[i].index, expected[i].index);
    }
    EXPECT_TEXT(imports[0].module, "one");
    EXPECT_TEXT(imports[0].name, "f");
    EXPECT_TEXT(imports[1].module, "");
    EXPECT_TEXT(imports[1].name, "\xc3\xa4\0b");
    EXPECT_TEXT(imports[3].name, "f");
    EXPECT_TEXT(imports[4].module, "x");
}

static void
test_exports_keep_names_kinds_and_indices(void **state)
{
    const struct abi_meta_export *exports;

    (void)state;
    parse(world_text);
    assert_int_equal(image.meta->exports.count, 7);
    exports = abi_image_range(&image, image.meta->exports);
    EXPECT_TEXT(exports[0].name, "e");
    assert_int_equal(exports[0].index, 3);
    EXPECT_TEXT(exports[1].name, "e2");
    assert_int_equal(exports[1].index, 3);
    assert_int_equal(exports[2].index, 0);
    assert_int_equal(exports[3].kind, ABI_KIND_MEMORY);
    EXPECT_TEXT(exports[4].name, "");
    assert_int_equal(exports[4].kind, ABI_KIND_TABLE);
    assert_int_equal(exports[5].kind, ABI_KIND_GLOBAL);
    assert_int_equal(exports[5].index, 1);
    assert_int_equal(exports[6].kind, ABI_KIND_TAG);
}

static void
test_only_functions_that_may_be_referenced_are_listed(void **state)
{
    static const uint32_t expected[] = {0, 1, 3}; /* both imports and the export */
    const struct abi_meta_function *functions;
    const struct abi_meta_type *types;

    (void)state;
    parse(world_text);
    assert_int_equal(image.meta->functions.count, ARRAY_COUNT(expected));
    functions = abi_image_range(&image, image.meta->functions);
    types = abi_image_range(&image, image.meta->types);
    for (uint32_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(functions[i].index, expected[i]);
        assert_int_equal(functions[i].code, abi_code_wrapper(image.meta->types.count) + i);
        assert_true(functions[i].code < image.code_count);
        assert_in_range(image.code[functions[i].code], image.text_first, image.text_end - 1);
    }
    EXPECT_TEXT(types[functions[2].type].params, "\x7f\x7b");
    EXPECT_TEXT(types[functions[2].type].results, "\x7c");
    assert_int_equal(types[functions[2].type].canonical, types[functions[0].type].canonical);
    assert_true(types[functions[1].type].canonical != types[functions[0].type].canonical);
}

static void
test_globals_and_tags_are_as_declared(void **state)
{
    const struct abi_meta_global *globals;
    const struct abi_meta_tag *tags;

    (void)state;
    parse(world_text);
    assert_int_equal(image.meta->globals.count, 2);
    globals = abi_image_range(&image, image.meta->globals);
    assert_int_equal(globals[0].type, WASM_I64);
    assert_int_equal(globals[0].is_mutable, 1);
    assert_int_equal(globals[0].is_imported, 1);
    assert_int_equal(globals[1].type, WASM_I32);
    assert_int_equal(globals[1].is_mutable, 0);
    assert_int_equal(globals[1].is_imported, 0);
    assert_int_equal(image.meta->tags.count, 1);
    tags = abi_image_range(&image, image.meta->tags);
    assert_int_equal(tags[0].is_imported, 1);
}

/* wat2wasm knows no global.get here: it is put in place of a ref.func. */
static void
assemble_elements(struct buffer *module)
{
    uint8_t *place;

    testing_assemble("(module (import \"m\" \"f\" (func)) (import \"m\" \"g\" (global funcref))\n"
                     "  (import \"m\" \"h\" (global funcref)) (table 4 funcref)\n"
                     "  (func $never) (func $a) (func $b)\n"
                     "  (elem (i32.const 0) func $b 0 $a)\n"
                     "  (elem funcref (ref.null func) (ref.func $b) (ref.func 1) (ref.func 0))\n"
                     "  (elem func))",
                     module);
    place = memmem(module->bytes, module->count, "\xd2\x01\x0b", 3);
    assert_non_null(place);
    *place = 0x23;
}

static void
test_elements_are_null_a_function_or_a_global(void **state)
{
    const struct abi_meta_element *elements;
    struct buffer module = {0};
    const uint32_t *entries;

    (void)state;
    assemble_elements(&module);
    parse_bytes(&module, ABI_STANDALONE);
    buffer_fini(&module);
    assert_int_equal(image.meta->elements.count, 3);
    elements = abi_image_range(&image, image.meta->elements);
    /* Places in the list of functions: the import, $a, $b. */
    assert_int_equal(image.meta->functions.count, 3);
    entries = abi_image_range(&image, elements[0].entries);
    assert_int_equal(elements[0].entries.count, 3);
    assert_int_equal(entries[0], 2);
    assert_int_equal(entries[1], 0);
    assert_int_equal(entries[2], 1);
    entries = abi_image_range(&image, elements[1].entries);
    assert_int_equal(elements[1].entries.count, 4);
    assert_int_equal(entries[0], ABI_ELEMENT_NULL);
    assert_int_equal(entries[1], 2);
    assert_int_equal(entries[2], ABI_ELEMENT_GLOBAL | 1);
    assert_int_equal(entries[3], 0);
    assert_int_equal(elements[2].entries.count, 0);
}

/* ------------------------------------------------------------------------- header */

static void
test_an_image_says_what_it_was_made_of(void **state)
{
    static const char text[] = "(module (memory 1 1 shared) (func (result i32)\n"
                               "  (i32.atomic.load (i32.const 0))))";
    uint8_t source[SHA256_DIGEST_LENGTH];
    struct buffer module = {0};
    char features[256] = "";

    (void)state;
    parse(text);
    testing_assemble(text, &module);
    (void)SHA256(module.bytes, module.count, source);
    expect_text(image.meta->source_id, (const char *)source, sizeof(source));
    EXPECT_TEXT(image.meta->cpu, COMPILE_CPU_DEFAULT);
    assert_true(image.meta->features.count < sizeof(features));
    (void)memcpy(features, abi_image_range(&image, image.meta->features),
                 image.meta->features.count);
    assert_non_null(strstr(features, "threads"));
    assert_null(strstr(features, "simd"));
    assert_int_equal(image.meta->version, ABI_VERSION);
    assert_int_equal(image.meta->strict_traps, 0);
    buffer_fini(&module);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_active_segments_are_mapped_and_passive_ones_kept),
        TEST(test_of_overlapping_segments_the_later_wins),
        TEST(test_pages_far_apart_are_runs_of_their_own),
        TEST(test_with_a_segment_past_the_memory_nothing_is_mapped),
        TEST(test_a_segment_may_end_where_the_memory_ends),
        TEST(test_a_segment_whose_place_is_not_known_is_kept),
        TEST(test_in_linked_images_all_segments_are_kept),
        TEST(test_memories_are_as_declared),
        TEST(test_imports_keep_names_kinds_and_indices),
        TEST(test_exports_keep_names_kinds_and_indices),
        TEST(test_only_functions_that_may_be_referenced_are_listed),
        TEST(test_globals_and_tags_are_as_declared),
        TEST(test_elements_are_null_a_function_or_a_global),
        TEST(test_an_image_says_what_it_was_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
