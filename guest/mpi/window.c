/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows: their life (MPI 3.1, 11.2).
 */
#include "window.h"

#include <stdlib.h>
#include <string.h>

#include "comm.h"
#include "net.h"

#define SHARE_ALIGN 64u

static struct mpi_window *windows;

int
mpi_window_find(MPI_Win handle, struct mpi_window **out)
{
    struct mpi_window *found = mpi_handle_find(MPI_KIND_WIN, handle);

    if (found == NULL)
        return MPI_ERR_WIN;
    *out = found;
    return 0;
}

int
mpi_window_leave(struct mpi_window *window, const char *name, int err)
{
    MPI_Win handle;

    if (window == NULL || err == MPI_SUCCESS)
        return mpi_leave(NULL, name, err);
    handle = window->handle;
    mpi_unlock();
    return mpi_error_of(window->errhandler, &handle, name, err);
}

/* ------------------------------------------------------------- messages of post and start */

static struct mpi_window_peer *
peer_of(uint32_t from, const void *body)
{
    uint32_t context;

    (void)memcpy(&context, body, sizeof(context));
    for (struct mpi_window *window = windows; window != NULL; window = window->next)
        if (window->comm->context == context) {
            int rank = mpi_group_place(window->comm->group, from);

            return rank != MPI_UNDEFINED ? &window->peers[rank] : NULL;
        }
    return NULL;
}

static void
on_post(uint32_t from, const void *body, uint32_t bytes)
{
    struct mpi_window_peer *peer = bytes == sizeof(uint32_t) ? peer_of(from, body) : NULL;

    if (peer != NULL)
        peer->posts++;
}

static void
on_complete(uint32_t from, const void *body, uint32_t bytes)
{
    struct mpi_window_peer *peer = bytes == sizeof(uint32_t) ? peer_of(from, body) : NULL;

    if (peer != NULL)
        peer->completions++;
}

void
mpi_windows_init(void)
{
    mpi_message_handle(MPI_WINDOW_POST, on_post);
    mpi_message_handle(MPI_WINDOW_COMPLETE, on_complete);
}

/* ---------------------------------------------------------------------------- made */

/* What each tells all others. */
struct told {
    uint64_t base, size, words;
    int32_t unit, is_bad;
};

static int
tell(struct mpi_window *window, int err)
{
    struct mpi_comm *comm = window->comm;
    const struct told mine = {(uintptr_t)window->base, (uint64_t)window->size,
                              (uintptr_t)&window->words, window->unit, err};
    struct told *all = calloc((size_t)comm->size, sizeof(*all));
    int own = err;

    if (all == NULL)
        return MPI_ERR_NO_MEM;
    err = mpi_collective_allgather(comm, &mine, all, sizeof(mine));
    for (int rank = 0; err == 0 && rank < comm->size; rank++) {
        struct mpi_window_peer *peer = &window->peers[rank];

        peer->member = peer->owner = comm->group->members[rank];
        peer->base = all[rank].base;
        peer->size = all[rank].size;
        peer->words = all[rank].words;
        peer->unit = all[rank].unit;
        if (own == 0 && all[rank].is_bad != 0)
            own = all[rank].is_bad;
    }
    free(all);
    return err != 0 ? err : own;
}

static void
destroy(struct mpi_window *window)
{
    struct mpi_window **at = &windows;

    while (*at != NULL && *at != window)
        at = &(*at)->next;
    if (*at != NULL)
        *at = window->next;
    if (window->handle != NULL)
        mpi_handle_free(MPI_KIND_WIN, window->handle);
    if (window->owns_base)
        free(window->base);
    if (window->shared != NULL)
        mpi_net_unshare(window->comm->context, window->shared);
    while (window->regions != NULL) {
        struct mpi_region *region = window->regions;

        window->regions = region->next;
        free(region);
    }
    mpi_info_destroy(window->info);
    mpi_group_put(window->opened);
    mpi_group_put(window->posted);
    mpi_errhandler_put(window->errhandler);
    mpi_comm_put(window->comm);
    free(window);
}

/* What the program can ask for, as it is unless it says otherwise (11.2.7). NULL: no memory. */
static struct mpi_info *
hints_of(const struct mpi_info *hints)
{
    static const char *const defaults[][2] = {
        {"no_locks", "false"},
        {"accumulate_ordering", "rar,raw,war,waw"},
        {"accumulate_ops", "same_op_no_op"},
        {"same_size", "false"},
        {"same_disp_unit", "false"},
        {"alloc_shared_noncontig", "false"},
    };
    struct mpi_info *info = mpi_info_create();
    int err = info != NULL ? 0 : MPI_ERR_NO_MEM;

    for (size_t i = 0; err == 0 && i < sizeof(defaults) / sizeof(*defaults); i++)
        err = mpi_info_put(info, defaults[i][0], defaults[i][1]);
    if (err == 0)
        err = mpi_info_merge(info, hints);
    if (err == 0)
        return info;
    mpi_info_destroy(info);
    return NULL;
}

static int
prepare(struct mpi_comm *comm, const struct mpi_info *hints, int flavor, struct mpi_window **out)
{
    struct mpi_window *window =
        calloc(1, sizeof(*window) + (size_t)comm->size * sizeof(*window->peers));
    int err;

    if (window == NULL)
        return MPI_ERR_NO_MEM;
    err = mpi_comm_clone(comm, &window->comm);
    if (err != 0) {
        free(window);
        return err;
    }
    window->flavor = flavor;
    window->model = MPI_WIN_UNIFIED;
    window->errhandler = mpi_errhandler_get(&mpi_errors_are_fatal);
    window->info = hints_of(hints);
    window->handle = mpi_handle_make(MPI_KIND_WIN, window);
    window->next = windows;
    windows = window;
    *out = window;
    return window->handle != NULL && window->info != NULL ? 0 : MPI_ERR_NO_MEM;
}

/* All have it before any of them uses it: what of it comes earlier would find no window. */
static int
finish(struct mpi_window *window, int err, MPI_Win *out)
{
    err = tell(window, err);
    if (err == 0)
        err = mpi_collective_barrier(window->comm);
    if (err != 0) {
        destroy(window);
        return err;
    }
    *out = window->handle;
    return 0;
}

/* What all four have in common. A wrong size is found by all, as the others wait. */
static int
begin(MPI_Comm comm, MPI_Info info, MPI_Win *win, struct mpi_comm **c, struct mpi_info **hints)
{
    int err = mpi_comm_find(comm, c);

    if (err == 0)
        err = (*c)->remote == NULL ? mpi_info_find(info, hints) : MPI_ERR_COMM;
    if (err == 0 && win == NULL)
        err = MPI_ERR_ARG;
    return err;
}

static int
check_sizes(MPI_Aint size, int unit)
{
    return size < 0 ? MPI_ERR_SIZE : unit <= 0 ? MPI_ERR_DISP : 0;
}

int
PMPI_Win_create(void *base, MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm,
                MPI_Win *win)
{
    struct mpi_window *window;
    struct mpi_comm *c = NULL;
    struct mpi_info *hints;
    int err;

    mpi_lock();
    err = begin(comm, info, win, &c, &hints);
    if (err == 0)
        err = check_sizes(size, disp_unit);
    if (err == 0)
        err = prepare(c, hints, MPI_WIN_FLAVOR_CREATE, &window);
    if (err == 0) {
        window->base = base;
        window->size = size;
        window->unit = disp_unit;
        err = finish(window, 0, win);
    }
    return mpi_leave(c, "MPI_Win_create", err);
}
MPI_NAMES(Win_create);

int
PMPI_Win_allocate(MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr,
                  MPI_Win *win)
{
    struct mpi_window *window;
    struct mpi_comm *c = NULL;
    struct mpi_info *hints;
    int err;

    mpi_lock();
    err = begin(comm, info, win, &c, &hints);
    if (err == 0)
        err = check_sizes(size, disp_unit);
    if (err == 0)
        err = prepare(c, hints, MPI_WIN_FLAVOR_ALLOCATE, &window);
    if (err == 0) {
        window->base =
            aligned_alloc(SHARE_ALIGN, ((size_t)size + SHARE_ALIGN) / SHARE_ALIGN * SHARE_ALIGN);
        window->owns_base = true;
        window->size = size;
        window->unit = disp_unit;
        err = finish(window, window->base != NULL ? 0 : MPI_ERR_NO_MEM, win);
    }
    if (err == 0)
        *(void **)baseptr = window->base;
    return mpi_leave(c, "MPI_Win_allocate", err);
}
MPI_NAMES(Win_allocate);

int
PMPI_Win_create_dynamic(MPI_Info info, MPI_Comm comm, MPI_Win *win)
{
    struct mpi_window *window;
    struct mpi_comm *c = NULL;
    struct mpi_info *hints;
    int err;

    mpi_lock();
    err = begin(comm, info, win, &c, &hints);
    if (err == 0)
        err = prepare(c, hints, MPI_WIN_FLAVOR_DYNAMIC, &window);
    if (err == 0) {
        window->unit = 1;
        err = finish(window, 0, win);
    }
    return mpi_leave(c, "MPI_Win_create_dynamic", err);
}
MPI_NAMES(Win_create_dynamic);

/* ---------------------------------------------------------------------------- shared */

static bool
is_apart(const struct mpi_window *window)
{
    const char *text = mpi_info_value(window->info, "alloc_shared_noncontig");

    return text != NULL && strcmp(text, "true") == 0;
}

/* Where each rank's part begins: one after the other, or each in cache lines of its own. The whole:
 * the return value. */
static uint64_t
lay_out(struct mpi_window *window)
{
    uint64_t at = 0;

    for (int rank = 0; rank < window->comm->size; rank++) {
        struct mpi_window_peer *peer = &window->peers[rank];

        peer->base = at;
        at += peer->size;
        if (is_apart(window))
            at = (at + SHARE_ALIGN - 1) / SHARE_ALIGN * SHARE_ALIGN;
    }
    return at;
}

static int
map_shared(struct mpi_window *window)
{
    uint64_t bytes = lay_out(window);

    for (int rank = 0; rank < window->comm->size; rank++)
        if (!mpi_net_is_near(window->comm->group->members[rank]))
            return MPI_ERR_RMA_SHARED;
    window->shared = mpi_net_share(window->comm->context, bytes > 0 ? bytes : 1);
    if (window->shared == NULL)
        return MPI_ERR_RMA_SHARED;
    for (int rank = 0; rank < window->comm->size; rank++) {
        if (window->peers[rank].size > 0)
            window->peers[rank].base += (uintptr_t)window->shared;
        else
            window->peers[rank].base = 0;
        window->peers[rank].member = mpi_member(); /* it is in this one's memory, too */
    }
    window->base = (void *)(uintptr_t)window->peers[window->comm->rank].base;
    return 0;
}

static int
finish_shared(struct mpi_window *window, MPI_Win *win)
{
    int err = tell(window, 0);
    int64_t worst;

    if (err == 0)
        err = map_shared(window);
    worst = err;
    if (mpi_collective_max(window->comm, &worst, 1) == 0 && err == 0)
        err = (int)worst;
    if (err != 0) {
        destroy(window);
        return err;
    }
    *win = window->handle;
    return 0;
}

int
PMPI_Win_allocate_shared(MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr,
                         MPI_Win *win)
{
    struct mpi_window *window;
    struct mpi_comm *c = NULL;
    struct mpi_info *hints;
    int err;

    mpi_lock();
    err = begin(comm, info, win, &c, &hints);
    if (err == 0)
        err = check_sizes(size, disp_unit);
    if (err == 0)
        err = prepare(c, hints, MPI_WIN_FLAVOR_SHARED, &window);
    if (err == 0) {
        window->size = size;
        window->unit = disp_unit;
        err = finish_shared(window, win);
    }
    if (err == 0)
        *(void **)baseptr = window->base;
    return mpi_leave(c, "MPI_Win_allocate_shared", err);
}
MPI_NAMES(Win_allocate_shared);

/* MPI_PROC_NULL: the first that has any memory (11.2.3). */
int
PMPI_Win_shared_query(MPI_Win win, int rank, MPI_Aint *size, int *disp_unit, void *baseptr)
{
    struct mpi_window *window = NULL;
    const struct mpi_window_peer *peer;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->flavor != MPI_WIN_FLAVOR_SHARED)
        err = MPI_ERR_RMA_FLAVOR;
    if (err == 0 && rank != MPI_PROC_NULL && (rank < 0 || rank >= window->comm->size))
        err = MPI_ERR_RANK;
    if (err == 0) {
        if (rank == MPI_PROC_NULL)
            for (rank = 0; rank < window->comm->size - 1 && window->peers[rank].size == 0;)
                rank++;
        peer = &window->peers[rank];
        *size = (MPI_Aint)peer->size;
        *disp_unit = peer->unit;
        *(void **)baseptr = (void *)(uintptr_t)peer->base;
    }
    return mpi_window_leave(window, "MPI_Win_shared_query", err);
}
MPI_NAMES(Win_shared_query);

/* --------------------------------------------------------------------------- dynamic */

static bool
meets(const struct mpi_region *region, uintptr_t base, uint64_t size)
{
    return base < region->base + region->size && region->base < base + size;
}

int
PMPI_Win_attach(MPI_Win win, void *base, MPI_Aint size)
{
    struct mpi_window *window = NULL;
    struct mpi_region *made = NULL;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->flavor != MPI_WIN_FLAVOR_DYNAMIC)
        err = MPI_ERR_RMA_FLAVOR;
    if (err == 0 && size < 0)
        err = MPI_ERR_SIZE;
    for (struct mpi_region *at = err == 0 ? window->regions : NULL; at != NULL; at = at->next)
        if (meets(at, (uintptr_t)base, (uint64_t)size))
            err = MPI_ERR_RMA_ATTACH;
    if (err == 0) {
        made = malloc(sizeof(*made));
        err = made != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    if (err == 0) {
        *made = (struct mpi_region){window->regions, (uintptr_t)base, (uint64_t)size};
        window->regions = made;
    }
    return mpi_window_leave(window, "MPI_Win_attach", err);
}
MPI_NAMES(Win_attach);

int
PMPI_Win_detach(MPI_Win win, const void *base)
{
    struct mpi_window *window = NULL;
    struct mpi_region **at, *gone;
    int err;

    mpi_lock();
    err = mpi_window_find(win, &window);
    if (err == 0 && window->flavor != MPI_WIN_FLAVOR_DYNAMIC)
        err = MPI_ERR_RMA_FLAVOR;
    if (err == 0) {
        at = &window->regions;
        while (*at != NULL && (*at)->base != (uintptr_t)base)
            at = &(*at)->next;
        gone = *at;
        err = gone != NULL ? 0 : MPI_ERR_BASE;
        if (gone != NULL)
            *at = gone->next;
        free(gone);
    }
    return mpi_window_leave(window, "MPI_Win_detach", err);
}
MPI_NAMES(Win_detach);

/* ------------------------------------------------------------------------------ ended */

int
PMPI_Win_free(MPI_Win *win)
{
    struct mpi_window *window = NULL;
    int err = MPI_ERR_WIN;

    mpi_lock();
    if (win != NULL)
        err = mpi_window_find(*win, &window);
    if (err == 0 && (window->locks > 0 || window->access == MPI_ACCESS_LOCK_ALL ||
                     window->opened != NULL || window->posted != NULL))
        err = MPI_ERR_RMA_SYNC;
    if (err == 0)
        err = mpi_collective_barrier(window->comm);
    if (err == 0)
        err = mpi_attributes_delete(MPI_KIND_WIN, *win, &window->attributes);
    if (err == 0) {
        destroy(window);
        *win = MPI_WIN_NULL;
        window = NULL;
    }
    return mpi_window_leave(window, "MPI_Win_free", err);
}
MPI_NAMES(Win_free);
