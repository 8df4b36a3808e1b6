/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that call a cluster which is being killed, and remember what they were promised.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

#define INPUT_MAX     4096u
#define ASYNC_WAIT_MS 30000u
#define SYNC_WAIT_MS  8000u
#define SYNC_SLACK_MS 4000u
#define PAUSE_MS      50u
#define REPEAT_ONE_OF 8u
#define OTHER_SEED(n) ((n) * UINT64_C(0x9e3779b97f4a7c15) + 1)

static atomic_bool is_over;

/* ------------------------------------------------------------------------ what is asked */

size_t
crash_input(uint64_t seed, unsigned sleep_ms_max, uint8_t *out)
{
    uint64_t state = OTHER_SEED(seed);
    /* Most are short; some last while things are killed. */
    uint64_t most = crash_random(&state, 8) == 0 ? sleep_ms_max : sleep_ms_max / 20;
    size_t count =
        (size_t)snprintf((char *)out, INPUT_MAX, "%" PRIu64 "\n", crash_random(&state, most + 1));
    size_t more = crash_random(&state, INPUT_MAX - 64);

    for (size_t i = 0; i < more; i++)
        out[count++] = (uint8_t)crash_random(&state, 256);
    return count;
}

void
crash_digest(const uint8_t *bytes, size_t count, char out[CRASH_RESULT])
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    (void)snprintf(out, CRASH_RESULT, "%016" PRIx64, sum);
}

static void PRINTF_LIKE(2, 3) complain(struct crash_load *load, const char *format, ...)
{
    va_list args;

    load->wrong++;
    if (load->complaint[0] != '\0')
        return;
    va_start(args, format);
    (void)vsnprintf(load->complaint, sizeof(load->complaint), format, args);
    va_end(args);
}

/* ------------------------------------------------------------------------- asynchronous */

/* The number that it was given; 0: none yet. */
static uint64_t
submit(struct crash_load *load, struct crash_client *client, const struct crash_item *item)
{
    uint8_t input[INPUT_MAX];
    char key[64];
    struct crash_request request = {.method = "POST",
                                    .path = item->is_once ? "/v1/invoke/once?async=1"
                                                          : "/v1/invoke/digest?async=1",
                                    .key = key,
                                    .body = input,
                                    .count = crash_input(item->seed, load->sleep_ms_max, input),
                                    .timeout_ms = ASYNC_WAIT_MS};
    struct crash_answer answer;
    uint64_t id = 0;

    (void)snprintf(key, sizeof(key), "key-%016" PRIx64, item->seed);
    crash_ask(client, &request, &answer);
    if (answer.status == 202 || answer.status == 200) {
        json_t *json = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
        const char *text = json_string_value(json_object_get(json, "call"));

        id = text != NULL ? strtoull(text, NULL, 10) : 0;
        if (id == 0)
            complain(load, "accepted without a number: %.150s", (const char *)answer.body.bytes);
        json_decref(json);
    } else if (answer.status != 0 && answer.status < 500) {
        complain(load, "refused with %ld: %.150s", answer.status, (const char *)answer.body.bytes);
    }
    buffer_fini(&answer.body);
    return id;
}

/* Says the same key until it is answered. */
static void
ask_async(struct crash_load *load, struct crash_client *client, struct crash_item *item)
{
    while (item->id == 0 && !atomic_load(load->is_over)) {
        item->id = submit(load, client, item);
        if (item->id == 0) {
            load->retried++;
            crash_sleep_ms(PAUSE_MS);
        }
    }
    if (item->id != 0 && crash_random(&load->seed, REPEAT_ONE_OF) == 0) {
        uint64_t again = submit(load, client, item);

        load->repeated++;
        if (again != 0 && again != item->id)
            complain(load, "one key was two calls: %" PRIu64 " and %" PRIu64, item->id, again);
    }
}

static void
async_main(struct crash_load *load, struct crash_client *client)
{
    while (!atomic_load(load->is_over) && load->item_count < CRASH_ITEMS_MAX) {
        struct crash_item *item = &load->items[load->item_count++];

        item->seed = load->seed * 2 + load->item_count;
        item->is_once = crash_random(&load->seed, 100) < load->once_percent;
        ask_async(load, client, item);
        crash_sleep_ms((unsigned)crash_random(&load->seed, PAUSE_MS));
    }
}

/* -------------------------------------------------------------------------- synchronous */

/* An answer that is right, or an error; in time. */
static void
ask_sync(struct crash_load *load, struct crash_client *client)
{
    uint8_t input[INPUT_MAX];
    char path[64], wanted[CRASH_RESULT];
    struct crash_request request = {
        .method = "POST", .path = path, .body = input, .timeout_ms = SYNC_WAIT_MS + SYNC_SLACK_MS};
    struct crash_answer answer;

    request.count = crash_input(crash_random(&load->seed, UINT32_MAX), load->sleep_ms_max, input);
    (void)snprintf(path, sizeof(path), "/v1/invoke/digest?wait_ms=%u", SYNC_WAIT_MS);
    crash_digest(input, request.count, wanted);
    crash_ask(client, &request, &answer);
    load->longest_ns = answer.took_ns > load->longest_ns ? answer.took_ns : load->longest_ns;
    if (answer.is_late)
        complain(load, "no answer within %u ms of a deadline of %u ms", request.timeout_ms,
                 SYNC_WAIT_MS);
    else if (answer.status == 200 && strcmp((const char *)answer.body.bytes, wanted) != 0)
        complain(load, "a wrong answer: %.100s instead of %s", (const char *)answer.body.bytes,
                 wanted);
    else if (answer.status != 0 && answer.status != 200 && answer.status < 500)
        complain(load, "refused with %ld: %.150s", answer.status, (const char *)answer.body.bytes);
    load->answered += answer.status == 200 ? 1 : 0;
    load->failed += answer.status != 200 ? 1 : 0;
    if (answer.status != 200)
        crash_sleep_ms(PAUSE_MS);
    buffer_fini(&answer.body);
}

static void
sync_main(struct crash_load *load, struct crash_client *client)
{
    while (!atomic_load(load->is_over)) {
        ask_sync(load, client);
        crash_sleep_ms((unsigned)crash_random(&load->seed, PAUSE_MS));
    }
}

/* ------------------------------------------------------------------------------ threads */

static void *
load_main(void *context)
{
    struct crash_load *load = context;
    struct crash_client client;

    crash_client_open(&client, load->cluster);
    (load->is_async ? async_main : sync_main)(load, &client);
    crash_client_close(&client);
    return NULL;
}

void
crash_loads_start(struct crash_load *loads, struct crash_cluster *cluster, uint64_t seed)
{
    atomic_store(&is_over, false);
    for (size_t i = 0; i < CRASH_LOADS; i++) {
        loads[i].cluster = cluster;
        loads[i].is_async = i < CRASH_LOADS_ASYNC;
        loads[i].seed = OTHER_SEED(seed + i);
        loads[i].is_over = &is_over;
        loads[i].items =
            loads[i].is_async ? calloc(CRASH_ITEMS_MAX, sizeof(*loads[i].items)) : NULL;
        if ((loads[i].is_async && loads[i].items == NULL) ||
            pthread_create(&loads[i].thread, NULL, load_main, &loads[i]) != 0)
            abort();
    }
}

void
crash_loads_stop(struct crash_load *loads)
{
    atomic_store(&is_over, true);
    for (size_t i = 0; i < CRASH_LOADS; i++)
        (void)pthread_join(loads[i].thread, NULL);
}

size_t
crash_loads_acknowledged(const struct crash_load *loads)
{
    size_t count = 0;

    for (size_t i = 0; i < CRASH_LOADS; i++)
        for (size_t k = 0; k < loads[i].item_count; k++)
            count += loads[i].items[k].id != 0 ? 1 : 0;
    return count;
}
