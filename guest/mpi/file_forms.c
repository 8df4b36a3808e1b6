/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of all reads and writes of files (MPI 3.1, 13.4, table 13.1): blocking, non-blocking
 * and split, at explicit offsets and at both kinds of pointers. Each is the same access with other
 * arguments.
 */
#include "file.h"

#define ACCESS(function, where, writes, at) \
    &(const struct mpi_file_access) \
    { \
        .name = "MPI_" function, .place = (where), .is_write = (writes), .file = fh, \
        .offset = (at), .buffer = (void *)(uintptr_t)buf, .count = count, .datatype = datatype \
    }

#define BLOCKING_AT(name, buffer, writes) \
    int PMPI_##name(MPI_File fh, MPI_Offset offset, buffer buf, int count, MPI_Datatype datatype, \
                    MPI_Status *status) \
    { \
        return mpi_file_access(ACCESS(#name, MPI_FILE_AT, writes, offset), status); \
    } \
    MPI_NAMES(name)

#define STARTING_AT(name, buffer, writes) \
    int PMPI_##name(MPI_File fh, MPI_Offset offset, buffer buf, int count, MPI_Datatype datatype, \
                    MPI_Request *request) \
    { \
        return mpi_file_access_start(ACCESS(#name, MPI_FILE_AT, writes, offset), request); \
    } \
    MPI_NAMES(name)

#define BLOCKING(name, buffer, writes, where) \
    int PMPI_##name(MPI_File fh, buffer buf, int count, MPI_Datatype datatype, MPI_Status *status) \
    { \
        return mpi_file_access(ACCESS(#name, where, writes, 0), status); \
    } \
    MPI_NAMES(name)

#define STARTING(name, buffer, writes, where) \
    int PMPI_##name(MPI_File fh, buffer buf, int count, MPI_Datatype datatype, \
                    MPI_Request *request) \
    { \
        return mpi_file_access_start(ACCESS(#name, where, writes, 0), request); \
    } \
    MPI_NAMES(name)

#define ENDING(name, buffer) \
    int PMPI_##name##_end(MPI_File fh, buffer buf, MPI_Status *status) \
    { \
        (void)buf; \
        return mpi_file_access_end(fh, "MPI_" #name "_end", "MPI_" #name "_begin", status); \
    } \
    MPI_NAMES(name##_end)

#define SPLIT_AT(name, buffer, writes) \
    int PMPI_##name##_begin(MPI_File fh, MPI_Offset offset, buffer buf, int count, \
                            MPI_Datatype datatype) \
    { \
        return mpi_file_access_begin(ACCESS(#name "_begin", MPI_FILE_AT, writes, offset)); \
    } \
    MPI_NAMES(name##_begin); \
    ENDING(name, buffer)

#define SPLIT(name, buffer, writes, where) \
    int PMPI_##name##_begin(MPI_File fh, buffer buf, int count, MPI_Datatype datatype) \
    { \
        return mpi_file_access_begin(ACCESS(#name "_begin", where, writes, 0)); \
    } \
    MPI_NAMES(name##_begin); \
    ENDING(name, buffer)

BLOCKING_AT(File_read_at, void *, false);
BLOCKING_AT(File_read_at_all, void *, false);
STARTING_AT(File_iread_at, void *, false);
STARTING_AT(File_iread_at_all, void *, false);
SPLIT_AT(File_read_at_all, void *, false);

BLOCKING_AT(File_write_at, const void *, true);
BLOCKING_AT(File_write_at_all, const void *, true);
STARTING_AT(File_iwrite_at, const void *, true);
STARTING_AT(File_iwrite_at_all, const void *, true);
SPLIT_AT(File_write_at_all, const void *, true);

BLOCKING(File_read, void *, false, MPI_FILE_INDIVIDUAL);
BLOCKING(File_read_all, void *, false, MPI_FILE_INDIVIDUAL);
STARTING(File_iread, void *, false, MPI_FILE_INDIVIDUAL);
STARTING(File_iread_all, void *, false, MPI_FILE_INDIVIDUAL);
SPLIT(File_read_all, void *, false, MPI_FILE_INDIVIDUAL);

BLOCKING(File_write, const void *, true, MPI_FILE_INDIVIDUAL);
BLOCKING(File_write_all, const void *, true, MPI_FILE_INDIVIDUAL);
STARTING(File_iwrite, const void *, true, MPI_FILE_INDIVIDUAL);
STARTING(File_iwrite_all, const void *, true, MPI_FILE_INDIVIDUAL);
SPLIT(File_write_all, const void *, true, MPI_FILE_INDIVIDUAL);

BLOCKING(File_read_shared, void *, false, MPI_FILE_SHARED);
STARTING(File_iread_shared, void *, false, MPI_FILE_SHARED);
BLOCKING(File_read_ordered, void *, false, MPI_FILE_ORDERED);
SPLIT(File_read_ordered, void *, false, MPI_FILE_ORDERED);

BLOCKING(File_write_shared, const void *, true, MPI_FILE_SHARED);
STARTING(File_iwrite_shared, const void *, true, MPI_FILE_SHARED);
BLOCKING(File_write_ordered, const void *, true, MPI_FILE_ORDERED);
SPLIT(File_write_ordered, const void *, true, MPI_FILE_ORDERED);
