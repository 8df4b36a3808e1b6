# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-wasi    random calls of WASI functions, for FUZZ_SECONDS (30)

FUZZ_SECONDS ?= 30
FUZZ_WASI_SOURCES := $(filter-out %_test.c,$(wildcard src/base/*.c src/files/*.c src/hostcall/*.c))

build/fuzz/wasi_fuzz: fuzz/wasi_fuzz.c fuzz/wasi_state.h $(FUZZ_WASI_SOURCES) $(wildcard src/files/*.h src/hostcall/*.h) \
		| $(MESSAGES)
	@mkdir -p $(@D)
	clang-19 -Isrc -Ibuild/gen -Ifuzz -O1 -g -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -pthread \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		fuzz/wasi_fuzz.c $(FUZZ_WASI_SOURCES) -o $@

.PHONY: fuzz-wasi
fuzz-wasi: build/fuzz/wasi_fuzz
	@mkdir -p build/fuzz/wasi-corpus
	build/fuzz/wasi_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=2048 \
		-artifact_prefix=build/fuzz/wasi- -print_final_stats=1 build/fuzz/wasi-corpus
