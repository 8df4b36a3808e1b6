/* SPDX-License-Identifier: Apache-2.0
 *
 * The XML of ListObjectsV2: elements, text, and the entities of XML; no document types,
 * no sections, no comments within. Attributes are passed over. Anything else is refused.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/store_internal.h"

#define DEPTH_MAX     8u
#define NAME_MAX_HERE 64u
#define TEXT_MAX      (S3_TOKEN_BYTES_MAX - 1)

struct xml {
    const char *at, *end;
    char names[DEPTH_MAX][NAME_MAX_HERE]; /* of the elements that are open */
    size_t depth;
    char text[TEXT_MAX + 1]; /* of the element that closes */
    size_t text_count;

    struct s3_page *page;
    struct s3_object object;
    bool has_key, has_bytes, has_time, has_root, is_over;
    s3_object_fn visit;
    void *context;
};

static bool
take_word(struct xml *xml, const char *word)
{
    size_t count = strlen(word);

    if ((size_t)(xml->end - xml->at) < count || memcmp(xml->at, word, count) != 0)
        return false;
    xml->at += count;
    return true;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
skip_spaces(struct xml *xml)
{
    while (xml->at < xml->end && is_space(*xml->at))
        xml->at++;
}

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static bool
take_name(struct xml *xml, char out[NAME_MAX_HERE])
{
    size_t count = 0;

    while (xml->at < xml->end && is_name_char(*xml->at) && count < NAME_MAX_HERE - 1)
        out[count++] = *xml->at++;
    out[count] = '\0';
    return count > 0 && (xml->at == xml->end || !is_name_char(*xml->at));
}

/* -------------------------------------------------------------------------- meanings */

static bool
parse_number(const char *text, uint64_t *out)
{
    *out = 0;
    if (*text == '\0' || strlen(text) > 18)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *out = *out * 10 + (uint64_t)(*text - '0');
    }
    return true;
}

/* So many digits, and what follows them. */
static bool
take_digits(const char **text, unsigned count, const char *after, int *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *out = *out * 10 + (**text - '0');
    }
    if (strncmp(*text, after, strlen(after)) != 0)
        return false;
    *text += strlen(after);
    return true;
}

/* 2026-01-31T12:34:56Z, or with .123 before the Z. */
static bool
parse_time(const char *text, uint64_t *out)
{
    struct tm tm = {0};
    int ms = 0;
    time_t seconds;

    if (!take_digits(&text, 4, "-", &tm.tm_year) || !take_digits(&text, 2, "-", &tm.tm_mon) ||
        !take_digits(&text, 2, "T", &tm.tm_mday) || !take_digits(&text, 2, ":", &tm.tm_hour) ||
        !take_digits(&text, 2, ":", &tm.tm_min) || !take_digits(&text, 2, "", &tm.tm_sec))
        return false;
    if (*text == '.') {
        text++;
        if (!take_digits(&text, 3, "", &ms))
            return false;
    }
    if (strcmp(text, "Z") != 0 || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    seconds = timegm(&tm);
    if (seconds < 0)
        return false;
    *out = (uint64_t)seconds * CLOCK_NS_PER_SECOND + (uint64_t)ms * 1000000;
    return true;
}

static bool
end_contents(struct xml *xml)
{
    bool is_whole = xml->has_key && xml->has_bytes && xml->has_time;

    xml->has_key = xml->has_bytes = xml->has_time = false;
    if (is_whole && !xml->is_over)
        xml->is_over = !xml->visit(xml->context, &xml->object);
    return is_whole;
}

static bool
end_of_contents_child(struct xml *xml, const char *name)
{
    if (strcmp(name, "Key") == 0) {
        if (xml->has_key || xml->text_count == 0 || xml->text_count >= sizeof(xml->object.key))
            return false;
        memcpy(xml->object.key, xml->text, xml->text_count + 1);
        return xml->has_key = true;
    }
    if (strcmp(name, "Size") == 0)
        return !xml->has_bytes && (xml->has_bytes = parse_number(xml->text, &xml->object.bytes));
    if (strcmp(name, "LastModified") == 0)
        return !xml->has_time && (xml->has_time = parse_time(xml->text, &xml->object.changed_ns));
    return true;
}

/* An element has ended, of the name names[depth]; its parents are below. */
static bool
end_element(struct xml *xml)
{
    const char *name = xml->names[xml->depth];

    xml->text[xml->text_count] = '\0';
    if (memchr(xml->text, '\0', xml->text_count) != NULL)
        return false;
    if (xml->depth == 2 && strcmp(xml->names[1], "Contents") == 0)
        return end_of_contents_child(xml, name);
    if (xml->depth != 1)
        return true;
    if (strcmp(name, "Contents") == 0)
        return end_contents(xml);
    if (strcmp(name, "NextContinuationToken") == 0)
        memcpy(xml->page->token, xml->text, xml->text_count + 1);
    if (strcmp(name, "IsTruncated") == 0) {
        xml->page->is_truncated = strcmp(xml->text, "true") == 0;
        return xml->page->is_truncated || strcmp(xml->text, "false") == 0;
    }
    return true;
}

/* ------------------------------------------------------------------------------ syntax */

/* Of attributes only the quotes matter: a > within them does not end the tag. */
static bool
skip_attributes(struct xml *xml)
{
    char name[NAME_MAX_HERE];
    char quote;

    for (;;) {
        const char *before = xml->at;

        skip_spaces(xml);
        if (xml->at < xml->end && (*xml->at == '>' || *xml->at == '/'))
            return true;
        if (xml->at == before || !take_name(xml, name) || !take_word(xml, "=") ||
            xml->at == xml->end)
            return false;
        quote = *xml->at++;
        if (quote != '"' && quote != '\'')
            return false;
        while (xml->at < xml->end && *xml->at != quote && *xml->at != '<')
            xml->at++;
        if (xml->at == xml->end || *xml->at++ != quote)
            return false;
    }
}

static bool
open_tag(struct xml *xml)
{
    if (xml->depth == DEPTH_MAX || !take_name(xml, xml->names[xml->depth]))
        return false;
    if (xml->depth == 0 && (xml->has_root || strcmp(xml->names[0], "ListBucketResult") != 0))
        return false;
    xml->has_root = true;
    xml->text_count = 0;
    if (!skip_attributes(xml))
        return false;
    if (take_word(xml, "/>"))
        return end_element(xml);
    xml->depth++;
    return take_word(xml, ">");
}

static bool
close_tag(struct xml *xml)
{
    char name[NAME_MAX_HERE];

    if (xml->depth == 0 || !take_name(xml, name))
        return false;
    skip_spaces(xml);
    if (!take_word(xml, ">") || strcmp(name, xml->names[--xml->depth]) != 0)
        return false;
    if (!end_element(xml))
        return false;
    xml->text_count = 0;
    return true;
}

static bool
add_text(struct xml *xml, char c)
{
    if (xml->text_count == TEXT_MAX)
        return false;
    xml->text[xml->text_count++] = c;
    return true;
}

/* &#NN; and &#xNN; of one byte: what keys and tokens consist of. */
static bool
take_number_entity(struct xml *xml)
{
    unsigned base = take_word(xml, "x") ? 16 : 10;
    unsigned value = 0, digits = 0;

    for (; xml->at < xml->end && *xml->at != ';' && digits < 4; xml->at++, digits++) {
        const char *all = "0123456789abcdef";
        char c = *xml->at >= 'A' && *xml->at <= 'F' ? (char)(*xml->at + 'a' - 'A') : *xml->at;
        const char *found = c == '\0' ? NULL : strchr(all, c);

        if (found == NULL || (unsigned)(found - all) >= base)
            return false;
        value = value * base + (unsigned)(found - all);
    }
    return digits > 0 && value > 0 && value < 128 && take_word(xml, ";") &&
           add_text(xml, (char)value);
}

static bool
take_entity(struct xml *xml)
{
    static const struct {
        const char *name;
        char value;
    } entities[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};

    if (take_word(xml, "#"))
        return take_number_entity(xml);
    for (size_t i = 0; i < ARRAY_COUNT(entities); i++)
        if (take_word(xml, entities[i].name))
            return add_text(xml, entities[i].value);
    return false;
}

static bool
step(struct xml *xml)
{
    if (take_word(xml, "</"))
        return close_tag(xml);
    if (take_word(xml, "<"))
        return open_tag(xml);
    if (xml->depth == 0)
        return is_space(*xml->at++);
    if (take_word(xml, "&"))
        return take_entity(xml);
    return add_text(xml, *xml->at++);
}

static bool
take_declaration(struct xml *xml)
{
    if (!take_word(xml, "<?xml"))
        return true;
    while (xml->at < xml->end && *xml->at != '?')
        xml->at++;
    return take_word(xml, "?>");
}

int
s3_page_read(const char *text, size_t count, struct s3_page *page, s3_object_fn visit,
             void *context)
{
    struct xml xml = {
        .at = text, .end = text + count, .page = page, .visit = visit, .context = context};

    *page = (struct s3_page){0};
    if (!take_declaration(&xml))
        return -EBADMSG;
    while (xml.at < xml.end)
        if (!step(&xml))
            return -EBADMSG;
    if (xml.depth != 0 || !xml.has_root || (page->is_truncated && page->token[0] == '\0'))
        return -EBADMSG;
    return xml.is_over ? -ECANCELED : 0;
}
