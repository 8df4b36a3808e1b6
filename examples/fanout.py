# SPDX-License-Identifier: Apache-2.0
#
# Counts the primes below a number, by many calls of itself, in Python.
#
#     weft deploy examples/fanout.py
#     weft invoke fanout --input '{"below": 10000, "calls": 100}'
#
# It starts so many calls, each with a range, and adds up what they answer. Each of them is
# a Faaslet of its own, and runs where there is room.
import weft


def is_prime(number):
    if number < 4:
        return number > 1
    return number % 2 and all(number % i for i in range(3, int(number**0.5) + 1, 2))


def handle_json(value):
    if "first" in value:
        return sum(1 for n in range(value["first"], value["end"]) if is_prime(n))
    return fan_out(value["below"], value["calls"])


def fan_out(below, count):
    me = weft.identity()["function"]
    ends = [below * i // count for i in range(count + 1)]
    calls = [weft.chain(me, {"first": a, "end": b}) for a, b in zip(ends, ends[1:])]
    return sum(int(answer) for answer in weft.gather(calls))
