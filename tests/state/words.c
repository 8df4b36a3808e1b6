/* SPDX-License-Identifier: Apache-2.0
 *
 * What a push may send: two hosts write different elements, or the same, and push. No host may
 * send what it did not write, and a number that both wrote is one of both.
 */
#include "check.h"

#define NUMBERS 64u
#define BYTES   (UINT32_C(5) << 20) /* every second one: more than two million runs */

static double *
map_numbers(void)
{
    double *numbers;

    OK(weft_state_map("words/numbers", 0, NUMBERS * sizeof(*numbers),
                      WEFT_STATE_WRITE | WEFT_STATE_CREATE | WEFT_STATE_OF(WEFT_DOUBLE),
                      (void **)&numbers));
    return numbers;
}

static uint8_t *
map_bytes(void)
{
    uint8_t *bytes;

    OK(weft_state_map("words/bytes", 0, BYTES, WEFT_STATE_WRITE | WEFT_STATE_CREATE,
                      (void **)&bytes));
    return bytes;
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

/* One host writes the even ones, the other the odd ones: bytes are as good as numbers. */
static void
write_bytes(uint8_t *bytes, uint32_t host, bool is_first)
{
    OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    for (uint32_t i = host - 1; i < BYTES && is_first; i += 2)
        bytes[i] = (uint8_t)(i % 250 + 1);
    if (is_first)
        OK(weft_state_push("words/bytes"));
    OK(weft_barrier_wait("words/barrier", MANY, PATIENCE));
    OK(weft_state_pull("words/bytes"));
    for (uint32_t i = 0; i < BYTES; i++)
        SAME(i % 250 + 1, bytes[i]);
}

static void
test_a_value_is_of_one_kind(void)
{
    void *at;

    SAME(EINVAL, weft_state_map("words/numbers", 0, 0, WEFT_STATE_OF(WEFT_FLOAT), &at));
    SAME(EINVAL,
         weft_state_map("words/numbers", 0, 0, WEFT_STATE_SUM | WEFT_STATE_OF(WEFT_DOUBLE), &at));
    SAME(EINVAL, weft_state_map("words/numbers", 0, 0, WEFT_STATE_SUM, &at));
    SAME(EINVAL, weft_state_map("words/numbers", 0, 0, WEFT_STATE_OF(5), &at));
    SAME(EINVAL, weft_state_push_part("words/numbers", 4, 8));
    SAME(EINVAL, weft_state_push_part("words/numbers", 8, 4));
    OK(weft_state_map("words/numbers", 0, 0, 0, &at));
    OK(weft_state_unmap(at));
}

/* One host writes the even ones, the other the odd ones. Then both write all. */
static void
write_words(uint32_t self)
{
    uint32_t host = host_number();
    bool is_first = is_first_here(host);
    double *numbers = map_numbers();
    uint8_t *bytes = map_bytes();

    (void)self;
    write_between(numbers, host, is_first);
    write_same(numbers, host, is_first);
    write_bytes(bytes, host, is_first);
    test_a_value_is_of_one_kind();
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
