/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaf helpers: memory and table instructions that are too long to be inline.
 * Guest code calls them through the header; they run on the executor's stack.
 */
#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "faaslet/faaslet_internal.h"

#define REFUSED 0xffffffffu
#define LEAVES  2u /* faaslet_thunks.S */

uint64_t faaslet_helper_memory_grow(int64_t context, uint64_t delta);
uint64_t faaslet_helper_memory_copy(int64_t context, uint64_t to, uint64_t from, uint64_t bytes);
uint64_t faaslet_helper_memory_fill(int64_t context, uint64_t to, uint64_t value, uint64_t bytes);
uint64_t faaslet_helper_memory_init(int64_t context, uint64_t segment, uint64_t to, uint64_t from,
                                    uint64_t bytes);
uint64_t faaslet_helper_table_grow(int64_t context, uint64_t table, int64_t reference,
                                   uint64_t delta);
uint64_t faaslet_helper_table_fill(int64_t context, uint64_t table, uint64_t index,
                                   int64_t reference, uint64_t count);
uint64_t faaslet_helper_table_copy(int64_t context, uint64_t tables, uint64_t to, uint64_t from,
                                   uint64_t count);
uint64_t faaslet_helper_table_init(int64_t context, uint64_t numbers, uint64_t to, uint64_t from,
                                   uint64_t count);

static struct faaslet *
current(void)
{
    return runner_here()->current;
}

static bool
is_outside(uint64_t at, uint64_t count, uint64_t size)
{
    return at > size || count > size - at;
}

static const struct abi_image *
image_of(const struct faaslet *faaslet, const struct abi_context *context)
{
    return &faaslet->instances[context->instance]->image->abi;
}

/* ---------------------------------------------------------------------- memory */

static uint64_t
pages_limit(const struct faaslet *faaslet, const struct abi_memory *memory)
{
    uint64_t limit = faaslet->config.memory_bytes_max / ABI_PAGE_BYTES;

    return faaslet->config.memory_bytes_max != 0 && limit < memory->pages_max ? limit
                                                                              : memory->pages_max;
}

static uint64_t
grow(struct faaslet *faaslet, struct abi_memory *memory, uint64_t delta)
{
    uint64_t old = memory->pages;
    uint64_t limit = pages_limit(faaslet, memory);

    if (old > limit || delta > limit - old) {
        if (delta <= memory->pages_max - old) /* the module itself would allow it */
            first_of(faaslet)->stand.refused |= 1u << FAASLET_LIMIT_MEMORY;
        return UINT64_MAX;
    }
    if (mem_window_grow(faaslet->slot, window_of(memory), (old + delta) * ABI_PAGE_BYTES) != 0)
        return UINT64_MAX;
    __atomic_store_n(&memory->pages, old + delta, __ATOMIC_RELEASE);
    return old;
}

uint64_t
memory_grow(struct faaslet *faaslet, struct abi_memory *memory, uint64_t delta)
{
    uint64_t old;

    if (faaslet->space == NULL)
        return grow(faaslet, memory, delta);
    space_hold(faaslet->space);
    old = grow(faaslet, memory, delta);
    (void)pthread_mutex_unlock(&faaslet->space->lock);
    return old;
}

uint64_t
faaslet_helper_memory_grow(int64_t context, uint64_t delta)
{
    struct faaslet *faaslet = current();

    return (uint32_t)memory_grow(faaslet, memory_of(faaslet, context_at(faaslet, context)), delta);
}

/* What a memory instruction does: bytes go `to`, from memory, from a segment, or a value. */
struct transfer {
    enum abi_helper helper;
    uint64_t to, from, bytes;
    uint64_t segment;
};

/* Where the bytes of a segment are; NULL: some are outside. */
static const uint8_t *
segment_at(const struct faaslet *faaslet, struct abi_context *context, const struct transfer *t)
{
    const struct abi_image *image = image_of(faaslet, context);
    const struct abi_meta_data *data = abi_image_range(image, image->meta->data);
    const uint32_t *usable = (const void *)((uint8_t *)process_context(faaslet, context) +
                                            image->meta->layout.data_bytes);

    DEBUG_ASSERT(t->segment < image->meta->data.count);
    if (is_outside(t->from, t->bytes, usable[t->segment]))
        return NULL;
    return (const uint8_t *)abi_image_range(image, data[t->segment].bytes) + t->from;
}

/* False: outside, nothing is changed. The pages are there. Inline: each helper is then only
 * what it does. */
static inline __attribute__((always_inline)) bool
transfer(struct faaslet *faaslet, struct abi_context *context, const struct transfer *t)
{
    const struct abi_memory *memory = memory_of(faaslet, context);
    uint64_t size = pages_of(memory) * ABI_PAGE_BYTES;
    uint8_t *base = base_of(faaslet, memory);
    const uint8_t *segment;

    if (is_outside(t->to, t->bytes, size))
        return false;
    switch (t->helper) {
    case ABI_HELPER_MEMORY_COPY:
        if (is_outside(t->from, t->bytes, size))
            return false;
        (void)memmove(base + t->to, base + t->from, t->bytes);
        return true;
    case ABI_HELPER_MEMORY_FILL:
        (void)memset(base + t->to, (uint8_t)t->from, t->bytes);
        return true;
    default:
        segment = segment_at(faaslet, context, t);
        if (segment == NULL)
            return false;
        (void)memcpy(base + t->to, segment, t->bytes);
        return true;
    }
}

/* Whether all of it is there and may be written. What is outside is not looked at: the
 * transfer says so. */
static bool
is_ready(struct faaslet *faaslet, struct abi_context *context, const struct transfer *t)
{
    const struct abi_memory *memory = memory_of(faaslet, context);
    uint64_t size = pages_of(memory) * ABI_PAGE_BYTES;

    if (is_outside(t->to, t->bytes, size) ||
        (t->helper == ABI_HELPER_MEMORY_COPY && is_outside(t->from, t->bytes, size)))
        return true;
    if (t->helper == ABI_HELPER_MEMORY_INIT && segment_at(faaslet, context, t) == NULL)
        return true;
    return share_may_touch(faaslet, memory, t->to, t->bytes, true) &&
           (t->helper != ABI_HELPER_MEMORY_COPY ||
            share_may_touch(faaslet, memory, t->from, t->bytes, false));
}

/* Without shares this is all that happens. With them the guest leaves where something is not
 * as it must be, and helper_call looks again until it is. */
static inline __attribute__((always_inline)) uint64_t
do_transfer(int64_t offset, const struct transfer *t)
{
    struct faaslet *faaslet = current();
    struct abi_context *context = context_at(faaslet, offset);

    if (__builtin_expect(faaslet->call.may_lack, 0) && !is_ready(faaslet, context, t)) {
        context->args[0] = t->to;
        context->args[1] = t->from;
        context->args[2] = t->bytes;
        context->args[3] = t->segment;
        context->call = CALL_HELPER(t->helper);
        return LEAVES;
    }
    return transfer(faaslet, context, t) ? 0 : 1;
}

enum faaslet_verdict
helper_call(struct faaslet *faaslet, uint32_t helper)
{
    struct abi_context *context = context_at(faaslet, faaslet->stand.stop_context);
    struct transfer t = {.helper = (enum abi_helper)helper,
                         .to = context->args[0],
                         .from = context->args[1],
                         .bytes = context->args[2],
                         .segment = context->args[3]};

    faaslet->call.trap = ABI_TRAP_MEMORY_BOUNDS;
    faaslet->call.message = NULL;
    if (is_ready(faaslet, context, &t))
        return transfer(faaslet, context, &t) ? FAASLET_CALL_DONE : FAASLET_CALL_TRAP;
    if (faaslet->absent.share != NULL)
        return FAASLET_CALL_ABSENT;
    faaslet->call.message = share_read_only;
    return FAASLET_CALL_TRAP;
}

uint64_t
faaslet_helper_memory_copy(int64_t context, uint64_t to, uint64_t from, uint64_t bytes)
{
    return do_transfer(context, &(struct transfer){ABI_HELPER_MEMORY_COPY, to, from, bytes, 0});
}

uint64_t
faaslet_helper_memory_fill(int64_t context, uint64_t to, uint64_t value, uint64_t bytes)
{
    return do_transfer(context, &(struct transfer){ABI_HELPER_MEMORY_FILL, to, value, bytes, 0});
}

uint64_t
faaslet_helper_memory_init(int64_t context, uint64_t segment, uint64_t to, uint64_t from,
                           uint64_t bytes)
{
    return do_transfer(context,
                       &(struct transfer){ABI_HELPER_MEMORY_INIT, to, from, bytes, segment});
}

/* ---------------------------------------------------------------------- tables */

static struct abi_table *
table_of(const struct faaslet *faaslet, struct abi_context *context, uint64_t table)
{
    const struct abi_layout *layout = &image_of(faaslet, context)->meta->layout;
    uint8_t *base = (uint8_t *)process_context(faaslet, context);

    if (faaslet->mode != ABI_LINKED)
        return (struct abi_table *)(base + layout->tables) + table;
    return offset_at(faaslet, ((const int64_t *)(base + layout->table_offsets))[table]);
}

static void
fill(int64_t *entries, int64_t reference, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        entries[i] = reference;
}

uint64_t
faaslet_helper_table_grow(int64_t context, uint64_t table, int64_t reference, uint64_t delta)
{
    struct faaslet *faaslet = current();
    struct abi_table *t = table_of(faaslet, context_at(faaslet, context), table);
    struct space *space = faaslet->space;
    uint32_t old;

    if (space != NULL)
        (void)pthread_mutex_lock(&space->lock);
    old = t->count;
    if (delta > t->count_max - old) {
        old = REFUSED;
    } else {
        fill((int64_t *)offset_at(faaslet, t->base) + old, reference, delta);
        __atomic_store_n(&t->count, old + (uint32_t)delta, __ATOMIC_RELEASE);
    }
    if (space != NULL)
        (void)pthread_mutex_unlock(&space->lock);
    return old;
}

uint64_t
faaslet_helper_table_fill(int64_t context, uint64_t table, uint64_t index, int64_t reference,
                          uint64_t count)
{
    struct faaslet *faaslet = current();
    struct abi_table *t = table_of(faaslet, context_at(faaslet, context), table);

    if (is_outside(index, count, t->count))
        return 1;
    fill((int64_t *)offset_at(faaslet, t->base) + index, reference, count);
    return 0;
}

uint64_t
faaslet_helper_table_copy(int64_t context, uint64_t tables, uint64_t to, uint64_t from,
                          uint64_t count)
{
    struct faaslet *faaslet = current();
    struct abi_context *c = context_at(faaslet, context);
    struct abi_table *target = table_of(faaslet, c, tables >> 32);
    struct abi_table *source = table_of(faaslet, c, (uint32_t)tables);

    if (is_outside(to, count, target->count) || is_outside(from, count, source->count))
        return 1;
    (void)memmove((int64_t *)offset_at(faaslet, target->base) + to,
                  (int64_t *)offset_at(faaslet, source->base) + from, count * sizeof(int64_t));
    return 0;
}

/* The reference that an entry of an element segment stands for. */
static int64_t
entry_reference(const struct faaslet *faaslet, struct abi_context *caller, uint32_t entry)
{
    const struct abi_context *context = process_context(faaslet, caller);
    const struct abi_image *image = image_of(faaslet, context);
    const struct abi_layout *layout = &image->meta->layout;
    const uint8_t *base = (const uint8_t *)context;

    if (entry == ABI_ELEMENT_NULL)
        return ABI_REF_NULL;
    if ((entry & ABI_ELEMENT_GLOBAL) != 0) {
        uint32_t global = entry & ~ABI_ELEMENT_GLOBAL;

        if (faaslet->mode == ABI_LINKED)
            return *(int64_t *)offset_at(
                faaslet, ((const int64_t *)(base + layout->global_offsets))[global]);
        return *(const int64_t *)(base + layout->globals + global * ABI_GLOBAL_BYTES);
    }
    if (faaslet->mode == ABI_LINKED && entry < image->meta->imported_function_count)
        return ((const int64_t *)(base + layout->import_functions))[entry];
    return context->self + layout->functions + entry * (int64_t)sizeof(struct abi_function);
}

uint64_t
faaslet_helper_table_init(int64_t context, uint64_t numbers, uint64_t to, uint64_t from,
                          uint64_t count)
{
    struct faaslet *faaslet = current();
    struct abi_context *c = context_at(faaslet, context);
    const struct abi_image *image = image_of(faaslet, c);
    const struct abi_meta_element *elements = abi_image_range(image, image->meta->elements);
    struct abi_table *table = table_of(faaslet, c, numbers >> 32);
    uint32_t segment = (uint32_t)numbers;
    const uint32_t *usable =
        (const void *)((uint8_t *)process_context(faaslet, c) + image->meta->layout.element_counts);
    const uint32_t *entries = abi_image_range(image, elements[segment].entries);
    int64_t *target = (int64_t *)offset_at(faaslet, table->base) + to;

    if (is_outside(to, count, table->count) || is_outside(from, count, usable[segment]))
        return 1;
    for (uint64_t i = 0; i < count; i++)
        target[i] = entry_reference(faaslet, c, entries[from + i]);
    return 0;
}

void
faaslet_header_fill(struct faaslet *faaslet)
{
    static void (*const thunks[])(void) = {
        [ABI_HELPER_MEMORY_GROW] = faaslet_thunk_memory_grow,
        [ABI_HELPER_MEMORY_COPY] = faaslet_thunk_memory_copy,
        [ABI_HELPER_MEMORY_FILL] = faaslet_thunk_memory_fill,
        [ABI_HELPER_MEMORY_INIT] = faaslet_thunk_memory_init,
        [ABI_HELPER_TABLE_GROW] = faaslet_thunk_table_grow,
        [ABI_HELPER_TABLE_FILL] = faaslet_thunk_table_fill,
        [ABI_HELPER_TABLE_COPY] = faaslet_thunk_table_copy,
        [ABI_HELPER_TABLE_INIT] = faaslet_thunk_table_init,
    };
    struct abi_header *header = offset_at(faaslet, -(int64_t)ABI_HEADER_BYTES);

    static_assert(ARRAY_COUNT(thunks) == ABI_HELPER_COUNT, "a thunk for every helper");
    for (unsigned i = 0; i < ABI_HELPER_COUNT; i++)
        header->helpers[i] = (uint64_t)thunks[i];
    header->host = faaslet;
}
