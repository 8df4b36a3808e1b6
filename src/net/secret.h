/* SPDX-License-Identifier: Apache-2.0
 *
 * What a secret is made of, private to net.
 */
#ifndef WEFT_NET_SECRET_H
#define WEFT_NET_SECRET_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "net/net.h"

struct net_secret {
    atomic_uint references;
    SSL_CTX *context;   /* owned */
    BIO_METHOD *method; /* owned */
    size_t label_count;
    char label[NET_SECRET_LABEL_MAX + 1];
    uint8_t psk[NET_SECRET_BYTES];
};

/* What a session's callbacks and its BIO know: SSL_get_app_data and BIO_get_data. */
struct session {
    struct net_secret *secret; /* a reference */
    SSL *ssl;                  /* owned */
    int fd;                    /* the connection's */
    bool may_read;             /* only net_receive takes bytes off the socket: see session.c */
    bool is_eof;               /* the other side has sent its last */
    bool is_stranger;          /* the client names another label than ours */
    bool is_open;
    int err;            /* what ended it, for net_receive; or 0 */
    uint64_t records;   /* sent with the present key */
    struct buffer rest; /* of what TLS has written, what the socket has not taken */
    size_t rest_sent;   /* of it, at its beginning */
    uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH];
};

/* Bytes of TLS that wait for the socket. */
size_t session_rest(const struct session *session);
/* Gives the socket the rest. 0: there is none any more; -EAGAIN; -EPIPE. */
int session_drain(struct session *session) MUST_CHECK;

struct net_secret *secret_get(struct net_secret *secret);

#endif
