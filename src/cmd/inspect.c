/* SPDX-License-Identifier: Apache-2.0
 *
 * weft inspect: what a module needs and offers.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cmd/cmd_internal.h"
#include "hostcall/hostcall.h"
#include "wasm/wasm.h"

static const char help[] =
    "usage: weft inspect [--json] MODULE.wasm\n\n"
    "Decodes and validates a module, and shows its features, imports (and whether Weft\n"
    "provides them), exports, memory and tables.\n";

static const char *
kind_name(enum wasm_kind kind)
{
    static const char *const names[] = {"function", "table", "memory", "global", "tag"};

    return names[kind];
}

static void
put_signature(struct buffer *out, const struct wasm_func_type *type)
{
    buffer_append_format(out, "(");
    for (uint32_t i = 0; i < type->param_count; i++)
        buffer_append_format(out, "%s%s", i > 0 ? " " : "", wasm_type_name(type->params[i]));
    buffer_append_format(out, ") -> (");
    for (uint32_t i = 0; i < type->result_count; i++)
        buffer_append_format(out, "%s%s", i > 0 ? " " : "", wasm_type_name(type->results[i]));
    buffer_append_format(out, ")");
}

static void
put_limits(struct buffer *out, const struct wasm_limits *limits)
{
    buffer_append_format(out, "%" PRIu64, limits->min);
    if (limits->has_max)
        buffer_append_format(out, " to %" PRIu64, limits->max);
    if (limits->is_shared)
        buffer_append_format(out, " shared");
}

/* "(i32) -> (i32)", "1 to 16 shared", "mut i32" */
static void
put_type(struct buffer *out, const struct wasm_module *module, enum wasm_kind kind, uint32_t index)
{
    switch (kind) {
    case WASM_KIND_FUNCTION:
        put_signature(out, &module->types[module->functions[index].type]);
        break;
    case WASM_KIND_TABLE:
        put_limits(out, &module->tables[index].limits);
        buffer_append_format(out, " %s", wasm_type_name(module->tables[index].type));
        break;
    case WASM_KIND_MEMORY:
        put_limits(out, &module->memories[index].limits);
        buffer_append_format(out, " pages");
        break;
    case WASM_KIND_GLOBAL:
        buffer_append_format(out, "%s%s", module->globals[index].is_mutable ? "mut " : "",
                             wasm_type_name(module->globals[index].type));
        break;
    default:
        put_signature(out, &module->types[module->tags[index].type]);
        break;
    }
}

static bool
is_provided(const struct wasm_import *import)
{
    return import->kind == WASM_KIND_FUNCTION &&
           hostcall_resolve(import->module.bytes, import->module.count, import->name.bytes,
                            import->name.count) != NULL;
}

static void
put_features(struct buffer *out, const struct wasm_module *module, const char *separator,
             bool is_json)
{
    bool is_first = true;

    for (uint32_t bit = 1; bit <= WASM_FEATURE_EXCEPTIONS; bit <<= 1) {
        if ((module->features & bit) == 0)
            continue;
        buffer_append_format(out, "%s%s%s%s", is_first ? "" : separator, is_json ? "\"" : "",
                             wasm_feature_name(bit), is_json ? "\"" : "");
        is_first = false;
    }
}

static void
put_text(struct buffer *out, const struct wasm_module *module)
{
    buffer_append_format(out, "features:  ");
    put_features(out, module, " ", false);
    if (module->features == 0)
        buffer_append_format(out, "none beyond WebAssembly 1.0");
    buffer_append_format(out, "\nfunctions: %u, %u imported\n", module->function_count,
                         module->imported_function_count);
    if (module->memory_count > 0) {
        buffer_append_format(out, "memory:    ");
        put_limits(out, &module->memories[0].limits);
        buffer_append_format(out, " pages of 64 KiB\n");
    }
    buffer_append_format(out, "imports:   %u\n", module->import_count);
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_import *import = &module->imports[i];

        buffer_append_format(out, "  %-8s %.*s.%.*s ", kind_name(import->kind),
                             (int)import->module.count, import->module.bytes,
                             (int)import->name.count, import->name.bytes);
        put_type(out, module, import->kind, import->index);
        buffer_append_format(out, "%s\n", is_provided(import) ? "" : "  (not provided by Weft)");
    }
    buffer_append_format(out, "exports:   %u\n", module->export_count);
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        buffer_append_format(out, "  %-8s %.*s ", kind_name(export->kind), (int)export->name.count,
                             export->name.bytes);
        put_type(out, module, export->kind, export->index);
        buffer_append_format(out, "\n");
    }
}

static void
put_json_entry(struct buffer *out, const struct wasm_module *module, enum wasm_kind kind,
               uint32_t index)
{
    struct buffer type = {0};

    put_type(&type, module, kind, index);
    buffer_append_format(out, ",\"kind\":\"%s\",\"type\":", kind_name(kind));
    cmd_json_string(out, (const char *)type.bytes, type.count);
    buffer_fini(&type);
}

static void
put_json(struct buffer *out, const struct wasm_module *module)
{
    buffer_append_format(out, "{\"features\":[");
    put_features(out, module, ",", true);
    buffer_append_format(out, "],\"functions\":%u,\"imports\":[", module->function_count);
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct wasm_import *import = &module->imports[i];

        buffer_append_format(out, "%s{\"module\":", i > 0 ? "," : "");
        cmd_json_string(out, import->module.bytes, import->module.count);
        buffer_append_format(out, ",\"name\":");
        cmd_json_string(out, import->name.bytes, import->name.count);
        put_json_entry(out, module, import->kind, import->index);
        buffer_append_format(out, ",\"provided\":%s}", is_provided(import) ? "true" : "false");
    }
    buffer_append_format(out, "],\"exports\":[");
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct wasm_export *export = &module->exports[i];

        buffer_append_format(out, "%s{\"name\":", i > 0 ? "," : "");
        cmd_json_string(out, export->name.bytes, export->name.count);
        put_json_entry(out, module, export->kind, export->index);
        buffer_append_format(out, "}");
    }
    buffer_append_format(out, "]}\n");
}

static int
inspect(const char *path, bool is_json)
{
    struct wasm_module *module = NULL;
    struct buffer bytes = {0}, out = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = file_read_all(path, CMD_MODULE_BYTES_MAX, &bytes, &diag);
    if (err == 0) {
        err = wasm_module_create(bytes.bytes, bytes.count, &module, NULL, &diag);
        diag_prefix(&diag, "%s", path);
    }
    if (err == 0) {
        if (is_json)
            put_json(&out, module);
        else
            put_text(&out, module);
        (void)fwrite(out.bytes, 1, out.count, stdout);
    }
    wasm_module_destroy(module);
    buffer_fini(&out);
    buffer_fini(&bytes);
    return err == 0 ? CMD_EXIT_OK : cmd_fail(err, &diag);
}

int
cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    bool is_json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) < 0 ? CMD_EXIT_FAILED : CMD_EXIT_OK;
        if (option != 'j')
            return cmd_usage("inspect", "unknown option");
        is_json = true;
    }
    if (optind + 1 != argc)
        return cmd_usage("inspect", "one module is wanted");
    return inspect(argv[optind], is_json);
}
