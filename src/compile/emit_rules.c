/* SPDX-License-Identifier: Apache-2.0
 *
 * All families of instructions in one index.
 */
#include <pthread.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

#define PREFIX_FIRST 0xfcu
#define PREFIX_COUNT 3u /* 0xfc, 0xfd, 0xfe */
#define NUMBERS_MAX  0x200u

static const struct emit_rule *plain[256];
static const struct emit_rule *prefixed[PREFIX_COUNT][NUMBERS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct emit_rule **
place_of(uint32_t opcode)
{
    uint32_t prefix = opcode >> 16;

    if (prefix == 0)
        return opcode < 256 ? &plain[opcode] : NULL;
    if (prefix < PREFIX_FIRST || prefix >= PREFIX_FIRST + PREFIX_COUNT ||
        (opcode & 0xffff) >= NUMBERS_MAX)
        return NULL;
    return &prefixed[prefix - PREFIX_FIRST][opcode & 0xffff];
}

static void
fill(void)
{
    static const struct emit_rule *const families[] = {
        emit_rules_numeric, emit_rules_memory, emit_rules_variable, emit_rules_table,
        emit_rules_call,    emit_rules_simd,   emit_rules_atomic,
    };

    for (size_t i = 0; i < ARRAY_COUNT(families); i++)
        for (const struct emit_rule *rule = families[i]; rule->emit != NULL; rule++) {
            const struct emit_rule **place = place_of(rule->opcode);

            ASSERT(place != NULL && *place == NULL);
            *place = rule;
        }
}

const struct emit_rule *
emit_rule_find(uint32_t opcode)
{
    const struct emit_rule **place;

    (void)pthread_once(&once, fill);
    place = place_of(opcode);
    return place != NULL ? *place : NULL;
}
