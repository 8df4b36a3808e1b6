/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as the gateway writes it (appended to a buffer, commas put where they belong) and
 * reads it (tables of fields over jansson; a validator that makes nothing).
 */
#ifndef WEFT_GATEWAY_JSON_H
#define WEFT_GATEWAY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"

#define GATEWAY_JSON_DEPTH_MAX 1024u
#define GATEWAY_NUMBER_MAX     (UINT64_C(1) << 53) /* what every reader of JSON keeps exactly */

/* key: NULL in an array, and for the outermost. */
void gateway_json_open(struct buffer *out, const char *key, char bracket);
void gateway_json_close(struct buffer *out, char bracket);
void gateway_json_text(struct buffer *out, const char *key, const char *text);
/* What is not UTF-8 becomes U+FFFD. */
void gateway_json_bytes(struct buffer *out, const char *key, const void *bytes, size_t count);
void gateway_json_base64(struct buffer *out, const char *key, const void *bytes, size_t count);
void gateway_json_number(struct buffer *out, const char *key, uint64_t number);
void gateway_json_integer(struct buffer *out, const char *key, int64_t number);
void gateway_json_decimal(struct buffer *out, const char *key, double number);
/* Comes back as the same; what JSON has no number for ("inf", "nan") is a text. */
void gateway_json_double(struct buffer *out, const char *key, double number);
/* A number as text: those of calls are longer than what JavaScript keeps exactly. */
void gateway_json_id(struct buffer *out, const char *key, uint64_t id);
void gateway_json_bool(struct buffer *out, const char *key, bool is);
void gateway_json_null(struct buffer *out, const char *key);
void gateway_json_hash(struct buffer *out, const char *key, const uint8_t bytes[32]);

/* RFC 8259, any value, not deeper than GATEWAY_JSON_DEPTH_MAX. */
bool gateway_json_is_valid(const uint8_t *bytes, size_t count);

/* Appends what base64 (RFC 4648, with its padding, without anything else) says. -EINVAL. */
int gateway_base64_decode(const char *text, size_t count, struct buffer *out) MUST_CHECK;

enum gateway_field_type {
    GATEWAY_TEXT,   /* const char **: borrowed from the JSON */
    GATEWAY_NUMBER, /* uint64_t *: 0 to GATEWAY_NUMBER_MAX */
    GATEWAY_SMALL,  /* uint32_t * */
    GATEWAY_BOOL,   /* bool * */
    GATEWAY_OBJECT, /* json_t **: borrowed */
    GATEWAY_ARRAY,  /* json_t **: borrowed */
    GATEWAY_ANY,    /* json_t **: borrowed */
};
struct gateway_field {
    const char *name;
    enum gateway_field_type type;
    bool is_needed;
    void *out; /* left alone where the field is absent or null */
};

/* Reads an object: no field beside these. -EINVAL: diag names the field. */
int gateway_fields(const json_t *object, const struct gateway_field *fields, size_t count,
                   struct diag *diag) MUST_CHECK;
/* An object; the caller's to json_decref. -EINVAL: diag says line and column. */
int gateway_json_load(const void *bytes, size_t count, json_t **out, struct diag *diag) MUST_CHECK;

/* Decimal digits, nothing else. */
bool gateway_number_parse(const char *text, uint64_t max, uint64_t *out);
bool gateway_hash_parse(const char *text, uint8_t out[32]);

#endif
