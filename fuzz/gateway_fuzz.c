/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes: as JSON, a description of a version, an answer of a trigger, base64, an escaped
 * text, a number, a path. The first byte says as what. libFuzzer target.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "gateway/parsers_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static volatile size_t sink;

/* What jansson takes is valid here, but for zeros at the end, which it does not see, and for
 * what is deeper than it may be. */
static void
read_json(const uint8_t *bytes, size_t count)
{
    bool is_valid = gateway_json_is_valid(bytes, count);
    json_t *json = json_loadb((const char *)bytes, count,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

    ASSERT(json == NULL || is_valid || count > GATEWAY_JSON_DEPTH_MAX ||
           memchr(bytes, 0, count) != NULL);
    json_decref(json);
}

/* What is written is JSON, whatever the bytes are. */
static void
write_json(const uint8_t *bytes, size_t count)
{
    struct buffer out = {0}, back = {0};

    gateway_json_open(&out, NULL, '{');
    gateway_json_bytes(&out, "bytes", bytes, count);
    gateway_json_close(&out, '}');
    ASSERT(gateway_json_is_valid(out.bytes, out.count));
    out.count = 0;
    gateway_json_base64(&out, NULL, bytes, count);
    ASSERT(gateway_base64_decode((char *)out.bytes + 1, out.count - 2, &back) == 0);
    ASSERT(back.count == count && (count == 0 || memcmp(back.bytes, bytes, count) == 0));
    buffer_fini(&out);
    buffer_fini(&back);
}

static void
read_spec(const uint8_t *bytes, size_t count)
{
    struct gateway_spec spec;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = gateway_spec_read(bytes, count, &spec, &diag);
    ASSERT(err == 0 || err == -EINVAL);
    ASSERT(diag.is_set == (err != 0));
    if (err != 0)
        return;
    for (size_t i = 0; i < spec.version.env_count; i++)
        ASSERT(strchr(spec.version.env[i], '=') != NULL);
    for (size_t i = 0; i < spec.version.arg_count; i++)
        sink += strlen(spec.version.args[i]);
    for (size_t i = 0; i < spec.version.file_count; i++)
        sink += strlen(spec.version.files[i].path);
    ASSERT(!spec.has_kind || (spec.snapshot != NULL) == (spec.version.kind == CATALOG_SNAPSHOT));
    gateway_spec_fini(&spec);
}

static void
read_reply(const uint8_t *bytes, size_t count)
{
    struct gateway_reply reply;
    struct diag diag;
    int err;

    diag_init(&diag);
    err = gateway_reply_read(bytes, count, &reply, &diag);
    ASSERT(err == 0 || err == -EINVAL || err == -ENOENT);
    ASSERT(diag.is_set == (err == -EINVAL));
    if (err != 0)
        return;
    ASSERT(reply.status >= 200 && reply.status <= 599);
    for (size_t i = 0; i < reply.header_count; i++)
        ASSERT(strpbrk(reply.headers[i].name, "\r\n: ") == NULL &&
               strpbrk(reply.headers[i].value, "\r\n") == NULL);
    gateway_reply_fini(&reply);
}

static void
read_text(uint8_t kind, char *text)
{
    size_t before = strlen(text), after;
    struct buffer out = {0};
    uint8_t hash[32];
    uint64_t number;

    if (kind == 'e') {
        after = gateway_unescape(text);
        ASSERT(after <= before && strlen(text) == after);
    } else if (kind == 'b') {
        (void)!gateway_base64_decode(text, before, &out);
    } else if (kind == 'n') {
        if (gateway_number_parse(text, 1000, &number))
            ASSERT(number <= 1000);
        sink += gateway_hash_parse(text, hash);
    } else if (kind == 'p' && gateway_path_is_good(text)) {
        ASSERT(text[0] != '/' && strstr(text, "//") == NULL && strstr(text, "/../") == NULL);
        ASSERT(utf8_is_valid(text, before));
    }
    buffer_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text;

    if (count == 0)
        return 0;
    if (bytes[0] == 'j')
        read_json(bytes + 1, count - 1);
    if (bytes[0] == 'w')
        write_json(bytes + 1, count - 1);
    if (bytes[0] == 's')
        read_spec(bytes + 1, count - 1);
    if (bytes[0] == 'r')
        read_reply(bytes + 1, count - 1);
    text = malloc(count);
    if (text == NULL)
        return 0;
    (void)memcpy(text, bytes + 1, count - 1);
    text[count - 1] = '\0';
    read_text(bytes[0], text);
    free(text);
    return 0;
}
