/* SPDX-License-Identifier: Apache-2.0
 *
 * errhandler: error handlers as objects.
 */
#ifndef WEFT_MPI_ERRHANDLER_H
#define WEFT_MPI_ERRHANDLER_H

#include "core.h"

struct mpi_errhandler {
    MPI_Errhandler handle; /* NULL: freed by the program, still used */
    uint32_t references;
    enum mpi_kind kind; /* of objects that it is for; 0: any */
    /* The program's, for its kind of object: each gets a pointer to a handle, and to the code. */
    void (*function)(void *handle, int *code, ...);
};

/* MPI_ERR_ARG: no error handler, or not for this kind of object. Borrowed. */
int mpi_errhandler_find(MPI_Errhandler handle, enum mpi_kind kind, struct mpi_errhandler **out);
int mpi_errhandler_create(enum mpi_kind kind, void (*function)(void *, int *, ...),
                          MPI_Errhandler *out);
/* Another for an object: *place. */
void mpi_errhandler_set(struct mpi_errhandler **place, struct mpi_errhandler *errhandler);
/* A handle of an object's, with a reference of the program's. MPI_ERR_NO_MEM. */
int mpi_errhandler_export(struct mpi_errhandler *errhandler, MPI_Errhandler *out);
/* MPI_Init. */
void mpi_errhandlers_init(void);

/* The largest code in use: MPI_LASTUSEDCODE. */
extern int mpi_last_used_code;

#endif
