/* SPDX-License-Identifier: Apache-2.0
 *
 * reduction: what reductions are made of: a value that grows in order, members that are a power of
 * two, and recursive halving.
 */
#include "collective.h"

/* ---------------------------------------------------------------------------- fold */

struct mpi_fold
mpi_fold_of(struct mpi_schedule *schedule, const struct mpi_reduction *reduction, void *to)
{
    if (to == NULL)
        to = mpi_schedule_elements(schedule, reduction->count, reduction->type);
    return (struct mpi_fold){
        .schedule = schedule, .reduction = reduction, .have = reduction->from, .to = to};
}

static void *
spare(struct mpi_fold *fold)
{
    const struct mpi_reduction *reduction = fold->reduction;

    if (fold->spare == NULL)
        fold->spare = mpi_schedule_elements(fold->schedule, reduction->count, reduction->type);
    return fold->spare;
}

void *
mpi_fold_place(struct mpi_fold *fold)
{
    return fold->have != fold->to ? fold->to : spare(fold);
}

static void
reduce(struct mpi_fold *fold, const void *in, void *inout)
{
    const struct mpi_reduction *reduction = fold->reduction;

    mpi_schedule_reduce(fold->schedule, in, inout, reduction->count, reduction->type,
                        reduction->op);
    fold->have = inout;
}

/* have may be the program's own send buffer. */
static bool
is_writable(const struct mpi_fold *fold)
{
    return fold->have == fold->to || fold->have == fold->spare;
}

void
mpi_fold_behind(struct mpi_fold *fold, void *come)
{
    if (fold->reduction->op->is_commutative && is_writable(fold))
        reduce(fold, come, (void *)(uintptr_t)fold->have);
    else
        reduce(fold, fold->have, come);
}

void
mpi_fold_before(struct mpi_fold *fold, void *come)
{
    const struct mpi_reduction *reduction = fold->reduction;

    if (!is_writable(fold)) {
        if (reduction->op->is_commutative) {
            reduce(fold, fold->have, come);
            return;
        }
        mpi_schedule_copy(fold->schedule, fold->have, reduction->count, reduction->type,
                          spare(fold), reduction->count, reduction->type);
        fold->have = fold->spare;
    }
    reduce(fold, come, (void *)(uintptr_t)fold->have);
}

void
mpi_fold_end(struct mpi_fold *fold)
{
    const struct mpi_reduction *reduction = fold->reduction;

    if (fold->have != fold->to)
        mpi_schedule_copy(fold->schedule, fold->have, reduction->count, reduction->type, fold->to,
                          reduction->count, reduction->type);
}

/* --------------------------------------------------------------------------- power */

struct mpi_power
mpi_power_of(const struct mpi_comm *comm)
{
    struct mpi_power power = {.ranks = 1};

    while (power.ranks <= comm->size / 2)
        power.ranks *= 2;
    power.extra = comm->size - power.ranks;
    if (comm->rank >= 2 * power.extra)
        power.rank = comm->rank - power.extra;
    else
        power.rank = comm->rank % 2 == 0 ? -1 : comm->rank / 2;
    return power;
}

int
mpi_power_member(const struct mpi_power *power, int rank)
{
    return rank < power->extra ? 2 * rank + 1 : rank + power->extra;
}

/* --------------------------------------------------------------------------- parts */

struct mpi_parts
mpi_parts_of(struct mpi_schedule *schedule, const struct mpi_reduction *reduction, int parts,
             void *vector)
{
    int64_t *starts = mpi_schedule_memory(schedule, ((uint64_t)parts + 1) * sizeof(*starts));

    for (int i = 0; starts != NULL && i <= parts; i++)
        starts[i] = reduction->count / parts * i + reduction->count % parts * i / parts;
    return (struct mpi_parts){.vector = vector, .starts = starts};
}

struct mpi_block
mpi_parts_block(const struct mpi_parts *parts, const struct mpi_reduction *reduction, int from,
                int to)
{
    int64_t start = parts->starts[from];

    return (struct mpi_block){mpi_at(parts->vector, start, reduction->type),
                              parts->starts[to] - start, reduction->type};
}

static void
block_reduce(struct mpi_schedule *schedule, const struct mpi_reduction *reduction, const void *in,
             struct mpi_block inout)
{
    if (inout.count > 0)
        mpi_schedule_reduce(schedule, in, inout.buffer, inout.count, inout.type, reduction->op);
}

/* Those that are too many give theirs to the next. */
static void
extra_give(struct mpi_schedule *schedule, const struct mpi_power *power, struct mpi_block all,
           int rank, const struct mpi_reduction *reduction, void *come)
{
    if (power->rank < 0) {
        mpi_write_send(schedule, all, rank + 1);
        mpi_schedule_round(schedule);
    } else if (rank < 2 * power->extra) {
        mpi_schedule_receive(schedule, come, all.count, all.type, rank - 1);
        mpi_schedule_round(schedule);
        block_reduce(schedule, reduction, come, all);
    }
}

void
mpi_write_halving(struct mpi_schedule *schedule, const struct mpi_power *power,
                  const struct mpi_parts *parts, const struct mpi_reduction *reduction, int rank)
{
    void *come = power->rank >= 0
                     ? mpi_schedule_elements(schedule, reduction->count, reduction->type)
                     : NULL;

    extra_give(schedule, power, mpi_parts_block(parts, reduction, 0, power->ranks), rank, reduction,
               come);
    for (int half = power->ranks / 2; half > 0 && power->rank >= 0; half /= 2) {
        int own = power->rank & ~(half - 1), other = own ^ half;
        int peer = mpi_power_member(power, power->rank ^ half);
        struct mpi_block keep = mpi_parts_block(parts, reduction, own, own + half);

        mpi_write_receive_some(schedule, (struct mpi_block){come, keep.count, keep.type}, peer);
        mpi_write_send_some(schedule, mpi_parts_block(parts, reduction, other, other + half), peer);
        mpi_schedule_round(schedule);
        block_reduce(schedule, reduction, come, keep);
    }
}
