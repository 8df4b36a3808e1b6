# SPDX-License-Identifier: Apache-2.0
#
# make check-isolation   measures processor share and quota and network rate of jails
# make check-jail-v2     the tests of jails with control groups version 2, in a machine of their own

.PHONY: check-isolation check-jail-v2
check-isolation: $(B)/test/tests/jail/isolation
	$<
check-jail-v2: $(filter $(B)/test/jail/%,$(TESTS)) $(B)/test/tests/jail/isolation $(B)/weft
	tests/jail/v2-in-qemu $^
