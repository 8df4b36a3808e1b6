# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-net     any bytes and descriptors -> frames and messages, for FUZZ_SECONDS (30)

FUZZ_SECONDS ?= 30
FUZZ_NET     := fuzz/net_fuzz.c $(filter-out %_test.c,$(wildcard src/net/*.c src/rpc/*.c src/base/*.c))

$(B)/fuzz/net_fuzz: $(FUZZ_NET) $(wildcard src/net/*.h src/rpc/*.h src/base/*.h) $(MESSAGES)
	@mkdir -p $(@D)
	clang-19 -Isrc -Ibuild/gen -O1 -g -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -DWEFT_SANITIZE \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$(FUZZ_NET) -x c -w $(MESSAGES:.h=.c) -x none -lprotobuf-c -o $@

.PHONY: fuzz-net
fuzz-net: $(B)/fuzz/net_fuzz
	@mkdir -p $(B)/fuzz/net-corpus
	$(B)/fuzz/net_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -rss_limit_mb=1024 \
		-artifact_prefix=$(B)/fuzz/net- -print_final_stats=1 $(B)/fuzz/net-corpus
