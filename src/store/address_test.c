/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "store/store_internal.h"

static void
test_directories(void **state)
{
    struct store_address address;
    char longest[4 + STORE_PATH_BYTES_MAX + 2] = "dir:";

    (void)state;
    assert_int_equal(store_address_parse("dir:/var/lib/weft", &address, NULL), 0);
    assert_int_equal(address.scheme, STORE_DIR);
    assert_string_equal(address.path, "/var/lib/weft");
    memset(longest + 4, 'a', STORE_PATH_BYTES_MAX);
    assert_int_equal(store_address_parse(longest, &address, NULL), 0);
    assert_int_equal(strlen(address.path), STORE_PATH_BYTES_MAX);
    longest[4 + STORE_PATH_BYTES_MAX] = 'a';
    assert_int_equal(store_address_parse(longest, &address, NULL), -EINVAL);
}

static void
test_redis(void **state)
{
    struct store_address address;

    (void)state;
    assert_int_equal(store_address_parse("redis://db.example:6379/15", &address, NULL), 0);
    assert_int_equal(address.scheme, STORE_REDIS);
    assert_string_equal(address.host, "db.example");
    assert_int_equal(address.port, 6379);
    assert_int_equal(address.db, 15);
    assert_string_equal(address.password, "");
    assert_int_equal(store_address_parse("redis://:p%40ss:w%25@[::1]:1/0", &address, NULL), 0);
    assert_string_equal(address.password, "p@ss:w%");
    assert_string_equal(address.host, "::1");
    assert_null(strstr(address.name, "ss"));
}

static void
test_s3(void **state)
{
    struct store_address address;

    (void)state;
    assert_int_equal(store_address_parse("s3+http://127.0.0.1:9000/weft", &address, NULL), 0);
    assert_int_equal(address.scheme, STORE_S3);
    assert_false(address.is_tls);
    assert_string_equal(address.name, "http://127.0.0.1:9000/weft");
    assert_int_equal(store_address_parse("s3+https://s3.example/my-bucket.1", &address, NULL), 0);
    assert_true(address.is_tls);
    assert_int_equal(address.port, 443);
    assert_string_equal(address.bucket, "my-bucket.1");
    assert_int_equal(store_address_parse("s3+http://[::1]/abc", &address, NULL), 0);
    assert_string_equal(address.name, "http://[::1]:80/abc");
}

static const char *const refused[] = {
    "",
    "dir:",
    "/var/lib/weft",
    "file:/x",
    "redis://",
    "redis://host",
    "redis://host:6379",
    "redis://host:6379/",
    "redis://host:6379/x",
    "redis://host:6379/0 ",
    "redis://host:6379/00",
    "redis://host:06379/0",
    "redis://host:0/0",
    "redis://host:65536/0",
    "redis://host:99999999999/0",
    "redis://host:6379/65536",
    "redis://-host:1/0",
    "redis://ho st:1/0",
    "redis://h%41:1/0",
    "redis://[::1:1/0",
    "redis://[g]:1/0",
    "redis://:@host:1/0",
    "redis://:secret%4@host:1/0",
    "redis://:secret%@host:1/0",
    "redis://:secret%00@host:1/0",
    "redis://:secret@:1/0",
    "redis://:secret",
    "redis://user:secret@host:1/0",
    "redis://:sec\nret@host:1/0",
    "s3+http://host",
    "s3+http://host/",
    "s3+http://host/ab",
    "s3+http://host/Abc",
    "s3+http://host/abc/",
    "s3+http://host/abc?x",
    "s3+http://host:/abc",
    "s3+http://key:secret@host/abc",
    "s3+http://host/.abc",
    "s3+ftp://host/abc",
    "http://host/abc",
};

static void
test_anything_else_is_refused_without_repeating_it(void **state)
{
    struct store_address address;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct diag diag;

        diag_init(&diag);
        if (store_address_parse(refused[i], &address, &diag) != -EINVAL)
            fail_msg("\"%s\" was taken", refused[i]);
        assert_true(diag.is_set);
        assert_null(strstr(diag_text(&diag), "secret"));
    }
    assert_int_equal(store_address_parse(NULL, &address, NULL), -EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_redis),
        cmocka_unit_test(test_s3),
        cmocka_unit_test(test_anything_else_is_refused_without_repeating_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
