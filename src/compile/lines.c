/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/compile_internal.h"

int
compile_lines_create(struct unit *unit)
{
    unit->lines = NULL;
    return 0;
}

void
compile_lines_destroy(struct unit *unit)
{
    (void)unit;
}

void
compile_lines_open(struct unit *unit, uint32_t function)
{
    (void)unit;
    (void)function;
}

void
compile_lines_place(struct unit *unit, uint32_t position)
{
    (void)unit;
    (void)position;
}

void
compile_lines_close(struct unit *unit)
{
    (void)unit;
}

void
compile_lines_finish(struct unit *unit)
{
    (void)unit;
}
