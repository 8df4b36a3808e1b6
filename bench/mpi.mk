# SPDX-License-Identifier: Apache-2.0
#
# make bench-mpi                        MPI beside OpenMPI and MPICH: build/bench/mpi.jsonl
# make bench-mpi MPI="latency many"     some of it; ROUNDS=3 for fewer rounds

.PHONY: bench-mpi
bench-mpi: all $(B)/bench/omp-latency
	ROUNDS=$(ROUNDS) bench/mpi-run $(B) $(B)/bench/mpi.jsonl $(MPI)
