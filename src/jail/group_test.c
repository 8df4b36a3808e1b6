/* SPDX-License-Identifier: Apache-2.0
 *
 * Control groups: what is written where, against trees of files that stand for the
 * kernel's; and what the limits do, on the groups this machine has.
 */
#include <ftw.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/fault.h"
#include "base/file.h"
#include "jail/jail_testing.h"

#define MIB (UINT64_C(1) << 20)

static char fake[] = "/tmp/weft-groups-XXXXXX";

static void
put(const char *path, const char *text)
{
    char whole[600], *slash;
    int fd;

    (void)snprintf(whole, sizeof(whole), "%s%s", fake, path);
    for (slash = strchr(whole + strlen(fake) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0755);
        *slash = '/';
    }
    fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    (void)close(fd);
}

static const char *
get(const char *path, const char *file)
{
    static char text[512];
    char whole[900];
    ssize_t count;
    int fd;

    (void)snprintf(whole, sizeof(whole), "%s/%s", path, file);
    fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "(none)";
    count = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[count > 0 ? count : 0] = '\0';
    return text;
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int
make_fake(void **state)
{
    (void)state;
    (void)strncpy(fake, "/tmp/weft-groups-XXXXXX", sizeof(fake));
    return mkdtemp(fake) == NULL;
}

static int
remove_fake(void **state)
{
    (void)state;
    return nftw(fake, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Where the group's folder of a controller is. */
static const char *
folder(const struct jail_group *group, enum group_controller controller)
{
    static char path[GROUP_PATH_MAX * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", group->tree.places[controller].path, group->folder);
    return path;
}

static void
put_version_2(const char *own)
{
    put("/proc/self/mountinfo", "25 1 0:22 / /proc rw - proc proc rw\n"
                                "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 c rw\n");
    put("/proc/self/cgroup", own);
    put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
}

static void
test_version_2_limits_are_written_to_its_files(void **state)
{
    const struct jail_limits limits = {
        .cpu_share = 300, .cpu_percent = 150, .memory_bytes = 64 * MIB, .processes = 30};
    const struct jail_limits none = {0};
    struct jail_group group;
    struct group_tree tree;

    (void)state;
    put_version_2("0::/\n");
    group_tree_find(fake, &tree);
    assert_int_equal(group_tree_features(&tree), JAIL_CPU | JAIL_MEMORY | JAIL_PROCESSES);
    assert_int_equal(tree.places[GROUP_ACCOUNT].version, 2);
    assert_string_equal(tree.places[GROUP_CPU].path + strlen(fake), "/sys/fs/cgroup/weft");
    assert_string_equal(get(tree.places[GROUP_CPU].path, "../cgroup.subtree_control"),
                        "+cpu\n+memory\n+pids\n");
    assert_string_equal(get(tree.places[GROUP_CPU].path, "cgroup.subtree_control"),
                        "+cpu\n+memory\n+pids\n");
    assert_int_equal(group_open(&tree, "one", &group, NULL), 0);
    assert_int_equal(group_limit(&group, &limits, NULL, NULL), 0);
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.weight"), "300\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.max"), "150000 100000\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "memory.max"), "67108864\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "memory.swap.max"), "0\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "memory.oom.group"), "1\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "pids.max"), "30\n");
    assert_int_equal(group_limit(&group, &none, &limits, NULL), 0);
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.weight"), "100\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.max"), "max 100000\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "memory.max"), "max\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "pids.max"), "max\n");
}

static void
test_version_2_usage_is_read_from_its_files(void **state)
{
    struct jail_usage usage = {0};
    struct jail_group group;
    struct group_tree tree;
    char path[600];

    (void)state;
    put_version_2("0::/\n");
    group_tree_find(fake, &tree);
    assert_int_equal(group_open(&tree, "one", &group, NULL), 0);
#define PUT(file, text) \
    ((void)snprintf(path, sizeof(path), "%s/%s", folder(&group, GROUP_CPU) + strlen(fake), file), \
     put(path, text))
    PUT("cpu.stat", "usage_usec 1234\nuser_usec 1000\n");
    PUT("memory.current", "1000\n");
    PUT("memory.peak", "2000\n");
    PUT("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 1\n");
    PUT("pids.current", "4\n");
#undef PUT
    group_usage(&group, &usage);
    assert_int_equal(usage.cpu_ns, 1234000);
    assert_int_equal(usage.memory_bytes, 1000);
    assert_int_equal(usage.memory_peak_bytes, 2000);
    assert_int_equal(usage.out_of_memory_kills, 3);
    assert_int_equal(usage.processes, 4);
}

static void
test_version_2_uses_the_own_group_and_only_the_controllers_it_has(void **state)
{
    struct group_tree tree;

    (void)state;
    put_version_2("0::/system.slice/weft.service\n");
    put("/sys/fs/cgroup/system.slice/weft.service/cgroup.controllers", "memory pids\n");
    group_tree_find(fake, &tree);
    assert_int_equal(group_tree_features(&tree), JAIL_MEMORY | JAIL_PROCESSES);
    assert_string_equal(tree.places[GROUP_MEMORY].path + strlen(fake),
                        "/sys/fs/cgroup/system.slice/weft.service/weft");
}

static void
test_version_2_takes_the_group_beside_its_own_where_that_has_processes(void **state)
{
    struct group_tree tree;

    (void)state;
    put_version_2("0::/weft.service/host\n");
    put("/sys/fs/cgroup/weft.service/cgroup.controllers", "cpu memory pids\n");
    put("/sys/fs/cgroup/weft.service/host/cgroup.controllers", "cpu memory pids\n");
    /* Stands for the kernel's refusal of a group with processes. */
    put("/sys/fs/cgroup/weft.service/host/cgroup.subtree_control/refused", "");
    group_tree_find(fake, &tree);
    assert_int_equal(group_tree_features(&tree), JAIL_CPU | JAIL_MEMORY | JAIL_PROCESSES);
    assert_string_equal(tree.places[GROUP_MEMORY].path + strlen(fake),
                        "/sys/fs/cgroup/weft.service/weft");
}

static void
test_a_container_sees_its_group_as_the_root_of_the_mount(void **state)
{
    struct group_tree tree;

    (void)state;
    put("/proc/self/mountinfo", "40 1 0:30 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n"
                                "41 1 0:31 /docker/abc /cg/pids rw master:3 - cgroup x rw,pids\n");
    put("/proc/self/cgroup", "5:pids:/docker/abc/sub\n4:memory:/docker/abc\n");
    put("/cg/memory/tasks", "");
    put("/cg/pids/sub/tasks", "");
    group_tree_find(fake, &tree);
    assert_int_equal(group_tree_features(&tree), JAIL_MEMORY | JAIL_PROCESSES);
    assert_string_equal(tree.places[GROUP_MEMORY].path + strlen(fake), "/cg/memory/weft");
    assert_string_equal(tree.places[GROUP_PROCESSES].path + strlen(fake), "/cg/pids/sub/weft");
}

static void
put_version_1(void)
{
    put("/proc/self/mountinfo", "31 1 0:1 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                                "32 1 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n"
                                "33 1 0:3 / /cg/pids rw - cgroup cgroup rw,pids\n"
                                "34 1 0:4 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
                                "35 1 0:5 / /cg/unified rw - cgroup2 cgroup rw\n");
    put("/proc/self/cgroup", "4:pids:/\n3:memory:/mine\n1:cpu,cpuacct:/\n0::/\n");
    put("/cg/cpu/tasks", "");
    put("/cg/memory/mine/tasks", "");
    put("/cg/pids/tasks", "");
    put("/cg/unified/cgroup.controllers", "\n");
}

static void
test_version_1_limits_are_written_to_its_files(void **state)
{
    const struct jail_limits limits = {
        .cpu_share = 300, .cpu_percent = 50, .memory_bytes = 64 * MIB, .processes = 30};
    const struct jail_limits none = {0};
    struct jail_group group;
    struct group_tree tree;

    (void)state;
    put_version_1();
    group_tree_find(fake, &tree);
    assert_int_equal(group_tree_features(&tree), JAIL_CPU | JAIL_MEMORY | JAIL_PROCESSES);
    assert_string_equal(tree.places[GROUP_MEMORY].path + strlen(fake), "/cg/memory/mine/weft");
    /* Mounted together: one folder for both. */
    assert_string_equal(tree.places[GROUP_ACCOUNT].path, tree.places[GROUP_CPU].path);
    assert_int_equal(group_open(&tree, "one", &group, NULL), 0);
    assert_int_equal(group_limit(&group, &limits, NULL, NULL), 0);
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.shares"), "3072\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.cfs_period_us"), "100000\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.cfs_quota_us"), "50000\n");
    assert_string_equal(get(folder(&group, GROUP_MEMORY), "memory.limit_in_bytes"), "67108864\n");
    assert_string_equal(get(folder(&group, GROUP_MEMORY), "memory.memsw.limit_in_bytes"),
                        "67108864\n");
    assert_string_equal(get(folder(&group, GROUP_PROCESSES), "pids.max"), "30\n");
    assert_int_equal(group_limit(&group, &none, &limits, NULL), 0);
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.shares"), "1024\n");
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.cfs_quota_us"), "-1\n");
    assert_string_equal(get(folder(&group, GROUP_MEMORY), "memory.limit_in_bytes"), "-1\n");
}

static void
test_limits_that_cannot_be_written_leave_the_old_ones(void **state)
{
    const struct jail_limits old = {.cpu_share = 200, .memory_bytes = 64 * MIB, .processes = 30};
    const struct jail_limits next = {.cpu_share = 300, .memory_bytes = 32 * MIB, .processes = 20};
    struct jail_group group;
    struct group_tree tree;
    unsigned nth = 1;
    int err = -EIO;

    (void)state;
    put_version_2("0::/\n");
    group_tree_find(fake, &tree);
    assert_int_equal(group_open(&tree, "one", &group, NULL), 0);
    assert_int_equal(group_limit(&group, &old, NULL, NULL), 0);
    for (; nth < 20; nth++) {
        struct diag diag;

        diag_init(&diag);
        fault_arm("jail.start", nth, -EIO);
        err = group_limit(&group, &next, &old, &diag);
        if (!fault_disarm())
            break;
        assert_int_equal(err, -EIO);
        assert_non_null(strstr(diag_text(&diag), "cannot set"));
        assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.weight"), "200\n");
        assert_string_equal(get(folder(&group, GROUP_CPU), "memory.max"), "67108864\n");
        assert_string_equal(get(folder(&group, GROUP_CPU), "pids.max"), "30\n");
    }
    assert_int_equal(err, 0);
    assert_int_equal(nth, 5); /* weight, quota, memory, processes */
    assert_string_equal(get(folder(&group, GROUP_CPU), "cpu.weight"), "300\n");
}

static void
test_a_sweep_takes_the_groups_of_the_dead_and_no_others(void **state)
{
    struct group_tree tree;
    char own[200], path[1800];
    pid_t dead = fork();

    (void)state;
    if (dead == 0)
        _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    put_version_1();
    group_tree_find(fake, &tree);
    assert_int_equal(group_folder_name("mine", own, sizeof(own)), 0);
#define MAKE(...) \
    ((void)snprintf(path, sizeof(path), __VA_ARGS__), assert_int_equal(mkdir(path, 0755), 0))
    MAKE("%s/%s", tree.places[GROUP_MEMORY].path, own);
    /* The same pid and namespace, but of a process that began at another time. */
    MAKE("%s/old.%d.1.%s", tree.places[GROUP_MEMORY].path, (int)getpid(), strrchr(own, '.') + 1);
    MAKE("%s/gone.%d.7.%s", tree.places[GROUP_PROCESSES].path, (int)dead, strrchr(own, '.') + 1);
    MAKE("%s/far.%d.7.12345", tree.places[GROUP_PROCESSES].path, (int)dead);
    MAKE("%s/not-ours", tree.places[GROUP_PROCESSES].path);
#undef MAKE
    assert_int_equal(group_tree_sweep(&tree), 0);
    (void)snprintf(path, sizeof(path), "ls %s %s | grep -v : | sort | tr '\\n' ' '",
                   tree.places[GROUP_MEMORY].path, tree.places[GROUP_PROCESSES].path);
    {
        char line[512] = "", expected[512];
        FILE *pipe = popen(path, "r");

        assert_non_null(pipe);
        assert_non_null(fgets(line, sizeof(line), pipe));
        (void)pclose(pipe);
        (void)snprintf(expected, sizeof(expected), " far.%d.7.12345 %s not-ours ", (int)dead, own);
        assert_string_equal(line, expected);
    }
}

/* Touches memory of that many MiB and says so by its exit code. */
static int
touch_memory(void *context, const int *descriptors, size_t count)
{
    size_t bytes = *(size_t *)context * MIB;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)descriptors;
    (void)count;
    if (memory == MAP_FAILED)
        return 1;
    (void)memset(memory, 1, bytes);
    return 42;
}

/* "0\n" for each process of another namespace, so many that what is read at once ends in
 * the middle of a number; its beginning is the number of a process that has to live. */
static void
test_a_number_that_is_cut_names_nobody_to_kill(void **state)
{
    char path[600], list[8192];
    pid_t bystander = fork();
    size_t digits, count;
    int status;

    (void)state;
    if (bystander == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        for (;;)
            (void)pause();
    }
    digits = (size_t)snprintf(path, sizeof(path), "%d", (int)bystander);
    (void)memset(list, '0', sizeof(list));
    count = 4095 - digits;
    for (size_t i = 1 + count % 2; i < count; i += 2)
        list[i] = '\n';
    list[count - 1] = '\n';
    (void)snprintf(list + count, sizeof(list) - count, "%d999\n", (int)bystander);
    put("/many/cgroup.procs", list);
    (void)snprintf(path, sizeof(path), "%s/many", fake);
    group_kill(path);
    assert_int_equal(kill(bystander, SIGTERM), 0);
    assert_int_equal(waitpid(bystander, &status, 0), bystander);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void
test_who_exceeds_its_memory_is_stopped_and_the_neighbour_goes_on(void **state)
{
    struct jail_config config = testing_config("glutton", touch_memory);
    struct jail_config other = testing_config("neighbour", testing_stay);
    struct jail_usage usage;
    size_t mib = 256;
    struct jail *glutton, *neighbour;
    struct jail_end end;

    (void)state;
    testing_need(JAIL_MEMORY);
    config.context = &mib;
    config.limits.memory_bytes = 64 * MIB;
    other.limits.memory_bytes = 64 * MIB;
    neighbour = testing_start(&other);
    glutton = testing_start(&config);
    end = testing_wait(glutton);
    assert_int_equal(end.kind, JAIL_OUT_OF_MEMORY);
    assert_int_equal(end.code, SIGKILL);
    assert_int_equal(jail_usage(glutton, &usage), 0);
    assert_true(usage.out_of_memory_kills >= 1);
    assert_true(usage.memory_peak_bytes <= 64 * MIB);
    assert_int_equal(jail_poll(neighbour, &end), 0);
    assert_int_equal(end.kind, JAIL_RUNNING);
    jail_destroy(glutton);
    jail_destroy(neighbour);
}

static void
test_who_stays_below_its_memory_goes_on(void **state)
{
    struct jail_config config = testing_config("modest", touch_memory);
    size_t mib = 16;
    struct jail_usage usage;
    struct jail *jail;

    (void)state;
    testing_need(JAIL_MEMORY);
    config.context = &mib;
    config.limits.memory_bytes = 64 * MIB;
    jail = testing_start(&config);
    assert_int_equal(testing_wait(jail).code, 42);
    assert_int_equal(jail_usage(jail, &usage), 0);
    assert_true(usage.memory_peak_bytes >= 16 * MIB || usage.memory_peak_bytes == 0);
    assert_int_equal(usage.out_of_memory_kills, 0);
    jail_destroy(jail);
}

static int
fork_often(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)context;
    (void)count;
    for (answer.numbers[0] = 0; answer.numbers[0] < 50; answer.numbers[0]++) {
        pid_t child = fork();

        if (child == 0)
            for (;;)
                (void)pause();
        if (child < 0)
            break;
    }
    answer.numbers[1] = errno;
    return testing_answer(descriptors, &answer);
}

static void
test_the_limit_of_processes_holds(void **state)
{
    struct jail_config config = testing_config("forks", fork_often);
    struct testing_answer answer;

    (void)state;
    testing_need(JAIL_PROCESSES | JAIL_PID_NAMESPACE);
    config.limits.processes = 8;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 7);
    assert_int_equal(answer.numbers[1], EAGAIN);
    config.limits.processes = 0;
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], 50);
}

/* Computes for that many milliseconds of processor time. */
static int
compute(void *context, const int *descriptors, size_t count)
{
    clock_t end = clock() + *(long *)context * (CLOCKS_PER_SEC / 1000);

    (void)descriptors;
    (void)count;
    while (clock() < end)
        continue;
    return 0;
}

static void
test_the_processor_time_is_counted(void **state)
{
    struct jail_config config = testing_config("time", compute);
    struct jail_usage usage;
    long ms = 50;
    struct jail *jail;

    (void)state;
    testing_need(JAIL_CPU);
    config.context = &ms;
    jail = testing_start(&config);
    assert_int_equal(testing_wait(jail).code, 0);
    assert_int_equal(jail_usage(jail, &usage), 0);
    assert_true(usage.cpu_ns >= 49000000u);
    jail_destroy(jail);
}

static int
wait_and_touch(void *context, const int *descriptors, size_t count)
{
    char byte;

    return read(descriptors[0], &byte, 1) == 1 ? touch_memory(context, descriptors, count) : 98;
}

static void
test_limits_may_change_while_it_runs(void **state)
{
    struct jail_config config = testing_config("changed", wait_and_touch);
    struct jail_limits limits = {.memory_bytes = 512 * MIB, .processes = 9};
    size_t mib = 128;
    struct jail *jail;
    int ends[2];

    (void)state;
    testing_need(JAIL_MEMORY | JAIL_PROCESSES);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    config.descriptors = &ends[0];
    config.descriptor_count = 1;
    config.context = &mib;
    config.limits.memory_bytes = 64 * MIB;
    jail = testing_start(&config);
    assert_int_equal(jail_limit(jail, &limits, NULL), 0);
    limits.memory_bytes = 1;
    assert_int_equal(jail_limit(jail, &limits, NULL), -EINVAL);
    fault_arm("jail.limit", 1, -EIO);
    limits.memory_bytes = 64 * MIB;
    assert_int_equal(jail_limit(jail, &limits, NULL), -EIO);
    assert_true(fault_disarm());
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(testing_wait(jail).code, 42);
    jail_destroy(jail);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void
test_the_limit_of_files_changes_or_the_missing_right_is_named(void **state)
{
    struct jail_config config = testing_config("refiled", testing_stay);
    struct jail_limits limits = {.files = 30};
    struct jail *jail;
    struct diag diag;
    int err;

    (void)state;
    config.limits.files = 40;
    jail = testing_start(&config);
    diag_init(&diag);
    err = jail_limit(jail, &limits, &diag);
    if (err != 0) {
        assert_int_equal(err, -EPERM);
        assert_non_null(strstr(diag_text(&diag), "CAP_SYS_RESOURCE"));
    }
    jail_destroy(jail);
}

int
main(void)
{
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, make_fake, remove_fake)
    static const struct CMUnitTest tests[] = {
        ON_FILES(test_version_2_limits_are_written_to_its_files),
        ON_FILES(test_version_2_usage_is_read_from_its_files),
        ON_FILES(test_version_2_uses_the_own_group_and_only_the_controllers_it_has),
        ON_FILES(test_version_2_takes_the_group_beside_its_own_where_that_has_processes),
        ON_FILES(test_a_container_sees_its_group_as_the_root_of_the_mount),
        ON_FILES(test_version_1_limits_are_written_to_its_files),
        ON_FILES(test_limits_that_cannot_be_written_leave_the_old_ones),
        ON_FILES(test_a_sweep_takes_the_groups_of_the_dead_and_no_others),
        ON_FILES(test_a_number_that_is_cut_names_nobody_to_kill),
        cmocka_unit_test(test_who_exceeds_its_memory_is_stopped_and_the_neighbour_goes_on),
        cmocka_unit_test(test_who_stays_below_its_memory_goes_on),
        cmocka_unit_test(test_the_limit_of_processes_holds),
        cmocka_unit_test(test_the_processor_time_is_counted),
        cmocka_unit_test(test_limits_may_change_while_it_runs),
        cmocka_unit_test(test_the_limit_of_files_changes_or_the_missing_right_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
