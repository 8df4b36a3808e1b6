/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers in networks of their own. Such a network goes with its last process, and the pair
 * of interfaces with it.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

static void
name_of(unsigned number, char out[16])
{
    (void)snprintf(out, 16, "wcrash%u", number);
}

/* The words of one command, apart by blanks. */
static bool PRINTF_LIKE(1, 2) run(const char *format, ...)
{
    char text[256], *next = NULL;
    const char *words[24];
    size_t count = 0;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *word = strtok_r(text, " ", &next); word != NULL && count + 1 < ARRAY_COUNT(words);
         word = strtok_r(NULL, " ", &next))
        words[count++] = word;
    words[count] = NULL;
    return crash_run(words);
}

bool
crash_network_leave(int told, int ready)
{
    char byte = 0;

    return unshare(CLONE_NEWNET) == 0 && write(told, &byte, 1) == 1 && read(ready, &byte, 1) == 1;
}

bool
crash_network_give(unsigned number, pid_t pid)
{
    char name[16];

    name_of(number, name);
    return run("ip link add %s type veth peer name eth0 netns %d", name, pid) &&
           run("ip addr add 10.231.%u.1/30 dev %s", number, name) &&
           run("ip link set %s up", name) && run("nsenter -t %d -n ip link set lo up", pid) &&
           run("nsenter -t %d -n ip addr add 10.231.%u.2/30 dev eth0", pid, number) &&
           run("nsenter -t %d -n ip link set eth0 up", pid);
}

bool
crash_network_cut(unsigned number, bool is_cut)
{
    char name[16];

    name_of(number, name);
    return run("ip link set %s %s", name, is_cut ? "down" : "up");
}

void
crash_network_remove(unsigned number)
{
    char name[16], path[64];

    name_of(number, name);
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s", name);
    if (access(path, F_OK) == 0)
        (void)run("ip link del %s", name);
}
