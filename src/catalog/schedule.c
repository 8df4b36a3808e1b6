/* SPDX-License-Identifier: Apache-2.0
 *
 * Time tables. Each of five fields becomes a set of bits; the next moment is found by
 * whole days, then in the day. The calendar repeats itself every 400 years, weekdays
 * included (146097 days are 20871 weeks): a day not found in these never comes.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "catalog/catalog_internal.h"

#define DAY_S          UINT64_C(86400)
#define DAYS_OF_CYCLE  146097u
#define LAST_S         UINT64_C(253402300799) /* of the year 9999 */
#define TEXT_BYTES_MAX 256u

enum {
    MINUTE,
    HOUR,
    DAY,
    MONTH,
    WEEKDAY,
    FIELDS,
};

struct schedule {
    uint64_t sets[FIELDS]; /* bit n: n fits; Sunday is 0 */
    bool is_star[FIELDS];  /* begins with a * */
};

struct field {
    const char *name;
    unsigned low, high;
    const char *const *names; /* of low and those after it */
    unsigned name_count;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct field fields[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, NULL, 0},
    [HOUR] = {"hour", 0, 23, NULL, 0},
    [DAY] = {"day of the month", 1, 31, NULL, 0},
    [MONTH] = {"month", 1, 12, month_names, ARRAY_COUNT(month_names)},
    [WEEKDAY] = {"day of the week", 0, 7, weekday_names, ARRAY_COUNT(weekday_names)},
};

static const struct {
    const char *name, *fields;
} shorthands[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
};

/* --------------------------------------------------------------------------- parsing */

static bool
take_number(const char **at, unsigned *out)
{
    unsigned number = 0, digits = 0;

    for (; **at >= '0' && **at <= '9' && digits < 3; (*at)++, digits++)
        number = number * 10 + (unsigned)(**at - '0');
    *out = number;
    return digits > 0 && !(**at >= '0' && **at <= '9');
}

static bool
take_value(const struct field *field, const char **at, unsigned *out)
{
    for (unsigned i = 0; i < field->name_count; i++)
        if (strncasecmp(*at, field->names[i], 3) == 0) {
            *at += 3;
            *out = field->low + i;
            return true;
        }
    return take_number(at, out);
}

/* value, value-value, * or one of the last two with /step */
static int
take_part(const struct field *field, const char **at, uint64_t *set, struct diag *diag)
{
    unsigned low = field->low, high = field->high, step = 1;
    bool is_range = true;

    if (**at == '*') {
        (*at)++;
    } else {
        if (!take_value(field, at, &low))
            return diag_set(diag, -EINVAL, "%s: a number, a name or * is missing", field->name);
        is_range = **at == '-';
        high = low;
        if (is_range && ((*at)++, !take_value(field, at, &high)))
            return diag_set(diag, -EINVAL, "%s: the end of the range is missing", field->name);
    }
    if (**at == '/') {
        if (!is_range)
            return diag_set(diag, -EINVAL, "%s: a step needs a range or * before it", field->name);
        (*at)++;
        if (!take_number(at, &step) || step == 0)
            return diag_set(diag, -EINVAL, "%s: a step is a number from 1", field->name);
    }
    if (low < field->low || high > field->high || low > high)
        return diag_set(diag, -EINVAL, "%s: %u to %u, in this order", field->name, field->low,
                        field->high);
    for (unsigned value = low; value <= high; value += step)
        *set |= UINT64_C(1) << value;
    return 0;
}

static int
take_field(const struct field *field, const char **at, uint64_t *set, struct diag *diag)
{
    int err = take_part(field, at, set, diag);

    while (err == 0 && **at == ',') {
        (*at)++;
        err = take_part(field, at, set, diag);
    }
    if (err == 0 && **at != '\0' && **at != ' ' && **at != '\t')
        err =
            diag_set(diag, -EINVAL, "%s: what is 0x%02x there?", field->name, (unsigned char)**at);
    return err;
}

static int
parse(const char *text, struct schedule *out, struct diag *diag)
{
    const char *at = text;

    if (text == NULL || strnlen(text, TEXT_BYTES_MAX + 1) > TEXT_BYTES_MAX)
        return diag_set(diag, -EINVAL, "longer than %u bytes, or missing", TEXT_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(shorthands); i++)
        if (strcmp(text, shorthands[i].name) == 0)
            at = shorthands[i].fields;
    if (*at == '@')
        return diag_set(diag, -EINVAL, "@hourly, @daily, @weekly, @monthly and @yearly are known");
    for (unsigned i = 0; i < FIELDS; i++) {
        int err;

        at += strspn(at, " \t");
        if (*at == '\0')
            return diag_set(diag, -EINVAL, "%s: missing: minute hour day month weekday",
                            fields[i].name);
        out->is_star[i] = *at == '*';
        err = take_field(&fields[i], &at, &out->sets[i], diag);
        if (err != 0)
            return err;
    }
    at += strspn(at, " \t");
    if (*at != '\0')
        return diag_set(diag, -EINVAL, "more than five fields");
    out->sets[WEEKDAY] |= out->sets[WEEKDAY] >> 7 & 1; /* 7 is Sunday, too */
    return 0;
}

/* -------------------------------------------------------------------------- calendar */

/* Month and day of the n-th day since 1970-01-01. Years begin with March here, so that
 * the leap day is the last; an era is 400 of them. */
static void
date_of(uint64_t day, unsigned *month, unsigned *day_of_month)
{
    uint64_t of_era = (day + 719468) % DAYS_OF_CYCLE;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t from_march = (5 * of_year + 2) / 153;

    *day_of_month = (unsigned)(of_year - (153 * from_march + 2) / 5 + 1);
    *month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
}

static bool
has(const struct schedule *schedule, unsigned field, unsigned value)
{
    return schedule->sets[field] >> value & 1;
}

static bool
day_fits(const struct schedule *schedule, uint64_t day)
{
    unsigned month, day_of_month;
    bool fits_day, fits_weekday;

    date_of(day, &month, &day_of_month);
    fits_day = has(schedule, DAY, day_of_month);
    fits_weekday = has(schedule, WEEKDAY, (unsigned)((day + 4) % 7)); /* it was a Thursday */
    if (!has(schedule, MONTH, month))
        return false;
    return schedule->is_star[DAY] || schedule->is_star[WEEKDAY] ? fits_day && fits_weekday
                                                                : fits_day || fits_weekday;
}

/* The first minute of a day from `minute` on; 1440 is none. */
static unsigned
minute_from(const struct schedule *schedule, unsigned minute)
{
    while (minute < 1440) {
        if (!has(schedule, HOUR, minute / 60))
            minute = (minute / 60 + 1) * 60;
        else if (!has(schedule, MINUTE, minute % 60))
            minute++;
        else
            break;
    }
    return minute;
}

int
catalog_schedule_next(const char *schedule, uint64_t after_s, uint64_t *next_s, struct diag *diag)
{
    struct schedule parsed = {0};
    uint64_t day;
    unsigned minute;
    int err = parse(schedule, &parsed, diag);

    if (err != 0) {
        diag_prefix(diag, "schedule");
        return err;
    }
    if (after_s > LAST_S - 60)
        return -ENOENT;
    after_s = (after_s / 60 + 1) * 60;
    day = after_s / DAY_S;
    minute = minute_from(&parsed, (unsigned)(after_s % DAY_S / 60));
    if (minute == 1440 || !day_fits(&parsed, day)) {
        uint64_t end = ++day + DAYS_OF_CYCLE;

        while (day < end && !day_fits(&parsed, day))
            day++;
        if (day == end || day > LAST_S / DAY_S)
            return -ENOENT;
        minute = minute_from(&parsed, 0);
    }
    *next_s = day * DAY_S + (uint64_t)minute * 60;
    return 0;
}
