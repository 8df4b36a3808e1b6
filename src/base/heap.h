/* SPDX-License-Identifier: Apache-2.0
 *
 * heap: things by a number, the lowest first; any of them can be taken out. A thing has a
 * heap_item in it, and is not owned. Zero-initialised, both are empty.
 */
#ifndef WEFT_BASE_HEAP_H
#define WEFT_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct heap_item {
    uint64_t key;
    size_t place; /* the heap's; 0: in none */
};

struct heap {
    struct heap_item **items; /* owned */
    size_t count, capacity;
};

void heap_fini(struct heap *heap);

/* Makes room for so many items in all. -ENOMEM. */
int heap_reserve(struct heap *heap, size_t count) MUST_CHECK;
/* There is room, and it is in no heap. */
void heap_add(struct heap *heap, struct heap_item *item, uint64_t key);
/* In none is fine. */
void heap_remove(struct heap *heap, struct heap_item *item);
/* One of those with the lowest key; NULL: it is empty. */
struct heap_item *heap_first(const struct heap *heap);

#endif
