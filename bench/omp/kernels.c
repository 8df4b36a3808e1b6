/* SPDX-License-Identifier: Apache-2.0
 *
 * Six kernels with OpenMP: the same program as a guest and as a native one.
 *
 *      kernels NAME THREADS    seconds of one run, and a checksum
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Each array begins at another place of its page, the same natively and in a guest: loads that
 * come after a store to the same place of another page wait for it, which would make the one side
 * or the other half as fast, as their allocators have it. Freed by the end of the process. */
static void *
allocate(size_t count, size_t bytes)
{
    enum { PAGE = 4096, APART = 5 * 64 };
    static size_t number;
    size_t offset = APART * ++number % PAGE, all = (count * bytes + offset + PAGE - 1) / PAGE;
    char *pages = aligned_alloc(PAGE, all * PAGE);

    if (pages == NULL)
        exit(1);
    return memset(pages + offset, 0, count * bytes);
}

static double
number(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (double)(*seed >> 8) * 0x1p-24;
}

static double *
numbers(size_t count, unsigned seed)
{
    double *all = allocate(count, sizeof(*all));

    for (size_t i = 0; i < count; i++)
        all[i] = number(&seed);
    return all;
}

static double
sum(const double *all, size_t count)
{
    double total = 0;

    for (size_t i = 0; i < count; i++)
        total += all[i];
    return total;
}

/* C += A B, rows among the threads. */
static double
dgemm(double *seconds)
{
    enum { N = 512 };
    double *a = numbers((size_t)N * N, 1), *b = numbers((size_t)N * N, 2);
    double *c = allocate((size_t)N * N, sizeof(*c)), total;

    *seconds = now_s();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[(size_t)i * N + j] += a[(size_t)i * N + k] * b[(size_t)k * N + j];
    *seconds = now_s() - *seconds;
    total = sum(c, (size_t)N * N);
    return total;
}

/* Jacobi in two dimensions. */
static double
stencil(double *seconds)
{
    enum { N = 1500, STEPS = 40 };
    double *from = numbers((size_t)N * N, 3), *to = numbers((size_t)N * N, 3), total;

    *seconds = now_s();
    for (int step = 0; step < STEPS; step++) {
        double *other = from;
#pragma omp parallel for schedule(static)
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++) {
                const double *at = from + (size_t)i * N + j;

                to[(size_t)i * N + j] = 0.2 * (at[0] + at[-1] + at[1] + at[-N] + at[N]);
            }
        from = to;
        to = other;
    }
    *seconds = now_s() - *seconds;
    total = sum(from, (size_t)N * N);
    return total;
}

/* A sparse matrix in rows times a vector, many times; rows are of different lengths. */
static double
spmv(double *seconds)
{
    enum { ROWS = 60000, TIMES = 40 };
    int *starts = allocate(ROWS + 1, sizeof(*starts)), *columns;
    double *x = numbers(ROWS, 4), *y = allocate(ROWS, sizeof(*y)), *values, total;
    unsigned seed = 5;

    for (int i = 0; i < ROWS; i++)
        starts[i + 1] = starts[i] + 5 + (int)(number(&seed) * 40);
    columns = allocate((size_t)starts[ROWS], sizeof(*columns));
    values = numbers((size_t)starts[ROWS], 6);
    for (int i = 0; i < starts[ROWS]; i++)
        columns[i] = (int)(number(&seed) * ROWS);
    *seconds = now_s();
    for (int time = 0; time < TIMES; time++) {
#pragma omp parallel for schedule(dynamic, 512)
        for (int i = 0; i < ROWS; i++) {
            double own = 0;

            for (int k = starts[i]; k < starts[i + 1]; k++)
                own += values[k] * x[columns[k]];
            y[i] = own;
        }
#pragma omp parallel for schedule(static)
        for (int i = 0; i < ROWS; i++)
            x[i] = 0.5 * x[i] + y[i] / 64;
    }
    *seconds = now_s() - *seconds;
    total = sum(x, ROWS);
    return total;
}

/* Radix 2, in place, over real and imaginary parts. */
static double
fft(double *seconds)
{
    enum { BITS = 19, N = 1 << BITS };
    double *re = numbers(N, 7), *im = numbers(N, 8), *cosines = allocate(N / 2, sizeof(*cosines));
    double *sines = allocate(N / 2, sizeof(*sines)), total;

    for (int i = 0; i < N / 2; i++) {
        cosines[i] = cos(2 * M_PI * i / N);
        sines[i] = sin(2 * M_PI * i / N);
    }
    *seconds = now_s();
    for (int half = N / 2; half >= 1; half /= 2) {
#pragma omp parallel for schedule(static)
        for (int pair = 0; pair < N / 2; pair++) {
            int k = pair % half, top = (pair - k) * 2 + k, bottom = top + half;
            double wr = cosines[k * (N / 2 / half)], wi = -sines[k * (N / 2 / half)];
            double ar = re[top] - re[bottom], ai = im[top] - im[bottom];

            re[top] += re[bottom];
            im[top] += im[bottom];
            re[bottom] = ar * wr - ai * wi;
            im[bottom] = ar * wi + ai * wr;
        }
    }
    *seconds = now_s() - *seconds;
    total = sum(re, N) + sum(im, N);
    return total;
}

static double
nbody(double *seconds)
{
    enum { N = 3000, STEPS = 4 };
    double *at = numbers(3 * N, 9), *speed = allocate(3 * N, sizeof(*speed)), total;

    *seconds = now_s();
    for (int step = 0; step < STEPS; step++) {
#pragma omp parallel for schedule(guided)
        for (int i = 0; i < N; i++) {
            double force[3] = {0, 0, 0};

            for (int j = 0; j < N; j++) {
                double x = at[3 * j] - at[3 * i], y = at[3 * j + 1] - at[3 * i + 1];
                double z = at[3 * j + 2] - at[3 * i + 2], square = x * x + y * y + z * z + 1e-3;
                double pull = 1 / (square * sqrt(square));

                force[0] += x * pull;
                force[1] += y * pull;
                force[2] += z * pull;
            }
            for (int k = 0; k < 3; k++)
                speed[3 * i + k] += 1e-9 * force[k];
        }
#pragma omp parallel for schedule(static)
        for (int i = 0; i < 3 * N; i++)
            at[i] += speed[i];
    }
    *seconds = now_s() - *seconds;
    total = sum(at, 3 * N);
    return total;
}

static void
merge(const double *from, int middle, int count, double *to)
{
    int left = 0, right = middle;

    for (int i = 0; i < count; i++)
        to[i] = right == count || (left < middle && from[left] <= from[right]) ? from[left++]
                                                                               : from[right++];
}

static void
sort(double *all, double *room, int count)
{
    int middle = count / 2;

    if (count < 2)
        return;
#pragma omp task if (count > 4096)
    sort(all, room, middle);
    sort(all + middle, room + middle, count - middle);
#pragma omp taskwait
    merge(all, middle, count, room);
    (void)memcpy(all, room, (size_t)count * sizeof(*all));
}

static double
mergesort(double *seconds)
{
    enum { N = 1000000 };
    double *all = numbers(N, 10), *room = allocate(N, sizeof(*room)), total = 0;

    *seconds = now_s();
#pragma omp parallel
#pragma omp single
    sort(all, room, N);
    *seconds = now_s() - *seconds;
    for (int i = 0; i < N; i += 1000)
        total += all[i] * i;
    for (int i = 1; i < N; i++)
        if (all[i - 1] > all[i])
            exit(2);
    return total;
}

static const struct kernel {
    const char *name;
    double (*run)(double *seconds);
} kernels[] = {{"dgemm", dgemm}, {"stencil", stencil}, {"spmv", spmv},
               {"fft", fft},     {"nbody", nbody},     {"mergesort", mergesort}};

/* The team is there before the clock starts. */
static void
warm_up(void)
{
#pragma omp parallel
    __asm__ volatile("" : : : "memory");
}

int
main(int argc, char **argv)
{
    omp_set_num_threads(argc > 2 ? atoi(argv[2]) : 1);
    warm_up();
    for (size_t i = 0; argc > 1 && i < sizeof(kernels) / sizeof(kernels[0]); i++)
        if (strcmp(argv[1], kernels[i].name) == 0) {
            double seconds, check = kernels[i].run(&seconds);

            (void)printf("%.6f %.9e\n", seconds, check);
            return 0;
        }
    return 1;
}
