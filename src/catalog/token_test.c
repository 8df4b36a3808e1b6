/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog_testing.h"

static int
create(struct testing *t, const char *tenant, const char *name, uint32_t roles, uint64_t expires_s,
       char secret[CATALOG_TOKEN_BYTES_MAX])
{
    struct catalog_token token = {tenant, name, roles, expires_s};

    diag_init(&t->diag);
    return catalog_token_create(t->catalog, &token, secret, &t->diag);
}

static void
test_a_token_says_who_one_is(void **state)
{
    struct testing *t = *state;
    struct catalog_identity who;
    char admin[CATALOG_TOKEN_BYTES_MAX], user[CATALOG_TOKEN_BYTES_MAX];

    assert_int_equal(create(t, "", "root", CATALOG_ADMIN | CATALOG_READ, 0, admin), 0);
    testing_tenant(t, "acme");
    assert_int_equal(create(t, "acme", "ci", CATALOG_DEPLOY | CATALOG_INVOKE, 0, user), 0);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(catalog_identify(t->catalog, admin, strlen(admin), &who), 0);
        assert_string_equal(who.tenant, "");
        assert_string_equal(who.token, "root");
        assert_int_equal(who.roles, CATALOG_ADMIN | CATALOG_READ);
        assert_int_equal(catalog_identify(t->catalog, user, strlen(user), &who), 0);
        assert_string_equal(who.tenant, "acme");
        assert_string_equal(who.token, "ci");
        assert_int_equal(who.roles, CATALOG_DEPLOY | CATALOG_INVOKE);
        testing_check_memory(t);
        testing_restart(t);
    }
    succeeds(t, catalog_token_remove(t->catalog, "acme", "ci", &t->diag));
    assert_int_equal(catalog_identify(t->catalog, user, strlen(user), &who), -EACCES);
    expects(t, -ENOENT, "no token ci", catalog_token_remove(t->catalog, "acme", "ci", &t->diag));
}

/* CRC-32 once more, from its polynomial's definition: highest power first. */
static uint32_t
crc_of(const char *text, size_t count)
{
    uint64_t rest = 0;

    for (size_t bit = 0; bit < 8 * (count + 4); bit++) {
        unsigned byte = bit / 8 < count ? (uint8_t)text[bit / 8] : 0;
        unsigned in = byte >> bit % 8 & 1;

        if (bit < 32)
            in ^= 1;
        rest = rest << 1 | in;
        if (rest >> 32 != 0)
            rest ^= UINT64_C(0x104c11db7);
    }
    rest ^= UINT32_MAX;
    for (uint64_t i = 0, out = 0; i < 32; i++) {
        out = out << 1 | (rest >> i & 1);
        if (i == 31)
            rest = out;
    }
    return (uint32_t)rest;
}

static void
test_a_token_has_its_form_and_its_checksum(void **state)
{
    struct testing *t = *state;
    char one[CATALOG_TOKEN_BYTES_MAX], other[CATALOG_TOKEN_BYTES_MAX];
    const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t check = 0;

    assert_int_equal(create(t, "", "one", CATALOG_ADMIN, 0, one), 0);
    assert_int_equal(create(t, "", "other", CATALOG_ADMIN, 0, other), 0);
    assert_int_equal(strlen(one), 54);
    assert_memory_equal(one, "weft_", 5);
    assert_int_equal(strspn(one + 5, digits), 49);
    assert_memory_not_equal(one + 5, other + 5, 8);
    for (size_t i = 48; i < 54; i++)
        check = check * 62 + (uint64_t)(strchr(digits, one[i]) - digits);
    assert_int_equal(check, crc_of(one, 48));
}

static void
test_what_is_no_token_or_an_old_one_is_refused_alike(void **state)
{
    struct testing *t = *state;
    struct catalog_identity who = {.token = "untouched"};
    char old[CATALOG_TOKEN_BYTES_MAX], late[CATALOG_TOKEN_BYTES_MAX];
    char good[CATALOG_TOKEN_BYTES_MAX];

    assert_int_equal(create(t, "", "old", CATALOG_ADMIN, catalog_now_s(), old), 0);
    assert_int_equal(create(t, "", "late", CATALOG_ADMIN, catalog_now_s() + 3600, late), 0);
    assert_int_equal(create(t, "", "good", CATALOG_ADMIN, 0, good), 0);
    assert_int_equal(catalog_identify(t->catalog, old, strlen(old), &who), -EACCES);
    assert_int_equal(catalog_identify(t->catalog, "", 0, &who), -EACCES);
    assert_int_equal(catalog_identify(t->catalog, good, strlen(good) - 1, &who), -EACCES);
    good[20] = good[20] == 'a' ? 'b' : 'a';
    assert_int_equal(catalog_identify(t->catalog, good, strlen(good), &who), -EACCES);
    assert_int_equal(catalog_identify(t->catalog, good, SIZE_MAX, &who), -EACCES);
    assert_string_equal(who.token, "untouched");
    assert_int_equal(catalog_identify(t->catalog, late, strlen(late), &who), 0);
}

static void
test_tokens_that_cannot_be_are_refused(void **state)
{
    struct testing *t = *state;
    char secret[CATALOG_TOKEN_BYTES_MAX] = "untouched";

    testing_tenant(t, "acme");
#define REFUSED(err, part, tenant, name, roles) \
    assert_int_equal(create(t, tenant, name, roles, 0, secret), err); \
    assert_non_null(strstr(diag_text(&t->diag), part))
    REFUSED(-EINVAL, "admin is of the cluster", "acme", "x", CATALOG_ADMIN);
    REFUSED(-EINVAL, "admin is of the cluster", "", "x", CATALOG_READ);
    REFUSED(-EINVAL, "roles: 0x0", "acme", "x", 0);
    REFUSED(-EINVAL, "roles: 0x20", "acme", "x", 32);
    REFUSED(-EINVAL, "token: byte 2", "acme", "x y", CATALOG_READ);
    REFUSED(-EINVAL, "tenant: missing", NULL, "x", CATALOG_READ);
    REFUSED(-ENOENT, "no tenant beta", "beta", "x", CATALOG_READ);
    assert_string_equal(secret, "untouched");
    assert_int_equal(create(t, "acme", "x", CATALOG_READ, 0, secret), 0);
    REFUSED(-EEXIST, "token x: there is one", "acme", "x", CATALOG_READ);
#undef REFUSED
    testing_check_memory(t);
}

static void
test_there_is_an_end_of_tokens(void **state)
{
    struct testing *t = *state;
    char secret[CATALOG_TOKEN_BYTES_MAX], name[16];
    struct catalog_identity who;

    for (unsigned i = 0; i < CATALOG_TOKENS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "t%u", i);
        assert_int_equal(create(t, "", name, CATALOG_ADMIN, 0, secret), 0);
        assert_int_equal(catalog_identify(t->catalog, secret, strlen(secret), &who), 0);
        assert_string_equal(who.token, name);
    }
    assert_int_equal(create(t, "", "one-more", CATALOG_ADMIN, 0, secret), -ENOSPC);
    succeeds(t, catalog_token_remove(t->catalog, "", "t7", &t->diag));
    assert_int_equal(create(t, "", "one-more", CATALOG_ADMIN, 0, secret), 0);
    testing_check_memory(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_token_says_who_one_is),
        TEST(test_a_token_has_its_form_and_its_checksum),
        TEST(test_what_is_no_token_or_an_old_one_is_refused_alike),
        TEST(test_tokens_that_cannot_be_are_refused),
        TEST(test_there_is_an_end_of_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
