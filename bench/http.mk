# SPDX-License-Identifier: Apache-2.0
#
# make bench-http       calls over HTTP beside a bare libmicrohttpd: build/bench/http.jsonl

$(B)/bench/http: $(B)/obj/bench/http.c.o $(B)/obj/bench/latency.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@
$(B)/bench/http-bare: $(B)/obj/bench/http-bare.c.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lmicrohttpd -o $@

.PHONY: bench-http
bench-http: all $(B)/bench/http $(B)/bench/http-bare
	bench/http-run $(B) $(B)/bench/http.jsonl
