# SPDX-License-Identifier: Apache-2.0
#
# make conformance-mpi          MPICH's test programs, in Faaslets (long)
# make conformance-mpi-moved    the same, moved at every tenth host call
# make programs-mpi             HPCC and MrBayes beside OpenMPI: same results, times compared

.PHONY: conformance-mpi conformance-mpi-moved programs-mpi
conformance-mpi: all
	tests/mpi/conformance $(B)
conformance-mpi-moved: all
	WEFT_STRESS=move=10 tests/mpi/conformance $(B)
programs-mpi: all
	tests/mpi/programs $(B)
