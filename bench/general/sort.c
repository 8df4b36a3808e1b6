/* SPDX-License-Identifier: Apache-2.0
 *
 * Quicksort and merge sort of records through a comparison function pointer.
 */
#include "../kernels/kernel.h"

#define N 150000

struct record {
    uint32_t key;
    uint32_t serial;
};

typedef int compare_fn(const struct record *a, const struct record *b);

static struct record original[N], work[N], spare[N];
static uint64_t digest;

static int
by_key(const struct record *a, const struct record *b)
{
    return (a->key > b->key) - (a->key < b->key);
}

static int
by_low_bits(const struct record *a, const struct record *b)
{
    uint32_t x = a->key & 0xfff, y = b->key & 0xfff;

    return x != y ? (x > y) - (x < y) : (a->serial > b->serial) - (a->serial < b->serial);
}

static int
by_serial_down(const struct record *a, const struct record *b)
{
    return (a->serial < b->serial) - (a->serial > b->serial);
}

/* Volatile, so that no compiler knows which comparison it will be. */
static compare_fn *volatile orders[] = {by_key, by_low_bits, by_serial_down};

static void
init(void)
{
    uint32_t state = 23;

    for (uint32_t i = 0; i < N; i++)
        original[i] = (struct record){bench_random(&state), i};
    digest = 0;
}

static void
swap(struct record *a, struct record *b)
{
    struct record t = *a;

    *a = *b;
    *b = t;
}

static void
insertion_sort(struct record *r, int count, compare_fn *compare)
{
    for (int i = 1; i < count; i++) {
        struct record here = r[i];
        int j = i;

        for (; j > 0 && compare(&here, &r[j - 1]) < 0; j--)
            r[j] = r[j - 1];
        r[j] = here;
    }
}

static void
quick_sort(struct record *r, int count, compare_fn *compare)
{
    while (count > 16) {
        struct record pivot = r[count / 2];
        int i = 0, j = count - 1;

        while (i <= j) {
            while (compare(&r[i], &pivot) < 0)
                i++;
            while (compare(&pivot, &r[j]) < 0)
                j--;
            if (i <= j)
                swap(&r[i++], &r[j--]);
        }
        quick_sort(r, j + 1, compare);
        r += i;
        count -= i;
    }
    insertion_sort(r, count, compare);
}

static void
merge_sort(struct record *r, struct record *out, int count, compare_fn *compare)
{
    int half = count / 2, a = 0, b = half;

    if (count <= 12) {
        insertion_sort(r, count, compare);
        return;
    }
    merge_sort(r, out, half, compare);
    merge_sort(r + half, out, count - half, compare);
    for (int i = 0; i < count; i++)
        out[i] = b == count || (a < half && compare(&r[a], &r[b]) <= 0) ? r[a++] : r[b++];
    for (int i = 0; i < count; i++)
        r[i] = out[i];
}

static void
digest_add(void)
{
    for (int i = 0; i < N; i += 97)
        digest = digest * 31 + work[i].key + work[i].serial;
}

KERNEL
kernel(void)
{
    for (size_t o = 0; o < COUNT(orders); o++) {
        for (int i = 0; i < N; i++)
            work[i] = original[i];
        quick_sort(work, N, orders[o]);
        if (o != 0)
            digest_add();
        for (int i = 0; i < N; i++)
            work[i] = original[i];
        merge_sort(work, spare, N, orders[o]);
        digest_add();
    }
}

static int64_t
checksum(void)
{
    return (int64_t)digest;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 2);
}
