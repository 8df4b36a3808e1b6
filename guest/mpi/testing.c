/* SPDX-License-Identifier: Apache-2.0
 *
 * net for tests: members are forked processes. Each has an inbox in memory that all share, a ring
 * of bytes under a lock; memory of others is read and written by the kernel (process_vm_readv).
 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

#define INBOX_BYTES 16384u /* few, so that they are full now and then */
#define SECONDS_MAX 60

struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t change; /* something came; or room was made in somebody's */
    uint64_t changes;
    uint32_t begin, used;
    uint8_t bytes[INBOX_BYTES];
};

struct world {
    pthread_mutex_t change;
    uint32_t count;
    atomic_int abort_code, left;
    pid_t pids[MPI_NET_BYTES_MAX];
    struct inbox inboxes[];
};

/* In the first page of what is shared. */
#define SHARE_HEAD 4096u
struct shared {
    atomic_int holders;
    uint64_t bytes;
    char name[64];
};

struct frame {
    uint32_t from, bytes;
};

static struct world *world;
static uint32_t me = UINT32_MAX;
static bool has_left;
static int abort_code = -1;
static uint64_t changes_seen;
static struct {
    uint8_t bytes[MPI_NET_BYTES_MAX]; /* the message that is being taken */
    uint32_t head_bytes, count;
    bool is_taken;
} current = {.is_taken = true};

_Noreturn void
mpi_testing_fail(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "member %u: %s:%d: %s\n", me, file, line, condition);
    _exit(99);
}

/* ---------------------------------------------------------------------------- inboxes */

static void
lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t mutex;

    (void)pthread_mutexattr_init(&mutex);
    (void)pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    (void)pthread_mutex_init(lock, &mutex);
}

static void
inbox_init(struct inbox *inbox)
{
    pthread_condattr_t change;

    lock_init(&inbox->lock);
    (void)pthread_condattr_init(&change);
    (void)pthread_condattr_setpshared(&change, PTHREAD_PROCESS_SHARED);
    (void)pthread_cond_init(&inbox->change, &change);
}

static void
inbox_write(struct inbox *inbox, const void *bytes, uint32_t count)
{
    uint32_t at = (inbox->begin + inbox->used) % INBOX_BYTES;
    uint32_t first = count < INBOX_BYTES - at ? count : INBOX_BYTES - at;

    if (count == 0)
        return;
    (void)memcpy(inbox->bytes + at, bytes, first);
    (void)memcpy(inbox->bytes, (const uint8_t *)bytes + first, count - first);
    inbox->used += count;
}

static void
inbox_read(struct inbox *inbox, void *bytes, uint32_t count)
{
    uint32_t at = inbox->begin;
    uint32_t first = count < INBOX_BYTES - at ? count : INBOX_BYTES - at;

    (void)memcpy(bytes, inbox->bytes + at, first);
    (void)memcpy((uint8_t *)bytes + first, inbox->bytes, count - first);
    inbox->begin = (at + count) % INBOX_BYTES;
    inbox->used -= count;
}

static void
inbox_tell(struct inbox *inbox)
{
    (void)pthread_mutex_lock(&inbox->lock);
    inbox->changes++;
    (void)pthread_cond_broadcast(&inbox->change);
    (void)pthread_mutex_unlock(&inbox->lock);
}

/* -------------------------------------------------------------------------------- net */

bool
mpi_net_enter(uint32_t *member, uint32_t *count)
{
    *member = world != NULL ? me : 0;
    *count = world != NULL ? world->count : 1;
    return world != NULL;
}

void
mpi_net_leave(void)
{
    has_left = true;
    if (world != NULL)
        (void)atomic_fetch_add(&world->left, 1);
}

_Noreturn void
mpi_net_abort(int code, const char *reason)
{
    (void)fprintf(stderr, "member %u aborts, %d: %s\n", me, code, reason);
    if (world != NULL)
        atomic_store(&world->abort_code, code);
    _exit(98);
}

bool
mpi_net_send(uint32_t to, const void *head, uint32_t head_bytes, const void *body,
             uint32_t body_bytes)
{
    struct inbox *inbox = &world->inboxes[to];
    struct frame frame = {me, head_bytes + body_bytes};
    bool has_room;

    (void)pthread_mutex_lock(&inbox->lock);
    has_room = INBOX_BYTES - inbox->used >= sizeof(frame) + frame.bytes;
    if (has_room) {
        inbox_write(inbox, &frame, sizeof(frame));
        inbox_write(inbox, head, head_bytes);
        inbox_write(inbox, body, body_bytes);
        inbox->changes++;
        (void)pthread_cond_broadcast(&inbox->change);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return has_room;
}

bool
mpi_net_receive(uint32_t *from, void *head, uint32_t head_bytes, uint32_t *body_bytes)
{
    struct inbox *inbox = world != NULL ? &world->inboxes[me] : NULL;
    struct frame frame = {0};

    if (inbox == NULL)
        return false;
    CHECK(current.is_taken);
    (void)pthread_mutex_lock(&inbox->lock);
    changes_seen = inbox->changes;
    if (inbox->used > 0) {
        inbox_read(inbox, &frame, sizeof(frame));
        inbox_read(inbox, current.bytes, frame.bytes);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    if (frame.bytes == 0)
        return false;
    CHECK(frame.bytes >= head_bytes);
    (void)memcpy(head, current.bytes, head_bytes);
    current.is_taken = false;
    current.head_bytes = head_bytes;
    current.count = frame.bytes;
    *from = frame.from;
    *body_bytes = frame.bytes - head_bytes;
    for (uint32_t i = 0; i < world->count; i++) /* who may wait for room */
        if (i != me)
            inbox_tell(&world->inboxes[i]);
    return true;
}

void
mpi_net_take(void *to, uint32_t bytes)
{
    CHECK(!current.is_taken && bytes <= current.count - current.head_bytes);
    if (bytes > 0)
        (void)memcpy(to, current.bytes + current.head_bytes, bytes);
    current.is_taken = true;
}

void
mpi_net_wait(const char *what)
{
    struct inbox *inbox = world != NULL ? &world->inboxes[me] : NULL;
    struct timespec until;

    if (inbox == NULL)
        mpi_net_abort(97, what); /* nobody can help it */
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000; /* a message of its own is no news to it */
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&inbox->lock);
    if (inbox->changes == changes_seen)
        (void)pthread_cond_timedwait(&inbox->change, &inbox->lock, &until);
    changes_seen = inbox->changes;
    (void)pthread_mutex_unlock(&inbox->lock);
}

static void
copy(uint32_t member, void *here, uint64_t address, uint64_t bytes,
     ssize_t (*call)(pid_t, const struct iovec *, unsigned long, const struct iovec *,
                     unsigned long, unsigned long))
{
    struct iovec local = {here, bytes}, remote = {(void *)(uintptr_t)address, bytes};

    if (bytes == 0)
        return;
    if (member == me && call == process_vm_readv)
        (void)memmove(here, remote.iov_base, bytes);
    else if (member == me)
        (void)memmove(remote.iov_base, here, bytes);
    else if (call(world->pids[member], &local, 1, &remote, 1, 0) != (ssize_t)bytes)
        mpi_testing_fail(__FILE__, __LINE__, strerror(errno));
}

void
mpi_net_get(uint32_t from, uint64_t address, void *to, uint64_t bytes)
{
    copy(from, to, address, bytes, process_vm_readv);
}

void
mpi_net_put(uint32_t to, uint64_t address, const void *from, uint64_t bytes)
{
    copy(to, (void *)(uintptr_t)from, address, bytes, process_vm_writev);
}

#define WORD(name, type) \
    static uint64_t name(void *word, enum mpi_net_change change, uint64_t value, \
                         uint64_t expected) \
    { \
        type old = (type)expected; \
\
        if (change == MPI_NET_SET) \
            return __atomic_exchange_n((type *)word, (type)value, __ATOMIC_SEQ_CST); \
        if (change == MPI_NET_ADD) \
            return __atomic_fetch_add((type *)word, (type)value, __ATOMIC_SEQ_CST); \
        (void)__atomic_compare_exchange_n((type *)word, &old, (type)value, false, \
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return old; \
    }
WORD(change4, uint32_t)
WORD(change8, uint64_t)

/* Under one lock for all, as no process can change another's memory atomically. */
uint64_t
mpi_net_change(uint32_t member, uint64_t address, uint32_t bytes, enum mpi_net_change change,
               uint64_t value, uint64_t expected)
{
    uint64_t word = 0, old;

    CHECK((bytes == 4 || bytes == 8) && address % bytes == 0);
    if (world != NULL)
        (void)pthread_mutex_lock(&world->change);
    mpi_net_get(member, address, &word, bytes);
    old = bytes == 4 ? change4(&word, change, value, expected)
                     : change8(&word, change, value, expected);
    mpi_net_put(member, address, &word, bytes);
    if (world != NULL)
        (void)pthread_mutex_unlock(&world->change);
    return old;
}

/* A file in memory for each key; all but the last holder leave its name. */
void *
mpi_net_share(uint64_t key, uint64_t bytes)
{
    char name[64];
    void *at;
    int fd;

    (void)snprintf(name, sizeof(name), "/weft-mpi-%d-%llx", (int)getppid(),
                   (unsigned long long)key);
    fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)(bytes + SHARE_HEAD)) != 0)
        mpi_testing_fail(__FILE__, __LINE__, strerror(errno));
    at = mmap(NULL, bytes + SHARE_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    CHECK(at != MAP_FAILED);
    (void)atomic_fetch_add(&((struct shared *)at)->holders, 1);
    ((struct shared *)at)->bytes = bytes;
    (void)memcpy(((struct shared *)at)->name, name, sizeof(name));
    return (uint8_t *)at + SHARE_HEAD;
}

void
mpi_net_unshare(uint64_t key, void *address)
{
    struct shared *shared = (struct shared *)((uint8_t *)address - SHARE_HEAD);

    (void)key; /* the name is with it */
    if (atomic_fetch_sub(&shared->holders, 1) == 1)
        (void)shm_unlink(shared->name);
    (void)munmap(shared, shared->bytes + SHARE_HEAD);
}

bool
mpi_net_is_near(uint32_t member)
{
    return member < world->count;
}

double
mpi_net_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* -------------------------------------------------------------------------------- runs */

static void
be_member(uint32_t member, void (*body)(void))
{
    me = member;
    (void)alarm(SECONDS_MAX);
    for (uint32_t i = 0; i < world->count; i++) /* all are there when the first one looks */
        while (*(volatile pid_t *)&world->pids[i] == 0)
            (void)usleep(100);
    body();
    CHECK(has_left);
    exit(0); /* with the look for leaks */
}

static bool
await_member(void)
{
    int status = 0;
    pid_t pid = wait(&status);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "process %d ended by signal %d\n", (int)pid, WTERMSIG(status));
    for (uint32_t i = 0; i < world->count; i++) /* the others would wait for it */
        if (world->pids[i] != pid)
            (void)kill(world->pids[i], SIGKILL);
    return false;
}

bool
mpi_testing_run(uint32_t members, void (*body)(void))
{
    size_t bytes = sizeof(*world) + members * sizeof(*world->inboxes);
    bool is_good = true;

    world = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED)
        abort();
    world->count = members;
    atomic_store(&world->abort_code, -1);
    lock_init(&world->change);
    (void)fflush(NULL);
    for (uint32_t i = 0; i < members; i++)
        inbox_init(&world->inboxes[i]);
    for (uint32_t i = 0; i < members; i++) {
        pid_t pid = fork();

        if (pid == 0)
            be_member(i, body);
        *(volatile pid_t *)&world->pids[i] = pid;
    }
    for (uint32_t i = 0; i < members; i++)
        is_good = await_member() && is_good;
    abort_code = atomic_load(&world->abort_code);
    (void)munmap(world, bytes);
    world = NULL;
    return is_good;
}

int
mpi_testing_abort_code(void)
{
    return abort_code;
}
