/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables of each thread's own, with constructors and destructors, and statics that several
 * threads reach at one time.
 */
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace
{

constexpr int THREADS = 6;

std::atomic<int> made, gone, ordered, inner_made, inner_gone;

struct counted {
    std::string text;
    int number;
    counted() : text("a text that is too long to be within the string itself"), number(++made)
    {
    }
    ~counted()
    {
        CHECK(text.size() == 54);
        gone++;
    }
};

/* Their destructors run in the other order. */
struct after {
    int *place = nullptr;
    ~after()
    {
        if (place != nullptr)
            *place += 1;
    }
};
struct before {
    int value = 0;
    after *other = nullptr;
    ~before()
    {
        if (value == 1)
            ordered++;
    }
};

thread_local counted own;
thread_local before first;
thread_local after second;
thread_local int plain = 9;
thread_local std::vector<int> numbers = {1, 2, 3};

struct inner {
    inner()
    {
        inner_made++;
    }
    ~inner()
    {
        inner_gone++;
    }
    int calls = 0;
};

int
call()
{
    thread_local inner here;

    return ++here.calls;
}

struct slow {
    int value;
    slow() : value(0)
    {
        for (int i = 0; i < 1000; i++) {
            std::this_thread::yield();
            value++;
        }
    }
};

const slow &
shared_slow()
{
    static slow one;

    return one;
}

template <typename number> thread_local number of_template = 4;
struct has_one {
    static inline thread_local int member = 6;
};

void
use(int number)
{
    int mine;

    (void)first.value; /* made in this order, so unmade in the other */
    second.place = &first.value;
    CHECK(plain == 9 && numbers.size() == 3);
    plain = number;
    for (int i = 0; i < 100; i++)
        numbers.push_back(number);
    mine = own.number;
    CHECK(of_template<long> == 4 && has_one::member == 6);
    of_template<long> = has_one::member = number;
    for (int i = 1; i <= 50; i++) {
        CHECK(call() == i && own.number == mine);
        std::this_thread::yield();
    }
    CHECK(shared_slow().value == 1000);
    CHECK(plain == number && numbers.size() == 103 && numbers[50] == number);
    CHECK(of_template<long> == number && has_one::member == number);
}

/* A destructor of one may begin another. */
thread_local struct late {
    int touched = 0;
    ~late()
    {
        CHECK(touched == 0 || call() == 1);
    }
} late_one;

void
begin_late()
{
    late_one.touched = 1;
}

} // namespace

int
main()
{
    std::vector<std::thread> threads;

    for (int i = 0; i < THREADS; i++)
        threads.emplace_back(use, i);
    for (auto &thread : threads)
        thread.join();
    CHECK(made == THREADS && gone == THREADS && ordered == THREADS);
    CHECK(inner_made == THREADS && inner_gone == THREADS);
    CHECK(plain == 9 && numbers.size() == 3 && of_template<long> == 4);
    std::thread(begin_late).join();
    CHECK(inner_made == THREADS + 1 && inner_gone == THREADS + 1);
    use(1);
    return finish();
}
