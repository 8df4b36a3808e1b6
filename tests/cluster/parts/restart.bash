# SPDX-License-Identifier: Apache-2.0
#
# The whole cluster ends and begins again with the same data.

kept=$("$weft" invoke tool --async --key kept --input "echo kept")
expect "a result before the end" 0 '^kept$' "$weft" calls wait "$kept"
expect "deploy of what may be tried again" 0 '' \
    "$weft" deploy "$work/tool.wasm" --name patient --attempts 5
for host in $(host_names); do
    "$weft" drain "$host" >/dev/null
done
open=()
for i in 1 2 3 4 5; do
    open+=("$("$weft" invoke patient --async --input "echo open $i")")
done
expect "calls that nobody runs" 0 '^state +open' "$weft" calls show "${open[4]}"
before=$("$weft" functions --json | jq -S '[.functions[] | {name, version, created}]')
token_before=$token
stop_cluster
same "it ends well" 0 "$stop_status"
expect_soon "with all its processes" 10 none_of_family
start_cluster
same "the token is the same" "$token_before" "$token"
same "the functions are the same" "$before" \
    "$("$weft" functions --json | jq -S '[.functions[] | {name, version, created}]')"
for i in 1 2 3 4 5; do
    expect "an accepted call, after the restart" 0 "^open $i\$" "$weft" calls wait "${open[i - 1]}"
done
expect "a result from before" 0 '^kept$' "$weft" calls result "$kept"
same "a key from before" "$kept" "$("$weft" invoke tool --async --key kept --input "echo other")"
expect "a function from before" 0 '^again$' "$weft" invoke tool --input "echo again"
if "$weft" functions show keeper >/dev/null 2>&1; then
    same "a secret from before" "$(sum_of "$SECRET")" \
        "$("$weft" invoke keeper --input "sum PASSWORD")"
fi
