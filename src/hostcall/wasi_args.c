/* SPDX-License-Identifier: Apache-2.0
 *
 * args_*, environ_*.
 */
#include "hostcall/hostcall_internal.h"

static enum faaslet_verdict
sizes_get(struct faaslet_call *call, const struct hostcall_strings *strings)
{
    uint32_t count_at = wasi_arg(call, 0), bytes_at = wasi_arg(call, 1);
    int err = wasi_check(call, count_at, 4);

    if (err == 0)
        err = wasi_check(call, bytes_at, 4);
    if (err == 0) {
        wasi_store_u32(call, count_at, strings->count);
        wasi_store_u32(call, bytes_at, (uint32_t)strings->bytes.count);
    }
    return wasi_done(call, err);
}

static enum faaslet_verdict
strings_get(struct faaslet_call *call, const struct hostcall_strings *strings)
{
    uint32_t pointers_at = wasi_arg(call, 0), bytes_at = wasi_arg(call, 1);
    const char *text = (const char *)strings->bytes.bytes;
    size_t offset = 0;
    int err = wasi_check(call, pointers_at, (uint64_t)strings->count * 4);

    if (err == 0)
        err = wasi_check(call, bytes_at, strings->bytes.count);
    if (err != 0)
        return wasi_done(call, err);
    wasi_store(call, bytes_at, text, strings->bytes.count);
    for (uint32_t i = 0; i < strings->count; i++) {
        wasi_store_u32(call, pointers_at + i * 4, bytes_at + (uint32_t)offset);
        offset += strlen(text + offset) + 1;
    }
    return wasi_done(call, 0);
}

enum faaslet_verdict
wasi_args_get(struct faaslet_call *call)
{
    return strings_get(call, &wasi_process(call)->args);
}

enum faaslet_verdict
wasi_args_sizes_get(struct faaslet_call *call)
{
    return sizes_get(call, &wasi_process(call)->args);
}

enum faaslet_verdict
wasi_environ_get(struct faaslet_call *call)
{
    return strings_get(call, &wasi_process(call)->env);
}

enum faaslet_verdict
wasi_environ_sizes_get(struct faaslet_call *call)
{
    return sizes_get(call, &wasi_process(call)->env);
}
