# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-gateway    bytes -> JSON, descriptions, answers, escapes, for FUZZ_SECONDS

FUZZ_GATEWAY := fuzz/gateway_fuzz.c $(patsubst %,src/gateway/%.c,json json_read parse) \
                $(filter-out %_test.c,$(wildcard src/base/*.c))

build/fuzz/gateway_fuzz: $(FUZZ_GATEWAY) $(wildcard src/gateway/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_GATEWAY) -ljansson -o $@

.PHONY: fuzz-gateway
fuzz-gateway: build/fuzz/gateway_fuzz
	@mkdir -p build/fuzz/gateway-corpus
	build/fuzz/gateway_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 \
	    -dict=fuzz/gateway.dict -artifact_prefix=build/fuzz/gateway- -print_final_stats=1 \
	    build/fuzz/gateway-corpus
