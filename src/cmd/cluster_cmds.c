/* SPDX-License-Identifier: Apache-2.0
 *
 * weft hosts, drain, top, usage: how the cluster is, and what was used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/api.h"

/* -------------------------------------------------------------------------------- hosts */

static const char hosts_help[] = "usage: weft hosts\n\nThe workers of the cluster.\n";

static const char *const host_columns[] = {"name",
                                           "zone",
                                           ">slots",
                                           ">used",
                                           ">cores",
                                           ">busy_percent:busy%",
                                           ">memory_used:memory",
                                           ">cells",
                                           ">ready_cells:ready",
                                           ">heard_ms_ago:heard",
                                           "connected",
                                           "draining",
                                           "missing"};

static int
hosts_list(struct api *api, char **args, int count)
{
    int code;
    json_t *answer;

    (void)args;
    (void)count;
    api_use_admin(api);
    answer = api_ask(api, "GET", "/v1/hosts", NULL, &code);
    return answer == NULL ? code
                          : api_show(api, answer, "hosts", host_columns, ARRAY_COUNT(host_columns));
}

int
cmd_hosts(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, hosts_list}};

    return api_verbs(argc, argv, hosts_help, verbs, ARRAY_COUNT(verbs));
}

/* -------------------------------------------------------------------------------- drain */

static const char drain_help[] = "usage: weft drain HOST\n"
                                 "       weft drain undo HOST\n\n"
                                 "The host gets no new calls; those that it runs go on.\n";

static int
drain(struct api *api, const char *host, bool is_draining)
{
    api_use_admin(api);
    return api_do(api, "POST", api_path("/v1/hosts/%s/drain", host),
                  json_pack("{s:b}", "drain", (int)is_draining),
                  is_draining ? "it gets no new calls" : "undone");
}

static int
drain_host(struct api *api, char **args, int count)
{
    (void)count;
    return drain(api, args[0], true);
}

static int
drain_undo(struct api *api, char **args, int count)
{
    (void)count;
    return drain(api, args[0], false);
}

int
cmd_drain(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 1, 1, drain_host}, {"undo", 1, 1, drain_undo}};

    return api_verbs(argc, argv, drain_help, verbs, ARRAY_COUNT(verbs));
}

/* ---------------------------------------------------------------------------------- top */

static const char top_help[] =
    "usage: weft top\n\nHosts, and what runs and waits; on a terminal every second until "
    "Ctrl-C.\n";

static void
print_rates(const json_t *now, const json_t *before)
{
    static const char *const names[] = {"waiting", "running", "started",
                                        "ended",   "retried", "lost"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        json_int_t value = json_integer_value(json_object_get(now, names[i]));

        (void)printf("%s%s %lld", i > 0 ? "   " : "", names[i], value);
        if (i >= 2 && before != NULL)
            (void)printf(" (+%lld/s)",
                         value - json_integer_value(json_object_get(before, names[i])));
    }
    (void)printf("\n\n");
}

static int
top(struct api *api, char **args, int count)
{
    bool is_terminal = isatty(STDOUT_FILENO) != 0 && !api->is_json;
    json_t *before = NULL;
    int code = CMD_EXIT_OK;

    (void)args;
    (void)count;
    api_use_admin(api);
    do {
        json_t *cluster = api_ask(api, "GET", "/v1/cluster", NULL, &code);
        json_t *hosts = code == 0 ? api_ask(api, "GET", "/v1/hosts", NULL, &code) : NULL;

        if (code == CMD_EXIT_OK && api->is_json) {
            (void)json_object_update_missing(cluster, hosts);
            api_print(api, cluster);
        } else if (code == CMD_EXIT_OK) {
            (void)fputs(is_terminal ? "\033[H\033[2J" : "", stdout);
            print_rates(cluster, before);
            api_table(json_object_get(hosts, "hosts"), host_columns, ARRAY_COUNT(host_columns));
            (void)fflush(stdout);
        }
        json_decref(hosts);
        json_decref(before);
        before = cluster;
        if (is_terminal && code == CMD_EXIT_OK)
            (void)sleep(1);
    } while (is_terminal && code == CMD_EXIT_OK && ferror(stdout) == 0);
    json_decref(before);
    return code;
}

int
cmd_top(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 0, top}};

    return api_verbs(argc, argv, top_help, verbs, ARRAY_COUNT(verbs));
}

/* -------------------------------------------------------------------------------- usage */

static const char usage_help[] =
    "usage: weft usage [FROM [TO]]\n\n"
    "What the tenant's functions have used, by day (YYYYMMDD, UTC; default: the last 30 days).\n"
    "gb_s: gigabytes of memory times seconds that calls ran.\n";

static int
usage(struct api *api, char **args, int count)
{
    static const char *const columns[] = {
        "day",        "function",     ">calls", ">failed",      ">cold",
        ">cpu_s:cpu", ">wall_s:wall", ">gb_s",  ">bytes_in:in", ">bytes_out:out"};
    time_t now = time(NULL), then = now - (time_t)30 * 86400;
    char from[16], to[16];
    struct tm tm;
    char *path;
    json_t *answer;
    int code;

    (void)strftime(from, sizeof(from), "%Y%m%d", gmtime_r(&then, &tm));
    (void)strftime(to, sizeof(to), "%Y%m%d", gmtime_r(&now, &tm));
    path =
        api_path("/v1/usage?from=%s&to=%s", count > 0 ? args[0] : from, count > 1 ? args[1] : to);
    answer = api_ask(api, "GET", path, NULL, &code);
    free(path);
    return answer == NULL ? code : api_show(api, answer, "usage", columns, ARRAY_COUNT(columns));
}

int
cmd_usage_report(int argc, char **argv)
{
    static const struct api_verb verbs[] = {{"", 0, 2, usage}};

    return api_verbs(argc, argv, usage_help, verbs, ARRAY_COUNT(verbs));
}
