/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_I32 0x7f
#define TYPE_I64 0x7e
#define TYPE_F32 0x7d
#define TYPE_F64 0x7c

static bool
parse_value(const char *text, uint8_t type, uint64_t *slot)
{
    char *end = NULL;
    double real;
    float narrow;

    errno = 0;
    *slot = 0;
    switch (type) {
    case TYPE_I32:
    case TYPE_I64:
        *slot = text[0] == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
        if (type == TYPE_I32)
            *slot &= UINT32_MAX;
        break;
    case TYPE_F32:
        narrow = strtof(text, &end);
        (void)memcpy(slot, &narrow, sizeof(narrow));
        break;
    case TYPE_F64:
        real = strtod(text, &end);
        (void)memcpy(slot, &real, sizeof(real));
        break;
    default:
        return false;
    }
    return end != text && *end == '\0' && errno == 0;
}

int
values_parse(const struct faaslet *faaslet, const char *function, char **texts, size_t count,
             struct values *out, struct diag *diag)
{
    const struct abi_image *image = faaslet_image_abi(faaslet_image(faaslet, 0));
    const struct abi_meta_type *type;
    const uint8_t *params;
    uint32_t kind, index;

    *out = (struct values){0};
    if (faaslet_export_kind(faaslet, 0, function, &kind, &index) != 0 || kind != ABI_KIND_FUNCTION)
        return diag_set(diag, -ENOENT, "there is no exported function %s; weft inspect lists them",
                        function);
    type = (const struct abi_meta_type *)abi_image_range(image, image->meta->types) + index;
    params = abi_image_range(image, type->params);
    if (type->params.count != count)
        return diag_set(diag, -EINVAL, "%s takes %u arguments, not %zu", function,
                        type->params.count, count);
    out->slots = calloc(count + 1, sizeof(uint64_t));
    if (out->slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (!parse_value(texts[i], params[i], &out->slots[i])) {
            values_fini(out);
            return diag_set(diag, -EINVAL, "%s is not a value for parameter %zu of %s", texts[i], i,
                            function);
        }
    out->slot_count = count;
    out->results = abi_image_range(image, type->results);
    out->result_count = type->results.count;
    return 0;
}

static void
print_value(uint8_t type, const uint64_t *slot, FILE *out)
{
    float narrow;
    double real;

    switch (type) {
    case TYPE_I32:
        (void)fprintf(out, "%" PRId32 "\n", (int32_t)*slot);
        break;
    case TYPE_I64:
        (void)fprintf(out, "%" PRId64 "\n", (int64_t)*slot);
        break;
    case TYPE_F32:
        (void)memcpy(&narrow, slot, sizeof(narrow));
        (void)fprintf(out, "%.9g\n", (double)narrow);
        break;
    case TYPE_F64:
        (void)memcpy(&real, slot, sizeof(real));
        (void)fprintf(out, "%.17g\n", real);
        break;
    default:
        (void)fprintf(out, "0x%016" PRIx64 "\n", *slot);
        break;
    }
}

size_t
values_result_slots(const struct values *values)
{
    size_t count = 0;

    for (uint32_t i = 0; i < values->result_count; i++)
        count += abi_value_slots(values->results[i]);
    return count;
}

int
values_print(const struct faaslet *faaslet, const struct values *values, FILE *out)
{
    uint64_t slots[2 * ABI_VALUES_MAX];
    int err = faaslet_results(faaslet, 0, slots, values_result_slots(values));

    return err != 0 ? err : values_print_slots(slots, values, out);
}

int
values_print_slots(const uint64_t *slots, const struct values *values, FILE *out)
{
    size_t at = 0;

    for (uint32_t i = 0; i < values->result_count; i++) {
        print_value(values->results[i], &slots[at], out);
        at += abi_value_slots(values->results[i]);
    }
    return fflush(out) == 0 ? 0 : -errno;
}

void
values_fini(struct values *values)
{
    free(values->slots);
    values->slots = NULL;
}
