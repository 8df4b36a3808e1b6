/* SPDX-License-Identifier: Apache-2.0
 *
 * diag: the text for people that goes with an error code.
 *
 * A function that can fail in more than one way takes an optional
 * `struct diag *`. The first report wins: a caller that adds a vaguer sentence
 * later does not hide the precise one. Nothing is written on success.
 */
#ifndef WEFT_BASE_DIAG_H
#define WEFT_BASE_DIAG_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/macros.h"

#define DIAG_TEXT_MAX 1024

struct diag {
    bool is_set;
    char text[DIAG_TEXT_MAX]; /* NUL-terminated, cut where too long */
};

/* Makes the diag empty. */
void diag_init(struct diag *diag);

/* Writes the text unless one is there already. NULL is fine. Returns err, so
 * that `return diag_set(diag, -EINVAL, ...)` reads well. */
int diag_set(struct diag *diag, int err, const char *format, ...) PRINTF_LIKE(3, 4);
int diag_set_va(struct diag *diag, int err, const char *format, va_list args) PRINTF_LIKE(3, 0);

/* Puts "prefix: " before the text that is there; does nothing without one. */
void diag_prefix(struct diag *diag, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text, or "" where none was set. Borrowed. */
const char *diag_text(const struct diag *diag);

#endif
