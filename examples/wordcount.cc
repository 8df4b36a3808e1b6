/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of its input, most frequent first, in C++.
 *
 *     weft deploy examples/wordcount.cc
 *     weft invoke wordcount --input-file README.md
 */
#include <algorithm>
#include <cctype>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

static std::map<std::string, unsigned>
count_words(std::istream &in)
{
    std::map<std::string, unsigned> counts;
    std::string word;

    while (in >> word) {
        word.erase(std::remove_if(word.begin(), word.end(),
                                  [](unsigned char c) { return std::ispunct(c) != 0; }),
                   word.end());
        for (char &c : word)
            c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (!word.empty())
            counts[word]++;
    }
    return counts;
}

int
main()
{
    auto counts = count_words(std::cin);
    std::vector<std::pair<std::string, unsigned>> words(counts.begin(), counts.end());

    std::stable_sort(words.begin(), words.end(),
                     [](const auto &a, const auto &b) { return a.second > b.second; });
    for (std::size_t i = 0; i < words.size() && i < 10; i++)
        std::cout << words[i].second << ' ' << words[i].first << '\n';
    return 0;
}
