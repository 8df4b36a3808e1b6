/* SPDX-License-Identifier: Apache-2.0
 *
 * Meetings: nobody goes before all have come, parts are those of this meeting, and who is refused.
 */
#include "meeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "testing.h"

#define ROUNDS 300

static int rank, size;

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == 0);
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size) == 0);
}

static void
end(void)
{
    CHECK(MPI_Finalize() == 0);
}

/* The sum of the parts, in the first. */
static int
add(const struct mpi_meeting *meeting, const void *context)
{
    uint64_t *first = mpi_meeting_part(meeting, 0);

    CHECK(context == &size);
    for (int i = 1; i < size; i++)
        *first += *(uint64_t *)mpi_meeting_part(meeting, i);
    return 0;
}

static void
meet_often(void)
{
    struct mpi_meeting meeting;

    begin();
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t bytes = sizeof(uint64_t) + (uint64_t)(round % 5) * 100;

        CHECK(mpi_meeting_begin(&mpi_world, (int64_t)bytes, &meeting));
        *(uint64_t *)mpi_meeting_part(&meeting, rank) = (uint64_t)(round * size + rank);
        if (round % 50 == rank)
            (void)usleep(2000);
        CHECK(mpi_meeting_hold(&meeting, round % 2 == 0 ? add : NULL, &size, "a test") == 0);
        for (int i = 1; i < size; i++)
            CHECK(*(uint64_t *)mpi_meeting_part(&meeting, i) == (uint64_t)(round * size + i));
        CHECK(*(uint64_t *)mpi_meeting_part(&meeting, 0) ==
              (uint64_t)(round * size * (round % 2 == 0 ? size : 1)) +
                  (round % 2 == 0 ? (uint64_t)(size * (size - 1) / 2) : 0));
    }
    end();
}

static void
be_refused(void)
{
    struct mpi_meeting meeting;
    bool is_few;

    begin();
    is_few = size < 3;
    CHECK(!mpi_meeting_begin(&mpi_world, -1, &meeting));
    CHECK(!mpi_meeting_begin(&mpi_world, INT64_MAX, &meeting));
    CHECK(!mpi_meeting_begin(&mpi_world, 64 * 1024, &meeting));
    CHECK(!mpi_meeting_begin(&mpi_self, 0, &meeting));
    CHECK(mpi_meeting_begin(&mpi_world, 0, &meeting) == !is_few);
    if (!is_few)
        CHECK(mpi_meeting_hold(&meeting, NULL, NULL, "a test") == 0);
    CHECK(MPI_Barrier(MPI_COMM_WORLD) == 0);
    end();
}

static void
test_nobody_goes_before_all_have_come(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(3, meet_often));
    assert_true(mpi_testing_run(7, meet_often));
}

static void
test_few_members_and_much_to_bring_hold_no_meeting(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, be_refused));
    assert_true(mpi_testing_run(2, be_refused));
    assert_true(mpi_testing_run(5, be_refused));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_goes_before_all_have_come),
        cmocka_unit_test(test_few_members_and_much_to_bring_hold_no_meeting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
