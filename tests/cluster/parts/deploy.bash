# SPDX-License-Identifier: Apache-2.0
#
# From nothing to an answer in each language, and what deploying can be told.

project c Ada '^ADA$'
project cpp Ada '^Ada$'
project rust '20 22' '^42$'
# Whatever comes first in PATH: one without the target is passed over, unless it was named.
mkdir -p "$work/rustup"
printf '#!/bin/sh\nexit 1\n' >"$work/rustup/rustc"
chmod +x "$work/rustup/rustc"
expect "deploy of Rust, another rustc first in PATH" 0 '^my-rust version 2 ' \
    env PATH="$work/rustup:$PATH" "$weft" deploy "$work/my-rust"
expect "deploy of Rust, a compiler that RUSTC names" 0 '^my-rust version 3 ' \
    env RUSTC=/usr/bin/rustc PATH="$work/rustup:$PATH" "$weft" deploy "$work/my-rust"
expect "deploy of Rust, RUSTC has not the target" 2 'which RUSTC names.*wasm32-wasi' \
    env RUSTC="$work/rustup/rustc" "$weft" deploy "$work/my-rust"
expect "weft new, a language that is none" 2 'no template for cobol' "$weft" new cobol thing
expect "weft new, a name that is none" 2 'a letter, then' "$weft" new c ../thing

# ------------------------------------------------------------------------------- options
expect "deploy with arguments" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name arguments --env VERB=arguments --arg one --arg "t w o"
expect "arguments of every call, and of this one" 0 '^one t w o three$' \
    "$weft" invoke arguments --arg three
echo "text of a file" >"$work/note.txt"
expect "deploy with a file" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name reader --file "notes/one.txt=$work/note.txt"
expect "a call reads the file that was deployed" 0 '^text of a file$' \
    "$weft" invoke reader --input "file /notes/one.txt"
expect "another function has not that file" 91 '' "$weft" invoke tool --input "file /notes/one.txt"

# ------------------------------------------------------------------------ what is refused
head -c 1000 "$work/tool.wasm" >"$work/cut.wasm"
expect "deploy of half a module" 2 'at byte 0x' "$weft" deploy "$work/cut.wasm"
http "the API says why" 400 '"module_invalid".*at byte 0x' PUT /v1/functions/cut \
    -H 'Content-Type: application/wasm' --data-binary "@$work/cut.wasm"
http "a module that nobody put" '40[04]' '"code":' PUT /v1/functions/cut \
    -H 'Content-Type: application/json' -d "{\"module\":\"$(printf '%064d' 1)\"}"
expect "nothing of it is there" 2 'cut' "$weft" functions show cut
echo 'int main(void) { return undeclared; }' >"$work/wrong.c"
expect "deploy of what does not compile" 2 'undeclared' "$weft" deploy "$work/wrong.c"
expect "invoke of what is not there" 2 'nothing' "$weft" invoke nothing
expect "functions" 0 '^tool +1 ' "$weft" functions
