# SPDX-License-Identifier: Apache-2.0
#
# make bench-catalog    what every call asks the catalog, and what a change costs:
#                       build/bench/catalog.jsonl

$(B)/bench/catalog: $(B)/obj/bench/catalog.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: bench-catalog
bench-catalog: $(B)/bench/catalog
	@rm -rf $(B)/bench/catalog-store
	$(B)/bench/catalog $(B)/bench/catalog-store --out $(B)/bench/catalog.jsonl
	@rm -rf $(B)/bench/catalog-store
