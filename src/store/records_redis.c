/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in Redis. In the database of the address, for each table:
 *
 *   weft:{TABLE}       hash        key -> version (16 hexadecimal digits) value
 *   weft:{TABLE}:keys  sorted set  the same keys, all with score 0: in order of bytes
 *
 * and for all: weft:version, the last version given out, and weft:done:CLIENT:SLOT, the
 * last commit of each connection slot, "number version" or "number -index".
 *
 * Claim: a commit happens whole or not at all, and at most once, although it is sent again
 * when its answer is lost.
 *
 * Argument: it is one script, which Redis runs alone and appends to its file as one
 * transaction; conditions and the types of all it will write are looked at before the
 * first write. A slot numbers its commits. The script notes the number together with the
 * writes; sent again, it finds the number and tells what it told before; arriving late,
 * when the slot has gone on, it finds a higher one and does nothing. A commit whose
 * condition fails notes nothing, which is right while it was sent once: sent again, it
 * notes its failure too, lest the first sending arrives later and succeeds.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/store_internal.h"

#define VERSION_DIGITS  16u
#define PAGE_RECORDS    256u
#define PAGE_WORDS      9u
#define DONE_MS         "3600000" /* that a slot's last commit is remembered */
#define NAME_BYTES      64u
#define WORDS_FIXED     5u /* EVAL script keys counter done */
#define WORDS_ARGUMENTS 4u /* number again ms count */
#define WORDS_CHANGE    5u

/* KEYS: counter, done, then of each table the hash and the set. ARGV: number, whether it
 * was sent before, ms, count; then of each change: which table, condition (any, absent or
 * a version), what to do (p, d, -), key, value.
 * Answer: {version, 0}, or {0, index + 1} where a condition fails. */
static const char commit_script[] =
    "local done = redis.call('GET', KEYS[2])\n"
    "if done then\n"
    "  local number, answer = string.match(done, '^(%d+) (-?%d+)$')\n"
    "  number = tonumber(number)\n"
    "  answer = tonumber(answer)\n"
    "  if number > tonumber(ARGV[1]) then return redis.error_reply('WEFT late') end\n"
    "  if number == tonumber(ARGV[1]) then\n"
    "    if answer > 0 then return {answer, 0} else return {0, -answer} end\n"
    "  end\n"
    "end\n"
    "for i = 3, #KEYS, 2 do\n"
    "  redis.call('HLEN', KEYS[i])\n"
    "  redis.call('ZCARD', KEYS[i + 1])\n"
    "end\n"
    "local count = tonumber(ARGV[4])\n"
    "for i = 1, count do\n"
    "  local at = 5 * i\n"
    "  local condition = ARGV[at + 1]\n"
    "  if condition ~= 'any' then\n"
    "    local old = redis.call('HGET', KEYS[1 + 2 * ARGV[at]], ARGV[at + 3])\n"
    "    local is = 'absent'\n"
    "    if old then is = string.sub(old, 1, 16) end\n"
    "    if is ~= condition then\n"
    "      if ARGV[2] == '1' then\n"
    "        redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. -i, 'PX', ARGV[3])\n"
    "      end\n"
    "      return {0, i}\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local version = redis.call('INCR', KEYS[1])\n"
    "local digits = string.format('%016x', version)\n"
    "for i = 1, count do\n"
    "  local at = 5 * i\n"
    "  local hash = KEYS[1 + 2 * ARGV[at]]\n"
    "  local set = KEYS[2 + 2 * ARGV[at]]\n"
    "  local what, key = ARGV[at + 2], ARGV[at + 3]\n"
    "  if what == 'p' then\n"
    "    redis.call('HSET', hash, key, digits .. ARGV[at + 4])\n"
    "    redis.call('ZADD', set, 0, key)\n"
    "  elseif what == 'd' then\n"
    "    redis.call('HDEL', hash, key)\n"
    "    redis.call('ZREM', set, key)\n"
    "  end\n"
    "end\n"
    "redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. string.format('%.0f', version), "
    "'PX', ARGV[3])\n"
    "return {version, 0}\n";

/* KEYS: hash, set. ARGV: from, to, count, bytes. Answer: key, value, key, value ... */
static const char list_script[] =
    "local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])\n"
    "local out, bytes = {}, 0\n"
    "for i, key in ipairs(keys) do\n"
    "  local value = redis.call('HGET', KEYS[1], key)\n"
    "  if not value then return redis.error_reply('WEFT key without its value') end\n"
    "  out[#out + 1] = key\n"
    "  out[#out + 1] = value\n"
    "  bytes = bytes + #value\n"
    "  if bytes > tonumber(ARGV[4]) then break end\n"
    "end\n"
    "return out\n";
#define PAGE_BYTES "4194304"

struct redis {
    struct redis_link *link;
    char name[320];
};

static void
hash_name(const char *table, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "weft:{%s}", table);
}

static void
set_name(const char *table, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "weft:{%s}:keys", table);
}

static int
unexpected(const struct redis *redis, redisReply *reply, struct diag *diag)
{
    freeReplyObject(reply);
    return diag_set(diag, -EBADMSG, "%s: what is there was not written by Weft", redis->name);
}

/* Takes a slot for one command. */
static int
run(struct redis *redis, const struct redis_command *command, redisReply **out, struct diag *diag)
{
    struct redis_slot *slot;
    int err = redis_link_take(redis->link, &slot, diag);

    if (err != 0)
        return err;
    err = redis_slot_run(slot, command, out, diag);
    redis_link_give(redis->link, slot);
    return err;
}

/* The version at the beginning of what a hash holds; 0 if there is none. */
static uint64_t
version_of(const char *text, size_t count)
{
    char digits[VERSION_DIGITS + 1];

    if (count < VERSION_DIGITS)
        return 0;
    memcpy(digits, text, VERSION_DIGITS);
    digits[VERSION_DIGITS] = '\0';
    if (strspn(digits, "0123456789abcdef") != VERSION_DIGITS)
        return 0;
    return strtoull(digits, NULL, 16);
}

static int
redis_get(void *self, const struct store_key *key, struct buffer *out, uint64_t *version,
          struct diag *diag)
{
    struct redis *redis = self;
    char hash[NAME_BYTES];
    const char *words[] = {"HGET", hash, key->bytes};
    size_t lengths[3];
    const struct redis_command command = {.count = 3, .words = words, .lengths = lengths};
    redisReply *reply;
    uint64_t found;
    int err;

    hash_name(key->table, hash);
    lengths[0] = 4;
    lengths[1] = strlen(hash);
    lengths[2] = key->count;
    err = run(redis, &command, &reply, diag);
    if (err != 0)
        return err;
    if (reply->type == REDIS_REPLY_NIL) {
        freeReplyObject(reply);
        return -ENOENT;
    }
    found = reply->type == REDIS_REPLY_STRING ? version_of(reply->str, reply->len) : 0;
    if (found == 0)
        return unexpected(redis, reply, diag);
    buffer_append(out, reply->str + VERSION_DIGITS, reply->len - VERSION_DIGITS);
    freeReplyObject(reply);
    if (out->err == 0 && version != NULL)
        *version = found;
    return out->err;
}

/* ------------------------------------------------------------------------------- list */

/* Where a page begins and where the range ends, in the language of ZRANGEBYLEX. */
struct bounds {
    char from[1 + STORE_KEY_BYTES_MAX], to[1 + STORE_KEY_BYTES_MAX];
    size_t from_count, to_count;
};

static void
set_from(struct bounds *bounds, char sign, const void *bytes, size_t count)
{
    bounds->from[0] = sign;
    if (count > 0)
        memcpy(bounds->from + 1, bytes, count);
    bounds->from_count = 1 + count;
}

/* The first key that is beyond all with the prefix: its last byte that can grow, grown. */
static void
set_to(struct bounds *bounds, const struct store_range *range)
{
    size_t count = range->prefix_count;

    while (count > 0 && ((const uint8_t *)range->prefix)[count - 1] == 0xff)
        count--;
    bounds->to[0] = count == 0 ? '+' : '(';
    bounds->to_count = 1 + count;
    if (count == 0)
        return;
    memcpy(bounds->to + 1, range->prefix, count);
    bounds->to[count] = (char)((uint8_t)bounds->to[count] + 1);
}

static void
init_bounds(struct bounds *bounds, const struct store_range *range)
{
    size_t common =
        range->after_count < range->prefix_count ? range->after_count : range->prefix_count;
    int order = range->after == NULL ? -1
                : common == 0        ? 0
                                     : memcmp(range->after, range->prefix, common);

    if (order > 0 || (order == 0 && range->after_count >= range->prefix_count))
        set_from(bounds, '(', range->after, range->after_count);
    else
        set_from(bounds, range->prefix_count == 0 ? '-' : '[', range->prefix, range->prefix_count);
    set_to(bounds, range);
}

static int
read_page(struct redis *redis, const struct store_range *range, const struct bounds *bounds,
          redisReply **out, struct diag *diag)
{
    char hash[NAME_BYTES], set[NAME_BYTES], count[16];
    const char *words[] = {"EVAL",       list_script, "2",   hash,      set,
                           bounds->from, bounds->to,  count, PAGE_BYTES};
    size_t lengths[PAGE_WORDS];
    const struct redis_command command = {.count = PAGE_WORDS, .words = words, .lengths = lengths};
    uint32_t page =
        range->count_max == 0 || range->count_max > PAGE_RECORDS ? PAGE_RECORDS : range->count_max;
    int err;

    static_assert(ARRAY_COUNT(words) == PAGE_WORDS, "one length each");
    hash_name(range->table, hash);
    set_name(range->table, set);
    (void)snprintf(count, sizeof(count), "%" PRIu32, page);
    for (size_t i = 0; i < PAGE_WORDS; i++)
        lengths[i] = words[i] == bounds->from ? bounds->from_count
                     : words[i] == bounds->to ? bounds->to_count
                                              : strlen(words[i]);
    err = run(redis, &command, out, diag);
    if (err != 0)
        return err;
    if ((*out)->type != REDIS_REPLY_ARRAY || (*out)->elements % 2 != 0)
        return unexpected(redis, *out, diag);
    return 0;
}

/* 1: go on; 0: enough; -EBADMSG. */
static int
tell_page(const redisReply *page, const struct store_range *range, uint32_t *told,
          store_visit_fn visit, void *context)
{
    for (size_t i = 0; i < page->elements; i += 2) {
        const redisReply *key = page->element[i], *value = page->element[i + 1];
        struct store_record record;

        if (key->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING || key->len == 0 ||
            key->len > STORE_KEY_BYTES_MAX)
            return -EBADMSG;
        record.version = version_of(value->str, value->len);
        if (record.version == 0)
            return -EBADMSG;
        record.key = key->str;
        record.key_count = key->len;
        record.value = value->str + VERSION_DIGITS;
        record.value_count = value->len - VERSION_DIGITS;
        if (!visit(context, &record) || ++*told == range->count_max)
            return 0;
    }
    return 1;
}

static int
redis_list(void *self, const struct store_range *range, store_visit_fn visit, void *context,
           struct diag *diag)
{
    struct redis *redis = self;
    struct bounds bounds;
    uint32_t told = 0;
    int more = 1;

    init_bounds(&bounds, range);
    while (more == 1) {
        redisReply *page;
        const redisReply *last;
        int err = read_page(redis, range, &bounds, &page, diag);

        if (err != 0)
            return err;
        more = page->elements == 0 ? 0 : tell_page(page, range, &told, visit, context);
        if (more < 0)
            return unexpected(redis, page, diag);
        if (more == 1) {
            last = page->element[page->elements - 2];
            set_from(&bounds, '(', last->str, last->len);
        }
        freeReplyObject(page);
    }
    return 0;
}

/* ----------------------------------------------------------------------------- commit */

struct redis_change {
    char table[8], condition[VERSION_DIGITS + 1];
};

struct redis_commit {
    const char **words;
    size_t *lengths;
    size_t count;
    struct redis_change *changes;
    const char **tables; /* borrowed from the changes */
    char (*names)[2][NAME_BYTES];
    size_t table_count;
    char done[96], number[24], key_count[8], change_count[8];
    const char *is_again;
};

static void
commit_free(struct redis_commit *commit)
{
    free(commit->words);
    free(commit->lengths);
    free(commit->changes);
    free(commit->tables);
    free(commit->names);
}

static int
commit_allocate(struct redis_commit *commit, size_t count)
{
    size_t words = WORDS_FIXED + 2 * count + WORDS_ARGUMENTS + WORDS_CHANGE * count;

    commit->words = calloc(words, sizeof(const char *));
    commit->lengths = calloc(words, sizeof(size_t));
    commit->changes = calloc(count, sizeof(*commit->changes));
    commit->tables = calloc(count, sizeof(const char *));
    commit->names = calloc(count, sizeof(*commit->names));
    if (commit->words != NULL && commit->lengths != NULL && commit->changes != NULL &&
        commit->tables != NULL && commit->names != NULL)
        return 0;
    return -ENOMEM;
}

static void
add_word(struct redis_commit *commit, const char *word, size_t count)
{
    commit->words[commit->count] = word;
    commit->lengths[commit->count++] = count;
}

/* From 1, as Lua counts. Commits touch few tables. */
static size_t
table_index(struct redis_commit *commit, const char *table)
{
    for (size_t i = 0; i < commit->table_count; i++)
        if (strcmp(commit->tables[i], table) == 0)
            return i + 1;
    hash_name(table, commit->names[commit->table_count][0]);
    set_name(table, commit->names[commit->table_count][1]);
    commit->tables[commit->table_count++] = table;
    return commit->table_count;
}

static void
add_keys(struct redis_commit *commit)
{
    (void)snprintf(commit->key_count, sizeof(commit->key_count), "%zu",
                   2 + 2 * commit->table_count);
    add_word(commit, "EVAL", 4);
    add_word(commit, commit_script, sizeof(commit_script) - 1);
    add_word(commit, commit->key_count, strlen(commit->key_count));
    add_word(commit, "weft:version", 12);
    add_word(commit, commit->done, strlen(commit->done));
    for (size_t i = 0; i < commit->table_count; i++)
        for (size_t k = 0; k < 2; k++)
            add_word(commit, commit->names[i][k], strlen(commit->names[i][k]));
}

static void
add_change(struct redis_commit *commit, size_t index, const struct store_change *change)
{
    struct redis_change *texts = &commit->changes[index];
    const char *what = change->is_removal ? "d" : change->value != NULL ? "p" : "-";

    if (change->condition == STORE_VERSION)
        (void)snprintf(texts->condition, sizeof(texts->condition), "%016" PRIx64, change->version);
    else
        (void)snprintf(texts->condition, sizeof(texts->condition), "%s",
                       change->condition == STORE_ABSENT ? "absent" : "any");
    add_word(commit, texts->table, strlen(texts->table));
    add_word(commit, texts->condition, strlen(texts->condition));
    add_word(commit, what, 1);
    add_word(commit, change->key.bytes, change->key.count);
    add_word(commit, change->count == 0 ? "" : change->value, change->count);
}

static void
commit_fill(struct redis_commit *commit, struct redis_slot *slot,
            const struct store_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)snprintf(commit->changes[i].table, sizeof(commit->changes[i].table), "%u",
                       (unsigned)(uint16_t)table_index(commit, changes[i].key.table));
    (void)snprintf(commit->done, sizeof(commit->done), "weft:done:%s", redis_slot_name(slot));
    (void)snprintf(commit->number, sizeof(commit->number), "%" PRIu64, redis_slot_next(slot));
    (void)snprintf(commit->change_count, sizeof(commit->change_count), "%u",
                   (unsigned)(uint16_t)count);
    add_keys(commit);
    add_word(commit, commit->number, strlen(commit->number));
    commit->is_again = "0";
    add_word(commit, commit->is_again, 1);
    add_word(commit, DONE_MS, sizeof(DONE_MS) - 1);
    add_word(commit, commit->change_count, strlen(commit->change_count));
    for (size_t i = 0; i < count; i++)
        add_change(commit, i, &changes[i]);
}

/* The word that says so follows the keys and the number. */
static void
commit_again(void *context)
{
    struct redis_commit *commit = context;

    commit->words[WORDS_FIXED + 2 * commit->table_count + 1] = "1";
}

static int
read_answer(struct redis *redis, redisReply *reply, const struct store_change *changes,
            uint64_t *version, size_t *failed, struct diag *diag)
{
    long long index;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return unexpected(redis, reply, diag);
    *version = (uint64_t)reply->element[0]->integer;
    index = reply->element[1]->integer;
    freeReplyObject(reply);
    if (index == 0)
        return 0;
    *failed = (size_t)index - 1;
    return diag_set(diag, -EAGAIN, "table %s: condition %zu of the commit does not hold",
                    changes[*failed].key.table, *failed);
}

static int
run_commit(struct redis *redis, struct redis_commit *commit, const struct store_change *changes,
           size_t count, redisReply **reply, struct diag *diag)
{
    struct redis_command command = {.again = commit_again, .context = commit};
    struct redis_slot *slot;
    int err = redis_link_take(redis->link, &slot, diag);

    if (err != 0)
        return err;
    commit_fill(commit, slot, changes, count);
    command.count = commit->count;
    command.words = commit->words;
    command.lengths = commit->lengths;
    err = redis_slot_run(slot, &command, reply, diag);
    redis_link_give(redis->link, slot);
    return err;
}

static int
redis_commit(void *self, const struct store_change *changes, size_t count, uint64_t *version,
             size_t *failed, struct diag *diag)
{
    struct redis *redis = self;
    struct redis_commit commit = {0};
    redisReply *reply = NULL;
    int err = commit_allocate(&commit, count);

    if (err == 0)
        err = run_commit(redis, &commit, changes, count, &reply, diag);
    commit_free(&commit);
    if (err != 0)
        return diag_set(diag, err, "%s: cannot commit: %s", redis->name, strerror(-err));
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_INTEGER &&
        (reply->element[1]->integer < 0 || (size_t)reply->element[1]->integer > count))
        return unexpected(redis, reply, diag);
    return read_answer(redis, reply, changes, version, failed, diag);
}

static int
redis_now(void *self, uint64_t *ns, struct diag *diag)
{
    struct redis *redis = self;
    const char *words[] = {"TIME"};
    const struct redis_command command = {.count = 1, .words = words};
    redisReply *reply;
    int err = run(redis, &command, &reply, diag);

    if (err != 0)
        return err;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return unexpected(redis, reply, diag);
    *ns = strtoull(reply->element[0]->str, NULL, 10) * CLOCK_NS_PER_SECOND +
          strtoull(reply->element[1]->str, NULL, 10) * 1000;
    freeReplyObject(reply);
    return 0;
}

static void
redis_close(void *self)
{
    struct redis *redis = self;

    redis_link_close(redis->link);
    free(redis);
}

static const struct store_records_ops redis_ops = {
    .get = redis_get,
    .list = redis_list,
    .commit = redis_commit,
    .now = redis_now,
    .close = redis_close,
};

int
store_redis_open(const struct store_config *config, const struct store_address *address,
                 struct store_records *out, struct diag *diag)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    int err;

    if (redis == NULL)
        return -ENOMEM;
    memcpy(redis->name, address->name, sizeof(redis->name));
    err = redis_link_open(config, address, &redis->link, diag);
    if (err != 0) {
        free(redis);
        return err;
    }
    *out = (struct store_records){.ops = &redis_ops, .self = redis};
    return 0;
}
