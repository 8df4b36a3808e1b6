/* SPDX-License-Identifier: Apache-2.0
 *
 * Included before every file of the programs built from Debian sources: what
 * Unix has and WASI has not fails, or does nothing where that is harmless.
 */
#ifndef WEFT_TESTS_STUBS_H
#define WEFT_TESTS_STUBS_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define fchmod(fd, mode)         ((void)(fd), (void)(mode), 0)
#define fchown(fd, owner, group) ((void)(fd), (void)(owner), (void)(group), 0)
#define system(command)          ((void)(command), -1)
#define tmpfile()                ((FILE *)NULL)
#define tmpnam(name)             ((char *)NULL)
#define L_tmpnam                 20

#endif
