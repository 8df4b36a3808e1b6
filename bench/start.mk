# SPDX-License-Identifier: Apache-2.0
#
# make bench-start      create, host call, freeze, thaw, clone; from Proto-Faaslets to
#                       results beside posix_spawn; resets; calls through a worker:
#                       build/bench/start.jsonl
# make bench-density    50,000 Faaslets that wait: build/bench/density.jsonl
# make bench-switch     two Faaslets that wake each other: build/bench/switch.jsonl

$(B)/obj/bench/%.c.o: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(B)/bench/start: $(B)/obj/bench/start.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LLVMLIBS) $(LDLIBS) -o $@

$(B)/bench/proto: $(B)/obj/bench/proto.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/bench/noop.image: bench/noop.wat $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	wat2wasm $< -o $(@:.image=.wasm)
	$(B)/weft compile $(@:.image=.wasm) -o $@
$(B)/bench/worker: $(B)/obj/bench/worker.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/bench/call.image: bench/call.wat $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	wat2wasm $< -o $(@:.image=.wasm)
	$(B)/weft compile $(@:.image=.wasm) -o $@
$(B)/bench/noop:
	@mkdir -p $(@D)
	echo 'int main(void) { return 0; }' | $(CC) -O2 -static -x c - -o $@

.PHONY: bench-start bench-density bench-switch
bench-start: $(B)/bench/start $(B)/bench/proto $(B)/bench/noop.image $(B)/bench/noop \
             $(B)/bench/worker $(B)/bench/call.image $(B)/weft-cell
	$(B)/bench/start --out $(B)/bench/start.jsonl
	$(B)/bench/proto start --out $(B)/bench/start.jsonl --image $(B)/bench/noop.image \
	    --noop $(B)/bench/noop
	$(B)/bench/worker --out $(B)/bench/start.jsonl --image $(B)/bench/call.image \
	    --cell $(B)/weft-cell
bench-density bench-switch: bench-%: $(B)/bench/proto $(B)/bench/noop.image
	@rm -f $(B)/bench/$*.jsonl
	$(B)/bench/proto $* --out $(B)/bench/$*.jsonl --image $(B)/bench/noop.image
