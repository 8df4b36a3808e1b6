/* SPDX-License-Identifier: Apache-2.0
 *
 * For programs that look whether MPI does what it promises, with any number of ranks.
 */
#ifndef WEFT_TESTS_MPI_CHECK_H
#define WEFT_TESTS_MPI_CHECK_H

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "rank %d of %d: %s:%d: %s\n", rank, size, __FILE__, __LINE__, \
                    #condition); \
            MPI_Abort(MPI_COMM_WORLD, 1); \
        } \
    } while (0)

/* It works. */
#define OK(call) CHECK_CLASS(call, MPI_SUCCESS)
/* It is refused, with this class of error. */
#define REFUSED(call, error) CHECK_CLASS(call, error)

#define CHECK_CLASS(call, wanted) \
    do { \
        int check_code = (call), check_class = -1; \
\
        MPI_Error_class(check_code, &check_class); \
        if (check_class != (wanted)) { \
            char check_text[MPI_MAX_ERROR_STRING] = ""; \
            int check_length; \
\
            MPI_Error_string(check_code, check_text, &check_length); \
            fprintf(stderr, "rank %d of %d: %s:%d: %s: class %d (%s), not %d\n", rank, size, \
                    __FILE__, __LINE__, #call, check_class, check_text, (wanted)); \
            MPI_Abort(MPI_COMM_WORLD, 1); \
        } \
    } while (0)

/* Errors are returned from here on. */
static inline void
begin(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
}

/* All have come to the end: one says so. */
static inline int
end(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    if (rank == 0)
        printf("ok\n");
    fflush(stdout);
    MPI_Finalize();
    return 0;
}

#endif
