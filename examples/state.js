// SPDX-License-Identifier: Apache-2.0
//
// State from JavaScript: what was computed once, on any host, is there for all calls.
//
//     weft deploy examples/state.js --name cached
//     weft invoke cached --input 30
//     weft invoke cached --input 30
import { state, text } from "weft";

const slowly = (n) => (n < 2 ? n : slowly(n - 1) + slowly(n - 2));

// What the key holds; or what is computed, which the first to be ready keeps.
function cached(key, compute) {
    try {
        return text(state.get(key));
    } catch (error) {
        if (error.code !== "ENOENT")
            throw error;
    }
    try {
        state.cas(key, 0, String(compute()));
        state.expire(key, 3600);
    } catch (error) {
        if (error.code !== "EAGAIN")
            throw error;
    }
    return text(state.get(key));
}

export function handler(data) {
    const n = Number(text(data));
    const answer = cached(`example/fibonacci/${n}`, () => slowly(n));

    return `${answer}, asked ${state.add("example/asked")} times\n`;
}
