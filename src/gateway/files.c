/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs and files of a tenant. What is stored is shared by its content; who put it is not:
 * a hash of another's content tells nothing.
 *
 *   table tenant-blob    tenant NUL hash    bytes (decimal)
 *   table tenant-file    tenant NUL path    hash, bytes, changed_s
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/gateway_internal.h"

struct file_record {
    struct store_hash hash;
    uint64_t bytes, changed_s;
};

struct key {
    uint8_t bytes[STORE_KEY_BYTES_MAX];
    size_t count;
};

/* False: too long. */
static bool
key_make(struct key *key, const char *tenant, const void *rest, size_t count)
{
    size_t first = strlen(tenant) + 1;

    if (first + count > sizeof(key->bytes))
        return false;
    (void)memcpy(key->bytes, tenant, first);
    if (count > 0)
        (void)memcpy(key->bytes + first, rest, count);
    key->count = first + count;
    return true;
}

/* -------------------------------------------------------------------------- whose it is */

int
gateway_blob_own(struct gateway *gateway, const char *tenant, const struct store_hash *hash,
                 uint64_t bytes, struct diag *diag)
{
    struct store_change change = {.condition = STORE_ANY};
    struct key key;
    char text[24];

    if (!key_make(&key, tenant, hash->bytes, sizeof(hash->bytes)))
        return -EINVAL;
    (void)snprintf(text, sizeof(text), "%" PRIu64, bytes);
    change.key = (struct store_key){GATEWAY_TABLE_BLOB, key.bytes, key.count};
    change.value = text;
    change.count = strlen(text);
    return store_commit(gateway->config.store, &change, 1, NULL, NULL, diag);
}

/* As it is, but new: who looks for it means to name it. -EAGAIN: it is another by now. */
static int
touch(struct gateway *gateway, const struct key *key, const struct buffer *value, uint64_t version)
{
    const struct store_change change = {.key = {GATEWAY_TABLE_BLOB, key->bytes, key->count},
                                        .condition = STORE_VERSION,
                                        .version = version,
                                        .value = value->bytes,
                                        .count = value->count};

    return store_commit(gateway->config.store, &change, 1, NULL, NULL, NULL);
}

int
gateway_blob_check(struct gateway *gateway, const char *tenant, const struct store_hash *hash,
                   struct diag *diag)
{
    struct buffer value = {0};
    uint64_t version;
    struct key key;
    int err;

    if (!key_make(&key, tenant, hash->bytes, sizeof(hash->bytes)))
        return -EINVAL;
    do {
        value.count = 0;
        err = store_get(gateway->config.store,
                        &(struct store_key){GATEWAY_TABLE_BLOB, key.bytes, key.count}, &value,
                        &version, diag);
        if (err == 0)
            err = touch(gateway, &key, &value, version);
    } while (err == -EAGAIN);
    buffer_fini(&value);
    if (err == -ENOENT)
        return diag_set(diag, err, "there is no blob %02x%02x%02x%02x...", hash->bytes[0],
                        hash->bytes[1], hash->bytes[2], hash->bytes[3]);
    return err;
}

static bool
add_bytes(void *context, const struct store_record *record)
{
    char text[24];

    if (record->value_count < sizeof(text)) {
        (void)memcpy(text, record->value, record->value_count);
        text[record->value_count] = '\0';
        *(uint64_t *)context += strtoull(text, NULL, 10);
    }
    return true;
}

static bool
take_storage(void *context, const struct catalog_tenant *tenant)
{
    *(uint64_t *)context = tenant->storage_bytes;
    return true;
}

/* Files are blobs of their tenant, and so counted once. */
int
gateway_storage_check(struct gateway *gateway, const char *tenant, uint64_t more, struct diag *diag)
{
    struct store_range range = {.table = GATEWAY_TABLE_BLOB};
    uint64_t max = 0, used = 0;
    struct key key;
    int err = catalog_tenant_list(gateway->config.catalog, tenant, take_storage, &max, diag);

    if (err != 0 || max == 0)
        return err;
    if (!key_make(&key, tenant, NULL, 0))
        return -EINVAL;
    range.prefix = key.bytes;
    range.prefix_count = key.count;
    err = store_list(gateway->config.store, &range, add_bytes, &used, diag);
    if (err == 0 && (used > max || more > max - used))
        err = diag_set(diag, -ENOSPC, "the tenant may store %" PRIu64 " bytes and has %" PRIu64,
                       max, used);
    return err;
}

/* ----------------------------------------------------------------------------- blobs */

/* The body, in the store and the tenant's. */
static int
keep_body(struct gateway_request *request, struct store_hash *hash, struct diag *diag)
{
    struct gateway *gateway = request->gateway;
    struct gateway_body *body = &request->body;
    int err = gateway_storage_check(gateway, request->tenant, body->count, diag);

    if (err == 0 && lseek(body->fd, 0, SEEK_SET) != 0)
        err = -errno;
    if (err == 0)
        err = store_blob_put(gateway->config.store, body->fd, hash, diag);
    return err != 0 ? err : gateway_blob_own(gateway, request->tenant, hash, body->count, diag);
}

enum gateway_next
gateway_blob_post(struct gateway_request *request)
{
    struct store_hash hash;
    struct buffer out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = keep_body(request, &hash, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "blob_unknown", &diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_hash(&out, "hash", hash.bytes);
    gateway_json_number(&out, "bytes", request->body.count);
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_CREATED, &out);
}

enum gateway_next
gateway_blob_get(struct gateway_request *request)
{
    struct store_hash hash;
    struct diag diag;
    int err;

    diag_init(&diag);
    if (!gateway_hash_parse(request->part[0], hash.bytes))
        return gateway_refuse(request, -ENOENT, "blob_unknown", NULL);
    err = gateway_blob_check(request->gateway, request->tenant, &hash, &diag);
    return err == 0 ? gateway_answer_ok(request)
                    : gateway_refuse(request, err, "blob_unknown", &diag);
}

/* ----------------------------------------------------------------------------- files */

static bool
file_key(struct gateway_request *request, struct key *key)
{
    const char *path = request->part[0];

    if (gateway_path_is_good(path) && key_make(key, request->tenant, path, strlen(path)))
        return true;
    (void)gateway_fail(request, MHD_HTTP_BAD_REQUEST, "path_invalid", "name it like data/model.bin",
                       "a path has names between /, none of them empty, . or .., and at most %u "
                       "bytes",
                       STORE_KEY_BYTES_MAX - CATALOG_NAME_BYTES_MAX - 1);
    return false;
}

static enum gateway_next
fail_file(struct gateway_request *request)
{
    return gateway_fail(request, MHD_HTTP_NOT_FOUND, "file_unknown", "look at GET /v1/files",
                        "there is no file %.300s", request->part[0]);
}

static void
put_file(struct buffer *out, const char *path, size_t count, const struct file_record *file)
{
    gateway_json_open(out, NULL, '{');
    gateway_json_bytes(out, "path", path, count);
    gateway_json_number(out, "bytes", file->bytes);
    gateway_json_hash(out, "hash", file->hash.bytes);
    gateway_json_number(out, "changed", file->changed_s);
    gateway_json_close(out, '}');
}

enum gateway_next
gateway_file_put(struct gateway_request *request)
{
    const char *path = request->part[0];
    struct file_record file = {.bytes = request->body.count, .changed_s = (uint64_t)time(NULL)};
    struct store_change change = {.value = &file, .count = sizeof(file)};
    struct buffer out = {0};
    struct diag diag;
    struct key key;
    int err;

    if (!file_key(request, &key))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    err = keep_body(request, &file.hash, &diag);
    change.key = (struct store_key){GATEWAY_TABLE_FILE, key.bytes, key.count};
    if (err == 0)
        err = store_commit(request->gateway->config.store, &change, 1, NULL, NULL, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "file_unknown", &diag);
    put_file(&out, path, strlen(path), &file);
    return gateway_answer_json(request, MHD_HTTP_CREATED, &out);
}

static int
read_file(struct gateway_request *request, const struct key *key, struct file_record *file,
          struct diag *diag)
{
    struct buffer value = {0};
    uint64_t version;
    int err = store_get(request->gateway->config.store,
                        &(struct store_key){GATEWAY_TABLE_FILE, key->bytes, key->count}, &value,
                        &version, diag);

    if (err == 0 && value.count != sizeof(*file))
        err = diag_set(diag, -EBADMSG, "the record of file %.300s is damaged", request->part[0]);
    if (err == 0)
        (void)memcpy(file, value.bytes, sizeof(*file));
    buffer_fini(&value);
    return err;
}

enum gateway_next
gateway_file_get(struct gateway_request *request)
{
    struct MHD_Response *response;
    struct file_record file;
    struct diag diag;
    struct key key;
    int fd = -1, err;

    if (!file_key(request, &key))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    err = read_file(request, &key, &file, &diag);
    if (err == -ENOENT)
        return fail_file(request);
    if (err == 0)
        err = store_blob_get(request->gateway->config.store, &file.hash, &fd, &diag);
    if (err != 0)
        return gateway_refuse(request, err, "file_unknown", &diag);
    response = MHD_create_response_from_fd64(file.bytes, fd); /* takes fd */
    if (response == NULL) {
        (void)close(fd);
        return gateway_refuse(request, -ENOMEM, "", NULL);
    }
    gateway_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    gateway_add_header(response, "X-Content-Type-Options", "nosniff");
    return gateway_answer(request, MHD_HTTP_OK, response);
}

enum gateway_next
gateway_file_delete(struct gateway_request *request)
{
    struct store_change change = {.is_removal = true};
    struct file_record file;
    struct diag diag;
    struct key key;
    int err;

    if (!file_key(request, &key))
        return GATEWAY_ANSWERED;
    diag_init(&diag);
    err = read_file(request, &key, &file, &diag);
    if (err == -ENOENT)
        return fail_file(request);
    change.key = (struct store_key){GATEWAY_TABLE_FILE, key.bytes, key.count};
    if (err == 0 || err == -EBADMSG)
        err = store_commit(request->gateway->config.store, &change, 1, NULL, NULL, &diag);
    return err == 0 ? gateway_answer_ok(request)
                    : gateway_refuse(request, err, "file_unknown", &diag);
}

struct file_list {
    struct buffer *out;
    size_t skip; /* tenant and NUL */
};

static bool
take_file(void *context, const struct store_record *record)
{
    struct file_list *list = context;
    struct file_record file;

    if (record->value_count != sizeof(file))
        return true;
    (void)memcpy(&file, record->value, sizeof(file));
    put_file(list->out, (const char *)record->key + list->skip, record->key_count - list->skip,
             &file);
    return list->out->err == 0;
}

enum gateway_next
gateway_file_list(struct gateway_request *request)
{
    const char *prefix = gateway_query(request, "prefix");
    struct store_range range = {.table = GATEWAY_TABLE_FILE};
    struct buffer out = {0};
    struct file_list list = {&out, strlen(request->tenant) + 1};
    struct diag diag;
    struct key key;
    int err;

    if (prefix == NULL)
        prefix = "";
    if (!key_make(&key, request->tenant, prefix, strlen(prefix)))
        return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "query_invalid", "shorten it",
                            "prefix is longer than any path");
    range.prefix = key.bytes;
    range.prefix_count = key.count;
    diag_init(&diag);
    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "files", '[');
    err = store_list(request->gateway->config.store, &range, take_file, &list, &diag);
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    if (err == 0)
        return gateway_answer_json(request, MHD_HTTP_OK, &out);
    buffer_fini(&out);
    return gateway_refuse(request, err, "file_unknown", &diag);
}

/* --------------------------------------------------------------------- a tenant's end */

struct removal {
    struct store *store;
    const char *table;
    struct diag *diag;
    int err;
};

static bool
remove_one(void *context, const struct store_record *record)
{
    struct removal *removal = context;
    const struct store_change change = {.key = {removal->table, record->key, record->key_count},
                                        .is_removal = true};

    removal->err = store_commit(removal->store, &change, 1, NULL, NULL, removal->diag);
    return removal->err == 0;
}

int
gateway_files_forget(struct gateway *gateway, const char *tenant, struct diag *diag)
{
    static const char *const tables[] = {GATEWAY_TABLE_FILE, GATEWAY_TABLE_BLOB};
    struct key key;
    int err = 0;

    if (!key_make(&key, tenant, NULL, 0))
        return -EINVAL;
    for (size_t i = 0; err == 0 && i < ARRAY_COUNT(tables); i++) {
        struct removal removal = {gateway->config.store, tables[i], diag, 0};
        const struct store_range range = {
            .table = tables[i], .prefix = key.bytes, .prefix_count = key.count};

        err = store_list(gateway->config.store, &range, remove_one, &removal, diag);
        if (err == 0)
            err = removal.err;
    }
    return err;
}
