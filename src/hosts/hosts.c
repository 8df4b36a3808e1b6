/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts from its start to its end, and what others ask of it.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"

void *
hosts_alloc(size_t bytes)
{
    return fault_point("hosts.alloc") == 0 ? calloc(1, bytes) : NULL;
}

uint64_t
hosts_hash(uint64_t seed, const char *text)
{
    uint64_t hash = hash_text(seed ^ HASH_SEED, text);

    return hash ^ hash >> 32;
}

void
hosts_wake(struct hosts *hosts)
{
    const uint64_t one = 1;

    hosts->has_chores = true;
    (void)!write(hosts->event, &one, sizeof(one)); /* full is as good */
}

struct host *
hosts_find(const struct hosts *hosts, const char *name)
{
    struct host *host = hosts->hosts;

    while (host != NULL && strcmp(host->name, name) != 0)
        host = host->next;
    return host;
}

bool
hosts_is_drained(const struct hosts *hosts, const char *name)
{
    const struct drained *drained = hosts->drained;

    while (drained != NULL && strcmp(drained->name, name) != 0)
        drained = drained->next;
    return drained != NULL;
}

/* -------------------------------------------------------------------- start and end */

static int
watch(struct hosts *hosts, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    return epoll_ctl(hosts->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int
open_descriptors(struct hosts *hosts, struct diag *diag)
{
    int err = fault_point("hosts.open");

    hosts->epoll = err == 0 ? epoll_create1(EPOLL_CLOEXEC) : -1;
    hosts->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (err == 0 && (hosts->epoll < 0 || hosts->event < 0))
        err = -errno;
    if (err == 0)
        err = net_listen(hosts->config.address, &hosts->listening, diag);
    if (err == 0)
        err = net_address_of(hosts->listening, hosts->address);
    if (err == 0)
        err = watch(hosts, hosts->event, &hosts->event);
    if (err == 0)
        err = watch(hosts, hosts->listening, &hosts->listening);
    return err == 0 ? 0
                    : diag_set(diag, err, "cannot listen at %s: %s", hosts->config.address,
                               strerror(-err));
}

static int
start_threads(struct hosts *hosts, struct diag *diag)
{
    int err = hosts_disk_start(&hosts->disk);

    if (err == 0)
        err = fault_point("hosts.thread");
    if (err == 0)
        err = -pthread_create(&hosts->thread, NULL, hosts_loop, hosts);
    hosts->has_thread = err == 0;
    return err == 0 ? 0 : diag_set(diag, err, "cannot start a thread: %s", strerror(-err));
}

static int
hosts_new(const struct hosts_config *config, struct hosts **out)
{
    struct hosts *hosts = hosts_alloc(sizeof(*hosts));

    if (hosts == NULL)
        return -ENOMEM;
    hosts->config = *config;
    if (config->beat_ns == 0)
        hosts->config.beat_ns = HOSTS_BEAT_NS;
    if (config->silence_ns == 0)
        hosts->config.silence_ns = PLANNER_SILENCE_NS;
    hosts->listening = hosts->epoll = hosts->event = -1;
    hosts->next_number = 1;
    hosts->look_at_ns = hosts->listen_at_ns = CLOCK_NEVER_NS;
    (void)pthread_mutex_init(&hosts->lock, NULL);
    (void)pthread_mutex_init(&hosts->disk.lock, NULL);
    (void)pthread_cond_init(&hosts->disk.change, NULL);
    (void)pthread_cond_init(&hosts->chains_over, NULL);
    hosts->name = strdup(config->name);
    *out = hosts;
    return hosts->name != NULL ? 0 : -ENOMEM;
}

int
hosts_create(const struct hosts_config *config, struct hosts **out, struct diag *diag)
{
    struct hosts *hosts = NULL;
    size_t count = strlen(config->name);
    int err;

    if (count == 0 || count > RPC_WHO_MAX)
        return diag_set(diag, -EINVAL, "the planner's name has %zu bytes, not 1 to %u", count,
                        RPC_WHO_MAX);
    err = hosts_new(config, &hosts);
    if (err == 0)
        err = net_secret_create(config->key, HOST_LABEL, &hosts->secret);
    while (err == 0 && hosts->life == 0) /* 0 is a worker's word for none */
        if (getrandom(&hosts->life, sizeof(hosts->life), 0) < 0 && errno != EINTR)
            err = -errno;
    if (err == 0)
        err = open_descriptors(hosts, diag);
    if (err == 0)
        err = start_threads(hosts, diag);
    if (err != 0) {
        hosts_destroy(hosts);
        return diag_set(diag, err, "cannot start to listen for hosts: %s", strerror(-err));
    }
    *out = hosts;
    return 0;
}

static void
close_one(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* Without the loop's thread, whose work this is. Calls that were chained go first: then no
 * end of a call wants a host any more. */
static void
end_hosts(struct hosts *hosts)
{
    for (struct host *host = hosts->hosts; host != NULL; host = host->next)
        if (host->peer != NULL)
            hosts_peer_close(host->peer);
    while (hosts->strangers != NULL)
        hosts_peer_close(hosts->strangers);
    while (hosts->hosts != NULL)
        hosts_host_down(hosts->hosts);
    hosts_chain_await(hosts);
    hosts_peer_forget(hosts);
}

void
hosts_destroy(struct hosts *hosts)
{
    if (hosts == NULL)
        return;
    (void)pthread_mutex_lock(&hosts->lock);
    hosts->is_ending = true;
    if (hosts->event >= 0)
        hosts_wake(hosts);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (hosts->has_thread)
        (void)pthread_join(hosts->thread, NULL);
    hosts_disk_stop(&hosts->disk);
    end_hosts(hosts);
    hosts_upload_free_done(hosts);
    hosts_peer_forget(hosts);
    while (hosts->drained != NULL) {
        struct drained *drained = hosts->drained;

        hosts->drained = drained->next;
        free(drained);
    }
    if (strncmp(hosts->address, "unix:", 5) == 0) /* while nobody else can have it */
        (void)unlink(hosts->address + 5);
    close_one(hosts->listening);
    close_one(hosts->epoll);
    close_one(hosts->event);
    net_secret_destroy(hosts->secret);
    (void)pthread_mutex_destroy(&hosts->lock);
    (void)pthread_mutex_destroy(&hosts->disk.lock);
    (void)pthread_cond_destroy(&hosts->disk.change);
    (void)pthread_cond_destroy(&hosts->chains_over);
    free(hosts->name);
    free(hosts);
}

const char *
hosts_address(const struct hosts *hosts)
{
    return hosts->address;
}

/* -------------------------------------------------------------------------- changes */

static bool
copy_tenant(void *context, const struct catalog_tenant *tenant)
{
    *(struct catalog_tenant *)context = *tenant;
    return false;
}

void
hosts_changed(struct hosts *hosts, const char *tenant, const char *function)
{
    struct catalog_tenant now = {.name = NULL};

    if (function == NULL &&
        catalog_tenant_list(hosts->config.catalog, tenant, copy_tenant, &now, NULL) == 0)
        now.name = tenant;
    (void)pthread_mutex_lock(&hosts->lock);
    for (struct host *host = hosts->hosts; host != NULL; host = host->next)
        hosts_function_changed(host, tenant, function, &now);
    (void)pthread_mutex_unlock(&hosts->lock);
}

/* ------------------------------------------------------------------------- draining */

static int
set_drained(struct hosts *hosts, const char *name)
{
    struct drained *drained;

    if (hosts_is_drained(hosts, name))
        return 0;
    drained = hosts->drained_count < HOSTS_DRAINED_MAX ? hosts_alloc(sizeof(*drained)) : NULL;
    if (drained == NULL)
        return -ENOMEM;
    hosts->drained_count++;
    (void)memcpy(drained->name, name, strlen(name));
    drained->next = hosts->drained;
    hosts->drained = drained;
    return 0;
}

static int
clear_drained(struct hosts *hosts, const char *name)
{
    struct drained **at = &hosts->drained, *drained;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    drained = *at;
    if (drained == NULL)
        return 0;
    *at = drained->next;
    hosts->drained_count--;
    free(drained);
    return 0;
}

int
hosts_drain(struct hosts *hosts, const char *name, bool is_draining)
{
    bool is_known;
    int err;

    (void)pthread_mutex_lock(&hosts->lock);
    is_known = hosts_find(hosts, name) != NULL || hosts_is_drained(hosts, name);
    err = !is_known ? -ENOENT : is_draining ? set_drained(hosts, name) : clear_drained(hosts, name);
    hosts_wake(hosts);
    (void)pthread_mutex_unlock(&hosts->lock);
    return err;
}

/* -------------------------------------------------------------------------- looking */

struct shown {
    struct hosts_view view;
    char name[HOSTS_NAME_BYTES_MAX + 1], address[NET_ADDRESS_MAX];
    char zone[HOSTS_TEXT_BYTES_MAX + 1], version[HOSTS_TEXT_BYTES_MAX + 1];
    char missing[HOSTS_TEXT_BYTES_MAX + 1];
};

static void
show(const struct hosts *hosts, const struct host *host, uint64_t now_ns, struct shown *out)
{
    const Rpc__HostBeat *beat = &host->beat;

    (void)memcpy(out->name, host->name, sizeof(out->name));
    (void)memcpy(out->address, host->address, sizeof(out->address));
    (void)memcpy(out->zone, host->zone, sizeof(out->zone));
    (void)memcpy(out->version, host->version, sizeof(out->version));
    (void)memcpy(out->missing, host->missing, sizeof(out->missing));
    out->view = (struct hosts_view){
        .name = out->name,
        .address = out->address,
        .zone = out->zone,
        .version = out->version,
        .missing = out->missing,
        .slots = host->slots,
        .used = host->used,
        .cores = host->cores,
        .memory_bytes = host->memory_bytes,
        .memory_used = beat->memory_bytes,
        .cpu_ns = beat->cpu_ns,
        .cells = beat->cells,
        .ready_cells = beat->ready_cells,
        .cells_lost = beat->cells_lost,
        .busy_percent = beat->busy_percent,
        .heard_ns_ago = now_ns > host->heard_ns ? now_ns - host->heard_ns : 0,
        .is_draining = hosts_is_drained(hosts, host->name),
        .is_leaving = host->is_leaving,
        .is_connected = host->peer != NULL,
    };
}

/* Copied first: whoever is shown them may ask for more. */
void
hosts_list(struct hosts *hosts, hosts_fn visit, void *context)
{
    uint64_t now_ns = clock_now_ns();
    struct shown *shown;
    size_t count = 0;

    (void)pthread_mutex_lock(&hosts->lock);
    shown = hosts_alloc((hosts->host_count + 1) * sizeof(*shown));
    for (const struct host *host = hosts->hosts; shown != NULL && host != NULL; host = host->next)
        show(hosts, host, now_ns, &shown[count++]);
    (void)pthread_mutex_unlock(&hosts->lock);
    for (size_t i = 0; i < count && visit(context, &shown[i].view); i++)
        continue;
    free(shown);
}
