# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-wasi    random calls of WASI functions, for FUZZ_SECONDS (30)

FUZZ_SECONDS ?= 30
# State and Faaslets are only pretended (wasi_state.h).
FUZZ_WASI_ROOMS   := base files group hostcall
FUZZ_WASI_FILES   := fuzz/wasi_fuzz.c \
                     $(filter-out %_test.c,$(wildcard $(FUZZ_WASI_ROOMS:%=src/%/*.c)))
FUZZ_WASI_OBJECTS := $(FUZZ_WASI_FILES:%.c=$(B)/fuzz/obj/%.o) \
                     $(patsubst %.S,$(B)/fuzz/obj/%.S.o,$(wildcard $(FUZZ_WASI_ROOMS:%=src/%/*.S))) \
                     $(patsubst build/gen/%.h,$(B)/fuzz/obj/gen/%.o,$(MESSAGES))

$(B)/fuzz/obj/%.S.o: %.S
	@mkdir -p $(@D)
	clang-19 -Isrc -g -c $< -o $@
$(B)/fuzz/obj/fuzz/wasi_fuzz.o: fuzz/wasi_state.h
$(B)/fuzz/wasi_fuzz: $(FUZZ_WASI_OBJECTS)
	clang-19 -pthread -fsanitize=fuzzer,address,undefined $^ $(LDLIBS) -o $@

.PHONY: fuzz-wasi
fuzz-wasi: $(B)/fuzz/wasi_fuzz
	@mkdir -p $(B)/fuzz/wasi-corpus
	$(B)/fuzz/wasi_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=2048 \
		-artifact_prefix=$(B)/fuzz/wasi- -print_final_stats=1 $(B)/fuzz/wasi-corpus
