/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories: making, listing many entries, going back in a listing, renaming.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 700

static void
show(const char *what, long value)
{
    printf("%s: %ld%s%s\n", what, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : "");
}

static void
make_many(void)
{
    char name[64];

    for (int i = 0; i < MANY; i++) {
        int fd;

        snprintf(name, sizeof(name), "many/entry-number-%d", i);
        fd = open(name, O_WRONLY | O_CREAT, 0644);
        close(fd);
    }
}

static void
count_many(DIR *directory)
{
    static char seen[MANY];
    int files = 0, dots = 0, doubles = 0, index;
    struct dirent *entry;

    memset(seen, 0, sizeof(seen));
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            dots += entry->d_type == DT_DIR;
        } else if (sscanf(entry->d_name, "entry-number-%d", &index) == 1) {
            doubles += seen[index]++ != 0;
            files += entry->d_type == DT_REG;
        }
    }
    printf("files %d, dots %d, doubles %d\n", files, dots, doubles);
}

/* The first name again. (Not by telldir: a place in a directory is a number of 64
 * bits to the host, and a long is 32 here.) */
static void
go_back(DIR *directory)
{
    char name[64];

    rewinddir(directory);
    snprintf(name, sizeof(name), "%s", readdir(directory)->d_name);
    for (int i = 0; i < 300; i++)
        readdir(directory);
    rewinddir(directory);
    show("same entry again", strcmp(name, readdir(directory)->d_name) == 0);
}

static void
remove_many(void)
{
    char name[64];
    int removed = 0;

    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "many/entry-number-%d", i);
        removed += unlink(name) == 0;
    }
    show("removed", removed);
}

int
main(void)
{
    struct dirent **list;
    struct stat stat_d;
    DIR *directory;
    int count;

    show("mkdir", mkdir("many", 0755));
    show("mkdir again", mkdir("many", 0755));
    make_many();
    directory = opendir("many");
    count_many(directory);
    rewinddir(directory);
    count_many(directory);
    go_back(directory);
    closedir(directory);
    show("rmdir not empty", rmdir("many"));
    remove_many();
    mkdir("many/b", 0755);
    mkdir("many/a", 0755);
    mkdir("many/a/deep", 0755);
    show("rename", rename("many/a/deep", "many/c"));
    count = scandir("many", &list, NULL, alphasort);
    for (int i = 0; i < count; i++)
        printf("%s\n", list[i]->d_name);
    show("stat", stat("many/c", &stat_d));
    show("directory", S_ISDIR(stat_d.st_mode));
    show("opendir of nothing", opendir("nothing") == NULL ? -1 : 0);
    show("into itself", rename("many", "many/a/x"));
    show("rmdir", rmdir("many/a") + rmdir("many/b") + rmdir("many/c") + rmdir("many"));
    show("gone", access("many", F_OK));
    return 0;
}
