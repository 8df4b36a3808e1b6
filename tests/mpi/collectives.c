/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives (MPI 3.1, chapter 5) of one group: each in both forms, with all kinds of counts and
 * types, in place, and called wrongly.
 */
#include <stdbool.h>

#include "check.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MEMBERS_MAX  64

static MPI_Comm world = MPI_COMM_WORLD;

/* The form that is used now: with a request, or without. */
static bool is_later;
#define RUN(name, iname, ...) \
    do { \
        if (is_later) { \
            MPI_Request run_request; \
            OK(MPI_##iname(__VA_ARGS__, &run_request)); \
            OK(MPI_Wait(&run_request, MPI_STATUS_IGNORE)); \
            CHECK(run_request == MPI_REQUEST_NULL); \
        } else { \
            OK(MPI_##name(__VA_ARGS__)); \
        } \
    } while (0)
/* Wrong in both forms. */
#define WRONG(error, name, iname, ...) \
    do { \
        MPI_Request wrong_request = MPI_REQUEST_NULL; \
        REFUSED(MPI_##name(__VA_ARGS__), error); \
        REFUSED(MPI_##iname(__VA_ARGS__, &wrong_request), error); \
        CHECK(wrong_request == MPI_REQUEST_NULL); \
    } while (0)

/* -------------------------------------------------------------------------------- data
 *
 * Ints, every `step`th of an area; what is between and behind them stays as it was. */

static MPI_Datatype spaced;

static MPI_Datatype
type_of(int step)
{
    return step == 1 ? MPI_INT : spaced;
}

static int *
area(int count, int step)
{
    int *at = malloc(((size_t)count * step + 1) * sizeof(int));

    CHECK(at != NULL);
    for (int i = 0; i <= count * step; i++)
        at[i] = -1;
    return at;
}

static int
value(int seed, int i)
{
    return (int)(((unsigned)seed * 7919u + (unsigned)i * 31u) & 0xffffff);
}

static void
fill(int *at, int seed, int count, int step)
{
    for (int i = 0; i < count; i++)
        at[i * step] = value(seed, i);
}

static void
check_values(const int *at, int seed, int count, int step)
{
    for (int i = 0; i < count; i++)
        CHECK(at[i * step] == value(seed, i));
}

/* The end of an area. */
static void
release(int *at, int count, int step)
{
    if (at == NULL)
        return;
    for (int i = 0; step > 1 && i < count; i++)
        CHECK(at[i * step + 1] == -1);
    CHECK(at[count * step] == -1);
    free(at);
}

/* What one member has to do with another: seeds of its own. */
static int
between(int from, int to)
{
    return from * MEMBERS_MAX + to;
}

/* Blocks of different lengths, in the opposite order, with gaps of one between them. */
struct blocks {
    int counts[MEMBERS_MAX], displs[MEMBERS_MAX], all;
};

static struct blocks
blocks_of(int count)
{
    struct blocks blocks = {.all = 0};

    for (int i = size - 1; i >= 0; i--) {
        blocks.counts[i] = count * (i % 3);
        blocks.displs[i] = blocks.all;
        blocks.all += blocks.counts[i] + 1;
    }
    return blocks;
}

static void
check_block(const int *at, const struct blocks *blocks, int i, int seed, int step)
{
    check_values(at + blocks->displs[i] * step, seed, blocks->counts[i], step);
    CHECK(at[(blocks->displs[i] + blocks->counts[i]) * step] == -1);
}

/* ------------------------------------------------------------------------- from, or to, one */

static void
check_bcast(int count, int own, int others, int root)
{
    const int step = rank == root ? own : others;
    int *data = area(count, step);

    if (rank == root)
        fill(data, root, count, step);
    RUN(Bcast, Ibcast, data, count, type_of(step), root, world);
    check_values(data, root, count, step);
    release(data, count, step);
}

static void
check_gather(int count, int s, int r, int root)
{
    int *in = area(count, s), *out = rank == root ? area(count * size, r) : NULL;

    fill(in, rank, count, s);
    RUN(Gather, Igather, in, count, type_of(s), out, count, type_of(r), root, world);
    for (int i = 0; i < size && rank == root; i++)
        check_values(out + i * count * r, i, count, r);
    release(out, count * size, r);
    out = rank == root ? area(count * size, r) : NULL;
    if (rank == root)
        fill(out + rank * count * r, rank, count, r);
    RUN(Gather, Igather, rank == root ? MPI_IN_PLACE : in, count, type_of(s), out, count,
        type_of(r), root, world);
    for (int i = 0; i < size && rank == root; i++)
        check_values(out + i * count * r, i, count, r);
    release(out, count * size, r);
    release(in, count, s);
}

static void
check_gatherv(int count, int s, int r, int root)
{
    const struct blocks blocks = blocks_of(count);
    const int own = blocks.counts[rank];
    int *in = area(own, s), *out = rank == root ? area(blocks.all, r) : NULL;

    fill(in, rank, own, s);
    RUN(Gatherv, Igatherv, in, own, type_of(s), out, blocks.counts, blocks.displs, type_of(r), root,
        world);
    for (int i = 0; i < size && rank == root; i++)
        check_block(out, &blocks, i, i, r);
    RUN(Gatherv, Igatherv, rank == root ? MPI_IN_PLACE : in, own, type_of(s), out, blocks.counts,
        blocks.displs, type_of(r), root, world);
    for (int i = 0; i < size && rank == root; i++)
        check_block(out, &blocks, i, i, r);
    release(out, blocks.all, r);
    release(in, own, s);
}

static void
check_scatter(int count, int s, int r, int root)
{
    int *in = rank == root ? area(count * size, s) : NULL, *out = area(count, r);

    for (int i = 0; i < size && rank == root; i++)
        fill(in + i * count * s, between(root, i), count, s);
    RUN(Scatter, Iscatter, in, count, type_of(s), out, count, type_of(r), root, world);
    check_values(out, between(root, rank), count, r);
    release(out, count, r);
    out = area(count, r);
    RUN(Scatter, Iscatter, in, count, type_of(s), rank == root ? MPI_IN_PLACE : out, count,
        type_of(r), root, world);
    if (rank != root)
        check_values(out, between(root, rank), count, r);
    release(in, count * size, s);
    release(out, count, r);
}

static void
check_scatterv(int count, int s, int r, int root)
{
    const struct blocks blocks = blocks_of(count);
    const int own = blocks.counts[rank];
    int *in = rank == root ? area(blocks.all, s) : NULL, *out = area(own, r);

    for (int i = 0; i < size && rank == root; i++)
        fill(in + blocks.displs[i] * s, between(root, i), blocks.counts[i], s);
    RUN(Scatterv, Iscatterv, in, blocks.counts, blocks.displs, type_of(s), out, own, type_of(r),
        root, world);
    check_values(out, between(root, rank), own, r);
    RUN(Scatterv, Iscatterv, in, blocks.counts, blocks.displs, type_of(s),
        rank == root ? MPI_IN_PLACE : out, own, type_of(r), root, world);
    check_values(out, between(root, rank), own, r);
    release(in, blocks.all, s);
    release(out, own, r);
}

/* ------------------------------------------------------------------------------ all to all */

static void
check_allgather(int count, int s, int r)
{
    int *in = area(count, s), *out = area(count * size, r);

    fill(in, rank, count, s);
    RUN(Allgather, Iallgather, in, count, type_of(s), out, count, type_of(r), world);
    for (int i = 0; i < size; i++)
        check_values(out + i * count * r, i, count, r);
    release(out, count * size, r);
    out = area(count * size, r);
    fill(out + rank * count * r, rank, count, r);
    RUN(Allgather, Iallgather, MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out, count, type_of(r), world);
    for (int i = 0; i < size; i++)
        check_values(out + i * count * r, i, count, r);
    release(out, count * size, r);
    release(in, count, s);
}

static void
check_allgatherv(int count, int s, int r)
{
    const struct blocks blocks = blocks_of(count);
    const int own = blocks.counts[rank];
    int *in = area(own, s), *out = area(blocks.all, r);

    fill(in, rank, own, s);
    RUN(Allgatherv, Iallgatherv, in, own, type_of(s), out, blocks.counts, blocks.displs, type_of(r),
        world);
    for (int i = 0; i < size; i++)
        check_block(out, &blocks, i, i, r);
    release(out, blocks.all, r);
    out = area(blocks.all, r);
    fill(out + blocks.displs[rank] * r, rank, own, r);
    RUN(Allgatherv, Iallgatherv, MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out, blocks.counts,
        blocks.displs, type_of(r), world);
    for (int i = 0; i < size; i++)
        check_block(out, &blocks, i, i, r);
    release(out, blocks.all, r);
    release(in, own, s);
}

static void
check_alltoall(int count, int s, int r)
{
    int *in = area(count * size, s), *out = area(count * size, r);

    for (int i = 0; i < size; i++)
        fill(in + i * count * s, between(rank, i), count, s);
    RUN(Alltoall, Ialltoall, in, count, type_of(s), out, count, type_of(r), world);
    for (int i = 0; i < size; i++)
        check_values(out + i * count * r, between(i, rank), count, r);
    for (int i = 0; i < size; i++)
        fill(out + i * count * r, between(rank, i), count, r);
    RUN(Alltoall, Ialltoall, MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out, count, type_of(r), world);
    for (int i = 0; i < size; i++)
        check_values(out + i * count * r, between(i, rank), count, r);
    release(in, count * size, s);
    release(out, count * size, r);
}

/* Between two members there is as much in both directions, so that it goes in place too. */
static struct blocks
pairs_of(int count)
{
    struct blocks blocks = {.all = 0};

    for (int i = 0; i < size; i++) {
        blocks.counts[i] = count * ((i + rank) % 3);
        blocks.displs[i] = blocks.all;
        blocks.all += blocks.counts[i] + 1;
    }
    return blocks;
}

static void
fill_pairs(int *at, const struct blocks *blocks, int step)
{
    for (int i = 0; i < size; i++)
        fill(at + blocks->displs[i] * step, between(rank, i), blocks->counts[i], step);
}

static void
check_pairs(const int *at, const struct blocks *blocks, int step)
{
    for (int i = 0; i < size; i++)
        check_block(at, blocks, i, between(i, rank), step);
}

static void
check_alltoallv(int count, int s, int r)
{
    const struct blocks blocks = pairs_of(count);
    int *in = area(blocks.all, s), *out = area(blocks.all, r);

    fill_pairs(in, &blocks, s);
    RUN(Alltoallv, Ialltoallv, in, blocks.counts, blocks.displs, type_of(s), out, blocks.counts,
        blocks.displs, type_of(r), world);
    check_pairs(out, &blocks, r);
    fill_pairs(out, &blocks, r);
    RUN(Alltoallv, Ialltoallv, MPI_IN_PLACE, NULL, NULL, MPI_DATATYPE_NULL, out, blocks.counts,
        blocks.displs, type_of(r), world);
    check_pairs(out, &blocks, r);
    release(in, blocks.all, s);
    release(out, blocks.all, r);
}

static void
check_alltoallw(int count, int s, int r)
{
    const struct blocks blocks = pairs_of(count);
    int *in = area(blocks.all, s), *out = area(blocks.all, r);
    int to[MEMBERS_MAX], from[MEMBERS_MAX];
    MPI_Datatype in_types[MEMBERS_MAX], out_types[MEMBERS_MAX];

    for (int i = 0; i < size; i++) {
        in_types[i] = type_of(s);
        out_types[i] = type_of(r);
        to[i] = blocks.displs[i] * s * (int)sizeof(int);
        from[i] = blocks.displs[i] * r * (int)sizeof(int);
    }
    fill_pairs(in, &blocks, s);
    RUN(Alltoallw, Ialltoallw, in, blocks.counts, to, in_types, out, blocks.counts, from, out_types,
        world);
    check_pairs(out, &blocks, r);
    fill_pairs(out, &blocks, r);
    RUN(Alltoallw, Ialltoallw, MPI_IN_PLACE, NULL, NULL, NULL, out, blocks.counts, from, out_types,
        world);
    check_pairs(out, &blocks, r);
    release(in, blocks.all, s);
    release(out, blocks.all, r);
}

/* -------------------------------------------------------------------------- reductions
 *
 * Of pairs (a, b): sums, or x -> a x + b one after the other, where the order matters. */

static struct reduction {
    MPI_Op op;
    MPI_Datatype type;
    int each; /* elements of the type in a pair */
} sums = {.each = 2}, maps = {.each = 1};

static void
compose(void *in, void *inout, int *count, MPI_Datatype *type)
{
    const unsigned *first = in;
    unsigned *second = inout;

    (void)type;
    for (int i = 0; i < 2 * *count; i += 2) {
        second[i + 1] += first[i + 1] * second[i];
        second[i] *= first[i];
    }
}

/* What members [first, after) have together in place i. */
static void
check_folded(const struct reduction *how, const int *got, int first, int after, int i)
{
    unsigned a = (unsigned)value(first, 2 * i), b = (unsigned)value(first, 2 * i + 1);

    for (int member = first + 1; member < after; member++) {
        const unsigned c = (unsigned)value(member, 2 * i), d = (unsigned)value(member, 2 * i + 1);

        b = how == &sums ? b + d : b * c + d;
        a = how == &sums ? a + c : a * c;
    }
    CHECK((unsigned)got[0] == a && (unsigned)got[1] == b);
}

static void
check_all_folded(const struct reduction *how, const int *got, int pairs, int first, int after)
{
    for (int i = 0; i < pairs; i++)
        check_folded(how, got + 2 * i, first, after, i);
}

static void
check_reduce(const struct reduction *how, int pairs, int root)
{
    const int count = pairs * how->each;
    int *in = area(2 * pairs, 1), *out = rank == root ? area(2 * pairs, 1) : NULL;

    fill(in, rank, 2 * pairs, 1);
    RUN(Reduce, Ireduce, in, out, count, how->type, how->op, root, world);
    check_values(in, rank, 2 * pairs, 1);
    if (rank == root) {
        check_all_folded(how, out, pairs, 0, size);
        fill(out, rank, 2 * pairs, 1);
    }
    RUN(Reduce, Ireduce, rank == root ? MPI_IN_PLACE : in, out, count, how->type, how->op, root,
        world);
    if (rank == root)
        check_all_folded(how, out, pairs, 0, size);
    release(in, 2 * pairs, 1);
    release(out, 2 * pairs, 1);
}

static void
check_allreduce(const struct reduction *how, int pairs)
{
    const int count = pairs * how->each;
    int *in = area(2 * pairs, 1), *out = area(2 * pairs, 1);

    fill(in, rank, 2 * pairs, 1);
    RUN(Allreduce, Iallreduce, in, out, count, how->type, how->op, world);
    check_values(in, rank, 2 * pairs, 1);
    check_all_folded(how, out, pairs, 0, size);
    RUN(Allreduce, Iallreduce, MPI_IN_PLACE, in, count, how->type, how->op, world);
    check_all_folded(how, in, pairs, 0, size);
    release(in, 2 * pairs, 1);
    release(out, 2 * pairs, 1);
}

static void
check_scans(const struct reduction *how, int pairs)
{
    const int count = pairs * how->each;
    int *in = area(2 * pairs, 1), *out = area(2 * pairs, 1), *before = area(2 * pairs, 1);

    fill(in, rank, 2 * pairs, 1);
    RUN(Scan, Iscan, in, out, count, how->type, how->op, world);
    check_all_folded(how, out, pairs, 0, rank + 1);
    RUN(Exscan, Iexscan, in, before, count, how->type, how->op, world);
    if (rank > 0)
        check_all_folded(how, before, pairs, 0, rank);
    check_values(in, rank, 2 * pairs, 1);
    fill(before, rank, 2 * pairs, 1);
    RUN(Scan, Iscan, MPI_IN_PLACE, in, count, how->type, how->op, world);
    check_all_folded(how, in, pairs, 0, rank + 1);
    RUN(Exscan, Iexscan, MPI_IN_PLACE, before, count, how->type, how->op, world);
    if (rank > 0)
        check_all_folded(how, before, pairs, 0, rank);
    release(in, 2 * pairs, 1);
    release(out, 2 * pairs, 1);
    release(before, 2 * pairs, 1);
}

static void
check_reduce_scatter_block(const struct reduction *how, int pairs)
{
    const int all = pairs * size;
    int *in = area(2 * all, 1), *out = area(2 * pairs, 1);

    fill(in, rank, 2 * all, 1);
    RUN(Reduce_scatter_block, Ireduce_scatter_block, in, out, pairs * how->each, how->type, how->op,
        world);
    for (int i = 0; i < pairs; i++)
        check_folded(how, out + 2 * i, 0, size, rank * pairs + i);
    check_values(in, rank, 2 * all, 1);
    RUN(Reduce_scatter_block, Ireduce_scatter_block, MPI_IN_PLACE, in, pairs * how->each, how->type,
        how->op, world);
    for (int i = 0; i < pairs; i++)
        check_folded(how, in + 2 * i, 0, size, rank * pairs + i);
    release(in, 2 * all, 1);
    release(out, 2 * pairs, 1);
}

static void
check_reduce_scatter(const struct reduction *how, int pairs)
{
    int counts[MEMBERS_MAX], all = 0, start = 0;
    const int own = pairs * (rank % 3);
    int *in, *out = area(2 * own, 1);

    for (int i = 0; i < size; i++) {
        counts[i] = pairs * (i % 3) * how->each;
        start += i < rank ? pairs * (i % 3) : 0;
        all += pairs * (i % 3);
    }
    in = area(2 * all, 1);
    fill(in, rank, 2 * all, 1);
    RUN(Reduce_scatter, Ireduce_scatter, in, out, counts, how->type, how->op, world);
    for (int i = 0; i < own; i++)
        check_folded(how, out + 2 * i, 0, size, start + i);
    RUN(Reduce_scatter, Ireduce_scatter, MPI_IN_PLACE, in, counts, how->type, how->op, world);
    for (int i = 0; i < own; i++)
        check_folded(how, in + 2 * i, 0, size, start + i);
    release(in, 2 * all, 1);
    release(out, 2 * own, 1);
}

/* ------------------------------------------------------------------------------ all of them */

static void
check_moves(void)
{
    static const int counts[] = {0, 1, 7, 600, 4000}, steps[][2] = {{1, 1}, {1, 2}, {2, 1}};

    for (int c = 0; c < COUNT(counts); c++)
        for (int i = 0; i < COUNT(steps); i++) {
            const int count = counts[c], s = steps[i][0], r = steps[i][1];

            if (size > 8 && i != c % COUNT(steps)) /* it would take too long */
                continue;
            for (int root = 0; root < size; root += size < 5 ? 1 : size - 1) {
                check_bcast(count * 10, s, r, root);
                check_gather(count, s, r, root);
                check_gatherv(count, s, r, root);
                check_scatter(count, s, r, root);
                check_scatterv(count, s, r, root);
            }
            check_allgather(count, s, r);
            check_allgatherv(count, s, r);
            check_alltoall(count, s, r);
            check_alltoallv(count, s, r);
            check_alltoallw(count, s, r);
        }
}

static void
check_reductions(const struct reduction *how)
{
    static const int counts[] = {0, 1, 7, 600, 4000};

    for (int c = 0; c < COUNT(counts); c++) {
        for (int root = 0; root < size; root += size < 5 ? 1 : size - 1)
            check_reduce(how, counts[c], root);
        check_allreduce(how, counts[c]);
        check_scans(how, counts[c]);
        check_reduce_scatter_block(how, counts[c]);
        check_reduce_scatter(how, counts[c]);
    }
}

/* Nobody leaves before all have come: each one's note is there by then. */
static void
check_barrier(void)
{
    MPI_Request requests[MEMBERS_MAX];
    int flag;

    for (int i = 0; i < size; i++)
        OK(MPI_Isend(&rank, 1, MPI_INT, i, 5, world, &requests[i]));
    RUN(Barrier, Ibarrier, world);
    for (int i = 0; i < size; i++) {
        OK(MPI_Iprobe(i, 5, world, &flag, MPI_STATUS_IGNORE));
        CHECK(flag);
        OK(MPI_Recv(&flag, 1, MPI_INT, i, 5, world, MPI_STATUS_IGNORE));
        CHECK(flag == i);
    }
    OK(MPI_Waitall(size, requests, MPI_STATUSES_IGNORE));
}

enum { MANY = 20 };

static void
begin_sums(MPI_Comm comm, int *ones, int *got, MPI_Request *requests)
{
    for (int i = 0; i < MANY; i++) {
        ones[i] = rank + i;
        OK(MPI_Iallreduce(&ones[i], &got[i], 1, MPI_INT, MPI_SUM, comm, &requests[i]));
    }
}

static void
begin_bcasts(MPI_Comm comm, int *told, MPI_Request *requests)
{
    for (int i = 0; i < MANY; i++) {
        told[i] = rank == i % size ? i : -1;
        OK(MPI_Ibcast(&told[i], 1, MPI_INT, i % size, comm, &requests[i]));
    }
}

/* Many at once, of two communicators whose order is not the same for all, and messages of the
 * program between them. One of the communicators is freed meanwhile. */
static void
check_many(void)
{
    int got[MANY], told[MANY], ones[MANY], note = -1, done = 0;
    MPI_Request requests[2 * MANY + 2];
    MPI_Comm other;

    OK(MPI_Comm_dup(world, &other));
    if (rank % 2 == 0)
        begin_sums(other, ones, got, requests);
    OK(MPI_Irecv(&note, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, world, &requests[2 * MANY]));
    OK(MPI_Isend(&rank, 1, MPI_INT, (rank + 1) % size, 0, world, &requests[2 * MANY + 1]));
    begin_bcasts(world, told, &requests[MANY]);
    if (rank % 2 == 1)
        begin_sums(other, ones, got, requests);
    OK(MPI_Comm_free(&other));
    while (!done)
        OK(MPI_Testall(2 * MANY + 2, requests, &done, MPI_STATUSES_IGNORE));
    CHECK(note == (rank + size - 1) % size);
    for (int i = 0; i < MANY; i++)
        CHECK(told[i] == i && got[i] == size * (size - 1) / 2 + i * size);
}

/* The same on one communicator: in the order of all. */
static void
check_ordered(void)
{
    int in[MANY], got[MANY], told[MANY];
    MPI_Request requests[2 * MANY];

    for (int i = 0; i < MANY; i++) {
        in[i] = rank + i;
        told[i] = rank == i % size ? i : -1;
        OK(MPI_Iallreduce(&in[i], &got[i], 1, MPI_INT, MPI_SUM, world, &requests[2 * i]));
        OK(MPI_Ibcast(&told[i], 1, MPI_INT, i % size, world, &requests[2 * i + 1]));
    }
    for (int i = 2 * MANY - 1; i >= 0; i--)
        OK(MPI_Wait(&requests[i], MPI_STATUS_IGNORE));
    for (int i = 0; i < MANY; i++)
        CHECK(told[i] == i && got[i] == size * (size - 1) / 2 + i * size);
}

/* ---------------------------------------------------------------------------------- misuse */

static void
misuse_one(int *a, int *b)
{
    WRONG(MPI_ERR_COMM, Barrier, Ibarrier, MPI_COMM_NULL);
    REFUSED(MPI_Ibarrier(world, NULL), MPI_ERR_ARG);
    WRONG(MPI_ERR_COMM, Bcast, Ibcast, a, 1, MPI_INT, 0, MPI_COMM_NULL);
    WRONG(MPI_ERR_ROOT, Bcast, Ibcast, a, 1, MPI_INT, size, world);
    WRONG(MPI_ERR_ROOT, Bcast, Ibcast, a, 1, MPI_INT, MPI_ROOT, world);
    WRONG(MPI_ERR_COUNT, Bcast, Ibcast, a, -1, MPI_INT, 0, world);
    WRONG(MPI_ERR_TYPE, Bcast, Ibcast, a, 1, MPI_DATATYPE_NULL, 0, world);
    WRONG(MPI_ERR_BUFFER, Bcast, Ibcast, MPI_IN_PLACE, 1, MPI_INT, 0, world);
    WRONG(MPI_ERR_ROOT, Gather, Igather, a, 1, MPI_INT, b, 1, MPI_INT, -1, world);
    WRONG(MPI_ERR_COUNT, Gather, Igather, a, -1, MPI_INT, b, 1, MPI_INT, rank, world);
    WRONG(MPI_ERR_BUFFER, Gather, Igather, a + rank, 1, MPI_INT, a, 1, MPI_INT, rank, world);
    WRONG(MPI_ERR_TYPE, Gatherv, Igatherv, a, 1, MPI_DATATYPE_NULL, b, a, a, MPI_INT, 0, world);
    WRONG(MPI_ERR_ARG, Gatherv, Igatherv, a, 1, MPI_INT, b, NULL, a, MPI_INT, rank, world);
    WRONG(MPI_ERR_ROOT, Scatter, Iscatter, a, 1, MPI_INT, b, 1, MPI_INT, size, world);
    WRONG(MPI_ERR_BUFFER, Scatter, Iscatter, MPI_IN_PLACE, 1, MPI_INT, b, 1, MPI_INT, rank, world);
    WRONG(MPI_ERR_COMM, Scatterv, Iscatterv, a, a, a, MPI_INT, b, 1, MPI_INT, 0, MPI_COMM_NULL);
    WRONG(MPI_ERR_ARG, Scatterv, Iscatterv, a, a, NULL, MPI_INT, b, 1, MPI_INT, rank, world);
}

static void
misuse_all(int *a, int *b)
{
    int few[MEMBERS_MAX] = {-1};
    MPI_Datatype none[MEMBERS_MAX] = {MPI_DATATYPE_NULL};

    WRONG(MPI_ERR_BUFFER, Allgather, Iallgather, a + rank, 1, MPI_INT, a, 1, MPI_INT, world);
    WRONG(MPI_ERR_COUNT, Allgather, Iallgather, a, 1, MPI_INT, b, -1, MPI_INT, world);
    WRONG(MPI_ERR_COMM, Allgather, Iallgather, a, 1, MPI_INT, b, 1, MPI_INT, MPI_COMM_NULL);
    WRONG(MPI_ERR_COUNT, Allgatherv, Iallgatherv, a, 1, MPI_INT, b, few, few, MPI_INT, world);
    WRONG(MPI_ERR_ARG, Allgatherv, Iallgatherv, a, 1, MPI_INT, b, NULL, few, MPI_INT, world);
    WRONG(MPI_ERR_BUFFER, Alltoall, Ialltoall, a, 1, MPI_INT, a, 1, MPI_INT, world);
    WRONG(MPI_ERR_TYPE, Alltoall, Ialltoall, a, 1, MPI_INT, b, 1, MPI_DATATYPE_NULL, world);
    WRONG(MPI_ERR_COUNT, Alltoallv, Ialltoallv, a, few, a, MPI_INT, b, few, a, MPI_INT, world);
    WRONG(MPI_ERR_ARG, Alltoallv, Ialltoallv, a, NULL, a, MPI_INT, b, a, a, MPI_INT, world);
    WRONG(MPI_ERR_TYPE, Alltoallw, Ialltoallw, a, a, a, none, b, a, a, none, world);
    WRONG(MPI_ERR_COMM, Alltoallw, Ialltoallw, a, a, a, none, b, a, a, none, MPI_COMM_NULL);
    WRONG(MPI_ERR_TOPOLOGY, Neighbor_alltoall, Ineighbor_alltoall, a, 1, MPI_INT, b, 1, MPI_INT,
          world);
}

static void
misuse_reductions(int *a, int *b)
{
    int few[MEMBERS_MAX] = {-1};

    WRONG(MPI_ERR_OP, Reduce, Ireduce, a, b, 1, MPI_INT, MPI_REPLACE, 0, world);
    WRONG(MPI_ERR_ROOT, Reduce, Ireduce, a, b, 1, MPI_INT, MPI_SUM, -7, world);
    WRONG(MPI_ERR_BUFFER, Reduce, Ireduce, a, a, 1, MPI_INT, MPI_SUM, rank, world);
    WRONG(MPI_ERR_OP, Allreduce, Iallreduce, a, b, 1, MPI_INT, MPI_OP_NULL, world);
    WRONG(MPI_ERR_OP, Allreduce, Iallreduce, a, b, 1, MPI_DOUBLE, MPI_BXOR, world);
    WRONG(MPI_ERR_COUNT, Allreduce, Iallreduce, a, b, -1, MPI_INT, MPI_SUM, world);
    WRONG(MPI_ERR_OP, Scan, Iscan, a, b, 1, MPI_INT, MPI_NO_OP, world);
    WRONG(MPI_ERR_BUFFER, Scan, Iscan, a, a, 1, MPI_INT, MPI_SUM, world);
    WRONG(MPI_ERR_TYPE, Exscan, Iexscan, a, b, 1, MPI_DATATYPE_NULL, MPI_SUM, world);
    WRONG(MPI_ERR_COMM, Exscan, Iexscan, a, b, 1, MPI_INT, MPI_SUM, MPI_COMM_NULL);
    WRONG(MPI_ERR_COUNT, Reduce_scatter, Ireduce_scatter, a, b, few, MPI_INT, MPI_SUM, world);
    WRONG(MPI_ERR_OP, Reduce_scatter, Ireduce_scatter, a, b, a, MPI_2INT, MPI_SUM, world);
    WRONG(MPI_ERR_COUNT, Reduce_scatter_block, Ireduce_scatter_block, a, b, -1, MPI_INT, MPI_SUM,
          world);
    WRONG(MPI_ERR_OP, Reduce_scatter_block, Ireduce_scatter_block, a, b, 1, MPI_INT, MPI_REPLACE,
          world);
}

/* More than was expected came to some, and nobody waits for ever. */
static void
check_mismatch(void)
{
    int data[50] = {0}, class, code;

    code = MPI_Bcast(data, rank == 0 ? 50 : 10, MPI_INT, 0, world);
    MPI_Error_class(code, &class);
    CHECK(class == (rank == 0 ? MPI_SUCCESS : MPI_ERR_TRUNCATE));
    OK(MPI_Barrier(world));
}

int
main(int argc, char **argv)
{
    int a[MEMBERS_MAX] = {0}, b[MEMBERS_MAX];

    begin(&argc, &argv);
    OK(MPI_Type_create_resized(MPI_INT, 0, 2 * sizeof(int), &spaced));
    OK(MPI_Type_commit(&spaced));
    sums.op = MPI_SUM;
    sums.type = MPI_INT;
    OK(MPI_Op_create(compose, 0, &maps.op));
    maps.type = MPI_2INT;
    for (int form = 0; form < 2; form++) {
        is_later = form == 1;
        check_barrier();
        check_moves();
        check_reductions(&sums);
        check_reductions(&maps);
    }
    check_many();
    check_ordered();
    misuse_one(a, b);
    misuse_all(a, b);
    misuse_reductions(a, b);
    check_mismatch();
    OK(MPI_Op_free(&maps.op));
    OK(MPI_Type_free(&spaced));
    return end();
}
