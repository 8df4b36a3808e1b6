/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes (MPI 3.1, 13.4): what all of them have in common.
 *
 * Collective ones write and read their own runs, without a word to the others. Two phases, in which
 * members first send each other what lies together in the file, pay where calls of a distant file
 * system are dear and links between members are cheap; here the file is of the same machine or is
 * fetched as a whole, a call costs about what a message does, and every byte would be copied twice
 * more. So a member that is late holds nobody up.
 *
 * Non-blocking ones are complete when they return, as reads and writes of files are to the kernel
 * below; what fails is said at once.
 */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "net.h"
#include "schedule.h"

#define CHUNK_BYTES (1024 * 1024) /* that are packed at once */

/* One access: its arguments, and what became of them. */
struct job {
    const struct mpi_file_access *access;
    struct mpi_file *file;
    struct mpi_type *type; /* a reference */
    int64_t file_bytes;    /* that it is in the file */
    int64_t units;         /* etypes that it is */
    int64_t from;          /* etype where it begins */
    int64_t done;          /* bytes in memory: what the status says */
};

/* --------------------------------------------------------------------------- check */

static int
check_mode(const struct mpi_file *file, const struct mpi_file_access *access)
{
    const bool is_sequential = (file->amode & MPI_MODE_SEQUENTIAL) != 0;

    if (access->is_write && (file->amode & MPI_MODE_RDONLY) != 0)
        return MPI_ERR_READ_ONLY;
    if (!access->is_write && (file->amode & MPI_MODE_WRONLY) != 0)
        return MPI_ERR_ACCESS;
    if (is_sequential && (access->place == MPI_FILE_AT || access->place == MPI_FILE_INDIVIDUAL))
        return MPI_ERR_UNSUPPORTED_OPERATION;
    return access->place == MPI_FILE_AT && access->offset < 0 ? MPI_ERR_ARG : 0;
}

static int
measure(struct job *job)
{
    const struct mpi_file_view *view = &job->file->view;
    int64_t each = mpi_datarep_bytes(view->datarep, job->type);

    if (each < 0)
        return MPI_ERR_CONVERSION;
    if (__builtin_mul_overflow(each, (int64_t)job->access->count, &job->file_bytes))
        return MPI_ERR_COUNT;
    if (!mpi_datarep_converts(view->datarep, job->access->is_write) && each != job->type->size)
        return MPI_ERR_CONVERSION;         /* a representation that only knows the other way */
    if (job->file_bytes % view->unit != 0) /* 13.3: whole etypes */
        return MPI_ERR_ARG;
    job->units = job->file_bytes / view->unit;
    return 0;
}

/* Nothing is changed by one that is refused. */
static int
prepare(struct job *job)
{
    struct mpi_type *type;
    int err = check_mode(job->file, job->access);

    if (err == 0)
        err = mpi_type_use(job->access->datatype, job->access->count, &type);
    if (err != 0)
        return err;
    job->type = mpi_type_get(type);
    return measure(job);
}

/* --------------------------------------------------------------------------- place */

/* One message to all and one from rank 0, who moves the pointer once for all: in the order of
 * ranks, and behind whatever was there. A member whose access was refused takes part with nothing.
 */
static int
take_turn(struct job *job, int err)
{
    struct mpi_comm *comm = job->file->comm;
    int64_t mine = err == 0 ? job->units : 0, before = 0, total = 0, base = 0;
    int64_t *all = calloc((size_t)comm->size, sizeof(*all));

    if (all == NULL)
        return MPI_ERR_NO_MEM;
    if (mpi_collective_allgather(comm, &mine, all, sizeof(mine)) != 0)
        err = MPI_ERR_OTHER;
    for (int rank = 0; rank < comm->size; rank++) {
        before += rank < comm->rank ? all[rank] : 0;
        total += all[rank];
    }
    free(all);
    if (comm->rank == 0)
        base = mpi_file_pointer_add(job->file, total);
    if (mpi_collective_bcast(comm, &base, sizeof(base), 0) != 0)
        err = MPI_ERR_OTHER;
    job->from = base + before;
    return err;
}

/* Pointers go on by what was asked for, also where the file ends before (13.4.3). */
static int
place(struct job *job, int err)
{
    struct mpi_file *file = job->file;

    if (job->access->place == MPI_FILE_ORDERED)
        return take_turn(job, err);
    if (err != 0)
        return err;
    if (job->access->place == MPI_FILE_AT) {
        job->from = job->access->offset;
    } else if (job->access->place == MPI_FILE_SHARED) {
        job->from = mpi_file_pointer_add(file, job->units);
    } else {
        job->from = file->position;
        file->position += job->units;
    }
    return 0;
}

/* ---------------------------------------------------------------------------- move */

static uint64_t
lock_word(const struct mpi_file *file)
{
    return file->words_address + offsetof(struct mpi_file_words, lock);
}

/* Atomic mode: others may read meanwhile, but not write what is read. */
static void
hold(const struct job *job)
{
    const struct mpi_file *file = job->file;

    if (file->is_atomic)
        mpi_turn_take(file->comm->group->members[0], lock_word(file), job->access->is_write,
                      job->access->name);
}

static void
release(const struct job *job)
{
    const struct mpi_file *file = job->file;

    if (file->is_atomic)
        mpi_turn_give(file->comm->group->members[0], lock_word(file), job->access->is_write);
}

/* One run in memory, or by way of a buffer. */
static int
move_packed(struct job *job, void *bytes, int64_t at, int64_t count, int64_t *done)
{
    return mpi_file_move(job->file, job->access->is_write, job->from * job->file->view.unit + at,
                         bytes, count, done);
}

static int
move_chunks(struct job *job)
{
    const struct mpi_file_access *access = job->access;
    int64_t room = job->file_bytes < CHUNK_BYTES ? job->file_bytes : CHUNK_BYTES, got = room;
    char *chunk = malloc((size_t)room);
    int err = chunk != NULL ? 0 : MPI_ERR_NO_MEM;

    while (err == 0 && job->done < job->file_bytes && got == room) {
        if (room > job->file_bytes - job->done)
            room = job->file_bytes - job->done;
        if (access->is_write)
            mpi_type_pack(job->type, access->buffer, access->count, (uint64_t)job->done, chunk,
                          (uint64_t)room);
        err = move_packed(job, chunk, job->done, room, &got);
        if (!access->is_write && got > 0)
            mpi_type_unpack(job->type, access->buffer, access->count, (uint64_t)job->done, chunk,
                            (uint64_t)got);
        job->done += got;
    }
    free(chunk);
    return err;
}

static int
move_native(struct job *job)
{
    void *run = mpi_type_run(job->type, job->access->buffer, job->access->count);
    int err;

    hold(job);
    err = run != NULL ? move_packed(job, run, 0, job->file_bytes, &job->done) : move_chunks(job);
    release(job);
    return err;
}

/* The program's functions are not called while others wait for the file. */
static int
move_converted(struct job *job)
{
    const struct mpi_file_access *access = job->access;
    const struct mpi_datarep *datarep = job->file->view.datarep;
    void *bytes = (uint64_t)job->file_bytes <= SIZE_MAX ? malloc((size_t)job->file_bytes) : NULL;
    int64_t got = 0;
    int err = bytes != NULL ? 0 : MPI_ERR_NO_MEM;

    if (err == 0 && access->is_write)
        err = mpi_datarep_write(datarep, job->type, access->buffer, access->count, bytes);
    if (err == 0) {
        hold(job);
        err = move_packed(job, bytes, 0, job->file_bytes, &got);
        release(job);
    }
    if (err == 0 && !access->is_write)
        err = mpi_datarep_read(datarep, job->type, access->buffer, access->count, bytes, got);
    job->done = mpi_datarep_native(datarep, job->type, access->count, got);
    free(bytes);
    return err;
}

static int
run(struct job *job)
{
    int err = place(job, prepare(job));

    if (err == 0 && job->file_bytes > 0)
        err = mpi_datarep_converts(job->file->view.datarep, job->access->is_write)
                  ? move_converted(job)
                  : move_native(job);
    mpi_type_put(job->type);
    return err;
}

/* --------------------------------------------------------------------------- forms */

int
mpi_file_access(const struct mpi_file_access *access, MPI_Status *status)
{
    struct job job = {.access = access};
    int err;

    mpi_lock();
    err = mpi_file_find(access->file, &job.file);
    if (err == 0)
        err = run(&job);
    if (err == 0 && status != MPI_STATUS_IGNORE)
        mpi_status_set(status, MPI_ANY_SOURCE, MPI_ANY_TAG, job.done, false);
    return mpi_file_leave(job.file, access->name, err);
}

static void
request_destroy(struct mpi_request *request)
{
    free(request);
}

static const struct mpi_request_ops request_ops = {.destroy = request_destroy};

static int
start(struct job *job, MPI_Request *out)
{
    struct mpi_request *request = calloc(1, sizeof(*request));
    int err = request != NULL ? 0 : MPI_ERR_NO_MEM;

    if (err == 0)
        err = mpi_request_export(request, out);
    if (err != 0) {
        free(request);
        return err;
    }
    *request = (struct mpi_request){.ops = &request_ops,
                                    .handle = request->handle,
                                    .what = job->access->name,
                                    .is_complete = true,
                                    .is_active = true,
                                    .source = MPI_ANY_SOURCE,
                                    .tag = MPI_ANY_TAG};
    err = run(job);
    request->bytes = job->done;
    if (err != 0) {
        mpi_handle_free(MPI_KIND_REQUEST, request->handle);
        free(request);
        *out = MPI_REQUEST_NULL;
    }
    return err;
}

int
mpi_file_access_start(const struct mpi_file_access *access, MPI_Request *request)
{
    struct job job = {.access = access};
    int err;

    mpi_lock();
    err = mpi_file_find(access->file, &job.file);
    if (err == 0)
        err = request != NULL ? start(&job, request) : MPI_ERR_ARG;
    return mpi_file_leave(job.file, access->name, err);
}

int
mpi_file_access_begin(const struct mpi_file_access *access)
{
    struct job job = {.access = access};
    int err;

    mpi_lock();
    err = mpi_file_find(access->file, &job.file);
    if (err == 0 && job.file->split != NULL)
        err = MPI_ERR_OTHER; /* 13.4.5: one at a time */
    if (err == 0) {
        err = run(&job);
        if (err == 0) {
            job.file->split = access->name;
            job.file->split_bytes = job.done;
        }
    }
    return mpi_file_leave(job.file, access->name, err);
}

int
mpi_file_access_end(MPI_File handle, const char *name, const char *begun, MPI_Status *status)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(handle, &file);
    if (err == 0 && (file->split == NULL || strcmp(file->split, begun) != 0))
        err = MPI_ERR_OTHER;
    if (err == 0) {
        file->split = NULL;
        if (status != MPI_STATUS_IGNORE)
            mpi_status_set(status, MPI_ANY_SOURCE, MPI_ANY_TAG, file->split_bytes, false);
    }
    return mpi_file_leave(file, name, err);
}
