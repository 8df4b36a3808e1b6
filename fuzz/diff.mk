# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-diff        Weft against Node's V8 for FUZZ_SECONDS, from FUZZ_SEED on
# make fuzz-diff-check  the same on fixed seeds, by count: what the checks run
# make fuzz-engine      bytes -> module -> compile -> run, for crashes only
#
# Differences are kept in $(B)/fuzz/diff: SEED.wasm, .script, .v8 and .weft.

FUZZ_SECONDS ?= 60
FUZZ_SEED    ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
FUZZ_COUNT   ?= 150

FUZZ_SIDE := $(patsubst %,$(B)/obj/fuzz/%.c.o,side side_host scan)
FUZZ_MAKE := $(patsubst %,$(B)/obj/fuzz/%.c.o,generate generate_plan generate_code generate_call \
             generate_value)
FUZZ_DIFF := $(patsubst %,$(B)/obj/fuzz/%.c.o,diff diff_case diff_reduce peer) $(FUZZ_SIDE) $(FUZZ_MAKE)

$(B)/obj/fuzz/%.c.o: fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(B)/obj/fuzz/scan.c.o: CPPFLAGS += $(shell $(LLVM) --cppflags 2>/dev/null)

$(B)/fuzz/diff-weft: $(FUZZ_DIFF) $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LLVMLIBS) $(LDLIBS) -o $@

.PHONY: fuzz-diff fuzz-diff-check
fuzz-diff: $(B)/fuzz/diff-weft
	@mkdir -p $(B)/fuzz/diff
	@echo "fuzz-diff: FUZZ_SEED=$(FUZZ_SEED)"
	$(B)/fuzz/diff-weft --keep $(B)/fuzz/diff --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS)
fuzz-diff-check: $(B)/fuzz/diff-weft
	@mkdir -p $(B)/fuzz/diff
	$(B)/fuzz/diff-weft --keep $(B)/fuzz/diff --seed 1 --count $(FUZZ_COUNT)

# Crashes: our own code instrumented, LLVM as it is. Guest code faults on purpose,
# so the signals are the runtime's.
FUZZ_ENGINE_C   := $(filter-out src/cmd/%,$(SOURCES)) \
                   $(patsubst %,fuzz/%.c,engine_fuzz diff_case peer side side_host scan generate \
                   generate_plan generate_code generate_call generate_value)
FUZZ_ENGINE_OBJ := $(patsubst %,$(B)/fuzz/engine/%.o,$(FUZZ_ENGINE_C))
FUZZ_ENGINE_CFLAGS := -O1 -g -std=gnu17 -D_GNU_SOURCE -DWEFT_SANITIZE -pthread \
                   -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                   -fno-sanitize-recover=all

$(B)/fuzz/engine/%.o: %
	@mkdir -p $(@D)
	$(FUZZ_CC) -Isrc -Ibuild/gen -MMD -MP $(shell $(LLVM) --cppflags 2>/dev/null) $(FUZZ_ENGINE_CFLAGS) -c $< -o $@

$(B)/fuzz/engine_fuzz: $(FUZZ_ENGINE_OBJ)
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -pthread $^ $(LLVMLIBS) $(LDLIBS) -o $@

.PHONY: fuzz-engine
fuzz-engine: $(B)/fuzz/engine_fuzz
	@mkdir -p $(B)/fuzz/engine-corpus $(B)/fuzz/engine-findings
	ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:use_sigaltstack=0:detect_leaks=0 \
	    $(B)/fuzz/engine_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=4096 \
	    -handle_segv=0 -handle_bus=0 -handle_ill=0 -handle_fpe=0 -max_len=4000 -len_control=0 \
	    -artifact_prefix=$(B)/fuzz/engine-findings/ -print_final_stats=1 $(B)/fuzz/engine-corpus

# The test of what was found uses the same side of Weft.
$(B)/test/tests/regress_test: $(B)/obj/tests/regress_test.c.o $(FUZZ_SIDE) $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lcmocka $(LLVMLIBS) $(LDLIBS) -o $@
