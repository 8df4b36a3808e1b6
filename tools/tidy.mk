# SPDX-License-Identifier: Apache-2.0
#
# make tidy         rooms, lengths, format, headers, banned calls: seconds
# make format       lets clang-format-19 have its way

.PHONY: tidy tidy-test format
tidy: $(MESSAGES)
	@tools/tidy
tidy-test:
	@tools/tidy_test
format:
	clang-format-19 -i $$(find src tests fuzz bench examples guest -name '*.[ch]' 2>/dev/null)
