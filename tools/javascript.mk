# SPDX-License-Identifier: Apache-2.0
#
# make javascript      build/share/javascript.wasm: QuickJS from npm, with guest/javascript
#
# QuickJS's WebAssembly comes as a library without a program: it exports its C interface,
# its C library, memory and table. guest/javascript is compiled to lie behind its memory and
# table, and linked with it.

JS_BASE   := build/npm/quickjs-wasi-3.6.2/package/quickjs.wasm
JS_MEMORY := 18 # pages that it starts with
JS_TABLE  := 532 # functions in its table
JS_OUT    := build/share/javascript.wasm

build/gen/javascript/weft_module.h: guest/javascript/weft.js
	@mkdir -p $(@D)
	(echo 'static const char weft_module[] ='; \
	 sed -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' $<; echo '    ;') >$@
build/guest/javascript.wasm: $(wildcard guest/javascript/*.[ch]) build/gen/javascript/weft_module.h
	@mkdir -p $(@D)
	clang-19 --target=wasm32-unknown-unknown -nostdlib -ffreestanding -O2 -Wall -Wextra \
	    -Ibuild/gen/javascript -Iguest/javascript guest/javascript/main.c -o $@ \
	    -Wl,--no-entry,--import-memory,--import-table,--allow-undefined \
	    -Wl,--global-base=$$(($(JS_MEMORY) * 65536)),--table-base=$(JS_TABLE) \
	    -Wl,--export=__stack_pointer
$(JS_BASE):
	tests/programs/fetch
$(JS_OUT): build/guest/javascript.wasm guest/javascript/link | $(JS_BASE)
	@mkdir -p $(@D)
	guest/javascript/link $(JS_BASE) $< $@

.PHONY: javascript
javascript: $(JS_OUT)
# Part of everything where QuickJS has been fetched.
ifneq ($(wildcard $(JS_BASE)),)
all: $(JS_OUT)
endif
$(B)/test/cmd/javascript_test: | $(if $(wildcard $(JS_BASE)),$(JS_OUT))
