/* SPDX-License-Identifier: Apache-2.0
 *
 * A parser of JSON's kind: strings, vectors and maps that are destroyed on each way out, and an
 * error that is thrown at each turn that goes wrong.
 */
#include <map>
#include <string>
#include <vector>

#include "bench.hpp"

struct value {
    enum { NUMBER, STRING, ARRAY, OBJECT } kind = NUMBER;
    double number = 0;
    std::string string;
    std::vector<value> array;
    std::map<std::string, value> object;
};

class parser
{
  public:
    explicit parser(const std::string &text) : text_(text)
    {
    }

    value parse()
    {
        value made = any();

        if (at_ != text_.size())
            fail("something follows");
        return made;
    }

  private:
    const std::string &text_;
    size_t at_ = 0;

    [[noreturn]] void fail(const char *what)
    {
        THROW(std::runtime_error(std::string(what) + " at " + std::to_string(at_)));
    }

    char peek()
    {
        if (at_ >= text_.size())
            fail("it ends early");
        return text_[at_];
    }

    void expect(char c)
    {
        if (peek() != c)
            fail("another character is expected");
        at_++;
    }

    std::string string()
    {
        std::string made;

        for (expect('"'); peek() != '"'; at_++) {
            if (text_[at_] == '\\')
                at_++;
            made.push_back(peek());
        }
        expect('"');
        return made;
    }

    double number()
    {
        double made = 0;
        size_t begin = at_;

        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; at_++)
            made = made * 10 + (text_[at_] - '0');
        if (at_ == begin)
            fail("a number is expected");
        return made;
    }

    value array()
    {
        value made;

        made.kind = value::ARRAY;
        expect('[');
        while (peek() != ']') {
            made.array.push_back(any());
            if (peek() == ',')
                at_++;
        }
        expect(']');
        return made;
    }

    value object()
    {
        value made;

        made.kind = value::OBJECT;
        expect('{');
        while (peek() != '}') {
            std::string key = string();

            expect(':');
            made.object.emplace(std::move(key), any());
            if (peek() == ',')
                at_++;
        }
        expect('}');
        return made;
    }

    value any()
    {
        value made;

        switch (peek()) {
        case '[':
            return array();
        case '{':
            return object();
        case '"':
            made.kind = value::STRING;
            made.string = string();
            return made;
        default:
            made.number = number();
            return made;
        }
    }
};

static std::string
make_text(unsigned depth, uint32_t &state)
{
    uint32_t choice = next_number(state);
    std::string text;

    if (depth == 0)
        return choice % 2 == 0 ? std::to_string(choice)
                               : "\"a word, and no. " + std::to_string(choice) + "\"";
    for (unsigned i = 0; i < 4 + choice % 4; i++) {
        if (i > 0)
            text += ',';
        if (choice % 3 != 0)
            text += "\"key" + std::to_string(next_number(state) % 100) + "\":";
        text += make_text(depth - 1, state);
    }
    return choice % 3 == 0 ? '[' + text + ']' : '{' + text + '}';
}

static size_t
weight(const value &of)
{
    size_t total = of.string.size() + (size_t)of.number % 10;

    for (const value &item : of.array)
        total += weight(item);
    for (const auto &[key, item] : of.object)
        total += key.size() + weight(item);
    return total;
}

int
main()
{
    uint32_t state = 5;
    const std::string text = make_text(5, state);

    tell_best([&] {
        size_t total = 0, failed = 0;

        for (int i = 0; i < 4; i++) {
            TRY
            {
                total += weight(parser(text).parse());
            }
            CATCH(const std::runtime_error &, { failed++; })
        }
        return total + failed;
    });
}
