/* SPDX-License-Identifier: Apache-2.0
 *
 * Things by a number. A table grows when it is full and can; when it cannot, it is slower.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "state/state_internal.h"

int
table_init(struct table *table, size_t capacity)
{
    ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0);
    table->items = calloc(capacity, sizeof(struct item *));
    if (table->items == NULL)
        return -ENOMEM;
    table->capacity = capacity;
    table->count = 0;
    return 0;
}

void
table_fini(struct table *table)
{
    ASSERT(table->count == 0);
    free(table->items);
}

static void
grow(struct table *table)
{
    size_t capacity = table->capacity * 2;
    struct item **items = calloc(capacity, sizeof(struct item *));

    if (items == NULL)
        return;
    for (size_t i = 0; i < table->capacity; i++)
        for (struct item *item = table->items[i], *next; item != NULL; item = next) {
            struct item **to = &items[item->key & (capacity - 1)];

            next = item->next;
            item->next = *to;
            *to = item;
        }
    free(table->items);
    table->items = items;
    table->capacity = capacity;
}

void
table_add(struct table *table, struct item *item, uint64_t key)
{
    struct item **to;

    if (table->count >= table->capacity)
        grow(table);
    to = &table->items[key & (table->capacity - 1)];
    item->key = key;
    item->next = *to;
    *to = item;
    table->count++;
}

void
table_remove(struct table *table, struct item *item)
{
    struct item **at = &table->items[item->key & (table->capacity - 1)];

    while (*at != item) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = item->next;
    table->count--;
}

static struct item *
skip(struct item *item, uint64_t key)
{
    while (item != NULL && item->key != key)
        item = item->next;
    return item;
}

struct item *
table_find(const struct table *table, uint64_t key)
{
    return skip(table->items[key & (table->capacity - 1)], key);
}

struct item *
table_next(const struct item *item)
{
    return skip(item->next, item->key);
}
