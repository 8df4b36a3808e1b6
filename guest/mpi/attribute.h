/* SPDX-License-Identifier: Apache-2.0
 *
 * attribute: keys of attributes, which the functions of all three kinds of objects make alike.
 */
#ifndef WEFT_MPI_ATTRIBUTE_H
#define WEFT_MPI_ATTRIBUTE_H

#include "core.h"

/* Callbacks of all kinds of objects are called alike: a handle is a pointer. */
typedef int (*mpi_attribute_copy_fn)(void *handle, int keyval, void *extra, void *in, void *out,
                                     int *flag);
typedef int (*mpi_attribute_delete_fn)(void *handle, int keyval, void *value, void *extra);

int mpi_keyval_create(enum mpi_kind kind, mpi_attribute_copy_fn copy,
                      mpi_attribute_delete_fn delete, void *extra, int *keyval);
int mpi_keyval_free(enum mpi_kind kind, int *keyval);

#endif
