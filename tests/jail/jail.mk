# SPDX-License-Identifier: Apache-2.0
#
# make check-isolation   measures processor share and quota and network rate of jails, and
#                        what tenants of a worker see of each other
# make check-jail-v2     the tests of jails with control groups version 2, in a machine of their own

.PHONY: check-isolation check-jail-v2
ISOLATION := $(B)/test/tests/jail/isolation $(B)/test/worker/hostile_test \
             $(B)/test/worker/guest_test $(B)/test/tests/worker/isolation
check-isolation: all tests $(ISOLATION)
	set -e; for test in $(ISOLATION); do $$test; done
check-jail-v2: $(filter $(B)/test/jail/%,$(TESTS)) $(B)/test/tests/jail/isolation $(B)/weft
	tests/jail/v2-in-qemu $^
