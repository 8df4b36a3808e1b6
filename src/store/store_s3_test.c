/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs in a real S3 server (from npm, see tests/store/fetch), on loopback.
 */
#include "store/blobs_testing.h"

static char directory[64], address[80];
static unsigned port;
static pid_t server;
static struct store_config config = {.s3_key = "S3RVER", .s3_secret = "S3RVER"};

static int
start_all(void **state)
{
    (void)state;
    testing_directory(directory);
    port = testing_s3_start(directory, 0, &server);
    (void)snprintf(address, sizeof(address), "s3+http://127.0.0.1:%u/weft", port);
    config.blobs = address;
    testing_store = testing_open(&config);
    return 0;
}

static int
stop_all(void **state)
{
    (void)state;
    store_close(testing_store);
    testing_stop(server);
    testing_remove(directory);
    return 0;
}

static void
test_keys_and_buckets_that_are_not_there_are_said(void **state)
{
    struct store_config wrong = config;
    char other[80];

    (void)state;
    wrong.s3_secret = "wrong";
    testing_open_fails(&wrong, -EACCES, "secret");
    wrong.s3_secret = NULL;
    testing_open_fails(&wrong, -EINVAL, "needs a key");
    wrong.s3_secret = "S3RVER";
    wrong.s3_key = "a:b";
    testing_open_fails(&wrong, -EINVAL, "colon");
    wrong.s3_key = "S3RVER";
    wrong.s3_region = "No Region";
    testing_open_fails(&wrong, -EINVAL, "region");
    wrong.s3_region = NULL;
    (void)snprintf(other, sizeof(other), "s3+http://127.0.0.1:%u/other", port);
    wrong.blobs = other;
    testing_open_fails(&wrong, -ENOENT, "other");
}

static void
test_nobody_there_is_said_when_patience_is_over(void **state)
{
    struct store_config nowhere = config;
    char other[80];

    (void)state;
    (void)snprintf(other, sizeof(other), "s3+http://127.0.0.1:%u/weft", testing_port());
    nowhere.blobs = other;
    nowhere.patience_ns = 300000000;
    testing_open_fails(&nowhere, -ETIMEDOUT, "attempts");
    (void)snprintf(other, sizeof(other), "s3+https://127.0.0.1:%u/weft", port);
    testing_open_fails(&nowhere, -ETIMEDOUT, "attempts"); /* does not speak TLS */
}

/* As an operator would find it: another content under the same name. */
static void
test_a_damaged_blob_is_not_handed_out_and_a_put_mends_it(void **state)
{
    struct store_hash hash = blob_put("will be damaged", 15);
    char path[600];
    struct diag diag;
    int fd = -5, file;

    (void)state;
    diag_init(&diag);
    blob_expect(&hash, "will be damaged", 15);
    {
        char hex[65];

        hash_text(&hash, hex);
        (void)snprintf(path, sizeof(path), "%s/weft/%s._S3rver_object", directory, hex);
    }
    file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, "X", 1, 3), 1);
    (void)close(file);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, &diag), -EBADMSG);
    assert_non_null(strstr(diag_text(&diag), "damaged"));
    assert_int_equal(fd, -5);
    hash = blob_put("will be damaged", 15);
    blob_expect(&hash, "will be damaged", 15);
}

/* More than the server tells at once. */
static void
test_a_list_of_several_pages(void **state)
{
    struct blob_list before = {0}, after = {0};
    unsigned many = 1100;

    (void)state;
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &before, NULL), 0);
    for (unsigned i = 0; i < many; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "page %u", i);
        (void)blob_put(text, strlen(text));
    }
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &after, NULL), 0);
    assert_int_equal(after.count, before.count + many);
}

static void
test_a_list_passes_over_what_is_no_blob(void **state)
{
    struct blob_list before = {0}, after = {0};
    char command[300];

    (void)state;
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &before, NULL), 0);
    (void)snprintf(command, sizeof(command),
                   "cd %s/weft && f=$(ls | grep _object | head -n 1) && h=${f%%%%.*} && "
                   "for e in object metadata.json object.md5; do "
                   "cp $h._S3rver_$e 'not & a <blob>'._S3rver_$e; done",
                   directory);
    assert_int_equal(testing_shell(command), 0);
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &after, NULL), 0);
    assert_int_equal(after.count, before.count);
}

/* More than what is kept in memory. */
static void
test_a_big_blob_comes_through_a_file(void **state)
{
    const size_t count = (64u << 20) + 12345;
    uint8_t *bytes = blob_bytes(count, 5);
    struct store_hash hash = blob_put(bytes, count);
    int fd = -1;

    (void)state;
    blob_expect(&hash, bytes, count);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, NULL), 0);
    assert_int_equal(fcntl(fd, F_GET_SEALS), -1);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    (void)close(fd);
    free(bytes);
}

static void
test_tls_with_a_certificate_that_is_trusted(void **state)
{
    char own[64], own_address[80], key[80], certificate[80], command[400];
    const char *tls[2] = {key, certificate};
    struct store_config own_config = config;
    struct store *store;
    struct store_hash hash;
    pid_t pid;

    (void)state;
    testing_directory(own);
    (void)snprintf(key, sizeof(key), "%s/key", own);
    (void)snprintf(certificate, sizeof(certificate), "%s/certificate", own);
    (void)snprintf(command, sizeof(command),
                   "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                   "-subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
                   "2>/dev/null",
                   key, certificate);
    assert_int_equal(testing_shell(command), 0);
    (void)snprintf(own_address, sizeof(own_address), "s3+https://127.0.0.1:%u/weft",
                   testing_s3_start_tls(own, 0, tls, &pid));
    own_config.blobs = own_address;
    testing_open_fails(&own_config, -EIO, "certificate");
    own_config.ca_path = certificate;
    store = testing_open(&own_config);
    assert_int_equal(store_blob_put_bytes(store, "abc", 3, &hash, NULL), 0);
    putters_run(store);
    store_close(store);
    testing_stop(pid);
    testing_remove(own);
}

/* ------------------------------------------------------------------- connections that break */

static void
test_connections_that_break_in_an_answer(void **state)
{
    struct store_config own_config = config;
    struct testing_proxy proxy;
    char through[80];
    struct store *store;

    (void)state;
    testing_proxy_start(&proxy, port);
    (void)snprintf(through, sizeof(through), "s3+http://127.0.0.1:%u/weft", proxy.port);
    own_config.blobs = through;
    store = testing_open(&own_config);
    atomic_store(&proxy.cut_one_of, 40);
    putters_run(store);
    assert_true(atomic_load(&proxy.cuts) > 5);
    atomic_store(&proxy.cut_one_of, 0);
    store_close(store);
    testing_proxy_stop(&proxy);
}

static void
test_a_failed_request_is_repeated(void **state)
{
    struct store_hash hash;

    (void)state;
    fault_arm("store.s3.run", 1, -EIO);
    hash = blob_put("repeated", 8);
    assert_true(fault_disarm());
    fault_arm("store.s3.run", 1, -EIO);
    blob_expect(&hash, "repeated", 8);
    assert_true(fault_disarm());
    fault_arm("store.spool", 2, -EMFILE);
    hash = blob_put("not repeated", 12);
    {
        int fd = -5;

        assert_int_equal(store_blob_get(testing_store, &hash, &fd, NULL), -EMFILE);
        assert_int_equal(fd, -5);
    }
    assert_true(fault_disarm());
}

static void
test_the_server_is_killed_and_started_under_load(void **state)
{
    char own[64], own_address[80];
    struct store_config own_config = config;
    struct store *store;
    unsigned own_port;
    struct store_hash hash;
    pid_t pid;

    (void)state;
    testing_directory(own);
    own_port = testing_s3_start(own, 0, &pid);
    (void)snprintf(own_address, sizeof(own_address), "s3+http://127.0.0.1:%u/weft", own_port);
    own_config.blobs = own_address;
    own_config.patience_ns = UINT64_C(30) * CLOCK_NS_PER_SECOND;
    store = testing_open(&own_config);
    assert_int_equal(store_blob_put_bytes(store, "kept", 4, &hash, NULL), 0);
    testing_stop(pid);
    (void)testing_s3_start(own, own_port, &pid);
    putters_run(store);
    {
        int fd = -1;

        assert_int_equal(store_blob_get(store, &hash, &fd, NULL), 0);
        (void)close(fd);
    }
    store_close(store);
    testing_stop(pid);
    testing_remove(own);
}

/* One that answers what the test wants, to each connection. */
struct answerer {
    int fd;
    const char *answer;
    const char *second; /* from the second request on; NULL: the same */
    atomic_uint requests;
};

static void *
answerer_run(void *context)
{
    struct answerer *answerer = context;
    int client;

    while ((client = accept4(answerer->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        char request[8192];
        size_t count = 0;
        ssize_t got;

        while (count < sizeof(request) - 1 &&
               (got = read(client, request + count, sizeof(request) - 1 - count)) > 0) {
            count += (size_t)got;
            request[count] = '\0';
            if (strstr(request, "\r\n\r\n") != NULL)
                break;
        }
        if (atomic_fetch_add(&answerer->requests, 1) > 0 && answerer->second != NULL)
            answerer->answer = answerer->second;
        (void)send(client, answerer->answer, strlen(answerer->answer), MSG_NOSIGNAL);
        (void)shutdown(client, SHUT_RDWR);
        (void)close(client);
    }
    return NULL;
}

static const struct {
    const char *answer;
    int err;
    bool is_repeated;
} cases[] = {
    {"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", -ETIMEDOUT, true},
    {"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nabc", -ETIMEDOUT, true},
    {"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", -ETIMEDOUT, true},
    {"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", -EACCES, false},
    {"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n", -ENOENT, false},
    {"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", -EIO, false},
    {"HTTP/1.1 301 Else\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", -EIO,
     false},
    {"not http at all\r\n\r\n", -EIO, false},
    {"", -ETIMEDOUT, true},
};

static void
answerer_start(struct answerer *answerer, const char *answer, pthread_t *thread,
               char address_out[80])
{
    struct sockaddr_in own = {.sin_family = AF_INET,
                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(own);

    answerer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    answerer->answer = answer;
    assert_int_equal(bind(answerer->fd, (struct sockaddr *)&own, size), 0);
    assert_int_equal(listen(answerer->fd, 8), 0);
    assert_int_equal(getsockname(answerer->fd, (struct sockaddr *)&own, &size), 0);
    assert_int_equal(pthread_create(thread, NULL, answerer_run, answerer), 0);
    (void)snprintf(address_out, 80, "s3+http://127.0.0.1:%u/weft", ntohs(own.sin_port));
}

static void
answerer_stop(struct answerer *answerer, pthread_t thread)
{
    (void)shutdown(answerer->fd, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    (void)close(answerer->fd);
}

static void
test_answers_that_are_errors(void **state)
{
    struct answerer answerer = {.fd = -1};
    struct store_config own_config = config;
    char own_address[80];
    pthread_t thread;

    (void)state;
    answerer_start(&answerer, cases[0].answer, &thread, own_address);
    own_config.blobs = own_address;
    own_config.patience_ns = 200000000;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct store *store = NULL;
        struct diag diag;

        diag_init(&diag);
        answerer.answer = cases[i].answer;
        atomic_store(&answerer.requests, 0);
        assert_int_equal(store_open(&own_config, &store, &diag), cases[i].err);
        assert_true(diag.is_set);
        assert_int_equal(atomic_load(&answerer.requests) > 1, cases[i].is_repeated);
    }
    answerer_stop(&answerer, thread);
}

/* A success, but not the content. */
static void
test_an_answer_without_the_content_is_no_blob(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 206 Partial\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 203 Other\r\nContent-Length: 3\r\n\r\nabc",
    };
    struct answerer answerer = {.fd = -1};
    struct store_config own_config = config;
    struct store_hash hash = {.bytes = {1}};
    char own_address[80];
    struct store *store;
    pthread_t thread;
    int fd = -5;

    (void)state;
    answerer_start(&answerer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &thread, own_address);
    own_config.blobs = own_address;
    store = testing_open(&own_config);
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
        answerer.answer = answers[i];
        assert_int_equal(store_blob_get(store, &hash, &fd, NULL), -EIO);
        assert_int_equal(store_blob_list(store, blob_list_add, NULL, NULL), -EIO);
    }
    assert_int_equal(fd, -5);
    store_close(store);
    answerer_stop(&answerer, thread);
}

/* As it is where a server shows a blob while it is being put again. */
static void
test_what_is_damaged_for_a_moment_is_looked_at_again(void **state)
{
    struct answerer answerer = {.fd = -1};
    struct store_config own_config = config;
    struct store_hash hash;
    char own_address[80];
    struct store *store;
    pthread_t thread;
    int fd = -5;

    (void)state;
    hash = blob_put("abc", 3);
    answerer_start(&answerer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &thread, own_address);
    own_config.blobs = own_address;
    store = testing_open(&own_config);
    answerer.answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab?";
    answerer.second = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    atomic_store(&answerer.requests, 0);
    assert_int_equal(store_blob_get(store, &hash, &fd, NULL), 0);
    assert_int_equal(atomic_load(&answerer.requests), 2);
    (void)close(fd);
    store_close(store);
    answerer_stop(&answerer, thread);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BLOBS_TESTS,
        cmocka_unit_test(test_keys_and_buckets_that_are_not_there_are_said),
        cmocka_unit_test(test_nobody_there_is_said_when_patience_is_over),
        cmocka_unit_test(test_a_damaged_blob_is_not_handed_out_and_a_put_mends_it),
        cmocka_unit_test(test_a_list_of_several_pages),
        cmocka_unit_test(test_a_list_passes_over_what_is_no_blob),
        cmocka_unit_test(test_a_big_blob_comes_through_a_file),
        cmocka_unit_test(test_tls_with_a_certificate_that_is_trusted),
        cmocka_unit_test(test_connections_that_break_in_an_answer),
        cmocka_unit_test(test_a_failed_request_is_repeated),
        cmocka_unit_test(test_the_server_is_killed_and_started_under_load),
        cmocka_unit_test(test_answers_that_are_errors),
        cmocka_unit_test(test_an_answer_without_the_content_is_no_blob),
        cmocka_unit_test(test_what_is_damaged_for_a_moment_is_looked_at_again),
    };
    int status = testing_shell("tests/store/fetch");

    if (status == TESTING_SKIPPED)
        return TESTING_SKIPPED; /* the reason was printed */
    if (status != 0)
        return 1;
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
