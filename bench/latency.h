/* SPDX-License-Identifier: Apache-2.0
 *
 * latency: how long a core waits for a cache line that another has written.
 *
 * Machines vary in this by a factor of ten, and one machine does from hour to
 * hour (which cores a virtual machine got, who else uses them), so every
 * benchmark says it beside its figures.
 */
#ifndef WEFT_BENCH_LATENCY_H
#define WEFT_BENCH_LATENCY_H

#include <stdio.h>

struct latency {
    int cpus[2]; /* the two CPUs that were measured */
    double ns;   /* median, one way; 0 if there is only one CPU */
};

/* Two threads, each on a CPU of its own, throw a cache line back and forth; takes
 * about 50 ms, and at most a second where the CPUs are busy. */
struct latency latency_measure(void);

/* One line for people, and one row for a .jsonl file. */
void latency_print(const struct latency *latency);
void latency_write(const struct latency *latency, FILE *rows);

#endif
