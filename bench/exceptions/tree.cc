/* SPDX-License-Identifier: Apache-2.0
 *
 * A walk over an expression tree: virtual calls within a try at each level, and an object with a
 * destructor in each frame.
 */
#include <memory>
#include <vector>

#include "bench.hpp"

struct walk {
    uint32_t depth = 0, deepest = 0, failed = 0;
};

/* How deep the walk is, as long as it lives. */
class level
{
  public:
    explicit level(walk &now) : now_(now)
    {
        if (++now_.depth > 4096)
            THROW(std::length_error("too deep"));
        if (now_.depth > now_.deepest)
            now_.deepest = now_.depth;
    }
    ~level()
    {
        now_.depth--;
    }

  private:
    walk &now_;
};

struct node {
    virtual ~node() = default;
    virtual uint32_t value(walk &now) const = 0;
};

struct leaf : node {
    uint32_t number;
    explicit leaf(uint32_t from) : number(from)
    {
    }
    uint32_t value(walk &now) const override
    {
        if (number == UINT32_MAX)
            THROW(std::domain_error("no number"));
        return number + now.depth;
    }
};

struct sum : node {
    std::unique_ptr<node> left, right;
    uint32_t value(walk &now) const override
    {
        level here(now);
        uint32_t total = 0;

        TRY
        {
            total += left->value(now);
            total += right->value(now);
        }
        CATCH(const std::domain_error &, { now.failed++; })
        return total;
    }
};

struct quotient : node {
    std::unique_ptr<node> left, right;
    uint32_t value(walk &now) const override
    {
        level here(now);
        uint32_t below = right->value(now) | 1;

        if (below == 0)
            THROW(std::domain_error("division by zero"));
        return left->value(now) / below;
    }
};

template <typename kind> static std::unique_ptr<node> make(unsigned depth, uint32_t &state);

static std::unique_ptr<node>
make_any(unsigned depth, uint32_t &state)
{
    uint32_t choice = next_number(state);

    if (depth == 0 || choice % 16 == 0)
        return std::make_unique<leaf>(choice);
    return choice % 3 == 0 ? make<quotient>(depth, state) : make<sum>(depth, state);
}

template <typename kind>
static std::unique_ptr<node>
make(unsigned depth, uint32_t &state)
{
    auto made = std::make_unique<kind>();

    made->left = make_any(depth - 1, state);
    made->right = make_any(depth - 1, state);
    return made;
}

int
main()
{
    uint32_t state = 7;
    auto root = make<sum>(12, state);
    walk now;

    tell_best([&] {
        uint32_t total = 0;

        for (int i = 0; i < 300; i++)
            total = total * 31 + root->value(now);
        return total + now.deepest + now.failed;
    });
}
