/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap against a search through all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/heap.h"

#define ITEMS 300u

static uint64_t
lowest(const struct heap_item *items)
{
    uint64_t key = UINT64_MAX;

    for (unsigned i = 0; i < ITEMS; i++)
        if (items[i].place != 0 && items[i].key < key)
            key = items[i].key;
    return key;
}

static void
test_the_first_is_always_the_lowest(void **state)
{
    static struct heap_item items[ITEMS];
    struct heap heap = {0};

    (void)state;
    assert_null(heap_first(&heap));
    assert_int_equal(heap_reserve(&heap, ITEMS), 0);
    srandom(7);
    for (unsigned i = 0; i < 20000; i++) {
        struct heap_item *item = &items[(unsigned)random() % ITEMS];

        if (item->place == 0)
            heap_add(&heap, item, (uint64_t)random() % 100);
        else
            heap_remove(&heap, item);
        if (heap.count > 0)
            assert_int_equal(heap_first(&heap)->key, lowest(items));
    }
    while (heap_first(&heap) != NULL) {
        assert_int_equal(heap_first(&heap)->key, lowest(items));
        heap_remove(&heap, heap_first(&heap));
    }
    heap_fini(&heap);
}

static void
test_what_is_in_no_heap_can_be_taken_out(void **state)
{
    struct heap_item item = {0};
    struct heap heap = {0};

    (void)state;
    heap_remove(&heap, &item);
    assert_int_equal(heap.count, 0);
    heap_fini(&heap);
}

static void
test_without_memory_the_heap_stays_as_it_was(void **state)
{
    struct heap_item one = {0}, two = {0};
    struct heap heap = {0};
    size_t capacity;

    (void)state;
    assert_int_equal(heap_reserve(&heap, 1), 0);
    capacity = heap.capacity;
    heap_add(&heap, &one, 5);
    fault_arm("heap.reserve", 1, -ENOMEM);
    assert_int_equal(heap_reserve(&heap, capacity + 1), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(heap.capacity, capacity);
    assert_int_equal(heap_reserve(&heap, capacity + 1), 0);
    heap_add(&heap, &two, 4);
    assert_ptr_equal(heap_first(&heap), &two);
    heap_fini(&heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_is_always_the_lowest),
        cmocka_unit_test(test_what_is_in_no_heap_can_be_taken_out),
        cmocka_unit_test(test_without_memory_the_heap_stays_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
