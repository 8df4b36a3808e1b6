# SPDX-License-Identifier: Apache-2.0
#
# make check-state      objects of state from guests, on two workers; also with every Faaslet moved,
#                       and with shares by protection

.PHONY: check-state
check-state: all
	tests/state/run $(B)
	WEFT_STRESS=move=1 tests/state/run $(B)
	WEFT_STRESS=share=protect tests/state/run $(B)
