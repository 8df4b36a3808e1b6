# SPDX-License-Identifier: Apache-2.0
#
# The same for Python, on CPython, which takes minutes to compile the first time.

python=$build/npm/python-wasi-3.12.0/package/dist/python.wasm
[ -f "$python" ] || python=$here/../../build/npm/python-wasi-3.12.0/package/dist/python.wasm
if [ -f "$python" ]; then
    project python '{"name":"Ada"}' 'hello Ada' --python "$python"
else
    echo "skipped: no CPython (tests/programs/fetch)"
fi
