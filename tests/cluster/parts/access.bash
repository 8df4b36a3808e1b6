# SPDX-License-Identifier: Apache-2.0
#
# Who may do what: no token, tokens with roles, secrets.

# ------------------------------------------------------------------------------- no token
http_as "" "health" 200 '"ok"' GET /health
http_as "" "ready" 200 '' GET /ready
request "$token" GET /openapi.json | sed '$d' >"$work/openapi.json"
expect "the description is OpenAPI" 0 '^"3\.' jq .openapi "$work/openapi.json"
# Every method of every path, with x in each place.
jq -r '.paths | to_entries[] | .key as $path | .value | keys[] |
    select(IN("get", "put", "post", "delete", "head")) | "\(ascii_upcase) \($path)"' \
    "$work/openapi.json" | sed 's/{[^}]*}/x/g' | sort -u >"$work/routes"
expect "it describes the routes" 0 '^(3[0-9]|4[0-9]|5[0-9]|6[0-9])$' grep -c . "$work/routes"
while read -r method path; do
    case $path in /health | /ready | /t/*) continue ;; esac
    http_as "" "no token: $method $path" 401 '' "$method" "$path"
    http_as "weft_0123456789abcdef0123456789abcdef" "a wrong token: $method $path" 401 '' \
        "$method" "$path"
done <"$work/routes"
http_as "" "no token: a function that is there" 401 '"error"' POST /v1/invoke/tool -d 'echo x'
http_as "" "no token: what is no route" 401 '' GET /v1/nothing
http_as "" "no token: a public trigger that is not there" '40[14]' '' GET /t/main/nothing

# ---------------------------------------------------------------------------------- roles
reader=$("$weft" token create reader read)
invoker=$("$weft" token create invoker invoke)
deployer=$("$weft" token create deployer deploy)
expect "a token" 0 '^weft_' echo "$reader"
http_as "$reader" "read may read" 200 '"functions"' GET /v1/functions
http_as "$reader" "read may not invoke" 403 '"role_needed".*invoke' POST /v1/invoke/tool -d 'echo x'
http_as "$reader" "read may not deploy" 403 '"role_needed".*deploy' DELETE /v1/functions/tool
http_as "$reader" "read may not manage" 403 '"role_needed".*manage' GET /v1/tokens
http_as "$invoker" "invoke may invoke" 200 '^x$' POST /v1/invoke/tool -d 'echo x'
http_as "$invoker" "invoke may not list functions" 403 '"role_needed".*read' GET /v1/functions
http_as "$invoker" "invoke may not deploy" 403 '"role_needed"' PUT /v1/functions/tool -d 'x'
http_as "$deployer" "deploy may deploy" 201 '"version"' PUT /v1/functions/deployed \
    -H 'Content-Type: application/wasm' --data-binary "@$work/tool.wasm"
http_as "$deployer" "deploy may not invoke" 403 '"role_needed"' POST /v1/invoke/deployed -d x
http_as "$deployer" "deploy may not set secrets" 403 '"role_needed".*manage' PUT /v1/secrets/KEY \
    -d '{"value":"x"}'
for path in /v1/hosts /v1/cluster /v1/tenants; do
    http "a tenant's token is not the cluster's: $path" '40[34]' '' GET $path
done
http_as "$admin" "the cluster's token needs a tenant" 400 '"tenant_needed"' GET /v1/functions
http_as "$admin" "and then acts for it" 200 '"tool"' GET /v1/functions -H 'Weft-Tenant: main'
expect "tokens are listed, not told" 0 '^reader +read' "$weft" token
expect "of a token only its name is listed" 1 '^0$' \
    bash -c "'$weft' token --json | grep -c '$reader'"
expect "remove a token" 0 'removed' "$weft" token rm reader
http_as "$reader" "a token that was removed" 401 '' GET /v1/functions
brief=$(field .token POST /v1/tokens -H 'Content-Type: application/json' \
    -d '{"name":"brief","roles":["read"],"expires_s":3}')
http_as "$brief" "a token before its end" 200 '' GET /v1/functions
expect "a token for a day" 0 '^weft_' "$weft" token create daily read 1
same "its end is a day from now" 1 "$(field '.tokens[] | select(.name == "daily").expires' \
    GET /v1/tokens | awk -v now="$(date +%s)" '{ print ($1 > now + 86000 && $1 < now + 86500) }')"
token_is_over() {
    [ "$(request "$brief" GET /v1/functions | tail -n 1)" = 401 ]
}
expect_soon "a token after its end" 20 token_is_over

# -------------------------------------------------------------------------------- secrets
expect "a secret" 0 'set' bash -c "'$weft' secret set PASSWORD <<<'$SECRET'"
expect "deploy with a secret" 0 'version 1' \
    "$weft" deploy "$work/tool.wasm" --name keeper --secret PASSWORD
same "it is in the environment" "$(sum_of "$SECRET")" \
    "$("$weft" invoke keeper --input "sum PASSWORD")"
same "only where it was asked for" "$(sum_of "")" \
    "$("$weft" invoke tool --input "sum PASSWORD")"
expect "its name is listed" 0 '^PASSWORD' "$weft" variable
http "its value is not" 200 '"name": ?"PASSWORD", ?"value": ?null' GET /v1/variables
expect "a trap of who has it" 1 'out of bounds' "$weft" invoke keeper --input trap
http "a version that names it" 200 '"PASSWORD"' GET /v1/functions/keeper
same "an asynchronous call has it too" "$(sum_of "$SECRET")" \
    "$("$weft" calls wait "$("$weft" invoke keeper --async --input "sum PASSWORD")")"
