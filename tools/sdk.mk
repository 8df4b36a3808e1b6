# SPDX-License-Identifier: Apache-2.0
#
# make sdk            the C, C++ and OpenMP libraries of guests: build/sysroot (docs/sdk.md)
#
# Built once for a machine into ~/.cache/weft, from sources of Debian; guest/sysroot/build
# finds out whether there is something to do.

SDK_RECIPE := $(shell find guest/sysroot -type f) guest/lib/setjmp.c guest/include/setjmp.h tools/debian-source
# One that was taken away from the cache is made again. Tests of any build compile guests with
# that of the ordinary one.
SDK_STAMPS := $(sort build/sysroot/stamp $(B)/sysroot/stamp)
$(foreach s,$(SDK_STAMPS),$(if $(wildcard $(dir $s)lib/wasm32-wasi/libomp.a),,$(eval $s: sdk-again)))
$(SDK_STAMPS): $(SDK_RECIPE)
	@guest/sysroot/build $(@D)

.PHONY: sdk sdk-again
sdk: $(B)/sysroot/stamp
