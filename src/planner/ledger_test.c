/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "planner/ledger.h"

#define LEASE   "planner"
#define KEPT_S  100u
#define SECONDS UINT64_C(1000000000)

struct world {
    char path[64], address[80];
    struct store *store;
    struct ledger *ledger;
    uint64_t term;
};

/* What was told of one operation. */
struct told {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_told;
    int err;
    uint64_t existing;
};

static void
told_init(struct told *told)
{
    (void)memset(told, 0, sizeof(*told));
    (void)pthread_mutex_init(&told->lock, NULL);
    (void)pthread_cond_init(&told->change, NULL);
}

static void
tell(void *context, int err, uint64_t existing)
{
    struct told *told = context;

    (void)pthread_mutex_lock(&told->lock);
    assert_false(told->is_told);
    told->is_told = true;
    told->err = err;
    told->existing = existing;
    (void)pthread_cond_signal(&told->change);
    (void)pthread_mutex_unlock(&told->lock);
}

static int
await(struct told *told)
{
    (void)pthread_mutex_lock(&told->lock);
    while (!told->is_told)
        (void)pthread_cond_wait(&told->change, &told->lock);
    (void)pthread_mutex_unlock(&told->lock);
    return told->err;
}

static void
world_open(struct world *w, const char *holder, uint32_t threads)
{
    const struct store_config config = {
        .records = w->address, .is_durable = false, .bytes_max = 64u << 20};
    struct ledger_config ledger = {.lease = LEASE, .threads = threads, .kept_s = KEPT_S};
    struct diag diag;

    diag_init(&diag);
    if (store_open(&config, &w->store, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_int_equal(store_lease(w->store, LEASE, holder, 1, &w->term, NULL), 0);
    ledger.store = w->store;
    ledger.term = w->term;
    assert_int_equal(ledger_open(&ledger, &w->ledger, NULL), 0);
}

static void
world_close(struct world *w)
{
    ledger_close(w->ledger);
    store_close(w->store);
}

static void
world_init(struct world *w)
{
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";

    (void)memset(w, 0, sizeof(*w));
    (void)snprintf(w->path, sizeof(w->path), "%.32s/weft-ledger-%s", folder,
                   "XX"
                   "XX"
                   "XX");
    assert_non_null(mkdtemp(w->path));
    (void)snprintf(w->address, sizeof(w->address), "dir:%s", w->path);
    world_open(w, "first", 4);
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
world_fini(struct world *w)
{
    world_close(w);
    assert_int_equal(nftw(w->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* A call as it comes; its strings are borrowed. */
struct asked {
    Ledger__Call call;
    Ledger__Request request;
    Ledger__Result result;
};

static struct asked *
asked_init(struct asked *asked, const char *tenant, uint64_t id, const char *key)
{
    ledger__call__init(&asked->call);
    ledger__request__init(&asked->request);
    ledger__result__init(&asked->result);
    asked->call.id = id;
    asked->call.tenant = (char *)(uintptr_t)tenant;
    asked->call.key = (char *)(uintptr_t)key;
    asked->call.function = (char *)(uintptr_t)"f";
    asked->call.request = &asked->request;
    asked->request.attempts = 2;
    return asked;
}

static int
accept_one(struct world *w, const char *tenant, uint64_t id, const char *key, uint64_t *existing)
{
    struct asked asked;
    struct told told;
    int err;

    told_init(&told);
    assert_int_equal(
        ledger_accept(w->ledger, &asked_init(&asked, tenant, id, key)->call, tell, &told), 0);
    err = await(&told);
    if (existing != NULL)
        *existing = told.existing;
    return err;
}

static int
end_one(struct world *w, const char *tenant, uint64_t id, const char *key, int exit_code,
        bool is_dead)
{
    struct asked asked;
    struct told told;

    told_init(&told);
    asked_init(&asked, tenant, id, key);
    asked.call.result = &asked.result;
    asked.result.kind = LEDGER__KIND__KIND_EXIT;
    asked.result.exit_code = exit_code;
    assert_int_equal(ledger_end(w->ledger, &asked.call, is_dead, 1000, tell, &told), 0);
    return await(&told);
}

static int
attempt_one(struct world *w, const char *tenant, uint64_t id, uint32_t used)
{
    struct asked asked;
    struct told told;

    told_init(&told);
    assert_int_equal(
        ledger_attempt(w->ledger, &asked_init(&asked, tenant, id, "")->call, used, tell, &told), 0);
    return await(&told);
}

struct seen {
    uint64_t ids[64];
    uint32_t attempts_used[64];
    unsigned count, most;
};

static bool
see(void *context, const Ledger__Call *call)
{
    struct seen *seen = context;

    assert_true(seen->count < 64);
    seen->ids[seen->count] = call->id;
    seen->attempts_used[seen->count] = call->request != NULL ? call->request->attempts_used : 99;
    return ++seen->count != seen->most;
}

static struct seen
restore(struct world *w, uint64_t *last)
{
    struct seen seen = {.count = 0};

    assert_int_equal(ledger_restore(w->ledger, see, &seen, last, NULL), 0);
    return seen;
}

static Ledger__State
state_of(struct world *w, const char *tenant, uint64_t id)
{
    Ledger__Call *call;
    Ledger__State state;

    if (ledger_get(w->ledger, tenant, id, &call, NULL) != 0)
        return LEDGER__STATE__STATE_NONE;
    state = call->state;
    ledger__call__free_unpacked(call, NULL);
    return state;
}

static void
test_open_calls_survive_and_ended_ones_are_not_run_again(void **state)
{
    struct world w;
    struct seen seen;
    uint64_t last;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(accept_one(&w, id % 2 == 0 ? "even" : "odd", id, "", NULL), 0);
    assert_int_equal(attempt_one(&w, "odd", 3, 1), 0);
    assert_int_equal(end_one(&w, "even", 2, "", 7, false), 0);
    world_close(&w);
    world_open(&w, "second", 0);
    seen = restore(&w, &last);
    assert_int_equal(seen.count, 4);
    assert_int_equal(last, 5);
    assert_int_equal(seen.ids[0], 1);
    assert_int_equal(seen.ids[1], 3);
    assert_int_equal(seen.attempts_used[0], 0);
    assert_int_equal(seen.attempts_used[1], 1);
    assert_int_equal(state_of(&w, "even", 2), LEDGER__STATE__STATE_OVER);
    assert_int_equal(state_of(&w, "odd", 2), LEDGER__STATE__STATE_NONE); /* another's */
    world_fini(&w);
}

static void
test_a_call_has_one_end(void **state)
{
    Ledger__Call *call;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(accept_one(&w, "t", 1, "", NULL), 0);
    assert_int_equal(end_one(&w, "t", 1, "", 7, false), 0);
    assert_int_equal(end_one(&w, "t", 1, "", 8, false), -ENOENT);
    assert_int_equal(attempt_one(&w, "t", 1, 1), -ENOENT);
    assert_int_equal(end_one(&w, "t", 9, "", 8, false), -ENOENT);
    assert_int_equal(ledger_get(w.ledger, "t", 1, &call, NULL), 0);
    assert_int_equal(call->result->exit_code, 7);
    assert_null(call->request);
    ledger__call__free_unpacked(call, NULL);
    world_fini(&w);
}

static void
test_a_key_names_one_call(void **state)
{
    uint64_t existing;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(accept_one(&w, "t", 1, "order-1", NULL), 0);
    assert_int_equal(accept_one(&w, "t", 2, "order-1", &existing), -EEXIST);
    assert_int_equal(existing, 1);
    assert_int_equal(state_of(&w, "t", 2), LEDGER__STATE__STATE_NONE);
    assert_int_equal(accept_one(&w, "u", 3, "order-1", NULL), 0); /* another's key */
    assert_int_equal(end_one(&w, "t", 1, "order-1", 0, false), 0);
    assert_int_equal(accept_one(&w, "t", 4, "order-1", &existing), -EEXIST);
    assert_int_equal(existing, 1);
    /* asked once more because the answer was lost */
    assert_int_equal(accept_one(&w, "u", 3, "order-1", &existing), -EEXIST);
    assert_int_equal(existing, 3);
    world_fini(&w);
}

static void
test_whose_term_is_over_changes_nothing(void **state)
{
    struct world w;
    uint64_t term;

    (void)state;
    world_init(&w);
    assert_int_equal(accept_one(&w, "t", 1, "", NULL), 0);
    assert_int_equal(store_release(w.store, LEASE, "first", NULL), 0);
    assert_int_equal(store_lease(w.store, LEASE, "second", SECONDS, &term, NULL), 0);
    assert_true(term > w.term);
    assert_int_equal(accept_one(&w, "t", 2, "", NULL), -ESTALE);
    assert_int_equal(attempt_one(&w, "t", 1, 1), -ESTALE);
    assert_int_equal(end_one(&w, "t", 1, "", 0, false), -ESTALE);
    assert_int_equal(state_of(&w, "t", 1), LEDGER__STATE__STATE_OPEN);
    assert_int_equal(state_of(&w, "t", 2), LEDGER__STATE__STATE_NONE);
    world_fini(&w);
}

static void
test_dead_letters_wait_for_a_decision(void **state)
{
    struct seen seen;
    Ledger__Call *call;
    struct world w;
    uint64_t last;
    size_t count;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(accept_one(&w, "t", id, "", NULL), 0);
        assert_int_equal(end_one(&w, "t", id, "", 1, true), 0);
    }
    assert_int_equal(ledger_collect(w.ledger, 1u << 30, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(ledger_revive(w.ledger, "t", 1, &call, NULL), 0);
    assert_int_equal(call->request->attempts, 2);
    assert_null(call->result);
    ledger__call__free_unpacked(call, NULL);
    assert_int_equal(ledger_revive(w.ledger, "t", 1, &call, NULL), -ENOENT);
    seen = restore(&w, &last);
    assert_int_equal(seen.count, 1);
    assert_int_equal(ledger_bury(w.ledger, "t", 2, NULL), 0);
    assert_int_equal(ledger_bury(w.ledger, "t", 1, NULL), -ENOENT);
    assert_int_equal(state_of(&w, "t", 2), LEDGER__STATE__STATE_NONE);
    assert_int_equal(end_one(&w, "t", 1, "", 0, false), 0);
    world_fini(&w);
}

static void
test_ends_are_kept_for_their_time_and_then_gone_with_their_keys(void **state)
{
    struct world w;
    size_t count;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(accept_one(&w, "t", id, id == 1 ? "key" : "", NULL), 0);
    assert_int_equal(end_one(&w, "t", 1, "key", 0, false), 0);
    assert_int_equal(end_one(&w, "t", 2, "", 0, false), 0);
    assert_int_equal(ledger_collect(w.ledger, 1000 + KEPT_S - 1, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(ledger_collect(w.ledger, 1000 + KEPT_S, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(state_of(&w, "t", 1), LEDGER__STATE__STATE_NONE);
    assert_int_equal(state_of(&w, "t", 3), LEDGER__STATE__STATE_OPEN);
    assert_int_equal(accept_one(&w, "t", 9, "key", NULL), 0);
    world_fini(&w);
}

static void
test_a_damaged_end_does_not_keep_the_others(void **state)
{
    const struct store_change changes[] = {
        {.key = {"call", "t\0\0\0\0\0\0\0\0\1", 10}, .value = "rubbish", .count = 7},
        {.key = {"call-age", "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\7", 16}, .value = "t", .count = 1},
    };
    struct diag diag;
    struct world w;
    size_t count;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(accept_one(&w, "t", id, "", NULL), 0);
        assert_int_equal(end_one(&w, "t", id, "", 0, false), 0);
    }
    assert_int_equal(store_commit(w.store, changes, 2, NULL, NULL, NULL), 0);
    diag_init(&diag);
    assert_int_equal(ledger_collect(w.ledger, 1000 + KEPT_S, &count, &diag), -EBADMSG);
    assert_non_null(strstr(diag_text(&diag), "names call 7"));
    assert_int_equal(count, 2);
    assert_int_equal(state_of(&w, "t", 3), LEDGER__STATE__STATE_NONE);
    world_fini(&w);
}

static void
test_calls_are_listed_by_tenant_in_pages(void **state)
{
    struct seen seen = {.count = 0};
    struct world w;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= 20; id++)
        assert_int_equal(accept_one(&w, id % 2 == 0 ? "a" : "ab", id, "", NULL), 0);
    assert_int_equal(ledger_list(w.ledger, "a", 0, 4, see, &seen, NULL), 0);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.ids[3], 8);
    assert_int_equal(ledger_list(w.ledger, "a", 8, 0, see, &seen, NULL), 0);
    assert_int_equal(seen.count, 10);
    assert_int_equal(seen.ids[9], 20);
    seen.most = 11;
    assert_int_equal(ledger_list(w.ledger, "ab", 0, 0, see, &seen, NULL), 0);
    assert_int_equal(seen.count, 11);
    assert_int_equal(ledger_list(w.ledger, "", 0, 0, see, &seen, NULL), -EINVAL);
    world_fini(&w);
}

static void
test_what_fails_is_told_and_leaves_the_call_as_it_was(void **state)
{
    struct asked asked;
    struct told told;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(accept_one(&w, "t", 1, "", NULL), 0);
    fault_arm("ledger.commit", 1, -EIO);
    assert_int_equal(end_one(&w, "t", 1, "", 0, false), -EIO);
    assert_true(fault_disarm());
    assert_int_equal(state_of(&w, "t", 1), LEDGER__STATE__STATE_OPEN);
    told_init(&told);
    fault_arm("ledger.ask", 1, -ENOMEM);
    assert_int_equal(ledger_accept(w.ledger, &asked_init(&asked, "t", 2, "")->call, tell, &told),
                     -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(ledger_accept(w.ledger, &asked_init(&asked, "", 2, "")->call, tell, &told),
                     -EINVAL);
    assert_int_equal(ledger_accept(w.ledger, &asked_init(&asked, "t", 0, "")->call, tell, &told),
                     -EINVAL);
    assert_false(told.is_told);
    world_fini(&w);
}

static void
test_a_damaged_record_is_said_to_be_one(void **state)
{
    const struct store_change change = {
        .key = {"call", "t\0\0\0\0\0\0\0\0\1", 10}, .value = "rubbish", .count = 7};
    Ledger__Call *call;
    struct diag diag;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(store_commit(w.store, &change, 1, NULL, NULL, NULL), 0);
    diag_init(&diag);
    assert_int_equal(ledger_get(w.ledger, "t", 1, &call, &diag), -EBADMSG);
    assert_non_null(strstr(diag_text(&diag), "call 1 of tenant t"));
    world_fini(&w);
}

/* --------------------------------------------------------------------------- crashes */

static void
report(void *context, int err, uint64_t existing)
{
    uint64_t id = (uint64_t)(uintptr_t)context;

    (void)existing;
    if (err == 0 && write(3, &id, sizeof(id)) != sizeof(id))
        _exit(1);
}

/* Accepts calls, and ends every third; says each that it was told of. */
static void
live_until_killed(struct world *w, uint64_t first)
{
    world_open(w, "child", 8);
    for (uint64_t id = first;; id++) {
        struct asked asked;
        int err;

        asked_init(&asked, "t", id, "");
        do
            err = ledger_accept(w->ledger, &asked.call, report, (void *)(uintptr_t)id);
        while (err == -EAGAIN);
        if (id % 64 == 0)
            (void)usleep(500);
    }
}

#define TOLD 20u /* at least, before each kill */

static void
test_what_was_told_to_be_accepted_is_there_after_a_kill(void **state)
{
    uint64_t first = 1, id, last, told[TOLD];
    struct world w;

    (void)state;
    srandom(5);
    world_init(&w);
    for (unsigned round = 0; round < 6; round++) {
        int ends[2];
        pid_t child;

        world_close(&w);
        assert_int_equal(pipe(ends), 0);
        child = fork();
        if (child == 0) {
            (void)dup2(ends[1], 3);
            live_until_killed(&w, first);
        }
        (void)close(ends[1]);
        for (unsigned i = 0; i < TOLD; i++)
            assert_int_equal(read(ends[0], &told[i], sizeof(id)), sizeof(id));
        (void)usleep((unsigned)random() % 60000);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        world_open(&w, round % 2 == 0 ? "even" : "odd", 2);
        for (unsigned i = 0; i < TOLD || read(ends[0], &told[TOLD - 1], sizeof(id)) == sizeof(id);
             i++) {
            id = told[i < TOLD ? i : TOLD - 1];
            assert_int_equal(state_of(&w, "t", id), LEDGER__STATE__STATE_OPEN);
            first = id >= first ? id + 100000 : first;
        }
        (void)close(ends[0]);
    }
    assert_int_equal(ledger_restore(w.ledger, see, &(struct seen){.most = 1}, &last, NULL), 0);
    world_fini(&w);
}

/* Threads commit side by side: what is asked of one call is done one after the other. */
static void
test_changes_of_one_call_happen_in_their_order(void **state)
{
    enum { CALLS = 64, ATTEMPTS = 8 };
    static struct told told[CALLS][ATTEMPTS + 1];
    struct asked asked;
    struct seen seen;
    struct world w;
    uint64_t last;

    (void)state;
    world_init(&w);
    for (uint64_t id = 1; id <= CALLS; id++)
        assert_int_equal(accept_one(&w, "t", id, "", NULL), 0);
    for (uint64_t id = 1; id <= CALLS; id++)
        for (uint32_t i = 0; i <= ATTEMPTS; i++) {
            Ledger__Call *call = &asked_init(&asked, "t", id, "")->call;
            struct told *one = &told[id - 1][i];

            call->result = &asked.result;
            told_init(one);
            if (i < ATTEMPTS)
                assert_int_equal(ledger_attempt(w.ledger, call, i + 1, tell, one), 0);
            else if (id % 2 == 0)
                assert_int_equal(ledger_end(w.ledger, call, false, 1, tell, one), 0);
        }
    for (uint64_t id = 1; id <= CALLS; id++)
        for (uint32_t i = 0; i <= ATTEMPTS; i++)
            if (i < ATTEMPTS || id % 2 == 0)
                assert_int_equal(await(&told[id - 1][i]), 0);
    seen = restore(&w, &last);
    assert_int_equal(seen.count, CALLS / 2);
    for (unsigned i = 0; i < seen.count; i++)
        assert_int_equal(seen.attempts_used[i], ATTEMPTS);
    world_fini(&w);
}

static void
test_what_a_removed_tenant_had_is_forgotten_but_what_is_open(void **state)
{
    char tenant[LEDGER_TENANT_MAX + 1] = "";
    struct world w;
    size_t count;

    (void)state;
    world_init(&w);
    assert_int_equal(ledger_tenant_next(w.ledger, tenant, NULL), -ENOENT);
    for (uint64_t id = 1; id <= 6; id++)
        assert_int_equal(accept_one(&w, id <= 4 ? "a" : "ab", id, id == 1 ? "key" : "", NULL), 0);
    assert_int_equal(end_one(&w, "a", 1, "key", 7, false), 0);
    assert_int_equal(end_one(&w, "a", 2, "", 7, true), 0);
    assert_int_equal(end_one(&w, "ab", 5, "", 7, false), 0);
    assert_int_equal(ledger_forget(w.ledger, "a", &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(state_of(&w, "a", 1), LEDGER__STATE__STATE_NONE);
    assert_int_equal(state_of(&w, "a", 2), LEDGER__STATE__STATE_NONE);
    assert_int_equal(state_of(&w, "a", 3), LEDGER__STATE__STATE_OPEN);
    assert_int_equal(state_of(&w, "ab", 5), LEDGER__STATE__STATE_OVER);
    assert_int_equal(accept_one(&w, "a", 7, "key", NULL), 0); /* which was the first's */
    assert_int_equal(ledger_collect(w.ledger, UINT64_C(1) << 40, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(ledger_tenant_next(w.ledger, tenant, NULL), 0);
    assert_string_equal(tenant, "a");
    assert_int_equal(ledger_tenant_next(w.ledger, tenant, NULL), 0);
    assert_string_equal(tenant, "ab");
    assert_int_equal(ledger_tenant_next(w.ledger, tenant, NULL), -ENOENT);
    world_fini(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_calls_survive_and_ended_ones_are_not_run_again),
        cmocka_unit_test(test_a_call_has_one_end),
        cmocka_unit_test(test_changes_of_one_call_happen_in_their_order),
        cmocka_unit_test(test_what_a_removed_tenant_had_is_forgotten_but_what_is_open),
        cmocka_unit_test(test_a_key_names_one_call),
        cmocka_unit_test(test_whose_term_is_over_changes_nothing),
        cmocka_unit_test(test_dead_letters_wait_for_a_decision),
        cmocka_unit_test(test_ends_are_kept_for_their_time_and_then_gone_with_their_keys),
        cmocka_unit_test(test_a_damaged_end_does_not_keep_the_others),
        cmocka_unit_test(test_calls_are_listed_by_tenant_in_pages),
        cmocka_unit_test(test_what_fails_is_told_and_leaves_the_call_as_it_was),
        cmocka_unit_test(test_a_damaged_record_is_said_to_be_one),
        cmocka_unit_test(test_what_was_told_to_be_accepted_is_there_after_a_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
