# SPDX-License-Identifier: Apache-2.0
#
# Functions with threads and with OpenMP: from nothing, and from a Proto-Faaslet that has its
# threads already; their limits; what one of them does to all.

threaded() { # threaded NAME OPTION: compiles tests/cluster/guests/NAME.c
    "$weft" cc -g -O1 "$2" -Wall -Wextra -Werror "$here/guests/$1.c" -o "$work/$1.wasm" ||
        fail "guest $1" "does not compile"
}
threaded threads -pthread
threaded team -fopenmp

sum='^500500 by 3 of [1-9]'
expect "deploy with threads" 0 '^threads version 1 ' "$weft" deploy "$work/threads.wasm" --threads 4
expect "threads" 0 "$sum" "$weft" invoke threads --input "sum 1000"
expect "and once more" 0 "$sum" "$weft" invoke threads --input "sum 1000"
expect "deploy of OpenMP, from its source" 0 '^team version 1 ' \
    "$weft" deploy "$here/guests/team.c" -O "-fopenmp -g" --threads 8
expect "OpenMP" 0 '^332833500, 20 tasks' "$weft" invoke team --input 999

# From where all threads wait: the first starts it on a host, then others.
expect "deploy of a snapshot with threads" 0 '^begun version 1 ' \
    "$weft" deploy "$work/threads.wasm" --name begun --threads 4 --snapshot
expect "deploy of a snapshot with a team" 0 '^ready version 1 ' \
    "$weft" deploy "$work/team.wasm" --name ready --threads 8 --snapshot
for i in 1 2 3 4; do
    expect "threads go on from a snapshot, $i" 0 "$sum" "$weft" invoke begun --input "sum 1000"
    expect "a team goes on from a snapshot, $i" 0 '^332833500, 20 tasks' \
        "$weft" invoke ready --input 999
done
several=()
for i in 1 2 3 4 5 6 7 8 9 10; do
    several+=("$("$weft" invoke begun --async --input "sum 1000")")
done
for i in "${several[@]}"; do
    expect "ten at one time, with three threads each" 0 "$sum" "$weft" calls wait "$i"
done
expect "their processor time is counted" 0 '^processor +[0-9]|cpu' "$weft" calls show "${several[0]}"

# -------------------------------------------------------------------------------- limits
for name in threads begun; do
    expect "too many threads, $name" 1 'threads limit' "$weft" invoke "$name" --input "many 1"
done
expect "as many as there may be" 0 'version 2' "$weft" deploy "$work/threads.wasm" --threads 14
expect "ten more" 0 '^10 more$' "$weft" invoke threads --input "many 10"
expect "eleven more are too many" 1 'threads limit' "$weft" invoke threads --input "many 11"
expect "deploy without threads" 0 'version 3' "$weft" deploy "$work/threads.wasm" --threads 1
expect "a function that may have none" 4 'threads limit' "$weft" invoke threads --input "sum 1"
expect "a snapshot that needs more than it may have" 2 'exit code 4 before it came to .*threads limit' \
    "$weft" deploy "$work/threads.wasm" --name never --threads 2 --snapshot
expect "more than there can be" 2 'threads|not a value' \
    "$weft" deploy "$work/threads.wasm" --threads 5000

expect "deploy with a time limit, of threads" 0 '' \
    "$weft" deploy "$work/threads.wasm" --name timed --time 0.5
for what in spin sleep; do
    expect "time limit of threads that $what" 1 'time limit' "$weft" invoke timed --input $what
done
expect "threads after that" 0 "$sum" "$weft" invoke timed --input "sum 1000"
expect "deploy with a processor time limit, of threads" 0 '' \
    "$weft" deploy "$work/threads.wasm" --name worked --cpu 0.2 --snapshot
expect "processor time limit of threads" 1 'more processor time than its limit of 0\.2 s' \
    "$weft" invoke worked --input spin
expect "deploy with a memory limit, of threads" 0 '' \
    "$weft" deploy "$work/threads.wasm" --name narrow --memory 16M
expect "memory limit of threads" 3 'memory limit' "$weft" invoke narrow --input memory

# ------------------------------------------------------------- what one does to all of them
for name in timed begun; do
    expect "a trap in a thread, $name" 1 'out of bounds memory access' \
        "$weft" invoke "$name" --input trap
    expect "says where, $name" 1 '#0 poke .threads\.c:[0-9]+' "$weft" invoke "$name" --input trap
    expect "and in which, $name" 1 'thread [1-9][0-9]*:' "$weft" invoke "$name" --input trap
    expect "exit in a thread, $name" 7 '' "$weft" invoke "$name" --input exit
    expect "deadlock, $name" 1 'deadlock: every thread waits' "$weft" invoke "$name" --input wait
    expect "where they wait, $name" 1 'thread [1-9][0-9]* waits:' "$weft" invoke "$name" --input wait
    expect "and the next call is well, $name" 0 "$sum" "$weft" invoke "$name" --input "sum 1000"
done

# Deployed and told by name, not found out later.
cat >"$work/lonely.wat" <<'WAT'
(module (import "wasi" "thread-spawn" (func (param i32) (result i32))) (memory 1)
        (func (export "_start")))
WAT
cat >"$work/startless.wat" <<'WAT'
(module (import "wasi" "thread-spawn" (func (param i32) (result i32))) (memory 1 1 shared)
        (func (export "_start")))
WAT
for name in lonely startless; do
    wat2wasm --enable-threads "$work/$name.wat" -o "$work/$name.wasm"
done
expect "threads without shared memory" 2 'no shared memory' "$weft" deploy "$work/lonely.wasm"
expect "threads without a start" 2 'does not export wasi_thread_start' \
    "$weft" deploy "$work/startless.wasm"
