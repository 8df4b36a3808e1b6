# SPDX-License-Identifier: Apache-2.0
#
# From nothing to an answer in each language, and what deploying can be told.

project() { # project LANGUAGE INPUT ANSWER [DEPLOY_OPTION...]
    local language=$1 input=$2 answer=$3
    shift 3
    (cd "$work" && "$weft" new "$language" "my-$language") >"$work/new.out" 2>&1 ||
        fail "weft new $language" "$(cat "$work/new.out")"
    expect "weft deploy, $language" 0 "^my-$language version 1 " \
        "$weft" deploy "$work/my-$language" "$@"
    expect "weft invoke, $language" 0 "$answer" "$weft" invoke "my-$language" --input "$input"
    expect "and again, $language" 0 "$answer" "$weft" invoke "my-$language" --input "$input"
}

project c Ada '^ADA$'
project cpp 'one two one' 'one.*2'
if [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32-wasi" ]; then
    project rust '20 22' '^42$'
else
    echo "skipped: no rustc with wasm32-wasi (packages rustc, libstd-rust-dev-wasm32)"
fi
python=$build/npm/python-wasi-3.12.0/package/dist/python.wasm
[ -f "$python" ] || python=$here/../../build/npm/python-wasi-3.12.0/package/dist/python.wasm
if [ -f "$python" ]; then
    project python '{"name":"Ada"}' 'hello Ada' --python "$python"
else
    echo "skipped: no CPython (tests/programs/fetch)"
fi
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
