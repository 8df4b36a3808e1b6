/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs on their way to workers, piece by piece. A piece is read and sent by a thread of the
 * disk; who has more to send comes again at the end of its queue, so that all workers that
 * ask get their share. Where the connection does not take more, what is to be sent rests
 * until the loop has sent enough of what is queued.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

struct sending {
    struct disk_job job;  /* first */
    struct sending *next; /* of the peer; with the lock */
    struct peer *peer;    /* a reference */
    struct store_hash hash;
    int fd;
    uint64_t offset, bytes;
    bool is_resting;  /* with the lock: in no queue */
    bool is_answered; /* with the lock: its last word is said, or being said: who asks for the
                       * blob after that asks anew */
};

/* With the lock. */
static void
sending_free(struct sending *sending)
{
    struct peer *peer = sending->peer;
    struct sending **at = &peer->sendings;

    while (*at != sending)
        at = &(*at)->next;
    *at = sending->next;
    peer->sending_count--;
    if (sending->fd >= 0)
        (void)close(sending->fd);
    free(sending);
    hosts_peer_put(peer);
}

/* ------------------------------------------------------------------- on the disk's side */

static int
say(const struct sending *sending, Rpc__HostBlob *blob)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    int err = fault_point("hosts.blob");

    blob->hash = (ProtobufCBinaryData){sizeof(sending->hash.bytes),
                                       (uint8_t *)(uintptr_t)sending->hash.bytes};
    down.is_case = RPC__HOST_DOWN__IS_BLOB;
    down.blob = blob;
    return err != 0 ? err : rpc_send(sending->peer->connection, &down.base, NULL, 0);
}

/* Before the last word, which the worker may hear, and ask again, before this thread goes on. */
static void
set_answered(struct sending *sending, bool is_answered)
{
    struct hosts *hosts = sending->peer->hosts;

    (void)pthread_mutex_lock(&hosts->lock);
    sending->is_answered = is_answered;
    (void)pthread_mutex_unlock(&hosts->lock);
}

static int
open_blob(struct sending *sending, struct diag *diag)
{
    struct store *store = sending->peer->hosts->config.store;
    struct stat stat;
    int err;

    if (sending->fd >= 0)
        return 0;
    err = store_blob_get(store, &sending->hash, &sending->fd, diag);
    if (err == -ENOENT)
        return diag_set(diag, err, "the store has no such blob");
    if (err == 0 && fstat(sending->fd, &stat) != 0)
        err = -errno;
    if (err == 0)
        sending->bytes = (uint64_t)stat.st_size;
    return err == 0 ? 0 : diag_set(diag, err, "cannot read the blob: %s", strerror(-err));
}

static int
read_piece(const struct sending *sending, uint8_t *bytes, size_t count, struct diag *diag)
{
    size_t used = 0;

    while (used < count) {
        ssize_t got =
            pread(sending->fd, bytes + used, count - used, (off_t)(sending->offset + used));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return diag_set(diag, got < 0 ? -errno : -EIO, "cannot read the blob: %s",
                            got < 0 ? strerror(errno) : "it became shorter");
        used += (size_t)got;
    }
    return 0;
}

/* -EAGAIN: there is more; -ENOBUFS: the connection takes no more for now; else it is over,
 * well or not. */
static int
send_piece(struct sending *sending, struct diag *diag)
{
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;
    uint64_t left;
    size_t count;
    int err = open_blob(sending, diag);

    if (err != 0)
        return err;
    left = sending->bytes - sending->offset;
    count = left < HOSTS_PIECE_BYTES ? (size_t)left : HOSTS_PIECE_BYTES;
    blob.bytes = (ProtobufCBinaryData){count, hosts_alloc(count + 1)};
    if (blob.bytes.data == NULL)
        return diag_set(diag, -ENOMEM, "the planner has no memory to read the blob");
    err = read_piece(sending, blob.bytes.data, count, diag);
    blob.is_last = count == left;
    if (blob.is_last)
        set_answered(sending, true);
    if (err == 0)
        err = say(sending, &blob);
    free(blob.bytes.data);
    if (err != 0) {
        set_answered(sending, false);
        return err;
    }
    sending->offset += count;
    return blob.is_last ? 0 : -EAGAIN;
}

static bool
is_full(struct peer *peer)
{
    return net_queued(peer->connection) > HOSTS_QUEUED_MAX;
}

/* With the lock. It rests where the queue is full; the loop wakes it when that is not so any
 * more, and looks after this has (both have the lock), so it is not forgotten. */
static void
go_on_or_rest(struct sending *sending)
{
    sending->is_resting = is_full(sending->peer);
    if (!sending->is_resting)
        hosts_disk_add(&sending->peer->hosts->disk, &sending->job);
}

static void
work(struct disk_job *job)
{
    struct sending *sending = (struct sending *)job;
    struct peer *peer = sending->peer;
    struct hosts *hosts = peer->hosts;
    Rpc__HostBlob failed = RPC__HOST_BLOB__INIT;
    struct diag why;
    bool is_over;
    int err;

    diag_init(&why);
    (void)pthread_mutex_lock(&hosts->lock);
    is_over = peer->is_over;
    (void)pthread_mutex_unlock(&hosts->lock);
    err = is_over ? -EPIPE : send_piece(sending, &why);
    if (err != 0 && err != -EAGAIN && err != -ENOBUFS && err != -EPIPE) {
        char *text = rpc_text(diag_text(&why));

        set_answered(sending, true);
        failed.error = text != NULL && text[0] != '\0' ? text : (char *)(uintptr_t)strerror(-err);
        err = say(sending, &failed);
        free(text);
    }
    (void)pthread_mutex_lock(&hosts->lock);
    if (err != 0 && err != -EAGAIN && err != -ENOBUFS && !peer->is_over)
        hosts_peer_fail(peer); /* it waits for a word that was lost */
    if ((err == -EAGAIN || err == -ENOBUFS) && !peer->is_over)
        go_on_or_rest(sending);
    else
        sending_free(sending);
    (void)pthread_mutex_unlock(&hosts->lock);
}

static void
drop(struct disk_job *job)
{
    struct sending *sending = (struct sending *)job;
    struct hosts *hosts = sending->peer->hosts;

    (void)pthread_mutex_lock(&hosts->lock);
    sending_free(sending);
    (void)pthread_mutex_unlock(&hosts->lock);
}

/* -------------------------------------------------------------------- on the loop's side */

static bool
is_sent_already(const struct peer *peer, const struct store_hash *hash)
{
    const struct sending *sending = peer->sendings;

    while (sending != NULL &&
           (sending->is_answered || memcmp(&sending->hash, hash, sizeof(*hash)) != 0))
        sending = sending->next;
    return sending != NULL;
}

static struct sending *
enter(struct peer *peer, const struct store_hash *hash)
{
    struct sending *sending = hosts_alloc(sizeof(*sending));

    if (sending == NULL)
        return NULL;
    sending->job.work = work;
    sending->job.drop = drop;
    sending->peer = peer;
    sending->hash = *hash;
    sending->fd = -1;
    sending->next = peer->sendings;
    peer->sendings = sending;
    peer->sending_count++;
    peer->references++;
    return sending;
}

static void
refuse(struct peer *peer, const ProtobufCBinaryData *hash, const char *reason)
{
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;

    blob.hash = *hash;
    blob.error = (char *)(uintptr_t)reason;
    hosts_say(peer, RPC__HOST_DOWN__IS_BLOB, &blob);
}

void
hosts_sending_start(struct peer *peer, const ProtobufCBinaryData *wanted)
{
    struct sending *sending = NULL;
    struct store_hash hash;

    (void)pthread_mutex_lock(&peer->hosts->lock);
    if (wanted->len != sizeof(hash.bytes)) {
        refuse(peer, wanted, "a hash has 32 bytes");
    } else if (peer->sending_count >= HOSTS_WANTS_MAX) {
        refuse(peer, wanted, "too many blobs are asked for at one time");
    } else {
        (void)memcpy(hash.bytes, wanted->data, sizeof(hash.bytes));
        if (!is_sent_already(peer, &hash)) {
            sending = enter(peer, &hash);
            if (sending == NULL)
                refuse(peer, wanted, "the planner has no memory to read the blob");
        }
    }
    if (sending != NULL)
        hosts_disk_add(&peer->hosts->disk, &sending->job);
    (void)pthread_mutex_unlock(&peer->hosts->lock);
}

void
hosts_sending_go_on(struct peer *peer)
{
    struct hosts *hosts = peer->hosts;

    (void)pthread_mutex_lock(&hosts->lock);
    for (struct sending *sending = peer->sendings; sending != NULL; sending = sending->next)
        if (sending->is_resting)
            go_on_or_rest(sending);
    (void)pthread_mutex_unlock(&hosts->lock);
}

void
hosts_sending_end_all(struct peer *peer)
{
    struct sending *next;

    for (struct sending *sending = peer->sendings; sending != NULL; sending = next) {
        next = sending->next;
        if (sending->is_resting)
            sending_free(sending);
    }
}
