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

FUZZ_SIDE := $(patsubst %,$(B)/obj/fuzz/%.c.o,side side_host)
FUZZ_MAKE := $(patsubst %,$(B)/obj/fuzz/%.c.o,generate generate_code generate_call generate_value)
FUZZ_DIFF := $(patsubst %,$(B)/obj/fuzz/%.c.o,diff diff_case diff_reduce peer) $(FUZZ_SIDE) $(FUZZ_MAKE)

$(B)/obj/fuzz/%.c.o: fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

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
