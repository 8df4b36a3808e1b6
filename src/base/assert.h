/* SPDX-License-Identifier: Apache-2.0
 *
 * assert: promises of our own code. Never used on input.
 */
#ifndef WEFT_BASE_ASSERT_H
#define WEFT_BASE_ASSERT_H

#include "base/macros.h"

/* Prints the broken promise and its place to standard error and aborts. */
NORETURN void assert_failed(const char *expression, const char *file, int line);

/* On in every build. */
#define ASSERT(expression) ((expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

/* Only in builds for testing: for measured hot paths. */
#ifdef WEFT_DEBUG
#define DEBUG_ASSERT(expression) ASSERT(expression)
#else
#define DEBUG_ASSERT(expression) ((void)sizeof(!(expression)))
#endif

#endif
