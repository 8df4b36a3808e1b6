/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs that are missing: each asked for once, a few at a time; what comes is kept in
 * memory until it is whole, and counts when the disk has found the hash that was wanted.
 * The link's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/agent_internal.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"

bool
agent_hash_of(const ProtobufCBinaryData *bytes, struct store_hash *out)
{
    if (bytes->len != sizeof(out->bytes))
        return false;
    (void)memcpy(out->bytes, bytes->data, sizeof(out->bytes));
    return true;
}

void
agent_hash_print(const struct store_hash *hash, char out[AGENT_HEX_BYTES])
{
    for (size_t i = 0; i < STORE_HASH_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash->bytes[i]);
}

static struct agent_want *
find(struct agent *agent, const struct store_hash *hash)
{
    struct agent_want *want = agent->wants;

    while (want != NULL && memcmp(&want->hash, hash, sizeof(*hash)) != 0)
        want = want->next;
    return want;
}

static void
show(struct agent *agent)
{
    uint32_t count = 0;

    for (const struct agent_want *want = agent->wants; want != NULL; want = want->next)
        count++;
    (void)pthread_mutex_lock(&agent->lock);
    agent->view_wants = count;
    (void)pthread_mutex_unlock(&agent->lock);
}

static struct agent_want *
make(struct agent *agent, const struct store_hash *hash)
{
    struct agent_want *want = fault_point("agent.want") != 0 ? NULL : calloc(1, sizeof(*want));
    struct agent_want **end = &agent->wants;

    if (want == NULL)
        return NULL;
    want->hash = *hash;
    want->fd = -1;
    while (*end != NULL)
        end = &(*end)->next;
    *end = want;
    show(agent);
    return want;
}

int
agent_want_add(struct agent *agent, const struct store_hash *hash, struct agent_function *function)
{
    struct agent_waiter *waiter =
        fault_point("agent.want") != 0 ? NULL : calloc(1, sizeof(*waiter));
    struct agent_want *want = find(agent, hash);

    if (waiter != NULL && want == NULL)
        want = make(agent, hash);
    if (waiter == NULL || want == NULL) {
        free(waiter);
        return -ENOMEM;
    }
    waiter->function = function;
    waiter->next = want->waiters;
    want->waiters = waiter;
    return 0;
}

/* It comes no more, for now. */
static void
stop_fetching(struct agent *agent, struct agent_want *want)
{
    if (want->state == WANT_ASKED)
        agent->fetches--;
    if (want->state == WANT_ASKED || want->state == WANT_PUTTING)
        agent->fetch_bytes -= want->bytes;
    file_close(&want->fd);
    want->fd = -1;
    want->bytes = 0;
    want->state = WANT_QUEUED;
}

/* Tells all that wait; what they do may add others. */
static void
end(struct agent *agent, struct agent_want *want, int err, const char *reason)
{
    struct agent_want **at = &agent->wants;
    char hex[AGENT_HEX_BYTES], text[AGENT_REASON_MAX] = "";

    stop_fetching(agent, want);
    while (*at != want)
        at = &(*at)->next;
    *at = want->next;
    show(agent);
    agent_hash_print(&want->hash, hex);
    if (err != 0)
        agent_reason(text, "the blob %.16s... cannot be had: %.380s", hex, reason);
    while (want->waiters != NULL) {
        struct agent_waiter *waiter = want->waiters;

        want->waiters = waiter->next;
        agent_function_supplied(agent, waiter->function, err, text);
        free(waiter);
    }
    free(want);
}

/* ------------------------------------------------------------------------------ asking */

static int
ask(struct agent *agent, struct agent_want *want, uint64_t now_ns)
{
    Rpc__HostUp up = RPC__HOST_UP__INIT;
    Rpc__HostWantBlob words = RPC__HOST_WANT_BLOB__INIT;
    int err = fault_point("agent.want");

    want->fd = err != 0 ? -1 : memfd_create("weft-blob", MFD_CLOEXEC);
    if (want->fd < 0)
        return err != 0 ? err : -errno;
    words.hash = (ProtobufCBinaryData){STORE_HASH_BYTES, want->hash.bytes};
    up.is_case = RPC__HOST_UP__IS_WANT_BLOB;
    up.want_blob = &words;
    err = agent_send(agent, agent->epoch, &up);
    if (err != 0) {
        file_close(&want->fd);
        want->fd = -1;
        return err;
    }
    want->state = WANT_ASKED;
    want->heard_ns = now_ns;
    agent->fetches++;
    return 0;
}

/* -ENOBUFS: there will be room later; -EPIPE: another connection. */
void
agent_want_ask(struct agent *agent, uint64_t now_ns)
{
    struct agent_want *next;

    for (struct agent_want *want = agent->wants; want != NULL; want = next) {
        int err = 0;

        next = want->next;
        if (want->state == WANT_ASKED && now_ns - want->heard_ns >= AGENT_FETCH_NS)
            err = -ETIMEDOUT;
        else if (want->state == WANT_QUEUED && agent->fetches < AGENT_FETCHES_MAX)
            err = ask(agent, want, now_ns);
        if (err == -ENOBUFS || err == -EPIPE)
            return;
        if (err != 0) {
            end(agent, want, err, strerror(-err));
            next = agent->wants; /* what waited may have been forgotten, or added */
        }
    }
}

void
agent_want_reset(struct agent *agent)
{
    for (struct agent_want *want = agent->wants; want != NULL; want = want->next)
        if (want->state == WANT_ASKED)
            stop_fetching(agent, want);
}

/* Their functions are forgotten. What the disk has comes back. */
void
agent_want_forget_all(struct agent *agent)
{
    struct agent_want *want = agent->wants;

    while (want != NULL) {
        if (want->state == WANT_PUTTING) {
            want = want->next;
            continue;
        }
        end(agent, want, -ECANCELED, "");
        want = agent->wants;
        while (want != NULL && want->state == WANT_PUTTING)
            want = want->next;
    }
}

void
agent_want_free_all(struct agent *agent)
{
    while (agent->wants != NULL) {
        struct agent_want *want = agent->wants;

        agent->wants = want->next;
        file_close(&want->fd);
        while (want->waiters != NULL) {
            struct agent_waiter *waiter = want->waiters;

            want->waiters = waiter->next;
            free(waiter);
        }
        free(want);
    }
}

/* ----------------------------------------------------------------------------- hearing */

static int
take_piece(struct agent *agent, struct agent_want *want, const ProtobufCBinaryData *piece)
{
    int err = fault_point("agent.piece");

    if (err == 0 && piece->len > AGENT_FETCH_BYTES_MAX - agent->fetch_bytes)
        err = -E2BIG;
    if (err == 0)
        err = file_write_all(want->fd, piece->data, piece->len);
    if (err != 0)
        return err;
    want->bytes += piece->len;
    agent->fetch_bytes += piece->len;
    want->heard_ns = clock_now_ns();
    return 0;
}

/* One that nobody asked for is not kept. */
void
agent_hear_blob(struct agent *agent, const Rpc__HostBlob *blob)
{
    struct agent_want *want = NULL;
    struct store_hash hash;
    int err;

    if (agent_hash_of(&blob->hash, &hash))
        want = find(agent, &hash);
    if (want == NULL || want->state != WANT_ASKED)
        return;
    if (blob->error[0] != '\0') {
        end(agent, want, -ENOENT, blob->error);
        return;
    }
    err = take_piece(agent, want, &blob->bytes);
    if (err != 0) {
        end(agent, want, err, strerror(-err));
        return;
    }
    if (!blob->is_last)
        return;
    want->state = WANT_PUTTING;
    agent->fetches--;
    agent_disk_push(agent, &want->job, JOB_PUT, want);
}

void
agent_want_put(struct agent *agent, struct agent_want *want)
{
    end(agent, want, want->err, want->reason);
}
