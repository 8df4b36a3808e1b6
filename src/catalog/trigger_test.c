/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog_testing.h"

static int
put_http(struct testing *t, const char *name, const char *method, const char *path)
{
    struct catalog_trigger trigger = {.tenant = "acme",
                                      .name = name,
                                      .kind = CATALOG_HTTP,
                                      .reference = "f:prod",
                                      .method = method,
                                      .path = path};

    diag_init(&t->diag);
    return catalog_trigger_put(t->catalog, &trigger, &t->diag);
}

static bool
keep_name(void *context, const struct catalog_trigger *trigger)
{
    (void)snprintf(context, CATALOG_NAME_BYTES_MAX + 1, "%s", trigger->name);
    return true;
}

/* The trigger's name, or "". */
static const char *
find(struct testing *t, const char *method, const char *path)
{
    static char name[CATALOG_NAME_BYTES_MAX + 1];
    int err;

    name[0] = '\0';
    err = catalog_trigger_find(t->catalog, "acme", method, path, keep_name, name);
    assert_int_equal(err, name[0] == '\0' ? -ENOENT : 0);
    return name;
}

static void
test_the_longest_path_wins_then_the_exact_one_then_the_method(void **state)
{
    struct testing *t = *state;

    testing_tenant(t, "acme");
    assert_string_equal(find(t, "GET", "/"), "");
    assert_int_equal(put_http(t, "shop", "", "/shop/*"), 0);
    assert_int_equal(put_http(t, "items", "", "/shop/items"), 0);
    assert_int_equal(put_http(t, "get-items", "GET", "/shop/items"), 0);
    assert_int_equal(put_http(t, "below-items", "GET", "/shop/items/*"), 0);
    assert_int_equal(put_http(t, "deep", "POST", "/shop/items/a/b"), 0);
    assert_int_equal(put_http(t, "slash", "", "/shop/items/"), 0);
    for (unsigned round = 0; round < 2; round++) {
        assert_string_equal(find(t, "GET", "/shop"), "shop");
        assert_string_equal(find(t, "GET", "/shop/"), "shop");
        assert_string_equal(find(t, "GET", "/shop/x"), "shop");
        assert_string_equal(find(t, "GET", "/shopping"), "");
        assert_string_equal(find(t, "GET", "/sho"), "");
        assert_string_equal(find(t, "GET", "/"), "");
        assert_string_equal(find(t, "GET", "/shop/items"), "get-items");
        assert_string_equal(find(t, "PUT", "/shop/items"), "items");
        assert_string_equal(find(t, "PUT", "/shop/items/"), "slash");
        assert_string_equal(find(t, "GET", "/shop/items/7"), "below-items");
        assert_string_equal(find(t, "PUT", "/shop/items/7"), "shop");
        assert_string_equal(find(t, "POST", "/shop/items/a/b"), "deep");
        assert_string_equal(find(t, "GET", "/shop/items/a/b"), "below-items");
        assert_string_equal(find(t, "POST", "/shop/items/a/b/c"), "shop");
        testing_check_memory(t);
        testing_restart(t);
    }
    assert_int_equal(put_http(t, "all", "", "/*"), 0);
    assert_string_equal(find(t, "GET", "/"), "all");
    assert_string_equal(find(t, "GET", "/shopping"), "all");
    succeeds(t, catalog_trigger_remove(t->catalog, "acme", "get-items", &t->diag));
    assert_string_equal(find(t, "GET", "/shop/items"), "items");
    expects(t, -ENOENT, "no trigger get-items",
            catalog_trigger_remove(t->catalog, "acme", "get-items", &t->diag));
}

static void
test_paths_that_lead_elsewhere_fit_nothing(void **state)
{
    static const char *const paths[] = {
        "",   "shop",     "/shop/..", "/shop/../x", "/shop/./x", "/shop/.",
        "//", "/shop//x", "/../shop", "/..",        "//shop",
    };
    struct testing *t = *state;
    char path[CATALOG_PATH_BYTES_MAX + 2];

    testing_tenant(t, "acme");
    assert_int_equal(put_http(t, "all", "", "/*"), 0);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        assert_string_equal(find(t, "GET", paths[i]), "");
    assert_string_equal(find(t, "GET", "/.../..a/.b"), "all");
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[CATALOG_PATH_BYTES_MAX] = '\0';
    assert_string_equal(find(t, "GET", path), "all");
    path[CATALOG_PATH_BYTES_MAX] = 'x';
    path[CATALOG_PATH_BYTES_MAX + 1] = '\0';
    assert_string_equal(find(t, "GET", path), "");
}

static void
test_a_paused_trigger_and_another_tenants_are_not_found(void **state)
{
    struct testing *t = *state;
    struct catalog_trigger trigger = {.tenant = "acme",
                                      .name = "t",
                                      .kind = CATALOG_HTTP,
                                      .reference = "f",
                                      .path = "/x",
                                      .is_paused = true};
    char name[CATALOG_NAME_BYTES_MAX + 1];

    testing_tenant(t, "acme");
    testing_tenant(t, "beta");
    succeeds(t, catalog_trigger_put(t->catalog, &trigger, &t->diag));
    assert_string_equal(find(t, "GET", "/x"), "");
    trigger.is_paused = false;
    succeeds(t, catalog_trigger_put(t->catalog, &trigger, &t->diag));
    assert_string_equal(find(t, "GET", "/x"), "t");
    assert_int_equal(catalog_trigger_find(t->catalog, "beta", "GET", "/x", keep_name, name),
                     -ENOENT);
    assert_int_equal(catalog_trigger_find(t->catalog, "none", "GET", "/x", keep_name, name),
                     -ENOENT);
    succeeds(t, catalog_tenant_remove(t->catalog, "acme", &t->diag));
    assert_string_equal(find(t, "GET", "/x"), "");
}

static const struct {
    const char *path, *text;
} bad_paths[] = {
    {"", "begins with a /"},
    {"x", "begins with a /"},
    {"/a//b", "empty name"},
    {"/a/../b", ".. in it"},
    {"/a/.", ". or .."},
    {"/a?b", "byte 3: no ?"},
    {"/a#", "no ?, #"},
    {"/a\\b", "no ?, #"},
    {"/a*", "a * stands alone"},
    {"/*/b", "a * stands alone"},
    {"/a/**", "a * stands"},
    {"/a\nb", "control"},
    {"/\xff", "byte 2: not UTF-8"},
};

static void
test_requests_that_cannot_be_are_refused(void **state)
{
    struct testing *t = *state;

    testing_tenant(t, "acme");
    for (size_t i = 0; i < ARRAY_COUNT(bad_paths); i++) {
        assert_int_equal(put_http(t, "t", "", bad_paths[i].path), -EINVAL);
        if (strstr(diag_text(&t->diag), bad_paths[i].text) == NULL)
            fail_msg("%s: \"%s\"", bad_paths[i].path, diag_text(&t->diag));
    }
    assert_int_equal(put_http(t, "t", "get", "/"), -EINVAL);
    assert_int_equal(put_http(t, "one", "GET", "/a"), 0);
    assert_int_equal(put_http(t, "one", "GET", "/a"), 0);
    assert_int_equal(put_http(t, "two", "GET", "/a"), -EEXIST);
    assert_non_null(strstr(diag_text(&t->diag), "trigger one has this"));
    testing_check_memory(t);
}

static void
test_time_tables_that_cannot_be_are_refused(void **state)
{
    struct testing *t = *state;
    struct catalog_trigger cron = {.tenant = "acme",
                                   .name = "c",
                                   .kind = CATALOG_CRON,
                                   .reference = "f",
                                   .schedule = "@daily",
                                   .input = "{}"};

    testing_tenant(t, "acme");
    succeeds(t, catalog_trigger_put(t->catalog, &cron, &t->diag));
    cron.schedule = "0 0 30 2 *";
    expects(t, -EINVAL, "never due", catalog_trigger_put(t->catalog, &cron, &t->diag));
    cron.schedule = "0 0 30 2";
    expects(t, -EINVAL, "schedule: day of the week",
            catalog_trigger_put(t->catalog, &cron, &t->diag));
    cron.schedule = "@daily";
    cron.path = "/x";
    expects(t, -EINVAL, "of a time table", catalog_trigger_put(t->catalog, &cron, &t->diag));
    cron.path = NULL;
    cron.reference = "f:";
    expects(t, -EINVAL, "reference: alias", catalog_trigger_put(t->catalog, &cron, &t->diag));
    testing_check_memory(t);
}

static void
test_there_is_an_end_of_triggers(void **state)
{
    struct testing *t = *state;
    char name[16], path[32];

    testing_tenant(t, "acme");
    for (unsigned i = 0; i < CATALOG_TRIGGERS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "t%u", i);
        (void)snprintf(path, sizeof(path), "/a/%u/%s", i, i % 2 == 0 ? "*" : "b");
        assert_int_equal(put_http(t, name, "", path), 0);
    }
    assert_int_equal(put_http(t, "one-more", "", "/b"), -ENOSPC);
    assert_int_equal(put_http(t, name, "GET", path), 0);
    assert_string_equal(find(t, "GET", "/a/500/x/y"), "t500");
    assert_string_equal(find(t, "GET", "/a/501/x"), "");
    assert_string_equal(find(t, "GET", "/a/501/b"), "t501");
    testing_check_memory(t);
}

static bool
count_one(void *context, const struct catalog_trigger *trigger)
{
    (void)trigger;
    ++*(unsigned *)context;
    return true;
}

static void
test_triggers_of_all_tenants_are_listed(void **state)
{
    struct testing *t = *state;
    struct catalog_trigger cron = {.kind = CATALOG_CRON, .reference = "f", .schedule = "@daily"};
    unsigned count = 0;

    testing_tenant(t, "beta");
    testing_tenant(t, "acme");
    for (unsigned i = 0; i < 4; i++) {
        cron.tenant = i % 2 == 0 ? "acme" : "beta";
        cron.name = i < 2 ? "a" : "b";
        succeeds(t, catalog_trigger_put(t->catalog, &cron, &t->diag));
    }
    succeeds(t, catalog_trigger_list(t->catalog, NULL, count_one, &count, &t->diag));
    assert_int_equal(count, 4);
    succeeds(t, catalog_trigger_list(t->catalog, "beta", count_one, &count, &t->diag));
    assert_int_equal(count, 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_longest_path_wins_then_the_exact_one_then_the_method),
        TEST(test_paths_that_lead_elsewhere_fit_nothing),
        TEST(test_a_paused_trigger_and_another_tenants_are_not_found),
        TEST(test_requests_that_cannot_be_are_refused),
        TEST(test_time_tables_that_cannot_be_are_refused),
        TEST(test_there_is_an_end_of_triggers),
        TEST(test_triggers_of_all_tenants_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
