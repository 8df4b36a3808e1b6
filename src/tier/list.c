/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of keys, and a tenant that is forgotten.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

/* A page of items, of which each has its key. */
struct listing {
    struct tier *tier;
    Rpc__StateItem *items;
    Rpc__StateItem **pointers;
    size_t count, capacity, tenant_count;
    struct folder last;
    uint32_t seen;
    uint64_t real_ns;
    int err;
};

static bool
fill(struct listing *listing, Rpc__StateItem *item, const struct store_record *record)
{
    size_t count = record->key_count - listing->tenant_count;
    struct head head = {0};

    listing->err = tier_head_read(record->value, record->value_count, &head);
    if (listing->err != 0)
        return false;
    if (head.expires_ns != 0 && head.expires_ns <= listing->real_ns)
        return true;
    rpc__state_item__init(item);
    item->key = strndup((const char *)record->key + listing->tenant_count, count);
    item->size = head.size;
    item->version = head.version;
    item->is_log = head.kind == TIER_LOG;
    item->lives_ns = head.expires_ns == 0 ? 0 : head.expires_ns - listing->real_ns;
    if (item->key == NULL)
        listing->err = -ENOMEM;
    else
        listing->count++;
    return listing->err == 0;
}

static bool
list_one(void *context, const struct store_record *record)
{
    struct listing *listing = context;

    if (record->key_count > sizeof(listing->last.bytes))
        return false;
    memcpy(listing->last.bytes, record->key, record->key_count);
    listing->last.count = record->key_count;
    listing->seen++;
    return fill(listing, &listing->items[listing->count], record) &&
           listing->count < listing->capacity;
}

static void
listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->items[i].key);
    free(listing->items);
    free(listing->pointers);
}

static int
listing_init(struct listing *listing, struct tier *tier, size_t capacity)
{
    *listing = (struct listing){.tier = tier,
                                .capacity = capacity,
                                .real_ns = tier_real(tier),
                                .items = tier_alloc(capacity * sizeof(Rpc__StateItem)),
                                .pointers = tier_alloc(capacity * sizeof(Rpc__StateItem *))};
    if (listing->items != NULL && listing->pointers != NULL)
        return 0;
    listing_fini(listing);
    return -ENOMEM;
}

/* Fills the listing from `after` on, which goes with it. *is_end: there are no more. */
static int
list_page(struct listing *listing, const struct folder *prefix, struct folder *after, bool *is_end,
          struct diag *diag)
{
    uint32_t wanted = (uint32_t)(listing->capacity - listing->count);
    struct store_range range = {.table = tier_table_head,
                                .prefix = prefix->bytes,
                                .prefix_count = prefix->count,
                                .after = after->bytes,
                                .after_count = after->count,
                                .count_max = wanted};
    int err;

    listing->seen = 0;
    err = store_list(listing->tier->config.store, &range, list_one, listing, diag);
    if (err == 0)
        err = listing->err;
    *is_end = listing->seen < wanted;
    if (listing->seen > 0)
        *after = listing->last;
    return err;
}

static void
hand_over(struct listing *listing, struct word *word)
{
    for (size_t i = 0; i < listing->count; i++)
        listing->pointers[i] = &listing->items[i];
    word->items = listing->items;
    word->answer.items = listing->pointers;
    word->answer.n_items = listing->count;
    listing->items = NULL;
    listing->pointers = NULL;
    listing->count = 0;
}

static int
send_page(struct tier *tier, struct op *op, struct listing *listing)
{
    struct word *word = tier_alloc(sizeof(*word));

    if (word == NULL)
        return -ENOMEM;
    tier_word_init(word, RPC__STATE_DOWN__IS_ANSWER);
    word->answer.number = op->number;
    word->answer.has_more = true;
    hand_over(listing, word);
    tier_lock(tier);
    tier_say(op->session, word);
    tier_unlock(tier);
    return 0;
}

static void
text_folder(const struct tenant *tenant, const char *text, struct folder *out)
{
    size_t count = strlen(tenant->name) + 1, more = strlen(text);

    memcpy(out->bytes, tenant->name, count);
    memcpy(out->bytes + count, text, more);
    out->count = count + more;
}

/* Pages until there are so many or no more; the last one is in listing. */
static int
list_all(struct tier *tier, struct op *op, struct listing *listing, struct diag *diag)
{
    uint32_t left = op->count_max;
    struct folder prefix, after;
    bool is_end = false;
    int err = 0;

    text_folder(op->tenant, op->prefix, &prefix);
    text_folder(op->tenant, op->after, &after);
    while (err == 0) {
        size_t page = op->session != NULL && left > TIER_LIST_PAGE ? TIER_LIST_PAGE : left;

        err = listing_init(listing, tier, page);
        if (err != 0)
            return err;
        listing->tenant_count = strlen(op->tenant->name) + 1;
        while (err == 0 && !is_end && listing->count < page)
            err = list_page(listing, &prefix, &after, &is_end, diag);
        left -= (uint32_t)listing->count;
        if (err == 0 && (is_end || left == 0))
            return 0;
        if (err == 0)
            err = send_page(tier, op, listing);
        listing_fini(listing);
    }
    return err;
}

void
tier_list_run(struct tier *tier, struct job *job)
{
    struct op *op = (struct op *)((char *)job - offsetof(struct op, job));
    struct listing listing = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    if (tier->is_ending || tier->is_lost) {
        tier_op_fail(tier, op, -ESHUTDOWN, "this tier is not the one any more");
        return;
    }
    tier_unlock(tier);
    err = list_all(tier, op, &listing, &diag);
    if (err == 0)
        hand_over(&listing, &op->word);
    tier_lock(tier);
    tier_op_fail(tier, op, err == 0 || err == -ENOMEM ? err : -EIO, diag_text(&diag));
}

/* ---------------------------------------------------------------------------- forgetting */

struct forgetting {
    pthread_mutex_t lock;
    pthread_cond_t change;
    size_t left;
    int err;
    char text[128];
};

static void
forgotten(void *context, const Rpc__StateAnswer *answer)
{
    struct forgetting *forgetting = context;

    (void)pthread_mutex_lock(&forgetting->lock);
    if (answer->err != 0 && answer->err != -ENOENT && forgetting->err == 0) {
        forgetting->err = answer->err;
        (void)snprintf(forgetting->text, sizeof(forgetting->text), "%.120s", answer->message);
    }
    forgetting->left--;
    (void)pthread_cond_signal(&forgetting->change);
    (void)pthread_mutex_unlock(&forgetting->lock);
}

static void
forget_key(struct tier *tier, const char *tenant, char *key, struct forgetting *forgetting)
{
    Rpc__StateRemove remove = RPC__STATE_REMOVE__INIT;
    Rpc__StateAsk ask = RPC__STATE_ASK__INIT;
    int err;

    ask.key = key;
    ask.is_case = RPC__STATE_ASK__IS_REMOVE;
    ask.remove = &remove;
    (void)pthread_mutex_lock(&forgetting->lock);
    forgetting->left++;
    (void)pthread_mutex_unlock(&forgetting->lock);
    err = tier_ask(tier, tenant, &ask, forgotten, forgetting);
    if (err != 0) {
        const Rpc__StateAnswer answer = {.err = err, .message = (char *)protobuf_c_empty_string};

        forgotten(forgetting, &answer);
    }
}

static int
forget_page(struct tier *tier, const struct tenant *tenant, struct forgetting *forgetting,
            bool *is_end, struct diag *diag)
{
    struct folder prefix, after;
    struct listing listing;
    int err = listing_init(&listing, tier, TIER_LIST_PAGE);

    if (err != 0)
        return err;
    listing.real_ns = 0; /* also what is due */
    listing.tenant_count = strlen(tenant->name) + 1;
    text_folder(tenant, "", &prefix);
    after = prefix;
    err = list_page(&listing, &prefix, &after, is_end, diag);
    for (size_t i = 0; err == 0 && i < listing.count; i++)
        forget_key(tier, tenant->name, listing.items[i].key, forgetting);
    (void)pthread_mutex_lock(&forgetting->lock);
    while (forgetting->left > 0)
        (void)pthread_cond_wait(&forgetting->change, &forgetting->lock);
    (void)pthread_mutex_unlock(&forgetting->lock);
    listing_fini(&listing);
    return err != 0 ? err : forgetting->err;
}

int
tier_forget_tenant(struct tier *tier, const char *tenant, struct diag *diag)
{
    struct forgetting forgetting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                    .change = PTHREAD_COND_INITIALIZER};
    struct tenant *found;
    bool is_end = false;
    int err = 0;

    if (strnlen(tenant, TIER_TENANT_BYTES_MAX + 1) > TIER_TENANT_BYTES_MAX)
        return diag_set(diag, -EINVAL, "a tenant's name has at most %u bytes",
                        TIER_TENANT_BYTES_MAX);
    tier_lock(tier);
    found = tier_tenant(tier, tenant);
    tier_unlock(tier);
    if (found == NULL)
        return -ENOMEM;
    while (err == 0 && !is_end)
        err = forget_page(tier, found, &forgetting, &is_end, diag);
    return err == 0 ? 0
                    : diag_set(diag, err, "cannot forget the state of tenant %s: %s", tenant,
                               forgetting.text[0] != '\0' ? forgetting.text : strerror(-err));
}
