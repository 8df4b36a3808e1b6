/* SPDX-License-Identifier: Apache-2.0
 *
 * What a function needs, and how it comes; its cells are doubles.
 */
#include "agent/agent_testing.h"

#define DONE   RPC__HOST_END_KIND__HOST_END_DONE
#define FAILED RPC__HOST_END_KIND__HOST_END_FAILED

enum { LARGE = 3 << 20 };

static const char double_program[] = "test/worker/double";
static uint8_t large[LARGE];

static void
fill_large(void)
{
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (uint8_t)(i * 31 + (i >> 11));
}

static void
open_with_tenant(struct planner *planner)
{
    planner_open(planner, double_program);
    planner_tenant(planner, "a");
}

static struct agent_view
look(struct planner *planner)
{
    struct agent_view view;

    agent_look(planner->agent, &view);
    return view;
}

static void
test_blobs_come_in_pieces_and_once(void **state)
{
    struct planner planner;
    struct store_hash image;

    (void)state;
    fill_large();
    open_with_tenant(&planner);
    image = planner_put(&planner, large, LARGE);
    for (uint64_t i = 1; i <= 3; i++) {
        planner_function_of(&planner, i, &image);
        planner_call(&planner, i, i, "echo");
    }
    for (int i = 0; i < 3; i++)
        rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_END), NULL);
    assert_int_equal(planner.asked, 1);
    assert_int_equal(look(&planner).blobs_wanted, 0);
    /* It is there from now on, also for another agent in its place. */
    agent_destroy(planner.agent);
    planner_start_agent(&planner, double_program);
    planner_register(&planner, true);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 9, 1, "echo");
    planner_expect(&planner, 9, DONE, "");
    assert_int_equal(planner.asked, 1);
    planner_stop(&planner);
}

static void
test_many_blobs_are_asked_for_a_few_at_a_time(void **state)
{
    struct planner planner;

    (void)state;
    open_with_tenant(&planner);
    planner.serves_blobs = false;
    for (uint64_t i = 1; i <= 20; i++) {
        struct store_hash image = planner_put(&planner, &i, sizeof(i));

        planner_function_of(&planner, i, &image);
    }
    for (int i = 0; i < 4; i++)
        rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    planner_expect_none(&planner, RPC__HOST_UP__IS_WANT_BLOB);
    planner.serves_blobs = true;
    planner_cut(&planner); /* they are asked for again */
    planner_register(&planner, true);
    for (uint64_t i = 1; i <= 8; i++)
        planner_call(&planner, i, 13 + (i % 8), "echo");
    for (int i = 0; i < 8; i++) {
        Rpc__HostUp *up = planner_hear(&planner, RPC__HOST_UP__IS_END);

        assert_int_equal(up->end->kind, DONE);
        rpc__host_up__free_unpacked(up, NULL);
    }
    assert_true(planner.asked >= 4 + 8);
    planner_stop(&planner);
}

static void
test_what_waits_for_a_blob_is_kept_over_a_lost_connection(void **state)
{
    struct planner planner;
    struct store_hash image;
    Rpc__HostUp *up;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    planner.serves_blobs = false;
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    planner_call(&planner, 6, 1, "echo");
    planner_call(&planner, 7, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    planner_say_stop(&planner, 6);
    planner_expect(&planner, 6, RPC__HOST_END_KIND__HOST_END_CANCELLED, "");
    assert_int_equal(look(&planner).calls, 2);
    assert_int_equal(look(&planner).blobs_wanted, 1);
    planner_cut(&planner);
    planner.serves_blobs = true;
    up = planner_greet(&planner);
    /* 6 may be there: whether it was heard is not known to us. */
    assert_true(up->register_->n_runs >= 2);
    {
        Rpc__HostRun run = testing_run(7), *keep[1] = {&run};

        planner_welcome(&planner, keep, 1);
    }
    rpc__host_up__free_unpacked(up, NULL);
    up = planner_hear_end(&planner, 7);
    assert_int_equal(up->end->kind, DONE);
    assert_true(up->end->was_cold);
    rpc__host_up__free_unpacked(up, NULL);
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    planner_stop(&planner);
}

static void
test_what_waits_for_a_function_that_goes_still_begins(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostFunctionGone gone = RPC__HOST_FUNCTION_GONE__INIT;
    struct planner planner;
    struct store_hash image;
    ProtobufCBinaryData name;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    name = testing_hash(&image);
    planner.serves_blobs = false;
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    gone.number = 1;
    down.is_case = RPC__HOST_DOWN__IS_FUNCTION_GONE;
    down.function_gone = &gone;
    planner_send(&planner, &down);
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, FAILED, "not known");
    planner_serve(&planner, &name);
    planner_expect(&planner, 5, DONE, "");
    planner_stop(&planner);
}

static void
test_a_tenant_that_goes_ends_what_waits(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostTenantGone gone = RPC__HOST_TENANT_GONE__INIT;
    struct planner planner;
    struct store_hash image;
    ProtobufCBinaryData name;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    name = testing_hash(&image);
    planner.serves_blobs = false;
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    gone.name = (char *)(uintptr_t)"a";
    down.is_case = RPC__HOST_DOWN__IS_TENANT_GONE;
    down.tenant_gone = &gone;
    planner_send(&planner, &down);
    planner_expect(&planner, 5, RPC__HOST_END_KIND__HOST_END_CANCELLED, "tenant");
    planner_serve(&planner, &name);
    planner_expect_none(&planner, RPC__HOST_UP__IS_END);
    planner_stop(&planner);
}

static void
test_another_planners_blobs_are_forgotten(void **state)
{
    struct planner planner;
    struct store_hash image;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    planner.serves_blobs = false;
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    planner_cut(&planner);
    planner.life++;
    planner_register(&planner, true);
    planner_expect(&planner, 5, RPC__HOST_END_KIND__HOST_END_LOST, "another planner's");
    assert_int_equal(look(&planner).blobs_wanted, 0);
    assert_int_equal(look(&planner).functions, 0);
    planner_stop(&planner);
}

/* ----------------------------------------------------------------------- what is wrong */

static void
test_a_blob_that_is_not_there_ends_what_waits(void **state)
{
    struct planner planner;
    struct store_hash image = {{7}};

    (void)state;
    open_with_tenant(&planner);
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, FAILED, "no such blob");
    planner_call(&planner, 6, 1, "echo");
    planner_expect(&planner, 6, FAILED, "07000000"); /* which it was */
    planner_stop(&planner);
}

static void
test_a_damaged_blob_is_refused(void **state)
{
    const ProtobufCBinaryData bytes = {5, (uint8_t *)(uintptr_t)"other"};
    struct planner planner;
    struct store_hash image;
    ProtobufCBinaryData name;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    name = testing_hash(&image);
    planner.serves_blobs = false;
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(&planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
    planner_send_blob(&planner, &name, &bytes, true, "");
    planner_send_blob(&planner, &name, &bytes, true, ""); /* nobody wants it any more */
    planner_expect(&planner, 5, FAILED, "another hash");
    /* A new word for it is a new try. */
    planner.serves_blobs = true;
    planner_function_of(&planner, 2, &image);
    planner_call(&planner, 6, 2, "echo");
    planner_expect(&planner, 6, DONE, "");
    planner_stop(&planner);
}

/* What the disk has damaged is fetched anew. */
static int
damage_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)at;
    if (kind != FTW_F || info->st_size != 8)
        return 0;
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 7), 0);
    return 0;
}

static void
test_a_blob_that_the_disk_damaged_is_fetched_anew(void **state)
{
    struct planner planner;
    struct store_hash image;

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    assert_int_equal(planner.asked, 1);
    agent_destroy(planner.agent);
    assert_int_equal(nftw(planner.data, damage_one, 16, FTW_PHYS), 0);
    planner_start_agent(&planner, double_program);
    planner_register(&planner, true);
    planner_tenant(&planner, "a");
    planner_function_of(&planner, 2, &image);
    planner_call(&planner, 6, 2, "echo");
    planner_expect(&planner, 6, DONE, "");
    assert_int_equal(planner.asked, 2);
    planner_stop(&planner);
}

static void
test_pieces_that_nobody_wants_are_passed_over(void **state)
{
    const ProtobufCBinaryData bytes = {5, (uint8_t *)(uintptr_t)"other"};
    struct planner planner;
    struct store_hash image = {{9}};
    ProtobufCBinaryData name = testing_hash(&image);

    (void)state;
    open_with_tenant(&planner);
    planner_send_blob(&planner, &name, &bytes, true, "");
    planner_send_blob(&planner, &name, &bytes, false, "none");
    name.len = 31;
    planner_send_blob(&planner, &name, &bytes, true, "");
    name.len = 0;
    planner_send_blob(&planner, &name, &bytes, true, "");
    image = planner_put(&planner, "an image", 8);
    planner_function_of(&planner, 1, &image);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    planner_stop(&planner);
}

static void
expect_refused(struct planner *planner, uint64_t number, Rpc__HostFunction function,
               const char *reason)
{
    function.number = number;
    planner_function(planner, &function);
    planner_call(planner, number, number, "echo");
    planner_expect(planner, number, FAILED, reason);
}

/* A function of tenant "a" that is well. */
static Rpc__HostFunction
open_with_good(struct planner *planner, struct store_hash *image)
{
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;

    open_with_tenant(planner);
    *image = planner_put(planner, "an image", 8);
    function.tenant = (char *)(uintptr_t)"a";
    function.image = testing_hash(image);
    return function;
}

static void
test_functions_that_are_wrong_say_so(void **state)
{
    struct planner planner;
    struct store_hash image;
    Rpc__HostFunction good = open_with_good(&planner, &image), function = good;

    (void)state;
    function.tenant = (char *)(uintptr_t)"b";
    expect_refused(&planner, 10, function, "tenant is not known");
    function = good;
    function.image.len = 31;
    expect_refused(&planner, 11, function, "hash of 32 bytes");
    function = good;
    function.proto = (ProtobufCBinaryData){1, image.bytes};
    expect_refused(&planner, 12, function, "hash of 32 bytes");
    expect_refused(&planner, 0, good, "not known");
    planner_function_of(&planner, 13, &image);
    planner_call(&planner, 13, 13, "echo");
    planner_expect(&planner, 13, DONE, "");
    planner_stop(&planner);
}

static void
test_files_that_are_wrong_are_not_placed(void **state)
{
    static const char *const bad_paths[] = {"",    "data",    "/",       "/data/",       "//data",
                                            "/..", "/data/.", "/a/../b", "/data/../../x"};
    Rpc__HostFile file = RPC__HOST_FILE__INIT, *files[2] = {&file, &file};
    struct planner planner;
    struct store_hash image;
    Rpc__HostFunction function = open_with_good(&planner, &image);
    uint64_t number = 10;

    (void)state;
    function.files = files;
    function.n_files = 1;
    file.hash = testing_hash(&image);
    for (size_t i = 0; i < ARRAY_COUNT(bad_paths); i++) {
        file.path = (char *)(uintptr_t)bad_paths[i];
        expect_refused(&planner, number++, function, "a path or a hash of one is wrong");
    }
    file.path = (char *)(uintptr_t)"/data/model";
    file.hash.len = 31;
    expect_refused(&planner, number++, function, "a path or a hash of one is wrong");
    file.hash.len = 32;
    function.n_files = 2; /* of one name */
    expect_refused(&planner, number++, function, "/data/model");
    function.n_files = 1;
    function.number = number;
    planner_function(&planner, &function);
    planner_call(&planner, number, number, "echo");
    planner_expect(&planner, number, DONE, "");
    planner_stop(&planner);
}

/* As many directories, and blobs that are held, as there are functions. */
static int
count_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)path;
    (void)info;
    (void)kind;
    assert_true(at->level == 0);
    return 0;
}

static bool
is_without_functions(const struct agent_view *view)
{
    return view->functions == 0;
}

static void
test_files_of_a_function_go_with_it(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostFunctionGone gone = RPC__HOST_FUNCTION_GONE__INIT;
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostFile file = RPC__HOST_FILE__INIT, *files[1] = {&file};
    struct store_hash image, model;
    struct planner planner;
    char path[128];

    (void)state;
    open_with_tenant(&planner);
    image = planner_put(&planner, "an image", 8);
    model = planner_put(&planner, "a model", 7);
    function.number = 1;
    function.tenant = (char *)(uintptr_t)"a";
    function.image = testing_hash(&image);
    function.files = files;
    function.n_files = 1;
    file.path = (char *)(uintptr_t)"/data/deep/model";
    file.hash = testing_hash(&model);
    planner_function(&planner, &function);
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    (void)snprintf(path, sizeof(path), "%s/files/1/data/deep/model", planner.data);
    assert_int_equal(access(path, R_OK), 0);
    gone.number = 1;
    down.is_case = RPC__HOST_DOWN__IS_FUNCTION_GONE;
    down.function_gone = &gone;
    planner_send(&planner, &down);
    (void)testing_look_until(planner.agent, is_without_functions);
    /* What the disk does comes before what it is asked later. */
    planner_function_of(&planner, 2, &image);
    planner_call(&planner, 6, 2, "echo");
    planner_expect(&planner, 6, DONE, "");
    (void)snprintf(path, sizeof(path), "%s/files", planner.data);
    assert_int_equal(nftw(path, count_one, 16, FTW_PHYS), 0);
    planner_stop(&planner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs_come_in_pieces_and_once),
        cmocka_unit_test(test_many_blobs_are_asked_for_a_few_at_a_time),
        cmocka_unit_test(test_what_waits_for_a_blob_is_kept_over_a_lost_connection),
        cmocka_unit_test(test_what_waits_for_a_function_that_goes_still_begins),
        cmocka_unit_test(test_a_tenant_that_goes_ends_what_waits),
        cmocka_unit_test(test_another_planners_blobs_are_forgotten),
        cmocka_unit_test(test_a_blob_that_is_not_there_ends_what_waits),
        cmocka_unit_test(test_a_damaged_blob_is_refused),
        cmocka_unit_test(test_a_blob_that_the_disk_damaged_is_fetched_anew),
        cmocka_unit_test(test_pieces_that_nobody_wants_are_passed_over),
        cmocka_unit_test(test_functions_that_are_wrong_say_so),
        cmocka_unit_test(test_files_that_are_wrong_are_not_placed),
        cmocka_unit_test(test_files_of_a_function_go_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
