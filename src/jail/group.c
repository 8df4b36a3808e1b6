/* SPDX-License-Identifier: Apache-2.0
 *
 * The control group of one jail: a folder of the same name in every tree in use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "jail/group_internal.h"

#define CPU_PERIOD_US   100000u
#define SHARES_V1       1024u /* of the default weight */
#define REMOVE_WAIT_NS  (UINT64_C(5) * CLOCK_NS_PER_SECOND)
#define WRITES_MAX      10u
#define PROCESSES_BYTES 4096u

/* One value to be written for a limit. */
struct limit_write {
    enum group_controller controller;
    const char *file;
    bool is_optional; /* kernels without the file (swap) are fine */
    char text[48];
};

static void
folder_path(const struct jail_group *group, unsigned place, char out[GROUP_PATH_MAX * 2])
{
    (void)snprintf(out, GROUP_PATH_MAX * 2, "%s/%s", group->tree.places[place].path, group->folder);
}

void
group_kill(const char *path)
{
    char list[PROCESSES_BYTES];
    char *rest = list, *line, *end;

    /* Version 2 does it in one step (5.14 and later). */
    if (group_file_read(path, "cgroup.type", list, sizeof(list)) == 0)
        (void)!group_file_write(path, "cgroup.kill", "1\n", 0);
    if (group_file_read(path, "cgroup.procs", list, sizeof(list)) != 0)
        return;
    /* The list may be longer; the beginning of a number is somebody else's. */
    end = strrchr(list, '\n');
    *(end != NULL ? end : list) = '\0';
    while ((line = strsep(&rest, "\n")) != NULL) {
        /* A process of another pid namespace shows as 0, which would be our own
         * process group. */
        long pid = strtol(line, NULL, 10);

        if (pid > 1 && pid != getpid())
            (void)kill((pid_t)pid, SIGKILL);
    }
}

int
group_remove(const char *path)
{
    uint64_t deadline = clock_now_ns() + REMOVE_WAIT_NS;

    while (rmdir(path) != 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || clock_now_ns() >= deadline)
            return -errno;
        /* The kernel takes processes out of the group after their end. */
        group_kill(path);
        (void)poll(NULL, 0, 1);
    }
    return 0;
}

void
group_close(struct jail_group *group)
{
    char path[GROUP_PATH_MAX * 2];

    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++) {
        if (!group_place_is_first(&group->tree, i))
            continue;
        folder_path(group, i, path);
        group_kill(path);
        (void)!group_remove(path);
    }
    group_tree_leave(&group->tree);
    (void)memset(group, 0, sizeof(*group));
}

static int
make_folder(const char *path, struct diag *diag)
{
    int err = fault_point("jail.start");

    if (err == 0 && mkdir(path, 0755) != 0)
        err = -errno;
    if (err == -EEXIST)
        return diag_set(diag, err, "control group %s exists: a jail's name must be unique", path);
    if (err == -ENOENT)
        return err; /* somebody removed the empty folder weft: the caller tries again */
    if (err != 0)
        return diag_set(diag, err, "cannot make the control group %s: %s", path, strerror(-err));
    return 0;
}

int
group_open(const struct group_tree *tree, const char *name, struct jail_group *out,
           struct diag *diag)
{
    struct jail_group group = {.tree = *tree};
    char path[GROUP_PATH_MAX * 2];
    unsigned i;
    int err;

    err = group_folder_name(name, group.folder, sizeof(group.folder));
    if (err != 0)
        return diag_set(diag, err, "cannot read this process's start time in /proc: %s",
                        strerror(-err));
    for (i = 0; i < GROUP_CONTROLLERS; i++) {
        if (!group_place_is_first(tree, i))
            continue;
        folder_path(&group, i, path);
        err = make_folder(path, diag);
        if (err != 0)
            goto remove_folders;
    }
    *out = group;
    return 0;

remove_folders:
    while (i-- > 0)
        if (group_place_is_first(tree, i)) {
            folder_path(&group, i, path);
            (void)rmdir(path);
        }
    return err;
}

static void
add_write(struct limit_write *writes, unsigned *count, struct limit_write write)
{
    ASSERT(*count < WRITES_MAX);
    writes[(*count)++] = write;
}

static void
plan_cpu(int version, const struct jail_limits *limits, struct limit_write *writes, unsigned *count)
{
    uint64_t share = limits->cpu_share != 0 ? limits->cpu_share : JAIL_SHARE_DEFAULT;
    uint64_t quota = (uint64_t)limits->cpu_percent * CPU_PERIOD_US / 100;
    struct limit_write weight = {GROUP_CPU, version == 1 ? "cpu.shares" : "cpu.weight", false, ""};
    struct limit_write max = {GROUP_CPU, version == 1 ? "cpu.cfs_quota_us" : "cpu.max", false, ""};

    if (version == 1) {
        uint64_t shares = share * SHARES_V1 / JAIL_SHARE_DEFAULT;

        (void)snprintf(weight.text, sizeof(weight.text), "%llu\n", (unsigned long long)shares);
        (void)snprintf(max.text, sizeof(max.text), "%lld\n", quota == 0 ? -1 : (long long)quota);
    } else {
        (void)snprintf(weight.text, sizeof(weight.text), "%llu\n", (unsigned long long)share);
        if (quota == 0)
            (void)snprintf(max.text, sizeof(max.text), "max %u\n", CPU_PERIOD_US);
        else
            (void)snprintf(max.text, sizeof(max.text), "%llu %u\n", (unsigned long long)quota,
                           CPU_PERIOD_US);
    }
    add_write(writes, count, weight);
    if (version == 1) {
        struct limit_write period = {GROUP_CPU, "cpu.cfs_period_us", false, ""};

        (void)snprintf(period.text, sizeof(period.text), "%u\n", CPU_PERIOD_US);
        add_write(writes, count, period);
    }
    add_write(writes, count, max);
}

static void
plan_memory(int version, uint64_t bytes, struct limit_write *writes, unsigned *count)
{
    struct limit_write limit = {GROUP_MEMORY, "memory.max", false, "max\n"};
    struct limit_write swap = {GROUP_MEMORY, "memory.swap.max", true, "max\n"};

    if (version == 2) {
        if (bytes != 0) {
            (void)snprintf(limit.text, sizeof(limit.text), "%llu\n", (unsigned long long)bytes);
            (void)snprintf(swap.text, sizeof(swap.text), "0\n");
        }
        add_write(writes, count, limit);
        add_write(writes, count, swap);
        /* A cell is one thing: no half of it goes on. */
        add_write(writes, count,
                  (struct limit_write){GROUP_MEMORY, "memory.oom.group", true, "1\n"});
        return;
    }
    /* Memory with swap is never below memory: out of the way first. */
    swap = (struct limit_write){GROUP_MEMORY, "memory.memsw.limit_in_bytes", true, "-1\n"};
    add_write(writes, count, swap);
    limit = (struct limit_write){GROUP_MEMORY, "memory.limit_in_bytes", false, "-1\n"};
    if (bytes != 0) {
        (void)snprintf(limit.text, sizeof(limit.text), "%llu\n", (unsigned long long)bytes);
        (void)memcpy(swap.text, limit.text, sizeof(swap.text));
    }
    add_write(writes, count, limit);
    add_write(writes, count, swap);
}

static unsigned
plan_limits(const struct group_tree *tree, const struct jail_limits *limits,
            struct limit_write *writes)
{
    struct limit_write processes = {GROUP_PROCESSES, "pids.max", false, "max\n"};
    unsigned count = 0;

    if (tree->places[GROUP_CPU].version != 0)
        plan_cpu(tree->places[GROUP_CPU].version, limits, writes, &count);
    if (tree->places[GROUP_MEMORY].version != 0)
        plan_memory(tree->places[GROUP_MEMORY].version, limits->memory_bytes, writes, &count);
    if (limits->processes != 0)
        (void)snprintf(processes.text, sizeof(processes.text), "%u\n", limits->processes);
    if (tree->places[GROUP_PROCESSES].version != 0)
        add_write(writes, &count, processes);
    return count;
}

static int
write_limits(const struct jail_group *group, const struct jail_limits *limits, struct diag *diag)
{
    struct limit_write writes[WRITES_MAX];
    unsigned count = plan_limits(&group->tree, limits, writes);
    char path[GROUP_PATH_MAX * 2];

    for (unsigned i = 0; i < count; i++) {
        int err = writes[i].is_optional ? 0 : fault_point("jail.start");

        folder_path(group, writes[i].controller, path);
        if (err == 0)
            err = group_file_write(path, writes[i].file, writes[i].text, O_TRUNC);
        if (err == 0 || writes[i].is_optional)
            continue;
        return diag_set(diag, err, "cannot set %s to %.*s: %s", writes[i].file,
                        (int)strcspn(writes[i].text, "\n"), writes[i].text, strerror(-err));
    }
    return 0;
}

int
group_limit(const struct jail_group *group, const struct jail_limits *limits,
            const struct jail_limits *old, struct diag *diag)
{
    int err = write_limits(group, limits, diag);

    if (err != 0 && old != NULL)
        (void)!write_limits(group, old, NULL);
    return err;
}

int
group_join_open(const struct jail_group *group, int fds[GROUP_CONTROLLERS], struct diag *diag)
{
    char path[GROUP_PATH_MAX * 2 + 16];
    int count = 0, err;

    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++) {
        if (!group_place_is_first(&group->tree, i))
            continue;
        folder_path(group, i, path);
        (void)strncat(path, "/cgroup.procs", 15);
        err = fault_point("jail.start");
        fds[count] = err != 0 ? -1 : open(path, O_WRONLY | O_CLOEXEC);
        if (fds[count] < 0) {
            err = err != 0 ? err : -errno;
            while (count-- > 0)
                (void)close(fds[count]);
            return diag_set(diag, err, "cannot open %s: %s", path, strerror(-err));
        }
        count++;
    }
    return count;
}

/* The number after a key ("key number" lines), or the only number without one. */
static uint64_t
read_number(const struct jail_group *group, enum group_controller controller, const char *file,
            const char *key)
{
    char path[GROUP_PATH_MAX * 2], text[4096];
    char *rest = text, *line;
    size_t length = key == NULL ? 0 : strlen(key);

    if (group->tree.places[controller].version == 0)
        return 0;
    folder_path(group, controller, path);
    if (group_file_read(path, file, text, sizeof(text)) != 0)
        return 0;
    if (key == NULL)
        return strtoull(text, NULL, 10);
    while ((line = strsep(&rest, "\n")) != NULL)
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return strtoull(line + length, NULL, 10);
    return 0;
}

uint32_t
group_memory_kills(const struct jail_group *group)
{
    const char *file =
        group->tree.places[GROUP_MEMORY].version == 1 ? "memory.oom_control" : "memory.events";

    return (uint32_t)read_number(group, GROUP_MEMORY, file, "oom_kill");
}

void
group_usage(const struct jail_group *group, struct jail_usage *out)
{
    bool is_old = group->tree.places[GROUP_MEMORY].version == 1;

    out->cpu_ns = group->tree.places[GROUP_ACCOUNT].version == 1
                      ? read_number(group, GROUP_ACCOUNT, "cpuacct.usage", NULL)
                      : read_number(group, GROUP_ACCOUNT, "cpu.stat", "usage_usec") * 1000;
    out->memory_bytes =
        read_number(group, GROUP_MEMORY, is_old ? "memory.usage_in_bytes" : "memory.current", NULL);
    out->memory_peak_bytes = read_number(
        group, GROUP_MEMORY, is_old ? "memory.max_usage_in_bytes" : "memory.peak", NULL);
    out->processes = (uint32_t)read_number(group, GROUP_PROCESSES, "pids.current", NULL);
    out->out_of_memory_kills = group_memory_kills(group);
}
