/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: open, close and delete (MPI 3.1, 13.2.1 to 13.2.3), and how members agree.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm.h"
#include "net.h"

#define ACCESS_MODES (MPI_MODE_RDONLY | MPI_MODE_RDWR | MPI_MODE_WRONLY)
#define ALL_MODES \
    (ACCESS_MODES | MPI_MODE_CREATE | MPI_MODE_EXCL | MPI_MODE_DELETE_ON_CLOSE | \
     MPI_MODE_UNIQUE_OPEN | MPI_MODE_SEQUENTIAL | MPI_MODE_APPEND)
#define PERMISSIONS 0666

struct mpi_errhandler *mpi_file_null_errhandler = &mpi_errors_return;

int
mpi_file_find(MPI_File handle, struct mpi_file **out)
{
    struct mpi_file *found = mpi_handle_find(MPI_KIND_FILE, handle);

    if (found == NULL)
        return MPI_ERR_FILE;
    *out = found;
    return 0;
}

int
mpi_file_leave(struct mpi_file *file, const char *name, int err)
{
    struct mpi_errhandler *errhandler = file != NULL ? file->errhandler : mpi_file_null_errhandler;
    MPI_File handle = file != NULL ? file->handle : MPI_FILE_NULL;

    mpi_unlock();
    return mpi_error_of(errhandler, &handle, name, err);
}

/* -------------------------------------------------------------------------- errors */

static const struct {
    int error, error_class;
} classes[] = {
    {ENOENT, MPI_ERR_NO_SUCH_FILE}, {EEXIST, MPI_ERR_FILE_EXISTS},    {EACCES, MPI_ERR_ACCESS},
    {EPERM, MPI_ERR_ACCESS},
#ifdef ENOTCAPABLE
    {ENOTCAPABLE, MPI_ERR_ACCESS},
#endif
    {EROFS, MPI_ERR_READ_ONLY},     {ENOSPC, MPI_ERR_NO_SPACE},       {EFBIG, MPI_ERR_NO_SPACE},
    {EDQUOT, MPI_ERR_QUOTA},        {ENAMETOOLONG, MPI_ERR_BAD_FILE}, {ENOTDIR, MPI_ERR_BAD_FILE},
    {EISDIR, MPI_ERR_BAD_FILE},     {ELOOP, MPI_ERR_BAD_FILE},        {EINVAL, MPI_ERR_BAD_FILE},
    {EBUSY, MPI_ERR_FILE_IN_USE},   {ETXTBSY, MPI_ERR_FILE_IN_USE},   {ENOMEM, MPI_ERR_NO_MEM},
};

int
mpi_file_error(int error)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (classes[i].error == error)
            return classes[i].error_class;
    return MPI_ERR_IO;
}

/* ----------------------------------------------------------------------- agreement */

struct said {
    int64_t err, value, other_value;
};

static int
agree(struct mpi_comm *comm, int err, int64_t value, int64_t other_value)
{
    const struct said mine = {err, value, other_value};
    struct said *all = calloc((size_t)comm->size, sizeof(*all));
    int found = err, failure;

    if (all == NULL)
        return MPI_ERR_NO_MEM;
    failure = mpi_collective_allgather(comm, &mine, all, sizeof(mine));
    for (int i = 0; failure == 0 && found == 0 && i < comm->size; i++)
        found = (int)all[i].err;
    for (int i = 0; failure == 0 && found == 0 && i < comm->size; i++)
        if (all[i].value != value || all[i].other_value != other_value)
            found = MPI_ERR_NOT_SAME;
    free(all);
    return failure != 0 ? failure : found;
}

int
mpi_file_agree(struct mpi_file *file, int err, int64_t value, int64_t other_value)
{
    return agree(file->comm, err, value, other_value);
}

int64_t
mpi_file_pointer_add(struct mpi_file *file, int64_t units)
{
    return (int64_t)mpi_net_change(file->comm->group->members[0],
                                   file->words_address + offsetof(struct mpi_file_words, pointer),
                                   sizeof(uint64_t), MPI_NET_ADD, (uint64_t)units, 0);
}

void
mpi_file_pointer_set(struct mpi_file *file, int64_t to)
{
    (void)mpi_net_change(file->comm->group->members[0],
                         file->words_address + offsetof(struct mpi_file_words, pointer),
                         sizeof(uint64_t), MPI_NET_SET, (uint64_t)to, 0);
}

/* ---------------------------------------------------------------------------- open */

static int
check_amode(int amode)
{
    const int access = amode & ACCESS_MODES;
    const bool is_one =
        access == MPI_MODE_RDONLY || access == MPI_MODE_RDWR || access == MPI_MODE_WRONLY;

    if (!is_one || (amode & ~ALL_MODES) != 0)
        return MPI_ERR_AMODE;
    if (access == MPI_MODE_RDONLY && (amode & (MPI_MODE_CREATE | MPI_MODE_EXCL)) != 0)
        return MPI_ERR_AMODE;
    if (access == MPI_MODE_RDWR && (amode & MPI_MODE_SEQUENTIAL) != 0)
        return MPI_ERR_AMODE;
    return 0;
}

static int
open_one(struct mpi_file *file, int flags)
{
    struct stat status;

    flags |= (file->amode & MPI_MODE_RDONLY) != 0   ? O_RDONLY
             : (file->amode & MPI_MODE_WRONLY) != 0 ? O_WRONLY
                                                    : O_RDWR;
    file->fd = open(file->name, flags | O_CLOEXEC, PERMISSIONS);
    if (file->fd < 0)
        return mpi_file_error(errno);
    if (fstat(file->fd, &status) == 0 && S_ISDIR(status.st_mode))
        return MPI_ERR_BAD_FILE;
    return 0;
}

/* Rank 0 makes it, and the others find it: only one can be the one that makes an exclusive one. */
static int
open_all(struct mpi_file *file)
{
    int flags = (file->amode & MPI_MODE_CREATE) != 0 ? O_CREAT : 0, err = 0;

    if ((file->amode & MPI_MODE_EXCL) != 0)
        flags |= O_EXCL;
    if (file->comm->rank == 0)
        err = open_one(file, flags);
    err = mpi_file_agree(file, err, 0, 0);
    if (err != 0)
        return err;
    if (file->comm->rank != 0)
        err = open_one(file, 0);
    return mpi_file_agree(file, err, 0, 0);
}

static void
destroy(struct mpi_file *file)
{
    if (file->handle != NULL)
        mpi_handle_free(MPI_KIND_FILE, file->handle);
    if (file->fd >= 0)
        (void)close(file->fd);
    mpi_file_view_fini(&file->view);
    mpi_info_destroy(file->info);
    mpi_errhandler_put(file->errhandler);
    mpi_comm_put(file->comm);
    free(file->name);
    free(file);
}

/* What needs memory of this member alone. */
static int
prepare(struct mpi_file *file, const char *name, const struct mpi_info *hints)
{
    file->name = strdup(name);
    file->info = mpi_info_copy(hints);
    file->handle = mpi_handle_make(MPI_KIND_FILE, file);
    if (file->name == NULL || file->handle == NULL || (file->info == NULL && hints != NULL))
        return MPI_ERR_NO_MEM;
    return mpi_file_view_init(&file->view);
}

static int
finish(struct mpi_file *file)
{
    uint64_t address = (uintptr_t)&file->words;
    int64_t end = 0;
    int err = 0;

    if ((file->amode & MPI_MODE_APPEND) != 0)
        err = mpi_file_view_end(file, &end);
    file->position = end;
    file->words.pointer = (uint64_t)end;
    if (mpi_collective_bcast(file->comm, &address, sizeof(address), 0) != 0 && err == 0)
        err = MPI_ERR_OTHER;
    file->words_address = address;
    return mpi_file_agree(file, err, 0, 0); /* nobody writes before all know where it ended */
}

static int
open_file(struct mpi_comm *comm, const struct mpi_file *arguments, const struct mpi_info *hints,
          int err, MPI_File *out)
{
    struct mpi_file *file = calloc(1, sizeof(*file));
    int amode = arguments->amode;

    err = err == 0 && file == NULL ? MPI_ERR_NO_MEM : err;
    err = agree(comm, err, amode, 0);
    if (err != 0) {
        free(file);
        return err;
    }
    file->amode = amode;
    file->fd = -1;
    file->errhandler = mpi_errhandler_get(mpi_file_null_errhandler);
    err = mpi_comm_clone(comm, &file->comm);
    if (err == 0) {
        err = mpi_file_agree(file, prepare(file, arguments->name, hints), 0, 0);
        err = err == 0 ? open_all(file) : err;
        err = err == 0 ? finish(file) : err;
    }
    if (err != 0)
        destroy(file);
    else
        *out = file->handle;
    return err;
}

int
PMPI_File_open(MPI_Comm comm, const char *filename, int amode, MPI_Info info, MPI_File *fh)
{
    const struct mpi_file arguments = {.name = (char *)(uintptr_t)filename, .amode = amode};
    struct mpi_comm *c = NULL;
    struct mpi_info *hints = NULL;
    int err, own = 0;

    mpi_lock();
    err = mpi_comm_find(comm, &c);
    if (err == 0 && c->remote != NULL)
        err = MPI_ERR_COMM;
    if (err == 0 && fh == NULL)
        err = MPI_ERR_ARG;
    if (err == 0) {
        own = filename != NULL && filename[0] != '\0' ? check_amode(amode) : MPI_ERR_BAD_FILE;
        if (own == 0)
            own = mpi_info_find(info, &hints);
        err = open_file(c, &arguments, hints, own, fh);
    }
    return mpi_file_leave(NULL, "MPI_File_open", err);
}
MPI_NAMES(File_open);

/* --------------------------------------------------------------------------- close */

int
mpi_file_flush(struct mpi_file *file)
{
    int fd = file->fd, error = 0;

    if (!file->is_dirty)
        return 0;
    file->is_dirty = false; /* what another thread writes from here on is for the next time */
    mpi_unlock();
    if (fsync(fd) != 0)
        error = errno;
    mpi_lock();
    if (error == 0 || error == EINVAL || error == ENOTSUP)
        return 0;
    file->is_dirty = true;
    return mpi_file_error(error);
}

/* Rank 0 has the words, so it stays until all came; whoever deletes it is the last to need it. */
static int
close_file(struct mpi_file *file)
{
    int err = mpi_file_agree(file, mpi_file_flush(file), 0, 0);

    if ((file->amode & MPI_MODE_DELETE_ON_CLOSE) != 0) {
        int delete_err = 0;

        if (file->comm->rank == 0 && unlink(file->name) != 0)
            delete_err = mpi_file_error(errno);
        delete_err = mpi_file_agree(file, delete_err, 0, 0);
        err = err != 0 ? err : delete_err;
    }
    return err;
}

int
PMPI_File_close(MPI_File *fh)
{
    struct mpi_file *file = NULL;
    struct mpi_errhandler *errhandler = NULL;
    MPI_File handle;
    int err;

    mpi_lock();
    err = fh != NULL ? mpi_file_find(*fh, &file) : MPI_ERR_ARG;
    if (err == 0 && file->split != NULL)
        err = MPI_ERR_OTHER;
    if (err != 0)
        return mpi_file_leave(file, "MPI_File_close", err);
    handle = file->handle;
    errhandler = mpi_errhandler_get(file->errhandler);
    err = close_file(file);
    destroy(file);
    *fh = MPI_FILE_NULL;
    mpi_unlock();
    err = mpi_error_of(errhandler, &handle, "MPI_File_close", err);
    mpi_lock();
    mpi_errhandler_put(errhandler);
    mpi_unlock();
    return err;
}
MPI_NAMES(File_close);

int
PMPI_File_delete(const char *filename, MPI_Info info)
{
    struct mpi_info *hints;
    int err;

    mpi_lock();
    err = mpi_is_running() ? mpi_info_find(info, &hints) : MPI_ERR_OTHER;
    if (err == 0 && (filename == NULL || filename[0] == '\0'))
        err = MPI_ERR_BAD_FILE;
    if (err == 0 && unlink(filename) != 0)
        err = mpi_file_error(errno);
    return mpi_file_leave(NULL, "MPI_File_delete", err);
}
MPI_NAMES(File_delete);
