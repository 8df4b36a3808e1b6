/* SPDX-License-Identifier: Apache-2.0
 *
 * What a confined process can still do. Confinement cannot be undone, so each
 * question is asked in a child, which answers by its exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compile/compile_confine.h"

#define MEMORY_BYTES (UINT64_C(1) << 30)
#define SECONDS      7u
#define NOT_CONFINED 200

static char own_file[] = "/tmp/weft-confine-XXXXXX"; /* anyone may write it */

/* What the question says in a confined child: 0, or an errno. */
static int
ask(int (*question)(void))
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (compile_confine(MEMORY_BYTES, SECONDS) != 0)
            _exit(NOT_CONFINED);
        _exit(question());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), NOT_CONFINED);
    return WEXITSTATUS(status);
}

static int
errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static bool
has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* ---------------------------------------------------------------------- questions */

static int
ask_inet(void)
{
    return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int
ask_unix(void)
{
    return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int
ask_socketpair(void)
{
    int ends[2];

    return errno_of(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static int
ask_write(void)
{
    return errno_of(open(own_file, O_WRONLY));
}

static int
ask_create(void)
{
    return errno_of(open("/tmp/weft-confine-new", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int
ask_read_elsewhere(void)
{
    return errno_of(open(own_file, O_RDONLY));
}

static int
ask_unlink(void)
{
    return errno_of(unlink(own_file));
}

static int
ask_rename(void)
{
    return errno_of(rename(own_file, "/tmp/weft-confine-other"));
}

static int
ask_mkdir(void)
{
    return errno_of(mkdir("/tmp/weft-confine-new", 0700));
}

static int
ask_chmod(void)
{
    return errno_of(chmod(own_file, 0600));
}

static int
ask_truncate(void)
{
    return errno_of(truncate(own_file, 0));
}

static int
ask_ptrace(void)
{
    return errno_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int
ask_mount(void)
{
    return errno_of(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int
ask_process_memory(void)
{
    return errno_of(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int
ask_bpf(void)
{
    return errno_of(syscall(SYS_bpf, 0, NULL, 0));
}

static int
ask_user(void)
{
    return errno_of(setresuid(0, 0, 0));
}

static int
ask_namespace(void)
{
    return errno_of(syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
}

static int
ask_root(void)
{
    return geteuid() == 0 || getegid() == 0 ? EPERM : 0;
}

static int
ask_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : EPERM;
}

static int
ask_limits(void)
{
    struct rlimit memory, time, core;

    if (getrlimit(RLIMIT_AS, &memory) != 0 || getrlimit(RLIMIT_CPU, &time) != 0 ||
        getrlimit(RLIMIT_CORE, &core) != 0)
        return errno;
    if (memory.rlim_cur != MEMORY_BYTES || memory.rlim_max != MEMORY_BYTES)
        return ERANGE;
    if (time.rlim_max < SECONDS || time.rlim_max > SECONDS * 64u)
        return ETIME;
    return core.rlim_max == 0 ? 0 : EFBIG;
}

static int
ask_raise_limit(void)
{
    struct rlimit memory = {RLIM_INFINITY, RLIM_INFINITY};

    return errno_of(setrlimit(RLIMIT_AS, &memory));
}

static int
ask_memory(void)
{
    void *bytes = mmap(NULL, MEMORY_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return bytes == MAP_FAILED ? errno : 0;
}

/* What the compiler needs: libraries, memory files, a linker. */
static int
ask_needs(void)
{
    int library = open("/usr", O_RDONLY | O_DIRECTORY);
    int program = open("/usr/bin/env", O_RDONLY);
    int memory = memfd_create("object", 0);
    char byte;

    if (library < 0 || program < 0 || memory < 0)
        return errno;
    if (read(program, &byte, 1) != 1 || write(memory, &byte, 1) != 1 || ftruncate(memory, 9) != 0)
        return errno;
    return 0;
}

static int
ask_child(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)execl("/usr/bin/env", "env", "true", (char *)NULL);
        _exit(100);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* The linker, and whatever it starts, is as confined. */
static int
ask_inherited(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(ask_inet() == EPERM && ask_unlink() == EPERM && ask_privileges() == 0 ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return errno;
    return status;
}

/* -------------------------------------------------------------------------- tests */

static void
test_there_is_no_network(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_inet), EPERM);
    assert_int_equal(ask(ask_unix), EPERM);
    assert_int_equal(ask(ask_socketpair), EPERM);
}

static void
test_no_file_is_changed(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_unlink), EPERM);
    assert_int_equal(ask(ask_rename), EPERM);
    assert_int_equal(ask(ask_mkdir), EPERM);
    assert_int_equal(ask(ask_chmod), EPERM);
    assert_int_equal(ask(ask_truncate), EPERM);
    assert_int_equal(access(own_file, F_OK), 0);
}

static void
test_no_file_is_opened_but_programs_and_libraries(void **state)
{
    (void)state;
    if (!has_landlock()) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(ask(ask_write), EACCES);
    assert_int_equal(ask(ask_create), EACCES);
    assert_int_equal(ask(ask_read_elsewhere), EACCES);
}

static void
test_no_other_process_is_touched(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_ptrace), EPERM);
    assert_int_equal(ask(ask_process_memory), EPERM);
}

static void
test_no_privilege_is_left_or_gained(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_root), 0);
    assert_int_equal(ask(ask_privileges), 0);
    assert_int_equal(ask(ask_user), EPERM);
    assert_int_equal(ask(ask_namespace), EPERM);
    assert_int_equal(ask(ask_mount), EPERM);
    assert_int_equal(ask(ask_bpf), EPERM);
}

static void
test_the_limits_hold_and_stay(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_limits), 0);
    assert_int_equal(ask(ask_memory), ENOMEM);
    assert_int_equal(ask(ask_raise_limit), EPERM);
}

static void
test_what_a_compiler_needs_is_still_there(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_needs), 0);
    assert_int_equal(ask(ask_child), 0);
}

static void
test_children_are_confined_as_well(void **state)
{
    (void)state;
    assert_int_equal(ask(ask_inherited), 0);
}

/* The limit is wrong: nothing may go on as if it held. */
static void
test_a_limit_that_cannot_be_set_is_reported(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit low = {64u << 20, 64u << 20};

        if (setrlimit(RLIMIT_AS, &low) != 0 ||
            (geteuid() == 0 &&
             (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)))
            _exit(NOT_CONFINED);
        _exit(-compile_confine(MEMORY_BYTES, SECONDS));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EPERM);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_is_no_network),
        cmocka_unit_test(test_no_file_is_changed),
        cmocka_unit_test(test_no_file_is_opened_but_programs_and_libraries),
        cmocka_unit_test(test_no_other_process_is_touched),
        cmocka_unit_test(test_no_privilege_is_left_or_gained),
        cmocka_unit_test(test_the_limits_hold_and_stay),
        cmocka_unit_test(test_what_a_compiler_needs_is_still_there),
        cmocka_unit_test(test_children_are_confined_as_well),
        cmocka_unit_test(test_a_limit_that_cannot_be_set_is_reported),
    };
    int fd, failed;

#ifdef WEFT_SANITIZE
    (void)printf("skipped: sanitizers need more address space than the compiler may have\n");
    return 77;
#endif
    fd = mkstemp(own_file);
    if (fd < 0 || fchmod(fd, 0666) != 0)
        return EXIT_FAILURE;
    (void)close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(own_file);
    return failed;
}
