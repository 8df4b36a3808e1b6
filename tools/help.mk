# SPDX-License-Identifier: Apache-2.0
#
# make help         all targets

.PHONY: help
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile $(wildcard tools/*.mk bench/*.mk tests/*.mk tests/*/*.mk fuzz/*.mk) | \
	    awk -F '   *' '!seen[$$1]++ { printf "%-44s %s\n", $$1, $$2 }'
