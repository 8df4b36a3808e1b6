/* SPDX-License-Identifier: Apache-2.0
 *
 * One key for both sides: TLS 1.3 with an external pre-shared key and nothing else. One
 * cipher suite, one group, no certificates, no tickets, no early data, so there is
 * nothing to negotiate and nothing weaker to be talked into (docs/net.md).
 */
#include "net/secret.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fault.h"

#define SUITE      "TLS_AES_128_GCM_SHA256" /* its hash is the key's */
#define GROUP      "X25519"
#define PURPOSE    "weft net 1 "
#define READ_AHEAD (32u << 10)
#define REST_MAX   (64u << 10) /* a record is 16 KiB and a little */

static const uint8_t suite_number[2] = {0x13, 0x01};
static const uint8_t session_context[] = {'w', 'e', 'f', 't'}; /* TLS compares it */

/* ----------------------------------------------------------------------- the socket */

size_t
session_rest(const struct session *session)
{
    return session->rest.count - session->rest_sent;
}

/* Bytes that it took, also none; -EPIPE. OpenSSL's own way would raise SIGPIPE. */
static ssize_t
give(const struct session *session, const void *bytes, size_t count)
{
    ssize_t sent;

    do
        sent = send(session->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -EPIPE;
    return sent;
}

int
session_drain(struct session *session)
{
    while (session_rest(session) > 0) {
        ssize_t sent =
            give(session, session->rest.bytes + session->rest_sent, session_rest(session));

        if (sent <= 0)
            return sent == 0 ? -EAGAIN : -EPIPE;
        session->rest_sent += (size_t)sent;
    }
    session->rest.count = session->rest_sent = 0;
    return 0;
}

static int
keep_rest(struct session *session, const char *bytes, size_t count)
{
    int err = fault_point("net.rest");

    if (err != 0)
        return err;
    buffer_append(&session->rest, bytes, count);
    return session->rest.err;
}

/* Takes all, for TLS cannot answer the other side (new keys) in the middle of a record.
 * A record is made only where there is no rest, so what comes on top is such answers: a
 * side that asks and asks and does not read is not kept. */
static int
bio_write(BIO *bio, const char *bytes, int count)
{
    struct session *session = BIO_get_data(bio);
    ssize_t sent = session_rest(session) == 0 ? give(session, bytes, (size_t)count) : 0;

    BIO_clear_retry_flags(bio);
    if (sent < 0)
        return -1;
    if (session_rest(session) + (size_t)count > REST_MAX)
        session->err = -EPROTO;
    else if (sent < count && keep_rest(session, bytes + sent, (size_t)(count - sent)) != 0)
        session->err = -ENOMEM;
    return session->err == 0 ? count : -1;
}

static int
bio_read(BIO *bio, char *bytes, int count)
{
    struct session *session = BIO_get_data(bio);
    ssize_t got = -1;

    BIO_clear_retry_flags(bio);
    if (!session->may_read) {
        BIO_set_retry_read(bio);
        return -1;
    }
    do
        got = recv(session->fd, bytes, (size_t)count, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    if (got == 0)
        session->is_eof = true;
    return (int)got;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct session *session = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return session->is_eof;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");

    if (method == NULL)
        return NULL;
    if (BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_read(method, bio_read) == 1 &&
        BIO_meth_set_ctrl(method, bio_ctrl) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* -------------------------------------------------------------------------- the key */

/* HKDF-SHA256, so that the key may serve other purposes too. */
static int
derive(struct net_secret *secret, const uint8_t key[NET_SECRET_BYTES])
{
    char info[sizeof(PURPOSE) + NET_SECRET_LABEL_MAX], hash[] = "SHA256";
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    int count = snprintf(info, sizeof(info), PURPOSE "%s", secret->label), done = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key,
                                          NET_SECRET_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, (size_t)count),
        OSSL_PARAM_END,
    };

    if (context != NULL)
        done = EVP_KDF_derive(context, secret->psk, sizeof(secret->psk), params);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return done == 1 ? 0 : -ENOMEM;
}

/* A session that was never had: the way in which OpenSSL takes a key from outside. */
static SSL_SESSION *
make_psk_session(SSL *ssl, const struct net_secret *secret)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_number);
    SSL_SESSION *session = fault_point("net.psk") == 0 ? SSL_SESSION_new() : NULL;

    if (session == NULL)
        return NULL;
    if (cipher != NULL &&
        SSL_SESSION_set1_master_key(session, secret->psk, sizeof(secret->psk)) == 1 &&
        SSL_SESSION_set1_id_context(session, session_context, sizeof(session_context)) == 1 &&
        SSL_SESSION_set_cipher(session, cipher) == 1 &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

/* The client's: which key it has. */
static int
use_session(SSL *ssl, const EVP_MD *hash, const unsigned char **id, size_t *id_count,
            SSL_SESSION **out)
{
    const struct session *session = SSL_get_app_data(ssl);

    (void)hash; /* of the only suite */
    *out = make_psk_session(ssl, session->secret);
    *id = (const unsigned char *)session->secret->label;
    *id_count = session->secret->label_count;
    return *out != NULL;
}

/* The server's. Without a session it goes on and finds that there is no other way to
 * authenticate. */
static int
find_session(SSL *ssl, const unsigned char *id, size_t id_count, SSL_SESSION **out)
{
    struct session *session = SSL_get_app_data(ssl);

    *out = NULL;
    session->is_stranger = id_count != session->secret->label_count ||
                           memcmp(id, session->secret->label, id_count) != 0;
    if (session->is_stranger)
        return 1;
    *out = make_psk_session(ssl, session->secret);
    return *out != NULL;
}

static int
refuse_certificates(X509_STORE_CTX *chain, void *unused)
{
    (void)chain;
    (void)unused;
    return 0;
}

static SSL_CTX *
make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());

    if (context == NULL)
        return NULL;
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, SUITE) != 1 ||
        SSL_CTX_set1_groups_list(context, GROUP) != 1 ||
        SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context)) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1 || SSL_CTX_set_max_early_data(context, 0) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_clear_options(context, SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, refuse_certificates, NULL);
    SSL_CTX_set_psk_use_session_callback(context, use_session);
    SSL_CTX_set_psk_find_session_callback(context, find_session);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    return context;
}

/* ----------------------------------------------------------------------------- door */

struct net_secret *
secret_get(struct net_secret *secret)
{
    (void)atomic_fetch_add_explicit(&secret->references, 1, memory_order_relaxed);
    return secret;
}

void
net_secret_destroy(struct net_secret *secret)
{
    /* The last one sees what the others did. */
    if (secret == NULL ||
        atomic_fetch_sub_explicit(&secret->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(secret->context);
    BIO_meth_free(secret->method);
    OPENSSL_cleanse(secret, sizeof(*secret));
    free(secret);
}

static bool
is_label(const char *label)
{
    size_t count = strnlen(label, NET_SECRET_LABEL_MAX + 1);

    for (size_t i = 0; i < count; i++)
        if (label[i] < ' ' || label[i] > '~')
            return false;
    return count > 0 && count <= NET_SECRET_LABEL_MAX;
}

int
net_secret_create(const uint8_t key[NET_SECRET_BYTES], const char *label, struct net_secret **out)
{
    struct net_secret *secret;

    if (!is_label(label))
        return -EINVAL;
    secret = fault_point("net.secret") == 0 ? calloc(1, sizeof(*secret)) : NULL;
    if (secret == NULL)
        return -ENOMEM;
    atomic_init(&secret->references, 1);
    secret->label_count = strlen(label);
    (void)memcpy(secret->label, label, secret->label_count);
    secret->context = fault_point("net.secret") == 0 ? make_context() : NULL;
    secret->method = fault_point("net.secret") == 0 ? make_method() : NULL;
    if (secret->context == NULL || secret->method == NULL || derive(secret, key) != 0) {
        ERR_clear_error();
        net_secret_destroy(secret);
        return -ENOMEM;
    }
    *out = secret;
    return 0;
}
