# SPDX-License-Identifier: Apache-2.0
#
# make conformance-mpi          MPICH's test programs, in Faaslets (long)
# make conformance-mpi-moved    the same, moved at every tenth host call

.PHONY: conformance-mpi conformance-mpi-moved
conformance-mpi: all
	tests/mpi/conformance $(B)
conformance-mpi-moved: all
	WEFT_STRESS=move=10 tests/mpi/conformance $(B)
