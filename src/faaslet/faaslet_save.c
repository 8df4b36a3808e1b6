/* SPDX-License-Identifier: Apache-2.0
 *
 * A frozen Faaslet as bytes:
 *
 *      struct head | stack | registers | process record | threads | SHA-256 of all before
 *      | snapshot (mem_snapshot_save)
 *
 * A thread is its struct thread_head, stack and registers.
 *
 * The stack and the slot hold addresses of the image, so the head names the image by
 * the hash of its file: any other one is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/fault.h"
#include "faaslet/faaslet_internal.h"

#define MAGIC       UINT64_C(0x4c53465446455700) /* "\0WEFTFSL", read from its end */
#define VERSION     4u
#define STACK_MAX   (UINT64_C(1) << 30)
#define PROCESS_MAX (UINT64_C(1) << 26)
#define MACHINE_MAX (1u << 16)

struct head {
    uint64_t magic;
    uint32_t version, abi_version;
    uint8_t image[SHA256_DIGEST_LENGTH];
    uint64_t stack_bytes; /* of the whole stack */
    uint64_t stack_count, process_count;
    uint64_t threads_count; /* bytes */
    struct stand stand;
    uint32_t machine_count, thread_count;
    uint8_t is_dead, has_process, pad[6];
};

struct thread_head {
    struct stand stand;
    uint64_t stack_count, machine_count;
};

static void
image_digest(const struct faaslet_image *image, uint8_t digest[SHA256_DIGEST_LENGTH])
{
    (void)SHA256(image->file, image->file_bytes, digest);
}

static void
append_threads(const struct faaslet_frozen *frozen, struct buffer *out)
{
    for (uint32_t i = 0; i < frozen->thread_count; i++) {
        const struct frozen_thread *thread = &frozen->threads[i];
        struct thread_head head = {.stand = thread->stand,
                                   .stack_count = thread->stack.count,
                                   .machine_count = thread->machine.count};

        buffer_append(out, &head, sizeof(head));
        buffer_append(out, thread->stack.bytes, thread->stack.count);
        buffer_append(out, thread->machine.bytes, thread->machine.count);
    }
}

int
faaslet_frozen_save(const struct faaslet_frozen *frozen, struct buffer *out, struct diag *diag)
{
    const struct faaslet *state = &frozen->state;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t begin = out->count;
    struct head head = {
        .magic = MAGIC,
        .version = VERSION,
        .abi_version = ABI_VERSION,
        .stack_bytes = state->config.stack_bytes,
        .stack_count = frozen->stack.count,
        .process_count = frozen->process.count,
        .stand = state->stand,
        .has_process = frozen->has_process,
        .machine_count = (uint32_t)frozen->machine.count,
        .thread_count = frozen->thread_count,
    };
    struct buffer threads = {0};
    int err;

    if (state->mode == ABI_LINKED)
        return diag_set(diag, -ENOTSUP, "cannot save: it was linked from several modules");
    head.is_dead = state->is_dead[0];
    image_digest(state->instances[0]->image, head.image);
    append_threads(frozen, &threads);
    head.threads_count = threads.count;
    buffer_append(out, &head, sizeof(head));
    buffer_append(out, frozen->stack.bytes, frozen->stack.count);
    buffer_append(out, frozen->machine.bytes, frozen->machine.count);
    buffer_append(out, frozen->process.bytes, frozen->process.count);
    buffer_append(out, threads.bytes, threads.count);
    out->err = out->err != 0 ? out->err : threads.err;
    buffer_fini(&threads);
    if (out->err == 0)
        (void)SHA256(out->bytes + begin, out->count - begin, digest);
    buffer_append(out, digest, sizeof(digest));
    err = out->err != 0 ? out->err : mem_snapshot_save(frozen->memory, out);
    return err == 0 ? 0 : diag_set(diag, err, "cannot save: %s", strerror(-err));
}

/* ------------------------------------------------------------------------ loading */

static bool
is_stand(const struct stand *stand, uint64_t stack_count, uint64_t machine_count)
{
    return stand->state <= STATE_OVER && stand->last <= FAASLET_ABSENT &&
           stand->given_back_count <= FAASLET_GIVEN_BACK_MAX &&
           has_stack(stand) == (stack_count > 0) &&
           (machine_count == 0 || stand->state == STATE_READY);
}

static int
check_head(const struct head *head, size_t count, struct diag *diag)
{
    if (head->magic != MAGIC)
        return diag_set(diag, -EINVAL, "this is not a frozen Faaslet");
    if (head->version != VERSION || head->abi_version != ABI_VERSION)
        return diag_set(diag, -EINVAL,
                        "the frozen Faaslet is of version %u.%u; this is version %u.%u",
                        head->version, head->abi_version, VERSION, ABI_VERSION);
    if (head->stack_count > STACK_MAX || head->process_count > PROCESS_MAX ||
        head->stack_bytes > STACK_MAX || head->stack_count > head->stack_bytes ||
        head->machine_count > MACHINE_MAX || head->threads_count > count ||
        head->thread_count >= FAASLET_THREADS_MAX ||
        sizeof(*head) + head->stack_count + head->machine_count + head->process_count +
                head->threads_count + SHA256_DIGEST_LENGTH >
            count)
        return diag_set(diag, -EINVAL, "the frozen Faaslet is cut short: %zu bytes", count);
    if (!is_stand(&head->stand, head->stack_count, head->machine_count) || head->stand.place != 0)
        return diag_set(diag, -EINVAL, "the frozen Faaslet is damaged: its state cannot be");
    return 0;
}

/* Reads the part before the snapshot; *used: its bytes. */
static int
read_head(const uint8_t *bytes, size_t count, struct head *head, size_t *used, struct diag *diag)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    int err;

    if (count < sizeof(*head))
        return diag_set(diag, -EINVAL, "the frozen Faaslet is cut short: %zu bytes", count);
    (void)memcpy(head, bytes, sizeof(*head));
    err = check_head(head, count, diag);
    if (err != 0)
        return err;
    *used = sizeof(*head) + head->stack_count + head->machine_count + head->process_count +
            head->threads_count;
    (void)SHA256(bytes, *used, digest);
    if (memcmp(digest, bytes + *used, sizeof(digest)) != 0)
        return diag_set(diag, -EINVAL, "the frozen Faaslet is damaged: its checksum is another");
    *used += sizeof(digest);
    return 0;
}

static struct faaslet_image *
find_image(const struct faaslet_load *load, const struct head *head)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    for (size_t i = 0; i < load->image_count; i++) {
        image_digest(load->images[i], digest);
        if (memcmp(digest, head->image, sizeof(digest)) == 0)
            return load->images[i];
    }
    return NULL;
}

/* Gives the state its one instance. */
static int
set_instance(struct faaslet *state, struct faaslet_image *image, faaslet_resolve_fn resolve,
             const struct head *head, struct diag *diag)
{
    struct faaslet_config config = {.resolve = resolve};
    int err;

    state->instances = calloc(1, sizeof(*state->instances));
    state->contexts = calloc(1, sizeof(*state->contexts));
    state->is_dead = calloc(1, 1);
    if (state->instances == NULL || state->contexts == NULL || state->is_dead == NULL)
        return diag_set(diag, -ENOMEM, "cannot load: out of memory");
    err = link_standalone(image, &config, &state->instances[0], diag);
    if (err != 0)
        return err;
    state->instance_count = state->instance_capacity = 1;
    state->contexts[0] = state->instances[0]->context;
    state->is_dead[0] = head->is_dead;
    if (state->stand.stop_context != state->contexts[0] ||
        state->stand.call_context != state->contexts[0])
        return diag_set(diag, -EINVAL, "the frozen Faaslet is damaged: it has another shape");
    return 0;
}

static void
set_values(struct faaslet *state, const struct head *head)
{
    state->mode = ABI_STANDALONE;
    state->stand = head->stand;
    state->stand.stop_at = UINT32_MAX; /* it was the wish of who froze it */
    state->config.stack_bytes = head->stack_bytes;
}

/* Room for the tables, and for a context of each thread that it may have. */
static bool
is_below(const struct faaslet_frozen *frozen, uint64_t bytes)
{
    const struct instance *instance = frozen->state.instances[0];
    const struct abi_meta *meta = instance->image->abi.meta;
    uint64_t places;

    if (bytes < instance->below_bytes || bytes > ABI_BELOW_BYTES_MAX ||
        (bytes - instance->below_bytes) % meta->layout.context_bytes != 0)
        return false;
    places = (bytes - instance->below_bytes) / meta->layout.context_bytes;
    if (places > 0 && meta->mode != ABI_THREADED)
        return false;
    for (uint32_t i = 0; i < frozen->thread_count; i++) {
        const struct stand *stand = &frozen->threads[i].stand;
        int64_t context =
            -(int64_t)instance->below_bytes - (int64_t)stand->place * meta->layout.context_bytes;

        if (stand->place == 0 || stand->place > places || stand->stop_context != context ||
            stand->call_context != context)
            return false;
    }
    return true;
}

/* Checksummed, so what cannot be is a mistake of who wrote it, not an accident. */
static int
load_threads(const uint8_t *bytes, uint64_t count, uint32_t thread_count,
             struct faaslet_frozen *frozen)
{
    frozen->threads = calloc(thread_count + 1u, sizeof(*frozen->threads));
    if (frozen->threads == NULL)
        return -ENOMEM;
    for (; frozen->thread_count < thread_count; frozen->thread_count++) {
        struct frozen_thread *thread = &frozen->threads[frozen->thread_count];
        struct thread_head head;

        if (count < sizeof(head))
            return -EINVAL;
        (void)memcpy(&head, bytes, sizeof(head));
        bytes += sizeof(head);
        count -= sizeof(head);
        if (head.machine_count > MACHINE_MAX || head.stack_count > STACK_MAX ||
            head.stack_count + head.machine_count > count ||
            !is_stand(&head.stand, head.stack_count, head.machine_count))
            return -EINVAL;
        thread->stand = head.stand;
        buffer_append(&thread->stack, bytes, head.stack_count);
        buffer_append(&thread->machine, bytes + head.stack_count, head.machine_count);
        bytes += head.stack_count + head.machine_count;
        count -= head.stack_count + head.machine_count;
        if (thread->stack.err != 0 || thread->machine.err != 0) {
            buffer_fini(&thread->stack);
            buffer_fini(&thread->machine);
            return -ENOMEM;
        }
    }
    return count == 0 ? 0 : -EINVAL;
}

static int
load_memory(const uint8_t *bytes, size_t count, struct faaslet_frozen *frozen, struct diag *diag)
{
    size_t used;
    int err = mem_snapshot_load(bytes, count, &frozen->memory, &used, diag);

    if (err != 0)
        return err;
    if (used != count || !is_below(frozen, mem_snapshot_below_bytes(frozen->memory)) ||
        mem_snapshot_window_count(frozen->memory) != 1)
        return diag_set(diag, -EINVAL,
                        "the frozen Faaslet is damaged: its memory has another shape");
    return 0;
}

static int
load_parts(const uint8_t *bytes, size_t count, const struct head *head,
           struct faaslet_frozen *frozen, struct diag *diag)
{
    const uint8_t *stack = bytes + sizeof(*head);
    const uint8_t *machine = stack + head->stack_count;
    const uint8_t *process = machine + head->machine_count;
    const uint8_t *threads = process + head->process_count;
    const uint8_t *memory = threads + head->threads_count + SHA256_DIGEST_LENGTH;
    int err;

    buffer_append(&frozen->stack, stack, head->stack_count);
    buffer_append(&frozen->machine, machine, head->machine_count);
    buffer_append(&frozen->process, process, head->process_count);
    frozen->has_process = head->has_process;
    if (frozen->stack.err != 0 || frozen->machine.err != 0 || frozen->process.err != 0 ||
        fault_point("faaslet.load") != 0)
        return diag_set(diag, -ENOMEM, "cannot load: out of memory");
    err = load_threads(threads, head->threads_count, head->thread_count, frozen);
    if (err != 0)
        return diag_set(diag, err, "the frozen Faaslet is damaged: its threads cannot be");
    return load_memory(memory, count - (size_t)(memory - bytes), frozen, diag);
}

int
faaslet_frozen_load(const uint8_t *bytes, size_t count, const struct faaslet_load *load,
                    struct faaslet_frozen **out, struct diag *diag)
{
    struct faaslet_frozen *frozen;
    struct faaslet_image *image;
    struct head head;
    size_t used;
    int err = read_head(bytes, count, &head, &used, diag);

    if (err != 0)
        return err;
    image = find_image(load, &head);
    if (image == NULL)
        return diag_set(diag, -EINVAL, "the frozen Faaslet is of an image that is not here");
    frozen = calloc(1, sizeof(*frozen));
    if (frozen == NULL)
        return diag_set(diag, -ENOMEM, "cannot load: out of memory");
    atomic_init(&frozen->references, 1);
    set_values(&frozen->state, &head);
    err = set_instance(&frozen->state, image, load->resolve, &head, diag);
    if (err == 0)
        err = load_parts(bytes, count, &head, frozen, diag);
    if (err != 0) {
        faaslet_frozen_destroy(frozen);
        return err;
    }
    *out = frozen;
    return 0;
}
