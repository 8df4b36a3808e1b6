/* SPDX-License-Identifier: Apache-2.0
 *
 * weft worker: a host of a cluster.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "cmd/cluster_internal.h"
#include "cmd/cmd_internal.h"

static const char help[] =
    "usage: weft worker --planner HOST:PORT --key FILE [options]\n\n"
    "Joins a cluster: runs in cells of this machine what the planner sends. As root all\n"
    "protections are to be had; weft doctor tells what this machine and user lack.\n\n"
    "  --planner ADDRESS    of the planner (its --hosts); several with commas between where\n"
    "                       one stands by\n"
    "  --key FILE           the cluster's key: cluster.key of the planner's data directory\n"
    "                       (default: that in --data)\n"
    "  --data DIR           for images and files that it keeps (default /var/lib/weft-worker)\n"
    "  --name NAME          of this host, unique in the cluster (default the machine's)\n"
    "  --zone NAME          hosts of one zone are near each other\n"
    "  --slots N            calls at one time (default 64 for each processor)\n"
    "  --memory SIZE        for cells (default three quarters of the machine's)\n"
    "  --ready N            cells that stand ready (default 2)\n"
    "  --strict             refuse to start where a protection is missing\n"
    "  --leave SECONDS      at SIGTERM: how long calls that run may go on (default 10)\n\n"
    "At SIGTERM it gets no new calls; what still runs after that time is lost here, and\n"
    "the planner starts it elsewhere where its function says so. A second signal ends it\n"
    "at once.\n";

struct worker_command {
    struct agent_config config;
    const char *key_path;
    uint64_t leave_s;
};

static void
leave(struct agent *agent, uint64_t seconds)
{
    struct agent_view view;

    agent_leave(agent);
    for (uint64_t i = 0; i < seconds * 20; i++) {
        agent_look(agent, &view);
        if ((view.calls == 0 && view.unheard == 0) || cluster_is_signalled(50))
            return;
    }
}

static int
parse(struct worker_command *command, int argc, char **argv)
{
    struct agent_config *config = &command->config;
    uint64_t slots = 0, ready = 0;
    const struct cmd_option options[] = {
        {"planner", CMD_TEXT, &config->planner, 0},
        {"key", CMD_TEXT, &command->key_path, 0},
        {"data", CMD_TEXT, &config->data, 0},
        {"name", CMD_TEXT, &config->name, 0},
        {"zone", CMD_TEXT, &config->zone, 0},
        {"slots", CMD_NUMBER, &slots, 1u << 20},
        {"memory", CMD_SIZE, &config->memory_bytes, 0},
        {"ready", CMD_NUMBER, &ready, 256},
        {"leave", CMD_NUMBER, &command->leave_s, 86400},
        {"strict", CMD_FLAG, &config->is_strict, 0},
    };
    int code = cmd_options(argc, argv, help, NULL, options, ARRAY_COUNT(options));

    config->slots = (uint32_t)slots;
    config->ready = (uint32_t)ready;
    if (code != CMD_EXIT_OK)
        return code;
    if (optind < argc)
        return cmd_usage("worker", "%s is not expected", argv[optind]);
    if (config->planner == NULL)
        return cmd_usage("worker", "no --planner: its address for workers");
    return CMD_EXIT_OK;
}

int
cmd_worker(int argc, char **argv)
{
    struct worker_command command = {.config = {.data = "/var/lib/weft-worker"}, .leave_s = 10};
    uint8_t key[NET_SECRET_BYTES];
    struct agent *agent = NULL;
    char path[4200];
    struct diag diag;
    int code = parse(&command, argc, argv), err;

    if (code != CMD_EXIT_OK)
        return code < 0 ? CMD_EXIT_OK : code;
    diag_init(&diag);
    (void)snprintf(path, sizeof(path), "%.4095s/" CLUSTER_KEY, command.config.data);
    cluster_block_signals();
    err = cluster_directory(command.config.data, &diag);
    if (err == 0)
        err = cluster_key(command.key_path != NULL ? command.key_path : path, false, key, &diag);
    command.config.key = key;
    if (err == 0)
        err = agent_create(&command.config, &agent, &diag);
    explicit_bzero(key, sizeof(key));
    if (err != 0)
        return cmd_fail(err, &diag);
    (void)cluster_wait();
    leave(agent, command.leave_s);
    agent_destroy(agent);
    return CMD_EXIT_OK;
}
