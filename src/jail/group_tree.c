/* SPDX-License-Identifier: Apache-2.0
 *
 * Where this process may have control groups: below its own group, so that the
 * limits laid on this process hold for its jails as well. With version 2 a group
 * has either processes or groups with controllers, so there the group beside our
 * own is the second choice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "jail/group_internal.h"

#define TABLE_BYTES_MAX (UINT64_C(1) << 20)

static const struct {
    const char *v1, *v2; /* name of the controller */
} controllers[GROUP_CONTROLLERS] = {
    [GROUP_CPU] = {"cpu", "cpu"},
    [GROUP_ACCOUNT] = {"cpuacct", ""}, /* version 2 always counts */
    [GROUP_MEMORY] = {"memory", "memory"},
    [GROUP_PROCESSES] = {"pids", "pids"},
};

/* One line of mountinfo, cut in place. */
struct mount_line {
    char *root, *point, *type, *options;
};

int
group_file_write(const char *folder, const char *file, const char *text, int flags)
{
    char path[GROUP_PATH_MAX * 2];
    int fd, err;

    if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    /* O_CREAT does nothing in a kernel's tree; it lets a test have a tree of files. */
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0)
        return -errno;
    err = file_write_all(fd, text, strlen(text));
    (void)close(fd);
    return err;
}

int
group_file_read(const char *folder, const char *file, char *text, size_t text_bytes)
{
    char path[GROUP_PATH_MAX * 2];
    ssize_t count;
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    count = read(fd, text, text_bytes - 1);
    text[count > 0 ? count : 0] = '\0';
    (void)close(fd);
    return count < 0 ? -EIO : 0;
}

/* Whether a list of words, separated by one of the separators, has this word. */
static bool
has_word(const char *list, const char *word, const char *separators)
{
    size_t length = strlen(word);

    while (*list != '\0') {
        size_t part = strcspn(list, separators);

        if (part == length && strncmp(list, word, part) == 0)
            return true;
        list += part;
        list += *list != '\0';
    }
    return false;
}

static bool
split_mount(char *line, struct mount_line *out)
{
    char *rest = line, *tail;

    for (int i = 0; i < 3; i++)
        if (strsep(&rest, " ") == NULL)
            return false;
    out->root = strsep(&rest, " ");
    out->point = strsep(&rest, " ");
    tail = rest == NULL ? NULL : strstr(rest, " - ");
    if (tail == NULL)
        return false;
    rest = tail + 3;
    out->type = strsep(&rest, " ");
    (void)strsep(&rest, " ");
    out->options = rest;
    return out->options != NULL;
}

/* The path of this process's group for a controller ("" for version 2), as
 * /proc/self/cgroup has it. */
static bool
find_own(const char *table, const char *controller, char *out, size_t out_bytes)
{
    while (*table != '\0') {
        size_t length = strcspn(table, "\n");
        const char *names = memchr(table, ':', length);
        const char *path =
            names == NULL ? NULL : memchr(names + 1, ':', length - (size_t)(names + 1 - table));

        if (path != NULL) {
            char list[256];

            (void)snprintf(list, sizeof(list), "%.*s", (int)(path - names - 1), names + 1);
            if (controller[0] == '\0' ? list[0] == '\0' : has_word(list, controller, ",")) {
                int written = snprintf(out, out_bytes, "%.*s",
                                       (int)(length - (size_t)(path + 1 - table)), path + 1);

                return written < (int)out_bytes;
            }
        }
        table += length + (table[length] == '\n');
    }
    return false;
}

/* The folder of this process's group under a mount. */
static bool
own_folder(const char *root, const struct mount_line *mount, const char *own, char *out)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

    if (strncmp(own, mount->root, length) != 0 || (own[length] != '/' && own[length] != '\0'))
        return false;
    if (strcmp(own, "/") == 0)
        own = "";
    else
        own += length;
    return snprintf(out, GROUP_PATH_MAX - 8, "%s%s%s", root, mount->point,
                    strcmp(own, "/") == 0 ? "" : own) < (int)GROUP_PATH_MAX - 8;
}

static bool
make_weft(const char *folder, char *out)
{
    (void)snprintf(out, GROUP_PATH_MAX, "%.500s/weft", folder);
    return (mkdir(out, 0755) == 0 || errno == EEXIST) && access(out, W_OK) == 0;
}

static void
take_v1(const char *root, const char *table, const struct mount_line *mount, struct group_tree *out)
{
    char own[GROUP_PATH_MAX], folder[GROUP_PATH_MAX];

    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++) {
        if (out->places[i].version != 0 || !has_word(mount->options, controllers[i].v1, ","))
            continue;
        if (find_own(table, controllers[i].v1, own, sizeof(own)) &&
            own_folder(root, mount, own, folder) && make_weft(folder, out->places[i].path))
            out->places[i].version = 1;
    }
}

/* Hands a controller on to the groups below; false where it is not ours to give. */
static bool
hand_on(const char *folder, const char *controller)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "+%s\n", controller);
    return group_file_write(folder, "cgroup.subtree_control", text, O_APPEND) == 0;
}

/* The controllers that groups made in folder/weft would have: a set of bits. */
static unsigned
try_v2(const char *folder, char *weft)
{
    char present[256];
    unsigned taken = 0;

    if (group_file_read(folder, "cgroup.controllers", present, sizeof(present)) != 0)
        return 0;
    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++)
        if (controllers[i].v2[0] != '\0' && has_word(present, controllers[i].v2, " \n") &&
            hand_on(folder, controllers[i].v2))
            taken |= 1u << i;
    if (taken == 0 || !make_weft(folder, weft))
        return 0;
    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++)
        if ((taken & (1u << i)) != 0 && !hand_on(weft, controllers[i].v2))
            taken &= ~(1u << i);
    if (taken == 0)
        (void)rmdir(weft);
    return taken;
}

static void
take_v2(const char *root, const char *table, const struct mount_line *mount, struct group_tree *out)
{
    char own[GROUP_PATH_MAX], folder[GROUP_PATH_MAX], weft[GROUP_PATH_MAX];
    unsigned taken;

    if (!find_own(table, "", own, sizeof(own)) || !own_folder(root, mount, own, folder))
        return;
    taken = try_v2(folder, weft);
    if (taken == 0 && strlen(folder) > strlen(root) + strlen(mount->point)) {
        *strrchr(folder, '/') = '\0';
        taken = try_v2(folder, weft);
    }
    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++)
        if (taken != 0 && ((taken & (1u << i)) != 0 || i == GROUP_ACCOUNT)) {
            out->places[i].version = 2;
            (void)memcpy(out->places[i].path, weft, sizeof(weft));
        }
}

void
group_tree_find(const char *root, struct group_tree *out)
{
    struct buffer mounts = {0}, own = {0};
    char path[GROUP_PATH_MAX];
    char *rest, *line;

    (void)memset(out, 0, sizeof(*out));
    (void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
    if (file_read_all(path, TABLE_BYTES_MAX, &mounts, NULL) != 0)
        goto free_tables;
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    if (file_read_all(path, TABLE_BYTES_MAX, &own, NULL) != 0)
        goto free_tables;
    buffer_append(&mounts, "", 1);
    buffer_append(&own, "", 1);
    if (mounts.err != 0 || own.err != 0)
        goto free_tables;
    rest = (char *)mounts.bytes;
    while ((line = strsep(&rest, "\n")) != NULL) {
        struct mount_line mount;

        if (!split_mount(line, &mount))
            continue;
        if (strcmp(mount.type, "cgroup") == 0)
            take_v1(root, (const char *)own.bytes, &mount, out);
        else if (strcmp(mount.type, "cgroup2") == 0)
            take_v2(root, (const char *)own.bytes, &mount, out);
    }
free_tables:
    buffer_fini(&mounts);
    buffer_fini(&own);
}

bool
group_place_is_first(const struct group_tree *tree, unsigned index)
{
    if (tree->places[index].version == 0)
        return false;
    for (unsigned i = 0; i < index; i++)
        if (tree->places[i].version != 0 &&
            strcmp(tree->places[i].path, tree->places[index].path) == 0)
            return false;
    return true;
}

void
group_tree_leave(const struct group_tree *tree)
{
    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++)
        if (group_place_is_first(tree, i))
            (void)rmdir(tree->places[i].path);
}

uint32_t
group_tree_features(const struct group_tree *tree)
{
    uint32_t features = 0;

    if (tree->places[GROUP_CPU].version != 0)
        features |= JAIL_CPU;
    if (tree->places[GROUP_MEMORY].version != 0)
        features |= JAIL_MEMORY;
    if (tree->places[GROUP_PROCESSES].version != 0)
        features |= JAIL_PROCESSES;
    return features;
}
