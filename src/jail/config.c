/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be asked of a jail.
 */
#include <errno.h>
#include <string.h>

#include "jail/jail_internal.h"

#define ALWAYS_WANTED \
    ((uint32_t)(JAIL_USER_NAMESPACE | JAIL_MOUNT_NAMESPACE | JAIL_PID_NAMESPACE | \
                JAIL_IPC_NAMESPACE | JAIL_NET_NAMESPACE | JAIL_SECCOMP | JAIL_NO_NEW_PRIVILEGES))

static bool
is_name(const char *name, size_t bytes_max)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    return name != NULL && name[0] != '\0' && strlen(name) <= bytes_max &&
           name[strspn(name, allowed)] == '\0';
}

/* Absolute, without empty parts, "." or "..", and not the root itself. */
static bool
is_clean_path(const char *path)
{
    const char *part = path;

    if (path == NULL || path[0] != '/' || path[1] == '\0' || strlen(path) >= 1024)
        return false;
    while (*part != '\0') {
        size_t length = strcspn(++part, "/");

        if (length == 0 || length > 255 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
    }
    return true;
}

static int
check_paths(const struct jail_config *config, struct diag *diag)
{
    if (config->path_count > JAIL_PATHS_MAX || (config->path_count > 0 && config->paths == NULL))
        return diag_set(diag, -EINVAL, "%zu paths: a jail has at most %u", config->path_count,
                        JAIL_PATHS_MAX);
    for (size_t i = 0; i < config->path_count; i++) {
        const struct jail_path *path = &config->paths[i];

        if (path->host_path == NULL || path->host_path[0] != '/')
            return diag_set(diag, -EINVAL, "path %zu: the host's path must be absolute", i);
        if (!is_clean_path(path->path))
            return diag_set(diag, -EINVAL,
                            "path %s: must be absolute in the jail, without . and .., not /",
                            path->path == NULL ? "(none)" : path->path);
        if (strcmp(path->path, "/proc") == 0 || strncmp(path->path, "/proc/", 6) == 0)
            return diag_set(diag, -EINVAL, "path %s: /proc is the jail's own", path->path);
    }
    return 0;
}

static int
check_network(const struct jail_network *network, struct diag *diag)
{
    uint32_t address;
    unsigned bits;

    if (network->address == NULL)
        return 0;
    if (!is_name(network->name, JAIL_LINK_NAME_MAX))
        return diag_set(diag, -EINVAL, "network: the link's name must have 1 to %u of a-z 0-9 - _",
                        JAIL_LINK_NAME_MAX);
    if (network_address_parse(network->address, &address, &bits) != 0)
        return diag_set(diag, -EINVAL, "network address %s: write it as 10.1.0.2/30",
                        network->address);
    if (network->host_address == NULL ||
        network_address_parse(network->host_address, &address, &bits) != 0)
        return diag_set(diag, -EINVAL, "network address of the host %s: write it as 10.1.0.1/30",
                        network->host_address == NULL ? "(none)" : network->host_address);
    return 0;
}

int
jail_limits_check(const struct jail_limits *limits, struct diag *diag)
{
    if (limits->cpu_share > JAIL_SHARE_MAX)
        return diag_set(diag, -EINVAL, "cpu share %u: 1 to %u", limits->cpu_share, JAIL_SHARE_MAX);
    if (limits->cpu_percent > JAIL_PERCENT_MAX)
        return diag_set(diag, -EINVAL, "cpu percent %u: at most %u", limits->cpu_percent,
                        JAIL_PERCENT_MAX);
    if (limits->memory_bytes != 0 && limits->memory_bytes < JAIL_MEMORY_MIN)
        return diag_set(diag, -EINVAL, "memory limit of %llu bytes: a process needs at least %llu",
                        (unsigned long long)limits->memory_bytes,
                        (unsigned long long)JAIL_MEMORY_MIN);
    if (limits->memory_bytes > INT64_MAX)
        return diag_set(diag, -EINVAL, "memory limit of %llu bytes: 0 is none",
                        (unsigned long long)limits->memory_bytes);
    if (limits->processes > INT32_MAX || limits->files > INT32_MAX)
        return diag_set(diag, -EINVAL, "limit of processes or files too large: 0 is none");
    if (limits->network_rate > (UINT64_C(1) << 40))
        return diag_set(diag, -EINVAL, "network rate too large: 0 is none");
    return 0;
}

static int
check_descriptors(const struct jail_config *config, struct diag *diag)
{
    size_t count = config->descriptor_count;

    if (count > JAIL_DESCRIPTORS_MAX || (count > 0 && config->descriptors == NULL))
        return diag_set(diag, -EINVAL, "%zu descriptors: a jail gets at most %u", count,
                        JAIL_DESCRIPTORS_MAX);
    /* One more than they are: what main opens first. */
    if (config->limits.files != 0 && config->limits.files < count + 4)
        return diag_set(diag, -EINVAL, "limit of %u files: %zu descriptors need at least %zu",
                        config->limits.files, count, count + 4);
    return 0;
}

int
jail_config_check(const struct jail_config *config, struct diag *diag)
{
    int err;

    if (!is_name(config->name, JAIL_NAME_MAX))
        return diag_set(diag, -EINVAL, "jail name %s: 1 to %u letters, digits, - and _",
                        config->name == NULL ? "(none)" : config->name, JAIL_NAME_MAX);
    if (config->main == NULL)
        return diag_set(diag, -EINVAL, "jail %s has no main function", config->name);
    err = check_descriptors(config, diag);
    if (err == 0)
        err = check_paths(config, diag);
    if (err == 0)
        err = jail_limits_check(&config->limits, diag);
    if (err == 0)
        err = check_network(&config->network, diag);
    return err;
}

uint32_t
jail_limits_want(const struct jail_limits *limits)
{
    uint32_t wants = 0;

    if (limits->cpu_share != 0 || limits->cpu_percent != 0)
        wants |= JAIL_CPU;
    if (limits->memory_bytes != 0)
        wants |= JAIL_MEMORY;
    if (limits->processes != 0)
        wants |= JAIL_PROCESSES;
    if (limits->files != 0)
        wants |= JAIL_FILES;
    return wants;
}

uint32_t
jail_config_wants(const struct jail_config *config)
{
    uint32_t wants = ALWAYS_WANTED | jail_limits_want(&config->limits);

    if (config->network.address != NULL)
        wants |= JAIL_NETWORK_RATE;
    return wants;
}
