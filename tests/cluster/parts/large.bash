# SPDX-License-Identifier: Apache-2.0
#
# Large and slow clients.

expect "deploy of what counts" 0 '' "$weft" deploy "$work/tool.wasm" --name count --env VERB=size
# A move copies all of the input, at every host call: there it is less.
large=$([ -n "${WEFT_STRESS:-}" ] && echo 200000 || echo 20000000)
head -c 20000000 /dev/urandom >"$work/20M"
head -c "$large" "$work/20M" >"$work/large"
expect "much input" 0 "^$large\$" "$weft" invoke count --input-file "$work/large"
request "$token" POST /v1/invoke/input --data-binary "@$work/large" -o "$work/back" >/dev/null
expect "much there and back" 0 '' cmp "$work/large" "$work/back"
expect "20 MB for later are too much" 2 'more than the 8388608 bytes' \
    "$weft" invoke count --async --input-file "$work/20M"
large=$([ -n "${WEFT_STRESS:-}" ] && echo 200000 || echo 8388608)
head -c "$large" "$work/20M" >"$work/large"
id=$("$weft" invoke count --async --input-file "$work/large")
expect "8 MiB for later" 0 "^$large\$" "$weft" calls wait "$id"
head -c 34603008 /dev/zero >"$work/33M"
http "33 MiB of input" 413 '' POST /v1/invoke/count -H 'Expect:' --data-binary "@$work/33M"
# Of a body whose length was not said, the little that is too much is read before the answer; for
# more than a little the connection ends.
head -c 33560000 "$work/33M" >"$work/more"
http "a little more than 32 MiB, in pieces" 413 '' POST /v1/invoke/count -H 'Expect:' \
    -H 'Transfer-Encoding: chunked' --data-binary "@$work/more"
http "33 MiB of input, in pieces" '413|000' '' POST /v1/invoke/count -H 'Expect:' \
    -H 'Transfer-Encoding: chunked' --data-binary "@$work/33M"
expect "33 MiB of input, from the command" 2 '' "$weft" invoke count --input-file "$work/33M"
rm -f "$work/20M" "$work/large" "$work/33M" "$work/more" "$work/back"

# A byte a second, with a head that never ends and with a body that hardly comes.
slow_client() { # slow_client TEXT_BEFORE
    local port=${address##*:} i
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf '%s' "$1" >&3
    for ((i = 0; i < 120; i++)); do
        printf 'x' >&3 2>/dev/null || return
        sleep 1
    done
}
slow=()
slow_body=$'POST /v1/invoke/tool HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n'
slow_body+="Authorization: Bearer $token"$'\r\n\r\n'
for i in $(seq 20); do
    slow_client $'POST /v1/invoke/tool HTTP/1.1\r\nHost: x\r\nX-Long: ' 2>/dev/null &
    slow+=($!)
    slow_client "$slow_body" 2>/dev/null &
    slow+=($!)
done
helpers+=("${slow[@]}")
worked=0
for i in $(seq 40); do
    [ "$("$weft" invoke tool --wait 10 --input "echo $i")" = "$i" ] && worked=$((worked + 1))
done
same "calls beside forty slow clients" 40 "$worked"
for i in "${slow[@]}"; do
    kill "$i" 2>/dev/null
    wait "$i" 2>/dev/null
done

# What is no HTTP at all.
garbage() {
    exec 3<>"/dev/tcp/127.0.0.1/${address##*:}" || return 1
    head -c 100000 /dev/urandom >&3
    cat <&3 >/dev/null
}
for i in 1 2 3; do (garbage) 2>/dev/null; done
expect "a call after garbage" 0 '^fine$' "$weft" invoke tool --input "echo fine"
