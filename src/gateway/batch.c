/* SPDX-License-Identifier: Apache-2.0
 *
 * Many asynchronous calls of one request. All are under way into the store together; the
 * last that is accepted answers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway_internal.h"

struct item {
    struct batch *batch;
    struct gateway_wish wish;
    struct buffer input; /* what base64 said */
    uint64_t id;
    int err; /* 0, -EEXIST, or why not */
    struct diag diag;
};

struct batch {
    struct gateway_request *request;
    json_t *json;
    struct item *items;
    size_t count;
    _Atomic size_t left; /* and one for who submits */
};

static void
batch_free(void *state)
{
    struct batch *batch = state;

    for (size_t i = 0; i < batch->count; i++)
        buffer_fini(&batch->items[i].input);
    free(batch->items);
    json_decref(batch->json);
    free(batch);
}

/* ---------------------------------------------------------------------------- answer */

static void
put_item(struct buffer *out, const struct item *item)
{
    if (item->err == 0 || item->err == -EEXIST) {
        gateway_json_id(out, NULL, item->id);
        return;
    }
    gateway_error_open(out,
                       item->err == -ENOENT   ? "function_unknown"
                       : item->err == -EAGAIN ? "queue_full"
                       : item->err == -EINVAL ? "invalid"
                                              : "not_accepted",
                       item->diag.is_set ? diag_text(&item->diag) : strerror(-item->err),
                       item->err == -ENOENT || item->err == -EINVAL ? "change this call"
                                                                    : "send this call again");
    gateway_json_close(out, '}');
    gateway_json_close(out, '}');
}

static enum gateway_next
answer(struct gateway_request *request)
{
    const struct batch *batch = request->state;
    struct buffer out = {0};

    gateway_json_open(&out, NULL, '{');
    gateway_json_open(&out, "calls", '[');
    for (size_t i = 0; i < batch->count; i++)
        put_item(&out, &batch->items[i]);
    gateway_json_close(&out, ']');
    gateway_json_close(&out, '}');
    return gateway_answer_json(request, MHD_HTTP_ACCEPTED, &out);
}

static bool
is_last(struct batch *batch)
{
    return atomic_fetch_sub_explicit(&batch->left, 1, memory_order_acq_rel) == 1;
}

static void
on_accepted(void *context, int err, uint64_t id)
{
    struct item *item = context;
    struct batch *batch = item->batch;
    struct gateway_request *request = batch->request;

    item->err = err;
    item->id = id;
    if (!is_last(batch))
        return;
    (void)answer(request);
    gateway_resume(request);
}

/* ------------------------------------------------------------------------------ read */

static int
read_item(const json_t *json, struct item *item)
{
    const char *input = NULL, *base64 = NULL;
    const struct gateway_field fields[] = {
        {"function", GATEWAY_TEXT, true, &item->wish.reference},
        {"input", GATEWAY_TEXT, false, &input},
        {"input_base64", GATEWAY_TEXT, false, &base64},
        {"entry", GATEWAY_TEXT, false, &item->wish.entry},
        {"key", GATEWAY_TEXT, false, &item->wish.key},
    };
    int err = json_is_object(json) ? gateway_fields(json, fields, ARRAY_COUNT(fields), &item->diag)
                                   : diag_set(&item->diag, -EINVAL, "each call is an object");

    if (err == 0 && input != NULL && base64 != NULL)
        err = diag_set(&item->diag, -EINVAL, "either input or input_base64");
    if (err == 0 && base64 != NULL &&
        gateway_base64_decode(base64, strlen(base64), &item->input) != 0)
        err = diag_set(&item->diag, -EINVAL, "input_base64 is no base64");
    if (err != 0)
        return err;
    item->wish.input = base64 != NULL ? item->input.bytes : (const uint8_t *)input;
    item->wish.input_count = base64 != NULL ? item->input.count : input != NULL ? strlen(input) : 0;
    if (item->wish.input_count > GATEWAY_ASYNC_BYTES_MAX)
        return diag_set(&item->diag, -EINVAL, "its input has more than %llu bytes",
                        (unsigned long long)GATEWAY_ASYNC_BYTES_MAX);
    return 0;
}

static void
submit_item(struct item *item)
{
    struct gateway_request *request = item->batch->request;
    struct gateway_call call;
    int err = gateway_call_make(request->gateway, request->tenant, request->who.token, &item->wish,
                                &call, &item->diag);

    if (err == 0) {
        err = strcmp(call.call.tenant, request->tenant) != 0
                  ? diag_set(&item->diag, -EINVAL,
                             "functions of other tenants are called synchronously")
                  : planner_call_async(request->gateway->config.planner, &call.call, on_accepted,
                                       NULL, item);
        gateway_call_fini(&call);
    }
    if (err == 0)
        return;
    item->err = err;
    (void)is_last(item->batch); /* never: who submits is still counted */
}

static struct batch *
batch_create(struct gateway_request *request, json_t *json)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    size_t count = json_array_size(json);

    if (batch == NULL)
        return NULL;
    batch->items = calloc(count + 1, sizeof(struct item));
    if (batch->items == NULL) {
        free(batch);
        return NULL;
    }
    batch->request = request;
    batch->json = json;
    batch->count = count;
    batch->left = count + 1;
    return batch;
}

enum gateway_next
gateway_batch_post(struct gateway_request *request)
{
    json_t *json = gateway_body_json(request);
    struct batch *batch;

    if (json == NULL)
        return GATEWAY_ANSWERED;
    if (!json_is_array(json) || json_array_size(json) > GATEWAY_BATCH_MAX) {
        json_decref(json);
        return gateway_fail(request, MHD_HTTP_BAD_REQUEST, "field_invalid",
                            "send [{\"function\":\"...\",\"input\":\"...\"}]",
                            "the body must be an array of at most %u calls", GATEWAY_BATCH_MAX);
    }
    batch = batch_create(request, json);
    if (batch == NULL) {
        json_decref(json);
        return gateway_refuse(request, -ENOMEM, "", NULL);
    }
    request->state = batch;
    request->state_free = batch_free;
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];

        item->batch = batch;
        item->err = read_item(json_array_get(json, i), item);
        if (item->err == 0)
            submit_item(item);
        else
            (void)is_last(batch);
    }
    return is_last(batch) ? answer(request) : GATEWAY_LATER;
}
