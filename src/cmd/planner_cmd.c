/* SPDX-License-Identifier: Apache-2.0
 *
 * weft planner: gateway, planner and the store of a cluster in one process.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "catalog/catalog.h"
#include "cmd/cluster_internal.h"
#include "cmd/cmd_internal.h"
#include "gateway/gateway.h"
#include "hosts/hosts.h"
#include "meter/meter.h"
#include "planner/planner.h"
#include "store/store.h"

#define HOLDER_BYTES     64u
#define END_SECONDS      15u
#define STATE_KEYS_MAX   (UINT64_C(1) << 24)  /* of a tenant */
#define NEAR_CACHE_BYTES (UINT64_C(32) << 20) /* the embedded store is memory itself */
#define EXIT_LOST        75 /* another leads: whoever started us starts us again, to stand by */

static const char help[] =
    "usage: weft planner [options]\n\n"
    "The one process that a cluster has beside its workers: the HTTP gateway, the planner\n"
    "and what must not be forgotten. A second one on the same store stands by.\n\n"
    "  --data DIR           its directory: key, tokens, images, and the embedded store\n"
    "                       (default /var/lib/weft)\n"
    "  --listen ADDRESS     for clients (default 127.0.0.1:8080)\n"
    "  --hosts ADDRESS      for workers (default 127.0.0.1:8081)\n"
    "  --key FILE           the cluster's key (default cluster.key in --data, made if missing)\n"
    "  --cert FILE --cert-key FILE   PEM: HTTPS\n"
    "  --records URL        redis://[:password@]host:port/db instead of the embedded store\n"
    "                       (WEFT_RECORDS, where others must not see a password)\n"
    "  --blobs URL          s3+https://host/bucket or s3+http://; keys from WEFT_S3_KEY,\n"
    "                       WEFT_S3_SECRET and WEFT_S3_REGION\n"
    "  --policy NAME        binpack, spread (default), compact, locality, spot\n"
    "  --keep SECONDS       how long ends of asynchronous calls are kept (default a day)\n"
    "  --grace SECONDS      how long what nobody needs is kept (default an hour)\n"
    "  --not-durable        no fsync: for trying out\n"
    "  --ready-file FILE    written when it leads and listens: the two addresses\n\n"
    "The administrator's token is in admin.token in --data.\n";

struct planner_command {
    const char *data, *listen, *hosts, *key_path, *certificate, *certificate_key;
    const char *records, *blobs, *policy, *ready_path;
    uint64_t keep_s, grace_s;
    bool is_volatile;
};

/* All that runs; each needs what is above it. */
struct node {
    struct store *store;
    struct catalog *catalog;
    struct planner *planner;
    struct meter *meter;
    struct tier *tier;
    struct hosts *hosts;
    pthread_rwlock_t lock;   /* of the next: calls end while it opens and closes */
    struct gateway *gateway; /* NULL: not yet, or not any more */
    char holder[HOLDER_BYTES], path[4200];
    uint8_t key[NET_SECRET_BYTES];
};

static int
parse(struct planner_command *command, int argc, char **argv)
{
    const struct cmd_option options[] = {
        {"data", CMD_TEXT, &command->data, 0},
        {"listen", CMD_TEXT, &command->listen, 0},
        {"hosts", CMD_TEXT, &command->hosts, 0},
        {"key", CMD_TEXT, &command->key_path, 0},
        {"cert", CMD_TEXT, &command->certificate, 0},
        {"cert-key", CMD_TEXT, &command->certificate_key, 0},
        {"records", CMD_TEXT, &command->records, 0},
        {"blobs", CMD_TEXT, &command->blobs, 0},
        {"policy", CMD_TEXT, &command->policy, 0},
        {"ready-file", CMD_TEXT, &command->ready_path, 0},
        {"keep", CMD_NUMBER, &command->keep_s, UINT32_MAX},
        {"grace", CMD_NUMBER, &command->grace_s, UINT32_MAX},
        {"not-durable", CMD_FLAG, &command->is_volatile, 0},
    };
    int code = cmd_options(argc, argv, help, NULL, options, ARRAY_COUNT(options));

    if (code == CMD_EXIT_OK && optind < argc)
        return cmd_usage("planner", "%s is not expected", argv[optind]);
    return code;
}

/* ------------------------------------------------------------------------------ opening */

static int
open_store(struct node *node, const struct planner_command *command, struct diag *diag)
{
    char directory[4200];
    struct store_config config = {.s3_key = getenv("WEFT_S3_KEY"),
                                  .s3_secret = getenv("WEFT_S3_SECRET"),
                                  .s3_region = getenv("WEFT_S3_REGION"),
                                  .is_durable = !command->is_volatile};

    (void)snprintf(directory, sizeof(directory), "dir:%.4000s/store", command->data);
    (void)snprintf(node->path, sizeof(node->path), "%.4000s/store", command->data);
    config.records = command->records != NULL ? command->records : directory;
    config.blobs = command->blobs != NULL ? command->blobs : directory;
    if (command->records == NULL || command->blobs == NULL) {
        int err = cluster_directory(node->path, diag);

        if (err != 0)
            return err;
    }
    return store_open(&config, &node->store, diag);
}

static int
open_key(struct node *node, const struct planner_command *command, struct diag *diag)
{
    const char *path = node->path;

    (void)snprintf(node->path, sizeof(node->path), "%.4000s/" CLUSTER_KEY, command->data);
    if (command->key_path != NULL)
        path = command->key_path;
    return cluster_key(path, command->key_path == NULL, node->key, diag);
}

/* Each data directory has a token of its own: "first-MACHINE-HASH". */
static void
name_admin(const char *data, char name[CATALOG_NAME_BYTES_MAX + 1])
{
    char machine[64] = "", *path = realpath(data, NULL);

    (void)gethostname(machine, sizeof(machine) - 1);
    for (char *c = machine; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            *c = '-';
    (void)snprintf(name, CATALOG_NAME_BYTES_MAX + 1, "first-%.40s-%016" PRIx64, machine,
                   hash_text(HASH_SEED, path != NULL ? path : data));
    free(path);
}

/* The administrator's token, told once by the catalog, is kept in a file: where that is
 * lost, there is a new one. */
static int
make_admin(struct node *node, const struct planner_command *command, struct diag *diag)
{
    char secret[CATALOG_TOKEN_BYTES_MAX + 1] = "", name[CATALOG_NAME_BYTES_MAX + 1];
    const struct catalog_token token = {.tenant = "", .name = name, .roles = CATALOG_ADMIN};
    mode_t mask;
    int err;

    (void)snprintf(node->path, sizeof(node->path), "%.4000s/" CLUSTER_ADMIN, command->data);
    if (access(node->path, F_OK) == 0)
        return 0;
    name_admin(command->data, name);
    err = catalog_token_remove(node->catalog, "", name, NULL);
    if (err == 0 || err == -ENOENT)
        err = catalog_token_create(node->catalog, &token, secret, diag);
    if (err != 0)
        return err;
    secret[strlen(secret)] = '\n'; /* the array is zeros */
    mask = umask(077);
    err = file_replace(node->path, secret, strlen(secret), diag);
    (void)umask(mask);
    explicit_bzero(secret, sizeof(secret));
    return err;
}

static void
on_lost(void *context)
{
    (void)context;
    (void)fprintf(stderr, "weft: another planner leads now: this one ends\n");
    _exit(EXIT_LOST);
}

/* What must not be forgotten is in the store: the rest is not worth a long wait. */
static void
on_late(int number)
{
    static const char text[] = "weft: something takes too long to end (a compilation?): given up\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(CMD_EXIT_OK);
}

static void
on_over(void *context, const Ledger__Call *call)
{
    struct node *node = context;

    meter_add(node->meter, call);
    (void)pthread_rwlock_rdlock(&node->lock);
    if (node->gateway != NULL)
        gateway_over(node->gateway, call);
    (void)pthread_rwlock_unlock(&node->lock);
}

/* The one before. */
static struct gateway *
set_gateway(struct node *node, struct gateway *gateway)
{
    struct gateway *before;

    (void)pthread_rwlock_wrlock(&node->lock);
    before = node->gateway;
    node->gateway = gateway;
    (void)pthread_rwlock_unlock(&node->lock);
    return before;
}

/* Stands by while another leads. -EINTR: signalled. */
static int
lead(struct node *node, const struct planner_command *command, struct diag *diag)
{
    struct planner_config config = {.store = node->store,
                                    .holder = node->holder,
                                    .policy = command->policy,
                                    .kept_s = command->keep_s,
                                    .on_lost = on_lost,
                                    .on_over = on_over,
                                    .context = node};
    uint64_t random = 0;
    bool is_told = false;
    int err;

    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return diag_set(diag, -EIO, "no random numbers");
    /* The embedded store is one process's at a time: whoever held its lease is dead, and what
     * runs on workers is taken over at once. */
    if (command->records == NULL)
        (void)snprintf(node->holder, sizeof(node->holder), "planner:embedded");
    else
        (void)snprintf(node->holder, sizeof(node->holder), "planner:%d-%016" PRIx64, getpid(),
                       random);
    for (;;) {
        diag_init(diag);
        err = planner_create(&config, &node->planner, diag);
        if (err != -EBUSY)
            return err;
        if (!is_told)
            (void)fprintf(stderr, "weft: another planner leads: this one stands by\n");
        is_told = true;
        if (cluster_is_signalled(500))
            return -EINTR;
    }
}

static bool
take_limits(void *context, const struct catalog_tenant *tenant)
{
    *(uint64_t *)context = tenant->storage_bytes;
    return true;
}

/* Of a tenant that is not there any more: nothing new. */
static void
limit_state(void *context, const char *tenant, struct tier_limits *out)
{
    struct node *node = context;

    *out = (struct tier_limits){.keys = STATE_KEYS_MAX};
    if (catalog_tenant_list(node->catalog, tenant, take_limits, &out->bytes, NULL) == -ENOENT)
        out->keys = out->bytes = 1;
}

static bool
is_leading(void *context)
{
    const struct node *node = context;

    return planner_is_leading(node->planner);
}

/* It writes under the planner's lease. */
static int
open_tier(struct node *node, const struct planner_command *command, struct diag *diag)
{
    const struct tier_config config = {.store = node->store,
                                       .lease = "planner",
                                       .term = planner_term(node->planner),
                                       .limits = limit_state,
                                       .cache_bytes =
                                           command->records == NULL ? NEAR_CACHE_BYTES : 0,
                                       .is_leading = is_leading,
                                       .context = node};

    return tier_create(&config, &node->tier, diag);
}

static int
open_node(struct node *node, const struct planner_command *command, struct diag *diag)
{
    int err = cluster_directory(command->data, diag);

    if (err == 0)
        err = open_key(node, command, diag);
    if (err == 0)
        err = open_store(node, command, diag);
    if (err == 0)
        err = meter_open(node->store, &node->meter, diag);
    if (err == 0)
        err = lead(node, command, diag);
    if (err == 0) /* only now: while it stood by, another changed what the catalog reads once */
        err = catalog_open(node->store, node->key, &node->catalog, diag);
    if (err == 0)
        err = make_admin(node, command, diag);
    if (err == 0)
        err = open_tier(node, command, diag);
    return err;
}

static int
serve(struct node *node, const struct planner_command *command, struct diag *diag)
{
    const struct hosts_config hosts = {.planner = node->planner,
                                       .catalog = node->catalog,
                                       .store = node->store,
                                       .tier = node->tier,
                                       .key = node->key,
                                       .name = node->holder,
                                       .address = command->hosts};
    struct gateway_config config = {.planner = node->planner,
                                    .catalog = node->catalog,
                                    .store = node->store,
                                    .meter = node->meter,
                                    .tier = node->tier,
                                    .listen = command->listen,
                                    .certificate = command->certificate,
                                    .key = command->certificate_key,
                                    .grace_ns = command->grace_s * CLOCK_NS_PER_SECOND};
    struct gateway *gateway = NULL;
    int err = hosts_create(&hosts, &node->hosts, diag);

    config.hosts = node->hosts;
    (void)snprintf(node->path, sizeof(node->path), "%.4000s/images", command->data);
    config.cache = node->path;
    if (err == 0)
        err = cluster_directory(node->path, diag);
    if (err == 0)
        err = gateway_create(&config, &gateway, diag);
    (void)set_gateway(node, gateway);
    return err;
}

static int
tell_ready(struct node *node, const struct planner_command *command, struct diag *diag)
{
    struct buffer text = {0};
    int err;

    buffer_append_format(&text, "http%s://%s\n%s\n", command->certificate != NULL ? "s" : "",
                         gateway_address(node->gateway), hosts_address(node->hosts));
    (void)printf("weft: clients: http%s://%s   workers: %s\n",
                 command->certificate != NULL ? "s" : "", gateway_address(node->gateway),
                 hosts_address(node->hosts));
    (void)fflush(stdout);
    err = text.err == 0 && command->ready_path != NULL
              ? file_replace(command->ready_path, text.bytes, text.count, diag)
              : text.err;
    buffer_fini(&text);
    return err;
}

static void
close_node(struct node *node)
{
    gateway_destroy(set_gateway(node, NULL));
    hosts_destroy(node->hosts);
    tier_destroy(node->tier);
    planner_destroy(node->planner);
    meter_close(node->meter);
    catalog_close(node->catalog);
    store_close(node->store);
    explicit_bzero(node->key, sizeof(node->key));
}

int
cmd_planner(int argc, char **argv)
{
    struct planner_command command = {.data = "/var/lib/weft",
                                      .listen = "127.0.0.1:8080",
                                      .hosts = "127.0.0.1:8081",
                                      .policy = "spread",
                                      .records = getenv("WEFT_RECORDS")};
    static struct node node = {.lock = PTHREAD_RWLOCK_INITIALIZER};
    struct diag diag;
    int code = parse(&command, argc, argv), err;

    if (code != CMD_EXIT_OK)
        return code < 0 ? CMD_EXIT_OK : code;
    diag_init(&diag);
    cluster_block_signals();
    err = open_node(&node, &command, &diag);
    if (err == 0)
        err = serve(&node, &command, &diag);
    if (err == 0)
        err = tell_ready(&node, &command, &diag);
    if (err == 0)
        (void)cluster_wait();
    (void)signal(SIGALRM, on_late);
    (void)alarm(END_SECONDS);
    close_node(&node);
    return err == 0 || err == -EINTR ? CMD_EXIT_OK : cmd_fail(err, &diag);
}
