# SPDX-License-Identifier: Apache-2.0
#
# make check-crash      kill -9 of planner, worker, cell, Redis under load; a partition:
#                       ROUNDS=20 SEED=... CRASH_ONLY=embedded|remote|partition|quiet
# make check-history    random operations on state from calls on two hosts; nothing is killed

CRASH_ROUNDS := $(if $(findstring file,$(origin ROUNDS))$(findstring undefined,$(origin ROUNDS)),20,$(ROUNDS))
CRASH        := $(patsubst %,$(B)/obj/tests/cluster/%.c.o,crash cluster process history locks http load verify network)

$(B)/test/tests/cluster/crash: $(CRASH) $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: check-crash check-history
check-history: all $(B)/test/tests/cluster/crash
	$(B)/test/tests/cluster/crash --build $(B) --only quiet $(if $(SEED),--seed $(SEED))
check-crash: all $(B)/test/tests/cluster/crash
	$(B)/test/tests/cluster/crash --build $(B) --rounds $(CRASH_ROUNDS) \
	    $(if $(SEED),--seed $(SEED)) $(if $(CRASH_ONLY),--only $(CRASH_ONLY))
