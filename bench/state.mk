# SPDX-License-Identifier: Apache-2.0
#
# make bench-state      state beside Redis over a unix socket: build/bench/state.jsonl

$(B)/bench/state-redis: $(B)/obj/bench/state-redis.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lhiredis -o $@

.PHONY: bench-state
bench-state: all $(B)/bench/state-redis
	bench/state-run $(B) $(B)/bench/state.jsonl
