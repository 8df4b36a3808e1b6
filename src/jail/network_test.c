/* SPDX-License-Identifier: Apache-2.0
 *
 * The link of a jail. In a network namespace of the test's own.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "jail/jail_testing.h"

#define MESSAGE_BYTES 1000

static struct jail_config
network_config(const char *name, jail_main_fn main)
{
    struct jail_config config = testing_config(name, main);

    config.network = (struct jail_network){"weft-t0", "10.250.1.2/30", "10.250.1.1/30"};
    return config;
}

static struct sockaddr_in
address_of(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    (void)inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

/* Sends 50 messages to the host, which answers the first. */
static int
talk_to_the_host(void *context, const int *descriptors, size_t count)
{
    struct sockaddr_in host = address_of("10.250.1.1", 7777);
    struct testing_answer answer = {0};
    char message[MESSAGE_BYTES] = "hello";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)context;
    (void)count;
    if (connect(fd, (struct sockaddr *)&host, sizeof(host)) != 0)
        return 50;
    for (int i = 0; i < 50; i++)
        answer.numbers[0] += send(fd, message, sizeof(message), 0) == sizeof(message);
    answer.numbers[1] = recv(fd, answer.text, sizeof(answer.text) - 1, 0);
    return testing_answer(descriptors, &answer);
}

static int
bind_to(const char *address, uint16_t port)
{
    struct sockaddr_in local = address_of(address, port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    return fd;
}

static void
test_the_host_and_the_jail_reach_each_other(void **state)
{
    struct jail_config config = network_config("talk", talk_to_the_host);
    struct sockaddr_in from;
    socklen_t bytes = sizeof(from);
    struct testing_answer answer;
    char message[MESSAGE_BYTES], text[INET_ADDRSTRLEN];
    struct jail *jail;
    int fd, ends[2];

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fd = bind_to("0.0.0.0", 7777);
    config.descriptors = &ends[1];
    config.descriptor_count = 1;
    jail = testing_start(&config);
    assert_int_equal(jail_missing(jail) & JAIL_NETWORK_RATE, 0);
    assert_true(if_nametoindex("weft-t0") > 0);
    assert_int_equal(recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&from, &bytes),
                     MESSAGE_BYTES);
    assert_string_equal(inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)), "10.250.1.2");
    assert_int_equal(sendto(fd, "welcome", 7, 0, (struct sockaddr *)&from, bytes), 7);
    assert_int_equal(read(ends[0], &answer, sizeof(answer)), sizeof(answer));
    assert_int_equal(answer.numbers[0], 50);
    assert_string_equal(answer.text, "welcome");
    assert_int_equal(testing_wait(jail).code, 0);
    jail_destroy(jail);
    assert_int_equal(if_nametoindex("weft-t0"), 0);
    (void)close(fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void
test_bytes_are_counted_while_the_link_is_there(void **state)
{
    struct jail_config config = network_config("talk", testing_stay);
    struct sockaddr_in to = address_of("10.250.1.2", 9);
    char message[MESSAGE_BYTES] = {0};
    struct jail_usage usage;
    struct jail *jail;
    int fd;

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    fd = bind_to("0.0.0.0", 7777);
    jail = testing_start(&config);
    for (int i = 0; i < 10; i++)
        (void)sendto(fd, message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to));
    assert_int_equal(jail_usage(jail, &usage), 0);
    assert_true(usage.received_bytes >= 10 * MESSAGE_BYTES);
    jail_destroy(jail);
    (void)close(fd);
}

static int
look_at_own_link(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    struct network *network = NULL;
    struct jail_network mine = {"mine", "10.9.9.1/30", "10.9.9.2/30"};
    int netns = open("/proc/self/ns/net", O_RDONLY);

    (void)context;
    (void)count;
    answer.numbers[0] = if_nametoindex("eth0");
    answer.numbers[1] = if_nametoindex("weft-t0");
    /* No rights over its own network: neither links nor rates. */
    answer.numbers[2] = network_create(&mine, netns, 0, &network, NULL);
    return testing_answer(descriptors, &answer);
}

static void
test_the_jail_has_no_rights_over_its_link(void **state)
{
    struct testing_answer answer;

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    assert_int_equal(testing_run(network_config("rights", look_at_own_link), &answer).code, 0);
    assert_true(answer.numbers[0] > 0);
    assert_int_equal(answer.numbers[1], 0);
    assert_int_equal(answer.numbers[2], -EPERM);
}

static void
test_a_name_that_is_taken_is_an_error_and_the_link_stays(void **state)
{
    struct jail_config config = network_config("first", testing_stay);
    struct jail *first, *second = NULL;
    struct diag diag;

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    first = testing_start(&config);
    config.name = "second";
    diag_init(&diag);
    assert_int_equal(jail_start(&config, &second, &diag), -EEXIST);
    assert_non_null(strstr(diag_text(&diag), "weft-t0"));
    assert_true(if_nametoindex("weft-t0") > 0);
    jail_destroy(first);
    assert_int_equal(if_nametoindex("weft-t0"), 0);
}

static void
test_the_rate_may_change_and_go_while_it_runs(void **state)
{
    struct jail_config config = network_config("rates", testing_stay);
    struct jail_limits limits = {.network_rate = 2 << 20};
    struct jail *jail;

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    config.limits.network_rate = 1 << 20;
    jail = testing_start(&config);
    assert_int_equal(jail_limit(jail, &limits, NULL), 0);
    limits.network_rate = UINT64_C(6) << 30;
    assert_int_equal(jail_limit(jail, &limits, NULL), 0);
    limits.network_rate = 0;
    assert_int_equal(jail_limit(jail, &limits, NULL), 0);
    limits.network_rate = UINT64_C(2) << 40;
    assert_int_equal(jail_limit(jail, &limits, NULL), -EINVAL);
    jail_destroy(jail);
}

static void
test_addresses_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",          "10.1.0.2",    "10.1.0.2/",   "10.1.0.2/0",  "10.1.0.2/33",
        "10.1.0/24", "10.1.0.2/-1", "10.1.0.2/+4", "10.1.0.2/8x", "300.1.0.2/24",
        "::1/64"};
    uint32_t address;
    unsigned bits;

    (void)state;
    assert_int_equal(network_address_parse("10.1.0.2/30", &address, &bits), 0);
    assert_int_equal(ntohl(address), 0x0a010002);
    assert_int_equal(bits, 30);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(network_address_parse(bad[i], &address, &bits), -EINVAL);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_host_and_the_jail_reach_each_other),
        cmocka_unit_test(test_bytes_are_counted_while_the_link_is_there),
        cmocka_unit_test(test_the_jail_has_no_rights_over_its_link),
        cmocka_unit_test(test_a_name_that_is_taken_is_an_error_and_the_link_stays),
        cmocka_unit_test(test_the_rate_may_change_and_go_while_it_runs),
        cmocka_unit_test(test_addresses_are_read_strictly),
    };

    (void)unshare(CLONE_NEWNET);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
