/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's folder is named NAME.PID.START.NAMESPACE after its host process: the
 * pid, its start time, and the pid namespace in which that pid means something.
 * So a sweep needs no record beside the groups, and does not touch the groups of
 * hosts it cannot see.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/group_internal.h"

#define START_FIELD 22 /* of /proc/PID/stat */

struct owner {
    unsigned long pid;
    unsigned long long start, name_space;
};

/* 0: no such process. */
static unsigned long long
start_time(unsigned long pid)
{
    char folder[48], text[1024];
    const char *field;

    (void)snprintf(folder, sizeof(folder), "/proc/%lu", pid);
    if (group_file_read(folder, "stat", text, sizeof(text)) != 0)
        return 0;
    /* The name, field 2, is in parentheses and may have any byte. */
    field = strrchr(text, ')');
    for (int i = 2; field != NULL && i < START_FIELD; i++) {
        field = strchr(field, ' ');
        field = field == NULL ? NULL : field + 1;
    }
    return field == NULL ? 0 : strtoull(field, NULL, 10);
}

static unsigned long long
own_namespace(void)
{
    struct stat status;

    return stat("/proc/self/ns/pid", &status) != 0 ? 0 : (unsigned long long)status.st_ino;
}

int
group_folder_name(const char *name, char *out, size_t out_bytes)
{
    unsigned long pid = (unsigned long)getpid();
    unsigned long long start = start_time(pid);

    if (start == 0)
        return -ENOENT;
    return snprintf(out, out_bytes, "%s.%lu.%llu.%llu", name, pid, start, own_namespace()) <
                   (int)out_bytes
               ? 0
               : -ENAMETOOLONG;
}

static bool
parse_owner(const char *folder, struct owner *out)
{
    const char *rest = strchr(folder, '.');
    int end = 0;

    return rest != NULL &&
           sscanf(rest, ".%lu.%llu.%llu%n", &out->pid, &out->start, &out->name_space, &end) == 3 &&
           rest[end] == '\0';
}

static bool
is_orphan(const char *folder)
{
    struct owner owner;

    return parse_owner(folder, &owner) && owner.name_space == own_namespace() &&
           start_time(owner.pid) != owner.start;
}

static int
sweep_place(const char *place)
{
    char path[GROUP_PATH_MAX * 2];
    DIR *folder = opendir(place);
    struct dirent *entry;
    int err = 0, first = 0;

    if (folder == NULL)
        return errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(folder)) != NULL) {
        if (!is_orphan(entry->d_name))
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", place, entry->d_name);
        group_kill(path);
        err = group_remove(path);
        first = first != 0 ? first : err;
    }
    (void)closedir(folder);
    return first;
}

int
group_tree_sweep(const struct group_tree *tree)
{
    int err, first = 0;

    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++)
        if (group_place_is_first(tree, i)) {
            err = sweep_place(tree->places[i].path);
            first = first != 0 ? first : err;
        }
    group_tree_leave(tree);
    return first;
}

int
jail_sweep(void)
{
    struct group_tree tree;

    group_tree_find("", &tree);
    return group_tree_sweep(&tree);
}
