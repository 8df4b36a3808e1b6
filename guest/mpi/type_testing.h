/* SPDX-License-Identifier: Apache-2.0
 *
 * type_testing: for tests of datatypes, which run without the rest of the library.
 */
#ifndef WEFT_MPI_TYPE_TESTING_H
#define WEFT_MPI_TYPE_TESTING_H

#include <stdint.h>

#include "type_internal.h"

/* What the next copy of attributes returns, and the next deletion. */
extern int type_testing_copy_error, type_testing_delete_error;

/* A status of so many bytes. */
MPI_Status type_testing_status(int64_t bytes);

/* Numbers that look random, from a seed: below a limit. */
uint32_t type_testing_random(uint64_t *seed, uint32_t below);

#endif
