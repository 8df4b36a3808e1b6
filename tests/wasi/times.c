/* SPDX-License-Identifier: Apache-2.0
 *
 * Times of files, clocks, sleeping.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

static long long
now(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) != 0)
        return -1;
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void
file_times(void)
{
    struct timespec times[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    struct stat stat_f;
    int fd = open("file", O_RDWR | O_CREAT, 0644);

    futimens(fd, times);
    fstat(fd, &stat_f);
    printf("read %lld.%09ld\n", (long long)stat_f.st_atim.tv_sec, stat_f.st_atim.tv_nsec);
    printf("written %lld.%09ld\n", (long long)stat_f.st_mtim.tv_sec, stat_f.st_mtim.tv_nsec);
    times[1].tv_sec = 42;
    times[1].tv_nsec = 0;
    utimensat(AT_FDCWD, "file", times, 0);
    stat("file", &stat_f);
    printf("read %lld, written %lld\n", (long long)stat_f.st_atim.tv_sec,
           (long long)stat_f.st_mtim.tv_sec);
    /* By the interface: the C library was built with other numbers than its header has. */
    if (__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW) != 0)
        printf("not set\n");
    fstat(fd, &stat_f);
    printf("written now: %d\n", stat_f.st_mtim.tv_sec >= now(CLOCK_REALTIME) / 1000000000 - 60);
    close(fd);
    unlink("file");
}

int
main(void)
{
    struct timespec short_time = {0, 3000000}, resolution;
    long long before = now(CLOCK_MONOTONIC), after;

    file_times();
    printf("sleep: %d\n", nanosleep(&short_time, NULL));
    after = now(CLOCK_MONOTONIC);
    printf("slept long enough: %d\n", after - before >= 3000000);
    printf("usleep: %d\n", usleep(1000));
    printf("poll: %d\n", poll(NULL, 0, 1) <= 0);
    printf("realtime is after 2020: %d\n", now(CLOCK_REALTIME) > 1577836800000000000LL);
    printf("time agrees: %d\n", time(NULL) - now(CLOCK_REALTIME) / 1000000000 <= 0);
    printf("resolution: %d\n", clock_getres(CLOCK_MONOTONIC, &resolution));
    printf("finer than a second: %d\n", resolution.tv_sec == 0 && resolution.tv_nsec > 0);
    return 0;
}
