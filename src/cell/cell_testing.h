/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of cells: what is told of the ends of calls.
 */
#ifndef WEFT_CELL_CELL_TESTING_H
#define WEFT_CELL_CELL_TESTING_H

#include "../../tests/testing.h"

#include <pthread.h>

#include "cell/cell.h"

/* ThreadSanitizer holds signals back until the program calls something: a guest that
 * only computes is never taken off. */
#ifdef __SANITIZE_THREAD__
#define HAS_PREEMPTION false
#else
#define HAS_PREEMPTION true
#endif

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t told;
    unsigned count;
    struct cell_end end;
    uint64_t result;
    char message[128], backtrace[512];
};

static inline void
answer_init(struct answer *answer)
{
    (void)memset(answer, 0, sizeof(*answer));
    (void)pthread_mutex_init(&answer->lock, NULL);
    (void)pthread_cond_init(&answer->told, NULL);
}

static inline void
on_end(void *context, const struct cell_end *end)
{
    struct answer *answer = context;

    (void)pthread_mutex_lock(&answer->lock);
    answer->count++;
    answer->end = *end;
    answer->result = end->result_slots > 0 ? end->results[0] : 0;
    (void)snprintf(answer->message, sizeof(answer->message), "%s", end->message);
    (void)snprintf(answer->backtrace, sizeof(answer->backtrace), "%s", end->backtrace);
    (void)pthread_cond_signal(&answer->told);
    (void)pthread_mutex_unlock(&answer->lock);
}

static inline void
answer_wait(struct answer *answer, unsigned count)
{
    (void)pthread_mutex_lock(&answer->lock);
    while (answer->count < count)
        (void)pthread_cond_wait(&answer->told, &answer->lock);
    (void)pthread_mutex_unlock(&answer->lock);
}

static inline unsigned
answer_count(struct answer *answer)
{
    unsigned count;

    (void)pthread_mutex_lock(&answer->lock);
    count = answer->count;
    (void)pthread_mutex_unlock(&answer->lock);
    return count;
}

#endif
