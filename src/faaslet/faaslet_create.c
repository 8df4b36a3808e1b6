/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a Faaslet, and what is asked about it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/apart.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "faaslet/faaslet_link.h"

struct instance *
faaslet_instance(const struct faaslet *faaslet, uint32_t number)
{
    return number < faaslet->instance_count ? faaslet->instances[number] : NULL;
}

const struct faaslet_image *
faaslet_image_at(const struct faaslet *faaslet, uint64_t pc)
{
    for (uint32_t i = 0; i < faaslet->instance_count; i++) {
        const struct faaslet_image *image = faaslet->instances[i]->image;

        if (pc >= image->abi.text_first && pc < image->abi.text_end)
            return image;
    }
    return NULL;
}

void *
faaslet_process(const struct faaslet *faaslet)
{
    return first_of(faaslet)->config.process;
}

static int
create_bare(const struct faaslet_config *config, enum abi_mode mode, struct faaslet **out)
{
    struct faaslet *faaslet = apart_calloc(sizeof(*faaslet));
    int err = fault_point("faaslet.create");

    if (faaslet == NULL || err != 0) {
        free(faaslet);
        return -ENOMEM;
    }
    faaslet->config = *config;
    if (faaslet->config.stack_bytes == 0)
        faaslet->config.stack_bytes = FAASLET_STACK_BYTES_DEFAULT;
    faaslet->mode = mode;
    faaslet->stand.stop_at = UINT32_MAX;
    *out = faaslet;
    return 0;
}

/* Takes the reference. */
static int
set_only_instance(struct faaslet *faaslet, struct instance *instance)
{
    faaslet->instances = malloc(sizeof(struct instance *));
    faaslet->contexts = malloc(sizeof(int64_t));
    faaslet->is_dead = calloc(1, 1);
    if (faaslet->instances == NULL || faaslet->contexts == NULL || faaslet->is_dead == NULL)
        return -ENOMEM;
    faaslet->instances[0] = instance;
    faaslet->contexts[0] = instance->context;
    faaslet->instance_count = faaslet->instance_capacity = 1;
    return 0;
}

static int
fill_table(struct faaslet *faaslet, const struct instance *instance, const struct abi_table *table)
{
    uint64_t bytes = table->count * sizeof(int64_t);
    int64_t *entries = offset_at(faaslet, table->base);

    if (instance->template_fd >= 0 && bytes > LINK_COPY_BYTES_MAX / 4)
        return mem_below_map(faaslet->slot, table->base, abi_table_reserve(table->count),
                             instance->template_fd, instance->template_bytes);
    for (uint32_t i = 0; i < table->count; i++)
        entries[i] = ABI_REF_NULL;
    return 0;
}

/* The context as linking made it: the page with its first words is written, the
 * argument area is zero already, the rest is copied or mapped. */
static int
fill_from_template(struct faaslet *faaslet, const struct instance *instance)
{
    const struct abi_meta *meta = instance->image->abi.meta;
    const struct abi_table *tables = (const void *)(instance->template + meta->layout.tables);
    uint64_t rest = sizeof(struct abi_context) & ~(uint64_t)(ABI_HOST_PAGE_BYTES - 1);
    uint64_t rest_bytes = instance->template_bytes - rest;
    uint8_t *context = offset_at(faaslet, instance->context);
    int err = 0;

    (void)memcpy(context, instance->template, offsetof(struct abi_context, args));
    if (instance->template_fd >= 0 && rest_bytes > LINK_COPY_BYTES_MAX / 4)
        err = mem_below_map(faaslet->slot, instance->context + (int64_t)rest, rest_bytes,
                            instance->template_fd, rest);
    else
        (void)memcpy(context + rest, instance->template + rest, rest_bytes);
    for (uint32_t i = 0; i < meta->tables.count && err == 0; i++)
        err = fill_table(faaslet, instance, &tables[i]);
    return err;
}

static int
fill_memory(struct faaslet *faaslet, const struct instance *instance, struct diag *diag)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta_memory *memory = abi_image_range(image, image->meta->memories);
    const struct abi_meta_run *runs = abi_image_range(image, image->meta->runs);
    uint64_t bytes, limit = faaslet->config.memory_bytes_max;
    unsigned window = (unsigned)instance->window;
    int err;

    if (instance->window < 0)
        return 0;
    bytes = memory->pages_min * ABI_PAGE_BYTES;
    if (limit != 0 && bytes > limit)
        return diag_set(diag, -ENOMEM,
                        "the module begins with %llu bytes of memory; the limit is %llu",
                        (unsigned long long)bytes, (unsigned long long)limit);
    err = mem_window_grow(faaslet->slot, window, bytes);
    for (uint32_t i = 0; i < image->meta->runs.count && err == 0; i++)
        err = mem_window_map(
            faaslet->slot, window, (uint64_t)runs[i].memory_page * ABI_HOST_PAGE_BYTES,
            (uint64_t)runs[i].page_count * ABI_HOST_PAGE_BYTES, instance->image->fd,
            image->memory_file_offset + (uint64_t)runs[i].file_page * ABI_HOST_PAGE_BYTES);
    return err;
}

/* Takes the reference, also on failure. */
static int
create_single(struct instance *instance, const struct faaslet_config *config, struct faaslet **out)
{
    int err = create_bare(config, ABI_STANDALONE, out);

    if (err == 0) {
        err = set_only_instance(*out, instance);
        if (err != 0)
            faaslet_destroy(*out);
    }
    if (err != 0)
        instance_put(instance);
    return err;
}

int
faaslet_create(struct faaslet_image *image, const struct faaslet_config *config,
               struct faaslet **out, struct diag *diag)
{
    struct instance *instance;
    struct faaslet *faaslet;
    int err;

    if (image->abi.meta->mode == ABI_LINKED)
        return diag_set(diag, -EINVAL, "the image was compiled to be linked with others");
    err = link_standalone(image, config, &instance, diag);
    if (err != 0)
        return err;
    err = create_single(instance, config, &faaslet);
    if (err != 0)
        return diag_set(diag, err, "cannot create a Faaslet: out of memory");
    err =
        mem_slot_create(space_below_bytes(instance, config->threads_max), 1, false, &faaslet->slot);
    if (err == 0)
        err = space_create(faaslet, space_below_bytes(instance, config->threads_max));
    if (err != 0)
        goto destroy;
    faaslet->origin = mem_slot_origin(faaslet->slot);
    err = mem_stack_create(faaslet->config.stack_bytes, false, &faaslet->stack);
    if (err == 0)
        err = fill_from_template(faaslet, instance);
    if (err == 0)
        err = fill_memory(faaslet, instance, diag);
    if (err != 0)
        goto destroy;
    faaslet_header_fill(faaslet);
    *out = faaslet;
    return 0;

destroy:
    faaslet_destroy(faaslet);
    return diag_set(diag, err, "cannot create a Faaslet: %s", strerror(-err));
}

int
faaslet_create_empty(const struct faaslet_config *config, struct faaslet **out)
{
    struct faaslet *faaslet;
    int err = create_bare(config, ABI_LINKED, &faaslet);

    if (err != 0)
        return err;
    err = mem_slot_create(ABI_BELOW_BYTES_MAX, MEM_WINDOWS_MAX, false, &faaslet->slot);
    if (err != 0)
        goto destroy;
    faaslet->origin = mem_slot_origin(faaslet->slot);
    faaslet->below_next = -(int64_t)ABI_HEADER_BYTES;
    err = mem_stack_create(faaslet->config.stack_bytes, false, &faaslet->stack);
    if (err != 0)
        goto destroy;
    faaslet_header_fill(faaslet);
    *out = faaslet;
    return 0;

destroy:
    faaslet_destroy(faaslet);
    return err;
}

void
state_fini(struct faaslet *faaslet)
{
    for (uint32_t i = 0; i < faaslet->instance_count; i++)
        instance_put(faaslet->instances[i]);
    for (uint32_t i = 0; i < faaslet->name_count; i++)
        free(faaslet->names[i].name);
    free(faaslet->names);
    free(faaslet->instances);
    free(faaslet->contexts);
    free(faaslet->is_dead);
    buffer_fini(&faaslet->types);
}

void
faaslet_destroy(struct faaslet *faaslet)
{
    if (faaslet == NULL)
        return;
    ASSERT(atomic_load(&faaslet->runner) == 0);
    ASSERT(is_first(faaslet));
    space_destroy(faaslet->space);
    faaslet->space = NULL;
    mem_slot_destroy(faaslet->slot);
    mem_stack_destroy(&faaslet->stack);
    if (faaslet->process_is_own)
        faaslet->config.ops->destroy(faaslet->config.process);
    free(faaslet->machine);
    share_forget(faaslet);
    state_fini(faaslet);
    free(faaslet);
}

/* ------------------------------------------------------------------------ asking */

struct faaslet_image *
faaslet_image(const struct faaslet *faaslet, uint32_t instance)
{
    const struct instance *i = faaslet_instance(faaslet, instance);

    return i == NULL ? NULL : i->image;
}

int
faaslet_export_kind(const struct faaslet *faaslet, uint32_t instance, const char *name,
                    uint32_t *kind, uint32_t *type)
{
    const struct instance *i = faaslet_instance(faaslet, instance);
    const struct abi_meta_export *export;
    const struct abi_image *image;

    if (i == NULL)
        return -ENOENT;
    image = &i->image->abi;
    export = link_find_export(image, name, strlen(name));
    if (export == NULL)
        return -ENOENT;
    *kind = export->kind;
    *type = 0;
    if (export->kind == ABI_KIND_FUNCTION) {
        const struct abi_meta_function *functions = abi_image_range(image, image->meta->functions);
        uint32_t found = link_find_function(image, export->index);

        if (found == UINT32_MAX)
            return -ENOENT;
        *type = functions[found].type;
    }
    return 0;
}

int
faaslet_global(const struct faaslet *faaslet, uint32_t instance, const char *name,
               uint64_t slots[2], uint8_t *type)
{
    const struct instance *i = faaslet_instance(faaslet, instance);
    const struct abi_meta_export *export;
    const struct abi_meta_global *globals;
    const struct abi_image *image;
    const uint8_t *base, *cell;

    if (i == NULL)
        return -ENOENT;
    image = &i->image->abi;
    export = link_find_export(image, name, strlen(name));
    if (export == NULL || export->kind != ABI_KIND_GLOBAL)
        return -ENOENT;
    globals = abi_image_range(image, image->meta->globals);
    base = offset_at(faaslet, i->context);
    cell = base + image->meta->layout.globals + export->index * ABI_GLOBAL_BYTES;
    if (faaslet->mode == ABI_LINKED)
        cell = offset_at(
            faaslet, ((const int64_t *)(base + image->meta->layout.global_offsets))[export->index]);
    (void)memcpy(slots, cell, 2 * sizeof(uint64_t));
    if (abi_value_slots(globals[export->index].type) == 1)
        slots[1] = 0;
    *type = globals[export->index].type;
    return 0;
}

void
faaslet_mark_set(struct faaslet *thread, void *mark)
{
    thread->mark = mark;
}

void *
faaslet_mark(const struct faaslet *thread)
{
    return thread->mark;
}
