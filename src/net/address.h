/* SPDX-License-Identifier: Apache-2.0
 *
 * An address that was read, private to net.
 */
#ifndef WEFT_NET_ADDRESS_H
#define WEFT_NET_ADDRESS_H

#include <netdb.h>
#include <sys/un.h>

#include "net/net.h"

struct address {
    bool is_unix;
    char host[256]; /* or the path */
    char port[6];
};

int address_parse(const char *text, struct address *out, struct diag *diag) MUST_CHECK;

/* Not for unix. What is given out is freed with freeaddrinfo. */
int address_resolve(const struct address *address, bool is_passive, struct addrinfo **out,
                    struct diag *diag) MUST_CHECK;

void address_of_path(const struct address *address, struct sockaddr_un *out);

#endif
