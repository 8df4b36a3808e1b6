/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenMP, as a program uses it: loops of every schedule, reductions, tasks, sections, what is
 * each thread's own, locks, nested regions. (LLVM's own tests of the runtime: make
 * conformance-omp.)
 */
#include <omp.h>
#include <stdlib.h>

#include "check.h"

#define COUNT 1000

static int values[COUNT], own;
#pragma omp threadprivate(own)

static void
test_loops(void)
{
    long sum = 0, product = 1;
    int most = 0, seen[COUNT] = {0}, last = -1;

#pragma omp parallel for schedule(static, 7) reduction(+ : sum) reduction(max : most)
    for (int i = 0; i < COUNT; i++) {
        values[i] = i;
        sum += i;
        most = i > most ? i : most;
    }
    CHECK(sum == (long)COUNT * (COUNT - 1) / 2 && most == COUNT - 1);
    /* Monotonic: stealing, LLVM's libomp forgets now and then which is the last. */
#pragma omp parallel for schedule(monotonic : dynamic, 3) lastprivate(last)
    for (int i = 0; i < COUNT; i++) {
        seen[i] += values[i] == i;
        last = i;
    }
    CHECK(last == COUNT - 1);
#pragma omp parallel for schedule(guided) collapse(2) reduction(* : product)
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < COUNT / 10; j++) {
            seen[i * (COUNT / 10) + j]++;
            if (i == j)
                product *= 2;
        }
    CHECK(product == 1024);
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < COUNT; i++)
        seen[i]++;
    for (int i = 0; i < COUNT; i++)
        CHECK(seen[i] == 3);
    int next = 0;
#pragma omp parallel for ordered schedule(dynamic)
    for (int i = 0; i < 100; i++) {
#pragma omp ordered
        CHECK(next++ == i);
    }
    CHECK(next == 100);
}

static int
fibonacci(int n)
{
    int a, b;

    if (n < 2)
        return n;
#pragma omp task shared(a) firstprivate(n) if (n > 6)
    a = fibonacci(n - 1);
#pragma omp task shared(b) firstprivate(n)
    b = fibonacci(n - 2);
#pragma omp taskwait
    return a + b;
}

static void
test_tasks(void)
{
    int result = 0, chain = 0, order_held = 1, grouped = 0, looped = 0;

#pragma omp parallel
#pragma omp single
    {
        result = fibonacci(16);
        for (int i = 0; i < 50; i++) {
#pragma omp task depend(inout : chain) firstprivate(i)
            {
                order_held &= chain == i;
                chain++;
            }
        }
#pragma omp taskgroup
        for (int i = 0; i < 50; i++) {
#pragma omp task
            {
#pragma omp atomic
                grouped++;
            }
        }
        CHECK(grouped == 50);
#pragma omp taskloop grainsize(5) shared(looped)
        for (int i = 0; i < 100; i++) {
#pragma omp atomic
            looped += i;
        }
    }
    CHECK(result == 987 && chain == 50 && order_held && looped == 4950);
}

static void
test_each_ones_own(void)
{
    int threads = 0, copied = 0, given = 40;

    own = 5;
#pragma omp parallel copyin(own) firstprivate(given)
    {
        int say;

        CHECK(own == 5 && given == 40 && omp_in_parallel());
        own = given = omp_get_thread_num();
#pragma omp critical
        threads++;
#pragma omp barrier
        CHECK(threads == omp_get_num_threads() && own == given && own == omp_get_thread_num());
#pragma omp single copyprivate(say)
        say = 77;
#pragma omp atomic
        copied += say;
    }
    CHECK(threads == omp_get_max_threads() && copied == 77 * threads && own == 0);
}

static void
test_shares_of_work(void)
{
    int singles = 0, sections = 0, masters = 0;

#pragma omp parallel
    {
#pragma omp single nowait
        {
#pragma omp atomic
            singles++;
        }
#pragma omp masked
        masters++;
#pragma omp sections
        {
#pragma omp section
            {
#pragma omp atomic
                sections++;
            }
#pragma omp section
            {
#pragma omp atomic
                sections += 10;
            }
        }
    }
    CHECK(singles == 1 && masters == 1 && sections == 11);
}

static void
test_nested_and_locks(void)
{
    omp_nest_lock_t nested;
    omp_lock_t lock;
    int counted = 0, inner = 0, wide = 0;

    omp_init_lock(&lock);
    omp_init_nest_lock(&nested);
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(3)
    {
        int outer = omp_get_thread_num();
#pragma omp parallel num_threads(2) reduction(+ : inner)
        {
            CHECK(omp_get_level() == 2 && omp_get_ancestor_thread_num(1) == outer);
            inner++;
        }
        for (int i = 0; i < 200; i++) {
            omp_set_lock(&lock);
            counted++;
            omp_unset_lock(&lock);
            omp_set_nest_lock(&nested);
            omp_set_nest_lock(&nested);
            wide++;
            omp_unset_nest_lock(&nested);
            omp_unset_nest_lock(&nested);
        }
    }
    CHECK(counted == 600 && wide == 600 && inner == 6);
    omp_destroy_lock(&lock);
    omp_destroy_nest_lock(&nested);
}

/* More captured variables than LLVM's file of calls has. */
#define EACH_8(x)     x(a) x(b) x(c) x(d) x(e) x(f) x(g) x(h)
#define EACH(x)       EACH_8(x) x(i) x(j) x(k) x(l) x(m) x(n) x(o) x(p)
#define DECLARE(name) int name##0 = 1, name##1 = 1;
#define ADD(name)     sum += name##0 + name##1 ++;

static void
test_many_captured(void)
{
    int sum = 0, expected = 0;
    EACH(DECLARE)

#pragma omp parallel
    {
#pragma omp critical
        {
            EACH(ADD)
        }
    }
    for (int i = 0; i < omp_get_max_threads(); i++)
        expected += 16 * (2 + i);
    CHECK(sum == expected);
}

int
main(void)
{
    CHECK(omp_get_max_threads() == 4 && omp_get_num_procs() >= 1);
    for (int i = 0; i < 20; i++) {
        test_loops();
        test_tasks();
        test_each_ones_own();
        test_shares_of_work();
        test_nested_and_locks();
        test_many_captured();
    }
    return finish();
}
