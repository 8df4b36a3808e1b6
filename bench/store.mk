# SPDX-License-Identifier: Apache-2.0
#
# make bench-store      records and blobs beside the disk alone: build/bench/store.jsonl

$(B)/bench/store: $(B)/obj/bench/store.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: bench-store
bench-store: $(B)/bench/store
	bench/store-run $(B)/bench/store $(B)/bench/store.jsonl
