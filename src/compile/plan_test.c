/* SPDX-License-Identifier: Apache-2.0
 *
 * What is decided before code is made, seen in the image: layout, limits, names.
 */
#include "../../tests/testing.h"

#include <elf.h>

#include "wasm/wasm.h"

static struct abi_image image;
static uint8_t *image_bytes;

static void
forget_image(void)
{
    free(image_bytes);
    image_bytes = NULL;
}

static int
teardown(void **state)
{
    (void)state;
    forget_image();
    return 0;
}

static void
parse(const char *text, enum abi_mode mode)
{
    struct diag diag;
    int fd = testing_compile(text, mode, 0);
    off_t size = lseek(fd, 0, SEEK_END);

    forget_image();
    diag_init(&diag);
    assert_true(size > 0);
    image_bytes = aligned_alloc(4096, ROUND_UP((size_t)size, (size_t)4096));
    assert_non_null(image_bytes);
    assert_int_equal(pread(fd, image_bytes, (size_t)size, 0), size);
    if (abi_image_parse(image_bytes, (size_t)size, &image, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(close(fd), 0);
}

static void
refuse(const char *text, int err, const char *reason)
{
    struct compile_options options;
    struct buffer module = {0};
    struct diag diag;
    int fd = memfd_create("image", MFD_CLOEXEC);

    diag_init(&diag);
    compile_options_init(&options);
    options.level = 0;
    testing_assemble(text, &module);
    assert_int_equal(compile_image(module.bytes, module.count, &options, fd, &diag), err);
    if (strstr(diag_text(&diag), reason) == NULL)
        fail_msg("\"%s\" is not in: %s", reason, diag_text(&diag));
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    assert_int_equal(close(fd), 0);
    buffer_fini(&module);
}

/* Whether the image's symbol table has this name. */
static bool
has_symbol(const char *name)
{
    const Elf64_Ehdr *header = (const void *)image.file;
    const Elf64_Shdr *sections = (const void *)(image.file + header->e_shoff);

    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Sym *symbols = (const void *)(image.file + sections[i].sh_offset);
        const char *names;

        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        names = (const char *)image.file + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof(*symbols); k++)
            if (strcmp(names + symbols[k].st_name, name) == 0)
                return true;
    }
    return false;
}

/* -------------------------------------------------------------------------- tests */

static void
test_a_shared_memory_makes_an_image_for_threads(void **state)
{
    static const char own[] = "(module (memory 1 2 shared) (func))";
    static const char imported[] = "(module (import \"env\" \"memory\" (memory 1 2 shared)))";

    (void)state;
    parse(own, ABI_STANDALONE);
    assert_int_equal(image.meta->mode, ABI_THREADED);
    parse(imported, ABI_STANDALONE);
    assert_int_equal(image.meta->mode, ABI_THREADED);
    parse(own, ABI_LINKED);
    assert_int_equal(image.meta->mode, ABI_LINKED);
    parse("(module (memory 1 2) (func))", ABI_STANDALONE);
    assert_int_equal(image.meta->mode, ABI_STANDALONE);
}

static void
test_a_thread_image_has_what_a_linked_one_needs_not(void **state)
{
    static const char text[] = "(module (memory 1 2 shared) (table 2 funcref) (tag)\n"
                               "  (global (mut i32) (i32.const 1)) (data (i32.const 0) \"a\")\n"
                               "  (func (export \"f\") (result i32 i32) i32.const 1 i32.const 2))";

    (void)state;
    parse(text, ABI_STANDALONE);
    assert_int_equal(image.meta->mode, ABI_THREADED);
    assert_int_equal(image.meta->layout.table_offsets, image.meta->layout.global_offsets);
    assert_int_equal(image.meta->runs.count, 1); /* its data is in the initial pages */
    assert_int_equal(image.meta->has_tail_calls, 0);
}

static const char linked_text[] =
    "(module\n"
    "  (type $t (func (param i32))) (type (func (result i64)))\n"
    "  (import \"m\" \"f\" (func (type $t))) (import \"m\" \"g\" (func))\n"
    "  (import \"m\" \"global\" (global i64)) (import \"m\" \"table\" (table 1 funcref))\n"
    "  (import \"m\" \"tag\" (tag (param i32)))\n"
    "  (memory 1) (table 2 4 funcref) (tag)\n"
    "  (global (mut i32) (i32.const 1)) (global f64 (f64.const 1))\n"
    "  (data \"a\") (data \"b\") (data \"c\") (elem func 0)\n"
    "  (func (export \"e\")))\n";

static void
test_a_standalone_layout_has_only_its_own_objects(void **state)
{
    const struct abi_layout *layout;

    (void)state;
    parse(linked_text, ABI_STANDALONE);
    layout = &image.meta->layout;
    assert_int_equal(image.meta->mode, ABI_STANDALONE);
    assert_int_equal(layout->context_bytes % ABI_HOST_PAGE_BYTES, 0);
    assert_true(layout->globals >= sizeof(struct abi_context));
    assert_true(layout->tables >= layout->globals + 3 * ABI_GLOBAL_BYTES);
    assert_int_equal(layout->tables % 64, 0); /* in no cache line with a thread's globals */
    assert_true(layout->data_bytes >= layout->tables + 2 * sizeof(struct abi_table));
    assert_true(layout->element_counts >= layout->data_bytes + 3 * 4);
    assert_true(layout->functions >= layout->element_counts + 4);
    assert_true(layout->global_offsets >= layout->functions + 3 * sizeof(struct abi_function));
    /* Nothing lies in the arrays of LINKED images. */
    assert_int_equal(layout->table_offsets, layout->global_offsets);
    assert_int_equal(layout->import_functions, layout->global_offsets);
    assert_int_equal(layout->type_ids, layout->global_offsets);
    assert_true(layout->tags >= layout->tag_offsets + 2 * 8);
    assert_true(layout->context_bytes >= layout->tags + 2 * 8);
}

static void
test_a_linked_layout_has_a_place_for_all_that_may_be_imported(void **state)
{
    const struct abi_layout *layout;

    (void)state;
    parse(linked_text, ABI_LINKED);
    layout = &image.meta->layout;
    assert_int_equal(image.meta->mode, ABI_LINKED);
    assert_true(image.meta->types.count >= 3);
    assert_int_equal(layout->global_offsets % 8, 0);
    assert_true(layout->table_offsets >= layout->global_offsets + 3 * 8);
    assert_true(layout->import_functions >= layout->table_offsets + 2 * 8);
    assert_true(layout->type_ids >= layout->import_functions + 2 * 8);
    assert_true(layout->tag_offsets >= layout->type_ids + image.meta->types.count * 4);
    assert_true(layout->tags >= layout->tag_offsets + 2 * 8);
    assert_true(layout->context_bytes >= layout->tags + 2 * 8);
}

static void
test_tail_calls_are_told(void **state)
{
    (void)state;
    parse("(module (func $f (export \"f\") (return_call $f)))", ABI_STANDALONE);
    assert_int_equal(image.meta->has_tail_calls, 1);
    parse("(module (func $f (export \"f\") (call $f)))", ABI_STANDALONE);
    assert_int_equal(image.meta->has_tail_calls, 0);
    parse("(module (func $f (export \"f\") (call $f)))", ABI_LINKED);
    assert_int_equal(image.meta->has_tail_calls, 0);
}

static void
test_exceptions_say_how_much_they_carry(void **state)
{
    (void)state;
    parse("(module (tag (param i32 i64)) (tag (param v128 v128 f32)) (func (throw 0 "
          "(i32.const 1) (i64.const 2))))",
          ABI_STANDALONE);
    assert_int_equal(image.meta->max_exception_slots, 5);
    parse("(module (tag (param i32)) (func (throw 0 (i32.const 1))))", ABI_LINKED);
    assert_int_equal(image.meta->max_exception_slots, ABI_PAYLOAD_MAX);
    parse("(module (func))", ABI_STANDALONE);
    assert_int_equal(image.meta->max_exception_slots, 0);
}

static void
test_an_exception_carries_no_more_than_the_limit(void **state)
{
    (void)state;
    parse("(module (tag (param v128 v128 v128 v128 v128 v128 v128 v128)))", ABI_STANDALONE);
    assert_int_equal(image.meta->max_exception_slots, ABI_PAYLOAD_MAX);
    refuse("(module (tag) (tag (param v128 v128 v128 v128 v128 v128 v128 v128 i32)))", -E2BIG,
           "tag 1 carries 17 slots");
}

static void
test_tables_have_limits(void **state)
{
    const struct abi_meta_table *table;

    (void)state;
    parse("(module (table 4194304 funcref))", ABI_STANDALONE);
    refuse("(module (table 0 funcref) (table 4194305 funcref))", -E2BIG, "table 1 begins with");
    refuse("(module (table 4194305 5000000 funcref))", -E2BIG, "table 0 begins with 4194305");
    /* Without a maximum each table reserves the most: 32 MiB of 1 GiB. */
    refuse("(module (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)"
           "(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref))",
           -E2BIG, "give them a maximum size");
    parse("(module (table 0 funcref) (table 3 externref) (table 1 9 funcref))", ABI_STANDALONE);
    assert_int_equal(image.meta->tables.count, 3);
    table = abi_image_range(&image, image.meta->tables);
    assert_int_equal(table[1].count_min, 3);
    assert_int_equal(table[1].count_max, UINT32_MAX);
    assert_int_equal(table[1].has_max, 0);
    assert_int_equal(table[1].type, WASM_EXTERNREF);
    assert_int_equal(table[2].count_max, 9);
    assert_int_equal(table[2].has_max, 1);
    assert_int_equal(table[2].type, WASM_FUNCREF);
}

static void
test_symbols_are_names_with_the_functions_index(void **state)
{
    (void)state;
    parse("(module (func $plain) (func (export \"exported name\"))\n"
          "  (func (export \"version@1\\\"\")) (func) (func (export \"\\c3\\a4\"))\n"
          "  (func (export \"cut\\00here\")) (func (export \"\")))",
          ABI_STANDALONE);
    assert_true(has_symbol("plain.0"));
    assert_true(has_symbol("exported_name.1"));
    assert_true(has_symbol("version_1_.2"));
    assert_true(has_symbol("function.3"));
    assert_true(has_symbol("__.4"));
    assert_true(has_symbol("cut.5"));
    assert_true(has_symbol("function.6"));
    assert_false(has_symbol("function.0"));
}

static void
test_functions_of_one_name_are_kept_apart(void **state)
{
    (void)state;
    parse("(module (func (export \"main\")) (func (export \"main.0\")) (func $main.1))",
          ABI_STANDALONE);
    assert_true(has_symbol("main.0"));
    assert_true(has_symbol("main.0.1"));
    assert_true(has_symbol("main.1.2"));
}

static void
test_no_function_has_a_name_of_llvm_or_of_the_compiler(void **state)
{
    (void)state;
    parse("(module (func (export \"llvm.trap\")) (func (export \"llvm.memcpy.p0.p0.i64\"))\n"
          "  (func (export \".Llocal\")) (func (export \"weft_wrapper\"))\n"
          "  (func (export \"weft_start\")) (func (export \"weft\"))\n"
          "  (func (param i32)) (func (param i64)) (func (param f32)))",
          ABI_STANDALONE);
    assert_true(has_symbol("_llvm.trap.0"));
    assert_true(has_symbol("_llvm.memcpy.p0.p0.i64.1"));
    assert_true(has_symbol("_.Llocal.2"));
    assert_true(has_symbol("_weft_wrapper.3"));
    assert_true(has_symbol("weft_wrapper.3"));
    assert_true(has_symbol("_weft_start.4"));
    assert_true(has_symbol("weft.5"));
}

static void
test_a_long_name_is_cut(void **state)
{
    static char name[4001], text[5000], symbol[220];

    (void)state;
    (void)memset(name, 'n', sizeof(name) - 1);
    (void)snprintf(text, sizeof(text), "(module (func (export \"%s\")))", name);
    (void)snprintf(symbol, sizeof(symbol), "%.200s.0", name);
    parse(text, ABI_STANDALONE);
    assert_true(has_symbol(symbol));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_shared_memory_makes_an_image_for_threads),
        TEST(test_a_thread_image_has_what_a_linked_one_needs_not),
        TEST(test_a_standalone_layout_has_only_its_own_objects),
        TEST(test_a_linked_layout_has_a_place_for_all_that_may_be_imported),
        TEST(test_tail_calls_are_told),
        TEST(test_exceptions_say_how_much_they_carry),
        TEST(test_an_exception_carries_no_more_than_the_limit),
        TEST(test_tables_have_limits),
        TEST(test_symbols_are_names_with_the_functions_index),
        TEST(test_functions_of_one_name_are_kept_apart),
        TEST(test_no_function_has_a_name_of_llvm_or_of_the_compiler),
        TEST(test_a_long_name_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
