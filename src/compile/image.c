/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's whole way to an image, partitions side by side.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

#define JOBS_MAX 64u

struct work {
    const struct compile_plan *plan;
    LLVMMemoryBufferRef *objects; /* one per partition */
    atomic_uint next;             /* partition to take */
    pthread_mutex_t lock;
    struct diag *diag; /* GUARDED_BY(lock) */
    int err;           /* GUARDED_BY(lock): the first */
};

static int
compile_partition(struct work *work, uint32_t partition, struct diag *diag)
{
    struct unit *unit;
    int err = unit_create(work->plan, partition, &unit, diag);

    if (err != 0)
        return err;
    err = unit_emit(unit, diag);
    if (err == 0)
        err = unit_object(unit, &work->objects[partition], diag);
    unit_destroy(unit);
    return err;
}

static void *
work_main(void *argument)
{
    struct work *work = argument;
    uint32_t partition;

    while ((partition = atomic_fetch_add(&work->next, 1)) < work->plan->partition_count) {
        struct diag diag;
        int err;

        diag_init(&diag);
        err = compile_partition(work, partition, &diag);
        if (err == 0)
            continue;
        (void)pthread_mutex_lock(&work->lock);
        if (work->err == 0) {
            work->err = err;
            (void)diag_set(work->diag, err, "%s", diag_text(&diag));
        }
        (void)pthread_mutex_unlock(&work->lock);
        atomic_store(&work->next, work->plan->partition_count);
    }
    return NULL;
}

/* LLVM recurses on what it compiles; a thread's default stack is too small for
 * the largest functions. */
static void
run_workers(struct work *work, unsigned jobs)
{
    pthread_t threads[JOBS_MAX];
    pthread_attr_t attributes;
    unsigned started = 0;
    int err = pthread_attr_init(&attributes);

    ASSERT(err == 0);
    err = pthread_attr_setstacksize(&attributes, 256u << 20);
    ASSERT(err == 0);
    while (started < jobs && started < work->plan->partition_count)
        if (pthread_create(&threads[started], &attributes, work_main, work) != 0)
            break;
        else
            started++;
    (void)pthread_attr_destroy(&attributes);
    if (started == 0)
        (void)work_main(work);
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
}

static int
compile_plan(const struct compile_plan *plan, int out_fd, struct diag *diag)
{
    struct work work = {.plan = plan, .lock = PTHREAD_MUTEX_INITIALIZER, .diag = diag};
    unsigned jobs = plan->options->jobs;

    if (jobs == 0)
        jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    work.objects = calloc(plan->partition_count, sizeof(LLVMMemoryBufferRef));
    if (work.objects == NULL)
        return diag_set(diag, -ENOMEM, "out of memory");
    run_workers(&work, jobs < JOBS_MAX ? jobs : JOBS_MAX);
    if (work.err == 0)
        work.err = compile_link(plan->options, work.objects, plan->partition_count, out_fd, diag);
    for (uint32_t i = 0; i < plan->partition_count; i++)
        if (work.objects[i] != NULL)
            LLVMDisposeMemoryBuffer(work.objects[i]);
    free(work.objects);
    return work.err;
}

int
compile_image(const uint8_t *bytes, size_t count, const struct compile_options *options, int out_fd,
              struct diag *diag)
{
    struct wasm_module *module = NULL;
    struct compile_plan *plan = NULL;
    int err;

    ASSERT(options->level <= 3);
    err = wasm_module_create(bytes, count, &module, NULL, diag);
    if (err == 0)
        err = compile_plan_create(module, options, &plan, diag);
    if (err == 0)
        err = compile_plan(plan, out_fd, diag);
    compile_plan_destroy(plan);
    wasm_module_destroy(module);
    return err;
}
