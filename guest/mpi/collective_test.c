/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives against what is computed from inputs that all members know, by every algorithm: sizes
 * and numbers of members are on both sides of each switch. Each case is done by the blocking form
 * and by the other.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mpi.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static int rank, size;
static bool is_later; /* non-blocking forms */

#define CALL(name, iname, ...) \
    do { \
        MPI_Request request_; \
        if (is_later) { \
            CHECK(MPI_##iname(__VA_ARGS__, &request_) == 0); \
            CHECK(MPI_Wait(&request_, MPI_STATUS_IGNORE) == 0); \
        } else { \
            CHECK(MPI_##name(__VA_ARGS__) == 0); \
        } \
    } while (0)

static void
begin(void)
{
    CHECK(MPI_Init(NULL, NULL) == 0);
    CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank) == 0);
    CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size) == 0);
    CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN) == 0);
}

/* Both forms of each case, between MPI_Init and MPI_Finalize. */
static void
both(void (*cases)(void))
{
    begin();
    for (int i = 0; i < 2; i++) {
        is_later = i == 1;
        cases();
    }
    CHECK(MPI_Finalize() == 0);
}

static void
run(void (*body)(void))
{
    static const uint32_t members[] = {1, 2, 3, 4, 7, 8, 16};

    for (int i = 0; i < COUNT(members); i++) {
        print_message("    %u members\n", members[i]);
        assert_true(mpi_testing_run(members[i], body));
    }
}

static int *
ints(int count)
{
    int *array = malloc(((size_t)count + 1) * sizeof(*array));

    CHECK(array != NULL);
    for (int i = 0; i <= count; i++)
        array[i] = -77;
    return array;
}

/* What a member has at a place; to: whom it is for. */
static int
value(int member, int to, int i)
{
    return member * 1000003 + to * 10007 + i;
}

static int *
values(int to, int count)
{
    int *array = ints(count);

    for (int i = 0; i < count; i++)
        array[i] = value(rank, to, i);
    return array;
}

/* Two ints, and a hole behind each. */
static MPI_Datatype
holes(void)
{
    MPI_Datatype vector, type;

    CHECK(MPI_Type_vector(2, 1, 2, MPI_INT, &vector) == 0);
    CHECK(MPI_Type_create_resized(vector, 0, 4 * (MPI_Aint)sizeof(int), &type) == 0);
    CHECK(MPI_Type_commit(&type) == 0);
    CHECK(MPI_Type_free(&vector) == 0);
    return type;
}

/* ------------------------------------------------------------------------- barrier */

static void
barrier_cases(void)
{
    struct timespec pause = {.tv_nsec = 30 * 1000 * 1000};
    double entered = 0, left;

    for (int late = 0; late < size; late += 3) {
        if (rank == late)
            CHECK(nanosleep(&pause, NULL) == 0);
        entered = MPI_Wtime();
        if (is_later) {
            MPI_Request request;

            CHECK(MPI_Ibarrier(MPI_COMM_WORLD, &request) == 0);
            CHECK(MPI_Wait(&request, MPI_STATUS_IGNORE) == 0);
        } else {
            CHECK(MPI_Barrier(MPI_COMM_WORLD) == 0);
        }
        left = MPI_Wtime();
        CHECK(MPI_Bcast(&entered, 1, MPI_DOUBLE, late, MPI_COMM_WORLD) == 0);
        CHECK(left >= entered);
    }
}

static void
barrier_body(void)
{
    both(barrier_cases);
}

static void
test_nobody_leaves_a_barrier_before_all_are_there(void **state)
{
    (void)state;
    run(barrier_body);
}

/* --------------------------------------------------------------------------- bcast */

static void
bcast_of_ints(int count, int root)
{
    int *data = rank == root ? values(0, count) : ints(count);

    CALL(Bcast, Ibcast, data, count, MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < count; i++)
        CHECK(data[i] == value(root, 0, i));
    CHECK(data[count] == -77);
    free(data);
}

/* The root has holes in its data, the others do not, or the other way round. */
static void
bcast_of_holes(int count, int root, bool is_root_full)
{
    bool has_holes = (rank == root) != is_root_full;
    MPI_Datatype type = holes();
    int *data = ints(4 * count);

    for (int i = 0; i < 2 * count && rank == root; i++)
        data[has_holes ? 2 * i : i] = value(root, 0, i);
    if (has_holes)
        CALL(Bcast, Ibcast, data, count, type, root, MPI_COMM_WORLD);
    else
        CALL(Bcast, Ibcast, data, 2 * count, MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < 2 * count; i++) {
        CHECK(data[has_holes ? 2 * i : i] == value(root, 0, i));
        CHECK(!has_holes || data[2 * i + 1] == -77);
    }
    CHECK(MPI_Type_free(&type) == 0);
    free(data);
}

static void
bcast_cases(void)
{
    static const int counts[] = {0, 1, 255, 257, 32767, 32768, 50001};

    for (int i = 0; i < COUNT(counts); i++)
        for (int root = 0; root < size; root += size > 4 ? 3 : 1)
            bcast_of_ints(counts[i], root);
    for (int i = 0; i < 4; i++) {
        bcast_of_holes(i % 2 ? 10 : 20000, size - 1, i / 2);
        bcast_of_holes(i % 2 ? 10 : 20000, size / 2, i / 2);
    }
}

static void
bcast_body(void)
{
    both(bcast_cases);
}

static void
test_what_the_root_has_comes_to_all(void **state)
{
    (void)state;
    run(bcast_body);
}

/* -------------------------------------------------------------- gather and scatter */

static void
gather_one(int count, int root, bool is_in_place, bool has_holes)
{
    MPI_Datatype type = holes();
    int *mine = values(root, 2 * count), *all = ints(4 * count * size), step = has_holes ? 2 : 1;

    if (is_in_place && rank == root)
        for (int i = 0; i < 2 * count; i++)
            all[(rank * 2 * count + i) * step] = mine[i];
    CALL(Gather, Igather, is_in_place && rank == root ? MPI_IN_PLACE : mine, 2 * count, MPI_INT,
         all, has_holes ? count : 2 * count, has_holes ? type : MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < 2 * count * size && rank == root; i++) {
        CHECK(all[i * step] == value(i / (2 * count), root, i % (2 * count)));
        CHECK(!has_holes || all[i * step + 1] == -77);
    }
    CHECK(MPI_Type_free(&type) == 0);
    free(mine);
    free(all);
}

static void
scatter_one(int count, int root, bool is_in_place, bool has_holes)
{
    MPI_Datatype type = holes();
    int *mine = ints(2 * count), *all = ints(4 * count * size), step = has_holes ? 2 : 1;
    bool is_kept = is_in_place && rank == root;

    for (int i = 0; i < 2 * count * size; i++)
        all[i * step] = value(root, i / (2 * count), i % (2 * count));
    CALL(Scatter, Iscatter, all, has_holes ? count : 2 * count, has_holes ? type : MPI_INT,
         is_kept ? MPI_IN_PLACE : mine, 2 * count, MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < 2 * count; i++)
        CHECK(mine[i] == (is_kept ? -77 : value(root, rank, i)));
    CHECK(mine[2 * count] == -77);
    CHECK(MPI_Type_free(&type) == 0);
    free(mine);
    free(all);
}

static void
gather_cases(void)
{
    static const int counts[] = {0, 1, 128, 256, 257, 3000};

    for (int i = 0; i < COUNT(counts); i++)
        for (int root = 0; root < size; root += size > 8 ? 5 : 1)
            for (int form = 0; form < 4; form++) {
                gather_one(counts[i], root, form & 1, form & 2);
                scatter_one(counts[i], root, form & 1, form & 2);
            }
}

static void
gather_body(void)
{
    both(gather_cases);
}

static void
test_blocks_come_to_the_root_and_go_from_it(void **state)
{
    (void)state;
    run(gather_body);
}

/* Member i's block has 3 * i elements (none for the first), with gaps of one, in reverse order. */
struct blocks {
    int *counts, *displs, whole;
};

static struct blocks
blocks_of(int scale)
{
    struct blocks blocks = {ints(size), ints(size), 0};

    for (int i = size - 1; i >= 0; i--) {
        blocks.counts[i] = scale * i;
        blocks.displs[i] = blocks.whole;
        blocks.whole += scale * i + 1;
    }
    return blocks;
}

static void
blocks_free(struct blocks *blocks)
{
    free(blocks->counts);
    free(blocks->displs);
}

static void
blocks_check(const struct blocks *blocks, const int *all, int to)
{
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < blocks->counts[i]; j++)
            CHECK(all[blocks->displs[i] + j] == value(i, to, j));
        CHECK(all[blocks->displs[i] + blocks->counts[i]] == -77);
    }
}

static void
gatherv_one(int scale, int root)
{
    struct blocks blocks = blocks_of(scale);
    int *mine = values(0, scale * rank), *all = ints(blocks.whole);

    CALL(Gatherv, Igatherv, mine, scale * rank, MPI_INT, all, blocks.counts, blocks.displs, MPI_INT,
         root, MPI_COMM_WORLD);
    if (rank == root)
        blocks_check(&blocks, all, 0);
    for (int i = 0; i < scale * rank; i++)
        mine[i] = 0;
    CHECK(MPI_Bcast(all, blocks.whole, MPI_INT, root, MPI_COMM_WORLD) == 0);
    CALL(Scatterv, Iscatterv, all, blocks.counts, blocks.displs, MPI_INT, mine, scale * rank,
         MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < scale * rank; i++)
        CHECK(mine[i] == value(rank, 0, i));
    blocks_free(&blocks);
    free(mine);
    free(all);
}

static void
allgatherv_one(int scale, bool is_in_place)
{
    struct blocks blocks = blocks_of(scale);
    int *mine = values(0, scale * rank), *all = ints(blocks.whole);

    if (is_in_place)
        for (int i = 0; i < scale * rank; i++)
            all[blocks.displs[rank] + i] = mine[i];
    CALL(Allgatherv, Iallgatherv, is_in_place ? MPI_IN_PLACE : mine, scale * rank, MPI_INT, all,
         blocks.counts, blocks.displs, MPI_INT, MPI_COMM_WORLD);
    blocks_check(&blocks, all, 0);
    blocks_free(&blocks);
    free(mine);
    free(all);
}

static void
v_cases(void)
{
    static const int scales[] = {0, 3, 200, 1500};

    for (int i = 0; i < COUNT(scales); i++) {
        gatherv_one(scales[i], 0);
        gatherv_one(scales[i], size - 1);
        allgatherv_one(scales[i], false);
        allgatherv_one(scales[i], true);
    }
}

static void
v_body(void)
{
    both(v_cases);
}

static void
test_blocks_may_have_sizes_and_places_of_their_own(void **state)
{
    (void)state;
    run(v_body);
}

/* ---------------------------------------------------------- allgather and alltoall */

static void
allgather_one(int count, bool is_in_place, bool has_holes)
{
    MPI_Datatype type = holes();
    int *mine = values(0, 2 * count), *all = ints(4 * count * size), step = has_holes ? 2 : 1;

    if (is_in_place)
        for (int i = 0; i < 2 * count; i++)
            all[(rank * 2 * count + i) * step] = mine[i];
    CALL(Allgather, Iallgather, is_in_place ? MPI_IN_PLACE : mine, 2 * count, MPI_INT, all,
         has_holes ? count : 2 * count, has_holes ? type : MPI_INT, MPI_COMM_WORLD);
    for (int i = 0; i < 2 * count * size; i++) {
        CHECK(all[i * step] == value(i / (2 * count), 0, i % (2 * count)));
        CHECK(!has_holes || all[i * step + 1] == -77);
    }
    CHECK(MPI_Type_free(&type) == 0);
    free(mine);
    free(all);
}

static void
alltoall_one(int count, bool is_in_place, bool has_holes)
{
    MPI_Datatype type = holes();
    int *from = ints(2 * count * size), *to = ints(4 * count * size);
    int step = has_holes ? 2 : 1;

    for (int i = 0; i < 2 * count * size; i++) {
        from[i] = value(rank, i / (2 * count), i % (2 * count));
        if (is_in_place)
            to[i * step] = from[i];
    }
    CALL(Alltoall, Ialltoall, is_in_place ? MPI_IN_PLACE : from, 2 * count, MPI_INT, to,
         has_holes ? count : 2 * count, has_holes ? type : MPI_INT, MPI_COMM_WORLD);
    for (int i = 0; i < 2 * count * size; i++) {
        CHECK(to[i * step] == value(i / (2 * count), rank, i % (2 * count)));
        CHECK(!has_holes || to[i * step + 1] == -77);
    }
    CHECK(MPI_Type_free(&type) == 0);
    free(from);
    free(to);
}

static void
all_cases(void)
{
    static const int counts[] = {0, 1, 32, 33, 600, 1100, 4200};

    for (int i = 0; i < COUNT(counts); i++)
        for (int form = 0; form < 4; form++) {
            allgather_one(counts[i], form & 1, form & 2);
            alltoall_one(counts[i], form & 1, form & 2);
        }
}

static void
all_body(void)
{
    both(all_cases);
}

static void
test_all_have_what_all_sent(void **state)
{
    (void)state;
    run(all_body);
}

/* Member i sends i + j elements to member j. */
static void
alltoallv_one(bool is_w)
{
    int *counts = ints(size), *displs = ints(size), whole = 0;
    int *from = ints(size * size * 2), *to = ints(size * size * 2);
    MPI_Datatype *types = malloc((size_t)size * sizeof(MPI_Datatype));

    CHECK(types != NULL);
    for (int i = 0; i < size; i++) {
        counts[i] = rank + i;
        displs[i] = is_w ? whole * (int)sizeof(int) : whole;
        types[i] = MPI_INT;
        for (int j = 0; j < counts[i]; j++)
            from[whole++] = value(rank, i, j);
    }
    if (is_w)
        CALL(Alltoallw, Ialltoallw, from, counts, displs, types, to, counts, displs, types,
             MPI_COMM_WORLD);
    else
        CALL(Alltoallv, Ialltoallv, from, counts, displs, MPI_INT, to, counts, displs, MPI_INT,
             MPI_COMM_WORLD);
    for (int pass = 0; pass < 2; pass++) { /* and back, in place */
        for (int i = 0, at = 0; i < size; i++)
            for (int j = 0; j < counts[i]; j++, at++)
                CHECK(to[at] == (pass ? value(rank, i, j) : value(i, rank, j)));
        if (pass == 1)
            break;
        if (is_w)
            CALL(Alltoallw, Ialltoallw, MPI_IN_PLACE, NULL, NULL, NULL, to, counts, displs, types,
                 MPI_COMM_WORLD);
        else
            CALL(Alltoallv, Ialltoallv, MPI_IN_PLACE, NULL, NULL, MPI_INT, to, counts, displs,
                 MPI_INT, MPI_COMM_WORLD);
    }
    free(counts);
    free(displs);
    free(from);
    free(to);
    free(types);
}

static void
alltoallv_cases(void)
{
    alltoallv_one(false);
    alltoallv_one(true);
}

static void
alltoallv_body(void)
{
    both(alltoallv_cases);
}

static void
test_each_pair_may_have_its_own_size(void **state)
{
    (void)state;
    run(alltoallv_body);
}

/* ---------------------------------------------------------------------- reductions
 *
 * Two operators: sums, and one for which order is all: (a, b) after (c, d), lines of slope and
 * start modulo a prime. */

#define PRIME 10007

static void
compose(void *in, void *inout, int *count, MPI_Datatype *datatype)
{
    int *first = in, *second = inout;

    (void)datatype;
    for (int i = 0; i < 2 * *count; i += 2) {
        second[i + 1] = (first[i] * second[i + 1] + first[i + 1]) % PRIME;
        second[i] = first[i] * second[i] % PRIME;
    }
}

struct kind {
    MPI_Datatype type;
    MPI_Op op;
    int width; /* ints of an element */
};

static int
part_of(int member, int i)
{
    return (member * 31 + i * 17 + 3) % PRIME;
}

/* What members first to last have together at one element. */
static void
expect(const struct kind *kind, int first, int last, int i, int *out)
{
    int count = 1;

    for (int j = 0; j < kind->width; j++)
        out[j] = part_of(last, i * kind->width + j);
    for (int member = last - 1; member >= first; member--) {
        int in[2] = {part_of(member, i * kind->width), part_of(member, i * kind->width + 1)};

        if (kind->width == 1)
            out[0] += in[0];
        else
            compose(in, out, &count, NULL);
    }
}

static int *
parts(const struct kind *kind, int count)
{
    int *array = ints(count * kind->width);

    for (int i = 0; i < count * kind->width; i++)
        array[i] = part_of(rank, i);
    return array;
}

/* Elements from one on are those of members first to last. */
static void
check_parts(const struct kind *kind, const int *got, int from, int count, int first, int last)
{
    int want[2];

    for (int i = 0; i < count; i += count > 1000 && i > 10 && i < count - 10 ? 7 : 1) {
        expect(kind, first, last, from + i, want);
        for (int j = 0; j < kind->width; j++)
            CHECK(got[i * kind->width + j] == want[j]);
    }
}

static void
reduce_one(const struct kind *kind, int count, int root, bool is_in_place)
{
    int *from = parts(kind, count), *to = is_in_place ? parts(kind, count) : ints(count * 2);
    const void *send = is_in_place && rank == root ? MPI_IN_PLACE : from;

    CALL(Reduce, Ireduce, send, to, count, kind->type, kind->op, root, MPI_COMM_WORLD);
    if (rank == root)
        check_parts(kind, to, 0, count, 0, size - 1);
    CHECK(to[kind->width * count] == -77);
    free(from);
    free(to);
}

static void
allreduce_one(const struct kind *kind, int count, bool is_in_place)
{
    int *from = parts(kind, count), *to = is_in_place ? parts(kind, count) : ints(count * 2);
    const void *send = is_in_place ? MPI_IN_PLACE : from;

    CALL(Allreduce, Iallreduce, send, to, count, kind->type, kind->op, MPI_COMM_WORLD);
    check_parts(kind, to, 0, count, 0, size - 1);
    CHECK(to[kind->width * count] == -77);
    free(from);
    free(to);
}

static void
scan_one(const struct kind *kind, int count, bool is_in_place)
{
    int *from = parts(kind, count), *to = is_in_place ? parts(kind, count) : ints(count * 2);
    const void *send = is_in_place ? MPI_IN_PLACE : from;

    CALL(Scan, Iscan, send, to, count, kind->type, kind->op, MPI_COMM_WORLD);
    check_parts(kind, to, 0, count, 0, rank);
    free(to);
    to = is_in_place ? parts(kind, count) : ints(count * 2);
    CALL(Exscan, Iexscan, send, to, count, kind->type, kind->op, MPI_COMM_WORLD);
    if (rank > 0)
        check_parts(kind, to, 0, count, 0, rank - 1);
    free(from);
    free(to);
}

static void
reduce_scatter_one(const struct kind *kind, int count, bool is_in_place, bool is_block)
{
    int *counts = ints(size), from = 0, whole = 0, *data, *to;

    for (int i = 0; i < size; i++) {
        counts[i] = is_block ? count : count * (i % 3);
        from += i < rank ? counts[i] : 0;
        whole += counts[i];
    }
    data = parts(kind, whole);
    to = is_in_place ? parts(kind, whole) : ints(counts[rank] * 2);
    if (is_block)
        CALL(Reduce_scatter_block, Ireduce_scatter_block, is_in_place ? MPI_IN_PLACE : data, to,
             count, kind->type, kind->op, MPI_COMM_WORLD);
    else
        CALL(Reduce_scatter, Ireduce_scatter, is_in_place ? MPI_IN_PLACE : data, to, counts,
             kind->type, kind->op, MPI_COMM_WORLD);
    check_parts(kind, to, from, counts[rank], 0, size - 1);
    CHECK(is_in_place || to[kind->width * counts[rank]] == -77);
    free(counts);
    free(data);
    free(to);
}

static void
reductions(const struct kind *kind)
{
    static const int counts[] = {0, 1, 5, 1030, 2100, 4100, 17000};

    for (int i = 0; i < COUNT(counts); i++)
        for (int form = 0; form < 2; form++) {
            for (int root = 0; root < size; root += size > 4 ? 3 : 1)
                reduce_one(kind, counts[i], root, form);
            allreduce_one(kind, counts[i], form);
            scan_one(kind, counts[i], form);
            reduce_scatter_one(kind, counts[i] / size + 1, form, true);
            reduce_scatter_one(kind, counts[i] / size + 1, form, false);
        }
}

static void
reduction_cases(void)
{
    struct kind sums = {MPI_INT, MPI_SUM, 1}, lines = {.width = 2};

    CHECK(MPI_Type_contiguous(2, MPI_INT, &lines.type) == 0);
    CHECK(MPI_Type_commit(&lines.type) == 0);
    CHECK(MPI_Op_create(compose, 0, &lines.op) == 0);
    reductions(&sums);
    reductions(&lines);
    CHECK(MPI_Op_free(&lines.op) == 0);
    CHECK(MPI_Type_free(&lines.type) == 0);
}

static void
reduction_body(void)
{
    both(reduction_cases);
}

static void
test_reductions_keep_the_order_of_members(void **state)
{
    (void)state;
    run(reduction_body);
}

/* -------------------------------------------------------------------- many at once */

#define FLIGHTS 12

/* Each begins some collectives of different kinds; all are waited for in the end, the last first,
 * and in another order by each member. */
struct flight {
    MPI_Request requests[4];
    int bytes[3000], sum, *all, own;
};

static void
flight_begin(struct flight *flight, int number)
{
    int root = number % size;

    for (int i = 0; i < COUNT(flight->bytes); i++)
        flight->bytes[i] = rank == root ? value(number, 0, i) : -1;
    flight->own = rank + number;
    flight->all = ints(size);
    CHECK(MPI_Ibcast(flight->bytes, COUNT(flight->bytes), MPI_INT, root, MPI_COMM_WORLD,
                     &flight->requests[0]) == 0);
    CHECK(MPI_Iallreduce(&flight->own, &flight->sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD,
                         &flight->requests[1]) == 0);
    CHECK(MPI_Iallgather(&flight->own, 1, MPI_INT, flight->all, 1, MPI_INT, MPI_COMM_WORLD,
                         &flight->requests[2]) == 0);
    CHECK(MPI_Ibarrier(MPI_COMM_WORLD, &flight->requests[3]) == 0);
}

static void
flight_check(struct flight *flight, int number)
{
    CHECK(MPI_Waitall(4, flight->requests, MPI_STATUSES_IGNORE) == 0);
    for (int i = 0; i < COUNT(flight->bytes); i++)
        CHECK(flight->bytes[i] == value(number, 0, i));
    CHECK(flight->sum == size * (size - 1) / 2 + size * number);
    for (int i = 0; i < size; i++)
        CHECK(flight->all[i] == i + number);
    free(flight->all);
}

static void
flights_body(void)
{
    struct flight *flights = calloc(FLIGHTS, sizeof(*flights));
    int sum = 0;

    begin();
    CHECK(flights != NULL);
    for (int i = 0; i < FLIGHTS; i++)
        flight_begin(&flights[i], i);
    CHECK(MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD) == 0);
    CHECK(sum == size * (size - 1) / 2);
    for (int i = 0; i < FLIGHTS; i++)
        flight_check(&flights[(2 * FLIGHTS - 1 - i - rank % FLIGHTS) % FLIGHTS],
                     (2 * FLIGHTS - 1 - i - rank % FLIGHTS) % FLIGHTS);
    free(flights);
    CHECK(MPI_Finalize() == 0);
}

static void
test_many_may_be_under_way_at_once(void **state)
{
    (void)state;
    run(flights_body);
}

/* A program's type may go as soon as the call has returned. */
static void
freed_type_body(void)
{
    MPI_Datatype type;
    MPI_Request request;
    int *data;

    begin();
    data = ints(4 * 3000);
    for (int i = 0; i < 3000 * 4 && rank == 0; i++)
        data[i] = i;
    type = holes();
    CHECK(MPI_Ibcast(data, 3000, type, 0, MPI_COMM_WORLD, &request) == 0);
    CHECK(MPI_Type_free(&type) == 0);
    CHECK(MPI_Wait(&request, MPI_STATUS_IGNORE) == 0);
    for (int i = 0; i < 3000 * 4; i += 2)
        CHECK(data[i] == i);
    free(data);
    CHECK(MPI_Finalize() == 0);
}

static void
test_a_type_lives_as_long_as_the_collective(void **state)
{
    (void)state;
    run(freed_type_body);
}

/* -------------------------------------------------------------- inter-communicators */

static MPI_Comm inter, own;
static bool is_low; /* the first third of the members, and one more, is one group */
static int peers, own_rank, own_size;

static void
inter_begin(void)
{
    int low = size / 3 + 1;

    is_low = rank < low;
    CHECK(MPI_Comm_split(MPI_COMM_WORLD, is_low, rank, &own) == 0);
    CHECK(MPI_Intercomm_create(own, 0, MPI_COMM_WORLD, is_low ? low : 0, 5, &inter) == 0);
    CHECK(MPI_Comm_remote_size(inter, &peers) == 0);
    CHECK(MPI_Comm_size(inter, &own_size) == 0);
    CHECK(MPI_Comm_rank(inter, &own_rank) == 0);
}

static int
first_peer(void)
{
    return is_low ? size / 3 + 1 : 0;
}

/* The root is the last member of the low group. */
static int
root_of(void)
{
    if (!is_low)
        return peers - 1;
    return own_rank == own_size - 1 ? MPI_ROOT : MPI_PROC_NULL;
}

static void
inter_rooted(int count)
{
    int *some = ints(count), *all = ints(count * size), root = root_of(), low = size / 3;

    for (int i = 0; i < count; i++)
        some[i] = value(root == MPI_ROOT ? low : 99, 0, i);
    CALL(Bcast, Ibcast, some, count, MPI_INT, root, inter);
    for (int i = 0; i < count && root != MPI_PROC_NULL; i++)
        CHECK(some[i] == value(low, 0, i));
    for (int i = 0; i < count; i++)
        some[i] = value(rank, 1, i);
    CALL(Gather, Igather, some, count, MPI_INT, all, count, MPI_INT, root, inter);
    for (int i = 0; i < count * peers && root == MPI_ROOT; i++)
        CHECK(all[i] == value(first_peer() + i / count, 1, i % count));
    for (int i = 0; i < count; i++)
        some[i] = -1;
    CALL(Scatter, Iscatter, all, count, MPI_INT, some, count, MPI_INT, root, inter);
    for (int i = 0; i < count && !is_low; i++)
        CHECK(some[i] == value(rank, 1, i));
    free(some);
    free(all);
}

static void
inter_all(int count)
{
    int *some = values(0, count), *all = ints(count * size), *to = ints(count * size);
    int *counts = ints(size), *displs = ints(size);

    for (int i = 0; i < peers; i++) {
        counts[i] = count;
        displs[i] = (peers - 1 - i) * count;
    }
    CALL(Allgather, Iallgather, some, count, MPI_INT, all, count, MPI_INT, inter);
    CALL(Allgatherv, Iallgatherv, some, count, MPI_INT, to, counts, displs, MPI_INT, inter);
    for (int i = 0; i < count * peers; i++) {
        CHECK(all[i] == value(first_peer() + i / count, 0, i % count));
        CHECK(to[displs[i / count] + i % count] == all[i]);
    }
    for (int i = 0; i < count * peers; i++)
        all[i] = value(rank, first_peer() + i / count, i % count);
    CALL(Alltoall, Ialltoall, all, count, MPI_INT, to, count, MPI_INT, inter);
    for (int i = 0; i < count * peers; i++)
        CHECK(to[i] == value(first_peer() + i / count, rank, i % count));
    CHECK(MPI_Barrier(inter) == 0);
    free(some);
    free(all);
    free(to);
    free(counts);
    free(displs);
}

static void
inter_reductions(const struct kind *kind, int count)
{
    int whole = count * own_size * peers, first = first_peer(), *from = parts(kind, whole);
    int *to = ints(2 * whole), root = root_of(), *counts = ints(size);

    CALL(Reduce, Ireduce, from, to, count, kind->type, kind->op, root, inter);
    if (root == MPI_ROOT)
        check_parts(kind, to, 0, count, first, first + peers - 1);
    CALL(Allreduce, Iallreduce, from, to, count, kind->type, kind->op, inter);
    check_parts(kind, to, 0, count, first, first + peers - 1);
    CALL(Reduce_scatter_block, Ireduce_scatter_block, from, to, count * peers, kind->type, kind->op,
         inter);
    check_parts(kind, to, count * peers * own_rank, count * peers, first, first + peers - 1);
    for (int i = 0; i < own_size; i++)
        counts[i] = i == 0 ? whole : 0;
    CALL(Reduce_scatter, Ireduce_scatter, from, to, counts, kind->type, kind->op, inter);
    if (own_rank == 0)
        check_parts(kind, to, 0, whole, first, first + peers - 1);
    free(from);
    free(to);
    free(counts);
}

static void
inter_body(void)
{
    struct kind sums = {MPI_INT, MPI_SUM, 1}, lines = {.width = 2};

    begin();
    inter_begin();
    CHECK(MPI_Type_contiguous(2, MPI_INT, &lines.type) == 0);
    CHECK(MPI_Type_commit(&lines.type) == 0);
    CHECK(MPI_Op_create(compose, 0, &lines.op) == 0);
    for (int i = 0; i < 2; i++) {
        is_later = i == 1;
        inter_rooted(3);
        inter_rooted(5000);
        inter_all(3);
        inter_all(2000);
        inter_reductions(&sums, 3);
        inter_reductions(&sums, 500);
        inter_reductions(&lines, 3);
    }
    CHECK(MPI_Op_free(&lines.op) == 0);
    CHECK(MPI_Type_free(&lines.type) == 0);
    CHECK(MPI_Comm_free(&inter) == 0);
    CHECK(MPI_Comm_free(&own) == 0);
    CHECK(MPI_Finalize() == 0);
}

static void
test_two_groups_have_what_the_other_sent(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(2, inter_body));
    assert_true(mpi_testing_run(3, inter_body));
    assert_true(mpi_testing_run(7, inter_body));
    assert_true(mpi_testing_run(16, inter_body));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_leaves_a_barrier_before_all_are_there),
        cmocka_unit_test(test_what_the_root_has_comes_to_all),
        cmocka_unit_test(test_blocks_come_to_the_root_and_go_from_it),
        cmocka_unit_test(test_blocks_may_have_sizes_and_places_of_their_own),
        cmocka_unit_test(test_all_have_what_all_sent),
        cmocka_unit_test(test_each_pair_may_have_its_own_size),
        cmocka_unit_test(test_reductions_keep_the_order_of_members),
        cmocka_unit_test(test_many_may_be_under_way_at_once),
        cmocka_unit_test(test_a_type_lives_as_long_as_the_collective),
        cmocka_unit_test(test_two_groups_have_what_the_other_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
