/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

struct seen {
    struct s3_object objects[4];
    size_t count, stop_after;
};

static bool
see(void *context, const struct s3_object *object)
{
    struct seen *seen = context;

    assert_true(seen->count < 4);
    seen->objects[seen->count++] = *object;
    return seen->count != seen->stop_after;
}

#define OBJECT(key, size, time) \
    "<Contents><Key>" key "</Key><LastModified>" time "</LastModified><ETag>&quot;e&quot;</ETag>" \
    "<Size>" size "</Size><Owner><ID>1</ID></Owner></Contents>"
#define TIME         "2026-01-31T12:34:56.789Z"
#define LIST(inside) "<ListBucketResult>" inside "</ListBucketResult>"

static int
read_page(const char *text, struct s3_page *page, struct seen *seen)
{
    memset(seen->objects, 0, sizeof(seen->objects));
    seen->count = 0;
    return s3_page_read(text, strlen(text), page, see, seen);
}

static void
test_a_page_as_servers_write_it(void **state)
{
    struct seen seen = {0};
    struct s3_page page;
    const char *text =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n  <Name>weft</Name>"
        "<Prefix/><IsTruncated>true</IsTruncated><CommonPrefixes a='>' b=\"1\"></CommonPrefixes>"
        "<NextContinuationToken>1/a&amp;b&#x2b;&#61;</NextContinuationToken>\n" OBJECT("first",
                                                                                       "17", TIME)
            OBJECT("a &lt;b&gt;", "0", "1970-01-01T00:00:01Z") "</ListBucketResult>\n";

    (void)state;
    assert_int_equal(read_page(text, &page, &seen), 0);
    assert_true(page.is_truncated);
    assert_string_equal(page.token, "1/a&b+=");
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.objects[0].key, "first");
    assert_int_equal(seen.objects[0].bytes, 17);
    assert_int_equal(seen.objects[0].changed_ns, UINT64_C(1769862896789) * 1000000);
    assert_string_equal(seen.objects[1].key, "a <b>");
    assert_int_equal(seen.objects[1].changed_ns, CLOCK_NS_PER_SECOND);
}

static void
test_the_last_page_and_a_visit_that_has_had_enough(void **state)
{
    struct seen seen = {.stop_after = 1};
    struct s3_page page;

    (void)state;
    assert_int_equal(read_page(LIST("<IsTruncated>false</IsTruncated>"), &page, &seen), 0);
    assert_false(page.is_truncated);
    assert_string_equal(page.token, "");
    assert_int_equal(read_page(LIST(OBJECT("a", "1", TIME) OBJECT("b", "1", TIME)), &page, &seen),
                     -ECANCELED);
    assert_int_equal(seen.count, 1);
}

static const char *const refused[] = {
    "",
    " ",
    "<Error><Code>InternalError</Code></Error>",
    "<ListBucketResult>",
    "</ListBucketResult>",
    LIST("") "x",
    LIST("") LIST(""),
    "x" LIST(""),
    "<!DOCTYPE x>" LIST(""),
    LIST("<!-- c -->"),
    LIST("<![CDATA[x]]>"),
    LIST("<a></b>"),
    LIST("<a>"),
    LIST("<a b></a>"),
    LIST("<a b=c></a>"),
    LIST("<a b=\"c></a>"),
    LIST("<a b=\"<\"></a>"),
    LIST("<a b=\"\"c=\"\"></a>"),
    LIST("<></>"),
    LIST("&unknown;"),
    LIST("&#0;"),
    LIST("&#x100;"),
    LIST("&#;"),
    LIST("&#12a;"),
    LIST("&amp"),
    LIST("<IsTruncated>yes</IsTruncated>"),
    LIST("<IsTruncated>true</IsTruncated>"),
    LIST("<Contents></Contents>"),
    LIST("<Contents/>"),
    LIST(OBJECT("", "1", TIME)),
    LIST(OBJECT("a", "", TIME)),
    LIST(OBJECT("a", "-1", TIME)),
    LIST(OBJECT("a", "1x", TIME)),
    LIST(OBJECT("a", "1234567890123456789", TIME)),
    LIST(OBJECT("a", "1", "")),
    LIST(OBJECT("a", "1", "yesterday")),
    LIST(OBJECT("a", "1", "2026-01-31T12:34:56")),
    LIST(OBJECT("a", "1", "2026-13-31T12:34:56Z")),
    LIST(OBJECT("a", "1", "1926-01-31T12:34:56Z")),
    LIST("<Contents><Key>a</Key><Key>b</Key></Contents>"),
    LIST("<a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a>"),
    "<?xml" LIST(""),
};

static void
test_anything_else_is_refused(void **state)
{
    struct seen seen = {0};
    struct s3_page page;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        if (read_page(refused[i], &page, &seen) != -EBADMSG)
            fail_msg("\"%s\" was taken", refused[i]);
}

/* Every beginning of a good page is refused, and read no further than its end. */
static void
test_a_page_that_was_cut_is_refused(void **state)
{
    static const char text[] = LIST("<IsTruncated>false</IsTruncated>" OBJECT("a&amp;", "1", TIME));
    struct seen seen = {0};
    struct s3_page page;

    (void)state;
    for (size_t count = 0; count < sizeof(text) - 1; count++) {
        char *copy = malloc(count == 0 ? 1 : count); /* AddressSanitizer sees its end */

        memcpy(copy, text, count);
        seen.count = 0;
        assert_int_equal(s3_page_read(copy, count, &page, see, &seen), -EBADMSG);
        free(copy);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_as_servers_write_it),
        cmocka_unit_test(test_the_last_page_and_a_visit_that_has_had_enough),
        cmocka_unit_test(test_anything_else_is_refused),
        cmocka_unit_test(test_a_page_that_was_cut_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
