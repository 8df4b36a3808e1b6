/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of the stream that a view is, from and to the file, in as few calls of the system as there
 * can be: runs that touch are one (mpi_type_runs), and where many small ones are read with small
 * holes between them, the holes are read with them. Holes are never written: another member may
 * write there at the same time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define WINDOW_BYTES (512u * 1024u) /* that are read at once */
#define RUN_BYTES    (32u * 1024u)  /* a longer run is read by itself */
#define HOLES_MAX    8              /* as many times the data are too many */

struct mover {
    struct mpi_file *file;
    bool is_write;
    int64_t shift; /* what runs are told from */
    char *at;      /* in memory */
    int64_t left, done;
    int err;
    int64_t stretch; /* bytes of the file for one of data, rounded up */
    char *window;    /* or NULL */
    int64_t window_at, window_bytes;
};

static int
write_run(struct mover *mover, int64_t offset, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t count = pwrite(mover->file->fd, mover->at + done, bytes - done,
                               (off_t)(offset + (int64_t)done));

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? mpi_file_error(errno) : MPI_ERR_NO_SPACE;
        done += (size_t)count;
    }
    return 0;
}

/* Fewer where the file ends. */
static int
read_run(const struct mover *mover, int64_t offset, char *to, size_t bytes, int64_t *got)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t count =
            pread(mover->file->fd, to + done, bytes - done, (off_t)(offset + (int64_t)done));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return mpi_file_error(errno);
        if (count == 0)
            break;
        done += (size_t)count;
    }
    *got = (int64_t)done;
    return 0;
}

static bool
is_in_window(const struct mover *mover, int64_t offset)
{
    return offset >= mover->window_at && offset < mover->window_at + mover->window_bytes;
}

/* Reads on from offset, as far as the rest may lie. */
static int
window_read(struct mover *mover, int64_t offset)
{
    int64_t bytes = mover->left < (int64_t)WINDOW_BYTES / mover->stretch
                        ? mover->left * mover->stretch
                        : (int64_t)WINDOW_BYTES;

    if (mover->window == NULL)
        mover->window = malloc(WINDOW_BYTES);
    if (mover->window == NULL)
        return MPI_ERR_NO_MEM;
    mover->window_at = offset;
    mover->window_bytes = 0;
    return read_run(mover, offset, mover->window, (size_t)bytes, &mover->window_bytes);
}

/* From the window, again and again; a window that gives nothing is the end of the file. */
static int
read_small(struct mover *mover, int64_t offset, int64_t bytes, int64_t *got)
{
    int err = 0;

    for (*got = 0; *got < bytes;) {
        int64_t from = offset + *got, there;

        if (!is_in_window(mover, from))
            err = window_read(mover, from);
        if (err != 0 || mover->window_bytes == 0)
            return err;
        there = mover->window_at + mover->window_bytes - from;
        if (there > bytes - *got)
            there = bytes - *got;
        (void)memcpy(mover->at + *got, mover->window + (from - mover->window_at), (size_t)there);
        *got += there;
    }
    return 0;
}

static bool
is_small(const struct mover *mover, int64_t bytes)
{
    return bytes < (int64_t)RUN_BYTES && bytes < mover->left && mover->stretch <= HOLES_MAX;
}

static bool
move_run(void *context, int64_t offset, uint64_t bytes)
{
    struct mover *mover = context;
    int64_t at = mover->shift + offset, got = (int64_t)bytes;

    if (mover->is_write)
        mover->err = write_run(mover, at, (size_t)bytes);
    else if (is_small(mover, got) || is_in_window(mover, at))
        mover->err = read_small(mover, at, (int64_t)bytes, &got);
    else
        mover->err = read_run(mover, at, mover->at, (size_t)bytes, &got);
    if (mover->err != 0)
        return false;
    mover->at += got;
    mover->left -= got;
    mover->done += got;
    return got == (int64_t)bytes;
}

int
mpi_file_move(struct mpi_file *file, bool is_write, int64_t from, void *bytes, int64_t count,
              int64_t *done)
{
    const struct mpi_type *tile = file->view.tile;
    struct mover mover = {.file = file, .is_write = is_write, .at = bytes, .left = count};
    int64_t within;

    *done = 0;
    if (count == 0)
        return 0;
    if (tile->size == 0) /* a view without data: its file ends at once */
        return is_write ? MPI_ERR_ARG : 0;
    within = from % tile->size;
    mover.shift = file->view.displacement + from / tile->size * tile->extent;
    mover.stretch = (tile->extent + tile->size - 1) / tile->size;
    if (mover.stretch < 1)
        mover.stretch = 1;
    mpi_unlock(); /* other threads of the program go on meanwhile */
    mpi_type_runs(tile, (within + count - 1) / tile->size + 1, (uint64_t)within, (uint64_t)count,
                  move_run, &mover);
    free(mover.window);
    mpi_lock();
    file->is_dirty = file->is_dirty || is_write;
    *done = mover.done;
    return mover.err;
}
