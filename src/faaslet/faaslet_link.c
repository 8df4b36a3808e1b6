/* SPDX-License-Identifier: Apache-2.0
 *
 * From an image to an instance: what its imports are, and what its context holds
 * before INIT runs. STANDALONE images are linked once per process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"
#include "faaslet/faaslet_link.h"

/* -------------------------------------------------------------------- look-ups */

uint32_t
link_find_function(const struct abi_image *image, uint32_t index)
{
    const struct abi_meta_function *functions = abi_image_range(image, image->meta->functions);
    uint32_t first = 0, end = image->meta->functions.count;

    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (functions[middle].index < index)
            first = middle + 1;
        else
            end = middle;
    }
    return first < image->meta->functions.count && functions[first].index == index ? first
                                                                                   : UINT32_MAX;
}

const struct abi_meta_export *
link_find_export(const struct abi_image *image, const char *name, size_t name_bytes)
{
    const struct abi_meta_export *exports = abi_image_range(image, image->meta->exports);

    for (uint32_t i = 0; i < image->meta->exports.count; i++)
        if (exports[i].name.count == name_bytes &&
            memcmp(abi_image_range(image, exports[i].name), name, name_bytes) == 0)
            return &exports[i];
    return NULL;
}

static char
value_letter(uint8_t type)
{
    switch (type) {
    case 0x7f:
        return 'i';
    case 0x7e:
        return 'I';
    case 0x7d:
        return 'f';
    case 0x7c:
        return 'F';
    case 0x7b:
        return 'v';
    case 0x70:
        return 'R';
    default:
        return 'r';
    }
}

static void
append_letters(const struct abi_image *image, struct abi_range values, struct buffer *out)
{
    const uint8_t *types = abi_image_range(image, values);

    for (uint32_t i = 0; i < values.count; i++) {
        char letter = value_letter(types[i]);

        buffer_append(out, &letter, 1);
    }
}

const struct faaslet_host_function *
faaslet_host_find(const struct faaslet_host_function *functions, size_t count, const char *name,
                  size_t name_bytes)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(functions[i].name) == name_bytes &&
            memcmp(functions[i].name, name, name_bytes) == 0)
            return &functions[i];
    return NULL;
}

void
link_type_letters(const struct abi_image *image, uint32_t type, struct buffer *out)
{
    const struct abi_meta_type *types = abi_image_range(image, image->meta->types);

    append_letters(image, types[type].params, out);
    buffer_append(out, ":", 1);
    append_letters(image, types[type].results, out);
    buffer_append(out, "", 1);
}

uint32_t
link_value_slots(const struct abi_image *image, struct abi_range values)
{
    const uint8_t *types = abi_image_range(image, values);
    uint32_t slots = 0;

    for (uint32_t i = 0; i < values.count; i++)
        slots += abi_value_slots(types[i]);
    return slots;
}

/* "(i32, i64)->i32" of letters. */
static void
append_readable(const char *letters, struct buffer *out)
{
    static const char known[] = "iIfFvRr";
    static const char *const names[] = {"i32", "i64", "f32", "f64", "v128", "funcref", "externref"};
    const char *separator = "";

    buffer_append_format(out, "(");
    for (; *letters != '\0'; letters++) {
        const char *found = strchr(known, *letters);

        if (*letters == ':') {
            buffer_append_format(out, ")->(");
            separator = "";
        } else if (found != NULL) {
            buffer_append_format(out, "%s%s", separator, names[found - known]);
            separator = ", ";
        }
    }
    buffer_append_format(out, ")");
}

/* ------------------------------------------------------------------ diagnostics */

static const char *const kind_names[] = {"function", "table", "memory", "global", "tag"};

int
link_refuse(const struct link_import *import, const char *letters, const char *why,
            struct diag *diag)
{
    struct buffer type = {0};

    if (letters != NULL) {
        buffer_append_format(&type, " of type ");
        append_readable(letters, &type);
    }
    (void)diag_set(diag, -ENOENT, "import %.*s.%.*s (%s)%.*s %s", (int)import->module_bytes,
                   import->module, (int)import->name_bytes, import->name, kind_names[import->kind],
                   (int)type.count, type.bytes == NULL ? "" : (const char *)type.bytes, why);
    buffer_fini(&type);
    return -ENOENT;
}

struct link_import
link_import_at(const struct abi_image *image, uint32_t index)
{
    const struct abi_meta_import *imports = abi_image_range(image, image->meta->imports);

    return (struct link_import){
        .module = abi_image_range(image, imports[index].module),
        .module_bytes = imports[index].module.count,
        .name = abi_image_range(image, imports[index].name),
        .name_bytes = imports[index].name.count,
        .kind = imports[index].kind,
        .index = imports[index].index,
    };
}

int
link_host_function(const struct abi_image *image, const struct link_import *import,
                   faaslet_resolve_fn resolve, faaslet_host_fn *out, struct diag *diag)
{
    const struct abi_meta_function *functions = abi_image_range(image, image->meta->functions);
    const struct faaslet_host_function *found = NULL;
    struct buffer letters = {0}, why = {0};
    int err = 0;

    link_type_letters(image, functions[import->index].type, &letters);
    if (letters.err != 0) {
        buffer_fini(&letters);
        return diag_set(diag, -ENOMEM, "cannot link: out of memory");
    }
    if (resolve != NULL)
        found = resolve(import->module, import->module_bytes, import->name, import->name_bytes);
    if (found == NULL) {
        err = link_refuse(import, (const char *)letters.bytes, "is not provided", diag);
    } else if (strcmp(found->type, (const char *)letters.bytes) != 0) {
        buffer_append_format(&why, "is provided with another type: ");
        append_readable(found->type, &why);
        buffer_append(&why, "", 1);
        err = link_refuse(import, (const char *)letters.bytes,
                          why.err == 0 ? (const char *)why.bytes : "has another type", diag);
    } else {
        *out = found->function;
    }
    buffer_fini(&letters);
    buffer_fini(&why);
    return err;
}

/* --------------------------------------------------------------------- instances */

struct instance *
instance_get(struct instance *instance)
{
    if (instance->is_cached)
        (void)faaslet_image_get(instance->image);
    else
        (void)atomic_fetch_add_explicit(&instance->references, 1, memory_order_relaxed);
    return instance;
}

void
instance_free(struct instance *instance)
{
    if (instance == NULL)
        return;
    if (instance->template_fd >= 0)
        (void)close(instance->template_fd);
    free(instance->hosts);
    free(instance->sources);
    free(instance->template);
    free(instance);
}

void
instance_put(struct instance *instance)
{
    struct faaslet_image *image;

    if (instance == NULL)
        return;
    image = instance->image;
    if (!instance->is_cached) {
        /* Pairs with the other puts: the last one sees what all did before. */
        if (atomic_fetch_sub_explicit(&instance->references, 1, memory_order_acq_rel) != 1)
            return;
        instance_free(instance);
    }
    faaslet_image_put(image);
}

struct instance *
instance_create(struct faaslet_image *image)
{
    const struct abi_meta *meta = image->abi.meta;
    struct instance *instance = calloc(1, sizeof(*instance));

    if (instance == NULL || fault_point("faaslet.instance") != 0)
        goto fail;
    instance->template_fd = -1;
    instance->references = 1;
    instance->image = image;
    instance->window = -1;
    instance->host_count = meta->imported_function_count;
    instance->hosts = calloc(meta->imported_function_count + 1u, sizeof(*instance->hosts));
    instance->sources = calloc(meta->imports.count + 1u, sizeof(*instance->sources));
    if (instance->hosts != NULL && instance->sources != NULL)
        return instance;
    instance_free(instance);
    return NULL;

fail:
    free(instance);
    return NULL;
}

/* ---------------------------------------------------------------------- context */

void
link_fill_context(const struct instance *instance, uint8_t *base)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta *meta = image->meta;
    const struct abi_layout *layout = &meta->layout;
    const struct abi_meta_data *data = abi_image_range(image, meta->data);
    const struct abi_meta_element *elements = abi_image_range(image, meta->elements);
    const struct abi_meta_function *functions = abi_image_range(image, meta->functions);
    const struct abi_meta_type *types = abi_image_range(image, meta->types);
    struct abi_context *context = (struct abi_context *)base;
    struct abi_function *records = (struct abi_function *)(base + layout->functions);

    context->self = instance->context;
    context->instance = instance->number;
    context->memory = instance->memory;
    for (uint32_t i = 0; i < meta->data.count; i++)
        ((uint32_t *)(base + layout->data_bytes))[i] = data[i].bytes.count;
    for (uint32_t i = 0; i < meta->elements.count; i++)
        ((uint32_t *)(base + layout->element_counts))[i] = elements[i].entries.count;
    for (uint32_t i = 0; i < meta->functions.count; i++)
        records[i] = (struct abi_function){
            .code = image->code[functions[i].code],
            .type = types[functions[i].type].canonical + 1,
            .context = (int32_t)instance->context,
        };
    for (uint32_t i = 0; i < meta->tags.count; i++)
        ((int64_t *)(base + layout->tag_offsets))[i] =
            instance->context + layout->tags + (int64_t)i * 8;
}

void
link_fill_memory(const struct instance *instance, uint8_t *base)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta_memory *memory = abi_image_range(image, image->meta->memories);

    ((struct abi_context *)base)->own_memory = (struct abi_memory){
        .base = mem_window_offset((unsigned)instance->window),
        .pages = memory->pages_min,
        .pages_max = memory->pages_max,
        .is_shared = memory->is_shared,
    };
}

/* ------------------------------------------------------------------- standalone */

static int
link_standalone_imports(struct instance *instance, faaslet_resolve_fn resolve, struct diag *diag)
{
    const struct abi_image *image = &instance->image->abi;

    for (uint32_t i = 0; i < image->meta->imports.count; i++) {
        struct link_import import = link_import_at(image, i);
        int err = 0;

        if (import.kind == ABI_KIND_FUNCTION)
            err = link_host_function(image, &import, resolve, &instance->hosts[import.index], diag);
        else if (import.kind == ABI_KIND_GLOBAL || import.kind == ABI_KIND_TAG)
            err = link_refuse(&import, NULL, "is not provided", diag);
        if (err != 0)
            return err;
    }
    return 0;
}

static int
place_tables(struct instance *instance, uint8_t *base, struct diag *diag)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta_table *tables = abi_image_range(image, image->meta->tables);
    const struct abi_layout *layout = &image->meta->layout;
    struct abi_table *records = (struct abi_table *)(base + layout->tables);
    uint64_t reserve = 0;

    for (uint32_t i = 0; i < image->meta->tables.count; i++) {
        uint32_t max = tables[i].count_max;

        if (tables[i].count_min > ABI_TABLE_ENTRIES_MAX)
            return diag_set(diag, -ENOMEM, "table %u begins with %u entries; the limit is %u", i,
                            tables[i].count_min, ABI_TABLE_ENTRIES_MAX);
        reserve += abi_table_reserve(max);
        if (ABI_HEADER_BYTES + layout->context_bytes + reserve > ABI_BELOW_BYTES_MAX)
            return diag_set(diag, -ENOMEM, "the tables need more than %llu bytes",
                            (unsigned long long)ABI_BELOW_BYTES_MAX);
        records[i] = (struct abi_table){
            .base = abi_main_table(layout->context_bytes, reserve),
            .count = tables[i].count_min,
            .count_max = max < ABI_TABLE_ENTRIES_MAX ? max : ABI_TABLE_ENTRIES_MAX,
        };
    }
    instance->below_bytes = ABI_HEADER_BYTES + layout->context_bytes + reserve;
    return 0;
}

/* Puts the context into a sealed file, followed by null references for tables, so
 * that large ones can be mapped. Without a file they are copied. */
static void
make_template_file(struct instance *instance)
{
    const struct abi_image *image = &instance->image->abi;
    const struct abi_meta_table *tables = abi_image_range(image, image->meta->tables);
    uint64_t nulls = 0;
    int64_t entries[512];
    int fd;

    for (size_t i = 0; i < ARRAY_COUNT(entries); i++)
        entries[i] = ABI_REF_NULL;
    for (uint32_t i = 0; i < image->meta->tables.count; i++)
        if (abi_table_reserve(tables[i].count_min) > nulls)
            nulls = abi_table_reserve(tables[i].count_min);
    if (instance->template_bytes + nulls <= LINK_COPY_BYTES_MAX)
        return;
    fd = memfd_create("weft-context", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return;
    if (write(fd, instance->template, instance->template_bytes) !=
        (ssize_t)instance->template_bytes)
        goto close_fd;
    for (uint64_t done = 0; done < nulls; done += sizeof(entries))
        if (write(fd, entries, sizeof(entries)) != (ssize_t)sizeof(entries))
            goto close_fd;
    if (file_seal(fd) != 0)
        goto close_fd;
    instance->template_fd = fd;
    return;

close_fd:
    (void)close(fd);
}

static int
link_new_standalone(struct faaslet_image *image, faaslet_resolve_fn resolve, struct instance **out,
                    struct diag *diag)
{
    const struct abi_meta *meta = image->abi.meta;
    struct instance *instance = instance_create(image);
    int err;

    if (instance == NULL)
        return diag_set(diag, -ENOMEM, "cannot link: out of memory");
    instance->resolve = resolve;
    instance->context = abi_main_context(meta->layout.context_bytes);
    instance->template_bytes = meta->layout.context_bytes;
    instance->template = calloc(1, instance->template_bytes);
    if (instance->template == NULL) {
        err = diag_set(diag, -ENOMEM, "cannot link: out of memory");
        goto free_instance;
    }
    err = link_standalone_imports(instance, resolve, diag);
    if (err == 0)
        err = place_tables(instance, instance->template, diag);
    if (err != 0)
        goto free_instance;
    if (meta->memories.count > 0) {
        instance->window = 0;
        instance->memory = instance->context + (int64_t)offsetof(struct abi_context, own_memory);
        link_fill_memory(instance, instance->template);
    }
    link_fill_context(instance, instance->template);
    make_template_file(instance);
    *out = instance;
    return 0;

free_instance:
    instance_free(instance);
    return err;
}

int
link_standalone(struct faaslet_image *image, const struct faaslet_config *config,
                struct instance **out, struct diag *diag)
{
    struct instance *known = atomic_load_explicit(&image->standalone, memory_order_acquire);
    struct instance *instance = NULL, *none = NULL;
    int err;

    if (known != NULL && known->resolve == config->resolve) {
        *out = instance_get(known);
        return 0;
    }
    err = link_new_standalone(image, config->resolve, &instance, diag);
    if (err != 0)
        return err;
    (void)faaslet_image_get(image); /* the caller's, or the instance's own */
    instance->is_cached = true;
    /* Another thread, or another resolver, may have been first. */
    if (!atomic_compare_exchange_strong(&image->standalone, &none, instance))
        instance->is_cached = false;
    *out = instance;
    return 0;
}
