/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h, and threads of C++.
 */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <thread>
#include <vector>

#include "check.h"

constexpr int THREADS = 4;

/* run(number) in all of them, to their end. */
template <typename work>
void
all(work &&run)
{
    std::vector<std::thread> threads;

    for (int i = 0; i < THREADS; i++)
        threads.emplace_back(run, i);
    for (auto &thread : threads)
        thread.join();
}

#endif
