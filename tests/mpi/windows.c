/* SPDX-License-Identifier: Apache-2.0
 *
 * One-sided communication (MPI 3.1, chapter 11).
 */
#include "check.h"

#define COUNT 64

static int *
make(MPI_Win *win)
{
    int *base;

    OK(MPI_Win_allocate(COUNT * sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &base,
                        win));
    OK(MPI_Win_set_errhandler(*win, MPI_ERRORS_RETURN));
    for (int i = 0; i < COUNT; i++)
        base[i] = 0;
    OK(MPI_Barrier(MPI_COMM_WORLD));
    return base;
}

/* ---------------------------------------------------------------------------- fences */

static void
check_fence(void)
{
    MPI_Win win;
    int *base = make(&win), next = (rank + 1) % size, last = (rank + size - 1) % size;
    int values[4] = {rank, rank + 1, rank + 2, rank + 3}, got[4];

    OK(MPI_Win_fence(MPI_MODE_NOPRECEDE, win));
    OK(MPI_Put(values, 4, MPI_INT, next, 8, 4, MPI_INT, win));
    OK(MPI_Win_fence(0, win));
    for (int i = 0; i < 4; i++)
        CHECK(base[8 + i] == last + i);
    OK(MPI_Get(got, 4, MPI_INT, next, 8, 4, MPI_INT, win));
    OK(MPI_Win_fence(0, win));
    for (int i = 0; i < 4; i++)
        CHECK(got[i] == rank + i);
    for (int i = 0; i < size; i++)
        OK(MPI_Accumulate(values, 1, MPI_INT, i, 0, 1, MPI_INT, MPI_SUM, win));
    OK(MPI_Put(values, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, win));
    OK(MPI_Get(got, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    CHECK(base[0] == size * (size - 1) / 2);
    REFUSED(MPI_Put(values, 1, MPI_INT, next, 0, 1, MPI_INT, win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_free(&win));
    CHECK(win == MPI_WIN_NULL);
}

/* Each second element of the target, from each third of the origin. */
static void
check_types(void)
{
    MPI_Win win;
    MPI_Datatype second, third, pair;
    int *base = make(&win), next = (rank + 1) % size, values[30];

    for (int i = 0; i < 30; i++)
        values[i] = 100 * rank + i;
    OK(MPI_Type_vector(8, 1, 2, MPI_INT, &second));
    OK(MPI_Type_vector(8, 1, 3, MPI_INT, &third));
    OK(MPI_Type_commit(&second));
    OK(MPI_Type_commit(&third));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(values, 1, third, next, 1, 1, second, win));
    OK(MPI_Win_fence(0, win));
    for (int i = 0; i < 8; i++) {
        CHECK(base[1 + 2 * i] == 100 * ((rank + size - 1) % size) + 3 * i);
        CHECK(base[2 + 2 * i] == 0);
    }
    OK(MPI_Win_fence(0, win));
    OK(MPI_Accumulate(values, 1, third, next, 1, 1, second, MPI_SUM, win));
    OK(MPI_Win_fence(0, win));
    CHECK(base[3] == 2 * (100 * ((rank + size - 1) % size) + 3));
    memset(values, 0, sizeof(values));
    OK(MPI_Get(values, 1, third, next, 1, 1, second, win));
    OK(MPI_Win_fence(0, win));
    CHECK(values[3] == 2 * (100 * rank + 3) && values[4] == 0);
    OK(MPI_Type_contiguous(2, MPI_INT, &pair));
    REFUSED(MPI_Put(values, 1, pair, next, 0, 1, pair, win), MPI_ERR_TYPE); /* not committed */
    OK(MPI_Type_free(&pair));
    OK(MPI_Type_free(&second));
    OK(MPI_Type_free(&third));
    OK(MPI_Win_free(&win));
}

/* Elements with gaps. */
static void
check_pairs(void)
{
    MPI_Win win;
    struct {
        double value;
        int where;
    } largest = {rank, rank}, before;

    (void)make(&win);
    OK(MPI_Win_fence(0, win));
    OK(MPI_Accumulate(&largest, 1, MPI_DOUBLE_INT, 0, 32, 1, MPI_DOUBLE_INT, MPI_MAXLOC, win));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Get(&before, 1, MPI_DOUBLE_INT, 0, 32, 1, MPI_DOUBLE_INT, win));
    OK(MPI_Win_fence(0, win));
    CHECK(before.value == size - 1 && before.where == (size == 1 ? 0 : size - 1));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Win_free(&win));
}

/* ------------------------------------------------------------------- post and start */

static void
check_post(void)
{
    MPI_Win win;
    MPI_Group all, next, last;
    int *base = make(&win), to = (rank + 1) % size, from = (rank + size - 1) % size, is_over = 0;

    OK(MPI_Win_get_group(win, &all));
    OK(MPI_Group_incl(all, 1, &to, &next));
    OK(MPI_Group_incl(all, 1, &from, &last));
    for (int round = 0; round < 5; round++) {
        OK(MPI_Win_post(last, 0, win));
        OK(MPI_Win_start(next, 0, win));
        OK(MPI_Put(&round, 1, MPI_INT, to, round, 1, MPI_INT, win));
        OK(MPI_Win_complete(win));
        if (round % 2 == 0)
            OK(MPI_Win_wait(win));
        else
            for (is_over = 0; !is_over;)
                OK(MPI_Win_test(win, &is_over));
        CHECK(base[round] == round);
    }
    REFUSED(MPI_Win_complete(win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_wait(win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_test(win, &is_over), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_post(MPI_GROUP_NULL, 0, win), MPI_ERR_GROUP);
    REFUSED(MPI_Win_start(next, 1 << 30, win), MPI_ERR_ASSERT);
    OK(MPI_Group_free(&next));
    OK(MPI_Group_free(&last));
    OK(MPI_Group_free(&all));
    OK(MPI_Win_free(&win));
}

/* ----------------------------------------------------------------------------- locks */

static void
check_locks(void)
{
    MPI_Win win;
    int *base = make(&win), value, one = 1, got;

    for (int i = 0; i < 100; i++) { /* nobody is between a read and its write */
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win));
        OK(MPI_Get(&value, 1, MPI_INT, 0, 3, 1, MPI_INT, win));
        OK(MPI_Win_flush(0, win));
        value++;
        OK(MPI_Put(&value, 1, MPI_INT, 0, 3, 1, MPI_INT, win));
        OK(MPI_Win_unlock(0, win));
    }
    OK(MPI_Win_lock_all(0, win));
    for (int i = 0; i < 100; i++)
        OK(MPI_Fetch_and_op(&one, &got, MPI_INT, size - 1, 4, MPI_SUM, win));
    OK(MPI_Win_flush_all(win));
    OK(MPI_Win_flush_local(0, win));
    OK(MPI_Win_flush_local_all(win));
    OK(MPI_Win_sync(win));
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win));
    CHECK(base[3] == (rank == 0 ? 100 * size : 0));
    CHECK(base[4] == (rank == size - 1 ? 100 * size : 0));
    REFUSED(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_fence(0, win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_free(&win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_unlock(rank, win));
    REFUSED(MPI_Win_unlock(rank, win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_unlock_all(win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_flush(rank, win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_flush_all(win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_flush_local(rank, win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_flush_local_all(win), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Win_lock(17, rank, 0, win), MPI_ERR_LOCKTYPE);
    REFUSED(MPI_Win_lock(MPI_LOCK_SHARED, size, 0, win), MPI_ERR_RANK);
    REFUSED(MPI_Win_lock_all(1 << 30, win), MPI_ERR_ASSERT);
    OK(MPI_Win_free(&win));
}

/* A counter that all draw from, and a word that they swap. */
static void
check_updates(void)
{
    MPI_Win win;
    int mine[3] = {1, rank, 7}, before[3], zero = 0, old;

    (void)make(&win);

    OK(MPI_Win_lock_all(0, win));
    OK(MPI_Get_accumulate(mine, 3, MPI_INT, before, 3, MPI_INT, 0, 0, 3, MPI_INT, MPI_SUM, win));
    CHECK(before[0] >= 0 && before[0] < size && before[2] == 7 * before[0]);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Get_accumulate(NULL, 0, MPI_INT, before, 3, MPI_INT, 0, 0, 3, MPI_INT, MPI_NO_OP, win));
    CHECK(before[0] == size && before[1] == size * (size - 1) / 2);
    for (;;) { /* a lock of one's own */
        int own = rank + 1;

        OK(MPI_Compare_and_swap(&own, &zero, &old, MPI_INT, 0, 9, win));
        if (old == 0)
            break;
        OK(MPI_Win_flush(0, win));
    }
    OK(MPI_Fetch_and_op(&zero, &old, MPI_INT, 0, 9, MPI_REPLACE, win));
    CHECK(old == rank + 1);
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Win_free(&win));
}

static void
check_requests(void)
{
    MPI_Win win;
    int *base = make(&win), mine[1] = {1}, before[1], old;
    MPI_Request requests[4];

    OK(MPI_Win_lock_all(0, win));
    OK(MPI_Rput(mine, 1, MPI_INT, rank, 20, 1, MPI_INT, win, &requests[0]));
    OK(MPI_Rget(&old, 1, MPI_INT, rank, 21, 1, MPI_INT, win, &requests[1]));
    OK(MPI_Raccumulate(mine, 1, MPI_INT, rank, 22, 1, MPI_INT, MPI_MAX, win, &requests[2]));
    OK(MPI_Rget_accumulate(mine, 1, MPI_INT, before, 1, MPI_INT, rank, 23, 1, MPI_INT, MPI_BOR, win,
                           &requests[3]));
    OK(MPI_Waitall(4, requests, MPI_STATUSES_IGNORE));
    CHECK(base[20] == 1 && old == 0 && base[22] == 1 && base[23] == 1 && before[0] == 0);
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Win_fence(0, win));
    REFUSED(MPI_Rput(mine, 1, MPI_INT, rank, 20, 1, MPI_INT, win, requests), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Rget(mine, 1, MPI_INT, rank, 20, 1, MPI_INT, win, requests), MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Raccumulate(mine, 1, MPI_INT, rank, 20, 1, MPI_INT, MPI_SUM, win, requests),
            MPI_ERR_RMA_SYNC);
    REFUSED(MPI_Rget_accumulate(mine, 1, MPI_INT, before, 1, MPI_INT, rank, 20, 1, MPI_INT, MPI_SUM,
                                win, requests),
            MPI_ERR_RMA_SYNC);
    OK(MPI_Win_free(&win));
}

/* ---------------------------------------------------------------- kinds of windows */

static void
check_shared(void)
{
    MPI_Comm near;
    MPI_Win win;
    MPI_Aint bytes;
    int own, count, unit, *base, *theirs;

    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &near));
    OK(MPI_Comm_rank(near, &own));
    OK(MPI_Comm_size(near, &count));
    OK(MPI_Win_allocate_shared(16 * sizeof(int), sizeof(int), MPI_INFO_NULL, near, &base, &win));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    OK(MPI_Win_shared_query(win, (own + 1) % count, &bytes, &unit, &theirs));
    CHECK(bytes == 16 * sizeof(int) && unit == sizeof(int));
    OK(MPI_Win_lock_all(0, win));
    theirs[3] = 100 + own; /* a plain store */
    OK(MPI_Win_sync(win));
    OK(MPI_Barrier(near));
    OK(MPI_Win_sync(win));
    CHECK(base[3] == 100 + (own + count - 1) % count);
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Win_shared_query(win, MPI_PROC_NULL, &bytes, &unit, &theirs));
    CHECK(theirs[3] == 100 + count - 1);
    OK(MPI_Win_fence(0, win));
    unit = own + 1;
    OK(MPI_Put(&unit, 1, MPI_INT, (own + 1) % count, 5, 1, MPI_INT, win));
    OK(MPI_Win_fence(0, win));
    CHECK(base[5] == (own + count - 1) % count + 1);
    REFUSED(MPI_Win_shared_query(win, count, &bytes, &unit, &theirs), MPI_ERR_RANK);
    OK(MPI_Win_free(&win));
    REFUSED(MPI_Win_allocate_shared(-1, 1, MPI_INFO_NULL, near, &base, &win), MPI_ERR_SIZE);
    OK(MPI_Comm_free(&near));
}

static void
check_dynamic(void)
{
    MPI_Win win;
    MPI_Aint where, there;
    int memory[8] = {0}, value = rank + 1, next = (rank + 1) % size;

    OK(MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    OK(MPI_Win_attach(win, memory, sizeof(memory)));
    OK(MPI_Get_address(memory, &where));
    OK(MPI_Sendrecv(&where, 1, MPI_AINT, (rank + size - 1) % size, 0, &there, 1, MPI_AINT, next, 0,
                    MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(&value, 1, MPI_INT, next, MPI_Aint_add(there, 2 * sizeof(int)), 1, MPI_INT, win));
    OK(MPI_Win_fence(0, win));
    CHECK(memory[2] == (rank + size - 1) % size + 1);
    REFUSED(MPI_Win_attach(win, memory, 1), MPI_ERR_RMA_ATTACH);
    REFUSED(MPI_Win_attach(win, memory, -1), MPI_ERR_SIZE);
    OK(MPI_Win_detach(win, memory));
    REFUSED(MPI_Win_detach(win, memory), MPI_ERR_BASE);
    REFUSED(MPI_Win_shared_query(win, 0, &where, &value, &there), MPI_ERR_RMA_FLAVOR);
    OK(MPI_Win_free(&win));
}

/* --------------------------------------------------------------------- as an object */

static void
count_up(MPI_Win *win, int *code, ...)
{
    (void)win;
    *code = MPI_ERR_OTHER;
}

static void
check_object(void)
{
    MPI_Win win;
    MPI_Aint *bytes;
    int memory[4], *value, *base, is_set, key;

    OK(MPI_Win_create(memory, sizeof(memory), 2, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    OK(MPI_Win_get_attr(win, MPI_WIN_BASE, &base, &is_set));
    CHECK(is_set && base == memory);
    OK(MPI_Win_get_attr(win, MPI_WIN_SIZE, &bytes, &is_set));
    CHECK(is_set && *bytes == sizeof(memory));
    OK(MPI_Win_get_attr(win, MPI_WIN_DISP_UNIT, &value, &is_set));
    CHECK(is_set && *value == 2);
    OK(MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, &value, &is_set));
    CHECK(is_set && *value == MPI_WIN_FLAVOR_CREATE);
    OK(MPI_Win_get_attr(win, MPI_WIN_MODEL, &value, &is_set));
    CHECK(is_set && *value == MPI_WIN_UNIFIED);
    OK(MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, MPI_WIN_NULL_DELETE_FN, &key, NULL));
    OK(MPI_Win_set_attr(win, key, memory));
    OK(MPI_Win_get_attr(win, key, &value, &is_set));
    CHECK(is_set && value == memory);
    OK(MPI_Win_delete_attr(win, key));
    REFUSED(MPI_Win_delete_attr(win, key), MPI_ERR_KEYVAL);
    OK(MPI_Win_free_keyval(&key));
    REFUSED(MPI_Win_set_attr(win, key, memory), MPI_ERR_KEYVAL);
    REFUSED(MPI_Win_get_attr(win, key, &value, &is_set), MPI_ERR_KEYVAL);
    REFUSED(MPI_Win_free_keyval(&key), MPI_ERR_KEYVAL);
    REFUSED(MPI_Win_create_keyval(NULL, NULL, NULL, NULL), MPI_ERR_ARG);
    OK(MPI_Win_free(&win));
}

static void
check_names(void)
{
    MPI_Win win;
    MPI_Info info;
    int memory[4], is_set, length;
    char name[MPI_MAX_OBJECT_NAME];

    OK(MPI_Win_create(memory, sizeof(memory), 2, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_set_name(win, "ours"));
    OK(MPI_Win_get_name(win, name, &length));
    CHECK(strcmp(name, "ours") == 0 && length == 4);
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "no_locks", "true"));
    OK(MPI_Win_set_info(win, info));
    OK(MPI_Info_free(&info));
    OK(MPI_Win_get_info(win, &info));
    OK(MPI_Info_get(info, "no_locks", 10, name, &is_set));
    CHECK(is_set && strcmp(name, "true") == 0);
    OK(MPI_Info_free(&info));
    OK(MPI_Win_free(&win));
}

static void
check_handlers(void)
{
    MPI_Errhandler handler, now;
    MPI_Win win;
    int memory[4];

    OK(MPI_Win_create(memory, sizeof(memory), 2, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_create_errhandler(count_up, &handler));
    OK(MPI_Win_set_errhandler(win, handler));
    CHECK(MPI_Win_wait(win) == MPI_ERR_OTHER);
    OK(MPI_Win_call_errhandler(win, MPI_ERR_WIN));
    OK(MPI_Win_get_errhandler(win, &now));
    CHECK(now == handler);
    OK(MPI_Errhandler_free(&now));
    OK(MPI_Errhandler_free(&handler));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    REFUSED(MPI_Win_create_errhandler(NULL, &handler), MPI_ERR_ARG);
    REFUSED(MPI_Win_set_errhandler(win, MPI_ERRHANDLER_NULL), MPI_ERR_ARG);
    OK(MPI_Win_free(&win));
}

static void
check_wrong_access(void)
{
    MPI_Win win;
    int value = 0, number;

    (void)make(&win);
    REFUSED(MPI_Put(&value, 1, MPI_INT, 0, 0, 1, MPI_INT, win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_fence(0, win));
    REFUSED(MPI_Win_fence(1 << 30, win), MPI_ERR_ASSERT);
    REFUSED(MPI_Put(&value, 1, MPI_INT, size, 0, 1, MPI_INT, win), MPI_ERR_RANK);
    REFUSED(MPI_Get(&value, -1, MPI_INT, 0, 0, 1, MPI_INT, win), MPI_ERR_COUNT);
    REFUSED(MPI_Get(&value, 1, MPI_DATATYPE_NULL, 0, 0, 1, MPI_INT, win), MPI_ERR_TYPE);
    REFUSED(MPI_Put(&value, 1, MPI_INT, 0, -1, 1, MPI_INT, win), MPI_ERR_DISP);
    REFUSED(MPI_Put(&value, 1, MPI_INT, 0, COUNT, 1, MPI_INT, win), MPI_ERR_RMA_RANGE);
    REFUSED(MPI_Accumulate(&value, 1, MPI_INT, 0, 0, 1, MPI_INT, MPI_OP_NULL, win), MPI_ERR_OP);
    REFUSED(MPI_Get_accumulate(&value, 1, MPI_INT, &number, 1, MPI_INT, 0, COUNT, 1, MPI_INT,
                               MPI_SUM, win),
            MPI_ERR_RMA_RANGE);
    REFUSED(MPI_Fetch_and_op(&value, &number, MPI_DOUBLE, 0, 0, MPI_BOR, win), MPI_ERR_OP);
    REFUSED(MPI_Compare_and_swap(&value, &value, &number, MPI_INT, size, 0, win), MPI_ERR_RANK);
    OK(MPI_Win_fence(0, win));
    OK(MPI_Win_free(&win));
}

static void
check_wrong(void)
{
    MPI_Win win, gone;
    MPI_Aint bytes;
    MPI_Errhandler handler;
    MPI_Group group;
    MPI_Info info;
    int number, value = 0;
    char name[MPI_MAX_OBJECT_NAME];

    (void)make(&win);
    gone = win;
    OK(MPI_Win_free(&win));
    REFUSED(MPI_Win_free(&win), MPI_ERR_WIN);
    REFUSED(MPI_Win_fence(0, gone), MPI_ERR_WIN);
    REFUSED(MPI_Win_sync(MPI_WIN_NULL), MPI_ERR_WIN);
    REFUSED(MPI_Win_get_group(gone, &group), MPI_ERR_WIN);
    REFUSED(MPI_Win_set_name(gone, "x"), MPI_ERR_WIN);
    REFUSED(MPI_Win_get_name(gone, name, &number), MPI_ERR_WIN);
    REFUSED(MPI_Win_set_info(gone, MPI_INFO_NULL), MPI_ERR_WIN);
    REFUSED(MPI_Win_get_info(gone, &info), MPI_ERR_WIN);
    REFUSED(MPI_Win_get_errhandler(gone, &handler), MPI_ERR_WIN);
    REFUSED(MPI_Win_call_errhandler(gone, MPI_ERR_OTHER), MPI_ERR_WIN);
    REFUSED(MPI_Win_create(&value, -1, 1, MPI_INFO_NULL, MPI_COMM_SELF, &win), MPI_ERR_SIZE);
    REFUSED(MPI_Win_create(&value, 1, 0, MPI_INFO_NULL, MPI_COMM_SELF, &win), MPI_ERR_DISP);
    REFUSED(MPI_Win_allocate(1, 1, MPI_INFO_NULL, MPI_COMM_NULL, &bytes, &win), MPI_ERR_COMM);
    REFUSED(MPI_Win_create_dynamic((MPI_Info)MPI_COMM_SELF, MPI_COMM_SELF, &win), MPI_ERR_INFO);
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    check_fence();
    check_types();
    check_pairs();
    check_post();
    check_locks();
    check_updates();
    check_requests();
    check_shared();
    check_dynamic();
    check_object();
    check_names();
    check_handlers();
    check_wrong_access();
    check_wrong();
    return end();
}
