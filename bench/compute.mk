# SPDX-License-Identifier: Apache-2.0
#
# make bench-compute            all programs, 9 rounds
# make bench-compute KERNELS="gemm sort"  some of them; ROUNDS=3 for fewer rounds
#
# Each program of bench/kernels and bench/general is built four times: natively
# with -O3, natively for x86-64-v3, for Weft, and for V8 with SIMD (its best
# case). The table and the goals are printed by bench/compute.c.

ROUNDS        ?= 9
BENCH_DIR     := build/bench
BENCH_ALL     := $(patsubst bench/%.c,%,$(wildcard bench/kernels/*.c bench/general/*.c))
BENCH_CHOSEN  := $(if $(KERNELS),$(filter $(foreach k,$(KERNELS),%/$(k)),$(BENCH_ALL)),$(BENCH_ALL))
BENCH_HEADERS := bench/kernels/kernel.h
BENCH_WEFT    := build/weft

$(BENCH_DIR)/native/%: bench/%.c $(BENCH_HEADERS)
	@mkdir -p $(@D)
	clang-19 -O3 $< -lm -o $@
$(BENCH_DIR)/v3/%: bench/%.c $(BENCH_HEADERS)
	@mkdir -p $(@D)
	clang-19 -O3 -march=x86-64-v3 $< -lm -o $@

# Compiled and linked in two steps: on a link line with -O clang runs another
# optimiser over the module.
$(BENCH_DIR)/simd/%.wasm: bench/%.c $(BENCH_HEADERS) | build/sysroot/stamp
	@mkdir -p $(@D)
	clang-19 --target=wasm32-wasi --sysroot=build/sysroot -O3 -msimd128 -c $< -o $(@:.wasm=.o)
	clang-19 --target=wasm32-wasi --sysroot=build/sysroot $(@:.wasm=.o) -o $@
$(BENCH_DIR)/guest/%.wasm: bench/%.c $(BENCH_HEADERS) $(BENCH_WEFT)
	@mkdir -p $(@D)
	$(BENCH_WEFT) cc -O3 $< -o $@

$(BENCH_DIR)/compute: bench/compute.c bench/latency.c bench/latency.h
	@mkdir -p $(@D)
	$(CC) -O2 -g -std=gnu17 -Wall -Wextra -Wshadow -Wconversion -D_GNU_SOURCE -pthread \
	    $(filter %.c,$^) -lm -o $@

BENCH_BUILT := $(foreach b,$(BENCH_CHOSEN),$(BENCH_DIR)/native/$(b) $(BENCH_DIR)/v3/$(b) \
                 $(BENCH_DIR)/guest/$(b).wasm $(BENCH_DIR)/simd/$(b).wasm)

.PHONY: bench-compute-build
bench-compute-build: $(BENCH_WEFT) $(addsuffix -compiler,$(BENCH_WEFT)) $(BENCH_BUILT) $(BENCH_DIR)/compute

# The first run of each module compiles it, so the images are made beforehand.
.PHONY: bench-compute
bench-compute: bench-compute-build
	$(BENCH_DIR)/compute --rounds $(ROUNDS) --out $(BENCH_DIR)/compute.jsonl --runner tools/wasi.mjs \
	    --weft $(BENCH_WEFT) $(BENCH_DIR) $(BENCH_CHOSEN)
