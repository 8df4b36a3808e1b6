/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters and histograms in memory, as text for Prometheus. A series per function, up to a
 * number of them; what comes after that is counted together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/gateway_internal.h"

#define SERIES_MAX   4096u
#define SHARDS       16u
#define BUCKETS      14u
#define STATUSES     600u
#define OTHER        "other"
#define KIND_COUNT   10u
#define SHARD_CHAINS 256u

/* Upper bounds in microseconds; the last bucket has none. */
static const uint64_t bounds_us[BUCKETS - 1] = {
    50, 100, 250, 500, 1000, 5000, 10000, 50000, 100000, 500000, 1000000, 10000000, 60000000};

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t sum_ns;
};

enum measure { QUEUE, START_COLD, START_WARM, RUN, MEASURES };

struct series {
    struct series *next;
    char tenant[CATALOG_NAME_BYTES_MAX + 1], function[CATALOG_NAME_BYTES_MAX + 1];
    uint64_t kinds[KIND_COUNT];
    struct histogram measures[MEASURES];
};

struct shard {
    pthread_mutex_t lock;
    struct series *chains[SHARD_CHAINS];
};

struct gateway_metrics {
    struct shard shards[SHARDS];
    _Atomic uint32_t count;
    _Atomic uint64_t statuses[STATUSES];
};

int
gateway_metrics_create(struct gateway_metrics **out)
{
    struct gateway_metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&metrics->shards[i].lock, NULL);
    *out = metrics;
    return 0;
}

void
gateway_metrics_destroy(struct gateway_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < SHARD_CHAINS; k++)
            while (metrics->shards[i].chains[k] != NULL) {
                struct series *series = metrics->shards[i].chains[k];

                metrics->shards[i].chains[k] = series->next;
                free(series);
            }
        (void)pthread_mutex_destroy(&metrics->shards[i].lock);
    }
    free(metrics);
}

/* ---------------------------------------------------------------------------- count */

static struct series *
find(struct series *series, const char *tenant, const char *function)
{
    while (series != NULL &&
           (strcmp(series->tenant, tenant) != 0 || strcmp(series->function, function) != 0))
        series = series->next;
    return series;
}

/* With the shard's lock. */
static struct series *
get(struct gateway_metrics *metrics, struct series **chain, const char *tenant,
    const char *function)
{
    struct series *series = find(*chain, tenant, function);

    if (series != NULL || strlen(tenant) > CATALOG_NAME_BYTES_MAX ||
        strlen(function) > CATALOG_NAME_BYTES_MAX)
        return series;
    series = calloc(1, sizeof(*series));
    if (series == NULL)
        return NULL;
    (void)atomic_fetch_add_explicit(&metrics->count, 1, memory_order_relaxed);
    (void)snprintf(series->tenant, sizeof(series->tenant), "%s", tenant);
    (void)snprintf(series->function, sizeof(series->function), "%s", function);
    series->next = *chain;
    *chain = series;
    return series;
}

static void
observe(struct histogram *histogram, uint64_t ns)
{
    size_t i = 0;

    while (i < BUCKETS - 1 && ns > bounds_us[i] * 1000)
        i++;
    histogram->counts[i]++;
    histogram->sum_ns += ns;
}

static void
count_call(struct series *series, const Ledger__Result *result)
{
    series->kinds[(size_t)result->kind < KIND_COUNT ? result->kind : 0]++;
    observe(&series->measures[QUEUE], result->queue_ns);
    if (result->host[0] == '\0')
        return; /* it never ran */
    observe(&series->measures[result->was_cold ? START_COLD : START_WARM], result->start_ns);
    observe(&series->measures[RUN], result->wall_ns);
}

void
gateway_metrics_over(struct gateway_metrics *metrics, const Ledger__Call *call)
{
    const char *tenant = call->tenant, *function = call->function;
    uint64_t hash = hash_text(hash_text(hash_text(HASH_SEED, tenant), "/"), function);
    struct shard *shard = &metrics->shards[hash >> 32 & (SHARDS - 1)];
    struct series **chain = &shard->chains[hash >> 40 & (SHARD_CHAINS - 1)], *series;

    if (call->result == NULL)
        return;
    (void)pthread_mutex_lock(&shard->lock);
    series = find(*chain, tenant, function);
    if (series == NULL && atomic_load_explicit(&metrics->count, memory_order_relaxed) >= SERIES_MAX)
        tenant = function = OTHER;
    series = get(metrics, chain, tenant, function);
    if (series != NULL)
        count_call(series, call->result);
    (void)pthread_mutex_unlock(&shard->lock);
}

void
gateway_metrics_answered(struct gateway_metrics *metrics, unsigned status)
{
    if (status < STATUSES)
        (void)atomic_fetch_add_explicit(&metrics->statuses[status], 1, memory_order_relaxed);
}

/* ----------------------------------------------------------------------------- text */

static const char *const names[] = {"weft_queue_seconds", "weft_start_seconds",
                                    "weft_start_seconds", "weft_run_seconds"};
static const char *const temperatures[] = {"", ",temperature=\"cold\"", ",temperature=\"warm\"",
                                           ""};

static void
put_histogram(struct buffer *out, const struct series *series, enum measure measure)
{
    const struct histogram *histogram = &series->measures[measure];
    uint64_t count = 0;
    char labels[256];

    (void)snprintf(labels, sizeof(labels), "tenant=\"%s\",function=\"%s\"%s", series->tenant,
                   series->function, temperatures[measure]);
    for (size_t i = 0; i < BUCKETS; i++) {
        count += histogram->counts[i];
        if (i < BUCKETS - 1)
            buffer_append_format(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", names[measure],
                                 labels, (double)bounds_us[i] / 1e6, count);
    }
    buffer_append_format(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", names[measure], labels,
                         count);
    buffer_append_format(out, "%s_sum{%s} %.9f\n", names[measure], labels,
                         (double)histogram->sum_ns / 1e9);
    buffer_append_format(out, "%s_count{%s} %" PRIu64 "\n", names[measure], labels, count);
}

static void
put_kinds(struct buffer *out, const struct series *series)
{
    for (size_t i = 1; i < KIND_COUNT; i++)
        if (series->kinds[i] > 0)
            buffer_append_format(
                out, "weft_calls_total{tenant=\"%s\",function=\"%s\",kind=\"%s\"} %" PRIu64 "\n",
                series->tenant, series->function, gateway_kind_name((Ledger__Kind)i),
                series->kinds[i]);
}

/* what: -1 for the kinds, else a measure. */
static void
put_series(struct gateway_metrics *metrics, const char *tenant, int what, struct buffer *out)
{
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&metrics->shards[i].lock);
        for (size_t k = 0; k < SHARD_CHAINS; k++)
            for (const struct series *series = metrics->shards[i].chains[k]; series != NULL;
                 series = series->next) {
                if (tenant != NULL && strcmp(series->tenant, tenant) != 0)
                    continue;
                if (what < 0)
                    put_kinds(out, series);
                else
                    put_histogram(out, series, (enum measure)what);
            }
        (void)pthread_mutex_unlock(&metrics->shards[i].lock);
    }
}

static void
put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
gateway_metrics_text(struct gateway_metrics *metrics, const char *tenant, struct buffer *out)
{
    put_head(out, "weft_calls_total", "counter", "Calls that are over, by how they ended.");
    put_series(metrics, tenant, -1, out);
    put_head(out, names[QUEUE], "histogram", "From a call's acceptance to its start on a host.");
    put_series(metrics, tenant, QUEUE, out);
    put_head(out, names[START_COLD], "histogram", "From a start on a host to the program.");
    put_series(metrics, tenant, START_COLD, out);
    put_series(metrics, tenant, START_WARM, out);
    put_head(out, names[RUN], "histogram", "How long programs ran.");
    put_series(metrics, tenant, RUN, out);
    if (tenant != NULL)
        return;
    put_head(out, "weft_http_requests_total", "counter", "Answers, by status.");
    for (unsigned i = 0; i < STATUSES; i++) {
        uint64_t count = atomic_load_explicit(&metrics->statuses[i], memory_order_relaxed);

        if (count > 0)
            buffer_append_format(out, "weft_http_requests_total{code=\"%u\"} %" PRIu64 "\n", i,
                                 count);
    }
}

/* ---------------------------------------------------------------------------- route */

struct totals {
    uint32_t hosts, slots, used;
};

static bool
add_host(void *context, const struct planner_host_view *host)
{
    struct totals *totals = context;

    if (host->is_down)
        return true;
    totals->hosts++;
    totals->slots += host->slots;
    totals->used += host->used;
    return true;
}

static void
put_cluster(struct gateway *gateway, struct buffer *out)
{
    struct totals totals = {0};
    struct planner_usage usage;

    planner_host_list(gateway->config.planner, add_host, &totals);
    planner_usage(gateway->config.planner, &usage);
    put_head(out, "weft_hosts", "gauge", "Hosts that are there.");
    buffer_append_format(out, "weft_hosts %u\n", totals.hosts);
    put_head(out, "weft_slots", "gauge", "Members that they take.");
    buffer_append_format(out, "weft_slots %u\n", totals.slots);
    put_head(out, "weft_slots_used", "gauge", "Members that run.");
    buffer_append_format(out, "weft_slots_used %u\n", totals.used);
    put_head(out, "weft_calls_waiting", "gauge", "Calls that wait.");
    buffer_append_format(out, "weft_calls_waiting %" PRIu64 "\n", usage.waiting);
    put_head(out, "weft_calls_running", "gauge", "Calls that run.");
    buffer_append_format(out, "weft_calls_running %" PRIu64 "\n", usage.running);
}

static void
put_one(struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
    put_head(out, name, type, help);
    buffer_append_format(out, "%s %" PRIu64 "\n", name, value);
}

/* Since this planner leads. */
static void
put_state(struct gateway *gateway, struct buffer *out)
{
    struct tier_usage usage;

    tier_usage(gateway->config.tier, &usage);
    put_one(out, "weft_state_sessions", "gauge", "Cells that work with state.", usage.sessions);
    put_one(out, "weft_state_keys_cached", "gauge", "Keys of state in memory.", usage.keys);
    put_one(out, "weft_state_cache_bytes", "gauge", "Bytes of values in memory.", usage.bytes);
    put_one(out, "weft_state_locks", "gauge", "Locks that are held.", usage.locks);
    put_one(out, "weft_state_waiting", "gauge", "Locks and watches that wait.", usage.waiting);
    put_one(out, "weft_state_pulls_total", "counter", "Reads of values.", usage.pulls);
    put_one(out, "weft_state_pushes_total", "counter", "Changes of values.", usage.pushes);
    put_one(out, "weft_state_adds_total", "counter", "Additions to numbers.", usage.adds);
    put_one(out, "weft_state_appends_total", "counter", "Records of logs.", usage.appends);
    put_one(out, "weft_state_takes_total", "counter", "Copies that were taken back.", usage.takes);
    put_one(out, "weft_state_pulled_bytes_total", "counter", "Bytes that were read.",
            usage.bytes_pulled);
    put_one(out, "weft_state_pushed_bytes_total", "counter", "Bytes that were changed.",
            usage.bytes_pushed);
}

#define LOCAL(field) \
    (offsetof(struct tier_tenant_usage, local) + offsetof(struct tier_local, field))

static const struct {
    const char *name, *type, *help;
    size_t offset;
} of_tenants[] = {
    {"weft_state_keys", "gauge", "Keys of state that a tenant has.",
     offsetof(struct tier_tenant_usage, keys)},
    {"weft_state_bytes", "gauge", "Bytes of state that a tenant has.",
     offsetof(struct tier_tenant_usage, bytes)},
    {"weft_state_local_entries", "gauge", "Values of which its cells have some.", LOCAL(entries)},
    {"weft_state_local_bytes", "gauge", "Bytes that its cells have of them.", LOCAL(bytes)},
    {"weft_state_local_hits_total", "counter", "Reads that asked nobody.", LOCAL(hits)},
    {"weft_state_local_pulls_total", "counter", "Reads of cells that asked.", LOCAL(pulls)},
    {"weft_state_local_pushes_total", "counter", "Changes by cells.", LOCAL(pushes)},
    {"weft_state_local_pulled_bytes_total", "counter", "Bytes that cells read.",
     LOCAL(bytes_pulled)},
    {"weft_state_local_pushed_bytes_total", "counter", "Bytes that cells changed.",
     LOCAL(bytes_pushed)},
};

struct tenants {
    struct buffer lines[ARRAY_COUNT(of_tenants)];
    unsigned count;
};

static bool
add_tenant(void *context, const struct tier_tenant_usage *usage)
{
    struct tenants *tenants = context;

    for (size_t i = 0; i < ARRAY_COUNT(of_tenants); i++) {
        uint64_t value;

        (void)memcpy(&value, (const char *)usage + of_tenants[i].offset, sizeof(value));
        buffer_append_format(&tenants->lines[i], "%s{tenant=\"%s\"} %" PRIu64 "\n",
                             of_tenants[i].name, usage->tenant, value);
    }
    return ++tenants->count < SERIES_MAX;
}

/* What tenants have, and their cells; or one alone. */
static void
put_state_tenants(struct gateway *gateway, const char *tenant, struct buffer *out)
{
    struct tenants tenants = {.count = 0};

    tier_usage_tenants(gateway->config.tier, tenant, add_tenant, &tenants);
    for (size_t i = 0; i < ARRAY_COUNT(of_tenants); i++) {
        put_head(out, of_tenants[i].name, of_tenants[i].type, of_tenants[i].help);
        if (tenants.count > 0)
            buffer_append(out, tenants.lines[i].bytes, tenants.lines[i].count);
        buffer_fini(&tenants.lines[i]);
    }
}

enum gateway_next
gateway_metrics_get(struct gateway_request *request)
{
    bool is_all = request->tenant[0] == '\0';
    struct buffer out = {0};

    gateway_metrics_text(request->gateway->metrics, is_all ? NULL : request->tenant, &out);
    if (is_all)
        put_cluster(request->gateway, &out);
    if (is_all && request->gateway->config.tier != NULL)
        put_state(request->gateway, &out);
    if (request->gateway->config.tier != NULL)
        put_state_tenants(request->gateway, is_all ? NULL : request->tenant, &out);
    return gateway_answer_buffer(request, MHD_HTTP_OK, "text/plain; version=0.0.4", &out);
}
