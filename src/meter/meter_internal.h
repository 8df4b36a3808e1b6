/* SPDX-License-Identifier: Apache-2.0
 *
 * meter, inside. Sums that are not in the store yet are in a table, to which calls are added,
 * or in a batch, which is being written: one at a time, and none new before it is known what
 * became of the last one.
 *
 * What was written is a sum of what was there before, so a commit has the versions of what
 * was read as conditions. Where its outcome is not known (the answer was lost), it is looked
 * up: a record that still has the version that was read says that it did not happen, and one
 * that names this meter and this commit that it did. Where others have changed all of them
 * since, nobody knows; the batch is then dropped, for nothing is to be counted twice.
 */
#ifndef WEFT_METER_METER_INTERNAL_H
#define WEFT_METER_METER_INTERNAL_H

#include <pthread.h>

#include "meter/meter.h"
#include "meter/usage.pb-c.h"

#define METER_TABLE      "usage"
#define METER_BUCKETS    4096u
#define METER_SUMS_MAX   262144u /* that are not written; what comes beyond is not counted */
#define METER_BATCH_MAX  256u
#define METER_NAME_MAX   63u
#define METER_DAY_DIGITS 8u
#define METER_KEY_MAX    (2 * METER_NAME_MAX + METER_DAY_DIGITS + 2)
#define METER_TRIES_MAX  8u /* of one commit, where others write the same records */
#define METER_WRITE_NS   UINT64_C(1000000000)

struct sum {
    struct sum *next; /* of the bucket */
    char tenant[METER_NAME_MAX + 1], function[METER_NAME_MAX + 1];
    struct meter_usage usage; /* its names point into this sum */
};

struct batch {
    struct sum *sums[METER_BATCH_MAX];  /* owned */
    uint64_t versions[METER_BATCH_MAX]; /* that were read; 0: there was none */
    size_t count;
    uint64_t commit;
    bool is_in_doubt;
};

struct meter {
    struct store *store;
    uint64_t writer; /* of this life */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of the table */
    pthread_cond_t change;
    bool is_ending;
    struct sum *table[METER_BUCKETS];
    uint32_t sum_count, cursor;

    /* Held over a commit, and while usage is listed: what is listed is either in the store or
     * in here. Before `lock`. */
    pthread_mutex_t writing;
    struct batch batch;
};

/* Adds one to the other; names and day stay. */
void meter_usage_add(struct meter_usage *to, const struct meter_usage *from);
/* In order of tenant, day and function. */
int meter_usage_compare(const struct meter_usage *one, const struct meter_usage *other);
/* The day of a moment of CLOCK_REALTIME: 20261123. */
uint32_t meter_day(uint64_t real_ns);

/* With `writing`. Writes all there is. On failure what is left stays; its outcome may be in
 * doubt. */
int meter_write(struct meter *meter, struct diag *diag) MUST_CHECK;
/* Reads a record's value. -EBADMSG. */
int meter_read(const void *bytes, size_t count, struct meter_usage *usage, uint64_t *writer,
               uint64_t *commit) MUST_CHECK;

#endif
