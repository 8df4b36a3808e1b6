// SPDX-License-Identifier: Apache-2.0
//
//     weft deploy examples/hello.js
//     weft invoke hello --input weft
//
// A handler gets the input as bytes; what it returns is the result.
import { text } from "weft";

export function handler(data) {
    return `hello ${text(data) || "world"}`;
}
