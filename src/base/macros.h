/* SPDX-License-Identifier: Apache-2.0
 *
 * macros: the attributes and small helpers every room uses.
 */
#ifndef WEFT_BASE_MACROS_H
#define WEFT_BASE_MACROS_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#define CLEANUP(function) __attribute__((cleanup(function)))
#define NORETURN          __attribute__((noreturn))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Rounds value up to a multiple of unit, a power of two. The caller knows that
 * the result fits. */
#define ROUND_UP(value, unit) (((value) + ((unit) - 1)) & ~((typeof(value))(unit) - 1))

#endif
