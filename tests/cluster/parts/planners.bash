# SPDX-License-Identifier: Apache-2.0
#
# Two planners with data directories of their own and one Redis: one leads, the other takes
# over. Beside the cluster of the other parts.

REDIS_PASSWORD='orange-ladder-91c2'

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Sets planner. Password by the environment alone.
start_planner() { # start_planner NAME
    rm -f "$work/$1.ready"
    WEFT_RECORDS="redis://:$REDIS_PASSWORD@127.0.0.1:$redis_port/0" \
        "$weft" planner --data "$work/$1" --listen 127.0.0.1:0 --hosts 127.0.0.1:0 \
        --grace 2 --ready-file "$work/$1.ready" >>"$work/planners.err" 2>&1 </dev/null &
    planner=$!
    helpers+=("$planner")
}

as_admin() { # as_admin NAME_OF_TOKEN: what the planner that leads says to it
    curl -sS --max-time 20 -o /dev/null -w '%{http_code}' \
        -H "Authorization: Bearer $(cat "$work/$1/admin.token")" "$leader/v1/hosts"
}

leads() { # leads NAME: sets leader
    [ -s "$work/$1.ready" ] || return 1
    leader=$(head -n 1 "$work/$1.ready")
    case $leader in http*) ;; *) leader=http://$leader ;; esac
}

if command -v redis-server >/dev/null && command -v python3 >/dev/null; then
    redis_port=$(free_port)
    leader=none
    mkdir -p -m 700 "$work/redis" "$work/first" "$work/second"
    redis-server --port "$redis_port" --bind 127.0.0.1 --requirepass "$REDIS_PASSWORD" \
        --dir "$work/redis" --save '' --appendonly yes --appendfsync always >"$work/redis.out" 2>&1 </dev/null &
    helpers+=("$!")
    redis=$!
    expect_soon "Redis" 20 grep -q 'Ready to accept' "$work/redis.out"
    start_planner first
    first=$planner
    expect_soon "the first planner leads" 30 leads first
    cp -p "$work/first/cluster.key" "$work/second/"
    start_planner second
    second=$planner
    same "its token is one" 200 "$(as_admin first)"
    expect "no argument has the password" 1 '^$' \
        grep -aFl "$REDIS_PASSWORD" "/proc/$first/cmdline" "/proc/$second/cmdline"
    kill -TERM "$first"
    wait "$first"
    expect_soon "the second planner takes over" 30 leads second
    same "each data directory has its token: the second" 200 "$(as_admin second)"
    same "each data directory has its token: the first" 200 "$(as_admin first)"
    expect "they are two" 1 '' cmp -s "$work/first/admin.token" "$work/second/admin.token"
    rm "$work/first/admin.token"
    as_second() { # as_second METHOD PATH [CURL_OPTION...]: the body
        local method=$1 path=$2
        shift 2
        curl -sS --max-time 20 -X "$method" \
            -H "Authorization: Bearer $(cat "$work/second/admin.token")" "$@" "$leader$path"
    }
    as_second PUT /v1/tenants/main -d '{}' >>"$answers"
    same "a value of state is put" 1 "$(as_second PUT '/v1/state/kept?tenant=main' \
        --data-binary "in Redis" | jq .version)"
    same "a number is added to" 3 "$(as_second POST '/v1/state/sum/add?tenant=main' -d '{"add":3}' |
        jq .sum)"
    start_planner first
    first=$planner
    kill -KILL "$second"
    wait "$second" 2>>"$work/planners.err"
    expect_soon "the first leads again" 60 leads first
    same "what was acknowledged is there" "in Redis" "$(as_second GET '/v1/state/kept?tenant=main')"
    same "and goes on" 4 "$(as_second POST '/v1/state/sum/add?tenant=main' -d '{"add":1}' | jq .sum)"
    same "what was lost is made anew" 200 "$(as_admin first)"
    same "and the other's stays" 200 "$(as_admin second)"
    as_first() { # as_first METHOD PATH [CURL_OPTION...]: the body
        local method=$1 path=$2
        shift 2
        curl -sS --max-time 20 -X "$method" -H "Authorization: Bearer $(cat "$work/first/admin.token")" \
            "$@" "$leader$path"
    }
    blobs() { [ "$(find "$work/first/store/blobs" -type f -name '??????????????????????????????*' | wc -l)" -eq "$1" ]; }
    as_first PUT /v1/tenants/main -d '{}' >>"$answers"
    as_first PUT '/v1/files/kept?tenant=main' --data-binary "stays" >>"$answers"
    as_first POST '/v1/blobs?tenant=main' --data-binary "goes" >>"$answers"
    expect "an upload and a file" 0 '' blobs 2
    expect_soon "an upload that nobody used goes" 30 blobs 1
    same "a file stays" "stays" "$(as_first GET '/v1/files/kept?tenant=main')"
    kill -TERM "$first" && wait "$first"
    kill -TERM "$redis" && wait "$redis"
else
    echo "skipped: planners (packages redis-server, python3)"
fi
