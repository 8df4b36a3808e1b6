/* SPDX-License-Identifier: Apache-2.0
 *
 * Two threads with a clock: the watch (what is late, who has gone, who is too slow) and
 * cron (the catalog anew, the minutes).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "gateway/gateway_internal.h"

#define TICK_NS      UINT64_C(20000000)
#define LOOK_TICKS   10u  /* clients that have gone */
#define SLOW_TICKS   50u  /* clients that are too slow */
#define STREAM_TICKS 750u /* 15 s */
#define SECOND_NS    UINT64_C(1000000000)

/* ---------------------------------------------------------------------------- clients */

static void
client_start(struct gateway *gateway, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct gateway_client *client = calloc(1, sizeof(*client));

    *socket_context = client;
    if (client == NULL || info == NULL)
        return;
    client->fd = info->connect_fd;
    client->due_ns = clock_now_ns() + 30 * SECOND_NS;
    (void)pthread_mutex_lock(&gateway->client_lock);
    client->next = gateway->clients;
    client->at = &gateway->clients;
    if (client->next != NULL)
        client->next->at = &client->next;
    gateway->clients = client;
    (void)pthread_mutex_unlock(&gateway->client_lock);
}

/* Its descriptor is closed after this, so that nobody cuts off another's of that number. */
static void
client_close(struct gateway *gateway, struct gateway_client *client)
{
    (void)pthread_mutex_lock(&gateway->client_lock);
    if (client->at != NULL) {
        *client->at = client->next;
        if (client->next != NULL)
            client->next->at = client->at;
    }
    (void)pthread_mutex_unlock(&gateway->client_lock);
    free(client);
}

void
gateway_client_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                      enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        client_start(context, connection, socket_context);
    else if (*socket_context != NULL)
        client_close(context, *socket_context);
}

static void
cut_slow(struct gateway *gateway, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&gateway->client_lock);
    for (struct gateway_client *client = gateway->clients; client != NULL; client = client->next) {
        uint64_t due_ns = atomic_load_explicit(&client->due_ns, memory_order_relaxed);

        if (due_ns != 0 && now_ns > due_ns)
            (void)shutdown(client->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&gateway->client_lock);
}

/* ---------------------------------------------------------------------------- threads */

bool
gateway_tick(struct gateway *gateway, uint64_t ns)
{
    uint64_t until_ns = clock_now_ns() + ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / SECOND_NS),
                                   .tv_nsec = (long)(until_ns % SECOND_NS)};
    int err = 0;

    (void)pthread_mutex_lock(&gateway->tick_lock);
    while (!gateway_is_ending(gateway) && err == 0)
        err = pthread_cond_timedwait(&gateway->tick, &gateway->tick_lock, &until);
    (void)pthread_mutex_unlock(&gateway->tick_lock);
    return !gateway_is_ending(gateway);
}

static void *
watch_main(void *object)
{
    struct gateway *gateway = object;

    for (uint64_t count = 1; gateway_tick(gateway, TICK_NS); count++) {
        uint64_t now_ns = clock_now_ns();

        gateway_park_sweep(gateway, now_ns, count % LOOK_TICKS == 0);
        if (count % SLOW_TICKS == 0)
            cut_slow(gateway, now_ns);
        if (count % STREAM_TICKS == 0)
            gateway_stream_sweep(gateway, false);
    }
    return NULL;
}

static void *
cron_main(void *object)
{
    struct gateway *gateway = object;
    struct timespec now;

    while (gateway_tick(gateway, SECOND_NS)) {
        /* What cannot be read now is read the next time. */
        if (catalog_refresh(gateway->config.catalog, NULL) == 0)
            gateway_shares(gateway, NULL);
        (void)clock_gettime(CLOCK_REALTIME, &now);
        gateway_cron_tick(gateway, (uint64_t)now.tv_sec);
    }
    return NULL;
}

int
gateway_watch_start(struct gateway *gateway, struct diag *diag)
{
    int err = pthread_create(&gateway->watch, NULL, watch_main, gateway);

    gateway->has_watch = err == 0;
    if (err == 0) {
        err = pthread_create(&gateway->cron, NULL, cron_main, gateway);
        gateway->has_cron = err == 0;
    }
    return err == 0 ? 0 : diag_set(diag, -err, "cannot start a thread: %s", strerror(err));
}

void
gateway_watch_stop(struct gateway *gateway)
{
    (void)pthread_mutex_lock(&gateway->tick_lock);
    (void)pthread_cond_broadcast(&gateway->tick);
    (void)pthread_mutex_unlock(&gateway->tick_lock);
    if (gateway->has_watch)
        (void)pthread_join(gateway->watch, NULL);
    if (gateway->has_cron)
        (void)pthread_join(gateway->cron, NULL);
    gateway->has_watch = gateway->has_cron = false;
}
