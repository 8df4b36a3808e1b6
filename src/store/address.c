/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/store_internal.h"

#define ADDRESS_BYTES_MAX 3500u

/* Each reader moves *text past what it took, and says false where it does not fit. */

static bool
take_word(const char **text, const char *word)
{
    size_t count = strlen(word);

    if (strncmp(*text, word, count) != 0)
        return false;
    *text += count;
    return true;
}

static bool
take_chars(const char **text, const char *allowed, char *out, size_t out_size)
{
    size_t count = strspn(*text, allowed);

    if (count == 0 || count >= out_size)
        return false;
    memcpy(out, *text, count);
    out[count] = '\0';
    *text += count;
    return true;
}

static bool
take_number(const char **text, unsigned max, unsigned *out)
{
    char digits[8];

    if (!take_chars(text, "0123456789", digits, sizeof(digits)) ||
        (digits[0] == '0' && digits[1] != '\0'))
        return false;
    *out = 0;
    for (const char *digit = digits; *digit != '\0'; digit++)
        *out = *out * 10 + (unsigned)(*digit - '0');
    return *out <= max;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITAL "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static bool
take_host(const char **text, struct store_address *out)
{
    out->is_ipv6 = take_word(text, "[");
    if (out->is_ipv6)
        return take_chars(text, "0123456789abcdefABCDEF:.", out->host, sizeof(out->host)) &&
               take_word(text, "]");
    return take_chars(text, LETTERS CAPITAL DIGITS ".-", out->host, sizeof(out->host)) &&
           isalnum((unsigned char)out->host[0]);
}

static int
hex_digit(char digit)
{
    const char *digits = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, tolower((unsigned char)digit));

    return found == NULL ? -1 : (int)(found - digits);
}

/* Up to the @; %XX is one byte, but never 0. */
static bool
take_password(const char **text, char *out, size_t out_size)
{
    size_t count = 0;

    for (; **text != '@'; (*text)++) {
        int byte = (unsigned char)**text;

        if (byte <= ' ' || byte == 0x7f || count + 1 >= out_size)
            return false;
        if (byte == '%') {
            int high = hex_digit((*text)[1]);
            int low = high < 0 ? -1 : hex_digit((*text)[2]);

            if (low < 0 || (byte = high * 16 + low) == 0)
                return false;
            *text += 2;
        }
        out[count++] = (char)byte;
    }
    out[count] = '\0';
    return count > 0 && take_word(text, "@");
}

static bool
parse_redis(const char *text, struct store_address *out)
{
    out->scheme = STORE_REDIS;
    if (take_word(&text, ":") && !take_password(&text, out->password, sizeof(out->password)))
        return false;
    if (!take_host(&text, out) || !take_word(&text, ":") ||
        !take_number(&text, 65535, &out->port) || out->port == 0)
        return false;
    if (!take_word(&text, "/") || !take_number(&text, 65535, &out->db) || *text != '\0')
        return false;
    (void)snprintf(out->name, sizeof(out->name), "redis://%s:%u/%u", out->host, out->port, out->db);
    return true;
}

static bool
parse_s3(const char *text, bool is_tls, struct store_address *out)
{
    out->scheme = STORE_S3;
    out->is_tls = is_tls;
    out->port = is_tls ? 443 : 80;
    if (!take_host(&text, out))
        return false;
    if (take_word(&text, ":") && (!take_number(&text, 65535, &out->port) || out->port == 0))
        return false;
    if (!take_word(&text, "/") ||
        !take_chars(&text, LETTERS DIGITS ".-", out->bucket, sizeof(out->bucket)) || *text != '\0')
        return false;
    if (strlen(out->bucket) < 3 || !isalnum((unsigned char)out->bucket[0]))
        return false;
    (void)snprintf(out->name, sizeof(out->name), "%s://%s%s%s:%u/%s", is_tls ? "https" : "http",
                   out->is_ipv6 ? "[" : "", out->host, out->is_ipv6 ? "]" : "", out->port,
                   out->bucket);
    return true;
}

static bool
parse_dir(const char *text, struct store_address *out)
{
    size_t count = strlen(text);

    if (count == 0 || count > STORE_PATH_BYTES_MAX)
        return false;
    memcpy(out->path, text, count + 1);
    (void)snprintf(out->name, sizeof(out->name), "dir:%.300s", text);
    return true;
}

static bool
parse(const char *text, struct store_address *out)
{
    if (strlen(text) > ADDRESS_BYTES_MAX)
        return false;
    if (take_word(&text, "dir:"))
        return parse_dir(text, out);
    if (take_word(&text, "redis://"))
        return parse_redis(text, out);
    if (take_word(&text, "s3+http://"))
        return parse_s3(text, false, out);
    if (take_word(&text, "s3+https://"))
        return parse_s3(text, true, out);
    return false;
}

int
store_address_parse(const char *text, struct store_address *out, struct diag *diag)
{
    memset(out, 0, sizeof(*out));
    if (text != NULL && parse(text, out))
        return 0;
    /* What was given may hold a password: it is not repeated. */
    return diag_set(diag, -EINVAL,
                    "an address of a store is not one of dir:PATH, "
                    "redis://[:PASSWORD@]HOST:PORT/DB, s3+http[s]://HOST[:PORT]/BUCKET");
}
