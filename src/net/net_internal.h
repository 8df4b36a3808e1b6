/* SPDX-License-Identifier: Apache-2.0
 *
 * What belongs to sending is under the connection's lock; what belongs to receiving
 * is the one receiving thread's.
 *
 * Descriptors travel with the first byte of their frame, in a sendmsg that carries
 * nothing but this frame. A unix socket gives them out with that byte, however little
 * is read, and recvmsg returns nothing that was sent after the sendmsg whose
 * descriptors it gives out. So what recvmsg brings belongs to the last frame that
 * began in its bytes; where none began, somebody else wrote the sending side.
 */
#ifndef WEFT_NET_NET_INTERNAL_H
#define WEFT_NET_NET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/net.h"

#define HEADER_BYTES     4u
#define AHEAD_BYTES      8192u       /* read at once, where no frame is begun */
#define GROW_BYTES       (64u << 10) /* reserved for a frame before any of it is there */
#define QUEUE_CHUNKS_MAX (1u << 20)
#define TURN_CHUNK_BYTES (16u << 10)
#define TURN_BYTES_MAX   (256u << 10) /* more than this does not wait for the turn's end */

/* Frames that wait to be sent, one after the other. One with descriptors is alone in its
 * chunk; they go with the first byte, so there are none left once sent > 0. */
struct queued {
    struct queued *next;
    size_t capacity, count, sent; /* count: with the headers */
    int *fds;                     /* owned, behind the bytes */
    size_t fd_count;
    uint8_t bytes[];
};

/* So much is being freed: now and then all that is free goes back to the system. */
void slack_note(size_t bytes);

struct net_connection;

/* What carries the bytes where the socket does not carry them as they are. A table of
 * functions, so that a program that has no secrets is not linked with TLS. */
struct carrier {
    /* With the lock. Bytes of the parts that were taken, from their beginning, so many
     * as can be now; -EAGAIN: none; -EPIPE. */
    ssize_t (*send)(struct net_connection *connection, const struct iovec *parts,
                    size_t part_count);
    /* Takes the lock. -EAGAIN; else what net_receive says. */
    int (*receive)(struct net_connection *connection, uint8_t *bytes, size_t count, size_t *got);
    /* With the lock: goes on with what it has taken, and with what comes before any
     * frame. 0, also where it cannot go on now; -EPIPE. */
    int (*advance)(struct net_connection *connection);
    size_t (*queued)(const struct net_connection *connection); /* with the lock: taken, not sent */
    bool (*is_open)(const struct net_connection *connection);  /* with the lock */
    void (*destroy)(struct net_connection *connection);
};

struct net_connection {
    int fd; /* owned */
    struct net_limits limits;
    const struct carrier *carrier; /* NULL: the socket */
    void *carrier_data;            /* owned by it */
    atomic_uint references;        /* the owner's, and that of a turn */

    pthread_mutex_t lock;
    struct queued *first, *last;
    uint64_t queued_bytes;
    uint32_t queued_chunks;
    bool is_over;    /* nothing more can be sent */
    bool is_blocked; /* the socket did not take all: EPOLLOUT will tell */

    int watch; /* borrowed; -1: nobody watches it */
    uint64_t watch_data;
    bool is_watching_out;

    struct net_connection *turn_next; /* of a thread's turn */
    bool is_in_turn;

    /* Receiving. What was read ahead comes first, then what is read for the frame
     * that is begun and not whole. */
    int receive_err; /* what ended it */
    uint8_t ahead[AHEAD_BYTES];
    size_t ahead_first, ahead_end;
    uint8_t header[HEADER_BYTES];
    size_t header_count;
    uint8_t *body; /* owned */
    size_t body_capacity, body_count;
    int fds[NET_FRAME_FDS_MAX]; /* owned */
    size_t fd_count;
    bool is_short;             /* more were sent */
    uint32_t frames_until_fds; /* whole frames that come before the one they belong to */
};

/* With the lock: sends what is queued, as net_flush. */
int connection_flush(struct net_connection *connection) MUST_CHECK;
/* With the lock: watches, with EPOLLOUT where something waits for the socket. */
int connection_watch(struct net_connection *connection, int operation) MUST_CHECK;
/* With the lock: as it is now. */
void connection_rewatch(struct net_connection *connection);
/* With the lock: nothing more can be sent. */
void connection_end(struct net_connection *connection);
void connection_drop_queue(struct net_connection *connection);
void connection_drop_received(struct net_connection *connection);
void connection_put(struct net_connection *connection);

/* turn.c */
bool turn_is_on(void); /* this thread's */
/* With the lock: it is flushed when some thread's turn ends. */
void turn_note(struct net_connection *connection);

#endif
