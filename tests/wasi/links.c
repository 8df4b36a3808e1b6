/* SPDX-License-Identifier: Apache-2.0
 *
 * Links, and paths that must not lead out of the directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
show(const char *what, long value)
{
    printf("%s: %ld%s%s\n", what, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : "");
}

/* Whether it is refused; how it is named differs between hosts. */
static void
refused(const char *path)
{
    int fd = open(path, O_RDONLY);

    printf("%s: %s\n", path, fd < 0 ? "refused" : "OPENED");
    if (fd >= 0)
        close(fd);
}

static void
soft_and_hard(void)
{
    char text[64] = "";
    struct stat stat_f;
    int fd = open("target", O_WRONLY | O_CREAT, 0644);

    write(fd, "hello", 5);
    close(fd);
    show("symlink", symlink("target", "soft"));
    show("readlink", readlink("soft", text, sizeof(text)));
    printf("%.6s\n", text);
    lstat("soft", &stat_f);
    show("is link", S_ISLNK(stat_f.st_mode));
    stat("soft", &stat_f);
    show("is file", S_ISREG(stat_f.st_mode));
    show("size", stat_f.st_size);
    show("nofollow", open("soft", O_RDONLY | O_NOFOLLOW));
    show("link", link("target", "hard"));
    stat("hard", &stat_f);
    show("links", (long)stat_f.st_nlink);
    unlink("target");
    show("dangling", open("soft", O_RDONLY));
    stat("hard", &stat_f);
    show("links", (long)stat_f.st_nlink);
    show("readlink of file", readlink("hard", text, sizeof(text)));
    symlink("loop", "loop");
    show("loop", open("loop", O_RDONLY));
}

static void
inside_and_outside(void)
{
    char text[64] = "";
    int fd;

    mkdir("sub", 0755);
    show("up and down", symlink("../hard", "sub/up"));
    fd = open("sub/up", O_RDONLY);
    show("read", read(fd, text, sizeof(text)));
    printf("%s\n", text);
    close(fd);
    symlink("../../../../../../etc/passwd", "sub/climb");
    symlink("..", "parent");
    refused("../x");
    refused("sub/../../x");
    refused("sub/climb");
    refused("parent/x");
    refused("parent");
}

int
main(void)
{
    soft_and_hard();
    inside_and_outside();
    unlink("soft");
    unlink("hard");
    unlink("loop");
    unlink("parent");
    unlink("sub/up");
    unlink("sub/climb");
    show("rmdir", rmdir("sub"));
    return 0;
}
