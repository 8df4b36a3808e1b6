/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to Redis: a fixed number of slots, each with at most one connection, made
 * when it is needed and made anew when it is lost. Whoever takes a slot has it alone, also
 * while it connects again: so the numbers that a slot gives out reach Redis in order, or
 * not at all, or late from a connection that was given up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/store_internal.h"

#define SLOTS         32u
#define ATTEMPT_PARTS 3u                   /* of the patience: so long one attempt may take */
#define ATTEMPT_NS    UINT64_C(1000000000) /* but this at least */

struct redis_slot {
    struct redis_link *link;
    redisContext *context; /* NULL: not connected */
    char name[64];
    uint64_t number;
    bool is_unanswered; /* the command was sent, perhaps, and no answer came to it */
};

struct redis_link {
    struct store_address address;
    uint64_t patience_ns;
    bool is_durable;

    pthread_mutex_t mutex;
    pthread_cond_t is_free;
    struct redis_slot slots[SLOTS];
    struct redis_slot *free[SLOTS]; /* GUARDED_BY mutex; the last one given is taken first */
    size_t free_count;              /* GUARDED_BY mutex */
};

/* ---------------------------------------------------------------- answers that are errors */

/* How the texts of errors begin, and what they mean. is_passing: it may be better soon. */
static const struct {
    const char *text;
    int err;
    bool is_passing;
    const char *advice;
} answers[] = {
    {"NOAUTH", -EACCES, false, "give the password in the address"},
    {"WRONGPASS", -EACCES, false, "the password in the address is not the server's"},
    {"ERR AUTH", -EACCES, false, "the server has no password, but the address has"},
    {"ERR Client sent AUTH", -EACCES, false, "the server has no password, but the address has"},
    {"NOPERM", -EACCES, false, "the user may not run this command"},
    {"ERR invalid password", -EACCES, false, "the password in the address is not the server's"},
    {"ERR DB index", -EINVAL, false, "the server has fewer databases"},
    {"ERR max number of clients", -ETIMEDOUT, true, "raise maxclients"},
    {"OOM", -ENOSPC, false, "maxmemory is reached"},
    {"MISCONF", -ENOSPC, false, "the server cannot write its files"},
    {"LOADING", -ETIMEDOUT, true, "it reads its files"},
    {"BUSY", -ETIMEDOUT, true, "a script runs"},
    {"MASTERDOWN", -ETIMEDOUT, true, "a replica without its master"},
    {"READONLY", -ETIMEDOUT, true, "this is a replica"},
    {"NOREPLICAS", -ETIMEDOUT, true, "too few replicas are there"},
    {"TRYAGAIN", -ETIMEDOUT, true, ""},
    {"CLUSTERDOWN", -ETIMEDOUT, true, ""},
};

static int
judge(const struct redis_link *link, const redisReply *reply, bool *is_passing, struct diag *diag)
{
    *is_passing = false;
    if (reply->type != REDIS_REPLY_ERROR)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++)
        if (strncmp(reply->str, answers[i].text, strlen(answers[i].text)) == 0) {
            *is_passing = answers[i].is_passing;
            return diag_set(diag, answers[i].err, "%s: %s (%.200s)", link->address.name,
                            answers[i].advice, reply->str);
        }
    return diag_set(diag, -EIO, "%s: %.200s", link->address.name, reply->str);
}

/* -------------------------------------------------------------------------- connecting */

static struct timeval
timeval_of(uint64_t ns)
{
    if (ns < 1000)
        ns = 1000;
    return (struct timeval){.tv_sec = (time_t)(ns / CLOCK_NS_PER_SECOND),
                            .tv_usec = (suseconds_t)(ns % CLOCK_NS_PER_SECOND / 1000)};
}

static void
disconnect(struct redis_slot *slot)
{
    if (slot->context != NULL)
        redisFree(slot->context);
    slot->context = NULL;
}

/* -ECONNRESET: the connection is of no use any more. */
static int
run_once(struct redis_slot *slot, size_t count, const char **words, const size_t *lengths,
         redisReply **out)
{
    int err = fault_point("store.redis.run");

    *out = err != 0 ? NULL : redisCommandArgv(slot->context, (int)count, words, lengths);
    return *out == NULL ? -ECONNRESET : 0;
}

/* For a connection that is being made: one command, whose error ends it. */
static int
run_plain(struct redis_slot *slot, size_t count, const char **words, redisReply **out,
          bool *is_passing, struct diag *diag)
{
    int err = run_once(slot, count, words, NULL, out);

    *is_passing = err != 0;
    if (err != 0)
        return diag_set(diag, -ETIMEDOUT, "%s: %s", slot->link->address.name,
                        slot->context->err != 0 ? slot->context->errstr : "no answer");
    err = judge(slot->link, *out, is_passing, diag);
    if (err != 0)
        freeReplyObject(*out);
    return err;
}

/* Durable means these settings, and nothing less. */
static const struct {
    const char *name, *value;
} settings[] = {
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"no-appendfsync-on-rewrite", "no"},
    {"maxmemory-policy", "noeviction"},
};

static int
check_setting(struct redis_slot *slot, size_t index, bool *is_passing, struct diag *diag)
{
    const char *words[] = {"CONFIG", "GET", settings[index].name};
    char found[64] = "CONFIG GET is refused";
    redisReply *reply;
    struct diag why;
    int err;

    diag_init(&why);
    err = run_plain(slot, 3, words, &reply, is_passing, &why);
    if (*is_passing)
        return diag_set(diag, err, "%s", diag_text(&why));
    if (err == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_STRING)
        (void)snprintf(found, sizeof(found), "%s", reply->element[1]->str);
    if (err == 0)
        freeReplyObject(reply);
    if (strcmp(found, settings[index].value) == 0)
        return 0;
    return diag_set(diag, -ENOTSUP,
                    "%s does not keep what it has answered: set `appendonly yes`, `appendfsync "
                    "always`, `no-appendfsync-on-rewrite no`, `maxmemory-policy noeviction`, and "
                    "allow CONFIG GET (%s: %s)",
                    slot->link->address.name, settings[index].name, found);
}

/* AUTH, SELECT, and the settings, which may have changed since the last connection. */
static int
introduce(struct redis_slot *slot, bool *is_passing, struct diag *diag)
{
    const struct store_address *address = &slot->link->address;
    const char *auth[] = {"AUTH", address->password};
    char db[16];
    const char *select[] = {"SELECT", db};
    redisReply *reply;
    int err = 0;

    (void)snprintf(db, sizeof(db), "%u", address->db);
    if (address->password[0] != '\0') {
        err = run_plain(slot, 2, auth, &reply, is_passing, diag);
        if (err != 0)
            return err;
        freeReplyObject(reply);
    }
    err = run_plain(slot, 2, select, &reply, is_passing, diag);
    if (err != 0)
        return err;
    freeReplyObject(reply);
    for (size_t i = 0; i < ARRAY_COUNT(settings) && slot->link->is_durable && err == 0; i++)
        err = check_setting(slot, i, is_passing, diag);
    return err;
}

static int
connect_slot(struct redis_slot *slot, uint64_t ns, bool *is_passing, struct diag *diag)
{
    const struct store_address *address = &slot->link->address;
    int err = fault_point("store.redis.connect");

    *is_passing = true;
    if (err != 0)
        return diag_set(diag, err, "%s: %s", address->name, strerror(-err));
    slot->context = redisConnectWithTimeout(address->host, (int)address->port, timeval_of(ns));
    if (slot->context == NULL)
        return -ENOMEM;
    if (slot->context->err != 0)
        err = diag_set(diag, -ETIMEDOUT, "%s: %s", address->name, slot->context->errstr);
    if (err == 0 && redisSetTimeout(slot->context, timeval_of(ns)) != REDIS_OK)
        err = -EIO;
    if (err == 0)
        err = introduce(slot, is_passing, diag);
    if (err != 0)
        disconnect(slot);
    return err;
}

/* --------------------------------------------------------------------------- commands */

static int
attempt(struct redis_slot *slot, const struct redis_command *command, uint64_t ns, redisReply **out,
        bool *is_passing, struct diag *diag)
{
    int err = 0;

    if (slot->context == NULL)
        err = connect_slot(slot, ns, is_passing, diag);
    if (err != 0)
        return err;
    *is_passing = true;
    if (redisSetTimeout(slot->context, timeval_of(ns)) != REDIS_OK)
        err = -EIO;
    if (err == 0)
        err = run_once(slot, command->count, command->words, command->lengths, out);
    if (err != 0) {
        slot->is_unanswered = true;
        err = diag_set(diag, -ETIMEDOUT, "%s: %s", slot->link->address.name,
                       slot->context->err != 0 ? slot->context->errstr : "no answer");
        disconnect(slot);
        return err;
    }
    err = judge(slot->link, *out, is_passing, diag);
    if (err == 0)
        return 0;
    freeReplyObject(*out);
    /* A replica stays one; another connection may find the master. */
    if (*is_passing)
        disconnect(slot);
    return err;
}

static uint64_t
attempt_ns(const struct store_retry *retry)
{
    uint64_t left = store_retry_left_ns(retry);
    uint64_t part = retry->patience_ns / ATTEMPT_PARTS;

    if (part < ATTEMPT_NS)
        part = ATTEMPT_NS;
    return left < part ? left : part;
}

int
redis_slot_run(struct redis_slot *slot, const struct redis_command *command, redisReply **out,
               struct diag *diag)
{
    struct store_sigpipe guard;
    struct store_retry retry;
    struct diag last;
    bool is_passing;
    int err;

    store_retry_init(&retry, slot->link->patience_ns);
    slot->is_unanswered = false;
    store_sigpipe_block(&guard);
    do {
        if (retry.attempts > 0 && command->again != NULL)
            command->again(command->context);
        diag_init(&last);
        err = attempt(slot, command, attempt_ns(&retry), out, &is_passing, &last);
    } while (err != 0 && is_passing && store_retry_wait(&retry));
    store_sigpipe_restore(&guard);
    if (err == 0)
        return 0;
    /* That this time it was refused does not say that it did not happen before. */
    if (!is_passing && slot->is_unanswered && command->again != NULL)
        return diag_set(diag, -EIO, "an answer was lost, and then: %s", diag_text(&last));
    if (!is_passing)
        return diag_set(diag, err, "%s", diag_text(&last));
    return diag_set(diag, -ETIMEDOUT, "no answer after %u attempts in %llu ms: %s", retry.attempts,
                    (unsigned long long)(retry.patience_ns / 1000000), diag_text(&last));
}

const char *
redis_slot_name(const struct redis_slot *slot)
{
    return slot->name;
}

uint64_t
redis_slot_next(struct redis_slot *slot)
{
    return ++slot->number;
}

int
redis_link_take(struct redis_link *link, struct redis_slot **out, struct diag *diag)
{
    uint64_t deadline_ns = clock_now_ns() + link->patience_ns;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_SECOND),
                                .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_SECOND)};
    int result = 0;

    (void)pthread_mutex_lock(&link->mutex);
    while (link->free_count == 0 && result == 0)
        result = pthread_cond_timedwait(&link->is_free, &link->mutex, &deadline);
    if (link->free_count > 0)
        *out = link->free[--link->free_count];
    else
        result = diag_set(diag, -ETIMEDOUT, "%s: all %u connections are in use", link->address.name,
                          SLOTS);
    (void)pthread_mutex_unlock(&link->mutex);
    return result < 0 ? result : 0;
}

void
redis_link_give(struct redis_link *link, struct redis_slot *slot)
{
    (void)pthread_mutex_lock(&link->mutex);
    ASSERT(link->free_count < SLOTS);
    link->free[link->free_count++] = slot;
    (void)pthread_cond_signal(&link->is_free);
    (void)pthread_mutex_unlock(&link->mutex);
}

void
redis_link_close(struct redis_link *link)
{
    ASSERT(link->free_count == SLOTS);
    for (size_t i = 0; i < SLOTS; i++)
        disconnect(&link->slots[i]);
    (void)pthread_mutex_destroy(&link->mutex);
    (void)pthread_cond_destroy(&link->is_free);
    explicit_bzero(&link->address, sizeof(link->address));
    free(link);
}

static void
init_slots(struct redis_link *link)
{
    uint64_t client = store_random(), more = store_random();

    for (unsigned i = 0; i < SLOTS; i++) {
        struct redis_slot *slot = &link->slots[i];

        slot->link = link;
        (void)snprintf(slot->name, sizeof(slot->name), "%016llx%016llx:%u",
                       (unsigned long long)client, (unsigned long long)more, i);
        link->free[SLOTS - 1 - i] = slot;
    }
    link->free_count = SLOTS;
}

int
redis_link_open(const struct store_config *config, const struct store_address *address,
                struct redis_link **out, struct diag *diag)
{
    const char *words[] = {"PING"};
    const struct redis_command ping = {.count = 1, .words = words};
    struct redis_link *link = calloc(1, sizeof(*link));
    pthread_condattr_t monotonic;
    redisReply *reply;
    int err;

    if (link == NULL)
        return -ENOMEM;
    link->address = *address;
    link->patience_ns = config->patience_ns;
    link->is_durable = config->is_durable;
    (void)pthread_mutex_init(&link->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&link->is_free, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    init_slots(link);
    err = redis_slot_run(&link->slots[0], &ping, &reply, diag);
    if (err != 0) {
        redis_link_close(link);
        return err;
    }
    freeReplyObject(reply);
    *out = link;
    return 0;
}
