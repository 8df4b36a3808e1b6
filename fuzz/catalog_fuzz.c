/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes: as a record of the catalog and its generation, as a reference, a schedule, a
 * path. The first byte says as what. libFuzzer target.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "catalog/parsers_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static volatile size_t sink;

static void
see(const char *text)
{
    ASSERT(text != NULL);
    sink += strlen(text);
}

static void
see_version(const struct catalog_version *version)
{
    see(version->entry);
    see(version->language);
    see(version->note);
    see(version->created_by);
    for (size_t i = 0; i < version->env_count; i++)
        ASSERT(strchr(version->env[i], '=') != NULL);
    for (size_t i = 0; i < version->secret_count; i++)
        ASSERT(strlen(version->secrets[i]) <= CATALOG_NAME_BYTES_MAX);
    ASSERT(version->version != 0 && version->kind <= CATALOG_SNAPSHOT);
}

static void
see_item(const struct catalog_item *item)
{
    see(item->tenant);
    see(item->name);
    if (item->kind == CATALOG_RECORD_VERSION)
        see_version(&item->version);
    if (item->kind == CATALOG_RECORD_FUNCTION)
        for (size_t i = 0; i < catalog_function_of(item)->n_aliases; i++)
            see(catalog_function_of(item)->aliases[i]->name);
    if (item->kind == CATALOG_RECORD_TRIGGER && item->trigger.kind == CATALOG_HTTP)
        ASSERT(item->stem_count < strlen(item->trigger.path) + 1);
}

/* The key's length, the key, the value. What is taken is taken again after a rewrite. */
static void
read_record(const uint8_t *bytes, size_t count)
{
    size_t key_count = count == 0 ? 0 : bytes[0];
    struct catalog_item *item = NULL, *again = NULL;
    struct buffer packed = {0};
    struct diag diag;
    int err;

    if (key_count + 1 > count)
        return;
    diag_init(&diag);
    err = catalog_item_decode(bytes + 1, key_count, bytes + 1 + key_count, count - 1 - key_count,
                              &item, &diag);
    ASSERT(err == 0 || err == -EBADMSG);
    ASSERT(diag.is_set == (err != 0));
    if (err != 0)
        return;
    see_item(item);
    ASSERT(catalog_message_pack(item->message, &packed) == 0);
    ASSERT(catalog_item_decode(item->key, item->key_count, packed.bytes, packed.count, &again,
                               NULL) == 0);
    see_item(again);
    buffer_fini(&packed);
    catalog_item_put(item);
    catalog_item_put(again);
}

static void
read_generation(const uint8_t *bytes, size_t count)
{
    Catalog__Generation *generation;
    int err = catalog_generation_decode(bytes, count, &generation);

    ASSERT(err == 0 || err == -EBADMSG);
    if (err == 0)
        catalog__generation__free_unpacked(generation, NULL);
}

static void
parse_reference(const char *text)
{
    struct catalog_reference reference;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_reference_parse(text, &reference, &diag);
    ASSERT(err == 0 || err == -EINVAL);
    ASSERT(diag.is_set == (err != 0));
    if (err != 0)
        return;
    ASSERT(catalog_check_name("function", reference.function, NULL) == 0);
    ASSERT(reference.tenant[0] == '\0' ||
           catalog_check_name("tenant", reference.tenant, NULL) == 0);
    ASSERT((reference.alias[0] == '\0') == (reference.version != 0));
}

static void
parse_schedule(const char *text)
{
    uint64_t next = 0, later = 0, after = 1700000000;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_schedule_next(text, after, &next, &diag);
    ASSERT(err == 0 || err == -EINVAL || err == -ENOENT);
    ASSERT(diag.is_set == (err == -EINVAL));
    if (err != 0)
        return;
    ASSERT(next > after && next % 60 == 0);
    err = catalog_schedule_next(text, next, &later, NULL);
    ASSERT((err == 0 && later > next) || err == -ENOENT);
    ASSERT(catalog_schedule_next(text, next - 1, &later, NULL) == 0 && later == next);
}

static void
parse_path(const char *text)
{
    struct diag diag;
    int err;

    diag_init(&diag);
    err = catalog_check_path(text, &diag);
    ASSERT(err == 0 || err == -EINVAL);
    ASSERT(diag.is_set == (err != 0));
    if (catalog_path_is_normal(text, strlen(text)))
        ASSERT(text[0] == '/' && strstr(text, "/../") == NULL && strstr(text, "//") == NULL);
    else
        ASSERT(err != 0);
    ASSERT(catalog_check_value("text", text, 1u << 20, NULL) == 0 || err != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text;

    if (count == 0)
        return 0;
    if (bytes[0] == 'g')
        read_generation(bytes + 1, count - 1);
    if (bytes[0] == 'k')
        read_record(bytes + 1, count - 1);
    text = malloc(count);
    if (text == NULL)
        return 0;
    memcpy(text, bytes + 1, count - 1);
    text[count - 1] = '\0';
    if (bytes[0] == 'r')
        parse_reference(text);
    if (bytes[0] == 's')
        parse_schedule(text);
    if (bytes[0] == 'p')
        parse_path(text);
    free(text);
    return 0;
}
