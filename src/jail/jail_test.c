/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a jail: start, descriptors, end, and what a failed start leaves.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "jail/jail_testing.h"

#define THREADS         6
#define START_STEPS_MAX 100u

static int
exit_seven(void *context, const int *descriptors, size_t count)
{
    (void)descriptors;
    return *(int *)context == 5 && count == 0 ? 7 : 1;
}

static void
test_main_runs_and_its_result_is_the_exit_code(void **state)
{
    struct jail_config config = testing_config("life", exit_seven);
    int number = 5;
    struct jail_end end;
    struct jail *jail;

    (void)state;
    config.context = &number;
    jail = testing_start(&config);
    assert_true(jail_pid(jail) > 0);
    end = testing_wait(jail);
    assert_int_equal(end.kind, JAIL_EXITED);
    assert_int_equal(end.code, 7);
    /* Asked again, it says the same. */
    assert_int_equal(jail_poll(jail, &end), 0);
    assert_int_equal(end.code, 7);
    jail_destroy(jail);
    assert_int_equal(testing_child_count(), 0);
    assert_int_equal(testing_group_count("life"), 0);
}

static void
test_a_killed_process_is_reported_and_not_as_out_of_memory(void **state)
{
    struct jail_config config = testing_config("killed", testing_stay);
    struct jail *jail = testing_start(&config);
    struct jail_end end;

    (void)state;
    assert_int_equal(jail_poll(jail, &end), 0);
    assert_int_equal(end.kind, JAIL_RUNNING);
    assert_int_equal(kill(jail_pid(jail), SIGKILL), 0);
    end = testing_wait(jail);
    assert_int_equal(end.kind, JAIL_SIGNALLED);
    assert_int_equal(end.code, SIGKILL);
    jail_destroy(jail);
}

static int
crash(void *context, const int *descriptors, size_t count)
{
    (void)descriptors;
    (void)count;
    (void)signal(SIGSEGV, SIG_DFL);
    *(volatile int *)context = 1;
    return 0;
}

static void
test_a_fault_is_reported_with_its_signal(void **state)
{
    struct jail_config config = testing_config("fault", crash);
    struct testing_answer answer;
    struct jail_end end;

    (void)state;
    config.context = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end = testing_run(config, &answer);
    assert_int_equal(end.kind, JAIL_SIGNALLED);
    assert_int_equal(end.code, SIGSEGV);
}

static void
test_destroy_ends_a_process_that_runs(void **state)
{
    struct jail_config config = testing_config("ended", testing_stay);
    struct jail *jail = testing_start(&config);
    pid_t pid = jail_pid(jail);

    (void)state;
    jail_destroy(jail);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(testing_group_count("ended"), 0);
    jail_destroy(NULL);
}

/* Says which descriptors are open, as bits, and what the first two after the answer hold. */
static int
look_at_descriptors(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)context;
    for (int fd = 0; fd < 60; fd++)
        answer.numbers[0] |= fcntl(fd, F_GETFD) >= 0 ? 1L << fd : 0;
    for (int fd = 60; fd < 1024; fd++)
        answer.numbers[1] += fcntl(fd, F_GETFD) >= 0;
    answer.numbers[2] = (long)count;
    answer.numbers[3] = descriptors[2];
    answer.numbers[4] = pread(descriptors[1], answer.text, 10, 0);
    answer.numbers[5] = pread(descriptors[2], answer.text + 10, 10, 0);
    answer.numbers[6] = read(0, answer.text + 20, 1);
    return testing_answer(descriptors, &answer);
}

static int
make_memfd(const char *text)
{
    int fd = memfd_create("test", 0);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void
test_only_the_named_descriptors_are_open_and_in_their_order(void **state)
{
    struct jail_config config = testing_config("open", look_at_descriptors);
    struct testing_answer answer;
    struct jail *jail;
    int secret = make_memfd("secret"), b = make_memfd("bbbb"), a = make_memfd("aaaa");
    int far = fcntl(secret, F_DUPFD, 700), ends[2], fds[3];

    (void)state;
    assert_int_equal(far, 700);
    assert_int_equal(pipe(ends), 0);
    fds[0] = ends[1];
    fds[1] = a;
    fds[2] = b;
    config.descriptors = fds;
    config.descriptor_count = 3;
    jail = testing_start(&config);
    assert_int_equal(testing_wait(jail).code, 0);
    assert_int_equal(read(ends[0], &answer, sizeof(answer)), sizeof(answer));
    assert_int_equal(answer.numbers[0], 0x3f);
    assert_int_equal(answer.numbers[1], 0);
    assert_int_equal(answer.numbers[2], 3);
    assert_int_equal(answer.numbers[3], 5);
    assert_string_equal(answer.text, "aaaa");
    assert_string_equal(answer.text + 10, "bbbb");
    assert_int_equal(answer.numbers[6], 0); /* standard input is empty */
    jail_destroy(jail);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    (void)close(ends[0]);
    (void)close(secret);
    (void)close(far);
}

static void
test_bad_configs_are_refused_by_name(void **state)
{
    const struct jail_path climbing = {"/usr", "/a/../b", false};
    const struct jail_path proc = {"/usr", "/proc/x", false};
    struct jail_config good = testing_config("good", testing_exit_zero), bad;
    struct jail *jail = NULL;
    struct diag diag;

#define REFUSED(change, word) \
    do { \
        bad = good; \
        change; \
        diag_init(&diag); \
        assert_int_equal(jail_start(&bad, &jail, &diag), -EINVAL); \
        assert_non_null(strstr(diag_text(&diag), word)); \
        assert_null(jail); \
    } while (0)
    (void)state;
    REFUSED(bad.name = "../up", "../up");
    REFUSED(bad.name = "", "name");
    REFUSED(bad.name = "a.b", "a.b");
    REFUSED(bad.main = NULL, "main");
    REFUSED((bad.paths = &climbing, bad.path_count = 1), "/a/../b");
    REFUSED((bad.paths = &proc, bad.path_count = 1), "/proc");
    REFUSED(bad.path_count = JAIL_PATHS_MAX + 1, "64");
    REFUSED(bad.descriptor_count = JAIL_DESCRIPTORS_MAX + 1, "64");
    REFUSED(bad.limits.cpu_share = 10001, "10001");
    REFUSED(bad.limits.memory_bytes = 4096, "4096");
    REFUSED(bad.limits.files = 2, "2 files");
    REFUSED(bad.network.address = "10.1.0.2", "name");
    REFUSED((bad.network.address = "10.1.0.2", bad.network.name = "x"), "10.1.0.2");
    REFUSED((bad.network.address = "10.1.0.2/33", bad.network.name = "x"), "/33");
#undef REFUSED
}

static void
test_a_second_jail_of_a_name_is_refused_and_the_first_stays(void **state)
{
    struct jail_config config = testing_config("twice", testing_stay);
    struct jail *first, *second = NULL;
    struct jail_end end;
    struct diag diag;

    (void)state;
    testing_need(JAIL_MEMORY);
    first = testing_start(&config);
    diag_init(&diag);
    assert_int_equal(jail_start(&config, &second, &diag), -EEXIST);
    assert_non_null(strstr(diag_text(&diag), "unique"));
    assert_int_equal(jail_poll(first, &end), 0);
    assert_int_equal(end.kind, JAIL_RUNNING);
    assert_true(testing_group_count("twice") > 0);
    jail_destroy(first);
}

/* A start with everything in it, for the faults. */
static struct jail_config
full_config(const char *name)
{
    static const struct jail_path paths[] = {{"/usr", "/usr", false}, {"/etc/passwd", "/p", false}};
    struct jail_config config = testing_config(name, testing_stay);

    config.paths = paths;
    config.path_count = ARRAY_COUNT(paths);
    config.limits = (struct jail_limits){.cpu_share = 200,
                                         .cpu_percent = 50,
                                         .memory_bytes = 64 << 20,
                                         .processes = 20,
                                         .files = 50,
                                         .network_rate = 1 << 20};
    config.network = (struct jail_network){"weft-test0", "10.250.9.2/30", "10.250.9.1/30"};
    return config;
}

static bool
has_link(void)
{
    char text[8192];
    int fd = open("/proc/net/dev", O_RDONLY | O_CLOEXEC);
    ssize_t count = read(fd, text, sizeof(text) - 1);

    (void)close(fd);
    text[count > 0 ? count : 0] = '\0';
    return strstr(text, "weft-test0") != NULL;
}

static void
fail_each_step(const char *point)
{
    struct jail_config config = full_config("steps");
    unsigned fds = testing_fd_count(), nth;
    struct jail *jail = NULL;
    int err = -EIO;

    (void)jail_features();
    for (nth = 1; nth < START_STEPS_MAX; nth++) {
        struct diag diag;

        diag_init(&diag);
        fault_arm(point, nth, -EIO);
        err = jail_start(&config, &jail, &diag);
        (void)fault_disarm();
        if (err == 0)
            break;
        assert_int_equal(err, -EIO);
        assert_true(strlen(diag_text(&diag)) > 0);
        assert_null(jail);
        assert_int_equal(testing_child_count(), 0);
        assert_int_equal(testing_group_count("steps"), 0);
        assert_int_equal(testing_fd_count(), fds);
        assert_false(has_link());
    }
    assert_int_equal(err, 0);
    assert_true(nth > 3);
    print_message("%s: %u steps failed one by one\n", point, nth - 1);
    jail_destroy(jail);
    assert_int_equal(testing_fd_count(), fds);
    assert_int_equal(testing_child_count(), 0);
    assert_false(has_link());
}

static void
test_whatever_fails_in_the_host_leaves_nothing(void **state)
{
    (void)state;
    fail_each_step("jail.start");
}

static void
test_whatever_fails_in_the_new_process_leaves_nothing(void **state)
{
    (void)state;
    fail_each_step("jail.child");
}

static void
test_a_path_that_is_not_there_is_named(void **state)
{
    const struct jail_path path = {"/nowhere/at/all", "/x", false};
    struct jail_config config = testing_config("nowhere", testing_stay);
    struct jail *jail = NULL;
    struct diag diag;

    (void)state;
    testing_need(JAIL_MOUNT_NAMESPACE);
    config.paths = &path;
    config.path_count = 1;
    diag_init(&diag);
    assert_int_equal(jail_start(&config, &jail, &diag), -ENOENT);
    assert_non_null(strstr(diag_text(&diag), "/nowhere/at/all"));
    assert_non_null(strstr(diag_text(&diag), "nowhere"));
    assert_int_equal(testing_child_count(), 0);
}

/* A name and, when its thread is done, the jail of that name. */
struct thread_start {
    const char *name;
    struct jail *jail;
};

static void *
start_in_a_thread(void *context)
{
    struct thread_start *start = context;
    struct jail_config config = testing_config(start->name, testing_stay);

    if (jail_start(&config, &start->jail, NULL) != 0)
        start->jail = NULL;
    return NULL;
}

static void
test_the_end_of_the_thread_that_started_it_does_not_end_it(void **state)
{
    struct thread_start start = {"thread", NULL};
    struct pollfd end;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, start_in_a_thread, &start), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(start.jail);
    end = (struct pollfd){.fd = jail_pidfd(start.jail), .events = POLLIN};
    assert_int_equal(poll(&end, 1, 200), 0);
    jail_destroy(start.jail);
}

/* A host that starts a jail, tells its pid and is killed. */
NORETURN static void
be_a_host_that_dies(int told)
{
    struct jail_config config = testing_config("orphan", testing_stay);
    struct jail *jail = NULL;
    pid_t pid;

    if (jail_start(&config, &jail, NULL) != 0)
        _exit(1);
    pid = jail_pid(jail);
    if (write(told, &pid, sizeof(pid)) != sizeof(pid))
        _exit(1);
    (void)kill(getpid(), SIGKILL);
    _exit(1);
}

static void
test_the_process_dies_with_its_host_and_a_sweep_removes_its_group(void **state)
{
    siginfo_t info;
    pid_t host, pid = 0;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* Who takes orphans hears of their end. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    host = fork();
    if (host == 0)
        be_a_host_that_dies(ends[1]);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    (void)close(ends[0]);
    assert_int_equal(waitpid(host, NULL, 0), host);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    assert_int_equal(info.si_status, SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    if ((jail_features() & JAIL_MEMORY) != 0)
        assert_true(testing_group_count("orphan") > 0);
    assert_int_equal(jail_sweep(), 0);
    assert_int_equal(testing_group_count("orphan"), 0);
}

static void
test_a_sweep_leaves_living_jails_alone(void **state)
{
    struct jail_config config = testing_config("living", testing_stay);
    struct jail *jail;
    struct jail_end end;

    (void)state;
    testing_need(JAIL_MEMORY);
    jail = testing_start(&config);
    assert_int_equal(jail_sweep(), 0);
    assert_int_equal(jail_poll(jail, &end), 0);
    assert_int_equal(end.kind, JAIL_RUNNING);
    assert_true(testing_group_count("living") > 0);
    jail_destroy(jail);
}

static void
test_every_feature_has_a_name_and_an_advice(void **state)
{
    (void)state;
    for (uint32_t bit = 1; bit < JAIL_FEATURES_ALL; bit <<= 1) {
        assert_true(strlen(jail_feature_name((enum jail_feature)bit)) > 5);
        assert_true(strlen(jail_feature_advice((enum jail_feature)bit)) > 10);
    }
}

static void
test_many_threads_may_start_jails_at_once(void **state)
{
    struct thread_start starts[THREADS] = {{"many0", NULL}, {"many1", NULL}, {"many2", NULL},
                                           {"many3", NULL}, {"many4", NULL}, {"many5", NULL}};
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_in_a_thread, &starts[i]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(testing_child_count(), ARRAY_COUNT(starts));
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        assert_non_null(starts[i].jail);
        jail_destroy(starts[i].jail);
    }
    assert_int_equal(testing_child_count(), 0);
    assert_int_equal(testing_group_count("many*"), 0);
}

/* A first process that does not get on: it reads from here before all else. */
static _Thread_local int stuck_fd = -1, told_fd;

static void
in_the_child(void)
{
    char byte;

    if (stuck_fd >= 0 && write(told_fd, "x", 1) == 1)
        (void)!read(stuck_fd, &byte, 1);
}

struct stuck_start {
    struct thread_start start;
    int fd, told_fd;
};

static void *
start_stuck(void *context)
{
    struct stuck_start *stuck = context;

    stuck_fd = stuck->fd;
    told_fd = stuck->told_fd;
    return start_in_a_thread(&stuck->start);
}

static void
test_one_that_does_not_get_on_keeps_no_other_from_starting(void **state)
{
    struct stuck_start stuck = {.start = {"stuck", NULL}, .fd = -1};
    struct jail_config config = testing_config("other", testing_stay);
    struct jail *jail;
    pthread_t thread;
    int ends[2], told[2];
    char byte;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    stuck.fd = ends[0];
    stuck.told_fd = told[1];
    assert_int_equal(pthread_create(&thread, NULL, start_stuck, &stuck), 0);
    assert_int_equal(read(told[0], &byte, 1), 1);
    jail = testing_start(&config);
    assert_int_equal(write(ends[1], "xx", 2), 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(stuck.start.jail);
    jail_destroy(stuck.start.jail);
    jail_destroy(jail);
    assert_int_equal(testing_child_count(), 0);
    for (int i = 0; i < 2; i++) {
        (void)close(ends[i]);
        (void)close(told[i]);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main_runs_and_its_result_is_the_exit_code),
        cmocka_unit_test(test_a_killed_process_is_reported_and_not_as_out_of_memory),
        cmocka_unit_test(test_a_fault_is_reported_with_its_signal),
        cmocka_unit_test(test_destroy_ends_a_process_that_runs),
        cmocka_unit_test(test_only_the_named_descriptors_are_open_and_in_their_order),
        cmocka_unit_test(test_bad_configs_are_refused_by_name),
        cmocka_unit_test(test_a_second_jail_of_a_name_is_refused_and_the_first_stays),
        cmocka_unit_test(test_whatever_fails_in_the_host_leaves_nothing),
        cmocka_unit_test(test_whatever_fails_in_the_new_process_leaves_nothing),
        cmocka_unit_test(test_a_path_that_is_not_there_is_named),
        cmocka_unit_test(test_the_end_of_the_thread_that_started_it_does_not_end_it),
        cmocka_unit_test(test_the_process_dies_with_its_host_and_a_sweep_removes_its_group),
        cmocka_unit_test(test_a_sweep_leaves_living_jails_alone),
        cmocka_unit_test(test_every_feature_has_a_name_and_an_advice),
        cmocka_unit_test(test_many_threads_may_start_jails_at_once),
        cmocka_unit_test(test_one_that_does_not_get_on_keeps_no_other_from_starting),
    };

    (void)pthread_atfork(NULL, NULL, in_the_child);
    /* Links of tests are not for the machine's own network. */
    (void)unshare(CLONE_NEWNET);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
