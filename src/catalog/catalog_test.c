/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalog as a whole: opening, tenants, several of them on one store, failures.
 */
#include "catalog/catalog_testing.h"

#include <pthread.h>

static void
test_another_clusters_key_is_found_and_said(void **state)
{
    static const uint8_t other_key[CATALOG_KEY_BYTES] = "another";
    struct testing *t = *state;
    struct catalog *catalog = NULL;

    expects(t, -EACCES, "another cluster's key",
            catalog_open(t->store, other_key, &catalog, &t->diag));
    assert_null(catalog);
    testing_restart(t);
}

static bool
count_record(void *context, const struct store_record *record)
{
    (void)record;
    ++*(unsigned *)context;
    return true;
}

static unsigned
count_records(struct testing *t, const char *table)
{
    struct store_range range = {.table = table};
    unsigned count = 0;

    assert_int_equal(store_list(t->store, &range, count_record, &count, NULL), 0);
    return count;
}

static void
test_a_tenant_is_made_changed_and_removed_with_all_it_has(void **state)
{
    struct testing *t = *state;
    struct catalog_tenant tenant = {.name = "acme", .priority = 10};
    struct catalog_token token = {"acme", "x", CATALOG_READ, 0};
    struct catalog_identity who;
    char secret[CATALOG_TOKEN_BYTES_MAX];
    char *dump;

    expects(t, -EINVAL, "priority: 10", catalog_tenant_put(t->catalog, &tenant, &t->diag));
    tenant.name = "";
    expects(t, -EINVAL, "tenant: empty", catalog_tenant_put(t->catalog, &tenant, &t->diag));
    tenant.name = "acme";
    tenant.priority = 3;
    succeeds(t, catalog_tenant_put(t->catalog, &tenant, &t->diag));
    tenant.cpu_share = 50;
    succeeds(t, catalog_tenant_put(t->catalog, &tenant, &t->diag));
    succeeds(t, catalog_token_create(t->catalog, &token, secret, &t->diag));
    for (unsigned i = 0; i < 5; i++)
        (void)testing_deploy(t, "acme", "f");
    testing_check_memory(t);
    dump = testing_dump(t->catalog);
    assert_non_null(strstr(dump, "tenant acme 0 3 50\n"));
    free(dump);
    testing_restart(t);
    expects(t, -ENOENT, "no tenant beta", catalog_tenant_remove(t->catalog, "beta", &t->diag));
    succeeds(t, catalog_tenant_remove(t->catalog, "acme", &t->diag));
    expects(t, -ENOENT, "no tenant acme", catalog_tenant_remove(t->catalog, "acme", &t->diag));
    assert_int_equal(catalog_identify(t->catalog, secret, strlen(secret), &who), -EACCES);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    testing_check_memory(t);
    assert_int_equal(count_records(t, CATALOG_TABLE), 0);
    assert_int_equal(count_records(t, CATALOG_TABLE_GENERATION), 1); /* the mark */
    testing_tenant(t, "acme");
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    assert_int_equal(testing_deploy(t, "acme", "f"), 1);
    testing_check_memory(t);
}

static void
test_there_is_an_end_of_tenants(void **state)
{
    struct testing *t = *state;
    struct catalog_tenant tenant = {.name = "one-more"};
    char name[16];

    for (unsigned i = 0; i < CATALOG_TENANTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "t%u", i);
        testing_tenant(t, name);
    }
    expects(t, -ENOSPC, "there are 16384", catalog_tenant_put(t->catalog, &tenant, &t->diag));
    testing_tenant(t, name);
    succeeds(t, catalog_tenant_remove(t->catalog, name, &t->diag));
    succeeds(t, catalog_tenant_put(t->catalog, &tenant, &t->diag));
}

static bool
change_while_seeing(void *context, const struct catalog_tenant *tenant)
{
    struct testing *t = context;
    struct catalog_tenant changed = *tenant;

    changed.priority = 5;
    succeeds(t, catalog_tenant_put(t->catalog, &changed, &t->diag));
    assert_int_equal(tenant->priority, 0);
    return true;
}

static void
test_a_visit_may_change_what_it_is_shown(void **state)
{
    struct testing *t = *state;
    char *dump;

    testing_tenant(t, "acme");
    testing_tenant(t, "gamma");
    succeeds(t, catalog_tenant_list(t->catalog, NULL, change_while_seeing, t, &t->diag));
    dump = testing_dump(t->catalog);
    assert_string_equal(dump, "tenant acme 7 5 0\ntenant gamma 7 5 0\n");
    free(dump);
}

/* ----------------------------------------------------------------- several of them */

static void
test_a_refresh_shows_what_others_did(void **state)
{
    struct testing *t = *state;
    struct catalog *mine = t->catalog, *theirs = testing_catalog(t);
    char *before, *after;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    t->catalog = theirs;
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    succeeds(t, catalog_refresh(theirs, &t->diag));
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 1);
    /* A change sees the newest, without a refresh. */
    t->catalog = mine;
    (void)testing_deploy(t, "acme", "f");
    t->catalog = theirs;
    assert_int_equal(testing_deploy(t, "acme", "f"), 3);
    assert_int_equal(testing_resolve(t, "acme", "f:2", 0), 2);
    /* More than a log holds. */
    t->catalog = mine;
    for (unsigned i = 0; i < 3 * CATALOG_LOG_COMMITS; i++)
        (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_variable_put(mine, "acme", "V", "1", false, &t->diag));
    succeeds(t, catalog_refresh(theirs, &t->diag));
    before = testing_dump(mine);
    after = testing_dump(theirs);
    assert_string_equal(before, after);
    free(before);
    free(after);
    t->catalog = mine;
    catalog_close(theirs);
}

static void
test_a_refresh_shows_that_a_tenant_went_or_is_another(void **state)
{
    struct testing *t = *state;
    struct catalog *mine = t->catalog, *theirs = testing_catalog(t);

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_refresh(theirs, &t->diag));
    /* Removed, and made again with as many changes. */
    succeeds(t, catalog_tenant_remove(mine, "acme", &t->diag));
    for (unsigned i = 0; i < 3; i++)
        testing_tenant(t, "acme");
    testing_tenant(t, "beta");
    succeeds(t, catalog_refresh(theirs, &t->diag));
    t->catalog = theirs;
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
    testing_check_memory(t);
    t->catalog = mine;
    succeeds(t, catalog_tenant_remove(mine, "acme", &t->diag));
    succeeds(t, catalog_refresh(theirs, &t->diag));
    t->catalog = theirs;
    testing_check_memory(t);
    t->catalog = mine;
    catalog_close(theirs);
}

/* A record that cannot be read, put behind the catalog's back. */
static void
spoil(struct testing *t, const char *tenant, enum catalog_record kind, const char *name)
{
    struct catalog_key key;
    struct store_change change = {.value = "\xff\xff\xff", .count = 3};

    catalog_key_make(&key, tenant, kind, name);
    change.key = (struct store_key){CATALOG_TABLE, key.bytes, key.count};
    assert_int_equal(store_commit(t->store, &change, 1, NULL, NULL, NULL), 0);
}

static void
test_a_refresh_reads_what_changed_and_nothing_else(void **state)
{
    struct testing *t = *state;
    struct catalog *theirs = testing_catalog(t), *none = NULL;

    testing_tenant(t, "acme");
    succeeds(t, catalog_variable_put(t->catalog, "acme", "V", "1", false, &t->diag));
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_refresh(theirs, &t->diag));
    spoil(t, "acme", CATALOG_RECORD_VARIABLE, "V");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_refresh(theirs, &t->diag));
    expects(t, -EBADMSG, "table catalog, record acme\\x00vV: ",
            catalog_open(t->store, testing_key, &none, &t->diag));
    catalog_close(theirs);
}

static void
test_one_tenants_damage_does_not_keep_the_others_from_being_read(void **state)
{
    struct testing *t = *state;
    struct catalog *theirs = testing_catalog(t), *mine = t->catalog;

    testing_tenant(t, "acme");
    testing_tenant(t, "beta");
    spoil(t, "acme", CATALOG_RECORD_TOKEN, "x");
    (void)testing_deploy(t, "beta", "f");
    for (unsigned i = 0; i < 2; i++)
        expects(t, -EBADMSG, "record acme\\x00kx: 3 bytes", catalog_refresh(theirs, &t->diag));
    t->catalog = theirs;
    assert_int_equal(testing_resolve(t, "beta", "f", 0), 1);
    t->catalog = mine;
    catalog_close(theirs);
}

struct racing {
    struct testing *t;
    struct catalog *other;
    unsigned decisions;
};

/* The first time, another is faster. */
static int
decide_slowly(struct catalog_change *change, void *context)
{
    struct racing *racing = context;
    struct catalog *mine = racing->t->catalog;
    Catalog__Tenant message = CATALOG__TENANT__INIT;
    struct catalog_key key;

    if (racing->decisions++ == 0) {
        racing->t->catalog = racing->other;
        assert_int_equal(testing_deploy(racing->t, "acme", "f"), 2);
        racing->t->catalog = mine;
    }
    assert_int_equal(
        catalog_function_of(catalog_change_find(change, CATALOG_RECORD_FUNCTION, "f"))->next,
        racing->decisions + 1);
    message.priority = 9;
    catalog_key_make(&key, "acme", CATALOG_RECORD_SETTINGS, "");
    return catalog_change_put(change, &key, &message.base);
}

static void
test_a_change_is_decided_again_where_another_came_first(void **state)
{
    struct testing *t = *state;
    struct racing racing = {.t = t, .other = testing_catalog(t)};

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    succeeds(t, catalog_change(t->catalog, "acme", decide_slowly, &racing, &t->diag));
    assert_int_equal(racing.decisions, 2);
    assert_int_equal(testing_resolve(t, "acme", "f", 0), 2);
    testing_check_memory(t);
    catalog_close(racing.other);
}

/* Others are faster until there is a claim. */
static int
decide_after_claim(struct catalog_change *change, void *context)
{
    struct racing *racing = context;
    struct catalog *mine = racing->t->catalog;
    Catalog__Tenant message = CATALOG__TENANT__INIT;
    struct catalog_key key;

    racing->decisions++;
    if (count_records(racing->t, CATALOG_TABLE_CLAIM) == 0) {
        racing->t->catalog = racing->other;
        (void)testing_deploy(racing->t, "acme", "f");
        racing->t->catalog = mine;
    }
    catalog_key_make(&key, "acme", CATALOG_RECORD_SETTINGS, "");
    return catalog_change_put(change, &key, &message.base);
}

static void
test_who_loses_often_claims_and_a_claim_that_stays_is_removed(void **state)
{
    struct testing *t = *state;
    struct racing racing = {.t = t, .other = testing_catalog(t)};
    struct store_change claim = {.key = {CATALOG_TABLE_CLAIM, "acme", 5}, .value = ""};

    testing_tenant(t, "acme");
    succeeds(t, catalog_change(t->catalog, "acme", decide_after_claim, &racing, &t->diag));
    assert_in_range(racing.decisions, 3, 20);
    assert_int_equal(count_records(t, CATALOG_TABLE_CLAIM), 0);
    assert_int_equal(store_commit(t->store, &claim, 1, NULL, NULL, NULL), 0);
    testing_tenant(t, "acme");
    assert_int_equal(count_records(t, CATALOG_TABLE_CLAIM), 0);
    testing_check_memory(t);
    catalog_close(racing.other);
}

#define HAMMERS     4u
#define DEPLOYMENTS 400u

struct hammer {
    struct testing *t;
    struct catalog *catalog;
    uint32_t numbers[DEPLOYMENTS];
    unsigned aliased;
    bool is_failed;
    atomic_bool *is_done;
};

/* Deploys, and points an alias to the new version and the one before it, which may have gone
 * when the others have made many since. */
static void *
hammer(void *context)
{
    struct hammer *h = context;
    struct catalog_version version = testing_version(h->t, "acme", "f");
    struct catalog_alias alias = {"acme", "f", "pair", 0, 0, 0, false};
    struct diag diag;

    diag_init(&diag);
    for (unsigned i = 0; i < DEPLOYMENTS && !h->is_failed; i++) {
        int err = catalog_version_put(h->catalog, &version, &h->numbers[i], &diag);

        alias.version = h->numbers[i];
        alias.other = alias.version > 1 ? alias.version - 1 : 0;
        alias.other_percent = alias.other % 100;
        if (err == 0)
            err = catalog_alias_put(h->catalog, &alias, &diag);
        h->aliased += err == 0;
        h->is_failed = err != 0 && err != -ENOENT;
    }
    if (h->is_failed)
        (void)fprintf(stderr, "%s\n", diag_text(&diag));
    return NULL;
}

static bool
check_pair(void *context, const struct catalog_alias *alias)
{
    if (strcmp(alias->name, "pair") == 0 &&
        (alias->other != alias->version - 1 || alias->other_percent != alias->other % 100))
        *(bool *)context = true;
    return true;
}

static void *
watch(void *context)
{
    struct hammer *h = context;
    struct catalog_callable *callable;
    uint32_t newest = 0;

    while (!atomic_load(h->is_done) && !h->is_failed) {
        if (catalog_refresh(h->catalog, NULL) != 0 ||
            catalog_resolve(h->catalog, "acme", "f", 0, &callable, NULL) != 0) {
            h->is_failed = true;
            break;
        }
        h->is_failed |= catalog_callable_version(callable)->version < newest;
        newest = catalog_callable_version(callable)->version;
        catalog_callable_put(callable);
        if (catalog_alias_list(h->catalog, "acme", "f", check_pair, &h->is_failed, NULL) != 0)
            h->is_failed = true;
    }
    return NULL;
}

/* Each number from 2 was given once. */
static void
check_hammers(const struct hammer hammers[HAMMERS])
{
    bool seen[HAMMERS * DEPLOYMENTS + 2] = {false};
    unsigned aliased = 0;

    for (unsigned i = 0; i < HAMMERS; i++) {
        assert_false(hammers[i].is_failed);
        aliased += hammers[i].aliased;
        for (unsigned k = 0; k < DEPLOYMENTS; k++) {
            uint32_t number = hammers[i].numbers[k];

            assert_in_range(number, 2, HAMMERS * DEPLOYMENTS + 1);
            assert_false(seen[number]);
            seen[number] = true;
        }
    }
    assert_true(aliased > 0);
}

static void
test_catalogs_on_one_store_never_lose_each_others_changes(void **state)
{
    struct testing *t = *state;
    struct catalog *other = testing_catalog(t);
    struct hammer hammers[HAMMERS] = {0}, watcher = {.t = t, .catalog = other};
    pthread_t threads[HAMMERS + 1];
    atomic_bool is_done = false;

    testing_tenant(t, "acme");
    assert_int_equal(testing_deploy(t, "acme", "f"), 1);
    succeeds(t, catalog_refresh(other, &t->diag));
    watcher.is_done = &is_done;
    assert_int_equal(pthread_create(&threads[HAMMERS], NULL, watch, &watcher), 0);
    for (unsigned i = 0; i < HAMMERS; i++) {
        hammers[i].t = t;
        hammers[i].catalog = i % 2 == 0 ? t->catalog : other;
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
    }
    for (unsigned i = 0; i < HAMMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    atomic_store(&is_done, true);
    assert_int_equal(pthread_join(threads[HAMMERS], NULL), 0);
    assert_false(watcher.is_failed);
    check_hammers(hammers);
    succeeds(t, catalog_refresh(t->catalog, &t->diag));
    testing_check_memory(t);
    catalog_close(other);
}

/* Asks all the time, of a tenant that changes, goes and comes back. */
struct asking {
    struct testing *t;
    const char *secret;
    atomic_bool *is_done;
    bool is_failed;
};

static bool
see_trigger(void *context, const struct catalog_trigger *trigger)
{
    *(bool *)context |= strcmp(trigger->path, "/x/*") != 0;
    return true;
}

static void
ask_environment(struct asking *asking, struct catalog_callable *callable)
{
    struct buffer out = {0};
    size_t count;
    int err = catalog_environment(asking->t->catalog, catalog_callable_version(callable), &out,
                                  &count, NULL);

    asking->is_failed |= err != 0 && err != -ENOENT;
    asking->is_failed |= err == 0 && (out.count != 9 || memcmp(out.bytes, "S=sealed", 9) != 0);
    buffer_fini(&out);
}

static void
ask_once(struct asking *asking)
{
    struct catalog *catalog = asking->t->catalog;
    struct catalog_callable *callable;
    struct catalog_identity who;
    int err = catalog_identify(catalog, asking->secret, strlen(asking->secret), &who);

    asking->is_failed |= err != 0 || strcmp(who.token, "root") != 0;
    err = catalog_resolve(catalog, "acme", "f", 0, &callable, NULL);
    asking->is_failed |= err != 0 && err != -ENOENT;
    if (err == 0) {
        ask_environment(asking, callable);
        catalog_callable_put(callable);
    }
    err = catalog_trigger_find(catalog, "acme", "GET", "/x/y", see_trigger, &asking->is_failed);
    asking->is_failed |= err != 0 && err != -ENOENT;
    err = catalog_trigger_list(catalog, NULL, see_trigger, &asking->is_failed, NULL);
    asking->is_failed |= err != 0;
}

static void *
ask(void *context)
{
    struct asking *asking = context;

    while (!atomic_load(asking->is_done) && !asking->is_failed)
        ask_once(asking);
    return NULL;
}

static void
change_all(struct testing *t)
{
    static const char *const secrets[] = {"S"};
    struct catalog_version version = testing_version(t, "acme", "f");
    struct catalog_trigger trigger = {
        .tenant = "acme", .name = "t", .kind = CATALOG_HTTP, .reference = "f", .path = "/x/*"};
    uint32_t number;

    version.secrets = secrets;
    version.secret_count = 1;
    testing_tenant(t, "acme");
    for (unsigned i = 0; i < 3; i++) {
        succeeds(t, catalog_variable_put(t->catalog, "acme", "S", "sealed", true, &t->diag));
        succeeds(t, catalog_version_put(t->catalog, &version, &number, &t->diag));
        trigger.is_paused = i == 1;
        succeeds(t, catalog_trigger_put(t->catalog, &trigger, &t->diag));
    }
    succeeds(t, catalog_tenant_remove(t->catalog, "acme", &t->diag));
}

static void
test_questions_are_answered_while_everything_changes(void **state)
{
    struct testing *t = *state;
    struct catalog_token token = {"", "root", CATALOG_ADMIN, 0};
    char secret[CATALOG_TOKEN_BYTES_MAX];
    atomic_bool is_done = false;
    struct asking askings[2];
    pthread_t threads[2];

    succeeds(t, catalog_token_create(t->catalog, &token, secret, &t->diag));
    for (unsigned i = 0; i < 2; i++) {
        askings[i] = (struct asking){.t = t, .secret = secret, .is_done = &is_done};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askings[i]), 0);
    }
    for (unsigned i = 0; i < 60; i++)
        change_all(t);
    atomic_store(&is_done, true);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(askings[i].is_failed);
    }
}

/* ------------------------------------------------------------------------ failures */

static const char *const points[] = {
    "catalog.unpack", "catalog.link",   "catalog.reserve", "catalog.commit",    "catalog.sync",
    "catalog.seal",   "catalog.random", "store.lmdb.put",  "store.lmdb.commit", "store.lmdb.sync",
};

static int
do_tenant(struct testing *t, struct diag *diag)
{
    struct catalog_tenant tenant = {.name = "beta", .priority = 1};

    return catalog_tenant_put(t->catalog, &tenant, diag);
}

static int
do_token(struct testing *t, struct diag *diag)
{
    struct catalog_token token = {"acme", "new", CATALOG_READ, 0};
    char secret[CATALOG_TOKEN_BYTES_MAX];

    return catalog_token_create(t->catalog, &token, secret, diag);
}

static int
do_deploy(struct testing *t, struct diag *diag)
{
    struct catalog_version version = testing_version(t, "acme", "f");
    uint32_t number;

    return catalog_version_put(t->catalog, &version, &number, diag);
}

static int
do_alias(struct testing *t, struct diag *diag)
{
    struct catalog_alias alias = {"acme", "f", "prod", 1, 0, 0, false};

    return catalog_alias_put(t->catalog, &alias, diag);
}

static int
do_secret(struct testing *t, struct diag *diag)
{
    return catalog_variable_put(t->catalog, "acme", "S", "sealed", true, diag);
}

static int
do_trigger(struct testing *t, struct diag *diag)
{
    struct catalog_trigger trigger = {
        .tenant = "acme", .name = "t", .kind = CATALOG_HTTP, .reference = "f", .path = "/x"};

    return catalog_trigger_put(t->catalog, &trigger, diag);
}

static int
do_grant(struct testing *t, struct diag *diag)
{
    return catalog_grant(t->catalog, "acme", "f", "beta", true, diag);
}

static int
do_remove_function(struct testing *t, struct diag *diag)
{
    return catalog_function_remove(t->catalog, "acme", "f", diag);
}

static void
forget_token(struct testing *t)
{
    int err = catalog_token_remove(t->catalog, "acme", "new", NULL);

    assert_true(err == 0 || err == -ENOENT);
}

/* With a version 1 that an alias may have. */
static void
have_function(struct testing *t)
{
    int err;

    if (testing_resolve(t, "acme", "f:1", 0) != 0)
        return;
    err = catalog_function_remove(t->catalog, "acme", "f", NULL);
    assert_true(err == 0 || err == -ENOENT);
    (void)testing_deploy(t, "acme", "f");
}

static void
forget_grant(struct testing *t)
{
    assert_int_equal(catalog_grant(t->catalog, "acme", "f", "beta", false, NULL), 0);
}

static const struct {
    int (*act)(struct testing *t, struct diag *diag);
    void (*prepare)(struct testing *t);
} acts[] = {
    {do_tenant, NULL},        {do_token, forget_token},
    {do_deploy, NULL},        {do_alias, have_function},
    {do_secret, NULL},        {do_trigger, NULL},
    {do_grant, forget_grant}, {do_remove_function, have_function},
};

/* Until the n-th pass of the point is not reached. How often it was. */
static unsigned
fail_at(struct testing *t, size_t index, const char *point)
{
    for (unsigned nth = 1;; nth++) {
        char *before, *after;
        bool is_reached;
        int err;

        if (acts[index].prepare != NULL)
            acts[index].prepare(t);
        before = testing_dump(t->catalog);
        diag_init(&t->diag);
        fault_arm(point, nth, -ENOMEM);
        err = acts[index].act(t, &t->diag);
        is_reached = fault_disarm();
        assert_int_equal(err, is_reached ? -ENOMEM : 0);
        assert_int_equal(t->diag.is_set, is_reached);
        after = testing_dump(t->catalog);
        if (is_reached)
            assert_string_equal(before, after);
        free(before);
        free(after);
        testing_check_memory(t);
        assert_true(nth < 100);
        if (!is_reached)
            return nth - 1;
    }
}

static void
test_a_change_that_fails_has_not_happened(void **state)
{
    struct testing *t = *state;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        unsigned reached = 0;

        for (size_t k = 0; k < ARRAY_COUNT(acts); k++)
            reached += fail_at(t, k, points[i]);
        if (reached == 0)
            fail_msg("%s is never passed", points[i]);
    }
}

static void
test_a_refresh_that_fails_is_made_good_by_the_next(void **state)
{
    struct testing *t = *state;
    struct catalog *mine = t->catalog, *theirs;

    testing_tenant(t, "acme");
    for (size_t i = 0; i < 5; i++) { /* the others write */
        bool is_reached = true;

        for (unsigned nth = 1; is_reached; nth++) {
            theirs = testing_catalog(t);
            (void)testing_deploy(t, "acme", "f");
            (void)testing_deploy(t, "acme", "g");
            fault_arm(points[i], nth, -ENOMEM);
            diag_init(&t->diag);
            assert_int_equal(catalog_refresh(theirs, &t->diag) != 0, is_reached = fault_disarm());
            succeeds(t, catalog_refresh(theirs, &t->diag));
            t->catalog = theirs;
            testing_check_memory(t);
            t->catalog = mine;
            catalog_close(theirs);
        }
    }
}

static void
test_a_tenant_half_removed_is_not_seen_and_goes_later(void **state)
{
    struct testing *t = *state;

    for (unsigned round = 0; round < 2; round++) {
        testing_tenant(t, "acme");
        (void)testing_deploy(t, "acme", "f");
        fault_arm("catalog.purge", 1, -EIO);
        expects(t, -EIO, "remove it again", catalog_tenant_remove(t->catalog, "acme", &t->diag));
        assert_true(fault_disarm());
        assert_int_equal(count_records(t, CATALOG_TABLE), 2);
        assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
        testing_check_memory(t);
        testing_restart(t);
        assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
        if (round == 0)
            succeeds(t, catalog_tenant_remove(t->catalog, "acme", &t->diag));
        else
            testing_tenant(t, "acme");
        assert_int_equal(testing_resolve(t, "acme", "f", 0), 0);
        assert_int_equal(count_records(t, CATALOG_TABLE), round);
        testing_check_memory(t);
    }
    assert_int_equal(testing_deploy(t, "acme", "f"), 1);
}

static void
test_opening_fails_cleanly_at_every_point(void **state)
{
    static const char *const opening[] = {"catalog.open", "catalog.unpack", "catalog.link",
                                          "catalog.reserve", "catalog.sync"};
    struct testing *t = *state;

    testing_tenant(t, "acme");
    (void)testing_deploy(t, "acme", "f");
    for (size_t i = 0; i < ARRAY_COUNT(opening); i++) {
        bool is_reached = true;

        for (unsigned nth = 1; is_reached; nth++) {
            struct catalog *catalog = NULL;

            diag_init(&t->diag);
            fault_arm(opening[i], nth, -ENOMEM);
            assert_int_equal(catalog_open(t->store, testing_key, &catalog, &t->diag) != 0,
                             is_reached = fault_disarm());
            assert_int_equal(catalog == NULL, is_reached);
            catalog_close(catalog);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_another_clusters_key_is_found_and_said),
        TEST(test_a_tenant_is_made_changed_and_removed_with_all_it_has),
        TEST(test_there_is_an_end_of_tenants),
        TEST(test_a_visit_may_change_what_it_is_shown),
        TEST(test_a_refresh_shows_what_others_did),
        TEST(test_a_refresh_shows_that_a_tenant_went_or_is_another),
        TEST(test_a_refresh_reads_what_changed_and_nothing_else),
        TEST(test_one_tenants_damage_does_not_keep_the_others_from_being_read),
        TEST(test_a_change_is_decided_again_where_another_came_first),
        TEST(test_who_loses_often_claims_and_a_claim_that_stays_is_removed),
        TEST(test_catalogs_on_one_store_never_lose_each_others_changes),
        TEST(test_questions_are_answered_while_everything_changes),
        TEST(test_a_change_that_fails_has_not_happened),
        TEST(test_a_refresh_that_fails_is_made_good_by_the_next),
        TEST(test_a_tenant_half_removed_is_not_seen_and_goes_later),
        TEST(test_opening_fails_cleanly_at_every_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
