/* SPDX-License-Identifier: Apache-2.0
 *
 * What records name by a number, so that they freeze to plain data.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "hostcall/hostcall_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hostcall_registered *registered; /* under the lock */

/* By chance, so that a record that is thawed elsewhere does not find somebody else. */
int
registry_add(struct hostcall_registered *entry, enum hostcall_registered_kind kind)
{
    uint64_t number;

    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        return -EIO;
    (void)pthread_mutex_lock(&lock);
    entry->kind = kind;
    entry->number = number | UINT64_C(1) << 63;
    entry->next = registered;
    registered = entry;
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

void
registry_remove(struct hostcall_registered *entry)
{
    (void)pthread_mutex_lock(&lock);
    for (struct hostcall_registered **at = &registered; *at != NULL; at = &(*at)->next)
        if (*at == entry) {
            *at = entry->next;
            break;
        }
    (void)pthread_mutex_unlock(&lock);
}

struct hostcall_registered *
registry_find(uint64_t number, enum hostcall_registered_kind kind)
{
    struct hostcall_registered *entry;

    if (number == 0)
        return NULL;
    (void)pthread_mutex_lock(&lock);
    for (entry = registered; entry != NULL; entry = entry->next)
        if (entry->number == number && entry->kind == kind)
            break;
    (void)pthread_mutex_unlock(&lock);
    return entry;
}
