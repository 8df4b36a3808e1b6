# SPDX-License-Identifier: Apache-2.0
#
# make fuzz-net        any bytes and descriptors -> frames and messages, for FUZZ_SECONDS (30)
# make fuzz-envelope   any words of a host -> envelopes, hello, answers to calls
# make fuzz-secret     garbage and changed bytes instead of a handshake

FUZZ_SECONDS  ?= 30
FUZZ_NET_ROOM := $(filter-out %_test.c,$(wildcard src/net/*.c src/rpc/*.c src/base/*.c))
FUZZ_NETS     := net envelope secret

$(FUZZ_NETS:%=$(B)/fuzz/%_fuzz): $(B)/fuzz/%: fuzz/%.c $(FUZZ_NET_ROOM) \
        $(wildcard src/net/*.h src/rpc/*.h src/base/*.h) $(MESSAGES)
	@mkdir -p $(@D)
	clang-19 -Isrc -Ibuild/gen -O1 -g -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -DWEFT_SANITIZE \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$< $(FUZZ_NET_ROOM) -x c -w $(MESSAGES:.h=.c) -x none -lprotobuf-c -lssl -lcrypto -o $@

# To begin with: a hello, an answer to the first call, a refusal; a flip of each side's.
$(B)/fuzz/envelope-corpus/first:
	@mkdir -p $(@D)
	printf '\032\010\001\052\026\012\011weft fuzz\020\001\030\003\042\005carol' >$@
	printf '\012\010\004\020\200\200\004\062\002\010\005\006\010\002\042\002no' >>$@
$(B)/fuzz/secret-corpus/first:
	@mkdir -p $(@D)
	printf '\002\000\100\001' >$@
	printf '\003\000\100\001' >$@-server
$(B)/fuzz/net-corpus/first:
	@mkdir -p $(@D)
	printf '\006\000\002\000\000\000\062\000' >$@

.PHONY: $(FUZZ_NETS:%=fuzz-%)
$(FUZZ_NETS:%=fuzz-%): fuzz-%: $(B)/fuzz/%_fuzz $(B)/fuzz/%-corpus/first
	$(B)/fuzz/$*_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -rss_limit_mb=1024 \
		-artifact_prefix=$(B)/fuzz/$*- -print_final_stats=1 $(B)/fuzz/$*-corpus
