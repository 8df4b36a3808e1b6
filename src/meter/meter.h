/* SPDX-License-Identifier: Apache-2.0
 *
 * meter: what each tenant and function has used, a day at a time.
 *
 *   calls that are over -> meter_add -> (a second) -> records of the store -> usage
 *
 * Sums are kept in memory and written about once a second: a crash of the planner loses the
 * last second of them, and never counts anything twice.
 */
#ifndef WEFT_METER_H
#define WEFT_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/macros.h"
#include "planner/planner.h"
#include "store/store.h"

struct meter;

/* Borrows the store; starts a thread that writes. */
int meter_open(struct store *store, struct meter **out, struct diag *diag) MUST_CHECK;
/* Writes the rest. NULL is fine. */
void meter_close(struct meter *meter);

/* Any thread; does not wait. Days are UTC, by the end. */
void meter_add(struct meter *meter, const Ledger__Call *call);

struct meter_usage { /* of one function on one day */
    const char *tenant, *function;
    uint32_t day;           /* 20261123 */
    uint64_t calls, failed; /* failed: ended as anything but DONE */
    uint64_t starts_cold, retries, chained;
    uint64_t cpu_ns, wall_ns, queue_ns;
    uint64_t memory_byte_ms; /* bytes of memory at the end x milliseconds that it ran */
    uint64_t bytes_in, bytes_out;
};
typedef bool (*meter_fn)(void *context, const struct meter_usage *usage);
/* Of a tenant (NULL: of all), from one day to another, both included, in order of tenant, day
 * and function, with what is not written yet. */
int meter_list(struct meter *meter, const char *tenant, uint32_t day_first, uint32_t day_last,
               meter_fn visit, void *context, struct diag *diag) MUST_CHECK;

#endif
