/* SPDX-License-Identifier: Apache-2.0
 *
 * Which receive a message is for (MPI 3.1, 3.5: messages do not overtake).
 *
 * Posted receives and kept messages are in queues by (context, source, tag), found by a hash. A
 * receive is in one queue, that of what it asks for, wildcards included: for a message the heads of
 * the at most four queues that fit are compared by the order of posting. A message is in the queue
 * of what it is, and in those with wildcards from the first time on that anybody asks with such:
 * the first of the queue that is asked for is the answer. So neither members nor messages slow
 * it down.
 *
 * Most of the time one receive is posted: it is kept aside (sole), and compared with.
 */
#include <stdlib.h>

#include "message_internal.h"

#define BUCKETS_FIRST 64u
#define ANY_SOURCE    1u /* bits of a kind */
#define ANY_TAG       2u

struct mpi_match_queue {
    struct mpi_match_key key;
    struct mpi_match_link *first, *last;
    struct mpi_match_queue *next; /* in its bucket, or of the free ones */
};

struct table {
    struct mpi_match_queue **buckets;
    uint32_t mask, count;
};

static struct mpi_match_queue *free_queues;

/* Receives. */
static struct table posted;
static uint32_t posted_count[MPI_MATCH_KINDS];
static uint64_t posted_order;
static struct mpi_transfer *sole; /* posted, and in no queue: then all are empty */

/* Messages. */
static struct table kept;
static struct mpi_arrival *kept_first, *kept_last;
static unsigned kept_kinds = 1; /* bits: which queues they are in */
static struct mpi_prober *probers;

/* ---------------------------------------------------------------------------- queues */

static inline unsigned
kind_of(struct mpi_match_key key)
{
    return (key.source == MPI_ANY_SOURCE ? ANY_SOURCE : 0) | (key.tag == MPI_ANY_TAG ? ANY_TAG : 0);
}

static inline struct mpi_match_key
key_of(const struct mpi_message_head *head, unsigned kind)
{
    return (struct mpi_match_key){.context = head->context,
                                  .source = kind & ANY_SOURCE ? MPI_ANY_SOURCE : head->source,
                                  .tag = kind & ANY_TAG ? MPI_ANY_TAG : head->tag};
}

static inline bool
is_same(struct mpi_match_key one, struct mpi_match_key other)
{
    return one.context == other.context && one.source == other.source && one.tag == other.tag;
}

static inline bool
is_for(struct mpi_match_key key, const struct mpi_message_head *head)
{
    return key.context == head->context &&
           (key.source == head->source || key.source == MPI_ANY_SOURCE) &&
           (key.tag == head->tag || key.tag == MPI_ANY_TAG);
}

static inline uint32_t
hash(struct mpi_match_key key)
{
    uint32_t value = key.context * 0x9e3779b1u;

    value = (value ^ (uint32_t)key.source) * 0x85ebca6bu;
    value = (value ^ value >> 15 ^ (uint32_t)key.tag) * 0xc2b2ae35u;
    return value ^ value >> 16;
}

static struct mpi_match_queue *
queue_find(const struct table *table, struct mpi_match_key key)
{
    struct mpi_match_queue *queue;

    if (table->count == 0)
        return NULL;
    queue = table->buckets[hash(key) & table->mask];
    while (queue != NULL && !is_same(queue->key, key))
        queue = queue->next;
    return queue;
}

/* Without memory it stays as it is, only slower. */
static void
table_grow(struct table *table)
{
    uint32_t mask = table->mask == 0 ? BUCKETS_FIRST - 1 : table->mask * 2 + 1;
    struct mpi_match_queue **buckets = calloc((size_t)mask + 1, sizeof(*buckets)), *queue, *next;

    if (buckets == NULL)
        return;
    for (uint32_t i = 0; table->buckets != NULL && i <= table->mask; i++) {
        for (queue = table->buckets[i]; queue != NULL; queue = next) {
            uint32_t at = hash(queue->key) & mask;

            next = queue->next;
            queue->next = buckets[at];
            buckets[at] = queue;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = mask;
}

/* NULL: no memory. */
static struct mpi_match_queue *
queue_add(struct table *table, struct mpi_match_key key)
{
    struct mpi_match_queue *queue = free_queues, **bucket;

    if (queue != NULL)
        free_queues = queue->next;
    else
        queue = malloc(sizeof(*queue));
    if (queue == NULL)
        return NULL;
    if (table->count++ > table->mask)
        table_grow(table);
    bucket = &table->buckets[hash(key) & table->mask];
    *queue = (struct mpi_match_queue){.key = key, .next = *bucket};
    *bucket = queue;
    return queue;
}

static void
queue_remove(struct table *table, struct mpi_match_queue *queue)
{
    struct mpi_match_queue **at = &table->buckets[hash(queue->key) & table->mask];

    while (*at != queue)
        at = &(*at)->next;
    *at = queue->next;
    table->count--;
    queue->next = free_queues;
    free_queues = queue;
}

/* At the end of the queue of this key. False: no memory. */
static bool
link_add(struct table *table, struct mpi_match_key key, struct mpi_match_link *link, void *item)
{
    struct mpi_match_queue *queue = queue_find(table, key);

    if (queue == NULL)
        queue = queue_add(table, key);
    if (queue == NULL)
        return false;
    *link = (struct mpi_match_link){.previous = queue->last, .queue = queue, .item = item};
    if (queue->last != NULL)
        queue->last->next = link;
    else
        queue->first = link;
    queue->last = link;
    return true;
}

static void
link_remove(struct table *table, struct mpi_match_link *link)
{
    struct mpi_match_queue *queue = link->queue;

    *(link->previous != NULL ? &link->previous->next : &queue->first) = link->next;
    *(link->next != NULL ? &link->next->previous : &queue->last) = link->previous;
    link->queue = NULL;
    if (queue->first == NULL)
        queue_remove(table, queue);
}

/* -------------------------------------------------------------------------- receives */

static inline struct mpi_match_key
key_of_receive(const struct mpi_transfer *receive)
{
    return (struct mpi_match_key){receive->part.context, receive->part.rank, receive->part.tag};
}

static int
post(struct mpi_transfer *receive)
{
    struct mpi_match_key key = key_of_receive(receive);

    if (!link_add(&posted, key, &receive->link, receive))
        return MPI_ERR_NO_MEM;
    posted_count[kind_of(key)]++;
    return MPI_SUCCESS;
}

int
mpi_match_post(struct mpi_transfer *receive)
{
    receive->order = ++posted_order;
    receive->link.queue = NULL;
    if (posted.count == 0 && sole == NULL) {
        sole = receive;
        return MPI_SUCCESS;
    }
    if (sole != NULL) {
        if (post(sole) != MPI_SUCCESS)
            return MPI_ERR_NO_MEM;
        sole = NULL;
    }
    return post(receive);
}

bool
mpi_match_unpost(struct mpi_transfer *receive)
{
    if (sole == receive) {
        sole = NULL;
        return true;
    }
    if (receive->link.queue == NULL)
        return false;
    posted_count[kind_of(key_of_receive(receive))]--;
    link_remove(&posted, &receive->link);
    return true;
}

static struct mpi_transfer *
take_sole(const struct mpi_message_head *head)
{
    struct mpi_transfer *receive = sole;

    if (!is_for(key_of_receive(receive), head))
        return NULL;
    sole = NULL;
    return receive;
}

struct mpi_transfer *
mpi_match_take_posted(const struct mpi_message_head *head)
{
    struct mpi_transfer *first = NULL;

    if (sole != NULL)
        return take_sole(head);
    if (posted.count == 0)
        return NULL;
    for (unsigned kind = 0; kind < MPI_MATCH_KINDS; kind++) {
        const struct mpi_match_queue *queue =
            posted_count[kind] > 0 ? queue_find(&posted, key_of(head, kind)) : NULL;
        struct mpi_transfer *receive = queue != NULL ? queue->first->item : NULL;

        if (receive != NULL && (first == NULL || receive->order < first->order))
            first = receive;
    }
    if (first != NULL)
        (void)mpi_match_unpost(first);
    return first;
}

/* -------------------------------------------------------------------------- messages */

static void
keep_in_queue(struct mpi_arrival *arrival, unsigned kind)
{
    if (!link_add(&kept, key_of(&arrival->head, kind), &arrival->links[kind], arrival))
        mpi_message_no_memory();
}

void
mpi_match_keep(struct mpi_arrival *arrival)
{
    mpi_message_counts.unexpected++;
    mpi_message_counts.kept++;
    arrival->next = NULL;
    arrival->previous = kept_last;
    *(kept_last != NULL ? &kept_last->next : &kept_first) = arrival;
    kept_last = arrival;
    for (unsigned kind = 0; kind < MPI_MATCH_KINDS; kind++) {
        arrival->links[kind].queue = NULL;
        if (kept_kinds & 1u << kind)
            keep_in_queue(arrival, kind);
    }
    for (struct mpi_prober *prober = probers; prober != NULL; prober = prober->next)
        if (is_for(prober->key, &arrival->head))
            prober->is_found = true;
    if (probers != NULL)
        mpi_progress_wake();
}

/* From now on messages are in queues of that kind too. */
static void
begin_kind(unsigned kind)
{
    kept_kinds |= 1u << kind;
    for (struct mpi_arrival *arrival = kept_first; arrival != NULL; arrival = arrival->next)
        keep_in_queue(arrival, kind);
}

struct mpi_arrival *
mpi_match_find(struct mpi_match_key key)
{
    const struct mpi_match_queue *queue;
    unsigned kind;

    if (kept_first == NULL)
        return NULL;
    kind = kind_of(key);
    if (!(kept_kinds & 1u << kind))
        begin_kind(kind);
    queue = queue_find(&kept, key);
    return queue != NULL ? queue->first->item : NULL;
}

void
mpi_match_remove(struct mpi_arrival *arrival)
{
    mpi_message_counts.kept--;
    *(arrival->previous != NULL ? &arrival->previous->next : &kept_first) = arrival->next;
    *(arrival->next != NULL ? &arrival->next->previous : &kept_last) = arrival->previous;
    for (unsigned kind = 0; kind < MPI_MATCH_KINDS; kind++)
        if (arrival->links[kind].queue != NULL)
            link_remove(&kept, &arrival->links[kind]);
}

static bool
is_meant(const struct mpi_arrival *arrival, uint32_t from, const struct mpi_message_head *cancel)
{
    const struct mpi_message_head *head = &arrival->head;

    return arrival->from == from &&
           (head->kind == MPI_MESSAGE_OFFER || head->id != 0 ? head->id == cancel->id
                                                             : head->address == cancel->address);
}

struct mpi_arrival *
mpi_match_find_sent(uint32_t from, const struct mpi_message_head *cancel)
{
    const struct mpi_match_queue *queue = queue_find(&kept, key_of(cancel, 0));
    struct mpi_match_link *link = queue != NULL ? queue->first : NULL;

    while (link != NULL && !is_meant(link->item, from, cancel))
        link = link->next;
    return link != NULL ? link->item : NULL;
}

void
mpi_prober_add(struct mpi_prober *prober)
{
    prober->next = probers;
    probers = prober;
}

void
mpi_prober_remove(struct mpi_prober *prober)
{
    struct mpi_prober **at = &probers;

    while (*at != prober)
        at = &(*at)->next;
    *at = prober->next;
}

/* ----------------------------------------------------------------- beginning and end */

void
mpi_match_init(void)
{
    table_grow(&posted);
    table_grow(&kept);
    if (posted.buckets == NULL || kept.buckets == NULL)
        mpi_message_no_memory();
}

static void
table_fini(struct table *table)
{
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct mpi_match_queue *queue, *next;

        for (queue = table->buckets[i]; queue != NULL; queue = next) {
            next = queue->next;
            free(queue);
        }
    }
    free(table->buckets);
    *table = (struct table){0};
}

/* What nobody has received by now is dropped. */
void
mpi_match_fini(void)
{
    while (kept_first != NULL) {
        struct mpi_arrival *arrival = kept_first;

        mpi_match_remove(arrival);
        mpi_arrival_destroy(arrival);
    }
    table_fini(&posted);
    table_fini(&kept);
    sole = NULL;
    while (free_queues != NULL) {
        struct mpi_match_queue *queue = free_queues;

        free_queues = queue->next;
        free(queue);
    }
}
