/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the command line, weft config, and weft completion.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

#define SETTINGS_BYTES_MAX 65536u

static const char help[] =
    "usage: weft config [NAME [VALUE]] [options]\n\n"
    "Shows the settings, shows one, or changes one (an empty VALUE removes it):\n\n"
    "  address       of the gateway\n"
    "  token         of the tenant one works for\n"
    "  tenant        its name; needed with a token of the cluster\n"
    "  admin_token   of the cluster, for --admin\n"
    "  ca            PEM file of certificates to trust\n"
    "  python        CPython as a WebAssembly module, for weft deploy f.py\n"
    "  javascript    QuickJS with Weft's runtime, for weft deploy f.js\n\n"
    "Tokens are shown as their last four letters. The file is $WEFT_CONFIG, or\n"
    "weft/config.json in ~/.config; only its owner can read it.\n";

static const char *const names[] = {"address", "token",  "tenant",    "admin_token",
                                    "ca",      "python", "javascript"};

const char *
api_settings_path(void)
{
    static char path[4096];
    const char *file = getenv("WEFT_CONFIG"), *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (file != NULL && file[0] != '\0')
        (void)snprintf(path, sizeof(path), "%s", file);
    else if (base != NULL && base[0] == '/')
        (void)snprintf(path, sizeof(path), "%s/weft/config.json", base);
    else
        (void)snprintf(path, sizeof(path), "%s/.config/weft/config.json", home != NULL ? home : "");
    return path;
}

json_t *
api_settings_load(struct diag *diag)
{
    const char *path = api_settings_path();
    struct buffer text = {0};
    json_error_t error;
    json_t *settings;
    int err;

    if (access(path, F_OK) != 0 && errno == ENOENT)
        return json_object();
    err = file_read_all(path, SETTINGS_BYTES_MAX, &text, diag);
    if (err != 0) {
        buffer_fini(&text);
        return NULL;
    }
    settings = json_loadb((const char *)text.bytes, text.count, 0, &error);
    buffer_fini(&text);
    if (settings == NULL || !json_is_object(settings)) {
        (void)diag_set(diag, -EINVAL, "%s: line %d: %s: correct or remove it", path,
                       settings == NULL ? error.line : 1,
                       settings == NULL ? error.text : "no object");
        json_decref(settings);
        return NULL;
    }
    return settings;
}

static int
make_folders(const char *path, struct diag *diag)
{
    char folder[4096];

    (void)snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            return diag_set(diag, -errno, "cannot make %s: %s", folder, strerror(errno));
        *slash = '/';
    }
    return 0;
}

int
api_settings_save(const json_t *settings, struct diag *diag)
{
    const char *path = api_settings_path();
    char *text = json_dumps(settings, JSON_INDENT(2) | JSON_SORT_KEYS);
    mode_t mask = umask(077);
    int err = text == NULL ? -ENOMEM : make_folders(path, diag);

    if (err == 0)
        err = file_replace(path, text, strlen(text), diag);
    (void)umask(mask);
    free(text);
    return err;
}

/* -------------------------------------------------------------------------- weft config */

static bool
is_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void
print_setting(const char *name, const char *value, bool is_named)
{
    bool is_secret = strstr(name, "token") != NULL;
    size_t count = strlen(value);

    if (is_named)
        (void)printf("%s\n", value);
    else
        (void)printf("%-12s %s%s\n", name, is_secret ? "..." : "",
                     is_secret && count > 4 ? value + count - 4
                     : is_secret            ? ""
                                            : value);
}

static int
show_settings(const json_t *settings, const char *name)
{
    const char *key;
    const json_t *value;

    if (name != NULL && !json_is_string(json_object_get(settings, name))) {
        (void)fprintf(stderr, "weft: %s is not set\n", name);
        return CMD_EXIT_FAILED;
    }
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        if (json_is_string(value) && (name == NULL || strcmp(name, key) == 0))
            print_setting(key, json_string_value(value), name != NULL);
    }
    return CMD_EXIT_OK;
}

int
cmd_config(int argc, char **argv)
{
    struct api api = {0};
    struct diag diag;
    json_t *settings;
    int code = CMD_EXIT_OK, err = 0;

    if (!api_parse(&api, argc, argv, help, &code))
        return code;
    api_close(&api);
    argc -= optind;
    argv += optind;
    if (argc > 2 || (argc > 0 && !is_known(argv[0])))
        return cmd_usage("config", "%s is no setting", argc > 0 ? argv[0] : "");
    diag_init(&diag);
    settings = api_settings_load(&diag);
    if (settings == NULL)
        return cmd_fail(-EINVAL, &diag);
    if (argc < 2)
        code = show_settings(settings, argc == 1 ? argv[0] : NULL);
    else if (argv[1][0] == '\0')
        (void)json_object_del(settings, argv[0]);
    else if (json_object_set_new(settings, argv[0], json_string(argv[1])) != 0)
        err = diag_set(&diag, -EINVAL, "%s: not UTF-8", argv[0]);
    if (argc == 2 && err == 0)
        err = api_settings_save(settings, &diag);
    json_decref(settings);
    return err != 0 ? cmd_fail(err, &diag) : code;
}
