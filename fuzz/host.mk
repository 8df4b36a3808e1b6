# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-hosts      any words of a worker -> a planner with calls, for FUZZ_SECONDS (30)
# make fuzz-agent      any words of a planner -> a worker with cells that are doubles
# make fuzz-state      any words of a cell -> a tier with its store; any of a tier -> a local tier

FUZZ_SECONDS    ?= 30
FUZZ_HOST_ENDS  := hosts agent state
FUZZ_HOST_ROOMS := base net rpc store catalog planner tier jail worker hosts agent state mem
FUZZ_HOST_FILES := fuzz/words.c $(filter-out %_test.c,$(wildcard $(FUZZ_HOST_ROOMS:%=src/%/*.c)))

# As much of it as the other builds: objects, for one file has often changed.
FUZZ_HOST_FLAGS := -Isrc -Ibuild/gen -O1 -g -std=gnu17 -D_GNU_SOURCE -DWEFT_SANITIZE \
                   -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -MMD -MP
FUZZ_HOST_OBJECTS := $(FUZZ_HOST_FILES:%.c=$(B)/fuzz/obj/%.o) \
                     $(patsubst build/gen/%.h,$(B)/fuzz/obj/gen/%.o,$(MESSAGES))

$(B)/fuzz/obj/%.o: %.c | $(MESSAGES)
	@mkdir -p $(@D)
	clang-19 $(FUZZ_HOST_FLAGS) $(WARNINGS) -c $< -o $@
$(B)/fuzz/obj/gen/%.o: build/gen/%.h
	@mkdir -p $(@D)
	clang-19 $(FUZZ_HOST_FLAGS) -w -c $(<:.h=.c) -o $@
$(FUZZ_HOST_ENDS:%=$(B)/fuzz/%_fuzz): $(B)/fuzz/%: $(B)/fuzz/obj/fuzz/%.o $(FUZZ_HOST_OBJECTS)
	clang-19 -pthread -fsanitize=fuzzer,address,undefined $^ -lcmocka $(LDLIBS) -o $@
$(B)/fuzz/double: $(B)/test/worker/double
	cp $< $@
-include $(shell find $(B)/fuzz/obj -name '*.d' 2>/dev/null)

.PHONY: $(FUZZ_HOST_ENDS:%=fuzz-%)
$(FUZZ_HOST_ENDS:%=fuzz-%): fuzz-%: $(B)/fuzz/%_fuzz $(B)/fuzz/double
	@mkdir -p $(B)/fuzz/$*-corpus
	@state=$$(mktemp -d -p /dev/shm weft-XXXXXX 2>/dev/null || mktemp -d); \
	trap 'rm -rf "$$state"' EXIT; \
	TMPDIR=$$state ASAN_OPTIONS=quarantine_size_mb=32 $(B)/fuzz/$*_fuzz \
		-max_total_time=$(FUZZ_SECONDS) -timeout=60 -max_len=200 -len_control=0 \
		-rss_limit_mb=2048 -artifact_prefix=$(B)/fuzz/$*- -print_final_stats=1 \
		$(B)/fuzz/$*-corpus
