/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to throw and to catch, in nanoseconds: an int in the same function's callee,
 * an exception of the library, and one through ten frames with destructors.
 */
#include "bench.hpp"

#define TIMES 20000

static volatile int gone, always = 1;

struct object {
    ~object()
    {
        gone = gone + 1;
    }
};

[[gnu::noinline]] static void
throw_int()
{
    if (always)
        throw 1;
}

[[gnu::noinline]] static void
throw_error()
{
    if (always)
        throw std::runtime_error("as expected");
}

[[gnu::noinline]] static int
throw_below(int depth)
{
    object here;

    if (depth == 0)
        throw_int();
    return throw_below(depth - 1) + gone;
}

template <typename work>
static void
tell(const char *name, work throws)
{
    double begin = now_ns();
    int caught = 0;

    for (int i = 0; i < TIMES; i++) {
        try {
            throws();
        } catch (const std::exception &) {
            caught++;
        } catch (int value) {
            caught += value;
        }
    }
    std::printf("%s %.1f\n", name, (now_ns() - begin) / caught);
}

int
main()
{
    tell("int", throw_int);
    tell("error", throw_error);
    tell("ten-frames", [] { throw_below(9); });
}
