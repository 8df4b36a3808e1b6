# SPDX-License-Identifier: Apache-2.0
#
# make bench-omp                        OpenMP beside native libomp: build/bench/omp.jsonl
# make bench-omp OMP="barrier fft"      some of it; ROUNDS=3 for fewer rounds

$(B)/bench/omp-latency: bench/omp/latency.c bench/latency.c bench/latency.h
	@mkdir -p $(@D)
	$(CC) -O2 -g -std=gnu17 -Wall -Wextra -Wshadow -Wconversion -D_GNU_SOURCE -pthread \
	    $(filter %.c,$^) -o $@

.PHONY: bench-omp
bench-omp: all $(B)/bench/omp-latency
	ROUNDS=$(ROUNDS) bench/omp-run $(B) $(B)/bench/omp.jsonl $(OMP)
