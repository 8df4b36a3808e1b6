# SPDX-License-Identifier: Apache-2.0
#
# make bench-bytes   finding differences and merging beside memcmp: build/bench/bytes.jsonl

$(B)/bench/bytes: $(B)/obj/bench/bytes.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: bench-bytes
bench-bytes: $(B)/bench/bytes
	$(B)/bench/bytes --out $(B)/bench/bytes.jsonl
