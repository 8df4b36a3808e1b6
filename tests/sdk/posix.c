/* SPDX-License-Identifier: Apache-2.0
 *
 * C in one thread: setjmp, errno, locks, waits with a time limit, signals that a program
 * raises itself, files. Says "ok" where everything is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int failed;
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("line %d: %s\n", __LINE__, #condition); \
            failed++; \
        } \
    } while (0)

/* ---------------------------------------------------------------------------- setjmp */

static jmp_buf place;

static int
recurse(int depth)
{
    if (depth == 0)
        longjmp(place, 7);
    return recurse(depth - 1) + 1;
}

static int
nested(int depth)
{
    jmp_buf here;

    switch (setjmp(here)) {
    case 0:
        if (depth > 0)
            return nested(depth - 1) + 1;
        longjmp(here, 3);
    case 3:
        return 100;
    default:
        return -1;
    }
}

static void
test_setjmp(void)
{
    volatile int rounds = 0;
    int value = setjmp(place);

    if (value == 0)
        (void)recurse(100);
    CHECK(value == 7 || value == 8);
    if (++rounds < 5)
        longjmp(place, 8);
    CHECK(rounds == 5);
    CHECK(nested(20) == 120);
    if (setjmp(place) == 0)
        longjmp(place, 0);
}

/* ----------------------------------------------------------------------------- locks */

static int once_count;
static pthread_key_t key;

static void
once(void)
{
    once_count++;
}

static void
test_locks(void)
{
    pthread_once_t control = PTHREAD_ONCE_INIT;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, checked;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutexattr_t attr;
    struct timespec soon;
    sem_t semaphore;

    (void)pthread_once(&control, once);
    (void)pthread_once(&control, once);
    CHECK(once_count == 1);
    CHECK(pthread_mutexattr_init(&attr) == 0);
    CHECK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK) == 0);
    CHECK(pthread_mutex_init(&checked, &attr) == 0 && pthread_mutex_lock(&checked) == 0);
    CHECK(pthread_mutex_lock(&checked) == EDEADLK);
    CHECK(pthread_mutex_unlock(&checked) == 0 && pthread_mutex_unlock(&checked) == EPERM);
    CHECK(pthread_key_create(&key, NULL) == 0 && pthread_setspecific(key, &key) == 0);
    CHECK(pthread_getspecific(key) == &key && pthread_key_delete(key) == 0);
    CHECK(clock_gettime(CLOCK_REALTIME, &soon) == 0);
    soon.tv_nsec += 2000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    CHECK(sem_init(&semaphore, 0, 1) == 0 && sem_wait(&semaphore) == 0);
    CHECK(sem_timedwait(&semaphore, &soon) == -1 && errno == ETIMEDOUT);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    CHECK(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
    CHECK(pthread_mutex_trylock(&mutex) == EBUSY && pthread_mutex_unlock(&mutex) == 0);
    CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
}

/* --------------------------------------------------------------------------- signals */

static volatile sig_atomic_t raised;

static void
handle(int number)
{
    raised += number;
}

static void
handle_information(int number, siginfo_t *information, void *context)
{
    (void)context;
    raised += number == information->si_signo ? 100 : 0;
}

static void
test_signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    sigset_t set;
    int number = 0;

    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGINT) == 0 && sigismember(&set, SIGINT));
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0 && raised == SIGUSR1);
    action.sa_sigaction = handle_information;
    action.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && kill(getpid(), SIGUSR1) == 0);
    CHECK(raised == SIGUSR1 + 100 && signal(SIGPIPE, SIG_IGN) == SIG_DFL && raise(SIGPIPE) == 0);
    CHECK(kill(getpid() + 1, SIGUSR1) == -1 && errno == ESRCH);
    /* Held back until it is not; and taken by who waits for it. */
    raised = 0;
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && kill(getpid(), SIGUSR1) == 0 && raised == 0);
    CHECK(sigpending(&set) == 0 && sigismember(&set, SIGUSR1) == 1);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && raised == 100);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && kill(getpid(), SIGUSR1) == 0);
    CHECK(sigwait(&set, &number) == 0 && number == SIGUSR1 && raised == 100);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && raised == 100);
}

/* ----------------------------------------------------------------------------- files */

static void
test_files(const char *root)
{
    char path[4096], real[4096];
    struct stat status;
    struct rusage usage;
    const char *mapped;
    int fd;

    errno = 0;
    CHECK(fopen("/nowhere/at/all", "r") == NULL && errno != 0);
    CHECK(chdir(root) == 0 && getcwd(path, sizeof(path)) != NULL && strcmp(path, root) == 0);
    memcpy(path, "sdk_XXXXXX", sizeof("sdk_XXXXXX"));
    fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "mapped", 6) == 6 && fchmod(fd, 0600) == 0);
    CHECK(fchown(fd, (uid_t)-1, (gid_t)-1) == 0 && fchown(fd, 0, 0) == -1 && errno == EPERM);
    mapped = mmap(NULL, 6, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(mapped != MAP_FAILED && memcmp(mapped, "mapped", 6) == 0);
    CHECK(munmap((void *)(size_t)mapped, 6) == 0 && close(fd) == 0);
    CHECK(realpath(path, real) != NULL && strncmp(real, root, strlen(root)) == 0);
    CHECK(stat(path, &status) == 0 && status.st_size == 6 && unlink(path) == 0);
    CHECK(realpath(path, real) == NULL && errno == ENOENT);
    CHECK(clock() != (clock_t)-1 && getrusage(RUSAGE_SELF, &usage) == 0 && (system)(NULL) == 0);
}

int
main(int argc, char **argv)
{
    test_setjmp();
    test_locks();
    test_signals();
    test_files(argc > 1 ? argv[1] : "/tmp");
    puts(failed == 0 ? "ok" : "failed");
    return failed != 0;
}
