/* SPDX-License-Identifier: Apache-2.0
 *
 * diff: compares Weft with Node's V8.
 *
 *   diff --seed N --count N | --seconds N     cases by seed, from N on
 *   diff --file M.wasm [--second N.wasm] [--variant V]   all exports
 *
 * Exit status 0: no difference; 1: differences; 2: could not be done.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "diff_internal.h"

#define DIFFERENCES_MAX 1000u
#define MODULE_MAX      (64u << 20)
#define PROGRESS_CASES  1000u

struct options {
    uint64_t seed, count;
    unsigned seconds;
    const char *file, *second, *script, *variant, *peer, *keep;
    struct side_variant parsed; /* of variant, where there is one */
    bool is_quiet, in_process, own_only, reduce;
};

struct totals {
    uint64_t cases, pairs, cut, different, skipped; /* pairs: of two linked modules */
    uint64_t calls, traps, host_calls;
    uint64_t of_v8; /* V8's optimising compiler agrees with Weft, its other one does not */
};

/* V8 as it comes, and with its optimising compiler alone. */
struct peers {
    struct peer usual, optimising;
};

/* ----------------------------------------------------------------------- comparing */

static bool
line_has(const char *line, size_t count, const char *part)
{
    return memmem(line, count, part, strlen(part)) != NULL;
}

static bool
ends_comparison(const char *line, size_t count, bool is_strict)
{
    return line_has(line, count, " stopped ") ||
           (!is_strict && line_has(line, count, " trap memory"));
}

/* An atomic access that is both unaligned and out of bounds may say either. */
static bool
is_same(const char *v8, size_t v8_count, const char *weft, size_t weft_count)
{
    if (v8_count == weft_count && memcmp(v8, weft, v8_count) == 0)
        return true;
    return line_has(v8, v8_count, " trap memory") && line_has(weft, weft_count, " trap unaligned");
}

/* One line, and steps past it. An empty one at the end. */
static const char *
next_line(const struct buffer *log, size_t *at, size_t *count)
{
    const char *line = (const char *)log->bytes + *at;
    const char *end = *at < log->count ? memchr(line, '\n', log->count - *at) : NULL;

    *count = end != NULL ? (size_t)(end - line) : log->count - *at;
    *at += *count + (end != NULL);
    return line;
}

enum diff_verdict
diff_logs(const struct diff_case *it, struct buffer *text)
{
    size_t v8_at = 0, weft_at = 0, v8_count, weft_count;
    unsigned number = 0;

    while (v8_at < it->v8_log.count || weft_at < it->weft_log.count) {
        const char *v8 = next_line(&it->v8_log, &v8_at, &v8_count);
        const char *weft = next_line(&it->weft_log, &weft_at, &weft_count);

        number++;
        if (ends_comparison(v8, v8_count, it->variant.is_strict) ||
            ends_comparison(weft, weft_count, it->variant.is_strict))
            return DIFF_CUT;
        if (is_same(v8, v8_count, weft, weft_count))
            continue;
        buffer_append_format(text, "line %u: %s \"%.*s\", Weft \"%.*s\"", number,
                             it->is_relaxed ? "-O0" : "V8", (int)v8_count, v8_count > 0 ? v8 : "",
                             (int)weft_count, weft_count > 0 ? weft : "");
        return DIFF_DIFFERENT;
    }
    return DIFF_SAME;
}

/* ------------------------------------------------------------------------- one case */

static void
keep_file(const struct options *options, const struct diff_case *it, const char *suffix,
          const struct buffer *content)
{
    char path[PATH_MAX];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%llu.%s", options->keep, (unsigned long long)it->seed,
                   suffix);
    file = fopen(path, "we");
    if (file == NULL)
        return;
    (void)fwrite(content->bytes, 1, content->count, file);
    (void)fclose(file);
}

static void
report(const struct options *options, const struct diff_case *it, const char *what)
{
    char variant[64];

    side_variant_print(&it->variant, variant, sizeof(variant));
    if (options->is_quiet) {
        (void)printf("different\n");
        return;
    }
    (void)printf("seed %llu, %s: %s\n", (unsigned long long)it->seed, variant, what);
    (void)fflush(stdout);
    if (options->keep == NULL)
        return;
    keep_file(options, it, "wasm", &it->modules[0]);
    if (it->module_count > 1)
        keep_file(options, it, "1.wasm", &it->modules[1]);
    keep_file(options, it, "script", &it->script);
    keep_file(options, it, "v8", &it->v8_log);
    keep_file(options, it, "weft", &it->weft_log);
}

static void
count_events(const struct buffer *log, struct totals *totals)
{
    size_t at = 0, count;

    while (at < log->count) {
        const char *line = next_line(log, &at, &count);

        totals->calls += line_has(line, count, " ok") || line_has(line, count, " trap ");
        totals->traps += line_has(line, count, " trap ");
        totals->host_calls += line_has(line, count, "import ") || line_has(line, count, "hash ");
    }
}

/* V8's compilers differ among themselves, now and then. */
static bool
is_difference_of_v8(struct diff_case *it, struct peer *optimising)
{
    struct buffer text = {0}, usual = it->v8_log;
    bool is_same = false;

    it->v8_log = (struct buffer){0};
    if (diff_case_run_v8(it, optimising, &it->v8_log) == 0)
        is_same = diff_logs(it, &text) != DIFF_DIFFERENT;
    buffer_fini(&it->v8_log);
    buffer_fini(&text);
    it->v8_log = usual;
    return is_same;
}

static int
count_difference(const struct options *options, struct diff_case *it, struct peers *peers,
                 const char *text, struct totals *totals)
{
    struct diag diag;
    int err = 0;

    if (!it->is_relaxed && is_difference_of_v8(it, &peers->optimising)) {
        totals->of_v8++;
        return 0;
    }
    totals->different++;
    diag_init(&diag);
    if (options->reduce && it->node_count > 0)
        err = diff_case_reduce(it, &peers->usual, &diag);
    report(options, it, text);
    return err;
}

/* -ETIMEDOUT: there is nothing to compare. */
static int
run_both(const struct options *options, struct diff_case *it, struct peers *peers,
         struct diag *diag)
{
    int err = diff_case_run_reference(it, &peers->usual, diag);

    if ((err == -EIO || err == -EPIPE) && !it->is_relaxed)
        return diag_set(diag, -ETIMEDOUT, "V8 died of it, twice");
    return err != 0 ? err : diff_case_run_weft(it, !options->in_process, diag);
}

/* Both sides, and what came of it. */
static int
run_case(const struct options *options, struct diff_case *it, struct peers *peers,
         struct totals *totals)
{
    struct buffer text = {0};
    struct diag diag;
    int err;

    diag_init(&diag);
    err = run_both(options, it, peers, &diag);
    if (err == -ETIMEDOUT) {
        (void)fprintf(stderr, "diff: seed %llu: skipped: %s\n", (unsigned long long)it->seed,
                      diag.is_set ? diag_text(&diag) : "V8 took too long");
        totals->skipped++;
        return 0;
    }
    if (err != 0) {
        (void)fprintf(stderr, "diff: seed %llu: %s: %s\n", (unsigned long long)it->seed,
                      strerror(-err), diag_text(&diag));
        return err;
    }
    totals->cases++;
    totals->pairs += it->module_count > 1;
    count_events(&it->weft_log, totals);
    switch (diff_logs(it, &text)) {
    case DIFF_DIFFERENT:
        buffer_append(&text, "", 1);
        err = count_difference(options, it, peers, (const char *)text.bytes, totals);
        break;
    case DIFF_CUT:
        totals->cut++;
        break;
    default:
        break;
    }
    buffer_fini(&text);
    return err;
}

/* ------------------------------------------------------------------------ many cases */

static int
run_seed(const struct options *options, uint64_t seed, struct peers *peers, struct totals *totals)
{
    struct diff_case it;
    struct diag diag;
    int err;

    diag_init(&diag);
    diff_case_init(&it, options->keep);
    it.has_variant = options->variant != NULL;
    it.variant = options->parsed;
    err = diff_case_make(&it, seed, !options->own_only, &diag);
    if (err == 0 && it.module_count > 1)
        it.variant.is_linked = true;
    if (err == -EAGAIN) {
        totals->skipped++;
        err = 0;
    } else if (err != 0) {
        (void)fprintf(stderr, "diff: seed %llu: %s\n", (unsigned long long)seed, diag_text(&diag));
    } else {
        err = run_case(options, &it, peers, totals);
    }
    for (unsigned i = 0; i < SIDE_MODULES_MAX; i++)
        (void)unlink(it.paths[i]);
    diff_case_fini(&it);
    return err;
}

static void
print_totals(const struct options *options, const struct totals *totals)
{
    typedef unsigned long long number;

    (void)printf("%llu cases (%llu of linked modules), %llu calls (%llu trapped), "
                 "%llu calls of the host\n",
                 (number)totals->cases, (number)totals->pairs, (number)totals->calls,
                 (number)totals->traps, (number)totals->host_calls);
    (void)printf("%llu compared in part, %llu skipped, %llu where V8 differs from V8, "
                 "%llu different; seed %llu\n",
                 (number)totals->cut, (number)totals->skipped, (number)totals->of_v8,
                 (number)totals->different, (number)options->seed);
    (void)fflush(stdout);
}

static int
run_seeds(const struct options *options, struct peers *peers, struct totals *totals)
{
    uint64_t end = clock_now_ns() + (uint64_t)options->seconds * CLOCK_NS_PER_SECOND;
    int err = 0;

    for (uint64_t i = 0; err == 0 && totals->different < DIFFERENCES_MAX; i++) {
        if (options->seconds > 0 ? clock_now_ns() > end : i >= options->count)
            break;
        err = run_seed(options, options->seed + i, peers, totals);
        if ((i + 1) % PROGRESS_CASES == 0)
            print_totals(options, totals);
    }
    print_totals(options, totals);
    return err;
}

static int
run_file(const struct options *options, struct peers *peers, struct totals *totals)
{
    struct diff_case it;
    struct diag diag;
    int err = 0;

    diag_init(&diag);
    diff_case_init(&it, "");
    it.seed = options->seed;
    it.variant = options->parsed;
    it.module_count = options->second != NULL ? 2 : 1;
    for (uint32_t i = 0; err == 0 && i < it.module_count; i++) {
        (void)snprintf(it.paths[i], sizeof(it.paths[i]), "%s",
                       i == 0 ? options->file : options->second);
        err = file_read_all(it.paths[i], MODULE_MAX, &it.modules[i], &diag);
    }
    if (err == 0 && options->script != NULL) {
        err = file_read_all(options->script, MODULE_MAX, &it.script, &diag);
        buffer_append(&it.script, "", 1);
    } else if (err == 0) {
        err = diff_case_script(&it, &diag);
    }
    if (err != 0)
        (void)fprintf(stderr, "diff: %s\n", diag_text(&diag));
    else
        err = run_case(options, &it, peers, totals);
    diff_case_fini(&it);
    return err;
}

/* ------------------------------------------------------------------------------ main */

static int
usage(void)
{
    (void)fprintf(stderr,
                  "usage: diff --peer peer.mjs --keep DIR [--seed N] [--count N | --seconds N] "
                  "[--own] [--reduce] [--variant O3,linked,strict,move] [--in-process]\n"
                  "       diff --peer peer.mjs --file M.wasm [--second N.wasm] [--variant V] "
                  "[--script FILE] [--seed N] [--quiet]\n");
    return 2;
}

static int
set_option(struct options *out, int letter, const char *value)
{
    switch (letter) {
    case 's':
        out->seed = strtoull(value, NULL, 0);
        return 0;
    case 'n':
        out->count = strtoull(value, NULL, 0);
        return 0;
    case 't':
        out->seconds = (unsigned)strtoul(value, NULL, 0);
        return 0;
    case 'f':
        out->file = value;
        return 0;
    case '2':
        out->second = value;
        return 0;
    case 'c':
        out->script = value;
        return 0;
    case 'v':
        out->variant = value;
        return side_variant_parse(value, &out->parsed);
    case 'p':
        out->peer = value;
        return 0;
    case 'k':
        out->keep = value;
        return 0;
    default:
        return -EINVAL;
    }
}

static int
parse_options(int argc, char **argv, struct options *out)
{
    static int is_quiet, in_process, own_only, reduce;
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},      {"count", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},   {"file", required_argument, NULL, 'f'},
        {"script", required_argument, NULL, 'c'},    {"variant", required_argument, NULL, 'v'},
        {"peer", required_argument, NULL, 'p'},      {"keep", required_argument, NULL, 'k'},
        {"second", required_argument, NULL, '2'},    {"quiet", no_argument, &is_quiet, 1},
        {"in-process", no_argument, &in_process, 1}, {"own", no_argument, &own_only, 1},
        {"reduce", no_argument, &reduce, 1},         {0},
    };
    int letter;

    *out = (struct options){.count = 100, .peer = "fuzz/peer.mjs", .parsed.level = 3};
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (letter != 0 && set_option(out, letter, optarg) != 0)
            return -EINVAL;
    out->is_quiet = is_quiet != 0;
    out->in_process = in_process != 0;
    out->own_only = own_only != 0;
    out->reduce = reduce != 0;
    return out->file != NULL || out->keep != NULL ? 0 : -EINVAL;
}

int
main(int argc, char **argv)
{
    struct options options;
    struct totals totals = {0};
    struct peers peers = {.optimising = {.option = "--no-liftoff"}};
    int err;

    if (parse_options(argc, argv, &options) != 0)
        return usage();
    peers.usual.program = peers.optimising.program = options.peer;
    err = options.file != NULL ? run_file(&options, &peers, &totals)
                               : run_seeds(&options, &peers, &totals);
    peer_stop(&peers.usual);
    peer_stop(&peers.optimising);
    return err != 0 ? 2 : totals.different > 0 ? 1 : 0;
}
