# SPDX-License-Identifier: Apache-2.0
#
# make              build/weft, build/weft-compiler, build/weft-cell
# make check        everything that must pass (see also check-*)
# make demo         the main job on real programs
# make help         all targets
# make clean        removes build/
#
# SAN=address,undefined or SAN=thread builds host code with sanitizers, into a
# build directory of its own. CC=clang-19 works as well as gcc.

comma    := ,
CC       ?= gcc
B        := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))$(if $(findstring clang,$(CC)),/clang)
LLVM     := llvm-config-19

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla
CFLAGS   ?= -O2 -g
override CFLAGS := $(CFLAGS) -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -pthread -fno-omit-frame-pointer \
            $(if $(CI),-Werror) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -DWEFT_SANITIZE)
CPPFLAGS := -Isrc -Ibuild/gen -MMD -MP
LDFLAGS  += -pthread $(if $(SAN),-fsanitize=$(SAN))
LDLIBS   := -Wl,--as-needed -ldw -lelf -lseccomp -lcap-ng -lmnl -lssl -lcrypto -lzstd -lprotobuf-c -llmdb -lhiredis -lcurl -ljansson -lmicrohttpd
LLVMLIBS := -Wl,--as-needed $(shell $(LLVM) --libs --link-shared 2>/dev/null | sed 's/^/-L\/usr\/lib\/llvm-19\/lib /')

ROOMS    := $(shell sed -n 's/^\([a-z]*\):.*/\1/p' ROOMS)
SOURCES  := $(filter-out %_test.c src/cmd/%,$(wildcard $(ROOMS:%=src/%/*.c)) $(wildcard $(ROOMS:%=src/%/*.S)))
OBJECTS  := $(patsubst src/%,$(B)/obj/%.o,$(SOURCES))
PROGRAMS := $(B)/weft $(B)/weft-compiler $(B)/weft-cell
TESTS    := $(patsubst src/%.c,$(B)/test/%,$(wildcard src/*/*_test.c)) \
            $(patsubst tests/%.c,$(B)/test/tests/%,$(wildcard tests/*_test.c)) \
            $(patsubst guest/mpi/%.c,$(B)/test/mpi/%,$(wildcard guest/mpi/*_test.c))

.PHONY: all
all: $(PROGRAMS)

# The messages of a room: C from their schema, with warnings of its own making.
MESSAGES := $(patsubst src/%.proto,build/gen/%.pb-c.h,$(wildcard $(ROOMS:%=src/%/*.proto)))
.SECONDARY: $(MESSAGES)
OBJECTS  += $(MESSAGES:build/gen/%.h=$(B)/obj/%.c.o)
build/gen/%.pb-c.h: src/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=$(<D) --c_out=$(@D) $<
$(B)/obj/%.pb-c.c.o: build/gen/%.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out $(WARNINGS),$(CFLAGS)) -c $(<:.h=.c) -o $@

# The module weft for Python, as a string.
build/gen/cmd/python_module.h: guest/python/weft.py
	@mkdir -p $(@D)
	(echo 'static const char python_module[] ='; \
	 sed -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' $<; echo '    ;') >$@
$(B)/obj/cmd/python.c.o: build/gen/cmd/python_module.h
$(B)/test/cmd/python_test: $(B)/obj/cmd/python.c.o $(B)/obj/cmd/source.c.o | $(B)/weft $(B)/weft-cell
$(B)/test/cmd/javascript_test: $(B)/obj/cmd/source.c.o | $(B)/weft $(B)/weft-cell

$(B)/obj/compile/%.c.o: CPPFLAGS += $(shell $(LLVM) --cppflags 2>/dev/null)

$(B)/obj/%.c.o: src/%.c | $(MESSAGES)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(B)/obj/%.S.o: src/%.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(B)/obj/tests/%.c.o: tests/%.c | $(MESSAGES)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# What the gateway tells of itself is part of it.
$(B)/obj/gateway/openapi.S.o: docs/openapi.json

$(B)/libweft.a: $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(B)/weft: $(patsubst src/%,$(B)/obj/%.o,$(filter-out %_test.c src/cmd/compiler_main.c src/cmd/cell_main.c,$(wildcard src/cmd/*.c))) $(B)/libweft.a
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/weft-compiler: $(B)/obj/cmd/compiler_main.c.o $(B)/libweft.a
	$(CC) $(LDFLAGS) $^ $(LLVMLIBS) $(LDLIBS) -o $@
# Its root is empty, so it brings all its libraries (sanitizers cannot be brought along). The
# linker would warn of name look-ups in them that nobody calls.
CELLLIBS := $(if $(SAN),$(LDLIBS),-static-pie -Wl,--no-warnings -ldw -lelf -lz -lbz2 -llzma -lseccomp -lcap-ng -lcrypto -lzstd -lprotobuf-c)
$(B)/weft-cell: $(B)/obj/cmd/cell_main.c.o $(B)/libweft.a
	$(CC) $(LDFLAGS) $^ $(CELLLIBS) -o $@

$(B)/test/%: $(B)/obj/%.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lcmocka -ljansson $(LLVMLIBS) $(LDLIBS) -o $@

.PHONY: tests
tests: $(TESTS)
$(B)/test/tests/cell_process_test: | $(B)/weft-cell build/sysroot/stamp

# What weft cc compiles against: tools/sdk.mk, and what is of Weft.
GUEST_HEADERS := weft.h $(patsubst guest/include/%,%,$(wildcard guest/include/weft/*.h guest/include/weft/*.hpp))
$(B)/sysroot/include/weft%: guest/include/weft% | $(B)/sysroot/stamp
	@mkdir -p $(@D)
	cp $< $@
# What of weft.h and weft/objects.h is code of the guest.
GUEST_OBJECTS := $(patsubst guest/lib/%.c,$(B)/guest/%.o,$(filter-out %/setjmp.c,$(wildcard guest/lib/*.c)))
$(B)/guest/%.o: guest/lib/%.c $(wildcard guest/lib/*.h) $(GUEST_HEADERS:%=guest/include/%) $(B)/sysroot/stamp
	@mkdir -p $(@D)
	clang-19 --target=wasm32-wasi --sysroot=$(B)/sysroot -pthread -Iguest/include -O2 -Wall \
	    -Wextra -Wshadow -Wmissing-prototypes -c $< -o $@
$(B)/sysroot/lib/libweft.a: $(GUEST_OBJECTS)
	@rm -f $@
	llvm-ar-19 rcs $@ $^
all: $(B)/sysroot/stamp $(GUEST_HEADERS:%=$(B)/sysroot/include/%) $(B)/sysroot/lib/libweft.a

# MPI: the library, its header and what it stands on (guest/mpi/net.h).
MPI_OBJECTS := $(patsubst guest/mpi/%.c,$(B)/guest/mpi/%.o,$(filter-out %_test.c %testing.c,$(wildcard guest/mpi/*.c)))
$(B)/guest/mpi/%.o: guest/mpi/%.c $(wildcard guest/mpi/*.h) $(B)/sysroot/stamp
	@mkdir -p $(@D)
	clang-19 --target=wasm32-wasi --sysroot=$(B)/sysroot -pthread -O2 -Wall -Wextra -Wshadow \
	    -Wmissing-prototypes $(if $(CI),-Werror) -c $< -o $@
$(B)/sysroot/lib/libmpi.a: $(MPI_OBJECTS)
	@rm -f $@
	llvm-ar-19 rcs $@ $^
$(B)/sysroot/include/mpi.h: guest/mpi/mpi.h | $(B)/sysroot/stamp
	cp $< $@
all: $(B)/sysroot/lib/libmpi.a $(B)/sysroot/include/mpi.h

# The library for this machine, for its own tests: processes are its members (guest/mpi/testing.h).
# Those of datatypes do without the rest (guest/mpi/type_testing.h). Callbacks of all kinds of objects
# are called as one type of function, which is right where a handle is a pointer.
MPI_NATIVE := $(filter-out %_test.c %/net.c %/type_testing.c,$(wildcard guest/mpi/*.c))
MPI_TYPES  := $(filter-out %_test.c,$(wildcard guest/mpi/type*.c guest/mpi/op*.c)) \
              $(patsubst %,guest/mpi/%.c,external32 handle pack place)
MPI_TYPE_TESTS := $(patsubst guest/mpi/%.c,$(B)/test/mpi/%,$(shell grep -l type_testing.h guest/mpi/*_test.c))
mpi_objects = $(patsubst guest/mpi/%.c,$(B)/obj/mpi/%.o,$1)
$(B)/obj/mpi/%.o: guest/mpi/%.c
	@mkdir -p $(@D)
	clang-19 $(filter-out -I%,$(CPPFLAGS)) $(CFLAGS) $(if $(SAN),-fno-sanitize=function) -Iguest/mpi -c $< -o $@
$(MPI_TYPE_TESTS): $(B)/test/mpi/%: $(B)/obj/mpi/%.o $(call mpi_objects,$(MPI_TYPES))
	@mkdir -p $(@D)
	clang-19 $(LDFLAGS) $^ -lcmocka -lm -o $@
$(filter-out $(MPI_TYPE_TESTS),$(filter $(B)/test/mpi/%,$(TESTS))): $(B)/test/mpi/%: $(B)/obj/mpi/%.o $(call mpi_objects,$(MPI_NATIVE))
	@mkdir -p $(@D)
	clang-19 $(LDFLAGS) $^ -lcmocka -lm -o $@

# What weft new starts from.
$(B)/share/templates: $(wildcard guest/templates/*/*)
	@rm -rf $@ && mkdir -p $@
	@cp -r guest/templates/. $@
	@touch $@
all: $(B)/share/templates

include $(sort $(wildcard tools/*.mk bench/*.mk tests/*.mk tests/*/*.mk fuzz/*.mk))

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B) -name programs -prune -o -type f -name '*.d' -print 2>/dev/null)

