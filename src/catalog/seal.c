/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: AES-256-GCM under a key derived from the cluster's. The associated data is the
 * record's key, tenant and name, so a sealed secret opens under its own name alone; the
 * nonce is random, 96 bits, which is safe for far more than any cluster's secrets (2^32).
 */
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/fault.h"
#include "catalog/catalog_internal.h"

int
catalog_derive(const uint8_t key[CATALOG_KEY_BYTES], const char *label,
               uint8_t out[CATALOG_KEY_BYTES])
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key,
                                          CATALOG_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label,
                                          strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    bool is_done = context != NULL && EVP_KDF_derive(context, out, CATALOG_KEY_BYTES, params) == 1;

    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return is_done ? 0 : -EIO;
}

static bool
run_cipher(EVP_CIPHER_CTX *context, const uint8_t *aad, size_t aad_count, const uint8_t *in,
           uint8_t *out, size_t count)
{
    int done, more = 0;

    return EVP_CipherUpdate(context, NULL, &done, aad, (int)aad_count) == 1 &&
           EVP_CipherUpdate(context, out, &done, in, (int)count) == 1 &&
           EVP_CipherFinal_ex(context, out + done, &more) == 1 && (size_t)(done + more) == count;
}

int
catalog_seal(const struct catalog *catalog, const struct catalog_key *key, const char *plain,
             size_t count, struct buffer *out)
{
    size_t at = out->count;
    EVP_CIPHER_CTX *context;
    uint8_t *nonce, *text;
    int err = fault_point("catalog.seal");

    if (err != 0)
        return err;
    buffer_append(out, NULL, CATALOG_NONCE_BYTES + count + CATALOG_TAG_BYTES);
    if (out->err != 0)
        return out->err;
    nonce = out->bytes + at;
    text = nonce + CATALOG_NONCE_BYTES;
    context = EVP_CIPHER_CTX_new();
    if (context == NULL)
        return -ENOMEM;
    if (RAND_bytes(nonce, CATALOG_NONCE_BYTES) != 1 ||
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, catalog->sealing_key, nonce, 1) != 1 ||
        !run_cipher(context, key->bytes, key->count, (const uint8_t *)plain, text, count) ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CATALOG_TAG_BYTES, text + count) != 1)
        err = -EIO;
    EVP_CIPHER_CTX_free(context); /* wipes its keys */
    return err;
}

static const ProtobufCBinaryData *
box_of(const struct catalog_item *item)
{
    return &((const Catalog__Variable *)(const void *)item->message)->sealed->box;
}

size_t
catalog_sealed_count(const struct catalog_item *item)
{
    return box_of(item)->len - CATALOG_NONCE_BYTES - CATALOG_TAG_BYTES;
}

int
catalog_unseal(const struct catalog *catalog, const struct catalog_item *item, uint8_t *out,
               struct diag *diag)
{
    size_t count = catalog_sealed_count(item);
    uint8_t *nonce = box_of(item)->data, *text = nonce + CATALOG_NONCE_BYTES;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool is_done;

    if (context == NULL)
        return -ENOMEM;
    is_done =
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, catalog->sealing_key, nonce, 0) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CATALOG_TAG_BYTES, text + count) == 1 &&
        run_cipher(context, item->key, item->key_count, text, out, count);
    EVP_CIPHER_CTX_free(context);
    if (is_done)
        return 0;
    explicit_bzero(out, count);
    return diag_set(diag, -EBADMSG,
                    "secret %s of %s was not sealed for this name, or is damaged: "
                    "put it again",
                    item->name, item->tenant);
}

int
catalog_hash(const struct catalog *catalog, const void *bytes, size_t count,
             uint8_t out[CATALOG_HASH_BYTES])
{
    return EVP_Digest(bytes, count, out, NULL, catalog->sha256, NULL) == 1 ? 0 : -ENOMEM;
}
