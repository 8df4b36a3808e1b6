/* SPDX-License-Identifier: Apache-2.0
 *
 * C++ in one thread: exceptions, run-time types, files, time. Says "ok" where everything is.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <locale>
#include <map>
#include <memory>
#include <new>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

extern "C" {
int through_c(int (*function)(int), int value); /* frames.c: frames that know no exceptions */
}

static int failed;
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("line %d: %s\n", __LINE__, #condition); \
            failed++; \
        } \
    } while (0)

static int destroyed;
struct guard {
    ~guard() { destroyed++; }
};

struct shape {
    virtual ~shape() = default;
};
struct circle : shape {
};
struct square : virtual shape {
};

static int
recurse(int depth)
{
    guard one;

    if (depth == 0)
        throw std::out_of_range("depth");
    return recurse(depth - 1) + 1;
}

static void
test_exceptions()
{
    bool caught = false;

    try {
        (void)recurse(50);
    } catch (const std::logic_error &error) {
        caught = std::string(error.what()) == "depth";
    }
    CHECK(caught && destroyed == 51);
    try {
        volatile std::size_t bytes = 0xfff00000;
        char *volatile kept = new char[bytes];

        delete[] kept;
        caught = false;
    } catch (const std::bad_alloc &) {
    }
    CHECK(caught);
    try {
        throw 42;
    } catch (long) {
        CHECK(false);
    } catch (int value) {
        CHECK(value == 42);
    }
    CHECK(std::uncaught_exceptions() == 0);
}

static void
nest(int depth)
{
    try {
        if (depth == 0)
            throw std::runtime_error("0");
        nest(depth - 1);
    } catch (...) {
        std::throw_with_nested(std::runtime_error(std::to_string(depth + 1)));
    }
}

static std::string
unwind(const std::exception &error)
{
    std::string text = error.what();

    try {
        std::rethrow_if_nested(error);
    } catch (const std::exception &inner) {
        text += " " + unwind(inner);
    }
    return text;
}

static void
test_nested_exceptions()
{
    std::exception_ptr kept;

    try {
        nest(3);
    } catch (const std::exception &error) {
        CHECK(unwind(error) == "4 3 2 1 0");
    }
    try {
        try {
            throw std::runtime_error("first");
        } catch (...) {
            kept = std::current_exception();
            throw;
        }
    } catch (const std::runtime_error &error) {
        CHECK(std::string(error.what()) == "first");
    }
    try {
        std::rethrow_exception(kept);
    } catch (const std::runtime_error &error) {
        CHECK(std::string(error.what()) == "first");
    }
}

static int
thrower(int value)
{
    if (value < 0)
        throw std::invalid_argument("negative");
    return value * 2;
}

static void
test_exceptions_through_c()
{
    CHECK(through_c(thrower, 4) == 9);
    try {
        (void)through_c(thrower, -1);
        CHECK(false);
    } catch (const std::invalid_argument &error) {
        CHECK(std::string(error.what()) == "negative");
    }
}

static void
test_types()
{
    std::unique_ptr<shape> one = std::make_unique<circle>(), two = std::make_unique<square>();

    CHECK(dynamic_cast<circle *>(one.get()) != nullptr);
    CHECK(dynamic_cast<circle *>(two.get()) == nullptr);
    const shape &second = *two;

    CHECK(typeid(second) == typeid(square));
    try {
        (void)dynamic_cast<circle &>(*two);
        CHECK(false);
    } catch (const std::bad_cast &) {
    }
}

static void
test_files(const std::filesystem::path &root)
{
    namespace fs = std::filesystem;
    fs::path folder = root / "sdk" / "deep", file = folder / "file";
    std::string line;
    std::error_code error;
    int count = 0;

    fs::remove_all(root / "sdk");
    CHECK(fs::create_directories(folder));
    {
        std::ofstream out(file);
        out << "one " << 2 << '\n' << std::hex << 255 << std::endl;
        CHECK(out.good());
    }
    std::ifstream in(file);
    CHECK(std::getline(in, line) && line == "one 2");
    CHECK(std::getline(in, line) && line == "ff");
    CHECK(!std::getline(in, line) && in.eof());
    CHECK(fs::file_size(file) == 9 && fs::is_regular_file(file));
    fs::copy_file(file, folder / "copy");
    fs::rename(folder / "copy", folder / "moved");
    fs::create_symlink("moved", folder / "link");
    CHECK(fs::read_symlink(folder / "link") == "moved");
    for (const auto &entry : fs::recursive_directory_iterator(root / "sdk"))
        count += !entry.path().empty();
    CHECK(count == 4);
    CHECK(fs::canonical(folder / ".." / "deep" / "link") == folder / "moved");
    CHECK(fs::equivalent(folder / "link", folder / "moved"));
    CHECK(fs::space(root).available > 0);
    CHECK(!fs::exists(folder / "none"));
    (void)fs::file_size(folder / "none", error);
    CHECK(error == std::errc::no_such_file_or_directory);
    try {
        (void)fs::file_size(folder / "none");
        CHECK(false);
    } catch (const fs::filesystem_error &caught) {
        CHECK(caught.path1() == folder / "none");
    }
    CHECK(fs::remove_all(root / "sdk") == 5);
}

static void
test_text_and_time()
{
    using namespace std::chrono_literals;
    std::ostringstream out;
    std::smatch match;
    std::string date = "on 2026-11-23";
    auto begin = std::chrono::steady_clock::now();

    out.imbue(std::locale::classic());
    out << 1234567 << ' ' << 1.5 << ' ' << true;
    CHECK(out.str() == "1234567 1.5 1");
    CHECK(std::use_facet<std::ctype<char>>(std::locale()).toupper('a') == 'A');
    try {
        std::locale unknown("xx_XX.none");
    } catch (const std::runtime_error &) {
    }
    CHECK(std::regex_search(date, match, std::regex("(\\d+)-(\\d+)")) && match[2] == "11");
    try {
        (void)std::stoi("no number");
        CHECK(false);
    } catch (const std::invalid_argument &) {
    }
    std::this_thread::sleep_for(2ms);
    CHECK(std::chrono::steady_clock::now() - begin >= 2ms);
    CHECK(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) > 1000000000);
    CHECK(std::thread::hardware_concurrency() >= 1);
}

int
main(int argc, char **argv)
{
    test_exceptions();
    test_nested_exceptions();
    test_exceptions_through_c();
    test_types();
    test_files(argc > 1 ? argv[1] : "/tmp");
    test_text_and_time();
    std::cout << (failed == 0 ? "ok" : "failed") << std::endl;
    return failed != 0;
}
