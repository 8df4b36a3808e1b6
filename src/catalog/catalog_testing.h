/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of catalog: a store in a directory that goes away, short ways to make
 * things, and all that a catalog tells as one text.
 */
#ifndef WEFT_CATALOG_CATALOG_TESTING_H
#define WEFT_CATALOG_CATALOG_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "catalog/catalog_internal.h"

static const uint8_t testing_key[CATALOG_KEY_BYTES] = "a key that all tests share......";

struct testing {
    char directory[64];
    struct store *store;
    struct catalog *catalog;
    struct store_hash blob;
    struct diag diag;
};

static inline struct catalog *
testing_catalog(struct testing *t)
{
    struct catalog *catalog = NULL;

    diag_init(&t->diag);
    if (catalog_open(t->store, testing_key, &catalog, &t->diag) != 0)
        fail_msg("cannot open: %s", diag_text(&t->diag));
    assert_false(t->diag.is_set);
    return catalog;
}

static inline void
testing_open_store(struct testing *t)
{
    char address[80];
    struct store_config config = {.records = address, .blobs = address, .bytes_max = 1u << 30};

    (void)snprintf(address, sizeof(address), "dir:%s", t->directory);
    diag_init(&t->diag);
    if (store_open(&config, &t->store, &t->diag) != 0)
        fail_msg("cannot open the store: %s", diag_text(&t->diag));
}

static inline int
testing_setup(void **state)
{
    struct testing *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    (void)snprintf(t->directory, sizeof(t->directory), "/tmp/weft-catalog-XXXXXX");
    assert_non_null(mkdtemp(t->directory));
    testing_open_store(t);
    assert_int_equal(store_blob_put_bytes(t->store, "module", 6, &t->blob, NULL), 0);
    t->catalog = testing_catalog(t);
    *state = t;
    return 0;
}

static inline int
testing_teardown(void **state)
{
    struct testing *t = *state;
    pid_t pid;

    (void)fault_disarm();
    catalog_close(t->catalog);
    store_close(t->store);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", t->directory, NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
    free(t);
    return 0;
}

/* All of it anew, as after the end of the process. */
static inline void
testing_restart(struct testing *t)
{
    catalog_close(t->catalog);
    store_close(t->store);
    testing_open_store(t);
    t->catalog = testing_catalog(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, testing_setup, testing_teardown)

/* expects(t, err, "part of the text", call with &t->diag) */
#define expects(t, err, part, ...) \
    do { \
        diag_init(&(t)->diag); \
        assert_int_equal(__VA_ARGS__, err); \
        if (strstr(diag_text(&(t)->diag), part) == NULL) \
            fail_msg("\"%s\" is not in \"%s\"", part, diag_text(&(t)->diag)); \
    } while (0)
#define succeeds(t, ...) \
    do { \
        diag_init(&(t)->diag); \
        if (__VA_ARGS__) \
            fail_msg("fails: %s", diag_text(&(t)->diag)); \
        assert_false((t)->diag.is_set); \
    } while (0)

/* ------------------------------------------------------------------------------ makers */

static inline void
testing_tenant(struct testing *t, const char *name)
{
    struct catalog_tenant tenant = {.name = name, .calls_max = 7};

    succeeds(t, catalog_tenant_put(t->catalog, &tenant, &t->diag));
}

static inline struct catalog_version
testing_version(const struct testing *t, const char *tenant, const char *function)
{
    return (struct catalog_version){
        .tenant = tenant,
        .function = function,
        .kind = CATALOG_COMMAND,
        .language = "c",
        .module = t->blob,
        .image = t->blob,
        .note = "a note",
        .created_by = "somebody",
    };
}

static inline uint32_t
testing_deploy(struct testing *t, const char *tenant, const char *function)
{
    struct catalog_version version = testing_version(t, tenant, function);
    uint32_t number = 0;

    succeeds(t, catalog_version_put(t->catalog, &version, &number, &t->diag));
    return number;
}

/* The number of the version that is resolved; 0: none. */
static inline uint32_t
testing_resolve(struct testing *t, const char *tenant, const char *reference, unsigned dice)
{
    struct catalog_callable *callable;
    uint32_t number;
    int err;

    diag_init(&t->diag);
    err = catalog_resolve(t->catalog, tenant, reference, dice, &callable, &t->diag);
    assert_int_equal(err != 0, t->diag.is_set);
    if (err != 0) {
        assert_int_equal(err, -ENOENT);
        return 0;
    }
    number = catalog_callable_version(callable)->version;
    catalog_callable_put(callable);
    return number;
}

/* -------------------------------------------------------------------------------- dump */

static inline bool
dump_token(void *context, const struct catalog_token *token)
{
    buffer_append_format(context, "token %s/%s %u %llu\n", token->tenant, token->name, token->roles,
                         (unsigned long long)token->expires_s);
    return true;
}

static inline bool
dump_alias(void *context, const struct catalog_alias *alias)
{
    buffer_append_format(context, "  alias %s %u %u %u\n", alias->name, alias->version,
                         alias->other, alias->other_percent);
    return true;
}

static inline bool
dump_grant(void *context, const char *caller)
{
    buffer_append_format(context, "  grant %s\n", caller);
    return true;
}

static inline bool
dump_version(void *context, const struct catalog_version *version)
{
    buffer_append_format(context, "  version %u %d %s %s %s %llu %u %zu\n", version->version,
                         (int)version->kind, version->entry, version->language, version->note,
                         (unsigned long long)version->limits.wall_ns, version->retry.attempts,
                         version->env_count);
    return true;
}

static inline bool
dump_variable(void *context, const struct catalog_variable *variable)
{
    buffer_append_format(context, "variable %s=%s %llu\n", variable->name,
                         variable->value == NULL ? "(secret)" : variable->value,
                         (unsigned long long)variable->changed_s);
    return true;
}

static inline bool
dump_trigger(void *context, const struct catalog_trigger *trigger)
{
    buffer_append_format(context, "trigger %s/%s %d %s %s %s %d %s %s %d\n", trigger->tenant,
                         trigger->name, (int)trigger->kind, trigger->reference, trigger->method,
                         trigger->path, trigger->is_public, trigger->schedule, trigger->input,
                         trigger->is_paused);
    return true;
}

struct dumping {
    struct catalog *catalog;
    struct buffer *out;
};

static inline bool
dump_function(void *context, const struct catalog_version *latest)
{
    struct dumping *d = context;
    const char *tenant = latest->tenant, *function = latest->function;

    buffer_append_format(d->out, "function %s/%s\n", tenant, function);
    assert_int_equal(catalog_version_list(d->catalog, tenant, function, dump_version, d->out, NULL),
                     0);
    assert_int_equal(catalog_alias_list(d->catalog, tenant, function, dump_alias, d->out, NULL), 0);
    assert_int_equal(catalog_grant_list(d->catalog, tenant, function, dump_grant, d->out, NULL), 0);
    return true;
}

static inline bool
dump_tenant(void *context, const struct catalog_tenant *tenant)
{
    struct dumping *d = context;
    const char *name = tenant->name;

    buffer_append_format(d->out, "tenant %s %u %u %u\n", name, tenant->calls_max, tenant->priority,
                         tenant->cpu_share);
    assert_int_equal(catalog_token_list(d->catalog, name, dump_token, d->out, NULL), 0);
    assert_int_equal(catalog_version_list(d->catalog, name, NULL, dump_function, d, NULL), 0);
    assert_int_equal(catalog_variable_list(d->catalog, name, dump_variable, d->out, NULL), 0);
    assert_int_equal(catalog_trigger_list(d->catalog, name, dump_trigger, d->out, NULL), 0);
    return true;
}

/* Everything that the catalog tells; the caller's to free. */
static inline char *
testing_dump(struct catalog *catalog)
{
    struct buffer out = {0};
    struct dumping d = {catalog, &out};

    assert_int_equal(catalog_token_list(catalog, "", dump_token, &out, NULL), 0);
    assert_int_equal(catalog_tenant_list(catalog, NULL, dump_tenant, &d, NULL), 0);
    buffer_append(&out, "", 1);
    assert_int_equal(out.err, 0);
    return (char *)out.bytes;
}

/* What the catalog has in memory is what one that is opened now reads. */
static inline void
testing_check_memory(struct testing *t)
{
    struct catalog *fresh = testing_catalog(t);
    char *one = testing_dump(t->catalog), *other = testing_dump(fresh);

    assert_string_equal(one, other);
    free(one);
    free(other);
    catalog_close(fresh);
}

#endif
