# SPDX-License-Identifier: Apache-2.0
#
# make bench-state      state beside Redis over a unix socket: build/bench/state.jsonl

$(B)/bench/state-redis: $(B)/obj/bench/state-redis.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lhiredis -o $@

.PHONY: bench-state
bench-state: all $(B)/bench/state-redis
	bench/state-run $(B) $(B)/bench/state.jsonl

# The peer of learning: the example itself, for the host, with Redis behind what it asks.
SGD_REDIS := bench/sgd-redis.c guest/lib/array.c guest/lib/sparse.c examples/sgd.c
$(B)/bench/sgd-redis: $(SGD_REDIS) $(wildcard guest/include/weft/*.h guest/lib/*.h)
	@mkdir -p $(@D)/sgd
	cd $(@D)/sgd && cc -O3 -march=native -std=gnu17 -D_GNU_SOURCE -Wno-attributes \
		-I$(CURDIR)/guest/include -c $(addprefix $(CURDIR)/,$(filter-out examples/%,$(SGD_REDIS)))
	cd $(@D)/sgd && cc -O3 -march=native -std=gnu17 -D_GNU_SOURCE -Wno-attributes \
		-I$(CURDIR)/guest/include -Dmain=guest_main -c $(CURDIR)/examples/sgd.c
	cc $(@D)/sgd/*.o -lhiredis -lm -o $@

.PHONY: bench-objects
bench-objects: all $(B)/bench/sgd-redis
	bench/objects-run $(B) $(B)/bench/objects.jsonl
