# SPDX-License-Identifier: Apache-2.0
#
# For benchmarks that start a cluster of their own: its life, what it uses, rows. Sourced with
# build and out set; sets weft, folder, and what start_cluster says.

folder=$(mktemp -d /tmp/weft-bench-XXXXXX)
export WEFT_CONFIG=$folder/config.json
unset WEFT_ADDRESS WEFT_TOKEN WEFT_ADMIN_TOKEN WEFT_TENANT
weft=$build/weft
pids=()

end_cluster() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}
finish() {
    end_cluster
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

# start_cluster WORKERS [COMMAND...]: under that command; sets address, port and token.
start_cluster() {
    "${@:2}" "$weft" up --workers "$1" --listen 127.0.0.1:0 --data "$folder/data-$1" --no-config \
        >"$folder/up" 2>"$folder/up.err" </dev/null &
    pids+=($!)
    cluster=$!
    for _ in $(seq 600); do
        grep -q '^Ctrl-C' "$folder/up" && break
        sleep 0.1
    done
    address=$(sed -n 's/^Weft is up: \([^,]*\),.*/\1/p' "$folder/up")
    port=${address##*:}
    token=$(sed -n 's/^  token   \(weft_[^ ]*\) .*/\1/p' "$folder/up")
    "$weft" config address "$address"
    "$weft" config token "$token"
    "$weft" config admin_token "$(cat "$folder/data-$1/admin.token")"
}

start_redis() { # sets redis, its process
    redis-server --port 0 --unixsocket "$folder/redis" --save '' --appendonly no \
        --dir "$folder" >/dev/null 2>&1 &
    redis=$!
    pids+=("$redis")
    for _ in $(seq 100); do
        [ -S "$folder/redis" ] && break
        sleep 0.1
    done
}

row() { # row NAME VALUE UNIT [PEER PEER_VALUE]
    awk -v name="$1" -v value="$2" -v unit="$3" -v peer="${4:-}" -v theirs="${5:-0}" 'BEGIN {
        printf "{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",", name, value, unit
        if (peer == "")
            printf "\"peer\":null,\"peer_value\":null,\"ratio\":null}\n"
        else
            printf "\"peer\":\"%s\",\"peer_value\":%.6g,\"ratio\":%.4g}\n", peer, theirs,
                value / theirs }' >>"$out"
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# tree PID: it, and all below it.
tree() {
    echo "$1"
    for child in $(pgrep -P "$1"); do tree "$child"; done
}

# memory PID...: KiB of memory that these and all below them have, what is shared counted once.
memory() {
    for pid in "$@"; do
        for one in $(tree "$pid"); do
            sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$one/smaps_rollup" 2>/dev/null || true
        done
    done | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# workers: the processes of the cluster's hosts.
workers() {
    for pid in $(pgrep -P "$cluster"); do
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q ' worker ' && echo "$pid"
    done
}

# traffic: bytes that the hosts have sent and received over TCP.
traffic() {
    ss -tnpiH | tr -d '\n' | sed 's/ESTAB/\n&/g' | grep -E "pid=($(workers | paste -sd '|'))," |
        sed -n 's/.* bytes_sent:\([0-9]*\).* bytes_received:\([0-9]*\).*/\1 \2/p' |
        awk '{ sum += $1 + $2 } END { printf "%.0f\n", sum }'
}
