# SPDX-License-Identifier: Apache-2.0
#
# make bench-planner    a synchronous call in the planner, and over a connection to a worker

$(B)/bench/planner: $(B)/obj/bench/planner.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
.PHONY: bench-planner
bench-planner: $(B)/bench/planner
	$(B)/bench/planner
