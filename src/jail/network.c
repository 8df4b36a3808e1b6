/* SPDX-License-Identifier: Apache-2.0
 *
 * The link of a jail: a veth pair and a token bucket at each end, by netlink.
 *
 * A queue limits what leaves through its device. So what the jail sends is limited
 * at its end, which it has no right to change, and what it receives at the host's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_internal.h"

#define MESSAGE_BYTES 8192u
#define INNER_NAME    "eth0"
#define BURST_MIN     (UINT64_C(16) << 10)
#define BURST_MAX     (UINT64_C(64) << 20)
#define BURST_PART    50u /* of a second */
#define QUEUE_PART    20u
#define PACKET_BYTES  65536u

/* One end of the pair, reached through a socket of its namespace. */
struct network_end {
    struct mnl_socket *socket; /* owned */
    int index;
};

struct network {
    char name[IFNAMSIZ];
    struct network_end host, jail;
    uint64_t rate; /* 0: none */
    bool has_link;
};

struct request {
    struct nlmsghdr *header;
    union {
        char bytes[MESSAGE_BYTES];
        struct nlmsghdr align;
    } buffer;
};

static void *
request_begin(struct request *request, uint16_t type, uint16_t flags, size_t extra_bytes)
{
    request->header = mnl_nlmsg_put_header(request->buffer.bytes);
    request->header->nlmsg_type = type;
    request->header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    return mnl_nlmsg_put_extra_header(request->header, extra_bytes);
}

/* Sends a request and hands each answer to take (may be NULL). -errno. */
static int
request_send(struct request *request, struct mnl_socket *socket, mnl_cb_t take, void *context)
{
    char answer[MESSAGE_BYTES * 2];
    unsigned port = mnl_socket_get_portid(socket);
    unsigned sequence = (unsigned)clock();
    ssize_t count;
    int state;

    request->header->nlmsg_seq = sequence;
    if (mnl_socket_sendto(socket, request->header, request->header->nlmsg_len) < 0)
        return -errno;
    do {
        count = mnl_socket_recvfrom(socket, answer, sizeof(answer));
        if (count < 0)
            return -errno;
        state = mnl_cb_run(answer, (size_t)count, sequence, port, take, context);
    } while (state > MNL_CB_STOP);
    return state < 0 ? -errno : 0;
}

static int
open_socket(struct mnl_socket **out)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    int err;

    if (socket == NULL)
        return -errno;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        err = -errno;
        (void)mnl_socket_close(socket);
        return err;
    }
    *out = socket;
    return 0;
}

/* A socket of another namespace: it stays there when this thread is back. */
static int
open_socket_in(int netns, struct mnl_socket **out)
{
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int err = own < 0 ? -errno : 0;

    if (err == 0 && setns(netns, CLONE_NEWNET) != 0)
        err = -errno;
    if (err == 0) {
        err = open_socket(out);
        /* A thread that cannot come back must not go on in the wrong network. */
        if (setns(own, CLONE_NEWNET) != 0)
            abort();
    }
    file_close(&own);
    return err;
}

int
network_address_parse(const char *text, uint32_t *address, unsigned *bits)
{
    char host[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    char *end;
    unsigned long value;

    if (slash == NULL || slash - text >= (ptrdiff_t)sizeof(host) || slash[1] < '0' ||
        slash[1] > '9')
        return -EINVAL;
    (void)snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
    value = strtoul(slash + 1, &end, 10);
    if (*end != '\0' || value < 1 || value > 32 || inet_pton(AF_INET, host, address) != 1)
        return -EINVAL;
    *bits = (unsigned)value;
    return 0;
}

static int
take_link(const struct nlmsghdr *header, void *context)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(header);

    *(int *)context = link->ifi_index;
    return MNL_CB_OK;
}

static int
find_link(struct network_end *end, const char *name)
{
    struct request request;
    int err;

    (void)request_begin(&request, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
    err = request_send(&request, end->socket, take_link, &end->index);
    return err != 0 ? err : end->index == 0 ? -ENODEV : 0;
}

/* The pair, its inner end in the namespace of that descriptor (-1: this one). */
static int
make_pair(struct mnl_socket *socket, const char *name, const char *inner_name, int netns)
{
    struct request request;
    struct nlattr *info, *data, *peer;

    (void)request_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
    info = mnl_attr_nest_start(request.header, IFLA_LINKINFO);
    mnl_attr_put_strz(request.header, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(request.header, IFLA_INFO_DATA);
    peer = mnl_attr_nest_start(request.header, VETH_INFO_PEER);
    (void)mnl_nlmsg_put_extra_header(request.header, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request.header, IFLA_IFNAME, inner_name);
    if (netns >= 0)
        mnl_attr_put_u32(request.header, IFLA_NET_NS_FD, (uint32_t)netns);
    mnl_attr_nest_end(request.header, peer);
    mnl_attr_nest_end(request.header, data);
    mnl_attr_nest_end(request.header, info);
    return request_send(&request, socket, NULL, NULL);
}

static int
add_address(const struct network_end *end, const char *text)
{
    struct request request;
    struct ifaddrmsg *message;
    uint32_t address;
    unsigned bits;
    int err = network_address_parse(text, &address, &bits);

    if (err != 0)
        return err;
    message = request_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*message));
    message->ifa_family = AF_INET;
    message->ifa_prefixlen = (uint8_t)bits;
    message->ifa_index = (uint32_t)end->index;
    mnl_attr_put_u32(request.header, IFA_LOCAL, address);
    mnl_attr_put_u32(request.header, IFA_ADDRESS, address);
    return request_send(&request, end->socket, NULL, NULL);
}

static int
set_up(const struct network_end *end)
{
    struct request request;
    struct ifinfomsg *message = request_begin(&request, RTM_NEWLINK, 0, sizeof(*message));

    message->ifi_index = end->index;
    message->ifi_change = IFF_UP;
    message->ifi_flags = IFF_UP;
    return request_send(&request, end->socket, NULL, NULL);
}

/* All that is not the link's own goes to the host, which decides what it forwards. */
static int
add_default_route(const struct network_end *end, const char *gateway)
{
    struct request request;
    struct rtmsg *message;
    uint32_t address;
    unsigned bits;
    int err = network_address_parse(gateway, &address, &bits);

    if (err != 0)
        return err;
    message = request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*message));
    message->rtm_family = AF_INET;
    message->rtm_table = RT_TABLE_MAIN;
    message->rtm_protocol = RTPROT_STATIC;
    message->rtm_scope = RT_SCOPE_UNIVERSE;
    message->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(request.header, RTA_GATEWAY, address);
    mnl_attr_put_u32(request.header, RTA_OIF, (uint32_t)end->index);
    return request_send(&request, end->socket, NULL, NULL);
}

/* A token bucket as the only queue; packets wait at most 1/QUEUE_PART second. */
static int
set_rate(const struct network_end *end, uint64_t rate)
{
    struct tc_tbf_qopt bucket = {0};
    struct request request;
    struct tcmsg *message;
    struct nlattr *options;
    uint64_t burst = rate / BURST_PART;

    burst = burst < BURST_MIN ? BURST_MIN : burst > BURST_MAX ? BURST_MAX : burst;
    message = request_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*message));
    message->tcm_family = AF_UNSPEC;
    message->tcm_ifindex = end->index;
    message->tcm_parent = TC_H_ROOT;
    message->tcm_handle = 1u << 16;
    bucket.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
    bucket.rate.linklayer = TC_LINKLAYER_ETHERNET;
    bucket.limit =
        (uint32_t)(burst + (rate / QUEUE_PART < BURST_MAX ? rate / QUEUE_PART : BURST_MAX) +
                   PACKET_BYTES);
    mnl_attr_put_strz(request.header, TCA_KIND, "tbf");
    options = mnl_attr_nest_start(request.header, TCA_OPTIONS);
    mnl_attr_put(request.header, TCA_TBF_PARMS, sizeof(bucket), &bucket);
    mnl_attr_put_u32(request.header, TCA_TBF_BURST, (uint32_t)burst);
    if (rate > UINT32_MAX)
        mnl_attr_put_u64(request.header, TCA_TBF_RATE64, rate);
    mnl_attr_nest_end(request.header, options);
    return request_send(&request, end->socket, NULL, NULL);
}

static int
clear_rate(const struct network_end *end)
{
    struct request request;
    struct tcmsg *message = request_begin(&request, RTM_DELQDISC, 0, sizeof(*message));

    message->tcm_family = AF_UNSPEC;
    message->tcm_ifindex = end->index;
    message->tcm_parent = TC_H_ROOT;
    message->tcm_handle = 1u << 16;
    return request_send(&request, end->socket, NULL, NULL);
}

static int
delete_link(struct mnl_socket *socket, const char *name)
{
    struct request request;

    (void)request_begin(&request, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
    return request_send(&request, socket, NULL, NULL);
}

static int
step(int err, const char *what, const struct jail_network *config, struct diag *diag)
{
    if (err == 0)
        err = fault_point("jail.start");
    if (err == 0)
        return 0;
    return diag_set(diag, err, "network link %s (%s): cannot %s: %s", config->name, config->address,
                    what, strerror(-err));
}

static int
open_ends(struct network *network, const struct jail_network *config, int netns, struct diag *diag)
{
    int err = step(open_socket(&network->host.socket), "open netlink", config, diag);

    if (err == 0)
        err = step(open_socket_in(netns, &network->jail.socket), "enter the jail's network", config,
                   diag);
    if (err != 0)
        return err;
    err = make_pair(network->host.socket, network->name, INNER_NAME, netns);
    network->has_link = err == 0;
    err = step(err, "make the pair", config, diag);
    if (err == 0)
        err = step(find_link(&network->host, network->name), "find the host's end", config, diag);
    if (err == 0)
        err = step(find_link(&network->jail, INNER_NAME), "find the jail's end", config, diag);
    return err;
}

/* Both ends; none where rate is 0. */
static int
set_rates(struct network *network, uint64_t rate)
{
    int err;

    if (rate == 0) {
        if (network->rate == 0)
            return 0;
        err = clear_rate(&network->host);
        return err != 0 ? err : clear_rate(&network->jail);
    }
    err = set_rate(&network->host, rate);
    return err != 0 ? err : set_rate(&network->jail, rate);
}

static int
configure(struct network *network, const struct jail_network *config, uint64_t rate,
          struct diag *diag)
{
    int err = step(add_address(&network->host, config->host_address), "give the host its address",
                   config, diag);

    if (err == 0)
        err = step(add_address(&network->jail, config->address), "give the jail its address",
                   config, diag);
    if (err == 0)
        err = step(set_rates(network, rate), "limit the rate", config, diag);
    network->rate = rate;
    if (err == 0)
        err = step(set_up(&network->host), "switch the host's end on", config, diag);
    if (err == 0)
        err = step(set_up(&network->jail), "switch the jail's end on", config, diag);
    if (err == 0)
        err = step(add_default_route(&network->jail, config->host_address), "set the route", config,
                   diag);
    return err;
}

int
network_create(const struct jail_network *config, int netns, uint64_t rate, struct network **out,
               struct diag *diag)
{
    struct network *network = calloc(1, sizeof(*network));
    int err;

    if (network == NULL)
        return diag_set(diag, -ENOMEM, "no memory for a network link");
    (void)snprintf(network->name, sizeof(network->name), "%s", config->name);
    err = open_ends(network, config, netns, diag);
    if (err == 0)
        err = configure(network, config, rate, diag);
    if (err != 0) {
        network_destroy(network);
        return err;
    }
    *out = network;
    return 0;
}

void
network_destroy(struct network *network)
{
    if (network == NULL)
        return;
    /* The pair would go with the jail's namespace, but some time later. */
    if (network->has_link)
        (void)!delete_link(network->host.socket, network->name);
    if (network->jail.socket != NULL)
        (void)mnl_socket_close(network->jail.socket);
    if (network->host.socket != NULL)
        (void)mnl_socket_close(network->host.socket);
    free(network);
}

int
network_limit(struct network *network, uint64_t rate, struct diag *diag)
{
    int err = set_rates(network, rate);

    if (err == 0)
        err = fault_point("jail.limit");
    if (err != 0) {
        (void)!set_rates(network, network->rate);
        return diag_set(diag, err, "network link %s: cannot limit the rate to %llu: %s",
                        network->name, (unsigned long long)rate, strerror(-err));
    }
    network->rate = rate;
    return 0;
}

static int
take_attribute(const struct nlattr *attribute, void *context)
{
    const size_t bytes = offsetof(struct rtnl_link_stats64, rx_errors);

    if (mnl_attr_get_type(attribute) == IFLA_STATS64 &&
        mnl_attr_get_payload_len(attribute) >= bytes)
        (void)memcpy(context, mnl_attr_get_payload(attribute), bytes);
    return MNL_CB_OK;
}

static int
take_counts(const struct nlmsghdr *header, void *context)
{
    return mnl_attr_parse(header, sizeof(struct ifinfomsg), take_attribute, context);
}

int
network_usage(const struct network *network, uint64_t *received, uint64_t *sent)
{
    struct rtnl_link_stats64 counts = {0};
    struct request request;
    struct ifinfomsg *message = request_begin(&request, RTM_GETLINK, 0, sizeof(*message));
    int err;

    message->ifi_index = network->host.index;
    err = request_send(&request, network->host.socket, take_counts, &counts);
    if (err != 0)
        return err;
    /* What the host sends, the jail receives. */
    *received = counts.tx_bytes;
    *sent = counts.rx_bytes;
    return 0;
}

bool
network_is_possible(void)
{
    struct network_end end = {0};
    bool is_possible;

    if (open_socket(&end.socket) != 0)
        return false;
    /* Asked of the host's own network, which is not changed: rights come first,
     * and then that there is no such link. */
    is_possible = delete_link(end.socket, "weft.none") == -ENODEV;
    (void)mnl_socket_close(end.socket);
    end.socket = NULL;
    if (!is_possible || unshare(CLONE_NEWNET) != 0 || open_socket(&end.socket) != 0)
        return false;
    is_possible = make_pair(end.socket, "weft0", "weft1", -1) == 0 &&
                  find_link(&end, "weft0") == 0 && set_rate(&end, 1u << 20) == 0;
    (void)mnl_socket_close(end.socket);
    return is_possible;
}

int
network_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0)
        return -errno;
    err = ioctl(fd, SIOCSIFFLAGS, &request) != 0 ? -errno : 0;
    (void)close(fd);
    return err;
}
