/* SPDX-License-Identifier: Apache-2.0
 *
 * List, hash map and queue, each by many calls on all hosts at one time.
 */
#include "check.h"

#define EACH      25u
#define PRODUCERS 6u
#define ITEMS     (PRODUCERS * EACH)

/* ----------------------------------------------------------------------------- list */

struct record {
    uint32_t self, number;
};

static void
append(uint32_t self)
{
    uint64_t index, last = 0;

    for (uint32_t i = 0; i < EACH; i++) {
        struct record record = {self, i};

        OK(weft_list_append("data/list", &record, sizeof(record), &index));
        CHECK(i == 0 || index > last);
        last = index;
    }
}

static void
test_a_list_has_everything_in_order(void)
{
    uint32_t next[MANY] = {0}, count = 0;
    struct record record;
    uint64_t length = 7;

    OK(weft_list_length("data/list", &length));
    SAME(0, length);
    fan("append", MANY);
    OK(weft_list_length("data/list", &length));
    SAME(MANY * EACH, length);
    for (uint64_t i = 0; i < length; i++) {
        OK(weft_list_get("data/list", i, &record, sizeof(record), &count));
        SAME(sizeof(record), count);
        CHECK(record.self < MANY);
        SAME(next[record.self]++, record.number);
    }
    SAME(ENOENT, weft_list_get("data/list", length, &record, sizeof(record), &count));
    SAME(ENOBUFS, weft_list_get("data/list", 0, &record, 3, &count));
}

static void
test_a_list_tells_what_is_left_of_it(void)
{
    uint64_t index = 2, length = 0;
    uint32_t counts[4], records = 0, count = 0;
    char text[4];

    for (uint32_t i = 0; i < 8; i++)
        OK(weft_list_append("data/cut", &(char){(char)('a' + (char)i)}, 1, NULL));
    OK(weft_state_read("data/cut", &index, text, sizeof(text), counts, 2, &records));
    SAME(2, index);
    SAME(2, records);
    OK(weft_state_trim("data/cut", 5));
    OK(weft_state_read("data/cut", &index, text, sizeof(text), counts, 2, &records));
    SAME(5, index);
    SAME(2, records);
    CHECK(memcmp(text, "fg", 2) == 0);
    SAME(EIDRM, weft_list_get("data/cut", 4, text, sizeof(text), &count));
    OK(weft_list_get("data/cut", 5, text, sizeof(text), &count));
    SAME(ENOENT, weft_list_get("data/cut", 8, text, sizeof(text), &count));
    OK(weft_state_trim("data/cut", 8));
    index = 1;
    OK(weft_state_read("data/cut", &index, text, sizeof(text), counts, 2, &records));
    SAME(8, index);
    SAME(0, records);
    OK(weft_list_length("data/cut", &length));
    SAME(8, length);
}

/* ------------------------------------------------------------------------------ map */

/* Of its own names all; of everybody's names the first wins, and all of them add. */
static void
put(uint32_t self)
{
    char name[64], text[64];
    int64_t wins = 0;

    for (uint32_t i = 0; i < EACH; i++) {
        int count = snprintf(text, sizeof(text), "value %u of %u", (unsigned)i, (unsigned)self);
        int err;

        (void)snprintf(name, sizeof(name), "own %u/%u", (unsigned)self, (unsigned)i);
        OK(weft_map_put("data/map", name, "to be replaced by what is longer or not", 20 + i));
        OK(weft_map_put("data/map", name, text, (uint32_t)count));
        (void)snprintf(name, sizeof(name), "first %u", (unsigned)i);
        err = weft_map_put_new("data/map", name, &self, sizeof(self));
        CHECK(err == 0 || err == EEXIST);
        wins += err == 0;
        (void)snprintf(name, sizeof(name), "sum %u", (unsigned)i);
        OK(weft_map_add("data/map", name, self + 1, NULL));
        if (i % 5 == 4) {
            (void)snprintf(name, sizeof(name), "own %u/%u", (unsigned)self, (unsigned)i);
            OK(weft_map_remove("data/map", name));
        }
    }
    OK(weft_counter_add("data/wins", wins, NULL));
}

static void
check_entries(void)
{
    char name[64], text[64], found[64];
    uint32_t count = 0;
    int64_t sum;

    for (uint32_t self = 0; self < MANY; self++)
        for (uint32_t i = 0; i < EACH; i++) {
            int wanted =
                snprintf(text, sizeof(text), "value %u of %u", (unsigned)i, (unsigned)self);

            (void)snprintf(name, sizeof(name), "own %u/%u", (unsigned)self, (unsigned)i);
            if (i % 5 == 4) {
                SAME(ENOENT, weft_map_get("data/map", name, found, sizeof(found), &count));
                continue;
            }
            OK(weft_map_get("data/map", name, found, sizeof(found), &count));
            SAME(wanted, count);
            CHECK(memcmp(text, found, count) == 0);
        }
    for (uint32_t i = 0; i < EACH; i++) {
        (void)snprintf(name, sizeof(name), "sum %u", (unsigned)i);
        OK(weft_map_get("data/map", name, &sum, sizeof(sum), &count));
        SAME(MANY * (MANY + 1) / 2, sum);
    }
}

static void
test_a_map_has_all_entries(void)
{
    uint32_t entries = 0, own = 0, count = 0;
    char name[WEFT_KEY_BYTES] = "", before[WEFT_KEY_BYTES] = "";
    int64_t wins;
    int err;

    SAME(ENOENT, weft_map_next("data/map", name));
    OK(weft_map_put("data/mapper", "x", "", 0)); /* another map, nearly of the same name */
    fan("put", MANY);
    OK(weft_counter_get("data/wins", &wins));
    SAME(EACH, wins);
    check_entries();
    while ((err = weft_map_next("data/map", name)) == 0) {
        CHECK(strcmp(before, name) < 0);
        memcpy(before, name, sizeof(before));
        entries++;
        own += strncmp(name, "own ", 4) == 0;
    }
    SAME(ENOENT, err);
    SAME(MANY * EACH * 4 / 5, own);
    SAME(own + 2 * EACH, entries);
    SAME(ENOBUFS, weft_map_get("data/map", "sum 1", name, 7, &count));
    SAME(8, count);
    OK(weft_map_put("data/map", "empty", "", 0));
    OK(weft_map_get("data/map", "empty", name, 0, &count));
    SAME(0, count);
    SAME(ENOENT, weft_map_remove("data/map", "none"));
    SAME(EINVAL, weft_map_put("data/map", "", "", 0));
}

/* ---------------------------------------------------------------------------- queue */

/* The first are producers, the others take until there is nothing more. */
static void
pass_on(uint32_t self)
{
    int64_t last[PRODUCERS], sum;
    struct weft_queue queue;
    struct record record;
    uint32_t count = 0;
    char key[64];
    int err;

    OK(weft_queue_open(&queue, "data/queue"));
    for (uint32_t i = 0; i < EACH && self < PRODUCERS; i++) {
        record = (struct record){self, i};
        OK(weft_queue_push(&queue, &record, sizeof(record)));
    }
    if (self < PRODUCERS)
        return;
    for (uint32_t i = 0; i < PRODUCERS; i++)
        last[i] = -1;
    while ((err = weft_queue_pop(&queue, &record, sizeof(record), &count, PATIENCE)) == 0) {
        SAME(sizeof(record), count);
        if (record.self == UINT32_MAX)
            return;
        CHECK(record.self < PRODUCERS && (int64_t)record.number > last[record.self]);
        last[record.self] = record.number;
        (void)snprintf(key, sizeof(key), "data/got %u/%u", (unsigned)record.self,
                       (unsigned)record.number);
        OK(weft_counter_add(key, 1, &sum));
        SAME(1, sum); /* nobody else had it */
        OK(weft_counter_add("data/got", 1, &sum));
        for (uint32_t i = PRODUCERS; sum == ITEMS && i < MANY; i++) { /* one for each who takes */
            record = (struct record){UINT32_MAX, i};
            OK(weft_queue_push(&queue, &record, sizeof(record)));
        }
    }
    OK(err);
}

static void
test_a_queue_gives_each_item_once(void)
{
    struct weft_queue queue;
    char text[8] = "";
    uint64_t length = 1;
    uint32_t count = 0;
    int64_t got;

    OK(weft_queue_open(&queue, "data/queue"));
    SAME(ETIMEDOUT, weft_queue_pop(&queue, text, sizeof(text), &count, 0));
    SAME(ETIMEDOUT, weft_queue_pop(&queue, text, sizeof(text), &count, 20000000));
    fan("pass", MANY);
    OK(weft_counter_get("data/got", &got));
    SAME(ITEMS, got);
    OK(weft_queue_length(&queue, &length));
    SAME(0, length);
    OK(weft_queue_push(&queue, "first", 5));
    OK(weft_queue_push(&queue, "second", 6));
    SAME(ENOBUFS, weft_queue_pop(&queue, text, 4, &count, 0));
    OK(weft_queue_pop(&queue, text, sizeof(text), &count, 0));
    CHECK(count == 5 && memcmp(text, "first", 5) == 0);
    OK(weft_queue_pop(&queue, text, sizeof(text), &count, 0));
    CHECK(count == 6 && memcmp(text, "second", 6) == 0);
    SAME(ETIMEDOUT, weft_queue_pop(&queue, text, sizeof(text), &count, 0));
}

/* Items that were taken are forgotten, some hundred at a time. */
static void
test_a_queue_forgets_what_was_taken(void)
{
    struct weft_state_info info;
    struct weft_queue queue;
    uint32_t count = 0, value = 0;

    OK(weft_queue_open(&queue, "data/long"));
    for (uint32_t i = 0; i < 600; i++)
        OK(weft_queue_push(&queue, &i, sizeof(i)));
    for (uint32_t i = 0; i < 600; i++) {
        OK(weft_queue_pop(&queue, &value, sizeof(value), &count, 0));
        SAME(i, value);
    }
    OK(weft_state_stat("data/long", &info));
    CHECK(info.size < 300 * sizeof(value));
}

static void
all(void)
{
    forget_all("data/");
    test_a_list_has_everything_in_order();
    test_a_list_tells_what_is_left_of_it();
    test_a_map_has_all_entries();
    test_a_queue_gives_each_item_once();
    test_a_queue_forgets_what_was_taken();
}

int
main(void)
{
    static const struct part parts[] = {{"append", append}, {"put", put}, {"pass", pass_on}};

    return run_parts(parts, sizeof(parts) / sizeof(parts[0]), all);
}
