/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives that a program calls wrongly: what can be known where it is called is refused there.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mpi.h"

static int rank, size;

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == 0);
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size) == 0);
    CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN) == 0);
}

static int
class_of(int code)
{
    int class = -1;

    CHECK(MPI_Error_class(code, &class) == 0);
    return class;
}

#define REFUSED(class, call) CHECK(class_of(call) == (class))

static void
misuse_rooted(int *a, int *b)
{
    MPI_Comm world = MPI_COMM_WORLD;
    MPI_Request request;

    REFUSED(MPI_ERR_COMM, MPI_Barrier(MPI_COMM_NULL));
    REFUSED(MPI_ERR_ARG, MPI_Ibarrier(world, NULL));
    REFUSED(MPI_ERR_ROOT, MPI_Bcast(a, 1, MPI_INT, size, world));
    REFUSED(MPI_ERR_ROOT, MPI_Bcast(a, 1, MPI_INT, -1, world));
    REFUSED(MPI_ERR_ROOT, MPI_Ibcast(a, 1, MPI_INT, MPI_ROOT, world, &request));
    REFUSED(MPI_ERR_COUNT, MPI_Bcast(a, -1, MPI_INT, 0, world));
    REFUSED(MPI_ERR_TYPE, MPI_Bcast(a, 1, MPI_DATATYPE_NULL, 0, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Bcast(NULL, 1, MPI_INT, 0, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Bcast(MPI_IN_PLACE, 1, MPI_INT, 0, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Gather(a, 1, MPI_INT, MPI_IN_PLACE, 1, MPI_INT, rank, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Gather(a + rank, 1, MPI_INT, a, 1, MPI_INT, rank, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Scatter(a, 1, MPI_INT, a + rank, 1, MPI_INT, rank, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Scatter(MPI_IN_PLACE, 1, MPI_INT, b, 1, MPI_INT, rank, world));
    REFUSED(MPI_ERR_ARG, MPI_Gatherv(a, 1, MPI_INT, b, a, NULL, MPI_INT, rank, world));
    REFUSED(MPI_ERR_OP, MPI_Reduce(a, b, 1, MPI_INT, MPI_NO_OP, 0, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Reduce(a, a, 1, MPI_INT, MPI_SUM, rank, world));
    if (size > 1) {
        int other = (rank + 1) % size;

        REFUSED(MPI_ERR_BUFFER, MPI_Gather(MPI_IN_PLACE, 1, MPI_INT, b, 1, MPI_INT, other, world));
        REFUSED(MPI_ERR_BUFFER, MPI_Reduce(MPI_IN_PLACE, b, 1, MPI_INT, MPI_SUM, other, world));
    }
}

static void
misuse_all(int *a, int *b)
{
    MPI_Comm world = MPI_COMM_WORLD;
    int counts[64] = {0};

    REFUSED(MPI_ERR_BUFFER, MPI_Allgather(a + rank, 1, MPI_INT, a, 1, MPI_INT, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Allgather(a, 1, MPI_INT, MPI_IN_PLACE, 1, MPI_INT, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Alltoall(a, 1, MPI_INT, a, 1, MPI_INT, world));
    REFUSED(MPI_ERR_COUNT, MPI_Alltoall(a, 1, MPI_INT, b, -1, MPI_INT, world));
    counts[0] = -1;
    REFUSED(MPI_ERR_COUNT, MPI_Alltoallv(a, counts, a, MPI_INT, b, counts, a, MPI_INT, world));
    REFUSED(MPI_ERR_COUNT, MPI_Reduce_scatter(a, b, counts, MPI_INT, MPI_SUM, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Allreduce(a, a, 1, MPI_INT, MPI_SUM, world));
    REFUSED(MPI_ERR_BUFFER, MPI_Allreduce(a, MPI_IN_PLACE, 1, MPI_INT, MPI_SUM, world));
    REFUSED(MPI_ERR_OP, MPI_Allreduce(a, b, 1, MPI_INT, MPI_OP_NULL, world));
    REFUSED(MPI_ERR_OP, MPI_Allreduce(a, b, 1, MPI_FLOAT, MPI_BAND, world));
    REFUSED(MPI_ERR_OP, MPI_Allreduce(a, b, 1, MPI_INT, MPI_REPLACE, world));
    REFUSED(MPI_ERR_OP, MPI_Scan(a, b, 1, MPI_INT, MPI_NO_OP, world));
    REFUSED(MPI_ERR_OP, MPI_Reduce_scatter_block(a, b, 1, MPI_INT, MPI_REPLACE, world));
    REFUSED(MPI_ERR_TYPE, MPI_Scan(a, b, 1, MPI_DATATYPE_NULL, MPI_SUM, world));
    REFUSED(MPI_ERR_TOPOLOGY, MPI_Neighbor_allgather(a, 1, MPI_INT, b, 1, MPI_INT, world));
}

/* Nothing of what was refused was sent: what follows is as if it had not been. */
static void
misuse_body(void)
{
    int a[64] = {1}, b[64], sum = 0;

    begin();
    misuse_rooted(a, b);
    misuse_all(a, b);
    CHECK(MPI_Allreduce(a, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD) == 0);
    CHECK(sum == size);
    CHECK(MPI_Finalize() == 0);
}

static void
test_what_is_wrong_is_refused_before_anything_is_sent(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, misuse_body));
    assert_true(mpi_testing_run(3, misuse_body));
}

static void
mismatch_body(void)
{
    int data[10] = {0}, err;

    begin();
    err = MPI_Bcast(data, rank == 0 ? 1 : 10, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK(class_of(err) == (rank == 0 ? MPI_SUCCESS : MPI_ERR_TRUNCATE));
    err = MPI_Bcast(data, rank == 0 ? 10 : 1, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK(class_of(err) == (rank == 0 ? MPI_SUCCESS : MPI_ERR_TRUNCATE));
    CHECK(MPI_Barrier(MPI_COMM_WORLD) == 0);
    CHECK(MPI_Finalize() == 0);
}

static void
test_too_much_or_too_little_is_an_error_where_it_comes(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(2, mismatch_body));
}

/* Member 0's tree: 1, 2, 4; below 4: 5, 6; below 6: 7. All but member 4 agree. */
static void
inner_body(void)
{
    int data[10] = {0}, more[20] = {0}, all[8] = {0}, err;

    begin();
    err = MPI_Bcast(rank == 4 ? more : data, rank == 4 ? 20 : 10, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK((class_of(err) != MPI_SUCCESS) == (rank >= 4));
    err = MPI_Reduce(more, rank == 0 ? data : NULL, rank == 5 ? 9 : 10, MPI_INT, MPI_SUM, 0,
                     MPI_COMM_WORLD);
    CHECK((class_of(err) != MPI_SUCCESS) == (rank == 4 || rank == 0));
    CHECK(MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD) == 0);
    CHECK(all[7] == 7);
    CHECK(MPI_Finalize() == 0);
}

static void
test_an_error_of_an_inner_member_is_passed_on(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(8, inner_body));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong_is_refused_before_anything_is_sent),
        cmocka_unit_test(test_too_much_or_too_little_is_an_error_where_it_comes),
        cmocka_unit_test(test_an_error_of_an_inner_member_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
