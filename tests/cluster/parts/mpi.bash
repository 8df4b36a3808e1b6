# SPDX-License-Identifier: Apache-2.0
#
# Functions whose calls are MPI worlds: their results, how they end, what is refused.

"$weft" mpicc -g -O1 -I"$here/../../guest/mpi" "$here/../mpi/net_ends.c" -o "$work/ends.wasm" ||
    fail "guest ends" "does not compile"
"$weft" mpicc -g -O1 -I"$here/../../guest/mpi" "$here/../mpi/net_ring.c" -o "$work/ring.wasm" ||
    fail "guest ring" "does not compile"

expect "deploy of a world, from its source" 0 '^world version 1 ' \
    "$weft" deploy "$here/guests/world.c" --mpi 4
for i in 1 2; do
    expect "a world, $i" 0 '^4 ranks, sum 6, input 12345$' "$weft" invoke world --input 12345
done
several=()
for i in 1 2 3; do several+=("$("$weft" invoke world --async --input "$i")"); done
for i in "${several[@]}"; do
    expect "three at one time" 0 '^4 ranks, sum 6, input [123]$' "$weft" calls wait "$i"
done
expect "deploy of one rank" 0 'version 2' "$weft" deploy "$here/guests/world.c" --mpi 1
expect "a world of one" 0 '^1 ranks, sum 0, input x$' "$weft" invoke world --input x
expect "deploy of a snapshot before MPI_Init" 0 '^begun-world version 1 ' \
    "$weft" deploy "$here/guests/world.c" --name begun-world --mpi 3 --snapshot
for i in 1 2; do
    expect "ranks from a snapshot, $i" 0 '^3 ranks, sum 3, input y$' \
        "$weft" invoke begun-world --input y
done

# ---------------------------------------------------------------------------- how it ends
# world_end NAME CODE PATTERN ARGUMENTS...: a version of three ranks with these arguments.
world_end() {
    local name=$1 code=$2 pattern=$3 arguments=()
    shift 3
    for i in "$@"; do arguments+=(--arg "$i"); done
    expect "deploy: $name" 0 '^ends version' \
        "$weft" deploy "$work/ends.wasm" --name ends --mpi 3 "${arguments[@]}"
    expect "$name" "$code" "$pattern" "$weft" invoke ends
}
for others in "" compute; do # they wait, or they do not
    world_end "a trap${others:+, others compute}" 1 'rank 2: .*integer divide by zero' trap $others
    world_end "an exit${others:+, others compute}" 7 'rank 2: exited with 7 before MPI_Finalize' \
        exit $others
    world_end "an abort${others:+, others compute}" 9 'rank 2: aborted with 9: this is no good' \
        abort $others
    world_end "a return${others:+, others compute}" 1 'rank 2: ended before MPI_Finalize' \
        return $others
done
world_end "deadlock" 1 'deadlock: every rank waits' deadlock
expect "what the first waits for" 1 '^  rank 0: MPI_Recv from 1$' "$weft" invoke ends
expect "what the third waits for" 1 '^  rank 2: MPI_Barrier$' "$weft" invoke ends
world_end "a code after the end of MPI" 5 '' code
id=$("$weft" invoke ends --async --input "")
expect "its end is kept" 1 'exit code 5' "$weft" calls wait "$id"
world_end "none of them uses MPI" 0 '' none
expect "deploy with a time limit" 0 '' "$weft" deploy "$work/ends.wasm" --name ends --mpi 2 \
    --time 0.3 --arg spin --arg compute
expect "time limit of a world" 1 'time limit' "$weft" invoke ends
expect "deploy of one that goes on" 0 '' "$weft" deploy "$work/ends.wasm" --name ends --mpi 2 \
    --arg spin --arg compute
id=$("$weft" invoke ends --async)
expect_soon "it runs" 10 bash -c "'$weft' calls show '$id' | grep -qE '^state +open'"
expect "cancel of a world" 0 'cancelled' "$weft" calls cancel "$id"
expect "its end" 1 'cancelled' "$weft" calls wait "$id"
expect "and the next world is well" 0 '^1 ranks, sum 0, input z$' "$weft" invoke world --input z

# -------------------------------------------------------------------- what is refused
expect "ranks of what is no MPI program" 2 'no MPI program.* weft mpicc' \
    "$weft" deploy "$work/tool.wasm" --name never --mpi 2
expect "too many ranks" 2 'mpi|not a value' "$weft" deploy "$work/ring.wasm" --mpi 5000
cat >"$work/unknown.c" <<'C'
#include <mpi.h>
int MPI_Frobnicate(MPI_Comm comm);
int main(void) { MPI_Init(0, 0); MPI_Frobnicate(MPI_COMM_WORLD); return MPI_Finalize(); }
C
expect "a function that is not in MPI, at its link" 1 'undefined symbol: MPI_Frobnicate' \
    "$weft" mpicc "$work/unknown.c" -o "$work/unknown.wasm"
"$weft" mpicc -Wl,--allow-undefined "$work/unknown.c" -o "$work/unknown.wasm"
expect "and at its deployment" 2 'MPI_Frobnicate' "$weft" deploy "$work/unknown.wasm" --mpi 2
