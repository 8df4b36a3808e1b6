# SPDX-License-Identifier: Apache-2.0
#
# Calls by HTTP request and by the clock. What the clock starts is looked at in after.bash.

expect "deploy for the clock" 0 '' "$weft" deploy "$work/tool.wasm" --name ticked --env VERB=input
expect "a trigger by the clock" 0 'done' "$weft" trigger cron ticker ticked '* * * * *' 'tick tock'
expect "a schedule that is none" 2 '' "$weft" trigger cron wrong ticked 'every day'
expect "a trigger by request" 0 'done' "$weft" trigger http hook input '/hook/*' public
expect "a trigger that needs a token" 0 'done' "$weft" trigger http closed input /closed POST
expect "triggers" 0 '^hook +http +input' "$weft" trigger

asked=$(request "" POST '/t/main/hook/a/b?x=1&y=%20' -H 'X-Thing: seven' -d 'the body' | sed '$d')
same "what a function is told: method" POST "$(jq -r .method <<<"$asked")"
same "path" /hook/a/b "$(jq -r .path <<<"$asked")"
same "query" "1, " "$(jq -r '.query | "\(.x),\(.y)"' <<<"$asked")"
same "headers" seven \
    "$(jq -r '.headers | with_entries(.key |= ascii_downcase) | .["x-thing"]' <<<"$asked")"
same "body" 'the body' "$(jq -r .body <<<"$asked")"
http_as "" "a trigger that needs a token, without" 401 '' POST /t/main/closed -d x
http "a trigger that needs a token" 200 '"method"' POST /t/main/closed -d x
http "of another method" '40[45]' '' GET /t/main/closed
http_as "" "a path without a trigger" '40[14]' '' GET /t/main/nowhere
cat >"$work/page.c" <<'GUEST'
#include <string.h>
#include <weft.h>
int
main(void)
{
    const char *page = "{\"status\":418,\"headers\":{\"X-Kind\":\"teapot\"},\"body\":\"short\"}";

    return weft_output(page, (uint32_t)strlen(page));
}
GUEST
expect "deploy of a page, from its source" 0 '^page version 1 ' "$weft" deploy "$work/page.c"
expect "a trigger for it" 0 'done' "$weft" trigger http page page /page public
http_as "" "a function that answers with a status" 418 '^short$' GET /t/main/page -D "$work/headers"
expect "and a header" 0 '^X-Kind: teapot' cat "$work/headers"
expect "remove a trigger" 0 'removed' "$weft" trigger rm page
http_as "" "which is gone" '40[14]' '' GET /t/main/page
