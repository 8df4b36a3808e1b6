/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd, inside: the commands that speak to a gateway.
 *
 * Where it is and who one is comes from options, else the environment, else the settings
 * that `weft up` or `weft config` have written:
 *
 *   --address URL   WEFT_ADDRESS   "address"     http://127.0.0.1:8080
 *   --token TOKEN   WEFT_TOKEN     "token"       (--admin: "admin_token")
 *   --tenant NAME   WEFT_TENANT    "tenant"      for tokens of the cluster only
 */
#ifndef WEFT_CMD_API_H
#define WEFT_CMD_API_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/diag.h"
#include "base/macros.h"
#include "cmd/cmd_internal.h"

#define API_ADDRESS_DEFAULT "http://127.0.0.1:8080"

struct api {
    char *address, *token, *tenant; /* owned; token and tenant may be NULL */
    const char *ca;                 /* PEM file of a private authority, or NULL */
    bool is_json;                   /* answers are printed as they come */
    bool is_admin;                  /* the cluster's token, where settings have one */
    bool is_quiet;                  /* no progress */
    void *curl;                     /* kept between requests: connections are used again */
};

/* --------------------------------------------------------------------------- settings */

/* The file: $WEFT_CONFIG, or weft/config.json in $XDG_CONFIG_HOME or ~/.config. Static. */
const char *api_settings_path(void);
/* An object, also where there is no file; the caller's. NULL: it is there and cannot be
 * read (diag). */
json_t *api_settings_load(struct diag *diag);
/* Makes its directory, and the file readable by this user alone. */
int api_settings_save(const json_t *settings, struct diag *diag) MUST_CHECK;

/* ---------------------------------------------------------------------------- options */

enum { API_OPTION_FIRST = 2000 };
#define API_OPTIONS \
    {"address", required_argument, NULL, API_OPTION_FIRST}, \
        {"token", required_argument, NULL, API_OPTION_FIRST + 1}, \
        {"tenant", required_argument, NULL, API_OPTION_FIRST + 2}, \
        {"ca", required_argument, NULL, API_OPTION_FIRST + 3}, \
        {"json", no_argument, NULL, API_OPTION_FIRST + 4}, \
        {"admin", no_argument, NULL, API_OPTION_FIRST + 5}, \
        {"quiet", no_argument, NULL, API_OPTION_FIRST + 6}, \
        {"help", no_argument, NULL, API_OPTION_FIRST + 7}, {NULL, 0, NULL, 0}
#define API_HELP \
    "\n  --address URL, --token TOKEN, --tenant NAME   where, who, and for whom (weft config)\n" \
    "  --ca FILE            certificates to trust, where the gateway's is a private one\n" \
    "  --admin              as the cluster's administrator\n" \
    "  --json               the answer as it comes\n" \
    "  --quiet              no progress\n"

/* One option of these; false where it is none. */
bool api_option(struct api *api, int option, const char *value);
/* After the options: what they do not say. Prints why not; exit code in *code. */
bool api_open(struct api *api, int *code);
void api_close(struct api *api);
/* For what is the cluster's: its token, where settings or WEFT_ADMIN_TOKEN have one. */
void api_use_admin(struct api *api);

/* Parses the options of a command that has no others: the rest is argv[*first] and on.
 * False: end with *code (help, or a wrong option). */
bool api_parse(struct api *api, int argc, char **argv, const char *help, int *code);

/* weft COMMAND VERB ARGUMENTS: a table of verbs, the first of which has the name "" and is
 * run where there is none. */
struct api_verb {
    const char *name;
    int min, max; /* arguments */
    int (*run)(struct api *api, char **args, int count);
};
int api_verbs(int argc, char **argv, const char *help, const struct api_verb *verbs, size_t count);
/* The same after cmd_options, for a command with options of its own; closes it. */
int api_verbs_run(struct api *api, int argc, char **argv, const struct api_verb *verbs,
                  size_t count);

/* --------------------------------------------------------------------------- requests */

struct api_request {
    const char *method, *path; /* "/v1/...", already escaped */
    const char *type;          /* of the body; NULL: application/json */
    const void *body;
    size_t count;
    int body_fd;                /* where body is NULL and it is >= 0: what can be read there */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    const char *progress;       /* what is told on a terminal while it is sent */
    /* Of a stream: each piece as it comes; false ends it. NULL: into the answer. */
    bool (*on_data)(void *context, const char *bytes, size_t count);
    void *context;
};
#define API_REQUEST(method_, path_) \
    (struct api_request){.method = (method_), .path = (path_), .body_fd = -1}

struct api_answer {
    long status;
    struct buffer body;    /* NUL behind it, not counted */
    struct buffer headers; /* as they came */
};
void api_answer_fini(struct api_answer *answer);

/* 0: there is an answer, whatever its status. -ECONNREFUSED, -ETIMEDOUT, ...: diag has the
 * address and what to do. */
int api_send(struct api *api, const struct api_request *request, struct api_answer *out,
             struct diag *diag) MUST_CHECK;
/* The value of a header, to be freed; NULL: none. */
char *api_header(const struct api_answer *answer, const char *name);

/* Sends, and says on standard error what went wrong: NULL then, with the exit code in *code.
 * Else the JSON of the answer, the caller's. body may be NULL. */
json_t *api_ask(struct api *api, const char *method, const char *path, const json_t *body,
                int *code);
/* Prints what a gateway's error says; the exit code. */
int api_fail(const struct api_answer *answer);

/* The same, its JSON with --json, else a sentence where there is one. path and body, which
 * may be NULL, are freed. The exit code. */
int api_do(struct api *api, const char *method, char *path, json_t *body, const char *sentence);

/* "/v1/x/%s", with each argument escaped; to be freed. */
char *api_path(const char *format, ...) PRINTF_LIKE(1, 2);

/* ----------------------------------------------------------------------------- output */

/* Rows of an array of objects. Columns: "name", "name:TITLE", with > before it on the right;
 * values by their type, durations ("*_us", "*_ms", "*_s") and bytes ("*_bytes") for people. */
void api_table(const json_t *rows, const char *const *columns, size_t count);
/* The answer's array `field` as a table, or as JSON with --json. The exit code. */
int api_show(const struct api *api, json_t *answer, const char *field, const char *const *columns,
             size_t count);
/* With --json; else nothing. */
void api_print(const struct api *api, const json_t *answer);

/* A line of progress on a terminal, which the next one replaces; NULL: it is done. */
void api_progress(const struct api *api, const char *format, ...) PRINTF_LIKE(2, 3);
void api_progress_end(const struct api *api);

#endif
