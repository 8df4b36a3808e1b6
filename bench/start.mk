# SPDX-License-Identifier: Apache-2.0
#
# make bench-start      create, host call, freeze, thaw, clone; from Proto-Faaslets to
#                       results beside posix_spawn; resets; calls through a worker;
#                       CPython (bench-python): build/bench/start.jsonl
# make bench-handler    functions in Python and JavaScript through a worker, likewise
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
	$(MAKE) --no-print-directory bench-python
bench-density bench-switch: bench-%: $(B)/bench/proto $(B)/bench/noop.image
	@rm -f $(B)/bench/$*.jsonl
	$(B)/bench/proto $* --out $(B)/bench/$*.jsonl --image $(B)/bench/noop.image

# CPython from its Proto-Faaslet, at the first read of its input: a handler that says
# hello and leaves at once, and a script after which the interpreter takes itself down.
BENCH_PYTHON := build/npm/python-wasi-3.12.0/package/dist/python.wasm
PYTHON_HANDLER := import sys, os, json, re; line = sys.stdin.readline(); \
    print('hello', line.strip(), flush=True); os._exit(0)
PYTHON_SCRIPT := import sys, os, json, re; exec(sys.stdin.read())

$(B)/bench/python: $(B)/obj/bench/python.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BENCH_PYTHON):
	tests/programs/fetch
$(B)/bench/python.image: $(BENCH_PYTHON) $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	$(B)/weft compile $< -o $@
$(B)/bench/python-handler.proto: $(B)/bench/python.image
	$(B)/weft run --save $@ --save-at fd_read:0 $(BENCH_PYTHON) -c "$(PYTHON_HANDLER)"
$(B)/bench/python-script.proto: $(B)/bench/python.image
	$(B)/weft run --save $@ --save-at fd_read:0 $(BENCH_PYTHON) -c "$(PYTHON_SCRIPT)"

$(B)/bench/handler: $(B)/obj/bench/handler.c.o $(B)/obj/cmd/python.c.o $(B)/obj/cmd/source.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/bench/javascript.image: build/share/javascript.wasm $(B)/weft $(B)/weft-compiler
	@mkdir -p $(@D)
	$(B)/weft compile $< -o $@

.PHONY: bench-handler
bench-handler: $(B)/bench/handler $(B)/bench/python.image $(B)/bench/javascript.image $(B)/weft-cell
	$(B)/bench/handler --out $(B)/bench/start.jsonl --image $(B)/bench/python.image \
	    --cell $(B)/weft-cell --source examples/hello.py
	$(B)/bench/handler --out $(B)/bench/start.jsonl --image $(B)/bench/javascript.image \
	    --cell $(B)/weft-cell --source examples/hello.js \
	    --name "JavaScript handler through a worker"

.PHONY: bench-python
bench-python: $(B)/bench/python $(B)/bench/python-handler.proto $(B)/bench/python-script.proto
	$(B)/bench/python --out $(B)/bench/start.jsonl --image $(B)/bench/python.image \
	    --proto $(B)/bench/python-handler.proto --name "CPython handler says hello" \
	    --input weft --expect "hello weft"
	$(B)/bench/python --out $(B)/bench/start.jsonl --image $(B)/bench/python.image \
	    --proto $(B)/bench/python-script.proto --name "CPython script says hello and ends" \
	    --input 'print("hello")' --expect hello
