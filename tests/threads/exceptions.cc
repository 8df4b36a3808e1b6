/* SPDX-License-Identifier: Apache-2.0
 *
 * Exceptions: across many frames and destructors, thrown again, nested, carried from one thread
 * to another, by many threads at one time.
 */
#include <atomic>
#include <exception>
#include <functional>
#include <future>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace
{

constexpr int THREADS = 6, ROUNDS = 200;

std::atomic<int> alive;

struct guard {
    std::string text = "owns something on the heap, which has to be given back";
    guard()
    {
        alive++;
    }
    guard(const guard &)
    {
        alive++;
    }
    ~guard()
    {
        alive--;
        CHECK(text.size() > 20);
    }
};

struct failure : std::runtime_error {
    guard carried;
    int number;
    explicit failure(int n) : std::runtime_error("failure " + std::to_string(n)), number(n)
    {
    }
};
struct other_failure : virtual std::exception {
    const char *what() const noexcept override
    {
        return "other";
    }
};

__attribute__((noinline)) int
descend(int depth, int number)
{
    guard here;

    if (depth == 0) {
        if (number % 3 == 0)
            throw failure(number);
        if (number % 3 == 1)
            throw number;
        throw other_failure();
    }
    return descend(depth - 1, number) + 1;
}

__attribute__((noinline)) int
rethrow_at_every_frame(int depth, int number)
{
    try {
        guard here;

        return depth == 0 ? descend(3, number) : rethrow_at_every_frame(depth - 1, number);
    } catch (const failure &) {
        throw;
    } catch (int value) {
        throw value + 3;
    } catch (...) {
        guard also;

        throw;
    }
}

int
code_of(const std::function<int()> &run)
{
    try {
        return run();
    } catch (const failure &error) {
        CHECK(error.what() == "failure " + std::to_string(error.number));
        return 1000 + error.number;
    } catch (int value) {
        return 2000 + value;
    } catch (const std::exception &error) {
        return 3000 + (std::string(error.what()) == "other");
    }
}

void
test_frames(int self)
{
    for (int i = 0; i < ROUNDS; i++) {
        int kind = (i + self) % 3, wanted;

        wanted = kind == 0 ? 1000 + i + self : kind == 1 ? 2000 + i + self : 3001;
        CHECK(code_of([&] { return descend(30, i + self); }) == wanted);
        wanted += kind == 1 ? 33 : 0;
        CHECK(code_of([&] { return rethrow_at_every_frame(10, i + self); }) == wanted);
        CHECK(std::uncaught_exceptions() == 0);
    }
}

/* ------------------------------------------------------------------------------ nested */

int
depth_of(const std::exception &error)
{
    try {
        std::rethrow_if_nested(error);
    } catch (const std::exception &inner) {
        return 1 + depth_of(inner);
    }
    return 1;
}

void
nest(int depth)
{
    try {
        if (depth == 0)
            throw failure(3);
        nest(depth - 1);
    } catch (...) {
        std::throw_with_nested(std::runtime_error("at " + std::to_string(depth)));
    }
}

/* While one is on its way a destructor throws and catches another. */
struct throws_within {
    ~throws_within()
    {
        CHECK(std::uncaught_exceptions() == 1);
        CHECK(code_of([] { return descend(4, 7); }) == 2007);
        CHECK(std::uncaught_exceptions() == 1);
    }
};

void
test_nested()
{
    try {
        nest(8);
        CHECK(!"it throws");
    } catch (const std::exception &error) {
        CHECK(depth_of(error) == 10);
    }
    try {
        throws_within here;

        throw failure(6);
    } catch (const failure &error) {
        CHECK(error.number == 6);
        try {
            throw 5; /* another, in the handler, and then the first again */
        } catch (int value) {
            CHECK(value == 5);
        }
        CHECK(code_of([]() -> int { throw; }) == 1006);
    }
    CHECK(std::current_exception() == nullptr);
    CHECK(code_of([] {
              try {
                  try {
                      throw failure(9);
                  } catch (...) {
                      throw;
                  }
              } catch (const std::runtime_error &) {
                  throw other_failure();
              }
              return 0;
          }) == 3001);
    try {
        ::operator delete(::operator new(0xfff00000u)); /* called as functions: not left out */
        CHECK(!"there is not so much");
    } catch (const std::bad_alloc &) {
    }
    try {
        (void)std::vector<int>(3).at(5);
        CHECK(!"there are three");
    } catch (const std::out_of_range &) {
    }
}

/* -------------------------------------------------------------------- between threads */

void
test_carried()
{
    std::exception_ptr carried[THREADS];
    std::vector<std::thread> threads;

    for (int i = 0; i < THREADS; i++)
        threads.emplace_back([&, i] {
            try {
                descend(20, 3 * i);
            } catch (...) {
                carried[i] = std::current_exception();
            }
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(alive == THREADS); /* in the exceptions, whose threads are gone */
    threads.clear();
    for (int i = 0; i < THREADS; i++) /* and on to others: all at one time the same one */
        threads.emplace_back([&] {
            for (int j = 0; j < THREADS; j++)
                CHECK(code_of([&]() -> int { std::rethrow_exception(carried[j]); }) ==
                      1000 + 3 * j);
        });
    for (auto &thread : threads)
        thread.join();
    for (auto &one : carried)
        one = nullptr;
    CHECK(alive == 0);

    auto far = std::async(std::launch::async, [] { return descend(10, 12); });
    CHECK(code_of([&] { return far.get(); }) == 1012);
    std::promise<int> promise;
    auto future = promise.get_future();
    std::thread([&] { promise.set_exception(std::make_exception_ptr(77)); }).join();
    CHECK(code_of([&] { return future.get(); }) == 2077);
}

} // namespace

int
main()
{
    std::vector<std::thread> threads;

    test_frames(0);
    for (int i = 0; i < THREADS; i++)
        threads.emplace_back(test_frames, i);
    for (auto &thread : threads)
        thread.join();
    CHECK(alive == 0);
    test_nested();
    std::thread(test_nested).join();
    test_carried();
    CHECK(alive == 0);
    return finish();
}
