# SPDX-License-Identifier: Apache-2.0
#
# Calls that calls start: in one cell, and on both hosts.

expect "deploy of the example" 0 '^fanout version 1 ' "$weft" deploy "$here/../../examples/fanout.c"
expect "the example of a fan-out" 0 '^1229 primes below 10000, counted by 100 calls$' \
    "$weft" invoke fanout --arg 10000 --arg 100
expect "a thousand calls" 0 'counted by 1000 calls$' \
    "$weft" invoke fanout --arg 2000 --arg 1000
both_hosts() {
    local first second
    first=$("$weft" invoke fanout --async --arg 200000 --arg 200)
    second=$("$weft" invoke fanout --async --arg 200000 --arg 200)
    for call in "$first" "$second"; do
        [ "$("$weft" calls wait "$call")" = "17984 primes below 200000, counted by 200 calls" ] ||
            return 1
        "$weft" calls show "$call" --json | jq -r .host
    done | sort -u >"$work/hosts"
    grep -c . "$work/hosts" | grep -q 2
}
expect_soon "two of them, one on each host" 30 both_hosts

# Of a function that the caller's cell has not: by the planner, on any host.
expect "deploy of what chains by name" 0 '' "$weft" deploy "$work/fan.wasm"
expect "deploy of what is chained" 0 '' "$weft" deploy "$work/tool.wasm" --name leaf
parent=$("$weft" invoke fan --async --input "leaf 200")
expect "calls by name" 0 '^19900$' "$weft" calls wait "$parent"
field '.calls[] | "\(.parent) \(.host) \(.kind)"' GET '/v1/calls?function=leaf&count=1000' |
    sort | uniq -c >"$work/children"
echo "where the 200 calls by name ran that were not of the caller's own cell:"
cat "$work/children"
expect "they name who chained them" 0 " $parent .* (done|exit)$" cat "$work/children"
expect "a function that is not there" 1 'chain: 44|ended badly: 6044' \
    "$weft" invoke fan --input "nothing 1"
expect "a function of another tenant" 1 'chain: 44|ended badly: 6044' \
    "$weft" invoke fan --input "other/tool 1"
