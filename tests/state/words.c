/* SPDX-License-Identifier: Apache-2.0
 *
 * What a push may send: two hosts write different elements, or the same, and push. No host may
 * send what it did not write, and a number that both wrote is one of both.
 */
#include "check.h"

#define NUMBERS 64u

static double *
map_numbers(void)
{
    double *numbers;

    OK(weft_state_map("words/numbers", 0, NUMBERS * sizeof(*numbers),
                      WEFT_STATE_WRITE | WEFT_STATE_CREATE, (void **)&numbers));
    return numbers;
}

/* The first call of each host; the others only come to the barriers. */
static bool
is_first_here(uint32_t host)
{
    char key[64];
    int64_t place;

    (void)snprintf(key, sizeof(key), "words/host%u", (unsigned)host);
    OK(weft_counter_add(key, 1, &place));
    return place == 1 && host <= 2;
}

static void
write_between(double *numbers, uint32_t host, bool is_first)
{
    OK(weft_state_pull("words/numbers"));
    OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    for (uint32_t i = host - 1; i < NUMBERS && is_first; i += 2)
        numbers[i] = 1.99;
    if (is_first)
        OK(weft_state_push("words/numbers"));
    OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    OK(weft_state_pull("words/numbers"));
    for (uint32_t i = 0; i < NUMBERS; i++)
        if (numbers[i] != 1.99) {
            (void)fprintf(stderr, "number %u was 1.99 and is %g: lost\n", (unsigned)i, numbers[i]);
            exit(1);
        }
}

static void
write_same(double *numbers, uint32_t host, bool is_first)
{
    OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    for (uint32_t i = 0; i < NUMBERS && is_first; i++)
        numbers[i] = host == 1 ? 2.0 : 1.5;
    for (uint32_t turn = 1; turn <= 2; turn++) { /* 2.0 first: 1.5 has one byte as it was */
        if (is_first && host == turn)
            OK(weft_state_push("words/numbers"));
        OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    }
    OK(weft_state_pull("words/numbers"));
    for (uint32_t i = 0; i < NUMBERS; i++)
        if (numbers[i] != 2.0 && numbers[i] != 1.5) {
            (void)fprintf(stderr, "number %u was set to 2 and to 1.5 and is %g\n", (unsigned)i,
                          numbers[i]);
            exit(1);
        }
}

/* One host writes the even ones, the other the odd ones. Then both write all. */
static void
write_words(uint32_t self)
{
    uint32_t host = host_number();
    bool is_first = is_first_here(host);
    double *numbers = map_numbers();

    (void)self;
    write_between(numbers, host, is_first);
    write_same(numbers, host, is_first);
}

static void
all(void)
{
    double *numbers;

    forget_all("words/");
    numbers = map_numbers();
    numbers[0] = 0;
    fan("words", MANY);
}

int
main(void)
{
    static const struct part parts[] = {{"words", write_words}};

    return run_parts(parts, 1, all);
}
