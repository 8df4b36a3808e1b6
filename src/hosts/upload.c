/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs of workers: Proto-Faaslets that they made, which come in pieces before the end of the
 * run that made them, and are put into the store by a thread of the disk. The end waits for
 * that: what it names is in the store, with that hash.
 */
#include "hosts/hosts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/file.h"

enum upload_state { UPLOAD_COMING, UPLOAD_PUTTING, UPLOAD_DONE };

struct upload {
    struct disk_job job; /* first */
    struct upload *next; /* of the peer; or, done, of what the loop is to hear */
    struct upload *next_done;
    struct peer *peer; /* NULL: it is over; the loop's */
    struct hosts *hosts;
    struct store_hash hash;
    int fd; /* -1: nothing came: it may be in the store from before */
    uint64_t bytes;
    enum upload_state state; /* the loop's */
    int err;
    struct diag why;
    Rpc__HostEnd *end; /* that waits; owned */
};

static void
upload_free(struct upload *upload)
{
    if (upload->fd >= 0)
        (void)close(upload->fd);
    if (upload->end != NULL)
        rpc__host_end__free_unpacked(upload->end, NULL);
    free(upload);
}

/* Off its peer's list. */
static void
leave(struct upload *upload)
{
    struct upload **at = &upload->peer->uploads;

    while (*at != upload)
        at = &(*at)->next;
    *at = upload->next;
    upload->peer->upload_count--;
    upload->peer = NULL;
}

static struct upload *
find(const struct peer *peer, const ProtobufCBinaryData *hash)
{
    struct upload *upload = peer->uploads;

    while (upload != NULL && memcmp(upload->hash.bytes, hash->data, STORE_HASH_BYTES) != 0)
        upload = upload->next;
    return upload;
}

/* ------------------------------------------------------------------- on the disk's side */

static int
put(struct upload *upload)
{
    struct store *store = upload->hosts->config.store;
    struct store_hash hash;
    uint64_t bytes;
    int err = fault_point("hosts.upload");

    if (err != 0)
        return err;
    if (upload->fd < 0) {
        err = store_blob_stat(store, &upload->hash, &bytes, &upload->why);
        return err == -ENOENT
                   ? diag_set(&upload->why, err, "the Proto-Faaslet was not sent by its host")
                   : err;
    }
    if (lseek(upload->fd, 0, SEEK_SET) != 0)
        return -errno;
    err = store_blob_put(store, upload->fd, &hash, &upload->why);
    if (err == 0 && memcmp(&hash, &upload->hash, sizeof(hash)) != 0)
        err = diag_set(&upload->why, -EBADMSG,
                       "the Proto-Faaslet came from its host with another hash than it said");
    return err;
}

static void
finish(struct upload *upload, int err)
{
    struct hosts *hosts = upload->hosts;

    upload->err = err;
    (void)pthread_mutex_lock(&hosts->lock);
    upload->next_done = hosts->done;
    hosts->done = upload;
    hosts_wake(hosts);
    (void)pthread_mutex_unlock(&hosts->lock);
}

static void
work(struct disk_job *job)
{
    finish((struct upload *)job, put((struct upload *)job));
}

static void
drop(struct disk_job *job)
{
    finish((struct upload *)job, -ECANCELED);
}

/* -------------------------------------------------------------------- on the loop's side */

static void
hand_over(struct upload *upload)
{
    upload->state = UPLOAD_PUTTING;
    hosts_disk_add(&upload->hosts->disk, &upload->job);
}

/* One that no end has named so far makes room. */
static void
make_room(struct peer *peer)
{
    struct upload *upload = peer->uploads;

    if (peer->upload_count < HOSTS_UPLOADS_MAX)
        return;
    while (upload != NULL && upload->state != UPLOAD_DONE)
        upload = upload->next;
    if (upload == NULL)
        return;
    leave(upload);
    upload_free(upload);
}

static struct upload *
enter(struct peer *peer, const ProtobufCBinaryData *hash)
{
    struct upload *upload;

    make_room(peer);
    upload = peer->upload_count < HOSTS_UPLOADS_MAX ? hosts_alloc(sizeof(*upload)) : NULL;
    if (upload == NULL)
        return NULL;
    upload->job.work = work;
    upload->job.drop = drop;
    upload->peer = peer;
    upload->hosts = peer->hosts;
    upload->fd = -1;
    diag_init(&upload->why);
    (void)memcpy(upload->hash.bytes, hash->data, sizeof(upload->hash.bytes));
    upload->next = peer->uploads;
    peer->uploads = upload;
    peer->upload_count++;
    return upload;
}

/* Nothing more of it is taken; its end tells why. */
static void
fail(struct upload *upload, int err, const char *reason)
{
    upload->state = UPLOAD_DONE;
    upload->err = diag_set(&upload->why, err, "%s", reason);
}

static void
take_piece(struct upload *upload, const Rpc__HostBlob *blob)
{
    int err;

    if (upload->fd < 0)
        upload->fd = memfd_create("weft-proto", MFD_CLOEXEC);
    err = upload->fd >= 0 ? fault_point("hosts.piece") : -errno;
    if (err == 0 && blob->bytes.len > STORE_BLOB_BYTES_MAX - upload->bytes)
        err = -EFBIG;
    if (err == 0)
        err = file_write_all(upload->fd, blob->bytes.data, blob->bytes.len);
    if (err != 0) {
        fail(upload, err, "the planner could not keep what its host sent of the Proto-Faaslet");
        return;
    }
    upload->bytes += blob->bytes.len;
    if (blob->is_last)
        hand_over(upload);
}

/* Blobs that no end can name, for nothing is prepared there, are not wanted. */
static bool
is_wanted(const struct peer *peer)
{
    bool is_any = false;

    (void)pthread_mutex_lock(&peer->hosts->lock);
    for (size_t i = 0; i < HOSTS_RUN_BUCKETS && !is_any; i++)
        for (const struct run *run = peer->host->runs[i]; run != NULL; run = run->next)
            is_any = is_any || run->is_prepare;
    (void)pthread_mutex_unlock(&peer->hosts->lock);
    return is_any;
}

void
hosts_upload_hear(struct peer *peer, const Rpc__HostBlob *blob)
{
    struct upload *upload;

    if (blob->hash.len != STORE_HASH_BYTES)
        return;
    upload = find(peer, &blob->hash);
    if (upload == NULL && is_wanted(peer))
        upload = enter(peer, &blob->hash);
    if (upload == NULL || upload->state != UPLOAD_COMING)
        return;
    if (blob->error[0] != '\0')
        fail(upload, -EIO, blob->error);
    else
        take_piece(upload, blob);
}

/* The end waits, as a copy. */
static int
wait_for(struct upload *upload, const Rpc__HostEnd *end)
{
    size_t count = rpc__host_end__get_packed_size(end);
    uint8_t *bytes = hosts_alloc(count + 1);

    if (bytes == NULL)
        return -ENOMEM;
    upload->end = rpc__host_end__unpack(NULL, rpc__host_end__pack(end, bytes), bytes);
    free(bytes);
    return upload->end != NULL ? -EAGAIN : -ENOMEM;
}

int
hosts_upload_ask(struct peer *peer, const Rpc__HostEnd *end, struct diag *diag)
{
    struct upload *upload;
    int err;

    if (end->proto.len != STORE_HASH_BYTES)
        return diag_set(diag, -EPROTO, "its host named no Proto-Faaslet");
    upload = find(peer, &end->proto);
    if (upload == NULL) {
        upload = enter(peer, &end->proto);
        if (upload == NULL)
            return diag_set(diag, -ENOMEM, "no memory for a Proto-Faaslet, or too many at once");
        hand_over(upload);
    }
    if (upload->state == UPLOAD_COMING)
        fail(upload, -EPROTO, "its host sent only a part of the Proto-Faaslet");
    if (upload->state == UPLOAD_PUTTING) {
        if (upload->end != NULL)
            return -EAGAIN; /* said twice */
        err = wait_for(upload, end);
        return err == -EAGAIN ? err : diag_set(diag, err, "no memory for an end that waits");
    }
    err = upload->err;
    if (err != 0)
        (void)diag_set(diag, err, "%s",
                       upload->why.is_set ? diag_text(&upload->why) : strerror(-err));
    leave(upload);
    upload_free(upload);
    return err;
}

static void
drop_if_there(struct peer *peer, struct upload *upload)
{
    const struct upload *one = peer->uploads;

    while (one != NULL && one != upload)
        one = one->next;
    if (one == NULL)
        return;
    leave(upload);
    upload_free(upload);
}

void
hosts_upload_done(struct hosts *hosts)
{
    struct upload *upload, *next;

    (void)pthread_mutex_lock(&hosts->lock);
    upload = hosts->done;
    hosts->done = NULL;
    (void)pthread_mutex_unlock(&hosts->lock);
    for (; upload != NULL; upload = next) {
        Rpc__HostEnd *end = upload->end;
        struct peer *peer = upload->peer;

        next = upload->next_done;
        if (peer == NULL) {
            upload_free(upload);
            continue;
        }
        upload->state = UPLOAD_DONE;
        upload->end = NULL;
        if (end == NULL)
            continue;
        hosts_run_end(peer, end); /* frees the upload, where the run is still there */
        drop_if_there(peer, upload);
        rpc__host_end__free_unpacked(end, NULL);
    }
}

void
hosts_upload_free_done(struct hosts *hosts)
{
    hosts_upload_done(hosts);
    ASSERT(hosts->done == NULL);
}

void
hosts_upload_end_all(struct peer *peer)
{
    while (peer->uploads != NULL) {
        struct upload *upload = peer->uploads;

        leave(upload);
        if (upload->state != UPLOAD_PUTTING) /* that one comes back from the disk */
            upload_free(upload);
    }
}
