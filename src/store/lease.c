/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases, of two records each:
 *
 *   lease  name  ->  until (8 bytes, ns of the store's clock, little-endian) holder
 *   term   name  ->  holder            its version is the term
 *
 * The first changes with every renewal, the second only with the holder: so the term is
 * a condition that stays true while the holder stays, and is never true again afterwards.
 * Both are changed in one commit, on the condition that the first has not changed since
 * it was read. `until` is counted from a clock that was read before the commit: the
 * lease ends early rather than late.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "store/store_internal.h"

#define TRIES 16 /* that another changed it in between */

struct lease {
    const char *name, *holder;
    uint64_t now, until;
    uint64_t version, term; /* 0: there is none yet */
    struct buffer current;
};

static struct store_key
key_of(const char *table, const char *name)
{
    return (struct store_key){.table = table, .bytes = name, .count = strlen(name)};
}

static int
check_names(const char *name, const char *holder, struct diag *diag)
{
    size_t name_count = strnlen(name, STORE_KEY_BYTES_MAX + 1);
    size_t holder_count = strnlen(holder, STORE_KEY_BYTES_MAX + 1);

    if (name_count - 1 < STORE_KEY_BYTES_MAX && holder_count - 1 < STORE_KEY_BYTES_MAX)
        return 0;
    return diag_set(diag, -EINVAL, "a lease's name and its holder have 1 to %u bytes",
                    STORE_KEY_BYTES_MAX);
}

static int
read_lease(struct store *store, struct lease *lease, struct diag *diag)
{
    const struct store_key lease_key = key_of(STORE_LEASE_TABLE, lease->name);
    const struct store_key term_key = key_of(STORE_TERM_TABLE, lease->name);
    struct buffer term = {0};
    int err;

    lease->version = lease->term = 0;
    lease->current.count = 0;
    err = store_get(store, &lease_key, &lease->current, &lease->version, diag);
    if (err == 0 && lease->current.count < sizeof(uint64_t))
        err = diag_set(diag, -EBADMSG, "lease %s: the record is not a lease", lease->name);
    if (err == 0 || err == -ENOENT)
        err = store_get(store, &term_key, &term, &lease->term, diag);
    buffer_fini(&term);
    return err == -ENOENT ? 0 : err;
}

static bool
is_holder(const struct lease *lease)
{
    size_t count = strlen(lease->holder);

    return lease->version != 0 && lease->term != 0 &&
           lease->current.count == sizeof(uint64_t) + count &&
           memcmp(lease->current.bytes + sizeof(uint64_t), lease->holder, count) == 0;
}

static uint64_t
until_of(const struct lease *lease)
{
    uint64_t until = 0;

    if (lease->version != 0)
        memcpy(&until, lease->current.bytes, sizeof(until));
    return le64toh(until);
}

/* Writes {until, holder}; and a new term unless one stays. */
static int
write_lease(struct store *store, struct lease *lease, const char *holder, bool has_new_term,
            struct diag *diag)
{
    const uint64_t until = htole64(lease->until);
    struct buffer value = {0};
    struct store_change changes[2];
    int err;

    buffer_append(&value, &until, sizeof(until));
    buffer_append(&value, holder, strlen(holder));
    changes[0] = (struct store_change){
        .key = key_of(STORE_LEASE_TABLE, lease->name),
        .condition = lease->version == 0 ? STORE_ABSENT : STORE_VERSION,
        .version = lease->version,
        .value = value.bytes,
        .count = value.count,
    };
    changes[1] = (struct store_change){
        .key = key_of(STORE_TERM_TABLE, lease->name),
        .condition = lease->term == 0 ? STORE_ABSENT : STORE_VERSION,
        .version = lease->term,
        .value = has_new_term ? holder : NULL,
        .count = has_new_term ? strlen(holder) : 0,
    };
    err = value.err;
    if (err == 0)
        err = store_commit(store, changes, 2, has_new_term ? &lease->term : NULL, NULL, diag);
    buffer_fini(&value);
    return err;
}

/* -EAGAIN: another was quicker. */
static int
try_lease(struct store *store, struct lease *lease, uint64_t ns, struct diag *diag)
{
    int err = store_now(store, &lease->now, diag);

    if (err == 0)
        err = read_lease(store, lease, diag);
    if (err != 0)
        return err;
    if (!is_holder(lease) && until_of(lease) > lease->now)
        return diag_set(diag, -EBUSY, "lease %s: %.*s has it", lease->name,
                        (int)(lease->current.count - sizeof(uint64_t)),
                        (const char *)lease->current.bytes + sizeof(uint64_t));
    lease->until = lease->now + ns < lease->now ? UINT64_MAX : lease->now + ns;
    return write_lease(store, lease, lease->holder, !is_holder(lease), diag);
}

int
store_lease(struct store *store, const char *name, const char *holder, uint64_t ns, uint64_t *term,
            struct diag *diag)
{
    struct lease lease = {.name = name, .holder = holder};
    struct diag each;
    int err = check_names(name, holder, diag);

    if (err != 0)
        return err;
    diag_init(&each);
    for (int i = 0; i < TRIES; i++) {
        diag_init(&each);
        err = try_lease(store, &lease, ns, &each);
        if (err != -EAGAIN)
            break;
    }
    buffer_fini(&lease.current);
    if (err == 0)
        *term = lease.term;
    else
        (void)diag_set(diag, err, "%s", diag_text(&each));
    return err == -EAGAIN ? -EBUSY : err;
}

static int
try_release(struct store *store, struct lease *lease, struct diag *diag)
{
    int err = read_lease(store, lease, diag);

    if (err != 0 || !is_holder(lease))
        return err;
    lease->until = 0;
    return write_lease(store, lease, "", false, diag);
}

int
store_release(struct store *store, const char *name, const char *holder, struct diag *diag)
{
    struct lease lease = {.name = name, .holder = holder};
    struct diag each;
    int err = check_names(name, holder, diag);

    if (err != 0)
        return err;
    diag_init(&each);
    for (int i = 0; i < TRIES; i++) {
        diag_init(&each);
        err = try_release(store, &lease, &each);
        if (err != -EAGAIN)
            break;
    }
    buffer_fini(&lease.current);
    return err == 0 ? 0 : diag_set(diag, err, "%s", diag_text(&each));
}
