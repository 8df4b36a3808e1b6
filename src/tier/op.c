/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks under way, and their answers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tier/tier_internal.h"

struct op *
tier_op_new(Rpc__StateAsk__IsCase is)
{
    struct op *op = tier_alloc(sizeof(*op));

    if (op == NULL)
        return NULL;
    tier_word_init(&op->word, RPC__STATE_DOWN__IS_ANSWER);
    op->word.op = op;
    op->is = is;
    return op;
}

void
tier_op_free(struct op *op)
{
    ASSERT(op->key == NULL && !op->is_waiting);
    buffer_fini(&op->bytes);
    free(op->runs);
    free(op->prefix);
    free(op->after);
    free(op->lock);
    free(op);
}

bool
tier_op_is_change(const struct op *op)
{
    switch (op->is) {
    case RPC__STATE_ASK__IS__NOT_SET:
    case RPC__STATE_ASK__IS_PUSH:
    case RPC__STATE_ASK__IS_ADD:
    case RPC__STATE_ASK__IS_APPEND:
    case RPC__STATE_ASK__IS_REMOVE:
    case RPC__STATE_ASK__IS_EXPIRE:
        return true;
    default:
        return false;
    }
}

/* Out of its session, to which it says the answer. */
static void
leave_session(struct op *op)
{
    struct tier_session *session = op->session;
    struct op **link = &session->asks[op->number % TIER_ASK_BUCKETS];

    while (*link != op)
        link = &(*link)->next_ask;
    *link = op->next_ask;
    session->ask_count--;
    session->gather_count -= op->is_gathering;
    session->tier->under_way--;
    op->session = NULL;
    tier_say(session, &op->word); /* the op may be gone */
    tier_session_put(session);
}

/* What it has is given back before it is said. */
static void
let_go(struct tier *tier, struct op *op)
{
    struct key *key = op->key;

    tier->gathered -= op->gathered;
    op->gathered = 0;
    op->key = NULL;
    if (key != NULL)
        tier_key_put(tier, key);
}

/* What is over is told for another moment. */
static uint64_t
lives_of(const struct tier *tier, const struct head *head)
{
    uint64_t now = tier_real(tier);

    if (head->kind == TIER_NONE || head->expires_ns == 0)
        return 0;
    return head->expires_ns > now ? head->expires_ns - now : 1;
}

void
tier_op_answer(struct tier *tier, struct op *op, const char *why)
{
    Rpc__StateAnswer *answer = &op->word.answer;

    ASSERT(!op->is_waiting);
    let_go(tier, op);
    /* What was read may be what another has changed by now. A change was committed, or not. */
    if (op->err == 0 && !tier_op_is_change(op) && tier->config.is_leading != NULL &&
        !tier->config.is_leading(tier->config.context)) {
        op->err = -ESHUTDOWN;
        why = "this tier is not the one any more";
    }
    answer->number = op->number;
    answer->err = op->err;
    answer->size = op->head.size;
    answer->version = op->head.version;
    answer->is_log = op->head.kind == TIER_LOG;
    answer->lives_ns = lives_of(tier, &op->head);
    answer->result = op->err == 0 ? op->result : 0;
    if (why != NULL && op->err != 0 && op->word.text == NULL)
        op->word.text = rpc_text(why);
    answer->message = op->word.text != NULL ? op->word.text : (char *)protobuf_c_empty_string;
    if (op->is == RPC__STATE_ASK__IS__NOT_SET) {
        tier_sweep_done(tier, op->err);
        tier_word_free(&op->word);
    } else if (op->session != NULL) {
        leave_session(op);
    } else {
        tier->under_way--;
        LIST_REMOVE(op, here);
        STAILQ_INSERT_TAIL(&tier->answered, &op->word, next);
    }
}

void
tier_op_fail(struct tier *tier, struct op *op, int err, const char *why)
{
    op->err = err;
    tier_op_answer(tier, op, why);
}

void
tier_op_piece(struct tier *tier, struct op *op, const struct head *head, uint64_t offset,
              struct buffer *bytes)
{
    struct word *word = tier_alloc(sizeof(*word));

    if (word == NULL) {
        op->err = -ENOMEM; /* the last piece says it */
        buffer_fini(bytes);
        return;
    }
    tier_word_init(word, RPC__STATE_DOWN__IS_ANSWER);
    word->answer.number = op->number;
    word->answer.has_more = true;
    word->answer.size = head->size;
    word->answer.version = head->version;
    word->answer.offset = offset;
    word->answer.is_held = op->word.answer.is_held;
    word->answer.bytes = (ProtobufCBinaryData){bytes->count, bytes->bytes};
    word->owned = bytes->bytes;
    *bytes = (struct buffer){0};
    tier_say(op->session, word);
    (void)tier;
}

/* ------------------------------------------------------------------------------- start */

static void
start_list(struct tier *tier, struct op *op, const char *key)
{
    op->prefix = strdup(key);
    if (op->prefix == NULL) {
        tier_op_fail(tier, op, -ENOMEM, NULL);
        return;
    }
    op->job.run = tier_list_run;
    tier_job_add(tier, &op->job);
}

void
tier_op_start(struct tier *tier, struct op *op, const char *key, size_t count)
{
    if (tier->is_ending || tier->is_lost) {
        tier_op_fail(tier, op, -ESHUTDOWN, "this tier is not the one any more");
        return;
    }
    if (op->is == RPC__STATE_ASK__IS_LIST) {
        start_list(tier, op, key);
        return;
    }
    op->key = tier_key_get(tier, op->tenant, key, count);
    if (op->key == NULL)
        tier_op_fail(tier, op, -ENOMEM, NULL);
    else if (op->is == RPC__STATE_ASK__IS_LOCK)
        tier_lock_ask(tier, op);
    else if (op->is == RPC__STATE_ASK__IS_UNLOCK)
        tier_lock_unlock(tier, op);
    else if (!tier_read_inline(tier, op)) {
        TAILQ_INSERT_TAIL(&op->key->queue, op, next);
        tier_key_poke(tier, op->key);
    }
}

/* --------------------------------------------------------------- who is in this process */

static uint32_t
bucket_of(const void *context)
{
    return (uint32_t)((uint64_t)(uintptr_t)context * UINT64_C(0x9e3779b97f4a7c15) >> 32) %
           TIER_ASK_BUCKETS;
}

/* With the lock; err: what the ask itself was refused with. */
static void
start_here(struct tier *tier, struct op *op, const char *key, int err, const char *why)
{
    tier->under_way++;
    LIST_INSERT_HEAD(&tier->here[bucket_of(op->context)], op, here);
    op->gathered = op->bytes.capacity + op->run_capacity * sizeof(struct run);
    tier->gathered += op->gathered;
    if (err == 0 && tier->gathered > TIER_GATHER_BYTES_MAX) {
        err = -ENOMEM;
        why = "too many bytes of pushes are under way";
    }
    if (err == 0)
        tier_op_start(tier, op, key, strlen(key));
    else
        tier_op_fail(tier, op, err, why);
}

int
tier_ask(struct tier *tier, const char *tenant, const Rpc__StateAsk *ask, tier_answer_fn done,
         void *context)
{
    struct op *op;
    const char *why = NULL;
    int err;

    if (strnlen(tenant, TIER_TENANT_BYTES_MAX + 1) > TIER_TENANT_BYTES_MAX)
        return -EINVAL;
    op = tier_op_new(ask->is_case);
    if (op == NULL)
        return -ENOMEM;
    op->number = ask->number;
    op->done = done;
    op->context = context;
    err = ask->has_more ? -EINVAL : tier_ask_read(op, ask, true, &why);
    if (err == 0 && ask->is_case == RPC__STATE_ASK__IS_PUSH)
        err = tier_ask_end(op, &why);
    if (tier->config.limits != NULL)
        tier->config.limits(tier->config.context, tenant, &op->limits);
    tier_lock(tier);
    op->tenant = tier_tenant(tier, tenant);
    if (op->tenant == NULL) {
        tier_unlock(tier);
        tier_op_free(op);
        return -ENOMEM;
    }
    start_here(tier, op, ask->key, err, why);
    tier_unlock(tier);
    return 0;
}

void
tier_ask_cancel(struct tier *tier, const void *context)
{
    struct op *op;

    tier_lock(tier);
    LIST_FOREACH(op, &tier->here[bucket_of(context)], here)
    if (op->context == context && op->is == RPC__STATE_ASK__IS_WATCH)
        break;
    if (op != NULL) {
        op->is_cancelled = true;
        tier_wait_cancel(tier, op, -ECANCELED);
    }
    tier_unlock(tier);
}
