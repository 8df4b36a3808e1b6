/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists and queues, over logs.
 */
#include "objects_internal.h"

#define CURSOR     ".next"
#define TRIM_EVERY 256u /* items that were taken are forgotten together */

int
weft_list_length(const char *key, uint64_t *length)
{
    struct weft_state_info info;
    int err = weft_state_stat(key, &info);

    if (err == ENOENT)
        info.version = 0;
    else if (err != 0)
        return err;
    *length = info.version;
    return 0;
}

int
weft_list_get(const char *key, uint64_t index, void *to, uint32_t room, uint32_t *count)
{
    uint64_t first = index;
    uint32_t records = 0;
    int err = weft_state_read(key, &first, to, room, count, 1, &records);

    if (err == 0 && first != index)
        return EIDRM;
    return err == 0 && records == 0 ? ENOENT : err;
}

/* ----------------------------------------------------------------------------- queue */

int
weft_queue_open(struct weft_queue *queue, const char *key)
{
    size_t count = strlen(key);
    int err;

    *queue = (struct weft_queue){0};
    err = copy_key(queue->items, key);
    if (err == 0 && count + sizeof(CURSOR) > WEFT_KEY_BYTES)
        err = ENAMETOOLONG;
    if (err != 0)
        return err;
    memcpy(queue->cursor, key, count);
    memcpy(queue->cursor + count, CURSOR, sizeof(CURSOR));
    return 0;
}

int
weft_queue_push(struct weft_queue *queue, const void *bytes, uint32_t count)
{
    return weft_state_append(queue->items, bytes, count, NULL);
}

static int
look(struct weft_queue *queue)
{
    int64_t next;
    int err = number_read(queue->cursor, &next, &queue->version);

    if (err == 0)
        queue->next = (uint64_t)next;
    return err;
}

/* EAGAIN: another has it; then what is known of the cursor is known anew. Items are forgotten only
 * when they are taken, so what was read at a cursor that is still the same was the first. */
static int
claim(struct weft_queue *queue)
{
    uint64_t taken = queue->next + 1, version = 0;
    int err = weft_state_cas(queue->cursor, queue->version, &taken, sizeof(taken), &version);

    if (err == EAGAIN) {
        err = look(queue);
        return err != 0 ? err : EAGAIN;
    }
    if (err != 0)
        return err;
    queue->next = taken;
    queue->version = version;
    if (taken % TRIM_EVERY == 0)
        (void)weft_state_trim(queue->items, taken); /* they only take room */
    return 0;
}

/* ENOENT: there is none. */
static int
take(struct weft_queue *queue, void *to, uint32_t room, uint32_t *count)
{
    int err;

    do {
        err = weft_list_get(queue->items, queue->next, to, room, count);
        if (err == ENOBUFS || err == EIDRM) { /* is it the first, or has it been taken? */
            uint64_t next = queue->next;
            int seen = err;

            err = look(queue);
            if (err == 0)
                err = queue->next == next ? seen : EAGAIN;
        } else if (err == 0) {
            err = claim(queue);
        }
    } while (err == EAGAIN);
    return err;
}

int
weft_queue_pop(struct weft_queue *queue, void *to, uint32_t room, uint32_t *count,
               int64_t timeout_ns)
{
    struct wait wait = wait_begin(timeout_ns);
    int err = queue->version == 0 ? look(queue) : 0;

    while (err == 0) {
        err = take(queue, to, room, count);
        if (err != ENOENT)
            return err;
        /* The log's version is its length: above `next` there is one. */
        err = weft_state_watch(queue->items, queue->next, wait_left(&wait), NULL);
        if (err == EAGAIN)
            err = ETIMEDOUT;
    }
    return err;
}

int
weft_queue_length(struct weft_queue *queue, uint64_t *length)
{
    uint64_t pushed = 0;
    int err = look(queue);

    if (err == 0)
        err = weft_list_length(queue->items, &pushed);
    if (err == 0)
        *length = pushed > queue->next ? pushed - queue->next : 0;
    return err;
}
