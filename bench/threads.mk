# SPDX-License-Identifier: Apache-2.0
#
# make bench-threads   threads, locks and wakes beside the host's: build/bench/threads.jsonl

$(B)/bench/threads-native: bench/threads-guest.c
	@mkdir -p $(@D)
	$(CC) -O2 -pthread $< -o $@
$(B)/bench/threads-guest.wasm: bench/threads-guest.c $(B)/weft $(B)/sysroot/stamp
	@mkdir -p $(@D)
	$(B)/weft cc -O2 -pthread $< -o $@

.PHONY: bench-threads
bench-threads: all $(B)/bench/threads-native $(B)/bench/threads-guest.wasm
	bench/threads-run $(B)
