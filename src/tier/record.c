/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the store:
 *
 *   state-head    tenant NUL key               kind, size, version, expiry, first record
 *   state-chunk   tenant NUL key NUL number    64 KiB of a value, zeros at the end cut; none: zeros
 *   state-record  tenant NUL key NUL index     of a log
 *   state-due     expiry tenant NUL key        in order of time; changes with the head
 *   state-redo    tenant NUL key               what is decided and not done (redo.c)
 *   state-part    tenant NUL key NUL number    a chunk of it
 *   state-tenant  tenant                       the floor of versions
 *   state-epoch   one                          how many tiers there were
 *
 * Numbers in keys have their highest byte first, so that their order is the keys'.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "tier/tier_internal.h"

const char tier_table_head[] = "state-head", tier_table_chunk[] = "state-chunk",
           tier_table_record[] = "state-record", tier_table_due[] = "state-due",
           tier_table_redo[] = "state-redo", tier_table_part[] = "state-part",
           tier_table_tenant[] = "state-tenant", tier_table_epoch[] = "state-epoch";

static_assert(TIER_FOLDER_BYTES_MAX + 8 <= STORE_KEY_BYTES_MAX, "a key of the store");

void
tier_number_write(uint8_t *bytes, uint64_t number)
{
    number = htobe64(number);
    memcpy(bytes, &number, sizeof(number));
}

uint64_t
tier_number_read(const uint8_t *bytes)
{
    uint64_t number;

    memcpy(&number, bytes, sizeof(number));
    return be64toh(number);
}

void
tier_name(const struct key *key, struct folder *out)
{
    size_t count = strlen(key->tenant->name) + 1;

    memcpy(out->bytes, key->tenant->name, count);
    memcpy(out->bytes + count, key->name, key->count);
    out->count = count + key->count;
}

void
tier_folder(const struct key *key, struct folder *out)
{
    tier_name(key, out);
    out->bytes[out->count++] = '\0';
}

void
tier_folder_number(struct folder *folder, uint64_t number)
{
    ASSERT(folder->count + sizeof(number) <= sizeof(folder->bytes));
    tier_number_write(folder->bytes + folder->count, number);
    folder->count += sizeof(number);
}

void
tier_due(const struct key *key, uint64_t expires_ns, struct folder *out)
{
    struct folder name;

    tier_name(key, &name);
    tier_number_write(out->bytes, expires_ns);
    memcpy(out->bytes + sizeof(expires_ns), name.bytes, name.count);
    out->count = sizeof(expires_ns) + name.count;
}

void
tier_head_write(const struct head *head, uint8_t bytes[TIER_HEAD_BYTES])
{
    tier_number_write(bytes, (uint64_t)head->kind);
    tier_number_write(bytes + 8, head->size);
    tier_number_write(bytes + 16, head->version);
    tier_number_write(bytes + 24, head->expires_ns);
    tier_number_write(bytes + 32, head->first);
}

int
tier_head_read(const uint8_t *bytes, size_t count, struct head *out)
{
    uint64_t kind = count == TIER_HEAD_BYTES ? tier_number_read(bytes) : UINT64_MAX;

    if (kind > TIER_LOG)
        return -EBADMSG;
    out->kind = (enum tier_kind)kind;
    out->size = tier_number_read(bytes + 8);
    out->version = tier_number_read(bytes + 16);
    out->expires_ns = tier_number_read(bytes + 24);
    out->first = tier_number_read(bytes + 32);
    if (kind == TIER_VALUE && out->size > TIER_VALUE_BYTES_MAX)
        return -EBADMSG;
    return kind == TIER_LOG && out->first > out->version ? -EBADMSG : 0;
}

static int
read_head(struct tier *tier, struct key *key, struct head *out, struct diag *diag)
{
    struct buffer value = {0};
    struct folder name;
    struct head head = {0};
    int err = fault_point("tier.read");

    tier_name(key, &name);
    if (err == 0)
        err = store_get(tier->config.store,
                        &(struct store_key){tier_table_head, name.bytes, name.count}, &value,
                        &head.stored, diag);
    if (err == 0)
        err = tier_head_read(value.bytes, value.count, &head);
    buffer_fini(&value);
    if (err == -ENOENT)
        head = (struct head){0};
    if (err == 0 || err == -ENOENT)
        *out = head;
    return err == -ENOENT ? 0 : err;
}

/* With the lock: the tenant's counts are as the store has it. */
static void
count(struct key *key, const struct head *head)
{
    if (key->is_uncertain) {
        key->tenant->bytes += head->size - key->counted;
        key->tenant->keys += (uint64_t)(head->kind != TIER_NONE) - key->is_counted;
    }
    key->counted = head->size;
    key->is_counted = head->kind != TIER_NONE;
}

int
tier_head_load(struct tier *tier, struct key *key, struct diag *diag)
{
    struct head head;
    bool is_known, is_uncertain;
    int err = 0;

    tier_lock(tier);
    is_known = key->is_known;
    is_uncertain = key->is_uncertain;
    tier_unlock(tier);
    if (is_known)
        return 0;
    if (is_uncertain)
        err = tier_redo_end(tier, key, NULL, diag);
    if (err == 0)
        err = read_head(tier, key, &head, diag);
    if (err != 0)
        return err;
    tier_lock(tier);
    if (!key->is_known) {
        count(key, &head);
        key->head = head;
        key->is_known = true;
        key->is_uncertain = false;
    }
    tier_unlock(tier);
    return 0;
}

int
tier_chunk_load(struct tier *tier, struct key *key, uint64_t number, struct chunk **out,
                struct diag *diag)
{
    struct buffer value = {0};
    struct folder name;
    uint64_t version;
    int err;

    *out = tier_cache_get(&tier->cache, key, number);
    if (*out != NULL)
        return 0;
    tier_folder(key, &name);
    tier_folder_number(&name, number);
    err = fault_point("tier.read");
    if (err == 0)
        err = store_get(tier->config.store,
                        &(struct store_key){tier_table_chunk, name.bytes, name.count}, &value,
                        &version, diag);
    if (err == 0 && value.count > TIER_CHUNK_BYTES)
        err = diag_set(diag, -EBADMSG, "a chunk of state has %zu bytes", value.count);
    if (err != 0 && err != -ENOENT) {
        buffer_fini(&value);
        return err;
    }
    buffer_trim(&value);
    *out = tier_cache_put(&tier->cache, key, number, value.bytes, (uint32_t)value.count);
    return *out == NULL ? -ENOMEM : 0;
}
