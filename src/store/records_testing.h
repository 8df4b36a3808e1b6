/* SPDX-License-Identifier: Apache-2.0
 *
 * What records promise, wherever they are: run on testing_store.
 */
#ifndef WEFT_STORE_RECORDS_TESTING_H
#define WEFT_STORE_RECORDS_TESTING_H

#include "store/store_testing.h"

static void
test_a_record_comes_back_with_its_version(void **state)
{
    struct store_change change = testing_put("plain", "one", "value");
    struct buffer value = {0};
    uint64_t version, found = 0, next;

    (void)state;
    version = testing_commit(testing_store, change);
    assert_int_equal(store_get(testing_store, &change.key, &value, &found, NULL), 0);
    assert_int_equal(found, version);
    assert_int_equal(value.count, 5);
    assert_memory_equal(value.bytes, "value", 5);
    /* Appended, not replaced. */
    assert_int_equal(store_get(testing_store, &change.key, &value, &found, NULL), 0);
    assert_int_equal(value.count, 10);
    buffer_fini(&value);

    next = testing_commit(testing_store, change);
    assert_true(next > version);
    testing_expect(testing_store, "plain", "one", "value");
    testing_expect(testing_store, "plain", "on", NULL);
    testing_expect(testing_store, "plain", "one1", NULL);
    testing_expect(testing_store, "plai", "none", NULL);
}

static void
test_any_bytes_are_a_key_and_a_value(void **state)
{
    uint8_t key[STORE_KEY_BYTES_MAX];
    uint8_t *big = malloc(STORE_VALUE_BYTES_MAX);
    const size_t sizes[] = {0, 1, 4095, 70000, STORE_VALUE_BYTES_MAX};
    char table[STORE_TABLE_BYTES_MAX + 1];

    (void)state;
    memset(table, 'z', STORE_TABLE_BYTES_MAX);
    table[STORE_TABLE_BYTES_MAX] = '\0';
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < STORE_VALUE_BYTES_MAX; i++)
        big[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct store_change change = {.key = {.table = table, .bytes = key, .count = sizeof(key)},
                                      .value = big,
                                      .count = sizes[i]};
        struct buffer value = {0};
        uint64_t version;

        (void)testing_commit(testing_store, change);
        assert_int_equal(store_get(testing_store, &change.key, &value, &version, NULL), 0);
        assert_int_equal(value.count, sizes[i]);
        if (sizes[i] > 0)
            assert_int_equal(memcmp(value.bytes, big, sizes[i]), 0);
        buffer_fini(&value);
    }
    free(big);
}

static void
test_a_condition_that_fails_leaves_all_as_it_was(void **state)
{
    uint64_t version = testing_commit(testing_store, testing_put("cond", "a", "1"));
    struct store_change changes[3] = {testing_put("cond", "b", "2"), testing_put("cond", "a", "2"),
                                      testing_put("other", "c", "2")};
    uint64_t untouched = 12345;
    size_t failed = 99;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    changes[1].condition = STORE_ABSENT;
    assert_int_equal(store_commit(testing_store, changes, 3, &untouched, &failed, &diag), -EAGAIN);
    assert_int_equal(failed, 1);
    assert_int_equal(untouched, 12345);
    assert_true(diag.is_set);
    changes[1].condition = STORE_VERSION;
    changes[1].version = version + 1;
    assert_int_equal(store_commit(testing_store, changes, 3, &untouched, &failed, NULL), -EAGAIN);
    changes[1].version = version;
    changes[2].condition = STORE_VERSION;
    changes[2].version = version;
    assert_int_equal(store_commit(testing_store, changes, 3, &untouched, &failed, NULL), -EAGAIN);
    assert_int_equal(failed, 2);
    testing_expect(testing_store, "cond", "a", "1");
    testing_expect(testing_store, "cond", "b", NULL);
    testing_expect(testing_store, "other", "c", NULL);

    changes[2].condition = STORE_ABSENT;
    assert_int_equal(store_commit(testing_store, changes, 3, &untouched, &failed, NULL), 0);
    assert_true(untouched > version && untouched != 12345);
    testing_expect(testing_store, "cond", "a", "2");
    testing_expect(testing_store, "cond", "b", "2");
    testing_expect(testing_store, "other", "c", "2");
    assert_int_equal(testing_number(testing_store, "other", "c", &version), 2);
    assert_int_equal(version, untouched);
}

static void
test_removals_and_bare_conditions(void **state)
{
    struct store_change removal = {.key = testing_key("gone", "a"), .is_removal = true};
    struct store_change changes[2];
    uint64_t version;
    size_t failed;

    (void)state;
    (void)testing_commit(testing_store, removal); /* none is fine */
    version = testing_commit(testing_store, testing_put("gone", "a", "1"));
    (void)testing_commit(testing_store, removal);
    testing_expect(testing_store, "gone", "a", NULL);

    version = testing_commit(testing_store, testing_put("gone", "a", "1"));
    changes[0] = (struct store_change){
        .key = testing_key("gone", "a"), .condition = STORE_VERSION, .version = version};
    changes[1] = testing_put("gone", "b", "1");
    assert_int_equal(store_commit(testing_store, changes, 2, &version, &failed, NULL), 0);
    testing_expect(testing_store, "gone", "a", "1");
    assert_int_equal(store_commit(testing_store, changes, 2, &version, &failed, NULL), 0);
    changes[0].is_removal = true;
    assert_int_equal(store_commit(testing_store, changes, 2, &version, &failed, NULL), 0);
    assert_int_equal(store_commit(testing_store, changes, 2, &version, &failed, NULL), -EAGAIN);
    assert_int_equal(failed, 0);
}

/* ------------------------------------------------------------------------------- list */

#define LIST_KEYS 60

struct listed {
    uint8_t keys[LIST_KEYS][4];
    size_t counts[LIST_KEYS];
    size_t count, stop_after;
};

static bool
listed_add(void *context, const struct store_record *record)
{
    struct listed *listed = context;

    assert_true(listed->count < LIST_KEYS && record->key_count <= 4);
    memcpy(listed->keys[listed->count], record->key, record->key_count);
    listed->counts[listed->count++] = record->key_count;
    assert_int_equal(record->value_count, record->key_count);
    assert_memory_equal(record->value, record->key, record->key_count);
    assert_int_not_equal(record->version, 0);
    return listed->count != listed->stop_after;
}

static int
listed_compare(const uint8_t *one, size_t one_count, const uint8_t *other, size_t other_count)
{
    size_t common = one_count < other_count ? one_count : other_count;
    int order = common == 0 ? 0 : memcmp(one, other, common);

    return order != 0 ? order : (one_count > other_count) - (one_count < other_count);
}

/* The same from all keys, slowly. */
static void
listed_expect(const struct listed *all, const struct store_range *range, struct listed *out)
{
    out->count = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->counts[i] < range->prefix_count ||
            (range->prefix_count > 0 && memcmp(all->keys[i], range->prefix, range->prefix_count)))
            continue;
        if (range->after != NULL &&
            listed_compare(all->keys[i], all->counts[i], range->after, range->after_count) <= 0)
            continue;
        if (range->count_max > 0 && out->count == range->count_max)
            break;
        memcpy(out->keys[out->count], all->keys[i], all->counts[i]);
        out->counts[out->count++] = all->counts[i];
    }
}

static void
listed_check(const struct listed *all, const struct store_range *range)
{
    struct listed found = {0}, wanted = {0};

    listed_expect(all, range, &wanted);
    assert_int_equal(store_list(testing_store, range, listed_add, &found, NULL), 0);
    assert_int_equal(found.count, wanted.count);
    for (size_t i = 0; i < found.count; i++) {
        assert_int_equal(found.counts[i], wanted.counts[i]);
        assert_memory_equal(found.keys[i], wanted.keys[i], wanted.counts[i]);
    }
}

/* Keys of few different bytes, the lowest and the highest among them, in order. */
static void
listed_fill(struct listed *all)
{
    static const uint8_t letters[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

    while (all->count < LIST_KEYS) {
        uint8_t key[4];
        size_t count = 1 + testing_random() % 3, at = 0;
        int order = 1;

        for (size_t i = 0; i < count; i++)
            key[i] = letters[testing_random() % ARRAY_COUNT(letters)];
        while (at < all->count &&
               (order = listed_compare(all->keys[at], all->counts[at], key, count)) < 0)
            at++;
        if (at < all->count && order == 0)
            continue;
        memmove(all->keys[at + 1], all->keys[at], (all->count - at) * sizeof(all->keys[0]));
        memmove(&all->counts[at + 1], &all->counts[at], (all->count - at) * sizeof(size_t));
        memcpy(all->keys[at], key, count);
        all->counts[at] = count;
        all->count++;
    }
}

static void
test_a_list_is_in_order_of_bytes_from_a_prefix_after_a_key(void **state)
{
    struct store_change changes[LIST_KEYS];
    struct listed *all = calloc(1, sizeof(*all) + sizeof(all->keys[0]));
    struct listed stopped = {.stop_after = 3};
    struct store_range range = {.table = "listed"};
    uint64_t version;

    (void)state;
    listed_fill(all);
    for (size_t i = 0; i < LIST_KEYS; i++)
        changes[i] = (struct store_change){
            .key = {.table = "listed", .bytes = all->keys[i], .count = all->counts[i]},
            .value = all->keys[i],
            .count = all->counts[i]};
    assert_int_equal(store_commit(testing_store, changes, LIST_KEYS, &version, NULL, NULL), 0);
    (void)testing_commit(testing_store, testing_put("listee", "zz", "zz"));
    (void)testing_commit(testing_store, testing_put("listed-", "a", "a"));
    for (int i = 0; i < 400; i++) {
        const size_t prefix = testing_random() % LIST_KEYS, after = testing_random() % LIST_KEYS;

        range.prefix = all->keys[prefix];
        range.prefix_count = testing_random() % (all->counts[prefix] + 1);
        range.after = testing_random() % 2 == 0 ? NULL : all->keys[after];
        range.after_count = range.after == NULL ? 0 : testing_random() % (all->counts[after] + 1);
        range.count_max = (uint32_t)(testing_random() % 4 * 7);
        listed_check(all, &range);
    }
    range = (struct store_range){.table = "listed"};
    assert_int_equal(store_list(testing_store, &range, listed_add, &stopped, NULL), 0);
    assert_int_equal(stopped.count, 3);
    range.table = "nothing";
    listed_check(&(struct listed){0}, &range);
    free(all);
}

static bool
count_in_order(void *context, const struct store_record *record)
{
    unsigned *count = context;
    char wanted[16];

    (void)snprintf(wanted, sizeof(wanted), "%06u", (*count)++);
    assert_int_equal(record->key_count, 6);
    assert_memory_equal(record->key, wanted, 6);
    return true;
}

/* More than a page of any implementation, by number and by bytes. */
static void
test_a_long_list_is_whole(void **state)
{
    static char keys[1500][16];
    static struct store_change changes[1500];
    struct store_range range = {.table = "long"};
    char *value = calloc(1, 20000);
    unsigned count = 0;
    uint64_t version;

    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%06u", i);
        changes[i] = testing_put("long", keys[i], "");
        changes[i].value = value;
        changes[i].count = 20000;
    }
    assert_int_equal(store_commit(testing_store, changes, 1500, &version, NULL, NULL), 0);
    assert_int_equal(store_list(testing_store, &range, count_in_order, &count, NULL), 0);
    assert_int_equal(count, 1500);
    free(value);
}

static bool
visit_and_commit(void *context, const struct store_record *record)
{
    struct store_change change = {
        .key = {.table = "walked", .bytes = record->key, .count = record->key_count},
        .value = "seen",
        .count = 4};

    (*(unsigned *)context)++;
    (void)testing_commit(testing_store, change);
    return true;
}

static void
test_a_visit_may_use_the_store(void **state)
{
    struct store_range range = {.table = "walked"};
    unsigned count = 0;

    (void)state;
    for (char key[] = "a"; key[0] <= 'e'; key[0]++)
        (void)testing_commit(testing_store, testing_put("walked", key, "new"));
    assert_int_equal(store_list(testing_store, &range, visit_and_commit, &count, NULL), 0);
    assert_int_equal(count, 5);
    testing_expect(testing_store, "walked", "c", "seen");
}

/* ----------------------------------------------------------------------------- misuse */

static void
refuse(struct store_change change, int err)
{
    struct diag diag;
    uint64_t version = 7;

    diag_init(&diag);
    assert_int_equal(store_commit(testing_store, &change, 1, &version, NULL, &diag), err);
    assert_true(diag.is_set);
    assert_int_equal(version, 7);
}

static void
test_misuse_is_refused_in_words(void **state)
{
    static const char *const tables[] = {"",   "A",        "a b",
                                         "a0", "\xc3\xa4", "abcdefghijklmnopqrstuvwxyz-abcdef"};
    static struct store_change many[STORE_CHANGES_MAX + 1];
    struct store_change change = testing_put("table", "key", "value");
    struct store_change twice[2] = {change, change};
    char *big = calloc(1, STORE_VALUE_BYTES_MAX + 1);
    struct diag diag;
    uint64_t version;

    (void)state;
    diag_init(&diag);
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        refuse(testing_put(tables[i], "key", "value"), -EINVAL);
    refuse(testing_put("table", "", "value"), -EINVAL);
    change.key.bytes = big;
    change.key.count = STORE_KEY_BYTES_MAX + 1;
    refuse(change, -EINVAL);
    change = testing_put("table", "key", "value");
    change.condition = STORE_VERSION;
    refuse(change, -EINVAL);
    change = testing_put("table", "key", "value");
    change.is_removal = true;
    refuse(change, -EINVAL);
    change = testing_put("table", "key", "");
    change.value = big;
    change.count = STORE_VALUE_BYTES_MAX + 1;
    refuse(change, -E2BIG);
    assert_int_equal(store_commit(testing_store, twice, 2, &version, NULL, &diag), -EINVAL);
    assert_int_equal(store_commit(testing_store, twice, 0, &version, NULL, NULL), -EINVAL);
    assert_int_equal(store_commit(testing_store, many, ARRAY_COUNT(many), &version, NULL, NULL),
                     -E2BIG);
    testing_expect(testing_store, "table", "key", NULL);
    free(big);
}

/* Every change that a commit can have, at once. */
static void
test_a_commit_of_the_most_changes(void **state)
{
    static struct store_change changes[STORE_CHANGES_MAX];
    static char keys[STORE_CHANGES_MAX][8];
    uint64_t version, found;

    (void)state;
    for (size_t i = 0; i < STORE_CHANGES_MAX; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%zu", i);
        changes[i] = testing_put(i % 2 == 0 ? "most" : "most-odd", keys[i], keys[i]);
        changes[i].condition = STORE_ABSENT;
    }
    assert_int_equal(store_commit(testing_store, changes, STORE_CHANGES_MAX, &version, NULL, NULL),
                     0);
    assert_int_equal(testing_number(testing_store, "most-odd", "4095", &found), 4095);
    assert_int_equal(found, version);
}

/* ------------------------------------------------------------------------ many threads */

#define ACCOUNTS  10
#define TRANSFERS 40
#define TRIES_MAX 20000u
#define BALANCE   1000

static void
account_name(char out[8], uint64_t index)
{
    (void)snprintf(out, 8, "%u", (unsigned)(index % ACCOUNTS));
}

/* -EAGAIN as often as somebody else was quicker. */
static int
transfer(struct store *store, uint64_t from, uint64_t to, long amount, const char *receipt)
{
    char names[2][8], values[2][24];
    struct store_change changes[3];
    uint64_t version;

    account_name(names[0], from);
    account_name(names[1], to);
    for (int i = 0; i < 2; i++) {
        long balance = testing_number(store, "bank", names[i], &version);

        (void)snprintf(values[i], sizeof(values[i]), "%ld", balance + (i == 0 ? -amount : amount));
        changes[i] = testing_put("bank", names[i], values[i]);
        changes[i].condition = STORE_VERSION;
        changes[i].version = version;
    }
    changes[2] = testing_put("receipt", receipt, "done");
    changes[2].condition = STORE_ABSENT;
    return store_commit(store, changes, 3, &version, NULL, NULL);
}

struct banker {
    struct store *store;
    unsigned number, done, tries;
    int err;
};

static void *
banker_run(void *context)
{
    struct banker *banker = context;

    while (banker->done < TRANSFERS && banker->err == 0) {
        uint64_t from = testing_random() % ACCOUNTS;
        char receipt[32];
        int err;

        (void)snprintf(receipt, sizeof(receipt), "%u-%u", banker->number, banker->done);
        err = transfer(banker->store, from, from + 1 + testing_random() % (ACCOUNTS - 1),
                       (long)(testing_random() % 50), receipt);
        banker->tries++;
        banker->done += err == 0;
        if (err != 0 && err != -EAGAIN)
            banker->err = err;
        if (banker->tries == TRIES_MAX)
            banker->err = -ELOOP; /* a receipt that was there before its transfer */
    }
    return NULL;
}

static bool
count_records(void *context, const struct store_record *record)
{
    (void)record;
    (*(unsigned *)context)++;
    return true;
}

static long
bank_sum(struct store *store)
{
    long sum = 0;

    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        uint64_t version;
        char name[8];

        account_name(name, i);
        sum += testing_number(store, "bank", name, &version);
    }
    return sum;
}

static void
bank_clear(struct store *store)
{
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        char name[8];

        account_name(name, i);
        (void)testing_commit(store, testing_put("bank", name, "1000"));
    }
    for (unsigned i = 0; i < TESTING_THREADS * TRANSFERS; i++) {
        char name[32];
        struct store_change removal = {.is_removal = true};

        (void)snprintf(name, sizeof(name), "%u-%u", i / TRANSFERS, i % TRANSFERS);
        removal.key = testing_key("receipt", name);
        (void)testing_commit(store, removal);
    }
}

/* Each transfer has a receipt that may be written once: one that was done twice would
 * have been refused, and one that was said to be done and was not would lack it. */
static void
bank_run(struct store *store)
{
    struct banker bankers[TESTING_THREADS];
    const struct store_range receipts = {.table = "receipt"};
    unsigned count = 0;

    bank_clear(store);
    for (unsigned i = 0; i < TESTING_THREADS; i++)
        bankers[i] = (struct banker){.store = store, .number = i};
    testing_threads(banker_run, bankers, sizeof(bankers[0]));
    for (unsigned i = 0; i < TESTING_THREADS; i++) {
        assert_int_equal(bankers[i].err, 0);
        assert_int_equal(bankers[i].done, TRANSFERS);
    }
    assert_int_equal(bank_sum(store), ACCOUNTS * BALANCE);
    assert_int_equal(store_list(store, &receipts, count_records, &count, NULL), 0);
    assert_int_equal(count, TESTING_THREADS * TRANSFERS);
}

static void
test_transfers_of_many_threads_keep_the_sum(void **state)
{
    (void)state;
    bank_run(testing_store);
}

/* --------------------------------------------------------------------------- a model */

#define MODEL_KEYS   12
#define MODEL_ROUNDS 300

struct model {
    long values[MODEL_KEYS];
    uint64_t versions[MODEL_KEYS]; /* 0: there is none */
    uint64_t last;
};

struct model_commit {
    struct store_change changes[4];
    char keys[4][2], values[4][24];
    size_t count, first;
    size_t failing; /* the first condition that does not hold; SIZE_MAX: all do */
};

static size_t
model_key(const struct model_commit *commit, size_t index)
{
    return (commit->first + index) % MODEL_KEYS;
}

static void
model_change(const struct model *model, struct model_commit *commit, size_t index, long round)
{
    struct store_change *change = &commit->changes[index];
    size_t at = model_key(commit, index);

    (void)snprintf(commit->keys[index], sizeof(commit->keys[index]), "%c", (char)('a' + at));
    (void)snprintf(commit->values[index], sizeof(commit->values[index]), "%ld", round);
    *change = testing_put(at % 2 == 0 ? "model" : "model-odd", commit->keys[index],
                          commit->values[index]);
    change->condition = (enum store_condition)(testing_random() % 3);
    if (change->condition == STORE_VERSION)
        change->version =
            testing_random() % 8 == 0 ? 1 + testing_random() % 50 : model->versions[at];
    if (change->condition == STORE_VERSION && change->version == 0)
        change->condition = STORE_ABSENT;
    change->is_removal = testing_random() % 4 == 0;
    if (change->is_removal || testing_random() % 8 == 0) {
        change->value = NULL;
        change->count = 0;
    }
    if (commit->failing == SIZE_MAX && change->condition != STORE_ANY &&
        model->versions[at] != change->version)
        commit->failing = index;
}

static void
model_apply(struct model *model, const struct model_commit *commit, uint64_t version, long round)
{
    assert_true(version > model->last);
    model->last = version;
    for (size_t i = 0; i < commit->count; i++) {
        size_t at = model_key(commit, i);

        if (commit->changes[i].is_removal)
            model->versions[at] = 0;
        else if (commit->changes[i].value != NULL)
            model->versions[at] = version;
        if (commit->changes[i].value != NULL)
            model->values[at] = round;
    }
}

static void
model_step(struct model *model, long round)
{
    struct model_commit commit = {.failing = SIZE_MAX};
    uint64_t version = 0;
    size_t failed = 0;
    int err;

    commit.count = 1 + testing_random() % 4;
    commit.first = testing_random() % MODEL_KEYS;
    for (size_t i = 0; i < commit.count; i++)
        model_change(model, &commit, i, round);
    err = store_commit(testing_store, commit.changes, commit.count, &version, &failed, NULL);
    assert_int_equal(err, commit.failing == SIZE_MAX ? 0 : -EAGAIN);
    if (err == 0)
        model_apply(model, &commit, version, round);
    else
        assert_int_equal(failed, commit.failing);
}

static void
test_random_commits_do_what_a_model_does(void **state)
{
    struct model model = {0};

    (void)state;
    for (long round = 1; round <= MODEL_ROUNDS; round++) {
        size_t at = testing_random() % MODEL_KEYS;
        const char key[2] = {(char)('a' + at), '\0'};
        uint64_t version;
        long value;

        model_step(&model, round);
        value = testing_number(testing_store, at % 2 == 0 ? "model" : "model-odd", key, &version);
        assert_int_equal(version, model.versions[at]);
        if (version != 0)
            assert_int_equal(value, model.values[at]);
    }
}

/* ----------------------------------------------------------------------------- leases */

#define HOUR_NS (UINT64_C(3600) * CLOCK_NS_PER_SECOND)

static int
write_fenced(uint64_t term, const char *value)
{
    struct store_change changes[2] = {testing_put("led", "key", value),
                                      {.key = testing_key(STORE_TERM_TABLE, "leader"),
                                       .condition = STORE_VERSION,
                                       .version = term}};

    return store_commit(testing_store, changes, 2, NULL, NULL, NULL);
}

static void
test_a_lease_has_one_holder_and_its_term_fences(void **state)
{
    uint64_t first = 0, again = 0, second = 99;
    struct diag diag;

    (void)state;
    diag_init(&diag);
    assert_int_equal(store_lease(testing_store, "leader", "one", HOUR_NS, &first, NULL), 0);
    assert_int_not_equal(first, 0);
    assert_int_equal(store_lease(testing_store, "leader", "two", HOUR_NS, &second, &diag), -EBUSY);
    assert_non_null(strstr(diag_text(&diag), "one"));
    assert_int_equal(second, 99);
    assert_int_equal(write_fenced(first, "by one"), 0);

    /* Renewed, for so short that it is over: another takes it. */
    assert_int_equal(store_lease(testing_store, "leader", "one", 0, &again, NULL), 0);
    assert_int_equal(again, first);
    assert_int_equal(write_fenced(first, "by one"), 0);
    assert_int_equal(store_lease(testing_store, "leader", "two", HOUR_NS, &second, NULL), 0);
    assert_true(second > first);
    assert_int_equal(write_fenced(first, "by one, late"), -EAGAIN);
    assert_int_equal(write_fenced(second, "by two"), 0);
    assert_int_equal(store_lease(testing_store, "leader", "one", HOUR_NS, &again, NULL), -EBUSY);

    /* Only the holder gives it back. */
    assert_int_equal(store_release(testing_store, "leader", "one", NULL), 0);
    assert_int_equal(store_lease(testing_store, "leader", "one", HOUR_NS, &again, NULL), -EBUSY);
    assert_int_equal(store_release(testing_store, "leader", "two", NULL), 0);
    assert_int_equal(store_lease(testing_store, "leader", "two", HOUR_NS, &again, NULL), 0);
    assert_true(again > second);
    testing_expect(testing_store, "led", "key", "by two");
    assert_int_equal(store_release(testing_store, "never", "two", NULL), 0);
    assert_int_equal(store_lease(testing_store, "", "two", 1, &again, NULL), -EINVAL);
    assert_int_equal(store_lease(testing_store, "leader", "", 1, &again, NULL), -EINVAL);
}

struct contender {
    char holder[16];
    uint64_t term;
    int err;
};

static void *
contender_run(void *context)
{
    struct contender *contender = context;

    contender->err =
        store_lease(testing_store, "contended", contender->holder, HOUR_NS, &contender->term, NULL);
    return NULL;
}

static void
test_of_many_one_gets_the_lease(void **state)
{
    struct contender contenders[TESTING_THREADS];
    uint64_t last = 0;

    (void)state;
    for (unsigned round = 0; round < 10; round++) {
        unsigned winners = 0, winner = 0;

        for (unsigned i = 0; i < TESTING_THREADS; i++) {
            contenders[i] = (struct contender){.err = 1};
            (void)snprintf(contenders[i].holder, sizeof(contenders[i].holder), "h%u", i);
        }
        testing_threads(contender_run, contenders, sizeof(contenders[0]));
        for (unsigned i = 0; i < TESTING_THREADS; i++) {
            assert_true(contenders[i].err == 0 || contenders[i].err == -EBUSY);
            winners += contenders[i].err == 0;
            winner = contenders[i].err == 0 ? i : winner;
        }
        assert_int_equal(winners, 1);
        assert_true(contenders[winner].term > last);
        last = contenders[winner].term;
        assert_int_equal(store_release(testing_store, "contended", contenders[winner].holder, NULL),
                         0);
    }
}

#define RECORDS_TESTS \
    cmocka_unit_test(test_a_record_comes_back_with_its_version), \
        cmocka_unit_test(test_any_bytes_are_a_key_and_a_value), \
        cmocka_unit_test(test_a_condition_that_fails_leaves_all_as_it_was), \
        cmocka_unit_test(test_removals_and_bare_conditions), \
        cmocka_unit_test(test_a_list_is_in_order_of_bytes_from_a_prefix_after_a_key), \
        cmocka_unit_test(test_a_long_list_is_whole), \
        cmocka_unit_test(test_a_visit_may_use_the_store), \
        cmocka_unit_test(test_misuse_is_refused_in_words), \
        cmocka_unit_test(test_a_commit_of_the_most_changes), \
        cmocka_unit_test(test_transfers_of_many_threads_keep_the_sum), \
        cmocka_unit_test(test_random_commits_do_what_a_model_does), \
        cmocka_unit_test(test_a_lease_has_one_holder_and_its_term_fences), \
        cmocka_unit_test(test_of_many_one_gets_the_lease)

#endif
