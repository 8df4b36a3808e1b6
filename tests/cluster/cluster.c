/* SPDX-License-Identifier: Apache-2.0
 *
 * A cluster of processes: opened with what it needs, awaited, closed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crash.h"

#define START_SECONDS 60u
#define SLOTS         16u

/* --------------------------------------------------------------------------- its parts */

static void
name(struct crash_cluster *cluster, struct crash_process *process, const char *format,
     size_t number)
{
    (void)snprintf(process->name, sizeof(process->name), format, number + 1);
    (void)snprintf(process->log, sizeof(process->log), "%s/log.%s", cluster->folder, process->name);
    for (char *c = process->log; *c != '\0'; c++)
        *c = *c == ' ' ? '-' : *c;
}

static bool
start_redis(struct crash_cluster *cluster)
{
    static const char *const words[] = {"--save",        "",       "--appendonly", "yes",
                                        "--appendfsync", "always", "--loglevel",   "warning"};
    struct crash_process *redis = &cluster->redis;

    name(cluster, redis, "redis", 0);
    cluster->redis_port = crash_free_port();
    crash_process_word(redis, "redis-server");
    crash_process_word(redis, "--bind");
    crash_process_word(redis, "127.0.0.1");
    crash_process_word(redis, "--port");
    crash_process_word(redis, "%u", cluster->redis_port);
    crash_process_word(redis, "--dir");
    crash_process_word(redis, "%s", cluster->folder);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        crash_process_word(redis, "%s", words[i]);
    return crash_process_start(redis) && crash_await_port(cluster->redis_port, START_SECONDS);
}

/* The tests' S3 server, where npm has it. */
static bool
start_s3(struct crash_cluster *cluster, unsigned *port)
{
    static const char *const fetch[] = {"tests/store/fetch", NULL};
    struct crash_process *s3 = &cluster->s3;

    if (!crash_run(fetch)) {
        crash_say("without npm there is no S3 server: blobs are in a directory of both planners");
        return true;
    }
    *port = crash_free_port();
    name(cluster, s3, "s3", 0);
    s3->has_input = true;
    crash_process_word(s3, "node");
    crash_process_word(s3, "tests/store/s3.mjs");
    crash_process_word(s3, "%s/s3", cluster->folder);
    crash_process_word(s3, "%u", *port);
    (void)setenv("WEFT_S3_KEY", "S3RVER", 1);
    (void)setenv("WEFT_S3_SECRET", "S3RVER", 1);
    return crash_process_start(s3) && crash_await_port(*port, START_SECONDS);
}

static void
add_option(struct crash_process *process, const char *option, const char *value)
{
    crash_process_word(process, "%s", option);
    crash_process_word(process, "%s", value);
}

static void
prepare_planner(struct crash_cluster *cluster, size_t i, unsigned hosts_port, bool is_everywhere)
{
    struct crash_process *planner = &cluster->planners[i];
    char text[200];

    name(cluster, planner, "planner %zu", i);
    crash_process_word(planner, "%s/weft", cluster->build);
    crash_process_word(planner, "planner");
    (void)snprintf(text, sizeof(text), "%s/data", cluster->folder);
    add_option(planner, "--data", text);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", cluster->ports[i]);
    add_option(planner, "--listen", text);
    (void)snprintf(text, sizeof(text), "%s:%u", is_everywhere ? "0.0.0.0" : "127.0.0.1",
                   hosts_port);
    add_option(planner, "--hosts", text);
}

static void
prepare_remote(struct crash_cluster *cluster, size_t i, unsigned s3_port)
{
    char text[200];

    (void)snprintf(text, sizeof(text), "redis://127.0.0.1:%u/0", cluster->redis_port);
    add_option(&cluster->planners[i], "--records", text);
    (void)snprintf(text, sizeof(text), "s3+http://127.0.0.1:%u/weft", s3_port);
    if (s3_port > 0)
        add_option(&cluster->planners[i], "--blobs", text);
}

static void
prepare_worker(struct crash_cluster *cluster, size_t i, const char *planners, bool is_apart)
{
    struct crash_process *worker = &cluster->workers[i];
    char text[200];

    name(cluster, worker, "worker %zu", i);
    worker->is_apart = is_apart;
    worker->number = (unsigned)i + 1;
    crash_process_word(worker, "%s/weft", cluster->build);
    crash_process_word(worker, "worker");
    add_option(worker, "--planner", planners);
    (void)snprintf(text, sizeof(text), "%s/data/cluster.key", cluster->folder);
    add_option(worker, "--key", text);
    (void)snprintf(text, sizeof(text), "%s/worker-%zu", cluster->folder, i + 1);
    add_option(worker, "--data", text);
    (void)snprintf(text, sizeof(text), "crash-%zu", i + 1);
    add_option(worker, "--name", text);
    (void)snprintf(text, sizeof(text), "%u", SLOTS);
    add_option(worker, "--slots", text);
}

/* ------------------------------------------------------------------------------ waiting */

int
crash_cluster_leader(struct crash_cluster *cluster)
{
    const struct crash_request request = {.method = "GET", .path = "/ready", .timeout_ms = 3000};
    struct crash_client client;
    struct crash_answer answer;
    int leader = -1;

    crash_client_open(&client, cluster);
    crash_ask(&client, &request, &answer);
    if (answer.status == 200)
        leader = (int)client.planner;
    buffer_fini(&answer.body);
    crash_client_close(&client);
    return leader;
}

bool
crash_cluster_await(struct crash_cluster *cluster, unsigned seconds)
{
    uint64_t until_ns = clock_now_ns() + seconds * (uint64_t)CLOCK_NS_PER_SECOND;

    while (clock_now_ns() < until_ns && !crash_is_interrupted()) {
        if (crash_cluster_leader(cluster) >= 0)
            return true;
        crash_sleep_ms(50);
    }
    return false;
}

static size_t
count_connected(struct crash_client *client)
{
    json_t *answer = crash_get(client, true, "/v1/hosts"), *host;
    size_t i, count = 0;

    json_array_foreach(json_object_get(answer, "hosts"), i, host) count +=
        json_is_true(json_object_get(host, "connected")) ? 1 : 0;
    json_decref(answer);
    return count;
}

bool
crash_cluster_await_hosts(struct crash_cluster *cluster, unsigned seconds)
{
    uint64_t until_ns = clock_now_ns() + seconds * (uint64_t)CLOCK_NS_PER_SECOND;
    struct crash_client client;
    bool is_so = false;

    crash_client_open(&client, cluster);
    while (!is_so && clock_now_ns() < until_ns && !crash_is_interrupted()) {
        is_so = count_connected(&client) == CRASH_WORKERS;
        if (!is_so)
            crash_sleep_ms(50);
    }
    crash_client_close(&client);
    return is_so;
}

/* ------------------------------------------------------------------------ what it has */

static bool
ask_admin(struct crash_cluster *cluster, const struct crash_request *request, long status,
          json_t **out)
{
    struct crash_request as_admin = *request;
    struct crash_client client;
    struct crash_answer answer = {0};
    char token[128];
    bool is_fine = crash_read_token(cluster, token);

    as_admin.token = token;
    crash_client_open(&client, cluster);
    if (is_fine)
        crash_ask(&client, &as_admin, &answer);
    is_fine = is_fine && (answer.status == status || answer.status == 200);
    if (!is_fine)
        crash_say("%s %s: %ld %.300s", request->method, request->path, answer.status,
                  answer.body.bytes != NULL ? (const char *)answer.body.bytes : "");
    *out = json_loadb((const char *)answer.body.bytes, answer.body.count, 0, NULL);
    buffer_fini(&answer.body);
    crash_client_close(&client);
    return is_fine;
}

static bool
make_tenant(struct crash_cluster *cluster)
{
    static const char roles[] =
        "{\"name\":\"load\",\"roles\":[\"read\",\"invoke\",\"deploy\",\"manage\"]}";
    const struct crash_request tenant = {
        .method = "PUT", .path = "/v1/tenants/main", .body = "{}", .count = 2};
    const struct crash_request token = {.method = "POST",
                                        .path = "/v1/tokens",
                                        .tenant = "main",
                                        .body = roles,
                                        .count = sizeof(roles) - 1};
    json_t *answer = NULL;
    const char *text;

    if (!ask_admin(cluster, &tenant, 201, &answer))
        return false;
    json_decref(answer);
    if (!ask_admin(cluster, &token, 201, &answer))
        return false;
    text = json_string_value(json_object_get(answer, "token"));
    (void)snprintf(cluster->token, sizeof(cluster->token), "%s", text != NULL ? text : "");
    json_decref(answer);
    return text != NULL;
}

static bool
deploy(struct crash_cluster *cluster)
{
    char weft[160], address[64], config[160];
    const char *digest[] = {weft,         "deploy", "tests/cluster/guests/digest.c",
                            "--attempts", "500",    "--only-if-lost",
                            NULL};
    const char *once[] = {weft, "deploy", "tests/cluster/guests/digest.c", "--name", "once", NULL};
    const char *holder[] = {weft, "deploy", "tests/cluster/guests/holder.c", NULL};
    const char *history[] = {weft, "deploy", "tests/cluster/guests/history.c", NULL};
    int leader = crash_cluster_leader(cluster);

    (void)snprintf(weft, sizeof(weft), "%s/weft", cluster->build);
    (void)snprintf(config, sizeof(config), "%s/config.json", cluster->folder);
    (void)snprintf(address, sizeof(address), "http://127.0.0.1:%u",
                   cluster->ports[leader < 0 ? 0 : leader]);
    (void)setenv("WEFT_CONFIG", config, 1);
    (void)setenv("WEFT_ADDRESS", address, 1);
    (void)setenv("WEFT_TOKEN", cluster->token, 1);
    return crash_run(digest) && crash_run(once) && crash_run(holder) && crash_run(history);
}

/* ------------------------------------------------------------------- opening and closing */

static void
prepare(struct crash_cluster *cluster, enum crash_kind kind, unsigned s3_port)
{
    unsigned hosts[CRASH_PLANNERS_MAX];
    char planners[200] = "";

    cluster->planner_count = kind == CRASH_REMOTE ? 2 : 1;
    for (size_t i = 0; i < cluster->planner_count; i++) {
        size_t used = strlen(planners);

        cluster->ports[i] = crash_free_port();
        hosts[i] = crash_free_port();
        prepare_planner(cluster, i, hosts[i], kind == CRASH_PARTITION);
        if (kind == CRASH_REMOTE)
            prepare_remote(cluster, i, s3_port);
        (void)snprintf(planners + used, sizeof(planners) - used, "%s127.0.0.1:%u", i > 0 ? "," : "",
                       hosts[i]);
    }
    for (size_t i = 0; i < CRASH_WORKERS; i++) {
        if (kind == CRASH_PARTITION)
            (void)snprintf(planners, sizeof(planners), "10.231.%zu.1:%u", i + 1, hosts[0]);
        prepare_worker(cluster, i, planners, kind == CRASH_PARTITION);
    }
}

/* The first planner leads before the second starts, and has made the key. */
static bool
start(struct crash_cluster *cluster)
{
    bool is_fine = true;

    for (size_t i = 0; i < cluster->planner_count && is_fine; i++)
        is_fine = crash_process_start(&cluster->planners[i]) &&
                  crash_cluster_await(cluster, START_SECONDS);
    for (size_t i = 0; i < CRASH_WORKERS && is_fine; i++)
        is_fine = crash_process_start(&cluster->workers[i]);
    return is_fine && crash_cluster_await_hosts(cluster, START_SECONDS);
}

bool
crash_cluster_open(struct crash_cluster *cluster, enum crash_kind kind, const char *build)
{
    unsigned s3_port = 0;

    *cluster = (struct crash_cluster){0};
    (void)snprintf(cluster->build, sizeof(cluster->build), "%s", build);
    (void)snprintf(cluster->folder, sizeof(cluster->folder),
                   "/tmp/weft-crash-XXXXX"
                   "X");
    if (mkdtemp(cluster->folder) == NULL)
        return false;
    if (kind == CRASH_REMOTE && (!start_redis(cluster) || !start_s3(cluster, &s3_port)))
        return false;
    prepare(cluster, kind, s3_port);
    return start(cluster) && make_tenant(cluster) && deploy(cluster);
}

bool
crash_cluster_close(struct crash_cluster *cluster, bool is_kept)
{
    const char *remove[] = {"rm", "-rf", cluster->folder, NULL};
    bool is_well = true;

    for (size_t i = 0; i < CRASH_WORKERS; i++)
        is_well = crash_process_end(&cluster->workers[i]) && is_well;
    for (size_t i = 0; i < CRASH_PLANNERS_MAX; i++)
        is_well = crash_process_end(&cluster->planners[i]) && is_well;
    crash_process_kill(&cluster->redis);
    crash_process_kill(&cluster->s3);
    for (size_t i = 0; i < CRASH_WORKERS; i++)
        if (cluster->workers[i].is_apart)
            crash_network_remove(cluster->workers[i].number);
    if (is_kept)
        crash_say("kept: %s", cluster->folder);
    else if (strncmp(cluster->folder, "/tmp/weft-crash-", 16) == 0)
        (void)crash_run(remove);
    return is_well;
}
