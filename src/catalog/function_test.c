/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog_testing.h"

static void
test_each_version_has_the_next_number_and_latest_follows(void **state)
{
    struct testing *t = *state;

    testing_tenant(t, "acme");
    assert_int_equal(testing_deploy(t, "acme", "f"), 1);
    assert_int_equal(testing_deploy(t, "acme", "f"), 2);
    assert_int_equal(testing_deploy(t, "acme", "g"), 1);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 2);
    assert_int_equal(testing_resolve(t, "acme", "f:latest", 0), 2);
    assert_int_equal(testing_resolve(t, "acme", "f:1", 0), 1);
    assert_int_equal(testing_resolve(t, "acme", "acme/f:1", 0), 1);
    assert_int_equal(testing_resolve(t, "acme", "f:3", 0), 0);
    assert_int_equal(testing_resolve(t, "acme", "f:none", 0), 0);
    assert_int_equal(testing_resolve(t, "acme", "h", 0), 0);
    testing_check_memory(t);
}

static void
check_view(const struct testing *t, const struct catalog_version *view,
           const struct catalog_version *put)
{
    assert_string_equal(view->tenant, "acme");
    assert_string_equal(view->function, "f");
    assert_int_equal(view->kind, CATALOG_LIBRARY);
    assert_string_equal(view->entry, "run");
    assert_memory_equal(&view->module, &t->blob, sizeof(t->blob));
    assert_memory_equal(&view->image, &t->blob, sizeof(t->blob));
    assert_memory_equal(&view->proto, &t->blob, sizeof(t->blob));
    assert_true(view->has_proto);
    assert_memory_equal(&view->limits, &put->limits, sizeof(put->limits));
    assert_int_equal(view->retry.attempts, 3);
    assert_int_equal(view->retry.pause_ns, 4);
    assert_true(view->retry.only_if_lost);
    assert_int_equal(view->ranks, 8);
    assert_int_equal(view->threads, 9);
    assert_int_equal(view->env_count, 2);
    assert_string_equal(view->env[1], put->env[1]);
    assert_int_equal(view->arg_count, 2);
    assert_string_equal(view->args[1], put->args[1]);
    assert_int_equal(view->file_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(view->files[i].path, put->files[i].path);
        assert_memory_equal(&view->files[i].hash, &t->blob, sizeof(t->blob));
    }
    assert_string_equal(view->note, "a note");
    assert_string_equal(view->created_by, "somebody");
    assert_true(view->created_s > 1500000000);
}

static void
test_a_version_comes_back_as_it_was_put(void **state)
{
    static const char *const env[] = {"A=1", "B_2=x=\xc3\xa4\n"};
    static const char *const args[] = {"python", "print(1)\nprint(2)"};
    struct testing *t = *state;
    const struct catalog_file files[] = {{"/a", t->blob}, {"/data/model", t->blob}};
    struct catalog_version version = testing_version(t, "acme", "f");
    struct catalog_callable *callable;
    uint32_t number;

    testing_tenant(t, "acme");
    version.kind = CATALOG_LIBRARY;
    version.entry = "run";
    version.proto = t->blob;
    version.has_proto = true;
    version.limits = (struct catalog_limits){1, 2, 3, 4, 5, 6};
    version.retry = (struct catalog_retry){3, 4, true};
    version.ranks = 8;
    version.threads = 9;
    version.env = env;
    version.env_count = 2;
    version.args = args;
    version.arg_count = 2;
    version.files = files;
    version.file_count = 2;
    succeeds(t, catalog_version_put(t->catalog, &version, &number, &t->diag));
    testing_restart(t);
    succeeds(t, catalog_resolve(t->catalog, "acme", "f", 0, &callable, &t->diag));
    check_view(t, catalog_callable_version(callable), &version);
    catalog_callable_put(callable);
}

static void
test_an_alias_shares_calls_between_two_versions(void **state)
{
    struct testing *t = *state;
    struct catalog_alias alias = {"acme", "f", "prod", 1, 2, 30, false};
    unsigned others = 0;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    for (unsigned dice = 0; dice < 100; dice++)
        others += testing_resolve(t, "acme", "f:prod", dice) == 2;
    assert_int_equal(others, 30);
    alias.version = 3;
    expects(t, -ENOENT, "no version 3", catalog_alias_put(t->catalog, &alias, &t->diag));
    alias.version = 1;
    alias.other_percent = 101;
    expects(t, -EINVAL, "other_percent", catalog_alias_put(t->catalog, &alias, &t->diag));
    alias.name = "7up";
    expects(t, -EINVAL, "alias: byte 1 is 0x37", catalog_alias_put(t->catalog, &alias, &t->diag));
    testing_check_memory(t);
    expects(t, -EBUSY, "alias prod", catalog_version_remove(t->catalog, "acme", "f", 1, &t->diag));
    succeeds(t, catalog_alias_remove(t->catalog, "acme", "f", "prod", &t->diag));
    expects(t, -ENOENT, "no alias prod",
            catalog_alias_remove(t->catalog, "acme", "f", "prod", &t->diag));
    succeeds(t, catalog_version_remove(t->catalog, "acme", "f", 1, &t->diag));
    assert_int_equal(testing_resolve(t, "acme", "f:1", 0), 0);
    testing_check_memory(t);
}

static void
test_latest_set_by_hand_stays_until_it_is_given_back(void **state)
{
    struct testing *t = *state;
    struct catalog_alias alias = {"acme", "f", "latest", 1, 0, 0, false};

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 1);
    assert_int_equal(testing_deploy(t, "acme", "f"), 3);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 1);
    succeeds(t, catalog_alias_remove(t->catalog, "acme", "f", "latest", &t->diag));
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 3);
    assert_int_equal(testing_deploy(t, "acme", "f"), 4);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 4);
    expects(t, -EBUSY, "alias latest",
            catalog_version_remove(t->catalog, "acme", "f", 4, &t->diag));
}

static void
test_old_versions_go_unless_an_alias_has_them(void **state)
{
    struct testing *t = *state;
    struct catalog_alias alias = {"acme", "f", "old", 2, 3, 50, false};

    testing_tenant(t, "acme");
    for (unsigned i = 0; i < 3; i++)
        (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    for (unsigned i = 3; i < CATALOG_VERSIONS_KEPT + 10; i++)
        assert_int_equal(testing_deploy(t, "acme", "f"), i + 1);
    assert_int_equal(testing_resolve(t, "acme", "f:1", 0), 0);
    assert_int_equal(testing_resolve(t, "acme", "f:2", 0), 2);
    assert_int_equal(testing_resolve(t, "acme", "f:3", 0), 3);
    assert_int_equal(testing_resolve(t, "acme", "f:10", 0), 0);
    assert_int_equal(testing_resolve(t, "acme", "f:11", 0), 11);
    testing_check_memory(t);
    succeeds(t, catalog_alias_remove(t->catalog, "acme", "f", "old", &t->diag));
    (void)testing_deploy(t, "acme", "f");
    assert_int_equal(testing_resolve(t, "acme", "f:2", 0), 0);
    testing_check_memory(t);
}

static void
test_a_removed_function_is_gone_but_a_callable_of_it_stays(void **state)
{
    struct testing *t = *state;
    struct catalog_callable *callable;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_resolve(t->catalog, "acme", "f", 0, &callable, &t->diag));
    assert_ptr_equal(catalog_callable_get(callable), callable);
    catalog_callable_put(callable);
    succeeds(t, catalog_function_remove(t->catalog, "acme", "f", &t->diag));
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    expects(t, -ENOENT, "no function acme/f",
            catalog_function_remove(t->catalog, "acme", "f", &t->diag));
    testing_check_memory(t);
    catalog_close(t->catalog);
    t->catalog = NULL;
    assert_string_equal(catalog_callable_version(callable)->function, "f");
    assert_string_equal(catalog_callable_version(callable)->note, "a note");
    catalog_callable_put(callable);
    catalog_callable_put(NULL);
}

static void
test_another_tenants_function_needs_a_grant_and_is_not_there_without(void **state)
{
    struct testing *t = *state;
    struct catalog_callable *callable;
    char without[DIAG_TEXT_MAX];

    testing_tenant(t, "acme");
    testing_tenant(t, "beta");
    (void)testing_deploy(t, "acme", "f");
    expects(t, -ENOENT, "no function acme/f",
            catalog_resolve(t->catalog, "beta", "acme/f", 0, &callable, &t->diag));
    (void)snprintf(without, sizeof(without), "%s", diag_text(&t->diag));
    succeeds(t, catalog_grant(t->catalog, "acme", "f", "beta", true, &t->diag));
    succeeds(t, catalog_grant(t->catalog, "acme", "f", "beta", true, &t->diag));
    succeeds(t, catalog_grant(t->catalog, "acme", "f", "alpha", true, &t->diag));
    assert_int_equal(testing_resolve(t, "beta", "acme/f:1", 0), 1);
    assert_int_equal(testing_resolve(t, "gamma", "acme/f:1", 0), 0);
    testing_check_memory(t);
    testing_restart(t);
    assert_int_equal(testing_resolve(t, "beta", "acme/f", 0), 1);
    succeeds(t, catalog_grant(t->catalog, "acme", "f", "beta", false, &t->diag));
    assert_int_equal(testing_resolve(t, "beta", "acme/f", 0), 0);
    succeeds(t, catalog_function_remove(t->catalog, "acme", "f", &t->diag));
    expects(t, -ENOENT, "", catalog_resolve(t->catalog, "beta", "acme/f", 0, &callable, &t->diag));
    assert_string_equal(diag_text(&t->diag), without);
    expects(t, -ENOENT, "no function acme/f",
            catalog_grant(t->catalog, "acme", "f", "beta", true, &t->diag));
}

/* Then bad is good again. */
#define REFUSED(err, part) \
    expects(t, err, part, catalog_version_put(t->catalog, &bad, &number, &t->diag)); \
    bad = good

static void
test_texts_and_numbers_that_cannot_be_are_refused(void **state)
{
    static const char *const bad_env[] = {"NAME"}, *const worse_env[] = {"1A=b"};
    static const char *const broken_env[] = {"A=\xff"}, *const secrets[] = {"S"};
    struct testing *t = *state;
    struct catalog_version good = testing_version(t, "acme", "f"), bad = good;
    uint32_t number = 77;
    char text[1200];

    testing_tenant(t, "acme");
    bad.note = "\xc0\x80";
    REFUSED(-EINVAL, "note: byte 1: not UTF-8");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    bad.note = text;
    REFUSED(-EINVAL, "note: longer than 1024");
    bad.language = "c\x1b[2J";
    REFUSED(-EINVAL, "language: byte 2 is a control");
    bad.ranks = 1u << 30;
    REFUSED(-EINVAL, "ranks: ");
    bad.env = bad_env;
    bad.env_count = 1;
    REFUSED(-EINVAL, "env: name 1: no =");
    bad.env = worse_env;
    bad.env_count = 1;
    REFUSED(-EINVAL, "env: name 1: byte 1");
    bad.env = broken_env;
    bad.env_count = 1;
    REFUSED(-EINVAL, "env: A: byte 1: not UTF-8");
    bad.secrets = secrets;
    bad.secret_count = 1;
    REFUSED(-ENOENT, "secret S: tenant acme has none");
    assert_int_equal(number, 77);
    testing_check_memory(t);
}

static void
test_arguments_and_files_that_cannot_be_are_refused(void **state)
{
    static const char *const args[] = {"a", "\xff"};
    struct testing *t = *state;
    struct catalog_version good = testing_version(t, "acme", "f"), bad = good;
    const struct catalog_file up = {"/a/../b", t->blob}, folder = {"/a/", t->blob},
                              none = {"/a", {{1}}}, twice[] = {{"/a", t->blob}, {"/a", t->blob}};
    uint32_t number = 77;

    testing_tenant(t, "acme");
    bad.args = args;
    bad.arg_count = 2;
    REFUSED(-EINVAL, "args: 2: byte 1: not UTF-8");
    bad.arg_count = CATALOG_ARGS_MAX + 1;
    bad.args = calloc(bad.arg_count, sizeof(char *));
    for (size_t i = 0; i < bad.arg_count; i++)
        ((const char **)(uintptr_t)bad.args)[i] = "x";
    expects(t, -EINVAL, "args: 257: at most 256",
            catalog_version_put(t->catalog, &bad, &number, &t->diag));
    free((void *)(uintptr_t)bad.args);
    bad = good;
    bad.file_count = 1;
    bad.files = &up;
    REFUSED(-EINVAL, "files: /a/../b: begins with");
    bad.file_count = 1;
    bad.files = &folder;
    REFUSED(-EINVAL, "files: /a/: begins with");
    bad.file_count = 1;
    bad.files = &none;
    REFUSED(-ENOENT, "/a: there is no blob 01");
    bad.file_count = 2;
    bad.files = twice;
    REFUSED(-EINVAL, "files: /a: twice");
    assert_int_equal(number, 77);
    testing_check_memory(t);
}

static void
test_what_cannot_be_deployed_is_refused_with_its_field(void **state)
{
    struct testing *t = *state;
    struct catalog_version good = testing_version(t, "acme", "f"), bad = good;
    uint32_t number = 77;

    REFUSED(-ENOENT, "no tenant acme");
    testing_tenant(t, "acme");
    bad.tenant = "Ac me";
    REFUSED(-EINVAL, "tenant: byte 3 is 0x20");
    bad.tenant = "";
    REFUSED(-EINVAL, "tenant: empty");
    bad.function = NULL;
    REFUSED(-EINVAL, "function: missing");
    bad.function = "f/../g";
    REFUSED(-EINVAL, "function: byte 2 is 0x2f");
    bad.kind = CATALOG_LIBRARY;
    REFUSED(-EINVAL, "entry: ");
    bad.kind = CATALOG_SNAPSHOT;
    REFUSED(-EINVAL, "proto: ");
    bad.kind = (enum catalog_kind)99;
    REFUSED(-EINVAL, "kind: 99");
    bad.entry = "run";
    REFUSED(-EINVAL, "entry: only a library");
    bad.image.bytes[0] ^= 1;
    REFUSED(-ENOENT, "image: there is no blob");
    assert_int_equal(number, 77);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    testing_check_memory(t);
}

static void
test_references_are_parsed_strictly(void **state)
{
    static const char *const bad[] = {
        "",     ":",    "f:",   "/f",  "a/",           "a/b/c", "f:1:2", "f:01", "f:0",
        "f:-1", "f:1x", "f: 1", " f",  "f ",           "f:a b", "1f",    "_f",   "a//f",
        "f/:1", "f:+1", "../f", "f:é", "f:4294967296", "a/:x",  "f\n",   "-",    "f:1 ",
    };
    struct catalog_reference out;
    struct diag diag;
    char text[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        diag_init(&diag);
        if (catalog_reference_parse(bad[i], &out, &diag) != -EINVAL || !diag.is_set)
            fail_msg("\"%s\" is taken for a reference", bad[i]);
    }
    assert_int_equal(catalog_reference_parse("a-b/f_1:4294967295", &out, NULL), 0);
    assert_string_equal(out.tenant, "a-b");
    assert_string_equal(out.function, "f_1");
    assert_string_equal(out.alias, "");
    assert_int_equal(out.version, UINT32_MAX);
    assert_int_equal(catalog_reference_parse("f:prod", &out, NULL), 0);
    assert_string_equal(out.tenant, "");
    assert_string_equal(out.alias, "prod");
    memset(text, 'a', sizeof(text));
    text[63] = text[127] = '/';
    text[399] = '\0';
    assert_int_equal(catalog_reference_parse(text, &out, NULL), -EINVAL);
    text[127] = ':';
    text[191] = '\0';
    assert_int_equal(catalog_reference_parse(text, &out, NULL), 0);
    assert_int_equal(strlen(out.alias), CATALOG_NAME_BYTES_MAX);
    text[191] = 'a';
    text[192] = '\0';
    assert_int_equal(catalog_reference_parse(text, &out, NULL), -EINVAL);
}

static void
test_there_is_an_end_of_aliases_and_grants(void **state)
{
    struct testing *t = *state;
    char name[16];
    struct catalog_alias alias = {"acme", "f", name, 1, 0, 0, false};

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    for (unsigned i = 0; i < CATALOG_ALIASES_MAX - 1; i++) { /* and latest */
        (void)snprintf(name, sizeof(name), "a%u", i);
        succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    }
    succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    (void)snprintf(name, sizeof(name), "one-more");
    expects(t, -ENOSPC, "64 aliases", catalog_alias_put(t->catalog, &alias, &t->diag));
    for (unsigned i = 0; i < CATALOG_GRANTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "t%u", i);
        succeeds(t, catalog_grant(t->catalog, "acme", "f", name, true, &t->diag));
    }
    succeeds(t, catalog_grant(t->catalog, "acme", "f", name, true, &t->diag));
    expects(t, -ENOSPC, "256 grants",
            catalog_grant(t->catalog, "acme", "f", "one-more", true, &t->diag));
    testing_check_memory(t);
}

static void
test_there_is_an_end_of_functions(void **state)
{
    struct testing *t = *state;
    struct catalog_version version = testing_version(t, "acme", "one-more");
    uint32_t number;
    char name[16];

    testing_tenant(t, "acme");
    for (unsigned i = 0; i < CATALOG_FUNCTIONS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(testing_deploy(t, "acme", name), 1);
    }
    expects(t, -ENOSPC, "has 4096 functions",
            catalog_version_put(t->catalog, &version, &number, &t->diag));
    assert_int_equal(testing_deploy(t, "acme", name), 2);
    succeeds(t, catalog_function_remove(t->catalog, "acme", "f7", &t->diag));
    assert_int_equal(testing_deploy(t, "acme", "one-more"), 1);
    testing_check_memory(t);
}

static bool
stop_at_first(void *context, const struct catalog_version *version)
{
    uint32_t *number = context;

    *number = version->version;
    return false;
}

static void
test_versions_are_listed_newest_first_until_enough(void **state)
{
    struct testing *t = *state;
    uint32_t number = 0;

    testing_tenant(t, "acme");
    for (unsigned i = 0; i < 3; i++)
        (void)testing_deploy(t, "acme", "f");
    (void)testing_deploy(t, "acme", "a");
    succeeds(t, catalog_version_list(t->catalog, "acme", "f", stop_at_first, &number, &t->diag));
    assert_int_equal(number, 3);
    succeeds(t, catalog_version_list(t->catalog, "acme", NULL, stop_at_first, &number, &t->diag));
    assert_int_equal(number, 1);
    expects(t, -ENOENT, "no function acme/x",
            catalog_version_list(t->catalog, "acme", "x", stop_at_first, &number, &t->diag));
    expects(t, -ENOENT, "no tenant beta",
            catalog_version_list(t->catalog, "beta", NULL, stop_at_first, &number, &t->diag));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_version_has_the_next_number_and_latest_follows),
        TEST(test_a_version_comes_back_as_it_was_put),
        TEST(test_an_alias_shares_calls_between_two_versions),
        TEST(test_latest_set_by_hand_stays_until_it_is_given_back),
        TEST(test_old_versions_go_unless_an_alias_has_them),
        TEST(test_a_removed_function_is_gone_but_a_callable_of_it_stays),
        TEST(test_another_tenants_function_needs_a_grant_and_is_not_there_without),
        TEST(test_texts_and_numbers_that_cannot_be_are_refused),
        TEST(test_arguments_and_files_that_cannot_be_are_refused),
        TEST(test_what_cannot_be_deployed_is_refused_with_its_field),
        TEST(test_references_are_parsed_strictly),
        TEST(test_there_is_an_end_of_aliases_and_grants),
        TEST(test_there_is_an_end_of_functions),
        TEST(test_versions_are_listed_newest_first_until_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
