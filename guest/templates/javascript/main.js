// SPDX-License-Identifier: CC0-1.0
// NAME: greets whom it is given as JSON.
import * as weft from "weft";

export function handleJson(value) {
    const name = value?.name ?? "world";

    weft.log(`greets ${name}`);
    return { greeting: `hello ${name}` };
}
