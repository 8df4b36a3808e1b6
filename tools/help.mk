# SPDX-License-Identifier: Apache-2.0

.PHONY: help
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile tools/*.mk bench/*.mk tests/*.mk fuzz/*.mk
