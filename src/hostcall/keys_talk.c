/* SPDX-License-Identifier: Apache-2.0
 *
 * /dev/weft/state: what weft/state.h has and files have not, as requests that are written and
 * answers that are read. One write is one request:
 *
 *     OPERATION KEY_BYTES NUMBER...\n    and then the key, and after it bytes
 *
 * It returns when that is done, with the error of it; then what is read is the answer, a line with
 * numbers and after it bytes, up to its end. Numbers are decimal. What is no request is EINVAL,
 * and changes nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "hostcall/hostcall_internal.h"

#define LINE_BYTES_MAX  128u
#define NUMBERS_MAX     3u
#define ANSWER_ROOM     (2u << 20) /* for all but the bytes of a value */
#define LOCK_FLAGS      3u
#define LOCK_WRITE_FLAG 1u
#define LOCK_HERE_FLAG  2u

enum answer {
    ANSWER_NONE,
    ANSWER_STAT,
    ANSWER_BYTES,
    ANSWER_VERSION,
    ANSWER_VALUE,
    ANSWER_SIGNED,
    ANSWER_RECORDS,
    ANSWER_KEYS
};

#define TO(field) offsetof(struct state_request, field)
#define HOW       TO(size) /* of locks: the flags */

static const struct operation {
    const char *name;
    enum state_kind kind;
    enum answer answer;
    bool has_bytes;
    uint8_t numbers;
    size_t to[NUMBERS_MAX]; /* where they go */
} operations[] = {
    /* the answer: size version lives_ns is_log is_current */
    {"stat", STATE_STAT, ANSWER_STAT, false, 0, {0}},
    /* version size, and bytes */
    {"get", STATE_GET, ANSWER_BYTES, false, 2, {TO(offset), TO(count)}},
    {"set", STATE_SET, ANSWER_NONE, true, 0, {0}},
    {"cas", STATE_CAS, ANSWER_VERSION, true, 1, {TO(version)}},
    {"add", STATE_ADD, ANSWER_SIGNED, false, 3, {TO(offset), TO(size), TO(operand)}},
    /* the same with the bits of doubles */
    {"addf", STATE_ADD, ANSWER_VALUE, false, 3, {TO(offset), TO(size), TO(operand)}},
    /* the index */
    {"append", STATE_APPEND, ANSWER_VALUE, true, 0, {0}},
    /* of the first, and the lengths; and bytes */
    {"read", STATE_READ, ANSWER_RECORDS, false, 3, {TO(offset), TO(size), TO(count)}},
    {"trim", STATE_TRIM, ANSWER_NONE, false, 1, {TO(offset)}},
    {"remove", STATE_REMOVE, ANSWER_NONE, false, 0, {0}},
    {"expire", STATE_EXPIRE, ANSWER_NONE, false, 1, {TO(wait_ns)}},
    /* after the prefix the key to go on after; how many, and each with a NUL */
    {"list", STATE_LIST, ANSWER_KEYS, true, 1, {TO(count)}},
    {"watch", STATE_WATCH, ANSWER_VERSION, false, 2, {TO(version), TO(wait_ns)}},
    {"lock", STATE_LOCK, ANSWER_NONE, false, 2, {HOW, TO(wait_ns)}},
    {"unlock", STATE_UNLOCK, ANSWER_NONE, false, 1, {HOW}},
};

struct talk {
    const struct operation *operation;
    uint64_t numbers[NUMBERS_MAX];
    char key[STATE_KEY_BYTES_MAX + 1];
    char after[STATE_KEY_BYTES_MAX + 1];
    struct state_request request;
};

/* -------------------------------------------------------------------------- parsing */

/* What is before a space or the end of the line; then one space is skipped. */
static size_t
word(const char **at)
{
    size_t bytes = strcspn(*at, " ");

    *at += bytes + ((*at)[bytes] == ' ');
    return bytes;
}

static bool
read_number(const char **at, uint64_t *out)
{
    const char *from = *at;
    bool is_negative = *from == '-';
    size_t bytes = word(at);
    uint64_t value = 0;

    from += is_negative;
    bytes -= is_negative;
    if (bytes == 0)
        return false;
    for (; bytes > 0; bytes--, from++) {
        uint64_t digit = (uint64_t)(unsigned char)*from - '0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (is_negative && value > UINT64_C(1) << 63)
        return false;
    *out = is_negative ? -value : value;
    return true;
}

static int
parse_line(const char *line, struct talk *talk, uint64_t *key_bytes)
{
    const char *at = line;
    size_t bytes = word(&at);

    talk->operation = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++)
        if (strlen(operations[i].name) == bytes && memcmp(operations[i].name, line, bytes) == 0)
            talk->operation = &operations[i];
    if (talk->operation == NULL || !read_number(&at, key_bytes))
        return -EINVAL;
    for (size_t i = 0; i < talk->operation->numbers; i++)
        if (!read_number(&at, &talk->numbers[i]))
            return -EINVAL;
    return *at != '\0' || at[-1] == ' ' ? -EINVAL : 0;
}

/* Text that becomes a string. */
static int
take_text(const uint8_t *bytes, size_t count, char to[STATE_KEY_BYTES_MAX + 1])
{
    if (count > STATE_KEY_BYTES_MAX)
        return -ENAMETOOLONG;
    if (memchr(bytes, 0, count) != NULL || !utf8_is_valid(bytes, count))
        return -EINVAL;
    (void)memcpy(to, bytes, count);
    to[count] = '\0';
    return 0;
}

static int
fill_lock(struct state_request *request)
{
    bool is_lock = request->kind == STATE_LOCK;
    uint64_t how = request->size;

    if (how > LOCK_FLAGS)
        return -EINVAL;
    request->is_write = (how & LOCK_WRITE_FLAG) != 0;
    if ((how & LOCK_HERE_FLAG) != 0)
        request->kind = is_lock ? STATE_LOCK_HERE : STATE_UNLOCK_HERE;
    return 0;
}

/* Numbers become fields. */
static int
fill(struct talk *talk)
{
    const struct operation *operation = talk->operation;
    struct state_request *request = &talk->request;

    for (size_t i = 0; i < operation->numbers; i++)
        (void)memcpy((char *)request + operation->to[i], &talk->numbers[i], sizeof(uint64_t));
    if (request->kind == STATE_GET && request->count > KEYS_BYTES_MAX)
        return -EINVAL;
    if (request->kind == STATE_LIST)
        request->bytes = talk->after;
    if (request->kind == STATE_ADD)
        request->number = operation->answer == ANSWER_SIGNED ? RPC__STATE_NUMBER__STATE_NUMBER_I64
                                                             : RPC__STATE_NUMBER__STATE_NUMBER_F64;
    if (request->kind == STATE_LOCK || request->kind == STATE_UNLOCK)
        return fill_lock(request);
    return 0;
}

static int
parse(const uint8_t *bytes, size_t count, struct talk *talk)
{
    char line[LINE_BYTES_MAX + 1];
    const uint8_t *end = memchr(bytes, '\n', count < LINE_BYTES_MAX ? count : LINE_BYTES_MAX);
    uint64_t key_bytes = 0;
    int err;

    if (end == NULL || memchr(bytes, 0, (size_t)(end - bytes)) != NULL)
        return -EINVAL;
    (void)memcpy(line, bytes, (size_t)(end - bytes));
    line[end - bytes] = '\0';
    count -= (size_t)(++end - bytes);
    err = parse_line(line, talk, &key_bytes);
    if (err == 0 && key_bytes > count)
        err = -EINVAL;
    if (err == 0)
        err = take_text(end, (size_t)key_bytes, talk->key);
    if (err != 0)
        return err;
    talk->request = (struct state_request){.kind = talk->operation->kind,
                                           .key = talk->key,
                                           .bytes = end + key_bytes,
                                           .count = count - (size_t)key_bytes,
                                           .version = UINT64_MAX};
    if (key_bytes == 0 && talk->request.kind != STATE_LIST)
        return -EINVAL;
    if (talk->request.count > 0 && !talk->operation->has_bytes)
        return -EINVAL;
    if (talk->request.kind == STATE_LIST)
        err = take_text(talk->request.bytes, talk->request.count, talk->after);
    return err == 0 ? fill(talk) : err;
}

/* ------------------------------------------------------------------------ answering */

static void
append_records(struct buffer *out, const struct state_result *result)
{
    buffer_append_format(out, "%llu", (unsigned long long)result->value);
    for (size_t i = 0; i < result->item_count; i++)
        buffer_append_format(out, " %u", result->counts[i]);
    buffer_append(out, "\n", 1);
    buffer_append(out, result->bytes, result->count);
}

static void
append_answer(struct buffer *out, enum answer answer, const struct state_result *result)
{
    unsigned long long size = result->size, version = result->version;

    switch (answer) {
    case ANSWER_NONE:
        break;
    case ANSWER_STAT:
        buffer_append_format(out, "%llu %llu %llu %d %d\n", size, version,
                             (unsigned long long)result->lives_ns, result->is_log,
                             result->is_current);
        break;
    case ANSWER_BYTES:
        buffer_append_format(out, "%llu %llu\n", version, size);
        buffer_append(out, result->bytes, result->count);
        break;
    case ANSWER_VERSION:
        buffer_append_format(out, "%llu\n", version);
        break;
    case ANSWER_VALUE:
        buffer_append_format(out, "%llu\n", (unsigned long long)result->value);
        break;
    case ANSWER_SIGNED:
        buffer_append_format(out, "%lld\n", (long long)result->value);
        break;
    case ANSWER_RECORDS:
        append_records(out, result);
        break;
    case ANSWER_KEYS:
        buffer_append_format(out, "%zu\n", result->item_count);
        if (result->item_count > 0)
            buffer_append(out, result->bytes, result->count);
        break;
    }
}

/* ------------------------------------------------------------------------------ all */

static int
begin(struct faaslet_call *call, const struct wasi_buffers *buffers, struct talk *talk,
      struct state_result *result)
{
    struct buffer whole = {0};
    const uint8_t *bytes = buffers->count > 0 ? buffers->iov[0].iov_base : NULL;
    uint64_t room = keys_room(wasi_process(call));
    int err = buffers->total > KEYS_TALK_BYTES ? -E2BIG : 0;

    if (buffers->total == 0)
        return -EINVAL;
    for (size_t i = 0; err == 0 && buffers->count > 1 && i < buffers->count; i++)
        buffer_append(&whole, buffers->iov[i].iov_base, buffers->iov[i].iov_len);
    if (err == 0)
        err = whole.err;
    if (buffers->count > 1)
        bytes = whole.bytes;
    if (err == 0)
        err = parse(bytes, (size_t)buffers->total, talk);
    if (err == 0 && talk->operation->answer != ANSWER_NONE && room < ANSWER_ROOM)
        err = -ENOBUFS;
    if (err == 0 && talk->request.kind == STATE_GET && talk->request.count > room)
        talk->request.count = room;
    if (err == 0) {
        talk->request.owner = wasi_process(call)->call;
        err = state_ask(call, &talk->request, result);
    }
    buffer_fini(&whole);
    return err;
}

/* What was asked is read once: the guest's bytes may be others when it is called again. */
int
keys_talk(struct faaslet_call *call, struct keys_file *file, const struct wasi_buffers *buffers)
{
    struct state_result result = {0};
    enum answer answer;
    struct talk talk;
    int err;

    if (call->scratch[0] == 0) {
        buffer_fini(&file->bytes); /* what was not read of the answer before */
        file->taken = 0;
        err = begin(call, buffers, &talk, &result);
        if (err == -EINPROGRESS)
            call->scratch[1] = (uint64_t)(talk.operation - operations);
        answer = err == 0 ? talk.operation->answer : ANSWER_NONE;
    } else {
        const struct state_request request = {.owner = wasi_process(call)->call};

        answer = operations[call->scratch[1] % ARRAY_COUNT(operations)].answer;
        err = state_ask(call, &request, &result);
    }
    if (err == 0) {
        append_answer(&file->bytes, answer, &result);
        err = file->bytes.err;
        file->bytes.err = 0;
    }
    state_result_fini(&result);
    return err;
}
