/* SPDX-License-Identifier: Apache-2.0
 *
 * clock: monotonic time, for deadlines and measurements.
 */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_SECOND 1000000000u
#define CLOCK_NEVER_NS      UINT64_MAX /* a deadline that never comes */

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_now_ns(void);

#endif
