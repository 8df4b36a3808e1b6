# SPDX-License-Identifier: Apache-2.0
#
# make programs                     real programs under build/weft
# make programs PROGRAMS_ONLY=lua  one of them; STRESS=move=1 moves it at each host call
# make programs-all                 also those that take many minutes to compile

PROGRAM_TESTS := cpython php sqlite bzip2 minigzip lua mujs xxhsum pbzip2 xz zstd threadtest
PROGRAM_SLOW  := python311 ruby

.PHONY: programs programs-all programs-fetch
programs: all
	$(if $(STRESS),WEFT_STRESS=$(STRESS)) tests/programs/run $(or $(PROGRAMS_ONLY),$(PROGRAM_TESTS))
programs-all:
	$(MAKE) programs PROGRAMS_ONLY="$(PROGRAM_TESTS) $(PROGRAM_SLOW)" STRESS=$(STRESS)
programs-fetch: all
	tests/programs/fetch
	tests/programs/build
