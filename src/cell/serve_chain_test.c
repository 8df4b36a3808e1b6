/* SPDX-License-Identifier: Apache-2.0 */
#include "../../tests/cell_thread.h"
#include "../../tests/chain_scenarios.h"
#include "../../tests/device_scenarios.h"

#include "base/fault.h"

static void
test_a_child_without_memory_fails_alone(void **state)
{
    struct client client;
    struct told told;

    (void)state;
    chain_open_with(&client, 1);
    for (unsigned after = 1; after <= 2; after++) { /* its parent is the first */
        uint64_t call;

        fault_arm("serve.call", after, -ENOMEM);
        call = chain_tell(&client, "leaf", 1);
        if (after == 1)
            expect_end(&client, call, RPC__CELL_END_KIND__CELL_END_FAILED, "");
        else
            assert_int_equal(chain_told(&client, call).err, 48);
        assert_true(fault_disarm());
    }
    fault_arm("cell.start", 2, -ENOMEM);
    told = chain_told(&client, chain_tell(&client, "leaf", 1));
    assert_true(fault_disarm());
    assert_int_equal(told.status, HOSTCALL_FAILED);
    assert_int_equal(told.code, 48);
    fault_arm("serve.chain", 1, -ENOMEM); /* its result cannot be kept */
    told = chain_told(&client, chain_tell(&client, "leaf", 1));
    assert_true(fault_disarm());
    assert_int_equal(told.status, HOSTCALL_FAILED);
    assert_int_equal(told.code, 48);
    fault_arm("serve.remote", 1, -ENOBUFS);
    assert_int_equal(chain_told(&client, chain_tell(&client, "unknown", 1)).err, GUEST_EAGAIN);
    assert_true(fault_disarm());
    assert_int_equal(chain_answer(&client, chain_call(&client, "fan_all", 3)), 6);
    assert_int_equal(client_close(&client), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        CHAIN_SCENARIOS,
        DEVICE_SCENARIOS,
        cmocka_unit_test(test_a_child_without_memory_fails_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
