/* SPDX-License-Identifier: Apache-2.0
 *
 * MrBayes' config.h for the tests, as its configure makes it without SSE and readline.
 */
#ifndef WEFT_TESTS_MPI_MRBAYES_H
#define WEFT_TESTS_MPI_MRBAYES_H

#define PACKAGE_NAME    "MrBayes"
#define PACKAGE_VERSION "3.2.7a"
#define HOST_CPU        "any"
#define MPI_ENABLED     1
#define UNIX_VERSION    1

#endif
