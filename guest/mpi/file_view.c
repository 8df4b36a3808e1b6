/* SPDX-License-Identifier: Apache-2.0
 *
 * Views (MPI 3.1, 13.3) and pointers (13.4.3, 13.4.4). A view makes of a file a stream: the data of
 * its filetype, which is laid over the file again and again from the displacement on. Positions in
 * it are found by the size of the filetype, so that none costs more the further it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "type_internal.h"

int
mpi_file_view_init(struct mpi_file_view *view)
{
    struct mpi_type *bytes;
    int err = mpi_type_find(MPI_BYTE, &bytes);

    if (err != 0)
        return err;
    *view = (struct mpi_file_view){.etype = mpi_type_get(bytes),
                                   .filetype = mpi_type_get(bytes),
                                   .tile = mpi_type_get(bytes),
                                   .unit = 1,
                                   .datarep = mpi_datarep_find("native")};
    return 0;
}

void
mpi_file_view_fini(struct mpi_file_view *view)
{
    mpi_type_put(view->etype);
    mpi_type_put(view->filetype);
    mpi_type_put(view->tile);
}

/* ------------------------------------------------------------------------ where it is */

static bool
take_first(void *context, int64_t offset, uint64_t bytes)
{
    (void)bytes;
    *(int64_t *)context = offset;
    return false;
}

int64_t
mpi_file_view_offset(const struct mpi_file_view *view, int64_t byte)
{
    const struct mpi_type *tile = view->tile;
    int64_t within = 0;

    if (tile->size == 0)
        return view->displacement;
    mpi_type_runs(tile, 1, (uint64_t)(byte % tile->size), 1, take_first, &within);
    return view->displacement + byte / tile->size * tile->extent + within;
}

struct before {
    int64_t end, bytes;
};

static bool
count_before(void *context, int64_t offset, uint64_t bytes)
{
    struct before *before = context;
    int64_t room = before->end - offset;

    if (room <= 0)
        return false;
    before->bytes += room < (int64_t)bytes ? room : (int64_t)bytes;
    return room > (int64_t)bytes;
}

int
mpi_file_view_end(const struct mpi_file *file, int64_t *units)
{
    const struct mpi_file_view *view = &file->view;
    const struct mpi_type *tile = view->tile;
    struct before before = {0};
    struct stat status;
    int64_t whole;

    if (fstat(file->fd, &status) != 0)
        return mpi_file_error(errno);
    *units = 0;
    if (status.st_size <= view->displacement || tile->size == 0)
        return 0;
    whole = (status.st_size - view->displacement) / tile->extent;
    before.end = (status.st_size - view->displacement) % tile->extent;
    mpi_type_runs(tile, 1, 0, (uint64_t)tile->size, count_before, &before);
    *units = (whole * tile->size + before.bytes + view->unit - 1) / view->unit;
    return 0;
}

/* ---------------------------------------------------------------------------- set */

struct order {
    int64_t start, end; /* of the last run */
    bool may_overlap, is_broken;
};

static bool
check_run(void *context, int64_t offset, uint64_t bytes)
{
    struct order *order = context;

    order->is_broken = offset < (order->may_overlap ? order->start : order->end);
    order->start = offset;
    order->end = offset + (int64_t)bytes;
    return !order->is_broken;
}

/* 13.3: displacements are not negative and do not go back; a byte is there twice only in a file
 * that is not written. MPI_ERR_IO is what other libraries say of it. */
static int
check_tile(const struct mpi_file *file, const struct mpi_file_view *view)
{
    const struct mpi_type *tile = view->tile;
    struct order order = {.may_overlap = (file->amode & MPI_MODE_RDONLY) != 0};

    if (view->unit <= 0 || tile->size % view->unit != 0 || (tile->size > 0 && tile->extent <= 0))
        return MPI_ERR_ARG;
    if (tile->size > 0)
        mpi_type_runs(tile, 1, 0, (uint64_t)tile->size, check_run, &order);
    return order.is_broken ? MPI_ERR_IO : 0;
}

static int
make_view(MPI_Datatype etype, MPI_Datatype filetype, const char *datarep,
          struct mpi_file_view *view)
{
    int err;

    view->datarep = datarep != NULL ? mpi_datarep_find(datarep) : NULL;
    if (view->datarep == NULL)
        return MPI_ERR_UNSUPPORTED_DATAREP;
    err = mpi_type_use(etype, 1, &view->etype);
    if (err == 0)
        (void)mpi_type_get(view->etype);
    else
        view->etype = NULL;
    if (err == 0)
        err = mpi_type_use(filetype, 1, &view->filetype);
    if (err != 0) {
        view->filetype = NULL;
        return err;
    }
    (void)mpi_type_get(view->filetype);
    view->unit = mpi_datarep_bytes(view->datarep, view->etype);
    if (view->unit < 0)
        return MPI_ERR_CONVERSION;
    err = mpi_datarep_type(view->datarep, view->filetype, &view->tile);
    return err;
}

static int
check_displacement(const struct mpi_file *file, MPI_Offset displacement)
{
    if ((file->amode & MPI_MODE_SEQUENTIAL) != 0)
        return displacement == MPI_DISPLACEMENT_CURRENT ? 0 : MPI_ERR_ARG;
    return displacement >= 0 ? 0 : MPI_ERR_ARG;
}

/* All have ended what they did with the old view before, and see the new one's pointer after. */
static int
change_view(struct mpi_file *file, struct mpi_file_view *view, int err)
{
    int64_t at = 0;

    err = mpi_file_agree(file, err, view->unit,
                         view->datarep != NULL ? mpi_datarep_number(view->datarep) : 0);
    if (err != 0)
        return err;
    if (view->displacement == MPI_DISPLACEMENT_CURRENT) {
        at = mpi_file_pointer_add(file, 0) * file->view.unit;
        view->displacement = mpi_file_view_offset(&file->view, at);
        err = mpi_file_agree(file, 0, 0, 0); /* all have read it */
    }
    if (err == 0 && file->comm->rank == 0)
        mpi_file_pointer_set(file, 0);
    return err == 0 ? mpi_file_agree(file, 0, 0, 0) : err;
}

static int
take_hints(const struct mpi_info *hints, struct mpi_info **out)
{
    *out = mpi_info_copy(hints);
    return *out != NULL || hints == NULL ? 0 : MPI_ERR_NO_MEM;
}

static int
set_view(struct mpi_file *file, struct mpi_file_view *view, int err, const struct mpi_info *hints)
{
    struct mpi_file_view old = file->view;
    struct mpi_info *copy = NULL;

    if (err == 0)
        err = take_hints(hints, &copy);
    err = change_view(file, view, err);
    if (err != 0) {
        mpi_info_destroy(copy);
        mpi_file_view_fini(view);
        return err;
    }
    if (copy != NULL) {
        mpi_info_destroy(file->info);
        file->info = copy;
    }
    file->view = *view;
    file->position = 0;
    mpi_file_view_fini(&old);
    return 0;
}

int
PMPI_File_set_view(MPI_File fh, MPI_Offset disp, MPI_Datatype etype, MPI_Datatype filetype,
                   const char *datarep, MPI_Info info)
{
    struct mpi_file *file = NULL;
    struct mpi_file_view view = {.displacement = disp};
    struct mpi_info *hints = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err != 0)
        return mpi_file_leave(NULL, "MPI_File_set_view", err);
    err = check_displacement(file, disp);
    if (err == 0)
        err = mpi_info_find(info, &hints);
    if (err == 0)
        err = make_view(etype, filetype, datarep, &view);
    if (err == 0)
        err = check_tile(file, &view);
    err = set_view(file, &view, err, hints);
    return mpi_file_leave(file, "MPI_File_set_view", err);
}
MPI_NAMES(File_set_view);

/* The program frees what it is given, unless it is predefined. */
static int
give_type(struct mpi_type *type, MPI_Datatype *out)
{
    struct mpi_type *clone;

    if (type->is_predefined) {
        *out = type->handle;
        return 0;
    }
    clone = mpi_type_clone(type);
    return clone != NULL ? mpi_type_handle(clone, out) : MPI_ERR_NO_MEM;
}

int
PMPI_File_get_view(MPI_File fh, MPI_Offset *disp, MPI_Datatype *etype, MPI_Datatype *filetype,
                   char *datarep)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0 && (disp == NULL || etype == NULL || filetype == NULL || datarep == NULL))
        err = MPI_ERR_ARG;
    if (err == 0)
        err = give_type(file->view.etype, etype);
    if (err == 0)
        err = give_type(file->view.filetype, filetype);
    if (err == 0) {
        *disp = file->view.displacement;
        (void)strncpy(datarep, mpi_datarep_name(file->view.datarep), MPI_MAX_DATAREP_STRING);
    }
    return mpi_file_leave(file, "MPI_File_get_view", err);
}
MPI_NAMES(File_get_view);

int
PMPI_File_get_type_extent(MPI_File fh, MPI_Datatype datatype, MPI_Aint *extent)
{
    struct mpi_file *file = NULL;
    struct mpi_type *type, *in_file;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0 && extent == NULL)
        err = MPI_ERR_ARG;
    if (err == 0)
        err = mpi_type_find(datatype, &type);
    if (err == 0)
        err = mpi_datarep_type(file->view.datarep, type, &in_file);
    if (err == 0) {
        *extent = (MPI_Aint)in_file->extent;
        mpi_type_put(in_file);
    }
    return mpi_file_leave(file, "MPI_File_get_type_extent", err);
}
MPI_NAMES(File_get_type_extent);

/* ------------------------------------------------------------------------- pointers */

/* A file with pointers of that kind, which is asked for something. */
static int
ask(MPI_File fh, const void *out, bool is_shared, struct mpi_file **file)
{
    int err = mpi_file_find(fh, file);

    if (err == 0 && out == NULL)
        err = MPI_ERR_ARG;
    if (err == 0 && !is_shared && ((*file)->amode & MPI_MODE_SEQUENTIAL) != 0)
        err = MPI_ERR_UNSUPPORTED_OPERATION;
    return err;
}

int
PMPI_File_get_position(MPI_File fh, MPI_Offset *offset)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, offset, false, &file);
    if (err == 0)
        *offset = file->position;
    return mpi_file_leave(file, "MPI_File_get_position", err);
}
MPI_NAMES(File_get_position);

int
PMPI_File_get_position_shared(MPI_File fh, MPI_Offset *offset)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, offset, true, &file);
    if (err == 0)
        *offset = mpi_file_pointer_add(file, 0);
    return mpi_file_leave(file, "MPI_File_get_position_shared", err);
}
MPI_NAMES(File_get_position_shared);

int
PMPI_File_get_byte_offset(MPI_File fh, MPI_Offset offset, MPI_Offset *disp)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, disp, false, &file);
    if (err == 0 && offset < 0)
        err = MPI_ERR_ARG;
    if (err == 0)
        *disp = mpi_file_view_offset(&file->view, offset * file->view.unit);
    return mpi_file_leave(file, "MPI_File_get_byte_offset", err);
}
MPI_NAMES(File_get_byte_offset);

/* Where a seek goes to: not before the beginning. */
static int
target(const struct mpi_file *file, MPI_Offset offset, int whence, int64_t current, int64_t *out)
{
    int64_t from = 0;
    int err = 0;

    if (whence == MPI_SEEK_CUR)
        from = current;
    else if (whence == MPI_SEEK_END)
        err = mpi_file_view_end(file, &from);
    else if (whence != MPI_SEEK_SET)
        err = MPI_ERR_ARG;
    if (err == 0 && (__builtin_add_overflow(from, offset, &from) || from < 0))
        err = MPI_ERR_ARG;
    if (err == 0)
        *out = from;
    return err;
}

int
PMPI_File_seek(MPI_File fh, MPI_Offset offset, int whence)
{
    struct mpi_file *file = NULL;
    int err;

    mpi_lock();
    err = ask(fh, &offset, false, &file);
    if (err == 0)
        err = target(file, offset, whence, file->position, &file->position);
    return mpi_file_leave(file, "MPI_File_seek", err);
}
MPI_NAMES(File_seek);

int
PMPI_File_seek_shared(MPI_File fh, MPI_Offset offset, int whence)
{
    struct mpi_file *file = NULL;
    int64_t to = 0;
    int err;

    mpi_lock();
    err = mpi_file_find(fh, &file);
    if (err == 0)
        err = mpi_file_agree(file, 0, offset, whence);
    if (err == 0) {
        if (file->comm->rank == 0)
            err = target(file, offset, whence, mpi_file_pointer_add(file, 0), &to);
        if (err == 0 && file->comm->rank == 0)
            mpi_file_pointer_set(file, to);
        err = mpi_file_agree(file, err, 0, 0);
    }
    return mpi_file_leave(file, "MPI_File_seek_shared", err);
}
MPI_NAMES(File_seek_shared);
