/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: what is read strictly, what newer ones survive, what broken ones say.
 */
#include "catalog/catalog_testing.h"

/* A field of a newer Weft: number 1000, a text. */
#define NEWER     "\xc2\x3e\x05newer"
#define NEWER_END (sizeof(NEWER) - 1)

static void
key_of(struct catalog_key *key, enum catalog_record kind, const char *name)
{
    catalog_key_make(key, "acme", kind, name);
}

/* Appends to the record of the store what a newer Weft would have written. */
static void
write_newer(struct testing *t, enum catalog_record kind, const char *name)
{
    struct catalog_key key;
    struct buffer raw = {0};
    struct store_change change;

    key_of(&key, kind, name);
    change = (struct store_change){.key = {CATALOG_TABLE, key.bytes, key.count}};
    assert_int_equal(store_get(t->store, &change.key, &raw, NULL, NULL), 0);
    buffer_append(&raw, NEWER, NEWER_END);
    change.value = raw.bytes;
    change.count = raw.count;
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
    buffer_fini(&raw);
}

static bool
has_newer(struct testing *t, const char *table, const void *bytes, size_t count)
{
    struct buffer raw = {0};
    bool has;

    assert_int_equal(
        store_get(t->store, &(struct store_key){table, bytes, count}, &raw, NULL, NULL), 0);
    has = memmem(raw.bytes, raw.count, NEWER, NEWER_END) != NULL;
    buffer_fini(&raw);
    return has;
}

static bool
record_has_newer(struct testing *t, enum catalog_record kind, const char *name)
{
    struct catalog_key key;

    key_of(&key, kind, name);
    return has_newer(t, CATALOG_TABLE, key.bytes, key.count);
}

static void
test_fields_of_a_newer_weft_survive_a_rewrite(void **state)
{
    struct testing *t = *state;
    struct catalog_alias alias = {"acme", "f", "prod", 1, 0, 0, false};
    struct catalog_trigger trigger = {
        .tenant = "acme", .name = "t", .kind = CATALOG_HTTP, .reference = "f", .path = "/x"};

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_variable_put(t->catalog, "acme", "V", "1", false, &t->diag));
    succeeds(t, catalog_trigger_put(t->catalog, &trigger, &t->diag));
    write_newer(t, CATALOG_RECORD_SETTINGS, "");
    write_newer(t, CATALOG_RECORD_FUNCTION, "f");
    write_newer(t, CATALOG_RECORD_VARIABLE, "V");
    write_newer(t, CATALOG_RECORD_TRIGGER, "t");
    testing_restart(t);
    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_alias_put(t->catalog, &alias, &t->diag));
    succeeds(t, catalog_grant(t->catalog, "acme", "f", "beta", true, &t->diag));
    succeeds(t, catalog_variable_put(t->catalog, "acme", "V", "2", true, &t->diag));
    trigger.path = "/y";
    succeeds(t, catalog_trigger_put(t->catalog, &trigger, &t->diag));
    assert_true(record_has_newer(t, CATALOG_RECORD_SETTINGS, ""));
    assert_true(record_has_newer(t, CATALOG_RECORD_FUNCTION, "f"));
    assert_true(record_has_newer(t, CATALOG_RECORD_VARIABLE, "V"));
    assert_true(record_has_newer(t, CATALOG_RECORD_TRIGGER, "t"));
    testing_check_memory(t);
}

static void
test_fields_of_a_newer_generation_survive_too(void **state)
{
    struct testing *t = *state;
    struct store_change change = {.key = {CATALOG_TABLE_GENERATION, "acme", 5}};
    struct buffer raw = {0};

    testing_tenant(t, "acme");
    assert_int_equal(store_get(t->store, &change.key, &raw, NULL, NULL), 0);
    buffer_append(&raw, NEWER, NEWER_END);
    change.value = raw.bytes;
    change.count = raw.count;
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
    buffer_fini(&raw);
    (void)testing_deploy(t, "acme", "f");
    assert_true(has_newer(t, CATALOG_TABLE_GENERATION, "acme", 5));
    testing_check_memory(t);
}

/* ------------------------------------------------------------------------- decoding */

/* Decodes the message under the key; the text is in what it says, or it succeeds. */
static void
check_decode(const struct catalog_key *key, const ProtobufCMessage *message, const char *text)
{
    struct catalog_item *item = NULL;
    struct buffer raw = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    assert_int_equal(catalog_message_pack(message, &raw), 0);
    err = catalog_item_decode(key->bytes, key->count, raw.bytes, raw.count, &item, &diag);
    assert_int_equal(err, text == NULL ? 0 : -EBADMSG);
    assert_int_equal(item != NULL, text == NULL);
    if (text != NULL && (strstr(diag_text(&diag), text) == NULL ||
                         strstr(diag_text(&diag), "table catalog, record ") == NULL))
        fail_msg("\"%s\" is not in \"%s\"", text, diag_text(&diag));
    catalog_item_put(item);
    buffer_fini(&raw);
}

static void
test_tokens_and_secrets_that_break_a_promise_are_not_taken(void **state)
{
    uint8_t hash[33] = {0};
    Catalog__Token token = CATALOG__TOKEN__INIT;
    Catalog__Variable variable = CATALOG__VARIABLE__INIT;
    Catalog__Sealed sealed = CATALOG__SEALED__INIT;
    struct catalog_key key;

    (void)state;
    key_of(&key, CATALOG_RECORD_TOKEN, "x");
    token.roles = CATALOG_READ;
    token.hash = (ProtobufCBinaryData){32, hash};
    check_decode(&key, &token.base, NULL);
    token.hash.len = 33;
    check_decode(&key, &token.base, "hash: 33 bytes");
    key_of(&key, CATALOG_RECORD_VARIABLE, "V");
    variable.sealed = &sealed;
    sealed.box = (ProtobufCBinaryData){28, hash};
    check_decode(&key, &variable.base, "scheme 0");
    sealed.scheme = 1;
    check_decode(&key, &variable.base, NULL);
    sealed.box.len = 27;
    check_decode(&key, &variable.base, "sealed: 27 bytes");
}

static void
test_functions_that_break_a_promise_are_not_taken(void **state)
{
    uint32_t numbers[] = {1, 2, 2};
    Catalog__Function function = CATALOG__FUNCTION__INIT;
    Catalog__Alias alias = CATALOG__ALIAS__INIT, *aliases[] = {&alias, &alias};
    struct catalog_key key;

    (void)state;
    key_of(&key, CATALOG_RECORD_FUNCTION, "f");
    function.next = 3;
    function.versions = numbers;
    function.n_versions = 2;
    check_decode(&key, &function.base, NULL);
    function.n_versions = 3;
    check_decode(&key, &function.base, "versions: ");
    function.next = 2;
    function.n_versions = 2;
    check_decode(&key, &function.base, "versions: ");
    function.next = 3;
    function.aliases = aliases;
    function.n_aliases = 1;
    alias.name = (char[]){"prod"};
    alias.version = 3;
    check_decode(&key, &function.base, "alias prod: no version 3");
    alias.version = 2;
    check_decode(&key, &function.base, NULL);
    function.n_aliases = 2;
    check_decode(&key, &function.base, "aliases: not in order");
}

/* Found by fuzzing: protobuf-c reads the one, and not what it makes of it. */
static void
test_a_record_with_a_field_0_is_not_taken(void **state)
{
    static const char outside[] = "\x85\0aaaa", inside[] = "\x08\2\x12\1\1\x1a\x06\x85\0aaaa";
    struct catalog_item *item = NULL;

    (void)state;
    assert_int_equal(catalog_item_decode("a\0s", 3, outside, sizeof(outside) - 1, &item, NULL),
                     -EBADMSG);
    assert_int_equal(catalog_item_decode("a\0ff", 4, inside, sizeof(inside) - 1, &item, NULL),
                     -EBADMSG);
    assert_int_equal(catalog_item_decode("a\0ff", 4, inside, 5, &item, NULL), 0);
    catalog_item_put(item);
}

static void
test_keys_that_are_none_are_not_taken(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } bad[] = {
        {"", 0},        {"a", 1},       {"a\0", 2},
        {"a\0z", 3},    {"\0s", 2},     {"a\0sx", 4},
        {"a\0f", 3},    {"a\0f.", 4},   {"\0ff", 3},
        {"a\0fa\0", 5}, {"a\0na", 4},   {"a\0na\0\0\0\1", 8},
        {"A B\0s", 5},  {"\xff\0s", 3}, {"a\0na\0\0\0\0\0", 9},
    };
    struct catalog_item *item = NULL;
    struct diag diag;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        diag_init(&diag);
        if (catalog_item_decode(bad[i].bytes, bad[i].count, "", 0, &item, &diag) != -EBADMSG)
            fail_msg("key %zu is taken", i);
        assert_non_null(strstr(diag_text(&diag), "table catalog, record "));
    }
    assert_int_equal(catalog_item_decode("a\0s", 3, "", 0, &item, NULL), 0);
    assert_string_equal(item->settings.name, "a");
    catalog_item_put(item);
}

static void
put_raw(struct testing *t, const char *table, const char *key, size_t count, const char *value)
{
    struct store_change change = {
        .key = {table, key, count}, .value = value, .count = strlen(value)};

    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
}

static void
test_broken_records_are_named_when_opening(void **state)
{
    struct testing *t = *state;
    struct catalog *none = NULL;
    struct catalog_key key;
    struct store_change change = {.is_removal = true};

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    catalog_key_make_version(&key, "acme", "f", 1);
    change.key = (struct store_key){CATALOG_TABLE, key.bytes, key.count};
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
    expects(t, -EBADMSG, "function f of acme: its version 1 is missing",
            catalog_open(t->store, testing_key, &none, &t->diag));
    put_raw(t, CATALOG_TABLE_GENERATION, "acme", 5, "\xff");
    expects(t, -EBADMSG, "table catalog-generation, record acme",
            catalog_open(t->store, testing_key, &none, &t->diag));
    put_raw(t, CATALOG_TABLE_KEY, "check", 5, "\xff");
    expects(t, -EBADMSG, "table catalog-key, record check",
            catalog_open(t->store, testing_key, &none, &t->diag));
    assert_null(none);
}

/* What a catalog still has in memory does not stand in for what the store has lost. */
static void
test_a_version_that_went_missing_is_found_when_all_is_read(void **state)
{
    struct testing *t = *state;
    struct catalog *theirs = testing_catalog(t);
    struct store_change change = {.is_removal = true};
    struct catalog_key key;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_refresh(theirs, &t->diag));
    for (unsigned i = 0; i < 2 * CATALOG_LOG_COMMITS; i++)
        testing_tenant(t, "acme");
    catalog_key_make_version(&key, "acme", "f", 1);
    change.key = (struct store_key){CATALOG_TABLE, key.bytes, key.count};
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
    expects(t, -EBADMSG, "its version 1 is missing", catalog_refresh(theirs, &t->diag));
    catalog_close(theirs);
}

/* --------------------------------------------------------------------------------- map */

#define NUMBERS 2000u

struct number {
    uint32_t key;
};

static const void *
number_key(const void *value, size_t *count)
{
    *count = sizeof(uint32_t);
    return value;
}

static void
test_a_map_finds_what_was_set_and_not_removed(void **state)
{
    static struct number numbers[NUMBERS];
    static bool is_in[NUMBERS];
    struct catalog_map map;
    uint64_t random = 7;
    size_t count = 0, at = 0, seen = 0;

    (void)state;
    catalog_map_init(&map, 99, number_key);
    for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++)
        numbers[i].key = i;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t i;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        i = (uint32_t)(random >> 33) % ARRAY_COUNT(numbers);
        assert_ptr_equal(catalog_map_get(&map, &i, sizeof(i)), is_in[i] ? &numbers[i] : NULL);
        if (is_in[i]) {
            catalog_map_remove(&map, &i, sizeof(i));
            count--;
        } else {
            assert_int_equal(catalog_map_reserve(&map, 1), 0);
            catalog_map_set(&map, &numbers[i]);
            count++;
        }
        is_in[i] = !is_in[i];
        assert_int_equal(map.count, count);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++)
        assert_ptr_equal(catalog_map_get(&map, &i, sizeof(i)), is_in[i] ? &numbers[i] : NULL);
    while (catalog_map_next(&map, &at) != NULL)
        seen++;
    assert_int_equal(seen, count);
    catalog_map_fini(&map);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields_of_a_newer_weft_survive_a_rewrite),
        TEST(test_fields_of_a_newer_generation_survive_too),
        TEST(test_tokens_and_secrets_that_break_a_promise_are_not_taken),
        TEST(test_functions_that_break_a_promise_are_not_taken),
        TEST(test_a_record_with_a_field_0_is_not_taken),
        TEST(test_keys_that_are_none_are_not_taken),
        TEST(test_a_version_that_went_missing_is_found_when_all_is_read),
        TEST(test_broken_records_are_named_when_opening),
        cmocka_unit_test(test_a_map_finds_what_was_set_and_not_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
