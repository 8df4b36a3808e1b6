/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of sums, the thread that writes, and what is listed.
 */
#include "meter/meter_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"

#define NS_PER_MS   1000000u
#define CLOSE_TRIES 3u

/* ----------------------------------------------------------------------------- sums */

static void
add(uint64_t *to, uint64_t what)
{
    if (__builtin_add_overflow(*to, what, to))
        *to = UINT64_MAX;
}

void
meter_usage_add(struct meter_usage *to, const struct meter_usage *from)
{
    add(&to->calls, from->calls);
    add(&to->failed, from->failed);
    add(&to->starts_cold, from->starts_cold);
    add(&to->retries, from->retries);
    add(&to->chained, from->chained);
    add(&to->cpu_ns, from->cpu_ns);
    add(&to->wall_ns, from->wall_ns);
    add(&to->queue_ns, from->queue_ns);
    add(&to->memory_byte_ms, from->memory_byte_ms);
    add(&to->bytes_in, from->bytes_in);
    add(&to->bytes_out, from->bytes_out);
}

int
meter_usage_compare(const struct meter_usage *one, const struct meter_usage *other)
{
    int order = strcmp(one->tenant, other->tenant);

    if (order == 0 && one->day != other->day)
        order = one->day < other->day ? -1 : 1;
    return order != 0 ? order : strcmp(one->function, other->function);
}

uint32_t
meter_day(uint64_t real_ns)
{
    time_t seconds = (time_t)(real_ns / CLOCK_NS_PER_SECOND);
    struct tm day;

    if (gmtime_r(&seconds, &day) == NULL)
        return 19700101;
    return (uint32_t)((day.tm_year + 1900) * 10000 + (day.tm_mon + 1) * 100 + day.tm_mday);
}

static uint64_t
byte_ms(uint64_t bytes, uint64_t ns)
{
    unsigned __int128 product = (unsigned __int128)bytes * ns / NS_PER_MS;

    return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static struct meter_usage
usage_of(const Ledger__Call *call)
{
    const Ledger__Result *result = call->result;
    struct meter_usage usage = {.tenant = call->tenant, .function = call->function, .calls = 1};

    if (call->request != NULL)
        usage.bytes_in = call->request->input.len;
    if (result == NULL) {
        usage.failed = 1;
        usage.day = meter_day(now_ns());
        return usage;
    }
    usage.day = meter_day(result->ended_ns != 0 ? result->ended_ns : now_ns());
    usage.failed = result->kind != LEDGER__KIND__KIND_DONE;
    usage.starts_cold = result->was_cold ? 1 : 0;
    usage.retries = result->attempts > 1 ? result->attempts - 1 : 0;
    usage.chained = result->chained;
    usage.cpu_ns = result->cpu_ns;
    usage.wall_ns = result->wall_ns;
    usage.queue_ns = result->queue_ns;
    usage.memory_byte_ms = byte_ms(result->memory_bytes, result->wall_ns);
    usage.bytes_out = result->output.len;
    return usage;
}

/* ---------------------------------------------------------------------------- table */

static uint32_t
bucket(const struct meter_usage *usage)
{
    uint64_t hash = hash_text(HASH_SEED ^ usage->day, usage->tenant);

    hash = hash_text(hash_text(hash, "/"), usage->function);
    return (uint32_t)(hash >> 32) % METER_BUCKETS;
}

/* With the lock. NULL: there is none, and no room or memory for one. */
static struct sum *
sum_of(struct meter *meter, const struct meter_usage *usage)
{
    struct sum **at = &meter->table[bucket(usage)], *sum;

    for (sum = *at; sum != NULL; sum = sum->next)
        if (meter_usage_compare(&sum->usage, usage) == 0)
            return sum;
    if (meter->sum_count >= METER_SUMS_MAX)
        return NULL;
    sum = fault_point("meter.alloc") == 0 ? calloc(1, sizeof(*sum)) : NULL;
    if (sum == NULL)
        return NULL;
    (void)memcpy(sum->tenant, usage->tenant, strlen(usage->tenant));
    (void)memcpy(sum->function, usage->function, strlen(usage->function));
    sum->usage =
        (struct meter_usage){.tenant = sum->tenant, .function = sum->function, .day = usage->day};
    sum->next = *at;
    *at = sum;
    meter->sum_count++;
    return sum;
}

void
meter_add(struct meter *meter, const Ledger__Call *call)
{
    const struct meter_usage usage = usage_of(call);
    struct sum *sum;

    if (usage.tenant[0] == '\0' || strlen(usage.tenant) > METER_NAME_MAX ||
        strlen(usage.function) > METER_NAME_MAX)
        return;
    (void)pthread_mutex_lock(&meter->lock);
    sum = sum_of(meter, &usage);
    if (sum != NULL)
        meter_usage_add(&sum->usage, &usage);
    (void)pthread_mutex_unlock(&meter->lock);
}

/* --------------------------------------------------------------------------- thread */

static struct timespec
next_write(void)
{
    uint64_t at_ns = clock_now_ns() + METER_WRITE_NS;

    return (struct timespec){.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_SECOND),
                             .tv_nsec = (long)(at_ns % CLOCK_NS_PER_SECOND)};
}

/* What cannot be written now is tried again in a second. */
static int
write_all(struct meter *meter)
{
    int err;

    (void)pthread_mutex_lock(&meter->writing);
    err = meter_write(meter, NULL);
    (void)pthread_mutex_unlock(&meter->writing);
    return err;
}

static void *
meter_main(void *object)
{
    struct meter *meter = object;
    bool is_ending = false;

    while (!is_ending) {
        const struct timespec until = next_write();
        int err = 0;

        (void)pthread_mutex_lock(&meter->lock);
        while (!meter->is_ending && err != ETIMEDOUT)
            err = pthread_cond_timedwait(&meter->change, &meter->lock, &until);
        is_ending = meter->is_ending;
        (void)pthread_mutex_unlock(&meter->lock);
        (void)write_all(meter);
    }
    return NULL;
}

/* -------------------------------------------------------------------- start and end */

static void
init_locks(struct meter *meter)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&meter->lock, NULL);
    (void)pthread_mutex_init(&meter->writing, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&meter->change, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

int
meter_open(struct store *store, struct meter **out, struct diag *diag)
{
    struct meter *meter = fault_point("meter.alloc") == 0 ? calloc(1, sizeof(*meter)) : NULL;
    int err = 0;

    if (meter == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a meter");
    meter->store = store;
    init_locks(meter);
    while (err == 0 && meter->writer == 0)
        if (getrandom(&meter->writer, sizeof(meter->writer), 0) < 0 && errno != EINTR)
            err = -errno;
    if (err == 0)
        err = fault_point("meter.thread");
    if (err == 0)
        err = -pthread_create(&meter->thread, NULL, meter_main, meter);
    meter->has_thread = err == 0;
    if (err != 0) {
        meter_close(meter);
        return diag_set(diag, err, "cannot start to meter: %s", strerror(-err));
    }
    *out = meter;
    return 0;
}

void
meter_close(struct meter *meter)
{
    if (meter == NULL)
        return;
    (void)pthread_mutex_lock(&meter->lock);
    meter->is_ending = true;
    (void)pthread_cond_signal(&meter->change);
    (void)pthread_mutex_unlock(&meter->lock);
    if (meter->has_thread)
        (void)pthread_join(meter->thread, NULL);
    for (unsigned i = 0; meter->has_thread && i < CLOSE_TRIES && write_all(meter) != 0; i++)
        continue;
    for (size_t i = 0; i < meter->batch.count; i++)
        free(meter->batch.sums[i]);
    for (size_t i = 0; i < METER_BUCKETS; i++)
        while (meter->table[i] != NULL) {
            struct sum *sum = meter->table[i];

            meter->table[i] = sum->next;
            free(sum);
        }
    (void)pthread_mutex_destroy(&meter->lock);
    (void)pthread_mutex_destroy(&meter->writing);
    (void)pthread_cond_destroy(&meter->change);
    free(meter);
}

/* -------------------------------------------------------------------------- listing */

struct listing {
    const char *tenant;
    uint32_t day_first, day_last;
    meter_fn visit;
    void *context;
    struct sum *unwritten; /* in order */
    size_t count, at;
    bool is_over;
    int err;
    struct diag *diag;
};

static bool
is_wanted(const struct listing *listing, const struct meter_usage *usage)
{
    return usage->day >= listing->day_first && usage->day <= listing->day_last &&
           (listing->tenant == NULL || strcmp(listing->tenant, usage->tenant) == 0);
}

static void
show(struct listing *listing, const struct meter_usage *usage)
{
    if (!listing->is_over && is_wanted(listing, usage))
        listing->is_over = !listing->visit(listing->context, usage);
}

/* Those that come before this one; what is of the same is added to it. */
static void
show_until(struct listing *listing, struct meter_usage *usage)
{
    for (; listing->at < listing->count; listing->at++) {
        const struct meter_usage *mine = &listing->unwritten[listing->at].usage;
        int order = usage != NULL ? meter_usage_compare(mine, usage) : -1;

        if (order > 0)
            return;
        if (order < 0)
            show(listing, mine);
        else
            meter_usage_add(usage, mine);
    }
}

static void
name(struct sum *sum)
{
    sum->usage.tenant = sum->tenant;
    sum->usage.function = sum->function;
}

/* tenant NUL day NUL function. */
static bool
parse_key(const struct store_record *record, struct sum *out)
{
    const char *key = record->key;
    size_t tenant = strnlen(key, record->key_count), function;
    const char *day = key + tenant + 1;

    if (tenant > METER_NAME_MAX || record->key_count < tenant + METER_DAY_DIGITS + 2 ||
        day[METER_DAY_DIGITS] != '\0')
        return false;
    function = record->key_count - tenant - METER_DAY_DIGITS - 2;
    if (function > METER_NAME_MAX)
        return false;
    (void)memset(out, 0, sizeof(*out));
    (void)memcpy(out->tenant, key, tenant);
    (void)memcpy(out->function, day + METER_DAY_DIGITS + 1, function);
    name(out);
    out->usage.day = (uint32_t)strtoul(day, NULL, 10);
    return true;
}

static bool
visit_record(void *context, const struct store_record *record)
{
    struct listing *listing = context;
    uint64_t writer, commit;
    struct sum sum;

    if (!parse_key(record, &sum) ||
        meter_read(record->value, record->value_count, &sum.usage, &writer, &commit) != 0) {
        listing->err =
            diag_set(listing->diag, -EBADMSG, "a record of table %s is damaged", METER_TABLE);
        return false;
    }
    show_until(listing, &sum.usage);
    show(listing, &sum.usage);
    return !listing->is_over;
}

/* Not by the names of its usage, which point to where the sum was before it was moved. */
static int
compare(const void *one, const void *other)
{
    const struct sum *a = one, *b = other;
    int order = strcmp(a->tenant, b->tenant);

    if (order == 0 && a->usage.day != b->usage.day)
        order = a->usage.day < b->usage.day ? -1 : 1;
    return order != 0 ? order : strcmp(a->function, b->function);
}

static void
copy_sum(struct listing *listing, const struct sum *sum)
{
    if (is_wanted(listing, &sum->usage))
        listing->unwritten[listing->count++] = *sum;
}

/* A sum may be in the batch and, of later calls, in the table: one of them. */
static void
make_unique(struct listing *listing)
{
    struct sum *sums = listing->unwritten;
    size_t kept = 0;

    qsort(sums, listing->count, sizeof(*sums), compare);
    for (size_t i = 0; i < listing->count; i++)
        if (kept > 0 && compare(&sums[kept - 1], &sums[i]) == 0)
            meter_usage_add(&sums[kept - 1].usage, &sums[i].usage);
        else
            sums[kept++] = sums[i];
    for (size_t i = 0; i < kept; i++)
        name(&sums[i]);
    listing->count = kept;
}

static int
copy_unwritten(struct meter *meter, struct listing *listing)
{
    (void)pthread_mutex_lock(&meter->lock);
    listing->unwritten = fault_point("meter.alloc") == 0
                             ? calloc(meter->sum_count + METER_BATCH_MAX, sizeof(struct sum))
                             : NULL;
    for (size_t i = 0; listing->unwritten != NULL && i < METER_BUCKETS; i++)
        for (const struct sum *sum = meter->table[i]; sum != NULL; sum = sum->next)
            copy_sum(listing, sum);
    (void)pthread_mutex_unlock(&meter->lock);
    if (listing->unwritten == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < meter->batch.count; i++)
        copy_sum(listing, meter->batch.sums[i]);
    make_unique(listing);
    return 0;
}

int
meter_list(struct meter *meter, const char *tenant, uint32_t day_first, uint32_t day_last,
           meter_fn visit, void *context, struct diag *diag)
{
    struct listing listing = {.tenant = tenant,
                              .day_first = day_first,
                              .day_last = day_last,
                              .visit = visit,
                              .context = context,
                              .diag = diag};
    struct store_range range = {.table = METER_TABLE, .prefix = tenant};
    int err;

    if (tenant != NULL && (tenant[0] == '\0' || strlen(tenant) > METER_NAME_MAX))
        return diag_set(diag, -EINVAL, "a tenant's name has 1 to %u bytes", METER_NAME_MAX);
    range.prefix_count = tenant != NULL ? strlen(tenant) + 1 : 0;
    (void)pthread_mutex_lock(&meter->writing);
    err = copy_unwritten(meter, &listing);
    if (err == 0)
        err = store_list(meter->store, &range, visit_record, &listing, diag);
    if (err == 0)
        err = listing.err;
    (void)pthread_mutex_unlock(&meter->writing);
    if (err == 0)
        show_until(&listing, NULL);
    free(listing.unwritten);
    return err == -ENOMEM ? diag_set(diag, err, "no memory to list usage") : err;
}
