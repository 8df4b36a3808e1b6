/* SPDX-License-Identifier: Apache-2.0
 *
 * weft new: a project that deploys, from a template. weft completion.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/api.h"

#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)

static const char new_help[] =
    "usage: weft new c|cpp|rust|python|javascript NAME\n\n"
    "Makes the directory NAME with a function to start from: weft deploy NAME deploys it.\n";

static int
find_templates(char *out, size_t size, const char *language, struct diag *diag)
{
    char name[280];

    (void)snprintf(name, sizeof(name), "templates/%.255s", language);
    if (cmd_share_find(name, out, size))
        return 0;
    return diag_set(diag, -ENOENT, "there is no template for %s (c, cpp, rust, python, javascript)",
                    language);
}

/* A name of a function: what the gateway takes too. */
static bool
is_name(const char *name)
{
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    return count > 0 && count < 64 && name[count] == '\0' &&
           ((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z');
}

/* Every NAME by the name. */
static void
fill_in(struct buffer *out, const struct buffer *text, const char *name)
{
    for (size_t i = 0; i < text->count;) {
        if (text->count - i >= 4 && memcmp(text->bytes + i, "NAME", 4) == 0) {
            buffer_append(out, name, strlen(name));
            i += 4;
        } else {
            buffer_append(out, text->bytes + i++, 1);
        }
    }
}

static int
copy_file(const char *folder, const char *file, const char *name, struct diag *diag)
{
    char from[4096], to[4096];
    struct buffer text = {0}, filled = {0};
    int err;

    (void)snprintf(from, sizeof(from), "%.3500s/%.500s", folder, file);
    (void)snprintf(to, sizeof(to), "%s/%.500s", name, file);
    err = file_read_all(from, TEMPLATE_BYTES_MAX, &text, diag);
    if (err == 0) {
        fill_in(&filled, &text, name);
        err = filled.err != 0 ? filled.err : file_replace(to, filled.bytes, filled.count, diag);
    }
    buffer_fini(&text);
    buffer_fini(&filled);
    return err;
}

static int
make_project(const char *language, const char *name, struct diag *diag)
{
    char folder[4096];
    struct dirent *item;
    int err = find_templates(folder, sizeof(folder), language, diag);
    DIR *files = err == 0 ? opendir(folder) : NULL;

    if (err != 0 || files == NULL)
        return err != 0 ? err : -errno;
    if (mkdir(name, 0777) != 0)
        err = diag_set(diag, -errno, "cannot make %s: %s", name, strerror(errno));
    while (err == 0 && (item = readdir(files)) != NULL)
        if (item->d_name[0] != '.')
            err = copy_file(folder, item->d_name, name, diag);
    (void)closedir(files);
    return err;
}

int
cmd_new(int argc, char **argv)
{
    struct api api = {0};
    struct diag diag;
    int code, err;

    if (!api_parse(&api, argc, argv, new_help, &code))
        return code;
    api_close(&api);
    if (argc - optind != 2)
        return cmd_usage("new", "a language and a name");
    if (!is_name(argv[optind + 1]))
        return cmd_usage("new", "%s: a letter, then letters, digits, - and _", argv[optind + 1]);
    diag_init(&diag);
    err = strchr(argv[optind], '/') != NULL || argv[optind][0] == '.'
              ? diag_set(&diag, -EINVAL, "%s is no language", argv[optind])
              : make_project(argv[optind], argv[optind + 1], &diag);
    if (err != 0)
        return cmd_fail(err, &diag);
    (void)printf("%s/ is made. Next: weft deploy %s\n", argv[optind + 1], argv[optind + 1]);
    return CMD_EXIT_OK;
}

/* --------------------------------------------------------------------------- completion */

static const char completion_help[] = "usage: weft completion bash|zsh\n\n"
                                      "A script for the shell:  source <(weft completion bash)\n";

static const char completion[] =
    "_weft() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
    "        words=$(weft --help | sed -n 's/^  \\([a-z+]*\\) .*/\\1/p')\n"
    "    elif [[ $word == -* ]]; then\n"
    "        words=$(weft \"$command\" --help 2>/dev/null | grep -o -e '--[a-z-]*')\n"
    "    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
    "        case $command in\n"
    "        invoke | logs) words=$(weft functions --quiet 2>/dev/null | awk 'NR > 1 { print $1 "
    "}') ;;\n"
    "        new) words='c cpp rust python javascript' ;;\n"
    "        completion) words='bash zsh' ;;\n"
    "        *) words=$(weft \"$command\" --help 2>/dev/null |\n"
    "               sed -n \"s/^  weft $command \\([a-z]*\\)\\( .*\\)*$/\\1/p\") ;;\n"
    "        esac\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
    "}\n"
    "complete -o default -F _weft weft\n";

int
cmd_completion(int argc, char **argv)
{
    struct api api = {0};
    int code;

    if (!api_parse(&api, argc, argv, completion_help, &code))
        return code;
    api_close(&api);
    if (argc - optind != 1 ||
        (strcmp(argv[optind], "bash") != 0 && strcmp(argv[optind], "zsh") != 0))
        return cmd_usage("completion", "bash or zsh");
    if (strcmp(argv[optind], "zsh") == 0)
        (void)fputs("autoload -U bashcompinit && bashcompinit\n", stdout);
    (void)fputs(completion, stdout);
    return CMD_EXIT_OK;
}
