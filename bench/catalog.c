/* SPDX-License-Identifier: Apache-2.0
 *
 * What every call asks the catalog: nanoseconds for each question, on one thread and with
 * two at a time, over 50 tenants with 200 functions each and one with as many as it may
 * have; and what a change costs.
 *
 *      catalog DIRECTORY --out ROWS
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "latency.h"

#define TENANTS   50u
#define FUNCTIONS 200u
#define ROUNDS    400000u
#define REPEATS   9u
#define THREADS   2u

static struct store *store;
static struct catalog *catalog, *other;
static struct store_hash blob;
static char secrets[TENANTS][CATALOG_TOKEN_BYTES_MAX];
static struct catalog_callable *sample;

static void
must(int err, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "catalog: %s: %s\n", strerror(-err), diag_text(diag));
    exit(1);
}

static void
deploy(const char *tenant, const char *function)
{
    static const char *const names[] = {"S0", "S1"}, *const env[] = {"A=1", "B=2"};
    struct catalog_version version = {.tenant = tenant,
                                      .function = function,
                                      .module = blob,
                                      .image = blob,
                                      .secrets = names,
                                      .secret_count = 2,
                                      .env = env,
                                      .env_count = 2};
    struct diag diag = {0};
    uint32_t number;

    must(catalog_version_put(catalog, &version, &number, &diag), &diag);
}

static void
add_triggers(const char *tenant, unsigned count)
{
    struct catalog_trigger trigger = {.tenant = tenant, .kind = CATALOG_HTTP, .reference = "f"};
    struct diag diag = {0};

    for (unsigned i = 0; i < count; i++) {
        char name[32], path[64];

        (void)snprintf(name, sizeof(name), "t%u", i);
        (void)snprintf(path, sizeof(path), "/api/v1/items%u/%s", i, i % 2 == 0 ? "*" : "all");
        trigger.name = name;
        trigger.path = path;
        must(catalog_trigger_put(catalog, &trigger, &diag), &diag);
    }
}

static void
fill(void)
{
    struct diag diag = {0};

    for (unsigned i = 0; i <= TENANTS; i++) {
        char tenant[32], function[32];
        struct catalog_token token = {tenant, "bench", CATALOG_INVOKE, 0};
        unsigned functions = i == TENANTS ? CATALOG_FUNCTIONS_MAX : FUNCTIONS;

        (void)snprintf(tenant, sizeof(tenant), "tenant%u", i);
        must(catalog_tenant_put(catalog, &(struct catalog_tenant){.name = tenant}, &diag), &diag);
        if (i < TENANTS)
            must(catalog_token_create(catalog, &token, secrets[i], &diag), &diag);
        for (unsigned k = 0; k < 2; k++) {
            (void)snprintf(function, sizeof(function), "S%u", k);
            must(catalog_variable_put(catalog, tenant, function, "secret", true, &diag), &diag);
        }
        for (unsigned k = 0; k < functions; k++) {
            (void)snprintf(function, sizeof(function), "function%u", k);
            deploy(tenant, function);
        }
        add_triggers(tenant, i == TENANTS ? CATALOG_TRIGGERS_MAX : 10);
    }
}

/* ------------------------------------------------------------------------- questions */

static char references[4096][64], tenants[64][32];

static void
prepare(void)
{
    for (unsigned i = 0; i < 4096; i++)
        (void)snprintf(references[i], sizeof(references[i]), "function%u", i);
    for (unsigned i = 0; i < 64; i++)
        (void)snprintf(tenants[i], sizeof(tenants[i]), "tenant%u", i);
}

static void
ask_identify(unsigned i)
{
    const char *secret = secrets[i % TENANTS];
    struct catalog_identity who;

    must(catalog_identify(catalog, secret, strlen(secret), &who), NULL);
}

static void
resolve(const char *tenant, const char *reference)
{
    struct catalog_callable *callable;

    must(catalog_resolve(catalog, tenant, reference, 0, &callable, NULL), NULL);
    catalog_callable_put(callable);
}

static void
ask_resolve(unsigned i)
{
    resolve(tenants[i % TENANTS], references[i * 31 % FUNCTIONS]);
}

static void
ask_resolve_large(unsigned i)
{
    resolve("tenant50", references[i * 1031 % CATALOG_FUNCTIONS_MAX]);
}

static bool
see(void *context, const struct catalog_trigger *trigger)
{
    (void)context;
    return trigger != NULL;
}

static void
ask_trigger(unsigned i)
{
    must(
        catalog_trigger_find(catalog, tenants[i % TENANTS], "GET", "/api/v1/items8/a/b", see, NULL),
        NULL);
}

static void
ask_trigger_large(unsigned i)
{
    (void)i;
    must(catalog_trigger_find(catalog, "tenant50", "GET", "/api/v1/items808/a/b", see, NULL), NULL);
}

static void
ask_refresh(unsigned i)
{
    (void)i;
    must(catalog_refresh(other, NULL), NULL);
}

static void
ask_environment(unsigned i)
{
    struct buffer out = {0};
    size_t count;

    (void)i;
    must(catalog_environment(catalog, catalog_callable_version(sample), &out, &count, NULL), NULL);
    buffer_fini(&out);
}

static void
ask_deploy(unsigned i)
{
    deploy("tenant0", references[i % FUNCTIONS]);
}

static void
ask_follow(unsigned i)
{
    deploy("tenant50", references[i % FUNCTIONS]);
    must(catalog_refresh(other, NULL), NULL);
}

/* -------------------------------------------------------------------------- measuring */

struct question {
    const char *name;
    void (*ask)(unsigned i);
    unsigned rounds, threads;
};

static const struct question questions[] = {
    {"identify", ask_identify, ROUNDS, 1},
    {"identify, two threads", ask_identify, ROUNDS, THREADS},
    {"resolve, 50 x 200 functions", ask_resolve, ROUNDS, 1},
    {"resolve, two threads", ask_resolve, ROUNDS, THREADS},
    {"resolve, 4096 functions", ask_resolve_large, ROUNDS, 1},
    {"trigger_find, 10 triggers", ask_trigger, ROUNDS, 1},
    {"trigger_find, two threads", ask_trigger, ROUNDS, THREADS},
    {"trigger_find, 1024 triggers", ask_trigger_large, ROUNDS, 1},
    {"environment, 2 secrets", ask_environment, 20000, 1},
    {"refresh, nothing changed", ask_refresh, 20000, 1},
    {"version_put, not durable", ask_deploy, 200, 1},
    {"version_put by one, refresh by another", ask_follow, 200, 1},
};

static void *
run(void *context)
{
    const struct question *question = context;

    for (unsigned i = 0; i < question->rounds; i++)
        question->ask(i);
    return NULL;
}

static int
compare(const void *one, const void *two)
{
    double a = *(const double *)one, b = *(const double *)two;

    return a < b ? -1 : a > b;
}

static double
measure(const struct question *question)
{
    double ns[REPEATS];

    for (unsigned i = 0; i < REPEATS; i++) {
        pthread_t threads[THREADS];
        uint64_t start = clock_now_ns();

        for (unsigned k = 1; k < question->threads; k++)
            must(-pthread_create(&threads[k], NULL, run, (void *)(uintptr_t)question), NULL);
        (void)run((void *)(uintptr_t)question);
        for (unsigned k = 1; k < question->threads; k++)
            (void)pthread_join(threads[k], NULL);
        ns[i] = (double)(clock_now_ns() - start) / question->rounds;
    }
    qsort(ns, REPEATS, sizeof(ns[0]), compare);
    return ns[REPEATS / 2];
}

int
main(int argc, char **argv)
{
    static const uint8_t key[CATALOG_KEY_BYTES] = "bench";
    struct latency latency;
    struct diag diag = {0};
    char address[256];
    struct store_config config = {.records = address, .blobs = address};
    FILE *rows;

    if (argc != 4 || strcmp(argv[2], "--out") != 0 || (rows = fopen(argv[3], "w")) == NULL)
        return 2;
    (void)snprintf(address, sizeof(address), "dir:%s", argv[1]);
    must(store_open(&config, &store, &diag), &diag);
    must(store_blob_put_bytes(store, "module", 6, &blob, &diag), &diag);
    must(catalog_open(store, key, &catalog, &diag), &diag);
    prepare();
    fill();
    uint64_t start = clock_now_ns();
    must(catalog_open(store, key, &other, &diag), &diag);
    printf("%-42s %10.1f ms\n", "open: 14,096 functions", (double)(clock_now_ns() - start) / 1e6);
    must(catalog_resolve(catalog, "tenant0", "function0", 0, &sample, &diag), &diag);
    latency = latency_measure();
    latency_print(&latency);
    latency_write(&latency, rows);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        double ns = measure(&questions[i]);

        printf("%-42s %10.0f ns\n", questions[i].name, ns);
        (void)fprintf(rows, "{\"question\": \"%s\", \"ns\": %.0f}\n", questions[i].name, ns);
    }
    (void)fclose(rows);
    catalog_callable_put(sample);
    catalog_close(other);
    catalog_close(catalog);
    store_close(store);
    return 0;
}
