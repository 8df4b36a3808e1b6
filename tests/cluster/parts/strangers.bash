# SPDX-License-Identifier: Apache-2.0
#
# Another tenant: what is main's is to it as if it were not there.

request "$admin" PUT /v1/tenants/other -H 'Content-Type: application/json' -d '{}' >/dev/null
stranger=$(request "$admin" POST /v1/tokens -H 'Weft-Tenant: other' \
    -H 'Content-Type: application/json' \
    -d '{"name":"all","roles":["read","invoke","deploy","manage"]}' | sed '$d' | jq -r .token)
http_as "$stranger" "another tenant's token works" 200 '"functions": ?\[\]' GET /v1/functions
http_as "$stranger" "it names main" 404 '' GET '/v1/functions?tenant=main'
http_as "$stranger" "it names main in a header" 404 '' GET /v1/functions -H 'Weft-Tenant: main'

call=$("$weft" invoke tool --async --input "log of main")
"$weft" calls wait "$call" >/dev/null
"$weft" deploy "$work/tool.wasm" --name feeble --attempts 1 >/dev/null
dead=$("$weft" invoke feeble --async --input "exit 5")
"$weft" calls wait "$dead" >/dev/null 2>&1
running=$("$weft" invoke tool --async --input "sleep 120000")
"$weft" files put "$here/guests/fan.c" /main/own.c
"$weft" variable set OWN main >/dev/null
"$weft" functions alias tool:stable 1 >/dev/null
blob=$(field '.versions[0].module' GET /v1/functions/tool)
http "the blob is main's" 200 '' HEAD "/v1/blobs/$blob"

# as_absent METHOD PATH_FORMAT THERE ABSENT [CURL_OPTION...]: what is there is told like what is
# not: the same status and text, but for the name.
as_absent() {
    local method=$1 format=$2 there=$3 absent=$4 found wanted
    shift 4
    # shellcheck disable=SC2059
    found=$(request "$stranger" "$method" "$(printf "$format" "$there")" "$@")
    # shellcheck disable=SC2059
    wanted=$(request "$stranger" "$method" "$(printf "$format" "$absent")" "$@")
    found=${found//"$there"/NAME} wanted=${wanted//"$absent"/NAME}
    found=$(grep -vi '^date:' <<<"$found") wanted=$(grep -vi '^date:' <<<"$wanted")
    same "stranger: $method $format" "$wanted" "$found"
    case $method-$format-${found##*$'\n'} in
    PUT-*-20? | DELETE-/v1/files/*-20? | DELETE-/v1/variables/*-20?) ;;
    *-4??) pass ;;
    *) fail "stranger: $method $format" "is not refused: $found" ;;
    esac
}
as_absent GET /v1/functions/%s tool loot
as_absent DELETE /v1/functions/%s tool loot
as_absent DELETE /v1/functions/%s/versions/1 tool loot
as_absent PUT /v1/functions/%s/aliases/mine tool loot -d '{"version":1}'
as_absent DELETE /v1/functions/%s/aliases/stable tool loot
as_absent POST /v1/functions/%s/rollback tool loot -d '{"to":1}'
as_absent PUT /v1/functions/%s/grants/other tool loot -d '{}'
as_absent DELETE /v1/functions/%s/grants/other tool loot
as_absent POST /v1/invoke/%s tool loot -d 'echo x'
as_absent POST /v1/invoke/main/%s tool loot -d 'echo x'
as_absent POST '/v1/invoke/%s?async=1' tool loot -d 'echo x'
as_absent POST '/v1/invoke/main/%s?async=1' tool loot -d 'echo x'
for id in "$call" "$dead" "$running"; do
    absent=$((id + 1000000007))
    as_absent GET /v1/calls/%s "$id" "$absent"
    as_absent GET /v1/calls/%s/result "$id" "$absent"
    as_absent GET /v1/calls/%s/log "$id" "$absent"
    as_absent GET /v1/calls/%s/events "$id" "$absent"
    as_absent POST /v1/calls/%s/cancel "$id" "$absent" -d '{}'
    as_absent POST /v1/calls/%s/retry "$id" "$absent" -d '{}'
    as_absent DELETE /v1/calls/%s "$id" "$absent"
done
as_absent HEAD /v1/blobs/%s "$blob" "$(printf '%064d' 7)"
as_absent GET /v1/files/%s main/own.c main/not.c
as_absent DELETE /v1/files/%s main/own.c main/not.c
as_absent DELETE /v1/variables/%s OWN NOT
as_absent DELETE /v1/secrets/%s PASSWORD NOT
as_absent DELETE /v1/tokens/%s invoker nobody
as_absent DELETE /v1/triggers/%s ticker nothing
as_absent PUT /v1/functions/%s copied copied2 -H 'Content-Type: application/json' \
    -d "{\"module\":\"$blob\"}"
for path in functions calls files variables triggers logs usage 'calls?state=dead' \
    'files?prefix=main'; do
    same "stranger: nothing of main in /v1/$path" 0 \
        "$(request "$stranger" GET "/v1/$path" | grep -cE 'tool|main/own|OWN|PASSWORD|ticker')"
done
same "stranger: nothing of main in the metrics" 0 \
    "$(request "$stranger" GET /metrics | grep -c 'tenant="main"')"
same "stranger: its own token alone" '["all"]' \
    "$(request "$stranger" GET /v1/tokens | sed '$d' | jq -c '[.tokens[].name]')"
http_as "$stranger" "stranger: the hosts" '40[34]' '' GET /v1/hosts

# What it tried has changed nothing.
expect "main's function" 0 '^mine$' "$weft" invoke tool:stable --input "echo mine"
expect "main's dead letter" 0 "^$dead +feeble" "$weft" calls dead
expect "main's call runs still" 0 '^state +open' "$weft" calls show "$running"
expect "main's file" 0 'Guest of tests/cluster' "$weft" files get /main/own.c
expect "main's variable" 0 '^OWN +main' "$weft" variable
expect "main cancels it" 0 'cancelled' "$weft" calls cancel "$running"
expect "main buries it" 0 'removed' "$weft" calls rm "$dead"

# What is granted can be called, and no more.
expect "grant" 0 'granted' "$weft" functions grant tool other
http_as "$stranger" "a function that is granted" 200 '^given$' POST /v1/invoke/main/tool \
    -d 'echo given'
http_as "$stranger" "but not seen" 404 '' GET /v1/functions/tool
http_as "$stranger" "its failure is told without its words" 502 '"function_exit"' \
    POST /v1/invoke/main/tool -d 'exit 6'
same "indeed without" 0 \
    "$(request "$stranger" POST /v1/invoke/main/tool -d 'exit 6' | grep -c 'it leaves with')"
expect "revoke" 0 'revoked' "$weft" functions revoke tool other
revoked() {
    [ "$(request "$stranger" POST /v1/invoke/main/tool -d 'echo x' | tail -n 1)" = 404 ]
}
expect_soon "a function that was granted" 10 revoked
