/* SPDX-License-Identifier: Apache-2.0
 *
 * Usage: summed, written once, listed with what is not written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "meter/meter_internal.h"

#define SECOND   UINT64_C(1000000000)
#define DAY      (86400 * SECOND)
#define DAY_ONE  (UINT64_C(20780) * DAY) /* 2026-11-23 */
#define ALL_DAYS 0, UINT32_MAX
#define TEXT_MAX 4096u

struct world {
    char directory[64];
    struct store *store;
    struct meter *meter;
};

static void
world_start(struct world *w)
{
    char address[80];
    const struct store_config config = {.records = address, .bytes_max = 1u << 28};

    (void)snprintf(address, sizeof(address), "dir:%s", w->directory);
    assert_int_equal(store_open(&config, &w->store, NULL), 0);
    assert_int_equal(meter_open(w->store, &w->meter, NULL), 0);
}

static void
world_stop(struct world *w)
{
    meter_close(w->meter);
    store_close(w->store);
}

static int
setup(void **state)
{
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    (void)snprintf(w->directory, sizeof(w->directory), "%.30s/weft-meter-%s", folder,
                   "XX"
                   "XX"
                   "XX");
    assert_non_null(mkdtemp(w->directory));
    world_start(w);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    pid_t pid;

    (void)fault_disarm();
    world_stop(w);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", w->directory, NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
    free(w);
    return 0;
}

/* ------------------------------------------------------------------------ adding */

static void
add_call(struct meter *meter, const char *tenant, const char *function, uint64_t ended_ns,
         Ledger__Kind kind)
{
    Ledger__Call call = LEDGER__CALL__INIT;
    Ledger__Request request = LEDGER__REQUEST__INIT;
    Ledger__Result result = LEDGER__RESULT__INIT;
    uint8_t bytes[8] = {0};

    call.tenant = (char *)(uintptr_t)tenant;
    call.function = (char *)(uintptr_t)function;
    call.request = &request;
    call.result = &result;
    request.input = (ProtobufCBinaryData){3, bytes};
    result.output = (ProtobufCBinaryData){8, bytes};
    result.kind = kind;
    result.ended_ns = ended_ns;
    result.cpu_ns = 10;
    result.wall_ns = 2500000;
    result.queue_ns = 7;
    result.memory_bytes = 1000;
    result.chained = 4;
    result.attempts = 3;
    result.was_cold = true;
    meter_add(meter, &call);
}

static void
add_some(struct meter *meter, const char *tenant, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        add_call(meter, tenant, "f", DAY_ONE, LEDGER__KIND__KIND_DONE);
}

/* ----------------------------------------------------------------------- listing */

static bool
print(void *context, const struct meter_usage *usage)
{
    char *text = context;
    size_t used = strlen(text);

    (void)snprintf(text + used, TEXT_MAX - used, "%s/%s %u %llu; ", usage->tenant, usage->function,
                   usage->day, (unsigned long long)usage->calls);
    return true;
}

static const char *
list(struct meter *meter, const char *tenant, uint32_t first, uint32_t last)
{
    static char text[TEXT_MAX];
    struct diag diag;

    diag_init(&diag);
    text[0] = '\0';
    if (meter_list(meter, tenant, first, last, print, text, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    return text;
}

static bool
count_calls(void *context, const struct meter_usage *usage)
{
    *(uint64_t *)context += usage->calls;
    return true;
}

static uint64_t
calls_of(struct meter *meter, const char *tenant)
{
    uint64_t calls = 0;

    assert_int_equal(meter_list(meter, tenant, ALL_DAYS, count_calls, &calls, NULL), 0);
    return calls;
}

static int
write_now(struct meter *meter)
{
    int err;

    (void)pthread_mutex_lock(&meter->writing);
    err = meter_write(meter, NULL);
    (void)pthread_mutex_unlock(&meter->writing);
    return err;
}

/* A meter whose thread writes nothing by itself while the test looks at it. */
static void
hold(struct meter *meter)
{
    (void)pthread_mutex_lock(&meter->writing);
}

static void
let_go(struct meter *meter)
{
    (void)pthread_mutex_unlock(&meter->writing);
}

/* -------------------------------------------------------------------------- tests */

static bool
check_usage(void *context, const struct meter_usage *usage)
{
    unsigned *count = context;

    (*count)++;
    assert_string_equal(usage->tenant, "shop");
    assert_string_equal(usage->function, "tea");
    assert_int_equal(usage->day, 20261123);
    assert_true(usage->calls == 3 && usage->failed == 2);
    assert_true(usage->starts_cold == 3 && usage->retries == 6 && usage->chained == 12);
    assert_true(usage->cpu_ns == 30 && usage->wall_ns == 7500000 && usage->queue_ns == 21);
    assert_int_equal(usage->memory_byte_ms, 3 * 2500);
    assert_true(usage->bytes_in == 9 && usage->bytes_out == 24);
    return true;
}

static void
test_calls_of_a_function_and_day_are_summed(void **state)
{
    struct world *w = *state;
    unsigned count = 0;

    add_call(w->meter, "shop", "tea", DAY_ONE, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "shop", "tea", DAY_ONE + DAY - 1, LEDGER__KIND__KIND_EXIT);
    assert_int_equal(write_now(w->meter), 0);
    add_call(w->meter, "shop", "tea", DAY_ONE + 5, LEDGER__KIND__KIND_LOST);
    assert_int_equal(meter_list(w->meter, "shop", ALL_DAYS, check_usage, &count, NULL), 0);
    assert_int_equal(count, 1);
    world_stop(w);
    world_start(w);
    assert_int_equal(meter_list(w->meter, NULL, ALL_DAYS, check_usage, &count, NULL), 0);
    assert_int_equal(count, 2);
}

static void
test_usage_is_listed_in_order_with_what_is_not_written(void **state)
{
    struct world *w = *state;

    add_call(w->meter, "b", "g", DAY_ONE, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "b", "f", DAY_ONE + DAY, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "a-b", "f", DAY_ONE, LEDGER__KIND__KIND_DONE);
    assert_int_equal(write_now(w->meter), 0);
    add_call(w->meter, "a", "z", DAY_ONE, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "b", "f", DAY_ONE, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "b", "g", DAY_ONE, LEDGER__KIND__KIND_DONE);
    add_call(w->meter, "c", "f", DAY_ONE, LEDGER__KIND__KIND_DONE);
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(list(w->meter, NULL, ALL_DAYS),
                            "a/z 20261123 1; a-b/f 20261123 1; b/f 20261123 1; b/g 20261123 2; "
                            "b/f 20261124 1; c/f 20261123 1; ");
        assert_string_equal(list(w->meter, "b", 20261124, 20270101), "b/f 20261124 1; ");
        assert_string_equal(list(w->meter, "b", 20261101, 20261123),
                            "b/f 20261123 1; b/g 20261123 2; ");
        assert_string_equal(list(w->meter, "a", ALL_DAYS), "a/z 20261123 1; ");
        assert_string_equal(list(w->meter, "nobody", ALL_DAYS), "");
        assert_int_equal(write_now(w->meter), 0); /* and the same when it is written */
    }
    assert_int_equal(meter_list(w->meter, "", ALL_DAYS, print, NULL, NULL), -EINVAL);
}

static bool
stop_at_once(void *context, const struct meter_usage *usage)
{
    (void)usage;
    (*(unsigned *)context)++;
    return false;
}

static void
test_a_visit_can_end_the_list(void **state)
{
    struct world *w = *state;
    unsigned count = 0;

    add_some(w->meter, "a", 1);
    add_some(w->meter, "b", 1);
    assert_int_equal(meter_list(w->meter, NULL, ALL_DAYS, stop_at_once, &count, NULL), 0);
    assert_int_equal(write_now(w->meter), 0);
    add_some(w->meter, "c", 1);
    assert_int_equal(meter_list(w->meter, NULL, ALL_DAYS, stop_at_once, &count, NULL), 0);
    assert_int_equal(count, 2);
}

static void
test_what_has_no_result_or_name_is_no_trouble(void **state)
{
    Ledger__Call call = LEDGER__CALL__INIT;
    char name[METER_NAME_MAX + 2];
    struct world *w = *state;

    (void)memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    meter_add(w->meter, &call); /* of nobody */
    call.tenant = name;
    meter_add(w->meter, &call);
    call.tenant = (char *)(uintptr_t)"a";
    call.function = name;
    meter_add(w->meter, &call);
    assert_int_equal(calls_of(w->meter, NULL), 0);
    call.function = (char *)(uintptr_t)"f";
    meter_add(w->meter, &call);
    assert_int_equal(calls_of(w->meter, NULL), 1);
}

static void
test_more_functions_than_a_commit_takes_are_all_written(void **state)
{
    struct world *w = *state;
    char function[32];

    for (unsigned i = 0; i < 3 * METER_BATCH_MAX + 5; i++) {
        (void)snprintf(function, sizeof(function), "f%u", i);
        add_call(w->meter, "a", function, DAY_ONE, LEDGER__KIND__KIND_DONE);
    }
    assert_int_equal(calls_of(w->meter, "a"), 3 * METER_BATCH_MAX + 5);
    world_stop(w);
    world_start(w);
    assert_int_equal(calls_of(w->meter, "a"), 3 * METER_BATCH_MAX + 5);
}

static void
test_the_thread_writes_by_itself(void **state)
{
    struct world *w = *state;
    struct meter *other;

    assert_int_equal(meter_open(w->store, &other, NULL), 0);
    add_some(w->meter, "a", 2);
    while (calls_of(other, "a") != 2)
        (void)usleep(10000);
    meter_close(other);
}

/* --------------------------------------------------------------------- two meters */

struct adding {
    struct meter *meter;
    unsigned count;
};

static void *
add_many(void *object)
{
    struct adding *adding = object;

    for (unsigned i = 0; i < adding->count; i++) {
        add_some(adding->meter, "a", 1);
        if (i % 10 == 0)
            (void)!write_now(adding->meter);
    }
    return NULL;
}

static void
test_two_meters_of_one_store_lose_nothing_of_each_other(void **state)
{
    struct world *w = *state;
    struct adding adding[2] = {{w->meter, 500}, {NULL, 700}};
    pthread_t threads[2];

    assert_int_equal(meter_open(w->store, &adding[1].meter, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adding[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    meter_close(adding[1].meter);
    assert_int_equal(write_now(w->meter), 0);
    assert_int_equal(calls_of(w->meter, "a"), 1200);
    world_stop(w);
    world_start(w);
    assert_int_equal(calls_of(w->meter, "a"), 1200);
}

static void
test_records_that_others_write_all_the_time_are_tried_again_later(void **state)
{
    struct world *w = *state;

    hold(w->meter);
    add_some(w->meter, "a", 4);
    for (unsigned i = 1; i <= METER_TRIES_MAX; i++) { /* and each time the n-th */
        fault_arm("meter.commit", i, -EAGAIN);
        assert_int_equal(meter_write(w->meter, NULL), 0);
        (void)fault_disarm();
    }
    let_go(w->meter);
    assert_int_equal(calls_of(w->meter, "a"), 4);
}

/* ------------------------------------------------------------------- failing store */

static void
test_what_the_store_refuses_is_written_later(void **state)
{
    struct world *w = *state;

    hold(w->meter);
    add_some(w->meter, "a", 4);
    fault_arm("meter.commit", 1, -ENOSPC);
    assert_int_equal(meter_write(w->meter, NULL), -ENOSPC);
    assert_true(fault_disarm());
    let_go(w->meter);
    add_some(w->meter, "a", 2);
    assert_int_equal(calls_of(w->meter, "a"), 6);
    assert_int_equal(write_now(w->meter), 0);
    assert_int_equal(calls_of(w->meter, "a"), 6);
}

/* Before the commit or after it, alone or with another meter in between. */
static void
test_a_commit_without_an_answer_is_neither_lost_nor_counted_twice(void **state)
{
    static const char *const points[] = {"meter.commit", "meter.committed"};
    struct world *w = *state;

    for (unsigned i = 0; i < 4; i++) {
        char tenant[2] = {(char)('a' + i), '\0'};
        bool has_other = i >= 2;

        hold(w->meter);
        add_some(w->meter, tenant, 4);
        add_call(w->meter, tenant, "g", DAY_ONE, LEDGER__KIND__KIND_DONE);
        fault_arm(points[i % 2], 1, i < 2 ? -ETIMEDOUT : -EIO);
        assert_true(meter_write(w->meter, NULL) != 0);
        assert_true(fault_disarm());
        assert_true(w->meter->batch.is_in_doubt);
        let_go(w->meter);
        if (has_other) { /* it changes one of the two records */
            struct meter *other;

            assert_int_equal(meter_open(w->store, &other, NULL), 0);
            add_call(other, tenant, "g", DAY_ONE, LEDGER__KIND__KIND_DONE);
            meter_close(other);
        }
        assert_int_equal(write_now(w->meter), 0);
        assert_int_equal(calls_of(w->meter, tenant), has_other ? 6 : 5);
    }
}

/* Nobody can tell: then rather too little than twice. */
static void
test_what_is_in_doubt_for_good_is_not_counted_twice(void **state)
{
    struct world *w = *state;
    struct meter *other;

    hold(w->meter);
    add_some(w->meter, "a", 4);
    fault_arm("meter.committed", 1, -ETIMEDOUT);
    assert_int_equal(meter_write(w->meter, NULL), -ETIMEDOUT);
    (void)fault_disarm();
    let_go(w->meter);
    assert_int_equal(meter_open(w->store, &other, NULL), 0);
    add_some(other, "a", 1);
    meter_close(other);
    assert_int_equal(write_now(w->meter), 0);
    assert_int_equal(calls_of(w->meter, "a"), 5);
}

static void
test_a_damaged_record_keeps_nobody_else_waiting(void **state)
{
    static const char key[] = "a\0"
                              "20261123\0f",
                      value[] = "\xff\xff\xff\xff";
    struct store_change change = {
        .key = {METER_TABLE, key, sizeof(key) - 1}, .value = value, .count = sizeof(value) - 1};
    struct world *w = *state;
    uint64_t calls = 0;
    struct diag diag;

    assert_int_equal(store_commit(w->store, &change, 1, NULL, NULL, NULL), 0);
    add_some(w->meter, "a", 2);
    add_some(w->meter, "b", 3);
    assert_int_equal(write_now(w->meter), 0);
    assert_int_equal(calls_of(w->meter, "b"), 3);
    diag_init(&diag);
    assert_int_equal(meter_list(w->meter, "a", ALL_DAYS, count_calls, &calls, &diag), -EBADMSG);
    assert_non_null(strstr(diag_text(&diag), METER_TABLE));
}

static void
test_without_memory_nothing_is_lost_but_what_needed_it(void **state)
{
    struct world *w = *state;
    struct meter *meter = NULL;
    uint64_t calls = 0;

    fault_arm("meter.alloc", 1, -ENOMEM);
    assert_int_equal(meter_open(w->store, &meter, NULL), -ENOMEM);
    fault_arm("meter.thread", 1, -EAGAIN);
    assert_int_equal(meter_open(w->store, &meter, NULL), -EAGAIN);
    assert_null(meter);
    hold(w->meter);
    add_some(w->meter, "a", 1);
    fault_arm("meter.alloc", 1, -ENOMEM);
    add_some(w->meter, "b", 1); /* not counted */
    assert_true(fault_disarm());
    fault_arm("meter.alloc", 1, -ENOMEM);
    assert_int_equal(meter_write(w->meter, NULL), -ENOMEM);
    assert_true(fault_disarm());
    let_go(w->meter);
    hold(w->meter);
    let_go(w->meter);
    assert_int_equal(write_now(w->meter), 0);
    fault_arm("meter.alloc", 1, -ENOMEM);
    if (meter_list(w->meter, NULL, ALL_DAYS, count_calls, &calls, NULL) == 0)
        assert_int_equal(calls, 1); /* the thread took the fault */
    (void)fault_disarm();
    assert_int_equal(calls_of(w->meter, NULL), 1);
    meter_close(NULL);
}

static void
test_days_are_those_of_the_calendar(void **state)
{
    (void)state;
    assert_int_equal(meter_day(0), 19700101);
    assert_int_equal(meter_day(DAY - 1), 19700101);
    assert_int_equal(meter_day(DAY), 19700102);
    assert_int_equal(meter_day(UINT64_C(951782400) * SECOND), 20000229);
    assert_int_equal(meter_day(DAY_ONE), 20261123);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls_of_a_function_and_day_are_summed),
        TEST(test_usage_is_listed_in_order_with_what_is_not_written),
        TEST(test_a_visit_can_end_the_list),
        TEST(test_what_has_no_result_or_name_is_no_trouble),
        TEST(test_more_functions_than_a_commit_takes_are_all_written),
        TEST(test_the_thread_writes_by_itself),
        TEST(test_two_meters_of_one_store_lose_nothing_of_each_other),
        TEST(test_records_that_others_write_all_the_time_are_tried_again_later),
        TEST(test_what_the_store_refuses_is_written_later),
        TEST(test_a_commit_without_an_answer_is_neither_lost_nor_counted_twice),
        TEST(test_what_is_in_doubt_for_good_is_not_counted_twice),
        TEST(test_a_damaged_record_keeps_nobody_else_waiting),
        TEST(test_without_memory_nothing_is_lost_but_what_needed_it),
        cmocka_unit_test(test_days_are_those_of_the_calendar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
