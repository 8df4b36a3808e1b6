/* SPDX-License-Identifier: Apache-2.0
 *
 * file: parallel files (MPI 3.1, chapter 13). Each member opens the file itself and reads and
 * writes it where its view says. What members share of an open file, its shared pointer and the
 * lock of atomic mode, are words in the memory of the file's rank 0, which all change there
 * (mpi_net_change): a member that computes is not asked.
 *
 *   file.c         open, close, agreement
 *   file_object.c  sizes, info, modes, error handlers
 *   file_view.c    views, and where in the file they are
 *   file_move.c    bytes of the view's stream, from and to the file
 *   file_access.c  what all reads and writes have in common
 *   file_forms.c   their names
 *   datarep.c      data representations
 */
#ifndef WEFT_MPI_FILE_H
#define WEFT_MPI_FILE_H

#include "message.h"
#include "turn.h"

/* ------------------------------------------------------------- data representations */

struct mpi_datarep; /* lives as long as the program */

const struct mpi_datarep *mpi_datarep_find(const char *name); /* NULL: none of that name */
const char *mpi_datarep_name(const struct mpi_datarep *datarep);
/* The same number for all members that registered theirs in the same order. */
int64_t mpi_datarep_number(const struct mpi_datarep *datarep);
/* Whether bytes in the file are other than in memory. */
bool mpi_datarep_converts(const struct mpi_datarep *datarep, bool is_write);
/* Bytes that one element is in the file; negative: the program's function failed. It is called
 * without the lock. */
int64_t mpi_datarep_bytes(const struct mpi_datarep *datarep, const struct mpi_type *type);
/* What the first file_bytes of count elements are in memory: bytes of whole predefined ones. */
int64_t mpi_datarep_native(const struct mpi_datarep *datarep, const struct mpi_type *type,
                           int64_t count, int64_t file_bytes);
/* Of count elements, where file_bytes are there. MPI_ERR_CONVERSION. */
int mpi_datarep_read(const struct mpi_datarep *datarep, struct mpi_type *type, void *buffer,
                     int64_t count, const void *from, int64_t file_bytes);
int mpi_datarep_write(const struct mpi_datarep *datarep, struct mpi_type *type, const void *buffer,
                      int64_t count, void *to);
/* The type as it lies in the file (13.5.3: extents of portable types are scaled), committed, with a
 * reference: the same one where nothing changes. */
int mpi_datarep_type(const struct mpi_datarep *datarep, struct mpi_type *type,
                     struct mpi_type **out);

/* --------------------------------------------------------------------------- files */

/* Of rank 0; others change them. */
struct mpi_file_words {
    uint64_t pointer; /* shared, in etypes */
    mpi_turn lock;    /* atomic mode: of who reads, together, or writes, alone */
};

struct mpi_file_view {
    int64_t displacement;
    struct mpi_type *etype, *filetype; /* references: the program's */
    struct mpi_type *tile;             /* a reference: filetype, as it lies in the file */
    int64_t unit;                      /* bytes of etype in the file */
    const struct mpi_datarep *datarep;
};

struct mpi_file {
    MPI_File handle;
    struct mpi_comm *comm; /* a clone */
    int amode, fd;
    char *name;
    bool is_atomic;
    bool is_dirty;    /* written since it was synchronised */
    int64_t position; /* individual, in etypes */
    struct mpi_file_view view;
    uint64_t words_address; /* of rank 0's */
    struct mpi_file_words words;
    const char *split; /* the split collective that has begun; or NULL */
    int64_t split_bytes;
    struct mpi_info *info;
    struct mpi_errhandler *errhandler;
};

int mpi_file_find(MPI_File handle, struct mpi_file **out); /* MPI_ERR_FILE */
/* As mpi_leave, with the file's error handler; file NULL: that of MPI_FILE_NULL. */
int mpi_file_leave(struct mpi_file *file, const char *name, int err);
extern struct mpi_errhandler *mpi_file_null_errhandler; /* of MPI_FILE_NULL, and of new files */

int mpi_file_error(int error); /* the class that errno is */
/* What this member wrote goes to the device, where there is one. Without the lock meanwhile. */
int mpi_file_flush(struct mpi_file *file);

/* All call it: err of this member, or that of another, or MPI_ERR_NOT_SAME where values differ.
 * None goes on before all came. */
int mpi_file_agree(struct mpi_file *file, int err, int64_t value, int64_t other_value);

/* Changes or reads the shared pointer: what it was. */
int64_t mpi_file_pointer_add(struct mpi_file *file, int64_t units);
void mpi_file_pointer_set(struct mpi_file *file, int64_t to); /* rank 0 only */

/* Where the view's byte lies in the file. */
int64_t mpi_file_view_offset(const struct mpi_file_view *view, int64_t byte);
/* The view at MPI_File_open: bytes. MPI_ERR_NO_MEM. */
int mpi_file_view_init(struct mpi_file_view *view);
void mpi_file_view_fini(struct mpi_file_view *view);
/* The first etype that begins at or after the end of the file. */
int mpi_file_view_end(const struct mpi_file *file, int64_t *units);

/* Bytes of the stream that a view is, from its byte `from` on, without the lock meanwhile. *done:
 * so many; in reads fewer where the file ends. An error class. */
int mpi_file_move(struct mpi_file *file, bool is_write, int64_t from, void *bytes, int64_t count,
                  int64_t *done);

/* ------------------------------------------------------------------------- accesses */

enum mpi_file_place {
    MPI_FILE_AT,         /* an explicit offset */
    MPI_FILE_INDIVIDUAL, /* each member's pointer */
    MPI_FILE_SHARED,
    MPI_FILE_ORDERED /* the shared pointer, in the order of ranks; collective */
};

struct mpi_file_access {
    const char *name; /* "MPI_File_read_at" */
    enum mpi_file_place place;
    bool is_write;
    MPI_File file;
    MPI_Offset offset; /* AT */
    void *buffer;
    int count;
    MPI_Datatype datatype;
};

/* What the functions of MPI do; each returns what they return. */
int mpi_file_access(const struct mpi_file_access *access, MPI_Status *status);
int mpi_file_access_start(const struct mpi_file_access *access, MPI_Request *request);
int mpi_file_access_begin(const struct mpi_file_access *access);
/* name: that of _end; begun: that of its _begin. */
int mpi_file_access_end(MPI_File handle, const char *name, const char *begun, MPI_Status *status);

#endif
