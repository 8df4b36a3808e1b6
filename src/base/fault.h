/* SPDX-License-Identifier: Apache-2.0
 *
 * fault: named places where a test can make the n-th pass fail.
 *
 * Code writes `err = fault_point("mem.reserve"); if (err != 0) goto ...;`
 * before the real operation. A test arms one name and raises n until the task
 * succeeds, checking after every failure that nothing leaked or changed.
 * Unarmed, a point costs one load.
 */
#ifndef WEFT_BASE_FAULT_H
#define WEFT_BASE_FAULT_H

#include <stdbool.h>

#include "base/macros.h"

/* 0, or the negative errno that is armed for this pass of this name. */
int fault_point(const char *name) MUST_CHECK;

/* The n-th pass (from 1) through points of this name returns err; the others
 * return 0. Replaces what was armed before. The name is borrowed. */
void fault_arm(const char *name, unsigned nth, int err);

/* Disarms, and says whether the armed pass was reached. */
bool fault_disarm(void);

#endif
