# SPDX-License-Identifier: Apache-2.0
#
# make check-wasi   guest programs that use the interface, against what they must print

.PHONY: check-wasi
check-wasi: $(B)/weft $(B)/weft-compiler
	RUNNER="$(B)/weft run" tests/wasi/run $(B)/tests/wasi
