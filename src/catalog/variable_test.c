/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog_testing.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"

static int
put(struct testing *t, const char *name, const char *value, bool is_secret)
{
    diag_init(&t->diag);
    return catalog_variable_put(t->catalog, "acme", name, value, is_secret, &t->diag);
}

/* A version of acme/f that needs these, and what its environment is: with / for each NUL. */
static int
environment(struct testing *t, const struct catalog_version *version, char *out, size_t size)
{
    struct buffer buffer = {0};
    size_t count = 0, seen = 0;
    int err;

    diag_init(&t->diag);
    err = catalog_environment(t->catalog, version, &buffer, &count, &t->diag);
    if (err == 0) {
        assert_true(buffer.count < size);
        for (size_t i = 0; i < buffer.count; i++) {
            seen += buffer.bytes[i] == '\0';
            out[i] = (char)(buffer.bytes[i] == '\0' ? '/' : buffer.bytes[i]);
        }
        out[buffer.count] = '\0';
        assert_int_equal(seen, count);
    } else {
        assert_int_equal(buffer.count, 0);
    }
    buffer_fini(&buffer);
    return err;
}

static void
test_the_environment_has_variables_then_the_versions_then_secrets(void **state)
{
    static const char *const env[] = {"B=version", "D=version", "B=last", "EMPTY="};
    static const char *const secrets[] = {"C", "S"};
    struct testing *t = *state;
    struct catalog_version version = testing_version(t, "acme", "f");
    char text[256];

    testing_tenant(t, "acme");
    assert_int_equal(put(t, "A", "tenant", false), 0);
    assert_int_equal(put(t, "B", "tenant", false), 0);
    assert_int_equal(put(t, "C", "sealed", true), 0);
    assert_int_equal(put(t, "S", "", true), 0);
    assert_int_equal(put(t, "UNUSED", "not told", true), 0);
    version.env = env;
    version.env_count = ARRAY_COUNT(env);
    version.secrets = secrets;
    version.secret_count = ARRAY_COUNT(secrets);
    assert_int_equal(environment(t, &version, text, sizeof(text)), 0);
    assert_string_equal(text, "A=tenant/B=last/C=sealed/D=version/EMPTY=/S=/");
    testing_restart(t);
    assert_int_equal(put(t, "C", "other", true), 0);
    assert_int_equal(environment(t, &version, text, sizeof(text)), 0);
    assert_string_equal(text, "A=tenant/B=last/C=other/D=version/EMPTY=/S=/");
    assert_int_equal(put(t, "S", NULL, false), 0);
    assert_int_equal(environment(t, &version, text, sizeof(text)), -ENOENT);
    assert_non_null(strstr(diag_text(&t->diag), "secret S: tenant acme has none"));
    testing_check_memory(t);
}

static void
test_a_secret_that_an_alias_needs_stays(void **state)
{
    static const char *const secrets[] = {"S"};
    struct testing *t = *state;
    struct catalog_version version = testing_version(t, "acme", "f");
    struct catalog_alias alias = {"acme", "f", "old", 1, 0, 0, false};
    uint32_t number;

    testing_tenant(t, "acme");
    assert_int_equal(put(t, "S", "sealed", true), 0);
    version.secrets = secrets;
    version.secret_count = 1;
    succeeds(t, catalog_version_put(t->catalog, &version, &number, &t->diag));
    assert_int_equal(put(t, "S", NULL, true), -EBUSY);
    assert_non_null(strstr(diag_text(&t->diag), "alias latest of function f"));
    assert_int_equal(put(t, "S", "plain", false), -EBUSY);
    assert_int_equal(put(t, "S", "another", true), 0);
    (void)testing_deploy(t, "acme", "f");
    assert_int_equal(put(t, "S", NULL, true), 0);
    expects(t, -ENOENT, "secret S", catalog_alias_put(t->catalog, &alias, &t->diag));
    assert_int_equal(put(t, "S", "plain", false), 0);
    expects(t, -ENOENT, "secret S", catalog_alias_put(t->catalog, &alias, &t->diag));
    expects(t, -ENOENT, "secret S", catalog_version_put(t->catalog, &version, &number, &t->diag));
    testing_check_memory(t);
}

static void
test_variables_that_cannot_be_are_refused(void **state)
{
    struct testing *t = *state;
    char *large = malloc(CATALOG_VARIABLE_BYTES_MAX + 2), name[16];

    assert_non_null(large);
    memset(large, 'x', CATALOG_VARIABLE_BYTES_MAX + 1);
    large[CATALOG_VARIABLE_BYTES_MAX + 1] = '\0';
    assert_int_equal(put(t, "A", "x", false), -ENOENT);
    testing_tenant(t, "acme");
    assert_int_equal(put(t, "A-B", "x", false), -EINVAL);
    assert_int_equal(put(t, "A=B", "x", false), -EINVAL);
    assert_int_equal(put(t, "", "x", true), -EINVAL);
    assert_int_equal(put(t, "A", "\xed\xa0\x80", true), -EINVAL);
    assert_non_null(strstr(diag_text(&t->diag), "A: byte 1: not UTF-8"));
    assert_int_equal(put(t, "A", large, true), -EINVAL);
    assert_int_equal(put(t, "A", large, false), -EINVAL);
    assert_int_equal(put(t, "A", NULL, false), -ENOENT);
    large[CATALOG_VARIABLE_BYTES_MAX] = '\0';
    assert_int_equal(put(t, "A", large, true), 0);
    assert_int_equal(put(t, "B", large, false), 0);
    for (unsigned i = 2; i < CATALOG_VARIABLES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "V%u", i);
        assert_int_equal(put(t, name, "", i % 2 == 0), 0);
    }
    assert_int_equal(put(t, "ONE_MORE", "x", false), -ENOSPC);
    assert_int_equal(put(t, "B", "x", false), 0);
    testing_check_memory(t);
    free(large);
}

/* ---------------------------------------------------------------- what nobody may see */

#define NEEDLE "k33p-th1s-t0-y0urse1f-ple4se"

static void
check_bytes(const char *what, const void *bytes, size_t count)
{
    if (memmem(bytes, count, NEEDLE, sizeof(NEEDLE) - 1) != NULL)
        fail_msg("%s holds the secret", what);
}

/* Every file below; how many bytes there were. */
static size_t
check_directory(const char *path)
{
    DIR *names = opendir(path);
    struct dirent *name;
    size_t total = 0;

    assert_non_null(names);
    while ((name = readdir(names)) != NULL) {
        char below[512];
        struct buffer all = {0};

        if (strcmp(name->d_name, ".") == 0 || strcmp(name->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof(below), "%.200s/%.200s", path, name->d_name);
        if (name->d_type == DT_DIR) {
            total += check_directory(below);
            continue;
        }
        assert_int_equal(file_read_all(below, 1u << 30, &all, NULL), 0);
        check_bytes(below, all.bytes, all.count);
        total += all.count;
        buffer_fini(&all);
    }
    (void)closedir(names);
    return total;
}

static bool
check_record(void *context, const struct store_record *record)
{
    size_t *seen = context;

    check_bytes("a record", record->value, record->value_count);
    check_bytes("a key", record->key, record->key_count);
    ++*seen;
    return true;
}

static void
check_texts(struct testing *t)
{
    char *dump = testing_dump(t->catalog);

    check_bytes("a list", dump, strlen(dump));
    check_bytes("diag", t->diag.text, sizeof(t->diag.text));
    free(dump);
}

static void
test_nobody_sees_a_secret_or_a_token(void **state)
{
    static const char *const secrets[] = {"S"};
    struct testing *t = *state;
    struct catalog_version version = testing_version(t, "acme", "f");
    struct catalog_token token = {"", "root", CATALOG_ADMIN, 0};
    struct store_range range = {.table = CATALOG_TABLE};
    char made[CATALOG_TOKEN_BYTES_MAX], text[128];
    size_t seen = 0;

    testing_tenant(t, "acme");
    assert_int_equal(put(t, "S", NEEDLE, true), 0);
    check_texts(t);
    assert_int_equal(put(t, "S", NEEDLE "\xff", true), -EINVAL);
    check_texts(t);
    fault_arm("store.lmdb.commit", 1, -EIO);
    assert_int_equal(put(t, "S", NEEDLE, true), -EIO);
    assert_true(fault_disarm());
    check_texts(t);
    assert_int_equal(put(t, "S", NEEDLE "2", true), 0);
    assert_int_equal(store_list(t->store, &range, check_record, &seen, NULL), 0);
    assert_int_equal(seen, 2);
    succeeds(t, catalog_token_create(t->catalog, &token, made, &t->diag));
    version.secrets = secrets;
    version.secret_count = 1;
    assert_int_equal(environment(t, &version, text, sizeof(text)), 0);
    assert_string_equal(text, "S=" NEEDLE "2/");
    catalog_close(t->catalog);
    store_close(t->store);
    assert_true(check_directory(t->directory) > 4096);
    testing_open_store(t);
    t->catalog = testing_catalog(t);
}

/* So the search above would have found it. */
static void
test_a_plain_variable_is_in_its_record(void **state)
{
    struct testing *t = *state;
    struct buffer raw = {0};
    struct catalog_key key;

    testing_tenant(t, "acme");
    assert_int_equal(put(t, "P", "visible", false), 0);
    catalog_key_make(&key, "acme", CATALOG_RECORD_VARIABLE, "P");
    assert_int_equal(store_get(t->store, &(struct store_key){CATALOG_TABLE, key.bytes, key.count},
                               &raw, NULL, NULL),
                     0);
    assert_non_null(memmem(raw.bytes, raw.count, "visible", 7));
    buffer_fini(&raw);
}

static bool
keep_record(void *context, const struct store_record *record)
{
    struct buffer *value = context;

    buffer_append(value, record->value, record->value_count);
    return false;
}

/* What is sealed for one name is put under another one, as if the store were in wrong hands. */
static void
test_a_sealed_secret_opens_under_its_own_name_and_key_alone(void **state)
{
    static const char *const secrets[] = {"T"};
    struct testing *t = *state;
    struct catalog_version version = testing_version(t, "acme", "f");
    struct store_change change = {.key.table = CATALOG_TABLE};
    struct buffer sealed = {0};
    struct catalog_key from, to;
    char text[64];

    testing_tenant(t, "acme");
    assert_int_equal(put(t, "S", "sealed", true), 0);
    assert_int_equal(put(t, "T", "another", true), 0);
    catalog_key_make(&from, "acme", CATALOG_RECORD_VARIABLE, "S");
    catalog_key_make(&to, "acme", CATALOG_RECORD_VARIABLE, "T");
    struct store_range range = {
        .table = CATALOG_TABLE, .prefix = from.bytes, .prefix_count = from.count};
    assert_int_equal(store_list(t->store, &range, keep_record, &sealed, NULL), 0);
    change.key.bytes = to.bytes;
    change.key.count = to.count;
    change.value = sealed.bytes;
    change.count = sealed.count;
    version.secrets = secrets;
    version.secret_count = 1;
    assert_int_equal(environment(t, &version, text, sizeof(text)), 0);
    assert_string_equal(text, "T=another/");
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
    testing_restart(t);
    assert_int_equal(environment(t, &version, text, sizeof(text)), -EBADMSG);
    assert_non_null(strstr(diag_text(&t->diag), "secret T of acme"));
    assert_int_equal(put(t, "T", "again", true), 0);
    assert_int_equal(environment(t, &version, text, sizeof(text)), 0);
    assert_string_equal(text, "T=again/");
    buffer_fini(&sealed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_environment_has_variables_then_the_versions_then_secrets),
        TEST(test_a_secret_that_an_alias_needs_stays),
        TEST(test_variables_that_cannot_be_are_refused),
        TEST(test_nobody_sees_a_secret_or_a_token),
        TEST(test_a_plain_variable_is_in_its_record),
        TEST(test_a_sealed_secret_opens_under_its_own_name_and_key_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
