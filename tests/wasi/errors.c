/* SPDX-License-Identifier: Apache-2.0
 *
 * What fails, and with which errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
expect(const char *what, long result, int number)
{
    int err = errno;

    if (result >= 0)
        printf("%s: succeeded\n", what);
    else if (err == number)
        printf("%s: %s\n", what, strerror(err));
    else
        printf("%s: errno %d, not %d\n", what, err, number);
}

int
main(void)
{
    char name[400], text[8];
    int file = open("file", O_RDWR | O_CREAT, 0644);
    int directory = open(".", O_RDONLY | O_DIRECTORY);

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    mkdir("dir", 0755);
    expect("open missing", open("missing", O_RDONLY), ENOENT);
    expect("open below a file", open("file/x", O_RDONLY), ENOTDIR);
    expect("open a file as directory", open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    expect("open with slash", open("file/", O_RDONLY), ENOTDIR);
    expect("write a directory", open("dir", O_WRONLY), EISDIR);
    expect("long name", open(name, O_RDONLY), ENAMETOOLONG);
    expect("mkdir over a file", mkdir("file", 0755), EEXIST);
    expect("mkdir below nothing", mkdir("no/where", 0755), ENOENT);
    expect("rmdir a file", rmdir("file"), ENOTDIR);
    expect("rmdir nothing", rmdir("nothing"), ENOENT);
    expect("unlink a directory", unlink("dir"), EISDIR);
    expect("rename nothing", rename("nothing", "x"), ENOENT);
    expect("rename a file over a directory", rename("file", "dir"), EISDIR);
    expect("rename a directory over a file", rename("dir", "file"), ENOTDIR);
    expect("readlink a file", readlink("file", text, sizeof(text)), EINVAL);
    expect("symlink over a file", symlink("x", "file"), EEXIST);
    expect("read a closed descriptor", read(99, text, 1), EBADF);
    expect("close a closed descriptor", close(99), EBADF);
    expect("seek before the start", lseek(file, -5, SEEK_SET), EINVAL);
    expect("seek with a wild whence", lseek(file, 0, 9), EINVAL);
    expect("truncate below zero", ftruncate(file, -1), EINVAL);
    expect("read a directory", read(directory, text, 1), EISDIR);
    close(file);
    close(directory);
    unlink("file");
    rmdir("dir");
    return 0;
}
