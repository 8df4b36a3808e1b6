/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures that what jails promise in numbers holds within a tenth: processor
 * share and quota, network rate. Processor time is what the control groups
 * counted, on one core for all, so that other load takes from all in proportion.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "jail/jail_testing.h"

#define TOLERANCE    0.10
#define SETTLE_MS    500
#define MEASURE_MS   4000
#define NETWORK_RATE (UINT64_C(12) << 20)
#define BLOCK_BYTES  65536
#define STARTS       30
#define PORT         7000

/* Shared with the jails: bytes that went through. */
static _Atomic uint64_t *bytes_through;

static void
wait_ms(unsigned ms)
{
    uint64_t end = clock_now_ns() + ms * UINT64_C(1000000);

    for (uint64_t now = clock_now_ns(); now < end; now = clock_now_ns())
        (void)poll(NULL, 0, (int)((end - now) / 1000000 + 1));
}

static bool
is_near(double value, double wanted)
{
    return value > wanted * (1 - TOLERANCE) && value < wanted * (1 + TOLERANCE);
}

static int
compute_on_one_core(void *context, const int *descriptors, size_t count)
{
    volatile uint64_t sum = 0;
    cpu_set_t core;

    (void)descriptors;
    (void)count;
    CPU_ZERO(&core);
    CPU_SET(*(size_t *)context, &core);
    if (sched_setaffinity(0, sizeof(core), &core) != 0)
        return 1;
    for (;;)
        sum = sum + 1;
}

/* The last core that this process may use: the first ones have the interrupts. */
static size_t
pick_core(void)
{
    cpu_set_t cores;
    size_t last = 0;

    assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, &cores) ? i : last;
    return last;
}

static uint64_t
used_ns(const struct jail *jail)
{
    struct jail_usage usage;

    assert_int_equal(jail_usage(jail, &usage), 0);
    return usage.cpu_ns;
}

static void
test_shares_of_three_to_one_give_three_to_one(void **state)
{
    struct jail_config large = testing_config("share-3", compute_on_one_core);
    struct jail_config small = testing_config("share-1", compute_on_one_core);
    struct jail *jails[2];
    size_t core = pick_core();
    uint64_t before[2];
    double ratio;

    (void)state;
    testing_need(JAIL_CPU);
    large.context = small.context = &core;
    large.limits.cpu_share = 300;
    small.limits.cpu_share = 100;
    jails[0] = testing_start(&large);
    jails[1] = testing_start(&small);
    wait_ms(SETTLE_MS);
    for (int i = 0; i < 2; i++)
        before[i] = used_ns(jails[i]);
    wait_ms(MEASURE_MS);
    ratio = (double)(used_ns(jails[0]) - before[0]) / (double)(used_ns(jails[1]) - before[1]);
    print_message("processor shares 3:1 measure %.3f:1\n", ratio);
    for (int i = 0; i < 2; i++)
        jail_destroy(jails[i]);
    assert_true(is_near(ratio, 3));
}

static void
test_a_quota_of_a_fifth_of_a_core_gives_a_fifth(void **state)
{
    struct jail_config config = testing_config("quota", compute_on_one_core);
    size_t core = pick_core();
    uint64_t before, start;
    struct jail *jail;
    double part;

    (void)state;
    testing_need(JAIL_CPU);
    config.context = &core;
    config.limits.cpu_percent = 20;
    jail = testing_start(&config);
    wait_ms(SETTLE_MS);
    start = clock_now_ns();
    before = used_ns(jail);
    wait_ms(MEASURE_MS);
    part = (double)(used_ns(jail) - before) / (double)(clock_now_ns() - start);
    print_message("processor quota 0.200 measures %.3f\n", part);
    jail_destroy(jail);
    assert_true(is_near(part, 0.2));
}

/* A connection to the host, over which main sends or receives for ever. */
static int
connect_to_host(void)
{
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)inet_pton(AF_INET, "10.250.5.1", &host.sin_addr);
    return connect(fd, (struct sockaddr *)&host, sizeof(host)) == 0 ? fd : -1;
}

static int
send_for_ever(void *context, const int *descriptors, size_t count)
{
    static char block[BLOCK_BYTES];
    int fd = connect_to_host();

    (void)context;
    (void)descriptors;
    (void)count;
    while (fd >= 0 && send(fd, block, sizeof(block), 0) > 0)
        continue;
    return 1;
}

static int
receive_for_ever(void *context, const int *descriptors, size_t count)
{
    static char block[BLOCK_BYTES];
    int fd = connect_to_host();
    ssize_t received;

    (void)context;
    (void)descriptors;
    (void)count;
    while (fd >= 0 && (received = recv(fd, block, sizeof(block), 0)) > 0)
        *bytes_through += (uint64_t)received;
    return 1;
}

/* The host's side, until time is up: receives and counts, or sends. */
static void
pump(int fd, bool is_sending, unsigned ms)
{
    uint64_t end = clock_now_ns() + ms * UINT64_C(1000000);
    static char block[BLOCK_BYTES];

    while (clock_now_ns() < end) {
        struct pollfd ready = {.fd = fd, .events = is_sending ? POLLOUT : POLLIN};
        ssize_t moved = 0;

        if (poll(&ready, 1, 10) == 1)
            moved = is_sending ? send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL)
                               : recv(fd, block, sizeof(block), MSG_DONTWAIT);
        if (!is_sending && moved > 0)
            *bytes_through += (uint64_t)moved;
    }
}

/* Bytes per second of payload between the jail's namespace and ours. */
static double
measure_rate(jail_main_fn main, bool is_sending)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct jail_config config = testing_config("rate", main);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, yes = 1;
    uint64_t before, start;
    struct jail *jail;
    double rate;

    config.limits.network_rate = NETWORK_RATE;
    config.network = (struct jail_network){"weft-iso0", "10.250.5.2/30", "10.250.5.1/30"};
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(listener, 1), 0);
    jail = testing_start(&config);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    pump(fd, is_sending, SETTLE_MS);
    before = *bytes_through;
    start = clock_now_ns();
    pump(fd, is_sending, MEASURE_MS);
    rate =
        (double)(*bytes_through - before) * CLOCK_NS_PER_SECOND / (double)(clock_now_ns() - start);
    (void)close(fd);
    (void)close(listener);
    jail_destroy(jail);
    return rate;
}

static void
test_the_network_rate_holds_in_both_directions(void **state)
{
    double out, in;

    (void)state;
    testing_need(JAIL_NETWORK_RATE);
    out = measure_rate(send_for_ever, false);
    in = measure_rate(receive_for_ever, true);
    print_message("network rate 1.000 measures %.3f out of the jail, %.3f into it\n",
                  out / (double)NETWORK_RATE, in / (double)NETWORK_RATE);
    assert_true(is_near(out, (double)NETWORK_RATE));
    assert_true(is_near(in, (double)NETWORK_RATE));
}

static int
compare_times(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

static void
test_starting_and_ending_is_measured(void **state)
{
    static const struct jail_path paths[] = {{"/usr", "/usr", false}};
    uint64_t starts[STARTS], ends[STARTS];

    (void)state;
    (void)jail_features();
    for (int i = 0; i < STARTS; i++) {
        struct jail_config config = testing_config("start", testing_stay);
        uint64_t begin = clock_now_ns();
        struct jail *jail;

        config.limits = (struct jail_limits){
            .cpu_share = 100, .memory_bytes = 64 << 20, .processes = 20, .files = 100};
        config.paths = paths;
        config.path_count = 1;
        jail = testing_start(&config);
        starts[i] = clock_now_ns() - begin;
        begin = clock_now_ns();
        jail_destroy(jail);
        ends[i] = clock_now_ns() - begin;
    }
    qsort(starts, STARTS, sizeof(starts[0]), compare_times);
    qsort(ends, STARTS, sizeof(ends[0]), compare_times);
    print_message("a jail starts in %.2f ms and ends in %.2f ms (median)\n",
                  (double)starts[STARTS / 2] / 1e6, (double)ends[STARTS / 2] / 1e6);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_of_three_to_one_give_three_to_one),
        cmocka_unit_test(test_a_quota_of_a_fifth_of_a_core_gives_a_fifth),
        cmocka_unit_test(test_the_network_rate_holds_in_both_directions),
        cmocka_unit_test(test_starting_and_ending_is_measured),
    };

    bytes_through = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bytes_through == MAP_FAILED)
        return 1;
    (void)unshare(CLONE_NEWNET);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
