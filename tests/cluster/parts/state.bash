# SPDX-License-Identifier: Apache-2.0
#
# State as a user meets it: curl, weft state, and a guest on both hosts see the same.

guest state
expect "deploy of what works with state" 0 '^state version 1 ' "$weft" deploy "$work/state.wasm"
first=$(host_names | head -n 1)
second=$(host_names | tail -n 1)
same "two hosts" yes "$([ "$first" != "$second" ] && echo yes)"

# on HOST INPUT: a call that runs there, its answer.
on() {
    local other=$first
    [ "$1" != "$first" ] || other=$second
    "$weft" drain "$other" >/dev/null
    "$weft" invoke state --input "$2"
    "$weft" drain undo "$other" >/dev/null
}
# start_on HOST INPUT: its number.
start_on() {
    local other=$first
    [ "$1" != "$first" ] || other=$second
    "$weft" drain "$other" >/dev/null
    "$weft" invoke state --async --input "$2"
    "$weft" drain undo "$other" >/dev/null
}
value() { # value KEY: as curl sees it
    request "$token" GET "/v1/state/$1" | sed '$d'
}

# ------------------------------------------------------------------------- curl and the guests
http "a value is put" 200 '"key":"greeting","bytes":11,"version":1' PUT /v1/state/greeting \
    --data-binary 'hello there'
http "and read" 200 '^hello there$' GET /v1/state/greeting
http "with its version" 200 'ETag: "1"' HEAD /v1/state/greeting
http "a part of it" 206 '^there$' GET /v1/state/greeting -H 'Range: bytes=6-'
for host in "$first" "$second"; do
    same "a guest sees what was put, on $host" "hello there" "$(on "$host" "show greeting")"
    same "also when it touches it, on $host" "hello there" "$(on "$host" "lazy greeting")"
done
same "a guest pushes, on $first" pushed "$(on "$first" "write greeting HELLO")"
same "curl sees it" "HELLO there" "$(value greeting)"
same "and the guest on $second" "HELLO there" "$(on "$second" "show greeting")"
same "it pushes, too" pushed "$(on "$second" "write greeting HI")"
http "its version has grown" 200 'ETag: "3"' HEAD /v1/state/greeting
http "a change of another version" 412 '"version_differs"' PUT /v1/state/greeting \
    -H 'If-Match: "2"' --data-binary 'lost'
http "a change of this one" 200 '"version":4' PUT /v1/state/greeting \
    -H 'If-Match: "3"' --data-binary 'how are you'
same "the guest on $first sees that" "how are you" "$(on "$first" "show greeting")"

# Two that run, one on each host, are told of what curl puts.
followers=()
for host in "$first" "$second"; do
    "$weft" state rm greeting.here >/dev/null 2>&1
    followers+=("$(start_on "$host" "follow greeting")")
    expect_soon "it follows, on $host" 30 "$weft" state get greeting.here
done
http "curl changes what they have mapped" 200 '"version":5' PUT /v1/state/greeting \
    --data-binary 'fine thanks'
for call in "${followers[@]}"; do
    expect "who follows sees it" 0 '^fine thanks$' "$weft" calls wait "$call"
done
same "they ran on two hosts" 2 "$(for call in "${followers[@]}"; do
    "$weft" calls show "$call" --json | jq -r .host
done | sort -u | wc -l)"

# A long poll is answered by a guest's push.
curl -sS --max-time 60 -H "Authorization: Bearer $token" \
    "$address/v1/state/greeting/watch?version=5&wait_ms=50000" >"$work/watched" &
watching=$!
same "a guest pushes while curl waits" pushed "$(on "$second" "write greeting F")"
wait "$watching"
expect "the wait is over" 0 '"what":"changed","version":6' cat "$work/watched"
http "a wait for nothing" 200 '"what":"same","version":6' GET \
    '/v1/state/greeting/watch?version=6&wait_ms=100'

# ----------------------------------------------------------------------------- numbers and logs
rounds=$([ -n "${WEFT_STRESS:-}" ] && echo 20 || echo 100)
adders=()
for host in "$first" "$second" "$first" "$second"; do
    adders+=("$(start_on "$host" "add sum $rounds")" "$(start_on "$host" "count under/lock $rounds")")
done
for _ in 1 2 3 4 5; do
    "$weft" state add sum 1000 >/dev/null
done
for call in "${adders[@]}"; do
    expect "it adds" 0 '^[0-9]+$' "$weft" calls wait "$call"
done
expect "none is lost: additions" 0 "^$((4 * rounds + 5000))\$" "$weft" state add sum 0
expect "none is lost: under a lock" 0 "^$((4 * rounds))\$" "$weft" state add under/lock 0
http "a float" 200 '"sum":0.5' POST /v1/state/float/add -d '{"add":0.5,"as":"f64"}'
for host in "$first" "$second"; do
    expect "a guest appends, on $host" 0 '^[0-9]+$' on "$host" "append log said on a host"
done
expect "the user appends" 0 '^2$' "$weft" state append log "said here"
http "all of it, in order" 200 '"index":2,"base64":"c2FpZCBoZXJl"' GET /v1/state/log/records
expect "weft state get of a log" 0 '^said here$' "$weft" state get log
same "has all its records" 3 "$("$weft" state get log | wc -l)"
http "as they are" 200 '^said on a host$' GET '/v1/state/log/records?raw=1&from=1'

# -------------------------------------------------------------------------------- weft state
head -c 40000000 /dev/urandom >"$work/large"
expect "put of a file" 0 '^version [0-9]+$' "$weft" state put large "$work/large"
expect "get into a file" 0 '^$' "$weft" state get large -o "$work/large.back"
same "it is the same" "$(sha256sum <"$work/large")" "$(sha256sum <"$work/large.back")"
same "also by standard output" "$(sha256sum <"$work/large")" \
    "$("$weft" state get large | sha256sum)"
http "more than one answer may have" 200 '"sum":7' POST /v1/state/zeros/add \
    -d '{"add":7,"offset":299999992,"size":300000000}'
http "is refused as a whole" 413 '"too_large".*Range' GET /v1/state/zeros
same "and comes part by part" "$( (head -c 299999992 /dev/zero; printf '\7\0\0\0\0\0\0\0') | sha256sum)" \
    "$("$weft" state get zeros | sha256sum)"
expect "it goes" 0 '^removed$' "$weft" state rm zeros
same "put of standard input" "version" \
    "$(echo "from a pipe" | "$weft" state put piped/in - | cut -d ' ' -f 1)"
expect "a key with a slash" 0 '^from a pipe$' "$weft" state get piped/in
expect "ls" 0 '^large +value +40.0 MB +[0-9]' "$weft" state ls
expect "ls of a prefix" 0 '^piped/in +value' "$weft" state ls piped/
same "has nothing else" 2 "$("$weft" state ls piped/ | wc -l)"
expect "ls --json" 0 true jq -e '[.state[] | select(.key == "log" and .kind == "log")] | length == 1' \
    <("$weft" state ls --json)
expect "put on a condition that does not hold" 2 'version.*0: there is none' \
    "$weft" state put piped/in "$work/state.wasm" --if 0
expect "put for some time" 0 '^version' "$weft" state put brief "$work/config.json" --lives 1
expect "a value that goes when it is told to" 0 '^version' "$weft" state put later "$work/config.json"
expect "expire" 0 '^lives 1 s$' "$weft" state expire later 1
expect "expire of what is not there" 2 'no such' "$weft" state expire nothing 1
expect "expire after what is no number" 2 'no number of seconds' "$weft" state expire later soon
later_gone() { ! "$weft" state get later; }
expect_soon "it has gone" 20 later_gone
gone() { ! "$weft" state get brief; }
expect_soon "it goes by itself" 20 gone
"$weft" state watch large --count 2 >"$work/watch.out" &
watching=$!
expect_soon "watch tells what is there" 20 grep -q '^version' "$work/watch.out"
expect "rm" 0 '^removed$' "$weft" state rm large
wait "$watching"
same "and that it goes" gone "$(tail -n 1 "$work/watch.out")"
expect "get of what is not there" 2 'no such' "$weft" state get large
expect "nor into a file" 2 'no such' "$weft" state get large -o "$work/large.back"
same "which stays as it was" "$(sha256sum <"$work/large")" "$(sha256sum <"$work/large.back")"
expect "a log into a file" 0 '^$' "$weft" state get log -o "$work/log.back"
same "has its records" "said here" "$(tail -n 1 "$work/log.back")"
same "nothing is left beside them" "" "$(ls "$work" | grep 'part$')"
expect "into what is no file" 0 '^$' "$weft" state get piped/in -o /dev/null
expect "into a directory that is none" 2 'No such file' \
    "$weft" state get piped/in -o "$work/nowhere/file"
expect "rm of what is not there" 2 'no such' "$weft" state rm large
expect "add of what is no number" 2 'is no number' "$weft" state add sum many
expect "below zero" 0 "^$((4 * rounds + 4999))\$" "$weft" state add sum -- -1
expect "a key that is too long" 2 'at most 255 bytes' "$weft" state get "$(printf 'k%.0s' {1..256})"
expect "help" 0 'weft state watch KEY' "$weft" state --help

# ------------------------------------------------------------------------------- who may what
head -c 100001 "$work/large" >"$work/too-large"
expect "a tenant with little storage" 0 '' "$weft" tenant put small storage_bytes=100000
http_as "$admin" "has not the keys of others" 404 '"state_unknown"' \
    GET '/v1/state/greeting?tenant=small'
http_as "$admin" "nor may it have more" 409 '"limit_reached"' PUT '/v1/state/a?tenant=small' \
    --data-binary "@$work/too-large"
http_as "$admin" "what fits fits" 200 '"version":1' PUT '/v1/state/a?tenant=small' -d 'little'
http_as "$admin" "it goes" 200 'true' DELETE /v1/tenants/small
http_as "$admin" "and comes again" 200 'small' PUT /v1/tenants/small -d '{}'
http_as "$admin" "its state has gone with it" 404 '"state_unknown"' GET '/v1/state/a?tenant=small'
http_as "$admin" "and it for good" 200 'true' DELETE /v1/tenants/small
http_as "" "without a token" 401 '"token_needed"' GET /v1/state/greeting
# Mapped bytes that had not come when their value went.
for host in "$first" "$second"; do
    expect "a value that goes, on $host" 0 '^version' "$weft" state put vanish "$work/too-large"
    expect "what is touched then is a named end" 0 'part of state that it touched is not to be had' \
        on "$host" "vanish vanish"
    same "its cell goes on" "Fine thanks" "$(on "$host" "show greeting")"
done

# A guest whose tenant may have no more: a named error (EDQUOT), and nothing has changed.
records=$(request "$token" GET /v1/state/log/records | sed '$d')
http_as "$admin" "the tenant may have no more" 200 'main' PUT /v1/tenants/main -d '{"storage_bytes":1}'
for verb in "append log more" "add over/quota 1" "count over/quota2 1"; do
    expect "a guest wants more: $verb" 1 ': 19 \(' "$weft" invoke -v state --input "$verb"
done
expect "nor may the user" 2 'as many bytes of state as it may' "$weft" state append log more
same "the log is as it was" "$records" "$(request "$token" GET /v1/state/log/records | sed '$d')"
http "and there is nothing new" 404 '"state_unknown"' GET /v1/state/over%2Fquota
http "nor of what was mapped" 404 '"state_unknown"' GET /v1/state/over%2Fquota2
same "what there is can be written" pushed "$(on "$first" "write greeting Fine")"
http_as "$admin" "it may again" 200 'main' PUT /v1/tenants/main -d '{}'

request "$admin" GET /metrics | sed '$d' >"$work/metrics"
expect "state is counted" 0 '^weft_state_pushes_total [1-9]' cat "$work/metrics"
expect "and what a tenant has" 0 '^weft_state_keys\{tenant="main"\} [1-9]' cat "$work/metrics"
expect "and its cells" 0 '^weft_state_local_pulls_total\{tenant="main"\} [1-9]' cat "$work/metrics"
expect "which hold something" 0 '^weft_state_local_entries\{tenant="main"\} [1-9]' \
    cat "$work/metrics"
expect "and the sessions of cells" 0 '^weft_state_sessions [1-9]' cat "$work/metrics"

# ------------------------------------------------------------------------------- a new start
before=$(request "$token" GET '/v1/state?limit=1000' | sed '$d' | jq -S '[.state[] | {key, bytes, version}]')
stop_cluster
same "it ends well" 0 "$stop_status"
start_cluster
first=$(host_names | head -n 1)
second=$(host_names | tail -n 1)
same "all keys are there" "$before" "$(request "$token" GET '/v1/state?limit=1000' | sed '$d' |
    jq -S '[.state[] | {key, bytes, version}]')"
same "with what they held" "Fine thanks" "$(value greeting)"
for host in "$first" "$second"; do
    same "and a guest sees it, on $host" "$(value greeting)" "$(on "$host" "show greeting")"
done
same "and pushes" pushed "$(on "$first" "write greeting gone")"
same "as before" "gone thanks" "$(value greeting)"
expect "sums go on" 0 "^$((4 * rounds + 5000))\$" "$weft" state add sum 1
expect "logs go on" 0 '^3$' "$weft" state append log "after"
for key in greeting greeting.here sum under/lock log float piped/in; do
    expect "rm of $key" 0 '^removed$' "$weft" state rm "$key"
done
expect "nothing is left" 0 'no state' "$weft" state ls
