/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads for what waits for disks and compilers, and the queue before them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "gateway/gateway_internal.h"

#define THREADS_MAX 256u

struct gateway_work {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct gateway_request *first, **last;
    uint32_t count, max;
    bool is_ending;
    unsigned threads;
    pthread_t thread[THREADS_MAX];
};

static struct gateway_request *
take(struct gateway_work *work)
{
    struct gateway_request *request;

    (void)pthread_mutex_lock(&work->lock);
    while (work->first == NULL && !work->is_ending)
        (void)pthread_cond_wait(&work->change, &work->lock);
    request = work->first;
    if (request != NULL) {
        work->first = request->next;
        if (work->first == NULL)
            work->last = &work->first;
        work->count--;
    }
    (void)pthread_mutex_unlock(&work->lock);
    return request;
}

static void *
work_main(void *object)
{
    struct gateway_request *request;

    while ((request = take(object)) != NULL) {
        gateway_handler then = request->then;
        enum gateway_next next;

        request->then = NULL;
        if (gateway_is_ending(request->gateway))
            next = gateway_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending", "try again",
                                "this gateway ends");
        else
            next = then(request);
        if (next == GATEWAY_ANSWERED)
            gateway_resume(request);
    }
    return NULL;
}

int
gateway_work_push(struct gateway_work *work, struct gateway_request *request)
{
    int err = 0;

    request->next = NULL;
    (void)pthread_mutex_lock(&work->lock);
    if (work->count >= work->max || work->is_ending) {
        err = -EAGAIN;
    } else {
        if (!request->is_suspended)
            gateway_suspend(request);
        *work->last = request;
        work->last = &request->next;
        work->count++;
        (void)pthread_cond_signal(&work->change);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return err;
}

int
gateway_work_create(unsigned threads, uint32_t queue_max, struct gateway_work **out,
                    struct diag *diag)
{
    struct gateway_work *work = calloc(1, sizeof(*work));
    int err = 0;

    if (work == NULL)
        return diag_set(diag, -ENOMEM, "no memory for threads");
    work->max = queue_max;
    work->last = &work->first;
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->change, NULL);
    for (; err == 0 && work->threads < threads && work->threads < THREADS_MAX; work->threads++)
        err = -pthread_create(&work->thread[work->threads], NULL, work_main, work);
    if (err != 0) {
        work->threads--;
        gateway_work_destroy(work);
        return diag_set(diag, err, "cannot start a thread: %s", strerror(-err));
    }
    *out = work;
    return 0;
}

void
gateway_work_destroy(struct gateway_work *work)
{
    if (work == NULL)
        return;
    (void)pthread_mutex_lock(&work->lock);
    work->is_ending = true;
    (void)pthread_cond_broadcast(&work->change);
    (void)pthread_mutex_unlock(&work->lock);
    for (unsigned i = 0; i < work->threads; i++)
        (void)pthread_join(work->thread[i], NULL);
    ASSERT(work->first == NULL);
    (void)pthread_mutex_destroy(&work->lock);
    (void)pthread_cond_destroy(&work->change);
    free(work);
}
