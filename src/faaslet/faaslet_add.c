/* SPDX-License-Identifier: Apache-2.0
 *
 * LINKED Faaslets: adding instances, and what they import from each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "faaslet/faaslet_link.h"

#define NAMES_MAX        1024u
#define TYPES_MAX        65536u
#define TABLE_GROWTH_MAX (1u << 17) /* entries, for tables that say no maximum */

/* ---------------------------------------------------------------------- types */

/* The number (> 0) of a signature in this Faaslet; 0: out of memory. Signatures
 * are texts, one after the other, in the order of their numbers. */
static uint32_t
type_number(struct faaslet *faaslet, const struct abi_image *image, uint32_t type)
{
    struct buffer letters = {0};
    uint32_t number = 0, seen = 0;
    size_t at = 0;

    link_type_letters(image, type, &letters);
    while (letters.err == 0 && number == 0 && at < faaslet->types.count) {
        const char *known = (const char *)faaslet->types.bytes + at;

        seen++;
        if (strcmp(known, (const char *)letters.bytes) == 0)
            number = seen;
        at += strlen(known) + 1;
    }
    if (letters.err == 0 && number == 0 && seen < TYPES_MAX) {
        buffer_append(&faaslet->types, letters.bytes, letters.count);
        if (faaslet->types.err == 0)
            number = seen + 1;
    }
    buffer_fini(&letters);
    return number;
}

/* -------------------------------------------------------------------- matching */

/* What is being added, before it is part of the Faaslet. */
struct addition {
    struct faaslet *faaslet;
    struct instance *instance;
    const struct abi_image *image;
    int64_t below_next;
    unsigned window_next;
    struct diag *diag;
};

static struct instance *
find_registered(const struct faaslet *faaslet, const struct link_import *import)
{
    for (uint32_t i = 0; i < faaslet->name_count; i++) {
        const char *name = faaslet->names[i].name;

        if (strlen(name) == import->module_bytes &&
            memcmp(name, import->module, import->module_bytes) == 0 &&
            !faaslet->is_dead[faaslet->names[i].instance])
            return faaslet->instances[faaslet->names[i].instance];
    }
    return NULL;
}

/* Whether the object is an import, and if so of what. */
static bool
find_source(const struct instance *instance, uint32_t kind, uint32_t index,
            struct instance_source *out)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta_import *imports = abi_image_range(image, image->meta->imports);

    for (uint32_t i = 0; i < image->meta->imports.count; i++)
        if (imports[i].kind == kind && imports[i].index == index) {
            *out = instance->sources[i];
            return true;
        }
    return false;
}

static bool
are_letters_equal(const struct abi_image *a, uint32_t type_a, const struct abi_image *b,
                  uint32_t type_b)
{
    const struct abi_meta_type *x =
        (const struct abi_meta_type *)abi_image_range(a, a->meta->types) + type_a;
    const struct abi_meta_type *y =
        (const struct abi_meta_type *)abi_image_range(b, b->meta->types) + type_b;

    return x->params.count == y->params.count && x->results.count == y->results.count &&
           memcmp(abi_image_range(a, x->params), abi_image_range(b, y->params), x->params.count) ==
               0 &&
           memcmp(abi_image_range(a, x->results), abi_image_range(b, y->results),
                  x->results.count) == 0;
}

static uint32_t
function_type(const struct abi_image *image, uint32_t index)
{
    const struct abi_meta_function *functions = abi_image_range(image, image->meta->functions);
    uint32_t found = link_find_function(image, index);

    return found == UINT32_MAX ? UINT32_MAX : functions[found].type;
}

static struct abi_table *
own_table(const struct faaslet *faaslet, const struct instance *owner, uint32_t index)
{
    return (struct abi_table *)((uint8_t *)offset_at(faaslet, owner->context) +
                                owner->image->abi.meta->layout.tables) +
           index;
}

static bool
is_limit_matching(uint64_t count, bool has_max, uint64_t max, uint64_t wanted_min,
                  bool wanted_has_max, uint64_t wanted_max)
{
    return count >= wanted_min && (!wanted_has_max || (has_max && max <= wanted_max));
}

static bool
is_table_matching(const struct addition *a, const struct instance *owner, uint32_t index,
                  uint32_t wanted)
{
    const struct abi_image *image = &owner->image->abi;
    const struct abi_meta_table *has =
        (const struct abi_meta_table *)abi_image_range(image, image->meta->tables) + index;
    const struct abi_meta_table *wants =
        (const struct abi_meta_table *)abi_image_range(a->image, a->image->meta->tables) + wanted;

    return has->type == wants->type &&
           is_limit_matching(own_table(a->faaslet, owner, index)->count, has->has_max,
                             has->count_max, wants->count_min, wants->has_max, wants->count_max);
}

static bool
is_memory_matching(const struct addition *a, const struct instance *owner)
{
    const struct abi_image *image = &owner->image->abi;
    const struct abi_meta_memory *has = abi_image_range(image, image->meta->memories);
    const struct abi_meta_memory *wants = abi_image_range(a->image, a->image->meta->memories);
    const struct abi_memory *record = offset_at(a->faaslet, owner->memory);

    return has->is_shared == wants->is_shared &&
           is_limit_matching(record->pages, has->has_max, has->pages_max, wants->pages_min,
                             wants->has_max, wants->pages_max);
}

static bool
is_matching(const struct addition *a, const struct link_import *import,
            const struct instance *owner, uint32_t index)
{
    const struct abi_image *image = &owner->image->abi;
    const struct abi_meta_global *has_global, *wants_global;
    const struct abi_meta_tag *has_tag, *wants_tag;
    uint32_t has, wants;

    switch (import->kind) {
    case ABI_KIND_FUNCTION:
        has = function_type(image, index);
        wants = function_type(a->image, import->index);
        return has != UINT32_MAX && are_letters_equal(image, has, a->image, wants);
    case ABI_KIND_TABLE:
        return is_table_matching(a, owner, index, import->index);
    case ABI_KIND_MEMORY:
        return is_memory_matching(a, owner);
    case ABI_KIND_GLOBAL:
        has_global =
            (const struct abi_meta_global *)abi_image_range(image, image->meta->globals) + index;
        wants_global =
            (const struct abi_meta_global *)abi_image_range(a->image, a->image->meta->globals) +
            import->index;
        return has_global->type == wants_global->type &&
               has_global->is_mutable == wants_global->is_mutable;
    default:
        has_tag = (const struct abi_meta_tag *)abi_image_range(image, image->meta->tags) + index;
        wants_tag = (const struct abi_meta_tag *)abi_image_range(a->image, a->image->meta->tags) +
                    import->index;
        return are_letters_equal(image, has_tag->type, a->image, wants_tag->type);
    }
}

static int
resolve_import(struct addition *a, uint32_t number)
{
    struct link_import import = link_import_at(a->image, number);
    struct instance *owner = find_registered(a->faaslet, &import);
    struct instance_source *source = &a->instance->sources[number];
    const struct abi_meta_export *export = NULL;

    source->instance = a->instance->number;
    source->index = import.index;
    if (owner != NULL)
        export = link_find_export(&owner->image->abi, import.name, import.name_bytes);
    if (export == NULL) {
        if (import.kind != ABI_KIND_FUNCTION)
            return link_refuse(&import, NULL, "is not provided", a->diag);
        return link_host_function(a->image, &import, a->faaslet->config.resolve,
                                  &a->instance->hosts[import.index], a->diag);
    }
    *source = (struct instance_source){owner->number, export->index};
    if (export->kind == import.kind && find_source(owner, export->kind, export->index, source))
        owner = source->instance == owner->number ? owner : a->faaslet->instances[source->instance];
    if (export->kind != import.kind || !is_matching(a, &import, owner, source->index))
        return link_refuse(&import, NULL, "is provided with another type", a->diag);
    return 0;
}

/* -------------------------------------------------------------------- laying out */

static int
take_below(struct addition *a, uint64_t bytes, int64_t *out)
{
    uint64_t used = (uint64_t)-a->below_next;

    if (bytes > ABI_BELOW_BYTES_MAX - used)
        return diag_set(a->diag, -ENOMEM,
                        "the instances' tables and contexts need more than %llu "
                        "bytes",
                        (unsigned long long)ABI_BELOW_BYTES_MAX);
    a->below_next -= (int64_t)bytes;
    *out = a->below_next;
    return 0;
}

static int
place_memory(struct addition *a)
{
    const struct abi_meta_memory *memory = abi_image_range(a->image, a->image->meta->memories);
    uint64_t limit = a->faaslet->config.memory_bytes_max;

    if (a->image->meta->memories.count == 0 || memory->is_imported)
        return 0;
    if (a->window_next == MEM_WINDOWS_MAX)
        return diag_set(a->diag, -ENOMEM, "a Faaslet may have %u memories", MEM_WINDOWS_MAX);
    if (limit != 0 && memory->pages_min * ABI_PAGE_BYTES > limit)
        return diag_set(a->diag, -ENOMEM,
                        "the module begins with %llu pages of memory; the limit is %llu bytes",
                        (unsigned long long)memory->pages_min, (unsigned long long)limit);
    a->instance->window = (int)a->window_next++;
    a->instance->memory = a->instance->context + (int64_t)offsetof(struct abi_context, own_memory);
    return 0;
}

static int
place_own_tables(struct addition *a, uint8_t *base)
{
    const struct abi_meta_table *tables = abi_image_range(a->image, a->image->meta->tables);
    struct abi_table *records = (struct abi_table *)(base + a->image->meta->layout.tables);

    for (uint32_t i = 0; i < a->image->meta->tables.count; i++) {
        uint32_t growth = tables[i].count_max - tables[i].count_min;
        int64_t place = 0;
        int err;

        if (tables[i].is_imported)
            continue;
        if (tables[i].count_min > ABI_TABLE_ENTRIES_MAX)
            return diag_set(a->diag, -ENOMEM, "table %u is too large", i);
        growth = growth < TABLE_GROWTH_MAX ? growth : TABLE_GROWTH_MAX;
        err = take_below(a, abi_table_reserve(tables[i].count_min + growth), &place);
        if (err != 0)
            return err;
        records[i] = (struct abi_table){
            .base = place,
            .count = tables[i].count_min,
            .count_max = tables[i].count_min + growth,
        };
    }
    return 0;
}

/* --------------------------------------------------------------------- filling */

/* GS offsets of all objects, the own ones and then the imported ones. */
static void
fill_offsets(const struct addition *a, uint8_t *base)
{
    const struct abi_meta *meta = a->image->meta;
    const struct abi_layout *layout = &meta->layout;
    int64_t context = a->instance->context;
    int64_t *globals = (int64_t *)(base + layout->global_offsets);
    int64_t *tables = (int64_t *)(base + layout->table_offsets);
    int64_t *functions = (int64_t *)(base + layout->import_functions);

    for (uint32_t i = 0; i < meta->globals.count; i++)
        globals[i] = context + layout->globals + (int64_t)i * ABI_GLOBAL_BYTES;
    for (uint32_t i = 0; i < meta->tables.count; i++)
        tables[i] = context + layout->tables + i * (int64_t)sizeof(struct abi_table);
    for (uint32_t i = 0; i < meta->imported_function_count; i++)
        functions[i] = context + layout->functions + i * (int64_t)sizeof(struct abi_function);
}

static void
fill_import(const struct addition *a, uint8_t *base, uint32_t number)
{
    const struct abi_layout *layout = &a->image->meta->layout;
    struct link_import import = link_import_at(a->image, number);
    struct instance_source source = a->instance->sources[number];
    const struct instance *owner;
    const struct abi_layout *theirs;
    struct abi_function *records = (struct abi_function *)(base + layout->functions);
    uint32_t found;

    if (source.instance == a->instance->number) /* a host function */
        return;
    owner = a->faaslet->instances[source.instance];
    theirs = &owner->image->abi.meta->layout;
    switch (import.kind) {
    case ABI_KIND_FUNCTION:
        found = link_find_function(&owner->image->abi, source.index);
        ((int64_t *)(base + layout->import_functions))[import.index] =
            owner->context + theirs->functions + found * (int64_t)sizeof(struct abi_function);
        records[import.index] =
            ((const struct abi_function *)((uint8_t *)offset_at(a->faaslet, owner->context) +
                                           theirs->functions))[found];
        break;
    case ABI_KIND_TABLE:
        ((int64_t *)(base + layout->table_offsets))[import.index] =
            owner->context + theirs->tables + source.index * (int64_t)sizeof(struct abi_table);
        break;
    case ABI_KIND_GLOBAL:
        ((int64_t *)(base + layout->global_offsets))[import.index] =
            owner->context + theirs->globals + (int64_t)source.index * ABI_GLOBAL_BYTES;
        break;
    case ABI_KIND_TAG:
        ((int64_t *)(base + layout->tag_offsets))[import.index] =
            owner->context + theirs->tags + (int64_t)source.index * 8;
        break;
    default:
        a->instance->memory = owner->memory;
    }
}

static int
fill_types(struct addition *a, uint8_t *base)
{
    const struct abi_meta *meta = a->image->meta;
    const struct abi_meta_function *functions = abi_image_range(a->image, meta->functions);
    struct abi_function *records = (struct abi_function *)(base + meta->layout.functions);
    uint32_t *ids = (uint32_t *)(base + meta->layout.type_ids);

    for (uint32_t i = 0; i < meta->types.count; i++) {
        ids[i] = type_number(a->faaslet, a->image, i);
        if (ids[i] == 0)
            return diag_set(a->diag, -ENOMEM, "too many types");
    }
    for (uint32_t i = 0; i < meta->functions.count; i++)
        records[i].type = ids[functions[i].type];
    return 0;
}

static int
fill_window(struct addition *a)
{
    const struct abi_meta_memory *memory = abi_image_range(a->image, a->image->meta->memories);
    const struct abi_meta_run *runs = abi_image_range(a->image, a->image->meta->runs);
    struct mem_slot *slot = a->faaslet->slot;
    unsigned window;
    int err;

    if (a->instance->window < 0)
        return 0;
    window = (unsigned)a->instance->window;
    err = mem_window_grow(slot, window, memory->pages_min * ABI_PAGE_BYTES);
    for (uint32_t i = 0; i < a->image->meta->runs.count && err == 0; i++)
        err = mem_window_map(
            slot, window, (uint64_t)runs[i].memory_page * ABI_HOST_PAGE_BYTES,
            (uint64_t)runs[i].page_count * ABI_HOST_PAGE_BYTES, a->instance->image->fd,
            a->image->memory_file_offset + (uint64_t)runs[i].file_page * ABI_HOST_PAGE_BYTES);
    return err;
}

static void
fill_tables(const struct addition *a, const uint8_t *base)
{
    const struct abi_meta_table *tables = abi_image_range(a->image, a->image->meta->tables);
    const struct abi_table *records = (const void *)(base + a->image->meta->layout.tables);

    for (uint32_t i = 0; i < a->image->meta->tables.count; i++) {
        int64_t *entries = offset_at(a->faaslet, records[i].base);

        for (uint32_t k = 0; !tables[i].is_imported && k < records[i].count; k++)
            entries[k] = ABI_REF_NULL;
    }
}

/* Space below is taken from the top down and was never used, so it is zero; a
 * failed addition zeroes what it wrote. */
static int
fill_instance(struct addition *a, uint8_t *base)
{
    int err = place_memory(a);

    if (err == 0)
        err = place_own_tables(a, base);
    if (err != 0)
        return err;
    fill_offsets(a, base);
    link_fill_context(a->instance, base);
    err = fill_types(a, base);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < a->image->meta->imports.count; i++)
        fill_import(a, base, i);
    if (a->instance->window >= 0)
        link_fill_memory(a->instance, base);
    ((struct abi_context *)base)->memory = a->instance->memory;
    fill_tables(a, base);
    err = fill_window(a);
    if (err != 0)
        a->faaslet->window_next = a->window_next; /* it is not clean any more */
    return err;
}

/* ---------------------------------------------------------------------- adding */

static int
grow_lists(struct faaslet *faaslet)
{
    uint32_t capacity = faaslet->instance_capacity == 0 ? 8 : faaslet->instance_capacity * 2;
    void *grown;

    if (faaslet->instance_count < faaslet->instance_capacity)
        return 0;
    grown = realloc(faaslet->instances, capacity * sizeof(*faaslet->instances));
    if (grown == NULL)
        return -ENOMEM;
    faaslet->instances = grown;
    grown = realloc(faaslet->contexts, capacity * sizeof(*faaslet->contexts));
    if (grown == NULL)
        return -ENOMEM;
    faaslet->contexts = grown;
    grown = realloc(faaslet->is_dead, capacity);
    if (grown == NULL)
        return -ENOMEM;
    faaslet->is_dead = grown;
    faaslet->instance_capacity = capacity;
    return 0;
}

static void
commit(struct addition *a)
{
    struct faaslet *faaslet = a->faaslet;
    uint32_t number = faaslet->instance_count++;

    faaslet->instances[number] = a->instance;
    faaslet->contexts[number] = a->instance->context;
    faaslet->is_dead[number] = 0;
    faaslet->below_next = a->below_next;
    faaslet->window_next = a->window_next;
    (void)faaslet_image_get(a->instance->image);
}

static int
check_addable(const struct faaslet *faaslet, const struct faaslet_image *image, struct diag *diag)
{
    if (faaslet->mode != ABI_LINKED || image->abi.meta->mode != ABI_LINKED)
        return diag_set(diag, -EINVAL, "the image was not compiled to be linked with others");
    if (faaslet->stand.state != STATE_IDLE)
        return diag_set(diag, -EBUSY, "a call is not over");
    if (faaslet->instance_count == FAASLET_INSTANCES_MAX)
        return diag_set(diag, -ENOMEM, "a Faaslet may have %u instances", FAASLET_INSTANCES_MAX);
    return 0;
}

int
faaslet_add(struct faaslet *faaslet, struct faaslet_image *image, uint32_t *instance,
            struct diag *diag)
{
    struct addition a = {
        .faaslet = faaslet,
        .image = &image->abi,
        .below_next = faaslet->below_next,
        .window_next = faaslet->window_next,
        .diag = diag,
    };
    uint32_t context_bytes = image->abi.meta->layout.context_bytes;
    int err = check_addable(faaslet, image, diag);

    if (err != 0)
        return err;
    err = grow_lists(faaslet);
    a.instance = err == 0 ? instance_create(image) : NULL;
    if (a.instance == NULL)
        return diag_set(diag, -ENOMEM, "cannot link: out of memory");
    a.instance->number = faaslet->instance_count;
    err = take_below(&a, context_bytes, &a.instance->context);
    for (uint32_t i = 0; i < a.image->meta->imports.count && err == 0; i++)
        err = resolve_import(&a, i);
    if (err != 0)
        goto free_instance;
    err = fill_instance(&a, offset_at(faaslet, a.instance->context));
    if (err != 0) {
        (void)memset(offset_at(faaslet, a.instance->context), 0, context_bytes);
        goto free_instance;
    }
    commit(&a);
    *instance = a.instance->number;
    return 0;

free_instance:
    instance_free(a.instance);
    return diag_set(diag, err, "cannot link: %s", strerror(-err));
}

int
faaslet_register(struct faaslet *faaslet, uint32_t instance, const char *name)
{
    struct registered_name *grown;
    char *copy;

    if (faaslet_instance(faaslet, instance) == NULL || faaslet->is_dead[instance])
        return -ENOENT;
    for (uint32_t i = 0; i < faaslet->name_count; i++)
        if (strcmp(faaslet->names[i].name, name) == 0) {
            faaslet->names[i].instance = instance;
            return 0;
        }
    if (faaslet->name_count == NAMES_MAX)
        return -ENOMEM;
    copy = strdup(name);
    if (copy == NULL)
        return -ENOMEM;
    grown = realloc(faaslet->names, (faaslet->name_count + 1u) * sizeof(*grown));
    if (grown == NULL) {
        free(copy);
        return -ENOMEM;
    }
    faaslet->names = grown;
    faaslet->names[faaslet->name_count++] = (struct registered_name){copy, instance};
    return 0;
}
