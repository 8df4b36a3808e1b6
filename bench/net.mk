# SPDX-License-Identifier: Apache-2.0
#
# make bench-net        frames between processes: unix, TCP, TCP with a secret:
#                       build/bench/net.jsonl

$(B)/bench/net: $(B)/obj/bench/net.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: bench-net
bench-net: $(B)/bench/net
	$(B)/bench/net --out $(B)/bench/net.jsonl
