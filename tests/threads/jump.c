/* SPDX-License-Identifier: Apache-2.0
 *
 * setjmp and longjmp: out of recursion, with values, again and again, nested, and by several
 * threads at one time, each within itself.
 */
#include <setjmp.h>
#include <stdlib.h>

#include "check.h"

#define THREADS 4
#define ROUNDS  200

struct place {
    jmp_buf out, inner;
    int depth;
};

static __attribute__((noinline)) int
descend(struct place *place, int depth, int value)
{
    volatile int kept = depth;

    if (depth == 0)
        longjmp(place->out, value);
    place->depth = depth;
    return descend(place, depth - 1, value) + kept;
}

/* The inner one catches every second jump, and passes it on to the outer one with another value. */
static __attribute__((noinline)) void
catch_and_pass(struct place *place, int value)
{
    volatile int before = value;
    int said = setjmp(place->inner);

    if (said == 0) {
        if (value % 2 == 0)
            longjmp(place->inner, 5);
        (void)descend(place, 3, value);
    }
    CHECK(said == 5 && before == value);
    longjmp(place->out, value + 1);
}

static int
compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static _Thread_local struct place *own;

static int
compare_and_leave(const void *a, const void *b)
{
    if (*(const int *)a == 13 || *(const int *)b == 13)
        longjmp(own->out, 13);
    return compare(a, b);
}

static void
jump_again_and_again(struct place *place)
{
    volatile int count = 0;

    for (volatile int i = 1; i <= ROUNDS; i++) {
        int value = setjmp(place->out);

        if (value == 0)
            (void)descend(place, 100, i);
        CHECK(value == i && place->depth == 1);
        count++;
    }
    CHECK(count == ROUNDS);
    for (volatile int i = 1; i <= ROUNDS; i++) {
        int value = setjmp(place->out);

        if (value == 0)
            catch_and_pass(place, i);
        CHECK(value == (i % 2 == 0 ? i + 1 : i));
    }
}

/* Out of a function of libc, back through it. */
static int
jump_out_of_sorting(struct place *place, int from)
{
    int values[64];

    for (int i = 0; i < 64; i++)
        values[i] = (i * 37 + from) % 64;
    switch (setjmp(place->out)) {
    case 0:
        qsort(values, 64, sizeof(values[0]), compare_and_leave);
        return 0;
    case 13:
        return 1;
    default:
        return 2;
    }
}

static void *
jump(void *argument)
{
    struct place place;

    own = &place;
    jump_again_and_again(&place);
    CHECK(jump_out_of_sorting(&place, NUMBER(argument)) == 1);
    if (setjmp(place.out) == 0)
        longjmp(place.out, 0); /* which says 1 */
    else
        return argument;
}

int
main(void)
{
    pthread_t threads[THREADS];

    CHECK(NUMBER(jump(ARGUMENT(7))) == 7);
    for (int i = 0; i < THREADS; i++)
        threads[i] = begin_thread(jump, ARGUMENT(i));
    for (int i = 0; i < THREADS; i++)
        CHECK(join_thread(threads[i]) == i);
    return finish();
}
