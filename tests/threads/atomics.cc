/* SPDX-License-Identifier: Apache-2.0
 *
 * <atomic>: every width, operations that race, orders, wait and notify.
 */
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "check.hpp"

namespace
{

constexpr int ROUNDS = 3000;

/* All operations of one width, each of which must be lost by nobody; neighbours stay. */
template <typename number>
void
count_in()
{
    struct {
        number low;
        std::atomic<number> value, flags, most;
        number high;
    } of = {number(77), number(0), number(0), number(0), number(78)};

    all([&](int self) {
        for (int i = 0; i < ROUNDS; i++) {
            number seen = of.value.load(std::memory_order_relaxed);

            switch (i % 4) {
            case 0:
                of.value.fetch_add(3, std::memory_order_relaxed);
                break;
            case 1:
                of.value.fetch_sub(1);
                break;
            case 2:
                of.value++;
                break;
            default:
                while (!of.value.compare_exchange_weak(seen, number(seen + 5)))
                    ;
            }
            of.flags.fetch_xor(number(1u << self));
            seen = of.most.load();
            while (seen < number(i % 100) &&
                   !of.most.compare_exchange_strong(seen, number(i % 100)))
                ;
        }
        of.flags.fetch_or(number(16u << self % 2));
        of.flags.fetch_and(number(~1u));
    });
    CHECK(of.value == number(THREADS * ROUNDS / 4 * (3 - 1 + 1 + 5)));
    CHECK((of.flags & 48) == 48 && of.most == 99);
    CHECK(of.low == 77 && of.high == 78 && of.value.is_lock_free());
}

void
test_others()
{
    std::atomic<double> sum = 0;
    std::atomic<int *> pointer = nullptr;
    static int values[THREADS * ROUNDS];
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
    int guarded = 0, plain = 0;
    struct two {
        uint64_t a, b;
    };
    std::atomic<two> wide = two{0, 0}; /* 16 bytes: with a lock */
    std::atomic<unsigned __int128> number = 0;
    struct three {
        uint32_t words[3];
    };
    std::atomic<three> odd = three{{0, 0, 0}};

    pointer = values;
    all([&](int) {
        for (int i = 0; i < ROUNDS; i++) {
            double old = sum.load();
            two seen = wide.load();
            three few = odd.load(), more;

            while (!sum.compare_exchange_weak(old, old + 0.5))
                ;
            *pointer++ += 1;
            while (busy.test_and_set(std::memory_order_acquire))
                ;
            guarded++;
            busy.clear(std::memory_order_release);
            std::atomic_ref<int>(plain)++;
            CHECK(seen.a == seen.b);
            while (!wide.compare_exchange_weak(seen, two{seen.a + 1, seen.b + 1}))
                ;
            number += (unsigned __int128)1 << 64 | 3;
            do {
                CHECK(few.words[0] == few.words[2]);
                more = three{{few.words[0] + 1, 0, few.words[0] + 1}};
            } while (!odd.compare_exchange_weak(few, more));
        }
    });
    CHECK(number == ((unsigned __int128)1 << 64 | 3) * THREADS * ROUNDS);
    CHECK(odd.exchange(three{{0, 0, 0}}).words[0] == THREADS * ROUNDS);
    CHECK(!wide.is_lock_free() && !odd.is_lock_free() && sum.is_lock_free());
    CHECK(sum == 0.5 * THREADS * ROUNDS && pointer == values + THREADS * ROUNDS);
    for (int value : values)
        CHECK(value == 1);
    CHECK(guarded == THREADS * ROUNDS && plain == guarded);
    CHECK(wide.load().a == uint64_t(THREADS * ROUNDS));
}

/* Store, then load of the other's: in a sequential order at least one sees the other's store. */
void
test_orders()
{
    std::atomic<int> x, y, here, nobody = 0;
    int saw_y = 0, saw_x = 0;

    for (int i = 0; i < 50; i++) {
        x = y = here = 0;
        std::thread other([&] {
            here++;
            while (here < 2)
                ;
            x.store(1);
            saw_y = y.load();
        });
        here++;
        while (here < 2)
            ;
        y.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        saw_x = x.load();
        other.join();
        nobody += saw_x == 0 && saw_y == 0;
    }
    CHECK(nobody == 0);

    /* a message: data is there when the flag is */
    int data = 0;
    std::atomic<int> flag = 0;
    std::thread reader([&] {
        for (int i = 1; i <= 200; i++) {
            while (flag.load(std::memory_order_acquire) != i)
                ;
            CHECK(data == i);
            flag.store(-i, std::memory_order_release);
        }
    });
    for (int i = 1; i <= 200; i++) {
        data = i;
        flag.store(i, std::memory_order_release);
        while (flag.load(std::memory_order_acquire) != -i)
            ;
    }
    reader.join();
}

template <typename number>
void
test_wait()
{
    std::atomic<number> turn = 0, woken = 0;
    std::atomic<bool> is_open = false;
    std::thread opener([&] { /* when all have come */
                             for (number now; (now = woken.load()) != THREADS;)
                                 woken.wait(now);
                             is_open = true;
                             is_open.notify_all();
    });

    all([&](int self) {
        woken++;
        woken.notify_one();
        is_open.wait(false);
        for (int i = 0; i < 24; i++) { /* a ring */
            number now;

            while ((now = turn.load()) % THREADS != self)
                turn.wait(now);
            turn.store(number(now + 1));
            turn.notify_all();
        }
    });
    opener.join();
    CHECK(turn == number(24 * THREADS));
}

void
test_flag_wait()
{
    std::atomic_flag flag = ATOMIC_FLAG_INIT;

    std::thread waiter([&] {
        flag.wait(false);
        CHECK(flag.test());
        flag.clear();
        flag.notify_one();
    });
    flag.test_and_set();
    flag.notify_one();
    flag.wait(true);
    CHECK(!flag.test());
    waiter.join();
}

} // namespace

int
main()
{
    count_in<uint8_t>();
    count_in<int16_t>();
    count_in<uint32_t>();
    count_in<int64_t>();
    test_others();
    test_orders();
    test_wait<int>();
    test_wait<int64_t>();
    test_wait<uint8_t>();
    test_flag_wait();
    return finish();
}
