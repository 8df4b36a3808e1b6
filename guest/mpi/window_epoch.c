/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs (MPI 3.1, 11.5). Operations are over when they return, so a fence is a barrier, flushes
 * have nothing to do, and a lock is a word in its target's memory that is taken in turns.
 */
#include "net.h"
#include "schedule.h"
#include "window.h"

#define ASSERTS \
    (MPI_MODE_NOCHECK | MPI_MODE_NOSTORE | MPI_MODE_NOPUT | MPI_MODE_NOPRECEDE | MPI_MODE_NOSUCCEED)

/* --------------------------------------------------------------------------- fence */

/* A fence that nothing followed is no epoch: another kind may begin. */
static bool
is_free(const struct mpi_window *window)
{
    return window->access == MPI_ACCESS_NONE ||
           (window->access == MPI_ACCESS_FENCE && !window->is_fence_used);
}

int
PMPI_Win_fence(int assert, MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && (assert & ~ASSERTS) != 0)
        err = MPI_ERR_ASSERT;
    if (err == 0 &&
        ((!is_free(window) && window->access != MPI_ACCESS_FENCE) || window->posted != NULL))
        err = MPI_ERR_RMA_SYNC;
    if (err == 0)
        err = mpi_collective_barrier(window->comm);
    if (err == 0) {
        window->access = (assert &MPI_MODE_NOSUCCEED) != 0 ? MPI_ACCESS_NONE : MPI_ACCESS_FENCE;
        window->is_fence_used = false;
    }
    return mpi_window_leave(window, "MPI_Win_fence", err);
}
MPI_NAMES(Win_fence);

/* ------------------------------------------------------------- post, start, complete, wait */

static int
say_to(struct mpi_window *window, const struct mpi_group *group, uint32_t kind)
{
    uint32_t context = window->comm->context;
    int err = 0;

    for (int i = 0; err == 0 && i < group->size; i++)
        err = mpi_message_say(group->members[i], kind, &context, sizeof(context));
    return err;
}

/* Posts, or completions, of all of the group are there. */
static bool
has_all(struct mpi_window *window, const struct mpi_group *group, bool posts)
{
    for (int i = 0; i < group->size; i++) {
        int rank = mpi_group_place(window->comm->group, group->members[i]);

        if ((posts ? window->peers[rank].posts : window->peers[rank].completions) == 0)
            return false;
    }
    return true;
}

static void
take_all(struct mpi_window *window, const struct mpi_group *group, bool posts)
{
    for (int i = 0; i < group->size; i++) {
        struct mpi_window_peer *peer =
            &window->peers[mpi_group_place(window->comm->group, group->members[i])];

        *(posts ? &peer->posts : &peer->completions) -= 1;
    }
}

/* Until all have said it: mpi_progress counts what they say. */
struct awaited {
    struct mpi_task task;
    struct mpi_window *window;
    const struct mpi_group *group;
    bool posts, is_done;
};

static bool
look(struct mpi_task *task)
{
    struct awaited *awaited = (struct awaited *)task;

    awaited->is_done = has_all(awaited->window, awaited->group, awaited->posts);
    return !awaited->is_done;
}

static void
await_all(struct mpi_window *window, const struct mpi_group *group, bool posts, const char *what)
{
    struct awaited awaited = {.task.run = look, .window = window, .group = group, .posts = posts};

    if (!has_all(window, group, posts)) {
        mpi_task_add(&awaited.task);
        mpi_await(&awaited.is_done, what);
    }
    take_all(window, group, posts);
}

static int
check_group(struct mpi_window *window, MPI_Group group, int assert, struct mpi_group **out)
{
    int err = mpi_group_find(group, out);

    if (err == 0 && (assert & ~ASSERTS) != 0)
        err = MPI_ERR_ASSERT;
    for (int i = 0; err == 0 && i < (*out)->size; i++)
        if (mpi_group_place(window->comm->group, (*out)->members[i]) == MPI_UNDEFINED)
            err = MPI_ERR_GROUP;
    return err;
}

int
PMPI_Win_post(MPI_Group group, int assert, MPI_Win win)
{
    struct mpi_window *window = NULL;
    struct mpi_group *g;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = check_group(window, group, assert, &g);
    if (err == 0 && window->posted != NULL)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0)
        err = say_to(window, g, MPI_WINDOW_POST);
    if (err == 0)
        window->posted = mpi_group_get(g);
    return mpi_window_leave(window, "MPI_Win_post", err);
}
MPI_NAMES(Win_post);

int
PMPI_Win_start(MPI_Group group, int assert, MPI_Win win)
{
    struct mpi_window *window = NULL;
    struct mpi_group *g;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = check_group(window, group, assert, &g);
    if (err == 0 && !is_free(window))
        err = MPI_ERR_RMA_SYNC;
    if (err == 0) {
        window->opened = mpi_group_get(g);
        window->access = MPI_ACCESS_START;
        await_all(window, g, true, "MPI_Win_start");
    }
    return mpi_window_leave(window, "MPI_Win_start", err);
}
MPI_NAMES(Win_start);

int
PMPI_Win_complete(MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->access != MPI_ACCESS_START)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0)
        err = say_to(window, window->opened, MPI_WINDOW_COMPLETE);
    if (err == 0) {
        mpi_group_put(window->opened);
        window->opened = NULL;
        window->access = MPI_ACCESS_NONE;
    }
    return mpi_window_leave(window, "MPI_Win_complete", err);
}
MPI_NAMES(Win_complete);

static void
end_exposure(struct mpi_window *window)
{
    mpi_group_put(window->posted);
    window->posted = NULL;
}

int
PMPI_Win_wait(MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->posted == NULL)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0) {
        await_all(window, window->posted, false, "MPI_Win_wait");
        end_exposure(window);
    }
    return mpi_window_leave(window, "MPI_Win_wait", err);
}
MPI_NAMES(Win_wait);

int
PMPI_Win_test(MPI_Win win, int *flag)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->posted == NULL)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0) {
        (void)mpi_progress();
        *flag = has_all(window, window->posted, false);
        if (*flag) {
            take_all(window, window->posted, false);
            end_exposure(window);
        }
    }
    return mpi_window_leave(window, "MPI_Win_test", err);
}
MPI_NAMES(Win_test);

/* --------------------------------------------------------------------------- locks */

static uint64_t
lock_word(const struct mpi_window_peer *peer)
{
    return peer->words + offsetof(struct mpi_window_words, lock);
}

static void
lock_peer(struct mpi_window_peer *peer, bool is_exclusive)
{
    mpi_turn_take(peer->owner, lock_word(peer), is_exclusive, "MPI_Win_lock");
    peer->is_exclusive = is_exclusive;
    peer->is_locked = true;
}

static void
unlock_peer(struct mpi_window_peer *peer)
{
    mpi_turn_give(peer->owner, lock_word(peer), peer->is_exclusive);
    peer->is_locked = false;
}

static int
check_rank(const struct mpi_window *window, int rank)
{
    return rank == MPI_PROC_NULL || (rank >= 0 && rank < window->comm->size) ? 0 : MPI_ERR_RANK;
}

static int
lock_rank(struct mpi_window *window, int type, int rank)
{
    struct mpi_window_peer *peer = rank != MPI_PROC_NULL ? &window->peers[rank] : NULL;

    if (peer != NULL && peer->is_locked)
        return MPI_ERR_RMA_SYNC;
    if (!is_free(window) && window->access != MPI_ACCESS_LOCK)
        return MPI_ERR_RMA_SYNC;
    window->access = MPI_ACCESS_LOCK;
    window->locks++;
    if (peer != NULL)
        lock_peer(peer, type == MPI_LOCK_EXCLUSIVE);
    return 0;
}

int
PMPI_Win_lock(int lock_type, int rank, int assert, MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && lock_type != MPI_LOCK_EXCLUSIVE && lock_type != MPI_LOCK_SHARED)
        err = MPI_ERR_LOCKTYPE;
    if (err == 0 && assert != 0 && assert != MPI_MODE_NOCHECK)
        err = MPI_ERR_ASSERT;
    if (err == 0)
        err = check_rank(window, rank);
    if (err == 0)
        err = lock_rank(window, lock_type, rank);
    return mpi_window_leave(window, "MPI_Win_lock", err);
}
MPI_NAMES(Win_lock);

static int
unlock_rank(struct mpi_window *window, int rank)
{
    if (window->access != MPI_ACCESS_LOCK ||
        (rank != MPI_PROC_NULL && !window->peers[rank].is_locked))
        return MPI_ERR_RMA_SYNC;
    if (rank != MPI_PROC_NULL)
        unlock_peer(&window->peers[rank]);
    if (--window->locks == 0)
        window->access = MPI_ACCESS_NONE;
    return 0;
}

int
PMPI_Win_unlock(int rank, MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0)
        err = check_rank(window, rank);
    if (err == 0)
        err = unlock_rank(window, rank);
    return mpi_window_leave(window, "MPI_Win_unlock", err);
}
MPI_NAMES(Win_unlock);

/* In the order of ranks, as all do: no two wait for each other. */
int
PMPI_Win_lock_all(int assert, MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && assert != 0 && assert != MPI_MODE_NOCHECK)
        err = MPI_ERR_ASSERT;
    if (err == 0 && !is_free(window))
        err = MPI_ERR_RMA_SYNC;
    if (err == 0) {
        window->access = MPI_ACCESS_LOCK_ALL;
        for (int rank = 0; rank < window->comm->size; rank++)
            lock_peer(&window->peers[rank], false);
    }
    return mpi_window_leave(window, "MPI_Win_lock_all", err);
}
MPI_NAMES(Win_lock_all);

int
PMPI_Win_unlock_all(MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->access != MPI_ACCESS_LOCK_ALL)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0) {
        for (int rank = 0; rank < window->comm->size; rank++)
            unlock_peer(&window->peers[rank]);
        window->access = MPI_ACCESS_NONE;
    }
    return mpi_window_leave(window, "MPI_Win_unlock_all", err);
}
MPI_NAMES(Win_unlock_all);

/* --------------------------------------------------------------------------- flushes */

/* rank: which; -1: all. */
static int
flush(MPI_Win win, int rank, const char *name)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && rank != -1)
        err = check_rank(window, rank);
    if (err == 0 && window->access != MPI_ACCESS_LOCK && window->access != MPI_ACCESS_LOCK_ALL)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0 && rank >= 0 && !window->peers[rank].is_locked)
        err = MPI_ERR_RMA_SYNC;
    if (err == 0)
        (void)mpi_progress();
    return mpi_window_leave(window, name, err);
}

int
PMPI_Win_flush(int rank, MPI_Win win)
{
    return flush(win, rank == -1 ? -2 : rank, "MPI_Win_flush");
}
MPI_NAMES(Win_flush);

int
PMPI_Win_flush_local(int rank, MPI_Win win)
{
    return flush(win, rank == -1 ? -2 : rank, "MPI_Win_flush_local");
}
MPI_NAMES(Win_flush_local);

int
PMPI_Win_flush_all(MPI_Win win)
{
    return flush(win, -1, "MPI_Win_flush_all");
}
MPI_NAMES(Win_flush_all);

int
PMPI_Win_flush_local_all(MPI_Win win)
{
    return flush(win, -1, "MPI_Win_flush_local_all");
}
MPI_NAMES(Win_flush_local_all);

/* The public and the private copy are one (MPI_WIN_UNIFIED). */
int
PMPI_Win_sync(MPI_Win win)
{
    struct mpi_window *window = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return mpi_window_leave(window, "MPI_Win_sync", err);
}
MPI_NAMES(Win_sync);
