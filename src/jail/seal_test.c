/* SPDX-License-Identifier: Apache-2.0
 *
 * After jail_seal: what a cell needs goes on, the rest is refused or deadly.
 */
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/fault.h"
#include "jail/jail_testing.h"

#define NUMBER_UNKNOWN 1000 /* no such system call */

static void *
add_one(void *context)
{
    ++*(int *)context;
    return NULL;
}

/* What a cell does all the time; the number of what did not work, or 0. */
static long
work(int seals)
{
    int value = 0;
    struct timespec now;
    pthread_t thread;
    void *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char random[8], *block;
    int fd = memfd_create("work", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (seals != 2 || fd < 0 || memory == MAP_FAILED)
        return 1;
    if (pthread_create(&thread, NULL, add_one, &value) != 0)
        return 2;
    if (pthread_join(thread, NULL) != 0 || value != 1)
        return 3;
    if (ftruncate(fd, 4096) != 0 || pwrite(fd, "x", 1, 0) != 1 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) != 0)
        return 4;
    if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0 || madvise(memory, 8192, MADV_DONTNEED))
        return 5;
    block = malloc(64 << 20);
    if (block == NULL || (block = realloc(block, 80 << 20)) == NULL)
        return 6;
    block[0] = 1;
    free(block);
    for (unsigned i = 0; i < 10000; i++) { /* more than what the heap had before */
        block = malloc(1000);
        if (block == NULL)
            return 9;
        block[999] = 1; /* and kept: they must come from somewhere new */
    }
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0 ||
        getrandom(random, sizeof(random), 0) != sizeof(random))
        return 7;
    if (close(fd) != 0 || munmap(memory, 8192) != 0)
        return 8;
    return 0;
}

static int
seal_and_work(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    struct diag diag;
    int seals = 0;

    (void)context;
    (void)count;
    diag_init(&diag);
    seals += jail_seal(&diag) == 0;
    seals += jail_seal(&diag) == 0; /* again does nothing */
    answer.numbers[0] = work(seals);
    return testing_answer(descriptors, &answer);
}

static void
test_a_sealed_cell_does_its_work(void **state)
{
    struct testing_answer answer;
    struct jail_end end = testing_run(testing_config("work", seal_and_work), &answer);

    (void)state;
    assert_int_equal(end.kind, JAIL_EXITED);
    assert_int_equal(end.code, 0);
    assert_int_equal(answer.numbers[0], 0);
}

static int
seal_and_try(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    struct clone_args process = {.exit_signal = SIGCHLD};
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)context;
    (void)count;
    if (jail_seal(NULL) != 0)
        return 50;
    answer.numbers[0] = syscall(NUMBER_UNKNOWN) == 0 ? 0 : errno;
    answer.numbers[1] = fork() >= 0 ? 0 : errno;
    answer.numbers[2] = syscall(SYS_clone3, &process, sizeof(process)) >= 0 ? 0 : errno;
    answer.numbers[3] = socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno;
    answer.numbers[4] = mprotect(memory, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 ? 0 : errno;
    answer.numbers[5] = ioctl(0, TIOCSTI, "x") == 0 ? 0 : errno;
    answer.numbers[6] = syscall(SYS_tgkill, getpid() + 1, 2, 0) == 0 ? 0 : errno;
    answer.numbers[7] = kill(getpid(), 0) == 0 ? 0 : errno;
    return testing_answer(descriptors, &answer);
}

static void
test_what_is_not_on_the_list_is_refused(void **state)
{
    struct testing_answer answer;
    struct jail_end end;

    (void)state;
    testing_need(JAIL_SECCOMP);
    end = testing_run(testing_config("refused", seal_and_try), &answer);
    assert_int_equal(end.kind, JAIL_EXITED);
    assert_int_equal(end.code, 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(answer.numbers[i], ENOSYS);
}

static int
call_number(void *context, const int *descriptors, size_t count)
{
    const int *plan = context;

    (void)descriptors;
    (void)count;
    if (plan[1] != 0 && jail_seal(NULL) != 0)
        return 50;
    (void)syscall(plan[0], 0, 0, 0, 0, 0);
    return 0;
}

static void
test_what_only_an_attacker_calls_is_deadly(void **state)
{
    static const int numbers[] = {SYS_execve, SYS_ptrace, SYS_unshare, SYS_mount,
                                  SYS_bpf,    SYS_vfork,  SYS_keyctl,  SYS_process_vm_readv};
    struct testing_answer answer;

    (void)state;
    testing_need(JAIL_SECCOMP);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct jail_config config = testing_config("deadly", call_number);
        int plan[2] = {numbers[i], 1};
        struct jail_end end;

        config.context = plan;
        end = testing_run(config, &answer);
        assert_int_equal(end.kind, JAIL_SIGNALLED);
        assert_int_equal(end.code, SIGSYS);
    }
}

static int
unsealed_call(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)call_number(context, descriptors, count);
    return testing_answer(descriptors, &answer);
}

static void
test_before_the_seal_the_same_call_is_not_deadly(void **state)
{
    struct jail_config config = testing_config("unsealed", unsealed_call);
    int plan[2] = {SYS_mount, 0};
    struct testing_answer answer;

    (void)state;
    config.context = plan;
    assert_int_equal(testing_run(config, &answer).kind, JAIL_EXITED);
}

static void *
call_execve_later(void *context)
{
    char byte;

    if (read(*(int *)context, &byte, 1) == 1)
        (void)syscall(SYS_execve, 0, 0, 0);
    return NULL;
}

static int
seal_after_a_thread_began(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    pthread_t thread;
    int ends[2];

    (void)context;
    (void)count;
    if (pipe(ends) != 0 || pthread_create(&thread, NULL, call_execve_later, &ends[0]) != 0 ||
        jail_seal(NULL) != 0 || write(ends[1], "x", 1) != 1)
        return 50;
    (void)pthread_join(thread, NULL);
    return testing_answer(descriptors, &answer);
}

static void
test_threads_that_began_before_are_sealed_too(void **state)
{
    struct testing_answer answer;
    struct jail_end end;

    (void)state;
    testing_need(JAIL_SECCOMP);
    end = testing_run(testing_config("threads", seal_after_a_thread_began), &answer);
    assert_int_equal(end.kind, JAIL_SIGNALLED);
    assert_int_equal(end.code, SIGSYS);
}

NORETURN static int
seal_and_abort(void *context, const int *descriptors, size_t count)
{
    (void)context;
    (void)descriptors;
    (void)count;
    if (jail_seal(NULL) != 0)
        _exit(50);
    abort();
}

/* Process 1 of a namespace ignores SIGABRT; the C library has one more way. */
static void
test_a_broken_promise_ends_a_sealed_cell(void **state)
{
    struct testing_answer answer;
    struct jail_end end = testing_run(testing_config("abort", seal_and_abort), &answer);

    (void)state;
    assert_int_equal(end.kind, JAIL_SIGNALLED);
}

static int
fail_to_seal(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};
    struct diag diag;

    (void)context;
    (void)count;
    diag_init(&diag);
    fault_arm("jail.seal", 1, -ENOMEM);
    answer.numbers[0] = jail_seal(&diag);
    (void)fault_disarm();
    (void)snprintf(answer.text, sizeof(answer.text), "%.100s", diag_text(&diag));
    answer.numbers[1] = kill(getpid(), 0);
    answer.numbers[2] = jail_seal(&diag);
    return testing_answer(descriptors, &answer);
}

static void
test_a_seal_that_fails_says_so_and_may_be_tried_again(void **state)
{
    struct testing_answer answer;

    (void)state;
    assert_int_equal(testing_run(testing_config("tried", fail_to_seal), &answer).code, 0);
    assert_int_equal(answer.numbers[0], -ENOMEM);
    assert_int_equal(answer.numbers[1], 0);
    assert_int_equal(answer.numbers[2], 0);
    assert_non_null(strstr(answer.text, "system calls"));
}

static void
test_the_list_is_as_short_as_promised(void **state)
{
    (void)state;
    assert_true(seal_allowed_count() <= JAIL_SYSCALLS_MAX);
    assert_true(seal_allowed_count() > 40);
    print_message("%zu system calls are allowed\n", seal_allowed_count());
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sealed_cell_does_its_work),
        cmocka_unit_test(test_what_is_not_on_the_list_is_refused),
        cmocka_unit_test(test_what_only_an_attacker_calls_is_deadly),
        cmocka_unit_test(test_before_the_seal_the_same_call_is_not_deadly),
        cmocka_unit_test(test_threads_that_began_before_are_sealed_too),
        cmocka_unit_test(test_a_broken_promise_ends_a_sealed_cell),
        cmocka_unit_test(test_a_seal_that_fails_says_so_and_may_be_tried_again),
        cmocka_unit_test(test_the_list_is_as_short_as_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
