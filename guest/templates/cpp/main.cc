// SPDX-License-Identifier: CC0-1.0
// NAME: the lines that it is given, sorted.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

int
main()
{
    std::vector<std::string> lines;
    std::string line;

    while (std::getline(std::cin, line))
        lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    for (const std::string &one : lines)
        std::cout << one << '\n'; // what is printed is the answer
    return 0;
}
