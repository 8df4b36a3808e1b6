# SPDX-License-Identifier: Apache-2.0
#
# make bench-exceptions   what it costs that code may throw, and to throw: build/bench/exceptions.jsonl

.PHONY: bench-exceptions
bench-exceptions: all
	bench/exceptions-run $(B)
