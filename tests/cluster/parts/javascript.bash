# SPDX-License-Identifier: Apache-2.0
#
# The same for JavaScript, on QuickJS: also what it imports, logs, and calls.

javascript=$build/share/javascript.wasm
[ -f "$javascript" ] || javascript=$here/../../build/share/javascript.wasm
if [ -f "$javascript" ]; then
    project javascript '{"name":"Ada"}' 'hello Ada' --javascript "$javascript"
    export WEFT_JAVASCRIPT=$javascript
    expect "deploy of an example in JavaScript" 0 '^fanout-js version 1 ' \
        "$weft" deploy "$here/../../examples/fanout.js" --name fanout-js
    expect "it calls itself, a hundred times" 0 '^1229$' \
        "$weft" invoke fanout-js --input '{"below":10000,"calls":100}'
    cat >"$work/logs.js" <<'END'
import { readFile, text } from "weft";
import { shout } from "./helper.js";
export function handler(data) {
    console.log("this is logged:", text(data));
    if (text(data) === "fail")
        throw new TypeError("bad luck");
    return shout(text(readFile("/note.txt"))).trim();
}
END
    echo 'export const shout = (words) => words.toUpperCase();' >"$work/helper.js"
    echo 'a note' >"$work/note.txt"
    expect "deploy of JavaScript with files" 0 '^logs-js version 1 ' "$weft" deploy "$work/logs.js" \
        --name logs-js --file "helper.js=$work/helper.js" --file "note.txt=$work/note.txt"
    expect "it imports one and reads another" 0 '^A NOTE$' "$weft" invoke logs-js --input one
    expect "an exception is exit code 1, with its lines" 1 'TypeError: bad luck' \
        "$weft" invoke logs-js --input fail
    expect "what it wrote with console.log" 0 'this is logged: one' "$weft" logs logs-js
    echo 'export function handler(data {' >"$work/wrong.js"
    expect "deploy of what is no JavaScript" 2 'SyntaxError' "$weft" deploy "$work/wrong.js"
    unset WEFT_JAVASCRIPT
else
    echo "skipped: no QuickJS (make javascript)"
fi
