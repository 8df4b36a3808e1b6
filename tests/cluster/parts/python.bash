# SPDX-License-Identifier: Apache-2.0
#
# The same for Python, on CPython, which takes minutes to compile the first time.

python=$build/npm/python-wasi-3.12.0/package/dist/python.wasm
[ -f "$python" ] || python=$here/../../build/npm/python-wasi-3.12.0/package/dist/python.wasm
if [ -f "$python" ]; then
    project python '{"name":"Ada"}' 'hello Ada' --python "$python"
    printf 'from helper import shout\ndef handler(data): return shout(data.decode())\n' \
        >"$work/imports.py"
    echo 'def shout(text): return text.upper() + "!"' >"$work/helper.py"
    expect "deploy of Python with a file that it imports at once" 0 '^imports version 1 ' \
        "$weft" deploy "$work/imports.py" --python "$python" --file "helper.py=$work/helper.py"
    expect "it has imported it" 0 '^HEY!$' "$weft" invoke imports --input hey
else
    echo "skipped: no CPython (tests/programs/fetch)"
fi
