/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of the guest "history" while a cluster is being killed, and whether there is an order of
 * all that they did which explains what they saw (tests/order.h).
 *
 * What was answered with 0 has happened once; with EIO once or not at all, then or later; with
 * another error not at all. Of a call that was lost each operation may have happened.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../order.h"
#include "crash.h"
#include "guests/history.h"

#define CALLS_MAX       32768u
#define CALLS_OF_GROUP  8u
#define THREADS         8u
#define OPS             16u
#define ASK_MS          30000u
#define AWAIT_SECONDS   60u
#define EVENTS_MAX      (CALLS_OF_GROUP * HISTORY_OPS_MAX)
#define GUEST_EAGAIN    6
#define GUEST_EIO       29
#define GUEST_ESTALE    72
#define GUEST_ERRNO_MAX 128

struct asked {
    struct history_call call;
    uint64_t sent, id;
    bool is_lost, is_again, is_answered;
    struct history_op ops[HISTORY_OPS_MAX];
    char host[64];
};

struct history {
    struct crash_cluster *cluster;
    struct asked *asked;
    atomic_size_t count;
    atomic_bool is_over;
    pthread_t threads[THREADS];
    uint64_t seed;
    unsigned pause_us;
};

static struct history history;

/* ------------------------------------------------------------------------------ calling */

static bool
submit(struct crash_client *client, struct asked *asked)
{
    char key[64];
    const struct crash_request request = {.method = "POST",
                                          .path = "/v1/invoke/history?async=1&priority=9",
                                          .key = key,
                                          .body = &asked->call,
                                          .count = sizeof(asked->call),
                                          .timeout_ms = ASK_MS};
    struct crash_answer answer;

    (void)snprintf(key, sizeof(key), "history-%" PRIu64 "-%" PRIu64, history.seed,
                   asked->call.number);
    crash_ask(client, &request, &answer);
    if (answer.status == 202 || answer.status == 200) {
        json_t *json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
        const char *text = json_string_value(json_object_get(json, "call"));

        asked->id = text != NULL ? strtoull(text, NULL, 10) : 0;
        json_decref(json);
    }
    buffer_fini(&answer.body);
    return asked->id != 0;
}

/* True: it is over. */
static bool
fetch(struct crash_client *client, struct asked *asked)
{
    char path[96];
    const struct crash_request request = {.method = "GET", .path = path, .timeout_ms = ASK_MS};
    struct crash_answer answer;
    bool is_over;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64 "/result?wait_ms=5000", asked->id);
    crash_ask(client, &request, &answer);
    if (answer.status == 200 && answer.body.count == asked->call.ops * sizeof(asked->ops[0])) {
        (void)memcpy(asked->ops, answer.body.bytes, answer.body.count);
        asked->is_answered = true;
    }
    is_over = answer.status != 0 && answer.status != 202 && answer.status != 503;
    asked->is_lost = is_over && !asked->is_answered;
    asked->is_again = strcmp((const char *)answer.body.bytes, HISTORY_AGAIN) == 0;
    if (asked->is_lost && !asked->is_again &&
        strstr((const char *)answer.body.bytes, "\"function_lost\"") == NULL)
        crash_check(false, "a call of history fails only with its host: %ld %.300s", answer.status,
                    (const char *)answer.body.bytes);
    buffer_fini(&answer.body);
    return is_over;
}

static void
ask(struct crash_client *client, struct asked *asked)
{
    uint64_t until_ns = UINT64_MAX;

    asked->sent = clock_now_ns();
    while (asked->id == 0 && !submit(client, asked) && clock_now_ns() < until_ns) {
        if (atomic_load(&history.is_over) && until_ns == UINT64_MAX)
            until_ns = clock_now_ns() + AWAIT_SECONDS * (uint64_t)CLOCK_NS_PER_SECOND;
        crash_sleep_ms(50);
    }
    until_ns = UINT64_MAX;
    while (asked->id != 0 && !fetch(client, asked) && clock_now_ns() < until_ns &&
           !crash_is_interrupted()) {
        if (atomic_load(&history.is_over) && until_ns == UINT64_MAX)
            until_ns = clock_now_ns() + AWAIT_SECONDS * (uint64_t)CLOCK_NS_PER_SECOND;
    }
}

static void *
thread_main(void *context)
{
    struct crash_client client;

    (void)context;
    crash_client_open(&client, history.cluster);
    while (!atomic_load(&history.is_over)) {
        size_t i = atomic_fetch_add(&history.count, 1);
        struct asked *asked = &history.asked[i];

        if (i >= CALLS_MAX)
            break;
        asked->call = (struct history_call){.number = i + 1,
                                            .seed = history.seed + i * 7919,
                                            .ops = OPS,
                                            .pause_us_max = history.pause_us};
        (void)snprintf(asked->call.group, sizeof(asked->call.group), "g%" PRIx64 "-%zu",
                       history.seed & 0xffffff, i / CALLS_OF_GROUP);
        ask(&client, asked);
    }
    crash_client_close(&client);
    return NULL;
}

void
crash_history_start(struct crash_cluster *cluster, uint64_t seed, unsigned pause_us)
{
    free(history.asked);
    history = (struct history){.cluster = cluster, .seed = seed, .pause_us = pause_us};
    history.asked = calloc(CALLS_MAX, sizeof(*history.asked));
    if (history.asked == NULL)
        abort();
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&history.threads[i], NULL, thread_main, NULL) != 0)
            abort();
}

void
crash_history_stop(void)
{
    atomic_store(&history.is_over, true);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(history.threads[i], NULL);
    if (history.count > CALLS_MAX)
        history.count = CALLS_MAX;
}

/* ------------------------------------------------------------------------- one group */

struct group {
    struct asked *calls;
    size_t count;
    size_t index;
};

struct tally {
    size_t groups, calls, answered, lost, again, ops, done, unknown, refused;
    size_t wrong, tired;
    size_t by_errno[GUEST_ERRNO_MAX], by_kind[HISTORY_KINDS], met;
    uint64_t longest_ns;
    uint32_t longest_kind;
    char hosts[4][64];
    size_t host_count;
};

enum fate { DONE, UNKNOWN, REFUSED };

static enum fate
fate_of(const struct asked *asked, uint32_t i, struct history_op *out)
{
    if (!asked->is_answered) {
        history_pick(&asked->call, i, out);
        out->value = history_mark(&asked->call, i);
        out->begun = asked->sent;
        return UNKNOWN;
    }
    *out = asked->ops[i];
    return out->err == 0 ? DONE : out->err == GUEST_EIO ? UNKNOWN : REFUSED;
}

static void PRINTF_LIKE(3, 4)
    complain(struct tally *tally, const struct group *group, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (tally->wrong++ < 10)
        crash_say("group %zu: %s", group->index, text);
}

/* Its bytes; false: it is not to be had. */
static bool
read_state(struct crash_client *client, const struct group *group, const char *what,
           struct crash_answer *answer)
{
    char path[96];
    const struct crash_request request = {.method = "GET", .path = path, .timeout_ms = ASK_MS};

    (void)snprintf(path, sizeof(path), "/v1/state/%s%%2F%s", group->calls[0].call.group, what);
    for (unsigned i = 0; i < 20; i++) {
        crash_ask(client, &request, answer);
        if (answer->status == 200 || answer->status == 404)
            return true;
        buffer_fini(&answer->body);
        crash_sleep_ms(500);
    }
    return crash_check(false, "GET %s is answered", path);
}

/* 0: there is none. */
static uint64_t
read_number(struct crash_client *client, struct tally *tally, const struct group *group,
            const char *what)
{
    struct crash_answer answer;
    uint64_t value = 0;

    if (!read_state(client, group, what, &answer))
        return 0;
    if (answer.status == 200 && answer.body.count == sizeof(value))
        (void)memcpy(&value, answer.body.bytes, sizeof(value));
    else if (answer.status == 200)
        complain(tally, group, "%s has %zu bytes", what, answer.body.count);
    buffer_fini(&answer.body);
    return value;
}

static const char *const names[] = {"count", "log",        "locked", "mapped",
                                    "queue", "queue.next", "meet",   "permit"};

/* Each that was done once; nothing that nobody did. */
static void
check_number(struct crash_client *client, struct tally *tally, const struct group *group,
             enum history_kind kind)
{
    struct event events[EVENTS_MAX], inside[EVENTS_MAX];
    size_t done = 0, unknown = 0;
    uint64_t found = read_number(client, tally, group, names[kind]);

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(&group->calls[c], i, &op);

            if (op.kind != kind)
                continue;
            unknown += fate == UNKNOWN;
            if (fate != DONE)
                continue;
            inside[done] = (struct event){op.value, op.entered, op.leaving};
            events[done++] = (struct event){op.value, op.begun, op.over};
        }
    if (!order_is_fine(events, done, true))
        complain(tally, group, "%s: what was answered has no order", names[kind]);
    if (found < done || found > done + unknown || (done > 0 && found < events[done - 1].place))
        complain(tally, group, "%s: %zu were done and %zu may be, but it is %" PRIu64, names[kind],
                 done, unknown, found);
    if (kind != HISTORY_LOCKED && kind != HISTORY_MAPPED)
        return;
    (void)order_is_fine(inside, done, true);
    for (size_t i = 1; i < done; i++)
        if (inside[i].begun < inside[i - 1].over)
            complain(tally, group, "%s: two had the lock at one time", names[kind]);
}

/* ------------------------------------------------------------------------------ the log */

static unsigned
digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (unsigned)(at - digits) : 0;
}

/* The 8 bytes that 12 letters of base64 stand for. */
static uint64_t
mark_of(const char *text)
{
    uint64_t value = 0;
    uint8_t bytes[9];

    if (text == NULL || strlen(text) != 12)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        const char *at = text + 4 * i;
        unsigned bits = digit(at[0]) << 18 | digit(at[1]) << 12 | digit(at[2]) << 6 | digit(at[3]);

        bytes[3 * i] = (uint8_t)(bits >> 16);
        bytes[3 * i + 1] = (uint8_t)(bits >> 8);
        bytes[3 * i + 2] = (uint8_t)bits;
    }
    (void)memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Which one of the group has this mark. */
static enum fate
find_mark(const struct group *group, uint64_t mark, enum history_kind kind, struct history_op *out)
{
    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++)
            if (history_mark(&group->calls[c].call, i) == mark) {
                enum fate fate = fate_of(&group->calls[c], i, out);

                return out->kind == kind ? fate : REFUSED;
            }
    return REFUSED;
}

struct records {
    uint64_t marks[EVENTS_MAX];
    size_t count;
};

/* How many of them are of those that were answered; an item of a queue has no index. */
static size_t
check_records(struct tally *tally, const struct group *group, enum history_kind kind,
              const struct records *records)
{
    struct event events[EVENTS_MAX];
    size_t done = 0;

    for (size_t i = 0; i < records->count; i++) {
        struct history_op op = {0};
        enum fate fate = find_mark(group, records->marks[i], kind, &op);

        if (fate == REFUSED)
            complain(tally, group, "%s: record %zu is nobody's", names[kind], i);
        for (size_t k = 0; k < i; k++)
            if (records->marks[k] == records->marks[i])
                complain(tally, group, "%s: records %zu and %zu are one", names[kind], k, i);
        if (fate == DONE && kind == HISTORY_APPEND && op.value != i)
            complain(tally, group, "log: record %" PRIu64 " is at %zu", op.value, i);
        if (fate == DONE)
            events[done++] = (struct event){i, op.begun, op.over};
    }
    if (!order_is_fine(events, done, true))
        complain(tally, group, "%s: what was answered has no order", names[kind]);
    return done;
}

static bool
read_records(struct crash_client *client, const struct group *group, const char *what,
             struct records *out)
{
    struct crash_answer answer;
    json_t *json, *record;
    char path[64];
    size_t i;

    *out = (struct records){.count = 0};
    (void)snprintf(path, sizeof(path), "%s/records?limit=1000", what);
    if (!read_state(client, group, path, &answer))
        return false;
    json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
    json_array_foreach(json_object_get(json, "records"), i, record)
    {
        if (out->count < EVENTS_MAX)
            out->marks[out->count++] =
                mark_of(json_string_value(json_object_get(record, "base64")));
    }
    json_decref(json);
    buffer_fini(&answer.body);
    return true;
}

static void
check_log(struct crash_client *client, struct tally *tally, const struct group *group,
          enum history_kind kind, struct records *records)
{
    size_t wanted = 0, found;

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;

            wanted += fate_of(&group->calls[c], i, &op) == DONE && op.kind == kind;
        }
    if (!read_records(client, group, names[kind], records))
        return;
    found = check_records(tally, group, kind, records);
    if (found != wanted)
        complain(tally, group, "%s: %zu were appended, %zu of them are there", names[kind], wanted,
                 found);
}

/* ----------------------------------------------------------------------------- objects */

static size_t
place_of(const struct records *records, uint64_t mark)
{
    for (size_t i = 0; i < records->count; i++)
        if (records->marks[i] == mark)
            return i;
    return SIZE_MAX;
}

/* What was popped was pushed, once, in order, and is before the next that will be. */
static void
check_queue(struct crash_client *client, struct tally *tally, const struct group *group)
{
    struct records records = {.count = 0};
    struct event events[EVENTS_MAX];
    size_t done = 0, unknown = 0;
    uint64_t next;

    check_log(client, tally, group, HISTORY_PUSH, &records);
    next = read_number(client, tally, group, names[HISTORY_POP]);
    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(&group->calls[c], i, &op);
            size_t place = place_of(&records, op.value);

            if (op.kind != HISTORY_POP)
                continue;
            unknown += fate == UNKNOWN;
            if (fate != DONE)
                continue;
            if (place >= next)
                complain(tally, group, "queue: popped %" PRIx64 " at %zu, the next is %" PRIu64,
                         op.value, place, next);
            events[done++] = (struct event){place, op.begun, op.over};
        }
    if (!order_is_fine(events, done, true))
        complain(tally, group, "queue: what was popped has no order");
    if (next < done || next > done + unknown || next > records.count)
        complain(tally, group, "queue: %zu popped, %zu may be, the next is %" PRIu64 " of %zu",
                 done, unknown, next, records.count);
}

/* Who went on had as many come as his ticket says. */
static void
check_meeting(struct tally *tally, const struct group *group, const struct history_op *passed)
{
    size_t came = 0;

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(&group->calls[c], i, &op);

            came += op.kind == HISTORY_MEET && fate != REFUSED && op.begun < passed->over;
        }
    tally->met++;
    if (came < passed->version)
        complain(tally, group, "meet: %zu came, and %" PRIu64 " were waited for", came,
                 passed->version);
}

static void
check_barrier(struct crash_client *client, struct tally *tally, const struct group *group)
{
    uint64_t found = read_number(client, tally, group, names[HISTORY_MEET]);
    size_t done = 0, unknown = 0;

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(&group->calls[c], i, &op);

            if (op.kind != HISTORY_MEET)
                continue;
            done += fate == DONE;
            unknown += fate == UNKNOWN;
            if (fate == DONE && op.value == 0)
                check_meeting(tally, group, &op);
        }
    if (found < done || found > done + unknown)
        complain(tally, group, "meet: %zu came, %zu may have, but it is %" PRIu64, done, unknown,
                 found);
}

/* Never more than two; who was lost takes his along, and nobody else's. */
static void
check_permits(struct crash_client *client, struct tally *tally, const struct group *group)
{
    uint64_t found = read_number(client, tally, group, names[HISTORY_PERMIT]);
    struct history_op had[EVENTS_MAX];
    size_t done = 0, gone = 0;

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            enum fate fate = fate_of(&group->calls[c], i, &had[done]);

            if (had[done].kind != HISTORY_PERMIT)
                continue;
            gone += fate == UNKNOWN || (fate == DONE && had[done].value != 0);
            done += fate == DONE;
        }
    for (size_t i = 0; i < done; i++) {
        size_t inside = 0;

        for (size_t k = 0; k < done; k++)
            inside += had[k].entered <= had[i].entered && had[i].entered < had[k].leaving;
        if (inside > 2)
            complain(tally, group, "permit: %zu had one at one time", inside);
    }
    if (found > 2 || (done > 0 && found + gone < 2))
        complain(tally, group, "permit: %" PRIu64 " are left, %zu may be gone", found, gone);
}

/* ------------------------------------------------------------------------ the registers */

static bool
as_register(const struct history_op *op, enum fate fate, struct register_op *out)
{
    static const enum register_kind kinds[] = {REGISTER_WRITE, REGISTER_READ,  REGISTER_VERSION,
                                               REGISTER_SWAP,  REGISTER_WRITE, REGISTER_READ,
                                               REGISTER_WRITE};

    if (op->kind < HISTORY_SET)
        return false;
    *out = (struct register_op){.begun = op->begun, .over = fate == DONE ? op->over : UINT64_MAX};
    out->value = op->value;
    out->version = op->version;
    out->kind = kinds[op->kind - HISTORY_SET];
    out->is_any = fate == UNKNOWN;
    if (op->kind == HISTORY_DROP) { /* where there was none it has seen that */
        out->kind = fate == DONE && op->value == 0 ? REGISTER_READ : REGISTER_WRITE;
        out->value = 0;
    }
    if (fate == DONE)
        return true;
    if (fate == UNKNOWN) /* what was not seen does not matter */
        return out->kind == REGISTER_WRITE || out->kind == REGISTER_SWAP;
    if (op->kind != HISTORY_SWAP || op->err != GUEST_EAGAIN)
        return false;
    out->kind = REGISTER_MISS;
    out->over = op->over;
    return true;
}

static void
show_register(const struct register_op *ops, size_t count)
{
    static const char *const kinds[] = {"write", "swap", "miss", "read", "version"};

    for (size_t i = 0; i < count; i++)
        crash_say(
            "    %-7s %" PRIx64 " version %" PRIu64 " from %" PRIu64 " us for %" PRId64 " us%s",
            kinds[ops[i].kind], ops[i].value, ops[i].version, (ops[i].begun - ops[0].begun) / 1000,
            ops[i].over == UINT64_MAX ? -1 : (int64_t)(ops[i].over - ops[i].begun) / 1000,
            ops[i].is_any ? ", any" : "");
}

static void
check_register(struct crash_client *client, struct tally *tally, const struct group *group,
               uint32_t reg, bool is_map)
{
    static const char *const keys[] = {"reg0", "reg1", "map%2Fa", "map%2Fb"};
    struct register_op ops[EVENTS_MAX + 1];
    uint64_t begun = clock_now_ns();
    size_t count = 0;
    bool is_tired;

    for (size_t c = 0; c < group->count; c++)
        for (uint32_t i = 0; i < group->calls[c].call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(&group->calls[c], i, &op);

            count += op.reg == reg && (op.kind >= HISTORY_PUT) == is_map &&
                     as_register(&op, fate, &ops[count]);
        }
    ops[count] = (struct register_op){.begun = begun, .kind = REGISTER_READ};
    ops[count].value = read_number(client, tally, group, keys[reg + 2 * is_map]);
    ops[count++].over = clock_now_ns();
    if (!register_is_fine(ops, count, &is_tired)) {
        if (tally->wrong < 2)
            show_register(ops, count);
        complain(tally, group, "%s: nothing explains what was seen", keys[reg + 2 * is_map]);
    }
    tally->tired += is_tired;
}

/* ----------------------------------------------------------------------------- all of it */

static void
note_host(struct tally *tally, struct crash_client *client, const struct asked *asked)
{
    char path[96];
    const char *host;
    json_t *call;
    size_t i;

    (void)snprintf(path, sizeof(path), "/v1/calls/%" PRIu64, asked->id);
    call = crash_get(client, false, path);
    host = json_string_value(json_object_get(call, "host"));
    for (i = 0; host != NULL && i < tally->host_count; i++)
        if (strcmp(tally->hosts[i], host) == 0)
            break;
    if (host != NULL && i == tally->host_count && i < ARRAY_COUNT(tally->hosts))
        (void)snprintf(tally->hosts[tally->host_count++], sizeof(tally->hosts[0]), "%s", host);
    json_decref(call);
}

static void
count_group(struct tally *tally, struct crash_client *client, const struct group *group)
{
    tally->groups++;
    for (size_t c = 0; c < group->count; c++) {
        const struct asked *asked = &group->calls[c];

        tally->calls++;
        tally->answered += asked->is_answered;
        tally->lost += !asked->is_answered;
        tally->again += asked->is_again;
        if (asked->is_answered && c < 2 && group->index < 16)
            note_host(tally, client, asked);
        for (uint32_t i = 0; i < asked->call.ops; i++) {
            struct history_op op;
            enum fate fate = fate_of(asked, i, &op);

            tally->ops++;
            tally->done += fate == DONE;
            tally->by_kind[op.kind] += fate == DONE;
            if (asked->is_answered && op.over - op.begun > tally->longest_ns) {
                tally->longest_ns = op.over - op.begun;
                tally->longest_kind = op.kind;
            }
            tally->unknown += fate == UNKNOWN;
            tally->refused += fate == REFUSED;
            if (asked->is_answered && op.err >= 0 && op.err < GUEST_ERRNO_MAX)
                tally->by_errno[op.err]++;
        }
    }
}

static void
say_tally(const struct tally *tally)
{
    crash_say("%zu calls of %zu groups: %zu answered, %zu lost (%zu of them ran again); %zu "
              "operations: %zu done, %zu may "
              "have happened, %zu refused; %zu registers with too many orders to look at",
              tally->calls, tally->groups, tally->answered, tally->lost, tally->again, tally->ops,
              tally->done, tally->unknown, tally->refused, tally->tired);
    crash_say("    %zu pushed to queues, %zu popped, %zu met at barriers, %zu permits, %zu changes "
              "under locks, %zu swaps; the longest operation took %.1f s (kind %u)",
              tally->by_kind[HISTORY_PUSH], tally->by_kind[HISTORY_POP], tally->met,
              tally->by_kind[HISTORY_PERMIT],
              tally->by_kind[HISTORY_LOCKED] + tally->by_kind[HISTORY_MAPPED],
              tally->by_kind[HISTORY_SWAP], (double)tally->longest_ns / 1e9, tally->longest_kind);
    for (size_t i = 1; i < GUEST_ERRNO_MAX; i++)
        if (tally->by_errno[i] > 0)
            crash_say("    %zu ended with %zu%s", tally->by_errno[i], i,
                      i == GUEST_EAGAIN   ? " (EAGAIN)"
                      : i == GUEST_EIO    ? " (EIO)"
                      : i == GUEST_ESTALE ? " (ESTALE)"
                                          : "");
}

static void
check_group(struct crash_client *client, struct tally *tally, const struct group *group)
{
    struct records records = {.count = 0};

    count_group(tally, client, group);
    check_number(client, tally, group, HISTORY_ADD);
    check_number(client, tally, group, HISTORY_LOCKED);
    check_number(client, tally, group, HISTORY_MAPPED);
    check_log(client, tally, group, HISTORY_APPEND, &records);
    check_queue(client, tally, group);
    check_barrier(client, tally, group);
    check_permits(client, tally, group);
    for (uint32_t reg = 0; reg < 4; reg++)
        check_register(client, tally, group, reg % 2, reg >= 2);
}

void
crash_history_verify(struct crash_cluster *cluster)
{
    struct tally tally = {0};
    struct crash_client client;
    size_t kinds = 0;

    crash_client_open(&client, cluster);
    for (size_t at = 0; at < history.count && !crash_is_interrupted(); at += CALLS_OF_GROUP) {
        size_t left = history.count - at;
        const struct group group = {
            &history.asked[at], left < CALLS_OF_GROUP ? left : CALLS_OF_GROUP, at / CALLS_OF_GROUP};

        check_group(&client, &tally, &group);
    }
    crash_client_close(&client);
    say_tally(&tally);
    for (size_t i = 0; i < HISTORY_KINDS; i++)
        kinds += tally.by_kind[i] > 0;
    crash_check(tally.wrong == 0, "histories: everything has an order (%zu have not)", tally.wrong);
    crash_check(kinds == HISTORY_KINDS && tally.met > 0,
                "histories: something of each kind was done (%zu of %u)", kinds,
                (unsigned)HISTORY_KINDS);
    crash_check(tally.host_count == CRASH_WORKERS, "histories: on %zu hosts", tally.host_count);
    crash_check(tally.tired * 20 <= tally.groups, "histories: few are too many to look at");
}

size_t
crash_history_lost(void)
{
    size_t lost = 0;

    for (size_t c = 0; c < history.count; c++) {
        const struct asked *asked = &history.asked[c];

        lost += !asked->is_answered;
        for (uint32_t i = 0; asked->is_answered && i < asked->call.ops; i++)
            lost += asked->ops[i].err == GUEST_EIO;
    }
    return lost;
}

/* Those that began before and were over after this moment: there were some. */
size_t
crash_history_across(uint64_t ns)
{
    size_t count = 0;

    for (size_t c = 0; c < history.count && c < CALLS_MAX; c++)
        for (uint32_t i = 0; i < OPS; i++)
            count += history.asked[c].is_answered && history.asked[c].ops[i].err == 0 &&
                     history.asked[c].ops[i].begun < ns && history.asked[c].ops[i].over > ns;
    return count;
}
