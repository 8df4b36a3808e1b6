/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite locks files against other processes, which WASI has no calls for. A process never
 * locks itself out, so where there is one all such locks succeed; between the connections and
 * threads of it SQLite does without them.
 */
#ifndef WEFT_PROGRAMS_SQLITE_H
#define WEFT_PROGRAMS_SQLITE_H

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define F_GETLK 12
#define F_SETLK 13

static inline int
one_process_fcntl(int fd, int command, ...)
{
    va_list arguments;
    int value;

    va_start(arguments, command);
    switch (command) {
    case F_SETLK:
        value = 0;
        break;
    case F_GETLK:
        va_arg(arguments, struct flock *)->l_type = F_UNLCK;
        value = 0;
        break;
    case F_SETFD:
    case F_SETFL:
        value = fcntl(fd, command, va_arg(arguments, int));
        break;
    default:
        value = fcntl(fd, command);
        break;
    }
    va_end(arguments);
    return value;
}

#define fcntl one_process_fcntl

#endif
