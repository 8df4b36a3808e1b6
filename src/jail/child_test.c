/* SPDX-License-Identifier: Apache-2.0
 *
 * What a confined process sees of its host, and what it may do: as little as the
 * config says. Each test has the counterpart in which the same look finds something.
 */
#include <arpa/inet.h>
#include <cap-ng.h>
#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "jail/jail_testing.h"

#define ROOT_FEATURES (JAIL_MOUNT_NAMESPACE | JAIL_PID_NAMESPACE)

/* "a b c " of the entries of a folder, sorted. */
static void
list_folder(const char *path, char *text, size_t text_bytes)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < count; i++)
        if (entries[i]->d_name[0] != '.' && used < text_bytes)
            used += (size_t)snprintf(text + used, text_bytes - used, "%s ", entries[i]->d_name);
}

static int
look_at_root(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)context;
    (void)count;
    list_folder("/", answer.text, sizeof(answer.text));
    answer.numbers[0] = access("/etc/passwd", F_OK) == 0;
    answer.numbers[1] = open("/new", O_CREAT | O_WRONLY, 0600) >= 0 ? 0 : errno;
    answer.numbers[2] = mkdir("/usr/new", 0700) == 0 ? 0 : errno;
    answer.numbers[3] = access("/usr/bin/env", X_OK) == 0;
    answer.numbers[4] = access("/../../etc/passwd", F_OK) == 0;
    answer.numbers[5] = open("/data/file/null", O_RDONLY) >= 0 ? 0 : errno;
    return testing_answer(descriptors, &answer);
}

static void
test_only_the_paths_of_the_config_are_there_and_cannot_be_written(void **state)
{
    static const struct jail_path paths[] = {{"/usr", "/usr", false},
                                             {"/etc/group", "/deep/er/group", false},
                                             {"/dev", "/data/file", false}};
    struct jail_config config = testing_config("root", look_at_root);
    struct testing_answer answer;

    (void)state;
    testing_need(ROOT_FEATURES);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
    config.paths = paths;
    config.path_count = ARRAY_COUNT(paths);
    assert_int_equal(testing_run(config, &answer).code, 0);
    /* /proc is not there where the machine hides parts of its own. */
    if (strstr(answer.text, "proc") != NULL)
        assert_string_equal(answer.text, "data deep proc usr ");
    assert_int_equal(answer.numbers[0], 0);
    assert_int_equal(answer.numbers[1], EROFS);
    assert_int_equal(answer.numbers[2], EROFS);
    assert_int_equal(answer.numbers[3], 1);
    assert_int_equal(answer.numbers[4], 0);
    assert_int_equal(answer.numbers[5], EACCES); /* no devices */
}

static int
write_files(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    int fd = open("/w/made", O_CREAT | O_WRONLY, 0600);

    (void)context;
    (void)count;
    answer.numbers[0] = fd >= 0 && write(fd, "mine", 4) == 4 ? 0 : errno;
    answer.numbers[1] = open("/r/made", O_RDONLY) >= 0 ? 0 : errno;
    answer.numbers[2] = open("/r/other", O_CREAT | O_WRONLY, 0600) >= 0 ? 0 : errno;
    answer.numbers[3] = unlink("/r/made") == 0 ? 0 : errno;
    answer.numbers[4] = mount(NULL, "/r", NULL, MS_REMOUNT | MS_BIND, NULL) == 0 ? 0 : errno;
    answer.numbers[5] = umount2("/r", MNT_DETACH) == 0 ? 0 : errno;
    answer.numbers[6] = chroot("/w") == 0 ? 0 : errno;
    return testing_answer(descriptors, &answer);
}

static void
test_a_folder_is_written_only_where_the_config_says_so(void **state)
{
    char folder[] = "/tmp/weft-jail-XXXXXX", file[64];
    struct jail_path paths[] = {{folder, "/w", true}, {folder, "/r", false}};
    struct jail_config config = testing_config("write", write_files);
    struct testing_answer answer;

    (void)state;
    testing_need(JAIL_MOUNT_NAMESPACE);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0777), 0);
    config.paths = paths;
    config.path_count = ARRAY_COUNT(paths);
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 0);
    assert_int_equal(answer.numbers[1], 0);
    assert_int_equal(answer.numbers[2], EROFS);
    assert_int_equal(answer.numbers[3], EROFS);
    assert_int_equal(answer.numbers[4], EPERM);
    assert_int_equal(answer.numbers[5], EPERM);
    assert_int_equal(answer.numbers[6], EPERM);
    (void)snprintf(file, sizeof(file), "%s/made", folder);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void
test_a_link_that_a_tenant_left_is_not_followed_when_paths_are_placed(void **state)
{
    char folder[] = "/tmp/weft-jail-XXXXXX", trap[64];
    struct jail_path paths[] = {{folder, "/w", true}, {"/usr", "/w/trap/x", false}};
    struct jail_config config = testing_config("link", testing_stay);
    struct jail *jail = NULL;
    struct diag diag;

    (void)state;
    testing_need(JAIL_MOUNT_NAMESPACE);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(trap, sizeof(trap), "%s/trap", folder);
    assert_int_equal(symlink("/tmp", trap), 0);
    config.paths = paths;
    config.path_count = ARRAY_COUNT(paths);
    diag_init(&diag);
    assert_int_equal(jail_start(&config, &jail, &diag), -ENOTDIR);
    assert_non_null(strstr(diag_text(&diag), "/w/trap/x"));
    assert_int_equal(unlink(trap), 0);
    assert_int_equal(rmdir(folder), 0);
}

static int
look_at_processes(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)count;
    list_folder("/proc", answer.text, sizeof(answer.text));
    answer.numbers[0] = getpid();
    answer.numbers[1] = kill(*(pid_t *)context, 0) == 0 ? 0 : errno;
    answer.numbers[2] = getppid();
    answer.numbers[3] = access("/proc/self/pagemap", R_OK) == 0;
    return testing_answer(descriptors, &answer);
}

static void
test_processes_of_the_host_are_not_there(void **state)
{
    struct jail_config config = testing_config("processes", look_at_processes);
    struct testing_answer answer;
    pid_t self = getpid();

    (void)state;
    testing_need(ROOT_FEATURES);
    config.context = &self;
    assert_int_equal(kill(self, 0), 0);
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 1);
    assert_int_equal(answer.numbers[1], self == 1 ? 0 : ESRCH);
    assert_int_equal(answer.numbers[2], 0);
    if (answer.text[0] != '\0') {
        assert_string_equal(answer.text, "1 self thread-self ");
        assert_int_equal(answer.numbers[3], 1);
    }
}

/* Connects to port on 127.0.0.1; 0 or errno. */
static int
try_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;

    (void)close(fd);
    return err;
}

/* A listener on 127.0.0.1, and its port. */
static int
listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        return -1;
    *port = address.sin_port;
    return fd;
}

static int
look_at_network(void *context, const int *descriptors, size_t count)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct if_nameindex *links = if_nameindex();
    struct testing_answer answer = {0};
    uint16_t own = 0;
    int fd;

    (void)count;
    for (size_t i = 0; links != NULL && links[i].if_index != 0; i++)
        (void)strncat(answer.text, links[i].if_name, 20);
    answer.numbers[0] = try_connect(*(uint16_t *)context);
    answer.numbers[1] = listen_somewhere(&own) >= 0 ? try_connect(own) : -1;
    (void)inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    answer.numbers[2] = connect(fd, (struct sockaddr *)&far, sizeof(far)) == 0 ? 0 : errno;
    return testing_answer(descriptors, &answer);
}

static void
test_there_is_no_network_but_a_loopback_of_its_own(void **state)
{
    struct jail_config config = testing_config("network", look_at_network);
    struct testing_answer answer;
    uint16_t port = 0;
    int listener;

    (void)state;
    testing_need(JAIL_NET_NAMESPACE);
    listener = listen_somewhere(&port);
    assert_true(listener >= 0);
    assert_int_equal(try_connect(port), 0);
    config.context = &port;
    assert_int_equal(testing_run(config, &answer).code, 0);
    (void)close(listener);
    /* Kernels may put devices for tunnels into every namespace; they are down. */
    assert_non_null(strstr(answer.text, "lo"));
    assert_int_equal(answer.numbers[0], ECONNREFUSED);
    assert_int_equal(answer.numbers[1], 0);
    assert_int_equal(answer.numbers[2], ENETUNREACH);
}

static int
look_at_shared_memory(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)count;
    answer.numbers[0] = shmget(*(key_t *)context, 4096, 0) >= 0 ? 0 : errno;
    return testing_answer(descriptors, &answer);
}

static void
test_shared_memory_of_the_host_is_not_there(void **state)
{
    struct jail_config config = testing_config("ipc", look_at_shared_memory);
    key_t key = (key_t)(0x77000000 | getpid());
    struct testing_answer answer;
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);

    (void)state;
    testing_need(JAIL_IPC_NAMESPACE);
    assert_true(id >= 0);
    config.context = &key;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    assert_int_equal(answer.numbers[0], ENOENT);
}

static int
look_at_rights(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    struct rlimit files, cores;
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");

    (void)context;
    (void)count;
    answer.numbers[0] = getuid();
    answer.numbers[1] = getgid();
    answer.numbers[2] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    answer.numbers[3] = setresuid(0, 0, 0) == 0;
    answer.numbers[4] = getgroups(0, NULL);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_CORE, &cores);
    answer.numbers[5] = (long)files.rlim_max;
    answer.numbers[6] = (long)cores.rlim_max;
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "Cap", 3) == 0 && strstr(line, "0000000000000000") == NULL)
            (void)snprintf(answer.text, sizeof(answer.text), "%.200s", line);
    return testing_answer(descriptors, &answer);
}

static void
test_it_is_an_ordinary_user_without_any_rights(void **state)
{
    struct jail_config config = testing_config("rights", look_at_rights);
    bool is_root = jail_is_privileged();
    struct testing_answer answer;

    (void)state;
    testing_need(JAIL_NO_NEW_PRIVILEGES | JAIL_USER_NAMESPACE);
    config.limits.files = 40;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], is_root ? 65534 : getuid());
    assert_int_equal(answer.numbers[1], is_root ? 65534 : getgid());
    assert_int_equal(answer.numbers[2], 1);
    /* Root's own number is no change where root may not become another. */
    assert_int_equal(answer.numbers[3], answer.numbers[0] == 0);
    if (is_root)
        assert_int_equal(answer.numbers[4], 0);
    assert_int_equal(answer.numbers[5], 40);
    assert_int_equal(answer.numbers[6], 0);
    assert_string_equal(answer.text, "");
}

static void
test_the_user_may_be_chosen_by_root(void **state)
{
    struct jail_config config = testing_config("chosen", look_at_rights);
    struct testing_answer answer;

    (void)state;
    if (!jail_is_privileged())
        skip();
    config.user = 12345;
    config.group = 23456;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 12345);
    assert_int_equal(answer.numbers[1], 23456);
}

/* In a process that gives a right up: 0 when a jail of its kind can still be ended. */
static int
end_one_without(unsigned capability)
{
    struct jail_config config = testing_config("without", look_at_rights);
    struct testing_answer answer;
    struct jail *jail = NULL;

    (void)alarm(TESTING_WAIT_MS / 1000);
    if (capng_get_caps_process() != 0 ||
        capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability) != 0 ||
        capng_apply(CAPNG_SELECT_CAPS) != 0)
        return 1;
    if (jail_is_privileged() || (jail_features() & JAIL_NETWORK_RATE) != 0)
        return 2;
    if (testing_run(config, &answer).kind != JAIL_EXITED || answer.numbers[0] != getuid())
        return 3;
    config = testing_config("without", testing_stay);
    if (jail_start(&config, &jail, NULL) != 0)
        return 4;
    jail_destroy(jail); /* waits for its end */
    return testing_child_count() == 0 ? 0 : 5;
}

static void
test_root_that_may_not_do_all_is_as_others_and_can_end_it(void **state)
{
    static const unsigned needed[] = {CAP_KILL, CAP_SETUID, CAP_SYS_ADMIN};

    (void)state;
    if (!jail_is_privileged())
        skip();
    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        pid_t child = fork();
        int status = 0;

        if (child == 0)
            _exit(end_one_without(needed[i]));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static int
reach_past_limits(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)context;
    (void)count;
    while (dup(0) >= 0)
        answer.numbers[0]++;
    answer.numbers[1] = errno;
    return testing_answer(descriptors, &answer);
}

static void
test_the_limit_of_open_files_holds(void **state)
{
    struct jail_config config = testing_config("files", reach_past_limits);
    struct testing_answer answer;

    (void)state;
    config.limits.files = 10;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 6); /* 3 and the answer's are open */
    assert_int_equal(answer.numbers[1], EMFILE);
}

static int
make_children(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    pid_t child = fork();

    (void)context;
    (void)count;
    if (child == 0)
        for (;;)
            (void)pause();
    answer.numbers[0] = child;
    if (testing_answer(descriptors, &answer) != 0)
        return 1;
    for (;;)
        (void)pause();
}

static void
test_children_of_the_process_end_with_it(void **state)
{
    struct jail_config config = testing_config("children", make_children);
    struct testing_answer answer;
    struct jail *jail;
    int ends[2];

    (void)state;
    testing_need(JAIL_PID_NAMESPACE);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    config.descriptors = &ends[1];
    config.descriptor_count = 1;
    jail = testing_start(&config);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &answer, sizeof(answer)), sizeof(answer));
    assert_true(answer.numbers[0] > 1);
    jail_destroy(jail);
    /* Nobody holds the other end any more. */
    assert_int_equal(read(ends[0], &answer, sizeof(answer)), 0);
    (void)close(ends[0]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_paths_of_the_config_are_there_and_cannot_be_written),
        cmocka_unit_test(test_a_folder_is_written_only_where_the_config_says_so),
        cmocka_unit_test(test_a_link_that_a_tenant_left_is_not_followed_when_paths_are_placed),
        cmocka_unit_test(test_processes_of_the_host_are_not_there),
        cmocka_unit_test(test_there_is_no_network_but_a_loopback_of_its_own),
        cmocka_unit_test(test_shared_memory_of_the_host_is_not_there),
        cmocka_unit_test(test_it_is_an_ordinary_user_without_any_rights),
        cmocka_unit_test(test_the_user_may_be_chosen_by_root),
        cmocka_unit_test(test_root_that_may_not_do_all_is_as_others_and_can_end_it),
        cmocka_unit_test(test_the_limit_of_open_files_holds),
        cmocka_unit_test(test_children_of_the_process_end_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
