/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads of C++: thread, jthread, async, and what they meet at.
 */
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

namespace
{

constexpr int ROUNDS = 500;

/* --------------------------------------------------------------------- mutexes and waits */

template <typename mutex>
void
count_with()
{
    mutex lock;
    int count = 0;

    all([&](int) {
        for (int i = 0; i < ROUNDS; i++) {
            std::lock_guard guard(lock);
            count++;
        }
    });
    CHECK(count == THREADS * ROUNDS);
    CHECK(lock.try_lock());
    std::thread([&] { CHECK(!lock.try_lock()); }).join();
    lock.unlock();
}

void
test_mutexes()
{
    count_with<std::mutex>();
    count_with<std::recursive_mutex>();
    count_with<std::timed_mutex>();
    count_with<std::recursive_timed_mutex>();
    count_with<std::shared_mutex>();
    count_with<std::shared_timed_mutex>();

    std::recursive_timed_mutex timed;
    std::scoped_lock twice(timed), again(timed);
    std::thread([&] { CHECK(!timed.try_lock_for(std::chrono::milliseconds(2))); }).join();

    std::mutex a, b;
    int both = 0;
    all([&](int number) { /* in either order */
                          for (int i = 0; i < ROUNDS; i++) {
                              if (number % 2) {
                                  std::scoped_lock lock(a, b);
                                  both++;
                              } else {
                                  std::scoped_lock lock(b, a);
                                  both++;
                              }
                          }
    });
    CHECK(both == THREADS * ROUNDS);
}

void
test_shared()
{
    std::shared_mutex mutex;
    int first = 0, second = 0;

    all([&](int number) {
        for (int i = 0; i < ROUNDS; i++) {
            if (i % THREADS == number) {
                std::unique_lock lock(mutex);
                first++;
                second++;
            } else {
                std::shared_lock lock(mutex);
                CHECK(first == second);
            }
        }
    });
    CHECK(first == ROUNDS && second == ROUNDS);
    std::shared_lock one(mutex);
    std::thread([&] { CHECK(mutex.try_lock_shared() && (mutex.unlock_shared(), true)); }).join();
    std::thread([&] { CHECK(!mutex.try_lock()); }).join();
}

void
test_conditions()
{
    std::condition_variable changed;
    std::condition_variable_any any;
    std::deque<int> queue;
    std::mutex mutex;
    int sum = 0, over = 0;

    all([&](int number) {
        if (number == 0) {
            for (int i = 1; i <= ROUNDS; i++) {
                std::lock_guard lock(mutex);
                queue.push_back(i);
                changed.notify_one();
            }
            std::lock_guard lock(mutex);
            over = 1;
            changed.notify_all();
            return;
        }
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return over != 0 || !queue.empty(); });
            if (queue.empty())
                return;
            sum += queue.front();
            queue.pop_front();
        }
    });
    CHECK(sum == ROUNDS * (ROUNDS + 1) / 2);

    std::unique_lock lock(mutex);
    CHECK(!changed.wait_for(lock, std::chrono::milliseconds(1), [] { return false; }));
    CHECK(changed.wait_until(lock, std::chrono::steady_clock::now()) == std::cv_status::timeout);
    std::thread other([&] {
        std::lock_guard guard(mutex);
        over = 2;
        any.notify_all();
    });
    any.wait(lock, [&] { return over == 2; });
    lock.unlock();
    other.join();
}

void
test_meetings()
{
    int completed = 0;
    std::atomic<int> arrived = 0;
    auto complete = [&]() noexcept { completed++; };
    std::barrier barrier(THREADS, complete);
    std::latch latch(THREADS);
    std::counting_semaphore<3> few(3);
    std::binary_semaphore one(1);
    std::once_flag once;
    int called = 0, guarded = 0;

    all([&](int) {
        latch.arrive_and_wait();
        std::call_once(once, [&] { called++; });
        for (int i = 1; i <= ROUNDS; i++) {
            arrived++;
            barrier.arrive_and_wait();
            CHECK(completed >= i && arrived >= i * THREADS);
            few.acquire();
            few.release();
            one.acquire();
            guarded++;
            one.release();
        }
    });
    CHECK(latch.try_wait() && called == 1 && guarded == THREADS * ROUNDS);
    CHECK(!std::binary_semaphore(0).try_acquire_for(std::chrono::milliseconds(1)));

    /* a call that fails does not count as one */
    std::once_flag again;
    int tries = 0;
    for (int i = 0; i < 3; i++)
        try {
            std::call_once(again, [&] {
                if (++tries < 2)
                    throw std::runtime_error("not yet");
            });
        } catch (const std::runtime_error &) {
            CHECK(tries == 1);
        }
    CHECK(tries == 2);
}

/* ------------------------------------------------------------------- futures and threads */

void
test_futures()
{
    std::promise<int> promise;
    auto future = promise.get_future().share();
    std::vector<std::future<int>> sums;
    std::packaged_task<int(int, int)> task([](int a, int b) { return a * b; });
    auto product = task.get_future();

    for (int i = 0; i < 20; i++)
        sums.push_back(std::async(std::launch::async, [i, future] { return i + future.get(); }));
    std::thread setter([&] { promise.set_value(7); });
    int sum = 0;
    for (auto &one : sums)
        sum += one.get();
    CHECK(sum == 20 * 19 / 2 + 20 * 7);
    setter.join();
    std::thread(std::move(task), 6, 7).join();
    CHECK(product.get() == 42);

    auto lazy = std::async(std::launch::deferred, [] { return std::this_thread::get_id(); });
    CHECK(lazy.wait_for(std::chrono::seconds(0)) == std::future_status::deferred);
    CHECK(lazy.get() == std::this_thread::get_id());
    auto broken = std::make_unique<std::promise<void>>();
    auto never = broken->get_future();
    broken.reset();
    try {
        never.get();
        CHECK(!"a broken promise says so");
    } catch (const std::future_error &error) {
        CHECK(error.code() == std::future_errc::broken_promise);
    }
    CHECK(std::thread::hardware_concurrency() >= 1);
}

/* Halves on another thread, down to few. */
int
sum_of(const int *values, size_t count)
{
    if (count < 1000)
        return std::accumulate(values, values + count, 0);
    auto half = std::async(std::launch::async, sum_of, values, count / 2);
    int rest = sum_of(values + count / 2, count - count / 2);
    return half.get() + rest;
}

#ifdef __cpp_lib_jthread
void
test_stops()
{
    std::atomic<long> rounds = 0;
    std::condition_variable_any changed;
    std::mutex mutex;
    std::atomic<bool> is_called = false;
    std::stop_token token;

    {
        std::jthread spins([&](const std::stop_token &stop) {
            while (!stop.stop_requested())
                rounds++;
        });
        std::jthread waits([&](const std::stop_token &stop) {
            std::stop_callback callback(stop, [&] { is_called = true; });
            std::unique_lock lock(mutex);
            CHECK(!changed.wait(lock, stop, [] { return false; }));
        });
        token = waits.get_stop_token();
        while (rounds == 0)
            ;
        CHECK(!token.stop_requested());
    } /* asks both to stop, and joins them */
    CHECK(is_called && token.stop_requested());
}
#else
#error there is no jthread
#endif

} // namespace

int
main()
{
    std::vector<int> values(16000);

    test_mutexes();
    test_shared();
    test_conditions();
    test_meetings();
    test_futures();
    std::iota(values.begin(), values.end(), 0);
    CHECK(sum_of(values.data(), values.size()) == 16000 * 15999 / 2);
    test_stops();
    return finish();
}
