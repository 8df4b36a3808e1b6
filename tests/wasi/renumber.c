/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor table by the interface itself: numbers, rights, flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

int
main(void)
{
    __wasi_fdstat_t stat;
    char text[16] = "";
    int one = open("one", O_RDWR | O_CREAT, 0644);
    int two = open("two", O_RDWR | O_CREAT, 0644);

    write(one, "in one", 6);
    printf("renumber: %d\n", __wasi_fd_renumber(one, two));
    printf("old: %d\n", __wasi_fd_fdstat_get(one, &stat));
    printf("new: %d\n", __wasi_fd_fdstat_get(two, &stat));
    printf("offset: %ld\n", (long)lseek(two, 0, SEEK_CUR));
    printf("pread: %zd %s\n", pread(two, text, 6, 0), text);
    printf("reused: %d\n", open("two", O_RDONLY) == one);
    printf("append: %d\n", fcntl(two, F_SETFL, O_APPEND));
    printf("flags: %d\n", (fcntl(two, F_GETFL) & O_APPEND) != 0);
    lseek(two, 0, SEEK_SET);
    write(two, "+", 1);
    printf("at: %ld\n", (long)lseek(two, 0, SEEK_CUR));
    printf("preopen: %d\n", __wasi_fd_prestat_get(3, &(__wasi_prestat_t){0}));
    printf("no preopen: %d\n", __wasi_fd_prestat_get(two, &(__wasi_prestat_t){0}));
    unlink("one");
    unlink("two");
    return 0;
}
