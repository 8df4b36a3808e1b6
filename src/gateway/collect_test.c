/* SPDX-License-Identifier: Apache-2.0
 *
 * What nobody needs is removed after its grace, and nothing else is.
 */
#include "gateway/gateway_testing.h"

#include "base/fault.h"

#define GRACE UINT64_C(1000) /* of the test's own clock, and so short that all is old */

static uint64_t now_ns = 1;

/* So many rounds, each a grace after the one before. */
static void
collect(struct testing *t, unsigned rounds)
{
    struct diag diag;

    diag_init(&diag);
    t->gateway->config.grace_ns = GRACE;
    for (unsigned i = 0; i < rounds; i++) {
        now_ns += GRACE;
        if (gateway_collect(t->gateway, now_ns, &diag) != 0)
            fail_msg("%s", diag_text(&diag));
    }
}

static struct store_hash
put(struct testing *t, const char *text)
{
    struct store_hash hash;

    assert_int_equal(store_blob_put_bytes(t->store, text, strlen(text), &hash, NULL), 0);
    return hash;
}

static bool
is_there(struct testing *t, const struct store_hash *hash)
{
    uint64_t bytes;
    int err = store_blob_stat(t->store, hash, &bytes, NULL);

    assert_true(err == 0 || err == -ENOENT);
    return err == 0;
}

/* A version of blobs of its own; its module is the tenant's. */
struct deployed {
    struct store_hash module, image, proto, file;
};

static struct deployed
deploy(struct testing *t, const char *function, const char *salt)
{
    char text[4][64];
    struct deployed out;
    struct catalog_file file = {.path = "/data"};
    struct catalog_version version = {
        .tenant = "acme", .function = function, .has_proto = true, .files = &file, .file_count = 1};
    uint32_t number;

    for (unsigned i = 0; i < 4; i++)
        (void)snprintf(text[i], sizeof(text[i]), "%s %s %u", function, salt, i);
    version.module = out.module = put(t, text[0]);
    version.image = out.image = put(t, text[1]);
    version.proto = out.proto = put(t, text[2]);
    file.hash = out.file = put(t, text[3]);
    assert_int_equal(gateway_blob_own(t->gateway, "acme", &out.module, 1, NULL), 0);
    assert_int_equal(gateway_blob_own(t->gateway, "acme", &out.file, 1, NULL), 0);
    assert_int_equal(catalog_version_put(t->catalog, &version, &number, NULL), 0);
    return out;
}

static unsigned
count_there(struct testing *t, const struct deployed *deployed)
{
    return (unsigned)is_there(t, &deployed->module) + is_there(t, &deployed->image) +
           is_there(t, &deployed->proto) + is_there(t, &deployed->file);
}

static void
test_blobs_of_what_was_removed_go_and_the_others_stay(void **state)
{
    struct testing *t = *state;
    struct deployed stays = deploy(t, "stays", "a"), old = deploy(t, "two", "a");
    struct deployed newer = deploy(t, "two", "b"), gone = deploy(t, "gone", "a");
    struct testing_answer answer = {0};

    collect(t, 4);
    assert_int_equal(count_there(t, &stays) + count_there(t, &old) + count_there(t, &newer) +
                         count_there(t, &gone),
                     16);
    testing_send(t, "DELETE /v1/functions/gone", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/functions/two/versions/1", NULL, 200, &answer);
    collect(t, 1); /* seen unneeded */
    assert_int_equal(count_there(t, &gone), 4);
    collect(t, 1); /* for as long as the grace */
    assert_false(is_there(t, &gone.image) || is_there(t, &gone.proto));
    assert_true(is_there(t, &gone.module)); /* the tenant may have named it up to now */
    collect(t, 2);
    assert_int_equal(count_there(t, &gone), 0);
    assert_int_equal(count_there(t, &old), 0);
    assert_int_equal(count_there(t, &newer), 4);
    assert_int_equal(count_there(t, &stays), 4);
    assert_true(is_there(t, &t->blob));
    testing_forget_answer(&answer);
}

/* The record of an upload that nobody used goes, and with it what the tenant stores. */
static void
test_uploads_that_nobody_used_go_and_files_stay(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct store_hash upload, file;

    testing_send(t, "POST /v1/blobs", "an upload", 201, &answer);
    upload = put(t, "an upload");
    testing_send(t, "PUT /v1/files/a/b", "a file", 201, &answer);
    file = put(t, "a file");
    collect(t, 1);
    assert_int_equal(gateway_blob_check(t->gateway, "acme", &upload, NULL), 0);
    collect(t, 1); /* it was looked for: somebody means to name it */
    assert_int_equal(gateway_blob_check(t->gateway, "acme", &upload, NULL), 0);
    collect(t, 4);
    assert_int_equal(gateway_blob_check(t->gateway, "acme", &upload, NULL), -ENOENT);
    assert_false(is_there(t, &upload));
    assert_true(is_there(t, &file));
    testing_send(t, "GET /v1/files/a/b", NULL, 200, &answer);
    testing_send(t, "DELETE /v1/files/a/b", NULL, 200, &answer);
    collect(t, 4);
    assert_false(is_there(t, &file));
    testing_forget_answer(&answer);
}

static void
test_of_a_removed_tenant_all_goes(void **state)
{
    struct testing *t = *state;
    struct deployed deployed = deploy(t, "gone", "a");
    char tenant[PLANNER_TENANT_BYTES_MAX + 1] = "";
    struct testing_answer answer = {0};

    testing_send(t, "POST /v1/invoke/echo?async=1", "x", 202, &answer);
    assert_int_equal(catalog_tenant_remove(t->catalog, "acme", NULL),
                     0); /* and no more than that */
    collect(t, 6);
    assert_int_equal(count_there(t, &deployed), 0);
    assert_int_equal(planner_tenant_next(t->planner, tenant, NULL), -ENOENT);
    testing_forget_answer(&answer);
}

static void
test_what_is_needed_again_in_its_grace_stays(void **state)
{
    struct testing *t = *state;
    struct deployed deployed = deploy(t, "again", "a");
    struct testing_answer answer = {0};

    testing_send(t, "DELETE /v1/functions/again", NULL, 200, &answer);
    collect(t, 1);
    deployed = deploy(t, "again", "a");
    collect(t, 4);
    assert_int_equal(count_there(t, &deployed), 4);
    testing_send(t, "DELETE /v1/functions/again", NULL, 200, &answer);
    collect(t, 1); /* its time begins anew */
    assert_int_equal(count_there(t, &deployed), 4);
    testing_forget_answer(&answer);
}

/* A blob that is new, by the store's clock, is of a deployment that is under way. */
static void
test_what_was_put_lately_stays(void **state)
{
    struct testing *t = *state;
    struct store_hash hash = put(t, "just now");

    t->gateway->config.grace_ns = UINT64_C(3600) * CLOCK_NS_PER_SECOND;
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(
            gateway_collect(t->gateway, now_ns + i * UINT64_C(4000) * CLOCK_NS_PER_SECOND, NULL),
            0);
    assert_true(is_there(t, &hash));
}

static void
test_a_round_that_does_not_see_all_removes_nothing(void **state)
{
    struct testing *t = *state;
    struct store_hash hash = put(t, "nobody's");

    collect(t, 1);
    fault_arm("gateway.collect", 1, -EIO);
    now_ns += 10 * GRACE;
    assert_int_equal(gateway_collect(t->gateway, now_ns, NULL), -EIO);
    assert_true(fault_disarm());
    assert_true(is_there(t, &hash));
    collect(t, 1);
    assert_false(is_there(t, &hash));
}

static const struct CMUnitTest tests[] = {
    TEST(test_blobs_of_what_was_removed_go_and_the_others_stay),
    TEST(test_uploads_that_nobody_used_go_and_files_stay),
    TEST(test_of_a_removed_tenant_all_goes),
    TEST(test_what_is_needed_again_in_its_grace_stays),
    TEST(test_what_was_put_lately_stays),
    TEST(test_a_round_that_does_not_see_all_removes_nothing),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
