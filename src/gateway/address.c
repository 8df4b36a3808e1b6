/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has which load address, among all images of the cluster. A cell maps each image where
 * it was compiled for, so no two of them may be in one place, whichever planner compiled
 * them and in which directory:
 *
 *   table address    number of the unit, 8 bytes, most significant first    image's id
 *
 * A unit is taken before compilation, by compare and create; and once more in the commit
 * that makes the image known, so that what was given back in between (by a planner that
 * compiled the same and failed) is noticed.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "gateway/gateway_internal.h"

#define TABLE       "address"
#define ID_BYTES    64u
#define ATTEMPTS    16 /* at a commit that another one overtakes */
#define CHANGES_MAX (COMPILE_RANGE_MAX + 1)

struct units {
    struct store *store;
    const char *id;
    uint8_t keys[COMPILE_RANGE_MAX][8];
    struct store_change changes[CHANGES_MAX];
    size_t count;
};

static struct store_key
key_of(struct units *units, uint64_t unit)
{
    uint8_t *bytes = units->keys[units->count];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(unit >> (56 - 8 * i));
    return (struct store_key){TABLE, bytes, 8};
}

/* Adds a change of the unit, under the condition that it is as it was read. -EEXIST: it is
 * another image's; -ENOENT: nobody's, and is_removal. */
static int
add_unit(struct units *units, uint64_t unit, bool is_removal, struct diag *diag)
{
    struct store_change *change = &units->changes[units->count];
    struct buffer value = {0};
    uint64_t version = 0;
    int err;

    *change = (struct store_change){.key = key_of(units, unit),
                                    .condition = STORE_ABSENT,
                                    .is_removal = is_removal,
                                    .value = is_removal ? NULL : units->id,
                                    .count = is_removal ? 0 : ID_BYTES};
    err = store_get(units->store, &change->key, &value, &version, diag);
    if (err == 0) {
        change->condition = STORE_VERSION;
        change->version = version;
        if (value.count != ID_BYTES || memcmp(value.bytes, units->id, ID_BYTES) != 0)
            err = -EEXIST;
    } else if (err == -ENOENT && !is_removal) {
        err = 0;
    }
    buffer_fini(&value);
    units->count += err == 0;
    return err;
}

int
gateway_address_take(struct gateway *gateway, const char *id, struct compile_range range,
                     const struct store_change *with, struct diag *diag)
{
    struct units units = {.store = gateway->config.store, .id = id};
    int err = -EAGAIN;

    ASSERT(range.count <= COMPILE_RANGE_MAX && strlen(id) == ID_BYTES);
    for (int attempt = 0; err == -EAGAIN && attempt < ATTEMPTS; attempt++) {
        struct diag overtaken;

        err = 0;
        units.count = 0;
        for (uint64_t i = 0; err == 0 && i < range.count; i++)
            err = add_unit(&units, range.first + i, false, diag);
        if (err != 0)
            return err;
        if (with != NULL)
            units.changes[units.count++] = *with;
        diag_init(&overtaken);
        err = store_commit(units.store, units.changes, units.count, NULL, NULL, &overtaken);
        if (err != 0 && err != -EAGAIN)
            return diag_set(diag, err, "%s", diag_text(&overtaken));
    }
    return err == 0 ? 0 : diag_set(diag, err, "others take the same address: try again");
}

void
gateway_address_give_back(struct gateway *gateway, const char *id, struct compile_range range,
                          const struct store_change *unless)
{
    struct units units = {.store = gateway->config.store, .id = id};
    int err = 0;

    for (uint64_t i = 0; (err == 0 || err == -EEXIST || err == -ENOENT) && i < range.count; i++)
        err = add_unit(&units, range.first + i, true, NULL);
    if (units.count == 0)
        return;
    if (unless != NULL)
        units.changes[units.count++] = *unless;
    /* What stays is lost to others, and found again by the same image. */
    (void)!store_commit(units.store, units.changes, units.count, NULL, NULL, NULL);
}
