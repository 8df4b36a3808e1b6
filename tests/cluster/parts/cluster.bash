# SPDX-License-Identifier: Apache-2.0
#
# Hosts, drain, top, metrics, completion; what the programs are linked with.

same "two hosts" 2 "$(host_names | wc -l)"
expect "hosts, for people" 0 '-2 .* yes' "$weft" hosts
first=$(host_names | head -n 1)
second=$(host_names | tail -n 1)
# Where so many calls ran, one after the other.
places() {
    for _ in $(seq "$1"); do
        "$weft" invoke tool -v --input "echo x" 2>&1 >/dev/null |
            sed -n 's/.*Host \([^,]*\),.*/\1/p'
    done | sort -u | xargs
}
expect "drain" 0 'no new calls' "$weft" drain "$first"
same "all calls go elsewhere" "$second" "$(places 8)"
expect "it is seen" 0 true jq -e ".hosts[] | select(.name == \"$first\") | .draining" \
    <("$weft" hosts --json)
expect "drain of what is not there" 2 'none of this name' "$weft" drain nowhere
expect "drain both" 0 'no new calls' "$weft" drain "$second"
waiting=$("$weft" invoke tool --async --input "echo patience")
expect "it waits" 0 '^state +open' "$weft" calls show "$waiting"
expect "undo" 0 'undone' "$weft" drain undo "$first"
expect "undo the other" 0 'undone' "$weft" drain undo "$second"
expect "then it runs" 0 '^patience$' "$weft" calls wait "$waiting"
both() {
    local calls
    mapfile -t calls < <(for _ in 1 2 3 4; do "$weft" invoke tool --async --input "sleep 300"; done)
    for call in "${calls[@]}"; do
        "$weft" calls wait "$call" >/dev/null
        "$weft" calls show "$call" --json | jq -r .host
    done | sort -u | wc -l | grep -q 2
}
expect_soon "calls at one time are spread over both" 20 both

expect "top --json" 0 true \
    jq -e '(.hosts | length == 2) and (.running | type == "number") and .ended > 10' \
    <("$weft" top --json)
expect "top, where it is no terminal" 0 'waiting 0 ' "$weft" top
http_as "$admin" "cluster" 200 '"leading": ?true' GET /v1/cluster
idle() {
    request "$admin" GET /v1/cluster | sed '$d' |
        jq -e '.used == 0 and .running == 0 and .waiting == 0'
}
expect_soon "it is idle" 20 idle

# -------------------------------------------------------------------------------- metrics
request "$token" GET /metrics | sed '$d' >"$work/metrics"
label='[a-z_]+="([^"\\]|\\.)*"'
same "every line of the metrics can be read" "" "$(grep -vE \
    "^(# (HELP|TYPE) [a-z_]+ .*|[a-z_]+(\\{$label(,$label)*\\})? [0-9.e+-]+)?\$" "$work/metrics")"
expect "calls are counted" 0 '^weft_calls_total\{.*function="tool".*\} [1-9]' cat "$work/metrics"
for name in weft_queue_seconds weft_start_seconds weft_run_seconds; do
    expect "a histogram of $name" 0 "^# TYPE $name histogram" cat "$work/metrics"
    expect "$name has its last bucket" 0 \
        "^${name}_bucket\{.*le=\"\+Inf\"\} [1-9]" cat "$work/metrics"
done
request "$admin" GET /metrics | sed '$d' >"$work/metrics"
expect "hosts are counted" 0 '^weft_hosts 2$' cat "$work/metrics"
expect "requests are counted" 0 '^weft_http_requests_total\{code="200"\} [1-9]' cat "$work/metrics"

# ----------------------------------------------------------------------------- completion
"$weft" completion bash >"$work/completion.bash"
complete_with() { # complete_with WORD...
    PATH=$build:$PATH bash -c '. "$1" && shift && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) &&
        _weft && printf "%s\n" "${COMPREPLY[@]}"' _ "$work/completion.bash" "$@"
}
expect "completion of a command" 0 '^functions$' complete_with weft fun
expect "completion of an option" 0 '^--memory$' complete_with weft deploy --me
expect "completion of a function" 0 '^tool$' complete_with weft invoke to
expect "completion of a verb" 0 '^rollback$' complete_with weft functions roll

# -------------------------------------------------------------------------------- programs
for program in weft weft-cell; do
    expect "$program is not linked with LLVM" 1 '^0$' \
        bash -c "ldd '$build/$program' 2>&1 | grep -ci llvm"
done
expect "but the compiler is" 0 'LLVM' ldd "$build/weft-compiler"
