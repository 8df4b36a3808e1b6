/* SPDX-License-Identifier: Apache-2.0
 *
 * Files as objects (MPI 3.1, 13.2.4 to 13.2.8, 13.6.1, 13.7): sizes, modes, info, atomicity,
 * synchronisation and error handlers.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errhandler.h"
#include "file.h"

/* --------------------------------------------------------------------------- sizes */

/* Whether its size can be set so. */
static int
check_size(const struct mpi_file *file, MPI_Offset size)
{
    if (size < 0)
        return MPI_ERR_ARG;
    if ((file->amode & MPI_MODE_SEQUENTIAL) != 0)
        return MPI_ERR_UNSUPPORTED_OPERATION;
    return (file->amode & MPI_MODE_RDONLY) != 0 ? MPI_ERR_READ_ONLY : 0;
}

static int
truncate_to(struct mpi_file *file, MPI_Offset size)
{
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : mpi_file_error(errno);
}

/* It never becomes shorter. Where room cannot be promised, it is at least so long. */
static int
reserve(struct mpi_file *file, MPI_Offset size)
{
    struct stat status;
    int error;

    if (fstat(file->fd, &status) != 0)
        return mpi_file_error(errno);
    if (size <= status.st_size)
        return 0;
    error = posix_fallocate(file->fd, 0, (off_t)size);
    if (error == EINVAL || error == ENOTSUP || error == EOPNOTSUPP || error == ENOSYS ||
        error == ESPIPE)
        return truncate_to(file, size);
    return error == 0 ? 0 : mpi_file_error(error);
}

/* Done by one; the others wait, so that what they write later is not cut off. */
static int
set_size(MPI_File fh, MPI_Offset size, const char *name,
         int (*set)(struct mpi_file *file, MPI_Offset size))
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0)
        err = mpi_file_agree(file, check_size(file, size), size, 0);
    else
        return mpi_file_leave(NULL, name, err);
    if (err == 0)
        err = mpi_file_agree(file, file->comm->rank == 0 ? set(file, size) : 0, 0, 0);
    return mpi_file_leave(file, name, err);
}

int
PMPI_File_set_size(MPI_File fh, MPI_Offset size)
{
    return set_size(fh, size, "MPI_File_set_size", truncate_to);
}
MPI_NAMES(File_set_size);

int
PMPI_File_preallocate(MPI_File fh, MPI_Offset size)
{
    return set_size(fh, size, "MPI_File_preallocate", reserve);
}
MPI_NAMES(File_preallocate);

/* A file, of whom something is asked for that goes to out. */
static int
ask(MPI_File fh, const void *out, struct mpi_file **file)
{
    int err = mpi_file_find(fh, file);

    return err == 0 && out == NULL ? MPI_ERR_ARG : err;
}

int
PMPI_File_get_size(MPI_File fh, MPI_Offset *size)
{
    struct mpi_file *file = NULL;
    struct stat status;
    int err;

    mpi_lock();
    err = ask(fh, size, &file);
    if (err == 0 && fstat(file->fd, &status) != 0)
        err = mpi_file_error(errno);
    if (err == 0)
        *size = status.st_size;
    return mpi_file_leave(file, "MPI_File_get_size", err);
}
MPI_NAMES(File_get_size);

/* -------------------------------------------------------------------- what it is */

int
PMPI_File_get_group(MPI_File fh, MPI_Group *group)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, group, &file);
    if (err == 0)
        err = mpi_group_export(mpi_group_get(file->comm->group), group);
    return mpi_file_leave(file, "MPI_File_get_group", err);
}
MPI_NAMES(File_get_group);

int
PMPI_File_get_amode(MPI_File fh, int *amode)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, amode, &file);
    if (err == 0)
        *amode = file->amode;
    return mpi_file_leave(file, "MPI_File_get_amode", err);
}
MPI_NAMES(File_get_amode);

int
PMPI_File_set_info(MPI_File fh, MPI_Info info)
{
    struct mpi_file *file = NULL;
    struct mpi_info *hints = NULL, *copy = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err != 0)
        return mpi_file_leave(NULL, "MPI_File_set_info", err);
    err = mpi_info_find(info, &hints);
    if (err == 0 && hints != NULL) {
        copy = mpi_info_copy(hints);
        err = copy != NULL ? 0 : MPI_ERR_NO_MEM;
    }
    err = mpi_file_agree(file, err, 0, 0);
    if (err == 0 && copy != NULL) {
        mpi_info_destroy(file->info);
        file->info = copy;
    } else {
        mpi_info_destroy(copy);
    }
    return mpi_file_leave(file, "MPI_File_set_info", err);
}
MPI_NAMES(File_set_info);

int
PMPI_File_get_info(MPI_File fh, MPI_Info *info_used)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, info_used, &file);
    if (err == 0)
        err = mpi_info_export(file->info, info_used);
    return mpi_file_leave(file, "MPI_File_get_info", err);
}
MPI_NAMES(File_get_info);

/* --------------------------------------------------------------------- consistency */

int
PMPI_File_set_atomicity(MPI_File fh, int flag)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0)
        err = mpi_file_agree(file, 0, flag != 0, 0);
    if (err == 0)
        file->is_atomic = flag != 0;
    return mpi_file_leave(file, "MPI_File_set_atomicity", err);
}
MPI_NAMES(File_set_atomicity);

int
PMPI_File_get_atomicity(MPI_File fh, int *flag)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, flag, &file);
    if (err == 0)
        *flag = file->is_atomic;
    return mpi_file_leave(file, "MPI_File_get_atomicity", err);
}
MPI_NAMES(File_get_atomicity);

int
PMPI_File_sync(MPI_File fh)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0)
        err = mpi_file_agree(file, mpi_file_flush(file), 0, 0);
    return mpi_file_leave(file, "MPI_File_sync", err);
}
MPI_NAMES(File_sync);

/* ------------------------------------------------------------------ error handlers */

/* Where a file's error handler is kept; that of MPI_FILE_NULL is what new files get. */
static int
find_place(MPI_File fh, struct mpi_errhandler ***place)
{
    struct mpi_file *file;
    int err = 0;

    if (fh == MPI_FILE_NULL) {
        *place = &mpi_file_null_errhandler;
        return 0;
    }
    err = mpi_file_find(fh, &file);
    if (err == 0)
        *place = &file->errhandler;
    return err;
}

int
PMPI_File_create_errhandler(MPI_File_errhandler_function *function, MPI_Errhandler *errhandler)
{
    int err;

    mpi_lock();
    err = mpi_errhandler_create(MPI_KIND_FILE, (void (*)(void *, int *, ...))function, errhandler);
    return mpi_file_leave(NULL, "MPI_File_create_errhandler", err);
}
MPI_NAMES(File_create_errhandler);

int
PMPI_File_set_errhandler(MPI_File fh, MPI_Errhandler errhandler)
{
    struct mpi_errhandler **place, *e;
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = find_place(fh, &place);
    (void)mpi_file_find(fh, &file);
    if (err == 0)
        err = mpi_errhandler_find(errhandler, MPI_KIND_FILE, &e);
    if (err == 0)
        mpi_errhandler_set(place, e);
    return mpi_file_leave(file, "MPI_File_set_errhandler", err);
}
MPI_NAMES(File_set_errhandler);

int
PMPI_File_get_errhandler(MPI_File fh, MPI_Errhandler *errhandler)
{
    struct mpi_errhandler **place;
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = find_place(fh, &place);
    (void)mpi_file_find(fh, &file);
    if (err == 0)
        err = errhandler != NULL ? mpi_errhandler_export(*place, errhandler) : MPI_ERR_ARG;
    return mpi_file_leave(file, "MPI_File_get_errhandler", err);
}
MPI_NAMES(File_get_errhandler);

int
PMPI_File_call_errhandler(MPI_File fh, int errorcode)
{
    struct mpi_errhandler **place;
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = find_place(fh, &place);
    if (err != 0)
        return mpi_file_leave(NULL, "MPI_File_call_errhandler", err);
    (void)mpi_file_find(fh, &file);
    (void)mpi_file_leave(file, "MPI_File_call_errhandler", errorcode);
    return MPI_SUCCESS;
}
MPI_NAMES(File_call_errhandler);
