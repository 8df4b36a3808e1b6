# SPDX-License-Identifier: Apache-2.0
#
# make check            everything that must pass, closing with "N passed, N failed"
# make check-unit       only the unit tests          make check-san     under sanitizers
# make check-stress     unit tests, programs and specification while Faaslets move
# make check-programs   only the real programs
# make deps             installs the Debian packages that are missing
#
# SPEC=FOLDER with the WebAssembly specification's tests adds them.

SAN_TESTS   := $(patsubst build/test/%,build/san-address-undefined/test/%,$(TESTS))
RUN_TESTS   := tools/run-tests

CHECK_TOOLS := tidy=tools/tidy tidy-test=tools/tidy_test run-tests-test=tools/run-tests_test
CHECK_PROGRAMS := $(foreach p,$(PROGRAM_TESTS),"program-$(p)@1200=tests/programs/run $(p)")
CHECK_MOVES := $(foreach p,$(PROGRAM_TESTS),"moving-$(p)@1200=WEFT_STRESS=move=1 tests/programs/run $(p)")
CHECK_MOVING_TESTS := $(foreach t,$(TESTS),"moving-$(patsubst build/test/%,%,$(t))=WEFT_STRESS=move=1 $(t)")
CHECK_SPEC := $(if $(wildcard tests/spec tests/spec*),"spec@1800=make --no-print-directory spec SPEC=$(SPEC)")
CHECK_MOVING_SPEC := $(if $(wildcard tests/spec tests/spec*),\
                     "moving-spec@1800=WEFT_STRESS=move=1 make --no-print-directory spec SPEC=$(SPEC)")
CHECK_BENCH := "bench-compute@1200=make --no-print-directory bench-compute ROUNDS=1"

.PHONY: check check-unit check-san check-stress check-programs deps san-tests
check: all tests
	@$(RUN_TESTS) $(CHECK_TOOLS) $(TESTS) "sanitizers-build@1800=make --no-print-directory san-tests" \
	    $(SAN_TESTS) $(CHECK_PROGRAMS) $(CHECK_SPEC) $(CHECK_MOVING_TESTS) $(CHECK_MOVES) \
	    $(CHECK_MOVING_SPEC) $(CHECK_BENCH)
check-unit: all tests
	@$(RUN_TESTS) $(TESTS)
check-san: san-tests
	@$(RUN_TESTS) $(SAN_TESTS)
check-stress: all tests
	@$(RUN_TESTS) $(CHECK_MOVING_TESTS) $(CHECK_MOVES) $(CHECK_MOVING_SPEC)
check-programs: all
	@$(RUN_TESTS) $(CHECK_PROGRAMS)
deps:
	tools/install
san-tests:
	$(MAKE) SAN=address,undefined tests
