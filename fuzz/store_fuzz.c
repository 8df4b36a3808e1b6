/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes: as a page of a listing from S3, and as the address of a store. libFuzzer
 * target.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/parsers_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static bool
see(void *context, const struct s3_object *object)
{
    size_t *seen = context;

    ASSERT(strlen(object->key) > 0 && strlen(object->key) < sizeof(object->key));
    return ++*seen < 100;
}

static void
read_page(const uint8_t *bytes, size_t count)
{
    struct s3_page page;
    size_t seen = 0;
    int err = s3_page_read((const char *)bytes, count, &page, see, &seen);

    ASSERT(err == 0 || err == -EBADMSG || err == -ECANCELED);
    ASSERT(err != -ECANCELED || seen >= 100);
    ASSERT(err != 0 || !page.is_truncated || page.token[0] != '\0');
    ASSERT(strnlen(page.token, sizeof(page.token)) < sizeof(page.token));
}

static void
parse_address(const uint8_t *bytes, size_t count)
{
    struct store_address address;
    char *text = malloc(count + 1);
    struct diag diag;
    int err;

    if (text == NULL)
        return;
    memcpy(text, bytes, count);
    text[count] = '\0';
    diag_init(&diag);
    err = store_address_parse(text, &address, &diag);
    ASSERT(err == 0 || err == -EINVAL);
    ASSERT(diag.is_set == (err != 0));
    ASSERT(err != 0 || address.name[0] != '\0');
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    read_page(bytes, count);
    parse_address(bytes, count);
    return 0;
}
