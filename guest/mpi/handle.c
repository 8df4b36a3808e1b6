/* SPDX-License-Identifier: Apache-2.0
 *
 * Handles: a table for each kind of object, in blocks that never move. A handle is
 *
 *   [ kind + 1: 4 bits | use: 8 bits | place: 20 bits ]
 *
 * and is its object's as long as the place is in the same use, so one that was freed, or is of
 * another kind, or is no handle at all, is found out.
 */
#include <stdlib.h>

#include "core.h"

#define PLACE_BITS  20u
#define USE_BITS    8u
#define USE_MASK    ((1u << USE_BITS) - 1)
#define PLACE_MASK  ((1u << PLACE_BITS) - 1)
#define BLOCK_BITS  8u
#define BLOCK       (1u << BLOCK_BITS)
#define BLOCKS      (1u << (PLACE_BITS - BLOCK_BITS))
#define DEFINED_MAX 0x300u
#define NONE        UINT32_MAX

struct place {
    void *object;  /* NULL: free */
    uint32_t next; /* of the free ones */
    uint32_t use;
};

struct table {
    struct place *blocks[BLOCKS];
    uint32_t count; /* places that were in use once */
    uint32_t free;  /* first, + 1; 0: none */
};
static struct table tables[MPI_KIND_COUNT];

/* mpi.h gives each value to one kind only. */
static struct {
    enum mpi_kind kind;
    void *object;
} defined[DEFINED_MAX];

static struct place *
place_at(const struct table *table, uint32_t at)
{
    return &table->blocks[at >> BLOCK_BITS][at & (BLOCK - 1)];
}

/* A place that nobody has; NONE: no memory, or no more. */
static uint32_t
place_take(struct table *table)
{
    uint32_t at = table->free - 1;
    struct place **block;

    if (table->free != 0) {
        table->free = place_at(table, at)->next;
        return at;
    }
    at = table->count;
    if (at > PLACE_MASK)
        return NONE;
    block = &table->blocks[at >> BLOCK_BITS];
    if (*block == NULL)
        *block = calloc(BLOCK, sizeof(**block));
    if (*block == NULL)
        return NONE;
    table->count++;
    return at;
}

void *
mpi_handle_make(enum mpi_kind kind, void *object)
{
    struct table *table = &tables[kind];
    uint32_t at = place_take(table);
    struct place *place;

    if (at == NONE)
        return NULL;
    place = place_at(table, at);
    place->object = object;
    return (void *)(uintptr_t)(((uint32_t)kind + 1) << (PLACE_BITS + USE_BITS) |
                               (place->use & USE_MASK) << PLACE_BITS | at);
}

static struct place *
place_find(enum mpi_kind kind, uintptr_t value)
{
    uint32_t at = (uint32_t)value & PLACE_MASK;
    struct place *place;

    if (value >> (PLACE_BITS + USE_BITS) != (uintptr_t)kind + 1 || at >= tables[kind].count)
        return NULL;
    place = place_at(&tables[kind], at);
    return (place->use & USE_MASK) == ((uint32_t)value >> PLACE_BITS & USE_MASK) ? place : NULL;
}

void *
mpi_handle_find(enum mpi_kind kind, const void *handle)
{
    uintptr_t value = (uintptr_t)handle;
    const struct place *place;

    if (value < DEFINED_MAX)
        return defined[value].kind == kind ? defined[value].object : NULL;
    place = place_find(kind, value);
    return place != NULL ? place->object : NULL;
}

void
mpi_handle_free(enum mpi_kind kind, void *handle)
{
    struct table *table = &tables[kind];
    struct place *place = place_find(kind, (uintptr_t)handle);

    if (place == NULL)
        return;
    place->object = NULL;
    place->use++;
    place->next = table->free;
    table->free = ((uint32_t)(uintptr_t)handle & PLACE_MASK) + 1;
}

void
mpi_handle_define(enum mpi_kind kind, const void *handle, void *object)
{
    defined[(uintptr_t)handle].kind = kind;
    defined[(uintptr_t)handle].object = object;
}
