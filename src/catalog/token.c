/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens: "weft_", 43 digits to the base 62 (256 random bits), 6 digits: the CRC-32 of what
 * is before, by which programs that look for lost secrets know one. The store and the
 * index have the SHA-256 of all of it: who reads them cannot call.
 *
 * Finding the hash takes as long as its bits decide, and tells nothing: who could choose
 * them would know the token. It is compared in constant time all the same, also where none
 * was found.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/fault.h"
#include "catalog/catalog_internal.h"

#define PREFIX        "weft_"
#define RANDOM_BYTES  32u
#define RANDOM_DIGITS 43u
#define CHECK_DIGITS  6u

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* The number's digits; bytes is zero afterwards. */
static void
print_digits(uint8_t *bytes, size_t count, char *out, size_t digit_count)
{
    for (size_t i = digit_count; i-- > 0;) {
        unsigned rest = 0;

        for (size_t k = 0; k < count; k++) {
            rest = rest << 8 | bytes[k];
            bytes[k] = (uint8_t)(rest / 62);
            rest %= 62;
        }
        out[i] = digits[rest];
    }
}

static uint32_t
crc_of(const char *text, size_t count)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < count; i++) {
        crc ^= (uint8_t)text[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0 - (crc & 1)));
    }
    return ~crc;
}

static int
make_secret(char secret[CATALOG_TOKEN_BYTES_MAX])
{
    uint8_t bytes[RANDOM_BYTES], check[sizeof(uint32_t)];
    size_t count = sizeof(PREFIX) - 1;
    uint32_t crc;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -EIO;
    memcpy(secret, PREFIX, count);
    print_digits(bytes, sizeof(bytes), secret + count, RANDOM_DIGITS);
    count += RANDOM_DIGITS;
    crc = crc_of(secret, count);
    for (size_t i = 0; i < sizeof(check); i++)
        check[i] = (uint8_t)(crc >> (24 - 8 * i));
    print_digits(check, sizeof(check), secret + count, CHECK_DIGITS);
    secret[count + CHECK_DIGITS] = '\0';
    return 0;
}

/* ---------------------------------------------------------------------------- change */

struct creation {
    const struct catalog_token *token;
    uint8_t hash[CATALOG_HASH_BYTES];
};

/* Those of admins need no tenant. */
static int
change_tokens(struct catalog *catalog, const char *tenant, catalog_decide_fn decide, void *context,
              struct diag *diag)
{
    return tenant != NULL && tenant[0] == '\0'
               ? catalog_change_any(catalog, tenant, decide, context, diag)
               : catalog_change(catalog, tenant, decide, context, diag);
}

static int
decide_create(struct catalog_change *change, void *context)
{
    struct creation *creation = context;
    const struct catalog_token *token = creation->token;
    Catalog__Token message = CATALOG__TOKEN__INIT;
    struct catalog_key key;

    if (catalog_change_find(change, CATALOG_RECORD_TOKEN, token->name) != NULL)
        return diag_set(change->diag, -EEXIST, "token %s: there is one of this name", token->name);
    if (change->space != NULL && change->space->counts[CATALOG_RECORD_TOKEN] >= CATALOG_TOKENS_MAX)
        return diag_set(change->diag, -ENOSPC, "token %s: there are %u: remove some", token->name,
                        CATALOG_TOKENS_MAX);
    message.hash = (ProtobufCBinaryData){sizeof(creation->hash), creation->hash};
    message.roles = token->roles;
    message.expires_s = token->expires_s;
    message.created_s = catalog_now_s();
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_TOKEN, token->name);
    return catalog_change_put(change, &key, &message.base);
}

int
catalog_token_create(struct catalog *catalog, const struct catalog_token *token,
                     char secret[CATALOG_TOKEN_BYTES_MAX], struct diag *diag)
{
    struct creation creation = {.token = token};
    char made[CATALOG_TOKEN_BYTES_MAX] = {0};
    int err = catalog_check_name("token", token->name, diag);

    if (err == 0)
        err = fault_point("catalog.random");
    if (err == 0)
        err = make_secret(made);
    if (err == 0)
        err = catalog_hash(catalog, made, strlen(made), creation.hash);
    if (err == 0)
        err = change_tokens(catalog, token->tenant, decide_create, &creation, diag);
    if (err == 0)
        memcpy(secret, made, sizeof(made));
    explicit_bzero(made, sizeof(made));
    return err == 0 ? 0 : diag_set(diag, err, "cannot make a token: %s", strerror(-err));
}

static int
decide_remove(struct catalog_change *change, void *context)
{
    const char *name = context;
    struct catalog_key key;

    if (catalog_change_find(change, CATALOG_RECORD_TOKEN, name) == NULL)
        return diag_set(change->diag, -ENOENT, "there is no token %s", name);
    catalog_key_make(&key, change->tenant, CATALOG_RECORD_TOKEN, name);
    return catalog_change_remove(change, &key);
}

int
catalog_token_remove(struct catalog *catalog, const char *tenant, const char *name,
                     struct diag *diag)
{
    int err = catalog_check_name("token", name, diag);

    return err != 0 ? err
                    : change_tokens(catalog, tenant, decide_remove, (void *)(uintptr_t)name, diag);
}

int
catalog_token_list(struct catalog *catalog, const char *tenant, catalog_token_fn visit,
                   void *context, struct diag *diag)
{
    struct catalog_items items;
    int err = catalog_index_collect(catalog, tenant, CATALOG_RECORD_TOKEN, &items, diag);

    if (err != 0)
        return err;
    for (size_t i = 0; i < items.count && visit(context, &items.items[i]->token); i++)
        continue;
    catalog_items_fini(&items);
    return 0;
}

/* -------------------------------------------------------------------------- identify */

int
catalog_identify(struct catalog *catalog, const char *secret, size_t count,
                 struct catalog_identity *out)
{
    static const uint8_t none[CATALOG_HASH_BYTES];
    const struct catalog_item *item;
    uint8_t hash[CATALOG_HASH_BYTES];
    uint64_t expires_s = 1;
    bool is_valid;
    int err;

    if (count > CATALOG_TOKEN_BYTES_MAX)
        return -EACCES;
    err = catalog_hash(catalog, secret, count, hash);
    if (err != 0)
        return err;
    (void)pthread_rwlock_rdlock(&catalog->lock);
    item = catalog_map_get(&catalog->tokens, hash, sizeof(hash));
    is_valid =
        CRYPTO_memcmp(
            hash, item == NULL ? none : ((const Catalog__Token *)(void *)item->message)->hash.data,
            sizeof(hash)) == 0;
    if (item != NULL)
        expires_s = item->token.expires_s;
    is_valid = (expires_s == 0 || expires_s > catalog_now_s()) & is_valid;
    if (is_valid) {
        memcpy(out->tenant, item->tenant, strlen(item->tenant) + 1);
        memcpy(out->token, item->name, strlen(item->name) + 1);
        out->roles = item->token.roles;
    }
    (void)pthread_rwlock_unlock(&catalog->lock);
    return is_valid ? 0 : -EACCES;
}
