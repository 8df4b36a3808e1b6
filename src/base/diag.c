/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <stdio.h>
#include <string.h>

void
diag_init(struct diag *diag)
{
    diag->is_set = false;
    diag->text[0] = '\0';
}

int
diag_set_va(struct diag *diag, int err, const char *format, va_list args)
{
    if (diag == NULL || diag->is_set)
        return err;
    (void)vsnprintf(diag->text, sizeof(diag->text), format, args);
    diag->is_set = true;
    return err;
}

int
diag_set(struct diag *diag, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)diag_set_va(diag, err, format, args);
    va_end(args);
    return err;
}

void
diag_prefix(struct diag *diag, const char *format, ...)
{
    char prefix[DIAG_TEXT_MAX];
    char text[DIAG_TEXT_MAX];
    va_list args;

    if (diag == NULL || !diag->is_set)
        return;
    va_start(args, format);
    (void)vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    (void)snprintf(text, sizeof(text), "%.500s: %.500s", prefix, diag->text);
    (void)memcpy(diag->text, text, sizeof(text));
}

const char *
diag_text(const struct diag *diag)
{
    return diag != NULL && diag->is_set ? diag->text : "";
}
