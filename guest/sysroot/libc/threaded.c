/* SPDX-License-Identifier: Apache-2.0
 *
 * From the first thread on locks are taken. Before it they cost a load and a branch.
 */
#include "weft_threads.h"

#include "stdio_impl.h"

volatile char __weft_threaded; /* crt1 asks it too */
volatile int __weft_ends;

static FILE *volatile no_file;
weak_alias(no_file, __stdin_used);
weak_alias(no_file, __stdout_used);
weak_alias(no_file, __stderr_used);
static void *no_keys[1];
weak_alias(no_keys, __pthread_tsd_main);

static void
begin_file(FILE *file)
{
    if (file != NULL && file->lock < 0)
        file->lock = 0;
}

void
__weft_first_thread(void)
{
    if (libc.threaded)
        return;
    for (FILE *file = *__ofl_lock(); file != NULL; file = file->next)
        begin_file(file);
    __ofl_unlock();
    begin_file(__stdin_used);
    begin_file(__stdout_used);
    begin_file(__stderr_used);
    if (__pthread_self()->tsd == NULL)
        __pthread_self()->tsd = (void **)__pthread_tsd_main;
    libc.threaded = 1;
    __weft_threaded = 1;
}
