/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that wait for the disk, so that the loop does not. First come, first served: who
 * has more to do comes again at the end of the queue.
 */
#include "hosts/hosts_internal.h"

#include "base/fault.h"

static void *
disk_main(void *object)
{
    struct disk *disk = object;

    (void)pthread_mutex_lock(&disk->lock);
    while (!disk->is_ending) {
        struct disk_job *job = disk->first;

        if (job == NULL) {
            (void)pthread_cond_wait(&disk->change, &disk->lock);
            continue;
        }
        disk->first = job->next;
        if (disk->first == NULL)
            disk->last = NULL;
        (void)pthread_mutex_unlock(&disk->lock);
        job->work(job);
        (void)pthread_mutex_lock(&disk->lock);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return NULL;
}

int
hosts_disk_start(struct disk *disk)
{
    int err = 0;

    while (err == 0 && disk->thread_count < HOSTS_DISK_THREADS) {
        err = fault_point("hosts.thread");
        if (err == 0)
            err = -pthread_create(&disk->threads[disk->thread_count], NULL, disk_main, disk);
        disk->thread_count += err == 0;
    }
    return disk->thread_count > 0 ? 0 : err;
}

void
hosts_disk_add(struct disk *disk, struct disk_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&disk->lock);
    if (disk->last != NULL)
        disk->last->next = job;
    else
        disk->first = job;
    disk->last = job;
    (void)pthread_cond_signal(&disk->change);
    (void)pthread_mutex_unlock(&disk->lock);
}

void
hosts_disk_stop(struct disk *disk)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->is_ending = true;
    (void)pthread_cond_broadcast(&disk->change);
    (void)pthread_mutex_unlock(&disk->lock);
    for (uint32_t i = 0; i < disk->thread_count; i++)
        (void)pthread_join(disk->threads[i], NULL);
    disk->thread_count = 0;
    while (disk->first != NULL) {
        struct disk_job *job = disk->first;

        disk->first = job->next;
        job->drop(job);
    }
    disk->last = NULL;
}
