/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire: what is no HTTP, what is slow, what comes in pieces or many at once, and TLS.
 */
#include "gateway/gateway_testing.h"

static int
connect_to(struct testing *t)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const char *port = strrchr(gateway_address(t->gateway), ':') + 1;
    const struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
send_text(int fd, const char *text)
{
    size_t count = strlen(text), sent = 0;

    while (sent < count) {
        ssize_t now = send(fd, text + sent, count - sent, MSG_NOSIGNAL);

        if (now <= 0)
            return; /* it was closed: what was answered is looked at */
        sent += (size_t)now;
    }
}

/* All that comes until the other end closes, or until there are so many answers. */
static void
read_answers(int fd, unsigned answers, char *out, size_t size)
{
    size_t count = 0;

    out[0] = '\0';
    for (;;) {
        unsigned seen = 0;
        ssize_t now;

        for (const char *at = out; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
            seen++;
        if (answers > 0 && seen >= answers && strstr(out, "\r\n\r\n") != NULL)
            return;
        now = read(fd, out + count, size - 1 - count);
        if (now <= 0)
            return;
        count += (size_t)now;
        out[count] = '\0';
    }
}

static void
check_alive(struct testing *t)
{
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/invoke/echo", "alive", 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "alive");
    testing_forget_answer(&answer);
}

static void
test_what_is_no_http_ends_its_connection_alone(void **state)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n", /* no Host */
        "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "GET /%zz%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/files/%c0%80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    struct testing *t = *state;
    int fds[64];

    _Static_assert(ARRAY_COUNT(texts) <= ARRAY_COUNT(fds), "a descriptor each");
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        fds[i] = connect_to(t);
        send_text(fds[i], texts[i]);
        (void)shutdown(fds[i], SHUT_WR);
    }
    check_alive(t);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        (void)close(fds[i]);
    check_alive(t);
}

static void
test_what_is_wrong_in_a_head_is_answered_as_an_error(void **state)
{
    static const struct {
        const char *text, *status;
    } heads[] = {
        {"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
        {"GET /health HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /v1/files/%c0%80 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /health%00 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 401 "},
    };
    struct testing *t = *state;
    char answer[4096];

    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        int fd = connect_to(t);

        send_text(fd, heads[i].text);
        read_answers(fd, 1, answer, sizeof(answer));
        if (strstr(answer, heads[i].status) != answer)
            fail_msg("%s is answered with %s", heads[i].text, answer);
        (void)close(fd);
    }
}

static void
test_a_head_that_is_too_long_is_refused(void **state)
{
    struct testing *t = *state;
    char *text = malloc(200000), answer[4096];
    int fd = connect_to(t);

    assert_non_null(text);
    (void)memset(text, 'a', 200000);
    text[199999] = '\0';
    (void)memcpy(text, "GET /health HTTP/1.1\r\nHost: x\r\nX: ", 34);
    send_text(fd, text);
    read_answers(fd, 1, answer, sizeof(answer));
    assert_null(strstr(answer, "200 OK"));
    (void)close(fd);
    (void)memset(text, 'a', 5000);
    (void)memcpy(text, "/v1/files/", 10);
    text[5000] = '\0';
    fd = connect_to(t);
    send_text(fd, "GET ");
    send_text(fd, text);
    send_text(fd, " HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answers(fd, 1, answer, sizeof(answer));
    assert_non_null(strstr(answer, "414 "));
    (void)close(fd);
    free(text);
    check_alive(t);
}

static void
test_requests_one_behind_the_other_are_answered_in_order(void **state)
{
    struct testing *t = *state;
    char text[4096], answer[16384], *one, *two, *three;
    int fd = connect_to(t);

    (void)snprintf(text, sizeof(text),
                   "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 5\r\n\r\nfirst"
                   "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
                   "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 5\r\nConnection: close\r\n\r\nthird",
                   t->acme, t->acme);
    send_text(fd, text);
    read_answers(fd, 0, answer, sizeof(answer));
    one = strstr(answer, "first");
    two = strstr(answer, "{\"status\":\"ok\"}");
    three = strstr(answer, "third");
    assert_true(one != NULL && two > one && three > two);
    (void)close(fd);
}

static void
test_a_body_in_pieces_is_one_body(void **state)
{
    struct testing *t = *state;
    char head[512], answer[4096];
    int fd = connect_to(t);

    (void)snprintf(head, sizeof(head),
                   "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
                   t->acme);
    send_text(fd, head);
    for (const char *at = "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"; *at != '\0'; at++)
        send_text(fd, (char[2]){*at, '\0'});
    read_answers(fd, 0, answer, sizeof(answer));
    assert_non_null(strstr(answer, "200 OK"));
    assert_non_null(strstr(answer, "\r\n\r\nabcdefgh"));
    (void)close(fd);
}

static void
test_a_body_in_pieces_is_cut_off_at_its_limit(void **state)
{
    struct testing *t = *state;
    char head[512], answer[4096], *piece = malloc(65536 + 16);
    int fd = connect_to(t);

    assert_non_null(piece);
    (void)snprintf(head, sizeof(head),
                   "PUT /v1/variables/X HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   t->acme);
    send_text(fd, head);
    (void)memcpy(piece, "10000\r\n", 7);
    (void)memset(piece + 7, ' ', 65536);
    (void)memcpy(piece + 7 + 65536, "\r\n", 3);
    for (unsigned i = 0; i < 1100; i++) /* the limit is 16 of them, and 64 MiB are forgotten */
        send_text(fd, piece);
    read_answers(fd, 1, answer, sizeof(answer));
    assert_null(strstr(answer, "200 OK"));
    (void)close(fd);
    fd = connect_to(t);
    send_text(fd, head);
    for (unsigned i = 0; i < 16; i++)
        send_text(fd, piece);
    send_text(fd, "1\r\n \r\n0\r\n\r\n");
    read_answers(fd, 1, answer, sizeof(answer));
    assert_non_null(strstr(answer, "413 "));
    assert_non_null(strstr(answer, "too_large"));
    (void)close(fd);
    free(piece);
    check_alive(t);
}

/* Byte by byte, while others are answered at once. */
static void
test_a_slow_client_does_not_slow_others(void **state)
{
    struct testing *t = *state;
    char text[512], answer[4096];
    int slow[32];

    (void)snprintf(text, sizeof(text),
                   "POST /v1/invoke/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 4\r\nConnection: close\r\n\r\nslow",
                   t->acme);
    for (size_t i = 0; i < ARRAY_COUNT(slow); i++)
        slow[i] = connect_to(t);
    for (const char *at = text; *at != '\0'; at++) {
        for (size_t i = 0; i < ARRAY_COUNT(slow); i++)
            send_text(slow[i], (char[2]){*at, '\0'});
        if ((at - text) % 16 == 0)
            check_alive(t);
    }
    for (size_t i = 0; i < ARRAY_COUNT(slow); i++) {
        read_answers(slow[i], 0, answer, sizeof(answer));
        assert_non_null(strstr(answer, "\r\n\r\nslow"));
        (void)close(slow[i]);
    }
}

static void
test_clients_that_do_not_read_do_not_stop_others(void **state)
{
    struct testing *t = *state;
    char text[512];
    int deaf[64];

    (void)snprintf(text, sizeof(text),
                   "POST /v1/invoke/big HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 0\r\n\r\n",
                   t->acme);
    for (size_t i = 0; i < ARRAY_COUNT(deaf); i++) {
        deaf[i] = connect_to(t);
        for (unsigned k = 0; k < 16; k++)
            send_text(deaf[i], text);
    }
    check_alive(t);
    for (size_t i = 0; i < ARRAY_COUNT(deaf); i++)
        (void)close(deaf[i]);
    check_alive(t);
}

/* The watch's decision, with a clock that is late by an hour. */
static void
test_who_does_not_finish_a_request_in_time_is_cut_off(void **state)
{
    struct testing *t = *state;
    char answer[4096];
    int fd = connect_to(t);

    send_text(fd, "GET /health HTTP/1.1\r\nHost: ");
    check_alive(t); /* by now it is known, or soon */
    do {
        (void)pthread_mutex_lock(&t->gateway->client_lock);
        for (struct gateway_client *client = t->gateway->clients; client != NULL;
             client = client->next)
            if (client->due_ns != 0)
                client->due_ns = 1;
        (void)pthread_mutex_unlock(&t->gateway->client_lock);
        (void)usleep(1000);
    } while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) < 0);
    (void)close(fd);
    check_alive(t);
}

static void
test_an_upload_is_spooled_and_kept(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    size_t count = 40u << 20;
    char *body = malloc(count);
    uint64_t heap;

    assert_non_null(body);
    for (size_t i = 0; i < count; i++)
        body[i] = (char)(i * 7 >> 3);
    testing_expect(t,
                   &(struct testing_ask){.method = "PUT",
                                         .path = "/v1/files/large",
                                         .token = t->acme,
                                         .body = body,
                                         .count = count},
                   201, &answer);
    heap = atomic_load(&t->gateway->heap_bytes);
    assert_int_equal(heap, 0);
    testing_send(t, "GET /v1/files/large", NULL, 200, &answer);
    assert_int_equal(answer.body.count, count);
    assert_memory_equal(answer.body.bytes, body, count);
    free(body);
    testing_forget_answer(&answer);
}

static void
test_an_upload_that_is_announced_too_large_is_not_waited_for(void **state)
{
    struct testing *t = *state;
    char text[512], answer[4096];
    int fd = connect_to(t);

    (void)snprintf(text, sizeof(text),
                   "PUT /v1/files/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 268435457\r\nExpect: 100-continue\r\n\r\n",
                   t->acme);
    send_text(fd, text);
    read_answers(fd, 1, answer, sizeof(answer));
    assert_non_null(strstr(answer, "413 "));
    assert_null(strstr(answer, "100 Continue"));
    (void)close(fd);
    fd = connect_to(t); /* and without a token not even a small one is asked for */
    send_text(fd, "PUT /v1/files/large HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
                  "Expect: 100-continue\r\n\r\n");
    read_answers(fd, 1, answer, sizeof(answer));
    assert_non_null(strstr(answer, "401 "));
    (void)close(fd);
}

/* -------------------------------------------------------------------------------- TLS */

static int
run(const char *const *words)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    return status;
}

static int
setup_tls(void **state)
{
    struct testing *t = testing_create();
    char certificate[96], key[96];
    const char *words[] = {"openssl",
                           "req",
                           "-x509",
                           "-newkey",
                           "ec",
                           "-pkeyopt",
                           "ec_paramgen_curve:P-256",
                           "-nodes",
                           "-days",
                           "2",
                           "-subj",
                           "/CN=localhost",
                           "-keyout",
                           key,
                           "-out",
                           certificate,
                           NULL};

    (void)snprintf(certificate, sizeof(certificate), "%s/certificate.pem", t->directory);
    (void)snprintf(key, sizeof(key), "%s/key.pem", t->directory);
    assert_int_equal(run(words), 0);
    testing_open_gateway(t, certificate, key);
    *state = t;
    return 0;
}

static void
test_all_of_it_goes_over_tls(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    size_t count = 5u << 20;
    char *body = malloc(count), text[4096];
    int fd;

    assert_non_null(body);
    (void)memset(body, 'x', count);
    assert_int_equal(strncmp(t->url, "https://", 8), 0);
    check_alive(t);
    testing_expect(t,
                   &(struct testing_ask){.method = "POST",
                                         .path = "/v1/invoke/echo",
                                         .token = t->acme,
                                         .body = body,
                                         .count = count},
                   200, &answer);
    assert_int_equal(answer.body.count, count);
    fd = connect_to(t);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answers(fd, 0, text, sizeof(text)); /* an alert, and the end */
    assert_null(strstr(text, "status"));
    (void)close(fd);
    check_alive(t);
    free(body);
    testing_forget_answer(&answer);
}

static void
test_a_gateway_that_cannot_listen_says_why(void **state)
{
    struct testing *t = *state;
    struct gateway_config config = t->gateway->config;
    struct gateway *gateway = NULL;
    struct diag diag;

    config.listen = gateway_address(t->gateway);
    diag_init(&diag);
    assert_int_equal(gateway_create(&config, &gateway, &diag), -EADDRINUSE);
    assert_non_null(strstr(diag_text(&diag), config.listen));
    config.listen = "everywhere";
    diag_init(&diag);
    assert_int_equal(gateway_create(&config, &gateway, &diag), -EINVAL);
    config.listen = "127.0.0.1:0";
    config.certificate = "/nowhere/certificate.pem";
    diag_init(&diag);
    assert_int_equal(gateway_create(&config, &gateway, &diag), -EINVAL);
    config.key = "/nowhere/key.pem";
    diag_init(&diag);
    assert_int_equal(gateway_create(&config, &gateway, &diag), -ENOENT);
    assert_non_null(strstr(diag_text(&diag), "/nowhere/certificate.pem"));
    config.certificate = config.key = "/etc/hostname";
    diag_init(&diag);
    assert_int_equal(gateway_create(&config, &gateway, &diag), -EINVAL);
    assert_null(gateway);
    gateway_destroy(NULL);
}

static const struct CMUnitTest tests[] = {
    TEST(test_what_is_no_http_ends_its_connection_alone),
    TEST(test_what_is_wrong_in_a_head_is_answered_as_an_error),
    TEST(test_a_head_that_is_too_long_is_refused),
    TEST(test_requests_one_behind_the_other_are_answered_in_order),
    TEST(test_a_body_in_pieces_is_one_body),
    TEST(test_a_body_in_pieces_is_cut_off_at_its_limit),
    TEST(test_a_slow_client_does_not_slow_others),
    TEST(test_clients_that_do_not_read_do_not_stop_others),
    TEST(test_who_does_not_finish_a_request_in_time_is_cut_off),
    TEST(test_an_upload_is_spooled_and_kept),
    TEST(test_an_upload_that_is_announced_too_large_is_not_waited_for),
    TEST(test_a_gateway_that_cannot_listen_says_why),
    cmocka_unit_test_setup_teardown(test_all_of_it_goes_over_tls, setup_tls, testing_teardown),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
