# SPDX-License-Identifier: Apache-2.0
#
# make bench-chain   calls that calls start, in one cell

$(B)/bench/chain: $(B)/obj/bench/chain.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/bench/chain.image: bench/chain.wat $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	wat2wasm $< -o $(B)/bench/chain.wasm
	$(B)/weft compile $(B)/bench/chain.wasm -o $@

.PHONY: bench-chain
bench-chain: $(B)/bench/chain $(B)/bench/chain.image
	@rm -f $(B)/bench/chain.jsonl
	$(B)/bench/chain --image $(B)/bench/chain.image --out $(B)/bench/chain.jsonl
