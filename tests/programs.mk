# SPDX-License-Identifier: Apache-2.0
#
# make programs                     real programs under build/weft
# make programs PROGRAMS_ONLY=lua STRESS=move=1

PROGRAM_TESTS := cpython python311 php ruby sqlite bzip2 minigzip lua mujs xxhsum

.PHONY: programs programs-fetch
programs: all
	$(if $(STRESS),WEFT_STRESS=$(STRESS)) tests/programs/run $(or $(PROGRAMS_ONLY),$(PROGRAM_TESTS))
programs-fetch:
	tests/programs/fetch
	tests/programs/build
