# SPDX-License-Identifier: Apache-2.0
#
# make bench-start      create, host call, freeze, thaw, clone: build/bench/start.jsonl

$(B)/obj/bench/%.c.o: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(B)/bench/start: $(B)/obj/bench/start.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LLVMLIBS) $(LDLIBS) -o $@

.PHONY: bench-start
bench-start: $(B)/bench/start
	$(B)/bench/start --out $(B)/bench/start.jsonl
