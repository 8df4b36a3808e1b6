/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier as a whole: its threads, time, tenants, begin and end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "tier/tier_internal.h"

#define THREADS_DEFAULT 4u

void *
tier_alloc(size_t bytes)
{
    return fault_point("tier.alloc") != 0 ? NULL : calloc(1, bytes);
}

/* --------------------------------------------------------------------- lock and words */

void
tier_lock(struct tier *tier)
{
    (void)pthread_mutex_lock(&tier->lock);
}

static void
say_all(struct tier *tier, struct tier_session *session)
{
    struct words words = STAILQ_HEAD_INITIALIZER(words);
    struct word *word;

    session->is_saying = true;
    while (!STAILQ_EMPTY(&session->words)) {
        STAILQ_CONCAT(&words, &session->words);
        session->word_bytes = 0;
        (void)pthread_mutex_unlock(&tier->lock);
        while ((word = STAILQ_FIRST(&words)) != NULL) {
            STAILQ_REMOVE_HEAD(&words, next);
            session->say(session->context, &word->down);
            tier_word_free(word);
        }
        tier_lock(tier);
    }
    session->is_saying = false;
    (void)pthread_cond_broadcast(&tier->quiet);
    tier_session_put(session); /* the list's */
}

static void
answer_one(struct tier *tier, struct word *word)
{
    STAILQ_REMOVE_HEAD(&tier->answered, next);
    tier->saying++;
    (void)pthread_mutex_unlock(&tier->lock);
    word->op->done(word->op->context, &word->answer);
    tier_word_free(word);
    tier_lock(tier);
    tier->saying--;
    (void)pthread_cond_broadcast(&tier->quiet);
}

void
tier_unlock(struct tier *tier)
{
    struct tier_session *session;
    struct word *word;

    for (;;) {
        if ((session = STAILQ_FIRST(&tier->unsaid)) != NULL) {
            STAILQ_REMOVE_HEAD(&tier->unsaid, unsaid);
            say_all(tier, session);
        } else if ((word = STAILQ_FIRST(&tier->answered)) != NULL) {
            answer_one(tier, word);
        } else {
            break;
        }
    }
    (void)pthread_mutex_unlock(&tier->lock);
}

/* ------------------------------------------------------------------------------- time */

static uint64_t
machine_mono(void *context)
{
    (void)context;
    return clock_now_ns();
}

static uint64_t
machine_real(void *context)
{
    struct timespec now;

    (void)context;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t
tier_now(const struct tier *tier)
{
    return tier->clock.mono_ns(tier->clock.context);
}

uint64_t
tier_real(const struct tier *tier)
{
    return tier->clock.real_ns(tier->clock.context);
}

int
tier_timer_reserve(struct tier *tier)
{
    int err = heap_reserve(&tier->timers, tier->timer_count + 1);

    tier->timer_count += err == 0;
    return err;
}

void
tier_timer_release(struct tier *tier, struct timer *timer)
{
    heap_remove(&tier->timers, &timer->item);
    tier->timer_count--;
}

void
tier_timer_set(struct tier *tier, struct timer *timer, uint64_t at_ns)
{
    heap_remove(&tier->timers, &timer->item);
    heap_add(&tier->timers, &timer->item, at_ns);
    if (heap_first(&tier->timers) == &timer->item)
        (void)pthread_cond_signal(&tier->time);
}

void
tier_timer_clear(struct tier *tier, struct timer *timer)
{
    heap_remove(&tier->timers, &timer->item);
}

/* With the lock: fires what is due; when the next is. */
static uint64_t
fire_due(struct tier *tier)
{
    struct heap_item *item;

    while ((item = heap_first(&tier->timers)) != NULL && item->key <= tier_now(tier)) {
        struct timer *timer = (struct timer *)item;

        heap_remove(&tier->timers, item);
        timer->fire(tier, timer);
    }
    return item == NULL ? CLOCK_NEVER_NS : item->key;
}

void
tier_tick(struct tier *tier)
{
    tier_lock(tier);
    (void)fire_due(tier);
    tier_unlock(tier);
}

static void
wait_until(struct tier *tier, uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_SECOND),
                          .tv_nsec = (long)(at_ns % CLOCK_NS_PER_SECOND)};

    if (at_ns == CLOCK_NEVER_NS)
        (void)pthread_cond_wait(&tier->time, &tier->lock);
    else
        (void)pthread_cond_timedwait(&tier->time, &tier->lock, &at);
}

static void *
keep_time(void *object)
{
    struct tier *tier = object;

    tier_lock(tier);
    while (!tier->is_ending) {
        (void)fire_due(tier);
        tier_unlock(tier);
        tier_lock(tier);
        /* What was set meanwhile has signalled to nobody. */
        if (!tier->is_ending && STAILQ_EMPTY(&tier->unsaid)) {
            struct heap_item *item = heap_first(&tier->timers);

            wait_until(tier, item == NULL ? CLOCK_NEVER_NS : item->key);
        }
    }
    tier_unlock(tier);
    return NULL;
}

static void
pause_over(struct tier *tier, struct timer *timer)
{
    (void)timer;
    tier->is_paused = false;
    for (size_t i = 0; i < TIER_KEY_BUCKETS; i++)
        for (struct key *key = tier->keys[i], *next; key != NULL; key = next) {
            next = key->next;
            if (key->refs == 0)
                continue; /* nobody wants anything of it */
            /* Who waits for it goes on to have it: its last reference does not go here. */
            tier_lock_grant(tier, key);
            tier_key_poke(tier, key);
        }
}

/* ----------------------------------------------------------------------------- threads */

void
tier_job_add(struct tier *tier, struct job *job)
{
    if (job->is_queued)
        return;
    job->is_queued = true;
    TAILQ_INSERT_TAIL(&tier->jobs, job, next);
    (void)pthread_cond_signal(&tier->work);
}

static void *
work(void *object)
{
    struct tier *tier = object;
    struct job *job;

    tier_lock(tier);
    for (;;) {
        while ((job = TAILQ_FIRST(&tier->jobs)) == NULL && !tier->is_ending)
            (void)pthread_cond_wait(&tier->work, &tier->lock);
        if (job == NULL)
            break;
        TAILQ_REMOVE(&tier->jobs, job, next);
        job->is_queued = false;
        job->run(tier, job);
        tier_unlock(tier);
        tier_lock(tier);
    }
    tier_unlock(tier);
    return NULL;
}

static int
start_threads(struct tier *tier)
{
    tier->threads = tier_alloc(tier->config.threads * sizeof(pthread_t));
    if (tier->threads == NULL)
        return -ENOMEM;
    while (tier->thread_count < tier->config.threads) {
        int err = pthread_create(&tier->threads[tier->thread_count], NULL, work, tier);

        if (err != 0)
            return -err;
        tier->thread_count++;
    }
    if (!tier->clock.is_manual) {
        int err = pthread_create(&tier->timekeeper, NULL, keep_time, tier);

        if (err != 0)
            return -err;
        tier->has_timekeeper = true;
    }
    return 0;
}

/* ----------------------------------------------------------------------------- tenants */

static size_t
hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return (hash ^ hash >> 32) % TIER_TENANT_BUCKETS;
}

struct tenant *
tier_tenant(struct tier *tier, const char *name)
{
    struct tenant **link = &tier->tenants[hash_name(name)];
    struct tenant *tenant;

    for (; *link != NULL; link = &(*link)->next)
        if (strcmp((*link)->name, name) == 0)
            return *link;
    tenant = tier_alloc(sizeof(*tenant) + strlen(name) + 1);
    if (tenant == NULL)
        return NULL;
    memcpy(tenant->name, name, strlen(name) + 1);
    *link = tenant;
    return tenant;
}

void
tier_lose(struct tier *tier)
{
    bool was_lost;

    tier_lock(tier);
    was_lost = tier->is_lost;
    tier->is_lost = true;
    tier_unlock(tier);
    if (!was_lost && tier->config.on_lost != NULL)
        tier->config.on_lost(tier->config.context);
}

/* ------------------------------------------------------------------------ begin and end */

/* Each tier has an epoch of its own, from the store, which is higher than all before: a term
 * would do, but it counts the store's commits and leaves no room for a counter. */
static int
take_epoch(struct tier *tier, struct diag *diag)
{
    struct buffer value = {0};
    struct commit commit;
    struct store_change *one;
    struct folder name = {.count = 3, .bytes = "one"};
    uint64_t version, epoch = 0;
    uint8_t bytes[8];
    int err =
        store_get(tier->config.store, &(struct store_key){tier_table_epoch, name.bytes, name.count},
                  &value, &version, diag);

    if (err == 0 && value.count == sizeof(bytes))
        epoch = tier_number_read(value.bytes);
    buffer_fini(&value);
    if (err != 0 && err != -ENOENT)
        return err;
    err = tier_commit_init(&commit, tier, 2);
    if (err != 0)
        return err;
    tier_number_write(bytes, ++epoch);
    one = tier_commit_add(&commit, tier_table_epoch, &name);
    one->value = bytes;
    one->count = sizeof(bytes);
    err = tier_commit(&commit, NULL, NULL, diag);
    tier_commit_fini(&commit);
    tier->fence = epoch << TIER_FENCE_BITS;
    return err;
}

static int
init(struct tier *tier, const struct tier_config *config, const struct tier_clock *clock)
{
    pthread_condattr_t monotonic;

    tier->config = *config;
    tier->clock = *clock;
    if (config->lease_ns == 0)
        tier->config.lease_ns = TIER_LEASE_NS;
    if (config->threads == 0 || config->threads > TIER_THREADS_MAX)
        tier->config.threads = config->threads == 0 ? THREADS_DEFAULT : TIER_THREADS_MAX;
    tier->commit_parts_max = TIER_COMMIT_PARTS_MAX;
    tier->redo_changes_max = TIER_REDO_CHANGES_MAX;
    STAILQ_INIT(&tier->unsaid);
    STAILQ_INIT(&tier->answered);
    TAILQ_INIT(&tier->jobs);
    TAILQ_INIT(&tier->idle);
    tier->pause.fire = pause_over;
    tier->sweep.fire = tier_sweep_fire;
    tier->sweep_job.run = tier_sweep_run;
    (void)pthread_mutex_init(&tier->lock, NULL);
    (void)pthread_mutex_init(&tier->floor_lock, NULL);
    (void)pthread_cond_init(&tier->work, NULL);
    (void)pthread_cond_init(&tier->quiet, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&tier->time, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    tier->lease = config->lease == NULL ? NULL : strdup(config->lease);
    if (config->lease != NULL && tier->lease == NULL)
        return -ENOMEM;
    return tier_cache_init(&tier->cache,
                           config->cache_bytes == 0 ? TIER_CACHE_BYTES : config->cache_bytes);
}

static int
begin(struct tier *tier, struct diag *diag)
{
    int err = tier_timer_reserve(tier); /* pause and sweep */

    if (err == 0)
        err = tier_timer_reserve(tier);
    if (err == 0)
        err = take_epoch(tier, diag);
    if (err == 0)
        err = tier_redo_end_all(tier, diag);
    if (err == 0)
        err = tier_scan(tier, diag);
    if (err != 0)
        return err;
    tier_lock(tier);
    tier->is_paused = !tier->config.is_first;
    if (tier->is_paused)
        tier_timer_set(tier, &tier->pause,
                       tier_now(tier) + tier->config.lease_ns + tier->config.lease_ns / 10);
    tier_unlock(tier);
    return start_threads(tier);
}

int
tier_create_clocked(const struct tier_config *config, const struct tier_clock *clock,
                    struct tier **out, struct diag *diag)
{
    static const struct tier_clock machine = {machine_mono, machine_real, NULL, false};
    struct tier *tier = tier_alloc(sizeof(*tier));
    int err;

    if (tier == NULL)
        return diag_set(diag, -ENOMEM, "no memory for the tier of state");
    err = init(tier, config, clock == NULL ? &machine : clock);
    if (err == 0)
        err = begin(tier, diag);
    if (err != 0) {
        tier_destroy(tier);
        return diag_set(diag, err, "cannot begin the tier of state: %s", strerror(-err));
    }
    *out = tier;
    return 0;
}

int
tier_create(const struct tier_config *config, struct tier **out, struct diag *diag)
{
    return tier_create_clocked(config, NULL, out, diag);
}

static void
end_threads(struct tier *tier)
{
    tier_lock(tier);
    tier->is_ending = true;
    for (size_t i = 0; i < TIER_KEY_BUCKETS; i++)
        for (struct key *key = tier->keys[i]; key != NULL; key = key->next)
            if (!TAILQ_EMPTY(&key->batch) || !TAILQ_EMPTY(&key->queue))
                tier_job_add(tier, &key->job);
    (void)pthread_cond_broadcast(&tier->work);
    (void)pthread_cond_broadcast(&tier->time);
    tier_unlock(tier);
    for (uint32_t i = 0; i < tier->thread_count; i++)
        (void)pthread_join(tier->threads[i], NULL);
    if (tier->has_timekeeper)
        (void)pthread_join(tier->timekeeper, NULL);
    tier_lock(tier);
    tier_key_free_all(tier);
    while (tier->saying > 0)
        (void)pthread_cond_wait(&tier->quiet, &tier->lock);
    tier_session_free_all(tier);
    tier_unlock(tier);
}

static void
free_tenants(struct tier *tier)
{
    for (size_t i = 0; i < TIER_TENANT_BUCKETS; i++)
        for (struct tenant *tenant = tier->tenants[i], *next; tenant != NULL; tenant = next) {
            next = tenant->next;
            free(tenant);
        }
}

void
tier_destroy(struct tier *tier)
{
    if (tier == NULL)
        return;
    end_threads(tier);
    free_tenants(tier);
    tier_cache_fini(&tier->cache);
    heap_fini(&tier->timers);
    (void)pthread_mutex_destroy(&tier->lock);
    (void)pthread_mutex_destroy(&tier->floor_lock);
    (void)pthread_cond_destroy(&tier->work);
    (void)pthread_cond_destroy(&tier->time);
    (void)pthread_cond_destroy(&tier->quiet);
    free(tier->threads);
    free(tier->lease);
    free(tier);
}

void
tier_usage(struct tier *tier, struct tier_usage *out)
{
    tier_lock(tier);
    *out = tier->usage;
    out->keys = tier->key_count;
    tier_unlock(tier);
    (void)pthread_mutex_lock(&tier->cache.lock);
    out->bytes = tier->cache.bytes;
    (void)pthread_mutex_unlock(&tier->cache.lock);
}

void
tier_usage_tenants(struct tier *tier, const char *tenant,
                   bool (*visit)(void *context, const struct tier_tenant_usage *usage),
                   void *context)
{
    bool goes_on = true;

    tier_lock(tier);
    for (size_t i = 0; i < TIER_TENANT_BUCKETS && goes_on; i++)
        for (const struct tenant *one = tier->tenants[i]; one != NULL && goes_on; one = one->next)
            if (tenant == NULL || strcmp(one->name, tenant) == 0) {
                const struct tier_tenant_usage usage = {one->name, one->keys, one->bytes,
                                                        one->local};

                goes_on = visit(context, &usage);
            }
    tier_unlock(tier);
}
