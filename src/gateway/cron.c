/* SPDX-License-Identifier: Apache-2.0
 *
 * Time tables. Each minute that fits starts one asynchronous call, whose key names trigger
 * and minute: however often and by whoever it is asked for, it is one call.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway_internal.h"

#define MINUTE_S  60u
#define CATCH_UP  10u /* minutes that are made good after a pause of this process */
#define KEY_BYTES 128u

struct step {
    struct gateway *gateway;
    uint64_t minute_s;
    bool is_failed; /* for a reason that passes: the minute is done again */
};

struct asked {
    struct gateway *gateway;
    uint64_t minute_s;
};

/* A call that was not accepted is asked for again, with its whole minute. */
static void
on_accepted(void *context, int err, uint64_t id)
{
    struct asked *asked = context;
    struct gateway *gateway = asked->gateway;

    (void)id;
    if (err != 0 && err != -EEXIST)
        atomic_store_explicit(&gateway->cron_again_s, asked->minute_s, memory_order_relaxed);
    free(asked);
    gateway_leave(gateway);
}

static int
submit(const struct step *step, const Ledger__Call *call)
{
    struct asked *asked = malloc(sizeof(*asked));
    int err;

    if (asked == NULL)
        return -ENOMEM;
    *asked = (struct asked){step->gateway, step->minute_s};
    gateway_enter(step->gateway);
    err = planner_call_async(step->gateway->config.planner, call, on_accepted, NULL, asked);
    if (err != 0) {
        free(asked);
        gateway_leave(step->gateway);
    }
    return err;
}

static bool
is_due(const struct catalog_trigger *trigger, uint64_t minute_s)
{
    uint64_t next_s = 0;

    return trigger->kind == CATALOG_CRON && !trigger->is_paused &&
           catalog_schedule_next(trigger->schedule, minute_s - 1, &next_s, NULL) == 0 &&
           next_s == minute_s;
}

static bool
start(void *context, const struct catalog_trigger *trigger)
{
    struct step *step = context;
    char key[KEY_BYTES];
    const struct gateway_wish wish = {.reference = trigger->reference,
                                      .key = key,
                                      .input = (const uint8_t *)trigger->input,
                                      .input_count = strlen(trigger->input)};
    struct gateway_call call;
    int err;

    if (!is_due(trigger, step->minute_s))
        return true;
    (void)snprintf(key, sizeof(key), "cron:%s:%" PRIu64, trigger->name, step->minute_s / MINUTE_S);
    if (gateway_call_make(step->gateway, trigger->tenant, "cron", &wish, &call, NULL) != 0)
        return true; /* what it names is not there (yet) */
    /* A call for another tenant would be that one's: cron starts only its own. */
    err = strcmp(call.call.tenant, trigger->tenant) != 0 ? 0 : submit(step, &call.call);
    gateway_call_fini(&call);
    step->is_failed |= err == -EAGAIN || err == -ENOMEM;
    return true;
}

/* With the lock. */
static void
step_minutes(struct gateway *gateway, uint64_t now_s)
{
    uint64_t now_minute_s = now_s / MINUTE_S * MINUTE_S, again_s;
    struct step step = {.gateway = gateway};

    again_s = atomic_exchange_explicit(&gateway->cron_again_s, 0, memory_order_relaxed);
    if (again_s != 0 && again_s <= gateway->cron_minute_s)
        gateway->cron_minute_s = again_s - MINUTE_S;
    if (gateway->cron_minute_s == 0)
        gateway->cron_minute_s = now_minute_s - MINUTE_S;
    if (now_minute_s > gateway->cron_minute_s + CATCH_UP * MINUTE_S)
        gateway->cron_minute_s = now_minute_s - CATCH_UP * MINUTE_S;
    while (gateway->cron_minute_s < now_minute_s && !step.is_failed) {
        step.minute_s = gateway->cron_minute_s + MINUTE_S;
        if (catalog_trigger_list(gateway->config.catalog, NULL, start, &step, NULL) != 0)
            return;
        if (!step.is_failed)
            gateway->cron_minute_s = step.minute_s;
    }
}

void
gateway_cron_step(struct gateway *gateway, uint64_t now_s)
{
    if (!planner_is_leading(gateway->config.planner))
        return;
    (void)pthread_mutex_lock(&gateway->cron_lock);
    step_minutes(gateway, now_s);
    (void)pthread_mutex_unlock(&gateway->cron_lock);
}

void
gateway_cron_tick(struct gateway *gateway, uint64_t now_s)
{
    if (!planner_is_leading(gateway->config.planner))
        return;
    (void)pthread_mutex_lock(&gateway->cron_lock);
    if (!gateway->cron_is_off)
        step_minutes(gateway, now_s);
    (void)pthread_mutex_unlock(&gateway->cron_lock);
}
