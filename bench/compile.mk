# SPDX-License-Identifier: Apache-2.0
#
# make bench-compile    CPython: compiled, then started from the cache: build/bench/compile.jsonl
#
# PYTHON_WASM=FILE: another build of CPython than the one that tests/programs fetches.

PYTHON_WASM ?= $(BENCH_PYTHON)

.PHONY: bench-compile
bench-compile: all
	@[ -e $(PYTHON_WASM) ] || tests/programs/fetch
	@mkdir -p $(B)/bench
	bench/compile $(B) $(PYTHON_WASM) $(B)/bench/compile.jsonl
