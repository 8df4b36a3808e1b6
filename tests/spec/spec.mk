# SPDX-License-Identifier: Apache-2.0
#
# make spec SPEC=dir    the WebAssembly specification's tests in that folder
# make spec-self        that the runner sees what fails
#
# The specification's tests are not part of this project, so SPEC says where they
# are (default ../shared/spec); SPEC_FLAGS: see build/spec-run --help.

SPEC_OBJECTS := $(patsubst %.c,$(B)/obj/%.c.o,$(wildcard tests/spec/*.c))

$(B)/spec-run: $(SPEC_OBJECTS) $(B)/libweft.a
	$(CC) $(LDFLAGS) $^ -ljansson $(LLVMLIBS) $(LDLIBS) -o $@

.PHONY: spec
ifeq ($(wildcard $(SPEC)/core),)
spec:
	@echo "no specification tests in SPEC=$(SPEC) (make spec SPEC=dir)"
else
spec: $(B)/spec-run
	@mkdir -p $(B)/spec
	$(B)/spec-run --out $(B)/spec $(SPEC_FLAGS) $(SPEC)
endif

.PHONY: spec-self
spec-self: $(B)/spec-run
	@mkdir -p $(B)
	@$(B)/spec-run --out $(B)/spec-self tests/spec/self > $(B)/spec-self.log; \
	    test $$? = 1 && grep -x 'core/must_fail.wast 2/23' $(B)/spec-self.log || \
	    { cat $(B)/spec-self.log; exit 1; }
