/* SPDX-License-Identifier: Apache-2.0
 *
 * State as files: all that is looked at here goes through the C library, on both hosts.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define TOP   "/state/files"
#define LINES 20u
#define KEYS  66u /* of each call; together more than one page of the tier's */
#define FEW   5u
#define LARGE ((1u << 20) + 70000u) /* more than is copied of what is only read */

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    SAME(strlen(text), fwrite(text, 1, strlen(text), file));
    SAME(0, fclose(file));
}

static void
check_file(const char *path, const char *text)
{
    char found[256] = "";
    FILE *file = fopen(path, "r");

    CHECK(file != NULL);
    (void)fread(found, 1, sizeof(found) - 1, file);
    SAME(0, fclose(file));
    if (strcmp(found, text) != 0) {
        (void)fprintf(stderr, "%s holds \"%s\", wanted \"%s\"\n", path, found, text);
        exit(1);
    }
}

static int
refused(const char *path, int flags)
{
    int fd = open(path, flags, 0600);

    CHECK(fd < 0);
    return errno;
}

/* Also "." and "..". */
static unsigned
count_names(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *item;
    unsigned count = 0;

    CHECK(directory != NULL);
    while ((item = readdir(directory)) != NULL)
        count++;
    SAME(0, closedir(directory));
    return count;
}

/* --------------------------------------------------------------------- calls elsewhere */

static void
read_shared(uint32_t self)
{
    (void)self;
    check_file(TOP "/shared", "seen everywhere\n");
    check_file(TOP "/renamed", "whole\n");
    SAME(ENOENT, refused(TOP "/temporary", O_RDONLY));
}

/* One of all makes the lock file; that one says so. */
static void
make_lock(uint32_t self)
{
    int fd = open(TOP "/lock", O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd < 0) {
        SAME(EEXIST, errno);
        return;
    }
    SAME(6, dprintf(fd, "mine%02u", (unsigned)self));
    SAME(0, close(fd));
    fd = open(TOP "/winners", O_CREAT | O_APPEND | O_WRONLY, 0600);
    CHECK(fd >= 0);
    SAME(2, write(fd, "x\n", 2));
    SAME(0, close(fd));
}

static void
append_lines(uint32_t self)
{
    FILE *file = fopen(TOP "/log", "a");

    CHECK(file != NULL);
    SAME(0, setvbuf(file, NULL, _IOLBF, BUFSIZ));
    for (unsigned i = 0; i < LINES; i++)
        CHECK(fprintf(file, "call %02u line %02u\n", (unsigned)self, i) > 0);
    SAME(0, fclose(file));
}

static void
make_many(uint32_t self)
{
    char path[64];

    for (unsigned i = 0; i < FEW; i++) {
        (void)snprintf(path, sizeof(path), TOP "/many/%02u/%u", (unsigned)self, i);
        write_file(path, "");
    }
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(path, sizeof(path), TOP "/flat/%02u-%03u", (unsigned)self, i);
        write_file(path, path);
    }
}

static void
leave(uint32_t self)
{
    FILE *file = fopen(TOP "/left", "w");

    CHECK(file != NULL);
    (void)fprintf(file, "by %u\n", (unsigned)self);
    exit(0);
}

static FILE *forgotten;

/* Its main returns 0, and nothing was closed. */
static void
forget(uint32_t self)
{
    forgotten = fopen(TOP "/forgotten", "w");
    CHECK(forgotten != NULL);
    (void)fprintf(forgotten, "by %u\n", (unsigned)self);
}

/* ------------------------------------------------------------------------ this call's */

static void
check_values(void)
{
    struct stat stat_of;
    char text[16] = "";
    int fd;

    write_file(TOP "/shared", "seen everywhere\n");
    write_file(TOP "/temporary", "whole\n");
    SAME(0, rename(TOP "/temporary", TOP "/renamed"));
    fan("read_shared", MANY);
    fd = open(TOP "/shared", O_RDWR);
    CHECK(fd >= 0);
    SAME(4, pwrite(fd, "SEEN", 4, 0));
    SAME(10, lseek(fd, 10, SEEK_SET));
    SAME(0, ftruncate(fd, 12));
    SAME(2, read(fd, text, sizeof(text)));
    SAME(12, lseek(fd, 0, SEEK_END));
    SAME(0, fsync(fd));
    check_file(TOP "/shared", "SEEN everywh");
    SAME(0, fstat(fd, &stat_of));
    SAME(12, stat_of.st_size);
    CHECK(S_ISREG(stat_of.st_mode));
    SAME(0, close(fd));
    SAME(0, stat(TOP, &stat_of));
    CHECK(S_ISDIR(stat_of.st_mode));
    SAME(ENOENT, refused(TOP "/none", O_RDONLY));
    SAME(EISDIR, refused(TOP, O_RDWR));
    SAME(-1, rename(TOP "/shared", "/elsewhere"));
}

static void
check_large(void)
{
    char *bytes = malloc(LARGE), *again = malloc(LARGE);
    FILE *file = fopen(TOP "/large", "w");

    CHECK(bytes != NULL && again != NULL && file != NULL);
    for (unsigned i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    SAME(LARGE, fwrite(bytes, 1, LARGE, file));
    SAME(0, fclose(file));
    file = fopen(TOP "/large", "r");
    CHECK(file != NULL);
    SAME(LARGE, fread(again, 1, LARGE, file));
    SAME(0, memcmp(bytes, again, LARGE));
    SAME(0, fclose(file));
    free(bytes);
    free(again);
}

static void
check_logs(void)
{
    static unsigned next[MANY];
    unsigned self, line, lines = 0;
    FILE *file;

    fan("append_lines", MANY);
    file = fopen(TOP "/log", "r");
    CHECK(file != NULL);
    while (fscanf(file, "call %u line %u\n", &self, &line) == 2) {
        CHECK(self < MANY);
        SAME(next[self]++, line);
        lines++;
    }
    CHECK(feof(file));
    SAME(0, fclose(file));
    SAME(MANY * LINES, lines);
    SAME(EPERM, refused(TOP "/log", O_WRONLY));
    SAME(EPERM, refused(TOP "/log", O_WRONLY | O_TRUNC | O_APPEND));
}

static void
check_directories(void)
{
    char path[64];

    fan("make_many", MANY);
    SAME(2 + MANY, count_names(TOP "/many"));
    SAME(2 + MANY * KEYS, count_names(TOP "/flat"));
    SAME(2 + FEW, count_names(TOP "/many/03"));
    SAME(-1, rmdir(TOP "/many/03"));
    SAME(ENOTEMPTY, errno);
    for (unsigned i = 0; i < FEW; i++) {
        (void)snprintf(path, sizeof(path), TOP "/many/03/%u", i);
        SAME(0, unlink(path));
    }
    SAME(0, rmdir(TOP "/many/03"));
    SAME(1 + MANY, count_names(TOP "/many"));
    SAME(0, mkdir(TOP "/made", 0700));
    SAME(2, count_names(TOP "/made"));
    SAME(-1, mkdir(TOP "/many", 0700));
    SAME(EEXIST, errno);
}

static void
all(void)
{
    forget_all("files/");
    check_values();
    check_large();
    fan("make_lock", MANY);
    check_file(TOP "/winners", "x\n");
    check_logs();
    check_directories();
    fan("leave", 1);
    check_file(TOP "/left", "by 0\n");
    fan("forget", 1);
    check_file(TOP "/forgotten", "by 0\n");
    forget_all("files/");
}

int
main(void)
{
    static const struct part parts[] = {
        {"read_shared", read_shared}, {"make_lock", make_lock}, {"append_lines", append_lines},
        {"make_many", make_many},     {"leave", leave},         {"forget", forget}};

    return run_parts(parts, sizeof(parts) / sizeof(parts[0]), all);
}
