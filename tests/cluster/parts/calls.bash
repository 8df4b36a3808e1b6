# SPDX-License-Identifier: Apache-2.0
#
# Asynchronous calls, keys, batches, logs, results of every type, usage.

id=$("$weft" invoke tool --async --input "echo later")
expect "a call's number" 0 '^[0-9]+$' echo "$id"
expect "calls wait" 0 '^later$' "$weft" calls wait "$id"
expect "calls result" 0 '^later$' "$weft" calls result "$id"
expect "calls show" 0 '^kind +(done|exit)$' "$weft" calls show "$id"
expect "calls lists it" 0 "^$id +tool " "$weft" calls tool
id=$("$weft" invoke tool --async --input "exit 4")
expect "calls wait, of one that fails" 1 'exit code 4' "$weft" calls wait "$id"
expect "calls log" 0 '^it leaves with 4$' "$weft" calls log "$id"

expect "deploy of what is tried again" 0 '' \
    "$weft" deploy "$work/tool.wasm" --name fickle --attempts 2
id=$("$weft" invoke fickle --async --input "exit 4")
expect "it fails" 1 'exit code 4' "$weft" calls wait "$id"
expect "in three attempts" 0 '^attempts +3$' "$weft" calls show "$id"
expect "a dead letter" 0 "^$id +fickle" "$weft" calls dead
expect "a dead letter again" 0 'tried again' "$weft" calls retry "$id"
expect "and it fails again" 1 'exit code 4' "$weft" calls wait "$id"
expect "a dead letter is buried" 0 'removed' "$weft" calls rm "$id"
same "and no dead letter any more" "" "$("$weft" calls dead 2>/dev/null | grep "^$id ")"

id=$("$weft" invoke tool --async --key once --input "echo first")
same "the same key is the same call" "$id" \
    "$("$weft" invoke tool --async --key once --input "echo second")"
expect "and its first input counts" 0 '^first$' "$weft" calls wait "$id"
http "existing is said" 200 '"existing": ?true' POST '/v1/invoke/tool?async=1' \
    -H 'Idempotency-Key: once' -d 'echo third'
http "new is said" 202 '"call": ?"[0-9]+"' POST /v1/invoke/tool -H 'Prefer: respond-async' -d 'echo'

id=$("$weft" invoke tool --async --input "sleep 60000")
http "one that runs has no result yet" 202 '' GET "/v1/calls/$id/result"
expect "cancel" 0 'cancelled' "$weft" calls cancel "$id"
expect "what was cancelled" 1 'cancelled' "$weft" calls wait "$id"
expect "cancel what is over" 2 '' "$weft" calls cancel "$id"

# -------------------------------------------------------------------------------- batches
batch='[{"function":"tool","input":"echo a"},{"function":"nothing","input":""},
        {"function":"tool","input_base64":"ZWNobyBi","key":"b"}]'
calls=$(field '.calls' POST /v1/batch -H 'Content-Type: application/json' -d "$batch")
same "a batch, one of which is refused" "function_unknown" "$(jq -r '.[1].error.code' <<<"$calls")"
expect "first of a batch" 0 '^a$' "$weft" calls wait "$(jq -r '.[0]' <<<"$calls")"
expect "last of a batch" 0 '^b$' "$weft" calls wait "$(jq -r '.[2]' <<<"$calls")"
same "its key counts" "$(jq -r '.[2]' <<<"$calls")" \
    "$("$weft" invoke tool --async --key b --input "echo c")"
http "a batch that is none" 400 '"error"' POST /v1/batch -H 'Content-Type: application/json' -d '{}'

# ---------------------------------------------------------------------------------- events
events=$(curl -sS -N --max-time 30 -H "Authorization: Bearer $token" "$address/v1/calls/$(
    "$weft" invoke tool --async --input "sleep 300")/events")
expect "events of a call, until it is over" 0 '^event: end' echo "$events"

# ---------------------------------------------------------------------------- kinds of results
type_of() {
    curl -sS -o /dev/null -w '%{content_type}' -H "Authorization: Bearer $token" \
        --data-binary "$1" "$address/v1/invoke/input"
}
expect "a result that is JSON" 0 '^application/json' type_of '{"a":[1,2]}'
expect "a result that is text" 0 '^text/plain' type_of 'größer'
expect "a result that is neither" 0 '^application/octet-stream' type_of $'\xff\xfe'
http "what a call tells of itself" 200 '^headers$' POST /v1/invoke/tool -d 'echo headers' \
    -D "$work/headers"
expect "its number" 0 '^Weft-Call: [0-9]+' cat "$work/headers"
expect "its host" 0 '^Weft-Host: .+-[12]' cat "$work/headers"
expect "it is warm" 0 '^Weft-Cold: [01]' cat "$work/headers"
expect "invoke -v" 0 'Host .*-[12], Version 1' "$weft" invoke tool -v --input "echo x"

# ------------------------------------------------------------------------------------ logs
expect "a log" 0 '' "$weft" invoke tool --input "log said softly"
expect_soon "logs" 20 bash -c "'$weft' logs tool | grep -q 'said softly'"
"$weft" logs -f tool >"$work/follow" 2>&1 </dev/null &
helpers+=($!)
follower=$!
said() {
    "$weft" invoke tool --input "log line while it follows"
    grep -q 'line while it follows' "$work/follow"
}
expect_soon "logs -f" 30 said
kill "$follower"
wait "$follower" 2>/dev/null

# ----------------------------------------------------------------------------------- usage
expect "deploy of what is counted" 0 '' "$weft" deploy "$work/tool.wasm" --name counted
for i in 1 2 3 4 5; do
    "$weft" invoke counted --input "echo 12345" >/dev/null
done
for i in 1 2; do
    "$weft" invoke counted --input "exit 1" >/dev/null 2>&1
done
used() {
    "$weft" usage --json | jq -e '.usage[] | select(.function == "counted") |
        .calls == 7 and .failed == 2 and .bytes_in == 62 and .bytes_out == 25 and .wall_s > 0'
}
expect_soon "usage after seven calls" 40 used
expect "usage, for people" 0 ' counted +7 +2 ' "$weft" usage
