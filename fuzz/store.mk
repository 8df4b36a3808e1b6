# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-store    bytes -> listings of S3 and addresses of stores, for FUZZ_SECONDS

FUZZ_STORE := fuzz/store_fuzz.c src/store/s3_page.c src/store/address.c \
              $(filter-out %_test.c,$(wildcard src/base/*.c))

build/fuzz/store_fuzz: $(FUZZ_STORE) $(wildcard src/store/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_STORE) -o $@

.PHONY: fuzz-store
fuzz-store: build/fuzz/store_fuzz
	@mkdir -p build/fuzz/store-corpus
	build/fuzz/store_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 \
	    -dict=fuzz/store.dict -artifact_prefix=build/fuzz/store- -print_final_stats=1 \
	    build/fuzz/store-corpus
