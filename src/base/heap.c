/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap whose items know their places.
 */
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/fault.h"

#define ITEMS_MIN 64u

void
heap_fini(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){0};
}

int
heap_reserve(struct heap *heap, size_t count)
{
    size_t capacity = heap->capacity > 0 ? heap->capacity : ITEMS_MIN;
    struct heap_item **items;

    if (count <= heap->capacity)
        return 0;
    while (capacity < count)
        capacity *= 2;
    items = fault_point("heap.reserve") == 0
                ? realloc(heap->items, capacity * sizeof(struct heap_item *))
                : NULL;
    if (items == NULL)
        return -ENOMEM;
    heap->items = items;
    heap->capacity = capacity;
    return 0;
}

/* Places count from 1, so that 0 is none. */
static void
set(struct heap *heap, size_t place, struct heap_item *item)
{
    heap->items[place - 1] = item;
    item->place = place;
}

static struct heap_item *
at(const struct heap *heap, size_t place)
{
    return heap->items[place - 1];
}

/* From its place up or down to where it belongs. */
static void
sift(struct heap *heap, struct heap_item *item)
{
    size_t place = item->place;

    for (; place > 1 && at(heap, place / 2)->key > item->key; place /= 2)
        set(heap, place, at(heap, place / 2));
    for (;;) {
        size_t child = 2 * place;

        if (child < heap->count && at(heap, child + 1)->key < at(heap, child)->key)
            child++;
        if (child > heap->count || at(heap, child)->key >= item->key)
            break;
        set(heap, place, at(heap, child));
        place = child;
    }
    set(heap, place, item);
}

void
heap_add(struct heap *heap, struct heap_item *item, uint64_t key)
{
    ASSERT(item->place == 0 && heap->count < heap->capacity);
    item->key = key;
    set(heap, ++heap->count, item);
    sift(heap, item);
}

void
heap_remove(struct heap *heap, struct heap_item *item)
{
    struct heap_item *last;

    if (item->place == 0)
        return;
    ASSERT(item->place <= heap->count && at(heap, item->place) == item);
    last = at(heap, heap->count--);
    if (last != item) {
        set(heap, item->place, last);
        sift(heap, last);
    }
    item->place = 0;
}

struct heap_item *
heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->items[0] : NULL;
}
