# SPDX-License-Identifier: Apache-2.0
#
# The program that tests of workers start in the place of weft-cell. Like that one it
# is linked without shared libraries; sanitizers cannot be.

$(B)/test/worker/double: $(B)/obj/tests/worker/double.c.o $(B)/libweft.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(if $(SAN),,-static) $^ -lprotobuf-c -o $@

tests: $(B)/test/worker/double
$(filter $(B)/test/worker/% $(B)/test/agent/%,$(TESTS)) $(B)/test/tests/worker/isolation: \
    | $(B)/test/worker/double $(B)/weft-cell
