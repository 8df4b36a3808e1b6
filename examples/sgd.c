/* SPDX-License-Identifier: Apache-2.0
 *
 * Logistic regression by HOGWILD: many calls on all hosts change one vector of weights in shared
 * memory, without locks, and then and again send what they changed.
 *
 *     weft deploy examples/sgd.c
 *     weft invoke sgd
 *     weft invoke sgd --arg 20000 --arg 47236 --arg 16 --arg 5
 *
 * Arguments: EXAMPLES FEATURES CALLS EPOCHS SYNC STAGE. SYNC: how many examples a call learns from
 * before it sends what it changed and takes what others have. Often costs time; seldom, calls on
 * different hosts learn the same thing twice. STAGE: "make" the examples, "learn", or both.
 *
 * The examples are made by a seeded generator in the shape of RCV1: 76 of 47,236 features each,
 * some of them much more frequent than others, rows of length 1. They are one sparse matrix of
 * state (weft/objects.h), which all calls of a host map and none copies: each takes its examples
 * from everywhere in it. The same is done by one call alone, in
 * order, and must come to the same accuracy (within two points).
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/objects.h>

#define FILLED    76u /* features of an example */
#define CALLS_MAX 256u
#define SYNC      50u /* examples between two syncs, unless otherwise said */
#define STEP      2.0
#define TOLERATED 0.02

#define KEY_EXAMPLES "sgd/examples"
#define KEY_LABELS   "sgd/labels"
#define KEY_WEIGHTS  "sgd/weights"

struct work { /* input of a call */
    uint32_t first, count, examples, features, sync;
    double step;
};

static void
must(int err, const char *what)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "sgd: %s: %s\n", what, strerror(err));
    exit(1);
}

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------------- generator */

static uint64_t seed = 20;

/* In [0, 1). */
static double
random_unit(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static int
by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Its features: low numbers are frequent ones. No feature twice. */
static void
choose_features(uint32_t *indices, uint32_t features)
{
    for (uint32_t i = 0; i < FILLED; i++) {
        double u = random_unit();

        indices[i] = (uint32_t)(u * u * u * (features - FILLED));
    }
    qsort(indices, FILLED, sizeof(*indices), by_number);
    for (uint32_t i = 1; i < FILLED; i++)
        if (indices[i] <= indices[i - 1])
            indices[i] = indices[i - 1] + 1;
}

/* Elements of length 1, and on which side of the true weights' plane they are; one in twenty
 * says the other. */
static float
make_example(const uint32_t *indices, float *elements, const float *truth)
{
    double length = 0, sum = 0;

    for (uint32_t i = 0; i < FILLED; i++) {
        elements[i] = (float)(0.1 + random_unit());
        length += elements[i] * elements[i];
    }
    length = sqrt(length);
    for (uint32_t i = 0; i < FILLED; i++) {
        elements[i] = (float)(elements[i] / length);
        sum += elements[i] * truth[indices[i]];
    }
    return (sum > 0) != (random_unit() < 0.05) ? 1 : -1;
}

static void *
allocate(size_t count, size_t bytes)
{
    void *all = calloc(count, bytes);

    must(all == NULL ? ENOMEM : 0, "memory for the examples");
    return all;
}

static void
make_examples(uint32_t examples, uint32_t features)
{
    struct weft_sparse_shape shape = {WEFT_CSR, WEFT_FLOAT, examples, features};
    uint32_t *starts = allocate(examples + 1, sizeof(*starts));
    uint32_t *indices = allocate((size_t)examples * FILLED, sizeof(*indices));
    float *elements = allocate((size_t)examples * FILLED, sizeof(*elements));
    float *labels = allocate(examples, sizeof(*labels));
    float *truth = allocate(features, sizeof(*truth));

    for (uint32_t i = 0; i < features; i++)
        truth[i] = (float)(random_unit() - 0.5);
    for (uint32_t i = 0; i < examples; i++) {
        size_t at = (size_t)i * FILLED;

        starts[i + 1] = (i + 1) * FILLED;
        choose_features(indices + at, features);
        labels[i] = make_example(indices + at, elements + at, truth);
    }
    must(weft_sparse_store(KEY_EXAMPLES, &shape, starts, indices, elements), "storing examples");
    must(weft_array_publish(KEY_LABELS, WEFT_FLOAT, labels, examples), "storing labels");
    free(starts);
    free(indices);
    free(elements);
    free(labels);
    free(truth);
}

/* -------------------------------------------------------------------------- learning */

struct data {
    struct weft_sparse examples;
    struct weft_array labels;
};

static void
open_data(struct data *data)
{
    must(weft_sparse_open(&data->examples, KEY_EXAMPLES, 0), "opening examples");
    must(weft_array_open(&data->labels, KEY_LABELS, WEFT_FLOAT, 0, WEFT_FIXED), "opening labels");
}

static void
close_data(struct data *data)
{
    weft_sparse_close(&data->examples);
    weft_array_close(&data->labels);
}

static double
margin(const struct data *data, uint32_t example, const double *weights)
{
    const uint32_t *indices;
    const void *elements;
    uint32_t count = weft_sparse_line(&data->examples, example, &indices, &elements);
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += weft_hogwild_get(&weights[indices[i]]) * ((const float *)elements)[i];
    return sum;
}

static void
learn(const struct data *data, uint32_t example, double *weights, double step)
{
    double label = ((const float *)data->labels.items)[example];
    double slope = step * label / (1 + exp(label * margin(data, example, weights)));
    const uint32_t *indices;
    const void *elements;
    uint32_t count = weft_sparse_line(&data->examples, example, &indices, &elements);

    for (uint32_t i = 0; i < count; i++)
        weft_hogwild_add(&weights[indices[i]], slope * ((const float *)elements)[i]);
}

static double
accuracy(const struct data *data, uint32_t examples, const double *weights)
{
    const float *labels = data->labels.items;
    uint32_t right = 0;

    for (uint32_t i = 0; i < examples; i++)
        right += (margin(data, i, weights) > 0) == (labels[i] > 0);
    return (double)right / examples;
}

/* Every example once: a prime that has nothing in common with how many there are. */
static uint32_t
shuffle(uint32_t number, uint32_t examples)
{
    return (uint32_t)(number * UINT64_C(4294967291) % examples);
}

/* A call: its part of the examples, once. */
static void
work(void)
{
    struct weft_array weights;
    struct data data;
    struct work own;
    uint32_t done = 0;

    must(weft_input_read(0, &own, sizeof(own), &done), "input");
    open_data(&data);
    must(weft_hogwild_open(&weights, KEY_WEIGHTS, WEFT_DOUBLE, own.features), "weights");
    must(weft_array_pull(&weights), "pull");
    for (uint32_t i = 0; i < own.count; i++) {
        learn(&data, shuffle(own.first + i, own.examples), weights.items, own.step);
        if (i % own.sync == own.sync - 1)
            must(weft_hogwild_sync(&weights), "sync");
    }
    must(weft_hogwild_sync(&weights), "sync");
    weft_array_close(&weights);
    close_data(&data);
}

/* ------------------------------------------------------------------------- comparing */

struct job {
    uint32_t examples, features, calls, epochs, sync;
};

static double
step_of(uint32_t epoch)
{
    return STEP / (1 + epoch);
}

struct outcome {
    double accuracy, seconds;
};

static struct outcome
learn_alone(const struct job *job)
{
    double *weights = allocate(job->features, sizeof(*weights)), begun = now_s();
    struct outcome found;
    struct data data;

    open_data(&data);
    for (uint32_t epoch = 0; epoch < job->epochs; epoch++)
        for (uint32_t i = 0; i < job->examples; i++)
            learn(&data, shuffle(i, job->examples), weights, step_of(epoch));
    found.seconds = now_s() - begun;
    found.accuracy = accuracy(&data, job->examples, weights);
    close_data(&data);
    free(weights);
    return found;
}

static void
run_epoch(const struct job *job, uint32_t epoch)
{
    static weft_handle calls[CALLS_MAX];
    static struct weft_end ends[CALLS_MAX];
    char function[128];
    uint32_t length = 0, done = 0;

    must(weft_identity(WEFT_FUNCTION, function, sizeof(function) - 8, &length), "name");
    memcpy(function + length, ":latest", 8);
    for (uint32_t i = 0; i < job->calls; i++) {
        uint32_t first = (uint32_t)((uint64_t)job->examples * i / job->calls);
        uint32_t end = (uint32_t)((uint64_t)job->examples * (i + 1) / job->calls);
        struct work own = {
            .first = first,
            .count = end - first,
            .examples = job->examples,
            .features = job->features,
            .sync = job->sync,
            .step = step_of(epoch),
        };

        must(weft_chain(function, &own, sizeof(own), 0, 0, &calls[i]), "chain");
    }
    must(weft_await_all(calls, job->calls, WEFT_FOR_EVER, ends, &done), "await");
    for (uint32_t i = 0; i < job->calls; i++) {
        must(ends[i].status == WEFT_DONE ? 0 : EIO, "a call");
        must(weft_forget(calls[i]), "forget");
    }
}

static struct outcome
learn_together(const struct job *job)
{
    struct weft_array weights;
    struct outcome found;
    double begun = now_s();
    struct data data;

    for (uint32_t epoch = 0; epoch < job->epochs; epoch++)
        run_epoch(job, epoch);
    found.seconds = now_s() - begun;
    open_data(&data);
    must(weft_hogwild_open(&weights, KEY_WEIGHTS, WEFT_DOUBLE, job->features), "weights");
    must(weft_array_pull(&weights), "pull");
    found.accuracy = accuracy(&data, job->examples, weights.items);
    close_data(&data);
    return found;
}

static uint32_t
argument(int argc, char **argv, int index, uint32_t otherwise)
{
    return argc > index ? (uint32_t)strtoul(argv[index], NULL, 10) : otherwise;
}

static void
forget(const char *key)
{
    int err = weft_state_remove(key);

    must(err == ENOENT ? 0 : err, "removing what was there");
}

/* Whether many calls are as good as one. */
static bool
learn_both(const struct job *job)
{
    struct outcome alone = learn_alone(job), together;
    bool is_good;

    forget(KEY_WEIGHTS);
    together = learn_together(job);
    is_good = together.accuracy >= alone.accuracy - TOLERATED;
    (void)fprintf(is_good ? stdout : stderr,
                  "%u examples, %u features, %u epochs: one call %.4f in %.2f s, "
                  "%u calls %.4f in %.2f s\n",
                  job->examples, job->features, job->epochs, alone.accuracy, alone.seconds,
                  job->calls, together.accuracy, together.seconds);
    return is_good;
}

int
main(int argc, char **argv)
{
    struct job job = {argument(argc, argv, 1, 12000), argument(argc, argv, 2, 8000),
                      argument(argc, argv, 3, 8), argument(argc, argv, 4, 5),
                      argument(argc, argv, 5, SYNC)};
    const char *stage = argc > 6 ? argv[6] : "";

    if (weft_input_size() == sizeof(struct work)) {
        work();
        return 0;
    }
    must(job.features <= 2 * FILLED || job.calls == 0 || job.calls > CALLS_MAX ||
                 job.examples == 0 || job.sync == 0
             ? EINVAL
             : 0,
         "EXAMPLES FEATURES CALLS EPOCHS SYNC STAGE");
    if (strcmp(stage, "learn") != 0) {
        forget(KEY_EXAMPLES);
        forget(KEY_LABELS);
        make_examples(job.examples, job.features);
    }
    return strcmp(stage, "make") == 0 || learn_both(&job) ? 0 : 1;
}
