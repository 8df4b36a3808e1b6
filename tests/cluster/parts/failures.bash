# SPDX-License-Identifier: Apache-2.0
#
# Programs that fail: exit codes, messages, and that the next call is none the worse.

expect "exit code" 7 'it leaves with 7' "$weft" invoke tool --input "exit 7"
http "exit code, by the API" 502 '"function_exit".*"exit_code": ?9' POST /v1/invoke/tool \
    -d 'exit 9'
http "exit 0 is no failure" 200 '^$' POST /v1/invoke/tool -d 'exit 0'
expect "trap" 1 'out of bounds memory access' "$weft" invoke tool --input trap
expect "trap names function and line" 1 'poke.*tool\.c:[0-9]+' "$weft" invoke tool --input trap
http "trap, by the API" 502 '"function_trap".*"backtrace": ?"[^"]*tool\.c:' \
    POST /v1/invoke/tool -d trap

expect "deploy with a time limit" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name hasty --time 0.3
expect "time limit" 1 'time limit' "$weft" invoke hasty --input loop
expect "time limit of one that sleeps" 1 'time limit' "$weft" invoke hasty --input "sleep 5000"
http "time limit, by the API" 504 '"limit": ?"time"' POST /v1/invoke/hasty -d loop
expect "deploy with a processor time limit" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name frugal --cpu 0.1
expect "processor time limit" 1 'more processor time than its limit of 0\.1 s' \
    "$weft" invoke frugal --input loop
expect "deploy with a memory limit" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name small --memory 8M
expect "memory limit" 3 'no memory after [0-9] MiB' "$weft" invoke small --input allocate
expect "memory limit is named" 3 'memory limit' "$weft" invoke small --input allocate
expect "deploy with a limit of output" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name quiet --output 8
expect "limit of output" 1 'output limit' "$weft" invoke quiet --input "echo more than eight bytes"
expect "limit of output, not reached" 0 '^eight$' "$weft" invoke quiet --input "echo eight"
http "an answer that is waited for in vain" 504 '"wait_over"|"limit"' \
    POST '/v1/invoke/tool?wait_ms=300' -d 'sleep 20000'
expect "and the next call is well" 0 '^well$' "$weft" invoke tool --input "echo well"
