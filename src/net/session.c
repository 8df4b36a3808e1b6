/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection whose bytes go through TLS.
 *
 * All of a session is under the connection's lock. TLS may want to write in order to
 * read, and the other way round, and it keeps bytes that epoll does not know of. Four
 * rules keep edges right all the same:
 *
 *   what TLS writes is taken at once; what the socket does not take of it is kept as
 *   the rest, and no record is begun before that is gone: net_flush brings it on its way
 *   at the edge of EPOLLOUT that follows;
 *
 *   only net_receive takes bytes off the socket, so an edge of EPOLLIN is never used up
 *   by somebody who does not receive; elsewhere the BIO says that there is nothing;
 *
 *   net_receive says -EAGAIN only when TLS has no byte left and the socket had none;
 *
 *   what was queued while the two sides came to know each other is sent by whoever
 *   brings that to its end, for no edge follows.
 */
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "net/net_internal.h"
#include "net/secret.h"

/* AES-GCM is good for 2^24.5 records with one key (RFC 8446, 5.5). */
#define RECORDS_MAX (UINT64_C(1) << 22)

static struct session *
session_of(const struct net_connection *connection)
{
    return connection->carrier_data;
}

/* --------------------------------------------------------------------------- errors */

static int
alert(int number)
{
    return SSL_AD_REASON_OFFSET + number;
}

/* What tells, before a session is open, that the other side is well but has another
 * key: what it says of us, or what we find. */
static bool
is_refusal(const struct session *session, int reason)
{
    const int reasons[] = {
        SSL_R_BINDER_DOES_NOT_VERIFY,
        SSL_R_CERTIFICATE_VERIFY_FAILED,
        SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
        SSL_R_DIGEST_CHECK_FAILED,
        SSL_R_NO_SHARED_CIPHER,
        SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
        alert(SSL_AD_HANDSHAKE_FAILURE),
        alert(SSL_AD_ILLEGAL_PARAMETER),
        alert(SSL_AD_DECRYPT_ERROR),
        alert(SSL_AD_BAD_RECORD_MAC),
        alert(SSL_AD_UNKNOWN_PSK_IDENTITY),
        alert(SSL_AD_ACCESS_DENIED),
    };

    if (session->is_stranger)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
        if (reasons[i] == reason)
            return true;
    return false;
}

/* The first error is the cause, later ones are what followed from it. */
static int
protocol_error(const struct session *session)
{
    int reason = ERR_GET_REASON(ERR_peek_error());

    if (reason == ERR_R_MALLOC_FAILURE)
        return -ENOMEM;
    if (session->is_eof)
        return -EPIPE;
    return !session->is_open && is_refusal(session, reason) ? -EACCES : -EPROTO;
}

/* What a call of TLS that did not succeed means; result is what it returned. Such calls
 * begin with ERR_clear_error, for the thread's queue of errors is everybody's. */
static int
session_error(struct session *session, int result)
{
    int err;

    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_SSL:
        err = protocol_error(session);
        if (session->err == 0)
            session->err = err;
        return session->err;
    default: /* the socket's, or the other side's end; or the BIO's, which says */
        return session->err != 0 ? session->err : -EPIPE;
    }
}

/* ------------------------------------------------------------------------ handshake */

/* -EAGAIN: not yet. */
static int
handshake(struct session *session)
{
    int result;

    if (session->is_open)
        return 0;
    ERR_clear_error();
    result = SSL_do_handshake(session->ssl);
    if (result != 1)
        return session_error(session, result);
    /* Nothing else is offered or accepted; but if it were, here is the end of it. */
    if (SSL_session_reused(session->ssl) != 1 || SSL_version(session->ssl) != TLS1_3_VERSION) {
        session->err = -EACCES;
        return -EACCES;
    }
    session->is_open = true;
    return 0;
}

/* -------------------------------------------------------------------------- sending */

/* What goes into one record, from this place of the parts: in one piece. */
static struct iovec
next_record(struct session *session, const struct iovec *parts, size_t part_count, size_t from)
{
    size_t count = 0;

    for (; part_count > 0 && from >= parts->iov_len; part_count--)
        from -= parts++->iov_len;
    if (part_count == 0)
        return (struct iovec){NULL, 0};
    if (part_count == 1 || parts->iov_len - from >= sizeof(session->record)) {
        count = parts->iov_len - from;
        count = count < sizeof(session->record) ? count : sizeof(session->record);
        return (struct iovec){(uint8_t *)parts->iov_base + from, count};
    }
    for (; part_count > 0 && count < sizeof(session->record); part_count--, parts++, from = 0) {
        size_t room = sizeof(session->record) - count, left = parts->iov_len - from;
        size_t part = left < room ? left : room;

        if (part > 0)
            (void)memcpy(session->record + count, (const uint8_t *)parts->iov_base + from, part);
        count += part;
    }
    return (struct iovec){session->record, count};
}

/* A key is changed before it has seen too much, between two records. */
static void
renew_key(struct session *session)
{
    if (session->records < RECORDS_MAX && fault_point("net.rekey") == 0)
        return;
    if (SSL_key_update(session->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
        session->records = 0;
}

static ssize_t
send_record(struct session *session, const struct iovec *record)
{
    int result;

    ERR_clear_error();
    renew_key(session);
    result = SSL_write(session->ssl, record->iov_base, (int)record->iov_len);
    if (result > 0) {
        session->records++;
        return result;
    }
    return session_error(session, result) == -EAGAIN ? -EAGAIN : -EPIPE;
}

static ssize_t
session_send(struct net_connection *connection, const struct iovec *parts, size_t part_count)
{
    struct session *session = session_of(connection);
    size_t sent = 0;
    int err = session_drain(session);

    if (err == 0)
        err = handshake(session);
    if (err != 0)
        return err == -EAGAIN ? -EAGAIN : -EPIPE;
    while (session_rest(session) == 0) {
        struct iovec record = next_record(session, parts, part_count, sent);
        ssize_t took = record.iov_len > 0 ? send_record(session, &record) : 0;

        if (took < 0)
            return took == -EAGAIN && sent > 0 ? (ssize_t)sent : took;
        if (took == 0)
            break;
        sent += (size_t)took;
    }
    return sent > 0 ? (ssize_t)sent : -EAGAIN;
}

static int
session_advance(struct net_connection *connection)
{
    struct session *session = session_of(connection);
    int err = session_drain(session);

    if (err == 0)
        err = handshake(session);
    if (err == 0 || err == -EAGAIN)
        return 0;
    connection_end(connection);
    return -EPIPE;
}

static size_t
session_queued(const struct net_connection *connection)
{
    return session_rest(session_of(connection));
}

/* ------------------------------------------------------------------------ receiving */

static int
read_some(struct session *session, uint8_t *bytes, size_t count, size_t *got)
{
    int result, err = session->err;

    session->may_read = true;
    if (err == 0)
        err = handshake(session);
    if (err == 0) {
        ERR_clear_error();
        result = SSL_read(session->ssl, bytes, count < INT_MAX ? (int)count : INT_MAX);
        if (result > 0)
            *got = (size_t)result;
        else
            err = session_error(session, result);
    }
    session->may_read = false;
    return err;
}

static int
session_receive(struct net_connection *connection, uint8_t *bytes, size_t count, size_t *got)
{
    struct session *session = session_of(connection);
    bool was_open;
    int err;

    (void)pthread_mutex_lock(&connection->lock);
    was_open = session->is_open;
    err = read_some(session, bytes, count, got);
    /* The other side's end alone keeps nobody from sending. */
    if (session->err != 0 || (err != 0 && err != -EAGAIN && !session->is_open))
        connection_end(connection);
    if (!was_open && session->is_open && !connection->is_over)
        (void)!connection_flush(connection); /* sending will tell */
    connection_rewatch(connection);          /* TLS may have answered */
    (void)pthread_mutex_unlock(&connection->lock);
    return err;
}

/* ----------------------------------------------------------------------------- life */

static bool
session_is_open(const struct net_connection *connection)
{
    return session_of(connection)->is_open;
}

static void
session_free(struct session *session)
{
    SSL_free(session->ssl);
    buffer_fini(&session->rest);
    net_secret_destroy(session->secret);
    free(session);
}

static void
session_destroy(struct net_connection *connection)
{
    session_free(session_of(connection));
}

static const struct carrier session_carrier = {session_send,   session_receive, session_advance,
                                               session_queued, session_is_open, session_destroy};

static int
session_init(struct session *session, bool is_server)
{
    BIO *bio = fault_point("net.session") == 0 ? BIO_new(session->secret->method) : NULL;

    if (bio == NULL)
        return -ENOMEM;
    session->ssl = fault_point("net.session") == 0 ? SSL_new(session->secret->context) : NULL;
    if (session->ssl == NULL || SSL_set_app_data(session->ssl, session) != 1) {
        (void)BIO_free(bio);
        return -ENOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio); /* takes it */
    if (is_server)
        SSL_set_accept_state(session->ssl);
    else
        SSL_set_connect_state(session->ssl);
    return 0;
}

static int
session_create(int fd, struct net_secret *secret, bool is_server, struct session **out)
{
    struct session *session = NULL;
    int err;

    if (fault_point("net.session") == 0)
        session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -ENOMEM;
    session->fd = fd;
    session->secret = secret_get(secret);
    err = session_init(session, is_server);
    if (err != 0) {
        ERR_clear_error();
        session_free(session);
        return err;
    }
    *out = session;
    return 0;
}

int
net_connection_create_secret(int fd, struct net_secret *secret, bool is_server,
                             const struct net_limits *limits, struct net_connection **out)
{
    struct net_connection *connection;
    struct session *session;
    int err;

    if (limits->frame_fds_max != 0) {
        (void)close(fd);
        return -EINVAL;
    }
    err = net_connection_create(fd, limits, &connection);
    if (err != 0)
        return err;
    err = session_create(fd, secret, is_server, &session);
    if (err != 0) {
        net_connection_destroy(connection);
        return err;
    }
    connection->carrier_data = session;
    connection->carrier = &session_carrier;
    *out = connection;
    return 0;
}
