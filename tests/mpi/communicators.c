/* SPDX-License-Identifier: Apache-2.0
 *
 * Communicators and inter-communicators (MPI 3.1, chapter 6).
 */
#include "check.h"

/* A message around, within it alone. */
static void
ring(MPI_Comm comm)
{
    int own, count, got = -1;

    OK(MPI_Comm_rank(comm, &own));
    OK(MPI_Comm_size(comm, &count));
    OK(MPI_Sendrecv(&own, 1, MPI_INT, (own + 1) % count, 5, &got, 1, MPI_INT,
                    (own + count - 1) % count, 5, comm, MPI_STATUS_IGNORE));
    CHECK(got == (own + count - 1) % count);
    OK(MPI_Barrier(comm));
}

static int
comparison(MPI_Comm a, MPI_Comm b)
{
    int result = -1;

    OK(MPI_Comm_compare(a, b, &result));
    return result;
}

static void
check_duplicates(void)
{
    MPI_Comm copy, later;
    MPI_Request request;
    char text[MPI_MAX_OBJECT_NAME];
    int number;

    OK(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
    CHECK(comparison(copy, MPI_COMM_WORLD) == MPI_CONGRUENT);
    CHECK(comparison(copy, copy) == MPI_IDENT);
    ring(copy);
    OK(MPI_Comm_idup(copy, &later, &request));
    ring(copy);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    ring(later);
    OK(MPI_Comm_set_name(later, "later"));
    OK(MPI_Comm_get_name(later, text, &number));
    CHECK(strcmp(text, "later") == 0 && number == 5);
    OK(MPI_Comm_get_name(copy, text, &number));
    CHECK(number == 0);
    OK(MPI_Comm_get_name(MPI_COMM_WORLD, text, &number));
    CHECK(strcmp(text, "MPI_COMM_WORLD") == 0);
    OK(MPI_Comm_free(&later));
    OK(MPI_Comm_free(&copy));
    CHECK(copy == MPI_COMM_NULL);
}

static void
check_hints(void)
{
    MPI_Comm copy, later;
    MPI_Request request;
    MPI_Info info;
    char text[MPI_MAX_OBJECT_NAME];
    int number;

    OK(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "colour", "green"));
    OK(MPI_Comm_dup_with_info(copy, info, &later));
    OK(MPI_Info_free(&info));
    OK(MPI_Comm_get_info(later, &info));
    OK(MPI_Info_get(info, "colour", 20, text, &number));
    CHECK(number && strcmp(text, "green") == 0);
    OK(MPI_Comm_set_info(copy, info));
    ring(later);
    OK(MPI_Comm_free(&later));
    OK(MPI_Comm_idup_with_info(copy, info, &later, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    ring(later);
    OK(MPI_Info_free(&info));
    OK(MPI_Comm_free(&later));
    OK(MPI_Comm_free(&copy));
}

static void
check_groups(void)
{
    int range[1][3] = {{size - 1, 0, -1}}, own, half[1][3] = {{0, (size - 1) / 2, 1}};
    MPI_Group all, back, first, now;
    MPI_Comm made;

    OK(MPI_Comm_group(MPI_COMM_WORLD, &all));
    OK(MPI_Group_range_incl(all, 1, range, &back));
    OK(MPI_Comm_create(MPI_COMM_WORLD, back, &made));
    OK(MPI_Comm_rank(made, &own));
    CHECK(own == size - 1 - rank);
    CHECK(comparison(made, MPI_COMM_WORLD) == (size == 1 ? MPI_CONGRUENT : MPI_SIMILAR));
    ring(made);
    OK(MPI_Comm_group(made, &now));
    OK(MPI_Group_compare(now, back, &own));
    CHECK(own == MPI_IDENT);
    OK(MPI_Group_free(&now));
    OK(MPI_Comm_free(&made));

    OK(MPI_Group_range_incl(all, 1, half, &first));
    OK(MPI_Comm_create(MPI_COMM_WORLD, first, &made));
    CHECK((made == MPI_COMM_NULL) == (rank > (size - 1) / 2));
    if (made != MPI_COMM_NULL) {
        ring(made);
        OK(MPI_Comm_free(&made));
        OK(MPI_Comm_create_group(MPI_COMM_WORLD, first, 17, &made)); /* only these call */
        ring(made);
        OK(MPI_Comm_free(&made));
    }
    OK(MPI_Group_free(&first));
    OK(MPI_Group_free(&back));
    OK(MPI_Group_free(&all));
}

static void
check_splits(void)
{
    MPI_Comm made;
    int own, count;

    OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 3, -rank, &made));
    OK(MPI_Comm_rank(made, &own));
    OK(MPI_Comm_size(made, &count));
    CHECK(count == (size - rank % 3 + 2) / 3);
    CHECK(own == count - 1 - rank / 3);
    ring(made);
    OK(MPI_Comm_free(&made));
    OK(MPI_Comm_split(MPI_COMM_WORLD, rank == 0 ? MPI_UNDEFINED : 0, 0, &made));
    CHECK((made == MPI_COMM_NULL) == (rank == 0));
    if (made != MPI_COMM_NULL) {
        ring(made);
        OK(MPI_Comm_free(&made));
    }
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &made));
    ring(made);
    OK(MPI_Comm_free(&made));
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_UNDEFINED, rank, MPI_INFO_NULL, &made));
    CHECK(made == MPI_COMM_NULL);
}

static void
check_wrong(void)
{
    MPI_Comm made, gone;
    MPI_Request request;
    char text[MPI_MAX_OBJECT_NAME];
    int number;

    OK(MPI_Comm_dup(MPI_COMM_SELF, &made));
    gone = made;
    OK(MPI_Comm_free(&made));
    REFUSED(MPI_Comm_rank(gone, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_size(MPI_COMM_NULL, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_rank((MPI_Comm)(size_t)12345678, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_test_inter(gone, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_free(&made), MPI_ERR_COMM);
    made = MPI_COMM_WORLD;
    REFUSED(MPI_Comm_free(&made), MPI_ERR_COMM);
    REFUSED(MPI_Comm_dup(MPI_COMM_NULL, &made), MPI_ERR_COMM);
    REFUSED(MPI_Comm_idup(MPI_COMM_NULL, &made, &request), MPI_ERR_COMM);
    REFUSED(MPI_Comm_dup_with_info(MPI_COMM_SELF, (MPI_Info)MPI_COMM_SELF, &made), MPI_ERR_INFO);
    REFUSED(MPI_Comm_idup_with_info(MPI_COMM_SELF, (MPI_Info)MPI_COMM_SELF, &made, &request),
            MPI_ERR_INFO);
    REFUSED(MPI_Comm_compare(MPI_COMM_WORLD, gone, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_remote_size(MPI_COMM_WORLD, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_get_name(gone, text, &number), MPI_ERR_COMM);
    REFUSED(MPI_Comm_get_info(gone, (MPI_Info *)&made), MPI_ERR_COMM);
    REFUSED(MPI_Comm_set_name(MPI_COMM_WORLD, NULL), MPI_ERR_ARG);
    REFUSED(MPI_Comm_set_info(MPI_COMM_WORLD, (MPI_Info)MPI_COMM_SELF), MPI_ERR_INFO);
}

static void
check_wrong_groups(void)
{
    MPI_Comm made;
    MPI_Group all, none = MPI_GROUP_EMPTY;

    REFUSED(MPI_Comm_split(MPI_COMM_WORLD, -3, 0, &made), MPI_ERR_ARG);
    REFUSED(MPI_Comm_split_type(MPI_COMM_WORLD, 4711, 0, MPI_INFO_NULL, &made), MPI_ERR_ARG);
    REFUSED(MPI_Comm_create(MPI_COMM_WORLD, MPI_GROUP_NULL, &made), MPI_ERR_GROUP);
    OK(MPI_Comm_group(MPI_COMM_WORLD, &all));
    if (size > 1)
        REFUSED(MPI_Comm_create(MPI_COMM_SELF, all, &made), MPI_ERR_GROUP);
    REFUSED(MPI_Comm_create_group(MPI_COMM_SELF, none, -1, &made), MPI_ERR_TAG);
    OK(MPI_Group_free(&all));
    REFUSED(MPI_Comm_remote_group(MPI_COMM_WORLD, &all), MPI_ERR_COMM);
    REFUSED(MPI_Comm_group(MPI_COMM_NULL, &all), MPI_ERR_COMM);
    REFUSED(MPI_Intercomm_merge(MPI_COMM_WORLD, 0, &made), MPI_ERR_COMM);
    REFUSED(MPI_Intercomm_create(MPI_COMM_SELF, 3, MPI_COMM_WORLD, 0, 0, &made), MPI_ERR_RANK);
    REFUSED(MPI_Intercomm_create(MPI_COMM_SELF, 0, MPI_COMM_WORLD, 0, -1, &made), MPI_ERR_TAG);
    REFUSED(MPI_Intercomm_create(MPI_COMM_SELF, 0, MPI_COMM_NULL, 0, 0, &made), MPI_ERR_COMM);
}

/* --------------------------------------------------------------- inter-communicators */

/* Even ranks and odd ranks. */
static MPI_Comm
bridge(void)
{
    MPI_Comm own, inter;

    OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &own));
    OK(MPI_Intercomm_create(own, 0, MPI_COMM_WORLD, 1 - rank % 2, 9, &inter));
    OK(MPI_Comm_free(&own));
    return inter;
}

/* Every one to all of the other side. */
static void
talk(MPI_Comm inter)
{
    int own, there, got;

    OK(MPI_Comm_rank(inter, &own));
    OK(MPI_Comm_remote_size(inter, &there));
    for (int i = 0; i < there; i++) {
        MPI_Request request;

        OK(MPI_Isend(&own, 1, MPI_INT, i, 3, inter, &request));
        OK(MPI_Recv(&got, 1, MPI_INT, i, 3, inter, MPI_STATUS_IGNORE));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        CHECK(got == i);
    }
    OK(MPI_Barrier(inter));
}

static void
check_merge(MPI_Comm inter, int high)
{
    MPI_Comm merged;
    int own, count, evens = (size + 1) / 2, odds = size / 2, even_first = !high;

    OK(MPI_Intercomm_merge(inter, high ? rank % 2 == 0 : rank % 2, &merged));
    OK(MPI_Comm_size(merged, &count));
    OK(MPI_Comm_rank(merged, &own));
    CHECK(count == size);
    if (rank % 2 == 0)
        CHECK(own == rank / 2 + (even_first ? 0 : odds));
    else
        CHECK(own == rank / 2 + (even_first ? evens : 0));
    ring(merged);
    OK(MPI_Comm_free(&merged));
}

static void
check_parts(MPI_Comm inter)
{
    MPI_Comm made;
    MPI_Group group, first;
    int zero = 0, number, there;

    OK(MPI_Comm_split(inter, 0, rank, &made));
    talk(made);
    OK(MPI_Comm_free(&made));
    OK(MPI_Comm_group(inter, &group));
    OK(MPI_Group_incl(group, 1, &zero, &first));
    OK(MPI_Comm_create(inter, first, &made));
    CHECK((made == MPI_COMM_NULL) == (rank > 1));
    if (made != MPI_COMM_NULL) {
        OK(MPI_Comm_remote_size(made, &there));
        CHECK(there == 1);
        talk(made);
        OK(MPI_Comm_free(&made));
    }
    OK(MPI_Group_free(&first));
    OK(MPI_Group_free(&group));
    OK(MPI_Comm_remote_group(inter, &group));
    OK(MPI_Group_size(group, &number));
    OK(MPI_Comm_remote_size(inter, &there));
    CHECK(number == there);
    OK(MPI_Group_free(&group));
}

static void
check_inter(void)
{
    MPI_Comm inter = bridge(), copy;
    MPI_Request request;
    int is_inter;

    OK(MPI_Comm_test_inter(inter, &is_inter));
    CHECK(is_inter);
    OK(MPI_Comm_test_inter(MPI_COMM_WORLD, &is_inter));
    CHECK(!is_inter);
    talk(inter);
    OK(MPI_Comm_dup(inter, &copy));
    CHECK(comparison(inter, copy) == MPI_CONGRUENT);
    CHECK(comparison(inter, MPI_COMM_WORLD) == MPI_UNEQUAL);
    talk(copy);
    OK(MPI_Comm_free(&copy));
    OK(MPI_Comm_idup(inter, &copy, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    talk(copy);
    OK(MPI_Comm_free(&copy));
    check_merge(inter, 0);
    check_merge(inter, 1);
    check_parts(inter);
    OK(MPI_Comm_free(&inter));
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    ring(MPI_COMM_WORLD);
    ring(MPI_COMM_SELF);
    check_duplicates();
    check_hints();
    check_groups();
    check_splits();
    check_wrong();
    check_wrong_groups();
    if (size > 1)
        check_inter();
    return end();
}
