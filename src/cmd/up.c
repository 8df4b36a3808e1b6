/* SPDX-License-Identifier: Apache-2.0
 *
 * weft up: a whole cluster on this machine: a planner and workers as processes of their
 * own, started again where they die, ended when this ends.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/api.h"
#include "cmd/cluster_internal.h"

#define WORKERS_MAX  16u
#define START_NS_MAX (UINT64_C(60) * CLOCK_NS_PER_SECOND)
#define AGAIN_NS     (UINT64_C(1) * CLOCK_NS_PER_SECOND)
#define TENANT       "main"
#define ARGS_MAX     24u

static const char help[] =
    "usage: weft up [options]\n\n"
    "A cluster on this machine: planner, gateway and workers, until Ctrl-C. What is deployed\n"
    "stays in the data directory for the next time. Makes a tenant \"" TENANT "\" and a token for\n"
    "it, and writes both to the settings that the other commands read (weft config).\n\n"
    "  --workers N          default 1\n"
    "  --data DIR           default ~/.local/share/weft\n"
    "  --listen ADDRESS     of the gateway (default 127.0.0.1:8080; port 0: any)\n"
    "  --slots N            calls at one time on each worker\n"
    "  --policy NAME        spread (default), binpack, compact, locality, spot\n"
    "  --no-config          leave the settings as they are\n"
    "  --not-durable        no fsync: for trying out\n";

struct child {
    char name[32];
    const char *args[ARGS_MAX];
    size_t arg_count;
    pid_t pid; /* 0: it does not run */
    uint64_t start_ns;
};

struct up {
    uint64_t workers, slots;
    const char *listen, *policy;
    char data[4000], key[4096], ready[4096], folders[WORKERS_MAX][4096], names[WORKERS_MAX][300];
    char slots_text[24];
    char address[512], hosts[512], token[128];
    bool is_volatile, has_config;
    struct child children[WORKERS_MAX + 1]; /* the first is the planner */
};

/* ---------------------------------------------------------------------------- children */

static void
add_args(struct child *child, const char *const *args)
{
    for (size_t i = 0; args[i] != NULL && child->arg_count + 1 < ARGS_MAX; i++)
        child->args[child->arg_count++] = args[i];
}

/* A group of its own: Ctrl-C is for us, who end them in order. */
static int
start(struct child *child, struct diag *diag)
{
    pid_t parent = getpid();
    sigset_t none;

    child->start_ns = clock_now_ns();
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        return diag_set(diag, -errno, "cannot start the %s: %s", child->name, strerror(errno));
    }
    if (child->pid > 0)
        return 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() == parent)
        (void)execv("/proc/self/exe", (char **)(uintptr_t)child->args);
    _exit(127);
}

static void
prepare_planner(struct up *up)
{
    struct child *child = &up->children[0];

    (void)snprintf(child->name, sizeof(child->name), "planner");
    add_args(child,
             (const char *const[]){
                 "weft", "planner", "--data", up->data, "--listen",
                 up->address[0] != '\0' ? strstr(up->address, "//") + 2 : up->listen, "--hosts",
                 up->hosts[0] != '\0' ? up->hosts : "127.0.0.1:0", "--ready-file", up->ready,
                 "--policy", up->policy, up->is_volatile ? "--not-durable" : NULL, NULL});
}

static void
prepare_worker(struct up *up, size_t i)
{
    struct child *child = &up->children[i + 1];
    char machine[200] = "host";

    (void)gethostname(machine, sizeof(machine) - 1);
    machine[strcspn(machine, ".")] = '\0';
    (void)snprintf(child->name, sizeof(child->name), "worker %zu", i + 1);
    (void)snprintf(up->names[i], sizeof(up->names[i]), "%.48s-%zu", machine, i + 1);
    (void)snprintf(up->folders[i], sizeof(up->folders[i]), "%s/worker-%zu", up->data, i + 1);
    add_args(child, (const char *const[]){"weft", "worker", "--planner", up->hosts, "--key",
                                          up->key, "--data", up->folders[i], "--name", up->names[i],
                                          up->slots > 0 ? "--slots" : NULL, up->slots_text, NULL});
}

/* ------------------------------------------------------------------------------ starting */

static bool
read_ready(struct up *up)
{
    struct buffer text = {0};
    bool is_ready = file_read_all(up->ready, 4096, &text, NULL) == 0;

    buffer_append(&text, "", 1);
    is_ready = is_ready && text.err == 0 &&
               sscanf((const char *)text.bytes, "%511s %511s", up->address, up->hosts) == 2;
    buffer_fini(&text);
    return is_ready;
}

/* The planner says where it listens, or has ended and said why. */
static int
await_planner(struct up *up, struct diag *diag)
{
    uint64_t until_ns = clock_now_ns() + START_NS_MAX;
    struct child *planner = &up->children[0];

    while (clock_now_ns() < until_ns) {
        if (read_ready(up))
            return 0;
        if (waitpid(planner->pid, NULL, WNOHANG) == planner->pid) {
            planner->pid = 0;
            return diag_set(diag, -ECHILD, "the planner ended (it says why above)");
        }
        if (cluster_is_signalled(20))
            return -EINTR;
    }
    return diag_set(diag, -ETIMEDOUT, "the planner did not say in time that it is ready");
}

static int
open_admin(struct up *up, struct api *api, struct diag *diag)
{
    struct buffer text = {0};
    char path[4200];
    int code, err;

    (void)snprintf(path, sizeof(path), "%s/" CLUSTER_ADMIN, up->data);
    err = file_read_all(path, 4096, &text, diag);
    if (err == 0) {
        buffer_append(&text, "", 1);
        text.bytes[strcspn((const char *)text.bytes, "\n")] = '\0';
        *api = (struct api){.address = strdup(up->address),
                            .token = strdup((const char *)text.bytes),
                            .tenant = strdup(TENANT),
                            .is_quiet = true};
        if (!api_open(api, &code))
            err = diag_set(diag, -EINVAL, "the settings cannot be read");
    }
    buffer_fini(&text);
    return err;
}

/* The tenant, where there is none, and a token of this data directory for it. */
static int
make_tenant(struct up *up, struct api *api, struct diag *diag)
{
    json_t *body =
        json_pack("{s:s,s:[s,s,s,s]}", "name", "up", "roles", "read", "invoke", "deploy", "manage");
    struct buffer text = {0};
    char path[4200];
    json_t *answer, *tenant;
    mode_t mask = umask(077);
    int code, err = 0;

    (void)snprintf(path, sizeof(path), "%s/" TENANT ".token", up->data);
    if (file_read_all(path, sizeof(up->token) - 1, &text, NULL) == 0 && text.count > 0) {
        (void)memcpy(up->token, text.bytes, text.count);
        up->token[strcspn(up->token, "\n")] = '\0';
    } else {
        tenant = json_object();
        answer = api_ask(api, "PUT", "/v1/tenants/" TENANT, tenant, &code);
        json_decref(tenant);
        json_decref(answer);
        answer = code == 0 ? api_ask(api, "POST", "/v1/tokens", body, &code) : NULL;
        (void)snprintf(up->token, sizeof(up->token), "%s",
                       code == 0 ? json_string_value(json_object_get(answer, "token")) : "");
        json_decref(answer);
        err = code != 0 ? diag_set(diag, -EIO, "there is no tenant to work with")
                        : file_replace(path, up->token, strlen(up->token), diag);
    }
    (void)umask(mask);
    buffer_fini(&text);
    json_decref(body);
    return err;
}

static size_t
count_hosts(struct api *api)
{
    int code;
    json_t *answer = api_ask(api, "GET", "/v1/hosts", NULL, &code);
    size_t count = json_array_size(json_object_get(answer, "hosts"));

    json_decref(answer);
    return count;
}

static int
await_workers(struct up *up, struct api *api, struct diag *diag)
{
    uint64_t until_ns = clock_now_ns() + START_NS_MAX;

    while (count_hosts(api) < up->workers) {
        if (cluster_is_signalled(20))
            return -EINTR;
        for (size_t i = 1; i <= up->workers; i++)
            if (waitpid(up->children[i].pid, NULL, WNOHANG) == up->children[i].pid) {
                up->children[i].pid = 0;
                return diag_set(diag, -ECHILD, "%s ended (it says why above)",
                                up->children[i].name);
            }
        if (clock_now_ns() > until_ns)
            return diag_set(diag, -ETIMEDOUT, "the workers did not register in time");
    }
    return 0;
}

static int
save_settings(struct up *up, const struct api *api, struct diag *diag)
{
    json_t *settings = api_settings_load(diag);
    int err = -EINVAL;

    if (settings != NULL) {
        (void)json_object_set_new(settings, "address", json_string(up->address));
        (void)json_object_set_new(settings, "token", json_string(up->token));
        (void)json_object_set_new(settings, "admin_token", json_string(api->token));
        (void)json_object_set_new(settings, "tenant", json_string(TENANT));
        err = api_settings_save(settings, diag);
    }
    json_decref(settings);
    return err;
}

static int
start_all(struct up *up, struct diag *diag)
{
    struct api api = {0};
    int err = cluster_directory(up->data, diag);

    (void)unlink(up->ready);
    prepare_planner(up);
    if (err == 0)
        err = start(&up->children[0], diag);
    if (err == 0)
        err = await_planner(up, diag);
    if (err == 0)
        err = open_admin(up, &api, diag);
    if (err == 0)
        err = make_tenant(up, &api, diag);
    for (size_t i = 0; err == 0 && i < up->workers; i++) {
        prepare_worker(up, i);
        err = start(&up->children[i + 1], diag);
    }
    if (err == 0)
        err = await_workers(up, &api, diag);
    if (err == 0 && up->has_config)
        err = save_settings(up, &api, diag);
    api_close(&api);
    return err;
}

/* ------------------------------------------------------------------------------ running */

static void
tell(const struct up *up)
{
    (void)printf("Weft is up: %s, %llu worker%s, data in %s\n", up->address,
                 (unsigned long long)up->workers, up->workers == 1 ? "" : "s", up->data);
    (void)printf("  token   %s   (tenant " TENANT ")\n", up->token);
    (void)printf("Try:  weft new c hello && weft deploy hello && weft invoke hello --input you\n"
                 "Ctrl-C ends it.\n");
    (void)fflush(stdout);
}

/* One that ended: again, after a pause if it did not last. The planner gets the addresses that
 * it had. */
static void
start_again(struct up *up, pid_t pid, int status)
{
    struct diag diag;

    diag_init(&diag);
    for (size_t i = 0; i <= up->workers; i++) {
        struct child *child = &up->children[i];

        if (child->pid != pid)
            continue;
        child->pid = 0;
        (void)fprintf(stderr, "weft: the %s ended (%s %d): it is started again\n", child->name,
                      WIFSIGNALED(status) ? "signal" : "code",
                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (clock_now_ns() - child->start_ns < AGAIN_NS)
            (void)usleep(AGAIN_NS / 1000);
        if (i == 0) {
            child->arg_count = 0;
            (void)memset(child->args, 0, sizeof(child->args));
            prepare_planner(up);
        }
        if (start(child, &diag) != 0)
            (void)fprintf(stderr, "weft: %s\n", diag_text(&diag));
    }
}

static void
run(struct up *up)
{
    int status;
    pid_t pid;

    while (!cluster_is_signalled(100))
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            start_again(up, pid, status);
}

/* Workers first, so that they say goodbye; then the planner. */
static void
end_all(struct up *up)
{
    for (size_t i = up->workers + 1; i > 0; i--) {
        struct child *child = &up->children[i - 1];

        if (i == 1)
            for (size_t k = 1; k <= up->workers; k++)
                if (up->children[k].pid > 0)
                    (void)waitpid(up->children[k].pid, NULL, 0);
        if (child->pid > 0)
            (void)kill(child->pid, SIGTERM);
        if (child->pid > 0 && i == 1)
            (void)waitpid(child->pid, NULL, 0);
    }
    (void)unlink(up->ready);
}

static int
parse(struct up *up, int argc, char **argv)
{
    const char *data = NULL, *home = getenv("HOME");
    bool is_left_alone = false;
    const struct cmd_option options[] = {
        {"workers", CMD_NUMBER, &up->workers, WORKERS_MAX},
        {"data", CMD_TEXT, &data, 0},
        {"listen", CMD_TEXT, &up->listen, 0},
        {"slots", CMD_NUMBER, &up->slots, 1u << 20},
        {"policy", CMD_TEXT, &up->policy, 0},
        {"no-config", CMD_FLAG, &is_left_alone, 0},
        {"not-durable", CMD_FLAG, &up->is_volatile, 0},
    };
    int code = cmd_options(argc, argv, help, NULL, options, ARRAY_COUNT(options));

    if (code != CMD_EXIT_OK)
        return code;
    if (optind < argc)
        return cmd_usage("up", "%s is not expected", argv[optind]);
    up->has_config = !is_left_alone;
    if (data != NULL)
        (void)snprintf(up->data, sizeof(up->data), "%s", data);
    else
        (void)snprintf(up->data, sizeof(up->data), "%s/.local/share/weft",
                       home != NULL ? home : "");
    return CMD_EXIT_OK;
}

int
cmd_up(int argc, char **argv)
{
    static struct up up = {
        .workers = 1, .listen = "127.0.0.1:8080", .policy = "spread", .has_config = true};
    struct diag diag;
    int code = parse(&up, argc, argv), err;

    if (code != CMD_EXIT_OK)
        return code < 0 ? CMD_EXIT_OK : code;
    diag_init(&diag);
    cluster_block_signals();
    (void)snprintf(up.slots_text, sizeof(up.slots_text), "%llu", (unsigned long long)up.slots);
    (void)snprintf(up.key, sizeof(up.key), "%s/" CLUSTER_KEY, up.data);
    (void)snprintf(up.ready, sizeof(up.ready), "%s/address", up.data);
    err = start_all(&up, &diag);
    if (err == 0) {
        tell(&up);
        run(&up);
    }
    end_all(&up);
    return err == 0 || err == -EINTR ? CMD_EXIT_OK : cmd_fail(err, &diag);
}
