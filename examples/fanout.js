// SPDX-License-Identifier: Apache-2.0
//
// Counts the primes below a number, by many calls of itself, in JavaScript.
//
//     weft deploy examples/fanout.js
//     weft invoke fanout --input '{"below": 10000, "calls": 100}'
//
// It starts so many calls, each with a range, and adds up what they answer. Each of them is
// a Faaslet of its own, and runs where there is room.
import * as weft from "weft";

function isPrime(number) {
    if (number < 4)
        return number > 1;
    for (let i = 2; i * i <= number; i++)
        if (number % i === 0)
            return false;
    return true;
}

function count(first, end) {
    let primes = 0;

    for (let number = first; number < end; number++)
        primes += isPrime(number) ? 1 : 0;
    return primes;
}

function fanOut(below, calls) {
    const me = weft.identity().function;
    const ends = Array.from({ length: calls + 1 }, (_, i) => Math.floor((below * i) / calls));
    const parts = ends.slice(1).map((end, i) => weft.chain(me, { first: ends[i], end }));

    return weft.gather(parts).reduce((sum, answer) => sum + Number(weft.text(answer)), 0);
}

export function handleJson(value) {
    return "first" in value ? count(value.first, value.end) : fanOut(value.below, value.calls);
}
