/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpi.h"
#include "testing.h"

static int rank, size;

#define OK(call) CHECK((call) == MPI_SUCCESS)

static void
begin(int level)
{
    int provided;

    OK(MPI_Init_thread(NULL, NULL, level, &provided));
    CHECK(provided == level);
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
}

static void
run_with(uint32_t members, void (*body)(void))
{
    assert_true(mpi_testing_run(members, body));
}

#define THREADS   4
#define EXCHANGES 200

static void *
exchange_in_thread(void *argument)
{
    static const int counts[] = {1, 200, 300, 5000};
    int tag = (int)(intptr_t)argument, next = (rank + 1) % size, last = (rank + size - 1) % size;
    int *out = calloc(5000, sizeof(*out)), *in = calloc(5000, sizeof(*in));

    for (int i = 0; i < EXCHANGES; i++) {
        int count = counts[(i + tag) % 4];
        MPI_Request request;
        MPI_Status status;

        out[0] = out[count - 1] = i * THREADS + tag;
        OK(MPI_Irecv(in, count, MPI_INT, last, tag, MPI_COMM_WORLD, &request));
        OK(i % 2 == 0 ? MPI_Send(out, count, MPI_INT, next, tag, MPI_COMM_WORLD)
                      : MPI_Ssend(out, count, MPI_INT, next, tag, MPI_COMM_WORLD));
        if (i % 3 == 0) {
            int flag = 0;

            while (!flag)
                OK(MPI_Test(&request, &flag, &status));
        } else {
            OK(MPI_Wait(&request, &status));
        }
        CHECK(in[0] == i * THREADS + tag && in[count - 1] == in[0] && status.MPI_TAG == tag);
    }
    free(out);
    free(in);
    return NULL;
}

static void
exchange_in_threads(void)
{
    pthread_t threads[THREADS];

    begin(MPI_THREAD_MULTIPLE);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, exchange_in_thread, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    OK(MPI_Finalize());
}

static void
test_threads_wait_for_messages_of_their_own(void **state)
{
    (void)state;
    run_with(1, exchange_in_threads);
    run_with(2, exchange_in_threads);
    run_with(3, exchange_in_threads);
}

static int
query(void *extra, MPI_Status *status)
{
    (void)extra;
    status->MPI_TAG = 12;
    return MPI_SUCCESS;
}

static int
release(void *extra)
{
    ++*(int *)extra;
    return MPI_ERR_OTHER;
}

static int
ignore(void *extra, int is_complete)
{
    (void)extra;
    (void)is_complete;
    return MPI_SUCCESS;
}

static void *
complete(void *argument)
{
    OK(MPI_Grequest_complete(*(MPI_Request *)argument));
    return NULL;
}

static void
await_thread(void)
{
    int freed = 0;

    begin(MPI_THREAD_MULTIPLE);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (int i = 0; i < 200; i++) {
        MPI_Request request, copy;
        MPI_Status status;
        pthread_t thread;

        OK(MPI_Grequest_start(query, release, ignore, &freed, &request));
        copy = request;
        CHECK(pthread_create(&thread, NULL, complete, &copy) == 0);
        CHECK(MPI_Wait(&request, &status) == MPI_ERR_OTHER); /* what release says */
        CHECK(freed == i + 1 && status.MPI_TAG == 12 && request == MPI_REQUEST_NULL);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    OK(MPI_Finalize());
}

static void
test_another_thread_completes_what_is_waited_for(void **state)
{
    (void)state;
    run_with(1, await_thread);
    run_with(2, await_thread);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_wait_for_messages_of_their_own),
        cmocka_unit_test(test_another_thread_completes_what_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
