/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog_testing.h"

#include <time.h>

static uint64_t
moment(const char *text)
{
    struct tm fields = {0};

    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &fields));
    return (uint64_t)timegm(&fields);
}

static const struct {
    const char *schedule, *after, *next;
} known[] = {
    {"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"},
    {"* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01:00"},
    {"0 0 * * *", "2026-12-31 00:00:00", "2027-01-01 00:00:00"},
    {"30 4 1,15 * 5", "2026-11-01 05:00:00", "2026-11-06 04:30:00"}, /* a Friday */
    {"30 4 1,15 * 5", "2026-11-13 05:00:00", "2026-11-15 04:30:00"}, /* a fifteenth */
    {"0 0 */2 * 1", "2026-11-01 00:00:00", "2026-11-09 00:00:00"},   /* odd and a Monday */
    {"0 0 13 * */5", "2026-01-01 00:00:00", "2026-02-13 00:00:00"},  /* 13th, Sun or Fri */
    {"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
    {"0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
    {"0 0 29 2 */7", "2004-03-01 00:00:00", "2032-02-29 00:00:00"},
    {"5-20/5,59 23 31 DEC *", "2026-12-31 23:20:00", "2026-12-31 23:59:00"},
    {"0 9-17 * * mon-FRI", "2026-11-20 17:00:00", "2026-11-23 09:00:00"},
    {"0 0 * * 7", "2026-11-23 00:00:00", "2026-11-29 00:00:00"},
    {"0 0 * * 0", "2026-11-23 00:00:00", "2026-11-29 00:00:00"},
    {"0 0 * * 5-7", "2026-11-28 12:00:00", "2026-11-29 00:00:00"},
    {"  0\t0  1 jan,jul\t* ", "2026-01-01 00:00:00", "2026-07-01 00:00:00"},
    {"@hourly", "2026-02-28 23:30:00", "2026-03-01 00:00:00"},
    {"@daily", "2024-02-28 00:00:00", "2024-02-29 00:00:00"},
    {"@weekly", "2026-11-23 00:00:00", "2026-11-29 00:00:00"},
    {"@monthly", "2026-11-23 00:00:00", "2026-12-01 00:00:00"},
    {"@yearly", "2026-11-23 00:00:00", "2027-01-01 00:00:00"},
    {"59 23 31 12 *", "1970-01-01 00:00:00", "1970-12-31 23:59:00"},
};

static void
test_known_schedules_are_due_when_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        uint64_t next = 0;
        struct diag diag;

        diag_init(&diag);
        assert_int_equal(
            catalog_schedule_next(known[i].schedule, moment(known[i].after), &next, &diag), 0);
        if (next != moment(known[i].next))
            fail_msg("\"%s\" after %s: %llu instead of %s", known[i].schedule, known[i].after,
                     (unsigned long long)next, known[i].next);
    }
}

static const struct {
    const char *schedule, *text;
} wrong[] = {
    {"", "minute: missing"},
    {"* * * *", "day of the week: missing"},
    {"* * * * * *", "more than five"},
    {"60 * * * *", "minute: 0 to 59"},
    {"* 24 * * *", "hour: 0 to 23"},
    {"* * 0 * *", "day of the month: 1 to 31"},
    {"* * 32 * *", "day of the month: 1 to 31"},
    {"* * * 13 *", "month: 1 to 12"},
    {"* * * * 8", "day of the week: 0 to 7"},
    {"5-1 * * * *", "in this order"},
    {"1, * * * *", "minute: a number, a name or *"},
    {"*/0 * * * *", "a step is a number"},
    {"*/ * * * *", "a step is a number"},
    {"5/2 * * * *", "needs a range"},
    {"1- * * * *", "end of the range"},
    {"1000 * * * *", "minute: "},
    {"4294967296 * * * *", "minute: "},
    {"* * * jane *", "month: what is 0x65"},
    {"jan * * * *", "minute: a number"},
    {"-1 * * * *", "minute: a number"},
    {"*5 * * * *", "what is 0x35"},
    {"@reboot", "@hourly"},
    {"@daily ", "@hourly"},
};

static void
test_what_is_no_schedule_is_refused_with_its_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        uint64_t next = 12345;
        struct diag diag;

        diag_init(&diag);
        assert_int_equal(catalog_schedule_next(wrong[i].schedule, 0, &next, &diag), -EINVAL);
        if (strstr(diag_text(&diag), wrong[i].text) == NULL)
            fail_msg("\"%s\": \"%s\" is not in \"%s\"", wrong[i].schedule, wrong[i].text,
                     diag_text(&diag));
        assert_int_equal(next, 12345);
    }
}

static void
test_a_day_that_never_comes_is_never_due(void **state)
{
    uint64_t next;

    (void)state;
    assert_int_equal(catalog_schedule_next("0 0 30 2 *", 0, &next, NULL), -ENOENT);
    assert_int_equal(catalog_schedule_next("0 0 31 4,6,9,11 *", 0, &next, NULL), -ENOENT);
    assert_int_equal(catalog_schedule_next("* * * * *", UINT64_MAX, &next, NULL), -ENOENT);
    assert_int_equal(catalog_schedule_next("* * * * *", moment("9999-12-31 23:59:59"), &next, NULL),
                     -ENOENT);
}

/* --------------------------------------------------------------- against a slow walk */

static uint64_t random_state = 0x5eed;

static unsigned
dice(unsigned sides)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % sides;
}

struct slow {
    bool fits[5][61];
    bool is_star[5];
};

/* Writes a field and what it means. */
static void
make_field(unsigned index, char *text, size_t size, struct slow *slow)
{
    static const unsigned lows[] = {0, 0, 1, 1, 0}, highs[] = {59, 23, 31, 12, 7};
    unsigned low = lows[index], high = highs[index], parts = 1 + dice(3);
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < parts; i++) {
        unsigned from = low + dice(high - low + 1), to = from + dice(high - from + 1), step = 1;
        unsigned form = dice(10);

        used += (size_t)snprintf(text + used, size - used, i == 0 ? "" : ",");
        if (form < 4) {
            from = low;
            to = high;
            used += (size_t)snprintf(text + used, size - used, "*");
            slow->is_star[index] |= i == 0;
        } else if (form < 7) {
            used += (size_t)snprintf(text + used, size - used, "%u-%u", from, to);
        } else {
            to = from;
            used += (size_t)snprintf(text + used, size - used, "%u", from);
        }
        if (form < 7 && dice(2) == 0) {
            step = 1 + dice(high);
            used += (size_t)snprintf(text + used, size - used, "/%u", step);
        }
        for (unsigned value = from; value <= to; value += step)
            slow->fits[index][index == 4 ? value % 7 : value] = true;
    }
}

static bool
slow_fits(const struct slow *slow, time_t when)
{
    struct tm tm;
    bool day, weekday;

    assert_non_null(gmtime_r(&when, &tm));
    day = slow->fits[2][tm.tm_mday];
    weekday = slow->fits[4][tm.tm_wday];
    return slow->fits[0][tm.tm_min] && slow->fits[1][tm.tm_hour] && slow->fits[3][tm.tm_mon + 1] &&
           (slow->is_star[2] || slow->is_star[4] ? day && weekday : day || weekday);
}

static void
test_random_schedules_are_due_when_a_walk_by_minutes_says(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        char fields[5][64], text[400];
        struct slow slow = {0};
        uint64_t after = moment("2023-06-01 00:00:00") + dice(4 * 365 * 86400), next = 0, walk;
        uint64_t end = after + 60 * 86400;
        int err;

        for (unsigned i = 0; i < 5; i++)
            make_field(i, fields[i], sizeof(fields[i]), &slow);
        (void)snprintf(text, sizeof(text), "%s %s %s %s %s", fields[0], fields[1], fields[2],
                       fields[3], fields[4]);
        err = catalog_schedule_next(text, after, &next, NULL);
        for (walk = (after / 60 + 1) * 60; walk < end && !slow_fits(&slow, (time_t)walk);)
            walk += 60;
        if (walk < end ? err != 0 || next != walk : err == 0 && next < end)
            fail_msg("round %u: \"%s\" after %llu: %d, %llu; by walking %llu", round, text,
                     (unsigned long long)after, err, (unsigned long long)next,
                     (unsigned long long)walk);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_schedules_are_due_when_they_should),
        cmocka_unit_test(test_what_is_no_schedule_is_refused_with_its_field),
        cmocka_unit_test(test_a_day_that_never_comes_is_never_due),
        cmocka_unit_test(test_random_schedules_are_due_when_a_walk_by_minutes_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
