# SPDX-License-Identifier: Apache-2.0
#
# make conformance-omp          LLVM's tests of its OpenMP runtime, in Faaslets (long)
# make conformance-omp-moved    the same, moved at every tenth host call

.PHONY: conformance-omp conformance-omp-moved
conformance-omp: all
	tests/omp/run $(B)
conformance-omp-moved: all
	WEFT_STRESS=move=10 tests/omp/run $(B)
