/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of gateway: a gateway over a real catalog, store and planner, with a host
 * in this process that ends calls as their functions' names say; and a client.
 */
#ifndef WEFT_GATEWAY_GATEWAY_TESTING_H
#define WEFT_GATEWAY_GATEWAY_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/gateway_internal.h"

#define TESTING_RUNS 8192u

static const uint8_t testing_key[CATALOG_KEY_BYTES] = "a key that all tests share......";

/* -------------------------------------------------------------------- doubles of doors */

/* Of hosts and meter: what a test wants to see of them, without workers and days. */
struct testing_doubles {
    pthread_mutex_t lock;
    unsigned changes; /* hosts_changed */
    char changed_tenant[64], changed_function[64];
    char drained[64];
    bool is_draining;
};
static struct testing_doubles testing_doubles = {.lock = PTHREAD_MUTEX_INITIALIZER};

__attribute__((weak)) void
hosts_changed(struct hosts *hosts, const char *tenant, const char *function)
{
    (void)hosts;
    (void)pthread_mutex_lock(&testing_doubles.lock);
    testing_doubles.changes++;
    (void)snprintf(testing_doubles.changed_tenant, 64, "%s", tenant);
    (void)snprintf(testing_doubles.changed_function, 64, "%s", function != NULL ? function : "");
    (void)pthread_mutex_unlock(&testing_doubles.lock);
}

__attribute__((weak)) int
hosts_drain(struct hosts *hosts, const char *name, bool is_draining)
{
    (void)hosts;
    if (strcmp(name, "one") != 0)
        return -ENOENT;
    (void)snprintf(testing_doubles.drained, 64, "%s", name);
    testing_doubles.is_draining = is_draining;
    return 0;
}

__attribute__((weak)) void
hosts_list(struct hosts *hosts, hosts_fn visit, void *context)
{
    const struct hosts_view view = {.name = "one",
                                    .address = "127.0.0.1:1",
                                    .zone = "",
                                    .version = "1",
                                    .missing = "",
                                    .slots = 4,
                                    .memory_bytes = 1000,
                                    .heard_ns_ago = 5000000,
                                    .is_connected = true};

    (void)hosts;
    (void)visit(context, &view);
}

__attribute__((weak)) int
meter_list(struct meter *meter, const char *tenant, uint32_t day_first, uint32_t day_last,
           meter_fn visit, void *context, struct diag *diag)
{
    const struct meter_usage rows[] = {
        {.tenant = "acme", .function = "echo", .day = 20261123, .calls = 3, .cpu_ns = 1500000000},
        {.tenant = "other", .function = "echo", .day = 20261123, .calls = 4, .cpu_ns = 500000000},
    };

    (void)meter;
    (void)diag;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if ((tenant == NULL || strcmp(rows[i].tenant, tenant) == 0) && rows[i].day >= day_first &&
            rows[i].day <= day_last && !visit(context, &rows[i]))
            break;
    return 0;
}

/* -------------------------------------------------------------------------- a host */

struct testing_run {
    struct planner_run run;
    Ledger__Call *call; /* owned: NULL: to be stopped */
};

/* echo, fail, trap, slow (until testing_release), stuck (until it is stopped), big, and any
 * other function: its name. */
struct testing_host {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct planner_host *planner;
    struct testing_run runs[TESTING_RUNS];
    unsigned first, end, held, stopped;
    bool is_ending, is_released;
    struct store_hash proto;
    pthread_t thread;
};

static inline Ledger__Call *
testing_copy(const Ledger__Call *call)
{
    size_t count = ledger__call__get_packed_size(call);
    uint8_t *bytes = malloc(count + 1);
    Ledger__Call *copy;

    assert_non_null(bytes);
    copy = ledger__call__unpack(NULL, ledger__call__pack(call, bytes), bytes);
    free(bytes);
    assert_non_null(copy);
    return copy;
}

static inline void
testing_push(struct testing_host *host, const struct planner_run *run, Ledger__Call *call)
{
    (void)pthread_mutex_lock(&host->lock);
    host->runs[host->end++ % TESTING_RUNS] = (struct testing_run){*run, call};
    (void)pthread_cond_broadcast(&host->change);
    (void)pthread_mutex_unlock(&host->lock);
}

static void
testing_host_start(void *context, const struct planner_run *run, const Ledger__Call *call)
{
    testing_push(context, run, testing_copy(call));
}

static void
testing_host_stop(void *context, const struct planner_run *run)
{
    testing_push(context, run, NULL);
}

/* Of those that are done. */
static inline void
testing_fill_output(const Ledger__Call *call, Ledger__Result *result)
{
    const char *name = call->function;
    static uint8_t big[400000];

    if (strcmp(name, "big") == 0) {
        (void)memset(big, 'b', sizeof(big));
        result->output.data = big;
        result->output.len = sizeof(big);
    } else if (strcmp(name, "args") == 0 && call->request->n_args > 0) {
        result->output.data = (uint8_t *)call->request->args[call->request->n_args - 1];
        result->output.len = strlen((char *)result->output.data);
    } else if (strncmp(name, "answer", 6) == 0) {
        static const char answer[] = "{\"status\":201,\"body_base64\":\"aGk=\",\"headers\":"
                                     "{\"Content-Type\":\"text/html\",\"X-Own\":\"v\"}}";
        static const char wrong[] = "{\"status\":99,\"body\":\"x\"}";

        result->output.data = (uint8_t *)(uintptr_t)(name[6] == '\0' ? answer : wrong);
        result->output.len = name[6] == '\0' ? sizeof(answer) - 1 : sizeof(wrong) - 1;
    } else if (strcmp(name, "version") == 0) {
        result->output.data = (uint8_t *)(uintptr_t)(call->version == 1 ? "1" : "2");
        result->output.len = 1;
    }
}

static inline void
testing_fill(struct testing_host *host, const Ledger__Call *call, Ledger__Result *result)
{
    const char *name = call->function;

    result->output.data = (uint8_t *)(uintptr_t)name;
    result->output.len = strlen(name);
    if (call->request->prepare != NULL && strcmp(name, "fail") == 0) {
        result->kind = LEDGER__KIND__KIND_EXIT;
        result->message = (char *)(uintptr_t)"it never came there";
        result->refused = 64;
    } else if (call->request->prepare != NULL) {
        result->proto.data = host->proto.bytes;
        result->proto.len = sizeof(host->proto.bytes);
    } else if (strcmp(name, "echo") == 0 || strcmp(name, "slow") == 0) {
        result->output = call->request->input;
    } else if (strcmp(name, "fail") == 0) {
        result->kind = LEDGER__KIND__KIND_EXIT;
        result->exit_code = 3;
    } else if (strcmp(name, "trap") == 0) {
        result->kind = LEDGER__KIND__KIND_TRAP;
        result->message = (char *)(uintptr_t)"unreachable";
        result->backtrace = (char *)(uintptr_t)"#0 main";
        result->refused = 8;
    } else if (strcmp(name, "late") == 0) {
        result->kind = LEDGER__KIND__KIND_LIMIT;
        result->limit = 1;
    } else {
        testing_fill_output(call, result);
    }
}

static inline void
testing_end(struct testing_host *host, const struct testing_run *run)
{
    Ledger__Result result = LEDGER__RESULT__INIT;
    static uint8_t log[] = "said something";

    result.kind = LEDGER__KIND__KIND_DONE;
    result.queue_ns = 1000;
    result.start_ns = 2000;
    result.wall_ns = 3000;
    result.cpu_ns = 4000;
    result.was_cold = true;
    result.log.data = log;
    result.log.len = sizeof(log) - 1;
    if (run->call != NULL)
        testing_fill(host, run->call, &result);
    else
        result.kind = LEDGER__KIND__KIND_CANCELLED;
    planner_run_ended(host->planner, &run->run, &result);
}

static inline bool
testing_holds(const struct testing_host *host, const struct testing_run *run)
{
    return run->call != NULL && (strcmp(run->call->function, "stuck") == 0 ||
                                 (strcmp(run->call->function, "slow") == 0 && !host->is_released));
}

/* Those that are held are looked at again after each change; false: the host ends. */
static inline bool
testing_take(struct testing_host *host, struct testing_run *out)
{
    bool is_there = false;

    (void)pthread_mutex_lock(&host->lock);
    while (!is_there && !host->is_ending) {
        unsigned at = host->first;

        while (at != host->end && testing_holds(host, &host->runs[at % TESTING_RUNS]))
            at++;
        if (at == host->end) {
            host->held = host->end - host->first;
            (void)pthread_cond_broadcast(&host->change);
            (void)pthread_cond_wait(&host->change, &host->lock);
            continue;
        }
        is_there = true;
        *out = host->runs[at % TESTING_RUNS];
        host->stopped += out->call == NULL;
        for (; at != host->first; at--)
            host->runs[at % TESTING_RUNS] = host->runs[(at - 1) % TESTING_RUNS];
        host->first++;
    }
    (void)pthread_mutex_unlock(&host->lock);
    return is_there;
}

/* A stuck one that was stopped is forgotten. */
static inline void
testing_forget(struct testing_host *host, uint64_t id)
{
    (void)pthread_mutex_lock(&host->lock);
    for (unsigned at = host->first; at != host->end; at++) {
        struct testing_run *run = &host->runs[at % TESTING_RUNS];

        if (run->call == NULL || run->call->id != id)
            continue;
        ledger__call__free_unpacked(run->call, NULL);
        for (; at != host->first; at--)
            host->runs[at % TESTING_RUNS] = host->runs[(at - 1) % TESTING_RUNS];
        host->first++;
        break;
    }
    (void)pthread_mutex_unlock(&host->lock);
}

static void *
testing_host_main(void *object)
{
    struct testing_host *host = object;
    struct testing_run run;

    while (testing_take(host, &run)) {
        if (run.call == NULL)
            testing_forget(host, run.run.call);
        testing_end(host, &run);
        if (run.call != NULL)
            ledger__call__free_unpacked(run.call, NULL);
    }
    return NULL;
}

static inline void
testing_release(struct testing_host *host)
{
    (void)pthread_mutex_lock(&host->lock);
    host->is_released = true;
    (void)pthread_cond_broadcast(&host->change);
    (void)pthread_mutex_unlock(&host->lock);
}

static inline void
testing_await_held(struct testing_host *host, unsigned count)
{
    (void)pthread_mutex_lock(&host->lock);
    while (host->held < count)
        (void)pthread_cond_wait(&host->change, &host->lock);
    (void)pthread_mutex_unlock(&host->lock);
}

static inline void
testing_await_stopped(struct testing_host *host, unsigned count)
{
    (void)pthread_mutex_lock(&host->lock);
    while (host->stopped < count)
        (void)pthread_cond_wait(&host->change, &host->lock);
    (void)pthread_mutex_unlock(&host->lock);
}

/* -------------------------------------------------------------------------- a world */

struct testing {
    char directory[64], url[128];
    struct store *store;
    struct catalog *catalog;
    struct planner *planner;
    struct tier *tier;
    struct tier_limits limits; /* of state, of every tenant */
    struct testing_host host;
    struct gateway *gateway;
    pthread_rwlock_t over_lock;
    struct gateway *over; /* who is told of ends */
    struct store_hash blob;
    char admin[CATALOG_TOKEN_BYTES_MAX], acme[CATALOG_TOKEN_BYTES_MAX];
    char other[CATALOG_TOKEN_BYTES_MAX];
    char manager[CATALOG_TOKEN_BYTES_MAX], reader[CATALOG_TOKEN_BYTES_MAX]; /* one role each */
    CURL *curl;
};

static void
testing_on_over(void *context, const Ledger__Call *call)
{
    struct testing *t = context;

    (void)pthread_rwlock_rdlock(&t->over_lock);
    if (t->over != NULL)
        gateway_over(t->over, call);
    (void)pthread_rwlock_unlock(&t->over_lock);
}

static inline void
testing_tell(struct testing *t, struct gateway *gateway)
{
    (void)pthread_rwlock_wrlock(&t->over_lock);
    t->over = gateway;
    (void)pthread_rwlock_unlock(&t->over_lock);
}

static inline void
testing_token(struct testing *t, const char *tenant, const char *name, uint32_t roles,
              char secret[CATALOG_TOKEN_BYTES_MAX])
{
    const struct catalog_token token = {.tenant = tenant, .name = name, .roles = roles};

    assert_int_equal(catalog_token_create(t->catalog, &token, secret, NULL), 0);
}

static inline uint32_t
testing_deploy(struct testing *t, const char *tenant, const char *function)
{
    const struct catalog_version version = {.tenant = tenant,
                                            .function = function,
                                            .module = t->blob,
                                            .image = t->blob,
                                            .language = "c",
                                            .created_by = "test"};
    uint32_t number = 0;
    struct diag diag;

    diag_init(&diag);
    if (catalog_version_put(t->catalog, &version, &number, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    return number;
}

static inline void
testing_fill_catalog(struct testing *t)
{
    static const char *const tenants[] = {"acme", "other"};
    static const char *const functions[] = {"echo",  "fail", "trap", "slow",
                                            "stuck", "big",  "args", "late"};
    const uint32_t all = CATALOG_READ | CATALOG_INVOKE | CATALOG_DEPLOY | CATALOG_MANAGE;

    for (size_t i = 0; i < ARRAY_COUNT(tenants); i++) {
        const struct catalog_tenant tenant = {.name = tenants[i]};

        assert_int_equal(catalog_tenant_put(t->catalog, &tenant, NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++)
        assert_int_equal(testing_deploy(t, "acme", functions[i]), 1);
    testing_token(t, "", "root", CATALOG_ADMIN, t->admin);
    testing_token(t, "acme", "all", all, t->acme);
    testing_token(t, "other", "all", all, t->other);
    testing_token(t, "acme", "manager", CATALOG_MANAGE, t->manager);
    testing_token(t, "acme", "reader", CATALOG_READ, t->reader);
}

static inline void
testing_open_planner(struct testing *t)
{
    const struct planner_config config = {.store = t->store,
                                          .holder = "test",
                                          .silence_ns = UINT64_C(60000000000),
                                          .on_over = testing_on_over,
                                          .context = t};
    const struct planner_host_ops ops = {testing_host_start, testing_host_stop};
    const struct planner_host_config host = {
        .name = "one", .slots = 1000, .memory = 1u << 30, .ops = &ops, .context = &t->host};

    assert_int_equal(planner_create(&config, &t->planner, NULL), 0);
    (void)pthread_mutex_init(&t->host.lock, NULL);
    (void)pthread_cond_init(&t->host.change, NULL);
    assert_int_equal(planner_host_up(t->planner, &host, &t->host.planner, NULL), 0);
    assert_int_equal(store_blob_put_bytes(t->store, "proto", 5, &t->host.proto, NULL), 0);
    assert_int_equal(pthread_create(&t->host.thread, NULL, testing_host_main, &t->host), 0);
}

static inline void
testing_open_gateway(struct testing *t, const char *certificate, const char *key)
{
    char cache[80], compiler[512], *slash;
    const struct gateway_config config = {.planner = t->planner,
                                          .catalog = t->catalog,
                                          .store = t->store,
                                          .tier = t->tier,
                                          .listen = "127.0.0.1:0",
                                          .certificate = certificate,
                                          .key = key,
                                          .compiler = compiler,
                                          .cache = cache,
                                          .grace_ns = GATEWAY_GRACE_NEVER,
                                          .threads = 2,
                                          .compilers = 1};
    struct diag diag;
    ssize_t count = readlink("/proc/self/exe", compiler, sizeof(compiler) - 64);

    assert_true(count > 0);
    compiler[count] = '\0';
    slash = strstr(compiler, "/test/gateway/");
    assert_non_null(slash);
    *slash = '\0';
    slash = strstr(compiler, "/san-"); /* one with sanitizers does not fit into its limits */
    (void)snprintf(slash != NULL ? slash : compiler + strlen(compiler), 32, "/weft-compiler");
    (void)snprintf(cache, sizeof(cache), "%s/cache", t->directory);
    diag_init(&diag);
    if (gateway_create(&config, &t->gateway, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    testing_tell(t, t->gateway);
    (void)snprintf(t->url, sizeof(t->url), "%s://%s", certificate != NULL ? "https" : "http",
                   gateway_address(t->gateway));
}

static void
testing_limits(void *context, const char *tenant, struct tier_limits *out)
{
    (void)tenant;
    *out = ((struct testing *)context)->limits;
}

static inline void
testing_open_tier(struct testing *t)
{
    const struct tier_config config = {
        .store = t->store, .threads = 2, .is_first = true, .limits = testing_limits, .context = t};

    assert_int_equal(tier_create(&config, &t->tier, NULL), 0);
}

static inline struct testing *
testing_create(void)
{
    struct testing *t = calloc(1, sizeof(*t));
    char address[80];
    const struct store_config config = {
        .records = address, .blobs = address, .bytes_max = 1u << 28};
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";

    assert_non_null(t);
    (void)pthread_rwlock_init(&t->over_lock, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(t->directory, sizeof(t->directory), "%.30s/weft-gateway-%s", folder,
                   "XX"
                   "XX"
                   "XX");
    assert_non_null(mkdtemp(t->directory));
    (void)snprintf(address, sizeof(address), "dir:%s", t->directory);
    assert_int_equal(store_open(&config, &t->store, NULL), 0);
    assert_int_equal(store_blob_put_bytes(t->store, "module", 6, &t->blob, NULL), 0);
    assert_int_equal(catalog_open(t->store, testing_key, &t->catalog, NULL), 0);
    testing_fill_catalog(t);
    testing_open_planner(t);
    testing_open_tier(t);
    t->curl = curl_easy_init();
    assert_non_null(t->curl);
    return t;
}

static inline int
testing_setup(void **state)
{
    struct testing *t = testing_create();

    testing_open_gateway(t, NULL, NULL);
    *state = t;
    return 0;
}

static inline void
testing_close_host(struct testing *t)
{
    (void)pthread_mutex_lock(&t->host.lock);
    t->host.is_ending = true;
    (void)pthread_cond_broadcast(&t->host.change);
    (void)pthread_mutex_unlock(&t->host.lock);
    (void)pthread_join(t->host.thread, NULL);
    for (unsigned at = t->host.first; at != t->host.end; at++)
        if (t->host.runs[at % TESTING_RUNS].call != NULL)
            ledger__call__free_unpacked(t->host.runs[at % TESTING_RUNS].call, NULL);
}

static inline int
testing_teardown(void **state)
{
    struct testing *t = *state;
    pid_t pid;

    curl_easy_cleanup(t->curl);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    testing_close_host(t);
    planner_host_down(t->host.planner);
    planner_destroy(t->planner);
    tier_destroy(t->tier);
    catalog_close(t->catalog);
    store_close(t->store);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", t->directory, NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
    free(t);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, testing_setup, testing_teardown)

/* -------------------------------------------------------------------------- a client */

struct testing_answer {
    long status;
    struct buffer body, headers;
    json_t *json; /* NULL: it is none */
};

static inline size_t
testing_take_bytes(char *bytes, size_t size, size_t count, void *out)
{
    buffer_append(out, bytes, size * count);
    return size * count;
}

static inline void
testing_forget_answer(struct testing_answer *answer)
{
    buffer_fini(&answer->body);
    buffer_fini(&answer->headers);
    json_decref(answer->json);
    (void)memset(answer, 0, sizeof(*answer));
}

struct testing_ask {
    const char *method, *path, *token;
    const char *type; /* NULL: application/json */
    const void *body;
    size_t count;
    const char *header; /* one more */
};

static inline struct curl_slist *
testing_headers(const struct testing_ask *ask)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    char line[256];

    if (ask->token != NULL) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %s", ask->token);
        headers = curl_slist_append(headers, line);
    }
    (void)snprintf(line, sizeof(line), "Content-Type: %s",
                   ask->type != NULL ? ask->type : "application/json");
    headers = curl_slist_append(headers, line);
    if (ask->header != NULL)
        headers = curl_slist_append(headers, ask->header);
    return headers;
}

static inline void
testing_ask_with(CURL *curl, const char *url, const struct testing_ask *ask,
                 struct testing_answer *answer)
{
    struct curl_slist *headers = testing_headers(ask);
    char whole[4096];
    CURLcode code;

    testing_forget_answer(answer);
    (void)snprintf(whole, sizeof(whole), "%s%s", url, ask->path);
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, whole);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 120L);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, testing_take_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer->headers);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (strcmp(ask->method, "HEAD") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (strcmp(ask->method, "GET") != 0 || ask->count > 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->count);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body != NULL ? ask->body : "");
    }
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", ask->method, ask->path, curl_easy_strerror(code));
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    buffer_append(&answer->body, "", 1);
    buffer_append(&answer->headers, "", 1);
    answer->body.count--;
    answer->json =
        json_loadb((char *)answer->body.bytes, answer->body.count, JSON_DECODE_ANY, NULL);
}

/* The answer must have this status. */
static inline void
testing_expect(struct testing *t, const struct testing_ask *ask, long status,
               struct testing_answer *answer)
{
    testing_ask_with(t->curl, t->url, ask, answer);
    if (answer->status != status)
        fail_msg("%s %s: %ld, not %ld: %s", ask->method, ask->path, answer->status, status,
                 (char *)answer->body.bytes);
}

/* By acme's token, a text as the body. */
static inline void
testing_send(struct testing *t, const char *line, const char *body, long status,
             struct testing_answer *answer)
{
    char method[16];
    const char *space = strchr(line, ' ');

    assert_non_null(space);
    (void)snprintf(method, sizeof(method), "%.*s", (int)(space - line), line);
    testing_expect(t,
                   &(struct testing_ask){.method = method,
                                         .path = space + 1,
                                         .token = t->acme,
                                         .body = body,
                                         .count = body != NULL ? strlen(body) : 0},
                   status, answer);
}

static inline void
testing_send_as(struct testing *t, const char *token, const char *line, const char *body,
                long status)
{
    struct testing_answer answer = {0};
    char method[16];
    const char *space = strchr(line, ' ');

    assert_non_null(space);
    (void)snprintf(method, sizeof(method), "%.*s", (int)(space - line), line);
    testing_expect(t,
                   &(struct testing_ask){.method = method,
                                         .path = space + 1,
                                         .token = token,
                                         .body = body,
                                         .count = body != NULL ? strlen(body) : 0},
                   status, &answer);
    testing_forget_answer(&answer);
}

static inline const char *
testing_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (text == NULL)
        fail_msg("there is no text %s", key);
    return text != NULL ? text : "";
}

static inline const char *
testing_code(const struct testing_answer *answer)
{
    return testing_text(json_object_get(answer->json, "error"), "code");
}

/* The value of a header, "" where it is absent; static storage. */
static inline const char *
testing_header(const struct testing_answer *answer, const char *name)
{
    static char value[256];
    const char *at = (const char *)answer->headers.bytes;
    size_t count = strlen(name);

    value[0] = '\0';
    while (at != NULL && *at != '\0') {
        if (strncasecmp(at, name, count) == 0 && at[count] == ':')
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + count + 2, "\r"),
                           at + count + 2);
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return value;
}

#endif
