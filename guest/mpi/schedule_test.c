/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: rounds and steps begin in order, memory is theirs, the first error is kept and what
 * others wait for is done all the same. And the collectives for the library's own use.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net.h"
#include "schedule.h"

static struct mpi_comm *world;
static struct mpi_type *type;

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    mpi_lock();
    CHECK(mpi_comm_find(MPI_COMM_WORLD, &world) == 0);
    CHECK(mpi_type_find(MPI_INT, &type) == 0);
}

static void
end(void)
{
    mpi_unlock();
    CHECK(MPI_Finalize() == 0);
}

static struct mpi_schedule *
create(void)
{
    struct mpi_schedule *schedule = mpi_schedule_create(world, "test");

    CHECK(schedule != NULL);
    return schedule;
}

static int calls;

static int
count_call(void *context)
{
    CHECK(*(int *)context == calls);
    calls++;
    return MPI_SUCCESS;
}

static int
fail_call(void *context)
{
    (void)context;
    calls++;
    return MPI_ERR_FILE;
}

static void
order_body(void)
{
    struct mpi_schedule *schedule;
    int numbers[600], to = 0, one = 1, sum = 0;
    struct mpi_op *op;

    begin();
    schedule = create();
    for (int i = 0; i < 600; i++) {
        numbers[i] = i;
        mpi_schedule_call(schedule, count_call, &numbers[i]);
        if (i % 3 == 0)
            mpi_schedule_round(schedule);
    }
    CHECK(mpi_op_find(MPI_SUM, &op) == 0);
    mpi_schedule_copy(schedule, &one, 1, type, &to, 1, type);
    mpi_schedule_reduce(schedule, &to, &sum, 1, type, op);
    CHECK(calls == 0);
    CHECK(mpi_schedule_run(schedule) == 0);
    CHECK(calls == 600 && to == 1 && sum == 1);
    end();
}

static void
test_steps_are_done_in_order_however_many(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, order_body));
}

/* Each round sends what came in the one before: round the ring, and back where it began. */
static void
rounds_body(void)
{
    struct mpi_schedule *schedule;
    struct mpi_request *request;
    int size, value[2] = {0};

    begin();
    size = world->size;
    value[0] = world->rank;
    schedule = create();
    for (int i = 0; i < size; i++) {
        mpi_schedule_receive(schedule, &value[(i + 1) % 2], 1, type,
                             (world->rank + size - 1) % size);
        mpi_schedule_send(schedule, &value[i % 2], 1, type, (world->rank + 1) % size);
        mpi_schedule_round(schedule);
        mpi_schedule_round(schedule); /* none is empty */
    }
    CHECK(mpi_schedule_start(schedule, &request) == 0);
    CHECK(mpi_request_finish(request) == 0);
    CHECK(value[size % 2] == world->rank);
    end();
}

static void
test_a_round_begins_when_the_one_before_is_done(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(2, rounds_body));
    assert_true(mpi_testing_run(7, rounds_body));
}

static void
memory_body(void)
{
    MPI_Datatype handle;
    struct mpi_type *shifted;
    struct mpi_schedule *schedule;

    begin();
    mpi_unlock();
    CHECK(MPI_Type_create_hindexed(1, (int[]){2}, (MPI_Aint[]){-40}, MPI_INT, &handle) == 0);
    CHECK(MPI_Type_commit(&handle) == 0);
    mpi_lock();
    CHECK(mpi_type_find(handle, &shifted) == 0);
    for (int pass = 0; pass < 3; pass++) { /* the second one is the first again */
        schedule = create();
        for (uint64_t bytes = 1; bytes < 100000; bytes *= 3) {
            char *memory = mpi_schedule_memory(schedule, bytes);

            CHECK(memory != NULL && (uintptr_t)memory % 16 == 0);
            memset(memory, pass, (size_t)bytes);
            memory = mpi_schedule_elements(schedule, (int64_t)bytes, shifted);
            memset(memory - 40, pass, (size_t)bytes * 8);
        }
        mpi_schedule_destroy(schedule);
    }
    CHECK(mpi_schedule_memory(schedule = create(), UINT64_MAX) == NULL);
    CHECK(mpi_schedule_run(schedule) == MPI_ERR_NO_MEM);
    end();
}

static void
test_memory_is_there_for_every_size_and_none_is_an_error(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, memory_body));
}

/* The first error is what is told; the other member gets its message. */
static void
error_body(void)
{
    struct mpi_schedule *schedule;
    int value = 5;

    begin();
    schedule = create();
    if (world->rank == 0) {
        mpi_schedule_call(schedule, fail_call, NULL);
        mpi_schedule_round(schedule);
        mpi_schedule_send(schedule, &value, 1, type, 1);
        CHECK(mpi_schedule_run(schedule) == MPI_ERR_FILE);
        CHECK(calls == 1);
    } else {
        value = 0;
        mpi_schedule_receive(schedule, &value, 1, type, 0);
        CHECK(mpi_schedule_run(schedule) == 0 && value == 5);
    }
    end();
}

static void
test_an_error_does_not_keep_others_waiting(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(2, error_body));
}

static void
own_body(void)
{
    int64_t most[2];
    uint32_t number, all[16];

    begin();
    number = mpi_member() * 3;
    most[0] = world->rank;
    most[1] = -world->rank;
    CHECK(mpi_collective_max(world, most, 2) == 0);
    CHECK(most[0] == world->size - 1 && most[1] == 0);
    CHECK(mpi_collective_allgather(world, &number, all, sizeof(number)) == 0);
    for (int i = 0; i < world->size; i++)
        CHECK(all[i] == (uint32_t)i * 3);
    CHECK(mpi_collective_bcast(world, &number, sizeof(number), world->size - 1) == 0);
    CHECK(number == ((uint32_t)world->size - 1) * 3);
    CHECK(mpi_collective_barrier(world) == 0);
    end();
}

static void
test_the_library_has_collectives_of_its_own(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, own_body));
    assert_true(mpi_testing_run(3, own_body));
    assert_true(mpi_testing_run(16, own_body));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_done_in_order_however_many),
        cmocka_unit_test(test_a_round_begins_when_the_one_before_is_done),
        cmocka_unit_test(test_memory_is_there_for_every_size_and_none_is_an_error),
        cmocka_unit_test(test_an_error_does_not_keep_others_waiting),
        cmocka_unit_test(test_the_library_has_collectives_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
