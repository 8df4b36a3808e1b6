# SPDX-License-Identifier: Apache-2.0
#
# make demo             the main job on real programs

.PHONY: demo
demo: all
	@tools/demo
