# SPDX-License-Identifier: Apache-2.0
#
# make check          everything that must pass; closes with "N passed, N failed"
# make check-quick    the same without real programs and fuzzing: a minute or two
# make check-stress   all tests and programs with every Faaslet moved at each host call
# make check-san      unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make check-tsan     executors, a served cell, connections, workers, stores: ThreadSanitizer
# make check-clang    everything compiled by clang without a warning

SPEC       ?= ../shared/spec
CHECK_SAN  := address,undefined
# NAME=COMMAND steps of tools/run-tests.
STEP_TIDY     := "tidy=make -s tidy" "tidy-test=make -s tidy-test" "run-tests=tools/run-tests_test"
# CPython, QuickJS and others, before the tests that use them; skipped, and said, where npm cannot.
STEP_FETCH    := "fetch=tests/programs/fetch" "javascript@300=tests/programs/fetch && make -s javascript"
STEP_UNITS    := $(TESTS)
STEP_CLI      := "cli=tests/cli/run $(B)" "sdk=tests/sdk/run $(B)" "examples=tests/examples $(B)" \
                 "threads@900=tests/threads/run $(B)" "mpi@600=tests/mpi/run $(B)"
STEP_CLUSTER  := "cluster@900=tests/cluster/run $(B)" "state@300=tests/state/run $(B)" \
                 "history@120=make -s check-history"
STEP_WASI     := "wasi=make -s check-wasi"
# $(call spec_step,NAME,FLAGS,ENVIRONMENT): skipped, and said, where the tests are not.
spec_step      = "$1@1200=$(if $(wildcard $(SPEC)/core),$3 make -s spec SPEC=$(SPEC) SPEC_FLAGS=$2,make -s spec SPEC=$(SPEC); exit 77)"
STEP_SPEC     := $(call spec_step,spec) "spec-self=make -s spec-self"
STEP_STRICT   := $(call spec_step,spec-strict,--strict) $(call spec_step,spec-threaded,--threaded)
STEP_PROGRAMS := "programs@1800=make -s programs" \
                 "kernels@900=make -s bench-compute-build >/dev/null && tests/kernels/run"
STEP_FUZZ     := "fuzz-diff@600=make -s fuzz-diff-check" \
                 "fuzz-wasm@120=make -s fuzz-wasm FUZZ_SECONDS=20" \
                 "fuzz-wasi@120=make -s fuzz-wasi FUZZ_SECONDS=20" \
                 "fuzz-net@120=make -s fuzz-net FUZZ_SECONDS=20" \
                 "fuzz-envelope@120=make -s fuzz-envelope FUZZ_SECONDS=20" \
                 "fuzz-secret@120=make -s fuzz-secret FUZZ_SECONDS=20" \
                 "fuzz-hosts@120=make -s fuzz-hosts FUZZ_SECONDS=20" \
                 "fuzz-agent@120=make -s fuzz-agent FUZZ_SECONDS=20" \
                 "fuzz-state@120=make -s fuzz-state FUZZ_SECONDS=20" \
                 "fuzz-store@120=make -s fuzz-store FUZZ_SECONDS=20" \
                 "fuzz-catalog@120=make -s fuzz-catalog FUZZ_SECONDS=20" \
                 "fuzz-gateway@120=make -s fuzz-gateway FUZZ_SECONDS=20"
STEP_SAN      := "san@1800=make -s check-san" "tsan@1200=make -s check-tsan" \
                 "clang@600=make -s check-clang"

# What CI has time for of the stress mode; check-stress has all of it.
MOVED         := WEFT_STRESS=move=1
moved_test     = "$(notdir $1)-moved=$(MOVED) $1"
STEP_MOVED    := "cli-moved=$(MOVED) tests/cli/run $(B)" \
                 "threads-moved@1200=WEFT_STRESS=move=10 tests/threads/run $(B)" \
                 "mpi-moved@900=WEFT_STRESS=move=3 tests/mpi/run $(B)" \
                 "cluster-moved@900=$(MOVED) tests/cluster/run $(B) deploy failures calls chain mpi" \
                 "state-moved@600=$(MOVED) tests/state/run $(B)" "wasi-moved=$(MOVED) make -s check-wasi" \
                 $(call spec_step,spec-moved,,$(MOVED)) \
                 "programs-moved@1200=make -s programs STRESS=move=1" \
                 "kernels-moved@900=$(MOVED) tests/kernels/run" \
                 $(foreach t,$(TESTS),$(if $(findstring /faaslet/,$t)$(findstring /cell/,$t)$(findstring /worker/,$t)$(findstring /agent/,$t)$(findstring /tests/,$t),$(call moved_test,$t)))
STEP_MOVED_ALL := $(foreach t,$(TESTS),$(if $(findstring /faaslet/,$t)$(findstring /cell/,$t)$(findstring /worker/,$t)$(findstring /agent/,$t)$(findstring /tests/,$t),,$(call moved_test,$t)))

.PHONY: check check-quick check-stress check-san check-tsan check-clang
check-quick: all tests $(B)/spec-run
	@tools/run-tests $(STEP_TIDY) $(STEP_UNITS) $(STEP_CLI) $(STEP_WASI) $(STEP_SPEC)
check: all tests $(B)/spec-run
	@tools/run-tests $(STEP_TIDY) $(STEP_FETCH) $(STEP_UNITS) $(STEP_CLI) $(STEP_CLUSTER) $(STEP_WASI) \
	    $(STEP_SPEC) $(STEP_STRICT) $(STEP_PROGRAMS) $(STEP_MOVED) $(STEP_FUZZ) $(STEP_SAN)
check-stress: all tests $(B)/spec-run bench-compute-build
	@tools/run-tests $(STEP_MOVED) $(STEP_MOVED_ALL) \
	    "programs-all-moved@5400=make -s programs-all STRESS=move=1" \
	    $(call spec_step,spec-strict-moved,--strict,$(MOVED))

check-san:
	@$(MAKE) -s SAN=$(CHECK_SAN) tests
	@tools/run-tests --logs build/check/san $(TESTS:$(B)/%=build/san-address-undefined/%)
TSAN_TESTS := $(addprefix build/san-thread/test/,mem/mem_share_test mem/mem_bytes_test group/group_test \
                faaslet/faaslet_share_test cell/cell_test cell/world_test cell/serve_test \
                cell/serve_chain_test net/net_test net/turn_test net/session_test net/stranger_test \
                rpc/client_test worker/chain_test \
                worker/worker_test worker/hostile_test \
                worker/fault_test worker/user_test worker/own_test \
                agent/agent_test agent/blob_test agent/fault_test agent/guest_test \
                agent/wrong_test \
                store/store_dir_test store/store_redis_test \
                planner/planner_test planner/ledger_test planner/list_test catalog/catalog_test \
                hosts/hosts_test hosts/run_test hosts/blob_test hosts/chain_test hosts/state_test \
                worker/state_test agent/state_test \
                meter/meter_test state/thread_test state/session_test tests/state_tier_test tier/tier_dir_test \
                gateway/gateway_test gateway/access_test gateway/manage_test gateway/deploy_test \
                gateway/collect_test \
                gateway/trigger_test gateway/wire_test)
check-tsan:
	@$(MAKE) -s SAN=thread $(TSAN_TESTS) build/san-thread/test/worker/double
	@tools/run-tests --logs build/check/tsan $(TSAN_TESTS)
check-clang:
	@$(MAKE) -s CC=clang-19 CI=true all tests
