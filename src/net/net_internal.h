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

#include "net/net.h"

#define HEADER_BYTES     4u
#define AHEAD_BYTES      8192u       /* read at once, where no frame is begun */
#define GROW_BYTES       (64u << 10) /* reserved for a frame before any of it is there */
#define QUEUE_FRAMES_MAX (1u << 20)

/* A frame that waits to be sent. Its descriptors go with the first byte, so there are
 * none left once sent > 0. */
struct queued {
    struct queued *next;
    size_t count, sent; /* with the header */
    int *fds;           /* owned, behind the bytes */
    size_t fd_count;
    uint8_t bytes[];
};

struct net_connection {
    int fd; /* owned */
    struct net_limits limits;

    pthread_mutex_t lock;
    struct queued *first, *last;
    uint64_t queued_bytes;
    uint32_t queued_frames;
    bool is_over; /* nothing more can be sent */

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

void connection_drop_queue(struct net_connection *connection);
void connection_drop_received(struct net_connection *connection);

#endif
