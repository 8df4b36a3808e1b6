/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares in a process that is sealed as a cell is: what they need of the kernel is open before
 * (mem_prepare) or allowed then.
 */
#include "testing.h"

#include "jail/jail.h"
#include "mem/mem.h"

#define PAGE  4096u
#define PAGES 16u

static void
note(void *context, int64_t offset, uint64_t bytes)
{
    uint64_t *pages = context;

    for (uint64_t i = 0; i < bytes / PAGE; i++)
        *pages |= UINT64_C(1) << ((uint64_t)offset / PAGE + i);
}

/* The number of what did not work, or 0. */
static int
work(bool is_lazy)
{
    static uint8_t bytes[PAGES * PAGE];
    struct mem_share *share, *absent;
    struct mem_slot *slot;
    uint64_t pages = 0;

    if (mem_share_create(sizeof(bytes), is_lazy, &share) != 0 ||
        mem_slot_create(PAGE, 1, false, &slot) != 0 || mem_window_grow(slot, 0, sizeof(bytes)) != 0)
        return 1;
    if (mem_window_share(slot, 0, 0, sizeof(bytes), share, 0, true) != 0)
        return 2;
    if (is_lazy && mem_window_absent(slot, 0, 0, 1, &absent) != 0)
        return 3;
    (void)memset(bytes, 7, sizeof(bytes));
    if (mem_share_fill(share, 0, bytes, sizeof(bytes)) != 0)
        return 4;
    if (mem_slot_origin(slot)[5 * PAGE] != (is_lazy ? 7 : 0))
        return 5;
    mem_slot_origin(slot)[3 * PAGE] = 1;
    if (mem_share_written(share, note, &pages) != 0 || (pages & 1u << 3) == 0)
        return 6;
    if (mem_share_way() == MEM_SHARE_UFFD && pages != 1u << 3)
        return 7;
    if (mem_window_unshare(slot, 0, 0, 4 * PAGE) != 0)
        return 8;
    mem_slot_destroy(slot);
    mem_share_put(share);
    return 0;
}

static int
seal_and_work(enum mem_share_way way)
{
    int failed;

    mem_prepare();
    if (mem_share_choose(way) != 0)
        return 77;
    if (jail_seal(NULL) != 0)
        return 20;
    failed = work(false);
    return failed != 0 ? failed : work(true);
}

static int
in_a_child(enum mem_share_way way)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(seal_and_work(way));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_a_sealed_process_has_shares_in_both_ways(void **state)
{
    int failed = in_a_child(MEM_SHARE_UFFD);

    (void)state;
    assert_true(failed == 0 || failed == 77); /* an older kernel */
    assert_int_equal(in_a_child(MEM_SHARE_PROTECT), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sealed_process_has_shares_in_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
