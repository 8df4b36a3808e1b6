# SPDX-License-Identifier: Apache-2.0
#
# What only shows at the end: what the clock started; where secrets did not get to.

if "$weft" trigger --json | grep -q '"ticker"'; then
    ticked() {
        field '.calls[].id' GET '/v1/calls?function=ticked' | grep -E '^[0-9]+$'
    }
    expect_soon "the clock has started a call" 75 ticked
    expect "with the input of its trigger" 0 '^tick tock$' \
        "$weft" calls wait "$(ticked | head -n 1)"
    same "no minute twice" "" "$(
        field '.calls[].created' GET '/v1/calls?function=ticked&count=100' |
            awk '{ print int($1 / 60) }' | sort | uniq -d
    )"
fi

# Its text, and as Base64 and hexadecimal, at any offset.
traces_of_secret() {
    local hex base
    hex=$(printf '%s' "$SECRET" | od -An -tx1 | tr -d ' \n')
    base=$(printf '%s' "${SECRET:0:27}" | base64)
    grep -rlaE "$SECRET|$hex|${base%%=*}" "$@"
}
expect "the secret can be found where it is" 0 'proof' bash -c "$(declare -f traces_of_secret)
    SECRET='$SECRET'; echo 'x $SECRET y' >'$work/proof' && traces_of_secret '$work/proof'"
rm -f "$work/proof"
same "the secret is nowhere in the data directory" "" "$(traces_of_secret "$data")"
same "nor in what the cluster said" "" "$(traces_of_secret "$work/up.all" "$work/up.err")"
same "nor in any answer" "" "$(traces_of_secret "$answers")"
secret_in_arguments() {
    local pid
    for pid in "$up" $(below "$up"); do
        cat "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null
    done | tr '\0' '\n' | grep -c -- "$SECRET"
}
same "nor in arguments and environment of its processes" 0 "$(secret_in_arguments)"
