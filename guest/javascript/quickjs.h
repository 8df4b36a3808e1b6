/* SPDX-License-Identifier: Apache-2.0
 *
 * What of QuickJS (https://github.com/quickjs-ng/quickjs) the runtime calls, as its build for
 * WebAssembly exports it: a value is 64 bits, a tag above 32 bits of payload.
 */
#ifndef WEFT_JAVASCRIPT_QUICKJS_H
#define WEFT_JAVASCRIPT_QUICKJS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t JSValue;
typedef struct JSRuntime JSRuntime;
typedef struct JSContext JSContext;
typedef struct JSModuleDef JSModuleDef;
typedef JSValue JSCFunction(JSContext *ctx, JSValue this_value, int argc, JSValue *argv);
typedef JSModuleDef *JSModuleLoaderFunc(JSContext *ctx, const char *name, void *opaque);

enum { JS_TAG_INT = 0, JS_TAG_UNDEFINED = 3, JS_TAG_EXCEPTION = 6 };
enum { JS_EVAL_TYPE_MODULE = 1, JS_EVAL_FLAG_COMPILE_ONLY = 1 << 5 };
enum { JS_PROMISE_PENDING, JS_PROMISE_FULFILLED, JS_PROMISE_REJECTED };

#define JS_VALUE(tag, value) ((JSValue)(uint32_t)(tag) << 32 | (uint32_t)(value))
#define JS_UNDEFINED         JS_VALUE(JS_TAG_UNDEFINED, 0)
#define JS_EXCEPTION         JS_VALUE(JS_TAG_EXCEPTION, 0)
#define JS_POINTER(value)    ((void *)(uintptr_t)(uint32_t)(value))
#define JS_IS_EXCEPTION(v)   ((uint32_t)((v) >> 32) == JS_TAG_EXCEPTION)

void _initialize(void);
JSRuntime *JS_NewRuntime(void);
JSContext *JS_NewContext(JSRuntime *rt);
void JS_SetMaxStackSize(JSRuntime *rt, size_t bytes);
void JS_SetModuleLoaderFunc(JSRuntime *rt, void *normalize, JSModuleLoaderFunc *load, void *opaque);
void JS_RunGC(JSRuntime *rt);
int JS_ExecutePendingJob(JSRuntime *rt, JSContext **ctx);

JSValue JS_Eval(JSContext *ctx, const char *text, size_t bytes, const char *name, int flags);
JSValue JS_EvalFunction(JSContext *ctx, JSValue function);
JSValue JS_GetModuleNamespace(JSContext *ctx, JSModuleDef *module);
JSValue JS_Call(JSContext *ctx, JSValue function, JSValue this_value, int argc, JSValue *argv);
void JS_FreeValue(JSContext *ctx, JSValue value);
JSValue JS_GetException(JSContext *ctx);
JSValue JS_ThrowReferenceError(JSContext *ctx, const char *format, ...);
JSValue JS_ThrowTypeError(JSContext *ctx, const char *format, ...);
JSValue JS_GetGlobalObject(JSContext *ctx);
JSValue JS_GetPropertyStr(JSContext *ctx, JSValue object, const char *name);
int JS_SetPropertyStr(JSContext *ctx, JSValue object, const char *name, JSValue value);
JSValue JS_NewCFunction2(JSContext *ctx, JSCFunction *function, const char *name, int length,
                         int kind, int magic);
JSValue JS_NewStringLen(JSContext *ctx, const char *text, size_t bytes);
const char *JS_ToCStringLen2(JSContext *ctx, size_t *bytes, JSValue value, bool is_cesu8);
void JS_FreeCString(JSContext *ctx, const char *text);
int JS_ToInt32(JSContext *ctx, int32_t *out, JSValue value);
JSValue JS_NewUint8ArrayCopy(JSContext *ctx, const uint8_t *bytes, size_t count);
uint8_t *JS_GetUint8Array(JSContext *ctx, size_t *count, JSValue value);
int JS_PromiseState(JSContext *ctx, JSValue promise);
JSValue JS_PromiseResult(JSContext *ctx, JSValue promise);

/* Of its C library. */
void *malloc(size_t bytes);
void *realloc(void *bytes, size_t count);
void free(void *bytes);
size_t strlen(const char *text);
int strcmp(const char *one, const char *other);
int memcmp(const void *one, const void *other, size_t bytes);
char *strrchr(const char *text, int character);
void *memcpy(void *to, const void *from, size_t bytes);

#endif
