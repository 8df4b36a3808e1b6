/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/testing.h"

#include <elf.h>

static const char text[] =
    "(module\n"
    "  (import \"a\" \"f\" (func (param i32 i64) (result f32)))\n"
    "  (import \"a\" \"g\" (func))\n"
    "  (memory 1 2) (data (i32.const 8) \"x\") (data \"passive\")\n"
    "  (table 2 funcref) (elem (i32.const 0) func 1 2) (elem func 0)\n"
    "  (global (mut i32) (i32.const 1)) (tag (param i32))\n"
    "  (func (export \"e\") (param v128) (result i32 f64) (i32.const 1) (f64.const 2)))\n";

static uint8_t *image_bytes;
static size_t image_size;

static int
setup(void **state)
{
    int fd = testing_compile(text, ABI_STANDALONE, 1);
    off_t size = lseek(fd, 0, SEEK_END);

    (void)state;
    assert_true(size > 0);
    image_size = (size_t)size;
    image_bytes = aligned_alloc(4096, ROUND_UP(image_size, (size_t)4096));
    assert_non_null(image_bytes);
    assert_int_equal(pread(fd, image_bytes, image_size, 0), size);
    (void)close(fd);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(image_bytes);
    return 0;
}

static void
test_an_image_is_understood(void **state)
{
    struct abi_image image;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, &diag), 0);
    assert_int_equal(image.meta->imports.count, 2);
    assert_int_equal(image.meta->imported_function_count, 2);
    assert_int_equal(image.meta->tables.count, 1);
    assert_int_equal(image.meta->elements.count, 2);
    assert_int_equal(image.meta->data.count, 2);
    assert_int_equal(image.meta->runs.count, 1);
    assert_int_equal(image.meta->exports.count, 1);
    assert_true(image.code[ABI_CODE_START] >= image.text_first);
    assert_true(image.code[ABI_CODE_START] < image.text_end);
    assert_true(image.eh_frame_hdr >= image.load_first);
}

static void
test_a_truncated_image_is_refused(void **state)
{
    struct abi_image image;

    (void)state;
    for (size_t size = 0; size < image_size; size += size < 4096 ? 1 : 97) {
        uint8_t *copy = malloc(size + 1);
        struct diag diag;

        assert_non_null(copy);
        (void)memcpy(copy, image_bytes, size);
        diag_init(&diag);
        assert_int_equal(abi_image_parse(copy, size, &image, &diag), -EINVAL);
        assert_true(diag.is_set);
        free(copy);
    }
}

/* What is accepted must be harmless to follow; sanitizers watch. */
static void
follow(const struct abi_image *image)
{
    const struct abi_meta *meta = image->meta;
    const struct abi_meta_import *imports = abi_image_range(image, meta->imports);
    const struct abi_meta_element *elements = abi_image_range(image, meta->elements);
    const struct abi_meta_data *data = abi_image_range(image, meta->data);
    const struct abi_meta_type *types = abi_image_range(image, meta->types);
    const struct abi_meta_function *functions = abi_image_range(image, meta->functions);
    volatile uint64_t sum = 0;

    for (uint32_t i = 0; i < meta->imports.count; i++)
        for (uint32_t k = 0; k < imports[i].name.count; k++)
            sum += ((const uint8_t *)abi_image_range(image, imports[i].name))[k];
    for (uint32_t i = 0; i < meta->elements.count; i++)
        for (uint32_t k = 0; k < elements[i].entries.count; k++) {
            uint32_t entry = ((const uint32_t *)abi_image_range(image, elements[i].entries))[k];

            if (entry < ABI_ELEMENT_GLOBAL)
                sum += image->code[functions[entry].code];
        }
    for (uint32_t i = 0; i < meta->data.count; i++)
        for (uint32_t k = 0; k < data[i].bytes.count; k++)
            sum += ((const uint8_t *)abi_image_range(image, data[i].bytes))[k];
    for (uint32_t i = 0; i < meta->functions.count; i++)
        sum += types[functions[i].type].params.count;
    for (uint32_t i = 0; i < meta->runs.count; i++)
        sum += image->memory_bytes;
}

static void
damage(uint8_t *bytes, size_t at, uint8_t value, unsigned *refused)
{
    uint8_t kept = bytes[at];
    struct abi_image image;
    struct diag diag;

    diag_init(&diag);
    bytes[at] = value;
    if (abi_image_parse(bytes, image_size, &image, &diag) == 0)
        follow(&image);
    else
        (*refused)++;
    bytes[at] = kept;
}

static void
test_damage_at_any_byte_is_refused_or_harmless(void **state)
{
    struct abi_image image;
    size_t meta_first;
    unsigned refused = 0;

    (void)state;
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, NULL), 0);
    meta_first = (size_t)(image.meta_bytes - image_bytes);
    for (size_t i = 0; i < image.meta_size; i++) {
        damage(image_bytes, meta_first + i, 0xff, &refused);
        damage(image_bytes, meta_first + i, 0x80, &refused);
        damage(image_bytes, meta_first + i, (uint8_t)(image_bytes[meta_first + i] + 1), &refused);
    }
    assert_true(refused > image.meta_size / 2);
    for (size_t i = 0; i < image_size; i += i < 4096 ? 1 : 13) {
        damage(image_bytes, i, 0xff, &refused);
        damage(image_bytes, i, (uint8_t)(image_bytes[i] ^ 0x40), &refused);
    }
}

static void
test_the_magic_and_the_version_count(void **state)
{
    struct abi_image image;
    struct abi_meta *meta;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, NULL), 0);
    meta = (struct abi_meta *)(uintptr_t)image.meta;
    meta->version++;
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, &diag), -EINVAL);
    assert_non_null(strstr(diag_text(&diag), "another version"));
    meta->version--;
    meta->magic++;
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, &diag), -EINVAL);
    meta->magic--;
    assert_int_equal(abi_image_parse(image_bytes, image_size, &image, NULL), 0);
}

static void
test_every_trap_has_the_words_of_the_specification(void **state)
{
    (void)state;
    assert_string_equal(abi_trap_text(ABI_TRAP_MEMORY_BOUNDS), "out of bounds memory access");
    assert_string_equal(abi_trap_text(ABI_TRAP_STACK_EXHAUSTED), "call stack exhausted");
    assert_string_equal(abi_trap_text(ABI_TRAP_COUNT), "unknown trap");
    for (unsigned i = 0; i < ABI_TRAP_COUNT; i++)
        assert_true(strlen(abi_trap_text((enum abi_trap)i)) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_image_is_understood),
        cmocka_unit_test(test_a_truncated_image_is_refused),
        cmocka_unit_test(test_damage_at_any_byte_is_refused_or_harmless),
        cmocka_unit_test(test_the_magic_and_the_version_count),
        cmocka_unit_test(test_every_trap_has_the_words_of_the_specification),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
