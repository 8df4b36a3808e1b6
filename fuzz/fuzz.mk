# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-wasm     bytes -> decoder, validator and cursor, for FUZZ_SECONDS
#
# Findings and the corpus are kept in $(B)/fuzz. The corpus begins with the
# .wasm files that the build has made, if any.

FUZZ_SECONDS ?= 30
FUZZ_CC      := clang-19
FUZZ_CFLAGS  := -O1 -g -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -DWEFT_SANITIZE -Isrc \
                -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_WASM    := fuzz/wasm_fuzz.c $(filter-out %_test.c,$(wildcard src/wasm/*.c src/base/*.c))

$(B)/fuzz/wasm_fuzz: $(FUZZ_WASM) $(wildcard src/wasm/*.h src/wasm/*.def src/base/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_WASM) -o $@

.PHONY: fuzz-wasm
fuzz-wasm: $(B)/fuzz/wasm_fuzz
	@mkdir -p $(B)/fuzz/wasm-corpus $(B)/fuzz/wasm-findings
	@find build -name '*.wasm' -size -64k -not -path '*/fuzz/*' -exec cp -n -t $(B)/fuzz/wasm-corpus {} + 2>/dev/null || true
	$(B)/fuzz/wasm_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -artifact_prefix=$(B)/fuzz/wasm-findings/ -print_final_stats=1 $(B)/fuzz/wasm-corpus
