/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: OpenMP. Its team has worked before the snapshot point, and waits there.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#define COUNT 10000

static double squares[COUNT];

int
main(void)
{
    char text[128] = {0};
    uint32_t done = 0;
    long sum = 0, tasks = 0, most;

#pragma omp parallel for num_threads(4)
    for (int i = 0; i < COUNT; i++)
        squares[i] = (double)i * i;
    (void)weft_snapshot();
    if (weft_input_read(0, text, sizeof(text) - 1, &done) != 0)
        return 5;
    most = strtol(text, NULL, 10);
#pragma omp parallel num_threads(4)
    {
#pragma omp for schedule(dynamic, 10) reduction(+ : sum)
        for (int i = 0; i <= most; i++)
            sum += (long)squares[i];
#pragma omp single
        for (int i = 0; i < 20; i++) {
#pragma omp task
            {
#pragma omp atomic
                tasks++;
            }
        }
    }
    (void)snprintf(text, sizeof(text), "%ld, %ld tasks, at most %d", sum, tasks,
                   omp_get_thread_limit() < 100 ? omp_get_thread_limit() : 0);
    return weft_output(text, (uint32_t)strlen(text));
}
