/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "message.h"
#include "net.h"
#include "testing.h"
#include "turn.h"

#define ROUNDS 200

#define OK(call) CHECK((call) == MPI_SUCCESS)

static int rank, size;

/* Of rank 0: what all others change there. */
static struct {
    mpi_turn turn;
    uint64_t count;   /* changed in two steps, by who has it alone */
    uint64_t readers; /* that have it together */
} shared;

static void
begin(int level)
{
    int provided;

    OK(MPI_Init_thread(NULL, NULL, level, &provided));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    shared.turn = shared.count = shared.readers = 0;
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

static void
end(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    CHECK(shared.turn == 0);
    OK(MPI_Finalize());
}

static void
take(bool is_alone)
{
    mpi_turn_take(0, (uintptr_t)&shared.turn, is_alone, "a turn");
}

static void
give(bool is_alone)
{
    mpi_turn_give(0, (uintptr_t)&shared.turn, is_alone);
}

/* All members have them at the same address: they are forks of one process. */
static void
count_up(void)
{
    uint64_t count, readers;

    mpi_net_get(0, (uintptr_t)&shared.readers, &readers, sizeof(readers));
    CHECK(readers == 0);
    mpi_net_get(0, (uintptr_t)&shared.count, &count, sizeof(count));
    count++;
    mpi_net_put(0, (uintptr_t)&shared.count, &count, sizeof(count));
}

static void
look_at(void)
{
    uint64_t before, after;

    (void)mpi_net_change(0, (uintptr_t)&shared.readers, 8, MPI_NET_ADD, 1, 0);
    mpi_net_get(0, (uintptr_t)&shared.count, &before, sizeof(before));
    mpi_net_get(0, (uintptr_t)&shared.count, &after, sizeof(after));
    CHECK(before == after);
    (void)mpi_net_change(0, (uintptr_t)&shared.readers, 8, MPI_NET_ADD, UINT64_MAX, 0);
}

static void
all_at_once(void)
{
    begin(MPI_THREAD_SINGLE);
    for (int i = 0; i < ROUNDS; i++) {
        bool is_alone = (i + rank) % 3 != 0;

        mpi_lock();
        take(is_alone);
        (is_alone ? count_up : look_at)();
        give(is_alone);
        mpi_unlock();
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (int r = 0, i = 0; rank == 0 && r < size; r++)
        for (i = 0; i < ROUNDS; i++)
            shared.count -= (i + r) % 3 != 0;
    CHECK(rank != 0 || shared.count == 0);
    end();
}

static void
test_one_alone_or_several_together(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, all_at_once));
    assert_true(mpi_testing_run(2, all_at_once));
    assert_true(mpi_testing_run(7, all_at_once));
}

/* ---------------------------------------------------------------------------- waiting */

/* Whose the word is does nothing; who holds it waits for a message of another who shares it, while
 * a third wants it alone. */
static void
share_past_one_who_waits(void)
{
    begin(MPI_THREAD_SINGLE);
    if (rank == 0)
        usleep(200000);
    if (rank == 1) {
        take(false);
        OK(MPI_Barrier(MPI_COMM_SELF));
        OK(MPI_Send(NULL, 0, MPI_BYTE, 2, 0, MPI_COMM_WORLD));
        OK(MPI_Recv(NULL, 0, MPI_BYTE, 3, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        give(false);
    }
    if (rank == 2) {
        OK(MPI_Recv(NULL, 0, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Send(NULL, 0, MPI_BYTE, 3, 0, MPI_COMM_WORLD));
        take(true);
        give(true);
    }
    if (rank == 3) {
        OK(MPI_Recv(NULL, 0, MPI_BYTE, 2, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        usleep(20000);
        take(false);
        OK(MPI_Send(NULL, 0, MPI_BYTE, 1, 0, MPI_COMM_WORLD));
        give(false);
    }
    end();
}

static void
test_who_waits_to_have_it_alone_holds_up_nobody(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(4, share_past_one_who_waits));
}

/* Who had it together is gone from it one by one: the last one calls. */
static void
wait_for_the_last(void)
{
    begin(MPI_THREAD_SINGLE);
    if (rank != 0)
        take(false);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    if (rank == 0) {
        take(true);
        give(true);
    } else {
        usleep((unsigned)rank * 5000);
        give(false);
    }
    end();
}

static void
test_the_last_of_several_calls_who_waits(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(5, wait_for_the_last));
}

/* --------------------------------------------------------------------------- threads */

static void *
count_in_turns(void *context)
{
    for (int i = 0; i < ROUNDS; i++) {
        mpi_lock();
        take(true);
        count_up();
        mpi_unlock();
        if (i % 16 == 0)
            usleep(100);
        mpi_lock();
        give(true);
        mpi_unlock();
    }
    return context;
}

static void
threads_of_each(void)
{
    pthread_t threads[3];

    begin(MPI_THREAD_MULTIPLE);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, count_in_turns, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    CHECK(rank != 0 || shared.count == (uint64_t)size * 3 * ROUNDS);
    end();
}

static void
test_threads_take_turns_too(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, threads_of_each));
    assert_true(mpi_testing_run(3, threads_of_each));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_alone_or_several_together),
        cmocka_unit_test(test_who_waits_to_have_it_alone_holds_up_nobody),
        cmocka_unit_test(test_the_last_of_several_calls_who_waits),
        cmocka_unit_test(test_threads_take_turns_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
