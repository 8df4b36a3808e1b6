/* SPDX-License-Identifier: Apache-2.0
 *
 * What strangers send, as what the gateway works with: descriptions of versions, answers of
 * HTTP triggers, percent signs. Without I/O; the fuzzer has all of it.
 */
#ifndef WEFT_GATEWAY_PARSE_H
#define WEFT_GATEWAY_PARSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"
#include "catalog/catalog.h"

#define GATEWAY_SPEC_ENV_MAX       256u
#define GATEWAY_ANSWER_HEADERS_MAX 64u
#define GATEWAY_SNAPSHOT_BYTES_MAX 64u

/* A version as the body of PUT /v1/functions/NAME describes it. */
struct gateway_spec {
    json_t *json;         /* owned: texts are its */
    const char *snapshot; /* NULL: none */
    bool has_module, has_kind;
    struct catalog_version version; /* its arrays are owned */
};
/* -EINVAL: diag names the field. -ENOMEM. */
int gateway_spec_read(const void *bytes, size_t count, struct gateway_spec *out,
                      struct diag *diag) MUST_CHECK;
void gateway_spec_fini(struct gateway_spec *spec);

/* What a function that an HTTP trigger calls says, where it is an object that has "status". */
struct gateway_reply {
    unsigned status;
    struct buffer body;
    size_t header_count;
    struct {
        const char *name, *value; /* of json */
    } headers[GATEWAY_ANSWER_HEADERS_MAX];
    json_t *json; /* owned */
};
/* -ENOENT: it is none: an answer as it is. -EINVAL: diag says what is wrong with it. */
int gateway_reply_read(const void *bytes, size_t count, struct gateway_reply *out,
                       struct diag *diag) MUST_CHECK;
void gateway_reply_fini(struct gateway_reply *reply);

/* In place; the length. What is no escape stays; %00 becomes a byte that no UTF-8 has. */
size_t gateway_unescape(char *text);

/* "a/b.txt": names that are not empty, . or .., UTF-8 without control characters. */
bool gateway_path_is_good(const char *path);

#endif
