# SPDX-License-Identifier: Apache-2.0
#
# State from Python and JavaScript: a program in C on one host and one in Python on the other
# share a counter and a queue; a shell's user sees the files that they leave. Programs that know
# nothing of it work on files of state: bzip2, Lua, CPython's library.

first=$(host_names | head -n 1)
second=$(host_names | tail -n 1)
# there HOST FUNCTION INPUT: a call that runs there, its answer.
there() {
    local other=$first
    [ "$1" != "$first" ] || other=$second
    "$weft" drain "$other" >/dev/null
    "$weft" invoke "$2" --input "$3"
    "$weft" drain undo "$other" >/dev/null
}

guest queue
expect "deploy of C with a queue" 0 '^queue version 1 ' "$weft" deploy "$work/queue.wasm"
python=$build/npm/python-wasi-3.12.0/package/dist/python.wasm
[ -f "$python" ] || python=$here/../../build/npm/python-wasi-3.12.0/package/dist/python.wasm
if [ -f "$python" ]; then
    expect "deploy of the example in Python" 0 '^shared version 1 ' \
        "$weft" deploy "$here/../../examples/state.py" --name shared --python "$python"
    same "Python counts, on $first" '{"visits": 1, "names": ["Ada"]}' \
        "$(there "$first" shared '{"visit":"Ada"}')"
    same "C goes on, on $second" 2 "$(there "$second" queue visits)"
    same "Python sees it, on $second" '{"visits": 3, "names": ["Ada", "Bob"]}' \
        "$(there "$second" shared '{"visit":"Bob"}')"
    same "all is in the book, on $first" '["1: Ada", "3: Bob"]' \
        "$(there "$first" shared '{"book":1}')"
    there "$first" queue "push 3" >/dev/null
    same "Python takes what C has pushed elsewhere" '["C 0", "C 1"]' \
        "$(there "$second" shared '{"take":2}')"
    there "$second" shared '{"work":["of Python","and more"]}' >/dev/null
    same "C takes what is left, in order" "$(printf 'C 2\nof Python\nand more')" \
        "$(there "$first" queue "pop 3")"
    waiting=$("$weft" invoke shared --async --input '{"take":1}')
    there "$first" queue "push 1" >/dev/null
    expect "one who waits is woken" 0 '^\["C 0"\]$' "$weft" calls wait "$waiting"
    expect "a file is a value" 0 '^\["Ada", "Bob"\]$' "$weft" state get example/names.json
    expect "what is appended is a log" 0 '^example/book +log ' "$weft" state ls example/book
    "$weft" state put example/names.json - <<<'["Eve"]' >/dev/null
    same "and a value a file" '{"visits": 4, "names": ["Eve", "Ada"]}' \
        "$(there "$first" shared '{"visit":"Ada"}')"
    cat >"$work/library.py" <<'END'
import json, os, pathlib, pickle, shutil, tempfile, zipfile

TOP = pathlib.Path("/state/library")


def handler(data):
    (TOP / "a" / "b").mkdir(parents=True)
    (TOP / "a" / "one").write_text("hello")
    (TOP / "a" / "b" / "two").write_bytes(pickle.dumps({"x": [1, 2]}))
    assert pickle.loads((TOP / "a" / "b" / "two").read_bytes()) == {"x": [1, 2]}
    shutil.copy2(TOP / "a" / "one", TOP / "a" / "three")
    shutil.move(TOP / "a" / "three", TOP / "a" / "four")
    shutil.copytree(TOP / "a", TOP / "z")
    with zipfile.ZipFile(TOP / "zip", "w") as archive:
        archive.write(TOP / "a" / "one", "first")
    with zipfile.ZipFile(TOP / "zip", "a") as archive:
        archive.writestr("second", "x" * 5000)
    with zipfile.ZipFile(TOP / "zip") as archive:
        assert archive.read("first") == b"hello" and len(archive.namelist()) == 2
    with tempfile.NamedTemporaryFile(dir=TOP) as file:
        assert os.path.exists(file.name)
    names = sorted(str(path.relative_to(TOP)) for path in TOP.rglob("*"))
    shutil.rmtree(TOP)
    return json.dumps([names, TOP.exists()])
END
    expect "deploy of what uses CPython's library" 0 '^library version 1 ' \
        "$weft" deploy "$work/library.py" --python "$python"
    same "the library works on files of state" \
        '[["a", "a/b", "a/b/two", "a/four", "a/one", "z", "z/b", "z/b/two", "z/four", "z/one", "zip"], false]' \
        "$("$weft" invoke library)"
else
    echo "skipped: no CPython (tests/programs/fetch)"
fi
programs=$here/../../build/programs
if [ -f "$programs/bzip2.wasm" ] && [ -f "$programs/lua.wasm" ]; then
    for program in bzip2 lua; do
        expect "deploy of $program" 0 "^$program version 1 " "$weft" deploy "$programs/$program.wasm"
    done
    seq 1 40000 >"$work/words"
    "$weft" state put words "$work/words" >/dev/null
    expect "bzip2 makes a file of state from another" 0 '^$' \
        "$weft" invoke bzip2 --arg -k --arg /state/words
    same "it is one" "$(sha256sum <"$work/words")" \
        "$("$weft" state get words.bz2 | bunzip2 | sha256sum)"
    expect "and takes it back" 0 '^$' "$weft" invoke bzip2 --arg -df --arg /state/words.bz2
    same "as it was" "$(sha256sum <"$work/words")" "$("$weft" state get words | sha256sum)"
    expect "the other is gone" 2 'no such' "$weft" state get words.bz2
    expect "Lua adds it up" 0 '^800020000$' "$weft" invoke lua --arg -e --arg 'local n = 0
        for line in io.lines("/state/words") do n = n + tonumber(line) end
        local file = io.open("/state/sum", "w+")
        file:write(n) file:seek("set", 0) print(file:read("a")) file:close()
        assert(os.rename("/state/sum", "/state/total")) assert(os.remove("/state/words"))'
    expect "and leaves the sum" 0 '^800020000$' "$weft" state get total
else
    echo "skipped: no programs (make programs)"
fi
javascript=$build/share/javascript.wasm
[ -f "$javascript" ] || javascript=$here/../../build/share/javascript.wasm
if [ -f "$javascript" ]; then
    expect "deploy of the example in JavaScript" 0 '^cached version 1 ' \
        env WEFT_JAVASCRIPT="$javascript" "$weft" deploy "$here/../../examples/state.js" \
        --name cached
    same "it computes, on $first" "6765, asked 1 times" "$(there "$first" cached 20)"
    same "and finds it, on $second" "6765, asked 2 times" "$(there "$second" cached 20)"
    expect "as a user does" 0 '^6765$' "$weft" state get example/fibonacci/20
else
    echo "skipped: no QuickJS (make javascript)"
fi
"$weft" state ls --json | jq -r '.state[].key' | while read -r key; do
    "$weft" state rm "$key" >/dev/null
done
expect "nothing is left" 0 'no state' "$weft" state ls
