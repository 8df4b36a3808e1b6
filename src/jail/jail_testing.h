/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of jails: start one, hear what it says, wait for its end.
 */
#ifndef WEFT_JAIL_JAIL_TESTING_H
#define WEFT_JAIL_JAIL_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/jail_internal.h"

#define TESTING_WAIT_MS 60000

/* What a confined main writes to its first descriptor. */
struct testing_answer {
    long numbers[8];
    char text[256];
};

/* Skips the test where the machine has not what it is about. */
static inline void
testing_need(uint32_t features)
{
    if ((jail_features() & features) == features)
        return;
    print_message("skipped: this machine or user lacks what the test is about\n");
    skip();
}

static inline struct jail_config
testing_config(const char *name, jail_main_fn main)
{
    return (struct jail_config){.name = name, .main = main, .stdio = {-1, 2, 2}};
}

static inline struct jail *
testing_start(const struct jail_config *config)
{
    struct jail *jail = NULL;
    struct diag diag;

    diag_init(&diag);
    if (jail_start(config, &jail, &diag) != 0)
        fail_msg("cannot start: %s", diag_text(&diag));
    assert_non_null(jail);
    return jail;
}

static inline struct jail_end
testing_wait(struct jail *jail)
{
    struct pollfd end = {.fd = jail_pidfd(jail), .events = POLLIN};
    struct jail_end out;

    assert_int_equal(poll(&end, 1, TESTING_WAIT_MS), 1);
    assert_int_equal(jail_poll(jail, &out), 0);
    assert_int_not_equal(out.kind, JAIL_RUNNING);
    return out;
}

/* Runs main with a descriptor for its answer and these settings, to its end. */
static inline struct jail_end
testing_run(struct jail_config config, struct testing_answer *answer)
{
    struct jail_end end;
    struct jail *jail;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    config.descriptors = &ends[1];
    config.descriptor_count = 1;
    jail = testing_start(&config);
    (void)close(ends[1]);
    end = testing_wait(jail);
    (void)memset(answer, 0, sizeof(*answer));
    if (end.kind == JAIL_EXITED && end.code == 0)
        assert_int_equal(read(ends[0], answer, sizeof(*answer)), sizeof(*answer));
    (void)close(ends[0]);
    jail_destroy(jail);
    return end;
}

/* For a confined main: says it and returns the exit code. */
static inline int
testing_answer(const int *descriptors, const struct testing_answer *answer)
{
    return write(descriptors[0], answer, sizeof(*answer)) == sizeof(*answer) ? 0 : 99;
}

/* A confined main that stays until it is killed. */
NORETURN static inline int
testing_stay(void *context, const int *descriptors, size_t count)
{
    (void)context;
    (void)descriptors;
    (void)count;
    for (;;)
        (void)pause();
}

static inline int
testing_exit_zero(void *context, const int *descriptors, size_t count)
{
    (void)context;
    (void)descriptors;
    (void)count;
    return 0;
}

/* How many folders of jails this process has in its control groups; of all trees. */
static inline unsigned
testing_group_count(const char *name)
{
    struct group_tree tree;
    char command[GROUP_PATH_MAX * 2], line[32];
    unsigned count = 0;

    group_tree_find("", &tree);
    for (unsigned i = 0; i < GROUP_CONTROLLERS; i++) {
        FILE *pipe;

        if (tree.places[i].version == 0)
            continue;
        (void)snprintf(command, sizeof(command), "ls -d %s/%s.* 2>/dev/null | wc -l",
                       tree.places[i].path, name);
        pipe = popen(command, "r");
        assert_non_null(pipe);
        assert_non_null(fgets(line, sizeof(line), pipe));
        count += (unsigned)atoi(line);
        (void)pclose(pipe);
    }
    group_tree_leave(&tree);
    return count;
}

/* How many children this process has, ended ones too. */
static inline unsigned
testing_child_count(void)
{
    char path[64], text[4096];
    unsigned count = 0;
    ssize_t bytes;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bytes = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    for (ssize_t i = 0; i < bytes; i++)
        count += text[i] == ' ';
    return count;
}

static inline unsigned
testing_fd_count(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#endif
