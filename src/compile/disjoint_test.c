/* SPDX-License-Identifier: Apache-2.0
 *
 * Which `or` is an addition, and which may not be taken for one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <llvm-c/IRReader.h>

#include "compile/compile_internal.h"

/* A loop with a counter %j from `start`, `step` further each time, as long as `again` says of
 * the number %n (the next one) or %i; and the `or` of `other` with a multiple of 512. */
struct shape {
    const char *start, *step, *again, *other;
    bool is_disjoint;
};

static const char frame[] = "define void @f(ptr %%p, i32 %%row) {\n"
                            "entry:\n"
                            "  %%high = shl i32 %%row, 9\n"
                            "  br label %%loop\n"
                            "loop:\n"
                            "  %%j = phi i32 [ %s, %%entry ], [ %%n, %%loop ]\n"
                            "  %%twice = shl i32 %%j, 1\n"
                            "  %%more = add i32 %%j, 1\n"
                            "  %%odd = or i32 %%twice, 1\n"
                            "  %%sum = or i32 %s, %%high\n"
                            "  store volatile i32 %%sum, ptr %%p\n"
                            "  %%n = add i32 %%j, %s\n"
                            "  %%c = %s\n"
                            "  %%number = zext i1 %%c to i32\n"
                            "  %%isnot = icmp eq i32 %%number, 0\n"
                            "  br i1 %%isnot, label %%end, label %%loop\n"
                            "end:\n"
                            "  ret void\n"
                            "}\n";

static bool
is_marked(const struct shape *shape)
{
    LLVMContextRef context = LLVMContextCreate();
    struct unit unit = {.context = context};
    LLVMMemoryBufferRef buffer;
    char text[2048], *error = NULL, *after;
    bool is_so;

    (void)snprintf(text, sizeof(text), frame, shape->start, shape->other, shape->step,
                   shape->again);
    buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "shape");
    assert_int_equal(LLVMParseIRInContext(context, buffer, &unit.llvm, &error), 0);
    unit_mark_disjoint(&unit);
    after = LLVMPrintModuleToString(unit.llvm);
    is_so = strstr(after, "%sum = or disjoint") != NULL;
    LLVMDisposeMessage(after);
    LLVMDisposeModule(unit.llvm);
    LLVMContextDispose(context);
    return is_so;
}

static void
test_an_or_that_adds_is_marked_and_no_other(void **state)
{
    static const struct shape shapes[] = {
        {"0", "1", "icmp ne i32 %n, 512", "%j", true},
        {"0", "1", "icmp ne i32 %n, 513", "%j", false}, /* 512 has the bit in common */
        {"0", "1", "icmp ult i32 %n, 512", "%j", true},
        {"0", "1", "icmp slt i32 %n, 512", "%j", true},
        {"0", "1", "icmp ult i32 %n, 514", "%j", false},
        {"0", "1", "icmp slt i32 %n, 514", "%j", false},
        {"600", "1", "icmp ult i32 %n, 512", "%j", false}, /* its first value is */
        {"0", "1", "icmp ne i32 %j, 512", "%j", false},    /* it is looked at before it grows */
        {"0", "3", "icmp ne i32 %n, 512", "%j", false},    /* goes past the end, and on */
        {"2", "3", "icmp ne i32 %n, 512", "%j", true},
        {"0", "0", "icmp ne i32 %n, 512", "%j", false},
        {"-1", "1", "icmp slt i32 %n, 512", "%j", false},
        {"0", "-1", "icmp slt i32 %n, 512", "%j", false},
        {"0", "2147483647", "icmp slt i32 %n, 512", "%j", false}, /* becomes negative */
        {"0", "1", "icmp eq i32 %n, 512", "%j", false},
        {"0", "1", "icmp ne i32 %n, %row", "%j", false},
        {"0", "1", "icmp ne i32 %n, 256", "%twice", true},
        {"0", "1", "icmp ne i32 %n, 256", "%odd", true},
        {"0", "1", "icmp ne i32 %n, 257", "%twice", false},
        {"0", "1", "icmp ne i32 %n, 511", "%more", true},
        {"0", "1", "icmp ne i32 %n, 512", "%more", false},
        {"0", "1", "icmp ne i32 %n, 512", "%row", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (is_marked(&shapes[i]) != shapes[i].is_disjoint)
            fail_msg("%s from %s by %s while %s", shapes[i].other, shapes[i].start, shapes[i].step,
                     shapes[i].again);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_or_that_adds_is_marked_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
