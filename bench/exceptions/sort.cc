/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting by an order that is chosen at run time and may refuse what it is asked; a try around
 * each sort.
 */
#include <algorithm>
#include <string>
#include <vector>

#include "bench.hpp"

struct row {
    double weight;
    uint32_t id;
    std::string name;
};

using order = bool (*)(const row &, const row &);

static bool
by_weight(const row &a, const row &b)
{
    if (a.weight != a.weight || b.weight != b.weight)
        THROW(std::domain_error("not a number"));
    return a.weight < b.weight;
}

static bool
by_name(const row &a, const row &b)
{
    if (a.name.empty() || b.name.empty())
        THROW(std::invalid_argument("no name"));
    return a.name < b.name;
}

static bool
by_id(const row &a, const row &b)
{
    if (a.id == b.id && &a != &b)
        THROW(std::invalid_argument("twice"));
    return a.id < b.id;
}

int
main()
{
    const order orders[] = {by_weight, by_name, by_id};
    uint32_t state = 3;
    std::vector<row> rows;

    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t number = next_number(state);

        rows.push_back({number / 7.0, i, "row " + std::to_string(number)});
    }
    tell_best([&] {
        uint32_t total = 0, failed = 0;

        for (order by : orders) {
            TRY
            {
                std::sort(rows.begin(), rows.end(), by);
            }
            CATCH(const std::exception &, { failed++; })
            total = total * 31 + rows[rows.size() / 3].id;
        }
        return total + failed;
    });
}
