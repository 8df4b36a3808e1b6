# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-catalog    bytes -> records, references, schedules, paths, for FUZZ_SECONDS

FUZZ_CATALOG := fuzz/catalog_fuzz.c $(patsubst %,src/catalog/%.c,record check schedule) \
                $(filter-out %_test.c,$(wildcard src/base/*.c))

build/fuzz/catalog_fuzz: $(FUZZ_CATALOG) $(wildcard src/catalog/*.h) build/gen/catalog/records.pb-c.h
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -Ibuild/gen $(FUZZ_CATALOG) \
	    -x c -w build/gen/catalog/records.pb-c.c -x none -lprotobuf-c -o $@

.PHONY: fuzz-catalog
fuzz-catalog: build/fuzz/catalog_fuzz
	@mkdir -p build/fuzz/catalog-corpus
	build/fuzz/catalog_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 \
	    -dict=fuzz/catalog.dict -artifact_prefix=build/fuzz/catalog- -print_final_stats=1 \
	    build/fuzz/catalog-corpus
