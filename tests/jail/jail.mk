# SPDX-License-Identifier: Apache-2.0
#
# make check-isolation   measures processor share and quota and network rate of jails, and
#                        what tenants of a worker see of each other
# make check-jail-v2     the tests of jails and workers with control groups version 2, in a machine of their own
# make check-old-kernel  memory, Faaslets and cells on a kernel without PAGEMAP_SCAN

ISOLATION        := $(B)/test/tests/jail/isolation $(B)/test/worker/hostile_test \
                    $(B)/test/worker/guest_test $(B)/test/tests/worker/isolation
OLD_KERNEL_TESTS := $(filter $(B)/test/mem/% $(B)/test/cell/% $(B)/test/faaslet/faaslet_reset_test \
                      $(B)/test/faaslet/faaslet_freeze_test $(B)/test/faaslet/faaslet_run_test,$(TESTS))

.PHONY: check-isolation check-jail-v2 check-old-kernel
check-isolation: all tests $(ISOLATION)
	set -e; for test in $(ISOLATION); do $$test; done
check-jail-v2: $(filter $(B)/test/jail/%,$(TESTS)) $(B)/test/tests/jail/isolation $(B)/weft \
               $(addprefix $(B)/test/worker/,hostile_test worker_test user_test double)
	tests/jail/in-qemu jail $^
check-old-kernel: $(OLD_KERNEL_TESTS)
	tests/jail/in-qemu once $^
