/* SPDX-License-Identifier: Apache-2.0
 *
 * side: the host functions that fuzzed modules import.
 */
#include <stdio.h>
#include <string.h>

#include "side_internal.h"

void
side_put_value(struct buffer *log, char letter, const uint64_t *slots)
{
    uint32_t low = (uint32_t)slots[0];
    float f;
    double d;

    (void)memcpy(&f, &low, 4);
    (void)memcpy(&d, slots, 8);
    if (letter == 'i' || (letter == 'f' && f == f))
        buffer_append_format(log, " %c:%08x", letter, low);
    else if (letter == 'I' || (letter == 'F' && d == d))
        buffer_append_format(log, " %c:%016llx", letter, (unsigned long long)slots[0]);
    else if (letter == 'f' || letter == 'F')
        buffer_append_format(log, " %c:nan", letter);
    else if ((int64_t)slots[0] == ABI_REF_NULL)
        buffer_append_format(log, " %c:null", letter);
    else if (letter == 'x')
        buffer_append_format(log, " x:%llu", (unsigned long long)slots[0]);
    else
        buffer_append_format(log, " r:function");
}

static void
put_import(struct faaslet_call *call, const char *name, const char *letters)
{
    const struct side_process *process = call->process;
    struct buffer *log = process->log;

    buffer_append_format(log, "import %s", name);
    for (unsigned i = 0; letters[i] != '\0'; i++)
        side_put_value(log, letters[i], &call->args[i]);
    buffer_append_format(log, "\n");
}

#define LOG_FUNCTION(name, text, letters) \
    static enum faaslet_verdict name(struct faaslet_call *call) \
    { \
        put_import(call, text, letters); \
        return FAASLET_CALL_DONE; \
    }
LOG_FUNCTION(log_i32, "log-i32", "i")
LOG_FUNCTION(log_i64, "log-i64", "I")
LOG_FUNCTION(log_f32, "log-f32", "f")
LOG_FUNCTION(log_f64, "log-f64", "F")
LOG_FUNCTION(log_ref, "log-ref", "x")

/* JavaScript cannot take a vector and throws. */
static enum faaslet_verdict
log_v128(struct faaslet_call *call)
{
    call->trap = ABI_TRAP_HOST;
    call->message = "a vector cannot be logged";
    return FAASLET_CALL_TRAP;
}

static enum faaslet_verdict
hash(struct faaslet_call *call)
{
    const struct side_process *process = call->process;
    uint32_t value = 0x811c9dc5, word;

    if (process->is_starting) {
        buffer_append_format(process->log, "hash early\n");
        return FAASLET_CALL_DONE;
    }
    for (uint64_t i = 0; i < call->memory_bytes; i += 4) {
        (void)memcpy(&word, call->memory + i, 4);
        value = (value ^ word) * 0x01000193;
    }
    buffer_append_format(process->log, "hash %08x %llu\n", value,
                         (unsigned long long)call->memory_bytes);
    return FAASLET_CALL_DONE;
}

static enum faaslet_verdict
mix(struct faaslet_call *call)
{
    double number;

    put_import(call, "mix", "iIF");
    (void)memcpy(&number, &call->args[2], 8);
    call->args[0] = call->args[1] * 31 + (uint32_t)call->args[0] + (number > 0.5 ? 7 : 0);
    return FAASLET_CALL_DONE;
}

/* Says the first time that it must wait, for nothing. */
static enum faaslet_verdict
twist(struct faaslet_call *call)
{
    if (call->scratch[0]++ == 0) {
        call->wait->deadline_ns = 0;
        call->wait->fd_count = 0;
        return FAASLET_CALL_PENDING;
    }
    put_import(call, "twist", "i");
    call->args[0] = (uint32_t)call->args[0] * 0x9e3779b1u ^ 0x55u;
    return FAASLET_CALL_DONE;
}

const struct faaslet_host_function *
side_resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    static const struct faaslet_host_function functions[] = {
        {"log-i32", "i:", log_i32}, {"log-i64", "I:", log_i64},   {"log-f32", "f:", log_f32},
        {"log-f64", "F:", log_f64}, {"log-v128", "v:", log_v128}, {"log-ref", "r:", log_ref},
        {"hash", ":", hash},        {"mix", "iIF:I", mix},        {"twist", "i:i", twist},
    };

    if (module_bytes < 4 || memcmp(module, "fuzz", 4) != 0)
        return NULL;
    return faaslet_host_find(functions, ARRAY_COUNT(functions), name, name_bytes);
}
