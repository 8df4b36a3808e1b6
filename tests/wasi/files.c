/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: writing, reading, seeking, appending, truncating, renaming, removing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void
show(const char *what, long value)
{
    printf("%s: %ld%s%s\n", what, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : "");
}

static void
stdio_files(void)
{
    FILE *file = fopen("story.txt", "w+");
    char line[64];

    fprintf(file, "first line\nsecond line\n%d\n", 12345);
    show("written", ftell(file));
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL)
        printf("> %s", line);
    show("at end", feof(file) != 0);
    show("seek", fseek(file, -6, SEEK_END));
    printf("tail: %s", fgets(line, sizeof(line), file));
    fclose(file);
    file = fopen("story.txt", "a");
    fputs("appended\n", file);
    show("after append", ftell(file));
    fclose(file);
}

static void
descriptors(void)
{
    struct iovec out[2] = {{"0123", 4}, {"456789", 6}};
    char text[32] = "";
    struct stat stat;
    int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0644);

    show("writev", writev(fd, out, 2));
    show("pwrite", pwrite(fd, "AB", 2, 3));
    show("pread", pread(fd, text, 5, 1));
    printf("%s\n", text);
    show("offset", lseek(fd, 0, SEEK_CUR));
    show("truncate", ftruncate(fd, 4));
    fstat(fd, &stat);
    show("size", stat.st_size);
    show("regular", S_ISREG(stat.st_mode));
    show("extend", ftruncate(fd, 100));
    fstat(fd, &stat);
    show("size", stat.st_size);
    show("hole", lseek(fd, 50, SEEK_SET));
    show("read zeros", read(fd, text, 32));
    show("zero", text[0]);
    show("before start", lseek(fd, -1, SEEK_SET));
    show("sync", fsync(fd));
    show("datasync", fdatasync(fd));
    show("fallocate", posix_fallocate(fd, 0, 200));
    fstat(fd, &stat);
    show("size", stat.st_size);
    show("advice", posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    show("close", close(fd));
    show("close again", close(fd));
}

static void
appending(void)
{
    int one = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    int two = open("log", O_WRONLY | O_APPEND);
    char text[32] = "";
    int fd;

    write(one, "a1 ", 3);
    write(two, "b1 ", 3);
    write(one, "a2 ", 3);
    close(one);
    close(two);
    fd = open("log", O_RDONLY);
    show("log", read(fd, text, sizeof(text)));
    printf("%s\n", text);
    show("write to reader", write(fd, "x", 1));
    close(fd);
}

int
main(void)
{
    stdio_files();
    descriptors();
    appending();
    show("rename", rename("data", "moved"));
    show("old name", access("data", F_OK));
    show("new name", access("moved", F_OK));
    show("exclusive", open("moved", O_CREAT | O_EXCL | O_WRONLY, 0644));
    show("unlink", unlink("moved"));
    show("unlink again", unlink("moved"));
    show("remove", remove("log"));
    show("remove", remove("story.txt"));
    return 0;
}
