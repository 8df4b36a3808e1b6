# SPDX-License-Identifier: Apache-2.0
#
# For tests/cluster/run: the cluster's life, and what parts ask with.

work=$(mktemp -d /tmp/weft-cluster-XXXXXX)
data=$work/data
answers=$work/answers # all that was answered, but where the test expects a secret's traces
export WEFT_CONFIG=$work/config.json
unset WEFT_ADDRESS WEFT_TOKEN WEFT_ADMIN_TOKEN WEFT_TENANT
passed=0
failed=0
up=0
helpers=()   # process ids of what parts start beside
family=()    # every process of the cluster that was ever seen
SECRET='correct-horse-battery-staple-7f3a'

cleanup() {
    local pid
    for pid in "${helpers[@]}"; do kill "$pid" 2>/dev/null; done
    if [ "$up" -ne 0 ]; then
        kill -TERM "$up" 2>/dev/null
        wait "$up" 2>/dev/null
    fi
    if [ -n "${WEFT_KEEP:-}" ]; then
        echo "kept: $work"
    else
        rm -rf "$work"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ------------------------------------------------------------------------------- counting
pass() {
    passed=$((passed + 1))
}

fail() { # fail NAME TEXT
    failed=$((failed + 1))
    printf 'FAILED %s: %s\n' "$1" "$2"
}

# expect NAME EXIT_CODE PATTERN COMMAND...: the output matches the pattern.
expect() {
    local name=$1 code=$2 pattern=$3 output status
    shift 3
    output=$("$@" 2>&1 </dev/null | tr -d '\0'; exit "${PIPESTATUS[0]}")
    status=$?
    printf '%s\n' "$output" >>"$answers"
    if [ "$status" -eq "$code" ] && grep -qE -- "$pattern" <<<"$output"; then
        pass
    else
        fail "$name" "exit $status (wanted $code), wanted /$pattern/ in:"$'\n'"${output:0:3000}"
    fi
}

# same NAME WANTED FOUND
same() {
    if [ "$2" = "$3" ]; then
        pass
    else
        fail "$1" "wanted \"$2\", found \"${3:0:2000}\""
    fi
}

# eventually SECONDS COMMAND...: it succeeds within that time.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# expect_soon NAME SECONDS COMMAND...
expect_soon() {
    local name=$1
    shift
    if eventually "$@"; then
        pass
    else
        fail "$name" "not within $1 s: ${*:2}; at last: $("${@:2}" 2>&1 | head -c 1500)"
    fi
}

# ---------------------------------------------------------------------------------- asking
# request TOKEN METHOD PATH [CURL_OPTION...]: prints the body, then the status in a line.
request() {
    local token=$1 method=$2 path=$3 header=()
    shift 3
    [ -z "$token" ] || header=(-H "Authorization: Bearer $token")
    [ "$method" != HEAD ] || header+=(--head)
    curl -sS --max-time 120 -X "$method" "${header[@]}" "$@" -w '\n%{http_code}\n' \
        "$address$path" 2>&1 | tr -d '\0' | tee -a "$answers"
}

# http NAME STATUS PATTERN METHOD PATH [CURL_OPTION...]: with the tenant's token. STATUS is
# a pattern, too.
http() {
    http_as "$token" "$@"
}

http_as() {
    local as=$1 name=$2 wanted=$3 pattern=$4 output status
    shift 4
    output=$(request "$as" "$@")
    status=${output##*$'\n'}
    output=${output%$'\n'*}
    if [[ $status =~ ^($wanted)$ ]] && grep -qE -- "$pattern" <<<"$output"; then
        pass
    else
        fail "$name" "status $status (wanted $wanted), wanted /$pattern/ in:"$'\n'"${output:0:3000}"
    fi
}

# field JQ_EXPRESSION METHOD PATH [CURL_OPTION...]: of the answer, as the tenant.
field() {
    local expression=$1
    shift
    request "$token" "$@" | sed '$d' | jq -r "$expression" 2>&1
}

# project LANGUAGE INPUT ANSWER [DEPLOY_OPTION...]: from nothing to an answer.
project() {
    local language=$1 input=$2 answer=$3
    shift 3
    (cd "$work" && "$weft" new "$language" "my-$language") >"$work/new.out" 2>&1 ||
        fail "weft new $language" "$(cat "$work/new.out")"
    expect "weft deploy, $language" 0 "^my-$language version 1 " \
        "$weft" deploy "$work/my-$language" "$@"
    expect "weft invoke, $language" 0 "$answer" "$weft" invoke "my-$language" --input "$input"
    expect "and again, $language" 0 "$answer" "$weft" invoke "my-$language" --input "$input"
}

host_names() {
    "$weft" hosts --json 2>/dev/null | jq -r '.hosts[].name'
}

guest() { # guest NAME: compiles tests/cluster/guests/NAME.c
    "$weft" cc -g -O1 "$here/guests/$1.c" -o "$work/$1.wasm" || fail "guest $1" "does not compile"
}

# FNV-1a of a text, as the guests have it.
sum_of() {
    local sum=$((0xcbf29ce484222325)) i
    for ((i = 0; i < ${#1}; i++)); do
        sum=$(((sum ^ $(printf '%d' "'${1:i:1}")) * 0x100000001b3))
    done
    printf '%016x' "$sum"
}

# ------------------------------------------------------------------------- the cluster's life
# Process ids below one, by their parents.
below() {
    local pid
    for pid in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        echo "$pid"
        below "$pid"
    done
}

note_family() {
    [ "$up" -eq 0 ] || mapfile -t -O ${#family[@]} family < <(below "$up")
}

start_cluster() {
    : >"$work/up.out" # here, not in the background: what the one before said is not to be read
    "$weft" up --workers 2 --listen 127.0.0.1:0 --data "$data" --no-config \
        >>"$work/up.out" 2>>"$work/up.err" </dev/null &
    up=$!
    if ! eventually 90 grep -q '^Ctrl-C ends it' "$work/up.out" || ! kill -0 "$up"; then
        cat "$work/up.out" "$work/up.err"
        echo "weft up did not come up"
        fail "weft up" "see above"
        echo "$passed passed, $failed failed"
        exit 1
    fi
    cat "$work/up.out" >>"$work/up.all"
    address=$(sed -n 's/^Weft is up: \([^,]*\),.*/\1/p' "$work/up.out")
    token=$(sed -n 's/^  token   \(weft_[^ ]*\) .*/\1/p' "$work/up.out")
    admin=$(cat "$data/admin.token")
    "$weft" config address "$address"
    "$weft" config token "$token"
    "$weft" config admin_token "$admin"
    "$weft" config tenant main
    note_family
}

# Sets stop_status.
stop_cluster() {
    note_family
    kill -TERM "$up"
    wait "$up"
    stop_status=$?
    up=0
}

begin() {
    echo "in $work"
    : >"$answers"
    : >"$work/up.err"
    # CPython takes minutes to compile: images are kept from run to run.
    mkdir -p "$data" "$build/cluster/images"
    chmod 700 "$data" "$build/cluster/images"
    ln -s "$build/cluster/images" "$data/images"
    links_before=$(ls /sys/class/net)
    start_cluster
    pass
    guest tool
    guest fan
    expect "deploy of the tests' own guest" 0 '^tool version 1 ' "$weft" deploy "$work/tool.wasm"
    expect "deploy with a variable" 0 '^input version 1 ' \
        "$weft" deploy "$work/tool.wasm" --name input --env VERB=input
}

finish_cluster() {
    local pid
    for pid in "${helpers[@]}"; do kill "$pid" 2>/dev/null; done
    helpers=()
    stop_cluster
    same "weft up ends well" 0 "$stop_status"
}

none_of_family() {
    local pid
    for pid in "${family[@]}"; do
        [ ! -d "/proc/$pid" ] || { cat "/proc/$pid/cmdline" && return 1; }
    done
}

no_groups() {
    local pid
    for pid in "${family[@]}"; do
        find /sys/fs/cgroup -maxdepth 6 -type d -name "*.$pid.*"
    done | grep . && return 1
    return 0
}

no_links() {
    comm -13 <(sort <<<"$links_before") <(ls /sys/class/net | sort) | grep . && return 1
    return 0
}

check_leftovers() {
    same "it had processes" yes "$([ ${#family[@]} -ge 5 ] && echo yes)"
    expect_soon "no process is left" 10 none_of_family
    expect_soon "no control group is left" 10 no_groups
    expect_soon "no network interface is left" 20 no_links
    expect "nothing broke a promise" 1 '^$' \
        grep -iE 'assert|promise|sanitizer|core dumped' "$work/up.err"
}
