# SPDX-License-Identifier: Apache-2.0
#
# make bench-share   mapping, absent pages and writes of shares: build/bench/share.jsonl

$(B)/bench/share: $(B)/obj/bench/share.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/bench/share.image: bench/share.wat $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	wat2wasm --enable-threads $< -o $(@:.image=.wasm)
	$(B)/weft compile $(@:.image=.wasm) -o $@

.PHONY: bench-share
bench-share: $(B)/bench/share $(B)/bench/share.image
	$(B)/bench/share --image $(B)/bench/share.image --out $(B)/bench/share.jsonl
