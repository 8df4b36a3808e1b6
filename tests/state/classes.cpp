/* SPDX-License-Identifier: Apache-2.0
 *
 * The classes of weft/state.hpp, each once and together, by many calls on all hosts.
 */
#include <weft/state.hpp>

#include "check.h"

namespace
{

constexpr uint32_t turns = 5;

struct item {
    uint32_t self, number;
};

void
work(uint32_t self)
{
    weft::array<int64_t> numbers;
    weft::hogwild_array<float> weights;
    weft::fixed_array<double> table;
    weft::counter count("class/count");
    weft::list<item> list("class/list");
    weft::map<item> map("class/map");
    weft::queue<item> queue;
    weft::barrier barrier("class/barrier", MANY);
    weft::semaphore semaphore("class/semaphore");

    OK(numbers.open("class/numbers", MANY * 2));
    OK(weights.open("class/weights", MANY));
    OK(table.open("class/table"));
    OK(queue.open("class/queue"));
    SAME(100, table.size());
    for (uint64_t i = 0; i < table.size(); i++)
        CHECK(table[i] == static_cast<double>(i) / 4);
    for (uint32_t i = 0; i < turns; i++) {
        weft::lock_guard guard("class/numbers");

        OK(numbers.pull());
        numbers[self / 2] += self + 1;
        OK(numbers.push());
    }
    for (uint32_t i = 0; i < turns; i++) {
        weights.add(self, 0.25f);
        OK(weights.sync());
        OK(list.append({self, i}));
        OK(queue.push({self, i}));
    }
    OK(semaphore.acquire());
    OK(map.put(std::to_string(self).c_str(), {self, self * self}));
    OK(semaphore.release());
    OK(count.add(self));
    OK(barrier.wait());
    for (uint32_t i = 0; i < turns; i++) {
        item got;

        OK(queue.pop(got, PATIENCE));
        OK(count.add(1000));
    }
}

void
check_memory()
{
    weft::array<int64_t> numbers;
    weft::hogwild_array<float> weights;

    OK(numbers.open("class/numbers", MANY * 2));
    OK(numbers.pull());
    for (uint32_t i = 0; i < MANY / 2; i++)
        SAME((4 * i + 3) * turns, numbers[i]);
    OK(weights.open("class/weights", MANY));
    OK(weights.sync());
    for (uint32_t i = 0; i < MANY; i++)
        CHECK(weights.get(i) == turns * 0.25f);
}

void
check_rest()
{
    std::vector<std::string> names;
    weft::counter count("class/count");
    weft::list<item> list("class/list");
    weft::map<item> map("class/map");
    uint64_t length = 0;
    int64_t value = 0;
    item found = {};

    OK(count.get(value));
    SAME(MANY * (MANY - 1) / 2 + 1000 * MANY * turns, value);
    OK(list.length(length));
    SAME(MANY * turns, length);
    OK(list.get(length - 1, found));
    SAME(ENOENT, list.get(length, found));
    OK(map.names(names));
    SAME(MANY, names.size());
    for (const std::string &name : names) {
        OK(map.get(name.c_str(), found));
        SAME(std::stoul(name), found.self);
        SAME(found.self * found.self, found.number);
    }
    SAME(EMSGSIZE, weft::map<char>("class/map").get("3", *reinterpret_cast<char *>(&found)));
}

void
test_matrices()
{
    weft_triplet triplets[] = {{2, 1, 0.5}, {0, 0, 1}, {2, 1, 0.25}, {1, 2, 3}};
    weft::matrix<float> matrix;
    weft::matrix<double> wrong;
    weft::sparse_matrix<double> sparse;

    OK(weft::matrix<float>::create("class/matrix", 3, 4));
    OK(matrix.open("class/matrix", WEFT_STATE_WRITE));
    matrix(2, 3) = 7;
    OK(matrix.push());
    CHECK(matrix.column(3)[2] == 7);
    SAME(EPROTO, wrong.open("class/matrix", 0));
    OK(weft::sparse_matrix<double>::build("class/sparse", WEFT_CSC, 3, 3, triplets));
    OK(sparse.open("class/sparse"));
    SAME(3, sparse.nonzeros());
    SAME(1, sparse[1].indices.size());
    SAME(2, sparse[1].indices[0]);
    CHECK(sparse[1].elements[0] == 0.75);
}

void
test_a_lock_is_let_go_at_the_end_of_its_block()
{
    weft::lock lock("class/lock");

    {
        weft::lock_guard guard("class/lock");

        SAME(EDEADLK, lock.take(0));
    }
    OK(lock.take(0));
    OK(lock.drop());
    SAME(EINVAL, lock.drop());
}

void
all()
{
    std::vector<double> table(100);
    weft::semaphore semaphore("class/semaphore");

    forget_all("class/");
    for (size_t i = 0; i < table.size(); i++)
        table[i] = static_cast<double>(i) / 4;
    OK(weft::fixed_array<double>::publish("class/table", table));
    OK(semaphore.create(2));
    fan("work", MANY);
    check_memory();
    check_rest();
    test_matrices();
    test_a_lock_is_let_go_at_the_end_of_its_block();
}

} // namespace

int
main()
{
    static const part parts[] = {{"work", work}};

    return run_parts(parts, 1, all);
}
