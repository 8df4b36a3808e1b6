/* SPDX-License-Identifier: Apache-2.0
 *
 * A small neural network that answers calls. Its weights are one value of state, which all
 * Faaslets of a host map and none copies: the hundredth costs no more memory for them than
 * the first.
 *
 *     weft deploy examples/serve.c
 *     weft invoke serve --input 7            which of ten classes picture 7 has
 *
 * The first call of all makes the weights (seeded), where nobody has published others under the
 * same key: 784 inputs, 32 layers of 512, ten outputs, 8.5 million in all; one after the other as
 * float, each layer as its rows of weights and then their biases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/objects.h>

#define KEY     "serve/weights"
#define INPUTS  784u
#define HIDDEN  512u
#define LAYERS  32u /* of that width */
#define OUTPUTS 10u
#define LENGTH \
    ((INPUTS + 1) * HIDDEN + (LAYERS - 1) * (HIDDEN + 1) * HIDDEN + (HIDDEN + 1) * OUTPUTS)

static void
must(int err, const char *what)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "serve: %s: %s\n", what, strerror(err));
    exit(1);
}

static float
next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-24f - 0.5f;
}

/* Whoever is first; others find it made. */
static void
publish_weights(void)
{
    float *weights = malloc(LENGTH * sizeof(*weights));
    uint32_t seed = 1;
    int err;

    must(weights == NULL ? ENOMEM : 0, "memory for the weights");
    for (uint32_t i = 0; i < LENGTH; i++)
        weights[i] = next_random(&seed) * 0.21f;
    err = weft_array_publish(KEY, WEFT_FLOAT, weights, LENGTH);
    must(err == EEXIST ? 0 : err, "publishing the weights");
    free(weights);
}

static void
open_weights(struct weft_array *weights)
{
    int err = weft_array_open(weights, KEY, WEFT_FLOAT, LENGTH, WEFT_FIXED);

    if (err == ENOENT) {
        publish_weights();
        err = weft_array_open(weights, KEY, WEFT_FLOAT, LENGTH, WEFT_FIXED);
    }
    must(err, "the weights");
}

/* What comes after its weights. */
static const float *
run_layer(const float *weights, const float *from, uint32_t inputs, float *to, uint32_t outputs)
{
    const float *biases = weights + (size_t)inputs * outputs;

    for (uint32_t i = 0; i < outputs; i++) {
        float sum = biases[i];

        for (uint32_t j = 0; j < inputs; j++)
            sum += weights[(size_t)i * inputs + j] * from[j];
        to[i] = sum > 0 || outputs == OUTPUTS ? sum : 0;
    }
    return biases + outputs;
}

static uint32_t
classify(const float *weights, const float *picture, float *score)
{
    static float layers[2][HIDDEN], last[OUTPUTS];
    uint32_t best = 0;

    weights = run_layer(weights, picture, INPUTS, layers[0], HIDDEN);
    for (uint32_t i = 1; i < LAYERS; i++)
        weights = run_layer(weights, layers[(i + 1) % 2], HIDDEN, layers[i % 2], HIDDEN);
    (void)run_layer(weights, layers[(LAYERS + 1) % 2], HIDDEN, last, OUTPUTS);
    for (uint32_t i = 1; i < OUTPUTS; i++)
        if (last[i] > last[best])
            best = i;
    *score = last[best];
    return best;
}

int
main(void)
{
    static float picture[INPUTS];
    struct weft_array weights;
    char input[16] = "";
    uint32_t done = 0, seed, number, best;
    float score;

    must(weft_input_read(0, input, sizeof(input) - 1, &done), "input");
    number = seed = (uint32_t)strtoul(input, NULL, 10);
    for (uint32_t i = 0; i < INPUTS; i++)
        picture[i] = next_random(&seed) + 0.5f;
    open_weights(&weights);
    best = classify(weights.items, picture, &score);
    (void)printf("picture %u: class %u, score %.4f\n", number, best, score);
    return 0;
}
