/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of jail:
 *
 *   jail.c     start, end and limits of a jail, seen from the host
 *   config.c   what may be asked, and which features that takes
 *   feature.c  what this machine gives this user
 *   child.c    the way of the new process from fork to main
 *   root.c     its file system
 *   drop.c     its rights
 *   group.c    control groups: where they are, one group, its limits
 *   sweep.c    groups whose host process is gone
 *   network.c  link and rate, through netlink
 *   seal.c     system calls
 */
#ifndef WEFT_JAIL_JAIL_INTERNAL_H
#define WEFT_JAIL_JAIL_INTERNAL_H

#include "jail/jail.h"

#define JAIL_NAME_MAX      64u
#define JAIL_LINK_NAME_MAX 15u
#define JAIL_USER_DEFAULT  65534u
#define JAIL_MEMORY_MIN    (UINT64_C(1) << 20)
#define JAIL_SHARE_DEFAULT 100u
#define JAIL_SHARE_MAX     10000u
#define JAIL_PERCENT_MAX   1000000u

/* config.c */
int jail_config_check(const struct jail_config *config, struct diag *diag) MUST_CHECK;
int jail_limits_check(const struct jail_limits *limits, struct diag *diag) MUST_CHECK;
/* The features without which the config cannot be had in full. */
uint32_t jail_config_wants(const struct jail_config *config);
/* The features that these limits take. */
uint32_t jail_limits_want(const struct jail_limits *limits);

/* feature.c: whether this process may do without a user namespace. */
bool jail_is_privileged(void);
/* The names of the features in the set, "a, b"; cut where too long. */
void jail_feature_list(uint32_t features, char *text, size_t text_bytes);

/* group.c */
enum group_controller { GROUP_CPU, GROUP_ACCOUNT, GROUP_MEMORY, GROUP_PROCESSES };
#define GROUP_CONTROLLERS 4u
#define GROUP_PATH_MAX    512u

/* Where this process may have groups: a folder per controller. */
struct group_tree {
    struct {
        int version; /* 1, 2; 0: not to be had */
        char path[GROUP_PATH_MAX];
    } places[GROUP_CONTROLLERS];
};

struct jail_group {
    struct group_tree tree;      /* of which only the controllers in use are kept */
    char folder[GROUP_PATH_MAX]; /* of the group, below each place */
};

/* Finds the places and makes the folder weft in each. root is put before every
 * path: "" except in tests. */
void group_tree_find(const char *root, struct group_tree *out);
/* Removes the folders weft where they are empty. */
void group_tree_leave(const struct group_tree *tree);
/* JAIL_CPU, JAIL_MEMORY, JAIL_PROCESSES: what groups made here enforce. */
uint32_t group_tree_features(const struct group_tree *tree);

/* Makes the group of a jail, without limits. Nothing is left on failure. */
int group_open(const struct group_tree *tree, const char *name, struct jail_group *out,
               struct diag *diag) MUST_CHECK;
/* Kills what is in it and removes it; waits a short time for the kernel. */
void group_close(struct jail_group *group);
/* Writes all limits; the old ones are put back on failure (old may be NULL). */
int group_limit(const struct jail_group *group, const struct jail_limits *limits,
                const struct jail_limits *old, struct diag *diag) MUST_CHECK;
/* Descriptors of its lists of processes: who writes "0" joins. Returns how many,
 * at most GROUP_CONTROLLERS, or -errno. */
int group_join_open(const struct jail_group *group, int fds[GROUP_CONTROLLERS],
                    struct diag *diag) MUST_CHECK;
void group_usage(const struct jail_group *group, struct jail_usage *out);
uint32_t group_memory_kills(const struct jail_group *group);

/* Sends SIGKILL to all processes of a group's folder. */
void group_kill(const char *path);
/* Removes a group's folder, asking again for a short time while it is busy. */
int group_remove(const char *path) MUST_CHECK;

/* sweep.c */
/* The folder's name of a jail of this process: NAME.PID.START.NAMESPACE. */
int group_folder_name(const char *name, char *out, size_t out_bytes) MUST_CHECK;
int group_tree_sweep(const struct group_tree *tree) MUST_CHECK;

/* child.c */
enum child_message_kind { CHILD_FORKED, CHILD_READY, CHILD_FAILED, CHILD_GO };
struct child_message {
    enum child_message_kind kind;
    int err;
    pid_t pid;
    char text[480];
};

/* What the new process needs to know; everything is borrowed. */
struct child_plan {
    const struct jail_config *config;
    uint32_t features; /* to be had, each or fail */
    bool is_privileged;
    int control; /* its end of the conversation */
    int joins[GROUP_CONTROLLERS];
    int join_count;
};

/* In the first fork: makes the namespaces and forks the confined process. */
NORETURN void child_run(const struct child_plan *plan);

/* root.c: makes and enters the root. Called with all rights in the namespaces.
 * has_proc: with /proc, which would show the host without a pid namespace. */
int root_enter(const struct jail_config *config, bool has_proc, struct diag *diag) MUST_CHECK;

/* drop.c */
/* Maps this process's user and group to themselves in its new user namespace;
 * self is the folder of this process in /proc. */
int drop_map_user(int self, uid_t user, gid_t group, struct diag *diag) MUST_CHECK;
/* Gives up users, groups, capabilities, and the way to new ones. */
int drop_rights(const struct child_plan *plan, int self, struct diag *diag) MUST_CHECK;

/* network.c */
struct network;
/* The pair, with one end in the network namespace netns. Nothing is left on failure. */
int network_create(const struct jail_network *config, int netns, uint64_t rate,
                   struct network **out, struct diag *diag) MUST_CHECK;
void network_destroy(struct network *network); /* NULL is fine */
int network_limit(struct network *network, uint64_t rate, struct diag *diag) MUST_CHECK;
int network_usage(const struct network *network, uint64_t *received, uint64_t *sent) MUST_CHECK;
int network_address_parse(const char *text, uint32_t *address, unsigned *bits) MUST_CHECK;
/* Whether a rated link can be made, tried in a fresh namespace. */
bool network_is_possible(void);
/* Switches the loopback of this process's network namespace on. */
int network_loopback_up(void) MUST_CHECK;

/* seal.c: how many system calls are allowed. */
size_t seal_allowed_count(void);

#endif
