/* SPDX-License-Identifier: Apache-2.0
 *
 * State for guests (weft/state.h): keys, numbers and bytes of guest memory become requests of
 * the local tier. What it has to ask for is under way in the tier by a number, which is kept in
 * scratch; the call is pending until it is woken, and asks again what came of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "hostcall/hostcall_internal.h"

#define MAPS_MAX        1024u
#define LOCK_WRITE      1u
#define LOCK_HERE       2u
#define HOST_PAGE_BYTES UINT64_C(4096)
#define FLAGS_ALL \
    ((uint32_t)(STATE_MAP_WRITE | STATE_MAP_LAZY | STATE_MAP_CREATE | STATE_MAP_SUM) | \
     STATE_MAP_ELEMENTS)

struct guest_info {
    uint64_t size, version, lives_ns;
    uint32_t is_log, is_current;
};
static_assert(sizeof(struct guest_info) == 32, "weft_state_info");

/* A call, once its key is read. */
struct asking {
    struct faaslet_call *call;
    struct state *state;
    struct state_request request;
    struct state_result result;
    char key[STATE_KEY_BYTES_MAX + 1];
};

/* --------------------------------------------------------------------------- asking */

/* A text with a NUL. */
static int
read_text(const struct faaslet_call *call, unsigned index, char out[STATE_KEY_BYTES_MAX + 1])
{
    uint64_t at = wasi_arg(call, index);
    uint64_t left = at < call->memory_bytes ? call->memory_bytes - at : 0;
    uint64_t room = left <= STATE_KEY_BYTES_MAX ? left : STATE_KEY_BYTES_MAX + 1;
    const char *from = room > 0 ? faaslet_call_view(call, at, room) : NULL;
    size_t count;

    if (from == NULL)
        return -EFAULT;
    count = strnlen(from, room);
    if (count == room)
        return room > STATE_KEY_BYTES_MAX ? -ENAMETOOLONG : -EFAULT;
    (void)memcpy(out, from, count); /* first: other threads may change it */
    out[count] = '\0';
    return utf8_is_valid(out, count) ? 0 : -EINVAL;
}

static int
begin(struct asking *asking, struct faaslet_call *call, enum state_kind kind)
{
    const struct hostcall_process *process = wasi_process(call);
    int err = read_text(call, 0, asking->key);

    asking->call = call;
    asking->state = process->chain != NULL ? process->chain->state : NULL;
    asking->request = (struct state_request){
        .kind = kind, .key = asking->key, .version = UINT64_MAX, .owner = process->call};
    asking->result = (struct state_result){0};
    if (err == 0 && asking->state == NULL)
        err = -ENOSYS;
    if (err == 0 && asking->key[0] == '\0' && kind != STATE_LIST)
        err = -EINVAL;
    return err;
}

/* As guests are told it; -EINPROGRESS: the call is pending. */
static int
told(int err)
{
    if (err == -EAGAIN)
        return -EINPROGRESS;
    if (err == -STATE_EREFUSED)
        return -EAGAIN;
    return err == -EBADF ? -EIO : err; /* it was under way in another place */
}

int
state_ask(struct faaslet_call *call, const struct state_request *request,
          struct state_result *result)
{
    const struct hostcall_chain *chain = wasi_process(call)->chain;
    uint64_t op = call->scratch[0];
    int err;

    if (chain == NULL || chain->state == NULL)
        return -ENOSYS;
    if (op == 0)
        err = state_start(chain->state, request, request->owner, &op, result);
    else
        err = state_finish(chain->state, op, result);
    err = told(err);
    call->scratch[0] = err == -EINPROGRESS ? op : 0;
    call->wait->deadline_ns = CLOCK_NEVER_NS;
    call->wait->fd_count = 0;
    return err;
}

static int
ask(struct asking *asking)
{
    return state_ask(asking->call, &asking->request, &asking->result);
}

static enum faaslet_verdict
done(struct asking *asking, int err)
{
    state_result_fini(&asking->result);
    return err == -EINPROGRESS ? FAASLET_CALL_PENDING : wasi_done(asking->call, err);
}

static uint64_t
wait_of(int64_t timeout_ns)
{
    return timeout_ns < 0 ? UINT64_MAX : (uint64_t)timeout_ns;
}

/* One that gives nothing back. */
static enum faaslet_verdict
ask_only(struct asking *asking, int err)
{
    return done(asking, err == 0 ? ask(asking) : err);
}

/* One that gives a number, to where an argument says (0: nowhere). */
static enum faaslet_verdict
ask_number(struct asking *asking, int err, uint32_t to, const uint64_t *number)
{
    if (err == 0 && to != 0)
        err = wasi_check(asking->call, to, sizeof(*number));
    if (err == 0)
        err = ask(asking);
    if (err == 0 && to != 0)
        wasi_store_u64(asking->call, to, *number);
    return done(asking, err);
}

/* Bytes of the guest, from an argument and the next. */
static int
take_bytes(struct asking *asking, unsigned index)
{
    asking->request.count = wasi_arg(asking->call, index + 1);
    asking->request.bytes =
        faaslet_call_view(asking->call, wasi_arg(asking->call, index), asking->request.count);
    return asking->request.bytes == NULL ? -EFAULT : 0;
}

/* --------------------------------------------------------------------- whole values */

enum faaslet_verdict
weft_state_stat(struct faaslet_call *call)
{
    struct asking asking;
    uint32_t to = wasi_arg(call, 1);
    int err = begin(&asking, call, STATE_STAT);

    if (err == 0)
        err = wasi_check(call, to, sizeof(struct guest_info));
    if (err == 0)
        err = ask(&asking);
    if (err == 0) {
        const struct guest_info info = {.size = asking.result.size,
                                        .version = asking.result.version,
                                        .lives_ns = asking.result.lives_ns,
                                        .is_log = asking.result.is_log,
                                        .is_current = asking.result.is_current};

        wasi_store(call, to, &info, sizeof(info));
    }
    return done(&asking, err);
}

/* Where it is current nobody is asked, and nothing is copied twice. */
enum faaslet_verdict
weft_state_get(struct faaslet_call *call)
{
    struct asking asking;
    uint32_t to = wasi_arg(call, 2), count = wasi_arg(call, 3);
    int err = begin(&asking, call, STATE_GET);

    asking.request.offset = call->args[1];
    asking.request.count = count;
    if (err == 0)
        err = wasi_check(call, to, count);
    if (err == 0 && call->scratch[0] == 0) {
        err = state_read_current(asking.state, asking.key, asking.request.offset,
                                 faaslet_call_range(call, to, count), count);
        if (err != -EAGAIN)
            return done(&asking, err == -EINVAL ? -EMSGSIZE : err);
        err = 0;
    }
    if (err == 0) {
        err = ask(&asking);
        if (err == -EINVAL || (err == 0 && asking.result.count != count))
            err = -EMSGSIZE; /* the key is one: the offset is outside */
    }
    if (err == 0)
        wasi_store(call, to, asking.result.bytes, count);
    return done(&asking, err);
}

enum faaslet_verdict
weft_state_set(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_SET);

    if (err == 0)
        err = take_bytes(&asking, 1);
    return ask_only(&asking, err);
}

enum faaslet_verdict
weft_state_cas(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_CAS);

    asking.request.version = call->args[1];
    if (err == 0)
        err = take_bytes(&asking, 2);
    return ask_number(&asking, err, wasi_arg(call, 4), &asking.result.version);
}

static enum faaslet_verdict
add(struct faaslet_call *call, Rpc__StateNumber number)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_ADD);

    asking.request.offset = call->args[1];
    asking.request.operand = call->args[2]; /* of a double: its bits */
    asking.request.size = call->args[3];
    asking.request.number = (uint32_t)number;
    return ask_number(&asking, err, wasi_arg(call, 4), &asking.result.value);
}

enum faaslet_verdict
weft_state_add(struct faaslet_call *call)
{
    return add(call, RPC__STATE_NUMBER__STATE_NUMBER_I64);
}

enum faaslet_verdict
weft_state_add_double(struct faaslet_call *call)
{
    return add(call, RPC__STATE_NUMBER__STATE_NUMBER_F64);
}

enum faaslet_verdict
weft_state_remove(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_REMOVE);

    return ask_only(&asking, err);
}

enum faaslet_verdict
weft_state_expire(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_EXPIRE);

    asking.request.wait_ns = call->args[1];
    return ask_only(&asking, err);
}

/* As many keys as fit, whole ones. */
enum faaslet_verdict
weft_state_list(struct faaslet_call *call)
{
    struct asking asking;
    char after[STATE_KEY_BYTES_MAX + 1];
    uint32_t to = wasi_arg(call, 2), room = wasi_arg(call, 3), count_at = wasi_arg(call, 4);
    uint32_t count = 0;
    size_t used = 0;
    int err = begin(&asking, call, STATE_LIST);

    if (err == 0)
        err = read_text(call, 1, after);
    if (err == 0)
        err = wasi_check(call, to, room);
    if (err == 0)
        err = wasi_check(call, count_at, sizeof(count));
    asking.request.bytes = after;
    asking.request.count = err == 0 ? strlen(after) : 0;
    if (err == 0)
        err = ask(&asking);
    while (err == 0 && count < asking.result.item_count) {
        size_t bytes = strnlen((char *)asking.result.bytes + used, asking.result.count - used) + 1;

        if (used + bytes > room)
            break;
        used += bytes;
        count++;
    }
    if (err == 0 && count == 0 && asking.result.item_count > 0)
        err = -ENOBUFS;
    if (err == 0) {
        wasi_store(call, to, asking.result.bytes, used);
        wasi_store_u32(call, count_at, count);
    }
    return done(&asking, err);
}

enum faaslet_verdict
weft_state_watch(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_WATCH);

    asking.request.version = call->args[1];
    asking.request.wait_ns = wait_of((int64_t)call->args[2]);
    return ask_number(&asking, err, wasi_arg(call, 3), &asking.result.version);
}

/* ----------------------------------------------------------------- pull, push, locks */

static enum faaslet_verdict
move_part(struct faaslet_call *call, enum state_kind kind)
{
    struct asking asking;
    int err = begin(&asking, call, kind);

    asking.request.offset = call->args[1];
    asking.request.count = call->args[2];
    return ask_only(&asking, err);
}

enum faaslet_verdict
weft_state_pull(struct faaslet_call *call)
{
    return move_part(call, STATE_PULL);
}

enum faaslet_verdict
weft_state_push(struct faaslet_call *call)
{
    return move_part(call, STATE_PUSH);
}

enum faaslet_verdict
weft_state_push_if(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_PUSH);

    asking.request.version = call->args[1];
    return ask_number(&asking, err, wasi_arg(call, 2), &asking.result.version);
}

static enum faaslet_verdict
lock(struct faaslet_call *call, enum state_kind global, enum state_kind here, int64_t timeout_ns)
{
    struct asking asking;
    uint32_t how = wasi_arg(call, 1);
    int err = begin(&asking, call, (how & LOCK_HERE) != 0 ? here : global);

    asking.request.is_write = (how & LOCK_WRITE) != 0;
    asking.request.wait_ns = wait_of(timeout_ns);
    if (err == 0 && (how & ~(LOCK_WRITE | LOCK_HERE)) != 0)
        err = -EINVAL;
    return ask_only(&asking, err);
}

enum faaslet_verdict
weft_state_lock(struct faaslet_call *call)
{
    return lock(call, STATE_LOCK, STATE_LOCK_HERE, (int64_t)call->args[2]);
}

enum faaslet_verdict
weft_state_unlock(struct faaslet_call *call)
{
    return lock(call, STATE_UNLOCK, STATE_UNLOCK_HERE, 0);
}

/* ----------------------------------------------------------------------------- logs */

enum faaslet_verdict
weft_state_append(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_APPEND);

    if (err == 0)
        err = take_bytes(&asking, 1);
    return ask_number(&asking, err, wasi_arg(call, 3), &asking.result.value);
}

/* Checked before. */
static uint64_t
load_u64(const struct faaslet_call *call, uint32_t at)
{
    const void *from = faaslet_call_view(call, at, sizeof(uint64_t));
    uint64_t value = 0;

    if (from != NULL)
        (void)memcpy(&value, from, sizeof(value));
    return value;
}

static int
store_records(struct asking *asking, uint32_t to, uint32_t room, uint32_t counts_at,
              uint32_t count_max, uint32_t records_at)
{
    const struct state_result *result = &asking->result;
    uint32_t records = 0, used = 0;

    while (records < result->item_count && records < count_max &&
           result->counts[records] <= room - used)
        used += result->counts[records++];
    if (records == 0 && result->item_count > 0)
        return -ENOBUFS;
    if (used > 0)
        wasi_store(asking->call, to, result->bytes, used);
    if (records > 0)
        wasi_store(asking->call, counts_at, result->counts, records * sizeof(uint32_t));
    wasi_store_u32(asking->call, records_at, records);
    return 0;
}

enum faaslet_verdict
weft_state_read(struct faaslet_call *call)
{
    struct asking asking;
    uint32_t to = wasi_arg(call, 2), room = wasi_arg(call, 3), counts_at = wasi_arg(call, 4);
    uint32_t count_max = wasi_arg(call, 5), records_at = wasi_arg(call, 6);
    uint32_t index_at = wasi_arg(call, 1);
    int err = begin(&asking, call, STATE_READ);

    if (err == 0)
        err = wasi_check(call, index_at, sizeof(uint64_t));
    if (err == 0)
        asking.request.offset = load_u64(call, index_at);
    asking.request.count = room;
    asking.request.size = count_max;
    if (err == 0)
        err = wasi_check(call, to, room);
    if (err == 0)
        err = wasi_check(call, counts_at, (uint64_t)count_max * sizeof(uint32_t));
    if (err == 0)
        err = wasi_check(call, records_at, sizeof(uint32_t));
    if (err == 0 && count_max == 0)
        err = -EINVAL;
    if (err == 0)
        err = ask(&asking);
    if (err == 0)
        err = store_records(&asking, to, room, counts_at, count_max, records_at);
    if (err == 0)
        wasi_store_u64(call, index_at, asking.result.value);
    return done(&asking, err);
}

enum faaslet_verdict
weft_state_trim(struct faaslet_call *call)
{
    struct asking asking;
    int err = begin(&asking, call, STATE_TRIM);

    asking.request.offset = call->args[1];
    return ask_only(&asking, err);
}

/* -------------------------------------------------------------------------- mapping */

static struct hostcall_map *
new_map(struct hostcall_process *process)
{
    struct hostcall_map *maps;

    if (process->map_count >= MAPS_MAX)
        return NULL;
    maps = realloc(process->maps, (process->map_count + 1) * sizeof(*maps));
    if (maps == NULL)
        return NULL;
    process->maps = maps;
    return &maps[process->map_count];
}

static void
let_go(struct state *state, struct state_mapping *mapping)
{
    state_unmap(state, mapping->entry, mapping->is_writable);
    mem_share_put(mapping->share);
}

/* What state_map gave becomes memory, and a line of the record. */
static int
place(struct asking *asking, struct state_mapping *mapping, uint32_t flags, uint64_t *at)
{
    struct hostcall_process *process = wasi_process(asking->call);
    struct hostcall_map *map = new_map(process);
    uint64_t offset = asking->request.offset;
    uint64_t bytes = asking->request.count != 0 ? asking->request.count : mapping->size - offset;
    int err = map == NULL ? -ENOMEM
                          : faaslet_call_share(asking->call, mapping->share, offset, bytes,
                                               (flags & STATE_MAP_WRITE) != 0, at);

    if (err != 0)
        return err;
    *map = (struct hostcall_map){.entry = mapping->entry,
                                 .share = mapping->share,
                                 .at = *at,
                                 .offset = offset,
                                 .bytes = bytes,
                                 .size = mapping->size,
                                 .flags = flags | mapping->elements};
    (void)memcpy(map->key, asking->key, sizeof(map->key));
    process->map_count++;
    return 0;
}

enum faaslet_verdict
weft_state_map(struct faaslet_call *call)
{
    uint32_t flags = wasi_arg(call, 3), to = wasi_arg(call, 4);
    struct state_mapping mapping;
    struct asking asking;
    uint64_t at = 0;
    int err = begin(&asking, call, STATE_PULL);

    asking.request.offset = call->args[1];
    asking.request.count = call->args[2];
    if (err == 0)
        err = wasi_check(call, to, sizeof(uint32_t));
    if (err == 0 && ((flags & ~FLAGS_ALL) != 0 || asking.request.offset % STATE_CHUNK_BYTES != 0))
        err = -EINVAL;
    if (err == 0 && member_has_others(wasi_process(call)))
        err = -ENOTSUP; /* they may copy any of its memory, which is to be there */
    if (err != 0)
        return done(&asking, err);
    err = told(state_map(asking.state, &asking.request, flags, asking.request.owner,
                         &call->scratch[0], &mapping));
    if (err == 0)
        err = place(&asking, &mapping, flags, &at);
    else
        mapping.share = NULL;
    if (err != 0 && mapping.share != NULL)
        let_go(asking.state, &mapping);
    if (err == 0)
        wasi_store_u32(call, to, (uint32_t)at);
    call->wait->deadline_ns = CLOCK_NEVER_NS;
    call->wait->fd_count = 0;
    return done(&asking, err);
}

enum faaslet_verdict
weft_state_unmap(struct faaslet_call *call)
{
    struct hostcall_process *process = wasi_process(call);
    uint32_t at = wasi_arg(call, 0), i = 0;
    int err;

    while (i < process->map_count && process->maps[i].at != at)
        i++;
    if (i == process->map_count)
        return wasi_done(call, -EINVAL);
    err = faaslet_call_unshare(call, at);
    if (err != 0)
        return wasi_done(call, err);
    state_map_fini(process, &process->maps[i]);
    process->maps[i] = process->maps[--process->map_count];
    return wasi_done(call, 0);
}

void
state_map_fini(const struct hostcall_process *process, struct hostcall_map *map)
{
    if (map->share == NULL)
        return;
    state_unmap(process->chain->state, map->entry, (map->flags & STATE_MAP_WRITE) != 0);
    mem_share_put(map->share);
    map->share = NULL;
}

void
state_maps_fini(struct hostcall_process *process)
{
    for (uint32_t i = 0; i < process->map_count; i++)
        state_map_fini(process, &process->maps[i]);
    free(process->maps);
}

void
hostcall_process_unmap(struct hostcall_process *process)
{
    for (uint32_t i = 0; process != NULL && i < process->map_count; i++)
        state_map_fini(process, &process->maps[i]);
}

/* ------------------------------------------------------------------ freeze and thaw */

struct frozen_map {
    uint64_t at, bytes, offset, size, flags, key_bytes;
};

void
state_maps_freeze(const struct hostcall_process *process, struct buffer *out)
{
    for (uint32_t i = 0; i < process->map_count; i++) {
        const struct hostcall_map *map = &process->maps[i];
        struct buffer key = {.bytes = (uint8_t *)(uintptr_t)map->key, .count = strlen(map->key)};
        const struct frozen_map frozen = {.at = map->at,
                                          .bytes = map->bytes,
                                          .offset = map->offset,
                                          .size = map->size,
                                          .flags = map->flags,
                                          .key_bytes = key.count};

        buffer_append(out, &frozen, sizeof(frozen));
        files_text_freeze(&key, out);
    }
}

static int
thaw_map(struct hostcall_reading *reading, struct hostcall_map *map)
{
    struct frozen_map frozen;
    struct buffer key = {0};
    const uint8_t *text;
    int err;

    if (!hostcall_take(reading, &frozen, sizeof(frozen)) || frozen.key_bytes == 0 ||
        frozen.key_bytes > STATE_KEY_BYTES_MAX || frozen.bytes == 0 ||
        frozen.offset % STATE_CHUNK_BYTES != 0 || frozen.offset >= frozen.size ||
        frozen.bytes > frozen.size - frozen.offset || (frozen.flags & ~(uint64_t)FLAGS_ALL) != 0)
        return -EINVAL;
    text = hostcall_take_text(reading, frozen.key_bytes);
    err = text == NULL ? -EINVAL : files_text_thaw(text, frozen.key_bytes, &key);
    *map = (struct hostcall_map){.at = frozen.at,
                                 .bytes = frozen.bytes,
                                 .offset = frozen.offset,
                                 .size = frozen.size,
                                 .flags = (uint32_t)frozen.flags};
    if (err == 0)
        (void)memcpy(map->key, key.bytes, key.count);
    buffer_fini(&key);
    return err;
}

/* Their entries are taken at once, so that what was written here is not forgotten in between. */
int
state_maps_thaw(struct hostcall_reading *reading, uint64_t count, struct hostcall_process *process)
{
    struct state *state = process->chain != NULL ? process->chain->state : NULL;
    int err = count > MAPS_MAX ? -EINVAL : 0;

    for (uint64_t i = 0; err == 0 && i < count; i++) {
        struct hostcall_map *map = new_map(process);
        struct state_mapping mapping;

        err = map == NULL ? -ENOMEM : thaw_map(reading, map);
        if (err != 0)
            break;
        process->map_count++;
        if (state == NULL || state_map_again(state, map->key, map->size, map->flags, &mapping) != 0)
            continue;
        map->share = mapping.share;
        map->entry = mapping.entry;
    }
    return err;
}

int
hostcall_process_attach(struct hostcall_process *process, struct faaslet *faaslet)
{
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < process->map_count; i++) {
        const struct hostcall_map *map = &process->maps[i];
        const struct faaslet_share share = {.share = map->share,
                                            .share_offset = map->offset,
                                            .offset = map->at,
                                            .bytes = ROUND_UP(map->bytes, HOST_PAGE_BYTES),
                                            .is_writable = (map->flags & STATE_MAP_WRITE) != 0};

        /* The value has another size by now, or there was no room for it. */
        err = map->share == NULL ? -ESTALE : faaslet_share_at(faaslet, &share);
    }
    return err;
}

int
hostcall_process_touch(struct hostcall_process *process, const struct mem_share *share,
                       uint64_t offset)
{
    for (uint32_t i = 0; i < process->map_count; i++)
        if (process->maps[i].share == share)
            return told(
                state_touch(process->chain->state, process->maps[i].entry, offset, process->call));
    return -EFAULT;
}
